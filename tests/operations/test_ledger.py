"""Money under random lives of an account: nothing is lost, made or paid twice, whatever happens in whatever order.

Each life runs on the real database inside a transaction that is rolled back. After every deed the books are added up
anew, against a second bookkeeping that the test keeps by itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings as django
from django.db import connection, transaction
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from careline.acts.declare import BasisRef
from careline.domain.credits import operations as credits
from careline.domain.credits import queries as credit_queries
from careline.domain.credits.models import Grant, GrantPart
from careline.domain.customers.models import Account, AccountPerson, Customer, Line, Person
from careline.domain.ledger import operations as ledger
from careline.domain.ledger import queries, rules
from careline.domain.ledger.models import Allocation, Bill, BillLine, Entry, Payment, Refund
from careline.domain.staff import operations as staff
from careline.foundation.act import NO_BASIS, Act
from careline.foundation.money import parsed, share
from careline.foundation.refusal import Refused
from tests import people
from tests.people import TUESDAY, Desk, issue_bill, key, open_account, plus_plan

# A third of the profile's examples: each life is some dozen deeds on a database.
LIVES = settings(
    max_examples=max(settings().max_examples // 3, 10), deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
POLICY = {"title": "Billing error", "tax": "proportional"}
GESTURE = {"title": "Goodwill", "tax": "none"}
CHART = people.default_rulebook().books


def allocated(**of: object) -> int:
    return Allocation.objects.filter(**of).aggregate(s=Sum("amount_minor"))["s"] or 0


class Books:
    """One account that lives: every deed goes through the room's own operations and is counted a second time here."""

    def __init__(self, clerk, begins: datetime = TUESDAY) -> None:
        self.clerk, self.number, self.day = clerk, itertools.count(1), begins.date()
        customer = Customer.objects.create(name="Maria Okafor")
        self.account = Account.objects.create(source_key="K-1", reference="A-9000001", customer=customer, opened_on=date(2019, 5, 2))
        self.line = Line.objects.create(
            source_key="L-1", account=self.account, msisdn="+12065550188", plan=plus_plan(), activated_on=date(2019, 5, 2), number_since=TUESDAY
        )
        self.owed = 0  # the second bookkeeping, in which nothing is ever given up
        self.given_up = 0
        self.sent: dict[str, tuple[dict, list[dict]]] = {}  # the bills that stand, as another system sent them
        self.carried: dict[str, tuple[str, int]] = {}  # of these: which credit they carry, and how much of it
        self.moment = begins

    def act(self) -> Act:
        self.moment += timedelta(minutes=1)
        return Act(self.clerk.who, self.moment, "", key(), NO_BASIS)

    # ---- what another system sends

    def bill_row(self, charges, source_key: str, corrects: str | None = None, credit: str | None = None, off: int = 0) -> tuple[dict, list[dict]]:
        n = next(self.number)
        rows = []
        if credit is not None:  # a credit that was given here, as the biller puts it: a line, and a tax on it
            tax = share(off, 90_000, 1_000_000)
            rows.append({**self.line_row(f"{source_key}-c", "other", off - tax), "credit": credit})
            rows += [self.line_row(f"{source_key}-ct", "tax", tax, taxes=f"{source_key}-c")] if tax else []
        for i, (amount, ppm) in enumerate(charges):
            name = f"{source_key}-{i}"
            rows.append(self.line_row(name, "plan" if amount > 0 else "discount", amount))
            if tax := share(amount, ppm, 1_000_000):
                rows.append(self.line_row(f"{name}t", "tax", tax, taxes=name, tax_rate_ppm=ppm))
        issued = self.day + timedelta(days=n)
        bill = {
            "source_key": source_key, "account": "K-1", "number": f"B-{n}", "period_start": issued, "period_end": issued,
            "issued_on": issued, "due_on": issued + timedelta(days=20 - 7 * (n % 5)), "corrects": corrects,
            "total_minor": sum(r["amount_minor"] for r in rows),
        }  # fmt: skip
        return bill, rows

    def line_row(self, source_key: str, kind: str, amount: int, taxes: str | None = None, tax_rate_ppm: int = 0) -> dict:
        return {"source_key": source_key, "bill": "", "line": "L-1", "kind": kind, "label": kind, "amount_minor": amount,
                "unit_price_minor": amount, "taxes": taxes, "tax_rate_ppm": tax_rate_ppm, "quantity": Decimal(1)}  # fmt: skip

    def send_bill(self, charges) -> None:
        source_key = f"S-{next(self.number)}"
        self.sent[source_key] = self.bill_row(charges, source_key)
        assert ledger.import_bills_many(act=self.act(), rows=[self.sent[source_key]]) == ["written"]
        self.owed += self.sent[source_key][0]["total_minor"]

    def carry(self, pick: int, off: int, charges, old: int | None = None) -> None:
        """The other system has a credit of ours, or what takes one back, on a bill or on the correction of one; perhaps a part of it, or
        more than it, or once more."""
        given = list(Grant.objects.order_by("pk"))
        if not given:
            return
        grant, source_key = given[pick % len(given)], f"S-{next(self.number)}"
        corrects = list(self.sent)[old % len(self.sent)] if old is not None and self.sent else None
        sign = -1 if grant.total_minor > 0 else 1
        row = self.bill_row(charges, source_key, corrects, grant.number, sign * off)
        assert ledger.import_bills_many(act=self.act(), rows=[row]) == ["written"]
        if corrects:
            self.forget(corrects)
        there = sum(amount for number, amount in self.carried.values() if number == grant.number)
        self.carried[source_key] = (grant.number, sign * min(off, abs(grant.total_minor) - abs(there)))
        self.sent[source_key] = row
        self.owed += row[0]["total_minor"] - self.carried[source_key][1]
        wrong = self.bill_row(charges, f"S-{next(self.number)}", None, grant.number, -sign * max(off, 2))
        assert "the other way" in ledger.import_bills_many(act=self.act(), rows=[wrong])[0]
        unnamed = [{**n, "credit": None} for n in row[1]]  # as our own export has it: it says nothing of the credit
        assert ledger.import_bills_many(act=self.act(), rows=[(row[0], unnamed)]) == ["unchanged"]

    def forget(self, source_key: str) -> None:
        self.owed -= self.sent.pop(source_key)[0]["total_minor"] - self.carried.pop(source_key, ("", 0))[1]

    def send_again(self, pick: int) -> None:
        if self.sent:
            row = list(self.sent.values())[pick % len(self.sent)]
            assert ledger.import_bills_many(act=self.act(), rows=[row]) == ["unchanged"]

    def send_other(self, pick: int, more: int) -> None:
        """The same bill with another amount: rejected. Under a key of its own that names it: the old one is taken back."""
        if not self.sent:
            return
        source_key = list(self.sent)[pick % len(self.sent)]
        bill, rows = self.sent[source_key]
        rows = [{**rows[0], "amount_minor": rows[0]["amount_minor"] + more}, *rows[1:]]
        (fate,) = ledger.import_bills_many(act=self.act(), rows=[({**bill, "total_minor": bill["total_minor"] + more}, rows)])
        assert "never edited" in fate

    def correct(self, pick: int, charges) -> None:
        if not self.sent:
            return
        old = list(self.sent)[pick % len(self.sent)]
        source_key = f"S-{next(self.number)}"
        row = self.bill_row(charges, source_key, corrects=old)
        assert ledger.import_bills_many(act=self.act(), rows=[row]) == ["written"]
        self.forget(old)
        self.owed += row[0]["total_minor"]
        self.sent[source_key] = row
        twice = self.bill_row(charges, f"S-{next(self.number)}", corrects=old)
        assert "corrected already" in ledger.import_bills_many(act=self.act(), rows=[twice])[0]

    def payment_row(self, amount: int, returns: str | None = None) -> dict:
        n = next(self.number)
        return {"source_key": f"Y-{n}", "account": "K-1", "number": f"P-{n}", "amount_minor": amount, "method": "Visa",
                "received_at": self.moment, "provider_reference": "", "returns": returns}  # fmt: skip

    def pay(self, amount: int, imported: bool) -> None:
        act = self.act()
        if imported:
            row = self.payment_row(amount)
            assert ledger.import_payments_many(act=act, rows=[row]) == ["written"]
            assert ledger.import_payments_many(act=act, rows=[row]) == ["unchanged"]
        else:
            n = next(self.number)
            ledger.post_payment(act=act, account_id=self.account.pk, amount_minor=amount, method="Visa", source_key=f"Y-{n}", provider_reference=f"sbx-{n}")
        self.owed -= amount

    def pay_and_return_at_once(self, amount: int) -> None:
        act = self.act()
        paid = self.payment_row(amount)
        back = self.payment_row(amount, returns=paid["source_key"])
        assert ledger.import_payments_many(act=act, rows=[paid, back]) == ["written", "written"]

    def give_back_payment(self, pick: int) -> None:
        standing = list(Payment.objects.filter(returns=None, returned_by=None).order_by("pk"))
        if standing:
            paid = standing[pick % len(standing)]
            ours = [r.amount_minor for r in Refund.objects.filter(payment=paid, recognised=None).exclude(state="refused")]
            if paid.amount_minor in (*ours, sum(ours)):  # the same of a payment that we gave back is our refund: the bank's return is a second one
                row = self.payment_row(paid.amount_minor, returns=paid.source_key)
                assert ledger.import_payments_many(act=self.act(), rows=[row, row]) == ["unchanged", "unchanged"]
            row = self.payment_row(paid.amount_minor, returns=paid.source_key)
            assert ledger.import_payments_many(act=self.act(), rows=[row]) == ["written"]
            self.owed += paid.amount_minor
            again = self.payment_row(paid.amount_minor, returns=paid.source_key)
            assert "once" in ledger.import_payments_many(act=self.act(), rows=[again])[0]

    # ---- what is done at the desk

    def credit(self, pick: int, amount: int, on_line: bool) -> None:
        charges = list(BillLine.objects.filter(amount_minor__gt=0, bill__corrected_by=None).exclude(kind="tax").order_by("pk")) if on_line else []
        charge = charges[pick % len(charges)] if charges else None
        left = charge.amount_minor - credit_queries.credited_on_line(charge.pk) if charge else 10**9
        act = self.act()
        staff.lock_spending(staff_id=self.clerk.pk, kind="credit", day=self.day)
        give = lambda minor: credits.grant(  # noqa: E731
            act=act, account_id=self.account.pk, amount_minor=minor, reason="billing_error",
            policy=POLICY if charge else GESTURE, bill_line_id=charge.pk if charge else None, day=self.day,
        )
        if amount > left:
            with pytest.raises(Refused), transaction.atomic():
                give(amount)
            amount = left
        if amount > 0:
            self.owed -= give(amount).total_minor

    def take_back(self, pick: int) -> None:
        standing = list(Grant.objects.filter(reverses=None, reversed_by=None).order_by("pk"))
        if standing:
            given = standing[pick % len(standing)]
            credits.reverse(act=self.act(), number=given.number)
            self.owed += given.total_minor
            with pytest.raises(Refused), transaction.atomic():
                credits.reverse(act=self.act(), number=given.number)

    def write_off(self, amount: int) -> None:
        owing = sum(i.open_minor for i in queries.open_items(queries.bills_of(self.account.pk)) if i.open_minor > 0)
        if amount > owing:
            with pytest.raises(Refused), transaction.atomic():
                ledger.write_off(act=self.act(), account_id=self.account.pk, amount_minor=amount, label="Written off")
            amount = owing
        if amount:
            ledger.write_off(act=self.act(), account_id=self.account.pk, amount_minor=amount, label="Written off")
            self.given_up += amount

    def recover(self, pick: int, amount: int) -> None:
        standing = queries.written_off_of(self.account.pk)
        if standing:
            entry, left = standing[pick % len(standing)]
            more = {"act": self.act(), "account_id": self.account.pk, "reference": entry.reference}
            if amount > left:
                with pytest.raises(Refused), transaction.atomic():
                    ledger.recover(amount_minor=amount, **more)
            ledger.recover(amount_minor=min(amount, left), **more)

    def refund(self, pick: int, amount: int, done: bool, waits: bool = False) -> None:
        """Money goes back; the provider may answer later (`waits`), and much can happen until then."""
        able = queries.refundable(self.account.pk)
        if able:
            payment, room = able[pick % len(able)]
            assert 0 < room <= min(payment.amount_minor, -queries.balance(self.account.pk))
            row = ledger.begin_refund(act=self.act(), payment=payment, amount_minor=min(amount, room), key=key())
            assert queries.refund_room(payment) == room - row.amount_minor, "what is under way is no room for another"
            if not waits:
                self.answer(row, done)

    def answer(self, row: Refund, done: bool) -> None:
        for _ in "12":
            ledger.settle_refund(act=self.act(), key=row.key, done=done, reason="", provider_reference="r")
        self.owed += row.amount_minor if done else 0

    def late_answer(self, pick: int, done: bool) -> None:
        asked = list(Refund.objects.filter(state="pending").order_by("pk"))
        if asked:
            self.answer(asked[pick % len(asked)], done)

    def place(self, pick: int, other: int, amount: int) -> None:
        """Somebody says what pays what: any money, any two bills."""
        pk = self.account.pk
        money = list(Entry.objects.filter(account_id=pk, amount_minor__lt=0).order_by("pk"))
        stand = queries.bills_of(pk)
        if not (money and stand):
            return
        entry, bill, source = money[pick % len(money)], stand[other % len(stand)], stand[(pick + other) % len(stand)]
        more = {"act": self.act(), "account_id": pk, "entry_id": entry.pk, "bill_id": bill.id, "from_bill_id": source.id}
        held = {b.pk: minor for b, minor in queries.paid_by(entry.pk)}.get(source.id, 0)
        possible = min(held, bill.open_minor) if source.id != bill.id else 0
        if amount > possible:
            with pytest.raises(Refused), transaction.atomic():
                ledger.allocate(amount_minor=amount, **more)
        if possible > 0:
            ledger.allocate(amount_minor=min(amount, possible), **more)

    def wait(self, minutes: int) -> None:
        self.moment += timedelta(minutes=minutes)

    def undo(self) -> None:
        """Take back whatever happened, each by its own opposite: nothing is owed, and nothing pays anything any more."""
        for row in Refund.objects.filter(state="pending"):
            self.answer(row, done=False)
        for grant in Grant.objects.filter(reverses=None, reversed_by=None).order_by("pk"):
            credits.reverse(act=self.act(), number=grant.number)
            self.owed += grant.total_minor
        for entry, left in queries.written_off_of(self.account.pk):
            ledger.recover(act=self.act(), account_id=self.account.pk, reference=entry.reference, amount_minor=left)
        for _ in range(Payment.objects.filter(returns=None, returned_by=None).count()):
            self.give_back_payment(0)
        for source_key in list(self.sent):
            row = self.bill_row([(100, 0), (-100, 0)], f"S-{next(self.number)}", corrects=source_key)
            assert ledger.import_bills_many(act=self.act(), rows=[row]) == ["written"]
            self.forget(source_key)
        for refund in Refund.objects.filter(state="done"):  # the money went out: it comes back as money
            self.pay(refund.amount_minor, imported=True)

    # ---- the audit

    def audit(self) -> None:
        pk = self.account.pk
        entries = list(Entry.objects.filter(account_id=pk).order_by("pk"))
        recovered = {e.pk: sum(r.amount_minor for r in entries if r.recovers_id == e.pk) for e in entries}
        standing = self.given_up - sum(recovered.values())
        assert queries.balance(pk) == sum(e.amount_minor for e in entries) == self.owed - standing
        assert queries.statement(pk).balance_minor == self.owed - standing
        reversed_ = {e.reverses_id: e for e in entries if e.reverses_id}
        waiting = uncovered = 0
        for entry in entries:
            held = allocated(entry=entry)
            if entry.pk in reversed_:
                assert (held, reversed_[entry.pk].amount_minor) == (0, -entry.amount_minor), f"{entry}: its reversal is not exact"
            elif entry.amount_minor < 0 and entry.kind != "bill_corrected":
                assert 0 <= held <= -entry.amount_minor - recovered[entry.pk], f"{entry}: allocated beyond what it is"
                assert recovered[entry.pk] == 0 or entry.kind == "write_off"
                waiting += -entry.amount_minor - recovered[entry.pk] - held
            else:
                assert held == 0, f"{entry}: is no money, and pays something"
            covered = allocated(debit=entry)
            assert 0 <= covered <= (entry.amount_minor if entry.kind == "refund" else 0)
            uncovered += entry.amount_minor - covered if entry.kind == "refund" else 0
        for bill in Bill.objects.filter(account_id=pk):
            paid = allocated(bill=bill)
            corrected = Bill.objects.filter(corrects=bill).exists()
            owed = bill.total_minor - (0 if corrected else self.carried.get(bill.source_key, ("", 0))[1])
            assert 0 <= paid <= (0 if corrected else max(owed, 0)), f"{bill}: paid beyond what it is"
            assert bill.total_minor == sum(n.amount_minor for n in bill.lines.all())
        items = queries.open_items(queries.bills_of(pk))
        owing = sum(i.open_minor for i in items if i.open_minor > 0)
        assert owing + uncovered - waiting == self.owed - standing
        assert not (owing and waiting), "money waits beside an open bill"
        assert not (uncovered and waiting), "money waits beside money that went back without cover"
        assert standing >= 0 and not (standing and waiting), "money waits beside a debt that was given up"
        assert sum(b.open_minor for b in rules.aging(items, self.day)) == owing
        assert queries.unapplied_of(pk) == waiting
        books = queries.balance_of_books(CHART, date(2100, 1, 1), credit_queries.booked)
        assert books.proven and sum(k.entries_minor for k in books.kinds) == self.owed - standing
        self.audit_days(entries)
        self.audit_lines()

    def audit_days(self, entries: list[Entry]) -> None:
        """Each entry is of the day that it was in the carrier's zone; the books prove on each, and statements of them follow each other."""
        owed, pk = 0, self.account.pk
        for e in entries:
            assert e.day == e.at.astimezone(ZoneInfo(django.CARRIER_ZONE)).date()
        for day in sorted({e.day for e in entries}):
            found = queries.extract(pk, day, day)
            assert found.opening_minor == owed and found.closing_minor == owed + sum(e.amount_minor for e in entries if e.day == day)
            owed = found.closing_minor
            books = queries.balance_of_books(CHART, day, credit_queries.booked)
            assert books.proven and sum(k.entries_minor for k in books.kinds) == owed

    def audit_lines(self) -> None:
        for line in BillLine.objects.filter(amount_minor__gt=0):
            given = credit_queries.credited_on_line(line.pk)
            assert 0 <= given <= line.amount_minor, "credited beyond what was charged"
            if given == line.amount_minor:
                for tax in queries.tax_lines(line.pk):
                    assert credit_queries.credited_on_line(tax.pk) == tax.amount_minor, "a whole line keeps some tax"
        for grant in Grant.objects.filter(reverses=None):
            made = sum(p.amount_minor for p in grant.parts.all())
            assert made == grant.total_minor == -grant.entry.amount_minor


amounts = st.integers(1, 9000)
charges = st.lists(st.tuples(amounts, st.sampled_from([0, 1, 80_000, 333_333])), min_size=1, max_size=2)
# A bill may come out in the customer's favour: a charge and a larger discount.
bills = st.one_of(charges, charges, st.tuples(amounts, amounts).map(lambda p: [(p[0], 0), (-p[0] - p[1], 0)]))
picks = st.integers(0, 20)
# Where days are not what they seem: both changes of the clock in New York, a leap day, the ends of months and of a year.
begins = st.sampled_from([datetime.fromisoformat(f"{text}:00+00:00") for text in (
    "2026-11-24T15:00", "2026-11-01T04:50", "2026-11-01T05:30", "2027-03-14T06:55", "2028-02-29T04:58", "2028-03-01T04:55", "2027-01-01T04:59", "2026-10-31T03:30",
)])  # fmt: skip
waits = st.tuples(st.just("wait"), st.sampled_from([1, 29, 60, 61, 24 * 60, 31 * 24 * 60]))
deeds = st.one_of(
    st.tuples(st.just("send_bill"), bills),
    st.tuples(st.just("send_bill"), charges),
    st.tuples(st.just("send_again"), picks),
    st.tuples(st.just("send_other"), picks, st.sampled_from([-1, 1, 100])),
    st.tuples(st.just("correct"), picks, bills),
    st.tuples(st.just("pay"), amounts, st.booleans()),
    st.tuples(st.just("pay_and_return_at_once"), amounts),
    st.tuples(st.just("give_back_payment"), picks),
    st.tuples(st.just("credit"), picks, amounts, st.booleans()),
    st.tuples(st.just("credit"), picks, amounts, st.just(True)),
    st.tuples(st.just("take_back"), picks),
    st.tuples(st.just("carry"), picks, amounts, charges, st.none() | picks),
    st.tuples(st.just("write_off"), amounts),
    st.tuples(st.just("recover"), picks, amounts),
    st.tuples(st.just("refund"), picks, amounts, st.booleans(), st.booleans()),
    st.tuples(st.just("late_answer"), picks, st.booleans()),
    st.tuples(st.just("place"), picks, picks, amounts),
    waits,
)


@contextmanager
def one_life(clerk, at: datetime = TUESDAY) -> Iterator[Books]:
    with transaction.atomic():
        yield Books(clerk, at)
        transaction.set_rollback(True)


@given(life=st.lists(deeds, min_size=1, max_size=9), at=begins)
@LIVES
def test_whatever_happens_to_an_account_its_books_add_up(house, life, at):
    with one_life(house["ana"], at) as books:
        for deed, *given in life:
            getattr(books, deed)(*given)
            books.audit()


@given(life=st.lists(deeds, min_size=2, max_size=9), at=begins)
@LIVES
def test_a_life_that_is_taken_back_ends_where_it_began(house, life, at):
    with one_life(house["ana"], at) as books:
        for deed, *given in life:
            getattr(books, deed)(*given)
        books.undo()
        books.audit()
        pk = books.account.pk
        assert books.owed == queries.balance(pk) == queries.unapplied_of(pk) == 0 and not queries.open_of_many([pk])
        left = {a.code: a.amount_minor for a in queries.balance_of_books(CHART, date(2100, 1, 1), credit_queries.booked).accounts}
        given_up, recovered = (left.pop(CHART.account(place).code, 0) for place in ("write_off", "recovery"))  # each stands in the books by itself
        here, there = (left.pop(CHART.account(place).code, 0) for place in ("cash", "elsewhere"))  # what went back here of money that the other system booked
        assert not any(left.values()) and given_up + recovered == here + there == 0
        assert not any(allocated(bill=bill) for bill in Bill.objects.filter(account_id=pk))
        assert not any(credit_queries.credited_on_line(line.pk) for line in BillLine.objects.all())


@pytest.mark.parametrize("life", [
    # Given back, taken by the bank, paid, given back again, and that one too: no cent of it goes out twice.
    [["pay", 5000, False], ["refund", 0, 5000, True], ["pay", 5000, False], ["refund", 0, 5000, True], ["give_back_payment", 0], ["pay", 9000, False], ["refund", 0, 4000, True]],
    # A credit of more than the bill, and one of more than all bills: what is over waits, and pays the next.
    [["send_bill", [(100, 0)]], ["credit", 0, 9000, False], ["send_bill", [(2500, 80_000)]], ["credit", 0, 8000, False], ["send_bill", [(9000, 0)]], ["take_back", 0]],
    # The other system has such a credit on a bill that is less than nothing by it.
    [["send_bill", [(100, 0)]], ["credit", 0, 9000, False], ["carry", 0, 9000, [(2500, 0)], None], ["carry", 0, 9000, [(2500, 0)], 1], ["take_back", 0]],
])  # fmt: skip
def test_refunds_of_refunds_and_credits_larger_than_bills_add_up_at_every_step_and_are_taken_back_whole(house, life):
    with one_life(house["ana"]) as books:
        for deed, *given in life:
            getattr(books, deed)(*given)
            books.audit()
        books.undo()
        books.audit()
        assert books.owed == queries.balance(books.account.pk) == 0 and not queries.open_of_many([books.account.pk])


@pytest.mark.parametrize("between", [["give_back_payment", 0], ["send_bill", [(1000, 0)]], ["pay", 500, False]])
def test_a_refund_that_is_answered_late_is_covered_by_what_is_left(house, between):
    """The bank took the payment back, a bill came, or other money did, before the provider said that the refund was done."""
    with one_life(house["ana"]) as books:
        for deed, *given in (["pay", 5000, False], ["refund", 0, 3000, True, True], between, ["late_answer", 0, True]):
            getattr(books, deed)(*given)
            books.audit()


@given(life=st.lists(st.one_of(
    st.tuples(st.just("send_bill"), charges), st.tuples(st.just("credit"), picks, amounts, st.just(True)), st.tuples(st.just("take_back"), picks),
    st.tuples(st.just("carry"), picks, amounts, charges, st.none() | picks), st.tuples(st.just("correct"), picks, bills), st.tuples(st.just("pay"), amounts, st.just(True)),
), min_size=1, max_size=9))  # fmt: skip
@LIVES
def test_a_credit_counts_once_however_the_biller_carries_it(house, life):
    """In parts, beyond what it was, twice, taken back, on a bill that is corrected: what is owed is what the test counts by itself."""
    with one_life(house["ana"]) as books:
        books.send_bill([(4500, 80_000)])
        books.credit(0, 1500, True)
        for deed, *given in life:
            getattr(books, deed)(*given)
            books.audit()


@pytest.fixture
def books(house):
    return Books(house["ana"])


# ---------------------------------------------------------------- bills of another system


def test_a_bill_in_the_customers_favour_pays_the_others_and_no_longer_when_it_is_corrected(books):
    books.send_bill([(4500, 0)])
    books.send_bill([(100, 0), (-800, 0)])
    books.audit()
    assert [b.open_minor for b in queries.bills_of(books.account.pk)] == [-700, 3800]
    books.correct(1, [(100, 0)])
    books.audit()
    assert [b.open_minor for b in queries.bills_of(books.account.pk)] == [100, 4500]


@pytest.mark.parametrize(
    "change",
    [
        {"quantity": 2},
        {"unit_price_minor": 2250},
        {"tax_rate_ppm": 1},
        {"line": None},
        {"label": "another"},
        {"kind": "fee"},
        {"period_start": date(2026, 1, 1)},
        {"proration_num": 12, "proration_den": 30},
    ],
    ids=lambda c: next(iter(c)),
)
def test_a_bill_that_differs_in_any_word_of_a_line_is_no_repetition(books, change):
    books.send_bill([(4500, 80_000)])
    ((bill, (charge, tax)),) = books.sent.values()
    (fate,) = ledger.import_bills_many(act=books.act(), rows=[(bill, [{**charge, **change}, tax])])
    assert "never edited" in fate
    books.send_again(0)
    books.audit()


def test_the_credit_that_the_docs_work_by_hand(books):
    page = (django.ROOT / "docs/money.md").read_text(encoding="utf-8").partition("comes back on another system's bill, by hand")[2].partition("## Balance")[0]
    told = [[parsed(cell) for cell in row.strip("| ").split("|")[1:]] for row in page.splitlines() if row.startswith("| ") and row[-3].isdigit()]
    credit = lambda: Grant.objects.get().number  # noqa: E731
    december = lambda: books.bill_row([(6000, 0)], "S-12", credit=credit(), off=-545)  # noqa: E731
    for deed in (
        lambda: books.send_bill([(4587, 90_000)]), lambda: books.credit(0, 500, True), lambda: books.pay(4455, True),
        lambda: ledger.import_bills_many(act=books.act(), rows=[december()]), lambda: books.pay(5455, True),
    ):  # fmt: skip
        before = queries.balance(books.account.pk)
        deed()
        owed = queries.balance(books.account.pk)
        assert [owed - before, owed] == told.pop(0)
    assert not told and Bill.objects.get(source_key="S-12").total_minor == 5455
    assert {b.number: b.open_minor for b in queries.bills_of(books.account.pk)} == {Bill.objects.get(source_key="S-12").number: 545, Bill.objects.exclude(source_key="S-12").get().number: 0}


def test_a_quantity_of_more_places_than_are_kept_is_still_the_same_bill(books):
    bill, (charge,) = books.bill_row([(4500, 0)], "S-1")
    for fate in ("written", "unchanged"):
        assert ledger.import_bills_many(act=books.act(), rows=[(bill, [{**charge, "quantity": Decimal("1.23456")}])]) == [fate]


def test_a_tax_that_now_taxes_another_line_is_no_repetition(books):
    books.send_bill([(4500, 80_000), (4500, 0)])
    ((bill, (charge, tax, other)),) = books.sent.values()
    (fate,) = ledger.import_bills_many(act=books.act(), rows=[(bill, [charge, {**tax, "taxes": other["source_key"]}, other])])
    assert "never edited" in fate


def test_a_payment_is_returned_once_also_when_all_of_it_comes_in_one_file(books):
    paid = books.payment_row(1000)
    first, second = (books.payment_row(1000, returns=paid["source_key"]) for _ in range(2))
    fates = ledger.import_payments_many(act=books.act(), rows=[paid, first, second])
    assert fates[:2] == ["written", "written"] and "once" in fates[2]
    books.audit()


def test_a_return_is_not_itself_returned(books):
    paid = books.payment_row(1000)
    back = books.payment_row(1000, returns=paid["source_key"])
    for rows in ([paid, back, books.payment_row(1000, returns=back["source_key"])], [books.payment_row(1000, returns=back["source_key"])]):
        fates = ledger.import_payments_many(act=books.act(), rows=rows)
        assert fates[-1] == f"returns: {back['source_key']} is itself a return"
    books.audit()


def test_a_return_of_less_than_the_payment_is_rejected(books):
    paid = books.payment_row(1000)
    fates = ledger.import_payments_many(act=books.act(), rows=[paid, books.payment_row(999, returns=paid["source_key"])])
    assert fates[0] == "written" and "whole payment" in fates[1]
    assert queries.balance(books.account.pk) == -1000


def test_a_bill_whose_lines_do_not_sum_to_its_total_is_posted_by_nobody(books):
    bill, rows = books.bill_row([(4500, 0)], "S-1")
    (fate,) = ledger.import_bills_many(act=books.act(), rows=[({**bill, "total_minor": 4501}, rows)])
    assert fate == "total: the lines sum to 45.00, the bill says 45.01"
    wrong = Bill(number="B-9", account=books.account, period_start=books.day, period_end=books.day, issued_on=books.day,
                 due_on=books.day, total_minor=4501)
    with pytest.raises(ValueError, match="its lines sum to 4500"):
        ledger.post_bills_many([wrong], [(wrong, BillLine(kind="plan", label="Plan", amount_minor=4500))], TUESDAY)
    assert not Bill.objects.exists()


# ---------------------------------------------------------------- credits


def test_the_last_partial_credit_of_a_taxed_line_takes_exactly_the_rest_of_the_tax(house, maria):
    """$45.00 with $3.60 tax in three credits of $15.00: $1.20 each; and in uneven steps, also $3.60 together."""
    ana = Desk(house["sam"]).take_call(maria)
    charges = list(BillLine.objects.filter(bill__account=maria, kind="plan").order_by("pk"))
    for charge, steps in zip(charges, [(1500, 1500, 1500), (1, 6, 4493), (4499, 1)], strict=True):
        for amount in steps:
            ana.must("credits.grant", account=maria.pk, amount=amount, reason="billing_error", bill_line=charge.pk)
        taxes = GrantPart.objects.filter(bill_line__taxed_line=charge, kind="tax").values_list("amount_minor", flat=True)
        assert sum(taxes) == 360 and all(t > 0 for t in taxes)
        no = ana.act("credits.grant", account=maria.pk, amount=1, reason="billing_error", bill_line=charge.pk)
        assert no.refusal.rule == "credit-line"


def test_a_partial_credit_that_is_taken_back_gives_its_tax_back_with_it(house, maria):
    ana = Desk(house["ana"]).take_call(maria)
    charge = BillLine.objects.filter(bill__account=maria, kind="plan").last()
    before = queries.balance(maria.pk), [b.open_minor for b in queries.bills_of(maria.pk)]
    given = ana.must("credits.grant", account=maria.pk, amount=1503, reason="billing_error", bill_line=charge.pk)
    ana.must("credits.reverse", account=maria.pk, credit=given.show["credit"], words="The wrong charge")
    assert (queries.balance(maria.pk), [b.open_minor for b in queries.bills_of(maria.pk)]) == before
    there, back = Grant.objects.order_by("pk")
    assert [(p.kind, p.amount_minor, p.bill_line_id) for p in there.parts.order_by("pk")] == [
        (p.kind, -p.amount_minor, p.bill_line_id) for p in back.parts.order_by("pk")
    ]
    assert credit_queries.credited_on_line(charge.pk) == 0
    again = ana.must("credits.grant", account=maria.pk, amount=1503, reason="billing_error", bill_line=charge.pk)
    assert again.show["total"] == given.show["total"]


def test_a_credit_that_is_taken_back_lets_money_that_waits_pay_its_bill(house, maria):
    """Nothing is open once the credit and a payment of all of it are there; $25.00 waits, and pays when the credit goes."""
    ana = Desk(house["ana"]).take_call(maria)
    given = ana.must("credits.grant", account=maria.pk, amount=2500, reason="goodwill").show["credit"]
    ledger.post_payment(act=Act(house["ana"].who, TUESDAY, "", key(), NO_BASIS), account_id=maria.pk, amount_minor=4860, method="Visa")
    assert queries.balance(maria.pk) == -2500
    ana.must("credits.reverse", account=maria.pk, credit=given, words="By mistake")
    assert (queries.balance(maria.pk), [b.open_minor for b in queries.bills_of(maria.pk)]) == (0, [0, 0, 0])


def test_a_reversal_is_not_itself_reversed(house, maria):
    ana = Desk(house["ana"]).take_call(maria)
    given = ana.must("credits.grant", account=maria.pk, amount=500, reason="goodwill").show["credit"]
    back = ana.must("credits.reverse", account=maria.pk, credit=given, words="By mistake").show["credit"]
    for number in (given, back):
        no = ana.act("credits.reverse", account=maria.pk, credit=number, words="Again")
        assert no.refusal.code == "CONFLICT"
    assert Grant.objects.count() == 2


def test_a_credit_pays_the_bill_that_it_corrects_before_an_older_one(house, maria):
    """A bill of June came late and is open; the credit on the newest bill's charge lowers the newest bill."""
    charge = BillLine.objects.filter(bill__account=maria, kind="plan").last()
    older = issue_bill(maria, maria.lines.get(), issued=date(2026, 6, 1), amount=3000)
    ana = Desk(house["ana"]).take_call(maria)
    ana.must("credits.grant", account=maria.pk, amount=1000, reason="billing_error", bill_line=charge.pk)
    open_now = {b.id: b.open_minor for b in queries.bills_of(maria.pk)}
    assert (open_now[older.pk], open_now[charge.bill_id]) == (3000, 4860 - 1080)


def test_a_charge_on_a_bill_that_was_corrected_is_credited_by_nobody(house, books):
    """It was taken back whole: a credit on it would give the same money twice."""
    person = Person.objects.create(customer=books.account.customer, name="Maria Okafor")
    AccountPerson.objects.create(account=books.account, person=person, right="holder")
    books.send_bill([(4500, 80_000)])
    old = BillLine.objects.get(kind="plan")
    books.correct(0, [(3000, 80_000)])
    lena = Desk(house["lena"]).take_call(books.account, verify=False)
    assert lena.call_back(books.account, books.line).ok
    no = lena.act("credits.grant", account=books.account.pk, amount=500, reason="billing_error", bill_line=old.pk)
    assert no.status == "refused" and no.refusal.code == "CONFLICT", no
    new = BillLine.objects.filter(kind="plan").exclude(pk=old.pk).get()
    lena.must("credits.grant", account=books.account.pk, amount=500, reason="billing_error", bill_line=new.pk)
    books.owed -= 540
    books.audit()


def test_a_tax_is_not_credited_by_itself(house, maria):
    tax = BillLine.objects.filter(bill__account=maria, kind="tax").first()
    done = Desk(house["lena"]).take_call(maria).act("credits.grant", account=maria.pk, amount=100, reason="billing_error", bill_line=tax.pk)
    assert done.refusal.code == "INVALID" and "goes back with the charge" in done.refusal.say and not Grant.objects.exists()


def test_a_charge_of_another_account_and_one_that_nobody_has_are_one_and_the_same_no(house, maria):
    joe = open_account("Joe Lind", "+12065550199", "A-0104823")
    theirs = BillLine.objects.filter(bill__account=joe, kind="plan").last()
    ana = Desk(house["ana"]).take_call(maria)
    for charge in (theirs.pk, 999_999):
        for reason in ("billing_error", "goodwill"):
            for days in ({}, {"first": "2026-10-05", "last": "2026-10-09"}):
                no = ana.act("credits.grant", account=maria.pk, amount=500, reason=reason, bill_line=charge, **days)
                assert (no.refusal.code, no.refusal.say) == ("NOT_FOUND", "There is no such charge on this account's bills."), no
    assert not Grant.objects.exists()


@pytest.mark.parametrize(("issued", "who", "rule"), [
    (date(2026, 8, 1), "ana", ""),
    (date(2026, 7, 23), "ana", "credit-backdate"),
    (date(2026, 7, 23), "lena", ""),
])  # fmt: skip
def test_a_charge_older_than_three_bills_is_a_leads_to_credit(house, maria, issued, who, rule):
    bill = issue_bill(maria, maria.lines.get(), issued=issued, amount=3000)
    desk = Desk(house[who]).take_call(maria)
    found = desk.act("credits.grant", account=maria.pk, amount=500, reason="billing_error", bill_line=bill.lines.get().pk)
    assert (found.refusal.rule if found.refusal else "") == rule


# ---------------------------------------------------------------- limits over time


def test_the_window_of_an_account_is_a_rolling_year_whoever_gave(house, maria):
    """An associate may see an account given $50 in 365 days. What was given a year ago to the minute still counts."""
    ana = Desk(house["ana"]).take_call(maria)
    ana.must("credits.grant", account=maria.pk, amount=2000, reason="goodwill")
    ben = Desk(house["ben"], TUESDAY).take_call(maria)
    ben.must("credits.grant", account=maria.pk, amount=2000, reason="goodwill")
    for days, most, rule in [(0, 1000, "credit-window"), (365, 1000, "credit-window"), (366, 2500, "credit-event")]:
        eve = Desk(house["ana"], TUESDAY + timedelta(days=days))
        eve.contact = ana.contact
        eve.act("contacts.check_pin", account=maria.pk, pin="4711")
        no = eve.act("credits.grant", account=maria.pk, amount=most + 1, reason="retention")
        assert no.refusal.rule == rule, days


def test_what_was_taken_back_is_room_in_the_window_again(house, maria):
    ana = Desk(house["ana"]).take_call(maria)
    for _ in range(3):
        given = ana.must("credits.grant", account=maria.pk, amount=2500, reason="goodwill").show["credit"]
        ana.must("credits.reverse", account=maria.pk, credit=given, words="By mistake")
    assert credit_queries.window_used(maria.pk, TUESDAY - timedelta(days=365)) == 0


def test_ones_own_credit_is_taken_back_within_a_day_and_later_by_a_lead(house, maria):
    ana = Desk(house["ana"]).take_call(maria)
    first, second = (ana.must("credits.grant", account=maria.pk, amount=100, reason="goodwill").show["credit"] for _ in "12")
    ana.later(days=1)
    ana.must("contacts.check_pin", account=maria.pk, pin="4711")
    ana.must("credits.reverse", account=maria.pk, credit=first, words="On the day")
    ana.later(seconds=1)
    late = ana.act("credits.reverse", account=maria.pk, credit=second, words="Too late")
    assert late.refusal.rule == "reversal-not-yours" and "lead" in late.refusal.who_could
    ben = Desk(house["ben"]).take_call(maria)
    assert ben.act("credits.reverse", account=maria.pk, credit=second, words="Hers").refusal.rule == "reversal-not-yours"
    asked = ana.must("approvals.ask", account=maria.pk, code="credits.reverse",
                     input={"account": str(maria.pk), "credit": second, "words": "Twice given"}).show["request"]
    lena = Desk(house["lena"], ana.at)
    lena.must("approvals.decide", basis=BasisRef("request", int(asked)), request=asked, decision="approve")
    assert queries.balance(maria.pk) == 4860


@pytest.mark.only_sqlite
def test_one_accounts_bills_are_found_without_sorting_everybodys_when_sqlite_knows_how_rarely_one_is_corrected(house, maria):
    for n in range(40):
        open_account(f"Neighbour {n}", f"+1206555{2000 + n}", f"A-02{n:05}", pin=None)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        with CaptureQueriesContext(connection) as asked:
            assert len(queries.bills_of(maria.pk, 18)) == 3
        cursor.execute("EXPLAIN QUERY PLAN " + asked.captured_queries[-1]["sql"])
        plan = [step for *_, step in cursor.fetchall()]
    assert any("corrects_id" in step for step in plan) and not [step for step in plan if "AUTOMATIC" in step or "SCAN" in step], plan
