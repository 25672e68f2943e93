"""Working on a change, proposing it, and taking a bundle into force."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from careline.domain.rulebook import queries
from careline.domain.rulebook.models import Activation, Bundle, Proposal
from careline.domain.rulebook.rules import State
from careline.foundation.act import Act
from careline.foundation.refusal import refuse
from careline.foundation.rulebook import Rulebook


def _stored(act: Act, rulebook: Rulebook) -> Bundle:
    bundle, _ = Bundle.objects.get_or_create(
        digest=rulebook.digest, defaults={"files": json.dumps(dict(rulebook.files)), "stored_at": act.at}
    )
    return bundle


def activate(
    *, act: Act, rulebook: Rulebook, from_at: datetime, seconded_by: str, activated_by: str = "", proposal_id: int | None = None
) -> str:
    """Store a checked bundle and put it into force from a moment on. Returns its digest; raises RulebookFault."""
    rulebook.check()
    Activation.objects.create(
        bundle=_stored(act, rulebook), from_at=from_at, at=act.at, activated_by=activated_by or act.who.key, seconded_by=seconded_by, proposal_id=proposal_id
    )
    queries.forget()
    return rulebook.digest


def _locked(act: Act, proposal_id: int, *states: State) -> Proposal:
    row = Proposal.objects.select_for_update(no_key=True).filter(pk=proposal_id).first()
    if row is None:
        raise refuse("NOT_FOUND", "There is no such change.")
    if row.state not in states:
        by = f" by {row.decided_name}" if row.decided_name else ""
        raise refuse("CONFLICT", f"This change is {row.state.replace('_', ' ')}{by} already.")
    return row


def draft(*, act: Act, proposal_id: int | None, title: str, base: str, changes: Mapping[str, str | None]) -> Proposal:
    """Begin a change of one's own, or write down how far it is."""
    if proposal_id is None:
        return Proposal.objects.create(title=title, base=base, changes=json.dumps(changes), by=act.who.key, by_name=act.who.name, at=act.at)
    row = _locked(act, proposal_id, State.DRAFT)
    if row.by != act.who.key:
        raise refuse("AUTHORITY", f"{row.by_name} works on this. Begin a change of your own.", rule="not-your-change")
    row.title, row.changes, row.at = title, json.dumps(changes), act.at
    row.save(update_fields=["title", "changes", "at"])
    return row


def propose(*, act: Act, proposal_id: int, rulebook: Rulebook, words: str, from_at: datetime | None) -> Proposal:
    """Freeze a change as a bundle that somebody else can say yes to."""
    row = _locked(act, proposal_id, State.DRAFT)
    if row.by != act.who.key:
        raise refuse("AUTHORITY", f"{row.by_name} works on this. It is theirs to propose.", rule="not-your-change")
    row.digest = _stored(act, rulebook).digest
    row.state, row.words, row.from_at, row.at = State.WAITING, words, from_at, act.at
    row.save(update_fields=["digest", "state", "words", "from_at", "at"])
    return row


def answer(*, act: Act, proposal_id: int, state: State, answer: str) -> Proposal:
    """What became of a change that waited, or of a draft that its maker gives up; who comes second is told who was first."""
    row = _locked(act, proposal_id, *((State.WAITING, State.DRAFT) if state == State.WITHDRAWN else (State.WAITING,)))
    row.state, row.answer = state, answer
    row.decided_by, row.decided_name, row.decided_at = act.who.key, act.who.name, act.at
    row.save(update_fields=["state", "answer", "decided_by", "decided_name", "decided_at"])
    return row


def call_off(*, act: Act, proposal_id: int) -> Proposal:
    """Before its day an agreed change is called off: what rules then goes on ruling."""
    row = _locked(act, proposal_id, State.AGREED)
    if not queries.coming(row, act.at):
        raise refuse("CONFLICT", "It is in force already. Go back to an earlier rulebook instead.")
    row.decided_by, row.decided_name, row.decided_at = act.who.key, act.who.name, act.at
    row.state = State.CALLED_OFF
    row.save(update_fields=["state", "decided_by", "decided_name", "decided_at"])
    queries.forget()
    return row
