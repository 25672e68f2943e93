"""What a proposal can become, and how the facts of a past decision read under another rulebook."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class State(StrEnum):
    DRAFT = "draft"
    WAITING = "waiting"
    AGREED = "agreed"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    CALLED_OFF = "called_off"


def merged(files: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """The files of a bundle with a change in them; None takes a file away."""
    return {name: text for name, text in {**files, **changes}.items() if text is not None}


def changed(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str | None]:
    """What makes the new files of the old ones."""
    return {name: new.get(name) for name in sorted({*old, *new}) if old.get(name) != new.get(name)}


# ---------------------------------------------------------------- facts under another rulebook


def place(path: str, facts: Mapping[str, Any], role: str) -> tuple[str, tuple[str, ...], str]:
    """`limits.toml:credit.event.{role}` for a role and its facts: the file, the steps to the number, and after "=" the word that
    makes it true."""
    path, _, word = path.partition("=")
    name, _, steps = path.partition(":")

    def fill(match: re.Match[str]) -> str:
        value: Any = facts
        for step in match.group(1).split("."):
            value = value.get(step, "") if isinstance(value, Mapping) else ""
        return str(value)

    steps = steps.replace("{role}", role)
    return name, tuple(re.sub(r"\{([^}]+)\}", fill, steps).split(".")), word


def number(table: Any, steps: tuple[str, ...], word: str) -> int | bool | None:
    """What a rulebook's table says there: a number that is the same for every role ends the way early; what is not there is None."""
    for step in steps:
        if not isinstance(table, Mapping):
            break
        table = table.get(step)
    if word:
        return bool(table == word)
    return table if isinstance(table, bool | int) else None


def carried(facts: Mapping[str, Any], numbers: Mapping[str, str], old: Mapping[str, Any], new: Mapping[str, Any], role: str, as_role: str = "") -> dict[str, Any]:
    """The facts of a decision as another rulebook would have read them.

    `numbers`: which fact rests on which number; `old` and `new`: the parsed files of both rulebooks by name. What was used of a
    limit stays used: a room grows and shrinks by as much as its limit does. A room that was used up (0) is taken as just used up.
    """
    found: dict[str, Any] = {name: dict(record) if isinstance(record, Mapping) else record for name, record in facts.items()}
    for fact, path in numbers.items():
        record, _, name = fact.partition(".")
        if record not in found or name not in found[record]:
            continue
        file, steps, word = place(path, facts, role)
        _, to, _ = place(path, facts, as_role or role)
        before, after = number(old.get(file), steps, word), number(new.get(file), to, word)
        kept = found[record][name]
        if isinstance(kept, bool):
            found[record][name] = bool(after) if after is not None else kept
        elif before is not None or after is not None:
            found[record][name] = max(kept + int(after or 0) - int(before or 0), 0)
    return found
