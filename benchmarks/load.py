"""`careline export` and `careline import`, accounts a second and memory, both directions, on both databases:

    .venv/bin/python benchmarks/load.py                10,000 accounts
    .venv/bin/python benchmarks/load.py 100000 --form parquet
    .venv/bin/python benchmarks/load.py 1000000 --home /somewhere     keeps the set there and takes it up again

The set is that of benchmarks/carrier.py: of each account a customer, a person, a right, a line, 3 bills of 6 lines, 2 payments. It is exported,
and imported into an empty house; then the same files again, of which all is unchanged; then the same with a hundredth of the customers
changed, as a nightly file of everything. Then the first import once more, into a house in which another process grants credits about every 30 ms
meanwhile. At last the whole house, `--all`, out and into an empty database of the same kind. CPU is of the
command's process alone (on PostgreSQL the server's comes on top), and says more than seconds on a busy machine; memory is the most that the
process held. PostgreSQL is a throw-away one (fsync off).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import limits  # noqa: E402
from benchmarks.both import on_both  # noqa: E402
from benchmarks.grants import at, beside, in_contacts, times_of, until_told  # noqa: E402

GRANTS = 20  # people who grant
ALONE = 5.0  # seconds of grants with no import beside them


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("accounts", type=int, nargs="?", default=10_000)
    parser.add_argument("--form", default="csv", choices=("csv", "jsonl", "parquet"))
    parser.add_argument("--home", help="folder of the set on SQLite, kept")
    parser.add_argument("--sqlite", action="store_true", help="SQLite only")
    parser.add_argument("--grants", type=float, nargs="?", const=0.0, help=argparse.SUPPRESS)
    parser.add_argument("--here", action="store_true", help="only the database that CARELINE_DATABASE_URL names (default: SQLite)")
    given = parser.parse_args()
    if given.grants is not None:
        grant(given.grants or None)
        return
    if given.here:
        with tempfile.TemporaryDirectory(prefix="careline-bench-") as folder:
            measure_here(given, Path(folder))
        return
    print(f"{given.accounts:,} accounts, {given.form}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the start\n")
    print("|  | database | rows | seconds | CPU s | accounts/s | rows/s of CPU | memory MB |\n| --- | --- | --: | --: | --: | --: | --: | --: |", flush=True)
    on_both(__file__, sys.argv[1:], postgresql=not given.sqlite)


class House:
    """A folder, and on PostgreSQL a database of its own."""

    def __init__(self, home: Path, name: str) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        server = os.environ.get("CARELINE_DATABASE_URL", "")
        self.vendor = "PostgreSQL" if server else "SQLite"
        self.environment = os.environ | {"CARELINE_HOME": str(home), "PYTHONPATH": str(ROOT)}
        if server:
            import psycopg

            with psycopg.connect(server, autocommit=True) as link:
                link.execute(f'CREATE DATABASE "{name}"')
            self.environment["CARELINE_DATABASE_URL"] = server.rsplit("/", 1)[0] + f"/{name}"

    def run(self, *words: str) -> tuple[float, float, float]:
        """Run a command; seconds, CPU seconds and the most memory in MB."""
        began = time.monotonic()
        child = subprocess.Popen([sys.executable, "-m", "careline", *words], env=self.environment, cwd=ROOT, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        if status:
            sys.exit(f"careline {' '.join(words)} ended with {status}")
        return time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024

    def granting(self, seconds: float | None = None) -> subprocess.Popen[str]:
        """A process that grants here, so long or until its standard input closes."""
        command = [sys.executable, __file__, "--grants", *([str(seconds)] if seconds else [])]
        return subprocess.Popen(command, env=self.environment, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def measure_here(given: argparse.Namespace, folder: Path) -> None:
    kept = Path(given.home) if given.home and not os.environ.get("CARELINE_DATABASE_URL") else folder / "set"
    source = House(kept, "bench_set")
    subprocess.run([sys.executable, str(ROOT / "benchmarks" / "carrier.py"), str(given.accounts)], check=True, env=source.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    files, whole = folder / "files", folder / "whole"

    def told(name: str, rows: int, figures: tuple[float, float, float]) -> None:
        seconds, cpu, memory = figures
        print(f"| {name} | {source.vendor} | {rows:,} | {seconds:.1f} | {cpu:.1f} | {given.accounts / seconds:,.0f} | {rows / cpu:,.0f} | {memory:.0f} |", flush=True)

    took = source.run("export", str(files), "--format", given.form, "--quiet")
    rows = given.accounts * 28 + 1
    told("export", rows, took)
    target = House(folder / "target", "bench_target")
    target.run("migrate")
    into = ("import", str(files / "mapping.toml"), "--out", str(folder / "report"), "--quiet")
    told("import", rows, target.run(*into))
    told("import of the same again", rows, target.run(*into))
    if given.form == "csv":
        text = (files / "customers.csv").read_text().splitlines(keepends=True)
        (files / "customers.csv").write_text("".join(line.replace(",en,", ",es,") if n % 100 == 1 else line for n, line in enumerate(text)))
        told("import, 1 % of the customers changed", rows, target.run(*into))
        (files / "customers.csv").write_text("".join(text))
    desk = House(folder / "desk", "bench_desk")
    desk.run("migrate")
    alone = times_of(desk.granting(ALONE))
    busy, meanwhile = beside(desk.granting(), lambda: desk.run(*into))
    told("import into a desk that grants", rows, busy)
    shutil.rmtree(files)
    took = target.run("export", "--all", str(whole), "--quiet")
    held = sum(path.read_bytes().count(b"\n") for path in whole.glob("*.jsonl"))
    told("export --all", held, took)
    shutil.copytree(target.home / "secrets", folder / "moved" / "secrets")
    moved = House(folder / "moved", "bench_moved")
    told("import --all, journal proven", held, moved.run("import", "--all", str(whole), "--quiet"))

    print(f"\n{source.vendor}: a grant beside the import p50 {at(meanwhile, 0.5):.0f} ms, p99 {at(meanwhile, 0.99):.0f} ms ({len(meanwhile) / busy[0]:.1f} a second); "
          f"with no import p50 {at(alone, 0.5):.0f} ms, p99 {at(alone, 0.99):.0f} ms ({len(alone) / ALONE:.1f} a second)\n", flush=True)  # fmt: skip


def grant(seconds: float | None) -> None:
    """Grant in a house of its own accounts; whoever grants and whom are made at the first call."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "careline.settings")
    django.setup()
    from django.utils import timezone

    from careline.domain.customers.models import Account
    from careline.domain.staff.models import Staff
    from tests import people

    if not Staff.objects.filter(username="s0").exists():
        limits.lift()
        for n in range(GRANTS):
            people.hire(f"s{n}", f"Somebody {n}", "supervisor")
            people.open_account(f"Caller {n}", f"+1206555{n:04}", f"OWN-{n:04}", pin=None)
    until_told(in_contacts(list(Staff.objects.order_by("pk")[:GRANTS]), list(Account.objects.filter(reference__startswith="OWN-")), timezone.now()), seconds)


if __name__ == "__main__":
    main()
