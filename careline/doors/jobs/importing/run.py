"""Running an import: parts in short transactions, each row written, unchanged, or rejected with its reason.

It is safe to repeat, for rows are found by the carrier's own keys, and it goes on after a kill: how far it came is written in the very
transaction that wrote the rows. What it must remember of the files themselves (which keys came, rejected rows, the lines of bills that
have not come yet) lies in a work file beside the report, so that memory stays flat; an import whose work file or files are gone starts
from the first row, where all that was written is unchanged.
"""

from __future__ import annotations

import csv
import fcntl
import json
import marshal
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from careline.acts.perform import bare_facts
from careline.domain.activations import queries as orders
from careline.domain.billing import operations as billing
from careline.domain.customers import operations as customers
from careline.domain.customers import queries as customer_queries
from careline.domain.journal import operations as journal
from careline.domain.journal import queries as journal_queries
from careline.domain.journal import rules as journal_rules
from careline.domain.ledger import operations as ledger
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs.importing.fields import IDENTITY, Fault, column, guarded
from careline.doors.jobs.importing.mapping import Reader, Row, Source
from careline.doors.jobs.pace import Pace
from careline.doors.jobs.stop import Stop
from careline.foundation import phone, pins
from careline.foundation.act import NO_BASIS, Act, Who
from careline.foundation.authority import Question
from careline.foundation.cards import card_numbers
from careline.foundation.money import shown
from careline.foundation.outbound import COUNTED
from careline.foundation.rulebook import Rulebook

IMPORTER = Who("Job", "import", "Import", "job")
NOTES = {"reject": "rejected", "kept": "kept", "doubt": "doubts"}  # what is noted of rows, and how its file is called
SMALLEST, LARGEST = 200, 5000  # rows in a write transaction


@dataclass
class Tally:
    read: int = 0
    written: int = 0
    unchanged: int = 0
    rejected: int = 0
    kept: int = 0  # of those written or unchanged: something of the row was not taken over
    doubts: int = 0  # of those written: it may be what was done here already

    @property
    def holds(self) -> bool:
        return self.read == self.written + self.unchanged + self.rejected


@dataclass
class Place:
    """How far an import came: the last row of each entity's file that is settled, and what was counted until then."""

    done: dict[str, int] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)

    def tally(self, entity: str) -> Tally:
        return self.tallies.setdefault(entity, Tally())

    def said(self) -> dict[str, Any]:
        return {"done": self.done, "tallies": {e: vars(t) for e, t in self.tallies.items()}}

    @classmethod
    def read(cls, said: dict[str, Any]) -> Place:
        return cls(dict(said["done"]), {e: Tally(**t) for e, t in said["tallies"].items()})


class Work:
    """The work file: keys that came, rejected rows, and lines that wait for their bill. What is noted names the part of which file it
    was noted in (`during`, `until` its last row), so that what was never settled can be forgotten."""

    during, until = "", 0

    def __init__(self, path: Path) -> None:
        self.path = path
        self.link = sqlite3.connect(path, isolation_level=None)
        self.link.execute("PRAGMA synchronous=OFF")
        self.link.execute("CREATE TABLE IF NOT EXISTS seen (entity TEXT, key TEXT, n INTEGER, during TEXT, until INTEGER, PRIMARY KEY (entity, key)) WITHOUT ROWID")
        self.link.execute("CREATE TABLE IF NOT EXISTS reject (entity TEXT, n INTEGER, field TEXT, reason TEXT, row TEXT, during TEXT, until INTEGER)")
        self.link.execute("CREATE TABLE IF NOT EXISTS kept (entity TEXT, n INTEGER, field TEXT, reason TEXT, row TEXT, during TEXT, until INTEGER)")
        self.link.execute("CREATE TABLE IF NOT EXISTS doubt (entity TEXT, n INTEGER, field TEXT, reason TEXT, row TEXT, during TEXT, until INTEGER)")
        self.link.execute("CREATE TABLE IF NOT EXISTS line (bill TEXT, n INTEGER, cells BLOB)")

    def back_to(self, during: str, until: int) -> None:
        """Forget what was noted in later parts: it was never settled."""
        self.link.execute("DELETE FROM seen WHERE during = ? AND until > ?", (during, until))
        for notes in NOTES:
            self.link.execute(f"DELETE FROM {notes} WHERE during = ? AND until > ?", (during, until))

    def twice(self, entity: str, rows: Sequence[tuple[str, int]]) -> dict[int, int]:
        """Note the keys of rows. Returns those whose key came before, with the row in which it did."""
        before = self.link.total_changes
        self.link.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?, ?, ?, ?)", [(entity, key, n, self.during, self.until) for key, n in rows])
        if self.link.total_changes - before == len(rows):
            return {}
        found = {n: self.link.execute("SELECT n FROM seen WHERE entity = ? AND key = ?", (entity, key)).fetchone()[0] for key, n in rows}
        return {n: first for n, first in found.items() if first != n}

    def note(self, notes: str, entity: str, n: int, name: str, reason: str, text: str) -> None:
        """Note a row as `reject`, `kept` or `doubt`."""
        self.link.execute(f"INSERT INTO {notes} VALUES (?, ?, ?, ?, ?, ?, ?)", (entity, n, name, _masked(reason), _masked(text), self.during, self.until))

    def noted(self, notes: str) -> Iterator[tuple[str, Iterator[tuple[int, str, str, str]]]]:
        """The rows noted as such, of each entity in the order of its file."""
        for (entity,) in self.link.execute(f"SELECT DISTINCT entity FROM {notes}").fetchall():
            yield entity, self.link.execute(f"SELECT n, field, reason, row FROM {notes} WHERE entity = ? ORDER BY n, rowid", (entity,))

    def put_aside(self, lines: Iterator[tuple[str, int, bytes]]) -> None:
        """Put lines into the file by their bill, unless a run before this one did."""
        if self.link.execute("SELECT 1 FROM sqlite_master WHERE name = 'by_bill'").fetchone():
            return
        self.link.execute("BEGIN")
        self.link.execute("DELETE FROM line")
        self.link.executemany("INSERT INTO line VALUES (?, ?, ?)", lines)
        self.link.execute("CREATE INDEX by_bill ON line (bill, n)")
        self.link.execute("COMMIT")

    def lines_of(self, bills: Sequence[str]) -> list[Row]:
        """The lines of these bills in the order of their file."""
        asked = "SELECT n, cells FROM json_each(?) k JOIN line ON line.bill = k.value ORDER BY n"
        return [(n, *marshal.loads(held)) for n, held in self.link.execute(asked, (json.dumps(bills),))]

    def left_over(self) -> Iterator[Row]:
        """Lines of bills that did not come."""
        asked = "SELECT n, cells FROM line WHERE NOT EXISTS (SELECT 1 FROM seen WHERE entity = 'bills' AND key = bill) ORDER BY n"
        return ((n, *marshal.loads(held)) for n, held in self.link.execute(asked))

    def close(self, keep: bool) -> None:
        self.link.close()
        if not keep:
            for end in ("", "-journal"):
                self.path.with_name(self.path.name + end).unlink(missing_ok=True)


def _masked(text: str) -> str:
    for begin, end in reversed(card_numbers(text)):
        text = text[:begin] + "•" * (end - begin) + text[end:]
    return text


@dataclass
class Run:
    """One import under way."""

    act: Act
    work: Work
    place: Place
    files: str
    check: bool
    say: Callable[[str], None]
    pace: Pace
    forms: dict[str, dict[str, str]]
    records: Mapping[str, str]
    consents: Mapping[str, tuple[str, ...]]
    shown: float = field(default_factory=time.monotonic)

    def reject(self, source: Source, n: int, name: str, reason: str, raw: Any) -> None:
        """Keep a rejected row: its number, the field, the reason, and the row as it was (without card numbers and PINs)."""
        self.place.tally(source.entity).rejected += 1
        row = raw if isinstance(raw, str) else json.dumps(source.named(raw), ensure_ascii=False)
        if source.entity == "pins":  # there may be a PIN in clear where its hash belongs
            hidden = source.columns.get("hash", "")
            row = "(left out)" if isinstance(raw, str) else json.dumps({k: "•" if k == hidden and v else v for k, v in source.named(raw).items()}, ensure_ascii=False)
        self.work.note("reject", source.entity, n, name, reason, row)

    def keep(self, source: Source, n: int, name: str, reason: str, raw: Any) -> None:
        """Keep a row of which something was not taken over, with what and why."""
        self.place.tally(source.entity).kept += 1
        self.work.note("kept", source.entity, n, name, reason, json.dumps(source.named(raw), ensure_ascii=False))

    def doubt(self, source: Source, n: int, name: str, reason: str, raw: Any) -> None:
        """Keep a row that was written and may be what was done here already: a person decides."""
        self.place.tally(source.entity).doubts += 1
        self.work.note("doubt", source.entity, n, name, reason, json.dumps(source.named(raw), ensure_ascii=False))

    def keep_place(self) -> None:
        """Write how far the import came; in the transaction that writes the rows."""
        journal.keep_place(act=self.act, code="imports.run", digest=self.files, place=self.place.said())

    def parts(self, source: Source) -> Iterator[list[Row]]:
        """The rows of a file that are not settled yet, in parts for one transaction each."""
        done = self.place.done.get(source.entity, 0)
        self.work.back_to(source.entity, done)
        for part in self.pace.parts(row for row in source.rows() if row[0] > done):
            self.work.during, self.work.until = source.entity, part[-1][0]
            self.work.link.execute("BEGIN")
            yield part
            if self.work.link.in_transaction:
                self.work.link.execute("COMMIT")
            if time.monotonic() - self.shown > 2:
                self.shown = time.monotonic()
                tally = self.place.tally(source.entity)
                self.say(f"  {source.entity}: {tally.read:,} read, {tally.rejected:,} rejected …")


def run(sources: Sequence[Source], *, out: Path, at: datetime, check: bool = False, say: Callable[[str], None] = lambda _: None) -> dict[str, Tally]:
    """Import every source in its order. Returns the tallies; rejected rows lie in `out`, with report.json.

    `check` reads and judges every row by itself and writes nothing but the report.
    """
    out.mkdir(parents=True, exist_ok=True)
    with _alone(out):
        return _run(sources, out, at, check, say)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Nobody else imports with this folder meanwhile. The lock is the system's: it ends with its process, however that ends."""
    with open(out / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Stop(f"Another import works in {out}. Wait for it, or name another folder with --out.", 1) from None
        yield


def _run(sources: Sequence[Source], out: Path, at: datetime, check: bool, say: Callable[[str], None]) -> dict[str, Tally]:
    for name in NOTES.values():
        for old in out.glob(f"{name}-*.csv"):
            old.unlink()
    rulebook = rulebooks.current()
    verdict = rulebook.authority.decide(Question(IMPORTER, "imports.run", ("House", "house"), {"basis": bare_facts(kind="job", level=3)}))
    if not verdict.allowed:
        raise Stop("The rulebook does not let the import job run (imports.run).", 1)
    forms = {s.entity: {k: (f"{v}:{at.date().isoformat()}" if v == "months_ago" else v) for k, v in s.formats.items()} for s in sources}
    files = _files(sources, forms)
    path = out / (".check.sqlite3" if check else f".work-{files[:12]}.sqlite3")
    known = journal_queries.place(who=IMPORTER, digest=files) if path.exists() and not check else None
    for old in (*out.glob(".check.sqlite3*"), *out.glob(".work-*")):
        if known is None or not old.name.startswith(path.name):
            old.unlink()
    act = Act(IMPORTER, at, "", known.key if known else uuid.uuid4().hex, NO_BASIS, rulebook=rulebook.digest)
    now = Run(act, Work(path), Place.read(known.said) if known else Place(), files, check, say, Pace(SMALLEST, LARGEST), forms, rulebook.records, _consents(rulebook))
    if not check:
        _line(act, "Import resumed" if known else "Import started", {"entities": [s.entity for s in sources]})
    whole = False
    try:
        by_entity = {s.entity: s for s in sources}
        for source in sources:
            if source.entity == "bill_lines":
                continue
            now.place.tally(source.entity)
            if source.entity == "bills":
                _bills(now, source, by_entity.get("bill_lines"))
            else:
                _plain(now, source)
        _write_notes(now.work, out)
        whole = True
    finally:
        now.work.close(keep=not whole and not check)
    report = {entity: vars(t) for entity, t in now.place.tallies.items()}
    (out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    if not check:
        with transaction.atomic():
            journal.leave_place(act=act, digest=files)
        _line(act, "Import done: " + ", ".join(f"{t.written} {e} written" for e, t in now.place.tallies.items() if t.written), report)
    return now.place.tallies


def _files(sources: Sequence[Source], forms: dict[str, dict[str, str]]) -> str:
    """What tells these files and this way to read them from any others."""
    told = [(repr(s), s.path.stat().st_size, s.path.stat().st_mtime_ns, sorted(forms[s.entity].items())) for s in sources]
    return sha256(repr(told).encode()).hexdigest()


def _write_notes(work: Work, out: Path) -> None:
    for notes, name in NOTES.items():
        for entity, rows in work.noted(notes):
            with open(out / f"{name}-{entity}.csv", "w", encoding="utf-8", newline="") as file:
                to = csv.writer(file)
                to.writerow(["row", "field", "reason", "as_it_was"])
                to.writerows([n, where, guarded(why), guarded(text)] for n, where, why, text in rows)


def _line(act: Act, say: str, data: dict[str, Any]) -> None:
    with transaction.atomic():
        journal.record(journal_rules.Entry(journal_rules.HOUSE, act, "imports.run", "done", say, data))


Found = tuple[int, Any, dict[str, Any]]  # a row's number, the row as it was, and what it says


def _read(now: Run, source: Source, reader: Reader, part: Sequence[Row]) -> list[Found]:
    """Of a part the rows that can be read by themselves; the others are rejected here."""
    entity, found = source.entity, []
    now.place.tally(entity).read += len(part)
    for n, raw, why, text in part:
        if raw is None:
            now.reject(source, n, "row", why, text)
            continue
        try:
            found.append((n, raw, reader(n, raw)))
        except Fault as fault:
            theirs = source.columns.get(fault.field, "") if isinstance(raw, dict) else ""
            now.reject(source, n, fault.field, fault.reason if not theirs or theirs in raw else f"this is needed, and this row has no {theirs}", raw)
    if entity == "bill_lines":  # they are told apart within their bill
        return _once(now, source, found)
    names = IDENTITY.get(entity, ("key",))
    if len(names) == 1:
        key = column(entity, names[0])
        keys = [(row[key], n) for n, _, row in found]
    else:
        columns = [column(entity, name) for name in names]
        keys = [("\x1f".join(str(row[c]) for c in columns), n) for n, _, row in found]
    twice = now.work.twice(entity, keys)
    if not twice:
        return found
    for n, raw, _ in found:
        if n in twice:
            now.reject(source, n, names[0], f"the same {' and '.join(names)} came before, in row {twice[n]}", raw)
    return [f for f in found if f[0] not in twice]


def _plain(now: Run, source: Source) -> None:
    entity, reader = source.entity, Reader(source, now.forms[source.entity])
    for part in now.parts(source):
        found = _read(now, source, reader, part)
        if entity == "consents":
            found = _that_count(now, source, found)
        if now.check:
            now.place.tally(entity).written += len(found)
            continue
        rows = [row for _, _, row in found]
        with now.pace.transaction(), transaction.atomic():
            if entity == "methods":
                fates = ledger.import_methods_many(act=now.act, rows=rows)
            elif entity == "payments":
                doubts: dict[int, str] = {}
                fates = ledger.import_payments_many(act=now.act, rows=rows, doubts=doubts)
                for place, why in doubts.items():
                    now.doubt(source, found[place][0], "returns" if rows[place]["returns"] else "number", why, found[place][1])
                _journal(now.act, [r["account"] for r, fate in zip(rows, fates, strict=True) if fate == "written"], "payments")
            elif entity in AGREED:
                write, what = AGREED[entity]
                fates = write(act=now.act, rows=rows, held_here=now.records.get(entity) == "careline")
                _journal(now.act, [r["account"] for r, fate in zip(rows, fates, strict=True) if fate == "written"], what)
            elif entity == "pins":
                fates = _pins(now, rows)
            elif entity == "lines":
                fates = _lines(now, source, found)
            elif entity == "plans":
                fates = _plans(now, rows)
            else:
                fates = customers.upsert_many(act=now.act, entity=entity, rows=rows, held_here=now.records.get(entity) == "careline")
            _count(now, source, [(n, raw) for n, raw, _ in found], fates)
            _settle(now, entity, part[-1][0])


AGREED = {"agreements": (billing.import_agreements_many, "agreements"), "instalments": (billing.import_instalments_many, "instalment purchases")}


def _consents(rulebook: Rulebook) -> dict[str, tuple[str, ...]]:
    """What a consent may be about in this rulebook, and on which channels."""
    known = {topic: tuple(row["channels"]) for topic, row in (rulebook.care or {}).get("consent", {}).items()}
    if "contact_rules.toml" in rulebook.files:
        known |= {topic: COUNTED for topic, kind in rulebook.outbound.topics.items() if kind != "free" and topic not in known}
    return known


def _that_count(now: Run, source: Source, found: Sequence[Found]) -> list[Found]:
    """Consents that the desk and the contact rules know. In other words they would hold nothing: a STOP that was said to the old
    system would be kept and not kept to."""
    kept = []
    for n, raw, row in found:
        channels = now.consents.get(row["topic"])
        if channels is None and now.consents:
            now.reject(source, n, "topic", f"not one of {', '.join(now.consents)}: say in [consents.values.topic] which of yours is which", raw)
        elif channels is not None and row["channel"] not in channels:
            now.reject(source, n, "channel", f"of {row['topic']} it is one of {', '.join(channels)}: say in [consents.values.channel] which of yours is which", raw)
        else:
            kept.append((n, raw, row))
    return kept


def _pins(now: Run, rows: Sequence[dict[str, Any]]) -> list[str]:
    """A row without a hash says nothing of the PIN that may be here: it is unchanged."""
    held = [{**row, "hash": pins.adopted(row["hash"], settings.PEPPER)} for row in rows if row["hash"]]
    found = customers.upsert_many(act=now.act, entity="pins", rows=held, held_here=now.records.get("pins") == "careline")
    _journal(now.act, [row["account"] for row, fate in zip(held, found, strict=True) if fate == "written"], "PINs")
    fates = iter(found)
    return [next(fates) if row["hash"] else "unchanged" for row in rows]


def _plans(now: Run, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Plans; another price than before is a line of the house, so that a bill that has it can say since when."""
    before = customer_queries.plan_prices([row["source_key"] for row in rows])
    fates = customers.upsert_many(act=now.act, entity="plans", rows=rows, held_here=now.records.get("plans") == "careline")
    dearer = [
        (row["name"], before[row["source_key"]], row["price_minor"]) for row, fate in zip(rows, fates, strict=True)
        if fate == "written" and before.get(row["source_key"], row["price_minor"]) != row["price_minor"]
    ]  # fmt: skip
    journal.record_many([
        journal_rules.Entry(
            journal_rules.HOUSE, now.act, "imports.run", "done", f"Plan {name} costs {shown(price)} a month by import, no longer {shown(was)}",
            {"plan": name, "was": was, "now": price},
        )
        for name, was, price in dearer
    ])  # fmt: skip
    return fates


def _lines(now: Run, source: Source, found: Sequence[Found]) -> list[str]:
    """Lines, of which the ladder, the desk and porting say here whether they are on. Who is right where a file says otherwise is the
    carrier's to say (records.toml, line_status); either way it is told: beside the rejected rows, or in the journal of the account."""
    keys = [row["source_key"] for _, _, row in found]
    if stood := orders.stood(keys):  # nobody bars or restores them meanwhile
        customers.lock_accounts({s.account_id for s in stood.values()})
        stood = orders.stood(keys)
    status = customers.Status({key: s.on for key, s in stood.items()}, now.records.get("line_status", "careline") == "careline")
    fates = customers.upsert_many(act=now.act, entity="lines", rows=[row for _, _, row in found], held_here=now.records.get("lines") == "careline", status=status)
    taken = []
    for n, here in status.differs.items():
        row_number, raw, row = found[n]
        one = stood[row["source_key"]]
        said = f"{one.by} on {one.on}, and the row says {row['status']}{f' since {since}' if (since := row['status_since']) else ''}"
        if fates[n] not in ("written", "unchanged"):
            continue
        if status.ours:
            now.keep(source, row_number, "status", f"stays {here}: {said}; Careline is the system of record of it (records.toml, line_status)", raw)
        else:
            say = f"Line {phone.last_four(row['msisdn'])} is {row['status']} by import, no longer {here}: {said}; the other system is the system of record (records.toml)"
            taken.append(journal_rules.Entry(journal_rules.account_chain(one.account_id), now.act, "imports.run", "done", say, {"line_status": row["status"]}))
    journal.record_many(taken)
    return fates


def _settle(now: Run, entity: str, n: int) -> None:
    """Everything up to this row is settled once the transaction commits. What was noted of it is kept first: what is not settled in
    the end is forgotten when the import goes on."""
    now.place.done[entity] = n
    now.work.link.execute("COMMIT")
    now.keep_place()


def _count(now: Run, source: Source, rows: Sequence[tuple[int, Any]], fates: Sequence[str]) -> None:
    tally = now.place.tally(source.entity)
    for (n, raw), fate in zip(rows, fates, strict=True):
        if fate == "written":
            tally.written += 1
        elif fate == "unchanged":
            tally.unchanged += 1
        else:
            name, _, reason = fate.partition(": ")
            now.reject(source, n, name if reason else "row", reason or fate, raw)


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


def _once(now: Run, lines: Source, found: Sequence[Found]) -> list[Found]:
    """Lines of bills without those whose key came before on their bill."""
    seen: dict[tuple[str, str], int] = {}
    kept = []
    for n, raw, row in found:
        if (first := seen.setdefault((row["bill"], row["source_key"]), n)) == n:
            kept.append((n, raw, row))
        else:
            now.reject(lines, n, "key", f"the same key came before, in row {first}", raw)
    return kept


def _by_bill(now: Run, lines: Source) -> Iterator[tuple[str, int, bytes]]:
    """Every row of the lines' file with the key of its bill, if it can be read that far."""
    bill_of = Reader(lines, now.forms["bill_lines"]).only("bill")
    for taken, (n, raw, why, text) in enumerate(lines.rows(), 1):
        try:
            bill = "" if raw is None else bill_of(n, raw)
        except Fault:
            bill = ""
        yield bill, n, marshal.dumps((raw, why, text))
        if taken % 100_000 == 0 and time.monotonic() - now.shown > 2:
            now.shown = time.monotonic()
            now.say(f"  bill_lines: {taken:,} put aside until their bill comes …")


def _bills(now: Run, bills: Source, lines: Source | None) -> None:
    """Bills with their lines, whatever order the two files are in."""
    reader = Reader(bills, now.forms["bills"])
    if lines is not None:
        line_reader = Reader(lines, now.forms["bill_lines"])
        now.place.tally("bill_lines")
        now.work.put_aside(_by_bill(now, lines))
    for part in now.parts(bills):
        found = _read(now, bills, reader, part)
        theirs: dict[str, list[Found]] = {}
        if lines is not None:
            for one in _read(now, lines, line_reader, now.work.lines_of([row["source_key"] for _, _, row in found])):
                theirs.setdefault(one[2]["bill"], []).append(one)
        if now.check:
            _count_bills(now, bills, lines, found, theirs, ["written"] * len(found))
            continue
        rows = [(row, [line for _, _, line in theirs.get(row["source_key"], ())]) for _, _, row in found]
        with now.pace.transaction(), transaction.atomic():
            doubts: dict[tuple[str, str], str] = {}
            fates = ledger.import_bills_many(act=now.act, rows=rows, doubts=doubts)
            for n, raw, line in (one for some in theirs.values() for one in some) if lines is not None and doubts else ():
                if why := doubts.get((line["bill"], line["source_key"])):
                    now.doubt(lines, n, "credit", why, raw)
            _journal(now.act, [row["account"] for (row, _), fate in zip(rows, fates, strict=True) if fate == "written"], "bills")
            _count_bills(now, bills, lines, found, theirs, fates)
            _settle(now, "bills", part[-1][0])
    if lines is not None and not now.place.done.get("bill_lines"):
        now.work.back_to("bill_lines", -1)
        now.place.done["bill_lines"] = 1
        now.work.during, now.work.until = "bill_lines", 0
        left = now.work.left_over()
        while some := list(islice(left, LARGEST)):
            for n, raw, row in _read(now, lines, line_reader, some):
                now.reject(lines, n, "bill", f"its bill {row['bill']} is not in the files, or was rejected", raw)


def _count_bills(now: Run, bills: Source, lines: Source | None, found: Sequence[Found], theirs: dict[str, list[Found]], fates: Sequence[str]) -> None:
    _count(now, bills, [(n, raw) for n, raw, _ in found], fates)
    if lines is None:
        return
    for (_, _, row), fate in zip(found, fates, strict=True):
        if where := theirs.get(row["source_key"]):
            ok = fate if fate in ("written", "unchanged") else f"bill: its bill {row['source_key']} was rejected"
            _count(now, lines, [(n, raw) for n, raw, _ in where], [ok] * len(where))
