"""What an account owes and paid, and what of it this caller may want to know."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q, Subquery, Sum, Window
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce
from django.db.models.query import QuerySet

from careline.domain.customers.queries import Signal
from careline.domain.ledger import rules
from careline.domain.ledger.models import (
    Allocation,
    Bill,
    BillLine,
    Charge,
    Entry,
    Payment,
    PaymentLink,
    PaymentMethod,
    UnbilledCharge,
)
from careline.domain.ledger.queries.applied import stands
from careline.foundation.calendar import SLACK
from careline.foundation.money import shown
from careline.prepared import moment, prepared, whole, wholes


@dataclass(frozen=True)
class OpenBill:
    """A bill with what of it is still open (minor units). `replaced_by`: the number of the bill that stands in its place;
    `settled_minor`: what of its lines is credit that the account has by itself (`Bill.settled_minor`), owed beside the total."""

    id: int
    number: str
    issued_on: date
    due_on: date
    period_start: date
    period_end: date
    total_minor: int
    open_minor: int
    replaced_by: str = ""
    settled_minor: int = 0


FIELDS = ("pk", "number", "issued_on", "due_on", "period_start", "period_end", "total_minor")


def bills_of(account_id: int, limit: int | None = None) -> list[OpenBill]:
    """The account's bills, newest first, each with its open amount; corrected ones are left out. `limit`: the newest so many,
    and whatever older one is open still, so that what is past due is all that is."""
    return [OpenBill(*row, row[-1] + (settled or 0) - paid, settled_minor=settled or 0) for *row, settled, paid in _bills(limit, account=account_id)]


@prepared
def _bills(limit: int | None) -> QuerySet[Bill, tuple[Any, ...]]:
    standing = Bill.objects.filter(stands(), account_id=whole("account")).order_by("-issued_on", "-pk")
    rows = standing.annotate(paid=_paid())
    if limit:
        rows = rows.filter(Q(pk__in=standing.values("pk")[:limit]) | Q(total_minor__gt=F("paid") - Coalesce("settled_minor", 0)))
    return rows.values_list(*FIELDS, "settled_minor", "paid")


def _paid() -> Combinable:
    """What pays a bill of a queryset."""
    return Coalesce(Subquery(Allocation.objects.filter(bill=OuterRef("pk")).values("bill").annotate(s=Sum("amount_minor")).values("s")), 0)


def bill_of(account_id: int, bill_id: int) -> OpenBill | None:
    """One bill of the account, also one that another replaced: nothing of that is open."""
    row = Bill.objects.filter(account_id=account_id, pk=bill_id).annotate(paid=_paid()).values_list(*FIELDS, "settled_minor", "paid", "corrected_by__number").first()
    if row is None:
        return None
    *known, total, settled, paid, by = row
    return OpenBill(*known, total, 0 if by else total + (settled or 0) - paid, by or "", settled or 0)


def balance(account_id: int) -> int:
    """What the account owes now, in minor units; negative: it is in credit. The sum of its entries."""
    return Entry.objects.filter(account_id=account_id).aggregate(s=Sum("amount_minor"))["s"] or 0


def open_items(bills: Sequence[OpenBill]) -> list[rules.OpenItem]:
    return [rules.OpenItem(b.id, b.due_on, b.open_minor) for b in bills]


@dataclass(frozen=True)
class Statement:
    """The newest entries, what all of them sum to (minor units), and how many credits there are among all."""

    entries: list[Entry]
    balance_minor: int
    credits: int


def statement(account_id: int, limit: int = 12) -> Statement:
    """The newest entries of an account, its balance and the number of its credits, in one question."""
    rows = _newest(limit, account=account_id)
    return Statement(rows, rows[0].total, rows[0].credits) if rows else Statement([], 0, 0)  # type: ignore[attr-defined]


@prepared
def _newest(limit: int) -> QuerySet[Entry]:
    rows = Entry.objects.filter(account_id=whole("account")).annotate(
        total=Window(Sum("amount_minor")), credits=Window(Count("pk", filter=Q(kind=rules.EntryKind.CREDIT)))
    )
    return rows.order_by("-at", "-pk")[:limit]


def card_subquery(account: Combinable) -> Subquery:
    """For a query of a room above: the last four of the account's first living method."""
    return Subquery(
        PaymentMethod.objects.filter(account=account, is_active=True).order_by("pk").values("last_four")[:1]
    )


def charge_state_subquery(account: Combinable) -> Subquery:
    """For a query of a room above: what became of the newest try to take a payment."""
    return Subquery(Charge.objects.filter(account=account).order_by("-at", "-pk").values("state")[:1])


def entries_of(account_id: int, limit: int = 200) -> list[Entry]:
    """The ledger, newest first."""
    return list(Entry.objects.filter(account_id=account_id).order_by("-at", "-pk")[:limit])


def past_due(account_id: int, today: date) -> tuple[int, date | None]:
    """What is past due (minor units), and since when."""
    bills = bills_of(account_id)
    found = rules.standing(open_items(bills), sum(b.open_minor for b in bills), today)
    return found.past_due_minor, found.past_due_since


def unbilled_of(account_id: int) -> list[UnbilledCharge]:
    """The charges that no bill carries yet, oldest first."""
    carried = BillLine.objects.filter(stands("bill"), bill__account=OuterRef("account"), source_key=OuterRef("number"))
    return list(
        UnbilledCharge.objects.filter(~Exists(carried), account_id=account_id).select_related("line").order_by("at", "pk")
    )


def unbilled_lines(account_id: int) -> list[BillLine]:
    """Those charges as lines for the next bill, unsaved; whoever makes the bill adds the tax on each that says so."""
    return [
        BillLine(
            source_key=c.number,
            kind=c.kind,
            label=c.label,
            line=c.line,
            period_start=c.day,
            period_end=c.day,
            quantity=c.quantity,
            unit_price_minor=c.unit_price_minor,
            amount_minor=c.amount_minor,
        )
        for c in unbilled_of(account_id)
    ]


def charged_beyond_plan(line_id: int, since: date) -> int:
    """What was charged on a line beyond its plan since a day, billed or not (minor units, before tax)."""
    return UnbilledCharge.objects.filter(line_id=line_id, day__gte=since).aggregate(s=Sum("amount_minor"))["s"] or 0


def bill_line(bill_line_id: int) -> BillLine | None:
    return BillLine.objects.select_related("bill", "line").filter(pk=bill_line_id).first()


def numbers_of(account_id: int, bill_ids: Sequence[int]) -> dict[int, str]:
    """The numbers of those of these bills that are this account's."""
    return dict(Bill.objects.filter(account_id=account_id, pk__in=bill_ids).values_list("pk", "number"))


def issued_on(bill_id: int) -> date:
    """The day on which a bill was made. Raises Bill.DoesNotExist when there is none."""
    return Bill.objects.values_list("issued_on", flat=True).get(pk=bill_id)


def replaced(account_id: int) -> set[int]:
    """The bills of an account that another stands in for."""
    return set(Bill.objects.filter(account_id=account_id, corrected_by__isnull=False).values_list("pk", flat=True))


def was_corrected(bill_id: int) -> bool:
    """Was this bill taken back whole, by another that replaces it?"""
    return Bill.objects.filter(corrects_id=bill_id).exists()


def creditable_lines(account_id: int, bills: int = 3) -> list[BillLine]:
    """The charges that a credit can start from: positive lines, not taxes, of the last bills that stand."""
    recent = list(
        Bill.objects.filter(stands(), account_id=account_id)
        .order_by("-issued_on", "-pk")
        .values_list("pk", flat=True)[:bills]
    )
    return list(
        BillLine.objects.filter(bill_id__in=recent, amount_minor__gt=0)
        .exclude(kind=rules.LineKind.TAX)
        .select_related("bill")
        .order_by("-bill__issued_on", "pk")
    )


def tax_lines(bill_line_id: int) -> list[BillLine]:
    return list(BillLine.objects.filter(taxed_line_id=bill_line_id, amount_minor__gt=0).order_by("pk"))


def payments_of(account_id: int, limit: int = 6) -> list[Payment]:
    return list(Payment.objects.filter(account_id=account_id).order_by("-received_at", "-pk")[:limit])


def methods_of(account_id: int) -> list[PaymentMethod]:
    return list(PaymentMethod.objects.filter(account_id=account_id, is_active=True).order_by("pk"))


def method(method_id: int) -> PaymentMethod | None:
    return PaymentMethod.objects.filter(pk=method_id).first()


def charge(key: str) -> Charge | None:
    return Charge.objects.filter(key=key).select_related("method").first()


def charges_like(keys: Sequence[str]) -> dict[str, Charge]:
    """The tries to take a payment under these keys."""
    return {c.key: c for c in Charge.objects.filter(key__in=keys)}


def paying(account_ids: Sequence[int], since: datetime) -> set[int]:
    """Those of the accounts of which a payment was begun since a moment and is under way."""
    return {pk for (pk,) in _paying(accounts=account_ids, since=since)}


@prepared
def _paying() -> QuerySet[Charge, tuple[int]]:
    return Charge.objects.filter(account_id__in=wholes("accounts"), state="pending", at__gte=moment("since")).values_list("account_id")


def charges_pending(prefix: str, before: datetime, limit: int = 100) -> list[Charge]:
    """Tries whose key begins so and that nobody knows the end of, begun by a moment, oldest first."""
    rows = Charge.objects.filter(Q(at__lte=before) | Q(at__gt=before + 2 * SLACK), state="pending", key__startswith=prefix)
    return list(rows.select_related("method").order_by("at", "pk")[:limit])


def methods_of_many(account_ids: Sequence[int], on: date) -> dict[int, PaymentMethod]:
    """The saved method of each account that autopay takes: the first living one that has not expired."""
    found: dict[int, PaymentMethod] = {}
    rows = PaymentMethod.objects.filter(account_id__in=account_ids, is_active=True).exclude(expires_on__lt=on)
    for row in rows.order_by("pk"):
        found.setdefault(row.account_id, row)
    return found


def charges_of(account_id: int, limit: int = 5) -> list[Charge]:
    return list(Charge.objects.filter(account_id=account_id).select_related("method").order_by("-at", "-pk")[:limit])


def link_by_token(token: str) -> PaymentLink | None:
    return PaymentLink.objects.filter(token_hash=hashlib.sha256(token.encode()).hexdigest()).first()


def link_by_reference(reference: str) -> PaymentLink | None:
    return PaymentLink.objects.filter(reference=reference).first()


def last_link_since(account_id: int, since: datetime) -> PaymentLink | None:
    """The newest link by which this account's own people may pay, if one was sent since a moment."""
    return PaymentLink.objects.filter(account_id=account_id, guest=False, made_at__gte=since).order_by("-made_at", "-pk").first()


def signals(
    *,
    bills: Sequence[OpenBill],
    standing: rules.Standing,
    charges: Sequence[Charge],
    entries: Sequence[Entry],
    today: date,
    at: datetime,
) -> list[Signal]:
    """A bill that jumped, a payment that failed or came back, money past due, a credit balance."""
    found: list[Signal] = []
    if len(bills) > 1:
        newest, before = bills[0], bills[1]
        change = newest.total_minor - before.total_minor
        if change >= 500 and before.total_minor > 0 and change * 10 >= before.total_minor and (today - newest.issued_on).days <= 35:
            found.append(
                Signal("bill_jumped", f"Bill up {shown(change)}", f"{shown(newest.total_minor)} after {shown(before.total_minor)}.", 85, section="money")
            )
    failed = next((c for c in charges if c.state == "declined" and (at - c.at).days <= 14), None)
    if failed and not any(c.state == "taken" and c.at > failed.at for c in charges):
        found.append(
            Signal("payment_failed", f"Payment of {shown(failed.amount_minor)} failed", failed.reason or "Declined.", 88, act="payments.take", section="money")
        )
    back = next((e for e in entries if e.kind == rules.EntryKind.PAYMENT_RETURNED and (at - e.at).days <= 30), None)
    if back and not any(e.kind == rules.EntryKind.PAYMENT and e.at > back.at for e in entries):
        found.append(
            Signal("payment_returned", f"Payment of {shown(back.amount_minor)} came back", f"{back.label or 'The bank sent it back'}, on {back.day:%b} {back.day.day}.", 87, act="payments.take", section="money")
        )
    if standing.past_due_minor > 0:
        days = standing.days_past_due(today)
        found.append(
            Signal("past_due", f"{shown(standing.past_due_minor)} past due", f"For {days} day{'s' if days != 1 else ''}.", 70 + min(days, 15), act="payments.take", section="money")
        )
    if standing.balance_minor < 0:
        found.append(Signal("in_credit", f"{shown(-standing.balance_minor)} in credit", "It pays the next bill by itself.", 15, section="money"))
    return found
