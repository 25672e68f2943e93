"""Explaining a bill with 18 bills behind it, in milliseconds, on both databases:

    .venv/bin/python benchmarks/explain.py

One account, 18 monthly bills of 8 phone lines each (plan, tax, protection, instalment, regulatory fee; a plan changed, use,
a late fee and a discount on the newest) and 400 journal lines; the newest bill against the one before it and against the
oldest, `ledger.queries.explained` whole: five questions and the rules. PostgreSQL is a throw-away one from
.ci/with-postgresql, left out when none is installed.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.both import on_both  # noqa: E402

REPEATS = 400
BILLS = 18
LINES = 8


def main() -> None:
    if "--here" in sys.argv:
        with tempfile.TemporaryDirectory(prefix="careline-bench-") as home:
            os.environ |= {"CARELINE_HOME": home, "DJANGO_SETTINGS_MODULE": "careline.settings"}
            measure_here()
        return
    print(f"{BILLS} bills of {LINES} phone lines, {REPEATS} times\n\n|  | database | lines read | causes | p50 ms | p99 ms |\n| --- | --- | --: | --: | --: | --: |", flush=True)
    on_both(__file__)


def measure_here() -> None:
    import django

    django.setup()
    from django.db import connection, transaction

    from careline.domain.customers.models import Line
    from careline.domain.journal import operations as journal
    from careline.domain.journal.rules import Entry, account_chain
    from careline.domain.ledger import operations, queries
    from careline.domain.ledger.models import Bill, BillLine
    from careline.doors.jobs import setup
    from careline.foundation.money import share
    from tests import people

    setup.migrate()
    account = people.open_account(bills=0)
    first = account.lines.get()
    lines = [first, *(Line.objects.create(account=account, msisdn=f"+1206555{1000 + n}", plan=first.plan, activated_on=first.activated_on, number_since=people.TUESDAY)
                      for n in range(LINES - 1))]  # fmt: skip

    def charges(back: int) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        for n, line in enumerate(lines):
            changed = back == 0 and n == 0
            made.append({"kind": "plan", "label": "Unlimited" if changed else "Plus 15 GB", "line": line, "unit_price_minor": 5500 if changed else 4500, "amount_minor": 5500 if changed else 4500})
            if changed:
                for label, unit in (("Unlimited", 5500), ("Plus 15 GB", -4500)):
                    made.append({"kind": "plan", "label": f"{label}, 11 of 30 days", "line": line, "unit_price_minor": unit, "amount_minor": share(unit, 11, 30), "proration_num": 11, "proration_den": 30})
            made.append({"kind": "fee", "label": "Device protection", "line": line, "unit_price_minor": 900, "amount_minor": 900})
            made.append({"kind": "equipment", "label": f"Pixel 8, instalment {18 - back} of 24", "line": line, "unit_price_minor": 1950, "amount_minor": 1950})
        if back == 0:
            made.append({"kind": "usage", "label": "Extra data, 0.84 GB", "line": first, "quantity": Decimal("0.84"), "unit_price_minor": 1000, "amount_minor": 840})
            made.append({"kind": "fee", "label": "Late payment fee", "unit_price_minor": 500, "amount_minor": 500})
        else:
            made.append({"kind": "discount", "label": "Loyalty offer", "unit_price_minor": -1500, "amount_minor": -1500})
        return [*made, {"kind": "fee", "label": f"Regulatory recovery, {LINES} lines", "quantity": LINES, "unit_price_minor": 199, "amount_minor": 199 * LINES}]

    for back in range(BILLS, -1, -1):
        issued = date(2026, 11, 4) - timedelta(days=30 * back)
        made = [BillLine(**c) for c in charges(back)]
        taxes = [BillLine(kind="tax", label="State tax", tax_rate_ppm=96_000, taxed_line=n, amount_minor=share(n.amount_minor, 96_000, 1_000_000)) for n in made if n.kind == "plan"]
        bill = Bill(number=f"B-{back:07d}", account=account, period_start=issued, period_end=issued + timedelta(days=29), issued_on=issued, due_on=issued + timedelta(days=20),
                    total_minor=sum(n.amount_minor for n in [*made, *taxes]))  # fmt: skip
        with transaction.atomic():
            operations.post_bills_many([bill], [(bill, n) for n in [*made, *taxes]], people.TUESDAY)
    act = people.carrier_act(people.TUESDAY - timedelta(days=20))
    with transaction.atomic():
        journal.record_many([Entry(account_chain(account.pk), act, "lines.add_data" if n % 4 == 0 else "contacts.note", "done", f"O-{n}: noted") for n in range(400)])

    bills = list(account.bills.order_by("issued_on").values_list("pk", flat=True))
    database = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[connection.vendor]
    for name, against in (("against the one before", bills[-2]), ("against the oldest", bills[0])):
        walls = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            found = queries.explained(account.pk, bills[-1], against)
            walls.append((time.perf_counter() - began) * 1000)
        assert found is not None and sum(d.amount_minor for d in found.differences) == found.change_minor
        walls.sort()
        read = len(found.now.lines) + len(found.was.lines)
        print(f"| {name} | {database} | {read} | {len(found.differences)} | {walls[REPEATS // 2]:.1f} | {walls[int(REPEATS * 0.99)]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
