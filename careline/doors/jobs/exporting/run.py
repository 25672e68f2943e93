"""Running an export: one moment of the database, every entity in a file of its own, and the mapping that imports them again.

Each file is written beside its place and put there when it is whole, so that a killed export leaves nothing that looks complete; the same again
goes on where it stopped (`underway`). With a memory of what was sent before, only rows that are new or differ are written.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from careline.acts.perform import bare_facts
from careline.domain.billing import queries as billing
from careline.domain.customers import queries as customers
from careline.domain.journal import operations as journal
from careline.domain.journal import rules as journal_rules
from careline.domain.ledger import queries as ledger
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs.exporting import files
from careline.doors.jobs.exporting.underway import UnderWay, alone
from careline.doors.jobs.importing.fields import ENTITIES, IDENTITY
from careline.doors.jobs.journals import snapshot
from careline.doors.jobs.stop import Stop
from careline.foundation.act import NO_BASIS, Act, Who
from careline.foundation.authority import Question

EXPORTER = Who("Job", "export", "Export", "job")
MANY = 2000  # rows that are read and written at once
# PIN hashes are made with this house's pepper and are of use to no other system: they go with `--all` only.
KNOWN = tuple(e for e in ENTITIES if e != "pins")


@dataclass
class Told:
    """What an export wrote, entity by entity: rows that were looked at, and those that went into the file."""

    looked: dict[str, int] = field(default_factory=dict)
    written: dict[str, int] = field(default_factory=dict)


def start(at: datetime) -> Act:
    """The act of an export. Raises Stop when the rulebook does not let the job."""
    rulebook = rulebooks.current()
    verdict = rulebook.authority.decide(Question(EXPORTER, "exports.run", ("House", "house"), {"basis": bare_facts(kind="job", level=3)}))
    if not verdict.allowed:
        raise Stop("The rulebook in force does not let the export job run (exports.run). Activate one that permits it.", 1)
    return Act(EXPORTER, at, "", uuid.uuid4().hex, NO_BASIS, rulebook=rulebook.digest)


def line(act: Act, say: str, data: dict[str, Any]) -> None:
    with transaction.atomic():
        journal.record(journal_rules.Entry(journal_rules.HOUSE, act, "exports.run", "done", say, data))


def run(
    folder: Path, *, at: datetime, form: str = "csv", entities: Sequence[str] = KNOWN, memory: Path | None = None, say: Callable[[str], None] = lambda _: None
) -> Told:
    """Write every entity to `folder` as `form`. `memory`: a file that remembers what was sent, so that only changes go.

    The line in the journal stands before the first row is read: whoever takes the customers out is known even when it breaks.
    """
    act = start(at)
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        way = UnderWay(folder, {"entities": list(entities), "form": form, "changes": memory is not None})
        line(act, f"Export {'resumed' if way.resumed else 'started'}{', changes only' if memory else ''}", {"entities": list(entities), "form": form})
        told = Told()
        with closing(Memory(memory)) as known:
            with snapshot():
                for entity in entities:
                    _one(folder, entity, form, known, way, told, say)
            (folder / "mapping.toml").write_text(mapping(entities, form), encoding="utf-8")
            known.keep()  # what a killed export wrote was not sent
        line(act, "Export done: " + ", ".join(f"{n} {e}" for e, n in told.written.items() if n), {"written": told.written})
        way.over()
    return told


def _one(folder: Path, entity: str, form: str, known: Memory, way: UnderWay, told: Told, say: Callable[[str], None]) -> None:
    fields, rows = _exported(entity)
    path = folder / f"{entity}.{form}"
    part = path.with_name(f".part-{path.name}")
    # Of changes, what is new is not known before the export came to its end: they are few, and written anew.
    before = None if known.remembers else way.place(entity, rows, path, part)
    looked = written = before.rows if before else 0
    told.looked[entity], told.written[entity] = looked, written
    if before and before.bytes is None:
        return
    out = files.sheet(part, entity, fields, further=before is not None)
    shown, last = time.monotonic(), None
    for found in _batches((rows.filter(pk__gt=before.last) if before else rows).iterator(chunk_size=MANY)):
        looked += len(found)
        fresh = known.new(entity, fields, found)
        written += len(fresh)
        if fresh:
            out.write(fresh)
        last = found[-1]
        if not known.remembers and way.due() and (size := out.size()) is not None:
            way.note(entity, looked, size, last)
        if time.monotonic() - shown > 2:
            shown = time.monotonic()
            say(f"  {entity}: {looked:,} …")
    size = out.size()
    out.close()
    part.replace(path)
    if last is not None and not known.remembers:
        way.note(entity, looked, size, last)
    told.looked[entity], told.written[entity] = looked, written


def _exported(entity: str) -> tuple[list[str], QuerySet[Any, tuple[Any, ...]]]:
    """What the room that keeps an entity says of it."""
    return (customers if entity in customers.EXPORTED else billing if entity in billing.EXPORTED else ledger).exported(entity)


def _batches(rows: Iterator[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    from itertools import islice

    while found := list(islice(rows, MANY)):
        yield found


class Memory:
    """What was sent before: a digest of each row by its key, in a file. None: nothing is remembered and every row is new."""

    def __init__(self, path: Path | None) -> None:
        self._link = None if path is None else sqlite3.connect(path, isolation_level=None)
        if self._link is not None:
            try:
                self._link.execute("PRAGMA synchronous=OFF")
                self._link.execute("BEGIN")
                self._link.execute("CREATE TABLE IF NOT EXISTS sent (entity TEXT, key TEXT, digest BLOB, PRIMARY KEY (entity, key)) WITHOUT ROWID")
                self._link.execute("CREATE TEMPORARY TABLE bill (key TEXT PRIMARY KEY) WITHOUT ROWID")
            except sqlite3.DatabaseError:
                raise Stop(f"{path} is no memory of an export. Name the file that an earlier export made, or a new one.", 2) from None

    @property
    def remembers(self) -> bool:
        return self._link is not None

    def new(self, entity: str, fields: Sequence[str], rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Of these rows those that are new or differ from what was sent; they count as sent once `keep` is called."""
        link = self._link
        if link is None:
            return rows
        if entity == "bill_lines":  # they never change: they go with their bill
            place = fields.index("bill")
            return [row for row in rows if link.execute("SELECT 1 FROM bill WHERE key = ?", (row[place],)).fetchone()]
        places = [fields.index(name) for name in IDENTITY.get(entity, ("key",))]
        fresh, digests = [], []
        for row in rows:
            key = "\x1f".join(map(str, (row[p] for p in places)))
            digest = blake2b("\x1f".join(map(str, row)).encode(), digest_size=8).digest()
            was = link.execute("SELECT digest FROM sent WHERE entity = ? AND key = ?", (entity, key)).fetchone()
            if was is None or was[0] != digest:
                fresh.append(row)
                digests.append((entity, key, digest))
        link.executemany("INSERT OR REPLACE INTO sent VALUES (?, ?, ?)", digests)
        if entity == "bills":
            link.executemany("INSERT INTO bill VALUES (?)", [(key,) for _, key, _ in digests])
        return fresh

    def keep(self) -> None:
        if self._link is not None:
            self._link.execute("PRAGMA user_version=1")
            self._link.execute("COMMIT")

    def close(self) -> None:
        if self._link is not None:
            self._link.close()


def mapping(entities: Sequence[str], form: str) -> str:
    """The mapping file that imports these files again."""
    parts = ["# Written by `careline export`: import these files with `careline import` and this mapping.\n"]
    for entity in entities:
        fields, _ = _exported(entity)
        guarded = "guarded = true\n" if form == "csv" else ""
        columns = "".join(f'{name} = "{name}"\n' for name in fields)
        parts.append(f'[{entity}]\nfile = "{entity}.{form}"\nempty = [""]\n{guarded}[{entity}.columns]\n{columns}')
    return "\n".join(parts)
