"""Asking somebody who may: two kinds of request, and what can become of one."""

from __future__ import annotations

from enum import StrEnum


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
