"""Who is signed in, asked at every request: Django's sessions in the database and allauth's users, by prepared questions."""

from __future__ import annotations

from typing import Any

from allauth.account.auth_backends import AuthenticationBackend
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
