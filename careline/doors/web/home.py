"""Home: the contact in my hand, what rings, what waits for me, and one box that finds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from careline.acts.approvals import saw_answers
from careline.acts.declare import BasisRef, Outcome
from careline.domain.approvals import queries as approvals
from careline.domain.arrangements import queries as arrangements
from careline.domain.contacts import queries as contacts
from careline.domain.rulebook import queries as rulebooks
from careline.doors.web import approvals as requests
from careline.doors.web import find, forms, oops
from careline.doors.web.render import STATE_LABELS, TEMPLATE_STATES, digest, duration, page, part, zone
from careline.foundation import phone
from careline.foundation.act import Who
from careline.foundation.calendar import start_of_day

ANSWERS = {"approved": "approved", "less": "granted less", "declined": "declined"}


@require_GET
def show(request: HttpRequest) -> HttpResponse:
    who, now = request.user.who, timezone.now()
    authority = rulebooks.current().authority
    if who.role not in authority.roles_with("contacts.open"):
        return redirect("staff") if who.role in authority.roles_with("view.staff") else redirect("preferences-page")
    today = now.astimezone(zone()).date()
    mine = contacts.all_open_of(who.id)
    numbers = contacts.day_numbers(who.id, start_of_day(today, str(zone())), now)
    hour = now.astimezone(zone()).hour
    part_of_day = "morning" if hour < 12 else "afternoon" if hour < 18 else "evening"
    ringing, offered = _ringing(now), _offered(who.id)
    waits = _waits(who.id, today)
    asked = requests.waiting(request, now) if who.role in authority.roles_with("approvals.decide") else None
    home = {
        "greeting": f"Good {part_of_day}, {request.user.name.split()[0]}",
        "open_contact": _mine(mine[0], now) if mine else None,
        "ringing": ringing,
        "offered": offered,
        "waits": [_also(c) for c in mine[1:]] + proposals_to_decide(who) + waits,
        "asked": asked,
        "asked_poll": reverse("approvals-part") + "?home&seen=" + digest([r["id"] for r in asked or []]),
        "start": forms.form("contacts.open", "Without a caller", "Start a contact", reverse("start"), [forms.hidden("without", "on")]),
        "today": [("contacts", str(numbers["contacts"])), ("mean handle time", duration(numbers["handle_seconds"]) if numbers["contacts"] else "–")],
        "poll_url": reverse("ringing") + "?seen=" + digest(_shows(ringing, offered)),
    }
    request.careline_contact = mine[0] if mine else None
    return page(request, "home.html", {"home": home})


def _ringing(now: Any) -> list[dict[str, Any]]:
    shapes = []
    for row in contacts.ringing():
        shapes.append(
            {
                "number": row.caller_number or None,
                "text": row.get_channel_display() if row.channel != "voice" else "a call",
                "since_seconds": int((now - row.began).total_seconds()),
                "answer": forms.button("Answer", reverse("answer"), contact=row.pk),
            }
        )
    return shapes


def _offered(staff_id: str) -> list[dict[str, Any]]:
    """Callers whom a colleague wants to hand over to me: they are on the line, so this stands where it rings."""
    return [
        {"title": f"{row.holder.name if row.holder else 'A colleague'} hands over {row.reference}", "text": "the caller is on the line",
         "href": forms.contact_address(row.reference)}
        for row in contacts.offered_to(staff_id)
    ]  # fmt: skip


def _shows(ringing: list[dict[str, Any]], offered: list[dict[str, Any]]) -> list[str]:
    return [r["answer"]["hidden"]["contact"] for r in ringing] + [o["title"] for o in offered]


def _mine(row: Any, now: Any) -> dict[str, Any]:
    account = f"account {row.account.reference}" if row.account else "no account yet"
    caller = phone.shown(row.caller_number) if row.caller_number else "number not known" if row.inbound else "without a caller"
    return {
        "title": f"{STATE_LABELS[row.state]}: {row.reference}",
        "text": f"{caller}, {account}",
        "href": forms.contact_address(row.reference),
        "since_seconds": contacts.running_seconds(row, now),
        "state": TEMPLATE_STATES.get(row.state, row.state),
    }


def _also(row: Any) -> dict[str, Any]:
    return {"title": f"{STATE_LABELS[row.state]}: {row.reference}", "text": "also in your hand", "due": None, "state": "risk", "href": forms.contact_address(row.reference)}


def proposals_to_decide(who: Who) -> list[dict[str, Any]]:
    """Changes of the rules that wait for somebody's yes, for whoever may say it; nothing is asked for the others."""
    if who.role not in rulebooks.current().authority.roles_with("rulebook.second"):
        return []
    return [
        {"title": f"Say yes or no to a change of the rules: {row.title}", "text": f"proposed by {row.by_name}", "due": None, "state": "risk", "href": reverse("change", args=[row.pk])}
        for row in rulebooks.to_decide(who.key)
    ]


def _waits(staff_id: str, today: Any) -> list[dict[str, Any]]:
    waits: list[dict[str, Any]] = []
    for row in approvals.answers_unseen(staff_id):
        said = f"{row.decided_by.name} {ANSWERS.get(row.state, row.state)}" if row.decided_by else "Nobody answered in time"
        live = row.contact.state != "closed" and str(row.contact.holder_id) == staff_id
        waits.append({"title": f"{said}: {row.title}", "text": row.answer or None, "due": None,
                      "state": "risk" if row.state == "expired" else None, "href": forms.contact_address(row.contact.reference) if live else reverse("answers-seen")})
    for row in arrangements.broken_of_staff(int(staff_id), today - timedelta(days=7)):
        waits.append({"title": f"Arrangement {row.number} broke", "text": f"account {row.account.reference}, agreed by you",
                      "due": None, "state": "risk", "href": reverse("find") + f"?q={row.account.reference}"})
    for row in contacts.follow_ups_of(staff_id):
        days = (row.due_on - today).days
        due = "today" if days == 0 else "tomorrow" if days == 1 else f"{-days} day{'s' if days < -1 else ''} late" if days < 0 else f"{row.due_on:%b} {row.due_on.day}"
        reference = row.account.reference if row.account else row.contact.reference
        waits.append({"title": row.what, "text": f"account {reference}", "due": due, "state": "bad" if days < 0 else "risk" if days == 0 else None,
                      "href": reverse("follow-up", args=[row.pk])})
    return waits


@require_GET
def ringing(request: HttpRequest) -> HttpResponse:
    """The poll of what rings and of what is handed over to me: 204 while nothing changed."""
    rows, offered = _ringing(timezone.now()), _offered(request.user.who.id)
    request.careline_no_desk = True
    return part(request, "home_ringing.html", {"home": {"ringing": rows, "offered": offered}}, _shows(rows, offered))


@require_POST
def start(request: HttpRequest) -> HttpResponse:
    """A contact that the associate starts, from the find box or without an account."""
    given: dict[str, Any] = {"channel": "voice", "inbound": "without" not in request.POST}
    given |= forms.read(request.POST, {"account": "id", "person": "id", "caller_number": "text", "reason": "text"})
    outcome = forms.do(request, "contacts.open", given)
    if outcome.ok:
        response = redirect("contact", reference=outcome.show["contact"])
        response.status_code = 303
        return response
    return _no(request, outcome, given)


def _no(request: HttpRequest, outcome: Outcome, given: dict[str, Any]) -> HttpResponse:
    no = outcome.refusal
    ways: list[dict[str, Any]] = [{"label": "Back to the desk", "href": reverse("home")}]
    if no is not None and no.rule == "own-business":
        # The way on needs a contact to ask in: open one without an account, and choose it there.
        ways.insert(0, forms.button("Start a contact, then ask to be admitted", reverse("start-admission"), account=given.get("account", ""), person=given.get("person", "")))
    hand = contacts.open_of(request.user.who.id)
    if no is not None and no.code == "CONFLICT" and hand is not None:
        ways.insert(0, {"label": f"Back to {hand.reference}", "href": forms.contact_address(hand.reference)})
    error = {"title": "Not opened", "say": "No contact was started.", "what_to_do": None,
             "refusal": forms.shown_refusal(no, ways) if no else None, "reference": None, "way_on": []}
    return page(request, "error.html", {"error": error}, 409 if no and no.code == "CONFLICT" else 403)


@require_POST
def start_admission(request: HttpRequest) -> HttpResponse:
    """Own business: a contact without an account, and the account's own refusal with its way on inside it."""
    outcome = forms.do(request, "contacts.open", {"channel": "voice", "inbound": True})
    if not outcome.ok:
        return _no(request, outcome, {})
    return redirect(forms.contact_address(outcome.show["contact"], f"?admit={request.POST.get('account', '')}&person={request.POST.get('person', '')}"))


@require_POST
def answer(request: HttpRequest) -> HttpResponse:
    """Take a ringing call; the account of its number is chosen when there is exactly one."""
    outcome = forms.do(request, "contacts.answer", forms.read(request.POST, {"contact": "id"}))
    if not outcome.ok:
        return _no(request, outcome, {})
    row = contacts.contact(int(outcome.show["id"]))
    assert row is not None
    hits = find.by_caller(row.caller_number)
    query = ""
    if len({h.account_id for h in hits}) == 1:
        hit = hits[0]
        given = {"account": hit.account_id, "person": hit.holder_id}
        chosen = forms.do_again(request, "contacts.identify", given, BasisRef("contact", row.pk))
        if not chosen.ok:
            query = f"?admit={hit.account_id}&person={given['person'] or ''}"
    elif hits:
        query = f"?q={phone.digits(row.caller_number)}"
    response = redirect(forms.contact_address(row.reference, query))
    response.status_code = 303
    return response


def follow_up(request: HttpRequest, follow_up_id: int) -> HttpResponse:
    """A promise of mine: open a contact to keep it, or say that it is kept."""
    row = contacts.follow_up(follow_up_id)
    if row is None or str(row.owner_id) != request.user.who.id:
        return oops.not_found(request)
    if request.method == "POST":
        outcome = forms.do(request, "contacts.finish_follow_up", {"follow_up": follow_up_id})
        if outcome.ok:
            messages.success(request, "Kept.")
            return redirect("home")
        return _no(request, outcome, {})
    reference = row.account.reference if row.account else None
    ways = [forms.button("It is done", request.path)]
    if row.account_id:
        ways.append(forms.button("Call them: start a contact", reverse("start"), account=row.account_id, person=find.holder(row.account_id) or ""))
    error = {"title": row.what, "say": f"You promised this by {row.due_on:%B} {row.due_on.day}." + (f" Account {reference}." if reference else ""),
             "what_to_do": None, "refusal": None, "reference": None, "way_on": [], "moves": ways}
    return page(request, "error.html", {"error": error})


@require_GET
def answers_seen(request: HttpRequest) -> HttpResponse:
    saw_answers(who=request.user.who, at=timezone.now())
    return redirect("home")


def preferences(request: HttpRequest) -> HttpResponse:
    """Colours and keys, from the menu."""
    user = request.user
    if request.method == "POST":
        given = {
            "theme": request.POST.get("theme") or user.theme,
            "keys_on": {"on": True, "off": False}.get(request.POST.get("keys", ""), user.keys_on),
            "palette_key": request.POST.get("palette_key") or user.palette_key,
        }
        outcome = forms.do_again(request, "staff.prefer", given)
        if not outcome.ok:
            messages.error(request, outcome.say)
    back = request.META.get("HTTP_REFERER", "")
    from django.utils.http import url_has_allowed_host_and_scheme

    safe = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    return redirect(back if safe else "/")




@require_GET
def me(request: HttpRequest) -> HttpResponse:
    """For those who take no contacts and run no staff: where to go from here."""
    return oops.page(request, 200, f"Hello, {request.user.name.split()[0]}", "Your role takes no contacts at this desk.", "Use the links at the top.")
