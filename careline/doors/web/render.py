"""How pages are drawn: the Jinja2 environment, its filters, and what every page has around it."""

from __future__ import annotations

import hashlib
import uuid
from datetime import date, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.template.backends.utils import csrf_input
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from jinja2 import Environment
from markupsafe import Markup

from careline.domain.approvals import queries as approvals
from careline.domain.contacts import queries as contacts
from careline.domain.rulebook import queries as rulebooks
from careline.domain.staff.rules import ROLE_TITLES, initials
from careline.foundation import phone
from careline.foundation.calendar import hour_said
from careline.foundation.money import shown

# Open pages by role: label, route, and the act that a role must have to see it.
NAV = (
    ("Home", "home", "contacts.open"),
    ("Past due", "past-due-queue", "view.pastdue"),
    ("Network", "network", "view.contact"),
    ("Guides", "guides", "view.guides"),
    ("Books", "books", "view.books"),
    ("Rulebook", "rulebook", "view.rulebook"),
    ("Supervision", "supervision", "view.supervision"),
    ("People", "staff", "view.staff"),
    ("Checklist", "checklist", "view.staff"),
)
DEMO_NAV = (("Messages", "messages"), ("Make it ring", "ring"))


def zone() -> ZoneInfo:
    return ZoneInfo(settings.CARRIER_ZONE)


def moment(at: datetime) -> str:
    """`Dec 4, 10:42 am` in the carrier's zone."""
    local = at.astimezone(zone())
    year = f" {local.year}" if local.year != timezone.now().year else ""
    return f"{local:%b} {local.day}{year}, {clock(at)}"


def clock(at: datetime) -> str:
    return hour_said(at.astimezone(zone()))


def day(value: date) -> str:
    year = f", {value.year}" if value.year != timezone.now().year else ""
    return f"{value:%b} {value.day}{year}"


def ago(at: datetime) -> Markup:
    """A relative time with the exact one on hover."""
    seconds = (timezone.now() - at).total_seconds()
    if seconds < 45:
        text = "just now"
    elif seconds < 3570:
        text = f"{round(seconds / 60)} min ago"
    elif seconds < 86400:
        text = f"{round(seconds / 3600)} h ago"
    elif seconds < 60 * 86400:
        days = (timezone.now().astimezone(zone()).date() - at.astimezone(zone()).date()).days
        text = "yesterday" if days == 1 else f"{days} days ago"
    else:
        text = day(at.astimezone(zone()).date())
    return Markup('<time datetime="{}" title="{}">{}</time>').format(at.isoformat(), moment(at), text)


def duration(seconds: int) -> str:
    """`2:41`, `1:02:41`."""
    minutes, rest = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Shapes(Environment):
    """Jinja2 whose templates read what pages are made of, dictionaries, at once: without first asking each for an attribute that it
    does not have, which costs an exception, hundreds of times a page."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if type(obj) is dict and attribute not in _OF_EVERY_DICT:
            try:
                return obj[attribute]
            except KeyError:
                return self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)


_OF_EVERY_DICT = frozenset(dir(dict))


def environment(**options: Any) -> Environment:
    env = Shapes(**options)
    env.globals.update(static=static, url=lambda name, *args, **kwargs: reverse(name, args=args, kwargs=kwargs))
    env.filters.update(
        money=shown, ago=ago, day=day, clock=clock, moment=moment, phone=phone.shown, last4=phone.last_four, duration=duration
    )
    return env


def new_key() -> str:
    """A request key for a form; every answer mints a new one."""
    return uuid.uuid4().hex


def csrf(request: HttpRequest) -> dict[str, Any]:
    """One token a page, for all its forms: masked anew for every answer, as Django does, but not for every form."""
    return {"csrf_token": SimpleLazyObject(lambda: get_token(request)), "csrf_input": SimpleLazyObject(lambda: csrf_input(request))}


@cache
def _address(name: str) -> str:
    return reverse(name)


def desk(request: HttpRequest) -> dict[str, Any]:
    """What stands around every page: who I am, the contact in my hand, what waits for me."""
    # Not even who it is may be asked where the page must come without the database.
    user = None if getattr(request, "careline_no_desk", False) else getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"desk": None}
    now = timezone.now()
    authority = rulebooks.current().authority
    takes_contacts = user.role in authority.roles_with("contacts.open")
    row = getattr(request, "careline_contact", None) or (contacts.open_of(user.pk) if takes_contacts else None)
    route = request.resolver_match.url_name if request.resolver_match else ""
    nav = [
        {"label": label, "href": _address(name), "current": name == route}
        for label, name, act in NAV
        if user.role in authority.roles_with(act)
    ]
    if settings.DEMO and takes_contacts:
        nav += [{"label": label, "href": _address(name), "current": name == route} for label, name in DEMO_NAV]
    decides = user.role in authority.roles_with("approvals.decide")
    return {
        "desk": {
            "staff": {"name": user.name, "role": ROLE_TITLES.get(user.role, user.role), "initials": initials(user.name)},
            "nav": nav,
            "contact": _in_hand(row, now) if row is not None and row.state != "closed" else None,
            "waiting": approvals.count_waiting(user.role, user.pk, now) if decides else None,
            "demo": settings.DEMO,
            "keys_on": user.keys_on,
            "palette_key": user.palette_key,
            "finds": user.role in authority.roles_with("view.search"),
            "glass": user.role in authority.roles_with("view.glass"),
            "theme": user.theme,
        }
    }


STATE_LABELS = {"live": "On contact", "held": "On hold", "wrap_up": "Wrap-up", "dropped": "Line dropped", "ringing": "Ringing"}
TEMPLATE_STATES = {"wrap_up": "wrapup", "dropped": "held"}


def _in_hand(row: Any, now: datetime) -> dict[str, Any]:
    return {
        "href": reverse("contact", args=[row.reference]),
        "label": STATE_LABELS.get(row.state, row.state),
        "since_seconds": contacts.running_seconds(row, now),
        "state": TEMPLATE_STATES.get(row.state, row.state),
    }


def page(request: HttpRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
    """The one way to a page or a part of one: request, CSRF and what stands around it included."""
    response = render(request, template, context, status=status)
    response["Cache-Control"] = "no-store"
    return response


def part(request: HttpRequest, template: str, context: dict[str, Any], shows: Any) -> HttpResponse:
    """The answer to a poll: 204 while the place shows what it should (`shows`: what the part is made of)."""
    now_shows = digest(shows)
    seen = request.headers.get("X-Careline-Seen") or request.GET.get("seen", "")
    response = HttpResponse(status=204) if seen == now_shows else render(request, template, context)
    response["Cache-Control"] = "no-store"
    response["X-Careline-Seen"] = now_shows
    return response


def digest(shows: Any) -> str:
    """A short name for what a part shows; goes into the address of its poll."""
    return hashlib.sha256(repr(shows).encode()).hexdigest()[:16]
