"""The contact page: find the account, verify, see it, act, wrap up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from careline.acts.approvals import saw_answers
from careline.acts.contacts import keep_draft
from careline.acts.declare import BasisRef, Outcome
from careline.acts.look import Looked, look
from careline.acts.verification import ways_there
from careline.domain.contacts import queries as contacts
from careline.domain.contacts.rules import DraftKind
from careline.domain.customers import queries as customers
from careline.domain.rulebook import queries as rulebooks
from careline.doors.web import (
    arrange,
    asked,
    bills,
    care,
    cause,
    explain,
    find,
    forms,
    meant,
    money,
    oops,
    papers,
    pastdue,
    sims,
    timeline,
    verify,
    wrapup,
)
from careline.doors.web import lines as line_forms
from careline.doors.web.account import LABELS, SHOWN, ContactPage, contact_of, opened, page_of
from careline.doors.web.act_forms import FORMS, KINDS, UNVERIFIED, VERIFY_ACTS
from careline.doors.web.render import page
from careline.foundation.act import Level
from careline.foundation.money import parsed, shown
from careline.foundation.refusal import Refusal


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
        return _offered(request, desk, code, outcome, data, status)
    level = desk.scene.basis.level
    open_account = level >= Level.VERIFIED and desk.scene.facts["caller"] != "stranger"
    section = "view.account" if open_account else "view.wrapup" if row.state == "wrap_up" else "view.contact"
    looked = look(section, who=desk.who, scene=desk.scene)
    if not looked.allowed:
        return asked.not_shown(request, desk, looked)
    if row.state == "wrap_up":
        return wrapup.draw(request, desk, outcome, data, status)
    wanted = code or request.GET.get("act", "")
    more = request.GET.get("verify") == "more"
    # To prove somebody, or to move to what is somebody's own business: where an admission is asked for.
    away = code in VERIFY_ACTS or (outcome is not None and outcome.refusal is not None and outcome.refusal.rule == "own-business")
    if outcome is None and (more or not open_account):
        meant.mean(desk, request.GET.get(meant.THEN) or wanted, request.GET)
    elif not open_account and outcome is not None and _wants_proof(code, outcome):
        meant.keep(desk, code, data)  # the proof had ended while it was typed
    if not open_account or more or away:
        return _before(request, desk, wanted, code, outcome, data, more or (open_account and away), status)
    return _account(request, desk, wanted, code, outcome, data, status)


def _base(desk: ContactPage) -> dict[str, Any]:
    return {"contact": desk.contact(), "who": desk.who_calls(), "offer": asked.offer(desk), "verify": None, "act": None, "requests": []}


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
    if open_form in (*care.EARLY, "payments.send_guest_link") and (desk.row.account_id is None or desk.not_set_up(open_form)):
        open_form = ""  # that is about an account: choose it first
    if open_form in care.EARLY and desk.who.role not in desk.scene.rulebook.authority.roles_with(open_form):
        open_form = ""
    if open_form:
        shape = FORMS[open_form](desk, data if outcome is not None and code == open_form else request.GET)
        if outcome is not None and code == open_form:
            shape = forms.refilled(shape, data, outcome, _ways(desk, code, outcome, data))
        context["verify"] = {"title": shape["title"], "text": None, "say_aloud": shape.pop("say_aloud", None), "form": shape, "find": None,
                             "factors": [], "outcome": None, "ways": []}
        return page(request, "contact.html", context, status)
    own_business = outcome is not None and outcome.refusal is not None and outcome.refusal.rule == "own-business"
    context["verify"] = verify.shape_of(
        desk,
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
    context["verify"]["meant"] = meant.shape(desk) if context["verify"]["factors"] else None
    context["requests"] = asked.shapes(desk)
    return page(request, "contact.html", context, status)


def _account(
    request: HttpRequest, desk: ContactPage, wanted: str, code: str, outcome: Outcome | None, data: Any, status: int
) -> HttpResponse:
    given = data if data is not None else request.GET
    back = meant.of(desk.row) if outcome is None and request.GET.get(meant.AGAIN) else None
    if back is not None and back.code == wanted:
        given = back.given()
    else:
        back = None
    section = "cause" if code in cause.KINDS or (code and given.get("walk")) else "care" if wanted in care.FORMS or wanted in ("lines.change_sim", "lines.make_transfer_pin") else request.GET.get("section", "money")
    section = section if section in SHOWN else "money"
    walks = desk.walks
    lines, bill = line_forms.shapes(desk), forms.whole(request.GET.get("bill"))
    if any(r.seen_at is None and r.state != "waiting" for r in desk.requests):
        saw_answers(who=desk.who, at=desk.at, contact_id=desk.row.pk)
    context = _base(desk)
    if meant.may_be(wanted) and (strong := context["contact"]["strong"]) and strong["href"]:
        strong["href"] += f"&{meant.THEN}={wanted}"
    context |= {
        "sections": desk.sections(section),
        "section": section,
        "requests": asked.shapes(desk),
        "probably": desk.probably(),
        "also_here": desk.also_here(),
        "balance": desk.balance(),
        "arrangement": arrange.panel(desk),
        "lines": lines,
        "money": bills.shape(desk) if section == "money" else None,
        "bill": _bill(desk, bill) if section == "money" and bill else None,
        "timeline": timeline.shape(desk, forms.whole(request.GET.get("before"))) if section == "time" else None,
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
        shape = FORMS[wanted](desk, given if back else data if outcome is not None and data is not None else request.GET)
        if back:
            shape = forms.filled(shape, given)
        if outcome is not None and code == wanted:
            shape = forms.refilled(shape, data, _too_much(desk, outcome, data), _ways(desk, code, outcome, data, on_form=True))
        elif not shape["refusal"] and (no := desk.refused(wanted)) is not None:
            # What is not possible is said before anything is typed. Whoever may say yes is asked once it was.
            no = replace(no, way_on=ways_there(no.way_on, desk.scene, desk.at))
            ways = _ways(desk, wanted, Outcome("refused", no.say, refusal=no), {}, on_form=True)
            shape["refusal"] = forms.shown_refusal(no, [way for way in ways if not way.get("action")])
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
    found = bills.opened_bill(desk, bill_id)
    return found and {**found, "paper": papers.of_bill(desk, found["bill"])}


def _outcome_shape(desk: ContactPage, code: str, outcome: Outcome, data: Any) -> dict[str, Any]:
    """What came of an act, where its form would stand."""
    no = outcome.refusal
    return {"form": None, "outcome": {
        "state": "risk" if outcome.status == "pending" else "bad", "title": outcome.say, "text": None, "say_aloud": None, "rows": None,
        "refusal": forms.shown_refusal(no, _ways(desk, code, outcome, data)) if no and no.rule else None,
        "next": [], "close_href": desk.url()}}


def _too_much(desk: ContactPage, outcome: Outcome, data: Any) -> Outcome:
    """A refusal by a limit begins with the amount that was typed: what is left is the rule's to say."""
    no = outcome.refusal
    if no is None or not data.get("amount") or not desk.scene.rulebook.authority.is_limit(no.rule):
        return outcome
    return replace(outcome, refusal=replace(no, say=f"{shown(parsed(data['amount']))} is too much. {no.say}"))


def _renamed(outcome: Outcome, old: str, new: str) -> Outcome:
    if outcome.refusal is None or old not in outcome.refusal.fields:
        return outcome
    fields = {new if k == old else k: v for k, v in outcome.refusal.fields.items()}
    return replace(outcome, refusal=replace(outcome.refusal, fields=fields))


def _offered(request: HttpRequest, desk: ContactPage, code: str, outcome: Outcome | None, data: Any, status: int) -> HttpResponse:
    row = desk.row
    no = desk.refused("contacts.accept")
    if no is not None:  # their own business: not even what the colleague wrote about it
        return asked.not_shown(request, desk, Looked(no, desk.at))
    ways = [asked.decline(desk)] if asked.may_decline(desk) else []
    if ways and code == "contacts.decline" and outcome is not None:
        ways[0]["form"] = forms.refilled(ways[0]["form"], data, outcome, [])
        outcome = None
    context = _base(desk)
    context["contact"] |= {"hold": None, "end_href": None, "journal_href": None, "strong": None}
    context["verify"] = {
        "title": f"{row.holder.name} wants to hand this over to you", "text": row.offered_words or "No words were left.", "say_aloud": None,
        "find": None, "factors": [], "outcome": {"say": outcome.say, "state": "bad"} if outcome is not None else None,
        "form": forms.form("contacts.accept", "Take over", "Take over", desk.do_url("contacts.accept"), cancel_href=reverse("home"),
                           consequence="The same voice stays on the line, so what was proven stays proven."),
        "ways": ways,
    }
    call = contacts.open_of(desk.who.id) if outcome is not None else None
    if call is not None:
        ways.append({"title": f"Back to {call.reference}", "text": "Your own call.", "href": forms.contact_address(call.reference), "form": None})
    return page(request, "contact.html", context, status)


def _wants_proof(code: str, outcome: Outcome) -> bool:
    """Whether a form was refused for what a better proof of the caller would give it."""
    return meant.may_be(code) and outcome.refusal is not None and any(way.act in VERIFY_ACTS for way in outcome.refusal.way_on)


def _ways(desk: ContactPage, code: str, outcome: Outcome, data: Any, on_form: bool = False) -> list[dict[str, Any]]:
    """The ways on of a refusal as moves of this page. `on_form`: it stands on the act's own form, which goes with the caller to
    the proof and comes back."""
    ways: list[dict[str, Any]] = []
    no = outcome.refusal
    if no is None:
        return ways
    deciders = set(desk.scene.rulebook.authority.roles_with("approvals.decide"))
    for way in no.way_on:
        if way.act == "approvals.ask":
            could = [role for role in no.who_could if role in deciders]
            if could:
                kept = {k: v for k, v in data.items() if k in KINDS[code] and v}
                ask = forms.button(f"Ask a {could[0]}", desk.do_url("approvals.ask"), asked=code, **kept)
                ways.append(ask if kept.get("words", "").strip() else ask | {"prompt": "Why, in a few words"})
        elif way.act in FORMS:
            ways.append({"label": way.label, "href": desk.url(f"?act={way.act}")})
        elif way.act in VERIFY_ACTS:
            # Somebody who is proven already proves one more.
            more = {"verify": "more"} if desk.scene.basis.level >= Level.VERIFIED else {}
            if on_form and meant.may_be(code):
                ways.append({"label": way.label, "of": code, "then": meant.VERIFY})
            else:
                kept = {meant.THEN: code, **{k: v for k, v in data.items() if k in (*KINDS[code], *meant.WALK) and v}} if meant.may_be(code) else {}
                ways.append({"label": way.label, "href": desk.url("?" + urlencode({**more, **kept}))})
    return ways


@require_POST
def do(request: HttpRequest, reference: str, code: str) -> HttpResponse:
    """Every form of the contact page ends here: one act on this contact, then the page again."""
    if code not in KINDS:
        raise Http404
    row = contact_of(reference)
    basis = BasisRef("contact", row.pk)
    data = request.POST
    if data.get(meant.THEN) in (meant.VERIFY, meant.LEAVE) and meant.may_be(code):
        return _to_proof(opened(request, reference), code, data)
    if cause.proposes(code, data):
        return _draw(request, opened(request, reference), code=code, data=data.dict())
    if code in cause.KINDS and cause.is_stale(row, request.user.who, data):
        messages.info(request, "That step was answered already. This is where the search stands.")
        return forms.see_other(cause.address(row, data.get("walk")))
    if code == "contacts.end":
        cause.close_settled(request, row)
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
        if data.get("asks") and given.get("words") and outcome.refusal is not None and any(way.act == "approvals.ask" for way in outcome.refusal.way_on):
            inner = {"account": given.get("account", ""), "code": code, "words": given["words"], "input": given}
            code, outcome = "approvals.ask", forms.do_again(request, "approvals.ask", inner, basis)
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
            return forms.see_other(walked)
    desk = opened(request, reference)
    return _draw(request, desk, code=code, outcome=outcome, data=forms.typed(data, KINDS[code]), status=422)


def _to_proof(desk: ContactPage, code: str, data: Any) -> HttpResponse:
    """A form as it stands waits for a better proof of the caller, or is not meant any more. Nothing is done with it."""
    if data[meant.THEN] == meant.LEAVE:
        meant.leave(desk.row, desk.who)
        return forms.see_other(desk.url())
    meant.keep(desk, code, forms.typed(data, KINDS[code]))
    return forms.see_other(desk.url("?verify=more" if desk.scene.basis.level >= Level.VERIFIED else ""))


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


SENT = {"contacts.note": DraftKind.NOTE, "contacts.hand_over": DraftKind.HANDOVER}
QUIET = {"contacts.hold", "contacts.resume", "contacts.end", "contacts.accept", "contacts.drop", "contacts.reconnect"}
SECTION_AFTER = {"contacts.note": "?section=notes", "contacts.pin_note": "?section=notes", explain.SEND: "?section=money", **dict.fromkeys(line_forms.FORMS, "?section=lines"), **dict.fromkeys(sims.FORMS, "?section=care"), "lines.change_device": "?section=lines", **dict.fromkeys(care.FORMS, care.SECTION)}


def _after(request: HttpRequest, row: Any, code: str, outcome: Outcome) -> HttpResponse:
    if code in cause.KINDS:
        return forms.see_other(cause.after(request, row, code, outcome))
    if code == "contacts.speaker":  # another voice
        meant.leave(row, request.user.who)
    elif meant.may_be(code):
        meant.leave(row, request.user.who, code)
    if code == "contacts.wrap_up":
        messages.success(request, "Closed. Ready for the next.")
        return redirect("home", permanent=False)
    if code == "contacts.decline":
        messages.success(request, f"{row.holder.name} sees that you do not take it.")
        return forms.see_other(reverse("home"))
    if code in SENT:  # the words are where they belong; what was kept while they were typed is done
        keep_draft(who=request.user.who, contact_id=row.pk, kind=SENT[code], about=row.account_id or 0, text="", at=timezone.now())
    if code == "customers.separate_line":
        messages.warning(request, f"Their account is {outcome.show['reference']}. Read it to them once. Then verify them, and let them set a PIN.")
    if code == "lines.make_transfer_pin" and "pin" in outcome.show:
        messages.warning(request, f"The transfer PIN is {outcome.show['pin']}. Read it to them now: it is shown this once and kept nowhere.")
    if code == "contacts.hand_over":
        messages.info(request, outcome.say)
    elif code == "contacts.speaker" and not outcome.show.get("known"):
        messages.warning(request, "Nobody of that name may speak for this account. They may pay by a link.")
    elif outcome.status == "pending":
        messages.warning(request, outcome.say + ". We ask the provider again by ourselves.")
    elif code not in QUIET:
        messages.success(request, outcome.say)
    walked = cause.follow(request, row, code, outcome)
    if code == "credits.grant" and outcome.ok and outcome.show.get("recurs"):
        messages.warning(request, "That takes back what was charged. Add the promotion back too, or the next bill has it wrong again.")
        return forms.see_other(forms.contact_address(row.reference, f"?act={money.PROMOTE}"))
    if code == "credits.grant" and outcome.ok and outcome.show.get("ends"):
        messages.warning(request, "That takes back what was charged. End it too, or the next bill has it again.")
        return forms.see_other(forms.contact_address(row.reference, f"?act={money.END}&agreed={outcome.show['ends']}"))
    if walked:
        return forms.see_other(walked)
    if code in meant.PROVE and (then := meant.after_proof(opened(request, row.reference))):
        return forms.see_other(forms.contact_address(row.reference, then))
    if code == "contacts.send_code" and page_of(row, request.user.who, rulebooks.current()).scene.basis.level >= Level.VERIFIED:
        return forms.see_other(forms.contact_address(row.reference, "?verify=more"))  # where the code is typed
    if code in money.FORMS or code == money.STATEMENT:
        return forms.see_other(money.address(row.reference))
    if code in pastdue.FORMS:
        return forms.see_other(pastdue.address(row.reference))
    if code == explain.PRINT:
        return forms.see_other(forms.contact_address(row.reference, explain.after(request.POST)))
    if code in papers.KINDS:
        return forms.see_other(forms.contact_address(row.reference, f"?section=money&bill={forms.whole(request.POST.get('bill'))}"))
    return forms.see_other(forms.contact_address(row.reference, SECTION_AFTER.get(code, "")))


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
