"""What if? The same accounts, the same months, another ladder: what each would have been told, charged and cut. Pure.

A **life** is what happened to an account whatever ladder there was: its bills, the money that came, what was held. `lived` plays
a ladder over it with a night every day, by the very rule that the night asks (`decide`), and writes down what it would have
done. Two ladders are played over the same life, so that what differs is the ladder alone and no missed night of the past.

What is assumed is said in `ASSUMED`, beside every result.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from careline.domain.collections.rules import (
    NOWHERE,
    Climb,
    Debt,
    Decision,
    Ended,
    Facts,
    Held,
    costs_restoring,
    decide,
    fees_due,
)
from careline.foundation.ladder import BARS, CHANNELS, Ladder

AS_THEY_DID = "Nobody pays sooner, later or less than they did, however they are told: the money came on the days on which it came. A ladder that tells people later looks better by that than it is."
ASSUMED = (
    "Both ladders are played with a night every day, and notices go out on the day they are written.",
    "Segment, state, autopay, lines and what somebody wants to hear nothing of are as they are today; holds and arrangements are as they were.",
    "Late fees and restore fees are counted when they are charged, before tax, whether or not they were paid, and make no debt of their own.",
    "Whom a ladder would have cut off is billed on as they were.",
    "What is done within the months counts: at either end a rung may fall just inside or outside of them.",
    "What a ladder writes off stays written off. Write-offs of the past are left out of the history, for they followed from its ladder.",
)
"""What every result rests on: our choice, in plain words. What is assumed of how people pay stands before it."""
MOST_DAYS = 90  # that somebody may be assumed to pay later


@dataclass(frozen=True, slots=True)
class Slower:
    """What the asker assumes of those whom the changed ladder does not tell as early as the one in force: so many in a hundred pay so many days later.
    Nobody measured it; it is said beside the result."""

    percent: int = 0
    days: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.percent <= 100 or not 0 <= self.days <= MOST_DAYS:
            raise ValueError(f"Assume from 0 to 100 of a hundred, and from 0 to {MOST_DAYS} days.")

    @property
    def anybody(self) -> bool:
        return bool(self.percent and self.days)

    def picks(self, account_id: int) -> bool:
        """Which of them: the same each time it is asked, whatever else changed, and spread over all."""
        return account_id * 2_654_435_761 % 2**32 * 100 < self.percent * 2**32


def assumed(slower: Slower) -> tuple[str, ...]:
    """Everything that a result rests on."""
    if not slower.anybody:
        return (AS_THEY_DID, *ASSUMED)
    days = f"{slower.days} day{'s' if slower.days != 1 else ''}"
    return (f"Of those whom the changed ladder tells later than the one in force, {slower.percent} % pay {days} later from there on, as was asked; everybody else pays as they did.", *ASSUMED)


def untouched(before: Lived, after: Lived) -> date | None:
    """The first day on which the ladder in force had told somebody more than the changed one had; None: they were told as early."""
    then = [d.day for d in after.deeds if d.effect == "notice" and d.channel]
    now = [d.day for d in before.deeds if d.effect == "notice" and d.channel]
    return next((day for n, day in enumerate(now) if n >= len(then) or then[n] > day), None)


def slowed(life: Life, since: date, days: int) -> tuple[Life, int]:
    """A life in which what was paid from a day on comes so many days later (minor units: how much that is). What was taken off again follows its payment."""
    more, moved = timedelta(days=days), 0
    bills = []
    for bill in life.bills:
        moved += sum(max(minor, 0) for on, minor in bill.money if on >= since)
        bills.append(replace(bill, money=tuple((on + more if on >= since else on, minor) for on, minor in bill.money)))
    return replace(life, bills=tuple(bills)), moved


@dataclass(frozen=True, slots=True)
class Billed:
    """A standing bill and what came for it: (day, minor units), below zero where it was taken off again."""

    bill: int
    due_on: date
    total: int
    money: tuple[tuple[date, int], ...] = ()

    def open_on(self, day: date) -> int:
        left = self.total
        for on, minor in self.money:
            if on <= day:
                left -= minor
        return max(left, 0)

    def closed_on(self) -> date:
        """The day from which on nothing of it is open any more; the last day there is: it is open still."""
        left, closed = self.total, date.max
        for on, minor in sorted(self.money):
            left -= minor
            closed = date.max if left > 0 else min(closed, on)
        return closed if self.total > 0 else date.min


@dataclass(frozen=True, slots=True)
class Span:
    """A hold and its days, both in it; `last` None: it has no end yet."""

    held: Held
    first: date
    last: date | None = None

    def covers(self, day: date) -> bool:
        return self.first <= day and (self.last is None or day <= self.last)


@dataclass(frozen=True, slots=True)
class Life:
    """One account over the months. `channels`: those that reach the customer; a letter always does. `lines`: how many there are to bar;
    `imported`: it came by import, or bills of it did, which are `theirs`."""

    bills: tuple[Billed, ...] = ()
    holds: tuple[Span, ...] = ()
    segment: str = "individual"
    state: str = ""
    autopay: bool = False
    opened_on: date = date.min
    channels: frozenset[str] = frozenset(CHANNELS)
    lines: int = 1
    imported: bool = False
    theirs: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Prices:
    """What a ladder brings: the late fee on so much of a late bill in a state, and what a line costs that comes back (minor units, before tax).
    `imported`: are accounts that came by import billed here, and so charged a late fee? `spares`: an imported bill of this due day has none."""

    late_fee: Callable[[str, int], int]
    restore_fee: int
    imported: bool = True
    spares: Callable[[date], bool] = lambda due_on: True


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that a ladder would have done. `effect`: as in ladder.toml, or `restore`; `count`: lines, where lines are barred or
    come back; `minor`: the fee, or what was placed or written off; `channel`: of a notice (empty: none was left)."""

    day: date
    rung: str
    effect: str
    minor: int = 0
    count: int = 1
    channel: str = ""


@dataclass(frozen=True, slots=True)
class Lived:
    """What a ladder would have done to an account within the days asked for, and for how many days lines were barred (a line a day)."""

    deeds: tuple[Deed, ...] = ()
    line_days: int = 0

    def reached(self) -> dict[str, date]:
        """The rungs that were applied, each with its first day."""
        found: dict[str, date] = {}
        for deed in self.deeds:
            if deed.effect not in ("restore", "late_fee"):
                found.setdefault(deed.rung, deed.day)
        return found


def warm_up(ladders: Iterable[Ladder]) -> int:
    """Days before the first that counts on which the playing begins, so that an account enters it where its debts had brought it: until
    the last rung of each ladder, with every gap on the way. A debt that was older by then is over by either ladder."""
    return max(ladder.rungs[-1].days + sum(rung.gap for rung in ladder.rungs) for ladder in ladders)


def was_late(life: Life, first: date, last: date) -> bool:
    """Did anything of this account become past due within these days?"""
    return any(first <= b.due_on < last and b.open_on(b.due_on) > 0 for b in life.bills)


def lived(ladder: Ladder, life: Life, prices: Prices, first: date, last: date) -> Lived:
    """Play a ladder over a life. What is done from `first` to `last`, both in it, is returned; the days before are the way there.

    Only days on which something can follow are asked about: a bill reaches the days of a rung, money comes or goes, a hold begins or
    ends, a condition on time comes true, a gap is over. On any other day the rule says what it said the day before.
    """
    return _Player(ladder, life, prices, first, last).play()


class _Player:
    """One account on the way through the days: where its climb stands, and what was done."""

    def __init__(self, ladder: Ladder, life: Life, prices: Prices, first: date, last: date) -> None:
        self.ladder, self.life, self.prices, self.first, self.last = ladder, life, prices, first, last
        self.looks = timedelta(days=ladder.first_day)
        closed = [(b, b.closed_on()) for b in life.bills]
        self.bills = [(b, until) for b, until in closed if until > b.due_on + self.looks]
        self.climb: Climb | None = None
        self.noticed = False
        self.over: list[date] = []  # the days on which climbs with a notice ended
        self.given_up: Counter[int] = Counter()
        self.levied = {b.bill for b in life.bills if b.bill in life.theirs and prices.spares(b.due_on)}
        self.deeds: list[Deed] = []
        self.line_days = 0
        self.barred_on: date | None = None

    def play(self) -> Lived:
        if not self.bills:
            return Lived()
        days = self._days()
        heapq.heapify(days)
        before = date.min
        while days:
            day = heapq.heappop(days)
            if day == before or day > self.last:
                continue
            before = day
            for more in self._night(day):
                heapq.heappush(days, more)
        self._bar(self.last + timedelta(days=1), "gone")
        return Lived(tuple(self.deeds), self.line_days)

    def _days(self) -> list[date]:
        found: set[date] = set()
        offsets = {rung.days + more for rung in self.ladder.rungs for more in (0, *(days for days, _ in rung.later))}
        for bill, closed in self.bills:
            found |= {day for n in offsets if (day := bill.due_on + timedelta(days=n)) < closed}
            found |= {on for on, _ in bill.money if on >= bill.due_on + self.looks}
        for hold in self.life.holds:
            found |= {hold.first} | ({hold.last + timedelta(days=1)} if hold.last else set())
        for condition in (c for rung in self.ladder.rungs for c in (rung.only, *(one for _, one in rung.later))):
            if condition.tenure_days and self.life.opened_on > date.min:
                found.add(self.life.opened_on + timedelta(days=condition.tenure_days))
        return list(found)

    def _facts(self, day: date) -> Facts:
        life, least = self.life, day - self.looks
        debts = tuple(
            Debt(b.bill, b.due_on, left)
            for b, closed in self.bills
            if b.due_on <= least and day < closed and (left := b.open_on(day) - self.given_up[b.bill]) > 0
        )  # fmt: skip
        if not debts and self.climb is None:
            return Facts()
        since = day - timedelta(days=self.ladder.history_days)
        return Facts(
            debts=debts, holds=tuple(h.held for h in life.holds if h.covers(day)), segment=life.segment, state=life.state, autopay=life.autopay,
            opened_on=life.opened_on, climbs=sum(1 for on in self.over if on >= since),
        )  # fmt: skip

    def _night(self, day: date) -> list[date]:
        """What one night does. Returns days on which to look again."""
        facts = self._facts(day)
        if not facts.debts and self.climb is None:
            return []
        decision = decide(self.ladder, facts, self.climb, day)
        again = self._move(decision, facts, day)
        for debt in fees_due(self.ladder, facts, self.levied, day) if self.prices.imported or not self.life.imported else ():
            self.levied.add(debt.bill)
            fee, rung = self.prices.late_fee(facts.state, debt.open), self.ladder.levies()
            if fee and rung is not None:
                self._did(Deed(day, rung.code, "late_fee", fee))
        for n in decision.rungs:
            self._apply(n, decision, facts, day)
        if self.climb is None:  # written off
            again.append(day + timedelta(days=1))
        if decision.waits is not None:  # behind a notice of tonight: from tomorrow on its gap is known
            again.append(decision.waits.until or day + timedelta(days=1))
        return again

    def _move(self, decision: Decision, facts: Facts, day: date) -> list[date]:
        """Ends, falls and beginnings, as `operations` writes them."""
        climb, again = self.climb, []
        if climb is not None:
            if decision.bar is not None:
                dear = BARS.index(climb.bar) >= BARS.index(self.ladder.restore_fee_from) and costs_restoring(self.ladder, facts, decision) and decision.bar == ""
                self._did(Deed(day, climb.rung, "restore", self.prices.restore_fee * self.life.lines if dear else 0, self.life.lines))
                self._bar(day, decision.bar)
                climb = replace(climb, bar=decision.bar)
            if decision.position is not None:
                rung = self.ladder.rungs[decision.position] if decision.position > NOWHERE else None
                climb = replace(climb, rung=rung.code if rung else "", rung_days=rung.days if rung else None)
            if decision.free.since is not None and decision.free.since < climb.since:
                climb = replace(climb, since=decision.free.since)
        bar = climb.bar if climb is not None else ""
        if decision.end:
            again += self._end(decision.end, day)
            climb = None
        if decision.begins and decision.free.since is not None:
            climb, self.noticed = Climb(decision.free.since, bar=bar), False
        self.climb = climb
        return again

    def _end(self, why: str, day: date) -> list[date]:
        noticed, self.noticed = self.noticed, False
        if not noticed or why == Ended.PARTLY:
            return []
        self.over.append(day)
        return [day + timedelta(days=self.ladder.history_days + 1)]

    def _apply(self, n: int, decision: Decision, facts: Facts, day: date) -> None:
        rung, climb = self.ladder.rungs[n], self.climb
        assert climb is not None
        climb = replace(climb, rung=rung.code, rung_days=rung.days, bar=rung.bar or climb.bar)
        if rung.bar:
            self._bar(day, rung.bar)
        for effect in rung.effects:
            if effect == "notice":
                # A night writes its notices after all its bars: no text reaches a line that was wholly suspended tonight.
                deepest = max((self.ladder.rungs[m].bar for m in decision.rungs), key=BARS.index)
                channel = self._channel(rung.channels, max(climb.bar, deepest, key=BARS.index))
                if channel:
                    climb = replace(climb, notice_on=day)
                    self.noticed = self.noticed or rung.days >= 0
                self._did(Deed(day, rung.code, "notice", channel=channel))
            elif effect in ("suspend", "disconnect"):
                self._did(Deed(day, rung.code, effect, count=self.life.lines))
            elif effect in ("place", "write_off"):
                self._did(Deed(day, rung.code, effect, decision.target.owed))
            elif effect != "late_fee":
                self._did(Deed(day, rung.code, effect))
        self.climb = climb
        if "write_off" in rung.effects:
            left = decision.target.owed
            for debt in facts.debts:
                part = min(left, debt.open)
                self.given_up[debt.bill] += part
                left -= part
            self._end(Ended.WRITTEN_OFF, day)
            self.climb = None

    def _channel(self, channels: Sequence[str], bar: str) -> str:
        return next((c for c in channels if c == "letter" or (c in self.life.channels and (c != "sms" or bar in ("", "outgoing")))), "")

    def _bar(self, day: date, bar: str) -> None:
        """Lines stand like this from a day on; the days that they were barred until then are counted."""
        since = self.barred_on
        if bar in ("", "gone") and since is not None:
            self.line_days += max((min(day, self.last + timedelta(days=1)) - max(since, self.first)).days, 0) * self.life.lines
            self.barred_on = None
        elif bar not in ("", "gone") and since is None:
            self.barred_on = day

    def _did(self, deed: Deed) -> None:
        if self.first <= deed.day <= self.last:
            self.deeds.append(deed)


# ---------------------------------------------------------------- held against each other

MOVES = ("further", "less far", "sooner", "later", "otherwise")
"""How an account would move: to a higher or lower rung than it reached; to the same, but on an earlier or later day; or along other rungs."""


def places(now: Ladder, then: Ladder) -> list[tuple[str, str]]:
    """The rungs of both ladders, lowest first: code, title; by their days in the changed one, or in the one in force where it has them no more."""
    titled = {r.code: (r.days, r.title) for ladder in (now, then) for r in ladder.rungs}
    return [(code, title) for code, (_, title) in sorted(titled.items(), key=lambda item: (item[1][0], item[0]))]


def move(before: Lived, after: Lived, order: Sequence[str]) -> str:
    """How an account would move, one of `MOVES`; empty: it would not."""
    old, new = before.reached(), after.reached()
    top_old, top_new = (max((order.index(code) for code in found), default=NOWHERE) for found in (old, new))
    if top_new != top_old:
        return "further" if top_new > top_old else "less far"
    if top_old > NOWHERE and old[order[top_old]] != new[order[top_new]]:
        return "sooner" if new[order[top_new]] < old[order[top_old]] else "later"
    return "otherwise" if before.deeds != after.deeds else ""


@dataclass
class Sum:
    """What a ladder does to many accounts. `reached`: accounts by rung; `notices` by channel (empty: no channel was left); counts and
    minor units by effect; `lines`: how many, by effect; `by_month`: notices by the first of their month."""

    reached: Counter[str] = field(default_factory=Counter)
    notices: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    minor: Counter[str] = field(default_factory=Counter)
    lines: Counter[str] = field(default_factory=Counter)
    by_month: Counter[date] = field(default_factory=Counter)
    line_days: int = 0

    def add(self, found: Lived) -> None:
        self.reached.update(found.reached().keys())
        self.line_days += found.line_days
        for deed in found.deeds:
            self.counts[deed.effect] += 1
            self.minor[deed.effect] += deed.minor
            self.lines[deed.effect] += deed.count
            if deed.effect == "notice":
                self.notices[deed.channel] += 1
                self.by_month[deed.day.replace(day=1)] += 1

    def postage(self, ladder: Ladder) -> int:
        """What its notices cost to send (minor units)."""
        return sum(count * ladder.notice_cost.get(channel, 0) for channel, count in self.notices.items())


@dataclass(frozen=True, slots=True)
class Moved:
    """One account that would move: the highest rung that it reached and its first day, with the ladder in force and with the changed one;
    what differs of its notices, fees (late and restoring, minor units) and days with a barred line."""

    account_id: int
    reference: str
    how: str
    before: tuple[str, date] | None
    after: tuple[str, date] | None
    notices: int
    fees: int
    line_days: int


@dataclass
class Study:
    """Two ladders over the same accounts, of `whole` that the house has. `late`: accounts of which something became past due in the days;
    `slowed`, `slowed_minor`: of how many accounts it is assumed that they pay later, and how much; `order`: rungs, lowest first."""

    now: Ladder
    then: Ladder
    first: date
    last: date
    before: Sum = field(default_factory=Sum)
    after: Sum = field(default_factory=Sum)
    whole: int = 0
    accounts: int = 0
    late: int = 0
    slower: Slower = Slower()
    slowed: int = 0
    slowed_minor: int = 0
    moves: Counter[str] = field(default_factory=Counter)
    moved: list[Moved] = field(default_factory=list)

    @property
    def order(self) -> list[str]:
        return [code for code, _ in places(self.now, self.then)]

    def add(self, account_id: int, reference: str, before: Lived, after: Lived) -> None:
        self.before.add(before)
        self.after.add(after)
        how = move(before, after, self.order)
        if how:
            self.moves[how] += 1
            self.moved.append(Moved(
                account_id, reference, how, self._top(before), self._top(after), _notices(after) - _notices(before), _fees(after) - _fees(before),
                after.line_days - before.line_days,
            ))  # fmt: skip

    def _top(self, found: Lived) -> tuple[str, date] | None:
        reached = found.reached()
        return next(((code, reached[code]) for code in reversed(self.order) if code in reached), None)

    def result(self, side: Sum) -> Mapping[str, int]:
        """What a ladder brings and costs (minor units): fees charged, notices paid for, debt placed and given up."""
        ladder = self.now if side is self.before else self.then
        return {
            "late_fee": side.minor["late_fee"], "restore": side.minor["restore"], "postage": side.postage(ladder),
            "place": side.minor["place"], "write_off": side.minor["write_off"],
        }  # fmt: skip


def figures(study: Study) -> list[tuple[str, int, int, bool]]:
    """What would be sent and done, and what that brings and costs: words, with the ladder in force, with the changed one, whether it is money."""
    a, b = study.before, study.after
    channels = (("sms", "Notices by text"), ("email", "Notices by mail"), ("letter", "Notices by letter"), ("", "Notices without a channel left"))
    rows = [(what, a.notices[channel], b.notices[channel], False) for channel, what in channels]
    rows.append(("Late fees", a.counts["late_fee"], b.counts["late_fee"], False))
    for effect, what in (("suspend", "Lines barred, times"), ("restore", "Lines brought back, times"), ("disconnect", "Lines disconnected")):
        rows.append((what, a.lines[effect], b.lines[effect], False))
    rows.append(("Days with a barred line, by line", a.line_days, b.line_days, False))
    rows += [(what, a.counts[effect], b.counts[effect], False) for effect, what in (("place", "Placed with an agency"), ("write_off", "Written off"))]
    old, new = study.result(a), study.result(b)
    words = {
        "late_fee": "Late fees charged", "restore": "Restore fees charged", "postage": "Cost of the notices", "place": "Placed with an agency", "write_off": "Written off",
    }  # fmt: skip
    return [*rows, *((what, old[name], new[name], True) for name, what in words.items())]


def _notices(found: Lived) -> int:
    return sum(1 for d in found.deeds if d.effect == "notice" and d.channel)


def _fees(found: Lived) -> int:
    return sum(d.minor for d in found.deeds if d.effect in ("late_fee", "restore"))
