"""A contact's level, its clock, the draft of its summary, and when a customer may be reached. Times are aware; durations whole seconds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from careline.foundation.act import Level
from careline.foundation.outbound import Cap, Outbound, Yes


class Channel(StrEnum):
    VOICE = "voice"
    CHAT = "chat"
    MESSAGE = "message"
    STORE = "store"


class State(StrEnum):
    """ringing -> live <-> held -> wrap_up -> closed; a dropped line waits in `dropped` and can be resumed."""

    RINGING = "ringing"
    LIVE = "live"
    HELD = "held"
    DROPPED = "dropped"
    WRAP_UP = "wrap_up"
    CLOSED = "closed"


class Factor(StrEnum):
    PIN = "pin"
    CODE = "code"
    CALLBACK = "callback"


class DraftKind(StrEnum):
    """Which box the words stand in."""

    NOTE = "note"
    SUMMARY = "summary"
    HANDOVER = "handover"
    FORM = "form"  # no box of words: a form that waits until the caller is proven


class SpanKind(StrEnum):
    TALK = "talk"
    HOLD = "hold"
    WRAP = "wrap"


POSSESSION = frozenset({Factor.CODE, Factor.CALLBACK})
TALKING = frozenset({State.LIVE, State.HELD})
OPEN = frozenset({State.LIVE, State.HELD, State.DROPPED, State.WRAP_UP})


def level_of(
    factors: Iterable[str], number_age: timedelta | None, strong_hours: int, pin_age: timedelta | None = None
) -> Level:
    """The level that proven factors give: one is verified; two of different kinds, neither of them changed for
    `strong_hours` and one of them possession of a number, are strong.

    `number_age`: how long the number that proved possession has been this line's (None: no possession proven);
    `pin_age`: how long the PIN has been the account's (None: from before anybody counted).
    """
    proven = {Factor(f) for f in factors}
    if not proven:
        return Level.IDENTIFIED
    has_possession, has_knowledge = bool(proven & POSSESSION), bool(proven - POSSESSION)
    least = timedelta(hours=strong_hours)
    old_number, old_pin = number_age is not None and number_age >= least, pin_age is None or pin_age >= least
    if has_possession and has_knowledge and old_number and old_pin:
        return Level.STRONG
    return Level.VERIFIED


def never_strong(pin_age: timedelta | None, number_ages: Iterable[timedelta], strong_hours: int) -> str:
    """Why no factors of this account can make a caller strong, or nothing: strong takes an old PIN (None: there is no PIN)
    and an old number."""
    ages = list(number_ages)
    if pin_age is None:
        return "no PIN is set on this account"
    if pin_age < timedelta(hours=strong_hours):
        return f"the PIN is newer than {strong_hours} hours"
    if not ages:
        return "the account has no living number"
    if max(ages) < timedelta(hours=strong_hours):
        return f"no number of this account is older than {strong_hours} hours"
    return ""


def level_now(
    *,
    state: str,
    stored: int,
    account_chosen: bool,
    last_active: datetime,
    now: datetime,
    idle_minutes: int,
) -> Level:
    """The level that counts now: nothing before an account, wrap-up once the caller is gone, identified again after a
    silence of `idle_minutes` or while the line is dropped."""
    if not account_chosen:
        return Level.NONE
    if state == State.WRAP_UP:
        return Level.WRAP_UP if stored >= Level.VERIFIED else Level.IDENTIFIED
    if state not in TALKING:
        return Level.IDENTIFIED
    # A last word in the future is none: the clock was put back, and nothing lives longer by that.
    if stored >= Level.VERIFIED and abs(now - last_active) > timedelta(minutes=idle_minutes):
        return Level.IDENTIFIED
    return Level(stored)


@dataclass(frozen=True, slots=True)
class Span:
    kind: str
    began: datetime
    ended: datetime | None


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds of talk, hold and after-call work. Handle time is their sum."""

    talk: int
    hold: int
    wrap: int

    @property
    def handle(self) -> int:
        return self.talk + self.hold + self.wrap


def clock(spans: Iterable[Span], now: datetime) -> Clock:
    """Add up the spans; an open one runs to `now`."""
    sums = {SpanKind.TALK: 0.0, SpanKind.HOLD: 0.0, SpanKind.WRAP: 0.0}
    for span in spans:
        sums[SpanKind(span.kind)] += max(((span.ended or now) - span.began).total_seconds(), 0)
    return Clock(int(sums[SpanKind.TALK]), int(sums[SpanKind.HOLD]), int(sums[SpanKind.WRAP]))


@dataclass(frozen=True, slots=True)
class Deed:
    """A journal line of this contact, as the summary needs it."""

    code: str
    outcome: str
    say: str


# Deeds that say nothing about why somebody called or what came of it.
QUIET = frozenset(
    f"contacts.{verb}"
    for verb in ["open", "ring", "answer", "identify", "hold", "resume", "end", "drop", "reconnect", "send_code", "call_back", "call_back_failed", "speaker", "reason", "note", "pin_note", "hand_over", "decline"]
) | {"approvals.ask", "approvals.decide", "approvals.withdraw"} | {"diagnosis.start", "diagnosis.answer", "diagnosis.undo", "diagnosis.read_again"}
# Of a colleague, or of this very desk: no news to whoever reads what was not possible.
_ASIDE = frozenset({"contacts.accept", "contacts.decline", "contacts.wrap_up"})
_PROOFS = frozenset({"contacts.check_pin", "contacts.check_code", "contacts.call_back_answered"})


# Of those, what a colleague wants to read in the summary all the same.
_TOLD = frozenset({"contacts.note", "contacts.pin_note", "approvals.decide"})


def summary(reason: str, deeds: Sequence[Deed], settled: Collection[str] = ()) -> str:
    """A first draft of what happened, from the journal alone: why they called, what was done, noted and decided.

    A refusal of a deed (a page that was not shown is none) is told only when nothing came in its place (the same deed done later, or decided by somebody who may:
    `settled` has those codes), and of several the last.
    """
    done = [d.say.rstrip(".") for d in deeds if d.outcome == "done" and (d.code not in QUIET or d.code in _TOLD)]
    replaced = {d.code for d in deeds if d.outcome == "done"} | set(settled)
    refused = [d.say.rstrip(".") for d in deeds if d.outcome == "refused" and not d.code.startswith("view.") and d.code not in QUIET | _PROOFS | _ASIDE | replaced]
    parts = [f"Called about: {reason}."] if reason else []
    parts += [f"{say}." for say in dict.fromkeys(done)]
    parts += [f"Not possible: {say}." for say in refused[-1:]]
    if not any(d.outcome == "done" and d.code not in QUIET | _PROOFS for d in deeds):
        parts.append("Nothing was changed.")
    return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Lockout:
    """What is left of a factor for an account: tries before it locks, or until when it is locked."""

    left: int
    locked_until: datetime | None

    def is_locked(self, now: datetime) -> bool:
        return self.locked_until is not None and self.locked_until > now


def lockout(failures: int, locked_until: datetime | None, limit: int, now: datetime) -> Lockout:
    if locked_until and locked_until > now:
        return Lockout(0, locked_until)
    return Lockout(max(limit - (0 if locked_until else failures), 0), None)


# ---------------------------------------------------------------- reaching out


@dataclass(frozen=True, slots=True)
class Touch:
    """Something that reached out to a customer, or a conversation that they had with us (`talked`)."""

    at: datetime
    channel: str
    talked: bool = False


@dataclass(frozen=True, slots=True)
class Reach:
    """What is known of a customer whom somebody wants to reach. `zones`: every one in which they may be; `state`: of their address, `also`: others in which they
    may be, by their number. `refused`: topics ("all":
    every one) and channels that they want to hear nothing on; `granted`: consents on record, by topic and channel. `quiet`: the bereaved, and whom nobody may ask.
    `touches`: about the debt, and conversations, of the last weeks."""

    zones: tuple[str, ...]
    state: str = ""
    refused: frozenset[tuple[str, str]] = frozenset()
    quiet: bool = False
    touches: tuple[Touch, ...] = ()
    granted: frozenset[tuple[str, str]] = frozenset()
    also: frozenset[str] = frozenset()

    @property
    def states(self) -> list[str]:
        return sorted({self.state, *self.also})


@dataclass(frozen=True, slots=True)
class Way:
    """How something in writing reaches somebody: a channel, and a number (E.164), an address or, of a letter, the account's reference."""

    channel: str
    to: str


class Why(StrEnum):
    """What kind of rule keeps somebody from being reached."""

    QUIET = "quiet"
    STOP = "stop"
    CONSENT = "consent"
    OFTEN = "often"
    HOURS = "hours"
    AGAIN = "again"


@dataclass(frozen=True, slots=True)
class MayTouch:
    """Yes; not before `later`; or never (`ok` False and no `later`). `say` and `cite` tell why, `why` of what kind it is."""

    ok: bool
    later: datetime | None = None
    say: str = ""
    cite: str = ""
    why: str = ""


def may_touch(policy: Outbound, topic: str, channel: str, reach: Reach, at: datetime, asked: bool = False) -> MayTouch:
    """Whether somebody may be reached on a channel about a topic at a moment. Letters wait for no hour and count in no cap. `asked`: they asked for
    this very touch lately, so that only a state's cap counts [12 CFR 1006.14(b)(3)(i)]; hours and STOP hold all the same."""
    kind = policy.class_of(topic)
    if kind == "free":
        return MayTouch(True)
    if reach.quiet and kind in ("service", "collections"):
        return MayTouch(False, None, "Nobody on this account is to be reached for now.", "ladder.toml: hold, quiet", Why.QUIET)
    if said_stop(policy, topic, channel, reach.refused):
        return MayTouch(False, None, "They said STOP to this.", policy.stop_cite, Why.STOP)
    if (lacks := never_said_yes(policy, topic, channel, reach.granted)) is not None:
        return MayTouch(False, None, "They never said yes to this.", lacks.cite, Why.CONSENT)
    if kind == "asked" or channel == "letter":
        return MayTouch(True)
    found = MayTouch(True)
    when = at
    if kind == "collections":
        own = [policy.states[state].cap for state in reach.states if state in policy.states]
        caps = [c for c in (None if asked else policy.caps.get(channel), *own) if c is not None and channel in c.counts]
        for cap in caps:
            free = _free_of(cap, reach.touches, at)
            if free > when:
                when, found = free, MayTouch(False, free, f"At most {cap.most} in {cap.days} days, or a conversation lately.", cap.cite, Why.OFTEN)
    first, last, cite = policy.hours(reach.states)
    opens = _opens(first, last, reach.zones, when)
    if opens is None:
        return MayTouch(False, None, "There is no hour that is right in every zone where they may be.", cite, Why.HOURS)
    if opens > when:
        say = found.say or f"Between {first:%H:%M} and {last:%H:%M} in {', '.join(reach.zones)}."
        return MayTouch(False, opens, say, found.cite or cite, found.why or Why.HOURS)
    return replace(found, later=when) if not found.ok else found


def said_stop(policy: Outbound, topic: str, channel: str, refused: Collection[tuple[str, str]]) -> bool:
    """Whether somebody who refused these (topics and channels) wants to hear nothing of a topic on a channel."""
    return policy.class_of(topic) != "free" and any((about, channel) in refused for about in (topic, policy.stopped(topic), "all"))


def never_said_yes(policy: Outbound, topic: str, channel: str, granted: Collection[tuple[str, str]]) -> Yes | None:
    """The yes that a topic needs on a channel and that is not on record; None: none is missing."""
    return next((yes for yes in policy.needs(topic, channel) if (yes.consent, channel) not in granted), None)


def way(
    policy: Outbound | None, topic: str, ways: Iterable[Way], refused: Collection[tuple[str, str]], granted: Collection[tuple[str, str]] = ()
) -> Way | None:
    """The first of the ways, each of which arrives, on which they did not say STOP to the topic, and said yes where it takes one; None: there is none.
    A letter always goes."""
    return next((
        w for w in ways
        if w.channel == "letter" or policy is None or not (said_stop(policy, topic, w.channel, refused) or never_said_yes(policy, topic, w.channel, granted))
    ), None)  # fmt: skip


def _free_of(cap: Cap, touches: Sequence[Touch], at: datetime) -> datetime:
    """The first moment from which a cap lets another touch through."""
    free = at
    counted = sorted(t.at for t in touches if not t.talked and t.channel in cap.counts)
    while len(within := [t for t in counted if free - timedelta(days=cap.days) < t <= free]) >= cap.most:
        free = within[-cap.most] + timedelta(days=cap.days)
    if cap.after_conversation:
        for talk in (t.at for t in touches if t.talked):
            free = max(free, talk + timedelta(days=cap.after_conversation))
    return free


def _opens(first: time, last: time, zones: Sequence[str], at: datetime) -> datetime | None:
    """The first moment from `at` on that is inside the hours in every zone; None: there is none within a week. It is `at`, or the hours
    of one of the zones begin then; by the wall of each zone, which may have another date than the next."""
    clocks = [ZoneInfo(zone) for zone in zones]
    starts = {
        datetime.combine(at.astimezone(clock).date() + timedelta(days=days), first, clock).astimezone(UTC) for clock in clocks for days in range(8)
    }
    return next((when for when in [at, *sorted(s for s in starts if s > at)] if all(first <= when.astimezone(c).time() < last for c in clocks)), None)
