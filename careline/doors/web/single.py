"""Single sign-on with the carrier's own provider by OpenID Connect (allauth's client): the provider says who somebody is and which groups
they are in, the rulebook's sign_in.toml which role that is. People are added and their role is changed by the acts of the staff page."""

from __future__ import annotations

import re
import uuid
from typing import Any

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialAccount
from allauth.socialaccount.providers.openid_connect import views
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse

from careline import telemetry
from careline.acts.perform import perform
from careline.domain.rulebook import queries as rulebooks
from careline.domain.staff import queries as staff
from careline.domain.staff.rules import kind_of
from careline.doors.web import oops
from careline.foundation.act import Who

PROVIDER = "single"  # the one provider's name in addresses
BY = Who("Job", "sso", "Single sign-on", "job")


def begin(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Off to the provider. By POST only: a link on another page signs nobody in."""
    return _with(views.login, request, provider_id) if request.method == "POST" else oops.not_found(request)


def back(request: HttpRequest, provider_id: str) -> HttpResponse:
    return _with(views.callback, request, provider_id)


def _with(view: Any, request: HttpRequest, provider_id: str) -> HttpResponse:
    if not settings.OIDC_SERVER or provider_id != PROVIDER:
        raise Http404
    try:
        answer: HttpResponse = view(request, provider_id)
    except OSError:  # whatever a request over the network raises
        raise _no(request, "unreachable", "Your sign-in provider does not answer.", "Try again in a moment, or sign in with a password if you have one.", 503) from None
    return answer


def button() -> dict[str, str] | None:
    if not settings.OIDC_SERVER:
        return None
    return {"label": f"Sign in with {settings.OIDC_NAME}", "action": reverse("openid_connect_login", args=[PROVIDER])}


def _no(request: HttpRequest, outcome: str, say: str, do: str, status: int = 403) -> ImmediateHttpResponse:
    telemetry.SIGN_INS.labels(outcome).inc()
    return ImmediateHttpResponse(oops.page(request, status, "Not signed in", say, do))


class Adapter(DefaultSocialAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return False  # who is let in has been made a person here by `pre_social_login`

    def on_authentication_error(self, request: HttpRequest, provider: Any, error: Any = None, exception: Any = None, extra_context: Any = None) -> None:
        raise _no(request, "provider-refused", "Your sign-in provider did not let you in, or its answer came too late.", "Go back to the sign-in page and try again.")

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """Who this is here, with the role that their groups are; refused in words when they are nobody or have none."""
        book = rulebooks.current()
        data = sociallogin.account.extra_data
        claims = {**(data.get("id_token") or {}), **(data.get("userinfo") or {})}
        groups = claims.get(book.sign_in.claim)
        role = book.sign_in.role_of(map(str, groups if isinstance(groups, list) else [groups]), book.limits["roles"]["ladder"])
        if role is None:
            raise _no(request, "no-role", "Your sign-in provider knows you, but none of your groups has a role at this desk.", "Ask whoever keeps the carrier's directory, or your administrator.")
        person = sociallogin.user if sociallogin.is_existing else self._known(request, claims)
        if person is None:
            person = self._added(request, claims, role)
        elif not person.is_active:
            raise _no(request, "switched-off", "You are switched off at this desk.", "Ask your administrator.")
        elif kind_of(person.role) != "Staff":
            raise _no(request, "no-person", "A machine signs in by token only.", "Ask your administrator.")
        elif person.role != role:
            self._must(request, "staff.change_role", staff=person.pk, role=role)
            person = staff.person(person.pk)
        if sociallogin.is_existing:
            sociallogin.user = person
        else:
            sociallogin.connect(request, person)

    def _known(self, request: HttpRequest, claims: dict[str, Any]) -> Any:
        """Somebody who was added by hand and comes by the provider for the first time. A name that is tied to another login of the
        provider is not theirs."""
        person = staff.by_username(_name(claims))
        if person is not None and SocialAccount.objects.filter(user=person).exists():
            raise _no(request, "name-taken", f"The sign-in name {_name(claims)} belongs to somebody else of your provider here.", "Ask your administrator.")
        return person

    def _added(self, request: HttpRequest, claims: dict[str, Any], role: str) -> Any:
        name = str(claims.get("name") or _name(claims))[:120]
        done = self._must(request, "staff.add", username=_name(claims), name=name, role=role, email=str(claims.get("email") or "")[:200])
        return staff.person(done.show["staff"])

    def _must(self, request: HttpRequest, code: str, **given: Any) -> Any:
        outcome = perform(code, given, who=BY, key=uuid.uuid4().hex)
        if not outcome.ok:
            raise _no(request, "refused", f"You could not be let in: {outcome.say}", "Ask your administrator.")
        return outcome


def _name(claims: dict[str, Any]) -> str:
    """The sign-in name here: the provider's `preferred_username`, before its @ and without what no name here has."""
    given = str(claims.get("preferred_username") or claims.get("email") or claims.get("sub") or "").partition("@")[0]
    return re.sub(r"^[._-]+|[^A-Za-z0-9._-]", "", given)[:60]

