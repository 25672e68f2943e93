"""The find box: numbers in any human form, account references, names. Capped, and every search is journaled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from careline.acts.look import Found, search
from careline.domain.customers import queries as customers
from careline.domain.customers.rules import name_words
from careline.doors.web import forms
from careline.doors.web.render import page
from careline.foundation import phone

TIPS = (
    "Ask for the full phone number: it is surest.",
    "Try the end of the number, or only the family name.",
    "Ask how the name is written on the bill.",
    "The account reference stands on every bill: A- and seven digits.",
)

NAMESAKE = "More than one account has this name: ask for the phone number or the account reference."


def shape(found: Found, text: str, opens: Callable[[customers.Hit], dict[str, Any]]) -> dict[str, Any]:
    """What was found, for the template: nothing more than may be shown before anybody is verified."""
    numbers = [h.number_last_four for h in found.hits if h.number_last_four]
    several = len({h.account_id for h in found.hits}) > 1 and len(numbers) > 1 and bool(phone.sought(text))
    # No more than this may be shown before anybody is verified (for a name no number): the caller has to tell them apart.
    names = Counter(h.name_matched.casefold() for h in found.hits)
    rows = [
        {
            "name": h.name_matched or f"Found by {h.why}",
            "account_reference": h.account_reference,
            "number_last4": h.number_last_four or None,
            "why": "On more than one account: ask which." if several and numbers.count(h.number_last_four) > 1
            else NAMESAKE if h.name_matched and names[h.name_matched.casefold()] > 1 else None,
            "open": opens(h),
        }
        for h in found.hits
    ]
    capped = found.refusal.say if found.refusal else f"The first {len(rows)}: ask for more of the name or number." if found.more else None
    return {"rows": rows, "capped": capped, "tried": text, "tips": [found.refusal.say] if found.refusal else tips(text)}


def tips(text: str) -> list[str]:
    """What to try when nothing was found for this text."""
    if 0 < len(phone.digits(text)) < 4 and not any(c.isalpha() for c in text):
        return ["Type at least four digits of the number: its beginning or its end.", *TIPS[2:]]
    if len("".join(name_words(text))) < 2:
        return ["Type at least two letters of a name, or four digits of a number. Signs such as % and * stand for nothing here.", *TIPS[2:]]
    return list(TIPS)


def holder(account_id: int) -> int | None:
    """Who speaks until somebody says otherwise: the holder."""
    return next((p.person_id for p in customers.people_of(account_id) if p.right == "holder"), None)


@require_GET
def show(request: HttpRequest) -> HttpResponse:
    text = request.GET.get("q", "").strip()
    if not text:
        return page(request, "find.html", {"query": "", "results": None})
    text = text[:80]
    found = search(text, who=request.user.who)

    def opens(hit: customers.Hit) -> dict[str, Any]:
        return forms.button("Open a contact", reverse("start"), account=hit.account_id, person=hit.person_id or hit.holder_id or "")

    status = 429 if found.refusal else 200
    return page(request, "find.html", {"query": text, "results": shape(found, text, opens)}, status)


def by_caller(number: str) -> list[customers.Hit]:
    """The accounts that a ringing number belongs to."""
    return customers.by_caller_number(number)
