"""`careline books`: the trial balance, closing a period, and its files for the carrier's general ledger."""

from __future__ import annotations

import argparse
import os
import time
import uuid
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from careline.acts.perform import perform
from careline.domain.credits import queries as credits
from careline.domain.journal import operations as journal
from careline.domain.journal import rules as journal_rules
from careline.domain.ledger import operations, queries
from careline.domain.ledger.rules.books import Books, File, TrialBalance, file_name, trial_balance
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs.people import CLI
from careline.doors.jobs.stop import Stop
from careline.foundation.act import NO_BASIS, Act, Who
from careline.foundation.calendar import civil_date
from careline.foundation.chart import Chart
from careline.foundation.money import shown

BOOKKEEPER = Who("Job", "books", "Books", "job")
CURRENCY = "USD"
UNDER_WAY = (  # transactions older than a number, but for our own
    "SELECT count(*) FROM pg_snapshot_xip(pg_current_snapshot()) AS x "
    "WHERE x::text::bigint < %s AND x IS DISTINCT FROM pg_current_xact_id_if_assigned()"
)
PATIENCE = 300.0  # seconds that transactions may take that were under way when a period was closed


def today() -> date:
    return civil_date(timezone.now(), settings.CARRIER_ZONE)


def chart() -> Chart:
    """The chart in force. Raises Stop when the rulebook has none."""
    rulebook = rulebooks.current()
    if "books.toml" not in rulebook.files:
        raise Stop("The rulebook in force has no books.toml, so nobody knows the accounts of the general ledger. Add it (rulebook/default has one) and activate.")
    return rulebook.books


def _wait_for_writers() -> None:
    """Until every transaction is over that may not have seen that the period is closed. SQLite writes one at a time: whoever
    writes after the close was committed has seen it. Raises Stop after PATIENCE."""
    if connection.vendor != "postgresql":
        return
    until = time.monotonic() + PATIENCE
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
        last = cursor.fetchone()[0]
        while True:
            cursor.execute(UNDER_WAY, [last])
            if not cursor.fetchone()[0]:
                return
            if time.monotonic() > until:
                raise Stop("A transaction that began before the close is still under way. The files are written once it is over: by the worker, or by the same command again.")
            time.sleep(0.1)


def computed(period: Any) -> tuple[list[File], Books]:
    """The files of a closed period with the accounts that it was closed with, and all that is booked through its end, counted anew
    from the ledger. Raises Stop when the entries and their documents do not prove each other."""
    accounts = rulebooks.opened(period.chart).books
    books = queries.books_through(period.ends_on, credits.booked, recount=True)
    balance = trial_balance(accounts, period.ends_on, books)
    _proven(balance)
    return queries.files_for(period, accounts, balance, credits.booked, CURRENCY), books


def _proven(balance: TrialBalance) -> None:
    if not balance.proven:
        wrong = ", ".join(f"{k.kind} by {shown(k.difference_minor, CURRENCY)}" for k in balance.kinds if k.difference_minor)
        raise Stop(f"The books do not prove: entries differ from the documents behind them ({wrong}). No file was written.")


def finish(at: datetime) -> bool:
    """Write the files of a period whose close was begun; False when there is none, or another run did."""
    period = queries.unfinished_period()
    if period is None:
        return False
    _wait_for_writers()
    found, books = computed(period)
    act = Act(BOOKKEEPER, at, "", uuid.uuid4().hex, NO_BASIS, rulebook=period.chart)
    with transaction.atomic():
        kept: bool = operations.keep_books_files(act=act, period=period, found=found, books=books)
        if kept:
            data = {"period": period.number, "files": {f.number: f.digest for f in queries.files_of(period)}}
            journal.record(journal_rules.Entry(journal_rules.HOUSE, act, "books.written", "done", f"Files of {period.number} written: {len(found)}", data))
    return kept


# ---------------------------------------------------------------- the command


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Stop(f"{text} is no day: write it as 2026-11-30.", 2) from None


def balance(options: argparse.Namespace) -> int:
    through = _day(options.on) if options.on else today()
    found = queries.balance_of_books(chart(), through, credits.booked, recount=options.recount)
    print(f"Trial balance, all that is booked through {through}\n")
    print(f"  {'entry':18}{'count':>10}{'entries':>18}{'documents':>18}{'difference':>14}")
    for k in found.kinds:
        print(f"  {k.kind:18}{k.count:>10,}{shown(k.entries_minor):>18}{shown(k.documents_minor):>18}{shown(k.difference_minor):>14}")
    print(f"\n  {'account':10}{'':32}{'debit':>18}{'credit':>18}")
    for a in found.accounts:
        debit, credit = (shown(a.amount_minor), "") if a.amount_minor >= 0 else ("", shown(-a.amount_minor))
        print(f"  {a.code:10}{a.title[:31]:32}{debit:>18}{credit:>18}")
    print(f"  {'':42}{shown(found.debit_minor):>18}{shown(found.credit_minor):>18}")
    difference = found.debit_minor - found.credit_minor
    print(f"\n  difference {shown(difference)}" + ("" if found.proven else ": the books do not prove"))
    same = _same_as_kept(through, found) if options.recount else True
    return 0 if found.proven and same else 1


def _same_as_kept(through: date, recounted: TrialBalance) -> bool:
    """Say whether the sums kept at the last close lead to the same trial balance as everything counted anew."""
    period = queries.last_brought(through)
    if period is None:
        print("  counted anew; no period that was closed by then kept its sums")
        return True
    same: bool = queries.balance_of_books(chart(), through, credits.booked) == recounted
    print(f"  counted anew: {'the same as' if same else 'NOT the same as'} from the sums kept with {period.number}, through {period.ends_on}")
    return same


def close(options: argparse.Namespace) -> int:
    through = _day(options.through)
    begun = queries.unfinished_period()
    if begun is None:
        _proven(queries.balance_of_books(chart(), through, credits.booked))
        outcome = perform("ledger.close_books", {"through": through.isoformat()}, who=CLI, key=uuid.uuid4().hex)
        if not outcome.ok:
            raise Stop(outcome.say)
        begun = queries.unfinished_period()
        print(f"{outcome.say}.")
    elif begun.ends_on != through:
        raise Stop(f"{begun.number}, through {begun.ends_on}, is being closed still. Finish it first: careline books close --through {begun.ends_on}")
    finish(timezone.now())
    for file in queries.files_of(begun) if begun else []:
        print(f"  {file.number}  {file.journal:14}{file.rows:>8,} rows{shown(file.debit_minor):>18}")
    print(f"Write them to a folder: careline books export {begun.number if begun else ''} --out FOLDER")
    return 0


def periods(options: argparse.Namespace) -> int:
    found = queries.closed_periods()
    if not found:
        first = queries.first_booked()
        print("No period is closed yet." + (f" The first entry is of {first}. Close one: careline books close --through {_last_month(today())}" if first else ""))
    for period in found:
        state = f"{len(period.files.all())} files" if period.files.all() else "files not written yet"
        print(f"{period.number}  {period.starts_on or 'the beginning'} to {period.ends_on}  closed {period.at:%Y-%m-%d} by {period.closed_by}, {state}")
    return 0


def _last_month(day: date) -> date:
    return day.replace(day=1) - timedelta(days=1)


def _period(number: str) -> Any:
    period = queries.closed_period(number)
    if period is None:
        raise Stop(f"There is no closed period {number}. See: careline books list")
    return period


def export(options: argparse.Namespace) -> int:
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    files = queries.files_of(_period(options.period))
    if not files:
        raise Stop(f"The files of {options.period} are not written yet: careline books close --through {_period(options.period).ends_on}")
    for file in files:
        path = folder / file_name(file.number, file.journal)
        beside = path.with_name(path.name + ".part")
        beside.write_bytes(file.text.encode())
        os.replace(beside, path)
        print(f"{path}  {file.rows:,} rows  sha256 {file.digest}")
    return 0


def check(options: argparse.Namespace) -> int:
    """Compute the files of closed periods once more from the ledger and compare."""
    wrong = 0
    chosen = [_period(options.period)] if options.period else list(reversed(queries.closed_periods()))
    for period in chosen:
        kept = {f.number: f.text for f in queries.files_of(period)}
        again = {f.number: f.text for f in computed(period)[0]} if kept else {}
        differ = sorted(n for n in kept if kept[n] != again.get(n))
        wrong += bool(differ)
        print(f"{period.number}: " + (f"NOT the same as when it was closed: {', '.join(differ)}" if differ else f"{len(kept)} files, the same as when it was closed" if kept else "files not written yet"))
    if not chosen:
        print("No period is closed yet.")
    return 1 if wrong else 0
