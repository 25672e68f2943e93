"""The acts that prove who is calling: the account PIN, a one-time code, a call back to the number of record."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings

from careline.acts.declare import ActType, Done, Id, Input, Locks, Scene, Secret
from careline.domain.contacts import operations, queries, rules
from careline.domain.customers import queries as customers
from careline.domain.journal.operations import tell
from careline.foundation import phone, pins
from careline.foundation.act import Act, Level
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


def _locks(given: Any) -> Locks:
    return Locks(accounts=(given.account,))


def _count(act: Act, account_id: int, factor: str, scene: Scene) -> bool:
    policy = scene.rulebook.verification[factor]
    return operations.count_try(
        act=act, account_id=account_id, factor=factor, limit=policy["failures"], lock_hours=policy["lock_hours"]
    )


def _wrong(act: Act, account_id: int, factor: str, locked: bool, scene: Scene) -> Done:
    """A try that failed; it was counted before. A lock is told to the customer's numbers of record."""
    policy = scene.rulebook.verification[factor]
    if locked:
        for line in customers.numbers_of_record(account_id)[:1]:
            tell(
                act=act,
                topic="security_notice",
                channel="sms",
                to=line.msisdn,
                body=f"{settings.CARRIER_NAME}: somebody tried to get into your account by phone and failed. "
                f"We locked that way for {policy['lock_hours']} hours. If it was not you, call us.",
                about=f"lock:{account_id}:{factor}",
            )
    left = queries.lockouts(account_id, scene.rulebook.verification, act.at)[factor].left
    say = policy["locked"] if locked else f"That did not match. {left} {'try' if left == 1 else 'tries'} left."
    ways = (
        WayOn("Send a one-time code", "contacts.send_code"),
        WayOn("Call back the number of record", "contacts.call_back"),
    )
    refusal = Refusal(
        "LOCKED" if locked else "NOT_PROVEN",
        say,
        rule=f"{factor}-{'locked' if locked else 'failed'}",
        cite=policy["cite"],
        way_on=ways,
        fields={} if locked else {factor: say},
    )
    return Done(f"{policy['title']}: {'locked after a wrong try' if locked else 'a wrong try'}", refusal=refusal)


def _prove(
    act: Act, account_id: int, factor: str, scene: Scene, number_age: timedelta | None, person_id: int | None
) -> Done:
    """`person_id`: who gave the proof; another voice that came on the line meanwhile gets nothing of it."""
    contact = scene.contact
    hours = scene.rulebook.verification["level"]["strong_number_hours"]
    counts = act.basis.level >= Level.VERIFIED  # what was proven before a silence counts no more
    held = contact.proven if counts else ()
    if number_age is None and set(held) & rules.POSSESSION:
        number_age = _proven_number_age(act, contact.pk, account_id)
    level = rules.level_of([*held, factor], number_age, hours)
    if counts:  # one more proof never takes away
        level = max(level, Level(act.basis.level))
    operations.prove(act=act, account_id=account_id, person_id=person_id, factor=factor, level=int(level))
    title = scene.rulebook.verification[factor]["title"]
    return Done(f"{title}: caller {LEVEL_NAMES[level]}", {"level": int(level)})


def _proven_number_age(act: Act, contact_id: int, account_id: int) -> timedelta | None:
    """How long the number that last proved possession (by code or call back) has been its line's."""
    codes = [c for c in queries.codes_of(contact_id, account_id) if c.used_at]
    used = max(codes, key=lambda c: (c.used_at, c.pk), default=None)
    return act.at - used.line.number_since if used else None


def begin_pin(act: Act, given: CheckPin, scene: Scene) -> Done:
    """Counted as failed and committed before the hash is checked; the right PIN forgets the count again."""
    hashed = customers.pin_hash(given.account)
    if hashed is None:
        raise refuse(
            "CONFLICT",
            "This account has no PIN. Send a one-time code, or call back the number of record.",
            way_on=(WayOn("Send a one-time code", "contacts.send_code"),),
        )
    locked = _count(act, given.account, "pin", scene)
    return Done(
        "PIN is being checked",
        pending=True,
        work={"accounts": [given.account], "locked": locked, "person": scene.contact.person_id},
    )


def check_pin_hash(work: Mapping[str, Any], given: CheckPin) -> bool:
    """Outside any transaction: Argon2 is slow on purpose. Reads the hash again; it is never in the work record."""
    hashed = customers.pin_hash(given.account)
    return hashed is not None and pins.matches(hashed, given.pin.get_secret_value(), settings.PEPPER)


def settle_pin(act: Act, work: Mapping[str, Any], right: bool, scene: Scene) -> Done:
    (account_id,) = work["accounts"]
    if not right:
        return _wrong(act, account_id, "pin", work["locked"], scene)
    return _prove(act, account_id, "pin", scene, None, work["person"])


def send_code(act: Act, given: SendCode, scene: Scene) -> Done:
    policy = scene.rulebook.verification["code"]
    line = customers.line(given.line)
    if line is None or line.account_id != given.account or line.status not in ("active", "suspended"):
        raise refuse("INVALID", "Choose a number of record of this account.", fields={"line": "Choose one."})
    if not line.can_text:
        raise refuse("CONFLICT", "This line takes no texts. Call it back instead.")
    if _locked(act, given.account, "code", scene):
        raise refuse("LOCKED", policy["locked"], rule="code-locked", cite=policy["cite"])
    code = "".join(secrets.choice("0123456789") for _ in range(policy["digits"]))
    operations.send_code(
        act=act,
        account_id=given.account,
        line_id=line.pk,
        number=line.msisdn,
        code=code,
        minutes=policy["minutes"],
        sends=policy["sends"],
    )
    return Done(f"One-time code sent to the number ending in {phone.last_four(line.msisdn)}")


def check_code(act: Act, given: CheckCode, scene: Scene) -> Done:
    locked = _count(act, given.account, "code", scene)
    typed = queries.code_hash(act.basis.id or 0, "".join(c for c in given.code.get_secret_value() if c.isdigit()))
    codes = queries.codes_of(act.basis.id or 0, given.account)
    match = next(
        (c for c in codes if c.used_at is None and c.expires_at > act.at and hmac.compare_digest(c.hash, typed)), None
    )
    if match is None:
        return _wrong(act, given.account, "code", locked, scene)
    operations.use_code(act=act, code_id=match.pk)
    return _prove(act, given.account, "code", scene, act.at - match.line.number_since, scene.contact.person_id)


def call_back(act: Act, given: CallBack, scene: Scene) -> Done:
    """The associate called the number of record and the caller picked up: possession, proven by the associate's word
    and the outbound call that the journal names."""
    policy = scene.rulebook.verification["callback"]
    line = customers.line(given.line)
    if line is None or line.account_id != given.account or line.status not in ("active", "suspended"):
        raise refuse("INVALID", "Choose a number of record of this account.", fields={"line": "Choose one."})
    if _locked(act, given.account, "callback", scene):
        raise refuse("LOCKED", policy["locked"], rule="callback-locked", cite=policy["cite"])
    done = _prove(act, given.account, "callback", scene, act.at - line.number_since, scene.contact.person_id)
    operations.called_back(act=act, account_id=given.account, line_id=line.pk)
    return Done(f"{done.say} at the number ending in {phone.last_four(line.msisdn)}", done.show)


def _locked(act: Act, account_id: int, factor: str, scene: Scene) -> bool:
    return queries.lockouts(account_id, scene.rulebook.verification, act.at)[factor].is_locked(act.at)


ACTS = [
    ActType(
        "contacts.check_pin",
        "Check the PIN",
        CheckPin,
        begin_pin,
        locks=_locks,
        call=check_pin_hash,
        recall=lambda _: False,  # a lost check stays what it was counted as: a failed try
        settle=settle_pin,
    ),
    ActType("contacts.send_code", "Send a one-time code", SendCode, send_code, locks=_locks),
    ActType("contacts.check_code", "Check the code", CheckCode, check_code, locks=_locks),
    ActType("contacts.call_back", "Called back", CallBack, call_back, locks=_locks),
]
