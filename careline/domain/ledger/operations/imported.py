"""What another system billed and took: imported by its own keys, never edited."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from careline.domain.customers import operations as customers
from careline.domain.ledger.models import Bill, BillLine, Payment, PaymentMethod
from careline.domain.ledger.operations.bulk import (
    post_bills_many,
    post_payments_many,
    return_payments_many,
    reverse_bills_many,
)
from careline.foundation.act import Act

PLACES = Decimal("0.0001")  # what the database keeps of a quantity


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
    for line in BillLine.objects.filter(bill__source_key__in=keys).select_related("taxed_line").order_by("pk"):
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
    reverse_bills_many([b.corrects for b in bills if b.corrects is not None], act.at)
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
        was = {n.source_key: n for n in before[old.pk]}
        if same and len(lines) == len(was) and all(_same_line(was.get(n["source_key"]), n, line_ids) for n in lines):
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


def _same_line(was: BillLine | None, item: Mapping[str, Any], line_ids: Mapping[str, int]) -> bool:
    """Does a line say in every column what it said before?"""
    if was is None or was.line_id != line_ids.get(item["line"] or ""):
        return False
    if (was.taxed_line.source_key if was.taxed_line else None) != (item["taxes"] or None):
        return False
    given = {k: v.quantize(PLACES) if isinstance(v, Decimal) else v for k, v in item.items() if k not in ("line", "taxes", "bill")}
    return all(getattr(was, k) == v for k, v in given.items())


def import_payments_many(*, act: Act, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Payments by source keys; one with `returns` takes another back (a returned debit). A payment is never edited."""
    accounts = customers.ids_by_key("accounts", (r["account"] for r in rows))
    customers.lock_accounts(accounts.values())
    wanted = [r["source_key"] for r in rows] + [r["returns"] for r in rows if r["returns"]]
    held = {p.source_key: p for p in Payment.objects.filter(source_key__in=wanted)}
    numbers = set(Payment.objects.filter(number__in=[r["number"] for r in rows]).values_list("number", flat=True))
    returned = set(Payment.objects.filter(returns__source_key__in=wanted).values_list("returns__source_key", flat=True))
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
        elif target is not None and (target.returns_id or (target.pk is None and target.returns is not None)):
            fate = f"returns: {row['returns']} is itself a return"
        elif target is not None and (target.amount_minor != row["amount_minor"] or target.source_key in returned):
            fate = "returns: a return takes the whole payment back, once"
        else:
            fate = "written"
            payment = Payment(**values, account_id=account_id, returns=target)
            held[row["source_key"]] = payment
            numbers.add(payment.number)
            (taken_back if target is not None else received).append(payment)
            if target is not None:
                returned.add(target.source_key)
        fates.append(fate)
    post_payments_many(received, act.at)
    return_payments_many(taken_back, act.at)
    return fates
