"""Finding out which promises to pay were kept and which were broken: for the night, and for the worker between nights.

In short transactions, each arrangement exactly once: what ends one is what stands in the ledger, so a run that was killed goes
on where it was, two runs share the work, and a run that comes days late finds the same as those that were missed.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.conf import settings
from django.db import transaction

from careline.acts import texts
from careline.acts.arrangements import ended
from careline.acts.perform import bare_facts
from careline.acts.verification import text_number
from careline.domain.arrangements import operations, queries
from careline.domain.arrangements.rules import SETTLE, State, may_be_told
from careline.domain.customers import operations as customer_operations
from careline.domain.customers import queries as customers
from careline.domain.journal import operations as journal
from careline.domain.journal import queries as journal_queries
from careline.domain.journal import rules as journal_rules
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs.stop import Stop
from careline.foundation.act import NO_BASIS, Act, Who
from careline.foundation.authority import Question
from careline.foundation.calendar import civil_date, start_of_day
from careline.foundation.money import shown
from careline.foundation.rulebook import Rulebook

SETTLER = Who("Job", "arrangements", "Arrangements", "job")
SOON = "arrangement_soon"
STEP = 10  # accounts in one transaction: some tens of milliseconds, where all of them broke


@dataclass
class Settled:
    """What a run did: how many accounts it looked at, and what ended."""

    looked_at: int = 0
    kept: int = 0
    broken: int = 0


def settle_day(at: datetime, *, everything: bool = False) -> Settled:
    """End every arrangement that is kept or broken by now, with a line on its account's chain and, where it broke, a text at an
    hour at which it may be sent. Looks where a part's day is over; with `everything` also at those whose money came or went
    back in some other way than at the desk (an import). Raises Stop when the rulebook does not let it."""
    rulebook = rulebooks.current()
    verdict = rulebook.authority.decide(Question(SETTLER, SETTLE, ("House", "house"), {"basis": bare_facts(kind="job", level=3)}))
    if not verdict.allowed:
        raise Stop(f"The rulebook does not let arrangements be settled ({SETTLE}).")
    act = Act(SETTLER, at, "", uuid.uuid4().hex, NO_BASIS, rulebook=rulebook.digest)
    day = civil_date(at, settings.CARRIER_ZONE)
    done, after = Settled(), 0
    while ids := queries.to_check(date.max if everything else day, after, STEP):
        after = ids[-1]
        with transaction.atomic():
            found = operations.settle_many(act=act, account_ids=ids, day=day)
            lines = []
            for standing in found:
                line = ended(standing)
                lines.append(journal_rules.Entry(line.chain, act, SETTLE, "done", line.say, line.data))
                if standing.row.state == State.BROKEN:
                    _tell(act, rulebook, standing)
            journal.record_many(lines)
        done.looked_at += len(ids)
        done.kept += sum(s.row.state == State.KEPT for s in found)
        done.broken += sum(s.row.state == State.BROKEN for s in found)
    return done


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
            locked = customer_operations.lock_accounts(ids)
            told = journal_queries.told_since(ids, SOON, start_of_day(today, zone))
            numbers = customers.texted(ids)
            for found in queries.standing_many(sorted(locked), today):
                account_id, part = found.row.account_id, queries.due_part(found, tomorrow)
                about = f"part:{found.row.number}:{tomorrow}"
                if part is None or about in told or account_id not in numbers:
                    continue
                language = texts.language_of(account_id)
                body = texts.said(rulebook, SOON, language, amount=shown(part.left_minor), day=texts.day_said(rulebook, language, tomorrow))
                journal.tell(
                    act=act, topic=SOON, channel="sms", to=numbers[account_id], body=body, about=about, account_id=account_id,
                    expires_at=start_of_day(tomorrow + timedelta(days=1), zone),
                )  # fmt: skip
                queued += 1
    return queued


def _tell(act: Act, rulebook: Rulebook, found: queries.Standing) -> None:
    """Queue the text that it broke, where a number takes texts and the policy names the hours."""
    account = customers.account(found.row.account_id)
    to = text_number(found.row.account_id)
    missed = found.progress.missed
    if account is None or to is None or missed is None or "arrangements.toml" not in rulebook.files:
        return
    policy, part = rulebook.arrangements, found.progress.parts[missed - 1]
    language = texts.language_of(account.pk)
    body = texts.said(
        rulebook, "arrangement_broken", language,
        amount=shown(part.amount_minor), day=texts.day_said(rulebook, language, part.due_on), left=shown(found.progress.left_minor),
    )  # fmt: skip
    journal.tell(
        act=act, topic="arrangement_broken", channel="sms", to=to, body=body, about=f"arrangement:{found.row.number}",
        not_before=may_be_told(act.at, (account.zone, settings.CARRIER_ZONE), policy.from_hour, policy.until_hour),
    )  # fmt: skip
