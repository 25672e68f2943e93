"""Walking: begin, answer, take back, close. Authority was asked before; what cannot be is refused here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from careline.domain.diagnosis import queries
from careline.domain.diagnosis.models import Answer, Walk
from careline.domain.diagnosis.rules.belief import Event, Tried
from careline.domain.diagnosis.rules.learn import seen
from careline.domain.diagnosis.rules.mislead import misled
from careline.domain.diagnosis.rules.walk import Unfitting, from_json, to_json
from careline.domain.journal.operations import next_numbers
from careline.foundation.act import Act
from careline.foundation.refusal import refuse

MOST_ANSWERS = 200


@dataclass(frozen=True, slots=True)
class Source:
    """Where an answer comes from: who said so, when it was known, and what else is shown with it (`Answer.note`)."""

    name: str
    as_of: datetime | None = None
    note: dict[str, Any] = field(default_factory=dict)


def start(*, act: Act, account_id: int, line_id: int | None, guide: str, digest: str, words: str, complaint: str) -> Walk:
    """Begin a walk on a line, or on the account where the guide is about that, which has none open."""
    found = queries.guides(digest).get(guide)
    if found is None:
        raise refuse("INVALID", "There is no such guide in force. Choose one of the list.", fields={"guide": "Choose one."})
    if complaint and complaint not in {x.id for x in found.test.outcomes[:-1]}:
        raise refuse("INVALID", "That is nothing this guide's test shows.", fields={"complaint": "Choose one."})
    line_id = None if found.about == "account" else line_id
    if found.about == "line" and line_id is None:
        raise refuse("INVALID", "Choose the line that does not work.", fields={"line": "Choose one."})
    if Walk.objects.filter(account_id=account_id, line_id=line_id, state="open").exists():
        what = "this line" if line_id else "this account's bills and payments"
        raise refuse("CONFLICT", f"A walk is open for {what}. Go on with it, or leave it first.", rule="one-walk-a-line")
    return Walk.objects.create(
        number=next_numbers("walk", "WK")[0], account_id=account_id, line_id=line_id, contact_id=act.basis.contact_id,
        guide=guide, rulebook=digest, words=words, complaint=complaint, began=act.at, began_by=act.who.key,
    )  # fmt: skip


def _open(account_id: int, walk_id: int) -> Walk:
    row = queries.walk(walk_id)
    if row is None or row.account_id != account_id:
        raise refuse("NOT_FOUND", "There is no such walk on this account.")
    if row.state != "open":
        raise refuse("CONFLICT", "This walk has ended. Begin a new one.", rule="walk-ended")
    return row


def open_walk(*, account_id: int, walk_id: int) -> queries.Standing:
    """An open walk of this account as it stands."""
    return queries.standing(_open(account_id, walk_id))


def answer(
    *, act: Act, account_id: int, walk_id: int, rows: Sequence[Mapping[str, Any]], source: str,
    sources: Mapping[str, Source] | None = None,
) -> queries.Standing:  # fmt: skip
    """Add answers as one turn; `sources`: where each check's answer comes from, if not from `source`."""
    row = _open(account_id, walk_id)
    before = queries.standing(row)
    try:
        events = from_json(rows)
        before.walk.then(*events)
    except Unfitting as fault:
        raise refuse("INVALID", str(fault), fields={"answers": "Choose one of the answers."}) from fault
    _write(act, row, events, source, sources or {})
    return queries.standing(row)


def _write(act: Act, row: Walk, events: Sequence[Event], source: str, sources: Mapping[str, Source]) -> None:
    last = Answer.objects.filter(walk=row).order_by("-number").values_list("number", "turn").first() or (0, 0)
    if source in ("customer", "associate") and last[0] + len(events) > MOST_ANSWERS:  # what systems say is always taken in
        raise refuse("CONFLICT", "This walk is too long to go on with. Leave it and hand over.", rule="walk-too-long")
    given = [(what, sources.get(what.get("check", ""), Source(source))) for what in to_json(events)]
    Answer.objects.bulk_create(
        Answer(
            walk=row, number=last[0] + n, turn=last[1] + 1, what=what, contact_id=act.basis.contact_id, by=act.who.key, at=act.at,
            source=where.name, as_of=where.as_of, note=where.note,
        )
        for n, (what, where) in enumerate(given, 1)
    )  # fmt: skip


def undo(*, act: Act, account_id: int, walk_id: int) -> queries.Standing:
    """Take the last turn back that a person answered. What was done at the desk stays done and cannot be taken back here."""
    row = _open(account_id, walk_id)
    now = queries.standing(row)
    turns = [x for x in now.said if x.source not in ("account", "network", "device")]
    if not turns:
        raise refuse("CONFLICT", "There is no answer to take back.", rule="nothing-to-undo")
    turn = turns[-1].turn
    events = from_json([x.what for x in now.said if x.turn == turn])
    for event in events:
        if isinstance(event, Tried) and now.walk.guide.remedy_by_id[event.remedy].kind == "act" and event.outcome == "done":
            raise refuse("CONFLICT", "That was done at the desk. Undo the deed itself there; this walk goes on from how things are.", rule="done-stays-done")
    last = Answer.objects.filter(walk=row).order_by("-number").values_list("number", "turn")[0]
    for n, one in enumerate(sorted({x.turn for x in now.said if x.turn >= turn}), 1):  # probes read after it fall with it
        Answer.objects.create(
            walk=row, number=last[0] + n, turn=last[1] + n, undoes=one, what={}, source="associate", contact_id=act.basis.contact_id,
            by=act.who.key, at=act.at,
        )  # fmt: skip
    return queries.standing(row)


def close(*, act: Act, account_id: int, walk_id: int, leave: bool = False) -> queries.Standing:
    """End a walk that has come to its end (fixed or handed over), or leave it where it stands."""
    row = _open(account_id, walk_id)
    now = queries.standing(row)
    step = now.walk.step
    if not leave and step.kind not in ("done", "handover"):
        raise refuse("CONFLICT", "This walk has not come to its end. Go on, or leave it.", rule="walk-goes-on")
    state = "left" if leave else {"done": "fixed", "handover": "handover"}[step.kind]
    given = {x.turn for x in now.said if x.source == "customer"}  # what was read cost the customer nothing
    row.close(
        state=state, at=act.at, team=step.team if state == "handover" else "", causes=list(now.walk.fixed),
        remain=[x.cause for x in now.walk.suspects if x.probability >= 0.5], steps=min(len(given), 32000),
        seconds=int((act.at - row.began).total_seconds()), misled=list(misled(now.walk)),
        there={} if leave else {cause: round(p, 4) for cause, p in seen(now.walk).there.items()},
    )  # fmt: skip
    return queries.Standing(row, now.walk, now.said)


def mark_told(*, act: Act, account_id: int, walk_id: int) -> Walk:
    """The customer was sent what happened; once a walk."""
    row = queries.walk(walk_id)
    if row is None or row.account_id != account_id:
        raise refuse("NOT_FOUND", "There is no such walk on this account.")
    if row.told:
        raise refuse("CONFLICT", "This was sent already.", rule="told-once")
    row.told = True
    row.save(update_fields=["told"])
    return row


def follow_lines(*, act: Act, line_ids: Sequence[int], account_id: int) -> None:
    """Lines are another account's now: what was found of them is shown there and nowhere else."""
    Walk.objects.filter(line_id__in=line_ids).update(account_id=account_id)
