"""The next step of a search: words to be read aloud, the answers, and the act that a remedy asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.http import urlencode
from pydantic import ValidationError

from careline.acts import table
from careline.acts.perform import refusal_of, resource
from careline.domain.diagnosis import queries
from careline.domain.diagnosis.rules.belief import CANNOT_TELL
from careline.domain.diagnosis.rules.walk import Shown
from careline.domain.ledger import queries as ledger
from careline.doors.web import forms
from careline.doors.web.account import ContactPage
from careline.doors.web.cause.words import SAID, near, takes, turn_of
from careline.doors.web.render import clock
from careline.foundation.act import Act
from careline.foundation.authority import Question
from careline.foundation.money import shown as money
from careline.foundation.refusal import Refusal, Refused

Ways = Callable[[str, Refusal, Mapping[str, Any]], list[dict[str, Any]]]
TAGS = {"ask": "Ask", "do": "Let them try", "test": "Test it", "remedy": "Let them do it", "probe": "Reading"}


def step_of(desk: ContactPage, row: Any, now: queries.Standing, shown: Shown, act: dict[str, Any] | None, ways: Ways) -> dict[str, Any]:
    step, guide = shown.step, now.walk.guide
    hidden = {"account": desk.account_id, "walk": row.pk, "turn": turn_of(now)}
    if step.wording:
        hidden["wording"] = 1
    shape: dict[str, Any] = {
        "kind": step.kind, "tag": TAGS.get(step.kind, ""), "title": shown.title, "say": shown.say, "expect": shown.expect, "consent": shown.consent,
        "takes": takes(step.seconds), "again": bool(step.wording), "why": step.why, "tells": [guide.cause_by_id[x].title for x in step.for_causes if x in guide.cause_by_id],
        "action": desk.do_url("diagnosis.answer"), "key": forms.new_key(), "hidden": hidden, "questions": [], "options": [], "act": None, "name": "", "where": "",
    }  # fmt: skip
    if shown.title in ("Ask", "Test it"):
        shape["title"] = ""  # the tag says it already
    if step.kind == "remedy":
        shape["hidden"] = hidden | {"remedy": step.id}
        shape |= {"name": "outcome", "options": _numbered(shown.options)}
        if now.walk.guide.remedy_by_id[step.id].kind == "say":
            shape["tag"] = "Tell them"
        if shown.act:
            asked = _act(desk, row, step.id, shown, act, ways)
            done = "It is paid" if asked["sent"] else "Done at the desk already"
            shape |= {"tag": "Do it here", "act": asked, "options": _numbered((("done", done), *shown.options[1:]), first=2)}
        return shape
    if step.kind == "probe":
        shape |= {"title": "Reading the account and the network", "say": "This takes a moment.", "again_href": desk.url(f"?section=cause&walk={row.pk}"),
                  "hidden": hidden | {f"{SAID}{q.check}": CANNOT_TELL for q in shown.questions}}
        return shape
    if len(shown.questions) == 1:
        one = shown.questions[0]
        where = shown.say if shown.say != one.say else ""  # the screen that it is read on
        return shape | {"where": where, "say": one.say, "expect": one.expect, "name": SAID + one.check, "options": _numbered(one.options)}
    shape["questions"] = [
        {"name": SAID + q.check, "say": q.say, "expect": q.expect, "options": _numbered(q.options)} for q in shown.questions
    ]  # fmt: skip
    return shape


def too_old(desk: ContactPage, row: Any, now: queries.Standing, old: tuple[str, ...]) -> dict[str, Any]:
    """What was known is too old to go by: it is read again before anything is asked."""
    since = min(x.at for x in now.said if x.what.get("check") in old)
    return {
        "kind": "old", "tag": "Read first", "title": "Read the account and the network again", "where": f"They were last read {near(since)}, and may have changed since.",
        "action": desk.do_url("diagnosis.read_again"), "key": forms.new_key(), "hidden": {"account": desk.account_id, "walk": row.pk}, "why": "",
    }  # fmt: skip


def _numbered(options: tuple[tuple[str, str], ...], first: int = 1) -> list[dict[str, Any]]:
    """Answers with their keys: 1-9, and 0 for `cannot tell`. `first`: beside an act, which has the 1."""
    rows = []
    for n, (value, label) in enumerate(options, first):
        key = "0" if value == CANNOT_TELL else str(n) if n < 10 else ""
        rows.append({"value": value, "label": label, "key": key})
    return rows


def _act(desk: ContactPage, row: Any, remedy: str, shown: Shown, form: dict[str, Any] | None, ways: Ways) -> dict[str, Any]:
    """The act that a remedy asks for: a way to its form, or why it is not possible; the form itself once it is open."""
    if form is not None:
        return {"form": into_walk(desk, form, row.pk, row.line_id or 0 if shown.act.startswith("lines.") else 0, remedy), "href": None, "label": "", "refusal": None, "sent": None, "known": True}
    values: dict[str, Any] = {k: ("on" if v else "off") if isinstance(v, bool) else v for k, v in shown.inputs if v is not None}
    if shown.act.startswith("lines.") and row.line_id:
        values["line"] = row.line_id
    kind = table.acts().get(shown.act)
    if kind is None:  # an act of another desk: it is done there and said here
        return {"form": None, "href": None, "label": shown.title, "refusal": None, "sent": None, "known": False}
    no = _not_possible(desk, shown.act, {"account": desk.account_id, **values})
    if shown.act in ("payments.send_link", "payments.take") and desk.standing.past_due_minor > 0:
        values["amount"] = desk.standing.past_due_minor
    if "amount" in values:
        values["amount"] = forms.dollars(values["amount"])
    query = urlencode({"section": "cause", "walk": row.pk, "act": shown.act, **values})
    found: dict[str, Any] = {
        "form": None, "href": desk.url(f"?{query}"), "label": f"{shown.title} …", "sent": None, "known": True,
        "refusal": forms.shown_refusal(no, ways(shown.act, no, values)) if no else None, "more": [],
    }  # fmt: skip
    if shown.act == "payments.send_link":
        found |= _waits_for_money(desk, row)
    return found


def _waits_for_money(desk: ContactPage, row: Any) -> dict[str, Any]:
    """Whether a link was sent for this walk and paid since, and that it can be paid at once instead."""
    link = ledger.last_link_since(desk.account_id, row.began)
    take = {"label": "Take a payment instead …", "href": desk.url(f"?section=cause&walk={row.pk}&act=payments.take")}
    found: dict[str, Any] = {"more": [take] if desk.who.role in desk.scene.rulebook.authority.roles_with("payments.take") else []}
    if link is not None:
        paid = link.payment_id is not None
        say = f"A link for {money(link.amount_minor)} was sent at {clock(link.made_at)}, {f'to the number ending in {link.to_last_four}' if link.to else 'by e-mail'}. "
        found |= {"sent": {"say": say + ("It is paid." if paid else "It is not paid yet."), "paid": paid}, "label": "Send another link …"}
    return found


def _not_possible(desk: ContactPage, code: str, values: Mapping[str, Any]) -> Refusal | None:
    """Why this very act would be refused now, were its price agreed to; None when it would not (or cannot be known)."""
    if no := desk.not_set_up(code):
        return no
    kind = table.act(code)
    act = Act(desk.who, desk.at, "", "", desk.scene.basis)
    opening = {k: dict(v) for k, v in (kind.opening or {}).items()}
    try:
        given = kind.input.model_validate({**({"consent": 0} if "consent" in kind.input.model_fields else {}), **values})
        facts = kind.facts(desk.scene, act, given) if kind.facts else {}
    except (ValidationError, Refused):
        facts = opening
    for record in facts.values():
        if "consent" in record:
            record["consent"] = record["price"]
        if "hasAddress" in record:
            record["hasAddress"] = True
    question = Question(desk.who, code, resource(desk.account_id), {"basis": dict(desk.scene.facts), **facts})
    verdict = desk.scene.rulebook.authority.decide(question)
    return None if verdict.allowed else refusal_of(code, verdict, desk.scene.rulebook, desk.who)


def into_walk(desk: ContactPage, form: dict[str, Any], walk: int, line: int, remedy: str) -> dict[str, Any]:
    """The form of an act as a part of a walk: it comes back to its step, and its answer is the walk's."""
    here = f"section=cause&walk={walk}"
    for item in form["fields"]:
        if item["name"] == "line" and str(item["value"]) == str(line):
            item.update(kind="hidden", reload=None)  # the walk is about this line
        elif item.get("reload"):
            item["reload"] = {**item["reload"], "href": f"{item['reload']['href']}&{here}"}
    form["fields"] += [forms.hidden("walk", walk), forms.hidden("remedy", remedy)]
    form |= {"cancel_href": desk.url(f"?{here}"), "cancel": "Back to the step"}
    return form
