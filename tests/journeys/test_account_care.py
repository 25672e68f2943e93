"""Maria moved: her address, her mail, a PIN of her own and her brother, in one call; the old address and the phone hear of it."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.journeys.test_whole_contact import ring


def prove_the_phone(page, carrier):
    """The code that was texted to the number of record, read back."""
    page.keyboard.press("v")
    page.click("text=Send the code")
    code = carrier.wait_for_message("one_time_code")["body"].split()[0]
    page.fill("[name=code]", code)
    page.keyboard.press("Enter")
    expect(page.locator(".level")).to_contain_text("Strong")


def test_maria_moves_changes_her_mail_and_pin_locks_her_number_and_names_her_brother(carrier, sit_down):
    ana = sit_down("ana")
    ring(ana, carrier, "(206) 555-0188")
    ana.click("text=Answer")
    ana.fill("[name=pin]", "4711")
    ana.keyboard.press("Enter")
    expect(ana.locator(".level")).to_contain_text("Verified")

    # One proof is not enough, and the refusal leads to the other.
    ana.keyboard.press("j")
    expect(ana.locator("#col-centre")).to_contain_text("What guards the account")
    ana.click("text=change e-mail or number")
    ana.fill("#act [name=email]", "maria@post.example")
    ana.click("#act button.primary")
    expect(ana.locator(".refusal")).to_contain_text("needs a strongly verified caller")
    ana.keyboard.press("Escape")
    prove_the_phone(ana, carrier)

    ana.keyboard.press("j")
    ana.click("text=change e-mail or number")
    ana.fill("#act [name=email]", "maria@post.example")
    ana.click("#act button.primary")
    expect(ana.locator(".flash")).to_contain_text("E-mail address added; told by a text to the number of record")
    notice = carrier.wait_for_message("security_notice")
    assert "post.example" not in notice["body"] and notice["to"].endswith("0188")
    expect(ana.locator(".probably")).to_contain_text("E-mail address changed lately")

    ana.click("text=change the address")
    ana.fill("#act [name=street]", "12 Pine St")
    ana.fill("#act [name=city]", "Portland")
    ana.select_option("#act [name=state]", "OR")
    ana.fill("#act [name=postal_code]", "97201")
    ana.click("#act button.primary")
    expect(ana.locator(".care-rows").first).to_contain_text("12 Pine St, Portland, OR 97201")

    ana.click("text=set a new one")
    expect(ana.locator("#act .say")).to_contain_text("not a birthday")
    ana.fill("#act [name=pin]", "0188")
    ana.click("#act button.primary")
    expect(ana.locator(".field-error")).to_contain_text("stands in a number of this account")
    ana.fill("#act [name=pin]", "83520")
    ana.click("#act button.primary")
    expect(ana.locator("#col-centre")).to_contain_text("makes nobody strong before")

    ana.locator(".care-rows a", has_text="lock it").first.click()
    ana.click("#act button.primary")
    expect(ana.locator(".caller-facts")).to_contain_text("locked against SIM change")
    ana.locator(".care-rows a", has_text="unlock").first.click()
    ana.click("#act button.primary")
    expect(ana.locator(".refusal")).to_contain_text("Nothing is unlocked before they are over")

    ana.keyboard.press("j")
    ana.click("text=add somebody")
    ana.fill("#act [name=name]", "Julio Okafor-Reyes")
    ana.check("#act [name=may_money]")
    ana.click("#act button.primary")
    expect(ana.locator("#col-centre table").first).to_contain_text("Julio Okafor-Reyes authorized")
    ana.click("text=end: Julio Okafor-Reyes")
    ana.click("#act button.primary")
    expect(ana.locator("#col-centre")).to_contain_text("No more: Julio Okafor-Reyes")

    ana.locator("section", has_text="How they like to be served").locator("a").first.click()
    ana.check("text=Confirm in writing")
    ana.click("#act button.primary")
    expect(ana.locator(".caller-need", has_text="Confirm in writing")).to_be_visible()

    # It is all in the journal, with no address in any sentence.
    ana.click("text=journal")
    expect(ana.locator("main")).to_contain_text("Address changed, now in OR: taxes and contact hours follow")
    assert not re.search(r"Pine St|post\.example|83520|Julio", ana.content())
