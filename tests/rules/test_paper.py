"""A bill on paper: what stands where, and that it sums."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careline.domain.ledger.rules import explain, paper
from careline.domain.ledger.rules.charges import Billed, Charged
from careline.foundation import stationery

pytestmark = pytest.mark.once

PLAN = Charged(1, "plan", "Unlimited", 6500, line=7, unit_minor=6500)
BACK = Charged(2, "plan", "Plus 15 GB, 20 of 31 days given back", -2903, line=7, unit_minor=-4500, num=20, den=31)
DATA = Charged(3, "usage", "Data over the plan", 840, line=8, quantity=Decimal("0.84"), unit_minor=1000)
LATE = Charged(4, "fee", "Late payment fee", 500)
TAXES = (
    Charged(5, "tax", "State tax", 624, rate_ppm=96_000, taxes=1), Charged(6, "tax", "State tax", -279, rate_ppm=96_000, taxes=2),
    Charged(7, "tax", "State tax", 25, rate_ppm=30_000, taxes=3), Charged(8, "tax", "Franchise", 11),
)  # fmt: skip
NAMES = {8: ("(206) 555-0189", ""), 7: ("(206) 555-0188", "Maria")}


def bill(**more) -> paper.BillPaper:
    first = date(2026, 11, 4)
    lines = (*TAXES, LATE, DATA, BACK, PLAN)
    return paper.BillPaper("B-1", paper.Holder("Maria Okafor", "A-1", "WA"), first, first, date(2026, 12, 3), date(2026, 11, 24), **{
        "before_minor": 5150, "before_due_on": date(2026, 10, 24), "since": (), "groups": paper.groups(lines, NAMES), "taxes": paper.taxes(lines), "change": None, **more,
    })  # fmt: skip


def test_charges_stand_under_their_phone_line_and_the_accounts_last():
    found = bill().groups
    assert [(g.title, g.note, g.sum_minor) for g in found] == [("(206) 555-0189", "", 840), ("(206) 555-0188", "Maria", 3597), (paper.ACCOUNT, "", 500)]
    assert [(i.label[:9], i.how) for i in found[1].items] == [("Unlimited", ""), ("Plus 15 G", "20 of 31 days at −$45.00")]
    assert found[0].items[0].how == "0.84 × $10.00"


def test_a_tax_stands_once_by_name_and_rate_with_what_it_is_on():
    assert [(t.label, t.rate_ppm, t.on_minor, t.amount_minor) for t in bill().taxes] == [
        ("State tax", 96_000, 3597, 345), ("State tax", 30_000, 840, 25), ("Franchise", 0, None, 11),
    ]  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(["plan", "discount", "usage", "fee", "other", "tax"]), st.integers(-9999, 9999), st.sampled_from([None, 7, 8, 9]), st.integers(0, 12)), max_size=12))
def test_whatever_the_lines_are_groups_and_taxes_sum_to_the_bill(rows):
    lines = [Charged(n, kind, f"{kind} {n % 3}", amount, line=line, taxes=of if kind == "tax" else None) for n, (kind, amount, line, of) in enumerate(rows)]
    made = bill(groups=paper.groups(lines, NAMES), taxes=paper.taxes(lines))
    assert made.total_minor == sum(n.amount_minor for n in lines)


@pytest.mark.parametrize(("before", "came", "due", "late"), [(5150, -5150, 5318, 0), (5150, -4000, 6468, 1150), (0, -9000, -3682, 0), (-200, 0, 5118, 0)])
def test_what_is_due_is_what_was_owed_what_came_and_the_bill(before, came, due, late):
    made = bill(before_minor=before, since=(paper.Moved("payment", date(2026, 10, 20), "Visa …4242", came),))
    assert (made.total_minor, made.due_minor, made.older_minor) == (5318, due, late)
    assert made.moved == (("Payments received, thank you", came),)


def test_page_one_has_the_first_causes_and_one_sum_for_the_rest():
    fees = tuple(Charged(10 + n, "fee", f"Fee {'abcde'[n]}", 100 * (n + 1)) for n in range(5))
    now, was = (Billed(n, "", date(2026, 10 + n, 4), sum(c.amount_minor for c in lines), lines) for n, lines in ((1, (PLAN, *fees)), (0, (PLAN,))))
    found = paper.change(explain.explain(now, was))
    assert [r.amount_minor for r in found.reasons] == [500, 400, 300] and (found.others, found.others_minor) == (2, 300)
    assert paper.change(None) is None


def test_page_one_names_eight_groups_and_sums_the_rest():
    lines = [Charged(n, "plan", "Plus", 100 + n, line=n) for n in range(1, 12)]
    made = bill(groups=paper.groups(lines, {n: (f"line {n}", "") for n in range(1, 12)}))
    assert len(made.front) == 8 and made.front[-1] == ("4 more, on the next pages", 438) and sum(m for _, m in made.front) == made.charges_minor


@pytest.mark.parametrize(("said", "fault"), [
    ({"colour": "green"}, "colour"), ({"colour": "#1c4a3c;} body { color: red"}, "colour"), ({"pay": "By card"}, "pay"), ({"reach": ["x" * 201]}, "reach"),
    ({"autopay": 1}, "autopay"), ({"footer": "x"}, "footer"),
])  # fmt: skip
def test_stationery_that_cannot_be_printed_names_what_is_wrong(said, fault):
    with pytest.raises(ValueError, match=fault):
        stationery.read(said)
    assert stationery.read({}) == stationery.Stationery()
