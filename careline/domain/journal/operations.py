"""Writing the journal, the request keys and the outbox. The chain heads are the last rows that any deed locks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F

from careline.domain.journal import rules
from careline.domain.journal.models import Chain, Counter, Line, Outbox, Payload, RequestKey, Root
from careline.foundation.act import Act
from careline.foundation.reference import numbered


def _locked(names: Iterable[str]) -> dict[str, Chain]:
    """The heads of these chains, locked in the order of their names; those that are new are made first."""
    wanted = sorted(set(names))
    found = {c.name: c for c in Chain.objects.select_for_update(no_key=True).filter(name__in=wanted).order_by("name")}
    if len(found) < len(wanted):
        Chain.objects.bulk_create([Chain(name=n) for n in wanted if n not in found], ignore_conflicts=True)
        found = {
            c.name: c for c in Chain.objects.select_for_update(no_key=True).filter(name__in=wanted).order_by("name")
        }
    return found


def next_numbers(name: str, prefix: str, count: int = 1) -> list[str]:
    """The next document numbers of a kind, from its counter row (locked until the deed commits)."""
    counter = Counter.objects.select_for_update(no_key=True).filter(name=name).first()
    if counter is None:
        Counter.objects.bulk_create([Counter(name=name)], ignore_conflicts=True)
        counter = Counter.objects.select_for_update(no_key=True).get(name=name)
    first = counter.last + 1
    counter.last += count
    counter.save(update_fields=["last"])
    return [numbered(prefix, n) for n in range(first, first + count)]


def record(entry: rules.Entry) -> Line:
    """Write one line at the end of its chain. Must run inside a transaction, after every other lock."""
    chain = _locked([entry.chain])[entry.chain]
    line, payload = Line.of(chain, entry, settings.JOURNAL_KEY)
    line.save(force_insert=True)
    if payload:
        payload.line = line
        payload.save(force_insert=True)
    chain.save(update_fields=["length", "head"])
    return line


def record_many(entries: Sequence[rules.Entry]) -> int:
    """Write many lines in bulk, each at the end of its chain, in the order given. Returns how many."""
    if not entries:
        return 0
    chains = _locked(e.chain for e in entries)
    made = [Line.of(chains[e.chain], e, settings.JOURNAL_KEY) for e in entries]
    Line.objects.bulk_create([line for line, _ in made], batch_size=2000)
    payloads: list[Payload] = []
    for line, payload in made:
        if payload:
            payload.line = line
            payloads.append(payload)
    Payload.objects.bulk_create(payloads, batch_size=2000)
    Chain.objects.bulk_update(chains.values(), ["length", "head"], batch_size=500)
    return len(made)


def redact(*, act: Act, line_id: int) -> None:
    """Take away what a line says of a person. The line, its digest and its chain stay."""
    Payload.objects.filter(line_id=line_id).update(body=None, salt=None)


def claim_key(*, act: Act, digest: str, code: str, outcome: dict[str, Any], state: str, work: str = "") -> None:
    """Spend a request key with what came of it. Raises IntegrityError when somebody else just spent it."""
    RequestKey.objects.create(
        principal=act.who.key,
        key=act.key,
        digest=digest,
        code=code,
        at=act.at,
        state=state,
        outcome=json.dumps(outcome),
        work=work,
    )


def settle_key(*, act: Act, outcome: dict[str, Any]) -> bool:
    """Replace a pending outcome by the final one. False when it was settled already."""
    return bool(
        RequestKey.objects.filter(principal=act.who.key, key=act.key, state="pending").update(
            state="done", outcome=json.dumps(outcome), work=""
        )
    )


def tell(
    *,
    act: Act,
    topic: str,
    channel: str,
    to: str,
    body: str,
    about: str = "",
    not_before: datetime | None = None,
    expires_at: datetime | None = None,
) -> None:
    """Queue a message to be sent after this deed commits. `to` is an E.164 number or an address."""
    Outbox.objects.create(
        topic=topic,
        channel=channel,
        to=to,
        body=body,
        about=about,
        at=act.at,
        not_before=not_before or act.at,
        expires_at=expires_at,
    )


def take_due(*, at: datetime, most: int = 20) -> list[Outbox]:
    """Lease the messages that are due: each is pushed a minute away first, so that a crash repeats it, never loses it.

    A message whose time has passed (an old one-time code) is dropped instead.
    """
    with transaction.atomic():
        due = list(
            Outbox.objects.select_for_update(skip_locked=True, no_key=True)
            .filter(state="queued", not_before__lte=at)
            .order_by("not_before", "pk")[:most]
        )
        leased = []
        for message in due:
            if message.expires_at and message.expires_at <= at:
                message.state, message.body = "expired", ""
            elif message.tries >= 8:
                message.state, message.body = "failed", ""
            else:
                message.tries += 1
                message.not_before = at + timedelta(seconds=min(15 * 2**message.tries, 3600))
                leased.append(message)
            message.save()
    return leased


def mark_sent(*, message: Outbox, at: datetime) -> None:
    message.sent(at)
    message.save(update_fields=["state", "sent_at", "body", "to"])


def anchor(*, at: datetime, most: int = 100_000) -> Root | None:
    """Write a root over the chains that grew since the last one (None: none did)."""
    with transaction.atomic():
        moved = list(
            Chain.objects.select_for_update(no_key=True)
            .filter(length__gt=F("anchored"))
            .order_by("name")[:most]
        )
        if not moved:
            return None
        last = Root.objects.order_by("-pk").first()
        previous = last.mac if last else ""
        heads = rules.canonical([[c.name, c.length, c.head] for c in moved])
        root = Root.objects.create(
            at=at, heads=heads, previous=previous, mac=rules.root_mac(settings.JOURNAL_KEY, previous, heads)
        )
        for chain in moved:
            chain.anchored = chain.length
        Chain.objects.bulk_update(moved, ["anchored"], batch_size=500)
    return root
