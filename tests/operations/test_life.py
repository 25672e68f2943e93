"""A customer's life in any order, time moved by hand: billed, paid, paid back, credited, disputed, held, arranged, agreed anew, broken, suspended, restored,
called, stopped. After every step the ledger adds up, nothing was done twice, nothing held was collected, and nobody was reached against the rules."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from hypothesis import HealthCheck
from hypothesis import settings as pace
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from careline.acts.perform import perform
from careline.domain.arrangements import operations as arrangements
from careline.domain.arrangements import queries as promised
from careline.domain.arrangements.rules import Part
from careline.domain.collections import operations, queries, rules
from careline.domain.collections.models import Climb, Hold, LateFee, Placement, Step
from careline.domain.contacts.models import Contact
from careline.domain.customers import operations as customers
from careline.domain.customers.models import Account, Line
from careline.domain.journal import queries as journal
from careline.domain.journal.models import Outbox
from careline.domain.ledger import operations as ledger
from careline.domain.ledger import queries as ledger_queries
from careline.domain.ledger.models import Bill, Entry, Payment
from careline.doors.jobs import night, worker
from careline.foundation.act import Who
from careline.foundation.calendar import civil_date
from tests.people import Desk, carrier_act, default_rulebook, issue_bill, key, open_account, pay

LADDER = default_rulebook().ladder
PLACED = sorted(code for code, kind in LADDER.holds.items() if kind.placed)


class Life(RuleBasedStateMachine):
    """Nora lives with nights, her twin without any: the same befalls both."""

    ana = None

    def __init__(self) -> None:
        super().__init__()
        self.start = transaction.savepoint()
        self.at = datetime(2026, 3, 2, 15, tzinfo=UTC)  # ten in the morning in New York
        self.two = [open_account(name, number, ref, bills=0) for name, number, ref in (("Nora", "+12065550101", "A-1"), ("Twin", "+12065550102", "A-2"))]
        Account.objects.update(opened_on=date(2025, 3, 1))
        self.stopped = False
        for account in self.two:  # due on February 21: nine days past due as the story begins
            issue_bill(account, account.lines.get(), date(2026, 2, 1), 8000)

    def teardown(self) -> None:
        transaction.savepoint_rollback(self.start)

    @property
    def nora(self) -> Account:
        return self.two[0]

    @property
    def day(self) -> date:
        return civil_date(self.at, settings.CARRIER_ZONE)

    def act(self):
        return replace(carrier_act(self.at), who=self.ana.who)

    def known(self, account: Account) -> queries.Known:
        return queries.known([account.pk], self.day, LADDER)[account.pk]

    def owed(self, account: Account) -> int:
        return sum(left for *_, left in ledger_queries.owed_of([account.pk], self.day - timedelta(days=1)))

    # ------------------------------------------------------------ what befalls them

    @rule(amount=st.sampled_from([900, 2400, 8000, 14200]))
    def bill(self, amount: int) -> None:
        for account in self.two:
            issue_bill(account, account.lines.get(), self.day, amount)

    @rule(percent=st.sampled_from([10, 50, 99, 100, 120]))
    def pays(self, percent: int) -> None:
        for account in self.two:
            if (minor := ledger_queries.balance(account.pk) * percent // 100) > 0:
                pay(account, minor, self.at)

    @rule()
    def comes_back(self) -> None:
        for account in self.two:
            last = Payment.objects.filter(account=account, returns=None, returned_by=None).order_by("-pk").first()
            if last is not None:
                ledger.return_payment(act=carrier_act(self.at), payment=last, label="R01")

    @rule(amount=st.sampled_from([100, 3000]))
    def credited(self, amount: int) -> None:
        for n, account in enumerate(self.two):
            ledger.post_credit(act=carrier_act(self.at), account_id=account.pk, amount_minor=amount, reference=f"CR-{Entry.objects.count()}-{n}", label="Goodwill")

    @rule(kind=st.sampled_from(PLACED), amount=st.sampled_from([None, 3000]))
    def held(self, kind: str, amount: int | None) -> None:
        if any(h.kind == kind for h in queries.in_force([self.nora.pk], self.day)):
            return
        for account in self.two:
            part = amount if LADDER.holds[kind].part else None
            operations.place_hold(act=self.act(), account_id=account.pk, kind=kind, ends_on=None, review_on=None, amount_minor=part)

    @rule()
    def let_go(self) -> None:
        for hold in Hold.objects.filter(lifted_at=None):
            operations.lift_hold(act=self.act(), hold_id=hold.pk)

    @rule(amount=st.sampled_from([None, 1500]))
    def disputes(self, amount: int | None) -> None:
        """The oldest bill that is open, or an amount of it."""
        for account in self.two:
            owed = sorted(ledger_queries.owed_of([account.pk], self.day), key=lambda row: row[2])
            if owed and not any(h.kind == "dispute" and h.bill_id == owed[0][1] for h in queries.in_force([account.pk], self.day)):
                operations.place_hold(act=self.act(), account_id=account.pk, kind="dispute", ends_on=None, review_on=None, amount_minor=amount, bill_id=owed[0][1])

    def settles(self) -> None:
        """As any act about an arrangement does first."""
        for account in self.two:
            arrangements.settle_many(act=self.act(), account_ids=[account.pk], day=self.day)

    def in_two_parts(self, account: Account, days: int) -> dict:
        owed = self.owed(account)
        parts = [Part(self.day, owed // 2), Part(self.day + timedelta(days=days), owed - owed // 2)]
        return {"act": self.act(), "account_id": account.pk, "parts": parts, "promise": arrangements.Promise(0, None, "You pay it in two parts.", "", "")}

    @rule(days=st.integers(1, 20))
    def arranges(self, days: int) -> None:
        self.settles()
        for account in self.two:
            if self.owed(account) >= 2 and promised.living(account.pk, self.day) is None:
                arrangements.agree(number=arrangements.next_number(), fee_minor=0, **self.in_two_parts(account, days))

    @rule(days=st.integers(1, 20))
    def agrees_anew(self, days: int) -> None:
        self.settles()
        for account in self.two:
            if self.owed(account) >= 2 and promised.living(account.pk, self.day) is not None:
                arrangements.agree_anew(**self.in_two_parts(account, days))

    @precondition(lambda self: promised.living(self.nora.pk, self.day) is not None)
    @rule()
    def lets_a_part_pass(self) -> None:
        """The day after the next part that is not here it is broken, found or not, and holds nothing."""
        self.settles()
        standing = promised.living(self.nora.pk, self.day)
        if standing is None or standing.progress.next is None:
            return
        self.at += timedelta(days=(standing.progress.next.due_on - self.day).days + 1)
        assert self.nora.pk not in promised.holding([self.nora.pk], self.day)
        self.settles()
        assert promised.living(self.nora.pk, self.day) is None

    @rule()
    def calls_it_off(self) -> None:
        for account in self.two:
            arrangements.settle_many(act=self.act(), account_ids=[account.pk], day=self.day)
            if promised.living(account.pk, self.day) is not None:
                arrangements.cancel(act=self.act(), account_id=account.pk)

    @rule()
    def is_left_alone_until_the_line_is_barred(self) -> None:
        """A night a day, and every notice sent: the way there is the ladder's, rung by rung."""
        self.at = self.at.replace(hour=14) + timedelta(days=self.at.hour > 14)  # four hours later somebody may be reached, whatever hour it was
        for _ in range(45):
            if rules.bar_at(LADDER, rules.target(LADDER, self.known(self.nora).facts, self.day).index) in ("", self.line.bar):
                break
            self.night_comes()
            worker.send_due(at=self.at + timedelta(hours=4))
            self.at += timedelta(days=1)
        goal = rules.target(LADDER, self.known(self.nora).facts, self.day)
        wants = rules.bar_at(LADDER, goal.index)
        assert self.line.suspended_for == "lost" or self.line.status == "cancelled" or not wants or self.line.bar, "45 nights, and not barred"

    @rule()
    def pays_all_and_is_back_within_a_minute(self) -> None:
        self.at += timedelta(seconds=1)
        for account in self.two:
            if (minor := ledger_queries.balance(account.pk)) > 0:
                pay(account, minor, self.at)
        night.relieve(at=self.at + timedelta(seconds=worker.RELIEVE_EVERY))
        if not self.known(self.nora).facts.debts:
            assert not Climb.objects.filter(account=self.nora, ended_at=None).exists(), "paid, and on a rung"
            assert self.line.status in ("active", "cancelled") or self.line.suspended_for == "lost"
        self.at += timedelta(minutes=1)

    @property
    def line(self) -> Line:
        return Line.objects.get(account=self.nora)

    @precondition(lambda self: self.line.status == "active")
    @rule()
    def loses_the_phone(self) -> None:
        """Barred at her own wish: nothing that the ladder does brings that line back."""
        for line in Line.objects.filter(status="active"):
            customers.suspend_line(act=self.act(), line_id=line.pk, reason="lost", words="lost", day=self.day)

    @precondition(lambda self: self.line.suspended_for == "lost" and not Climb.objects.filter(ended_at=None).exclude(bar="").exists())
    @rule()
    def finds_the_phone(self) -> None:
        for line in Line.objects.filter(suspended_for="lost"):
            customers.restore_line(act=self.act(), line_id=line.pk, day=self.day)

    @rule(word=st.sampled_from(["STOP", "START"]))
    def answers(self, word: str) -> None:
        for line in Line.objects.exclude(status="cancelled"):
            perform("contacts.reply", {"number": line.msisdn, "text": word}, who=Who("Service", "9", "Gateway", "service"), key=key(), at=self.at)
        self.stopped = word == "STOP"

    @rule(hour=st.integers(0, 23))
    def is_called(self, hour: int) -> None:
        """A collector tries at any hour that they like; it is let through within the rules only, and nobody picks up."""
        at = self.at.replace(hour=hour)
        self.at = at if at >= self.at else at + timedelta(days=1)
        ana = Desk(self.ana, self.at)
        facts, quiet = self.known(self.nora).facts, queries.quiet([self.nora.pk], self.day, LADDER)
        done = ana.act("collections.call", account=self.nora.pk)
        if done.ok:
            assert 8 <= self.at.astimezone(ZoneInfo("America/Los_Angeles")).hour < 21 and not quiet, "called out of hours"
            assert rules.target(LADDER, facts, self.day).index >= 0, "called about what is paid or held"
            assert Contact.objects.filter(account=self.nora, reason="past_due", began__gt=self.at - timedelta(days=7)).count() <= 7
            ana.contact = int(done.show["id"])
            ana.must("contacts.end")
            ana.must("contacts.wrap_up", summary="Nobody picked up", disposition="no_contact", root_cause="past_due")

    @rule(days=st.sampled_from([1, 1, 3, 7, 15, 30]))
    def lives_on(self, days: int) -> None:
        self.at += timedelta(days=days)

    @rule()
    def night_comes(self) -> None:
        """Nora's night; nothing of it may be about what is held, and whoever owes nothing stands on no rung after it."""
        before, fees = set(Step.objects.values_list("pk", flat=True)), LateFee.objects.count()
        known = self.known(self.nora)
        arrangements.settle_many(act=self.act(), account_ids=[self.nora.pk], day=self.day)
        night.of_some([self.nora.pk], self.at)
        self.at += timedelta(seconds=5)  # whatever comes now comes after it
        night.relieve(at=self.at)
        new = Step.objects.exclude(pk__in=before)
        if any(h.whole and LADDER.holds[h.kind].most == "" for h in known.facts.holds):
            assert not new.exists() and LateFee.objects.count() == fees, "collected while all is held"
        free = sum(d.open for d in rules.free_debts(known.facts.debts, known.facts.holds))
        assert all(s.owed_minor <= free for s in new), "asked for more than what is not held"
        owes = sum(d.open for d in self.known(self.nora).facts.debts) >= LADDER.least
        climb = Climb.objects.filter(account=self.nora, ended_at=None).first()
        line = Line.objects.get(account=self.nora)
        if not owes:
            assert climb is None, "paid, and on a rung"
            assert line.status in ("active", "cancelled") or line.suspended_for == "lost", "paid, and the line is off"
        if climb is not None:
            assert rules.place_of(LADDER, rules.Climb(climb.since, climb.rung, climb.rung_days)) <= rules.decide(LADDER, known.facts, known.climb, self.day).free.index
            assert line.status == "cancelled" or line.suspended_for == "lost" or (line.bar if line.status == "suspended" else "") == climb.bar, "the line does not stand as its climb says"

    @rule(hour=st.integers(0, 23))
    def the_sender_wakes(self, hour: int) -> None:
        """Messages go at any hour that the sender likes, and only within the rules."""
        at = self.at.replace(hour=hour)
        if at < self.at:
            at += timedelta(days=1)
        self.at = at
        quiet = queries.quiet([self.nora.pk], self.day, LADDER)
        before = set(Outbox.objects.filter(state="sent").values_list("pk", flat=True))
        worker.send_due(at=at)
        went = [m for m in Outbox.objects.filter(state="sent", account_id=self.nora.pk).exclude(pk__in=before) if m.channel != "letter"]
        asked = [m for m in went if m.topic == "stop_confirmation"]
        assert len(went) == len(asked) or (8 <= at.astimezone(ZoneInfo("America/Los_Angeles")).hour < 21 and not quiet)
        assert not self.stopped or not any(m.channel == "sms" for m in went if m not in asked), "texted after STOP"
        if any(m.topic == "collections" for m in went):
            assert rules.target(LADDER, self.known(self.nora).facts, self.day).index >= 0, "told of what is paid or held"

    # ------------------------------------------------------------ what holds always

    @invariant()
    def the_ledger_adds_up(self) -> None:
        for account in self.two:
            opened = sum(left for *_, left in ledger_queries.owed_of([account.pk], date.max))
            paid_back = sum(left for _, left in (ledger_queries.open_of_many([account.pk]).get(account.pk) or _NOTHING).debits)
            unapplied = ledger_queries.unapplied_of(account.pk)
            assert ledger_queries.balance(account.pk) == opened + paid_back - unapplied
            total = Entry.objects.filter(account=account).aggregate(s=Sum("amount_minor"))["s"]
            assert total == ledger_queries.balance(account.pk)

    @invariant()
    def nothing_is_done_twice(self) -> None:
        steps = Counter(Step.objects.values_list("climb", "turn", "rung", "effect"))
        assert max(steps.values(), default=0) <= 1 and LateFee.objects.count() == LateFee.objects.values("bill").distinct().count()
        assert Climb.objects.filter(ended_at=None).count() <= 1 and not Climb.objects.filter(account=self.two[1]).exists()
        assert Placement.objects.count() == Placement.objects.values("climb").distinct().count()

    @invariant()
    def the_caps_hold(self) -> None:
        sent = sorted(Outbox.objects.filter(state="sent", account_id=self.nora.pk, channel="sms", topic="collections").values_list("sent_at", flat=True))
        assert all(later - first > timedelta(days=7) for first, later in zip(sent, sent[3:], strict=False)), "four texts in a week"

    @precondition(lambda self: not Entry.objects.filter(kind="write_off").exists())
    @invariant()
    def the_rung_follows_from_the_history_and_not_from_the_nights(self) -> None:
        one, other = (rules.target(LADDER, self.known(account).facts, self.day) for account in self.two)
        assert one == other

    @invariant()
    def the_journal_proves_itself(self) -> None:
        assert not list(journal.verify())


class _Nothing:
    debits: tuple[tuple[int, int], ...] = ()


_NOTHING = _Nothing()


def test_whatever_befalls_a_customer_in_any_order(house):
    assert Bill.objects.count() == 0
    Life.ana = house["ana"]
    many = 300 if pace.get_current_profile_name() == "deep" else 12
    run_state_machine_as_test(
        Life, settings=pace(max_examples=many, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
    )
