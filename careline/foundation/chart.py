"""The carrier's chart of accounts as a rulebook says it (books.toml): where each kind of posting goes in its general ledger.
Read once, checked whole, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

# What is booked against the receivable, by the table of the file that names its account.
PLACES: Final = ("receivable", "cash", "elsewhere", "write_off", "recovery", "tax", "credit")
REVENUE: Final = ("plan", "usage", "fee", "equipment", "discount", "one_off", "other")


@dataclass(frozen=True, slots=True)
class GlAccount:
    """One account of the general ledger: its code there, and its title."""

    code: str
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """`places`: the account of each of PLACES. `revenue`: of each kind of charge. `of`: of a named tax (place, name) or a
    reason for credits, where the carrier parts them."""

    places: Mapping[str, GlAccount]
    revenue: Mapping[str, GlAccount]
    of: Mapping[tuple[str, str], GlAccount]

    def account(self, place: str, detail: str = "") -> GlAccount:
        """The account of a posting: `place` is one of PLACES, or `revenue` with the kind of charge as its detail."""
        if place == "revenue":
            return self.revenue[detail]
        return self.of.get((place, detail), self.places[place])


def read(data: Mapping[str, Any]) -> Chart:
    """The chart of a parsed books.toml. Raises ValueError that names the place and says what is wrong."""
    for name in data:
        if name not in (*PLACES, "revenue"):
            raise ValueError(f"the file does not know {name}")
    revenue = data.get("revenue")
    if not isinstance(revenue, Mapping):
        raise ValueError("[revenue] is missing")
    for kind in revenue:
        if kind not in REVENUE:
            raise ValueError(f"[revenue.{kind}]: no kind of charge is called so ({', '.join(REVENUE)})")
    places, of = {}, {}
    for place in PLACES:
        row = data.get(place)
        parted = place in ("tax", "credit")
        places[place] = _account(row, place, ("of",) if parted else ())
        for name, own in (row or {}).get("of", {}).items() if parted else ():
            of[place, name] = _account(own, f"{place}.of.{name}")
    return Chart(places, {kind: _account(revenue.get(kind), f"revenue.{kind}") for kind in REVENUE}, of)


def _account(row: object, where: str, beside: tuple[str, ...] = ()) -> GlAccount:
    if not isinstance(row, Mapping):
        raise ValueError(f"[{where}] is missing: a code and a title")
    for name in row:
        if name not in ("code", "title", *beside):
            raise ValueError(f"[{where}] does not know {name}")
    return GlAccount(_text(row, where, "code", 20), _text(row, where, "title", 80))


def _text(row: Mapping[str, Any], where: str, name: str, most: int) -> str:
    found = row.get(name)
    if not isinstance(found, str) or not found.strip() or len(found) > most or not found.isprintable():
        raise ValueError(f"[{where}] {name}: a text of at most {most} characters")
    return found
