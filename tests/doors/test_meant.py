"""The form that somebody asked for before the caller was proven enough comes back by itself, with what they had typed."""

from __future__ import annotations

import json

import pytest

from careline.domain.contacts.models import Draft
from careline.domain.credits.models import Grant
from careline.domain.journal.models import Outbox
from tests import people
from tests.doors.test_access import Browser, sit_down
from tests.doors.test_pages import holder_of, text_of

GRANT = {"reason": "goodwill", "amount": "7.50", "words": "Slow for a week"}


def kept_of(browser) -> dict:
    row = Draft.objects.filter(contact=browser.contact, kind="form").first()
    return json.loads(row.text) if row and row.text else {}


def proves_the_pin(browser, account):
    return browser.do(browser.contact, "contacts.check_pin", account=account.pk, pin="4711")


def proves_the_phone(browser, account):
    browser.do(browser.contact, "contacts.send_code", account=account.pk, line=account.lines.get().pk)
    code = Outbox.objects.filter(topic="one_time_code").latest("pk").body.split()[0]
    return browser.do(browser.contact, "contacts.check_code", account=account.pk, code=code)


def test_the_form_that_ana_opened_too_early_opens_once_maria_gave_her_pin(house, maria):
    ana = sit_down(house["ana"], maria, "identified")
    page = text_of(ana.get(ana.here + "?act=credits.grant&amount=7.50"))
    assert "Then: <b>Grant a credit</b>, as it was typed" in page
    assert "Plus 15" not in page
    answer = proves_the_pin(ana, maria)
    assert answer["Location"] == ana.here + "?act=credits.grant&again=1"
    page = text_of(ana.get(answer["Location"]))
    assert 'value="7.50"' in page and "Grant the credit" in page


def test_what_ana_had_typed_when_the_proof_ended_in_silence_comes_back_and_is_granted_once(house, maria, clock):
    ana = sit_down(house["ana"], maria, "verified")
    clock.later(minutes=31)
    answer = ana.do(ana.contact, "credits.grant", account=maria.pk, **GRANT)
    assert answer.status_code == 422 and "as it was typed" in text_of(answer) and "Slow for a week" not in text_of(answer)
    page = text_of(ana.get(proves_the_pin(ana, maria)["Location"]))
    assert 'value="7.50"' in page and 'value="Slow for a week"' in page
    done = ana.do(ana.contact, "credits.grant", account=maria.pk, **GRANT)
    assert done.status_code == 303 and Grant.objects.filter(amount_minor=750).count() == 1
    assert kept_of(ana) == {}
    assert "Slow for a week" not in text_of(ana.get(ana.here + "?act=credits.grant&again=1")).partition('id="act"')[2].partition("</form>")[0]


def test_a_step_up_from_one_proof_to_two_leads_back_to_the_form(house, maria):
    ana = sit_down(house["ana"], maria, "verified")
    page = text_of(ana.get(ana.here + "?act=customers.change_contact"))
    assert '<button class="button strong" form="form-customers-change-contact" name="then" value="verify">' in page
    typed = {"email": "new@okafor.example", "phone": ""}
    answer = ana.do(ana.contact, "customers.change_contact", account=maria.pk, then="verify", **typed)
    assert answer["Location"] == ana.here + "?verify=more"
    assert "Then: <b>Change contact details</b>, as it was typed" in text_of(ana.get(answer["Location"]))
    answer = proves_the_phone(ana, maria)
    assert answer["Location"] == ana.here + "?act=customers.change_contact&again=1"
    assert 'value="new@okafor.example"' in text_of(ana.get(answer["Location"]))
    maria.customer.refresh_from_db()
    assert maria.customer.email != "new@okafor.example", "nothing was done with it"


def test_one_proof_leads_on_to_the_second_that_the_form_needs(house, maria):
    ana = sit_down(house["ana"], maria, "identified")
    ana.get(ana.here + "?act=customers.change_contact")
    answer = proves_the_pin(ana, maria)
    assert answer["Location"] == ana.here + "?verify=more"
    assert "Then: <b>Change contact details</b>" in text_of(ana.get(answer["Location"]))
    assert proves_the_phone(ana, maria)["Location"] == ana.here + "?act=customers.change_contact&again=1"


def test_it_comes_back_once_by_itself(house, maria):
    ana = sit_down(house["ana"], maria, "identified")
    ana.get(ana.here + "?act=credits.grant")
    assert "act=credits.grant" in proves_the_pin(ana, maria)["Location"]
    assert proves_the_phone(ana, maria)["Location"] == ana.here


@pytest.mark.parametrize("end", ["not any more", "another voice", "another account", "wrap-up"])
def test_what_was_meant_ends_with_what_it_was_meant_for(house, maria, clock, end):
    otto = people.open_account("Otto Berg", "+12065550199", "A-0104900", pin="4711")
    ana = sit_down(house["ana"], maria, "verified")
    ana.do(ana.contact, "customers.change_contact", account=maria.pk, then="verify", email="new@okafor.example", phone="")
    assert kept_of(ana)["typed"]["email"] == "new@okafor.example"
    now = maria
    if end == "not any more":
        assert ana.do(ana.contact, "customers.change_contact", then="leave").status_code == 303
    elif end == "another voice":
        ana.do(ana.contact, "contacts.speaker", account=maria.pk, name="Maria Okafor")
    elif end == "another account":
        ana.do(ana.contact, "contacts.identify", account=otto.pk, person=holder_of(otto))
        now = otto
    else:
        ana.do(ana.contact, "contacts.end")
        ana.do(ana.contact, "contacts.wrap_up", summary="She changed her mind", disposition="resolved", root_cause="bill_changed")
        assert not Draft.objects.filter(contact=ana.contact).exists()
        return
    assert "act=" not in proves_the_phone(ana, now)["Location"]
    assert "new@okafor.example" not in text_of(ana.get(ana.here + "?act=customers.change_contact&again=1")).partition('id="act"')[2].partition("</form>")[0]


@pytest.mark.parametrize(("words", "stays"), [
    ("She read 4111 1111 1111 1111 to me", "She read (card number) to me"),
    ("her PIN is 4711", ""),
    ("", ""),
    ("Größe & <b>Ehre</b> “” 名前", "Größe & <b>Ehre</b> “” 名前"),
])  # fmt: skip
def test_a_card_number_or_a_pin_is_never_kept(house, maria, words, stays):
    ana = sit_down(house["ana"], maria, "verified")
    ana.do(ana.contact, "credits.grant", account=maria.pk, then="verify", **GRANT | {"words": words})
    assert kept_of(ana)["typed"]["words"] == stays
    assert kept_of(ana)["typed"]["amount"] == "7.50"


def test_a_secret_field_is_never_kept(house, maria):
    ana = sit_down(house["ana"], maria, "verified")
    ana.do(ana.contact, "customers.set_pin", account=maria.pk, then="verify", pin="8392")
    assert kept_of(ana)["code"] == "customers.set_pin" and kept_of(ana)["typed"] == {}


def test_digits_of_two_fields_that_look_like_a_card_number_take_only_the_words_along(house, maria):
    ana = sit_down(house["ana"], maria, "verified")
    typed = {"line": maria.lines.get().pk, "kind": "sim", "iccid": "8901 4103 2111 1851 0720", "words": "4" * 5000}
    ana.do(ana.contact, "lines.change_sim", account=maria.pk, then="verify", **typed)
    assert kept_of(ana)["code"] == "lines.change_sim"


def test_nobody_keeps_a_form_in_a_colleagues_contact(house, maria):
    ana, eva = sit_down(house["ana"], maria, "verified"), sit_down(house["eva"], people.open_account("Otto Berg", "+12065550199", "A-0104900"), "verified")
    eva.do(ana.contact, "credits.grant", account=maria.pk, then="verify", **GRANT)
    eva.get(ana.here + "?verify=more&then=credits.grant")
    assert not Draft.objects.filter(contact=ana.contact).exists()


def test_a_form_that_needs_nobody_proven_or_that_is_not_there_is_not_kept(house, maria):
    ana = sit_down(house["ana"], maria, "identified")
    for wanted in ("contacts.reason", "contacts.check_pin", "no.such.act", "‮", ""):
        assert ana.get(ana.here, then=wanted).status_code == 200
        assert ana.get(ana.here + f"?then={wanted}").status_code == 200
    assert ana.do(ana.contact, "contacts.check_pin", account=maria.pk, then="verify", pin="0000").status_code == 422, "a try is a try"
    assert not Draft.objects.filter(contact=ana.contact, kind="form").exists()
    eva = sit_down(house["eva"], maria, "none")
    assert eva.get(eva.here + "?act=credits.grant").status_code == 200, "there is no account yet that it could be meant for"
    assert not Draft.objects.exists()


def test_the_colleague_who_takes_the_call_over_is_led_to_what_was_meant(house, maria):
    ana = sit_down(house["ana"], maria, "verified")
    ana.do(ana.contact, "customers.change_contact", account=maria.pk, then="verify", email="new@okafor.example", phone="")
    ana.do(ana.contact, "contacts.hand_over", to=house["eva"].pk, words="She wants another e-mail address")
    eva = Browser(house["eva"])
    eva.contact, eva.here = ana.contact, ana.here
    assert eva.do(ana.contact, "contacts.accept").status_code == 303
    assert proves_the_phone(eva, maria)["Location"] == ana.here + "?act=customers.change_contact&again=1"
    assert 'value="new@okafor.example"' in text_of(eva.get(ana.here + "?act=customers.change_contact&again=1"))
