"""From facts to a rung, and from a rung to what is done now. Pure; amounts are minor units.

The **target** rung follows from what is open, the calendar, the policy and the holds, and from nothing that was done before:
whatever nights were missed, the same facts give the same rung. What leads there (the **climb**) goes in the order of the
rungs, each once, and a rung with a gap waits until the notice before it was really sent so many days ago: a missed night
delays and never skips. When the target falls (paid, partly paid, credited, held), the climb comes down with it at once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from careline.foundation.ladder import ARRANGEMENT, BARS, Condition, HoldKind, Ladder, Rung

NOWHERE = -1  # below the lowest rung
NON_PAYMENT = "non_payment"  # the reason in reasons.toml for which the ladder bars lines


class Ended(StrEnum):
    """Why a climb is over."""

    PAID = "paid"
    PARTLY = "partly paid"
    WRITTEN_OFF = "written off"


@dataclass(frozen=True, slots=True)
class Debt:
    """What is open of one bill."""

    bill: int
    due_on: date
    open: int


@dataclass(frozen=True, slots=True)
class Held:
    """A hold in force. `amount` None: all of `bill`, or all of the account where that is None too."""

    kind: str
    amount: int | None = None
    bill: int | None = None

    @property
    def whole(self) -> bool:
        return self.amount is None and self.bill is None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that an account's rung follows from. `climbs`: how often it was sent a notice in the ladder's history."""

    debts: tuple[Debt, ...] = ()
    holds: tuple[Held, ...] = ()
    segment: str = "individual"
    state: str = ""
    autopay: bool = False
    opened_on: date = date.min
    climbs: int = 0


@dataclass(frozen=True, slots=True)
class Climb:
    """Where an account stands. `rung`: the code of the highest that was applied, of `rung_days` days, empty: none yet. `notice_on`: the day on
    which the newest notice was really sent; None while `notice_waits`, or when there was none."""

    since: date
    rung: str = ""
    rung_days: int | None = None
    bar: str = ""
    notice_on: date | None = None
    notice_waits: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """`index`: of the rung (-1: none). `since`: the due day that the climb counts from; `owed`: what is past due of it (for
    a rung before the due day: what is coming)."""

    index: int
    since: date | None
    owed: int


@dataclass(frozen=True, slots=True)
class Wait:
    """The next rung, and the day from which it may come; None: not before the notice that waits was sent."""

    index: int
    until: date | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows for an account now. `free`: its target if nothing were held.

    `end`: the climb is over, and why. `begins`: one begins (after that end, too) from `target.since`. `position`: the climb
    falls to this rung (None: it does not). `bar`: lines come back to this (None: as they are). `rungs`: what is applied
    now, in order.
    """

    target: Target
    free: Target
    end: str = ""
    begins: bool = False
    position: int | None = None
    bar: str | None = None
    rungs: tuple[int, ...] = ()
    waits: Wait | None = None

    @property
    def idle(self) -> bool:
        return not self.end and not self.begins and self.position is None and self.bar is None and not self.rungs


def fits(condition: Condition, facts: Facts, day: date) -> bool:
    return (
        (not condition.segments or facts.segment in condition.segments)
        and (not condition.states or facts.state in condition.states)
        and (condition.autopay is None or facts.autopay == condition.autopay)
        and (day - facts.opened_on).days >= condition.tenure_days
        and facts.climbs >= condition.climbs_least
        and (condition.climbs_most is None or facts.climbs <= condition.climbs_most)
    )


def _oldest_first(debt: Debt) -> tuple[date, int]:
    return debt.due_on, debt.bill


def free_debts(debts: Sequence[Debt], holds: Sequence[Held]) -> list[Debt]:
    """The debts, oldest first, less what holds of a bill or an amount keep: of their bill, or of the oldest."""
    ordered = sorted(debts, key=_oldest_first)
    if all(hold.whole for hold in holds):
        return [d for d in ordered if d.open > 0]
    left = {d.bill: d for d in ordered}
    for hold in holds:
        if hold.whole:
            continue
        keep = hold.amount
        for debt in [left[hold.bill]] if hold.bill in left else list(left.values()) if hold.bill is None else []:
            part = debt.open if keep is None else min(keep, debt.open)
            left[debt.bill] = replace(debt, open=debt.open - part)
            keep = None if keep is None else keep - part
    return [d for d in left.values() if d.open > 0]


def kept(debts: Sequence[Debt], holds: Sequence[Held]) -> dict[int, int]:
    """What holds of a bill or an amount keep of each debt (minor units): what a write-off closes last."""
    free = {d.bill: d.open for d in free_debts(debts, holds)}
    return {d.bill: part for d in debts if (part := d.open - free.get(d.bill, 0)) > 0}


def outdated(ladder: Ladder, code: str, goal: Target, day: date) -> bool:
    """Is there no reason any more for the notice of this rung, which is not sent yet? The debt was paid, credited or arranged since, or
    is held; a reminder also has none once the due day is over."""
    index = ladder.index(code)
    if goal.index == NOWHERE or goal.index < index:
        return True
    return index >= 0 and ladder.rungs[index].days < 0 and goal.since is not None and goal.since < day


def since(debts: Sequence[Debt], least: int) -> date | None:
    """The due day on which so much had come due, oldest first. Cents left of an old bill do not make a new debt old."""
    total = 0
    for debt in sorted(debts, key=_oldest_first):
        total += debt.open
        if total >= least:
            return debt.due_on
    return None


def _days(rung: Rung, facts: Facts, day: date) -> int:
    return rung.days + max((days for days, condition in rung.later if fits(condition, facts, day)), default=0)


def _target(ladder: Ladder, facts: Facts, debts: Sequence[Debt], most: int, day: date) -> Target:
    """Of debts that are open, the oldest first."""
    index = NOWHERE
    oldest = (day - debts[0].due_on).days if debts else 0
    for n in range(most, NOWHERE, -1):
        rung = ladder.rungs[n]
        if rung.days > oldest:  # nor later than that; most accounts are far from most rungs
            continue
        by = day - timedelta(days=_days(rung, facts, day))
        asked = max((least for least, only in rung.asks if fits(only, facts, day)), default=rung.least) if rung.asks else rung.least
        if fits(rung.only, facts, day) and sum(d.open for d in debts if d.due_on <= by) >= asked:
            index = n
            break
    if index == NOWHERE:
        return Target(NOWHERE, None, 0)
    late = sum(d.open for d in debts if d.due_on < day)
    coming = sum(d.open for d in debts if d.due_on <= day - timedelta(days=ladder.first_day))
    return Target(index, since(debts, ladder.least), late or coming)


def _kinds(ladder: Ladder, facts: Facts) -> list[HoldKind]:
    return [ladder.holds[h.kind] for h in facts.holds if h.kind in ladder.holds]


def most_allowed(ladder: Ladder, facts: Facts) -> int:
    """The highest rung that holds on the whole account let the ladder reach."""
    caps = [ladder.index(ladder.holds[h.kind].most) for h in facts.holds if h.whole and h.kind in ladder.holds]
    return min(caps, default=len(ladder.rungs) - 1)


def target(ladder: Ladder, facts: Facts, day: date) -> Target:
    """The rung that an account belongs on: a pure function of what is open, the day, the policy and the holds."""
    return _target(ladder, facts, free_debts(facts.debts, facts.holds), most_allowed(ladder, facts), day)


def bar_at(ladder: Ladder, index: int) -> str:
    """How the lines of an account on this rung are barred."""
    return next((rung.bar for rung in reversed(ladder.rungs[: index + 1]) if rung.bar), "")


def place_of(ladder: Ladder, climb: Climb) -> int:
    """The rung that a climb has reached. One that the policy no longer has counts as the highest of no more days."""
    if not climb.rung:
        return NOWHERE
    index = ladder.index(climb.rung)
    if index >= 0 or climb.rung_days is None:
        return index
    return max((n for n, rung in enumerate(ladder.rungs) if rung.days <= climb.rung_days), default=NOWHERE)


def decide(ladder: Ladder, facts: Facts, climb: Climb | None, day: date) -> Decision:
    """What is done about an account on a day, given where its climb stands (None: it is on no rung)."""
    free = _target(ladder, facts, free_debts(facts.debts, ()), len(ladder.rungs) - 1, day)
    goal = target(ladder, facts, day) if facts.holds else free
    if climb is None:
        if goal.index == NOWHERE:
            return Decision(goal, free)
        assert free.since is not None
        rungs, waits = _steps(ladder, facts, goal, free.since, Climb(free.since), NOWHERE, day)
        return Decision(goal, free, begins=bool(rungs), rungs=rungs, waits=waits)
    place = place_of(ladder, climb)
    if free.index == NOWHERE:
        return Decision(goal, free, end=Ended.PAID, bar=_down(climb.bar, ""))
    assert free.since is not None
    kinds = _kinds(ladder, facts)
    held = goal.index < free.index
    restores = all(kind.restores for kind in kinds)
    bar = _down(climb.bar, bar_at(ladder, goal.index if not held or restores else free.index))
    if free.since > climb.since:  # what it was about is paid; what is late now is a debt of its own, with notices of its own
        rungs, waits = _steps(ladder, facts, goal, free.since, Climb(free.since, bar=bar or climb.bar), NOWHERE, day)
        return Decision(goal, free, end=Ended.PARTLY, begins=True, bar=bar, rungs=rungs, waits=waits)
    afresh = held and any(kind.afresh for kind in kinds)
    floor = NOWHERE if afresh and goal.index < place else min(place, free.index if held else goal.index)
    rungs, waits = _steps(ladder, facts, goal, free.since, climb, floor, day)
    return Decision(goal, free, position=floor if floor < place else None, bar=bar, rungs=rungs, waits=waits)


def costs_restoring(ladder: Ladder, facts: Facts, decision: Decision) -> bool:
    """Whether lines that come wholly back now cost the fee: under a hold only where its kind says so."""
    return decision.target.index >= decision.free.index or all(kind.restore_fee for kind in _kinds(ladder, facts))


def _down(bar: str, wanted: str) -> str | None:
    """The bar to come down to, or None. What is disconnected does not come back by itself."""
    return wanted if bar not in ("", "gone") and BARS.index(wanted) < BARS.index(bar) else None


def _steps(ladder: Ladder, facts: Facts, goal: Target, began: date, climb: Climb, place: int, day: date) -> tuple[tuple[int, ...], Wait | None]:
    """The rungs that may be applied now, above `place` and up to the goal, and the one that has to wait for its gap."""
    found: list[int] = []
    sent, waits = climb.notice_on, climb.notice_waits
    for n in range(place + 1, goal.index + 1):
        rung = ladder.rungs[n]
        if not fits(rung.only, facts, day) or (rung.days < 0 and began < day):  # a reminder after the due day reminds of nothing
            continue
        if rung.gap and waits:
            return tuple(found), Wait(n, None)
        if rung.gap and sent is not None and (day - sent).days < rung.gap:
            return tuple(found), Wait(n, sent + timedelta(days=rung.gap))
        found.append(n)
        if "notice" in rung.effects:
            waits = True
    return tuple(found), None


def after_paying(facts: Facts, amount: int) -> Facts:
    """The facts once so much (minor units) was paid to the oldest debts first, as the ledger does. An arrangement holds less by it."""
    left, debts = amount, []
    for debt in sorted(facts.debts, key=_oldest_first):
        part = min(left, debt.open)
        left -= part
        if debt.open > part:
            debts.append(replace(debt, open=debt.open - part))
    holds = (replace(h, amount=max(h.amount - amount, 0)) if h.kind == ARRANGEMENT and h.amount is not None else h for h in facts.holds)
    return replace(facts, debts=tuple(debts), holds=tuple(holds))


def to_come_back(ladder: Ladder, facts: Facts, day: date) -> int:
    """The least that has to be paid now for no line to be barred (minor units; 0: nothing is); never less than what a hold keeps out of it.
    A hold that gives no line back counts for nothing here: what it holds has to be paid all the same."""
    judged = facts if all(kind.restores for kind in _kinds(ladder, facts)) else replace(facts, holds=())
    low, high = 0, sum(d.open for d in facts.debts)
    while low < high:
        middle = (low + high) // 2
        barred = bar_at(ladder, target(ladder, after_paying(judged, middle), day).index)
        low, high = (middle + 1, high) if barred else (low, middle)
    return low


def stands(ladder: Ladder, climb: Climb | None, done: Decision, day: date) -> Climb | None:
    """Where the account stands once this was done, its notices sent the same day."""
    bar = "" if climb is None else climb.bar if done.bar is None else done.bar
    if done.begins and done.free.since is not None:
        climb = Climb(done.free.since, bar=bar)
    elif done.end or climb is None:
        return None
    if done.position is not None:
        below = ladder.rungs[done.position] if done.position >= 0 else None
        climb = replace(climb, rung=below.code if below else "", rung_days=below.days if below else None)
    climb = replace(climb, bar=bar, since=min(climb.since, done.free.since or climb.since))
    for rung in (ladder.rungs[n] for n in done.rungs):
        climb = replace(climb, rung=rung.code, rung_days=rung.days, bar=rung.bar or climb.bar)
        if "notice" in rung.effects:
            climb = replace(climb, notice_on=day, notice_waits=False)
    return climb


def next_bar(ladder: Ladder, facts: Facts, climb: Climb | None, day: date, within: int = 120) -> tuple[int, date] | None:
    """The next rung that bars or ends lines, and the first day on which it may come, if nothing more is paid, notices are sent at once, and
    holds stay as they are. `facts` may hold debts that come due only then."""
    first = timedelta(days=ladder.first_day)
    now = climb
    for on in (day + timedelta(days=n) for n in range(within)):
        found = decide(ladder, replace(facts, debts=tuple(d for d in facts.debts if d.due_on <= on - first)), now, on)
        if (barring := next((n for n in found.rungs if ladder.rungs[n].bar), None)) is not None:
            return barring, on
        now = stands(ladder, now, found, on)
        if now is not None and now.notice_waits:
            now = replace(now, notice_waits=False, notice_on=on)
    return None


def coming(ladder: Ladder, facts: Facts, climb: Climb | None, day: date, within: int = 200) -> tuple[int, date] | None:
    """The next rung and the first day on which it may come if nothing is paid, notices are sent at once, and holds stay as they are."""
    now = climb
    for days in range(0 if climb is None else 1, within):
        on = day + timedelta(days=days)
        found = decide(ladder, facts, now, on)
        if found.rungs and found.position is None and not found.end:
            return found.rungs[0], on
        if now is not None and now.notice_waits:
            now = replace(now, notice_waits=False, notice_on=day)
    return None


def worth(ladder: Ladder, owed: int, days: int) -> int:
    """What a call about so much, so many days past due, is expected to bring less what it costs (minor units)."""
    ppm = next((ppm for until, ppm in ladder.recovers if days <= until), 0)
    return owed * ppm // 1_000_000 - ladder.call_cost


ASKED_DAYS = 7  # a call that they asked for is outside the caps for so long [12 CFR 1006.14(b)(3)(i): consent within the last seven days]


@dataclass(frozen=True, slots=True)
class Again:
    """That somebody is to be called again: on a day, from a time on the wall where they live (None: any that is right); `asked`: on
    what day they asked for it (None: they did not)."""

    on: date
    start: time | None
    asked: date | None

    def begins(self, zone: str) -> datetime:
        """From when on."""
        return datetime.combine(self.on, self.start or time.min, ZoneInfo(zone))

    def outside_caps(self, day: date) -> bool:
        return self.asked is not None and (day - self.asked).days < ASKED_DAYS


def fees_due(ladder: Ladder, facts: Facts, levied: Collection[int], day: date) -> list[Debt]:
    """The late bills that the late fee is due on: each once, and nothing of what is held."""
    rung = ladder.levies()
    if rung is None or not fits(rung.only, facts, day) or (facts.holds and most_allowed(ladder, facts) < ladder.index(rung.code)):
        return []
    by = day - timedelta(days=_days(rung, facts, day))
    return [d for d in free_debts(facts.debts, facts.holds) if d.due_on <= by and d.bill not in levied]
