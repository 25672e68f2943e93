"""Many at once: bills with their lines, payments, and what unapplied money pays. The accounts are locked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Q, Sum

from careline.domain.ledger import queries, rules
from careline.domain.ledger.models import Allocation, Bill, BillLine, Entry, Payment, PaymentMethod
from careline.foundation.act import Act
from careline.foundation.calendar import civil_date
from careline.foundation.money import shown
from careline.prepared import write_many, write_rows


def carrier_day(at: datetime) -> date:
    return civil_date(at, settings.CARRIER_ZONE)


def closed_through() -> date | None:
    """The last day of the books that is closed. Asked inside a posting's transaction, so that what it books stays open."""
    return queries.closed_through()


def post_bills_many(bills: Sequence[Bill], lines: Sequence[tuple[Bill, BillLine]], at: datetime) -> None:
    """Write many bills with their lines and entries in bulk. Each bill's lines must sum to its total (ValueError).

    Unapplied money of an account is applied to its new bills oldest first. Taxed lines must come before their taxes.
    """
    sums: dict[int, int] = defaultdict(int)
    for bill, line in lines:
        sums[id(bill)] += line.amount_minor
    for bill in bills:
        _must_sum(bill.number, bill.total_minor, sums[id(bill)])
    write_many(bills)
    plain = [(b, n) for b, n in lines if n.taxed_line is None]
    taxes = [(b, n) for b, n in lines if n.taxed_line is not None]
    for part in (plain, taxes):
        for bill, line in part:
            line.bill = bill
            if line.taxed_line is not None:
                line.taxed_line = line.taxed_line  # refresh the id, which has just been set
        write_many([line for _, line in part])
    _enter_bills((b.pk, b.number, b.account_id, b.period_start, b.period_end, b.issued_on, b.total_minor, b.settled_minor or 0) for b in bills)
    apply_unapplied_many(sorted({b.account_id for b in bills}), at)


def _must_sum(number: str, total: int, lines: int) -> None:
    if lines != total:
        raise ValueError(f"bill {number}: its lines sum to {lines}, its total is {total}")


def _enter_bills(bills: Iterable[tuple[int, str, int, date, date, date, int, int]]) -> None:
    """The entry of each new bill: its id, number, account, period, day of issue, total and what of it settles credits given here."""
    closed, zone = closed_through(), ZoneInfo(settings.CARRIER_ZONE)

    @cache  # thousands are issued on one day, of one period
    def said(start: date, end: date, issued_on: date, settled: int) -> dict[str, Any]:
        once = f", {shown(-settled)} of credit on it counts where it was given" if settled else ""
        return {
            "kind": rules.EntryKind.BILL, "day": issued_on, "booked_on": rules.booked_on(issued_on, closed),
            "at": datetime.combine(issued_on, datetime.min.time(), tzinfo=zone), "label": f"Bill {start:%b} {start.day} to {end:%b} {end.day}{once}",
        }  # fmt: skip

    write_rows(Entry, [
        {"account_id": account_id, "amount_minor": total + settled, "bill_id": pk, "reference": number, **said(start, end, issued_on, settled)}
        for pk, number, account_id, start, end, issued_on, total, settled in bills
    ])  # fmt: skip


def post_payments_many(payments: Sequence[Payment], at: datetime) -> None:
    """Write many payments with their entries in bulk, allocated oldest bill first."""
    write_many(payments)
    _enter_payments((p.pk, p.number, p.account_id, p.received_at, p.amount_minor, p.method) for p in payments)
    apply_unapplied_many(sorted({p.account_id for p in payments}), at)


def receive_payments_many(rows: Sequence[Mapping[str, Any]], at: datetime) -> None:
    """Payments as columns with their entries, in bulk, allocated oldest bill first."""
    ids = write_rows(Payment, rows)
    _enter_payments((pk, p["number"], p["account_id"], p["received_at"], p["amount_minor"], p["method"]) for pk, p in zip(ids, rows, strict=True))
    apply_unapplied_many(sorted({p["account_id"] for p in rows}), at)


def _enter_payments(payments: Iterable[tuple[int, str, int, datetime, int, str]]) -> None:
    """The entry of each new payment: its id, number, account, moment, amount and method."""
    closed = closed_through()
    write_rows(Entry, [
        {
            "account_id": account_id, "kind": rules.EntryKind.PAYMENT, "day": (day := carrier_day(at)), "booked_on": rules.booked_on(day, closed),
            "at": at, "amount_minor": -amount, "payment_id": pk, "reference": number, "label": f"Payment, {method}",
        }
        for pk, number, account_id, at, amount, method in payments
    ])  # fmt: skip


def apply_unapplied_many(account_ids: Iterable[int], at: datetime, slice_size: int = 400) -> None:
    """Put every account's unapplied credits and payments to its open bills, oldest due first, in bulk; what is left then
    recovers what was written off."""
    ids = list(account_ids)
    for start in range(0, len(ids), slice_size):
        taken = queries.with_money_left(ids[start : start + slice_size])
        if not taken:
            continue
        _apply_slice(taken, at)
        for account_id in queries.with_written_off(taken):
            _recover(account_id, at)


def _recover(account_id: int, at: datetime) -> None:
    """Money that no bill takes, on an account that had something written off: so much is owed again, and paid."""
    left = queries.unapplied_of(account_id)
    for written_off, remaining in queries.written_off_of(account_id):
        part = min(left, remaining)
        if part > 0:
            take_back_write_off(written_off, part, at, f"Paid after it was written off: {written_off.reference}")
            left -= part
    _apply_slice([account_id], at)


def take_back_write_off(written_off: Entry, amount_minor: int, at: datetime, label: str) -> Entry:
    """A part of a write-off is owed again: an entry, and the bills that it had closed are open again, the oldest first."""
    day = carrier_day(at)
    entry = Entry.objects.create(
        account_id=written_off.account_id, kind=rules.EntryKind.RECOVERY, day=day, booked_on=rules.booked_on(day, closed_through()), at=at,
        amount_minor=amount_minor, reference=written_off.reference, label=label[:120], recovers=written_off,
    )  # fmt: skip
    take_back(written_off, amount_minor, at)
    return entry


def take_back(entry: Entry, amount_minor: int, at: datetime) -> None:
    """Take so much of what an entry pays off its bills, the oldest due first; they are open again."""
    made, left = [], amount_minor
    for bill, held in queries.paid_by(entry.pk):
        part = min(left, held)
        if part > 0:
            made.append(Allocation(account_id=entry.account_id, entry=entry, bill_id=bill.pk, amount_minor=-part, at=at))
            left -= part
    Allocation.objects.bulk_create(made)


def _apply_slice(ids: Sequence[int], at: datetime) -> None:
    made: list[dict[str, Any]] = []
    for account_id, found in queries.open_of_many(ids).items():
        items = found.bills
        debits = dict(found.debits)
        for entry_id, left in found.credits:
            for debit_id, owed in debits.items():  # what was given back is covered before any bill is paid
                if part := min(left, owed):
                    made.append({"account_id": account_id, "entry_id": entry_id, "debit_id": debit_id, "amount_minor": part, "at": at})
                    debits[debit_id] -= part
                    left -= part
            paid = dict(rules.allocate(items, left))
            made += [
                {"account_id": account_id, "entry_id": entry_id, "bill_id": bill_id, "amount_minor": part, "at": at}
                for bill_id, part in paid.items()
            ]
            items = [rules.OpenItem(i.id, i.due_on, i.open_minor - paid.get(i.id, 0)) for i in items if i.open_minor > paid.get(i.id, 0)]
    write_rows(Allocation, made)


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
    write_rows(PaymentMethod, methods)
    issue_bills_many(act=act, rows=bills)
    received = sorted(payments, key=lambda p: p["received_at"])
    receive_payments_many(received, act.at)


def issue_bills_many(*, act: Act, rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Bills as columns, each with `lines` (as in `post_history_many`), in bulk; the accounts are locked. Returns their ids."""
    for row in rows:
        _must_sum(row["number"], row["total_minor"], sum(n["amount_minor"] for n in row["lines"]))
    ids = write_rows(Bill, [{k: v for k, v in row.items() if k != "lines"} for row in rows])
    plain: list[dict[str, Any]] = []
    taxes: list[dict[str, Any]] = []
    taxed: list[tuple[dict[str, Any], int]] = []  # a tax, and where its line stands among the plain ones
    for bill_id, row in zip(ids, rows, strict=True):
        places: dict[int, int] = {}
        for n, given in enumerate(row["lines"]):
            line = {**given, "bill_id": bill_id}
            on = line.pop("taxes", None)
            if on is None:
                places[n] = len(plain)
                plain.append(line)
            else:
                taxes.append(line)
                taxed.append((line, places[on]))
    lines = write_rows(BillLine, plain)
    for line, place in taxed:
        line["taxed_line_id"] = lines[place]
    write_rows(BillLine, taxes)
    _enter_bills(
        (pk, row["number"], row["account_id"], row["period_start"], row["period_end"], row["issued_on"], row["total_minor"], row.get("settled_minor", 0))
        for pk, row in zip(ids, rows, strict=True)
    )
    apply_unapplied_many(sorted({row["account_id"] for row in rows}), act.at)
    return ids


def return_payments_many(payments: Sequence[Payment], at: datetime) -> None:
    """Payments that came back: the opposite of each entry; the bills that it paid are open again. What of one was refunded
    already stays refunded."""
    for payment in payments:
        payment.returns = payment.returns  # refresh the id that bulk_create may have just set
    Payment.objects.bulk_create(payments, batch_size=1000)
    entries = {e.payment_id: e for e in Entry.objects.filter(payment_id__in=[p.returns_id for p in payments], kind=rules.EntryKind.PAYMENT)}
    closed = closed_through()
    Entry.objects.bulk_create(
        Entry(account_id=p.account_id, kind=rules.EntryKind.PAYMENT_RETURNED, day=carrier_day(p.received_at),
              booked_on=rules.booked_on(carrier_day(p.received_at), closed), at=p.received_at, amount_minor=p.amount_minor,
              payment=p, reference=p.number, label=f"Payment returned, {p.method}"[:120], reverses=entries[p.returns_id])
        for p in payments
    )  # fmt: skip
    held = (
        Allocation.objects.filter(entry_id__in=[e.pk for e in entries.values()])
        .values("account_id", "entry_id", "bill_id", "debit_id").annotate(s=Sum("amount_minor"))
    )  # fmt: skip
    Allocation.objects.bulk_create(
        Allocation(account_id=a["account_id"], entry_id=a["entry_id"], bill_id=a["bill_id"], debit_id=a["debit_id"], amount_minor=-a["s"], at=at)
        for a in held if a["s"]
    )  # fmt: skip
    apply_unapplied_many(sorted({p.account_id for p in payments}), at)


def reverse_bills_many(bills: Sequence[Bill], at: datetime) -> None:
    """Take whole bills back: the opposite entry; what paid them is free again, and what a bill in the customer's favour
    paid is open again."""
    if not bills:
        return
    ids = [b.pk for b in bills]
    entries = {e.bill_id: e for e in Entry.objects.filter(bill_id__in=ids, kind=rules.EntryKind.BILL)}
    day = carrier_day(at)
    booked = rules.booked_on(day, closed_through())
    Entry.objects.bulk_create(
        Entry(account_id=b.account_id, kind=rules.EntryKind.BILL_CORRECTED, day=day, booked_on=booked, at=at, amount_minor=-b.owed_minor,
              bill=b, reference=b.number, label=f"Bill {b.number} corrected", reverses=entries[b.pk])
        for b in bills
    )  # fmt: skip
    theirs = Q(bill_id__in=ids) | Q(entry_id__in=[e.pk for e in entries.values()])
    paid = Allocation.objects.filter(theirs).values("account_id", "entry_id", "bill_id", "debit_id").annotate(s=Sum("amount_minor"))
    Allocation.objects.bulk_create(
        Allocation(account_id=a["account_id"], entry_id=a["entry_id"], bill_id=a["bill_id"], debit_id=a["debit_id"], amount_minor=-a["s"], at=at)
        for a in paid if a["s"]
    )  # fmt: skip
