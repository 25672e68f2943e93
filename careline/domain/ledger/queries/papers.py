"""A bill, an explanation and a statement as they stand on paper: frozen facts for the printer."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime

from django.db.models import Exists, OuterRef
from django.db.models.functions import Length

from careline.domain.customers import queries as customers
from careline.domain.ledger.models import Bill, Entry, Paper, PaperBytes
from careline.domain.ledger.queries.why import billed, why
from careline.domain.ledger.rules import EntryKind, PaperKind, estimate, explain
from careline.domain.ledger.rules import paper as papers
from careline.foundation import phone


def holder(account_id: int) -> papers.Holder:
    """Whose account it is. Raises LookupError when there is no such account."""
    account = customers.account(account_id)
    if account is None:
        raise LookupError(f"there is no account {account_id}")
    place = " ".join(filter(None, (account.state, account.postal_code)))
    return papers.Holder(account.customer.name, account.reference, place, account.autopay)


def bill_paper(account_id: int, bill_id: int) -> papers.BillPaper | None:
    """One bill of an account as it was issued: what was owed and what came before it, its charges by phone line, its taxes,
    and why it differs. The same bill gives the same paper until another replaces it; what comes after it is not on it.
    None when the account has no such bill."""
    rows = list(Bill.objects.filter(account_id=account_id).annotate(gone=Exists(Bill.objects.filter(corrects=OuterRef("pk")))).order_by("issued_on", "pk"))
    bill = next((b for b in rows if b.pk == bill_id), None)
    if bill is None:
        return None
    by = next((b for b in rows if b.corrects_id == bill_id), None)
    of = next((b for b in rows if b.pk == bill.corrects_id), None)
    was = next((b for b in reversed(rows[: rows.index(bill)]) if b.pk != bill.corrects_id and not b.gone), None)
    now, *earlier = billed([bill, was] if was is not None else [bill])
    before, last, since, gone = _before(account_id, bill, _replaced(bill, rows))
    named = {
        n.pk: (phone.shown(n.msisdn), n.label) for n in customers.lines_of(account_id) if n.pk in {c.line for c in now.lines}
    }  # fmt: skip
    return papers.BillPaper(
        number=bill.number, holder=holder(account_id), issued_on=bill.issued_on, first=bill.period_start, last=bill.period_end, due_on=bill.due_on,
        before_minor=before, before_due_on=next((b.due_on for b in rows if b.pk == last), None), since=tuple(since), groups=papers.groups(now.lines, named), taxes=papers.taxes(now.lines),
        change=papers.change(why(account_id, now, earlier[0], for_customer=True) if earlier else None),
        replaces=papers.Named(of.number, of.issued_on) if of is not None else None,
        replaced_by=papers.Named(by.number, by.issued_on) if by is not None else None, taken_back=gone or by is not None,
        settled_minor=now.settled_minor, by_state_only=now.by_state_only,
    )  # fmt: skip


def _replaced(bill: Bill, rows: Sequence[Bill]) -> set[int]:
    """The bills that this one stands in for: the one it replaces, the one that that replaced, and so on."""
    corrects, found = {b.pk: b.corrects_id for b in rows}, set[int]()
    nearest = bill.corrects_id
    while nearest is not None:
        found.add(nearest)
        nearest = corrects.get(nearest)
    return found


def _before(account_id: int, bill: Bill, replaced: set[int]) -> tuple[int, int | None, list[papers.Moved], bool]:
    """What was owed after the bill before this one, which that was, what happened between the two, and whether this one was
    taken back. In the order of the ledger, as if the bills that it stands in for had never been."""
    owed, last, since, running = 0, None, list[papers.Moved](), 0
    rows = Entry.objects.filter(account_id=account_id).annotate(gone=Exists(Entry.objects.filter(reverses=OuterRef("pk"))))
    for entry in rows.order_by("day", "at", "pk"):
        if entry.kind == EntryKind.BILL and entry.bill_id == bill.pk:
            return owed, last, since, entry.gone
        if entry.bill_id in replaced:
            continue
        running += entry.amount_minor
        if entry.kind == EntryKind.BILL:
            owed, last, since = running, entry.bill_id, []
        else:
            since.append(papers.Moved(entry.kind, entry.day, entry.label, entry.amount_minor))
    return owed, last, since, False


def explanation_paper(
    account_id: int, bill_id: int, against_id: int, credits: Callable[[Sequence[int]], Sequence[explain.Credited]]
) -> tuple[papers.Holder, explain.Explanation] | None:
    """Why one bill of an account differs from an earlier one, without the names of who works here; None when the two are
    not there. `credits` as of `explained`."""
    both = {b.pk: b for b in Bill.objects.filter(account_id=account_id, pk__in=(bill_id, against_id))}
    if len(both) < 2:
        return None
    now, was = billed([both[bill_id], both[against_id]])
    found = why(account_id, now, was, for_customer=True)
    return holder(account_id), replace(found, credits=tuple(replace(c, who="") for c in credits([now.id, was.id])))


def estimate_paper(paper: Paper) -> tuple[papers.Holder, explain.Explanation] | None:
    """What the next bill will be, as it was told, against the last one then."""
    last = Bill.objects.filter(account_id=paper.account_id, pk=paper.against_id).first()
    if last is None:
        return None
    (was,) = billed([last])
    said = json.loads(paper.facts)
    told = estimate.unpacked(said["lines"], date.fromisoformat(said["on"]), said["total"])
    names = {n.pk: f"ending {phone.last_four(n.msisdn)}" for n in customers.lines_of(paper.account_id)}
    now = replace(told, by_run=said["by_run"], lines=tuple(replace(n, name=names.get(n.line or 0, "")) for n in told.lines))
    return holder(paper.account_id), why(paper.account_id, now, was, for_customer=True)


# ---------------------------------------------------------------- what was asked for, and what of it is there


def was_taken_back(bill_id: int) -> bool:
    """Is this bill owed no more: taken back, whether or not another replaced it?"""
    return Bill.objects.filter(corrects_id=bill_id).exists() or Entry.objects.filter(reverses__bill_id=bill_id, reverses__kind=EntryKind.BILL).exists()


def paper_of_bill(bill_id: int) -> Paper | None:
    """The newest paper of a bill as it stands now, with its `size` in bytes once it is made; None when nobody asked for one."""
    rows = Paper.objects.filter(kind=PaperKind.BILL, bill_id=bill_id, key__endswith=":back" if was_taken_back(bill_id) else f":{bill_id}")
    return rows.select_related("bill").annotate(size=Length("made__body")).order_by("-pk").first()


def papers_of_explanation(account_id: int, bill_id: int | None, against_id: int) -> list[Paper]:
    """The newest paper that explains a bill (None: the next) against an earlier one, if somebody asked for one."""
    rows = Paper.objects.filter(account_id=account_id, kind=PaperKind.EXPLANATION if bill_id else PaperKind.ESTIMATE, bill_id=bill_id, against_id=against_id)
    return list(rows.annotate(size=Length("made__body")).order_by("-pk")[:1])


def paper(paper_id: int) -> Paper | None:
    return Paper.objects.select_related("bill", "account").filter(pk=paper_id).first()


def statements_of(account_id: int, limit: int = 3) -> list[Paper]:
    """The newest statements that were asked for, newest first."""
    rows = Paper.objects.filter(account_id=account_id, kind=PaperKind.STATEMENT).annotate(size=Length("made__body"))
    return list(rows.order_by("-pk")[:limit])


def paper_body(paper_id: int) -> bytes | None:
    """A paper as it was made; None while it is not."""
    row = PaperBytes.objects.filter(papers=paper_id).values_list("body", flat=True).first()
    return bytes(row) if row is not None else None


def papers_waiting(at: datetime) -> bool:
    """Is a paper due to be made? Asked without a lock, so that nothing to do costs no write."""
    return Paper.objects.filter(state="wanted", not_before__lte=at).exists()
