"""The acts of payments: a saved method, a link to the number of record, a link for somebody who only wants to pay; money
given back the way it came, and money that the provider took back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, field_validator

from careline.acts import texts
from careline.acts.arrangements import after_money
from careline.acts.declare import ActType, Done, Id, Input, Locks, Minor, Scene, ShortWords, number_or_blank
from careline.carriers import need
from careline.carriers import payments as provider
from careline.domain.contacts.rules import Way
from careline.domain.customers import operations as customer_operations
from careline.domain.customers import queries as customers
from careline.domain.journal import rules as journal
from careline.domain.journal.operations import tell
from careline.domain.ledger import operations, queries
from careline.domain.ledger.ports import Answer
from careline.foundation.act import Act
from careline.foundation.money import shown
from careline.foundation.refusal import Refusal, WayOn, refuse


class Take(Input):
    account: Id
    amount: Minor
    method: Id


class SendLink(Input):
    """A link goes by text to a line, or without one to the e-mail address of record."""

    account: Id
    amount: Minor
    line: Id | None = None


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


class Refund(Input):
    """Give so much of a payment (its number) back the way it came."""

    account: Id
    payment: Annotated[str, Field(min_length=4, max_length=40)]
    amount: Minor
    words: Annotated[str, Field(min_length=1, max_length=400)]


class SwitchAutopay(Input):
    """Take what is due from the saved method on its day from now on, or no more."""

    account: Id
    on: bool
    words: Annotated[str, Field(min_length=1, max_length=400)]


class Returned(Input):
    """The provider took a payment back. `provider_reference`: the payment's own, as the provider gave it."""

    provider_reference: Annotated[str, Field(min_length=1, max_length=120)]
    reason: Annotated[str, Field(min_length=1, max_length=60)]


def _account(given: Any) -> Locks:
    return Locks(accounts=(given.account,))


def _amount_facts(scene: Scene, act: Act, given: Any) -> dict[str, Any]:
    limits = scene.rulebook.limits["payment"]
    return {"payment": {"amount": given.amount, "least": limits["least"], "most": limits["most"]}}


NOTE = WayOn("Note what the customer wants to pay", "contacts.note")
OPENING = {"payment": {"amount": 1, "least": 0, "most": 2}}
NUMBERS = {"payment.least": "limits.toml:payment.least", "payment.most": "limits.toml:payment.most"}


def begin_take(act: Act, given: Take, scene: Scene) -> Done:
    need("PAYMENTS", NOTE)
    method = queries.method(given.method)
    if method is None or method.account_id != given.account:
        raise refuse("NOT_FOUND", "Choose a saved method of this account.", fields={"method": "Choose one."})
    if not method.is_active:
        raise refuse("CONFLICT", f"{method.brand} …{method.last_four} is no longer saved. Choose another, or send a payment link.", rule="method-gone",
                     way_on=(WayOn("Send a payment link", "payments.send_link"),))  # fmt: skip
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
    told = texts.write(
        act=act, rulebook=scene.rulebook, account_id=row.account_id, topic="receipt", name="receipt", about=f"payment:{row.payment.number}",
        reference=row.payment.number, amount=amount, method=work["method"], number=row.payment.number,
    )  # fmt: skip
    return Done(
        f"Payment {row.payment.number}: {amount} with {work['method']}{'' if told else f'; no receipt was sent: {texts.NOBODY}'}",
        {"payment": row.payment.number, "amount": row.amount_minor},
        also=after_money(act, row.account_id),
    )


def send_link(act: Act, given: SendLink, scene: Scene) -> Done:
    if given.line is None:
        account = customers.account(given.account)
        if account is None or not account.customer.email:
            raise refuse("CONFLICT", "There is no e-mail address of record. Choose a number that gets texts.", rule="no-email", way_on=(NOTE,))
        return _send(act, scene, given.account, given.amount, Way("email", account.customer.email), guest=False)
    line = next((x for x in customers.numbers_of_record(given.account) if x.pk == given.line), None)
    if line is None:
        raise refuse("NOT_FOUND", "Choose a number of this account that takes texts.", fields={"line": "Choose one."})
    if not line.can_text:
        raise refuse("INVALID", "This number takes no texts. Choose another.", fields={"line": "Choose one that takes texts."})
    if not line.gets_texts:
        say = "This line is suspended and gets no texts now. Send the link by e-mail, or to another line."
        raise refuse("INVALID", say, fields={"line": say})
    return _send(act, scene, given.account, given.amount, Way("sms", line.msisdn), guest=False)


def send_guest_link(act: Act, given: GuestLink, scene: Scene) -> Done:
    return _send(act, scene, given.account, given.amount, Way("sms", given.number), guest=True)


def _send(act: Act, scene: Scene, account_id: int, amount: int, way: Way, guest: bool) -> Done:
    need("PAYMENTS", NOTE)
    need("MESSENGER", NOTE if guest else WayOn("Take a payment with a saved method", "payments.take"))
    hours = scene.rulebook.limits["payment"]["link_hours"]
    link, token = operations.make_link(
        act=act, account_id=account_id, amount_minor=amount, to=way.to if way.channel == "sms" else "", guest=guest, hours=hours
    )
    page = provider().page(reference=link.reference, token=token, amount_minor=amount, currency="USD")
    tell(
        act=act,
        topic="payment_link",
        channel=way.channel,
        to=way.to,
        subject=texts.subject(way.channel, link.reference),
        body=texts.body(scene.rulebook, "link", None if guest else account_id, amount=shown(amount), hours=hours, page=page),
        about=f"link:{link.reference}",
        account_id=None if guest else account_id,  # a guest's phone is not the customer's, nor is what the customer said about texts
        expires_at=link.expires_at,
    )
    return Done(
        f"Payment link {link.reference} for {shown(amount)} sent {texts.how(way)}",
        {"link": link.reference},
    )


def link_paid(act: Act, given: LinkPaid, scene: Scene) -> Done:
    link = queries.link_by_reference(given.link)
    if link is None:
        raise refuse("NOT_FOUND", "There is no such payment link.")
    if link.state == "open" and link.expires_at < act.at:
        raise refuse("CONFLICT", "This payment link has expired. Nothing was taken.")
    if link.state == "closed":
        raise refuse("CONFLICT", "This payment link was closed. Nothing was taken.", rule="link-closed")
    link = operations.settle_link(
        act=act, reference=given.link, provider_reference=given.provider_reference, method=given.method
    )
    assert link.payment is not None
    number, amount, told = link.payment.number, shown(link.amount_minor), "told"
    if link.guest:  # the receipt names the amount and the last four of their number, nothing of the account
        tell(act=act, topic="receipt", channel="sms", to=link.to, body=texts.body(scene.rulebook, "receipt_link", None, amount=amount, last4=link.to_last_four),
             about=f"payment:{number}", account_id=None)  # fmt: skip
    else:
        line = customers.living_line(link.to) if link.to else None  # it may be barred, or somebody else's, since
        told = texts.write(
            act=act, rulebook=scene.rulebook, account_id=link.account_id, topic="receipt", name="receipt", about=f"payment:{number}", reference=number,
            first=link.to if line is not None and line.account_id == link.account_id and line.gets_texts else "", amount=amount, method=given.method, number=number,
        )  # fmt: skip
    return Done(
        f"Payment {number}: {amount} by link {link.reference}{'' if told else f'; no receipt was sent: {texts.NOBODY}'}",
        {"payment": link.payment.number},
        chain=journal.account_chain(link.account_id),
        also=after_money(act, link.account_id),
    )


def refund_facts(scene: Scene, act: Act, given: Refund) -> dict[str, Any]:
    payment = queries.payment(given.payment)
    if payment is None or payment.account_id != given.account:
        raise refuse("NOT_FOUND", f"There is no payment {given.payment} on this account.")
    most = int(scene.rulebook.limits["refund"]["most"].get(act.who.role, 0)) - queries.refunded_of(payment.pk)
    return {"refund": {"amount": given.amount, "room": queries.refund_room(payment), "roleRoom": max(most, 0)}}


def begin_refund(act: Act, given: Refund, scene: Scene) -> Done:
    need("PAYMENTS", NOTE)
    payment = queries.payment(given.payment)
    assert payment is not None
    if not payment.provider_reference:
        raise refuse("CONFLICT", "This payment did not come through our provider, so it cannot go back the way it came. It stays as a credit.", rule="refund-way")
    key = hashlib.sha256(f"refund/{act.who.key}/{act.key}".encode()).hexdigest()
    row = operations.begin_refund(act=act, payment=payment, amount_minor=given.amount, key=key)
    return Done(
        f"Refund {row.number} of {shown(given.amount)} is under way, back to {payment.method}",
        {"refund": row.number},
        data={"payment": payment.number, "amount": given.amount},
        payload={"words": given.words},
        pending=True,
        work={"accounts": [given.account], "refund": key, "reference": payment.provider_reference, "amount": given.amount},
    )


def give_back(work: Mapping[str, Any], given: Refund) -> Answer:
    return provider().refund(key=work["refund"], reference=work["reference"], amount_minor=work["amount"], currency="USD")


def ask_refund(work: Mapping[str, Any]) -> Answer:
    return provider().ask(key=work["refund"])


def settle_refund(act: Act, work: Mapping[str, Any], answer: Answer, scene: Scene) -> Done:
    if answer.taken is None:
        return Done(answer.reason or "No answer from the payment provider yet.", {}, pending=True)
    row = operations.settle_refund(
        act=act, key=work["refund"], done=answer.taken, reason=answer.reason, provider_reference=answer.reference
    )
    amount = shown(row.amount_minor)
    if row.state != "done":
        refusal = Refusal("DECLINED", f"{row.reason or 'The provider refused.'} No money went back.", rule="provider-declined")
        return Done(f"Refund {row.number} of {amount} refused by the provider", {"refund": row.number}, refusal=refusal)
    told = texts.write(
        act=act, rulebook=scene.rulebook, account_id=row.account_id, topic="refund", name="refund", about=f"refund:{row.number}", reference=row.number,
        amount=amount, method=row.payment.method,
    )  # fmt: skip
    return Done(f"Refund {row.number}: {amount} back to {row.payment.method}{'' if told else f'; {texts.NOBODY}'}", {"refund": row.number, "amount": row.amount_minor})


def switch_autopay(act: Act, given: SwitchAutopay, scene: Scene) -> Done:
    """What is charged from now on is sent in writing first; where nothing in writing arrives, or without a method, it cannot be switched on."""
    method = queries.methods_of_many([given.account], operations.carrier_day(act.at)).get(given.account)
    if given.on and method is None:
        say = "There is no saved method that could be charged. Take a payment by link, or note what the customer wants."
        raise refuse("CONFLICT", say, rule="autopay-method", way_on=(WayOn("Send a payment link", "payments.send_link"),))
    name = f"{method.brand} …{method.last_four}" if method is not None else ""
    told = texts.write(
        act=act, rulebook=scene.rulebook, account_id=given.account, topic="autopay", name="autopay_on" if given.on else "autopay_off",
        about=f"autopay:{given.account}", reference=name or "Autopay", method=name,
    )  # fmt: skip
    if given.on and not told:
        raise refuse("CONFLICT", f"Autopay has to be sent in writing, and {texts.NOBODY}.", rule="autopay-in-writing", way_on=(NOTE,))
    if not customer_operations.switch_autopay(act=act, account_id=given.account, on=given.on):
        raise refuse("CONFLICT", f"Autopay is {'on' if given.on else 'off'} already.", rule="autopay-stands")
    return Done(f"Autopay {f'on, with {name}' if given.on else 'off'}{'' if told else f'; {texts.NOBODY}'}", data={"on": given.on}, payload={"words": given.words})


def returned(act: Act, given: Returned, scene: Scene) -> Done:
    payment = queries.payment_by_provider(given.provider_reference)
    if payment is None:
        raise refuse("NOT_FOUND", "There is no payment with this reference.")
    if queries.was_returned(payment.pk):
        raise refuse("CONFLICT", f"{payment.number} came back already.", rule="returned-once")
    back = operations.return_payment(act=act, payment=payment, label=given.reason)
    amount = shown(payment.amount_minor)
    told = texts.write(
        act=act, rulebook=scene.rulebook, account_id=payment.account_id, topic="payment_returned", name="returned", about=f"payment:{back.number}",
        reference=back.number, letter=True, amount=amount, method=payment.method,
    )  # fmt: skip
    return Done(
        f"Payment {payment.number} of {amount} came back: {back.number}{f'; told {told}' if told else ''}",
        {"payment": back.number},
        data={"returns": payment.number},
        payload={"reason": given.reason},
        chain=journal.account_chain(payment.account_id),
        also=after_money(act, payment.account_id),
    )


def _payment_account(given: Returned) -> Locks:
    payment = queries.payment_by_provider(given.provider_reference)
    return Locks(accounts=(payment.account_id,) if payment else ())


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
        facts=_amount_facts, numbers=NUMBERS,
        opening=OPENING,
        call=charge,
        recall=ask_again,
        settle=settle_take,
        key="p",
        on_page=True,
        ports=("PAYMENTS",),
    ),
    ActType(
        "payments.send_link", "Send a payment link", SendLink, send_link,
        locks=_account, facts=_amount_facts, numbers=NUMBERS, opening=OPENING, key="l", on_page=True, ports=("PAYMENTS", "MESSENGER"),
    ),
    ActType(
        "payments.send_guest_link", "Link for somebody who only pays", GuestLink, send_guest_link,
        locks=_account, facts=_amount_facts, numbers=NUMBERS, opening=OPENING, ports=("PAYMENTS", "MESSENGER"),
    ),
    ActType("payments.link_paid", "A payment link was paid", LinkPaid, link_paid, locks=_link_account),
    ActType(
        "payments.refund", "Give money back", Refund, begin_refund, locks=_account, facts=refund_facts, numbers={"refund.roleRoom": "limits.toml:refund.most.{role}"},
        opening={"refund": {"amount": 0, "room": 1, "roleRoom": 1}}, call=give_back, recall=ask_refund, settle=settle_refund, ports=("PAYMENTS",),
    ),
    ActType("payments.switch_autopay", "Autopay on or off", SwitchAutopay, switch_autopay, locks=_account, on_page=True),
    ActType("payments.returned", "A payment came back", Returned, returned, locks=_payment_account),
]
