"""Why somebody opens an account without a customer on the line, and which patterns are worth a look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    AUDIT = "audit"
    GLASS = "glass"


@dataclass(frozen=True)
class Evidence:
    """One thing that was seen: when, what in a few words, and the account's id where it is about one."""

    at: datetime
    what: str
    account_id: int | None = None


@dataclass
class Pattern:
    """What is worth a look. It says nothing of guilt: most have a good reason, which the evidence shows."""

    kind: str
    staff_id: str
    count: int
    say: str
    evidence: list[Evidence] = field(default_factory=list)


@dataclass(frozen=True)
class Given:
    """One credit that was allowed: to whom, how much, and what its tightest limit left before it."""

    at: datetime
    who: str
    account_id: int | None
    amount_minor: int
    room_minor: int
    tied: bool


def room_of(credit: Mapping[str, Any]) -> int:
    """What the tightest limit left for a credit, from the facts that it was decided on (minor units)."""
    return min(int(credit[name]) for name in ("eventRoom", "reasonRoom", "windowRoom", "dayRoom"))


def just_under(given: Iterable[Given], percent: int, least: int) -> list[Pattern]:
    """People who often gave all, or nearly all, that a limit left: `percent` of it or more, `least` times or more."""
    found: dict[str, list[Given]] = {}
    for one in given:
        if one.room_minor > 0 and percent * one.room_minor <= 100 * one.amount_minor <= 100 * one.room_minor:
            found.setdefault(one.who, []).append(one)
    return [
        Pattern("just_under", who, len(rows), f"{len(rows)} credits of {percent} % or more of what a limit left",
                [Evidence(r.at, f"{_money(r.amount_minor)} of {_money(r.room_minor)}", r.account_id) for r in rows])
        for who, rows in found.items() if len(rows) >= least
    ]  # fmt: skip


def one_account(given: Iterable[Given], least: int) -> list[Pattern]:
    """One person, one account, `least` credits or more."""
    found: dict[tuple[str, int], list[Given]] = {}
    for one in given:
        if one.account_id is not None:
            found.setdefault((one.who, one.account_id), []).append(one)
    return [
        Pattern("one_account", who, len(rows), f"{len(rows)} credits to one account", [Evidence(r.at, _money(r.amount_minor), account) for r in rows])
        for (who, account), rows in found.items() if len(rows) >= least
    ]  # fmt: skip


def tied(given: Iterable[Given]) -> list[Pattern]:
    """Credits to accounts of people who work here."""
    found: dict[str, list[Given]] = {}
    for one in given:
        if one.tied:
            found.setdefault(one.who, []).append(one)
    return [
        Pattern("tied", who, len(rows), f"{len(rows)} credits to accounts of people who work here", [Evidence(r.at, _money(r.amount_minor), r.account_id) for r in rows])
        for who, rows in found.items()
    ]  # fmt: skip


def looked_only(looks: Iterable[tuple[str, str, datetime, int | None]], acted: set[str], least: int, percent: int) -> list[Pattern]:
    """People of whose opened accounts `percent` or more, and `least` or more, saw nothing done. `looks`: who, basis, when, account."""
    shown: dict[str, dict[str, tuple[datetime, int | None]]] = {}
    for who, basis, at, account in looks:
        shown.setdefault(who, {}).setdefault(basis, (at, account))
    found = []
    for who, bases in shown.items():
        idle = {basis: seen for basis, seen in bases.items() if basis not in acted}
        if len(idle) >= least and 100 * len(idle) >= percent * len(bases):
            say = f"{len(idle)} of {len(bases)} opened accounts with nothing done, noted or verified anew"
            found.append(Pattern("looked_only", who, len(idle), say, [Evidence(at, "account page opened", account) for at, account in idle.values()]))
    return found


def too_much(searches: Iterable[tuple[str, datetime, int, str]], hits: int, least: int) -> list[Pattern]:
    """People whose searches often found as many as a page holds. `searches`: who, when, how many, what was typed."""
    found: dict[str, list[Evidence]] = {}
    for who, at, count, text in searches:
        if count >= hits:
            found.setdefault(who, []).append(Evidence(at, f"{count} found for “{text}”" if text else f"{count} found"))
    return [Pattern("too_much", who, len(rows), f"{len(rows)} searches that found {hits} or more", rows) for who, rows in found.items() if len(rows) >= least]


def same_yes(decided: Iterable[tuple[str, str, str, datetime, bool, int | None]], least: int, percent: int) -> list[Pattern]:
    """People who got their yes from one and the same person of their own team. `decided`: asker, decider, the decider's name, when,
    whether they are one team, account."""
    by_asker: dict[str, list[tuple[str, str, datetime, bool, int | None]]] = {}
    for asker, decider, name, at, own_team, account in decided:
        by_asker.setdefault(asker, []).append((decider, name, at, own_team, account))
    found = []
    for asker, rows in by_asker.items():
        for decider in {row[0] for row in rows if row[3]}:
            mine = [row for row in rows if row[0] == decider]
            if len(mine) >= least and 100 * len(mine) >= percent * len(rows):
                say = f"{len(mine)} of {len(rows)} requests were agreed by {mine[0][1]}, of the same team"
                found.append(Pattern("same_yes", asker, len(mine), say, [Evidence(at, f"agreed by {name}", account) for _, name, at, _, account in mine]))
    return found


def _money(minor: int) -> str:
    from careline.foundation.money import shown

    return shown(minor)
