"""The disk of the database is full in the middle of a job: it says so, nothing is half done, and it goes on where there is room. (The desk:
test_api.py; the import: test_load.py.)

On SQLite the database may not grow beyond so many pages; on PostgreSQL it lies on a file system of its own, of which so many are left."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models import Sum

from careline.__main__ import _plain
from careline.domain.billing.models import Draft
from careline.domain.journal import queries as journal
from careline.domain.journal.models import Line as JournalLine
from careline.domain.ledger.models import Bill, BillLine, Entry
from careline.doors.jobs import billing, night, worker
from tests.operations import test_bill_run as cycle
from tests.operations import test_killed as killed
from tests.operations.test_arrangements import FRIDAY, HALVES, agree, past_due, take
from tests.operations.test_night import at, dump, owing
from tests.people import Desk, hire

PAGE = 8192


class SqliteRoom:
    def leave(self, pages: int) -> None:
        with connection.cursor() as cursor:
            there = cursor.execute("PRAGMA page_count").fetchone()[0]
            cursor.execute(f"PRAGMA max_page_count = {there + pages}")

    def again(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA max_page_count = 1073741823")


class PostgresqlRoom:
    """The database on a file system in memory, filled but for some pages."""

    def __init__(self, folder: Path) -> None:
        self.ballast = folder / "ballast"

    def leave(self, pages: int) -> None:
        self.again()
        with connection.cursor() as cursor:
            cursor.execute("CHECKPOINT")
        free = os.statvfs(self.ballast.parent)
        with open(self.ballast, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(free.f_bavail * free.f_frsize - pages * PAGE, 1))

    def again(self) -> None:
        self.ballast.unlink(missing_ok=True)


def mounted() -> Path:
    """A small file system in memory where PostgreSQL may write."""
    folder = Path(tempfile.mkdtemp(prefix="careline-full-"))
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m,mode=700", "none", str(folder)], check=True, capture_output=True)
        shutil.chown(folder, "postgres")
        folder.chmod(0o700)
    except (OSError, LookupError, subprocess.CalledProcessError):
        folder.rmdir()
        pytest.skip("no file system can be mounted here, so no disk of PostgreSQL can be full")
    return folder


def admin(words: str) -> None:
    with connection._nodb_cursor() as cursor:
        cursor.execute(words)


@pytest.fixture
def room(committed_house: dict[str, Any]) -> Iterator[SqliteRoom | PostgresqlRoom]:
    """How much room the database has: `leave(pages)`, and `again()` as much as it wants."""
    if connection.vendor == "sqlite":
        yield SqliteRoom()
        return
    folder, name = mounted(), connection.settings_dict["NAME"]
    place = f"room_{name}"
    try:
        admin(f"CREATE TABLESPACE {place} LOCATION '{folder}'")
        connection.close()
        admin(f'ALTER DATABASE "{name}" SET TABLESPACE {place}')
        yield (there := PostgresqlRoom(folder))
        there.again()
        connection.close()
        admin(f'ALTER DATABASE "{name}" SET TABLESPACE pg_default')
    finally:
        admin(f"DROP TABLESPACE IF EXISTS {place}")
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


def as_in_one_go(room: SqliteRoom | PostgresqlRoom, job: Callable[[], Any], written: Callable[[], Any], whole: Callable[[], None]) -> None:
    """What a job writes, on a disk that fills up again and again, is what it writes on one that has room; `whole`: nothing is half done."""
    with transaction.atomic():
        job()
        expected = written()
        transaction.set_rollback(True)
    assert expected != written(), "it does something"
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")  # what was rolled back, and what came before, left room inside the files
    full, came = 0, -1
    while True:
        room.leave(2 * full)
        try:
            job()
            break
        except OperationalError as fault:
            full += 1
            assert _plain(fault) == ("The disk is full. Nothing was half done. Make room and run the same command again: it goes on where it stopped.", 1)
            assert not connection.in_atomic_block and JournalLine.objects.count() >= came, "what was settled stays"
            came = JournalLine.objects.count()
            whole()
            assert full < 100
    room.again()
    job()
    assert full and written() == expected
    whole()
    assert not list(journal.verify())


def test_a_bill_run_on_a_full_disk_leaves_whole_bills_and_goes_on(room, monkeypatch):
    cycle.accounts(120)
    monkeypatch.setattr(billing, "READ", 20)
    monkeypatch.setattr(billing, "LARGEST", 10)

    def whole() -> None:
        sums = BillLine.objects.values("bill").annotate(s=Sum("amount_minor")).values_list("bill__total_minor", "s")
        assert len(sums) == Bill.objects.count() == Entry.objects.count() and all(total == lines for total, lines in sums)

    def written() -> list[Any]:
        return [sorted(Bill.objects.values_list("account__reference", "total_minor")), BillLine.objects.count(), Draft.objects.count(),
                sorted(JournalLine.objects.filter(chain__name__startswith="account:").values_list("chain__name", "code"))]  # fmt: skip

    as_in_one_go(room, cycle.run, written, whole)


@pytest.mark.only_sqlite  # so little is written that on PostgreSQL the room inside the files may be enough
def test_a_night_on_a_full_disk_does_each_effect_once_and_goes_on(room, monkeypatch):
    for n in range(40):
        owing(amount=8000 + n, autopay=n % 4 == 0)
    monkeypatch.setattr(night, "SMALLEST", 2)
    monkeypatch.setattr(night, "LARGEST", 2)

    def whole() -> None:
        assert not list(journal.verify())

    as_in_one_go(room, lambda: night.run_night(at(16)), dump, whole)
    assert night.report(night.run_night(at(16))).holds


# What writes more than the pages that are begun have room for: on PostgreSQL the charges alone; on SQLite all but what is marked in place.
WRITES = ["parts charged"] if connection.vendor == "postgresql" else [what for what in killed.JOBS if what != "messages sent"]


@pytest.mark.only_sqlite
@pytest.mark.parametrize("what", WRITES)
def test_what_the_worker_does_on_a_full_disk_is_done_once_and_goes_on(room, monkeypatch, what):
    job, moment, pause = killed.JOBS[what]
    for n in range(16):
        account = past_due(f"Person {n}", f"+12065552{n:03d}", f"A-02000{n:02d}")
        desk = Desk(hire(f"ana{n}", f"Ana {n}", "associate"), FRIDAY).take_call(account)
        assert agree(desk, account, HALVES, **({"method": account.payment_methods.get().pk} if what == "parts charged" else {})).ok
        take(desk, account, 7100)
    killed.send(FRIDAY + timedelta(hours=5))
    killed.one_by_one(monkeypatch)
    moments = itertools.count()

    def whole() -> None:
        assert not list(journal.verify())

    as_in_one_go(room, lambda: job(moment + pause * next(moments)), killed.dump, whole)


@pytest.mark.once
@pytest.mark.parametrize("words", ["database or disk is full", 'could not extend file "base/5/1249": No space left on device'])
def test_the_worker_says_that_the_disk_is_full_and_goes_on_trying(db, caplog, monkeypatch, words):
    monkeypatch.setattr(worker.connection, "close", lambda: None)

    def send_due() -> None:
        raise OperationalError(words)

    assert worker._careful(send_due) is None
    assert caplog.messages == ["send_due failed (the disk of the database is full); it is tried again"]
