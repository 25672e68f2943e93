"""What an account's rung follows from, gathered for many accounts at once, and the ladder as it stands."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet, Sum

from careline.domain.arrangements import queries as arrangements
from careline.domain.collections import rules
from careline.domain.collections.models import (
    CLIMBING,
    CallAgain,
    Climb,
    Climbing,
    Hold,
    LateFee,
    Placement,
    Step,
)
from careline.domain.customers import queries as customers
from careline.domain.customers.queries import Owing
from careline.domain.journal import queries as journal
from careline.domain.ledger import queries as ledger
from careline.foundation.calendar import civil_date, start_of_day
from careline.foundation.ladder import ARRANGEMENT, BARS, Ladder
from careline.prepared import day as given_day
from careline.prepared import moment, prepared, whole, wholes

Owed = Sequence[tuple[int, int, date, int]]


@dataclass(frozen=True, slots=True)
class Known:
    """One account as the ladder meets it. `notice`: what became of its climb's newest notice; `levied`: bills that had
    their late fee. `paying`: a payment is under way, so that nothing is climbed until it is known what became of it."""

    account: Owing
    facts: rules.Facts
    row: Climbing | None
    climb: rules.Climb | None
    notice: journal.Fate | None
    levied: frozenset[int]
    paying: bool = False

    @property
    def lost(self) -> bool:
        """The newest notice never went: it goes another way."""
        return self.notice is not None and self.notice.state in ("failed", "expired")

    def to_tell_again(self, goal: rules.Target, ladder: Ladder) -> bool:
        """The notice that never went is told after all: the account still stands where it was about."""
        return self.lost and self.climb is not None and goal.index >= rules.place_of(ladder, self.climb)


def known(account_ids: Sequence[int], day: date, ladder: Ladder) -> dict[int, Known]:
    """These accounts on a day. Some ten questions, however many accounts."""
    return _known(account_ids, ledger.owed_of(account_ids, day - timedelta(days=ladder.first_day)), day, ladder)


def ahead(one: Known, day: date, days: int = 60) -> rules.Facts:
    """What is known of an account with the bills that come due within so many days."""
    owed = ledger.owed_of([one.account.id], day + timedelta(days=days))
    return replace(one.facts, debts=tuple(rules.Debt(bill, due_on, left) for _, bill, due_on, left in owed))


def to_have_lines_back(account_id: int, day: date, ladder: Ladder, agreed: int | None = None) -> int:
    """What has to be paid (minor units) until no line of the account is barred for money; 0: none is. `agreed`: once an arrangement about
    so much holds it."""
    if not any(line.status == "suspended" for line in customers.lines_barred_for([account_id], rules.NON_PAYMENT)):
        return 0
    facts = known([account_id], day, ladder)[account_id].facts
    if agreed is not None:
        facts = replace(facts, holds=(*facts.holds, rules.Held(ARRANGEMENT, agreed)))
    return rules.to_come_back(ladder, facts, day)


def restoring_costs(account_id: int, ladder: Ladder, fee: int) -> int:
    """What it costs before tax (minor units) that lines come back which are barred for money, while an arrangement holds it."""
    barred = [line for line in customers.lines_barred_for([account_id], rules.NON_PAYMENT) if line.status == "suspended"]
    dear = any(BARS.index(line.bar or "all") >= BARS.index(ladder.restore_fee_from) for line in barred)
    return fee * len(barred) if dear and ladder.holds[ARRANGEMENT].restore_fee else 0


def candidates(first: int, last: int, day: date, ladder: Ladder) -> tuple[dict[int, Known], list[int]]:
    """The accounts with an id from `first` to `last` that owe something by now, or stand on the ladder. The first are known, because most nights
    there is nothing to do for them: who stands on it, or pays by autopay. The second only begin: nearly always there is something to
    write, so it is enough to know them under their locks."""
    owed = ledger.owed_between(first, last, day - timedelta(days=ladder.first_day))
    climbing = {a for (a,) in _climbing(first=first, last=last)}
    owing = {a for a, *_ in owed}
    known = climbing | customers.on_autopay(sorted(owing - climbing))
    return _known(sorted(known), [row for row in owed if row[0] in known], day, ladder), sorted(owing - known)


def _known(ids: Sequence[int], owed: Owed, day: date, ladder: Ladder) -> dict[int, Known]:
    if not ids:
        return {}
    debts: dict[int, list[rules.Debt]] = defaultdict(list)
    for account_id, bill, due_on, left in owed:
        debts[account_id].append(rules.Debt(bill, due_on, left))
    holds = held(ids, day)
    since = start_of_day(day - timedelta(days=ladder.history_days), settings.CARRIER_ZONE)
    before: Counter[int] = Counter()
    rows: dict[int, Climbing] = {}
    for climb in (Climbing(*row) for row in _climbs(accounts=ids, since=since)):
        if climb.ended_at is None:
            rows[climb.account_id] = climb
        elif climb.noticed and climb.ended_for != rules.Ended.PARTLY:
            before[climb.account_id] += 1
    fates = journal.fates([c.notice for c in rows.values() if c.notice is not None])
    levied: dict[int, set[int]] = defaultdict(set)
    for account_id, bill in _levied(accounts=ids):
        levied[account_id].add(bill)
    under_way = ledger.paying(ids, start_of_day(day - timedelta(days=1), settings.CARRIER_ZONE))
    found = {}
    for pk, account in customers.owing(ids).items():
        facts = rules.Facts(
            debts=tuple(debts[pk]), holds=tuple(holds[pk]), segment=account.segment, state=account.state, autopay=account.autopay,
            opened_on=account.opened_on, climbs=before.get(pk, 0),
        )  # fmt: skip
        row = rows.get(pk)
        fate = fates.get(row.notice) if row is not None and row.notice is not None else None
        found[pk] = Known(account, facts, row, _climb(row, fate) if row else None, fate, frozenset(levied[pk]), pk in under_way)
    return found


@prepared
def _climbing() -> QuerySet[Climb, tuple[int]]:
    rows = Climb.objects.filter(account_id__gte=whole("first"), account_id__lte=whole("last")).filter(Q(ended_at=None) | Q(settled=False))
    return rows.values_list("account_id")


@prepared
def _climbs() -> QuerySet[Climb, tuple[Any, ...]]:
    # Not "open, or over since": for that SQLite reads all open climbs there are and all climbs there were.
    rows = Climb.objects.filter(account_id__in=wholes("accounts")).exclude(ended_at__lt=moment("since"))
    return rows.values_list(*CLIMBING)


@prepared
def _levied() -> QuerySet[LateFee, tuple[int, int]]:
    return LateFee.objects.filter(account_id__in=wholes("accounts")).values_list("account_id", "bill_id")


def _climb(row: Climbing, notice: journal.Fate | None) -> rules.Climb:
    sent = notice.sent_at if notice is not None else None
    waits = notice is not None and sent is None
    return rules.Climb(row.since, row.rung, row.rung_days, row.bar, civil_date(sent, settings.CARRIER_ZONE) if sent else None, waits)


def held(account_ids: Sequence[int], day: date) -> dict[int, list[rules.Held]]:
    """What is held of these accounts on a day, by hand and by arrangements."""
    found: dict[int, list[rules.Held]] = defaultdict(list)
    for h in in_force(account_ids, day):
        found[h.account_id].append(rules.Held(h.kind, h.amount_minor, h.bill_id))
    for account_id, kept in arrangements.holding(account_ids, day).items():
        found[account_id].append(rules.Held(ARRANGEMENT, kept.amount_minor))
    return found


def in_force(account_ids: Sequence[int], day: date) -> list[Hold]:
    """The holds that somebody placed and that count on a day, oldest first."""
    return _in_force(accounts=account_ids, day=day)


@prepared
def _in_force() -> QuerySet[Hold]:
    rows = Hold.objects.filter(account_id__in=wholes("accounts"), lifted_at=None, starts_on__lte=given_day("day"))
    return rows.filter(Q(ends_on=None) | Q(ends_on__gte=given_day("day"))).select_related("bill").order_by("pk")


def quiet(account_ids: Sequence[int], day: date, ladder: Ladder) -> set[int]:
    """Those of the accounts on which nobody is to be reached: the bereaved, and whom a survivor's protection covers."""
    return {h.account_id for h in in_force(account_ids, day) if h.kind in ladder.holds and ladder.holds[h.kind].quiet}


def calls_again() -> dict[int, CallAgain]:
    """Who is to be called again, by account."""
    return {row.account_id: row for row in CallAgain.objects.filter(done_at=None)}


def call_again_of(account_id: int) -> rules.Again | None:
    return again_of(CallAgain.objects.filter(account_id=account_id, done_at=None).first())


def again_of(row: CallAgain | None) -> rules.Again | None:
    return None if row is None else rules.Again(row.on, row.start, civil_date(row.placed_at, settings.CARRIER_ZONE) if row.asked else None)


def to_look_at(day: date, most: int = 50) -> list[Hold]:
    """Holds in force that were to be looked at by a day, the longest waiting first."""
    rows = Hold.objects.filter(lifted_at=None, review_on__lte=day).filter(Q(ends_on=None) | Q(ends_on__gte=day))
    return list(rows.select_related("account", "account__customer").order_by("review_on", "pk")[:most])


def outdated(abouts: Sequence[str], day: date, ladder: Ladder) -> set[str]:
    """Of notices of the ladder, by what they are about (`ladder:account:rung`), those for which there is no reason any more. Asked just before
    they are sent: somebody may have paid, or agreed to pay in parts, since they were written."""
    named = [(about, *about.split(":")[1:3]) for about in abouts if about.startswith("ladder:")]
    if not named:
        return set()
    found = known(sorted({int(pk) for _, pk, _ in named}), day, ladder)
    return {about for about, pk, code in named if (one := found.get(int(pk))) and rules.outdated(ladder, code, rules.target(ladder, one.facts, day), day)}


def hold(reference: str) -> Hold | None:
    return Hold.objects.filter(reference=reference).first()


@dataclass(frozen=True, slots=True)
class Seen:
    """How far somebody looked: at a moment, the ids of the newest rows by which an account on the ladder moves."""

    at: datetime
    entry: int
    allocation: int
    terms: int
    hold: int


def seen(at: datetime) -> Seen:
    """The newest rows now. Four questions."""
    return Seen(at, *ledger.newest(), arrangements.newest_terms(), Hold.objects.order_by("-pk").values_list("pk", flat=True).first() or 0)


def moved(limit: int, since: Seen | None = None) -> list[int]:
    """Accounts on the ladder on whose money or holds something changed since it looked at them, in the moment when it did too, or whose
    lines do not stand as it said: the ones to look at between two nights. `since`: only those of whom something was written since, which
    asks about these few and not about everybody on the ladder."""
    account, judged = OuterRef("account_id"), OuterRef("judged_at")
    money = Climb.objects.filter(ended_at=None).filter(ledger.moved_since(account, judged))
    holds = Climb.objects.filter(ended_at=None).filter(Exists(Hold.objects.filter(Q(placed_at__gte=judged) | Q(lifted_at__gte=judged), account=account)))
    agreed = Climb.objects.filter(ended_at=None).filter(arrangements.agreed_since(account, judged))
    unsettled = Climb.objects.filter(settled=False)
    if since is not None:
        lately = Hold.objects.filter(Q(pk__gt=since.hold) | Q(lifted_at__gte=since.at)).values("account_id")
        money, holds, agreed = money.filter(ledger.behind(since.entry, since.allocation)), holds.filter(account_id__in=lately), agreed.filter(arrangements.agreed_behind(since.terms))
    found: set[int] = set()
    for rows in (money, holds, agreed, unsettled):
        found |= set(rows.values_list("account_id", flat=True)[: limit - len(found)] if len(found) < limit else ())
    return sorted(found)


def unsettled(account_ids: Sequence[int]) -> list[Climbing]:
    """The newest climb of each of these accounts, where the lines do not stand as it said."""
    newest: dict[int, Climbing] = {}
    among = {a for (a,) in _unsettled(accounts=account_ids)}
    for row in Climb.objects.filter(account_id__in=among).order_by("pk").values_list(*CLIMBING) if among else ():
        climb = Climbing(*row)
        newest[climb.account_id] = climb
    return [c for c in newest.values() if not c.settled]


@prepared
def _unsettled() -> QuerySet[Climb, tuple[int]]:
    return Climb.objects.filter(account_id__in=wholes("accounts"), settled=False).values_list("account_id")


def climb_of(account_id: int) -> Climb | None:
    """The open climb of an account."""
    return Climb.objects.filter(account_id=account_id, ended_at=None).first()


def steps_of(account_id: int, limit: int = 30) -> list[Step]:
    """What the ladder did on an account, newest first."""
    return list(Step.objects.filter(account_id=account_id).select_related("climb").order_by("-at", "-pk")[:limit])


def fees_of(account_id: int, limit: int = 30) -> list[LateFee]:
    """The late fees that the ladder levied on an account, newest first."""
    return list(LateFee.objects.filter(account_id=account_id).select_related("bill").order_by("-at", "-pk")[:limit])


def placement_of(account_id: int) -> Placement | None:
    """The debt of an account that is with an agency."""
    return Placement.objects.filter(account_id=account_id, recalled_at=None).order_by("-pk").first()


def placements(climb_ids: Sequence[int]) -> list[Placement]:
    """What of these climbs is with an agency."""
    return list(Placement.objects.filter(climb_id__in=climb_ids, recalled_at=None))


def unfiled() -> list[Placement]:
    """Placements and recalls that no file for the agency has said yet, oldest first."""
    rows = Placement.objects.filter(Q(file="") | Q(recalled_at__isnull=False, recall_file="")).select_related("account", "account__customer", "climb")
    return list(rows.order_by("pk"))


def filed(number: str) -> list[Placement]:
    """What one file for the agency said."""
    rows = Placement.objects.filter(Q(file=number) | Q(recall_file=number)).select_related("account", "account__customer", "climb")
    return list(rows.order_by("pk"))


def last_filed() -> str:
    """The newest file for the agency; empty: there was none."""
    numbers = Placement.objects.aggregate(placed=Max("file"), recalled=Max("recall_file"))
    return max(numbers["placed"] or "", numbers["recalled"] or "")


@dataclass(frozen=True, slots=True)
class Standing:
    """The ladder as it stands: accounts by rung ("": on none yet), climbs over so far, what fees came to (minor units)."""

    by_rung: dict[str, int]
    ended: dict[str, int]
    fees: int
    fees_minor: int


def standing() -> Standing:
    by_rung = dict(Climb.objects.filter(ended_at=None).values("rung").annotate(n=Count("pk")).values_list("rung", "n"))
    ended = dict(Climb.objects.filter(ended_at__isnull=False).values("ended_for").annotate(n=Count("pk")).values_list("ended_for", "n"))
    fees = LateFee.objects.aggregate(n=Count("pk"), s=Sum("amount_minor"))
    return Standing(by_rung, ended, fees["n"], fees["s"] or 0)
