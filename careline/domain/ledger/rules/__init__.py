"""What money is owed, from when, and how it is allocated: oldest first, never more than there is on either side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum


class EntryKind(StrEnum):
    """The kinds of ledger entry. Debits (what the customer owes) are positive, credits negative."""

    BILL = "bill"
    PAYMENT = "payment"
    PAYMENT_RETURNED = "payment_returned"
    CREDIT = "credit"
    CREDIT_REVERSED = "credit_reversed"
    BILL_CORRECTED = "bill_corrected"
    WRITE_OFF = "write_off"
    RECOVERY = "recovery"
    REFUND = "refund"


class LineKind(StrEnum):
    """The kinds of bill line."""

    PLAN = "plan"
    USAGE = "usage"
    FEE = "fee"
    EQUIPMENT = "equipment"
    DISCOUNT = "discount"
    ONE_OFF = "one_off"
    TAX = "tax"
    OTHER = "other"


class TaxAdded(StrEnum):
    """Who adds the tax to a charge that is agreed before it is billed."""

    AT_BILLING = "at_billing"
    NONE = "none"


STATEMENT_ROWS = 2000  # entries on one paper of a statement


class PaperKind(StrEnum):
    """The kinds of paper that a customer gets."""

    BILL = "bill"
    EXPLANATION = "explanation"
    STATEMENT = "statement"
    ESTIMATE = "estimate"


@dataclass(frozen=True, slots=True)
class OpenItem:
    """One bill and what of it is not yet paid or credited (minor units)."""

    id: int
    due_on: date
    open_minor: int


def allocate(items: Sequence[OpenItem], amount_minor: int) -> list[tuple[int, int]]:
    """Which items an amount pays, oldest due first: (item id, amount) pairs. What is left over stays unapplied."""
    left, made = amount_minor, []
    for item in sorted(items, key=lambda i: (i.due_on, i.id)):
        part = min(left, item.open_minor)
        if part > 0:
            made.append((item.id, part))
            left -= part
    return made


def allocate_around(items: Sequence[OpenItem], amount_minor: int, last: Mapping[int, int]) -> list[tuple[int, int]]:
    """As `allocate`, but so much of these items (by id) is paid only when nothing else is open any more.

    >>> from datetime import date
    >>> two = [OpenItem(1, date(2026, 10, 5), 8000), OpenItem(2, date(2026, 11, 5), 5000)]
    >>> allocate_around(two, 7000, {1: 6000}), allocate_around(two, 9000, {1: 6000})
    ([(1, 2000), (2, 5000)], [(1, 4000), (2, 5000)])
    """
    free = allocate([replace(i, open_minor=i.open_minor - last.get(i.id, 0)) for i in items], amount_minor)
    held = allocate([replace(i, open_minor=min(last.get(i.id, 0), i.open_minor)) for i in items], amount_minor - sum(part for _, part in free))
    made = Counter(dict(free))
    made.update(dict(held))
    return [(i.id, made[i.id]) for i in sorted(items, key=lambda i: (i.due_on, i.id)) if made[i.id]]


@dataclass(frozen=True, slots=True)
class Standing:
    """An account's money on a day: `balance_minor` (negative: in credit), what of it is past due, and since when."""

    balance_minor: int
    past_due_minor: int
    past_due_since: date | None
    next_due_on: date | None
    next_due_minor: int
    unapplied_minor: int

    def days_past_due(self, today: date) -> int:
        return (today - self.past_due_since).days if self.past_due_since else 0


def standing(items: Sequence[OpenItem], balance_minor: int, today: date) -> Standing:
    """The standing from the open bills and the balance. A bill is past due from the day after it is due."""
    open_items = [i for i in items if i.open_minor > 0]
    late = [i for i in open_items if i.due_on < today]
    coming = sorted((i for i in open_items if i.due_on >= today), key=lambda i: i.due_on)
    open_total = sum(i.open_minor for i in open_items)
    return Standing(
        balance_minor=balance_minor,
        past_due_minor=sum(i.open_minor for i in late),
        past_due_since=min((i.due_on for i in late), default=None),
        next_due_on=coming[0].due_on if coming else None,
        next_due_minor=coming[0].open_minor if coming else 0,
        unapplied_minor=max(open_total - balance_minor, 0),
    )


# The ends of the buckets of an aging, in days past due; beyond the last is a bucket of its own.
BUCKETS = (0, 30, 60, 90)


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is open of bills that are so many days past due (minor units). `last` None: and more."""

    first: int
    last: int | None
    open_minor: int


def aging(items: Sequence[OpenItem], today: date) -> list[Bucket]:
    """What is open, by how long it is past due: not yet (0 days or less), 1 to 30, 31 to 60, 61 to 90, and more.

    The buckets sum to all that is open.
    """
    edges = [*BUCKETS, None]
    sums = [0] * len(edges)
    for item in items:
        if item.open_minor > 0:
            days = (today - item.due_on).days
            sums[next((n for n, last in enumerate(BUCKETS) if days <= last), len(BUCKETS))] += item.open_minor
    firsts = [0, *(last + 1 for last in BUCKETS)]
    return [Bucket(first, last, minor) for first, last, minor in zip(firsts, edges, sums, strict=True)]


def booked_on(day: date, closed_through: date | None) -> date:
    """The day on which an entry stands in the books: its own, or the first day after the last closed period."""
    return day if closed_through is None or day > closed_through else closed_through + timedelta(days=1)


# Our choice. Two cycles: by then a biller has put on a bill, or in its payments, what it heard of.
DOUBT_DAYS = 62


def may_be_one(here: date, there: date) -> bool:
    """May something done here on one day be what another system says of another? Billers post late, and a day early by their clock."""
    return -1 <= (there - here).days <= DOUBT_DAYS


def may_carry(kind: str, amount_minor: int) -> bool:
    """May a line of another system's bill carry a credit given here (below zero), or the reversal of one?"""
    return kind in (LineKind.OTHER, LineKind.ONE_OFF, LineKind.FEE) or (kind == LineKind.DISCOUNT and amount_minor < 0)


def refunds_meant(refunds: Sequence[int], amount_minor: int) -> list[int]:
    """Which of a payment's refunds (of these amounts, by their places) a row means that takes so much of the payment back and names none: the
    first one of this amount, or all of them if they are so much together; else none.

    >>> refunds_meant([500, 1500], 1500), refunds_meant([500, 1500], 2000), refunds_meant([500], 2000)
    ([1], [0, 1], [])
    """
    if amount_minor in refunds:
        return [refunds.index(amount_minor)]
    return list(range(len(refunds))) if refunds and sum(refunds) == amount_minor else []
