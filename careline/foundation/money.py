"""Money: whole minor units (cents), one rounding rule, shares that lose nothing.

An amount is an ``int`` of minor units of a currency; a credit to the customer
is negative where the ledger says so. Nothing here takes or returns a float.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Final

MAX_MINOR: Final = 10**13
"""The largest amount that is believed, either side of zero (a hundred billion
dollars in cents). Far inside a signed 64-bit column, so sums of them fit too."""

MINUS: Final = "\N{MINUS SIGN}"

_SYMBOLS: Final = {"USD": "$", "EUR": "€", "GBP": "£", "CAD": "CA$", "JPY": "¥"}

# ISO 4217, list one: every currency whose minor unit is not a hundredth.
_DECIMALS: Final = {
    **dict.fromkeys(
        (
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ),
        0,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}

_CODE: Final = re.compile(r"[A-Z]{3}")
_NUMBER: Final = re.compile(r"(?P<whole>[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+|)(?:\.(?P<part>[0-9]+))?")
_LONGEST: Final = 40


def rounded(value: Fraction) -> int:
    """The nearest whole minor unit; a half goes away from zero.

    This is the only place where Careline rounds money. ``rounded(-x)`` is
    ``-rounded(x)``, so that a reversal always equals what it reverses.
    """
    return _nearest(value.numerator, value.denominator)


def _nearest(numerator: int, denominator: int) -> int:
    nearest = (2 * abs(numerator) + denominator) // (2 * denominator)
    return nearest if numerator >= 0 else -nearest


def share(minor: int, numerator: int, denominator: int) -> int:
    """One pro-rata share, ``minor * numerator / denominator``, rounded.

    For a single part, such as 12 of 30 days. Several shares of one amount need
    not add up to it. ValueError unless the denominator is positive.
    """
    if denominator <= 0:
        raise ValueError("A share is of one part or more: the denominator must be positive.")
    return _nearest(minor * numerator, denominator)


@lru_cache(32)
def decimals(currency: str) -> int:
    """How many digits follow the point (ISO 4217): USD 2, JPY 0, KWD 3.

    A code that ISO 4217 does not list as special has 2. ValueError for a text
    that is not three capital letters.
    """
    if not _CODE.fullmatch(currency):
        raise ValueError("A currency is a code of three capital letters, such as USD.")
    return _DECIMALS.get(currency, 2)


@lru_cache(4096)  # a run and a page say the same few amounts again and again
def shown(minor: int, currency: str = "USD") -> str:
    """The amount as a person reads it: ``$1,234.50``, ``−$5.00``, ``CHF 5.00``.

    Comma for thousands, point for decimals (US English), a true minus sign
    (U+2212) first. ValueError for a malformed currency code.
    """
    places = decimals(currency)
    whole, part = divmod(abs(minor), 10**places)
    number = f"{whole:,}.{part:0{places}d}" if places else f"{whole:,}"
    return f"{MINUS if minor < 0 else ''}{_SYMBOLS.get(currency, currency + ' ')}{number}"


def plain(minor: int, currency: str = "USD") -> str:
    """The amount as a file holds it: ``1234.50``, ``-5.00``; no mark, no comma, a hyphen for the minus.

    ValueError for a malformed currency code.
    """
    places = decimals(currency)
    whole, part = divmod(abs(minor), 10**places)
    return f"{'-' if minor < 0 else ''}{whole}.{part:0{places}d}" if places else f"{'-' if minor < 0 else ''}{whole}"


def parsed(text: str, currency: str = "USD") -> int:
    """The amount a person typed, in minor units: ``18.4`` is 1840.

    Takes back all that :func:`shown` gives, and ``18``, ``.50``, ``1,234.5``,
    ``USD 18.40``, a hyphen or a minus sign in front, spaces around. ValueError,
    with a sentence that says what to do, for anything else: it never guesses
    and never rounds. Digits are 0 to 9 only; digits of other scripts are
    refused, so that what is read on the screen is what is meant. The text is
    not repeated in the sentence: it may be a card number in the wrong field.
    """
    places = decimals(currency)
    example = "18.40" if places == 2 else "18" if places == 0 else "18." + "4".ljust(places, "0")
    text = text.strip()
    if not text:
        raise ValueError(f"Type an amount, such as {example}.")
    if len(text) > _LONGEST:
        raise ValueError(f"That is too long for an amount: type a number such as {example}.")
    if any(not c.isascii() and c.isdigit() for c in text):
        raise ValueError(f"Use the digits 0 to 9, such as {example}.")
    rest, negative = _without_sign(text)
    for mark in _marks(currency):
        if rest.upper().startswith(mark):
            rest = rest[len(mark) :].lstrip()
            if not negative:
                rest, negative = _without_sign(rest)
            break
    found = _NUMBER.fullmatch(rest)
    if found is None or not any(c.isdigit() for c in rest):
        raise ValueError(_fault(rest, currency, example))
    part = found["part"] or ""
    if len(part) > places:
        allowed = f"at most {places} decimals" if places else "no decimals"
        raise ValueError(f"{currency} has {allowed}: type an amount such as {example}.")
    minor = int((found["whole"] or "0").replace(",", "") + part.ljust(places, "0"))
    if minor > MAX_MINOR:
        raise ValueError(f"That is too much: the most is {shown(MAX_MINOR, currency)}.")
    return -minor if negative else minor


def _without_sign(text: str) -> tuple[str, bool]:
    if text[:1] in ("-", MINUS) and text:
        return text[1:].lstrip(), True
    return text, False


def _marks(currency: str) -> tuple[str, ...]:
    """What may stand before the number, longest first."""
    marks = {currency, _SYMBOLS.get(currency, currency)}
    if currency in ("USD", "CAD"):
        marks |= {"$", currency[:2] + "$"}
    return tuple(sorted(marks, key=len, reverse=True))


def _fault(rest: str, currency: str, example: str) -> str:
    if re.fullmatch(r"[0-9.,]*[0-9][0-9.,]*", rest):
        if "," in rest:
            return f"Commas go before every third digit and a point before the decimals: 1,234 or {example}."
        return f"Type one number with at most one point in it, such as {example}."
    return f"That is not an amount in {currency}: type a number such as {example}."
