"""Promises to pay at the desk and in the night: agreed once, kept as proof, kept or broken by what the ledger says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from careline.acts.perform import perform
from careline.carriers.sandbox import SandboxPayments
from careline.domain.arrangements import queries
from careline.domain.arrangements.models import Arrangement, Terms
from careline.domain.arrangements.queries import Hold
from careline.domain.customers.models import Account, Customer
from careline.domain.journal import queries as journal
from careline.domain.journal.models import Line, Outbox
from careline.domain.ledger import queries as ledger
from careline.domain.ledger.models import Charge, Payment, PaymentMethod, UnbilledCharge
from careline.domain.rulebook import operations as rulebooks
from careline.domain.rulebook import queries as rulebook_queries
from careline.doors.jobs import charging, worker
from careline.doors.jobs.promises import charge_day, remind_day, settle_day
from careline.foundation.act import Who
from tests.operations.test_crash import Crash, CrashAt, rows
from tests.people import Desk, carrier_act, default_rulebook, issue_bill, open_account, pay

FRIDAY = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)  # ten in the morning in New York, and Maria's payday
HALVES = [{"due_on": "2026-11-27", "amount": 7100}, {"due_on": "2026-12-11", "amount": 7100}]


def night(day: str) -> datetime:
    """Ten past midnight of a day, where the carrier is."""
    return datetime.fromisoformat(f"{day}T05:10").replace(tzinfo=UTC)


def past_due(name="Maria Okafor", number="+12065550188", reference="A-0104822", minor=14200, issued=date(2026, 10, 28), **more):
    account = open_account(name, number, reference, bills=0, **more)
    issue_bill(account, account.lines.get(), issued, minor)
    return account


@pytest.fixture
def maria(house):
    return past_due()


@pytest.fixture
def ana(house, maria):
    return Desk(house["ana"], FRIDAY).take_call(maria)


def agree(desk, account, parts=HALVES, **more):
    return desk.act("arrangements.agree", account=account.pk, parts=parts, **more)


def test_a_text_goes_once_the_day_before_a_part_and_not_when_the_part_is_here(house, maria, ana):
    assert agree(ana, maria, HALVES).ok
    take(ana, maria, 7100)
    assert remind_day(night("2026-12-09")) == 0
    assert [remind_day(night("2026-12-10")), remind_day(night("2026-12-10") + timedelta(hours=2))] == [1, 0]
    worker.send_due(at=night("2026-12-10") + timedelta(hours=3))
    text = Outbox.objects.get(topic="arrangement_soon")
    assert text.state == "queued" and text.why, "three in the night: it waits for the morning"
    assert "$71.00 vence mañana, el 11 de diciembre" in text.body
    with transaction.atomic():
        worker.send_due(at=datetime(2026, 12, 10, 19, tzinfo=UTC))
        assert Outbox.objects.get(topic="arrangement_soon").state == "sent"
        transaction.set_rollback(True)
    pay(maria, 7100, night("2026-12-10") + timedelta(hours=8))
    worker.send_due(at=datetime(2026, 12, 10, 19, tzinfo=UTC))
    text.refresh_from_db()
    assert (text.state, text.body) == ("expired", ""), "it is here: taken back"


def take(desk, account, amount):
    return desk.must("payments.take", account=account.pk, amount=amount, method=account.payment_methods.get().pk)


def calls_again(desk, account, **later):
    """The call is over; some time later the same caller has the same associate again."""
    desk.must("contacts.end")
    desk.must("contacts.wrap_up", summary="Arranged", disposition="resolved", root_cause="past_due")
    return desk.later(**later).take_call(account)


def holds(account, day: str) -> Hold | None:
    return queries.holding([account.pk], date.fromisoformat(day)).get(account.pk)


# ---------------------------------------------------------------- one story, day by day


def test_maria_agrees_to_two_parts_pays_the_first_misses_the_second_and_is_found_the_next_day(ana, maria, house):
    done = agree(ana, maria, words="Two jobs, paid every second Friday")
    assert done.say.endswith("$142.00 past due, $71.00 on Nov 27, $71.00 on Dec 11") and done.show["today"] == 7100
    row = Arrangement.objects.get()
    assert holds(maria, "2026-11-27") == Hold(row.pk, row.number, date(2026, 11, 27), date(2026, 12, 11), 14200)
    take(ana, maria, 7100)
    assert holds(maria, "2026-12-11").amount_minor == 7100 and holds(maria, "2026-11-26") is None

    # Every night before finds nothing, and says when it looks next.
    assert settle_day(night("2026-11-28")).broken == 0
    assert Arrangement.objects.get().check_on == date(2026, 12, 12)
    assert settle_day(night("2026-12-11")).looked_at == 0

    # By the night after the second Friday it no longer holds, found or not; then it is found, once.
    assert holds(maria, "2026-12-12") is None
    found = [settle_day(night("2026-12-12")), settle_day(night("2026-12-12"))]
    assert [(f.broken, f.looked_at) for f in found] == [(1, 1), (0, 0)]
    assert holds(maria, "2026-12-12") is None and holds(maria, "2026-12-11").amount_minor == 7100, "of a past day it still says the same"
    broken = Arrangement.objects.get(state="broken")
    assert (broken.account_id, broken.ended_on, broken.missed_on) == (maria.pk, date(2026, 12, 12), date(2026, 12, 11))
    line = Line.objects.filter(code="arrangements.settle").get()
    assert "broken: the part of Dec 11 was not here; $71.00 of it is open" in line.content["say"] and line.chain.name == f"account:{maria.pk}"
    text = Outbox.objects.get(topic="arrangement_broken")
    assert "acordamos $71.00 para el 11 de diciembre" in text.body
    worker.send_due(at=night("2026-12-12") + timedelta(minutes=1))
    text.refresh_from_db()
    assert text.state == "queued" and text.not_before == datetime(2026, 12, 12, 16, tzinfo=UTC), "eight in Seattle"

    # A new one takes a lead for sixty days, and counts what was broken.
    again = [{"due_on": "2026-12-12", "amount": 7100}]
    ben = Desk(house["ben"], night("2026-12-12") + timedelta(hours=10)).take_call(maria)
    no = agree(ben, maria, again)
    assert no.refusal.rule == "arrangement-wait" and "in 60 days" in no.refusal.say and "lead" in no.refusal.who_could
    assert queries.history([maria.pk], date(2026, 1, 1))[maria.pk] == queries.History(0, 0, (date(2026, 12, 12),))
    assert not list(journal.verify())


@pytest.mark.parametrize(("then", "state"), [("bereaved", "failed"), ("stop", "failed"), ("paid", "expired"), ("nothing", "sent")])
def test_that_it_broke_is_told_within_the_contact_rules_and_only_while_something_is_open(ana, maria, then, state):
    agree(ana, maria)
    ana.must("contacts.end")
    settle_day(night("2026-11-28"))
    morning = datetime(2026, 11, 28, 18, tzinfo=UTC)
    if then == "bereaved":
        desk = Desk(ana.staff, night("2026-11-28") + timedelta(hours=1))
        desk.contact = int(desk.must("contacts.open", account=maria.pk).show["id"])
        desk.must("collections.hold", account=maria.pk, kind="deceased", words="Her son called")
    elif then == "stop":  # to another text about the debt: each of them promises that it ends them all
        Outbox.objects.create(topic="arrangement_soon", channel="sms", to="0188", about="part", at=FRIDAY, not_before=FRIDAY, state="sent", sent_at=FRIDAY, account_id=maria.pk)
        service = Who("Service", "9", "Gateway", "service")
        assert perform("contacts.reply", {"number": "+12065550188", "text": "STOP"}, who=service, key="stop-by-reply", at=morning).say == "STOP by reply: no more texts about collections"
    elif then == "paid":
        pay(maria, 14200, morning)
    for message in Outbox.objects.filter(state="queued").exclude(topic="arrangement_broken"):
        message.delete()
    worker.send_due(at=morning)
    assert Outbox.objects.get(topic="arrangement_broken").state == state


def test_nights_that_were_missed_change_nothing_but_when_it_is_known(ana, maria):
    agree(ana, maria)
    take(ana, maria, 7100)
    settle_day(night("2026-12-20"))
    row = Arrangement.objects.get()
    assert (row.ended_on, row.missed_on) == (date(2026, 12, 12), date(2026, 12, 11)) and row.ended_at == night("2026-12-20")


def test_what_is_paid_early_closes_the_arrangement_with_the_payment(ana, maria):
    agree(ana, maria)
    take(ana, maria, 7100)
    calls_again(ana, maria, days=3)
    take(ana, maria, 7100)
    row = Arrangement.objects.get()
    assert (row.state, row.ended_on) == ("kept", date(2026, 11, 30)) and holds(maria, "2026-11-30") is None
    assert [line.content["say"] for line in Line.objects.filter(code="arrangements.settle")] == [f"Arrangement {row.number} kept: all of $142.00 is paid"]
    assert queries.history([maria.pk], date(2026, 11, 1))[maria.pk].kept == 1


def test_a_credit_and_an_imported_payment_count_as_paid_too(ana, maria):
    agree(ana, maria)
    ana.must("credits.grant", account=maria.pk, amount=1000, reason="goodwill", words="Sorry")
    assert holds(maria, "2026-11-27").amount_minor == 13200
    pay(maria, 13200, FRIDAY)  # another system took it
    assert Arrangement.objects.get().state == "alive" and holds(maria, "2026-11-27") is None, "nothing is left to hold"
    assert settle_day(night("2026-11-28"), everything=True).kept == 1


def test_a_payment_that_comes_back_breaks_it_the_day_after(ana, maria, house):
    agree(ana, maria)
    take(ana, maria, 7100)
    settle_day(night("2026-11-28"))
    provider = Desk(house["ana"], night("2026-12-01"))
    back = {"provider_reference": Payment.objects.get().provider_reference, "reason": "R01"}
    assert perform("payments.returned", back, who=Who("Service", "9", "Provider", "service"), key="it-came-back", at=provider.at).ok
    assert holds(maria, "2026-12-01").amount_minor == 14200, "until the end of that day it can be paid again"
    assert settle_day(night("2026-12-02")).broken == 1
    assert Arrangement.objects.get().ended_on == date(2026, 12, 2)


# ---------------------------------------------------------------- what was agreed is kept


def test_what_was_agreed_is_kept_as_it_was_read_out_and_sent(ana, maria):
    Customer.objects.update(language="fr")
    agree(ana, maria)
    terms = Terms.objects.get()
    assert terms.read_out.startswith("You pay $71.00 today and $71.00 on Friday, December 11. Until then we do not collect these $142.00")
    assert terms.told == Outbox.objects.get(topic="arrangement").body and "$71.00 27 novembre, $71.00 11 décembre" in terms.told
    assert (terms.told_to, terms.person.name, terms.agreed_by.username, terms.contact_id) == ("0188", "Maria Okafor", "ana", ana.contact)
    assert [(c.bill.total_minor, c.open_minor) for c in terms.covered.all()] == [(14200, 14200)]


def test_it_is_agreed_anew_with_its_history_and_a_second_time_by_a_lead(ana, maria, house):
    agree(ana, maria)
    take(ana, maria, 7100)
    calls_again(ana, maria, days=4)
    later = [{"due_on": "2026-12-18", "amount": 7100}]
    ana.must("arrangements.change", account=maria.pk, parts=later, words="Paid a week later this time")
    row = Arrangement.objects.get()
    assert [(t.version, t.amount_minor, [i.due_on.day for i in t.instalments.all()]) for t in queries.versions(row.pk)] == [(2, 7100, [18]), (1, 14200, [27, 11])]
    assert (row.check_on, holds(maria, "2026-12-18").amount_minor) == (date(2026, 12, 19), 7100)
    assert holds(maria, "2026-11-30").until == date(2026, 12, 11), "of a day before, what was agreed then"
    change = {"account": maria.pk, "parts": [{"due_on": "2026-12-20", "amount": 7100}], "words": "Again"}
    no = ana.act("arrangements.change", **change)
    assert no.refusal.rule == "arrangement-changes" and "lead" in no.refusal.who_could
    asked = ana.must("approvals.ask", account=maria.pk, code="arrangements.change", input={**change, "account": str(maria.pk)}, words="She asks kindly")
    lena = Desk(house["lena"], ana.at)
    from careline.acts.declare import BasisRef

    lena.must("approvals.decide", request=asked.show["request"], decision="approve", basis=BasisRef("request", int(asked.show["request"])))
    newest = queries.versions(row.pk)[0]
    assert (newest.version, newest.agreed_by.username, newest.approved_by.username, newest.person.name) == (3, "ana", "lena", "Maria Okafor")


def test_the_day_before_a_part_is_too_late_for_an_associate_to_move_it(ana, maria):
    agree(ana, maria, [{"due_on": "2026-11-27", "amount": 14200}])
    no = ana.act("arrangements.change", account=maria.pk, parts=[{"due_on": "2026-12-11", "amount": 14200}], words="Not today")
    assert no.refusal.rule == "arrangement-soon"


def test_a_cancelled_one_holds_nothing_from_that_day_on_and_is_told(ana, maria):
    agree(ana, maria)
    calls_again(ana, maria, days=1)
    done = ana.must("arrangements.cancel", account=maria.pk, words="She pays it all next week instead")
    assert "$142.00 of it is open" in done.say and holds(maria, "2026-11-28") is None and holds(maria, "2026-11-27")
    assert "cancelado" in Outbox.objects.filter(topic="arrangement").latest("pk").body
    assert ana.act("arrangements.cancel", account=maria.pk, words="Again").refusal.rule == "no-arrangement"
    assert agree(ana, maria, [{"due_on": "2026-12-11", "amount": 10000}, {"due_on": "2026-12-18", "amount": 4200}]).ok


# ---------------------------------------------------------------- who gets one


def _broken_twice(account, desk):
    for ended in (date(2026, 2, 1), date(2026, 6, 1)):
        Arrangement.objects.create(number=f"AR-{ended}", account=account, state="broken", agreed_on=ended - timedelta(days=9), ended_on=ended, ended_at=FRIDAY, missed_on=ended)


def _came_back_twice(account, desk):
    from careline.domain.ledger import operations

    for n in (1, 2):
        payment = pay(account, 100, FRIDAY - timedelta(days=40 * n))
        operations.return_payment(act=carrier_act(FRIDAY - timedelta(days=30 * n)), payment=payment, label="R01")


def _new(account, desk):
    type(account).objects.filter(pk=account.pk).update(opened_on=date(2026, 10, 20))


def _closed(account, desk):
    type(account).objects.filter(pk=account.pk).update(status="closed")


def _runs(account, desk):
    assert agree(desk, account).ok


@pytest.mark.parametrize(("before", "minor", "parts", "rule", "says"), [
    (_broken_twice, 14200, HALVES, "arrangement-broken", "within the last year: 2"),
    (_came_back_twice, 14200, HALVES, "arrangement-returned", "came back within the last year: 2"),
    (_new, 14200, HALVES, "arrangement-tenure", "for 38 days"),
    (_closed, 14200, HALVES, "arrangement-hold", "the account is closed"),
    (_runs, 14200, HALVES, "arrangement-living", "runs already"),
    (None, 900, [{"due_on": "2026-11-27", "amount": 900}], "arrangement-nothing", "$9.00 is past due"),
    (None, 60000, [{"due_on": "2026-11-27", "amount": 30000}, {"due_on": "2026-12-11", "amount": 30000}], "arrangement-amount", "up to $500.00"),
    (None, 14200, [{"due_on": "2026-12-11", "amount": 3500}, {"due_on": "2026-12-25", "amount": 10700}], "arrangement-first", "$35.50 or more"),
    (None, 14200, [{"due_on": f"2026-12-{d:02}", "amount": m} for d, m in ((4, 7100), (11, 3550), (18, 3550))], "arrangement-parts", "3 parts"),
    (None, 14200, [{"due_on": "2026-11-27", "amount": 7100}, {"due_on": "2026-12-28", "amount": 7100}], "arrangement-days", "after 31 days"),
    (None, 14200, [{"due_on": "2026-11-27", "amount": 7100}], "arrangement-fits", "$71.00 is missing"),
    (None, 14200, [{"due_on": "2026-11-26", "amount": 14200}], "arrangement-fits", "is over"),
    (None, 14200, [{"due_on": "soon", "amount": 14200}], "INVALID", "parts"),
    (None, 14200, [], "INVALID", "parts"),
], ids=lambda v: v.__name__ if callable(v) else None)  # fmt: skip
def test_whoever_gets_none_is_told_why_and_who_could(house, before, minor, parts, rule, says):
    maria = past_due(minor=minor)
    ana = Desk(house["ana"], FRIDAY).take_call(maria)
    if before:
        before(maria, ana)
    no = agree(ana, maria, parts)
    assert (no.refusal.rule or no.refusal.code) == rule and says in no.refusal.say, no
    asks_a_lead = {"arrangement-broken", "arrangement-returned", "arrangement-tenure", "arrangement-amount", "arrangement-first", "arrangement-parts", "arrangement-days"}
    assert ("lead" in no.refusal.who_could) == (rule in asks_a_lead)


def test_nothing_of_the_debt_is_said_before_the_caller_is_verified(house, maria):
    desk = Desk(house["ana"], FRIDAY).take_call(maria, verify=False)
    for code, more in (("agree", {}), ("change", {"words": "x"}), ("propose", {})):
        given = {} if code == "propose" else {"parts": HALVES[:1]}
        no = desk.act(f"arrangements.{code}", account=maria.pk, **given, **more)
        assert no.refusal.rule == "needs-verified" and "$" not in str(no), no


def test_old_debt_is_paid_first_unless_a_lead_says_otherwise(house):
    maria = past_due(minor=14200, issued=date(2026, 9, 28))  # due 40 days ago
    no = agree(Desk(house["ana"], FRIDAY).take_call(maria), maria)
    assert no.refusal.rule == "arrangement-first" and "$142.00 or more" in no.refusal.say
    assert agree(Desk(house["lena"], FRIDAY).take_call(maria), maria).ok


def test_a_trainee_offers_plans_and_asks_for_the_rest(house, maria):
    tom = Desk(house["tom"], FRIDAY).take_call(maria)
    offered = tom.must("arrangements.propose", account=maria.pk, now=7100, each=7100, rhythm="two_weeks", payday="2026-11-27")
    assert offered.show["plans"][0] == {"fits": True, "parts": HALVES} and offered.show["first_least"] == 3550
    assert agree(tom, maria).refusal.rule == "arrangement-amount"


def test_a_fee_is_read_out_agreed_to_and_waits_for_the_next_bill(house, maria):
    files = {**default_rulebook().files, "arrangements.toml": default_rulebook().files["arrangements.toml"].replace("fee = 0", "fee = 1000")}
    rulebooks.activate(act=carrier_act(FRIDAY), rulebook=replace(default_rulebook(), files=files), from_at=FRIDAY, seconded_by="Job:tests")
    rulebook_queries.forget()
    ana = Desk(house["ana"], FRIDAY).take_call(maria)
    assert agree(ana, maria).refusal.rule == "arrangement-consent"
    assert agree(ana, maria, consent=1000).ok
    charge = UnbilledCharge.objects.get()
    assert (charge.amount_minor, charge.label) == (1000, "Payment arrangement") and "costs $10.00 before tax" in Terms.objects.get().read_out


# ---------------------------------------------------------------- once, whatever happens


def test_a_bill_that_was_corrected_counts_as_the_one_in_its_place(ana, maria):
    from careline.domain.ledger import operations
    from careline.domain.ledger.models import Bill, BillLine

    agree(ana, maria)
    take(ana, maria, 7100)
    old = Bill.objects.get()
    operations.reverse_bills_many([old], FRIDAY)
    new = Bill(number="B-NEW", account=maria, period_start=old.period_start, period_end=old.period_end, issued_on=old.issued_on, due_on=old.due_on, total_minor=9000, corrects=old)
    operations.post_bills_many([new], [(new, BillLine(kind="plan", label="Plus 15 GB", amount_minor=9000))], FRIDAY)
    assert ledger.balance(maria.pk) == 1900 and holds(maria, "2026-12-11").amount_minor == 1900


def test_questions_do_not_grow_with_the_accounts(house):
    counts = []
    accounts = []
    for n in range(3):
        account = past_due(f"Person {n}", f"+1206555020{n}", f"A-020000{n}")
        assert agree(Desk(house[("ana", "ben", "eva")[n]], FRIDAY).take_call(account), account).ok
        accounts.append(account.pk)
        with CaptureQueriesContext(connection) as asked:
            assert len(queries.holding(accounts, date(2026, 11, 27))) == n + 1
        counts.append(len(asked))
    assert counts == [6, 6, 6]


def test_a_crash_at_any_statement_of_the_night_leaves_all_or_nothing(committed_house):
    maria = past_due()
    agree(Desk(committed_house["ana"], FRIDAY).take_call(maria), maria)
    before = rows()
    for n in range(200):
        crash = CrashAt(n)
        try:
            with connection.execute_wrapper(crash):
                settle_day(night("2026-11-28"))
        except Crash:
            if Arrangement.objects.get().state == "alive":
                assert rows() == before, f"a crash at statement {n} left something behind"
                continue
        break
    assert n > 10 and settle_day(night("2026-11-28")).looked_at == 0, "once it is there, the next run finds nothing"
    assert Outbox.objects.filter(topic="arrangement_broken").count() == Line.objects.filter(code="arrangements.settle").count() == 1
    assert not list(journal.verify())


def test_two_associates_and_a_double_click_make_one_arrangement(committed_house, racing):
    maria = past_due()
    ana, ben = (Desk(committed_house[name], FRIDAY).take_call(maria) for name in ("ana", "ben"))
    outcomes = racing(partial(agree, ana, maria, key_="one-click-of-ana"), partial(agree, ana, maria, key_="one-click-of-ana"), partial(agree, ben, maria))
    assert outcomes[0] == outcomes[1] and sorted(o.status for o in outcomes[1:]) == ["done", "refused"]
    assert Arrangement.objects.count() == Terms.objects.count() == Outbox.objects.filter(topic="arrangement").count() == 1
    assert not list(journal.verify())


def test_two_nights_and_a_payment_at_once_end_it_once(committed_house, racing):
    maria = past_due()
    ana = Desk(committed_house["ana"], FRIDAY).take_call(maria)
    agree(ana, maria)
    calls_again(ana, maria, hours=14, minutes=10)  # ten past midnight
    racing(partial(settle_day, ana.at), partial(settle_day, ana.at), partial(take, ana, maria, 14200))
    row = Arrangement.objects.get()
    assert (row.state, row.ended_on) == ("broken", date(2026, 11, 28)), "the day was over, whoever came first"
    assert Line.objects.filter(code="arrangements.settle").count() == 1


# ---------------------------------------------------------------- later parts, charged on their day

NINE = timedelta(hours=9)  # from ten past midnight on: the hour of the policy, and ten minutes


def charged(ana, maria):
    """Maria lets the later part be charged to her Visa; the first one she pays in the call."""
    assert agree(ana, maria, method=maria.payment_methods.get().pk).ok
    take(ana, maria, 7100)
    return Arrangement.objects.get()


def test_a_later_part_is_charged_on_its_day_once_and_closes_the_arrangement(ana, maria):
    row = charged(ana, maria)
    terms = Terms.objects.get()
    assert "Each later part is charged to your Visa …4242 on its day." in terms.read_out and "Cada pago siguiente se cargará a Visa …4242" in terms.told
    assert charge_day(night("2026-11-27") + NINE) == charge_day(night("2026-12-10") + NINE) == {}, "the first is taken in the call, the second not before its day"
    assert charge_day(night("2026-12-11") + timedelta(hours=8)) == {}, "not before nine"
    assert [charge_day(night("2026-12-11") + NINE), charge_day(night("2026-12-11") + 2 * NINE)] == [{"taken": 1}, {}]
    row.refresh_from_db()
    assert row.state == "kept" and ledger.balance(maria.pk) == 0
    said = [line.content["say"] for line in Line.objects.filter(code="arrangements.charge")]
    assert said[0] == "Part of the arrangement: $71.00 with Visa …4242 is under way" and said[1].startswith("Part of the arrangement: $71.00 with Visa …4242, PY-")
    assert "cargamos $71.00 a Visa …4242" in Outbox.objects.latest("pk").body
    assert not list(journal.verify())


def test_a_part_that_is_declined_is_told_at_once_and_breaks_a_day_later_than_one_that_nobody_paid(ana, maria):
    charged(ana, maria)
    maria.payment_methods.update(token="tok-visa-funds")
    assert [charge_day(night("2026-12-11") + NINE), charge_day(night("2026-12-11") + 2 * NINE)] == [{"declined": 1}, {}]
    assert "rechazó $71.00" in Outbox.objects.latest("pk").body
    assert settle_day(night("2026-12-12")).broken == 0 and settle_day(night("2026-12-13")).broken == 1


@pytest.mark.parametrize("then", ["stopped", "agreed anew", "cancelled", "held", "paid", "paid in part"])
def test_nothing_is_charged_that_was_stopped_changed_held_or_paid(ana, maria, house, then):
    charged(ana, maria)
    calls_again(ana, maria, days=3)
    later = [{"due_on": "2026-12-11", "amount": 7100}]
    if then == "stopped":
        assert ana.must("arrangements.stop_charging", account=maria.pk, words="She pays it at the bank").say.endswith("charged no more")
        assert ana.act("arrangements.stop_charging", account=maria.pk, words="Again").refusal.rule == "nothing-charged"
    elif then == "agreed anew":
        ana.must("arrangements.change", account=maria.pk, parts=later, words="She pays it herself")
    elif then == "cancelled":
        ana.must("arrangements.cancel", account=maria.pk, words="Pays it all")
    elif then == "held":
        ana.must("collections.hold", account=maria.pk, kind="bankruptcy", words="Letter from the court")
    else:
        pay(maria, 7100 if then == "paid" else 7000, night("2026-12-10"))
    assert charge_day(night("2026-12-11") + NINE) == ({"taken": 1} if then == "paid in part" else {})
    assert [c.amount_minor for c in Charge.objects.filter(key__startswith="part:")] == ([100] if then == "paid in part" else [])


def test_a_lost_answer_is_asked_after_and_a_payment_under_way_is_waited_for(ana, maria):
    row = charged(ana, maria)
    Charge.objects.create(account=maria, key="at-the-desk", amount_minor=7100, at=night("2026-12-11"))
    assert charge_day(night("2026-12-11") + NINE) == {}, "it may be this very part that is under way"
    Charge.objects.filter(key="at-the-desk").update(state="declined")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SandboxPayments, "charge", lambda self, **given: (_ for _ in ()).throw(ConnectionError()))
        assert charge_day(night("2026-12-11") + NINE) == {"pending": 1}
    act = replace(carrier_act(night("2026-12-11") + 2 * NINE), who=worker.WORKER)
    assert [c.state for c in charging.finish(act=act, rulebook=default_rulebook(), before=act.at)] == ["taken"]
    assert charging.finish(act=act, rulebook=default_rulebook(), before=act.at) == []
    row.refresh_from_db()
    assert row.state == "kept" and Payment.objects.filter(account=maria).count() == 2


def test_a_try_that_never_left_is_not_taken_days_later(ana, maria):
    charged(ana, maria)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SandboxPayments, "charge", lambda self, **given: (_ for _ in ()).throw(ConnectionError()))
        charge_day(night("2026-12-11") + NINE)
    act = carrier_act(night("2026-12-14"))
    assert [c.state for c in charging.finish(act=act, rulebook=default_rulebook(), before=act.at)] == ["declined"]
    assert Payment.objects.filter(account=maria).count() == 1


def test_a_method_that_cannot_be_charged_then_is_refused_with_what_to_do(ana, maria):
    own = maria.payment_methods.get()
    PaymentMethod.objects.filter(pk=own.pk).update(expires_on=date(2026, 11, 30))
    assert "expires before the last part" in agree(ana, maria, method=own.pk).say
    PaymentMethod.objects.filter(pk=own.pk).update(expires_on=None)
    somebody = past_due("Ben Ode", "+12065550111", "A-0000077").payment_methods.get()
    assert "saved method of this account" in agree(ana, maria, method=somebody.pk).say
    assert "nothing to charge later" in agree(ana, maria, [{"due_on": "2026-11-27", "amount": 14200}], method=own.pk).say
    maria.lines.update(can_text=False)
    assert "in writing first" in agree(ana, maria, method=own.pk).say
    assert not Arrangement.objects.exists() and not Outbox.objects.filter(topic="arrangement").exists()


def test_a_broken_one_ends_autopay_where_that_was_read_out(ana, maria, house):
    Account.objects.update(autopay=True)
    agree(ana, maria)
    assert "is switched off if a part does not come" in Terms.objects.get().read_out
    take(ana, maria, 7100)
    settle_day(night("2026-12-12"))
    assert Account.objects.get().autopay is False
    assert "El pago automático queda desactivado." in Outbox.objects.get(topic="arrangement_broken").body
    assert "; autopay is off" in Line.objects.get(code="arrangements.settle").content["say"]


def test_two_jobs_at_once_charge_a_part_once(committed_house, racing):
    maria = past_due()
    ana = Desk(committed_house["ana"], FRIDAY).take_call(maria)
    charged(ana, maria)
    at = night("2026-12-11") + NINE
    racing(partial(charge_day, at), partial(charge_day, at))
    assert Payment.objects.filter(account=maria).count() == 2 and Charge.objects.filter(key__startswith="part:").count() == 1


def test_what_was_agreed_goes_by_mail_where_no_text_arrives_and_says_so_where_nothing_does(ana, maria):
    maria.lines.update(status="suspended", suspended_for="non_payment", status_reason="not paid")
    Customer.objects.filter(pk=maria.customer_id).update(email="maria@example.com")
    ana.must("arrangements.agree", account=maria.pk, parts=HALVES)
    sent, terms = Outbox.objects.get(topic="arrangement"), Terms.objects.get()
    assert (sent.channel, sent.to, terms.told_to, terms.told) == ("email", "maria@example.com", "mail", sent.body) and sent.subject
    Customer.objects.filter(pk=maria.customer_id).update(email="")
    ana.must("arrangements.cancel", account=maria.pk, words="She changed her mind")
    assert Outbox.objects.filter(topic="arrangement").count() == 1, "nothing goes to a line that gets nothing"
