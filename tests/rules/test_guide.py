"""Reading guides: a good one comes out whole, a bad one is refused with file, line and the mistake in plain words."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from careline.domain.diagnosis.rules.guide import UNKNOWN, GuideFault, load, load_all

GOOD = """\
id = "radio"
title = "The radio is silent"
trouble = "No sound comes out."
use = ["parts/power.toml"]
examples = ["my radio says nothing"]

[test]
say = "Do you hear anything?"
seconds = 10
outcomes = [{ id = "silent", say = "Nothing" }, { id = "plays", say = "It plays" }]

[[causes]]
id = "muted"
title = "It is muted"
prior = 0.3
shows = "silent"
group = "volume"

[[causes]]
id = "too_low"
title = "The volume is low"
prior = 0.2
shows = "silent"
group = "volume"

[[causes]]
id = "unplugged"
prior = 0.1
shows = "silent"

[[causes]]
id = "broken"
title = "It is broken"
prior = 0.05
shows = "silent"
handover = "Repairs"

[[checks]]
id = "knob"
say = "Where does the knob point?"
seconds = 5
screen = "front"
hidden_by = ["unplugged"]
outcomes = [
    { id = "mute", say = "To the cross", when = ["muted"] },
    { id = "low", say = "To the left", when = { too_low = 0.9 } },
    { id = "high", say = "To the right" },
]

[[screens]]
id = "front"
title = "The front"
say = "Look at the front."
seconds = 5

[[remedies]]
id = "turn"
title = "Turn the knob"
say = "Turn it to the right."
removes = ["muted", "too_low"]
first = ["unplugged"]
leaves = "restart"

[[remedies]]
id = "restart"
title = "Restart"
say = "Switch it off and on."
finishes = "restart"
"""

POWER = """\
[[causes]]
id = "unplugged"
title = "The plug is out"
prior = 0.2

[[checks]]
id = "plug"
say = "Is the plug in?"
outcomes = [{ id = "out", say = "No", when = ["unplugged"] }, { id = "in", say = "Yes" }]

[[remedies]]
id = "plug_in"
title = "Plug it in"
say = "Put the plug in."
removes = ["unplugged"]
"""


def read(text: str = GOOD, part: str = POWER):
    return load({"guides/radio.toml": text, "guides/parts/power.toml": part}, "guides/radio.toml")


def test_a_guide_comes_out_whole_with_its_part():
    guide = read()
    assert [x.id for x in guide.causes] == ["muted", "too_low", "unplugged", "broken", UNKNOWN]
    assert guide.cause_by_id["unplugged"].title == "The plug is out" and guide.cause_by_id["unplugged"].prior == 0.1
    assert [x.id for x in guide.checks] == ["knob", "plug"] and guide.works == "plays"
    assert guide.check_by_id["knob"].outcomes[1].when == (("too_low", 0.9),)
    assert guide.test.outcomes[0].when == tuple((x, 1.0) for x in ("muted", "too_low", "unplugged", "broken", UNKNOWN))
    assert guide.variables == ((0, 1), (2,), (3,), (4,))
    assert [x.id for x in guide.remedies_for("too_low")] == ["turn"]
    assert read(GOOD.replace("0.3", "0.31")).digest != guide.digest != read(part=POWER.replace("in?", "in it?")).digest


MISTAKES = {  # what is replaced, by what, what stands on the line named, what is said
    "no toml": ("[test]", "[test", "[test", "this is no TOML: Expected"),
    "an unknown key": ("seconds = 10", "secnds = 10", "secnds", 'nobody knows "secnds"'),
    "a key that is missing": ('title = "It is muted"\n', "", 'id = "muted"', '"title" is missing'),
    "a part that is not there": ("parts/power.toml", "parts/powr.toml", "use =", 'there is no part "parts/powr.toml"'),
    "an id with a capital": ('id = "muted"', 'id = "Muted"', 'id = "Muted"', "ids are small letters"),
    "two causes of one id": ('id = "too_low"', 'id = "muted"', 'id = "muted"', 'two [[causes]] are called "muted"'),
    "a row without id": ('id = "front"\n', "", "[[screens]]", "a [[screens]] has no id"),
    "a prior above one": ("prior = 0.3", "prior = 30", 'id = "muted"', "prior must be a number from 0.0001 to 0.95, not 30"),
    "a prior that is a text": ("prior = 0.3", 'prior = "0.3"', 'id = "muted"', "prior must be a number"),
    "priors of a group that fill it": ("prior = 0.3", "prior = 0.85", 'group = "volume"', 'group "volume" add up to 1.05'),
    "an outcome for a cause that is in no file": ('when = ["muted"]', 'when = ["mutd"]', '"mutd"', 'there is no cause "mutd"'),
    "a chance above one": ("too_low = 0.9", "too_low = 9", 'id = "knob"', "the chance of too_low must be a number from 0.01 to 1, not 9"),
    "one outcome": ('{ id = "silent", say = "Nothing" }, ', "", "[test]", "a check needs two outcomes or more"),
    "two outcomes of one id": ('id = "low"', 'id = "mute"', 'id = "knob"', "two outcomes have one id"),
    "an outcome that no cause produces": (', when = ["muted"]', "", 'id = "knob"', "says which causes produce it"),
    "a screen that is not there": ('screen = "front"', 'screen = "back"', 'screen = "back"', 'there is no [[screens]] "back"'),
    "a level that the test does not have": ('prior = 0.05\nshows = "silent"', 'prior = 0.05\nshows = "loud"', 'id = "broken"', "shows is one of the test's outcomes"),
    "a cause that nothing removes": ('handover = "Repairs"\n', "", 'id = "broken"', "nothing removes it"),
    "a cause that breaks nothing": ('prior = 0.05\nshows = "silent"', "prior = 0.05", 'id = "broken"', "breaks nothing"),
    "a restart that nothing finishes": ('finishes = "restart"', 'finishes = "rest"', 'id = "turn"', 'leaves "restart" to do, and no remedy finishes it'),
    "a remedy of another kind": ('removes = ["muted", "too_low"]', 'kind = "pray"\nremoves = ["muted", "too_low"]', 'id = "turn"', 'kind is "do" (the customer), "act" (the desk) or "say"'),
    "an act without a deed": ('removes = ["muted", "too_low"]', 'kind = "act"\nremoves = ["muted", "too_low"]', 'id = "turn"', "`act` names the deed"),
    "a circumstance that breaks something": ('prior = 0.05\n', 'prior = 0.05\nlives = "circumstance"\n', 'id = "broken"', "is a circumstance"),
    "two steps of one id": ('id = "turn"', 'id = "knob"', 'id = "knob"', 'two steps are called "knob"'),
    "a list that is a text": ('hidden_by = ["unplugged"]', 'hidden_by = "unplugged"', 'id = "knob"', "hidden_by must be a list of names"),
    "a truth that is a text": ('leaves = "restart"', 'leaves = "restart"\nharmless = "no"', 'id = "turn"', "harmless is true or false"),
    "words that are a number": ('say = "Look at the front."', "say = 7", 'id = "front"', "say must be a text"),
    "a hiding outcome that is not there": ("seconds = 5\nscreen", 'hidden = "dark"\nseconds = 5\nscreen', 'id = "knob"', "hidden is one of its outcomes"),
    "no toml at its end": ('finishes = "restart"\n', 'finishes = "restart\n', 'finishes = "restart', "this is no TOML"),
    "a chance of nothing": ("too_low = 0.9", "too_low = 0", 'id = "knob"', "the chance of too_low must be a number from 0.01 to 1, not 0"),
    "a last outcome with a cause": ('say = "To the right" }', 'say = "To the right", when = ["too_low"] }', 'id = "knob"', "the last outcome is what is seen when nothing is wrong"),
    "two outcomes of the same causes": ('when = { too_low = 0.9 }', 'when = ["muted"]', 'id = "knob"', '"low" has the causes of "mute" and is never seen'),
    "a check that its own cause hides": ('hidden_by = ["unplugged"]', 'hidden_by = ["muted"]', 'id = "knob"', '"muted" hides this check and is read by it'),
    "a hiding outcome without a cause": ('hidden_by = ["unplugged"]', 'hidden = "mute"', 'id = "knob"', "say what in `hidden_by`"),
    "a cause that no check reads": ('    { id = "low", say = "To the left", when = { too_low = 0.9 } },\n', "", 'id = "too_low"', "is never found"),
    "remedies that wait for each other": (
        '[[remedies]]\nid = "restart"', '[[remedies]]\nid = "plug_in"\ntitle = "P"\nsay = "P"\nremoves = ["unplugged"]\nfirst = ["muted"]\n\n[[remedies]]\nid = "restart"',
        'id = "muted"', '"muted" waits for "unplugged" to be gone and that, in the end, for "muted"',
    ),
    "a remedy that waits for what it removes": ('first = ["unplugged"]', 'first = ["muted"]', 'id = "turn"', 'needs "muted" gone first, which it removes itself'),
    "a remedy that may never be given": ('first = ["unplugged"]', 'not_with = ["muted", "too_low"]', 'id = "turn"', 'must not be given while "muted" holds'),
    "a restart after nothing": ('leaves = "restart"\n', "", 'id = "restart"', 'finishes "restart", and no remedy leaves that to do'),
    "a deed that the customer would do": ('removes = ["muted", "too_low"]', 'act = "lines.reset"\nremoves = ["muted", "too_low"]', 'id = "turn"', 'say kind = "act"'),
    "a probe that costs the customer time": ('id = "knob"', 'id = "knob"\nkind = "probe"', 'id = "knob"', "a probe costs the customer nothing"),
    "a cause against itself": ('prior = 0.3\n', 'prior = 0.3\nnever_with = ["muted"]\n', 'id = "muted"', "cannot hold together with itself"),
    "a service that there is not": ('examples =', 'services = ["smoke"]\nexamples =', "services =", 'services are of voice, data, text, not "smoke"'),
    "a place that nothing fills": ('say = "Look at the front."', 'say = "Look at {side}."', "{side}", "nothing fills {side}"),
    "a place that is none": ('say = "Look at the front."', 'say = "Look at { side }."', "{ side }", "between braces"),
    "a platform that there is not": ('say = "Look at the front."', 'say = "Look [iPad: at it]."', "[iPad", "[iPhone: …], [Android: …] or"),
    "a test that is a list": (GOOD[GOOD.index("[test]"):GOOD.index("[[causes]]")], 'test = ["x"]\n', "test =", '"say" is missing'),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_bad_guide_is_refused_with_file_line_and_the_mistake(mistake: str):
    before, after, place, says = MISTAKES[mistake]
    assert before in GOOD
    with pytest.raises(GuideFault) as fault:
        read(bad := GOOD.replace(before, after, 1))
    said = str(fault.value)
    assert says in said, said
    if place:  # (the TOML reader says the line in its own words)
        line = bad.count("\n", 0, bad.index(place)) + 1
        assert said.startswith(f"guides/radio.toml:{line}: "), said
    assert len(said) < 300 and "Error" not in said and "<class" not in said


PART_MISTAKES = {
    "a table that a part does not hold": ("[[causes]]", '[test]\nsay = "x"\n[[causes]]', "a part holds"),
    "a cause that no file has": ('when = ["unplugged"]', 'when = ["unpluged"]', 'there is no cause "unpluged"'),
    "a check without words": ('say = "Is the plug in?"\n', "", '"say" is missing'),
}


@pytest.mark.parametrize("mistake", PART_MISTAKES)
def test_a_mistake_in_a_part_names_the_part(mistake: str):
    before, after, says = PART_MISTAKES[mistake]
    with pytest.raises(GuideFault, match=r"^guides/parts/power\.toml:\d+: ") as fault:
        read(part=POWER.replace(before, after, 1))
    assert says in str(fault.value)


def test_two_guides_of_one_id_are_refused():
    plain = {"guides/radio.toml": GOOD, "guides/parts/power.toml": POWER}
    assert list(load_all(plain)) == ["radio"]
    with pytest.raises(GuideFault, match=r'^guides/set\.toml:1: another guide is already called "radio"'):
        load_all({**plain, "guides/set.toml": GOOD})


JUNK = ["-1", "0", "1e9", "nan", "true", '""', '"x"', '"?\\u0000"', "[]", '["x"]', "[1]", "[[]]", "{}", "{ x = 1 }", "2026-01-01", '[{ id = "x" }]', "7"]


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(list(re.finditer(r'(?<== )("[^"\n]*"|[0-9.]+|\[[^\n\]]*\]|\{[^\n}]*\})', GOOD))), st.sampled_from(JUNK))
def test_whatever_stands_in_a_guide_it_is_read_or_refused_in_plain_words(place: re.Match[str], junk: str):
    try:
        guide = read(GOOD[: place.start()] + junk + GOOD[place.end() :])
    except GuideFault as fault:
        assert re.match(r"guides/[a-z/]+\.toml:", str(fault))
    else:
        assert all(isinstance(x, str) for x in (guide.id, guide.title, guide.trouble, *guide.examples))
        for step in (*guide.checks, guide.test, *guide.remedies, *guide.screens, *guide.causes):
            assert isinstance(step.id, str) and isinstance(step.title, str) and isinstance(getattr(step, "say", ""), str)
            assert 0 <= getattr(step, "seconds", 0) < 1e5 and isinstance(getattr(step, "harmless", False), bool)
