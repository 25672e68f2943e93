"""Who works here, what they may spend, and whose token this is."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.db.models import QuerySet

from careline.domain.staff.models import Spending, Staff, Team, Token, WayIn
from careline.foundation.act import Who
from careline.prepared import prepared, whole


def person(staff_id: int | str) -> Staff | None:
    return Staff.objects.filter(pk=staff_id).select_related("team").first()


def signed_in(staff_id: int | str) -> Staff | None:
    """Who a session belongs to, asked at every request."""
    return _person.first(staff=int(staff_id))


@prepared
def _person() -> QuerySet[Staff]:
    return Staff.objects.filter(pk=whole("staff"))


def by_username(username: str) -> Staff | None:
    return Staff.objects.filter(username__iexact=username).first()


def everybody() -> list[Staff]:
    return list(Staff.objects.select_related("team").order_by("name"))


def colleagues(role_names: tuple[str, ...]) -> list[Staff]:
    """Active people with one of these roles, by name: who a contact can be handed to."""
    return list(Staff.objects.filter(is_active=True, role__in=role_names).order_by("name"))


def waiting_to_be_let_in() -> list[WayIn]:
    """Active people without a password whom a second person has to let in, longest waiting first."""
    rows = WayIn.objects.filter(used_at=None, staff__is_active=True).select_related("staff", "asked_by", "let_in_by")
    return list(rows.order_by("asked_at", "pk"))


def way_in(staff_id: int) -> WayIn | None:
    """The open way in of somebody who has to be let in."""
    return WayIn.objects.filter(staff_id=staff_id, used_at=None).first()


def code_hash(staff_id: int, code: str) -> str:
    """The keyed hash of a way in's code, however it was spelled. The key is outside the database."""
    typed = "".join(c for c in code.upper() if c.isalnum())
    return hmac.new(settings.PEPPER, f"way-in:{staff_id}:{typed}".encode(), hashlib.sha256).hexdigest()


def teams() -> list[Team]:
    return list(Team.objects.order_by("name"))


def tokens_of(staff_id: int) -> list[Token]:
    return list(Token.objects.filter(owner_id=staff_id).order_by("-created_at"))


def all_tokens() -> list[Token]:
    return list(Token.objects.select_related("owner").order_by("owner__name", "-created_at"))


@dataclass(frozen=True)
class Bearer:
    """Who holds a living token, and for which acts (`*`: all that the role has)."""

    who: Who
    scope: frozenset[str]

    def covers(self, code: str) -> bool:
        return "*" in self.scope or code in self.scope


def bearer(secret: str, at: datetime) -> Bearer | None:
    """Whose token this is, or None when it is unknown, expired, revoked, or its owner is switched off."""
    token = Token.objects.filter(hash=Token.hash_of(secret)).select_related("owner").first()
    if token is None or not token.alive(at) or not token.owner.is_active:
        return None
    return Bearer(token.owner.who, frozenset(token.scope.split()))


@dataclass(frozen=True)
class Used:
    """What one person used of a daily limit: minor units and how many times."""

    amount_minor: int
    count: int


def used(staff_id: int | None, kind: str, day: date) -> Used:
    """None: a fresh holder of the role, who has used nothing."""
    row = Spending.objects.filter(staff_id=staff_id, kind=kind, day=day).first() if staff_id else None
    return Used(row.amount_minor, row.count) if row else Used(0, 0)


def limit(table: Mapping[str, Any], role: str) -> int:
    """One number of a limits table for a role; a role that the table does not name has none."""
    return int(table.get(role, 0))


@dataclass(frozen=True)
class Factor:
    """A second factor of somebody: an app that makes codes, a security key, or the recovery codes that are left."""

    id: int
    owner_id: int
    kind: str
    name: str
    added: datetime
    used: datetime | None
    left: int | None = None


FACTOR_NAMES = {"totp": "Authenticator app", "webauthn": "Security key", "recovery_codes": "Recovery codes"}


def factors(staff_ids: Iterable[int]) -> dict[int, list[Factor]]:
    """The second factors of people, those that can be used first; who has none is not in it."""
    found: dict[int, list[Factor]] = {}
    rows = Authenticator.objects.filter(user_id__in=list(staff_ids)).order_by("created_at", "pk")
    for row in sorted(rows, key=lambda r: r.type == Authenticator.Type.RECOVERY_CODES):
        left = None
        name = FACTOR_NAMES[row.type]
        if row.type == Authenticator.Type.WEBAUTHN:
            name = row.data.get("name") or name
        elif row.type == Authenticator.Type.RECOVERY_CODES:
            left = len(row.wrap().get_unused_codes())
        found.setdefault(row.user_id, []).append(Factor(row.pk, row.user_id, row.type, name, row.created_at, row.last_used_at, left))
    return found


def has_factor(staff_id: int) -> bool:
    """Whether somebody has a second factor to sign in with; recovery codes alone are none."""
    return Authenticator.objects.filter(user_id=staff_id).exclude(type=Authenticator.Type.RECOVERY_CODES).exists()


def sessions(staff_ids: Iterable[int]) -> list[UserSession]:
    """Where people signed in and did not sign out, newest first; whether one still lives its store knows."""
    return list(UserSession.objects.filter(user_id__in=list(staff_ids)).order_by("-created_at", "-pk"))
