"""An export that goes on after a kill, and is of one moment all the same: that at which it went on.

Rows of a table that is append-only and never emptied stay what they were: a file of them is continued after its last row. Everything else is
written anew, and so is a file whose last row is no longer the row that stood in that place (an earlier one was committed late). How
far each file came stands in a note beside the files until the export is whole.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from django.db.models import QuerySet

from careline.doors.jobs.stop import Stop

EVERY = 5  # seconds between two notes of one file
NAME = ".export-under-way.json"
Rows = QuerySet[Any, tuple[Any, ...]]


@dataclass(frozen=True)
class Place:
    """So far a file is written: its rows, its bytes (None: it is whole, and of a kind that is not continued), and the id of its last row."""

    rows: int
    bytes: int | None
    last: int


class UnderWay:
    """The note of one export into a folder."""

    def __init__(self, folder: Path, asked: Mapping[str, Any]) -> None:
        self._path, self._asked = folder / NAME, dict(asked)
        found = _note(self._path)
        if found is not None and found["asked"] != self._asked:
            raise Stop(f"An export that was asked otherwise did not come to its end in {folder}. Give that command again, or name another folder.", 2)
        self.resumed = found is not None
        self._files: dict[str, dict[str, Any]] = found["files"] if found is not None else {}
        self._noted = time.monotonic()
        self._write()

    def place(self, name: str, rows: Rows, path: Path, part: Path) -> Place | None:
        """Where the file of these rows (in the order of their ids) is gone on with, as `part`; None: it is written from its first row."""
        model, noted = rows.model, self._files.get(name)
        if noted is None or not getattr(model, "append_only", False) or getattr(model, "may_become_null", ()):
            return None
        ids = list(model._base_manager.order_by("pk").values_list("pk", flat=True)[noted["rows"] - 1 : noted["rows"]])
        if not ids or _digest(rows.filter(pk=ids[0]).get()) != noted["last"]:
            return None
        if noted["bytes"] is None:
            return Place(noted["rows"], None, ids[0]) if path.is_file() and not rows.filter(pk__gt=ids[0]).exists() else None
        if not part.is_file():
            if not path.is_file():
                return None
            path.replace(part)
        if part.stat().st_size < noted["bytes"]:  # the machine stopped before it was on the disk
            return None
        os.truncate(part, noted["bytes"])
        return Place(noted["rows"], noted["bytes"], ids[0])

    def due(self) -> bool:
        """Has a file been under way for so long that its place is noted again?"""
        return time.monotonic() - self._noted >= EVERY

    def note(self, name: str, rows: int, size: int | None, last: tuple[Any, ...]) -> None:
        """So far a file came: its rows, its bytes on the disk, and its last row."""
        self._files[name] = {"rows": rows, "bytes": size, "last": _digest(last)}
        self._write()
        self._noted = time.monotonic()

    def over(self) -> None:
        """The export is whole, and the journal says so."""
        self._path.unlink()

    def _write(self) -> None:
        part = self._path.with_name(f"{NAME}.part")
        part.write_text(json.dumps({"asked": self._asked, "files": self._files}))
        part.replace(self._path)


def waits(folder: Path) -> bool:
    """Is there an export in this folder that did not come to its end?"""
    return _note(folder / NAME) is not None


def forget(folder: Path) -> None:
    """Begin anew, whatever an export before this one left."""
    (folder / NAME).unlink(missing_ok=True)


def _note(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text())
        return found if {"asked", "files"} <= set(found) else None
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _digest(row: tuple[Any, ...]) -> str:
    return blake2b("\x1f".join(map(str, row)).encode(), digest_size=16).hexdigest()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else exports into this folder meanwhile. The lock is the system's: it ends with its process, however that ends."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Stop(f"Another export works in {folder}. Wait for it, or name another folder.", 1) from None
        yield
    finally:
        os.close(lock)
