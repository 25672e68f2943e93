"""Maria moved: her address, her mail, a PIN of her own and her brother, in one call; the old address and the phone hear of it."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.journeys.greeting import answer_and_verify, ring


def prove_the_phone(page, carrier):
    """The code that was texted to the number of record, read back."""
    page.goto(re.match(r".*/contacts/[^/]+/", page.url)[0] + "?verify=more")
    page.click("text=Send the code")
    code = carrier.wait_for_message("one_time_code")["body"].split()[0]
    page.fill("[name=code]", code)
    page.keyboard.press("Enter")
    expect(page.locator(".level")).to_contain_text("Strong")


def care_anew(page):
    """The section where what is clicked next stands already: the key that loads it would race with that click."""
    page.goto(re.match(r".*/contacts/[^/]+/", page.url)[0] + "?section=care")


def test_maria_moves_changes_her_mail_and_pin_locks_her_number_and_names_her_brother(carrier, sit_down):
    ana = sit_down("ana")
    answer_and_verify(ana, carrier)

    # One proof is not enough, and the refusal leads to the other.
    ana.keyboard.press("j")
    expect(ana.locator("#col-centre")).to_contain_text("What guards the account")
    ana.click("text=change e-mail or number")
    ana.fill("#act [name=email]", "maria@post.example")
    ana.click("#act button.primary")
    expect(ana.locator(".refusal")).to_contain_text("needs a strongly verified caller")
    prove_the_phone(ana, carrier)

    care_anew(ana)
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
    ana.locator(".care-rows a", has_text="unlock").first.click()  # said before anything is pressed
    expect(ana.locator(".refusal")).to_contain_text("Nothing is unlocked before ")

    care_anew(ana)
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


def test_renees_line_gets_an_account_of_its_own_and_nobody_finds_it(carrier, sit_down):
    """Renee uses a line of John Doyle's account: a lead separates it, and an associate finds nothing of her."""
    lena = sit_down("lena")
    ring(lena, carrier, "(206) 555-0177")
    lena.click("text=Answer")
    lena.fill("#col-verify [name=q]", "Doyle")
    lena.keyboard.press("Enter")
    lena.click("text=Choose this one")
    lena.click("text=A survivor asks for a line of their own")
    expect(lena.locator("#col-verify .say")).to_contain_text("Is this phone safe to talk on?")
    lena.check("text=ends 0190")
    lena.fill("[name=name]", "Renee Marsh")
    lena.click("text=Separate it now")
    expect(lena.locator(".field-error")).to_contain_text("Look at what the law asks for first")
    lena.check("[name=seen]")
    lena.click("text=Separate it now")
    expect(lena.locator(".flash.is-warning")).to_contain_text("Read it to them once")
    expect(lena.locator("h1")).to_have_text("Renee Marsh")
    expect(lena.locator(".caller-facts .badge")).to_contain_text("confirm nothing to anybody else")
    reference = lena.locator(".caller-facts .num").first.inner_text()
    assert not [m for m in carrier.messages() if m["topic"] == "security_notice"], "nobody is told"

    ana = sit_down("ana")
    for text, there in (("0190", False), ("Renee Marsh", False), (reference, True)):
        ana.goto(f"{carrier.url}/find?q={text}")
        assert (reference in ana.locator("main").inner_text()) is there, text


def test_sam_holds_the_records_of_an_account_and_redacts_nothing_until_another_lifts_it(carrier, sit_down):
    sam = sit_down("sam")
    answer_and_verify(sam, carrier)
    sam.fill("#note-words", "Her daughter is in Spokane")
    sam.click("text=Save note")
    expect(sam.locator(".flash")).to_contain_text("Note")
    sam.keyboard.press("t")
    sam.locator(".timeline li", has_text="Spokane").locator("a", has_text="redact").click()
    expect(sam.locator("#act")).to_contain_text("do not come back")
    sam.fill("#act [name=words]", "Named a child")
    sam.click("text=Redact for ever")
    expect(sam.locator(".flash")).to_contain_text("Personal words of 1 line redacted")
    sam.keyboard.press("t")
    expect(sam.locator(".timeline")).to_contain_text("(redacted)")
    assert "Spokane" not in sam.content()

    sam.keyboard.press("j")
    sam.click("text=place a legal hold")
    sam.fill("#act [name=matter]", "Okafor v. Fernline")
    sam.click("#act button.primary")
    expect(sam.locator("#col-centre")).to_contain_text("Okafor v. Fernline")
    sam.locator(".care-links a", has_text="redact").click()
    sam.fill("#act [name=before]", "2026-01-01")
    sam.fill("#act [name=words]", "She asked us to")
    sam.click("text=Redact for ever")
    expect(sam.locator(".refusal")).to_contain_text("A legal hold is in force")
    care_anew(sam)
    sam.click("text=lift it")
    sam.fill("#act [name=words]", "Settled")
    sam.click("#act button.primary")
    expect(sam.locator(".refusal")).to_contain_text("Somebody else lifts it")
