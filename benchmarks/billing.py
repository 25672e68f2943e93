"""The bill run, accounts a second, on both databases, against the floor of inserting the same rows by one statement:

    .venv/bin/python benchmarks/billing.py              10,000 accounts
    .venv/bin/python benchmarks/billing.py 100000
    .venv/bin/python benchmarks/billing.py 100000 --one SQLite alone

Every account has one line; a tenth has a second one, a tenth changed its plan, a fifth is metered and one in four of those is over its plan,
a tenth has a discount, a fifth did not pay the bill before. Measured is the second cycle, so that there is a bill before: drafting and
issuing with all that belongs to them (locks, ledger, allocation, journal with its HMACs, commits of about 50 ms). The floor copies
the rows that this wrote (bills, lines, entries, journal lines and heads, drafts), table by table, each by one INSERT ... SELECT into
an empty table with the same indexes. Memory is the most that the process held, and how much of it the run added. CPU seconds are the process's
own, whatever else the machine does; on PostgreSQL the server's come on top. At the end, the trial balance over all that stands. PostgreSQL is a
throw-away one from .ci/with-postgresql (it does not wait for the disk: fsync is off), left out when none is installed.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
COUNT = next((int(word) for word in sys.argv[1:] if word.isdecimal()), 10_000)
FIRST, SECOND = date(2026, 10, 4), date(2026, 11, 4)


def main() -> None:
    if "--here" in sys.argv:
        with tempfile.TemporaryDirectory(prefix="careline-bench-") as home:
            os.environ |= {"CARELINE_HOME": home, "DJANGO_SETTINGS_MODULE": "careline.settings"}
            measure_here()
        return
    load = os.getloadavg()[0]
    print(f"{COUNT:,} accounts, one process, {os.cpu_count()} cores, load average {load:.1f} at the start\n")
    print("| database | drafting, accounts/s | issuing, accounts/s | whole, accounts/s | accounts per CPU s | rows | floor, s (CPU) | run / floor (CPU) | memory, MB (added) | trial balance, s |")
    print("| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |", flush=True)
    again = [sys.executable, __file__, "--here", str(COUNT)]
    subprocess.run(again, check=True, env={k: v for k, v in os.environ.items() if k != "CARELINE_DATABASE_URL"})
    if "--one" in sys.argv:
        return
    code = subprocess.run([str(ROOT / ".ci" / "with-postgresql"), *again]).returncode
    if code == 77:
        print("\nPostgreSQL: not installed here.")
    elif code:
        sys.exit(code)


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 17, tzinfo=UTC)


def measure_here() -> None:
    import django

    django.setup()
    from django.db import connection, transaction

    from careline.domain.billing import operations
    from careline.domain.billing.models import Draft
    from careline.domain.credits import queries as credits
    from careline.domain.customers.models import Account, Customer, Line, Plan, PlanChange, Usage
    from careline.domain.journal.models import Chain
    from careline.domain.journal.models import Line as JournalLine
    from careline.domain.ledger import operations as ledger
    from careline.domain.ledger import queries as ledger_queries
    from careline.domain.ledger.models import Allocation, Bill, BillLine, Entry, Payment
    from careline.doors.jobs import billing, books, setup
    from tests import people

    setup.migrate()
    unlimited = Plan.objects.create(code="U", name="Unlimited", price_minor=6500)
    plus = Plan.objects.create(code="P15", name="Plus 15 GB", price_minor=4500, data_mb=15 * 1024)
    metered = Plan.objects.create(code="P5", name="Plus 5 GB", price_minor=3000, data_mb=5120, data_gb_price_minor=1000)
    customer = Customer.objects.create(name="Bench")
    opened, states = date(2026, 9, 4), ["WA", "CA", "NY", "TX", "FL"]
    for at in range(0, COUNT, 5000):
        numbers = range(at, min(at + 5000, COUNT))
        accounts = Account.objects.bulk_create(
            [Account(reference=f"A-{n:08d}", customer=customer, opened_on=opened, bill_day=4, state=states[n % 5]) for n in numbers], batch_size=2000
        )
        plans = [metered if n % 5 == 0 else plus if n % 2 else unlimited for n in numbers]
        lines = [
            Line(account=a, msisdn=f"+1{2000000000 + n}", plan=p, activated_on=opened, number_since=noon(opened))
            for n, a, p in zip(numbers, accounts, plans, strict=True)
        ]
        second = [
            Line(account=a, msisdn=f"+1{3000000000 + n}", plan=plus, activated_on=opened, number_since=noon(opened))
            for n, a in zip(numbers, accounts, strict=True) if n % 10 == 3
        ]  # fmt: skip
        Line.objects.bulk_create(lines + second, batch_size=2000)
        Usage.objects.bulk_create(
            [Usage(line=x, kind="data", day=date(2026, 10, 10 + d), quantity=1000 if n % 20 else 3000)
             for n, x in zip(numbers, lines, strict=True) if n % 5 == 0 for d in range(3)], batch_size=2000,
        )  # fmt: skip
        operations.agree_many(act=people.carrier_act(), rows=[
            {"account_id": a.pk, "kind": "discount", "label": "Welcome offer", "amount_minor": -500, "starts_on": opened, "reference": f"E-{n}"}
            for n, a in zip(numbers, accounts, strict=True) if n % 10 == 4
        ])  # fmt: skip
    billing.run_cycle(FIRST, noon(FIRST))
    for at in range(0, COUNT, 2000):
        bills = Bill.objects.order_by("pk")[at : at + 2000]
        with transaction.atomic():
            ledger.post_payments_many(
                [Payment(number=f"Y-{b.pk}", account_id=b.account_id, amount_minor=b.total_minor, method="Visa", received_at=noon(date(2026, 10, 20)))
                 for b in bills if b.pk % 5], noon(date(2026, 10, 20)),
            )  # fmt: skip
    changed = list(Line.objects.filter(plan=unlimited, pk__gt=0).order_by("pk")[: COUNT // 10])
    PlanChange.objects.bulk_create(
        [PlanChange(line=x, before=unlimited, after=plus, on=date(2026, 10, 15), at=noon(date(2026, 10, 15)), reference=f"OR-{x.pk}") for x in changed],
        batch_size=2000,
    )
    Line.objects.filter(pk__in=[x.pk for x in changed[:900]]).update(plan=plus)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    tables = [Bill, BillLine, Entry, Allocation, JournalLine, Draft]
    before = {t: t.objects.order_by("-pk").values_list("pk", flat=True).first() or 0 for t in tables}
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    run = billing.begin(SECOND, noon(SECOND))
    began, cpu = time.perf_counter(), time.process_time()
    billing.draft(run)
    drafted = time.perf_counter()
    billing.issue(run)
    billing.end(run)
    issued, cpu = time.perf_counter(), time.process_time() - cpu
    found = billing.report(run)
    assert found.holds and run.issued == COUNT, found
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    rows, floor, floor_cpu = 0, 0.0, 0.0
    with connection.cursor() as cursor:
        for model in [*tables, Chain]:
            table, copy = model._meta.db_table, f"floor_{model._meta.db_table}"
            if connection.vendor == "postgresql":
                cursor.execute(f"CREATE TABLE {copy} (LIKE {table} INCLUDING DEFAULTS INCLUDING INDEXES)")
            else:
                cursor.execute("SELECT sql FROM sqlite_master WHERE tbl_name = %s AND type IN ('table', 'index') AND sql IS NOT NULL", [table])
                for (sql,) in cursor.fetchall():
                    cursor.execute(sql.replace(f'"{table}"', f'"{copy}"').replace("INDEX \"", "INDEX \"floor_"))
            start, busy = time.perf_counter(), time.process_time()
            with transaction.atomic():
                cursor.execute(f"INSERT INTO {copy} SELECT * FROM {table} WHERE id > %s", [before.get(model, 0)])
                rows += cursor.rowcount
            floor += time.perf_counter() - start
            floor_cpu += time.process_time() - busy
    start = time.perf_counter()
    assert ledger_queries.balance_of_books(books.chart(), SECOND, credits.booked).proven
    balanced = time.perf_counter() - start
    name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[connection.vendor]
    whole = issued - began
    on_server = connection.vendor == "postgresql"  # the floor's work is all the server's there
    print(
        f"| {name} | {COUNT / (drafted - began):,.0f} | {COUNT / (issued - drafted):,.0f} | {COUNT / whole:,.0f} | {COUNT / cpu:,.0f} | {rows:,} "
        f"| {floor:.2f}{'' if on_server else f' ({floor_cpu:.2f})'} | {whole / floor:.0f}{'' if on_server else f' ({cpu / floor_cpu:.0f})'} "
        f"| {most:.0f} (+{most - held:.0f}) | {balanced:.2f} |", flush=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
