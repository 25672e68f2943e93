"""A contact's level, its clock, and the draft of its summary. Times are aware; durations whole seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from careline.foundation.act import Level


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


class SpanKind(StrEnum):
    TALK = "talk"
    HOLD = "hold"
    WRAP = "wrap"


POSSESSION = frozenset({Factor.CODE, Factor.CALLBACK})
TALKING = frozenset({State.LIVE, State.HELD})
OPEN = frozenset({State.LIVE, State.HELD, State.DROPPED, State.WRAP_UP})


def level_of(factors: Iterable[str], number_age: timedelta | None, strong_hours: int) -> Level:
    """The level that proven factors give: one is verified; two of different kinds, one of them possession of a number
    that has not changed for `strong_hours`, is strong.

    `number_age`: how long the number that proved possession has been this line's (None: no possession proven).
    """
    proven = {Factor(f) for f in factors}
    if not proven:
        return Level.IDENTIFIED
    has_possession, has_knowledge = bool(proven & POSSESSION), bool(proven - POSSESSION)
    if (
        has_possession
        and has_knowledge
        and number_age is not None
        and number_age >= timedelta(hours=strong_hours)
    ):
        return Level.STRONG
    return Level.VERIFIED


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
    if stored >= Level.VERIFIED and now - last_active > timedelta(minutes=idle_minutes):
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
_QUIET = frozenset(
    f"contacts.{verb}"
    for verb in ["open", "ring", "answer", "identify", "hold", "resume", "end", "drop", "reconnect", "send_code", "speaker", "reason", "note", "pin_note"]
) | {"approvals.ask", "approvals.decide", "approvals.withdraw"}
_PROOFS = frozenset({"contacts.check_pin", "contacts.check_code", "contacts.call_back"})


def summary(reason: str, deeds: Sequence[Deed]) -> str:
    """A first draft of what happened, from the journal alone: why they called, what was done, what was refused."""
    done = [d.say.rstrip(".") for d in deeds if d.outcome == "done" and d.code not in _QUIET]
    refused = [d.say.rstrip(".") for d in deeds if d.outcome == "refused" and d.code not in _QUIET | _PROOFS]
    parts = [f"Called about: {reason}." if reason else "Called; reason not given."]
    parts += [f"{say}." for say in dict.fromkeys(done)]
    if refused:
        parts.append("Not possible: " + "; ".join(dict.fromkeys(refused)) + ".")
    if not any(d.outcome == "done" and d.code not in _QUIET | _PROOFS for d in deeds):
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
