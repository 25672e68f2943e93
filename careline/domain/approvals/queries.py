"""Requests that wait, and what became of mine."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q, QuerySet

from careline.domain.approvals import rules
from careline.domain.approvals.models import Request
from careline.prepared import moment, prepared, whole


def request(request_id: int) -> Request | None:
    return (
        Request.objects.select_related("asker", "contact", "account__customer", "decided_by").filter(pk=request_id).first()
    )


def _for_role(role: str) -> Q:
    return Q(roles=role) | Q(roles__startswith=f"{role},") | Q(roles__endswith=f",{role}") | Q(roles__contains=f",{role},")


def waiting_for(role: str, staff_id: int | str, at: datetime) -> list[Request]:
    """What somebody with this role could decide now, oldest first; never their own."""
    return list(
        Request.objects.filter(_for_role(role), state=rules.State.WAITING, expires_at__gt=at)
        .exclude(asker_id=staff_id)
        .select_related("asker", "account", "contact")
        .order_by("asked_at")[:50]
    )


def count_waiting(role: str, staff_id: int | str, at: datetime) -> int:
    return len(_waiting(role, staff=int(staff_id), at=at))


@prepared
def _waiting(role: str) -> QuerySet[Request, tuple[int]]:
    rows = Request.objects.filter(_for_role(role), state=rules.State.WAITING, expires_at__gt=moment("at"))
    return rows.exclude(asker_id=whole("staff")).values_list("pk")


def of_contact(contact_id: int, account_id: int | None) -> list[Request]:
    """What was asked in a contact about the account that it is about now, and who asked to be admitted to any; newest first."""
    return _of_contact(contact=contact_id, account=account_id or 0)


@prepared
def _of_contact() -> QuerySet[Request]:
    rows = Request.objects.filter(Q(account_id=whole("account")) | Q(kind=rules.Kind.ADMIT), contact_id=whole("contact"))
    return rows.select_related("decided_by").order_by("-asked_at")[:5]


def answers_unseen(staff_id: int | str) -> list[Request]:
    """Answers to my requests that I have not seen yet."""
    return list(
        Request.objects.filter(asker_id=staff_id, seen_at=None)
        .exclude(state__in=[rules.State.WAITING, rules.State.WITHDRAWN])
        .select_related("contact", "account", "decided_by")
        .order_by("-asked_at")[:10]
    )


def state_now(row: Request, at: datetime) -> str:
    """The state that counts: a request whose time has passed has expired, whether or not a job wrote it down."""
    return rules.State.EXPIRED if row.state == rules.State.WAITING and row.expires_at <= at else row.state


def agreed_since(since: datetime) -> list[tuple[int, int, datetime, int | None]]:
    """Requests that were agreed since a moment: asker, decider, when, account; the newest first."""
    rows = Request.objects.filter(state__in=[rules.State.APPROVED, rules.State.LESS], decided_at__gte=since).order_by("-decided_at")
    return list(rows.values_list("asker_id", "decided_by_id", "decided_at", "account_id"))  # type: ignore[arg-type]


def recently_decided(staff_id: int | str, limit: int = 10) -> list[Request]:
    return list(
        Request.objects.filter(decided_by_id=staff_id)
        .select_related("asker", "account")
        .order_by("-decided_at")[:limit]
    )
