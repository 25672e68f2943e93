"""`careline worker`: sends what is queued, makes the papers that were asked for, finishes what was interrupted, expires requests, anchors the journal.

Two threads: the outbox, which must never wait (a one-time code leaves within two seconds), and the chores. Safe when
several run: messages are leased, every send carries a key of its own, and settling is done once.
"""

from __future__ import annotations

import argparse
import logging
import signal
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.conf import settings
from django.core.cache import cache as shared
from django.db import close_old_connections, connection, transaction
from django.utils import timezone

from careline import telemetry
from careline.carriers import lacking, messenger
from careline.domain.approvals import operations as approvals
from careline.domain.approvals import rules as approval_rules
from careline.domain.arrangements import queries as arrangements
from careline.domain.collections import queries as collections
from careline.domain.contacts import queries as contacts
from careline.domain.contacts.rules import Reach, Touch, may_touch
from careline.domain.journal import operations as journal
from careline.domain.journal import queries as journal_queries
from careline.domain.journal import rules as journal_rules
from careline.domain.journal.ports import Messenger
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs import books, charging, feed, houses, meters, night, papers, promises
from careline.doors.jobs.journals import write_anchor
from careline.doors.jobs.reconcile import PATIENCE, reconcile
from careline.doors.jobs.stop import no_room
from careline.doors.ready import PULSE
from careline.foundation.act import NO_BASIS, Act, Basis, Who
from careline.foundation.calendar import civil_date

log = logging.getLogger("careline.worker")
TICK = 0.25
PAPERS_EVERY = 1.0
RECONCILE_EVERY = 30.0
RELIEVE_EVERY = 5.0  # who paid has their lines back within a minute; this and the network is what it takes
ANCHOR_EVERY = 300.0
FEED_EVERY = 1.0
BEAT_EVERY = 10.0
TOO_OLD = timedelta(days=3)  # of a message that nobody took meanwhile [our choice]
WATCH = night.Watch()  # where this process goes on asking; another one, and the night, begin at the beginning
WORKER = Who("Job", "worker", "Worker", "job")


def send_due(*, at: datetime | None = None, through: Messenger | None = None) -> int:
    """Send the messages that are due; returns how many were handed over.

    The lease commits before anything is sent and the send before it is marked: a crash in between repeats a message
    under the same key and never loses one. Looks before it leases, so that an empty outbox costs no write.
    """
    waiting = journal_queries.outbox_backlog(at or timezone.now())
    if not waiting or (through is None and _nobody_carries()):
        return 0
    through = through or messenger()
    sent, now = 0, at or timezone.now()
    leased = journal.take_due(at=now)
    reach, outdated = _reaches(leased, now), _outdated(leased, now)
    for message in leased:
        if message.about in outdated:
            _take_back(message, now)
            continue
        if _too_old(message, now):
            with transaction.atomic():
                journal.call_off(message=message, at=now, why="nobody could carry it for days, and it is too old now", cite="")
            continue
        if not _may_go(message, reach, now):
            continue
        try:
            mail: dict[str, Any] = {"subject": message.subject} if message.subject else {}
            if message.attachment:
                mail["attachments"] = papers.attached(message.attachment)
            through.send(
                key=message.key, channel=message.channel, to=message.to, body=message.body, topic=message.topic, **mail
            )
        except Exception as fault:  # whatever a carrier's client raises must not stop the messages behind it
            last = "; it is given up" if message.tries >= journal.TRIES else ""
            log.error("message %s could not be handed over (%s), try %s%s", message.pk, type(fault).__name__, message.tries, last)
            telemetry.MESSAGES.labels(message.channel, "given-up" if last else "failed").inc()
            continue
        journal.mark_sent(message=message, at=at or timezone.now())
        telemetry.MESSAGES.labels(message.channel, "sent").inc()
        sent += 1
        if message.account_id in reach:
            known = reach[message.account_id]
            reach[message.account_id] = replace(known, touches=(*known.touches, Touch(now, message.channel)))
    return sent


@cache
def _say_once(say: str) -> None:
    log.warning("%s", say)


def _nobody_carries() -> bool:
    """No messenger is named: what is queued waits untouched until one is, and that is said once a process. A try would fail, eight times for
    each message, and the notices of the ladder would be given up one way after the other."""
    lacks = lacking("MESSENGER")
    if lacks:
        _say_once("messages wait and none is sent: no messaging provider is set up (CARELINE_MESSENGER)")
    return bool(lacks)


def _too_old(message: Any, now: datetime) -> bool:
    """Nobody took it for days (there was no messenger, or no worker), so that it would come as news of long ago. A notice of the ladder is
    asked after in its own way (`outdated`); what the contact rules put off says why."""
    return message.tries == 1 and not message.why and not message.about.startswith("ladder:") and now - message.at > TOO_OLD


def _reaches(leased: Sequence[Any], now: datetime) -> dict[int | None, Reach]:
    """What the contact rules need to know of the accounts that these messages are about."""
    rulebook = rulebooks.current() if any(m.account_id is not None for m in leased) else None
    if rulebook is None or "contact_rules.toml" not in rulebook.files:
        return {}
    policy = rulebook.outbound
    asked = [(m.account_id, m.to) for m in leased if m.account_id is not None and policy.class_of(m.topic) != "free"]
    day = civil_date(now, settings.CARRIER_ZONE)
    ids = [account_id for account_id, _ in asked]
    quiet = collections.quiet(ids, day, rulebook.ladder) if ids and "ladder.toml" in rulebook.files else set()
    found: dict[int | None, Reach] = {}
    found.update(contacts.reaches(asked, policy, now, quiet).items() if asked else ())
    return found


def _outdated(leased: Sequence[Any], now: datetime) -> set[str]:
    """What messages are about for which there is no reason any more: notices of the ladder that are paid, arranged or held since they were
    written, texts about a part of an arrangement that is here, and about a broken one that was paid after all."""
    rulebook, day = rulebooks.current(), civil_date(now, settings.CARRIER_ZONE)
    parts = {m.about: m.account_id for m in leased if m.topic == promises.SOON}
    found = set(parts) - arrangements.still_due(parts.values(), day) if parts else set()
    broke = [m.about for m in leased if m.topic == promises.BROKEN]
    found |= set(broke) - arrangements.still_open(broke, day) if broke else set()
    if "ladder.toml" in rulebook.files:
        found |= collections.outdated([m.about for m in leased], day, rulebook.ladder)
    return found


def _take_back(message: Any, now: datetime) -> None:
    act = Act(WORKER, now, "", f"outbox-{message.pk}", NO_BASIS)
    say = f"Not sent, {message.topic.replace('_', ' ')} by {message.channel}: taken back, there is no reason for it any more"
    with transaction.atomic():
        if journal.withdraw_many(act=act, message_ids=[message.pk]):
            journal.record(journal_rules.Entry(journal_rules.account_chain(message.account_id), act, "messages.take_back", "done", say, {"message": str(message.pk)}))


def _may_go(message: Any, reach: dict[int | None, Reach], now: datetime) -> bool:
    """Ask the contact rules. No: the message waits until they let it, or is called off; it never goes against them."""
    rulebook = rulebooks.current()
    if "contact_rules.toml" not in rulebook.files:
        return True
    if message.account_id not in reach and not rulebook.outbound.needs(message.topic, message.channel):  # of nobody's account nobody said yes
        return True
    found = may_touch(rulebook.outbound, message.topic, message.channel, reach.get(message.account_id, Reach((settings.CARRIER_ZONE,))), now)
    if found.ok:
        return True
    if found.later is not None:
        journal.put_off(message=message, until=found.later, why=found.say)
    else:
        with transaction.atomic():
            journal.call_off(message=message, at=now, why=found.say, cite=found.cite)
    return False


def anchor_some() -> bool:
    return write_anchor(at=timezone.now()) is not None


def expire_requests(*, at: datetime | None = None) -> bool:
    """Let requests expire whose time has passed, each with a line on its account's chain, or its asker's."""
    now = at or timezone.now()
    with transaction.atomic():
        rows = approvals.expire_due(at=now)
        journal.record_many([
            journal_rules.Entry(
                journal_rules.account_chain(row.account_id) if row.account_id else journal_rules.staff_chain(str(row.asker_id)),
                Act(WORKER, now, "", f"expire-{row.pk}", Basis("request", row.pk, row.account_id, row.level, contact_id=row.contact_id)),
                approval_rules.EXPIRE, "done", approval_rules.expired(row.title),
                {"request": str(row.pk), "asked_by": f"Staff:{row.asker_id}"},
            )
            for row in rows
        ])  # fmt: skip
    return bool(rows)


def finish_begun() -> bool:
    reconcile()
    return False


def make_papers() -> bool:
    return papers.make_one()


def write_books() -> bool:
    return books.finish(at=timezone.now())


def relieve() -> bool:
    return night.relieve(watch=WATCH)


def pull_in() -> bool:
    """After a clock was put back: what it put off while it ran ahead does not wait for it to get there again."""
    now = timezone.now()
    if count := journal.pull_in(at=now) + papers.pull_in(at=now):
        log.warning("%s messages and papers were put off by a clock that ran ahead; they go now", count)
    return False


def beat() -> bool:
    """Say that the worker lives, where every process sees it (`/ready`), and how much waits to be told."""
    now = timezone.now()
    shared.set(PULSE, now.timestamp(), None)
    telemetry.PULSE.set(now.timestamp())
    telemetry.WAITING.set(journal_queries.outbox_backlog(now))
    return False


def forget_decisions() -> bool:
    """Decisions that no trial of a rulebook looks back to any more."""
    keep = int(rulebooks.current().limits.get("trial", {}).get("keep_days", 100))
    return bool(journal.forget_decisions(before=timezone.now() - timedelta(days=keep), most=500))


def settle_arrangements() -> bool:
    """Arrangements whose part's day is over; money that came at the desk has closed its arrangement already."""
    promises.settle_day(timezone.now())
    return False


def charge_saved() -> bool:
    """Parts of arrangements that are charged on their day, and payments of jobs whose answer was lost."""
    now, rulebook = timezone.now(), rulebooks.current()
    promises.charge_day(now)
    charging.finish(act=Act(WORKER, now, "", uuid.uuid4().hex, NO_BASIS, rulebook=rulebook.digest), rulebook=rulebook, before=now - PATIENCE)
    return False


# What is done besides the outbox: how often, and the deed (True: there is more, come back soon).
CHORES: tuple[tuple[float, Callable[[], bool]], ...] = (
    (BEAT_EVERY, beat),
    (RELIEVE_EVERY, relieve),
    (PAPERS_EVERY, make_papers),
    (FEED_EVERY, feed.tell),
    (RECONCILE_EVERY, finish_begun),
    (RECONCILE_EVERY, expire_requests),
    (RECONCILE_EVERY, pull_in),
    (RECONCILE_EVERY, write_books),
    (RECONCILE_EVERY, charge_saved),  # before what is not here breaks its arrangement
    (RECONCILE_EVERY, settle_arrangements),
    (ANCHOR_EVERY, anchor_some),
    (ANCHOR_EVERY, forget_decisions),
)


def _careful(deed: Callable[[], object]) -> object:
    """Run one deed; a fault is logged by its class (its text may be a customer's) and the connection made anew."""
    try:
        with telemetry.chore(deed.__name__):
            return deed()
    except Exception as fault:
        log.error("%s failed (%s); it is tried again", deed.__name__, "the disk of the database is full" if no_room(fault) else type(fault).__name__)
        connection.close()
        return None
    finally:
        close_old_connections()


def outbox_until(stop: threading.Event) -> None:
    wait = TICK
    while not stop.wait(wait):
        # After a fault (a database that restarts) wait a little longer; after a full batch do not wait at all.
        sent = _careful(send_due)
        wait = 2.0 if sent is None else 0.0 if sent else TICK
    connection.close()


def chores_until(stop: threading.Event) -> None:
    due = [0.0] * len(CHORES)
    while not stop.wait(TICK):
        for number, (every, deed) in enumerate(CHORES):
            if time.monotonic() >= due[number] and not stop.is_set():
                more = _careful(deed)
                due[number] = time.monotonic() + (TICK if more else every)
    connection.close()


def main(options: argparse.Namespace) -> int:
    houses.move_in()
    if options.metrics is not None:
        meters.serve(*options.metrics)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    chores = threading.Thread(target=chores_until, args=(stop,), name="chores", daemon=True)
    chores.start()
    outbox_until(stop)
    chores.join(2.0)
    return 0
