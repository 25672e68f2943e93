"""A form that was opened before the caller was proven enough: the browser is led to the proof and back, with what was typed."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.journeys.greeting import answer, answer_and_verify, verify


def test_ana_types_a_new_address_is_led_through_the_second_proof_and_finds_it_typed(carrier, sit_down):
    ana = sit_down("ana")
    answer_and_verify(ana, carrier)
    ana.goto(ana.url.partition("?")[0] + "?act=customers.change_contact")
    ana.fill("#act [name=email]", "maria@new.example")
    ana.keyboard.press("Enter")  # sends the form, which is refused: Enter is not the way on beside it
    expect(ana.locator("#act .refusal")).to_be_focused()
    expect(ana.locator("#act .refusal")).to_contain_text("needs a strongly verified caller")
    expect(ana.locator("#act [name=email]")).to_have_value("maria@new.example")
    ana.fill("#act [name=email]", "maria.okafor@new.example")
    ana.click("#act .refusal button.strong")
    expect(ana.locator(".meant")).to_contain_text("Then: Change contact details, as it was typed")

    ana.locator(".factor button", has_text="Send the code").click()
    code = carrier.wait_for_message("one_time_code")["body"].split()[0]
    ana.fill("[name=code]", "000000" if code != "000000" else "111111")
    ana.keyboard.press("Enter")
    expect(ana.locator(".verify .field-error")).to_contain_text("2 tries left")
    expect(ana.locator(".meant")).to_contain_text("Change contact details")  # a wrong code changes nothing of it
    ana.fill("[name=code]", code)
    ana.keyboard.press("Enter")
    expect(ana.locator(".level")).to_contain_text("Strong")
    expect(ana.locator("#act [name=email]")).to_have_value("maria.okafor@new.example")
    expect(ana.locator("#act .refusal")).to_have_count(0)
    ana.reload()
    expect(ana.locator("#act [name=email]")).to_have_value("maria.okafor@new.example")
    ana.click("#act button.primary")
    expect(ana.locator(".flash")).to_contain_text("E-mail address added")


def test_ana_asks_for_a_credit_before_anybody_is_proven_and_it_opens_once_the_pin_was_right(carrier, sit_down):
    ana = sit_down("ana")
    answer(ana, carrier)
    ana.goto(ana.url.partition("?")[0] + "?act=credits.grant")
    expect(ana.locator(".meant")).to_contain_text("Then: Grant a credit")
    verify(ana)
    expect(ana.locator("#act [name=reason]")).to_be_focused()
    ana.fill("#act [name=amount]", "5")
    ana.keyboard.press("Enter")
    expect(ana.locator(".flash")).to_contain_text("$5.00")

    # Meant no more: the second proof leads to the account, and to no form.
    ana.goto(ana.url.partition("?")[0] + "?act=customers.change_contact")
    ana.click("#act .refusal button.strong")
    ana.click("text=Not any more")
    expect(ana.locator(".balance")).to_be_visible()
    expect(ana.locator("#act")).to_have_count(0)
