"""One deed at a time: payments, credits, their reversals, charges and links. Every function runs inside a deed's
transaction, after the account was locked."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Sum

from careline.domain.journal.operations import next_numbers
from careline.domain.ledger import queries, rules
from careline.domain.ledger.models import (
    Allocation,
    Charge,
    Entry,
    Payment,
    PaymentLink,
    PaymentMethod,
    Refund,
    UnbilledCharge,
)
from careline.domain.ledger.operations.bulk import (
    apply_unapplied_many,
    carrier_day,
    closed_through,
    return_payments_many,
    take_back,
    take_back_write_off,
)
from careline.foundation.act import Act
from careline.foundation.money import shown
from careline.foundation.refusal import refuse
from careline.prepared import write_rows


def post_payment(
    *, act: Act, account_id: int, amount_minor: int, method: str, provider_reference: str = "", source_key: str | None = None
) -> Payment:
    """Money came in: a payment, its entry, and its allocation to the oldest bills; what is left stays unapplied."""
    if amount_minor <= 0:
        raise refuse("INVALID", "A payment is more than nothing.", fields={"amount": "Give an amount above zero."})
    payment = Payment.objects.create(
        number=next_numbers("payment", "PY")[0],
        account_id=account_id,
        amount_minor=amount_minor,
        method=method,
        received_at=act.at,
        provider_reference=provider_reference,
        source_key=source_key,
    )
    _entry(act, account_id, rules.EntryKind.PAYMENT, -amount_minor, payment.number, f"Payment, {method}", payment=payment)
    apply_unapplied_many([account_id], act.at)
    return payment


def post_credit(
    *, act: Act, account_id: int, amount_minor: int, reference: str, label: str, bill_id: int | None = None
) -> Entry:
    """A credit's entry, allocated to the bill that it corrects first and then to the oldest."""
    entry = _entry(act, account_id, rules.EntryKind.CREDIT, -amount_minor, reference, label)
    if bill_id is not None:
        _pay(act, entry, amount_minor, bill_id)
    apply_unapplied_many([account_id], act.at)
    return entry


def reverse_entry(*, act: Act, entry_id: int, reference: str, label: str) -> Entry:
    """The exact opposite of a credit entry; its allocations are taken back, so that the bills are open again."""
    entry = Entry.objects.get(pk=entry_id)
    if Entry.objects.filter(reverses_id=entry_id).exists():
        raise refuse("CONFLICT", f"{entry.reference} was taken back already.")
    opposite = _entry(act, entry.account_id, rules.EntryKind.CREDIT_REVERSED, -entry.amount_minor, reference, label, reverses=entry)
    held = Allocation.objects.filter(entry=entry).values("bill_id", "debit_id").annotate(s=Sum("amount_minor"))
    Allocation.objects.bulk_create(
        Allocation(account_id=entry.account_id, entry=entry, amount_minor=-row["s"], at=act.at, bill_id=row["bill_id"], debit_id=row["debit_id"])
        for row in held
        if row["s"]
    )
    # The bills are open again: other money that waits unapplied pays them, or they would be past due beside it.
    apply_unapplied_many([entry.account_id], act.at)
    return opposite


def _entry(
    act: Act, account_id: int, kind: str, amount_minor: int, reference: str, label: str, payment: Payment | None = None, reverses: Entry | None = None
) -> Entry:
    day = carrier_day(act.at)
    return Entry.objects.create(
        account_id=account_id,
        kind=kind,
        day=day,
        booked_on=rules.booked_on(day, closed_through()),
        at=act.at,
        amount_minor=amount_minor,
        payment=payment,
        reference=reference,
        label=label[:120],
        reverses=reverses,
    )


def _pay(act: Act, entry: Entry, amount_minor: int, bill_id: int) -> int:
    """Put so much of an entry to one bill, at most what of it is open. Returns how much."""
    items = {i.id: i for i in queries.open_items(queries.bills_of(entry.account_id))}
    part = min(amount_minor, items[bill_id].open_minor) if bill_id in items else 0
    if part > 0:
        Allocation.objects.create(account_id=entry.account_id, entry=entry, bill_id=bill_id, amount_minor=part, at=act.at)
    return max(part, 0)


def allocate(*, act: Act, account_id: int, entry_id: int, bill_id: int, amount_minor: int, from_bill_id: int | None = None) -> Entry:
    """Let a credit or payment pay one bill: from what of it is not applied, or from another bill that it pays. What is open
    after that is paid by other money that waits, the oldest bill first."""
    entry = queries.entry_of(account_id, entry_id)
    if entry is None:
        raise refuse("NOT_FOUND", "There is no such payment or credit on this account.", fields={"entry": "Choose one."})
    if entry.amount_minor >= 0 or entry.taken_back or entry.kind == rules.EntryKind.BILL_CORRECTED:
        raise refuse("INVALID", "That pays nothing any more, or never did. Choose a payment or credit that stands.", fields={"entry": "Choose one."})
    bills = {b.id: b for b in queries.bills_of(account_id)}
    if bill_id not in bills:
        raise refuse("NOT_FOUND", "Choose a bill of this account.", fields={"bill": "Choose one."})
    if amount_minor > bills[bill_id].open_minor:
        raise refuse("CONFLICT", f"Of that bill {shown(bills[bill_id].open_minor)} is open.", fields={"amount": "At most what is open of the bill."})
    if from_bill_id is None:
        found = queries.open_of_many([account_id]).get(account_id)
        there = dict(found.credits).get(entry_id, 0) if found else 0
        say = f"Of {entry.reference} {shown(there)} is not applied."
    else:
        there = next((held for bill, held in queries.paid_by(entry_id) if bill.pk == from_bill_id), 0)
        say = f"{entry.reference} pays {shown(there)} of that other bill."
    if from_bill_id == bill_id or amount_minor > there:
        raise refuse("CONFLICT", say, fields={"amount": say})
    if from_bill_id is not None:
        Allocation.objects.create(account_id=account_id, entry=entry, bill_id=from_bill_id, amount_minor=-amount_minor, at=act.at)
    Allocation.objects.create(account_id=account_id, entry=entry, bill_id=bill_id, amount_minor=amount_minor, at=act.at)
    apply_unapplied_many([account_id], act.at)
    return entry


def write_off(*, act: Act, account_id: int, amount_minor: int, label: str, last: Mapping[int, int] | None = None) -> Entry:
    """Give up so much of what is open: an entry of its own that closes the oldest bills. The debt is not forgiven: money
    that comes later recovers it. `last`: so much of these bills is closed after all else, for it is disputed or held."""
    items = queries.open_items(queries.bills_of(account_id))
    whole = sum(i.open_minor for i in items if i.open_minor > 0)
    if amount_minor > whole:
        raise refuse("CONFLICT", f"{shown(whole)} of this account's bills is open; no more can be written off.", fields={"amount": f"At most {shown(whole)}."})
    entry = _entry(act, account_id, rules.EntryKind.WRITE_OFF, -amount_minor, next_numbers("write_off", "WO")[0], label)
    Allocation.objects.bulk_create(
        Allocation(account_id=account_id, entry=entry, bill_id=bill_id, amount_minor=part, at=act.at)
        for bill_id, part in rules.allocate_around(items, amount_minor, last or {})
    )
    return entry


def recover(*, act: Act, account_id: int, reference: str, amount_minor: int) -> Entry:
    """Take a part of a write-off back: it is owed again, and its bills are open again."""
    found = queries.write_off(account_id, reference)
    if found is None:
        raise refuse("NOT_FOUND", f"There is no write-off {reference} of this account that stands.")
    entry, left = found
    if amount_minor > left:
        raise refuse("CONFLICT", f"Of {reference} {shown(left)} stands.", fields={"amount": f"At most {shown(left)}."})
    made = take_back_write_off(entry, amount_minor, act.at, f"Taken back: {reference}")
    apply_unapplied_many([account_id], act.at)
    return made


def begin_refund(*, act: Act, payment: Payment, amount_minor: int, key: str) -> Refund:
    """A try to give a part of a payment back the way it came: written before the provider is called."""
    return Refund.objects.create(
        account_id=payment.account_id, number=next_numbers("refund", "RF")[0], key=key, payment=payment, amount_minor=amount_minor, at=act.at
    )


def settle_refund(*, act: Act, key: str, done: bool | None, reason: str, provider_reference: str) -> Refund:
    """What the provider answered. Done: the refund's entry, covered by the payment's own money first; where that pays
    bills, they are open again."""
    refund = Refund.objects.select_for_update(no_key=True, of=("self",)).select_related("payment").get(key=key)
    if refund.state != "pending" or done is None:
        return refund
    refund.state, refund.reason, refund.provider_reference = ("done" if done else "refused"), reason[:160], provider_reference
    if done:
        payment = refund.payment
        refund.entry = _entry(act, refund.account_id, rules.EntryKind.REFUND, refund.amount_minor, refund.number, f"Given back, {payment.method}", payment=payment)
        paid = queries.payment_entry(payment.pk)
        if paid is not None and not queries.was_returned(payment.pk):  # what came back meanwhile covers nothing
            found = queries.open_of_many([refund.account_id]).get(refund.account_id)
            free = dict(found.credits).get(paid.pk, 0) if found else 0
            if free < refund.amount_minor:
                take_back(paid, refund.amount_minor - free, act.at)
            Allocation.objects.create(account_id=refund.account_id, entry=paid, debit=refund.entry, amount_minor=refund.amount_minor, at=act.at)
        apply_unapplied_many([refund.account_id], act.at)
    refund.save(update_fields=["state", "reason", "provider_reference", "entry"])
    return refund


def return_payment(*, act: Act, payment: Payment, label: str) -> Payment:
    """The provider took a payment back (a returned debit, a chargeback): its bills are open again."""
    back = Payment(
        number=next_numbers("payment", "PY")[0], account_id=payment.account_id, amount_minor=payment.amount_minor, method=label[:60],
        received_at=act.at, returns=payment,
    )  # fmt: skip
    return_payments_many([back], act.at)
    return back


def charge_next_bill(
    *,
    act: Act,
    account_id: int,
    line_id: int | None,
    kind: str,
    label: str,
    quantity: Decimal,
    unit_price_minor: int,
    amount_minor: int,
    day: date,
    reference: str,
) -> UnbilledCharge:
    """A charge before tax that the next bill will carry. It is owed when that bill is, and changes no balance now."""
    return UnbilledCharge.objects.create(
        number=next_numbers("unbilled", "CH")[0],
        account_id=account_id,
        line_id=line_id,
        kind=kind,
        label=label[:120],
        quantity=quantity,
        unit_price_minor=unit_price_minor,
        amount_minor=amount_minor,
        day=day,
        at=act.at,
        reference=reference,
    )


def charge_next_bill_many(*, act: Act, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Charges for the next bill as columns (account_id, line_id, kind, label, quantity, unit_price_minor, amount_minor, tax,
    reference), in bulk. Returns their numbers in the order given."""
    numbers = next_numbers("unbilled", "CH", len(rows)) if rows else []
    day = carrier_day(act.at)
    write_rows(UnbilledCharge, [{"number": number, "day": day, "at": act.at, **row} for number, row in zip(numbers, rows, strict=True)])
    return numbers


def begin_charge(*, act: Act, account_id: int, method: PaymentMethod, amount_minor: int, key: str) -> Charge:
    """A try to take a payment: written before the provider is called, so that a lost answer can be asked for again."""
    return Charge.objects.create(
        account_id=account_id, key=key, method=method, amount_minor=amount_minor, state="pending", at=act.at
    )


def settle_charge(*, act: Act, key: str, taken: bool | None, reason: str, provider_reference: str) -> Charge:
    """What the provider answered: taken (the payment is posted), declined, or None when nobody knows yet."""
    charge = Charge.objects.select_for_update(no_key=True, of=("self",)).select_related("method").get(key=key)
    if charge.state != "pending":
        return charge
    if taken is None:
        return charge
    charge.state, charge.reason = ("taken" if taken else "declined"), reason[:160]
    if taken:
        method = f"{charge.method.brand} …{charge.method.last_four}" if charge.method else "card"
        charge.payment = post_payment(
            act=act,
            account_id=charge.account_id,
            amount_minor=charge.amount_minor,
            method=method,
            provider_reference=provider_reference,
        )
    charge.save(update_fields=["state", "reason", "payment"])
    return charge


def make_link(
    *, act: Act, account_id: int, amount_minor: int, to: str, guest: bool, hours: int
) -> tuple[PaymentLink, str]:
    """A payment link and its token (kept as a hash; it travels in the message only)."""
    token = secrets.token_urlsafe(18)
    link = PaymentLink.objects.create(
        account_id=account_id,
        reference=next_numbers("payment_link", "PL")[0],
        token_hash=hashlib.sha256(token.encode()).hexdigest(),
        amount_minor=amount_minor,
        to=to,
        to_last_four=to[-4:],
        guest=guest,
        made_at=act.at,
        expires_at=act.at + timedelta(hours=hours),
        asked_in=act.basis.key,
    )
    return link, token


def close_guest_links(*, account_id: int | None, asked_in: str) -> list[str]:
    """Close the links into an account that strangers asked for on this basis and nobody paid yet. Returns their references."""
    rows = PaymentLink.objects.select_for_update(no_key=True).filter(account_id=account_id, asked_in=asked_in, guest=True, state="open")
    links = list(rows.order_by("pk"))
    PaymentLink.objects.filter(pk__in=[link.pk for link in links]).update(state="closed")
    return [link.reference for link in links]


def settle_link(*, act: Act, reference: str, provider_reference: str, method: str) -> PaymentLink:
    """The provider says that a link was paid: post the payment once."""
    link = PaymentLink.objects.select_for_update(no_key=True).get(reference=reference)
    if link.state == "open":
        link.payment = post_payment(
            act=act,
            account_id=link.account_id,
            amount_minor=link.amount_minor,
            method=method,
            provider_reference=provider_reference,
        )
        link.state = "paid"
        link.save(update_fields=["payment", "state"])
    return link
