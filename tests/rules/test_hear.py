"""Which guide a customer's words speak of: right more often than not, silent about anything else, safe with any text."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from careline.domain.diagnosis.rules.guide import load_all
from careline.domain.diagnosis.rules.hear import Ear, Heard

ROOT = Path(__file__).parents[2] / "rulebook" / "default"
FILES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in ROOT.rglob("*.toml")}
GUIDES = load_all(FILES)
PAIRS = [(guide.id, text) for guide in GUIDES.values() for text in guide.examples]
EAR = Ear.of(GUIDES.values())


def test_examples_that_were_left_out_find_their_guide():
    """In twelve parts, each tried with what the others teach. Measured: 85 % right, 70 % proposed alone, 96 % of these right."""
    parts, right, sure, sure_right = 12, 0, 0, 0
    for k in range(parts):
        held = {id(x) for n, x in enumerate(PAIRS) if n % parts == k}
        ear = Ear.taught([*(x for x in PAIRS if id(x) not in held), *((g.id, t) for g in GUIDES.values() for t in (g.title, g.trouble))])
        for name, text in PAIRS[k::parts]:
            heard = ear.hear(text)
            right += heard.ranked[0][0] == name
            sure += heard.sure
            sure_right += heard.sure and heard.ranked[0][0] == name
    assert right / len(PAIRS) > 0.78
    assert sure / len(PAIRS) > 0.55 and sure_right / sure > 0.93


@pytest.mark.parametrize(
    ("text", "guide"),
    [
        ("no bars, it says no service", "no_service"),
        ("my internet is super slow on the phone", "mobile_data"),
        ("MY VOICEMAIL DOES NOT WORK", "voicemail"),
        ("wifi calling wont turn on", "wifi_calling"),
        ("I keep getting spam calls", "unwanted_calls"),
        ("cant conect my laptop to my hotspott", "hotspot"),
        ("pictures don't send in messages", "messages"),
        ("can you explain my bill", "bill_higher"),
        ("I need two more weeks to pay", "cannot_pay"),
        ("what is this charge, I never bought that", "unknown_charge"),
        ("they took the money out twice", "double_charged"),
    ],
)
def test_plain_words_find_their_guide(text: str, guide: str):
    assert EAR.hear(text).ranked[0][0] == guide


@pytest.mark.parametrize(
    "text",
    [
        "", "   ", "?!", "hello", "what is the weather like in Oslo", "I want to book a table for two", "please change my address",
        "who won the match last night", "you are very kind, thank you", "qwrtz plmkn", "0000 1111",
        "bonjour, je voudrais un renseignement", "😀😀😀",
    ],
)  # fmt: skip
def test_what_speaks_of_no_guide_is_left_to_the_person(text: str):
    assert not EAR.hear(text).sure


def test_every_guide_is_ranked_best_first_and_always_the_same():
    again = Ear.of(load_all(FILES).values())
    for _, text in PAIRS[::40]:
        heard = EAR.hear(text)
        assert sorted(x for x, _ in heard.ranked) == sorted(GUIDES)
        scores = [x for _, x in heard.ranked]
        assert scores == sorted(scores, reverse=True)
        assert heard == EAR.hear(text) == again.hear(text)


def test_what_was_learned_by_heart_is_known():
    found = Counter(EAR.hear(text).ranked[0][0] == name for name, text in PAIRS)
    assert found[True] / len(PAIRS) > 0.98


@settings(deadline=None)
@given(st.text(max_size=300) | st.text("ab '’-\n\t0ßİ", max_size=60))
def test_any_text_is_heard(text: str):
    heard = EAR.hear(text)
    assert len(heard.ranked) == len(GUIDES) and all(-3 < score < 3 for _, score in heard.ranked)


@pytest.mark.parametrize("text", ["a" * 1_000_000, "no service " * 100_000, "x\x00y\ud800", "\u0130" * 5000])
def test_long_and_broken_texts_are_heard(text: str):
    assert len(EAR.hear(text).ranked) == len(GUIDES)


def test_nothing_to_learn_from_leaves_everything_to_the_person():
    assert Ear.of([]).hear("no service") == Heard((), False)
    assert Ear.of(replace(x, examples=()) for x in GUIDES.values()).hear("no service") == Heard((), False)
    empty = Ear.taught([("a", "..."), ("b", "")])
    assert not empty.hear("no service").sure and len(empty.hear("").ranked) == 2


def test_one_guide_alone_is_not_proposed_for_everything():
    ear = Ear.of([GUIDES["voicemail"]])
    assert ear.hear("my voicemail does not work").ranked[0][0] == "voicemail"
    assert not ear.hear("what is the capital of Peru").sure and not ear.hear("my voicemail does not work").sure
