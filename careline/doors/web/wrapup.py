"""The caller is gone: the summary drafted from the journal, and the form that closes the contact."""

from __future__ import annotations

from textwrap import shorten
from typing import Any

from django.http import HttpRequest, HttpResponse

from careline.acts.declare import Outcome
from careline.domain.approvals import queries as approvals
from careline.domain.contacts import queries as contacts
from careline.domain.contacts import rules as contact_rules
from careline.domain.contacts.rules import DraftKind
from careline.domain.journal import queries as journal
from careline.domain.staff import queries as staff
from careline.doors.web import cause, forms
from careline.doors.web.account import ContactPage
from careline.doors.web.render import duration, page
from careline.foundation.act import Level
from careline.foundation.money import shown


def draw(request: HttpRequest, desk: ContactPage, outcome: Outcome | None, data: Any, status: int) -> HttpResponse:
    row = desk.row
    known = desk.scene.rulebook.reasons
    deeds = deeds_of(desk)
    spent = contact_rules.clock(contacts.spans_of(row.pk), desk.at)
    found = cause.wrap_up(desk)
    read = desk.scene.basis.level >= Level.WRAP_UP
    noted = [found["words"], row.note_draft] if read else []  # found and typed while somebody was verified
    drafted = row.summary_draft or " ".join(filter(None, [summary(desk, deeds), *noted]))
    owners = [(s.pk, s.name) for s in staff.colleagues(("trainee", "associate", "expert", "lead", "supervisor"))]
    shape = forms.form(
        "contacts.wrap_up", "Wrap up", "Close the contact", desk.do_url("contacts.wrap_up"),
        [
            forms.field("summary", "What happened", "textarea", drafted, rows=6, maxlength=4000, draft_url=desk.draft_url(DraftKind.SUMMARY)),
            forms.field("disposition", "How it ended", "choice", found["disposition"], choices=forms.titled(known["disposition"])),
            forms.field("root_cause", "What caused it", "choice", found["root_cause"], choices=forms.titled(known["root_cause"])),
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


def deeds_of(desk: ContactPage) -> list[journal.Entry]:
    """What was done in this contact, and by those who decided its requests. Nobody verified: only what they did themselves."""
    lines = journal.of_bases([desk.scene.basis.key, *(f"request:{r.pk}" for r in desk.requests)], desk.row.account_id)
    if desk.scene.basis.level >= Level.WRAP_UP:
        return lines
    return [line for line in lines if line.who == desk.who.key]


def summary(desk: ContactPage, deeds: list[journal.Entry]) -> str:
    """The draft: the journal's lines, notes in their own words, and what became of each request."""
    reason = desk.scene.rulebook.reasons["contact"].get(desk.row.reason, {}).get("title", "").lower()
    answered = {str(r.pk): r for r in desk.requests if r.decided_at is not None}
    read = desk.scene.basis.level >= Level.WRAP_UP
    told = []
    for d in deeds:
        say = d.say
        if d.code == "contacts.note" and (d.payload or {}).get("text"):
            say = f"Noted: {shorten((d.payload or {})['text'], 200, placeholder=' …')}"
        elif d.code == "approvals.decide" and str(d.data.get("request")) in answered:
            say = _answer(answered[str(d.data["request"])])
        told.append(contact_rules.Deed(d.code, d.outcome, say))
    told += [contact_rules.Deed("approvals.decide", "done", f"Nobody answered in time: {r.title}") for r in desk.requests if approvals.state_now(r, desk.at) == "expired" and (read or str(r.asker_id) == desk.who.id)]
    return contact_rules.summary(reason, told, {r.code for r in answered.values()})


def _answer(row: Any) -> str:
    word = f" ({row.answer.rstrip('.')})" if row.answer else ""
    what = shown(row.amount_minor) if row.amount_minor else row.title[0].lower() + row.title[1:]
    if row.state == "less":
        return f"{row.decided_by.name} granted {shown(row.granted_minor)} of the {what} that were asked{word}"
    return f"{row.decided_by.name} {row.state} {what}{word}"
