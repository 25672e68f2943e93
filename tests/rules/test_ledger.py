"""What an amount pays, and how an account stands: oldest first, never more than there is on either side."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careline.domain.ledger.rules import OpenItem, allocate, standing

TUESDAY = date(2026, 11, 24)


def due(days: int) -> date:
    """So many days from Tuesday; negative: before it."""
    return TUESDAY + timedelta(days=days)


SEPTEMBER, OCTOBER, NOVEMBER = OpenItem(1, due(-61), 4860), OpenItem(2, due(-30), 4860), OpenItem(3, due(1), 5000)


@pytest.mark.parametrize(
    ("items", "amount", "made"),
    [
        ([], 1000, []),
        ([NOVEMBER, SEPTEMBER, OCTOBER], 4860, [(1, 4860)]),  # the oldest first, however they come
        ([OCTOBER, SEPTEMBER], 5000, [(1, 4860), (2, 140)]),
        ([SEPTEMBER], 5000, [(1, 4860)]),  # the rest waits
        ([SEPTEMBER], 1, [(1, 1)]),
        ([SEPTEMBER, OCTOBER], 0, []),
        ([SEPTEMBER, OCTOBER], -500, []),
        ([OpenItem(9, due(-90), 0), SEPTEMBER], 100, [(1, 100)]),  # paid already
        ([OpenItem(9, due(-90), -700), SEPTEMBER], 100, [(1, 100)]),  # a bill in the customer's favour owes nothing
        ([OpenItem(8, due(0), 500), OpenItem(7, due(0), 500)], 600, [(7, 500), (8, 100)]),  # one day: by number
    ],
)
def test_money_pays_the_oldest_bill_first(items, amount, made):
    assert allocate(items, amount) == made


@given(
    st.lists(st.builds(OpenItem, st.integers(1, 99), st.dates(due(-99), due(99)), st.integers(-500, 9000)), unique_by=lambda i: i.id),
    st.integers(-100, 50_000),
)
def test_no_cent_is_paid_twice_lost_or_made(items, amount):
    made = allocate(items, amount)
    room = {i.id: i.open_minor for i in items}
    paid = sum(part for _, part in made)
    assert all(0 < part <= room[i] for i, part in made) and len(dict(made)) == len(made)
    assert paid == min(max(amount, 0), sum(max(o, 0) for o in room.values()))
    left = [i.due_on for i in items if i.open_minor > dict(made).get(i.id, 0)]
    touched = [next(i.due_on for i in items if i.id == n) for n, _ in made]
    assert not left or not touched or max(touched) <= min(left), "a younger bill was paid before an older one"


def test_an_account_stands_past_due_since_its_oldest_late_bill():
    found = standing([NOVEMBER, OCTOBER, SEPTEMBER], 14_720, TUESDAY)
    assert (found.past_due_minor, found.past_due_since, found.days_past_due(TUESDAY)) == (9720, due(-61), 61)
    assert (found.next_due_on, found.next_due_minor, found.unapplied_minor) == (due(1), 5000, 0)


@pytest.mark.parametrize(("days", "late"), [(-1, True), (0, False), (1, False)])
def test_a_bill_is_past_due_from_the_day_after_it_is_due(days, late):
    found = standing([OpenItem(1, due(days), 4860)], 4860, TUESDAY)
    assert (found.past_due_minor == 4860, found.next_due_minor == 0) == (late, late)


def test_nothing_open_is_nothing_due_and_what_is_over_is_unapplied():
    found = standing([OpenItem(1, due(-30), 0)], -700, TUESDAY)
    assert (found.balance_minor, found.past_due_minor, found.past_due_since) == (-700, 0, None)
    assert (found.next_due_on, found.next_due_minor, found.unapplied_minor) == (None, 0, 700)
    assert found.days_past_due(TUESDAY) == 0


def test_of_two_coming_bills_the_nearer_one_is_next():
    found = standing([OpenItem(2, due(31), 4000), OpenItem(1, due(1), 4860)], 8860, TUESDAY)
    assert (found.next_due_on, found.next_due_minor) == (due(1), 4860)


def test_a_bill_in_the_customers_favour_is_neither_late_nor_next():
    found = standing([OpenItem(1, due(-30), -700), OpenItem(2, due(30), -700)], -1400, TUESDAY)
    assert (found.past_due_minor, found.past_due_since, found.next_due_on) == (0, None, None)
