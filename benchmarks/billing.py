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
balance over all that stands. PostgreSQL is a throw-away one from .ci/with-postgresql (it does not wait for the disk: fsync is off), left
out when none is installed.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
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


def cast(day: date) -> str:
    return f"CAST('{day}' AS date)"


def make() -> None:
    """The accounts with all that belongs to them, each table by one statement."""
    from django.db import connection, transaction

    from careline.domain.customers.models import Customer, Plan

    customer = Customer.objects.create(name="Bench")
    unlimited = Plan.objects.create(code="U", name="Unlimited", price_minor=6500).pk
    plus = Plan.objects.create(code="P15", name="Plus 15 GB", price_minor=4500, data_mb=15 * 1024).pk
    metered = Plan.objects.create(code="P5", name="Plus 5 GB", price_minor=3000, data_mb=5120, data_gb_price_minor=1000).pk
    on_server = connection.vendor == "postgresql"
    no, yes = ("FALSE", "TRUE") if on_server else ("0", "1")
    day = cast if on_server else lambda d: f"'{d}'"
    ends = [*BEFORE[1:], CYCLE]
    first, last, due = (
        "CASE k " + " ".join(f"WHEN {k} THEN {day(d)}" for k, d in enumerate(days)) + " END"
        for days in (BEFORE, [d - timedelta(days=1) for d in ends], [d + timedelta(days=21) for d in BEFORE])
    )
    since = "2024-03-01 00:00:00+00:00"
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {COUNT})"
    bills = f"{numbers}, b(k) AS (SELECT 0 UNION ALL SELECT 1 UNION ALL SELECT 2)"
    had = "CASE WHEN i % 5 = 0 THEN {} WHEN i % 2 = 1 THEN {} ELSE {} END"  # metered, Plus or Unlimited
    price, name = had.format(3000, 4500, 6500), had.format("'Plus 5 GB'", "'Plus 15 GB'", "'Unlimited'")
    tax = had.format(288, 432, 624)
    total = f"({price} + {tax} + 199 + 19 + 900 + 86)"
    changed = "i % 20 IN (2, 4)"
    bill, paid = "(i * 3 + k - 2)", "(k < 2 OR i % 5 > 0)"
    line_columns = """(id, account_id, msisdn, label, plan_id, status, status_reason, number_since, activated_on, iccid, sim_kind, can_text,
        suspended_for, bar, features, sim_state)"""
    living = f"'active', '', '{since}', {day(date(2024, 3, 1))}, '', 'sim', {yes}, '', '', '', 'active' FROM n"
    charges = {  # place in the bill: kind, label, the phone line's or not, unit price and amount, tax rate, the place of what it taxes
        1: ("'plan'", name, "i", price, 0, 0), 2: ("'fee'", "'Regulatory recovery, 1 line'", "NULL", "199", 0, 0),
        3: ("'other'", "'Device protection'", "i", "900", 0, 0), 4: ("'tax'", "'State tax'", "i", tax, 96_000, 1),
        5: ("'tax'", "'State tax'", "NULL", "19", 96_000, 2), 6: ("'tax'", "'State tax'", "i", "86", 96_000, 3),
    }  # fmt: skip
    statements = [
        f"""INSERT INTO customers_account (id, reference, customer_id, currency, status, opened_on, bill_day, state, zone, postal_code, autopay,
            change_lock, staff_marked) {numbers} SELECT i, 'A-' || i, {customer.pk}, 'USD', 'active', {day(date(2024, 3, 1))}, 4,
            CASE i % 5 WHEN 0 THEN 'WA' WHEN 1 THEN 'CA' WHEN 2 THEN 'NY' WHEN 3 THEN 'TX' ELSE 'FL' END, 'America/Los_Angeles', '', {no}, {no}, {no} FROM n""",
        f"""INSERT INTO customers_line {line_columns} {numbers} SELECT i, i, '+1' || (2000000000 + i), '',
            CASE WHEN {changed} THEN {plus} ELSE {had.format(metered, plus, unlimited)} END, {living}""",
        f"INSERT INTO customers_line {line_columns} {numbers} SELECT {COUNT} + i, i, '+1' || (3000000000 + i), '', {plus}, {living} WHERE i % 10 = 3",
        f"""INSERT INTO customers_planchange (line_id, before_id, after_id, "on", at, reference) {numbers}
            SELECT i, {unlimited}, {plus}, {day(date(2026, 10, 15))}, '{since}', 'OR-' || i FROM n WHERE {changed}""",
        *(f"""INSERT INTO customers_usage (line_id, kind, day, quantity) {numbers}
            SELECT i, 'data', {day(date(2026, 10, 10 + d))}, CASE WHEN i % 20 = 0 THEN 3000 ELSE 1000 END FROM n WHERE i % 5 = 0""" for d in range(3)),
        f"""INSERT INTO billing_agreed (account_id, kind, label, amount_minor, share_ppm, starts_on, reference) {numbers}
            SELECT i, 'discount', 'Welcome offer', -500, 0, {day(BEFORE[-1])}, 'E-' || i FROM n WHERE i % 10 = 4""",
        f"""INSERT INTO ledger_bill (id, number, account_id, period_start, period_end, issued_on, due_on, total_minor) {bills}
            SELECT {bill}, 'O-' || {bill}, i, {first}, {last}, {first}, {due}, {total} FROM n, b""",
        *(f"""INSERT INTO ledger_billline (id, bill_id, kind, label, line_id, period_start, period_end, quantity, unit_price_minor, proration_num, proration_den,
            tax_rate_ppm, taxed_line_id, amount_minor) {bills} SELECT {bill} * 6 + {place - 6}, {bill}, {kind}, {label}, {line}, {first}, {last}, 1, {amount}, 1, 1,
            {ppm}, {f"{bill} * 6 + {on - 6}" if on else "NULL"}, {amount} FROM n, b""" for place, (kind, label, line, amount, ppm, on) in charges.items()),
        f"""INSERT INTO ledger_entry (id, account_id, kind, day, at, amount_minor, bill_id, reference, label) {bills}
            SELECT {bill}, i, 'bill', {first}, '{since}', {total}, {bill}, 'O-' || {bill}, 'Bill' FROM n, b""",
        f"""INSERT INTO ledger_payment (id, number, account_id, amount_minor, method, received_at, provider_reference) {bills}
            SELECT {bill}, 'Y-' || {bill}, i, {total}, 'Visa', '{since}', '' FROM n, b WHERE {paid}""",
        f"""INSERT INTO ledger_entry (id, account_id, kind, day, at, amount_minor, payment_id, reference, label) {bills} SELECT {COUNT * 3} + {bill}, i, 'payment',
            {due}, '{since}', -{total}, {bill}, 'Y-' || {bill}, 'Payment' FROM n, b WHERE {paid}""",
        f"""INSERT INTO ledger_allocation (account_id, entry_id, bill_id, amount_minor, at) {bills} SELECT i, {COUNT * 3} + {bill}, {bill}, {total}, '{since}'
            FROM n, b WHERE {paid}""",
    ]  # fmt: skip
    for sql in statements:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql)
    with connection.cursor() as cursor:
        for table in ("customers_account", "customers_line", "ledger_bill", "ledger_billline", "ledger_entry", "ledger_payment") if on_server else ():
            cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")
        cursor.execute("ANALYZE")


def measure_here() -> None:
    import django

    django.setup()
    from django.db import connection, transaction

    from careline.domain.billing.models import Draft
    from careline.domain.credits import queries as credits
    from careline.domain.journal.models import Chain
    from careline.domain.journal.models import Line as JournalLine
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
    start = time.perf_counter()
    assert ledger_queries.balance_of_books(books.chart(), CYCLE, credits.booked).proven
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
