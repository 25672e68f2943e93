"""`careline rulebook`: what is in force, and taking another folder into force with a second person's yes."""

from __future__ import annotations

import argparse
import time
import uuid
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from careline.acts import trial
from careline.acts.laws import faults
from careline.domain.journal import operations as journal
from careline.domain.journal import rules as journal_rules
from careline.domain.rulebook import operations, queries
from careline.domain.staff import queries as staff
from careline.doors.jobs.people import CLI
from careline.doors.jobs.stop import Stop
from careline.foundation.act import NO_BASIS, Act
from careline.foundation.rulebook import Rulebook

MAY = ("supervisor", "administrator")


def show(options: argparse.Namespace) -> int:
    book = queries.current()
    if options.file:
        if options.file not in book.files:
            raise Stop(f"The rulebook has no file {options.file}. It has: {', '.join(sorted(book.files))}", 2)
        print(book.files[options.file], end="")
        return 0
    print(f"In force: {book.digest}")
    for name, body in sorted(book.files.items()):
        print(f"  {name}  ({len(body.splitlines())} lines)")
    return 0


def _read(folder: str) -> Rulebook:
    book = Rulebook.from_folder(Path(folder))
    book.check()
    found = faults(book)
    if found:
        raise Stop("\n".join(found))
    return book


def check(options: argparse.Namespace) -> int:
    book = _read(options.folder)
    print(f"Good: {len(book.files)} files, digest {book.digest}")
    for line in _differences(book):
        print(f"  {line}")
    return 0


def tried(options: argparse.Namespace) -> int:
    """What would have been answered otherwise, of every decision that is kept. The desk's page asks some of them."""
    book, now = _read(options.folder), queries.current()
    began = time.monotonic()
    found = trial.whole_trial(now, book, timezone.now())
    since = f" since {found.since.astimezone(ZoneInfo(settings.CARRIER_ZONE)):%Y-%m-%d}" if found.since else ""
    print(f"{found.asked:,} of {found.whole:,} decisions{since} asked again in {time.monotonic() - began:.1f} s" + (f"; {found.unasked:,} could not be" if found.unasked else ""))
    print(f"{found.count(True):,} would have been refused, {found.count(False):,} answered otherwise" if found.turns else "Nothing would have been answered otherwise.")
    for turn in found.turns:
        after = f"refused by {turn.rule}" + (f", {turn.needs} could" if turn.needs else "") if turn.rule else "allowed"
        print(f"  {turn.count:>8,}  {turn.title}: {f'was refused by {turn.was}, ' if turn.was else ''}{after}")
    return 0


def _differences(book: Rulebook) -> list[str]:
    """Which files differ from what is in force (nothing when nothing is)."""
    try:
        now = queries.current().files
    except LookupError:
        return []
    names = sorted({*now, *book.files})
    if dict(now) == dict(book.files):
        return ["This is what is in force."]
    word = {(True, False): "taken away", (False, True): "new", (True, True): "changed"}
    return [f"{n}: {word[n in now, n in book.files]}" for n in names if now.get(n) != book.files.get(n)]


def _who(username: str) -> Any:
    person = staff.by_username(username)
    if person is None or not person.is_active:
        raise Stop(f"There is nobody with the sign-in name {username} who is switched on. See: careline user list", 2)
    if person.role not in MAY:
        raise Stop(f"{person.username} is {person.role}; a rulebook needs two people who are {' or '.join(MAY)}.")
    return person


def activate(options: argparse.Namespace) -> int:
    by, second = _who(options.by), _who(options.second)
    if by.pk == second.pk:
        raise Stop("The second person has to be somebody else.", 2)
    book = _read(options.folder)
    now = timezone.now()
    if queries.digest_at(now) == book.digest:
        print(f"Nothing to do: {book.digest[:12]} is in force already.")
        return 0
    act = Act(CLI, now, f"Seconded by {second.username}", uuid.uuid4().hex, NO_BASIS, asked_by=by.who, rulebook=book.digest)
    with transaction.atomic():
        digest = operations.activate(act=act, rulebook=book, from_at=now, seconded_by=second.who.key)
        journal.record(
            journal_rules.Entry(
                journal_rules.HOUSE, act, "rulebook.activate", "done",
                f"Rulebook {digest[:12]} in force, asked by {by.username}, seconded by {second.username}",
                {"rulebook": digest, "by": by.who.key, "second": second.who.key},
            )
        )  # fmt: skip
    print(f"In force: {digest}. Running desks follow within seconds.")
    return 0
