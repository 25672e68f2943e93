"""`careline guide play`: a guide walked in the terminal to its end, with second thoughts, and left in any way."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest

from careline.doors.jobs.guides import authors

pytestmark = pytest.mark.once
RULEBOOK = Path(__file__).resolve().parents[2] / "rulebook" / "benchmark"


@pytest.fixture
def play(monkeypatch, capsys) -> Callable[..., str]:
    def of(*keys: str | BaseException, guide: str = "no_service") -> str:
        """What is printed when these are typed, one after another, and then the input ends."""
        left = list(keys)

        def typed(prompt: str) -> str:
            print(prompt)
            one = left.pop(0) if left else EOFError()
            if isinstance(one, BaseException):
                raise one
            return one

        monkeypatch.setattr("builtins.input", typed)
        assert authors.play(argparse.Namespace(rulebook=str(RULEBOOK), guide=guide, platform="")) == 0
        assert not left, f"nobody asked for {left}"
        return capsys.readouterr().out

    return of


FINE = ("4", "2", "2")  # active, the contract runs, nothing is overdue


def test_a_plane_is_found_put_right_tested_and_what_they_learn_is_said(play):
    said = play(*FINE, "1", "1", "3")
    end = said[said.index("It works again") :]
    assert "Put right: Airplane mode is on. Airplane mode switches every radio off." in end


def test_an_answer_is_taken_back_within_a_screen_after_it_and_at_the_end(play):
    said = play("1", "u", *FINE, "2", "u", "1", "1", "3", "u", "2")
    assert said.count("Is the line active?") == 2, "the screen began anew"
    assert said.count("Switch airplane mode off") == 1 and said.count("It works again") == 1 and said.rindex("Signal  [") > said.index("It works again")
    assert "nothing to take back" in play("u")


def test_they_did_it_already_why_and_what_somebody_knows(play):
    said = play(*FINE, "1", "w", "c", "k gremlins", "k- sim_locked", "k sim_missing", "?")
    assert "It is about: Airplane mode is on." in said and "claimed: Switch airplane mode off" not in said
    assert 'no cause "gremlins". They are: airplane_mode' in said and said.rstrip().endswith(">")
    assert "The phone does not find its SIM" in play(*FINE, "k sim_missing", "w")


@pytest.mark.parametrize("end", ["q", KeyboardInterrupt(), EOFError()], ids=["q", "Ctrl-C", "no more input"])
def test_it_is_left_cleanly_anywhere(play, end):
    assert play("4", end).rstrip().endswith(">")


def test_a_key_that_stands_for_nothing_says_what_does(play):
    assert play("9", "0x", "²", "", "3").count("Type a number of the list") == 4
