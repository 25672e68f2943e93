"""What money is owed, from when, and how it is allocated: oldest first, never more than there is on either side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class EntryKind(StrEnum):
    """The kinds of ledger entry. Debits (what the customer owes) are positive, credits negative."""

    BILL = "bill"
    PAYMENT = "payment"
    PAYMENT_RETURNED = "payment_returned"
    CREDIT = "credit"
    CREDIT_REVERSED = "credit_reversed"
    BILL_CORRECTED = "bill_corrected"


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
