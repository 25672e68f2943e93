"""The mapping file: which source column is which field of ours.

    [lines]
    file = "subscribers.csv"            # or .jsonl or .parquet
    empty = ["", "null"]                # the words that say nothing (without it: these and a few like them)
    [lines.columns]                     # our field = their column
    key = "SUBSCRIBER_ID"
    [lines.constants]                   # our field = one value for all
    status = "active"
    [lines.formats]                     # our field = strptime format of a day or time (ISO without one)
    activated_on = "%m/%d/%Y"
    [lines.values.status]               # their word = ours
    A = "active"
    [lines.synthesise]                  # our field = a pattern over their columns, and {serial}; marks what they lack
    number = "+1555{serial}"
"""

from __future__ import annotations

import csv
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, TextIO

from careline.doors.jobs.importing.fields import EMPTY, ENTITIES, Fault, cells, column, together
from careline.doors.jobs.stop import Stop

FIRST_SERIAL = 2_000_000
IN_PATTERN = re.compile(r"\{([^{}]+)\}")
LONGEST = 1_000_000  # characters of a line; what is longer is no row of an export, and is never held whole
SUFFIXES = (".csv", ".jsonl", ".parquet")
# How files begin that are not what their name says, and what to do about it.
PACKED = {b"PK\x03\x04": "a ZIP archive (or a spreadsheet). Unpack it, or save it as CSV in UTF-8", b"\x1f\x8b": "packed by gzip. Unpack it first",
          b"BZh": "packed by bzip2. Unpack it first", b"\xfd7zXZ": "packed by xz. Unpack it first", b"(\xb5/\xfd": "packed by zstd. Unpack it first",
          b"\xd0\xcf\x11\xe0": "an old spreadsheet. Save it as CSV in UTF-8"}  # fmt: skip
LARGEST_GROUP = 1 << 30  # bytes of a Parquet row group when unpacked

# A row of a file: its number; its cells (CSV, Parquet) or its values by name (JSON Lines), or None; why it could not be read; its text then.
Row = tuple[int, "list[str] | dict[str, str] | None", str, str]


@dataclass(frozen=True)
class Source:
    """One entity's file and how to read it. `empty`: the words that say nothing, in lower case; `guarded`: texts that a spreadsheet
    would take for a formula have an apostrophe in front, as our own export writes them."""

    entity: str
    path: Path
    columns: Mapping[str, str]
    constants: Mapping[str, str] = field(default_factory=dict)
    formats: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    synthesise: Mapping[str, str] = field(default_factory=dict)
    empty: tuple[str, ...] = tuple(sorted(EMPTY))
    guarded: bool = False

    def rows(self) -> Iterator[Row]:
        """Every row of the file that is not empty."""
        return {".jsonl": self._json_lines, ".parquet": self._parquet}.get(self.kind, self._csv)()

    @property
    def kind(self) -> str:
        """What the end of its name says it is; old systems write it in capitals."""
        return self.path.suffix.lower()

    @cached_property
    def names(self) -> list[str]:
        """The names of the file's columns, as a row's cells stand in their order; none of JSON Lines, whose rows name their own."""
        if self.kind == ".jsonl":
            return []
        if self.kind == ".parquet":
            return list(parquet(self.path).schema_arrow.names)
        with open(self.path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            lines = Lines(file)
            found = [h.strip() for h in next(csv.reader(lines), [])]
            if len(lines.seen) == 1 and lines.why.startswith("longer"):
                raise csv.Error
            return found

    def _csv(self) -> Iterator[Row]:
        with open(self.path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            lines = Lines(file)
            reader = csv.reader(lines)
            width = len(next(reader, []))
            for n in count(2):
                lines.begin()
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error:
                    yield n, None, lines.why or f"a cell is longer than {csv.field_size_limit():,} characters: look for a quotation mark that is not closed", text_of(lines.seen)
                    continue
                if lines.why:
                    yield n, None, lines.why, text_of(lines.seen)
                elif len(cells) == width and any(map(str.strip, cells)):
                    yield n, cells, "", ""
                elif any(map(str.strip, cells)):
                    yield n, None, f"{len(cells)} {'cell' if len(cells) == 1 else 'cells'} where the header has {width}", text_of(lines.seen)

    def _json_lines(self) -> Iterator[Row]:
        with open(self.path, encoding="utf-8-sig", errors="surrogateescape") as file:
            lines = Lines(file)
            for n in count(1):
                lines.begin()
                line = next(lines, None)
                if line is None:
                    return
                if not line.strip() and not lines.why:
                    continue
                found, why = ({}, "") if lines.why else _json_object(line)
                why = lines.why or why or not_text(found.values())
                yield n, None if why else found, why, text_of(lines.seen) if why else ""

    def _parquet(self) -> Iterator[Row]:
        n = 1
        for batch in parquet(self.path).iter_batches(batch_size=2000):
            for found in zip(*([_word(v) for v in values.to_pylist()] for values in batch.columns), strict=True):
                n += 1
                why = not_text(found)
                yield n, None if why else list(found), why, text_of([",".join(found)]) if why else ""

    def named(self, raw: list[str] | dict[str, str]) -> dict[str, str]:
        """A row's values by the names of its columns."""
        return raw if isinstance(raw, dict) else dict(zip(self.names, raw, strict=True))


class Lines:
    """The lines of a file, none longer than LONGEST: what of a line is more is passed over in pieces. `seen`: those taken since
    `begin`; `why`: what keeps one of these from being read as text."""

    def __init__(self, file: TextIO) -> None:
        self._read = file.readline
        self.begin()

    def begin(self) -> None:
        self.seen: list[str] = []
        self.why = ""

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self._read(LONGEST)
        if not line:
            raise StopIteration
        if len(line) == LONGEST and not line.endswith(("\n", "\r")):
            self.why = f"longer than {LONGEST:,} characters: no row of an export is"
            self.seen.append(line[:KEPT])
            while (more := self._read(LONGEST)) and not more.endswith(("\n", "\r")):
                pass
            return "\n"
        if not line.isascii() or "\0" in line:
            self.why = self.why or not_text([line])
        self.seen.append(line)
        return line


KEPT = 2000  # characters of a line that is far too long


def not_text(cells: Iterable[str]) -> str:
    """Why these values can be kept by no database, or nothing."""
    for cell in cells:
        if not cell.isascii() and SURROGATE.search(cell):
            return "not UTF-8: export it again as UTF-8"
        if "\0" in cell:
            return "not text: there is a NUL character in it"
    return ""


SURROGATE = re.compile("[\ud800-\udfff]")


def text_of(lines: Iterable[str]) -> str:
    """The text of a row as it was; bytes that are no UTF-8 as \\xff."""
    return "".join(lines).rstrip("\r\n").encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _json_object(line: str) -> tuple[dict[str, str], str]:
    """The values of a line by name, or why there are none."""
    try:
        found = json.loads(line)
    except json.JSONDecodeError as fault:
        end = fault.pos >= len(line.rstrip())
        return {}, f"not a JSON object: {'it ends too early' if end else f'it cannot be read from character {fault.pos + 1} on'}"
    except (ValueError, RecursionError):
        return {}, "not a JSON object that can be read: too deep, or a number that is too long"
    if not isinstance(found, dict):
        return {}, "not a JSON object: each line must be one, in {} with names"
    return {k: "" if v is None else v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for k, v in found.items()}, ""


def _word(value: Any) -> str:
    """A value of a Parquet file as a text file would say it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, date):  # a moment too
        return value.isoformat()
    return value if isinstance(value, str) else str(value)


def parquet(path: Path) -> Any:
    """A Parquet file, opened. Raises Stop in one sentence when it is none, or would take too much memory."""
    arrow = pyarrow()
    try:
        file = arrow.parquet.ParquetFile(path)
        groups = [file.metadata.row_group(n) for n in range(file.metadata.num_row_groups)]
    except (arrow.ArrowException, OSError) as fault:
        raise Stop(f"{path.name} is no Parquet file that can be read ({type(fault).__name__}). Export it again.", 2) from None
    if any(group.total_byte_size > LARGEST_GROUP for group in groups):
        raise Stop(f"{path.name} has a row group of more than {LARGEST_GROUP >> 30} GB unpacked. Write it with smaller row groups.", 2)
    return file


def pyarrow() -> Any:
    """The library behind Parquet. Raises Stop where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise Stop("Parquet needs pyarrow, which is not installed here. Run: make setup-parquet", 2) from None
    return pyarrow


class Reader:
    """Reads the rows of one source: which cell is which field, worked out once."""

    def __init__(self, source: Source, forms: Mapping[str, str]) -> None:
        self._source, self._entity = source, source.entity
        known = cells(source.entity, forms, source.values, source.empty, source.guarded)
        header = {name: place for place, name in enumerate(source.names)}
        self._taken = [(column(source.entity, f), known[f], header.get(c, 0), c) for f, c in source.columns.items() if f not in source.synthesise]
        order = list(known)
        self._taken.sort(key=lambda t: order.index(next(f for f in order if column(source.entity, f) == t[0])))
        self._rest = {column(source.entity, f): (cell, source.constants.get(f, "")) for f, cell in known.items()
                      if f not in source.columns and f not in source.synthesise and (f in source.constants or not ENTITIES[source.entity][f].kept)}
        self._made = {column(source.entity, f): (known[f], pattern) for f, pattern in source.synthesise.items()}
        self._same: dict[str, Any] | None = None

    def __call__(self, n: int, raw: list[str] | dict[str, str]) -> dict[str, Any]:
        """A row as our tables call its columns. Raises Fault for the first field that cannot be read."""
        if self._same is None:
            self._same = {name: cell[given] for name, (cell, given) in self._rest.items()}
        row = self._same.copy()
        if isinstance(raw, dict):
            for name, cell, _, theirs in self._taken:
                row[name] = cell[raw.get(theirs, "")]
        else:
            for name, cell, place, _ in self._taken:
                row[name] = cell[raw[place]]
        if self._made:
            said = {**self._source.named(raw), "serial": str(FIRST_SERIAL + n)}
            for name, (cell, pattern) in self._made.items():
                try:
                    row[name] = cell[IN_PATTERN.sub(lambda part: said[part[1]], pattern)]
                except KeyError as fault:
                    raise Fault("row", f"a pattern names the column {fault.args[0]}, which this row lacks") from None
        if self._entity in RULED:
            together(self._entity, row)
        return row

    def only(self, name: str) -> Callable[[int, list[str] | dict[str, str]], Any]:
        """A reader of one field."""
        for mine, cell, place, theirs in self._taken:
            if mine == name:
                return lambda n, raw: cell[raw.get(theirs, "") if isinstance(raw, dict) else raw[place]]
        return lambda n, raw: self(n, raw)[name]


RULED = {"methods", "accounts", "plans", "allowances", "lines", "agreements", "instalments", "bills", "bill_lines", "payments"}


def load(path: Path, folder: Path | None) -> list[Source]:
    """The sources of a mapping, in the order they must be written. Raises Stop with one sentence for what is wrong."""
    try:
        known = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as fault:
        raise Stop(f"The mapping {path} cannot be read: {fault.strerror}.", 2) from None
    except UnicodeDecodeError:
        raise Stop(f"The mapping {path} is not UTF-8 text. Save it as UTF-8.", 2) from None
    except tomllib.TOMLDecodeError as fault:
        raise Stop(f"The mapping {path} is not TOML: {fault}.", 2) from None
    strangers = set(known) - set(ENTITIES)
    if strangers:
        raise Stop(f"The mapping names [{sorted(strangers)[0]}]; it may name {', '.join(ENTITIES)}.", 2)
    sources = []
    for entity in ENTITIES:
        if entity not in known:
            continue
        part = _part(known, entity)
        source = Source(
            entity, (folder or path.parent) / part.get("file", f"{entity}.csv"), _words(part, "columns"), _words(part, "constants"), _words(part, "formats"),
            {k: {theirs: str(ours) for theirs, ours in v.items()} for k, v in part.get("values", {}).items()}, _words(part, "synthesise"),
            tuple(str(word).lower() for word in part.get("empty", sorted(EMPTY))), part.get("guarded", False),
        )  # fmt: skip
        _check(source, path)
        sources.append(source)
    if not sources:
        raise Stop(f"The mapping {path} names no entity. Start with [accounts].", 2)
    return sources


PARTS = ("columns", "constants", "formats", "values", "synthesise")


def _part(known: Mapping[str, Any], entity: str) -> dict[str, Any]:
    """What the mapping says of one entity: a file, and tables of words. Raises Stop for anything else."""
    part = known[entity]
    if not isinstance(part, dict):
        raise Stop(f"{entity} in the mapping must be a table: start it with [{entity}].", 2)
    for name, given in part.items():
        if name == "file" and not isinstance(given, str):
            raise Stop(f"[{entity}]: file must be the name of a file in quotation marks.", 2)
        if name == "empty" and not isinstance(given, list):
            raise Stop(f'[{entity}]: empty must be a list of words, such as empty = ["", "null"].', 2)
        if name == "guarded" and not isinstance(given, bool):
            raise Stop(f"[{entity}]: guarded must be true or false.", 2)
        if name not in ("file", "empty", "guarded", *PARTS):
            raise Stop(f"[{entity}] has {name}, which is not known; it may have file, empty, guarded, {', '.join(PARTS)}.", 2)
        if name in PARTS and not isinstance(given, dict):
            raise Stop(f"[{entity}] {name} must be a table: start it with [{entity}.{name}].", 2)
        for field_, value in given.items() if name in PARTS else ():
            if isinstance(value, dict) != (name == "values") or isinstance(value, list):
                kind = "a table of their words and ours" if name == "values" else "one word in quotation marks"
                raise Stop(f"[{entity}.{name}]: {field_} must be {kind}.", 2)
    return part


def _words(part: Mapping[str, Any], name: str) -> dict[str, str]:
    return {k: str(v) for k, v in part.get(name, {}).items()}


def _check_words(source: Source) -> None:
    """What the mapping says of single fields: a word that would be passed over, or that no row could be read with, is a mistake in it."""
    entity, fields = source.entity, ENTITIES[source.entity]
    for part, named in (("formats", source.formats), ("values", source.values)):
        if idle := set(named) - {*source.columns, *source.constants, *source.synthesise}:
            raise Stop(f"[{entity}.{part}] speaks of {sorted(idle)[0]}, which the mapping takes from nowhere.", 2)
    for name, form in source.formats.items():
        if fields[name].kind not in ("day", "moment"):
            raise Stop(f"[{entity}.formats]: {name} is neither a day nor a time, so it has no format.", 2)
        try:
            _ = form == "months_ago" or datetime.strptime(datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC).strftime(form), form)  # noqa: DTZ007
        except ValueError:
            raise Stop(f"[{entity}.formats]: {name} cannot be read as {form}. A day such as 01/31/2026 is %m/%d/%Y; %H:%M:%S is a time.", 2) from None
    for name in source.constants:
        if name in source.columns or name in source.synthesise:
            raise Stop(f"[{entity}]: {name} comes from a column or a pattern and from a constant too. Leave one of them out.", 2)
    known = cells(entity, source.formats, source.values, source.empty, source.guarded)
    for name, value in source.constants.items():
        if source.formats.get(name) != "months_ago":
            try:
                known[name].read(value)
            except Fault as fault:
                raise Stop(f"[{entity}.constants]: {name} cannot be {value or 'empty'}: {fault.reason}.", 2) from None


def _check(source: Source, mapping: Path) -> None:
    fields = ENTITIES[source.entity]
    given = {*source.columns, *source.constants, *source.synthesise}
    unknown = given - set(fields)
    if unknown:
        raise Stop(f"[{source.entity}] maps {sorted(unknown)[0]}; its fields are {', '.join(fields)}.", 2)
    _check_words(source)
    missing = [n for n, f in fields.items() if f.needed and n not in given]
    if missing:
        raise Stop(f"[{source.entity}] in {mapping.name} maps nothing to {missing[0]}, which every row needs.", 2)
    if not source.path.is_file():
        raise Stop(f"[{source.entity}]: there is no file {source.path}.", 2)
    with open(source.path, "rb") as file:
        begins = file.read(8)
    for mark, what in PACKED.items():
        if begins.startswith(mark):
            raise Stop(f"{source.path.name} is {what}.", 2)
    if source.kind not in SUFFIXES:
        raise Stop(f"{source.path.name}: a file is .csv, .jsonl or .parquet.", 2)
    if source.kind == ".jsonl" and begins.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Stop(f"{source.path.name} is not UTF-8 text. Export it again in UTF-8.", 2)
    if source.kind != ".jsonl":
        try:
            header = source.names
        except csv.Error:
            raise Stop(f"{source.path.name} is no CSV file: its first line is too long.", 2) from None
        if not_text(header):
            raise Stop(f"{source.path.name} is not UTF-8 text. Export it again as CSV in UTF-8.", 2)
        if not header:
            raise Stop(f"{source.path.name} is empty: its first line must name the columns.", 2)
        doubled = next((h for h in header if h and header.count(h) > 1), None)
        if doubled is not None:
            raise Stop(f"{source.path.name}: two columns are called {doubled}.", 2)
        named = [c for pattern in source.synthesise.values() for c in IN_PATTERN.findall(pattern) if c != "serial"]
        absent = [c for c in (*source.columns.values(), *named) if c not in header]
        if absent and len(header) == 1 and (mark := next((m for m in (";", "\t", "|") if m in header[0]), "")):
            named_mark = {";": "semicolons", "\t": "tabs", "|": "bars"}[mark]
            raise Stop(f"{source.path.name} parts its columns by {named_mark}. Export it again with commas.", 2)
        if absent:
            raise Stop(f"{source.path.name} has no column {absent[0]} (it has {', '.join(header)}).", 2)
