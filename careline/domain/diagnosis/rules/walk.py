"""A walk: one caller's way through one guide, kept as its answers and nothing else.

The guide and the events give everything: what is believed, the next step with its words, what is established, how it
ended. The same guide and events always give the same, so a walk replays exactly, undo drops the last answer, and a walk in
progress goes on with the guide it began with, whatever the rulebook says meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from careline.domain.diagnosis.rules.belief import CANNOT_TELL, Belief, Event, Reading, Told, Tried, believe
from careline.domain.diagnosis.rules.guide import PLATFORM, Guide
from careline.domain.diagnosis.rules.policy import PROVEN, Step, next_step

TRIED = ("done", "claimed", "failed", "declined", "refused")


class Unfitting(ValueError):
    """An answer that fits nothing of the guide; the text says what would."""


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to be answered in a step: its words and the outcomes that it may have, in the order of the keys 1-9."""

    check: str
    say: str
    expect: str
    options: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A step with the words for it. `say` is read aloud; `questions` are answered; a remedy is answered with one of
    `options`."""

    step: Step
    title: str
    say: str
    expect: str = ""
    consent: str = ""
    questions: tuple[Question, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    act: str = ""
    inputs: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Suspect:
    cause: str
    title: str
    probability: float
    lives: str


# How somebody takes what they are told.
SAID = (("done", "They see it now"), ("claimed", "They knew it already"), ("failed", "They do not agree"), ("declined", "They would rather not"))
_NAMED = re.compile(r"\{([a-z0-9_.]+)\}")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one event established. `how`: read (a probe), seen (by the customer), tested, done, claimed, said (to them), told
    (by the associate), declined."""

    about: str
    says: str
    how: str


@dataclass(frozen=True)
class Walk:
    """`complaint`: the outcome of the test that the caller reports, empty when they only say that it fails. `platform`: of
    the line's phone (iPhone, Android), empty when nobody knows it; then the words name both ways."""

    guide: Guide
    events: tuple[Event, ...] = ()
    complaint: str = ""
    policy: tuple[tuple[str, str], ...] = ()  # numbers of the carrier that the words name: {price}
    platform: str = ""
    found: tuple[tuple[str, Any], ...] = ()  # what a check read beside its outcome: {bill.late_fee}, {bill.late_fee.amount}

    @property
    def belief(self) -> Belief:
        return believe(self.guide, self.events, self.complaint)

    @cached_property
    def step(self) -> Step:
        return next_step(self.guide, self.events, self.complaint)

    def then(self, *events: Event) -> Walk:
        """The walk after more answers. Raises Unfitting for one that the guide does not know."""
        for event in events:
            self._fits(event)
        return replace(self, events=(*self.events, *events))

    def undone(self, last: int = 1) -> Walk:
        """The walk as it was before its last answers."""
        return replace(self, events=self.events[: max(0, len(self.events) - last)])

    def _fits(self, event: Event) -> None:
        guide = self.guide
        if isinstance(event, Reading):
            check = guide.check_by_id.get(event.check)
            if check is None:
                raise Unfitting(f'The guide "{guide.id}" has no check "{event.check}".')
            outcomes = [x.id for x in check.outcomes]
            if event.outcome not in (*outcomes, CANNOT_TELL):
                raise Unfitting(f'"{event.check}" has no outcome "{event.outcome}". Use one of: {", ".join([*outcomes, CANNOT_TELL])}.')
        elif isinstance(event, Tried):
            if event.remedy not in guide.remedy_by_id:
                raise Unfitting(f'The guide "{guide.id}" has no remedy "{event.remedy}".')
            if event.outcome not in TRIED:
                raise Unfitting(f'A remedy ends as one of: {", ".join(TRIED)}; not "{event.outcome}".')
        elif event.cause not in guide.cause_index:
            raise Unfitting(f'The guide "{guide.id}" has no cause "{event.cause}".')

    # --- what is shown ---------------------------------------------------------------------------------------------------

    def words(self, text: str) -> str:
        """`text` with the carrier's numbers and what was found in it, and of the ways for a platform the one of this phone, or
        all of them. What a check did not find leaves no gap."""

        def way(found: re.Match[str]) -> str:
            other, on, say = found["else"] or "", found["on"], found["way"]
            if not self.platform:
                return f"{other} ({on}: {say})" if other else f"{on}: {say}"
            chosen = say if on == self.platform else other
            begins = found.string[: found.start()].rstrip()[-1:] in ("", ".", "?", "!", "]")
            return chosen[:1].upper() + chosen[1:] if begins else chosen

        if "[" in text:
            chosen = " ".join(PLATFORM.sub(way, text).split())
            text = chosen or replace(self, platform="").words(text)  # all of it is about another platform
        if "{" not in text:
            return text
        for name, value in (*self.policy, *self.found):
            text = text.replace("{" + name + "}", str(value))
        if self.guide.about == "account":
            for check in self.guide.checks:
                text = text.replace("{" + check.id + "}", "")
        return " ".join(text.split())

    def value(self, given: Any) -> Any:
        """An input of a remedy with the carrier's numbers in it; one that is a number alone comes out as a number, and
        one that is something found as it was found (None: it was not)."""
        if not isinstance(given, str):
            return given
        if (name := _NAMED.fullmatch(given)) and name[1].rpartition(".")[0] in self.guide.check_by_id:
            return dict(self.found).get(name[1])
        text = self.words(given)
        return float(text) if text != given and re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) else text

    @property
    def shown(self) -> Shown:
        """The next step with its words."""
        step, guide = self.step, self.guide
        if step.kind == "done":
            return Shown(step, guide.settled, "Say what it was, and how to keep it from happening.")
        if step.kind == "handover":
            return Shown(step, f"Hand over to {step.team}", "Say what was found, who takes it from here, and when they will hear.")
        if step.kind == "remedy":
            remedy = guide.remedy_by_id[step.id]
            say = remedy.again if step.wording and remedy.again else remedy.say
            options = (("done", "Done"), ("failed", "It did not work"), ("declined", "They would rather not"))
            if remedy.kind == "say":
                options = SAID
            elif remedy.kind == "do":
                options = (("done", "They did it"), ("claimed", "They did it already"), ("failed", "They cannot"), ("declined", "They would rather not"))
            return Shown(step, remedy.title, self.words(say), self.words(remedy.expect), self.words(remedy.consent), (), options, remedy.act, tuple((k, self.value(v)) for k, v in remedy.inputs))
        questions = []
        for name in step.checks:
            check = guide.check_by_id[name]
            say = check.again if step.wording and check.again else check.say
            options = (*((x.id, self.words(x.say)) for x in check.outcomes), (CANNOT_TELL, "Not available" if check.kind == "probe" else "Cannot tell"))
            questions.append(Question(name, self.words(say), self.words(check.expect), options))
        screen = guide.screen_by_id.get(step.id)
        if screen:
            return Shown(step, screen.title, self.words(screen.say), questions=tuple(questions))
        if step.kind == "probe":
            return Shown(step, "Read the account and the network", "", questions=tuple(questions))
        one = questions[0]
        check = guide.check_by_id[one.check]
        return Shown(step, check.title or ("Test it" if step.kind == "test" else "Ask"), one.say, one.expect, questions=(one,))

    @property
    def suspects(self) -> tuple[Suspect, ...]:
        """The causes by probability, most probable first, without circumstances and those under a thousandth."""
        found = [
            Suspect(c.id, c.title, float(p), c.lives)
            for c, p in zip(self.guide.causes, self.belief.present, strict=True)
            if p >= 0.001 and c.lives != "circumstance"
        ]
        return tuple(sorted(found, key=lambda x: (-x.probability, x.cause)))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What each answer said, and how it is known: observed by a system, seen by the customer, or only claimed."""
        found = []
        for event in self.events:
            if isinstance(event, Reading):
                check = self.guide.check_by_id[event.check]
                says = "Not available" if event.outcome == CANNOT_TELL else check.outcomes[check.index(event.outcome)].say
                how = {"probe": "read", "test": "tested"}.get(check.kind, "seen")
                found.append(Finding(check.title or self.words(check.say), self.words(says), how))
            elif isinstance(event, Tried):
                remedy = self.guide.remedy_by_id[event.remedy]
                if remedy.kind == "say":
                    found.append(Finding(remedy.title, dict(SAID).get(event.outcome, event.outcome.capitalize()), "said" if event.outcome in ("done", "claimed") else event.outcome))
                    continue
                how = "claimed" if event.outcome == "claimed" or (event.outcome == "done" and remedy.kind == "do") else event.outcome
                found.append(Finding(remedy.title, {"claimed": "Done, they say", "done": "Done", "failed": "Did not work"}.get(event.outcome, event.outcome.capitalize()), how))
            else:
                found.append(Finding(self.guide.cause_by_id[event.cause].title, "Yes" if event.present else "No", "told"))
        return tuple(found)

    @property
    def fixed(self) -> tuple[str, ...]:
        """The causes that were probably there and are gone, in the order of the remedies given."""
        given = [event.remedy for event in self.events if isinstance(event, Tried) and event.outcome in ("done", "claimed")]
        found: list[str] = []
        for name in given:
            for cause in self.guide.remedy_by_id[name].removes:
                if cause not in found and self.belief.of(cause) < 0.2 and self._was_there(cause):
                    found.append(cause)
        return tuple(found)

    def _was_there(self, cause: str) -> bool:
        """It was likely at the moment its remedy was given."""
        for i, event in enumerate(self.events):
            if isinstance(event, Tried) and cause in self.guide.remedy_by_id[event.remedy].removes and believe(self.guide, self.events[:i], self.complaint).of(cause) >= 0.4:
                return True
        return False

    @property
    def works(self) -> bool:
        """The phone works, proven by the test."""
        return self.step.kind == "done" and self.belief.works >= PROVEN


def to_json(events: Iterable[Event]) -> list[dict[str, Any]]:
    """The answers of a walk as plain values, for storage and for machines."""
    rows: list[dict[str, Any]] = []
    for event in events:
        if isinstance(event, Reading):
            rows.append({"check": event.check, "outcome": event.outcome} | ({"wording": event.wording} if event.wording else {}))
        elif isinstance(event, Tried):
            rows.append({"remedy": event.remedy, "outcome": event.outcome})
        else:
            rows.append({"cause": event.cause, "present": event.present} | ({} if event.reliability == 0.95 else {"reliability": event.reliability}))
    return rows


def from_json(rows: Iterable[Mapping[str, Any]]) -> tuple[Event, ...]:
    """The answers of a stored walk. Raises Unfitting for a row that is no answer."""
    events: list[Event] = []
    for row in rows:
        match row:
            case {"check": str(check), "outcome": str(outcome)}:
                events.append(Reading(check, outcome, 1 if row.get("wording") else 0))
            case {"remedy": str(remedy), "outcome": str(outcome)}:
                events.append(Tried(remedy, outcome))
            case {"cause": str(cause), "present": bool(present)}:
                events.append(Told(cause, present, _share(row.get("reliability", 0.95))))
            case _:
                raise Unfitting('An answer is {"check", "outcome"}, {"remedy", "outcome"} or {"cause", "present"}.')
    return tuple(events)


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.5 <= value < 1:
        raise Unfitting('"reliability" is a number from 0.5 to under 1.')
    return float(value)
