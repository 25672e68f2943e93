"""A house of the first release comes up to this one with its data: `tests/releases/first` is what its own commands made."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
from pathlib import Path

import pytest

from tests.doors import test_commands as commands
from tests.doors.test_commands import PASSWORD, ROOT, SERVER, House, get, running, wait_for

bare = commands.bare
RELEASE = ROOT / "tests" / "releases" / "first"
KEPT = json.loads((RELEASE / "house.json").read_text())


def move_in(house: House) -> None:
    """The database, secrets and anchors of the first release, as an operator finds them."""
    kind = "postgresql" if SERVER else "sqlite"
    script = gzip.decompress((RELEASE / f"{kind}.sql.gz").read_bytes()).decode()
    if SERVER:
        import psycopg

        with psycopg.connect(house.url, autocommit=True) as link:
            link.execute("\n".join(line for line in script.splitlines() if not line.startswith("\\")))
    else:
        made = sqlite3.connect(house.home / "careline.sqlite3")
        made.executescript(script)
        made.close()
    (house.home / "anchors.txt").write_text(KEPT["anchors"][kind])
    (house.home / "secrets").mkdir(mode=0o700)
    for name, secret in KEPT["secrets"].items():
        (house.home / "secrets" / name).write_text(secret)


STANDS = """
from careline.domain.customers.models import Account
from careline.domain.journal.models import Line
from careline.domain.ledger import queries as ledger
maria = Account.objects.get(reference="A-0104822")
print(ledger.balance(maria.pk), [(l.code, l.outcome) for l in Line.objects.filter(chain__name=f"account:{maria.pk}").order_by("seq")][-7:])
"""

NEXT_CALL = """
from django.utils import timezone
from tests import people
from careline.domain.customers.models import Account
from careline.domain.staff.models import Staff
maria = Account.objects.get(reference="A-0104822")
ana = people.Desk(Staff.objects.get(username="ana"), timezone.now()).take_call(maria)
ana.must("contacts.note", account=maria.pk, text="She called again")
ana.must("credits.grant", account=maria.pk, amount=100, reason="goodwill", words="for the wait")
print("served")
"""


def test_a_house_of_the_first_release_is_upgraded_with_its_data_and_its_journal_proves_itself(bare, tmp_path):
    move_in(bare)
    refused = bare.run("serve", "--port", str(commands.free_port()))
    assert refused.returncode == 1 and "migrations. Run: careline migrate" in refused.stderr, "the new release waits for it"
    assert "Database: up to date" in bare.must("migrate")
    assert "Whole: 11 lines" in (said := bare.must("verify-journal")) and "1 anchors" in said
    balance, lines = bare.python(STANDS).split(" ", 1)
    assert int(balance) == 4860 - 321 - 1000
    for line in (("contacts.note", "done"), ("credits.grant", "done"), ("credits.grant", "refused"), ("payments.take", "done")):
        assert str(line) in lines, line
    assert "Nothing to do" in bare.must("migrate")

    # The rulebook stays the carrier's own until two people take another one into force; they are served by either.
    assert "served" in bare.python(NEXT_CALL)
    bare.must("rulebook", "activate", str(ROOT / "rulebook" / "default"), "--by", "ada", "--second", "sam")
    assert "served" in bare.python(NEXT_CALL)
    port = commands.free_port()
    with running(bare, "serve", "--port", str(port), "--workers", "1"):
        wait_for(lambda: get(port, "/ready?worker") == 200)
    bare.must("anchor")
    assert "Whole: " in bare.must("verify-journal")


def test_the_first_release_is_backed_up_before_and_goes_back_with_its_own_checkout_only(bare, tmp_path):
    """`backup` of this release does not touch a database that it has not migrated: it says so."""
    move_in(bare)
    done = bare.run("backup", str(tmp_path / "backups"))
    assert done.returncode == 1 and "Run: careline migrate" in done.stderr


@pytest.mark.once
def test_the_fixture_is_small_and_holds_nobody_real():
    assert sum(f.stat().st_size for f in RELEASE.iterdir()) < 100_000
    assert PASSWORD and not os.path.exists(Path(RELEASE) / "careline.sqlite3")
