"""Trying a changed rulebook on the decisions of the last months: what would have been answered otherwise, to whom.

Each decision is asked again by itself under both rulebooks, on the facts that it was made on, with the numbers of each. What
would have followed from another answer (a credit not given leaves room for the next) is not played on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from careline.acts import table
from careline.acts.perform import resource
from careline.domain.journal import queries as journal
from careline.domain.rulebook import queries as rulebooks
from careline.domain.rulebook.rules import carried
from careline.foundation.act import Who
from careline.foundation.authority import Question, Verdict
from careline.foundation.rulebook import Rulebook

MOST = 4000  # decisions that are asked again: about two seconds of one processor
EXAMPLES = 5


@dataclass(frozen=True)
class Case:
    """One decision that would have come out otherwise."""

    at: datetime
    who: str
    role: str
    account_id: int | None
    amount_minor: int | None


@dataclass
class Turn:
    """Decisions that turn in the same way: by which rule, and who could have done it then. `needs` empty: nobody."""

    code: str
    title: str
    was: str
    rule: str
    say: str
    cite: str
    needs: str
    count: int = 0
    cases: list[Case] = field(default_factory=list)

    @property
    def stricter(self) -> bool:
        return bool(self.rule) and not self.was


@dataclass(frozen=True)
class Trial:
    """What a trial found. `asked` of `whole` decisions, `since` the first of them; `unasked`: facts that one of both cannot read."""

    asked: int
    whole: int
    since: datetime | None
    unasked: int
    turns: tuple[Turn, ...]

    def count(self, stricter: bool) -> int:
        return sum(t.count for t in self.turns if t.stricter is stricter)


def trial(base: str, new: str, at: datetime) -> Trial:
    """Try one stored bundle beside another. The answer is remembered until another decision is made."""
    return _tried(base, new, journal.last_decision(), at.replace(minute=0, second=0, microsecond=0))


@lru_cache(maxsize=16)
def _tried(base: str, new: str, last: int, hour: datetime) -> Trial:
    rows, whole, first = journal.decisions(hour - timedelta(days=days(rulebooks.opened(base))), MOST)
    return played(rulebooks.opened(base), rulebooks.opened(new), rows, whole, first)


def whole_trial(base: Rulebook, new: Rulebook, at: datetime) -> Trial:
    """Try one rulebook beside another on every decision that is kept, which may take minutes: for a command, not for a page."""
    rows, whole, first = journal.every_decision(at - timedelta(days=days(base)))
    return played(base, new, rows, whole, first)


def days(book: Rulebook) -> int:
    """How far a trial looks back; a rulebook from before there were trials says nothing of it."""
    return int(book.limits.get("trial", {}).get("days", 90))


def played(base: Rulebook, new: Rulebook, rows: Iterable[Any], whole: int, first: datetime | None) -> Trial:
    """The trial itself, on rows of decisions."""
    files = {base.digest: _Files(base), new.digest: _Files(new)}
    turns: dict[tuple[str, ...], Turn] = {}
    asked = unasked = 0
    for row in rows:
        kind = table.acts().get(row.code)
        then = files.get(row.rulebook)
        if then is None:
            book = rulebooks.known(row.rulebook)
            then = files[row.rulebook] = _Files(book) if book is not None else files[base.digest]
        if kind is None:
            continue
        asked += 1
        facts = row.fact_data
        before = _ask(files[base.digest], row, row.role, carried(facts, kind.numbers, then, files[base.digest], row.role))
        after = _ask(files[new.digest], row, row.role, carried(facts, kind.numbers, then, files[new.digest], row.role))
        if before.fault or after.fault:
            unasked += 1
            continue
        if (before.allowed, _rule(before)) == (after.allowed, _rule(after)):
            continue
        needs = "" if after.allowed else _needs(files[new.digest], then, row, kind.numbers)
        key = (row.code, _rule(before), _rule(after), needs)
        turn = turns.get(key)
        if turn is None:
            said = after.rules[0] if after.rules else None
            turn = turns[key] = Turn(
                row.code, kind.title, _rule(before), _rule(after), said.say if said else "", said.cite if said else "", needs
            )
        turn.count += 1
        if len(turn.cases) < EXAMPLES:
            amounts = [record["amount"] for record in facts.values() if isinstance(record, Mapping) and type(record.get("amount")) is int]
            turn.cases.append(Case(row.at, row.who, row.role, row.account_id, amounts[0] if amounts else None))
    found = sorted(turns.values(), key=lambda t: (not t.stricter, -t.count, t.code))
    return Trial(asked, whole, first, unasked, tuple(found))


class _Files(dict[str, Any]):
    """The parsed files of a rulebook, each read when it is first asked for."""

    def __init__(self, book: Rulebook) -> None:
        super().__init__()
        self.book = book

    def get(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self[name] = self.book.toml(name) if name in self.book.files else default
        return self[name]


def _rule(verdict: Verdict) -> str:
    """Empty for a yes; the rule that refuses; or that the role has no such act."""
    return "" if verdict.allowed else verdict.rules[0].id if verdict.rules else "not-your-role"


def _ask(files: _Files, row: Any, role: str, facts: Mapping[str, Any]) -> Verdict:
    book = files.book
    if role not in book.ranks:
        return Verdict(False, fault=f"no role {role}")
    kind, _, _ = row.who.partition(":")
    # A fresh holder of the role: who it was decides nothing beyond that, and so equal questions are asked once.
    return book.authority.decide(Question(Who(kind, f"role:{role}", role, role), row.code, resource(0 if row.account_id else None), facts))


def _needs(new: _Files, then: _Files, row: Any, numbers: Mapping[str, str]) -> str:
    """The lowest role above whose holder could have done it under the new rules."""
    for role in new.book.authority.higher(row.role) if row.role in new.book.ranks else ():
        facts = carried(row.fact_data, numbers, then, new, row.role, role)
        if _ask(new, row, role, facts).allowed:
            return role
    return ""
