"""Writing the journal, the request keys and the outbox. The chain heads are the last rows that any deed locks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet

from careline.domain.journal import rules
from careline.domain.journal.models import (
    Chain,
    Change,
    Counter,
    Decision,
    Head,
    Line,
    Outbox,
    Payload,
    RequestKey,
    Root,
)
from careline.foundation.act import NO_BASIS, Act, Who
from careline.foundation.calendar import SLACK
from careline.foundation.reference import numbered
from careline.prepared import prepared, rewrite_many, save_columns, text, words, write_many, write_rows

TRIES = 8  # of handing a message over, then it is given up
LONGEST_PAUSE = timedelta(hours=1)  # between two of them
OUTBOX = Who("Job", "outbox", "Messages", "job")


def pause_after(tries: int) -> timedelta:
    """How long to wait before what went wrong so often is tried once more: longer each time."""
    return min(timedelta(seconds=15 * 2**tries), LONGEST_PAUSE)


def _locked(names: Sequence[str]) -> dict[str, Head]:
    """The heads of those of these chains that there are, locked in the order of their names."""
    return {row[0]: Head(*row) for row in _heads(names=names)}


@prepared
def _head() -> QuerySet[Chain]:
    return Chain.objects.select_for_update(no_key=True).filter(name=text("name"))


@prepared
def _heads() -> QuerySet[Chain, tuple[Any, ...]]:
    rows = Chain.objects.select_for_update(no_key=True).filter(name__in=words("names")).order_by("name")
    return rows.values_list("name", "id", "length", "head", "anchored", "fed")


def next_numbers(name: str, prefix: str, count: int = 1) -> list[str]:
    """The next document numbers of a kind, from its counter row (locked until the deed commits)."""
    counter = _counter.first(name=name)
    if counter is None:
        Counter.objects.bulk_create([Counter(name=name)], ignore_conflicts=True)
        (counter,) = _counter(name=name)
    first = counter.last + 1
    counter.last += count
    save_columns(counter, ["last"])
    return [numbered(prefix, n) for n in range(first, first + count)]


@prepared
def _counter() -> QuerySet[Counter]:
    return Counter.objects.select_for_update(no_key=True).filter(name=text("name"))


def record(entry: rules.Entry) -> Line:
    """Write one line at the end of its chain. Must run inside a transaction, after every other lock."""
    chain = _head.first(name=entry.chain)
    if chain is None:
        Chain.objects.bulk_create([Chain(name=entry.chain)], ignore_conflicts=True)
        (chain,) = _head(name=entry.chain)
    columns, payload = Line.columns(chain, entry, settings.JOURNAL_KEY)
    line = Line(**columns)
    line.chain = chain
    write_many([line])
    if payload:
        payload.line = line
        write_many([payload])
    save_columns(chain, ["length", "head"])
    return line


def record_many(entries: Sequence[rules.Entry]) -> int:
    """Write many lines in bulk, each at the end of its chain, in the order given. Returns how many."""
    if not entries:
        return 0
    if len(entries) == 1:
        record(entries[0])
        return 1
    wanted = sorted({e.chain for e in entries})
    chains = _locked(wanted)
    fresh = {n: Head(n) for n in wanted if n not in chains}
    made = _lines(entries, chains | fresh)
    try:  # a chain that begins here is written once, with the head that it ends with
        with transaction.atomic():
            write_many(list(fresh.values()), Chain)
    except IntegrityError:  # somebody began one of them meanwhile
        Chain.objects.bulk_create([Chain(name=n) for n in fresh], ignore_conflicts=True)
        chains, fresh = _locked(wanted), {}
        made = _lines(entries, chains)
    for entry, (columns, _) in zip(entries, made, strict=True) if fresh else ():
        if columns["chain_id"] is None:
            columns["chain_id"] = fresh[entry.chain].id
    ids = write_rows(Line, [columns for columns, _ in made])
    payloads: list[Payload] = []
    for pk, (_, payload) in zip(ids, made, strict=True):
        if payload:
            payload.line_id = pk
            payloads.append(payload)
    write_many(payloads)
    rewrite_many(list(chains.values()), ("length", "head"), Chain)
    return len(made)


def _lines(entries: Sequence[rules.Entry], chains: Mapping[str, Head]) -> list[tuple[dict[str, Any], Payload | None]]:
    return [Line.columns(chains[e.chain], e, settings.JOURNAL_KEY) for e in entries]


def keep_decision(*, act: Act, code: str, facts: Mapping[str, Any], allowed: bool, rule: str) -> None:
    """Keep what authority was asked, on which facts, and what it said; a trial of another rulebook asks it again."""
    write_many([Decision(
        at=act.at, code=code, who=act.who.key, role=act.who.role, account_id=act.basis.account_id, rule=rule, allowed=allowed,
        facts=rules.canonical(facts), rulebook=act.rulebook,
    )])  # fmt: skip


def forget_decisions(*, before: datetime, most: int = 2000) -> int:
    """Throw away decisions that no trial looks back to any more; how many. Call again until none."""
    old = list(Decision.objects.filter(at__lt=before).order_by("at").values_list("pk", flat=True)[:most])
    Decision.objects.filter(pk__in=old).delete()
    return len(old)


def redact(*, act: Act, line_ids: Sequence[int]) -> None:
    """Take away what lines say of persons. The lines, their digests and their chain stay."""
    Payload.objects.filter(line_id__in=line_ids).update(body=None, salt=None)


def claim_key(*, act: Act, digest: str, code: str, outcome: dict[str, Any], state: str, work: str = "") -> None:
    """Spend a request key with what came of it. Raises IntegrityError when somebody else just spent it."""
    spent = RequestKey(
        principal=act.who.key,
        key=act.key,
        digest=digest,
        code=code,
        at=act.at,
        state=state,
        outcome=json.dumps(outcome),
        work=work,
    )
    write_many([spent])


def settle_key(*, act: Act, outcome: dict[str, Any]) -> bool:
    """Replace a pending outcome by the final one. False when it was settled already."""
    return bool(
        RequestKey.objects.filter(principal=act.who.key, key=act.key, state="pending").update(
            state="done", outcome=json.dumps(outcome), work=""
        )
    )


def keep_place(*, act: Act, code: str, digest: str, place: dict[str, Any]) -> None:
    """Write how far a job came with what the digest names, in the transaction that did it: what is kept and what was done agree,
    however the job ends. One row for each run (the act's key)."""
    known = RequestKey.objects.filter(principal=act.who.key, key=act.key)
    if not known.update(outcome=json.dumps(place)):
        claim_key(act=act, digest=digest, code=code, outcome=place, state="done")


def leave_place(*, act: Act, digest: str) -> None:
    """A job is done with what the digest names: how far its runs came is needed no longer."""
    RequestKey.objects.filter(principal=act.who.key, digest=digest).delete()


FEED, HEARD = "feed", "feed-heard"  # counters: the last number given to a change, the last that was acknowledged
NOT_FED = ("Job:import", "Job:export")  # whose lines say what the other systems told us


def begin_feed(*, most: int = 500) -> bool:
    """Pass over what was done before anybody listened, some chains at a time; False: all is passed over and the feed has begun."""
    with transaction.atomic():
        held = list(Chain.objects.select_for_update(no_key=True).filter(fed__lt=F("length")).order_by("name")[:most])
        for chain in held:
            chain.fed = chain.length
        rewrite_many(held, ("fed",))
        if not held:
            Counter.objects.bulk_create([Counter(name=FEED), Counter(name=HEARD)], ignore_conflicts=True)
    return bool(held)


def number_changes(*, most: int = 200) -> int:
    """Give what was done since the last time its place in the order that other systems hear it in. Returns how many changes.

    A chain's head is locked by whoever writes its lines, so that of one account nothing is passed over and nothing comes early.
    """
    with transaction.atomic():
        counter = Counter.objects.select_for_update(no_key=True).filter(name=FEED).first()
        names = list(Chain.objects.filter(fed__lt=F("length"), name__startswith="account:").order_by("name").values_list("name", flat=True)[:most])
        if counter is None or not names:
            return 0
        held = list(Chain.objects.select_for_update(no_key=True).filter(name__in=names).order_by("name"))
        known = {c.pk: c.fed for c in held}
        rows = Line.objects.filter(chain__in=held, seq__gt=min(known.values()), outcome="done").exclude(who__in=NOT_FED)
        lines = [pk for pk, chain_id, seq in rows.order_by("pk").values_list("pk", "chain_id", "seq") if seq > known[chain_id]]
        write_many([Change(n=n, line_id=pk) for n, pk in enumerate(lines, counter.last + 1)])
        for chain in held:
            chain.fed = chain.length
        rewrite_many(held, ("fed",))
        counter.last += len(lines)
        save_columns(counter, ["last"])
    return len(lines)


def heard(*, through: int, again: bool = False) -> int:
    """The other systems have every change up to this number. Returns the number that holds now: it never goes back, unless asked to
    (`again`: send what comes after it once more), and never past what was numbered."""
    with transaction.atomic():
        known = {c.name: c for c in Counter.objects.select_for_update(no_key=True).filter(name__in=[FEED, HEARD]).order_by("name")}
        if HEARD not in known:
            return 0
        mark = known[HEARD]
        mark.last = min(through, known[FEED].last) if again else max(mark.last, min(through, known[FEED].last))
        save_columns(mark, ["last"])
    return mark.last


def tell(
    *,
    act: Act,
    topic: str,
    channel: str,
    to: str,
    body: str,
    account_id: int | None,
    about: str = "",
    not_before: datetime | None = None,
    expires_at: datetime | None = None,
    subject: str = "",
    attachment: str = "",
    held: bool = False,
) -> None:
    """Queue a message to be sent after this deed commits. `to` is an E.164 number or an address; `subject` is an e-mail's.
    `held`: it waits until `release` says that its attachment is there. `account_id`: whose account it is about, for which
    the sending job asks the contact rules; None: a guest, of whom nothing is known."""
    Outbox.objects.create(
        topic=topic,
        channel=channel,
        to=to,
        body=body,
        about=about,
        at=act.at,
        not_before=not_before or act.at,
        expires_at=expires_at,
        account_id=account_id,
        subject=subject,
        attachment=attachment,
        state="held" if held else "queued",
    )


@dataclass(frozen=True, slots=True)
class Telling:
    """A message to be queued with others."""

    topic: str
    channel: str
    to: str
    body: str
    about: str
    account_id: int
    expires_at: datetime | None = None
    subject: str = ""


def tell_many(*, act: Act, tellings: Sequence[Telling]) -> list[int]:
    """Queue many messages in bulk. Returns their ids in the order given."""
    return write_rows(Outbox, [
        {"topic": t.topic, "channel": t.channel, "to": t.to, "body": t.body, "about": t.about, "account_id": t.account_id, "at": act.at,
         "not_before": act.at, "expires_at": t.expires_at, "subject": t.subject}
        for t in tellings
    ])  # fmt: skip


def not_told_many(*, act: Act, rows: Sequence[tuple[int, str, str, str]]) -> None:
    """What should have been told and nothing carries: account, topic, what about, and why. It stands among the messages, never to be sent, so
    that it is known once and not tried again."""
    write_rows(Outbox, [
        {"account_id": account_id, "topic": topic, "about": about, "why": why[:160], "channel": "none", "to": "", "body": "", "at": act.at, "not_before": act.at, "state": "expired"}
        for account_id, topic, about, why in rows
    ])  # fmt: skip


def withdraw_many(*, act: Act, message_ids: Sequence[int]) -> int:
    """Messages that must not go any more, where none of them went yet. Returns how many."""
    if not message_ids:
        return 0
    rows = Outbox.objects.filter(pk__in=message_ids, state="queued")
    return rows.update(state="expired", body="", why="Taken back: there is no reason for it any more")


def release(*, attachment: str, at: datetime) -> int:
    """Let the messages go that waited for this attachment. Returns how many."""
    return Outbox.objects.filter(state="held", attachment=attachment).update(state="queued", not_before=at)


def give_up_held(*, attachment: str, at: datetime) -> int:
    """Give up the messages whose attachment will never be there, each with a line on its account's chain. Returns how many."""
    rows = list(Outbox.objects.select_for_update(no_key=True).filter(state="held", attachment=attachment).order_by("pk"))
    for message in rows:
        message.gave_up()
        message.save()
    return record_many([_given_up(m, at) for m in rows])


def take_due(*, at: datetime, most: int = 20) -> list[Outbox]:
    """Lease the messages that are due: each is pushed a minute away first, so that a crash repeats it, never loses it.

    A message whose time has passed (an old one-time code) is dropped instead; one that was tried eight times is given up. Either
    leaves a line on its account's chain (a guest's on the house's), so that whoever serves the customer next sees that it never
    came: what it was about and nothing of its words.
    """
    given_up = []
    with transaction.atomic():
        due = list(
            Outbox.objects.select_for_update(skip_locked=True, no_key=True)
            .filter(state="queued", not_before__lte=at)
            .order_by("not_before", "pk")[:most]
        )
        leased = []
        for message in due:
            if message.expires_at and message.expires_at <= at:
                message.state, message.body, message.subject = "expired", "", ""
                given_up.append(_given_up(message, at, "its time is over"))
            elif message.tries >= TRIES:
                message.gave_up()
                given_up.append(_given_up(message, at))
            else:
                message.tries += 1
                message.not_before = at + pause_after(message.tries)
                leased.append(message)
            save_columns(message, ["state", "body", "subject", "to", "tries", "not_before"])
        record_many(given_up)
    return leased


def pull_in(*, at: datetime) -> int:
    """Messages that a clock which ran ahead put off until it gets there again: they are due now, as they were meant to be. Returns how
    many. (What the contact rules put off says why, and waits.)"""
    rows = Outbox.objects.filter(state="queued", not_before__gt=at, why="")
    ahead = rows.filter(tries=0, at__gt=at + SLACK) | rows.filter(tries__gt=0, not_before__gt=at + LONGEST_PAUSE + SLACK)
    return ahead.update(not_before=at)


def _given_up(message: Outbox, at: datetime, why: str = "") -> rules.Entry:
    act = Act(OUTBOX, at, "", f"outbox-{message.pk}", NO_BASIS)
    tries = "before it was tried" if not message.tries else f"after {message.tries} tries" if message.tries > 1 else "after one try"
    say = f"Never sent, {message.topic.replace('_', ' ')} by {message.channel}: given up {tries}{', ' if why else ''}{why}"
    chain = rules.account_chain(message.account_id) if message.account_id is not None else rules.HOUSE
    return rules.Entry(chain, act, "messages.give_up", "refused", say, {"message": str(message.pk), "about": message.about})


def put_off(*, message: Outbox, until: datetime, why: str) -> None:
    """A leased message that may not go now: it goes at that moment, and this was no try."""
    message.not_before, message.why, message.tries = until, why[:160], max(message.tries - 1, 0)
    message.save(update_fields=["not_before", "why", "tries"])


def call_off(*, message: Outbox, at: datetime, why: str, cite: str) -> None:
    """A leased message that may not go at all: it is wiped, with a line on its account's chain that says why."""
    message.state, message.body, message.to, message.why = "failed", "", message.to[-4:], why[:160]
    message.save(update_fields=["state", "body", "to", "why"])
    act = Act(OUTBOX, at, "", f"outbox-{message.pk}", NO_BASIS)
    say = f"Not sent, {message.topic.replace('_', ' ')} by {message.channel}: {why}"
    chain = rules.account_chain(message.account_id) if message.account_id is not None else rules.HOUSE
    record(rules.Entry(chain, act, "messages.call_off", "refused", say, {"message": str(message.pk), "about": message.about, "cite": cite}))


def mark_sent(*, message: Outbox, at: datetime) -> None:
    message.sent(at)
    save_columns(message, ["state", "sent_at", "body", "subject", "to"])


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
