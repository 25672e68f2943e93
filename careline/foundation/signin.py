"""How people sign in, as the rulebook's sign_in.toml has it: who needs a second factor, and which groups are which role."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class SignIn:
    """A rulebook without the file asks nobody for a second factor and gives no role by a claim."""

    second_factor: frozenset[str] = frozenset()
    prove_again_minutes: int = 10
    claim: str = "groups"
    roles: Mapping[str, str] = field(default_factory=dict)

    def role_of(self, groups: Iterable[str], ladder: Collection[str]) -> str | None:
        """The role of somebody in these groups: the highest of the ladder, else the first named. None: they have none here."""
        held = set(groups)
        found = [role for group, role in self.roles.items() if group in held]
        ranks = list(ladder)
        climbed = [role for role in found if role in ranks]
        return max(climbed, key=ranks.index) if climbed else found[0] if found else None


def read(data: Mapping[str, Any], roles: Collection[str], people: Collection[str]) -> SignIn:
    """`roles`: all that the rulebook knows; `people`: those that a person may have. Raises ValueError with what is wrong."""
    second = data.get("second_factor", {}).get("roles", [])
    minutes = data.get("prove_again", {}).get("minutes", 10)
    claims = data.get("single_sign_on", {})
    groups, claim = claims.get("roles", {}), claims.get("claim", "groups")
    if not isinstance(second, list) or (unknown := [r for r in second if r not in roles]):
        raise ValueError(f"[second_factor] roles: {unknown[0] if isinstance(second, list) else second!r} is no role")
    if type(minutes) is not int or not 1 <= minutes <= 120:
        raise ValueError("[prove_again] minutes: give a whole number from 1 to 120")
    if not isinstance(claim, str) or not claim:
        raise ValueError("[single_sign_on] claim: give the claim's name")
    for group, role in groups.items():
        if role not in people:
            raise ValueError(f"[single_sign_on.roles] {group}: {role!r} is no role of a person")
    return SignIn(frozenset(second), minutes, claim, dict(groups))
