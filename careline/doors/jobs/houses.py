"""Whose house this is, and who is in it: the demo's or somebody's own, and the lock that every running desk holds."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connection

from careline.domain.journal import queries as journal
from careline.doors.jobs.stop import Stop
from careline.foundation.act import Who

BEGUN = "demo.begin"  # the first line that the making of a demo writes
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def mark() -> Path:
    """The file that says: what is in this house is made up and may be thrown away."""
    return Path(settings.HOME) / "demo-house"


def _did(who: str, code: str) -> bool:
    try:
        return journal.count_since(who=Who("Job", who, "", "job"), code=code, since=LONG_AGO) > 0
    except DatabaseError:  # no table yet
        return False


def is_demo() -> bool:
    """Did the demo make what this house's database holds? On a server the mark in the folder says nothing of it."""
    return (connection.vendor == "sqlite" and mark().exists() and not is_own()) or _did("demo", BEGUN)


def is_own() -> bool:
    """Was anything done in this house that is not the demo's? `migrate` alone leaves one line, the first rulebook."""
    if _did("demo", BEGUN):
        return _did("cli", "staff.add") or _did("import", "imports.run")
    try:
        return journal.size()["lines"] > 1
    except DatabaseError:
        return False


def refuse_in_the_demo() -> None:
    """Keep people and customers of somebody's own out of a house that the next reset throws away."""
    if not settings.DEMO and is_demo():
        raise Stop(
            f"{settings.HOME} is the demo's: its reset throws away what is there. "
            "For a desk of your own set CARELINE_HOME to another folder; for the demo run: careline demo"
        )


# ---------------------------------------------------------------- who is in it

_here: int | None = None  # the lock of this process, held until it ends


def _open() -> int:
    folder = Path(settings.HOME)
    folder.mkdir(parents=True, exist_ok=True)
    return os.open(folder / "running.lock", os.O_RDWR | os.O_CREAT, 0o600)


def _take(lock: int, how: int, seconds: float = 0) -> bool:
    until = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.02)
        else:
            return True


def move_in(port: int | None = None) -> int:
    """Hold this house until this process ends: nobody throws it away below a running desk. Returns the lock, so that
    children may hold it too; `port` is where the desk answers."""
    global _here
    lock = _here = _open()
    if _take(lock, fcntl.LOCK_EX):
        os.ftruncate(lock, 0)  # nobody else is in: what stands there is of those who left
    if not _take(lock, fcntl.LOCK_SH, seconds=2):
        raise Stop(f"The demo in {settings.HOME} is being made or thrown away right now. Wait until that is done.")
    if port is not None:
        os.lseek(lock, 0, os.SEEK_END)
        os.write(lock, f"{port}\n".encode())
    return lock


@contextmanager
def alone() -> Iterator[None]:
    """Nobody else runs or makes this house meanwhile; refused in one line when somebody does."""
    lock = _open()
    try:
        if not _take(lock, fcntl.LOCK_EX):
            raise Stop(f"A desk or worker runs in {settings.HOME}, or the demo is being made there. End it first (Ctrl-C where it was started).")
        yield
    finally:
        os.close(lock)


def answers_on(port: int) -> bool:
    """Does a desk of this house run on that port?"""
    with suppress(OSError):
        lock = os.open(Path(settings.HOME) / "running.lock", os.O_RDWR)
        try:
            return not _take(lock, fcntl.LOCK_EX) and str(port) in os.read(lock, 10_000).decode().split()
        finally:
            os.close(lock)
    return False
