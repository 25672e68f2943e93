"""A bill that jumped for three causes: explained aloud, one of them credited with its evidence, and sent."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.journeys.greeting import ring
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

    ana.keyboard.press("Control+k")
    ana.keyboard.type("Explain the bill")
    expect(ana.locator("#palette-list [aria-selected=true]")).to_contain_text("Explain the bill")
    ana.keyboard.press("Enter")
    ana.click("text=What the next bill will be")
    expect(panel).to_contain_text("estimate")
    expect(panel).to_contain_text("about $48.60")
    check(ana, "the next bill")
    assert not check.found, check.found
