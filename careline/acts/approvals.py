"""The acts of asking somebody who may: ask a lead in the call, ask to be admitted, decide, withdraw."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.conf import settings
from django.db import transaction
from pydantic import Field, ValidationError

from careline.acts import table
from careline.acts.declare import ActType, Done, Id, Input, Locks, Minor, Scene, ShortWords, Words
from careline.domain.approvals import operations, queries
from careline.domain.approvals.rules import Kind, State
from careline.domain.contacts import operations as contacts
from careline.domain.customers import queries as customers
from careline.domain.journal import rules as journal
from careline.domain.staff import operations as staff
from careline.domain.staff.rules import whom_to_ask
from careline.foundation.act import Act, Who
from careline.foundation.calendar import civil_date
from careline.foundation.money import shown
from careline.foundation.refusal import Refused, WayOn, refuse


class Ask(Input):
    """Ask for an act that was refused to you. `input` is that act's own input."""

    account: Id
    code: ShortWords
    input: dict[str, Any]
    words: Words = ""


class AskAdmission(Input):
    account: Id
    person: Id | None = None
    words: Annotated[str, Field(min_length=1, max_length=4000)]


class Decide(Input):
    request: Id
    decision: Literal["approve", "less", "decline"]
    amount: Minor | None = None
    answer: Words = ""


class Withdraw(Input):
    request: Id


def _account(given: Any) -> Locks:
    return Locks(accounts=(given.account,))


def _request_account(given: Decide) -> Locks:
    asked = queries.request(given.request)
    if asked is None or asked.account_id is None:
        return Locks()
    return Locks(accounts=(asked.account_id,), spending=_spending(asked))


def _spending(asked: Any) -> str:
    if asked.kind != Kind.EXECUTE:
        return ""
    kind = table.act(asked.code)
    return kind.locks(kind.input.model_validate(asked.input_data)).spending


def ask(act: Act, given: Ask, scene: Scene) -> Done:
    from careline.acts.perform import NOBODY, hypothetical, judge

    try:
        kind = table.act(given.code)
        inner = kind.input.model_validate(given.input)
    except (KeyError, ValidationError):
        raise refuse("INVALID", "That act or its input is not known.", fields={"input": "Look at it again."}) from None
    if getattr(inner, "account", None) != given.account:
        raise refuse("BASIS_MISMATCH", "This contact is about another account.")
    if kind.call is not None:
        raise refuse(
            "CONFLICT", "This cannot be done through a request: it asks an outside system. Hand the contact over to somebody who may.",
            rule="not-by-request", way_on=(WayOn("Hand over", "contacts.hand_over"),),
        )
    refusal = judge(kind, scene, act, inner)
    if refusal is None:
        raise refuse("CONFLICT", "You may do this yourself. There is nothing to ask.")
    deciders = scene.rulebook.authority.roles_with("approvals.decide")
    roles = tuple(r for r in refusal.who_could if r in deciders and hypothetical(kind, scene, act, inner, r))
    if not roles:
        say = refusal.say if refusal.say.endswith(NOBODY) else "Nobody here may do this: " + refusal.say
        raise refuse("CONFLICT", say, rule=refusal.rule, cite=refusal.cite)
    _try(kind, act, inner, scene)
    amount = getattr(inner, "amount", None)
    facts = {**(kind.facts(scene, act, inner) if kind.facts else {}), "caller": _caller(scene)}
    row = operations.ask(
        act=act,
        kind=Kind.EXECUTE,
        code=given.code,
        input=inner.model_dump(mode="json"),
        title=kind.title + (f": {shown(amount)}" if amount else ""),
        words=given.words,
        rule=(refusal.rule, refusal.say, refusal.cite),
        roles=roles,
        facts=facts,
        amount_minor=amount,
        account_id=given.account,
        minutes=scene.rulebook.limits["approval"]["minutes"],
    )
    return Done(
        f"Asked {whom_to_ask(roles)}: {row.title.lower()}",
        {"request": str(row.pk)},
        data={"roles": list(roles), "rule": refusal.rule},
        payload={"words": given.words} if given.words else None,
    )


class _Undone(Exception):
    """The deed went through, and is taken back."""


def _try(kind: ActType, act: Act, inner: Input, scene: Scene) -> None:
    """Raises Refused when the deed would be refused whoever does it (a charge that is not there, a credit that was taken back): nobody
    is asked for that. It is done as it would be, and nothing of it stays."""
    spends = kind.locks(inner).spending
    try:
        with transaction.atomic():
            if spends and act.who.id.isdigit():
                staff.lock_spending(staff_id=int(act.who.id), kind=spends, day=civil_date(act.at, settings.CARRIER_ZONE))
            done = kind.do(act, inner, scene)
            if done.refusal is not None:
                raise Refused(done.refusal)
            raise _Undone
    except _Undone:
        return


def _caller(scene: Scene) -> dict[str, Any]:
    return {name: scene.facts[name] for name in ("caller", "mayMoney", "mayService")}


def ask_admission(act: Act, given: AskAdmission, scene: Scene) -> Done:
    if str(scene.contact.holder_id) != act.who.id and str(scene.contact.offered_to_id) != act.who.id:
        raise refuse("AUTHORITY", "Somebody else holds this contact. It has to be handed over to you first.", rule="not-your-contact")
    tie = customers.ties_with(given.account, act.who)
    if tie == "none":
        raise refuse("CONFLICT", "This account is not your own business. Open it as any other.")
    roles = scene.rulebook.authority.roles_with("approvals.decide")
    row = operations.ask(
        act=act,
        kind=Kind.ADMIT,
        code="contacts.identify",
        input={"account": given.account, "person": given.person},
        title={"own": "Open their own account", "relative": "Open a relative's account"}.get(tie, "Open a colleague's account"),
        words=given.words,
        rule=("own-business", "Nobody opens their own, a relative's or a colleague's account alone.", "authority.cedar: own-business"),
        roles=roles,
        facts={"caller": _caller(scene), "tie": tie},
        amount_minor=None,
        account_id=given.account,
        minutes=scene.rulebook.limits["approval"]["minutes"],
    )
    return Done(
        f"Asked {whom_to_ask(roles)} to admit them",
        {"request": str(row.pk)},
        data={"tie": tie},
        payload={"words": given.words},
        chain=journal.account_chain(given.account),
    )


def decide(act: Act, given: Decide, scene: Scene) -> Done:
    from careline.acts.perform import judge

    asked = scene.request
    if asked is None or asked.pk != given.request:
        raise refuse("NOT_FOUND", "There is no such request.")
    if act.who.role not in asked.role_list:
        raise refuse("AUTHORITY", "This request was not asked of your role.", rule="not-asked-of-you", who_could=tuple(asked.role_list))
    words = {"answer": given.answer} if given.answer else None
    if given.decision == "decline":
        if not given.answer:
            raise refuse("INVALID", "Say why, in a word or two: the associate tells the customer.", fields={"answer": "Say why."})
        operations.decide(act=act, request_id=asked.pk, state=State.DECLINED, answer=given.answer)
        return Done(f"Declined for {asked.asker.name}: {asked.title.lower()}", {"request": str(asked.pk)}, payload=words)
    if asked.kind == Kind.ADMIT:
        if asked.asker_id not in (asked.contact.holder_id, asked.contact.offered_to_id):
            raise refuse("CONFLICT", f"{asked.asker.name} does not hold this contact any more. Whoever holds it asks anew.")
        operations.decide(act=act, request_id=asked.pk, state=State.APPROVED, answer=given.answer)
        contacts.admit(act=act, contact_id=asked.contact_id, account_id=asked.account_id, staff_id=asked.asker_id, by_id=int(act.who.id))
        return Done(f"Admitted {asked.asker.name} to this account", {"request": str(asked.pk)}, payload=words)
    kind = table.act(asked.code)
    data = asked.input_data
    state = State.APPROVED
    if given.decision == "less":
        if given.amount is None or asked.amount_minor is None or given.amount >= asked.amount_minor:
            raise refuse("INVALID", "Less means less than was asked.", fields={"amount": f"Give an amount below {shown(asked.amount_minor or 0)}."})
        data, state = {**data, "amount": given.amount}, State.LESS
    inner = kind.input.model_validate(data)
    for_both = Act(act.who, act.at, act.why, act.key, act.basis, asked_by=asked.asker.who, rulebook=act.rulebook)
    no = judge(kind, scene, for_both, inner, keep=True)
    if no is not None:
        raise refuse(no.code, no.say, rule=no.rule, cite=no.cite, who_could=no.who_could)
    granted = getattr(inner, "amount", None)
    operations.decide(act=act, request_id=asked.pk, state=state, answer=given.answer, granted_minor=granted)
    inner_done = kind.do(for_both, inner, scene)
    return Done(
        f"{'Granted less' if state == State.LESS else 'Approved'} for {asked.asker.name}: {asked.title.lower()}" + (f", {shown(granted)} given" if granted and state == State.LESS else ""),
        {**inner_done.show, "request": str(asked.pk)},
        data={"asked_by": asked.asker.who.key, "asked": asked.amount_minor, "granted": granted},
        payload=words,
        also=((asked.code, inner_done), *inner_done.also),
    )


def withdraw(act: Act, given: Withdraw, scene: Scene) -> Done:
    row = operations.withdraw(act=act, request_id=given.request)
    return Done(f"Request withdrawn: {row.title.lower()}", {"request": str(row.pk)})


def saw_answers(*, who: Who, at: datetime, contact_id: int | None = None) -> None:
    """The asker has seen what became of their requests: a mark for the home page, not a deed on an account."""
    operations.mark_seen(asker_id=int(who.id), at=at, contact_id=contact_id)


def put_away(*, request_id: int, at: datetime) -> None:
    """An answer is needed no longer on the page of its contact: a mark too. The door knows whose page it is."""
    operations.put_away(request_id=request_id, at=at)


ACTS = [
    ActType("approvals.ask", "Ask somebody who may", Ask, ask, locks=_account),
    ActType("approvals.ask_admission", "Ask to be admitted", AskAdmission, ask_admission),
    ActType("approvals.decide", "Decide a request", Decide, decide, locks=_request_account),
    ActType("approvals.withdraw", "Withdraw a request", Withdraw, withdraw),
]
