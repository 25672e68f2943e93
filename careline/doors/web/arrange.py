"""Promises to pay on the contact page: whether there may be one, before anything is typed; ready plans and days of one's own;
the words to say; and how the one that runs is going."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from django.http import QueryDict

from careline.acts.arrangements import (
    in_words,
    method_said,
    past_of,
    read_out,
    record,
    stays_stopped,
    why_not_charged,
)
from careline.acts.declare import Outcome
from careline.acts.perform import resource
from careline.domain.arrangements import rules
from careline.domain.arrangements.rules import BY_EMAIL
from careline.domain.ledger import queries as ledger
from careline.doors.web import forms
from careline.doors.web.account import ContactPage
from careline.doors.web.render import day
from careline.foundation.act import Who
from careline.foundation.arrange import Policy
from careline.foundation.authority import Question, Verdict
from careline.foundation.calendar import age_in_words
from careline.foundation.money import parsed, shown
from careline.foundation.refusal import Refusal

AGREE, CHANGE, CANCEL, STOP = "arrangements.agree", "arrangements.change", "arrangements.cancel", "arrangements.stop_charging"
ROWS = 6  # of the builder: the most parts that the default policy gives anybody
BUILT = [f"{name}_{n}" for n in range(1, ROWS + 1) for name in ("due", "amount")]
ASKED = ["now", "each", "rhythm", "payday", "plan", "method", "charged", "words"]
_PLAN: dict[str, str] = {
    "account": "id", "plan": "text", "method": "id", "charged": "id", "consent": "whole", "words": "text",
    **{name: "money" if name.startswith("amount") else "text" for name in BUILT},
}  # fmt: skip
_WHY = {"account": "id", "words": "text"}
KINDS: dict[str, dict[str, str]] = {AGREE: _PLAN, CHANGE: _PLAN, CANCEL: _WHY, STOP: _WHY}
RHYTHMS = [(rules.Rhythm.WEEKLY.value, "Every week"), (rules.Rhythm.TWO_WEEKS.value, "Every two weeks"), (rules.Rhythm.MONTHLY.value, "Every month")]
OWN = "own"


# ---------------------------------------------------------------- read back


def read(code: str, data: QueryDict) -> dict[str, Any]:
    """What was chosen or built, as the act's own input. Raises forms.Typed with the first field that cannot be read."""
    given = forms.read(data, KINDS[code])
    if code in (CANCEL, STOP):
        return given
    kept = {name: given[name] for name in ("account", "consent", "words") if name in given}
    if given.get("charged"):
        kept["method"] = given["charged"]
    if code == CHANGE:
        kept.pop("consent", None)
    plan = given.get("plan", "")
    parts = _built(given) if plan in ("", OWN) else _ready(plan)
    if not parts:
        raise _typed("plan" if plan == "" else "due_1", "Choose a plan, or give the days and amounts yourself.")
    return {**kept, "parts": parts}


def _built(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    parts = []
    for n in range(1, ROWS + 1):
        due, amount = given.get(f"due_{n}"), given.get(f"amount_{n}")
        if due is None and amount is None:
            continue
        if due is None or amount is None:
            missing = f"due_{n}" if due is None else f"amount_{n}"
            raise _typed(missing, "Give the day too." if due is None else "Give the amount too.")
        try:
            date.fromisoformat(due)
        except ValueError:
            raise _typed(f"due_{n}", "Give a day as YYYY-MM-DD.") from None
        parts.append({"due_on": due, "amount": amount})
    return parts


def _ready(plan: str) -> list[dict[str, Any]]:
    """A ready plan as its choice carries it: `2026-11-27:7100,2026-12-11:7100`."""
    parts = []
    for one in plan.split(",")[:12]:
        due, _, amount = one.partition(":")
        if not (amount.isascii() and amount.isdigit() and len(amount) < 12):
            raise _typed("plan", "Choose a plan of the list.")
        parts.append({"due_on": due, "amount": int(amount)})
    return parts


def _typed(name: str, say: str) -> forms.Typed:
    return forms.Typed(Outcome("invalid", say, refusal=Refusal("INVALID", say, fields={name: say})))


def takes_now(code: str, outcome: Outcome, data: Mapping[str, Any]) -> dict[str, Any] | None:
    """What is taken at once after it was agreed: the part of today with the saved method that was chosen."""
    method, amount = forms.whole(data.get("method")), outcome.show.get("today")
    return {"account": data.get("account", ""), "amount": amount, "method": method} if code in (AGREE, CHANGE) and method and amount else None


# ---------------------------------------------------------------- whether there may be one


def _asked(desk: ContactPage, who: Who, past: rules.Past, policy: Policy) -> Verdict:
    """Authority's answer to this account, whatever the plan."""
    measured = rules.measured(past, (), policy.of(who.role), policy, desk.today)
    facts = {"basis": dict(desk.scene.facts), **record(measured, policy.fee, policy.fee)}
    return desk.scene.rulebook.authority.decide(Question(who, AGREE, resource(desk.account_id), facts))


def _checks(desk: ContactPage, past: rules.Past, policy: Policy, failing: set[str]) -> list[dict[str, Any]]:
    """What the policy asks of this account, each with how it stands."""
    limits = policy.of(desk.who.role)
    found = rules.measured(past, (), limits, policy, desk.today)
    oldest = min((due_on for due_on, _ in past.overdue), default=None)
    rows = [
        ("past due", shown(found.owed) + (f", since {day(oldest)}" if oldest else ""), f"{shown(policy.least_owed)} to {shown(limits.most)}", ("nothing", "amount", "hold", "living")),
        ("customer for", age_in_words(past.opened_on, desk.today), f"{limits.tenure_days} days or more", ("tenure",)),
        ("broken within a year", str(found.broken), f"{limits.broken} at most" + (f", none for {limits.wait_days} days" if limits.wait_days else ""), ("broken", "wait")),
        ("payments that came back", str(found.returned), f"{limits.returned} at most", ("returned",)),
    ]
    return [{"what": what, "now": value, "asked": asked, "bad": any(f"arrangement-{r}" in failing for r in ids)} for what, value, asked, ids in rows]


def _standing(desk: ContactPage, policy: Policy) -> dict[str, Any]:
    past = past_of(desk.account_id, policy, desk.today)
    verdict = _asked(desk, desk.who, past, policy)
    authority = desk.scene.rulebook.authority
    could = next((r for r in authority.higher(desk.who.role) if _asked(desk, Who("Staff", f"role:{r}", r, r), past, policy).allowed), None)
    return {
        "past": past, "allowed": verdict.allowed, "could": could,
        "checks": _checks(desk, past, policy, {r.id for r in verdict.rules}),
        "reasons": [{"say": r.say, "rule": r.id, "cite": r.cite} for r in verdict.rules],
    }  # fmt: skip


# ---------------------------------------------------------------- the forms


def _policy(desk: ContactPage) -> Policy | None:
    return desk.scene.rulebook.arrangements if "arrangements.toml" in desk.scene.rulebook.files else None


def _nothing(desk: ContactPage, code: str, title: str, hint: str) -> dict[str, Any]:
    return forms.form(code, title, title, desk.do_url(code), [forms.field("plan", "Plan", "choice", hint=hint)], cancel_href=desk.url())


def _money(given: Mapping[str, Any], name: str) -> int:
    try:
        return max(parsed(given.get(name) or "0"), 0)
    except ValueError:
        return 0


def _unread(typed: str) -> str | None:
    """Why an amount cannot be read, or nothing."""
    try:
        parsed(typed)
    except ValueError as fault:
        return str(fault)
    return None


def _can(given: Mapping[str, Any]) -> rules.Can:
    """What they can pay, as far as it was typed well; the rest counts as not said."""
    rhythm = given.get("rhythm")
    try:
        payday = date.fromisoformat(given.get("payday") or "")
    except ValueError:
        payday = None
    known = rhythm in [r.value for r in rules.Rhythm]
    return rules.Can(_money(given, "now"), _money(given, "each") or None, rules.Rhythm(rhythm) if known else rules.Rhythm.TWO_WEEKS, payday)


def _coded(plan: rules.Plan) -> str:
    return ",".join(f"{p.due_on}:{p.amount_minor}" for p in plan.parts)


def _labelled(plan: rules.Plan, today: date) -> str:
    said = ", ".join(f"{shown(p.amount_minor)} {'today' if p.due_on == today else f'{p.due_on:%a} {day(p.due_on)}'}" for p in plan.parts)
    return said if plan.fits else f"{said} (more than they said)"


def _chosen(plan: str, given: Mapping[str, Any]) -> list[rules.Part]:
    try:
        parts = _ready(plan) if plan not in ("", OWN) else _built({n: _money(given, n) if n.startswith("amount") else given[n] for n in BUILT if given.get(n)})
        return [rules.Part(date.fromisoformat(p["due_on"]), p["amount"]) for p in parts]
    except (forms.Typed, ValueError):
        return []


def _agree_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    policy = _policy(desk)
    if policy is None:
        return _nothing(desk, AGREE, "Arrange payment", "This carrier takes no arrangements: the rulebook has no arrangements.toml.")
    found = _standing(desk, policy)
    if not found["allowed"] and found["could"] is None:
        shape = _nothing(desk, AGREE, "Arrange payment", "" if found["reasons"] else "Your role does not arrange payments.")
        return shape | {"promise": found | {"say": None, "title": "Arrange payment"}}
    return _builder(desk, policy, given, AGREE, "Arrange payment", found["past"], found)


def _change_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    policy, running = _policy(desk), desk.arrangement
    if policy is None or running is None or running.row.state != rules.State.ALIVE:
        return _nothing(desk, CHANGE, "Change the arrangement", "No arrangement runs on this account.")
    past = past_of(desk.account_id, policy, desk.today, ended=True)
    left = f"{running.row.number}: {shown(running.progress.left_minor)} of {shown(running.terms.amount_minor)} is left."
    return _builder(desk, policy, given, CHANGE, "Change the arrangement", past, {"checks": [], "reasons": [], "could": None, "allowed": True, "left": left})


def _builder(desk: ContactPage, policy: Policy, given: Any, code: str, title: str, past: rules.Past, found: dict[str, Any]) -> dict[str, Any]:
    limits, can, today = policy.of(desk.who.role), _can(given), desk.today
    least = rules.first_least(past, limits, policy, today) if code == AGREE else 0
    # Whoever may agree to nothing still builds what a lead is asked for.
    within = limits if found["allowed"] or not found["could"] else policy.of(found["could"])
    plans = rules.plans(past.owed_minor, least, can, within, today) if can.now_minor or can.payday else []
    choices = [(_coded(p), _labelled(p, today)) for p in plans]
    wanted = given.get("plan") or ""
    if wanted not in (OWN, *(value for value, _ in choices)):
        wanted = "" if wanted == "" or choices else OWN
    parts = _chosen(wanted, given)
    whole = not rules.fault(parts, past.owed_minor, today)
    reload = {"href": desk.url(f"?act={code}"), "with": ",".join([*ASKED, *BUILT, "consent"])}
    fields = [
        forms.hidden("account", desk.account_id),
        forms.field("now", "They can pay today", "money", given.get("now"), required=False, reload=reload, hint=f"At least {shown(least)}, if it is the first part." if least else None),
        forms.field("each", "And on each payday", "money", given.get("each"), required=False, reload=reload),
        forms.field("payday", "Next payday", "date", given.get("payday"), required=False, reload=reload),
        forms.field("rhythm", "Paid", "choice", can.rhythm.value, required=False, choices=RHYTHMS, reload=reload),
        forms.field("plan", "Plan", "choice", wanted or None, required=False, choices=[*choices, (OWN, "Other days and amounts")], reload=reload, stack=True,
                    hint=None if choices else f"No payday within {within.days} days is known." if not can.now_minor and can.payday else "Say what they can pay: plans that fit come by themselves."),
    ]  # fmt: skip
    if wanted == OWN:
        typed = max((n for n in range(1, ROWS + 1) if given.get(f"due_{n}") or given.get(f"amount_{n}")), default=0)
        rows = min(max(typed + 1, 3), ROWS)  # another row comes with the last one that is filled
        for n in range(1, rows + 1):
            fields.append(forms.field(f"due_{n}", f"Part {n} by", "date", given.get(f"due_{n}"), required=n == 1, reload=reload))
            fields.append(forms.field(f"amount_{n}", "Amount", "money", given.get(f"amount_{n}"), required=n == 1, reload=reload))
    methods = ledger.methods_of(desk.account_id) if parts else []
    if methods and parts[0].due_on == today and desk.refused("payments.take") is None:
        named = [(m.pk, method_said(m)) for m in methods]
        fields.append(forms.field("method", f"Take {shown(parts[0].amount_minor)} now with", "choice", given.get("method") or "", required=False, choices=[*named, ("", "Not now")]))
    charged = None
    if methods and parts[-1].due_on > today and policy.charge_from is not None:
        why = [why_not_charged(desk.scene.rulebook, desk.account_id, m, parts, today) for m in methods]
        good = [m for m, no in zip(methods, why, strict=True) if not no]
        running = desk.arrangement.charged_to if code == CHANGE and desk.arrangement is not None and "charged" not in given else None
        wish = str(given.get("charged") or (running.pk if running else ""))
        charged = next((m for m in good if str(m.pk) == wish), None)
        fields.append(forms.field("charged", "Later parts", "choice", charged.pk if charged else "", required=False, reload=reload,
                                  choices=[("", "They pay them"), *((m.pk, f"Charge {method_said(m)} on their days") for m in good)], hint=None if good else why[0]))
    if policy.fee and code == AGREE:
        agreed = str(given.get("consent") or "") == str(policy.fee)
        fields.append(forms.field("consent", "The fee", "choice", policy.fee if agreed else "", choices=[("", "Not asked yet"), (policy.fee, f"They agree to {shown(policy.fee)} plus tax")]))
    fields.append(forms.field("words", "In a few words, why" + ("" if code == CHANGE else " (optional)"), "text", given.get("words"), required=code == CHANGE, maxlength=400))
    for item in fields:  # the form is drawn again with each choice: what cannot be read counts as nothing, and says so
        if item["kind"] == "money" and item["value"]:
            item["error"] = _unread(item["value"])
    come = sum(p.amount_minor for p in parts)
    short = f" The parts come to {shown(come)}." if parts and come != past.owed_minor else ""
    return forms.form(
        code, title, "Agree it", desk.do_url(code), fields, cancel_href=desk.url(),
        consequence="It is sent in writing as it was agreed. Payments pay the oldest bills; paid early, it closes by itself." if whole else None,
        promise=found | {
            "title": title, "left": found.get("left") or f"{shown(past.owed_minor)} is past due.", "short": short,
            "say": read_out(policy, parts, today, policy.fee if code == AGREE else 0, charged, desk.row.account.autopay, stays_stopped(desk.scene.rulebook, desk.account_id, parts, today)) if whole else policy.words["ask"],
        },
    )  # fmt: skip


def _cancel_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    running = desk.arrangement
    if running is None or running.row.state != rules.State.ALIVE:
        return _nothing(desk, CANCEL, "Cancel the arrangement", "No arrangement runs on this account.")
    left = shown(running.progress.left_minor)
    return forms.form(
        CANCEL, "Cancel the arrangement", "Cancel it", desk.do_url(CANCEL),
        [forms.hidden("account", desk.account_id), forms.field("words", "Why", "text", given.get("words"), maxlength=400)],
        cancel_href=desk.url(), consequence=f"{left} is collected from today on as if there were no arrangement. It counts neither as kept nor as broken.",
        say_aloud=f"Then I cancel your arrangement. {left} is due now, and we would collect it as usual.",
    )  # fmt: skip


def _stop_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    method = desk.arrangement.charged_to if desk.arrangement is not None else None
    if method is None:
        return _nothing(desk, STOP, "Stop charging the parts", "No part of an arrangement is charged by us on this account.")
    return forms.form(
        STOP, "Stop charging the parts", "Stop it", desk.do_url(STOP),
        [forms.hidden("account", desk.account_id), forms.field("words", "Why", "text", given.get("words"), maxlength=400)],
        cancel_href=desk.url(), consequence=f"{method_said(method)} is charged no more. The arrangement runs on, and the customer pays its parts.",
        say_aloud="Then we charge nothing. The days of your arrangement stay as they are; please pay each part yourself.",
    )  # fmt: skip


FORMS = {AGREE: _agree_form, CHANGE: _change_form, CANCEL: _cancel_form, STOP: _stop_form}


# ---------------------------------------------------------------- how it goes


def _sent_to(told_to: str) -> str:
    if not told_to:
        return "; not sent: neither a text nor an e-mail arrives"
    return "; sent by e-mail" if told_to == BY_EMAIL else f"; sent to the number ending in {told_to}"


def panel(desk: ContactPage) -> dict[str, Any] | None:
    """The arrangement as the account page shows it: the living one, or one that broke within the last two months."""
    found = desk.arrangement
    if found is None:
        return None
    row, terms, progress = found.row, found.terms, found.progress
    alive = row.state == rules.State.ALIVE
    if not alive and not (row.state == rules.State.BROKEN and row.ended_on and (desk.today - row.ended_on).days <= 60):
        return None
    policy = _policy(desk)
    due = progress.next
    moves = []
    if alive and due is not None:
        moves = [("take the next part", f"?act=payments.take&amount={forms.dollars(due.left_minor)}"), ("change", f"?act={CHANGE}"), ("cancel", f"?act={CANCEL}")]
        if found.charged_to is not None:
            moves.insert(1, ("stop charging", f"?act={STOP}"))
    elif progress.left_minor:
        moves = [("arrange again", f"?act={AGREE}")]
    return {
        "title": row.number, "state": "bad" if not alive else "risk" if progress.late or (due and due.due_on <= desk.today) else None,
        "status": f"broken {day(row.ended_on)}" if row.ended_on else "late" if progress.late else "runs",
        "paid": progress.paid_minor, "of": terms.amount_minor, "percent": round(100 * progress.paid_minor / terms.amount_minor),
        "parts": [
            {"on": p.due_on, "amount": p.amount_minor, "left": p.left_minor, "status": _part_status(p, desk.today, row),
             "state": "bad" if p.left_minor and (p.due_on < desk.today or not alive) else None}
            for p in progress.parts
        ],
        "agreed": f"agreed {day(terms.agreed_on)}" + (" anew" if terms.version > 1 else "") + f" by {terms.agreed_by.name}" + (f", approved by {terms.approved_by.name}" if terms.approved_by else "")
        + (f", with {terms.person.name}" if terms.person else "") + _sent_to(terms.told_to),
        "held": f"until {day(found.until)}" if alive else None,
        "charged": method_said(found.charged_to) if any(found.to_charge(p.due_on) for p in progress.parts) else None,
        "say": _next_words(due, desk.today) if alive and due else policy.words["hardship"] if policy and not alive and progress.left_minor else None,
        "moves": [{"label": label, "href": desk.url(query)} for label, query in moves],
    }  # fmt: skip


def _part_status(part: rules.Due, today: date, row: Any) -> str:
    if not part.left_minor:
        return "paid"
    if part.due_on == today:
        return "due today"
    if part.due_on < today:
        return "not paid"
    return f"in {(part.due_on - today).days} days" if part.due_on > today + timedelta(days=1) else "tomorrow"


def _next_words(due: rules.Due, today: date) -> str:
    return f"Your next part is {in_words([rules.Part(due.due_on, due.left_minor)], today)}."
