"""What the panel of a search posts, and where the page goes on after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, QueryDict
from django.utils import timezone

from careline.acts.declare import BasisRef, Outcome
from careline.domain.diagnosis import queries
from careline.domain.journal import queries as journal
from careline.domain.ledger import queries as ledger
from careline.domain.rulebook import queries as rulebooks
from careline.doors.web import forms
from careline.doors.web.cause.words import SAID, address, turn_of
from careline.doors.web.render import zone
from careline.foundation.refusal import Refusal

KINDS: dict[str, dict[str, str]] = {
    "diagnosis.start": {"account": "id", "line": "id", "guide": "text", "words": "text", "complaint": "text"},
    "diagnosis.answer": {"account": "id", "walk": "id"},
    "diagnosis.undo": {"account": "id", "walk": "id"},
    "diagnosis.read_again": {"account": "id", "walk": "id"},
    "diagnosis.close": {"account": "id", "walk": "id"},
    "diagnosis.leave": {"account": "id", "walk": "id"},
    "diagnosis.tell": {"account": "id", "walk": "id", "text": "text"},
}
REASONS = {"line": "technical", "account": "bill"}  # why they called, until somebody says it better


def read(code: str, data: QueryDict) -> dict[str, Any]:
    """What a form of this panel posts as its act's input. Raises forms.Typed with what is missing."""
    given = forms.read(data, KINDS[code])
    if code == "diagnosis.start" and not given.get("guide"):
        raise _typed("guide", "Choose which of these it is. Nothing has begun yet.")
    if code == "diagnosis.start" and not given.get("complaint"):
        given["complaint"] = data.get(f"complaint-{given.get('guide', '')}", "")
    if code == "diagnosis.answer":
        given["answers"] = _answers(given, data)
    return given


def _answers(given: Mapping[str, Any], data: QueryDict) -> list[dict[str, Any]]:
    wording = 1 if data.get("wording") == "1" else 0
    rows: list[dict[str, Any]] = [
        {"check": name[len(SAID):], "outcome": data[name], "wording": wording} for name in data if name.startswith(SAID) and data[name]
    ]  # fmt: skip
    if data.get("remedy"):
        rows.append({"remedy": data["remedy"], "outcome": data.get("outcome", "")})
    if data.get("cause"):
        rows.append({"cause": _cause(given, data["cause"]), "present": data.get("present") != "no"})
    if rows:
        return rows
    if "cause" in data:
        raise _typed("cause", "Type what you know to be the cause, or choose one of the list.")
    raise _typed("answers", "Choose what they say, or that they cannot tell.")


def _typed(name: str, say: str) -> forms.Typed:
    return forms.Typed(Outcome("invalid", say, refusal=Refusal("INVALID", say, fields={name: say})))


def _cause(given: Mapping[str, Any], typed: str) -> str:
    """The id of the cause that somebody typed: its title, its id, or words that only one title holds."""
    row = queries.walk(forms.whole(given.get("walk")) or 0)
    if row is None or str(row.account_id) != given.get("account"):
        return typed
    guide, text = queries.guides(row.rulebook)[row.guide], " ".join(typed.casefold().split())
    exact = [c.id for c in guide.causes if text in (c.id, c.title.casefold())]
    near = exact or [c.id for c in guide.causes if all(word in c.title.casefold() for word in text.split())]
    if len(near) == 1:
        return near[0]
    if not near:
        raise _typed("cause", "This guide knows no such cause. Choose one of the list, or hand over.")
    some = ", ".join(guide.cause_by_id[x].title for x in near[:3])
    raise _typed("cause", f"Which one: {some}?")


def proposes(code: str, data: Mapping[str, Any]) -> bool:
    """The customer's words were typed and no guide chosen yet: nothing begins, the likely guides are shown."""
    return code == "diagnosis.start" and not data.get("guide") and not data.get("begin")


def is_stale(row: Any, who: Any, data: QueryDict) -> bool:
    """An answer to a step that is answered already, from another tab or an old page (the same click twice is not)."""
    turn, walk = forms.whole(data.get("turn")), forms.whole(data.get("walk"))
    found = queries.walk(walk) if turn and walk else None
    if found is None or found.account_id != row.account_id or journal.spent_key(principal=who.key, key=data.get("request_key", "")):
        return False
    return turn_of(queries.standing(found)) != turn


def after(request: HttpRequest, row: Any, code: str, outcome: Outcome) -> str:
    """Where the page goes on after an act of the panel, and what is said there."""
    basis = BasisRef("contact", row.pk)
    walk = outcome.show.get("walk", "")
    if code == "diagnosis.start" and not row.reason:
        about = queries.guides(rulebooks.current().digest)[request.POST["guide"]].about
        forms.do_again(request, "contacts.reason", {"reason": REASONS[about]}, basis)
    if code == "diagnosis.tell" and request.POST.get("then") == "close":
        closed = forms.do_again(request, "diagnosis.close", {"account": row.account_id, "walk": walk}, basis)
        if closed.ok:
            code, outcome = "diagnosis.close", closed
        else:
            messages.warning(request, closed.say)
    if code in ("diagnosis.close", "diagnosis.leave", "diagnosis.tell"):
        messages.success(request, outcome.say)
    if outcome.status == "pending":
        messages.warning(request, "The account and the network are still being read.")
    return address(row, "" if code == "diagnosis.leave" else walk)


def close_settled(request: HttpRequest, row: Any) -> None:
    """The contact ends: a search of it that is at its end, the trouble settled, is closed with it, though nobody pressed the button."""
    if row.account_id is None:
        return
    for found in queries.open_of(row.account_id):
        if found.contact_id == row.pk and queries.standing(found).walk.step.kind == "done":
            forms.do_again(request, "diagnosis.close", {"account": row.account_id, "walk": found.pk}, BasisRef("contact", row.pk), of=f":{found.pk}")


def follow(request: HttpRequest, row: Any, code: str, outcome: Outcome) -> str | None:
    """An act that a walk asked for was done (or refused by the network): the walk is told. Where to go on, or None when no
    walk asked for it.

    A link to pay is not paid by being sent: the step waits until it is.
    """
    found = queries.walk(forms.whole(request.POST.get("walk")) or 0)
    if found is None or found.account_id != row.account_id:
        return None
    remedy = queries.guides(found.rulebook)[found.guide].remedy_by_id.get(request.POST.get("remedy", ""))
    if remedy is None or code not in _acts_for(remedy.act):
        return None
    done = outcome.ok and code != "payments.send_link" and (code != "payments.take" or remedy.act == code or _paid(row.account_id))
    failed = outcome.status == "refused"
    if (done or failed) and found.state == "open":
        said = {"remedy": remedy.id, "outcome": "done" if done else "failed"}
        told = forms.do_again(request, "diagnosis.answer", {"account": row.account_id, "walk": found.pk, "answers": [said]}, BasisRef("contact", row.pk))
        if told.status in ("refused", "invalid"):
            messages.warning(request, told.say)
    return address(row, found.pk)


def _acts_for(code: str) -> tuple[str, ...]:
    """The acts that do what a remedy asks for: what can be paid by link can be paid at once."""
    return (code, "payments.take") if code == "payments.send_link" else (code,)


def _paid(account_id: int) -> bool:
    return ledger.past_due(account_id, timezone.now().astimezone(zone()).date())[0] == 0
