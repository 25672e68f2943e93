"""The books: what is booked for whom, as double entry for the carrier's general ledger.

Every entry of the ledger changes the receivable. Its other side does not come from the entry but from the document behind it
(a bill's lines, a payment, a refund, a credit's parts), so that debits and credits are equal only while both agree.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from careline.domain.ledger.rules import EntryKind
from careline.foundation.chart import Chart
from careline.foundation.money import plain


class Journal(StrEnum):
    """The journals that a period is handed over in. Each balances by itself, and every posting is in one of them."""

    REVENUE = "revenue"
    TAX = "tax"
    CASH = "cash"
    RECEIVABLES = "receivables"


@dataclass(frozen=True, slots=True)
class Entries:
    """Entries of one kind and day as the ledger has them: their sum (a debit is positive, minor units) and how many."""

    day: date
    kind: str
    imported: bool
    amount_minor: int
    count: int


class Share(NamedTuple):
    """A share of the documents behind entries of one kind and day, with the sign that it gives the receivable. `place`: an
    account of the chart; `detail`: the kind of charge, the tax, the reason."""

    day: date
    kind: str
    imported: bool
    place: str
    detail: str
    amount_minor: int


class Books(NamedTuple):
    """All that is booked up to a day: what the entries sum to, and what the documents behind them do."""

    entries: Sequence[Entries]
    shares: Sequence[Share]

    def summed(self, day: date) -> Books:
        """The same through a day without the days before it: one row for each kind, and for each place and detail of it."""
        entries: dict[tuple[str, bool], list[int]] = defaultdict(lambda: [0, 0])
        for row in self.entries:
            entries[row.kind, row.imported][0] += row.amount_minor
            entries[row.kind, row.imported][1] += row.count
        shares: dict[tuple[str, bool, str, str], int] = defaultdict(int)
        for share in self.shares:
            shares[share[1:5]] += share.amount_minor
        return Books(
            [Entries(day, *key, amount, count) for key, (amount, count) in sorted(entries.items())],
            [Share(day, *key, amount) for key, amount in sorted(shares.items())],
        )


JOURNALS = {
    "revenue": Journal.REVENUE, "credit": Journal.REVENUE, "tax": Journal.TAX, "cash": Journal.CASH,
    "elsewhere": Journal.RECEIVABLES, "write_off": Journal.RECEIVABLES, "recovery": Journal.RECEIVABLES,
}  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class Posting:
    """One row of a journal: `amount_minor` is a debit when positive."""

    day: date
    journal: Journal
    kind: str
    code: str
    title: str
    detail: str
    amount_minor: int


def postings(chart: Chart, shares: Iterable[Share]) -> list[Posting]:
    """Both sides of every share, those alike summed, in the order of day, journal, kind and account."""
    sums: dict[tuple[date, Journal, str, str, str, str], int] = defaultdict(int)
    receivable = chart.account("receivable")
    for share in shares:
        place, detail = ("elsewhere", "") if share.imported else (share.place, share.detail)
        other, journal = chart.account(place, detail), JOURNALS[place]
        sums[share.day, journal, share.kind, receivable.code, receivable.title, ""] += share.amount_minor
        sums[share.day, journal, share.kind, other.code, other.title, detail] -= share.amount_minor
    return sorted(Posting(*key, amount) for key, amount in sums.items() if amount)


@dataclass(frozen=True, slots=True)
class KindTotal:
    """One kind of entry in a trial balance: what the entries sum to, and what the documents behind them do."""

    kind: str
    count: int
    entries_minor: int
    documents_minor: int

    @property
    def difference_minor(self) -> int:
        return self.entries_minor - self.documents_minor


class AccountTotal(NamedTuple):
    """One account of the general ledger in a trial balance; a debit is positive."""

    code: str
    title: str
    amount_minor: int


@dataclass(frozen=True)
class TrialBalance:
    """All that is booked up to a day. The receivable comes from the entries, every other account from the documents."""

    through: date
    kinds: tuple[KindTotal, ...]
    accounts: tuple[AccountTotal, ...]

    @property
    def debit_minor(self) -> int:
        return sum(a.amount_minor for a in self.accounts if a.amount_minor > 0)

    @property
    def credit_minor(self) -> int:
        return -sum(a.amount_minor for a in self.accounts if a.amount_minor < 0)

    @property
    def proven(self) -> bool:
        """Debits equal credits, and each kind of entry equals its documents."""
        return self.debit_minor == self.credit_minor and not any(k.difference_minor for k in self.kinds)


def trial_balance(chart: Chart, through: date, books: Books) -> TrialBalance:
    """The trial balance of everything given."""
    kinds: dict[str, list[int]] = {kind.value: [0, 0, 0] for kind in EntryKind}
    sums: dict[tuple[str, str], int] = defaultdict(int)
    receivable = chart.account("receivable")
    for row in books.entries:
        kinds[row.kind][0] += row.count
        kinds[row.kind][1] += row.amount_minor
        sums[receivable.code, receivable.title] += row.amount_minor
    for share in books.shares:
        kinds[share.kind][2] += share.amount_minor
        other = chart.account("elsewhere") if share.imported else chart.account(share.place, share.detail)
        sums[other.code, other.title] -= share.amount_minor
    return TrialBalance(
        through,
        tuple(KindTotal(kind, *totals) for kind, totals in kinds.items() if totals[0]),
        tuple(AccountTotal(code, title, amount) for (code, title), amount in sorted(sums.items())),
    )


# ---------------------------------------------------------------- the files

COLUMNS = ("file", "period", "journal", "day", "entry", "account", "title", "detail", "debit", "credit", "currency")
BALANCE_COLUMNS = ("file", "period", "through", "account", "title", "debit", "credit", "currency")
BALANCE = "trial_balance"  # the file beside the journals


class File(NamedTuple):
    """A file of a closed period: its text is the same whenever it is written."""

    number: str
    journal: str
    rows: int
    debit_minor: int
    text: str


def file_name(number: str, journal: str) -> str:
    return f"{number}-{journal.replace('_', '-')}.csv"


def files(number: str, found: Sequence[Posting], balance: TrialBalance, currency: str) -> list[File]:
    """The files of a period, numbered in it: one for each journal, also where nothing was booked, and the trial balance."""
    made = []
    for n, journal in enumerate(Journal, 1):
        rows = [p for p in found if p.journal == journal]
        name = f"{number}.{n}"
        text = _csv(
            COLUMNS,
            ((name, number, journal.value, p.day.isoformat(), p.kind, p.code, p.title, p.detail, *_sides(p.amount_minor, currency), currency) for p in rows),
        )
        made.append(File(name, journal.value, len(rows), sum(max(p.amount_minor, 0) for p in rows), text))
    name = f"{number}.{len(Journal) + 1}"
    through = balance.through.isoformat()
    text = _csv(BALANCE_COLUMNS, ((name, number, through, a.code, a.title, *_sides(a.amount_minor, currency), currency) for a in balance.accounts))
    return [*made, File(name, BALANCE, len(balance.accounts), balance.debit_minor, text)]


def why_not_closed(through: date, *, today: date, closed: date | None, first: date | None, said: Callable[[date], str] = str) -> str:
    """Why the books cannot be closed through a day; empty: they can. `closed`: through when they are; `first`: the first day on which
    something is booked; `said`: how a day is written."""
    if through >= today:
        return "That day is not over yet. Choose yesterday or earlier."
    if closed is not None and through <= closed:
        return f"The books are closed through {said(closed)} already."
    if first is None or through < first:
        return "Nothing was booked by then."
    return ""


def being_closed(number: str) -> str:
    """Why no period can be closed while the files of the last one are not written."""
    return f"{number} is being closed: its files are not written yet. Close the next period after that."


def _sides(amount_minor: int, currency: str) -> tuple[str, str]:
    return (plain(amount_minor, currency), "") if amount_minor >= 0 else ("", plain(-amount_minor, currency))


def _csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")  # RFC 4180
    writer.writerow(columns)
    writer.writerows([_inert(cell) for cell in row] for row in rows)
    return out.getvalue()


def _inert(cell: str) -> str:
    """A text that a spreadsheet would read as a formula, made harmless (labels of taxes may come from outside)."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
