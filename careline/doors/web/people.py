"""People and tokens: the administrator's page. It shows no customer and no account."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from careline.acts.declare import Outcome
from careline.acts.look import look
from careline.domain.staff import queries as staff
from careline.domain.staff.rules import ROLE_TITLES, Role
from careline.doors.web import forms
from careline.doors.web.render import page

KINDS = {
    "staff.add": {"username": "text", "name": "text", "role": "text", "email": "text", "team": "text", "password": "text"},
    "staff.change_role": {"staff": "id", "role": "text"},
    "staff.set_active": {"staff": "id", "active": "checkbox"},
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

    def row(person: Any) -> dict[str, Any]:
        me = str(person.pk) == request.user.who.id
        same_kind = [(v, t) for v, t in roles if (v in ("agent", "service")) == (person.role in ("agent", "service"))]
        return {
            "name": person.name, "username": person.username, "role": ROLE_TITLES.get(person.role, person.role), "active": person.is_active,
            "last_seen": person.last_login,
            "role_form": None if me else forms.form(f"staff.change_role-{person.pk}", f"Role of {person.name}", "Save", action,
                [forms.hidden("code", "staff.change_role"), forms.hidden("staff", person.pk), forms.field("role", "Role", "choice", person.role, choices=same_kind)]),
            "disable": None if me else forms.button("Switch off" if person.is_active else "Switch on", action, code="staff.set_active", staff=person.pk, active="" if person.is_active else "on"),
        }

    people = staff.everybody()
    shape = {
        "new_token": token,
        "add": answered(forms.form("staff.add", "Add somebody", "Add", action, [
            forms.hidden("code", "staff.add"), forms.field("name", "Name"), forms.field("username", "Sign-in name", autocomplete="off"),
            forms.field("role", "Role", "choice", choices=roles), forms.field("team", "Team", required=False),
            forms.field("password", "First password", "secret", required=False, autocomplete="new-password", hint="At least 12 characters. Leave it empty for an AI agent or a service: they sign in by token."),
        ])),
        "rows": [row(p) for p in people],
        "tokens": [
            {"name": f"{t.label} ({t.hint}…)", "owner": t.owner.name, "may": "all that the role has" if t.scope == "*" else t.scope, "created": t.created_at, "last_used": None,
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
