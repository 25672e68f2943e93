"""The act table: every act there is, by its code. A module a room; each lists its acts as `ACTS`."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module

from careline.acts.declare import ActType

ROOMS = ("contacts", "verification", "credits", "arrangements", "ledger", "payments", "billing", "approvals", "staff", "customers", "care", "protection", "network", "activations", "sims", "porting", "collections", "diagnosis", "rulebook", "oversight")


@lru_cache(maxsize=1)
def acts() -> dict[str, ActType]:
    """All acts by code, in the order of the rooms. Raises ValueError when two share a code."""
    found: dict[str, ActType] = {}
    for room in ROOMS:
        for kind in import_module(f"careline.acts.{room}").ACTS:
            if kind.code in found:
                raise ValueError(f"two acts are called {kind.code}")
            found[kind.code] = kind
    return found


def act(code: str) -> ActType:
    """One act. Raises KeyError when there is none of this code."""
    return acts()[code]
