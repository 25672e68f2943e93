"""Making the demo carrier: people, plans, accounts and their past in bulk, then the last 30 days deed by deed.

The house's journal says how far it came: `demo.begin` is its first line, `demo.made` its last. Begun and never made is
a making that was killed; it is made again from nothing, because a half-lived past cannot be taken up.
"""

from __future__ import annotations

import gc
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from careline.domain.billing import operations as billing
from careline.domain.customers import operations as customers
from careline.domain.journal import operations as journal
from careline.domain.journal import queries as journal_queries
from careline.domain.journal import rules as journal_rules
from careline.domain.ledger import operations as ledger
from careline.domain.rulebook import operations as rulebook_operations
from careline.domain.rulebook import queries as rulebooks
from careline.domain.staff import queries as staff
from careline.doors.jobs import night, worker
from careline.doors.jobs.demo import carrier, names, stories, traffic
from careline.doors.jobs.demo.carrier import SEED, House, Stock
from careline.doors.jobs.demo.desk import DEMO, Known, Run
from careline.foundation import pins
from careline.foundation.act import NO_BASIS, Act
from careline.foundation.rulebook import Rulebook

PEOPLE = (
    ("tom", "Tom Reyes", "trainee", "North"), ("ana", "Ana Silva", "associate", "North"), ("ben", "Ben Carter", "associate", "North"),
    ("eva", "Eva Lindqvist", "expert", "North"), ("lena", "Lena Park", "lead", "North"), ("sam", "Sam Osei", "supervisor", "North"),
    ("ada", "Ada Brandt", "administrator", ""), ("fern", "Fern", "agent", ""), ("payments-provider", "Payment provider", "service", ""),
)  # fmt: skip
SLICE = 200
BEGUN, MADE = "demo.begin", "demo.made"
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
Say = Callable[[str], None]


def state() -> str:
    """`none`, `begun` (a making that was killed), or `made`."""
    for code, word in ((MADE, "made"), (BEGUN, "begun")):
        if journal_queries.count_since(who=DEMO, code=code, since=LONG_AGO):
            return word
    return "none"


def make(*, now: datetime, accounts: int, say: Say = lambda _: None) -> Run:
    """Make the whole carrier as of `now`. The same day and number give the same accounts, money and stories; no accounts
    are the people at the desk alone."""
    rng = Random(SEED)
    run = Run(now, carrier.day_of(now), uuid.uuid4().hex[:8], rng)
    clock = _clock(say)
    with _hasty():
        _mark(run, BEGUN, "The making of the demo carrier began")
        _hire(run)
        if accounts:
            hashes = _hashes()
            clock("the people at the desk")
            _rule(run)
            _write_past(run, accounts, hashes, say=clock)
            lived = _live(run, count=accounts // 5, say=clock)
            clock(f"{lived} contacts of the last 30 days, and {len(stories.STORIES)} story accounts")
        _mark(run, MADE, f"The demo carrier is made: {accounts} accounts")
    return run


QUIET = 2.0  # seconds after which somebody who waits is told how far it is


def _clock(say: Say) -> Say:
    start = time.monotonic()
    return lambda text: say(f"  {time.monotonic() - start:5.1f} s  {text}")


@contextmanager
def _hasty() -> Iterator[None]:
    """No fsync while the carrier is made: nothing in this fresh file is worth one before the last line is written, and
    what a power cut leaves is thrown away by its missing mark. (A killed process loses nothing that it committed.) Rubbish is
    looked for seldom: there is none among hundreds of thousands of rows, and each look goes through all of them."""
    often = gc.get_threshold()
    gc.set_threshold(100_000, 50, 100)
    quick = connection.vendor == "sqlite" and not connection.in_atomic_block
    if quick:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous=OFF")
    try:
        yield
    finally:
        gc.set_threshold(*often)
        if quick:
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA synchronous=FULL")
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _act(run: Run, at: datetime | None = None) -> Act:
    return Act(DEMO, at or run.now, "The demo carrier", run.key(), NO_BASIS)


def _mark(run: Run, code: str, words: str) -> None:
    with transaction.atomic():
        journal.record(journal_rules.Entry(journal_rules.HOUSE, _act(run), code, "done", words))


def _hire(run: Run) -> None:
    """The people and machines, through the live act. Machines have no password: they come with a token."""
    for k, (username, name, role, team) in enumerate(PEOPLE):
        at = run.now - timedelta(days=40 if role == "trainee" else 900 - 60 * k)
        machine = role in ("agent", "service")
        added = run.must(DEMO, "staff.add", at, username=username, name=name, role=role, team=team)
        if not machine:
            run.must(DEMO, "staff.set_password", at, staff=added.show["staff"], password=settings.DEMO_PASSWORD)
        person = staff.person(added.show["staff"])
        assert person is not None
        run.staff[username] = person.who


def _rule(run: Run) -> None:
    """The house rule that the demo has beside the folder's: a number that is asked for waits two hours for its holder to say no."""
    files = rulebooks.current().files
    book = Rulebook({**files, "care.toml": files["care.toml"].replace("object_minutes = 0", "object_minutes = 120")})
    if book.digest != rulebooks.current().digest:
        with transaction.atomic():
            rulebook_operations.activate(act=_act(run), rulebook=book, from_at=min(run.now, timezone.now()), seconded_by=run.staff["sam"].key, activated_by=run.staff["ada"].key)


def _hashes() -> dict[str, str]:
    """Ordinary accounts share a few PINs, each story has its own: made up, printed for everybody, and no secret."""
    ordinary = {str(n): f"{1000 + 397 * n}" for n in range(carrier.PINS)}
    wanted = ordinary | {s.pin: s.pin for s in stories.STORIES if s.pin}
    return {name: pins.hashed_lightly(pin, settings.PEPPER) for name, pin in wanted.items()}


def _write_past(run: Run, accounts: int, hashes: dict[str, str], say: Say) -> list[House]:
    act, stock = _act(run), Stock(run.rng)
    with transaction.atomic():
        plans = customers.add_plans_many(act=act, rows=names.PLANS)
    named = stories.households(run.today, stock)
    houses = [*named.values(), *carrier.draft_many(max(accounts - len(named), 0), run.today, run.rng, stock)]
    tariff = rulebooks.current().billing
    for house in houses:
        carrier.draft_bills(house, run.today, tariff)
        carrier.draft_payments(house, run.now, run.rng)
    bills, payments = sum(len(h.bills) for h in houses), sum(len(h.paid) for h in houses)
    with transaction.atomic():
        numbers = journal.next_numbers("bill", "B", bills), journal.next_numbers("payment", "PY", payments)
    carrier.number_documents(houses, *numbers)
    say(f"{len(houses)} accounts drafted")
    written: list[Known] = []
    told = time.monotonic()
    for start in range(0, len(houses), SLICE):
        written += _write(run, houses[start : start + SLICE], plans, hashes)
        if time.monotonic() - told > QUIET:
            told = time.monotonic()
            say(f"{len(written)} accounts written …")
    say(f"{sum(len(k.lines) for k in written)} lines, {bills} bills and {payments} payments written")
    run.known = dict(zip(named, written, strict=False))
    run.ordinary = written[len(named) :]
    return houses


def _write(run: Run, houses: list[House], plans: dict[str, int], hashes: dict[str, str]) -> list[Known]:
    """One slice of households, in one transaction: accounts, money, and a line of the journal each."""
    act = _act(run)
    moved = run.days_ago(31, "03:00")
    with transaction.atomic():
        opened = customers.open_accounts_many(act=act, rows=[carrier.rows_of(h, plans, hashes, run.today, run.rng) for h in houses])
        ids = [(o.account, o.lines) for o in opened]
        methods, bills, payments = carrier.money_rows(houses, ids)
        ledger.post_history_many(act=act, methods=methods, bills=bills, payments=payments)
        agreed, bought = carrier.agreed_rows(houses, ids, run.today)
        billing.agree_many(act=act, rows=agreed)
        billing.sell_in_instalments_many(act=act, rows=bought)
        journal.record_many([
            journal_rules.Entry(
                journal_rules.account_chain(o.account), _act(run, max(moved, carrier.moment(h.opened_on, _NINE))), "demo.account", "done",
                f"Brought from the books before: {len(h.lines)} lines, {len(h.bills)} bills, {len(h.paid)} payments",
            )
            for o, h in zip(opened, houses, strict=True)
        ])  # fmt: skip
    return [Known(h, o.account, o.people, o.lines) for h, o in zip(houses, opened, strict=True)]


_NINE = datetime(2000, 1, 1, 9).time()  # noqa: DTZ001 - a time of day


def _live(run: Run, count: int, say: Say) -> int:
    """The last 30 days in the order in which they happened, then the last hours, then now."""
    deeds = [*traffic.plan(run, count if run.ordinary else 0), *stories.plan(run), *_nights(run)]
    told = time.monotonic()
    for at, live in sorted(deeds, key=lambda d: d[0]):
        live()
        if time.monotonic() - told > QUIET:
            told = time.monotonic()
            say(f"living through {at:%B} {at.day} …")
    stories.recent(run)
    stories.present(run)
    return len(deeds) + 3


# How many days ago the ladder was looked after; between these nights the rungs wait for their gaps.
NIGHTS = (stories.FIRST_NIGHT, 19, 12, 6, 1)


def _nights(run: Run) -> Iterator[tuple[datetime, Callable[[], None]]]:
    """The nights of the last month, and the mornings on which their notices went out: accounts that stopped paying stand on
    the rungs of the ladder. What was due before the month has its gaps still to wait for, so nobody is disconnected."""
    for days in NIGHTS:
        at, morning = run.days_ago(days, "03:00"), run.days_ago(days, "13:00")
        yield at, partial(night.run_night, at)
        yield morning, partial(worker.send_due, at=morning)
