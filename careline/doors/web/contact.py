"""The contact page: find the account, verify, see it, act, wrap up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from careline.acts import table
from careline.acts.approvals import saw_answers
from careline.acts.contacts import keep_draft
from careline.acts.declare import BasisRef, Outcome
from careline.acts.look import Looked, look
from careline.acts.perform import most
from careline.domain.approvals import queries as approvals
from careline.domain.contacts import queries as contacts
from careline.domain.contacts import rules as contact_rules
from careline.domain.credits import queries as credits
from careline.domain.customers import queries as customers
from careline.domain.journal import queries as journal
from careline.domain.journal import rules as journal_rules
from careline.domain.ledger import queries as ledger
from careline.domain.rulebook import queries as rulebooks
from careline.domain.staff import queries as staff
from careline.domain.staff.rules import ROLE_TITLES
from careline.doors.web import find, forms, oops
from careline.doors.web.account import ContactPage, credit_choices, page_of
from careline.doors.web.render import duration, page, part
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
    "credits.grant": {"account": "id", "amount": "money", "reason": "text", "bill_line": "id", "words": "text"},
    "credits.reverse": {"account": "id", "credit": "text", "words": "text"},
    "payments.take": {"account": "id", "amount": "money", "method": "id"},
    "payments.send_link": {"account": "id", "amount": "money", "line": "id"},
    "payments.send_guest_link": {"account": "id", "amount": "money", "number": "text"},
    "approvals.ask": {"account": "id", "code": "text", "words": "text"},
    "approvals.ask_admission": {"account": "id", "person": "id", "words": "text"},
    "approvals.withdraw": {"request": "id"},
}
VERIFY_ACTS = {"contacts.check_pin", "contacts.send_code", "contacts.check_code", "contacts.call_back", "contacts.speaker"}


def _row(reference: str) -> Any:
    row = contacts.contact(reference=reference)
    if row is None:
        raise Http404
    return row


def _page(request: HttpRequest, reference: str) -> ContactPage:
    row = _row(reference)
    request.careline_contact = row if str(row.holder_id) == request.user.who.id else None
    return page_of(row, request.user.who, rulebooks.current())


@require_GET
def show(request: HttpRequest, reference: str) -> HttpResponse:
    return _draw(request, _page(request, reference))


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
        return _offered(request, desk)
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
    if not open_account or more or code in VERIFY_ACTS:
        return _before(request, desk, wanted, code, outcome, data, more or (open_account and code in VERIFY_ACTS), status)
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
            person = hit.person_id or find.holder(hit.account_id) or ""
            return forms.button("Choose this one", desk.do_url("contacts.identify"), account=hit.account_id, person=person)

        results = find.shape(find.search(text, who=request.user.who, scene=desk.scene), text, opens)
    open_form = wanted if wanted in FORMS and wanted in UNVERIFIED else ""
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
        moving=bool(request.GET.get("move")) and desk.row.account_id is not None,
    )
    if outcome is not None and outcome.refusal is not None and outcome.refusal.fields and code in VERIFY_ACTS:
        # What is wrong is said once, at the field that it is about.
        context["verify"]["outcome"] = None
        at_field = Outcome("invalid", outcome.say, refusal=outcome.refusal)
        for factor in context["verify"]["factors"]:
            factor["forms"] = [forms.refilled(f, {}, at_field, []) if f["code"] == code else f for f in factor["forms"]]
    if outcome is None and request.GET.get("admit", "").isdigit():
        rule = next(r for r in desk.scene.rulebook.authority.rules() if r.id == "own-business")
        outcome = Outcome("refused", rule.say, refusal=Refusal("AUTHORITY", rule.say, rule=rule.id, cite=rule.cite))
        data = {"account": request.GET["admit"], "person": request.GET.get("person", "")}
    if outcome is not None and outcome.refusal is not None and outcome.refusal.rule == "own-business":
        ask = forms.form("approvals.ask_admission", "Ask to be admitted", "Ask a lead", desk.do_url("approvals.ask_admission"),
                         [forms.hidden("account", data.get("account", "")), forms.hidden("person", data.get("person", "")),
                          forms.field("words", "Why this account, why you", "textarea", rows=2)])
        ask["refusal"] = forms.shown_refusal(outcome.refusal, [])
        context["verify"]["ways"].insert(0, {"title": "This is somebody's own business", "text": "A second person admits you, or a colleague takes the call.", "href": None, "form": ask})
    context["requests"] = [desk.request_shape(r) for r in desk.requests]
    return page(request, "contact.html", context, status)


def _account(
    request: HttpRequest, desk: ContactPage, wanted: str, code: str, outcome: Outcome | None, data: Any, status: int
) -> HttpResponse:
    section = request.GET.get("section", "money")
    section = section if section in {"money", "lines", "time", "notes"} else "money"
    lines = desk.line_shapes()
    if any(r.seen_at is None and r.state != "waiting" for r in desk.requests):
        saw_answers(who=desk.who, at=desk.at, contact_id=desk.row.pk)
    context = _base(desk) | {
        "sections": desk.sections(section),
        "section": section,
        "requests": [desk.request_shape(r) for r in desk.requests],
        "probably": desk.probably(),
        "balance": desk.balance(),
        "lines": lines,
        "money": desk.money() if section == "money" else None,
        "bill": desk.bill(int(request.GET["bill"])) if section == "money" and request.GET.get("bill", "").isdigit() else None,
        "timeline": desk.timeline(int(request.GET["before"]) if request.GET.get("before", "").isdigit() else None) if section == "time" else None,
        "may": desk.may(),
    }
    note = desk.note_form()
    if code == "contacts.note" and outcome is not None:
        note = forms.refilled(note, data, _renamed(outcome, "text", "words"), [])
        wanted = ""
    context["notes"] = desk.notes_shape(section == "notes", note)
    if wanted in FORMS and wanted not in ("contacts.note",):
        shape = FORMS[wanted](desk, data if outcome is not None and data is not None else request.GET)
        if outcome is not None and code == wanted:
            shape = forms.refilled(shape, data, outcome, _ways(desk, code, outcome, data))
        context["act"] = {"form": shape, "outcome": None}
    elif outcome is not None and code and code != "contacts.note":
        context["act"] = {"form": None, "outcome": {
            "state": "risk" if outcome.status == "pending" else "bad", "title": outcome.say, "text": None, "say_aloud": None, "rows": None,
            "refusal": forms.shown_refusal(outcome.refusal, _ways(desk, code, outcome, data)) if outcome.refusal and outcome.refusal.rule else None,
            "next": [], "close_href": desk.url()}}
    return page(request, "contact.html", context, status)


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
    if no.rule == "own-business":
        ways = [{"label": "Hand over", "href": desk.url("?act=contacts.hand_over")}]
    error = {"title": "Not shown", "say": no.say, "what_to_do": None, "refusal": forms.shown_refusal(no, ways), "reference": None, "way_on": [{"label": "Back to the desk", "href": "/"}]}
    request.careline_contact = None
    return page(request, "error.html", {"error": error}, 403)


def _offered(request: HttpRequest, desk: ContactPage) -> HttpResponse:
    row = desk.row
    context = _base(desk)
    context["contact"] |= {"hold": None, "end_href": None, "journal_href": None, "strong": None}
    context["verify"] = {
        "title": f"{row.holder.name} wants to hand this over to you", "text": row.offered_words or "No words were left.", "say_aloud": None,
        "find": None, "factors": [], "outcome": None,
        "ways": [{"title": "Take over", "text": "The same voice stays on the line, so what was proven stays proven.", "href": None,
                  "form": forms.form("contacts.accept", "Take over", "Take over", desk.do_url("contacts.accept"))}],
    }
    return page(request, "contact.html", context)


def _wrap_up(request: HttpRequest, desk: ContactPage, outcome: Outcome | None, data: Any, status: int) -> HttpResponse:
    row = desk.row
    known = desk.scene.rulebook.reasons
    deeds = _deeds(desk)
    spent = contact_rules.clock(contacts.spans_of(row.pk), desk.at)
    reason = known["contact"].get(row.reason, {}).get("title", "")
    drafted = row.draft or contact_rules.summary(reason.lower(), [contact_rules.Deed(d.code, d.outcome, d.say) for d in deeds])
    owners = [(s.pk, s.name) for s in staff.colleagues(("trainee", "associate", "expert", "lead", "supervisor"))]
    shape = forms.form(
        "contacts.wrap_up", "Wrap up", "Close the contact", desk.do_url("contacts.wrap_up"),
        [
            forms.field("summary", "What happened", "textarea", drafted, rows=6, maxlength=4000, draft_url=_draft_url(row)),
            forms.field("disposition", "How it ended", "choice", choices=_titles(known["disposition"])),
            forms.field("root_cause", "What caused it", "choice", choices=_titles(known["root_cause"])),
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
        if d.outcome == "done" and not d.code.startswith(("contacts.", "approvals."))
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
    return journal.of_bases([desk.scene.basis.key, *(f"request:{r.pk}" for r in desk.requests)])


def _draft_url(row: Any) -> str:
    return forms.contact_address(row.reference) + "draft"


def _titles(group: dict[str, Any]) -> list[tuple[str, str]]:
    return [(code, item["title"]) for code, item in group.items()]


# -- the forms of acts, each from the page as it stands ---------------------------------------------------------------


def _grant_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    reasons = desk.scene.rulebook.reasons["credit"]
    reason = given.get("reason") or ("service_failure" if given.get("bill_line") else "goodwill")
    line = given.get("bill_line", "")
    line_id = int(line) if str(line).isdigit() else None
    kind = table.act("credits.grant")
    limit = None
    if reason in reasons:
        probe = kind.input.model_validate({"account": desk.account_id, "amount": 1, "reason": reason, "bill_line": line_id})
        act = Act(desk.who, desk.at, "", "", desk.scene.basis)
        upper = 10**7
        up_to = most(kind, desk.scene, act, probe, upper)
        why = _why_limit(desk, reason, line_id)
        limit = {"say": f"You may grant up to {shown(up_to)} here for {reasons[reason]['title'].lower()}, because {why}", "cite": "limits.toml, reasons.toml", "amount": None}
    # Another reason or charge has another limit: the form is drawn again with what it says, before a number is typed.
    reload = {"href": desk.url("?act=credits.grant"), "with": "reason,bill_line,amount,words"}
    needs = ", ".join(r["title"].lower() for r in reasons.values() if r["evidence"] == "bill_line")
    return forms.form(
        "credits.grant", "Grant a credit", "Grant the credit", desk.do_url("credits.grant"),
        [
            forms.hidden("account", desk.account_id),
            forms.field("reason", "Reason", "choice", reason, choices=_titles(reasons), reload=reload),
            forms.field("bill_line", "Charge that was wrong", "choice", line_id or "", required=False, choices=[("", "No charge"), *credit_choices(desk.account_id)], hint=f"Needed for {needs}.", reload=reload),
            forms.field("amount", "Amount before tax", "money", given.get("amount")),
            forms.field("words", "In a few words, why", "text", given.get("words"), required=False, maxlength=400),
        ],
        limit=limit, cancel_href=desk.url(),
        consequence="It comes off what is open at once. Tax of a taxed charge is taken back as a line of its own.",
        say_aloud="I am taking this off your bill right now, while we are speaking.",
    )


def _why_limit(desk: ContactPage, reason: str, line_id: int | None) -> str:
    policy = desk.scene.rulebook.reasons["credit"][reason]
    room = credits.room(limits=desk.scene.rulebook.limits, reason=policy, role=desk.who.role, staff_id=int(desk.who.id),
                        account_id=desk.account_id, bill_line_id=line_id, at=desk.at, day=desk.today)
    if policy["evidence"] == "bill_line" and line_id is None:
        return "this reason starts from the charge that was wrong. Choose it first."
    if room.count <= 0:
        return "you have given as many credits today as one person may."
    bounds = {
        "your role gives that much for one event.": room.event,
        "this reason gives that much for one event.": room.reason,
        "that is what this account may still get from your role in a year.": max(room.window, 0),
        "that is what you may still give today.": max(room.day, 0),
    }
    if room.line is not None:
        bounds["no more is left of this charge."] = room.line
    return min(bounds, key=lambda why: bounds[why])


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
    owed = standing.past_due_minor or standing.next_due_minor or max(standing.balance_minor, 0)
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
    numbers = [(n.pk, phone.shown(n.msisdn)) for n in customers.numbers_of_record(desk.account_id) if n.can_text]
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
    known = desk.scene.rulebook.reasons["contact"].get(desk.row.reason, {}).get("title", "")
    deeds = [contact_rules.Deed(d.code, d.outcome, d.say) for d in _deeds(desk)]
    return forms.form(
        "contacts.hand_over", "Hand over", "Offer it", desk.do_url("contacts.hand_over"),
        [
            forms.field("to", "To", "choice", given.get("to"), choices=people),
            forms.field("words", "What they need to know", "textarea", given.get("words") or contact_rules.summary(known.lower(), deeds), rows=4, maxlength=4000),
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
                ways.append(forms.button(way.label, desk.do_url("approvals.ask"), asked=code, **kept))
        elif way.act in FORMS:
            ways.append({"label": way.label, "href": desk.url(f"?act={way.act}")})
        elif way.act in VERIFY_ACTS:
            ways.append({"label": way.label, "href": desk.url()})
    return ways


@require_POST
def do(request: HttpRequest, reference: str, code: str) -> HttpResponse:
    """Every form of the contact page ends here: one act on this contact, then the page again."""
    if code not in KINDS:
        raise Http404
    row = _row(reference)
    basis = BasisRef("contact", row.pk)
    data = request.POST
    try:
        if code == "approvals.ask":
            given = _asked(data)
        else:
            given = forms.read(data, KINDS[code])
            if code == "contacts.note":
                given["text"] = given.pop("words", "")
        outcome = forms.do(request, code, given, basis)
    except forms.Typed as typed:
        outcome = typed.outcome
    if outcome.ok or outcome.status == "pending":
        return _after(request, row, code, outcome)
    desk = _page(request, reference)
    return _draw(request, desk, code=code, outcome=outcome, data=data.dict(), status=422)


def _asked(data: Any) -> dict[str, Any]:
    """A request for an act that was refused: the refused form's own fields, read as that act reads them."""
    code = data.get("asked", "")
    if code not in KINDS or code.startswith("approvals."):
        raise Http404
    inner = forms.read(data, KINDS[code])
    return {"account": data.get("account", ""), "code": code, "words": inner.get("words", ""), "input": inner}


SECTION_AFTER = {"contacts.note": "?section=notes", "contacts.pin_note": "?section=notes"}
QUIET = {"contacts.hold", "contacts.resume", "contacts.end", "contacts.accept", "contacts.reconnect"}


def _after(request: HttpRequest, row: Any, code: str, outcome: Outcome) -> HttpResponse:
    if code == "contacts.wrap_up":
        messages.success(request, "Closed. Ready for the next.")
        return redirect("home", permanent=False)
    if code == "contacts.note":
        keep_draft(who=request.user.who, contact_id=row.pk, text="", at=timezone.now())
    if code == "contacts.hand_over":
        messages.info(request, f"{outcome.say}. Stay with the caller until it is taken.")
    elif code == "contacts.speaker" and not outcome.show.get("known"):
        messages.warning(request, "Nobody of that name may speak for this account. They may pay by a link.")
    elif outcome.status == "pending":
        messages.warning(request, outcome.say + ". We ask the provider again by ourselves.")
    elif code not in QUIET:
        messages.success(request, outcome.say)
    response = redirect(forms.contact_address(row.reference, SECTION_AFTER.get(code, "")))
    response.status_code = 303
    return response


@require_POST
def draft(request: HttpRequest, reference: str) -> HttpResponse:
    """Typed words, kept with the contact: no journal line and no key (DESIGN section 4), but never a card number."""
    row = _row(reference)
    why_not = keep_draft(who=request.user.who, contact_id=row.pk, text=request.POST.get("text", "")[:4000], at=timezone.now())
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


@require_GET
def journal_page(request: HttpRequest, reference: str) -> HttpResponse:
    """The account's journal, looks included, for whoever holds a verified contact about it."""
    desk = _page(request, reference)
    if desk.row.account_id is None:
        raise Http404
    looked = look("view.journal", who=desk.who, scene=desk.scene)
    if not looked.allowed:
        return _not_shown(request, desk, looked)
    kind = request.GET.get("kind", "")
    kinds = {"": None, "money": ("credits.grant", "credits.reverse", "payments.take", "payments.send_link", "payments.link_paid"),
             "verification": tuple(sorted(VERIFY_ACTS)), "contacts": ("contacts.open", "contacts.answer", "contacts.identify", "contacts.end", "contacts.wrap_up", "contacts.hand_over", "contacts.accept")}
    before = int(request.GET["before"]) if request.GET.get("before", "").isdigit() else None
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
