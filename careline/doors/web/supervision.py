"""Supervision: patterns worth a look with their evidence, a person's day, an account's journal, and who opened what and why."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from careline.acts.declare import Outcome, Scene
from careline.acts.look import look
from careline.acts.oversight import scene_of
from careline.acts.perform import bare_facts
from careline.domain.customers import queries as customers
from careline.domain.journal import queries as journal
from careline.domain.journal import rules as journal_rules
from careline.domain.oversight import queries
from careline.domain.oversight.rules import SHOWN, Kind
from careline.domain.rulebook import queries as rulebooks
from careline.domain.staff import queries as staff
from careline.doors.web import forms
from careline.doors.web.journal_rows import rows_of
from careline.doors.web.render import page, zone
from careline.doors.web.rulebook import not_shown, role_title
from careline.foundation import phone, seal
from careline.foundation.act import NO_BASIS

MOST = 500  # lines of a page; an export has all
TITLES = {
    "just_under": "Credits just under a limit", "one_account": "Many credits to one account", "tied": "Credits to people who work here",
    "looked_only": "Looked, and did nothing", "too_much": "Searches that found too much", "same_yes": "The same yes within a team",
}  # fmt: skip
KINDS = (("", "All"), ("view.", "Looks"), ("credits.", "Credits"), ("payments.", "Payments"), ("contacts.", "Contacts"), ("lines.", "Lines"), ("approvals.", "Requests"), ("oversight.", "Supervision"))
OUTCOMES = (("", "All"), ("done", "Done"), ("refused", "Refused"), ("looked", "Shown"))


def show(request: HttpRequest) -> HttpResponse:
    """Openings that nobody took note of, patterns of the last weeks, and the ways in."""
    no = look("view.supervision", who=request.user.who).refusal
    if no is not None:
        return not_shown(request, no)
    outcome, answered = None, ""
    if request.method == "POST":
        answered = request.POST.get("code", "")
        outcome = _open(request, "oversight.audit") if answered == "oversight.audit" else forms.do(request, "oversight.note", {"opening": request.POST.get("opening", "")})
        if outcome.ok:
            return _after(request, outcome, answered)
    book, now = rulebooks.current(), timezone.now()
    policy = book.limits["patterns"]
    people = staff.everybody()
    by_key = {p.who.key: p for p in people}
    found = queries.patterns(policy, now - timedelta(days=policy["days"]))
    references = customers.references(list({e.account_id for p in found for e in p.evidence if e.account_id}))
    shape = {
        "days": policy["days"],
        "patterns": [
            {"title": TITLES[p.kind], "name": by_key[p.staff_id].name, "say": p.say, "href": reverse("person-day", args=[by_key[p.staff_id].pk]),
             "evidence": [{"at": e.at, "what": e.what, "account": references.get(e.account_id or 0, ""), "href": _day_href(by_key[p.staff_id].pk, e.at)} for e in p.evidence[:SHOWN]], "more": max(p.count - SHOWN, 0)}
            for p in found if p.staff_id in by_key
        ],
        "openings": [_opening(request, row, book, now) for row in queries.openings()],
        "people": [{"name": p.name, "role": role_title(p.role), "team": p.team.name if p.team else "", "href": reverse("person-day", args=[p.pk])} for p in people if p.is_active and str(p.pk) != request.user.who.id],
        "open": _open_form("oversight.audit", "Look into an account", "Open its journal", reverse("supervision"), book, outcome if answered == "oversight.audit" else None, request),
    }  # fmt: skip
    if outcome is not None and answered != "oversight.audit":
        messages.error(request, outcome.say)
    return page(request, "supervision.html", {"supervision": shape}, 200 if outcome is None else 422)


def emergency(request: HttpRequest) -> HttpResponse:
    """Break the glass: for whoever leads, when the usual way does not work."""
    no = look("view.glass", who=request.user.who).refusal
    if no is not None:
        return not_shown(request, no)
    outcome = None
    if request.method == "POST":
        outcome = _open(request, "oversight.break_glass")
        if outcome.ok:
            return _after(request, outcome, "oversight.break_glass")
    book = rulebooks.current()
    form = _open_form("oversight.break_glass", "Break the glass", "Open the account", reverse("emergency"), book, outcome, request)
    return page(request, "emergency.html", {"emergency": {"form": form, "minutes": book.limits["opening"]["glass_minutes"]}}, 200 if outcome is None else 422)


def _open(request: HttpRequest, code: str) -> Outcome:
    row = customers.account_by_reference(request.POST.get("account", "").strip())
    if row is None:
        from careline.foundation.refusal import Refusal

        say = "There is no account of this reference."
        return Outcome("invalid", say, refusal=Refusal("INVALID", say, fields={"account": say}))
    return forms.do(request, code, {"account": row.pk, "reason": request.POST.get("reason", ""), "words": request.POST.get("words", "")})


def _after(request: HttpRequest, outcome: Outcome, code: str) -> HttpResponse:
    messages.success(request, f"{outcome.say}.")
    response = redirect(reverse("supervision") if code == "oversight.note" else reverse("opened", args=[outcome.show["opening"]]))
    response.status_code = 303
    return response


def _open_form(code: str, title: str, submit: str, action: str, book: Any, outcome: Outcome | None, request: HttpRequest) -> dict[str, Any]:
    glass = code == "oversight.break_glass"
    reasons = [(key, row["title"]) for key, row in book.reasons.get("opening", {}).items() if bool(row.get("glass", False)) == glass]
    form = forms.form(code, title, submit, action, [
        forms.hidden("code", code), forms.field("account", "Account", placeholder="A-0104822"), forms.field("reason", "Why", "choice", choices=reasons),
        forms.field("words", "In a few words", maxlength=400, hint="It stands in the account's journal."),
    ])  # fmt: skip
    return forms.refilled(form, request.POST.dict(), outcome, []) if outcome is not None else form


def _opening(request: HttpRequest, row: Any, book: Any, now: datetime) -> dict[str, Any]:
    reason = book.reasons.get("opening", {}).get(row.reason, {}).get("title", row.reason)
    mine = str(row.staff_id) == request.user.who.id
    return {
        "glass": row.kind == Kind.GLASS, "name": row.staff.name, "account": row.account.reference, "reason": reason, "at": row.at, "noted": row.noted_by.name if row.noted_by else "",
        "open_href": reverse("opened", args=[row.pk]) if mine and row.until > now else None,
        "note": forms.button("Take note", reverse("supervision"), code="oversight.note", opening=row.pk) if row.kind == Kind.GLASS and row.noted_at is None and not mine else None,
    }  # fmt: skip


# ---------------------------------------------------------------- a person's day


def _day_href(staff_id: int, at: datetime) -> str:
    return f"{reverse('person-day', args=[staff_id])}?day={at.astimezone(zone()).date().isoformat()}"


@require_GET
def person_day(request: HttpRequest, staff_id: int) -> HttpResponse:
    """What somebody did and saw in a day, refusals too; as a page or as a signed file."""
    person = staff.person(staff_id)
    if person is None:
        raise Http404
    try:
        day = date.fromisoformat(request.GET.get("day") or timezone.now().astimezone(zone()).date().isoformat())
        if not 2000 <= day.year <= 2199:
            raise ValueError("no day of a desk")
        since = datetime.combine(day, clock_time.min, zone()).astimezone(UTC)
    except ValueError:
        raise Http404 from None
    scene = Scene(rulebooks.current(), NO_BASIS, bare_facts(mine=str(person.pk) != request.user.who.id))
    no = look("view.person", who=request.user.who, scene=scene, every_time=True, chain=journal_rules.staff_chain(str(person.pk)), data={"day": day.isoformat()}).refusal
    if no is not None:
        return not_shown(request, no)
    wanted = {"who": person.who.key, "since": since, "until": since + timedelta(days=1, hours=2) if _longer(day) else since + timedelta(days=1), **_filters(request)}
    if request.GET.get("export"):
        return _export(request, scene, f"{person.name} on {day.isoformat()}", wanted, journal_rules.staff_chain(str(person.pk)), f"{person.username}-{day.isoformat()}")
    rows = journal.lines(**wanted, most=MOST)
    shape = {
        "title": f"{person.name} on {day:%A}, {day:%B} {day.day}", "crumb": person.name, "day": day.isoformat(), "action": request.path,
        "yesterday": f"?day={(day - timedelta(days=1)).isoformat()}", "tomorrow": f"?day={(day + timedelta(days=1)).isoformat()}", **_page_of(request, rows), "facts": [], "person": None,
    }  # fmt: skip
    return page(request, "audit.html", {"audit": shape})


def _longer(day: date) -> bool:
    """Whether the clock is put back on this day, so that it has 25 hours."""
    start, end = (datetime.combine(d, clock_time.min, zone()) for d in (day, day + timedelta(days=1)))
    return end.astimezone(UTC) - start.astimezone(UTC) > timedelta(days=1)


# ---------------------------------------------------------------- an opened account


@require_GET
def opened(request: HttpRequest, opening_id: int) -> HttpResponse:
    """The journal of an account that was opened for a reason, while it is open; in an emergency with the account's essentials."""
    row = queries.opening(opening_id)
    if row is None:
        raise Http404
    now = timezone.now()
    scene = scene_of(row, request.user.who, rulebooks.current(), now)
    no = look("view.opened", who=request.user.who, scene=scene).refusal
    if no is not None:
        return not_shown(request, no)
    chain = journal_rules.account_chain(row.account_id)
    wanted = {"chain": chain, **_filters(request)}
    if request.GET.get("export"):
        return _export(request, scene, f"Account {row.account.reference}", wanted, chain, row.account.reference)
    rows = journal.lines(**wanted, most=MOST)
    facts = []
    if row.kind == Kind.GLASS:
        facts = [("Customer", row.account.customer.name), ("Account", row.account.reference), *((f"Line {n}", phone.shown(line.msisdn)) for n, line in enumerate(customers.numbers_of_record(row.account_id), 1))]
    shape = {
        "title": f"Account {row.account.reference}", "crumb": "", "day": None, "action": request.path, "yesterday": None, "tomorrow": None, "facts": facts,
        "until": row.until, "person": request.GET.get("by", ""), "people": [(p.who.key, p.name) for p in staff.everybody()], **_page_of(request, rows),
    }  # fmt: skip
    return page(request, "audit.html", {"audit": shape})


def _filters(request: HttpRequest) -> dict[str, Any]:
    kind, outcome = request.GET.get("kind", ""), request.GET.get("outcome", "")
    return {
        "codes": kind if kind in dict(KINDS) else "", "outcome": outcome if outcome in dict(OUTCOMES) else "",
        **({"by": request.GET["by"][:60]} if request.GET.get("by") else {}),
    }  # fmt: skip


def _page_of(request: HttpRequest, rows: list[Any]) -> dict[str, Any]:
    found = reversed(rows_of([journal.entry(row) for row in reversed(rows)]))
    about = _about([row.chain.name for row in rows])
    kept = {k: v for k in ("day", "kind", "outcome", "by") if (v := request.GET.get(k))}
    exports = request.user.role in rulebooks.current().authority.roles_with("view.export")
    return {
        "kind": request.GET.get("kind", ""), "kinds": KINDS, "outcome": request.GET.get("outcome", ""), "outcomes": OUTCOMES, "full": len(rows) == MOST,
        "export": f"?{urlencode({**kept, 'export': 1})}" if exports else None,
        "rows": [{**line, "chain": about[row.chain.name]} for line, row in zip(found, rows, strict=True)],
    }  # fmt: skip


def _about(chains: list[str]) -> dict[str, str]:
    """What chains are about, in words: accounts by their references, people by their names."""
    ids = {name: int(name.partition(":")[2]) for name in chains if name.startswith(("account:", "staff:"))}
    references = customers.references([pk for name, pk in ids.items() if name.startswith("account:")])
    people = {person.pk: person.name for person in staff.everybody()}
    return {
        name: references.get(ids[name], name) if name.startswith("account:") else people.get(ids[name], name) if name in ids else "the house"
        for name in chains
    }  # fmt: skip


def _export(request: HttpRequest, scene: Scene, title: str, wanted: dict[str, Any], chain: str, name: str) -> HttpResponse:
    """The lines as a signed file. That they were taken is written before they are given."""
    no = look("view.export", who=request.user.who, scene=scene, every_time=True, chain=chain, data={"of": title if chain.startswith("staff:") else ""}).refusal
    if no is not None:
        return not_shown(request, no)
    head = {"title": title, "made_at": journal_rules.moment(timezone.now()), "by": request.user.who.name, "filter": {k: str(v) for k, v in wanted.items() if v}, "whole": True}
    body = seal.sealed(settings.JOURNAL_KEY, head, (_row(line) for line in journal.every_line(**wanted)))
    response = HttpResponse(body, content_type="application/jsonl; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.careline.jsonl"'
    response["Cache-Control"] = "no-store"
    return response


def _row(line: Any) -> dict[str, Any]:
    held = getattr(line, "payload", None)
    return {"text": line.text, "mac": line.mac, "payload": {"salt": held.salt, "body": held.body} if held is not None and held.body is not None else None}
