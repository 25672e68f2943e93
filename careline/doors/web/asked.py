"""What was asked of a lead in a contact: its state, its answer without reloading, and when it is dealt with."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_POST

from careline.acts.approvals import put_away, saw_answers
from careline.acts.look import Looked
from careline.domain.approvals import queries as approvals
from careline.domain.approvals.rules import Kind as RequestKind
from careline.domain.approvals.rules import State as RequestState
from careline.domain.contacts import queries as contacts
from careline.domain.rulebook import queries as rulebooks
from careline.domain.staff.rules import whom_to_ask
from careline.doors.web import forms, oops
from careline.doors.web.account import ContactPage, page_of
from careline.doors.web.render import digest, part
from careline.foundation.act import Level


def shapes(desk: ContactPage) -> list[dict[str, Any]]:
    return [shape(desk, r) for r in visible(desk)]


def visible(desk: ContactPage) -> list[Any]:
    """What was asked, as far as it may be shown: of the account's money nothing before somebody is verified."""
    seen = desk.scene.basis.level >= Level.WRAP_UP
    return [r for r in desk.requests if r.put_away_at is None and r.state != RequestState.WITHDRAWN and (seen or r.kind == RequestKind.ADMIT)]


def shape(desk: ContactPage, row: Any) -> dict[str, Any]:
    state = approvals.state_now(row, desk.at)
    asked_of = whom_to_ask(row.role_list)
    waiting = state == RequestState.WAITING
    decided = row.granted_minor is not None and row.code == "credits.grant"
    total = desk.credited.get((row.decided_by_id, row.decided_at)) if decided else None
    say = f"My {row.role_list[0]} is looking at it right now. It takes about a minute." if waiting else None
    return {
        "id": str(row.pk), "title": row.title, "why": row.words or None, "asked_of": asked_of,
        "since_seconds": int((desk.at - row.asked_at).total_seconds()), "state": state,
        "amount": row.granted_minor, "total": total, "by": row.decided_by.name if row.decided_by else None, "word": row.answer or None,
        "say_aloud": say,
        "fallback": desk.scene.rulebook.limits["approval"]["fallback"] if state == RequestState.EXPIRED else None,
        "withdraw": {"label": "Take it back", "action": desk.do_url("approvals.withdraw"), "key": forms.new_key(), "hidden": {"request": row.pk}} if waiting else None,
        "away": None if waiting else {"label": "Put away", "action": reverse("request-away", args=[row.pk])}, "look_href": desk.url() if waiting else None,
        "next": _admitted(desk, row) if state == RequestState.APPROVED and row.kind == "admit" else [], "poll_url": reverse("request-part", args=[row.pk]) + "?seen=" + digest((state, row.pk)) if waiting else None,
    }


def offer(desk: ContactPage) -> dict[str, Any] | None:
    """This contact is offered to a colleague and waits for them: whose turn it is, until it is taken or taken back."""
    row = desk.row
    if not desk.scene.facts["mine"]:
        return None
    if row.offered_to is None:
        if row.declined_by is None:
            return None
        return {"to": None, "declined": row.declined_by.name, "words": row.declined_words, "poll_url": None, "again": desk.url("?act=contacts.hand_over")}
    return {
        "to": row.offered_to.name, "poll_url": reverse("offer-part", args=[row.reference]) + "?seen=" + digest(_where(row)),
        "back": forms.button("Take it back", desk.do_url("contacts.hand_over"), back="on"),
    }


def _where(row: Any) -> tuple[int | None, int | None, int | None]:
    return row.holder_id, row.offered_to_id, row.declined_by_id


def may_decline(desk: ContactPage) -> bool:
    """Under a rulebook from before there was the act, nobody can."""
    return desk.refused("contacts.decline") is None


def decline(desk: ContactPage) -> dict[str, Any]:
    """The other answer to an offer, as a way on."""
    words = forms.field("words", "Why, in a few words", maximum=400)
    return {"title": "I cannot take it", "text": "It stays with your colleague, who sees your words and finds somebody else.", "href": None,
            "form": forms.form("contacts.decline", "I cannot take it", "Decline", desk.do_url("contacts.decline"), [words])}  # fmt: skip


@require_GET
def offer_part(request: HttpRequest, reference: str) -> HttpResponse:
    """The poll of an offer: 204 until it is taken, which ends it for who offered it; 404 for who never had the contact."""
    row = contacts.contact(reference=reference) if reference.isprintable() else None
    if row is None or not contacts.had(row.pk, request.user.who.id):
        raise Http404
    request.careline_no_desk = True
    desk = page_of(row, request.user.who, rulebooks.current())
    taken_by = row.holder.name if row.holder and not desk.scene.facts["mine"] else None
    return part(request, "contact/_offer.html", {"offer": offer(desk), "taken_by": taken_by}, _where(row))


def _admitted(desk: ContactPage, row: Any) -> list[dict[str, Any]]:
    """A second person said yes: open the account that they admitted to, unless it is open already."""
    if row.account_id == desk.row.account_id:
        return []
    given = row.input_data
    return [forms.button("Open the account", desk.do_url("contacts.identify"), account=given["account"], person=given.get("person") or "")]


def _mine(request: HttpRequest, request_id: int) -> Any:
    """A request that this person asked, or that came to them with its contact. 404 for anybody else's."""
    row = approvals.request(request_id)
    if row is None or request.user.who.id not in (str(row.asker_id), str(row.contact.holder_id)):
        raise Http404
    return row


@require_GET
def request_part(request: HttpRequest, request_id: int) -> HttpResponse:
    """The poll of a request: 204 until it is answered."""
    row = _mine(request, request_id)
    contact = contacts.contact(row.contact_id)
    desk = page_of(contact, request.user.who, rulebooks.current())
    if str(row.asker_id) != desk.who.id and row not in visible(desk):
        raise Http404
    shown = shape(desk, row)
    if shown["state"] != "waiting":
        saw_answers(who=request.user.who, at=timezone.now(), contact_id=row.contact_id)
    request.careline_no_desk = True
    return part(request, "contact/_request.html", {"asked": shown}, (shown["state"], row.pk))


@require_POST
def request_away(request: HttpRequest, request_id: int) -> HttpResponse:
    """An answer that is dealt with leaves the page; it stays in the journal and the timeline."""
    row = _mine(request, request_id)
    put_away(request_id=request_id, at=timezone.now())
    here, back = forms.contact_address(row.contact.reference), request.META.get("HTTP_REFERER", "")
    same = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    return forms.see_other(back if same and urlsplit(back).path == here else here)


def not_shown(request: HttpRequest, desk: ContactPage, looked: Looked) -> HttpResponse:
    no = looked.refusal
    assert no is not None
    ways = []
    if no.rule == "own-business" and desk.scene.facts["mine"]:
        ways = [{"label": "Hand over", "href": desk.url("?act=contacts.hand_over")}]
    elif no.rule == "own-business" and str(desk.row.offered_to_id) == desk.who.id:
        ways = _ask_to_be_admitted(desk)
        if may_decline(desk):
            ways.append(forms.button("I cannot take it", desk.do_url("contacts.decline")) | {"prompt": "Why, in a few words"})
    return oops.refused(request, no, ways)


def _ask_to_be_admitted(desk: ContactPage) -> list[dict[str, Any]]:
    """The way on of a colleague to whom this is offered: they cannot take it over before a second person admits them."""
    waits = any(r.kind == "admit" and str(r.asker_id) == desk.who.id and approvals.state_now(r, desk.at) == "waiting" for r in desk.requests)
    if waits:
        return [{"label": "You asked to be admitted. Look again", "href": desk.url()}]
    ask = forms.button("Ask a lead to admit you", desk.do_url("approvals.ask_admission"), account=desk.account_id, person=desk.row.person_id or "")
    return [ask | {"prompt": "Why you, in a few words"}]
