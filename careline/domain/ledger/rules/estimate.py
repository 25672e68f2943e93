"""What the next bill will likely be, and how what was told of it is held against what came. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from careline.domain.ledger.rules import LineKind
from careline.domain.ledger.rules.charges import (
    NTH,
    RETURNED,
    Billed,
    Charged,
    Side,
    ends_by,
    is_credit,
    is_late_fee,
    plain_label,
)
from careline.domain.ledger.rules.explain import Difference, explain
from careline.foundation.money import share

# What an estimate rests on, and what it leaves out.
BY_THE_RUN = "An estimate: the bill as our bill run would make it today, with use beyond the plan as far as it is known by now. What is used, agreed or late from now on comes to it."
BY_THE_LAST = "An estimate from the last bill, the plans as they are now and the charges that wait. Use beyond the plan, late fees and what is agreed from now on are not in it."


def packed(bill: Billed) -> list[list[Any]]:
    """The lines of an estimate as plain values, kept with what was told, and back by `unpacked`."""
    return [
        [n.id, n.kind, n.label, n.amount_minor, n.line, n.source, n.start.isoformat() if n.start else None,
         n.end.isoformat() if n.end else None, str(n.quantity), n.unit_minor, n.num, n.den, n.rate_ppm, n.taxes]
        for n in bill.lines
    ]  # fmt: skip


def unpacked(rows: Iterable[Sequence[Any]], issued_on: date, total_minor: int) -> Billed:
    """An estimate that was told."""
    lines = []
    for id_, kind, label, amount, line, source, start, end, quantity, unit, num, den, ppm, taxes in rows:
        first, last = (date.fromisoformat(d) if d else None for d in (start, end))
        lines.append(Charged(id_, kind, label, amount, line, "", source, first, last, Decimal(quantity), unit, num, den, ppm, taxes))
    return Billed(0, "", issued_on, total_minor, tuple(lines), estimated=True)


def off_by(came: Billed, told: Billed) -> tuple[Difference, ...]:
    """What a bill has that the estimate of it had not, or the other way round: the causes, the largest first."""
    return tuple(sorted(explain(came, told).differences, key=lambda d: -abs(d.amount_minor)))


@dataclass(frozen=True, slots=True)
class Plan:
    """What a phone line has now: the name and price of its plan; `billed`: it is charged (not cancelled)."""

    line: int
    name: str
    plan: str
    price_minor: int
    billed: bool = True


def estimate(last: Billed, plans: Sequence[Plan], waiting: Sequence[Charged], issued_on: date, taxed: frozenset[str] = frozenset()) -> Billed:
    """What the next bill will likely be: what recurs of the last one, as plans are now, and the charges that wait for it.

    `waiting` are charges that no bill carries yet; those whose `source` is in `taxed` get tax at the rates that their
    line's plan had. Use beyond the plan, late fees, credits and what is charged once are not foreseen.
    """
    side = Side(last)
    now = {p.line: p for p in plans}
    lines: list[Charged] = []
    rates: dict[int | None, list[Charged]] = {}
    for n in side.charges:
        if n.kind == LineKind.PLAN and n.whole:
            rates.setdefault(n.line, side.taxes[n.id])
        kept = _again(n, now, issued_on)
        if kept is None:
            continue
        lines.append(kept)
        lines += [_taxed(t, n, kept) for t in side.taxes[n.id]]
    common = next(iter(rates.values()), [])
    seen = {n.line for n in lines if n.kind == LineKind.PLAN}
    for p in plans:
        if p.billed and p.line not in seen and p.price_minor and any(n.line is not None for n in side.charges):
            new = Charged(-1_000_000 - p.line, LineKind.PLAN, p.plan, p.price_minor, p.line, p.name, unit_minor=p.price_minor)
            lines += [new, *_taxes_like(common, new)]
    for n in waiting:
        lines.append(n)
        if n.source in taxed:
            lines += _taxes_like(rates.get(n.line, common), n)
    lines += side.orphans
    return Billed(0, "", issued_on, sum(n.amount_minor for n in lines), tuple(lines), estimated=True)


def _again(n: Charged, now: dict[int, Plan], on: date) -> Charged | None:
    """A charge of the last bill as the next will have it; None when it does not come again."""
    if n.kind in (LineKind.USAGE, LineKind.ONE_OFF, LineKind.OTHER) or is_late_fee(n) or is_credit(n) or (n.kind == LineKind.FEE and RETURNED.search(n.label)):
        return None
    plan = now.get(n.line) if n.line is not None else None
    if plan is not None and not plan.billed:
        return None
    if n.kind == LineKind.PLAN:
        if not n.whole:
            return None
        if plan is not None and plain_label(n).casefold() != plan.plan.casefold() and n.amount_minor != plan.price_minor:
            return _copy(n, label=plan.plan, amount=plan.price_minor, unit=plan.price_minor)
    until = ends_by(n)
    if until is not None and until < on:
        return None
    if n.kind == LineKind.EQUIPMENT and (found := NTH.search(n.label)) is not None:
        if int(found[1]) >= int(found[2]):
            return None
        at, to = found.span(1)
        return _copy(n, label=f"{n.label[:at]}{int(found[1]) + 1}{n.label[to:]}")
    return n


def _copy(n: Charged, *, label: str | None = None, amount: int | None = None, unit: int | None = None) -> Charged:
    return Charged(n.id, n.kind, n.label if label is None else label, n.amount_minor if amount is None else amount, n.line, n.name, n.source,
                   n.start, n.end, n.quantity, n.unit_minor if unit is None else unit, n.num, n.den, n.rate_ppm, n.taxes)  # fmt: skip


def _taxed(t: Charged, was: Charged, now: Charged) -> Charged:
    if was.amount_minor == now.amount_minor:
        return t
    amount = share(now.amount_minor, t.rate_ppm, 1_000_000) if t.rate_ppm else share(t.amount_minor, now.amount_minor, was.amount_minor) if was.amount_minor > 0 else t.amount_minor
    return _copy(t, amount=amount)


def _taxes_like(taxes: Sequence[Charged], charge: Charged) -> list[Charged]:
    return [
        Charged(-(abs(charge.id) * 100 + i + 1) - 2_000_000_000, LineKind.TAX, t.label, share(charge.amount_minor, t.rate_ppm, 1_000_000),
                charge.line, charge.name, rate_ppm=t.rate_ppm, taxes=charge.id)
        for i, t in enumerate(taxes) if t.rate_ppm
    ]  # fmt: skip
