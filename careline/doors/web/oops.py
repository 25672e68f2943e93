"""What people see when something is not there, not theirs, too fast or broken: a sentence and what to do."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def page(request: HttpRequest, status: int, title: str, say: str, do: str = "") -> HttpResponse:
    return render(request, "error.html", {"status": status, "title": title, "say": say, "do": do}, status=status)


def not_found(request: HttpRequest, exception: Any = None) -> HttpResponse:
    return page(request, 404, "Not here", "There is nothing at this address.", "Go back, or find the account again.")


def forbidden(request: HttpRequest, exception: Any = None) -> HttpResponse:
    return page(request, 403, "Not yours", str(exception or "Your role does not open this."), "Ask a lead if you need it.")


def broken(request: HttpRequest) -> HttpResponse:
    return page(request, 500, "Something broke", "Nothing was half done.", "Try again; if it stays, tell your administrator.")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return page(request, 403, "This form is too old", "Nothing was done.", "Reload the page and send it again.")
