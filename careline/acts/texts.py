"""What is written to customers: in their language where the rulebook has words for it, else in English."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from django.conf import settings

from careline.domain.contacts import queries as contacts
from careline.domain.contacts.rules import Way
from careline.domain.customers import queries as customers
from careline.domain.journal.operations import tell
from careline.foundation import phone
from careline.foundation.act import Act
from careline.foundation.calendar import hour_said
from careline.foundation.outbound import Outbound
from careline.foundation.rulebook import Rulebook

# Said where nothing in writing reaches a customer, so that whoever speaks with them tells them.
NOBODY = "nothing in writing reaches them now (no number that gets texts, no e-mail address, or STOP)"

ENGLISH = {
    "code": "{code} is your {carrier} code. It works for {minutes} minutes. Tell it only to somebody you called yourself.",
    "lock": "{carrier}: somebody tried to get into your account by phone and failed. We locked that way for {hours} hours. "
    "If it was not you, call us.",
    "link": "{carrier}: pay {amount} here within {hours} hours: {page}",
    "receipt": "{carrier}: we received {amount} with {method}. Thank you. Receipt {number}.",
    "refund": "{carrier}: we gave {amount} back to {method}. Your bank needs some days to show it.",
    "returned": "{carrier}: your payment of {amount} with {method} came back to us unpaid. Please pay it another way, or call us: "
    "we will find one together.",
    "restored": "{carrier}: the line ending in {last4} is on again. Please restart your phone. Thank you.",
    "autopay_on": "{carrier}: autopay is on. Each bill is charged to {method} on its due day. Call us before that day to stop it.",
    "autopay_off": "{carrier}: autopay is off. Please pay your bills by their due day.",
    "autopay_declined": "{carrier}: autopay of {amount} with {method} was declined. Please pay another way, or call us.",
    "bill_copy_subject": "Your bill {number} from {carrier}",
    "bill_copy": "Hello,\n\nyou asked us for a copy of your bill {number} of {day}. It is attached as a PDF: a summary on its first page, and every charge after it.\n\n{carrier}",
    # In English alone, as the explanation itself is.
    "bill_explained_subject": "Why your bill {number} from {carrier} differs",
    "estimate_subject": "What your next bill from {carrier} will be",
    "statement_subject": "Your statement from {carrier}, {first} to {last}",
    "statement": "Hello,\n\nyou asked us for a statement of your account from {first} to {last}. It is attached as a PDF, entry by entry.\n\n{carrier}",
    "arranged": "{carrier}: you agreed to pay {plan}. Until then we do not collect this amount. New bills are due as always. Call us before a day "
    "if it does not work out. {number}",
    "arranged_stopped": "What is stopped on your lines now stays stopped until {back} of it is paid.",
    "arranged_restoring": "Having it back costs {cost} before tax, on the next bill.",
    "arranged_charged": "Each later part is charged to {method} on its day; call us before that day to stop it.",
    "part_charged": "{carrier}: as agreed, {amount} was charged to {method}. Thank you. Receipt {number}.",
    "part_declined": "{carrier}: {amount} for your arrangement was declined by {method}. Please pay it another way today, or call us: we will find "
    "a way together.",
    "autopay_ended": "Autopay is off now.",
    "arrangement_cancelled": "{carrier}: your payment arrangement {number} is cancelled. {left} is past due now.",
    "arrangement_broken": "{carrier}: {amount} was agreed for {day} and did not come, so your arrangement has ended and {left} is past due. Call us: we will "
    "find a way together.",
    "arrangement_soon": "{carrier}: as agreed, {amount} is due tomorrow, {day}. If it is on its way, thank you; call us today if it does not work out.",
    "notice": "{carrier}: {what} If it was not you, call us at once.",
    "notice_subject": "Your {carrier} account was changed",
    "notice_email": "the e-mail address of your account was changed.",
    "notice_phone": "the contact number of your account was changed.",
    "notice_address": "the address of your account was changed.",
    "notice_pin": "the PIN of your account was set.",
    "notice_pin_gone": "the PIN of your account was taken away because it was forgotten.",
    "notice_unlock_sim": "the lock against SIM changes was taken off your account.",
    "notice_unlock_port": "the lock against moving your numbers to another carrier was taken off your account.",
    "notice_sim_asked": "a new SIM was asked for, for the line ending in {last4}.",
    "notice_sim_refused": "somebody asked for a new SIM for the line ending in {last4}, and we refused it.",
    "notice_transfer_pin": "a PIN was made with which the number ending in {last4} can be taken to another carrier.",
    "notice_port_asked": "{to} asked to take over the number ending in {last4} for you.",
    "notice_port_waits": "{to} asked to take over the number ending in {last4} for you, and it goes at {time}. To keep it, text {word} from it.",
    "notice_port_stopped": "the number ending in {last4} stays with us: {to} does not get it, and your account is locked against moving its numbers.",
    "notice_port_refused": "another carrier asked for the number ending in {last4}, and we refused it.",
    "transfer_pin": "{carrier}: {pin} is the transfer PIN for {number}, until {day}. Give it only to the carrier that you go to. If you asked for none, "
    "call us at once.",
    "notice_person": "somebody was allowed to speak for your account, or their rights were changed.",
    "day": "{month} {day}",
    "months": "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
    "receipt_link": "{carrier}: we received {amount} from the phone ending in {last4}. Thank you.",
}


def day(value: date) -> str:
    """A day for every language: `2026-11-24` is the same in all of them."""
    return value.isoformat()


def language_of(account_id: int | None) -> str:
    """The language of the account's customer, without its country. Without an account English: a guest's language is not the
    customer's, and would tell of it."""
    return customers.language_of(account_id).partition("-")[0].lower() if account_id is not None else "en"


def body(rulebook: Rulebook, name: str, account_id: int | None, **values: Any) -> str:
    """The text called `name`, in the language of the account's customer."""
    return said(rulebook, name, language_of(account_id), **values)


def hour(account_id: int, local: datetime) -> str:
    """A time of the day as the account's customer reads it: `6:30 pm` in English, `18:30` elsewhere."""
    return hour_said(local) if language_of(account_id) == "en" else f"{local:%H:%M}"


def day_said(rulebook: Rulebook, language: str, on: date) -> str:
    """A day as it is read in a language: `Dec 11`, `11 de diciembre`."""
    months = said(rulebook, "months", language).split()
    month = months[on.month - 1] if len(months) == 12 else f"{on:%b}"
    return said(rulebook, "day", language, month=month, day=on.day)


def day_of(rulebook: Rulebook, account_id: int, on: date) -> str:
    """A day as the account's customer reads it."""
    return day_said(rulebook, language_of(account_id), on)


def said(rulebook: Rulebook, name: str, language: str, **values: Any) -> str:
    """The text called `name` in a language, else in English."""
    values["carrier"] = settings.CARRIER_NAME
    for words in (rulebook.texts.get(language, {}).get(name), ENGLISH[name]):
        try:
            if words:
                return words.format_map(values)
        except (KeyError, ValueError, IndexError, AttributeError):
            continue  # a text that asks for what is not there: better English than none
    raise KeyError(name)


def outbound_of(rulebook: Rulebook) -> Outbound | None:
    """The contact rules, where the rulebook has them."""
    return rulebook.outbound if "contact_rules.toml" in rulebook.files else None


def with_way_out(rulebook: Rulebook, topic: str, language: str, channel: str, words: str) -> str:
    """A message about a debt ends with how to have no more of them [12 CFR 1006.6(e)]; a letter does not."""
    policy = outbound_of(rulebook)
    if policy is None or channel == "letter" or policy.class_of(topic) != "collections" or "STOP" in words:
        return words
    return words + policy.opt_out.get(language, policy.opt_out["en"])


def subject(channel: str, reference: str) -> str:
    """What an e-mail is about, in every language; other channels have none."""
    return f"{settings.CARRIER_NAME}: {reference}" if channel == "email" else ""


def how(way: Way) -> str:
    """A way, as the desk and the journal say it."""
    return {"sms": f"by text to the number ending in {phone.last_four(way.to)}", "email": "by e-mail", "letter": "by letter"}[way.channel]


def write(
    *, act: Act, rulebook: Rulebook, account_id: int, topic: str, name: str, about: str, reference: str, letter: bool = False, first: str = "",
    expires_at: datetime | None = None, **values: Any,
) -> str:
    """Queue the text called `name` to the account's customer, by the way that reaches them: a text (`first`: to this number, of which the caller knows that it gets them),
    else an e-mail about `reference`, else, with `letter`, a letter. Returns how, or empty where nothing reaches them."""
    way = contacts.ways([account_id], topic, outbound_of(rulebook), letter, {account_id: first}).get(account_id)
    if way is None:
        return ""
    language = language_of(account_id)
    words = with_way_out(rulebook, topic, language, way.channel, said(rulebook, name, language, **values))
    tell(act=act, topic=topic, channel=way.channel, to=way.to, body=words, about=about, account_id=account_id, subject=subject(way.channel, reference), expires_at=expires_at)
    return how(way)
