"""What on a bill or among payments somebody may rightly ask about."""

from __future__ import annotations

from datetime import date

import pytest

from careline.domain.ledger.rules.charges import Billed, Charged
from careline.domain.ledger.rules.doubts import (
    Paid,
    charged_twice,
    higher_by,
    late_fees,
    paid_for_two,
    paid_twice,
    wrong_sum,
)
from careline.domain.ledger.rules.explain import explain

NOV, OCT = date(2026, 11, 5), date(2026, 10, 5)


def bill(number: int, day: date, *lines: Charged) -> Billed:
    return Billed(number, f"B-{number}", day, sum(n.amount_minor for n in lines), lines)


def charge(id: int, label: str, amount: int, kind: str = "one_off", start: date | None = NOV, **more) -> Charged:
    return Charged(id, kind, label, amount, 7, "ending 0188", start=start, end=start, **more)


PASS = charge(1, "Roaming pass", 1999)


@pytest.mark.parametrize(
    ("now", "was", "found"),
    [
        ((PASS, charge(2, "Roaming pass", 1999)), (), 2),
        ((charge(3, "Roaming pass", 1999),), (PASS,), 3),
        ((PASS, charge(2, "Roaming pass", 1999, start=OCT)), (), None),  # another day: another pass
        ((PASS, charge(2, "Roaming pass", 999)), (), None),
        ((PASS, charge(2, "Roaming pass", 1999, start=None), charge(3, "Roaming pass", 1999, start=None)), (), None),  # names no day
        ((charge(1, "State tax", 100, "tax"), charge(2, "State tax", 100, "tax")), (), None),
        ((charge(1, "Calls abroad", 100, "usage"), charge(2, "Calls abroad", 100, "usage")), (), None),
    ],
)  # fmt: skip
def test_the_same_charge_for_the_same_day_is_one_too_many(now, was, found):
    twice = charged_twice(bill(2, NOV, *now), bill(1, OCT, *was) if was else None)
    assert (twice.id if twice else None) == found


@pytest.mark.parametrize(
    ("line", "over"),
    [
        (charge(1, "Plus, 11 of 30 days", 2200, "plan", unit_minor=5500, num=11, den=30), 183),
        (charge(1, "Plus, 11 of 30 days", 2017, "plan", unit_minor=5500, num=11, den=30), None),
        (charge(1, "Plus, 11 of 30 days", 2000, "plan", unit_minor=5500, num=11, den=30), None),  # less than it may be
        (charge(1, "Plus", 5500, "plan"), None),
    ],
)
def test_a_charge_is_no_more_than_its_own_arithmetic(line, over):
    found = wrong_sum(bill(1, NOV, line))
    assert (found[1] if found else None) == over


def test_what_raises_a_bill_has_the_names_of_the_guides_and_what_lowers_it_is_left_out():
    plan = charge(1, "Plus", 5500, "plan", start=None)
    was = bill(1, OCT, plan, charge(2, "Data pack", 1000), charge(3, "Welcome offer", -1000, "discount", start=None))
    now = bill(2, NOV, plan, PASS, charge(4, "Late payment fee", 500, "fee"))
    found = higher_by(explain(now, was))
    assert {name: sum(d.amount_minor for d in ds) for name, ds in found.items()} == {"discount": 1000, "late_fee": 500, "one_off": 1999}
    assert late_fees([now, was]) == 1


def paid(day: int, amount: int, *bills: int) -> Paid:
    return Paid(f"P-{day}-{amount}", amount, date(2026, 11, day), "Visa ending 4242", frozenset(bills))


@pytest.mark.parametrize(
    ("payments", "twice", "two"),
    [
        ((paid(3, 4860, 1), paid(5, 4860)), ("P-3-4860", "P-5-4860"), None),  # the second pays nothing
        ((paid(3, 4860, 1), paid(5, 4860, 2)), None, ("P-3-4860", "P-5-4860")),  # it pays the next bill
        ((paid(3, 4860, 1), paid(5, 5200, 2)), None, ("P-3-4860", "P-5-5200")),
        ((paid(3, 4860, 1), paid(14, 4860)), None, None),  # a payment in advance, eleven days later
        ((paid(3, 4860, 1),), None, None),
        ((paid(3, 2000, 1), paid(5, 2860, 1)), None, None),  # one bill in two parts
    ],
)
def test_two_payments_close_together_are_for_one_bill_or_for_two(payments, twice, two):
    assert _numbers(paid_twice(payments)) == twice
    assert _numbers(paid_for_two(payments)) == two


def _numbers(pair):
    return tuple(p.number for p in pair) if pair else None
