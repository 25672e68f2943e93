"""Which route is open to whom. A route that is not listed is closed.

Each route names the act or view that its visitor's role must have; the policy decides again, with all facts, at every
act and look behind it. PUBLIC: anybody. DEMO: who takes contacts, and the demo only. PAYER: anybody, and the demo only: the
test page behind a payment link books a payment without money. TOKEN: the API reads the bearer token itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import logout
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from careline.domain.rulebook import queries as rulebooks

PUBLIC, SIGNED_IN, DEMO, PAYER, TOKEN = "public", "signed-in", "demo", "payer", "token"

ROUTES: dict[str, str] = {
    "signin": PUBLIC,
    "account_login": PUBLIC,
    "welcome": PUBLIC,
    "pay": PAYER,
    "health": PUBLIC,
    "ready": PUBLIC,
    "mfa_authenticate": PUBLIC,
    "openid_connect_login": PUBLIC,
    "openid_connect_callback": PUBLIC,
    "my-sign-in": SIGNED_IN,
    "signout": SIGNED_IN,
    "home": SIGNED_IN,
    "preferences": SIGNED_IN,
    "preferences-page": SIGNED_IN,
    "find": "view.search",
    "start": "contacts.open",
    "start-admission": "contacts.open",
    "answer": "contacts.answer",
    "ringing": "contacts.answer",
    "follow-up": "contacts.finish_follow_up",
    "answers-seen": "approvals.ask",
    "contact": "view.contact",
    "contact-do": "view.contact",
    "draft": "view.contact",
    "offer-part": "contacts.hand_over",
    "request-part": "approvals.ask",
    "request-away": "approvals.ask",
    "journal": "view.journal",
    "money": "view.money",
    "past-due": "view.money",
    "past-due-queue": "view.pastdue",
    "what-if": "view.what_if",
    "paper": "view.paper",
    "paper-part": "view.paper",
    "approvals": "approvals.decide",
    "approvals-part": "approvals.decide",
    "approval": "approvals.decide",
    "network": "view.contact",
    "network-part": "view.contact",
    "guides": "view.guides",
    "guide": "view.guides",
    "guide-picture": "view.guides",
    "rulebook": "view.rulebook",
    "who-may": "view.who_may",
    "supervision": "view.supervision",
    "person-day": "view.person",
    "emergency": "view.glass",
    "opened": "view.opened",
    "changes": "view.proposal",
    "change": "view.proposal",
    "staff": "view.staff",
    "checklist": "view.staff",
    "let-in": "staff.let_in",
    "books": "view.books",
    "books-file": "view.books",
    "messages": DEMO,
    "messages-part": DEMO,
    "message-file": DEMO,
    "ring": DEMO,
    "api-docs": SIGNED_IN,
}
# Polls are cheap and refresh no idle timer.
POLLS = {"ringing", "approvals-part", "request-part", "offer-part", "messages-part", "network-part", "paper-part"}


# Open to who has yet to add the second factor that their role works with.
BEFORE_THE_SECOND = {"my-sign-in", "signout", "preferences"}


class Probes:
    """`/health` and `/ready` are answered before anything looks at the Host (and never redirected): who asks is a supervisor of
    processes or a load balancer, by the machine's own address and without TLS. The answers name nobody."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info in ("/health", "/ready"):
            from careline.doors import ready

            return ready.health(request) if request.path_info == "/health" else ready.ready(request)
        return self.get_response(request)


class Access:
    """Decides before the view: who may knock at this route, and whether their session has been idle too long."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        from careline.doors.web import factors

        match = request.resolver_match
        assert match is not None
        if match.namespaces and match.namespaces[0].startswith("api"):
            return None  # TOKEN: the API authenticates each call by its bearer token, and takes no session
        need = ROUTES.get(match.url_name or "")
        if need is None:
            raise Http404
        if need in (DEMO, PAYER) and not settings.DEMO:
            raise Http404
        if need in (PUBLIC, PAYER):
            return None
        if not request.user.is_authenticated:
            return _sign_in(request)
        if self._idle(request, match.url_name or ""):
            logout(request)
            return _sign_in(request, "idle")
        if (match.url_name or "") not in BEFORE_THE_SECOND and factors.missing(request):
            return _second_factor(request)
        if need == SIGNED_IN:
            return None
        if need == DEMO:
            need = "contacts.open"  # they show what customers received: in the demo too nothing for the administrator
        could = rulebooks.current().authority.roles_with(need)
        if request.user.role not in could:
            from careline.doors.web.oops import forbidden

            return forbidden(request, could=could)
        return None

    def _idle(self, request: HttpRequest, route: str) -> bool:
        """Sessions end when idle. The time of the last request is written at most once a minute, never by a poll."""
        now, seen = time.time(), request.session.get("seen")
        if seen is not None and abs(now - seen) > settings.IDLE_MINUTES * 60:  # a click in the future: the clock was put back
            return True
        if seen is None or (route not in POLLS and abs(now - seen) > 60):
            request.session["seen"] = now
        return False


def _second_factor(request: HttpRequest) -> HttpResponse:
    if request.headers.get("X-Careline-Poll"):
        return HttpResponse(status=401)
    if request.method == "GET":
        request.session["onward"] = request.get_full_path()
    return redirect("my-sign-in")


def _sign_in(request: HttpRequest, why: str = "") -> HttpResponse:
    if request.headers.get("X-Careline-Poll"):
        return HttpResponse(status=401)
    address = reverse("signin")
    if request.method == "GET" and request.path != "/":
        from urllib.parse import quote

        address += f"?next={quote(request.get_full_path())}" + (f"&why={why}" if why else "")
    elif why:
        address += f"?why={why}"
    return redirect(address)
