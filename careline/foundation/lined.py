"""A file of the rulebook that is read value by value, so that each fault names its line and says what to write instead."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any


class Lined:
    """The text of a TOML file, its parsed `data`, and where in the text things stand. Raises ValueError when it cannot be parsed."""

    def __init__(self, text: str) -> None:
        try:
            self.data: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as fault:
            raise ValueError(str(fault)) from fault
        self.lines = text.splitlines()

    def fault(self, table: str, nth: int, name: str, say: str) -> ValueError:
        """`table` as in the file's heading; `nth` of several of the same name, from 1."""
        seen = at = 0
        for number, line in enumerate(self.lines, 1):
            bare = line.strip()
            if bare.startswith("["):
                if at:
                    break
                if bare.split("#")[0].strip().strip("[]") == table:
                    seen += 1
                    at = number if seen == nth else 0
            elif at and name and re.match(rf"{re.escape(name)}\s*=", bare):
                at = number
                break
        place = f"line {at}" if at else "the file"
        return ValueError(f"{place}, [{table}]{f' {name}' if name else ''}: {say}")

    def table(self, data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        found = data.get(name)
        if not isinstance(found, Mapping):
            raise ValueError(f"the file: [{name}] is missing")
        return found

    def only(self, row: Mapping[str, Any], table: str, n: int, known: set[str]) -> None:
        for name in row:
            if name not in known:
                raise self.fault(table, n, name, f"there is no such value here ({', '.join(sorted(known))})")

    def text(self, row: Mapping[str, Any], table: str, n: int, name: str, most: int = 120) -> str:
        found = row.get(name)
        if not isinstance(found, str) or not found.strip() or len(found) > most:
            raise self.fault(table, n, name, f"a text of at most {most} characters")
        return found

    def texts(self, row: Mapping[str, Any], table: str, n: int, name: str) -> tuple[str, ...]:
        found = row.get(name)
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise self.fault(table, n, name, "a list of texts")
        return tuple(found)

    def whole(self, row: Mapping[str, Any], table: str, n: int, name: str, least: int = 0, most: int = 10**8) -> int:
        found = row.get(name)
        if type(found) is not int or not least <= found <= most:
            raise self.fault(table, n, name, f"a whole number from {least} to {most}")
        return found
