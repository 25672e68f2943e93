"""Finding out which promises to pay were kept and which were broken: for the night, and for the worker between nights.

In short transactions, each arrangement exactly once: what ends one is what stands in the ledger, so a run that was killed goes
on where it was, two runs share the work, and a run that comes days late finds the same as those that were missed.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction

from careline.acts import texts
from careline.acts.arrangements import ended
from careline.acts.perform import bare_facts
from careline.carriers import lacking
from careline.domain.arrangements import operations, queries
from careline.domain.arrangements.rules import SETTLE, State
from careline.domain.collections import queries as collections
from careline.domain.contacts import queries as contacts
from careline.domain.customers import operations as customer_operations
from careline.domain.customers import queries as customers
from careline.domain.journal import operations as journal
from careline.domain.journal import queries as journal_queries
from careline.domain.journal import rules as journal_rules
from careline.domain.ledger import queries as ledger
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs import charging
from careline.doors.jobs.stop import Stop
from careline.foundation.act import NO_BASIS, Act, Who
from careline.foundation.authority import Question
from careline.foundation.calendar import civil_date, start_of_day
from careline.foundation.money import shown
from careline.foundation.rulebook import Rulebook

SETTLER = Who("Job", "arrangements", "Arrangements", "job")
CHARGE = charging.KINDS["part"].code
SOON, BROKEN = "arrangement_soon", "arrangement_broken"
SAID = {SOON: "nobody is reminded of the part that is due tomorrow", BROKEN: "nobody was told that it broke"}
READ = 500  # accounts that are looked at by one question
STEP = 10  # accounts in one transaction: some tens of milliseconds, where all of them broke


@dataclass
class Settled:
    """What a run did: how many accounts it looked at, and what ended."""

    looked_at: int = 0
    kept: int = 0
    broken: int = 0


def settle_day(at: datetime, *, everything: bool = False) -> Settled:
    """End every arrangement that is kept or broken by now, with a line on its account's chain and, where it broke, a text that goes
    within the contact rules. Looks where a part's day is over; with `everything` also at those whose money came or went
    back in some other way than at the desk (an import). Raises Stop when the rulebook does not let it."""
    rulebook = rulebooks.current()
    verdict = rulebook.authority.decide(Question(SETTLER, SETTLE, ("House", "house"), {"basis": bare_facts(kind="job", level=3)}))
    if not verdict.allowed:
        raise Stop(f"The rulebook does not let arrangements be settled ({SETTLE}).")
    act = Act(SETTLER, at, "", uuid.uuid4().hex, NO_BASIS, rulebook=rulebook.digest)
    day = civil_date(at, settings.CARRIER_ZONE)
    done, after = Settled(), 0
    while ids := queries.to_check(date.max if everything else day, after, READ):
        after = ids[-1]
        done.looked_at += len(ids)
        moves = [s.row.account_id for s in queries.standing_many(ids, day) if operations.moves(s)]
        for part in (moves[n : n + STEP] for n in range(0, len(moves), STEP)):
            with transaction.atomic():
                found = operations.settle_many(act=act, account_ids=part, day=day)
                _tell_broken(act, rulebook, [s for s in found if s.row.state == State.BROKEN])
                journal.record_many([journal_rules.Entry(line.chain, act, SETTLE, "done", line.say, line.data) for line in map(ended, found)])
            done.kept += sum(s.row.state == State.KEPT for s in found)
            done.broken += sum(s.row.state == State.BROKEN for s in found)
    return done


def charge_day(at: datetime) -> Counter[str]:
    """Charge the parts that are due to the saved methods that their customers agreed to, from the hour of the policy on: each once, what is
    left of it, and nothing while the account is held. Returns how many were taken, declined, and without an answer."""
    rulebook, found = rulebooks.current(), Counter[str]()
    policy = rulebook.arrangements if "arrangements.toml" in rulebook.files else None
    local = at.astimezone(ZoneInfo(settings.CARRIER_ZONE))
    if policy is None or policy.charge_from is None or local.hour < policy.charge_from or lacking("PAYMENTS"):
        return found
    if not rulebook.authority.decide(Question(SETTLER, CHARGE, ("House", "house"), {"basis": bare_facts(kind="job", level=3)})).allowed:
        raise Stop(f"The rulebook does not let parts of arrangements be charged ({CHARGE}). Permit it, or take [charge] out of arrangements.toml.")
    act, day, after = Act(SETTLER, at, "", uuid.uuid4().hex, NO_BASIS, rulebook=rulebook.digest), local.date(), 0
    while ids := queries.with_part_to_charge(day, after, READ):
        after = ids[-1]
        due = [(s, key) for s in queries.standing_many(ids, day) for key, _ in s.to_charge(day)]
        tried = ledger.charges_like([key for _, key in due])
        for standing, key in due:
            if key in tried:
                continue
            account_id, method = standing.row.account_id, standing.charged_to
            left = partial(_left, account_id, key, day)
            charge = charging.begin(act=act, account_id=account_id, key=key, method=method, amount=left) if method.is_active else None
            if charge is not None and (row := charging.settle(act=act, rulebook=rulebook, charge=charge)) is not None:
                found[row.state] += 1
    return found


def _left(account_id: int, key: str, day: date) -> int:
    """What is left of the part that a key is of, asked under the lock; nothing where it was agreed anew, stopped, or is held."""
    standing = queries.living(account_id, day)
    if standing is None or collections.in_force([account_id], day):
        return 0
    return next((part.left_minor for known, part in standing.to_charge(day) if known == key), 0)


def remind_day(at: datetime) -> int:
    """Queue a text to whoever agreed to a part that is due tomorrow and is not here yet, once a part. It goes within the contact rules, and
    not at all once the day of the part is over. Returns how many were queued."""
    rulebook = rulebooks.current()
    today = civil_date(at, settings.CARRIER_ZONE)
    tomorrow, zone = today + timedelta(days=1), settings.CARRIER_ZONE
    act = Act(SETTLER, at, "", uuid.uuid4().hex, NO_BASIS, rulebook=rulebook.digest)
    queued, after = 0, 0
    while ids := queries.with_part_on(tomorrow, after, STEP):
        after = ids[-1]
        with transaction.atomic():
            locked = sorted(customer_operations.lock_accounts(ids))
            told = journal_queries.told_since(ids, SOON, start_of_day(today, zone))
            due = [(found, part) for found in queries.standing_many(locked, today) if (part := queries.due_part(found, tomorrow))]
            wanted = [(found, part.left_minor) for found, part in due if f"part:{found.row.number}:{tomorrow}" not in told]
            queued += _tell_many(act, rulebook, SOON, [
                (found, f"part:{found.row.number}:{tomorrow}", {"amount": left, "day": tomorrow}) for found, left in wanted
            ], expires_at=start_of_day(tomorrow + timedelta(days=1), zone))  # fmt: skip
    return queued


def _tell_broken(act: Act, rulebook: Rulebook, broken: Sequence[queries.Standing]) -> None:
    rows = []
    for found in broken:
        assert found.progress.missed is not None
        part = found.progress.parts[found.progress.missed - 1]
        rows.append((found, f"arrangement:{found.row.number}", {"amount": part.amount_minor, "day": part.due_on, "left": found.progress.left_minor}))
    _tell_many(act, rulebook, BROKEN, rows, letter=True)


def _tell_many(
    act: Act, rulebook: Rulebook, topic: str, rows: Sequence[tuple[queries.Standing, str, dict[str, Any]]], expires_at: datetime | None = None, letter: bool = False
) -> int:
    """Queue a message about each of these arrangements by the way that reaches its customer: its words, what it is about, and what fills them (days,
    and amounts in minor units). Returns how many. Whom nothing reaches in time is said in the account's journal, once. Some six questions,
    however many."""
    ids = [found.row.account_id for found, _, _ in rows]
    if not ids:
        return 0
    ways, accounts = contacts.ways(ids, topic, texts.outbound_of(rulebook), letter), customers.owing(ids)
    tellings, untold = [], []
    for found, about, values in rows:
        account_id = found.row.account_id
        way = ways.get(account_id)
        if way is None:
            untold.append((found, about))
            continue
        language = accounts[account_id].language.partition("-")[0].lower()
        filled = {n: texts.day_said(rulebook, language, v) if isinstance(v, date) else shown(v) for n, v in values.items()}
        body = texts.said(rulebook, topic, language, **filled)
        if topic == BROKEN and found.terms.autopay_off:
            body += " " + texts.said(rulebook, "autopay_ended", language)
        body = texts.with_way_out(rulebook, topic, language, way.channel, body)
        subject = texts.subject(way.channel, found.row.number)
        tellings.append(journal.Telling(topic, way.channel, way.to, body, about, account_id, expires_at, subject))
    if untold:
        journal.not_told_many(act=act, rows=[(found.row.account_id, topic, about, texts.NOBODY) for found, about in untold])
        journal.record_many([
            journal_rules.Entry(journal_rules.account_chain(found.row.account_id), act, SETTLE, "refused", f"{found.row.number}: {SAID[topic]}: {texts.NOBODY}", {"about": about})
            for found, about in untold
        ])  # fmt: skip
    return len(journal.tell_many(act=act, tellings=tellings)) if tellings else 0
