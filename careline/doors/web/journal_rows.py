"""Lines of the journal as rows of a page: who, what, on what basis, and what came of it, in the desk's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from careline.domain.contacts import queries as contacts
from careline.domain.journal import queries as journal

STATES = {"refused": "bad", "pending": "risk"}
OUTCOMES = {"looked": "shown"}


def rows_of(lines: Sequence[journal.Entry]) -> list[dict[str, Any]]:
    """A row for each of these lines, newest first; contacts by their references, in one question."""
    ended = over(lines)
    names = contacts.references_of([int(line.basis[8:]) for line in lines if line.basis.startswith("contact:")])

    def basis(line: journal.Entry) -> str | None:
        kind, _, name = line.basis.partition(":")
        return None if kind == "none" else names.get(int(name), line.basis) if kind == "contact" else f"{kind} {name}"

    return [
        {"at": line.at, "who": asked_by(line), "what": line.say, "basis": basis(line), "rule": line.data.get("rule"),
         "outcome": "begun" if line.id in ended else OUTCOMES.get(line.outcome, line.outcome),
         "state": None if line.id in ended else STATES.get(line.outcome),
         "detail": "; ".join(v for v in (line.payload or {}).values() if isinstance(v, str) and v.strip())[:200] or None}
        for line in lines
    ]  # fmt: skip


def asked_by(line: journal.Entry) -> str:
    return line.who_name + (f", asked by {line.asked_by}" if line.asked_by else "")


def over(lines: Sequence[journal.Entry]) -> set[int]:
    """Of lines newest first, those that say what was begun and whose end stands above them."""
    settled: set[tuple[str, str]] = set()
    found = set()
    for line in lines:
        if line.outcome == "pending" and (line.code, line.basis) in settled:
            settled.discard((line.code, line.basis))
            found.add(line.id)
        else:
            settled.add((line.code, line.basis))
    return found
