"""The acts of changing the rules: work on a change, propose it for a day, a second person's yes or no, calling it off.

They are deeds of the house. What is agreed rules from its day on; every running process takes it up within seconds.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from careline.acts.declare import ActType, Done, Id, Input, Scene, Words
from careline.acts.laws import faults
from careline.acts.network import sensible, written
from careline.domain.journal import rules as journal
from careline.domain.rulebook import operations, queries
from careline.domain.rulebook.rules import State, changed, merged
from careline.foundation.act import Act
from careline.foundation.refusal import refuse
from careline.foundation.rulebook import SUFFIXES, Rulebook, RulebookFault

Moment = Annotated[AwareDatetime, BeforeValidator(written), AfterValidator(sensible)]
LONGEST = timedelta(days=366)
NAME = re.compile(rf"[a-zA-Z0-9_][\w./-]{{0,100}}({'|'.join(re.escape(s) for s in sorted(SUFFIXES))})", re.ASCII)
LARGEST, MOST_FILES = 400_000, 300  # characters of one file, files of a bundle


def _files(value: Any) -> Any:
    """Files by their place in the rulebook, nothing that could be anywhere else; lines end as in a text file."""
    for name, text in value.items():
        if not NAME.fullmatch(name) or ".." in name:
            raise ValueError(f"{name[:60]} is no file of a rulebook ({', '.join(sorted(SUFFIXES))}).")
        if text is not None and len(text) > LARGEST:
            raise ValueError(f"{name}: larger than {LARGEST // 1000} kB.")
    if len(value) > MOST_FILES:
        raise ValueError(f"More than {MOST_FILES} files.")
    return {name: text if text is None else text.replace("\r\n", "\n").rstrip() + "\n" for name, text in value.items()}


Changes = Annotated[dict[str, str | None], AfterValidator(_files)]


class Draft(Input):
    """Begin a change or go on with one's own (`proposal`). `changes`: whole files by name; null takes one away."""

    proposal: Id | None = None
    title: Annotated[str, Field(min_length=1, max_length=120)]
    changes: Changes = {}


class Propose(Input):
    """Lay a change before a second person. `from_at` left out: from their yes on."""

    proposal: Id
    words: Annotated[str, Field(min_length=1, max_length=4000)]
    from_at: Moment | None = None


class Second(Input):
    proposal: Id
    yes: bool
    answer: Words = ""


class OfProposal(Input):
    proposal: Id


def _row(given: Any) -> Any:
    row = queries.proposal(given.proposal)
    if row is None:
        raise refuse("NOT_FOUND", "There is no such change.")
    return row


def draft(act: Act, given: Draft, scene: Scene) -> Done:
    old = None if given.proposal is None else _row(given)
    base = scene.rulebook.digest if old is None else old.base
    files = queries.opened(base).files
    before = {} if old is None else old.change_data
    changes = changed(files, merged(files, {**before, **given.changes}))
    row = operations.draft(act=act, proposal_id=given.proposal, title=given.title, base=base, changes=changes)
    return _done(row, f"Worked on a change of the rulebook: {len(changes)} file{'s' if len(changes) != 1 else ''}", {"files": sorted(changes)}, {"title": row.title})


def _checked(row: Any) -> Rulebook:
    """The bundle that a change makes. Raises Refused with what is wrong with it."""
    if not row.change_data:
        raise refuse("INVALID", "Nothing is changed yet.", fields={"proposal": "Change a file first."})
    book = Rulebook(merged(queries.opened(row.base).files, row.change_data))
    found = faults(book)
    if found:
        raise refuse("INVALID", found[0], fields={"proposal": found[0]})
    return book


def propose(act: Act, given: Propose, scene: Scene) -> Done:
    row = _row(given)
    book = _checked(row)
    if given.from_at is not None and not act.at - timedelta(minutes=5) <= given.from_at <= act.at + LONGEST:
        raise refuse("INVALID", "Choose a day from now on, within a year.", fields={"from_at": "Choose a day from now on, within a year."})
    row = operations.propose(act=act, proposal_id=row.pk, rulebook=book, words=given.words, from_at=given.from_at)
    when = f" from {row.from_at.isoformat()}" if row.from_at else ""
    return _done(row, f"Proposed rulebook {book.digest[:12]}{when}", {"rulebook": book.digest, "files": sorted(row.change_data)}, {"title": row.title, "words": given.words})


def second_facts(scene: Scene, act: Act, given: Second) -> dict[str, Any]:
    row = _row(given)
    return {"proposal": {"mine": row.by == act.who.key, "stale": given.yes and queries.stale(row, act.at)}}


def second(act: Act, given: Second, scene: Scene) -> Done:
    row = _row(given)
    if not given.yes:
        if not given.answer:
            raise refuse("INVALID", "Say why not, in a word or two.", fields={"answer": "Say why not."})
        row = operations.answer(act=act, proposal_id=row.pk, state=State.DECLINED, answer=given.answer)
        return _done(row, f"Declined rulebook {row.digest[:12]}, proposed by {row.by_name}", {"rulebook": row.digest}, {"answer": given.answer})
    book = queries.opened(row.digest)
    found = faults(book)  # the house may have been brought up to date since
    if found:
        raise refuse("CONFLICT", f"It cannot be used any more: {found[0]}", rule="rulebook-fault")
    row = operations.answer(act=act, proposal_id=row.pk, state=State.AGREED, answer=given.answer)
    from_at = max(act.at, row.from_at or act.at)
    try:
        operations.activate(act=act, rulebook=book, from_at=from_at, seconded_by=act.who.key, activated_by=row.by, proposal_id=row.pk)
    except RulebookFault as fault:
        raise refuse("CONFLICT", str(fault), rule="rulebook-fault") from fault
    say = f"Said yes to rulebook {book.digest[:12]}, proposed by {row.by_name}; in force {_when(from_at, act.at)}"
    return _done(row, say, {"rulebook": book.digest, "from": from_at.isoformat(), "by": row.by}, {"answer": given.answer} if given.answer else None)


def _when(from_at: datetime, now: datetime) -> str:
    return "from now on" if from_at <= now else f"from {from_at.isoformat()}"


def withdraw(act: Act, given: OfProposal, scene: Scene) -> Done:
    """Take back what one proposed, or call off what is agreed and not begun yet: what rules until then goes on."""
    row = _row(given)
    if row.state == State.AGREED:
        row = operations.call_off(act=act, proposal_id=row.pk)
        return _done(row, f"Called off rulebook {row.digest[:12]} before its day", {"rulebook": row.digest}, None)
    if row.by != act.who.key:
        raise refuse("AUTHORITY", f"{row.by_name} works on this. Decline it, or leave it to them.", rule="not-your-change")
    row = operations.answer(act=act, proposal_id=row.pk, state=State.WITHDRAWN, answer="")
    return _done(row, "Withdrew a change of the rulebook", {"rulebook": row.digest}, None)


def take_up(act: Act, given: OfProposal, scene: Scene) -> Done:
    """Make the same change once more on what is in force now. A file that changed meanwhile is left to be changed again."""
    row = _row(given)
    then, now = queries.opened(row.base).files, scene.rulebook.files
    changes = {name: text for name, text in row.change_data.items() if then.get(name) == now.get(name)}
    left = sorted(set(row.change_data) - set(changes))
    new = operations.draft(act=act, proposal_id=None, title=row.title, base=scene.rulebook.digest, changes=changed(now, merged(now, changes)))
    again = f"; to be changed again: {', '.join(left)}" if left else ""
    return _done(new, f"Took up a change of the rulebook again{again}", {"again": left, "of": str(row.pk)}, {"title": row.title})


def go_back(act: Act, given: GoBack, scene: Scene) -> Done:
    """A change that makes the rulebook what it was."""
    book = queries.known(given.digest)
    if book is None or not queries.ruled(given.digest):
        raise refuse("NOT_FOUND", "There was no such rulebook in force.")
    changes = changed(scene.rulebook.files, book.files)
    row = operations.draft(act=act, proposal_id=None, title=f"Back to {given.digest[:12]}", base=scene.rulebook.digest, changes=changes)
    return _done(row, f"Began a change back to rulebook {given.digest[:12]}", {"rulebook": given.digest}, None)


class GoBack(Input):
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _done(row: Any, say: str, data: dict[str, Any], payload: dict[str, Any] | None) -> Done:
    return Done(say, {"proposal": str(row.pk)}, data={"proposal": str(row.pk), **data}, payload=payload, chain=journal.HOUSE)


ACTS = [
    ActType("rulebook.draft", "Work on a change of the rules", Draft, draft),
    ActType("rulebook.propose", "Propose a change of the rules", Propose, propose),
    ActType("rulebook.second", "Say yes or no to a change of the rules", Second, second, facts=second_facts, opening={"proposal": {"mine": False, "stale": False}}),
    ActType("rulebook.withdraw", "Take a change of the rules back", OfProposal, withdraw),
    ActType("rulebook.take_up", "Take a change up again", OfProposal, take_up),
    ActType("rulebook.go_back", "Go back to an earlier rulebook", GoBack, go_back),
]
