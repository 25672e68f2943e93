"""A whole contact, from first ring to wrap-up, as its people live it."""

from __future__ import annotations

import re
import time

from playwright.sync_api import expect

from tests.journeys.greeting import answer_and_verify, open_act, ring


def test_ana_answers_verifies_credits_asks_a_lead_takes_a_payment_and_wraps_up(carrier, sit_down):
    ana = sit_down("ana")
    ring(ana, carrier, "(206) 555-0188")
    ana.click("text=Answer")
    expect(ana.locator("h1")).to_have_text("Maria Okafor")
    # Nothing of the account before verification: not on the page, not in its source.
    source = ana.content()
    assert "Plus 15" not in source and "48.60" not in source and "4242" not in source and "2019" not in source

    ana.fill("[name=pin]", "0000")
    ana.keyboard.press("Enter")
    expect(ana.locator("text=2 tries left").first).to_be_visible()
    ana.fill("[name=pin]", "4711")
    ana.keyboard.press("Enter")
    expect(ana.locator(".level")).to_contain_text("Verified")
    expect(ana.locator(".balance")).to_contain_text("$48.60")

    # A credit on the charge that was wrong takes its tax back too.
    ana.keyboard.press("c")
    ana.select_option("[name=reason]", "billing_error")
    expect(ana.locator(".limit")).to_contain_text("needs the charge that was wrong")
    ana.locator("[name=bill_line]").nth(1).check(force=True)
    expect(ana.locator(".limit")).to_contain_text("You may grant up to $25.00")
    ana.fill("[name=amount]", "10")
    ana.click("text=Grant the credit")
    expect(ana.locator(".flash")).to_contain_text("$10.00 and $0.80 tax")
    expect(ana.locator(".balance")).to_contain_text("$37.80")

    # Above her limit: a lead in the call, within two seconds, without reloading on either side.
    lena = sit_down("lena")
    lena.goto(carrier.url + "/approvals")
    ana.keyboard.press("c")
    ana.select_option("[name=reason]", "retention")
    expect(ana.locator(".limit")).to_contain_text("retention")
    ana.fill("[name=amount]", "40")
    ana.click("text=Grant the credit")
    expect(ana.locator(".refusal")).to_contain_text("Your limit leaves $25.00 for this event")
    ana.fill(".refusal [name=words]", "Two outages this month")
    ana.click("text=Ask a lead")
    asked = time.time()
    expect(ana.locator(".request")).to_contain_text("waiting for a lead or a supervisor")
    expect(lena.locator(".inbox")).to_contain_text("Ana Silva", timeout=3500)
    assert time.time() - asked < 3.5
    lena.click(".inbox a")
    lena.fill("#form-less [name=amount]", "30")
    lena.fill("#form-less [name=answer]", "Thirty is fair")
    lena.click("text=Grant this")
    expect(lena.locator(".flash")).to_contain_text("Granted less for Ana Silva")
    expect(ana.locator(".request")).to_contain_text("Lena Park granted $30.00", timeout=4000)
    # Her money is drawn again by itself.
    expect(ana.locator(".balance")).to_contain_text("$7.80")
    expect(ana.locator("#section")).to_contain_text("−$30.00")

    ana.keyboard.press("p")
    ana.fill("[name=amount]", "7.80")
    ana.click("text=Take the payment")
    expect(ana.locator(".flash")).to_contain_text("$7.80 with Visa")
    expect(ana.locator(".balance")).to_contain_text("$0.00")

    # A note with a card number is refused; without it, it stays.
    ana.fill("#note-words", "Her card is 4111 1111 1111 1111")
    ana.click("text=Save note")
    expect(ana.locator(".field-error")).to_contain_text("card")
    ana.fill("#note-words", "Moves in March; IMEI 356938035643809")
    ana.click("text=Save note")
    expect(ana.locator(".note-list")).to_contain_text("Moves in March")

    ana.keyboard.press("e")
    ana.click("text=The caller is gone")
    summary = ana.input_value("[name=summary]")
    assert "Credit CR-" in summary and "Payment PY-" in summary and "$30.00" in summary
    ana.select_option("[name=disposition]", "follow_up")
    ana.select_option("[name=root_cause]", "billing_error")
    ana.fill("[name=follow_up]", "Call about the new plan")
    ana.click("text=Close the contact")
    expect(ana.locator(".form-error, .field-error").first).to_contain_text("due")
    ana.fill("[name=due_on]", time.strftime("%Y-%m-%d", time.gmtime(time.time() + 3 * 86400)))
    ana.click("text=Close the contact")
    expect(ana.locator(".waits")).to_contain_text("Call about the new plan")
    receipt = carrier.wait_for_message("receipt")
    assert "$7.80" in receipt["body"]


def test_a_code_reaches_the_number_of_record_within_two_seconds_and_two_factors_make_it_strong(carrier, sit_down):
    ana = sit_down("ana")
    ring(ana, carrier, "2065550188")
    ana.click("text=Answer")
    sent = time.time()
    ana.click("text=Send the code")
    message = carrier.wait_for_message("one_time_code", 3)
    assert time.time() - sent < 3 and message["to"] == "+12065550188"
    code = re.search(r"\d{6}", message["body"]).group()
    ana.fill("[name=code]", code)
    ana.keyboard.press("Enter")
    expect(ana.locator(".level")).to_contain_text("Verified")
    ana.keyboard.press("v")
    ana.fill("[name=pin]", "4711")
    ana.keyboard.press("Enter")
    expect(ana.locator(".level")).to_contain_text("Strong")


def test_a_call_back_puts_the_line_down_and_verifies_who_picks_up(carrier, sit_down):
    ana = sit_down("ana")
    ring(ana, carrier, "2065550188")
    ana.click("text=Answer")
    assert "tel:" not in ana.content()
    ana.click("text=I am calling back")
    expect(ana.locator("a[href='tel:+12065550188']")).to_have_text("(206) 555-0188")
    expect(ana.locator("[name=name]")).to_be_focused()
    ana.keyboard.type("Maria")
    ana.keyboard.press("Enter")
    expect(ana.locator(".outcome")).to_contain_text("No phone is picked up as fast as that")
    time.sleep(10)
    ana.fill("[name=name]", "Maria")
    ana.keyboard.press("Enter")
    expect(ana.locator(".level")).to_contain_text("call back")
    assert "tel:" not in ana.content()


def test_somebody_who_only_wants_to_pay_pays_by_a_link_and_learns_nothing(carrier, sit_down):
    ana = sit_down("ana")
    ana.fill("#big-q", "okafor")
    ana.keyboard.press("Enter")
    ana.click("text=Open a contact")
    ana.fill("[name=name]", "Peter Unknown")
    ana.click("text=This is who speaks")
    expect(ana.locator(".flash")).to_contain_text("Nobody of that name")
    ana.click("text=Only wants to pay")
    ana.fill("[name=amount]", "20")
    ana.fill("[name=number]", "(312) 555-0142")
    ana.click("text=Send the link")
    link = re.search(r"/pay/[\w-]+", carrier.wait_for_message("payment_link")["body"]).group()
    payer = ana.context.browser.new_context().new_page()
    payer.goto(carrier.url + link)
    assert "Okafor" not in payer.content() and "A-0104822" not in payer.content() and payer.locator("input[type=text]").count() == 0
    payer.click("text=declined")
    expect(payer.locator("[role=alert]")).to_contain_text("Nothing was taken")
    payer.click("text=ending 4242")
    expect(payer.locator("h1")).to_have_text("Thank you")
    receipt = carrier.wait_for_message("receipt")
    assert "$20.00" in receipt["body"] and "0142" in receipt["body"] and "Okafor" not in receipt["body"]
    payer.context.close()


def test_nobody_opens_their_own_account_unless_a_second_person_admits_them(carrier, sit_down):
    ana = sit_down("ana")
    ana.goto(carrier.url + "/find?q=A-0105001")
    ana.click("text=Open a contact")
    expect(ana.locator(".refusal")).to_contain_text("second person")
    ana.click("text=Start a contact, then ask to be admitted")
    ana.fill("[name=words]", "My own bill is wrong and nobody else is free")
    ana.click("text=Ask a lead")
    expect(ana.locator(".request")).to_contain_text("waiting")
    lena = sit_down("lena")
    lena.goto(carrier.url + "/approvals")
    lena.click(".inbox a")
    expect(lena.locator("h1")).to_contain_text("own account")
    lena.click("text=Admit them")
    expect(ana.locator(".request")).to_contain_text("approved by Lena Park", timeout=4000)
    ana.click("text=Open the account")
    ana.fill("[name=pin]", "4711")
    ana.keyboard.press("Enter")
    expect(ana.locator(".balance")).to_be_visible()
    no = ana.locator("details.act-no", has_text="Grant a credit")
    no.locator("summary").click()
    expect(no).to_contain_text("admitted or not")


def test_a_warm_hand_over_keeps_what_was_proven_and_a_dropped_line_does_not(carrier, sit_down):
    ana, ben = sit_down("ana"), sit_down("ben")
    answer_and_verify(ana, carrier)
    ana.keyboard.press("o")
    ana.select_option("[name=to]", label="Ben Carter, associate")
    ana.click("text=Offer it")
    expect(ana.locator(".flash")).to_contain_text("offered to Ben Carter")
    ben.goto(carrier.url + "/")
    ben.click("text=Ana Silva hands over")
    ben.click("button:has-text('Take over')")
    expect(ben.locator(".level")).to_contain_text("Verified")
    expect(ben.locator(".balance")).to_be_visible()
    expect(ana.locator("h1")).to_contain_text("Ana", timeout=5000)  # her page is left by itself
    ana.goto(ben.url)
    expect(ana.locator(".refusal")).to_contain_text("Somebody else holds this contact")
    ben.goto(ben.url + "?act=contacts.drop")
    ben.click("text=It dropped")
    expect(ben.locator("h2").first).to_contain_text("The line dropped")
    ben.click("text=Take it up")
    expect(ben.locator(".level")).to_contain_text("Not verified")


def test_typed_words_survive_a_reload_and_another_tab(carrier, sit_down):
    ana = sit_down("ana")
    ring(ana, carrier, "2065550188")
    ana.click("text=Answer")
    ana.fill("[name=pin]", "4711")
    ana.keyboard.press("Enter")
    ana.fill("#note-words", "She said the tower was repaired on Monday")
    expect(ana.locator("[data-saved]")).to_contain_text("saved", timeout=5000)
    ana.reload()
    assert ana.input_value("#note-words") == "She said the tower was repaired on Monday"
    tab = ana.context.new_page()
    tab.goto(ana.url)
    assert tab.input_value("#note-words") == "She said the tower was repaired on Monday"


def test_a_double_click_is_one_credit(carrier, sit_down):
    ana = sit_down("ana")
    answer_and_verify(ana, carrier)
    ana.keyboard.press("c")
    ana.fill("[name=amount]", "5")
    ana.dblclick("text=Grant the credit")
    expect(ana.locator(".balance")).to_contain_text("$43.60")
    ana.wait_for_timeout(500)
    ana.reload()
    expect(ana.locator(".balance")).to_contain_text("$43.60")


def test_the_desk_works_without_script(carrier, sit_down, chromium):
    context = chromium.new_context(java_script_enabled=False, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(carrier.url + "/sign-in")
    page.fill("[name=login]", "ana")
    page.fill("[name=password]", "a long sentence for tests")
    page.click("button.primary")
    page.fill("#big-q", "0188")
    page.click(".big-find button")
    page.click("text=Open a contact")
    page.fill("[name=pin]", "4711")
    page.click("text=Check")
    page.click("text=Grant a credit")
    page.fill("[name=amount]", "3")
    page.click("text=Grant the credit")
    expect(page.locator(".balance")).to_contain_text("$45.60")
    context.close()


def test_ctrl_k_reaches_every_act_and_the_question_mark_lists_the_keys(carrier, sit_down):
    ana = sit_down("ana")
    answer_and_verify(ana, carrier)
    open_act(ana, "payment link")
    expect(ana.locator("#act")).to_contain_text("Send a payment link")
    ana.keyboard.press("Escape")
    ana.keyboard.press("Escape")
    ana.keyboard.press("?")
    expect(ana.locator("#keys")).to_be_visible()


def test_the_administrator_runs_staff_and_sees_no_customer(carrier, sit_down):
    ada = sit_down("ada")
    expect(ada.locator("h1")).to_have_text("People")
    assert "Okafor" not in ada.content()
    for path in ("/find?q=okafor", "/approvals", "/contacts/C-0000001-3/"):
        assert ada.goto(carrier.url + path).status == 403
    ada.goto(carrier.url + "/people")
    ada.fill("#form-staff-add [name=name]", "Nia Cole")
    ada.fill("#form-staff-add [name=username]", "nia")
    ada.select_option("#form-staff-add [name=role]", "associate")
    ada.click("#form-staff-add button.primary")
    expect(ada.locator(".people-table")).to_contain_text("waits for a lead")


def test_a_new_colleague_is_let_in_by_a_lead_and_chooses_her_own_password(carrier, sit_down, chromium):
    ada, lena = sit_down("ada"), sit_down("lena")
    ada.fill("#form-staff-add [name=name]", "Nia Cole")
    ada.fill("#form-staff-add [name=username]", "nia")
    ada.select_option("#form-staff-add [name=role]", "associate")
    ada.click("#form-staff-add button.primary")
    expect(ada.locator(".people-table")).to_contain_text("Nia Cole")
    lena.goto(carrier.url + "/approvals")
    lena.click("text=1 colleague waits to be let in")
    lena.get_by_role("button", name="Let in").click()
    code = lena.locator("code.secret").inner_text()
    nia = chromium.new_page()
    nia.goto(carrier.url + "/sign-in")
    nia.click("text=I was given a code")
    for name, text in (("login", "nia"), ("code", "AAA-AAA-AAA"), ("password", "nine yellow submarines"), ("again", "nine yellow submarines")):
        nia.fill(f"[name={name}]", text)
    nia.click("button.primary")
    expect(nia.locator(".form-error")).to_contain_text("do not belong together")
    for name, text in (("code", code), ("password", "short"), ("again", "short")):
        nia.fill(f"[name={name}]", text)
    nia.click("button.primary")
    expect(nia.locator(".field-error")).to_contain_text("12")
    for name, text in (("code", code), ("password", "nine yellow submarines"), ("again", "nine yellow submarines")):
        nia.fill(f"[name={name}]", text)
    nia.click("button.primary")
    expect(nia.locator("main")).to_contain_text("Your password is set")
    nia.fill("[name=login]", "nia")
    nia.fill("[name=password]", "nine yellow submarines")
    nia.click("button.primary")
    expect(nia.locator("#top")).to_contain_text("Careline")
    nia.close()
