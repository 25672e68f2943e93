"""Roles and names of the people who work here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum


class Role(StrEnum):
    """The roles of the default rulebook; a carrier's rulebook may know others."""

    TRAINEE = "trainee"
    ASSOCIATE = "associate"
    EXPERT = "expert"
    LEAD = "lead"
    SUPERVISOR = "supervisor"
    ADMINISTRATOR = "administrator"
    AGENT = "agent"
    SERVICE = "service"


KIND_OF_ROLE = {Role.AGENT: "Agent", Role.SERVICE: "Service"}

ROLE_TITLES = {
    "trainee": "Associate in training",
    "associate": "Associate",
    "expert": "Expert",
    "lead": "Lead",
    "supervisor": "Supervisor",
    "administrator": "Administrator",
    "agent": "AI agent",
    "service": "Service",
    "job": "Job",
}


def whom_to_ask(roles: Sequence[str]) -> str:
    """These roles in words: "a supervisor or an administrator". Nobody asks a machine, or who is in training."""
    named = [f"{'an' if role[0] in 'aeiou' else 'a'} {role}" for role in roles if role not in ("trainee", "agent", "service", "job")]
    return f"{', '.join(named[:-1])} or {named[-1]}" if len(named) > 1 else "".join(named)


def kind_of(role: str) -> str:
    """The Cedar type of a principal with this role."""
    return KIND_OF_ROLE.get(Role(role), "Staff") if role in set(Role) else "Staff"


# A code that is read aloud once: no letter that looks or sounds like a digit, 45 bits.
CODE_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
CODE_LENGTH = 9


def spelled(letters: Iterable[str]) -> str:
    """A code as it is shown, in threes: `K7M-2QX-9RT`."""
    text = "".join(letters)
    return "-".join(text[i : i + 3] for i in range(0, len(text), 3))


def initials(name: str) -> str:
    words = [w for w in name.split() if w[0].isalpha()]
    return ("".join(w[0] for w in (words[:1] + words[-1:] if len(words) > 1 else words)) or "?").upper()
