"""PIN hashes: Argon2id over the PIN mixed with a pepper that lives outside the database, because a PIN is short.

A hash that another system made of the PIN alone is kept with its last part under the pepper, so that what stands in the
database cannot be tried against ten thousand PINs by whoever copies it.

And where a PIN stands in what somebody types, so that it is never kept in clear: one that is called so, and whatever was
typed as the PIN while the caller was on the line.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import HashingError, InvalidHashError, VerificationError
from argon2.low_level import Type, hash_secret_raw

ADOPTED = "$adopted"
THEIRS = re.compile(r"\$argon2id\$v=19\$m=([0-9]{1,7}),t=([0-9]{1,3}),p=([0-9]{1,3})\$([A-Za-z0-9+/]{11,64})\$([A-Za-z0-9+/]{16,86})")
OURS = re.compile(r"\$adopted\$m=([0-9]+),t=([0-9]+),p=([0-9]+),l=([0-9]+)\$([A-Za-z0-9+/]+)\$([0-9a-f]{64})")
WRITTEN = "This holds a PIN. A PIN is never written down here: take it out."
"""What the associate is told. It does not repeat the number."""

# "PIN 4711", "his passcode is: 4711", "NIP 4711"; not "PIN 2026-11-24", which is a day, nor a longer number.
_NAMED = re.compile(
    r"\b(?:pin|passcode|pass\s?code|nip|clave)\b(?:[\s:=#\"'(-]+(?:code|number|no|is|was|reads|es|era))*[\s:=#\"'(.-]{1,4}"
    r"(?:\d{4,8}|\d(?:[ .-]\d){3,7}|\d\d[ -]\d\d)(?!\d|[-/.:]\d)",
    re.IGNORECASE,
)
# The same said in words, as a caller says it: "her PIN is four seven one one", "su NIP es cuatro, siete, uno, uno".
_WORD = r"(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|cero|uno|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|\d)"
_NAMED_IN_WORDS = re.compile(
    r"\b(?:pin|passcode|pass\s?code|nip|clave)\b(?:[\s:=#\"'(-]+(?:code|number|no|is|was|reads|es|era))*[\s:=#\"'(.-]{1,4}"
    rf"{_WORD}(?:[\s,.-]{{1,3}}(?:(?:and|y)\s)?{_WORD}){{3,7}}\b(?![\s,.-]{{1,3}}{_WORD}\b)",
    re.IGNORECASE,
)
# Digits as a PIN is written: in one run, one by one, or in pairs; a longer run is another number, and so is what goes on behind a sign.
_RUNS = re.compile(r"(?<!\d)(?:\d{4,12}|\d(?:[ .,-]\d){3,11}|\d\d(?:[ -]\d\d){1,5})(?!\d)")

MOST_KIB, MOST_ROUNDS, MOST_LANES = 262_144, 20, 16  # what checking a PIN may take of this machine


@lru_cache(maxsize=1)
def hasher() -> PasswordHasher:
    """RFC 9106's second recommended parameters, one lane: about 50 ms here."""
    return PasswordHasher(time_cost=3, memory_cost=65536, parallelism=1)


def _mixed(pin: str, pepper: bytes) -> str:
    return hmac.new(pepper, pin.encode(), hashlib.sha256).hexdigest()


def hashed(pin: str, pepper: bytes) -> str:
    """The hash to store. Slow on purpose: never call it with a transaction open."""
    return hasher().hash(_mixed(pin, pepper))


def hashed_lightly(pin: str, pepper: bytes) -> str:
    """The hash of a PIN that is printed where everybody reads it: a made-up customer's. It takes no time, and checking it
    takes none."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(_mixed(pin, pepper))


def adopted(theirs: str, pepper: bytes) -> str:
    """What this house keeps of a hash that another system made of the PIN alone ($argon2id$v=19$…). The same hash is always
    kept the same. Raises ValueError in words for anything else."""
    if re.fullmatch(r"[0-9 ]{3,12}", theirs):
        raise ValueError("a PIN in clear: an export must carry its hash only")
    found = THEIRS.fullmatch(theirs)
    if found is None:
        raise ValueError("not an Argon2id hash of the PIN ($argon2id$v=19$...): leave it out, and the customer verifies another way")
    memory, rounds, lanes = (int(n) for n in found.group(1, 2, 3))
    if not (8 * lanes <= memory <= MOST_KIB and 1 <= rounds <= MOST_ROUNDS and 1 <= lanes <= MOST_LANES):
        raise ValueError(f"an Argon2id hash that takes too much to check: at most m={MOST_KIB}, t={MOST_ROUNDS}, p={MOST_LANES}, and m 8 for each p")
    try:
        tag = _bytes(found[5])
        _bytes(found[4])
    except binascii.Error:
        raise ValueError("an Argon2id hash that is cut off") from None
    return f"{ADOPTED}$m={memory},t={rounds},p={lanes},l={len(tag)}${found[4]}${hmac.new(pepper, tag, hashlib.sha256).hexdigest()}"


def _bytes(text: str) -> bytes:
    """Base64 as Argon2 writes it: without the padding."""
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _matches_adopted(stored: str, pin: str, pepper: bytes) -> bool:
    found = OURS.fullmatch(stored)
    if found is None:
        return False
    memory, rounds, lanes, length = (int(n) for n in found.group(1, 2, 3, 4))
    try:
        tag = hash_secret_raw(pin.encode(), _bytes(found[5]), time_cost=rounds, memory_cost=memory, parallelism=lanes, hash_len=length, type=Type.ID)
    except (HashingError, binascii.Error):
        return False
    return hmac.compare_digest(hmac.new(pepper, tag, hashlib.sha256).hexdigest(), found[6])


def matches(stored: str, pin: str, pepper: bytes) -> bool:
    """Whether a PIN is the one behind a hash; False too for a hash that cannot be read."""
    if stored.startswith(ADOPTED):
        return _matches_adopted(stored, pin, pepper)
    try:
        return hasher().verify(stored, _mixed(pin, pepper))
    except (VerificationError, InvalidHashError):
        return False


def named_in(text: str) -> bool:
    """Whether a text says of a number that it is a PIN."""
    return _NAMED.search(text) is not None or _NAMED_IN_WORDS.search(text) is not None


def mark(pin: str, place: str, pepper: bytes) -> str:
    """What is kept of a PIN that was typed in a place (a contact), for as long as that lasts, to know it again in a text. Fast, for a text
    has many numbers; so it goes with the place, and what stays is the slow hash."""
    return hmac.new(pepper, f"said:{place}:{pin}".encode(), hashlib.sha256).hexdigest()[:32]


def marked_in(text: str, marks: Iterable[str], place: str, pepper: bytes) -> bool:
    """Whether one of the PINs that left these marks stands in a text."""
    known = set(marks)
    return bool(known) and any(mark(run, place, pepper) in known for run in set(_runs(text)))


def _runs(text: str) -> Iterator[str]:
    for found in _RUNS.finditer(text):
        yield "".join(str(unicodedata.digit(c)) for c in found[0] if c.isdigit())
