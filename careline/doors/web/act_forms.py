"""The forms of the acts on a contact, each from the page as it stands, and what each posts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from careline.acts import table
from careline.acts.perform import most
from careline.domain.collections import queries as collections
from careline.domain.contacts.rules import DraftKind
from careline.domain.credits import queries as credits
from careline.domain.credits import rules as credit_rules
from careline.domain.customers import queries as customers
from careline.domain.ledger import queries as ledger
from careline.domain.staff import queries as staff
from careline.domain.staff.rules import ROLE_TITLES
from careline.doors.web import (
    arrange,
    bills,
    care,
    cause,
    explain,
    forms,
    money,
    papers,
    pastdue,
    sims,
    wrapup,
)
from careline.doors.web import lines as line_forms
from careline.doors.web.account import ContactPage
from careline.doors.web.render import day
from careline.foundation import phone
from careline.foundation.act import Act
from careline.foundation.money import shown

# What each form posts, by the kind that `forms.read` knows.
KINDS: dict[str, dict[str, str]] = {
    "contacts.check_pin": {"account": "id", "pin": "text"},
    "contacts.send_code": {"account": "id", "line": "id"},
    "contacts.check_code": {"account": "id", "code": "text"},
    "contacts.call_back": {"account": "id", "line": "id"},
    "contacts.call_back_answered": {"account": "id", "name": "text"},
    "contacts.call_back_failed": {"account": "id", "why": "text"},
    "contacts.speaker": {"account": "id", "name": "text"},
    "contacts.identify": {"account": "id", "person": "id"},
    "contacts.reason": {"reason": "text"},
    "contacts.note": {"account": "id", "words": "text", "pinned": "checkbox"},
    "contacts.pin_note": {"account": "id", "note": "id", "pinned": "checkbox"},
    "contacts.hold": {},
    "contacts.resume": {},
    "contacts.drop": {},
    "contacts.reconnect": {},
    "contacts.accept": {},
    "contacts.decline": {"words": "text"},
    "contacts.end": {},
    "contacts.hand_over": {"to": "id", "words": "text", "back": "checkbox"},
    "contacts.wrap_up": {"summary": "text", "disposition": "text", "root_cause": "text", "follow_up": "text", "due_on": "text", "owner": "id"},
    "credits.grant": {"account": "id", "amount": "money", "reason": "text", "bill_line": "id", "first": "text", "last": "text", "words": "text"},
    "credits.reverse": {"account": "id", "credit": "text", "words": "text"},
    "payments.take": {"account": "id", "amount": "money", "method": "id"},
    "payments.send_link": {"account": "id", "amount": "money", "line": "id"},
    "payments.send_guest_link": {"account": "id", "amount": "money", "number": "text"},
    "approvals.ask": {"account": "id", "code": "text", "words": "text"},
    "approvals.ask_admission": {"account": "id", "person": "id", "words": "text"},
    "approvals.withdraw": {"request": "id"},
    **line_forms.KINDS,
    **sims.KINDS,
    **cause.KINDS,
    **explain.KINDS,
    **money.KINDS,
    **pastdue.KINDS,
    **papers.KINDS,
    **arrange.KINDS,
    **care.KINDS,
}
VERIFY_ACTS = {"contacts.check_pin", "contacts.send_code", "contacts.check_code", "contacts.call_back", "contacts.call_back_answered", "contacts.call_back_failed", "contacts.speaker"}


def _grant_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    reasons = desk.scene.rulebook.reasons["credit"]
    reason = given.get("reason") or ("service_failure" if given.get("bill_line") else "goodwill")
    policy, line_id = reasons.get(reason, {}), forms.whole(given.get("bill_line"))
    line = ledger.bill_line(line_id) if line_id else None
    line = line if line is not None and line.bill.account_id == desk.account_id else None
    days, wrong_days = _wrong_days(given, line) if policy.get("days") else (None, None)
    limit, asks = None, False
    if policy:
        kind = table.act("credits.grant")
        probe = kind.input.model_validate({"account": desk.account_id, "amount": 1, "reason": reason, "bill_line": line_id, **({"first": days.first, "last": days.last} if days else {})})
        act = Act(desk.who, desk.at, "", "", desk.scene.basis)
        # The very rule that would refuse one cent more: the form and the refusal never say two things.
        up_to, rule = most(kind, desk.scene, act, probe, 10**7)
        because = f", because {rule.say[0].lower()}{rule.say[1:]}" if rule else "."
        asks = up_to == 0 and rule is not None and any(act == "approvals.ask" for _, act in rule.ways) and desk.who.role in desk.scene.rulebook.authority.roles_with("approvals.ask")
        limit = {"say": f"You give none by yourself here: a lead says yes. {rule.say}", "cite": rule.cite, "amount": None} if asks and rule else {"say": f"You may grant up to {shown(up_to)} here for {policy['title'].lower()}{because}", "cite": rule.cite if rule else None, "amount": None}
    # Another reason or charge has another limit: the form is drawn again with what it says, before a number is typed.
    reload = {"href": desk.url("?act=credits.grant"), "with": "reason,bill_line,first,last,amount,words"}
    needs = ", ".join(r["title"].lower() for r in reasons.values() if r["evidence"] == "bill_line")
    amount, how, needed = given.get("amount"), None, policy.get("evidence") == credit_rules.Evidence.BILL_LINE
    charges = bills.credit_choices(desk, line)
    if days and line:
        worth = days.part(line.amount_minor)
        how = f"{days.count} of {days.of} days of {shown(line.amount_minor)} are {shown(worth)}."
        amount = amount or forms.dollars(worth)
    by_days = []
    if policy.get("days") and line is not None and line.period_start and line.period_end:
        span = f"This charge is for {day(line.period_start)} to {day(line.period_end)}."
        by_days = [
            forms.field("first", "First day that was wrong", "date", given.get("first"), required=False, hint=span, reload=reload),
            forms.field("last", "Last day", "date", given.get("last"), required=False, hint=wrong_days, reload=reload),
        ]
    cause = "Take back what was charged here; then add the promotion back, so that it does not come again." if policy.get("recurs") else None
    return forms.form(
        "credits.grant", "Grant a credit", "Ask a lead" if asks else "Grant the credit", desk.do_url("credits.grant"),
        [
            forms.hidden("account", desk.account_id),
            *([forms.hidden("asks", "on")] if asks else []),
            forms.field("reason", "Reason", "choice", reason, choices=forms.titled(reasons), reload=reload),
            forms.field("bill_line", "Charge that was wrong", "choice", line_id or "", required=needed, choices=[("", "Choose" if needed else "No charge"), *charges], hint=f"Needed for {needs}.", reload=reload),
            *by_days,
            forms.field("amount", "Amount before tax", "money", amount, hint=how),
            forms.field("words", "In a few words, why", "text", given.get("words"), required=asks, maxlength=400),
        ],
        limit=limit, cancel_href=desk.url(),
        consequence="A lead sees it at once, and the answer comes to this page." if asks else cause or "It comes off what is open at once. Tax of a taxed charge is taken back as a line of its own.",
        say_aloud=None if asks else "I am taking this off your bill right now, while we are speaking.",
    )  # fmt: skip


def _wrong_days(given: Any, line: Any) -> tuple[credit_rules.Days | None, str | None]:
    """The days that were typed, or what is wrong with them."""
    try:
        first, last = (date.fromisoformat(given[n]) if given.get(n) else None for n in ("first", "last"))
        return (credit_rules.days(first, last, line.period_start, line.period_end), None) if first and last and line else (None, None)
    except ValueError as fault:
        return None, str(fault) if line else None


def _reverse_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    rows = [g for g in credits.grants_of(desk.account_id) if g.reverses_id is None and getattr(g, "reversed_by", None) is None]
    choices = [(g.number, f"{g.number}: {shown(g.total_minor)}, {g.at:%b} {g.at.day}, {g.granted_by.name}") for g in rows]
    return forms.form(
        "credits.reverse", "Take a credit back", "Take it back", desk.do_url("credits.reverse"),
        [
            forms.hidden("account", desk.account_id),
            forms.field("credit", "Which credit", "choice", given.get("credit"), choices=choices, hint=None if choices else "This account has no credit to take back."),
            forms.field("words", "Why", "text", given.get("words"), maxlength=400),
        ],
        cancel_href=desk.url(), consequence="Exactly what was given is taken back, its tax too, and the bills are open again.",
    )


def _take_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    methods = [(m.pk, f"{m.brand} …{m.last_four}" + (f", until {m.expires_on:%m/%y}" if m.expires_on else "")) for m in ledger.methods_of(desk.account_id)]
    standing = desk.standing
    part = desk.promised.progress.next if desk.promised else None
    owed = part.left_minor if part else standing.past_due_minor or standing.next_due_minor or max(standing.balance_minor, 0)
    back = collections.to_have_lines_back(desk.account_id, desk.today, desk.scene.rulebook.ladder) if "ladder.toml" in desk.scene.rulebook.files else 0
    sums = [(back, "has the lines back"), (part.left_minor if part else 0, "is the next part of the arrangement"), (standing.past_due_minor, "is all that is past due")]
    which = "; ".join(f"{shown(amount)} {what}" for amount, what in sums if amount) if back else None
    return forms.form(
        "payments.take", "Take a payment", "Take the payment", desk.do_url("payments.take"),
        [
            forms.hidden("account", desk.account_id),
            forms.field("amount", "Amount", "money", given.get("amount") or (forms.dollars(owed) if owed > 0 else None), hint=f"{which}." if which else None),
            forms.field("method", "With", "choice", given.get("method") or (methods[0][0] if methods else None), choices=methods,
                        hint=None if methods else "Nothing is saved on this account. Send a payment link instead."),
        ],
        cancel_href=desk.url(), consequence="The provider takes it now; the receipt goes by text, or by e-mail where no text arrives. A card number is never typed here.",
        say_aloud="May I take that from the card that you saved with us?",
    )


def _link_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    to: list[tuple[Any, str]] = [(n.pk, phone.shown(n.msisdn)) for n in customers.numbers_of_record(desk.account_id) if n.gets_texts]
    mail = desk.row.account.customer.email
    if mail:
        to.append(("", f"{mail}, by e-mail"))
    owed = max(desk.standing.balance_minor, 0)
    return forms.form(
        "payments.send_link", "Send a payment link", "Send the link", desk.do_url("payments.send_link"),
        [
            forms.hidden("account", desk.account_id),
            forms.field("amount", "Amount", "money", given.get("amount") or (forms.dollars(owed) if owed else None)),
            forms.field("line", "To", "choice", given.get("line", to[0][0] if to else None), choices=to,
                        hint=None if to else "No number of this account gets texts now, and there is no e-mail address. Somebody who pays for them can have a link too."),
        ],
        cancel_href=desk.url(), consequence="They pay on the provider's page within a day; the payment shows here by itself.",
    )


def _guest_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    return forms.form(
        "payments.send_guest_link", "Somebody who only wants to pay", "Send the link", desk.do_url("payments.send_guest_link"),
        [
            forms.hidden("account", desk.account_id),
            forms.field("amount", "Amount they name", "money", given.get("amount")),
            forms.field("number", "Number the link goes to", "phone", given.get("number"), placeholder="(206) 555-0100"),
        ],
        cancel_href=desk.url(), consequence="Nothing of the account is told; the receipt names the amount and the last four of that number.",
        say_aloud="Thank you for helping. I cannot speak about the account, but I can send you a link to pay.",
    )


def _hand_over_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    people = [(s.pk, f"{s.name}, {ROLE_TITLES[s.role].lower()}") for s in staff.colleagues(("trainee", "associate", "expert", "lead", "supervisor")) if str(s.pk) != desk.who.id]
    return forms.form(
        "contacts.hand_over", "Hand over", "Offer it", desk.do_url("contacts.hand_over"),
        [
            forms.field("to", "To", "choice", given.get("to"), choices=people),
            forms.field("words", "What they need to know", "textarea", given.get("words") or desk.row.handover_draft or wrapup.summary(desk, wrapup.deeds_of(desk)),
                        rows=4, maxlength=4000, draft_url=desk.draft_url(DraftKind.HANDOVER)),
        ],
        cancel_href=desk.url(), consequence="The contact stays with you until they take it; what was proven stays proven while the same voice is on the line.",
        say_aloud="I am bringing in a colleague who can do this, and I will tell them everything, so you do not have to repeat it.",
    )


def _reason_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    return forms.form("contacts.reason", "What is it about?", "Keep it", desk.do_url("contacts.reason"),
                      [forms.field("reason", "Reason", "choice", desk.row.reason or None, choices=forms.titled(desk.scene.rulebook.reasons["contact"]))], cancel_href=desk.url())


def _end_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    return forms.form("contacts.end", "End and wrap up", "The caller is gone", desk.do_url("contacts.end"), cancel_href=desk.url(),
                      consequence="After the end, money, lines and identity can no longer be changed in this contact. Requests that still wait expire.",
                      say_aloud="Is there anything else that I can do for you today?")


def _drop_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    return forms.form("contacts.drop", "The line dropped", "It dropped", desk.do_url("contacts.drop"), cancel_href=desk.url(),
                      consequence="The contact waits for the caller. When they are back, verify again.")


FORMS: dict[str, Callable[[ContactPage, Any], dict[str, Any]]] = {
    "credits.grant": _grant_form,
    "credits.reverse": _reverse_form,
    "payments.take": _take_form,
    "payments.send_link": _link_form,
    "payments.send_guest_link": _guest_form,
    "contacts.hand_over": _hand_over_form,
    "contacts.reason": _reason_form,
    "contacts.end": _end_form,
    "contacts.drop": _drop_form,
    **explain.FORMS,
    **money.FORMS,
    **pastdue.FORMS,
    **papers.FORMS,
    **line_forms.FORMS,
    **sims.FORMS,
    **arrange.FORMS,
    **care.FORMS,
}
UNVERIFIED = {*care.EARLY, "payments.send_guest_link", "contacts.end", "contacts.drop", "contacts.reason", "contacts.hand_over"}
