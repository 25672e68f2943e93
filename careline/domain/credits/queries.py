"""What was credited, and what the limits leave."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Case, F, Sum, When

from careline.domain.credits import rules
from careline.domain.credits.models import Grant, GrantPart
from careline.domain.ledger import queries as ledger
from careline.domain.ledger.rules import EntryKind
from careline.domain.ledger.rules.books import Share
from careline.domain.ledger.rules.explain import Credited
from careline.domain.staff import queries as staff
from careline.foundation.money import share


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
    return credited_on_lines([bill_line_id]).get(bill_line_id, 0)


def credited_on_lines(bill_line_ids: Sequence[int]) -> dict[int, int]:
    """The same for many bill lines in one question; a line of which nothing was credited is left out."""
    rows = GrantPart.objects.filter(bill_line_id__in=bill_line_ids, grant__reverses=None, grant__reversed_by=None)
    return dict(rows.values_list("bill_line_id").annotate(s=Sum("amount_minor")))


def credits_of_lines(bill_line_ids: Sequence[int]) -> dict[int, list[tuple[str, int]]]:
    """The credits that stand on each of these bill lines: number and what of the line it took off, oldest first."""
    rows = GrantPart.objects.filter(bill_line_id__in=bill_line_ids, grant__reverses=None, grant__reversed_by=None)
    found: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for line_id, number, minor in rows.order_by("grant_id").values_list("bill_line_id", "grant__number").annotate(s=Sum("amount_minor")):
        found[line_id].append((number, minor))
    return found


def days_credited(bill_line_id: int) -> list[tuple[date, date, str]]:
    """The days of a charge that were credited and stand: first, last, number of the credit."""
    rows = Grant.objects.filter(bill_line_id=bill_line_id, reverses=None, reversed_by=None, first_on__isnull=False)
    return list(rows.order_by("first_on").values_list("first_on", "last_on", "number"))  # type: ignore[arg-type]


def on_bills(bill_ids: Sequence[int]) -> list[Credited]:
    """What was taken off the charges of these bills and stands, oldest first."""
    rows = Grant.objects.filter(bill_line__bill_id__in=bill_ids, reverses=None, reversed_by=None).select_related("bill_line", "granted_by")
    zone = ZoneInfo(settings.CARRIER_ZONE)
    return [
        Credited(g.number, g.bill_line.bill_id, g.bill_line.label, g.total_minor, g.at.astimezone(zone).date(), g.granted_by.name, g.first_on, g.last_on)
        for g in rows.order_by("at", "pk")
        if g.bill_line is not None
    ]


def booked(first: date | None, last: date) -> list[Share]:
    """The parts of the credits and reversals booked in a period, for the books; a credit takes from what is owed. And the same parts back
    where a bill of another system carries the credit, whose books have it then. Four questions."""
    kinds = (EntryKind.CREDIT, EntryKind.CREDIT_REVERSED)
    rows = (
        ledger.booked(first, last).filter(kind__in=kinds, grant__parts__isnull=False)
        .annotate(part=F("grant__parts__kind"), tax=F("grant__parts__label"), reason=F("grant__reason"))
        .annotate(detail=Case(When(part="tax", then=F("tax")), default=F("reason")))
        .values("booked", "kind", "part", "detail").annotate(s=Sum("grant__parts__amount_minor"))
    )  # fmt: skip
    given = [Share(r["booked"], r["kind"], False, "tax" if r["part"] == "tax" else "credit", r["detail"], -r["s"]) for r in rows]
    return [*given, *_settled(first, last)]


def _settled(first: date | None, last: date) -> list[Share]:
    """A credit that is on another system's bill, in the parts that it was given in."""
    rows = ledger.settled_booked(first, last)
    parts: dict[int, list[GrantPart]] = defaultdict(list)
    for p in GrantPart.objects.filter(grant__entry__in={entry_id for _, _, entry_id, _ in rows}).select_related("grant").order_by("pk") if rows else ():
        parts[p.grant.entry_id].append(p)
    found = []
    for day, kind, entry_id, minor in rows:
        whole, done, given = sum(p.amount_minor for p in parts[entry_id]), 0, 0
        for p in parts[entry_id]:  # each from the beginning, so that the roundings come to the whole
            done += p.amount_minor
            upto = share(minor, abs(done), abs(whole))
            place, detail = ("tax", p.label) if p.kind == "tax" else ("credit", p.grant.reason)
            found.append(Share(day, kind, False, place, detail, upto - given))
            given = upto
    return found


def totals_of(contact_id: int) -> dict[tuple[int, datetime], int]:
    """What each credit of a contact came to with its tax, by who gave it and when: a decided request finds its own."""
    rows = Grant.objects.filter(contact_id=contact_id, reverses=None)
    return {(by, at): total for by, at, total in rows.values_list("granted_by_id", "at", "total_minor")}


def given_for(*, contact_id: int, reason: str, bill_line_id: int | None) -> int:
    """What one event was given already, before tax, less what was taken back: this contact, this reason, this charge
    (None: whatever charge)."""
    rows = Grant.objects.filter(contact_id=contact_id, reason=reason, reverses=None, reversed_by=None)
    if bill_line_id is not None:
        rows = rows.filter(bill_line_id=bill_line_id)
    return rows.aggregate(s=Sum("amount_minor"))["s"] or 0


def tax_lines(bill_line_id: int) -> list[rules.TaxLine]:
    return [
        rules.TaxLine(t.pk, t.label, t.amount_minor, credited_on_line(t.pk)) for t in ledger.tax_lines(bill_line_id)
    ]


def room(
    *,
    limits: dict[str, Any],
    reason: str,
    policy: dict[str, Any],
    role: str,
    staff_id: int | None,
    account_id: int,
    contact_id: int | None,
    bill_line_id: int | None,
    at: datetime,
    day: Any,
) -> rules.Room:
    """What every limit leaves for one more credit by this role. `staff_id` None: a fresh holder of the role."""
    credit = limits["credit"]
    window = credit["account_window"]
    used = staff.used(staff_id, "credit", day)
    charged = ledger.bill_line(bill_line_id) if bill_line_id else None
    of_charge = bill_line_id if policy["evidence"] == rules.Evidence.BILL_LINE else None
    given = given_for(contact_id=contact_id, reason=reason, bill_line_id=of_charge) if contact_id is not None else 0
    for_reason = policy["event_limit"]
    return rules.Room(
        event=staff.limit(credit["event"], role) - given,
        reason=(staff.limit(for_reason, role) if isinstance(for_reason, dict) else int(for_reason)) - given,
        window=staff.limit(window, role) - window_used(account_id, at - timedelta(days=window["days"])),
        day=staff.limit(credit["day"]["value"], role) - used.amount_minor,
        count=staff.limit(credit["day"]["count"], role) - used.count,
        line=charged.amount_minor - credited_on_line(charged.pk) if charged else None,
    )
