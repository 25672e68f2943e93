"""`careline migrate`: everything a database needs before the desk opens on it. Safe to repeat; quick when all is there."""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from careline.domain.journal import operations as journal
from careline.domain.journal import queries as journal_queries
from careline.domain.journal import rules as journal_rules
from careline.domain.rulebook import operations as rulebook_operations
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs import guards, houses
from careline.doors.jobs.stop import Stop
from careline.foundation.act import NO_BASIS, Act, Who
from careline.foundation.rulebook import Rulebook

SETUP = Who("Job", "setup", "Setup", "job")


def main(options: argparse.Namespace) -> int:
    houses.refuse_in_the_demo()
    start = time.monotonic()
    done = migrate(say=print)
    print(f"{'Ready' if done else 'Nothing to do: everything was there'} ({time.monotonic() - start:.1f} s).")
    return 0


def check_keys() -> None:
    """Stop before anything is written with keys that are not this house's: a database with a journal, and its secrets
    missing (made anew a moment ago, and thrown away again) or others. Says nothing where there is no journal yet."""
    folder = Path(settings.HOME) / "secrets"
    try:
        if not journal_queries.begun():
            return
        missing = [name for name in settings.MADE if name in ("journal_key", "pepper")]
        if not missing and not journal_queries.written_with_another_key():
            return
    except DatabaseError:  # no table yet, or no database: the command itself says so
        return
    for name in settings.MADE:
        (folder / name).unlink(missing_ok=True)
    settings.MADE.clear()
    if missing:
        files = " and ".join(str(folder / name) for name in missing)
        raise Stop(f"This database has a journal already and {files} is missing. Put this house's secrets back, or set CARELINE_HOME to where they are.")
    raise Stop(
        f"The journal of this database was written with another key than {folder / 'journal_key'} (or CARELINE_JOURNAL_KEY). "
        "Put this house's secrets there, or set CARELINE_HOME or CARELINE_DATABASE_URL to what belongs together."
    )


def migrate(say: Callable[[str], None] | None = None) -> list[str]:
    """Bring database, guards, rulebook and static files up to date. Returns what had to be done."""
    check_keys()
    done: list[str] = []

    def tell(text: str) -> None:
        done.append(text)
        if say is not None:
            say(text)

    waiting = unapplied()
    first = None if _has_rulebook() else Rulebook.from_folder(settings.RULEBOOK_FOLDER)
    if first is not None:
        first.check()  # before anything is built
    if waiting:
        if say is not None:
            say(f"Database: {waiting} migrations to apply …")
        call_command("migrate", verbosity=1, interactive=False, no_color=True, stdout=Applied(waiting, say))
        tell("Database: up to date.")
    if settings.CACHES["default"]["LOCATION"] not in connection.introspection.table_names():
        call_command("createcachetable", verbosity=0)
        tell("Database: cache table made.")
    if waiting or guards.missing():
        tell(f"Guards: {guards.install()} triggers hold the append-only tables.")
    if first is not None:
        digest = first_rulebook(first)
        tell(f"Rulebook: {digest[:12]} from {settings.RULEBOOK_FOLDER} is in force.")
    if collect_static():
        tell("Static files: collected.")
    return done


class Applied:
    """Takes Django's own words about its migrations, and says every two seconds how many of them are applied."""

    def __init__(self, whole: int, say: Callable[[str], None] | None) -> None:
        self.whole, self.say, self.done, self.told = whole, say, 0, time.monotonic()

    def write(self, text: str) -> None:
        if text.strip() != "OK":
            return
        self.done += 1
        if self.say is not None and self.done < self.whole and time.monotonic() - self.told > 2:
            self.told = time.monotonic()
            self.say(f"  {self.done} of {self.whole} applied …")

    def flush(self) -> None:
        """Nothing is kept back."""

    def isatty(self) -> bool:
        return False


def unapplied() -> int:
    """How many migrations this database still waits for."""
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _has_rulebook() -> bool:
    try:
        return rulebooks.begun()
    except DatabaseError:  # no table yet
        return False


def newer_rulebook() -> str | None:
    """The demo's policy is the folder's: one that this house never knew, of a newer version, comes into force. Its digest."""
    book = Rulebook.from_folder(settings.RULEBOOK_FOLDER)
    if rulebooks.known(book.digest) is not None:
        return None
    book.check()
    return _activate(book, "A newer version")


def first_rulebook(book: Rulebook) -> str:
    """Take a rulebook into force in a house that has none; its digest."""
    return _activate(book, "A new house", ", the first of this house")


def _activate(book: Rulebook, why: str, what: str = "") -> str:
    now = timezone.now()
    act = Act(SETUP, now, why, uuid.uuid4().hex, NO_BASIS, rulebook=book.digest)
    with transaction.atomic():
        digest = rulebook_operations.activate(act=act, rulebook=book, from_at=now, seconded_by=SETUP.key)
        journal.record(
            journal_rules.Entry(
                journal_rules.HOUSE, act, "rulebook.activate", "done",
                f"Rulebook {digest[:12]} in force{what}", {"rulebook": digest},
            )
        )  # fmt: skip
    return digest


def _static_digest() -> str:
    seen = hashlib.sha256(str(settings.STORAGES["staticfiles"]).encode())
    for finder in get_finders():
        for path, storage in finder.list([]):
            at = os.stat(storage.path(path))
            seen.update(f"{path} {at.st_size} {at.st_mtime_ns}\n".encode())
    return seen.hexdigest()


def static_is_current() -> bool:
    """Were the static files collected since one of them last changed?"""
    stamp = Path(settings.STATIC_ROOT) / ".collected"
    return stamp.exists() and stamp.read_text() == _static_digest() and (stamp.parent / "staticfiles.json").exists()


def collect_static() -> bool:
    """Collect the static files unless they are current."""
    if static_is_current():
        return False
    call_command("collectstatic", verbosity=0, interactive=False)
    (Path(settings.STATIC_ROOT) / ".collected").write_text(_static_digest())
    return True


def problems() -> list[str]:
    """What keeps the desk from opening on this house; each line says what to do."""
    found = []
    try:
        Path(settings.HOME).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.HOME):
            pass
    except OSError as fault:
        return [f"The folder {settings.HOME} cannot be written ({fault.strerror}). Run as its owner or set CARELINE_HOME."]
    waiting = unapplied()
    if waiting:
        return [f"The database in use waits for {waiting} migrations. Run: careline migrate"]
    missing = guards.missing()
    if missing:
        found.append(f"{len(missing)} guards of the append-only tables are missing (first: {missing[0]}). Run: careline migrate")
    try:
        rulebooks.current()
    except LookupError:
        found.append("No rulebook is in force. Run: careline migrate")
    if not static_is_current():
        found.append("The static files were not collected since they changed. Run: careline migrate")
    return found
