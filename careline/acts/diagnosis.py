"""The acts of a diagnosis: begin a walk, answer, take back, end it, tell the customer.

Whenever the next step is to read the account and the network, or what was read is too old to go by (the rulebook's
`stale_minutes`), the act reads them itself: the feeds in `call`, with no transaction open, the books in `settle`, both
written as answers of the walk with their source and age.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from django.conf import settings
from pydantic import Field, model_validator

from careline.acts import money_probes, probes
from careline.acts.declare import ActType, Done, Id, Input, Locks, Scene, ShortWords, Whole
from careline.acts.verification import text_number
from careline.carriers import need
from careline.domain.customers import queries as customers
from careline.domain.diagnosis import operations, queries
from careline.domain.diagnosis.rules.belief import CANNOT_TELL
from careline.domain.diagnosis.rules.guide import Check
from careline.domain.journal.operations import tell
from careline.foundation.act import Act
from careline.foundation.calendar import civil_date
from careline.foundation.refusal import refuse


class Start(Input):
    """`line`: the one that does not work; none where the guide is about the account. `words`: how the customer says it. `complaint`: what the guide's test shows, where they say so."""

    account: Id
    line: Id | None = None
    guide: ShortWords
    words: Annotated[str, Field(max_length=400)] = ""
    complaint: ShortWords = ""


class OneAnswer(Input):
    """One of: a check with its outcome, a remedy with its outcome, or a cause that somebody knows to hold or not."""

    check: ShortWords = ""
    remedy: ShortWords = ""
    outcome: ShortWords = ""
    cause: ShortWords = ""
    present: bool = True
    wording: Annotated[Whole, Field(ge=0, le=1)] = 0

    @model_validator(mode="after")
    def one_thing(self) -> OneAnswer:
        if sum(map(bool, (self.check, self.remedy, self.cause))) != 1 or bool(self.cause) == bool(self.outcome):
            raise ValueError("An answer names a check or a remedy with its outcome, or a cause.")
        return self

    @property
    def row(self) -> dict[str, Any]:
        if self.cause:
            return {"cause": self.cause, "present": self.present}
        if self.remedy:
            return {"remedy": self.remedy, "outcome": self.outcome}
        return {"check": self.check, "outcome": self.outcome, "wording": self.wording}


class Answers(Input):
    account: Id
    walk: Id
    answers: Annotated[list[OneAnswer], Field(min_length=1, max_length=40)]


class OfWalk(Input):
    account: Id
    walk: Id


class Tell(OfWalk):
    text: Annotated[str, Field(min_length=1, max_length=480)]


def _account(given: Any) -> Locks:
    return Locks(accounts=(given.account,))


def start(act: Act, given: Start, scene: Scene) -> Done:
    line = customers.line(given.line) if given.line else None
    if given.line and (line is None or line.account_id != given.account):
        raise refuse("NOT_FOUND", "Choose a line of this account.", fields={"line": "Choose one."})
    row = operations.start(
        act=act, account_id=given.account, line_id=given.line, guide=given.guide, digest=scene.rulebook.digest,
        words=given.words, complaint=given.complaint,
    )  # fmt: skip
    return _go_on(act, scene, queries.standing(row), f"{row.number}: looking for the cause")


def answer(act: Act, given: Answers, scene: Scene) -> Done:
    rows = [x.row for x in given.answers]
    source = "associate" if all("cause" in x for x in rows) else "customer"
    now = operations.answer(act=act, account_id=given.account, walk_id=given.walk, rows=rows, source=source)
    return _go_on(act, scene, now, f"{now.row.number}: {len(rows)} answer{'s' if len(rows) > 1 else ''}")


def undo(act: Act, given: OfWalk, scene: Scene) -> Done:
    now = operations.undo(act=act, account_id=given.account, walk_id=given.walk)
    return _go_on(act, scene, now, f"{now.row.number}: the last answer taken back")


def read_again(act: Act, given: OfWalk, scene: Scene) -> Done:
    now = operations.open_walk(account_id=given.account, walk_id=given.walk)
    again = queries.stale(now, act.at, -1)  # all of them, whenever they were read
    if not again:
        raise refuse("CONFLICT", "This search has read nothing of the account or the network.", rule="nothing-to-read")
    return _go_on(act, scene, now, f"{now.row.number}: what was known is read again", again)


def _go_on(act: Act, scene: Scene, now: queries.Standing, say: str, again: tuple[str, ...] = ()) -> Done:
    """Done; the books about the account are read at once, a line's pending while the network is asked for the next step or
    for what was read too long ago (or is asked for `again`)."""
    line_id = now.row.line_id
    again = again or queries.stale(now, act.at, scene.rulebook.limits["device"]["stale_minutes"])
    if line_id is None:
        reader = _account_reader(now.row.account_id, act)
        now, _ = _read(act, _read_anew(act, now, reader, again), reader)
    show = {"walk": str(now.row.pk), "number": now.row.number, "step": now.walk.step.kind, "id": now.walk.step.id}
    data = {"guide": now.row.guide, "turns": len({x.turn for x in now.said})}
    if line_id is None or (now.walk.step.kind != "probe" and not again):
        return Done(say, show, data)
    line = customers.line(line_id)
    assert line is not None
    imei = line.device.imei if line.device else ""
    work = {"accounts": [now.row.account_id], "walk": now.row.pk, "line": line.pk, "number": line.msisdn, "imei": imei, "again": list(again)}
    return Done(f"{say}; reading the account and the network", show, data, pending=True, work=work)


# What the probes of a step read, by their names.
Reader = Callable[[Sequence[Check]], Mapping[str, probes.Found]]


def _account_reader(account_id: int, act: Act) -> Reader:
    """The books of an account, asked when the first probe is."""
    money: list[money_probes.Money] = []

    def read(checks: Sequence[Check]) -> Mapping[str, probes.Found]:
        if not money:
            money.append(money_probes.read_books(account_id, act.at, civil_date(act.at, settings.CARRIER_ZONE)))
        return money_probes.read(checks, money[0])

    return read


def _read_anew(act: Act, now: queries.Standing, reader: Reader, names: Sequence[str]) -> queries.Standing:
    """Read these probes again, in the place of what they said before."""
    return _write(act, now, reader([now.walk.guide.check_by_id[x] for x in names]), {queries.ANEW: True}) if names else now


def _write(act: Act, now: queries.Standing, found: Mapping[str, probes.Found], note: Mapping[str, Any]) -> queries.Standing:
    return operations.answer(
        act=act, account_id=now.row.account_id, walk_id=now.row.pk, source="account",
        rows=[{"check": name, "outcome": x.outcome or CANNOT_TELL} for name, x in found.items()],
        sources={name: operations.Source(x.source, x.as_of, {**x.note, **note}) for name, x in found.items()},
    )  # fmt: skip


def _read(act: Act, now: queries.Standing, reader: Reader) -> tuple[queries.Standing, int]:
    """Write what is read as answers of the walk, until its next step is no reading. Returns how many facts were read, too."""
    read = 0
    for _ in range(4):
        step = now.walk.step
        if now.row.state != "open" or step.kind != "probe":
            break
        found = reader([now.walk.guide.check_by_id[name] for name in step.checks])
        now = _write(act, now, found, {})
        read += len(found)
    return now, read


def ask_feeds(work: Mapping[str, Any], given: Any = None) -> Any:
    return probes.feeds(work["number"], work["imei"])


def settle(act: Act, work: Mapping[str, Any], answers: Any, scene: Scene) -> Done:
    """Read the books with what the feeds answered, for a walk that waits for it."""
    seen, profile = answers
    row = queries.walk(work["walk"])
    assert row is not None
    now, read = queries.standing(row), 0
    if known := probes.books(work["line"], act.at, scene.rulebook.limits, seen=seen, profile=profile, services=now.walk.guide.services):
        again = tuple(work.get("again", ())) if row.state == "open" else ()
        now = _read_anew(act, now, lambda checks: probes.read(checks, known), again)
        now, read = _read(act, now, lambda checks: probes.read(checks, known))
        read += len(again)
    show = {"walk": str(row.pk), "number": row.number, "step": now.walk.step.kind, "id": now.walk.step.id}
    return Done(f"{row.number}: {read} facts of the account and the network read", show, {"read": read})


def close(act: Act, given: OfWalk, scene: Scene) -> Done:
    now = operations.close(act=act, account_id=given.account, walk_id=given.walk)
    return _ended(now)


def leave(act: Act, given: OfWalk, scene: Scene) -> Done:
    now = operations.close(act=act, account_id=given.account, walk_id=given.walk, leave=True)
    return _ended(now)


def _ended(now: queries.Standing) -> Done:
    row = now.row
    titles = [now.walk.guide.cause_by_id[x].title for x in row.causes]
    say = {
        "fixed": f"{row.number}: {'works again' if row.line_id else 'settled'}" + (f" ({', '.join(titles)})" if titles else ""),
        "handover": f"{row.number}: handed over to {row.team}",
        "left": f"{row.number}: left unfinished",
    }[row.state]
    data = {"guide": row.guide, "causes": row.causes, "remain": row.remain, "steps": row.steps, "seconds": row.seconds}
    return Done(say, {"walk": str(row.pk), "number": row.number, "state": row.state, "team": row.team}, data)


def tell_customer(act: Act, given: Tell, scene: Scene) -> Done:
    need("MESSENGER")
    row = operations.mark_told(act=act, account_id=given.account, walk_id=given.walk)
    line = customers.line(row.line_id) if row.line_id else None
    number = text_number(row.account_id) if row.line_id is None else line.msisdn if line and line.gets_texts else None
    if number is None:
        raise refuse("CONFLICT", "This line takes no texts now. Tell the customer on the call.")
    tell(act=act, topic="what_happened", channel="sms", to=number, body=f"{settings.CARRIER_NAME}: {given.text}", about=f"walk:{row.number}", account_id=row.account_id)
    return Done(f"{row.number}: the customer was sent what happened", {"walk": str(row.pk)}, payload={"text": given.text})


def _reading(code: str, title: str, given: type[Input], do: Any) -> ActType:
    return ActType(code, title, given, do, locks=_account, call=ask_feeds, recall=ask_feeds, settle=settle)


ACTS = [
    _reading("diagnosis.start", "Find the cause", Start, start),
    _reading("diagnosis.answer", "Answer a step", Answers, answer),
    _reading("diagnosis.undo", "Take the last answer back", OfWalk, undo),
    _reading("diagnosis.read_again", "Read it again", OfWalk, read_again),
    ActType("diagnosis.close", "End the search", OfWalk, close, locks=_account),
    ActType("diagnosis.leave", "Leave the search", OfWalk, leave, locks=_account),
    ActType("diagnosis.tell", "Send what happened", Tell, tell_customer, locks=_account),
]
