"""What on a bill or among payments somebody may rightly ask about: the same charge twice, a sum that is wrong, money taken
twice. Pure; each finding names the entry from which it can be put right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from careline.domain.ledger.rules import LineKind
from careline.domain.ledger.rules.charges import Billed, Charged, is_late_fee, makes
from careline.domain.ledger.rules.explain import Cause, Difference, Explanation

TWICE_WITHIN = timedelta(days=10)  # our choice: AutoPay and a payment by hand for one bill lie closer than this

# What a bill is higher by, under the names that the guides give it.
HIGHER_BY: dict[str, frozenset[Cause]] = {
    "plan": frozenset({Cause.PLAN_CHANGE}),
    "price": frozenset({Cause.PRICE_CHANGE}),
    "line_added": frozenset({Cause.LINE_ADDED}),
    "part_month": frozenset({Cause.PART_MONTH, Cause.PART_MONTH_OVER}),
    "discount": frozenset({Cause.DISCOUNT_ENDED, Cause.DISCOUNT_CHANGED}),
    "usage": frozenset({Cause.USAGE, Cause.USAGE_CHANGED, Cause.USE_LATE}),
    "equipment": frozenset({Cause.EQUIPMENT_BEGAN, Cause.EQUIPMENT_CHANGED, Cause.EQUIPMENT_LEFT}),
    "late_fee": frozenset({Cause.LATE_FEE}),
    "fee": frozenset({Cause.FEE_BEGAN, Cause.FEE_CHANGED}),
    "one_off": frozenset({Cause.ONE_OFF, Cause.OTHER, Cause.CHANGED}),
    "credit": frozenset({Cause.CREDIT_OVER}),
    "tax": frozenset({Cause.TAX_RATE, Cause.TAX_BEGAN, Cause.TAX}),
    "left_over": frozenset({Cause.UNEXPLAINED}),
}


def higher_by(found: Explanation) -> dict[str, tuple[Difference, ...]]:
    """The differences that raise the newer bill, by the names above, the largest first."""
    by: dict[str, list[Difference]] = {}
    for d in sorted(found.differences, key=lambda d: -d.amount_minor):
        name = next((name for name, causes in HIGHER_BY.items() if d.cause in causes), None)
        if name is not None and d.amount_minor > 0:
            by.setdefault(name, []).append(d)
    return {name: tuple(ds) for name, ds in by.items()}


def late_fees(bills: Iterable[Billed]) -> int:
    """How many of these bills carry a late fee."""
    return sum(any(is_late_fee(n) and n.amount_minor > 0 for n in bill.lines) for bill in bills)


def charged_twice(now: Billed, was: Billed | None = None) -> Charged | None:
    """The second of two charges that are the same thing for the same days: on one bill, or on it and the one before it."""
    seen = {_same(n) for n in was.lines if _is_once(n)} if was else set()
    for n in sorted(now.lines, key=lambda n: n.id):
        if not _is_once(n):
            continue
        if _same(n) in seen:
            return n
        seen.add(_same(n))
    return None


def _is_once(n: Charged) -> bool:
    """A charge for days that it names: what names none may come every month, or twice for good reason."""
    return n.amount_minor > 0 and n.kind not in (LineKind.TAX, LineKind.DISCOUNT, LineKind.USAGE) and n.start is not None


def _same(n: Charged) -> tuple[object, ...]:
    return (n.kind, n.line, n.label, n.start, n.end, n.amount_minor)


def wrong_sum(bill: Billed) -> tuple[Charged, int] | None:
    """A charge that is more than its own arithmetic makes, and how much more (minor units)."""
    for n in bill.lines:
        if n.unit_minor and n.kind != LineKind.TAX and n.amount_minor > 0 and (over := n.amount_minor - makes(n)) > 0:
            return n, over
    return None


@dataclass(frozen=True, slots=True)
class Paid:
    """One payment that stands: not returned and not given back. `bills`: the bills that it pays, by id."""

    number: str
    amount_minor: int
    day: date
    method: str
    bills: frozenset[int] = frozenset()


def paid_twice(paid: Sequence[Paid]) -> tuple[Paid, Paid] | None:
    """Two payments of one amount close together (`TWICE_WITHIN`), earlier and later, of which the later one pays no bill of
    its own: the newest such pair."""
    return _pair(paid, lambda a, b: a.amount_minor == b.amount_minor and not b.bills - a.bills)


def paid_for_two(paid: Sequence[Paid]) -> tuple[Paid, Paid] | None:
    """Two payments close together that pay two bills: both are right, and look like one too many."""
    return _pair(paid, lambda a, b: bool(a.bills) and bool(b.bills - a.bills))


def _pair(paid: Sequence[Paid], belong: Callable[[Paid, Paid], bool]) -> tuple[Paid, Paid] | None:
    rows = sorted(paid, key=lambda p: (p.day, p.number))
    for at in range(len(rows) - 1, 0, -1):
        for before in reversed(rows[:at]):
            if rows[at].day - before.day <= TWICE_WITHIN and belong(before, rows[at]):
                return before, rows[at]
    return None
