"""The contact page: find the account, verify, see it, act, wrap up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from textwrap import shorten
from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_POST

from careline.acts import table
from careline.acts.approvals import put_away, saw_answers
from careline.acts.contacts import keep_draft
from careline.acts.declare import BasisRef, Outcome
from careline.acts.look import Looked, look
from careline.acts.perform import most
from careline.domain.approvals import queries as approvals
from careline.domain.contacts import queries as contacts
from careline.domain.contacts import rules as contact_rules
from careline.domain.contacts.rules import DraftKind
from careline.domain.credits import queries as credits
from careline.domain.credits import rules as credit_rules
from careline.domain.customers import queries as customers
from careline.domain.diagnosis import queries as diagnosis
from careline.domain.journal import queries as journal
from careline.domain.journal import rules as journal_rules
from careline.domain.ledger import queries as ledger
from careline.domain.rulebook import queries as rulebooks
from careline.domain.staff import queries as staff
from careline.domain.staff.rules import ROLE_TITLES
from careline.doors.web import arrange, care, cause, explain, find, forms, money, oops, papers, pastdue
from careline.doors.web import lines as line_forms
from careline.doors.web.account import LABELS, SHOWN, ContactPage, contact_of, credit_choices, opened, page_of
from careline.doors.web.render import day, duration, page, part
from careline.foundation import phone
from careline.foundation.act import Act, Level
from careline.foundation.money import shown
from careline.foundation.refusal import Refusal

# What each form posts, by the kind that `forms.read` knows.
KINDS: dict[str, dict[str, str]] = {
    "contacts.check_pin": {"account": "id", "pin": "text"},
    "contacts.send_code": {"account": "id", "line": "id"},
    "contacts.check_code": {"account": "id", "code": "text"},
    "contacts.call_back": {"account": "id", "line": "id"},
    "contacts.call_back_answered": {"account": "id", "name": "text"},
    "contacts.call_back_failed": {"account": "id", "why": "text"},
    "contacts.speaker": {"account": "id", "name": "text"},
    "contacts.identify": {"account": "id", "person": "id"},
    "contacts.reason": {"reason": "text"},
    "contacts.note": {"account": "id", "words": "text", "pinned": "checkbox"},
    "contacts.pin_note": {"account": "id", "note": "id", "pinned": "checkbox"},
    "contacts.hold": {},
    "contacts.resume": {},
    "contacts.drop": {},
    "contacts.reconnect": {},
    "contacts.accept": {},
    "contacts.end": {},
    "contacts.hand_over": {"to": "id", "words": "text"},
    "contacts.wrap_up": {"summary": "text", "disposition": "text", "root_cause": "text", "follow_up": "text", "due_on": "text", "owner": "id"},
    "credits.grant": {"account": "id", "amount": "money", "reason": "text", "bill_line": "id", "first": "text", "last": "text", "words": "text"},
    "credits.reverse": {"account": "id", "credit": "text", "words": "text"},
    "payments.take": {"account": "id", "amount": "money", "method": "id"},
    "payments.send_link": {"account": "id", "amount": "money", "line": "id"},
    "payments.send_guest_link": {"account": "id", "amount": "money", "number": "text"},
    "approvals.ask": {"account": "id", "code": "text", "words": "text"},
    "approvals.ask_admission": {"account": "id", "person": "id", "words": "text"},
    "approvals.withdraw": {"request": "id"},
    **line_forms.KINDS,
    **cause.KINDS,
    **explain.KINDS,
    **money.KINDS,
    **pastdue.KINDS,
    **papers.KINDS,
    **arrange.KINDS,
    **care.KINDS,
}
VERIFY_ACTS = {"contacts.check_pin", "contacts.send_code", "contacts.check_code", "contacts.call_back", "contacts.call_back_answered", "contacts.call_back_failed", "contacts.speaker"}


@require_GET
def show(request: HttpRequest, reference: str) -> HttpResponse:
    return _draw(request, opened(request, reference))


def _draw(
    request: HttpRequest,
    desk: ContactPage,
    *,
    code: str = "",
    outcome: Outcome | None = None,
    data: Any = None,
    status: int = 200,
) -> HttpResponse:
    """The page as it stands now; `code`, `outcome` and `data` when a form on it was answered with anything but yes."""
    row = desk.row
    if row.state == "closed":
        return oops.page(request, 410, "This contact is closed", "It was wrapped up. The account opens in a new contact.",
                         "Find the customer again, or answer the next call.")
    if row.state == "ringing":
        return redirect("home")
    if row.offered_to_id is not None and str(row.offered_to_id) == desk.who.id and row.holder_id != row.offered_to_id:
        return _offered(request, desk, outcome, status)
    level = desk.scene.basis.level
    open_account = level >= Level.VERIFIED and desk.scene.facts["caller"] != "stranger"
    section = "view.account" if open_account else "view.wrapup" if row.state == "wrap_up" else "view.contact"
    looked = look(section, who=desk.who, scene=desk.scene)
    if not looked.allowed:
        return _not_shown(request, desk, looked)
    if row.state == "wrap_up":
        return _wrap_up(request, desk, outcome, data, status)
    wanted = code or request.GET.get("act", "")
    more = request.GET.get("verify") == "more"
    # To prove somebody, or to move to what is somebody's own business: where an admission is asked for.
    away = code in VERIFY_ACTS or (outcome is not None and outcome.refusal is not None and outcome.refusal.rule == "own-business")
    if not open_account or more or away:
        return _before(request, desk, wanted, code, outcome, data, more or (open_account and away), status)
    return _account(request, desk, wanted, code, outcome, data, status)


def _base(desk: ContactPage) -> dict[str, Any]:
    return {"contact": desk.contact(), "who": desk.who_calls(), "verify": None, "act": None, "requests": []}


def _before(
    request: HttpRequest, desk: ContactPage, wanted: str, code: str, outcome: Outcome | None, data: Any, more: bool, status: int
) -> HttpResponse:
    """Nothing proven: who calls and how they can prove it; nothing else about the account is on the page."""
    context = _base(desk)
    query = request.GET.get("q", "")
    results = None
    if query:
        text = query[:80]

        def opens(hit: customers.Hit) -> dict[str, Any]:
            person = hit.person_id or hit.holder_id or ""
            return forms.button("Choose this one", desk.do_url("contacts.identify"), account=hit.account_id, person=person)

        results = find.shape(find.search(text, who=request.user.who, scene=desk.scene), text, opens)
    open_form = wanted if wanted in UNVERIFIED else ""
    if open_form == "payments.send_guest_link" and (desk.row.account_id is None or desk.not_set_up(open_form)):
        open_form = ""  # a link pays into an account: choose it first
    if open_form:
        shape = FORMS[open_form](desk, request.GET)
        if outcome is not None and code == open_form:
            shape = forms.refilled(shape, data, outcome, _ways(desk, code, outcome, data))
        context["verify"] = {"title": shape["title"], "text": None, "say_aloud": shape.pop("say_aloud", None), "find": None, "factors": [], "outcome": None,
                             "ways": [{"title": shape["title"], "text": "", "href": None, "form": shape},
                                      {"title": "Back to verifying", "text": "Nothing is lost.", "href": desk.url(), "form": None}]}
        return page(request, "contact.html", context, status)
    own_business = outcome is not None and outcome.refusal is not None and outcome.refusal.rule == "own-business"
    context["verify"] = desk.verify(
        results=results,
        query=query,
        outcome=None if own_business else outcome,
        more=more,
        moving=(own_business or bool(request.GET.get("move"))) and desk.row.account_id is not None,
    )
    if outcome is not None and outcome.refusal is not None and outcome.refusal.fields and code in VERIFY_ACTS:
        # What is wrong is said once, at the field that it is about.
        context["verify"]["outcome"] = None
        at_field = Outcome("invalid", outcome.say, refusal=outcome.refusal)
        for factor in context["verify"]["factors"]:
            factor["forms"] = [forms.refilled(f, {}, at_field, []) if f["code"] == code else f for f in factor["forms"]]
        for way in context["verify"]["ways"]:
            if way["form"] and way["form"]["code"] == code:
                way["form"] = forms.refilled(way["form"], data, at_field, [])
    if outcome is None and forms.whole(request.GET.get("admit")):
        rule = next(r for r in desk.scene.rulebook.authority.rules() if r.id == "own-business")
        outcome = Outcome("refused", rule.say, refusal=Refusal("AUTHORITY", rule.say, rule=rule.id, cite=rule.cite))
        data = {"account": request.GET["admit"], "person": request.GET.get("person", "")}
    if outcome is not None and outcome.refusal is not None and outcome.refusal.rule == "own-business":
        ask = forms.form("approvals.ask_admission", "Ask to be admitted", "Ask a lead", desk.do_url("approvals.ask_admission"),
                         [forms.hidden("account", data.get("account", "")), forms.hidden("person", data.get("person", "")),
                          forms.field("words", "Why this account, why you", "textarea", rows=2)])
        ask["refusal"] = forms.shown_refusal(outcome.refusal, [])
        context["verify"]["ways"].insert(0, {"title": "This is somebody's own business", "text": "A second person admits you, or a colleague takes the call.", "href": None, "form": ask})
    context["requests"] = desk.request_shapes()
    return page(request, "contact.html", context, status)


def _account(
    request: HttpRequest, desk: ContactPage, wanted: str, code: str, outcome: Outcome | None, data: Any, status: int
) -> HttpResponse:
    given = data if data is not None else request.GET
    section = "cause" if code in cause.KINDS or (code and given.get("walk")) else "care" if wanted in care.FORMS else request.GET.get("section", "money")
    section = section if section in SHOWN else "money"
    walks = diagnosis.open_of(desk.account_id)
    lines, bill = desk.line_shapes(), forms.whole(request.GET.get("bill"))
    if any(r.seen_at is None and r.state != "waiting" for r in desk.requests):
        saw_answers(who=desk.who, at=desk.at, contact_id=desk.row.pk)
    context = _base(desk) | {
        "sections": desk.sections(section),
        "section": section,
        "requests": desk.request_shapes(),
        "probably": desk.probably(),
        "also_here": desk.also_here(),
        "balance": desk.balance(),
        "arrangement": arrange.panel(desk),
        "lines": lines,
        "money": desk.money() if section == "money" else None,
        "bill": _bill(desk, bill) if section == "money" and bill else None,
        "timeline": desk.timeline(forms.whole(request.GET.get("before"))) if section == "time" else None,
        "may": desk.may(),
        "explain": explain.panel(desk, code, given) if section == "money" else None,
        "care": care.panel(desk) if section == "care" else None,
        "cause": None,
        "walks": cause.banner(desk, walks) if section != "cause" else [],
    }
    note = desk.note_form()
    if code == "contacts.note" and outcome is not None:
        note = forms.refilled(note, data, _renamed(outcome, "text", "words"), [])
        wanted = ""
    context["notes"] = desk.notes_shape(section == "notes", note)
    no_port = desk.not_set_up(wanted) if wanted in FORMS else None
    if no_port is not None:
        outcome = outcome if outcome is not None and code == wanted else Outcome("refused", LABELS.get(wanted, "Not possible"), refusal=no_port)
        context["act"] = _outcome_shape(desk, wanted, outcome, given)
    elif wanted in FORMS and wanted not in ("contacts.note",):
        shape = FORMS[wanted](desk, data if outcome is not None and data is not None else request.GET)
        if outcome is not None and code == wanted:
            shape = forms.refilled(shape, data, outcome, _ways(desk, code, outcome, data))
        context["act"] = {"form": shape, "outcome": None}
    elif outcome is not None and code and code != "contacts.note" and code not in cause.KINDS:
        context["act"] = _outcome_shape(desk, code, outcome, data)
    if section == "cause":
        shape = context["act"]["form"] if context["act"] and given.get("walk") else None
        context["cause"] = cause.panel(
            desk, walks, given=given, code=code, outcome=outcome, act=shape,
            ways=lambda c, no, values: _ways(desk, c, Outcome("refused", no.say, refusal=no), values),
        )  # fmt: skip
        step = context["cause"]["step"]
        if shape is not None and step and step["act"]:
            context["act"] = None  # its form stands in the step that asked for it
    return page(request, "contact.html", context, status)


def _bill(desk: ContactPage, bill_id: int) -> dict[str, Any] | None:
    """One bill opened, and what of it is there on paper."""
    found = desk.bill(bill_id)
    return found and {**found, "paper": papers.of_bill(desk, found["bill"])}


def _outcome_shape(desk: ContactPage, code: str, outcome: Outcome, data: Any) -> dict[str, Any]:
    """What came of an act, where its form would stand."""
    no = outcome.refusal
    return {"form": None, "outcome": {
        "state": "risk" if outcome.status == "pending" else "bad", "title": outcome.say, "text": None, "say_aloud": None, "rows": None,
        "refusal": forms.shown_refusal(no, _ways(desk, code, outcome, data)) if no and no.rule else None,
        "next": [], "close_href": desk.url()}}


def _renamed(outcome: Outcome, old: str, new: str) -> Outcome:
    if outcome.refusal is None or old not in outcome.refusal.fields:
        return outcome
    from dataclasses import replace

    fields = {new if k == old else k: v for k, v in outcome.refusal.fields.items()}
    return replace(outcome, refusal=replace(outcome.refusal, fields=fields))


def _not_shown(request: HttpRequest, desk: ContactPage, looked: Looked) -> HttpResponse:
    no = looked.refusal
    assert no is not None
    ways = []
    if no.rule == "own-business" and desk.scene.facts["mine"]:
        ways = [{"label": "Hand over", "href": desk.url("?act=contacts.hand_over")}]
    elif no.rule == "own-business" and str(desk.row.offered_to_id) == desk.who.id:
        ways = _ask_to_be_admitted(desk)
    return oops.refused(request, no, ways)


def _ask_to_be_admitted(desk: ContactPage) -> list[dict[str, Any]]:
    """The way on of a colleague to whom this is offered: they cannot take it over before a second person admits them."""
    waits = any(r.kind == "admit" and str(r.asker_id) == desk.who.id and approvals.state_now(r, desk.at) == "waiting" for r in desk.requests)
    if waits:
        return [{"label": "You asked to be admitted. Look again", "href": desk.url()}]
    ask = forms.button("Ask a lead to admit you", desk.do_url("approvals.ask_admission"), account=desk.account_id, person=desk.row.person_id or "")
    return [ask | {"prompt": "Why you, in a few words"}]


def _offered(request: HttpRequest, desk: ContactPage, outcome: Outcome | None, status: int) -> HttpResponse:
    row = desk.row
    no = desk.refused("contacts.accept")
    if no is not None:  # their own business: not even what the colleague wrote about it
        return _not_shown(request, desk, Looked(no, desk.at))
    context = _base(desk)
    context["contact"] |= {"hold": None, "end_href": None, "journal_href": None, "strong": None}
    context["verify"] = {
        "title": f"{row.holder.name} wants to hand this over to you", "text": row.offered_words or "No words were left.", "say_aloud": None,
        "find": None, "factors": [], "outcome": {"say": outcome.say, "state": "bad"} if outcome is not None else None,
        "ways": [{"title": "Take over", "text": "The same voice stays on the line, so what was proven stays proven.", "href": None,
                  "form": forms.form("contacts.accept", "Take over", "Take over", desk.do_url("contacts.accept"))}],
    }
    return page(request, "contact.html", context, status)


def _wrap_up(request: HttpRequest, desk: ContactPage, outcome: Outcome | None, data: Any, status: int) -> HttpResponse:
    row = desk.row
    known = desk.scene.rulebook.reasons
    deeds = _deeds(desk)
    spent = contact_rules.clock(contacts.spans_of(row.pk), desk.at)
    found = cause.wrap_up(desk)
    noted = row.note_draft if desk.scene.basis.level >= Level.WRAP_UP else ""  # typed while somebody was verified
    drafted = row.summary_draft or " ".join(filter(None, [_summary(desk, deeds), found["words"], noted]))
    owners = [(s.pk, s.name) for s in staff.colleagues(("trainee", "associate", "expert", "lead", "supervisor"))]
    shape = forms.form(
        "contacts.wrap_up", "Wrap up", "Close the contact", desk.do_url("contacts.wrap_up"),
        [
            forms.field("summary", "What happened", "textarea", drafted, rows=6, maxlength=4000, draft_url=desk.draft_url(DraftKind.SUMMARY)),
            forms.field("disposition", "How it ended", "choice", found["disposition"], choices=_titles(known["disposition"])),
            forms.field("root_cause", "What caused it", "choice", found["root_cause"], choices=_titles(known["root_cause"])),
            forms.field("follow_up", "What we still owe", "text", required=False, placeholder="Call back about the refund", maxlength=200),
            forms.field("due_on", "By when", "date", required=False),
            forms.field("owner", "Who keeps the promise", "choice", int(desk.who.id), required=False, choices=owners),
        ],
        consequence="After this the contact is closed and the next can come.",
    )
    if outcome is not None:
        shape = forms.refilled(shape, data, outcome, [])
    done = [
        {"at": d.at, "text": d.say, "amount": None}
        for d in deeds
        if d.outcome == "done" and not d.code.startswith(("contacts.", "approvals.")) and d.code not in contact_rules.QUIET
    ]
    context = {
        "contact": desk.contact(), "who": desk.who_calls(),
        "wrapup": {
            "form": shape, "done": done,
            "spent": [("talk", duration(spent.talk)), ("hold", duration(spent.hold)), ("wrap-up", duration(spent.wrap))],
            "back": None,
        },
    }
    return page(request, "contact/wrapup.html", context, status)


def _deeds(desk: ContactPage) -> list[journal.Entry]:
    """What was done in this contact, and by those who decided its requests."""
    return journal.of_bases([desk.scene.basis.key, *(f"request:{r.pk}" for r in desk.requests)], desk.row.account_id)


def _summary(desk: ContactPage, deeds: list[journal.Entry]) -> str:
    """The draft: the journal's lines, notes in their own words, and what became of each request."""
    reason = desk.scene.rulebook.reasons["contact"].get(desk.row.reason, {}).get("title", "").lower()
    answered = {str(r.pk): r for r in desk.requests if r.decided_at is not None}
    told = []
    for d in deeds:
        say = d.say
        if d.code == "contacts.note" and (d.payload or {}).get("text"):
            say = f"Noted: {shorten((d.payload or {})['text'], 200, placeholder=' …')}"
        elif d.code == "approvals.decide" and str(d.data.get("request")) in answered:
            say = _answer(answered[str(d.data["request"])])
        told.append(contact_rules.Deed(d.code, d.outcome, say))
    told += [contact_rules.Deed("approvals.decide", "done", f"Nobody answered in time: {r.title}") for r in desk.requests if approvals.state_now(r, desk.at) == "expired"]
    return contact_rules.summary(reason, told, {r.code for r in answered.values()})


def _answer(row: Any) -> str:
    word = f" ({row.answer.rstrip('.')})" if row.answer else ""
    what = shown(row.amount_minor) if row.amount_minor else row.title[0].lower() + row.title[1:]
    if row.state == "less":
        return f"{row.decided_by.name} granted {shown(row.granted_minor)} of the {what} that were asked{word}"
    return f"{row.decided_by.name} {row.state} {what}{word}"


def _titles(group: dict[str, Any]) -> list[tuple[str, str]]:
    return [(code, item["title"]) for code, item in group.items()]


# -- the forms of acts, each from the page as it stands ---------------------------------------------------------------


def _grant_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    reasons = desk.scene.rulebook.reasons["credit"]
    reason = given.get("reason") or ("service_failure" if given.get("bill_line") else "goodwill")
    policy, line_id = reasons.get(reason, {}), forms.whole(given.get("bill_line"))
    line = ledger.bill_line(line_id) if line_id else None
    line = line if line is not None and line.bill.account_id == desk.account_id else None
    days, wrong_days = _wrong_days(given, line) if policy.get("days") else (None, None)
    limit = None
    if policy:
        kind = table.act("credits.grant")
        probe = kind.input.model_validate({"account": desk.account_id, "amount": 1, "reason": reason, "bill_line": line_id, **({"first": days.first, "last": days.last} if days else {})})
        act = Act(desk.who, desk.at, "", "", desk.scene.basis)
        # The very rule that would refuse one cent more: the form and the refusal never say two things.
        up_to, rule = most(kind, desk.scene, act, probe, 10**7)
        because = f", because {rule.say[0].lower()}{rule.say[1:]}" if rule else "."
        limit = {"say": f"You may grant up to {shown(up_to)} here for {policy['title'].lower()}{because}", "cite": rule.cite if rule else None, "amount": None}
    # Another reason or charge has another limit: the form is drawn again with what it says, before a number is typed.
    reload = {"href": desk.url("?act=credits.grant"), "with": "reason,bill_line,first,last,amount,words"}
    needs = ", ".join(r["title"].lower() for r in reasons.values() if r["evidence"] == "bill_line")
    amount, how = given.get("amount"), None
    if days and line:
        worth = days.part(line.amount_minor)
        how = f"{days.count} of {days.of} days of {shown(line.amount_minor)} are {shown(worth)}."
        amount = amount or forms.dollars(worth)
    by_days = []
    if policy.get("days") and line is not None and line.period_start and line.period_end:
        span = f"This charge is for {day(line.period_start)} to {day(line.period_end)}."
        by_days = [
            forms.field("first", "First day that was wrong", "date", given.get("first"), required=False, hint=span, reload=reload),
            forms.field("last", "Last day", "date", given.get("last"), required=False, hint=wrong_days, reload=reload),
        ]
    cause = "Take back what was charged here; then add the promotion back, so that it does not come again." if policy.get("recurs") else None
    return forms.form(
        "credits.grant", "Grant a credit", "Grant the credit", desk.do_url("credits.grant"),
        [
            forms.hidden("account", desk.account_id),
            forms.field("reason", "Reason", "choice", reason, choices=_titles(reasons), reload=reload),
            forms.field("bill_line", "Charge that was wrong", "choice", line_id or "", required=False, choices=[("", "No charge"), *credit_choices(desk.account_id)], hint=f"Needed for {needs}.", reload=reload),
            *by_days,
            forms.field("amount", "Amount before tax", "money", amount, hint=how),
            forms.field("words", "In a few words, why", "text", given.get("words"), required=False, maxlength=400),
        ],
        limit=limit, cancel_href=desk.url(),
        consequence=cause or "It comes off what is open at once. Tax of a taxed charge is taken back as a line of its own.",
        say_aloud="I am taking this off your bill right now, while we are speaking.",
    )  # fmt: skip


def _wrong_days(given: Any, line: Any) -> tuple[credit_rules.Days | None, str | None]:
    """The days that were typed, or what is wrong with them."""
    try:
        first, last = (date.fromisoformat(given[n]) if given.get(n) else None for n in ("first", "last"))
        return (credit_rules.days(first, last, line.period_start, line.period_end), None) if first and last and line else (None, None)
    except ValueError as fault:
        return None, str(fault) if line else None


def _reverse_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    rows = [g for g in credits.grants_of(desk.account_id) if g.reverses_id is None and getattr(g, "reversed_by", None) is None]
    choices = [(g.number, f"{g.number}: {shown(g.total_minor)}, {g.at:%b} {g.at.day}, {g.granted_by.name}") for g in rows]
    return forms.form(
        "credits.reverse", "Take a credit back", "Take it back", desk.do_url("credits.reverse"),
        [
            forms.hidden("account", desk.account_id),
            forms.field("credit", "Which credit", "choice", given.get("credit"), choices=choices, hint=None if choices else "This account has no credit to take back."),
            forms.field("words", "Why", "text", given.get("words"), maxlength=400),
        ],
        cancel_href=desk.url(), consequence="Exactly what was given is taken back, its tax too, and the bills are open again.",
    )


def _take_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    methods = [(m.pk, f"{m.brand} …{m.last_four}" + (f", until {m.expires_on:%m/%y}" if m.expires_on else "")) for m in ledger.methods_of(desk.account_id)]
    standing = desk.standing
    part = desk.promised.progress.next if desk.promised else None
    owed = part.left_minor if part else standing.past_due_minor or standing.next_due_minor or max(standing.balance_minor, 0)
    return forms.form(
        "payments.take", "Take a payment", "Take the payment", desk.do_url("payments.take"),
        [
            forms.hidden("account", desk.account_id),
            forms.field("amount", "Amount", "money", given.get("amount") or (forms.dollars(owed) if owed > 0 else None)),
            forms.field("method", "With", "choice", given.get("method") or (methods[0][0] if methods else None), choices=methods,
                        hint=None if methods else "Nothing is saved on this account. Send a payment link instead."),
        ],
        cancel_href=desk.url(), consequence="The provider takes it now; the receipt goes to the number of record. A card number is never typed here.",
        say_aloud="May I take that from the card that you saved with us?",
    )


def _link_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    texts = [n for n in customers.numbers_of_record(desk.account_id) if n.can_text]
    texts.sort(key=lambda n: n.status != "active")  # a line that is switched off may not get it
    numbers = [(n.pk, phone.shown(n.msisdn) + ("" if n.status == "active" else f", {n.status}")) for n in texts]
    owed = max(desk.standing.balance_minor, 0)
    return forms.form(
        "payments.send_link", "Send a payment link", "Send the link", desk.do_url("payments.send_link"),
        [
            forms.hidden("account", desk.account_id),
            forms.field("amount", "Amount", "money", given.get("amount") or (forms.dollars(owed) if owed else None)),
            forms.field("line", "To", "choice", given.get("line") or (numbers[0][0] if numbers else None), choices=numbers),
        ],
        cancel_href=desk.url(), consequence="They pay on the provider's page within a day; the payment shows here by itself.",
    )


def _guest_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    return forms.form(
        "payments.send_guest_link", "Somebody who only wants to pay", "Send the link", desk.do_url("payments.send_guest_link"),
        [
            forms.hidden("account", desk.account_id),
            forms.field("amount", "Amount they name", "money", given.get("amount")),
            forms.field("number", "Number the link goes to", "phone", given.get("number"), placeholder="(206) 555-0100"),
        ],
        cancel_href=desk.url(), consequence="Nothing of the account is told; the receipt names the amount and the last four of that number.",
        say_aloud="Thank you for helping. I cannot speak about the account, but I can send you a link to pay.",
    )


def _hand_over_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    people = [(s.pk, f"{s.name}, {ROLE_TITLES[s.role].lower()}") for s in staff.colleagues(("trainee", "associate", "expert", "lead", "supervisor")) if str(s.pk) != desk.who.id]
    return forms.form(
        "contacts.hand_over", "Hand over", "Offer it", desk.do_url("contacts.hand_over"),
        [
            forms.field("to", "To", "choice", given.get("to"), choices=people),
            forms.field("words", "What they need to know", "textarea", given.get("words") or _summary(desk, _deeds(desk)), rows=4, maxlength=4000),
        ],
        cancel_href=desk.url(), consequence="The contact stays with you until they take it; what was proven stays proven while the same voice is on the line.",
        say_aloud="I am bringing in a colleague who can do this, and I will tell them everything, so you do not have to repeat it.",
    )


def _reason_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    return forms.form("contacts.reason", "What is it about?", "Keep it", desk.do_url("contacts.reason"),
                      [forms.field("reason", "Reason", "choice", desk.row.reason or None, choices=_titles(desk.scene.rulebook.reasons["contact"]))], cancel_href=desk.url())


def _end_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    return forms.form("contacts.end", "End and wrap up", "The caller is gone", desk.do_url("contacts.end"), cancel_href=desk.url(),
                      consequence="Money, lines and identity can no longer be changed in this contact. Requests that still wait expire.",
                      say_aloud="Is there anything else that I can do for you today?")


def _drop_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    return forms.form("contacts.drop", "The line dropped", "It dropped", desk.do_url("contacts.drop"), cancel_href=desk.url(),
                      consequence="The contact waits for the caller. When they are back, verify again.")


FORMS: dict[str, Callable[[ContactPage, Any], dict[str, Any]]] = {
    "credits.grant": _grant_form,
    "credits.reverse": _reverse_form,
    "payments.take": _take_form,
    "payments.send_link": _link_form,
    "payments.send_guest_link": _guest_form,
    "contacts.hand_over": _hand_over_form,
    "contacts.reason": _reason_form,
    "contacts.end": _end_form,
    "contacts.drop": _drop_form,
    **explain.FORMS,
    **money.FORMS,
    **pastdue.FORMS,
    **papers.FORMS,
    **line_forms.FORMS,
    **arrange.FORMS,
    **care.FORMS,
}
UNVERIFIED = {"payments.send_guest_link", "contacts.end", "contacts.drop", "contacts.reason", "contacts.hand_over"}


def _ways(desk: ContactPage, code: str, outcome: Outcome, data: Any) -> list[dict[str, Any]]:
    """The ways on of a refusal as moves of this page."""
    ways: list[dict[str, Any]] = []
    no = outcome.refusal
    if no is None:
        return ways
    deciders = set(desk.scene.rulebook.authority.roles_with("approvals.decide"))
    for way in no.way_on:
        if way.act == "approvals.ask":
            if set(no.who_could) & deciders:
                kept = {k: v for k, v in data.items() if k in KINDS[code] and v}
                ask = forms.button(way.label, desk.do_url("approvals.ask"), asked=code, **kept)
                ways.append(ask if kept.get("words", "").strip() else ask | {"prompt": "Why, in a few words"})
        elif way.act in FORMS:
            ways.append({"label": way.label, "href": desk.url(f"?act={way.act}")})
        elif way.act in VERIFY_ACTS:
            # Somebody who is proven already proves one more.
            ways.append({"label": way.label, "href": desk.url("?verify=more" if desk.scene.basis.level >= Level.VERIFIED else "")})
    return ways


@require_POST
def do(request: HttpRequest, reference: str, code: str) -> HttpResponse:
    """Every form of the contact page ends here: one act on this contact, then the page again."""
    if code not in KINDS:
        raise Http404
    row = contact_of(reference)
    basis = BasisRef("contact", row.pk)
    data = request.POST
    if cause.proposes(code, data):
        return _draw(request, opened(request, reference), code=code, data=data.dict())
    if code in cause.KINDS and cause.is_stale(row, request.user.who, data):
        messages.info(request, "That step was answered already. This is where the search stands.")
        return _see_other(cause.address(row, data.get("walk")))
    try:
        if code == "approvals.ask":
            given = _asked(data)
        elif code in cause.KINDS:
            given = cause.read(code, data)
        else:
            given = _read(code, data)
            if code == "contacts.note":
                given["text"] = given.pop("words", "")
        outcome = forms.do(request, code, given, basis)
    except forms.Typed as typed:
        outcome = typed.outcome
    if outcome.ok or outcome.status == "pending":
        if (first := arrange.takes_now(code, outcome, data)) is not None:
            _take_first(request, forms.do_again(request, "payments.take", first, basis))
        return _after(request, row, code, outcome)
    if outcome.refusal is not None and outcome.refusal.rule == "network-refused":
        walked = cause.follow(request, row, code, outcome)
        if walked:
            messages.error(request, outcome.say)
            return _see_other(walked)
    desk = opened(request, reference)
    return _draw(request, desk, code=code, outcome=outcome, data=data.dict(), status=422)


def _read(code: str, data: Any) -> dict[str, Any]:
    read = arrange.read if code in arrange.KINDS else care.read if code in care.KINDS else None
    return read(code, data) if read else forms.read(data, KINDS[code])


def _take_first(request: HttpRequest, taken: Outcome) -> None:
    """What became of the first part, which was taken with the click that agreed to it."""
    if taken.ok:
        messages.success(request, taken.say)
    elif taken.status == "pending":
        messages.warning(request, taken.say + ". We ask the provider again by ourselves.")
    else:
        messages.error(request, f"The first part was not taken: {taken.say} It is due today.")


def _asked(data: Any) -> dict[str, Any]:
    """A request for an act that was refused: the refused form's own fields, read as that act reads them."""
    code = data.get("asked", "")
    if code not in KINDS or code.startswith("approvals."):
        raise Http404
    inner = _read(code, data)
    return {"account": data.get("account", ""), "code": code, "words": inner.get("words", ""), "input": inner}


SECTION_AFTER = {"contacts.note": "?section=notes", "contacts.pin_note": "?section=notes", explain.SEND: "?section=money", **dict.fromkeys(line_forms.FORMS, "?section=lines"), **dict.fromkeys(care.FORMS, care.SECTION)}
QUIET = {"contacts.hold", "contacts.resume", "contacts.end", "contacts.accept", "contacts.reconnect"}


def _see_other(address: str) -> HttpResponse:
    response = redirect(address)
    response.status_code = 303
    return response


def _after(request: HttpRequest, row: Any, code: str, outcome: Outcome) -> HttpResponse:
    if code in cause.KINDS:
        return _see_other(cause.after(request, row, code, outcome))
    if code == "contacts.wrap_up":
        messages.success(request, "Closed. Ready for the next.")
        return redirect("home", permanent=False)
    if code == "contacts.note":
        keep_draft(who=request.user.who, contact_id=row.pk, kind=DraftKind.NOTE, about=row.account_id or 0, text="", at=timezone.now())
    if code == "contacts.hand_over":
        messages.info(request, f"{outcome.say}. Stay with the caller until it is taken.")
    elif code == "contacts.speaker" and not outcome.show.get("known"):
        messages.warning(request, "Nobody of that name may speak for this account. They may pay by a link.")
    elif outcome.status == "pending":
        messages.warning(request, outcome.say + ". We ask the provider again by ourselves.")
    elif code not in QUIET:
        messages.success(request, outcome.say)
    if code == "credits.grant" and outcome.ok and outcome.show.get("recurs"):
        messages.warning(request, "That takes back what was charged. Add the promotion back too, or the next bill has it wrong again.")
        return _see_other(forms.contact_address(row.reference, f"?act={money.PROMOTE}"))
    if code == "contacts.send_code" and page_of(row, request.user.who, rulebooks.current()).scene.basis.level >= Level.VERIFIED:
        return _see_other(forms.contact_address(row.reference, "?verify=more"))  # where the code is typed
    if code in money.FORMS or code == money.STATEMENT:
        return _see_other(money.address(row.reference))
    if code in pastdue.FORMS:
        return _see_other(pastdue.address(row.reference))
    if code in papers.KINDS:
        return _see_other(forms.contact_address(row.reference, f"?section=money&bill={forms.whole(request.POST.get('bill'))}"))
    return _see_other(cause.follow(request, row, code, outcome) or forms.contact_address(row.reference, SECTION_AFTER.get(code, "")))


@require_POST
def draft(request: HttpRequest, reference: str, kind: str, about: int) -> HttpResponse:
    """Typed words, kept with the contact: no journal line and no key, but never a card number. `was`: what the page knew
    to be kept before."""
    if kind not in set(DraftKind) or about >= 2**63:
        raise Http404
    was = request.POST.get("was")
    why_not = keep_draft(
        who=request.user.who, contact_id=contact_of(reference).pk, kind=DraftKind(kind), about=about, text=request.POST.get("text", "")[:4000],
        was=was if was is None else was[:4000], at=timezone.now(),
    )  # fmt: skip
    if why_not:
        return HttpResponse(why_not, status=422, content_type="text/plain; charset=utf-8")
    return HttpResponse(status=204)


@require_GET
def request_part(request: HttpRequest, request_id: int) -> HttpResponse:
    """The poll of a request that I asked: 204 until it is answered."""
    row = approvals.request(request_id)
    if row is None or str(row.asker_id) != request.user.who.id:
        raise Http404
    contact = contacts.contact(row.contact_id)
    desk = page_of(contact, request.user.who, rulebooks.current())
    shape = desk.request_shape(row)
    if shape["state"] != "waiting":
        saw_answers(who=request.user.who, at=timezone.now(), contact_id=row.contact_id)
    request.careline_no_desk = True
    return part(request, "contact/_request.html", {"asked": shape}, (shape["state"], row.pk))


@require_POST
def request_away(request: HttpRequest, request_id: int) -> HttpResponse:
    """An answer that is dealt with leaves the page; it stays in the journal and the timeline."""
    row = approvals.request(request_id)
    if row is None or str(row.asker_id) != request.user.who.id:
        raise Http404
    put_away(who=request.user.who, request_id=request_id, at=timezone.now())
    here, back = forms.contact_address(row.contact.reference), request.META.get("HTTP_REFERER", "")
    same = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    return _see_other(back if same and urlsplit(back).path == here else here)


@require_GET
def journal_page(request: HttpRequest, reference: str) -> HttpResponse:
    """The account's journal, looks included, for whoever holds a verified contact about it."""
    desk = opened(request, reference)
    if desk.row.account_id is None:
        raise Http404
    looked = look("view.journal", who=desk.who, scene=desk.scene)
    if not looked.allowed:
        return _not_shown(request, desk, looked)
    kind = request.GET.get("kind", "")
    kinds = {"": None, "money": ("credits.grant", "credits.reverse", "payments.take", "payments.send_link", "payments.link_paid"),
             "verification": tuple(sorted(VERIFY_ACTS)), "contacts": ("contacts.open", "contacts.answer", "contacts.identify", "contacts.end", "contacts.wrap_up", "contacts.hand_over", "contacts.accept")}
    before = forms.whole(request.GET.get("before"))
    rows = journal.timeline(journal_rules.account_chain(desk.account_id), limit=60, before=before, codes=kinds.get(kind) or (), with_looks=True, with_payload=False)
    states = {"refused": "bad", "pending": "risk"}
    outcomes = {"looked": "shown"}
    address = request.path
    shape = {
        "title": f"Journal of account {desk.row.account.reference}", "back_href": desk.url(), "proven": None, "proven_state": None,
        "kinds": [{"label": label, "href": f"{address}?kind={code}" if code else address, "current": code == kind}
                  for code, label in (("", "All"), ("money", "Money"), ("verification", "Verification"), ("contacts", "Contacts"))],
        "rows": [{"at": r.at, "who": r.who_name + (f", asked by {r.asked_by}" if r.asked_by else ""), "what": r.say, "basis": r.basis.replace(":", " "),
                  "outcome": outcomes.get(r.outcome, r.outcome), "state": states.get(r.outcome), "rule": r.data.get("rule"), "detail": None} for r in rows],
        "more_href": f"{address}?kind={kind}&before={rows[-1].id}" if len(rows) == 60 else None,
    }
    return page(request, "journal.html", {"journal": shape})
