"""Rating: golden bills worked by hand (docs/money.md holds them), and laws over generated months."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careline.domain.billing import rules
from careline.domain.billing.rules import (
    Agreed,
    Allowance,
    Change,
    Charged,
    Cycle,
    Facts,
    Instalments,
    Left,
    Line,
    Made,
    Plan,
    Waiting,
)
from careline.domain.ledger.rules import charges, estimate, explain
from careline.foundation import tariff as tariffs
from careline.foundation.money import share
from careline.foundation.rulebook import Rulebook, RulebookFault
from tests.people import default_rulebook

TARIFF = default_rulebook().billing
PLUS5, PLUS15, UNLIMITED = Plan("Plus 5 GB", 3000, (Allowance("data", "Data", "MB", 5 * 1024, 1000, 1024),)), Plan("Plus 15 GB", 4500), Plan("Unlimited", 6500)
NOVEMBER = Cycle.of(4, date(2026, 11, 4))  # the period before: October 4 to November 3, 31 days
LONG_AGO = date(2024, 3, 9)
DAY = timedelta(days=1)


def facts(state: str, *lines: Line, cycle: Cycle = NOVEMBER, bill_day: int = 4, **more) -> Facts:
    return Facts(state, bill_day, cycle, lines, **more)


def data(*days: tuple[int, int], kind: str = "data") -> tuple[tuple[str, date, int], ...]:
    return tuple((kind, date(2026, 10, day), units) for day, units in days)


def rated(found: Facts, tariff: tariffs.Tariff = TARIFF) -> tuple[Made, ...]:
    return rules.rate(found, tariff).lines


GOLDEN = {
    "A plain month": facts("WA", Line(1, LONG_AGO, PLUS15, advance=Charged("Plus 15 GB", 4500))),
    "Another plan on October 15": facts(
        "WA",
        Line(1, LONG_AGO, UNLIMITED, advance=Charged("Plus 15 GB", 4500), changes=(Change(date(2026, 10, 15), PLUS15, UNLIMITED),)),
    ),
    "A first bill": facts(
        "NY",
        Line(1, date(2026, 10, 20), PLUS15),
        agreed=(Agreed(None, "discount", "Welcome offer", date(2026, 10, 20), date(2027, 4, 3), -1000),),
        instalments=(Instalments(1, "Google Pixel 8", 80000, 24, date(2026, 10, 20)),),
        waiting=(Waiting("CH-0000001-0", 1, "usage", "Extra data, 0.5 GB, line 0188", Decimal("0.5"), 500, 250, date(2026, 10, 28), True),),
    ),
    "Over the plan, late, and a payment that came back": facts(
        "CA",
        Line(1, LONG_AGO, PLUS5, advance=Charged("Plus 5 GB", 3000), used=data((5, 4000), (20, 2656)), added_mb=512),
        late=6000,
        returned=("PY-0000007-4",),
    ),
    "Calls of the month before that came late": facts(
        "WA",
        Line(1, LONG_AGO, Plan("Talk 500", 2500, (Allowance("voice", "Calls", "min", 500, 25), Allowance("text", "Messages", "", 100, 10))),
             advance=Charged("Talk 500", 2500), used=data((5, 512), kind="voice") + data((6, 107), kind="text")),
        earlier=((rules.Measured(1, date(2026, 9, 4), date(2026, 10, 3), (rules.Meter("voice", "Calls", "min", 25, 1, 500, ((date(2026, 9, 4), date(2026, 10, 3)),), 3),)), {"voice": 541}),),
    ),
    "A county, a city and a district at once": facts("MO", Line(1, LONG_AGO, PLUS15, advance=Charged("Plus 15 GB", 4500)), postal_code="63105-1806"),
    "Late in New York": facts("NY", Line(1, LONG_AGO, PLUS15, advance=Charged("Plus 15 GB", 4500)), late=6000),
    "A line that ended on October 19": facts(
        "WA",
        Line(1, LONG_AGO, PLUS15, cancelled_on=date(2026, 10, 19), advance=Charged("Plus 15 GB", 4500), given=(Charged("Loyalty", -500),)),
    ),
}


def by_hand() -> dict[str, list[tuple[str, int]]]:
    """The bills of docs/money.md: their lines and amounts, and the total."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "money.md").read_text(encoding="utf-8").split("\n## Bills by hand\n")[1].split("\n## ")[0]
    found = {}
    for name, table in re.findall(r"^### (.+?)\n(.*?)(?=^##|\Z)", text, re.M | re.S):
        rows = [[c.strip() for c in row.strip("|").split("|")] for row in table.splitlines() if row.startswith("| ")][2:]
        found[name] = [(label, round(float(amount.replace("−", "-").strip("*")) * 100)) for label, _, amount in rows]
    return found


@pytest.mark.parametrize("name", GOLDEN)
def test_a_bill_is_what_was_worked_by_hand(name):
    made = rated(GOLDEN[name])
    assert [*((m.label, m.amount) for m in made), ("**Total**", rules.total(made))] == by_hand()[name]


def test_every_charge_says_its_arithmetic_in_its_own_measure():
    """Data by the MB, parts of a month by days, shares in percent: as the bill on the page, on paper and explained has it."""
    months, half = ("Plus 15 GB", "Unlimited"), "Data over the plan, 512 MB"
    over = facts("CA", Line(1, LONG_AGO, PLUS5, advance=Charged("Plus 5 GB", 3000), used=data((5, 5632))), late=60_000,
                 agreed=(Agreed(None, "discount", "Student", LONG_AGO, None, 0, 100_000),))  # fmt: skip
    made = [*rated(over), *rated(GOLDEN["Another plan on October 15"])]
    said = {m.label: charges.how(charges.Charged(1, m.kind, m.label, m.amount, quantity=m.quantity, unit_minor=m.unit, num=m.num, den=m.den)) for m in made if m.kind != "tax"}
    assert said[half] == "512 MB at $10.00 a GB" and said["Student"] == "10 % of −$30.00"
    assert said["Late payment fee, 5% of $600.00 late"] == "5 % of $600.00"
    assert all(say.startswith("20 of 31 days at") for label, say in said.items() if label.startswith(months) and "days" in label)


def test_every_bill_by_hand_is_tried():
    assert set(by_hand()) == set(GOLDEN)


# ---------------------------------------------------------------- single rules


def amounts(kind: str, found: Facts) -> list[int]:
    return [m.amount for m in rated(found) if m.kind == kind]


def line(**more) -> Line:
    return Line(**{"id": 1, "activated_on": LONG_AGO, "plan": PLUS15, "advance": Charged("Plus 15 GB", 4500), **more})


@pytest.mark.parametrize(
    ("state", "late", "fee"),
    [("WA", 999, []), ("WA", 1000, [700]), ("WA", 14_000, [700]), ("WA", 14_020, [701]), ("NY", 10_000, [208]), ("MD", 10_000, [166]),
     ("DC", 10_000, [200]), ("NY", 6000, [124]), ("WA", 0, []), ("WA", -500, [])],
)  # fmt: skip
def test_a_late_fee_is_the_greater_of_two_and_never_above_the_cap_of_the_state(state, late, fee):
    made = [m for m in [rules.late_fee(state, late, TARIFF.late_fee)] if m]
    assert [m.amount for m in made] == fee and all(not m.taxed for m in made)
    if made and state in TARIFF.late_fee.caps:
        assert made[0].source_key == f"late_fee.cap.{state}" and "2.08%" in rules.cites(TARIFF)["late_fee.cap.NY"]


def test_two_returned_payments_are_one_fee_on_a_bill():
    made = rules._return_fee(facts("CA", returned=("PY-1", "PY-2")), TARIFF.return_fee)
    assert [(m.amount, m.source_key) for m in made] == [(2500, "return_fee.cap.CA")]
    assert "1719" in rules.cites(TARIFF)["return_fee.cap.CA"]


def test_discounts_never_take_more_than_the_plans_and_shares_show_their_arithmetic():
    both = (Agreed(1, "discount", "Half", LONG_AGO, ppm=500_000), Agreed(None, "discount", "Thirty", LONG_AGO, amount=-3000))
    made = [m for m in rated(facts("WA", line(), agreed=both)) if m.kind == "discount"]
    assert [(m.amount, m.unit, m.num, m.den) for m in made] == [(-2250, -4500, 500_000, 1_000_000), (-2250, -2250, 1, 1)]


@pytest.mark.parametrize(("starts", "ends", "given"), [(-30, None, [-1000]), (0, 0, [-1000]), (1, None, []), (-30, -1, []), (-30, 40, [-1000])])
def test_a_discount_counts_when_it_is_in_force_on_the_first_day(starts, ends, given):
    first = NOVEMBER.start
    off = Agreed(None, "discount", "Off", first + starts * DAY, None if ends is None else first + ends * DAY, -1000)
    assert amounts("discount", facts("WA", line(), agreed=(off,))) == given


def test_instalments_are_each_asked_once_and_come_to_the_price():
    bought = Instalments(1, "Phone", 99_999, 24, date(2026, 1, 31))
    start, asked = date(2026, 1, 31), []
    for _ in range(30):
        asked += [m.amount for m in rules._instalment(bought, 31, Cycle.of(31, start))]
        start = Cycle.of(31, start).end + DAY
    assert len(asked) == 24 and sum(asked) == 99_999
    assert not rules._instalment(replace(bought, ended_on=date(2026, 5, 30)), 31, Cycle.of(31, date(2026, 5, 31)))


def test_data_of_days_without_a_limit_does_not_count_and_the_spending_limit_gives_back():
    changed = line(plan=PLUS5, advance=Charged("Unlimited", 6500), changes=(Change(date(2026, 10, 19), UNLIMITED, PLUS5),),
                   used=data((5, 90_000), (25, 4000)), limit=700, beyond=500)  # fmt: skip
    made = [m for m in rated(facts("WA", changed)) if m.kind == "usage"]
    over = 4000 - 2643  # 16 of 31 days of 5,120 MB, rounded up
    assert [(m.amount, m.num) for m in made] == [(share(1000, over, 1024), over), (200 - share(1000, over, 1024), 1)]


def test_a_plan_without_a_price_for_data_costs_nothing_over_it():
    assert amounts("usage", facts("WA", line(used=data((5, 900_000))))) == []


def test_a_change_that_the_bill_knew_already_is_not_counted_twice():
    known = line(plan=UNLIMITED, advance=Charged("Unlimited", 6500), changes=(Change(NOVEMBER.before, PLUS15, UNLIMITED),))
    assert amounts("plan", facts("WA", known)) == [6500]
    unknown = replace(known, advance=Charged("Plus 15 GB", 4500))
    assert amounts("plan", facts("WA", unknown)) == [6500, -4500, 6500]


def test_a_change_after_the_first_day_leaves_the_new_period_on_the_old_plan():
    tomorrow = line(plan=UNLIMITED, changes=(Change(NOVEMBER.start + DAY, PLUS15, UNLIMITED),))
    assert amounts("plan", facts("WA", tomorrow)) == [4500]


def test_what_was_never_charged_in_advance_is_not_charged_afterwards():
    assert amounts("plan", facts("WA", line(advance=None))) == [4500]
    assert amounts("plan", facts("WA", line(advance=None, cancelled_on=date(2026, 10, 19)))) == []


def test_nothing_to_bill_makes_no_line():
    assert rated(facts("WA")) == ()
    assert rated(facts("WA", line(pending=True, advance=None))) == ()


@pytest.mark.parametrize(
    ("why", "said"),
    [({"outside": True}, Left.OUTSIDE), ({"waits": True}, Left.WAITS), ({"covered_to": date(2026, 11, 3)}, None), ({}, None),
     ({"covered_to": date(2026, 11, 4)}, Left.OVERLAP), ({"covered_to": date(2026, 11, 2)}, Left.GAP), ({"taxes": None}, Left.NO_TAX)],
)  # fmt: skip
def test_why_an_account_is_left_out(why, said):
    assert rules.left_out(**{"outside": False, "waits": False, "covered_to": None, "cycle": NOVEMBER, "taxes": (), **why}) == said


# ---------------------------------------------------------------- use that comes late

METERED = Plan("Talk 500", 2500, (Allowance("data", "Data", "MB", 1000, 1000, 1024), Allowance("voice", "Calls", "min", 500, 25), Allowance("text", "Messages", "", 100, 10)))


def september(limit: int | None = None, plan: Plan = METERED, **changed) -> rules.Measured:
    """How the use of September 4 to October 3 was measured on the bill of October 4, before anything was used."""
    found = rules.measured(line(plan=plan, limit=limit), Cycle.of(4, date(2026, 10, 4)))
    assert found is not None
    return replace(found, **changed)


def test_calls_and_messages_beyond_the_plan_are_billed_as_data_is():
    used = (*data((5, 1512)), *data((6, 520), kind="voice"), *data((7, 101), (9, 2), kind="text"), *data((8, 9000), kind="fax"))
    made = [m for m in rated(facts("WA", line(plan=METERED, advance=None, used=used))) if m.kind == "usage"]
    assert [(m.label, m.amount) for m in made] == [("Data over the plan, 512 MB", 500), ("Calls over the plan, 20 min", 500), ("Messages over the plan, 3", 30)]
    said = [charges.how(charges.Charged(1, m.kind, m.label, m.amount, quantity=m.quantity, unit_minor=m.unit, num=m.num, den=m.den)) for m in made]
    assert said == ["512 MB at $10.00 a GB", "20 × $0.25", "3 × $0.10"]
    taxed = [m.amount for m in rated(facts("WA", line(plan=METERED, advance=None, used=used))) if m.kind == "tax" and m.line_id]
    assert taxed == [240, 48, 48, 3]


def test_the_spending_limit_is_kept_over_all_kinds_of_use_together():
    used = (*data((5, 1512)), *data((6, 520), kind="voice"))
    made = [m.amount for m in rated(facts("WA", line(plan=METERED, advance=None, used=used, limit=800, beyond=100))) if m.kind == "usage"]
    assert made == [500, 500, -300]


def test_what_a_correction_takes_off_frees_the_spending_limit_first():
    first, kept = rules.settle(september(limit=700), {"voice": 540})
    assert [m.amount for m in first] == [1000, -300]
    less, kept = rules.settle(kept, {"voice": 520}, late=True)
    assert [(m.label, m.amount) for m in less] == [
        ("Calls over the plan, 20 min of Sep 4 to Oct 3, given back", -500),
        ("Above the line's spending limit, Sep 4 to Oct 3, charged again", 300),
    ]
    assert sum(m.amount for m in [*first, *less]) == 500 and kept.given == 0


@pytest.mark.parametrize(
    ("used", "days", "billed"),
    [({"voice": 600}, 31, [2500]), ({"voice": 600}, 120, [2500]), ({"voice": 600}, 121, []), ({"voice": 0}, 121, [-500]), ({"voice": 0}, 365, [-500]),
     ({"voice": 0}, 366, []), ({"voice": 520}, 31, [])],
)  # fmt: skip
def test_how_late_use_may_come_is_the_carriers_policy(used, days, billed):
    """$5.00 of calls were billed. More is charged for 120 days after the period, less is given back for 365."""
    was = {} if used["voice"] == 600 else {"voice": 520}
    _, kept = rules.settle(september(), was)
    on = kept.last + (days + 1) * DAY
    made, after = rules.settle_late(kept, used, Cycle(on, on + 30 * DAY, on - 30 * DAY), TARIFF.late_use)
    assert [m.amount for m in made] == billed and (after == kept) == (not billed)


def test_a_rulebook_of_before_leaves_late_use_alone():
    read = tariffs.read({k: v for k, v in default_rulebook().toml("billing.toml").items() if k != "late_use"})
    assert rules.settle_late(september(), {"voice": 600}, NOVEMBER, read.late_use) == ([], september())


def test_late_use_is_explained_as_such_and_so_is_that_it_does_not_come_again():
    october = facts("WA", line(plan=METERED, advance=Charged("Talk 500", 2500)), cycle=Cycle.of(4, date(2026, 10, 4)))
    november = replace(october, cycle=NOVEMBER, earlier=((september(), {"voice": 540}),))
    december = replace(october, cycle=Cycle.of(4, date(2026, 12, 4)), earlier=((september(meters=rules.settle(september(), {"voice": 540})[1].meters), {"voice": 510}),))
    bills = [
        charges.Billed(n, f"B-{n}", f.cycle.start, rules.total(made), tuple(
            charges.Charged(100 * n + k, m.kind, m.label, m.amount, m.line_id, "", m.source_key or "", m.start, m.end, m.quantity, m.unit, m.num, m.den, m.ppm,
                            100 * n + m.taxes if m.taxes is not None else None)
            for k, m in enumerate(made)
        ))
        for n, (f, made) in enumerate((f, rated(f)) for f in (october, november, december))
    ]  # fmt: skip
    (came,) = explain.explain(bills[1], bills[0]).differences
    assert (came.cause, came.amount_minor) == ("use_late", 1096)
    assert came.say == "Use of Sep 4 to Oct 3 became known only after its bill: Calls over the plan, 40 min, 40 × $0.25. That is $10.96 more, tax included."
    gone, corrected = explain.explain(bills[2], bills[1]).differences
    assert (gone.cause, gone.amount_minor) == ("use_late_over", -1096) and "does not come again" not in gone.title
    assert corrected.say == "Use of Sep 4 to Oct 3 was corrected after its bill: Calls over the plan, 30 min go back. That is $8.22 less, tax included."


@given(st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 900)), min_size=1, max_size=8), st.sampled_from([None, 0, 700, 3000]))
def test_use_in_whatever_steps_costs_what_it_would_have_cost_in_time(known, limit):
    """Arrivals and corrections in any order: each is billed once, and together they come to the bill that knew it all."""
    kept, billed = september(limit), 0
    for data_mb, minutes in known:
        used = {"data": data_mb, "voice": minutes}
        made, kept = rules.settle(kept, used, late=True)
        assert all(m.amount == rules.arithmetic(m.unit, m.quantity, m.num, m.den) for m in made)
        billed += sum(m.amount for m in made)
        again, same = rules.settle(kept, used, late=True)
        assert not again and same == kept
        assert rules.unpacked_use(rules.packed_use([kept])) == [kept]
    at_once, _ = rules.settle(september(limit), used)
    assert billed == sum(m.amount for m in at_once) and (limit is None or billed <= limit)


# ---------------------------------------------------------------- laws over generated months

bill_day_s = st.integers(1, 31)
allowances = st.builds(lambda data, calls: tuple(Allowance(kind, kind, "u", n, price, per) for kind, n, price, per in (("data", *data, 1024), ("voice", *calls, 1)) if price),
                       st.tuples(st.sampled_from([0, 1000, 5120]), st.sampled_from([0, 333, 1000])), st.tuples(st.sampled_from([0, 300]), st.sampled_from([0, 0, 7])))  # fmt: skip
plans = st.builds(Plan, st.sampled_from("ABCDE"), st.integers(0, 20_000), allowances)
starts = st.tuples(bill_day_s, st.dates(date(2023, 2, 1), date(2033, 1, 1))).map(lambda t: (t[0], rules.bill_period(*t)[0]))


@st.composite
def months(draw) -> Facts:
    day, start = draw(starts)
    cycle = Cycle.of(day, start)
    within = st.integers(0, cycle.days_before + 5).map(lambda n: cycle.before + n * DAY)
    lines = []
    for n in range(draw(st.integers(0, 3))):
        chain = draw(st.lists(plans, min_size=1, max_size=4))
        days = sorted(draw(within) for _ in chain[1:])
        changes = tuple(Change(on, before, after) for on, before, after in zip(days, chain, chain[1:], strict=False))
        new = draw(st.booleans())
        lines.append(
            Line(
                n, draw(within) if new else LONG_AGO - 800 * DAY, chain[-1], cancelled_on=draw(st.none() | within), changes=changes,
                advance=None if new else Charged(chain[0].name, chain[0].price), used=(("data", draw(within), draw(st.integers(0, 9000))), ("voice", draw(within), draw(st.integers(0, 900)))),
                given=() if new else (Charged("Off", -draw(st.integers(0, 900))),),
                added_mb=draw(st.sampled_from([0, 512])), limit=draw(st.none() | st.integers(0, 3000)),
            )
        )  # fmt: skip
    agreed = draw(st.lists(st.builds(
        Agreed, st.sampled_from([None, 0, 1]), st.just("discount"), st.just("Off"), within, st.none() | within,
        amount=st.integers(-9000, -1), ppm=st.sampled_from([0, 333_333]),
    ), max_size=3))  # fmt: skip
    return Facts(
        draw(st.sampled_from(["WA", "NY", "CA"])), day, cycle, tuple(lines), tuple(agreed),
        late=draw(st.integers(0, 50_000)), returned=tuple(draw(st.lists(st.just("PY-1"), max_size=2))),
    )  # fmt: skip


@given(months())
def test_every_line_is_its_own_arithmetic_and_no_tax_is_on_a_tax(found):
    made = rated(found)
    for m in made:
        if m.kind == "tax":
            on = made[m.taxes]
            assert on.kind != "tax" and on.taxed and m.amount == share(on.amount, m.ppm, 1_000_000) != 0
        else:
            assert m.amount == rules.arithmetic(m.unit, m.quantity, m.num, m.den)
    assert rules.total(made) == sum(m.amount for m in made)
    assert rules.unpacked(rules.packed(made)) == list(made)
    assert sum(m.source_key is not None and m.source_key.startswith("late_fee") for m in made) <= 1
    assert sum(m.source_key is not None and m.source_key.startswith("return_fee") for m in made) <= 1


@given(months())
def test_discounts_leave_the_new_months_plans_at_nothing_or_more(found):
    made = [m for m in rated(found) if m.start == found.cycle.start]
    assert sum(m.amount for m in made if m.kind in ("plan", "discount")) >= 0


@given(starts, st.integers(1, 30_000), st.lists(st.integers(0, 30), max_size=6))
def test_the_parts_of_a_month_sum_to_the_whole(day_start, price, cuts):
    """However often a plan changes to another of the same price, the month costs that price."""
    day, start = day_start
    cycle = Cycle.of(day, start)
    days = sorted(cycle.before + n * DAY for n in cuts if n < cycle.days_before)
    chain = [Plan(f"P{n}", price) for n in range(len(days) + 1)]
    changes = tuple(Change(on, a, b) for on, a, b in zip(days, chain, chain[1:], strict=False))
    made = rules._changes(Line(1, date(2020, 1, 1), chain[-1], changes=changes, advance=Charged("P0", price)), cycle)
    assert price + rules.total(made) == price
    assert all(m.den == cycle.days_before and 0 < m.num <= m.den for m in made)


@given(starts, st.integers(0, 30_000), st.integers(0, 30))
def test_a_line_that_ends_and_one_that_begins_on_a_day_are_one_month(day_start, price, n):
    cycle = Cycle.of(*day_start)
    on = cycle.before + min(n, cycle.days_before - 1) * DAY
    plan = Plan("P", price)
    old = Line(1, date(2020, 1, 1), plan, cancelled_on=on, advance=Charged("P", price))
    made = rules._changes(old, cycle) + rules._changes(Line(2, on, plan), cycle)
    assert rules.total(made) == 0


@given(bill_day_s, st.dates(date(2023, 1, 1), date(2032, 1, 1)))
def test_every_account_is_in_one_cycle_a_month(day, on):
    """Leap years, month ends: the cycles of a bill day follow each other, and each names that bill day."""
    start = rules.bill_period(day, on)[0]
    cycle = Cycle.of(day, start)
    assert day in rules.bill_days(start) and cycle.before < start <= cycle.end
    after = Cycle.of(day, cycle.end + DAY)
    assert after.before == start and rules.nth(day, start, after.start) == 2


# ---------------------------------------------------------------- the tariff


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [('imported = "outside"', 'imported = "maybe"', "imported"), ("due_days = 21", 'due_days = "21"', "due_days"),
     ('per = "line"', 'per = "phone"', "per"), ("plan = 96000", "plant = 96000", "plant"), ("ppm = 20800", "ppm = 2.08", "late_fee.cap.NY"),
     ('state = "WA"', 'state = "Washington"', "two capital letters"), ("[return_fee]", "[returned]", "returned"),
     ("from = 2020-01-01", 'from = "2020"', "from"), ('place = "St. Louis County"', 'place = "St. Louis County/"', "from below the state down"),
     ('places = ["St. Louis County"]', 'places = ["St Louis County"]', "no [[tax]] row of MO"), ('codes = ["630", "631"]', 'codes = ["63105"]', "has a row already"),
     ('codes = ["630", "631"]', "codes = [630]", "codes"), ('name = "State sales tax, MO"', 'place = "Cole County"\nname = "State sales tax, MO"', "no row of its own"),
     ("give_back_days = 365", "give_back_days = 30", "at least charge_days")],
)  # fmt: skip
def test_a_tariff_that_cannot_be_used_is_refused_when_it_is_loaded(was, now, says):
    files = dict(default_rulebook().files)
    assert was in files["billing.toml"]
    files["billing.toml"] = files["billing.toml"].replace(was, now, 1)
    with pytest.raises(RulebookFault, match=re.escape(says)):
        Rulebook(files).check()


def test_what_goes_back_takes_along_the_tax_that_was_charged():
    """The rate went from 9.6 % to 12 % on the day of the bill; Maria's line ended before it."""
    rows = [t for t in default_rulebook().toml("billing.toml")["tax"] if t["state"] == "WA"]
    dearer = rows[0] | {"from": date(2026, 11, 4), "rates": {"plan": 120_000, "fee": 120_000}}
    changed = tariffs.read(default_rulebook().toml("billing.toml") | {"tax": [*rows, dearer], "postal": []})
    made = rated(facts("WA", Line(1, LONG_AGO, PLUS15, cancelled_on=date(2026, 10, 19), advance=Charged("Plus 15 GB", 4500)), Line(2, LONG_AGO, PLUS15, advance=Charged("Plus 15 GB", 4500))), changed)
    rates = {(made[t.taxes].kind, made[t.taxes].amount > 0): t.ppm for t in made if t.kind == "tax"}
    assert rates == {("plan", False): 96_000, ("plan", True): 120_000, ("fee", True): 120_000}


def ended(n: int, on: date | None, price: int = 4500) -> Line:
    return Line(n, LONG_AGO, PLUS15, cancelled_on=on, advance=Charged("Plus 15 GB", price))


@pytest.mark.parametrize(("lines", "given", "back"), [
    ([ended(1, date(2026, 10, 19))], Charged("Loyalty", -500), [(None, 258)]),
    ([ended(1, date(2026, 10, 19)), ended(2, date(2026, 10, 25))], Charged("Loyalty", -500), [(None, 161)]),
    ([ended(1, date(2026, 10, 19)), ended(2, None)], Charged("Loyalty", -500), []),
    ([ended(1, date(2026, 10, 19), 3000), ended(2, None, 6000)], Charged("Student", -900, 100_000), [(None, 155)]),
    ([ended(1, date(2026, 10, 4))], Charged("Loyalty", -4500), [(None, 4500)]),
    ([ended(1, None)], Charged("Loyalty", -500), []),
])  # fmt: skip
def test_a_discount_of_the_account_goes_with_the_lines_that_it_was_on(lines, given, back):
    """$5.00 off the account: with its last line 16 (or 10) of 31 days are taken back; a share goes with each line."""
    made = rated(facts("WA", *lines, given=(given,)))
    assert [(m.line_id, m.amount) for m in made if m.kind == "discount"] == back
    plans = sum(m.amount for m in made if m.kind in ("plan", "discount") and m.start < NOVEMBER.start)
    assert plans <= 0 and -plans <= sum(n.advance.amount for n in lines) + given.amount, "no more goes back than was charged"


def test_a_discount_that_is_taken_back_is_not_told_as_one_that_began():
    offer = Agreed(None, "discount", "Loyalty", LONG_AGO, None, -500)
    october = replace(facts("WA", Line(1, LONG_AGO, PLUS15, advance=Charged("Plus 15 GB", 4500)), agreed=(offer,)), cycle=Cycle.of(4, date(2026, 10, 4)))
    november = facts("WA", ended(1, date(2026, 10, 19)), given=(Charged("Loyalty", -500),), agreed=(offer,))
    december = replace(facts("WA", ended(1, date(2026, 10, 19))), cycle=Cycle.of(4, date(2026, 12, 4)), waiting=(Waiting("CH-1", None, "fee", "Letter", Decimal(1), 100, 100, NOVEMBER.end, True),))
    made = [rated(f) for f in (october, november, replace(december, lines=()))]
    first, second, third = (
        charges.Billed(n, f"B-{n}", f, rules.total(lines), tuple(
            charges.Charged(100 * n + k, m.kind, m.label, m.amount, m.line_id, "", m.source_key or "", m.start, m.end, m.quantity, m.unit, m.num, m.den, m.ppm,
                            100 * n + m.taxes if m.taxes is not None else None)
            for k, m in enumerate(lines)
        ))
        for n, (f, lines) in enumerate(zip((date(2026, 10, 4), NOVEMBER.start, date(2026, 12, 4)), made, strict=True))
    )  # fmt: skip
    said = {d.title: d.say for d in explain.explain(second, first).differences}
    assert said["Loyalty: a part taken back"] == "Of the discount “Loyalty”, 16 of 31 days are taken back on this one. That is $2.83 more, tax included."
    assert "Discount ended: Loyalty" in said and not any("began" in title for title in said)
    after = {d.title: d.say for d in explain.explain(third, second).differences}
    assert "which did not come again" in after["Loyalty, a part taken back did not repeat"]


def test_an_instalment_of_the_day_on_which_the_account_ended_is_billed_once():
    bought = Instalments(1, "Pixel", 1000, 3, LONG_AGO, ended_on=NOVEMBER.start)
    first = replace(bought, starts_on=NOVEMBER.start)
    assert [m.amount for m in rated(facts("WA", instalments=(first,))) if m.kind == "equipment"] == [333]
    assert not rated(facts("WA", instalments=(replace(first, ended_on=NOVEMBER.start - DAY),)))


def test_a_tax_that_changes_counts_from_its_day_on():
    row = {"state": "WA", "name": "Tax", "from": date(2026, 1, 1), "rates": {"plan": 1000}, "cite": "x"}
    data_ = default_rulebook().toml("billing.toml") | {"tax": [row, row | {"from": date(2026, 7, 1), "rates": {}}], "postal": []}
    read = tariffs.read(data_)
    assert [t.rates for t in read.taxes_of("WA", "", date(2026, 6, 30)).taxes] == [{"plan": 1000}]
    assert [t.rates for t in read.taxes_of("WA", "", date(2026, 7, 1)).taxes] == [{}]
    assert read.taxes_of("WA", "", date(2025, 12, 31)) is None and read.taxes_of("NV", "", date(2026, 7, 1)) is None


@pytest.mark.parametrize(
    ("code", "taxes", "state_only"),
    [("63105", ["State sales tax, MO", "Sales tax, St. Louis County, MO", "Utility tax, Clayton, MO", "Emergency service, Central 911 District, MO"], False),
     ("63105-1806", ["State sales tax, MO", "Sales tax, St. Louis County, MO", "Utility tax, Clayton, MO", "Emergency service, Central 911 District, MO"], False),
     ("63119", ["State sales tax, MO", "Sales tax, St. Louis County, MO"], False), ("65201", ["State sales tax, MO"], True), ("", ["State sales tax, MO"], True)],
)  # fmt: skip
def test_an_address_is_taxed_by_every_jurisdiction_that_its_postal_code_lies_in(code, taxes, state_only):
    found = TARIFF.taxes_of("MO", code, NOVEMBER.start)
    assert [t.label for t in found.taxes] == taxes and found.by_state_only == state_only
    made = [m for m in rated(facts("MO", line(), postal_code=code)) if m.kind == "tax"]
    assert {m.source_key for m in made} == {rules.STATE_ONLY if state_only else None}
    assert not TARIFF.taxes_of("WA", code, NOVEMBER.start).by_state_only, "a state without jurisdictions of its own is all there is"


names = st.sampled_from(["A", "B", "C"])


@given(st.lists(st.tuples(st.lists(names, max_size=4).map("/".join), st.sampled_from([0, 1, 12_345, 300_000])), max_size=12, unique_by=lambda r: r[0]), st.data(), st.integers(-9000, 9000))
def test_each_jurisdiction_taxes_a_charge_once_and_no_tax_a_tax(rows, draw, amount):
    """Any depth, several places at once: the taxes are those of the places and of all above them, each on the charge alone."""
    rates = {"": 50_000} | {place: ppm for place, ppm in rows if place}
    chosen = draw.draw(st.lists(st.sampled_from(sorted(p for p in rates if p)), unique=True)) if len(rates) > 1 else []
    read = tariffs.read(default_rulebook().toml("billing.toml") | {
        "tax": [{"state": "WA", "name": "Tax", "from": date(2026, 1, 1), "rates": {"other": ppm}, "cite": "x"} | ({"place": place} if place else {}) for place, ppm in rates.items()],
        "postal": [{"state": "WA", "codes": ["981"], "places": chosen}],
    })  # fmt: skip
    waiting = (Waiting("CH-1", None, "other", "Cover", Decimal(1), amount, amount, NOVEMBER.start, True),)
    made = rated(facts("WA", waiting=waiting, postal_code="98101"), read)
    above = {"/".join(place.split("/")[:n]) for place in chosen for n in range(1, 9)} & set(rates)
    assert sorted(m.amount for m in made if m.kind == "tax") == sorted(tax for place in above | {""} if (tax := share(amount, rates[place], 1_000_000)))
    assert all(made[m.taxes].kind == "other" for m in made if m.kind == "tax")




@st.composite
def lives(draw) -> tuple[date, date | None, Plan, list[Change], list[Facts]]:
    """The cycles of one line from its first day on: plans changed on any days (the last of February, the day of the bill,
    twice on one day), some months long ago, some in a leap year, at times an end."""
    day, start = draw(starts)
    began = start + draw(st.integers(0, 27)) * DAY
    changes, plan = [], draw(plans)
    first, on = plan, began
    for _ in range(draw(st.integers(0, 5))):
        on += draw(st.integers(0, 70)) * DAY
        after = draw(plans)
        changes.append(Change(on, plan, after))
        plan = after
    ends = draw(st.none() | st.integers(0, 200).map(lambda n: began + n * DAY))
    changes = [c for c in changes if ends is None or c.on < ends]
    found, advance = [], None
    cycle = Cycle.of(day, rules.bill_period(day, began)[1] + DAY)
    for _ in range(draw(st.integers(2, 9))):
        now = [c for c in changes if c.on < cycle.start]
        line = Line(
            1, began, now[-1].after if now else first, cancelled_on=ends if ends is not None and ends <= cycle.start else None,
            changes=tuple(c for c in now if c.on >= cycle.before), advance=advance,
        )  # fmt: skip
        found.append(Facts("WA", day, cycle, (line,)))
        made = [m for m in rated(found[-1]) if m.start == cycle.start and m.kind == "plan"]
        advance = Charged(made[0].label, made[0].amount) if made else None
        cycle = Cycle.of(day, cycle.end + DAY)
    return began, ends, first, changes, found


@given(lives())
def test_a_life_is_billed_day_by_day_and_each_bill_explained_to_the_cent(life):
    """What all the bills charge for plans is what the plans of all the days cost, but for half a cent where a month is cut; and
    each bill is the one before it and the causes that the explanation names."""
    began, ends, first, changes, cycles = life
    bills, charged, owed = [], 0, Fraction(0)
    for n, found in enumerate(cycles):
        made = rated(found)
        lines = tuple(
            charges.Charged(100 * n + k, m.kind, m.label, m.amount, m.line_id, "", m.source_key or "", m.start, m.end, m.quantity, m.unit, m.num, m.den,
                            m.ppm, 100 * n + m.taxes if m.taxes is not None else None)
            for k, m in enumerate(made)
        )  # fmt: skip
        bills.append(charges.Billed(n, f"B-{n}", found.cycle.start, rules.total(made), lines))
        charged += sum(m.amount for m in made if m.kind == "plan")
        for day in (found.cycle.before + k * DAY for k in range(found.cycle.days_before)):
            if began <= day and (ends is None or day < ends):
                owed += Fraction(next((c.after for c in reversed(changes) if c.on <= day), first).price, found.cycle.days_before)
    (last,) = cycles[-1].lines
    if ends is None or ends > cycles[-1].cycle.start:  # the month to come is paid in advance
        owed += last.plan.price
    cuts = 2 * len(changes) + 3  # a change gives one part back and charges another; so do a beginning and an end
    assert abs(charged - owed) <= Fraction(cuts, 2)
    for was, now in itertools.pairwise(bills):
        why = explain.explain(now, was)
        assert sum(d.amount_minor for d in why.differences) == now.total_minor - was.total_minor
        assert all(d.cause != "unexplained" for d in why.differences)
        assert estimate.unpacked(estimate.packed(now), now.issued_on, now.total_minor).lines == now.lines
