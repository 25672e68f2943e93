"""Maria has a new phone without a slot for her card: the lock first, then the eSIM, and what the number is worth for a day after it."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.journeys.greeting import answer_and_verify
from tests.journeys.test_account_care import prove_the_phone
from tests.operations.test_sims import eid, imei


def test_maria_moves_to_an_esim_and_asks_for_a_transfer_pin(carrier, sit_down):
    ana = sit_down("ana")
    answer_and_verify(ana, carrier)
    prove_the_phone(ana, carrier)
    ana.keyboard.press("j")
    guards = ana.locator("section", has_text="What guards the account")
    guards.locator("a", has_text="lock it").first.click()
    ana.click("#act button.primary")
    expect(ana.locator(".caller-facts")).to_contain_text("locked against SIM change")
    expect(guards.locator("a", has_text="change the SIM")).to_have_count(0)
    guards.locator("a", has_text="unlock").first.click()
    ana.click("#act button.primary")
    expect(guards.locator("a", has_text="change the SIM")).to_have_count(1)

    guards.locator("a", has_text="make a transfer PIN").click()
    expect(ana.locator("#act .say")).to_contain_text("a number of a cancelled line is lost")
    ana.click("#act button.primary")
    expect(guards).to_contain_text("transfer PIN given out: 0188 until")
    assert "PIN de traslado" in carrier.wait_for_message("transfer_pin")["body"]

    guards.locator("a", has_text="change the SIM").click()
    expect(ana.locator("#act .say")).to_contain_text("We never ask for that")
    ana.check("#act [name=kind][value=esim]")
    ana.fill("#act [name=eid]", "89" + "0" * 30)
    ana.click("#act button.primary")
    expect(ana.locator(".field-error")).to_contain_text("check digits do not match")
    ana.fill("#act [name=eid]", eid(5))
    ana.click("#act button.primary")
    expect(ana.locator(".flash")).to_contain_text("New eSIM on the device")
    expect(ana.locator(".probably")).to_contain_text("SIM changed lately")
    notice = next(m for m in carrier.messages() if m["topic"] == "security_notice" and "se pidió una SIM nueva" in m["body"])
    assert notice["to"].endswith("0188")

    ana.keyboard.press("l")
    ana.locator("#col-centre a", has_text="another phone").click()
    ana.fill("#act [name=imei]", imei(4))
    ana.fill("#act [name=make]", "Apple")
    ana.fill("#act [name=model]", "iPhone 17")
    ana.click("#act button.primary")
    expect(ana.locator("#col-centre")).to_contain_text("Apple iPhone 17")
    ana.keyboard.press("t")
    expect(ana.locator(".timeline")).to_contain_text("New eSIM on the device")
