"""Phone numbers, on Google's libphonenumber (the ``phonenumbers`` package).

Stored as E.164 (``+12065550188``). Whether a number is *assigned* is never
asked: fictional 555-01XX numbers are good numbers here, and a range opened last
week must not be refused by last year's metadata.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import phonenumbers
from phonenumbers import timezone

_NANP: Final = 1
# NPA-NXX-XXXX with N = 2-9 and an NPA that is not N11 (NANPA; rules.md 5a).
_NANP_SHAPE: Final = re.compile(r"(?!.11)[2-9][0-9]{2}[2-9][0-9]{6}")
_PLAIN: Final = re.compile(r"\+1" + _NANP_SHAPE.pattern)
_FIRST: Final = re.compile(r"[+\N{FULLWIDTH PLUS SIGN}(\N{FULLWIDTH LEFT PARENTHESIS}\d]")
_LOOKS: Final = re.compile(
    r"[\d\s+()./\\\-\u2010-\u2015\u2212\u00b7\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+"
)
_HIDDEN: Final = re.compile(r"[\sxX*#\u2022\u2026_().\-]+")  # what stands for the digits that nobody knows: xxx-xxx-0188
_UNKNOWN_ZONE: Final = "Etc/Unknown"


def parsed(text: str, region: str = "US") -> str | None:
    """The E.164 form when the whole text is one full number, else None.

    ``region`` (ISO 3166 alpha-2) is where a number without ``+`` is dialled.
    Takes national and international forms, ``tel:`` links and vanity letters
    (``1-800-FLOWERS``). A number of country code 1 must have the North American
    shape; others must be of a possible length. A local number without its area
    code is None. An extension is accepted and, having no place in E.164, left
    out. Text around a number makes it None: this reads a field, it does not
    search a sentence.
    """
    text = text.strip()
    if _PLAIN.fullmatch(text):  # what most exports hold; the library takes fifty microseconds to say the same
        return text
    if text[:4].lower() == "tel:":
        text = text[4:].lstrip()
    # The library would skip over leading words to the first digit.
    if not _FIRST.match(text):
        return None
    number = _number(text, region)
    if number is None:
        return None
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return None
    if number.country_code == _NANP and not _NANP_SHAPE.fullmatch(
        phonenumbers.national_significant_number(number)
    ):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def digits(text: str) -> str:
    """The digits of the text as ASCII, whatever script they are in; the rest is dropped."""
    plain = text.removeprefix("+")
    return plain if plain.isascii() and plain.isdecimal() else phonenumbers.normalize_digits_only(text)


@lru_cache(maxsize=4096)
def shown(e164: str, region: str = "US") -> str:
    """The number as a person in ``region`` reads it.

    ``(206) 555-0188`` when it shares the region's country code, else
    ``+44 20 7946 0958``. A text that is not E.164 comes back as it is: a screen
    must be able to show what an import brought.
    """
    number = _stored(e164)
    if number is None:
        return e164
    home = number.country_code == phonenumbers.country_code_for_region(region)
    form = phonenumbers.PhoneNumberFormat
    return phonenumbers.format_number(number, form.NATIONAL if home else form.INTERNATIONAL)


@lru_cache(maxsize=4096)
def last_four(e164: str) -> str:
    """The last four digits, which may be shown before a caller is verified."""
    return digits(e164)[-4:]


def zones(e164: str) -> tuple[str, ...]:
    """Every IANA zone the number may belong to, sorted; empty if unknown.

    By area code where the country has them, else all zones of the country; a
    toll-free number has all of North America. A number tells where it was
    issued, not where its holder is now: contact rules must also ask the address.
    """
    number = _stored(e164)
    if number is None:
        return ()
    found = timezone.time_zones_for_number(number)
    if found == (_UNKNOWN_ZONE,):
        # A number outside the assigned ranges still has an area code.
        found = timezone.time_zones_for_geographical_number(number)
    return tuple(sorted(set(found) - {_UNKNOWN_ZONE}))


def looks_like_number(text: str) -> bool:
    """Whether a search is for a number: four digits or more, and nothing but
    digits and phone punctuation. True also for an account number or a date:
    the find box then looks numbers up by their digits."""
    return len(digits(text)) >= 4 and _LOOKS.fullmatch(text) is not None


def sought(text: str, region: str = "US") -> str:
    """The digits of the number that a search is for, or "" when it is for none.

    One full number in any form that `parsed` reads, after ``00`` too and with words around it, gives its digits with the
    country code; what is known of a number gives the digits that are known: ``0188``, ``555-0188``, ``xxx-xxx-0188``.
    """
    if looks_like_number(text):
        full = parsed(text, region)
        if full is None and digits(text).startswith("00"):
            full = parsed("+" + digits(text)[2:], region)
        return digits(full or text)
    if full := parsed(text, region):
        return digits(full)
    known = _HIDDEN.sub("", text, count=1) if _HIDDEN.match(text) else ""
    if looks_like_number(known):
        return digits(known)
    if len(digits(text)) < 10:
        return ""
    inside = phonenumbers.PhoneNumberMatcher(text, region, leniency=phonenumbers.Leniency.POSSIBLE)
    found = {full for match in inside if (full := parsed(match.raw_string, region))}
    return digits(found.pop()) if len(found) == 1 else ""


def _number(text: str, region: str | None) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None


def _stored(e164: str) -> phonenumbers.PhoneNumber | None:
    return _number(e164, None) if re.fullmatch(r"\+[0-9]{4,15}", e164) else None
