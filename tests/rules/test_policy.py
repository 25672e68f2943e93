"""The next step: laws that hold for every guide, on small guides made at random and customers who answer what is so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from careline.domain.diagnosis.rules.belief import CANNOT_TELL, Belief, Event, Reading, Tried, believe
from careline.domain.diagnosis.rules.guide import UNKNOWN, Cause, Check, Guide, Outcome, Remedy, Screen
from careline.domain.diagnosis.rules.policy import (
    CONFIRMED,
    FAINT_DOUBT,
    MOST_TRIES,
    ONCE_MORE,
    SETTLED,
    SUSPECT,
    TIRED,
    Step,
    next_step,
)
from careline.domain.diagnosis.rules.simulate import Phone, walk

# --- guides that can be walked to the right end ----------------------------------------------------------------------------


@st.composite
def guides(draw: st.DrawFn, most: int = 6) -> Guide:
    """Every cause is read by a check of its own, or by one that parts a group. What hides a check can be fixed, and so can
    what a remedy needs gone first."""
    size = draw(st.integers(2, most))
    names = [f"c{n}" for n in range(size)]
    levels = draw(st.sampled_from([("fails", "works"), ("nothing", "slow", "works")]))
    grouped = set(draw(st.sampled_from([(), (), ("c0", "c1"), ("c1", "c2")]))) & set(names)
    causes, checks, remedies = [], [], []
    for n, name in enumerate(names):
        handed = n > 0 and draw(st.integers(0, 4)) == 0
        causes.append(Cause(
            name, name, draw(st.sampled_from([0.03, 0.05, 0.1, 0.2])), shows=draw(st.sampled_from(levels[:-1])),
            group="g" if name in grouped and len(grouped) > 1 else "", handover="Experts" if handed else "",
        ))  # fmt: skip
        fixable = [x.id for x in causes[:-1] if not x.handover]
        unhidden = [x for x in fixable if x not in grouped]
        if not causes[-1].group or name == min(grouped):
            about = [name] if not causes[-1].group else sorted(grouped)
            checks.append(Check(
                f"k{n}", draw(st.sampled_from(["ask", "ask", "do", "probe"])), "", (*(Outcome(f"is_{x}", "", ((x, 1.0),)) for x in about), Outcome("no", "")),
                float(draw(st.sampled_from([5, 20, 60]))), hidden_by=_few(draw, unhidden, 4),
            ))  # fmt: skip
            if checks[-1].kind == "probe":
                checks[-1] = replace(checks[-1], reliability=0.999, seconds=0.0)
        if not handed:
            others = [x.id for x in causes[:-1]]
            remedies.append(Remedy(
                f"r{n}", draw(st.sampled_from(["do", "act"])), "", "", (name,), seconds=float(draw(st.sampled_from([10, 60]))),
                first=_few(draw, fixable, 4), not_with=_few(draw, others, 4), leaves=draw(st.sampled_from(["", "", "restart"])),
            ))  # fmt: skip
    screens = []
    asked = [x for x in checks if x.kind != "probe"]
    if len(asked) > 1 and draw(st.booleans()):
        on = {x.id for x in asked[: draw(st.integers(2, len(asked)))]}
        checks = [replace(x, screen="settings", kind="ask") if x.id in on else x for x in checks]
        screens.append(Screen("settings", "Settings", "", 15.0))
    if any(x.leaves for x in remedies):
        remedies.append(Remedy("restart", "do", "", "", finishes="restart", seconds=90.0))
    causes.append(Cause(UNKNOWN, "Something else", 0.02, lives="network", shows=levels[0], handover="Support"))
    test = Check("test", "test", "", tuple(Outcome(x, "", tuple((c.id, 1.0) for c in causes if c.shows == x)) for x in levels), 20.0)
    return Guide("g", "g", "g", test, tuple(causes), tuple(checks), tuple(screens), tuple(remedies), digest=draw(st.uuids()).hex)


def _few(draw: st.DrawFn, names: list[str], seldom: int) -> tuple[str, ...]:
    return (draw(st.sampled_from(names)),) if names and draw(st.integers(1, seldom)) == 1 else ()


@st.composite
def phones(draw: st.DrawFn, most: int = 6) -> Phone:
    guide = draw(guides(most))
    causes = draw(st.sets(st.sampled_from([x.id for x in guide.causes if x.id != UNKNOWN]), min_size=1))
    groups = [guide.cause_by_id[x].group for x in causes if guide.cause_by_id[x].group]
    assume(len(groups) == len(set(groups)))
    return Phone(guide, causes)


@dataclass
class Moment:
    """One step of a walk: what was known before it, and how the phone stood."""

    step: Step
    events: tuple[Event, ...]
    belief: Belief
    causes: frozenset[str]
    waiting: bool

    def read(self, check: str) -> bool:
        return any(isinstance(x, Reading) and x.check == check for x in self.events)


def moments(phone: Phone) -> Iterator[Moment]:
    """The walk of an honest customer, step by step, the last one included."""
    events: list[Event] = []
    for _ in range(TIRED + 1):
        step = next_step(phone.guide, events)
        yield Moment(step, tuple(events), believe(phone.guide, tuple(events)), frozenset(phone.causes), bool(phone.waiting))
        if step.kind in ("done", "handover"):
            return
        events += [phone.give(step.id)] if step.kind == "remedy" else [phone.answer(x, step.wording) for x in step.checks]
    raise AssertionError("the walk never ended")


# --- the laws --------------------------------------------------------------------------------------------------------------

law = settings(deadline=None)


@law
@given(phones())
def test_an_honest_customer_is_helped_and_handed_over_only_with_what_cannot_be_fixed_here(phone: Phone) -> None:
    """...and nothing is changed that was not at fault, or must not be changed then."""
    result = walk(phone.guide, phone)
    assert result.right and not result.needless, (result.causes, result.verdict, result.needless)
    assert all(x.outcome == "done" for x in result.events if isinstance(x, Tried))


@law
@given(phones())
def test_each_step_of_an_honest_walk_keeps_the_order_of_things(phone: Phone) -> None:
    guide = phone.guide
    for now in moments(phone):
        step = now.step
        if step.kind not in ("probe", "done", "handover"):
            assert all(now.read(x.id) for x in guide.checks if x.kind == "probe" and not x.hidden_by), "probes come first"
        if step.kind == "test":
            assert not now.waiting, "the restart comes before the test"
        if step.kind in ("ask", "do"):
            asked_once(now, guide)
        if step.kind == "remedy":
            not_blind(now, guide)
        if step.kind == "done":
            assert now.events[-1] == Reading("test", guide.works, getattr(now.events[-1], "wording", 0))


def asked_once(now: Moment, guide: Guide) -> None:
    """What is settled is not asked again; doubt has other words; a screen is read whole."""
    for name in now.step.checks:
        causes = guide.check_by_id[name].reads
        assert any(min(SUSPECT, FAINT_DOUBT) < now.belief.of(x) < SETTLED for x in causes), "settled"
        if now.read(name) and now.step.checks == (name,):
            assert now.step.wording == 1
            assert any(FAINT_DOUBT < now.belief.of(x) < CONFIRMED for x in causes), "settled by its own answer"
    if now.step.id in guide.screen_by_id:
        for check in guide.checks:
            if check.screen == now.step.id and not now.read(check.id) and now.belief.hidden(check) < 0.5:
                assert check.id in now.step.checks or all(not SUSPECT < now.belief.of(x) < SETTLED for x in check.reads), "read in part"


def not_blind(now: Moment, guide: Guide) -> None:
    """A check that can be read shows first whether a remedy is needed; what it needs is gone; what forbids it is not there."""
    remedy = guide.remedy_by_id[now.step.id]
    for check in guide.checks:
        if set(check.reads) & set(remedy.removes) and not now.read(check.id):
            held = max(now.belief.of(x) for x in remedy.removes)
            assert now.belief.hidden(check) >= 0.5 or held >= SETTLED, "given blind"
    assert not now.causes & {*remedy.first, *remedy.not_with}
    if remedy.finishes:
        assert now.waiting


@law
@given(guides(4), st.randoms(use_true_random=False), st.booleans())
def test_whatever_is_answered_a_walk_ends_and_the_same_answers_give_the_same_steps(guide: Guide, dice, spiteful: bool) -> None:
    events: list[Event] = []
    steps = []
    while True:
        step = next_step(guide, events)
        steps.append(step)
        if step.kind in ("done", "handover"):
            break
        if step.kind == "remedy":
            outcomes = ["failed", "declined"] if spiteful else ["done", "done", "claimed", "failed", "declined", "refused"]
            events.append(Tried(step.id, dice.choice(outcomes)))
        else:
            assert step.checks, step
            for name in step.checks:
                outcomes = [x.id for x in guide.check_by_id[name].outcomes]
                events.append(Reading(name, dice.choice([*outcomes, *outcomes, CANNOT_TELL]), step.wording))
        assert len(events) < TIRED + len(guide.checks)
    given_ = [x.remedy for x in events if isinstance(x, Tried)]
    assert all(given_.count(x.id) <= MOST_TRIES + ONCE_MORE for x in guide.remedies if not x.finishes)
    believe.cache_clear()
    again = [next_step(guide, events[:n]) for n in range(len(events) + 1)]
    assert [x for x in steps if x not in again] == []
    assert again[-1] == steps[-1]


# --- by example ------------------------------------------------------------------------------------------------------------


def small(*, works: float = 0.95, **about: object) -> Guide:
    """Two causes with a question each; the first also hides the second's question, or what `about` says of its remedy."""
    causes = (Cause("a", "A", 0.2, shows="fails"), Cause("b", "B", 0.2, shows="fails"))
    checks = tuple(Check(f"ask_{x}", "ask", "", (Outcome("yes", "", ((x, 1.0),)), Outcome("no", "")), 10.0) for x in "ab")
    remedies = (
        Remedy("fix_a", "act", "Fix A", "", ("a",), works, 10.0, leaves="restart", reliability=1.0),
        replace(Remedy("fix_b", "do", "Fix B", "", ("b",), works, 10.0), **about),  # type: ignore[arg-type]
        Remedy("restart", "do", "Restart", "", seconds=60.0, finishes="restart"),
    )
    test = Check("test", "test", "", (Outcome("fails", "", (("a", 1.0), ("b", 1.0))), Outcome("works", "")), 20.0)
    return Guide("small", "small", "", test, causes, checks, (), remedies, digest=f"{works} {sorted(about.items())}")


def test_what_a_remedy_needs_gone_is_asked_and_fixed_before() -> None:
    guide = small(first=("a",))
    events = [Reading("ask_b", "yes"), Reading("ask_b", "yes", 1)]
    assert next_step(guide, events).id == "ask_a"
    events += [Reading("ask_a", "yes"), Reading("ask_a", "yes", 1)]
    assert next_step(guide, events).id == "fix_a"
    events.append(Tried("fix_a", "done"))
    assert next_step(guide, events).id == "restart"
    events.append(Tried("restart", "done"))
    assert next_step(guide, events).id == "fix_b"


def test_a_remedy_that_could_not_be_done_is_not_given_again_at_once() -> None:
    guide = small()
    events: list[Event] = [Reading("ask_b", "yes"), Reading("ask_b", "yes", 1), Tried("fix_b", "failed")]
    assert next_step(guide, events[:2]).id == "fix_b"
    assert next_step(guide, events).id != "fix_b"


def test_a_declined_remedy_is_not_given_again_and_the_rest_is_still_done() -> None:
    guide = small()
    events: list[Event] = [Reading("ask_a", "yes"), Reading("ask_a", "yes", 1), Tried("fix_a", "declined")]
    for _ in range(20):
        step = next_step(guide, events)
        assert step.id != "fix_a"
        if step.kind in ("done", "handover"):
            break
        outcome = "no" if step.kind == "ask" else "fails"
        events += [Tried(step.id, "done")] if step.kind == "remedy" else [Reading(x, outcome, step.wording) for x in step.checks]
    assert step.kind == "handover"


def test_what_cannot_be_read_while_something_else_holds_is_read_once_that_is_gone() -> None:
    guide = small()
    guide = replace(guide, checks=(guide.checks[0], replace(guide.checks[1], kind="probe", reliability=0.999, hidden_by=("a",))), digest="hidden")
    phone = Phone(guide, {"a", "b"})
    steps = [x.step for x in moments(phone)]
    assert [x.id for x in steps if x.kind in ("probe", "remedy")] == ["fix_a", "ask_b", "fix_b", "ask_b", "restart"]
    assert steps[-1].kind == "done" and not phone.needless


@pytest.mark.parametrize("said", [(), ("test",), ("ask_a",), ("ask_a", "ask_b")])
def test_a_step_says_why(said: tuple[str, ...]) -> None:
    guide = small()
    events = [Reading(x, guide.check_by_id[x].outcomes[0].id) for x in said]
    step = next_step(guide, events)
    assert step.why.endswith(".") and step.kind in ("ask", "remedy", "test")


@pytest.mark.parametrize("causes", ["a", "b", "ab"])
def test_a_fixed_phone_is_tested_once_at_the_end(causes: str) -> None:
    steps = [x.step for x in moments(Phone(small(), set(causes)))]
    assert steps[-1].kind == "done" and steps[-2].kind == "test"


def said(guide: Guide, *, once: dict[str, list[str]], then: dict[str, str]) -> list[Step]:
    """The walk of somebody who answers `once` in turn, and afterwards always `then`."""
    events: list[Event] = []
    steps: list[Step] = []
    while not steps or steps[-1].kind not in ("done", "handover"):
        steps.append(step := next_step(guide, events))
        if step.kind == "remedy":
            events.append(Tried(step.id, "done"))
        events += [Reading(x, once[x].pop(0) if once.get(x) else then[x], step.wording) for x in step.checks]
    return steps


def test_a_test_that_may_well_be_misread_is_passed_again_before_it_is_over() -> None:
    once = {"ask_a": ["yes", "yes"]}
    then = {"ask_a": "no", "ask_b": "no", "test": "works"}
    sure, unsure = (said(x, once={k: list(v) for k, v in once.items()}, then=then) for x in (small(), small().with_reliability(0.9)))
    assert [sum(x.kind == "test" for x in steps) for steps in (sure, unsure)] == [1, 4]
    assert sure[-1].kind == unsure[-1].kind == "done"


def test_who_contradicts_themselves_is_asked_on_before_the_trouble_is_handed_over() -> None:
    """Something else is likely; but A was seen once, and whoever errs about A may err about B."""
    guide = small()
    causes = (*guide.causes, Cause(UNKNOWN, "Something else", 0.1, lives="network", shows="fails", handover="Support"))
    test = replace(guide.test, outcomes=(replace(guide.test.outcomes[0], when=tuple((c.id, 1.0) for c in causes)), guide.test.outcomes[1]))
    guide = replace(guide, causes=causes, test=test, checks=tuple(replace(x, again="Once more?") for x in guide.checks), digest="and else").with_reliability(0.9)
    guide = replace(guide, test=test, digest="and else, a sure test")
    then = {"ask_a": "no", "ask_b": "no", "test": "fails"}
    steady = said(guide, once={}, then=then)
    wavering = said(guide, once={"ask_a": ["no", "yes"]}, then=then)
    assert steady[-1].kind == wavering[-1].kind == "handover"
    assert len(steady) < len(wavering) - 5, "nobody whose answers agree is asked all that"
    late = said(guide, once={"ask_a": ["no", "yes"], "ask_b": ["no"] * 4}, then={**then, "ask_b": "yes"})
    assert "fix_b" in {x.id for x in late}, "what comes out only when they are asked on is put right"


def test_a_phone_that_probably_works_is_not_handed_over_because_its_test_was_misread_often() -> None:
    guide = small().with_reliability(0.9)
    events: list[Event] = [Reading("ask_a", "yes"), Reading("ask_a", "yes", 1), Tried("fix_a", "done"), Tried("restart", "done")]
    events += [Reading(f"ask_{x}", "no", 1) for x in "ab" * 8]
    events += [Reading("test", outcome, 1) for outcome in ["works", "fails"] * 3 + ["works", "works", "works", "fails"]]
    assert believe(guide, tuple(events)).works > 0.95
    steps = [next_step(guide, events[:n]).kind for n in (-1, len(events))]
    assert "handover" not in steps
    assert next_step(guide, [*events, *[Reading("test", "works", 1)] * 2]).kind == "done"


def doubted(*, rare: float = 0.2) -> Guide:
    """A, B that is as `rare` as that, C that nothing can read and a restart ends, and something else that is handed over."""
    guide = small()
    hangs = Cause("c", "C", 0.1, shows="fails")
    causes = (guide.causes[0], replace(guide.causes[1], prior=rare), hangs, Cause(UNKNOWN, "Something else", 0.1, lives="network", shows="fails", handover="Support"))
    test = replace(guide.test, outcomes=(replace(guide.test.outcomes[0], when=tuple((c.id, 1.0) for c in causes)), guide.test.outcomes[1]))
    restart = replace(guide.remedies[2], removes=("c",), harmless=True)
    guide = replace(guide, causes=causes, checks=tuple(replace(x, again="Once more?") for x in guide.checks), remedies=(*guide.remedies[:2], restart), digest=f"doubted {rare}")
    return replace(guide.with_reliability(0.9), test=test)


def test_a_rare_cause_is_asked_for_until_the_answers_alone_speak_against_it() -> None:
    """Somebody who erred about A says no to B by mistake, twice; how rare B is makes that no truer, and it comes out."""
    then = {"ask_a": "no", "ask_b": "yes", "test": "fails"}
    once = {"ask_a": ["no", "yes"], "ask_b": ["no", "no"]}
    assert "fix_b" in {x.id for x in said(doubted(rare=0.004), once=once, then=then)}


def test_what_nothing_can_read_is_put_right_once_more_before_a_doubtful_customer_is_handed_over() -> None:
    then = {"ask_a": "no", "ask_b": "no", "test": "fails"}
    steady, wavering = (said(doubted(), once=once, then=then) for once in ({}, {"ask_a": ["no", "yes"]}))
    assert steady[-1].kind == wavering[-1].kind == "handover"
    assert sum(x.id == "restart" for x in wavering) > sum(x.id == "restart" for x in steady) >= 1


def test_who_says_it_is_done_and_still_sees_the_fault_is_asked_once_more_at_last() -> None:
    once, then = {"ask_a": ["no", "yes"]}, {"ask_a": "no", "ask_b": "yes", "test": "fails"}
    steps = said(doubted(), once=once, then=then)
    assert sum(x.id == "fix_b" for x in steps) == MOST_TRIES + ONCE_MORE and steps[-1].kind == "handover"
