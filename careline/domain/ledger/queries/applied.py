"""What pays what: open bills, money that is not applied, write-offs and what of them was recovered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

from careline.domain.ledger import rules
from careline.domain.ledger.models import Allocation, Bill, Entry, Payment, Recognised, Refund, SettledCredit
from careline.domain.ledger.rules.doubts import Paid
from careline.foundation.calendar import civil_date
from careline.prepared import day as given_day
from careline.prepared import prepared, whole, wholes

OWED = F("total_minor") + Coalesce("settled_minor", 0)  # for a bill


def stands(bill: str = "pk") -> Exists:
    """For a question about many bills (`bill`: where it has the bill's id): only those that no correction took the place of. Asked bill by bill:
    written as `corrected_by=None` it is a join, for which SQLite, where few bills were ever corrected, first sorts all bills that there are."""
    return ~Exists(Bill.objects.filter(corrects=OuterRef(bill)))  # type: ignore[return-value]


@dataclass
class Open:
    """One account: bills that are open, money given back that nothing covers any more (entry, amount), and credits and
    payments with what of them is not applied (entry, amount; the oldest first). Minor units."""

    bills: list[rules.OpenItem] = field(default_factory=list)
    debits: list[tuple[int, int]] = field(default_factory=list)
    credits: list[tuple[int, int]] = field(default_factory=list)


def open_of_many(account_ids: Sequence[int]) -> dict[int, Open]:
    """What is open and what is unapplied of accounts; those with neither are left out. Three questions."""
    by_entry: dict[int, int] = defaultdict(int)
    by_bill: dict[int | None, int] = defaultdict(int)
    by_debit: dict[int | None, int] = defaultdict(int)
    for entry_id, bill_id, debit_id, amount in _applied(accounts=account_ids):
        by_entry[entry_id] += amount
        by_bill[bill_id] += amount
        by_debit[debit_id] += amount
    found: dict[int, Open] = defaultdict(Open)
    for pk, account_id, due_on, total, settled in _standing(accounts=account_ids):
        owed = total + (settled or 0)
        if owed > by_bill[pk]:
            found[account_id].bills.append(rules.OpenItem(pk, due_on, owed - by_bill[pk]))
    recovered: dict[int | None, int] = defaultdict(int)
    credits = []
    for pk, kind, account_id, amount, of in _money(accounts=account_ids):
        if kind == rules.EntryKind.RECOVERY:
            recovered[of] += amount
        elif amount < 0:
            credits.append((pk, account_id, amount))
        elif amount > by_debit[pk]:
            found[account_id].debits.append((pk, amount - by_debit[pk]))
    for pk, account_id, amount in credits:
        left = -amount - by_entry[pk] - recovered[pk]
        if left > 0:
            found[account_id].credits.append((pk, left))
    return dict(found)


@prepared
def _applied() -> QuerySet[Allocation, tuple[Any, ...]]:
    return Allocation.objects.filter(account_id__in=wholes("accounts")).order_by("pk").values_list("entry_id", "bill_id", "debit_id", "amount_minor")


@prepared
def _standing() -> QuerySet[Bill, tuple[Any, ...]]:
    return Bill.objects.filter(stands(), account_id__in=wholes("accounts")).order_by("pk").values_list("pk", "account_id", "due_on", "total_minor", "settled_minor")


@prepared
def _money() -> QuerySet[Entry, tuple[Any, ...]]:
    """Money to apply that stands, oldest first, and what went back or is owed again. What takes a bill back is no money."""
    credit = Q(amount_minor__lt=0, reversed_by=None) & ~Q(kind=rules.EntryKind.BILL_CORRECTED)
    rows = Entry.objects.filter(credit | Q(kind__in=(rules.EntryKind.REFUND, rules.EntryKind.RECOVERY)), account_id__in=wholes("accounts"))
    return rows.order_by("at", "pk").values_list("pk", "kind", "account_id", "amount_minor", "recovers_id")


def with_money_left(account_ids: Sequence[int]) -> list[int]:
    """Those of the accounts that have a credit or payment which is not all put to something, by id: most have none. (All that `open_of_many` finds
    money left of, and some of which more was owed again since.)"""
    return sorted({pk for (pk,) in _with_money_left(accounts=account_ids)})


@prepared
def _with_money_left() -> QuerySet[Entry, tuple[int]]:
    put = Allocation.objects.filter(entry=OuterRef("pk")).values("entry").annotate(s=Sum("amount_minor")).values("s")
    rows = Entry.objects.filter(account_id__in=wholes("accounts"), amount_minor__lt=0).exclude(kind=rules.EntryKind.BILL_CORRECTED)
    return rows.annotate(left=F("amount_minor") + Coalesce(Subquery(put), 0)).filter(left__lt=0).values_list("account_id")


def owed_of(account_ids: Sequence[int], due_by: date) -> list[tuple[int, int, date, int]]:
    """What is open of the standing bills that are due by a day: account, bill, due day, open (minor units)."""
    return _owed_of(accounts=account_ids, by=due_by)


def owed_between(first: int, last: int, due_by: date) -> list[tuple[int, int, date, int]]:
    """The same of all accounts with an id from `first` to `last`, by one question."""
    return _owed_between(first=first, last=last, by=due_by)


@prepared
def _owed_of() -> QuerySet[Bill, tuple[int, int, date, int]]:
    return _owed(Bill.objects.filter(account_id__in=wholes("accounts")))


@prepared
def _owed_between() -> QuerySet[Bill, tuple[int, int, date, int]]:
    return _owed(Bill.objects.filter(account_id__gte=whole("first"), account_id__lte=whole("last")))


def _owed(rows: QuerySet[Bill]) -> QuerySet[Bill, tuple[int, int, date, int]]:
    # A sum for each bill, not a join that is grouped: SQLite walks a grouped one in the order of all bills there are.
    put = Allocation.objects.filter(bill=OuterRef("pk")).values("bill").annotate(s=Sum("amount_minor")).values("s")
    found = rows.filter(stands(), due_on__lte=given_day("by")).annotate(left=OWED - Coalesce(Subquery(put), 0)).filter(left__gt=0)
    return found.values_list("account_id", "pk", "due_on", "left")


def past_due_of_all(day: date) -> tuple[int, int]:
    """How many accounts owe something past due on a day, and how much together (minor units). By one question, not account by
    account: what a report is held against."""
    paid = Allocation.objects.filter(bill=OuterRef("pk")).values("bill").annotate(s=Sum("amount_minor")).values("s")
    late = Bill.objects.filter(stands(), due_on__lt=day).annotate(left=OWED - Coalesce(Subquery(paid), 0)).filter(left__gt=0)
    found = late.aggregate(n=Count("account", distinct=True), s=Sum("left"))
    return found["n"], found["s"] or 0


def moved_since(account: Combinable, moment: Combinable) -> Exists:
    """For a query of a room above: whether anything was posted to an account, or put to a bill, at a moment or since."""
    return Exists(Allocation.objects.filter(account=account, at__gte=moment)) | Exists(Entry.objects.filter(account=account, at__gte=moment))  # type: ignore[return-value]


def newest() -> tuple[int, int]:
    """The ids of the newest entry and of the newest allocation (0: there is none)."""
    entry, allocation = (rows.order_by("-pk").values_list("pk", flat=True).first() for rows in (Entry.objects, Allocation.objects))
    return entry or 0, allocation or 0


def behind(entry: int, allocation: int) -> Q:
    """For a query of a room above, on rows with an account: those to whose account something was posted, or put to a bill, that was
    written after these ids."""
    entries, allocations = (rows.values("account_id") for rows in (Entry.objects.filter(pk__gt=entry), Allocation.objects.filter(pk__gt=allocation)))
    return Q(account_id__in=entries) | Q(account_id__in=allocations)


def unapplied_of(account_id: int) -> int:
    """Credits and payments that no bill has taken (minor units)."""
    found = open_of_many([account_id]).get(account_id)
    return sum(left for _, left in found.credits) if found else 0


def paid_by(entry_id: int) -> list[tuple[Bill, int]]:
    """The bills that a credit or payment pays, the one due first first, each with how much (minor units)."""
    rows = Allocation.objects.filter(entry_id=entry_id, bill__isnull=False).values("bill_id").annotate(s=Sum("amount_minor"))
    held = {row["bill_id"]: row["s"] for row in rows if row["s"]}
    return [(bill, held[bill.pk]) for bill in Bill.objects.filter(pk__in=held).order_by("due_on", "pk")]


def paid_by_day(bill_ids: Iterable[int]) -> dict[int, tuple[int, list[tuple[date, int]]]]:
    """What each bill came to, and what pays it: the day on which that money came, or (below zero) was taken off again, and how much; of a
    bill that was corrected, the same of the bill that stands in its place. Two questions, and one more for each correction in a row."""
    now = {pk: pk for pk in bill_ids}
    totals: dict[int, int] = {}
    asked = set(now)
    while asked:
        rows = list(Bill.objects.filter(pk__in=asked).values_list("pk", OWED, "corrected_by"))
        totals |= {pk: total for pk, total, _ in rows}
        later = {pk: new for pk, _, new in rows if new is not None}
        now = {first: later.get(last, last) for first, last in now.items()}
        asked = set(later.values())
    paid: dict[int | None, list[tuple[date, int]]] = defaultdict(list)
    moves = Allocation.objects.filter(bill_id__in=set(now.values())).values_list("bill_id", "entry__day", "at", "amount_minor")
    for bill_id, day, at, minor in moves.order_by("pk"):
        paid[bill_id].append((day if minor > 0 else civil_date(at, settings.CARRIER_ZONE), minor))
    return {first: (totals[last], paid[last]) for first, last in now.items()}


def history_between(first: int, last: int, due_from: date, due_by: date) -> list[tuple[int, int, date, int, list[tuple[date, int]]]]:
    """The standing bills of the accounts with an id from `first` to `last` that fell due within these days, the oldest first: account, bill,
    due day, total, and what paid it, as in `paid_by_day`. What was written off counts as open still. Two questions."""
    bills = Bill.objects.filter(stands(), account_id__gte=first, account_id__lte=last, due_on__gte=due_from, due_on__lte=due_by)
    rows = Allocation.objects.filter(
        stands("bill"), bill__account_id__gte=first, bill__account_id__lte=last, bill__due_on__gte=due_from, bill__due_on__lte=due_by
    ).exclude(entry__kind=rules.EntryKind.WRITE_OFF)  # fmt: skip
    paid: dict[int | None, list[tuple[date, int]]] = defaultdict(list)
    for bill_id, day, at, minor in rows.order_by("pk").values_list("bill_id", "entry__day", "at", "amount_minor"):
        paid[bill_id].append((day if minor > 0 else civil_date(at, settings.CARRIER_ZONE), minor))
    found = bills.order_by("due_on", "pk").values_list("account_id", "pk", "due_on", OWED)
    return [(account_id, pk, due_on, total, paid[pk]) for account_id, pk, due_on, total in found]


def credits_named(account_ids: Iterable[int], numbers: Iterable[str]) -> list[Entry]:
    """The credits, and reversals of credits, of accounts by their numbers."""
    kinds = (rules.EntryKind.CREDIT, rules.EntryKind.CREDIT_REVERSED)
    return list(Entry.objects.filter(account_id__in=set(account_ids), kind__in=kinds, reference__in=set(numbers)))


def settled_of(entry_ids: Iterable[int]) -> list[tuple[int, int]]:
    """What lines of standing bills carry of these credits: entry, amount (minor units, the credit's sign)."""
    rows = SettledCredit.objects.filter(entry_id__in=list(entry_ids), bill_line__bill__corrected_by=None)
    return list(rows.values_list("entry_id", "amount_minor"))


def credits_free(account_ids: Iterable[int], first: date) -> list[tuple[Entry, int]]:
    """The credits, and reversals of credits, of accounts since a day, of which no standing bill carries all: each with what is left."""
    kinds = (rules.EntryKind.CREDIT, rules.EntryKind.CREDIT_REVERSED)
    found = list(Entry.objects.filter(account_id__in=set(account_ids), kind__in=kinds, day__gte=first).order_by("pk"))
    left = {e.pk: e.amount_minor for e in found}
    for entry_id, amount in settled_of(left) if left else ():
        left[entry_id] -= amount
    return [(e, left[e.pk]) for e in found if left[e.pk]]


def settled_on(bill_id: int) -> list[tuple[int, int]]:
    """What lines of one bill carry: entry, amount."""
    return list(SettledCredit.objects.filter(bill_line__bill=bill_id).order_by("pk").values_list("entry_id", "amount_minor"))


def credits_on(bill_id: int) -> list[str]:
    """The numbers of the credits given here that lines of a bill carry."""
    rows = SettledCredit.objects.filter(bill_line__bill=bill_id).exclude(amount_minor=0)
    return list(rows.order_by("entry__reference").values_list("entry__reference", flat=True).distinct())


def with_written_off(account_ids: Iterable[int]) -> list[int]:
    """Those of the accounts that ever had something written off."""
    return sorted({pk for (pk,) in _with_written_off(accounts=account_ids)})


@prepared
def _with_written_off() -> QuerySet[Entry, tuple[int]]:
    return Entry.objects.filter(account_id__in=wholes("accounts"), kind=rules.EntryKind.WRITE_OFF).values_list("account_id")


def written_off_of(account_id: int) -> list[tuple[Entry, int]]:
    """The write-offs of an account that stand, oldest first, each with what of it was not recovered (minor units)."""
    rows = Entry.objects.filter(account_id=account_id, kind=rules.EntryKind.WRITE_OFF).annotate(back=Sum("recoveries__amount_minor"))
    found = [(e, -e.amount_minor - (e.back or 0)) for e in rows.order_by("at", "pk")]
    return [(e, left) for e, left in found if left > 0]


def write_off(account_id: int, reference: str) -> tuple[Entry, int] | None:
    """A write-off by its number, with what of it was not recovered."""
    return next(((e, left) for e, left in written_off_of(account_id) if e.reference == reference), None)


def entry_of(account_id: int, entry_id: int) -> Entry | None:
    return Entry.objects.filter(account_id=account_id, pk=entry_id).annotate(taken_back=F("reversed_by")).first()


def payment(number: str) -> Payment | None:
    return Payment.objects.filter(number=number).first()


def payment_by_provider(reference: str) -> Payment | None:
    """The payment that the provider knows by this reference, not what came back of it."""
    return Payment.objects.filter(provider_reference=reference, returns=None).order_by("pk").first() if reference else None


def was_returned(payment_id: int) -> bool:
    return Payment.objects.filter(returns_id=payment_id).exists()


def payment_entry(payment_id: int) -> Entry | None:
    return Entry.objects.filter(payment_id=payment_id, kind=rules.EntryKind.PAYMENT).first()


def paid_of(account_id: int, limit: int = 12) -> list[Paid]:
    """The newest payments that stand (neither returned nor given back), each with the bills that it pays. Two questions."""
    rows = Payment.objects.filter(account_id=account_id, returns=None, returned_by=None)
    kept = list(rows.exclude(refunds__state__in=("pending", "done")).order_by("-received_at", "-pk")[:limit])
    shares = Allocation.objects.filter(entry__payment__in=[p.pk for p in kept], bill__isnull=False).values("entry__payment", "bill").annotate(s=Sum("amount_minor"))
    bills: dict[int, set[int]] = {}
    for row in shares:
        if row["s"]:
            bills.setdefault(row["entry__payment"], set()).add(row["bill"])
    zone = ZoneInfo(settings.CARRIER_ZONE)
    return [Paid(p.number, p.amount_minor, p.received_at.astimezone(zone).date(), p.method, frozenset(bills.get(p.pk, ()))) for p in kept]


def refund_room(found: Payment) -> int:
    """How much of a payment can still be given back: what of it was not, and no more than the account is in credit (minor
    units). A payment that came back, or is itself a return, has none."""
    return 0 if found.returns_id is not None or was_returned(found.pk) else _refund_rooms(found.account_id, [found])[0]


def refunded_of(payment_id: int) -> int:
    """What of a payment went back, or is on its way (minor units)."""
    return Refund.objects.filter(payment_id=payment_id).exclude(state="refused").aggregate(s=Sum("amount_minor"))["s"] or 0


def refundable(account_id: int) -> list[tuple[Payment, int]]:
    """The payments of an account of which something can be given back the way it came, newest first. Three questions."""
    rows = Payment.objects.filter(account_id=account_id, returns=None, returned_by=None).exclude(provider_reference="")
    found = list(rows.order_by("-received_at", "-pk")[:12])
    return [(p, room) for p, room in zip(found, _refund_rooms(account_id, found), strict=True) if room > 0]


def _refund_rooms(account_id: int, payments: Sequence[Payment]) -> list[int]:
    used: dict[int, int] = defaultdict(int)
    waiting = 0
    for payment_id, state, minor in Refund.objects.filter(account_id=account_id).exclude(state="refused").values_list("payment_id", "state", "amount_minor"):
        used[payment_id] += minor
        waiting += minor if state == "pending" else 0
    balance = Entry.objects.filter(account_id=account_id).aggregate(s=Sum("amount_minor"))["s"] or 0
    return [max(min(p.amount_minor - used[p.pk], -balance - waiting), 0) for p in payments]


def refund(key: str) -> Refund | None:
    return Refund.objects.select_related("payment").filter(key=key).first()


def recognised(keys: Iterable[str]) -> list[Recognised]:
    """Rows of another system's payments that were recognised by these keys, with what they are here."""
    return list(Recognised.objects.filter(source_key__in=list(keys)).select_related("payment", "refund").order_by("pk"))


def recognised_of(payment_ids: Iterable[int]) -> set[int]:
    """Those of the payments taken here that came back in another system's rows under a key of its own."""
    return set(Recognised.objects.filter(payment_id__in=list(payment_ids)).values_list("payment_id", flat=True))  # type: ignore[arg-type]


def refunds_named(account_ids: Iterable[int], numbers: Iterable[str]) -> list[Refund]:
    """The refunds of accounts, and those of these numbers, the oldest first, each with the row that it was, if any."""
    return list(Refund.objects.filter(Q(account_id__in=set(account_ids)) | Q(number__in=set(numbers))).select_related("payment", "recognised").order_by("pk"))


def taken_here(account_ids: Iterable[int], since: datetime, references: Iterable[str]) -> list[Payment]:
    """The payments of accounts that were taken here since a moment, or that the provider knows by these references, the oldest first."""
    rows = Payment.objects.filter(account_id__in=set(account_ids), source_key=None, returns=None)
    return list(rows.filter(Q(received_at__gte=since) | Q(provider_reference__in=set(references))).order_by("pk"))
