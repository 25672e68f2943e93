"""What if? A ladder played over a life: the hand-worked case of the docs, what a changed one moves, and that no day is missed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import settings as pace
from hypothesis import strategies as st

from careline.domain.collections.rules import Held
from careline.domain.collections.rules.whatif import (
    Billed,
    Life,
    Prices,
    Slower,
    Span,
    Study,
    _Player,
    lived,
    move,
    places,
    slowed,
    untouched,
    was_late,
)
from careline.foundation.ladder import read

pytestmark = pytest.mark.once
TEXT = (Path(settings.ROOT) / "rulebook" / "default" / "ladder.toml").read_text(encoding="utf-8")
LADDER = read(TEXT)
GENTLER = read(TEXT.replace("days = 15\nleast = 2500\ngap = 5", "days = 20\nleast = 4000\ngap = 5"))
DUE = date(2026, 10, 5)
FIRST, LAST = date(2026, 3, 1), date(2027, 2, 28)
PRICES = Prices(lambda state, base: max(700, base * 5 // 100), 2000)
MARIA = Life((Billed(1, DUE, 8000),), opened_on=date(2025, 3, 1), lines=2)


def after(days: int) -> date:
    return DUE + timedelta(days=days)


def story(ladder, life) -> list[str]:
    return [f"{(d.day - DUE).days} {d.rung} {d.effect}{' ' + d.channel if d.channel else ''}" for d in lived(ladder, life, PRICES, FIRST, LAST).deeds]


def test_maria_as_docs_collections_tells_her():
    paid = replace(MARIA, bills=(Billed(1, DUE, 8000, ((after(31), 8000),)),))
    assert story(LADDER, paid) == [
        "-3 reminder notice sms", "3 notice late_fee", "3 notice notice sms", "10 final notice sms", "15 soft suspend", "15 soft notice sms",
        "30 hard suspend", "30 hard notice email", "31 hard restore",
    ]  # fmt: skip
    found = lived(LADDER, paid, PRICES, FIRST, LAST)
    assert [(d.effect, d.minor, d.count) for d in found.deeds if d.effect in ("late_fee", "restore")] == [("late_fee", 700, 1), ("restore", 4000, 2)]
    assert found.line_days == 2 * 16, "two lines from day 15 to day 31"
    rest = ["60 disconnect disconnect", "60 disconnect final_bill", "60 disconnect notice letter", "100 place place", "120 write_off write_off"]
    assert story(LADDER, MARIA)[-5:] == rest, "had she not paid"


def test_no_late_fee_is_counted_for_whom_another_system_bills():
    came = replace(MARIA, imported=True)
    assert not [d for d in lived(LADDER, came, replace(PRICES, imported=False), FIRST, LAST).deeds if d.effect == "late_fee"]
    assert [d.minor for d in lived(LADDER, came, PRICES, FIRST, LAST).deeds if d.effect == "late_fee"] == [700], "the carrier took over"
    assert [d.minor for d in lived(LADDER, MARIA, replace(PRICES, imported=False), FIRST, LAST).deeds if d.effect == "late_fee"] == [700]


def test_a_debt_from_before_enters_the_months_where_it_had_come_to():
    found = lived(LADDER, MARIA, PRICES, after(20), after(70))
    assert [f"{(d.day - DUE).days} {d.rung} {d.effect}" for d in found.deeds][:2] == ["30 hard suspend", "30 hard notice"]
    assert found.line_days == 2 * 40, "barred since before: counted from the first day on, until the lines were gone"


@pytest.mark.parametrize(
    ("life", "how"),
    [
        (MARIA, "otherwise"),  # written off on the same day, limited five days later
        (replace(MARIA, bills=(Billed(1, DUE, 8000, ((after(17), 8000),)),)), "less far"),
        (replace(MARIA, bills=(Billed(1, DUE, 8000, ((after(24), 8000),)),)), "later"),
        (replace(MARIA, bills=(Billed(1, DUE, 3000, ((after(24), 3000),)),)), "less far"),
        (replace(MARIA, bills=(Billed(1, DUE, 8000, ((after(12), 8000),)),)), ""),
        (replace(MARIA, holds=(Span(Held("bankruptcy"), after(4)),)), ""),
    ],
)
def test_who_would_move_when_service_is_limited_later(life, how):
    old, new = lived(LADDER, life, PRICES, FIRST, LAST), lived(GENTLER, life, PRICES, FIRST, LAST)
    order = [code for code, _ in places(LADDER, GENTLER)]
    back = {"less far": "further", "later": "sooner"}.get(how, how)
    assert (move(old, new, order), move(new, old, order)) == (how, back)


def test_what_the_difference_brings_and_costs():
    study = Study(LADDER, GENTLER, FIRST, LAST)
    life = replace(MARIA, bills=(Billed(1, DUE, 8000, ((after(17), 8000),)),))
    study.add(7, "A-7", lived(LADDER, life, PRICES, FIRST, LAST), lived(GENTLER, life, PRICES, FIRST, LAST))
    assert study.result(study.before) == {"late_fee": 700, "restore": 0, "postage": 4, "place": 0, "write_off": 0}
    assert study.result(study.after)["postage"] == 3 and study.before.line_days - study.after.line_days == 4
    moved = study.moved[0]
    assert (moved.how, moved.before, moved.after, moved.notices, moved.line_days) == ("less far", ("soft", after(15)), ("final", after(10)), -1, -4)


def test_who_paid_on_the_due_day_was_not_late():
    assert not was_late(replace(MARIA, bills=(Billed(1, DUE, 8000, ((DUE, 8000),)),)), FIRST, LAST)
    assert was_late(MARIA, FIRST, LAST) and not was_late(MARIA, after(1), LAST)


def test_a_write_off_is_given_up_once_and_a_later_bill_begins_below():
    two = replace(MARIA, bills=(*MARIA.bills, Billed(2, after(130), 6000)))
    assert [s for s in story(LADDER, two) if "write_off" in s] == ["120 write_off write_off"]
    assert "133 notice notice sms" in story(LADDER, two)


class EveryNight(_Player):
    """The same, asked on each day."""

    def _days(self):
        days = [b.due_on for b, _ in self.bills]
        return [min(days) - timedelta(days=70) + timedelta(days=n) for n in range((self.last - min(days)).days + 71)]


@st.composite
def _lives(draw):
    bills = []
    for n in range(draw(st.integers(1, 3))):
        due = DUE - timedelta(days=60) + timedelta(days=30 * n)
        money = draw(st.lists(st.tuples(st.integers(-20, 150), st.sampled_from([500, 3000, 6000, -500])), max_size=3))
        bills.append(Billed(n + 1, due, draw(st.sampled_from([900, 4000, 9000])), tuple((due + timedelta(days=d), m) for d, m in money)))
    holds = []
    for _ in range(draw(st.integers(0, 2))):
        start = after(draw(st.integers(-60, 90)))
        held = draw(st.sampled_from([Held("bankruptcy"), Held("dispute", 3000), Held("dispute", bill=1), Held("complaint"), Held("manual"), Held("arrangement", 5000)]))
        holds.append(Span(held, start, start + timedelta(days=draw(st.integers(0, 50)))))
    opened = draw(st.sampled_from([date(2025, 3, 1), date(2021, 11, 1)]))
    return Life(tuple(bills), tuple(holds), draw(st.sampled_from(["individual", "business"])), opened_on=opened)


@given(life=_lives())
@pace(max_examples=25)
def test_asking_only_on_the_days_that_matter_says_what_every_night_says(life):
    assert lived(LADDER, life, PRICES, FIRST, LAST) == EveryNight(LADDER, life, PRICES, FIRST, LAST).play()


def test_who_is_told_later_may_be_assumed_to_pay_later_and_nobody_else():
    pays = replace(MARIA, bills=(Billed(1, DUE, 8000, ((after(16), 8000),)),))
    old, new = lived(LADDER, pays, PRICES, FIRST, LAST), lived(GENTLER, pays, PRICES, FIRST, LAST)
    assert untouched(old, new) == after(15) and untouched(new, old) is None and untouched(old, old) is None
    slow, moved = slowed(pays, after(15), 6)
    assert (slow.bills[0].money, moved) == (((after(22), 8000),), 8000)
    assert "20 soft suspend" in story(GENTLER, slow) and "20 soft suspend" not in story(GENTLER, pays), "six days later the gentler ladder gets there after all"
    back = Life((Billed(1, DUE, 8000, ((after(2), 8000), (after(9), -8000), (after(16), 8000))),))
    assert slowed(back, after(9), 5)[0].bills[0].money == ((after(2), 8000), (after(14), -8000), (after(21), 8000))


@pytest.mark.parametrize("percent", [0, 10, 50, 100])
def test_the_same_people_are_picked_each_time_and_about_so_many(percent):
    picked = [n for n in range(1, 10_001) if Slower(percent, 10).picks(n)]
    assert abs(len(picked) - percent * 100) <= 100 and picked == [n for n in range(1, 10_001) if Slower(percent, 10).picks(n)]
    assert set(picked) <= {n for n in range(1, 10_001) if Slower(100, 10).picks(n)}


@pytest.mark.parametrize(("percent", "days"), [(-1, 5), (101, 5), (5, -1), (5, 91)])
def test_what_nobody_can_assume_is_refused(percent, days):
    with pytest.raises(ValueError, match="from 0 to 100"):
        Slower(percent, days)
