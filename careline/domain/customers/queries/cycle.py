"""Accounts and lines as a bill run meets them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from django.db.models import QuerySet, Sum

from careline.domain.customers.models import Account, AddedData, Allowance, Line, Plan, PlanChange, Usage
from careline.domain.customers.rules import DATA, TEXT, VOICE
from careline.foundation.tariff import MB_IN_GB
from careline.prepared import day as given_day
from careline.prepared import prepared, wholes, words


@dataclass(frozen=True, slots=True)
class InCycle:
    """An account as a bill run meets it."""

    id: int
    reference: str
    state: str
    postal_code: str
    bill_day: int
    imported: bool


IN_CYCLE = ("pk", "reference", "state", "postal_code", "bill_day", "source_key")


def in_cycle(bill_days: Sequence[int], opened_by: date, after: int, limit: int) -> list[InCycle]:
    """Accounts with one of these bill days that were opened by a day, by id, from behind one on."""
    rows = Account.objects.filter(bill_day__in=bill_days, opened_on__lte=opened_by, pk__gt=after).order_by("pk")
    return [InCycle(*row, source_key is not None) for *row, source_key in rows.values_list(*IN_CYCLE)[:limit]]


def one_in_cycle(account_id: int) -> InCycle | None:
    """One account as a bill run meets it."""
    row = Account.objects.filter(pk=account_id).values_list(*IN_CYCLE).first()
    return InCycle(*row[:-1], row[-1] is not None) if row else None


def came_by_import(account_ids: Sequence[int]) -> set[int]:
    """Those of the accounts that came by import."""
    return {pk for (pk,) in _came_by_import(accounts=account_ids)}


@prepared
def _came_by_import() -> QuerySet[Account, tuple[int]]:
    return Account.objects.filter(pk__in=wholes("accounts"), source_key__isnull=False).values_list("pk")


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
    return [LineInCycle(*row) for row in _lines_in_cycle(accounts=account_ids)]


@prepared
def _lines_in_cycle() -> QuerySet[Line, tuple[Any, ...]]:
    rows = Line.objects.filter(account_id__in=wholes("accounts")).order_by("pk")
    return rows.values_list("pk", "account_id", "plan_id", "status", "status_since", "activated_on", "spending_limit_minor")


class Included(NamedTuple):
    """What a plan includes of one kind of use, in units, and what `per` units more cost."""

    kind: str
    title: str
    unit: str
    included: int
    price_minor: int
    per: int


class PlanInCycle(NamedTuple):
    """A plan as a bill run meets it. `included`: the kinds of use that cost something beyond what it includes."""

    id: int
    name: str
    price_minor: int
    included: tuple[Included, ...]


def plans_in_cycle() -> list[PlanInCycle]:
    """Every plan there is or was. Two questions."""
    own: dict[int, list[Included]] = defaultdict(list)
    for a in Allowance.objects.order_by("plan", "kind"):
        if a.price_minor:
            own[a.plan_id].append(Included(a.kind, a.title, a.unit, a.included, a.price_minor, 1))
    return [PlanInCycle(p.pk, p.name, p.price_minor, (*_included(p), *own[p.pk])) for p in Plan.objects.all()]


def _included(plan: Plan) -> list[Included]:
    every = (
        (DATA, plan.data_mb, plan.data_gb_price_minor, MB_IN_GB),
        (VOICE, plan.voice_minutes, plan.voice_minute_price_minor, 1),
        (TEXT, plan.texts, plan.text_price_minor, 1),
    )
    return [Included(*kind, units, price, per) for kind, units, price, per in every if units is not None and price]


class Used(NamedTuple):
    """What a line used of one kind in a period, in units. `included` None: no limit."""

    kind: str
    title: str
    unit: str
    units: int
    included: int | None


def used_beside_data(lines: Sequence[Line], since: date) -> dict[int, list[Used]]:
    """Calls, messages and what else the plans of these lines name: by line, what was used since a day; nothing of a kind that has no
    limit and was not used. Calls, messages and data come with the lines themselves (`lines_of` since that day); two questions more where
    a line used anything else."""
    known: list[tuple[tuple[int, str], int | None]] = [((n.pk, kind[0]), getattr(n, name)) for n in lines for kind, name in ((VOICE, "voice_used"), (TEXT, "texts_used"))]
    sums = {key: units for key, units in known if units is not None}
    own: dict[int, list[Allowance]] = defaultdict(list)
    if else_ := [n for n in lines if n.used_else]:
        sums |= {(line_id, kind): units for line_id, kind, units in _used_since(lines=[n.pk for n in else_], since=since)}
        for a in Allowance.objects.filter(plan_id__in={n.plan_id for n in else_}).order_by("title"):
            own[a.plan_id].append(a)
    found: dict[int, list[Used]] = {}
    for n in lines:
        every = [(VOICE, n.plan.voice_minutes), (TEXT, n.plan.texts), *(((a.kind, a.title, a.unit), a.included) for a in own[n.plan_id])]
        found[n.pk] = [Used(*kind, sums.get((n.pk, kind[0]), 0), included) for kind, included in every if included is not None or (n.pk, kind[0]) in sums]
    return found


@prepared
def _used_since() -> QuerySet[Usage, tuple[int, str, int]]:
    rows = Usage.objects.filter(line_id__in=wholes("lines"), day__gte=given_day("since")).exclude(kind__in=[kind for kind, _, _ in (DATA, VOICE, TEXT)])
    return rows.values("line_id", "kind").annotate(s=Sum("quantity")).order_by().values_list("line_id", "kind", "s")


def plan_changes_since(line_ids: Sequence[int], since: date) -> list[tuple[int, date, int, int]]:
    """The changes of plan of these lines from a day on, in their order: line, day, plan before and after (by id)."""
    return _plan_changes(lines=line_ids, since=since)


@prepared
def _plan_changes() -> QuerySet[PlanChange, tuple[int, date, int, int]]:
    rows = PlanChange.objects.filter(line_id__in=wholes("lines"), on__gte=given_day("since")).order_by("on", "pk")
    return rows.values_list("line_id", "on", "before_id", "after_id")


def used_by_day(line_ids: Sequence[int], kinds: Sequence[str], first: date, last: date) -> list[tuple[int, str, date, int]]:
    """What lines used of some kinds within these days: line, kind, day, units."""
    return _used_by_day(lines=line_ids, kinds=kinds, first=first, last=last) if line_ids else []


@prepared
def _used_by_day() -> QuerySet[Usage, tuple[int, str, date, int]]:
    return _within().values_list("line_id", "kind", "day", "quantity")


def used_in_all(line_ids: Sequence[int], kinds: Sequence[str], first: date, last: date) -> list[tuple[int, str, int]]:
    """What lines used of some kinds within these days, together: line, kind, units."""
    return _used_in_all(lines=line_ids, kinds=kinds, first=first, last=last) if line_ids else []


@prepared
def _used_in_all() -> QuerySet[Usage, tuple[int, str, int]]:
    return _within().values("line_id", "kind").annotate(s=Sum("quantity")).order_by().values_list("line_id", "kind", "s")


def _within() -> QuerySet[Usage]:
    return Usage.objects.filter(line_id__in=wholes("lines"), kind__in=words("kinds"), day__gte=given_day("first"), day__lte=given_day("last"))


def data_added(line_ids: Sequence[int], first: date, last: date) -> dict[int, int]:
    """What was added to lines for periods that begin within these days (MB)."""
    return dict(_data_added(lines=line_ids, first=first, last=last)) if line_ids else {}


@prepared
def _data_added() -> QuerySet[AddedData, tuple[int, int]]:
    rows = AddedData.objects.filter(line_id__in=wholes("lines"), period_start__gte=given_day("first"), period_start__lte=given_day("last"))
    return rows.values("line_id").annotate(s=Sum("mb")).order_by().values_list("line_id", "s")
