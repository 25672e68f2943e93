"""What the tests of the doors share: a clock that they turn, Maria Okafor's account, and a house that `careline migrate` made."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests import people
from tests.doors.test_access import Clock
from tests.doors.test_commands import SERVER, House, database, furnished


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def maria(house, clock):
    return people.open_account()


@pytest.fixture(scope="session")
def migrated(template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """What `careline migrate` makes, once a process: the tables are those that the other tests stand on, all else is its own work.
    `test_migrate_twice` begins with no table."""
    tables = House(tmp_path_factory.mktemp("tables"), database(template_database) if SERVER else "")
    if not SERVER:
        shutil.copyfile(template_database, tables.home / "careline.sqlite3")
    with furnished(tmp_path_factory.mktemp("migrated"), tables) as made:
        made.must("migrate")
        yield made
