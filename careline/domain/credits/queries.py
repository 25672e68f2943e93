"""What was credited, and what the limits leave."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Sum

from careline.domain.credits import rules
from careline.domain.credits.models import Grant, GrantPart
from careline.domain.ledger import queries as ledger
from careline.domain.staff import queries as staff


def grant(number: str) -> Grant | None:
    return (
        Grant.objects.select_related("account", "granted_by", "asked_by", "bill_line").filter(number=number).first()
    )


def grants_of(account_id: int, limit: int = 20) -> list[Grant]:
    """The account's credits, newest first; a reversal stands beside what it takes back."""
    return list(
        Grant.objects.filter(account_id=account_id)
        .select_related("granted_by", "asked_by", "reverses", "reversed_by")
        .order_by("-at", "-pk")[:limit]
    )


def window_used(account_id: int, since: datetime) -> int:
    """What the account was credited since a moment, before tax, less what was taken back (minor units)."""
    rows = Grant.objects.filter(account_id=account_id, at__gte=since, reverses=None, reversed_by=None)
    return rows.aggregate(s=Sum("amount_minor"))["s"] or 0


def credited_on_line(bill_line_id: int) -> int:
    """What of a bill line was credited already and not taken back (minor units)."""
    rows = GrantPart.objects.filter(bill_line_id=bill_line_id, grant__reverses=None, grant__reversed_by=None)
    return rows.aggregate(s=Sum("amount_minor"))["s"] or 0


def tax_lines(bill_line_id: int) -> list[rules.TaxLine]:
    return [
        rules.TaxLine(t.pk, t.label, t.amount_minor, credited_on_line(t.pk)) for t in ledger.tax_lines(bill_line_id)
    ]


def room(
    *,
    limits: dict[str, Any],
    reason: dict[str, Any],
    role: str,
    staff_id: int | None,
    account_id: int,
    bill_line_id: int | None,
    at: datetime,
    day: Any,
) -> rules.Room:
    """What every limit leaves for one more credit by this role. `staff_id` None: a fresh holder of the role."""
    credit = limits["credit"]
    window = credit["account_window"]
    used = staff.used(staff_id, "credit", day)
    charged = ledger.bill_line(bill_line_id) if bill_line_id else None
    return rules.Room(
        event=staff.limit(credit["event"], role),
        reason=int(reason["event_limit"]),
        window=staff.limit(window, role) - window_used(account_id, at - timedelta(days=window["days"])),
        day=staff.limit(credit["day"]["value"], role) - used.amount_minor,
        count=staff.limit(credit["day"]["count"], role) - used.count,
        line=charged.amount_minor - credited_on_line(charged.pk) if charged else None,
    )
