"""What a carrier's papers say beside the facts, as a rulebook says it (documents.toml): its colour, how to pay, how to reach it.
Read once, checked whole, frozen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Stationery:
    """`colour`: of rules and headings, as `#rrggbb`. `pay`, `reach`: sentences, each a line of its own; `autopay` stands in
    place of `pay` where money is taken by itself. `contest`: how to ask about a charge (47 CFR 64.2401(d))."""

    colour: str = "#1c4a3c"
    pay: tuple[str, ...] = ()
    autopay: str = ""
    reach: tuple[str, ...] = ()
    contest: str = ""


def read(data: Mapping[str, Any]) -> Stationery:
    """The stationery of a parsed documents.toml. Raises ValueError that names the place and says what is wrong."""
    for name in data:
        if name not in ("colour", "pay", "autopay", "reach", "contest"):
            raise ValueError(f"the file does not know {name}")
    plain = Stationery()
    colour = data.get("colour", plain.colour)
    if not isinstance(colour, str) or not re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
        raise ValueError("colour: write it as #1c4a3c")
    return Stationery(colour, _lines(data, "pay"), _line(data, "autopay"), _lines(data, "reach"), _line(data, "contest"))


def _line(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name, "")
    if not isinstance(value, str) or len(value) > 400:
        raise ValueError(f"{name}: give a sentence of at most 400 characters")
    return value.strip()


def _lines(data: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = data.get(name, [])
    if not isinstance(value, list) or len(value) > 6 or not all(isinstance(v, str) and 0 < len(v) <= 200 for v in value):
        raise ValueError(f"{name}: give at most six sentences of at most 200 characters")
    return tuple(v.strip() for v in value)
