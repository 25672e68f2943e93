"""Account care at the desk: what stands, since when, and each form with what it does and to whom it is told."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from careline.domain.customers.models import Account, AccountPerson, Consent, Customer, Person, Pin
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.models import Outbox
from tests.doors.test_access import Browser, hold_contact, sit_down
from tests.people import TUESDAY, open_account

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def maria(house):
    account = open_account()
    Customer.objects.update(email="maria@okafor.example", needs="Quiet line please")
    return account


@pytest.fixture
def ana(house, maria, clock):
    return sit_down(house["ana"], maria)


def words(response) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


def plain(response) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def test_a_new_address_stands_with_the_day_from_which_it_is_of_record(ana, maria):
    form = words(ana.get(f"{ana.here}?act=customers.change_contact"))
    assert 'value="maria@okafor.example"' in form and "at your old address" in form
    done = ana.do(ana.contact, "customers.change_contact", account=maria.pk, email="new@post.example", phone="")
    assert done.status_code == 303 and done["Location"].endswith("?section=care")
    page = plain(ana.get(done["Location"]))
    assert "new@post.example changed Nov 24; of record from Dec 24; notices go to m…@okafor.example until then" in page
    assert "E-mail address changed lately" in page and "Nothing is unlocked within 24 hours" in page
    assert "It was done in this contact." in page and "Ask whether it was them" not in page
    Customer.objects.update(email_since=TUESDAY - timedelta(hours=3))
    assert "Ask whether it was them. Nothing is unlocked" in plain(ana.get(ana.here))


def test_what_is_not_touched_on_the_form_is_sent_back_as_it_stands(ana, maria):
    Customer.objects.update(phone="+12065550123")
    form = words(ana.get(f"{ana.here}?act=customers.change_contact"))
    typed = {name: re.search(rf'name="{name}"[^>]* value="([^"]*)"', form).group(1) for name in ("email", "phone")}
    assert typed == {"email": "maria@okafor.example", "phone": "(206) 555-0123"}
    ana.do(ana.contact, "customers.change_contact", account=maria.pk, **typed | {"email": "new@post.example"})
    assert (Customer.objects.get().email, Customer.objects.get().phone) == ("new@post.example", "+12065550123")
    ana.do(ana.contact, "customers.change_contact", account=maria.pk, **typed | {"email": "third@post.example"})
    assert "notices go to m…@okafor.example until then" in plain(ana.get(f"{ana.here}?section=care")), "not to the one of this morning"


def test_an_emptied_field_takes_the_address_away_and_a_wrong_one_stays_to_be_mended(ana, maria):
    no = ana.do(ana.contact, "customers.change_contact", account=maria.pk, email="new@", phone="")
    assert no.status_code == 422 and 'value="new@"' in words(no) and "name@example.com" in words(no)
    assert ana.do(ana.contact, "customers.change_contact", account=maria.pk, email="", phone="").status_code == 303
    assert Customer.objects.get().email == ""


def test_the_address_form_says_what_follows_from_a_move(ana, maria):
    maria.lines.update(features="wifi_calling")
    form = words(ana.get(f"{ana.here}?act=customers.change_address"))
    assert "Taxes of the next bill and contact hours follow the state" in form and "emergency services" in form
    typed = {"street": "12 Pine St", "city": "Seattle", "state": "WA", "postal_code": "98101"}
    assert ana.do(ana.contact, "customers.change_address", account=maria.pk, **typed).status_code == 303
    assert "12 Pine St, Seattle, WA 98101" in plain(ana.get(f"{ana.here}?section=care"))


def test_a_zip_code_of_another_state_is_refused_at_its_field(ana, maria):
    typed = {"street": "12 Pine St", "city": "Seattle", "state": "WA", "postal_code": "63105"}
    no = ana.do(ana.contact, "customers.change_address", account=maria.pk, **typed)
    assert no.status_code == 422 and "63105 is a ZIP code of MO, not of WA." in plain(no) and 'value="63105"' in words(no)


def test_an_address_is_filled_in_whole_or_not_at_all(ana, maria):
    Account.objects.update(state="MO", postal_code="63105")
    form = words(ana.get(f"{ana.here}?act=customers.change_address"))
    assert 'value="63105"' not in form and not re.search(r'value="MO"[^>]*(selected|checked)', form), "an old ZIP code beside a new street is overlooked"
    Account.objects.update(street="1 Elm St", city="Clayton")
    form = words(ana.get(f"{ana.here}?act=customers.change_address"))
    assert 'value="63105"' in form and 'value="1 Elm St"' in form


@pytest.mark.parametrize("code", ["change_contact", "change_address", "set_pin"])
def test_what_a_change_bars_for_a_day_is_said_before_it_is_made(ana, maria, code):
    form = plain(ana.get(f"{ana.here}?act=customers.{code}"))
    assert "no SIM is changed, no transfer PIN is made and nothing is unlocked" in form and "For 24 hours after" in form


def test_a_pin_is_never_shown_again(ana, maria):
    no = ana.do(ana.contact, "customers.set_pin", account=maria.pk, pin="1984")
    assert no.status_code == 422 and "reads like a year" in words(no) and 'value="1984"' not in words(no)
    assert ana.do(ana.contact, "customers.set_pin", account=maria.pk, pin="83520").status_code == 303
    page = words(ana.get(f"{ana.here}?section=care"))
    assert "makes nobody strong before" in page and "83520" not in page


def test_an_account_without_a_pin_says_what_that_means(house, maria):
    Pin.objects.all().delete()
    browser = Browser(house["eva"])
    Account.objects.update(change_lock=True)
    contact = hold_contact(house["eva"], maria, "identified")
    page = words(browser.get(f"/contacts/{contact.reference}/?section=care"))
    assert "locked" not in page and "maria@okafor" not in page, "nothing of it before anybody is verified"


def test_the_first_pin_of_an_imported_customer_is_offered_as_it_is_allowed(house, maria):
    """Maria came from the old system without a PIN. She proved her old number, so Ana may set one: nothing on the way says no."""
    browser = Browser(house["ana"])
    contact = hold_contact(house["ana"], maria, "identified")
    Pin.objects.all().delete()
    browser.do(contact, "contacts.send_code", account=maria.pk, line=maria.lines.get().pk)
    browser.do(contact, "contacts.check_code", account=maria.pk, code=Outbox.objects.filter(topic="one_time_code").latest("pk").body.split()[0])
    here = f"/contacts/{contact.reference}/"
    form = plain(browser.get(f"{here}?section=care&act=customers.set_pin"))
    assert "Set it" in form and "A PIN is changed for" not in form and "Cannot be done" not in form
    assert browser.do(contact, "customers.set_pin", account=maria.pk, pin="7294").status_code == 303
    again = plain(browser.get(f"{here}?section=care&act=customers.set_pin"))
    assert "A PIN is changed for a strongly verified caller" in again


def test_a_desk_without_messages_does_not_say_that_it_told_anybody(ana, maria, settings):
    settings.MESSENGER = ""
    done = ana.do(ana.contact, "customers.change_contact", account=maria.pk, email="new@post.example", phone="")
    assert done.status_code == 303
    page = plain(ana.get(done["Location"]))
    assert "nobody was told yet: this desk cannot send messages, so tell the customer yourself" in page and "told by" not in page


def test_locks_are_set_and_taken_off_where_they_stand(ana, maria):
    page = words(ana.get(f"{ana.here}?section=care"))
    assert "act=customers.lock&amp;what=port" in page
    assert ana.do(ana.contact, "customers.lock", account=maria.pk, what="both").status_code == 303
    page = words(ana.get(f"{ana.here}?section=care"))
    assert "locked against SIM change" in page and "locked against port-out" in page and "act=customers.unlock&amp;what=sim" in page
    assert "We never ask for that" in words(ana.get(f"{ana.here}?act=customers.unlock&what=sim"))
    assert ana.do(ana.contact, "customers.unlock", account=maria.pk, what="sim").status_code == 303


def test_persons_are_listed_with_their_rights_changed_and_ended(ana, maria):
    typed = {"name": "Julio Okafor-Reyes", "may_money": "on", "until": "2026-12-24"}
    assert ana.do(ana.contact, "customers.add_person", account=maria.pk, **typed).status_code == 303
    julio = AccountPerson.objects.get(right="authorized")
    form = words(ana.get(f"{ana.here}?act=customers.change_person&person={julio.person_id}"))
    assert re.search(r'name="may_money" value="on" checked', form) and 'value="2026-12-24"' in form
    assert ana.do(ana.contact, "customers.change_person", account=maria.pk, person=julio.person_id, may_service="on").status_code == 303
    julio.refresh_from_db()
    assert (julio.may_money, julio.may_service, julio.until) == (False, True, None)
    no = ana.do(ana.contact, "customers.change_person", account=maria.pk, person=julio.person_id, may_money="on", until="2026-01-01")
    assert no.status_code == 422 and re.search(r'name="may_money" value="on" checked', words(no)), "what was ticked stays ticked"
    assert ana.do(ana.contact, "customers.end_person", account=maria.pk, person=julio.person_id).status_code == 303
    assert "No more: Julio Okafor-Reyes, until Nov 24" in plain(ana.get(f"{ana.here}?section=care"))


def test_needs_are_ticked_and_what_an_import_wrote_stays(ana, maria):
    form = words(ana.get(f"{ana.here}?act=customers.set_preferences"))
    assert re.search(r'value="Quiet line please" checked', form) and "the assistant is no third party" in form
    done = ana.http.post(f"/contacts/{ana.contact.reference}/do/customers.set_preferences",
                         {"request_key": "a-key-of-needs", "account": maria.pk, "language": "es", "needs": ["relay", "Quiet line please"]})
    assert done.status_code == 303 and Customer.objects.get().needs == "Calls through relay (711); Quiet line please"
    none = ana.do(ana.contact, "customers.set_preferences", account=maria.pk, language="es")
    assert none.status_code == 303 and Customer.objects.get().needs == ""


def test_consent_is_asked_with_its_sentence_and_kept_with_its_contact(ana, maria):
    form = words(ana.get(f"{ana.here}?act=customers.set_consent&about=cpni:any"))
    assert "May we use how you use your service" in form
    assert ana.do(ana.contact, "customers.set_consent", account=maria.pk, about="cpni:any", yes="").status_code == 422
    assert ana.do(ana.contact, "customers.set_consent", account=maria.pk, about="cpni:any", yes="true").status_code == 303
    assert Consent.objects.get().granted and f"contact {ana.contact.reference}" in plain(ana.get(f"{ana.here}?section=care"))


def test_what_was_ticked_stays_ticked_when_a_survivors_form_comes_back(house, maria, clock):
    lena = Browser(house["lena"])
    contact = hold_contact(house["lena"], maria, "identified")
    line = maria.lines.get().pk
    none = lena.do(contact, "customers.separate_line", account=maria.pk, name="Rosa")
    assert none.status_code == 422 and "Choose at least one." in words(none)
    unseen = lena.do(contact, "customers.separate_line", account=maria.pk, lines=line, name="Rosa")
    assert unseen.status_code == 422 and re.search(rf'value="{line}" checked', words(unseen)) and 'value="Rosa"' in words(unseen)


@pytest.mark.parametrize("query", ["", "&what=x&person=²&about=x&email=&state=ZZ&until=x&needs=x", "&person=999999&about=cpni:sms"])
def test_a_form_bears_whatever_its_address_says(ana, maria, query):
    for code in ("change_contact", "change_address", "set_pin", "clear_pin", "lock", "unlock", "add_person", "change_person", "end_person", "set_preferences", "set_consent"):
        assert ana.get(f"{ana.here}?act=customers.{code}{query}").status_code == 200, code


def test_the_section_asks_no_more_for_ten_persons_than_for_one(ana, maria, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    ana.get(f"{ana.here}?section=care")
    with CaptureQueriesContext(connection) as one:
        ana.get(f"{ana.here}?section=care")
    for n in range(10):
        AccountPerson.objects.create(account=maria, person=Person.objects.create(name=f"Person {n}"), right="authorized")
        Consent.objects.create(account=maria, topic="marketing", channel="sms", granted=True, at=TUESDAY + timedelta(minutes=n), source="test")
    with CaptureQueriesContext(connection) as ten:
        ana.get(f"{ana.here}?section=care")
    assert len(ten) == len(one)


def test_a_rulebook_from_before_account_care_shows_the_page_all_the_same(ana, maria, monkeypatch):
    from dataclasses import replace

    from careline.domain.rulebook import queries as rulebooks

    old = replace(rulebooks.current(), files={k: v for k, v in rulebooks.current().files.items() if k != "care.toml"})
    monkeypatch.setattr(rulebooks, "current", lambda: old)
    assert ana.get(f"{ana.here}?section=care").status_code == 200
    for code in ("set_preferences", "set_consent", "set_pin", "unlock"):
        assert ana.get(f"{ana.here}?act=customers.{code}").status_code == 200, code
    no = ana.do(ana.contact, "customers.set_consent", account=maria.pk, about="cpni:any", yes="true")
    assert no.status_code == 422 and not Consent.objects.exists()
    assert JournalLine.objects.filter(code="customers.set_consent").exists()


def test_what_is_not_possible_yet_is_said_before_anything_is_typed(house, maria, clock):
    ana = Browser(house["ana"])
    contact = hold_contact(house["ana"], maria, "verified")
    form = words(ana.get(f"/contacts/{contact.reference}/?act=customers.change_contact"))
    act = form.split('id="act"')[1].split("</form>")[0]
    assert 'class="refusal' in act and 'name="then" value="verify"' in act and "at your old address" not in act
    assert "Send a one-time code" in act and "Check the PIN" not in act, "the PIN was right already, and is no other kind"
