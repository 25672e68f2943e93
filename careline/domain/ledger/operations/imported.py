"""What another system billed and took: imported by its own keys, never edited."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from careline.domain.customers import operations as customers
from careline.domain.ledger import queries, rules
from careline.domain.ledger.models import (
    Bill,
    BillLine,
    Entry,
    Payment,
    PaymentMethod,
    SettledCredit,
)
from careline.domain.ledger.operations.bulk import (
    issue_bills_many,
    receive_payments_many,
    return_payments_many,
    reverse_bills_many,
)
from careline.domain.ledger.operations.recognised import MadeHere
from careline.foundation.act import Act
from careline.prepared import write_rows

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


def import_bills_many(
    *, act: Act, rows: Sequence[tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]], doubts: dict[tuple[str, str], str] | None = None
) -> list[str]:
    """Bills with their lines, by source keys. The same again is unchanged; a bill that differs from before is rejected,
    unless it comes under a key of its own that names the one it `corrects`: then the old one is reversed, whole.

    A line that carries a credit given here names it (`credit`, its number), and with its taxes counts once (`SettledCredit`).
    `doubts` gets those lines, by the keys of bill and line, that were written and name none, and may carry one all the same."""
    accounts = customers.ids_by_key("accounts", (bill["account"] for bill, _ in rows))
    line_ids = customers.ids_by_key("lines", (n["line"] for _, lines in rows for n in lines if n["line"]))
    customers.lock_accounts(accounts.values())
    fates: list[str] = []
    for part in _apart([(bill["source_key"], bill["corrects"]) for bill, _ in rows]):
        fates += _import_bills(act, rows[part], accounts, line_ids)
    if doubts is not None:
        written = [(accounts[bill["account"]], bill, lines) for (bill, lines), fate in zip(rows, fates, strict=True) if fate == "written"]
        doubts |= _doubted(written)
    return fates


def _doubted(bills: Sequence[tuple[int, Mapping[str, Any], Sequence[Mapping[str, Any]]]]) -> dict[tuple[str, str], str]:
    """Lines that name no credit and are of the amount of one, with their taxes or without, that was given or taken back on the account
    lately and that no bill carries yet."""
    asked = [(account_id, bill, n, lines) for account_id, bill, lines in bills for n in lines if not n.get("credit") and rules.may_carry(n["kind"], n["amount_minor"])]
    if not asked:
        return {}
    first = min(bill["issued_on"] for _, bill, _, _ in asked) - timedelta(days=rules.DOUBT_DAYS)
    free: dict[int, list[tuple[Entry, int]]] = defaultdict(list)
    for entry, left in queries.credits_free({account_id for account_id, _, _, _ in asked}, first):
        free[entry.account_id].append((entry, left))
    found = {}
    for account_id, bill, n, lines in asked if free else ():
        amounts = {n["amount_minor"], n["amount_minor"] + sum(t["amount_minor"] for t in lines if t["taxes"] == n["source_key"])}
        for entry, left in free[account_id]:
            if left in amounts and rules.may_be_one(entry.day, bill["issued_on"]):
                found[bill["source_key"], n["source_key"]] = (
                    f"names no credit, and is as much as {entry.reference} of {entry.day}, which no bill carries. If it is that one, it counts twice: "
                    "let a correction of the bill name it, or take it back at the desk"
                )
                free[account_id].remove((entry, left))
                break
    return found


def _apart(keys: Sequence[tuple[str, str | None]]) -> Iterator[slice]:
    """Slices of rows in none of which a row names another of the same slice: what it names must be written before."""
    start, here = 0, set[str]()
    for n, (key, other) in enumerate(keys):
        if other is not None and other in here:
            yield slice(start, n)
            start, here = n, set()
        here.add(key)
    if start < len(keys):
        yield slice(start, len(keys))


def _import_bills(
    act: Act, rows: Sequence[tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]], accounts: Mapping[str, int], line_ids: Mapping[str, int]
) -> list[str]:
    keys = [bill["source_key"] for bill, _ in rows]
    held = {b.source_key: b for b in Bill.objects.filter(source_key__in=[*keys, *(b["corrects"] for b, _ in rows if b["corrects"])])}
    numbers = set(Bill.objects.filter(number__in=[b["number"] for b, _ in rows]).values_list("number", flat=True))
    before: dict[int, list[BillLine]] = defaultdict(list)
    again = [held[key].pk for key in keys if key in held]
    for line in BillLine.objects.filter(bill__in=again).select_related("taxed_line", "settles__entry").order_by("pk") if again else ():
        before[line.bill_id].append(line)
    there = [b.pk for b in held.values()]
    corrected = set(Bill.objects.filter(corrects__in=there).values_list("corrects_id", flat=True)) if there else set()
    credits = _Credits(rows, accounts)
    fates, made, reversed_ = [], [], []
    settled: dict[int, dict[str, tuple[int, int]]] = {}  # by the place of a bill among those that are made
    for row, lines in rows:
        fate = _judge_bill(row, lines, accounts, line_ids, held, numbers, before, corrected, credits)
        fates.append(fate)
        if fate != "written":
            continue
        numbers.add(row["number"])
        bill = {k: v for k, v in row.items() if k not in ("account", "corrects")}
        bill["account_id"], bill["corrects_id"] = accounts[row["account"]], None
        if row["corrects"]:
            target = held[row["corrects"]]
            bill["corrects_id"] = target.pk
            corrected.add(target.pk)
            reversed_.append(target)
            credits.free(target)
        if carried := credits.settle(bill["account_id"], lines):
            settled[len(made)] = carried
            bill["settled_minor"] = -sum(amount for _, amount in carried.values())
        bill["lines"] = _charges(lines, line_ids)
        made.append(bill)
    reverse_bills_many(reversed_, act.at)
    if made:
        ids = issue_bills_many(act=act, rows=made)
        _keep_settled({ids[place]: carried for place, carried in settled.items()})
    return fates


class _Credits:
    """The credits, and reversals of credits, that lines of some bills name, and what of each no bill carries yet."""

    def __init__(self, rows: Sequence[tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]], accounts: Mapping[str, int]) -> None:
        named = {n["credit"] for _, lines in rows for n in lines if n.get("credit")}
        self._known: dict[tuple[int, str], Entry] = {}
        if named:
            self._known = {(e.account_id, e.reference): e for e in queries.credits_named(accounts.values(), named)}
        self.left = {e.pk: e.amount_minor for e in self._known.values()}
        for entry_id, amount in queries.settled_of(self.left) if self.left else ():
            self.left[entry_id] -= amount

    def entry(self, account_id: int, number: str) -> Entry | None:
        return self._known.get((account_id, number))

    def free(self, bill: Bill) -> None:
        """A bill is taken back: what it carried is free for another."""
        for entry_id, amount in queries.settled_on(bill.pk) if self.left else ():
            if entry_id in self.left:
                self.left[entry_id] += amount

    def settle(self, account_id: int, lines: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
        """What the lines of a bill carry, by their keys: of which entry, and how much. What goes beyond a credit is the biller's own."""
        found, carried = {}, _carried(lines)
        for n in lines if carried else ():
            entry = self.entry(account_id, carried.get(n["source_key"], ""))
            if entry is not None:
                left, amount = self.left[entry.pk], n["amount_minor"]
                part = 0 if left * amount <= 0 else min(left, amount) if amount > 0 else max(left, amount)
                self.left[entry.pk] -= part
                found[n["source_key"]] = (entry.pk, part)
        return found


def _carried(lines: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The number of the credit that a line of a bill carries, by the line's key; a tax goes with the line that it is on."""
    named = {n["source_key"]: n["credit"] for n in lines if n.get("credit")}
    return {n["source_key"]: number for n in lines if (number := named.get(n["source_key"]) or named.get(n["taxes"]))} if named else {}


def _keep_settled(carried: Mapping[int, Mapping[str, tuple[int, int]]]) -> None:
    """Write what the lines of these bills carry."""
    if carried:
        lines = BillLine.objects.filter(bill_id__in=carried).order_by("pk").values_list("pk", "bill_id", "source_key")
        rows = [(pk, *carried[bill_id][key]) for pk, bill_id, key in lines if key in carried[bill_id]]
        write_rows(SettledCredit, [{"bill_line_id": pk, "entry_id": entry_id, "amount_minor": part} for pk, entry_id, part in rows])


def _charges(lines: Sequence[Mapping[str, Any]], line_ids: Mapping[str, int]) -> list[dict[str, Any]]:
    """The lines of a bill as columns, each tax with the place of what it taxes."""
    places = {n["source_key"]: place for place, n in enumerate(lines)}
    made = []
    for given in lines:
        line = dict(given)
        del line["bill"]
        line.pop("credit", None)
        line["line_id"] = line_ids[number] if (number := line.pop("line")) else None
        if taxes := line.pop("taxes"):
            line["taxes"] = places[taxes]
        made.append(line)
    return made


def _judge_bill(
    row: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], accounts: Mapping[str, int], line_ids: Mapping[str, int],
    held: Mapping[str, Bill], numbers: set[str], before: Mapping[int, list[BillLine]], corrected: set[int], credits: _Credits,
) -> str:
    account_id = accounts.get(row["account"])
    if account_id is None:
        return f"account: there is no account with the key {row['account']}"
    total = sum([n["amount_minor"] for n in lines])
    if not lines:
        return "bill_lines: a bill without a line explains nothing"
    if total != row["total_minor"]:
        return f"total: the lines sum to {total / 100:.2f}, the bill says {row['total_minor'] / 100:.2f}"
    taxed = {n["source_key"]: n["taxes"] for n in lines}
    for item in lines:
        if item["line"] and item["line"] not in line_ids:
            return f"bill_lines: there is no line with the key {item['line']}"
        if item["taxes"] and item["taxes"] not in taxed:
            return f"bill_lines: {item['source_key']} taxes {item['taxes']}, which is not on this bill"
        if item["taxes"] and taxed[item["taxes"]]:
            return f"bill_lines: {item['source_key']} taxes {item['taxes']}, which is a tax itself"
        if number := item.get("credit"):
            entry = credits.entry(account_id, number)
            if entry is None:
                return f"bill_lines: {item['source_key']} carries {number}, which is no credit of this account"
            if entry.amount_minor * item["amount_minor"] < 0:
                return f"bill_lines: {item['source_key']} carries {number}, which goes the other way"
    old = held.get(row["source_key"])
    if old is not None:
        same = all(getattr(old, k) == v for k, v in row.items() if k not in ("account", "corrects")) and old.account_id == account_id
        was = {n.source_key: n for n in before[old.pk]}
        carried = _carried(lines)
        if same and len(lines) == len(was) and all(_same_line(was.get(n["source_key"]), n, line_ids, carried.get(n["source_key"])) for n in lines):
            return "unchanged"
        return "key: this bill differs from what was imported before; a bill is never edited. Send a correction under a key of its own"
    if row["number"] in numbers:
        return f"number: there is a bill {row['number']} already"
    if row["corrects"]:
        target = held.get(row["corrects"])
        if target is None or target.account_id != account_id:
            return f"corrects: there is no bill with the key {row['corrects']} on this account, nor in a row before this one"
        if target.pk in corrected:
            return f"corrects: {row['corrects']} was corrected already"
    return "written"


def _same_line(was: BillLine | None, item: Mapping[str, Any], line_ids: Mapping[str, int], credit: str | None) -> bool:
    """Does a line say in every column what it said before, and carry no other credit? (A file that names none, as an export of ours, says nothing of it.)"""
    if was is None or was.line_id != line_ids.get(item["line"] or ""):
        return False
    if (was.taxed_line.source_key if was.taxed_line else None) != (item["taxes"] or None):
        return False
    if credit is not None and (was.settles.entry.reference if hasattr(was, "settles") else None) != credit:
        return False
    given = {k: v.quantize(PLACES) if isinstance(v, Decimal) else v for k, v in item.items() if k not in ("line", "taxes", "bill", "credit")}
    return all(getattr(was, k) == v for k, v in given.items())


def import_payments_many(*, act: Act, rows: Sequence[Mapping[str, Any]], doubts: dict[int, str] | None = None) -> list[str]:
    """Payments by source keys; one with `returns` takes another back (a returned debit). A payment is never edited.

    What was taken, given back or taken back here, and comes back from the system that heard of it, is recognised (`MadeHere`): it is
    unchanged, and never counted twice. `doubts` gets those rows, by their place, that were written and may be such a one all the same.
    """
    accounts = customers.ids_by_key("accounts", (r["account"] for r in rows))
    customers.lock_accounts(accounts.values())
    fates: list[str] = []
    for part in _apart([(r["source_key"], r["returns"]) for r in rows]):
        found: dict[int, str] = {}
        fates += _import_payments(act, rows[part], accounts, found)
        if doubts is not None:
            doubts |= {part.start + n: why for n, why in found.items()}
    return fates


def _import_payments(act: Act, rows: Sequence[Mapping[str, Any]], accounts: Mapping[str, int], doubts: dict[int, str]) -> list[str]:
    wanted = [r["source_key"] for r in rows] + [r["returns"] for r in rows if r["returns"]]
    here = MadeHere(rows, accounts, wanted)
    held = {p.source_key: p for p in Payment.objects.filter(source_key__in=wanted)}
    named = [*(r["number"] for r in rows), *(r["returns"] for r in rows if r["returns"])]
    by_number = {p.number: p for p in Payment.objects.filter(number__in=named)}
    numbers = set(by_number)
    held = {number: p for number, p in by_number.items() if p.source_key is None} | here.payments | held
    there = [p.pk for p in held.values()]
    returned = {p.returns_id: p for p in Payment.objects.filter(returns__in=there)} if there else {}
    fates, received, taken_back = [], [], []
    for n, row in enumerate(rows):
        account_id = accounts.get(row["account"])
        old = held.get(row["source_key"])
        target = held.get(row["returns"]) if row["returns"] else None
        if account_id is None:
            fate = f"account: there is no account with the key {row['account']}"
        elif old is not None and old.source_key is not None:
            same = all(getattr(old, k) == v for k, v in row.items() if k not in ("account", "returns")) and old.account_id == account_id
            fate = "unchanged" if same else "key: this payment differs from what was imported before; a payment is never edited"
        elif (known := here.recognised(row, account_id, by_number, target, returned.get(target.pk) if target else None)) is not None:
            fate = known
        elif old is not None:
            fate = f"key: {old.number} was taken here, and this row says something else of it"
        elif row["number"] in numbers:
            fate = f"number: there is a payment {row['number']} already"
        elif row["returns"] and (target is None or target.account_id != account_id):
            fate = f"returns: there is no payment with the key {row['returns']} on this account, nor in a row before this one"
        elif target is not None and target.returns_id:
            fate = f"returns: {row['returns']} is itself a return"
        elif target is not None and (target.amount_minor != row["amount_minor"] or target.pk in returned):
            fate = "returns: a return takes the whole payment back, once"
        else:
            fate = "written"
            numbers.add(row["number"])
            payment = {k: v for k, v in row.items() if k not in ("account", "returns")} | {"account_id": account_id}
            if why := here.doubt(row, account_id, target):
                doubts[n] = why
            if target is None:
                received.append(payment)
            else:
                back = Payment(**payment, returns=target)
                returned[target.pk] = back
                taken_back.append(back)
        fates.append(fate)
    receive_payments_many(received, act.at)
    if taken_back:
        return_payments_many(taken_back, act.at)
    here.keep()
    return fates
