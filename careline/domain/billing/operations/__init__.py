"""Writing drafts, issuing them as bills, throwing them away. Each runs in one short transaction for some accounts, and does
for every account exactly what is not done yet: whoever comes second finds nothing to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from django.conf import settings

from careline.domain.billing import queries, rules
from careline.domain.billing.models import Agreed, Draft, Instalments
from careline.domain.billing.operations.imported import (
    import_agreements_many as import_agreements_many,
)
from careline.domain.billing.operations.imported import (
    import_instalments_many as import_instalments_many,
)
from careline.domain.billing.queries import Judged
from careline.domain.customers import operations as customers
from careline.domain.journal.operations import next_numbers, record_many
from careline.domain.journal.rules import Entry, account_chain
from careline.domain.ledger import operations as ledger
from careline.domain.ledger import queries as ledger_queries
from careline.domain.ledger.rules.charges import DOWN, REST
from careline.foundation.act import Act
from careline.foundation.calendar import add_months, civil_date
from careline.foundation.money import shown
from careline.foundation.refusal import refuse
from careline.foundation.tariff import Tariff
from careline.prepared import save_columns_many, write_rows

RUN = "bills.run"


def agree_many(*, act: Act, rows: Sequence[Mapping[str, Any]]) -> None:
    """Extras and discounts that come with every bill, as columns; those without a number get the next."""
    write_rows(Agreed, _numbered(rows, "agreed", "AG"))


def sell_in_instalments_many(*, act: Act, rows: Sequence[Mapping[str, Any]]) -> None:
    """Equipment to be paid in parts, as columns; what has no number gets the next."""
    write_rows(Instalments, _numbered(rows, "instalments", "IN"))


def _numbered(rows: Sequence[Mapping[str, Any]], name: str, prefix: str) -> list[dict[str, Any]]:
    wanted = sum("reference" not in row for row in rows)
    numbers = iter(next_numbers(name, prefix, wanted) if wanted else ())
    return [{**row, "reference": row["reference"] if "reference" in row else next(numbers)} for row in rows]


def draft_many(*, act: Act, start: date, found: Sequence[Judged]) -> int:
    """Keep what was judged, where nobody did in the meantime. Returns how many."""
    ids = customers.lock_accounts(j.account.id for j in found)
    known = queries.with_draft(sorted(ids), start)
    new = [j for j in found if j.left is None and j.account.id in ids - known]
    write_rows(Draft, [
        {
            "account_id": j.account.id, "cycle_on": start, "period_end": j.cycle.end, "state": rules.State.DRAFT if j.lines else rules.State.NOTHING,
            "total_minor": rules.total(j.lines), "lines": rules.packed(j.lines) if j.lines else "", "measured": rules.packed_use(j.measured), "rulebook": act.rulebook, "drafted_at": act.at,
        }
        for j in new
    ])  # fmt: skip
    return len(new)


def add_promotion(*, act: Act, account_id: int, line_id: int | None, label: str, amount_minor: int, share_ppm: int, months: int) -> Agreed:
    """A discount on the bills to come, for so many months from today."""
    today = civil_date(act.at, settings.CARRIER_ZONE)
    return _agree(act, "promotion-runs", account_id=account_id, line_id=line_id, kind="discount", label=label, amount_minor=-amount_minor, share_ppm=share_ppm,
                  ends_on=add_months(today, months) - timedelta(days=1))  # fmt: skip


def add_extra(*, act: Act, account_id: int, line_id: int | None, kind: str, label: str, amount_minor: int) -> Agreed:
    """An extra on every bill to come, until somebody ends it."""
    return _agree(act, "extra-runs", account_id=account_id, line_id=line_id, kind=kind, label=label, amount_minor=amount_minor)


def _agree(act: Act, runs: str, *, label: str, account_id: int, line_id: int | None, **columns: Any) -> Agreed:
    """One of the same name that runs already on the line, or on the whole account, is refused; so is one for the account while a line
    has it."""
    today = civil_date(act.at, settings.CARRIER_ZONE)
    if any(queries.overlaps(a, label, line_id) for a in queries.agreed_of(account_id, today)):
        raise refuse("CONFLICT", f"“{label}” runs already.", rule=runs)
    return Agreed.objects.create(account_id=account_id, line_id=line_id, label=label, starts_on=today, reference=next_numbers("agreed", "AG")[0], **columns)


def sell_in_instalments(*, act: Act, account_id: int, line_id: int | None, label: str, price_minor: int, down_minor: int, count: int) -> tuple[Instalments, str]:
    """Equipment whose price, less what is paid down with the next bill, comes in equal parts with this many bills from the next one on. Returns
    it and the number of the charge for what is paid down, if any."""
    today = civil_date(act.at, settings.CARRIER_ZONE)
    row = Instalments.objects.create(
        account_id=account_id, line_id=line_id, label=label, total_minor=price_minor - down_minor, count=count, starts_on=today + timedelta(days=1),
        reference=next_numbers("instalments", "IN")[0],
    )  # fmt: skip
    charge = _charge(act, row, f"{label}{DOWN}", down_minor) if down_minor else ""
    return row, charge


def pay_off(*, act: Act, account_id: int, reference: str) -> tuple[Instalments, str]:
    """What is left of instalments comes whole with the next bill, and no part after it. Returns them and the number of that charge."""
    row = Instalments.objects.select_for_update(no_key=True, of=("self",)).select_related("account").filter(account_id=account_id, reference=reference).first()
    if row is None:
        raise refuse("NOT_FOUND", f"There is no {reference} on this account.")
    today = civil_date(act.at, settings.CARRIER_ZONE)
    minor = queries.owed(row, today).left_minor
    if row.ended_on is not None or not minor:
        raise refuse("CONFLICT", f"“{row.label}” is paid off already.", rule="instalments-over")
    row.ended_on = today
    row.save(update_fields=["ended_on"])
    return row, _charge(act, row, f"{row.label}{REST}", minor)


def _charge(act: Act, row: Instalments, label: str, minor: int) -> str:
    return ledger.charge_next_bill_many(act=act, rows=[
        {"account_id": row.account_id, "line_id": row.line_id, "kind": "equipment", "label": label, "quantity": 1, "unit_price_minor": minor, "amount_minor": minor, "reference": row.reference}
    ])[0]  # fmt: skip


def end_agreed(*, act: Act, account_id: int, reference: str) -> Agreed:
    """Let an extra or a discount end today: the next bill has it no more. What was billed stays billed."""
    row = Agreed.objects.select_for_update(no_key=True).filter(account_id=account_id, reference=reference).first()
    if row is None:
        raise refuse("NOT_FOUND", f"There is no {reference} on this account.")
    today = civil_date(act.at, settings.CARRIER_ZONE)
    if row.ends_on is not None and row.ends_on <= today:
        raise refuse("CONFLICT", f"“{row.label}” is over already.", rule="agreed-over")
    row.ends_on = max(today, row.starts_on)
    row.save(update_fields=["ends_on"])
    return row


def make_final_many(*, act: Act, account_ids: Sequence[int], reference: str) -> int:
    """The next bill of these accounts is the last: what is left of instalments waits for it whole, and what was agreed for
    every bill ends today. Returns how many instalments fell due. The accounts are locked."""
    today = civil_date(act.at, settings.CARRIER_ZONE)
    bought = list(Instalments.objects.filter(account_id__in=account_ids, ended_on=None).select_related("account").order_by("pk"))
    rows = []
    for i in bought:
        left = queries.owed(i, today).left_minor
        if left:
            rows.append({"account_id": i.account_id, "line_id": i.line_id, "kind": "equipment", "label": f"{i.label}{REST}", "quantity": 1,
                         "unit_price_minor": left, "amount_minor": left, "reference": reference})  # fmt: skip
    ledger.charge_next_bill_many(act=act, rows=rows)
    Instalments.objects.filter(pk__in=[i.pk for i in bought]).update(ended_on=today)
    Agreed.objects.filter(account_id__in=account_ids, starts_on__lte=today).exclude(ends_on__lt=today).update(ends_on=today)
    return len(rows)


@dataclass
class Issued:
    """What one step of issuing did: how many bills of how much, and the accounts whose draft no longer holds."""

    bills: int = 0
    minor: int = 0
    stale: list[int] = field(default_factory=list)


def issue_many(*, act: Act, start: date, account_ids: Sequence[int], tariff: Tariff) -> Issued:
    """Issue the drafts of these accounts that still wait: bills with their lines, entries and allocations, a line on each
    account's chain. A draft whose charges stand on a bill by now, or whose period does, is left as it is."""
    ids = sorted(customers.lock_accounts(account_ids))
    drafts = queries.waiting_of(ids, start)
    ids = [d.account_id for d in drafts]
    lines = {d.id: rules.unpacked_columns(d.lines) for d in drafts}
    covered = ledger_queries.covered_to(ids)
    cites = rules.cites(tariff)
    keys = [n["source_key"] for made in lines.values() for n in made if rules.carries(n["source_key"], cites)]
    carried = ledger_queries.carried_already(ids, keys)
    done = Issued()
    good = []
    for draft in drafts:
        taken = bool(carried) and any((draft.account_id, n["source_key"]) in carried for n in lines[draft.id])
        last = covered.get(draft.account_id)
        if taken or (last is not None and last[0] >= start):
            done.stale.append(draft.account_id)
        else:
            good.append(draft)
    if not good:
        return done
    issued_on = civil_date(act.at, settings.CARRIER_ZONE)
    due_on = issued_on + timedelta(days=tariff.due_days)
    due, cycle = f"due {due_on:%b} {due_on.day}", start.isoformat()
    numbers = next_numbers("bill", "B", len(good))
    made = ledger.issue_bills_many(
        act=act,
        rows=[
            {
                "number": number, "account_id": d.account_id, "period_start": start, "period_end": d.period_end,
                "issued_on": issued_on, "due_on": due_on, "total_minor": d.total_minor, "lines": lines[d.id],
            }
            for number, d in zip(numbers, good, strict=True)
        ],
    )  # fmt: skip
    save_columns_many(Draft, ("state", "lines", "bill"), [(rules.State.ISSUED, "", bill_id, d.id) for d, bill_id in zip(good, made, strict=True)])
    done.bills, done.minor = len(good), sum(d.total_minor for d in good)
    record_many([
        Entry(
            account_chain(d.account_id), act, RUN, "done",
            f"Bill {number} issued: {shown(d.total_minor)}, {due}",
            {"bill": number, "cycle": cycle, "total": d.total_minor} | _cites(lines[d.id], cites),
        )
        for number, d in zip(numbers, good, strict=True)
    ])  # fmt: skip
    return done


def _cites(lines: Sequence[Mapping[str, Any]], cites: Mapping[str, str]) -> dict[str, Any]:
    found = {key: cites[key] for n in lines if (key := n["source_key"]) in cites}
    return {"cites": found} if found else {}


def discard_many(*, act: Act, start: date, account_ids: Sequence[int]) -> int:
    """Throw away what waits of a cycle; what was issued stays. Returns how many."""
    ids = customers.lock_accounts(account_ids)
    return Draft.objects.filter(cycle_on=start, account_id__in=ids).exclude(state=rules.State.ISSUED).delete()[0]


def follow_lines(*, act: Act, line_ids: Sequence[int], account_id: int) -> None:
    """Lines are another account's now: what was agreed for them, and what is paid in parts for them, goes along."""
    Agreed.objects.filter(line_id__in=line_ids).update(account_id=account_id)
    Instalments.objects.filter(line_id__in=line_ids).update(account_id=account_id)
