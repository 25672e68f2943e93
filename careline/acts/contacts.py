"""The acts of a contact: ring, open, identify, hold, hand over, end, wrap up, notes and follow-ups."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from django.conf import settings
from pydantic import Field, field_validator, model_validator

from careline.acts.declare import ActType, Done, Id, Input, Locks, Scene, ShortWords, Words
from careline.domain.approvals import operations as approvals
from careline.domain.contacts import operations, queries
from careline.domain.customers import queries as customers
from careline.domain.customers.rules import name_words
from careline.domain.journal import rules as journal
from careline.domain.staff import queries as staff
from careline.foundation import cards, phone
from careline.foundation.act import Act, Who
from careline.foundation.calendar import civil_date
from careline.foundation.refusal import refuse


def number_or_blank(text: str) -> str:
    if not text.strip():
        return ""
    found = phone.parsed(text)
    if found is None:
        raise ValueError("This is not a whole phone number. Write it with its area code, or leave it empty.")
    return found


class Nothing(Input):
    pass


class Ring(Input):
    caller_number: str
    channel: Literal["voice", "chat", "message"] = "voice"
    _number = field_validator("caller_number")(number_or_blank)


class Open(Input):
    channel: Literal["voice", "chat", "message", "store"] = "voice"
    inbound: bool = True
    caller_number: str = ""
    reason: ShortWords = ""
    account: Id | None = None
    person: Id | None = None
    _number = field_validator("caller_number")(number_or_blank)


class Answer(Input):
    contact: Id


class Identify(Input):
    account: Id
    person: Id | None = None


class Speaker(Input):
    """Who speaks now, by id or by the name they give. A name that nobody on the account has is a stranger's."""

    account: Id
    person: Id | None = None
    name: ShortWords = ""


class Reason(Input):
    reason: ShortWords


class HandOver(Input):
    to: Id
    words: Words = ""


class Note(Input):
    account: Id
    text: Annotated[str, Field(min_length=1, max_length=4000)]
    pinned: bool = False


class Pin(Input):
    account: Id
    note: Id
    pinned: bool


class WrapUp(Input):
    summary: Annotated[str, Field(min_length=1, max_length=4000)]
    disposition: ShortWords
    root_cause: ShortWords
    follow_up: ShortWords = ""
    due_on: date | None = None
    owner: Id | None = None

    @model_validator(mode="after")
    def a_promise_has_a_day(self) -> WrapUp:
        if self.follow_up and not self.due_on:
            raise ValueError("Say by when the follow-up is due.")
        return self


class FollowUp(Input):
    follow_up: Id


def _ref(contact: Any) -> dict[str, Any]:
    return {"contact": contact.reference}


def _accounts(given: Any) -> Locks:
    return Locks(accounts=(given.account,) if given.account else ())


def _person_on(account_id: int, person_id: int | None) -> int | None:
    if person_id is None:
        return None
    if not any(p.person_id == person_id for p in customers.people_of(account_id)):
        raise refuse("INVALID", "That person does not speak for this account.", fields={"person": "Choose again."})
    return person_id


def ring(act: Act, given: Ring, scene: Scene) -> Done:
    contact = operations.ring(act=act, caller_number=given.caller_number, channel=given.channel)
    return Done(f"{contact.reference} is ringing", {**_ref(contact), "id": str(contact.pk)})


def open_contact(act: Act, given: Open, scene: Scene) -> Done:
    if not act.who.id.isdigit():
        raise refuse("CONFLICT", "Only somebody who works here can hold a contact.")
    if given.reason and given.reason not in scene.rulebook.reasons["contact"]:
        raise refuse("INVALID", "Choose a reason of the list.", fields={"reason": "Choose one."})
    person = _person_on(given.account, given.person) if given.account else None
    contact = operations.open_contact(
        act=act,
        channel=given.channel,
        inbound=given.inbound,
        caller_number=given.caller_number,
        reason=given.reason,
        account_id=given.account,
        person_id=person,
    )
    chain = journal.account_chain(given.account) if given.account else ""
    return Done(f"Opened {contact.reference}", {**_ref(contact), "id": str(contact.pk)}, chain=chain)


def answer(act: Act, given: Answer, scene: Scene) -> Done:
    contact = queries.contact(given.contact)
    if contact is None:
        raise refuse("NOT_FOUND", "There is no such call.")
    contact = operations.answer(act=act, contact_id=given.contact)
    return Done(f"Answered {contact.reference}", {**_ref(contact), "id": str(contact.pk)})


def identify(act: Act, given: Identify, scene: Scene) -> Done:
    moved = scene.contact is not None and scene.contact.account_id not in (None, given.account)
    contact = operations.identify(
        act=act, account_id=given.account, person_id=_person_on(given.account, given.person)
    )
    say = f"{contact.reference}: moved to this account" if moved else f"{contact.reference}: account chosen"
    return Done(say, _ref(contact), chain=journal.account_chain(given.account))


def speaker(act: Act, given: Speaker, scene: Scene) -> Done:
    person = _person_on(given.account, given.person) if given.person else None
    if given.name:
        said = set(name_words(given.name))
        person = next(
            (p.person_id for p in customers.people_of(given.account) if said and said <= set(name_words(p.person.name))),
            None,
        )
    contact = operations.set_person(act=act, person_id=person)
    known = "another voice on the line" if person else "somebody who is not on this account"
    return Done(f"{contact.reference}: {known}, nothing proven", {**_ref(contact), "known": person is not None})


def reason(act: Act, given: Reason, scene: Scene) -> Done:
    if given.reason not in scene.rulebook.reasons["contact"]:
        raise refuse("INVALID", "Choose a reason of the list.", fields={"reason": "Choose one."})
    operations.set_reason(act=act, reason=given.reason)
    return Done(f"Reason: {scene.rulebook.reasons['contact'][given.reason]['title']}")


def hold(act: Act, given: Nothing, scene: Scene) -> Done:
    return Done(f"{operations.hold(act=act).reference} on hold")


def resume(act: Act, given: Nothing, scene: Scene) -> Done:
    return Done(f"{operations.resume(act=act).reference} off hold")


def drop(act: Act, given: Nothing, scene: Scene) -> Done:
    return Done(f"{operations.drop(act=act).reference}: the line dropped")


def reconnect(act: Act, given: Nothing, scene: Scene) -> Done:
    return Done(f"{operations.reconnect(act=act).reference}: the caller is back")


def end(act: Act, given: Nothing, scene: Scene) -> Done:
    contact = operations.end(act=act)
    approvals.end_with_contact(act=act, contact_id=contact.pk)
    return Done(f"{contact.reference}: the caller is gone", _ref(contact))


def wrap_up(act: Act, given: WrapUp, scene: Scene) -> Done:
    known = scene.rulebook.reasons
    wrong = {
        name: "Choose one of the list."
        for name in ("disposition", "root_cause")
        if getattr(given, name) not in known[name]
    }
    if wrong:
        raise refuse("INVALID", "Choose how it ended and what caused it.", fields=wrong)
    if given.due_on and given.follow_up and given.due_on < civil_date(act.at, settings.CARRIER_ZONE):
        raise refuse("INVALID", "A follow-up lies ahead.", fields={"due_on": "Choose a day from today on."})
    if given.owner and (staff.person(given.owner) is None):
        raise refuse("INVALID", "Choose who keeps the promise.", fields={"owner": "Choose a colleague."})
    contact = operations.close(
        act=act,
        summary=given.summary,
        disposition=given.disposition,
        root_cause=given.root_cause,
        follow_up=given.follow_up,
        due_on=given.due_on,
        owner_id=given.owner,
    )
    say = f"{contact.reference} closed: {known['disposition'][given.disposition]['title']}, {known['root_cause'][given.root_cause]['title']}"
    return Done(say, _ref(contact), payload={"summary": given.summary, "follow_up": given.follow_up})


def hand_over(act: Act, given: HandOver, scene: Scene) -> Done:
    to = staff.person(given.to)
    if to is None or not to.is_active or to.role in ("administrator", "agent", "service"):
        raise refuse("INVALID", "Choose a colleague who takes contacts.", fields={"to": "Choose a colleague."})
    contact = operations.offer(act=act, to_id=to.pk, words=given.words)
    return Done(f"{contact.reference} offered to {to.name}", _ref(contact), payload={"words": given.words})


def accept(act: Act, given: Nothing, scene: Scene) -> Done:
    contact = operations.accept(act=act)
    return Done(f"{contact.reference} taken over by {act.who.name}", _ref(contact))


def add_note(act: Act, given: Note, scene: Scene) -> Done:
    note = operations.add_note(act=act, account_id=given.account, text=given.text, pinned=given.pinned)
    return Done("Note added" + (" and pinned" if given.pinned else ""), {"note": str(note.pk)}, payload={"text": given.text})


def pin_note(act: Act, given: Pin, scene: Scene) -> Done:
    note = queries.note(given.note)
    if note is None or note.account_id != given.account:
        raise refuse("NOT_FOUND", "There is no such note here.")
    operations.pin_note(act=act, note_id=given.note, pinned=given.pinned)
    return Done("Note pinned" if given.pinned else "Note unpinned", {"note": str(given.note)})


def finish_follow_up(act: Act, given: FollowUp, scene: Scene) -> Done:
    row = operations.finish_follow_up(act=act, follow_up_id=given.follow_up)
    chain = journal.account_chain(row.account_id) if row.account_id else ""
    return Done("Follow-up done", chain=chain)


def keep_draft(*, who: Who, contact_id: int, text: str, at: datetime) -> str | None:
    """The declared exception to perform: typed words go into the contact's row, with no line and no key.

    Returns None when they are kept, or the sentence that says why not (a card number; not this person's contact).
    """
    if cards.card_numbers(text):
        return cards.MESSAGE
    if not operations.save_draft(contact_id=contact_id, holder_id=int(who.id), text=text, at=at):
        return "This contact is not yours any more. Copy your words."
    return None


ACTS = [
    ActType("contacts.ring", "Ring", Ring, ring),
    ActType("contacts.open", "Start a contact", Open, open_contact, locks=_accounts, chooses="account"),
    ActType("contacts.answer", "Answer", Answer, answer),
    ActType("contacts.identify", "Choose the account", Identify, identify, locks=_accounts, chooses="account"),
    ActType("contacts.speaker", "Another voice", Speaker, speaker, locks=_accounts),
    ActType("contacts.reason", "Say the reason", Reason, reason),
    ActType("contacts.note", "Add a note", Note, add_note, locks=_accounts, key="n", on_page=True),
    ActType("contacts.pin_note", "Pin a note", Pin, pin_note, locks=_accounts),
    ActType("contacts.hold", "Put on hold", Nothing, hold, key="h", on_page=True),
    ActType("contacts.resume", "Take off hold", Nothing, resume, on_page=True),
    ActType("contacts.hand_over", "Hand over", HandOver, hand_over, key="v", on_page=True),
    ActType("contacts.accept", "Take over", Nothing, accept),
    ActType("contacts.drop", "The line dropped", Nothing, drop),
    ActType("contacts.reconnect", "The caller is back", Nothing, reconnect),
    ActType("contacts.end", "End and wrap up", Nothing, end, key="e", on_page=True),
    ActType("contacts.wrap_up", "Close the contact", WrapUp, wrap_up),
    ActType("contacts.finish_follow_up", "Follow-up done", FollowUp, finish_follow_up),
]
