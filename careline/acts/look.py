"""`look`: the twin of perform for reading. The first look at a section on a basis writes its line before anything is
shown; after that nothing. A refused look is journaled too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from careline import telemetry
from careline.acts.declare import Scene
from careline.acts.perform import bare_facts, refusal_of, resource, stay_awake
from careline.acts.verification import ways_there
from careline.domain.customers import queries as customers
from careline.domain.customers.queries import care
from careline.domain.journal import operations as journal
from careline.domain.journal import queries as journal_queries
from careline.domain.journal import rules as journal_rules
from careline.domain.rulebook import queries as rulebooks
from careline.foundation import cards
from careline.foundation.act import Act, Basis, Who
from careline.foundation.authority import Question
from careline.foundation.refusal import Refusal

SAY = {
    "view.contact": "Opened the contact",
    "view.account": "Opened the account page",
    "view.wrapup": "Opened the wrap-up",
    "view.money": "Opened the money page",
    "view.estimate": "Was shown what the next bill will be",
    "view.paper": "Opened a paper",
    "view.journal": "Read the journal",
    "view.search": "Searched",
    "view.request": "Read a request",
    "view.staff": "Opened the staff page",
    "view.guides": "Opened the guides",
    "view.rulebook": "Opened the rulebook",
    "view.supervision": "Opened supervision",
    "view.person": "Read what somebody did in a day",
    "view.opened": "Read the journal of an opened account",
    "view.export": "Took lines of the journal as a signed file",
    "view.glass": "Opened the page for emergencies",
    "view.proposal": "Opened a change of the rulebook",
    "view.who_may": "Asked who may do something",
    "view.account_limits": "Asked who may do something on this account",
    "view.pastdue": "Opened the past-due queue",
    "view.books": "Opened the books",
    "view.what_if": "Asked what a changed ladder would have done",
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
    if refusal is not None and scene is not None:
        refusal = replace(refusal, way_on=ways_there(refusal.way_on, scene, now))
    line_chain = chain or (
        journal_rules.account_chain(basis.account_id) if basis.account_id is not None else journal_rules.HOUSE
    )
    if refusal is None and not every_time and journal_queries.looked(
        basis=basis.key, code=section, who=who, chain=line_chain
    ):
        if scene is not None:
            stay_awake(scene, now)
        return Looked(None, now)
    say = f"{SAY.get(section, section)}" if refusal is None else f"Was not shown {section}: {refusal.say}"
    act = Act(who, now, "", "", basis, rulebook=rulebook.digest)
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
    telemetry.LOOKS.labels(section, entry.outcome).inc()
    if refusal is None and scene is not None:
        stay_awake(scene, now)
    return Looked(refusal, now)


@dataclass(frozen=True)
class Found:
    """What a search may show before anybody is verified, whether there was more, or why nothing is shown."""

    refusal: Refusal | None
    hits: tuple[customers.Hit, ...] = ()
    more: bool = False


def search(text: str, *, who: Who, scene: Scene | None = None, at: datetime | None = None) -> Found:
    """Look for an account. Each search is a line of its own in the house's chain, with the text as its payload; over the
    rulebook's hourly number it is refused, and the first of those refusals is written too."""
    now = at or timezone.now()
    rulebook = scene.rulebook if scene else rulebooks.current()
    if cards.card_numbers(text):
        return Found(Refusal("CARD_NUMBER", cards.MESSAGE, fields={"q": cards.MESSAGE}))
    most = rulebook.limits["search"]["per_hour"]
    used = journal_queries.count_since(who=who, code="view.search", since=now - timedelta(hours=1))
    if used >= most:
        say = f"You searched {most} times within an hour, which is all that one person may. Wait a little, or ask a lead."
        no = Refusal("TOO_MANY", say, rule="search-per-hour", cite="limits.toml: search.per_hour")
        if used == most:
            act = Act(who, now, "", "", scene.basis if scene else Basis("none"), rulebook=rulebook.digest)
            with transaction.atomic():
                journal.record(journal_rules.Entry(
                    journal_rules.HOUSE, act, "view.search", "refused", "Was not shown view.search: " + say, {"rule": no.rule}, None
                ))
        return Found(no)
    protected = who.role in rulebook.authority.roles_with("view.protected")
    hits, more = customers.find(text, rulebook.limits["search"]["results"], protected)
    if hits:
        hidden = care.kept_from([h.account_id for h in hits], who)
        hits = [h for h in hits if h.account_id not in hidden]
    looked = look(
        "view.search", who=who, scene=scene, at=now, every_time=True, chain=journal_rules.HOUSE,
        data={"hits": len(hits)}, payload={"text": text},
    )
    return Found(None, tuple(hits), more) if looked.allowed else Found(looked.refusal)
