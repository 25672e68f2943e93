"""`careline verify-journal` and `careline anchor`: proving the journal, and keeping a witness outside the database."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from careline.domain.journal import operations, queries, rules
from careline.doors.jobs.stop import Stop
from careline.foundation import seal

ANCHOR = re.compile(r"[1-9][0-9]* [0-9a-f]{64}")
SHOWN = 200  # faults that are printed one by one


def anchor_file() -> Path:
    given = os.environ.get("CARELINE_ANCHORS")
    return Path(given) if given else Path(settings.HOME) / "anchors.txt"


def write_anchor(*, at: datetime) -> int | None:
    """One root over chains that grew since the last one, appended to the anchor file; its number, or None.

    On SQLite a root takes a few hundred chains at a time, so that the desk keeps its turn; call again until None.
    """
    path = anchor_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Opened before the root is written: a file that cannot be written leaves no root without its witness.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        root = operations.anchor(at=at, most=500 if connection.vendor == "sqlite" else 20_000)
        if root is None:
            return None
        os.write(descriptor, f"{root.pk} {root.mac}\n".encode())
        os.fsync(descriptor)
        return root.pk
    finally:
        os.close(descriptor)


def anchor(options: argparse.Namespace) -> int:
    last, count = None, 0
    while (number := write_anchor(at=timezone.now())) is not None:
        last, count = number, count + 1
    if last is None:
        print("Nothing was written since the last anchor.")
    else:
        print(f"Anchored up to root {last} ({count} written) in {anchor_file()}")
    return 0


def read_anchors(path: Path) -> tuple[list[str], list[int]]:
    """The anchors of a file, and the numbers of the lines that are none."""
    good, bad = [], []
    for number, text in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if ANCHOR.fullmatch(text.strip()):
            good.append(text.strip())
        elif text.strip():
            bad.append(number)
    return good, bad


@contextmanager
def snapshot() -> Iterator[None]:
    """Read one moment of the database while the desk goes on writing; takes no write lock. In a transaction it is that one's."""
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ROLLBACK")
    else:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield


def verify_export(options: argparse.Namespace) -> int:
    """A signed file: does its signature hold, do its payloads, and does each line stand in this house's journal as it stands there?"""
    path = Path(options.file)
    if not path.is_file():
        raise Stop(f"There is no file {path}.", 2)
    try:
        found = seal.opened(path.read_bytes(), options.key or "")
    except ValueError as fault:
        print(f"NOT good: {fault}")
        return 1
    print(f"The signature holds. {found.head['title']}: {len(found.rows)} lines, taken by {found.head['by']} at {found.head['made_at']}.")
    print(f"Key: {found.head['key']}")
    bad = [f"line {number}: {say}" for number, row in enumerate(found.rows, 1) if (say := _said_wrong(row))]
    if options.key:
        print("Each payload is what its line proves." if not bad else "\n".join(bad))
        return 1 if bad else 0
    if found.head["key"] != seal.public_key(settings.JOURNAL_KEY):
        print("NOT ours: another house signed it. With --key it is verified without this house's journal.")
        return 1
    for number, row in enumerate(found.rows, 1):
        content = json.loads(row["text"])
        if queries.mac_of(content["chain"], content["seq"]) != row["mac"]:
            bad.append(f"line {number}: {content['chain']} {content['seq']} is not so in the journal of this house")
    print("\n".join(bad[:SHOWN]) if bad else "Each line stands so in the journal of this house.")
    return 1 if bad else 0


def _said_wrong(row: dict[str, Any]) -> str:
    try:
        digest, held = json.loads(row["text"])["payload"], row["payload"]
        if held and rules.payload_digest(held["salt"] or "", held["body"]) != digest:
            return "its payload is not what the line proves"
    except (ValueError, KeyError, TypeError):
        return "this is no line of a journal"
    return ""


def verify(options: argparse.Namespace) -> int:
    path = Path(options.anchor) if options.anchor else anchor_file()
    if options.anchor and not path.is_file():
        raise Stop(f"There is no anchor file {path}. Name the one that was kept outside.", 2)
    anchors, bad = read_anchors(path) if path.is_file() else ([], [])
    faults = 0
    for number in bad:
        faults += 1
        print(f"{path} line {number}: not an anchor")
    shown_at = time.monotonic()

    def progress(seen: int) -> None:
        nonlocal shown_at
        if time.monotonic() - shown_at >= 2:
            shown_at = time.monotonic()
            print(f"… {seen:,} of {size['lines']:,} lines", file=sys.stderr, flush=True)

    with snapshot():
        size = queries.size()
        for fault in queries.verify(anchors=anchors, on_progress=progress):
            faults += 1
            if faults <= SHOWN:
                print(f"{fault.chain} line {fault.seq if fault.seq is not None else '-'}: {fault.say}")
    if faults > SHOWN:
        print(f"… and {faults - SHOWN:,} more")
    outside = f"{len(anchors):,} anchors from {path}" if path.is_file() else f"no anchor file at {path} yet"
    held = f"{size['lines']:,} lines in {size['chains']:,} chains, {size['roots']:,} root{'s' if size['roots'] != 1 else ''}, {outside}"
    if faults:
        print(f"NOT whole: {faults:,} faults. {held}.")
        print("Keep this database and its backups as they are, and tell whoever answers for the journal.")
        return 1
    print(f"Whole: {held}.")
    return 0
