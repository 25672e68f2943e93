"""A job whose process dies: within this process as a transaction is about to commit, or just after it did; and really, by SIGKILL."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import connection, transaction


class Killed(BaseException):
    pass


@contextmanager
def killed_after(commits: int, told: bool = False) -> Iterator[None]:
    """The process dies as a transaction of the job is about to commit, once so many have; `told`: just after it did."""
    left, outside = commits, len(connection.atomic_blocks)
    original = transaction.Atomic.__exit__

    def exit_(self, kind, value, trace):
        nonlocal left
        if kind is not None or len(connection.atomic_blocks) != outside + 1:
            return original(self, kind, value, trace)
        left -= 1
        if left >= 0:
            return original(self, kind, value, trace)
        fault = Killed()
        original(self, *((None, None, None) if told else (Killed, fault, None)))
        raise fault

    transaction.Atomic.__exit__ = exit_
    try:
        yield
    finally:
        transaction.Atomic.__exit__ = original


def wherever_it_dies(lived: Callable[[int, bool], tuple[Any, bool]], whole: Any, least: int) -> None:
    """Killed at its first commit, its second, …, until none is left, `lived` leaves what an undisturbed run does. `lived`: what stands then, and whether
    it was killed. `least`: so many commits it has at least, or it would prove little."""
    for told in (False, True):
        for commits in itertools.count():
            found, killed = lived(commits, told)
            assert found == whole, f"killed {'after' if told else 'at'} commit {commits + 1}"
            if not killed:
                break
        assert commits >= least


PAUSING = """
import sys
from datetime import datetime
import django
django.setup()
from django.db import transaction
from careline.doors.jobs import worker
worker.journal.mark_sent = transaction.atomic(worker.journal.mark_sent)
leave = transaction.Atomic.__exit__
def told(self, kind, value, trace):
    outermost = not transaction.get_connection().savepoint_ids and len(transaction.get_connection().atomic_blocks) == 1
    done = leave(self, kind, value, trace)
    if outermost:
        print("committed", flush=True)
        sys.stdin.readline()
    return done
transaction.Atomic.__exit__ = told
"""


def really_killed(program: str, *words: str, environment: Mapping[str, str], commits: int = 1) -> None:
    """Run a program in a process of its own, and kill it when it has committed so often."""
    with subprocess.Popen([sys.executable, "-c", PAUSING + program, *words], env={**environment, "PYTHONPATH": str(settings.ROOT)}, cwd=settings.ROOT,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:  # fmt: skip
        assert child.stdout is not None and child.stdin is not None
        for last in (n == commits for n in range(1, commits + 1)):
            assert "committed\n" in iter(child.stdout.readline, "")
            if not last:
                child.stdin.write("\n")
                child.stdin.flush()
        os.kill(child.pid, signal.SIGKILL)
        child.wait(10)
