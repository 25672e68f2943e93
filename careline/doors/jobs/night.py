"""`careline night`: what a day does to money. Autopay is taken, the ladder goes on or comes down, the network hears of it.

Everything is done account by account in short transactions, each effect exactly once: SQL finds who owes, the pure rule decides,
and what follows is decided again under the accounts' locks and written in bulk. A night that was killed goes on where it was, two
share the work, and a second run the same day writes nothing. `relieve` is the same between two nights, for the accounts whose
money or holds changed.
"""

from __future__ import annotations

import argparse
import csv
import logging
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from careline.acts import texts
from careline.acts.perform import bare_facts
from careline.carriers import lacking, network
from careline.domain.activations import operations as activations
from careline.domain.activations import queries as orders
from careline.domain.activations.ports import Answer as NetworkAnswer
from careline.domain.activations.ports import Wish
from careline.domain.activations.rules import Kind, State
from careline.domain.collections import operations, queries, rules
from careline.domain.collections.operations import Applied, Policy
from careline.domain.customers import operations as customer_operations
from careline.domain.customers import queries as customers
from careline.domain.journal import operations as journal
from careline.domain.journal import queries as journal_queries
from careline.domain.journal import rules as journal_rules
from careline.domain.ledger import queries as ledger_queries
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs import charging, promises
from careline.doors.jobs.importing.fields import guarded
from careline.doors.jobs.pace import Pace
from careline.doors.jobs.stop import Stop
from careline.foundation import phone
from careline.foundation.act import NO_BASIS, Act, Who
from careline.foundation.authority import Question
from careline.foundation.calendar import civil_date
from careline.foundation.money import shown
from careline.foundation.rulebook import Rulebook

log = logging.getLogger("careline.worker")
LADDER = Who("Job", "ladder", "The ladder", "job")
READ = 5000  # account ids that are looked at by one question
TARGET_SECONDS = {"sqlite": 0.05, "postgresql": 0.2}  # of a write transaction: who waits for a row of it waits so long; on SQLite everybody does
SMALLEST, LARGEST = 100, 1000  # accounts in one
MOST = 500  # accounts that are looked at between two nights at once
SETTLED = timedelta(minutes=2)  # longer than any transaction of the desk stays open
SAY_EVERY = 2.0
Say = Callable[[str], None]


@dataclass
class Run:
    """One night and what it did. `stands`, `stands_minor`: who owes something past due, by what the ladder makes of it; `elsewhere`: accounts whose
    late fee is left to the system that bills them."""

    act: Act
    rulebook: Rulebook
    policy: Policy
    say: Say = lambda _: None
    did: Applied = field(default_factory=Applied)
    stands: Counter[str] = field(default_factory=Counter)
    stands_minor: Counter[str] = field(default_factory=Counter)
    waits: Counter[str] = field(default_factory=Counter)
    owed: int = 0
    owed_minor: int = 0
    elsewhere: int = 0
    autopaid: Counter[str] = field(default_factory=Counter)
    autopaid_minor: int = 0
    orders: Counter[str] = field(default_factory=Counter)
    promises: Counter[str] = field(default_factory=Counter)
    pace: Pace = field(default_factory=lambda: Pace(SMALLEST, LARGEST, TARGET_SECONDS[connection.vendor]))
    began: float = field(default_factory=time.monotonic)
    _said: float = field(default_factory=time.monotonic)

    @cached_property
    def day(self) -> date:
        return civil_date(self.act.at, settings.CARRIER_ZONE)

    def progress(self, seen: int, whole: int, what: str) -> None:
        now = time.monotonic()
        if now - self._said > SAY_EVERY and seen:
            self._said = now
            left = (now - self.began) / seen * max(whole - seen, 0)
            self.say(f"  {what}: {seen:,} of {whole:,} accounts, about {left:,.0f} s left …")


def begin(at: datetime, say: Say = lambda _: None) -> Run:
    """A night at a moment. Raises Stop when the rulebook has no ladder or does not let the job run."""
    rulebook = rulebooks.current()
    if "ladder.toml" not in rulebook.files or "billing.toml" not in rulebook.files:
        raise Stop("The rulebook in force has no ladder.toml (or no billing.toml), so nobody knows what to do. Add it (rulebook/default has one) and activate.")
    facts: dict[str, Any] = {"basis": bare_facts(kind="job", level=3)}
    asked = {
        operations.RUN: facts,
        "lines.suspend": {**facts, "suspension": {"reason": operations.NON_PAYMENT, "strong": False, "lead": True}},
        "lines.restore": {**facts, "restore": {"pastDue": 0, "pastDueRoom": 0, "contractEnded": False, "strong": False, "lead": False, "price": 0, "consent": 0}},
        "ledger.write_off": {**facts, "writeOff": {"amount": 1, "room": int(rulebook.limits["write_off"]["most"].get("job", 0))}},
        "payments.autopay": facts,
    }
    for code, given in asked.items():
        if not rulebook.authority.decide(Question(LADDER, code, ("House", "house"), given)).allowed:
            raise Stop(f"The rulebook does not let the night run ({code}).")
    fee = int(rulebook.reasons["suspension"][operations.NON_PAYMENT]["fee"])
    act = Act(LADDER, at, "", uuid.uuid4().hex, NO_BASIS, rulebook=rulebook.digest)
    return Run(act, rulebook, Policy(rulebook.ladder, rulebook.billing, fee, rulebook.outbound.opt_out, bool(lacking("MESSENGER"))), say)


# ---------------------------------------------------------------- the ladder


def climb(run: Run) -> None:
    """Look at every account that owes something or stands on the ladder, in stretches of ids; write what follows."""
    after, seen, whole = 0, 0, customers.counts()["accounts"]
    while (stretch := customers.id_ranges(after, READ)) is not None:
        first, after = stretch
        found, beginning = queries.candidates(first, after, run.day, run.policy.ladder)
        if not lacking("PAYMENTS"):
            paid = autopay(run, found)
            if paid:
                found |= queries.known(paid, run.day, run.policy.ladder)
        elsewhere = operations.billed_elsewhere(found.values(), run.policy, run.day)
        run.elsewhere += len(elsewhere)
        wanted, uncounted = beginning, set(beginning)
        for account_id, known in found.items():
            decision = rules.decide(run.policy.ladder, known.facts, known.climb, run.day)
            _count(run, known, decision)
            if operations.to_do(known, decision, run.policy, run.day, elsewhere):
                wanted.append(account_id)
        for part in run.pace.parts(wanted):
            with transaction.atomic():
                did = operations.climb_many(act=run.act, account_ids=part, policy=run.policy)
            run.did.merge(did)
            run.elsewhere += len(did.elsewhere.keys() & uncounted)
            for known, decision in did.judged:
                if known.account.id in uncounted:
                    _count(run, known, decision)
        run.did.accounts.clear()
        seen += READ
        run.progress(min(seen, whole), whole, "the ladder")


def _count(run: Run, known: queries.Known, decision: rules.Decision) -> None:
    """Where an account stands after tonight; everybody who owes something past due is in one place."""
    late = sum(d.open for d in known.facts.debts if d.due_on < run.day)
    if decision.waits is not None:
        run.waits["until their gap is over" if decision.waits.until else "for a notice that is not sent yet"] += 1
    ladder = run.policy.ladder
    if any("write_off" in ladder.rungs[n].effects for n in decision.rungs):
        late -= decision.target.owed  # what is written off tonight is past due no more; what is held is
    if not late:
        return
    if known.paying:
        where = "a payment is under way"
    elif decision.free.index == rules.NOWHERE:
        where = "below what anything begins at"
    elif decision.target.index < decision.free.index:
        where = "held"
    else:
        place = rules.place_of(ladder, known.climb) if known.climb and not decision.begins else rules.NOWHERE
        place = decision.position if decision.position is not None else place
        place = decision.rungs[-1] if decision.rungs else place
        where = ladder.rungs[place].title if place >= 0 else "on no rung yet"
    run.stands[where] += 1
    run.stands_minor[where] += late
    run.owed += 1
    run.owed_minor += late


# ---------------------------------------------------------------- autopay


def autopay(run: Run, found: dict[int, queries.Known]) -> list[int]:
    """Take what is due today of accounts with autopay from their saved method; returns the accounts that paid. One try a bill
    and day of the policy, each with a key of its own: a try that was lost is asked for again and never taken twice."""
    day, again = run.day, run.policy.ladder.again_after
    due = {
        pk: [d for d in known.facts.debts if d.due_on <= day]
        for pk, known in found.items()
        if known.account.autopay and not known.facts.holds and any(d.due_on <= day for d in known.facts.debts)
    }
    if not due:
        return []
    methods = ledger_queries.methods_of_many(list(due), day)
    keys = {f"autopay:{d.bill}:{n}": (pk, d.bill) for pk, debts in due.items() if pk in methods for d in debts for n in range(len(again) + 1)}
    tried = ledger_queries.charges_like(list(keys))
    paid = []
    for account_id, debts in due.items():
        for debt in debts if account_id in methods else ():
            tries = [tried[key] for n in range(len(again) + 1) if (key := f"autopay:{debt.bill}:{n}") in tried]
            if any(c.state != "declined" for c in tries) or len(tries) > len(again):
                continue
            if tries and (day - civil_date(tries[0].at, settings.CARRIER_ZONE)).days < again[len(tries) - 1]:
                continue
            if _take(run, account_id, debt.bill, f"autopay:{debt.bill}:{len(tries)}", methods[account_id]):
                paid.append(account_id)
    return paid


def _take(run: Run, account_id: int, bill: int, key: str, method: Any) -> bool:
    """One payment: what is open of a bill, while nothing is held."""

    def amount() -> int:
        owed = {b: left for _, b, _, left in ledger_queries.owed_of([account_id], run.day)}
        return 0 if queries.held([account_id], run.day)[account_id] else owed.get(bill, 0)

    charge = charging.begin(act=run.act, account_id=account_id, key=key, method=method, amount=amount)
    return charge is not None and _counted(run, charging.settle(act=run.act, rulebook=run.rulebook, charge=charge))


def _counted(run: Run, row: Any) -> bool:
    """Count a try of autopay as it stands after it was settled; was it taken?"""
    if row is None or not row.key.startswith("autopay:"):
        return False
    taken: bool = row.state == "taken"
    run.autopaid["without an answer" if row.state == "pending" else "taken" if taken else "declined"] += 1
    run.autopaid_minor += row.amount_minor if taken else 0
    return taken


# ---------------------------------------------------------------- the network


def send_orders(run: Run, limit: int = 100) -> int:
    """Send the ladder's orders that wait, and ask after those whose answer was lost; settle what the network says. Each order has
    a key of its own: sent twice it is one. Returns how many were settled."""
    if lacking("NETWORK"):
        return 0
    after, settled = 0, 0
    while rows := orders.in_flight_of(LADDER.key, limit, after):
        after = rows[-1].pk
        with transaction.atomic():
            going = activations.mark_sent(act=run.act, order_ids=[r.pk for r in rows])
        answers = [(row, _ask_network(run, row)) for row in rows if row.pk in going]
        for part in run.pace.parts(answers):
            with transaction.atomic():
                customer_operations.lock_accounts({row.account_id for row, _ in part})
                lines = []
                for row, answer in part:
                    done = activations.settle(act=run.act, key=row.key, answer=answer, words="not paid")
                    if done.state == State.UNKNOWN and row.state == State.UNKNOWN:
                        continue
                    run.orders[f"{done.kind}, {done.state}"] += 1
                    settled += done.state in (State.DONE, State.REFUSED)
                    lines.append(_said(run, done))
                journal.record_many(lines)
    return settled


def _ask_network(run: Run, row: Any) -> NetworkAnswer:
    try:
        if row.state == State.UNKNOWN:
            return network().ask(key=row.key)
        barred = row.kind != Kind.RESTORE
        wish = Wish(
            kind=row.kind, number=row.line.msisdn, sim=row.line.iccid, features=tuple(row.line.features.split()), barred=barred,
            bar=row.bar or "all", reachable=run.policy.ladder.reachable,
        )  # fmt: skip
        return network().order(key=row.key, wish=wish)
    except OSError:
        return NetworkAnswer(None, "The network could not be reached.")


def _said(run: Run, row: Any) -> journal_rules.Entry:
    what = {Kind.SUSPEND: "outgoing stopped" if row.bar == "outgoing" else "suspended", Kind.RESTORE: "restored", Kind.DISCONNECT: "disconnected"}[row.kind]
    last = phone.last_four(row.line.msisdn)
    if row.kind == Kind.RESTORE and row.state == State.DONE:  # it is on again: told there, where it takes texts
        first = row.line.msisdn if row.line.can_text else ""
        texts.write(act=run.act, rulebook=run.rulebook, account_id=row.account_id, topic="line_restored", name="restored", about=f"order:{row.number}",
                    reference=row.number, first=first, last4=last)  # fmt: skip
    end = {State.DONE: what, State.REFUSED: f"not {what}: the network refused", State.UNKNOWN: "the network has not answered"}[row.state]
    status = {State.DONE: "done", State.REFUSED: "refused", State.UNKNOWN: "pending"}[row.state]
    data = {"order": row.number, "bar": row.bar, "reason": row.network_says, **({"charge": row.charge} if row.charge else {})}
    return _line(run.act, row.account_id, f"lines.{'suspend' if row.kind == Kind.SUSPEND else row.kind}", status, f"{row.number}: line {last}, {end}", data)


def _line(act: Act, account_id: int, code: str, outcome: str, say: str, data: dict[str, Any]) -> journal_rules.Entry:
    return journal_rules.Entry(journal_rules.account_chain(account_id), act, code, outcome, say, data)


def settle_down(run: Run, account_ids: Sequence[int]) -> None:
    """Look again at accounts on the ladder whose money or holds changed, or whose lines do not stand as they should."""
    for part in run.pace.parts(account_ids):
        with transaction.atomic():
            run.did.merge(operations.climb_many(act=run.act, account_ids=part, policy=run.policy))


# ---------------------------------------------------------------- between two nights


class Watch:
    """From where on a worker asks who moved. Rows get their ids before they can be seen, so it goes on only to what was there `SETTLED` ago,
    when every deed that was under way then has ended and was looked for since. At first it asks about everybody on the ladder."""

    def __init__(self) -> None:
        self.since: queries.Seen | None = None
        self._next: queries.Seen | None = None

    def moved(self, now: datetime, most: int) -> list[int]:
        """Whom to look at, `most` at once; those who are left are found the next time."""
        ripe = self._next is None or now - self._next.at >= SETTLED
        here = queries.seen(now) if ripe else None  # before they are asked for: what comes meanwhile is asked for again
        found = queries.moved(most, self.since)
        if here is not None and len(found) < most:
            self.since, self._next = self._next, here
        return found


def relieve(*, at: datetime | None = None, watch: Watch | None = None) -> bool:
    """What the worker does every few seconds: who paid, or is held now, comes down, and their lines come back. Looks before it
    opens a run, so that a quiet desk costs five questions, about what was written in the last minutes."""
    if "ladder.toml" not in rulebooks.current().files:
        return False
    watch, now = watch or Watch(), at or timezone.now()
    found = watch.moved(now, MOST)
    if found or orders.in_flight_of(LADDER.key, 1):
        run = begin(now)
        settle_down(run, found)
        if send_orders(run):
            settle_down(run, queries.moved(MOST, watch.since))
    return False


def of_some(account_ids: Sequence[int], at: datetime) -> Run:
    """The night of some accounts alone: the ladder, and their orders on lines."""
    run = begin(at)
    with transaction.atomic():
        run.did.merge(operations.climb_many(act=run.act, account_ids=account_ids, policy=run.policy))
    if send_orders(run):
        settle_down(run, queries.moved(MOST))
    return run


# ---------------------------------------------------------------- a whole night


def run_night(at: datetime, say: Say = lambda _: None) -> Run:
    """Everything in its order. Safe to repeat, to kill and to start twice."""
    run = begin(at, say)
    for row in charging.finish(act=run.act, rulebook=run.rulebook, before=at):
        _counted(run, row)
    if "arrangements.toml" in run.rulebook.files:
        charged = promises.charge_day(at)
        found = promises.settle_day(at, everything=True)  # what broke holds nothing any more, so this comes first
        run.promises = Counter({k: n for k, n in (("kept", found.kept), ("broken", found.broken), ("part charged", charged["taken"]), ("part declined", charged["declined"])) if n})
        if soon := promises.remind_day(at):
            run.promises["reminded of a part"] = soon
    climb(run)
    send_orders(run)
    settle_down(run, queries.moved(MOST))
    _end(run)
    return run


def _end(run: Run) -> None:
    """One line for the house about a night that wrote something."""
    counts = {k: n for k, n in {**run.did.effects, **{f"autopay {k}": n for k, n in run.autopaid.items()}}.items() if n}
    if counts:
        words = ", ".join(f"{n} {k}" for k, n in sorted(counts.items()))
        with transaction.atomic():
            journal.record(journal_rules.Entry(journal_rules.HOUSE, run.act, operations.RUN, "done", f"Night of {run.day}: {words}"[:400], counts))


@dataclass(frozen=True)
class Report:
    """`past_due_minor` is what the ledger says by one question of its own; `holds`: everybody who owes stands in one place, to the cent."""

    past_due: int
    past_due_minor: int
    run: Run

    @property
    def holds(self) -> bool:
        return (self.past_due, self.past_due_minor) == (self.run.owed, self.run.owed_minor)


def report(run: Run) -> Report:
    accounts, minor = ledger_queries.past_due_of_all(run.day)
    return Report(accounts, minor, run)


# ---------------------------------------------------------------- the command


def main(options: argparse.Namespace) -> int:
    if options.agency is not None:
        return _agency(Path(options.agency), options.again)
    began = time.monotonic()

    def say(text: str) -> None:
        if not options.quiet:
            print(text, file=sys.stderr, flush=True)

    run = run_night(timezone.now(), say)
    found = report(run)
    _print(found, time.monotonic() - began)
    if not found.holds:
        print("The past due accounts do not add up: somebody paid or was billed meanwhile. Run it again to be sure.", file=sys.stderr)
    for port, what in (("NETWORK", "lines"), ("PAYMENTS", "autopay")):
        if why := lacking(port):
            print(f"{what}: {why}", file=sys.stderr)
    return 0 if found.holds else 1


def _print(found: Report, seconds: float) -> None:
    run = found.run
    print(f"Night of {run.day}, {seconds:.1f} s")
    print(f"  {'past due, by the ledger':40}{found.past_due:>9,}{shown(found.past_due_minor):>18}")
    titles = [r.title for r in run.policy.ladder.rungs]
    for where in sorted(run.stands, key=lambda w: titles.index(w) if w in titles else -1):
        print(f"    {where:38}{run.stands[where]:>9,}{shown(run.stands_minor[where]):>18}")
    print(f"    {'together':38}{run.owed:>9,}{shown(run.owed_minor):>18}  {'reconciles' if found.holds else 'does NOT reconcile'}")
    print("  this run")
    for effect, count in sorted(run.did.effects.items()):
        money = shown(run.did.minor[effect]) if run.did.minor[effect] else ""
        print(f"    {effect.replace('_', ' '):38}{count:>9,}{money:>18}")
    for what, count in sorted(run.autopaid.items()):
        print(f"    {'autopay ' + what:38}{count:>9,}{shown(run.autopaid_minor) if what == 'taken' else '':>18}")
    for what, count in sorted(run.orders.items()):
        print(f"    {'line, ' + what:38}{count:>9,}")
    for what, count in sorted(run.promises.items()):
        print(f"    {'arrangements ' + what:38}{count:>9,}")
    if not (run.did.effects or run.autopaid or run.orders or run.promises):
        print("    nothing to do")
    if run.elsewhere:
        print(f"  no late fee for {run.elsewhere:,} accounts with late bills of another system (imported, and imported_from of [late_fee], in billing.toml of the rulebook decide that)")
    if run.policy.silent and (unsent := journal_queries.waiting_about(operations.TOPIC)):
        print(f"  notices not sent, because no messaging provider is set up (CARELINE_MESSENGER): {unsent:,}; nothing follows them until they are")
    for why, count in sorted(run.waits.items()):
        print(f"  wait {why}: {count:,}")


def _agency(folder: Path, again: str | None) -> int:
    """The next file for the agency, or one that was numbered before: placements and recalls, the same bytes each time."""
    number = again or ""
    if again is None:
        run = begin(timezone.now())
        with transaction.atomic():
            number = operations.file_placements(act=run.act)
            if number:
                say = f"File {number} for the agency"
                journal.record(journal_rules.Entry(journal_rules.HOUSE, run.act, operations.RUN, "done", say, {"file": number}))
    rows = queries.filed(number) if number else []
    if not rows:
        before = queries.last_filed()  # it was numbered, and perhaps nobody saw it: the command may have been killed before it was written
        print(f"There is no file {again}." if again else "Nothing is to be placed or called back." + (f" The last file was {before}: --again {before} writes it once more." if before else ""))
        return 1 if again else 0
    folder.mkdir(parents=True, exist_ok=True)
    path, part = folder / f"{number}.csv", folder / f"{number}.csv.part"
    with part.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["file", "what", "account", "name", "amount_minor", "currency", "due_since", "placed_on"])
        for row in rows:
            on = civil_date(row.placed_at, settings.CARRIER_ZONE)
            for what, in_this in (("place", row.file == number), ("recall", row.recall_file == number)):
                if in_this:
                    out.writerow([number, what, guarded(row.account.reference), guarded(row.account.customer.name), row.amount_minor, row.account.currency, row.climb.since, on])
    part.replace(path)  # nobody takes half a file
    print(f"{path}: {len(rows)} accounts. Customer data: keep it as carefully as the desk does.")
    return 0

