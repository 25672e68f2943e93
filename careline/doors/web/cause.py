"""Find the cause: a guide walked on the contact page, one step at a time, with what is known beside it.

What stands on the page comes from the walk alone (its guide and its answers); what is posted goes through the acts of the
diagnosis. A remedy that is an act opens that act's own form with what the guide knows filled in; once it is done, the walk
is told so by the same click.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, QueryDict
from django.utils import timezone
from django.utils.http import urlencode
from pydantic import ValidationError

from careline.acts import table
from careline.acts.declare import BasisRef, Outcome
from careline.acts.perform import refusal_of, resource
from careline.domain.diagnosis import queries
from careline.domain.diagnosis.rules.belief import CANNOT_TELL, Reading
from careline.domain.diagnosis.rules.guide import UNKNOWN, Cause, Guide
from careline.domain.diagnosis.rules.walk import Shown
from careline.domain.diagnosis.rules.walk import Walk as Walked
from careline.domain.journal import queries as journal
from careline.domain.ledger import queries as ledger
from careline.domain.network import queries as network
from careline.domain.network.rules import Trouble
from careline.doors.web import forms
from careline.doors.web.account import ContactPage
from careline.doors.web.render import clock, moment, zone
from careline.foundation import cards, phone
from careline.foundation.act import Act
from careline.foundation.authority import Question
from careline.foundation.money import shown as money
from careline.foundation.refusal import Refusal, Refused

KINDS: dict[str, dict[str, str]] = {
    "diagnosis.start": {"account": "id", "line": "id", "guide": "text", "words": "text", "complaint": "text"},
    "diagnosis.answer": {"account": "id", "walk": "id"},
    "diagnosis.undo": {"account": "id", "walk": "id"},
    "diagnosis.read_again": {"account": "id", "walk": "id"},
    "diagnosis.close": {"account": "id", "walk": "id"},
    "diagnosis.leave": {"account": "id", "walk": "id"},
    "diagnosis.tell": {"account": "id", "walk": "id", "text": "text"},
}
SAID = "said:"  # the fields of a step: said:CHECK = OUTCOME
SUSPECTS = 6
LIKELY_GUIDES = 3
SEARCHED = 3  # words; more is how a customer says it
MESSAGE = 480
LIVES = {"line": {"phone": "phone", "account": "account", "network": "network", "person": "how it is used"},
         "account": {"account": "account", "person": "their side"}}  # fmt: skip
ORIGINS = {"account": "our books", "network": "network", "device": "phone, read from afar"}
GROUPS = (("read", "Read, and stands out"), ("old", "Read too long ago: ask"), ("tested", "Tested"), ("seen", "They see"), ("claimed", "They say they did"), ("done", "Done at the desk"),
          ("said", "You told them"), ("not", "Not done"), ("told", "Known to you"))  # fmt: skip

NO_CAUSE = "none"
# Where a cause lives, or the cause itself, as the wrap-up's root cause: the most particular one counts.
ROOT_CAUSES = {
    "bill_overdue": "past_due", "suspended_unpaid": "past_due", "contract_ended": "past_due",
    "suspended_wish": "past_due", "suspended_lost": "past_due", "suspended_fraud": "past_due", "suspended_other": "past_due",
    "allowance_used_up": "usage", "spending_limit": "usage",
    "device_incompatible": "device", "device_blocked": "device", "sim_inactive": "device", "sim_swapped": "device",
    "provisioning_stale": "network", "port_in_open": "network", "line_cancelled": "past_due", UNKNOWN: NO_CAUSE,
    **dict.fromkeys(("first_bill", "not_higher", "plan_changed", "price_changed", "line_added", "part_month", "discount_over", "equipment_began", "fee_began",
                     "order_recalled", "order_family", "charge_recalled", "credit_over", "tax_moved", "two_bills_paid"), "bill_changed"),
    **dict.fromkeys(("order_denied", "not_ordered", "charged_twice", "sum_wrong", "left_over"), "billing_error"),
    **dict.fromkeys(("carried_over", "late_fee_first", "late_fee_again", "payday_later", "less_money"), "past_due"),
    **dict.fromkeys(("paid_twice_back", "paid_twice_kept"), "teaching"),
    "payment_failed": "payment_failed", "nothing_due": "teaching", "discount_missed": "promise_not_kept", "usage_beyond": "usage", "account_taken": "none", "bill_in_doubt": "bill_changed", "payer_died": "none",
    "account": "plan_fit", "phone": "device", "network": "network", "person": "teaching",
}  # fmt: skip
DISPOSITIONS = {"fixed": "resolved", "handover": "handed_on"}


# -- reading what is posted -------------------------------------------------------------------------------------------


def read(code: str, data: QueryDict) -> dict[str, Any]:
    """What a form of this panel posts as its act's input. Raises forms.Typed with what is missing."""
    given = forms.read(data, KINDS[code])
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
    return code == "diagnosis.start" and not data.get("guide")


def is_stale(row: Any, who: Any, data: QueryDict) -> bool:
    """An answer to a step that is answered already, from another tab or an old page (the same click twice is not)."""
    turn, walk = forms.whole(data.get("turn")), forms.whole(data.get("walk"))
    found = queries.walk(walk) if turn and walk else None
    if found is None or found.account_id != row.account_id or journal.spent_key(principal=who.key, key=data.get("request_key", "")):
        return False
    return _turn(queries.standing(found)) != turn


def _turn(now: queries.Standing) -> int:
    return 1 + max((x.turn for x in now.said), default=0)


# -- after an act -----------------------------------------------------------------------------------------------------


def address(row: Any, walk: object = "") -> str:
    return forms.contact_address(row.reference, "?section=cause" + (f"&walk={walk}" if walk else ""))


def after(request: HttpRequest, row: Any, code: str, outcome: Outcome) -> str:
    """Where the page goes on after an act of the panel, and what is said there."""
    basis = BasisRef("contact", row.pk)
    walk = outcome.show.get("walk", "")
    if code == "diagnosis.start" and not row.reason:
        forms.do_again(request, "contacts.reason", {"reason": "technical"}, basis)
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


# -- the panel --------------------------------------------------------------------------------------------------------

Ways = Callable[[str, Refusal, Mapping[str, Any]], list[dict[str, Any]]]


def banner(desk: ContactPage, rows: list[Any]) -> list[dict[str, Any]]:
    """The open walks of the account, for the top of its page."""
    return [
        {"say": f"A search for the cause is open for {f'line {phone.last_four(row.line.msisdn)}' if row.line else 'the account'} since {_since(desk, row)}", "title": _guide(row).title,
         "href": desk.url(f"?section=cause&walk={row.pk}")}
        for row in rows
    ]  # fmt: skip


def _since(desk: ContactPage, row: Any) -> str:
    return clock(row.began) if row.contact_id == desk.row.pk else moment(row.began)


def _guide(row: Any) -> Guide:
    return queries.guides(row.rulebook)[row.guide]


def panel(
    desk: ContactPage, open_rows: list[Any], *, given: Mapping[str, Any], code: str = "", outcome: Outcome | None = None,
    act: dict[str, Any] | None = None, ways: Ways = lambda code, no, given: [],
) -> dict[str, Any]:  # fmt: skip
    """What the section shows: the walk that is asked for, the open one, or the start of a new one."""
    row = _chosen(desk, open_rows, given, code)
    no = outcome if code in KINDS else None
    shape: dict[str, Any] = {
        "start": None, "step": None, "end": None, "closed": None, "suspects": [], "others": 0, "known": None, "area": [], "error": None, "field_error": None,
        "refusal": None, "others_open": banner(desk, [x for x in open_rows if row is None or x.pk != row.pk]), "new_href": desk.url("?section=cause&new=1"),
    }
    if no is not None and no.refusal is not None:
        shape["field_error"] = no.refusal.fields.get("cause")
        if no.status == "refused" and no.refusal.rule:
            shape["refusal"] = forms.shown_refusal(no.refusal, ways(code, no.refusal, given))
        elif not shape["field_error"]:
            shape["error"] = " ".join(no.refusal.fields.values()) or no.say
    if row is None:
        return shape | {"start": _start(desk, open_rows, given, code, no)}
    now = queries.standing(row)
    shape |= _head(desk, row, now)
    area = _area(now)
    shape["area"] = [_area_row(x) for x in area]
    shape |= {"suspects": _suspects(now.walk), "others": max(0, len(now.walk.suspects) - len(_suspects(now.walk))), "known": _known(now)}
    if row.state != "open":
        return shape | {"closed": _closed(desk, row, now, area)}
    step = now.walk.shown
    if step.step.kind != "done" and (old := queries.stale(now, desk.at, desk.scene.rulebook.limits["device"]["stale_minutes"])):
        return shape | {"step": _old(desk, row, now, old)}
    if step.step.kind in ("done", "handover"):
        return shape | {"end": _end(desk, row, now, step, area, given if code == "diagnosis.tell" else {})}
    return shape | {"step": _step(desk, row, now, step, act, ways)}


def _chosen(desk: ContactPage, open_rows: list[Any], given: Mapping[str, Any], code: str) -> Any:
    if code == "diagnosis.start" or given.get("new"):
        return None
    wanted = forms.whole(given.get("walk"))
    if wanted:
        row = next((x for x in open_rows if x.pk == wanted), None) or queries.walk(wanted)
        if row is not None and row.account_id == desk.account_id:
            return row
    line = forms.whole(given.get("line"))
    if line:
        return next((x for x in open_rows if x.line_id == line), None)
    return open_rows[0] if open_rows else None


def _line(desk: ContactPage, line_id: int) -> Any:
    return next((x for x in desk.lines if x.pk == line_id), None)


def _line_words(line: Any) -> str:
    device = f", {line.device.make} {line.device.model}" if line.device else ""
    status = f", {line.status}" if line.status != "active" else ""
    return f"{phone.shown(line.msisdn)}{device}{status}"


def _head(desk: ContactPage, row: Any, now: queries.Standing) -> dict[str, Any]:
    line = _line(desk, row.line_id)
    turns = [x for x in now.said if x.source in ("customer", "associate")]
    asked = len({x.turn for x in turns})
    last = now.walk.guide.remedy_by_id.get(turns[-1].what.get("remedy", "")) if turns else None
    stays = last is not None and last.kind == "act" and turns[-1].what["outcome"] == "done"  # a deed is not taken back here
    is_open = row.state == "open"
    titles = [x.title for x in now.walk.suspects]
    titles += [c.title for c in now.walk.guide.causes if c.title not in titles and c.lives != "circumstance"]
    return {
        "number": row.number, "title": now.walk.guide.title, "line": _line_words(line) if line else "the account" if row.line_id is None else "", "words": row.words,
        "earlier": f"begun {moment(row.began)}, in an earlier contact" if row.contact_id != desk.row.pk else None,
        "count": asked + 1,
        "undo": forms.button("Undo", desk.do_url("diagnosis.undo"), account=desk.account_id, walk=row.pk) if is_open and asked and not stays else None,
        "works": _works_now(desk, row, now) if is_open and asked else None,
        "again": forms.button("Read again", desk.do_url("diagnosis.read_again"), account=desk.account_id, walk=row.pk) if is_open and queries.stale(now, desk.at, -1) else None,
        "leave": forms.button("Leave it", desk.do_url("diagnosis.leave"), account=desk.account_id, walk=row.pk) if is_open else None,
        "know": {"action": desk.do_url("diagnosis.answer"), "key": forms.new_key(), "hidden": {"account": desk.account_id, "walk": row.pk, "turn": _turn(now)}, "titles": titles}
        if is_open
        else None,
    }  # fmt: skip


def _area(now: queries.Standing) -> list[Trouble]:
    """What was wrong in the line's area when the network was read for this walk, in its words of now."""
    noted = [x.note["troubles"] for x in now.said if "troubles" in x.note]
    return network.by_numbers(noted[-1], timezone.now()) if noted else []


AREA_KINDS = {"outage": "Outage", "maintenance": "Planned work", "congestion": "Overload"}
SERVICES = {"voice": "calls", "data": "data", "text": "texts"}


def _area_row(trouble: Trouble) -> dict[str, Any]:
    return {
        "title": f"{AREA_KINDS[trouble.kind]} in {trouble.area}: {', '.join(words for name, words in SERVICES.items() if name in trouble.services)}",
        "since": _near(trouble.began), "until": _near(trouble.expected_end), "overdue": trouble.overdue and trouble.ended is None, "over": _near(trouble.ended), "words": trouble.words,
    }  # fmt: skip


def _near(at: datetime | None) -> str | None:
    """The time of day, with the day when it is another one."""
    if at is None:
        return None
    return clock(at) if at.astimezone(zone()).date() == timezone.now().astimezone(zone()).date() else moment(at)


def _works_now(desk: ContactPage, row: Any, now: queries.Standing) -> dict[str, Any] | None:
    """What a caller may say at any step; None where the step asks it anyhow."""
    test = now.walk.guide.test
    if now.walk.step.kind in ("test", "probe", "done", "handover"):
        return None
    given = {"account": desk.account_id, "walk": row.pk, "turn": _turn(now), SAID + test.id: now.walk.guide.works}
    return forms.button("It is settled now" if row.line_id is None else "It works now", desk.do_url("diagnosis.answer"), **given)


def _suspects(walk: Walked) -> list[dict[str, Any]]:
    def percent(p: float) -> str:
        return "over 99 %" if p > 0.99 else "under 1 %" if p < 0.01 else f"{round(100 * p)} %"

    return [
        {"title": x.title, "percent": percent(x.probability), "value": round(100 * x.probability, 1), "lives": LIVES[walk.guide.about].get(x.lives, x.lives), "sure": x.probability >= 0.85}
        for x in walk.suspects[:SUSPECTS]
        if x.probability >= 0.01
    ]


def _known(now: queries.Standing) -> dict[str, Any]:
    """What is established, in groups by how it is known, newest first; what was read and is as it should be lies apart."""
    groups: dict[str, list[dict[str, Any]]] = {how: [] for how, _ in GROUPS}
    fine: list[dict[str, Any]] = []
    unknown = 0
    last: dict[str, dict[str, Any]] = {}  # of each check: only its newest answer counts, what it was before is a note
    for finding, said, event in reversed(list(zip(now.walk.findings, now.said, now.walk.events, strict=True))):
        row = {"about": finding.about, "says": finding.says, "how": "", "at": said.as_of or said.at, "before": None, "state": None}
        if not isinstance(event, Reading):
            groups[finding.how if finding.how in groups else "not"].append(row)
            continue
        if event.check in last:
            if last[event.check]["before"] is None and last[event.check]["says"] != row["says"]:
                last[event.check]["before"] = row["says"]
            continue
        last[event.check] = row
        if finding.how == "tested":
            row["about"] = "The test"
        if finding.how != "read":
            groups[finding.how].append(row)
        elif event.outcome == CANNOT_TELL and said.note.get("old") not in (None, now.walk.guide.check_by_id[event.check].outcomes[-1].id):
            row |= {"says": now.walk.words(_outcome(now.walk.guide, event.check, said.note["old"])), "how": ORIGINS.get(said.source, said.source)}
            groups["old"].append(row)
        elif event.outcome == CANNOT_TELL:
            unknown += 1
        else:
            row["how"] = ORIGINS.get(said.source, said.source)
            as_it_should = event.outcome == now.walk.guide.check_by_id[event.check].outcomes[-1].id
            if as_it_should:
                fine.append(row)
            else:
                groups["read"].append(row | {"state": "risk"})
    return {"groups": [(title, groups[how]) for how, title in GROUPS if groups[how]], "fine": fine, "unknown": unknown}


def _outcome(guide: Guide, check: str, outcome: str) -> str:
    return next((x.say for x in guide.check_by_id[check].outcomes if x.id == outcome), outcome)


# -- the start --------------------------------------------------------------------------------------------------------


def _start(desk: ContactPage, open_rows: list[Any], given: Mapping[str, Any], code: str, no: Outcome | None) -> dict[str, Any]:
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
    likely = list(dict.fromkeys([*named, *(name for name, _ in heard.ranked)]))[: max(LIKELY_GUIDES, len(named))] if heard else []
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
                    choices=[("", "The whole account, or not known yet"), *((x.pk, _line_words(x) + (", a search is open" if x.pk in walked else "")) for x in lines)],
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


# -- a step -----------------------------------------------------------------------------------------------------------

TAGS = {"ask": "Ask", "do": "Let them try", "test": "Test it", "remedy": "Let them do it", "probe": "Reading"}


def _step(desk: ContactPage, row: Any, now: queries.Standing, shown: Shown, act: dict[str, Any] | None, ways: Ways) -> dict[str, Any]:
    step, guide = shown.step, now.walk.guide
    hidden = {"account": desk.account_id, "walk": row.pk, "turn": _turn(now)}
    if step.wording:
        hidden["wording"] = 1
    shape: dict[str, Any] = {
        "kind": step.kind, "tag": TAGS.get(step.kind, ""), "title": shown.title, "say": shown.say, "expect": shown.expect, "consent": shown.consent,
        "takes": _takes(step.seconds), "again": bool(step.wording), "why": step.why, "tells": [guide.cause_by_id[x].title for x in step.for_causes if x in guide.cause_by_id],
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


def _old(desk: ContactPage, row: Any, now: queries.Standing, old: tuple[str, ...]) -> dict[str, Any]:
    """What was known is too old to go by: it is read again before anything is asked."""
    since = min(x.at for x in now.said if x.what.get("check") in old)
    return {
        "kind": "old", "tag": "Read first", "title": "Read the account and the network again", "say": f"They were last read {_near(since)}, and may have changed since.",
        "action": desk.do_url("diagnosis.read_again"), "key": forms.new_key(), "hidden": {"account": desk.account_id, "walk": row.pk}, "why": "",
    }  # fmt: skip


def _numbered(options: tuple[tuple[str, str], ...], first: int = 1) -> list[dict[str, Any]]:
    """Answers with their keys: 1-9, and 0 for `cannot tell`. `first`: beside an act, which has the 1."""
    rows = []
    for n, (value, label) in enumerate(options, first):
        key = "0" if value == CANNOT_TELL else str(n) if n < 10 else ""
        rows.append({"value": value, "label": label, "key": key})
    return rows


def _takes(seconds: float) -> str:
    if seconds <= 0:
        return ""
    if seconds < 55:
        return f"about {max(5, round(seconds / 5) * 5)} seconds"
    minutes = max(1, round(seconds / 60))
    return f"about {minutes} minute{'s' if minutes > 1 else ''}"


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
        say = f"A link for {money(link.amount_minor)} was sent at {clock(link.made_at)}, to the number ending in {link.to_last_four}. "
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
    form["cancel_href"] = desk.url(f"?{here}")
    return form


# -- the end ----------------------------------------------------------------------------------------------------------


def _causes(guide: Guide, names: Any) -> list[Cause]:
    return [guide.cause_by_id[x] for x in names if x in guide.cause_by_id]


def _remain(walk: Walked) -> list[str]:
    return [x.cause for x in walk.suspects if x.probability >= 0.5 and x.cause not in walk.fixed]


def message(fixed: list[Cause], remain: list[Cause], team: str, words_of: Callable[[str], str], area: Sequence[Trouble] = (), about: str = "line") -> str:
    """What the customer is sent: what it was and how to keep it from happening, in the guide's own words; of a trouble in the
    area, in those that were entered for it."""
    said = {x.kind: x.words for x in reversed(area) if x.ended is None}
    words = [f"{c.title}. {said.get(c.id) or words_of(c.teach)}".strip() for c in [*fixed, *remain]]
    if words:
        words[0] = f"What we found: {words[0]}"
    if team:
        words.append(f"Our team {team} takes it from here and will be in touch.")
    text = ""
    nothing = "Everything you asked about is settled." if about == "account" else "Your phone works again. Restart it if this comes back."
    for part in words or [nothing]:
        if len(text) + len(part) + 1 <= MESSAGE:
            text = f"{text} {part}".strip()
    return text


def _end(desk: ContactPage, row: Any, now: queries.Standing, shown: Shown, area: list[Trouble], given: Mapping[str, Any]) -> dict[str, Any]:
    guide, team = now.walk.guide, shown.step.team if shown.step.kind == "handover" else ""
    fixed, remain = _causes(guide, now.walk.fixed), _causes(guide, _remain(now.walk) if team else [])
    return _message_part(desk, row, message(fixed, remain, team, now.walk.words, area, guide.about), given) | {
        "title": shown.title, "say": shown.say, "state": "risk" if team else "ok", "team": team, "why": shown.step.why,
        "fixed": [_ended(c, now.walk) for c in fixed], "remain": [_ended(c, now.walk) for c in remain],
        "close": forms.button("Close without a message" if not row.told else "Close the search", desk.do_url("diagnosis.close"), account=desk.account_id, walk=row.pk),
        "hand_over": desk.url("?" + urlencode({"act": "contacts.hand_over", "words": _hand_over_words(row, guide, now, remain)})) if team else None,
    }  # fmt: skip


def _ended(cause: Cause, walk: Walked) -> dict[str, Any]:
    return {"title": cause.title, "lives": LIVES[walk.guide.about].get(cause.lives, cause.lives), "teach": walk.words(cause.teach)}


def _message_part(desk: ContactPage, row: Any, text: str, given: Mapping[str, Any]) -> dict[str, Any]:
    line = _line(desk, row.line_id)
    if row.line_id is None:
        line = next((x for x in sorted(desk.lines, key=lambda x: x.pk) if x.can_text and x.status == "active"), None)
    takes_texts = line is not None and line.can_text and line.status == "active"
    typed = forms.without_cards(str(given.get("text") or ""))[:MESSAGE]
    return {
        "told": row.told, "texts": takes_texts, "action": desk.do_url("diagnosis.tell"), "key": forms.new_key(), "hidden": {"account": desk.account_id, "walk": row.pk},
        "message": typed or text, "most": MESSAGE, "to": phone.last_four(line.msisdn) if line else "",
    }  # fmt: skip


def _hand_over_words(row: Any, guide: Guide, now: queries.Standing, remain: list[Cause]) -> str:
    found = "; ".join(c.title for c in remain) or "the cause was not found"
    tried = [x.about for x in now.walk.findings if x.how in ("done", "claimed", "failed")]
    return f"{row.number}, {guide.title}: {found}." + (f" Tried: {', '.join(dict.fromkeys(tried))}." if tried else "")


STATES = {"fixed": "{settled}", "handover": "Handed over to {team}", "left": "Left unfinished"}


def _closed(desk: ContactPage, row: Any, now: queries.Standing, area: list[Trouble]) -> dict[str, Any]:
    guide = now.walk.guide
    fixed, remain = _causes(guide, row.causes), _causes(guide, [x for x in row.remain if x not in row.causes] if row.state == "handover" else [])
    return _message_part(desk, row, message(fixed, remain, row.team, now.walk.words, area, guide.about), {}) | {
        "title": STATES[row.state].format(team=row.team, settled=guide.settled), "state": {"fixed": "ok", "handover": "risk"}.get(row.state, ""),
        "fixed": [_ended(c, now.walk) for c in fixed], "remain": [_ended(c, now.walk) for c in remain], "steps": row.steps, "takes": _takes(row.seconds),
    }  # fmt: skip


def wrap_up(desk: ContactPage) -> dict[str, Any]:
    """What the walks of this contact mean for its wrap-up: how it ended, the root cause, and what is still open."""
    if desk.row.account_id is None:
        return {"disposition": None, "root_cause": None, "words": ""}
    rows = [x for x in queries.closed_in(desk.row.pk) if x.account_id == desk.account_id]  # a contact can have moved
    still = [x for x in queries.open_of(desk.account_id) if x.contact_id == desk.row.pk]
    words = " ".join(f"{x.number} ({_guide(x).title}) is not finished: the next contact goes on with it." for x in still)
    ended = [(x.state, _causes(_guide(x), [*x.causes, *x.remain])) for x in rows if x.state in DISPOSITIONS]
    for now in map(queries.standing, still):  # at its end, and nobody pressed the button
        state = {"done": "fixed", "handover": "handover"}.get(now.walk.step.kind)
        if state:
            ended.append((state, _causes(now.walk.guide, [*now.walk.fixed, *(_remain(now.walk) if state == "handover" else [])])))
    if not ended:
        return {"disposition": None, "root_cause": None, "words": words}
    state, causes = ended[-1]
    roots = [ROOT_CAUSES.get(c.id) or ROOT_CAUSES.get(c.lives, NO_CAUSE) for c in causes if c.lives != "circumstance"]
    root = next((x for x in roots if x != NO_CAUSE), NO_CAUSE)
    known = desk.scene.rulebook.reasons["root_cause"]
    return {"disposition": DISPOSITIONS[state], "root_cause": root if root in known else None, "words": words}
