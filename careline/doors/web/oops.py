"""What people see when something is not there, not theirs, too fast or broken: a sentence and what to do."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from careline import telemetry
from careline.domain.staff.rules import whom_to_ask
from careline.doors.web import forms
from careline.foundation.refusal import Refusal

log = logging.getLogger("careline.web")


def page(request: HttpRequest, status: int, title: str, say: str, do: str = "") -> HttpResponse:
    error = {"title": title, "say": say, "what_to_do": do or None, "refusal": None, "reference": telemetry.request_id() if status == 500 else None,
             "way_on": [{"label": "Back to the desk", "href": "/"}]}
    response = render(request, "error.html", {"error": error}, status=status)
    response["Cache-Control"] = "no-store"
    return response


def refused(request: HttpRequest, no: Refusal, ways: list[dict[str, Any]]) -> HttpResponse:
    """A page that was not shown, with the rule that says so and the ways on."""
    error = {"title": "Not shown", "say": no.say, "what_to_do": None, "refusal": forms.shown_refusal(no, ways), "reference": None,
             "way_on": [{"label": "Back to the desk", "href": "/"}]}
    request.careline_contact = None
    response = render(request, "error.html", {"error": error}, status=403)
    response["Cache-Control"] = "no-store"
    return response


def not_found(request: HttpRequest, exception: Any = None) -> HttpResponse:
    return page(request, 404, "Not here", "There is nothing at this address.", "Go back, or find the account again.")


def forbidden(request: HttpRequest, exception: Any = None, could: Sequence[str] = ()) -> HttpResponse:
    """`could`: the roles that open it, who are named, so that nobody is sent to somebody who may not either."""
    whom = whom_to_ask(could) or "your lead or administrator"
    return page(request, 403, "Not yours", f"Your role does not open this{f': {whom} may' if could else ''}.", f"Ask {whom} if you need it for your work.")


def broken(request: HttpRequest) -> HttpResponse:
    """Logs where it broke and the kind of error: never its message or the address, which may carry customer data."""
    kind, _, trace = sys.exc_info()
    route = request.resolver_match.url_name if request.resolver_match else "?"
    steps = " <- ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(traceback.extract_tb(trace)[-6:]))
    log.error("%s at route %s: %s", kind.__name__ if kind else "error", route, steps)
    request.careline_no_desk = True
    if kind is not None and issubclass(kind, (OperationalError, InterfaceError)):
        response = page(
            request, 503, "Not now", "The database does not answer. What was saved is saved, and nothing was half done.",
            "Wait a moment and send it again: the same click twice is one deed.",
        )  # fmt: skip
        response["Retry-After"] = "2"
        return response
    return page(request, 500, "Something broke", "Nothing was half done: what was saved is saved.", "Try again; if it stays, tell your administrator.")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return page(request, 403, "This form is too old", "Nothing was done.", "Reload the page and send it again.")
