"""Making the papers that were asked for: facts are read, printed outside of any transaction, and kept with their messages let go."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from careline.carriers import PRINTER, lacking, printer
from careline.domain.credits import queries as credits
from careline.domain.journal.ports import Attachment
from careline.domain.ledger import operations, queries
from careline.domain.ledger.ports import Printer
from careline.domain.ledger.rules import STATEMENT_ROWS, PaperKind
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs import prints
from careline.foundation.calendar import civil_date

PDF = "application/pdf"


def html_of(paper: Any) -> str:
    """A paper as the printer takes it. Raises LookupError when what it is about is not there."""
    words = rulebooks.current().stationery
    if paper.kind == PaperKind.BILL:
        found = queries.bill_paper(paper.account_id, paper.bill_id)
        if found is None:
            raise LookupError(f"{paper.key}: there is no such bill")
        return prints.bill(found, settings.CARRIER_NAME, words)
    on = civil_date(paper.at, settings.CARRIER_ZONE)
    if paper.kind == PaperKind.STATEMENT:
        part, of = paper.part
        book = queries.extract(paper.account_id, paper.first, paper.last, STATEMENT_ROWS if of > 1 else None, (part - 1) * STATEMENT_ROWS)
        return prints.statement(queries.holder(paper.account_id), book, settings.CARRIER_NAME, words, on, f"part {part} of {of}" if of > 1 else "")
    if paper.kind == PaperKind.ESTIMATE:
        told = queries.estimate_paper(paper)
        if told is None:
            raise LookupError(f"{paper.key}: there is no such bill")
        return prints.explanation(*told, settings.CARRIER_NAME, words, on)
    both = queries.explanation_paper(paper.account_id, paper.bill_id, paper.against_id, credits.on_bills)
    if both is None:
        raise LookupError(f"{paper.key}: there are no such bills")
    return prints.explanation(*both, settings.CARRIER_NAME, words, on)


def make_one(*, at: datetime | None = None, through: Printer | None = None) -> bool:
    """Make the paper that waits longest. False when none is due, or nothing can be printed here: it waits for a worker that
    can. What goes wrong is raised; the paper is tried again later, and given up after its last try."""
    now = at or timezone.now()
    if not queries.papers_waiting(now) or (through is None and lacking(PRINTER)):
        return False
    paper = operations.take_paper(at=now)
    if paper is None:
        return False
    if paper.state == "wanted":
        body = (through or printer()).pdf(html_of(paper))
        with transaction.atomic():
            operations.keep_paper(paper=paper, body=body, at=at or timezone.now())
    return True


def pull_in(*, at: datetime) -> int:
    return operations.pull_in_papers(at=at)


def attached(name: str) -> tuple[Attachment, ...]:
    """What a message of the outbox named as its attachment. Raises LookupError when it is not there."""
    kind, _, number = name.partition(":")
    paper = queries.paper(int(number)) if kind == "paper" else None
    body = queries.paper_body(paper.pk) if paper is not None else None
    if paper is None or body is None:
        raise LookupError(f"{name} is not there")
    return (Attachment(paper.name, PDF, body),)
