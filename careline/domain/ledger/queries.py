"""What is owed, what was paid, and what an account's money says that this caller may want to know."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import OuterRef, Subquery, Sum, Window
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

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
)
from careline.foundation.money import shown


@dataclass(frozen=True)
class OpenBill:
    """A bill with what of it is still open (minor units)."""

    id: int
    number: str
    issued_on: date
    due_on: date
    period_start: date
    period_end: date
    total_minor: int
    open_minor: int


def bills_of(account_id: int, limit: int | None = None) -> list[OpenBill]:
    """The account's bills, newest first, each with its open amount; corrected ones are left out."""
    paid = (
        Allocation.objects.filter(bill=OuterRef("pk")).values("bill").annotate(s=Sum("amount_minor")).values("s")
    )
    rows = (
        Bill.objects.filter(account_id=account_id, corrected_by=None)
        .annotate(paid=Coalesce(Subquery(paid), 0))
        .order_by("-issued_on", "-pk")
    )
    return [
        OpenBill(
            b.pk, b.number, b.issued_on, b.due_on, b.period_start, b.period_end, b.total_minor, b.total_minor - b.paid
        )
        for b in (rows[:limit] if limit else rows)
    ]


def balance(account_id: int) -> int:
    """What the account owes now, in minor units; negative: it is in credit. The sum of its entries."""
    return Entry.objects.filter(account_id=account_id).aggregate(s=Sum("amount_minor"))["s"] or 0


def open_items(bills: Sequence[OpenBill]) -> list[rules.OpenItem]:
    return [rules.OpenItem(b.id, b.due_on, b.open_minor) for b in bills]


@dataclass(frozen=True)
class Statement:
    """The newest entries, and what all of them sum to (minor units)."""

    entries: list[Entry]
    balance_minor: int


def statement(account_id: int, limit: int = 12) -> Statement:
    """The newest entries of an account and its balance, in one question."""
    rows = list(
        Entry.objects.filter(account_id=account_id)
        .annotate(total=Window(Sum("amount_minor")))
        .order_by("-at", "-pk")[:limit]
    )
    return Statement(rows, rows[0].total if rows else 0)


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


def bill_lines(bill_id: int) -> list[BillLine]:
    return list(BillLine.objects.filter(bill_id=bill_id).select_related("line").order_by("pk"))


def bill_line(bill_line_id: int) -> BillLine | None:
    return BillLine.objects.select_related("bill", "line").filter(pk=bill_line_id).first()


def creditable_lines(account_id: int, bills: int = 3) -> list[BillLine]:
    """The charges that a credit can start from: positive lines, not taxes, of the last bills that stand."""
    recent = list(
        Bill.objects.filter(account_id=account_id, corrected_by=None)
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


def charges_of(account_id: int, limit: int = 5) -> list[Charge]:
    return list(Charge.objects.filter(account_id=account_id).select_related("method").order_by("-at", "-pk")[:limit])


def link_by_token(token: str) -> PaymentLink | None:
    return PaymentLink.objects.filter(token_hash=hashlib.sha256(token.encode()).hexdigest()).first()


def link_by_reference(reference: str) -> PaymentLink | None:
    return PaymentLink.objects.filter(reference=reference).first()


def signals(
    *,
    bills: Sequence[OpenBill],
    standing: rules.Standing,
    charges: Sequence[Charge],
    today: date,
    at: datetime,
) -> list[Signal]:
    """A bill that jumped, a failed payment, money past due, a credit balance."""
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
    if standing.past_due_minor > 0:
        days = standing.days_past_due(today)
        found.append(
            Signal("past_due", f"{shown(standing.past_due_minor)} past due", f"For {days} day{'s' if days != 1 else ''}.", 70 + min(days, 15), act="payments.take", section="money")
        )
    if standing.balance_minor < 0:
        found.append(Signal("in_credit", f"{shown(-standing.balance_minor)} in credit", "It pays the next bill by itself.", 15, section="money"))
    return found
