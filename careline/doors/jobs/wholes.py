"""`careline export --all` and `careline import --all`: a whole house from one database into an empty one of either kind.

A folder of JSON Lines, one file a table, rows in the order of their ids, and `house.json` that names each file with its rows and digest,
the migrations it stands on, and which journal key it was written with. Ids stay what they are, so the journal is the same text on both
ends and proves itself there with the same key and the same anchors. It holds every customer and no secret.

An export that was killed goes on where it stopped, as of the moment at which it does (`exporting.underway`). An import that was killed too: rows come in their order, a part a transaction, and what is there is counted. The
guards of the append-only tables are put in last; before that no desk opens on it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models import BinaryField

from careline.domain.journal import operations as journal
from careline.domain.journal import queries as journal_queries
from careline.domain.journal import rules as journal_rules
from careline.doors.jobs import guards, houses, journals, setup
from careline.doors.jobs.exporting import run as exporting
from careline.doors.jobs.exporting.files import settled
from careline.doors.jobs.exporting.underway import UnderWay, alone, waits
from careline.doors.jobs.importing.run import IMPORTER
from careline.doors.jobs.stop import Stop
from careline.foundation.act import NO_BASIS, Act
from careline.prepared import copy_rows

NOTE, ANCHORS = "house.json", "anchors.txt"
MANY = 5000  # rows in a transaction
MANY_OUT = 2000  # rows that are read and written at once
# Tables of others that hold something of ours. What `migrate` makes by itself, and sessions, stay where they are.
THEIRS = {"account", "mfa", "socialaccount"}
Say = Callable[[str], None]


def tables() -> list[Any]:
    """The models whose rows go along, each after those that it refers to."""
    taken = [
        m for m in apps.get_models(include_auto_created=True)
        if (m.__module__.startswith("careline.") or m._meta.app_label in THEIRS) and not any(r._meta.app_label in ("auth", "contenttypes") for r in _refers(m))
    ]  # fmt: skip
    order: list[Any] = []

    def put(model: Any, below: tuple[Any, ...] = ()) -> None:
        if model in order or model not in taken:
            return
        assert model not in below, f"{model._meta.label} refers to itself through others"
        for other in _refers(model):
            if other is not model:
                put(other, (*below, model))
        order.append(model)

    for model in taken:
        put(model)
    return order


def _refers(model: Any) -> list[Any]:
    return [f.related_model for f in model._meta.concrete_fields if f.remote_field]


def _migrations() -> list[str]:
    return sorted(f"{app}.{name}" for app, name in MigrationExecutor(connection).loader.applied_migrations)


def _key_mark() -> str:
    """Tells the journal's key from every other without telling it."""
    return hmac.new(settings.JOURNAL_KEY, b"careline export --all", hashlib.sha256).hexdigest()[:16]


# ---------------------------------------------------------------- out


def export_all(folder: Path, *, at: datetime, say: Say) -> dict[str, int]:
    """Write the whole house to an empty folder; rows by table. The note is written last: a folder without it is no export."""
    act = exporting.start(at)
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        if any(folder.iterdir()) and not waits(folder):
            raise Stop(f"{folder} is not empty. Name a new folder for a whole house.", 2)
        way = UnderWay(folder, {"all": True, "key": _key_mark(), "migrations": _migrations()})
        exporting.line(act, f"Export of the whole house {'resumed' if way.resumed else 'started'}", {})
        if journals.anchor_file().is_file():  # before the moment: every anchor of it is in the database that goes
            shutil.copyfile(journals.anchor_file(), folder / ANCHORS)
        files: dict[str, dict[str, Any]] = {}
        with journals.snapshot():
            for model in tables():
                files[model._meta.label] = _write(folder, model, way, say)
            note = {"at": journal_rules.moment(at), "from": connection.vendor, "migrations": _migrations(), "key": _key_mark(), "tables": files}
        part = folder / f".part-{NOTE}"
        part.write_text(json.dumps(note, indent=1) + "\n")
        part.replace(folder / NOTE)
        rows = {label: int(f["rows"]) for label, f in files.items()}
        exporting.line(act, "Export of the whole house done", {"rows": sum(rows.values())})
        way.over()
    return rows


def _write(folder: Path, model: Any, way: UnderWay, say: Say) -> dict[str, Any]:
    fields, label = model._meta.concrete_fields, model._meta.label
    digest, rows, shown = hashlib.sha256(), 0, time.monotonic()
    path = folder / f"{model._meta.db_table}.jsonl"
    part_path = path.with_name(f".part-{path.name}")
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain).encode
    asked = model._base_manager.order_by("pk").values_list(*(f.attname for f in fields))
    if before := way.place(label, asked, path, part_path):
        rows, asked = before.rows, asked.filter(pk__gt=before.last)
        with open(part_path, "rb") as there:
            while some := there.read(1 << 20):
                digest.update(some)
    last = None
    with open(part_path, "ab" if before else "wb") as file:
        found = asked.iterator(chunk_size=MANY_OUT)
        while part := list(islice(found, MANY_OUT)):
            text = "".join(f"{encode(row)}\n" for row in part).encode()
            file.write(text)
            digest.update(text)
            rows, last = rows + len(part), part[-1]
            if way.due():
                way.note(label, rows, settled(file), last)
            if time.monotonic() - shown > 2:
                shown = time.monotonic()
                say(f"  {label}: {rows:,} …")
        size = settled(file)
    part_path.replace(path)
    if last is not None:
        way.note(label, rows, size, last)
    return {"file": path.name, "rows": rows, "sha256": digest.hexdigest(), "columns": [f.attname for f in fields]}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(bytes(value)).decode()
    if isinstance(value, Decimal | uuid.UUID):
        return str(value)
    raise TypeError(type(value).__name__)


# ---------------------------------------------------------------- in


def import_all(folder: Path, *, at: datetime, say: Say) -> dict[str, int]:
    """Read a whole house into an empty database; rows by table. Raises Stop before anything is written when it cannot be right."""
    note = _note(folder)
    if note["key"] != _key_mark():
        raise Stop(f"{folder} was written with another journal key. Put the secrets of that house into {Path(settings.HOME) / 'secrets'} first.", 2)
    with houses.alone():
        _empty_house()
        call_command("migrate", verbosity=0, interactive=False)
        if note["migrations"] != _migrations():
            raise Stop(f"{folder} was exported by another version of Careline. Export and import with the same one, then update.", 2)
        guards.remove()
        for model in tables():
            _take(folder, model, note["tables"][model._meta.label], say)
        with connection.cursor() as cursor:
            for sql in connection.ops.sequence_reset_sql(no_style(), tables()):
                cursor.execute(sql)
            if connection.vendor == "postgresql":
                cursor.execute("ANALYZE")
        fault = next(journal_queries.verify(anchors=_anchors(folder)), None)
        if fault is not None:
            raise Stop(f"The journal of {folder} does not prove itself: {fault.chain} line {fault.seq}, {fault.say}. The house stays closed.", 1)
        if (folder / ANCHORS).is_file() and not journals.anchor_file().exists():
            shutil.copyfile(folder / ANCHORS, journals.anchor_file())
        guards.install()
        setup.migrate()
    rows = {label: int(f["rows"]) for label, f in note["tables"].items()}
    act = Act(IMPORTER, at, "", uuid.uuid4().hex, NO_BASIS)
    with transaction.atomic():
        said = {"rows": sum(rows.values()), "from": note["from"], "exported": note["at"]}
        journal.record(journal_rules.Entry(journal_rules.HOUSE, act, "imports.run", "done", "The whole house was imported", said))
    return rows


def _note(folder: Path) -> dict[str, Any]:
    try:
        note = json.loads((folder / NOTE).read_text())
        assert {"key", "migrations", "tables"} <= set(note)
    except FileNotFoundError:
        raise Stop(f"{folder} is no export of a whole house: it has no {NOTE}. A killed export has none either.", 2) from None
    except (ValueError, AssertionError):
        raise Stop(f"{folder / NOTE} cannot be read. Export the house again.", 2) from None
    return dict(note)


def _anchors(folder: Path) -> list[str]:
    path = folder / ANCHORS
    return journals.read_anchors(path)[0] if path.is_file() else []


def _empty_house() -> None:
    """Raises Stop unless this database has no table yet, or what an import like this left when it was killed."""
    there = set(connection.introspection.table_names())
    if "journal_line" in there and journal_queries.begun() and len(guards.missing()) < len(guards.wanted()):
        raise Stop("This database is a house already. A whole house goes into an empty database (on SQLite: a new CARELINE_HOME with the old secrets).", 2)


def _take(folder: Path, model: Any, said: dict[str, Any], say: Say) -> None:
    """The rows of a table that are not there yet, in their order; then the file's digest must be the one that was written down."""
    fields = model._meta.concrete_fields
    if said["columns"] != [f.attname for f in fields]:
        raise Stop(f"{said['file']} has other columns than this version of Careline.", 2)
    there, shown = model._base_manager.count(), time.monotonic()
    raw = [n for n, f in enumerate(fields) if isinstance(f, BinaryField)]
    digest, rows = hashlib.sha256(), 0
    for part in _parts(folder / said["file"], digest):
        fresh = part[max(there - rows, 0) :]
        rows += len(part)
        if fresh:
            try:
                ready = [json.loads(text) for text in fresh]
            except ValueError:
                raise Stop(f"{said['file']} cannot be read: it was cut off or changed. The house stays closed; begin again with an empty database.", 1) from None
            for n in raw:
                for row in ready:
                    row[n] = None if row[n] is None else base64.b64decode(row[n])
            with transaction.atomic():
                copy_rows(model, ready)
        if time.monotonic() - shown > 2:
            shown = time.monotonic()
            say(f"  {model._meta.label}: {rows:,} of {said['rows']:,} …")
    if rows != said["rows"] or digest.hexdigest() != said["sha256"]:
        raise Stop(f"{said['file']} is not what was exported: it was cut off or changed. The house stays closed; begin again with an empty database.", 1)


def _parts(path: Path, digest: Any) -> Iterator[Sequence[bytes]]:
    try:
        with open(path, "rb") as file:
            while part := list(islice(file, MANY)):
                digest.update(b"".join(part))
                yield part
    except FileNotFoundError:
        raise Stop(f"{path} is missing. Copy the whole folder.", 2) from None
