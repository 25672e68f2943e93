"""Contacts as they stand: the one I hold, those that wait, and what is known of one."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, OuterRef, Q

from careline.domain.contacts import rules
from careline.domain.contacts.models import Code, Contact, FactorCount, FollowUp, Note, Span
from careline.domain.customers import queries as customers
from careline.domain.ledger import queries as ledger
from careline.foundation.act import Basis, Level, Who
from careline.foundation.calendar import civil_date


@dataclass(frozen=True)
class Standing:
    """A contact with what counts now: its basis for this principal and the common facts of every decision."""

    contact: Contact
    basis: Basis
    facts: dict[str, Any]


def contact(contact_id: int | None = None, *, reference: str | None = None) -> Contact | None:
    """One contact with its account, customer, person and holder, and the caller's right on the account."""
    found = Contact.objects.select_related(
        "account", "account__customer", "person", "holder", "admitted_by", "offered_to"
    ).annotate(
        right=customers.right_subquery(OuterRef("account_id"), OuterRef("person_id"), "right"),
        may_money=customers.right_subquery(OuterRef("account_id"), OuterRef("person_id"), "may_money"),
        may_service=customers.right_subquery(OuterRef("account_id"), OuterRef("person_id"), "may_service"),
        right_until=customers.right_subquery(OuterRef("account_id"), OuterRef("person_id"), "until"),
        card=ledger.card_subquery(OuterRef("account_id")),
        charge_state=ledger.charge_state_subquery(OuterRef("account_id")),
    )
    wanted = {"reference": reference} if reference is not None else {"pk": contact_id}
    return found.filter(**wanted).first()


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
            "admitted": row.admitted_account_id is not None and row.admitted_account_id == row.account_id,
        },
    )


def open_of(staff_id: int | str) -> Contact | None:
    """The contact that this person has in hand: live or held first, then the one to wrap up, then a dropped one."""
    order = {"live": 0, "held": 0, "wrap_up": 1, "dropped": 2}
    rows = list(
        Contact.objects.filter(holder_id=staff_id, state__in=rules.OPEN)
        .select_related("account")
        .order_by("-began")[:5]
    )
    return min(rows, key=lambda r: order[r.state], default=None)


def all_open_of(staff_id: int | str) -> list[Contact]:
    return list(
        Contact.objects.filter(holder_id=staff_id, state__in=rules.OPEN).select_related("account").order_by("-began")
    )


def ringing() -> list[Contact]:
    """Calls that nobody has answered, longest waiting first."""
    return list(Contact.objects.filter(state=rules.State.RINGING).order_by("began")[:10])


def offered_to(staff_id: int | str) -> list[Contact]:
    """Contacts that a colleague wants to hand over to this person."""
    return list(
        Contact.objects.filter(offered_to_id=staff_id, state__in=rules.OPEN).select_related("holder", "account")
    )


def spans_of(contact_id: int) -> list[rules.Span]:
    return [rules.Span(s.kind, s.began, s.ended) for s in Span.objects.filter(contact_id=contact_id).order_by("pk")]


def notes_of(account_id: int, limit: int = 20) -> list[Note]:
    """Pinned notes first, then the newest."""
    return list(
        Note.objects.filter(account_id=account_id).select_related("author").order_by("-pinned", "-at")[:limit]
    )


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


def recent_of_account(account_id: int, since: datetime, but: int | None = None) -> list[Contact]:
    return list(
        Contact.objects.filter(account_id=account_id, began__gte=since)
        .exclude(pk=but)
        .exclude(state=rules.State.RINGING)
        .order_by("-began")[:20]
    )


def signals(recent: Sequence[Contact], at: datetime) -> list[customers.Signal]:
    """A third contact this week; the same reason again; something we promised."""
    week = [c for c in recent if at - c.began <= timedelta(days=7)]
    found = []
    if len(week) >= 2:
        found.append(
            customers.Signal(
                "repeat_contact",
                f"{_ordinal(len(week) + 1)} contact this week",
                f"Last: {week[0].summary[:90] or 'no summary'}",
                75,
                section="time",
            )
        )
    elif week:
        found.append(
            customers.Signal("second_contact", "2nd contact this week", week[0].summary[:90] or "No summary.", 40, section="time")
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


def state_counts() -> dict[str, int]:
    return {
        r["state"]: r["n"]
        for r in Contact.objects.filter(~Q(state=rules.State.CLOSED)).values("state").annotate(n=Count("pk"))
    }
