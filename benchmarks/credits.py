"""Credits a second under contention, and decisions a second, on both databases:

    .venv/bin/python benchmarks/credits.py

Four processes grant credits of one cent through `perform`, with all that belongs to one (locks, authority, ledger, journal,
commit): first all on one account, then each on its own. The decisions are different questions, asked of one process.
PostgreSQL is a throw-away one from .ci/with-postgresql (it does not wait for the disk: fsync is off), left out when none is
installed.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import limits  # noqa: E402
from benchmarks.both import on_both  # noqa: E402

SECONDS = 5.0
DESKS = 4


def main() -> None:
    if "--here" in sys.argv:
        with tempfile.TemporaryDirectory(prefix="careline-bench-") as home:
            os.environ |= {"CARELINE_HOME": home, "DJANGO_SETTINGS_MODULE": "careline.settings"}
            measure_here()
        return
    print(f"{DESKS} processes, {SECONDS:.0f} s each, {os.cpu_count()} cores\n\n| a second | database |  |\n| --- | --- | --: |", flush=True)
    on_both(__file__)


def measure_here() -> None:
    import django

    django.setup()
    from django.db import connection, connections
    from django.utils import timezone

    from careline.acts.perform import bare_facts
    from careline.domain.rulebook import queries
    from careline.doors.jobs import setup
    from careline.foundation.authority import Question
    from tests import people

    setup.migrate()
    limits.lift()
    now = timezone.now()
    accounts = [people.open_account(f"Caller {n}", f"+1206555{n:04}", f"A-{n:07}", today=now.date()) for n in range(1, DESKS + 1)]
    staff = [people.hire(f"sam{n}", f"Sam {n}", "supervisor") for n in range(DESKS)]
    names = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
    database = names[connection.vendor]
    processes = multiprocessing.get_context("fork")

    def work(desk: people.Desk, account: int, ready: Any, done: Any) -> None:
        desk.at = timezone.now()
        ready.wait(60)
        count, end = 0, time.monotonic() + SECONDS
        while time.monotonic() < end:
            key = f"bench-{os.getpid()}-{count:08}"
            count += desk.must("credits.grant", key_=key, account=account, amount=1, reason="goodwill").ok
        done.put(count)

    def credits(chosen: list[Any]) -> float:
        # Each in turn: racing guesses of a PIN count as failed until they are checked.
        desks = [people.Desk(who, timezone.now()).take_call(account) for who, account in zip(staff, chosen, strict=True)]
        connections.close_all()
        ready, done = processes.Barrier(DESKS), processes.Queue()
        jobs = [processes.Process(target=work, args=(d, a.pk, ready, done)) for d, a in zip(desks, chosen, strict=True)]
        for job in jobs:
            job.start()
        total = sum(done.get(timeout=120) for _ in jobs)
        for job in jobs:
            job.join()
        for desk in desks:
            desk.must("contacts.end")
            desk.must("contacts.wrap_up", summary="x", disposition="resolved", root_cause="none")
        return total / SECONDS

    print(f"| credits, all on one account | {database} | {credits([accounts[0]] * DESKS):,.0f} |", flush=True)
    print(f"| credits, each on an account of its own | {database} | {credits(accounts):,.0f} |", flush=True)
    if connection.vendor != "sqlite":
        return
    authority = queries.current().authority
    facts = {"basis": bare_facts(kind="contact", level=3, state="live")}
    questions = [Question(staff[0].who, "contacts.hold", ("Account", str(n)), facts) for n in range(20_000)]
    one_by_one, tens = questions[:4000], questions[4000:8000]
    began = time.perf_counter()
    for question in one_by_one:
        authority.decide(question)
    print(f"| decisions, one by one | | {len(one_by_one) / (time.perf_counter() - began):,.0f} |")
    began = time.perf_counter()
    for n in range(0, len(tens), 10):
        authority.decide_many(tens[n : n + 10])
    print(f"| decisions, ten at a time | | {len(tens) / (time.perf_counter() - began):,.0f} |")
    began = time.perf_counter()
    for question in tens:
        authority.decide(question)
    print(f"| decisions, asked before | | {len(tens) / (time.perf_counter() - began):,.0f} |")


if __name__ == "__main__":
    main()
