"""Areas of the network and what is wrong in them: when a trouble holds, and which area a place lies in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    OUTAGE = "outage"
    MAINTENANCE = "maintenance"
    CONGESTION = "congestion"


class Service(StrEnum):
    VOICE = "voice"
    DATA = "data"
    TEXT = "text"


class PartKind(StrEnum):
    """What an area is made of: starts of postal codes, cells by their id, or the whole network."""

    POSTAL = "postal"
    CELL = "cell"
    EVERYWHERE = "everywhere"


class Phase(StrEnum):
    PLANNED = "planned"
    NOW = "now"
    OVER = "over"


def phase(*, kind: str, began: datetime, expected_end: datetime | None, ended: datetime | None, at: datetime) -> Phase:
    """Where a trouble stands. An outage lasts until somebody ends it; a maintenance window closes by itself."""
    if ended is not None and ended <= at:
        return Phase.OVER
    if began > at:
        return Phase.PLANNED
    if kind == Kind.MAINTENANCE and expected_end is not None and expected_end <= at:
        return Phase.OVER
    return Phase.NOW


def plain_postal(text: str) -> str:
    """A postal code or its start as it is compared: capitals and digits only.

    >>> plain_postal("98101-1234"), plain_postal("k1a 0b1")
    ('981011234', 'K1A0B1')
    """
    return re.sub(r"[^A-Za-z0-9]", "", text).upper()


def plain_cell(text: str) -> str:
    """A cell's id as it is compared: no spaces, lower case (`310-260-51a3-02f` stays as it is)."""
    return "".join(text.lower().split())


def starts_of(postal_code: str) -> list[str]:
    """Every start of a postal code, the whole included: an area with any of them holds the place."""
    plain = plain_postal(postal_code)
    return [plain[:n] for n in range(1, len(plain) + 1)]


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong in an area: a fact for whoever asks. `matched_by`: the part of the area that a line lies in
    (postal, cell, everywhere). `overdue`: it was expected to be over by now. `ended`: when it was over, if it is."""

    id: int
    number: str
    area: str
    kind: str
    services: frozenset[str]
    began: datetime
    expected_end: datetime | None
    overdue: bool
    words: str
    entered_by: str
    matched_by: str
    ended: datetime | None = None
