"""What is believed about the causes of a trouble after everything that was read, tried and claimed so far.

The belief is a weighted list of **worlds**. A world says for each variable (a cause, or a group of causes of which at most
one holds) how it went: absent from the start, present and still so, removed by this remedy, removed but waiting for a
restart, tried and not helped. It is computed anew from the whole walk, so undo is exact and order within an epoch does not
matter. Evidence that concerns one variable is absorbed before worlds are multiplied out, so that nine faults at once are
found as surely as one: what is dropped is dropped for its small mass after its own evidence, never for its size. The
dropped mass, over the mass that the rest of the evidence left, is a bound on the error of every probability (`bound`),
because no likelihood exceeds one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from careline.domain.diagnosis.rules.guide import Check, Guide, Remedy

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

CANNOT_TELL = "cannot_tell"
STUBBORN = 0.5  # the share of misreadings that a customer repeats when asked the same again
STUBBORN_REWORDED = 0.25  # and when asked in other words
CLAIMED = 0.6  # "I did that already" counts as this much of a step done with us
ECHO = 0.5  # a cause that is removed and waits for a restart still shows in a question about the phone this likely
SEEN_HIDDEN, UNSEEN_VISIBLE = 0.8, 0.05  # "cannot tell" when it is hidden, and when it is not
COMPLAINT = 0.97  # the customer who says that it does not work is right this often
SPECK = 0.01  # of DUST: a share of one variable's mass below this is dropped
DUST = 1e-8  # a world below this share of all worlds is dropped
SUREST = 0.9999  # nothing that is read, told or done counts as surer, so that contradictions leave a belief
LEAST = 1e-100  # the least likelihood of all readings of one check
FINE = 5e-3  # the bound that is aimed at; DUST is made finer until it holds, or MOST worlds are kept
MOST = 5_000
_MIX = np.random.default_rng(2026).integers(0, 2**63, (2, 1_000), dtype=np.uint64)  # keys that make equal worlds equal


@dataclass(frozen=True, slots=True)
class Reading:
    """A check's outcome (or `cannot_tell`), asked in these words (0 the first, 1 the others)."""

    check: str
    outcome: str
    wording: int = 0


@dataclass(frozen=True, slots=True)
class Tried:
    """A remedy's outcome: done, claimed (they did it before we asked), failed, declined, refused."""

    remedy: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Told:
    """Somebody who knows says that a cause holds or does not."""

    cause: str
    present: bool
    reliability: float = 0.95


Event = Reading | Tried | Told


@dataclass(frozen=True)
class Belief:
    """`now[w, c]`: cause c holds in world w. `waiting[w, c]`: it is removed but has yet to take effect. Worlds that are
    the same today are one row. `weight` sums to one. `bound`: no probability is off by more than this."""

    guide: Guide
    now: Bools
    waiting: Bools
    weight: Floats
    bound: float

    @cached_property
    def breaks(self) -> Bools:
        return np.array([bool(cause.shows) for cause in self.guide.causes])

    @cached_property
    def present(self) -> Floats:
        """The probability of each cause, in the guide's order."""
        found: Floats = self.weight @ self.now
        return found

    @cached_property
    def unfinished(self) -> Floats:
        """The probability that each cause is removed but waits for something, such as a restart."""
        found: Floats = self.weight @ self.waiting
        return found

    @cached_property
    def broken(self) -> Bools:
        """For each world: something breaks the phone."""
        found: Bools = ((self.now | self.waiting) & self.breaks).any(axis=1)
        return found

    @cached_property
    def works(self) -> float:
        return float(self.weight @ ~self.broken)

    def of(self, cause: str) -> float:
        return float(self.present[self.guide.cause_index[cause]])

    def hidden(self, check: Check) -> float:
        """The probability that this check cannot be read now."""
        if not check.hidden_by or check.hidden:
            return 0.0
        return float(self.weight @ self.now[:, [self.guide.cause_index[x] for x in check.hidden_by]].any(axis=1))


@dataclass(frozen=True)
class _History:
    """How one variable may have gone: `held[t, e]` is its cause that holds in epoch e (-1 none), `waits[t, e]` the one
    that waits for something; `mass[t]` how likely that is before any reading."""

    held: NDArray[np.int16]
    waits: NDArray[np.int16]
    mass: Floats


def _histories(guide: Guide, variable: Sequence[int], tries: Sequence[Tried]) -> _History:
    priors = [guide.causes[i].prior for i in variable]
    # A state: the cause that holds or waits, what it waits for, the remedies that were done and do not help.
    State = tuple[int, str, frozenset[str]]
    none: State = (-1, "", frozenset())
    grown: list[tuple[list[State], float]] = [([none], 1 - sum(priors))]
    grown += [([(i, "", frozenset())], p) for i, p in zip(variable, priors, strict=True)]
    for tried in tries:
        remedy = guide.remedy_by_id[tried.remedy]
        done, works = _done(remedy, tried), min(remedy.works, SUREST)
        nexts: list[tuple[list[State], float]] = []
        for past, mass in grown:
            cause, waits, stuck = past[-1]
            if cause < 0 or done == 0:
                nexts.append(([*past, past[-1]], mass))
            elif waits:
                if remedy.finishes == waits:
                    nexts.append(([*past, none], mass * done))
                    nexts.append(([*past, past[-1]], mass * (1 - done)))
                else:
                    nexts.append(([*past, past[-1]], mass))
            elif guide.causes[cause].id in remedy.removes and remedy.id not in stuck:
                gone: State = (cause, remedy.leaves, stuck) if remedy.leaves else none
                nexts.append(([*past, gone], mass * done * works))
                nexts.append(([*past, (cause, "", stuck if remedy.repeats else stuck | {remedy.id})], mass * done * (1 - works)))
                nexts.append(([*past, past[-1]], mass * (1 - done)))
            else:
                nexts.append(([*past, past[-1]], mass))
        grown = [(past, mass) for past, mass in nexts if mass > 1e-12]
    return _History(
        np.array([[-1 if waits else cause for cause, waits, _ in past] for past, _ in grown], dtype=np.int16),
        np.array([[cause if waits else -1 for cause, waits, _ in past] for past, _ in grown], dtype=np.int16),
        np.array([mass for _, mass in grown]),
    )


def _done(remedy: Remedy, tried: Tried) -> float:
    if tried.outcome == "done":
        return remedy.reliability
    return CLAIMED if tried.outcome == "claimed" else 0.0


class _Worlds:
    """The worlds while they are multiplied out: for each world, the history taken by each variable added so far."""

    def __init__(self, guide: Guide, histories: list[_History]) -> None:
        self.guide = guide
        self.histories = histories
        self.place = {cause: v for v, variable in enumerate(guide.variables) for cause in variable}
        self.placed: set[int] = set()  # the variables that were added
        self.sure: dict[int, int] = {}  # of them, those of which one history is left, the same in every world
        self.taken: NDArray[np.int16] = np.zeros((1, len(histories)), dtype=np.int16)  # of the others: (worlds, variables)
        self.weight: Floats = np.ones(1)
        self.dropped = 0.0
        self.crowded = False  # MOST worlds were kept: finer dust would change nothing

    def add(self, variable: int, mass: Floats, dust: float) -> None:
        """Multiply every world by the histories of one variable and drop the dust."""
        self.placed.add(variable)
        kept = np.flatnonzero(mass > SPECK * dust * mass.sum())
        self.dropped += float(self.weight.sum() * (mass.sum() - mass[kept].sum()))
        if len(kept) == 1:
            self.sure[variable] = int(kept[0])
            self.weight = self.weight * mass[kept[0]]
            return
        weight = (self.weight[:, None] * mass[kept]).ravel()
        stay = self._heavy(weight, dust)
        self.taken = self.taken.take(stay // len(kept), axis=0)
        self.taken[:, variable] = kept[stay % len(kept)]

    def keep(self, dust: float) -> None:
        self.taken = self.taken.take(self._heavy(self.weight, dust), axis=0)

    def _heavy(self, weight: Floats, dust: float) -> NDArray[np.intp]:
        """Which worlds stay, and now weigh this: those above the dust, and of too many the heaviest."""
        total = float(weight.sum())
        stay = np.flatnonzero(weight > dust * total)
        if len(stay) > MOST:
            self.crowded = True
            stay = np.flatnonzero(weight >= np.partition(weight, -MOST)[-MOST])
        self.weight = weight.take(stay)
        self.dropped += max(0.0, total - float(self.weight.sum()))
        return stay

    def weigh(self, likelihood: Floats) -> None:
        """Take evidence in; weights and what was dropped are scaled alike, so that a long walk does not end in zeros."""
        self.weight = self.weight * likelihood
        total = float(self.weight.sum())
        self.weight, self.dropped = self.weight / total, self.dropped / total

    def shows(self, cause: int, epoch: int, echo: float = 0.0) -> Floats:
        """For each world how likely this cause shows in this epoch: surely while it holds, `echo` while it waits. One
        number where all worlds agree."""
        variable = self.place[cause]
        found: Floats = _row(self.histories[variable], cause, epoch, echo).take(self._history(variable))
        return found

    def today(self) -> tuple[Bools, Bools, Floats]:
        """What holds and what waits now in each world. Worlds that differ in their past alone are one row, heaviest
        first."""
        weight, taken = self.weight, self.taken
        if any(h.held.shape[1] > 1 for h in self.histories):  # something was tried
            key = np.zeros(len(weight), dtype=np.uint64)
            for variable in self.placed - self.sure.keys():
                history = self.histories[variable]
                key += (_MIX[0][history.held[:, -1]] ^ _MIX[1][history.waits[:, -1]]).take(taken[:, variable])
            _, first, group = np.unique(key, return_index=True, return_inverse=True)
            weight, taken = np.bincount(group, weights=weight), taken[first]
        order = np.argsort(-weight, kind="stable")
        self.weight, self.taken = weight[order], taken[order]
        now, waits = np.zeros((2, len(order), len(self.place)), dtype=bool)
        for cause, variable in self.place.items():
            history, which = self.histories[variable], self._history(variable)
            now[:, cause] = (history.held[:, -1] == cause).take(which)
            waits[:, cause] = (history.waits[:, -1] == cause).take(which)
        return now, waits, self.weight

    def _history(self, variable: int) -> NDArray[np.int16] | int:
        return self.sure[variable] if variable in self.sure else self.taken[:, variable]


def _shown(check: Check, index: dict[str, int], holds: object, n: int) -> Floats:
    """The chance of each outcome in each of n cases, by the check's table: the first row that fires. (n, outcomes)"""
    assert callable(holds)
    shown = np.zeros((n, len(check.outcomes)))
    left = np.ones(n)
    for column, outcome in enumerate(check.outcomes[:-1]):
        quiet = np.ones(n)
        for cause, chance in outcome.when:
            quiet = quiet * (1 - chance * holds(index[cause]))
        shown[:, column] = left * (1 - quiet)
        left = left * quiet
    shown[:, -1] = left
    return shown


def _likelihood(check: Check, readings: Sequence[tuple[Floats, Reading]]) -> Floats:
    """How well the true outcomes (n, outcomes) explain all readings of one check. A misreading is partly a habit: with
    the share STUBBORN of all misreadings the same wrong thing is said each time it is asked in the same words, so that a
    repeated question is correlated evidence and not fresh."""
    r, size = min(check.reliability, SUREST), len(check.outcomes)
    habit = (1 - r) * STUBBORN
    fresh = min(1.0, (r - habit / size) / (1 - habit))
    told: Floats = np.ones(len(readings[0][0]))
    by_habit: Floats = np.ones((len(told), size))
    for shown, reading in readings:
        column = check.index(reading.outcome)
        once = fresh * shown[:, column] + (1 - fresh) * (1 - shown[:, column]) / (size - 1)
        told = told * once
        same = np.zeros(size)
        same[column] = 1.0
        share = 1.0 if reading.wording == 0 else STUBBORN_REWORDED / STUBBORN
        by_habit = by_habit * (share * same + (1 - share) * once[:, None])
    found: Floats = np.maximum((1 - habit) * told + habit * by_habit.mean(axis=1), LEAST)
    return found


def explained(check: Check, readings: Sequence[Reading]) -> Floats:
    """How likely all these readings of one check (none of them `cannot_tell`) are under each of its true outcomes."""
    true = np.eye(len(check.outcomes))
    return _likelihood(check, [(true, reading) for reading in readings])


@dataclass(frozen=True)
class _Evidence:
    """All readings of one check, or one Told, with the variables that they speak of."""

    variables: frozenset[int]
    check: Check | None
    readings: tuple[tuple[int, Reading], ...]
    told: tuple[int, Told] | None = None


@lru_cache(maxsize=256)
def believe(guide: Guide, events: tuple[Event, ...], complaint: str = "") -> Belief:
    """The belief after `events`, given that the caller says the test fails (`complaint`: as which outcome, if they say).

    Kept by its arguments: the same answers give the same belief. Raises ValueError when an event names nothing of the
    guide.
    """
    dust = DUST
    while True:
        found, crowded = _believe(guide, events, complaint, dust)
        if found.bound <= FINE or crowded or dust < 1e-11:
            return found
        dust /= 30


def _believe(guide: Guide, events: tuple[Event, ...], complaint: str, dust: float) -> tuple[Belief, bool]:
    tries: list[Tried] = []
    readings: dict[str, list[tuple[int, Reading]]] = defaultdict(list)
    told: list[tuple[int, Told]] = []
    for event in events:
        if isinstance(event, Tried):
            if event.remedy not in guide.remedy_by_id:
                raise ValueError(f'the guide "{guide.id}" has no remedy "{event.remedy}"')
            tries.append(event)
        elif isinstance(event, Reading):
            check = guide.check_by_id.get(event.check)
            if check is None or (event.outcome != CANNOT_TELL and event.outcome not in {x.id for x in check.outcomes}):
                raise ValueError(f'the guide "{guide.id}" has no outcome "{event.outcome}" of a check "{event.check}"')
            readings[event.check].append((len(tries), event))
        else:
            if event.cause not in guide.cause_index:
                raise ValueError(f'the guide "{guide.id}" has no cause "{event.cause}"')
            told.append((len(tries), event))

    index = guide.cause_index
    worlds = _Worlds(guide, [_histories(guide, variable, tries) for variable in guide.variables])
    place = worlds.place
    evidence: list[_Evidence] = []
    for name, seen in readings.items():
        check = guide.check_by_id[name]
        about = {*check.reads, *check.hidden_by} if not (check.hidden and not check.hidden_by) else set(check.reads)
        if check.kind == "probe":  # an unavailable feed says nothing
            seen = [(epoch, reading) for epoch, reading in seen if reading.outcome != CANNOT_TELL]
        if seen:
            evidence.append(_Evidence(frozenset(place[index[x]] for x in about), check, tuple(seen)))
    evidence += [_Evidence(frozenset((place[index[event.cause]],)), None, (), (epoch, event)) for epoch, event in told]

    def alone(one: _Evidence, variable: int) -> Floats:
        """The likelihood of evidence about one variable, for each of its histories."""
        history = worlds.histories[variable]
        n = len(history.mass)
        if one.told:
            epoch, event = one.told
            so = (history.held[:, epoch] == index[event.cause]) == event.present
            sure = min(max(event.reliability, 1 - SUREST), SUREST)
            return np.where(so, sure, 1 - sure)
        assert one.check
        echo = _echoes(guide, one.check)
        return _explain(one, index, lambda cause, epoch: _row(history, cause, epoch, echo[cause]), n)

    def together(one: _Evidence) -> Floats:
        assert one.check
        echo = _echoes(guide, one.check)
        return _explain(one, index, lambda cause, epoch: worlds.shows(cause, epoch, echo[cause]), len(worlds.weight))

    local: dict[int, Floats] = {v: h.mass.copy() for v, h in enumerate(worlds.histories)}
    coupled: list[_Evidence] = []
    # Evidence about one variable first; a variable whose own evidence leaves it absent for all purposes hides nothing.
    for one in evidence:
        if len(one.variables) == 1:
            (variable,) = one.variables
            mass = local[variable] * alone(one, variable)
            local[variable] = mass / mass.sum()
        else:
            coupled.append(one)

    hiders = {place[index[x]] for check in guide.checks for x in check.hidden_by}
    touched = {v for one in coupled for v in one.variables}
    order = sorted(range(len(worlds.histories)), key=lambda v: (v not in hiders, v not in touched, v))
    waiting_for = list(coupled)
    for variable in order:
        worlds.add(variable, local[variable], dust)
        for a, b in guide.never:
            if variable in (place[a], place[b]) and {place[a], place[b]} <= worlds.placed:
                worlds.weigh(1 - worlds.shows(a, 0) * worlds.shows(b, 0))
        ready = [one for one in waiting_for if one.check is not guide.test and one.variables <= worlds.placed]
        for one in ready:
            waiting_for.remove(one)
            worlds.weigh(together(one))
        if ready:
            worlds.keep(dust)
    for one in waiting_for:
        worlds.weigh(together(one))
    n = len(worlds.weight)
    first = _shown(guide.test, index, lambda cause: worlds.shows(cause, 0), n)
    column = guide.test.index(complaint) if complaint else -1
    fails = first[:, column] if complaint else 1 - first[:, -1]
    worlds.weigh(COMPLAINT * fails + (1 - COMPLAINT) * (1 - fails))

    total = worlds.weight.sum()
    now, waits, weight = worlds.today()
    return Belief(guide, now, waits, weight / total, float(min(1.0, worlds.dropped / total))), worlds.crowded


def _row(history: _History, cause: int, epoch: int, echo: float) -> Floats:
    rows: Floats = (history.held[:, epoch] == cause).astype(np.float64)
    return rows + echo * (history.waits[:, epoch] == cause) if echo else rows


@lru_cache(maxsize=4096)
def _echoes(guide: Guide, check: Check) -> tuple[float, ...]:
    """For each cause, how likely it still shows in this check while it only waits for something. The test sees all that
    breaks the phone; the carrier's own books have what was put right there; the phone itself may say either."""
    if check is guide.test:
        return (1.0,) * len(guide.causes)
    return tuple(0.0 if check.kind == "probe" and cause.lives == "account" else ECHO for cause in guide.causes)


def _explain(one: _Evidence, index: dict[str, int], shows: object, n: int) -> Floats:
    """The likelihood of one check's readings in n cases, hiding included."""
    assert one.check and callable(shows)
    check = one.check
    can = bool(check.hidden_by) and not check.hidden
    likelihood: Floats = np.ones(n)
    seen: list[tuple[Floats, Reading]] = []
    for epoch, reading in one.readings:
        hidden: Bools = np.zeros(n, dtype=bool)
        for cause in check.hidden_by:
            hidden = hidden | (shows(index[cause], epoch) >= 1)
        if reading.outcome == CANNOT_TELL:
            likelihood = likelihood * (np.where(hidden, SEEN_HIDDEN, UNSEEN_VISIBLE) if can else 1.0)
            continue
        shown = _shown(check, index, lambda cause, epoch=epoch: shows(cause, epoch), n)
        if check.hidden:
            shown[hidden] = 0.0
            shown[hidden, check.index(check.hidden)] = 1.0
        elif check.hidden_by:  # who answers although nothing is to be seen guesses
            shown[hidden] = 1 / len(check.outcomes)
            likelihood = likelihood * np.where(hidden, 1 - SEEN_HIDDEN, 1 - UNSEEN_VISIBLE)
        seen.append((shown, reading))
    if seen:
        likelihood = likelihood * _likelihood(check, seen)
    return likelihood

