"""The acts of collections: hold an account, a bill of it or an amount, and let the ladder go on."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, time, timedelta
from typing import Annotated, Any

from django.conf import settings
from pydantic import Field

from careline.acts.declare import ActType, Day, Done, Id, Input, Locks, Minor, Scene, ShortWords
from careline.domain.collections import operations, queries, rules
from careline.domain.collections.queries import calling
from careline.domain.contacts import operations as contact_operations
from careline.domain.contacts import queries as contacts
from careline.domain.customers import queries as customers
from careline.domain.journal import rules as journal
from careline.domain.ledger import queries as ledger
from careline.foundation import phone
from careline.foundation.act import Act, Basis, Level
from careline.foundation.calendar import civil_date, hour_said, on_the_wall
from careline.foundation.ladder import HoldKind
from careline.foundation.money import shown
from careline.foundation.refusal import refuse
from careline.foundation.rulebook import Rulebook


class PlaceHold(Input):
    """`kind`: its code in ladder.toml. `until`: the last day on which it holds. `amount`, `bill`: hold only so much, of one bill
    or of the oldest; without them the whole account is held."""

    account: Id
    kind: ShortWords
    until: Day | None = None
    amount: Minor | None = None
    bill: Id | None = None
    words: Annotated[str, Field(min_length=1, max_length=400)]


class LiftHold(Input):
    """`hold`: its number."""

    account: Id
    hold: Annotated[str, Field(min_length=4, max_length=40)]
    words: Annotated[str, Field(min_length=1, max_length=400)]


def _account(given: Any) -> Locks:
    return Locks(accounts=(given.account,))


def _kind(scene: Scene, code: str) -> HoldKind:
    if "ladder.toml" not in scene.rulebook.files:
        raise refuse("CONFLICT", "The rulebook in force has no ladder.toml: nothing is collected here, so there is nothing to hold.", rule="no-ladder")
    found = scene.rulebook.ladder.holds.get(code)
    if found is None or not found.placed:
        raise refuse("INVALID", "Choose a kind of the list.", fields={"kind": "Choose one."})
    return found


def _today(act: Act) -> date:
    return civil_date(act.at, settings.CARRIER_ZONE)


def hold_room(rulebook: Rulebook, role: str) -> int:
    """For how many days a role may hold until a day."""
    return int(rulebook.limits["hold"]["days"].get(role, 0))


def hold_facts(scene: Scene, act: Act, given: PlaceHold) -> dict[str, Any]:
    kind = _kind(scene, given.kind)
    days = (given.until - _today(act)).days if given.until is not None else 0
    room = hold_room(scene.rulebook, act.who.role)
    return {
        "hold": {
            "open": given.until is None,
            "needsEnd": kind.ends,
            "days": days if kind.ends else 0,
            "daysRoom": min(room, kind.days) if kind.days is not None else room,
        }
    }


def place(act: Act, given: PlaceHold, scene: Scene) -> Done:
    kind = _kind(scene, given.kind)
    today = _today(act)
    if given.until is not None and given.until < today:
        say = "That day is over. Choose today or later."
        raise refuse("INVALID", say, fields={"until": say})
    if (given.amount is not None or given.bill is not None) and not kind.part:
        say = f"“{kind.title}” holds the whole account. Leave amount and bill empty."
        raise refuse("INVALID", say, fields={"amount": say})
    number = ""
    if given.bill is not None:
        number = ledger.numbers_of(given.account, [given.bill]).get(given.bill, "")
        if not number:
            raise refuse("NOT_FOUND", "Choose a bill of this account.", fields={"bill": "Choose one."})
    last = given.until
    if last is None and kind.days is not None:
        last = today + timedelta(days=kind.days)
    review = today + timedelta(days=kind.review) if kind.review is not None else None
    row = operations.place_hold(
        act=act, account_id=given.account, kind=kind.code, ends_on=last, review_on=review, amount_minor=given.amount, bill_id=given.bill
    )
    what = f"{shown(given.amount)} of bill {number}" if given.amount and number else f"bill {number}" if number else shown(given.amount) if given.amount else "the account"
    until = f" until {last:%b} {last.day}, {last.year}" if last else f", to be looked at on {review:%b} {review.day}" if review else ""
    return Done(
        f"{row.reference}: {what} held, {kind.title.lower()}{until}",
        {"hold": row.reference},
        data={"hold": row.reference, "kind": kind.code, "amount": given.amount, "bill": number, "cite": kind.cite},
        payload={"words": given.words},
    )  # fmt: skip


def _of(given: LiftHold) -> Any:
    row = queries.hold(given.hold)
    if row is None or row.account_id != given.account:
        raise refuse("NOT_FOUND", f"There is no hold {given.hold} on this account.")
    return row


def lift_facts(scene: Scene, act: Act, given: LiftHold) -> dict[str, Any]:
    kind = scene.rulebook.ladder.holds.get(_of(given).kind) if "ladder.toml" in scene.rulebook.files else None
    return {"lift": {"specialist": kind is None or kind.specialist}}


def lift(act: Act, given: LiftHold, scene: Scene) -> Done:
    row = operations.lift_hold(act=act, hold_id=_of(given).pk)
    return Done(f"{row.reference} lifted: collected again from here on", {"hold": row.reference}, data={"hold": row.reference, "kind": row.kind},
                payload={"words": given.words}, chain=journal.account_chain(row.account_id))  # fmt: skip


class KeepHold(Input):
    """`hold`: its number. Somebody looked at it, and it stands."""

    hold: Annotated[str, Field(min_length=4, max_length=40)]
    words: Annotated[str, Field(min_length=1, max_length=400)]


def _kept(given: KeepHold) -> Locks:
    row = queries.hold(given.hold)
    return Locks(accounts=(row.account_id,) if row is not None else ())


def keep(act: Act, given: KeepHold, scene: Scene) -> Done:
    """A hold that was to be looked at stands, and is looked at again after as many days as before."""
    row = queries.hold(given.hold)
    if row is None:
        raise refuse("NOT_FOUND", f"There is no hold {given.hold}.")
    kind = scene.rulebook.ladder.holds.get(row.kind) if "ladder.toml" in scene.rulebook.files else None
    if kind is None or kind.review is None or row.review_on is None:
        raise refuse("CONFLICT", f"{row.reference} is not to be looked at on a day: it ends by itself, or is lifted.", rule="hold-no-review")
    on = _today(act) + timedelta(days=kind.review)
    operations.keep_hold(act=act, hold_id=row.pk, review_on=on)
    return Done(f"{row.reference} stands, {kind.title.lower()}; to be looked at again on {on:%b} {on.day}", {"hold": row.reference, "on": on.isoformat()},
                data={"hold": row.reference, "kind": row.kind, "review_on": on.isoformat()}, payload={"words": given.words},
                chain=journal.account_chain(row.account_id))  # fmt: skip


class CallAgain(Input):
    """Call on this day and not before. `start`: from what time on, where they live; `asked`: the customer asked for it."""

    account: Id
    on: Day
    start: time | None = None
    asked: bool = False
    words: Annotated[str, Field(max_length=400)] = ""


def _to_call(scene: Scene, account_id: int, today: date) -> tuple[queries.Known, tuple[int, str, str]]:
    """What is known of whom a call is about, and their line, its number and their name. Raises Refused where there is nothing to call about."""
    if "ladder.toml" not in scene.rulebook.files:
        raise refuse("CONFLICT", "The rulebook in force has no ladder.toml: nobody is called about money here.", rule="no-ladder")
    ladder = scene.rulebook.ladder
    line = customers.called([account_id]).get(account_id)
    known = queries.known([account_id], today, ladder).get(account_id)
    if line is None or known is None or known.climb is None:
        raise refuse("CONFLICT", "There is nothing to call about on this account, or no number to call.", rule="nothing-to-call")
    if rules.target(ladder, known.facts, today).index < 0:
        raise refuse("CONFLICT", "What is past due on this account is held or paid. Nobody is called about it.", rule="call-held")
    return known, line


def put_again(act: Act, given: CallAgain, scene: Scene) -> Done:
    """Put somebody to be called on a day. They stand on the past-due queue for everybody then, and not before."""
    today = _today(act)
    _to_call(scene, given.account, today)
    policy, last = scene.rulebook.outbound, today + timedelta(days=scene.rulebook.ladder.again_days)
    if not today <= given.on <= last:
        say = f"Choose a day from today to {last:%b} {last.day}."
        raise refuse("INVALID", say, fields={"on": say})
    if given.start is not None and not policy.first <= given.start < policy.last:
        say = f"Nobody is called before {hour_said(policy.first)} or from {hour_said(policy.last)} on, where they live."
        raise refuse("INVALID", say, fields={"start": say})
    if given.asked and (scene.basis.level < Level.WRAP_UP or not scene.facts["mine"]):
        say = "Only who is known to be the customer can ask for it. Leave this empty, and the caps hold."
        raise refuse("INVALID", say, fields={"asked": say})
    operations.call_again(act=act, account_id=given.account, on=given.on, start=given.start, asked=given.asked)
    when = f"on {given.on:%b} {given.on.day}{f' from {hour_said(given.start)} on, their time' if given.start else ''}"
    return Done(f"To be called again {when}{', as they asked' if given.asked else ''}", {"on": given.on.isoformat()},
                data={"on": given.on.isoformat(), "start": f"{given.start:%H:%M}" if given.start else "", "asked": given.asked},
                payload={"words": given.words} if given.words else None, chain=journal.account_chain(given.account))  # fmt: skip


class CallOut(Input):
    """Call somebody about money that is past due."""

    account: Id


def call_out(act: Act, given: CallOut, scene: Scene) -> Done:
    """Open a contact and show the number to dial. Who picks up is asked before anything is said; nothing of the debt is shown
    before they are known. Refused when the contact rules say not now, with the moment from which."""
    today = _today(act)
    known, (line_id, number, _) = _to_call(scene, given.account, today)
    policy = scene.rulebook.outbound
    quiet = queries.quiet([given.account], today, scene.rulebook.ladder)
    reach = contacts.reaches([(given.account, number)], policy, act.at, quiet)[given.account]
    verdict = calling.may_call(policy, reach, queries.call_again_of(given.account), known.account.zone, act.at)
    if not verdict.ok:
        when = f" They may be called from {on_the_wall(verdict.later, settings.CARRIER_ZONE, act.at)} (your time)." if verdict.later else ""
        raise refuse("CONFLICT", f"Not now: {verdict.say}{when}", rule="contact-rules", cite=verdict.cite)
    operations.called(act=act, account_id=given.account)
    contact = contact_operations.open_contact(
        act=act, channel="voice", inbound=False, caller_number=number, reason=contacts.PAST_DUE, account_id=given.account, person_id=None
    )
    basis = Basis("contact", contact.pk, given.account, 1, contact.reference, contact.pk)
    minutes = int(scene.rulebook.verification["callback"]["minutes"])
    contact_operations.begin_call_back(act=replace(act, basis=basis), account_id=given.account, line_id=line_id, minutes=minutes)
    return Done(f"{contact.reference}: calling the number of record ending in {phone.last_four(number)}", {"contact": contact.reference, "id": str(contact.pk)},
                chain=journal.account_chain(given.account))  # fmt: skip


ACTS = [
    ActType("collections.call", "Call about money past due", CallOut, call_out, locks=_account, chooses="account"),
    ActType("collections.call_again", "Call again on a day", CallAgain, put_again, locks=_account),
    ActType("collections.keep_hold", "Keep a hold that was to be looked at", KeepHold, keep, locks=_kept),
    ActType("collections.hold", "Hold what is collected", PlaceHold, place, locks=_account, facts=hold_facts, numbers={"hold.daysRoom": "limits.toml:hold.days.{role}"},
            opening={"hold": {"open": False, "needsEnd": False, "days": 0, "daysRoom": 0}}),
    ActType("collections.release", "Lift a hold", LiftHold, lift, locks=_account, facts=lift_facts, opening={"lift": {"specialist": False}}),
]  # fmt: skip
