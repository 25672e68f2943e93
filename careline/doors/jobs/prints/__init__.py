"""Papers to customers as HTML for the printer: the facts of the ledger in the carrier's own look. The same facts give the
same text, and so the same PDF."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from careline.domain.ledger.queries import Extract
from careline.domain.ledger.rules.estimate import BY_THE_LAST, BY_THE_RUN
from careline.domain.ledger.rules.explain import Explanation
from careline.domain.ledger.rules.paper import BillPaper, Holder
from careline.foundation.money import shown
from careline.foundation.stationery import Stationery

FOLDER = Path(__file__).parent / "templates"
LANGUAGE = "en-US"


def day(value: date) -> str:
    """`November 24, 2026`: a paper is read in other years too."""
    return f"{value:%B} {value.day}, {value.year}"


def days(first: date | None, last: date | None) -> str:
    """`Nov 4 to Dec 3, 2026`; one day is said once."""
    if first is None or last is None or first == last:
        return _short(first or last)
    year = f", {first.year}" if first.year != last.year else ""
    return f"{first:%b} {first.day}{year} to {_short(last)}"


def _short(value: date | None) -> str:
    return f"{value:%b} {value.day}, {value.year}" if value is not None else ""


def signed(minor: int) -> str:
    return f"+{shown(minor)}" if minor > 0 else shown(minor)


def _css(text: str) -> Markup:
    """Text for a string in a style sheet: whatever a name holds, it ends no string and no element."""
    return Markup("".join(c if c.isalnum() or c in " ,.-" else f"\\{ord(c):x} " for c in text))


@lru_cache(maxsize=1)
def _environment() -> Environment:
    env = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    env.filters.update(money=shown, day=day, signed=signed, rate=lambda ppm: f"{ppm / 10_000:g} %", css=_css)
    env.globals.update(days=days, style=Markup((FOLDER / "print.css").read_text(encoding="utf-8")))
    return env


def _draw(template: str, carrier: str, stationery: Stationery, **facts: Any) -> str:
    return _environment().get_template(template).render(carrier=carrier, stationery=stationery, lang=LANGUAGE, **facts)


def bill(paper: BillPaper, carrier: str, stationery: Stationery) -> str:
    """A bill: a summary on page one, every charge on the pages after it."""
    return _draw(
        "bill.html", carrier, stationery, paper=paper, made_on=paper.issued_on,
        head=f"{carrier}, bill {paper.number}", foot=f"Account {paper.holder.account}, {paper.holder.name}",
    )  # fmt: skip


def explanation(holder: Holder, found: Explanation, carrier: str, stationery: Stationery, on: date) -> str:
    """Why one bill differs from an earlier one, or what the next will be: each cause with its arithmetic, the largest first. `on`: the day of
    the paper."""
    return _draw(
        "explanation.html", carrier, stationery, holder=holder, found=found, made_on=on, rests_on=(BY_THE_RUN if found.now.by_run else BY_THE_LAST) if found.now.estimated else "",
        head=f"{carrier}, {'what your next bill will be' if found.now.estimated else 'why your bill differs'}", foot=f"Account {holder.account}, {holder.name}",
    )  # fmt: skip


def statement(holder: Holder, book: Extract, carrier: str, stationery: Stationery, on: date, part: str = "") -> str:
    """The ledger of a period, entry by entry with what was owed after each. `on`: the day of the paper; `part`: which it is of a long one."""
    return _draw(
        "statement.html", carrier, stationery, holder=holder, book=book, made_on=on, part=part,
        head=f"{carrier}, statement{f', {part}' if part else ''}", foot=f"Account {holder.account}, {holder.name}",
    )  # fmt: skip
