"""References: ids for machines (UUIDv7) and document numbers for people."""

from __future__ import annotations

import re
import unicodedata
import uuid
from typing import Final

_PREFIX: Final = re.compile(r"[A-Z]{1,4}")
_NUMBER: Final = re.compile(r"([A-Z]{1,4})([0-9]+)")
_WIDTH: Final = 7
_LARGEST: Final = 10**12 - 1

# H. M. Damm, "Total anti-symmetrische Quasigruppen" (Marburg 2004): a weakly
# totally anti-symmetric quasigroup of order 10 with zeros on the diagonal.
_DAMM: Final = (
    (0, 3, 1, 7, 5, 9, 8, 6, 4, 2),
    (7, 0, 9, 2, 1, 5, 4, 8, 6, 3),
    (4, 2, 0, 6, 8, 7, 1, 3, 5, 9),
    (1, 7, 5, 0, 9, 8, 3, 4, 2, 6),
    (6, 1, 2, 3, 0, 4, 5, 9, 7, 8),
    (3, 6, 7, 4, 2, 0, 9, 5, 8, 1),
    (5, 8, 6, 9, 7, 2, 0, 1, 3, 4),
    (8, 9, 4, 5, 3, 6, 2, 0, 1, 7),
    (9, 4, 3, 8, 6, 1, 7, 2, 0, 5),
    (2, 5, 8, 1, 4, 3, 6, 7, 9, 0),
)


_STEPS: Final = tuple({str(digit): interim for digit, interim in enumerate(row)} for row in _DAMM)


def uuid7(unix_ms: int, random: bytes) -> uuid.UUID:
    """A UUID version 7 (RFC 9562, 5.7): sorts by time, unguessable with good bytes.

    ``unix_ms`` is milliseconds since 1970 in 48 bits; ``random`` is 10 bytes, of
    which the version and the variant take the place of 6 bits (74 remain).
    Time and randomness come from the caller. ValueError outside those bounds.
    """
    if not 0 <= unix_ms < 1 << 48:
        raise ValueError("The time of a UUIDv7 is 48 bits of milliseconds since 1970.")
    if len(random) != 10:
        raise ValueError("A UUIDv7 takes 10 random bytes.")
    bits = int.from_bytes(random, "big")
    rand_a = bits >> 62 & 0xFFF
    rand_b = bits & (1 << 62) - 1
    return uuid.UUID(int=unix_ms << 80 | 7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b)


def numbered(prefix: str, n: int) -> str:
    """A document number for people: ``CR-0001234-0``.

    A prefix of one to four capital letters, the number in seven digits or more,
    and a Damm check digit over the number. Damm catches every wrong digit and
    every swap of two neighbours, the check digit's included, and stays a digit,
    which is easier to say on the phone than a letter (ISO 7064 mod 11-10 misses
    some swaps, mod 37-2 needs the sign ``*``). The prefix is not under the
    check: it must be one that the reader knows. ValueError for another prefix,
    or a number outside 1 to 10**12 - 1.
    """
    if not _PREFIX.fullmatch(prefix):
        raise ValueError("A prefix is one to four capital letters.")
    if not 1 <= n <= _LARGEST:
        raise ValueError("A document number counts from 1 and has at most 12 digits.")
    body = f"{n:0{_WIDTH}d}"
    return f"{prefix}-{body}-{_damm(body)}"


def number_of(text: str) -> tuple[str, int]:
    """The prefix and number in what a person typed or pasted.

    Any case, with spaces, dashes, dots, slashes, ``#`` or nothing between the
    parts: ``cr 000 1234 0`` is ``("CR", 1234)``. The zeros must be there, so that
    a digit left out is noticed too. ValueError with a sentence otherwise.
    """
    if len(text) > 60:
        raise ValueError("That is too long for a document number: type one such as CR-0001234-0.")
    compact = re.sub(r"[\s./#_\-\u2010-\u2015\u2212]", "", unicodedata.normalize("NFKC", text)).upper()
    if not compact:
        raise ValueError("Type a document number, such as CR-0001234-0.")
    found = _NUMBER.fullmatch(compact)
    if found is None:
        raise ValueError("A document number is letters, then digits, such as CR-0001234-0.")
    prefix, digits = found[1], found[2]
    if len(digits) <= _WIDTH:
        raise ValueError("A digit is missing: type all of the number, its zeros and its last digit too.")
    body = digits[:-1]
    if len(body) > 12 or (len(body) > _WIDTH and body[0] == "0"):
        raise ValueError("There are too many digits: look at the number again.")
    if _damm(digits) != 0 or int(body) == 0:
        raise ValueError("A digit is wrong or two have changed places: look at the number again.")
    return prefix, int(body)


def _damm(digits: str) -> int:
    """The check digit of ``digits``; 0 when they already end in theirs."""
    interim = 0
    for digit in digits:
        interim = _STEPS[interim][digit]
    return interim
