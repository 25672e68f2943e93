"""Account care: who gets into an account is changed for the right caller only, and its owner hears of it where they did before."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from careline.acts import laws, table
from careline.acts.care import SetPin
from careline.acts.declare import BasisRef
from careline.acts.perform import bare_facts, perform
from careline.domain.contacts.models import Contact, FactorCount
from careline.domain.customers import queries as customers
from careline.domain.customers.models import (
    Account,
    AccountPerson,
    Consent,
    Customer,
    FormerContact,
    Line,
    Person,
    Pin,
    StaffTie,
)
from careline.domain.customers.queries import care
from careline.domain.journal import operations as journal_operations
from careline.domain.journal import queries as journal
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.models import Outbox, RequestKey
from careline.domain.ledger.models import Bill
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs.reconcile import reconcile
from careline.doors.jobs.worker import send_due
from careline.foundation import pins
from careline.foundation.act import Who
from careline.foundation.authority import Question
from careline.foundation.rulebook import Rulebook, RulebookFault
from tests.people import TUESDAY, Desk, carrier_act, default_rulebook, key, open_account

OLD, NEW = "maria@okafor.example", "okafor@post.example"
PINE = {"street": "12 Pine St", "city": "Seattle", "state": "WA", "postal_code": "98101"}


@pytest.fixture
def maria(house):
    account = open_account()
    Customer.objects.update(email=OLD)
    return account


@pytest.fixture
def ana(verified, maria):
    return verified.prove_phone(maria)


def told(since: int = 0) -> list[tuple[str, str]]:
    """Whom security notices went to: channel and address, in their order."""
    return list(Outbox.objects.filter(topic="security_notice", pk__gt=since).order_by("pk").values_list("channel", "to"))


def words() -> str:
    """All that security notices said."""
    return " ".join(f"{m.subject} {m.body}" for m in Outbox.objects.filter(topic="security_notice"))


def level(desk: Desk) -> int:
    return Contact.objects.get(pk=desk.contact).level


def fresh(account: Account) -> Account:
    return Account.objects.select_related("customer").get(pk=account.pk)


# ---------------------------------------------------------------- contact details


def test_a_new_mail_address_is_told_to_the_phone_and_the_old_address_without_the_new_one(ana, maria):
    done = ana.must("customers.change_contact", account=maria.pk, email=NEW)
    assert Customer.objects.get().email == NEW and Customer.objects.get().email_since == TUESDAY
    assert told() == [("sms", "+12065550188"), ("email", OLD)]
    for message in Outbox.objects.filter(topic="security_notice"):
        assert "okafor@post" not in message.body + message.subject and OLD not in message.body
        assert "correo electrónico" in message.body and message.account_id == maria.pk
    line = JournalLine.objects.get(code="customers.change_contact")
    assert NEW not in line.text and OLD not in line.text, "an address can be redacted, a sentence cannot"
    assert journal.timeline(f"account:{maria.pk}")[0].payload == {"email": {"before": OLD, "after": NEW}}
    assert "told by a text to the number of record and an e-mail to the address of record" in done.say


def test_a_second_change_within_a_month_still_goes_to_the_address_that_was_of_record(ana, maria):
    """Whoever took the address over this morning does not hear of what they change in the afternoon; its owner does."""
    ana.must("customers.change_contact", account=maria.pk, email=NEW)
    mark = Outbox.objects.latest("pk").pk
    ana.must("customers.change_contact", account=maria.pk, email="third@post.example")
    ana.must("customers.change_address", account=maria.pk, **PINE)
    assert {to for channel, to in told(mark) if channel == "email"} == {OLD}
    assert care.email_of_record(fresh(maria), TUESDAY + timedelta(days=29), 30) == OLD
    assert care.email_of_record(fresh(maria), TUESDAY + timedelta(days=30), 30) == "third@post.example"


def test_a_first_mail_address_is_told_to_the_phone_alone_and_without_both_a_letter_goes(ana, maria):
    Customer.objects.update(email="")
    ana.must("customers.change_contact", account=maria.pk, email=NEW)
    assert told() == [("sms", "+12065550188")]
    Line.objects.update(can_text=False)
    mark = Outbox.objects.latest("pk").pk
    ana.must("customers.change_contact", account=maria.pk, email="", phone="(206) 555-0123")
    assert told(mark) == [("letter", "A-0104822"), ("letter", "A-0104822")], "whoever prints letters knows the address of record"
    assert Customer.objects.get().email == "" and Customer.objects.get().phone == "+12065550123"


def test_the_notice_goes_out_at_night_and_after_a_stop(house, ana, maria):
    Consent.objects.create(account=maria, topic="all", channel="sms", granted=False, at=TUESDAY, source="reply")
    ana.must("contacts.end")
    late = Desk(house["ben"], TUESDAY + timedelta(hours=16))  # eleven at night for Maria
    late.take_call(maria).prove_phone(maria)
    send_due(at=late.at)
    late.must("customers.change_contact", account=maria.pk, email=NEW)
    assert send_due(at=late.at) == 2, "the text and the mail"


def test_what_is_no_address_and_what_is_no_change_says_so(ana, maria):
    for wrong in ("nobody", "a@b", "a b@c.example", "x@y.example\nBcc: z@y.example"):
        no = ana.act("customers.change_contact", account=maria.pk, email=wrong)
        assert no.status == "invalid" and "name@example.com" in no.refusal.fields["email"], wrong
    assert ana.act("customers.change_contact", account=maria.pk, phone="555").status == "invalid"
    assert ana.act("customers.change_contact", account=maria.pk, email=OLD).refusal.code == "CONFLICT"
    assert not told()


@pytest.mark.parametrize("wrong", [{"state": "ZZ"}, {"postal_code": "9810"}, {"postal_code": "98101-1"}, {"postal_code": "63105"}, {"street": ""}, {"city": "x" * 81}])
def test_an_address_that_cannot_be_is_said_at_its_field(ana, maria, wrong):
    no = ana.act("customers.change_address", account=maria.pk, **{**PINE, **wrong})
    assert no.status == "invalid" and set(no.refusal.fields) == set(wrong)


def test_a_move_to_another_state_takes_zone_and_taxes_with_it(ana, maria):
    done = ana.must("customers.change_address", account=maria.pk, **{**PINE, "city": "Omaha", "state": "ne", "postal_code": "68102"})
    row = fresh(maria)
    assert (row.address, row.zone, row.address_since) == ("12 Pine St, Omaha, NE 68102", "America/Chicago", TUESDAY)
    assert "now in NE" in done.say and customers.line_place(maria.lines.get().pk) == "68102"
    assert told() == [("sms", "+12065550188"), ("email", OLD)] and "Pine" not in words() and "dirección" in words()


def test_within_a_state_the_zone_that_was_known_stays(ana, maria):
    Account.objects.update(state="FL", zone="America/Chicago")
    ana.must("customers.change_address", account=maria.pk, **{**PINE, "state": "FL", "city": "Pensacola", "postal_code": "32501"})
    assert fresh(maria).zone == "America/Chicago"


GUARDED = {
    "customers.change_contact": {"email": NEW},
    "customers.change_address": PINE,
    "customers.set_pin": {"pin": "83520"},
    "customers.unlock": {"what": "both"},
    "customers.add_person": {"name": "Julio Okafor"},
}


@pytest.mark.parametrize("code", sorted(GUARDED))
def test_one_proof_is_not_enough_to_change_who_gets_in(verified, maria, code):
    Account.objects.update(change_lock=True, port_lock=True)
    before = (Customer.objects.values().get(), Account.objects.values().get(), Pin.objects.values().get(), Person.objects.count())
    no = verified.act(code, account=maria.pk, **GUARDED[code])
    assert no.refusal.rule in ("care-strong", "pin-strong") and "contacts.send_code" in [w.act for w in no.refusal.way_on]
    assert before == (Customer.objects.values().get(), Account.objects.values().get(), Pin.objects.values().get(), Person.objects.count())
    assert not told()


@pytest.mark.parametrize("code", sorted([*GUARDED, "customers.end_person"]))
def test_an_authorized_person_changes_nothing_of_who_gets_in(ana, maria, code):
    AccountPerson.objects.update(right="authorized")
    no = ana.act(code, account=maria.pk, **GUARDED.get(code, {"person": 1}))
    assert no.refusal.rule == "holder-only" and not told()


@pytest.mark.parametrize("code", sorted(GUARDED))
def test_nobody_changes_who_gets_into_an_account_of_their_own_life(house, ana, maria, code):
    StaffTie.objects.create(account=maria, staff=house["ana"], tie="relative")
    Account.objects.update(staff_marked=True)
    Contact.objects.update(admitted_account=maria, admitted_staff=house["ana"], admitted_by=house["lena"])
    assert ana.act(code, account=maria.pk, **GUARDED[code]).refusal.rule == "own-business-care"


# ---------------------------------------------------------------- the PIN


def test_a_strong_caller_has_the_pin_changed_and_it_makes_nobody_strong_for_a_day(house, ana, maria):
    done = ana.must("customers.set_pin", account=maria.pk, pin="83520")
    assert pins.matches(Pin.objects.get().hash, "83520", b"pepper of the tests") and Pin.objects.get().set_at == TUESDAY
    assert told() == [("sms", "+12065550188"), ("email", OLD)] and done.status == "done"
    kept = JournalLine.objects.values_list("text", flat=True), RequestKey.objects.values_list("outcome", "work")
    assert "83520" not in str(list(kept[0])) + str(list(kept[1])) + words(), "a PIN is kept nowhere"
    ben = Desk(house["ben"]).take_call(maria, pin="83520").prove_phone(maria)
    assert level(ben) == 3, "a new PIN verifies, and makes nobody strong"
    ben.contact = None
    late = Desk(house["eva"], TUESDAY + timedelta(hours=24)).take_call(maria, pin="83520").prove_phone(maria)
    assert level(late) == 4


@pytest.mark.parametrize(
    ("pin", "why"),
    [("123", "4 to 8 digits"), ("123456789", "4 to 8 digits"), ("12a4", "4 to 8 digits"), ("٤٧١١", "4 to 8 digits"), ("1111", "first"), ("1212", "first"),
     ("4321", "first"), ("7890", "first"), ("1984", "year"), ("0188", "stands in"), ("4822", "stands in"), ("8101", "stands in")],
)  # fmt: skip
def test_a_pin_that_somebody_would_guess_is_not_taken(ana, maria, pin, why):
    Account.objects.update(postal_code="98101")
    before = Pin.objects.get().hash
    no = ana.act("customers.set_pin", account=maria.pk, pin=pin)
    assert no.status == "refused" and why in no.refusal.fields["pin"] and pin not in no.say
    assert Pin.objects.get().hash == before and not told()


def test_the_first_pin_is_set_for_who_proved_an_old_number_and_never_for_a_new_one(house, maria):
    Pin.objects.all().delete()
    ana = Desk(house["ana"]).take_call(maria, verify=False)
    assert ana.act("customers.set_pin", account=maria.pk, pin="83520").refusal.rule == "needs-verified"
    Line.objects.update(number_since=TUESDAY - timedelta(hours=23))
    ana.prove_phone(maria)
    assert ana.act("customers.set_pin", account=maria.pk, pin="83520").refusal.rule == "pin-first"
    Line.objects.update(number_since=TUESDAY - timedelta(hours=24))
    ana.must("customers.set_pin", account=maria.pk, pin="83520")
    assert care.pin_set_at(maria.pk) == TUESDAY and told()


def test_a_forgotten_pin_is_taken_away_by_a_lead_for_who_proved_the_phone_and_set_anew(house, maria):
    ana = Desk(house["ana"]).take_call(maria, verify=False)
    for _ in range(3):
        ana.act("contacts.check_pin", account=maria.pk, pin="0000")
    ana.prove_phone(maria)
    no = ana.act("customers.set_pin", account=maria.pk, pin="83520")
    assert no.refusal.rule == "pin-strong" and "customers.clear_pin" in [w.act for w in no.refusal.way_on]
    no = ana.act("customers.clear_pin", account=maria.pk, words="Forgot it")
    assert no.refusal.rule == "pin-forgotten-lead" and [w.act for w in no.refusal.way_on] == ["approvals.ask"]
    asked = ana.must("approvals.ask", account=maria.pk, code="customers.clear_pin", input={"account": str(maria.pk), "words": "Forgot it"}, words="Forgot it")
    lena = Desk(house["lena"])
    lena.must("approvals.decide", basis=BasisRef("request", int(asked.show["request"])), request=asked.show["request"], decision="approve")
    assert care.pin_set_at(maria.pk) is None and "olvidado" in Outbox.objects.latest("pk").body
    ana.must("customers.set_pin", account=maria.pk, pin="83520")
    assert FactorCount.objects.get(factor="pin").failures == 0, "what was tried with the old one counts no more"
    ana.must("contacts.check_pin", account=maria.pk, pin="83520")
    assert level(ana) == 3, "the phone alone must not become strong by way of a new PIN"


def test_a_pin_is_not_taken_away_for_who_knows_it_and_has_no_phone(verified, maria, house):
    assert verified.act("customers.clear_pin", account=maria.pk, words="x").refusal.rule == "pin-forgotten"
    verified.must("contacts.end")
    lena = Desk(house["lena"]).take_call(maria)
    assert lena.act("customers.clear_pin", account=maria.pk, words="x").refusal.rule == "pin-forgotten"


def test_a_pin_that_was_never_hashed_is_settled_as_not_set(ana, maria, monkeypatch):
    before = Pin.objects.get().hash

    def dies(*_):
        raise SystemExit

    monkeypatch.setattr(pins, "hashed", dies)
    with pytest.raises(SystemExit):
        ana.act("customers.set_pin", account=maria.pk, pin="83520", key_="a-key-of-the-pin")
    assert ana.act("customers.set_pin", account=maria.pk, pin="83520", key_="a-key-of-the-pin").status == "pending"
    reconcile(at=TUESDAY + timedelta(minutes=5))
    again = ana.act("customers.set_pin", account=maria.pk, pin="83520", key_="a-key-of-the-pin")
    assert again.status == "refused" and "Ask the customer for it again" in again.say
    assert Pin.objects.get().hash == before and not told()


def test_a_pin_cannot_be_asked_for_as_a_request_that_would_keep_it(verified, maria):
    no = verified.act("approvals.ask", account=maria.pk, code="customers.set_pin", input={"account": str(maria.pk), "pin": "83520"}, words="Please")
    assert no.status == "refused" and SetPin.model_fields["pin"].annotation.__name__ == "SecretStr"
    assert "83520" not in str(list(JournalLine.objects.values_list("text", flat=True)))


# ---------------------------------------------------------------- locks


def test_a_verified_caller_locks_and_only_a_strong_one_unlocks(verified, maria):
    assert verified.must("customers.lock", account=maria.pk, what="both").say == "Locked against SIM changes and porting out"
    row = fresh(maria)
    assert (row.change_lock, row.port_lock) == (True, True)
    assert verified.act("customers.lock", account=maria.pk, what="sim").refusal.code == "CONFLICT"
    assert verified.act("customers.unlock", account=maria.pk, what="port").refusal.rule == "care-strong"
    verified.prove_phone(maria)
    done = verified.must("customers.unlock", account=maria.pk, what="port")
    row = fresh(maria)
    assert (row.change_lock, row.port_lock) == (True, False) and "porting out taken off" in done.say
    assert told() == [("sms", "+12065550188"), ("email", OLD)] and "traslado" in words()
    assert verified.act("customers.unlock", account=maria.pk, what="port").refusal.code == "CONFLICT"
    assert verified.must("customers.unlock", account=maria.pk, what="both").say.startswith("Lock against SIM changes taken off")


@pytest.mark.parametrize("change", ["pin", "email", "address"])
def test_nothing_is_unlocked_within_a_day_of_a_change_of_pin_or_address(house, ana, maria, change):
    Account.objects.update(change_lock=True)
    if change == "pin":
        ana.must("customers.set_pin", account=maria.pk, pin="83520")
    elif change == "email":
        ana.must("customers.change_contact", account=maria.pk, email=NEW)
    else:
        ana.must("customers.change_address", account=maria.pk, **PINE)
    no = ana.act("customers.unlock", account=maria.pk, what="sim")
    assert no.refusal.rule == "unlock-fresh" and "last 24 hours. Nothing is unlocked before 10:00 am on Nov 25." in no.say and fresh(maria).change_lock
    ana.must("contacts.end")
    late = Desk(house["ben"], TUESDAY + timedelta(hours=24)).take_call(maria, pin="83520" if change == "pin" else "4711").prove_phone(maria)
    assert late.act("customers.unlock", account=maria.pk, what="sim").ok


# ---------------------------------------------------------------- who may speak


def test_an_authorized_person_is_added_with_rights_and_an_end_found_and_can_call(house, ana, maria):
    done = ana.must("customers.add_person", account=maria.pk, name="Julio Okafor-Reyes", may_money=True, until="2026-12-24")
    right = AccountPerson.objects.get(person__name="Julio Okafor-Reyes")
    assert (right.may_money, right.may_service, right.until) == (True, False, date(2026, 12, 24))
    assert "money, until Dec 24, 2026" in done.say and "Julio" not in JournalLine.objects.get(code="customers.add_person").text
    assert told() == [("sms", "+12065550188"), ("email", OLD)] and "Julio" not in words()
    assert [h.name_matched for h in customers.find("julio reyes", 5)[0]] == ["Julio Okafor-Reyes"]
    ana.must("contacts.speaker", account=maria.pk, name="Julio Okafor")
    ana.must("contacts.check_pin", account=maria.pk, pin="4711")
    assert ana.act("payments.send_link", account=maria.pk, amount=500, line=maria.lines.get().pk).ok
    assert ana.act("lines.set_feature", account=maria.pk, line=maria.lines.get().pk, feature="roaming", on=True).refusal.rule == "no-service-right"
    ana.later(days=31)
    ana.contact = None
    gone = Desk(house["ben"], ana.at)
    gone.contact = int(gone.must("contacts.open", account=maria.pk, person=right.person_id).show["id"])
    assert gone.act("contacts.check_pin", account=maria.pk, pin="4711").refusal.rule == "stranger", "the last day is over"


def test_a_person_who_is_ended_is_a_stranger_at_once_in_the_middle_of_their_call(house, ana, maria):
    julio = int(ana.must("customers.add_person", account=maria.pk, name="Julio Okafor-Reyes", may_money=True).show["person"])
    his = Desk(house["ben"])
    his.contact = int(his.must("contacts.open", account=maria.pk, person=julio).show["id"])
    his.must("contacts.check_pin", account=maria.pk, pin="4711")
    his.must("payments.send_link", account=maria.pk, amount=500, line=maria.lines.get().pk)
    ana.must("customers.end_person", account=maria.pk, person=julio, words="They parted")
    assert his.act("payments.send_link", account=maria.pk, amount=500, line=maria.lines.get().pk).refusal.rule == "stranger"
    assert customers.find("julio", 5)[0] == [] and [p.person.name for p in customers.people_of(maria.pk)] == ["Maria Okafor"]
    assert ana.act("customers.end_person", account=maria.pk, person=julio).refusal.code == "NOT_FOUND"
    again = ana.must("customers.add_person", account=maria.pk, name="Julio Okafor-Reyes")
    assert int(again.show["person"]) != julio, "what was ended stays ended; he was added anew"


def test_rights_are_changed_and_the_holder_told(ana, maria):
    julio = ana.must("customers.add_person", account=maria.pk, name="Julio Okafor-Reyes", may_money=True).show["person"]
    mark = Outbox.objects.latest("pk").pk
    done = ana.must("customers.change_person", account=maria.pk, person=julio, may_service=True, until="2027-01-31")
    assert "service, until Jan 31, 2027 (before: money)" in done.say and len(told(mark)) == 2
    assert ana.act("customers.change_person", account=maria.pk, person=julio, may_service=True, until="2027-01-31").refusal.code == "CONFLICT"


def test_a_day_that_is_over_a_name_that_is_there_and_the_holder_are_refused_in_words(ana, maria):
    holder = AccountPerson.objects.get(right="holder").person_id
    assert "over" in ana.act("customers.add_person", account=maria.pk, name="Julio", until="2026-11-23").refusal.fields["until"]
    assert "already" in ana.act("customers.add_person", account=maria.pk, name="Okafor María").refusal.fields["name"]
    assert "name" in ana.act("customers.add_person", account=maria.pk, name="…").refusal.fields
    for code in ("customers.change_person", "customers.end_person"):
        assert ana.act(code, account=maria.pk, person=holder).refusal.fields == {"person": "Choose one."}
    other = open_account("Joe Lind", "+14155550199", "A-0104823")
    joe = AccountPerson.objects.get(account=other).person_id
    assert ana.act("customers.end_person", account=maria.pk, person=joe).refusal.code == "NOT_FOUND"


# ---------------------------------------------------------------- how they are served


def test_language_and_needs_are_kept_by_a_trainee_too_and_are_no_free_words(house, maria):
    Customer.objects.update(needs="Quiet line please")
    tom = Desk(house["tom"]).take_call(maria)
    tom.must("customers.set_preferences", account=maria.pk, language="vi", needs=["rtt", "Quiet line please"])
    row = Customer.objects.get()
    assert (row.language, row.needs) == ("vi", "RTT or TTY; Quiet line please"), "what an import wrote stays until it is taken off"
    tom.must("customers.set_preferences", account=maria.pk, language="vi", needs=["rtt"])
    no = tom.act("customers.set_preferences", account=maria.pk, language="vi", needs=["is going through chemotherapy"])
    assert no.refusal.fields.keys() == {"needs"} and Customer.objects.get().needs == "RTT or TTY"
    assert tom.act("customers.set_preferences", account=maria.pk, language="tlh", needs=[]).refusal.fields.keys() == {"language"}
    assert tom.act("customers.set_preferences", account=maria.pk, language="vi", needs=["rtt"]).refusal.code == "CONFLICT"
    text = JournalLine.objects.filter(code="customers.set_preferences").first().text
    assert "RTT" not in text and "Vietnamese" in text, "what somebody needs can be redacted"


def test_a_no_is_taken_from_anybody_and_a_yes_from_the_holder_verified(house, maria):
    ana = Desk(house["ana"]).take_call(maria, verify=False)
    assert ana.act("customers.set_consent", account=maria.pk, topic="marketing", channel="sms", yes=True).refusal.rule == "consent-yes"
    ana.must("customers.set_consent", account=maria.pk, topic="marketing", channel="sms", yes=False)
    ana.must("contacts.check_pin", account=maria.pk, pin="4711")
    ana.must("customers.set_consent", account=maria.pk, topic="marketing", channel="sms", yes=True)
    said = care.consents_of(maria.pk)["marketing", "sms"]
    assert said.granted and said.source.startswith("contact C-") and Consent.objects.count() == 2, "a history, not a box"
    AccountPerson.objects.update(right="authorized")
    assert ana.act("customers.set_consent", account=maria.pk, topic="cpni", channel="any", yes=True).refusal.rule == "consent-yes"
    assert ana.act("customers.set_consent", account=maria.pk, topic="weather", channel="sms", yes=False).refusal.code == "INVALID"
    assert ana.act("customers.set_consent", account=maria.pk, topic="cpni", channel="sms", yes=False).refusal.code == "INVALID"


def test_texts_about_debts_end_with_the_no_that_was_said(house, maria):
    ana = Desk(house["ana"]).take_call(maria)
    ana.must("customers.set_consent", account=maria.pk, topic="collections", channel="sms", yes=False)
    assert customers.refused([maria.pk], ["collections"]) == {(maria.pk, "sms")}


def test_an_offer_goes_only_once_she_said_yes_to_that_channel_and_no_more_once_she_said_no(house, maria):
    """The worker asks before it sends, whoever wrote the message: without a yes it is wiped, with a line in her journal."""
    ana = Desk(house["ana"]).take_call(maria)
    noon = ana.at.replace(hour=20)

    def offered(at: datetime) -> tuple[str, str]:
        journal_operations.tell(act=carrier_act(at), topic="marketing", channel="sms", to="+12065550188", body="Two for one.", account_id=maria.pk)
        send_due(at=at)
        return Outbox.objects.order_by("-pk").values_list("state", "why")[0]

    assert offered(noon) == ("failed", "They never said yes to this.")
    assert "Not sent, marketing by sms: They never said yes to this." in JournalLine.objects.get(code="messages.call_off").text
    ana.must("customers.set_consent", account=maria.pk, topic="marketing", channel="email", yes=True)
    assert offered(noon + timedelta(minutes=1))[0] == "failed", "a yes to mails"
    ana.must("customers.set_consent", account=maria.pk, topic="marketing", channel="sms", yes=True)
    assert offered(noon + timedelta(minutes=2))[0] == "sent"
    ana.must("customers.set_consent", account=maria.pk, topic="marketing", channel="sms", yes=False)
    assert offered(noon + timedelta(minutes=3)) == ("failed", "They said STOP to this.")
    service = Who("Service", "gateway", "Gateway", "service")
    perform("contacts.reply", {"number": "+12065550188", "text": "START"}, who=service, key="start-by-reply", at=noon + timedelta(minutes=4))
    assert offered(noon + timedelta(minutes=5))[0] == "failed", "START begins again what was ended, and is no yes to offers"
    journal_operations.tell(act=carrier_act(noon), topic="marketing", channel="sms", to="+12065550199", body="Two for one.", account_id=None)
    assert send_due(at=noon + timedelta(minutes=6)) == 0, "of a number that is nobody's nobody said yes"


# ---------------------------------------------------------------- the same for all of them


def test_the_same_click_twice_is_one_change_and_one_notice(ana, maria):
    click = key()
    first = ana.act("customers.change_contact", account=maria.pk, email=NEW, key_=click)
    assert ana.act("customers.change_contact", account=maria.pk, email=NEW, key_=click) == first
    assert len(told()) == 2 and FormerContact.objects.count() == 1


def test_care_of_one_account_is_not_done_in_a_contact_about_another(house, ana, maria):
    other = open_account("Joe Lind", "+14155550199", "A-0104823")
    assert ana.act("customers.change_contact", account=other.pk, email=NEW).refusal.code == "BASIS_MISMATCH"


def test_nothing_of_it_is_done_without_a_contact(house, maria):
    for code, given in GUARDED.items():
        no = perform(code, {"account": maria.pk, **given}, who=house["ana"].who, key=key(), at=TUESDAY)
        assert no.refusal.rule == "needs-contact", code


def test_the_next_bill_is_not_touched_by_a_change_of_address(ana, maria):
    before = list(Bill.objects.values_list("number", "total_minor"))
    ana.must("customers.change_address", account=maria.pk, **PINE)
    assert list(Bill.objects.values_list("number", "total_minor")) == before


# ---------------------------------------------------------------- who holds the records


def held_elsewhere(monkeypatch, *entities: str, where: str = "") -> Rulebook:
    """The carrier's rulebook, in which another system alone holds these."""
    files = default_rulebook().files
    text = files["records.toml"]
    for entity in entities:
        text = text.replace(f'\n{entity} = "outside"', f'\n{entity} = "outside-only"')
    book = Rulebook({**files, "records.toml": text + where})
    book.check()
    monkeypatch.setattr(rulebooks, "current", lambda: book)
    return book


def test_what_another_system_alone_holds_is_not_changed_at_the_desk_and_ana_hears_where_it_is(monkeypatch, ana, maria):
    held_elsewhere(monkeypatch, "accounts", where='accounts = "in Atlas, by the address desk."\n')
    no = ana.act("customers.change_address", account=maria.pk, **PINE).refusal
    assert (no.code, no.rule, no.cite) == ("AUTHORITY", "record-elsewhere", "records.toml: records, accounts")
    assert no.say == "Another system holds this, and it is changed there: in Atlas, by the address desk." and not no.who_could and not no.way_on
    line = JournalLine.objects.filter(code="customers.change_address").get()
    assert line.outcome == "refused" and Account.objects.get(pk=maria.pk).street == maria.street
    ana.must("customers.change_contact", account=maria.pk, email=NEW)


@pytest.mark.parametrize("entity", ["customers", "accounts", "people", "lines", "pins"])
def test_each_entity_bars_the_acts_that_change_it_and_no_others_and_for_everybody(monkeypatch, entity):
    book = held_elsewhere(monkeypatch, entity)
    codes = set(book.toml("records.toml")["changes"][entity])
    assert set(book.elsewhere) == codes and codes
    before = default_rulebook().authority
    for code in ("customers.lock", "customers.set_consent", "customers.separate_line", "contacts.reply", "lines.port_out", *codes):
        assert book.authority.roles_with(code) == before.roles_with(code), "who has the act is another question"
        for who in (Who("Staff", "1", "Sam", "supervisor"), Who("Job", "night", "Night", "job")):
            kind = table.act(code)
            verdict = book.authority.decide(Question(who, code, ("Account", "1"), {"basis": bare_facts(kind="contact", level=4), **(kind.opening or {})}))
            assert ("record-elsewhere" in {rule.id for rule in verdict.rules}) == (code in codes), code


@pytest.mark.parametrize(("text", "fault"), [
    ('[records]\nlines = "elsewhere"', "lines = 'elsewhere'"),
    ('[records]\nconsents = "outside-only"\n[changes]\nlines = ["lines.suspend"]', "consents.*names no act"),
])  # fmt: skip
def test_a_carrier_that_says_it_wrong_hears_so(text, fault):
    with pytest.raises(RulebookFault, match=fault):
        Rulebook({**default_rulebook().files, "records.toml": text}).check()


def test_an_act_that_nobody_knows_is_named_when_the_rulebook_is_checked():
    book = Rulebook({**default_rulebook().files, "records.toml": '[changes]\nlines = ["lines.swap"]\n'})
    assert laws.faults(book) == ["records.toml: changes, lines: there is no act lines.swap"]
