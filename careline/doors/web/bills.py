"""The last bills and payments on the account page, one bill opened, and the charges that a credit can start from."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from careline.domain.credits import queries as credits
from careline.domain.ledger import queries as ledger
from careline.domain.ledger.rules.charges import by_state_only, how, percent
from careline.doors.web.account import ContactPage
from careline.foundation import phone
from careline.foundation.money import shown


def shape(desk: ContactPage) -> dict[str, Any]:
    bills = []
    for bill in [b for n, b in enumerate(desk.bills) if n < 8 or b.open_minor > 0]:
        late = bill.open_minor > 0 and bill.due_on < desk.today
        bills.append(
            {
                "on": bill.issued_on, "label": f"{bill.issued_on:%b} {bill.issued_on.day}, {bill.issued_on.year}",
                "total": bill.total_minor, "open": bill.open_minor, "due": bill.due_on,
                "state": "bad" if late else None,
                "status": "past due" if late else "paid" if bill.open_minor <= 0 else "open",
                "href": desk.url(f"?section=money&bill={bill.id}"),
            }
        )
    moves = [
        {"at": e.at, "label": e.label, "text": e.reference, "amount": e.amount_minor,
         "href": desk.url(f"?act=credits.reverse&credit={e.reference}") if e.kind == "credit" else None}
        for e in desk.statement.entries
        if e.kind != "bill"
    ]
    return {"bills": bills, "moves": moves, "page_href": reverse("money", args=[desk.row.reference])}


def opened_bill(desk: ContactPage, bill_id: int) -> dict[str, Any] | None:
    """One bill opened: each charge with its arithmetic and a way to credit it."""
    found = ledger.bill_of(desk.account_id, bill_id)
    if found is None:
        return None
    rows = []
    charged = ledger.bill_charges(bill_id)
    by_id = {n.id: n for n in charged}
    credited = credits.credits_of_lines(list(by_id))
    for n in sorted(charged, key=lambda n: (n.taxes if n.taxes in by_id else n.id, n.is_tax)):  # a tax below what it is on
        on = by_id.get(n.taxes or 0)
        given = credited.get(n.id, [])
        left = n.amount_minor - sum(minor for _, minor in given)
        rows.append(
            {
                "label": n.label, "line": n.name.removeprefix("ending "), "amount": n.amount_minor, "tax": n.is_tax,
                "how": (percent(n.rate_ppm) + (f" of {shown(on.amount_minor)}" if on else "") if n.rate_ppm else "") if n.is_tax else how(n),
                "credit_href": desk.url(f"?act=credits.grant&bill_line={n.id}") if left > 0 and not n.is_tax and not found.replaced_by else None,
                "credited": ", ".join(f"{shown(minor)} credited, {number}" for number, minor in given),
            }
        )  # fmt: skip
    first = min(desk.all_bills, key=lambda b: (b.issued_on, b.id), default=found)
    explains = desk.url(f"?section=money&explain={found.id}") if (first.issued_on, first.id) < (found.issued_on, found.id) else None
    notes = []
    if by_state_only(charged):
        notes.append("Taxed by the state only: the tax table of the rulebook has no county or city for this postal code.")
    if found.settled_minor:
        numbers = ", ".join(ledger.credits_on(bill_id))
        notes.append(f"{shown(abs(found.settled_minor))} of it is {numbers}, which the account has by itself and which counts once: {shown(found.total_minor + found.settled_minor)} is owed for this bill.")
    return {"bill": found, "rows": rows, "explain_href": explains, "notes": notes}


def credit_choices(desk: ContactPage, chosen: Any = None, months: int = 4) -> list[tuple[int, str]]:
    """The charges that a credit can start from, with what of each is left; what was chosen stays there, whatever became of it."""
    found = []
    lines = ledger.creditable_lines(desk.account_id, months)
    if chosen is not None and chosen.pk not in {line.pk for line in lines}:
        lines = [chosen, *lines]
    numbers = {n.pk: f", line {phone.last_four(n.msisdn)}" for n in desk.lines}
    credited = credits.credited_on_lines([line.pk for line in lines])
    for line in lines:
        left = line.amount_minor - credited.get(line.pk, 0)
        if left > 0 or (chosen is not None and line.pk == chosen.pk):
            some = "" if left == line.amount_minor else " left"
            found.append((line.pk, f"{line.bill.issued_on:%b} {line.bill.issued_on.day}: {line.label}{numbers.get(line.line_id or 0, '')}, {shown(left)}{some}"))
    return found


