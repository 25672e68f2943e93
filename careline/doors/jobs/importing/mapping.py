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
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from careline.doors.jobs.importing.fields import ENTITIES
from careline.doors.jobs.stop import Stop

FIRST_SERIAL = 2_000_000


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

    def rows(self) -> Iterator[tuple[int, dict[str, str] | None, str]]:
        """Each row as (its number in the file, source values by column or None, why it could not be read)."""
        if self.path.suffix == ".jsonl":
            yield from self._json_lines()
        else:
            yield from self._csv()

    def _csv(self) -> Iterator[tuple[int, dict[str, str] | None, str]]:
        with open(self.path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file)
            header = [h.strip() for h in next(reader, [])]
            n = 1
            while True:
                n += 1
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as fault:
                    yield n, None, f"not readable as CSV: {fault}"
                    continue
                if not any(c.strip() for c in cells):
                    continue
                if len(cells) != len(header):
                    yield n, None, f"{len(cells)} cells where the header has {len(header)}"
                elif any("\udc80" <= ch <= "\udcff" for c in cells for ch in c):
                    yield n, None, "not UTF-8: export it again as UTF-8"
                else:
                    yield n, dict(zip(header, cells, strict=True)), ""

    def _json_lines(self) -> Iterator[tuple[int, dict[str, str] | None, str]]:
        with open(self.path, encoding="utf-8-sig", errors="surrogateescape") as file:
            for n, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    found = json.loads(line)
                    if not isinstance(found, dict):
                        raise ValueError("not an object")
                except ValueError as fault:
                    yield n, None, f"not a JSON object: {fault}"
                    continue
                yield n, {str(k): "" if v is None else str(v) for k, v in found.items()}, ""

    def fields_of(self, n: int, raw: Mapping[str, str]) -> dict[str, str]:
        """Our fields from a source row, as text still."""
        found = dict(self.constants)
        for name, column in self.columns.items():
            value = raw.get(column, "")
            found[name] = self.values.get(name, {}).get(value.strip(), value)
        for name, pattern in self.synthesise.items():
            found[name] = pattern.format_map({**raw, "serial": FIRST_SERIAL + n})
        return found


def load(path: Path, folder: Path | None) -> list[Source]:
    """The sources of a mapping, in the order they must be written. Raises Stop with one sentence for what is wrong."""
    try:
        known = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise Stop(f"The mapping {path} cannot be read: {fault.strerror}.", 2) from None
    except tomllib.TOMLDecodeError as fault:
        raise Stop(f"The mapping {path} is not TOML: {fault}.", 2) from None
    strangers = set(known) - set(ENTITIES)
    if strangers:
        raise Stop(f"The mapping names [{sorted(strangers)[0]}]; it may name {', '.join(ENTITIES)}.", 2)
    sources = []
    for entity in ENTITIES:
        if entity not in known:
            continue
        part = known[entity]
        source = Source(
            entity, (folder or path.parent) / part.get("file", f"{entity}.csv"), part.get("columns", {}), 
            {k: str(v) for k, v in part.get("constants", {}).items()}, part.get("formats", {}), part.get("values", {}), part.get("synthesise", {}),
        )
        _check(source, path)
        sources.append(source)
    if not sources:
        raise Stop(f"The mapping {path} names no entity. Start with [accounts].", 2)
    return sources


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
    if source.path.suffix == ".csv":
        with open(source.path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            header = [h.strip() for h in next(csv.reader(file), [])]
        doubled = next((h for h in header if header.count(h) > 1), None)
        if doubled is not None:
            raise Stop(f"{source.path.name}: two columns are called {doubled}.", 2)
        absent = [c for c in source.columns.values() if c not in header]
        if absent:
            raise Stop(f"{source.path.name} has no column {absent[0]} (it has {', '.join(header)}).", 2)
