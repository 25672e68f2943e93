"""Asking somebody who may: two kinds of request, and what can become of one."""

from __future__ import annotations

from enum import StrEnum

EXPIRE = "approvals.expire"  # the code of the journal line; no act: nobody does it


def expired(title: str) -> str:
    """The sentence of a request that nobody answered."""
    return f"Nobody answered in time: {title.lower()}"


class Kind(StrEnum):
    EXECUTE = "execute"
    ADMIT = "admit"


class State(StrEnum):
    WAITING = "waiting"
    APPROVED = "approved"
    LESS = "less"
    DECLINED = "declined"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
