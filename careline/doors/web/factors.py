"""Second factors and sessions: the step after the password, and the page "Your sign-in". allauth checks codes and keys; the deeds, the
pages and the journal are ours."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from allauth.account.internal.flows.login import get_authentication_records
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.base.internal.flows import check_rate_limit
from allauth.mfa.base.views import AuthenticateView
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import generate_totp_secret
from allauth.mfa.webauthn.internal import auth as keys
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from careline import telemetry
from careline.acts.declare import Outcome
from careline.domain.rulebook import queries as rulebooks
from careline.domain.staff import queries as staff
from careline.doors import sessions
from careline.doors.web import forms
from careline.doors.web.render import page

SECRET, PROVEN, FACTOR = "new_totp", "proven", "factor"  # in the session


class Adapter(DefaultMFAAdapter):
    """What allauth keeps of factors is sealed with a key outside the database."""

    def encrypt(self, text: str) -> str:
        return _seal().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return _seal().decrypt(encrypted_text.encode()).decode()

    def get_totp_issuer(self) -> str:
        return f"Careline, {settings.CARRIER_NAME}"

    def get_totp_label(self, user: Any) -> str:
        return str(user.username)

    def _get_site_name(self) -> str:
        return f"Careline, {settings.CARRIER_NAME}"


def _seal() -> Fernet:
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"careline second factors").derive(settings.PEPPER)
    return Fernet(base64.urlsafe_b64encode(key))


# ---------------------------------------------------------------- at sign-in


class Second(AuthenticateView):
    """The step after the password, for who has a second factor."""

    template_name = "signin.html"

    def form_invalid(self, form: Any) -> HttpResponse:
        telemetry.SIGN_INS.labels("wrong-second-factor").inc()
        return super().form_invalid(form)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        user = self.stage.login.user
        kinds = {f.kind for f in staff.factors([user.pk]).get(user.pk, [])}
        posted = [f for f in (self.auth_form, self.webauthn_form) if f is not None and f.is_bound]
        errors = [str(e) for form in posted for field in form.errors for e in form.errors[field]]
        by_key = "webauthn" in kinds
        shape = {
            "title": "Second step", "error": " ".join(errors) or None, "demo": None,
            "text": _what_to_type(kinds), "cancel": {"label": "Sign in as somebody else", "href": reverse("signin")},
            "forms": [_code_form(reverse("mfa_authenticate"), kinds)],
            "key": {"action": reverse("mfa_authenticate"), "options": json.dumps(context["js_data"]["request_options"]), "only": kinds <= {"webauthn", "recovery_codes"}} if by_key else None,
        }  # fmt: skip
        return context | {"signin": shape}


def _what_to_type(kinds: set[str]) -> str:
    if "totp" in kinds:
        return "Type the code that your authenticator app shows now, or a recovery code."
    return "Use your security key, or type a recovery code."


def _code_form(action: str, kinds: set[str]) -> dict[str, Any]:
    label = "Code" if "totp" in kinds else "Recovery code"
    field = forms.field("code", label, autocomplete="one-time-code", inputmode="numeric", maxlength=20)
    return forms.form("second", "Second step", "Continue", action, [field], key=None)


def how(request: HttpRequest, user: Any) -> str:
    """How somebody who signed in a moment ago proved who they are, as the journal says it."""
    records = get_authentication_records(request, user)
    second = [r["type"] for r in records if r.get("method") == "mfa"]
    if second:
        return str(second[-1])
    return "sso" if any(r.get("method") == "socialaccount" for r in records) else "password"


def signed_in(request: HttpRequest, way: str) -> None:
    """What the session keeps of a sign-in: when it was, and whether a second factor stood behind it."""
    request.session[PROVEN] = time.time()
    if way not in ("password", "sso") or (way == "sso" and settings.OIDC_SECOND_FACTOR):
        request.session[FACTOR] = way


def missing(request: HttpRequest) -> bool:
    """Whether the rulebook wants a second factor of this person, and this session has none behind it."""
    if not settings.SECOND_FACTORS or FACTOR in request.session:
        return False
    return request.user.role in rulebooks.current().sign_in.second_factor


# ---------------------------------------------------------------- your sign-in

KINDS = {
    "staff.add_totp": {"code": "text"},
    "staff.add_key": {"name": "text", "credential": "text"},
    "staff.new_codes": {},
    "staff.remove_factor": {"factor": "id"},
    "staff.end_session": {"session": "id"},
}
PROVE, SESSIONS = "prove", {"staff.end_session"}


def mine(request: HttpRequest) -> HttpResponse:
    """One's own second factors and sessions. Factors are changed by somebody who proved themself a moment ago."""
    if request.method != "POST":
        return _draw(request)
    code = request.POST.get("code_of_act", "")
    if code == PROVE:
        return _prove(request)
    if code not in KINDS:
        return redirect("my-sign-in")
    if code not in SESSIONS and not _proven(request):
        return _draw(request, error="Prove first that it is you: some time went by since you signed in.")
    given = forms.read(request.POST, KINDS[code])
    if code == "staff.add_totp":
        given["secret"] = _held_secret(request)
        given.setdefault("code", "")
    elif code == "staff.end_session":
        given["keep"] = request.session.session_key if "session" not in given else ""
    elif code == "staff.add_key":
        try:
            keys.complete_registration(dict(json.loads(given.get("credential", ""))))
        except (ValueError, TypeError, KeyError, AttributeError, ValidationError):  # whatever a made-up answer makes of the reader
            return _draw(request, error="The security key was not added: its answer could not be checked. Try again.", status=422)
    outcome = forms.do(request, code, given)
    if not outcome.ok:
        return _draw(request, code, outcome, status=422)
    if code in ("staff.add_totp", "staff.add_key"):
        request.session.pop(SECRET, None)
        request.session[FACTOR] = "totp" if code == "staff.add_totp" else "webauthn"
    if outcome.show.get("codes"):
        return _draw(request, codes=outcome.show["codes"])
    if code == "staff.end_session" and not request.session.exists(request.session.session_key):
        request.session.flush()
        return redirect("signin")
    messages.success(request, outcome.say)
    return _seen(request)


def _seen(request: HttpRequest) -> HttpResponse:
    """Back to the page, or on to where somebody was going before they were asked for a second factor."""
    onward = request.session.pop("onward", "") if not missing(request) else ""
    response = redirect(onward if onward and url_has_allowed_host_and_scheme(onward, None) else "my-sign-in")
    response.status_code = 303
    return response


def _prove(request: HttpRequest) -> HttpResponse:
    """The password once more, or a code for who signs in without one. Throttled with the sign-ins."""
    user = request.user
    try:
        clear = check_rate_limit(user)
    except ValidationError as fault:
        return _draw(request, error=" ".join(fault.messages), status=429)
    typed = request.POST.get("password", "")[:4096]
    rows = [] if user.has_usable_password() else Authenticator.objects.filter(user=user).exclude(type=Authenticator.Type.WEBAUTHN)
    if not ((user.has_usable_password() and user.check_password(typed)) or any(row.wrap().validate_code(typed.replace(" ", "")) for row in rows)):
        telemetry.SIGN_INS.labels("wrong-password").inc()
        return _draw(request, error="That is not right. Type it once more.", status=422)
    clear()
    request.session[PROVEN] = time.time()
    return redirect("my-sign-in")


def _proven(request: HttpRequest) -> bool:
    return time.time() - request.session.get(PROVEN, 0) < rulebooks.current().sign_in.prove_again_minutes * 60


def _held_secret(request: HttpRequest) -> str:
    held = request.session.get(SECRET)
    return Adapter().decrypt(held) if held else ""


def _new_secret(request: HttpRequest) -> str:
    secret = _held_secret(request)
    if not secret:
        secret = generate_totp_secret()
        request.session[SECRET] = Adapter().encrypt(secret)
    return secret


def _draw(request: HttpRequest, code: str = "", outcome: Outcome | None = None, codes: Any = None, error: str = "", status: int = 200) -> HttpResponse:
    user, action = request.user, reverse("my-sign-in")
    factors = staff.factors([user.pk]).get(user.pk, [])
    kinds = {f.kind for f in factors}
    proven = _proven(request)
    needed = user.role in rulebooks.current().sign_in.second_factor and settings.SECOND_FACTORS

    def answered(shape: dict[str, Any]) -> dict[str, Any]:
        return forms.refilled(shape, {}, outcome, []) if outcome is not None and shape["code"] == code else shape

    def button(label: str, act: str, **values: Any) -> dict[str, Any]:
        return forms.button(label, action, code_of_act=act, **values)

    app = key = None
    if proven and "totp" not in kinds:
        secret = _new_secret(request)
        address = Adapter().build_totp_url(user, secret)
        app = {
            "picture": "data:image/svg+xml;base64," + base64.b64encode(_picture(address)).decode(),
            "secret": " ".join(secret[n : n + 4] for n in range(0, len(secret), 4)),
            "form": answered(forms.form("staff.add_totp", "Authenticator app", "Add the app", action, [
                forms.hidden("code_of_act", "staff.add_totp"),
                forms.field("code", "The code that it shows now", autocomplete="one-time-code", inputmode="numeric", maxlength=10),
            ])),
        }  # fmt: skip
    if proven:
        key = {
            "options": json.dumps(keys.begin_registration(user, False)),
            "form": answered(forms.form("staff.add_key", "Security key", "Add a key", action, [
                forms.hidden("code_of_act", "staff.add_key"), forms.hidden("credential", ""),
                forms.field("name", "A name for it", value="Security key" if "webauthn" not in kinds else "Another key", maxlength=60),
            ])),
        }  # fmt: skip
    label = "Password" if user.has_usable_password() else "A code of your second factor"
    prove = None if proven or not (user.has_usable_password() or kinds) else forms.form(
        "prove", "Is it you?", "Go on", action, [forms.hidden("code_of_act", PROVE), forms.field("password", label, "secret", autocomplete="current-password")], key=None
    )
    here = sessions.living([user.pk]).get(user.pk, [])
    rows = [
        {"where": s.where, "ip": s.ip, "since": s.since, "seen": s.seen, "this": s.key == request.session.session_key,
         "end": button("End", "staff.end_session", session=s.id)}
        for s in here
    ]  # fmt: skip
    usable = [f for f in factors if f.kind != "recovery_codes"]
    shape = {
        "error": error or (outcome.say if outcome is not None and code not in ("staff.add_totp", "staff.add_key") else None),
        "codes": codes, "needed": needed, "has": bool(usable), "must": missing(request), "prove": prove, "app": app, "key": key,
        "factors": [
            {"name": f.name, "kind": staff.FACTOR_NAMES[f.kind], "added": f.added, "used": f.used,
             "remove": button("Take away", "staff.remove_factor", factor=f.id) if proven and not (needed and len(usable) == 1) else None}
            for f in usable
        ],
        "codes_left": next((f.left for f in factors if f.kind == "recovery_codes"), None),
        "new_codes": button("Make new ones", "staff.new_codes") if proven and usable else None,
        "sessions": rows, "end_others": button("End all others", "staff.end_session") if len(rows) > 1 else None,
    }  # fmt: skip
    return page(request, "my_sign_in.html", {"mine": shape}, status)


def _picture(address: str) -> bytes:
    return Adapter().build_totp_svg(address).encode()
