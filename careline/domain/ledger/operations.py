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

from careline.domain.customers import operations as customers
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
        .exclude(kind=rules.EntryKind.BILL_CORRECTED)  # it takes a bill back; it is no money to apply
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


# ---------------------------------------------------------------- what another system billed: imported, never edited


def import_methods_many(*, act: Act, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Saved ways to pay, by their source keys. Row by row: `written`, `unchanged`, or why it is rejected."""
    accounts = customers.ids_by_key("accounts", (r["account"] for r in rows))
    held = {m.source_key: m for m in PaymentMethod.objects.filter(source_key__in=[r["source_key"] for r in rows])}
    fates, new, changed = [], [], []
    for row in rows:
        values = {**{k: v for k, v in row.items() if k != "account"}, "account_id": accounts.get(row["account"])}
        method = held.get(row["source_key"])
        if values["account_id"] is None:
            fates.append(f"account: there is no account with the key {row['account']}")
        elif method is None:
            held[row["source_key"]] = PaymentMethod(**values)
            new.append(held[row["source_key"]])
            fates.append("written")
        elif any(getattr(method, k) != v for k, v in values.items()):
            for k, v in values.items():
                setattr(method, k, v)
            if method.pk:
                changed.append(method)
            fates.append("written")
        else:
            fates.append("unchanged")
    PaymentMethod.objects.bulk_create(new, batch_size=1000)
    if changed:
        PaymentMethod.objects.bulk_update(changed, sorted(set(changed[0].__dict__) & set(rows[0])), batch_size=500)
    return fates


def import_bills_many(*, act: Act, rows: Sequence[tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]]) -> list[str]:
    """Bills with their lines, by source keys. The same again is unchanged; a bill that differs from before is rejected,
    unless it comes under a key of its own that names the one it `corrects`: then the old one is reversed, whole."""
    keys = [bill["source_key"] for bill, _ in rows]
    accounts = customers.ids_by_key("accounts", (bill["account"] for bill, _ in rows))
    line_ids = customers.ids_by_key("lines", (n["line"] for _, lines in rows for n in lines if n["line"]))
    customers.lock_accounts(accounts.values())
    held = {b.source_key: b for b in Bill.objects.filter(source_key__in=[*keys, *(b["corrects"] for b, _ in rows if b["corrects"])])}
    numbers = set(Bill.objects.filter(number__in=[b["number"] for b, _ in rows]).values_list("number", flat=True))
    before: dict[int, list[BillLine]] = defaultdict(list)
    for line in BillLine.objects.filter(bill__source_key__in=keys).order_by("pk"):
        before[line.bill_id].append(line)
    corrected = set(Bill.objects.filter(corrects__in=[b.pk for b in held.values()]).values_list("corrects_id", flat=True))
    fates, bills, charges = [], [], []
    for row, lines in rows:
        fate, bill = _judge_bill(row, lines, accounts, line_ids, held, numbers, before, corrected)
        fates.append(fate)
        if bill is None:
            continue
        bills.append(bill)
        held[row["source_key"]] = bill
        numbers.add(bill.number)
        if bill.corrects is not None:
            corrected.add(bill.corrects.pk)
        made: dict[str, BillLine] = {}
        for item in lines:
            values = {k: v for k, v in item.items() if k not in ("line", "taxes", "bill")}
            made[item["source_key"]] = BillLine(**values, line_id=line_ids.get(item["line"] or ""))
        for item in lines:
            if item["taxes"]:
                made[item["source_key"]].taxed_line = made[item["taxes"]]
        charges += [(bill, line) for line in made.values()]
    _reverse_bills([b.corrects for b in bills if b.corrects is not None], act.at)
    if bills:
        post_bills_many(bills, charges, act.at)
    return fates


def _judge_bill(
    row: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], accounts: Mapping[str, int], line_ids: Mapping[str, int],
    held: Mapping[str, Bill], numbers: set[str], before: Mapping[int, list[BillLine]], corrected: set[int],
) -> tuple[str, Bill | None]:
    account_id = accounts.get(row["account"])
    if account_id is None:
        return f"account: there is no account with the key {row['account']}", None
    total = sum(n["amount_minor"] for n in lines)
    if not lines:
        return "bill_lines: a bill without a line explains nothing", None
    if total != row["total_minor"]:
        return f"total: the lines sum to {total / 100:.2f}, the bill says {row['total_minor'] / 100:.2f}", None
    for item in lines:
        if item["line"] and item["line"] not in line_ids:
            return f"bill_lines: there is no line with the key {item['line']}", None
        if item["taxes"] and item["taxes"] not in {n["source_key"] for n in lines}:
            return f"bill_lines: {item['source_key']} taxes {item['taxes']}, which is not on this bill", None
    old = held.get(row["source_key"])
    values = {k: v for k, v in row.items() if k not in ("account", "corrects")}
    if old is not None:
        if old.pk is None:
            return "key: the same bill came before, in this import", None
        same = all(getattr(old, k) == v for k, v in values.items()) and old.account_id == account_id
        was = [(n.source_key, n.kind, n.label, n.amount_minor) for n in before[old.pk]]
        if same and sorted(was) == sorted((n["source_key"], n["kind"], n["label"], n["amount_minor"]) for n in lines):
            return "unchanged", None
        return "key: this bill differs from what was imported before; a bill is never edited. Send a correction under a key of its own", None
    if row["number"] in numbers:
        return f"number: there is a bill {row['number']} already", None
    bill = Bill(**values, account_id=account_id)
    if row["corrects"]:
        target = held.get(row["corrects"])
        if target is None or target.pk is None or target.account_id != account_id:
            return f"corrects: there is no bill with the key {row['corrects']} on this account", None
        if target.pk in corrected:
            return f"corrects: {row['corrects']} was corrected already", None
        bill.corrects = target
    return "written", bill


def _reverse_bills(bills: Sequence[Bill], at: datetime) -> None:
    """Take whole bills back: the opposite entry, and what paid them is free again."""
    ids = [b.pk for b in bills]
    entries = {e.bill_id: e for e in Entry.objects.filter(bill_id__in=ids, kind=rules.EntryKind.BILL)}
    Entry.objects.bulk_create(
        Entry(account_id=b.account_id, kind=rules.EntryKind.BILL_CORRECTED, day=carrier_day(at), at=at, amount_minor=-b.total_minor,
              bill=b, reference=b.number, label=f"Bill {b.number} corrected", reverses=entries[b.pk])
        for b in bills
    )
    paid = Allocation.objects.filter(bill_id__in=ids).values("account_id", "entry_id", "bill_id").annotate(s=Sum("amount_minor"))
    Allocation.objects.bulk_create(
        Allocation(account_id=a["account_id"], entry_id=a["entry_id"], bill_id=a["bill_id"], amount_minor=-a["s"], at=at) for a in paid if a["s"]
    )


def import_payments_many(*, act: Act, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Payments by source keys; one with `returns` takes another back (a returned debit). A payment is never edited."""
    accounts = customers.ids_by_key("accounts", (r["account"] for r in rows))
    customers.lock_accounts(accounts.values())
    wanted = [r["source_key"] for r in rows] + [r["returns"] for r in rows if r["returns"]]
    held = {p.source_key: p for p in Payment.objects.filter(source_key__in=wanted)}
    numbers = set(Payment.objects.filter(number__in=[r["number"] for r in rows]).values_list("number", flat=True))
    returned = set(Payment.objects.filter(returns__source_key__in=wanted).values_list("returns_id", flat=True))
    fates, received, taken_back = [], [], []
    for row in rows:
        account_id = accounts.get(row["account"])
        values = {k: v for k, v in row.items() if k not in ("account", "returns")}
        old = held.get(row["source_key"])
        target = held.get(row["returns"]) if row["returns"] else None
        if account_id is None:
            fate = f"account: there is no account with the key {row['account']}"
        elif old is not None and old.pk is None:
            fate = "key: the same payment came before, in this import"
        elif old is not None:
            same = all(getattr(old, k) == v for k, v in values.items()) and old.account_id == account_id
            fate = "unchanged" if same else "key: this payment differs from what was imported before; a payment is never edited"
        elif row["number"] in numbers:
            fate = f"number: there is a payment {row['number']} already"
        elif row["returns"] and (target is None or target.account_id != account_id):
            fate = f"returns: there is no payment with the key {row['returns']} on this account"
        elif target is not None and (target.amount_minor != row["amount_minor"] or target.pk in returned):
            fate = "returns: a return takes the whole payment back, once"
        else:
            fate = "written"
            payment = Payment(**values, account_id=account_id, returns=target)
            held[row["source_key"]] = payment
            numbers.add(payment.number)
            (taken_back if target is not None else received).append(payment)
            if target is not None and target.pk:
                returned.add(target.pk)
        fates.append(fate)
    post_payments_many(received, act.at)
    _return_payments(taken_back, act.at)
    return fates


def _return_payments(payments: Sequence[Payment], at: datetime) -> None:
    """A returned payment: the opposite of its entry; the bills that it paid are open again."""
    for payment in payments:
        payment.returns = payment.returns  # refresh the id that bulk_create may have just set
    Payment.objects.bulk_create(payments, batch_size=1000)
    entries = {e.payment_id: e for e in Entry.objects.filter(payment_id__in=[p.returns_id for p in payments], kind=rules.EntryKind.PAYMENT)}
    Entry.objects.bulk_create(
        Entry(account_id=p.account_id, kind=rules.EntryKind.PAYMENT_RETURNED, day=carrier_day(p.received_at), at=p.received_at, amount_minor=p.amount_minor,
              payment=p, reference=p.number, label=f"Payment returned, {p.method}"[:120], reverses=entries[p.returns_id])
        for p in payments
    )
    held = Allocation.objects.filter(entry_id__in=[e.pk for e in entries.values()]).values("account_id", "entry_id", "bill_id").annotate(s=Sum("amount_minor"))
    Allocation.objects.bulk_create(
        Allocation(account_id=a["account_id"], entry_id=a["entry_id"], bill_id=a["bill_id"], amount_minor=-a["s"], at=at) for a in held if a["s"]
    )
    apply_unapplied_many(sorted({p.account_id for p in payments}), at)
