"""Customers, persons, accounts and lines: their states, and how people are found."""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum


class LineStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"
    PENDING = "pending"


class Right(StrEnum):
    """Who a person is to an account. A stranger has no row."""

    HOLDER = "holder"
    AUTHORIZED = "authorized"


class Tie(StrEnum):
    """How an account is tied to a member of staff: their own, or a relative's."""

    OWN = "own"
    RELATIVE = "relative"


def name_words(name: str) -> list[str]:
    """A name as the find box compares it: lower case, no accents, letters and digits only, each word once.

    >>> name_words("María  O'Néill-Okafor")
    ['maria', 'oneill', 'okafor']
    """
    plain = unicodedata.normalize("NFKD", name.casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    plain = re.sub(r"['’`´.]", "", plain)
    words = re.findall(r"\w+", plain)
    return list(dict.fromkeys(w[:40] for w in words))


def account_reference(text: str) -> str | None:
    """An account reference in any form a person writes it (`a 104 822`, `A-0104822`), or None if it is not one."""
    match = re.fullmatch(r"\s*[Aa][\s-]*((?:\d[\s-]*){5,12})", text)
    if not match:
        return None
    return "A-" + re.sub(r"\D", "", match.group(1)).zfill(7)
