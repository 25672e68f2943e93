"""Why a bill is what it is, with who or what is behind it where the journal knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Exists, OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce

from careline.domain.journal import queries as journal
from careline.domain.journal.rules import HOUSE, account_chain
from careline.domain.ledger import rules
from careline.domain.ledger.models import Allocation, Bill, BillLine, Payment, SettledCredit, UnbilledCharge
from careline.domain.ledger.queries.account import unbilled_of
from careline.domain.ledger.queries.applied import stands
from careline.domain.ledger.rules import charges, estimate, explain
from careline.domain.rulebook import queries as rulebook
from careline.foundation import phone
from careline.foundation.money import shown
from careline.foundation.tariff import Tariff

# What is done at the desk and shows on a bill.
BILLED_ACTS = (
    "lines.add_data", "lines.restore", "lines.suspend", "lines.set_feature", "lines.change_plan", "billing.add_promotion", "billing.add_extra", "billing.end_agreed",
    "billing.sell_in_instalments", "billing.pay_off",
)  # fmt: skip


def explained(
    account_id: int, bill_id: int, against_id: int | None = None, credits: Callable[[Sequence[int]], Sequence[explain.Credited]] = lambda _: ()
) -> explain.Explanation | None:
    """One bill of an account against an earlier one (the one before it, unless another is named), with who or what is
    behind each difference where it is known. None when there is no such bill, or none before it. Five questions.

    `credits` is asked what was taken off the two bills: a room above knows."""
    rows = list(Bill.objects.filter(account_id=account_id).annotate(gone=Exists(Bill.objects.filter(corrects=OuterRef("pk")))).order_by("issued_on", "pk"))
    now = next((b for b in rows if b.pk == bill_id), None)
    earlier = [b for b in rows if now is not None and ((b.issued_on, b.pk) < (now.issued_on, now.pk) or b.pk == now.corrects_id)]
    was = next((b for b in earlier if b.pk == against_id), None)
    if was is None:  # what a correction replaces is no bill of before, unless it is asked for
        was = next((b for b in reversed(earlier) if not b.gone), None)
    if now is None or was is None:
        return None
    new, old = billed([now, was])
    return why(account_id, new, old, credits=credits([now.pk, was.pk]))


def why(account_id: int, now: charges.Billed, was: charges.Billed, *, credits: Sequence[explain.Credited] = (), for_customer: bool = False) -> explain.Explanation:
    """One bill explained against another. `for_customer`: without the orders of the desk, which name who works there."""
    events = events_between(account_id, now, was.issued_on, now.issued_on)
    if for_customer:
        events = [e for e in events if not e.who]
    found = explain.explain(now, was, events, credits)
    ruled = ruled_between(found) if {d.cause for d in found.differences} & _RULED else []
    if not ruled:
        return found
    return explain.explain(now, was, [*events, *(replace(e, who="") if for_customer else e for e in ruled)], credits)


def next_bill(account_id: int, plans: Sequence[estimate.Plan], issued_on: date) -> explain.Explanation | None:
    """What the next bill will likely be, against the last: an estimate. None without a last bill."""
    last = Bill.objects.filter(stands(), account_id=account_id).order_by("-issued_on", "-pk").first()
    if last is None:
        return None
    (before,) = billed([last])
    rows = unbilled_of(account_id)
    waiting = [
        charges.Charged(-c.pk, c.kind, c.label, c.amount_minor, c.line_id, _name(c.line), c.number, c.day, c.day, c.quantity, c.unit_price_minor)
        for c in rows
    ]
    taxed = frozenset(c.number for c in rows if c.tax == rules.TaxAdded.AT_BILLING)
    coming = estimate.estimate(before, plans, waiting, issued_on, taxed)
    return why(account_id, coming, before)


def explained_against_last(account_id: int, coming: charges.Billed) -> explain.Explanation | None:
    """A bill that somebody else foresaw, against the last one. None without a last bill."""
    last = Bill.objects.filter(stands(), account_id=account_id).order_by("-issued_on", "-pk").first()
    if last is None:
        return None
    (before,) = billed([last])
    names = {n.line: n.name for n in before.lines if n.line is not None}
    named = replace(coming, lines=tuple(replace(n, name=names.get(n.line, n.name)) for n in coming.lines))
    return why(account_id, named, before)


@dataclass(frozen=True, slots=True)
class Told:
    """An estimate of a bill that was told before it came: when, by whom, the amount, and what the bill has otherwise."""

    at: datetime
    who: str
    total_minor: int
    off_by: tuple[explain.Difference, ...]


ESTIMATE = "view.estimate"  # the look by which an estimate is told


def told_of(account_id: int, came: charges.Billed, since: date) -> Told | None:
    """The last estimate of this bill that somebody was shown since a day. One question."""
    zone = ZoneInfo(settings.CARRIER_ZONE)
    begin, end = (datetime.combine(d, time(), tzinfo=zone) for d in (since, came.issued_on + timedelta(days=1)))
    said = [x for x in journal.looks(account_chain(account_id), ESTIMATE, begin, end) if x.data.get("bill_on") == came.issued_on.isoformat()]
    if not said:
        return None
    last = said[-1]
    lines = (last.payload or {}).get("lines")
    off = estimate.off_by(came, estimate.unpacked(lines, came.issued_on, last.data["total"])) if lines else ()
    return Told(last.at, last.who_name, last.data["total"], off)


def last_bills(account_id: int, count: int = 13) -> list[charges.Billed]:
    """The newest bills that stand, newest first, with their lines. Two questions."""
    return billed(list(Bill.objects.filter(stands(), account_id=account_id).order_by("-issued_on", "-pk")[:count]))


def _name(line: Any) -> str:
    return f"ending {phone.last_four(line.msisdn)}" if line is not None else ""


def billed(bills: Sequence[Bill]) -> list[charges.Billed]:
    """Bills with their lines as frozen facts, in the order given. One question."""
    lines: dict[int, list[charges.Charged]] = {b.pk: [] for b in bills}
    for n in BillLine.objects.filter(bill_id__in=list(lines)).select_related("line"):
        lines[n.bill_id].append(_charged(n))
    return [charges.Billed(b.pk, b.number, b.issued_on, b.total_minor, tuple(lines[b.pk]), settled_minor=b.settled_minor or 0) for b in bills]


def bill_charges(bill_id: int) -> list[charges.Charged]:
    """The lines of one bill, in its own order. One question."""
    return [_charged(n) for n in BillLine.objects.filter(bill_id=bill_id).select_related("line").order_by("pk")]


def _charged(n: BillLine) -> charges.Charged:
    return charges.Charged(
        n.pk, n.kind, n.label, n.amount_minor, n.line_id, _name(n.line), n.source_key or "", n.period_start, n.period_end,
        n.quantity, n.unit_price_minor, n.proration_num, n.proration_den, n.tax_rate_ppm, n.taxed_line_id,
    )  # fmt: skip


def events_between(account_id: int, now: charges.Billed, since: date, until: date) -> list[explain.Event]:
    """What happened between two bills that can stand behind a difference: deeds in the journal, the bill that was late, and the
    payment that came back."""
    sources = [n.source for n in now.lines if n.source]
    numbers = dict(UnbilledCharge.objects.filter(account_id=account_id, number__in=sources).values_list("reference", "number"))
    zone = ZoneInfo(settings.CARRIER_ZONE)
    begin, end = (datetime.combine(d, time(), tzinfo=zone) for d in (since - timedelta(days=35), until + timedelta(days=1)))
    asked: dict[tuple[str, str], journal.Entry] = {}
    events: list[explain.Event] = []
    for entry in journal.between(account_chain(account_id), BILLED_ACTS, begin, end):
        order = entry.say.partition(":")[0]
        first = asked.setdefault((entry.code, order), entry)  # who asked; it is done when the network did it
        charge = str(first.data["charge"]) if "charge" in first.data else numbers.get(order, "")
        if entry.outcome == "done":
            line = str(first.data.get("line", ""))
            events.append(
                explain.Event(
                    entry.code, first.at.astimezone(zone).date(), entry.say, first.asked_by or first.who_name, charge,
                    int(line) if line.isdigit() else None, str(first.data.get("label", "")),
                )
            )  # fmt: skip
    if any(n.kind == rules.LineKind.FEE and charges.is_late_fee(n) for n in now.lines):
        events += _late(account_id, until)
    if now.settled_minor:
        events += _given(account_id, now.id)
    if any(n.kind == rules.LineKind.FEE and charges.RETURNED.search(n.label) for n in now.lines):
        events += _returned(account_id, begin, end)
    return events


# Causes that the rulebook, or another price of a plan, may be behind.
_RULED = {explain.Cause.TAX_RATE, explain.Cause.TAX_BEGAN, explain.Cause.TAX_ENDED, explain.Cause.FEE_BEGAN, explain.Cause.FEE_CHANGED, explain.Cause.FEE_ENDED,
          explain.Cause.PRICE_CHANGE}  # fmt: skip


def ruled_between(found: explain.Explanation) -> list[explain.Event]:
    """What holds for everybody since a day and is behind a difference: the change of the rulebook with which a tax or a fee became what it is, and
    the import that brought another price of a plan. Two questions, and a bundle is parsed once a process."""
    zone = ZoneInfo(settings.CARRIER_ZONE)
    begin, end = (datetime.combine(d, time(), tzinfo=zone) for d in (found.was.issued_on, found.now.issued_on + timedelta(days=1)))
    books = [(row, rulebook.opened(row.digest)) for row in rulebook.between(begin, end)]
    tariffs = [(row, book.billing) for row, book in books if "billing.toml" in book.files]
    events = [e for key in _wanted(found) if (e := _ruled(key, tariffs, found)) is not None]
    if any(d.cause == explain.Cause.PRICE_CHANGE for d in found.differences):
        events += _priced(begin - timedelta(days=35), end)
    return events


def _wanted(found: explain.Explanation) -> set[tuple[str, str]]:
    """The taxes (by label) and fees (by source) that are not what they were: on one of the bills only, or with another rate or price."""
    now, was = ({("tax", n.label, n.rate_ppm) if n.is_tax else ("fee", n.source, n.unit_minor) for n in bill.lines if n.is_tax or n.source.startswith("fee.")}
                for bill in (found.now, found.was))  # fmt: skip
    return {(kind, name) for kind, name, _ in now ^ was}


def _ruled(key: tuple[str, str], tariffs: Sequence[tuple[rulebook.InForce, Tariff]], found: explain.Explanation) -> explain.Event | None:
    """The change of the rulebook since which a tax or a fee is what the newer bill has: the first of those without a break that say the same as
    the last. None when it never was another, or the rulebook knows nothing of it (another system's tax)."""
    kind, name = key
    said = [(row, _tax_said(name, tariff, found.now.issued_on) if kind == "tax" else _fee_said(name, tariff)) for row, tariff in tariffs]
    if not any(one.what for _, one in said):
        return None
    first, last = said[0][0], said[0][1]
    for row, one in said:
        if one.what != last.what:
            break
        first = row
    day = max(first.from_at.astimezone(ZoneInfo(settings.CARRIER_ZONE)).date(), last.since or date.min)
    if not found.was.issued_on <= day <= found.now.issued_on:  # it was the same all along: the address is another, say
        return None
    title = next(one.title for _, one in said if one.what)
    page = f"change:{first.proposal_id}" if first.proposal_id else f"rulebook:{first.digest}"
    return explain.Event(explain.RULED, day, f"Rulebook: {first.why or f'{title} as it is from then on'}", first.who, about=title, page=page)


class _Said(NamedTuple):
    """What a tariff says of a tax or a fee: the rates or the amount (nothing: it has none such), how a bill calls it, and its own first day."""

    what: object
    title: str = ""
    since: date | None = None


def _tax_said(label: str, tariff: Tariff, on: date) -> _Said:
    tax = max((t for t in tariff.taxes if t.label == label and t.since <= on), key=lambda t: t.since, default=None)
    return _Said(tuple(sorted(tax.rates.items())), label, tax.since) if tax is not None else _Said(())


def _fee_said(source: str, tariff: Tariff) -> _Said:
    fee = next((f for f in tariff.fees if f"fee.{f.code}" == source), None)
    return _Said(fee.amount, fee.title) if fee is not None else _Said(0)


def _priced(begin: datetime, end: datetime) -> list[explain.Event]:
    """Plans that an import brought another price of."""
    zone = ZoneInfo(settings.CARRIER_ZONE)
    return [
        explain.Event(explain.PRICED, e.at.astimezone(zone).date(), e.say, e.who_name, about=str(e.data["plan"]))
        for e in journal.between(HOUSE, ("imports.run",), begin, end) if "plan" in e.data
    ]  # fmt: skip


def _given(account_id: int, bill_id: int) -> list[explain.Event]:
    """Who gave the credits, or took them back, that lines of another system's bill carry."""
    rows = list(SettledCredit.objects.filter(bill_line__bill=bill_id).select_related("entry", "bill_line").order_by("pk"))
    begin, end = min(r.entry.at for r in rows), max(r.entry.at for r in rows) + timedelta(seconds=1)
    given = journal.between(account_chain(account_id), ("credits.grant", "credits.reverse"), begin, end)
    known = {e.data["credit"]: e for e in given if e.outcome == "done" and "credit" in e.data}
    found = []
    for r in rows:
        by, key = known.get(r.entry.reference), r.bill_line.source_key or ""
        found.append(explain.Event("credits.grant", r.entry.day, f"{r.entry.label}, {r.entry.reference}", by.asked_by or by.who_name if by else "", key))
    return found


def _returned(account_id: int, begin: datetime, end: datetime) -> list[explain.Event]:
    """Payments that came back between two moments: what a fee that names one of them is for."""
    rows = Payment.objects.filter(account_id=account_id, returns__isnull=False, received_at__gte=begin, received_at__lt=end)
    zone = ZoneInfo(settings.CARRIER_ZONE)
    found = []
    for p in rows.select_related("returns").order_by("received_at", "pk"):
        day = p.received_at.astimezone(zone).date()
        assert p.returns is not None
        what = f"The payment of {shown(p.amount_minor)} by {p.returns.method} came back on {day:%b} {day.day}"
        found.append(explain.Event("payment.returned", day, what, about=p.number))
    return found


def _late(account_id: int, until: date) -> list[explain.Event]:
    """The newest bill that was due before a day and not paid in full by then: what a late fee is for."""
    paid = Allocation.objects.filter(bill=OuterRef("pk"), entry__day__lte=OuterRef("due_on")).values("bill").annotate(s=Sum("amount_minor")).values("s")
    rows = Bill.objects.filter(stands(), account_id=account_id, due_on__lt=until).annotate(paid=Coalesce(Subquery(paid), 0))
    for b in rows.order_by("-due_on", "-pk")[:6]:
        if b.owed_minor > b.paid:
            what = f"Of the bill of {b.issued_on:%b} {b.issued_on.day}, {shown(b.owed_minor - b.paid)} was open after {b.due_on:%b} {b.due_on.day}, when it was due"
            return [explain.Event("bill.late", b.due_on, what)]
    return []
