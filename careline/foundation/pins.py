"""PIN hashes: Argon2id over the PIN mixed with a pepper that lives outside the database, because a PIN is short."""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError


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


def matches(stored: str, pin: str, pepper: bytes) -> bool:
    """Whether a PIN is the one behind a hash; False too for a hash that cannot be read."""
    try:
        return hasher().verify(stored, _mixed(pin, pepper))
    except (VerificationError, InvalidHashError):
        return False
