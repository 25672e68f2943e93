"""Proving a guide: every set of causes simulated, with honest and with unreliable customers, against three rivals.

The rivals take the same cases with the same reading of outcomes: the **authored order** (checks as the guide lists them),
the **best fixed order** (checks by probability over cost, once), and the **floor** (the true causes known: their remedies
and one test). They stop when the test passes and test after each remedy.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from careline.domain.diagnosis.rules.belief import CANNOT_TELL, STUBBORN
from careline.domain.diagnosis.rules.guide import UNKNOWN, Check, Guide
from careline.domain.diagnosis.rules.simulate import Dice, Phone, Result, walk


def cases(guide: Guide, most: int, *, sample: int = 0, seed: int = 1, extra: int = 0) -> Iterator[tuple[str, ...]]:
    """Every set of up to `most` causes that may hold together and of which at least one breaks the phone; of them only a
    random `sample` if that is given, and `extra` larger sets."""
    names = [cause.id for cause in guide.causes if cause.id != UNKNOWN]
    dice = Dice(seed)

    def may(chosen: Iterable[str]) -> bool:
        chosen = tuple(chosen)
        groups = [guide.cause_by_id[x].group for x in chosen if guide.cause_by_id[x].group]
        if any(x in chosen for c in chosen for x in guide.cause_by_id[c].never_with):
            return False
        return len(groups) == len(set(groups)) and any(guide.cause_by_id[x].shows for x in chosen)

    found = [x for size in range(1, most + 1) for x in itertools.combinations(names, size) if may(x)]
    yield (UNKNOWN,)
    yield from (dice.some(found, sample) if sample and sample < len(found) else found)
    tries = 0
    while extra and tries < extra * 50 and len(names) > most + 1:
        tries += 1
        larger = tuple(sorted(dice.some(names, dice.one_of(range(most + 1, min(len(names), most + 5) + 1)))))
        if may(larger):
            extra -= 1
            yield larger


@dataclass
class Tally:
    """Sums over the cases of one sweep."""

    cases: int = 0
    right: int = 0
    steps: int = 0
    seconds: float = 0.0
    needless: int = 0
    wrong: list[Result] = field(default_factory=list)
    slowest: list[float] = field(default_factory=list)
    chosen: set[str] = field(default_factory=set)

    def add(self, result: Result) -> None:
        self.cases += 1
        self.right += result.right
        self.steps += result.steps
        self.seconds += result.seconds
        self.needless += bool(result.needless)
        self.slowest.append(result.slowest)
        if not result.right or result.needless:
            self.wrong.append(result)
        for event in result.events:
            self.chosen.add(getattr(event, "check", "") or getattr(event, "remedy", ""))

    def mean(self, value: float) -> float:
        return value / self.cases if self.cases else 0.0


def sweep(guide: Guide, found: Iterable[tuple[str, ...]], *, reliability: float | None = None, stubborn: float = STUBBORN, seed: int = 7, clock: Callable[[], float] = lambda: 0.0) -> Tally:
    """Walk every case. `reliability`: how often the customer's answers are right and steps are done; None is always.
    `stubborn`: the share of misreadings that are repeated."""
    model = guide if reliability is None else guide.with_reliability(reliability)
    tally = Tally()
    for n, causes in enumerate(found):
        phone = Phone(guide, set(causes), seed=seed * 100_003 + n, honest=reliability is None, reliability=reliability, stubborn=stubborn)
        tally.add(walk(guide, phone, model=model, clock=clock))
    return tally


def rival(guide: Guide, causes: tuple[str, ...], how: str) -> Result:
    """One case in a fixed order: `authored`, `ratio` (probability over cost), or `floor`."""
    phone = Phone(guide, set(causes))
    steps, seconds = 0, 0.0

    def give(cause: str, depth: int = 0) -> bool:
        """Its remedy, after those of the causes that must be gone first."""
        nonlocal steps, seconds
        for remedy in guide.remedies_for(cause):
            if any(x in phone.causes for x in remedy.not_with) or depth > 4:
                continue
            for before in remedy.first:
                if before in phone.causes:
                    give(before, depth + 1)
            phone.give(remedy.id)
            steps, seconds = steps + 1, seconds + remedy.seconds
            if cause not in phone.causes:
                return True
        return False

    def finish() -> None:
        nonlocal steps, seconds
        for remedy in guide.remedies:
            if remedy.finishes in phone.waiting.values() and remedy.finishes:
                phone.give(remedy.id)
                steps, seconds = steps + 1, seconds + remedy.seconds

    def test() -> bool:
        nonlocal steps, seconds
        steps, seconds = steps + 1, seconds + guide.test.seconds
        return phone.works

    needed = [x for x in causes if guide.cause_by_id[x].shows]
    if how == "floor":
        for cause in needed:
            if cause in phone.causes:
                give(cause)
        finish()
        if any(guide.remedies_for(x) for x in needed):
            test()
        return _ended(guide, phone, causes, steps, seconds)

    def cost(check: Check) -> float:
        screen = guide.screen_by_id.get(check.screen)
        return check.seconds + (screen.seconds if screen else 0.0) if check.kind != "probe" else 0.0

    order = list(guide.checks)
    if how == "ratio":
        order.sort(key=lambda x: -sum(guide.cause_by_id[c].prior for c in x.reads) / max(cost(x), 0.01))
    for _ in range(2):  # what was hidden the first time is read the second
        open_screen = ""
        for check in order:
            if not any(guide.cause_by_id[x].shows for x in check.reads):
                continue
            if check.kind != "probe":
                steps += check.screen != open_screen or not check.screen
                seconds += check.seconds + (0.0 if check.screen and check.screen == open_screen else cost(check) - check.seconds)
                open_screen = check.screen
            seen = phone.truth(check)
            if seen == CANNOT_TELL:
                continue
            row = check.outcomes[check.index(seen)]
            held = [x for x, _ in row.when if x in phone.causes and guide.cause_by_id[x].shows]
            if any(give(x) for x in held):
                finish()
                if test():
                    return _ended(guide, phone, causes, steps, seconds)
    for remedy in guide.remedies:
        if remedy.harmless and any(x in phone.causes for x in remedy.removes):
            phone.give(remedy.id)
            steps, seconds = steps + 1, seconds + remedy.seconds
    test()
    return _ended(guide, phone, causes, steps, seconds)


def _ended(guide: Guide, phone: Phone, causes: tuple[str, ...], steps: int, seconds: float) -> Result:
    left = {x for x in phone.causes if guide.cause_by_id[x].shows}
    right = phone.works or all(not guide.remedies_for(x) for x in left)
    return Result(causes, "done" if phone.works else "handover", right, steps, seconds, tuple(phone.needless), ())


@dataclass(frozen=True)
class Complaint:
    """Something about a guide that its author should know. `grave`: the guide should not be used like this."""

    says: str
    grave: bool = False


def complaints(guide: Guide, honest: Tally) -> list[Complaint]:
    """What is unreachable, contradictory or never chosen."""
    found: list[Complaint] = []
    read = {x for check in guide.checks for x in check.reads}
    for cause in guide.causes:
        if cause.id == UNKNOWN:
            continue
        blind = any(x.harmless for x in guide.remedies_for(cause.id))
        if cause.id not in read and not blind:
            found.append(Complaint(f'"{cause.id}": no check reads it and no harmless remedy removes it, so it is never found.', grave=bool(guide.remedies_for(cause.id))))
    for check in guide.checks:
        if check.id not in honest.chosen:
            found.append(Complaint(f'"{check.id}" is never asked in any case.'))
    for remedy in guide.remedies:
        if remedy.id not in honest.chosen:
            found.append(Complaint(f'"{remedy.id}" is never given in any case.'))
        for cause in remedy.first:
            if not guide.remedies_for(cause) and not guide.cause_by_id[cause].handover:
                found.append(Complaint(f'"{remedy.id}" needs "{cause}" gone, and nothing removes that.', grave=True))
    for result in honest.wrong[:12]:
        what = "ended wrong" if not result.right else "something was changed needlessly"
        needless = f" ({', '.join(result.needless)})" if result.needless else ""
        found.append(Complaint(f"{' + '.join(result.causes)}: {what}{needless}; verdict {result.verdict} after {result.steps} steps.", grave=True))
    if len(honest.wrong) > 12:
        found.append(Complaint(f"... and {len(honest.wrong) - 12} more cases.", grave=True))
    return found
