"""The facts that bills follow from, gathered for many accounts at once, and the drafts as they stand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.db.models import Count, Max, QuerySet, Sum

from careline.domain.billing import rules
from careline.domain.billing.models import Agreed, Draft, Instalments
from careline.domain.billing.queries.exported import EXPORTED as EXPORTED
from careline.domain.billing.queries.exported import exported as exported
from careline.domain.customers import queries as customers
from careline.domain.customers.queries import InCycle, LineInCycle
from careline.domain.customers.rules import LineStatus
from careline.domain.ledger import queries as ledger
from careline.domain.ledger.rules import TaxAdded, charges
from careline.foundation.calendar import bill_period, civil_date, start_of_day
from careline.foundation.tariff import Tariff
from careline.prepared import day, prepared, wholes


@dataclass(frozen=True, slots=True)
class Judged:
    """An account of the cycle that has no draft yet: why it gets no bill now, or the lines of its bill (none: nothing to bill)."""

    account: InCycle
    cycle: rules.Cycle
    left: rules.Left | None
    lines: tuple[rules.Made, ...] = ()
    measured: tuple[rules.Measured, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """A cycle as its drafts say: how many accounts in each state, and the money of the drafts and of the issued bills."""

    drafts: int
    issued: int
    nothing: int
    drafts_minor: int
    issued_minor: int


def standing(start: date) -> Standing:
    rows = Draft.objects.filter(cycle_on=start).values_list("state").annotate(n=Count("pk"), s=Sum("total_minor"))
    found = {state: (n, s) for state, n, s in rows}
    (drafts, waiting), (issued, billed), (nothing, _) = (found.get(s, (0, 0)) for s in ("draft", "issued", "nothing"))
    return Standing(drafts, issued, nothing, waiting, billed)


def draft_of(account_id: int, start: date) -> Draft | None:
    return Draft.objects.select_related("bill").filter(account_id=account_id, cycle_on=start).first()


def with_draft(account_ids: Sequence[int], start: date) -> set[int]:
    """Those of the accounts of which the cycle knows what became."""
    return {pk for (pk,) in _with_draft(accounts=account_ids, start=start)}


@prepared
def _with_draft() -> QuerySet[Draft, tuple[int]]:
    return Draft.objects.filter(cycle_on=day("start"), account_id__in=wholes("accounts")).values_list("account_id")


class Waiting(NamedTuple):
    """A draft that waits, with its lines as text."""

    id: int
    account_id: int
    period_end: date
    total_minor: int
    lines: str


def waiting_of(account_ids: Sequence[int], start: date) -> list[Waiting]:
    """The drafts of these accounts that wait in a cycle, by account."""
    return [Waiting(*row) for row in _waiting_of(accounts=account_ids, start=start)]


@prepared
def _waiting_of() -> QuerySet[Draft, tuple[Any, ...]]:
    rows = Draft.objects.filter(cycle_on=day("start"), account_id__in=wholes("accounts"), state=rules.State.DRAFT)
    return rows.order_by("account_id").values_list("pk", "account_id", "period_end", "total_minor", "lines")


def waiting(start: date, after: int, limit: int, states: Sequence[str] = (rules.State.DRAFT,)) -> list[int]:
    """Accounts whose draft of this cycle waits, by id, from behind one on."""
    rows = Draft.objects.filter(cycle_on=start, state__in=states, account_id__gt=after).order_by("account_id")
    return list(rows.values_list("account_id", flat=True)[:limit])


def with_late_fee_on_bill(account_ids: Sequence[int], since: date) -> set[int]:
    """Those of the accounts to whom a bill that was issued since a day charged a late fee of its own."""
    return ledger.with_charge(account_ids, "late_fee", since)


def agreed_of(account_id: int, today: date) -> list[Agreed]:
    """The extras and discounts of an account that run today, or begin later."""
    rows = Agreed.objects.filter(account_id=account_id).exclude(ends_on__lte=today).select_related("line")
    return list(rows.order_by("starts_on", "pk"))


def overlaps(agreed: Agreed, label: str, line_id: int | None) -> bool:
    """Would an extra or discount of this name on a line (None: the account) come twice on a bill beside this one?"""
    return agreed.label == label and (line_id is None or agreed.line_id in (None, line_id))


def behind(account_id: int, kind: str, label: str, line_id: int | None, today: date) -> str:
    """The number of the extra that this charge of a bill comes from, while it runs; empty: there is none."""
    return next((a.reference for a in agreed_of(account_id, today) if (a.kind, a.label, a.line_id) == (kind, label, line_id) and a.amount_minor > 0), "")


class Owed(NamedTuple):
    """Equipment of which parts are still to come: how many were billed, what the others come to, and the next of them."""

    row: Instalments
    billed: int
    left_minor: int
    next_minor: int


def owed_in_parts(account_id: int, today: date) -> list[Owed]:
    """What an account still pays in parts, the oldest first."""
    return [o for i in Instalments.objects.filter(account_id=account_id, ended_on=None).select_related("line", "account").order_by("starts_on", "pk")
            if (o := owed(i, today)).left_minor]  # fmt: skip


def owed(bought: Instalments, today: date) -> Owed:
    """What of it is still to come after the bills that have begun by a day."""
    billed = rules.billed_parts(bought.count, bought.starts_on, bought.account.bill_day, today)
    coming = rules.part(bought.total_minor, bought.count, billed + 1) if billed < bought.count else 0
    return Owed(bought, billed, rules.left(bought.total_minor, bought.count, billed), coming)


def imported(account_ids: Sequence[int]) -> set[int]:
    """Those of the accounts that came by import, or have bills that did."""
    came = customers.came_by_import(account_ids)
    others = [pk for pk in account_ids if pk not in came]
    return came | {pk for pk, (_, bills) in ledger.covered_to(others).items() if bills} if others else came


def outside(account_ids: Sequence[int], tariff: Tariff) -> set[int]:
    """Those of the accounts that another system bills."""
    return imported(account_ids) if tariff.imported == "outside" and account_ids else set()


def spared(late: Mapping[int, Mapping[int, date]], tariff: Tariff) -> dict[int, set[int]]:
    """Of bills that are late (by account, with their due days) those whose late fee is not ours to levy: of an account that another
    system bills all, of another those that it billed before."""
    outside_ = outside(list(late), tariff)
    ours = [bill for pk, bills in late.items() if pk not in outside_ for bill, due_on in bills.items() if tariff.late_fee.spares_imported(due_on)]
    theirs = ledger.imported_bills(ours) if tariff.imported == "ours" else set()
    found = {pk: set(bills) if pk in outside_ else theirs & set(bills) for pk, bills in late.items()}
    return {pk: bills for pk, bills in found.items() if bills}


def is_outside(account_id: int, tariff: Tariff) -> bool:
    """Does another system bill this account?"""
    return account_id in outside([account_id], tariff)


def coming(account_id: int, today: date, tariff: Tariff) -> charges.Billed | None:
    """The next bill as the bill run would make it with what is known today; None where another run cannot: another system
    bills the account, or the cycle before was not billed."""
    account = customers.one_in_cycle(account_id)
    if account is None:
        return None
    start = bill_period(account.bill_day, today)[1] + timedelta(days=1)
    (found,) = judged([account], start, tariff, late_by=today - timedelta(days=1))
    if found.left is not None or not found.lines:
        return None
    lines = [
        charges.Charged(
            -n - 1, m.kind, m.label, m.amount, m.line_id, "", m.source_key or "", m.start, m.end, m.quantity, m.unit, m.num, m.den, m.ppm,
            -m.taxes - 1 if m.taxes is not None else None,
        )
        for n, m in enumerate(found.lines)
    ]  # fmt: skip
    return charges.Billed(0, "", start, rules.total(found.lines), tuple(lines), estimated=True, by_run=True)


def judged(accounts: Sequence[InCycle], start: date, tariff: Tariff, late_by: date | None = None) -> list[Judged]:
    """What the bills of these accounts would be. Some fifteen questions, however many accounts. `late_by`: nothing that fell due after this
    day is late; for a bill that is only foreseen, what is due tomorrow may be paid still."""
    ids = [a.id for a in accounts]
    by_day = {day: rules.Cycle.of(day, start) for day in {a.bill_day for a in accounts}}
    cycles = {a.id: by_day[a.bill_day] for a in accounts}
    first = min((c.before for c in cycles.values()), default=start)
    ended = start - timedelta(days=1)
    covered = ledger.covered_to(ids)
    settled = dict(_settled(accounts=ids))
    others = {pk for (pk,) in _other_drafts(accounts=ids, start=start)}
    why: dict[int, rules.Left | None] = {}
    for account in accounts:
        billed, imported = covered.get(account.id, (None, False))
        known = [d for d in (billed, settled.get(account.id)) if d is not None]
        why[account.id] = rules.left_out(
            outside=tariff.imported == "outside" and (account.imported or imported),
            waits=account.id in others,
            covered_to=max(known, default=None),
            cycle=cycles[account.id],
            taxes=tariff.taxes_of(account.state, account.postal_code, start),
        )
    chosen = [a for a in accounts if why[a.id] is None]
    facts = _facts(chosen, cycles, first, ended, tariff, min(late_by or ended, ended)) if chosen else {}
    rated = {a.id: rules.rate(facts[a.id], tariff) for a in chosen}
    return [
        Judged(a, cycles[a.id], why[a.id], *((found.lines, found.measured) if (found := rated.get(a.id)) else ())) for a in accounts
    ]


@prepared
def _settled() -> QuerySet[Draft, tuple[int, date]]:
    """The last period of which there was nothing to bill, by account."""
    rows = Draft.objects.filter(account_id__in=wholes("accounts"), state=rules.State.NOTHING).values("account_id")
    return rows.annotate(m=Max("period_end")).order_by().values_list("account_id", "m")


@prepared
def _other_drafts() -> QuerySet[Draft, tuple[int]]:
    return Draft.objects.filter(account_id__in=wholes("accounts"), state=rules.State.DRAFT).exclude(cycle_on=day("start")).values_list("account_id")


@prepared
def _in_force() -> QuerySet[Agreed, tuple[Any, ...]]:
    rows = Agreed.objects.filter(account_id__in=wholes("accounts"), starts_on__lte=day("start")).exclude(ends_on__lt=day("start"))
    return rows.order_by("pk").values_list("account_id", "line_id", "kind", "label", "starts_on", "ends_on", "amount_minor", "share_ppm")


@prepared
def _bought() -> QuerySet[Instalments, tuple[Any, ...]]:
    rows = Instalments.objects.filter(account_id__in=wholes("accounts"), starts_on__lte=day("start"))
    return rows.order_by("pk").values_list("account_id", "line_id", "label", "total_minor", "count", "starts_on", "ended_on")


@prepared
def _measured() -> QuerySet[Draft, tuple[int, str]]:
    rows = Draft.objects.filter(account_id__in=wholes("accounts"), cycle_on__gt=day("oldest"), cycle_on__lt=day("start")).exclude(measured="")
    return rows.order_by("cycle_on").values_list("account_id", "measured")


def _facts(accounts: Sequence[InCycle], cycles: dict[int, rules.Cycle], first: date, ended: date, tariff: Tariff, late_by: date) -> dict[int, rules.Facts]:
    ids, start = [a.id for a in accounts], ended + timedelta(days=1)
    plans: dict[int, rules.Charged] = {}
    given: dict[tuple[int, int | None], list[rules.Charged]] = defaultdict(list)
    for account_id, line_id, kind, label, amount, ppm in ledger.charged_in_advance(ids, ended):
        if kind == "discount":
            given[account_id, line_id].append(rules.Charged(label, amount, ppm))
        elif line_id is not None:
            plans[line_id] = rules.Charged(label, amount)
    lines = _lines(ids, cycles, first, ended, plans, given)
    agreed: dict[int, list[rules.Agreed]] = defaultdict(list)
    for account_id, *columns in _in_force(accounts=ids, start=start):
        agreed[account_id].append(rules.Agreed(*columns))
    bought: dict[int, list[rules.Instalments]] = defaultdict(list)
    for account_id, *columns in _bought(accounts=ids, start=start):
        bought[account_id].append(rules.Instalments(*columns))
    waits: dict[int, list[rules.Waiting]] = defaultdict(list)
    for w in ledger.unbilled_of_many(ids):
        taxed = w.tax == TaxAdded.AT_BILLING
        waits[w.account_id].append(
            rules.Waiting(w.number, w.line_id, w.kind, w.label, w.quantity, w.unit_price_minor, w.amount_minor, w.day, taxed)
        )
    earlier = _earlier(accounts, start, tariff)
    late: dict[int, int] = defaultdict(int)
    # Where the ladder levies the late fee, its charges are among those that wait, and the bill makes none of its own.
    for account_id, due_on, still_open, theirs in ledger.fell_due(ids, first, late_by) if tariff.late_fee.by == "bill" else ():
        if due_on >= cycles[account_id].before and not (theirs and tariff.late_fee.spares_imported(due_on)):
            late[account_id] += max(still_open, 0)
    back: dict[int, list[str]] = defaultdict(list)
    zone = settings.CARRIER_ZONE
    for account_id, number, at in ledger.came_back(ids, start_of_day(first, zone), start_of_day(start, zone)):
        if civil_date(at, zone) >= cycles[account_id].before:
            back[account_id].append(number)
    return {
        a.id: rules.Facts(
            state=a.state, postal_code=a.postal_code, bill_day=a.bill_day, cycle=cycles[a.id], lines=tuple(lines[a.id]), agreed=tuple(agreed[a.id]),
            instalments=tuple(bought[a.id]), waiting=tuple(waits[a.id]), given=tuple(given.get((a.id, None), ())), late=late[a.id], returned=tuple(back[a.id]),
            earlier=tuple(earlier.get(a.id, ())),
        )
        for a in accounts
    }  # fmt: skip


def _lines(
    ids: Sequence[int], cycles: dict[int, rules.Cycle], first: date, ended: date,
    plans: Mapping[int, rules.Charged], given: Mapping[tuple[int, int | None], list[rules.Charged]],
) -> dict[int, list[rules.Line]]:  # fmt: skip
    rows = customers.lines_in_cycle(ids)
    known = {p.id: rules.Plan(p.name, p.price_minor, tuple(rules.Allowance(*i) for i in p.included)) for p in customers.plans_in_cycle()}
    owners = {n.id: n.account_id for n in rows}
    changes: dict[int, list[rules.Change]] = defaultdict(list)
    metered = {n.id for n in rows if known[n.plan].allowances}
    for line_id, on, was, now in customers.plan_changes_since(list(owners), first):
        if on >= cycles[owners[line_id]].before:
            changes[line_id].append(rules.Change(on, known[was], known[now]))
        if known[was].allowances or known[now].allowances:
            metered.add(line_id)
    kinds = sorted({a.kind for p in known.values() for a in p.allowances})
    used, added, beyond = _beyond(rows, metered, kinds, cycles, first, ended)
    found: dict[int, list[rules.Line]] = defaultdict(list)
    for n in rows:
        cancelled = n.status == LineStatus.CANCELLED
        found[n.account_id].append(
            rules.Line(
                id=n.id, activated_on=n.activated_on, plan=known[n.plan],
                cancelled_on=(n.since or n.activated_on) if cancelled else None, pending=n.status == LineStatus.PENDING,
                changes=tuple(changes[n.id]), advance=plans.get(n.id), given=tuple(given.get((n.account_id, n.id), ())), used=tuple(used[n.id]),
                added_mb=added.get(n.id, 0), limit=n.limit_minor, beyond=beyond[n.id],
            )
        )  # fmt: skip
    return found


def _beyond(
    rows: Sequence[LineInCycle], metered: set[int], kinds: Sequence[str], cycles: dict[int, rules.Cycle], first: date, ended: date
) -> tuple[dict[int, list[tuple[str, date, int]]], dict[int, int], dict[int, int]]:
    """Of lines whose plan has a price for more use: what was used by day, added, and charged on them otherwise."""
    used: dict[int, list[tuple[str, date, int]]] = defaultdict(list)
    beyond: dict[int, int] = defaultdict(int)
    if not metered:
        return used, {}, beyond
    begins = {n.id: cycles[n.account_id].before for n in rows}
    for line_id, kind, on, units in customers.used_by_day(sorted(metered), kinds, first, ended):
        if on >= begins[line_id]:
            used[line_id].append((kind, on, units))
    limited = [n.id for n in rows if n.id in metered and n.limit_minor is not None]
    for line_id, on, amount in ledger.charged_beyond_plan_many(limited, first, ended) if limited else ():
        if on >= begins[line_id]:
            beyond[line_id] += amount
    return used, customers.data_added(sorted(metered), first, ended), beyond


def _earlier(accounts: Sequence[InCycle], start: date, tariff: Tariff) -> dict[int, list[tuple[rules.Measured, dict[str, int]]]]:
    """Periods that were billed before and of which another use is known by now, with that use: by account."""
    oldest = start - timedelta(days=tariff.late_use.give_back_days + 31)
    if not tariff.late_use.give_back_days:
        return {}
    newest: dict[tuple[int, int, date], rules.Measured] = {}
    for account_id, text in _measured(accounts=[a.id for a in accounts], oldest=oldest, start=start):
        newest |= {(account_id, m.line_id, m.last): m for m in rules.unpacked_use(text)}
    days = {a.id: a.bill_day for a in accounts}
    known = _known_use([(m, bill_period(days[account_id], m.last)[0]) for (account_id, _, _), m in newest.items()])
    found: dict[int, list[tuple[rules.Measured, dict[str, int]]]] = defaultdict(list)
    for (account_id, _, _), m in newest.items():
        used = known.get((m.line_id, m.last), {})
        if any(rules.over(meter, used) != meter.over for meter in m.meters):
            found[account_id].append((m, used))
    return found


def _known_use(periods: Sequence[tuple[rules.Measured, date]]) -> dict[tuple[int, date], dict[str, int]]:
    """What is known of the use in these periods, each with its first day: by line and last day, then by kind. Where every day
    counts, the database sums it, one question a period; the others are read day by day, all in one."""
    kinds = sorted({meter.kind for m, _ in periods for meter in m.meters})
    whole: dict[tuple[date, date], list[int]] = defaultdict(list)
    parts = []
    for m, first in periods:
        if all(meter.spans == ((first, m.last),) for meter in m.meters):
            whole[first, m.last].append(m.line_id)
        else:
            parts.append(m)
    found: dict[tuple[int, date], dict[str, int]] = defaultdict(dict)
    for (first, last), lines in whole.items():
        for line_id, kind, units in customers.used_in_all(lines, kinds, first, last):
            found[line_id, last][kind] = units
    if parts:
        by_line: dict[int, list[tuple[str, date, int]]] = defaultdict(list)
        for line_id, *used in customers.used_by_day(sorted({m.line_id for m in parts}), kinds, min(m.first for m in parts), max(m.last for m in parts)):
            by_line[line_id].append(tuple(used))  # type: ignore[arg-type]
        found |= {(m.line_id, m.last): rules.counted(m, by_line[m.line_id]) for m in parts}
    return found
