"""Guides in force, walks as they stand, and how guides do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.db.models import QuerySet

from careline.domain.customers.queries import Signal
from careline.domain.diagnosis.models import Answer, Walk
from careline.domain.diagnosis.rules import guide as rules
from careline.domain.diagnosis.rules import walk as walks
from careline.domain.diagnosis.rules.belief import Tried
from careline.domain.diagnosis.rules.guide import Guide, load_all
from careline.domain.diagnosis.rules.hear import Ear
from careline.domain.diagnosis.rules.learn import Seen, seen
from careline.domain.diagnosis.rules.mislead import changes
from careline.domain.rulebook import queries as rulebook
from careline.foundation import phone
from careline.prepared import prepared, whole

REPEAT = timedelta(days=7)
MISLEADING = 3  # checks that are named
ANEW = "anew"  # in the note of an answer: it takes the place of the reading before


@lru_cache(maxsize=8)
def guides(digest: str) -> dict[str, Guide]:
    """The guides of one bundle by id. A bundle never changes, so they are read once a process."""
    return load_all(rulebook.opened(digest).files)


@lru_cache(maxsize=8)
def numbers(digest: str) -> tuple[tuple[str, str], ...]:
    """What the words of a bundle's guides may name as {name}."""
    return rules.numbers(rulebook.opened(digest).files)


@lru_cache(maxsize=256)
def platform(digest: str, make: str) -> str:
    """Which platform's words a bundle has for a phone of this make; empty: nobody knows, so all are said."""
    return rules.platform_of(make, rulebook.opened(digest).files)


@lru_cache(maxsize=4)
def ear(digest: str) -> Ear:
    """The classifier over the examples of one bundle's guides."""
    return Ear.of(guides(digest).values())


@dataclass(frozen=True)
class Said:
    """One standing answer with where it comes from."""

    turn: int
    what: dict[str, Any]
    source: str
    as_of: datetime | None
    at: datetime
    note: dict[str, Any]


@dataclass(frozen=True)
class Standing:
    """A walk with its guide and the answers that stand."""

    row: Walk
    walk: walks.Walk
    said: tuple[Said, ...]


def walk(walk_id: int) -> Walk | None:
    return _walk.first(walk=walk_id)


@prepared
def _walk() -> QuerySet[Walk]:
    return Walk.objects.filter(pk=whole("walk")).select_related("line__device")


def standing(row: Walk) -> Standing:
    """The walk with what was answered and not taken back. Two questions to the database, none when it is new."""
    answers = _answers(walk=row.pk)
    taken = {x.undoes for x in answers if x.undoes is not None}
    guide = guides(row.rulebook)[row.guide]
    stand = _newest(guide, [x for x in answers if x.undoes is None and x.turn not in taken])
    events = walks.from_json([x.what for x in stand])
    make = row.line.device.make if row.line and row.line.device else ""
    return Standing(
        row, walks.Walk(guide, events, row.complaint, numbers(row.rulebook), platform(row.rulebook, make), _found(guide, stand)),
        tuple(Said(x.turn, x.what, x.source, x.as_of, x.at, x.note) for x in stand),
    )  # fmt: skip


def _newest(guide: Guide, stand: Sequence[Answer]) -> list[Answer]:
    """The answers, each reading that was read anew in the place of the one before, unless a remedy lies between: then both
    say how things were in their time."""
    found: list[Answer] = []
    place: dict[str, int] = {}
    for x in stand:
        name = x.what.get("check", "")
        if x.note.get(ANEW) and name in place:
            found[place[name]] = x
            continue
        if name:
            place[name] = len(found)
        elif "remedy" in x.what:
            tried = Tried(x.what["remedy"], x.what["outcome"])
            place = {k: n for k, n in place.items() if not changes(guide, tried, guide.check_by_id[k])}
        found.append(x)
    return found


def stale(now: Standing, at: datetime, minutes: float) -> tuple[str, ...]:
    """The probes of an open walk that were last read more than `minutes` before `at`: what they said may be so no more."""
    last = {x.what["check"]: x.at for x in now.said if now.walk.guide.check_by_id.get(x.what.get("check", ""), now.walk.guide.test).kind == "probe"}
    return tuple(name for name, read in last.items() if at - read > timedelta(minutes=minutes)) if now.row.state == "open" else ()


@prepared
def _answers() -> QuerySet[Answer]:
    return Answer.objects.filter(walk_id=whole("walk")).order_by("number")


def _found(guide: Guide, stand: Sequence[Answer]) -> tuple[tuple[str, Any], ...]:
    """What the checks of a guide about an account found last, under the names that its words give it."""
    if guide.about != "account":
        return ()
    found: dict[str, Any] = {}
    for x in stand:
        if x.note:
            name = x.what["check"]
            found = {k: v for k, v in found.items() if k != name and not k.startswith(f"{name}.")}
            found |= {name if key == "say" else f"{name}.{key}": value for key, value in x.note.items()}
    return tuple(found.items())


def open_of(account_id: int) -> list[Walk]:
    """The open walks of an account, newest first: those of an earlier contact go on in this one."""
    return _open_of(account=account_id)


@prepared
def _open_of() -> QuerySet[Walk]:
    return Walk.objects.filter(account_id=whole("account"), state="open").select_related("line__device").order_by("-began")[:20]


def signals(walks: Sequence[Walk]) -> list[Signal]:
    """Searches for a cause that have no end yet: something does not work for this customer, whatever else there is."""
    found = []
    for row in walks[:2]:
        guide = guides(row.rulebook).get(row.guide)
        where = f"line {phone.last_four(row.line.msisdn)}" if row.line else "the account"
        found.append(Signal("cause_open", f"Not solved yet: {guide.title if guide else row.guide}", f"A search for {where} has no end yet. Go on where it stopped.", 84, section="cause", line=row.line_id))
    return found


def closed_in(contact_id: int) -> list[Walk]:
    """What was walked to an end in this contact, for its summary."""
    return list(Walk.objects.filter(answers__contact_id=contact_id).exclude(state="open").distinct().order_by("closed"))


def last_of(line_id: int, before: datetime) -> Walk | None:
    """The last closed walk of a line in the week before: a repeated contact."""
    return Walk.objects.filter(line_id=line_id, closed__gte=before - REPEAT, closed__lt=before).order_by("-closed").first()


@dataclass(frozen=True, slots=True)
class Doing:
    """How one guide does in real contacts: counts over a time. `repeats`: walks of a line (of an account, where that is what
    the guide is about) that had one in another contact in the 7 days before.
    `misleading`: checks whose answers observation proved wrong, with the number of walks."""

    guide: str
    walks: int
    fixed: int
    handover: int
    left: int
    steps: float
    seconds: float
    repeats: int
    misleading: tuple[tuple[str, int], ...]

    @property
    def fixed_rate(self) -> float:
        return self.fixed / self.walks if self.walks else 0.0


def doings(since: datetime) -> list[Doing]:
    """How each guide did since a moment, by how often it is walked."""
    rows = list(Walk.objects.filter(closed__gte=since).order_by("closed"))
    found = []
    for name in sorted({x.guide for x in rows}):
        of = [x for x in rows if x.guide == name]
        last: dict[tuple[int, int | None], Walk] = {}
        repeats = 0
        for x in of:
            before = last.get((x.account_id, x.line_id))
            if before is not None and before.closed and before.contact_id != x.contact_id and x.began - before.closed <= REPEAT:
                repeats += 1
            last[x.account_id, x.line_id] = x
        count = {state: sum(x.state == state for x in of) for state in Walk.STATES}
        found.append(Doing(
            name, len(of), count["fixed"], count["handover"], count["left"], sum(x.steps for x in of) / len(of),
            sum(x.seconds for x in of) / len(of), repeats, _misleading(of),
        ))  # fmt: skip
    return sorted(found, key=lambda x: (-x.walks, x.guide))


def _misleading(rows: Sequence[Walk]) -> tuple[tuple[str, int], ...]:
    """The checks whose answers were proven wrong most often, in how many walks."""
    count = Counter(name for row in rows for name in set(row.misled))
    return tuple(sorted(count.items(), key=lambda x: (-x[1], x[0]))[:MISLEADING])


def taught(since: datetime) -> list[Seen]:
    """What the walks that were closed since a moment teach. Those from before it was kept are worked out again."""
    rows = _taught(since).select_related("line__device")
    return [Seen(row.guide, row.there) if row.there else seen(standing(row).walk) for row in rows]


def taught_lately(since: datetime, guide: str, most: int) -> list[Seen]:
    """What the newest walks of one guide teach, as it was kept."""
    return [Seen(guide, there) for there in _taught(since).filter(guide=guide).values_list("there", flat=True)[:most] if there]


def _taught(since: datetime) -> QuerySet[Walk]:
    return Walk.objects.filter(closed__gte=since, state__in=("fixed", "handover")).order_by("-closed")
