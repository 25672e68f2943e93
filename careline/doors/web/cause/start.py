"""The start of a search: which line, in their words what happens, and which guide."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from careline.acts.declare import Outcome
from careline.domain.diagnosis import queries
from careline.domain.diagnosis.rules.guide import Guide
from careline.domain.diagnosis.rules.walk import Walk as Walked
from careline.doors.web import forms
from careline.doors.web.account import ContactPage
from careline.doors.web.cause.words import line_words
from careline.foundation import cards

LIKELY_GUIDES = 3
SEARCHED = 3  # words; more is how a customer says it


def start(desk: ContactPage, open_rows: list[Any], given: Mapping[str, Any], code: str, no: Outcome | None) -> dict[str, Any]:
    """Which line, in their words what happens, and which guide: proposed by the words, chosen by the associate."""
    digest = desk.scene.rulebook.digest
    known = queries.guides(digest)
    lines = sorted(desk.lines, key=lambda x: x.status == "cancelled")
    wanted = forms.whole(given.get("line"))
    line = next((x for x in lines if x.pk == wanted), lines[0] if len(lines) == 1 else None)
    typed = str(given.get("words") or "")[:400]
    card = bool(cards.card_numbers(typed))
    heard = queries.ear(digest).hear(typed) if typed.strip() and not card else None
    named = _named(known, typed) if heard else []
    likely = list(dict.fromkeys([*named, *(name for name, _ in heard.ranked if heard.fits)]))[: max(LIKELY_GUIDES, len(named))] if heard else []
    sure = bool(heard and ((heard.sure and not named) or len(named) == 1))
    guide = str(given.get("guide") or "")
    if guide not in known:
        guide = likely[0] if sure else ""
    rest = [x for x in known if x not in likely]
    errors = dict(no.refusal.fields) if no and no.refusal else {}
    if card:
        errors["words"] = cards.MESSAGE
    if code and line is None and lines and (guide not in known or known[guide].about == "line"):
        errors.setdefault("line", "Choose the line that does not work.")
    walked = {row.line_id for row in open_rows if row.line_id}
    fields = [
        forms.hidden("account", desk.account_id),
        forms.field("line", "Which line", "choice", line.pk if line else "", required=False, 
                    choices=[("", "The whole account, or not known yet"), *((x.pk, line_words(x) + (", a search is open" if x.pk in walked else "")) for x in lines)],
                    hint="Not needed for a bill or a payment." if lines else "This account has no line to look at."),
        forms.field("words", "What happens, in their words", "text", forms.without_cards(typed), required=False, maxlength=400,
                    placeholder="for example: there are no bars since this morning"),
    ]
    for item in fields:
        item["error"] = errors.get(item["name"])

    def offered(name: str) -> dict[str, Any]:
        found = known[name]
        outcomes = found.test.outcomes[:-1]
        return {"id": name, "title": found.title, "trouble": found.trouble, "checked": name == guide,
                "complaints": [(x.id, Walked(found, policy=queries.numbers(digest)).words(x.say)) for x in outcomes] if len(outcomes) > 1 else [], "complaint": str(given.get(f"complaint-{name}") or "")}

    return {
        "action": desk.do_url("diagnosis.start"), "key": forms.new_key(), "fields": fields, "heard": heard is not None, "sure": sure,
        "likely": [offered(x) for x in likely], "rest": [offered(x) for x in rest], "guide": guide, "guide_error": errors.get("guide"), "lines": bool(lines),
        "cancel_href": desk.url(),
    }  # fmt: skip


def _named(known: Mapping[str, Guide], typed: str) -> list[str]:
    """The guides that somebody means who types a word or three of a title, or of a cause: `hotspot`, `puk`."""
    words = typed.casefold().split()
    if not 0 < len(words) <= SEARCHED:
        return []

    def holds(text: str) -> bool:
        return all(re.search(rf"\b{re.escape(word)}", text.casefold()) for word in words)

    titles = [x.id for x in known.values() if holds(x.title)]
    return titles or [x.id for x in known.values() if any(holds(c.title) for c in x.causes)]
