"""Roles and names of the people who work here."""

from __future__ import annotations

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


def kind_of(role: str) -> str:
    """The Cedar type of a principal with this role."""
    return KIND_OF_ROLE.get(Role(role), "Staff") if role in set(Role) else "Staff"


def initials(name: str) -> str:
    words = [w for w in name.split() if w[0].isalpha()]
    return ("".join(w[0] for w in (words[:1] + words[-1:] if len(words) > 1 else words)) or "?").upper()
