"""Whom to call about money that is past due, in the order of what a call is worth and within the contact rules; and who may not be called now, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

from django.conf import settings
from django.db.models import BigIntegerField, Case, Count, Exists, F, OuterRef, Q, QuerySet, Value, When

from careline.domain.collections import rules
from careline.domain.collections.models import CallAgain, Climb
from careline.domain.collections.queries import again_of, calls_again, known, quiet
from careline.domain.contacts import queries as contacts
from careline.domain.contacts.rules import MayTouch, Reach, Why, may_touch
from careline.domain.customers import queries as customers
from careline.domain.journal import queries as journal
from careline.foundation.calendar import civil_date
from careline.foundation.ladder import Ladder
from careline.foundation.outbound import Outbound

TOPIC: Final = "collections"
MOST = 60  # on a page
LARGEST = 2000  # accounts that are asked about at once
# Why somebody is not to be called now, beside what the contact rules say.
HELD: Final = "held"
LITTLE: Final = "little"
PAYING: Final = "paying"
NO_NUMBER: Final = "no number"


@dataclass(frozen=True, slots=True)
class Callable:
    """Somebody whom a call is worth. `worth`: what it is expected to bring less its cost (minor units); `zone`: by which wall they are to be called;
    `again`: that they are to be called again on a day, with who put them there; `notice`: what became of the newest one; `may`: what the contact
    rules say now."""

    account_id: int
    reference: str
    name: str
    language: str
    line_id: int
    number: str
    rung: str
    worth: int
    zone: str
    may: MayTouch
    again: rules.Again | None
    put_by: str
    notice: journal.Fate | None


@dataclass(frozen=True, slots=True)
class Left:
    """Somebody who is not called now. `may`: what the contact rules say, where it is they that say it."""

    account_id: int
    why: str
    may: MayTouch | None = None


@dataclass
class ToCall:
    """One page. `rows` may be called now; `later` are to be called again on a day, or were to be and may not be now. `not_now`: how many others are
    not called, by reason: of everybody on the ladder by the hour where they live, a hold or the sum, and by anything else of those who were asked about
    for this page. `soonest`: when the next of them may be. `more`: where the next page begins (empty: this is the last)."""

    rows: list[Callable] = field(default_factory=list)
    later: list[Callable] = field(default_factory=list)
    not_now: Counter[str] = field(default_factory=Counter)
    cites: set[str] = field(default_factory=set)
    soonest: datetime | None = None
    more: str = ""

    def leave(self, one: Left, many: int = 1) -> None:
        self.not_now[one.why] += many
        if one.may is not None:
            self.cites |= {one.may.cite} - {""}
            if one.may.later is not None:
                self.soonest = min(self.soonest or one.may.later, one.may.later)


def may_call(policy: Outbound, reach: Reach, again: rules.Again | None, zone: str, at: datetime) -> MayTouch:
    """Whether somebody may be called about money past due at a moment: the contact rules, and that they are to be called again later."""
    if again is None or again.begins(zone) <= at:
        asked = again is not None and again.outside_caps(civil_date(at, settings.CARRIER_ZONE))
        return may_touch(policy, TOPIC, "call", reach, at, asked)
    verdict = may_touch(policy, TOPIC, "call", reach, again.begins(zone), again.outside_caps(again.on))
    if not verdict.ok and verdict.later is None:
        return verdict
    say = "They asked to be called then." if again.asked is not None else "They are to be called again then."
    return MayTouch(False, verdict.later or again.begins(zone), say, "", Why.AGAIN)


def to_call(ladder: Ladder, policy: Outbound, at: datetime, after: str = "", most: int = MOST) -> ToCall:
    """One page of whom to call. What a call is worth follows from what was past due and free when the ladder looked last: each night, and after
    each payment. The order is the database's, so it holds over everybody; then those who come next are asked about anew until the page is full,
    but nobody who lives where no call may come in at this hour."""
    day = civil_date(at, settings.CARRIER_ZONE)
    found = ToCall()
    zones, closed = _places(found, ladder, policy, day, at)
    if not after:
        _put(found, ladder, policy, day, at)
    size, place, end, here = most * 2, _read(after), "", 0
    while zones:
        part = list(_ranked(ladder, day, zones, place)[:size])
        among = {pk: (rung, score) for pk, rung, score, *lives in part if tuple(lives) not in closed}
        for one in _judged({pk: rung for pk, (rung, _) in among.items()}, {}, ladder, policy, day, at):
            if isinstance(one, Left):
                found.leave(one)
            elif here < most:
                found.rows.append(one)
                here, end = here + 1, f"{among[one.account_id][1]}-{one.account_id}"
            else:
                found.more = end
                return found
        if len(part) < size:
            return found
        place = (part[-1][2], part[-1][0])
        size = min(size * 4, LARGEST)
    return found


def _read(after: str) -> tuple[int, int] | None:
    """Where a page begins: behind this value and account."""
    score, _, account = after.partition("-")
    return (int(score), int(account)) if score.isdecimal() and account.isdecimal() and len(after) < 40 else None


def _standing() -> QuerySet[Climb]:
    """Everybody on the ladder who was told, but for whom a day was said."""
    waiting = CallAgain.objects.filter(account_id=OuterRef("account_id"), done_at=None)
    return Climb.objects.filter(ended_at=None, noticed=True).exclude(Exists(waiting))


def _score(ladder: Ladder, day: date) -> Case:
    """What a call brings, in millionths of minor units, as `rules.worth` reckons it."""
    whens = [When(since__gte=day - timedelta(days=until), then=F("owed_minor") * Value(ppm, BigIntegerField())) for until, ppm in ladder.recovers]
    return Case(*whens, default=Value(0), output_field=BigIntegerField())


def _dear(ladder: Ladder) -> int:
    """From what score on a call is worth more than it costs."""
    return (ladder.call_cost + 1) * 1_000_000


def _places(found: ToCall, ladder: Ladder, policy: Outbound, day: date, at: datetime) -> tuple[set[str], set[tuple[str, str]]]:
    """The zones in which somebody may be called now, and the zones with a state where nobody may: by one question about everybody, who are counted."""
    rows = _standing().annotate(score=_score(ladder, day)).annotate(
        kind=Case(When(owed_minor=0, then=Value(HELD)), When(score__lt=_dear(ladder), then=Value(LITTLE)), default=Value("")),
    )  # fmt: skip
    zones: set[str] = set()
    closed: set[tuple[str, str]] = set()
    for zone, state, kind, many in rows.values("account__zone", "account__state", "kind").annotate(n=Count("pk")).values_list("account__zone", "account__state", "kind", "n"):
        if kind:
            found.leave(Left(0, kind), many)
            continue
        may = may_touch(policy, TOPIC, "call", Reach((zone,), state), at)
        if may.ok:
            zones.add(zone)
        else:
            closed.add((zone, state))
            found.leave(Left(0, may.why, may), many)
    return zones, closed


def _ranked(ladder: Ladder, day: date, zones: set[str], place: tuple[int, int] | None) -> QuerySet[Climb, tuple[int, str, int, str, str]]:
    rows = _standing().filter(account__zone__in=sorted(zones)).annotate(score=_score(ladder, day)).filter(score__gte=_dear(ladder))
    if place is not None:
        rows = rows.filter(Q(score__lt=place[0]) | Q(score=place[0], account_id__gt=place[1]))
    return rows.order_by("-score", "account_id").values_list("account_id", "rung", "score", "account__zone", "account__state")


def _put(found: ToCall, ladder: Ladder, policy: Outbound, day: date, at: datetime) -> None:
    """Those who are to be called again: who may be, today, before anybody else, the longest first; the others by their day."""
    waiting = calls_again()
    rungs = dict(Climb.objects.filter(ended_at=None, noticed=True, account_id__in=list(waiting)).values_list("account_id", "rung"))
    order = sorted(rungs, key=lambda pk: (waiting[pk].on, pk))
    for start in range(0, len(order), LARGEST):
        for one in _judged({pk: rungs[pk] for pk in order[start : start + LARGEST]}, waiting, ladder, policy, day, at):
            if isinstance(one, Left):
                found.leave(one)
            else:
                (found.rows if one.may.ok else found.later).append(one)


def _judged(rungs: Mapping[int, str], waiting: Mapping[int, CallAgain], ladder: Ladder, policy: Outbound, day: date, at: datetime) -> Iterator[Callable | Left]:
    """Each of these accounts, in their order, as it stands now. Who is to be called again comes whatever the rules say of now, and whatever it is worth."""
    ids = list(rungs)
    one_by_one, numbers = known(ids, day, ladder), customers.called(ids)
    reaches = contacts.reaches([(pk, numbers[pk][1]) for pk in ids if pk in numbers], policy, at, quiet(ids, day, ladder)) if ids else {}
    for pk in ids:
        now, again = one_by_one[pk], again_of(waiting.get(pk))
        goal = rules.target(ladder, now.facts, day)
        worth = rules.worth(ladder, goal.owed, (day - goal.since).days) if goal.since is not None else 0
        if now.paying:
            yield Left(pk, PAYING)
        elif goal.index < 0:
            yield Left(pk, HELD)
        elif pk not in numbers:
            yield Left(pk, NO_NUMBER)
        elif worth <= 0 and again is None:
            yield Left(pk, LITTLE)
        else:
            line_id, number, name = numbers[pk]
            may = may_call(policy, reaches[pk], again, now.account.zone, at)
            if not may.ok and again is None:
                yield Left(pk, may.why, may)
                continue
            zone = now.account.zone if again is not None else reaches[pk].zones[0]
            yield Callable(pk, now.account.reference, name, now.account.language, line_id, number, rungs[pk], worth, zone, may, again,
                           waiting[pk].placed_by if pk in waiting else "", now.notice)
