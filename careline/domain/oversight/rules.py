"""Why somebody opens an account without a customer on the line, and which patterns are worth a look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from heapq import heappush, heappushpop
from typing import Any

SHOWN = 40  # pieces of evidence of a pattern that are shown; all are counted


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
    lines: list[tuple[datetime, int, str]] = field(default_factory=list)  # of the journal, from which the evidence is read


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


def looked_only(looks: Iterable[tuple[str, datetime, int, bool]], least: int, percent: int) -> list[Pattern]:
    """People of whose opened accounts `percent` or more, and `least` or more, saw nothing done. `looks`: who, when, line, whether something was
    done; each contact once."""
    opened, idle = Counter[str](), Counter[str]()
    newest: dict[str, Newest] = {}
    for who, at, line, acted in looks:
        opened[who] += 1
        if not acted:
            idle[who] += 1
            newest.setdefault(who, Newest()).add(at, line)
    return [
        Pattern("looked_only", who, count, f"{count} of {opened[who]} opened accounts with nothing done, noted or verified anew", lines=newest[who].found())
        for who, count in idle.items() if count >= least and 100 * count >= percent * opened[who]
    ]  # fmt: skip


def too_much(searches: Iterable[tuple[int, str, datetime, int]], hits: int, least: int) -> list[Pattern]:
    """People whose searches often found as many as a page holds. `searches`: line, who, when, how many."""
    count, newest = Counter[str](), dict[str, Newest]()
    for line, who, at, found in searches:
        if found >= hits:
            count[who] += 1
            newest.setdefault(who, Newest()).add(at, line, f"{found} found")
    return [
        Pattern("too_much", who, n, f"{n} searches that found {hits} or more", lines=newest[who].found()) for who, n in count.items() if n >= least
    ]  # fmt: skip


class Newest:
    """The newest lines of many that pass by, as many as a page shows."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, str]] = []

    def add(self, at: datetime, line: int, what: str = "") -> None:
        (heappush if len(self._heap) < SHOWN else heappushpop)(self._heap, (at, line, what))

    def found(self) -> list[tuple[datetime, int, str]]:
        return sorted(self._heap, reverse=True)


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
