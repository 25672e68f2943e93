"""`look`: the twin of perform for reading. The first look at a section on a basis writes its line before anything is
shown; after that nothing. A refused look is journaled too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from careline.acts.declare import Scene
from careline.acts.perform import bare_facts, refusal_of, resource
from careline.domain.contacts import operations as contacts
from careline.domain.journal import operations as journal
from careline.domain.journal import queries as journal_queries
from careline.domain.journal import rules as journal_rules
from careline.domain.rulebook import queries as rulebooks
from careline.foundation.act import Act, Basis, Who
from careline.foundation.authority import Question
from careline.foundation.refusal import Refusal

SAY = {
    "view.contact": "Opened the contact",
    "view.account": "Opened the account page",
    "view.wrapup": "Opened the wrap-up",
    "view.journal": "Read the journal",
    "view.search": "Searched",
    "view.request": "Read a request",
    "view.staff": "Opened the staff page",
}


@dataclass(frozen=True)
class Looked:
    """Whether the section may be shown; `refusal` says why not."""

    refusal: Refusal | None
    at: datetime

    @property
    def allowed(self) -> bool:
        return self.refusal is None


def look(
    section: str,
    *,
    who: Who,
    scene: Scene | None = None,
    at: datetime | None = None,
    data: Mapping[str, Any] | None = None,
    payload: Mapping[str, Any] | None = None,
    every_time: bool = False,
    chain: str = "",
) -> Looked:
    """May this principal see `section` on this scene's basis? Writes the journal line before it answers yes.

    `every_time`: each look is a line of its own (searches). `chain`: where the line goes when there is no account.
    """
    now = at or timezone.now()
    rulebook = scene.rulebook if scene else rulebooks.current()
    basis = scene.basis if scene else Basis("none")
    facts = {"basis": dict(scene.facts) if scene else bare_facts()}
    verdict = rulebook.authority.decide(Question(who, section, resource(basis.account_id), facts))
    refusal = None if verdict.allowed else refusal_of(section, verdict, rulebook, who)
    if refusal is None and not every_time and journal_queries.looked(basis=basis.key, code=section, who=who):
        if scene is not None and scene.contact is not None:
            _stay_awake(scene.contact, now)
        return Looked(None, now)
    say = f"{SAY.get(section, section)}" if refusal is None else f"Was not shown {section}: {refusal.say}"
    act = Act(who, now, "", "", basis, rulebook=rulebook.digest)
    line_chain = chain or (
        journal_rules.account_chain(basis.account_id) if basis.account_id is not None else journal_rules.HOUSE
    )
    entry = journal_rules.Entry(
        line_chain,
        act,
        section,
        "looked" if refusal is None else "refused",
        say,
        dict(data or {}) | ({"rule": refusal.rule} if refusal else {}),
        dict(payload) if payload else None,
    )
    with transaction.atomic():
        journal.record(entry)
    if refusal is None and scene is not None and scene.contact is not None:
        _stay_awake(scene.contact, now)
    return Looked(refusal, now)


def _stay_awake(contact: Any, now: datetime) -> None:
    if now - contact.last_active > timedelta(seconds=60):
        contacts.touch(contact_id=contact.pk, at=now)
