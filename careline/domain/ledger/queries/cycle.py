"""What a bill run asks, of many accounts at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from django.db.models import Count, Exists, Max, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from careline.domain.ledger import rules
from careline.domain.ledger.models import Allocation, Bill, BillLine, Payment, UnbilledCharge
from careline.domain.ledger.queries.applied import stands
from careline.foundation.tariff import MILLION
from careline.prepared import day as given_day
from careline.prepared import moment, prepared, wholes, words


def covered_to(account_ids: Sequence[int]) -> dict[int, tuple[date, bool]]:
    """By account: the last day that a standing bill covers, and whether any bill came from another system."""
    return {pk: (last, bool(imported)) for pk, last, imported in _covered(accounts=account_ids)}


@prepared
def _covered() -> QuerySet[Bill, tuple[Any, ...]]:
    rows = Bill.objects.filter(stands(), account_id__in=wholes("accounts")).values("account_id")
    return rows.annotate(last=Max("period_end"), imported=Count("source_key")).order_by("account_id").values_list("account_id", "last", "imported")


def charged_in_advance(account_ids: Sequence[int], period_end: date) -> list[tuple[int, int | None, str, str, int, int]]:
    """What standing bills charged for the whole of a period that ends on a day: account, line (None: the whole account), kind
    (plan or discount), label, amount, and of a discount that is a share the parts per million (else 0)."""
    return [(*row, num if den == MILLION else 0) for *row, num, den in _in_advance(accounts=account_ids, end=period_end)]


@prepared
def _in_advance() -> QuerySet[BillLine, tuple[Any, ...]]:
    rows = BillLine.objects.filter(
        stands("bill"), bill__account_id__in=wholes("accounts"), bill__period_end=given_day("end"), period_end=given_day("end"),
        kind__in=(rules.LineKind.PLAN, rules.LineKind.DISCOUNT),
    )  # fmt: skip
    return rows.order_by("pk").values_list("bill__account_id", "line_id", "kind", "label", "amount_minor", "proration_num", "proration_den")


def unbilled_of_many(account_ids: Sequence[int]) -> list[UnbilledCharge]:
    """The charges of many accounts that no bill carries yet, oldest first."""
    return _unbilled(accounts=account_ids)


@prepared
def _unbilled() -> QuerySet[UnbilledCharge]:
    carried = BillLine.objects.filter(stands("bill"), bill__account=OuterRef("account"), source_key=OuterRef("number"))
    return UnbilledCharge.objects.filter(~Exists(carried), account_id__in=wholes("accounts")).order_by("at", "pk")


def carried_already(account_ids: Sequence[int], numbers: Sequence[str]) -> set[tuple[int, str]]:
    """Which of these waiting charges stand on a bill by now: account and number."""
    return set(_carried(accounts=account_ids, numbers=numbers)) if numbers else set()


@prepared
def _carried() -> QuerySet[BillLine, tuple[int, str]]:
    rows = BillLine.objects.filter(stands("bill"), bill__account_id__in=wholes("accounts"), source_key__in=words("numbers"))
    return rows.values_list("bill__account_id", "source_key")  # type: ignore[return-value]


def with_charge(account_ids: Sequence[int], source_key: str, since: date) -> set[int]:
    """Those of the accounts that a standing bill, issued since a day, charged under this source key or one below it."""
    below = f"{source_key}."
    return {pk for pk, key in _fees(accounts=account_ids, since=since) if key is not None and (key == source_key or key.startswith(below))}


@prepared
def _fees() -> QuerySet[BillLine, tuple[int, str | None]]:
    rows = BillLine.objects.filter(stands("bill"), bill__account_id__in=wholes("accounts"), bill__issued_on__gte=given_day("since"), kind=rules.LineKind.FEE)
    return rows.values_list("bill__account_id", "source_key")


def fell_due(account_ids: Sequence[int], first: date, last: date) -> list[tuple[int, date, int, bool]]:
    """The standing bills that fell due within these days: account, due day, what of it is open, and whether it was imported."""
    rows = _fell_due(accounts=account_ids, first=first, last=last)
    return [(pk, due_on, total + (settled or 0) - done, key is not None) for pk, due_on, total, settled, done, key in rows]


@prepared
def _fell_due() -> QuerySet[Bill, tuple[int, date, int, int | None, int, str | None]]:
    paid = Allocation.objects.filter(bill=OuterRef("pk")).values("bill").annotate(s=Sum("amount_minor")).values("s")
    rows = Bill.objects.filter(stands(), account_id__in=wholes("accounts"), due_on__gte=given_day("first"), due_on__lte=given_day("last"))
    return rows.annotate(paid=Coalesce(Subquery(paid), 0)).values_list("account_id", "due_on", "total_minor", "settled_minor", "paid", "source_key")


def imported_bills(bill_ids: Sequence[int]) -> set[int]:
    """Those of the bills that another system made."""
    return {pk for (pk,) in _imported_bills(bills=bill_ids)} if bill_ids else set()


@prepared
def _imported_bills() -> QuerySet[Bill, tuple[int]]:
    return Bill.objects.filter(pk__in=wholes("bills"), source_key__isnull=False).values_list("pk")


def came_back(account_ids: Sequence[int], since: datetime, before: datetime) -> list[tuple[int, str, datetime]]:
    """Payments that were returned between two moments: account, number of the return, when."""
    return _came_back(accounts=account_ids, since=since, before=before)


@prepared
def _came_back() -> QuerySet[Payment, tuple[int, str, datetime]]:
    rows = Payment.objects.filter(account_id__in=wholes("accounts"), returns__isnull=False, received_at__gte=moment("since"), received_at__lt=moment("before"))
    return rows.order_by("received_at", "pk").values_list("account_id", "number", "received_at")


def charged_beyond_plan_many(line_ids: Sequence[int], first: date, last: date) -> list[tuple[int, date, int]]:
    """What was charged on lines beyond their plans within these days: line, day, amount before tax."""
    return _beyond(lines=line_ids, first=first, last=last)


@prepared
def _beyond() -> QuerySet[UnbilledCharge, tuple[int, date, int]]:
    rows = UnbilledCharge.objects.filter(line_id__in=wholes("lines"), day__gte=given_day("first"), day__lte=given_day("last"))
    return rows.values_list("line_id", "day", "amount_minor")  # type: ignore[return-value]
