"""A bill as PDF, in seconds, with what it takes of memory:

    .venv/bin/python benchmarks/pdf.py

For an account of 1, 4 and 20 phone lines (plan, its tax, protection, an instalment each; a plan changed, use and a late fee on
the newest; 13 bills behind it): from the row that asks for it to the bytes kept, as the worker does it. The first paper of a
process also loads WeasyPrint. CPU seconds beside wall-clock: on a busy machine only they say what a bill costs. One database
is enough: it takes a hundredth of the time.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
REPEATS = 30
SIZES = (1, 4, 20)
BILLS = 13


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="careline-bench-") as home:
        os.environ |= {"CARELINE_HOME": home, "DJANGO_SETTINGS_MODULE": "careline.settings"}
        os.environ.pop("CARELINE_DATABASE_URL", None)
        import django

        django.setup()
        measure()


def resident() -> float:
    """The most memory that this process had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure() -> None:
    from careline.domain.ledger import operations, queries
    from careline.domain.ledger.models import Bill
    from careline.doors.jobs import setup
    from careline.doors.jobs.papers import make_one
    from tests import people

    setup.migrate()
    people.open_the_rulebook()
    before = resident()
    print(f"{REPEATS} bills of each size\n\n| phone lines | pages | kB | p50 s | p99 s | CPU s |\n| --: | --: | --: | --: | --: | --: |", flush=True)
    first = None
    for size in SIZES:
        account = people.open_account(number=f"+1206555{2000 + 100 * size}", reference=f"A-010{size:04d}", bills=0)
        bill = bills(account, size)

        def one(bill: Bill = bill, account: Any = account) -> tuple[float, float]:
            act = people.carrier_act()
            paper = operations.order_bill(act=act, account_id=account.pk, bill_id=bill.pk)
            type(paper).objects.filter(pk=paper.pk).update(state="wanted", tries=0, not_before=act.at)
            wall, cpu = time.perf_counter(), time.process_time()
            assert make_one()
            return time.perf_counter() - wall, time.process_time() - cpu

        if first is None:
            first = one()[0]
        walls, cpus = zip(*(one() for _ in range(REPEATS)), strict=True)
        body = queries.paper_body(queries.paper_of_bill(bill.pk).pk)
        walls = sorted(walls)
        print(f"| {size} | {pages(body)} | {len(body) / 1000:.0f} | {walls[REPEATS // 2]:.2f} | {walls[int(REPEATS * 0.99)]:.2f} | {sum(cpus) / REPEATS:.2f} |", flush=True)
    print(f"\nthe first of a process: {first:.2f} s; memory: {before:.0f} MB before it, {resident():.0f} MB at most")


def pages(body: bytes) -> int:
    import io

    import pypdf

    return len(pypdf.PdfReader(io.BytesIO(body)).pages)


def bills(account: Any, size: int) -> Any:
    """So many phone lines and 13 bills of them; the newest bill."""
    from careline.domain.customers.models import Line
    from careline.domain.ledger import operations
    from careline.domain.ledger.models import Bill, BillLine
    from careline.foundation.money import share
    from tests import people

    one = account.lines.get()
    lines = [one, *(Line.objects.create(account=account, msisdn=f"+1206556{size:02d}{n:02d}", plan=one.plan, activated_on=one.activated_on, number_since=people.TUESDAY)
                    for n in range(size - 1))]  # fmt: skip
    for back in range(BILLS - 1, -1, -1):
        made = []
        for n, line in enumerate(lines):
            price = 5500 if back == 0 and n == 0 else 4500
            made.append(BillLine(kind="plan", label="Unlimited" if price == 5500 else "Plus 15 GB", line=line, unit_price_minor=price, amount_minor=price))
            made.append(BillLine(kind="fee", label="Device protection", line=line, unit_price_minor=900, amount_minor=900))
            made.append(BillLine(kind="equipment", label=f"Pixel 8, instalment {18 - back} of 24", line=line, unit_price_minor=1950, amount_minor=1950))
        if back == 0:
            made.append(BillLine(kind="usage", label="Extra data, 0.84 GB", line=one, quantity=Decimal("0.84"), unit_price_minor=1000, amount_minor=840))
            made.append(BillLine(kind="fee", label="Late payment fee", unit_price_minor=500, amount_minor=500))
        taxes = [BillLine(kind="tax", label="State tax", tax_rate_ppm=96_000, taxed_line=n, amount_minor=share(n.amount_minor, 96_000, 1_000_000)) for n in made if n.kind == "plan"]
        issued = date(2026, 11, 4) - timedelta(days=30 * back)
        bill = Bill(number=f"B-{size:03d}{back:04d}", account=account, period_start=issued, period_end=issued + timedelta(days=29), issued_on=issued, due_on=issued + timedelta(days=20),
                    total_minor=sum(n.amount_minor for n in [*made, *taxes]))  # fmt: skip
        operations.post_bills_many([bill], [(bill, n) for n in [*made, *taxes]], people.TUESDAY)
    return bill


if __name__ == "__main__":
    main()
