"""The acts of account care: contact details, address, PIN, locks, who may speak, language, needs and consent.

What changes who gets into an account is told at once to what was on record before it, never to the new and never with
what it is now [47 CFR 64.2010(f)]. The notices are free of hours and caps (contact_rules.toml: security_notice).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from pydantic import Field, ValidationInfo, field_validator

from careline.acts import texts
from careline.acts.declare import (
    ActType,
    Day,
    Done,
    Id,
    Input,
    Locks,
    Scene,
    Secret,
    ShortWords,
    number_or_blank,
)
from careline.acts.verification import proven_possession, text_number
from careline.carriers import lacking
from careline.domain.activations import operations as activations
from careline.domain.contacts import operations as contacts
from careline.domain.customers import operations as customer_operations
from careline.domain.customers import queries as customers
from careline.domain.customers.operations import care as operations
from careline.domain.customers.queries import care
from careline.domain.customers.rules import name_words
from careline.domain.customers.rules.care import (
    LANGUAGES,
    ZONE_OF,
    Medium,
    easy_pin,
    fresh_until,
    needs_of,
    needs_text,
)
from careline.domain.journal.operations import tell
from careline.foundation import phone, pins, postal
from careline.foundation.act import Act
from careline.foundation.calendar import civil_date, hour_said
from careline.foundation.refusal import refuse

Name = Annotated[str, Field(min_length=1, max_length=160)]
Reason = Annotated[str, Field(min_length=1, max_length=400)]


def email_or_blank(text: str) -> str:
    if not text.strip():
        return ""
    try:
        validate_email(text)
    except ValidationError:
        raise ValueError("This is not an e-mail address. Write it as name@example.com, or leave it empty.") from None
    return text


class OfAccount(Input):
    account: Id


class ChangeContact(OfAccount):
    """Left out: it stays. Empty: it is taken away. `phone`: a number to reach them at; it never proves who calls."""

    email: Annotated[str, Field(max_length=254)] | None = None
    phone: Annotated[str, Field(max_length=40)] | None = None

    @field_validator("email")
    @classmethod
    def an_address(cls, value: str | None) -> str | None:
        return None if value is None else email_or_blank(value)

    @field_validator("phone")
    @classmethod
    def a_number(cls, value: str | None) -> str | None:
        return None if value is None else number_or_blank(value)


class ChangeAddress(OfAccount):
    """`state`: two letters; the time zone follows from it. `postal_code`: ZIP or ZIP+4, of that state."""

    street: Annotated[str, Field(min_length=1, max_length=120)]
    city: Annotated[str, Field(min_length=1, max_length=80)]
    state: Annotated[str, Field(max_length=20)]
    postal_code: Annotated[str, Field(max_length=20)]

    @field_validator("state")
    @classmethod
    def a_state(cls, value: str) -> str:
        if value.upper() not in ZONE_OF:
            raise ValueError("This is no state or territory of the United States. Write its two letters, such as WA.")
        return value.upper()

    @field_validator("postal_code")
    @classmethod
    def a_zip(cls, value: str, info: ValidationInfo) -> str:
        if not re.fullmatch(r"[0-9]{5}(-[0-9]{4})?", value):
            raise ValueError("Write the ZIP code in five digits, or as 98101-2044.")
        if "state" in info.data and (fault := postal.fault(info.data["state"], value)):
            raise ValueError(fault)
        return value


class SetPin(OfAccount):
    pin: Secret


class ClearPin(OfAccount):
    words: Reason


class Lock(OfAccount):
    """`what`: SIM changes, moving a number to another carrier, or both."""

    what: Literal["sim", "port", "both"]


class AddPerson(OfAccount):
    """`until`: the last day on which they may speak; left out: until the holder ends it."""

    name: Name
    email: Annotated[str, Field(max_length=254)] = ""
    may_money: bool = False
    may_service: bool = False
    until: Day | None = None
    _email = field_validator("email")(email_or_blank)


class ChangePerson(OfAccount):
    person: Id
    may_money: bool = False
    may_service: bool = False
    until: Day | None = None


class EndPerson(OfAccount):
    person: Id
    words: Annotated[str, Field(max_length=400)] = ""


class SetPreferences(OfAccount):
    """`needs`: codes of care.toml, or what stands there already in its own words."""

    language: ShortWords
    needs: list[ShortWords] = []


class SetConsent(OfAccount):
    """`topic`, `channel`: of care.toml. `yes`: they allow it."""

    topic: ShortWords
    channel: ShortWords
    yes: bool


def _account(given: OfAccount) -> Locks:
    return Locks(accounts=(given.account,))


def _row(account_id: int) -> Any:
    found = customers.account(account_id)
    if found is None:
        raise refuse("NOT_FOUND", "There is no such account.")
    return found


def policy_of(scene: Scene) -> dict[str, Any]:
    if not scene.rulebook.care:
        raise refuse("CONFLICT", "The rulebook in force has no care.toml, so nobody knows what account care keeps to.", rule="no-care")
    return scene.rulebook.care


def email_of_record(act: Act, account: Any, scene: Scene) -> str:
    return care.email_of_record(account, act.at, int(policy_of(scene)["record"]["address_days"]))


def told(act: Act, scene: Scene, account: Any, email: str, *whats: str, lines: Sequence[Any] = (), **values: Any) -> str:
    """Tell of changes at once: by text to the number of record and by e-mail to the address of record as they were before; by
    letter where there is neither. `lines` are told by text themselves; `values` are what the texts name beside the carrier. Returns
    how, for the journal."""
    numbers = dict.fromkeys([*(n.msisdn for n in lines if n.gets_texts), *filter(None, [text_number(account.pk)])])
    ways = [*(("sms", to) for to in numbers), *((("email", email),) if email else ())] or [("letter", account.reference)]
    for what in whats:
        body = texts.body(scene.rulebook, "notice", account.pk, what=texts.body(scene.rulebook, f"notice_{what}", account.pk, **values))
        for channel, to in ways:
            subject = texts.body(scene.rulebook, "notice_subject", account.pk) if channel == "email" else ""
            tell(act=act, topic="security_notice", channel=channel, to=to, body=body, subject=subject, about=about(account.pk, what), account_id=account.pk)
    if lacking("MESSENGER"):
        return "nobody was told yet: this desk cannot send messages, so tell the customer yourself"
    names = {"sms": "a text to the number of record", "email": "an e-mail to the address of record", "letter": "a letter"}
    return "told by " + " and ".join(names[channel] for channel in dict.fromkeys(channel for channel, _ in ways))


def about(account_id: int, what: str) -> str:
    """What a notice is about, for whoever looks for it."""
    return f"care:{account_id}:{what}"


# ---------------------------------------------------------------- contact details


def change_contact(act: Act, given: ChangeContact, scene: Scene) -> Done:
    account = _row(given.account)
    email = email_of_record(act, account, scene)
    changed = operations.change_contact(act=act, account_id=account.pk, email=given.email, phone=given.phone)
    if not changed:
        raise refuse("CONFLICT", "Nothing is different from what stands there.")
    names = {Medium.EMAIL: "e-mail address", Medium.PHONE: "contact number"}
    done = {kind: "taken away" if not after else "changed" if before else "added" for kind, (before, after) in changed.items()}
    how = told(act, scene, account, email, *changed)
    say = ", ".join(f"{names[kind]} {how}" for kind, how in done.items())
    return Done(f"{say[0].upper()}{say[1:]}; {how}", payload={kind.value: {"before": b, "after": a} for kind, (b, a) in changed.items()})


def change_address(act: Act, given: ChangeAddress, scene: Scene) -> Done:
    account = _row(given.account)
    email = email_of_record(act, account, scene)
    moved = account.state != given.state
    zone = ZONE_OF[given.state] if moved or not account.zone else account.zone
    changed = operations.change_address(
        act=act, account_id=account.pk, street=given.street, city=given.city, state=given.state, postal_code=given.postal_code, zone=zone
    )
    if changed is None:
        raise refuse("CONFLICT", "Nothing is different from what stands there.")
    how = told(act, scene, account, email, "address")
    state = f", now in {given.state}: taxes and contact hours follow" if moved and account.state else ""
    return Done(f"Address changed{state}; {how}", payload={"address": {"before": changed[0], "after": changed[1]}})


# ---------------------------------------------------------------- PIN


def pin_facts(scene: Scene, act: Act, given: SetPin) -> dict[str, Any]:
    return {"pin": {"none": care.pin_set_at(given.account) is None, "possession": proven_possession(act, given.account, scene)}}


def forgotten_facts(scene: Scene, act: Act, given: ClearPin) -> dict[str, Any]:
    may = act.who.role in policy_of(scene)["credentials"]["forgotten_pin"]
    return {"forgotten": {"possession": proven_possession(act, given.account, scene), "may": may}}


def begin_new_pin(act: Act, given: SetPin, scene: Scene) -> Done:
    """Looked at here; hashed with no transaction open, for that is slow on purpose."""
    policy = scene.rulebook.verification["pin"]
    known = care.numbers_on_file(_row(given.account))
    why = easy_pin(given.pin.get_secret_value(), known, int(policy.get("digits_least", 4)), int(policy.get("digits_most", 8)))
    if why:
        raise refuse("INVALID", why, fields={"pin": why})
    contacts.heard_pin(act=act, mark=pins.mark(given.pin.get_secret_value(), str(scene.contact.pk), settings.PEPPER))
    return Done("A new PIN is being set", pending=True, work={"accounts": [given.account]})


def hash_new_pin(work: Mapping[str, Any], given: SetPin) -> str:
    return pins.hashed(given.pin.get_secret_value(), settings.PEPPER)


def settle_new_pin(act: Act, work: Mapping[str, Any], hashed: str | None, scene: Scene) -> Done:
    (account_id,) = work["accounts"]
    if hashed is None:
        raise refuse("CONFLICT", "The PIN was not set: the desk stopped meanwhile. Ask the customer for it again.")
    account = _row(account_id)
    first = care.pin_set_at(account_id) is None
    email = email_of_record(act, account, scene)
    customer_operations.set_pin(act=act, account_id=account_id, pin_hash=hashed)
    contacts.forget_tries(act=act, account_id=account_id, factor="pin")
    hours = scene.rulebook.verification["level"]["strong_number_hours"]
    how = told(act, scene, account, email, "pin")
    return Done(f"PIN {'set' if first else 'changed'}; it makes nobody strong for {hours} hours; {how}")


def clear_pin(act: Act, given: ClearPin, scene: Scene) -> Done:
    account = _row(given.account)
    email = email_of_record(act, account, scene)
    if not operations.clear_pin(act=act, account_id=account.pk):
        raise refuse("CONFLICT", "This account has no PIN. Set one.")
    contacts.forget_tries(act=act, account_id=account.pk, factor="pin")
    how = told(act, scene, account, email, "pin_gone")
    return Done(f"Forgotten PIN taken away; {how}", payload={"words": given.words})


# ---------------------------------------------------------------- locks

_LOCKED = {"sim": "SIM changes", "port": "porting out", "both": "SIM changes and porting out"}


def _which(what: str, on: bool) -> dict[str, bool]:
    return dict.fromkeys(("sim", "port") if what == "both" else (what,), on)


def lock(act: Act, given: Lock, scene: Scene) -> Done:
    if not operations.set_locks(act=act, account_id=given.account, **_which(given.what, True)):
        raise refuse("CONFLICT", f"The account is locked against {_LOCKED[given.what]} already.")
    stopped = keep_numbers(act, scene, given.account) if given.what != "sim" else ""
    return Done(f"Locked against {_LOCKED[given.what]}{stopped}", data={"lock": given.what})


def keep_numbers(act: Act, scene: Scene, account_id: int) -> str:
    """What follows once an account is locked against porting out: what was given out before takes no number away once it is unlocked, and numbers
    that wait to go to another carrier stay. The customer is told so. Returns it as the journal's sentence goes on."""
    activations.end_transfer_pins(act=act, line_ids=[n.pk for n in customers.lines_of(account_id)])
    stopped, account = activations.stop_waiting(act=act, account_id=account_id), _row(account_id)
    for row in stopped:
        told(act, scene, account, email_of_record(act, account, scene), "port_stopped", lines=[row.line], last4=phone.last_four(row.line.msisdn), to=row.to)
    return "".join(f"; {row.number}: the number ending in {phone.last_four(row.line.msisdn)} does not go to {row.to}" for row in stopped)


def unlock_facts(scene: Scene, act: Act, given: Lock) -> dict[str, Any]:
    return {"credentials": ways_in(scene, _row(given.account), care.pin_set_at(given.account), act.at)}


def ways_in(scene: Scene, account: Any, pin_at: datetime | None, at: datetime) -> dict[str, Any]:
    """Whether that by which somebody gets into this account changed within so many hours, and until when that counts."""
    hours = int(policy_of(scene)["credentials"]["unlock_hours"])
    until = fresh_until(care.changed_lately(account, pin_at).values(), at, hours)
    return {"fresh": until is not None, "hours": hours, "until": _time_said(until) if until is not None else ""}


def _time_said(at: datetime) -> str:
    """`12:42 pm on Dec 1` in the carrier's zone: the day too, for the sentence stays in the journal."""
    local = at.astimezone(ZoneInfo(settings.CARRIER_ZONE))
    return f"{hour_said(local)} on {local:%b} {local.day}"


def credentials_now(scene: Scene, at: datetime) -> dict[str, Any]:
    return {"credentials": ways_in(scene, scene.contact.account, scene.contact.pin_set_at, at)} if scene.rulebook.care else {}


def unlock(act: Act, given: Lock, scene: Scene) -> Done:
    account = _row(given.account)
    stood = {"sim": account.change_lock, "port": account.port_lock}
    whats = [name for name in _which(given.what, False) if stood[name]]
    if not whats:
        raise refuse("CONFLICT", f"The account is not locked against {_LOCKED[given.what]}.")
    operations.set_locks(act=act, account_id=account.pk, **_which(given.what, False))
    how = told(act, scene, account, email_of_record(act, account, scene), *(f"unlock_{what}" for what in whats))
    what = "both" if len(whats) == 2 else whats[0]
    return Done(f"Lock against {_LOCKED[what]} taken off; {how}", data={"lock": what})


# ---------------------------------------------------------------- who may speak


def _ahead(act: Act, until: date | None) -> None:
    if until is not None and until < civil_date(act.at, settings.CARRIER_ZONE):
        say = "That day is over. Choose today or later, or leave it empty."
        raise refuse("INVALID", say, fields={"until": say})


def _rights(money: bool, service: bool, until: date | None) -> str:
    what = " and ".join(w for w, yes in (("money", money), ("service", service)) if yes) or "may ask only"
    return what + (f", until {until:%b} {until.day}, {until.year}" if until else "")


def add_person(act: Act, given: AddPerson, scene: Scene) -> Done:
    _ahead(act, given.until)
    words = set(name_words(given.name))
    if not words:
        raise refuse("INVALID", "Write their name.", fields={"name": "Write their name, first and family name."})
    if any(set(name_words(p.person.name)) == words for p in customers.people_of(given.account)):
        say = "Somebody of this name speaks for the account already. Change their rights."
        raise refuse("CONFLICT", say, fields={"name": say})
    account = _row(given.account)
    email = email_of_record(act, account, scene)
    person = operations.add_person(
        act=act, account_id=account.pk, name=given.name, email=given.email, may_money=given.may_money, may_service=given.may_service, until=given.until
    )
    how = told(act, scene, account, email, "person")
    return Done(f"Authorized person added: {_rights(given.may_money, given.may_service, given.until)}; {how}", {"person": str(person.pk)},
                data={"person": str(person.pk)}, payload={"name": given.name, "email": given.email})  # fmt: skip


def _authorized(given: ChangePerson | EndPerson) -> Any:
    found = care.person_of(given.account, given.person)
    if found is None:
        raise refuse("NOT_FOUND", "Choose somebody who is authorized on this account.", fields={"person": "Choose one."})
    return found


def change_person(act: Act, given: ChangePerson, scene: Scene) -> Done:
    _ahead(act, given.until)
    before = _authorized(given)
    account = _row(given.account)
    email = email_of_record(act, account, scene)
    if not operations.change_person(
        act=act, account_id=account.pk, person_id=given.person, may_money=given.may_money, may_service=given.may_service, until=given.until
    ):
        raise refuse("CONFLICT", "Nothing is different from what stands there.")
    how = told(act, scene, account, email, "person")
    was, now = _rights(before.may_money, before.may_service, before.until), _rights(given.may_money, given.may_service, given.until)
    return Done(f"Rights of an authorized person changed: {now} (before: {was}); {how}", data={"person": str(given.person)}, payload={"name": before.person.name})


def end_person(act: Act, given: EndPerson, scene: Scene) -> Done:
    row = _authorized(given)
    operations.end_person(act=act, account_id=given.account, person_id=given.person)
    return Done("An authorized person may speak for the account no more", data={"person": str(given.person)}, payload={"name": row.person.name, "words": given.words})


# ---------------------------------------------------------------- how they like to be served


def set_preferences(act: Act, given: SetPreferences, scene: Scene) -> Done:
    customer = _row(given.account).customer
    if given.language not in LANGUAGES and given.language != customer.language:
        raise refuse("INVALID", "Choose a language of the list.", fields={"language": "Choose one."})
    known, old = policy_of(scene)["need"], needs_of(customer.needs)
    if any(n not in known and n not in old for n in given.needs):
        raise refuse("INVALID", "Choose from the list. Why they need it is nobody's to write down.", fields={"needs": "Choose from the list."})
    needs = needs_text([known[n]["title"] if n in known else n for n in given.needs])
    if len(needs) > 200:
        raise refuse("INVALID", "That is more than fits. Choose what matters most.", fields={"needs": "Choose fewer."})
    if not operations.set_preferences(act=act, account_id=given.account, language=given.language, needs=needs):
        raise refuse("CONFLICT", "Nothing is different from what stands there.")
    say = [f"language {LANGUAGES.get(given.language, given.language)}"] if given.language != customer.language else []
    say += ["what they need to be served"] if needs != customer.needs else []
    return Done(f"Changed: {' and '.join(say)}", payload={"language": given.language, "needs": needs, "before": [customer.language, customer.needs]})


def _consent(scene: Scene, given: SetConsent) -> dict[str, Any]:
    topic: dict[str, Any] | None = policy_of(scene)["consent"].get(given.topic)
    if topic is None or given.channel not in topic["channels"]:
        raise refuse("INVALID", "Choose a topic and channel of the list.", fields={"topic": "Choose one."})
    return topic


def consent_facts(scene: Scene, act: Act, given: SetConsent) -> dict[str, Any]:
    _consent(scene, given)
    return {"consent": {"yes": given.yes}}


CHANNELS = {"sms": "text", "email": "e-mail", "call": "call", "auto_call": "call by a machine", "any": "any way"}


def set_consent(act: Act, given: SetConsent, scene: Scene) -> Done:
    topic = _consent(scene, given)
    source = f"contact {act.basis.ref}"
    customer_operations.consent(act=act, account_id=given.account, topic=given.topic, channel=given.channel, granted=given.yes, source=source)
    say = f"{topic['title']} ({CHANNELS.get(given.channel, given.channel)}): {'yes' if given.yes else 'no'}"
    return Done(say, data={"topic": given.topic, "channel": given.channel, "yes": given.yes, "cite": topic["cite"]})


ACTS = [
    ActType("customers.change_contact", "Change contact details", ChangeContact, change_contact, locks=_account),
    ActType("customers.change_address", "Change the address", ChangeAddress, change_address, locks=_account),
    ActType(
        "customers.set_pin", "Set the PIN", SetPin, begin_new_pin, locks=_account, facts=pin_facts, opening={"pin": {"none": False, "possession": True}},
        stands=lambda scene, _: {"pin": {"none": scene.contact.pin_set_at is None}},
        call=hash_new_pin,
        recall=lambda _: None,  # the PIN itself is kept nowhere: a lost one is asked for again
        settle=settle_new_pin,
    ),
    ActType("customers.clear_pin", "Take a forgotten PIN away", ClearPin, clear_pin, locks=_account, facts=forgotten_facts,
            opening={"forgotten": {"possession": True, "may": True}}),
    ActType("customers.lock", "Lock against SIM change and port-out", Lock, lock, locks=_account),
    ActType("customers.unlock", "Unlock SIM change or port-out", Lock, unlock, locks=_account, facts=unlock_facts,
            opening={"credentials": {"fresh": False, "hours": 0, "until": ""}}, stands=credentials_now),
    ActType("customers.add_person", "Add an authorized person", AddPerson, add_person, locks=_account),
    ActType("customers.change_person", "Change a person's rights", ChangePerson, change_person, locks=_account),
    ActType("customers.end_person", "End a person's rights", EndPerson, end_person, locks=_account),
    ActType("customers.set_preferences", "Language and accessibility", SetPreferences, set_preferences, locks=_account),
    ActType("customers.set_consent", "Consent", SetConsent, set_consent, locks=_account, facts=consent_facts,
            opening={"consent": {"yes": False}}),
]  # fmt: skip
