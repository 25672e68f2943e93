"""The set that benchmarks mean by "a million accounts", made by SQL in the house of CARELINE_HOME, and taken as it is when it is there:

    CARELINE_HOME=/somewhere .venv/bin/python benchmarks/carrier.py 1000000

Every account has a customer, a holder whom the find box knows, a line, 3 bills of 6 lines that add up, and 2 payments that paid the
first two bills. Nobody is real: names are drawn from the demo's lists, numbers count up. On the database that CARELINE_DATABASE_URL
names, or SQLite. The accounts come on top of what is there (a demo, say).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
STEP = 20_000  # accounts in one transaction
MADE = "C-SET-"  # how the source keys of what is made begin
MONTHS = (("2026-09-01", "2026-09-30", "2026-09-21"), ("2026-10-01", "2026-10-31", "2026-10-21"), ("2026-11-01", "2026-11-30", "2026-11-21"))
# kind, label, amount before tax, tax rate in ppm or None for a line that is the tax on the one before
CHARGES = (("plan", "Plus 15 GB", 4500, 88000), ("tax", "WA sales tax", 396, None), ("usage", "Data over the plan, 2 GB", 2000, 88000),
           ("tax", "WA sales tax", 176, None), ("equipment", "Phone, instalment", 2708, 0), ("discount", "AutoPay", -500, 0))  # fmt: skip
TOTAL = sum(c[2] for c in CHARGES)


def make(count: int, say: object = None) -> int:
    """See that the house in use holds the set with so many accounts. Returns how many were made now. Django is set up, the house migrated."""
    from django.db import connection, transaction

    from careline.doors.jobs import guards

    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM customers_account WHERE source_key LIKE '{MADE}%'")
        there = cursor.fetchone()[0]
        if there >= count:
            return 0
        first = {table: _highest(cursor, table) for table in TABLES}
        if connection.vendor == "sqlite":
            connection.connection.create_function("reverse", 1, lambda text: text[::-1], deterministic=True)
            guards.remove()  # they ask for each row what cannot be: that it is there already
        _names(cursor)
    for low in range(there + 1, count + 1, STEP):
        with transaction.atomic(), connection.cursor() as cursor:
            for sql in statements(low, min(low + STEP - 1, count), there, first):
                cursor.execute(sql)
        if callable(say):
            say(f"{min(low + STEP - 1, count):,} accounts")
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            for table in TABLES:
                cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")
        cursor.execute("DROP TABLE set_first")
        cursor.execute("DROP TABLE set_family")
        cursor.execute("ANALYZE")
    guards.install()
    return count - there


TABLES = ("customers_customer", "customers_person", "customers_account", "customers_line", "ledger_bill", "ledger_billline", "ledger_payment", "ledger_entry")


def _highest(cursor: object, table: str) -> int:
    cursor.execute(f"SELECT COALESCE(MAX(id), 0) FROM {table}")  # type: ignore[attr-defined]
    return int(cursor.fetchone()[0])  # type: ignore[attr-defined]


def _names(cursor: object) -> None:
    """Names to draw from, and the plan that everybody has."""
    from careline.doors.jobs.demo.names import FAMILIES

    for table, place in (("set_first", 2), ("set_family", 3)):
        words = sorted({w for family in FAMILIES for w in family[place].split() if w.isalpha()})
        cursor.execute(f"CREATE TEMPORARY TABLE {table} (n bigint, name varchar(40))")  # type: ignore[attr-defined]
        cursor.executemany(f"INSERT INTO {table} VALUES (%s, %s)", list(enumerate(words)))  # type: ignore[attr-defined]
    cursor.execute("SELECT COUNT(*) FROM customers_plan WHERE code = 'SET15'")  # type: ignore[attr-defined]
    if not cursor.fetchone()[0]:  # type: ignore[attr-defined]
        cursor.execute("INSERT INTO customers_plan (source_key, code, name, price_minor, data_mb) VALUES ('P-SET15', 'SET15', 'Plus 15 GB', 4500, 15360)")  # type: ignore[attr-defined]


def statements(low: int, high: int, there: int, first: dict[str, int]) -> list[str]:
    """What makes the accounts from one number to another, each table by one statement, in the order of its keys."""
    from django.db import connection

    from careline.domain.customers.models import first_features

    server = connection.vendor == "postgresql"
    n = f"SELECT generate_series({low}::bigint, {high}::bigint) AS i" if server else f"WITH RECURSIVE s(i) AS (SELECT {low} UNION ALL SELECT i + 1 FROM s WHERE i < {high}) SELECT i FROM s"
    yes, no = ("TRUE", "FALSE") if server else ("1", "0")

    def day(text: str) -> str:
        return f"DATE '{text}'" if server else f"'{text}'"

    def moment(text: str) -> str:
        return f"TIMESTAMPTZ '{text} 15:00:00+00'" if server else f"'{text} 15:00:00'"

    def pk(table: str, each: int = 1, place: str = "1") -> str:
        """The id of a row: `each` a number, this one at `place` (from 1)."""
        return f"({first[table] - each * there} + (i - 1) * {each} + {place})"

    def month(k: int, what: str) -> str:
        return day(MONTHS[k - 1][{"start": 0, "end": 1, "due": 2}[what]])

    def of_month(what: str) -> str:
        return "CASE k " + " ".join(f"WHEN {k} THEN {month(k, what)}" for k in (1, 2, 3)) + " END"

    def of_line(place: int) -> str:
        return "CASE m " + " ".join(f"WHEN {m} THEN {_said(c[place])}" for m, c in enumerate(CHARGES, 1)) + " END"

    issued = "CASE k " + " ".join(f"WHEN {k} THEN {moment(MONTHS[k - 1][0])}" for k in (1, 2, 3)) + " END"
    paid = "CASE k " + " ".join(f"WHEN {k} THEN {moment(MONTHS[k - 1][2])}" for k in (1, 2, 3)) + " END"
    months, two = "(SELECT 1 AS k UNION ALL SELECT 2 UNION ALL SELECT 3) b", "(SELECT 1 AS k UNION ALL SELECT 2) b"
    lines = "(SELECT 1 AS m UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6) l"
    name = "(SELECT name FROM set_first WHERE n = i * 7 % (SELECT COUNT(*) FROM set_first)) || ' ' || (SELECT name FROM set_family WHERE n = i * 11 % (SELECT COUNT(*) FROM set_family))"
    customer, person, account, line = (pk(f"customers_{t}") for t in ("customer", "person", "account", "line"))
    bill, payment, charge = pk("ledger_bill", 3, "k"), pk("ledger_payment", 2, "k"), pk("ledger_billline", 18, "((k - 1) * 6 + m)")
    owed, received = pk("ledger_entry", 5, "k"), pk("ledger_entry", 5, "(3 + k)")
    number = "'+1' || CAST(2062000000 + i AS TEXT)"
    word = "lower(p.name)"
    return [
        f"""INSERT INTO customers_customer (id, source_key, name, kind, since, language, needs, likes, email, phone, synthetic)
            SELECT {customer}, '{MADE}' || i, {name}, 'individual', {day("2024-03-01")}, 'en', '', '', '', '', {yes} FROM ({n}) n ORDER BY i""",
        f"""INSERT INTO customers_person (id, source_key, customer_id, name, email)
            SELECT {person}, 'H-SET-' || i, {customer}, c.name, '' FROM ({n}) n JOIN customers_customer c ON c.id = {customer} ORDER BY i""",
        f"""INSERT INTO customers_account (id, source_key, reference, customer_id, currency, status, opened_on, bill_day, state, zone, postal_code, street, city, autopay,
            change_lock, port_lock, staff_marked) SELECT {account}, '{MADE}' || i, 'A-' || (20000000 + i), {customer}, 'USD', 'active', {day("2024-03-01")}, 1, 'WA',
            'America/Los_Angeles', '98101', '', '', {no}, {no}, {no}, {no} FROM ({n}) n ORDER BY i""",
        f"""INSERT INTO customers_accountperson (account_id, person_id, "right", may_money, may_service) SELECT {account}, {person}, 'holder', {yes}, {yes}
            FROM ({n}) n ORDER BY i""",
        f"""INSERT INTO customers_nameword (word, account_id, person_id) SELECT substr({word}, 1, {_space()} - 1), {account}, p.id FROM ({n}) n
            JOIN customers_person p ON p.id = {person} ORDER BY i""",
        f"""INSERT INTO customers_nameword (word, account_id, person_id) SELECT substr({word}, {_space()} + 1), {account}, p.id FROM ({n}) n
            JOIN customers_person p ON p.id = {person} WHERE substr({word}, {_space()} + 1) <> substr({word}, 1, {_space()} - 1) ORDER BY i""",
        f"""INSERT INTO customers_line (id, source_key, account_id, msisdn, label, plan_id, status, status_reason, number_since, activated_on, iccid,
            sim_kind, can_text, suspended_for, bar, features, sim_state) SELECT {line}, 'L-SET-' || i, {account}, {number}, '', (SELECT id FROM customers_plan
            WHERE code = 'SET15'), 'active', '', {moment("2024-03-01")}, {day("2024-03-01")}, '', 'sim', {yes}, '', '', '{first_features()}', 'active' FROM ({n}) n ORDER BY i""",
        f"""INSERT INTO customers_numberkey (digits, reversed, line_id, account_id) SELECT '1' || (2062000000 + i), reverse('1' || (2062000000 + i)), {line}, {account}
            FROM ({n}) n ORDER BY i""",
        f"""INSERT INTO ledger_bill (id, source_key, number, account_id, period_start, period_end, issued_on, due_on, total_minor)
            SELECT {bill}, 'B-SET-' || i || '-' || k, 'SET-' || i || '-' || k, {account}, {of_month("start")}, {of_month("end")}, {of_month("start")}, {of_month("due")}, {TOTAL}
            FROM ({n}) n, {months} ORDER BY i, k""",
        f"""INSERT INTO ledger_billline (id, source_key, bill_id, kind, label, line_id, period_start, period_end, quantity, unit_price_minor, proration_num,
            proration_den, tax_rate_ppm, taxed_line_id, amount_minor) SELECT {charge}, 'B-SET-' || i || '-' || k || '-' || m, {bill}, {of_line(0)}, {of_line(1)},
            CASE WHEN m IN (1, 3) THEN {line} END, CASE WHEN m IN (1, 3) THEN {of_month("start")} END, CASE WHEN m IN (1, 3) THEN {of_month("end")} END,
            1, {of_line(2)}, 1, 1, COALESCE({of_line(3)}, 88000), CASE WHEN m IN (2, 4) THEN {charge} - 1 END, {of_line(2)}
            FROM ({n}) n, {months}, {lines} ORDER BY i, k, m""",
        f"""INSERT INTO ledger_payment (id, source_key, number, account_id, amount_minor, method, received_at, provider_reference)
            SELECT {payment}, 'Y-SET-' || i || '-' || k, 'Y-SET-' || i || '-' || k, {account}, {TOTAL}, 'Visa', {paid}, '' FROM ({n}) n, {two} ORDER BY i, k""",
        f"""INSERT INTO ledger_entry (id, account_id, kind, day, booked_on, at, amount_minor, bill_id, reference, label) SELECT {owed}, {account}, 'bill', {of_month("start")},
            {of_month("start")}, {issued}, {TOTAL}, {bill}, 'SET-' || i || '-' || k, 'Bill' FROM ({n}) n, {months} ORDER BY i, k""",
        f"""INSERT INTO ledger_entry (id, account_id, kind, day, booked_on, at, amount_minor, payment_id, reference, label) SELECT {received}, {account}, 'payment',
            {of_month("due")}, {of_month("due")}, {paid}, {-TOTAL}, {payment}, 'Y-SET-' || i || '-' || k, 'Payment, Visa' FROM ({n}) n, {two} ORDER BY i, k""",
        f"""INSERT INTO ledger_allocation (account_id, entry_id, bill_id, amount_minor, at) SELECT {account}, {received}, {bill}, {TOTAL}, {paid}
            FROM ({n}) n, {two} ORDER BY i, k""",
    ]  # fmt: skip


def _space() -> str:
    from django.db import connection

    return "strpos(p.name, ' ')" if connection.vendor == "postgresql" else "instr(p.name, ' ')"


def _said(value: object) -> str:
    return "NULL" if value is None else f"'{value}'" if isinstance(value, str) else str(value)


def main() -> None:
    count = next((int(word) for word in sys.argv[1:] if word.isdecimal()), 1_000_000)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "careline.settings")
    subprocess.run([sys.executable, "-m", "careline", "migrate"], check=True, cwd=ROOT)
    import django

    django.setup()
    began = time.monotonic()
    made = make(count, say=lambda text: print(f"  {text}", file=sys.stderr, flush=True))
    print(f"{made:,} accounts made in {time.monotonic() - began:.0f} s" if made else "It is there.")


if __name__ == "__main__":
    main()
