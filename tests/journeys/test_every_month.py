"""What comes with every bill: a phone is sold, an extra is added, and what the next bill will be is told, printed and sent."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.journeys.greeting import answer_and_verify, open_act
from tests.journeys.test_accessible import Checker


def choose(page, name: str, words: str) -> None:
    """One of the choices of a field of the open form, whether it is drawn as buttons or as a list."""
    field = page.locator(f"#act [name={name}]").first
    field.wait_for(state="attached")
    if field.evaluate("el => el.tagName") == "SELECT":
        field.select_option(label=next(t for t in field.locator("option").all_inner_texts() if words in t))
    else:
        page.locator("#act").get_by_label(words).first.check()


def test_ana_sells_a_phone_in_instalments_with_every_number_said_before(carrier, sit_down):
    ana, check = sit_down("ana"), Checker()
    answer_and_verify(ana, carrier)
    open_act(ana, "Sell in instalments")
    choose(ana, "equipment", "Google Pixel 8")
    expect(ana.locator("#act")).to_contain_text("24 instalments of $19.50")
    choose(ana, "count", "24 instalments")
    expect(ana.locator("#act")).to_contain_text("It is paid in 24 parts of $19.50, one on each bill, with no interest.")
    choose(ana, "consent", "Yes, they agree to $19.50")
    check(ana, "a phone to sell", everywhere=True)
    ana.click("#act button:has-text('Sell it')")
    expect(ana.locator(".flash")).to_contain_text("24 instalments of $19.50")
    expect(ana.locator(".monthly")).to_contain_text("next is 1 of 24, $468.00 left")
    check(ana, "the money page with a phone", everywhere=True)
    ana.click("text=pay off")
    expect(ana.locator("#act")).to_contain_text("24 of 24 instalments, $468.00, come with the next bill at once")
    assert not check.found, check.found


def test_ana_adds_an_extra_and_sends_what_the_next_bill_will_be(carrier, sit_down):
    ana, check = sit_down("ana"), Checker()
    answer_and_verify(ana, carrier, "(314) 555-0122")
    open_act(ana, "Add an extra")
    choose(ana, "extra_code", "Device protection")
    expect(ana.locator("#act")).to_contain_text("costs $9.00 a month plus tax, from your next bill on")
    choose(ana, "consent", "Yes, they agree to $9.00")
    ana.click("#act button:has-text('Add it')")
    expect(ana.locator(".flash")).to_contain_text("“Device protection” added, $9.00 a month from the next bill on")
    ana.click("text=Back to the contact")
    ana.click("text=what it will be")
    panel = ana.locator("#explain")
    expect(panel).to_contain_text("Device protection began")
    expect(panel).to_contain_text("as our bill run would make it today")
    check(ana, "the next bill with an extra", everywhere=True)
    panel.locator("button:has-text('As PDF')").click()
    expect(panel.locator("a:has-text('This estimate as PDF')")).to_be_visible()
    ana.click("text=Send this estimate")
    choose(ana, "line", "By letter, all of it on paper")
    ana.click("#act button:has-text('Send it')")
    expect(ana.locator(".flash")).to_contain_text("The next bill, of")
    assert not check.found, check.found
