"""Credits a second under contention, and decisions a second: `.venv/bin/python benchmarks/credits.py`.

Four threads grant credits of one cent, all on one account and then each on its own; CARELINE_DATABASE_URL names a
PostgreSQL (an empty database) instead of the temporary SQLite.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ |= {"CARELINE_HOME": tempfile.mkdtemp(prefix="careline-bench-"), "DJANGO_SETTINGS_MODULE": "careline.settings"}
SECONDS = 5.0


def main() -> None:
    import django

    django.setup()
    from django.conf import settings
    from django.db import connection, connections
    from django.utils import timezone

    from careline.acts.perform import bare_facts
    from careline.domain.rulebook import operations, queries
    from careline.doors.jobs import setup
    from careline.foundation.authority import Question
    from careline.foundation.rulebook import Rulebook, read_folder
    from tests import people

    setup.migrate()
    files = read_folder(settings.RULEBOOK_FOLDER)
    # The benchmark's supervisors give more credits in a day than policy allows.
    files["limits.toml"] = files["limits.toml"].replace("supervisor = 60", "supervisor = 1000000")
    operations.activate(act=people.carrier_act(timezone.now()), rulebook=Rulebook(files), from_at=timezone.now(), seconded_by="Job:bench")
    accounts = [people.open_account(f"Caller {n}", f"+1206555{n:04}", f"A-{n:07}", today=timezone.now().date()) for n in range(1, 5)]
    staff = [people.hire(f"sam{n}", f"Sam {n}", "supervisor") for n in range(4)]

    def credits(one_account: bool) -> float:
        done = [0] * 4
        end = time.monotonic() + SECONDS

        def work(n: int) -> None:
            account = accounts[0 if one_account else n]
            desk = people.Desk(staff[n], timezone.now()).take_call(account)
            while time.monotonic() < end:
                done[n] += desk.act("credits.grant", account=account.pk, amount=1, reason="goodwill").ok
            desk.must("contacts.end")
            desk.must("contacts.wrap_up", summary="x", disposition="resolved", root_cause="none")
            connections["default"].close()

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(done) / SECONDS

    print(f"{connection.vendor}, 4 threads, {SECONDS:.0f} s each")
    print(f"credits a second, one account    {credits(True):8.0f}")
    print(f"credits a second, four accounts  {credits(False):8.0f}")
    authority = queries.current().authority
    question = Question(staff[0].who, "contacts.hold", ("Account", "1"), {"basis": bare_facts(kind="contact", level=3, state="live")})
    began = time.perf_counter()
    for _ in range(5000):
        authority.decide(question)
    print(f"decisions a second, one by one   {5000 / (time.perf_counter() - began):8.0f}")
    began = time.perf_counter()
    for _ in range(500):
        authority.decide_many([question] * 10)
    print(f"decisions a second, tens         {5000 / (time.perf_counter() - began):8.0f}")


if __name__ == "__main__":
    main()
