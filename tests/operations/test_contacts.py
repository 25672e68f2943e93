"""One contact from first ring to wrap-up: what was proven, how long it counts, and what survives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from careline.acts.contacts import keep_draft
from careline.acts.declare import BasisRef
from careline.acts.look import look
from careline.acts.perform import perform, scene_for_page
from careline.domain.approvals import queries as approvals
from careline.domain.approvals.models import Request
from careline.domain.contacts import queries, rules
from careline.domain.contacts.models import Code, Contact, Draft, FactorCount, FollowUp, Note
from careline.domain.customers.models import AccountPerson, Line, Person, Pin
from careline.domain.journal import queries as journal
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.models import Outbox, RequestKey
from careline.domain.rulebook import queries as rulebooks
from careline.foundation import pins
from careline.foundation.act import Level, Who
from tests.people import CARRIER, TUESDAY, Desk, hire, key, open_account


@pytest.fixture
def joe(house):
    return open_account("Joe Lind", "+12065550199", "A-0104823")


@pytest.fixture
def greeted(house, maria):
    """Ana with Maria on the line, nothing proven."""
    return Desk(house["ana"]).take_call(maria, verify=False)


def level(desk: Desk) -> Level:
    """The level that counts for this desk's contact now."""
    scene = scene_for_page(queries.contact(desk.contact), desk.staff.who, rulebooks.current(), desk.at)
    return Level(scene.basis.level)


def see(desk: Desk, section: str = "view.account"):
    scene = scene_for_page(queries.contact(desk.contact), desk.staff.who, rulebooks.current(), desk.at)
    return look(section, who=desk.staff.who, scene=scene, at=desk.at)


def sent_code(desk: Desk, account, line: Line | None = None) -> str:
    desk.must("contacts.send_code", account=account.pk, line=(line or account.lines.first()).pk)
    return Outbox.objects.filter(topic="one_time_code").latest("pk").body.split()[0]


def wrong(code: str) -> str:
    return str((int(code) + 1) % 10**6).zfill(6)


# ---------------------------------------------------------------- how long a level counts


@pytest.mark.parametrize(("minutes", "found"), [(30, Level.VERIFIED), (30.02, Level.IDENTIFIED)])
def test_a_level_ends_thirty_minutes_after_the_last_deed(ana, maria, minutes, found):
    ana.later(minutes=10)
    ana.must("contacts.note", account=maria.pk, text="Looking into it")
    ana.later(minutes=minutes)
    assert level(ana) == found
    outcome = ana.act("credits.grant", account=maria.pk, amount=100, reason="goodwill")
    assert (outcome.refusal.rule if outcome.refusal else "yes") == ("yes" if found == Level.VERIFIED else "needs-verified")


def test_a_look_keeps_it_too_and_a_refused_deed_does_not(ana, maria):
    for _ in range(3):
        ana.later(minutes=20)
        assert see(ana).allowed
    ana.later(minutes=20)
    assert ana.act("credits.grant", account=maria.pk, amount=99_999, reason="goodwill").status == "refused"
    ana.later(minutes=11)
    assert level(ana) == Level.IDENTIFIED and see(ana).refusal.rule == "needs-verified"


@pytest.mark.parametrize("wakes", ["contacts.hold", "contacts.reason"])
def test_a_level_that_ended_in_silence_comes_back_by_nothing_but_a_new_proof(ana, maria, wakes):
    ana.later(minutes=31)
    ana.must(wakes, **({"reason": "bill"} if wakes == "contacts.reason" else {}))
    assert level(ana) == Level.IDENTIFIED
    see(ana, "view.contact")
    assert level(ana) == Level.IDENTIFIED
    ana.must("contacts.check_pin", account=maria.pk, pin="4711")
    assert level(ana) == Level.VERIFIED


def test_what_was_proven_before_a_silence_does_not_make_the_next_proof_strong(ana, maria):
    ana.later(minutes=31)
    assert ana.call_back(maria).ok
    assert level(ana) == Level.VERIFIED and Contact.objects.get().proven == ("callback",)
    ana.must("contacts.check_pin", account=maria.pk, pin="4711")
    assert level(ana) == Level.STRONG


# ---------------------------------------------------------------- hand-over, dropped line, new voice, other account


def test_a_hand_over_keeps_the_level_while_the_same_voice_is_on_the_line(house, ana, maria):
    ana.must("contacts.hand_over", to=house["eva"].pk, words="Two outages, wants a credit")
    ana.must("credits.grant", account=maria.pk, amount=100, reason="goodwill")  # hers until it is taken
    assert [c.pk for c in queries.offered_to(house["eva"].pk)] == [ana.contact]
    eva = Desk(house["eva"], ana.at)
    eva.contact = ana.contact
    assert eva.act("credits.grant", account=maria.pk, amount=100, reason="goodwill").refusal.rule == "not-your-contact"
    eva.must("contacts.accept")
    assert level(eva) == Level.VERIFIED and see(eva).allowed
    eva.must("credits.grant", account=maria.pk, amount=100, reason="goodwill")
    assert ana.act("contacts.note", account=maria.pk, text="Late").refusal.rule == "not-your-contact"
    assert see(ana).refusal.rule == "not-your-contact"


def test_a_hand_over_brings_back_no_level_that_had_ended(house, ana, maria):
    ana.must("contacts.hand_over", to=house["eva"].pk)
    eva = Desk(house["eva"], ana.later(minutes=31).at)
    eva.contact = ana.contact
    eva.must("contacts.accept")
    assert level(eva) == Level.IDENTIFIED and Contact.objects.get().proven == ()


def test_a_contact_is_taken_over_by_whom_it_was_offered_to_and_once(house, ana):
    ana.must("contacts.hand_over", to=house["eva"].pk)
    for name in ("ben", "lena"):
        assert Desk(house[name]).act("contacts.accept", basis=BasisRef("contact", ana.contact)).refusal.code == "CONFLICT"
    eva = Desk(house["eva"])
    eva.contact = ana.contact
    eva.must("contacts.accept")
    assert eva.act("contacts.accept").refusal.code == "CONFLICT"


def test_eva_declines_what_is_offered_to_her_and_it_stays_with_ana_who_may_offer_it_to_ben(house, ana, maria):
    """What was said of an offer stays on the contact no longer than the offer does; the journal keeps it."""
    ana.must("contacts.hand_over", to=house["eva"].pk, words="Two outages, wants a credit")
    eva, ben = Desk(house["eva"]), Desk(house["ben"])
    eva.contact = ben.contact = ana.contact
    assert ben.act("contacts.decline", words="Not me").refusal.code == "CONFLICT", "it was never offered to him"
    assert eva.act("contacts.decline", words=" ").status == "invalid"
    eva.must("contacts.decline", words="My shift ends in a minute")
    row = Contact.objects.get()
    assert (row.holder, row.offered_to, row.offered_words, row.declined_by, row.declined_words) == (
        house["ana"], None, "", house["eva"], "My shift ends in a minute",
    )  # fmt: skip
    line = JournalLine.objects.filter(code="contacts.decline", outcome="done").select_related("payload").get()
    assert line.who == f"Staff:{house['eva'].pk}" and "My shift" in line.payload.body and "My shift" not in line.text
    assert eva.act("contacts.accept").refusal.code == "CONFLICT" and eva.act("contacts.decline", words="Again").refusal.code == "CONFLICT"
    ana.must("contacts.hand_over", to=house["ben"].pk, words="Eva goes home")
    assert Contact.objects.get().declined_by is None
    ben.must("contacts.accept")
    assert (Contact.objects.get().offered_words, Contact.objects.get().declined_words) == ("", "")


def test_who_is_tied_to_the_account_declines_it_without_seeing_it(house, ana, maria):
    Desk(house["sam"]).must("customers.tie_staff", account=maria.pk, staff=house["eva"].pk, tie="relative")
    ana.must("contacts.hand_over", to=house["eva"].pk)
    eva = Desk(house["eva"])
    eva.contact = ana.contact
    assert eva.act("contacts.accept").refusal.rule == "own-business"
    eva.must("contacts.decline", words="I may not")


@pytest.mark.parametrize(("to", "rule"), [("ana", "INVALID"), ("ada", "INVALID")])
def test_a_contact_is_not_handed_to_oneself_or_to_somebody_who_takes_none(house, ana, to, rule):
    assert ana.act("contacts.hand_over", to=house[to].pk).refusal.code == rule


def test_a_dropped_line_proves_nothing_when_the_caller_is_back(ana, maria):
    ana.must("contacts.drop")
    assert level(ana) == Level.IDENTIFIED
    assert ana.act("contacts.check_pin", account=maria.pk, pin="4711").refusal.rule == "needs-live"
    ana.must("contacts.reconnect")
    assert level(ana) == Level.IDENTIFIED and Contact.objects.get().proven == ()
    ana.must("contacts.check_pin", account=maria.pk, pin="4711")
    assert level(ana) == Level.VERIFIED and Contact.objects.count() == 1


@pytest.mark.parametrize("again", ["the holder herself", "her son", "a stranger"])
def test_a_new_voice_has_to_be_proven_anew(ana, maria, again):
    son = Person.objects.create(customer=maria.customer, name="Luis Okafor")
    AccountPerson.objects.create(account=maria, person=son, right="authorized", may_money=False)
    given = {"the holder herself": {"name": "maria"}, "her son": {"person": son.pk}, "a stranger": {"name": "Zoe Q"}}[again]
    done = ana.must("contacts.speaker", account=maria.pk, **given)
    assert level(ana) == Level.IDENTIFIED and done.show["known"] == (again != "a stranger")
    no = ana.act("contacts.check_pin", account=maria.pk, pin="4711")
    if again == "a stranger":
        assert no.refusal.rule == "stranger"
    else:
        assert no.ok
        money = ana.act("credits.grant", account=maria.pk, amount=100, reason="goodwill")
        assert (money.refusal.rule if money.refusal else "") == ("no-money-right" if again == "her son" else "")


def test_a_right_that_ended_is_a_strangers(ana, maria):
    son = Person.objects.create(customer=maria.customer, name="Luis Okafor")
    right = AccountPerson.objects.create(account=maria, person=son, right="authorized", until=TUESDAY.date())
    ana.must("contacts.speaker", account=maria.pk, person=son.pk)
    ana.must("contacts.check_pin", account=maria.pk, pin="4711")  # on its last day it still holds
    AccountPerson.objects.filter(pk=right.pk).update(until=TUESDAY.date() - timedelta(days=1))
    assert see(ana).refusal.rule == "stranger"


def test_the_wrong_account_was_open_and_the_right_one_is_proven_anew(ana, maria, joe):
    person = joe.people.get().person_id
    assert ana.act("contacts.identify", account=joe.pk, person=maria.people.get().person_id).refusal.code == "NOT_FOUND"
    done = ana.must("contacts.identify", account=joe.pk, person=person)
    assert "moved to this account" in done.say and level(ana) == Level.IDENTIFIED
    contact = Contact.objects.get()
    assert (contact.account_id, contact.person_id, contact.proven) == (joe.pk, person, ())
    for account in (maria, joe):
        assert not ana.act("contacts.note", account=account.pk, text="Hello").ok
    ana.must("contacts.check_pin", account=joe.pk, pin="4711")
    ana.must("contacts.note", account=joe.pk, text="Hello")
    assert Note.objects.get().account_id == joe.pk


@pytest.mark.parametrize("meanwhile", ["a stranger speaks", "another account is opened", "the line drops"])
def test_a_proof_is_worth_nothing_to_whoever_came_on_the_line_meanwhile(greeted, maria, joe, monkeypatch, meanwhile):
    """The hash is checked outside any transaction; by the time the answer is there, the contact has moved on."""
    real, deed = pins.matches, {
        "a stranger speaks": ("contacts.speaker", {"account": maria.pk, "name": "Zoe Q"}),
        "another account is opened": ("contacts.identify", {"account": joe.pk, "person": joe.people.get().person_id}),
        "the line drops": ("contacts.drop", {}),
    }[meanwhile]

    def check(*args):
        greeted.must(deed[0], **deed[1])
        return real(*args)

    monkeypatch.setattr(pins, "matches", check)
    no = greeted.act("contacts.check_pin", account=maria.pk, pin="4711")
    assert no.status == "refused" and Contact.objects.get().proven == () and level(greeted) == Level.IDENTIFIED


# ---------------------------------------------------------------- lockouts


def test_three_wrong_pins_lock_the_pin_and_tell_the_customer_and_leave_other_ways(greeted, maria):
    says = []
    for _ in range(3):
        no = greeted.act("contacts.check_pin", account=maria.pk, pin="0000")
        says.append((no.refusal.code, no.refusal.say))
        assert [w.act for w in no.refusal.way_on] == ["contacts.send_code", "contacts.call_back"]
    assert says[:2] == [("NOT_PROVEN", "That did not match. 2 tries left."), ("NOT_PROVEN", "That did not match. 1 try left.")]
    assert says[2][0] == "LOCKED"
    notice = Outbox.objects.get(topic="security_notice")
    assert notice.to == "+12065550188" and "Bloqueamos esa vía por 24 horas" in notice.body, "Maria's language"
    late = greeted.act("contacts.check_pin", account=maria.pk, pin="4711")
    assert (late.refusal.code, late.refusal.rule, level(greeted)) == ("LOCKED", "pin-locked", Level.IDENTIFIED)
    assert [w.act for w in late.refusal.way_on] == ["contacts.send_code", "contacts.call_back"] and late.refusal.cite
    assert Outbox.objects.filter(topic="security_notice").count() == 1, "told once, not at each further try"
    greeted.must("contacts.check_code", account=maria.pk, code=sent_code(greeted, maria))
    assert level(greeted) == Level.VERIFIED


def test_three_wrong_codes_lock_codes_and_the_way_on_is_not_another_code(greeted, maria):
    code = sent_code(greeted, maria)
    for n in range(3):
        no = greeted.act("contacts.check_code", account=maria.pk, code=wrong(code))
        assert ("contacts.send_code" in [w.act for w in no.refusal.way_on]) == (n < 2)
    assert (no.refusal.code, [w.act for w in no.refusal.way_on]) == ("LOCKED", ["contacts.call_back", "contacts.check_pin"])
    assert Outbox.objects.filter(topic="security_notice").count() == 1
    for late in (
        greeted.act("contacts.check_code", account=maria.pk, code=code),
        greeted.act("contacts.send_code", account=maria.pk, line=maria.lines.get().pk),
    ):
        assert late.refusal.rule == "code-locked" and "contacts.call_back" in [w.act for w in late.refusal.way_on]
    greeted.must("contacts.check_pin", account=maria.pk, pin="4711")
    assert level(greeted) == Level.VERIFIED


def test_the_notice_of_a_lock_goes_to_a_number_that_takes_texts(greeted, maria):
    home = Line.objects.create(account=maria, msisdn="+12065550100", plan=maria.lines.get().plan, can_text=False,
                               activated_on=TUESDAY.date(), number_since=datetime(2010, 1, 1, tzinfo=UTC))
    for _ in range(3):
        greeted.act("contacts.check_pin", account=maria.pk, pin="0000")
    assert Outbox.objects.get(topic="security_notice").to == "+12065550188"
    assert greeted.act("contacts.send_code", account=maria.pk, line=home.pk).refusal.code == "CONFLICT"
    assert greeted.call_back(maria, home).ok


def test_a_line_that_is_gone_proves_nothing_and_is_no_way_on(greeted, maria):
    line = maria.lines.get()
    Line.objects.update(status="cancelled")
    for code in ("contacts.send_code", "contacts.call_back"):
        assert greeted.act(code, account=maria.pk, line=line.pk).refusal.code == "NOT_FOUND"
    assert greeted.act("contacts.check_pin", account=maria.pk, pin="0000").refusal.way_on == ()
    assert Contact.objects.get().proven == ()


def test_failures_count_over_contacts_and_people_and_per_account(house, greeted, maria, joe):
    greeted.act("contacts.check_pin", account=maria.pk, pin="0000")
    greeted.must("contacts.end")
    ben = Desk(house["ben"]).take_call(maria, verify=False)
    assert "1 try left" in ben.act("contacts.check_pin", account=maria.pk, pin="1111").refusal.say
    ben.must("contacts.identify", account=joe.pk, person=joe.people.get().person_id)
    assert "2 tries left" in ben.act("contacts.check_pin", account=joe.pk, pin="0000").refusal.say
    eva = Desk(house["eva"]).take_call(maria, verify=False)
    assert eva.act("contacts.check_pin", account=maria.pk, pin="2222").refusal.code == "LOCKED"
    ben.must("contacts.check_pin", account=joe.pk, pin="4711")


def test_the_right_pin_forgets_the_wrong_ones_before_it(greeted, maria):
    for _ in range(2):
        for _ in range(2):
            greeted.act("contacts.check_pin", account=maria.pk, pin="0000")
        greeted.must("contacts.check_pin", account=maria.pk, pin="4711")
    assert FactorCount.objects.get().failures == 0 and not Outbox.objects.filter(topic="security_notice").exists()


def test_a_lock_ends_after_a_day_with_all_tries_back(house, greeted, maria):
    for _ in range(3):
        greeted.act("contacts.check_pin", account=maria.pk, pin="0000")
    greeted.must("contacts.end")
    ben = Desk(house["ben"], TUESDAY + timedelta(hours=24, seconds=-1)).take_call(maria, verify=False)
    assert ben.act("contacts.check_pin", account=maria.pk, pin="4711").refusal.code == "LOCKED"
    ben.later(seconds=1)
    assert "2 tries left" in ben.act("contacts.check_pin", account=maria.pk, pin="0000").refusal.say
    ben.must("contacts.check_pin", account=maria.pk, pin="4711")


def test_an_account_without_a_pin_says_so_and_counts_nothing(greeted, maria):
    Pin.objects.all().delete()
    no = greeted.act("contacts.check_pin", account=maria.pk, pin="4711")
    assert no.refusal.code == "CONFLICT" and [w.act for w in no.refusal.way_on] == ["contacts.send_code"]
    assert not FactorCount.objects.exists()


# ---------------------------------------------------------------- one-time codes


def test_a_code_is_used_once(greeted, maria):
    code = sent_code(greeted, maria)
    greeted.must("contacts.check_code", account=maria.pk, code=f" {code[:3]} {code[3:]} ")
    greeted.must("contacts.drop")
    greeted.must("contacts.reconnect")
    assert greeted.act("contacts.check_code", account=maria.pk, code=code).refusal.code == "NOT_PROVEN"
    assert level(greeted) == Level.IDENTIFIED


@pytest.mark.parametrize(("minutes", "ok"), [(9.99, True), (10, False), (600, False)])
def test_a_code_works_for_ten_minutes(greeted, maria, minutes, ok):
    code = sent_code(greeted, maria)
    greeted.later(minutes=minutes)
    assert greeted.act("contacts.check_code", account=maria.pk, code=code).ok == ok


def test_a_code_works_in_its_own_contact_only(house, greeted, maria):
    code = sent_code(greeted, maria)
    ben = Desk(house["ben"]).take_call(maria, verify=False)
    assert ben.act("contacts.check_code", account=maria.pk, code=code).refusal.code == "NOT_PROVEN"
    Code.objects.update(contact=ben.contact)  # even if its row were another contact's
    assert ben.act("contacts.check_code", account=maria.pk, code=code).refusal.code == "NOT_PROVEN"


def test_a_code_works_for_its_own_account_only(greeted, maria, joe):
    code = sent_code(greeted, maria)
    greeted.must("contacts.identify", account=joe.pk, person=joe.people.get().person_id)
    assert greeted.act("contacts.check_code", account=joe.pk, code=code).refusal.code == "NOT_PROVEN"
    assert greeted.act("contacts.send_code", account=joe.pk, line=maria.lines.get().pk).refusal.code == "NOT_FOUND"


def test_three_codes_go_out_in_a_contact_and_any_of_them_works(greeted, maria):
    first, *_ = [sent_code(greeted, maria) for _ in range(3)]
    no = greeted.act("contacts.send_code", account=maria.pk, line=maria.lines.get().pk)
    assert (no.refusal.rule, [w.act for w in no.refusal.way_on]) == ("code-sends", ["contacts.call_back"])
    greeted.must("contacts.check_code", account=maria.pk, code=first)


def test_an_empty_code_never_matches(greeted, maria):
    sent_code(greeted, maria)
    greeted.call_back(maria)  # leaves a row without a hash
    greeted.must("contacts.drop")
    greeted.must("contacts.reconnect")
    assert greeted.act("contacts.check_code", account=maria.pk, code="").refusal.code == "NOT_PROVEN"


# ---------------------------------------------------------------- strong


def prove(desk: Desk, account, factor: str, line: Line | None = None) -> None:
    if factor == "pin":
        desk.must("contacts.check_pin", account=account.pk, pin="4711")
    elif factor == "callback":
        assert desk.call_back(account, line).ok
    else:
        desk.must("contacts.check_code", account=account.pk, code=sent_code(desk, account, line))


@pytest.mark.parametrize(
    ("factors", "hours", "found"),
    [
        (("pin", "code"), 24, Level.STRONG),
        (("code", "pin"), 24, Level.STRONG),
        (("pin", "callback"), 24, Level.VERIFIED),  # the line that the PIN was said on was put down
        (("code", "callback", "pin"), 24, Level.STRONG),
        (("callback", "pin"), 24, Level.STRONG),
        (("pin", "code"), 23.99, Level.VERIFIED),
        (("code", "pin"), 23.99, Level.VERIFIED),
        (("callback", "pin"), 0, Level.VERIFIED),
        (("code", "callback"), 9000, Level.VERIFIED),
        (("pin", "pin"), 9000, Level.VERIFIED),
        (("code", "code"), 9000, Level.VERIFIED),
    ],
)
def test_strong_is_two_kinds_with_a_number_that_is_a_day_old(greeted, maria, factors, hours, found):
    Line.objects.update(number_since=TUESDAY - timedelta(hours=hours))
    for factor in factors:
        prove(greeted, maria, factor)
    assert level(greeted) == found


@pytest.mark.parametrize("factors", [("pin", "code"), ("code", "pin")])
def test_which_number_proved_it_counts_not_the_oldest_of_the_account(greeted, maria, factors):
    """A line that came this morning beside one of seven years: its code proves, and makes nobody strong."""
    new = Line.objects.create(account=maria, msisdn="+12065550101", plan=maria.lines.get().plan, activated_on=TUESDAY.date(),
                              number_since=TUESDAY - timedelta(hours=3))
    for factor in factors:
        prove(greeted, maria, factor, new if factor == "code" else None)
    assert level(greeted) == Level.VERIFIED
    prove(greeted, maria, "code", maria.lines.get(msisdn="+12065550188"))
    assert level(greeted) == Level.STRONG


def test_a_number_that_proved_it_before_the_line_dropped_lends_its_age_to_nobody(greeted, maria):
    new = Line.objects.create(account=maria, msisdn="+12065550101", plan=maria.lines.get().plan, activated_on=TUESDAY.date(),
                              number_since=TUESDAY - timedelta(hours=3))
    prove(greeted, maria, "code", maria.lines.get(msisdn="+12065550188"))
    greeted.must("contacts.drop")
    greeted.later(seconds=30).must("contacts.reconnect")
    for factor in ("code", "pin"):
        prove(greeted, maria, factor, new)
    assert level(greeted) == Level.VERIFIED


def test_one_more_proof_never_takes_away(greeted, maria):
    new = Line.objects.create(account=maria, msisdn="+12065550101", plan=maria.lines.get().plan, activated_on=TUESDAY.date(),
                              number_since=TUESDAY - timedelta(hours=3))
    for factor in ("callback", "pin"):
        prove(greeted, maria, factor)
    prove(greeted, maria, "code", new)
    assert level(greeted) == Level.STRONG


# ---------------------------------------------------------------- call back


def test_a_call_back_takes_two_steps_with_the_line_put_down_between_them(ana, maria):
    """The voice that calls in proves nothing by it: the line is put down, and who picks up says who they are."""
    line = maria.lines.get()
    assert ana.act("contacts.call_back_answered", account=maria.pk, name="Maria").refusal.rule == "needs-line-down"
    begun = ana.must("contacts.call_back", account=maria.pk, line=line.pk)
    assert begun.show["dial"] == line.msisdn and "0188" in begun.say and line.msisdn not in begun.say
    contact = Contact.objects.get()
    assert contact.state == "dropped" and level(ana) == Level.IDENTIFIED and see(ana).refusal
    quick = ana.later(seconds=9).act("contacts.call_back_answered", account=maria.pk, name="Maria")
    assert quick.refusal.rule == "callback-too-soon"
    ana.later(seconds=1).must("contacts.call_back_answered", account=maria.pk, name="okafor maria")
    contact.refresh_from_db()
    assert (contact.state, contact.proven, level(ana)) == ("live", ("callback",), Level.VERIFIED)
    assert FactorCount.objects.get(factor="callback").failures == 0
    assert not any(line.msisdn in text for text in JournalLine.objects.values_list("text", flat=True)), "shown, and kept nowhere"
    assert ana.act("contacts.call_back_answered", account=maria.pk, name="Maria").refusal.rule == "needs-line-down"


def test_a_call_back_proves_whoever_picked_up_and_nobody_else(greeted, maria):
    son = Person.objects.create(customer=maria.customer, name="Luis Okafor")
    AccountPerson.objects.create(account=maria, person=son, right="authorized", may_money=False)
    assert greeted.call_back(maria, name="Luis").ok
    assert Contact.objects.get().person_id == son.pk
    assert greeted.act("credits.grant", account=maria.pk, amount=100, reason="goodwill").refusal.rule == "no-money-right"


@pytest.mark.parametrize("how", ["a name that nobody has", "a right that ended"])
def test_somebody_else_who_picks_up_is_a_failed_try(greeted, maria, how):
    son = Person.objects.create(customer=maria.customer, name="Luis Okafor")
    AccountPerson.objects.create(account=maria, person=son, right="authorized", until=TUESDAY.date() - timedelta(days=1))
    no = greeted.call_back(maria, name="Luis" if how == "a right that ended" else "Zoe Q")
    assert (no.refusal.code, no.refusal.rule) == ("NOT_PROVEN", "callback-failed") and "2 tries left" in no.refusal.say
    assert Contact.objects.get().state == "dropped" and FactorCount.objects.get().failures == 1
    again = greeted.act("contacts.call_back_answered", account=maria.pk, name="Maria")
    assert again.refusal.rule == "callback-not-begun", "a second name for one call is a second call"


@pytest.mark.parametrize("end", ["not_reached", "wrong_person", "never reported"])
def test_three_call_backs_that_failed_lock_it_and_tell_the_customer(greeted, maria, end):
    for n in range(3):
        greeted.must("contacts.call_back", account=maria.pk, line=maria.lines.get().pk)
        if end != "never reported":
            done = greeted.later(seconds=30).must("contacts.call_back_failed", account=maria.pk, why=end)
            assert ("locked now" in done.say) == (n == 2)
    no = greeted.act("contacts.call_back", account=maria.pk, line=maria.lines.get().pk)
    assert (no.refusal.code, no.refusal.rule) == ("LOCKED", "callback-locked")
    assert Outbox.objects.filter(topic="security_notice").exists() == (end != "never reported")
    greeted.must("contacts.reconnect")
    greeted.must("contacts.check_pin", account=maria.pk, pin="4711")
    assert level(greeted) == Level.VERIFIED


def test_the_third_call_back_still_verifies_when_it_is_answered(greeted, maria):
    for _ in range(2):
        greeted.must("contacts.call_back", account=maria.pk, line=maria.lines.get().pk)
    assert greeted.call_back(maria).ok and FactorCount.objects.get().failures == 0


def test_a_call_back_that_took_too_long_or_was_overtaken_is_begun_anew(greeted, maria):
    greeted.must("contacts.call_back", account=maria.pk, line=maria.lines.get().pk)
    late = greeted.later(minutes=10).act("contacts.call_back_answered", account=maria.pk, name="Maria")
    assert late.refusal.rule == "callback-not-begun"
    greeted.must("contacts.call_back", account=maria.pk, line=maria.lines.get().pk)
    greeted.later(seconds=20).must("contacts.reconnect")  # the caller was back before
    greeted.must("contacts.drop")
    assert greeted.act("contacts.call_back_answered", account=maria.pk, name="Maria").refusal.rule == "callback-not-begun"
    assert Contact.objects.get().proven == ()


def test_a_call_back_never_gives_somebody_a_second_live_call(house, greeted, maria, joe):
    greeted.must("contacts.call_back", account=maria.pk, line=maria.lines.get().pk)
    Desk(house["ana"]).must("contacts.open", account=joe.pk)
    no = greeted.later(seconds=20).act("contacts.call_back_answered", account=maria.pk, name="Maria")
    assert no.refusal.code == "CONFLICT" and "live call already" in no.refusal.say


# ---------------------------------------------------------------- one live call, and the clock


def test_one_person_has_one_live_call_and_may_chat_beside_it(house, ana, maria, joe):
    for state in ("live", "held"):
        assert Contact.objects.get().state == state
        no = Desk(house["ana"], ana.at).act("contacts.open", account=joe.pk)
        assert no.refusal.code == "CONFLICT" and "live call already" in no.refusal.say
        if state == "live":
            ana.must("contacts.hold")
    chat = Desk(house["ana"]).must("contacts.open", account=joe.pk, channel="chat")
    ana.must("contacts.end")
    second = Desk(house["ana"], ana.at)
    second.contact = int(second.must("contacts.open", account=joe.pk).show["id"])
    assert queries.open_of(house["ana"].pk).pk in (second.contact, int(chat.show["id"]))
    assert Contact.objects.filter(holder=house["ana"], state="live", channel="voice").count() == 1


def test_the_caller_who_comes_back_during_another_call_has_to_wait(house, ana, joe):
    ana.must("contacts.drop")
    other = Desk(house["ana"], ana.at)
    other.contact = int(other.must("contacts.open", account=joe.pk).show["id"])
    assert ana.act("contacts.reconnect").refusal.code == "CONFLICT"
    other.must("contacts.end")
    ana.must("contacts.reconnect")


def test_nobody_takes_a_second_call_over_by_a_hand_over(house, ana, joe):
    ben = Desk(house["ben"]).take_call(joe)
    ana.must("contacts.hand_over", to=house["ben"].pk)
    no = ben.act("contacts.accept", basis=BasisRef("contact", ana.contact))
    assert no.refusal.code == "CONFLICT" and Contact.objects.get(pk=ana.contact).holder == house["ana"]


def test_a_ringing_call_is_answered_identified_and_counted_from_the_answer(house, maria):
    rang = perform("contacts.ring", {"caller_number": "(206) 555-0188"}, who=CARRIER, key=key(), at=TUESDAY)
    ana = Desk(house["ana"]).later(seconds=9)
    ana.contact = int(rang.show["id"])
    assert level(ana) == Level.NONE
    ana.must("contacts.answer", contact=ana.contact, basis=BasisRef())
    assert ana.act("contacts.check_pin", account=maria.pk, pin="4711").status == "refused"
    ana.must("contacts.identify", account=maria.pk, person=maria.people.get().person_id)
    assert Contact.objects.get().caller_number == "+12065550188" and level(ana) == Level.IDENTIFIED
    assert rules.clock(queries.spans_of(ana.contact), ana.at + timedelta(seconds=60)).talk == 60


def test_talk_hold_and_wrap_up_are_counted_and_a_dropped_line_is_nobodys_time(house, ana, maria):
    for deed, seconds in [
        ("contacts.hold", 60), ("contacts.resume", 30), ("contacts.drop", 20), ("contacts.reconnect", 120),
        ("contacts.hold", 10), ("contacts.end", 5),
    ]:  # fmt: skip
        ana.later(seconds=seconds).must(deed)
    ana.later(seconds=45).must("contacts.wrap_up", summary="Talked", disposition="resolved", root_cause="none")
    found = rules.clock(queries.spans_of(ana.contact), ana.at + timedelta(days=1))
    assert (found.talk, found.hold, found.wrap) == (60 + 20 + 10, 30 + 5, 45)
    day = queries.day_numbers(house["ana"].pk, TUESDAY, ana.at)
    assert day == {"contacts": 1, "handle_seconds": 170}


def test_after_a_hand_over_the_time_is_whose_call_it_is(house, ana):
    ana.later(seconds=60).must("contacts.hold")
    ana.later(seconds=10).must("contacts.hand_over", to=house["eva"].pk)
    eva = Desk(house["eva"], ana.at).later(seconds=5)
    eva.contact = ana.contact
    eva.must("contacts.accept")
    eva.later(seconds=40).must("contacts.end")
    spans = Contact.objects.get().spans.order_by("pk").values_list("staff__username", "kind")
    assert list(spans) == [("ana", "talk"), ("ana", "hold"), ("eva", "talk"), ("eva", "wrap")]
    assert rules.clock(queries.spans_of(ana.contact), eva.at).handle == 60 + 15 + 40


# ---------------------------------------------------------------- wrap-up


WORDS = {"summary": "Explained the bill", "disposition": "resolved", "root_cause": "bill_changed"}


def test_in_wrap_up_what_was_shown_may_be_read_and_noted_and_nothing_moves(ana, maria):
    ana.must("contacts.end")
    assert level(ana) == Level.WRAP_UP and see(ana).allowed and see(ana, "view.wrapup").allowed
    ana.must("contacts.note", account=maria.pk, text="Will send the form")
    for code, given in [
        ("credits.grant", {"amount": 100, "reason": "goodwill"}),
        ("payments.take", {"amount": 100, "method": maria.payment_methods.get().pk}),
        ("payments.send_link", {"amount": 100, "line": maria.lines.get().pk}),
        ("contacts.check_pin", {"pin": "4711"}),
        ("contacts.call_back", {"line": maria.lines.get().pk}),
        ("contacts.identify", {}),
    ]:
        assert ana.act(code, account=maria.pk, **given).status == "refused", code
    ana.must("contacts.wrap_up", **WORDS)
    assert level(ana) == Level.IDENTIFIED and not see(ana).allowed


def test_a_contact_closes_once_after_it_ended_and_the_next_can_come(house, ana, joe):
    assert ana.act("contacts.wrap_up", **WORDS).refusal.code == "CONFLICT"
    ana.must("contacts.end")
    assert ana.act("contacts.end").refusal.code == "CONFLICT"
    ana.must("contacts.wrap_up", **WORDS)
    assert ana.act("contacts.wrap_up", **WORDS).refusal.code == "CONFLICT"
    assert queries.open_of(house["ana"].pk) is None
    ana.take_call(joe)
    assert not list(journal.verify())


def test_what_we_owe_has_an_owner_and_a_day_that_lies_ahead(house, ana):
    ana.must("contacts.end")
    past = ana.act("contacts.wrap_up", **WORDS, follow_up="Call back", due_on="2026-11-23")
    assert "due_on" in past.refusal.fields and not FollowUp.objects.exists()
    ana.must("contacts.wrap_up", **WORDS, follow_up="Call back", due_on="2026-11-24", owner=house["ben"].pk)
    (promise,) = queries.follow_ups_of(house["ben"].pk)
    assert ana.act("contacts.finish_follow_up", follow_up=promise.pk, basis=BasisRef()).refusal.code == "NOT_FOUND"
    Desk(house["ben"]).must("contacts.finish_follow_up", follow_up=promise.pk)
    assert queries.follow_ups_of(house["ben"].pk) == []


# ---------------------------------------------------------------- drafts


def type_(desk: Desk, account, text: str, was: str | None = None, kind: rules.DraftKind = rules.DraftKind.NOTE) -> str | None:
    return keep_draft(who=desk.staff.who, contact_id=desk.contact, kind=kind, about=account.pk, text=text, was=was, at=desk.at)


def draft(desk: Desk) -> str | None:
    return queries.contact(desk.contact).note_draft


def test_typed_words_survive_everything_until_the_contact_is_closed(ana, maria):
    lines = JournalLine.objects.count()
    assert type_(ana, maria, "Her SIM was") is None
    assert type_(ana, maria, "Her SIM was changed") is None
    assert JournalLine.objects.count() == lines
    for deed in ("contacts.hold", "contacts.resume", "contacts.drop", "contacts.reconnect", "contacts.end"):
        ana.must(deed)
        assert draft(ana) == "Her SIM was changed"
    assert type_(ana, maria, "Explained", kind=rules.DraftKind.SUMMARY) is None
    assert queries.contact(ana.contact).summary_draft == "Explained" and draft(ana) == "Her SIM was changed"
    ana.must("contacts.wrap_up", **WORDS)
    assert "not yours" in type_(ana, maria, "Too late")
    assert draft(ana) is None


def test_a_draft_goes_over_with_the_contact_and_is_written_by_its_holder_only(house, ana, maria):
    eva = Desk(house["eva"])
    eva.contact = ana.contact
    type_(ana, maria, "Two outages")
    assert "not yours" in type_(eva, maria, "Mine")
    ana.must("contacts.hand_over", to=house["eva"].pk)
    eva.must("contacts.accept")
    assert draft(ana) == "Two outages"
    assert "not yours" in type_(ana, maria, "Hers")
    assert type_(eva, maria, "Two outages, credited") is None


def test_of_two_tabs_that_type_the_second_hears_of_the_first_and_nothing_is_written_over(ana, maria):
    assert type_(ana, maria, "Two outages", was="") is None
    assert "Another tab" in type_(ana, maria, "Wants a credit", was="")
    assert draft(ana) == "Two outages"
    assert type_(ana, maria, "Two outages. Wants a credit", was="Two outages") is None
    assert type_(ana, maria, "Two outages. Wants a credit", was="Two outages") is None, "the same again"
    assert type_(ana, maria, "", was="Two outages. Wants a credit") is None
    assert type_(ana, maria, "Wants a credit", was="something") is None, "nothing is there that could be lost"


def test_a_draft_takes_no_card_number_and_keeps_no_level_alive(ana, maria):
    type_(ana, maria, "Her IMEI is 353879234252633")
    assert type_(ana, maria, "pays with 4111 1111 1111 1111") is not None
    assert draft(ana) == "Her IMEI is 353879234252633"
    ana.later(minutes=31)
    type_(ana, maria, "Still typing")
    assert level(ana) == Level.IDENTIFIED


# ---------------------------------------------------------------- moved to the right account


def test_a_move_leaves_behind_what_was_said_and_done_on_the_wrong_account(ana, maria, joe):
    """Words, deeds and requests of Maria's account stay with it; the caller proves anew; Joe's pages tell nothing of it."""
    type_(ana, maria, "Her father is ill")
    ana.must("credits.grant", account=maria.pk, amount=100, reason="goodwill")
    asked = int(ana.must("approvals.ask", account=maria.pk, code="credits.grant", input={"account": maria.pk, "amount": 3000, "reason": "goodwill"}, words="Please").show["request"])
    ana.must("contacts.identify", account=joe.pk, person=AccountPerson.objects.get(account=joe).person_id)
    assert level(ana) == Level.IDENTIFIED and not draft(ana)
    type_(ana, joe, "Slow data")
    assert approvals.of_contact(ana.contact, joe.pk) == [] and approvals.request(asked).state == "expired"
    told = " ".join(e.say for e in journal.of_bases([f"contact:{ana.contact}"], joe.pk))
    assert "moved to this account" in told and "Credit" not in told
    left = journal.timeline(f"account:{maria.pk}", limit=1)[0]
    assert left.say.endswith("moved to another account")
    type_(ana, maria, "Her father is ill, call back", was="Her father is ill")  # a second tab that still shows her page
    assert draft(ana) == "Slow data"
    ana.must("contacts.identify", account=maria.pk, person=AccountPerson.objects.get(account=maria).person_id)
    assert draft(ana) == "Her father is ill, call back"


def test_a_link_that_a_stranger_got_for_the_wrong_account_is_closed_when_the_contact_moves(house, greeted, maria, joe):
    """Nobody had proven anything, so the money would go to whoever was opened by mistake. A verified caller's link stays."""
    guest = greeted.must("payments.send_guest_link", account=maria.pk, amount=2000, number="(206) 555-0111").show["link"]
    greeted.must("contacts.check_pin", account=maria.pk, pin="4711")
    own = greeted.must("payments.send_link", account=maria.pk, amount=2000, line=maria.lines.get().pk).show["link"]
    greeted.must("contacts.identify", account=joe.pk)
    assert f"payment link {guest} closed" in journal.timeline(f"account:{maria.pk}", limit=1)[0].say

    def paid(link: str):
        return perform("payments.link_paid", {"link": link, "provider_reference": f"p-{link}", "method": "Visa …4242"},
                       who=Who("Service", "9", "Provider", "service"), key=key(), at=greeted.at)

    assert paid(guest).refusal.rule == "link-closed" and paid(own).ok


# ---------------------------------------------------------------- the way on is one that can be gone


def ways(outcome) -> list[str]:
    return [way.act for way in outcome.refusal.way_on]


def test_a_rule_offers_no_factor_that_the_account_has_not_or_that_is_locked_or_proven(greeted, maria):
    def refused():
        return ways(greeted.act("credits.grant", account=maria.pk, amount=100, reason="goodwill"))

    assert refused() == ["contacts.check_pin", "contacts.send_code", "contacts.call_back"]
    for _ in range(3):
        greeted.act("contacts.check_pin", account=maria.pk, pin="0000")
    assert refused() == ["contacts.send_code", "contacts.call_back"]
    assert [w.act for w in see(greeted).refusal.way_on] == ["contacts.send_code", "contacts.call_back"]
    FactorCount.objects.all().delete()
    Pin.objects.filter(account=maria).delete()
    Line.objects.update(can_text=False)
    assert refused() == ["contacts.call_back"]
    Line.objects.update(status="cancelled")
    assert refused() == []


def test_what_is_proven_already_is_no_way_to_strong(ana, maria):
    no = ana.act("lines.suspend", account=maria.pk, line=maria.lines.get().pk, reason="customer_wish")
    assert no.refusal.rule == "suspend-strong" and ways(no) == ["contacts.send_code", "contacts.call_back"]


def test_an_agent_is_offered_no_act_that_it_may_not_do(house, maria):
    robin = Desk(hire("robin", "Robin", "agent")).take_call(maria, verify=False)
    assert ways(robin.act("credits.grant", account=maria.pk, amount=100, reason="goodwill")) == ["contacts.check_pin", "contacts.send_code"]
    assert ways(robin.act("contacts.check_pin", account=maria.pk, pin="0000")) == ["contacts.send_code"]
    for _ in range(3):
        sent_code(robin, maria)
    assert ways(robin.act("contacts.send_code", account=maria.pk, line=maria.lines.get().pk)) == []


@pytest.mark.parametrize("slip", ["47", "47l1", "471147114711", "４７１１"])
def test_what_is_no_pin_is_wrong_at_its_field_and_costs_no_try(greeted, maria, slip):
    for _ in range(4):
        no = greeted.act("contacts.check_pin", account=maria.pk, pin=slip)
        assert no.refusal.fields == {"pin": "A PIN is 4 to 8 digits. No try was counted."}
    assert not Outbox.objects.filter(topic="security_notice").exists()
    greeted.must("contacts.check_pin", account=maria.pk, pin="4711")


# ---------------------------------------------------------------- a PIN is kept nowhere in clear


def kept() -> str:
    """In whatever words are kept."""
    rows = [*JournalLine.objects.values_list("text", "payload__body"), *Note.objects.values_list("text"), *Contact.objects.values_list("summary"),
            *Draft.objects.values_list("text"), *Request.objects.values_list("words", "input"), *RequestKey.objects.values_list("outcome", "work")]  # fmt: skip
    return str(rows)


WITH_PIN = "She is in a hurry and says 4711 again"


def test_the_pin_that_maria_said_is_taken_out_of_whatever_ana_types_before_it_is_kept(house, ana, maria):
    wish = {"account": str(maria.pk), "amount": 4000, "reason": "retention", "words": WITH_PIN}
    tries = {
        ("contacts.note", "text"): {"account": maria.pk, "text": WITH_PIN},
        ("contacts.hand_over", "words"): {"to": house["eva"].pk, "words": WITH_PIN},
        ("credits.grant", "words"): {"account": maria.pk, "amount": 100, "reason": "goodwill", "words": WITH_PIN},
        ("approvals.ask", "words"): {"account": maria.pk, "code": "credits.grant", "input": wish},
    }
    for (code, field), given in tries.items():
        no = ana.act(code, **given)
        assert (no.status, no.refusal.code, list(no.refusal.fields)) == ("invalid", "PIN", [field]), code
        assert "4711" not in no.say
    assert perform("contacts.reason", {"reason": "bill"}, who=house["ana"].who, key=key(), basis=BasisRef("contact", ana.contact), why=WITH_PIN).refusal.code == "PIN"
    assert keep_draft(who=house["ana"].who, contact_id=ana.contact, kind=rules.DraftKind.NOTE, about=maria.pk, text=WITH_PIN, at=ana.at) == pins.WRITTEN
    ana.must("contacts.end")
    wrap = {"disposition": "resolved", "root_cause": "bill_changed"}
    assert list(ana.act("contacts.wrap_up", summary=WITH_PIN, **wrap).refusal.fields) == ["summary"]
    assert list(ana.act("contacts.wrap_up", summary="Well", follow_up="Call, PIN is 4711", due_on="2026-12-01", **wrap).refusal.fields) == ["follow_up"]
    assert "4711" not in kept()
    ana.must("contacts.wrap_up", summary="She is in a hurry; bill of $47.11, order 471100", **wrap)
    assert Contact.objects.get().pin_marks == "", "what it was known again by goes with the contact"


def test_a_key_is_not_used_up_by_it_and_what_was_done_before_stays_done(ana, maria):
    assert ana.act("contacts.note", key_="a-key-of-hers", account=maria.pk, text=WITH_PIN).refusal.code == "PIN"
    ana.must("contacts.note", key_="a-key-of-hers", account=maria.pk, text="She is in a hurry")


def test_a_number_that_nobody_proved_is_no_secret_of_the_account_and_answers_no_guess(house, maria):
    """Nobody learns from a note whether a number is the PIN: only what was typed as the PIN, and was right, is known again."""
    ana = Desk(house["ana"]).take_call(maria, verify=False)
    assert not ana.act("contacts.check_pin", account=maria.pk, pin="4712").ok and Contact.objects.get().pin_marks == ""
    ana.must("contacts.check_code", account=maria.pk, code=sent_code(ana, maria))
    ana.must("contacts.note", account=maria.pk, text="Talked about 4711 and 4712")
    assert ana.act("contacts.note", account=maria.pk, text="Says her PIN is 9512").refusal.code == "PIN", "but what is called a PIN is kept from nobody's account"


def test_a_new_pin_is_known_again_too_and_another_account_knows_nothing_of_it(house, maria, joe):
    ana = Desk(house["ana"]).take_call(maria)
    ana.must("contacts.check_code", account=maria.pk, code=sent_code(ana, maria))
    ana.must("customers.set_pin", account=maria.pk, pin="8305")
    for text in ("Now 8305", "Before it was 4711"):
        assert ana.act("contacts.note", account=maria.pk, text=text).refusal.code == "PIN"
    ana.must("contacts.identify", account=joe.pk, person=joe.people.get().person_id)
    ana.must("contacts.check_pin", account=joe.pk, pin="4711")
    ana.must("contacts.note", account=joe.pk, text="Order 8305")
