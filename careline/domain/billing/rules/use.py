"""Use beyond a plan: measured once for each period, billed once for each unit, whenever it becomes known.

For each period of a line it is kept how its use was measured (`Measured`). What is known of that use is then held against what
was billed of it, for the period that has just ended and for earlier ones alike: the difference is a line of its own. So what
arrives late, or is corrected, is billed exactly once, and in the end costs what it would have cost had it come in time.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

from careline.domain.billing.rules.facts import DAY, Allowance, Cycle, Line, Made, Measured, Meter
from careline.domain.ledger.rules.charges import LATE_USE, spoken
from careline.foundation.money import share
from careline.foundation.tariff import LateUse


def measured(line: Line, cycle: Cycle) -> Measured | None:
    """How the use of a line is counted in the ended period; None: nothing of it costs. With several plans in the period, each
    allows its share of days, together rounded up, and days of a plan without an allowance do not count; the price is the
    last plan's that has one."""
    first, end = max(line.activated_on, cycle.before), min(line.cancelled_on or cycle.start, cycle.start)
    if line.pending or end <= first:
        return None
    cuts = sorted({c.on for c in line.changes if first < c.on < end})
    parts = [(line.plan_on(a), a, b) for a, b in itertools.pairwise([first, *cuts, end])]
    by_kind: dict[str, list[tuple[Allowance, date, date]]] = {}
    for plan, a, b in parts:
        for allowance in plan.allowances:
            by_kind.setdefault(allowance.kind, []).append((allowance, a, b))
    meters = tuple(_meter(kind, found, line.added_mb if kind == "data" else 0, cycle.days_before) for kind, found in by_kind.items())
    room = None if line.limit is None else max(line.limit - line.beyond, 0)
    return Measured(line.id, first, cycle.ended, meters, room) if meters else None


def _meter(kind: str, found: Sequence[tuple[Allowance, date, date]], added: int, days: int) -> Meter:
    included = added * days + sum(a.included * (end - first).days for a, first, end in found)  # times the days, so that it stays whole
    spans: list[tuple[date, date]] = []
    for _, first, end in found:
        if spans and spans[-1][1] + DAY == first:
            first = spans.pop()[0]
        spans.append((first, end - DAY))
    last = found[-1][0]
    return Meter(kind, last.title, last.unit, last.price, last.per, -(-included // days), tuple(spans))


def counted(m: Measured, used: Iterable[tuple[str, date, int]]) -> dict[str, int]:
    """What of this use counts, by kind: what was used on the days of its spans."""
    spans = {meter.kind: meter.spans for meter in m.meters}
    found: dict[str, int] = {}
    for kind, day, units in used:
        if any(first <= day <= last for first, last in spans.get(kind, ())):
            found[kind] = found.get(kind, 0) + units
    return found


def over(meter: Meter, used: Mapping[str, int]) -> int:
    """The units beyond what is included."""
    return max(used.get(meter.kind, 0) - meter.allowed, 0)


def settle(m: Measured, used: Mapping[str, int], *, late: bool = False, charge: bool = True, give_back: bool = True) -> tuple[list[Made], Measured]:
    """The lines for what was not billed yet of the use that is known by now, and how it is measured from then on. `charge` and
    `give_back`: may more be charged, and less (a correction)? What costs less than half a cent waits for more."""
    made, meters = [], []
    for meter in m.meters:
        now = over(meter, used)
        amount = share(meter.price, now, meter.per) - share(meter.price, meter.over, meter.per)
        if amount and (charge if amount > 0 else give_back):
            made.append(_line(m, meter, now - meter.over, amount, late))
            meter = replace(meter, over=now)
        meters.append(meter)
    cost = sum(share(meter.price, meter.over, meter.per) for meter in meters)
    given = max(cost - m.room, 0) if m.room is not None else 0
    if given != m.given:
        label = "Above the line's spending limit" + (f", {_days(m)}" if late else "") + (", given back" if given > m.given else ", charged again")
        back = m.given - given
        made.append(Made("usage", label, back, m.line_id, m.first, m.last, unit=back, source_key=f"{LATE_USE}.limit" if late else None, taxed="usage"))
    return made, replace(m, meters=tuple(meters), given=given)


def _line(m: Measured, meter: Meter, units: int, amount: int, late: bool) -> Made:
    many = f"{abs(units)} {meter.unit}".strip()
    label = f"{meter.title} over the plan, {many}"
    if late:
        label += f" of {_days(m)}, {'known late' if units > 0 else 'given back'}"
    unit, quantity, num, den = meter.price if units > 0 else -meter.price, Decimal(1), 1, 1
    if share(unit, abs(units), meter.per) != amount:  # a cent that earlier steps were rounded by
        unit = amount
    elif meter.per == 1:
        quantity = Decimal(abs(units))
    else:
        num, den = abs(units), meter.per
    return Made("usage", label, amount, m.line_id, m.first, m.last, quantity, unit, num, den, f"{LATE_USE}.{meter.kind}" if late else None, "usage")


def _days(m: Measured) -> str:
    return f"{spoken(m.first)} to {spoken(m.last)}"


def settle_late(m: Measured, used: Mapping[str, int], cycle: Cycle, policy: LateUse) -> tuple[list[Made], Measured]:
    """`settle` for a period that was billed before, as long as the rulebook allows it for periods so old."""
    age = (cycle.ended - m.last).days
    return settle(m, used, late=True, charge=age <= policy.charge_days, give_back=age <= policy.give_back_days)


# ---------------------------------------------------------------- kept as text


def packed_use(found: Iterable[Measured]) -> str:
    """How use was measured as one text, and back by `unpacked_use`. Empty: nothing was."""
    rows = [
        [m.line_id, m.first.isoformat(), m.last.isoformat(), m.room, m.given,
         [[t.kind, t.title, t.unit, t.price, t.per, t.allowed, [[a.isoformat(), b.isoformat()] for a, b in t.spans], t.over] for t in m.meters]]
        for m in found
    ]  # fmt: skip
    return json.dumps(rows, separators=(",", ":"), ensure_ascii=False) if rows else ""


def unpacked_use(text: str) -> list[Measured]:
    return [
        Measured(line, date.fromisoformat(first), date.fromisoformat(last), tuple(
            Meter(kind, title, unit, price, per, allowed, tuple((date.fromisoformat(a), date.fromisoformat(b)) for a, b in spans), over)
            for kind, title, unit, price, per, allowed, spans, over in meters
        ), room, given)
        for line, first, last, room, given, meters in (json.loads(text) if text else ())
    ]  # fmt: skip
