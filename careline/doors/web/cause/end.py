"""The end of a search: what was found, the message to the customer, and what it means for the wrap-up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.utils.http import urlencode

from careline.domain.diagnosis import queries
from careline.domain.diagnosis.rules.guide import UNKNOWN, Cause, Guide
from careline.domain.diagnosis.rules.walk import Shown
from careline.domain.diagnosis.rules.walk import Walk as Walked
from careline.domain.network.rules import Trouble
from careline.doors.web import forms
from careline.doors.web.account import ContactPage
from careline.doors.web.cause.words import LIVES, guide_of, line_of, takes
from careline.foundation import phone

MESSAGE = 480
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


def causes_of(guide: Guide, names: Any) -> list[Cause]:
    return [guide.cause_by_id[x] for x in names if x in guide.cause_by_id]


def remaining(walk: Walked) -> list[str]:
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


def end(desk: ContactPage, row: Any, now: queries.Standing, shown: Shown, area: list[Trouble], given: Mapping[str, Any]) -> dict[str, Any]:
    guide, team = now.walk.guide, shown.step.team if shown.step.kind == "handover" else ""
    fixed, remain = causes_of(guide, now.walk.fixed), causes_of(guide, remaining(now.walk) if team else [])
    return _message_part(desk, row, message(fixed, remain, team, now.walk.words, area, guide.about), given) | {
        "title": shown.title, "say": shown.say, "state": "risk" if team else "ok", "team": team, "why": shown.step.why,
        "fixed": [_ended(c, now.walk) for c in fixed], "remain": [_ended(c, now.walk) for c in remain],
        "close": forms.button("Close without a message" if not row.told else "Close the search", desk.do_url("diagnosis.close"), account=desk.account_id, walk=row.pk),
        "hand_over": desk.url("?" + urlencode({"act": "contacts.hand_over", "words": _hand_over_words(row, guide, now, remain)})) if team else None,
    }  # fmt: skip


def _ended(cause: Cause, walk: Walked) -> dict[str, Any]:
    return {"title": cause.title, "lives": LIVES[walk.guide.about].get(cause.lives, cause.lives), "teach": walk.words(cause.teach)}


def _message_part(desk: ContactPage, row: Any, text: str, given: Mapping[str, Any]) -> dict[str, Any]:
    line = line_of(desk, row.line_id)
    if row.line_id is None:
        line = next((x for x in sorted(desk.lines, key=lambda x: x.pk) if x.gets_texts), None)
    takes_texts = line is not None and line.gets_texts
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


def closed(desk: ContactPage, row: Any, now: queries.Standing, area: list[Trouble]) -> dict[str, Any]:
    guide = now.walk.guide
    fixed, remain = causes_of(guide, row.causes), causes_of(guide, [x for x in row.remain if x not in row.causes] if row.state == "handover" else [])
    return _message_part(desk, row, message(fixed, remain, row.team, now.walk.words, area, guide.about), {}) | {
        "title": STATES[row.state].format(team=row.team, settled=guide.settled), "state": {"fixed": "ok", "handover": "risk"}.get(row.state, ""),
        "fixed": [_ended(c, now.walk) for c in fixed], "remain": [_ended(c, now.walk) for c in remain], "steps": row.steps, "takes": takes(row.seconds),
    }  # fmt: skip


def wrap_up(desk: ContactPage) -> dict[str, Any]:
    """What the walks of this contact mean for its wrap-up: how it ended, the root cause, and what is still open."""
    if desk.row.account_id is None:
        return {"disposition": None, "root_cause": None, "words": ""}
    rows = [x for x in queries.closed_in(desk.row.pk) if x.account_id == desk.account_id]  # a contact can have moved
    still = [x for x in queries.open_of(desk.account_id) if x.contact_id == desk.row.pk]
    words = " ".join(f"{x.number} ({guide_of(x).title}) is not finished: the next contact goes on with it." for x in still)
    ended = [(x.state, causes_of(guide_of(x), [*x.causes, *x.remain])) for x in rows if x.state in DISPOSITIONS]
    for now in map(queries.standing, still):  # at its end, and nobody pressed the button
        state = {"done": "fixed", "handover": "handover"}.get(now.walk.step.kind)
        if state:
            ended.append((state, causes_of(now.walk.guide, [*now.walk.fixed, *(remaining(now.walk) if state == "handover" else [])])))
    if not ended:
        return {"disposition": None, "root_cause": None, "words": words}
    state, causes = ended[-1]
    roots = [ROOT_CAUSES.get(c.id) or ROOT_CAUSES.get(c.lives, NO_CAUSE) for c in causes if c.lives != "circumstance"]
    root = next((x for x in roots if x != NO_CAUSE), NO_CAUSE)
    known = desk.scene.rulebook.reasons["root_cause"]
    return {"disposition": DISPOSITIONS[state], "root_cause": root if root in known else None, "words": words}
