"""Running an import: batches in short transactions, each row written, unchanged, or rejected with its reason.

It is safe to repeat and to resume after a kill: rows are found by the carrier's own keys, so what was written before is
unchanged. Bill lines are staged in a temporary file database, so that memory stays flat.
"""

from __future__ import annotations

import csv
import json
import pickle
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import transaction

from careline.acts.perform import bare_facts
from careline.domain.customers import operations as customers
from careline.domain.journal import operations as journal
from careline.domain.journal import rules as journal_rules
from careline.domain.ledger import operations as ledger
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs.importing.fields import COLUMNS, Fault, read_row
from careline.doors.jobs.importing.mapping import Source
from careline.doors.jobs.pace import Pace
from careline.doors.jobs.stop import Stop
from careline.foundation.act import NO_BASIS, Act, Who
from careline.foundation.authority import Question
from careline.foundation.cards import card_numbers

IMPORTER = Who("Job", "import", "Import", "job")
SMALLEST, LARGEST = 20, 2000  # rows in a write transaction
# What makes a row one of its kind, where it is not a key of its own.
IDENTITY = {"people": ("account", "person"), "usage": ("line", "kind", "day"), "pins": ("account",)}


@dataclass
class Tally:
    read: int = 0
    written: int = 0
    unchanged: int = 0
    rejected: int = 0

    @property
    def holds(self) -> bool:
        return self.read == self.written + self.unchanged + self.rejected


@dataclass
class Run:
    """One import under way: where rejects go, and what was counted so far."""

    out: Path
    at: datetime
    check: bool = False
    say: Callable[[str], None] = lambda _: None
    tallies: dict[str, Tally] = field(default_factory=dict)
    pace: Pace = field(default_factory=lambda: Pace(SMALLEST, LARGEST))
    _rejects: sqlite3.Connection | None = None

    def start(self) -> Act:
        rulebook = rulebooks.current()
        verdict = rulebook.authority.decide(Question(IMPORTER, "imports.run", ("House", "house"), {"basis": bare_facts(kind="job", level=3)}))
        if not verdict.allowed:
            raise Stop("The rulebook does not let the import job run (imports.run).", 1)
        return Act(IMPORTER, self.at, "", uuid.uuid4().hex, NO_BASIS, rulebook=rulebook.digest)

    def tally(self, entity: str) -> Tally:
        return self.tallies.setdefault(entity, Tally())

    def reject(self, entity: str, n: int, name: str, reason: str, raw: Mapping[str, str] | str) -> None:
        """Keep a rejected row: its number, the field, the reason, and the row as it was (card numbers masked)."""
        self.tally(entity).rejected += 1
        if self._rejects is None:
            self._rejects = sqlite3.connect("")  # in a file of its own that goes with it
            self._rejects.execute("CREATE TABLE reject (entity TEXT, n INTEGER, field TEXT, reason TEXT, row TEXT)")
        text = raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False)
        self._rejects.execute("INSERT INTO reject VALUES (?, ?, ?, ?, ?)", (entity, n, name, _masked(reason), _masked(text)))

    def close(self) -> None:
        """Write the rejected rows, each entity's in the order of its file."""
        if self._rejects is None:
            return
        for (entity,) in self._rejects.execute("SELECT DISTINCT entity FROM reject").fetchall():
            with open(self.out / f"rejected-{entity}.csv", "w", encoding="utf-8", newline="") as file:
                out = csv.writer(file)
                out.writerow(["row", "field", "reason", "as_it_was"])
                out.writerows(self._rejects.execute("SELECT n, field, reason, row FROM reject WHERE entity = ? ORDER BY n, rowid", (entity,)))
        self._rejects.close()


def _masked(text: str) -> str:
    for begin, end in reversed(card_numbers(text)):
        text = text[:begin] + "•" * (end - begin) + text[end:]
    return text


def run(sources: Sequence[Source], *, out: Path, at: datetime, check: bool = False, say: Callable[[str], None] = lambda _: None) -> dict[str, Tally]:
    """Import every source in its order. Returns the tallies; rejected rows lie in `out`, with report.json.

    `check` reads and judges every row by itself and writes nothing but the report.
    """
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("rejected-*.csv"):
        old.unlink()
    now = Run(out, at, check, say)
    act = now.start()
    if not check:
        _line(act, "Import started", {"entities": [s.entity for s in sources]})
    try:
        by_entity = {s.entity: s for s in sources}
        for source in sources:
            if source.entity == "bill_lines":
                continue
            now.tally(source.entity)
            if source.entity == "bills":
                _bills(now, act, source, by_entity.get("bill_lines"))
            else:
                _plain(now, act, source)
    finally:
        now.close()
    report = {entity: vars(t) for entity, t in now.tallies.items()}
    (out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    if not check:
        _line(act, "Import done: " + ", ".join(f"{t.written} {e} written" for e, t in now.tallies.items() if t.written), report)
    return now.tallies


def _line(act: Act, say: str, data: dict[str, Any]) -> None:
    with transaction.atomic():
        journal.record(journal_rules.Entry(journal_rules.HOUSE, act, "imports.run", "done", say, data))


def _read(now: Run, source: Source) -> Iterator[tuple[int, dict[str, str], dict[str, Any]]]:
    """The rows that can be read by themselves; the others are rejected here."""
    tally = now.tally(source.entity)
    last = time.monotonic()
    forms = {k: (f"{v}:{now.at.date().isoformat()}" if v == "months_ago" else v) for k, v in source.formats.items()}
    seen = sqlite3.connect("")  # in a file of its own that goes with it: a key twice in a file is the same in every batch
    seen.execute("CREATE TABLE seen (key TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID")
    identity = IDENTITY.get(source.entity, ("key",))
    for found in source.rows():
        n, raw = found.n, found.values
        tally.read += 1
        if time.monotonic() - last > 2:
            last = time.monotonic()
            now.say(f"  {source.entity}: {tally.read} read, {tally.rejected} rejected …")
        if raw is None:
            now.reject(source.entity, n, "row", found.why, found.text)
            continue
        try:
            row = read_row(source.entity, source.fields_of(n, raw), forms)
        except Fault as fault:
            now.reject(source.entity, n, fault.field, fault.reason, raw)
            continue
        except KeyError as fault:
            now.reject(source.entity, n, "row", f"a pattern names the column {fault.args[0]}, which this row lacks", raw)
            continue
        mine = json.dumps([str(row[name]) for name in identity])
        if seen.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (mine, n)).rowcount == 0:
            (first,) = seen.execute("SELECT n FROM seen WHERE key = ?", (mine,)).fetchone()
            now.reject(source.entity, n, identity[0], f"the same {' and '.join(identity)} came before, in row {first}", raw)
            continue
        yield n, raw, row
    seen.close()


def _columns(row: dict[str, Any], money: tuple[str, ...]) -> dict[str, Any]:
    """Our field names as the tables call them."""
    named = {COLUMNS[k] if k in money else k: v for k, v in row.items()}
    if "key" in named:
        named["source_key"] = named.pop("key")
    return named


MONEY = {"plans": ("price", "data_gb_price"), "lines": ("number", "spending_limit"), "payments": ("amount",), "bills": ("total",), "bill_lines": ("unit_price", "amount")}


def _plain(now: Run, act: Act, source: Source) -> None:
    entity, tally = source.entity, now.tally(source.entity)

    def write(batch: list[tuple[int, dict[str, str], dict[str, Any]]]) -> None:
        if now.check:
            tally.written += len(batch)
            return
        rows = [_columns(row, MONEY.get(entity, ())) for _, _, row in batch]
        with transaction.atomic():
            if entity == "methods":
                fates = ledger.import_methods_many(act=act, rows=rows)
            elif entity == "payments":
                fates = ledger.import_payments_many(act=act, rows=rows)
                _journal(act, [r["account"] for r, fate in zip(rows, fates, strict=True) if fate == "written"], "payments")
            else:
                fates = customers.upsert_many(act=act, entity=entity, rows=rows)
        _count(now, entity, [(n, raw) for n, raw, _ in batch], fates)

    for part in now.pace.parts(_read(now, source)):
        write(part)


def _count(now: Run, entity: str, rows: Sequence[tuple[int, Any]], fates: Sequence[str]) -> None:
    tally = now.tally(entity)
    for (n, raw), fate in zip(rows, fates, strict=True):
        if fate in ("written", "unchanged"):
            setattr(tally, fate, getattr(tally, fate) + 1)
        else:
            name, _, reason = fate.partition(": ")
            now.reject(entity, n, name if reason else "row", reason or fate, raw)


def _journal(act: Act, accounts: Sequence[str], what: str) -> None:
    """One line for each account whose money was touched."""
    counts: dict[int, int] = {}
    ids = customers.ids_by_key("accounts", accounts)
    for key in accounts:
        counts[ids[key]] = counts.get(ids[key], 0) + 1
    journal.record_many(
        [
            journal_rules.Entry(journal_rules.account_chain(account_id), act, "imports.run", "done", f"Imported {n} {what if n > 1 else what[:-1]}")
            for account_id, n in sorted(counts.items())
        ]
    )


def _bills(now: Run, act: Act, bills: Source, lines: Source | None) -> None:
    """Bills with their lines. The lines are staged by bill in a file of their own, then taken as their bill comes."""
    with tempfile.TemporaryDirectory() as folder:
        stage = sqlite3.connect(Path(folder) / "lines.sqlite3")
        stage.execute("PRAGMA synchronous=OFF")
        stage.execute("CREATE TABLE line (bill TEXT, n INTEGER, raw TEXT, row BLOB)")
        if lines is not None:
            now.tally("bill_lines")
            stage.executemany(
                "INSERT INTO line VALUES (?, ?, ?, ?)",
                ((row["bill"], n, json.dumps(raw, ensure_ascii=False), pickle.dumps(_columns(row, MONEY["bill_lines"]))) for n, raw, row in _read(now, lines)),
            )
        stage.execute("CREATE INDEX by_bill ON line (bill)")
        def with_lines() -> Iterator[tuple[int, Any, dict[str, Any], list[tuple[int, Any]], list[dict[str, Any]]]]:
            for n, raw, row in _read(now, bills):
                found = stage.execute("SELECT n, raw, row FROM line WHERE bill = ? ORDER BY n", (row["key"],)).fetchall()
                stage.execute("DELETE FROM line WHERE bill = ?", (row["key"],))
                yield n, raw, _columns(row, MONEY["bills"]), [(m, json.loads(r)) for m, r, _ in found], [pickle.loads(b) for _, _, b in found]

        def write(batch: list[tuple[int, Any, dict[str, Any], list[tuple[int, Any]], list[dict[str, Any]]]]) -> None:
            if now.check:
                fates = ["written"] * len(batch)
            else:
                with transaction.atomic():
                    fates = ledger.import_bills_many(act=act, rows=[(row, found) for _, _, row, _, found in batch])
                    _journal(act, [row["account"] for (_, _, row, _, _), fate in zip(batch, fates, strict=True) if fate == "written"], "bills")
            _count(now, "bills", [(n, raw) for n, raw, _, _, _ in batch], fates)
            for (_, _, row, where, _), fate in zip(batch, fates, strict=True):
                ok = fate if fate in ("written", "unchanged") else f"bill: its bill {row['source_key']} was rejected"
                if where:
                    _count(now, "bill_lines", where, [ok] * len(where))

        for part in now.pace.parts(with_lines()):
            write(part)
        for bill, n, raw in stage.execute("SELECT bill, n, raw FROM line ORDER BY n"):
            now.reject("bill_lines", n, "bill", f"its bill {bill} is not in the files, or was rejected", json.loads(raw))
        stage.close()
