"""What is believed, held against an enumeration of everything that may be so and may have happened."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from careline.domain.diagnosis.rules.belief import (
    CANNOT_TELL,
    CLAIMED,
    COMPLAINT,
    ECHO,
    FINE,
    SEEN_HIDDEN,
    STUBBORN,
    STUBBORN_REWORDED,
    SUREST,
    UNSEEN_VISIBLE,
    Event,
    Reading,
    Told,
    Tried,
    believe,
)
from careline.domain.diagnosis.rules.guide import Cause, Check, Guide, Outcome, Remedy
from careline.domain.diagnosis.rules.walk import Walk

Walked = tuple[Guide, tuple[Event, ...], str]

# --- the enumeration: slow, and written the way one would say it -----------------------------------------------------------

State = tuple[tuple[str, str, frozenset[str]], ...]  # of each cause that was there: how it stands, and what did not help


def starts(guide: Guide) -> Iterator[tuple[frozenset[str], float]]:
    """Every set of causes that may hold together, and how likely it is."""
    groups: dict[str, list[Cause]] = {}
    for cause in guide.causes:
        groups.setdefault(cause.group or f"alone {cause.id}", []).append(cause)
    for picks in product(*([None, *group] for group in groups.values())):
        causes = frozenset(x.id for x in picks if x)
        if any(other in causes for x in picks if x for other in x.never_with):
            continue
        none = (1 - sum(x.prior for x in group) for group in groups.values())
        yield causes, math.prod(pick.prior if pick else left for pick, left in zip(picks, none, strict=True))


def courses(guide: Guide, causes: frozenset[str], tries: list[Tried]) -> Iterator[tuple[list[dict[str, str]], float]]:
    """Every way the tries may have gone for these causes: after each try, each cause `holds`, or names what it waits for."""

    def one(cause: str, how: str, stuck: frozenset[str], tried: Tried) -> Iterator[tuple[str, frozenset[str], float]]:
        remedy = guide.remedy_by_id[tried.remedy]
        done = {"done": remedy.reliability, "claimed": CLAIMED}.get(tried.outcome, 0.0)
        if how not in ("holds", "gone") and remedy.finishes == how:
            yield "gone", stuck, done
            yield how, stuck, 1 - done
        elif how == "holds" and cause in remedy.removes and remedy.id not in stuck:
            works = min(remedy.works, SUREST)
            yield remedy.leaves or "gone", stuck, done * works
            yield "holds", stuck if remedy.repeats else stuck | {remedy.id}, done * (1 - works)
            yield "holds", stuck, 1 - done
        else:
            yield how, stuck, 1.0

    def go(past: list[dict[str, str]], stuck: dict[str, frozenset[str]], left: list[Tried], mass: float) -> Iterator[tuple[list[dict[str, str]], float]]:
        if not left:
            yield past, mass
            return
        for ways in product(*(list(one(x, past[-1][x], stuck[x], left[0])) for x in sorted(causes))):
            share = math.prod(way[2] for way in ways)
            if share:
                names = sorted(causes)
                now = {x: way[0] for x, way in zip(names, ways, strict=True)}
                yield from go([*past, now], {x: way[1] for x, way in zip(names, ways, strict=True)}, left[1:], mass * share)

    yield from go([dict.fromkeys(causes, "holds")], dict.fromkeys(causes, frozenset()), tries, 1.0)


Showing = dict[str, float]  # how likely each cause shows: surely while it holds, perhaps while it waits


def is_hidden(check: Check, holds: Showing) -> bool:
    """By what holds; what only waits for a restart hides nothing."""
    return any(holds.get(x, 0.0) == 1 for x in check.hidden_by)


def shows(check: Check, holds: Showing) -> dict[str, float]:
    """How likely each outcome is to be what is so."""
    found = dict.fromkeys((x.id for x in check.outcomes), 0.0)
    if is_hidden(check, holds):  # what stands for hidden, or a guess
        return {x: float(x == check.hidden) if check.hidden else 1 / len(found) for x in found}
    left = 1.0
    for outcome in check.outcomes:
        for cause, chance in outcome.when:
            found[outcome.id] += left * chance * holds.get(cause, 0.0)
            left *= 1 - chance * holds.get(cause, 0.0)
    found[check.outcomes[-1].id] += left
    return found


def says(check: Check, heard: list[tuple[Showing, Reading]]) -> float:
    """How likely these answers are, from somebody who may have a fixed idea of what is there."""
    size = len(check.outcomes)
    reliability = min(check.reliability, SUREST)
    fixed = (1 - reliability) * STUBBORN
    right = min(1.0, (reliability - fixed / size) / (1 - fixed))
    can_hide = bool(check.hidden_by) and not check.hidden
    apart, seen = 1.0, []
    for holds, reading in heard:
        hidden = can_hide and is_hidden(check, holds)
        if reading.outcome == CANNOT_TELL:
            apart *= (SEEN_HIDDEN if hidden else UNSEEN_VISIBLE) if can_hide else 1.0
        else:
            apart *= (1 - SEEN_HIDDEN if hidden else 1 - UNSEEN_VISIBLE) if can_hide else 1.0
            seen.append((holds, reading))

    def freely(holds: Showing, reading: Reading) -> float:
        return sum(
            p * (right if true == reading.outcome else (1 - right) / (size - 1)) for true, p in shows(check, holds).items()
        )

    def fixedly(idea: str, holds: Showing, reading: Reading) -> float:
        share = STUBBORN_REWORDED / STUBBORN if reading.wording else 1.0
        return share * (idea == reading.outcome) + (1 - share) * freely(holds, reading)

    free = math.prod(freely(*x) for x in seen)
    ideas = [math.prod(fixedly(x.id, *one) for one in seen) for x in check.outcomes]
    return apart * ((1 - fixed) * free + fixed * sum(ideas) / size)


def echo(guide: Guide, check: Check, cause: str, how: str) -> float:
    """How likely a cause shows in a check, by how it stands."""
    if how in ("holds", "gone"):
        return float(how == "holds")
    if check is guide.test:
        return 1.0
    return 0.0 if check.kind == "probe" and guide.cause_by_id[cause].lives == "account" else ECHO


def enumerated(guide: Guide, events: tuple[Event, ...], complaint: str) -> tuple[dict[str, float], dict[str, float], float]:
    """The probability of each cause now, of each that it waits, and that the phone works."""
    tries = [x for x in events if isinstance(x, Tried)]
    total = works = 0.0
    present, waiting = dict.fromkeys((x.id for x in guide.causes), 0.0), dict.fromkeys((x.id for x in guide.causes), 0.0)
    for causes, prior in starts(guide):
        for course, mass in courses(guide, causes, tries):
            weight, epoch = prior * mass, 0
            heard: dict[str, list[tuple[Showing, Reading]]] = {}
            for event in events:
                now = course[epoch]
                holding = {x for x, how in now.items() if how == "holds"}
                if isinstance(event, Tried):
                    epoch += 1
                elif isinstance(event, Told):
                    weight *= event.reliability if (event.cause in holding) == event.present else 1 - event.reliability
                else:
                    check = guide.check_by_id[event.check]
                    if check.kind == "probe" and event.outcome == CANNOT_TELL:
                        continue
                    felt = {x: echo(guide, check, x, how) for x, how in now.items()}
                    heard.setdefault(event.check, []).append((felt, event))
            for name, readings in heard.items():
                weight *= says(guide.check_by_id[name], readings)
            first = shows(guide.test, dict.fromkeys(causes, 1.0))
            fails = first[complaint] if complaint else 1 - first[guide.works]
            weight *= COMPLAINT * fails + (1 - COMPLAINT) * (1 - fails)
            total += weight
            end = course[-1]
            for x, how in end.items():
                present[x] += weight * (how == "holds")
                waiting[x] += weight * (how not in ("holds", "gone"))
            works += weight * (not any(how != "gone" and guide.cause_by_id[x].shows for x, how in end.items()))
    return {x: p / total for x, p in present.items()}, {x: p / total for x, p in waiting.items()}, works / total


# --- guides and answers, at random ----------------------------------------------------------------------------------------

share = partial(st.floats, allow_nan=False)


@st.composite
def guides(draw: st.DrawFn) -> Guide:
    names = [f"c{n}" for n in range(draw(st.integers(1, 6)))]
    some = partial(st.lists, st.sampled_from(names), unique=True)
    levels = draw(st.sampled_from([("fails", "works"), ("nothing", "slow", "works")]))
    causes = []
    for n, name in enumerate(names):
        causes.append(Cause(
            name, name, draw(share(0.01, 0.3)), lives=draw(st.sampled_from(["phone", "phone", "account"])), shows=draw(st.sampled_from(["", *levels[:-1]])),
            chance=draw(st.sampled_from([1.0, 1.0, 0.6])), group=draw(st.sampled_from(["", "", "g", "h"])) if n < 5 else "",
            never_with=tuple(draw(some(max_size=1))) if draw(st.integers(0, 3)) == 0 else (),
        ))  # fmt: skip
    sums = {g: sum(c.prior for c in causes if c.group == g) for g in ("", "g", "h")} | {"": 0.0}
    causes = [
        replace(c, prior=c.prior * 0.9 / max(sums[c.group], 0.9), never_with=tuple(x for x in c.never_with if x != c.id)) for c in causes
    ]  # fmt: skip
    checks = []
    for n in range(draw(st.integers(1, 4))):
        rows = [
            tuple((x, draw(st.sampled_from([1.0, 1.0, 0.7, 0.3]))) for x in draw(some(min_size=1, max_size=3)))
            for _ in range(draw(st.integers(1, 2)))
        ]
        outcomes = (*(Outcome(f"o{i}", "", row) for i, row in enumerate(rows)), Outcome("clear", ""))
        hiders = tuple(draw(some(max_size=2)))
        checks.append(Check(
            f"k{n}", draw(st.sampled_from(["ask", "probe"])), "", outcomes, 10.0, reliability=draw(st.sampled_from([0.6, 0.9, 0.97, 1.0])),
            hidden_by=hiders, hidden=draw(st.sampled_from(["", *(x.id for x in outcomes)])) if hiders else "",
        ))  # fmt: skip
    remedies = [
        Remedy(
            f"r{n}", "do", "", "", tuple(draw(some(min_size=1, max_size=2))), draw(share(0.3, 1.0)),
            reliability=draw(share(0.6, 1.0)), leaves=draw(st.sampled_from(["", "restart"])), repeats=draw(st.booleans()),
        )
        for n in range(draw(st.integers(1, 2)))
    ]  # fmt: skip
    remedies.append(Remedy("restart", "do", "", "", works=1.0, reliability=draw(share(0.6, 1.0)), finishes="restart"))
    test = Check(
        "test", "test", "", tuple(Outcome(x, "", tuple((c.id, c.chance) for c in causes if c.shows == x)) for x in levels),
        10.0, reliability=draw(share(0.6, 0.99)),
    )  # fmt: skip
    return Guide("g", "g", "g", test, tuple(causes), tuple(checks), (), tuple(remedies), digest=draw(st.uuids()).hex)


@st.composite
def walks(draw: st.DrawFn, longest: int = 7) -> Walked:
    guide = draw(guides())
    complaint = draw(st.sampled_from(["", *(x.id for x in guide.test.outcomes[:-1])]))
    events: list[Event] = []
    tries = 0
    for _ in range(draw(st.integers(0, longest))):
        kind = draw(st.sampled_from("rrrtk"))
        if kind == "t" and tries < 3:
            tries += 1
            events.append(Tried(draw(st.sampled_from(guide.remedies)).id, draw(st.sampled_from(["done", "done", "claimed", "failed"]))))
        elif kind == "k":
            events.append(Told(draw(st.sampled_from(guide.causes)).id, draw(st.booleans()), draw(share(0.5, 0.98))))
        else:
            check = draw(st.sampled_from([*guide.checks, guide.test]))
            outcome = draw(st.sampled_from([*(x.id for x in check.outcomes), CANNOT_TELL]))
            events.append(Reading(check.id, outcome, draw(st.integers(0, 1))))
    return guide, tuple(events), complaint


# --- the laws --------------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(walks())
def test_the_belief_is_what_counting_every_possibility_gives(walk: Walked) -> None:
    guide, events, complaint = walk
    found = believe(guide, events, complaint)
    present, waiting, works = enumerated(guide, events, complaint)
    within = found.bound + 1e-6
    assert found.bound <= FINE
    for n, cause in enumerate(guide.causes):
        assert found.present[n] == pytest.approx(present[cause.id], abs=within), cause.id
        assert found.unfinished[n] == pytest.approx(waiting[cause.id], abs=within), cause.id
    assert found.works == pytest.approx(works, abs=within)


@settings(deadline=None)
@given(walks(longest=14))
def test_the_belief_is_one_whole_and_forgets_what_is_taken_back(walk: Walked) -> None:
    guide, events, complaint = walk
    found = believe.__wrapped__(guide, events, complaint)
    assert found.weight.sum() == pytest.approx(1.0, abs=1e-9) and (found.weight >= 0).all()
    assert ((found.present > -1e-12) & (found.present < 1 + 1e-9)).all()
    for group in ("g", "h"):
        of = [guide.cause_index[x.id] for x in guide.causes if x.group == group]
        assert (found.now[:, of].sum(axis=1) <= 1).all()
    assert not (found.now & found.waiting).any()
    again = believe.__wrapped__(guide, events, complaint)
    assert np.array_equal(found.now, again.now) and np.array_equal(found.weight, again.weight)
    before = Walk(guide, events, complaint)
    after = before.then(*(Reading(x.id, x.outcomes[0].id) for x in guide.checks)).undone(len(guide.checks))
    assert after == before and np.array_equal(after.belief.weight, found.weight)


@settings(deadline=None)
@given(walks(longest=4), st.randoms(use_true_random=False))
def test_between_two_remedies_the_order_of_answers_says_nothing(walk: Walked, dice: random.Random) -> None:
    guide, events, complaint = walk
    parts: list[list[Event]] = [[]]
    for event in events:
        if isinstance(event, Tried):
            parts += [[event], []]
        else:
            parts[-1].append(event)
    for part in parts:
        dice.shuffle(part)
    shuffled = tuple(event for part in parts for event in part)
    np.testing.assert_allclose(believe(guide, shuffled, complaint).present, believe(guide, events, complaint).present, atol=1e-5)


# --- a large guide ---------------------------------------------------------------------------------------------------------


def simple(causes: int, prior: float = 0.05, **about: Any) -> Guide:
    """Causes that each have a question and a remedy of their own."""
    names = [f"c{n}" for n in range(causes)]
    return Guide(
        "large", "large", "large", Check("test", "test", "", (Outcome("fails", "", tuple((x, 1.0) for x in names)), Outcome("works", "")), 10.0),
        tuple(Cause(x, x, prior, shows="fails") for x in names),
        tuple(Check(f"k{x}", "ask", "", (Outcome("yes", "", ((x, 1.0),)), Outcome("no", "")), 10.0, **about) for x in names), (),
        tuple(Remedy(f"r{x}", "do", "", "", (x,)) for x in names), digest=f"{causes} {prior} {about}",
    )  # fmt: skip


@pytest.mark.parametrize("causes", [22, 30])
def test_nine_faults_at_once_are_found_as_surely_as_one(causes: int) -> None:
    guide = simple(causes)
    there = {f"c{n}" for n in range(0, 18, 2)}
    found = believe(guide, tuple(Reading(f"kc{n}", "yes" if f"c{n}" in there else "no") for n in range(causes)))
    assert len(there) == 9 and found.bound < 1e-2
    odds = 0.05 / 0.95 * 0.97 / 0.03  # each cause by itself: the failing test, told once, is explained by any of the others
    for cause in guide.causes:
        held = found.of(cause.id)
        assert held == pytest.approx(odds / (1 + odds) if cause.id in there else 0.05 * 0.03 / (0.05 * 0.03 + 0.95 * 0.97), abs=0.005)
    assert [x for x in guide.cause_index if found.of(x) > 0.5] == sorted(there, key=guide.cause_index.__getitem__)


def test_nine_faults_are_found_where_the_answers_hang_together() -> None:
    """...questions hidden by other causes, and one question that speaks of several: nothing falls apart into single causes."""
    guide = simple(22, reliability=0.97)
    checks = [replace(x, hidden_by=("c0",)) if n in (3, 5, 7) else x for n, x in enumerate(guide.checks)]
    checks.append(Check("any", "ask", "", (Outcome("some", "", tuple((f"c{n}", 1.0) for n in range(8, 14))), Outcome("none", "")), 10.0))
    guide = replace(guide, checks=tuple(checks), digest="hang together")
    there = {f"c{n}" for n in range(1, 10)}
    events = [Reading(f"kc{n}", "yes" if f"c{n}" in there else "no") for n in range(22)] * 2
    found = believe(guide, (*events, Reading("any", "some"), Reading("test", "fails")))
    assert found.bound < 5e-3
    assert {x for x in guide.cause_index if found.of(x) > 0.5} == there
    assert min(found.of(x) for x in there) > 0.8


# --- what cannot be --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "events",
    [
        [Reading("kc0", "yes"), Reading("kc0", "no")],
        [Told("c0", True, 1.0), Told("c0", False, 1.0)],
        [Reading("kc0", "yes"), Tried("rc0", "done"), Reading("kc0", "yes")],
        [Reading("kc0", "yes", n % 2) for n in range(300)] + [Reading("kc0", "no", n % 2) for n in range(300)],
        [Reading("test", "fails", 1), Reading("test", "works", 1)] * 400,
        [Told("c0", True), Told("c0", False)] * 400,
    ],
    ids=["a sure answer and its opposite", "told both", "a sure remedy that did not", "300 times each", "on and off", "told on and off"],
)  # fmt: skip
def test_what_contradicts_itself_leaves_a_belief(events: list[Event]) -> None:
    guide = simple(3, reliability=1.0)
    guide = replace(guide, remedies=tuple(replace(x, works=1.0, reliability=1.0, kind="act") for x in guide.remedies), digest="sure")
    found = believe(guide, tuple(events))
    assert found.weight.sum() == pytest.approx(1.0) and np.isfinite(found.present).all() and 0 <= found.bound <= 1


@pytest.mark.parametrize("event", [Reading("nothing", "yes"), Reading("kc0", "perhaps"), Tried("nothing", "done"), Told("nothing", True)])
def test_what_names_nothing_of_the_guide_is_refused(event: Event) -> None:
    with pytest.raises(ValueError, match='the guide "large" has no'):
        believe(simple(2), (event,))


def test_the_same_answer_asked_twice_counts_less_than_two_answers_and_other_words_count_more() -> None:
    guide = simple(5, reliability=0.8)
    once = believe(guide, (Reading("kc0", "yes"),)).of("c0")
    same = believe(guide, (Reading("kc0", "yes"), Reading("kc0", "yes"))).of("c0")
    reworded = believe(guide, (Reading("kc0", "yes"), Reading("kc0", "yes", 1))).of("c0")
    fresh = once / (1 - once) * 4  # the odds, four times
    assert once < same < reworded < fresh / (1 + fresh)


def test_what_somebody_says_they_did_counts_less_than_what_they_did_with_us() -> None:
    guide = simple(2)
    left = {how: believe(guide, (Reading("kc0", "yes"), Tried("rc0", how))).of("c0") for how in ("done", "claimed", "failed")}
    assert left["done"] < 0.1 < left["claimed"] < left["failed"] == pytest.approx(believe(guide, (Reading("kc0", "yes"),)).of("c0"))
