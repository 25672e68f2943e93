"""Asking, answering, withdrawing and expiring requests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from careline.domain.approvals import queries, rules
from careline.domain.approvals.models import Request
from careline.domain.contacts import operations as contacts
from careline.foundation.act import Act
from careline.foundation.refusal import refuse


def ask(
    *,
    act: Act,
    kind: str,
    code: str,
    input: dict[str, Any],
    title: str,
    words: str,
    rule: tuple[str, str, str],
    roles: tuple[str, ...],
    facts: dict[str, Any],
    amount_minor: int | None,
    account_id: int | None,
    minutes: int,
) -> Request:
    """Write a request down; one waits at a time for a contact and an act. (An admission is one person's: a colleague to
    whom the contact is offered asks for their own.)"""
    same = Request.objects.filter(contact_id=act.basis.id, code=code, state=rules.State.WAITING, expires_at__gt=act.at)
    if (same.filter(asker_id=int(act.who.id)) if kind == rules.Kind.ADMIT else same).exists():
        raise refuse("CONFLICT", "A request for this is waiting already. Withdraw it before you ask again.")
    return Request.objects.create(
        kind=kind,
        code=code,
        input=json.dumps(input),
        account_id=account_id,
        contact_id=act.basis.id,
        asker_id=int(act.who.id),
        asked_at=act.at,
        expires_at=act.at + timedelta(minutes=minutes),
        title=title,
        words=words,
        rule=rule[0],
        rule_say=rule[1],
        rule_cite=rule[2],
        roles=",".join(roles),
        facts=json.dumps(facts),
        level=int(act.basis.level),
        amount_minor=amount_minor,
    )


def wait_until(request_id: int, until: datetime) -> None:
    """Let a request wait longer than the rulebook's minutes: that of a made-up carrier, whose lead comes when a visitor likes."""
    Request.objects.filter(pk=request_id, state=rules.State.WAITING).update(expires_at=until)


def lock(request_id: int) -> Request | None:
    """Lock a request, the basis row of a decision, after its contact: whoever ends the contact locks them so too."""
    contact_id = Request.objects.filter(pk=request_id).values_list("contact_id", flat=True).first()
    if contact_id is not None:
        contacts.lock(contact_id)
    Request.objects.select_for_update(no_key=True).filter(pk=request_id).first()
    return queries.request(request_id)


def decide(
    *, act: Act, request_id: int, state: str, answer: str, granted_minor: int | None = None
) -> Request:
    """Answer a waiting request; who comes second is told who was first."""
    row = Request.objects.select_related("decided_by").get(pk=request_id)
    now = queries.state_now(row, act.at)
    if now != rules.State.WAITING:
        by = f" by {row.decided_by.name}" if row.decided_by else ""
        raise refuse("CONFLICT", f"This request is not waiting any more: {now}{by}.")
    row.state, row.answer, row.granted_minor = state, answer, granted_minor
    row.decided_by_id, row.decided_at = int(act.who.id), act.at
    row.save(update_fields=["state", "answer", "granted_minor", "decided_by", "decided_at"])
    return row


def withdraw(*, act: Act, request_id: int) -> Request:
    """Take back what one asked, or what was asked in the contact that one holds now: a hand-over brings it along."""
    row = Request.objects.select_for_update(no_key=True, of=("self",)).select_related("contact").filter(pk=request_id).first()
    mine = row is not None and act.who.id in (str(row.asker_id), str(row.contact.holder_id))
    if row is None or not mine or queries.state_now(row, act.at) != rules.State.WAITING:
        raise refuse("CONFLICT", "There is nothing of yours to withdraw here.")
    row.state = rules.State.WITHDRAWN
    row.save(update_fields=["state"])
    return row


def _expire(which: QuerySet[Request], **more: Any) -> list[Request]:
    """Lock these requests and let them expire; whoever asked for it writes a line for each."""
    rows = list(which.filter(state=rules.State.WAITING).select_for_update(no_key=True).order_by("pk"))
    Request.objects.filter(pk__in=[row.pk for row in rows]).update(state=rules.State.EXPIRED, **more)
    return rows


def end_with_contact(*, act: Act, contact_id: int) -> list[Request]:
    """When the caller is gone, what still waits for an answer expires with the contact."""
    return _expire(Request.objects.filter(contact_id=contact_id), seen_at=act.at)


def end_with_account(*, act: Act, contact_id: int, account_id: int) -> list[Request]:
    """When a contact moves to this account, what waits for an answer about another expires: the wrong one was open."""
    others = Request.objects.filter(contact_id=contact_id, kind=rules.Kind.EXECUTE).exclude(account_id=account_id)
    return _expire(others, seen_at=act.at)


def expire_due(*, at: datetime, most: int = 200) -> list[Request]:
    """Let expire what time has decided already. Must run inside the transaction in which its lines are written."""
    due = Request.objects.filter(state=rules.State.WAITING, expires_at__lte=at).order_by("pk")[:most]
    return _expire(Request.objects.filter(pk__in=[row.pk for row in due]))


def put_away(*, request_id: int, at: datetime) -> int:
    """Whoever holds the contact has done with the answer. What still waits for one stays."""
    over = Q(expires_at__lte=at) | ~Q(state=rules.State.WAITING)
    return Request.objects.filter(over, pk=request_id).update(put_away_at=at)


def mark_seen(*, asker_id: int, at: datetime, contact_id: int | None = None) -> int:
    rows = Request.objects.filter(asker_id=asker_id, seen_at=None).exclude(state=rules.State.WAITING)
    if contact_id is not None:
        rows = rows.filter(contact_id=contact_id)
    return rows.update(seen_at=at)


def redact_words(*, act: Act, account_id: int, moments: Sequence[datetime]) -> None:
    """What was said when a request was asked or answered at these moments."""
    Request.objects.filter(account_id=account_id, asked_at__in=moments).update(words="")
    Request.objects.filter(account_id=account_id, decided_at__in=moments).update(answer="")
