"""A long job on SQLite gives way to who waits to write, and to nobody else."""

from __future__ import annotations

import sqlite3
import threading
import time

import pytest
from django.db import OperationalError, connection, connections, transaction

from careline.domain.journal.models import Counter
from careline.sqlite import base
from careline.sqlite.base import fcntl, give_way

pytestmark = pytest.mark.only_sqlite


def waiting() -> bool:
    turnstile = connection.turnstile()
    try:
        fcntl.flock(turnstile, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(turnstile, fcntl.LOCK_UN)
    return False


def test_who_waits_while_a_job_writes_comes_before_its_next_part(committed_house, monkeypatch):
    """Ana's grant finds the night writing. It comes between this part and the next, though SQLite has no queue."""
    monkeypatch.setattr(base, "PATIENCE", 10.0)
    order: list[str] = []

    def ana() -> None:
        with transaction.atomic():
            order.append("ana")
            Counter.objects.create(name="ana")
        connections["default"].close()

    thread = threading.Thread(target=ana, daemon=True)
    with transaction.atomic():
        Counter.objects.create(name="part 1")
        thread.start()
        until = time.monotonic() + 10
        while not waiting() and time.monotonic() < until:
            time.sleep(0.001)
        order.append("part 1")
    give_way()
    with transaction.atomic():
        order.append("part 2")
    thread.join(10)
    assert order == ["part 1", "ana", "part 2"]


def test_a_job_gives_way_to_nobody_at_once_and_to_somebody_who_never_comes_not_for_ever(committed_house, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("nobody waits"))
    give_way()
    monkeypatch.undo()
    monkeypatch.setattr(base, "PATIENCE", 0.05)
    with open(f"{connection.settings_dict['NAME']}-turn") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        began = time.monotonic()
        give_way()
        assert time.monotonic() - began >= 0.05


def test_who_finds_another_writing_looks_again_soon_however_long_it_takes(committed_house, monkeypatch):
    """SQLite's own pauses grow to 100 ms; a night that waited so among busy desks found no gap for minutes."""
    other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 40:
            other.execute("COMMIT")

    monkeypatch.setattr(base.time, "sleep", sleep)
    with transaction.atomic():
        Counter.objects.create(name="part")
    assert slept == [base.TRY_AGAIN] * 40
    # So does a statement that is a transaction by itself, as the keeping of a draft is: among many who look so often it found no gap in 20 s.
    slept.clear()
    other.execute("BEGIN IMMEDIATE")
    Counter.objects.filter(name="part").update(last=7)
    assert slept == [base.TRY_AGAIN] * 40
    assert Counter.objects.get(name="part").last == 7
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA busy_timeout").fetchone() == (20_000,), "what comes within a transaction has its patience again"
    other.close()


def test_patience_ends_with_the_error_of_sqlite(committed_house, monkeypatch):
    other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.01)
    with pytest.raises(OperationalError, match="locked"), transaction.atomic():
        pass
    with pytest.raises(OperationalError, match="locked"):
        Counter.objects.filter(name="part").update(last=7)
    other.execute("ROLLBACK")
    other.close()
    with transaction.atomic():
        Counter.objects.create(name="later")
