"""The bill run, accounts a second, on both databases, against the floor of inserting the same rows by one statement a table:

    .venv/bin/python benchmarks/billing.py              10,000 accounts
    .venv/bin/python benchmarks/billing.py 100000
    .venv/bin/python benchmarks/billing.py 1000000      takes a while: the accounts have to be made first
    .venv/bin/python benchmarks/billing.py 100000 --one SQLite alone

Every account has a line and 3 bills of 6 lines each with their entries, payments and allocations, made by SQL; a tenth has a second line, a
tenth changed its plan, a fifth is metered and one in four of those is over its plan, a tenth has a discount, a fifth did not pay the last bill.
Measured is the fourth cycle: drafting and issuing with all that belongs to them (locks, ledger, allocation, journal with its HMACs, commits
of about 50 ms). The floor copies the rows that this wrote (bills, lines, entries, allocations, journal lines and heads, drafts), table by
table, each by one INSERT ... SELECT into an empty table with the same indexes, in the same run. Memory is the most that the process held, and how much of it the run
added. CPU seconds are the process's own, whatever else the machine does; on PostgreSQL the server's come on top. At the end, the trial
balance over all that stands, counted anew and then, once the books are closed through the day before the cycle, from the sums that this
kept. PostgreSQL is a throw-away one from .ci/with-postgresql (it does not wait for the disk: fsync is off), left
out when none is installed.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.db.models import Model

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.both import on_both  # noqa: E402

COUNT = next((int(word) for word in sys.argv[1:] if word.isdecimal()), 10_000)
CYCLE = date(2026, 11, 4)
BEFORE = [date(2026, 8, 4), date(2026, 9, 4), date(2026, 10, 4)]  # the first days of the bills that are there


def main() -> None:
    if "--here" in sys.argv:
        with tempfile.TemporaryDirectory(prefix="careline-bench-") as home:
            os.environ |= {"CARELINE_HOME": home, "DJANGO_SETTINGS_MODULE": "careline.settings"}
            measure_here()
        return
    load = os.getloadavg()[0]
    print(f"{COUNT:,} accounts, one process, {os.cpu_count()} cores, load average {load:.1f} at the start\n")
    print("| database | drafting, accounts/s | issuing, accounts/s | whole, accounts/s | accounts per CPU s | rows | floor, s (CPU) | run / floor (CPU) | memory, MB (added) | trial balance: recount, s (CPU) | from the last close, s (CPU) |")
    print("| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |", flush=True)
    on_both(__file__, [str(COUNT)], postgresql="--one" not in sys.argv)


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 17, tzinfo=UTC)


def make() -> None:
    """The accounts with all that belongs to them, each table by one statement; a column that is not named gets its field's default."""
    from django.db import connection, transaction

    from careline.domain.billing.models import Agreed
    from careline.domain.customers.models import Account, Customer, Line, Plan, PlanChange, Usage
    from careline.domain.ledger.models import Allocation, Bill, BillLine, Entry, Payment

    on_server = connection.vendor == "postgresql"

    def told(value: object) -> str:
        if value is None:
            return "NULL"
        if isinstance(value, bool):
            return str(value).upper() if on_server else str(int(value))
        if isinstance(value, date):
            return f"CAST('{value}' AS date)" if on_server else f"'{value}'"
        return f"'{value}'" if isinstance(value, str) else str(value)

    def insert(model: type[Model], source: str, **columns: object) -> None:
        """Columns are SQL over the source; what is no text is told as it is."""
        fields = [f for f in model._meta.concrete_fields if f.column in columns or not f.primary_key]
        values = [c if isinstance(c := columns.get(f.column, f), str) else told(f.get_default() if c is f else c) for f in fields]
        names = ", ".join(f'"{f.column}"' for f in fields)
        numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {COUNT}), b(k) AS (SELECT 0 UNION ALL SELECT 1 UNION ALL SELECT 2)"
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {model._meta.db_table} ({names}) {numbers} SELECT {', '.join(values)} FROM {source}")
            if on_server and "id" in columns:
                cursor.execute(f"SELECT setval(pg_get_serial_sequence('{model._meta.db_table}', 'id'), (SELECT max(id) FROM {model._meta.db_table}))")

    def by_bill(days: list[date]) -> str:
        return "CASE k " + " ".join(f"WHEN {k} THEN {told(d)}" for k, d in enumerate(days)) + " END"

    customer = Customer.objects.create(name="Bench").pk
    unlimited = Plan.objects.create(code="U", name="Unlimited", price_minor=6500).pk
    plus = Plan.objects.create(code="P15", name="Plus 15 GB", price_minor=4500, data_mb=15 * 1024).pk
    metered = Plan.objects.create(code="P5", name="Plus 5 GB", price_minor=3000, data_mb=5120, data_gb_price_minor=1000).pk
    first, last = by_bill(BEFORE), by_bill([d - timedelta(days=1) for d in [*BEFORE[1:], CYCLE]])
    due = by_bill([d + timedelta(days=21) for d in BEFORE])
    opened, since = date(2024, 3, 1), "'2024-03-01 00:00:00+00:00'"
    had = "CASE WHEN i % 5 = 0 THEN {} WHEN i % 2 = 1 THEN {} ELSE {} END"  # metered, Plus or Unlimited
    price, name, tax = had.format(3000, 4500, 6500), had.format("'Plus 5 GB'", "'Plus 15 GB'", "'Unlimited'"), had.format(288, 432, 624)
    total = f"({price} + {tax} + 199 + 19 + 900 + 86)"
    changed, bill, paid = "i % 20 IN (2, 4)", "(i * 3 + k - 2)", "n, b WHERE k < 2 OR i % 5 > 0"

    state = "CASE i % 5 WHEN 0 THEN 'WA' WHEN 1 THEN 'CA' WHEN 2 THEN 'NY' WHEN 3 THEN 'TX' ELSE 'FL' END"
    insert(Account, "n", id="i", reference="'A-' || i", customer_id=customer, opened_on=opened, bill_day=4, state=state)
    living = {"number_since": since, "activated_on": opened}
    insert(Line, "n", id="i", account_id="i", msisdn="'+1' || (2000000000 + i)",
           plan_id=f"CASE WHEN {changed} THEN {plus} ELSE {had.format(metered, plus, unlimited)} END", **living)  # fmt: skip
    insert(Line, "n WHERE i % 10 = 3", id=f"{COUNT} + i", account_id="i", msisdn="'+1' || (3000000000 + i)", plan_id=plus, **living)
    insert(PlanChange, f"n WHERE {changed}", line_id="i", before_id=unlimited, after_id=plus, on=date(2026, 10, 15), at=since, reference="'OR-' || i")
    for day in (10, 11, 12):
        insert(Usage, "n WHERE i % 5 = 0", line_id="i", kind="'data'", day=date(2026, 10, day), quantity="CASE WHEN i % 20 = 0 THEN 3000 ELSE 1000 END")
    insert(Agreed, "n WHERE i % 10 = 4", account_id="i", kind="'discount'", label="'Welcome offer'", amount_minor=-500, starts_on=BEFORE[-1], reference="'E-' || i")
    insert(Bill, "n, b", id=bill, number=f"'O-' || {bill}", account_id="i", period_start=first, period_end=last, issued_on=first, due_on=due, total_minor=total)
    for place, kind, label, line, amount, on in (
        (1, "plan", name, "i", price, None), (2, "fee", "'Regulatory recovery, 1 line'", None, "199", None), (3, "other", "'Device protection'", "i", "900", None),
        (4, "tax", "'State tax'", "i", tax, 1), (5, "tax", "'State tax'", None, "19", 2), (6, "tax", "'State tax'", "i", "86", 3),
    ):  # fmt: skip
        insert(
            BillLine, "n, b", id=f"{bill} * 6 + {place - 6}", bill_id=bill, kind=f"'{kind}'", label=label, line_id=line, period_start=first, period_end=last,
            unit_price_minor=amount, amount_minor=amount, tax_rate_ppm=96_000 if on else 0, taxed_line_id=f"{bill} * 6 + {on - 6}" if on else None,
        )  # fmt: skip
    insert(Entry, "n, b", id=bill, account_id="i", kind="'bill'", day=first, at=since, amount_minor=total, bill_id=bill, reference=f"'O-' || {bill}", label="'Bill'")
    insert(Payment, paid, id=bill, number=f"'Y-' || {bill}", account_id="i", amount_minor=total, method="'Visa'", received_at=since)
    insert(Entry, paid, id=f"{COUNT * 3} + {bill}", account_id="i", kind="'payment'", day=due, at=since, amount_minor=f"-{total}", payment_id=bill,
           reference=f"'Y-' || {bill}", label="'Payment'")  # fmt: skip
    insert(Allocation, paid, account_id="i", entry_id=f"{COUNT * 3} + {bill}", bill_id=bill, amount_minor=total, at=since)
    with connection.cursor() as cursor:
        for model in (Customer, Account, Line, PlanChange, Usage, Agreed, Bill, BillLine, Entry, Payment, Allocation):  # not the empty ones: they would be believed to stay so
            cursor.execute(f"ANALYZE {model._meta.db_table}")


def measure_here() -> None:
    import django

    django.setup()
    from django.db import connection, transaction

    from careline.domain.billing.models import Draft
    from careline.domain.credits import queries as credits
    from careline.domain.journal.models import Chain
    from careline.domain.journal.models import Line as JournalLine
    from careline.domain.ledger import operations as ledger_operations
    from careline.domain.ledger import queries as ledger_queries
    from careline.domain.ledger.models import Allocation, Bill, BillLine, Entry
    from careline.doors.jobs import billing, books, setup

    setup.migrate()
    make()
    tables = [Bill, BillLine, Entry, Allocation, JournalLine, Draft]
    before = {t: t.objects.order_by("-pk").values_list("pk", flat=True).first() or 0 for t in tables}
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    run = billing.begin(CYCLE, noon(CYCLE))
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

    def balanced(recount: bool) -> str:
        start, busy = time.perf_counter(), time.process_time()
        assert ledger_queries.balance_of_books(books.chart(), CYCLE, credits.booked, recount=recount).proven
        return f"{time.perf_counter() - start:.2f} ({time.process_time() - busy:.2f})"

    anew = balanced(True)
    with transaction.atomic():
        ledger_operations.close_books(act=run.act, through=CYCLE - timedelta(days=1), closed_by="Bench")
    assert books.finish(noon(CYCLE))
    since = balanced(False)
    name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[connection.vendor]
    whole = issued - began
    on_server = connection.vendor == "postgresql"  # the floor's work is all the server's there
    print(
        f"| {name} | {COUNT / (drafted - began):,.0f} | {COUNT / (issued - drafted):,.0f} | {COUNT / whole:,.0f} | {COUNT / cpu:,.0f} | {rows:,} "
        f"| {floor:.2f}{'' if on_server else f' ({floor_cpu:.2f})'} | {whole / floor:.0f}{'' if on_server else f' ({cpu / floor_cpu:.0f})'} "
        f"| {most:.0f} (+{most - held:.0f}) | {anew} | {since} |", flush=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
