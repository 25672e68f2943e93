"""The acts that prove who is calling: the account PIN, a one-time code, a call back to the number of record."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from django.conf import settings
from pydantic import Field

from careline.acts import texts
from careline.acts.declare import ActType, Done, Id, Input, Locks, Scene, Secret
from careline.carriers import need
from careline.domain.activations import queries as activations
from careline.domain.contacts import operations, queries, rules
from careline.domain.customers import queries as customers
from careline.domain.customers.queries import care
from careline.domain.customers.rules import name_words
from careline.domain.journal.operations import tell
from careline.foundation import phone, pins
from careline.foundation.act import Act, Level
from careline.foundation.calendar import civil_date, lives
from careline.foundation.refusal import Refusal, WayOn, refuse

LEVEL_NAMES = {Level.VERIFIED: "verified", Level.STRONG: "strongly verified"}


class CheckPin(Input):
    account: Id
    pin: Secret


class SendCode(Input):
    account: Id
    line: Id


class CheckCode(Input):
    account: Id
    code: Secret


class CallBack(Input):
    account: Id
    line: Id


class CallBackAnswered(Input):
    """Who picked up, as they said it when they were asked for their name."""

    account: Id
    name: Annotated[str, Field(min_length=1, max_length=200)]


class CallBackFailed(Input):
    account: Id
    why: Literal["not_reached", "wrong_person"]


def _locks(given: Any) -> Locks:
    return Locks(accounts=(given.account,))


def _count(act: Act, account_id: int, factor: str, scene: Scene) -> bool:
    policy = scene.rulebook.verification[factor]
    _refuse_if_locked(act, account_id, factor, scene)
    return operations.count_try(
        act=act, account_id=account_id, factor=factor, limit=policy["failures"], lock_hours=policy["lock_hours"]
    )


def _refuse_if_locked(act: Act, account_id: int, factor: str, scene: Scene) -> None:
    policy = scene.rulebook.verification[factor]
    if queries.lockouts(account_id, scene.rulebook.verification, act.at)[factor].is_locked(act.at):
        ways = _ways(act, account_id, factor, scene)
        raise refuse("LOCKED", policy["locked"], rule=f"{factor}-locked", cite=policy["cite"], way_on=ways)


def _ways(act: Act, account_id: int, failed: str, scene: Scene) -> tuple[WayOn, ...]:
    """How the caller can still be proven when one way failed: each way that is there, not locked and not used already."""
    locks = queries.lockouts(account_id, scene.rulebook.verification, act.at)
    numbers = customers.numbers_of_record(account_id)
    ways = {
        "code": (bool(settings.MESSENGER) and any(n.can_text for n in numbers), WayOn("Send a one-time code", "contacts.send_code")),
        "callback": (bool(numbers), WayOn("Call back the number of record", "contacts.call_back")),
        "pin": (
            failed != "pin" and "pin" not in scene.contact.proven and customers.pin_hash(account_id) is not None,
            WayOn("Check the PIN", "contacts.check_pin"),
        ),
    }
    return tuple(way for factor, (there, way) in ways.items() if there and not locks[factor].is_locked(act.at))


FACTOR_OF = {"contacts.check_pin": "pin", "contacts.send_code": "code", "contacts.call_back": "callback"}


def ways_there(ways: tuple[WayOn, ...], scene: Scene, at: datetime) -> tuple[WayOn, ...]:
    """Of a rule's ways on those that this account has and that are not locked or proven already."""
    account_id = scene.basis.account_id
    if account_id is None or scene.contact is None or not any(way.act in FACTOR_OF for way in ways):
        return ways
    locks = queries.lockouts(account_id, scene.rulebook.verification, at)
    numbers = customers.numbers_of_record(account_id)
    there = {
        "pin": customers.pin_hash(account_id) is not None,
        "code": bool(settings.MESSENGER) and any(n.can_text for n in numbers),
        "callback": bool(numbers),
    }
    proven = scene.contact.proven if scene.basis.level >= Level.VERIFIED else ()

    def leads(factor: str | None) -> bool:
        return factor is None or (there[factor] and factor not in proven and not locks[factor].is_locked(at))

    return tuple(way for way in ways if leads(FACTOR_OF.get(way.act)))


def text_number(account_id: int) -> str | None:
    """The number of record that a text to the customer goes to: the oldest that gets texts now."""
    return next((n.msisdn for n in customers.numbers_of_record(account_id) if n.gets_texts), None)


def _wrong(act: Act, account_id: int, factor: str, locked: bool, scene: Scene) -> Done:
    """A try that failed; it was counted before."""
    policy = scene.rulebook.verification[factor]
    if locked:
        _tell_lock(act, account_id, factor, scene)
    left = queries.lockouts(account_id, scene.rulebook.verification, act.at)[factor].left
    say = policy["locked"] if locked else f"That did not match. {left} {'try' if left == 1 else 'tries'} left."
    refusal = Refusal(
        "LOCKED" if locked else "NOT_PROVEN",
        say,
        rule=f"{factor}-{'locked' if locked else 'failed'}",
        cite=policy["cite"],
        way_on=_ways(act, account_id, factor, scene),
        fields={} if locked or factor == "callback" else {factor: say},
    )
    return Done(f"{policy['title']}: {'locked after a wrong try' if locked else 'a wrong try'}", refusal=refusal)


def _tell_lock(act: Act, account_id: int, factor: str, scene: Scene) -> None:
    """A lock is told to the customer's number of record."""
    if number := text_number(account_id):
        tell(
            act=act,
            topic="security_notice",
            channel="sms",
            to=number,
            body=texts.body(scene.rulebook, "lock", account_id, hours=scene.rulebook.verification[factor]["lock_hours"]),
            about=f"lock:{account_id}:{factor}",
            account_id=account_id,
        )


def _prove(
    act: Act, account_id: int, factor: str, scene: Scene, number_age: timedelta | None, person_id: int | None, mark: str = ""
) -> Done:
    """`person_id`: who gave the proof; another voice that came on the line meanwhile gets nothing of it. `mark`: of the PIN that it was."""
    contact = scene.contact
    hours = scene.rulebook.verification["level"]["strong_number_hours"]
    counts = act.basis.level >= Level.VERIFIED  # what was proven before a silence counts no more
    held = contact.proven if counts else ()
    if number_age is None and set(held) & rules.POSSESSION:
        number_age = _proven_number_age(act, contact.pk, account_id)
    pin_at = care.pin_set_at(account_id) if "pin" in (*held, factor) else None
    level = rules.level_of([*held, factor], number_age, hours, act.at - pin_at if pin_at else None)
    if counts:  # one more proof never takes away
        level = max(level, Level(act.basis.level))
    operations.prove(act=act, account_id=account_id, person_id=person_id, factor=factor, level=int(level), pin_mark=mark)
    title = scene.rulebook.verification[factor]["title"]
    return Done(f"{title}: caller {LEVEL_NAMES[level]}", {"level": int(level)})


def proven_possession(act: Act, account_id: int, scene: Scene) -> bool:
    """Did this caller prove, in this contact, that they have a number of record that is old enough to count?"""
    row = scene.contact
    if row is None or row.account_id != account_id or act.basis.level < Level.VERIFIED or not set(row.proven) & rules.POSSESSION:
        return False
    age = _proven_number_age(act, row.pk, account_id)
    return age is not None and age >= timedelta(hours=scene.rulebook.verification["level"]["strong_number_hours"])


def _held_for(act: Act, line: Any) -> timedelta:
    """How long whoever proves this number has had it: as long as the line has had the number and its SIM. While a change of the SIM is
    with the network, nobody knows who has it."""
    return timedelta(0) if activations.sim_asked(line.pk) else act.at - line.held_since


def _proven_number_age(act: Act, contact_id: int, account_id: int) -> timedelta | None:
    """How long the number that last proved possession (by code or call back) has been its line's."""
    codes = [c for c in queries.codes_of(contact_id, account_id) if c.used_at]
    used = max(codes, key=lambda c: (c.used_at, c.pk), default=None)
    return _held_for(act, used.line) if used else None


def begin_pin(act: Act, given: CheckPin, scene: Scene) -> Done:
    """Counted as failed and committed before the hash is checked; the right PIN forgets the count again."""
    hashed = customers.pin_hash(given.account)
    if hashed is None:
        raise refuse(
            "CONFLICT",
            "This account has no PIN. Send a one-time code, or call back the number of record.",
            way_on=(WayOn("Send a one-time code", "contacts.send_code"),),
        )
    typed, policy = given.pin.get_secret_value(), scene.rulebook.verification["pin"]
    least, most = int(policy.get("digits_least", 4)), int(policy.get("digits_most", 8))
    if not (typed.isascii() and typed.isdigit() and least <= len(typed) <= most):  # a slip of the fingers, and no guess: it costs no try
        say = f"A PIN is {least} to {most} digits. No try was counted."
        raise refuse("INVALID", say, fields={"pin": say})
    locked = _count(act, given.account, "pin", scene)
    return Done(
        "PIN is being checked",
        pending=True,
        work={"accounts": [given.account], "locked": locked, "person": scene.contact.person_id, "contact": scene.contact.pk},
    )


def check_pin_hash(work: Mapping[str, Any], given: CheckPin) -> str:
    """The mark of the right PIN, nothing of a wrong one. Outside any transaction: Argon2 is slow on purpose. Reads the hash again; it
    is never in the work record."""
    hashed, pin = customers.pin_hash(given.account), given.pin.get_secret_value()
    right = hashed is not None and pins.matches(hashed, pin, settings.PEPPER)
    return pins.mark(pin, str(work["contact"]), settings.PEPPER) if right else ""


def writes_pin(text: str, contact_id: int = 0, marks: str = "") -> bool:
    """Whether words hold a PIN: one that is called so, or one that was proven or set in this contact. (They are not tried against the
    account's hash: that is slow, and would answer guesses that nobody counts.)"""
    return pins.named_in(text) or pins.marked_in(text, marks.split(), str(contact_id), settings.PEPPER)


def settle_pin(act: Act, work: Mapping[str, Any], mark: str, scene: Scene) -> Done:
    (account_id,) = work["accounts"]
    if not mark:
        return _wrong(act, account_id, "pin", work["locked"], scene)
    return _prove(act, account_id, "pin", scene, None, work["person"], mark)


def send_code(act: Act, given: SendCode, scene: Scene) -> Done:
    if not settings.MESSENGER:
        need("MESSENGER", *_ways(act, given.account, "code", scene))
    policy = scene.rulebook.verification["code"]
    line = customers.line(given.line)
    if line is None or line.account_id != given.account or line.status not in ("active", "suspended"):
        raise refuse("NOT_FOUND", "Choose a number of record of this account.", fields={"line": "Choose one."})
    if not line.can_text:
        raise refuse("CONFLICT", "This line takes no texts. Call it back instead.")
    _refuse_if_locked(act, given.account, "code", scene)
    code = "".join(secrets.choice("0123456789") for _ in range(policy["digits"]))
    operations.send_code(
        act=act,
        account_id=given.account,
        line_id=line.pk,
        number=line.msisdn,
        code=code,
        body=texts.body(scene.rulebook, "code", given.account, code=code, minutes=policy["minutes"]),
        minutes=policy["minutes"],
        sends=policy["sends"],
    )
    return Done(f"One-time code sent to the number ending in {phone.last_four(line.msisdn)}")


def check_code(act: Act, given: CheckCode, scene: Scene) -> Done:
    locked = _count(act, given.account, "code", scene)
    typed = queries.code_hash(act.basis.id or 0, "".join(c for c in given.code.get_secret_value() if c.isdigit()))
    codes = queries.codes_of(act.basis.id or 0, given.account)
    match = next(
        (c for c in codes if c.used_at is None and lives(c.sent_at, c.expires_at, act.at) and hmac.compare_digest(c.hash, typed)), None
    )
    if match is None:
        return _wrong(act, given.account, "code", locked, scene)
    operations.use_code(act=act, code_id=match.pk)
    return _prove(act, given.account, "code", scene, _held_for(act, match.line), scene.contact.person_id)


def call_back(act: Act, given: CallBack, scene: Scene) -> Done:
    """The caller's line is put down and the associate calls the number of record. The try is counted as failed now and
    forgotten when the right person picks up, so that a call back that is never reported counts too."""
    policy = scene.rulebook.verification["callback"]
    line = customers.line(given.line)
    if line is None or line.account_id != given.account or line.status not in ("active", "suspended"):
        raise refuse("NOT_FOUND", "Choose a number of record of this account.", fields={"line": "Choose one."})
    _count(act, given.account, "callback", scene)
    operations.begin_call_back(act=act, account_id=given.account, line_id=line.pk, minutes=policy["minutes"])
    # The number is for whoever dials it now: shown, kept neither in the outcome nor in the journal.
    return Done(f"Line put down; calling the number ending in {phone.last_four(line.msisdn)}", once={"dial": line.msisdn})


def _under_way(act: Act, account_id: int) -> Any:
    row = queries.call_back_open(queries.codes_of(act.basis.id or 0, account_id), act.at)
    if row is None:
        raise refuse("CONFLICT", "No call back is under way, or it took too long. Begin it again.", rule="callback-not-begun",
                     way_on=(WayOn("Call back the number of record", "contacts.call_back"),))
    return row


def call_back_answered(act: Act, given: CallBackAnswered, scene: Scene) -> Done:
    """Somebody picked up at the number of record and said their name: possession, proven for that person."""
    policy = scene.rulebook.verification["callback"]
    row = _under_way(act, given.account)
    least = timedelta(seconds=policy["least_seconds"])
    if act.at - row.sent_at < least:
        raise refuse("CONFLICT", "No phone is picked up as fast as that. Call the number, let it ring, and ask who speaks.",
                     rule="callback-too-soon", cite="verification.toml: least_seconds")
    said, today = set(name_words(given.name)), civil_date(act.at, settings.CARRIER_ZONE)
    person = next(
        (
            p.person_id
            for p in customers.people_of(given.account)
            if said and said <= set(name_words(p.person.name)) and (p.until is None or p.until >= today)
        ),
        None,
    )
    if person is None:
        operations.end_call_back(act=act)
        if not scene.contact.inbound:  # we called them: nobody asked for anything, so there is no try to count
            say = "Nobody of that name is on this account. Say nothing of why you call."
            refusal = Refusal("NOT_PROVEN", say, rule="callback-failed", cite=policy["cite"])
            return Done(f"{policy['title']}: somebody else picked up at the number ending in {phone.last_four(row.line.msisdn)}", refusal=refusal)
        return _wrong(act, given.account, "callback", _locked(act, given.account, scene), scene)
    operations.pick_up(act=act, account_id=given.account, person_id=person, code_id=row.pk)
    done = _prove(act, given.account, "callback", scene, _held_for(act, row.line), person)
    return Done(f"{done.say} at the number ending in {phone.last_four(row.line.msisdn)}", done.show)


def _locked(act: Act, account_id: int, scene: Scene) -> bool:
    return queries.lockouts(account_id, scene.rulebook.verification, act.at)["callback"].is_locked(act.at)


def call_back_failed(act: Act, given: CallBackFailed, scene: Scene) -> Done:
    """Nobody was reached, or somebody whom the account does not know. A call back was counted when it began."""
    row = _under_way(act, given.account)
    operations.end_call_back(act=act)
    locked = scene.contact.inbound and _locked(act, given.account, scene)  # a call of ours is no try of anybody's
    if locked:
        _tell_lock(act, given.account, "callback", scene)
    what = {"not_reached": "nobody reached", "wrong_person": "somebody else picked up"}[given.why]
    last = phone.last_four(row.line.msisdn)
    return Done(f"Call back: {what} at the number ending in {last}{'; call backs are locked now' if locked else ''}", data={"why": given.why})


ACTS = [
    ActType(
        "contacts.check_pin",
        "Check the PIN",
        CheckPin,
        begin_pin,
        locks=_locks,
        call=check_pin_hash,
        recall=lambda _: "",  # a lost check stays what it was counted as: a failed try
        settle=settle_pin,
    ),
    ActType("contacts.send_code", "Send a one-time code", SendCode, send_code, locks=_locks, ports=("MESSENGER",)),
    ActType("contacts.check_code", "Check the code", CheckCode, check_code, locks=_locks),
    ActType("contacts.call_back", "Call back the number of record", CallBack, call_back, locks=_locks),
    ActType("contacts.call_back_answered", "They picked up", CallBackAnswered, call_back_answered, locks=_locks),
    ActType("contacts.call_back_failed", "The call back failed", CallBackFailed, call_back_failed, locks=_locks),
]
