"""Account care: which address counts as of record, which PIN is too easy, where a state lies, what people may ask for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise


class Medium(StrEnum):
    """How somebody is reached besides the numbers of their lines."""

    EMAIL = "email"
    PHONE = "phone"
    ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class Point:
    """One address that an account has or had. `since` None: from before anybody counted; `until` None: it holds."""

    value: str
    since: datetime | None
    until: datetime | None = None


def of_record(points: Iterable[Point], at: datetime, days: int) -> str:
    """The address that a notice goes to: the newest that was one for at least `days`, and was so lately. Empty: there is
    none, and nothing goes to an address that is younger.

    [47 CFR 64.2003: an address of record has been on the account for at least 30 days; 64.2010(f): never to the new one]
    """
    least = timedelta(days=days)
    for point in sorted(points, key=lambda p: (p.until is None, p.until or at), reverse=True):
        if point.until is not None and at - point.until > least:
            continue
        if point.value and (point.since is None or (point.until or at) - point.since >= least):
            return point.value
    return ""


def masked_email(email: str) -> str:
    """Enough of an address to ask about it and too little to use: `m…@okafor.example`."""
    name, _, domain = email.partition("@")
    return f"{name[:1]}…@{domain}"


def easy_pin(pin: str, known: Iterable[str], least: int, most: int) -> str:
    """Why a PIN cannot be taken, in words for the caller; empty: it can. `known`: numbers and references of the account,
    whatever else stands in them.

    [47 CFR 64.2010: no password out of account information or of what is readily known of a customer]
    """
    if not (pin.isascii() and pin.isdigit() and least <= len(pin) <= most):
        return f"A PIN is {least} to {most} digits."
    steps = {(int(b) - int(a)) % 10 for a, b in pairwise(pin)}
    if len(set(pin)) <= 2 or steps <= {1} or steps <= {9}:
        return "That is one of the first that somebody would try. Choose another."
    if re.fullmatch(r"(19|20)\d\d", pin):
        return "That reads like a year, and years of birth are known. Choose another."
    if any(pin in re.sub(r"\D", "", text) for text in known):
        return "That stands in a number of this account. Choose another."
    return ""


def fresh_until(moments: Iterable[datetime | None], at: datetime, hours: int) -> datetime | None:
    """Until when any of these is one of the last so many hours; None: none is now."""
    last = max((m for m in moments if m is not None), default=None)
    return last + timedelta(hours=hours) if last is not None and at - last < timedelta(hours=hours) else None


# Where the states and territories lie: their own zone first, for a state in two the one where most people live.
_ZONES = {
    "America/New_York": "CT DC DE FL GA IN KY MA MD ME MI NC NH NJ NY OH PA RI SC VA VT WV",
    "America/Chicago": "AL AR IA IL KS LA MN MO MS ND NE OK SD TN TX WI",
    "America/Denver": "CO ID MT NM UT WY",
    "America/Phoenix": "AZ",
    "America/Los_Angeles": "CA NV OR WA",
    "America/Anchorage": "AK",
    "Pacific/Honolulu": "HI",
    "America/Puerto_Rico": "PR VI",
    "Pacific/Guam": "GU MP",
    "Pacific/Pago_Pago": "AS",
}
ZONE_OF = {state: zone for zone, states in _ZONES.items() for state in states.split()}

LANGUAGES = {"en": "English", "es": "Spanish", "zh": "Chinese", "vi": "Vietnamese", "fr": "French", "ko": "Korean",
             "tl": "Tagalog", "ar": "Arabic", "ru": "Russian", "de": "German", "pt": "Portuguese", "ht": "Haitian Creole"}  # fmt: skip


def needs_of(text: str) -> list[str]:
    """Needs as a customer's row keeps them, one by one."""
    return [n.strip() for n in text.split(";") if n.strip()]


def needs_text(needs: Sequence[str]) -> str:
    return "; ".join(dict.fromkeys(n.strip() for n in needs))
