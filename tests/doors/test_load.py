"""Files in and out by the command line: killed for real, and a whole house from one database to another."""

from __future__ import annotations

import csv
import fcntl
import json
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doors import test_commands as commands
from tests.doors.test_commands import House, one_line, wait_for

house = commands.house
FERNLINE = commands.ROOT / "samples" / "fernline"
COUNT = "from django.db import connection as c; k = c.cursor(); k.execute('SELECT COUNT(*) FROM {}'); print(k.fetchone()[0])"


def carrier(folder: Path, accounts: int) -> Path:
    """Files of a carrier with so many accounts, two bills of two lines each and a payment; every hundredth row is dirty. Its mapping."""
    folder.mkdir()
    tables: dict[str, list[list[object]]] = {
        "plans": [["key", "code", "name", "price"], ["P1", "P", "Plus", "40.00"]],
        "customers": [["key", "name"]], "accounts": [["key", "customer", "reference", "opened_on"]],
        "bills": [["key", "account", "number", "period_start", "period_end", "issued_on", "due_on", "total"]],
        "bill_lines": [["key", "bill", "kind", "label", "amount"]], "payments": [["key", "account", "number", "amount", "method", "received_at"]],
    }  # fmt: skip
    for n in range(accounts):
        tables["customers"].append([f"C{n}", "" if n % 100 == 7 else f"Customer {n}"])
        tables["accounts"].append([f"A{n}", f"C{n}", f"A-{1000000 + n}", "2024-03-01"])
        for k in (1, 2):
            total = "44.01" if n % 100 == 50 and k == 2 else "44.00"
            tables["bills"].append([f"B{n}-{k}", f"A{n}", f"B-{n}-{k}", f"2026-0{k}-01", f"2026-0{k}-28", f"2026-0{k}-01", f"2026-0{k}-20", total])
            tables["bill_lines"] += [[f"B{n}-{k}-1", f"B{n}-{k}", "plan", "Plus", "40.00"], [f"B{n}-{k}-2", f"B{n}-{k}", "fee", "Fee", "4.00"]]
        tables["payments"].append([f"Y{n}", f"A{n}", f"Y-{n}", "50.00", "Visa", "2026-02-11T10:00:00Z"])
    said = ""
    for entity, rows in tables.items():
        with open(folder / f"{entity}.csv", "w", newline="") as file:
            csv.writer(file).writerows(rows)
        said += f"[{entity}.columns]\n" + "".join(f"{name} = '{name}'\n" for name in rows[0])
    (folder / "mapping.toml").write_text(said)
    return folder / "mapping.toml"


def exported(house: House, folder: Path) -> dict[str, str]:
    house.must("export", str(folder), "--quiet")
    return {p.name: "".join(sorted(p.read_text().splitlines(True))) for p in folder.glob("*.csv")}


def test_an_import_killed_by_the_system_ends_like_one_that_was_left_alone(migrated, tmp_path):
    mapping = carrier(tmp_path / "files", 2000)
    with commands.furnished(tmp_path / "alone", migrated) as alone, commands.furnished(tmp_path / "killed", migrated) as killed:
        alone.must("import", str(mapping), "--out", str(tmp_path / "alone-out"), "--quiet")
        kills = 0
        for seconds in (0.1, 0.4, 0.7):
            process = killed.begin("import", str(mapping), "--out", str(tmp_path / "out"), "--quiet")
            wait_for(lambda process=process: process.poll() is not None or list((tmp_path / "out").glob(".work-*")), 60)
            time.sleep(seconds)
            kills += process.poll() is None
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert kills
        killed.must("import", str(mapping), "--out", str(tmp_path / "out"), "--quiet")
        reports = [json.loads((tmp_path / name / "report.json").read_text()) for name in ("alone-out", "out")]
        assert reports[0] == reports[1] and reports[0]["bills"]["written"] > 3000 and reports[0]["customers"]["rejected"] == 20
        for name in ("rejected-customers.csv", "rejected-bills.csv", "rejected-bill_lines.csv", "rejected-payments.csv"):
            assert (tmp_path / "alone-out" / name).read_text() == (tmp_path / "out" / name).read_text()
        assert exported(alone, tmp_path / "one") == exported(killed, tmp_path / "two")
        for ours in (alone, killed):
            assert ours.python(COUNT.format("ledger_allocation")) == alone.python(COUNT.format("ledger_allocation"))
            assert ours.must("verify-journal").startswith("Whole: ")


@pytest.mark.once
def test_two_imports_into_one_folder_do_not_meet(house, tmp_path):
    given = carrier(tmp_path / "files", 3)
    (tmp_path / "out").mkdir()
    with open(tmp_path / "out" / ".lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = house.run("import", str(given), "--out", str(tmp_path / "out"))
    assert done.returncode == 1 and "Another import works in" in one_line(done)


@pytest.mark.parametrize("whole", [False, True], ids=["entities", "all"])
def test_an_export_killed_by_the_system_goes_on_with_the_same_command(migrated, tmp_path, whole):
    """SIGKILL as soon as it noted the bills; then a payment more; the same command again is what one in one go is."""
    given = ["--all"] if whole else []
    note, noted = tmp_path / "killed" / ".export-under-way.json", '"ledger.Bill"' if whole else '"bills"'
    with commands.furnished(tmp_path / "home", migrated) as house:
        house.must("import", str(carrier(tmp_path / "files", 300)), "--out", str(tmp_path / "out"), "--quiet")
        process = house.begin("export", *given, str(tmp_path / "killed"), "--quiet")
        wait_for(lambda: note.is_file() and noted in note.read_text(), 60)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert note.is_file() and not (tmp_path / "killed" / ("house.json" if whole else "mapping.toml")).exists()
        (tmp_path / "files" / "payments.csv").write_text("key,account,number,amount,method,received_at\nY,A1,Y-,50.00,Visa,2026-02-12T10:00:00Z\n")
        house.must("import", str(tmp_path / "files" / "mapping.toml"), "--out", str(tmp_path / "out"), "--quiet")
        house.must("export", *given, str(tmp_path / "killed"), "--quiet")
        house.must("export", *given, str(tmp_path / "at-once"), "--quiet")
        assert not note.exists()
        gone_on, at_once = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("killed", "at-once"))
        assert gone_on.keys() == at_once.keys()
        differ = {name for name in at_once if gone_on[name] != at_once[name]}
        assert differ <= {"house.json", "journal_line.jsonl", "journal_chain.jsonl", "journal_head.jsonl"}, "but for what the exports write in the journal"
        assert b"Y-" in gone_on["ledger_payment.jsonl" if whole else "payments.csv"]
        assert (b"Export of the whole house resumed" if whole else b"") in gone_on.get("journal_line.jsonl", b"")
        done = house.run("export", str(tmp_path / "killed"))
        assert done.returncode == 2 and "holds files already" in one_line(done)
        if whole:
            shutil.copytree(house.home / "secrets", tmp_path / "new" / "secrets")
            assert "the journal proves itself" in House(tmp_path / "new").must("import", "--all", str(tmp_path / "killed"), "--quiet")


# ---------------------------------------------------------------- a whole house


@pytest.fixture
def lived_in(migrated: House, tmp_path: Path) -> Iterator[House]:
    """A house on this run's database with the sample carrier, people and two anchors."""
    with commands.furnished(tmp_path / "lived-in", migrated) as made:
        commands.add(made, "ana")
        made.must("import", str(FERNLINE / "mapping.toml"), "--out", str(tmp_path / "report"), "--quiet")
        made.must("anchor")
        commands.add(made, "ben")
        made.must("anchor")
        yield made


def empty(home: Path, secrets_of: House) -> None:
    """The folder of a new house with another's secrets."""
    home.mkdir()
    shutil.copytree(secrets_of.home / "secrets", home / "secrets")


def tables(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.glob("*.jsonl") if not p.name.startswith("journal_")}


def test_a_whole_house_goes_to_another_database_and_back_with_its_journal_proven(lived_in, tmp_path):
    """From this run's database to SQLite, and back to this run's: on PostgreSQL that is there and back again."""
    assert "rows of" in lived_in.must("export", "--all", str(tmp_path / "there"))
    empty(tmp_path / "sqlite", lived_in)
    other = House(tmp_path / "sqlite")
    assert "the journal proves itself" in other.must("import", "--all", str(tmp_path / "there"), "--quiet")
    assert (other.home / "anchors.txt").read_text() == (lived_in.home / "anchors.txt").read_text()
    assert other.must("verify-journal").startswith("Whole: ") and "2 anchors" in other.must("verify-journal")
    assert "ben" in other.must("user", "list") and "Nothing to do" in other.must("migrate")
    commands.add(other, "eva")  # ids and document numbers go on where they were
    other.must("anchor")
    other.must("export", "--all", str(tmp_path / "back"))

    empty(tmp_path / "again", lived_in)
    with commands.furnished(tmp_path / "again") as again:
        again.must("import", "--all", str(tmp_path / "back"), "--quiet")
        assert "3 anchors" in again.must("verify-journal")
        commands.add(again, "sam")
        assert {"ana", "ben", "eva", "sam"} <= set(again.must("user", "list").split())
        there, back = tables(tmp_path / "there"), tables(tmp_path / "back")
        assert {n for n in there if there[n] != back[n]} == {"staff_staff.jsonl", "django_cache.jsonl"} & set(there)
        again.must("import", str(FERNLINE / "mapping.toml"), "--out", str(tmp_path / "report-again"), "--quiet")
        report = json.loads((tmp_path / "report-again" / "report.json").read_text())
        assert all(t["written"] == 0 for t in report.values())


@pytest.mark.once
def test_a_whole_house_that_was_killed_on_its_way_in_is_closed_and_goes_on(lived_in, tmp_path):
    lived_in.must("export", "--all", str(tmp_path / "all"))
    empty(tmp_path / "new", lived_in)
    new = House(tmp_path / "new")
    broken = "from careline.doors.jobs import wholes; from pathlib import Path; from django.utils import timezone\nreal, calls = wholes.copy_rows, []\ndef dies(*given):\n    calls.append(1)\n    real(*given)\n    if len(calls) == 12: import os; os._exit(9)\nwholes.copy_rows = dies; wholes.MANY = 50\nwholes.import_all(Path({!r}), at=timezone.now(), say=print)"
    with pytest.raises(AssertionError):
        new.python(broken.format(str(tmp_path / "all")))
    done = new.run("serve", "--port", str(commands.free_port()))
    assert done.returncode == 1 and "careline migrate" in done.stderr
    assert "the journal proves itself" in new.must("import", "--all", str(tmp_path / "all"), "--quiet")
    new.must("export", "--all", str(tmp_path / "again"))
    assert tables(tmp_path / "all") == tables(tmp_path / "again")
    done = new.run("import", "--all", str(tmp_path / "all"))
    assert done.returncode == 2 and "a house already" in one_line(done)


@pytest.mark.once
@pytest.mark.parametrize(("harm", "says"), [
    (lambda folder: (folder / "house.json").unlink(), "it has no house.json"),
    (lambda folder: (folder / "house.json").write_text("{"), "cannot be read"),
    (lambda folder: (folder / "ledger_bill.jsonl").write_text((folder / "ledger_bill.jsonl").read_text()[:-400]), "cannot be read|cut off or changed"),
    (lambda folder: (folder / "ledger_entry.jsonl").unlink(), "is missing"),
    (lambda folder: (folder / "journal_line.jsonl").write_text((folder / "journal_line.jsonl").read_text().replace("Imported 3 bills", "Imported 4 bills", 1)), "cut off or changed"),
])  # fmt: skip
def test_a_whole_house_that_is_not_whole_stays_closed(lived_in, tmp_path, harm, says):
    import re

    lived_in.must("export", "--all", str(tmp_path / "all"))
    harm(tmp_path / "all")
    empty(tmp_path / "new", lived_in)
    done = House(tmp_path / "new").run("import", "--all", str(tmp_path / "all"), "--quiet")
    assert done.returncode in (1, 2) and re.search(says, one_line(done))
    done = House(tmp_path / "new").run("serve", "--port", str(commands.free_port()))
    assert done.returncode == 1


@pytest.mark.once
def test_a_whole_house_wants_its_own_secrets(lived_in, migrated, tmp_path):
    lived_in.must("export", "--all", str(tmp_path / "all"))
    (tmp_path / "new").mkdir()
    done = House(tmp_path / "new").run("import", "--all", str(tmp_path / "all"))
    assert done.returncode == 2 and "another journal key" in one_line(done)
