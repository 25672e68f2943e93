"""`careline worker`: sends what is queued, finishes what was interrupted, expires requests, anchors the journal.

Two threads: the outbox, which must never wait (a one-time code leaves within two seconds), and the chores. Safe when
several run: messages are leased, every send carries a key of its own, and settling is done once.
"""

from __future__ import annotations

import argparse
import logging
import signal
import threading
import time
from collections.abc import Callable
from datetime import datetime

from django.db import close_old_connections, connection
from django.utils import timezone

from careline.carriers import messenger
from careline.domain.approvals import operations as approvals
from careline.domain.journal import operations as journal
from careline.domain.journal import queries as journal_queries
from careline.domain.journal.ports import Messenger
from careline.doors.jobs.journals import write_anchor
from careline.doors.jobs.reconcile import reconcile

log = logging.getLogger("careline.worker")
TICK = 0.25
RECONCILE_EVERY = 30.0
ANCHOR_EVERY = 300.0


def send_due(*, at: datetime | None = None, through: Messenger | None = None) -> int:
    """Send the messages that are due; returns how many were handed over.

    The lease commits before anything is sent and the send before it is marked: a crash in between repeats a message
    under the same key and never loses one. Looks before it leases, so that an empty outbox costs no write.
    """
    if not journal_queries.outbox_backlog(at or timezone.now()):
        return 0
    through = through or messenger()
    sent = 0
    for message in journal.take_due(at=at or timezone.now()):
        try:
            through.send(
                key=f"outbox:{message.pk}", channel=message.channel, to=message.to, body=message.body, topic=message.topic
            )
        except Exception as fault:  # whatever a carrier's client raises must not stop the messages behind it
            log.error("message %s could not be handed over (%s), try %s", message.pk, type(fault).__name__, message.tries)
            continue
        journal.mark_sent(message=message, at=at or timezone.now())
        sent += 1
    return sent


def anchor_some() -> bool:
    return write_anchor(at=timezone.now()) is not None


def expire_requests() -> bool:
    approvals.expire_due(at=timezone.now())
    return False


def finish_begun() -> bool:
    reconcile()
    return False


# What is done besides the outbox: how often, and the deed (True: there is more, come back soon).
CHORES: tuple[tuple[float, Callable[[], bool]], ...] = (
    (RECONCILE_EVERY, finish_begun),
    (RECONCILE_EVERY, expire_requests),
    (ANCHOR_EVERY, anchor_some),
)


def _careful(deed: Callable[[], object]) -> object:
    """Run one deed; a fault is logged by its class (its text may be a customer's) and the connection made anew."""
    try:
        return deed()
    except Exception as fault:
        log.error("%s failed (%s); it is tried again", deed.__name__, type(fault).__name__)
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
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    chores = threading.Thread(target=chores_until, args=(stop,), name="chores", daemon=True)
    chores.start()
    outbox_until(stop)
    chores.join(2.0)
    return 0
