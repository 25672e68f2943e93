"""Probes of the guides about money: what the books say of an account's bills and payments, each as one outcome with the
sentence to say aloud and what an act needs to put it right.

Declared like the probes of a line (acts/probes.py). Each reads the newest bill, the one before it, and the payments that
stand; None means that nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

from careline.acts import probes
from careline.domain.billing import queries as billing
from careline.domain.credits import queries as credits
from careline.domain.diagnosis.rules.guide import Check
from careline.domain.ledger import queries as ledger
from careline.domain.ledger.rules import LineKind, doubts
from careline.domain.ledger.rules.charges import Billed, Charged, is_late_fee
from careline.domain.ledger.rules.explain import Cause, Difference, Explanation
from careline.foundation.money import shown

SAY = 400
LATELY = timedelta(days=45)


@dataclass(frozen=True)
class Found:
    """An outcome, the sentence that says it aloud, and the inputs of the act that puts it right."""

    outcome: str
    say: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kept(self) -> dict[str, Any]:
        """What a walk keeps of it beside the outcome."""
        return {"say": self.say, **self.inputs} if self.say else {}


@dataclass(frozen=True)
class Money:
    """What is known of an account's money (minor units). `bills`: the newest first, those of a year. `credited`: what was
    taken off each charge already; `open_before_minor`: what of the bills before the newest is open; `discount_since`: a
    discount was added after the newest bill."""

    today: date
    bills: Sequence[Billed]
    why: Explanation | None
    paid: Sequence[doubts.Paid]
    credited: Mapping[int, int]
    open_before_minor: int
    past_due_minor: int
    past_due_since: date | None
    discount_since: bool
    failed: str
    returned: str

    @cached_property
    def higher(self) -> dict[str, tuple[Difference, ...]]:
        return doubts.higher_by(self.why) if self.why else {}

    def charge(self, line_id: int) -> Charged | None:
        return next((n for bill in self.bills[:2] for n in bill.lines if n.id == line_id), None)

    def left(self, n: Charged) -> int:
        """What of a charge was not credited yet (minor units)."""
        return n.amount_minor - self.credited.get(n.id, 0)


def read_books(account_id: int, at: datetime, today: date) -> Money:
    """What the books say of an account now. A fixed number of questions."""
    bills = ledger.last_bills(account_id)
    why = ledger.explained(account_id, bills[0].id, credits=credits.on_bills) if len(bills) > 1 else None
    opened = ledger.bills_of(account_id)
    due = [b for b in opened if b.open_minor > 0 and b.due_on < today]
    tries = [c for c in ledger.charges_of(account_id, 1) if c.state == "declined" and at - c.at <= LATELY]
    returned = [p for p in ledger.payments_of(account_id, 6) if p.returns_id is not None and at - p.received_at <= LATELY]
    return Money(
        today, bills, why, ledger.paid_of(account_id),
        credits.credited_on_lines([n.id for bill in bills[:2] for n in bill.lines]),
        sum(b.open_minor for b in opened[1:]), sum(b.open_minor for b in due), min((b.due_on for b in due), default=None),
        any(x.kind == "discount" and x.starts_on >= bills[0].issued_on for x in billing.agreed_of(account_id, today)) if bills else False,
        f"A payment of {shown(tries[0].amount_minor)} did not go through: {tries[0].reason or 'declined'}." if tries else "",
        f"A payment of {shown(abs(returned[0].amount_minor))} came back from the bank." if returned else "",
    )  # fmt: skip


# -- the bill ---------------------------------------------------------------------------------------------------------


def _compared(m: Money) -> Found | None:
    if not m.bills:
        return None
    if m.why is None:
        return Found("first", f"This is your first bill, {shown(m.bills[0].total_minor)}.")
    if m.why.change_minor <= 0:
        return Found("not_higher", m.why.say)
    return Found("higher", m.why.say)


def _rises(name: str) -> Callable[[Money], Found | None]:
    def read(m: Money) -> Found | None:
        if m.why is None:
            return None
        found = m.higher.get(name, ())
        return Found("yes", _say(found)) if found else Found("no")

    return read


def _say(found: Sequence[Difference]) -> str:
    """As many of the sentences as can be said in one breath, the largest first."""
    text = ""
    for d in found:
        if len(text) + len(d.say) < SAY:
            text = f"{text} {d.say}".strip()
    return text


def _late_fee(m: Money) -> Found | None:
    """The late fee of the newest bill: the first in a year, or not."""
    if not m.bills:
        return None
    found = next((n for n in m.bills[0].lines if is_late_fee(n) and m.left(n) > 0), None)
    if found is None:
        return Found("no")
    said = _say(m.higher.get("late_fee", ())) or f"{found.label}: {shown(found.amount_minor)}."
    put_right = {"bill_line": found.id, "amount": m.left(found)}
    return Found("again" if doubts.late_fees(m.bills) > 1 else "first", said, put_right)


def _discount(m: Money) -> Found | None:
    """A discount that is not on the newest bill any more, and the charge that it was on."""
    if m.why is None:
        return None
    ended = [d for d in m.higher.get("discount", ()) if d.cause == Cause.DISCOUNT_ENDED]
    if not ended or m.discount_since:
        return Found("no")
    plans = [n for n in m.bills[0].lines if n.kind == LineKind.PLAN and n.whole and m.left(n) > 0]
    amount = sum(d.amount_minor for d in ended)
    on = max(plans, key=lambda n: n.amount_minor, default=None)
    put_right = {"bill_line": on.id, "amount": min(amount, m.left(on))} if on else {}
    return Found("ended", _say(ended), put_right)


def _one_off(m: Money) -> Found | None:
    """The largest charge that came once: somebody ordered it at the desk as far as the journal knows, or not."""
    found = [d for d in m.higher.get("one_off", ()) if d.charges]
    if not found:
        return Found("no") if m.why else None
    first = next((d for d in found if d.event is None), found[0])
    charge = m.charge(first.charges[0])
    if charge is None or m.left(charge) <= 0:
        return Found("no")
    put_right = {"bill_line": charge.id, "amount": m.left(charge)}
    return Found("unordered" if first.event is None else "ordered", _say([first]), put_right)


def _twice(m: Money) -> Found | None:
    if not m.bills:
        return None
    n = doubts.charged_twice(m.bills[0], m.bills[1] if len(m.bills) > 1 else None)
    if n is None or m.left(n) <= 0:
        return Found("no")
    days = f"{n.start:%b} {n.start.day}" if n.start else ""
    return Found("yes", f"{n.label} for {days} was charged twice, {shown(n.amount_minor)} each.", {"bill_line": n.id, "amount": m.left(n)})


def _sums(m: Money) -> Found | None:
    if not m.bills:
        return None
    found = doubts.wrong_sum(m.bills[0])
    if found is None or m.left(found[0]) < found[0].amount_minor:
        return Found("right")
    n, over = found
    return Found("wrong", f"{n.label} is {shown(over)} more than it should be.", {"bill_line": n.id, "amount": over})


def _carried(m: Money) -> Found:
    if not m.open_before_minor:
        return Found("none")
    return Found("open", f"{shown(m.open_before_minor)} of earlier bills is still open.")


def _past_due(m: Money) -> Found:
    if not m.past_due_minor:
        return Found("none", "Nothing is past due.")
    since = f" since {m.past_due_since:%b} {m.past_due_since.day}" if m.past_due_since else ""
    return Found("owed", f"{shown(m.past_due_minor)} is past due{since}.")


# -- payments ---------------------------------------------------------------------------------------------------------


def _paid_twice(m: Money) -> Found:
    pair = doubts.paid_twice(m.paid)
    if pair is None:
        return Found("no")
    a, b = pair
    say = f"We have {shown(a.amount_minor)} of {_day(a.day)} by {a.method} and the same of {_day(b.day)} by {b.method}."
    return Found("yes", say, {"payment": b.number, "amount": b.amount_minor})


def _two_bills(m: Money) -> Found:
    pair = doubts.paid_for_two(m.paid)
    if pair is None or doubts.paid_twice(m.paid):
        return Found("no")
    a, b = pair
    return Found("yes", f"The payment of {_day(a.day)}, {shown(a.amount_minor)}, was for one bill, that of {_day(b.day)}, {shown(b.amount_minor)}, for the next.")


def _failed(m: Money) -> Found:
    return Found("yes", m.failed or m.returned) if m.failed or m.returned else Found("no")


def _day(day: date) -> str:
    return f"{day:%b} {day.day}"


@dataclass(frozen=True)
class MoneyProbe:
    name: str
    read: Callable[[Money], Found | None]


PROBES: dict[str, MoneyProbe] = {
    probe.name: probe
    for probe in (
        MoneyProbe("bill.compared", _compared),
        *(MoneyProbe(f"bill.{name}", _rises(name)) for name in ("plan", "price", "line_added", "part_month", "usage", "equipment", "fee", "credit", "tax", "left_over")),
        MoneyProbe("bill.late_fee", _late_fee),
        MoneyProbe("bill.discount", _discount),
        MoneyProbe("bill.one_off", _one_off),
        MoneyProbe("bill.twice", _twice),
        MoneyProbe("bill.sums", _sums),
        MoneyProbe("bill.carried", _carried),
        MoneyProbe("account.past_due", _past_due),
        MoneyProbe("payments.twice", _paid_twice),
        MoneyProbe("payments.two_bills", _two_bills),
        MoneyProbe("payments.failed", _failed),
    )
}  # fmt: skip


def read(checks: Iterable[Check], money: Money) -> dict[str, probes.Found]:
    """The answer of each probe of a guide; no outcome when nobody knows, or it is nothing that the guide speaks of."""
    found: dict[str, probes.Found] = {}
    for check in checks:
        said = PROBES[check.id].read(money) if check.id in PROBES else None
        if said is None or said.outcome not in {x.id for x in check.outcomes}:
            found[check.id] = probes.Found(None, "account", None, {})
        else:
            found[check.id] = probes.Found(said.outcome, "account", None, said.kept)
    return found
