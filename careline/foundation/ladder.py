"""The collections ladder as a rulebook says it (ladder.toml): read once, checked whole, frozen.

Amounts are minor units, times are days. Every fault names the line of the file and says what to write instead.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

from careline.foundation.lined import Lined

EFFECTS: Final = ("notice", "late_fee", "suspend", "disconnect", "final_bill", "place", "write_off")
BARS: Final = ("", "outgoing", "all", "gone")  # deeper and deeper; `gone`: the lines are disconnected
CHANNELS: Final = ("sms", "email", "letter")
AGAIN_DAYS: Final = 30  # of a ladder from before it said so
WORDS: Final = frozenset({"carrier", "amount", "due"})
ARRANGEMENT: Final = "arrangement"
# What a talking point may ask for (beside `hold.KIND`), and what its words may have filled in.
POINTS: Final[Mapping[str, frozenset[str]]] = {
    "suspended": frozenset({"back"}), "near_suspension": frozenset({"what", "day"}), "returned_payment": frozenset(), "broken_promise": frozenset(), "first_time": frozenset(),
    "long_standing": frozenset(), "small": frozenset(),
}  # fmt: skip
SAID: Final = frozenset({"carrier", "amount", "since", "years"})  # in the words of every point


@dataclass(frozen=True, slots=True)
class Condition:
    """What must be true of an account. Empty and None: anything. `tenure_days`: a customer for at least so long;
    `climbs_least`, `climbs_most`: how often it was sent a notice in the history, this time not counted."""

    segments: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    autopay: bool | None = None
    tenure_days: int = 0
    climbs_least: int = 0
    climbs_most: int | None = None


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung. It is reached when `least` (minor units) has been past due for `days`, later by what of `later` holds. `asks`: what
    rungs below it ask for that is more, and of whom: the way here leads over them, and nobody is put on one by the way."""

    code: str
    title: str
    days: int
    least: int
    gap: int
    effects: tuple[str, ...]
    bar: str
    channels: tuple[str, ...]
    only: Condition
    later: tuple[tuple[int, Condition], ...]
    cite: str
    asks: tuple[tuple[int, Condition], ...] = ()


@dataclass(frozen=True, slots=True)
class HoldKind:
    """What a kind of hold does. `most`: the rung up to which the ladder may still go (empty: none); `restore_fee`: what comes back while
    it holds costs as without it."""

    code: str
    title: str
    say: str
    most: str
    part: bool
    restores: bool
    restore_fee: bool
    afresh: bool
    placed: bool
    specialist: bool
    quiet: bool
    ends: bool
    days: int | None
    review: int | None
    cite: str


@dataclass(frozen=True, slots=True)
class Talk:
    """What an associate says about a debt. `words`: by occasion; `points`: what holds of a case and what to say then, in the order in which they are said.
    `small` (minor units), `long_days`, `near_days` and `recent_days` say from where on a point holds."""

    words: Mapping[str, str]
    points: tuple[tuple[str, str], ...] = ()
    small: int = 0
    long_days: int = 0
    near_days: int = 0
    recent_days: int = 0


@dataclass(frozen=True, slots=True)
class Ladder:
    """`restore_fee_from`: the bar from which on restoring a line costs the fee of its reason. `texts` are by rung and language; `again_after`: days after a declined autopay on which it is tried again.
    `notice_cost`: what one notice costs to send, by channel (minor units; empty: nobody said).
    `call_cost` (minor units) and `recovers` (until so many days past due, parts per million of what is owed) say what a call is
    worth; `again_days`: how far ahead somebody may be put to be called again; `talk`: what an associate says."""

    least: int
    reachable: tuple[str, ...]
    history_days: int
    restore_fee_from: str
    rungs: tuple[Rung, ...]
    holds: Mapping[str, HoldKind]
    texts: Mapping[str, Mapping[str, str]]
    again_after: tuple[int, ...]
    call_cost: int
    recovers: tuple[tuple[int, int], ...]
    talk: Talk
    notice_cost: Mapping[str, int]
    again_days: int

    def index(self, code: str) -> int:
        """The place of a rung, lowest 0; -1: there is none of this code."""
        return next((n for n, rung in enumerate(self.rungs) if rung.code == code), -1)

    def levies(self) -> Rung | None:
        """The rung that charges the late fee."""
        return next((rung for rung in self.rungs if "late_fee" in rung.effects), None)

    @property
    def first_day(self) -> int:
        """From how many days past due on the ladder looks at an account (below zero: before the due day)."""
        return self.rungs[0].days


def read(text: str) -> Ladder:
    """The ladder of a ladder.toml. Raises ValueError whose words begin with the line and say what to write."""
    return _Reader(text).ladder()


class _Reader(Lined):
    """Reads the parsed file of a ladder."""

    def ladder(self) -> Ladder:
        data = self.data
        for name in data:
            if name not in ("ladder", "rung", "text", "hold", "autopay", "call", "talk", "point", "notice_cost"):
                raise self.fault(name, 1, "", "the ladder has no such table (ladder, rung, text, hold, autopay, call, talk, point, notice_cost)")
        top = self.table(data, "ladder")
        self.only(top, "ladder", 1, {"least", "reachable", "history_days", "restore_fee_from"})
        fee_from = top.get("restore_fee_from", "all")
        if fee_from not in ("outgoing", "all"):
            raise self.fault("ladder", 1, "restore_fee_from", '"outgoing" or "all"')
        least = self.whole(top, "ladder", 1, "least", least=1)
        reachable = self.texts(top, "ladder", 1, "reachable")
        if "911" not in reachable:
            raise self.fault("ladder", 1, "reachable", "911 has to be in it (47 CFR 9.10)")
        rows = data.get("rung")
        if not isinstance(rows, list) or not rows:
            raise ValueError("the file: a ladder needs at least one [[rung]]")
        rungs = tuple(self.rung(row, n, least) for n, row in enumerate(rows, 1))
        for n, (before, after) in enumerate(pairwise(rungs), 2):
            if after.days <= before.days:
                raise self.fault("rung", n, "days", f"{after.code} has to come later than {before.code} ({before.days} days)")
            if after.bar and before.bar and BARS.index(after.bar) < BARS.index(before.bar):
                raise self.fault("rung", n, "bar", "a rung never bars less than one below it")
            if after.code in [r.code for r in rungs[: n - 1]]:
                raise self.fault("rung", n, "code", f"there are two rungs called {after.code}")
        rungs = tuple(replace(r, asks=tuple((b.least, b.only) for b in rungs[:n] if b.least > r.least)) for n, r in enumerate(rungs))
        texts = self.notices(data.get("text", {}), rungs)
        holds = {code: self.hold(code, row, rungs) for code, row in self.table(data, "hold").items()}
        if ARRANGEMENT not in holds:
            raise ValueError("the file: [hold.arrangement] is missing; arrangements would hold nothing")
        auto = self.table(data, "autopay")
        self.only(auto, "autopay", 1, {"again_after", "cite"})
        self.text(auto, "autopay", 1, "cite")
        again = auto.get("again_after")
        if not isinstance(again, list) or not all(type(d) is int and 0 < d <= 60 for d in again) or again != sorted(set(again)):
            raise self.fault("autopay", 1, "again_after", "days after a decline, rising, such as [3, 6]; [] never tries again")
        call = self.table(data, "call")
        cost, recovers = self.calls(call)
        again_days = self.whole(call, "call", 1, "again_days", least=1, most=90) if "again_days" in call else AGAIN_DAYS
        talk = self.talk(self.table(data, "talk"), data.get("point", []), holds)
        postage = self.postage(self.table(data, "notice_cost")) if "notice_cost" in data else {}
        history = self.whole(top, "ladder", 1, "history_days", most=3650)
        return Ladder(least, reachable, history, fee_from, rungs, holds, texts, tuple(again), cost, recovers, talk, postage, again_days)

    def rung(self, row: Mapping[str, Any], n: int, least: int) -> Rung:
        self.only(row, "rung", n, {"code", "title", "days", "least", "gap", "effects", "bar", "channels", "only", "later", "cite"})
        code = self.text(row, "rung", n, "code", most=20)
        effects = self.texts(row, "rung", n, "effects")
        for effect in effects:
            if effect not in EFFECTS:
                raise self.fault("rung", n, "effects", f"{effect} is no effect ({', '.join(EFFECTS)})")
        if not effects or len(set(effects)) < len(effects):
            raise self.fault("rung", n, "effects", "each effect once, and at least one")
        days = self.whole(row, "rung", n, "days", least=-60, most=1000)
        if days < 0 and effects != ("notice",):
            raise self.fault("rung", n, "effects", 'before the due day only ["notice"]')
        if "write_off" in effects and len(effects) > 1:
            raise self.fault("rung", n, "effects", "write_off stands alone on the last rung: it ends what is open")
        bar = row.get("bar", "gone" if "disconnect" in effects else "")
        if bar not in BARS or (bar != "gone" and bool(bar) != ("suspend" in effects)) or ((bar == "gone") != ("disconnect" in effects)):
            raise self.fault("rung", n, "bar", '"outgoing" or "all" where the effects have suspend, and nowhere else')
        channels = self.texts(row, "rung", n, "channels") if "channels" in row else ()
        if ("notice" in effects) != bool(channels) or not set(channels) <= set(CHANNELS):
            raise self.fault("rung", n, "channels", f"where the effects have notice: one or more of {', '.join(CHANNELS)}")
        later = row.get("later", [])
        if not isinstance(later, list) or not all(isinstance(one, Mapping) for one in later):
            raise self.fault("rung", n, "later", "a list of tables, such as [{ days = 5, segments = [\"business\"] }]")
        return Rung(
            code=code,
            title=self.text(row, "rung", n, "title"),
            days=days,
            least=max(self.whole(row, "rung", n, "least", least=1), least) if "least" in row else least,
            gap=self.whole(row, "rung", n, "gap", most=120) if "gap" in row else 0,
            effects=effects,
            bar=bar,
            channels=channels,
            only=self.condition(row.get("only", {}), n, "only"),
            later=tuple((self.later_days(one, n), self.condition({k: v for k, v in one.items() if k != "days"}, n, "later")) for one in later),
            cite=self.text(row, "rung", n, "cite", most=240),
        )  # fmt: skip

    def later_days(self, row: Mapping[str, Any], n: int) -> int:
        found = row.get("days")
        if type(found) is not int or not 0 < found <= 365:
            raise self.fault("rung", n, "later", "each has `days`, from 1 to 365, by which the rung comes later")
        return found

    def condition(self, row: Any, n: int, name: str) -> Condition:
        if not isinstance(row, Mapping):
            raise self.fault("rung", n, name, "conditions in braces, such as { autopay = false }")
        known: dict[str, Any] = {}
        for key, value in row.items():
            if key in ("segments", "states") and isinstance(value, list) and value and all(isinstance(v, str) for v in value):
                known[key] = tuple(value)
            elif (key == "autopay" and isinstance(value, bool)) or (key in ("tenure_days", "climbs_least", "climbs_most") and type(value) is int and 0 <= value <= 36_500):
                known[key] = value
            else:
                say = "segments, states (lists), autopay (true, false), tenure_days, climbs_least, climbs_most (whole numbers)"
                raise self.fault("rung", n, name, f"{key} = {value!r} is no condition: {say}")
        return Condition(**known)

    def calls(self, row: Mapping[str, Any]) -> tuple[int, tuple[tuple[int, int], ...]]:
        self.only(row, "call", 1, {"cost", "recovers", "again_days", "cite"})
        self.text(row, "call", 1, "cite", most=240)
        found = row.get("recovers")
        good = isinstance(found, list) and found and all(isinstance(r, Mapping) and set(r) == {"until", "ppm"} and all(type(v) is int and v >= 0 for v in r.values()) for r in found)
        if not good or [r["until"] for r in found] != sorted({r["until"] for r in found}) or any(r["ppm"] > 1_000_000 for r in found):  # type: ignore[union-attr]
            raise self.fault("call", 1, "recovers", "rising days with their share, such as [{ until = 15, ppm = 550000 }]")
        assert isinstance(found, list)
        return self.whole(row, "call", 1, "cost", most=100_000), tuple((r["until"], r["ppm"]) for r in found)

    def talk(self, row: Mapping[str, Any], points: Any, holds: Mapping[str, HoldKind]) -> Talk:
        """`trouble`, the numbers and the points are younger than the file: a ladder without them says the openings only."""
        words = ("inbound", "trouble", "outbound", "hardship")
        numbers = ("small", "long_days", "near_days", "recent_days")
        self.only(row, "talk", 1, {*words, *numbers, "never"})
        never = self.texts(row, "talk", 1, "never") if "never" in row else ()
        said = {name: self.text(row, "talk", 1, name, most=400) for name in words if name in row or name != "trouble"}
        for name, text in said.items():
            self.calm("talk", 1, name, text, never)
            self.filled("talk", 1, name, text, frozenset({"carrier"}))
        if not isinstance(points, list) or not all(isinstance(one, Mapping) for one in points):
            raise ValueError("the file: each talking point begins with [[point]]")
        found = []
        for n, one in enumerate(points, 1):
            self.only(one, "point", n, {"when", "say"})
            when, say = self.text(one, "point", n, "when"), self.text(one, "point", n, "say", most=300)
            kind = when.removeprefix("hold.")
            if when not in POINTS and (kind == when or kind not in holds):
                raise self.fault("point", n, "when", f"one of {', '.join(POINTS)}, or hold. and a kind of hold of this file")
            self.calm("point", n, "say", say, never)
            self.filled("point", n, "say", say, SAID | POINTS.get(when, frozenset()))
            found.append((when, say))
        return Talk(said, tuple(found), *(self.whole(row, "talk", 1, name, most=10_000_000) if name in row else 0 for name in numbers))

    def calm(self, table: str, n: int, name: str, text: str, never: Sequence[str]) -> None:
        """Nobody presses anybody: the file itself says with which words one would."""
        plain = f" {' '.join(re.sub(r'[^a-z ]', ' ', text.casefold()).split())} "
        if (found := next((word for word in never if f" {word.casefold()} " in plain), None)) is not None:
            raise self.fault(table, n, name, f"say it without “{found}” (talk, never): nobody is pressed or frightened")

    def filled(self, table: str, n: int, name: str, text: str, known: frozenset[str]) -> None:
        try:
            fields = {field for _, field, _, _ in string.Formatter().parse(text) if field is not None}
        except ValueError:
            raise self.fault(table, n, name, "a text; braces only around names") from None
        if fields - known:
            raise self.fault(table, n, name, f"only {{{'}, {'.join(sorted(known))}}} are filled in")

    def postage(self, row: Mapping[str, Any]) -> dict[str, int]:
        self.only(row, "notice_cost", 1, {*CHANNELS, "cite"})
        self.text(row, "notice_cost", 1, "cite", most=240)
        return {channel: self.whole(row, "notice_cost", 1, channel, most=10_000) for channel in CHANNELS}

    def notices(self, data: Any, rungs: tuple[Rung, ...]) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for code, row in data.items() if isinstance(data, Mapping) else ():
            table = f"text.{code}"
            if code not in {r.code for r in rungs if "notice" in r.effects}:
                raise self.fault(table, 1, "", "no rung of this code sends a notice")
            for language, words in row.items():
                try:
                    fields = {name for _, name, _, _ in string.Formatter().parse(words) if name is not None}
                except (ValueError, TypeError):
                    raise self.fault(table, 1, language, "a text; braces only around names") from None
                if fields - WORDS:
                    raise self.fault(table, 1, language, f"only {{{'}, {'.join(sorted(WORDS))}}} are filled in")
            found[code] = dict(row)
        for n, rung in enumerate(rungs, 1):
            if "notice" in rung.effects and "en" not in found.get(rung.code, {}):
                raise self.fault("rung", n, "effects", f"[text.{rung.code}] en is missing: a notice needs words")
        return found

    def hold(self, code: str, row: Mapping[str, Any], rungs: tuple[Rung, ...]) -> HoldKind:
        table = f"hold.{code}"
        flags = ("part", "restores", "restore_fee", "afresh", "placed", "specialist", "quiet", "ends")
        self.only(row, table, 1, {"title", "say", "most", "days", "review", "cite", *flags})
        most = row.get("most", "")
        if most and most not in {r.code for r in rungs}:
            raise self.fault(table, 1, "most", f"{most} is no rung")
        for name in flags:
            if not isinstance(row.get(name, True), bool):
                raise self.fault(table, 1, name, "true or false")
        if row.get("restores", False) and not row.get("afresh", False):
            raise self.fault(table, 1, "restores", "what comes back is taken again only after new notices: write afresh = true")
        return HoldKind(
            code=code,
            title=self.text(row, table, 1, "title"),
            say=self.text(row, table, 1, "say", most=240),
            most=most,
            part=row.get("part", False),
            restores=row.get("restores", False),
            restore_fee=row.get("restore_fee", False),
            afresh=row.get("afresh", False),
            placed=row.get("placed", True),
            specialist=row.get("specialist", False),
            quiet=row.get("quiet", False),
            ends=row.get("ends", False),
            days=self.whole(row, table, 1, "days", least=1, most=3650) if "days" in row else None,
            review=self.whole(row, table, 1, "review", least=1, most=3650) if "review" in row else None,
            cite=self.text(row, table, 1, "cite", most=240),
        )
