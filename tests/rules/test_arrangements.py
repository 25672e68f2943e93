"""Promises to pay as arithmetic: who may have one, plans that fit, kept and broken, and the policy file."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import settings as pace
from hypothesis import strategies as st

from careline.domain.arrangements import rules
from careline.domain.arrangements.rules import Can, Part, Past, Rhythm, State
from careline.foundation import arrange
from tests.people import default_rulebook

pytestmark = pytest.mark.once
BOOK = default_rulebook()
POLICY = BOOK.arrangements
ANA = POLICY.of("associate")
TODAY = date(2026, 11, 27)  # a Friday, and Maria's payday
FRIDAYS = {"rhythm": Rhythm.TWO_WEEKS, "payday": date(2026, 11, 27)}


def day(text: str) -> date:
    return date.fromisoformat(f"2026-{text}" if text[0] == "1" else f"2027-{text}")


def told(plan: rules.Plan) -> list[tuple[str, int]]:
    return [(f"{p.due_on:%m-%d}", p.amount_minor) for p in plan.parts]


# ---------------------------------------------------------------- plans


def test_maria_pays_half_of_142_dollars_now_and_half_on_her_next_payday():
    found = rules.plans(14200, 3550, Can(7100, 7100, **FRIDAYS), ANA, TODAY)
    assert [(told(p), p.fits) for p in found] == [([("11-27", 7100), ("12-11", 7100)], True), ([("11-27", 14200)], False)]


@pytest.mark.parametrize(("can", "expected"), [
    (Can(0, 7100, **FRIDAYS), [("11-27", 7100), ("12-11", 7100)]),  # paid today, and nothing said of now
    (Can(2000, 5000, **FRIDAYS), [("11-27", 4734), ("12-11", 4733), ("12-25", 4733)]),  # the policy asks for more now than they said
    (Can(0, 4800, Rhythm.WEEKLY, date(2026, 11, 25)), [("12-02", 4734), ("12-09", 4733), ("12-16", 4733)]),
    (Can(6000, 8200, Rhythm.MONTHLY, date(2026, 10, 31)), [("11-27", 6000), ("11-30", 8200)]),  # the 31st is the last day of November
    (Can(14200), [("11-27", 14200)]),
])  # fmt: skip
def test_the_first_plan_is_the_one_that_fits(can, expected):
    limits = POLICY.of("lead") if len(expected) > 2 else ANA
    assert told(rules.plans(14200, 4734 if can.now_minor == 2000 else 3550, can, limits, TODAY)[0]) == expected


def test_without_a_payday_within_the_limits_there_is_no_plan_and_no_amount_from_nowhere():
    assert rules.plans(14200, 0, Can(0, 5000, Rhythm.MONTHLY, date(2026, 11, 26)), arrange.NOTHING, TODAY) == []
    assert rules.plans(0, 0, Can(100), ANA, TODAY) == []
    assert [told(p) for p in rules.plans(14200, 0, Can(5000), ANA, TODAY)] == [[("11-27", 14200)]]


amounts = st.integers(1, 300_000)
cans = st.builds(
    Can, st.one_of(st.just(0), amounts), st.one_of(st.none(), amounts), st.sampled_from(Rhythm),
    st.one_of(st.none(), st.dates(date(2026, 1, 1), date(2027, 12, 31))),
)  # fmt: skip


@given(owed=amounts, percent=st.integers(0, 100), can=cans, role=st.sampled_from(sorted(POLICY.roles)), today=st.dates(date(2026, 1, 1), date(2028, 1, 1)))
@pace(max_examples=300, deadline=None)
def test_every_plan_sums_exactly_keeps_the_limits_and_leaves_no_payday_out(owed, percent, can, role, today):
    limits = POLICY.of(role)
    least = -(-owed * percent // 100)
    found = rules.plans(owed, least, can, limits, today)
    assert len(found) <= 3 and [p.fits for p in found] == sorted((p.fits for p in found), reverse=True)
    assert bool(found) or not (can.now_minor or any(rules.paydays(can, today - rules.DAY, today + timedelta(days=limits.days))))
    for plan in found:
        assert rules.fault(plan.parts, owed, today) == ""
        assert plan.parts[0].amount_minor >= least and len(plan.parts) <= limits.parts
        assert plan.parts[-1].due_on <= today + timedelta(days=limits.days)
        later = [p.due_on for p in plan.parts if p.due_on > today]
        assert later == list(rules.paydays(can, today, plan.parts[-1].due_on)), "a payday was left out, or a part is on none"
        if plan.fits and can.now_minor:
            assert plan.parts[0] == Part(today, min(can.now_minor, owed)) or plan.parts[0].amount_minor <= can.now_minor


@given(can=cans, after=st.dates(date(2026, 1, 1), date(2028, 1, 1)))
def test_paydays_come_in_their_rhythm(can, after):
    days = list(rules.paydays(can, after, after + timedelta(days=120)))
    gaps = {(b - a).days for a, b in pairwise(days)}
    assert gaps <= {Rhythm.WEEKLY: {7}, Rhythm.TWO_WEEKS: {14}, Rhythm.MONTHLY: {28, 29, 30, 31}}[can.rhythm]
    assert all(after < d for d in days) and (can.payday is None) == (not days)


# ---------------------------------------------------------------- what cannot be agreed


@pytest.mark.parametrize(("parts", "says"), [
    ([], "at least one part"), ([("11-26", 14200)], "is over"), ([("12-11", 7100), ("11-27", 7100)], "order of their days"),
    ([("11-27", 7100), ("11-27", 7100)], "one a day"), ([("11-27", 14200), ("12-11", 0)], "more than nothing"), ([("11-27", 14100)], "$142.00 is past due: $1.00 is missing"),
    ([("11-27", 7100), ("12-11", 7100)], ""),
])  # fmt: skip
def test_what_is_wrong_with_parts_is_said(parts, says):
    found = rules.fault([Part(day(d), m) for d, m in parts], 14200, TODAY)
    assert says in found and bool(found) == bool(says)


# ---------------------------------------------------------------- kept, late, broken

HALVES = [Part(day("11-27"), 7100), Part(day("12-11"), 7100)]


@pytest.mark.parametrize(("received", "today", "grace", "state", "left", "broken_on", "check_on"), [
    ([], "11-27", 0, "alive", 14200, None, "11-28"),
    ([], "11-28", 0, "broken", 14200, "11-28", None),
    ([("11-27", 7100)], "12-11", 0, "alive", 7100, None, "12-12"),
    ([("11-27", 7100)], "12-12", 0, "broken", 7100, "12-12", None),
    ([("11-27", 7099)], "11-28", 0, "broken", 7101, "11-28", None),
    ([("11-27", 14200)], "11-27", 0, "kept", 0, None, None),
    ([("11-27", 7100), ("12-11", 7100)], "12-20", 0, "kept", 0, None, None),
    ([("11-27", 7100), ("12-12", 7100)], "12-12", 0, "broken", 0, "12-12", None),  # a day late is broken, whatever came after
    ([("11-27", 7100)], "12-12", 2, "alive", 7100, None, "12-14"),
    ([("11-27", 7100)], "12-14", 2, "broken", 7100, "12-14", None),
    ([("11-27", 9000), ("12-01", -9000)], "12-01", 0, "alive", 14200, None, "12-02"),  # it came back: until the end of that day
    ([("11-27", 9000), ("12-01", -9000)], "12-09", 0, "broken", 14200, "12-02", None),
    ([("11-27", 9000), ("12-01", -9000), ("12-01", 7100)], "12-09", 0, "alive", 7100, None, "12-12"),
])  # fmt: skip
def test_kept_and_broken_follow_from_the_parts_the_money_and_the_day(received, today, grace, state, left, broken_on, check_on):
    found = rules.progress(HALVES, [(day(d), m) for d, m in received], day(today), grace)
    assert (found.state, found.left_minor) == (State(state), left)
    assert (found.broken_on, found.check_on) == (day(broken_on) if broken_on else None, day(check_on) if check_on else None)
    assert sum(p.left_minor for p in found.parts) == left


def test_a_part_is_late_on_its_days_of_grace_and_the_next_one_is_named():
    found = rules.progress(HALVES, [(day("11-27"), 8000)], day("12-12"), 2)
    assert found.late and found.next == rules.Due(2, day("12-11"), 7100, 6200) and found.paid_minor == 8000


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(-9000, 9000)), max_size=6), st.integers(0, 50), st.integers(0, 5))
def test_once_broken_it_stays_broken_whatever_nights_were_missed(moves, later, grace):
    received = [(TODAY + timedelta(days=d), m) for d, m in moves]
    states = [rules.progress(HALVES, received, TODAY + timedelta(days=n), grace) for n in range(later + 1)]
    first = next((n for n, s in enumerate(states) if s.broken_on), None)
    for n, found in enumerate(states):
        assert (found.state == State.BROKEN) == (first is not None and n >= first)
        assert 0 <= found.paid_minor <= 14200 and found.paid_minor + found.left_minor == 14200
        if first is not None and n >= first:
            assert found.broken_on == TODAY + timedelta(days=first), "the day on which it broke does not depend on when it is asked"


# ---------------------------------------------------------------- the facts, and the file


def test_old_debt_is_in_the_first_part_unless_a_lead_agrees():
    past = Past(date(2020, 1, 1), ((day("10-20"), 6000), (day("11-20"), 8200)))
    assert rules.first_least(past, ANA, POLICY, TODAY) == 6000
    assert rules.first_least(past, POLICY.of("lead"), POLICY, TODAY) == 1420
    assert rules.first_least(Past(date(2020, 1, 1), ((day("11-20"), 14201),)), ANA, POLICY, TODAY) == 3551, "a share is rounded up"


def test_whoever_has_no_row_may_agree_nothing():
    found = rules.measured(Past(date(2026, 1, 1), ((day("11-20"), 14200),), broken_on=(day("11-01"),)), HALVES, POLICY.of("visitor"), POLICY, TODAY)
    assert (found.owed_room, found.parts_room, found.days_room, found.broken_room) == (0, 0, 0, 0) and found.wait > 1000


def test_what_is_read_out_says_what_is_held_and_what_is_not():
    said = POLICY.read_out("$71.00 today and $71.00 on December 11", "$142.00", "$10.00")
    assert "New bills are due as always. If a part" in said and "costs" not in said and said.endswith("Do you agree?")
    assert "A late fee may still be added." in replace(POLICY, late_fees=True).read_out("", "", "")


def test_of_late_fees_only_what_is_so_is_read_out():
    """The ladder levies none on what is held; where the bill run does, it does on all that is late."""
    assert POLICY.late_fees == (BOOK.billing.late_fee.by == "bill")


@pytest.mark.parametrize(("change", "says"), [
    (lambda d: d["terms"].update(fee=-1), "[terms] fee"), (lambda d: d["role"]["lead"].pop("parts"), "[role.lead] parts"),
    (lambda d: d["role"].clear(), "[role.…] is missing"), (lambda d: d["role"]["lead"].update(part=2), "does not know part"),
    (lambda d: d["words"].update(read_out="{name}"), "[words] read_out may hold {plan}, {amount}"),
    (lambda d: d.update(ladder={}), "does not know [ladder]"), (lambda d: d["terms"].update(late_fees=1), "true or false"),
    (lambda d: d["words"].update(ask=""), "[words] ask"),
])  # fmt: skip
def test_a_policy_that_cannot_be_used_says_where(change, says):
    data = copy.deepcopy(BOOK.toml("arrangements.toml"))
    change(data)
    with pytest.raises(ValueError) as fault:
        arrange.read(data)
    assert says in str(fault.value)
