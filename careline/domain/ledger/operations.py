"""Posting to the ledger. Every function runs inside a deed's transaction, after the account was locked."""

from __future__ import annotations

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Sum

from careline.domain.journal.operations import next_numbers
from careline.domain.ledger import queries, rules
from careline.domain.ledger.models import (
    Allocation,
    Bill,
    BillLine,
    Charge,
    Entry,
    Payment,
    PaymentLink,
    PaymentMethod,
)
from careline.foundation.act import Act
from careline.foundation.calendar import civil_date
from careline.foundation.refusal import refuse


def carrier_day(at: datetime) -> date:
    return civil_date(at, settings.CARRIER_ZONE)


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
    entry = _entry(act, account_id, rules.EntryKind.PAYMENT, -amount_minor, payment.number, f"Payment, {method}", payment=payment)
    _apply(act, entry, amount_minor)
    return payment


def post_credit(
    *, act: Act, account_id: int, amount_minor: int, reference: str, label: str, bill_id: int | None = None
) -> Entry:
    """A credit's entry, allocated to the bill that it corrects first and then to the oldest."""
    entry = _entry(act, account_id, rules.EntryKind.CREDIT, -amount_minor, reference, label)
    _apply(act, entry, amount_minor, first_bill=bill_id)
    return entry


def reverse_entry(*, act: Act, entry_id: int, reference: str, label: str) -> Entry:
    """The exact opposite of a credit entry; its allocations are taken back, so that the bills are open again."""
    entry = Entry.objects.get(pk=entry_id)
    if Entry.objects.filter(reverses_id=entry_id).exists():
        raise refuse("CONFLICT", f"{entry.reference} was taken back already.")
    opposite = Entry.objects.create(
        account_id=entry.account_id,
        kind=rules.EntryKind.CREDIT_REVERSED,
        day=carrier_day(act.at),
        at=act.at,
        amount_minor=-entry.amount_minor,
        reference=reference,
        label=label,
        reverses=entry,
    )
    held = Allocation.objects.filter(entry=entry).values("bill_id").annotate(s=Sum("amount_minor"))
    Allocation.objects.bulk_create(
        Allocation(account_id=entry.account_id, entry=entry, bill_id=row["bill_id"], amount_minor=-row["s"], at=act.at)
        for row in held
        if row["s"]
    )
    # The bills are open again: other money that waits unapplied pays them, or they would be past due beside it.
    apply_unapplied_many([entry.account_id], act.at)
    return opposite


def _entry(
    act: Act, account_id: int, kind: str, amount_minor: int, reference: str, label: str, payment: Payment | None = None
) -> Entry:
    return Entry.objects.create(
        account_id=account_id,
        kind=kind,
        day=carrier_day(act.at),
        at=act.at,
        amount_minor=amount_minor,
        payment=payment,
        reference=reference,
        label=label,
    )


def _apply(act: Act, entry: Entry, amount_minor: int, first_bill: int | None = None) -> None:
    bills = queries.bills_of(entry.account_id)
    items = [i for i in queries.open_items(bills) if i.open_minor > 0]
    made: list[tuple[int, int]] = []
    if first_bill is not None:
        made = rules.allocate([i for i in items if i.id == first_bill], amount_minor)
        amount_minor -= sum(part for _, part in made)
        items = [i for i in items if i.id != first_bill]
    made += rules.allocate(items, amount_minor)
    Allocation.objects.bulk_create(
        Allocation(account_id=entry.account_id, entry=entry, bill_id=bill_id, amount_minor=part, at=act.at)
        for bill_id, part in made
    )


def post_bills_many(bills: Sequence[Bill], lines: Sequence[tuple[Bill, BillLine]], at: datetime) -> None:
    """Write many bills with their lines and entries in bulk. Each bill's lines must sum to its total (ValueError).

    Unapplied money of an account is applied to its new bills oldest first. Taxed lines must come before their taxes.
    """
    sums: dict[int, int] = defaultdict(int)
    for bill, line in lines:
        sums[id(bill)] += line.amount_minor
    for bill in bills:
        if sums[id(bill)] != bill.total_minor:
            raise ValueError(f"bill {bill.number}: its lines sum to {sums[id(bill)]}, its total is {bill.total_minor}")
    Bill.objects.bulk_create(bills, batch_size=2000)
    plain = [(b, n) for b, n in lines if n.taxed_line is None]
    taxes = [(b, n) for b, n in lines if n.taxed_line is not None]
    for part in (plain, taxes):
        for bill, line in part:
            line.bill = bill
            if line.taxed_line is not None:
                line.taxed_line = line.taxed_line  # refresh the id, which bulk_create has just set
        BillLine.objects.bulk_create([line for _, line in part], batch_size=2000)
    Entry.objects.bulk_create(
        [
            Entry(
                account_id=b.account_id,
                kind=rules.EntryKind.BILL,
                day=b.issued_on,
                at=datetime.combine(b.issued_on, datetime.min.time(), tzinfo=ZoneInfo(settings.CARRIER_ZONE)),
                amount_minor=b.total_minor,
                bill=b,
                reference=b.number,
                label=f"Bill {b.period_start:%b} {b.period_start.day} to {b.period_end:%b} {b.period_end.day}",
            )
            for b in bills
        ],
        batch_size=2000,
    )
    apply_unapplied_many(sorted({b.account_id for b in bills}), at)


def post_payments_many(payments: Sequence[Payment], at: datetime) -> None:
    """Write many payments with their entries in bulk, allocated oldest bill first. `returns` makes a debit entry."""
    Payment.objects.bulk_create(payments, batch_size=2000)
    Entry.objects.bulk_create(
        [
            Entry(
                account_id=p.account_id,
                kind=rules.EntryKind.PAYMENT,
                day=carrier_day(p.received_at),
                at=p.received_at,
                amount_minor=-p.amount_minor,
                payment=p,
                reference=p.number,
                label=f"Payment, {p.method}",
            )
            for p in payments
        ],
        batch_size=2000,
    )
    apply_unapplied_many(sorted({p.account_id for p in payments}), at)


def apply_unapplied_many(account_ids: Iterable[int], at: datetime, slice_size: int = 400) -> None:
    """Put every account's unapplied credits and payments to its open bills, oldest due first, in bulk."""
    ids = list(account_ids)
    for start in range(0, len(ids), slice_size):
        _apply_slice(ids[start : start + slice_size], at)


def _apply_slice(ids: Sequence[int], at: datetime) -> None:
    by_entry: dict[int, int] = defaultdict(int)
    by_bill: dict[int, int] = defaultdict(int)
    for entry_id, bill_id, amount in Allocation.objects.filter(account_id__in=ids).values_list(
        "entry_id", "bill_id", "amount_minor"
    ):
        by_entry[entry_id] += amount
        by_bill[bill_id] += amount
    open_bills: dict[int, list[rules.OpenItem]] = defaultdict(list)
    for pk, account_id, due_on, total in Bill.objects.filter(account_id__in=ids, corrected_by=None).values_list(
        "pk", "account_id", "due_on", "total_minor"
    ):
        if total > by_bill[pk]:
            open_bills[account_id].append(rules.OpenItem(pk, due_on, total - by_bill[pk]))
    credits = (
        Entry.objects.filter(account_id__in=ids, amount_minor__lt=0, reversed_by=None)
        .order_by("at", "pk")
        .values_list("pk", "account_id", "amount_minor")
    )
    made: list[Allocation] = []
    for entry_id, account_id, amount in credits:
        left = -amount - by_entry[entry_id]
        if left <= 0 or not open_bills[account_id]:
            continue
        paid = dict(rules.allocate(open_bills[account_id], left))
        made += [
            Allocation(account_id=account_id, entry_id=entry_id, bill_id=bill_id, amount_minor=part, at=at)
            for bill_id, part in paid.items()
        ]
        open_bills[account_id] = [
            rules.OpenItem(i.id, i.due_on, i.open_minor - paid.get(i.id, 0))
            for i in open_bills[account_id]
            if i.open_minor > paid.get(i.id, 0)
        ]
    Allocation.objects.bulk_create(made, batch_size=2000)


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
    )
    return link, token


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


def post_history_many(
    *,
    act: Act,
    methods: Sequence[Mapping[str, Any]] = (),
    bills: Sequence[Mapping[str, Any]] = (),
    payments: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write what accounts brought with them, as columns: saved methods, bills with `lines`, payments.

    In a bill's `lines`, `taxes` (the place of another line in the list) makes a line a tax on that line. Bills first,
    then the payments in the order of their moments: each pays the oldest bill that is open.
    """
    PaymentMethod.objects.bulk_create([PaymentMethod(**row) for row in methods], batch_size=2000)
    made: list[Bill] = []
    lines: list[tuple[Bill, BillLine]] = []
    for row in bills:
        bill = Bill(**{k: v for k, v in row.items() if k != "lines"})
        made.append(bill)
        mine: list[BillLine] = []
        for given in row["lines"]:
            line = BillLine(**{k: v for k, v in given.items() if k != "taxes"})
            if given.get("taxes") is not None:
                line.taxed_line = mine[given["taxes"]]
            mine.append(line)
        lines += [(bill, line) for line in mine]
    post_bills_many(made, lines, act.at)
    post_payments_many([Payment(**row) for row in sorted(payments, key=lambda p: p["received_at"])], act.at)
