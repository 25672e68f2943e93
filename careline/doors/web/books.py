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
from careline.domain.ledger.rules.books import TrialBalance, being_closed, file_name, why_not_closed
from careline.domain.rulebook import queries as rulebooks
from careline.doors.web import forms
from careline.doors.web.render import day, page
from careline.foundation.calendar import add_months, civil_date

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
    outcome = forms.do(request, CLOSE, forms.read(request.POST, KINDS[CLOSE]))  # posted by the second step only: the form that names the period
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
    may_close = request.user.role in rulebook.authority.roles_with(CLOSE)
    close = _close(today, ledger.closed_through(), request, outcome) if may_close and "books.toml" in rulebook.files else None
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


def _close(today: date, closed: date | None, request: HttpRequest, outcome: Outcome | None) -> dict[str, Any]:
    """Closing in two steps, because it is not undone: a day is chosen, then the period and what is booked in it are shown and confirmed. A month's
    end is proposed once it is over; before that, the page says when it will be."""
    over = today.replace(day=1) - timedelta(days=1)  # the last month's end
    coming = _month_end(closed + timedelta(days=1)) if closed is not None and closed >= over else None
    typed = request.POST.get("through", "") if outcome is not None else request.GET.get("through", "")
    fault, confirm = outcome.say if outcome is not None else None, None
    if outcome is not None and outcome.refusal is not None and outcome.refusal.fields:
        fault = " ".join(outcome.refusal.fields.values())
    if typed and outcome is None:
        fault, confirm = _to_confirm(typed, today, closed)
    return {
        "since": _said(closed), "through": typed or ("" if coming else over.isoformat()), "latest": (today - timedelta(days=1)).isoformat(), "fault": fault,
        "month": f"{'The rest of ' if closed and closed.month == coming.month and closed.year == coming.year else ''}{coming:%B}" if coming else None,
        "any": closed is None or closed + timedelta(days=1) < today, "later": coming + timedelta(days=1) if coming else None, "confirm": confirm,
    }  # fmt: skip


def _to_confirm(typed: str, today: date, closed: date | None) -> tuple[str | None, dict[str, Any] | None]:
    """Why this day closes nothing, or the period that it would close."""
    try:
        through = date.fromisoformat(typed)
    except ValueError:
        return "Choose a day, such as 2026-10-31.", None
    if (begun := ledger.unfinished_period()) is not None:
        return being_closed(begun.number), None
    if say := why_not_closed(through, today=today, closed=closed, first=ledger.first_booked(), said=day):
        return say, None
    booked: dict[str, list[int]] = {}
    for entries in ledger.entries_booked(closed + timedelta(days=1) if closed else None, through):
        count, minor = booked.get(entries.kind, (0, 0))
        booked[entries.kind] = [count + entries.count, minor + entries.amount_minor]
    days = f"{_said(closed) if closed else 'everything'} through {day(through)}"
    early = f" {day(through)} is not the end of a month." if through != _month_end(through) else ""
    form = forms.form(
        CLOSE, f"Close {days}?", f"Close {days}", reverse("books"), [forms.hidden("through", through.isoformat())], cancel_href=reverse("books"),
        consequence=f"Nothing is booked into it any more: what comes later for its days is booked on the day after. A close is not undone.{early}",
    )  # fmt: skip
    return None, {
        "days": f"{_said(closed)} through {day(through)}", "form": form, "kinds": [{"label": title, "count": booked[kind][0], "amount": booked[kind][1]} for kind, title in ENTRIES.items() if kind in booked],
        "amount": sum(minor for _, minor in booked.values()),
    }  # fmt: skip


def _month_end(of: date) -> date:
    return add_months(of.replace(day=1), 1) - timedelta(days=1)


def _said(closed: date | None) -> str:
    return day(closed + timedelta(days=1)) if closed else "the first entry"
