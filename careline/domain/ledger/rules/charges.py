"""A bill and its charges as frozen facts, and what the label and the arithmetic of one charge say. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from careline.domain.ledger.rules import LineKind
from careline.foundation.money import rounded, shown
from careline.foundation.tariff import MB_IN_GB, MILLION

RETURNED = re.compile(r"\breturn", re.I)
NTH = re.compile(r",?\s*\(?\b(?:instal?lment|payment)?\s*(\d+)\s+of\s+(\d+)(?:\s+days?)?\b\)?", re.I)
UNTIL = re.compile(r",?\s*\(?\buntil\s+(?:([A-Z][a-z]{2})[a-z]*\.?\s+(\d{1,2}),?\s+(\d{4})|(\d{4})-(\d{2})-(\d{2}))\)?")
MONTHS = {m: i for i, m in enumerate(("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1)}
STATE_ONLY = "tax.state_only"  # the source key of a tax where nobody knows what else lies at the postal code
LATE_USE = "late_use"  # begins the source key of a line for use of a period that was billed before
REST, DOWN = ", what is left", ", down payment"  # end the labels of equipment that comes whole, and of what is paid of it at the sale
NUMBERS = re.compile(r"\d[\d.,]*")


@dataclass(frozen=True, slots=True)
class Charged:
    """One line of a bill. `line`: the phone line by id, `name`: what people call it; `taxes`: the id of what it taxes."""

    id: int
    kind: str
    label: str
    amount_minor: int
    line: int | None = None
    name: str = ""
    source: str = ""
    start: date | None = None
    end: date | None = None
    quantity: Decimal = Decimal(1)
    unit_minor: int = 0
    num: int = 1
    den: int = 1
    rate_ppm: int = 0
    taxes: int | None = None

    @property
    def is_tax(self) -> bool:
        return self.kind == LineKind.TAX

    @property
    def whole(self) -> bool:
        """A plan's whole period, charged; not a part of one, and nothing given back."""
        return self.num == self.den and self.amount_minor >= 0


@dataclass(frozen=True, slots=True)
class Billed:
    """One bill. `estimated`: it was not made yet, `by_run`: and is foreseen as the bill run would make it; `settled_minor`: what of its lines is credit that the account has already, so that
    so much more than the total is paid for it."""

    id: int
    number: str
    issued_on: date
    total_minor: int
    lines: tuple[Charged, ...]
    estimated: bool = False
    by_run: bool = False
    settled_minor: int = 0

    @property
    def called(self) -> str:
        return "the next bill" if self.estimated else f"the bill of {spoken(self.issued_on)}"

    @property
    def by_state_only(self) -> bool:
        return by_state_only(self.lines)


# ---------------------------------------------------------------- one charge


def is_late_fee(n: Charged) -> bool:
    """By its name: a bill has no other word for it."""
    return n.kind == LineKind.FEE and re.search(r"\b(late|overdue|past[- ]due)\b", n.label, re.I) is not None


def is_late_use(n: Charged) -> bool:
    """Use of an earlier period that became known, or was corrected, after that period's bill."""
    return n.kind == LineKind.USAGE and n.source.startswith(LATE_USE)


def is_credit(n: Charged) -> bool:
    """Below zero, and neither a discount nor a plan given back in part."""
    return n.amount_minor < 0 and n.kind not in (LineKind.DISCOUNT, LineKind.PLAN)


def by_state_only(lines: Iterable[Charged]) -> bool:
    """Is a bill taxed by the state alone, for the rulebook knows no other jurisdiction of its postal code?"""
    return any(n.is_tax and n.source == STATE_ONLY for n in lines)


def how(n: Charged) -> str:
    """The arithmetic behind an amount, where the line has it: `11 of 30 days at $55.00`, `0.84 × $10.00`, `512 MB at $10.00 a GB`."""
    if not n.unit_minor:
        return ""
    many = "" if n.quantity == 1 else f"{n.quantity.normalize():f} × "
    if n.kind == LineKind.USAGE and n.den == MB_IN_GB:
        return f"{n.num:,} MB at {shown(n.unit_minor)} a GB"
    if n.den == MILLION and n.num != n.den:  # a part of an amount, in parts per million: a late fee in percent
        return f"{percent(n.num)} of {shown(n.unit_minor)}"
    if n.num != n.den:
        return f"{n.num} of {n.den} days at {many}{shown(n.unit_minor)}"
    return f"{many}{shown(n.unit_minor)}" if many else ""


def makes(n: Charged) -> int:
    """What a charge's own arithmetic comes to (minor units)."""
    return rounded(Fraction(n.unit_minor) * Fraction(n.quantity) * n.num / (n.den or 1))


def holds(n: Charged) -> bool:
    """Is it what its own arithmetic makes (or has none)?"""
    return how(n) == "" or makes(n) == n.amount_minor


def plain_label(n: Charged) -> str:
    """A label without what changes every month: `Pixel 8, instalment 3 of 24` is `Pixel 8`, and so is `Pixel 8, what is left`."""
    label = n.label.removesuffix(REST) if is_rest(n) else n.label
    return UNTIL.sub("", NTH.sub("", label)).strip(" ,") or n.label.strip() or n.kind


def match_key(n: Charged) -> str:
    """What a label is matched by. The numbers in the name of a plan or a discount tell it from another; elsewhere they count."""
    clean = plain_label(n).casefold()
    return clean if n.kind in (LineKind.PLAN, LineKind.DISCOUNT) else " ".join(NUMBERS.sub("", clean).split())


def ends_by(n: Charged) -> date | None:
    """The last day that a label names: `Welcome offer, until Nov 15, 2026`. None: it names none."""
    found = UNTIL.search(n.label)
    if found is None:
        return None
    word, day, year, *iso = found.groups()
    try:
        return date(int(year), MONTHS[word], int(day)) if word else date(*(int(x) for x in iso))
    except (KeyError, ValueError):
        return None


def is_last(n: Charged) -> bool:
    """The last instalment, by its label: `24 of 24`."""
    found = NTH.search(n.label)
    return found is not None and found[1] == found[2]


def is_rest(n: Charged) -> bool:
    """What was left of instalments, at once."""
    return n.kind == LineKind.EQUIPMENT and n.label.endswith(REST)


def is_down(n: Charged) -> bool:
    """What is paid of equipment at its sale, once."""
    return n.kind == LineKind.EQUIPMENT and n.label.endswith(DOWN)


def spoken(day: date) -> str:
    """A day as it is said: `Nov 4`."""
    return f"{day:%b} {day.day}"


def percent(ppm: int) -> str:
    """Parts per million as they are said: `9.6 %`."""
    return f"{(Decimal(ppm) / 10_000).normalize():f} %"


# ---------------------------------------------------------------- a bill


class Side:
    """One bill of two that are compared: its charges in an order of their own, each with its taxes."""

    def __init__(self, bill: Billed) -> None:
        lines = sorted(bill.lines, key=order)
        self.charges = [n for n in lines if not n.is_tax]
        ids = {n.id for n in self.charges}
        self.taxes: dict[int, list[Charged]] = defaultdict(list)
        self.orphans: list[Charged] = []
        for n in lines:
            if n.is_tax and n.taxes in ids:
                self.taxes[n.taxes].append(n)
            elif n.is_tax:
                self.orphans.append(n)
        self.sum = sum(n.amount_minor for n in lines)


def order(n: Charged) -> tuple[Hashable, ...]:
    """By what a charge is, so that the order in which lines came does not matter."""
    return (n.kind, n.line or 0, n.label, n.amount_minor, n.start or date.min, n.end or date.min, n.quantity, n.unit_minor, n.num, n.den, n.rate_ppm, n.source, n.id)


