"""`careline night`, accounts a second, on both databases, against two floors in the same run, while somebody grants credits:

    .venv/bin/python benchmarks/night.py              10,000 accounts
    .venv/bin/python benchmarks/night.py 100000
    .venv/bin/python benchmarks/night.py 1000000      takes a while: the accounts have to be made first

Every account has a line, 3 bills of 6 lines each, entries and allocations, made by SQL. 20 % did not pay the last bill, which was due three
days ago: each gets a climb, a step, a notice in the outbox, a late fee with its charge, a line in its journal with its HMAC, and the head
of its chain. Accounts a second count all accounts; written accounts a second the overdue ones. The first floor is one statement that
finds the overdue and inserts one row each; the second inserts the very rows that the night wrote, as values, 500 at a time, into empty tables with
the same indexes. Another process grants a credit about every 30 ms meanwhile, each in a contact and with everything that belongs to it.
CPU is of the night's
process alone: on a busy machine it says more than the seconds. Memory is the most that the process held, and how much of it the night added. PostgreSQL is a throw-away one from .ci/with-postgresql (fsync off).
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

from benchmarks.both import on_both  # noqa: E402

COUNT = next((int(word) for word in sys.argv[1:] if word.isdecimal()), 10_000)
DUE = date(2026, 11, 21)
NIGHT = datetime(2026, 11, 24, 8, tzinfo=UTC)  # three in the morning in New York
GRANTS = 20


def main() -> None:
    if "--grants" in sys.argv:
        grant_until_told()
        return
    if "--here" in sys.argv:
        with tempfile.TemporaryDirectory(prefix="careline-bench-") as home:
            os.environ |= {"CARELINE_HOME": home, "DJANGO_SETTINGS_MODULE": "careline.settings"}
            measure_here(home)
        return
    print(f"{COUNT:,} accounts, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the start\n")
    print("| database | night, s | CPU, s | accounts/s | written accounts/s | rows | floor 1, rows/s | floor 2, s | night / floor 2 | memory, MB (added) | grant p50, p99 ms (n) | alone p99 |")
    print("| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |", flush=True)
    on_both(__file__, [str(COUNT)])


def make() -> None:
    """The accounts with all that belongs to them, each table by one statement."""
    from django.db import connection, transaction

    from careline.domain.customers.models import Customer, Plan

    customer = Customer.objects.create(name="Bench")
    plan = Plan.objects.create(code="P", name="Plus 15 GB", price_minor=4500)
    since = "2024-03-01 00:00:00+00:00"
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {COUNT})"
    bills = f"{numbers}, b(k) AS (SELECT 0 UNION ALL SELECT 1 UNION ALL SELECT 2)"
    no = "FALSE" if connection.vendor == "postgresql" else "0"
    yes = "TRUE" if connection.vendor == "postgresql" else "1"
    day = {k: (DUE - timedelta(days=30 * (2 - k))).isoformat() for k in range(3)}
    due = "CASE k " + " ".join(f"WHEN {k} THEN {cast(d)}" for k, d in day.items()) + " END"
    base = "i * 3 + k - 2"
    statements = [
        f"""INSERT INTO customers_account (id, reference, customer_id, currency, status, opened_on, bill_day, state, zone, postal_code, autopay,
            change_lock, staff_marked, street, city, port_lock) {numbers} SELECT i, 'A-' || i, {customer.pk}, 'USD', 'active', {cast("2024-03-01")}, 4, 'WA',
            'America/Los_Angeles', '', {no}, {no}, {no}, '', '', {no} FROM n""",
        f"""INSERT INTO customers_line (id, account_id, msisdn, label, plan_id, status, status_reason, number_since, activated_on, iccid,
            sim_kind, can_text, suspended_for, bar, features, sim_state) {numbers} SELECT i, i, '+1' || (2060000000 + i), '', {plan.pk}, 'active', '',
            '{since}', {cast("2024-03-01")}, '', 'sim', {yes}, '', '', '', 'active' FROM n""",
        f"""INSERT INTO ledger_bill (id, number, account_id, period_start, period_end, issued_on, due_on, total_minor) {bills}
            SELECT {base}, 'B-' || ({base}), i, {due}, {due}, {due}, {due}, 6000 FROM n, b""",
        f"""INSERT INTO ledger_billline (bill_id, kind, label, quantity, unit_price_minor, proration_num, proration_den, tax_rate_ppm, amount_minor)
            {bills}, l(m) AS (SELECT 1 UNION ALL SELECT m + 1 FROM l WHERE m < 6) SELECT {base}, 'plan', 'Plus', 1, 1000, 1, 1, 0, 1000 FROM n, b, l""",
        f"""INSERT INTO ledger_entry (id, account_id, kind, day, at, amount_minor, bill_id, reference, label) {bills}
            SELECT {base}, i, 'bill', {due}, '{since}', 6000, {base}, 'B', 'Bill' FROM n, b""",
        f"""INSERT INTO ledger_entry (id, account_id, kind, day, at, amount_minor, reference, label) {bills} SELECT {COUNT * 3} + {base}, i, 'payment',
            {due}, '{since}', -6000, 'P', 'Payment' FROM n, b WHERE k < 2 OR i % 5 > 0""",
        f"""INSERT INTO ledger_allocation (account_id, entry_id, bill_id, amount_minor, at) {bills} SELECT i, {COUNT * 3} + {base}, {base}, 6000, '{since}'
            FROM n, b WHERE k < 2 OR i % 5 > 0""",
    ]  # fmt: skip
    for sql in statements:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for table in ("customers_account", "customers_line", "ledger_bill", "ledger_entry"):
                cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def cast(day: str) -> str:
    return f"CAST('{day}' AS date)" if os.environ.get("CARELINE_DATABASE_URL") else f"'{day}'"


# ---------------------------------------------------------------- a grant meanwhile


def grant_until_told() -> None:
    """Grant credits on the last accounts, which owe nothing, and print how long each took (ms) until standard input closes."""
    import select

    import django

    django.setup()
    from careline.domain.customers.models import Account, AccountPerson, Person
    from careline.domain.staff.models import Staff
    from tests.people import Desk

    desks = []
    for n, staff in enumerate(Staff.objects.order_by("pk")[:GRANTS]):
        desk = Desk(staff, NIGHT)
        account = Account.objects.order_by("-pk").exclude(pk__in=[]).filter(reference__endswith=str(n % 10))[n]
        holder = Person.objects.create(customer=account.customer, name=f"Caller {n}")
        AccountPerson.objects.create(account=account, person=holder, right="holder")
        desk.contact = int(desk.must("contacts.open", account=account.pk, channel="chat", person=holder.pk).show["id"])
        from careline.domain.contacts.models import Contact

        Contact.objects.filter(pk=desk.contact).update(level=3, level_at=NIGHT, person=holder)
        desks.append((desk, account))
    print("ready", flush=True)
    n = 0
    while not select.select([sys.stdin], [], [], 0.03)[0]:
        desk, account = desks[n % len(desks)]
        began = time.perf_counter()
        granted = desk.act("credits.grant", account=account.pk, reason="goodwill", amount=1, words="bench")
        if not granted.ok:  # a refusal is no grant: its time says nothing
            sys.exit(f"The bench's grant {n + 1} was refused: {granted.say}")
        print(f"{(time.perf_counter() - began) * 1000:.2f}", flush=True)
        n += 1


def granting(work, seconds: float = 0.0):
    """Run `work` (or wait) while another process grants; returns its result and the times of the grants (ms, sorted)."""
    child = subprocess.Popen([sys.executable, __file__, "--grants", str(COUNT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdin is not None
    assert child.stdout.readline().strip() == "ready"
    result = work() if work else time.sleep(seconds)
    child.stdin.close()
    times = sorted(float(line) for line in child.stdout)
    child.wait()
    return result, times


def measure_here(home: str) -> None:
    import django

    django.setup()
    from django.db import connection, transaction

    from careline.domain.collections.models import Climb, LateFee, Step
    from careline.domain.journal.models import Chain, Outbox
    from careline.domain.journal.models import Line as JournalLine
    from careline.domain.ledger.models import UnbilledCharge
    from careline.doors.jobs import night, setup
    from tests import people

    setup.migrate()
    for n in range(GRANTS):
        people.hire(f"s{n}", f"Somebody {n}", "supervisor")
    make()
    _, alone = granting(None, 5.0)
    tables = [Climb, Step, LateFee, Outbox, UnbilledCharge, JournalLine, Chain]
    before = {t: t.objects.order_by("-pk").values_list("pk", flat=True).first() or 0 for t in tables}
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    def whole() -> tuple[float, float, night.Run]:
        began, cpu = time.perf_counter(), time.process_time()
        run = night.begin(NIGHT)
        night.climb(run)
        night._end(run)
        return time.perf_counter() - began, time.process_time() - cpu, run

    (seconds, cpu, run), times = granting(whole)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    overdue = run.did.effects["notice"]
    assert night.report(run).holds and overdue == len(range(5, COUNT + 1, 5)), (overdue, run.owed)

    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE floor_one (account_id bigint NOT NULL, bill_id bigint NOT NULL, left_minor bigint NOT NULL)")
        began = time.perf_counter()
        with transaction.atomic():
            cursor.execute(
                """INSERT INTO floor_one SELECT b.account_id, b.id, b.total_minor - COALESCE(SUM(a.amount_minor), 0) FROM ledger_bill b
                LEFT JOIN ledger_allocation a ON a.bill_id = b.id WHERE b.due_on < %s GROUP BY b.id, b.account_id, b.total_minor
                HAVING b.total_minor > COALESCE(SUM(a.amount_minor), 0)""", [NIGHT.date()])  # fmt: skip
        first = time.perf_counter() - began
        rows, floor = 0, 0.0
        for model in tables:
            table = model._meta.db_table
            copy = f"floor_{table}"
            if connection.vendor == "postgresql":
                cursor.execute(f"CREATE TABLE {copy} (LIKE {table} INCLUDING DEFAULTS INCLUDING INDEXES)")
            else:
                cursor.execute("SELECT sql FROM sqlite_master WHERE tbl_name = %s AND type IN ('table', 'index') AND sql IS NOT NULL", [table])
                for (sql,) in cursor.fetchall():
                    cursor.execute(sql.replace(f'"{table}"', f'"{copy}"').replace('INDEX "', 'INDEX "floor_'))
            last = before[model]
            names = [f'"{f.column}"' for f in model._meta.concrete_fields]
            while True:
                cursor.execute(f"SELECT {', '.join(names)} FROM {table} WHERE id > %s ORDER BY id LIMIT 500", [last])
                some = cursor.fetchall()
                if not some:
                    break
                last = some[-1][0]
                one = f"({', '.join(['%s'] * len(names))})"
                given = [value for row in some for value in row]
                sql = f"INSERT INTO {copy} ({', '.join(names)}) VALUES {', '.join([one] * len(some))}"
                start = time.perf_counter()
                with transaction.atomic():
                    cursor.execute(sql, given)
                floor += time.perf_counter() - start
                rows += len(some)
    name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[connection.vendor]

    def at(found: list[float], share: float) -> float:
        return found[min(int(len(found) * share), len(found) - 1)]

    print(
        f"| {name} | {seconds:.1f} | {cpu:.1f} | {COUNT / seconds:,.0f} | {overdue / seconds:,.0f} | {rows:,} | {overdue / first:,.0f} | {floor:.1f} | {seconds / floor:.1f} "
        f"| {most:.0f} (+{most - held:.0f}) | {at(times, 0.5):.0f}, {at(times, 0.99):.0f} ({len(times)}) | {at(alone, 0.99):.0f} |", flush=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
