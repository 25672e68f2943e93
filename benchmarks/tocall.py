"""Whom to call now, among a million accounts of which every fifth is on the ladder, on both databases:

    .venv/bin/python benchmarks/tocall.py              1,000,000 accounts, 200,000 climbs; makes them first, which takes a while
    .venv/bin/python benchmarks/tocall.py 100000 --sqlite

The accounts are those of benchmarks/carrier.py, spread over four zones, with numbers of there; every fifth is told of its last bill, and owes as much of it as its number says.
Prints, for hours at which everybody, some and nobody may be called, for the first page and the tenth: milliseconds (p50 and the most of ten), questions to the
database, how many stand on the page, and how many are counted beside it. PostgreSQL is a throw-away one from .ci/with-postgresql (fsync off).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import carrier  # noqa: E402
from benchmarks.both import on_both  # noqa: E402

COUNT = next((int(word) for word in sys.argv[1:] if word.isdecimal()), 1_000_000)
ZONES = ("America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles")
AREAS = ("212", "312", "303", "206")
HOURS = {"noon in New York": 17, "half past eight in New York": 13, "three in New York": 8}  # UTC, on December 10
REPEATS = 10


def main() -> None:
    if "--here" in sys.argv:
        measure_here()
        return
    print(f"{COUNT:,} accounts, {COUNT // 5:,} climbs, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the start\n")
    print("| database | when | page | p50, ms | most, ms | questions | on the page | counted beside it |\n| --- | --- | --: | --: | --: | --: | --: | --: |", flush=True)
    on_both(__file__, [str(COUNT)], postgresql="--sqlite" not in sys.argv)


def measure_here() -> None:
    with tempfile.TemporaryDirectory(prefix="careline-bench-") as home:
        os.environ |= {"CARELINE_HOME": home, "DJANGO_SETTINGS_MODULE": "careline.settings", "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-m", "careline", "migrate"], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        import django

        django.setup()
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        from careline.domain.collections.queries import calling
        from careline.domain.rulebook import queries as rulebooks

        carrier.make(COUNT)
        climbs()
        book = rulebooks.current()
        for when, hour in HOURS.items():
            at = datetime(2026, 12, 10, hour, 30 if hour == 13 else 0, tzinfo=UTC)
            after = ""
            for number in (1, 10):
                for _ in range(number - 1):
                    after = calling.to_call(book.ladder, book.outbound, at, after).more
                if number > 1 and not after:
                    continue
                took = []
                for _ in range(REPEATS):
                    began = time.perf_counter()
                    found = calling.to_call(book.ladder, book.outbound, at, after)
                    took.append((time.perf_counter() - began) * 1000)
                with CaptureQueriesContext(connection) as asked:
                    calling.to_call(book.ladder, book.outbound, at, after)
                took.sort()
                print(f"| {connection.vendor} | {when} | {number} | {took[len(took) // 2]:,.0f} | {took[-1]:,.0f} | {len(asked)} | {len(found.rows)} | {sum(found.not_now.values()):,} |", flush=True)


def climbs() -> None:
    """Every fifth account on the ladder, told of the bill of $92.80 that nobody paid; it owed less when the ladder looked last."""
    from django.db import connection, transaction

    moment = "TIMESTAMPTZ '2026-12-01 08:00:00+00'" if connection.vendor == "postgresql" else "'2026-12-01 08:00:00'"
    yes, due = ("TRUE", f"DATE '{carrier.MONTHS[2][2]}'") if connection.vendor == "postgresql" else ("1", f"'{carrier.MONTHS[2][2]}'")
    zone = "CASE id % 4 " + " ".join(f"WHEN {n} THEN '{name}'" for n, name in enumerate(ZONES)) + " END"
    area = "CASE account_id % 4 " + " ".join(f"WHEN {n} THEN '{code}'" for n, code in enumerate(AREAS)) + " END"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE customers_account SET zone = {zone}")
        cursor.execute(f"UPDATE customers_line SET msisdn = '+1' || {area} || substr(msisdn, 6)")
        cursor.execute(
            f"""INSERT INTO collections_climb (account_id, since, began_at, rung, rung_days, turn, bar, unbar_fee_minor, settled, noticed, owed_minor, judged_at, ended_for)
                SELECT id, {due}, {moment}, 'final', 10, 0, '', 0, {yes}, {yes}, {carrier.TOTAL} - (id * 7919) % 7000, {moment}, '' FROM customers_account WHERE id % 5 = 0"""
        )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


if __name__ == "__main__":
    main()
