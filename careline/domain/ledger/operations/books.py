"""Closing a period of the books, in two steps, each in a transaction of its own.

From the first on, whatever is posted is booked after the period. Transactions that were under way may still book into it; once
they are over (the job waits for them and computes the files outside of any transaction), the second keeps the files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, timedelta

from careline.domain.journal.operations import next_numbers
from careline.domain.ledger import queries
from careline.domain.ledger.models import BooksFile, BroughtForward, ClosedPeriod
from careline.domain.ledger.operations.bulk import carrier_day
from careline.domain.ledger.rules.books import Books, File, being_closed, why_not_closed
from careline.foundation.act import Act
from careline.foundation.refusal import refuse


def close_books(*, act: Act, through: date, closed_by: str) -> ClosedPeriod:
    """Close the books through a day: the period after the last one that was closed. Raises Refused when a period is being
    closed still, the day is not over, is in one that is closed, or nothing was booked yet."""
    number = next_numbers("books", "GL")[0]  # locks: two at once follow each other
    closed = queries.closed_through()
    if (begun := queries.unfinished_period()) is not None:
        raise refuse("CONFLICT", being_closed(begun.number))
    today = carrier_day(act.at)
    if say := why_not_closed(through, today=today, closed=closed, first=queries.first_booked()):
        raise refuse("INVALID" if through >= today else "CONFLICT", say, fields={"through": say})
    return ClosedPeriod.objects.create(
        number=number, starts_on=closed + timedelta(days=1) if closed else None, ends_on=through, chart=act.rulebook, closed_by=closed_by, at=act.at
    )


def keep_books_files(*, act: Act, period: ClosedPeriod, found: Sequence[File], books: Books) -> bool:
    """The files of a period that was closed, once, and what is brought forward from it: all that is booked through its end. False
    when another run kept them already."""
    next_numbers("books_files", "GF")
    if queries.files_of(period):
        return False
    BooksFile.objects.bulk_create(
        BooksFile(
            period=period, number=f.number, journal=f.journal, rows=f.rows, debit_minor=f.debit_minor, text=f.text,
            digest=hashlib.sha256(f.text.encode()).hexdigest(),
        )
        for f in found
    )  # fmt: skip
    entries, shares = books.summed(period.ends_on)
    BroughtForward.objects.bulk_create([
        *(BroughtForward(period=period, kind=e.kind, imported=e.imported, amount_minor=e.amount_minor, count=e.count) for e in entries),
        *(BroughtForward(period=period, kind=s.kind, imported=s.imported, place=s.place, detail=s.detail, amount_minor=s.amount_minor) for s in shares),
    ])  # fmt: skip
    return True
