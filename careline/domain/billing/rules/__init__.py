"""Rating: the frozen facts of one account and a cycle in, the lines of its bill out. Amounts are minor units.

A cycle begins on its first day, the bill day, and the bill says three things: what the new period costs in advance, what
changed in the period that has just ended, and what was used in it. What a change costs or gives back counts the days from
its own day to the period's end, over all days of the period; so the parts of a month sum to the whole, and each line's
amount is what its own numbers say: quantity x unit price x numerator / denominator, rounded once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any

from careline.domain.billing.rules.facts import (
    DAY,
    Agreed,
    Allowance,
    Change,
    Charged,
    Cycle,
    Facts,
    Instalments,
    Line,
    Made,
    Measured,
    Meter,
    Plan,
    Rated,
    Waiting,
)
from careline.domain.billing.rules.use import (
    counted,
    measured,
    over,
    packed_use,
    settle,
    settle_late,
    unpacked_use,
)
from careline.domain.ledger.rules.charges import LATE_USE, STATE_ONLY
from careline.foundation.calendar import bill_period
from careline.foundation.money import rounded, share, shown
from careline.foundation.tariff import MILLION, LateFee, ReturnFee, Tariff, Taxed

__all__ = [
    "STATE_ONLY",
    "Agreed",
    "Allowance",
    "Change",
    "Charged",
    "Cycle",
    "Facts",
    "Instalments",
    "Line",
    "Made",
    "Measured",
    "Meter",
    "Plan",
    "Rated",
    "Waiting",
    "counted",
    "measured",
    "over",
    "packed_use",
    "settle",
    "settle_late",
    "unpacked_use",
]


class State(StrEnum):
    """Of an account in a cycle: a draft waits, it was issued, or there was nothing to bill."""

    DRAFT = "draft"
    ISSUED = "issued"
    NOTHING = "nothing"


class Left(StrEnum):
    """Why an account of the cycle gets no bill in this run."""

    OUTSIDE = "billed by another system"
    GAP = "the cycle before was not billed"
    OVERLAP = "a bill covers days of this period already"
    WAITS = "a draft of another cycle waits: issue or discard it"
    NO_TAX = "no tax rates for its state in billing.toml"


def bill_days(start: date) -> list[int]:
    """The bill days whose period begins on this day: on a month's last day, those that the month has not as well.

    >>> bill_days(date(2027, 2, 28)), bill_days(date(2027, 3, 4))
    ([28, 29, 30, 31], [4])
    """
    return [day for day in range(start.day, 32) if bill_period(day, start)[0] == start]


def left_out(*, outside: bool, waits: bool, covered_to: date | None, cycle: Cycle, taxes: Taxed | None) -> Left | None:
    """Why there is no bill, or None. `covered_to`: the last day of the last period that was billed (None: none ever was)."""
    if outside:
        return Left.OUTSIDE
    if waits:
        return Left.WAITS
    if covered_to is not None and covered_to >= cycle.start:
        return Left.OVERLAP
    if covered_to is not None and covered_to < cycle.ended:
        return Left.GAP
    return Left.NO_TAX if taxes is None else None


def rate(facts: Facts, tariff: Tariff) -> Rated:
    """The bill of an account, and how use was measured for it."""
    cycle = facts.cycle
    living = [n for n in facts.lines if n.lives_on(cycle.start)]
    made: list[Made] = []
    for line in living:
        plan = line.plan_on(cycle.start)
        made.append(_whole("plan", plan.name, plan.price, line.id, cycle))
    made += _discounts_and_extras(facts, made, {n.id for n in living})
    for line in facts.lines:
        made += _changes(line, cycle)
    made += _account_discounts_back(facts)
    use = []
    for line in facts.lines:
        if (meant := measured(line, cycle)) is not None:
            lines, kept = settle(meant, counted(meant, line.used))
            made += lines
            use.append(kept)
    for meant, used in facts.earlier:
        lines, kept = settle_late(meant, used, cycle, tariff.late_use)
        made += lines
        use += [kept] if kept != meant else []
    for bought in facts.instalments:
        made += _instalment(bought, facts.bill_day, cycle)
    made += _fees(facts, tariff, len(living))
    made += [_carried(w) for w in facts.waiting]
    if (fee := late_fee(facts.state, facts.late, tariff.late_fee)) is not None:
        made.append(fee)
    made += _return_fee(facts, tariff.return_fee)
    return Rated((*made, *_taxes(made, facts, tariff)), tuple(use))


def total(made: Iterable[Made]) -> int:
    return sum(line.amount for line in made)


def arithmetic(unit: int, quantity: Decimal, num: int, den: int) -> int:
    """What a line's own numbers come to."""
    return rounded(Fraction(unit) * Fraction(quantity) * Fraction(num, den))


# ---------------------------------------------------------------- in advance


def _whole(kind: str, label: str, amount: int, line_id: int | None, cycle: Cycle, taxed: str = "plan") -> Made:
    return Made(kind, label, amount, line_id, cycle.start, cycle.end, unit=amount, taxed=taxed)


def _discounts_and_extras(facts: Facts, plans: Sequence[Made], living: set[int]) -> list[Made]:
    """What was agreed for every month. Discounts never take more than the plan charges that they are on."""
    cycle = facts.cycle
    made: list[Made] = []
    left = {m.line_id: m.amount for m in plans}
    left_of_all = sum(left.values())
    for item in facts.agreed:
        if not (item.starts_on <= cycle.start and (item.ends_on is None or cycle.start <= item.ends_on)):
            continue
        if item.line_id is not None and item.line_id not in living:
            continue
        until = f", until {item.ends_on:%b} {item.ends_on.day}, {item.ends_on.year}" if item.ends_on else ""
        if item.amount > 0:
            made.append(_whole(item.kind, item.label, item.amount, item.line_id, cycle, taxed=item.kind))
            continue
        base = total(m for m in plans if item.line_id in (None, m.line_id))
        room = left_of_all if item.line_id is None else min(left[item.line_id], left_of_all)
        wanted = share(base, item.ppm, MILLION) if item.ppm else -item.amount
        taken = min(wanted, room)
        if taken <= 0:
            continue
        left_of_all -= taken
        if item.line_id is not None:
            left[item.line_id] -= taken
        by_share = bool(item.ppm) and taken == wanted
        made.append(
            Made(
                "discount", f"{item.label}{until}", -taken, item.line_id, cycle.start, cycle.end,
                unit=-base if by_share else -taken, num=item.ppm if by_share else 1, den=MILLION if by_share else 1, taxed="plan",
            )
        )  # fmt: skip
    return made


# ---------------------------------------------------------------- what changed in the period that has ended


def _changes(line: Line, cycle: Cycle) -> list[Made]:
    """Each change gives back the rest of what was charged and charges the rest of the new, from its day to the end.

    What was never charged in advance is not charged afterwards, but for a line that began within the period.
    """
    now = line.advance
    made: list[Made] = []
    ended = _ended(line, cycle)
    end = ended or cycle.start
    began = cycle.before <= line.activated_on < end and now is None and not line.pending
    if began:
        plan = line.plan_on(line.activated_on)
        now = Charged(plan.name, plan.price)
        made += _part(line.id, now, line.activated_on, cycle)
    for change in line.changes:
        after = Charged(change.after.name, change.after.price)
        known = began and change.on <= line.activated_on
        if now is None or known or not cycle.before <= change.on < end or now == after:
            continue
        if now.label == after.label and change.before.name != now.label:
            continue  # the bill charged the new plan already, at the price of its day
        made += _part(line.id, now, change.on, cycle, back=True) + _part(line.id, after, change.on, cycle)
        now = after
    if ended and now is not None:
        made += _part(line.id, now, end, cycle, back=True)
        for given in line.given:
            made += _part(line.id, given, end, cycle, back=True, kind="discount")
    return made


def _ended(line: Line, cycle: Cycle) -> date | None:
    """The day on which a line ended, the period's first at the earliest; None: it did not end before the cycle began."""
    return max(line.cancelled_on, cycle.before) if line.cancelled_on is not None and line.cancelled_on < cycle.start else None


def _account_discounts_back(facts: Facts) -> list[Made]:
    """A discount of the whole account goes with the plan charges that it was on, or more would be given back than was
    charged: a share with each line that ended, an amount with the last of them."""
    cycle = facts.cycle
    charged = [(n, n.advance.amount, _ended(n, cycle)) for n in facts.lines if n.advance is not None]
    ended = [(n, amount, on) for n, amount, on in charged if on is not None]
    base = sum(amount for _, amount, _ in charged)
    made: list[Made] = []
    for given in facts.given if ended else ():
        if given.ppm and base:
            for _, amount, on in ended:
                made += _part(None, Charged(given.label, share(given.amount, amount, base)), on, cycle, back=True, kind="discount")
        elif not any(n.lives_on(cycle.ended) for n in facts.lines):
            made += _part(None, given, max(on for _, _, on in ended), cycle, back=True, kind="discount")
    return made


def _part(line_id: int | None, what: Charged, on: date, cycle: Cycle, back: bool = False, kind: str = "plan") -> list[Made]:
    of = cycle.days_before
    days = (cycle.start - on).days
    unit = -what.amount if back else what.amount
    label = f"{what.label}, {days} of {of} days{' given back' if back and kind == 'plan' else ' taken back' if back else ''}"
    amount = share(unit, days, of)
    return [Made(kind, label, amount, line_id, on, cycle.ended, unit=unit, num=days, den=of, taxed="plan")] if amount else []


# ---------------------------------------------------------------- equipment, fees, what waited


def nth(bill_day: int, starts_on: date, start: date) -> int:
    """Which cycle this is, the first on or after a day being 1; below 1 before it."""
    first, last = bill_period(bill_day, starts_on)
    if first < starts_on:
        first = last + DAY
    return (start.year - first.year) * 12 + start.month - first.month + 1


def part(whole: int, count: int, n: int) -> int:
    """The n-th of `count` parts: equal, and the last takes what is left. They sum to the whole.

    >>> [part(10000, 3, n) for n in (1, 2, 3)]
    [3333, 3333, 3334]
    """
    return whole // count if n < count else whole - whole // count * (count - 1)


def billed_parts(count: int, starts_on: date, bill_day: int, today: date) -> int:
    """How many of so many parts are on bills by a day: one for each cycle that has begun."""
    return min(max(nth(bill_day, starts_on, bill_period(bill_day, today)[0]), 0), count)


def left(whole: int, count: int, billed: int) -> int:
    """What the parts that are not billed yet come to.

    >>> left(10000, 3, 0), left(10000, 3, 2), left(10000, 3, 3)
    (10000, 3334, 0)
    """
    return sum(part(whole, count, n) for n in range(billed + 1, count + 1))


def _instalment(bought: Instalments, bill_day: int, cycle: Cycle) -> list[Made]:
    n = nth(bill_day, bought.starts_on, cycle.start)
    if not 1 <= n <= bought.count or (bought.ended_on is not None and bought.ended_on < cycle.start):
        return []
    amount = part(bought.total, bought.count, n)
    label = f"{bought.label}, instalment {n} of {bought.count}"
    return [Made("equipment", label, amount, bought.line_id, unit=amount, taxed="equipment")]


def _fees(facts: Facts, tariff: Tariff, living: int) -> list[Made]:
    cycle = facts.cycle
    began = sum(not n.pending and cycle.before <= n.activated_on < cycle.start for n in facts.lines)
    counts = {"line": living, "account": int(bool(living)), "activation": began}
    made = []
    for fee in tariff.fees:
        count = counts[fee.per]
        if count and fee.amount:
            many = f", {count} line{'s' if count > 1 else ''}" if fee.per != "account" else ""
            kind = "one_off" if fee.per == "activation" else "fee"
            made.append(
                Made(kind, f"{fee.title}{many}", fee.amount * count, quantity=Decimal(count), unit=fee.amount,
                     source_key=f"fee.{fee.code}", taxed=kind)
            )  # fmt: skip
    return made


def _carried(w: Waiting) -> Made:
    return Made(
        w.kind, w.label, w.amount, w.line_id, w.day, w.day, w.quantity, w.unit, source_key=w.number, taxed=w.kind if w.taxed else ""
    )


def _percent(ppm: int) -> str:
    """
    >>> _percent(20800), _percent(50000)
    ('2.08%', '5%')
    """
    return f"{(Decimal(ppm) / 10_000).normalize():f}%"


def late_fee(state: str, base: int, fee: LateFee) -> Made | None:
    """The greater of the least and the share, never above the state's cap (its cents are cut, not rounded). None: so little
    is forgiven. The bill run levies it, or the ladder (`fee.by`)."""
    if base <= 0 or base < fee.forgiven_below:
        return None
    by_share = share(base, fee.ppm, MILLION)
    label, key = f"{fee.title}, for {shown(base)} late", "late_fee"
    unit, num, den = fee.least, 1, 1
    if by_share > fee.least:
        label, unit, num, den = f"{fee.title}, {_percent(fee.ppm)} of {shown(base)} late", base, fee.ppm, MILLION
    amount = max(by_share, fee.least)
    cap = fee.caps.get(state)
    if cap is not None and (most := base * cap.value // MILLION) < amount:
        label, key = f"{fee.title}, {state}: at most {_percent(cap.value)} of {shown(base)} late", f"late_fee.cap.{state}"
        amount, unit, num, den = most, most, 1, 1
    return Made("fee", label, amount, unit=unit, num=num, den=den, source_key=key) if amount else None


def _return_fee(facts: Facts, fee: ReturnFee) -> list[Made]:
    if not facts.returned:
        return []
    amount, key = fee.amount, "return_fee"
    cap = fee.caps.get(facts.state)
    if cap is not None and cap.value <= amount:
        amount, key = cap.value, f"return_fee.cap.{facts.state}"
    return [Made("fee", f"{fee.title}, {facts.returned[0]}", amount, unit=amount, source_key=key)] if amount else []


def cites(tariff: Tariff) -> dict[str, str]:
    """The sources behind the fees that the rulebook levies, by the source keys of their lines, and why a tax is the state's only."""
    found = {STATE_ONLY: "billing.toml has no jurisdiction for the postal code: taxed by the state only"}
    found |= {f"fee.{f.code}": f.cite for f in tariff.fees}
    late, back = tariff.late_fee, tariff.return_fee
    for name, cite, caps in (("late_fee", late.cite, late.caps), ("return_fee", back.cite, back.caps)):
        found[name] = cite
        found |= {f"{name}.cap.{state}": f"{cite}; {cap.cite}" for state, cap in caps.items()}
    return found


def carries(source_key: str | None, tariff_cites: Mapping[str, str]) -> bool:
    """Does a line with this source key carry something that waited for a bill, under its number?"""
    return source_key is not None and source_key not in tariff_cites and not source_key.startswith(LATE_USE)


IN_ARREARS = ("plan", "discount", "usage")


def _taxes(made: Sequence[Made], facts: Facts, tariff: Tariff) -> list[Made]:
    """Every line that its kind makes taxable, by itself and for each jurisdiction; never a tax. At the rates of the cycle's first day;
    what was charged, given back or used before it at the rates of its own day, so that what goes back takes its tax along."""
    start = facts.cycle.start
    today = tariff.taxes_of(facts.state, facts.postal_code, start) or Taxed(())
    found = []
    for place, line in enumerate(made):
        if not line.taxed:
            continue
        then = today
        if line.kind in IN_ARREARS and line.start is not None and line.start < start:
            then = tariff.taxes_of(facts.state, facts.postal_code, line.start) or today
        for tax in then.taxes:
            ppm = tax.rates.get(line.taxed, 0)
            if amount := share(line.amount, ppm, MILLION):
                key = STATE_ONLY if then.by_state_only else None
                found.append(Made("tax", tax.label, amount, line.line_id, source_key=key, taxes=place, ppm=ppm))
    return found


# ---------------------------------------------------------------- a draft as text


_PACKED = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def packed(made: Sequence[Made]) -> str:
    """The lines of a draft as one text, and back by `unpacked`."""
    rows = [
        (kind, label, amount, line_id, _iso(start), _iso(end), str(quantity), *rest)
        for kind, label, amount, line_id, start, end, quantity, *rest in made
    ]  # fmt: skip
    return _PACKED.encode(rows)


def unpacked(text: str) -> list[Made]:
    made = []
    for kind, label, amount, line_id, start, end, quantity, *rest in json.loads(text):
        first, last = (date.fromisoformat(d) if d else None for d in (start, end))
        made.append(Made(kind, label, amount, line_id, first, last, Decimal(quantity), *rest))
    return made


COLUMNS = ("kind", "label", "amount_minor", "line_id", "period_start", "period_end", "quantity", "unit_price_minor", "proration_num", "proration_den",
           "source_key", "taxes", "tax_rate_ppm")  # fmt: skip


def unpacked_columns(text: str) -> list[dict[str, Any]]:
    """The lines of a draft as columns of a bill's lines, days and quantities as text: what is only written need not be read."""
    return [dict(zip(COLUMNS, (kind, label[:160], *others, key, taxes, ppm), strict=True)) for kind, label, *others, key, _, taxes, ppm in json.loads(text)]


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None
