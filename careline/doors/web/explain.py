"""Explain the bill: one bill against an earlier one on the contact page, in sentences to say and in arithmetic to check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.urls import reverse
from django.utils.http import urlencode

from careline.acts.ledger import MESSAGE, foreseen
from careline.acts.look import look
from careline.carriers import PRINTER, lacking
from careline.domain.credits import queries as credits
from careline.domain.customers import queries as customers
from careline.domain.customers.rules.care import LANGUAGES
from careline.domain.ledger import queries as ledger
from careline.domain.ledger.rules import charges, estimate, explain
from careline.doors.web import forms, papers
from careline.doors.web.account import ContactPage
from careline.foundation import phone
from careline.foundation.money import shown

SEND, PRINT = "ledger.send_explanation", "ledger.print_explanation"
KINDS: dict[str, dict[str, str]] = {
    SEND: {"account": "id", "bill": "id", "against": "id", "total": "whole", "line": "id", "text": "text"},
    PRINT: {"account": "id", "bill": "id", "against": "id", "total": "whole"},
}
NEXT = "next"


def asked(code: str, given: Mapping[str, Any]) -> tuple[str, str]:
    """Which bill is explained and against which: by the address, or by the form that was answered."""
    if code in KINDS:
        return str(given.get("bill") or NEXT), str(given.get("against") or "")
    return str(given.get("explain") or ""), str(given.get("against") or "")


def _found(desk: ContactPage, bill: str, against: str) -> explain.Explanation | None:
    if bill == NEXT:
        return foreseen(desk.account_id, desk.today, desk.scene.rulebook)
    newest = desk.bills[0].id if desk.bills else None
    bill_id, against_id = forms.whole(bill), forms.whole(against)
    found = ledger.explained(desk.account_id, bill_id, against_id, credits.on_bills) if bill_id else None
    if found is None and newest is not None and newest != bill_id:
        found = ledger.explained(desk.account_id, newest, None, credits.on_bills)  # what was asked for is not there: the newest is
    return found


def panel(desk: ContactPage, code: str, given: Mapping[str, Any]) -> dict[str, Any] | None:
    """The explanation as the template draws it; None when none was asked for."""
    bill, against = asked(code, given)
    if not bill:
        return None
    close = desk.url("?section=money")
    found = _found(desk, bill, against)
    if found is None:
        return {"found": None, "close_href": close}
    if found.now.estimated:  # what is told now is held against the bill that comes
        told = {"bill_on": found.now.issued_on.isoformat(), "total": found.now.total_minor}
        look(ledger.ESTIMATE, who=desk.who, scene=desk.scene, at=desk.at, data=told, payload={"lines": estimate.packed(found.now)})
    here = {"section": "money", "explain": NEXT if found.now.estimated else found.now.id, "against": "" if found.now.estimated else found.was.id}
    credited = credits.credited_on_lines([] if found.now.estimated else [n for d in found.differences for n in d.charges])
    charges = {n.id: n for n in found.now.lines}
    choices = [(b.id, f"{b.issued_on:%b} {b.issued_on.day}, {b.issued_on.year}: {shown(b.total_minor)}") for b in desk.all_bills]

    def grant(n: charges.Charged, title: str) -> dict[str, Any]:
        left = n.amount_minor - credited.get(n.id, 0)
        query = {**here, "act": "credits.grant", "reason": "billing_error", "bill_line": n.id, "amount": forms.dollars(left), "words": f"{title} on bill {found.now.number}"}
        return {"label": n.label, "left": left, "credited": credited.get(n.id, 0), "href": desk.url("?" + urlencode(query)) if left > 0 else None}

    return {
        "found": found,
        "estimated": found.now.estimated,
        "rests_on": (estimate.BY_THE_RUN if found.now.by_run else estimate.BY_THE_LAST) if found.now.estimated else None,
        "title": "What the next bill will be" if found.now.estimated else "Why the bill differs",
        "was": {"label": "Last bill" if found.now.estimated else "Bill", "on": found.was.issued_on, "total": found.was.total_minor},
        "told": None if found.now.estimated else ledger.told_of(desk.account_id, found.now, found.was.issued_on),
        "now": {"label": "Next bill" if found.now.estimated else "Bill", "on": found.now.issued_on, "total": found.now.total_minor},
        "rows": [
            {
                "title": d.title, "say": d.say, "amount": d.amount_minor, "parts": d.parts, "unsure": d.unsure, "event": d.event, "event_href": _behind(desk, d.event), "cause": d.cause.value,
                "credits": [grant(charges[n], d.title) for n in d.charges] if not found.now.estimated else [],
            }
            for d in found.differences
        ],
        "choices": choices,
        "earlier": [c for c, b in zip(choices, desk.all_bills, strict=True) if found.now.estimated or (b.issued_on, b.id) < (found.now.issued_on, found.now.id)],
        "action": desk.url(),
        "next_href": desk.url(f"?section=money&explain={NEXT}"),
        "last_href": desk.url(f"?section=money&explain={desk.bills[0].id}") if desk.bills else None,
        "send_href": desk.url("?" + urlencode({**here, "act": SEND})),
        "print": forms.button("As PDF", desk.do_url(PRINT), account=desk.account_id, **_which(found)) if not lacking(PRINTER) else None,
        "papers": [papers.shape(desk.row.reference, paper, "This estimate as PDF" if found.now.estimated else "This explanation as PDF")
                   for paper in ledger.papers_of_explanation(desk.account_id, None if found.now.estimated else found.now.id, found.was.id)],
        "close_href": close,
    }  # fmt: skip


def _which(found: explain.Explanation) -> dict[str, Any]:
    """What is explained, as the acts take it: two bills, or the next one and what was said of it."""
    return {"total": found.now.total_minor} if found.now.estimated else {"bill": found.now.id, "against": found.was.id}


def after(posted: Mapping[str, Any]) -> str:
    """Where one is after an act of these: back at the explanation."""
    bill, against = forms.whole(posted.get("bill")), forms.whole(posted.get("against"))
    return "?" + urlencode({"section": "money", "explain": bill or NEXT, **({"against": against} if bill and against else {})})


def _behind(desk: ContactPage, event: explain.Event | None) -> str | None:
    """Where the change of the rulebook behind a difference stands: its own page for whoever may open changes, else the rulebook as it was made."""
    kind, _, which = event.page.partition(":") if event is not None else ("", "", "")
    if kind == "change" and desk.who.role in desk.scene.rulebook.authority.roles_with("view.proposal"):
        return reverse("change", args=[int(which)])
    return f"{reverse('rulebook')}?{urlencode({'of': which, 'part': 'billing.toml'})}" if kind == "rulebook" else f"{reverse('rulebook')}?part=billing.toml" if kind else None


def send_form(desk: ContactPage, given: Mapping[str, Any]) -> dict[str, Any]:
    bill, against = asked(SEND if not given.get("explain") else "", given)
    found = _found(desk, bill, against)
    to: list[tuple[Any, str]] = [(n.pk, phone.shown(n.msisdn)) for n in customers.numbers_of_record(desk.account_id) if n.gets_texts]
    customer = desk.row.account.customer
    if not lacking(PRINTER):
        # What they like stands in their own words: who likes mail is offered it first.
        way = f"{customer.email}, all of it as a PDF" if customer.email else "By letter, all of it on paper"
        to.insert(0 if "mail" in customer.likes.lower() or (not customer.email and "letter" in customer.likes.lower()) else len(to), ("", way))
    language = customer.language.partition("-")[0].lower()
    foreign = f"This message is in English, and they prefer {LANGUAGES.get(language, customer.language)}: write it so, or go through it with them." if language not in ("", "en") else None
    back = desk.url(after(_which(found))) if found else desk.url("?section=money")
    return forms.form(
        SEND, "Send this estimate" if found and found.now.estimated else "Send this explanation", "Send it", desk.do_url(SEND),
        [
            forms.hidden("account", desk.account_id),
            *[forms.hidden(name, value) for name, value in (_which(found) if found else {"bill": ""}).items()],
            forms.field("text", "Message", "textarea", given.get("text") or (explain.message(found, MESSAGE) if found else None), rows=6, maxlength=MESSAGE, hint=foreign),
            forms.field("line", "To", "choice", given.get("line", to[0][0] if to else None), choices=to,
                        hint=None if to else "No number of this account takes texts, and no paper can be printed here. Tell the customer on the call."),
        ],
        cancel_href=back, consequence="The customer gets it in these words; they stay in the journal. An e-mail or a letter has every cause with its arithmetic on paper.",
        say_aloud="I am sending you this in writing, so that you have it in front of you.",
    )  # fmt: skip


FORMS = {SEND: send_form}
