"""The acts of promises to pay: offer plans, agree, agree anew, call off; and what other acts do once money came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any

from django.conf import settings
from pydantic import BaseModel, ConfigDict, Field

from careline.acts import texts
from careline.acts.declare import ActType, Done, Id, Input, Locks, Minor, Price, Scene
from careline.domain.arrangements import operations, queries, rules
from careline.domain.arrangements.rules import BY_EMAIL
from careline.domain.collections import queries as collections
from careline.domain.collections.rules import NON_PAYMENT
from careline.domain.contacts import queries as contacts
from careline.domain.contacts.rules import Way
from careline.domain.customers import queries as customers
from careline.domain.journal import rules as journal
from careline.domain.journal.operations import tell
from careline.domain.ledger import queries as ledger
from careline.domain.rulebook import queries as rulebooks
from careline.foundation import phone
from careline.foundation.act import Act
from careline.foundation.arrange import Policy
from careline.foundation.calendar import civil_date
from careline.foundation.money import shown
from careline.foundation.refusal import refuse
from careline.foundation.rulebook import Rulebook

Stopped = tuple[int, int]  # what has lines back that stay barred under an arrangement, and what that costs (minor units)
# Which facts rest on which number of the rulebook. The first part and the wait follow from more than one number.
NUMBERS = {"arrangement.owedLeast": "arrangements.toml:eligibility.least_owed"} | {
    f"arrangement.{fact}": f"arrangements.toml:role.{{role}}.{name}"
    for fact, name in (
        ("owedRoom", "most"), ("daysRoom", "days"), ("partsRoom", "parts"), ("tenureLeast", "tenure_days"), ("brokenRoom", "broken"),
        ("returnedRoom", "returned"), ("changesRoom", "changes"),
    )
}  # fmt: skip


class Part(BaseModel):
    """So much by the end of a day."""

    model_config = ConfigDict(extra="forbid")

    due_on: date
    amount: Minor


Parts = Annotated[list[Part], Field(min_length=1, max_length=12)]


class Propose(Input):
    """What the caller says they can pay: `now`, and `each` on every payday (none: they did not say). `payday` is one of their
    paydays, the last or the next."""

    account: Id
    now: Price = 0
    each: Minor | None = None
    rhythm: rules.Rhythm = rules.Rhythm.TWO_WEEKS
    payday: date | None = None


class Agree(Input):
    """Parts in the order of their days, which sum to all that is past due. `consent`: the fee that was read out. `method`: the saved method
    that each later part is charged to on its day, as was read out (none: they pay them)."""

    account: Id
    parts: Parts
    method: Id | None = None
    consent: Price = 0
    words: Annotated[str, Field(max_length=400)] = ""


class Change(Input):
    """Other parts for the arrangement that runs, which sum to all that is past due by now; `method` as in agreeing."""

    account: Id
    parts: Parts
    method: Id | None = None
    words: Annotated[str, Field(min_length=1, max_length=400)]


class StopCharging(Input):
    account: Id
    words: Annotated[str, Field(min_length=1, max_length=400)]


class Cancel(Input):
    account: Id
    words: Annotated[str, Field(min_length=1, max_length=400)]


def _account(given: Any) -> Locks:
    return Locks(accounts=(given.account,))


def policy_of(rulebook: Rulebook) -> Policy:
    if "arrangements.toml" not in rulebook.files:
        raise refuse("CONFLICT", "The rulebook in force has no arrangements.toml, so nobody knows what may be agreed.", rule="no-arrangements")
    return rulebook.arrangements


def today_of(act: Act) -> date:
    return civil_date(act.at, settings.CARRIER_ZONE)


def hold_of(account_id: int, today: date) -> str:
    """Why nothing is arranged on this account by anybody, or nothing: it is closed, or a hold that only a specialist lifts is on it."""
    row = customers.account(account_id)
    if row is not None and row.status != "active":
        return f"the account is {row.status}"
    rulebook = rulebooks.current()
    kinds = rulebook.ladder.holds if "ladder.toml" in rulebook.files else {}
    held = [kinds[h.kind] for h in collections.in_force([account_id], today) if h.kind in kinds]
    return next((f"it is held, {kind.title.lower()}" for kind in held if kind.specialist), "")


def past_of(account_id: int, policy: Policy, today: date, ended: bool = False) -> rules.Past:
    return queries.past(account_id, today, policy.history_days, hold_of(account_id, today), ended)


def record(found: rules.Measured, price: int, consent: int, fault: str = "") -> dict[str, Any]:
    """The facts as authority.cedarschema names them."""
    camel = {"".join(w if n == 0 else w.capitalize() for n, w in enumerate(name.split("_"))): value for name, value in asdict(found).items()}
    return {"arrangement": {**camel, "price": price, "consent": consent, "fault": fault}}


def _parts(given: Agree | Change) -> list[rules.Part]:
    return [rules.Part(p.due_on, p.amount) for p in given.parts]


def _fault(parts: Sequence[rules.Part], past: rules.Past, policy: Policy, today: date) -> str:
    """What is wrong with the parts whoever agrees to them; nothing where there can be no arrangement at all."""
    none = past.living or past.hold or past.owed_minor < policy.least_owed
    return "" if none else rules.fault(parts, past.owed_minor, today)


# What is wrong with a plan is a fact like the others and no refusal of its own: it names what is past due, and so it is said
# only where authority speaks of arrangements at all, to a verified caller.
def agree_facts(scene: Scene, act: Act, given: Agree) -> dict[str, Any]:
    policy, today, parts = policy_of(scene.rulebook), today_of(act), _parts(given)
    past = past_of(given.account, policy, today)
    found = rules.measured(past, parts, policy.of(act.who.role), policy, today)
    return record(found, policy.fee, given.consent, _fault(parts, past, policy, today))


def change_facts(scene: Scene, act: Act, given: Change) -> dict[str, Any]:
    policy, today, parts = policy_of(scene.rulebook), today_of(act), _parts(given)
    past, limits = past_of(given.account, policy, today, ended=True), policy.of(act.who.role)
    found = queries.living(given.account, today)
    if found is None:
        none = rules.changed(past, parts, limits, policy, today, agreed_on=today, next_due=today, changes=0)
        return record(none, 0, 0, "No arrangement runs on this account")
    due = found.progress.next
    measured = rules.changed(
        past, parts, limits, policy, today, agreed_on=found.row.agreed_on, next_due=due.due_on if due else today, changes=found.terms.version
    )
    return record(measured, 0, 0, _fault(parts, past, policy, today))


OPENING = {
    "arrangement": {
        "owed": 1, "owedLeast": 0, "owedRoom": 1, "parts": 0, "partsRoom": 1, "days": 0, "daysRoom": 1, "first": 1, "firstLeast": 0, "tenure": 1,
        "tenureLeast": 0, "broken": 0, "brokenRoom": 0, "wait": 0, "returned": 0, "returnedRoom": 0, "hold": "", "living": False, "changes": 0,
        "changesRoom": 0, "soon": False, "price": 0, "consent": 0, "fault": "",
    }
}  # fmt: skip


def propose(act: Act, given: Propose, scene: Scene) -> Done:
    policy, today = policy_of(scene.rulebook), today_of(act)
    past = past_of(given.account, policy, today)
    limits = policy.of(act.who.role)
    least = rules.first_least(past, limits, policy, today)
    can = rules.Can(given.now, given.each, given.rhythm, given.payday)
    found = rules.plans(past.owed_minor, least, can, limits, today)
    return Done(
        f"Plans offered for {shown(past.owed_minor)} past due: {len(found)}",
        {
            "owed": past.owed_minor, "first_least": least, "days": limits.days, "parts": limits.parts,
            "plans": [{"fits": p.fits, "parts": [{"due_on": part.due_on.isoformat(), "amount": part.amount_minor} for part in p.parts]} for p in found],
        },
    )  # fmt: skip


def in_words(parts: Sequence[rules.Part], today: date) -> str:
    """The parts as they are said: `$71.00 today and $71.00 on Friday, December 11`."""
    said = [f"{shown(p.amount_minor)} {'today' if p.due_on == today else f'on {p.due_on:%A}, {p.due_on:%B} {p.due_on.day}'}" for p in parts]
    return " and ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)


def read_out(policy: Policy, parts: Sequence[rules.Part], today: date, fee: int, method: Any = None, autopay: bool = False, stopped: Stopped = (0, 0)) -> str:
    said, (back, cost) = (in_words(parts, today), shown(sum(p.amount_minor for p in parts)), shown(fee)), stopped
    return policy.read_out(*said, method_said(method) if method else "", autopay, shown(back) if back else "", shown(cost) if cost else "")


def stays_stopped(rulebook: Rulebook, account_id: int, parts: Sequence[rules.Part], today: date) -> Stopped:
    """What has to be paid until lines come back that are barred now and stay so under an arrangement (minor units; 0: none does), and
    what that costs."""
    if "ladder.toml" not in rulebook.files:
        return 0, 0
    back = collections.to_have_lines_back(account_id, today, rulebook.ladder, sum(p.amount_minor for p in parts))
    fee = int(rulebook.reasons["suspension"][NON_PAYMENT]["fee"])
    return back, collections.restoring_costs(account_id, rulebook.ladder, fee) if back else 0


def method_said(method: Any) -> str:
    return f"{method.brand} …{method.last_four}"


def why_not_charged(rulebook: Rulebook, account_id: int, method: Any, parts: Sequence[rules.Part], today: date) -> str:
    """Why the later parts cannot be charged to a saved method, in words; nothing when they can."""
    if policy_of(rulebook).charge_from is None:
        return "This carrier charges no parts: the customer pays them."
    if method is None or method.account_id != account_id or not method.is_active:
        return "Choose a saved method of this account."
    if parts[-1].due_on <= today:
        return "No part is later than today, so there is nothing to charge later."
    if method.expires_on is not None and method.expires_on < parts[-1].due_on:
        return f"{method_said(method)} expires before the last part. Choose another, or let them pay the parts."
    if _written(rulebook, account_id) is None:
        return "What is charged has to be sent in writing first, and neither a text nor an e-mail reaches this account. Let them pay the parts."
    return ""


def _charged_to(given: Agree | Change, rulebook: Rulebook, parts: Sequence[rules.Part], today: date) -> Any:
    """The method that later parts are charged to (None: they are not). Raises Refused where that cannot be agreed."""
    if given.method is None:
        return None
    method = ledger.method(given.method)
    if why := why_not_charged(rulebook, given.account, method, parts, today):
        raise refuse("INVALID", why, fields={"method": why})
    return method


def _promised(
    act: Act, given: Agree | Change, scene: Scene, policy: Policy, number: str, parts: Sequence[rules.Part], fee: int, today: date
) -> operations.Promise:
    """What is agreed beside the parts; the written confirmation is queued."""
    method = _charged_to(given, scene.rulebook, parts, today)
    stopped = stays_stopped(scene.rulebook, given.account, parts, today)
    told, told_to = _confirm(act, scene, given.account, number, parts, method, stopped)
    row = customers.account(given.account)
    autopay = row is not None and row.autopay
    return operations.Promise(
        policy.grace_days + (policy.charge_grace if method else 0), _person(scene), read_out(policy, parts, today, fee, method, autopay, stopped), told, told_to,
        method.pk if method else None, autopay and policy.autopay_off,
    )  # fmt: skip


def _shortly(parts: Sequence[rules.Part]) -> str:
    return ", ".join(f"{shown(p.amount_minor)} on {p.due_on:%b} {p.due_on.day}" for p in parts)


def _confirm(act: Act, scene: Scene, account_id: int, number: str, parts: Sequence[rules.Part], method: Any, stopped: Stopped) -> tuple[str, str]:
    """Queue the written confirmation. Returns its words and where it goes, as terms keep it; nothing where neither a text nor an e-mail arrives."""
    way = _written(scene.rulebook, account_id)
    if way is None:
        return "", ""
    language = texts.language_of(account_id)
    plan = ", ".join(f"{shown(p.amount_minor)} {texts.day_said(scene.rulebook, language, p.due_on)}" for p in parts)
    body = texts.said(scene.rulebook, "arranged", language, plan=plan, number=number)
    back, cost = stopped
    if back:
        body += " " + texts.said(scene.rulebook, "arranged_stopped", language, back=shown(back))
    if cost:
        body += " " + texts.said(scene.rulebook, "arranged_restoring", language, cost=shown(cost))
    if method is not None:
        body += " " + texts.said(scene.rulebook, "arranged_charged", language, method=method_said(method))
    tell(act=act, topic="arrangement", channel=way.channel, to=way.to, body=body, about=f"arrangement:{number}", account_id=account_id,
         subject=texts.subject(way.channel, number))  # fmt: skip
    return body, BY_EMAIL if way.channel == "email" else phone.last_four(way.to)


def _written(rulebook: Rulebook, account_id: int) -> Way | None:
    """How something in writing arrives today."""
    return contacts.ways([account_id], "arrangement", texts.outbound_of(rulebook)).get(account_id)


def _person(scene: Scene) -> int | None:
    return scene.contact.person_id if scene.contact is not None else None


def agree(act: Act, given: Agree, scene: Scene) -> Done:
    policy, today = policy_of(scene.rulebook), today_of(act)
    parts = [rules.Part(p.due_on, p.amount) for p in given.parts]
    number = operations.next_number()
    promise = _promised(act, given, scene, policy, number, parts, policy.fee, today)
    row = operations.agree(act=act, account_id=given.account, number=number, parts=parts, promise=promise, fee_minor=policy.fee)
    amount = sum(p.amount_minor for p in parts)
    return Done(
        f"Arrangement {row.number}: {shown(amount)} past due, {_shortly(parts)}",
        {"arrangement": row.number, "today": parts[0].amount_minor if parts[0].due_on == today else 0},
        data=_data(row.number, 1, parts, promise),
        payload={"words": given.words} if given.words else None,
    )


def change(act: Act, given: Change, scene: Scene) -> Done:
    policy, today = policy_of(scene.rulebook), today_of(act)
    parts = [rules.Part(p.due_on, p.amount) for p in given.parts]
    found = queries.living(given.account, today)
    if found is None:
        raise refuse("CONFLICT", "No arrangement runs on this account.", rule="no-arrangement")
    number = found.row.number
    promise = _promised(act, given, scene, policy, number, parts, 0, today)
    terms = operations.agree_anew(act=act, account_id=given.account, parts=parts, promise=promise)
    return Done(
        f"Arrangement {number} agreed anew: {shown(terms.amount_minor)} past due, {_shortly(parts)}",
        {"arrangement": number, "today": parts[0].amount_minor if parts[0].due_on == today else 0},
        data=_data(number, terms.version, parts, promise),
        payload={"words": given.words},
    )


def stop_charging(act: Act, given: StopCharging, scene: Scene) -> Done:
    found = operations.stop_charging(act=act, account_id=given.account)
    number = found.row.number
    return Done(f"{number}: its parts are charged no more", {"arrangement": number}, data={"arrangement": number}, payload={"words": given.words})


def cancel(act: Act, given: Cancel, scene: Scene) -> Done:
    found = operations.cancel(act=act, account_id=given.account)
    number, left = found.row.number, found.progress.left_minor
    told = texts.write(
        act=act, rulebook=scene.rulebook, account_id=given.account, topic="arrangement", name="arrangement_cancelled", about=f"arrangement:{number}",
        reference=number, number=number, left=shown(left),
    )  # fmt: skip
    return Done(
        f"Arrangement {number} cancelled; {shown(left)} of it is open{'' if told else f'; {texts.NOBODY}'}",
        {"arrangement": number},
        data={"arrangement": number, "left": left},
        payload={"words": given.words},
    )


def _data(number: str, version: int, parts: Sequence[rules.Part], promise: operations.Promise) -> dict[str, Any]:
    charged = {"charged_to": promise.method_id} if promise.method_id else {}
    return {"arrangement": number, "version": version, "parts": [[p.due_on.isoformat(), p.amount_minor] for p in parts], **charged}


def after_money(act: Act, account_id: int) -> tuple[tuple[str, Done], ...]:
    """What money that came or went back does to the account's arrangement: one that is paid closes with it. Goes into `also`."""
    found = operations.look_again(act=act, account_id=account_id)
    return ((rules.SETTLE, ended(found)),) if found is not None else ()


def ended(found: queries.Standing) -> Done:
    """The journal's line about an arrangement that was kept or broken."""
    row, chain = found.row, journal.account_chain(found.row.account_id)
    if row.state == rules.State.KEPT:
        return Done(f"Arrangement {row.number} kept: all of {shown(found.terms.amount_minor)} is paid", data={"arrangement": row.number, "state": row.state}, chain=chain)
    assert row.missed_on is not None
    say = f"Arrangement {row.number} broken: the part of {row.missed_on:%b} {row.missed_on.day} was not here; {shown(found.progress.left_minor)} of it is open"
    say += "; autopay is off" if found.terms.autopay_off else ""
    data = {"arrangement": row.number, "state": row.state, "missed": row.missed_on.isoformat(), "left": found.progress.left_minor}
    return Done(say, data=data, chain=chain)


ACTS = [
    ActType("arrangements.propose", "Offer plans for what is past due", Propose, propose, locks=_account),
    ActType(
        "arrangements.agree", "Arrange payment", Agree, agree, locks=_account, facts=agree_facts, numbers=NUMBERS, opening=OPENING, key="a", on_page=True,
    ),
    ActType("arrangements.change", "Change the arrangement", Change, change, locks=_account, facts=change_facts, numbers=NUMBERS, opening=OPENING, on_page=True),
    ActType("arrangements.stop_charging", "Stop charging the parts", StopCharging, stop_charging, locks=_account, on_page=True),
    ActType("arrangements.cancel", "Cancel the arrangement", Cancel, cancel, locks=_account, on_page=True),
]  # fmt: skip
