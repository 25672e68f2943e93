"""Where promises to pay stand, for the desk and for whatever collects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, Q, QuerySet
from django.db.models.expressions import Combinable

from careline.domain.arrangements import rules
from careline.domain.arrangements.models import Arrangement, Covered, Instalment, Terms
from careline.domain.customers import queries as customers
from careline.domain.customers.queries import Signal
from careline.domain.ledger import queries as ledger
from careline.foundation.calendar import civil_date, start_of_day
from careline.foundation.money import shown
from careline.prepared import day as given_day
from careline.prepared import prepared, wholes

LONGEST_GRACE = 36  # days that a policy can give at most


@dataclass(frozen=True, slots=True)
class Hold:
    """What an arrangement keeps from being collected: `amount_minor` of what is past due, from the day `since` to the end of the
    day `until`, the last on which it can still be kept. What is past due beyond that amount is not held."""

    arrangement_id: int
    number: str
    since: date
    until: date
    amount_minor: int


@dataclass(frozen=True, slots=True)
class History:
    """How the arrangements of an account ended within a while; `broken_on` holds their days, oldest first."""

    kept: int = 0
    cancelled: int = 0
    broken_on: tuple[date, ...] = ()

    @property
    def broken(self) -> int:
        return len(self.broken_on)


@dataclass(frozen=True)
class Standing:
    """An arrangement with what was agreed last, and how it goes."""

    row: Arrangement
    terms: Terms
    progress: rules.Progress

    @property
    def until(self) -> date:
        """The last day on which it can still be kept."""
        return self.progress.parts[-1].due_on + timedelta(days=self.terms.grace_days)

    @property
    def charged_to(self) -> Any:
        """The saved method that later parts are charged to, while they are."""
        return self.terms.method if self.row.state == rules.State.ALIVE and self.row.charge_stopped_at is None else None

    def to_charge(self, day: date) -> list[tuple[str, rules.Due]]:
        """The parts that may be charged on a day, each with the key of its only try: not those of the day it was agreed on, which
        are taken in the call, nor what is paid."""
        if self.charged_to is None or self.progress.state != rules.State.ALIVE:
            return []
        grace = timedelta(days=self.terms.grace_days)
        parts = [p for p in self.progress.parts if self.terms.agreed_on < p.due_on <= day <= p.due_on + grace and p.left_minor > 0]
        return [(f"part:{self.row.number}:{self.terms.version}:{p.number}", p) for p in parts]


# ---------------------------------------------------------------- for the ladder


def holding(account_ids: Sequence[int], day: date) -> dict[int, Hold]:
    """The accounts of these that an arrangement holds on a day, each with what it holds.

    Derived from what was agreed by then and what was paid by then, so that it says the same of a day before and after the night
    that finds an arrangement broken, and of any day of the past. On the day on which it broke there is no hold any more,
    nor on the day on which it was kept or cancelled. Six questions, however many accounts.
    """
    return {
        s.row.account_id: Hold(s.row.pk, s.row.number, s.row.agreed_on, s.until, s.progress.left_minor)
        for s in _standing(_alive_on(accounts=account_ids, day=day), day)
        if s.progress.state == rules.State.ALIVE
    }


@prepared
def _alive_on() -> QuerySet[Arrangement]:
    return Arrangement.objects.filter(account_id__in=wholes("accounts"), agreed_on__lte=given_day("day")).exclude(ended_on__lte=given_day("day"))


def held_between(account_ids: Sequence[int], first: date, last: date) -> dict[int, list[tuple[date, date, int]]]:
    """What arrangements held of these accounts on the days from `first` to `last`, as `holding` says it of one day: stretches of days, both
    in it, with the amount. Six questions, however many accounts and days."""
    rows = Arrangement.objects.filter(account_id__in=account_ids, agreed_on__lte=last).exclude(ended_on__lte=first)
    mine = {row.pk: row for row in rows}
    agreed: dict[int, list[Terms]] = defaultdict(list)
    for terms in Terms.objects.filter(arrangement_id__in=mine, agreed_on__lte=last).order_by("version"):
        agreed[terms.arrangement_id].append(terms)
    every = [terms for versions in agreed.values() for terms in versions]
    parts: dict[int, list[rules.Part]] = defaultdict(list)
    for i in Instalment.objects.filter(terms__in=every).order_by("number"):
        parts[i.terms_id].append(rules.Part(i.due_on, i.amount_minor))
    received = _received(every)
    found: dict[int, list[tuple[date, date, int]]] = defaultdict(list)
    for pk, versions in agreed.items():
        over = mine[pk].ended_on
        day, until = max(versions[0].agreed_on, first), min(last, over - timedelta(days=1)) if over is not None else last
        while day <= until and (terms := next((t for t in reversed(versions) if t.agreed_on <= day), None)) is not None:
            now = rules.progress(parts[terms.pk], received[terms.pk], day, terms.grace_days)
            if now.state == rules.State.ALIVE:
                spans = found[mine[pk].account_id]
                if spans and spans[-1][1] == day - timedelta(days=1) and spans[-1][2] == now.left_minor:
                    spans[-1] = (spans[-1][0], day, now.left_minor)
                else:
                    spans.append((day, day, now.left_minor))
            day += timedelta(days=1)
    return dict(found)


def history(account_ids: Sequence[int], since: date) -> dict[int, History]:
    """How these accounts' arrangements ended from a day on; an account of which none did is left out. One question."""
    rows = Arrangement.objects.filter(account_id__in=account_ids, ended_on__gte=since).order_by("ended_on", "pk")
    kept: dict[int, int] = defaultdict(int)
    cancelled: dict[int, int] = defaultdict(int)
    broken: dict[int, list[date]] = defaultdict(list)
    for account_id, state, ended_on in rows.values_list("account_id", "state", "ended_on"):
        if state == rules.State.BROKEN and ended_on is not None:
            broken[account_id].append(ended_on)
        elif state == rules.State.KEPT:
            kept[account_id] += 1
        else:
            cancelled[account_id] += 1
    return {pk: History(kept[pk], cancelled[pk], tuple(broken[pk])) for pk in {*kept, *cancelled, *broken}}


def agreed_since(account: Combinable, moment: Combinable) -> Exists:
    """For a query of a room above: whether an arrangement of an account was agreed, or agreed anew, at a moment or since."""
    return Exists(Terms.objects.filter(arrangement__account=account, at__gte=moment))


def newest_terms() -> int:
    """The id of what was agreed last (0: nothing ever was)."""
    return Terms.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def agreed_behind(terms: int) -> Q:
    """For a query of a room above, on rows with an account: those of whose account something was agreed that was written after this id."""
    return Q(account_id__in=Terms.objects.filter(pk__gt=terms).values("arrangement__account_id"))


# ---------------------------------------------------------------- for the desk and the night


def living(account_id: int, today: date) -> Standing | None:
    """The account's living arrangement as it stands today; its state may say that it should end."""
    return next(iter(_standing(list(Arrangement.objects.filter(account_id=account_id, state=rules.State.ALIVE)), today)), None)


def newest(account_id: int, today: date) -> Standing | None:
    """The account's newest arrangement, alive or ended, as it stands today. One question where there never was one."""
    return next(iter(_standing(list(Arrangement.objects.filter(account_id=account_id).order_by("-agreed_on", "-pk")[:1]), today)), None)


def one(number: str) -> Arrangement | None:
    return Arrangement.objects.filter(number=number).first()


def versions(arrangement_id: int) -> list[Terms]:
    """All that was ever agreed of an arrangement, the newest first, each with its parts in `instalments`."""
    return list(_with_people(Terms.objects.filter(arrangement_id=arrangement_id)).prefetch_related("instalments").order_by("-version"))


def to_check(day: date, after: int, limit: int) -> list[int]:
    """Accounts, by id from behind one on, with an arrangement that could be found broken on a day."""
    rows = Arrangement.objects.filter(state=rules.State.ALIVE, check_on__lte=day, account_id__gt=after)
    return list(rows.order_by("account_id").values_list("account_id", flat=True)[:limit])


def standing_many(account_ids: Iterable[int], today: date) -> list[Standing]:
    """The living arrangements of these accounts as they stand today."""
    return _standing(list(Arrangement.objects.filter(account_id__in=list(account_ids), state=rules.State.ALIVE)), today)


def with_part_on(day: date, after: int, limit: int) -> list[int]:
    """Accounts, by id from behind one on, with a living arrangement of which a part was agreed for a day (in any version of it)."""
    rows = Instalment.objects.filter(due_on=day, terms__arrangement__state=rules.State.ALIVE, terms__arrangement__account_id__gt=after)
    return list(rows.order_by("terms__arrangement__account_id").values_list("terms__arrangement__account_id", flat=True).distinct()[:limit])


def with_part_to_charge(day: date, after: int, limit: int) -> list[int]:
    """Accounts, by id from behind one on, with a living arrangement whose customer agreed that a part of a day, or of the days of grace
    before it, is charged."""
    rows = Instalment.objects.filter(
        due_on__lte=day, due_on__gte=day - timedelta(days=LONGEST_GRACE), terms__method__isnull=False, terms__arrangement__state=rules.State.ALIVE,
        terms__arrangement__charge_stopped_at=None, terms__arrangement__account_id__gt=after,
    )  # fmt: skip
    return list(rows.order_by("terms__arrangement__account_id").values_list("terms__arrangement__account_id", flat=True).distinct()[:limit])


def due_part(found: Standing, day: date) -> rules.Due | None:
    """The part of a living arrangement that is due on a day and not here yet."""
    parts = found.progress.parts if found.progress.state == rules.State.ALIVE else ()
    return next((part for part in parts if part.due_on == day and part.left_minor > 0), None)


def still_due(account_ids: Iterable[int], today: date) -> set[str]:
    """What texts about a coming part may still be about (`part:number:day`), of these accounts."""
    return {f"part:{s.row.number}:{p.due_on}" for s in standing_many(account_ids, today) for p in s.progress.parts if due_part(s, p.due_on)}


def still_open(abouts: Iterable[str], today: date) -> set[str]:
    """Of texts about broken arrangements (`arrangement:number`), those of which something is open still."""
    numbers = [about.partition(":")[2] for about in abouts]
    return {f"arrangement:{s.row.number}" for s in _standing(list(Arrangement.objects.filter(number__in=numbers)), today) if s.progress.left_minor}


def broken_of_staff(staff_id: int, since: date) -> list[Arrangement]:
    """Arrangements that this person agreed with a caller and that broke from a day on, the newest first."""
    mine = Terms.objects.filter(agreed_by_id=staff_id).values("arrangement_id")
    rows = Arrangement.objects.filter(state=rules.State.BROKEN, ended_on__gte=since, pk__in=mine).select_related("account")
    return list(rows.order_by("-ended_on", "-pk")[:5])


def signals(found: Standing | None, today: date) -> list[Signal]:
    """A broken arrangement of the last month, a part that is due today or late."""
    if found is None:
        return []
    row, due = found.row, found.progress.next
    if row.state == rules.State.BROKEN and row.ended_on and row.missed_on and (today - row.ended_on).days <= 30:
        left = f"; {shown(found.progress.left_minor)} of it is open" if found.progress.left_minor else ""
        return [Signal("arrangement_broken", "Arrangement broken", f"The part of {_day(row.missed_on)} did not come{left}.", 89, section="money")]
    if row.state == rules.State.ALIVE and due is not None and due.due_on <= today:
        when = "today" if due.due_on == today else f"{_day(due.due_on)} and is not here"
        return [Signal("arrangement_due", f"{shown(due.left_minor)} of the arrangement is due {when}", f"{row.number}, part {due.number}.", 86, act="payments.take", section="money")]
    return []


def past(account_id: int, today: date, history_days: int, hold: str = "", ended: bool = False) -> rules.Past:
    """What is known of an account when an arrangement is asked for. `ended`: as if the living one were over."""
    row = customers.account(account_id)
    since = today - timedelta(days=history_days)
    ends = history([account_id], since).get(account_id, History())
    zone = settings.CARRIER_ZONE
    back = ledger.came_back([account_id], start_of_day(since, zone), start_of_day(today + timedelta(days=1), zone))
    overdue = tuple((b.due_on, b.open_minor) for b in ledger.bills_of(account_id) if b.open_minor > 0 and b.due_on < today)
    return rules.Past(
        opened_on=row.opened_on if row else today,
        overdue=overdue,
        broken_on=ends.broken_on,
        returned_on=tuple(civil_date(at, zone) for _, _, at in back),
        hold=hold,
        living=not ended and Arrangement.objects.filter(account_id=account_id, state=rules.State.ALIVE).exists(),
    )


# ---------------------------------------------------------------- how they go


def _with_people(rows: QuerySet[Terms]) -> QuerySet[Terms]:
    return rows.select_related("agreed_by", "approved_by", "person", "contact", "method")


def _standing(rows: Sequence[Arrangement], day: date) -> list[Standing]:
    """Each arrangement by the last terms agreed by a day and the money of that day or before."""
    if not rows:
        return []
    terms: dict[int, Terms] = {}
    for found in _with_people(Terms.objects.filter(arrangement__in=rows, agreed_on__lte=day)).order_by("version"):
        terms[found.arrangement_id] = found
    parts: dict[int, list[rules.Part]] = defaultdict(list)
    for i in Instalment.objects.filter(terms__in=terms.values()).order_by("number"):
        parts[i.terms_id].append(rules.Part(i.due_on, i.amount_minor))
    received = _received(list(terms.values()))
    return [
        Standing(row, mine, rules.progress(parts[mine.pk], received[mine.pk], day, mine.grace_days))
        for row in rows
        if (mine := terms.get(row.pk)) is not None
    ]


def _received(terms: Sequence[Terms]) -> dict[int, list[tuple[date, int]]]:
    """What came in for each of these terms: (day of the money, amount). What its bills came to less what was paid of them is what
    is left, so that a bill that was corrected counts as the bill that replaced it, and money from before counts as nothing."""
    bills: dict[int, list[int]] = defaultdict(list)
    for terms_id, bill_id in Covered.objects.filter(terms__in=terms).values_list("terms_id", "bill_id"):
        bills[terms_id].append(bill_id)
    paid = ledger.paid_by_day([bill_id for ids in bills.values() for bill_id in ids])
    found = {}
    for t in terms:
        mine = [paid[bill_id] for bill_id in bills[t.pk]]
        moves = [(day, minor) for _, of_bill in mine for day, minor in of_bill]
        start = t.amount_minor - sum(total for total, _ in mine) + sum(minor for day, minor in moves if day < t.agreed_on)
        found[t.pk] = [(t.agreed_on, start), *((day, minor) for day, minor in moves if day >= t.agreed_on)]
    return found


def _day(day: date) -> str:
    return f"{day:%b} {day.day}"
