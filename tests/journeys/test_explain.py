"""A bill that jumped for three causes: explained aloud, one of them credited with its evidence, and sent."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.journeys.greeting import answer_and_verify, open_act, ring
from tests.journeys.test_accessible import Checker


def test_ana_explains_a_jump_credits_what_was_wrong_and_sends_the_explanation(carrier, sit_down):
    ana, check = sit_down("ana"), Checker()
    ring(ana, carrier, "(206) 555-0109")
    ana.click("text=Answer")
    ana.fill("[name=pin]", "4711")
    ana.keyboard.press("Enter")
    expect(ana.locator(".probably")).to_contain_text("Bill up $34.99")

    ana.keyboard.press("x")
    panel = ana.locator("#explain")
    expect(panel).to_contain_text("+$34.99")
    causes = panel.locator(".explain-cause")
    expect(causes).to_have_count(3)
    for n, words in enumerate(("Roaming pass, once", "Discount ended: Welcome offer", "Late payment fee")):
        expect(causes.nth(n)).to_contain_text(words)
    expect(causes.nth(2)).to_contain_text("was open after")
    expect(panel.locator(".say")).to_contain_text("$34.99 more than the one of")
    check(ana, "a bill explained", everywhere=True)

    causes.nth(0).locator("text=It is wrong").click()
    expect(ana.locator("#act [name=amount]")).to_have_value("19.99")
    expect(panel).to_be_visible()
    ana.click("text=Grant the credit")
    expect(ana.locator(".flash")).to_contain_text("$19.99")

    ana.keyboard.press("x")
    expect(panel.locator(".explain-cause").nth(0)).to_contain_text("$19.99 credited")
    ana.click("text=Send this explanation")
    text = ana.locator("#act textarea[name=text]")
    expect(text).to_contain_text("Late payment fee: +$5.00")
    check(ana, "an explanation to send")
    text.fill(text.input_value() + " The roaming pass was credited.")
    ana.click("text=Send it")
    expect(ana.locator(".flash")).to_contain_text("sent to the customer")
    body = carrier.wait_for_message("bill_explained")
    assert body["topic"] == "bill_explained" and "The roaming pass was credited." in str(body)

    open_act(ana, "Explain the bill")
    ana.click("text=What the next bill will be")
    expect(panel).to_contain_text("estimate")
    expect(panel).to_contain_text("about $48.60")
    check(ana, "the next bill")
    assert not check.found, check.found


def test_ana_explains_calls_that_came_late_and_the_taxes_of_a_city_and_credits_them(carrier, sit_down):
    """Inés of Clayton, by hand: 38 minutes known late are 9.50, with 0.40 state, 0.21 county and 0.76 city tax 10.87; 12 minutes over the
    plan instead of 3 are 2.25 and 0.33 tax. The district takes of the plan alone."""
    ana, check = sit_down("ana"), Checker()
    answer_and_verify(ana, carrier, "(314) 555-0122")
    ana.keyboard.press("x")
    panel = ana.locator("#explain")
    expect(panel).to_contain_text("+$13.45")
    causes = panel.locator(".explain-cause")
    expect(causes).to_have_count(2)
    expect(causes.nth(0)).to_contain_text("known late")
    expect(causes.nth(0)).to_contain_text("+$10.87")
    expect(causes.nth(0)).to_contain_text("38 × $0.25")
    for tax in ("State sales tax, MO", "Sales tax, St. Louis County, MO", "Utility tax, Clayton, MO"):
        expect(causes.nth(0)).to_contain_text(tax)
    expect(causes.nth(0)).not_to_contain_text("911 District")
    expect(causes.nth(1)).to_contain_text("+$2.58")
    expect(panel).not_to_contain_text("Only the state's tax")
    check(ana, "late calls explained", everywhere=True)

    causes.nth(0).locator("text=It is wrong").click()
    expect(ana.locator("#act [name=amount]")).to_have_value("9.50")
    ana.click("text=Grant the credit")
    expect(ana.locator(".flash")).to_contain_text("$9.50 and $1.37 tax")
    ana.keyboard.press("x")
    expect(panel.locator(".explain-credits")).to_contain_text("We took $10.87 off this bill")

    ana.locator("#explain").locator("text=Close").click()
    expect(ana.locator("#explain")).to_have_count(0)
    ana.locator("section:has-text('Still open') table").first.locator("tbody a").first.click()
    bill = ana.locator("#bill")
    for words in ("Emergency service, Central 911 District, MO", "3 % of $25.00", "Utility tax, Clayton, MO", "8 % of $9.50", "$45.81"):
        expect(bill).to_contain_text(words)
    expect(bill).not_to_contain_text("state only")
    check(ana, "a bill with the taxes of a city")
    assert not check.found, check.found


def test_a_bill_taxed_by_the_state_only_says_so_wherever_it_is_read(carrier, sit_down):
    """Dale's town is in no row of the tax table."""
    ana = sit_down("ana")
    answer_and_verify(ana, carrier, "(636) 555-0123")
    ana.keyboard.press("x")
    expect(ana.locator("#explain")).to_contain_text("Only the state's tax is on this bill")
    ana.locator("#explain").locator("text=Close").click()
    expect(ana.locator("#explain")).to_have_count(0)
    ana.locator("section:has-text('Still open') table").first.locator("tbody a").first.click()
    expect(ana.locator("#bill")).to_contain_text("Taxed by the state only")
