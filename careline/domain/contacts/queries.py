"""Contacts as they stand: the one I hold, those that wait, and what is known of one."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from textwrap import shorten
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import DurationField, ExpressionWrapper, F, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from careline.domain.contacts import rules
from careline.domain.contacts.models import Code, Contact, Draft, FactorCount, FollowUp, Note, Span
from careline.domain.customers import queries as customers
from careline.domain.journal import queries as journal
from careline.domain.ledger import queries as ledger
from careline.domain.network import queries as network
from careline.foundation import phone
from careline.foundation.act import Basis, Level, Who
from careline.foundation.calendar import civil_date, lives
from careline.foundation.outbound import Outbound
from careline.prepared import moment, prepared, text, whole


@dataclass(frozen=True)
class Standing:
    """A contact with what counts now: its basis for this principal and the common facts of every decision."""

    contact: Contact
    basis: Basis
    facts: dict[str, Any]


def contact(contact_id: int | None = None, *, reference: str | None = None) -> Contact | None:
    """One contact with its account, customer, person and holder, and the caller's right on the account."""
    if reference is not None:
        return _by_reference.first(reference=reference)
    return _by_id.first(contact=contact_id) if contact_id is not None else None


def pin_marks(contact_id: int) -> str:
    """The marks of the PINs that were typed in a contact."""
    return Contact.objects.filter(pk=contact_id).values_list("pin_marks", flat=True).first() or ""


def references_of(contact_ids: Collection[int]) -> dict[int, str]:
    """The references of contacts by their id."""
    return dict(Contact.objects.filter(pk__in=set(contact_ids)).values_list("pk", "reference"))


def _timed(rows: QuerySet[Contact]) -> QuerySet[Contact]:
    """With the talk of the spans that ended, and since when the open one runs: what `running_seconds` reads."""
    spans = Span.objects.filter(contact=OuterRef("pk"))
    talked = spans.filter(kind=rules.SpanKind.TALK, ended__isnull=False).values("contact")
    spent = Sum(ExpressionWrapper(F("ended") - F("began"), output_field=DurationField()))
    return rows.annotate(
        talked=Subquery(talked.annotate(spent=spent).values("spent")),
        span_began=Subquery(spans.filter(ended=None).order_by("-pk").values("began")[:1]),
    )


def running_seconds(row: Contact, now: datetime) -> int:
    """What the clock of a contact in hand shows: the talk of a live one, as its wrap-up will, without the ringing;
    else how long it has been held, dropped or in wrap-up."""
    began = getattr(row, "span_began", None)
    if row.state == rules.State.LIVE and began:
        return int(((getattr(row, "talked", None) or timedelta()) + (now - began)).total_seconds())
    return int((now - (began or (row.began if row.state == rules.State.RINGING else row.last_active))).total_seconds())


def _full() -> QuerySet[Contact]:
    return _timed(Contact.objects.select_related(
        "account", "account__customer", "person", "holder", "admitted_by", "offered_to", "declined_by"
    )).annotate(
        right=customers.right_subquery(OuterRef("account_id"), OuterRef("person_id"), "right"),
        may_money=customers.right_subquery(OuterRef("account_id"), OuterRef("person_id"), "may_money"),
        may_service=customers.right_subquery(OuterRef("account_id"), OuterRef("person_id"), "may_service"),
        right_until=customers.right_subquery(OuterRef("account_id"), OuterRef("person_id"), "until"),
        pin_set_at=customers.pin_subquery(OuterRef("account_id")),
        card=ledger.card_subquery(OuterRef("account_id")),
        troubled=network.open_near(OuterRef("account__postal_code")),
        charge_state=ledger.charge_state_subquery(OuterRef("account_id")),
        note_draft=_draft(rules.DraftKind.NOTE),
        summary_draft=_draft(rules.DraftKind.SUMMARY),
        handover_draft=_draft(rules.DraftKind.HANDOVER),
    )


def _draft(kind: rules.DraftKind) -> Subquery:
    """The words of this kind that were typed about the account that the contact is about now."""
    rows = Draft.objects.filter(contact=OuterRef("pk"), kind=kind, about=Coalesce(OuterRef("account_id"), 0))
    return Subquery(rows.values("text")[:1])


def form_kept(contact_id: int, account_id: int) -> str:
    """The form that waits until the caller of this contact is proven, as its door wrote it, or nothing."""
    rows = Draft.objects.filter(contact_id=contact_id, kind=rules.DraftKind.FORM, about=account_id)
    return rows.values_list("text", flat=True).first() or ""


@prepared
def _by_reference() -> QuerySet[Contact]:
    return _full().filter(reference=text("reference"))[:1]


@prepared
def _by_id() -> QuerySet[Contact]:
    return _full().filter(pk=whole("contact"))[:1]


def standing(row: Contact, *, who: Who, at: datetime, idle_minutes: int) -> Standing:
    """What this contact allows this principal now. Asks the database only when the account is a member of staff's."""
    level = rules.level_now(
        state=row.state,
        stored=row.level,
        account_chosen=row.account_id is not None,
        last_active=row.last_active,
        now=at,
        idle_minutes=idle_minutes,
    )
    right = getattr(row, "right", None) or "stranger"
    until: date | None = getattr(row, "right_until", None)
    if until and until < civil_date(at, settings.CARRIER_ZONE):
        right = "stranger"
    own = "none"
    if row.account and row.account.staff_marked:
        own = customers.ties_with(row.account_id or 0, who)
    mine = row.holder_id is not None and str(row.holder_id) == who.id
    basis = Basis("contact", row.pk, row.account_id, level, row.reference, row.pk)
    return Standing(
        row,
        basis,
        {
            "kind": "contact",
            "level": int(level),
            "mine": mine,
            "state": row.state,
            "caller": right if level >= Level.IDENTIFIED else "stranger",
            "mayMoney": bool(getattr(row, "may_money", False)) and right != "stranger",
            "mayService": bool(getattr(row, "may_service", False)) and right != "stranger",
            "ownBusiness": own,
            "admitted": row.account_id is not None and admitted(row, who, row.account_id),
        },
    )


def admitted(row: Contact, who: Who, account_id: int) -> bool:
    """Did a second person admit this very person to this account in this contact? An admission is nobody else's."""
    return row.admitted_account_id == account_id and who.kind == "Staff" and str(row.admitted_staff_id) == who.id


def open_of(staff_id: int | str) -> Contact | None:
    """The contact that this person has in hand: live or held first, then the one to wrap up, then a dropped one."""
    order = {"live": 0, "held": 0, "wrap_up": 1, "dropped": 2}
    rows = _in_hand(staff=int(staff_id))
    return min(rows, key=lambda r: order[r.state], default=None)


@prepared
def _in_hand() -> QuerySet[Contact]:
    rows = Contact.objects.filter(holder_id=whole("staff"), state__in=rules.OPEN)
    return _timed(rows).select_related("account").order_by("-began")[:5]


def all_open_of(staff_id: int | str) -> list[Contact]:
    return list(
        _timed(Contact.objects.filter(holder_id=staff_id, state__in=rules.OPEN)).select_related("account").order_by("-began")
    )


def ringing() -> list[Contact]:
    """Calls that nobody has answered, longest waiting first."""
    return list(Contact.objects.filter(state=rules.State.RINGING).order_by("began")[:10])


def offered_to(staff_id: int | str) -> list[Contact]:
    """Contacts that a colleague wants to hand over to this person."""
    return list(
        Contact.objects.filter(offered_to_id=staff_id, state__in=rules.OPEN).select_related("holder", "account")
    )


def had(contact_id: int, staff_id: int | str) -> bool:
    """Whether this person ever had this contact: a stretch of its time is theirs."""
    return Span.objects.filter(contact_id=contact_id, staff_id=staff_id).exists()


def spans_of(contact_id: int) -> list[rules.Span]:
    return [rules.Span(s.kind, s.began, s.ended) for s in Span.objects.filter(contact_id=contact_id).order_by("pk")]


def notes_of(account_id: int, limit: int = 20) -> list[Note]:
    """Pinned notes first, then the newest."""
    return _notes(limit, account=account_id)


@prepared
def _notes(limit: int) -> QuerySet[Note]:
    rows = Note.objects.filter(account_id=whole("account")).select_related("author")
    return rows.order_by("-pinned", "-at")[:limit]


def note(note_id: int) -> Note | None:
    return Note.objects.filter(pk=note_id).first()


def follow_ups_of(staff_id: int | str) -> list[FollowUp]:
    """What this person owes customers, soonest first."""
    return list(
        FollowUp.objects.filter(owner_id=staff_id, done_at=None)
        .select_related("account", "contact")
        .order_by("due_on", "pk")[:50]
    )


def follow_up(follow_up_id: int) -> FollowUp | None:
    return FollowUp.objects.filter(pk=follow_up_id).first()


def lockouts(account_id: int, policy: dict[str, Any], at: datetime) -> dict[str, rules.Lockout]:
    """Each factor's tries left, or until when it is locked."""
    counted = {c.factor: c for c in FactorCount.objects.filter(account_id=account_id)}
    found = {}
    for factor in rules.Factor:
        row = counted.get(factor)
        found[factor.value] = rules.lockout(
            row.failures if row else 0, row.locked_until if row else None, policy[factor]["failures"], at
        )
    return found


def code_hash(contact_id: int, code: str) -> str:
    """A one-time code's keyed hash. Fast on purpose: a code lives minutes and three tries; the key is outside."""
    return hmac.new(settings.PEPPER, f"{contact_id}:{code}".encode(), hashlib.sha256).hexdigest()


def codes_of(contact_id: int, account_id: int) -> list[Code]:
    """The codes sent in this contact for this account, newest first."""
    return list(
        Code.objects.filter(contact_id=contact_id, account_id=account_id).select_related("line").order_by("-sent_at")
    )


def code_waiting(codes: Sequence[Code], at: datetime) -> Code | None:
    """The newest code that was sent and can still be typed."""
    return next((c for c in codes if c.hash and c.used_at is None and c.expires_at > at), None)


def call_back_open(codes: Sequence[Code], at: datetime) -> Code | None:
    """The call back that is under way."""
    return next((c for c in codes if not c.hash and c.used_at is None and lives(c.sent_at, c.expires_at, at)), None)


class Recent(NamedTuple):
    """What of a contact says whether somebody calls again, and whether a colleague is in it."""

    began: datetime
    state: str
    summary: str
    holder_id: int | None
    holder: str | None


def recent_of_account(account_id: int, since: datetime, but: int | None = None) -> list[Recent]:
    """The account's contacts since then without this one, newest first, the latest 20."""
    return [Recent(*row) for row in _recent(account=account_id, since=since, but=but or 0)]


@prepared
def _recent() -> QuerySet[Contact, Any]:
    rows = Contact.objects.filter(account_id=whole("account"), began__gte=moment("since"))
    rows = rows.exclude(pk=whole("but")).exclude(state=rules.State.RINGING).order_by("-began")
    return rows.values_list("began", "state", "summary", "holder_id", "holder__name")[:20]


MOST_ZONES = 6  # a number that may be anywhere on the continent says nothing of where somebody is
PAST_DUE = "past_due"  # the reason of a contact about money that is past due


def reaches(wanted: Sequence[tuple[int, str]], policy: Outbound, at: datetime, quiet: Collection[int] = ()) -> dict[int, rules.Reach]:
    """What is known of these accounts' customers for whoever wants to reach them. `wanted`: account and number or address, a number
    for the zones and the state of its area code; `quiet`: accounts on which nobody is to be reached."""
    ids = sorted({account_id for account_id, _ in wanted})
    since = at - timedelta(days=max([c.days for c in (*policy.caps.values(), *(s.cap for s in policy.states.values() if s.cap))] + [c.after_conversation for c in policy.caps.values()]))
    touches: dict[int, list[rules.Touch]] = {pk: [] for pk in ids}
    for account_id, topic, channel, sent_at in journal.sent_since(ids, since):
        if policy.class_of(topic) == "collections":
            touches[account_id].append(rules.Touch(sent_at, channel))
    about = Contact.objects.filter(account_id__in=ids, began__gte=since, reason=PAST_DUE, channel=rules.Channel.VOICE)
    for account_id, inbound, began, person_id, disposition in about.values_list("account_id", "inbound", "began", "person_id", "disposition"):
        if account_id is not None and not inbound:
            touches[account_id].append(rules.Touch(began, "call"))
        if account_id is not None and person_id is not None and disposition != "no_contact":
            touches[account_id].append(rules.Touch(began, "call", True))
    numbers: dict[int, set[str]] = {pk: set() for pk in ids}
    also: dict[int, set[str]] = {pk: set() for pk in ids}
    for account_id, to in wanted:
        zones = phone.zones(to) if to.startswith("+") else ()
        numbers[account_id] |= set(zones if len(zones) <= MOST_ZONES else ())
        also[account_id] |= policy.states_of(to)
    wishes = customers.wishes(ids)
    return {
        pk: rules.Reach(tuple(sorted({one.zone, *numbers[pk]})), one.state, frozenset(wishes[pk].refused), pk in quiet, tuple(touches[pk]), frozenset(wishes[pk].granted), frozenset(also[pk]))
        for pk, one in customers.owing(ids).items()
    }


def ways(account_ids: Sequence[int], topic: str, policy: Outbound | None, letter: bool = False, first: Mapping[int, str] | None = None) -> dict[int, rules.Way]:
    """How each of these accounts is told about a topic: by text to a number that gets texts now (a line that is wholly suspended gets none; `first`:
    rather to this one, of which the caller knows that it gets them), else by e-mail, else, with `letter`, by letter; never on a channel on which they said STOP to it. An account that
    nothing reaches is not among them. Three questions, however many."""
    if not account_ids:
        return {}
    numbers, wishes = customers.texted(account_ids), customers.wishes(account_ids)
    found = {}
    for pk, one in customers.owing(account_ids).items():
        number = (first or {}).get(pk) or numbers.get(pk, "")
        arrive = [rules.Way(c, to) for c, to in (("sms", number), ("email", one.email), ("letter", one.reference if letter else "")) if to]
        if (chosen := rules.way(policy, topic, arrive, wishes[pk].refused, wishes[pk].granted)) is not None:
            found[pk] = chosen
    return found


def signals(recent: Sequence[Recent], at: datetime) -> list[customers.Signal]:
    """A third contact this week; the same reason again; something we promised."""
    week = [c for c in recent if at - c.began <= timedelta(days=7)]
    found = []
    if len(week) >= 2:
        found.append(
            customers.Signal(
                "repeat_contact",
                f"{_ordinal(len(week) + 1)} contact this week",
                f"Last: {shorten(week[0].summary, 90, placeholder=' …') or 'no summary'}",
                75,
                section="time",
            )
        )
    elif week:
        found.append(
            customers.Signal("second_contact", "2nd contact this week", shorten(week[0].summary, 90, placeholder=" …") or "No summary.", 40, section="time")
        )
    return found


def _ordinal(n: int) -> str:
    return f"{n}{'th' if 10 <= n % 100 <= 20 else {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10, 'th')}"


def day_numbers(staff_id: int | str, since: datetime, now: datetime) -> dict[str, int]:
    """How this person's day stands: contacts closed and their mean handle time in seconds."""
    rows = Contact.objects.filter(holder_id=staff_id, state=rules.State.CLOSED, closed__gte=since)
    ids = list(rows.values_list("pk", flat=True))
    spans: dict[int, list[rules.Span]] = {}
    for s in Span.objects.filter(contact_id__in=ids):
        spans.setdefault(s.contact_id, []).append(rules.Span(s.kind, s.began, s.ended))
    handle = [rules.clock(spans.get(pk, []), now).handle for pk in ids]
    return {"contacts": len(ids), "handle_seconds": sum(handle) // len(handle) if handle else 0}
