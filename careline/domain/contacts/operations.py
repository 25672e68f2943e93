"""One contact from first ring to wrap-up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from careline.domain.contacts import queries, rules
from careline.domain.contacts.models import Code, Contact, Draft, FactorCount, FollowUp, Note, Span
from careline.domain.journal.operations import next_numbers, tell
from careline.foundation.act import Act, Level
from careline.foundation.refusal import WayOn, refuse
from careline.prepared import prepared, save_columns, whole, write_many

CHOSEN = ["account", "person", "level", "factors", "level_at", "last_active", "pin_marks"]
OFFER = ["offered_to", "offered_words", "declined_by", "declined_words"]


def lock(contact_id: int) -> Contact | None:
    """Lock a contact: the basis row of a deed, after its accounts."""
    _lock_row(contact=contact_id)
    return queries.contact(contact_id)


@prepared
def _lock_row() -> QuerySet[Contact, tuple[int]]:
    return Contact.objects.select_for_update(no_key=True).filter(pk=whole("contact")).values_list("pk")


def _fresh(act: Act) -> Contact:
    if act.basis.id is None:
        raise refuse("BASIS_MISMATCH", "This needs a contact. Open one first.")
    return _plain(contact=act.basis.id)[0]


@prepared
def _plain() -> QuerySet[Contact]:
    return Contact.objects.filter(pk=whole("contact"))


def _begin_span(contact: Contact, kind: str, at: datetime) -> None:
    Span.objects.filter(contact=contact, ended=None).update(ended=at)
    write_many([Span(contact=contact, staff_id=contact.holder_id, kind=kind, began=at)])


def _take(contact: Contact, fields: list[str]) -> None:
    """Save, or say that this person has a live call already (the constraint decides, not a look before)."""
    try:
        with transaction.atomic():
            save_columns(contact, fields)
    except IntegrityError:
        raise refuse("CONFLICT", "You have a live call already. End it or hand it over first.") from None


def ring(*, act: Act, caller_number: str, channel: str = "voice") -> Contact:
    """An inbound call that nobody has answered yet."""
    return Contact.objects.create(
        reference=next_numbers("contact", "C")[0],
        channel=channel,
        caller_number=caller_number,
        state=rules.State.RINGING,
        last_active=act.at,
        began=act.at,
    )


def open_contact(
    *, act: Act, channel: str, inbound: bool, caller_number: str, reason: str, account_id: int | None, person_id: int | None
) -> Contact:
    """A contact that the associate starts, with or without an account."""
    contact = Contact(
        reference=next_numbers("contact", "C")[0],
        channel=channel,
        inbound=inbound,
        caller_number=caller_number,
        reason=reason,
        state=rules.State.LIVE,
        holder_id=int(act.who.id),
        last_active=act.at,
        began=act.at,
    )
    if account_id is not None:
        contact.choose(account_id, person_id, act.at)
    try:
        with transaction.atomic():
            contact.save(force_insert=True)
    except IntegrityError:
        raise refuse("CONFLICT", "You have a live call already. End it or hand it over first.") from None
    _begin_span(contact, rules.SpanKind.TALK, act.at)
    return contact


def answer(*, act: Act, contact_id: int) -> Contact:
    """Take a ringing call. Two who answer at once: the second is told who has it."""
    Contact.objects.select_for_update(no_key=True).get(pk=contact_id)
    contact = Contact.objects.select_related("holder").get(pk=contact_id)  # as it is once the lock is ours
    if contact.state != rules.State.RINGING:
        raise refuse("CONFLICT", f"{contact.holder.name if contact.holder else 'Somebody'} has this call already.")
    contact.state, contact.holder_id, contact.last_active = rules.State.LIVE, int(act.who.id), act.at
    _take(contact, ["state", "holder", "last_active"])
    _begin_span(contact, rules.SpanKind.TALK, act.at)
    return contact


def identify(*, act: Act, account_id: int, person_id: int | None) -> Contact:
    """Choose the account that this contact is about, or move it to the right one: nothing proven any more."""
    contact = _fresh(act)
    if contact.state not in rules.TALKING and contact.state != rules.State.WRAP_UP:
        raise refuse("CONFLICT", "This contact is not open any more.")
    if contact.state == rules.State.WRAP_UP:
        raise refuse("CONFLICT", "The caller is gone; the account cannot be changed now.")
    contact.choose(account_id, person_id, act.at)
    save_columns(contact, CHOSEN)
    return contact


def set_person(*, act: Act, person_id: int | None) -> Contact:
    """Another voice: who is speaking, and nothing proven."""
    contact = _fresh(act)
    contact.choose(contact.account_id or 0, person_id, act.at)
    save_columns(contact, CHOSEN)
    return contact


def set_reason(*, act: Act, reason: str) -> None:
    Contact.objects.filter(pk=act.basis.id).update(reason=reason)


def touch(*, contact_id: int, at: datetime) -> None:
    """The level lives 30 minutes from the last look or deed; written at most once a minute."""
    Contact.objects.filter(pk=contact_id, last_active__lt=at - timedelta(seconds=60)).update(last_active=at)


def _lapse(contact: Contact, act: Act) -> list[str]:
    """A level that ended in silence stays ended: a move that wakes the contact must not bring it back. (Wrap-up may
    read what was shown.) Returns the columns to save."""
    if not contact.level >= Level.VERIFIED > act.basis.level:
        return []
    contact.unprove()
    return ["level", "factors", "level_at"]


def _move(act: Act, frm: frozenset[str] | set[str], to: str, span: str | None, say: str) -> Contact:
    contact = _fresh(act)
    if contact.state not in frm:
        raise refuse("CONFLICT", say)
    contact.state, contact.last_active = to, act.at
    _take(contact, ["state", "last_active", *([] if to == rules.State.WRAP_UP else _lapse(contact, act))])
    if span:
        _begin_span(contact, span, act.at)
    return contact


def hold(*, act: Act) -> Contact:
    return _move(act, {rules.State.LIVE}, rules.State.HELD, rules.SpanKind.HOLD, "Only a live contact can be put on hold.")


def resume(*, act: Act) -> Contact:
    return _move(act, {rules.State.HELD}, rules.State.LIVE, rules.SpanKind.TALK, "This contact is not on hold.")


def drop(*, act: Act) -> Contact:
    """The line dropped: the contact waits for the caller to come back. While it waits it counts as identified
    (`rules.level_now`); ended like this, who held it may still note what was shown."""
    contact = _move(act, rules.TALKING, rules.State.DROPPED, None, "This contact is not live.")
    Span.objects.filter(contact=contact, ended=None).update(ended=act.at)
    return contact


def reconnect(*, act: Act) -> Contact:
    """The caller is back after a dropped line: the same contact, to be verified again."""
    contact = _move(act, {rules.State.DROPPED}, rules.State.LIVE, rules.SpanKind.TALK, "This line was not dropped.")
    _end_call_backs(act)
    contact.unprove()
    save_columns(contact, ["level", "factors", "level_at"])
    return contact


def end(*, act: Act) -> Contact:
    """The caller is gone: after-call work begins."""
    contact = _move(
        act, rules.TALKING | {rules.State.DROPPED}, rules.State.WRAP_UP, rules.SpanKind.WRAP, "This contact has ended already."
    )
    contact.ended = act.at
    contact.offer_over()
    save_columns(contact, ["ended", *OFFER])
    return contact


def close(
    *, act: Act, summary: str, disposition: str, root_cause: str, follow_up: str, due_on: date | None, owner_id: int | None
) -> Contact:
    """Wrap up: the contact is closed with what happened, why, and what we still owe."""
    contact = _fresh(act)
    if contact.state != rules.State.WRAP_UP:
        raise refuse("CONFLICT", "End the contact before you wrap it up.")
    contact.state, contact.closed = rules.State.CLOSED, act.at
    contact.summary, contact.disposition, contact.root_cause, contact.pin_marks = summary, disposition, root_cause, ""
    save_columns(contact, ["state", "closed", "summary", "disposition", "root_cause", "pin_marks"])
    Draft.objects.filter(contact=contact).delete()
    Span.objects.filter(contact=contact, ended=None).update(ended=act.at)
    if follow_up and due_on:
        FollowUp.objects.create(
            account_id=contact.account_id,
            contact=contact,
            owner_id=owner_id or int(act.who.id),
            due_on=due_on,
            what=follow_up,
        )
    return contact


def offer(*, act: Act, to_id: int, words: str) -> Contact:
    """Offer a warm hand-over: the colleague sees it with its summary; the contact stays with its holder until taken."""
    contact = _fresh(act)
    if contact.state not in rules.TALKING:
        raise refuse("CONFLICT", "Only a live contact can be handed over.")
    if to_id == contact.holder_id:
        raise refuse("INVALID", "That is you.", fields={"to": "Choose a colleague."})
    contact.offer_over()
    contact.offered_to_id, contact.offered_words = to_id, words
    save_columns(contact, OFFER)
    return contact


def withdraw_offer(*, act: Act) -> tuple[Contact, str]:
    """Keep a contact that was offered to somebody, and take the offer back. Returns it with the name of whom it was offered to."""
    contact = _fresh(act)
    if contact.offered_to is None:
        raise refuse("CONFLICT", "This contact is offered to nobody.")
    name = contact.offered_to.name
    contact.offer_over()
    save_columns(contact, OFFER)
    return contact, name


def decline_offer(*, act: Act, words: str) -> Contact:
    """Say no to a contact that was offered to oneself: it stays with its holder, who sees who said no, and why."""
    contact = _fresh(act)
    if contact.offered_to_id != int(act.who.id) or contact.state not in rules.TALKING:
        raise refuse("CONFLICT", "This contact is not offered to you any more.")
    contact.offer_over()
    contact.declined_by_id, contact.declined_words = int(act.who.id), words
    save_columns(contact, OFFER)
    return contact


def accept(*, act: Act) -> Contact:
    """Take over an offered contact: same voice on the line, so its level stays."""
    contact = _fresh(act)
    if contact.offered_to_id != int(act.who.id) or contact.state not in rules.TALKING:
        raise refuse("CONFLICT", "This contact is not offered to you any more.")
    contact.holder_id, contact.last_active = int(act.who.id), act.at
    contact.offer_over()
    contact.state = rules.State.LIVE
    _take(contact, ["holder", "state", "last_active", *OFFER, *_lapse(contact, act)])
    _begin_span(contact, rules.SpanKind.TALK, act.at)
    return contact


def save_draft(*, contact_id: int, holder_id: int, kind: str, about: int, text: str, was: str | None, at: datetime) -> str:
    """Keep typed words: their own row only, no journal line, no key. `was`: the words that they replace, as their typist
    knew them (None: whatever they are). Returns `kept`, `others` (another tab wrote something else meanwhile, and it
    stays), or `not_theirs` (or closed)."""
    if not Contact.objects.filter(~Q(state=rules.State.CLOSED), pk=contact_id, holder_id=holder_id).exists():
        return "not_theirs"
    row = Draft(contact_id=contact_id, kind=kind, about=about, text="", at=at)
    Draft.objects.bulk_create([row], ignore_conflicts=True)
    # Compared and set in one statement: of two tabs that save at once the second hears of the first.
    rows = Draft.objects.filter(contact_id=contact_id, kind=kind, about=about)
    if was is not None:
        rows = rows.filter(text__in=["", was, text])
    return "kept" if rows.update(text=text, at=at) else "others"


def count_try(*, act: Act, account_id: int, factor: str, limit: int, lock_hours: int) -> bool:
    """Count a try as failed before it is judged, so that twenty racing guesses count as twenty. True: it locks now.

    Raises a refusal when the factor is locked already. The account is locked, so the tries queue up.
    """
    row, _ = FactorCount.objects.get_or_create(account_id=account_id, factor=factor)
    if rules.lockout(row.failures, row.locked_until, limit, act.at).is_locked(act.at):
        raise refuse("LOCKED", "This way of verifying is locked for now.", rule=f"{factor}-locked")
    locks = row.fail(act.at, limit, lock_hours)
    save_columns(row, ["failures", "locked_until"])
    return locks


def prove(*, act: Act, account_id: int, person_id: int | None, factor: str, level: int, pin_mark: str = "") -> Contact:
    """A factor was proven by this person: the level rises and the factor's failures are forgotten. Factors whose level
    had ended in silence count no more."""
    FactorCount.objects.filter(account_id=account_id, factor=factor).update(failures=0, locked_until=None)
    contact = _fresh(act)
    if (contact.account_id, contact.person_id) != (account_id, person_id) or contact.state not in rules.TALKING:
        raise refuse("CONFLICT", "The contact moved on while the caller was being verified. Verify again.")
    _lapse(contact, act)
    contact.prove(factor, level, act.at)
    if pin_mark:
        contact.heard_pin(pin_mark)
    save_columns(contact, ["factors", "level", "level_at", "last_active", "pin_marks"])
    return contact


def heard_pin(*, act: Act, mark: str) -> None:
    """A PIN was typed in this contact: until it is closed, nothing is kept that has it in clear."""
    contact = _fresh(act)
    contact.heard_pin(mark)
    save_columns(contact, ["pin_marks"])


def send_code(*, act: Act, account_id: int, line_id: int, number: str, code: str, body: str, minutes: int, sends: int) -> Code:
    """Send a one-time code to a number of record. It leaves in the message, `body`, and is kept as a keyed hash."""
    if Code.objects.filter(contact_id=act.basis.id, account_id=account_id).exclude(hash="").count() >= sends:
        raise refuse("LOCKED", f"{sends} codes were sent in this contact already. Offer a call back.", rule="code-sends",
                     way_on=(WayOn("Call back the number of record", "contacts.call_back"),))
    expires = act.at + timedelta(minutes=minutes)
    row = Code.objects.create(
        contact_id=act.basis.id,
        account_id=account_id,
        line_id=line_id,
        hash=queries.code_hash(act.basis.id or 0, code),
        sent_at=act.at,
        expires_at=expires,
    )
    tell(
        act=act,
        topic="one_time_code",
        channel="sms",
        to=number,
        body=body,
        about=f"code:{row.pk}",
        account_id=account_id,
        expires_at=expires,
    )
    return row


def forget_tries(*, act: Act, account_id: int, factor: str) -> None:
    """Another PIN: what was tried with the one before counts no more."""
    FactorCount.objects.filter(account_id=account_id, factor=factor).update(failures=0, locked_until=None)


def begin_call_back(*, act: Act, account_id: int, line_id: int, minutes: int) -> Code:
    """The caller's line is put down and a number of record is called. What was proven ends with the line, as it does
    when a line drops. The row is a code that nobody types (no hash); it is used when somebody picks up."""
    contact = _move(act, rules.TALKING | {rules.State.DROPPED}, rules.State.DROPPED, None, "There is nobody to call back.")
    Span.objects.filter(contact=contact, ended=None).update(ended=act.at)
    _end_call_backs(act)
    return Code.objects.create(
        contact_id=contact.pk,
        account_id=account_id,
        line_id=line_id,
        hash="",
        sent_at=act.at,
        expires_at=act.at + timedelta(minutes=minutes),
    )


def pick_up(*, act: Act, account_id: int, person_id: int, code_id: int) -> Contact:
    """The number of record was reached and this person is on the line: the same contact, nothing proven but by this."""
    contact = _move(act, {rules.State.DROPPED}, rules.State.LIVE, rules.SpanKind.TALK, "No call back is under way.")
    contact.choose(account_id, person_id, act.at)
    save_columns(contact, CHOSEN)
    use_code(act=act, code_id=code_id)
    return contact


def end_call_back(*, act: Act) -> None:
    """Nobody picked up, or somebody else did: the contact waits as it did."""
    _end_call_backs(act)


def _end_call_backs(act: Act) -> None:
    open_ones = Code.objects.filter(contact_id=act.basis.id, hash="", used_at=None, expires_at__gt=act.at)
    open_ones.update(expires_at=act.at)


def use_code(*, act: Act, code_id: int) -> bool:
    """Spend a code. False: somebody used it before."""
    return bool(Code.objects.filter(pk=code_id, used_at=None).update(used_at=act.at))


def add_note(*, act: Act, account_id: int, text: str, pinned: bool) -> Note:
    return Note.objects.create(
        account_id=account_id,
        contact_id=act.basis.contact_id,
        author_id=int(act.who.id),
        at=act.at,
        text=text,
        pinned=pinned,
    )


def pin_note(*, act: Act, note_id: int, pinned: bool) -> None:
    Note.objects.filter(pk=note_id).update(pinned=pinned)


def finish_follow_up(*, act: Act, follow_up_id: int) -> FollowUp:
    row = FollowUp.objects.select_for_update(no_key=True).filter(pk=follow_up_id, owner_id=int(act.who.id)).first()
    if row is None:
        raise refuse("NOT_FOUND", "This follow-up is not yours.")
    row.done_at = row.done_at or act.at
    save_columns(row, ["done_at"])
    return row


def admit(*, act: Act, contact_id: int, account_id: int, staff_id: int, by_id: int) -> None:
    """A second person lets this one open what is their own business; whoever holds the contact next is not admitted."""
    Contact.objects.filter(pk=contact_id).update(admitted_by_id=by_id, admitted_account_id=account_id, admitted_staff_id=staff_id)


def take_along(*, act: Act, account_id: int, person_id: int) -> Contact:
    """This contact, with what was written in it, belongs to the account that its caller has now; nothing proven any more."""
    contact = _fresh(act)
    Note.objects.filter(contact=contact, account_id=contact.account_id).update(account_id=account_id)
    Code.objects.filter(contact=contact, account_id=contact.account_id, used_at=None, expires_at__gt=act.at).update(expires_at=act.at)
    Draft.objects.filter(contact=contact, about=contact.account_id or 0).update(about=account_id)
    contact.offered_words = contact.declined_words = ""
    contact.choose(account_id, person_id, act.at)
    save_columns(contact, [*CHOSEN, "offered_words", "declined_words"])
    return contact


def redact_words(*, act: Act, account_id: int, moments: Sequence[datetime]) -> None:
    """Notes, summaries and follow-ups that were written at these moments: their place stays, their words go."""
    Note.objects.filter(account_id=account_id, at__in=moments).update(text="(redacted)")
    closed = Contact.objects.filter(account_id=account_id, closed__in=moments)
    FollowUp.objects.filter(contact__in=closed).update(what="(redacted)")
    closed.update(summary="")
