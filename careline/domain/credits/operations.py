"""Giving credits and taking them back. Authority was asked before; what cannot be true is refused here."""

from __future__ import annotations

from datetime import date
from typing import Any

from careline.domain.credits import queries, rules
from careline.domain.credits.models import Grant, GrantPart
from careline.domain.journal.operations import next_numbers
from careline.domain.ledger import operations as ledger
from careline.domain.ledger import queries as ledger_queries
from careline.domain.ledger.rules import LineKind
from careline.domain.staff import operations as staff
from careline.foundation.act import Act
from careline.foundation.refusal import refuse


def grant(
    *,
    act: Act,
    account_id: int,
    amount_minor: int,
    reason: str,
    policy: dict[str, Any],
    bill_line_id: int | None,
    day: date,
    days: rules.Days | None = None,
) -> Grant:
    """Credit an account: the grant, its tax lines, its ledger entry, and what it uses of the granter's day."""
    line = ledger_queries.bill_line(bill_line_id) if bill_line_id else None
    if bill_line_id and (line is None or line.bill.account_id != account_id):
        raise refuse("NOT_FOUND", "There is no such charge on this account's bills.", fields={"bill_line": "Choose a charge of this account."})
    if line is not None:
        if line.kind == LineKind.TAX:  # alone it would be booked as a credit, and the tax be owed to the state still
            raise refuse("INVALID", "That is a tax: it goes back with the charge that it is on.", fields={"bill_line": "Choose the charge that was taxed."})
        if ledger_queries.was_corrected(line.bill_id):
            raise refuse("CONFLICT", "That bill was corrected: its charges were taken back whole. Choose the charge on the new bill.", rule="bill-corrected")
        if queries.credited_on_line(line.pk) + amount_minor > line.amount_minor:
            raise refuse("CONFLICT", "A charge cannot be credited beyond what was charged.", rule="never-below-charge")
        for first, last, number in queries.days_credited(line.pk) if days else ():
            if days and days.overlaps(first, last):
                raise refuse("CONFLICT", f"{first:%b} {first.day} to {last:%b} {last.day} of this charge were credited by {number} already.", rule="days-credited",
                             fields={"first": f"Credited by {number} already."})  # fmt: skip
    label = f"{policy['title']}" + (f": {line.label}" if line else "") + (f", {days.count} of {days.of} days" if days else "")
    made = rules.parts(
        amount_minor=amount_minor,
        label=label,
        line_id=line.pk if line else None,
        line_minor=line.amount_minor if line else 0,
        line_credited_minor=queries.credited_on_line(line.pk) if line else 0,
        taxes=queries.tax_lines(line.pk) if line else (),
        tax_rule=policy["tax"],
    )
    total = sum(p.amount_minor for p in made)
    number = next_numbers("credit", "CR")[0]
    entry = ledger.post_credit(
        act=act,
        account_id=account_id,
        amount_minor=total,
        reference=number,
        label=label[:120],
        bill_id=line.bill_id if line else None,
    )
    row = Grant.objects.create(
        number=number,
        account_id=account_id,
        contact_id=act.basis.contact_id,
        reason=reason,
        amount_minor=amount_minor,
        total_minor=total,
        bill_line=line,
        first_on=days.first if days else None,
        last_on=days.last if days else None,
        asked_by_id=int((act.asked_by or act.who).id),
        granted_by_id=int(act.who.id),
        at=act.at,
        entry=entry,
    )
    GrantPart.objects.bulk_create(
        GrantPart(grant=row, kind=p.kind, label=p.label[:160], amount_minor=p.amount_minor, bill_line_id=p.bill_line_id)
        for p in made
    )
    staff.spend(act=act, staff_id=int(act.who.id), kind="credit", day=day, amount_minor=amount_minor)
    return row


def reverse(*, act: Act, number: str) -> Grant:
    """Take a credit back, exactly: same amounts, same taxes, the bills open again. Limits that it used stay used."""
    given = queries.grant(number)
    if given is None:
        raise refuse("NOT_FOUND", f"There is no credit {number}.")
    if given.reverses_id is not None:
        raise refuse("CONFLICT", "That is itself a reversal. Give a new credit instead.")
    taken = next_numbers("credit", "CR")[0]
    entry = ledger.reverse_entry(act=act, entry_id=given.entry_id, reference=taken, label=f"Taken back: {given.number}")
    row = Grant.objects.create(
        number=taken,
        account_id=given.account_id,
        contact_id=act.basis.contact_id,
        reason=given.reason,
        amount_minor=-given.amount_minor,
        total_minor=-given.total_minor,
        bill_line=given.bill_line,
        first_on=given.first_on,
        last_on=given.last_on,
        asked_by_id=int((act.asked_by or act.who).id),
        granted_by_id=int(act.who.id),
        at=act.at,
        entry=entry,
        reverses=given,
    )
    parts = GrantPart.objects.filter(grant=given).order_by("pk")
    GrantPart.objects.bulk_create(
        GrantPart(grant=row, kind=p.kind, label=p.label, amount_minor=-p.amount_minor, bill_line_id=p.bill_line_id)
        for p in parts
    )
    return row

