"""Customers, persons, accounts and lines: their states, and how people are found."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from enum import StrEnum
from typing import Final


class LineStatus(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"
    PENDING = "pending"


# The kinds of use that every plan says something of: code, how a bill calls it, its unit. Others are allowances of a plan.
DATA: Final = ("data", "Data", "MB")
VOICE: Final = ("voice", "Calls", "min")
TEXT: Final = ("text", "Messages", "")


class Feature(StrEnum):
    """What can be switched on and off for a line on the network."""

    MOBILE_DATA = "mobile_data"
    ROAMING = "roaming"
    WIFI_CALLING = "wifi_calling"
    HOTSPOT = "hotspot"
    VOICEMAIL = "voicemail"
    VOLTE = "volte"
    PICTURE_MESSAGING = "picture_messaging"
    SPAM_BLOCKING = "spam_blocking"
    INTERNATIONAL_CALLING = "international_calling"


FEATURE_TITLES = {
    "mobile_data": "Mobile data",
    "roaming": "Data roaming",
    "wifi_calling": "Wi-Fi calling",
    "hotspot": "Hotspot",
    "voicemail": "Voicemail",
    "volte": "Calls over LTE",
    "picture_messaging": "Picture messages",
    "spam_blocking": "Spam blocking",
    "international_calling": "Calls abroad",
}

# What a line has from its first day unless somebody says otherwise.
FROM_THE_START = frozenset(Feature) - {Feature.ROAMING, Feature.WIFI_CALLING, Feature.INTERNATIONAL_CALLING}


def features_text(features: Iterable[str]) -> str:
    """A set of features as a line's row keeps it: sorted, parted by spaces."""
    return " ".join(sorted(set(features)))


class SimState(StrEnum):
    ACTIVE = "active"
    INACTIVE = "inactive"
    BLOCKED = "blocked"


class Right(StrEnum):
    """Who a person is to an account. A stranger has no row."""

    HOLDER = "holder"
    AUTHORIZED = "authorized"


class Tie(StrEnum):
    """How an account is tied to a member of staff: their own, or a relative's."""

    OWN = "own"
    RELATIVE = "relative"


# Letters that no decomposition takes apart, as whoever has no such key types them.
LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h", "ŧ": "t", "ŋ": "n"})


def name_words(name: str) -> list[str]:
    """A name as the find box compares it: lower case, no accents, letters and digits only, each word once.

    >>> name_words("María  O'Néill-Okafor Łukasz")
    ['maria', 'oneill', 'okafor', 'lukasz']
    """
    plain = unicodedata.normalize("NFKD", name.casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c)).translate(LETTERS)
    plain = re.sub(r"['’`´.]", "", plain)
    words = re.findall(r"\w+", plain)
    return list(dict.fromkeys(w[:40] for w in words))


def account_reference(text: str) -> str | None:
    """An account reference in any form a person writes it (`a 104 822`, `A-0104822`), or None if it is not one."""
    match = re.fullmatch(r"\s*[Aa][\s-]*((?:\d[\s-]*){5,12})", text)
    if not match:
        return None
    return "A-" + re.sub(r"\D", "", match.group(1)).zfill(7)
