"""The carrier's policy on promises to pay, as a rulebook says it (arrangements.toml): read once, checked whole, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

WORDS: Final = {
    "charge": ("method",), "autopay": (), "autopay_off": (), "ask": (), "read_out": ("plan", "amount"), "not_held": (), "stopped": ("back",), "restoring": ("cost",), "late_fee": (), "fee": ("fee",), "broken": (), "agree": (), "hardship": (),
}  # fmt: skip


# Of sentences that came later, what is said where a bundle of before does not have them.
LATER: Final = {
    "stopped": "What is stopped on your lines now stays stopped until {back} of it is paid.",
    "restoring": "Having it back costs {cost} before tax, on the next bill.",
    "charge": "Each later part is charged to your {method} on its day. Tell us before that day if we shall not.",
    "autopay": "Autopay waits meanwhile.",
    "autopay_off": "Autopay waits meanwhile, and is switched off if a part does not come.",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one role may agree (minor units, days, counts); each is described in rulebook/default/arrangements.toml."""

    most: int
    days: int
    parts: int
    first_percent: int
    old_debt_first: bool
    tenure_days: int
    broken: int
    wait_days: int
    returned: int
    changes: int
    days_before: int


# Whoever has no row of their own may agree nothing: everything that can stop them does.
NOTHING: Final = Limits(
    most=0, days=0, parts=0, first_percent=100, old_debt_first=True, tenure_days=100_000, broken=0, wait_days=100_000, returned=0, changes=0,
    days_before=100_000,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Policy:
    """`words`: what is said, by name. `roles`: the limits of each role that has a row. `charge_from`: the hour of a part's day from which
    it may be charged to a saved method (None: none is), `charge_grace`: days more for a part that is. `autopay_off`: a broken one ends
    autopay."""

    least_owed: int
    history_days: int
    old_debt_days: int
    grace_days: int
    fee: int
    late_fees: bool
    roles: Mapping[str, Limits]
    words: Mapping[str, str]
    charge_from: int | None = None
    charge_grace: int = 0
    autopay_off: bool = False

    def of(self, role: str) -> Limits:
        return self.roles.get(role, NOTHING)

    def read_out(self, plan: str, amount: str, fee: str, method: str = "", autopay: bool = False, back: str = "", cost: str = "") -> str:
        """What is read to the caller before they agree: what they pay, what is held, what is not, and what ends it. `method`: what later
        parts are charged to; `autopay`: they have it; `back`: what has to be paid for lines to come back that are barred now and stay so, and
        `cost` the fee for that."""
        known = self.words
        said = [known["read_out"].format(plan=plan, amount=amount)]
        if back:
            said.append(known["stopped"].format(back=back))
            if cost:
                said.append(known["restoring"].format(cost=cost))
        if method:
            said.append(known["charge"].format(method=method))
        said.append(known["not_held"])
        if autopay:
            said.append(known["autopay_off" if self.autopay_off else "autopay"])
        if self.late_fees:
            said.append(known["late_fee"])
        if self.fee:
            said.append(known["fee"].format(fee=fee))
        return " ".join([*said, known["broken"], known["agree"]])


def read(data: Mapping[str, Any]) -> Policy:
    """The policy of a parsed arrangements.toml. Raises ValueError that names the place and says what is wrong."""
    for name in data:
        if name not in ("eligibility", "terms", "charge", "broken", "role", "words", "notice"):  # `notice`: of older bundles; contact_rules.toml says the hours now
            raise ValueError(f"the file does not know [{name}]")
    who, terms = (_table(data, name) for name in ("eligibility", "terms"))
    charge, broken = (_table(data, name) if name in data else {} for name in ("charge", "broken"))
    roles = _table(data, "role")
    if not roles:
        raise ValueError("[role.…] is missing: say for each role what it may agree")
    policy = Policy(
        least_owed=_whole(who, "eligibility", "least_owed", 1, 10**10),
        history_days=_whole(who, "eligibility", "history_days", 1, 3660),
        old_debt_days=_whole(who, "eligibility", "old_debt_days", 0, 3660),
        grace_days=_whole(terms, "terms", "grace_days", 0, 31),
        fee=_whole(terms, "terms", "fee", 0, 10**7),
        late_fees=_flag(terms, "terms", "late_fees"),
        roles={role: _limits(_table(roles, role, "role."), f"role.{role}") for role in roles},
        words=_words(_table(data, "words")),
        charge_from=_whole(charge, "charge", "from_hour", 0, 23) if charge else None,
        charge_grace=_whole(charge, "charge", "grace_days", 0, 5) if charge else 0,
        autopay_off=_flag(broken, "broken", "autopay_off") if broken else False,
    )
    for name, row, known in (
        ("eligibility", who, {"least_owed", "history_days", "old_debt_days"}),
        ("terms", terms, {"grace_days", "fee", "late_fees"}),
        ("charge", charge, {"from_hour", "grace_days"}),
        ("broken", broken, {"autopay_off"}),
    ):
        _known(row, name, known)
    return policy


def _limits(row: Mapping[str, Any], where: str) -> Limits:
    _known(row, where, {f.name for f in fields(Limits)})
    numbers = {
        name: _whole(row, where, name, 0, most)
        for name, most in (
            ("most", 10**10), ("days", 366), ("parts", 12), ("first_percent", 100), ("tenure_days", 3660), ("broken", 100), ("wait_days", 3660),
            ("returned", 100), ("changes", 100), ("days_before", 366),
        )
    }  # fmt: skip
    return Limits(old_debt_first=_flag(row, where, "old_debt_first"), **numbers)


def _words(row: Mapping[str, Any]) -> dict[str, str]:
    _known(row, "words", set(WORDS))
    found = {}
    for name, takes in WORDS.items():
        text = row.get(name, LATER.get(name))
        if not isinstance(text, str) or not text.strip() or len(text) > 400:
            raise ValueError(f"[words] {name}: a sentence of at most 400 characters")
        try:
            text.format(**dict.fromkeys(takes, ""))
        except (KeyError, IndexError, ValueError, AttributeError):
            raise ValueError(f"[words] {name} may hold {', '.join(f'{{{t}}}' for t in takes) or 'nothing'} in braces, and nothing else") from None
        found[name] = text
    return found


def _table(data: Mapping[str, Any], name: str, before: str = "") -> Mapping[str, Any]:
    row = data.get(name)
    if not isinstance(row, Mapping):
        raise ValueError(f"[{before}{name}] is missing")
    return row


def _known(row: Mapping[str, Any], where: str, names: set[str]) -> None:
    for name in row:
        if name not in names:
            raise ValueError(f"[{where}] does not know {name}")


def _whole(row: Mapping[str, Any], where: str, name: str, least: int, most: int) -> int:
    found = row.get(name)
    if type(found) is not int or not least <= found <= most:
        raise ValueError(f"[{where}] {name}: a whole number from {least} to {most}")
    return found


def _flag(row: Mapping[str, Any], where: str, name: str) -> bool:
    found = row.get(name)
    if not isinstance(found, bool):
        raise ValueError(f"[{where}] {name}: true or false")
    return found
