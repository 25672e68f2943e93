"""When a customer may be reached, as a rulebook says it (contact_rules.toml): read once, checked whole, frozen."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, time
from typing import Any, Final

from careline.foundation.lined import Lined

CLASSES: Final = ("free", "asked", "service", "collections")
COUNTED: Final = ("call", "sms", "email")
BY_MACHINE: Final = "auto_call"  # a call that is dialled or spoken by a machine
EVERY: Final = "every"


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `most` touches in `days` days over the channels of `counts`, and none for `after_conversation` days from a
    conversation on (its own day is the first; 0: no such rule)."""

    most: int
    days: int
    after_conversation: int
    counts: tuple[str, ...]
    cite: str


@dataclass(frozen=True, slots=True)
class State:
    """What a state asks for beside what holds everywhere: a cap (None: no other), and hours within the others. `area_codes`: whose number is of one of
    these may be there, wherever they are billed."""

    cap: Cap | None
    first: time
    last: time
    cite: str
    area_codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Yes:
    """What goes only to whom said yes: messages of `topics` ("every": of every one that is not free) on `channels`. `consent`: under which topic the yes
    stands on record, with the channel."""

    consent: str
    topics: tuple[str, ...]
    channels: tuple[str, ...]
    cite: str


@dataclass(frozen=True, slots=True)
class Outbound:
    """`topics`: the class of each. `caps` by channel, `states` by state (they hold beside the caps and hours). Texts are by language."""

    first: time
    last: time
    hours_cite: str
    topics: Mapping[str, str]
    caps: Mapping[str, Cap]
    states: Mapping[str, State]
    stop_words: frozenset[str]
    again_words: frozenset[str]
    stop_all: bool
    all_from: date | None
    stop_cite: str
    confirmation: Mapping[str, str]
    opt_out: Mapping[str, str]
    yeses: tuple[Yes, ...] = ()

    def needs(self, topic: str, channel: str) -> list[Yes]:
        """The yeses without which nothing of a topic goes on a channel; what is free needs none."""
        if self.class_of(topic) == "free":
            return []
        return [yes for yes in self.yeses if channel in yes.channels and (topic in yes.topics or EVERY in yes.topics)]

    def class_of(self, topic: str) -> str:
        """What is not named is about money until somebody says otherwise: it keeps to everything."""
        return self.topics.get(topic, "collections")

    def hours(self, states: Iterable[str]) -> tuple[time, time, str]:
        """From when to when somebody who may be in any of these states may be reached, on the wall where they are, and the rule that says so."""
        first, last, cite = self.first, self.last, self.hours_cite
        for own in (self.states[state] for state in states if state in self.states):
            if own.first > first or own.last < last:
                first, last, cite = max(first, own.first), min(last, own.last), own.cite
        return first, last, cite

    def states_of(self, number: str) -> set[str]:
        """The states with a rule of their own to which a number (E.164) belongs by its area code."""
        return {state for state, own in self.states.items() if any(number.startswith(f"+1{code}") for code in own.area_codes)}

    def stopped(self, topic: str) -> str:
        """What STOP to a message ends: its topic; of messages about a debt, all of them, as each of them promises."""
        return "collections" if self.class_of(topic) == "collections" else topic

    def stops(self, text: str) -> bool | None:
        """Whether a reply ends texts (True), begins them again (False), or says something else (None)."""
        plain = " ".join(re.sub(r"[^\w\s]", " ", text.casefold()).split())
        return True if plain in self.stop_words else False if plain in self.again_words else None

    def scope_is_all(self, day: date) -> bool:
        return self.stop_all or (self.all_from is not None and day >= self.all_from)


def read(text: str) -> Outbound:
    """The rules of a contact_rules.toml. Raises ValueError whose words begin with the line and say what to write."""
    return _Reader(text).outbound()


class _Reader(Lined):
    """Reads the parsed file of contact rules."""

    def outbound(self) -> Outbound:
        data = self.data
        for name in data:
            if name not in ("hours", "topic", "cap", "state", "stop", "opt_out", "needs_yes"):
                raise self.fault(name, 1, "", "there is no such table (hours, topic, cap, state, stop, opt_out, needs_yes)")
        hours = self.table(data, "hours")
        self.only(hours, "hours", 1, {"from", "to", "cite"})
        first, last = self.clock(hours, "hours", "from"), self.clock(hours, "hours", "to")
        if first >= last:
            raise self.fault("hours", 1, "to", "later than `from`, on the same day")
        topics = self.table(data, "topic")
        for topic, kind in topics.items():
            if kind not in CLASSES:
                raise self.fault("topic", 1, topic, f"one of {', '.join(CLASSES)}")
        for topic in ("one_time_code", "security_notice"):
            if topics.get(topic) != "free":
                raise self.fault("topic", 1, topic, '"free": a code that waits until morning locks people out')
        caps = {channel: self.cap(f"cap.{channel}", row, (channel,)) for channel, row in self.table(data, "cap").items()}
        if set(caps) != set(COUNTED):
            raise ValueError(f"the file: [cap.…] for each of {', '.join(COUNTED)}")
        states = {state: self.state(f"state.{state}", row, first, last) for state, row in data.get("state", {}).items()}
        stop = self.table(data, "stop")
        self.only(stop, "stop", 1, {"words", "again", "scope", "all_from", "cite", "confirmation"})
        words = self.texts(stop, "stop", 1, "words")
        if "stop" not in words:
            raise self.fault("stop", 1, "words", '"stop" has to be one of them')
        if stop.get("scope") not in ("topic", "all"):
            raise self.fault("stop", 1, "scope", '"topic" or "all"')
        all_from = stop.get("all_from")
        if all_from is not None and type(all_from) is not date:
            raise self.fault("stop", 1, "all_from", "a day, such as 2027-01-31")
        return Outbound(
            first, last, self.text(hours, "hours", 1, "cite", most=240), dict(topics), caps, states, frozenset(words),
            frozenset(self.texts(stop, "stop", 1, "again")), stop["scope"] == "all", all_from, self.text(stop, "stop", 1, "cite"),
            self.languages(stop.get("confirmation"), "stop.confirmation"), self.languages(data.get("opt_out"), "opt_out"),
            tuple(self.yes(consent, row, topics) for consent, row in data.get("needs_yes", {}).items()),
        )  # fmt: skip

    def yes(self, consent: str, row: Mapping[str, Any], known: Mapping[str, str]) -> Yes:
        table = f"needs_yes.{consent}"
        self.only(row, table, 1, {"topics", "channels", "cite"})
        topics, channels = self.texts(row, table, 1, "topics"), self.texts(row, table, 1, "channels")
        if not topics or any(t != EVERY and known.get(t, "free") == "free" for t in topics):
            raise self.fault(table, 1, "topics", f'topics of [topic] that are not free, or ["{EVERY}"]')
        if not channels or not set(channels) <= {*COUNTED, BY_MACHINE}:
            raise self.fault(table, 1, "channels", f"one or more of {', '.join((*COUNTED, BY_MACHINE))}")
        return Yes(consent, topics, channels, self.text(row, table, 1, "cite", most=240))

    def clock(self, row: Mapping[str, Any], table: str, name: str) -> time:
        try:
            return time.fromisoformat(self.text(row, table, 1, name))
        except ValueError:
            raise self.fault(table, 1, name, 'a time of the day, such as "08:00"') from None

    def state(self, table: str, row: Mapping[str, Any], first: time, last: time) -> State:
        """A state may say how often, from when to when, or both; never more than holds everywhere."""
        own_first = self.clock(row, table, "from") if "from" in row else first
        own_last = self.clock(row, table, "to") if "to" in row else last
        if max(first, own_first) >= min(last, own_last):
            raise self.fault(table, 1, "to", "later than `from`, within [hours]")
        codes = self.texts(row, table, 1, "area_codes") if "area_codes" in row else ()
        if not all(re.fullmatch(r"[2-9]\d\d", code) for code in codes):
            raise self.fault(table, 1, "area_codes", 'area codes of three digits, such as ["617", "857"]')
        capped = {k: v for k, v in row.items() if k not in ("from", "to", "area_codes")}
        if set(capped) == {"cite"} and {"from", "to"} & set(row):
            return State(None, own_first, own_last, self.text(row, table, 1, "cite", most=240), codes)
        counts = self.texts(row, table, 1, "counts")
        if not counts or not set(counts) <= set(COUNTED):
            raise self.fault(table, 1, "counts", f"one or more of {', '.join(COUNTED)}")
        cap = self.cap(table, capped, counts)
        return State(cap, own_first, own_last, cap.cite, codes)

    def cap(self, table: str, row: Mapping[str, Any], counts: tuple[str, ...]) -> Cap:
        self.only(row, table, 1, {"most", "days", "after_conversation", "counts", "cite"})
        after = self.whole(row, table, 1, "after_conversation", most=60) if "after_conversation" in row else 0
        return Cap(
            self.whole(row, table, 1, "most", least=1, most=100), self.whole(row, table, 1, "days", least=1, most=60), after, counts,
            self.text(row, table, 1, "cite", most=240),
        )  # fmt: skip

    def languages(self, row: Any, table: str) -> dict[str, str]:
        if not isinstance(row, Mapping) or "en" not in row:
            raise self.fault(table, 1, "en", "the words in English, at least")
        return {language: self.text(row, table, 1, language, most=200) for language in row}
