"""The books: the trial balance of any day, the closed periods with their files, and closing the next one."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from careline.acts.declare import Outcome
from careline.acts.look import look
from careline.domain.credits import queries as credits
from careline.domain.ledger import queries as ledger
from careline.domain.ledger.rules.books import TrialBalance, file_name
from careline.domain.rulebook import queries as rulebooks
from careline.doors.web import forms
from careline.doors.web.render import page
from careline.foundation.calendar import civil_date

CLOSE = "ledger.close_books"
KINDS = {CLOSE: {"through": "text"}}
ENTRIES = {
    "bill": "Bills", "payment": "Payments", "payment_returned": "Payments returned", "credit": "Credits", "credit_reversed": "Credits taken back",
    "bill_corrected": "Bills corrected", "write_off": "Written off", "recovery": "Recovered", "refund": "Refunds",
}  # fmt: skip


def show(request: HttpRequest) -> HttpResponse:
    if not look("view.books", who=request.user.who).allowed:
        raise Http404  # the door let a role in that the policy does not: nothing is there
    if request.method != "POST":
        return _draw(request)
    outcome = forms.do(request, CLOSE, forms.read(request.POST, KINDS[CLOSE]))
    if not outcome.ok:
        return _draw(request, outcome, 422)
    messages.success(request, f"{outcome.say}. Its files are there within a minute.")
    response = redirect("books")
    response.status_code = 303
    return response


@require_GET
def file(request: HttpRequest, number: str) -> HttpResponse:
    """One file of a closed period, as it was closed; each time it is taken is a line in the journal."""
    if not look("view.books", who=request.user.who, data={"file": number}, every_time=True).allowed:
        raise Http404
    found = ledger.books_file(number)
    if found is None:
        raise Http404
    response = HttpResponse(found.text.encode(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{file_name(found.number, found.journal)}"'
    return response


def _draw(request: HttpRequest, outcome: Outcome | None = None, status: int = 200) -> HttpResponse:
    rulebook = rulebooks.current()
    today = civil_date(timezone.now(), settings.CARRIER_ZONE)
    typed = request.GET.get("on", "")
    fault, on, balance = None, today, None
    if typed:
        try:
            on = date.fromisoformat(typed)
        except ValueError:
            fault = "Choose a day, such as 2026-10-31."
    if "books.toml" not in rulebook.files:
        fault = "The rulebook in force has no books.toml, so nobody knows the accounts of the general ledger."
    elif typed and not fault:
        balance = _balance(ledger.balance_of_books(rulebook.books, on, credits.booked))
    closed = ledger.closed_through()
    may_close = request.user.role in rulebook.authority.roles_with(CLOSE)
    close = _close_form(today, closed, request, outcome) if may_close and "books.toml" in rulebook.files else None
    books = {"on": on.isoformat(), "latest": today.isoformat(), "fault": fault, "balance": balance, "periods": [_period(p) for p in ledger.closed_periods()], "close": close}
    return page(request, "books.html", {"books": books}, status)


def _balance(found: TrialBalance) -> dict[str, Any]:
    return {
        "through": found.through, "proven": found.proven, "debit": found.debit_minor, "credit": found.credit_minor,
        "kinds": [
            {"label": ENTRIES[k.kind], "count": k.count, "entries": k.entries_minor, "documents": k.documents_minor, "difference": k.difference_minor}
            for k in found.kinds
        ],
        "accounts": [
            {"code": a.code, "title": a.title, "debit": a.amount_minor if a.amount_minor >= 0 else None, "credit": -a.amount_minor if a.amount_minor < 0 else None}
            for a in found.accounts
        ],
    }  # fmt: skip


def _period(period: Any) -> dict[str, Any]:
    return {
        "number": period.number, "first": period.starts_on, "last": period.ends_on, "by": period.closed_by, "at": period.at,
        "files": [
            {"label": f.journal.replace("_", " ").capitalize(), "number": f.number, "rows": f.rows, "debit": f.debit_minor, "href": reverse("books-file", args=[f.number])}
            for f in period.files.all()
        ],
    }  # fmt: skip


def _close_form(today: date, closed: date | None, request: HttpRequest, outcome: Outcome | None) -> dict[str, Any]:
    """Proposes the last month that is over and open."""
    last_month = today.replace(day=1) - timedelta(days=1)
    proposed = last_month if closed is None or closed < last_month else today - timedelta(days=1)
    shape = forms.form(
        CLOSE, "Close a period", "Close it", reverse("books"),
        [forms.field("through", f"From {_said(closed)} through", "date", proposed.isoformat())],
        consequence="Nothing is booked into it any more: what comes later for its days is booked on the day after. A close is not undone.",
    )  # fmt: skip
    return forms.refilled(shape, request.POST.dict(), outcome, []) if outcome is not None else shape


def _said(closed: date | None) -> str:
    return f"{closed + timedelta(days=1):%B} {(closed + timedelta(days=1)).day}" if closed else "the first entry"
