"""What a credit is made of, and what limits it. Amounts are whole minor units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from careline.foundation.money import share


class Evidence(StrEnum):
    NONE = "none"
    BILL_LINE = "bill_line"


class TaxRule(StrEnum):
    NONE = "none"
    PROPORTIONAL = "proportional"


@dataclass(frozen=True, slots=True)
class TaxLine:
    """A tax that was charged on the credited line: `charged_minor` at `rate_ppm` (parts per million)."""

    bill_line_id: int
    label: str
    charged_minor: int
    credited_minor: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """One line of a credit: the credit itself, or a tax that it takes back."""

    kind: str
    label: str
    amount_minor: int
    bill_line_id: int | None


def parts(
    *,
    amount_minor: int,
    label: str,
    line_id: int | None,
    line_minor: int,
    line_credited_minor: int,
    taxes: Sequence[TaxLine],
    tax_rule: str,
) -> list[Part]:
    """The lines of a credit of `amount_minor` before tax. `line_credited_minor`: what of the line was credited before.

    A credit on a taxed line takes its tax back as lines of their own: as much as brings the tax taken back to its share
    of all that is then credited of the line. So roundings do not add up: never more tax than was charged, and credits
    that come to the whole line, in whatever steps, take back the whole of each tax.
    """
    made = [Part("credit", label, amount_minor, line_id)]
    if tax_rule == TaxRule.PROPORTIONAL and line_minor > 0:
        for tax in taxes:
            due = share(tax.charged_minor, min(line_credited_minor + amount_minor, line_minor), line_minor)
            back = min(due, tax.charged_minor) - tax.credited_minor
            if back > 0:
                made.append(Part("tax", tax.label, back, tax.bill_line_id))
    return made


@dataclass(frozen=True, slots=True)
class Days:
    """The days of a charge that were wrong, both of them in it, out of all days that it was for."""

    first: date
    last: date
    of: int

    @property
    def count(self) -> int:
        return (self.last - self.first).days + 1

    def part(self, amount_minor: int) -> int:
        """What these days of a charge come to, rounded once.

        >>> Days(date(2026, 11, 6), date(2026, 11, 17), 30).part(4500)
        1800
        """
        return share(amount_minor, self.count, self.of)

    def overlaps(self, first: date, last: date) -> bool:
        return self.first <= last and first <= self.last


def days(first: date, last: date, start: date | None, end: date | None) -> Days:
    """The days within a charge's own period. ValueError, in words for the field, when they are not in it."""
    if start is None or end is None:
        raise ValueError("The bill does not say which days this charge is for, so it is not credited by days.")
    if last < first:
        raise ValueError("The last day is before the first.")
    if first < start or last > end:
        raise ValueError(f"This charge is for {start:%b} {start.day} to {end:%b} {end.day}: choose days within.")
    return Days(first, last, (end - start).days + 1)


@dataclass(frozen=True, slots=True)
class Room:
    """How much room each limit leaves (minor units; `count`: whole credits)."""

    event: int
    reason: int
    window: int
    day: int
    count: int
    line: int | None

    @property
    def most(self) -> int:
        """The most that every limit allows together, never below zero."""
        if self.count <= 0:
            return 0
        bounds = [self.event, self.reason, self.window, self.day]
        return max(min([*bounds, self.line] if self.line is not None else bounds), 0)
