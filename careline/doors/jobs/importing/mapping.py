"""The mapping file: which source column is which field of ours.

    [lines]
    file = "subscribers.csv"            # or .jsonl
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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from careline.doors.jobs.importing.fields import ENTITIES
from careline.doors.jobs.stop import Stop

FIRST_SERIAL = 2_000_000
IN_PATTERN = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True)
class Row:
    """One row of a file: its number, its values by column or None and why it could not be read, and its text as it was."""

    n: int
    values: dict[str, str] | None
    why: str
    text: str


@dataclass(frozen=True)
class Source:
    """One entity's file and how to read it."""

    entity: str
    path: Path
    columns: Mapping[str, str]
    constants: Mapping[str, str] = field(default_factory=dict)
    formats: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    synthesise: Mapping[str, str] = field(default_factory=dict)

    def rows(self) -> Iterator[Row]:
        """Every row of the file that is not empty."""
        return self._json_lines() if self.path.suffix == ".jsonl" else self._csv()

    def _csv(self) -> Iterator[Row]:
        with open(self.path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            seen: list[str] = []  # the lines that the reader took for this row
            reader = csv.reader(_noting(file, seen))
            header = [h.strip() for h in next(reader, [])]
            for n in count(2):
                seen.clear()
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error:
                    yield Row(n, None, f"a cell is longer than {csv.field_size_limit():,} characters: look for a quotation mark that is not closed", text_of(seen))
                    continue
                if not any(c.strip() for c in cells):
                    continue
                why = not_text(cells)
                if not why and len(cells) != len(header):
                    why = f"{len(cells)} {'cell' if len(cells) == 1 else 'cells'} where the header has {len(header)}"
                yield Row(n, None if why else dict(zip(header, cells, strict=True)), why, text_of(seen))

    def _json_lines(self) -> Iterator[Row]:
        with open(self.path, encoding="utf-8-sig", errors="surrogateescape") as file:
            for n, line in enumerate(file, 1):
                if not line.strip():
                    continue
                found, why = _json_object(line)
                why = not_text([line]) or why or not_text(found.values())
                yield Row(n, None if why else found, why, text_of([line]))

    def fields_of(self, n: int, raw: Mapping[str, str]) -> dict[str, str]:
        """Our fields from a source row, as text still."""
        found = dict(self.constants)
        for name, column in self.columns.items():
            value = raw.get(column, "")
            found[name] = self.values.get(name, {}).get(value.strip(), value)
        said = {**raw, "serial": str(FIRST_SERIAL + n)}
        for name, pattern in self.synthesise.items():
            found[name] = IN_PATTERN.sub(lambda part: said[part[1]], pattern)
        return found


def not_text(cells: Iterable[str]) -> str:
    """Why these values can be kept by no database, or nothing."""
    for cell in cells:
        if any("\ud800" <= ch <= "\udfff" for ch in cell):
            return "not UTF-8: export it again as UTF-8"
        if "\0" in cell:
            return "not text: there is a NUL character in it"
    return ""


def text_of(lines: Iterable[str]) -> str:
    """The text of a row as it was; bytes that are no UTF-8 as \\xff."""
    return "".join(lines).rstrip("\r\n").encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _noting(file: Iterable[str], seen: list[str]) -> Iterator[str]:
    for line in file:
        seen.append(line)
        yield line


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
        if name not in ("file", *PARTS):
            raise Stop(f"[{entity}] has {name}, which is not known; it may have file, {', '.join(PARTS)}.", 2)
        if name in PARTS and not isinstance(given, dict):
            raise Stop(f"[{entity}] {name} must be a table: start it with [{entity}.{name}].", 2)
        for field_, value in given.items() if name in PARTS else ():
            if isinstance(value, dict) != (name == "values") or isinstance(value, list):
                kind = "a table of their words and ours" if name == "values" else "one word in quotation marks"
                raise Stop(f"[{entity}.{name}]: {field_} must be {kind}.", 2)
    return part


def _words(part: Mapping[str, Any], name: str) -> dict[str, str]:
    return {k: str(v) for k, v in part.get(name, {}).items()}


def _check(source: Source, mapping: Path) -> None:
    fields = ENTITIES[source.entity]
    given = {*source.columns, *source.constants, *source.synthesise}
    unknown = given - set(fields)
    if unknown:
        raise Stop(f"[{source.entity}] maps {sorted(unknown)[0]}; its fields are {', '.join(fields)}.", 2)
    missing = [n for n, f in fields.items() if f.needed and n not in given]
    if missing:
        raise Stop(f"[{source.entity}] in {mapping.name} maps nothing to {missing[0]}, which every row needs.", 2)
    if not source.path.is_file():
        raise Stop(f"[{source.entity}]: there is no file {source.path}.", 2)
    if source.path.suffix != ".jsonl":
        try:
            with open(source.path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
                header = [h.strip() for h in next(csv.reader(file), [])]
        except csv.Error:
            raise Stop(f"{source.path.name} is no CSV file: its first line is too long.", 2) from None
        if not_text(header):
            raise Stop(f"{source.path.name} is not UTF-8 text. Export it again as CSV in UTF-8.", 2)
        if not header:
            raise Stop(f"{source.path.name} is empty: its first line must name the columns.", 2)
        doubled = next((h for h in header if header.count(h) > 1), None)
        if doubled is not None:
            raise Stop(f"{source.path.name}: two columns are called {doubled}.", 2)
        named = [c for pattern in source.synthesise.values() for c in IN_PATTERN.findall(pattern) if c != "serial"]
        absent = [c for c in (*source.columns.values(), *named) if c not in header]
        if absent and len(header) == 1 and (mark := next((m for m in (";", "\t", "|") if m in header[0]), "")):
            named_mark = {";": "semicolons", "\t": "tabs", "|": "bars"}[mark]
            raise Stop(f"{source.path.name} parts its columns by {named_mark}. Export it again with commas.", 2)
        if absent:
            raise Stop(f"{source.path.name} has no column {absent[0]} (it has {', '.join(header)}).", 2)
