"""The acts of payments: a saved method, a link to the number of record, a link for somebody who only wants to pay."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any

from django.conf import settings
from pydantic import Field, field_validator

from careline.acts.contacts import number_or_blank
from careline.acts.declare import ActType, Done, Id, Input, Locks, Minor, Scene, ShortWords
from careline.carriers import payments as provider
from careline.domain.customers import queries as customers
from careline.domain.journal import rules as journal
from careline.domain.journal.operations import tell
from careline.domain.ledger import operations, queries
from careline.domain.ledger.ports import Answer
from careline.foundation import phone
from careline.foundation.act import Act
from careline.foundation.money import shown
from careline.foundation.refusal import Refusal, WayOn, refuse


class Take(Input):
    account: Id
    amount: Minor
    method: Id


class SendLink(Input):
    account: Id
    amount: Minor
    line: Id


class GuestLink(Input):
    account: Id
    amount: Minor
    number: str

    @field_validator("number")
    @classmethod
    def whole(cls, text: str) -> str:
        found = number_or_blank(text)
        if not found:
            raise ValueError("Ask for the number of the phone that the link shall go to.")
        return found


class LinkPaid(Input):
    link: ShortWords
    provider_reference: Annotated[str, Field(max_length=120)]
    method: Annotated[str, Field(min_length=1, max_length=60)]


def _account(given: Any) -> Locks:
    return Locks(accounts=(given.account,))


def _amount_facts(scene: Scene, act: Act, given: Any) -> dict[str, Any]:
    limits = scene.rulebook.limits["payment"]
    return {"payment": {"amount": given.amount, "least": limits["least"], "most": limits["most"]}}


OPENING = {"payment": {"amount": 1, "least": 0, "most": 2}}


def begin_take(act: Act, given: Take, scene: Scene) -> Done:
    method = queries.method(given.method)
    if method is None or method.account_id != given.account or not method.is_active:
        raise refuse("INVALID", "Choose a saved method of this account.", fields={"method": "Choose one."})
    if method.expires_on and method.expires_on < operations.carrier_day(act.at):
        raise refuse("CONFLICT", f"{method.brand} …{method.last_four} has expired. Send a payment link instead.",
                     way_on=(WayOn("Send a payment link", "payments.send_link"),))
    key = f"{act.who.key}/{act.key}"
    if len(key) > 80:  # cut off, two keys of one principal could become one charge
        key = hashlib.sha256(key.encode()).hexdigest()
    operations.begin_charge(act=act, account_id=given.account, method=method, amount_minor=given.amount, key=key)
    return Done(
        f"Payment of {shown(given.amount)} with {method.brand} …{method.last_four} is under way",
        {"charge": key},
        pending=True,
        work={
            "accounts": [given.account],
            "charge": key,
            "token": method.token,
            "amount": given.amount,
            "method": f"{method.brand} …{method.last_four}",
        },
    )


def charge(work: Mapping[str, Any], given: Take) -> Answer:
    return provider().charge(key=work["charge"], token=work["token"], amount_minor=work["amount"], currency="USD")


def ask_again(work: Mapping[str, Any]) -> Answer:
    return provider().ask(key=work["charge"])


def settle_take(act: Act, work: Mapping[str, Any], answer: Answer, scene: Scene) -> Done:
    if answer.taken is None:
        return Done(answer.reason or "No answer from the payment provider yet.", {"charge": work["charge"]}, pending=True)
    row = operations.settle_charge(
        act=act, key=work["charge"], taken=answer.taken, reason=answer.reason, provider_reference=answer.reference
    )
    amount = shown(work["amount"])
    if row.state != "taken" or row.payment is None:
        refusal = Refusal(
            "DECLINED",
            f"{row.reason or 'The payment was declined.'} No money moved.",
            rule="provider-declined",
            way_on=(WayOn("Send a payment link", "payments.send_link"),),
        )
        return Done(f"Payment of {amount} declined", {"charge": work["charge"]}, refusal=refusal)
    line = next(iter(customers.numbers_of_record(row.account_id)), None)
    if line is not None:
        tell(act=act, topic="receipt", channel="sms", to=line.msisdn,
             body=f"{settings.CARRIER_NAME}: we received {amount} with {work['method']}. Thank you. Receipt {row.payment.number}.",
             about=f"payment:{row.payment.number}")
    return Done(
        f"Payment {row.payment.number}: {amount} with {work['method']}",
        {"payment": row.payment.number, "amount": row.amount_minor},
    )


def send_link(act: Act, given: SendLink, scene: Scene) -> Done:
    line = customers.line(given.line)
    if line is None or line.account_id != given.account:
        raise refuse("INVALID", "Choose a number of this account.", fields={"line": "Choose one."})
    return _send(act, scene, given.account, given.amount, line.msisdn, guest=False)


def send_guest_link(act: Act, given: GuestLink, scene: Scene) -> Done:
    return _send(act, scene, given.account, given.amount, given.number, guest=True)


def _send(act: Act, scene: Scene, account_id: int, amount: int, to: str, guest: bool) -> Done:
    hours = scene.rulebook.limits["payment"]["link_hours"]
    link, token = operations.make_link(
        act=act, account_id=account_id, amount_minor=amount, to=to, guest=guest, hours=hours
    )
    tell(
        act=act,
        topic="payment_link",
        channel="sms",
        to=to,
        body=f"{settings.CARRIER_NAME}: pay {shown(amount)} here within {hours} hours: /pay/{token}",
        about=f"link:{link.reference}",
        expires_at=link.expires_at,
    )
    return Done(
        f"Payment link {link.reference} for {shown(amount)} sent to the number ending in {phone.last_four(to)}",
        {"link": link.reference},
    )


def link_paid(act: Act, given: LinkPaid, scene: Scene) -> Done:
    link = queries.link_by_reference(given.link)
    if link is None:
        raise refuse("NOT_FOUND", "There is no such payment link.")
    if link.state == "open" and link.expires_at < act.at:
        raise refuse("CONFLICT", "This payment link has expired. Nothing was taken.")
    link = operations.settle_link(
        act=act, reference=given.link, provider_reference=given.provider_reference, method=given.method
    )
    assert link.payment is not None
    tell(
        act=act,
        topic="receipt",
        channel="sms",
        to=link.to,
        # A guest's receipt names the amount and the last four of their number, nothing of the account.
        body=f"{settings.CARRIER_NAME}: we received {shown(link.amount_minor)} from the phone ending in {link.to_last_four}. Thank you.",
        about=f"payment:{link.payment.number}",
    )
    return Done(
        f"Payment {link.payment.number}: {shown(link.amount_minor)} by link {link.reference}",
        {"payment": link.payment.number},
        chain=journal.account_chain(link.account_id),
    )


def _link_account(given: LinkPaid) -> Locks:
    link = queries.link_by_reference(given.link)
    return Locks(accounts=(link.account_id,) if link else ())


ACTS = [
    ActType(
        "payments.take",
        "Take a payment",
        Take,
        begin_take,
        locks=_account,
        facts=_amount_facts,
        opening=OPENING,
        call=charge,
        recall=ask_again,
        settle=settle_take,
        key="p",
        on_page=True,
    ),
    ActType(
        "payments.send_link", "Send a payment link", SendLink, send_link,
        locks=_account, facts=_amount_facts, opening=OPENING, key="l", on_page=True,
    ),
    ActType(
        "payments.send_guest_link", "Link for somebody who only pays", GuestLink, send_guest_link,
        locks=_account, facts=_amount_facts, opening=OPENING,
    ),
    ActType("payments.link_paid", "A payment link was paid", LinkPaid, link_paid, locks=_link_account),
]
