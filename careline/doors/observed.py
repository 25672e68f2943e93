"""The outermost middleware: each request has an id, a line in the log, a number and a span, by its route and never its address."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from careline import telemetry

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Observed:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        trusted = settings.ALLAUTH_TRUSTED_PROXY_COUNT > 0
        given = request.headers.get("X-Request-ID", "") if trusted else ""
        parent = {"traceparent": request.headers["traceparent"]} if trusted and "traceparent" in request.headers else None
        method = request.method if request.method in METHODS else "OTHER"  # anybody may send any word
        with telemetry.request(method or "OTHER", given, parent) as seen:
            response = self.get_response(request)
            seen.outcome = str(response.status_code)
            seen.labels["route"] = _route(request)
            user = getattr(request, "user", None)
            if user is not None and user.is_authenticated:
                seen.labels["who"] = user.who.key
            response["X-Request-ID"] = telemetry.request_id()
        return response


def _route(request: HttpRequest) -> str:
    """The name of the route: `contact`, `api-1.0.0:act`. `static` and probes are answered before there is one."""
    match = request.resolver_match
    if match is not None:
        return match.view_name or "unnamed"
    if request.path_info.startswith(settings.STATIC_URL):
        return "static"
    return {"/health": "health", "/ready": "ready"}.get(request.path_info, "none")
