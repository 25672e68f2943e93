"""Simulated customers: a phone with known causes that answers exactly what is asked, honestly or not always.

The phone lives by the guide's own tables, so that a walk proves the guide and the engine against each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from careline.domain.diagnosis.rules.belief import (
    CANNOT_TELL,
    ECHO,
    STUBBORN,
    STUBBORN_REWORDED,
    Event,
    Reading,
    Tried,
)
from careline.domain.diagnosis.rules.guide import Check, Guide, Remedy
from careline.domain.diagnosis.rules.policy import Step, next_step

T = TypeVar("T")


class Dice:
    """Chances that are the same for the same seed on every machine: SHA-256 of the seed and a counter."""

    def __init__(self, seed: object) -> None:
        self.seed, self.rolled = seed, 0

    def chance(self) -> float:
        """A number from 0 up to but not 1."""
        self.rolled += 1
        digest = hashlib.sha256(f"{self.seed}/{self.rolled}".encode()).digest()
        return int.from_bytes(digest[:7], "big") / (1 << 56)

    def one_of(self, things: Sequence[T]) -> T:
        return things[int(self.chance() * len(things))]

    def some(self, things: Sequence[T], size: int) -> list[T]:
        """`size` of the things, none twice, in their order."""
        ranked = sorted(range(len(things)), key=lambda _: self.chance())
        return [things[i] for i in sorted(ranked[:size])]


@dataclass
class Phone:
    """The truth: the causes that hold, those that wait for something, and how the customer answers.

    `honest`: answers are always what is so, remedies are done when they are said to be, and work. Otherwise answers are
    right as often as `reliability` says (or the check's own), and the share `stubborn` of misreadings is repeated.
    """

    guide: Guide
    causes: set[str]
    seed: int = 0
    honest: bool = True
    reliability: float | None = None
    stubborn: float = STUBBORN
    waiting: dict[str, str] = field(default_factory=dict)
    needless: list[str] = field(default_factory=list)
    habits: dict[str, str] = field(default_factory=dict)
    stuck: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.dice = Dice(self.seed)

    def truth(self, check: Check) -> str:
        holds = self.causes | {x for x in self.waiting if self._still_shows(check, x)}
        if any(x in self.causes for x in check.hidden_by):
            return check.hidden or CANNOT_TELL
        for outcome in check.outcomes[:-1]:
            for cause, chance in outcome.when:
                if cause in holds and (chance >= 1 or (self.honest and chance >= 0.5) or (not self.honest and self.dice.chance() < chance)):
                    return outcome.id
        return check.outcomes[-1].id

    def _still_shows(self, check: Check, cause: str) -> bool:
        """Does a cause that waits for a restart still show here? The test sees it, the books do not; the phone says one or
        the other, the same each time it is asked."""
        if check is self.guide.test or (check.kind == "probe" and self.guide.cause_by_id[cause].lives == "account"):
            return check is self.guide.test
        return Dice(f"{self.seed}/{check.id}/{cause}").chance() < ECHO

    def answer(self, name: str, wording: int = 0) -> Reading:
        check = self.guide.check_by_id[name]
        true = self.truth(check)
        if self.honest or check.kind == "probe" or true == CANNOT_TELL:
            return Reading(name, true, wording)
        right = check.reliability if self.reliability is None else self.reliability
        if name in self.habits:
            share = 1.0 if wording == 0 else STUBBORN_REWORDED / STUBBORN
            if self.dice.chance() < share:
                return Reading(name, self.habits[name], wording)
        if self.dice.chance() < right:
            return Reading(name, true, wording)
        said = self.dice.one_of([x.id for x in check.outcomes if x.id != true])
        if self.dice.chance() < self.stubborn:
            self.habits[name] = said
        return Reading(name, said, wording)

    def give(self, name: str) -> Tried:
        remedy = self.guide.remedy_by_id[name]
        held = [x for x in remedy.removes if x in self.causes]
        if remedy.removes and not remedy.finishes and not remedy.harmless and not held:
            self.needless.append(name)
        if any(x in self.causes for x in remedy.not_with):
            self.needless.append(f"{name}!")
        if any(x in self.causes for x in remedy.first):
            return Tried(name, "failed")
        right = remedy.reliability if self.reliability is None or remedy.kind != "do" else self.reliability
        if not self.honest and self.dice.chance() >= right:
            return Tried(name, "done")  # says so
        for cause in held:
            if (name, cause) in self.stuck:
                continue
            if not self.honest and self.dice.chance() >= remedy.works:
                if not remedy.repeats:
                    self.stuck.add((name, cause))
                continue
            self.causes.discard(cause)
            if remedy.leaves:
                self.waiting[cause] = remedy.leaves
        if remedy.finishes:
            self.waiting = {c: w for c, w in self.waiting.items() if w != remedy.finishes}
        return Tried(name, "done")

    @property
    def works(self) -> bool:
        return self.truth_works(self.causes | set(self.waiting))

    def truth_works(self, holds: Iterable[str]) -> bool:
        return not any(self.guide.cause_by_id[x].shows for x in holds)


@dataclass(frozen=True)
class Result:
    """How a simulated walk ended. `right`: fixed when it could be, handed over when something is left that must be."""

    causes: tuple[str, ...]
    verdict: str
    right: bool
    steps: int
    seconds: float
    needless: tuple[str, ...]
    events: tuple[Event, ...]
    slowest: float = 0.0


def _closed(phone: Phone, remedy: Remedy, cause: str, left: set[str]) -> bool:
    """This remedy could not have helped: it was done and does not work on this phone, or it must not be given here."""
    return (remedy.id, cause) in phone.stuck or bool(left & set(remedy.not_with))


def walk(
    guide: Guide, phone: Phone, *, model: Guide | None = None, most: int = 200, clock: Callable[[], float] = lambda: 0.0
) -> Result:
    """Let the engine help this phone. `model` is the guide that the engine believes in, if not the phone's own; `clock`
    times the choosing of steps."""
    start = tuple(sorted(phone.causes))
    events: list[Event] = []
    seconds, asked, slowest = 0.0, 0, 0.0
    step = Step("none", "")
    for _ in range(most):
        began = clock()
        step = next_step(model or guide, events)
        slowest = max(slowest, clock() - began)
        if step.kind in ("done", "handover"):
            break
        if step.kind != "probe":
            asked += 1
            seconds += step.seconds
        if step.kind == "remedy":
            events.append(phone.give(step.id))
        else:
            events += [phone.answer(name, step.wording) for name in step.checks]
    left = {x for x in phone.causes if guide.cause_by_id[x].shows}
    unfixable: set[str] = set()
    for _ in left:  # what needs something gone that cannot be fixed cannot be fixed either
        unfixable = {x for x in left if all(_closed(phone, r, x, left) or unfixable & set(r.first) for r in guide.remedies_for(x))}
    ended = step.kind == "handover" and any(guide.cause_by_id[x].ends for x in left)
    right = ended or (step.kind == "done" and phone.works) or (step.kind == "handover" and bool(unfixable) and left == unfixable)
    return Result(start, step.kind, right, asked, seconds, tuple(phone.needless), tuple(events), slowest)
