"""Papers to customers: asked for with a deed, made by a job outside of any transaction, kept by their content."""

from __future__ import annotations

import hashlib
import json
from datetime import date, datetime

from django.db import transaction

from careline.domain.customers import operations as customers
from careline.domain.journal import operations as journal
from careline.domain.ledger import queries, rules
from careline.domain.ledger.models import Paper, PaperBytes
from careline.domain.ledger.rules import estimate
from careline.domain.ledger.rules.charges import Billed
from careline.foundation.act import Act
from careline.foundation.calendar import SLACK

TRIES = 5  # of making a paper, then it is given up


def order_bill(*, act: Act, account_id: int, bill_id: int) -> Paper:
    """The paper of a bill of this account: what is there already, made anew only since the bill was taken back, or when
    making it was given up."""
    return _ordered(act, f"bill:{bill_id}{':back' if queries.was_taken_back(bill_id) else ''}", account_id=account_id, kind=rules.PaperKind.BILL, bill_id=bill_id)


def order_explanation(*, act: Act, account_id: int, bill_id: int, against_id: int) -> Paper:
    """The paper that explains a bill against an earlier one: a new one each time, since credits given meanwhile stand on it."""
    return _ordered(act, f"explanation:{bill_id}:{against_id}:{_once(act)}", account_id=account_id, kind=rules.PaperKind.EXPLANATION, bill_id=bill_id, against_id=against_id)


def order_estimate(*, act: Act, account_id: int, told: Billed, against_id: int) -> Paper:
    """The paper of what the next bill will be, against the last: what was told, whatever comes between."""
    facts = json.dumps({"on": told.issued_on.isoformat(), "total": told.total_minor, "by_run": told.by_run, "lines": estimate.packed(told)}, separators=(",", ":"))
    return _ordered(act, f"estimate:{against_id}:{_once(act)}", account_id=account_id, kind=rules.PaperKind.ESTIMATE, against_id=against_id, facts=facts)


def order_statement(*, act: Act, account_id: int, first: date, last: date) -> list[Paper]:
    """The statement of a period, both days in it: a new one each time, and whole. A very long one is several papers, for a printer holds all of
    a paper in memory."""
    parts = max(-(-queries.count_entries(account_id, first, last) // rules.STATEMENT_ROWS), 1)
    return [
        _ordered(
            act, f"statement:{account_id}:{first}:{last}:{_once(act)}{f':{n}' if n > 1 else ''}", account_id=account_id, kind=rules.PaperKind.STATEMENT, first=first, last=last,
            facts=json.dumps({"part": n, "of": parts}) if parts > 1 else "",
        )
        for n in range(1, parts + 1)
    ]  # fmt: skip


def _once(act: Act) -> str:
    """A name of this deed alone: its principal's request key."""
    return hashlib.sha256(f"{act.who.key} {act.key}".encode()).hexdigest()[:16]


def _ordered(act: Act, key: str, **what: object) -> Paper:
    """Under the account's lock, so that two who ask for one paper follow each other."""
    paper = Paper.objects.filter(key=key).first()
    if paper is None:
        return Paper.objects.create(key=key, at=act.at, not_before=act.at, **what)
    if paper.state == "failed":
        paper.state, paper.tries, paper.not_before = "wanted", 0, act.at
        paper.save(update_fields=["state", "tries", "not_before"])
    return paper


def take_paper(*, at: datetime) -> Paper | None:
    """Lease the paper that waits longest: it is pushed away first, so that a crash repeats it and never loses it. One that
    was tried five times is given up, and the messages with it. None when none is due."""
    with transaction.atomic():
        paper = Paper.objects.select_for_update(skip_locked=True, no_key=True).filter(state="wanted", not_before__lte=at).order_by("not_before", "pk").first()
        if paper is None:
            return None
        if paper.tries >= TRIES:
            paper.state = "failed"
            journal.give_up_held(attachment=paper.attachment, at=at)
        paper.tries += 1
        paper.not_before = at + journal.pause_after(paper.tries)
        paper.save(update_fields=["state", "tries", "not_before"])
    return paper


def pull_in_papers(*, at: datetime) -> int:
    """Papers that a clock which ran ahead put off until it gets there again: they are due now. Returns how many."""
    rows = Paper.objects.filter(state="wanted", not_before__gt=at)
    ahead = rows.filter(tries=0, at__gt=at + SLACK) | rows.filter(tries__gt=0, not_before__gt=at + journal.LONGEST_PAUSE + SLACK)
    return ahead.update(not_before=at)


def keep_paper(*, paper: Paper, body: bytes, at: datetime) -> bool:
    """Keep a paper that was made, and let the messages go that wait for it. False when another run kept it already."""
    digest = hashlib.sha256(body).hexdigest()
    customers.lock_accounts([paper.account_id])
    held = Paper.objects.select_for_update(no_key=True).get(pk=paper.pk)
    if held.state == "made":
        return False
    kept = PaperBytes.objects.filter(digest=digest).first() or PaperBytes.objects.create(digest=digest, body=body, at=at)
    held.state, held.made = "made", kept
    held.save(update_fields=["state", "made"])
    journal.release(attachment=held.attachment, at=at)
    return True
