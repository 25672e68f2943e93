"""Pages that exist in the demo only: what customers received, a telephone that rings, and the page behind a payment link,
which stands in for a real provider's and books a payment without money."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from careline.acts.perform import perform
from careline.carriers import messenger
from careline.carriers.sandbox import SandboxMessenger, SandboxPayments
from careline.domain.ledger import queries as ledger
from careline.doors.web import forms
from careline.doors.web.render import digest, page, part, zone
from careline.foundation.act import Who

PROVIDER = Who("Service", "sandbox-payments", "Payment provider", "service")
TELEPHONE = Who("Service", "sandbox-telephone", "Telephone", "service")
TOPICS = {"one_time_code": "one-time code", "payment_link": "payment link", "receipt": "receipt", "security_notice": "security notice",
          "bill_copy": "copy of a bill", "bill_explained": "why a bill differs", "statement": "statement"}


def _sent() -> dict[str, Any]:
    twin = messenger()
    rows = []
    for message in twin.sent() if isinstance(twin, SandboxMessenger) else []:
        link = re.search(r"/pay/[\w-]+", message["body"])
        rows.append(
            {
                "at": datetime.fromtimestamp(message["at"], UTC), "to": message["to"], "channel": {"sms": "text", "email": "e-mail"}.get(message["channel"], message["channel"]),
                "about": TOPICS.get(message["topic"], message["topic"]), "text": message["body"], "link": link.group(0) if link else None,
                "subject": message.get("subject"), "files": [{"name": a["name"], "href": reverse("message-file", args=[a["digest"]])} for a in message.get("attachments", ())],
            }
        )
    shows = [r["at"] for r in rows[:1]]
    return {"rows": rows, "poll_url": reverse("messages-part") + "?seen=" + digest(shows), "shows": shows}


@require_GET
def messages(request: HttpRequest) -> HttpResponse:
    return page(request, "messages.html", {"sent": _sent()})


@require_GET
def messages_part(request: HttpRequest) -> HttpResponse:
    sent = _sent()
    request.careline_no_desk = True
    return part(request, "messages_rows.html", {"sent": sent}, sent["shows"])


@require_GET
def attached(request: HttpRequest, digest: str) -> HttpResponse:
    """What a customer of the demo received with an e-mail."""
    twin = messenger()
    found = twin.attached(digest) if isinstance(twin, SandboxMessenger) else None
    if found is None:
        raise Http404
    name, media_type, body = found
    response = HttpResponse(body, content_type=media_type)
    response["Content-Disposition"] = f'inline; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response


def ring(request: HttpRequest) -> HttpResponse:
    """The demo's telephone: a story's caller, or any number, rings at the desk."""
    action = reverse("ring")
    number = forms.form("ring-number", "Any number", "Ring", action, [forms.field("caller_number", "Number that calls", "phone", placeholder="(206) 555-0188")])
    if request.method == "POST":
        outcome = perform("contacts.ring", {"caller_number": request.POST.get("caller_number", "")}, who=TELEPHONE, key=request.POST.get("request_key", ""))
        if outcome.ok:
            response = redirect("home")
            response.status_code = 303
            return response
        number = forms.refilled(number, request.POST.dict(), outcome, [])
    stories = []
    listed, told = _stories()
    today = timezone.now().astimezone(zone()).date()
    wanted = request.GET.get("q", "").strip()[:80]
    for story in listed:
        pin = f" PIN {story.pin}." if story.pin else " No PIN."
        stories.append({"title": story.title, "text": f"{told(story, today)}{pin}", "words": story.words,
                        "form": forms.form(f"ring-{story.key}", f"Ring: {story.title}", "Ring", action, [forms.hidden("caller_number", story.number)])})
    return page(request, "ring.html", {"ring": {"q": wanted, "stories": [s for s in stories if wanted.casefold() in f"{s['title']} {s['text']} {s['words']}".casefold()], "number": number, "refusal": None}})


def _stories() -> tuple[list[Any], Callable[..., str]]:
    """The demo's stories and how they are told: read only where the demo runs."""
    from careline.doors.jobs.demo import stories

    return list(stories.STORIES), stories.told


def pay(request: HttpRequest, token: str) -> HttpResponse:
    """The provider's page as the payer sees it. No card field anywhere; it names the amount and the number's last four."""
    if not settings.DEMO:  # the door is closed before this; money that nobody paid must not hang on one table alone
        raise Http404
    link = ledger.link_by_token(token)
    if link is None:
        raise Http404
    request.careline_no_desk = True
    for_what = f"the phone ending in {link.to_last_four}" if link.to else "your account"
    carrier = settings.CARRIER_NAME
    if link.state == "paid" and link.payment is not None:
        shape = {"carrier": carrier, "amount": link.amount_minor, "for_what": for_what, "reference": link.reference, "at": link.payment.received_at}
        return page(request, "paid.html", {"pay": shape})
    error = gone = None
    if link.state == "closed":
        gone = "This link was closed before anybody paid. Ask us for a new one; nothing was taken."
    elif link.expires_at <= timezone.now():
        gone = "This link has expired. Ask us for a new one; nothing was taken."
    elif request.method == "POST":
        if request.POST.get("card") == "declined":
            error = "The bank said no. Nothing was taken. Try another card."
        else:
            reference = SandboxPayments().paid(link=link.reference, amount_minor=link.amount_minor)
            # The provider's notice: its key is the link, so that two clicks and a repeated notice are one payment.
            outcome = perform("payments.link_paid", {"link": link.reference, "provider_reference": reference, "method": "Visa …4242"},
                              who=PROVIDER, key=f"link-paid-{link.reference}")
            if outcome.ok or (outcome.refusal and outcome.refusal.code == "KEY_REUSED"):
                response = redirect("pay", token=token)
                response.status_code = 303
                return response
            error = outcome.say
    choices = [
        forms.form("pay-good", "Pay", "Pay with the test card ending 4242", request.path, [forms.hidden("card", "good")], key=None),
        forms.form("pay-declined", "Pay with another", "Pay with a test card that is declined", request.path, [forms.hidden("card", "declined")], key=None),
    ]
    shape = {"carrier": carrier, "amount": link.amount_minor, "for_what": for_what, "expires": link.expires_at, "sandbox": True, "choices": choices, "error": error, "gone": gone}
    return page(request, "paylink.html", {"pay": shape})
