"""Requests that wait, and what became of mine."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q

from careline.domain.approvals import rules
from careline.domain.approvals.models import Request


def request(request_id: int) -> Request | None:
    return (
        Request.objects.select_related("asker", "contact", "account", "decided_by").filter(pk=request_id).first()
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
    return (
        Request.objects.filter(_for_role(role), state=rules.State.WAITING, expires_at__gt=at)
        .exclude(asker_id=staff_id)
        .count()
    )


def of_contact(contact_id: int) -> list[Request]:
    return list(Request.objects.filter(contact_id=contact_id).select_related("decided_by").order_by("-asked_at")[:5])


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


def recently_decided(staff_id: int | str, limit: int = 10) -> list[Request]:
    return list(
        Request.objects.filter(decided_by_id=staff_id)
        .select_related("asker", "account")
        .order_by("-decided_at")[:limit]
    )
