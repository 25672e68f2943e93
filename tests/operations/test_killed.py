"""Every job about promises and messages is killed: in process at each commit and just after it, and once by SIGKILL. What the next run comes to is
what an undisturbed one does. (The night itself: test_night.py.)"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from careline.carriers.sandbox import SandboxMessenger
from careline.domain.arrangements.models import Arrangement
from careline.domain.journal import queries as journal
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.models import Outbox
from careline.domain.ledger.models import Charge, Entry
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs import charging, promises, worker
from careline.foundation.act import NO_BASIS, Act
from tests.operations.dying import Killed, killed_after, really_killed, wherever_it_dies
from tests.operations.test_arrangements import FRIDAY, HALVES, NINE, agree, night, past_due, take
from tests.people import Desk, key


def charge(at: datetime) -> None:
    """As the worker does it: the parts of the day, then what a run before left without an answer."""
    promises.charge_day(at)
    charging.finish(act=Act(promises.SETTLER, at, "", key(), NO_BASIS, rulebook=rulebooks.current().digest), rulebook=rulebooks.current(), before=at + timedelta(seconds=1))


def send(at: datetime) -> None:
    worker.send_due(at=at)


# What runs, when, and how much later the next run comes (a message that was leased is free again after a while).
JOBS: dict[str, tuple[Callable[[datetime], Any], datetime, timedelta]] = {
    "what broke": (promises.settle_day, night("2026-12-12"), timedelta(0)),
    "parts charged": (charge, night("2026-12-11") + NINE, timedelta(0)),
    "parts reminded of": (promises.remind_day, night("2026-12-10"), timedelta(0)),
    "messages sent": (send, FRIDAY + timedelta(hours=5), timedelta(minutes=2)),
}


def promised(house: dict, charged: bool) -> None:
    """Three who agreed to two parts and paid the first; the later one is charged, or not."""
    for n, who in enumerate(("ana", "ben", "eva")):
        account = past_due(f"Person {n}", f"+1206555020{n}", f"A-020000{n}")
        desk = Desk(house[who], FRIDAY).take_call(account)
        assert agree(desk, account, HALVES, **({"method": account.payment_methods.get().pk} if charged else {})).ok
        take(desk, account, 7100)


def dump() -> dict[str, list]:
    """What these jobs write, without what the order of writing gives."""
    return {
        "arrangements": sorted(Arrangement.objects.values_list("account__reference", "state", "ended_on")),
        "charges": sorted(Charge.objects.values_list("account__reference", "state", "amount_minor")),
        "entries": sorted(Entry.objects.values_list("account__reference", "kind", "amount_minor")),
        "told": sorted(Outbox.objects.values_list("topic", "channel", "account_id", "state")),
        "journal": sorted(JournalLine.objects.filter(chain__name__startswith="account:").values_list("chain__name", "code", "outcome")),
    }


def one_by_one(monkeypatch) -> None:
    """Small parts; and what commits by itself, as the mark of a message that was sent does, in a transaction that can be seen."""
    monkeypatch.setattr(promises, "STEP", 1)
    monkeypatch.setattr(worker.journal, "mark_sent", transaction.atomic(worker.journal.mark_sent))


@pytest.mark.parametrize("what", JOBS)
def test_wherever_a_job_is_killed_the_next_run_comes_to_what_an_undisturbed_one_does(house, monkeypatch, what):
    job, at, pause = JOBS[what]
    promised(house, what == "parts charged")
    if what != "messages sent":
        send(FRIDAY + timedelta(hours=5))
    one_by_one(monkeypatch)
    heard: set[tuple[tuple[str, str], str]] = set()
    hand_over = SandboxMessenger.send

    def listen(messenger: SandboxMessenger, **given: Any) -> None:
        heard.add(((given["to"], given["body"]), given["key"]))
        hand_over(messenger, **given)

    monkeypatch.setattr(SandboxMessenger, "send", listen)

    def lived(commits: int | None, told: bool) -> tuple[dict[str, list], bool]:
        start, killed = transaction.savepoint(), False
        heard.clear()
        try:
            with killed_after(commits if commits is not None else 10_000, told):
                job(at)
        except Killed:
            killed = True
        job(at + pause)
        found = dump()
        assert not list(journal.verify())
        assert len({words for words, _ in heard}) == len(heard), "the provider drops a key that comes again: nobody hears it twice"
        transaction.savepoint_rollback(start)
        return found, killed

    whole, _ = lived(None, False)
    assert whole != dump(), "it does something"
    wherever_it_dies(lived, whole, 3)


CHILD = """
from careline.doors.jobs import promises
promises.STEP = 1
from tests.operations.test_killed import JOBS
job, at, _ = JOBS[sys.argv[1]]
job(datetime.fromisoformat(sys.argv[2]))
"""


@pytest.mark.parametrize("what", JOBS)
def test_a_job_that_is_really_killed_goes_on_to_what_an_undisturbed_one_does(committed_house, process_environment, monkeypatch, what):
    """SIGKILL after its second commit; the next run, in another process, finishes it."""
    job, at, pause = JOBS[what]
    promised(committed_house, what == "parts charged")
    if what != "messages sent":
        send(FRIDAY + timedelta(hours=5))
    one_by_one(monkeypatch)
    before = dump()
    with transaction.atomic():
        job(at)
        job(at + pause)
        whole = dump()
        transaction.set_rollback(True)
    assert whole != before == dump()
    connection.close()
    really_killed(CHILD, what, at.isoformat(), environment=process_environment, commits=2)
    assert dump() != whole and not list(journal.verify()), "it was in the middle of it"
    job(at + pause)
    assert dump() == whole and not list(journal.verify())
