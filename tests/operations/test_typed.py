"""What an act takes as an id, a day and a moment: what is written exactly so, and no number that could be read as one."""

from __future__ import annotations

from datetime import date

import pytest
from django.http import QueryDict
from pydantic import ValidationError

from careline.acts.contacts import FollowUp, WrapUp
from careline.acts.network import Extend
from careline.doors.web import forms

pytestmark = pytest.mark.once
DONE = {"summary": "x", "disposition": "resolved", "root_cause": "none"}


@pytest.mark.parametrize("typed", [0, -1, 1.0, True, "1.0", "1e3", "1_0", "+5", "-5", "٣", "0x10", "", " ", None, [], {}, 2**63, "9" * 30, "9" * 5000])
def test_an_id_is_digits_and_nothing_else(typed):
    with pytest.raises(ValidationError):
        FollowUp(follow_up=typed)


def test_an_id_is_text_or_a_whole_number():
    assert FollowUp(follow_up="12").follow_up == FollowUp(follow_up=" 12 ").follow_up == FollowUp(follow_up=12).follow_up == 12


@pytest.mark.parametrize(
    ("typed", "say"),
    [
        ("2026-02-31", "no such day"), ("31/02/2026", "YYYY-MM-DD"), ("20261201", "YYYY-MM-DD"), ("1764547200", "YYYY-MM-DD"), (1764547200, "YYYY-MM-DD"),
        ("2026-12-01T00:00:00", "YYYY-MM-DD"), ("2026-12-1", "YYYY-MM-DD"), ("٢٠٢٦-١٢-٠١", "YYYY-MM-DD"), (True, "YYYY-MM-DD"), ([], "YYYY-MM-DD"),
        ("0001-01-01", "1990 to 2100"), ("9999-12-31", "1990 to 2100"),
    ],
)  # fmt: skip
def test_a_day_is_a_day_of_the_calendar_as_it_is_written_on_the_form(typed, say):
    with pytest.raises(ValidationError, match=say):
        WrapUp(**DONE, follow_up="Call", due_on=typed)
    assert WrapUp(**DONE, follow_up="Call", due_on=" 2028-02-29 ").due_on == date(2028, 2, 29)


@pytest.mark.parametrize("typed", [1764547200, "1764547200", 1e9, True, "1e9", "tomorrow", "2026-12-01T10:00", "9999-01-01T00:00Z"])
def test_a_moment_is_written_with_its_day_and_zone(typed):
    with pytest.raises(ValidationError):
        Extend(outage=1, expected_end=typed)
    assert Extend(outage=1, expected_end="2026-12-01T10:00Z").expected_end.hour == 10


@pytest.mark.parametrize(("typed", "read"), [("512", 512), (" 512 ", 512), ("0512", 512), ("9" * 15, int("9" * 15)), ("9" * 16, "9" * 16), ("5e2", "5e2"), ("٣", "٣"), ("-5", "-5")])
def test_a_quantity_of_a_form_is_never_cut_off(typed, read):
    """What is too long to be meant goes to the act as it was typed, which says so at its field."""
    assert forms.read(QueryDict(f"mb={typed}"), {"mb": "whole"}) == {"mb": read}
