"""The account page and the search box over loopback, one client, on both databases:

    .venv/bin/python benchmarks/desk.py [--accounts 10000] [--home FOLDER]

Makes the demo carrier, serves it with `careline serve` and one web process, and asks each address again and again over
one connection. Prints wall time in milliseconds (p50, p99), CPU milliseconds of the web process a request, and, counted in
process, questions to the database; bytes are of the uncompressed page. PostgreSQL is a throw-away one from
.ci/with-postgresql, left out when none is installed. `--home` keeps the SQLite carrier there and takes it up again.
"""

from __future__ import annotations

import argparse
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import limits  # noqa: E402
from benchmarks.both import on_both  # noqa: E402

REPEATS = 500
FIRSTS = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--home", help="folder of the SQLite carrier, kept")
    parser.add_argument("--here", action="store_true", help="only the database that CARELINE_DATABASE_URL names (default: SQLite)")
    given = parser.parse_args()
    if given.here:
        with tempfile.TemporaryDirectory(prefix="careline-bench-") as folder:
            measure_here(given.accounts, given.home or folder)
        return
    print(f"{given.accounts:,} accounts, one client, one web process, {os.cpu_count()} cores\n")
    print("|  | database | p50 ms | p99 ms | CPU ms | queries | bytes |\n| --- | --- | --: | --: | --: | --: | --: |", flush=True)
    on_both(__file__, ["--accounts", str(given.accounts)], on_sqlite=["--home", given.home] if given.home else [])


def measure_here(accounts: int, home: str) -> None:
    os.environ |= {"CARELINE_HOME": home, "CARELINE_DEMO": "1", "DJANGO_SETTINGS_MODULE": "careline.settings", "PYTHONPATH": str(ROOT)}
    quiet = {"cwd": ROOT, "stdout": subprocess.DEVNULL}
    if not (Path(home) / "careline.sqlite3").exists():
        subprocess.run([sys.executable, "-m", "careline", "demo", "--no-serve", "--accounts", str(accounts)], check=True, **quiet)
    subprocess.run([sys.executable, "-m", "careline", "migrate"], check=True, **quiet)
    import django

    django.setup()
    from django.conf import settings
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from careline.acts.declare import BasisRef
    from careline.acts.perform import perform
    from careline.domain.contacts import queries as contacts
    from careline.domain.customers import queries as customers
    from careline.domain.staff import queries as staff

    settings.ALLOWED_HOSTS = ["*"]
    limits.lift()
    ben = staff.by_username("ben")
    assert ben is not None
    client = Client()
    client.force_login(ben)
    (hit,) = customers.by_caller_number("+12065550188")

    def act(code: str, contact: int | None = None, **values: object) -> dict:
        basis = BasisRef("contact", contact) if contact else BasisRef()
        outcome = perform(code, values, who=ben.who, key=uuid.uuid4().hex, basis=basis)
        assert outcome.ok, outcome
        return dict(outcome.show)

    def fresh() -> str:
        """Close what is in hand; a new contact, verified; its address."""
        while (row := contacts.open_of(ben.pk)) is not None:
            if row.state != "wrap_up":
                act("contacts.end", row.pk)
            act("contacts.wrap_up", row.pk, summary="x", disposition="resolved", root_cause="none")
        opened = act("contacts.open", account=hit.account_id, person=hit.holder_id)
        act("contacts.check_pin", int(opened["id"]), account=hit.account_id, pin="4711")
        return f"/contacts/{opened['contact']}/"

    def asked(address: str) -> int:
        with CaptureQueriesContext(connection) as found:
            assert client.get(address).status_code == 200
        return len([q for q in found.captured_queries if not q["sql"].startswith(("BEGIN", "COMMIT"))])

    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "careline", "serve", "--port", str(port), "--workers", "1", "--no-worker"], **quiet)
    try:
        link = reach(port)
        cookie = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}", "Host": "localhost"}

        def get(address: str) -> tuple[float, int]:
            began = time.perf_counter()
            link.request("GET", address, headers=cookie)
            answer = link.getresponse()
            size = len(answer.read())
            assert answer.status == 200, (address, answer.status)
            return (time.perf_counter() - began) * 1000, size

        def measure(name: str, next_address: Callable[[], str], times: int) -> None:
            queries = asked(next_address())
            walls, cpu, size = [], 0.0, 0
            for _ in range(times):
                address = next_address()
                before = cpu_of(server.pid)
                wall, size = get(address)
                cpu += cpu_of(server.pid) - before
                walls.append(wall)
            walls.sort()
            p50, p99 = walls[times // 2], walls[min(times - 1, int(times * 0.99))]
            database = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[connection.vendor]
            print(f"| {name} | {database} | {p50:.1f} | {p99:.1f} | {cpu * 1000 / times:.1f} | {queries} | {size:,} |", flush=True)

        page = fresh()
        for _ in range(50):  # every thread of the web process has been here
            get(page)
            get("/find?q=warm")
        measure("account page, first view", fresh, FIRSTS)
        page = fresh()
        get(page)
        measure("account page, repeat view", lambda: page, REPEATS)
        measure("search by whole number", lambda: "/find?q=(206)+555-0188", REPEATS)
        measure("search by last four digits", lambda: "/find?q=0188", REPEATS)
        measure("search by name", lambda: "/find?q=maria+okafor", REPEATS)
        measure("search by family name", lambda: "/find?q=okafor", REPEATS)
    finally:
        server.terminate()
        server.wait(10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def reach(port: int) -> http.client.HTTPConnection:
    for _ in range(300):
        try:
            link = http.client.HTTPConnection("127.0.0.1", port)
            link.request("GET", "/health", headers={"Host": "localhost"})
            link.getresponse().read()
            return link
        except OSError:
            time.sleep(0.1)
    raise SystemExit("The server does not answer.")


def cpu_of(root: int) -> float:
    """Seconds of CPU that a process, its children and theirs have used so far, to the nanosecond."""
    total, todo = 0, [root]
    while todo:
        for task in Path(f"/proc/{todo.pop()}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
            todo += map(int, (task / "children").read_text().split())
    return total / 1e9


if __name__ == "__main__":
    main()
