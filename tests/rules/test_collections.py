"""The ladder: which rung a debt belongs on, what leads there, what holds it, and how it comes down."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import settings as pace
from hypothesis import strategies as st

from careline.domain.collections import rules
from careline.domain.collections.rules import (
    Climb,
    Debt,
    Facts,
    Held,
    decide,
    fees_due,
    free_debts,
    talking,
    target,
)
from careline.foundation.ladder import read
from careline.foundation.rulebook import Rulebook, RulebookFault

pytestmark = pytest.mark.once
TEXT = (Path(settings.ROOT) / "rulebook" / "default" / "ladder.toml").read_text(encoding="utf-8")
LADDER = read(TEXT)
DUE = date(2026, 10, 5)
CODES = [r.code for r in LADDER.rungs]
MARIA = Facts((Debt(1, DUE, 8000),), opened_on=date(2025, 3, 1))


def after(days: int) -> date:
    return DUE + timedelta(days=days)


def rung(facts: Facts, days: int) -> str:
    found = target(LADDER, facts, after(days)).index
    return CODES[found] if found >= 0 else ""


@pytest.mark.parametrize(
    ("days", "code"),
    [(-4, ""), (-3, "reminder"), (0, "reminder"), (2, "reminder"), (3, "notice"), (9, "notice"), (10, "final"), (15, "soft"), (29, "soft"),
     (30, "hard"), (60, "disconnect"), (100, "place"), (120, "write_off"), (900, "write_off")],
)  # fmt: skip
def test_the_rung_of_eighty_dollars_by_its_days(days, code):
    assert rung(MARIA, days) == code


@pytest.mark.parametrize(
    ("facts", "days", "code"),
    [
        (replace(MARIA, autopay=True), -3, ""),
        (replace(MARIA, debts=(Debt(1, DUE, 999),)), 40, ""),  # ten dollars are the least
        (replace(MARIA, debts=(Debt(1, DUE, 2499),)), 40, "final"),  # nobody is cut off for less than twenty-five
        (replace(MARIA, debts=(Debt(1, DUE, 4999),)), 90, "hard"),
        (replace(MARIA, opened_on=date(2020, 1, 1)), 14, "notice"),  # a customer of six years, for the first time late
        (replace(MARIA, opened_on=date(2020, 1, 1)), 15, "final"),
        (replace(MARIA, opened_on=date(2020, 1, 1), climbs=1), 10, "final"),
        (replace(MARIA, segment="business"), 25, "soft"),
        (replace(MARIA, segment="business"), 24, "final"),
        (replace(MARIA, debts=(Debt(1, DUE, 50), Debt(2, after(30), 8000))), 33, "notice"),  # cents left of an old bill do not age a new one
        (replace(MARIA, holds=(Held("bankruptcy"),)), 40, ""),
        (replace(MARIA, holds=(Held("complaint"),)), 40, "notice"),
        (replace(MARIA, holds=(Held("dispute", 5600, 1),)), 40, "final"),  # of $80, $24 is not disputed
        (replace(MARIA, holds=(Held("dispute", None, 1),)), 40, ""),
        (replace(MARIA, holds=(Held("dispute", 3000), Held("arrangement", 4500))), 40, ""),
    ],
)
def test_amount_segment_history_and_holds_move_the_rung(facts, days, code):
    assert rung(facts, days) == code


def test_an_amount_is_held_of_the_oldest_debts_and_never_more_than_there_is():
    debts = (Debt(2, after(30), 4000), Debt(1, DUE, 3000))
    assert free_debts(debts, [Held("dispute", 3500)]) == [Debt(2, after(30), 3500)]
    assert free_debts(debts, [Held("dispute", 9000, 2)]) == [Debt(1, DUE, 3000)]
    assert free_debts(debts, [Held("dispute", 10, 77)]) == [Debt(1, DUE, 3000), Debt(2, after(30), 4000)]


def step(facts: Facts, climb: Climb | None, days: int, ladder=LADDER):
    """One night: what is decided, and the climb after it. Its notices are sent the same day."""
    found = decide(ladder, facts, climb, after(days))
    now = None if found.end else climb
    if found.begins and found.free.since:
        now = Climb(found.free.since, bar=climb.bar if climb else "")
    if now is None:
        return found, None
    if found.free.since and found.free.since < now.since:
        now = replace(now, since=found.free.since)
    if found.position is not None:
        now = replace(now, rung=CODES[found.position] if found.position >= 0 else "")
    if found.bar is not None:
        now = replace(now, bar=found.bar)
    for n in found.rungs:
        one = ladder.rungs[n]
        now = replace(now, rung=one.code, bar=one.bar or now.bar)
        if "notice" in one.effects:
            now = replace(now, notice_on=after(days))
    return found, now


def test_a_ladder_begun_late_goes_rung_by_rung_with_its_gaps():
    """The desk was down for forty days: the target is `hard` at once, and the way there is not cut short."""
    climb, told = None, []
    for days in range(40, 80):
        found, climb = step(MARIA, climb, days)
        assert found.target.index == CODES.index(rung(MARIA, days))
        told += [(days, CODES[n]) for n in found.rungs]
    assert told == [(40, "notice"), (45, "final"), (50, "soft"), (60, "hard"), (74, "disconnect")]


@pytest.mark.parametrize(
    ("debts", "holds", "told"),
    [
        ([(DUE, 1200)], (), ["notice", "final"]),  # too little to cut anybody off, however long
        ([(DUE, 2499)], (), ["notice", "final"]),
        ([(DUE, 2500)], (), ["notice", "final", "soft", "hard"]),  # enough to be stopped, not to be ended or placed
        ([(DUE, 4999)], (), ["notice", "final", "soft", "hard"]),
        ([(DUE, 5000)], (), ["notice", "final", "soft", "hard", "disconnect", "place", "write_off"]),
        ([(DUE, 1200), (after(30), 1300)], (), ["notice", "final", "soft", "hard"]),  # together, once both are late enough
        ([(DUE, 8000)], (Held("dispute", 6000, 1),), ["notice", "final"]),  # what is disputed cuts nobody off either
    ],
)  # fmt: skip
@pytest.mark.parametrize("nights", [(3, 1), (121, 1), (3, 9)], ids=["every night", "after four months", "every ninth night"])
@pytest.mark.parametrize("least", ["least = 5000  ", "", "least = 1100  "], ids=["as it is", "of the ladder", "less than on the way"])
def test_nobody_is_put_on_a_rung_by_the_way_for_less_than_it_asks(debts, holds, told, nights, least):
    ladder = read(TEXT.replace("days = 120\nleast = 5000  ", f"days = 120\n{least}"))
    facts = replace(MARIA, debts=tuple(Debt(n, due, open_) for n, (due, open_) in enumerate(debts, 1)), holds=holds)
    climb, done = None, []
    for days in range(nights[0], 260, nights[1]):
        found, climb = step(facts, climb, days, ladder)
        done += [CODES[n] for n in found.rungs]
        if "write_off" in done:
            break
    assert done == told


def test_what_only_businesses_are_asked_for_on_the_way_is_asked_of_nobody_else():
    ladder = read(TEXT.replace('least = 2500\ngap = 5', 'least = 9000\nonly = { segments = ["business"] }\ngap = 5'))
    assert CODES[target(ladder, MARIA, after(40)).index] == "hard"
    assert CODES[target(ladder, replace(MARIA, segment="business"), after(45)).index] == "final"
    assert CODES[target(ladder, replace(MARIA, segment="business", debts=(Debt(1, DUE, 9000),)), after(45)).index] == "hard"


def test_a_notice_that_was_not_sent_holds_the_next_rung():
    found = decide(LADDER, MARIA, Climb(DUE, "notice", 3, notice_waits=True), after(20))
    assert found.rungs == () and found.waits == rules.Wait(CODES.index("final"), None)
    found = decide(LADDER, MARIA, Climb(DUE, "notice", 3, notice_on=after(18)), after(20))
    assert found.waits == rules.Wait(CODES.index("final"), after(23))


@pytest.mark.parametrize(
    ("holds", "open_", "costs"),
    [
        ((), 0, True),
        ((Held("arrangement", 2000),), 2000, True),  # a payment had them back
        ((Held("complaint"),), 2000, False),
        ((Held("military"),), 8000, False),
        ((Held("arrangement", 1000), Held("complaint")), 2000, False),  # what one hold spares another does not charge
        ((Held("arrangement", 1000), Held("dispute", 1000, 1)), 2000, False),
    ],
)  # fmt: skip
def test_what_comes_back_costs_the_fee_unless_a_hold_spares_it(holds, open_, costs):
    facts = replace(MARIA, debts=(Debt(1, DUE, open_),) if open_ else (), holds=holds)
    found = decide(LADDER, facts, Climb(DUE, "hard", 30, "all", notice_on=after(30)), after(40))
    assert found.bar == ""
    assert rules.costs_restoring(LADDER, facts, found) == costs


def test_paid_partly_paid_credited_and_held_come_down():
    on_hard = Climb(DUE, "hard", 30, "all", notice_on=after(30))
    paid, climb = step(replace(MARIA, debts=()), on_hard, 35)
    assert (paid.end, paid.bar, climb) == ("paid", "", None)
    # The oldest bill is paid, the next is five days late: lines come back, and that debt has notices of its own.
    partly, climb = step(replace(MARIA, debts=(Debt(2, after(30), 6000),)), on_hard, 35)
    assert (partly.end, partly.bar) == ("partly paid", "") and [CODES[n] for n in partly.rungs] == ["notice"]
    assert climb == Climb(after(30), "notice", None, "", after(35))
    # A credit leaves $24 of it: below what anybody is cut off for.
    credited, climb = step(replace(MARIA, debts=(Debt(1, DUE, 2400),)), on_hard, 35)
    assert (credited.position, credited.bar, credited.rungs) == (CODES.index("final"), "", ())
    held, climb = step(replace(MARIA, holds=(Held("bankruptcy"),)), on_hard, 35)
    assert (held.position, held.bar) == (-1, "") and climb is not None and climb.rung == ""
    assert step(replace(MARIA, holds=(Held("bankruptcy"),)), climb, 36)[0].idle
    again, _ = step(MARIA, climb, 50)  # lifted: afresh, with its notices
    assert [CODES[n] for n in again.rungs] == ["notice"]


def test_an_arrangement_stops_the_ladder_where_it_stands_and_brings_nothing_back():
    on_hard = Climb(DUE, "hard", 30, "all", notice_on=after(30))
    kept = decide(LADDER, replace(MARIA, holds=(Held("arrangement", 8000),)), on_hard, after(70))
    assert kept.idle and kept.target.index == -1
    broken = decide(LADDER, MARIA, on_hard, after(70))
    assert [CODES[n] for n in broken.rungs] == ["disconnect"]


def test_a_returned_payment_makes_the_debt_older_and_the_climb_goes_on():
    found, climb = step(replace(MARIA, debts=(Debt(1, DUE, 4000), Debt(2, after(30), 4000))), Climb(after(30), "notice", 3, notice_on=after(34)), 40)
    assert [CODES[n] for n in found.rungs] == ["final"] and climb is not None and climb.since == DUE


def test_the_fee_is_due_on_each_late_bill_once_and_on_nothing_held():
    facts = replace(MARIA, debts=(Debt(1, DUE, 3000), Debt(2, after(30), 4000), Debt(3, after(60), 5000)))
    assert [d.bill for d in fees_due(LADDER, facts, set(), after(33))] == [1, 2]
    assert [d.bill for d in fees_due(LADDER, facts, {1}, after(33))] == [2]
    assert [d.bill for d in fees_due(LADDER, replace(facts, holds=(Held("dispute", None, 2),)), {1}, after(40))] == []
    assert fees_due(LADDER, replace(facts, holds=(Held("bankruptcy"),)), set(), after(40)) == []
    assert [d.open for d in fees_due(LADDER, replace(facts, holds=(Held("complaint"),)), {1}, after(40))] == [4000]


def test_what_brings_a_line_back_what_comes_next_and_what_a_call_is_worth():
    assert rules.to_come_back(LADDER, MARIA, after(31)) == 5501  # $24.99 are left: below what anybody is cut off for
    two = replace(MARIA, debts=(Debt(1, DUE, 8000), Debt(2, after(10), 6000)))
    assert rules.to_come_back(LADDER, two, after(31)) == 14_000 - 2499
    assert rules.to_come_back(LADDER, two, after(16)) == 5501  # the second bill is not old enough yet to bar anything
    assert rules.to_come_back(LADDER, MARIA, after(5)) == 0
    arranged = replace(MARIA, holds=(Held("arrangement", 8000),))
    assert rules.to_come_back(LADDER, arranged, after(31)) == 5501, "an arrangement gives no line back, so the sum stays what it was"
    assert rules.to_come_back(LADDER, replace(MARIA, holds=(Held("dispute", 8000),)), after(31)) == 0
    on_soft = Climb(DUE, "soft", 15, "outgoing", notice_on=after(15))
    assert rules.coming(LADDER, MARIA, on_soft, after(16)) == (CODES.index("hard"), after(30))
    assert rules.coming(LADDER, replace(MARIA, holds=(Held("bankruptcy"),)), on_soft, after(16)) is None
    assert (rules.worth(LADDER, 8000, 10), rules.worth(LADDER, 8000, 200)) == (3800, -600)


def test_what_follows_once_the_sum_is_paid_that_has_the_lines_back():
    two = replace(MARIA, debts=(Debt(1, DUE, 4800), Debt(2, after(10), 4796)))
    on_soft = Climb(DUE, "soft", 15, "outgoing", notice_on=after(15))
    back = rules.to_come_back(LADDER, two, after(16))
    paid = rules.after_paying(two, back)
    assert back == 2301 and sum(d.open for d in paid.debts) == 9596 - 2301
    barred, on = rules.next_bar(LADDER, paid, on_soft, after(16))
    assert (CODES[barred], on) == ("soft", after(25)), "fifteen days after the second bill was due"
    one = rules.after_paying(MARIA, 5501)
    assert rules.next_bar(LADDER, one, on_soft, after(16), within=90) is None, "$24.99 bar nothing"
    later = replace(one, debts=(*one.debts, Debt(3, after(30), 5000)))
    assert rules.next_bar(LADDER, later, on_soft, after(16)) == (CODES.index("soft"), after(45)), "a bill that is due only then"
    held = rules.after_paying(replace(two, holds=(Held("arrangement", 9596),)), back)
    assert held.holds == (Held("arrangement", 9596 - 2301),) and rules.next_bar(LADDER, held, on_soft, after(16)) is None


# ---------------------------------------------------------------- laws


@st.composite
def lives(draw):
    """A debt of one or two bills, perhaps paid in part on a day, and the nights that were missed."""
    debts = [Debt(1, DUE, draw(st.integers(500, 9000)))]
    if draw(st.booleans()):
        debts.append(Debt(2, after(30), draw(st.integers(500, 9000))))
    paid_on, paid = draw(st.integers(0, 200)), draw(st.integers(0, 12_000))
    held = draw(st.sampled_from(["", "dispute", "bankruptcy", "complaint", "arrangement", "manual"]))
    held_from = draw(st.integers(0, 100))
    return debts, paid_on, paid, held, held_from, held_from + draw(st.integers(0, 60)), draw(st.sets(st.integers(-5, 150), max_size=140))


def facts_on(life, day: int) -> Facts:
    debts, paid_on, paid, held, first, last, _ = life
    left = paid if day >= paid_on else 0
    still = []
    for debt in debts:
        part = min(left, debt.open)
        left -= part
        if debt.open > part:
            still.append(replace(debt, open=debt.open - part))
    return replace(MARIA, debts=tuple(still), holds=(Held(held),) if held and first <= day <= last else ())


@given(lives())
@pace(max_examples=250, deadline=None)
def test_whatever_nights_are_missed_the_rung_is_the_same_and_its_steps_come_once_in_order_with_their_gaps(life):
    climb, done, last_notice = None, [], None
    for day in [d for d in range(-5, 151) if d not in life[-1]] + list(range(151, 300)):
        facts = facts_on(life, day)
        before = climb
        found, climb = step(facts, climb, day)
        assert found.target == target(LADDER, facts, after(day))  # it knows of no climb
        if found.begins or found.position is not None:
            done, last_notice = [], None if found.begins else last_notice
        for n in found.rungs:
            one = LADDER.rungs[n]
            assert n <= found.target.index and not any(h.whole and CODES.index(LADDER.holds[h.kind].most or CODES[0]) < n for h in facts.holds)
            assert n not in done and (not done or n > done[-1])
            assert not one.gap or last_notice is None or day - last_notice >= one.gap
            done.append(n)
            last_notice = day if "notice" in one.effects else last_notice
        if climb is not None and not facts.holds:
            assert rules.place_of(LADDER, climb) <= max(found.target.index, -1)
            bars = ("", "outgoing", "all", "gone")
            assert climb.bar == "gone" or bars.index(climb.bar) <= bars.index(rules.bar_at(LADDER, found.target.index))
        if not facts.debts:
            assert climb is None and (before is None or before.bar in ("", "gone") or found.bar == "")
    # Nights without a gap for long enough: the climb stands where the debt belongs.
    assert (rules.place_of(LADDER, climb) if climb else -1) == target(LADDER, facts_on(life, 299), after(299)).index


# ---------------------------------------------------------------- the file


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("days = 15\n", 'days = "15"\n', "[rung] days: a whole number from -60 to 1000"),
        ("days = 30\n", "days = 12\n", "hard has to come later than soft (15 days)"),
        ('effects = ["suspend", "notice"]\nbar = "outgoing"', 'effects = ["suspend", "cut"]\nbar = "outgoing"', "cut is no effect"),
        ('bar = "outgoing"\n', "", 'bar: "outgoing" or "all"'),
        ('"911", "988"', '"988"', "911 has to be in it"),
        ("{ autopay = false }", "{ colour = 3 }", "colour = 3 is no condition"),
        ('[text.final]\nen = "', '[text.final]\nen = "{iban}', "only {amount}, {carrier}, {due} are filled in"),
        ("[text.hard]", "[text.harder]", "no rung of this code sends a notice"),
        ("restores = true\nafresh = true\nreview = 30\ncite = \"940", "restores = true\nreview = 30\ncite = \"940", "write afresh = true"),
        ("[hold.arrangement]", "[hold.plan]", "[hold.arrangement] is missing"),
        ("again_after = [3, 6]", "again_after = [6, 3]", "rising, such as [3, 6]"),
        ("least = 1000  ", "least = 1000x  ", "line"),
    ],
)
def test_a_fault_of_the_file_names_its_line_and_says_what_to_write(old, new, said):
    assert TEXT.count(old) >= 1
    broken = TEXT.replace(old, new, 1)
    with pytest.raises(ValueError) as fault:
        read(broken)
    assert said in str(fault.value)
    number = next((n for n, line in enumerate(broken.splitlines(), 1) if f"line {n}," in str(fault.value) or f"line {n} " in str(fault.value)), None)
    if number and " days:" in said:
        assert broken.splitlines()[number - 1] == new.strip()


def test_the_late_fee_is_levied_in_one_place():
    files = dict(Rulebook.from_folder(Path(settings.ROOT) / "rulebook" / "default").files)
    bill = files["billing.toml"].replace('by = "ladder"', 'by = "bill"')
    with pytest.raises(RulebookFault, match="charged twice"):
        Rulebook({**files, "billing.toml": bill}).check()
    with pytest.raises(RulebookFault, match="has the effect late_fee"):
        Rulebook({**files, "ladder.toml": TEXT.replace('"notice", "late_fee"', '"notice"')}).check()


# ---------------------------------------------------------------- what there is to say

OCTOBER, NOVEMBER = date(2026, 10, 5), date(2026, 11, 24)
LATE_ONCE = talking.Case(owed=8000, since=OCTOBER, opened_on=date(2025, 3, 1))


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (LATE_ONCE, ["first_time"]),
        (replace(LATE_ONCE, climbs=2), []),
        (replace(LATE_ONCE, owed=1800, opened_on=date(2019, 5, 2)), ["first_time", "long_standing", "small"]),
        (replace(LATE_ONCE, broken_on=date(2026, 11, 12)), ["broken_promise"]),
        (replace(LATE_ONCE, broken_on=date(2026, 6, 1)), []),  # long ago: nobody speaks of it, and it is not the first time either
        (replace(LATE_ONCE, returned_on=date(2026, 11, 20), broken_on=date(2026, 11, 12)), ["returned_payment", "broken_promise"]),
        (replace(LATE_ONCE, bar_on=date(2026, 12, 4)), ["near_suspension", "first_time"]),
        (replace(LATE_ONCE, bar_on=date(2026, 12, 5)), ["first_time"]),
        (replace(LATE_ONCE, barred=True, back=5501, bar_on=date(2026, 12, 4)), ["suspended"]),  # a line that is off has slipped nobody's mind
        (replace(LATE_ONCE, holds=frozenset({"hardship"}), barred=True, back=5501, opened_on=date(2019, 5, 2)), ["hold.hardship", "suspended", "long_standing"]),
        (replace(LATE_ONCE, holds=frozenset({"complaint"}), climbs=1), []),
    ],
)
def test_what_there_is_to_say_follows_from_the_case_at_most_three_in_the_rulebooks_order(case, said):
    words = dict(LADDER.talk.points)
    assert talking.points(LADDER.talk, case, NOVEMBER) == [words[when] for when in said]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('when = "small"', 'when = "rich"', "one of suspended, near_suspension"),
        ('when = "hold.hardship"', 'when = "hold.whim"', "a kind of hold of this file"),
        ("so we can settle it now", "or else we settle it now", "say it without “or else”"),
        ("It is {amount}, so", "It is {amount}, with {back}, so", "only {amount}, {carrier}, {since}, {years} are filled in"),
        ("The bill can wait until then.", "You must pay.", "say it without “you must”"),
        ("near_days = 10 ", 'near_days = "ten" ', "a whole number"),
    ],
)
def test_words_that_press_and_conditions_that_nobody_knows_are_no_talking_points(old, new, said):
    assert old in TEXT
    with pytest.raises(ValueError) as fault:
        read(TEXT.replace(old, new, 1))
    assert said in str(fault.value) and "line" in str(fault.value)


def test_a_ladder_from_before_there_were_points_has_its_openings_only():
    old = TEXT[: TEXT.index("[talk]")] + '[talk]\ninbound = "First why you called."\noutbound = "This is {carrier}."\nhardship = "That sounds hard."\n'
    assert read(old).talk.points == () and talking.points(read(old).talk, LATE_ONCE, NOVEMBER) == []
