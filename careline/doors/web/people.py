"""People and tokens: the administrator's page, which shows no customer and no account; and the lead's, who lets people in."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from careline.acts.declare import Outcome
from careline.acts.look import look
from careline.domain.rulebook import queries as rulebooks
from careline.domain.staff import queries as staff
from careline.domain.staff.rules import ROLE_TITLES, Role
from careline.doors import sessions
from careline.doors.web import forms, home
from careline.doors.web.render import page

MACHINES = ("agent", "service")
KINDS = {
    "staff.add": {"username": "text", "name": "text", "role": "text", "email": "text", "team": "text"},
    "staff.change_role": {"staff": "id", "role": "text"},
    "staff.set_active": {"staff": "id", "active": "checkbox"},
    "staff.reset_password": {"staff": "id"},
    "staff.reset_factors": {"staff": "id"},
    "staff.end_sessions": {"staff": "id", "session": "id"},
    "staff.issue_token": {"staff": "id", "label": "text", "scope": "text", "days": "whole"},
    "staff.revoke_token": {"token": "id"},
}


def show(request: HttpRequest) -> HttpResponse:
    looked = look("view.staff", who=request.user.who)
    if not looked.allowed:
        error = {"title": "Not shown", "say": looked.refusal.say if looked.refusal else "", "what_to_do": None, "refusal": None, "reference": None, "way_on": []}
        return page(request, "error.html", {"error": error}, 403)
    if request.method == "POST":
        code = request.POST.get("code", "")
        if code not in KINDS:
            return redirect("staff")
        given = forms.read(request.POST, KINDS[code])
        if code == "staff.issue_token":
            given.setdefault("scope", "")  # a field that was emptied is no wish for everything
        outcome = forms.do(request, code, given)
        if outcome.ok:
            if "secret" in outcome.show:
                return _draw(request, token={"name": request.POST.get("label", ""), "secret": outcome.show["secret"]})
            messages.success(request, outcome.say)
            response = redirect("staff")
            response.status_code = 303
            return response
        return _draw(request, code, outcome, request.POST.dict(), status=422)
    return _draw(request)


def _draw(request: HttpRequest, code: str = "", outcome: Outcome | None = None, data: Any = None, token: Any = None, status: int = 200) -> HttpResponse:
    now = timezone.now()
    action = reverse("staff")
    roles = [(r.value, ROLE_TITLES[r]) for r in Role]

    def answered(shape: dict[str, Any]) -> dict[str, Any]:
        return forms.refilled(shape, data, outcome, []) if outcome is not None and shape["code"] == code else shape

    people = staff.everybody()
    held, living = staff.factors(p.pk for p in people), sessions.living(p.pk for p in people)
    needed = rulebooks.current().sign_in.second_factor if settings.SECOND_FACTORS else frozenset()

    def row(person: Any) -> dict[str, Any]:
        me = str(person.pk) == request.user.who.id
        same_kind = [(v, t) for v, t in roles if (v in MACHINES) == (person.role in MACHINES)]
        return {
            "name": person.name, "username": person.username, "role": ROLE_TITLES.get(person.role, person.role), "active": person.is_active,
            "last_seen": person.last_login,
            "state": _state(ways.get(person.pk), person),
            "moves": [] if me else _moves(person, ways, person.pk in held, action, same_kind),
            "factors": [f.name for f in held.get(person.pk, []) if f.kind != "recovery_codes"],
            "lacks": person.is_active and person.role in needed and person.pk not in held,
            "machine": person.role in MACHINES,
            "sessions": [
                {"where": s.where, "ip": s.ip, "since": s.since, "seen": s.seen, "end": forms.button("End", action, code="staff.end_sessions", staff=person.pk, session=s.id)}
                for s in living.get(person.pk, [])
            ],
            "end_all": forms.button("End all", action, code="staff.end_sessions", staff=person.pk) if len(living.get(person.pk, [])) > 1 else None,
            "on": None if person.is_active else forms.button("Switch on", action, code="staff.set_active", staff=person.pk, active="on"),
        }

    ways = {w.staff_id: w for w in staff.waiting_to_be_let_in()}
    can = rulebooks.current().authority.roles_with("staff.let_in")
    if ways and not any(p.is_active and p.role in can and p.has_usable_password() for p in people):
        messages.info(request, "Nobody here can let people in yet. On the server: careline user password NAME.")
    shape = {
        "new_token": token,
        "waits": home.proposals_to_decide(request.user.who),
        "add": answered(forms.form("staff.add", "Add somebody", "Add", action, [
            forms.hidden("code", "staff.add"), forms.field("name", "Name"), forms.field("username", "Sign-in name", autocomplete="off"),
            forms.field("role", "Role", "choice", choices=roles), forms.field("team", "Team", required=False),
        ], consequence="A lead lets a person in with a code, and they choose their own password. An AI agent or a service signs in by token.")),
        "rows": [row(p) for p in people],
        "tokens": [
            {"name": f"{t.label} ({t.hint}…)", "owner": t.owner.name, "may": "all that the role has" if t.scope == "*" else t.scope, "until": t.expires_at,
             "revoke": forms.button("Revoke", action, code="staff.revoke_token", token=t.pk) if t.alive(now) else None}
            for t in staff.all_tokens()
        ],
        "token_add": answered(forms.form("staff.issue_token", "Issue a token", "Issue it", action, [
            forms.hidden("code", "staff.issue_token"), forms.field("staff", "For", "choice", choices=[(p.pk, p.name) for p in people if p.is_active]),
            forms.field("label", "What it is for"), forms.field("scope", "Acts", value="*", hint="Codes of acts and looks with spaces between, or * for all that the role has. A token that deals with customers is issued on the server: careline token issue."),
            forms.field("days", "Days", "number", "90"),
        ])),
    }
    if outcome is not None and code not in ("staff.add", "staff.issue_token"):
        messages.error(request, outcome.say)
    return page(request, "person.html", {"staff_page": shape}, status)


def _moves(person: Any, ways: dict[int, Any], has_factor: bool, action: str, roles: list[tuple[str, str]]) -> list[tuple[str, dict[str, Any]]]:
    """What is done to a colleague, each behind a second click: it meets them in the middle of a call."""

    def move(code: str, title: str, submit: str, consequence: str, *fields: Any) -> tuple[str, dict[str, Any]]:
        common = [forms.hidden("code", code), forms.hidden("staff", person.pk)]
        return title, forms.form(f"{code}-{person.pk}", f"{title} of {person.name}", submit, action, [*common, *fields], consequence=consequence)

    first = person.name.split()[0]
    found = []
    if person.role not in MACHINES:
        found.append(move("staff.change_role", "Change role", "Save", "", forms.field("role", "Role", "choice", person.role, choices=roles)))
        if person.pk not in ways:
            found.append(move("staff.reset_password", "Reset password", "Reset it", f"{first} is signed out at once. A lead lets them in with a code."))
    if has_factor:
        found.append(move("staff.reset_factors", "Lost second factor", "Take it away", f"{first} is signed out at once and signs in with the password alone, to add a new one."))
    if person.is_active:
        found.append(move("staff.set_active", "Switch off", "Switch off", f"{first}'s sessions and tokens end at once."))
    return found


def _state(way: Any, person: Any) -> tuple[str, str] | None:
    """What stands beside a name, and its colour."""
    if not person.is_active:
        return "switched off", "quiet"
    return ("waits for a lead to let them in" if not way.hash else "has a code to choose a password with", "risk") if way else None


def let_in(request: HttpRequest) -> HttpResponse:
    """Who waits for a second person, and the code that lets one of them in, shown once."""
    given: dict[str, Any] | None = None
    no: dict[str, Any] | None = None
    status = 200
    if request.method == "POST":
        outcome = forms.do(request, "staff.let_in", {"staff": request.POST.get("staff", "")})
        person = staff.person(outcome.show["staff"]) if outcome.ok else None
        if person is not None and "code" in outcome.show:
            given = {"name": person.name, "username": person.username, "code": outcome.show["code"], "address": request.build_absolute_uri(reverse("welcome"))}
        elif outcome.refusal is not None:
            no, status = forms.shown_refusal(outcome.refusal, []), 422
        else:
            messages.info(request, f"{outcome.say}. The code was shown once; let them in again for a new one.")
    rows = [
        {"name": w.staff.name, "username": w.staff.username, "role": ROLE_TITLES.get(w.staff.role, w.staff.role), "asked_by": w.asked_by.name, "since": w.asked_at,
         "given_by": w.let_in_by.name if w.let_in_by and w.hash else None,
         "let_in": forms.button("Let in again" if w.hash else "Let in", reverse("let-in"), staff=w.staff_id) if str(w.staff_id) != request.user.who.id else None}
        for w in staff.waiting_to_be_let_in()
    ]
    hours = rulebooks.current().limits["way_in"]["hours"]
    return page(request, "letin.html", {"letin": {"given": given, "refusal": no, "rows": rows, "hours": hours}}, status)
