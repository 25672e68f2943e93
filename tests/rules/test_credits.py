"""What a credit is made of: the tax it takes back, and the room that every limit leaves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careline.domain.credits.rules import Part, Room, TaxLine, parts


def credit(amount, *, line=4500, before=0, taxes=((360, 0),), rule="proportional"):
    """The tax parts of a credit of `amount` on a charge of `line`, of which `before` is credited already."""
    made = parts(
        amount_minor=amount, label="Billing error", line_id=1, line_minor=line, line_credited_minor=before,
        taxes=[TaxLine(10 + n, f"Tax {n}", charged, credited) for n, (charged, credited) in enumerate(taxes)], tax_rule=rule,
    )
    assert made[0] == Part("credit", "Billing error", amount, 1)
    return [p.amount_minor for p in made[1:]]


@pytest.mark.parametrize(
    ("amount", "given", "tax"),
    [
        (4500, {}, [360]),  # the whole line: the whole tax
        (2250, {}, [180]),
        (1, {}, []),  # a cent's tax rounds to nothing: no empty line
        (7, {}, [1]),
        (2250, {"before": 2250, "taxes": ((360, 180),)}, [180]),  # the rest of the line: the rest of the tax
        (1, {"before": 4499, "taxes": ((360, 359),)}, [1]),  # the last cent brings what rounding had left
        (1, {"before": 4499, "taxes": ((360, 360),)}, []),  # never more than was charged
        (1500, {"taxes": ((360, 0), (99, 0))}, [120, 33]),  # each tax is a line of its own
        (2250, {"taxes": ((360, 360),)}, []),  # somebody credited the tax itself before
        (2250, {"taxes": ()}, []),
        (2250, {"rule": "none"}, []),  # a gesture reverses no tax
        (2250, {"line": 0}, []),  # a credit on no charge
        (9000, {}, [360]),  # beyond the line (refused elsewhere) the tax still stops at what was charged
    ],
)
def test_a_credit_takes_back_the_share_of_tax_that_is_due(amount, given, tax):
    assert credit(amount, **given) == tax


def test_a_tax_part_names_the_tax_line_that_it_takes_back():
    made = parts(amount_minor=2250, label="Fee waived", line_id=1, line_minor=4500, line_credited_minor=0,
                 taxes=[TaxLine(7, "State tax", 360)], tax_rule="proportional")
    assert made == [Part("credit", "Fee waived", 2250, 1), Part("tax", "State tax", 180, 7)]


@given(
    line=st.integers(1, 50_000),
    rates=st.lists(st.integers(0, 300_000), max_size=3),
    cuts=st.lists(st.integers(1, 50_000), max_size=6),
)
def test_credits_in_whatever_steps_that_come_to_the_whole_line_take_back_the_whole_of_each_tax(line, rates, cuts):
    charged = [line * rate // 1_000_000 for rate in rates]
    taken, done = [0] * len(charged), 0
    for step in [*cuts, line]:
        amount = min(step, line - done)
        if not amount:
            break
        made = parts(amount_minor=amount, label="", line_id=1, line_minor=line, line_credited_minor=done,
                     taxes=[TaxLine(n, "", c, t) for n, (c, t) in enumerate(zip(charged, taken, strict=True))], tax_rule="proportional")
        for part in made[1:]:
            assert part.amount_minor > 0
            taken[part.bill_line_id] += part.amount_minor
        done += amount
        # At every step within a cent of the exact share, and never beyond what was charged.
        assert all(abs(t * line - c * done) * 2 <= line or t == c for t, c in zip(taken, charged, strict=True))
    assert done == line and taken == charged


ROOM = {"event": 2500, "reason": 2500, "window": 5000, "day": 30000, "count": 12, "line": None}


@pytest.mark.parametrize(
    ("given", "most"),
    [
        ({}, 2500),
        ({"event": 900}, 900),
        ({"reason": 900}, 900),
        ({"window": 900}, 900),
        ({"day": 900}, 900),
        ({"line": 900}, 900),
        ({"line": 0}, 0),
        ({"count": 1}, 2500),
        ({"count": 0}, 0),
        ({"count": -1}, 0),
        ({"window": -300}, 0),  # somebody of a higher role gave more than this role may
        ({"line": -500}, 0),  # a discount is no charge
    ],
)
def test_the_tightest_limit_is_the_room_and_never_below_zero(given, most):
    assert Room(**{**ROOM, **given}).most == most
