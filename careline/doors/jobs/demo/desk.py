"""The demo staff at their desks: every deed goes through `perform`, at the moment that the story sets."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any

from careline.acts.declare import BasisRef, Outcome
from careline.acts.look import look
from careline.acts.perform import perform, scene_for_page
from careline.domain.contacts import queries as contacts
from careline.domain.customers import queries as customers
from careline.domain.journal import operations as journal
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs.demo.carrier import House, moment
from careline.foundation.act import Who

DEMO = Who("Job", "demo", "Demo carrier", "job")


class DemoFault(RuntimeError):
    """A story could not be lived as it was written: the demo and the desk have grown apart."""


@dataclass(frozen=True)
class Known:
    """An account that the demo wrote: its ids, and the household it was drafted as."""

    house: House
    account: int
    people: tuple[int, ...]
    lines: tuple[int, ...]


@dataclass
class Run:
    """One making: when it happens, what was made, and who works here. `mark` makes its request keys its own."""

    now: datetime
    today: date
    mark: str
    rng: Random
    staff: dict[str, Who] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)
    ordinary: list[Known] = field(default_factory=list)
    again: list[tuple[datetime, Known]] = field(default_factory=list)  # whose trouble was not gone, and when they said so
    areas: dict[str, int] = field(default_factory=dict)
    wrong: dict[str, int] = field(default_factory=dict)  # the last trouble that was entered for an area
    used: int = 0

    def key(self) -> str:
        self.used += 1
        return f"demo-{self.mark}-{self.used:06d}"

    def days_ago(self, days: int, clock: str = "10:00") -> datetime:
        """A time of day at the carrier, at least one day back (today may be only minutes old)."""
        if days < 1:
            raise ValueError("for today use minutes_ago")
        return moment(self.today - timedelta(days=days), time.fromisoformat(clock))

    def minutes_ago(self, minutes: float) -> datetime:
        return self.now - timedelta(minutes=minutes)

    def seat(self, name: str, at: datetime) -> Seat:
        return Seat(self, self.staff[name], at)

    def do(self, who: Who, code: str, at: datetime, basis: BasisRef = BasisRef(), /, **given: Any) -> Outcome:  # noqa: B008
        if at > self.now:
            raise DemoFault(f"{code} would lie in the future")
        return perform(code, given, who=who, key=self.key(), basis=basis, at=at)

    def must(self, who: Who, code: str, at: datetime, basis: BasisRef = BasisRef(), /, **given: Any) -> Outcome:  # noqa: B008
        outcome = self.do(who, code, at, basis, **given)
        if not outcome.ok:
            raise DemoFault(f"{code} by {who.name}: {outcome.status}, {outcome.say}")
        return outcome

    def post(self, at: datetime) -> list[str]:
        """The messages of story time leave at once: marked as sent, not handed to the carrier's twin, so that the
        messages page begins with the visitor's own. Returns what they said."""
        said: list[str] = []
        for message in journal.take_due(at=at, most=1000):  # all: a deed queues few, and after each they leave
            said.append(message.body)
            journal.mark_sent(message=message, at=at)
        return said


class Seat:
    """One member of staff, the contact in their hands, and their clock, which moves on with every deed."""

    def __init__(self, run: Run, who: Who, at: datetime) -> None:
        self.run, self.who, self.at = run, who, at
        self.contact: int | None = None
        self.known: Known | None = None

    @property
    def basis(self) -> BasisRef:
        return BasisRef("contact", self.contact) if self.contact else BasisRef()

    def later(self, seconds: float) -> Seat:
        self.at = min(self.at + timedelta(seconds=seconds), self.run.now)
        return self

    def act(self, code: str, /, *, takes: float = 25, **given: Any) -> Outcome:
        outcome = self.run.do(self.who, code, self.at, self.basis, **given)
        self.later(takes)
        return outcome

    def must(self, code: str, /, *, takes: float = 25, **given: Any) -> Outcome:
        outcome = self.run.must(self.who, code, self.at, self.basis, **given)
        self.later(takes)
        return outcome

    def refused(self, code: str, rule: str, /, **given: Any) -> Outcome:
        """A deed that this story needs to be refused, by this rule."""
        outcome = self.act(code, **given)
        if outcome.status != "refused" or outcome.refusal is None or outcome.refusal.rule != rule:
            raise DemoFault(f"{code} should be refused by {rule}: {outcome.say} {outcome.refusal}")
        return outcome

    def on(self, code: str, /, **given: Any) -> Outcome:
        """A deed on the account of the contact in hand."""
        assert self.known is not None
        return self.must(code, account=self.known.account, **given)

    def send_link(self, amount: int) -> str:
        """A payment link to whoever this is, where it arrives: by text, or by e-mail. Returns its number."""
        assert self.known is not None
        line = customers.line(self.known.lines[0])
        to = {"line": line.pk} if line is not None and line.gets_texts else {}
        return str(self.on("payments.send_link", amount=amount, **to).show["link"])

    def take(
        self, known: Known, *, person: int = 0, by: str = "callback", line: int = 0, reason: str = "other",
        channel: str = "voice", number: str | None = None,
    ) -> Seat:
        """A contact with somebody of this household, proven by `by` (pin, callback, code, both or nothing)."""
        self.known = known
        caller = known.house.lines[line].number if number is None else number
        opened = self.must(
            "contacts.open", account=known.account, person=known.people[person], caller_number=caller, reason=reason, channel=channel
        )
        self.contact = int(opened.show["id"])
        if by in ("pin", "both"):
            self.on("contacts.check_pin", pin=known.house.pin)
        if by in ("code", "both"):
            self.on("contacts.send_code", line=known.lines[line])
            code = next(m[0] for text in reversed(self.run.post(self.at)) if (m := re.match(r"\d{6}", text)))
            self.on("contacts.check_code", code=code)
        if by == "callback":
            self.call_back(person, line)
        if by != "nothing":
            self.look()
        return self

    def call_back(self, person: int = 0, line: int = 0) -> None:
        """Put the caller's line down, call a number of theirs, and ask who speaks."""
        assert self.known is not None
        self.on("contacts.call_back", line=self.known.lines[line])
        self.on("contacts.call_back_answered", name=self.known.house.people[person].name)

    def look(self) -> None:
        """Open the account page, as the associate does: the journal has its line."""
        row = contacts.contact(self.contact)
        scene = scene_for_page(row, self.who, rulebooks.current(), self.at)
        looked = look("view.account", who=self.who, scene=scene, at=self.at)
        if not looked.allowed:
            raise DemoFault(f"{self.who.name} may not see the account: {looked.refusal}")
        self.later(15)

    def note(self, text: str, pinned: bool = False) -> Seat:
        self.on("contacts.note", text=text, pinned=pinned)
        return self

    def close(
        self, summary: str, disposition: str = "resolved", root_cause: str = "none", *, follow_up: str = "",
        due_on: date | None = None, owner: str = "", talk: float = 60, wrap: float = 70,
    ) -> None:
        """The caller is gone; wrap up."""
        self.later(talk)
        self.must("contacts.end", takes=wrap)
        self.must(
            "contacts.wrap_up", summary=summary, disposition=disposition, root_cause=root_cause, follow_up=follow_up,
            due_on=due_on, owner=int(self.run.staff[owner].id) if owner else None,
        )
        self.run.post(self.at)
        self.contact = None
