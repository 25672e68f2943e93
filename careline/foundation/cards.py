"""Payment card numbers in typed text: found, so that they are never stored.

PCI DSS 3.x: a card number in a note makes every system that holds the note a
card system. So each field that a person types into is asked before it is kept.
The opposite mistake, refusing a note because of an IMEI, would teach people to
work around the check; the policy below is drawn between the two.

**A card number** is 13 to 19 digits of an issuer's range and length (ISO/IEC
7812-1 and the networks' published ranges) with a Luhn digit. Digits of every
script count; invisible characters between them do not. Letters and other signs
end a number, so ``card4111111111111111exp0127`` holds one.

**An unbroken run of digits is judged whole.** Inside a longer run no window is
tried, or every tenth tracking number and ICCID would be a card by chance. One
exception: a card number followed by its expiry (``MMYY``, perhaps with the
security code), which is how cards are typed without spaces.

**Runs with separators between them are joined**: every series of whole runs is
tried. The runs of a printed card (4-4-4-4, 4-6-5 and the like) may have any
signs between them; other groupings only white space, dashes, dots, slashes and
their kin. Not a card:

- what overlaps an identifier: ICCID, EID, IMEI, IMSI, whole or in the groups
  they are printed in. A grouped ICCID is known by 8901 (North America), or by
  89 and its Luhn digit;
- in other than printed groups, what is made only of dates, phone numbers and
  amounts, or begins or ends in the middle of one.

**Maestro** counts at 16 to 19 digits only. It is no longer issued and was not in
the US; its 12 to 15 digits would be those of account and tracking numbers.

What stays undecidable is called a card: a number of no known kind that fits a
range, a length and Luhn (one in ten of those that fit the first two), an IMEISV
of 16 digits in the range of JCB (starting 3528 to 3589), a Caribbean IMSI
starting 34 or 37 (Amex). What is knowingly let through: a card number broken so
that 14 or more of its digits in a row are by themselves an IMEI or ICCID.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from careline.foundation.sim import eid_fault, luhn_holds

MESSAGE: Final = (
    "This looks like a payment card number. Card numbers are never stored here: take it out, "
    "and use the payment link or a saved payment method."
)
"""What the associate is told. It does not repeat the number."""

# First and last prefix, and the lengths in use.
_RANGES: Final = (
    ("4", "4", frozenset({13, 16, 19})),  # Visa
    ("51", "55", frozenset({16})),  # Mastercard
    ("2221", "2720", frozenset({16})),
    ("34", "34", frozenset({15})),  # American Express
    ("37", "37", frozenset({15})),
    ("6011", "6011", frozenset(range(16, 20))),  # Discover
    ("644", "649", frozenset(range(16, 20))),
    ("65", "65", frozenset(range(16, 20))),
    ("300", "305", frozenset(range(14, 20))),  # Diners Club
    ("36", "36", frozenset(range(14, 20))),
    ("38", "39", frozenset(range(14, 20))),
    ("3528", "3589", frozenset(range(16, 20))),  # JCB
    ("62", "62", frozenset(range(16, 20))),  # UnionPay
    ("50", "50", frozenset(range(16, 20))),  # Maestro
    ("56", "58", frozenset(range(16, 20))),
    ("6", "6", frozenset(range(16, 20))),
)
_FIRST_DIGITS: Final = frozenset(low[0] for low, _, _ in _RANGES)
_SHORTEST: Final = 13
_LONGEST: Final = 19

_PRINTED: Final = frozenset(
    {
        (4, 4, 4, 4),
        (4, 4, 4, 4, 1),
        (4, 4, 4, 4, 2),
        (4, 4, 4, 4, 3),
        (4, 6, 5),
        (4, 6, 4),
        (4, 3, 3, 3),
        (4, 4, 4, 2),
        (8, 8),
        (6, 13),
    }
)
_EXPIRY: Final = re.compile(r"(?:0[1-9]|1[0-2])(?:20)?[2-4][0-9](?:[0-9]{3,4})?")

_GAP: Final = 8
_JOINERS: Final = frozenset("./\\_\u00b7\u2022\u2027\u2219\u2044\u2212\u2215\u30fb\uff0e\uff0f\u3002")
# What makes a keycap of a digit; seen as part of it.
_KEYCAP: Final = frozenset("\ufe0e\ufe0f\u20e3")

# Real IMEIs start with the digits of the body that gave out the TAC.
_IMEI_START: Final = ("01", "35", "86", "99")
_IMEI_GROUPS: Final = ((15,), (8, 6, 1), (6, 2, 6, 1), (2, 6, 6, 1), (14, 1))
# North America, of which 302 (Canada) is also in a range of Diners Club.
_IMSI_START: Final = ("302", "310", "311", "312", "313", "314", "315", "316", "334")
_IMSI_GROUPS: Final = ((15,), (3, 3, 9), (3, 2, 10))
# No ICCID or EID is printed in longer groups, and a card's digits alone are longer.
_IDENTIFIER_GROUP: Final = 12


@dataclass(frozen=True, slots=True)
class _Run:
    """Digits with nothing visible between them, and what stands before them:
    the visible signs since the run before, or nothing when they are too many to join."""

    digits: str
    start: int
    end: int
    before: str


def card_numbers(text: str) -> list[tuple[int, int]]:
    """Where payment card numbers are in ``text``: spans, in order, not overlapping.

    ``text[start:end]`` runs from a number's first digit to its last, with what
    was typed between. Numbers that share digits are one span. An empty list
    means the text may be kept. Takes time in proportion to the text.
    """
    runs = _runs(text)
    identifiers = _identifiers(runs)
    begins, ends, within = _everyday(runs)
    spans: list[tuple[int, int]] = []

    def found(start: int, end: int) -> None:
        if spans and start < spans[-1][1]:
            first, last = spans.pop()
            start, end = min(first, start), max(last, end)
        spans.append((start, end))

    for first, run in enumerate(runs):
        if first not in identifiers and (size := _card_in_run(run.digits)):
            found(run.start, _end_of_digit(text, run, size))
        if run.digits[0] not in _FIRST_DIGITS:
            continue
        digits = ""
        plain = True
        for last in range(first, len(runs)):
            if last > first:
                if not _near(runs[last].before):
                    break
                plain = plain and _joins(runs[last].before)
            if last in identifiers or len(digits) + len(runs[last].digits) > _LONGEST:
                break
            digits += runs[last].digits
            if last == first or not is_card_number(digits):
                continue
            if tuple(len(r.digits) for r in runs[first : last + 1]) not in _PRINTED:
                cut = first not in begins or last not in ends
                made_of_them = all(i in within for i in range(first, last + 1))
                if not plain or cut or made_of_them:
                    continue
            found(run.start, runs[last].end)
    return spans


def is_card_number(digits: str) -> bool:
    """Whether the digits, all of them, are a payment card number: range, length, Luhn."""
    if not _SHORTEST <= len(digits) <= _LONGEST:
        return False
    in_range = any(
        len(digits) in lengths and low <= digits[: len(low)] <= high for low, high, lengths in _RANGES
    )
    return in_range and luhn_holds(digits)


def _card_in_run(digits: str) -> int:
    """How many leading digits of an unbroken run are a card number; 0 for none."""
    if is_card_number(digits):
        return len(digits)
    for size in range(min(len(digits) - 4, _LONGEST), _SHORTEST - 1, -1):
        if _EXPIRY.fullmatch(digits, size) and is_card_number(digits[:size]):
            return size
    return 0


def _runs(text: str) -> list[_Run]:
    runs: list[_Run] = []
    digits: list[str] = []
    before: list[str] = []
    start = end = 0

    def close() -> None:
        if digits:
            runs.append(_Run("".join(digits), start, end, "".join(before) if len(before) <= _GAP else ""))
            digits.clear()
            before.clear()

    for at, char in enumerate(text):
        value = unicodedata.decimal(char, None)
        if value is not None:
            if not digits:
                start = at
            digits.append(str(value))
            end = at + 1
        elif not _invisible(char):
            close()
            before.append(char)
    close()
    return runs


def _invisible(char: str) -> bool:
    if char.isascii():
        return not char.isprintable() and not char.isspace()
    return char in _KEYCAP or (unicodedata.category(char) in ("Cf", "Cc") and not char.isspace())


def _end_of_digit(text: str, run: _Run, count: int) -> int:
    """The position after the run's ``count``-th digit."""
    at = run.start
    while count:
        count -= unicodedata.decimal(text[at], None) is not None
        at += 1
    return at


def _near(gap: str) -> bool:
    """Whether a printed card may have this between two of its groups."""
    return 0 < len(gap) <= _GAP and not any(char.isalnum() for char in gap)


def _joins(gap: str) -> bool:
    """Whether digits on both sides of this may be one number in any grouping."""
    return all(char.isspace() or char in _JOINERS or unicodedata.category(char) == "Pd" for char in gap)


def _identifiers(runs: list[_Run]) -> frozenset[int]:
    """The runs that are, or belong to, an ICCID, EID, IMEI or IMSI."""
    known: set[int] = set()
    for first, run in enumerate(runs):
        if run.digits.startswith("89"):
            for size, digits in _series(runs, first, 32):
                if _sim_or_chip(digits, grouped=size > 1) and (
                    size == 1 or all(len(r.digits) <= _IDENTIFIER_GROUP for r in runs[first : first + size])
                ):
                    known.update(range(first, first + size))
        elif run.digits.startswith(_IMEI_START):
            shaped = _shaped(runs, first, _IMEI_GROUPS)
            if luhn_holds("".join(runs[i].digits for i in shaped)):
                known.update(shaped)
        elif run.digits.startswith(_IMSI_START):
            known.update(_shaped(runs, first, _IMSI_GROUPS))
    return frozenset(known)


def _sim_or_chip(digits: str, *, grouped: bool) -> bool:
    if len(digits) == 32:
        return not grouped or eid_fault(digits) is None
    if not 18 <= len(digits) <= 20:
        return False
    return not grouped or digits.startswith("8901") or (len(digits) > 18 and luhn_holds(digits))


def _shaped(runs: list[_Run], first: int, shapes: tuple[tuple[int, ...], ...]) -> range:
    for shape in shapes:
        series = runs[first : first + len(shape)]
        if tuple(len(run.digits) for run in series) == shape and all(_near(r.before) for r in series[1:]):
            return range(first, first + len(shape))
    return range(first, first)


def _series(runs: list[_Run], first: int, longest: int) -> Iterator[tuple[int, str]]:
    """How many runs from ``first`` on, and their digits, as far as they stand near."""
    digits = ""
    for last in range(first, len(runs)):
        digits += runs[last].digits
        if len(digits) > longest or (last > first and not _near(runs[last].before)):
            return
        yield last - first + 1, digits


def _everyday(runs: list[_Run]) -> tuple[set[int], set[int], set[int]]:
    """Dates, phone numbers and amounts among the runs: where a number may begin
    and where it may end without cutting one, and which runs belong to one."""
    begins, ends, within = set[int](), set[int](), set[int]()
    at = 0
    while at < len(runs):
        size = _everyday_size(runs, at)
        if size:
            within.update(range(at, at + size))
        begins.add(at)
        at += size or 1
        ends.add(at - 1)
    return begins, ends, within


def _everyday_size(runs: list[_Run], at: int) -> int:
    """How many runs from ``at`` on are one date, phone number or amount; 0 for none."""
    parts = [run.digits for run in runs[at : at + 4]]
    gaps = [run.before for run in runs[at + 1 : at + 5]]
    before = runs[at].before[-1:]

    def alone(size: int) -> bool:
        """The sign inside does not go on outside: 4/11 of 4/11/11/11 is no date."""
        after = gaps[size - 1] if len(gaps) >= size else ""
        return gaps[0] not in (before, after)

    if (
        len(parts) >= 3
        and gaps[0] == gaps[1]
        and gaps[0] in ("/", "-", ".")
        and alone(3)
        and _date(parts[:3])
    ):
        return 3
    for size in (4, 3):
        area = size - 3
        if (
            [len(part) for part in parts[:size]] == [1, 3, 3, 4][-size:]
            and all(gap in (" ", "-", ".", "/") for gap in gaps[: size - 1])
            and (size == 3 or parts[0] == "1")
            and min(parts[area][0], parts[area + 1][0]) > "1"
        ):
            return size
    if len(parts) >= 2 and gaps[0] == "." and alone(2) and len(parts[0]) <= 6 and len(parts[1]) == 2:
        return 2
    if len(parts) >= 2 and gaps[0] == "/" and alone(2) and max(map(len, parts[:2])) <= 2:
        return 2 if _month_and_day(parts[0], parts[1]) else 0
    return 0


def _date(parts: list[str]) -> bool:
    lengths = [len(part) for part in parts]
    if lengths[0] == 4:
        year, a, b = parts
    else:
        a, b, year = parts
    if (
        max(len(a), len(b)) > 2
        or len(year) not in (2, 4)
        or (len(year) == 4 and year[:2] not in ("19", "20"))
    ):
        return False
    return _month_and_day(a, b)


def _month_and_day(a: str, b: str) -> bool:
    """In either order: notes come from people of many countries."""
    low, high = sorted((int(a), int(b)))
    return 1 <= low <= 12 and high <= 31
