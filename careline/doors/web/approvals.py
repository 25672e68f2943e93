"""The inbox of those who may decide, and one request decided in seconds."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from careline.acts.declare import BasisRef, Outcome, Scene
from careline.acts.look import look
from careline.acts.perform import bare_facts
from careline.domain.approvals import queries as approvals
from careline.domain.approvals.rules import Kind, State
from careline.domain.credits import queries as credits
from careline.domain.customers import queries as customers
from careline.domain.ledger import queries as ledger
from careline.domain.ledger import rules as ledger_rules
from careline.domain.rulebook import queries as rulebooks
from careline.domain.staff import queries as staff
from careline.domain.staff.rules import ROLE_TITLES
from careline.doors.web import forms
from careline.doors.web.render import day, digest, page, part, zone
from careline.foundation.act import Basis
from careline.foundation.calendar import age_in_words
from careline.foundation.money import shown

# The facts of a credit, in the lead's words; rooms are what the asker's own limits left.
FACT_LABELS = {
    "eventRoom": "left of their limit for this event",
    "reasonRoom": "left of this reason's limit",
    "windowRoom": "left for this account from their role",
    "dayRoom": "left of their day",
}


def waiting(request: HttpRequest, now: Any) -> list[dict[str, Any]]:
    """What this person could decide now, oldest first: the inbox, and what waits first on their home page."""
    return [
        {
            "id": str(r.pk),
            "title": r.title,
            "amount": r.amount_minor,
            "requester": r.asker.name,
            "why": r.words or None,
            "rule": r.rule_say,
            "account": r.account.reference if r.account else "none",
            "since_seconds": int((now - r.asked_at).total_seconds()),
            "live": r.contact.state in ("live", "held"),
            "href": reverse("approval", args=[r.pk]),
        }
        for r in approvals.waiting_for(request.user.role, request.user.pk, now)
    ]


@require_GET
def inbox(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    rows = waiting(request, now)
    shows = [r["id"] for r in rows]
    context = {"inbox": {"poll_url": reverse("approvals-part") + "?seen=" + digest(shows), "rows": rows, "decided": _decided(request), "let_in": len(staff.waiting_to_be_let_in())}}
    return page(request, "approvals.html", context)


@require_GET
def inbox_part(request: HttpRequest) -> HttpResponse:
    """The poll of the inbox: 204 while the same requests wait."""
    rows = waiting(request, timezone.now())
    request.careline_no_desk = True
    if "home" in request.GET:
        return part(request, "home_asked.html", {"home": {"asked": rows}}, [r["id"] for r in rows])
    return part(request, "approvals_rows.html", {"inbox": {"poll_url": None, "rows": rows, "decided": _decided(request)}}, [r["id"] for r in rows])


def _decided(request: HttpRequest) -> list[dict[str, Any]]:
    return [
        {
            "title": r.title, "amount": r.granted_minor if r.granted_minor is not None else r.amount_minor, "requester": r.asker.name,
            "verdict": {"less": "granted less"}.get(r.state, r.state), "at": r.decided_at, "href": reverse("approval", args=[r.pk]),
        }
        for r in approvals.recently_decided(request.user.pk)
    ]


def show(request: HttpRequest, request_id: int) -> HttpResponse:
    row = approvals.request(request_id)
    if row is None or request.user.role not in row.role_list:
        raise Http404
    if request.method == "POST":
        return _decide(request, row)
    return _draw(request, row)


def _decide(request: HttpRequest, row: Any) -> HttpResponse:
    data = request.POST
    try:
        given = forms.read(data, {"decision": "text", "amount": "money", "answer": "text"}) | {"request": row.pk}
        outcome = forms.do(request, "approvals.decide", given, BasisRef("request", row.pk))
    except forms.Typed as typed:
        outcome = typed.outcome
    if outcome.ok:
        messages.success(request, outcome.say)
        response = redirect("approvals")
        response.status_code = 303
        return response
    return _draw(request, approvals.request(row.pk), outcome, data.dict(), 422)


def _draw(request: HttpRequest, row: Any, outcome: Outcome | None = None, data: Any = None, status: int = 200) -> HttpResponse:
    now = timezone.now()
    who = request.user.who
    facts = bare_facts(
        kind="request", level=row.level, mine=str(row.asker_id) != who.id,
        ownBusiness=customers.ties_with(row.account_id, who) if row.account_id else "none",
    )
    scene = Scene(rulebooks.current(), Basis("request", row.pk, row.account_id, row.level, "", row.contact_id), facts)
    looked = look("view.request", who=who, scene=scene)
    if not looked.allowed:
        error = {"title": "Not shown", "say": looked.refusal.say if looked.refusal else "", "what_to_do": None,
                 "refusal": None, "reference": None, "way_on": [{"label": "Waiting for you", "href": reverse("approvals")}]}
        return page(request, "error.html", {"error": error}, 403)
    state = approvals.state_now(row, now)
    waiting = state == State.WAITING
    ask: dict[str, Any] = {
        "title": row.title.split(":")[0], "amount": row.amount_minor, "requester": row.asker.name,
        "requester_role": ROLE_TITLES.get(row.asker.role, row.asker.role).lower(),
        "since_seconds": int((now - row.asked_at).total_seconds()),
        "live": row.contact.state in ("live", "held"), "why": row.words or None,
        "rule": {"say": row.rule_say, "id": row.rule, "cite": row.rule_cite},
        "facts": _facts(row, now), "account": row.account.reference if row.account else "none", "customer": row.account.customer.name if row.account and row.kind == Kind.EXECUTE else None,
        "state": state,
        "decided": {"by": row.decided_by.name, "at": row.decided_at, "word": row.answer or None, "amount": row.granted_minor} if row.decided_by else None,
        "approve": None, "less": None, "decline": None, "refusal": None, "back_href": reverse("approvals"),
    }
    if waiting:
        action = reverse("approval", args=[row.pk])
        amount = f" {shown(row.amount_minor)}" if row.amount_minor else ""
        ask["approve"] = forms.form("approve", "Approve", f"Approve{amount}" if row.kind == Kind.EXECUTE else "Admit them", action, [forms.hidden("decision", "approve")])
        if row.kind == Kind.EXECUTE and row.amount_minor:
            ask["less"] = forms.form("less", "Grant less", "Grant this", action, [forms.hidden("decision", "less"), forms.field("amount", "Amount", "money"), forms.field("answer", "A word", "text", required=False)])
        ask["decline"] = forms.form("decline", "Decline", "Decline", action, [forms.hidden("decision", "decline"), forms.field("answer", f"A word to {row.asker.name.split()[0]}", "text")])
        if outcome is not None:
            chosen = data.get("decision", "approve")
            if chosen in ("approve", "less", "decline") and ask[chosen]:
                ask[chosen] = forms.refilled(ask[chosen], data, outcome, [])
    return page(request, "approval.html", {"ask": ask}, status)


def _charge(bill_line: int, account_id: int | None) -> str:
    """The charge that the credit is for, and what of it was credited already."""
    line = ledger.bill_line(bill_line)
    if line is None or line.bill.account_id != account_id:
        return "not on this account"
    before = credits.credited_on_line(line.pk)
    return f"{line.label}, {shown(line.amount_minor)} on the bill of {day(line.bill.issued_on)}" + (f"; {shown(before)} credited already" if before else "")


def _facts(row: Any, now: Any) -> list[tuple[str, str]]:
    facts = row.fact_data
    found = [("caller", {3: "verified", 4: "strongly verified"}.get(row.level, "not verified"))]
    if facts.get("tie"):
        return [*found, ("tie", f"the account is {facts['tie']} business of {row.asker.name}")]
    if row.account_id is not None:
        account = customers.account(row.account_id)
        today = now.astimezone(zone()).date()
        standing = ledger_rules.standing(ledger.open_items(ledger.bills_of(row.account_id)), ledger.balance(row.account_id), today)
        given = credits.window_used(row.account_id, now - timedelta(days=365))
        late = f", {shown(standing.past_due_minor)} past due for {standing.days_past_due(today)} days" if standing.past_due_minor else ""
        if account and account.customer.since:
            found.append(("customer for", age_in_words(account.customer.since, today)))
        found += [("balance", shown(standing.balance_minor) + late), ("credits in 12 months", shown(given))]
    if "arrangement" in facts and row.input_data.get("parts"):
        parts = [f"{shown(p['amount'])} by {day(date.fromisoformat(p['due_on']))}" for p in row.input_data["parts"]]
        found.insert(0, ("plan", ", ".join(parts)))
        found.append(("broken within a year", str(facts["arrangement"]["broken"])))
    credit = facts.get("credit")
    if credit:
        known = rulebooks.current().reasons["credit"].get(credit["reason"], {})
        found.insert(0, ("reason", known.get("title", credit["reason"])))
        charge = forms.whole(row.input_data.get("bill_line"))
        found.insert(1, ("charge", _charge(charge, row.account_id) if charge else "none named"))
        found += [(label, shown(credit[name])) for name, label in FACT_LABELS.items()]
    return found
