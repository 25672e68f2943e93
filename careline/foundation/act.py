"""What travels with every deed: who does it, when, why, under which request key and on what basis."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum


class Level(IntEnum):
    """How far a contact is proven."""

    NONE = 0
    IDENTIFIED = 1
    WRAP_UP = 2
    VERIFIED = 3
    STRONG = 4


@dataclass(frozen=True, slots=True)
class Who:
    """A principal: a member of staff, an AI agent, a service, or a job.

    `kind` is the Cedar type; `id` is opaque text; `role` is one of the roles that the rulebook knows.
    """

    kind: str
    id: str
    name: str
    role: str

    @property
    def key(self) -> str:
        """One short text for this principal, unique over all kinds: `Staff:7`, `Job:outbox`."""
        return f"{self.kind}:{self.id}"


@dataclass(frozen=True, slots=True)
class Basis:
    """Why this principal may deal with this account now.

    `kind` is `contact`, `request`, `sign_in`, `job` or `none`; `id` names the row behind it; `account_id` is the one
    account that it opens (None: no account at all). `level` is a `Level`; each kind but the contact has a fixed one. `contact_id`: the contact behind
    it, also behind a request.
    """

    kind: str
    id: int | None = None
    account_id: int | None = None
    level: int = Level.NONE
    ref: str = ""
    contact_id: int | None = None

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.id if self.id is not None else '-'}"


NO_BASIS = Basis("none")


@dataclass(frozen=True, slots=True)
class Act:
    """One deed in progress. The domain reads the time and the actor from here and from nowhere else."""

    who: Who
    at: datetime
    why: str
    key: str
    basis: Basis
    asked_by: Who | None = None
    rulebook: str = ""

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError("an act's time needs a time zone")
