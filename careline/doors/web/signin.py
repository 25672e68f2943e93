"""Sign-in and sign-out: allauth checks passwords and throttles across workers; the page and the journal are ours."""

from __future__ import annotations

import uuid
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.views import LoginView, LogoutView
from allauth.core import ratelimit
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode

from careline import telemetry
from careline.acts.declare import Outcome
from careline.acts.perform import perform
from careline.acts.staff import WRONG_CODE
from careline.domain.rulebook import queries as rulebooks
from careline.domain.staff import queries as staff
from careline.domain.staff.rules import ROLE_TITLES
from careline.doors.web import factors, forms, oops, single
from careline.doors.web.render import page
from careline.foundation.refusal import Refusal


class Adapter(DefaultAccountAdapter):
    """Nobody signs up here; administrators add people."""

    error_messages = DefaultAccountAdapter.error_messages | {"username_password_mismatch": "Sign-in name or password is not right."}

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def authenticate(self, request: HttpRequest, **credentials: Any) -> Any:
        """Whoever may sign in. Somebody switched off, and a machine whatever password it has, hear that it is wrong."""
        user = super().authenticate(request, **credentials)
        may = user is not None and user.is_active and user.role in rulebooks.current().authority.roles_with("staff.sign_in")
        return user if may else None

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        telemetry.SIGN_INS.labels("wrong-password").inc()
        super().authentication_failed(request, **credentials)

    def post_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> HttpResponse:
        """Whoever is through, by whatever steps: the journal's line, and what the session keeps of it."""
        response = super().post_login(request, user, **kwargs)
        way = factors.how(request, user)
        perform("staff.sign_in", {"how": way}, who=user.who, key=uuid.uuid4().hex)
        telemetry.SIGN_INS.labels("done").inc()
        factors.signed_in(request, way)
        return response

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """The desk says for itself what is worth saying."""


class SignIn(LoginView):
    template_name = "signin.html"

    def _redirect_to_pending_stage(self, request: HttpRequest, stage: Any) -> None:
        """Whoever comes back to this page begins anew: it is the way out of the second step, for somebody else at this browser."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        form = context["form"]
        errors = [str(e) for e in form.non_field_errors()] + [
            str(e) for field in form.errors if field != "__all__" for e in form.errors[field]
        ]
        login = form.data.get("login", "") if form.is_bound else ""
        address = reverse("signin")
        if self.request.GET.get("next"):
            address += "?" + urlencode({"next": self.request.GET["next"]})
        shape = forms.form(
            "signin", "Sign in", "Sign in", address,
            [
                forms.field("login", "Sign-in name", value=login, autocomplete="username"),
                forms.field("password", "Password", "secret", autocomplete="current-password"),
            ],
            key=None,
            cursor="password" if errors and login else None,
        )
        why = {
            "chosen": "Your password is set. Sign in with it.",
            "idle": "You were away for a while, so the desk closed. Sign in again; nothing is lost.",
        }
        return context | {
            "signin": {
                "title": "Sign in",
                "text": why.get(self.request.GET.get("why", "")),
                "error": " ".join(errors) or None,
                "forms": [shape],
                "single": single.button(),
                "demo": _demo() if settings.DEMO else None,
                "way_on": {"label": "I was given a code", "href": reverse("welcome")},
            }
        }


def _demo() -> dict[str, Any]:
    """The demo's people, on the page itself; never outside the demo."""
    people = [
        {"name": p.name, "role": ROLE_TITLES.get(p.role, p.role), "username": p.username}
        for p in staff.everybody()
        if p.is_active and p.role not in ("agent", "service")
    ]
    return {"hint": f"Everybody's password is “{settings.DEMO_PASSWORD}”.", "people": people, "form": None}


def welcome(request: HttpRequest) -> HttpResponse:
    """Whom a lead let in chooses a password. Nobody is signed in here: the code says who may."""
    login, outcome = request.POST.get("login", "").strip(), None
    if request.method == "POST":
        if not ratelimit.consume(request, action="login"):
            return oops.page(request, 429, "Too many tries", "Too many codes were typed from here.", "Wait a minute, then try again.")
        outcome = _choose(request, login)
        if outcome.ok:
            return redirect(reverse("signin") + "?why=chosen")
    shape = forms.form(
        "welcome", "Choose a password", "Choose it", reverse("welcome"),
        [
            forms.field("login", "Sign-in name", value=login, autocomplete="username"),
            forms.field("code", "Code", "secret", autocomplete="one-time-code", hint="Nine letters and digits, from your lead."),
            forms.field("password", "New password", "secret", autocomplete="new-password", hint="At least 12 characters: a sentence that only you know."),
            forms.field("again", "Once more", "secret", autocomplete="new-password"),
        ],
    )
    if outcome is not None:
        shape = forms.refilled(shape, {"login": login}, outcome, [])
        shape["error"], shape["refusal"] = shape["error"] or (outcome.say if shape["refusal"] else None), None
    text = "Your lead let you in. Choose a password that only you know."
    card = {"title": "Welcome", "text": text, "error": None, "forms": [shape], "demo": None, "way_on": {"label": "Sign in", "href": reverse("signin")}}
    return page(request, "signin.html", {"signin": card}, 200 if outcome is None else 422)


def _choose(request: HttpRequest, login: str) -> Outcome:
    """Perform the choice as the person who was let in. A name that nobody waits under is told the same as a wrong code."""
    if request.POST.get("password") != request.POST.get("again"):
        return Outcome("invalid", "", refusal=Refusal("INVALID", "", fields={"again": "The two are not the same."}))
    person = staff.by_username(login) if login.isprintable() else None
    way = staff.way_in(person.pk) if person is not None and person.is_active else None
    if person is None or way is None or not way.hash:
        return Outcome("refused", WRONG_CODE, refusal=Refusal("NOT_PROVEN", WRONG_CODE, rule="way-in"))
    given = {"code": request.POST.get("code", ""), "password": request.POST.get("password", "")}
    return perform("staff.choose_password", given, who=person.who, key=request.POST.get("request_key", ""))


def sign_out(request: HttpRequest) -> HttpResponse:
    if request.method == "POST" and request.user.is_authenticated:
        perform("staff.sign_out", {}, who=request.user.who, key=uuid.uuid4().hex)
        return LogoutView.as_view()(request)
    return redirect("home")
