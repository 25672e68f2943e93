"""Whether this desk may take requests: `/health` asks whether the process and its database live, `/ready` whether all is there that a
desk needs. The answers name parts of the house and never what is in it."""

from __future__ import annotations

import time

from django.core.cache import cache
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs import guards, setup

PULSE = "worker-seen"  # where the worker leaves the time of its last beat
SILENT = 60.0  # seconds after which a worker that beats every ten is missed
ASK_AGAIN = 30.0  # seconds for which applied migrations are believed to stay applied
_applied_until = 0.0


def health(request: HttpRequest) -> JsonResponse:
    """For a supervisor of processes, by any Host and without TLS: 200 when the database answers, else 503."""
    if _database() != "ok":
        return JsonResponse({"status": "the database does not answer"}, status=503)
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """For a load balancer: 503 while something is missing without which a desk would be wrong. A silent worker is told and does not
    close the desks (all of them would close at once); a monitor that asks `/ready?worker` gets 503 for it too."""
    checks = {"database": _database()}
    if checks["database"] == "ok":
        for name, check in (("migrations", _migrations), ("guards", _guards), ("rulebook", _rulebook), ("worker", worker)):
            try:
                checks[name] = check()
            except DatabaseError:
                checks[name] = "the database does not answer this"
    missing = {name for name, state in checks.items() if state != "ok"}
    closed = missing if "worker" in request.GET else missing - {"worker"}
    status = "not ready" if closed else "ready, without a worker" if missing else "ready"
    return JsonResponse({"status": status, "checks": checks}, status=503 if closed else 200)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "does not answer"
    return "ok"


def _migrations() -> str:
    global _applied_until
    if time.monotonic() >= _applied_until:
        waiting = setup.unapplied()
        if waiting:
            return f"{waiting} to apply: careline migrate"
        _applied_until = time.monotonic() + ASK_AGAIN
    return "ok"


def _guards() -> str:
    missing = len(guards.missing())
    return f"{missing} missing: careline migrate" if missing else "ok"


def _rulebook() -> str:
    try:
        rulebooks.current()
    except LookupError:
        return "none in force: careline migrate"
    return "ok"


def worker() -> str:
    """`ok`, or how long the worker has been silent."""
    seen = cache.get(PULSE)
    if seen is None:
        return "never seen"
    silent = time.time() - float(seen)
    return "ok" if silent < SILENT else f"not seen for {round(silent)} s"
