"""What the house says of itself: whether it is ready, its numbers, its log and its traces; and nothing of a customer in any of them."""

from __future__ import annotations

import json
import logging
import re
import time
from contextlib import contextmanager

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import OperationalError, connection
from django.test import Client
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY, generate_latest

from careline import telemetry
from careline.domain.rulebook import queries as rulebooks
from careline.doors import ready
from careline.doors.jobs import guards, worker
from tests import people
from tests.doors.test_access import Browser, hold_contact


@pytest.fixture(autouse=True)
def asked_afresh(monkeypatch):
    monkeypatch.setattr(ready, "_applied_until", 0.0)


# ---------------------------------------------------------------- ready


def asked(address="/ready"):
    answer = Client().get(address, headers={"Host": "10.0.0.7"})
    return answer.status_code, answer.json()


def test_a_whole_house_is_ready_and_says_what_it_looked_at(house):
    worker.beat()
    assert asked() == (200, {"status": "ready", "checks": dict.fromkeys(("database", "migrations", "guards", "rulebook", "worker"), "ok")})


def test_a_house_without_a_guard_takes_no_requests(house):
    worker.beat()
    table, _ = guards.wanted()["guard_journal_line_delete"]
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER guard_journal_line_delete" + (f" ON {table}" if connection.vendor == "postgresql" else ""))
    status, said = asked()
    assert status == 503 and said["status"] == "not ready" and said["checks"]["guards"] == "1 missing: careline migrate"
    assert Client().get("/health").status_code == 200, "the process lives and must not be killed for it"


def test_a_house_that_waits_for_a_migration_or_a_rulebook_takes_no_requests(db, monkeypatch):
    monkeypatch.setattr(ready.setup, "unapplied", lambda: 2)
    rulebooks.forget()
    status, said = asked()
    assert status == 503
    assert said["checks"]["migrations"] == "2 to apply: careline migrate" and said["checks"]["rulebook"] == "none in force: careline migrate"


def test_a_silent_worker_closes_no_desk_and_is_told_to_who_asks(house, monkeypatch):
    assert asked()[1]["checks"]["worker"] == "never seen"
    worker.beat()
    cache.set(ready.PULSE, time.time() - 300, None)
    assert asked() == (200, {**asked()[1], "status": "ready, without a worker"}) and asked()[1]["checks"]["worker"] == "not seen for 300 s"
    assert asked("/ready?worker")[0] == 503
    worker.beat()
    assert asked("/ready?worker")[0] == 200


def test_a_database_that_does_not_answer_is_said_without_its_address(db, monkeypatch):
    def down(*_):
        raise OperationalError("no route to desk:secret@db")

    monkeypatch.setattr(ready, "connection", type("Down", (), {"cursor": down})())
    status, said = asked()
    assert (status, said) == (503, {"status": "not ready", "checks": {"database": "does not answer"}})


def test_a_page_that_the_database_does_not_answer_for_says_to_send_it_again_and_the_next_one_comes(house, clock):
    ana = Client(raise_request_exception=False)
    ana.force_login(house["ana"])

    def down(*_):
        raise OperationalError("terminating connection due to administrator command")

    with connection.execute_wrapper(down):
        answer = ana.get("/")
        assert answer.status_code == 503 and answer["Retry-After"] == "2"
        assert "the same click twice is one deed" in answer.content.decode() and "administrator command" not in answer.content.decode()
    assert ana.get("/").status_code == 200


# ---------------------------------------------------------------- a day at the desk, overheard


@contextmanager
def log_lines():
    """The log as CARELINE_LOG_FORMAT=json and CARELINE_LOG_LEVEL=INFO write it."""
    lines = []

    class Keep(logging.Handler):
        def emit(self, record):
            lines.append(self.format(record))

    handler, root = Keep(), logging.getLogger()
    handler.setFormatter(telemetry.JsonLines())
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


@pytest.fixture
def spans():
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    telemetry.use_tracer(provider.get_tracer("test"))
    yield kept
    telemetry.use_tracer(None)


def a_busy_quarter_of_an_hour(house):
    """Ana looks for Maria, serves her, is refused more than she may give, and sees a page break."""
    maria = people.open_account()
    ana = Browser(house["ana"])
    contact = hold_contact(house["ana"], maria, "verified")
    here = f"/contacts/{contact.reference}/"
    ana.get("/find?q=Okafor")
    ana.get(here)
    ana.do(contact, "contacts.note", account=maria.pk, words="Her daughter starts college in Spokane")
    ana.do(contact, "credits.grant", account=maria.pk, amount="10", reason="goodwill", words="because of the rain")
    ana.do(contact, "credits.grant", account=maria.pk, amount="200", reason="goodwill", words="because of the rain")
    ana.get("/find?q=2065550188")
    return maria, contact


CUSTOMERS = ("Okafor", "Maria", "Spokane", "the rain", "2065550188", "A-0104822", "4711", "/find?q")


def test_the_log_has_a_line_for_each_request_and_act_and_no_customer(house, clock):
    with log_lines() as lines:
        a_busy_quarter_of_an_hour(house)
    found = [json.loads(line) for line in lines]
    assert {"time", "level", "logger", "message"} <= set(found[0])
    acts = [line for line in found if line["logger"] == "careline.acts"]
    granted = [line for line in acts if line["act"] == "credits.grant"]
    assert [line["outcome"] for line in granted] == ["done", "refused"] and granted[1]["rule"] == "credit-reason" and granted[0]["who"] == house["ana"].who.key
    requests = [line for line in found if line["logger"] == "careline.requests"]
    assert {line["route"] for line in requests} == {"find", "contact", "contact-do"} and {line["method"] for line in requests} == {"GET", "POST"}
    assert len({line["request"] for line in requests}) == len(requests)
    assert granted[0]["request"] in {line["request"] for line in requests}, "an act is found by the request that did it"
    assert not [name for name in CUSTOMERS if name in "\n".join(lines)]


def test_an_exceptions_words_reach_no_log(house, clock):
    with log_lines() as lines:
        try:
            raise RuntimeError("Maria Okafor said 4711")
        except RuntimeError:
            logging.getLogger("some.library").exception("it broke\nMaria Okafor")
    assert json.loads(lines[0])["exception"] == "RuntimeError" and json.loads(lines[0])["message"] == "it broke"
    assert "Okafor" not in lines[0]


def test_a_broken_page_names_the_request_that_the_log_knows(house, clock, monkeypatch):
    def broken(*_):
        raise RuntimeError("Maria Okafor said 4711")

    monkeypatch.setattr("careline.doors.web.home.contacts.all_open_of", broken)
    with log_lines() as lines:
        answer = Browser(house["ana"]).get("/")
    reference = answer["X-Request-ID"]
    assert answer.status_code == 500 and f"<code>{reference}</code>" in answer.content.decode()
    assert {json.loads(line)["request"] for line in lines} == {reference} and "4711" not in "".join(lines)


def test_a_requests_id_is_the_proxys_when_there_is_one_and_never_a_strangers(house, monkeypatch):
    sent = {"X-Request-ID": "from-outside-1", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    assert Client().get("/sign-in", headers=sent)["X-Request-ID"] != "from-outside-1"
    monkeypatch.setattr(settings, "ALLAUTH_TRUSTED_PROXY_COUNT", 1)
    assert Client().get("/sign-in", headers=sent)["X-Request-ID"] == "from-outside-1"
    assert "\n" not in Client().get("/sign-in", headers={"X-Request-ID": "x y\n"})["X-Request-ID"]


def test_numbers_are_by_route_act_and_outcome_and_hold_no_customer(house, clock):
    def count(name, **labels):
        return REGISTRY.get_sample_value(name, labels) or 0

    refused, shown = {"act": "credits.grant", "outcome": "refused"}, {"route": "find", "method": "GET", "status": "200"}
    before = count("careline_act_seconds_count", **refused), count("careline_request_seconds_count", **shown), count("careline_looks_total", section="view.account", outcome="looked")
    _, contact = a_busy_quarter_of_an_hour(house)
    after = count("careline_act_seconds_count", **refused), count("careline_request_seconds_count", **shown), count("careline_looks_total", section="view.account", outcome="looked")
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 2, 1]
    text = re.sub(r" [\d.e+-]+$", "", generate_latest(REGISTRY).decode(), flags=re.MULTILINE)  # names and labels, not what was counted
    assert not [name for name in (*CUSTOMERS, contact.reference) if name in text]


def test_whatever_a_stranger_asks_for_makes_no_new_number(house):
    before = generate_latest(REGISTRY).decode().count('method="')
    for n in range(5):
        Client().get(f"/nothing-{n}")
        Client().generic(f"WORD{n}", "/sign-in")
    text = generate_latest(REGISTRY).decode()
    assert not re.search(r"nothing-\d|WORD\d", text)
    assert text.count('method="') <= before + 2 * (len(telemetry.SECONDS) + 4)


def test_a_trace_goes_from_the_request_into_the_act_and_holds_no_customer(house, clock, spans):
    a_busy_quarter_of_an_hour(house)
    found = spans.get_finished_spans()
    granted = [s for s in found if s.name == "act credits.grant"]
    assert [s.attributes["careline.outcome"] for s in granted] == ["done", "refused"]
    above = {s.context.span_id: s for s in found}[granted[0].parent.span_id]
    assert (above.name, above.attributes["http.response.status_code"]) == ("POST contact-do", 303)
    assert [s.name for s in found if s.name == "call contacts.check_pin"], "the hash runs outside the transaction, and the trace shows how long"
    assert not [name for name in CUSTOMERS if any(name in s.to_json() for s in found)]


def test_a_fault_is_in_its_span_by_its_class_only(spans):
    with pytest.raises(RuntimeError), telemetry.act("credits.grant", "Staff:1"):
        raise RuntimeError("Maria Okafor said 4711")
    (span,) = spans.get_finished_spans()
    assert span.status.description == "RuntimeError" and "Okafor" not in span.to_json()


def test_a_trace_that_began_at_a_trusted_proxy_goes_on(house, spans, monkeypatch):
    monkeypatch.setattr(settings, "ALLAUTH_TRUSTED_PROXY_COUNT", 1)
    Client().get("/sign-in", headers={"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
    assert f"{spans.get_finished_spans()[-1].context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
