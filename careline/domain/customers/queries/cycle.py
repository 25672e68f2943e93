"""Accounts and lines as a bill run meets them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from django.db.models import Sum

from careline.domain.customers.models import Account, AddedData, Line, PlanChange, Usage


@dataclass(frozen=True, slots=True)
class InCycle:
    """An account as a bill run meets it."""

    id: int
    reference: str
    state: str
    bill_day: int
    imported: bool


def in_cycle(bill_days: Sequence[int], opened_by: date, after: int, limit: int) -> list[InCycle]:
    """Accounts with one of these bill days that were opened by a day, by id, from behind one on."""
    rows = Account.objects.filter(bill_day__in=bill_days, opened_on__lte=opened_by, pk__gt=after).order_by("pk")
    found = rows.values_list("pk", "reference", "state", "bill_day", "source_key")[:limit]
    return [InCycle(pk, reference, state, bill_day, source_key is not None) for pk, reference, state, bill_day, source_key in found]


def one_in_cycle(account_id: int) -> InCycle | None:
    """One account as a bill run meets it."""
    row = Account.objects.filter(pk=account_id).values_list("pk", "reference", "state", "bill_day", "source_key").first()
    return InCycle(row[0], row[1], row[2], row[3], row[4] is not None) if row else None


def count_in_cycle(bill_days: Sequence[int], opened_by: date) -> int:
    return Account.objects.filter(bill_day__in=bill_days, opened_on__lte=opened_by).count()


class LineInCycle(NamedTuple):
    """A line as a bill run meets it: `plan` by its id, `since`: the day from which it is in its state."""

    id: int
    account_id: int
    plan: int
    status: str
    since: date | None
    activated_on: date
    limit_minor: int | None


def lines_in_cycle(account_ids: Sequence[int]) -> list[LineInCycle]:
    """The lines of many accounts, by id."""
    rows = Line.objects.filter(account_id__in=account_ids).order_by("pk")
    return [LineInCycle(*row) for row in rows.values_list("pk", "account_id", "plan_id", "status", "status_since", "activated_on", "spending_limit_minor")]


def plan_changes_since(line_ids: Sequence[int], since: date) -> list[tuple[int, date, int, int]]:
    """The changes of plan of these lines from a day on, in their order: line, day, plan before and after (by id)."""
    rows = PlanChange.objects.filter(line_id__in=line_ids, on__gte=since).order_by("on", "pk")
    return list(rows.values_list("line_id", "on", "before_id", "after_id"))


def data_used(line_ids: Sequence[int], first: date, last: date) -> list[tuple[int, date, int]]:
    """Data by line and day (MB)."""
    rows = Usage.objects.filter(line_id__in=line_ids, kind="data", day__gte=first, day__lte=last)
    return list(rows.values_list("line_id", "day", "quantity"))


def data_added(line_ids: Sequence[int], first: date, last: date) -> dict[int, int]:
    """What was added to lines for periods that begin within these days (MB)."""
    rows = AddedData.objects.filter(line_id__in=line_ids, period_start__gte=first, period_start__lte=last)
    return dict(rows.values("line_id").annotate(s=Sum("mb")).values_list("line_id", "s"))
