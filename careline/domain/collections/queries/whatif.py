"""What if? Two ladders played over the history of this house's accounts. It reads, and changes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from django.conf import settings
from django.db.models import Q

from careline.domain.arrangements import queries as arrangements
from careline.domain.billing import queries as billing_queries
from careline.domain.billing import rules as billing
from careline.domain.collections import rules
from careline.domain.collections.models import Hold
from careline.domain.collections.rules.whatif import (
    Billed,
    Life,
    Prices,
    Slower,
    Span,
    Study,
    lived,
    slowed,
    untouched,
    warm_up,
    was_late,
)
from careline.domain.customers import queries as customers
from careline.domain.customers.queries import Owing
from careline.domain.ledger import queries as ledger
from careline.foundation.calendar import add_months, civil_date
from careline.foundation.ladder import ARRANGEMENT, Ladder
from careline.foundation.rulebook import Rulebook, RulebookFault
from careline.foundation.tariff import Tariff

READ = 500  # account ids whose history is held at once
STRETCHES = 20  # in which a sample is taken
TOPICS = ("collections", "all")
AS_DID = Slower()  # nobody pays later than they did


@dataclass(frozen=True, slots=True)
class Side:
    """One policy: its ladder, and what of the rulebook says its fees. `restore_fee`: of a line, before tax (minor units)."""

    ladder: Ladder
    tariff: Tariff
    restore_fee: int

    def prices(self) -> Prices:
        by_ladder = self.tariff.late_fee.by == "ladder"

        def late_fee(state: str, base: int) -> int:
            made = billing.late_fee(state, base, self.tariff.late_fee) if by_ladder else None
            return made.amount if made else 0

        return Prices(late_fee, self.restore_fee, self.tariff.imported != "outside", self.tariff.late_fee.spares_imported)


def side_of(book: Rulebook) -> Side:
    """What of a rulebook the question needs. Raises RulebookFault where it has no ladder or no billing."""
    for name in ("ladder.toml", "billing.toml"):
        if name not in book.files:
            raise RulebookFault(f"{name}: this file is missing, so there is nothing to play; rulebook/default has one")
    return Side(book.ladder, book.billing, int(book.reasons["suspension"][rules.NON_PAYMENT]["fee"]))


def year_to(day: date) -> tuple[date, date]:
    """The twelve months that end on the day before this one."""
    return add_months(day, -12), day - timedelta(days=1)


def what_if(
    now: Side, then: Side, day: date, most: int | None = None, say: Callable[[int, int], None] = lambda seen, whole: None, slower: Slower = AS_DID
) -> Study:
    """Play the ladder in force and a changed one over the twelve months before a day. `most`: of a house with more accounts, some so many
    are looked at, in stretches spread evenly over all. `slower`: what is assumed of those who are told later. `say` hears how many accounts are done, of how many. Some ten questions for 500 accounts."""
    first, last = year_to(day)
    study = Study(now.ladder, then.ladder, first, last, slower=slower)
    begin = first - timedelta(days=warm_up((now.ladder, then.ladder)))
    study.whole = whole = customers.counts()["accounts"]
    aim = whole if most is None else min(most, whole)
    before, after = now.prices(), then.prices()
    for low, high in _stretches(whole, aim):
        for account, life in lives(low, high, begin, last, (now.ladder, then.ladder)):
            study.late += was_late(life, first, last)
            old, new = lived(now.ladder, life, before, first, last), lived(then.ladder, life, after, first, last)
            since = untouched(old, new) if slower.anybody and slower.picks(account.id) else None
            if since is not None:
                later, moved = slowed(life, since, slower.days)
                if moved:
                    new = lived(then.ladder, later, after, first, last)
                    study.slowed, study.slowed_minor = study.slowed + 1, study.slowed_minor + moved
            study.add(account.id, account.reference, old, new)
        study.accounts += customers.count_between(low, high)
        say(study.accounts, aim)
    return study


def _stretches(whole: int, aim: int) -> Iterator[tuple[int, int]]:
    """Stretches of account ids: all of them, or some spread evenly."""
    if aim >= whole:
        after = 0
        while (stretch := customers.id_ranges(after, READ)) is not None:
            yield stretch
            after = stretch[1]
        return
    edges, size, after = customers.id_edges(), max(aim // STRETCHES, 1), 0
    for n in range(STRETCHES):
        after = max(after, edges[0] - 1 + (edges[1] - edges[0]) * n // STRETCHES)
        if (stretch := customers.id_ranges(after, size)) is None:
            return
        yield stretch
        after = stretch[1]


def lives(low: int, high: int, begin: date, last: date, ladders: tuple[Ladder, ...]) -> list[tuple[Owing, Life]]:
    """What happened from `begin` to `last` to the accounts with an id from `low` to `high` of which any bill was open when one of these ladders
    first looks at it."""
    ahead = max(-min(ladder.first_day, 0) for ladder in ladders)
    bills: dict[int, list[Billed]] = defaultdict(list)
    for account_id, pk, due_on, total, paid in ledger.history_between(low, high, begin, last + timedelta(days=ahead)):
        bills[account_id].append(Billed(pk, due_on, total, tuple(paid)))
    looked = timedelta(days=ahead)
    ids = [pk for pk, rows in bills.items() if any(b.open_on(b.due_on - looked) > 0 or any(m < 0 for _, m in b.money) for b in rows)]
    if not ids:
        return []
    holds = _holds(ids, begin, last)
    lines, refused, imported = customers.lines_had(ids, begin), customers.refused(ids, TOPICS), billing_queries.imported(ids)
    theirs = ledger.imported_bills([b.bill for pk in imported for b in bills[pk]])
    found = []
    for pk, account in sorted(customers.owing(ids).items()):
        count, texts = lines.get(pk, (0, False))
        channels = {"letter"} | ({"sms"} if texts else set()) | ({"email"} if account.email else set())
        life = Life(
            bills=tuple(bills[pk]), holds=tuple(holds[pk]), segment=account.segment, state=account.state, autopay=account.autopay,
            opened_on=account.opened_on, channels=frozenset(c for c in channels if (pk, c) not in refused or c == "letter"), lines=count, imported=pk in imported,
            theirs=frozenset(b.bill for b in bills[pk]) & theirs,
        )  # fmt: skip
        found.append((account, life))
    return found


def _holds(ids: list[int], begin: date, last: date) -> dict[int, list[Span]]:
    found: dict[int, list[Span]] = defaultdict(list)
    rows = Hold.objects.filter(account_id__in=ids, starts_on__lte=last).filter(Q(ends_on=None) | Q(ends_on__gte=begin)).order_by("pk")
    for h in rows:
        ends = h.ends_on
        if h.lifted_at is not None:
            lifted = civil_date(h.lifted_at, settings.CARRIER_ZONE) - timedelta(days=1)
            ends = lifted if ends is None else min(ends, lifted)
        if ends is None or ends >= h.starts_on:
            found[h.account_id].append(Span(rules.Held(h.kind, h.amount_minor, h.bill_id), h.starts_on, ends))
    for account_id, spans in arrangements.held_between(ids, begin, last).items():
        found[account_id] += [Span(rules.Held(ARRANGEMENT, amount), since, until) for since, until, amount in spans]
    return found
