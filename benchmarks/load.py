"""`careline export` and `careline import`, accounts a second and memory, both directions, on both databases:

    .venv/bin/python benchmarks/load.py                10,000 accounts
    .venv/bin/python benchmarks/load.py 100000 --form parquet
    .venv/bin/python benchmarks/load.py 1000000 --home /somewhere     keeps the set there and takes it up again

The set is that of benchmarks/carrier.py: of each account a customer, a person, a right, a line, 3 bills of 6 lines, 2 payments. It is exported,
and imported into an empty house; then the same files again, of which all is unchanged; then the same with a hundredth of the customers
changed, as a nightly file of everything. At last the whole house, `--all`, out and into an empty database of the same kind. CPU is of the
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

from benchmarks.both import on_both  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("accounts", type=int, nargs="?", default=10_000)
    parser.add_argument("--form", default="csv", choices=("csv", "jsonl", "parquet"))
    parser.add_argument("--home", help="folder of the set on SQLite, kept")
    parser.add_argument("--sqlite", action="store_true", help="SQLite only")
    parser.add_argument("--here", action="store_true", help="only the database that CARELINE_DATABASE_URL names (default: SQLite)")
    given = parser.parse_args()
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
    shutil.rmtree(files)
    took = target.run("export", "--all", str(whole), "--quiet")
    held = sum(path.read_bytes().count(b"\n") for path in whole.glob("*.jsonl"))
    told("export --all", held, took)
    shutil.copytree(target.home / "secrets", folder / "moved" / "secrets")
    moved = House(folder / "moved", "bench_moved")
    told("import --all, journal proven", held, moved.run("import", "--all", str(whole), "--quiet"))


if __name__ == "__main__":
    main()
