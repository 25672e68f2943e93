"""Who is signed in, asked at every request: Django's sessions in the database and allauth's users, by prepared questions; and
where else, for the people's own page and the administrator's."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from allauth.account.auth_backends import AuthenticationBackend
from django.conf import settings
from django.contrib.sessions.backends import db
from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.utils import timezone

from careline.domain.staff import queries as staff
from careline.prepared import moment, prepared, text


@prepared
def _alive() -> QuerySet[Session]:
    return Session.objects.filter(session_key=text("key"), expire_date__gt=moment("now"))


class SessionStore(db.SessionStore):
    def _get_session_from_db(self) -> Session | None:
        found = _alive.first(key=self.session_key or "", now=timezone.now())
        if found is None:
            self._session_key = None
        return found


class Backend(AuthenticationBackend):
    def get_user(self, user_id: Any) -> Any:
        found = staff.signed_in(user_id)
        return found if found is not None and self.user_can_authenticate(found) else None


@dataclass(frozen=True)
class Seen:
    """A session that lives: `where` is its browser and system, `seen` its last click."""

    id: int
    key: str
    where: str
    ip: str
    since: datetime
    seen: datetime | None


def living(staff_ids: Iterable[int]) -> dict[int, list[Seen]]:
    """The sessions of people that would open the desk now, newest first: those that ended by time or idleness are not among them."""
    rows = staff.sessions(staff_ids)
    stored = {s.session_key: s for s in Session.objects.filter(session_key__in=[r.session_key for r in rows], expire_date__gt=timezone.now())}
    found: dict[int, list[Seen]] = {}
    for row in rows:
        if row.session_key not in stored:
            continue
        seen = stored[row.session_key].get_decoded().get("seen")
        if seen is not None and abs(time.time() - seen) > settings.IDLE_MINUTES * 60:
            continue
        at = datetime.fromtimestamp(seen, UTC) if seen is not None else None
        found.setdefault(row.user_id, []).append(Seen(row.pk, row.session_key, browser(row.user_agent), row.ip, row.created_at, at))
    return found


BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
SYSTEMS = (("Windows", "Windows"), ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Mac OS", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux"))


def browser(agent: str) -> str:
    """`Firefox on Windows`, or what a program calls itself."""
    name = next((title for mark, title in BROWSERS if mark in agent), "")
    system = next((title for mark, title in SYSTEMS if mark in agent), "")
    own = re.match(r"[\w.-]{1,30}", agent)
    return " on ".join(filter(None, (name or (own[0] if own else "Unknown"), system)))
