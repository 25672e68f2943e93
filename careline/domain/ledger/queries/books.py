"""The books: what is booked in a period, once as the entries have it and once as the documents behind them do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from typing import Any

from django.db.models import Case, Count, Exists, F, OuterRef, Prefetch, Q, Sum, Value, When
from django.db.models.functions import Coalesce
from django.db.models.query import QuerySet

from careline.domain.ledger import rules
from careline.domain.ledger.models import BooksFile, BroughtForward, ClosedPeriod, Entry, SettledCredit
from careline.domain.ledger.rules.books import (
    Books,
    Entries,
    File,
    Share,
    TrialBalance,
    files,
    postings,
    trial_balance,
)
from careline.foundation.chart import Chart
from careline.prepared import prepared

# What a room above knows of credits: their parts, in the days from the first (None: ever) to the last.
Credits = Callable[[date | None, date], Iterable[Share]]
IMPORTED = Q(bill__source_key__isnull=False) | Q(payment__source_key__isnull=False)
MONEY = {rules.EntryKind.PAYMENT: -1, rules.EntryKind.PAYMENT_RETURNED: 1}


def booked(first: date | None, last: date) -> QuerySet[Entry]:
    """The entries booked from `first` (None: ever) to `last`, with their day in the books as `booked` (rows of older
    versions have none of their own: their day)."""
    if first is None:
        days = Q(booked_on__lte=last) | Q(booked_on__isnull=True, day__lte=last)
    else:  # both ends on each side of the "or", so that an index finds each side
        days = Q(booked_on__gte=first, booked_on__lte=last) | Q(booked_on__isnull=True, day__gte=first, day__lte=last)
    return Entry.objects.filter(days).annotate(booked=Coalesce("booked_on", "day"))


def entries_booked(first: date | None, last: date) -> list[Entries]:
    """What the ledger's entries sum to, by day, kind and who billed. One question."""
    rows = booked(first, last).annotate(imported=_flag(IMPORTED)).values("booked", "kind", "imported").annotate(s=Sum("amount_minor"), n=Count("pk"))
    return [Entries(r["booked"], r["kind"], r["imported"], r["s"], r["n"]) for r in rows.order_by("booked", "kind")]


def documents_booked(first: date | None, last: date) -> list[Share]:
    """What the documents behind the entries say, but for credits: bills by their lines, payments, refunds. A write-off and
    a recovery have no other document than their entry. Three questions."""
    found: list[Share] = []
    bills = booked(first, last).filter(kind__in=(rules.EntryKind.BILL, rules.EntryKind.BILL_CORRECTED), bill__lines__isnull=False)
    rows = (
        bills.annotate(imported=_flag(IMPORTED), line=F("bill__lines__kind"), tax=Case(When(bill__lines__kind=rules.LineKind.TAX, then=F("bill__lines__label")), default=Value("")))
        .values("booked", "kind", "imported", "line", "tax").annotate(s=Sum("bill__lines__amount_minor"))
    )  # fmt: skip
    for r in rows:
        place, detail = ("tax", r["tax"]) if r["line"] == rules.LineKind.TAX else ("revenue", r["line"])
        found.append(Share(r["booked"], r["kind"], r["imported"], place, detail, r["s"] if r["kind"] == rules.EntryKind.BILL else -r["s"]))
    money = booked(first, last).filter(kind__in=MONEY).annotate(imported=_flag(IMPORTED)).values("booked", "kind", "imported")
    found += [Share(r["booked"], r["kind"], r["imported"], "cash", "", MONEY[r["kind"]] * (r["s"] or 0)) for r in money.annotate(s=Sum("payment__amount_minor"))]
    own = booked(first, last).filter(kind__in=(rules.EntryKind.REFUND, rules.EntryKind.WRITE_OFF, rules.EntryKind.RECOVERY)).values("booked", "kind")
    for r in own.annotate(s=Sum("amount_minor"), refunded=Sum("refund__amount_minor")):
        refund = r["kind"] == rules.EntryKind.REFUND
        found.append(Share(r["booked"], r["kind"], False, "cash" if refund else r["kind"], "", (r["refunded"] or 0) if refund else r["s"]))
    return found


def settled_booked(first: date | None, last: date) -> list[tuple[date, str, int, int]]:
    """What bills of another system carry of credits given here, booked in a period: day, kind of the bill's entry, the credit's entry, and
    how much more that makes the bill's entry than its lines."""
    kinds = (rules.EntryKind.BILL, rules.EntryKind.BILL_CORRECTED)
    rows = booked(first, last).filter(kind__in=kinds, bill__settled_minor__isnull=False).values_list("bill_id", "booked", "kind")
    bills: dict[int | None, list[tuple[date, str]]] = {}
    for bill_id, day, kind in rows:
        bills.setdefault(bill_id, []).append((day, kind))
    settled = SettledCredit.objects.filter(bill_line__bill__in=list(bills)).exclude(amount_minor=0).order_by("pk")
    return [
        (day, kind, entry_id, -amount if kind == rules.EntryKind.BILL else amount)
        for bill_id, entry_id, amount in settled.values_list("bill_line__bill", "entry_id", "amount_minor")
        for day, kind in bills[bill_id]
    ]


def _flag(condition: Q) -> Any:
    return Case(When(condition, then=Value(True)), default=Value(False))


def books_through(through: date, credits: Credits, *, recount: bool = False) -> Books:
    """All that is booked up to a day: what was brought forward from the last period that was closed by then, and what came after
    it. `recount`: everything counted anew, from the first entry on."""
    period = None if recount else last_brought(through)
    first = None if period is None else period.ends_on + timedelta(days=1)
    entries, shares = brought_forward(period) if period is not None else Books([], [])
    return Books([*entries, *entries_booked(first, through)], [*shares, *documents_booked(first, through), *credits(first, through)])


def last_brought(through: date) -> ClosedPeriod | None:
    """The newest closed period that ended by a day and whose sums were kept (one that an older version closed has none)."""
    kept = Exists(BroughtForward.objects.filter(period=OuterRef("pk")))
    return ClosedPeriod.objects.filter(kept, ends_on__lte=through).order_by("-ends_on").first()


def brought_forward(period: ClosedPeriod) -> Books:
    """What was kept when a period was closed."""
    entries, shares = [], []
    for b in BroughtForward.objects.filter(period=period).order_by("pk"):
        if b.place:
            shares.append(Share(period.ends_on, b.kind, b.imported, b.place, b.detail, b.amount_minor))
        else:
            entries.append(Entries(period.ends_on, b.kind, b.imported, b.amount_minor, b.count))
    return Books(entries, shares)


def balance_of_books(chart: Chart, through: date, credits: Credits, *, recount: bool = False) -> TrialBalance:
    """The trial balance of all that is booked up to a day (`books_through`)."""
    return trial_balance(chart, through, books_through(through, credits, recount=recount))


def files_for(period: ClosedPeriod, chart: Chart, balance: TrialBalance, credits: Credits, currency: str) -> list[File]:
    """What the files of a period hold, computed from the ledger: the same whenever it is asked."""
    found = postings(chart, [*documents_booked(period.starts_on, period.ends_on), *credits(period.starts_on, period.ends_on)])
    return files(period.number, found, balance, currency)


def closed_through() -> date | None:
    """The last day of the books that is closed; None: none ever was."""
    found = _closed.first()
    return found[0] if found else None


@prepared
def _closed() -> QuerySet[ClosedPeriod, tuple[date]]:
    return ClosedPeriod.objects.order_by("-ends_on").values_list("ends_on")[:1]


def closed_periods() -> list[ClosedPeriod]:
    """The closed periods, newest first, each with its files (their text is read when it is asked for)."""
    return list(ClosedPeriod.objects.order_by("-ends_on").prefetch_related(Prefetch("files", BooksFile.objects.defer("text").order_by("number"))))


def closed_period(number: str) -> ClosedPeriod | None:
    return ClosedPeriod.objects.filter(number=number).first()


def unfinished_period() -> ClosedPeriod | None:
    """A period that was closed and whose files were not written yet: a close that was interrupted."""
    return ClosedPeriod.objects.filter(files__isnull=True).order_by("ends_on").first()


def files_of(period: ClosedPeriod) -> list[BooksFile]:
    """The files of a closed period, in their order."""
    return list(BooksFile.objects.filter(period=period).order_by("number"))


def books_file(number: str) -> BooksFile | None:
    return BooksFile.objects.select_related("period").filter(number=number).first()


def first_booked() -> date | None:
    """The day of the first entry in the books."""
    first = Entry.objects.order_by("day").values_list("day", flat=True).first()
    return first
