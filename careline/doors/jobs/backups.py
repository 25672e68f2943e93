"""`careline backup` and `careline restore`: a copy of one moment of the house while people work in it, and the way back, proven.

A backup is a folder: the database (`careline.sqlite3`, or `careline.dump` of pg_dump), the anchors that were written before its moment,
and `backup.json`, which names both with their digests. It holds every customer and no secret: those are kept apart, once.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
import time
import uuid
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.backends.postgresql.client import DatabaseClient
from django.utils import timezone

from careline.domain.journal import operations as journal
from careline.domain.journal import queries as journal_queries
from careline.domain.journal import rules as journal_rules
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs import houses, journals, setup
from careline.doors.jobs.people import CLI
from careline.doors.jobs.stop import Stop
from careline.foundation.act import NO_BASIS, Act

TAKE, RESTORE = "backups.take", "backups.restore"  # as the journal has them
NOTE, ANCHORS = "backup.json", "anchors.txt"
FILES = {"sqlite": "careline.sqlite3", "postgresql": "careline.dump"}
PREFIX = "careline-"
PART = ".part-"
YOUNG = 60.0  # seconds in which somebody who began a backup may not hold it yet


def backup(options: argparse.Namespace) -> int:
    folder = Path(options.folder)
    waiting = setup.unapplied()
    if waiting:
        raise Stop(f"The database waits for {waiting} migrations. Run: careline migrate")
    now = timezone.now()
    made = take(folder, now)
    size = sum(f.stat().st_size for f in made.iterdir())
    _record(TAKE, now, f"Backup {made.name} taken, {size / 1e6:,.1f} MB", {"backup": made.name})
    gone = _thin(folder, options.keep) if options.keep else []
    print(f"Backup: {made} ({size / 1e6:,.1f} MB)" + (f"; {len(gone)} older one{'s' if len(gone) > 1 else ''} thrown away" if gone else ""))
    return 0


def take(folder: Path, now: datetime) -> Path:
    """Copy one moment of the database into a new folder below this one; the new folder. It is there whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / f"{PREFIX}{now:%Y%m%d-%H%M%S}"
    if made.exists():
        raise Stop(f"{made} is there already. Wait a second and try again.")
    _sweep(folder)
    part = Path(tempfile.mkdtemp(prefix=PART, dir=folder))
    held = os.open(part, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)  # as long as this process lives, and no longer
    try:
        # First the anchors, then the database: it then knows every root that they name, and the two prove each other.
        anchors = journals.anchor_file()
        (part / ANCHORS).write_bytes(anchors.read_bytes() if anchors.is_file() else b"")
        file = part / FILES[connection.vendor]
        copy = _copy_sqlite if connection.vendor == "sqlite" else _dump_postgresql
        copy(file)
        note = {
            "taken": now.isoformat(timespec="seconds"), "database": connection.vendor, "rulebook": rulebooks.digest_at(now),
            "journal": journal_queries.size(), "files": {f.name: _digest(f) for f in (file, part / ANCHORS)},
        }  # fmt: skip
        (part / NOTE).write_text(json.dumps(note, indent=2) + "\n")
        for each in part.iterdir():
            _to_disk(each)
        part.rename(made)
        _to_disk(folder)
    except OSError as fault:
        raise Stop(f"The backup could not be written to {folder} ({fault.strerror}). Nothing of it was kept.") from fault
    finally:
        shutil.rmtree(part, ignore_errors=True)
        os.close(held)
    return made


def _sweep(folder: Path) -> None:
    """Throw away what backups that were killed left: each holds every customer, and nobody would ever look for it. Whoever works still holds theirs."""
    for part in folder.glob(f"{PART}*"):
        if time.time() - part.stat().st_mtime < YOUNG:
            continue
        held = os.open(part, os.O_RDONLY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(part, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(held)


def _copy_sqlite(to: Path) -> None:
    """SQLite's own online backup, in one step: it reads one moment, and in write-ahead mode holds up nobody who writes."""
    source = sqlite3.connect(f"{Path(connection.settings_dict['NAME']).resolve().as_uri()}?mode=ro", uri=True)
    with closing(source), closing(sqlite3.connect(to)) as copy:
        try:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
            found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.Error as fault:
            raise Stop(f"The backup could not be written ({fault}). Nothing of it was kept.") from fault
    if found != "ok":
        raise Stop("The database is damaged (PRAGMA quick_check). Keep it as it is, and restore the newest backup elsewhere.")


def _dump_postgresql(to: Path) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema()")
        schema = cursor.fetchone()[0]
    only = [] if schema == "public" else [f"--schema={schema}"]
    _postgresql("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={to}", *only)


def _postgresql(program: str, *words: str) -> None:
    """Run one of PostgreSQL's programs on the database in use, by the address and password that Django gives psql."""
    if shutil.which(program) is None:
        raise Stop(f"{program} is not here. On Debian: apt install postgresql-client")
    (_, *where), environment = DatabaseClient.settings_to_cmd_args_env(connection.settings_dict, [])
    *options, database = where
    done = subprocess.run(
        [program, *options, f"--dbname={database}", "--no-password", *words], env=os.environ | (environment or {}),
        capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode:
        first = next((line for line in done.stderr.splitlines() if line.strip()), "no word of why")
        raise Stop(f"{program} ended with {done.returncode}: {first[:300]}")


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _thin(folder: Path, keep: int) -> list[Path]:
    """Throw older backups of ours away; only folders that hold the note of one."""
    old = sorted(p for p in folder.glob(f"{PREFIX}*") if (p / NOTE).is_file())[:-keep]
    for each in old:
        shutil.rmtree(each)
    return old


# ---------------------------------------------------------------- the way back


def restore(options: argparse.Namespace) -> int:
    folder = Path(options.backup)
    try:
        note = read(folder)
    except Stop:
        _throw_away_made()  # a refused restore leaves nothing behind
        raise
    _have_secrets()
    with houses.alone():
        was = _put_away(note, options.replace)
        connection.close()
        if connection.vendor == "sqlite":
            _place(folder / FILES["sqlite"], Path(connection.settings_dict["NAME"]))
        else:
            _postgresql("pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", str(folder / FILES["postgresql"]))
        _place(folder / ANCHORS, journals.anchor_file())
        rulebooks.forget()
        if journal_queries.written_with_another_key():
            raise Stop(
                "The database is back, and its journal was written with another key than this house has. Put the secrets that belong to "
                f"it into {Path(settings.HOME) / 'secrets'}, then run: careline migrate and careline verify-journal"
            )
        setup.migrate(say=print)
        whole = journals.verify(argparse.Namespace(anchor=None)) == 0
        taken = datetime.fromisoformat(note["taken"])
        _record(RESTORE, timezone.now(), f"Restored from backup {folder.name}; what was written after {taken:%Y-%m-%d %H:%M:%S} UTC is lost", {"backup": folder.name})
    print(f"Restored as of {taken:%Y-%m-%d %H:%M:%S} UTC. What was written later is lost; what left the house since then has to be reconciled by hand.")
    for path in was:
        print(f"Put away: {path}")
    return 0 if whole else 1


def _have_secrets() -> None:
    """New secrets would fit nothing that comes back: those made a moment ago are thrown away again."""
    made = _throw_away_made()
    if not made:
        return
    secrets = Path(settings.HOME) / "secrets"
    raise Stop(f"Bring the secrets first: {', '.join(made)} {'is' if len(made) == 1 else 'are'} missing in {secrets}. A backup does not hold them.")


def _throw_away_made() -> list[str]:
    """The secrets that this very command made are gone again, and what stood for nothing else. Returns their names."""
    made = list(settings.MADE)
    secrets = Path(settings.HOME) / "secrets"
    for name in made:
        (secrets / name).unlink(missing_ok=True)
    settings.MADE.clear()
    if made and connection.vendor == "sqlite" and not connection.introspection.table_names():  # a file that asking for it made
        connection.close()
        Path(connection.settings_dict["NAME"]).unlink(missing_ok=True)
    if made:
        with contextlib.suppress(OSError):  # something else lies there
            secrets.rmdir()
    return made


def read(folder: Path) -> dict[str, Any]:
    """The note of a backup, its files compared with it. Raises Stop when it is none, not whole, or of the other kind of database."""
    try:
        note: dict[str, Any] = json.loads((folder / NOTE).read_text())
        files = dict(note["files"])
    except (OSError, ValueError, KeyError, TypeError):
        raise Stop(f"{folder} is no backup: it has no {NOTE} that can be read. Name one of the folders that careline backup made.", 2) from None
    if note.get("database") != connection.vendor:
        raise Stop(f"This is a backup of {note.get('database')}, and CARELINE_DATABASE_URL names {connection.vendor}.", 2)
    for name in (FILES[connection.vendor], ANCHORS):
        file = folder / name
        if not file.is_file() or _digest(file) != files.get(name):
            raise Stop(f"{file} is not what {NOTE} says: it is missing or was changed. Take another backup of that time.")
    return note


def _put_away(note: dict[str, Any], replace: bool) -> list[Path]:
    """Make room: what is there now stays beside the house, under names of its own. Raises Stop where there is a house and nobody
    said that it may be replaced."""
    try:
        there = journal_queries.begun()
    except DatabaseError:
        there = False
    if connection.vendor == "postgresql":
        if connection.introspection.table_names():
            raise Stop("There are tables in this database already. Make an empty one, name it in CARELINE_DATABASE_URL, and restore into that.")
        there = False
    if there and not replace:
        raise Stop(f"There is a house in {settings.HOME} already. With --replace it is put away and the backup takes its place.")
    connection.close()
    stamp = f"before-restore-{timezone.now():%Y%m%d-%H%M%S}"
    moved = []
    database = [Path(f"{connection.settings_dict['NAME']}{end}") for end in ("", "-wal", "-shm")] if connection.vendor == "sqlite" else []
    for path in [*database, journals.anchor_file()]:
        if path.exists() and path.stat().st_size:
            to = path.with_name(f"{path.name}.{stamp}") if not path.name.endswith(("-wal", "-shm")) else path.with_name(f"{database[0].name}.{stamp}{path.name[-4:]}")
            path.rename(to)
            moved.append(to)
        else:
            path.unlink(missing_ok=True)
    return moved


def _place(file: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    part = to.with_name(f".{to.name}.part")
    shutil.copyfile(file, part)
    os.chmod(part, 0o600)
    _to_disk(part)
    part.replace(to)


def _record(code: str, at: datetime, say: str, data: dict[str, str]) -> None:
    with transaction.atomic():
        journal.record(journal_rules.Entry(journal_rules.HOUSE, Act(CLI, at, "", uuid.uuid4().hex, NO_BASIS), code, "done", say, data))
