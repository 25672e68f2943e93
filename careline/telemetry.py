"""What the house says of itself to those who run it: numbers for Prometheus, a line for each request and deed in the log, spans for
OpenTelemetry. They carry codes, routes, kinds, outcomes and times: never a name, a number, an amount or an address of a customer.

Numbers work over several processes when PROMETHEUS_MULTIPROC_DIR names a folder (`careline serve --metrics` sets it). Traces are off
until `start_traces`; OpenTelemetry is imported only then.
"""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
REQUESTS = Histogram("careline_request_seconds", "Requests by route, method and status", ("route", "method", "status"), buckets=SECONDS)
ACTS = Histogram("careline_act_seconds", "Acts by code and outcome, the outside call included", ("act", "outcome"), buckets=SECONDS)
LOOKS = Counter("careline_looks", "First looks by section and outcome", ("section", "outcome"))
SIGN_INS = Counter("careline_sign_ins", "Sign-ins by outcome", ("outcome",))
MESSAGES = Counter("careline_messages", "Messages to customers by channel and outcome", ("channel", "outcome"))
CHORES = Histogram("careline_chore_seconds", "What the worker does, by chore and outcome", ("chore", "outcome"), buckets=(*SECONDS, 30.0, 120.0))
WAITING = Gauge("careline_outbox_waiting", "Messages that are due and not sent", multiprocess_mode="mostrecent")
PULSE = Gauge("careline_worker_seen_timestamp_seconds", "When the worker last said that it lives", multiprocess_mode="mostrecent")

_request: ContextVar[str] = ContextVar("request", default="")
GIVEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{7,63}")
requests_log, acts_log = logging.getLogger("careline.requests"), logging.getLogger("careline.acts")


def request_id() -> str:
    """The id of the request that is being answered, or nothing."""
    return _request.get()


@dataclass
class Seen:
    """What is known when it ends."""

    outcome: str = "failed"
    labels: dict[str, str] = field(default_factory=dict)


@contextmanager
def request(method: str, given: str = "", parent: Mapping[str, str] | None = None) -> Iterator[Seen]:
    """One request. `given`: the id that a trusted proxy gave it; `parent`: its headers, for a trace that began outside."""
    seen, held = Seen("500"), _request.set(given if GIVEN.fullmatch(given) else uuid.uuid4().hex)
    start = time.perf_counter()
    try:
        with span("request", {"http.request.method": method}, parent) as about:
            yield seen
            route = seen.labels.get("route", "none")
            about(f"{method} {route}", **{"http.route": route, "http.response.status_code": int(seen.outcome)})
    finally:
        took = time.perf_counter() - start
        route = seen.labels.get("route", "none")
        REQUESTS.labels(route, method, seen.outcome).observe(took)
        _tell(requests_log, f"{method} {route} {seen.outcome}", took, method=method, route=route, status=int(seen.outcome), **_who(seen))
        _request.reset(held)


@contextmanager
def act(code: str, who: str) -> Iterator[Seen]:
    """One deed. `who` is the principal's key (`Staff:7`)."""
    seen, start = Seen(), time.perf_counter()
    try:
        with span(f"act {code}", {"careline.act": code, "careline.who": who}) as about:
            yield seen
            about(f"act {code}", **{"careline.outcome": seen.outcome})
    finally:
        took = time.perf_counter() - start
        ACTS.labels(code, seen.outcome).observe(took)
        _tell(acts_log, f"{code} {seen.outcome}", took, act=code, outcome=seen.outcome, who=who, **seen.labels)


@contextmanager
def chore(name: str) -> Iterator[Seen]:
    """One thing that the worker does by itself; not in the log, for most of them find nothing to do."""
    seen, start = Seen(), time.perf_counter()
    try:
        yield seen
        seen.outcome = "done"
    finally:
        CHORES.labels(name, seen.outcome).observe(time.perf_counter() - start)


def _who(seen: Seen) -> dict[str, str]:
    return {"who": seen.labels["who"]} if "who" in seen.labels else {}


def _tell(log: logging.Logger, say: str, took: float, **fields: Any) -> None:
    if log.isEnabledFor(logging.INFO):
        milliseconds = round(took * 1000, 1)
        log.info("%s %s ms", say, milliseconds, extra={"fields": {**fields, "ms": milliseconds}})


class JsonLines(logging.Formatter):
    """One JSON object a line. Of a message the first line only, of an exception its class only: their text may be a customer's."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage().partition("\n")[0],
            **({"request": _request.get()} if _request.get() else {}),
            **({"exception": record.exc_info[0].__name__} if record.exc_info and record.exc_info[0] else {}),
            **getattr(record, "fields", {}),
        }
        return json.dumps(line, ensure_ascii=False, default=str)


# ---------------------------------------------------------------- traces

_tracer: Any = None


def start_traces(endpoint: str) -> None:
    """Send spans to an OpenTelemetry collector (OTLP over HTTP, `http://127.0.0.1:4318`). Raises ImportError without the group."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "careline"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")))
    use_tracer(provider.get_tracer("careline"))


def use_tracer(tracer: Any) -> None:
    """Spans go to this tracer from now on; None: nowhere."""
    global _tracer
    _tracer = tracer


def _nothing(name: str, **more: Any) -> None:
    pass


@contextmanager
def _span(name: str, parent: Mapping[str, str] | None, more: Mapping[str, Any]) -> Iterator[Any]:
    from opentelemetry import propagate
    from opentelemetry.trace import Status, StatusCode

    # An exception's text may be a customer's: of a fault the span keeps the class only.
    context = propagate.extract(parent) if parent else None
    with _tracer.start_as_current_span(name, context=context, attributes=dict(more), record_exception=False, set_status_on_exception=False) as made:

        def about(called: str, **known: Any) -> None:
            made.update_name(called)
            made.set_attributes(known)

        try:
            yield about
        except Exception as fault:
            made.set_status(Status(StatusCode.ERROR, type(fault).__name__))
            raise


def span(name: str, more: Mapping[str, Any] | None = None, parent: Mapping[str, str] | None = None) -> Any:
    """A piece of work in a trace, when traces are on. Yields a function that names it anew and adds what is known by then."""
    return nullcontext(_nothing) if _tracer is None else _span(name, parent, more or {})
