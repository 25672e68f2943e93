"""Why a bill differs: each kind of cause by a table, and for whatever lines there are, differences that sum to the change."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careline.domain.ledger.rules import LineKind, estimate, explain
from careline.domain.ledger.rules.charges import Billed, Charged
from careline.domain.ledger.rules.estimate import Plan
from careline.domain.ledger.rules.explain import Cause, Event
from careline.foundation.money import parsed, share

OCT, NOV = date(2026, 10, 4), date(2026, 11, 4)
_ids = itertools.count(1)


def charged(kind: str, label: str, amount: int, **more) -> Charged:
    return Charged(next(_ids), kind, label, amount, **more)


def taxed(charge: Charged, ppm: int, label: str = "State tax") -> list[Charged]:
    return [charge, Charged(next(_ids), "tax", label, share(charge.amount_minor, ppm, 1_000_000), line=charge.line, rate_ppm=ppm, taxes=charge.id)]


def bill(issued: date, *lines: Charged | list[Charged], total: int | None = None) -> Billed:
    flat = tuple(x for n in lines for x in (n if isinstance(n, list) else [n]))
    return Billed(issued.month, f"B-{issued.month}", issued, sum(n.amount_minor for n in flat) if total is None else total, flat)


def plan(name: str = "Plus 15 GB", price: int = 4500, line: int | None = 1, **more) -> Charged:
    return charged("plan", name, more.pop("amount", price), line=line, name="ending 0188" if line else "", unit_minor=price, **more)


def part_of(name: str, price: int, days: int, of: int, sign: int = 1, **more) -> Charged:
    label, amount = f"{name}, {days} of {of} days", sign * share(price, days, of)
    return charged("plan", label, amount, line=1, name="ending 0188", unit_minor=sign * price, num=days, den=of, **more)


def causes(found: explain.Explanation) -> list[tuple[str, int]]:
    assert sum(d.amount_minor for d in found.differences) == found.change_minor
    return [(d.cause.value, d.amount_minor) for d in found.differences]


USE = {"quantity": Decimal("0.84"), "unit_minor": 1000}
EQUIPMENT = "Pixel 8, instalment {} of 24"
TABLE = {
    "a discount ended": ([charged("discount", "Loyalty offer, until Oct 20, 2026", -1500)], [], [("discount_ended", 1500)]),
    "a discount began": ([], [charged("discount", "Loyalty offer", -1500)], [("discount_began", -1500)]),
    "use beyond the plan": ([], [charged("usage", "Extra data, 0.84 GB", 840, line=1, **USE)], [("usage", 840)]),
    "more use than before": ([charged("usage", "Extra data, 0.4 GB", 400, line=1)], [charged("usage", "Extra data, 0.84 GB", 840, line=1)], [("usage_changed", 440)]),
    "a late fee": ([], [charged("fee", "Late payment fee", 500)], [("late_fee", 500)]),
    "a late fee that did not come again": ([charged("fee", "Late payment fee", 500)], [], [("late_fee_over", -500)]),
    "a payment that came back": ([], [charged("fee", "Returned payment fee, PY-0000012", 2500)], [("one_off", 2500)]),
    "data given back": ([plan()], [plan(), part_of("Plus 15 GB", 4500, 3, 30, -1)], [("part_month", -450)]),
    "a fee for more lines": ([charged("fee", "Regulatory recovery, 1 line", 199)], [charged("fee", "Regulatory recovery, 1 line", 398)], [("fee_changed", 199)]),
    "an instalment goes on": ([charged("equipment", EQUIPMENT.format(3), 1950, line=1)], [charged("equipment", EQUIPMENT.format(4), 1950, line=1)], []),
    "an instalment began": ([], [charged("equipment", EQUIPMENT.format(1), 1950, line=1)], [("equipment_began", 1950)]),
    "paid off": ([charged("equipment", EQUIPMENT.format(24), 1950, line=1)], [], [("equipment_ended", -1950)]),
    "once": ([], [charged("one_off", "Roaming pass", 1999, line=1)], [("one_off", 1999)]),
    "once before": ([charged("one_off", "Activation", 1000)], [], [("one_off_over", -1000)]),
    "a credit that did not repeat": ([charged("one_off", "Goodwill", -1000)], [], [("credit_over", 1000)]),
    "a credit": ([], [charged("other", "Goodwill", -1000)], [("credit", -1000)]),
    "a price": ([plan()], [plan(price=4700)], [("price_change", 200)]),
    "a line more": ([plan()], [plan(), plan("Watch", 1000, 2)], [("line_added", 1000)]),
    "a line less": ([plan(), plan("Watch", 1000, 2)], [plan()], [("line_ended", -1000)]),
    "the part after the first month": ([plan(), part_of("Plus 15 GB", 4500, 12, 30)], [plan()], [("part_month_over", -1800)]),
    "a part of a month": ([plan()], [plan(), part_of("Plus 15 GB", 4500, 12, 30)], [("part_month", 1800)]),
    "a total that no line explains": ([charged("other", "Charges", 4500)], [charged("other", "Charges", 6000)], [("changed", 1500)]),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_each_kind_of_difference_has_its_cause(case):
    before, after, expected = TABLE[case]
    assert causes(explain.explain(bill(NOV, *after), bill(OCT, *before))) == expected


def test_a_plan_changed_in_the_middle_is_one_difference_with_its_days_and_both_taxes():
    now = bill(NOV, taxed(plan("Unlimited", 5500), 96_000), taxed(part_of("Unlimited", 5500, 11, 30, start=date(2026, 10, 24)), 96_000), taxed(part_of("Plus 15 GB", 4500, 11, 30, -1), 96_000))
    was = bill(OCT, taxed(plan(), 96_000))
    changed = Event("lines.change_plan", date(2026, 10, 24), "Plan changed", "Ana Silva", line=1)
    found = explain.explain(now, was, [changed])
    # 55.00 - 45.00, 55.00 x 11/30 = 20.17, -45.00 x 11/30 = -16.50; their taxes at 9.6 %: 0.96, 1.94, -1.58
    (one,) = found.differences
    assert (one.cause, one.amount_minor) == (Cause.PLAN_CHANGE, 1000 + 2017 - 1650 + 96 + 194 - 158)
    assert "changed from Plus 15 GB to Unlimited on Oct 24, so 11 of 30 days" in one.say and "Ana Silva did that on Oct 24" in one.say
    assert sorted(p.amount_minor for p in one.parts) == [-1650, -158, 96, 194, 1000, 2017]
    assert any(p.how == "11 of 30 days at $55.00" for p in one.parts)
    assert one.event == changed


def test_a_tax_goes_with_the_charge_that_moved_it_and_a_rate_is_told_as_its_own():
    now = bill(NOV, taxed(plan(), 101_000), taxed(charged("one_off", "Roaming pass", 2000, line=1), 101_000))
    was = bill(OCT, taxed(plan(), 96_000))
    found = explain.explain(now, was)
    assert causes(found) == [("one_off", 2000 + 202), ("tax_rate", 455 - 432)]
    assert found.differences[1].title == "State tax: the rate went from 9.6 % to 10.1 %"


def test_a_charge_and_its_rate_that_both_change_are_parted_to_the_cent():
    now, was = bill(NOV, taxed(plan(price=4777), 101_300)), bill(OCT, taxed(plan(), 96_100))
    found = explain.explain(now, was)
    at_old = share(4777, 96_100, 1_000_000)
    assert causes(found) == [("price_change", 277 + at_old - share(4500, 96_100, 1_000_000)), ("tax_rate", share(4777, 101_300, 1_000_000) - at_old)]


def test_what_is_taxed_now_and_was_not_before_is_said():
    fee = charged("fee", "Device protection", 900, line=1)
    found = explain.explain(bill(NOV, taxed(fee, 96_000)), bill(OCT, replace(fee, id=next(_ids))))
    assert causes(found) == [("tax_began", 86)]
    assert found.differences[0].parts[0].what == "State tax on Device protection"


def test_a_tax_that_names_no_charge_is_its_own_difference_and_says_what_it_cannot_tell():
    found = explain.explain(bill(NOV, plan(price=4700), charged("tax", "CA sales tax", 341)), bill(OCT, plan(), charged("tax", "CA sales tax", 326)))
    assert causes(found) == [("price_change", 200), ("tax", 15)]
    assert "does not say which charges" in found.differences[1].unsure


def test_a_remainder_is_named_and_never_hidden():
    found = explain.explain(bill(NOV, plan(), total=5000), bill(OCT, plan()))
    assert causes(found) == [("unexplained", 500)]
    assert "no cause here" in found.differences[0].unsure


def test_a_bill_that_names_no_line_is_matched_by_its_words():
    found = explain.explain(bill(NOV, plan(), plan("Watch", 1000, 2)), bill(OCT, plan(line=None), plan("Watch", 900, None)))
    assert causes(found) == [("price_change", 100)]


def test_arithmetic_that_does_not_come_to_the_amount_is_said():
    wrong = charged("usage", "Extra data", 900, **USE)
    assert "makes $8.40, it charges $9.00" in explain.explain(bill(NOV, wrong), bill(OCT)).differences[0].unsure


def test_a_late_fee_in_percent_shows_what_it_is_a_part_of():
    fee = charged("fee", "Late fee, 1.5% of $48.60 late", 73, unit_minor=4860, num=15_000, den=1_000_000)
    (one,) = explain.explain(bill(NOV, fee), bill(OCT)).differences
    assert (one.cause, one.parts[0].how, one.unsure) == (Cause.LATE_FEE, "1.5 % of $48.60", "")


def test_the_largest_in_the_direction_of_the_change_is_first():
    now = bill(NOV, charged("usage", "Extra data", 840), charged("discount", "New offer", -3000))
    was = bill(OCT, charged("discount", "Loyalty offer", -1500), charged("discount", "Other offer", -2500))
    assert causes(explain.explain(now, was)) == [("discount_ended", 2500), ("discount_ended", 1500), ("usage", 840), ("discount_began", -3000)]


def test_a_charge_knows_its_order_by_its_number():
    by = Event("lines.add_data", date(2026, 10, 20), "Add 1 GB", "Ben Carter", charge="CH-0000012-1")
    found = explain.explain(bill(NOV, charged("one_off", "1 GB added", 500, source="CH-0000012-1")), bill(OCT), [by])
    assert found.differences[0].event == by and "Ben Carter did that on Oct 20." in found.differences[0].say


def test_use_that_came_to_another_amount_is_said_without_its_count_in_the_name():
    calls = lambda minutes: charged("usage", f"Calls over the plan, {minutes} min", minutes * 25, line=1, name="ending 0188", quantity=Decimal(minutes), unit_minor=25)  # noqa: E731
    (found,) = explain.explain(bill(NOV, plan(), calls(12)), bill(OCT, plan(), calls(5))).differences
    assert found.title == "Calls over the plan: more than before, ending 0188"
    assert found.say == "Calls over the plan on the line ending 0188 came to $3.00 (12 × $0.25) this time, $1.25 before. That is $1.75 more."


def test_only_the_states_tax_is_said_of_either_bill():
    charge, tax = taxed(plan(), 32_000)
    alone, known = bill(NOV, charge, replace(tax, source="tax.state_only")), bill(OCT, charge, tax)
    assert explain.explain(alone, known).taxed_by == "Only the state's tax is on this bill: our tax table does not know the county and city of your postal code."
    assert explain.explain(replace(alone, estimated=True), known).taxed_by.startswith("Only the state's tax is on the next bill")
    assert explain.explain(known, alone).taxed_by.startswith("Only the state's tax was on the bill of Nov")
    assert explain.explain(known, known).taxed_by == ""


def test_the_words_to_say():
    now = bill(NOV, plan(), charged("usage", "Extra data, 0.84 GB", 840, line=1, name="ending 0188", **USE))
    was = bill(OCT, plan(), charged("discount", "Loyalty offer, until Oct 20, 2026", -1500))
    found = explain.explain(now, was)
    assert found.say == "Your bill of Nov 4 is $53.40, $23.40 more than the one of Oct 4."
    assert [d.say for d in found.differences] == [
        "The discount “Loyalty offer” ended on Oct 20. That is $15.00 more.",
        "There was use beyond the plan on the line ending 0188: Extra data, 0.84 GB. That is $8.40 more.",
    ]
    assert explain.message(found, 640) == found.say + " Why: Discount ended: Loyalty offer: +$15.00; Extra data, 0.84 GB, ending 0188: +$8.40."
    assert explain.message(found, 148) == found.say + " Why: Discount ended: Loyalty offer: +$15.00; 1 smaller change together: +$8.40."


# ---------------------------------------------------------------- the next bill


def test_the_next_bill_has_what_recurs_as_plans_are_now_and_what_waits():
    last = bill(
        NOV, taxed(plan(), 96_000), taxed(plan("Watch", 1000, 2), 96_000), charged("discount", "Welcome, until Nov 20, 2026", -500),
        charged("usage", "Extra data", 840), charged("fee", "Late payment fee", 500), charged("equipment", EQUIPMENT.format(23), 1950, line=1),
    )  # fmt: skip
    plans = [Plan(1, "ending 0188", "Unlimited", 5500), Plan(2, "ending 0189", "Watch", 1000, billed=False)]
    waiting = [charged("one_off", "1 GB added", 500, line=1, source="CH-1")]
    coming = estimate.estimate(last, plans, waiting, date(2026, 12, 4), frozenset({"CH-1"}))
    assert coming.total_minor == 5500 + 528 + 1950 + 500 + 48
    assert [n.label for n in coming.lines if n.kind == "equipment"] == [EQUIPMENT.format(24)]
    found = explain.explain(coming, last)
    assert {d.cause for d in found.differences} == {Cause.PLAN_CHANGE, Cause.LINE_ENDED, Cause.DISCOUNT_ENDED, Cause.USAGE_OVER, Cause.LATE_FEE_OVER, Cause.ONE_OFF}
    assert sum(d.amount_minor for d in found.differences) == found.change_minor
    assert found.say.startswith("Your next bill will be about $85.26")


# ---------------------------------------------------------------- whatever the lines

LABELS = ("Plus 15 GB", "Unlimited", "Extra data, 0.84 GB", "Pixel 8, instalment 3 of 24", "Pixel 8, instalment 24 of 24", "Late payment fee",
          "Loyalty offer, until Oct 20, 2026", "Offer until 2026-99-99", "Goodwill", "", "  ", "3 of 3")  # fmt: skip


@st.composite
def lines(draw: st.DrawFn) -> list[Charged]:
    made: list[Charged] = []
    for _ in range(draw(st.integers(0, 7))):
        kind = draw(st.sampled_from([k.value for k in LineKind]))
        num, den = draw(st.sampled_from([(1, 1), (30, 30), (11, 30), (12, 30)]))
        one = charged(
            kind, draw(st.sampled_from(LABELS)), draw(st.one_of(st.sampled_from((0, 500, 4500, -4500)), st.integers(-10_000, 10_000))),
            line=draw(st.sampled_from((None, 1, 2))), source=draw(st.sampled_from(("", "", "S1", "S2"))), start=draw(st.sampled_from((None, OCT))),
            quantity=draw(st.sampled_from((Decimal(1), Decimal("0.84")))), unit_minor=draw(st.sampled_from((0, 1000))), num=num, den=den,
            rate_ppm=draw(st.sampled_from((0, 96_000, 101_000))), taxes=draw(st.sampled_from([None, 10**9, *(n.id for n in made)])) if kind == "tax" else None,
        )  # fmt: skip
        made.append(one)
    return made


@given(lines(), lines(), st.integers(-300, 300) | st.just(0))
def test_the_differences_always_sum_to_the_change(before, after, off):
    was, now = bill(OCT, *before), bill(NOV, *after)
    now = replace(now, total_minor=now.total_minor + off)
    found = explain.explain(now, was)
    assert sum(d.amount_minor for d in found.differences) == now.total_minor - was.total_minor
    assert sum(d.amount_minor for d in found.differences if d.cause == Cause.UNEXPLAINED) == off
    for d in found.differences:
        assert d.title and d.say and sum(p.amount_minor for p in d.parts) == d.amount_minor
    ids = {n.id for n in after if n.amount_minor > 0 and n.kind != "tax"}
    assert all(set(d.charges) <= ids for d in found.differences)
    text = explain.message(found, 320)
    assert 0 < len(text) <= 320


@given(lines())
def test_a_bill_against_itself_has_nothing_to_explain(given_lines):
    one = bill(OCT, *given_lines)
    assert explain.explain(one, one).differences == ()


@given(lines(), lines(), st.randoms(use_true_random=False))
def test_the_order_of_lines_does_not_matter(before, after, rng):
    was, now = bill(OCT, *before), bill(NOV, *after)
    mixed_was, mixed_now = list(was.lines), list(now.lines)
    rng.shuffle(mixed_was)
    rng.shuffle(mixed_now)
    assert explain.explain(replace(now, lines=tuple(mixed_now)), replace(was, lines=tuple(mixed_was))).differences == explain.explain(now, was).differences


@given(lines(), lines())
def test_told_the_other_way_round_it_is_the_opposite(before, after):
    was, now = bill(OCT, *before), bill(NOV, *after)
    forth, back = explain.explain(now, was), explain.explain(was, now)
    assert forth.change_minor == -back.change_minor == sum(d.amount_minor for d in forth.differences)


@given(lines(), st.lists(st.sampled_from((1, 2)), max_size=2, unique=True), lines())
def test_an_estimate_is_a_bill_whose_lines_sum_to_it_and_is_explained_like_one(last_lines, owned, waiting):
    last = bill(OCT, *last_lines)
    plans = [Plan(n, f"ending {n}", "Unlimited", 5500, billed=n == 1) for n in owned]
    waits = [replace(n, id=-n.id, kind="one_off", source=f"CH-{i}") for i, n in enumerate(waiting)]
    coming = estimate.estimate(last, plans, waits, NOV, frozenset({"CH-0"}))
    assert len({n.id for n in coming.lines}) == len(coming.lines)
    found = explain.explain(coming, last)
    assert sum(d.amount_minor for d in found.differences) == found.change_minor
    assert not [d for d in found.differences if d.cause == Cause.UNEXPLAINED] or last.total_minor != sum(n.amount_minor for n in last.lines)


@given(st.integers(1, 20_000), st.integers(1, 200_000), st.integers(1, 200_000), st.integers(1, 20_000))
def test_rates_and_amounts_that_change_together_leave_no_cent_over(was_amount, old_ppm, new_ppm, now_amount):
    was, now = bill(OCT, taxed(plan(price=was_amount), old_ppm)), bill(NOV, taxed(plan(price=now_amount), new_ppm))
    found = explain.explain(now, was)
    assert sum(d.amount_minor for d in found.differences) == now.total_minor - was.total_minor
    assert {d.cause for d in found.differences} <= {Cause.PRICE_CHANGE, Cause.TAX_RATE, Cause.TAX_BEGAN, Cause.TAX_ENDED, Cause.TAX}


def test_the_explanation_that_the_docs_work_by_hand():
    page = (Path(__file__).resolve().parents[2] / "docs" / "money.md").read_text(encoding="utf-8").partition("### An explanation by hand")[2]
    table = re.findall(r"^\| (\w+) \|.*\| ([\d.]+) \|$", page, re.M)[:4]
    fees = [charged("fee", "Regulatory recovery, 1 line", 199) for _ in range(2)]
    was = bill(date(2026, 10, 17), taxed(plan(), 96_000), fees[0])
    parts = (part_of("Unlimited", 5500, 11, 31, start=date(2026, 11, 6)), part_of("Plus 15 GB", 4500, 11, 31, -1, start=date(2026, 11, 6)))
    now = bill(date(2026, 11, 17), taxed(plan("Unlimited", 5500), 96_000), *(taxed(n, 96_000) for n in parts), fees[1],
               charged("equipment", EQUIPMENT.format(1), 1950, line=1), charged("fee", "Late payment fee", 500))  # fmt: skip
    found = explain.explain(now, was)
    assert (was.total_minor, now.total_minor) == (5131, 9066)
    assert [*causes(found), ("together", found.change_minor)] == [(cause, parsed(amount)) for cause, amount in table]
