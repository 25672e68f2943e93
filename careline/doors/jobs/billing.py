"""`careline bill`: the bills of one cycle, drafted, looked at, issued or thrown away.

Everything is done account by account in short transactions, each exactly once: a run that was killed goes on where it was,
two runs share the work, and a run over a finished cycle writes nothing. Money is read and rated outside the transactions;
what is written is checked again under the locks.
"""

from __future__ import annotations

import argparse
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from careline.acts.perform import bare_facts
from careline.domain.billing import operations, queries
from careline.domain.billing.rules import STATE_ONLY, Left, Made, State, bill_days, unpacked
from careline.domain.customers import queries as customers
from careline.domain.journal import operations as journal
from careline.domain.journal import rules as journal_rules
from careline.domain.ledger import queries as ledger
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs.pace import Pace
from careline.doors.jobs.stop import Stop
from careline.foundation.act import NO_BASIS, Act, Who
from careline.foundation.authority import Question
from careline.foundation.calendar import bill_period, civil_date
from careline.foundation.money import shown
from careline.foundation.tariff import Tariff

BILLER = Who("Job", "bills", "Bill run", "job")
READ = 400  # accounts that are rated at once
SMALLEST, LARGEST = 100, 400  # accounts in a write transaction
SAY_EVERY = 2.0
Say = Callable[[str], None]


@dataclass
class Run:
    """One run over a cycle and what it did."""

    act: Act
    start: date
    tariff: Tariff
    say: Say = lambda _: None
    drafted: int = 0
    issued: int = 0
    issued_minor: int = 0
    discarded: int = 0
    undrafted: int = 0
    by_state_only: int = 0
    left: Counter[Left] = field(default_factory=Counter)
    stale: list[int] = field(default_factory=list)
    pace: Pace = field(default_factory=lambda: Pace(SMALLEST, LARGEST))
    _said: float = field(default_factory=time.monotonic)

    def progress(self, text: str) -> None:
        if time.monotonic() - self._said > SAY_EVERY:
            self._said = time.monotonic()
            self.say(f"  {text} …")


def begin(start: date, at: datetime, say: Say = lambda _: None) -> Run:
    """A run over the cycle that begins on a day. Raises Stop when the rulebook does not let it, or the day is to come."""
    rulebook = rulebooks.current()
    if "billing.toml" not in rulebook.files:
        raise Stop("The rulebook in force has no billing.toml, so nobody knows fees and taxes. Add it (rulebook/default has one) and activate.")
    verdict = rulebook.authority.decide(Question(BILLER, "bills.run", ("House", "house"), {"basis": bare_facts(kind="job", level=3)}))
    if not verdict.allowed:
        raise Stop("The rulebook does not let the bill run (bills.run).")
    if start > civil_date(at, settings.CARRIER_ZONE):
        raise Stop(f"{start} is still to come: what was used until then is not known.", 2)
    act = Act(BILLER, at, "", uuid.uuid4().hex, NO_BASIS, rulebook=rulebook.digest)
    return Run(act, start, rulebook.billing, say)


def draft(run: Run, write: bool = True) -> None:
    """Judge every account of the cycle that has no draft yet, and keep what its bill would be."""
    days, after, seen = bill_days(run.start), 0, 0
    whole = customers.count_in_cycle(days, run.start)
    while accounts := customers.in_cycle(days, run.start, after, READ):
        after = accounts[-1].id
        known = queries.with_draft([a.id for a in accounts], run.start)
        found = queries.judged([a for a in accounts if a.id not in known], run.start, run.tariff)
        run.left.update(j.left for j in found if j.left is not None)
        new = [j for j in found if j.left is None]
        run.by_state_only += sum(any(m.source_key == STATE_ONLY for m in j.lines) for j in new)
        if write:
            for part in run.pace.parts(new):
                with transaction.atomic():
                    done = operations.draft_many(act=run.act, start=run.start, found=part)
                run.drafted += done
        else:
            run.undrafted += len(new)
        seen += len(accounts)
        run.progress(f"{'drafting' if write else 'reading'}: {seen} of {whole} accounts")


def issue(run: Run) -> None:
    """Issue every draft of the cycle that waits."""
    after, whole = 0, queries.standing(run.start).drafts
    while ids := queries.waiting(run.start, after, READ):
        after = ids[-1]
        for part in run.pace.parts(ids):
            with transaction.atomic():
                done = operations.issue_many(act=run.act, start=run.start, account_ids=part, tariff=run.tariff)
            run.issued += done.bills
            run.issued_minor += done.minor
            run.stale += done.stale
            run.progress(f"issuing: {run.issued} of {whole} bills")


def discard(run: Run) -> None:
    """Throw away every draft of the cycle, and what was found to have nothing to bill."""
    after = 0
    while ids := queries.waiting(run.start, after, READ, (State.DRAFT, State.NOTHING)):
        after = ids[-1]
        for part in run.pace.parts(ids):
            with transaction.atomic():
                run.discarded += operations.discard_many(act=run.act, start=run.start, account_ids=part)
            run.progress(f"discarding: {run.discarded}")


def end(run: Run) -> None:
    """One line for the house about a run that wrote something."""
    did = {"drafted": run.drafted, "issued": run.issued, "discarded": run.discarded}
    if any(did.values()):
        words = ", ".join(f"{n} {word}" for word, n in did.items() if n)
        data = {"cycle": run.start.isoformat(), "issued_minor": run.issued_minor, **did}
        with transaction.atomic():
            journal.record(journal_rules.Entry(journal_rules.HOUSE, run.act, operations.RUN, "done", f"Bill run of {run.start}: {words}", data))


@dataclass(frozen=True)
class Report:
    """Where every account of the cycle stands. `holds`: they are all accounted for, each once."""

    accounts: int
    standing: queries.Standing
    undrafted: int
    left: dict[Left, int]

    @property
    def holds(self) -> bool:
        known = self.standing.issued + self.standing.drafts + self.standing.nothing
        return self.accounts == known + self.undrafted + sum(self.left.values())


def report(run: Run) -> Report:
    accounts = customers.count_in_cycle(bill_days(run.start), run.start)
    return Report(accounts, queries.standing(run.start), run.undrafted, dict(run.left))


def run_cycle(start: date, at: datetime, *, drafts: bool = True, bills: bool = True, say: Say = lambda _: None) -> tuple[Run, Report]:
    """Draft and issue a cycle, or one of both."""
    run = begin(start, at, say)
    draft(run, write=drafts)
    if bills:
        issue(run)
    end(run)
    return run, report(run)


# ---------------------------------------------------------------- the command


def cycle_day(text: str, today: date) -> date:
    """`2026-12-04`, or a bill day: the newest cycle that begins on it."""
    try:
        if text.isdecimal() and len(text) <= 2:
            return bill_period(int(text), today)[0]
        return date.fromisoformat(text)
    except ValueError:
        raise Stop(f"{text} is no cycle: give its first day as 2026-12-04, or a bill day from 1 to 31.", 2) from None


def main(options: argparse.Namespace) -> int:
    now = timezone.now()
    start = cycle_day(options.cycle, civil_date(now, settings.CARRIER_ZONE))

    def say(text: str) -> None:
        if not options.quiet:
            print(text, file=sys.stderr, flush=True)

    if options.show:
        return _show(options.show, start)
    if options.discard:
        run = begin(start, now, say)
        discard(run)
        end(run)
        print(f"Cycle of {start}: {run.discarded} drafts discarded; {queries.standing(start).issued} bills that were issued stay.")
        return 0
    began = time.monotonic()
    both = not (options.draft or options.issue)
    run, found = run_cycle(start, now, drafts=both or options.draft, bills=both or options.issue, say=say)
    _print(run, found, time.monotonic() - began)
    if run.stale:
        print(f"{len(run.stale)} drafts no longer hold (a charge or the period is on a bill already). Discard and draft again.", file=sys.stderr)
    if not found.holds:
        print("The accounts do not reconcile: some were opened or changed meanwhile. Run it again.", file=sys.stderr)
    return 0 if found.holds and not run.stale else 1


def _print(run: Run, found: Report, seconds: float) -> None:
    s = found.standing
    rows = [
        ("accounts in the cycle", found.accounts, ""),
        ("billed", s.issued, shown(s.issued_minor)),
        ("drafts", s.drafts, shown(s.drafts_minor)),
        ("nothing to bill", s.nothing, ""),
        ("not drafted", found.undrafted, ""),
        ("left out", sum(found.left.values()), ""),
    ]
    print(f"Cycle of {run.start}")
    for name, count, money in rows:
        if count or name in ("accounts in the cycle", "billed", "left out"):
            print(f"  {name:24}{count:>9,}{money:>18}")
    for why, count in sorted(found.left.items()):
        print(f"    {why}: {count:,}" + (" (they came by import; imported in billing.toml of the rulebook decides that)" if why == Left.OUTSIDE else ""))
    wrote = ", ".join(f"{n:,} {w}" for w, n in (("drafted", run.drafted), ("issued", run.issued)) if n) or "nothing to do"
    print(f"This run: {wrote}, {seconds:.1f} s")
    if run.by_state_only:
        print(f"Taxed by their state only, for billing.toml has no jurisdiction for their postal code: {run.by_state_only:,} accounts")


def _show(reference: str, start: date) -> int:
    account = customers.account_by_reference(reference)
    if account is None:
        raise Stop(f"There is no account {reference}.", 2)
    found = queries.draft_of(account.pk, start)
    if found is None:
        raise Stop(f"There is no draft of {reference} for the cycle of {start}. Make them: careline bill --cycle {start} --draft")
    print(f"{reference}, {found.cycle_on} to {found.period_end}: {found.state}" + (f", bill {found.bill.number}" if found.bill else ""))
    if found.bill:
        rows = [Made(n.kind, n.label, n.amount_minor, n.line, n.start, n.end) for n in ledger.bill_charges(found.bill.pk)]
    else:
        rows = unpacked(found.lines) if found.lines else []
    for m in rows:
        days = f"{m.start:%b} {m.start.day} to {m.end:%b} {m.end.day}" if m.start and m.end else ""
        print(f"  {m.kind:10}{m.label[:64]:66}{days:20}{shown(m.amount):>12}")
    print(f"  {'total':96}{shown(found.total_minor):>12}")
    return 0
