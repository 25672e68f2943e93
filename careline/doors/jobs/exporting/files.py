"""The files of an export: CSV, JSON Lines or Parquet, written row by row and complete or not there at all.

A spreadsheet takes a cell that begins with = + - @ for a formula and runs it. In CSV such a text gets an apostrophe in front (and one
that has an apostrophe there already gets another); the mapping that is written beside says so, and an import takes it off again. Amounts
and phone numbers stay as they are: a number runs nothing.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Protocol

from careline.doors.jobs.importing.fields import ENTITIES, guarded
from careline.doors.jobs.importing.mapping import pyarrow

FORMATS = ("csv", "jsonl", "parquet")
TEXTS = {"text", "key"}  # kinds whose cells say what somebody typed
MANY = 10_000  # rows in one batch of a Parquet file


class Sheet(Protocol):
    """A file under way: rows of text, whole minor units for money, or None."""

    def write(self, rows: Sequence[Sequence[Any]]) -> None: ...

    def size(self) -> int | None:
        """The bytes that are safe on the disk by now; None of a format that cannot be continued."""

    def close(self) -> None: ...


def sheet(path: Path, entity: str, fields: Sequence[str], further: bool = False) -> Sheet:
    """A file of its suffix's format; `further`: rows are added to what is there. Raises Stop for Parquet where pyarrow is not installed."""
    kinds = [ENTITIES[entity][name].kind for name in fields]
    if path.suffix == ".parquet":
        return Parquet(path, fields, kinds)
    return (Csv if path.suffix == ".csv" else JsonLines)(path, fields, kinds, further)


def settled(file: IO[Any]) -> int:
    """The bytes of a file that are on the disk, once all that was written to it is."""
    file.flush()
    os.fsync(file.fileno())
    return os.fstat(file.fileno()).st_size


def _finishers(kinds: Sequence[str]) -> list[tuple[int, Mapping[Any, str]]]:
    """Which columns need a last touch, each with what it makes of a value."""
    return [(n, made()) for n, kind in enumerate(kinds) if (made := {"money": _Money, "moment": _Moments}.get(kind))]


class _Money(dict[int, str]):
    """Whole minor units as they stand in a file."""

    def __missing__(self, minor: int) -> str:
        if len(self) > 50_000:
            self.clear()
        whole, part = divmod(abs(minor), 100)
        self[minor] = found = f"{'-' if minor < 0 else ''}{whole}.{part:02}"
        return found


class _Moments(dict[str, str]):
    """A moment as a database says it, in ISO 8601 and UTC."""

    def __missing__(self, text: str) -> str:
        if len(self) > 50_000:
            self.clear()
        self[text] = found = text.replace(" ", "T").removesuffix("+00") + "Z"
        return found


def finished(rows: Iterable[Sequence[Any]], touch: Sequence[tuple[int, Mapping[Any, str]]]) -> list[list[Any]]:
    ready = [list(row) for row in rows]
    for place, made in touch:
        for row in ready:
            if row[place] is not None:
                row[place] = made[row[place]]
    return ready


class Csv:
    def __init__(self, path: Path, fields: Sequence[str], kinds: Sequence[str], further: bool = False) -> None:
        self._touch, self._texts = _finishers(kinds), [n for n, kind in enumerate(kinds) if kind in TEXTS]
        self._file = open(path, "a" if further else "w", encoding="utf-8", newline="")  # noqa: SIM115
        self._out = csv.writer(self._file)
        if not further:
            self._out.writerow(fields)

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        ready = finished(rows, self._touch)
        for place in self._texts:
            for row in ready:
                if row[place]:
                    row[place] = guarded(row[place])
        self._out.writerows(ready)

    def size(self) -> int:
        return settled(self._file)

    def close(self) -> None:
        self._file.close()


class JsonLines:
    def __init__(self, path: Path, fields: Sequence[str], kinds: Sequence[str], further: bool = False) -> None:
        self._touch, self._fields = _finishers(kinds), fields
        self._file = open(path, "a" if further else "w", encoding="utf-8")  # noqa: SIM115

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        say, fields = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode, self._fields
        self._file.writelines(f"{say(dict(zip(fields, row, strict=True)))}\n" for row in finished(rows, self._touch))

    def size(self) -> int:
        return settled(self._file)

    def close(self) -> None:
        self._file.close()


class Parquet:
    """Columns have types: days, moments, booleans, whole numbers, money as decimal(18, 2); all else is text."""

    def __init__(self, path: Path, fields: Sequence[str], kinds: Sequence[str]) -> None:
        arrow = pyarrow()
        known = {
            "money": (arrow.decimal128(18, 2), lambda minor: Decimal(minor).scaleb(-2)), "decimal": (arrow.decimal128(16, 4), lambda v: Decimal(v).quantize(Decimal("0.0001"))),
            "day": (arrow.date32(), date.fromisoformat), "moment": (arrow.timestamp("us", tz="UTC"), lambda v: datetime.fromisoformat(_Moments()[v])),
            "whole": (arrow.int64(), int), "boolean": (arrow.bool_(), lambda v: v == "yes"),
        }  # fmt: skip
        self._kinds = [known.get(kind, (arrow.string(), str)) for kind in kinds]
        self._schema = arrow.schema(list(zip(fields, (k for k, _ in self._kinds), strict=True)))
        self._arrow, self._held = arrow, []  # type: ignore[var-annotated]
        self._out = arrow.parquet.ParquetWriter(path, self._schema, compression="zstd")

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        self._held += rows
        if len(self._held) >= MANY:
            self._flush()

    def size(self) -> None:
        return None

    def _flush(self) -> None:
        columns = []
        for (kind, read), values in zip(self._kinds, zip(*self._held, strict=True), strict=True):
            known = {v: None if v is None else read(v) for v in set(values)}
            columns.append(self._arrow.array([known[v] for v in values], kind))
        self._out.write_batch(self._arrow.record_batch(columns, self._schema))
        self._held = []

    def close(self) -> None:
        if self._held:
            self._flush()
        self._out.close()
