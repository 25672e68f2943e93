"""Priors from closed walks: what is counted, how sure it is, and that only numbers change in the text."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from careline.domain.diagnosis.rules.belief import Event
from careline.domain.diagnosis.rules.guide import UNKNOWN, Cause, Check, Guide, Outcome, load_all
from careline.domain.diagnosis.rules.learn import (
    Seen,
    below,
    interval,
    learn,
    proposed,
    quantile,
    seen,
    written,
)
from careline.domain.diagnosis.rules.policy import next_step
from careline.domain.diagnosis.rules.simulate import Phone
from careline.domain.diagnosis.rules.walk import Walk

ROOT = Path(__file__).parents[2] / "rulebook" / "default"
FILES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in ROOT.rglob("*.toml")}
GUIDES = load_all(FILES)


def guide_of(priors: dict[str, float], group: tuple[str, ...] = ()) -> Guide:
    causes = tuple(Cause(x, x, p, shows="fails", group="g" if x in group else "") for x, p in priors.items())
    test = Check("test", "test", "", (Outcome("fails", "", tuple((x, 1.0) for x in priors)), Outcome("works", "")), 10.0)
    return Guide("g", "g", "g", test, causes, (), (), (), digest=f"{priors} {group}")


def walked(guide: Guide, *causes: str) -> Walk:
    """An honest customer's walk to its end."""
    phone = Phone(guide, set(causes))
    events: list[Event] = []
    while (step := next_step(guide, events)).kind not in ("done", "handover"):
        events += [phone.give(step.id)] if step.kind == "remedy" else [phone.answer(x, step.wording) for x in step.checks]
    return Walk(guide, tuple(events))


# --- counting ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prior", "there", "walks", "new", "matters"),
    [
        (0.1, 0, 0, 0.1, False),  # nothing seen
        (0.1, 2, 20, 0.1, False),  # as expected
        (0.1, 10, 20, 0.3, True),  # far more often
        (0.1, 0, 100, 0.0166, True),  # never in a hundred
        (0.1, 1, 3, 0.13, False),  # too few to say
        (0.1, 3, 20, 0.125, False),
        (0.1, 26, 230, 0.112, True),  # little, but many walks
        (0.1, 24, 230, 0.104, False),  # many walks, and nothing new
    ],
)
def test_the_prior_counts_as_twenty_walks(prior: float, there: int, walks: int, new: float, matters: bool) -> None:
    guide = guide_of({"a": prior, "b": 0.2})
    rows = [Seen("g", {"a": float(n < there), "b": 0.2}) for n in range(walks)] + [Seen("other", {"a": 1.0})] * 5
    one, other = learn(guide, rows)
    assert (one.cause, one.old, one.walks, one.times) == ("a", prior, walks, there)
    assert one.new == pytest.approx(new, rel=0.01) and one.matters is matters
    assert one.low < (20 * prior + there) / (20 + walks) < one.high
    assert not other.matters and other.times == pytest.approx(0.2 * walks)


def test_a_stronger_prior_moves_less() -> None:
    guide = guide_of({"a": 0.1})
    rows = [Seen("g", {"a": 1.0})] * 10
    moved = [learn(guide, rows, strength=x)[0].new for x in (5.0, 20.0, 200.0)]
    assert moved == sorted(moved, reverse=True) and moved[1] == pytest.approx(0.4)
    with pytest.raises(ValueError, match="count for something"):
        learn(guide, rows, strength=0)


def test_a_walk_counts_only_for_the_causes_that_its_guide_had() -> None:
    guide = guide_of({"a": 0.1, "new": 0.1})
    a, new = learn(guide, [Seen("g", {"a": 1.0, "gone": 1.0})] * 4)
    assert (a.walks, new.walks, new.new, new.matters) == (4, 0, 0.1, False)


def test_a_group_changes_as_a_whole_and_stays_under_one() -> None:
    guide = guide_of({"a": 0.5, "b": 0.4, "c": 0.1}, ("a", "b"))
    a, b, c = learn(guide, [Seen("g", {"a": 0.0, "b": 1.0, "c": 0.1})] * 400)
    assert a.matters and b.matters and not c.matters
    assert a.new + b.new < 1 and b.new > 0.9 and a.new < 0.03


@settings(deadline=None)
@given(st.data())
def test_whatever_was_seen_what_is_proposed_is_a_guide(data: st.DataObject) -> None:
    names = [f"c{n}" for n in range(data.draw(st.integers(1, 6)))]
    group = tuple(data.draw(st.lists(st.sampled_from(names), unique=True)))
    priors = {x: data.draw(st.floats(0.0001, 0.95 / max(len(group), 1))) for x in names}
    guide = guide_of(priors, group)
    rows = []
    for _ in range(data.draw(st.integers(0, 4))):
        there = {x: data.draw(st.floats(0, 1)) for x in names}
        total = max(1.0, sum(there[x] for x in group))
        rows += [Seen("g", {x: p / total if x in group else p for x, p in there.items()})] * data.draw(st.sampled_from([1, 30, 3000]))
    found = learn(guide, rows, data.draw(st.sampled_from([1.0, 20.0, 500.0])))
    assert [x.cause for x in found] == names
    for x in found:
        assert 0.0001 <= x.new <= 0.95 and 0 <= x.low <= x.high <= 1
        assert not (x.matters and x.new == x.old)
    after = {x.cause: x.new if x.matters else x.old for x in found}
    assert sum(after[x] for x in group) < 1
    if not rows:
        assert not any(x.matters for x in found)


# --- what a walk says ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("causes", [("airplane_mode",), ("airplane_mode", "suspended_unpaid")])
def test_what_was_found_and_fixed_was_there_and_the_rest_was_not(causes: tuple[str, ...]) -> None:
    there = seen(walked(GUIDES["no_service"], *causes)).there
    assert all(there[x] == 1 for x in causes)
    assert all(p < 0.2 for x, p in there.items() if x not in causes and GUIDES["no_service"].cause_by_id[x].shows)


def test_what_was_handed_over_was_there() -> None:
    guide = GUIDES["no_service"]
    cause = next(c for c in guide.causes if c.handover and c.lives == "phone" and not guide.remedies_for(c.id) and c.id != UNKNOWN)
    assert seen(walked(guide, cause.id)).there[cause.id] > 0.8


def test_a_cause_that_is_common_here_becomes_more_likely() -> None:
    guide = GUIDES["no_service"]
    found = {x.cause: x for x in learn(guide, [seen(walked(guide, "airplane_mode"))] * 30)}
    assert found["airplane_mode"].matters and found["airplane_mode"].new > 0.5
    assert all(x.new < x.old for x in found.values() if x.matters and x.cause != "airplane_mode")


# --- the Beta distribution -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "a", "b", "x"),
    [
        (0.1, 1, 1, 0.1), (0.9, 1, 1, 0.9), (0.25, 2, 1, 0.5), (0.75, 1, 2, 0.5), (0.5, 3, 3, 0.5), (0.5, 400, 400, 0.5),
        (0.1, 1, 19, 1 - 0.9 ** (1 / 19)), (0.9, 0.5, 0.5, math.sin(math.pi * 0.45) ** 2),
    ],
)  # fmt: skip
def test_quantiles_that_are_known(p: float, a: float, b: float, x: float) -> None:
    assert quantile(p, a, b) == pytest.approx(x, abs=1e-9)


@settings(deadline=None)
@given(st.floats(1, 300), st.floats(1, 300), st.floats(0.01, 0.99))
def test_the_share_below_is_the_area_below(a: float, b: float, p: float) -> None:
    x = quantile(p, a, b)
    assert below(x, a, b) == pytest.approx(p, abs=1e-8)
    grid = (np.arange(40_000) + 0.5) / 40_000
    log = (a - 1) * np.log(grid) + (b - 1) * np.log1p(-grid)
    density = np.exp(log - log.max())
    assert density[grid < x].sum() / density.sum() == pytest.approx(p, abs=5e-3)
    low, high = interval(a, b)
    assert low < a / (a + b) + 0.2 and below(high, a, b) - below(low, a, b) == pytest.approx(0.8, abs=1e-6)


# --- the text ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("guide", GUIDES.values(), ids=GUIDES)
def test_every_prior_of_the_default_guides_can_be_changed_and_nothing_else_changes(guide: Guide) -> None:
    path = f"guides/{guide.id}.toml"
    changes = {x: round(0.9 * guide.cause_by_id[x].prior, 6) for x in written(FILES[path])}
    assert len(changes) >= len(guide.causes) - 2
    text = proposed(FILES, path, changes)
    before, after = FILES[path].splitlines(), text.splitlines()
    assert len(before) == len(after)
    assert all(b.startswith("prior = ") for a, b in zip(before, after, strict=True) if a != b)
    new = load_all({**FILES, path: text})[guide.id]
    assert {x: new.cause_by_id[x].prior for x in changes} == pytest.approx(changes)
    assert replace(new, causes=(), test=guide.test, digest="") == replace(guide, causes=(), digest="")
    assert proposed(FILES, path, {}) == FILES[path]


ODD = """# prior = 0.5\r
title = "[[causes]]"  # prior\r
[[causes]]\r
title = 'prior = 0.3'\r
  prior   =   0.30   # three of ten\r
id = "b"\r
\r
[[ checks ]]\r
id = "b"\r
prior = 0.3\r
[[causes]]\r
id='a'\r
prior = 3e-1\r
[[causes]]\r
id = "from_a_part"\r
"""


def test_comments_spaces_line_ends_and_other_tables_stay_as_they_are() -> None:
    assert written(ODD) == {"a", "b"}
    assert proposed({"x": ODD}, "x", {"a": 0.25, "b": 0.0123}) == ODD.replace("0.30 ", "0.0123 ").replace("3e-1", "0.25")


def test_a_prior_that_does_not_stand_there_is_not_written() -> None:
    with pytest.raises(LookupError, match="no prior of its own to from_a_part"):
        proposed({"x": ODD}, "x", {"from_a_part": 0.2})


def test_a_text_that_would_come_out_otherwise_is_left_alone() -> None:
    tricky = 'words = """\n[[causes]]\nid = "a"\nprior = 0.1\n"""\n[[causes]]\nid = "a"\nprior = 0.1\n'
    try:
        text = proposed({"x": tricky}, "x", {"a": 0.2})
    except ValueError as fault:
        assert "by hand" in str(fault)
    else:
        assert tomllib.loads(text)["words"] == tomllib.loads(tricky)["words"]
    with pytest.raises(ValueError, match="by hand"):
        proposed({"x": tricky.replace("[[causes]]\nid = \"a\"\nprior = 0.1\n", "", 2) + 'z = """\n[[causes]]\nid = "a"\nprior = 0.1\n"""\n'}, "x", {"a": 0.2})
