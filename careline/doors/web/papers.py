"""Papers at the desk: a bill or a statement as PDF, asked for, being made, opened; and the form that sends a bill's copy.

None is made in a request: the worker makes it, and a poll tells when it is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from careline.acts.look import look
from careline.carriers import PRINTER, lacking
from careline.domain.ledger import queries as ledger
from careline.doors.web import forms, oops
from careline.doors.web.account import ContactPage, opened
from careline.doors.web.render import part

PRINT, SEND = "ledger.print_bill", "ledger.send_bill"
KINDS: dict[str, dict[str, str]] = {PRINT: {"account": "id", "bill": "id"}, SEND: {"account": "id", "bill": "id"}}


def shape(reference: str, paper: Any, label: str) -> dict[str, Any]:
    """One paper as the template draws it: a link once it is made, a poll while it is not."""
    return {
        "label": label, "state": paper.state, "size": f"{max(round((paper.size or 0) / 1000), 1)} kB" if getattr(paper, "size", None) else None,
        "href": reverse("paper", args=[reference, paper.pk]) if paper.state == "made" else None,
        "poll_url": f"{reverse('paper-part', args=[reference, paper.pk])}?{urlencode({'label': label})}" if paper.state == "wanted" else None,
    }  # fmt: skip


def of_bill(desk: ContactPage, bill: ledger.OpenBill) -> dict[str, Any]:
    """What of a bill's paper is there, and the ways to it: asking for it, sending it."""
    paper = ledger.paper_of_bill(bill.id)
    fault = lacking(PRINTER)
    make = forms.button("Bill as PDF", desk.do_url(PRINT), account=desk.account_id, bill=bill.id)
    return {
        "paper": shape(desk.row.reference, paper, f"Bill {bill.number} as PDF") if paper is not None else None,
        "make": make if not fault and (paper is None or paper.state == "failed") else None,
        "send_href": desk.url(f"?act={SEND}&bill={bill.id}") if not fault else None,
        "fault": fault if paper is None or paper.state != "made" else None,
    }


def _send_form(desk: ContactPage, given: Mapping[str, Any]) -> dict[str, Any]:
    bill_id = forms.whole(given.get("bill"))
    bill = ledger.bill_of(desk.account_id, bill_id) if bill_id else None
    to = desk.row.account.customer.email
    missing = [] if bill else [forms.field("bill", "Which bill", "choice", hint="Choose a bill of the list first.")]
    return forms.form(
        SEND, f"Send a copy of bill {bill.number}" if bill else "Send a copy of a bill", "Send it", desk.do_url(SEND),
        missing or [forms.hidden("account", desk.account_id), forms.hidden("bill", bill_id)],
        cancel_href=desk.url(f"?section=money&bill={bill_id}" if bill else "?section=money"),
        consequence=f"It goes as a PDF to {to}, the e-mail address of record, and to no other." if to else "There is no e-mail address of record: it goes by letter.",
        say_aloud="I am sending a copy to the e-mail address that we have of you." if to else "I am sending a copy by letter, to the address that we have of you.",
    )  # fmt: skip


FORMS = {SEND: _send_form}


def _found(request: HttpRequest, reference: str, paper_id: int) -> tuple[ContactPage, Any]:
    """The contact's page and a paper of its account; 404 where there is no such thing."""
    desk = opened(request, reference, with_account=True)
    paper = ledger.paper(paper_id) if paper_id < 2**63 else None
    if paper is None or desk.row.account_id != paper.account_id:
        raise Http404
    return desk, paper


@require_GET
def show(request: HttpRequest, reference: str, paper_id: int) -> HttpResponse:
    """A paper as it was made; each time it is opened is a line in the journal."""
    desk, paper = _found(request, reference, paper_id)
    number = {"bill": paper.bill.number} if paper.bill else {}
    looked = look("view.paper", who=desk.who, scene=desk.scene, data={"paper": str(paper.pk), "kind": paper.kind, **number}, every_time=True)
    if looked.refusal is not None:
        return oops.refused(request, looked.refusal, [{"label": "Back to the contact", "href": desk.url()}])
    body = ledger.paper_body(paper.pk)
    if body is None:
        raise Http404
    response = HttpResponse(body, content_type="application/pdf")
    response["Content-Disposition"] = f'inline; filename="{paper.name}"'
    response["Cache-Control"] = "no-store"
    return response


@require_GET
def paper_part(request: HttpRequest, reference: str, paper_id: int) -> HttpResponse:
    """The poll of a paper that is being made, for whoever holds the contact: 204 until it is there."""
    desk, paper = _found(request, reference, paper_id)
    if str(desk.row.holder_id) != desk.who.id:
        raise Http404
    request.careline_no_desk = True
    return part(request, "contact/_paper.html", {"paper": shape(reference, paper, request.GET.get("label", "")[:80] or "The PDF")}, (paper.state, paper.pk))
