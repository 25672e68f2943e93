"""Promises to pay: who may have one, plans that fit, and whether one is kept. Amounts are whole minor units, days are days of
the carrier; a part is paid on its day when the money came by the end of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from itertools import pairwise

from careline.foundation.arrange import Limits, Policy
from careline.foundation.calendar import add_months
from careline.foundation.money import shown

DAY = timedelta(days=1)
SETTLE = "arrangements.settle"


BY_EMAIL = "mail"  # in place of the last four of a number, where what was agreed was sent by e-mail


class State(StrEnum):
    """Of an arrangement. It only moves from alive, once."""

    ALIVE = "alive"
    KEPT = "kept"
    BROKEN = "broken"
    CANCELLED = "cancelled"


class Rhythm(StrEnum):
    """How often somebody is paid."""

    WEEKLY = "weekly"
    TWO_WEEKS = "two_weeks"
    MONTHLY = "monthly"


@dataclass(frozen=True, slots=True)
class Part:
    """So much by the end of a day."""

    due_on: date
    amount_minor: int


# ---------------------------------------------------------------- who may have one


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of an account when one is asked for. `overdue`: the bills past due, each with its due day and what of it is
    open. `broken_on`, `returned_on`: days of broken arrangements and of payments that came back. `hold`: why nobody may
    collect from it at all, or nothing. `living`: it has one already."""

    opened_on: date
    overdue: tuple[tuple[date, int], ...]
    broken_on: tuple[date, ...] = ()
    returned_on: tuple[date, ...] = ()
    hold: str = ""
    living: bool = False

    @property
    def owed_minor(self) -> int:
        return sum(minor for _, minor in self.overdue)

    def old_minor(self, today: date, days: int) -> int:
        """What is past due for longer than so many days."""
        return sum(minor for due_on, minor in self.overdue if (today - due_on).days > days)


@dataclass(frozen=True, slots=True)
class Measured:
    """An account and a plan beside what a role may agree: the facts of the decision. What is `…_room`, `…_least` or `wait` comes
    from the policy; the rules that compare stand in authority.cedar."""

    owed: int
    owed_least: int
    owed_room: int
    parts: int
    parts_room: int
    days: int
    days_room: int
    first: int
    first_least: int
    tenure: int
    tenure_least: int
    broken: int
    broken_room: int
    wait: int
    returned: int
    returned_room: int
    hold: str
    living: bool
    changes: int
    changes_room: int
    soon: bool


def first_least(past: Past, limits: Limits, policy: Policy, today: date) -> int:
    """The smallest first part: a share of all, and, where old debt comes first, no less than that."""
    share = -(-past.owed_minor * limits.first_percent // 100)
    return max(share, past.old_minor(today, policy.old_debt_days) if limits.old_debt_first else 0)


def measured(past: Past, parts: Sequence[Part], limits: Limits, policy: Policy, today: date) -> Measured:
    """The facts of agreeing to `parts`, or, without any, of asking whether there may be an arrangement at all."""
    since = today - timedelta(days=policy.history_days)
    waited = max((today - max(past.broken_on)).days, 0) if past.broken_on else None
    least = first_least(past, limits, policy, today)
    return Measured(
        owed=past.owed_minor, owed_least=policy.least_owed, owed_room=limits.most,
        parts=len(parts), parts_room=limits.parts,
        days=(parts[-1].due_on - today).days if parts else 0, days_room=limits.days,
        first=parts[0].amount_minor if parts else least, first_least=least,
        tenure=(today - past.opened_on).days, tenure_least=limits.tenure_days,
        broken=sum(day > since for day in past.broken_on), broken_room=limits.broken,
        wait=max(limits.wait_days - waited, 0) if waited is not None else 0,
        returned=sum(day > since for day in past.returned_on), returned_room=limits.returned,
        hold=past.hold, living=past.living, changes=0, changes_room=0, soon=False,
    )  # fmt: skip


def changed(past: Past, parts: Sequence[Part], limits: Limits, policy: Policy, today: date, *, agreed_on: date, next_due: date, changes: int) -> Measured:
    """The facts of agreeing anew while one runs. What let it begin is not asked again; its days count from the first time."""
    return Measured(
        owed=past.owed_minor, owed_least=1, owed_room=limits.most,
        parts=len(parts), parts_room=limits.parts,
        days=(parts[-1].due_on - agreed_on).days, days_room=limits.days,
        first=parts[0].amount_minor, first_least=0,
        tenure=0, tenure_least=0, broken=0, broken_room=0, wait=0, returned=0, returned_room=0,
        hold=past.hold, living=False, changes=changes, changes_room=limits.changes,
        soon=(next_due - today).days < limits.days_before,
    )  # fmt: skip


def fault(parts: Sequence[Part], owed_minor: int, today: date) -> str:
    """What is wrong with parts whoever agrees to them, in words; nothing when they can be agreed."""
    if not parts:
        return "Give at least one part: a day and an amount"
    if parts[0].due_on < today:
        return "The first part is on a day that is over; choose today or later"
    if any(b.due_on <= a.due_on for a, b in pairwise(parts)):
        return "Give the parts in the order of their days, one a day"
    if any(p.amount_minor <= 0 for p in parts):
        return "Each part is more than nothing"
    come = sum(p.amount_minor for p in parts)
    if come == owed_minor:
        return ""
    return f"The parts come to {shown(come)} and {shown(owed_minor)} is past due: {shown(abs(owed_minor - come))} is {'missing' if come < owed_minor else 'too much'}"


# ---------------------------------------------------------------- plans that fit


@dataclass(frozen=True, slots=True)
class Can:
    """What the caller says they can pay: now, and on each payday (None: they did not say). `payday`: one of their paydays, the
    last or the next; a month's day stays the same in every month that has it, else its last day."""

    now_minor: int = 0
    each_minor: int | None = None
    rhythm: Rhythm = Rhythm.TWO_WEEKS
    payday: date | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Parts that sum to all that is past due. `fits`: no part is more than they said they can pay."""

    parts: tuple[Part, ...]
    fits: bool

    @property
    def largest_minor(self) -> int:
        return max(p.amount_minor for p in self.parts)


def paydays(can: Can, after: date, until: date) -> Iterator[date]:
    """Every payday behind `after` and not behind `until`, in order; none is left out."""
    if can.payday is None:
        return
    if can.rhythm == Rhythm.MONTHLY:
        months = (after.year - can.payday.year) * 12 + after.month - can.payday.month - 1
        while (day := add_months(can.payday, months)) <= until:
            if day > after:
                yield day
            months += 1
        return
    step = 7 if can.rhythm == Rhythm.WEEKLY else 14
    day = after + timedelta(days=(can.payday - after).days % step or step)
    while day <= until:
        yield day
        day += timedelta(days=step)


def plans(owed_minor: int, least_first: int, can: Can, limits: Limits, today: date, most: int = 3) -> list[Plan]:
    """Two or three plans to choose from, where there are so many: those that fit what they can pay first, the soonest paid first.

    Each is within the limits, begins with no less than `least_first`, and sums to `owed_minor` exactly. What is paid now is
    a part of today; every other part is on a payday, and no payday before the last part is left out. Without a payday there
    is only what is paid now.
    """
    if owed_minor <= 0 or limits.parts < 1:
        return []
    now = min(can.now_minor, owed_minor)
    # Somebody who is paid today and pays nothing now pays today's part when the money is there.
    days = [today, *paydays(can, today, today + timedelta(days=limits.days))] if now else [*paydays(can, today - DAY, today + timedelta(days=limits.days))]
    days = days[: limits.parts]
    found: list[Plan] = []
    for amounts in _divided(owed_minor, least_first, now, can.each_minor, len(days)):
        parts = tuple(Part(day, amount) for day, amount in zip(days, amounts, strict=False))
        later = parts[1:] if now else parts
        fits = (not now or amounts[0] <= now) and (can.each_minor is None or all(p.amount_minor <= can.each_minor for p in later))
        if (plan := Plan(parts, fits)) not in found:
            found.append(plan)
    found.sort(key=lambda p: (not p.fits, p.parts[-1].due_on if p.fits else date.max, p.largest_minor))
    return found[:most]


def _divided(owed: int, least_first: int, now: int, each: int | None, room: int) -> Iterator[tuple[int, ...]]:
    """Ways to divide what is owed into at most `room` parts."""
    if room < 1:
        return
    yield (owed,)
    for count in range(2, room + 1):  # as evenly as the first part lets it
        parts = _even(owed, count)
        if now or parts[0] < least_first:
            first = max(now, least_first)
            parts = (first, *_even(owed - first, count - 1)) if first < owed else (owed,)
        if min(parts) > 0:
            yield parts
    if each:  # what they can pay on each payday, and the rest last
        left, amounts = owed, list[int]()
        while left > 0 and len(amounts) < room:
            amounts.append(min(each if amounts else max(now or each, least_first), left))
            left -= amounts[-1]
        if left == 0:
            yield tuple(amounts)


def _even(minor: int, count: int) -> tuple[int, ...]:
    """Parts that differ by a cent at most and sum to the whole, the larger ones first."""
    each, more = divmod(minor, count)
    return tuple(each + (n < more) for n in range(count))


# ---------------------------------------------------------------- kept, late, broken


@dataclass(frozen=True, slots=True)
class Due:
    """A part as it stands: its number, its day, its amount, and what of it is not here yet."""

    number: int
    due_on: date
    amount_minor: int
    left_minor: int


@dataclass(frozen=True, slots=True)
class Progress:
    """An arrangement on a day. `state` is what it is, or should become; `broken_on`: the first day on which it is broken, with the part
    that was not here (`missed`). `late`: a part's day is over and its days of grace are not. `check_on`: the next day on which
    it could be found broken."""

    state: State
    paid_minor: int
    left_minor: int
    parts: tuple[Due, ...]
    late: bool = False
    broken_on: date | None = None
    missed: int | None = None
    check_on: date | None = None

    @property
    def next(self) -> Due | None:
        return next((p for p in self.parts if p.left_minor > 0), None)


def progress(parts: Sequence[Part], received: Sequence[tuple[date, int]], today: date, grace_days: int) -> Progress:
    """Whether an arrangement is kept, from its parts and what came in (day, amount; below zero where it went back), on a day.

    Money pays the earliest part first. It is broken on the first day, behind a part's day and its grace, by whose eve less than all
    parts so far were here: money that goes back later breaks it too. It is kept once all is here and it was never broken.
    """
    total = sum(p.amount_minor for p in parts)

    def paid(day: date) -> int:
        return min(max(sum(minor for on, minor in received if on <= day), 0), total)

    moved = sorted({day for day, _ in received})
    now, so_far, stand = paid(today), 0, list[Due]()
    broken_on, missed, check_on, late = None, None, None, False
    for number, part in enumerate(parts, 1):
        so_far += part.amount_minor
        stand.append(Due(number, part.due_on, part.amount_minor, min(max(so_far - now, 0), part.amount_minor)))
        last = part.due_on + timedelta(days=grace_days)
        short = next((day for day in (last, *(d for d in moved if d > last)) if day < today and paid(day) < so_far), None)
        if short is not None and (broken_on is None or short + DAY < broken_on):
            broken_on, missed = short + DAY, number
        if now < so_far:
            late = late or part.due_on < today <= last
            check_on = check_on or max(last, today) + DAY
    state = State.BROKEN if broken_on else State.KEPT if now == total else State.ALIVE
    alive = state == State.ALIVE
    return Progress(state, now, total - now, tuple(stand), late and alive, broken_on, missed, check_on if alive else None)
