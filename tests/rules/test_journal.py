"""What a journal line is: one canonical text, and macs that change with every byte of it. (Attacks: operations.)"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careline.domain.journal.rules import (
    Entry,
    account_chain,
    canonical,
    line_mac,
    moment,
    payload_digest,
    root_mac,
    staff_chain,
)
from careline.foundation.act import Act, Basis, Who

ANA = Who("Staff", "7", "Ana Silva", "associate")
LENA = Who("Staff", "9", "Lena Park", "lead")
TEN = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
ACT = Act(ANA, TEN, "", "a-key-of-hers", Basis("contact", 3, 5, 3, "C-3", 3), rulebook="abc")
LINE = Entry("account:5", ACT, "credits.grant", "done", "Credit CR-1: $5.00, goodwill", {"amount": 500})

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def shuffled(value):
    """The same value with every object's names in the other order."""
    if isinstance(value, dict):
        return {k: shuffled(value[k]) for k in reversed(list(value))}
    return [shuffled(v) for v in value] if isinstance(value, list) else value


@given(values)
def test_equal_values_are_one_text_and_the_text_gives_the_value_back(value):
    assert canonical(shuffled(value)) == canonical(value)
    assert json.loads(canonical(value)) == value


def test_the_text_keeps_letters_as_they_are_and_has_no_spaces():
    assert canonical({"b": [1, None], "a": "Málaga “ok”"}) == '{"a":"Málaga “ok”","b":[1,null]}'


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (TEN, "2026-11-24T15:00:00.000000Z"),
        (TEN.astimezone(timezone(timedelta(hours=-5))), "2026-11-24T15:00:00.000000Z"),
        (TEN.replace(microsecond=1), "2026-11-24T15:00:00.000001Z"),
    ],
)
def test_a_moment_is_written_one_way(at, text):
    assert moment(at) == text


def test_chains_are_named_apart():
    assert (account_chain(7), staff_chain("7")) == ("account:7", "staff:7")


@pytest.mark.parametrize(
    "other",
    [
        replace(LINE, chain="account:6"),
        replace(LINE, code="credits.reverse"),
        replace(LINE, outcome="refused"),
        replace(LINE, say="Credit CR-1: $9.00, goodwill"),
        replace(LINE, data={"amount": 900}),
        replace(LINE, act=replace(ACT, who=replace(ANA, id="8"))),
        replace(LINE, act=replace(ACT, who=replace(ANA, kind="Agent"))),
        replace(LINE, act=replace(ACT, who=replace(ANA, name="Ana Silver"))),
        replace(LINE, act=replace(ACT, who=replace(ANA, role="lead"))),
        replace(LINE, act=replace(ACT, asked_by=LENA)),
        replace(LINE, act=replace(ACT, at=TEN + timedelta(microseconds=1))),
        replace(LINE, act=replace(ACT, why="asked by mail")),
        replace(LINE, act=replace(ACT, rulebook="abd")),
        replace(LINE, act=replace(ACT, basis=replace(ACT.basis, kind="request"))),
        replace(LINE, act=replace(ACT, basis=replace(ACT.basis, id=4))),
        replace(LINE, act=replace(ACT, basis=replace(ACT.basis, level=4))),
    ],
)
def test_everything_that_a_line_says_is_in_its_text(other):
    assert other.text(1, "") != LINE.text(1, "")


@given(st.text(max_size=20), values, st.none() | st.just(LENA))
def test_a_line_is_the_canonical_text_of_what_it_says(words, value, asked_by):
    """Put together from pieces, it is the text that its JSON has."""
    line = replace(LINE, say=words, data={"note": value, "amount": 800}, code=words, act=replace(ACT, why=words, rulebook=words, asked_by=asked_by, who=replace(ANA, name=words)))
    text = line.text(3, "d" + words)
    said = json.loads(text)
    assert text == canonical(said)
    assert (said["say"], said["data"], said["why"], said["seq"], said["payload"], said["chain"]) == (words, {"note": value, "amount": 800}, words, 3, "d" + words, LINE.chain)
    assert {"kind", "id", "level"} == set(said["basis"]) and said["who"]["name"] == said["code"] == said["rulebook"] == words


def test_place_and_payload_are_in_the_text_and_the_payload_itself_and_the_key_are_not():
    assert len({LINE.text(1, ""), LINE.text(2, ""), LINE.text(1, "d")}) == 3
    personal = replace(LINE, payload={"words": "her mother is in hospital"})
    assert personal.text(1, "d") == LINE.text(1, "d")
    assert "hospital" not in personal.text(1, "d") and "a-key-of-hers" not in LINE.text(1, "")


def test_the_line_names_who_asked_beside_who_did():
    said = json.loads(replace(LINE, act=replace(ACT, who=LENA, asked_by=ANA)).text(1, ""))
    assert (said["who"]["name"], said["asked_by"]) == ("Lena Park", {"kind": "Staff", "id": "7", "name": "Ana Silva"})


def test_a_mac_hangs_on_the_key_the_line_before_and_the_text():
    macs = {line_mac(k, p, t) for k in (b"one", b"two") for p in ("", "ab") for t in ("x", "y")}
    assert len(macs) == 8 and all(len(m) == 64 for m in macs)


def test_a_root_is_no_line_and_a_line_is_no_root():
    assert root_mac(b"key", "ab", "[]") != line_mac(b"key", "ab", "[]")
    assert len({root_mac(k, p, h) for k in (b"one", b"two") for p in ("", "ab") for h in ("[]", "[1]")}) == 8


def test_the_digest_of_a_payload_hangs_on_its_salt():
    """Without the salt nobody can guess what short words a digest stands for."""
    assert payload_digest("salt", '{"text":"yes"}') != payload_digest("tlas", '{"text":"yes"}')
    assert payload_digest("salt", '{"text":"yes"}') != payload_digest("salt", '{"text":"no"}')


def test_an_act_without_a_time_zone_cannot_be():
    with pytest.raises(ValueError, match="time zone"):
        replace(ACT, at=datetime(2026, 11, 24))  # noqa: DTZ001
