"""Backup while people work, and the way back: real commands in houses of their own, on the database of this test run."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.doors import test_commands as commands
from tests.doors.test_commands import SERVER, House, add, get, one_line, running, wait_for

house, bare = commands.house, commands.bare

WORKING = """
import itertools, os, pathlib
from careline.acts.perform import perform
from careline.domain.staff import queries as staff
from careline.doors.jobs.people import CLI
ana, stop = staff.by_username("ana").pk, pathlib.Path(os.environ["STOP"])
for n in itertools.count():
    if stop.exists():
        break
    assert perform("staff.set_active", {"staff": ana, "active": n % 2 == 0}, who=CLI, key=f"at-work-{n:05}").ok
print(n)
"""


def bring_secrets(house: House, other: House) -> None:
    shutil.copytree(house.home / "secrets", other.home / "secrets", dirs_exist_ok=True)


def newest(folder: Path) -> Path:
    return sorted(folder.glob("careline-*"))[-1]


def test_a_backup_taken_while_people_work_comes_back_whole(house, bare, tmp_path):
    """Somebody acts without a pause while the desk serves; three backups are taken meanwhile, and each proves itself elsewhere."""
    add(house, "ana")
    port, stop = commands.free_port(), tmp_path / "stop"
    begin = "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'careline.settings'; import django; django.setup()\n"
    with running(house, "serve", "--port", str(port), "--workers", "1"):
        wait_for(lambda: get(port, "/ready") == 200)
        busy = subprocess.Popen([sys.executable, "-c", begin + WORKING], env=house.environment | {"STOP": str(stop)}, stdout=subprocess.PIPE, text=True)
        lines = [house.must("backup", str(tmp_path / "backups")) for _ in range(3)]
        assert get(port, "/health") == 200 and busy.poll() is None
        stop.touch()
        done = int(busy.communicate(timeout=30)[0])
    assert all(line.startswith("Backup: ") for line in lines) and done > 10
    folder = newest(tmp_path / "backups")
    assert {p.name for p in folder.iterdir()} == {"backup.json", "anchors.txt", "careline.dump" if SERVER else "careline.sqlite3"}
    assert not [p for p in (tmp_path / "backups").iterdir() if p.name.startswith(".part")]
    assert all(oct(p.stat().st_mode)[-2:] == "00" for p in [folder, *folder.iterdir()]), "nobody else reads it"

    bring_secrets(house, bare)
    said = bare.must("restore", str(folder))
    assert "Whole: " in said and "Restored as of" in said
    count = "from careline.domain.journal.models import Line; print(Line.objects.filter(code='staff.set_active').count())"
    assert 0 < int(bare.python(count)) <= done == int(house.python(count))
    assert "Whole: " in bare.must("verify-journal") and "ana" in bare.must("user", "list")
    told = bare.python("from careline.domain.journal.models import Line; print(Line.objects.get(code='backups.restore').content['say'])")
    assert folder.name in told and "is lost" in told
    with running(bare, "serve", "--port", str(port), "--workers", "1"):
        wait_for(lambda: get(port, "/ready") == 200)


def test_what_was_written_after_the_backup_is_named_by_the_anchors_that_were_put_away(house, bare, tmp_path):
    add(house, "ana")
    house.must("anchor")
    house.must("backup", str(tmp_path / "backups"))
    add(house, "ben")
    house.must("anchor")
    bring_secrets(house, bare)
    shutil.copy(house.home / "anchors.txt", bare.home / "anchors.txt")  # the witness that was kept elsewhere
    said = bare.must("restore", str(newest(tmp_path / "backups")))
    assert "Whole: " in said and "ben" not in bare.must("user", "list")
    (old,) = bare.home.glob("anchors.txt.before-restore-*")
    assert str(old) in said
    assert bare.run("verify-journal", "--anchor", str(old)).returncode == 1, "the later root is in the old file and not in this house"


def test_a_restore_without_the_secrets_stops_and_makes_none(house, bare, tmp_path):
    house.must("backup", str(tmp_path / "backups"))
    done = bare.run("restore", str(newest(tmp_path / "backups")))
    assert done.returncode == 1 and "Bring the secrets first" in one_line(done) and "pepper" in one_line(done)
    assert not list(bare.home.glob("secrets/*"))


def test_a_house_that_is_there_is_not_lost_by_a_restore(house, tmp_path):
    house.must("backup", str(tmp_path / "backups"))
    add(house, "ana")
    done = house.run("restore", str(newest(tmp_path / "backups")))
    assert done.returncode == 1
    if SERVER:
        assert "Make an empty one" in one_line(done)
    else:
        assert "--replace" in one_line(done)
        said = house.must("restore", "--replace", str(newest(tmp_path / "backups")))
        assert "Nobody yet" in house.must("user", "list")
        (old,) = [p for p in house.home.glob("careline.sqlite3.before-restore-*") if not p.name.endswith(("-wal", "-shm"))]
        assert str(old) in said and sqlite3.connect(old).execute("SELECT username FROM staff_staff").fetchall() == [("ana",)]
    assert "Whole: " in house.must("verify-journal")


def test_nothing_is_restored_below_a_running_desk(house, tmp_path):
    house.must("backup", str(tmp_path / "backups"))
    with running(house, "worker"):
        wait_for(lambda: (house.home / "running.lock").exists() and commands.get and "careline worker" in " ".join(house.processes()))
        wait_for(lambda: house.run("restore", "--replace", str(newest(tmp_path / "backups"))).stderr.startswith("careline: A desk or worker runs"))


@pytest.mark.parametrize("damage", ["changed", "cut", "no note", "no file"])
def test_a_damaged_backup_is_refused_before_anything_is_touched(house, tmp_path, damage):
    house.must("backup", str(tmp_path / "backups"))
    folder = newest(tmp_path / "backups")
    file = folder / ("careline.dump" if SERVER else "careline.sqlite3")
    if damage == "changed":
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    elif damage == "cut":
        os.truncate(file, file.stat().st_size // 2)
    elif damage == "no note":
        (folder / "backup.json").unlink()
    else:
        file.unlink()
    done = house.run("restore", "--replace", str(folder))
    assert done.returncode in (1, 2) and ("is no backup" if damage == "no note" else "is not what backup.json says") in one_line(done)
    assert house.must("verify-journal").startswith("Whole: ") and not list(house.home.glob("*before-restore*"))


@pytest.mark.once
def test_a_backup_of_the_other_kind_says_so(house, tmp_path):
    house.must("backup", str(tmp_path / "backups"))
    folder = newest(tmp_path / "backups")
    note = json.loads((folder / "backup.json").read_text())
    (folder / "backup.json").write_text(json.dumps(note | {"database": "postgresql"}))
    assert "This is a backup of postgresql" in one_line(house.run("restore", "--replace", str(folder)))


@pytest.mark.once
def test_a_folder_that_cannot_be_written_and_a_full_disk_leave_nothing_half_done(house, tmp_path):
    (tmp_path / "file").write_text("")
    done = house.run("backup", str(tmp_path / "file"))
    assert done.returncode == 1 and "careline:" in one_line(done)
    # No room: what may be written is bounded as a full disk bounds it.
    full = f"ulimit -f 100; trap '' XFSZ; {sys.executable} -m careline backup {tmp_path / 'full'}"
    tried = subprocess.run(["bash", "-c", full], env=house.environment, cwd=house.home, capture_output=True, text=True, timeout=60)
    assert tried.returncode == 1 and "Nothing of it was kept" in tried.stderr and len(tried.stderr.splitlines()) == 1
    assert list((tmp_path / "full").iterdir()) == []
    assert house.must("verify-journal").startswith("Whole: ")


@pytest.mark.once
def test_only_backups_of_ours_are_thrown_away_and_only_the_oldest(house, tmp_path):
    folder = tmp_path / "backups"
    (folder / "careline-notes").mkdir(parents=True)
    (folder / "careline-notes" / "mine.txt").write_text("keep")
    for day in ("20250101-030000", "20250102-030000"):
        (folder / f"careline-{day}").mkdir()
        (folder / f"careline-{day}" / "backup.json").write_text("{}")
    assert "1 older one thrown away" in house.must("backup", str(folder), "--keep", "2")
    names = sorted(p.name for p in folder.iterdir())
    assert names[0] == "careline-20250102-030000" and "careline-notes" in names and len(names) == 3


def test_a_restore_that_is_refused_leaves_nothing_behind(tmp_path):
    for name in ("none", "house"):
        (tmp_path / name).mkdir()
    done = House(tmp_path / "house").run("restore", str(tmp_path / "none"))
    assert done.returncode == 2 and "is no backup" in one_line(done) and not list((tmp_path / "house").iterdir())
