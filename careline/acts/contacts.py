"""The acts of a contact: ring, open, identify, hold, hand over, end, wrap up, notes and follow-ups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from django.conf import settings
from pydantic import Field, field_validator, model_validator

from careline.acts import texts
from careline.acts.care import keep_numbers
from careline.acts.declare import (
    ActType,
    Day,
    Done,
    Id,
    Input,
    Locks,
    Scene,
    ShortWords,
    Words,
    number_or_blank,
)
from careline.acts.verification import writes_pin
from careline.domain.activations import queries as activations
from careline.domain.approvals import operations as approvals
from careline.domain.approvals import rules as approval_rules
from careline.domain.contacts import operations, queries
from careline.domain.contacts.rules import DraftKind
from careline.domain.customers import operations as customer_operations
from careline.domain.customers import queries as customers
from careline.domain.customers.operations import care as care_operations
from careline.domain.customers.rules import name_words
from careline.domain.journal import queries as journal_queries
from careline.domain.journal import rules as journal
from careline.domain.journal.operations import tell
from careline.domain.ledger import operations as ledger
from careline.domain.staff import queries as staff
from careline.foundation import cards, pins
from careline.foundation.act import Act, Who
from careline.foundation.calendar import civil_date
from careline.foundation.refusal import refuse


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
    to: Id | None = None
    words: Words = ""
    back: bool = False  # what was offered is taken back, and goes to nobody


class Decline(Input):
    words: Annotated[str, Field(min_length=1, max_length=400)]


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
    due_on: Day | None = None
    owner: Id | None = None


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
        raise refuse("NOT_FOUND", "That person does not speak for this account.", fields={"person": "Choose again."})
    return person_id


class Reply(Input):
    """What a customer sent back to a text (`number`: theirs) or an e-mail (`email`: their address), as the messaging gateway tells of it."""

    number: str = ""
    email: Annotated[str, Field(max_length=254)] = ""
    text: Annotated[str, Field(min_length=1, max_length=1600)]
    _number = field_validator("number")(number_or_blank)

    @model_validator(mode="after")
    def from_somewhere(self) -> Reply:
        if bool(self.number) == bool(self.email.strip()):
            raise ValueError("Say the number that a text came from, or the address that an e-mail came from.")
        return self

    @property
    def channel(self) -> str:
        return "sms" if self.number else "email"

    @property
    def said(self) -> str:
        """The words; of an e-mail its first line, for what it answers stands below."""
        return self.text if self.number else next((row for row in self.text.splitlines() if row.strip()), "")


def _replied(given: Reply) -> list[int]:
    """Whose reply it is: the account with this number, or all whose customer has this address; by id."""
    if given.number:
        line = customers.living_line(given.number)
        return [line.account_id] if line is not None else []
    return customers.with_email(given.email.strip())


def _reply_account(given: Reply) -> Locks:
    return Locks(accounts=tuple(_replied(given)))


def reply(act: Act, given: Reply, scene: Scene) -> Done:
    """STOP ends messages on its channel at once, and is confirmed once; START begins them again. Anything else is only written down."""
    accounts, channel = _replied(given), given.channel
    if not accounts:
        raise refuse("NOT_FOUND", "No line has this number." if given.number else "No customer has this address.")
    if given.number and given.text.strip().rstrip(".!").upper() in scene.rulebook.object_words and (leaving := activations.leaving(accounts[0])):
        return _stays(act, scene, accounts[0], [row.number for row in leaving], given.text)
    if "contact_rules.toml" not in scene.rulebook.files:
        raise refuse("CONFLICT", "The rulebook in force has no contact_rules.toml, so nobody knows what ends texts.", rule="no-contact-rules")
    chain, policy = journal.account_chain(accounts[0]), scene.rulebook.outbound
    stops, what = policy.stops(given.said), "texts" if given.number else "e-mails"
    payload = {"text": given.text}
    if stops is None:
        return Done(f"A reply to {'a text' if given.number else 'an e-mail'}, neither STOP nor START", chain=chain, payload=payload)
    wishes = customers.wishes(accounts)
    if not stops:
        begun: set[int] = set()
        for account_id in accounts:
            for topic, on in sorted(wishes[account_id].refused):
                if on == channel and not policy.needs(topic, on):  # a yes that has to be asked for is not given by START
                    customer_operations.consent(act=act, account_id=account_id, topic=topic, channel=channel, granted=True, source="reply")
                    begun.add(account_id)
        return Done(say := f"START by reply: {what} again", chain=chain, payload=payload, also=_of_others(say, begun, accounts[0]))
    sent = journal_queries.sent_since(accounts, act.at - timedelta(days=30))
    ended: dict[int, str] = {}
    for account_id in accounts:
        told = [t for a, t, c, _ in sent if a == account_id and c == channel and policy.class_of(t) != "free"]
        topic = "all" if policy.scope_is_all(civil_date(act.at, settings.CARRIER_ZONE)) or not told else policy.stopped(told[-1])
        if not {(topic, channel), ("all", channel)} & wishes[account_id].refused:
            ended[account_id] = topic
            customer_operations.consent(act=act, account_id=account_id, topic=topic, channel=channel, granted=False, source="reply")
    if not ended:
        return Done("STOP by reply, once more: it stands already", chain=chain, payload=payload)
    first, topic = next(iter(ended.items()))
    language = customers.language_of(first).partition("-")[0].lower()
    words = policy.confirmation.get(language, policy.confirmation["en"])
    tell(act=act, topic="stop_confirmation", channel=channel, to=given.number or given.email.strip(), body=words.format(carrier=settings.CARRIER_NAME),
         about=f"stop:{first}", account_id=first, expires_at=act.at + timedelta(minutes=5), subject=texts.subject(channel, "STOP"))  # fmt: skip
    say = f"STOP by reply: no more {what} about {', '.join(dict.fromkeys(t.replace('_', ' ') for t in ended.values()))}"
    return Done(say, data={"topic": topic, "cite": policy.stop_cite}, chain=chain, payload=payload, also=_of_others(say, ended, accounts[0]))


def _of_others(say: str, accounts: Iterable[int], first: int) -> tuple[tuple[str, Done], ...]:
    """The same line for each other account that a reply was about, in its own journal."""
    return tuple(("contacts.reply", Done(say, chain=journal.account_chain(pk))) for pk in sorted(accounts) if pk != first)


def _stays(act: Act, scene: Scene, account_id: int, orders: Sequence[str], text: str) -> Done:
    """A number that waits to go to another carrier stays, and the account is locked against a second try."""
    care_operations.set_locks(act=act, account_id=account_id, port=True)
    return Done(f"NO by reply: locked against porting out{keep_numbers(act, scene, account_id)}", data={"orders": list(orders)}, chain=journal.account_chain(account_id), payload={"text": text})


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
    also = expired_lines(approvals.end_with_account(act=act, contact_id=contact.pk, account_id=given.account))
    say = f"{contact.reference}: account chosen"
    if moved:
        say = f"{contact.reference}: moved to this account"
        also += (_left(act, scene, contact.reference),)
    return Done(say, _ref(contact), chain=journal.account_chain(given.account), also=also)


def _left(act: Act, scene: Scene, reference: str) -> tuple[str, Done]:
    """The account that the contact leaves hears of it in its own journal, and links that a stranger asked for there are
    closed: nobody was verified, so nothing says that it was the account they meant to pay."""
    before = scene.contact.account_id
    closed = ledger.close_guest_links(account_id=before, asked_in=act.basis.key)
    say = f"{reference}: moved to another account" + (f"; payment link {', '.join(closed)} closed" if closed else "")
    return "contacts.identify", Done(say, {"contact": reference}, chain=journal.account_chain(before))


def expired_lines(requests: Sequence[Any]) -> tuple[tuple[str, Done], ...]:
    """A line for each request that expired with what it was asked in: on its account's chain, or its asker's."""
    return tuple(
        (
            approval_rules.EXPIRE,
            Done(
                approval_rules.expired(row.title),
                {"request": str(row.pk)},
                data={"asked_by": f"Staff:{row.asker_id}"},
                chain=journal.account_chain(row.account_id) if row.account_id else journal.staff_chain(str(row.asker_id)),
            ),
        )
        for row in requests
    )


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
    expired = approvals.end_with_contact(act=act, contact_id=contact.pk)
    return Done(f"{contact.reference}: the caller is gone", _ref(contact), also=expired_lines(expired))


def wrap_up(act: Act, given: WrapUp, scene: Scene) -> Done:
    known = scene.rulebook.reasons
    wrong = {
        name: "Choose one of the list."
        for name in ("disposition", "root_cause")
        if getattr(given, name) not in known[name]
    }
    if wrong:
        raise refuse("INVALID", "Choose how it ended and what caused it.", fields=wrong)
    if known["disposition"][given.disposition].get("owes") and not given.follow_up:
        raise refuse("INVALID", "Say what we still owe, so that somebody keeps the promise.", fields={"follow_up": "Say what we owe, and by when."})
    if given.follow_up and not given.due_on:
        raise refuse("INVALID", "A promise has a day.", fields={"due_on": "Say by when the follow-up is due."})
    if given.due_on and not given.follow_up:
        raise refuse("INVALID", "A day is for a promise.", fields={"follow_up": "Say what is due then, or take the day out."})
    if given.due_on and given.due_on < civil_date(act.at, settings.CARRIER_ZONE):
        raise refuse("INVALID", "A follow-up lies ahead.", fields={"due_on": "Choose a day from today on."})
    if given.owner and (staff.person(given.owner) is None):
        raise refuse("NOT_FOUND", "Choose who keeps the promise.", fields={"owner": "Choose a colleague."})
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
    if given.back:
        contact, name = operations.withdraw_offer(act=act)
        return Done(f"{contact.reference} no longer offered to {name}", _ref(contact))
    to = staff.person(given.to) if given.to else None
    if given.to and to is None:
        raise refuse("NOT_FOUND", "There is no such colleague.", fields={"to": "Choose a colleague."})
    if to is None or not to.is_active or to.role in ("administrator", "agent", "service"):
        raise refuse("INVALID", "Choose a colleague who takes contacts.", fields={"to": "Choose a colleague."})
    contact = operations.offer(act=act, to_id=to.pk, words=given.words)
    return Done(f"{contact.reference} offered to {to.name}", _ref(contact), payload={"words": given.words})


def accept(act: Act, given: Nothing, scene: Scene) -> Done:
    contact = operations.accept(act=act)
    return Done(f"{contact.reference} taken over by {act.who.name}", _ref(contact))


def decline(act: Act, given: Decline, scene: Scene) -> Done:
    contact = operations.decline_offer(act=act, words=given.words)
    return Done(f"{contact.reference} not taken over by {act.who.name}", _ref(contact), payload={"words": given.words})


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


def keep_draft(
    *, who: Who, contact_id: int, kind: DraftKind, about: int, text: str, at: datetime, was: str | None = None
) -> str | None:
    """The declared exception to perform: typed words go into a row of their own, with no line and no key.

    `about`: the account on whose page they were typed (0: none), whatever the contact is about by now. `was`: what the
    typist knew to be kept before. Returns None when they are kept, or the sentence that says why not (a card number, a PIN;
    not this person's contact; other words of another tab).
    """
    if cards.card_numbers(text):
        return cards.MESSAGE
    if writes_pin(text, contact_id, queries.pin_marks(contact_id)):
        return pins.WRITTEN
    text = text.replace("\0", "")  # PostgreSQL keeps none
    fate = operations.save_draft(contact_id=contact_id, holder_id=int(who.id), kind=kind, about=about, text=text, was=was, at=at)
    return {
        "kept": None,
        "others": "Another tab has other words here. Reload to see both.",
        "not_theirs": "This contact is not yours any more. Copy your words.",
    }[fate]


ACTS = [
    ActType("contacts.ring", "Ring", Ring, ring),
    ActType("contacts.reply", "A text came back", Reply, reply, locks=_reply_account, moves=True),
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
    ActType("contacts.decline", "Decline a hand-over", Decline, decline),
    ActType("contacts.drop", "The line dropped", Nothing, drop),
    ActType("contacts.reconnect", "The caller is back", Nothing, reconnect),
    ActType("contacts.end", "End and wrap up", Nothing, end, key="e", on_page=True),
    ActType("contacts.wrap_up", "Close the contact", WrapUp, wrap_up),
    ActType("contacts.finish_follow_up", "Follow-up done", FollowUp, finish_follow_up),
]
