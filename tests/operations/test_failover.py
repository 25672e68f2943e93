"""The server of the database restarts while people work, then it is lost and its standby takes over: what was answered is there, once, and
what was not says to try again. Two servers of this test's own, one following the other synchronously."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from tests.people import Desk, open_account

pytestmark = pytest.mark.only_postgresql

WORKS = """
import os, sys, time, django
django.setup()
from django.db import InterfaceError, OperationalError
from careline.acts.declare import BasisRef
from careline.acts.perform import perform
from careline.domain.staff import queries as staff
account, contact, who, ends = int(sys.argv[1]), int(sys.argv[2]), staff.person(sys.argv[3]).who, sys.argv[4]
n = 0
while not os.path.exists(ends):
    n += 1
    while True:
        try:
            done = perform("contacts.note", {"account": account, "text": f"note {n}"}, who=who, key=f"the-note-{n:06d}", basis=BasisRef("contact", contact))
            break
        except (OperationalError, InterfaceError):
            print("again", flush=True)
            time.sleep(0.05)
    print(done.status, n, flush=True)
"""


def binaries() -> Path | None:
    """Where the programs of a PostgreSQL server lie on this machine."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_basebackup"), key=lambda p: int(p.parent.parent.name), reverse=True)
    named = shutil.which("pg_basebackup")
    return found[0].parent if found else Path(named).resolve().parent if named else None


class Server:
    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def run(self, program: str, *words: str) -> str:
        as_owner = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        bin_ = binaries()
        assert bin_ is not None
        done = subprocess.run([*as_owner, str(bin_ / program), *words], cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (program, words, done.stderr)
        return done.stdout

    def ctl(self, *words: str) -> None:
        self.run("pg_ctl", "-D", str(self.data), "-w", "-l", str(self.folder / "log"), *words)

    def start(self, verb: str = "start", *more: str) -> None:
        self.ctl(verb, *more, "-o", f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} -c fsync=off "
                 "-c wal_retrieve_retry_interval=100ms")  # fmt: skip

    def sql(self, words: str) -> str:
        return self.run("psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "careline", "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-tAc", words).strip()


@pytest.fixture
def two_servers() -> Iterator[tuple[Server, Server]]:
    if binaries() is None:
        pytest.skip("the programs of a PostgreSQL server are not on this machine")
    folder = Path(tempfile.mkdtemp(prefix="careline-two-"))
    servers = []
    for name in ("first", "second"):
        (folder / name).mkdir()
        servers.append(Server(folder / name))
    if os.getuid() == 0:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, "postgres")
    try:
        yield servers[0], servers[1]
    finally:
        for server in servers:
            if (server.data / "postmaster.pid").exists():
                server.ctl("-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def follow(first: Server, second: Server, database: str) -> None:
    """The first server with this test's database, and the second as its synchronous standby."""
    first.run("initdb", "-D", str(first.data), "-U", "careline", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
    first.start()
    d = connection.settings_dict
    dump = first.folder / "dump.sql"
    first.run("pg_dump", "-d", f"postgresql://{d['USER']}:{d['PASSWORD']}@{d['HOST']}:{d['PORT']}/{database}", "-f", str(dump))
    first.run("psql", "-h", "127.0.0.1", "-p", str(first.port), "-U", "careline", "-d", "postgres", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(dump))
    second.run("pg_basebackup", "-D", str(second.data), "-h", "127.0.0.1", "-p", str(first.port), "-U", "careline", "-R", "-X", "stream", "-c", "fast", "--no-sync")
    second.start()
    first.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
    first.sql("SELECT pg_reload_conf()")
    until = time.monotonic() + 30
    while first.sql("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") != "1":
        assert time.monotonic() < until, "the standby does not follow"
        time.sleep(0.1)


def test_what_was_answered_outlives_a_restart_under_load_and_the_loss_of_the_server(committed_house, committed_db, process_environment, two_servers, tmp_path):
    from django.utils import timezone

    maria = open_account(today=timezone.now().date())
    ana = Desk(committed_house["ana"], timezone.now()).take_call(maria)
    first, second = two_servers
    follow(first, second, committed_db)
    url = f"postgresql://careline@127.0.0.1:{first.port},127.0.0.1:{second.port}/postgres?target_session_attrs=read-write&connect_timeout=3"
    ends = tmp_path / "enough"
    desk = subprocess.Popen(
        [sys.executable, "-c", WORKS, str(maria.pk), str(ana.contact), str(ana.staff.pk), str(ends)],
        env=process_environment | {"CARELINE_DATABASE_URL": url}, cwd=settings.ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    told: list[str] = []

    def works(more: int) -> None:
        done = len([t for t in told if t.startswith("done")])
        while len([t for t in told if t.startswith("done")]) < done + more:
            line = desk.stdout.readline().strip()
            assert line.startswith(("done", "again")), (line, told[-3:])
            told.append(line)

    works(10)
    first.start("restart", "-m", "fast")
    works(10)
    assert first.sql("SELECT count(*) FROM pg_stat_replication") == "1", "and the standby follows again"
    first.ctl("-m", "immediate", "stop")
    second.ctl("promote")
    works(10)
    ends.touch()
    told += desk.stdout.read().split("\n")
    assert desk.wait(30) == 0

    answered = {f"note {t.split()[1]}" for t in told if t.startswith("done")}
    held = second.sql("SELECT text FROM contacts_note").splitlines()
    assert "again" in told and len(answered) >= 30
    assert sorted(held) == sorted(answered), "each that was answered, and each once"
    assert second.sql("SELECT count(*) FROM journal_line WHERE code = 'contacts.note'") == str(len(held))
    proof = subprocess.run([sys.executable, "-m", "careline", "verify-journal"], env=process_environment | {"CARELINE_DATABASE_URL": url}, cwd=settings.ROOT,
                           capture_output=True, text=True, check=False)  # fmt: skip
    assert proof.returncode == 0, proof.stdout + proof.stderr
