"""An account's money as a book to be read: entry by entry with a running balance, what pays what, and month by month."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Q, Sum

from careline.domain.ledger import rules
from careline.domain.ledger.models import Allocation, Bill, Entry
from careline.domain.ledger.queries.applied import stands
from careline.domain.ledger.queries.why import billed
from careline.domain.ledger.rules import explain
from careline.foundation.calendar import add_months


@dataclass(frozen=True)
class Row:
    """One entry, and what the account owed after it (minor units)."""

    entry: Entry
    balance_minor: int


@dataclass(frozen=True)
class Extract:
    """A part of the ledger between two days: what was owed before it, its entries in their order, what was owed after.
    `skipped` entries of these days come before, `more` after them."""

    first: date
    last: date
    opening_minor: int
    rows: list[Row]
    closing_minor: int
    skipped: int = 0
    more: bool = False


def extract(account_id: int, first: date, last: date, most: int | None = None, skip: int = 0) -> Extract:
    """The statement of a period, both days in it: whole, or `most` of its entries after the first `skip`. Two questions, three after the first."""
    mine = Entry.objects.filter(account_id=account_id)
    opening = mine.filter(day__lt=first).aggregate(s=Sum("amount_minor"))["s"] or 0
    within = mine.filter(day__gte=first, day__lte=last).order_by("day", "at", "pk")
    if skip:
        opening += within[:skip].aggregate(s=Sum("amount_minor"))["s"] or 0
    entries = list(within.select_related("bill", "payment")[skip : None if most is None else skip + most + 1])
    rows, running = [], opening
    for entry in entries[:most]:
        running += entry.amount_minor
        rows.append(Row(entry, running))
    return Extract(first, last, opening, rows, running, skip, most is not None and len(entries) > most)


def count_entries(account_id: int, first: date, last: date) -> int:
    return Entry.objects.filter(account_id=account_id, day__gte=first, day__lte=last).count()


@dataclass(frozen=True)
class Applied:
    """So much of an entry pays so much of a bill; `bill` None: it went back to the customer."""

    entry_id: int
    reference: str
    label: str
    kind: str
    bill_id: int | None
    bill: str
    amount_minor: int


def applied(account_id: int, entry_ids: Sequence[int] = (), bill_ids: Sequence[int] = ()) -> list[Applied]:
    """What of these entries pays what, and what pays these bills; nothing that was taken back again."""
    rows = (
        Allocation.objects.filter(Q(entry_id__in=entry_ids) | Q(bill_id__in=bill_ids), account_id=account_id)
        .values("entry_id", "entry__reference", "entry__label", "entry__kind", "bill_id", "bill__number")
        .annotate(s=Sum("amount_minor"))
        .order_by("bill__due_on", "bill_id", "entry_id")
    )
    return [
        Applied(r["entry_id"], r["entry__reference"], r["entry__label"], r["entry__kind"], r["bill_id"], r["bill__number"] or "", r["s"])
        for r in rows
        if r["s"]
    ]


@dataclass(frozen=True)
class Month:
    """One bill of the chart, the money that came between it and the next, and what made it differ most from the one before:
    `change` of `change_minor`, beside `others` smaller causes."""

    bill: Bill
    paid_minor: int
    credited_minor: int
    change: explain.Difference | None
    change_minor: int
    others: int = 0


def months(account_id: int, today: date, count: int = 13, from_minor: int = 200) -> list[Month]:
    """The bills of the last months, oldest first. `change` names the largest difference of a bill that moved by
    `from_minor` or more. Four questions."""
    since = add_months(today, -count)
    found = Bill.objects.filter(stands(), account_id=account_id, issued_on__gte=since).order_by("-issued_on", "-pk")[:count]
    bills = list(found)[::-1]
    if not bills:
        return []
    lines = {b.id: b for b in billed(bills)}
    zone = ZoneInfo(settings.CARRIER_ZONE)
    begin = datetime.combine(bills[0].issued_on, time(), tzinfo=zone)
    came: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    kinds = (rules.EntryKind.PAYMENT, rules.EntryKind.PAYMENT_RETURNED, rules.EntryKind.CREDIT, rules.EntryKind.CREDIT_REVERSED)
    for kind, day, amount in Entry.objects.filter(account_id=account_id, at__gte=begin, kind__in=kinds).values_list("kind", "day", "amount_minor"):
        at = max((n for n, b in enumerate(bills) if b.issued_on <= day), default=0)
        came[at][kind in kinds[2:]] -= amount
    made = []
    for n, bill in enumerate(bills):
        change, much, others = None, 0, 0
        if n:
            found_ = explain.explain(lines[bill.pk], lines[bills[n - 1].pk])
            much = found_.change_minor
            if abs(much) >= from_minor and found_.differences:
                change, others = found_.differences[0], len(found_.differences) - 1
        made.append(Month(bill, came[n][0], came[n][1], change, much, others))
    return made
