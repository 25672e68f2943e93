"""The other jobs are killed too: the file for the agency, the relief between two nights, papers, the feed, the close of the books, the backup. Each at every
commit in process and just after it, and once by SIGKILL. What the next run comes to is what an undisturbed one does."""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction

from careline.domain.collections import queries as collections
from careline.domain.collections.models import Climb, Placement
from careline.domain.customers.models import Account, Customer, Line
from careline.domain.journal import operations as journal_operations
from careline.domain.journal import queries as journal
from careline.domain.journal import rules as journal_rules
from careline.domain.journal.models import Change, Counter, Outbox
from careline.domain.journal.models import Line as JournalLine
from careline.domain.ledger.models import Bill, BooksFile, ClosedPeriod, Paper
from careline.doors.jobs import backups, books, feed, night, papers, worker
from careline.doors.jobs.stop import Stop
from tests.operations import test_night
from tests.operations.dying import Killed, killed_after, really_killed, wherever_it_dies
from tests.operations.test_night import DUE, at, owing
from tests.people import Desk, carrier_act, open_account, pay

NOW = at(20)


# ---------------------------------------------------------------- what each of them has to do, and what it leaves


def to_place(house: dict) -> None:
    """Two debts for the agency, and one that was placed before and is paid now."""
    for n in range(3):
        account = owing(amount=8000 + n)
        climb = Climb.objects.create(account=account, since=DUE, began_at=at(3), judged_at=at(3), rung="place", rung_days=100, bar="gone", ended_at=at(19) if n == 2 else None)
        Placement.objects.create(account=account, climb=climb, amount_minor=8000 + n, placed_at=at(18), file="PF-000000-9" if n == 2 else "", recalled_at=at(19) if n == 2 else None)


def place(when: datetime, folder: Path) -> None:
    """As an operator does it: the next file, and the last one once more where the command says that it is not there."""
    night._agency(folder, None)
    last = collections.last_filed()
    if not (folder / f"{last}.csv").exists():
        night._agency(folder, last)


def placed(folder: Path) -> dict[str, Any]:
    return {
        "placements": sorted(Placement.objects.values_list("account__reference", "file", "recall_file")),
        "files": {p.name: p.read_text() for p in sorted(folder.glob("*.csv"))},
        "said": list(JournalLine.objects.filter(code="collections.run").order_by("pk").values_list("outcome", "chain__name")),
    }


def to_relieve(house: dict) -> None:
    """Three whose lines are off; two paid all of it, one enough for her line to come back."""
    for n in range(3):
        account = owing(amount=9000 + n)
        Climb.objects.create(account=account, since=DUE, began_at=at(3), judged_at=at(15), rung="soft", rung_days=15, bar="outgoing", noticed=True, owed_minor=9000 + n)
        Line.objects.filter(account=account).update(status="suspended", suspended_for="non_payment", bar="outgoing")
        pay(account, 7000 if n == 2 else 9000 + n, at(19))


def relieve(when: datetime, folder: Path) -> None:
    night.relieve(at=when)


def relieved(folder: Path) -> dict[str, Any]:
    return test_night.dump()


def to_print(house: dict) -> None:
    """A copy of her bill by e-mail, and a statement."""
    maria = open_account(bills=2)
    Customer.objects.update(email="maria.okafor@example.com")
    ana = Desk(house["ana"], NOW).take_call(maria)
    ana.must("ledger.send_bill", account=maria.pk, bill=Bill.objects.order_by("-pk")[0].pk)
    ana.must("ledger.print_statement", account=maria.pk, first="2026-10-01", last="2026-10-20")


class Press:
    """Prints the same bytes for the same words."""

    def pdf(self, html: str) -> bytes:
        return f"%PDF {len(html)}".encode()


def make(when: datetime, folder: Path) -> None:
    while papers.make_one(at=when, through=Press()):
        pass
    worker.send_due(at=when)


def made(folder: Path) -> dict[str, Any]:
    return {
        "papers": sorted(Paper.objects.values_list("key", "state", "made__digest")),
        "told": sorted(Outbox.objects.values_list("topic", "channel", "account_id", "state")),
        "journal": sorted(JournalLine.objects.values_list("chain__name", "code", "outcome")),
    }


def to_tell(house: dict) -> None:
    """Somebody listens, and three deeds were done since."""
    maria = open_account(bills=0)
    while journal_operations.begin_feed():
        pass
    for n in range(3):
        with transaction.atomic():
            journal_operations.record(journal_rules.Entry(f"account:{maria.pk}", carrier_act(NOW), "credits.grant", "done", f"Deed {n}", {"amount": n}, {}))


def tell(when: datetime, folder: Path) -> None:
    """The worker tells, the other side says through which change it has them, and the worker hears it."""
    settings.FEED = str(folder)
    while feed.tell():
        pass
    names = sorted(p.stem for p in folder.glob("changes-*.jsonl"))
    if names:
        (folder / "acknowledged").write_text(names[-1].rpartition("-")[2])
    feed.tell()


def told_others(folder: Path) -> dict[str, Any]:
    lines = [line for p in sorted(folder.glob("changes-*.jsonl")) for line in p.read_text().splitlines()]
    assert len(lines) == len(set(lines)), "nothing is told twice"
    return {"lines": sorted(lines), "numbered": sorted(Change.objects.values_list("n", "line__code")), "heard": sorted(Counter.objects.filter(name__in=[journal_operations.FEED, journal_operations.HEARD]).values_list("name", "last"))}


def to_close(house: dict) -> None:
    open_account()


def close(when: datetime, folder: Path) -> None:
    """`careline books close`, and once more where it did not say that it was done."""
    with suppress(Stop):  # closed, by the run before
        books.close(argparse.Namespace(through="2026-10-31"))


def closed(folder: Path) -> dict[str, Any]:
    return {
        "periods": list(ClosedPeriod.objects.order_by("pk").values_list("number", "ends_on", "chart")),
        "files": sorted(BooksFile.objects.values_list("number", "journal", "rows", "digest")),
        "journal": sorted(JournalLine.objects.filter(outcome="done").values_list("code", "outcome")),
    }


@dataclass(frozen=True)
class Job:
    """`begin`: what there is to do; `run`: the job; `pause`: how much later the next run comes; `found`: what it left; `commits`: how many it has, at least."""

    begin: Callable[[dict], None]
    run: Callable[[datetime, Path], None]
    found: Callable[[Path], dict[str, Any]]
    pause: timedelta = timedelta(0)
    commits: int = 2


JOBS = {
    "the file for the agency": Job(to_place, place, placed, commits=1),
    "relief": Job(to_relieve, relieve, relieved, commits=3),
    "papers": Job(to_print, make, made, timedelta(minutes=2), commits=4),
    "the feed": Job(to_tell, tell, told_others, commits=2),
    "the close of the books": Job(to_close, close, closed, commits=2),
}


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch):
    monkeypatch.setattr(settings, "FEED", "")  # put back after each
    monkeypatch.setattr(worker.journal, "mark_sent", transaction.atomic(worker.journal.mark_sent))  # so that its commit can be seen


@pytest.mark.parametrize("what", JOBS)
def test_wherever_it_is_killed_the_next_run_comes_to_what_an_undisturbed_one_does(house, tmp_path, monkeypatch, what):
    job = JOBS[what]
    job.begin(house)
    monkeypatch.setattr(night, "SMALLEST", 1)
    monkeypatch.setattr(night, "LARGEST", 1)
    trial = itertools.count()

    def lived(commits: int, told: bool) -> tuple[dict[str, Any], bool]:
        folder = tmp_path / str(next(trial))
        folder.mkdir()
        start, killed = transaction.savepoint(), False
        try:
            with killed_after(commits, told):
                job.run(NOW, folder)
        except Killed:
            killed = True
        job.run(NOW + job.pause, folder)
        found = job.found(folder)
        assert not list(journal.verify())
        transaction.savepoint_rollback(start)
        return found, killed

    whole, _ = lived(10_000, False)
    assert whole != job.found(tmp_path), "it does something"
    wherever_it_dies(lived, whole, job.commits)


CHILD = """
from pathlib import Path
from careline.doors.jobs import night
night.SMALLEST = night.LARGEST = 1
from tests.operations.test_killed_jobs import JOBS
JOBS[sys.argv[1]].run(datetime.fromisoformat(sys.argv[2]), Path(sys.argv[3]))
"""


@pytest.mark.parametrize("what", JOBS)
def test_one_that_is_really_killed_goes_on_to_what_an_undisturbed_one_does(committed_house, process_environment, tmp_path, monkeypatch, what):
    """SIGKILL just after its first commit; the next run, in another process, finishes it."""
    job = JOBS[what]
    job.begin(committed_house)
    monkeypatch.setattr(night, "SMALLEST", 1)
    monkeypatch.setattr(night, "LARGEST", 1)
    calm, folder = tmp_path / "calm", tmp_path / "killed"
    calm.mkdir()
    folder.mkdir()
    before = job.found(folder)
    with transaction.atomic():
        job.run(NOW, calm)
        job.run(NOW + job.pause, calm)
        whole = job.found(calm)
        transaction.set_rollback(True)
    assert whole != before == job.found(folder)
    connection.close()
    really_killed(CHILD, what, NOW.isoformat(), str(folder), environment=process_environment)
    assert job.found(folder) != whole and not list(journal.verify()), "it was in the middle of it"
    job.run(NOW + job.pause, folder)
    assert job.found(folder) == whole and not list(journal.verify())


# ---------------------------------------------------------------- the backup: it commits one line at its end; before that it is files

STEPS = ("_copy_sqlite" if connection.vendor == "sqlite" else "_dump_postgresql", "_digest", "_to_disk")


def take(folder: Path) -> None:
    assert backups.backup(argparse.Namespace(folder=str(folder), keep=0)) == 0


def kept(folder: Path) -> list[Path]:
    """The backups in a folder, each proven to be what its note says. Nothing else is there."""
    found = sorted(folder.glob("careline-*")) if folder.exists() else []
    for each in found:
        assert backups.read(each)["journal"]
    return found


def copied(made: Path) -> list[Any]:
    """What a backup of SQLite holds of the accounts and the journal."""
    with closing(sqlite3.connect(made / "careline.sqlite3")) as copy:
        return [copy.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall() for table in ("customers_account", "ledger_entry", "journal_line")]


@pytest.mark.parametrize("step", STEPS)
def test_a_backup_that_is_killed_at_any_of_its_steps_leaves_none_or_a_whole_one(committed_house, tmp_path, monkeypatch, step):
    open_account()
    lines = JournalLine.objects.filter(code=backups.TAKE)
    real = getattr(backups, step)
    for n in itertools.count():
        left, folder = n, tmp_path / f"{step}-{n}"

        def dies(*given: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return real(*given)

        killed, before = False, lines.count()
        with monkeypatch.context() as patch:
            patch.setattr(backups, step, dies)
            try:
                take(folder)
            except Killed:
                killed = True
        if not killed:
            break
        assert lines.count() == before, "nobody says that there is a backup before there is one"
        assert len(kept(folder)) <= 1 and not list(folder.glob(".part-*"))
        monkeypatch.setattr(backups, "PREFIX", f"careline-{n}-")  # another second
        take(folder)
        assert kept(folder) and lines.count() == before + 1
    assert n >= 1


@pytest.mark.parametrize("told", [False, True])
def test_a_backup_whose_commit_is_killed_is_there_whole_and_the_next_one_comes_beside_it(committed_house, tmp_path, monkeypatch, told):
    open_account()
    with pytest.raises(Killed), killed_after(0, told):
        take(tmp_path)
    assert len(kept(tmp_path)) == 1 and JournalLine.objects.filter(code=backups.TAKE).count() == int(told)
    monkeypatch.setattr(backups, "PREFIX", "careline-next-")  # another second
    take(tmp_path)
    assert len(kept(tmp_path)) == 2 and JournalLine.objects.filter(code=backups.TAKE).count() == int(told) + 1 and not list(journal.verify())


HELD = """
import argparse, sys
import django
django.setup()
from careline.doors.jobs import backups
digest = backups._digest
def slow(file):
    print("copied", flush=True)
    sys.stdin.readline()
    return digest(file)
backups._digest = slow
backups.backup(argparse.Namespace(folder=sys.argv[1], keep=0))
"""


def test_a_backup_that_is_really_killed_leaves_nothing_that_the_next_does_not_throw_away(committed_house, process_environment, tmp_path, monkeypatch):
    """SIGKILL with the copy made and not named yet. While another works, its copy is left alone."""
    open_account()
    connection.close()
    run = [sys.executable, "-c", HELD, str(tmp_path)]
    child, alive = (subprocess.Popen(run, env=process_environment, cwd=settings.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2))
    for each in (child, alive):
        assert each.stdout is not None and each.stdout.readline() == "copied\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait(10)
    assert not kept(tmp_path) and len(list(tmp_path.glob(".part-*"))) == 2
    monkeypatch.setattr(backups, "YOUNG", -1.0)
    take(tmp_path)
    (made,) = kept(tmp_path)
    assert len(list(tmp_path.glob(".part-*"))) == 1, "the one of who works still"
    if connection.vendor == "sqlite":
        assert len(copied(made)[0]) == Account.objects.count() and len(copied(made)[2]) == JournalLine.objects.exclude(code=backups.TAKE).count()
    os.kill(alive.pid, signal.SIGKILL)
    alive.wait(10)
    for each in (child, alive):
        for pipe in (each.stdin, each.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()
