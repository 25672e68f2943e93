"""`careline night`, accounts a second, on both databases, against two floors in the same run, and a grant meanwhile:

    .venv/bin/python benchmarks/night.py              10,000 accounts
    .venv/bin/python benchmarks/night.py 100000
    .venv/bin/python benchmarks/night.py 1000000 --sqlite      takes a while: the accounts have to be made first

Every account has a customer, a line, 3 bills of 6 lines each, entries and allocations, made by SQL. 20 % did not pay the last bill, which was due three
days ago: each gets a climb, a step, a notice in the outbox, a late fee with its charge, a line in its journal with its HMAC, and the head
of its chain. The database is copied twice before the night, so that each of these meets the same tables, as full as a carrier's are:

- the night alone: `run_night` and the report that reconciles it. Accounts a second count all accounts. Memory is the most that the process
  held, and how much of it the night added.
- the floors. The first is one statement that finds the overdue and inserts one row each into a table without an index. The second takes the
  very rows that the night wrote, with their ids, as values that are ready, and inserts them in bulk into the same tables: the same
  indexes, foreign keys and guards (an append-only table of SQLite asks for each row whether it would replace one), table by table, parents first, 500
  accounts' worth of rows a transaction, by the statement that the night uses. It finds nothing, decides nothing, locks nothing and hashes nothing.
- the night once more, while another process grants a credit about every 30 ms, each in a contact and with everything that belongs to it; and the
  same grants with no night.

CPU is of the process and, on PostgreSQL, of the one that serves it there: on a busy machine it says more than the seconds, which hold what others
took. PostgreSQL is a throw-away one from .ci/with-postgresql (fsync off).
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.both import on_both  # noqa: E402
from benchmarks.grants import at, beside, in_contacts, until_told  # noqa: E402

COUNT = next((int(word) for word in sys.argv[1:] if word.isdecimal()), 10_000)
DUE = date(2026, 11, 21)
NIGHT = datetime(2026, 11, 24, 8, tzinfo=UTC)  # three in the morning in New York
GRANTS = 20  # people who grant
ALONE = 5.0  # seconds of grants with no night beside them
ROWS = 3500  # in one transaction of the second floor: 500 accounts, 7 rows each
FILLED = ("customers_customer", "customers_account", "customers_line", "ledger_bill", "ledger_billline", "ledger_entry", "ledger_allocation")
URL = "CARELINE_DATABASE_URL"


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "careline.settings")
    phases = {"--make": make_all, "--night": the_night, "--floors": the_floors, "--grants": grant_until_told, "--here": measure_here}
    for word, phase in phases.items():
        if word in sys.argv:
            phase()
            return
    print(f"{COUNT:,} accounts, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the start\n")
    print("| database | night, s | CPU, s | accounts/s | rows | floor 1, rows/s | floor 2, s | CPU, s | night / floor 2 | by CPU | memory, MB (added) "
          "| grant p50, p99 ms (n) | alone | night meanwhile, s |")  # fmt: skip
    print("| --- |" + " --: |" * 13, flush=True)
    on_both(__file__, [str(COUNT)], postgresql="--sqlite" not in sys.argv)


# ---------------------------------------------------------------- the places


def measure_here() -> None:
    """Everything on one database, each phase a process of its own on a copy of its own."""
    with tempfile.TemporaryDirectory(prefix="careline-bench-") as folder:
        first, night, floor = (place(folder, name) for name in ("bench_first", "bench_night", "bench_floor"))
        begin(first)
        phase("--make", first)
        for other in (night, floor):
            copy(first, other)
        alone = phase("--night", night)
        floors = phase("--floors", floor, night)
        quiet = phase("--grants", floor, str(ALONE))
        beside_it, grants = beside(started("--grants", first), lambda: phase("--night", first))
    row = {**alone, **floors}
    spent = row["seconds"] / row["floor"]
    print(
        f"| {'PostgreSQL' if URL in os.environ else 'SQLite'} | {row['seconds']:.1f} | {row['cpu']:.1f} | {COUNT / row['seconds']:,.0f} | {row['rows']:,} "
        f"| {row['overdue'] / row['first']:,.0f} | {row['floor']:.1f} | {row['floor_cpu']:.1f} | {spent:.1f} | {row['cpu'] / row['floor_cpu']:.1f} "
        f"| {row['most']:.0f} (+{row['added']:.0f}) | {at(grants, 0.5):.0f}, {at(grants, 0.99):.0f} ({len(grants)}) | {at(quiet, 0.5):.0f}, {at(quiet, 0.99):.0f} ({len(quiet)}) "
        f"| {beside_it['seconds']:.1f} |", flush=True,
    )  # fmt: skip


def place(folder: str, name: str) -> dict[str, str]:
    """What a process needs to know of one copy: its database and its folder."""
    url = os.environ.get(URL)
    return {"CARELINE_HOME": str(Path(folder) / name)} | ({URL: urlsplit(url)._replace(path=f"/{name}").geturl()} if url else {})


def begin(where: dict[str, str]) -> None:
    if URL in where:
        on_server(f"CREATE DATABASE {name_of(where)}")


def copy(source: dict[str, str], to: dict[str, str]) -> None:
    if URL in source:
        on_server(f"CREATE DATABASE {name_of(to)} TEMPLATE {name_of(source)}")
    else:
        shutil.copytree(source["CARELINE_HOME"], to["CARELINE_HOME"])


def name_of(where: dict[str, str]) -> str:
    return urlsplit(where[URL]).path.lstrip("/")


def on_server(statement: str) -> None:
    import psycopg

    with psycopg.connect(os.environ[URL], autocommit=True) as connection:
        connection.execute(statement.encode())


def started(word: str, where: dict[str, str], *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, word, str(COUNT), *more]
    return subprocess.Popen(command, env=os.environ | where, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def phase(word: str, where: dict[str, str], other: dict[str, str] | str = "") -> Any:
    """What a phase says at its end. `other`: the copy that it reads, or how long it goes on."""
    more = other if isinstance(other, str) else other.get(URL) or str(Path(other["CARELINE_HOME"]) / "careline.sqlite3")
    child = started(word, where, *([f"--of={more}"] if more else []))
    said, _ = child.communicate()
    if child.returncode:
        sys.exit(child.returncode)
    return json.loads(said.splitlines()[-1])


def given() -> str:
    return next((word.removeprefix("--of=") for word in sys.argv if word.startswith("--of=")), "")


# ---------------------------------------------------------------- the accounts


def make_all() -> None:
    import django

    django.setup()
    from careline.doors.jobs import setup
    from tests import people

    setup.migrate()
    for n in range(GRANTS):
        people.hire(f"s{n}", f"Somebody {n}", "supervisor")
    make()
    print("{}")


def make() -> None:
    """The accounts with all that belongs to them, each table by one statement."""
    from django.db import connection, transaction

    from careline.domain.customers.models import Customer, Plan

    first = Customer.objects.create(name="Bench").pk
    told = [f.column for f in Customer._meta.concrete_fields if not f.primary_key]
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
        f"""INSERT INTO customers_customer (id, {', '.join(told)}) {numbers} SELECT {first} + i, {', '.join(f'c.{name}' for name in told)}
            FROM n, customers_customer c WHERE c.id = {first}""",
        f"""INSERT INTO customers_account (id, reference, customer_id, currency, status, opened_on, bill_day, state, zone, postal_code, autopay,
            change_lock, staff_marked, street, city, port_lock) {numbers} SELECT i, 'A-' || i, {first} + i, 'USD', 'active', {cast("2024-03-01")}, 4, 'WA',
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
            for table in ("customers_customer", "customers_account", "customers_line", "ledger_bill", "ledger_entry"):
                cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")
    with connection.cursor() as cursor:
        for table in FILLED:  # not the empty ones: PostgreSQL would believe for long that they are
            cursor.execute(f"ANALYZE {table}")


def cast(day: str) -> str:
    return f"CAST('{day}' AS date)" if os.environ.get("CARELINE_DATABASE_URL") else f"'{day}'"


# ---------------------------------------------------------------- the night


class Spent:
    """Seconds, and CPU seconds of this process and of the one that serves it on PostgreSQL, since it was made."""

    def __init__(self) -> None:
        from django.db import connection

        self.server = 0
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                self.server = cursor.fetchone()[0]
        self.began, self.before = time.perf_counter(), self._cpu()

    def _cpu(self) -> float:
        used = time.process_time()
        if self.server:
            fields = Path(f"/proc/{self.server}/stat").read_text().rpartition(")")[2].split()
            used += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return used

    def so_far(self) -> tuple[float, float]:
        return time.perf_counter() - self.began, self._cpu() - self.before


def the_night() -> None:
    import django

    django.setup()
    from careline.doors.jobs import night

    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    spent = Spent()
    run = night.run_night(NIGHT)
    found = night.report(run)
    seconds, cpu = spent.so_far()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    overdue = run.did.effects["notice"]
    assert found.holds and overdue == len(range(5, COUNT + 1, 5)), (overdue, run.owed)
    print(json.dumps({"seconds": seconds, "cpu": cpu, "overdue": overdue, "most": most, "added": most - held}))


# ---------------------------------------------------------------- the floors


def the_floors() -> None:
    import django

    django.setup()
    from django.db import connection, transaction

    from careline.domain.collections.models import Climb, LateFee, Step
    from careline.domain.journal.models import Chain, Outbox
    from careline.domain.journal.models import Line as JournalLine
    from careline.domain.ledger.models import UnbilledCharge

    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE floor_one (account_id bigint NOT NULL, bill_id bigint NOT NULL, left_minor bigint NOT NULL)")
        began = time.perf_counter()
        with transaction.atomic():
            cursor.execute(
                """INSERT INTO floor_one SELECT b.account_id, b.id, b.total_minor - COALESCE(SUM(a.amount_minor), 0) FROM ledger_bill b
                LEFT JOIN ledger_allocation a ON a.bill_id = b.id WHERE b.due_on < %s GROUP BY b.id, b.account_id, b.total_minor
                HAVING b.total_minor > COALESCE(SUM(a.amount_minor), 0)""", [NIGHT.date()])  # fmt: skip
        first = time.perf_counter() - began
        rows, floor, floor_cpu = 0, 0.0, 0.0
        for model in (Chain, JournalLine, Climb, Outbox, Step, UnbilledCharge, LateFee):
            table, last = model._meta.db_table, model.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
            names = ", ".join(f'"{f.column}"' for f in model._meta.concrete_fields)
            for some in written(f"SELECT {names} FROM {table} WHERE id > {last} ORDER BY id"):
                spent = Spent()
                with transaction.atomic():
                    insert(model, some)
                seconds, cpu = spent.so_far()
                floor, floor_cpu, rows = floor + seconds, floor_cpu + cpu, rows + len(some)
            if connection.vendor == "postgresql":  # the ids were given: let it count on behind them
                cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")
    print(json.dumps({"first": first, "floor": floor, "floor_cpu": floor_cpu, "rows": rows}))


def insert(model: Any, rows: list[Any]) -> None:
    """Rows whose values are the database's, by one statement."""
    from django.db import connection

    from careline.prepared import TOGETHER, copy_rows

    if connection.vendor == "postgresql":
        copy_rows(model, list(map(list, rows)))
        return
    fields = model._meta.concrete_fields
    names, one = ", ".join(f'"{f.column}"' for f in fields), f"({', '.join(['%s'] * len(fields))})"
    with connection.cursor() as cursor:
        for together in TOGETHER:
            whole = len(rows) // together * together
            values = [list(chain.from_iterable(rows[n : n + together])) for n in range(0, whole, together)]
            cursor.executemany(f"INSERT INTO {model._meta.db_table} ({names}) VALUES {', '.join([one] * together)}", values)
            rows = rows[whole:]


def written(question: str) -> Iterator[list[Any]]:
    """The rows of the night's copy, as its driver gives them, so many at a time."""
    if URL in os.environ:
        import psycopg

        with psycopg.connect(given()) as connection, connection.cursor("rows") as cursor:
            cursor.execute(question.encode())
            while some := cursor.fetchmany(ROWS):
                yield some
        return
    with closing(sqlite3.connect(given())) as there:
        rows = there.execute(question)
        while found := rows.fetchmany(ROWS):
            yield found


# ---------------------------------------------------------------- a grant meanwhile


def grant_until_told() -> None:
    """Grant credits on the last accounts that owe nothing, until standard input closes or for so many seconds."""
    import django

    django.setup()
    from careline.domain.customers.models import Account
    from careline.domain.staff.models import Staff

    owe_nothing = [pk for pk in range(COUNT, 0, -1) if pk % 5][:GRANTS]
    desks = in_contacts(list(Staff.objects.order_by("pk")[:GRANTS]), list(Account.objects.filter(pk__in=owe_nothing)), NIGHT)
    until_told(desks, float(given()) if given() else None)


if __name__ == "__main__":
    main()
