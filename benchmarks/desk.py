"""The account page and the search box over loopback, one client: `.venv/bin/python benchmarks/desk.py [ACCOUNTS]`.

Makes the demo carrier in a temporary home (default 2,000 accounts with 18 bills each), serves it with one web process,
opens a verified contact, and prints p50 and p99 in milliseconds, CPU of the server, bytes and questions a request.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
HOME = tempfile.mkdtemp(prefix="careline-bench-")
os.environ |= {"CARELINE_HOME": HOME, "CARELINE_DEMO": "1", "DJANGO_SETTINGS_MODULE": "careline.settings", "PYTHONPATH": str(ROOT)}
PORT = 8197


def cpu_seconds(pid: int) -> float:
    """CPU of a process and its children so far (utime + stime)."""
    total = 0.0
    for line in subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True).stdout.splitlines()[1:]:
        child, parent = map(int, line.split())
        if child == pid or parent == pid:
            parts = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()
            total += (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")
    return total


def main() -> None:
    accounts = sys.argv[1] if len(sys.argv) > 1 else "2000"
    subprocess.run([sys.executable, "-m", "careline", "demo", "--no-serve", "--accounts", accounts], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    import django

    django.setup()
    from django.conf import settings
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from careline.acts.declare import BasisRef
    from careline.acts.perform import perform
    from careline.domain.customers import queries as customers
    from careline.domain.staff import queries as staff

    settings.ALLOWED_HOSTS = ["*"]
    ben = staff.by_username("ben")
    assert ben is not None
    client = Client()
    client.force_login(ben)

    def act(code: str, basis: BasisRef = BasisRef(), **given: object) -> dict:  # noqa: B008 - frozen
        outcome = perform(code, given, who=ben.who, key=uuid.uuid4().hex, basis=basis)
        assert outcome.ok, outcome
        return dict(outcome.show)

    maria = customers.by_caller_number("+12065550188")[0].account_id
    holder = customers.people_of(maria)[0].person_id
    opened = act("contacts.open", account=maria, person=holder)
    act("contacts.check_pin", BasisRef("contact", int(opened["id"])), account=maria, pin="4711")
    page = f"/contacts/{opened['contact']}/"

    server = subprocess.Popen([sys.executable, "-m", "careline", "serve", "--port", str(PORT), "--workers", "1", "--no-worker"], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        time.sleep(4)
        link = http.client.HTTPConnection("127.0.0.1", PORT)
        cookie = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}", "Host": "localhost"}

        def measure(name: str, addresses: list[str]) -> None:
            with CaptureQueriesContext(connection) as asked:
                client.get(addresses[0])
            times, size = [], 0
            before = cpu_seconds(server.pid)
            for address in addresses:
                began = time.perf_counter()
                link.request("GET", address, headers=cookie)
                answer = link.getresponse()
                size = len(answer.read())
                times.append((time.perf_counter() - began) * 1000)
                assert answer.status == 200, (address, answer.status)
            cpu = (cpu_seconds(server.pid) - before) * 1000 / len(addresses)
            times.sort()
            print(f"{name:28}{times[len(times) // 2]:8.1f}{times[int(len(times) * 0.99) - 1]:8.1f}{cpu:8.1f}{size:9}{len(asked):9}")

        print(f"{accounts} accounts, SQLite\n{'':28}{'p50 ms':>8}{'p99 ms':>8}{'CPU ms':>8}{'bytes':>9}{'queries':>9}")
        link.request("GET", page, headers=cookie)
        link.getresponse().read()
        measure("account page, repeat", [page] * 300)
        measure("account page, timeline", [page + "?section=time"] * 100)
        measure("find: whole number", ["/find?q=2065550188"] * 50)
        measure("find: last four", ["/find?q=0188"] * 50)
        measure("find: name", ["/find?q=okafor"] * 50)
    finally:
        server.terminate()
        server.wait(10)


if __name__ == "__main__":
    main()
