"""Whom to call now about money that is past due, who may not be called now and why, and the holds that somebody has to look at."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from careline.acts.look import look
from careline.domain.collections import queries
from careline.domain.collections.queries import calling
from careline.domain.contacts.rules import Why
from careline.domain.customers import queries as customers
from careline.domain.customers.rules.care import LANGUAGES
from careline.domain.rulebook import queries as rulebooks
from careline.doors.web import forms, pastdue
from careline.doors.web.render import page, zone
from careline.foundation import phone
from careline.foundation.calendar import on_the_wall
from careline.foundation.ladder import Ladder
from careline.foundation.rulebook import Rulebook

AGAIN, CALL, KEEP = pastdue.AGAIN, "collections.call", "collections.keep_hold"
# What is done from here, with nobody on the line.
DEEDS: dict[str, tuple[str, dict[str, str]]] = {
    "call": (CALL, {"account": "id"}), "again": (AGAIN, pastdue.KINDS[AGAIN]), "keep": (KEEP, {"hold": "text", "words": "text"}),
}  # fmt: skip
# Why somebody is not called now, in the words of the page.
NOT_NOW = {
    Why.HOURS: "outside the hours where they may be", Why.OFTEN: "called, or spoken to, too lately", Why.STOP: "said STOP to calls", Why.CONSENT: "never said yes to calls", Why.QUIET: "nobody is to be reached",
    calling.HELD: "held, or paid since", calling.PAYING: "a payment is under way", calling.LITTLE: "a call would cost more than it brings", calling.NO_NUMBER: "no number that lives",
}  # fmt: skip


def show(request: HttpRequest) -> HttpResponse:
    """Whom to call about money that is past due: who is to be called again today, then in the order of what a call is worth. No amount and no whole
    number stand here: those come once somebody picked up and is known."""
    rulebook = rulebooks.current()
    if "ladder.toml" not in rulebook.files or not look("view.pastdue", who=request.user.who).allowed:
        raise Http404
    refusal = outcome = None
    deed = request.POST.get("deed", "call")
    if request.method == "POST":
        code, kinds = DEEDS.get(deed, DEEDS["call"])
        outcome = forms.do(request, code, forms.read(request.POST, kinds))
        if outcome.ok:
            messages.success(request, f"{outcome.say}.")
            return forms.see_other(reverse("contact", args=[outcome.show["contact"]]) if code == CALL else reverse("past-due-queue"))
        if code == CALL:
            refusal = forms.shown_refusal(outcome.refusal, []) if outcome.refusal else {"say": outcome.say, "rule": "", "cite": "", "who_could": [], "way_on": []}
    now = timezone.now()
    today, ladder = now.astimezone(zone()).date(), rulebook.ladder
    found = calling.to_call(ladder, rulebook.outbound, now, request.GET.get("after", ""))
    may_put = request.user.role in rulebook.authority.roles_with(AGAIN)
    rows, later = ([_row(c, now, ladder, may_put, request.user.who.key) for c in some] for some in (found.rows, found.later))
    nobody = f"Nobody may be called now. The next one from {on_the_wall(found.soonest, settings.CARRIER_ZONE, now)}." if not rows and found.soonest else None
    asks = reverse("what-if") if request.user.role in rulebook.authority.roles_with("view.what_if") else None
    keeps = request.user.role in rulebook.authority.roles_with(KEEP)
    asked = request.POST if outcome is not None else request.GET
    account = str(asked.get("account") or "")
    name = _name(int(account)) if may_put and account.isdecimal() and len(account) < 19 and (outcome is None or deed == "again") else None
    form = _again_here(int(account), name, rulebook, today, asked) if name else _keep_here(asked) if keeps and asked.get("hold") else None
    if form is not None and outcome is not None:
        form = forms.refilled(form, request.POST, outcome, [])
    shape = {
        "rows": rows, "later": later, "nobody": nobody, "refusal": refusal, "talk": {"outbound": pastdue.said(ladder, "outbound")}, "what_if_href": asks, "form": form,
        "not_now": [(NOT_NOW[why], found.not_now[why]) for why in NOT_NOW if found.not_now[why]], "cites": sorted(found.cites | {c.may.cite for c in found.later} - {""}),
        "more_href": f"{reverse('past-due-queue')}?after={found.more}" if found.more else None, "first_href": reverse("past-due-queue") if request.GET.get("after") else None,
        "holds": [_to_look_at(h, ladder) for h in queries.to_look_at(today)] if keeps else [],
    }  # fmt: skip
    return page(request, "pastdue_queue.html", shape, 422 if outcome is not None else 200)


def _name(account_id: int) -> str | None:
    """Whose call is put to another day, if they stand on the ladder: may be, they may not be called now."""
    climb, line = queries.climb_of(account_id), customers.called([account_id]).get(account_id)
    return line[2] if line is not None and climb is not None and climb.noticed else None


def _row(c: calling.Callable, now: datetime, ladder: Ladder, may_put: bool, me: str) -> dict[str, Any]:
    put = f"{pastdue.again_said(c.again)}{', set by you' if c.put_by == me else ''}" if c.again else None
    return {
        "name": c.name, "reference": c.reference, "last4": phone.last_four(c.number), "language": LANGUAGES.get(c.language, c.language) if c.language != "en" else "",
        "local": on_the_wall(now, c.zone, now), "from": on_the_wall(c.may.later, c.zone, now) if c.may.later else None, "rung": _last_done(c, ladder),
        "why": c.may.say, "again": put, "call": forms.button("Call", reverse("past-due-queue"), account=c.account_id) if c.may.ok else None,
        "again_href": reverse("past-due-queue") + f"?account={c.account_id}" if may_put else None,
    }  # fmt: skip


def _last_done(c: calling.Callable, ladder: Ladder) -> str:
    rung = next((r for r in ladder.rungs if r.code == c.rung), None)
    if rung is None:
        return c.rung
    unsent = pastdue.unsent(c.notice)
    return f"{rung.title}, its notice{unsent.removeprefix(',')}" if unsent and rung.effects[0] != "notice" else rung.title + unsent


def _to_look_at(hold: Any, ladder: Ladder) -> dict[str, Any]:
    kind = ladder.holds.get(hold.kind)
    return {
        "number": hold.reference, "name": hold.account.customer.name, "reference": hold.account.reference, "title": kind.title if kind else hold.kind, "since": hold.starts_on,
        "review": hold.review_on, "href": reverse("past-due-queue") + f"?hold={hold.reference}",
    }  # fmt: skip


def _again_here(account_id: int, name: str, rulebook: Rulebook, today: date, given: Any) -> dict[str, Any]:
    return forms.form(
        AGAIN, f"Call {name} again on a day", "Set the day", reverse("past-due-queue"), [forms.hidden("deed", "again"), *pastdue.again_fields(rulebook, account_id, today, given, False)],
        cancel_href=reverse("past-due-queue"), consequence="On that day they stand first here, for everybody. Until then nobody calls them about this.",
    )  # fmt: skip


def _keep_here(given: Any) -> dict[str, Any]:
    hold = queries.hold(str(given.get("hold")))
    if hold is None:
        raise Http404
    return forms.form(
        KEEP, f"{hold.reference} was looked at", "It stands", reverse("past-due-queue"),
        [forms.hidden("deed", "keep"), forms.hidden("hold", hold.reference), forms.field("words", "What was found", "text", given.get("words"), maxlength=400)],
        cancel_href=reverse("past-due-queue"), consequence="It stands, and comes up here again after its days. To lift it, open the account.",
    )  # fmt: skip
