"""What all tests stand on: settings for tests, cheap hashes, the people of the house, and databases that really commit.

The same tests run on SQLite (as it is) and on PostgreSQL (CARELINE_DATABASE_URL=postgresql://...). `db` wraps a test in
a transaction that is rolled back. A test that needs real commits, threads or processes asks for `committed_db`: a fresh
copy of a template database, never a flush (the append-only triggers forbid it, rightly).
"""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from django.conf import settings
from django.db import connection, connections
from django.test.utils import setup_databases
from hypothesis import settings as hypothesis

from careline.carriers import press
from careline.domain.rulebook import queries as rulebooks
from careline.foundation import pins
from tests import people

# A busy machine is no fault of what is tried: how long an example takes is measured by the benchmarks.
hypothesis.register_profile("suite", deadline=None)
hypothesis.load_profile("suite")

# pytest-django has loaded the settings by now; nothing of Django that copies a value out of them has run yet.
HOME = Path(tempfile.mkdtemp(prefix="careline-tests-"))
SECRETS = {"WEB_KEY": "web key of the tests", "JOURNAL_KEY": "journal key of the tests",
           "DIGEST_KEY": "digest key of the tests", "PEPPER": "pepper of the tests"}
settings.HOME = HOME
settings.STATIC_ROOT = HOME / "static"
settings.STATIC_ROOT.mkdir()
settings.STORAGES = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
settings.SECRET_KEY = SECRETS["WEB_KEY"]
settings.JOURNAL_KEY, settings.DIGEST_KEY = SECRETS["JOURNAL_KEY"].encode(), SECRETS["DIGEST_KEY"].encode()
settings.PEPPER = SECRETS["PEPPER"].encode()
settings.MESSENGER = settings.PAYMENTS = settings.NETWORK = settings.DEVICES = "sandbox"
settings.SECOND_FACTORS = False  # the people of these stories sign in with a password; `tests/doors/test_factors.py` asks for more
# Whether deeds that print are allowed is tried everywhere; what does print asks for the fixture `pango`.
NO_PANGO, press.missing = press.missing(), lambda: ""
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A law of one database is no test of the other: it is left out there, so that nothing skips where all is installed.
    What is the same with every database is tried once."""
    other = {"sqlite": "postgresql", "postgresql": "sqlite"}[connection.vendor]
    out = [
        item for item in items
        if item.get_closest_marker(f"only_{other}") or (other == "sqlite" and item.get_closest_marker("once"))
    ]  # fmt: skip
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in set(out)]


def pytest_sessionfinish() -> None:
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def cheap_pins() -> Iterator[None]:
    """Argon2 with the least that it takes: a PIN in a tenth of a millisecond instead of fifty."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pins, "hasher", lambda: cheap)
        yield


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    """Each test has a database of its own: the rulebook in force is asked afresh, and the sandbox twins of the outside
    world know no charge and no message of the test before (ids and keys start again)."""
    rulebooks.forget()
    shutil.rmtree(HOME / "sandbox", ignore_errors=True)


@pytest.fixture(scope="session")
def pango() -> None:
    """What is printed needs Pango, a system library. Where all must be installed, its absence is a fault and not a skip."""
    if NO_PANGO:
        say = f"{NO_PANGO} is missing, so nothing is printed here. On Debian: apt install {press.PACKAGES}"
        pytest.fail(say) if os.environ.get("CI") == "true" else pytest.skip(say)


@pytest.fixture
def house(db):
    """The rulebook in force and the people at the desk, by name."""
    return open_house()


def open_house() -> dict[str, Any]:
    people.open_the_rulebook()
    return {
        "tom": people.hire("tom", "Tom Reyes", "trainee"),
        "ana": people.hire("ana", "Ana Silva", "associate"),
        "ben": people.hire("ben", "Ben Carter", "associate"),
        "eva": people.hire("eva", "Eva Lindqvist", "expert"),
        "lena": people.hire("lena", "Lena Park", "lead"),
        "sam": people.hire("sam", "Sam Osei", "supervisor"),
        "ada": people.hire("ada", "Ada Brandt", "administrator"),
    }


# ---------------------------------------------------------------- databases that commit


def _create(name: str, template: str) -> None:
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')


def _drop(name: str) -> None:
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def django_db_modify_db_settings_xdist_suffix(django_db_modify_db_settings_xdist_suffix) -> None:
    """Each process of a parallel run has its own SQLite in memory anyway; pytest-django knows that of Django's own backend only."""
    if connection.vendor == "sqlite":
        connection.settings_dict["TEST"]["NAME"] = None


@pytest.fixture(scope="session")
def template_database(django_db_setup, django_db_blocker, tmp_path_factory) -> Iterator[str]:
    """The migrated test database, copied once for this process: a file (SQLite) or the name of a database."""
    with django_db_blocker.unblock():
        if not connection.introspection.table_names():  # no test of this selection asks for `db`
            setup_databases(verbosity=0, interactive=False, aliases={"default"})
        if connection.vendor == "sqlite":
            path = tmp_path_factory.mktemp("template") / "template.sqlite3"
            copy = sqlite3.connect(path)
            connection.connection.backup(copy)
            copy.close()
            yield str(path)
        else:
            connection.close()
            name = f"{connection.settings_dict['NAME']}_template"
            _create(name, connection.settings_dict["NAME"])
            yield name
            _drop(name)


_copies = itertools.count(1)


@pytest.fixture
def committed_db(template_database: str, django_db_blocker, tmp_path: Path) -> Iterator[str]:
    """A database of this test's own that commits: threads and other processes see it. Yields its file or name.

    Not together with `db` (which holds a transaction open on the shared database).
    """
    before = connections["default"]
    assert not before.in_atomic_block, "committed_db and db do not go together"
    known = connections.settings["default"]
    name_before, options_before = known["NAME"], known["OPTIONS"]
    with django_db_blocker.unblock():
        if before.vendor == "sqlite":
            name = str(tmp_path / "careline.sqlite3")
            shutil.copyfile(template_database, name)
            known["OPTIONS"] = {**options_before, "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"}
        else:
            name = f"{template_database}_{next(_copies)}"
            _create(name, template_database)
        known["NAME"] = name
        connections["default"] = connections.create_connection("default")
        connections["default"].ensure_connection()  # SQLite goes over to WAL once, before threads race for it
        rulebooks.forget()
        try:
            yield name
        finally:
            connections["default"].close()
            connections["default"] = before
            known["NAME"], known["OPTIONS"] = name_before, options_before
            rulebooks.forget()
            if before.vendor != "sqlite":
                _drop(name)


@pytest.fixture
def committed_house(committed_db) -> dict[str, Any]:
    """The people at the desk, in a database that commits."""
    return open_house()


@pytest.fixture
def process_environment(committed_db: str) -> dict[str, str]:
    """The environment in which another process finds this test's database and secrets."""
    found = {k: v for k, v in os.environ.items() if k != "CARELINE_DATABASE_URL"}
    found |= {f"CARELINE_{k}": v for k, v in SECRETS.items()} | {"DJANGO_SETTINGS_MODULE": "careline.settings"}
    found |= {f"CARELINE_{port}": "sandbox" for port in ("MESSENGER", "PAYMENTS", "NETWORK", "DEVICES")}
    if connection.vendor == "sqlite":
        return found | {"CARELINE_HOME": str(Path(committed_db).parent)}
    d = connection.settings_dict
    url = f"postgresql://{d['USER']}:{d['PASSWORD']}@{d['HOST']}:{d['PORT']}/{committed_db}"
    return found | {"CARELINE_HOME": str(HOME), "CARELINE_DATABASE_URL": url}


def race(*deeds: Callable[[], Any]) -> list[Any]:
    """Run the deeds at once, each in a thread with a connection of its own. Returns their results in order; raises the
    first exception of any of them."""
    start = threading.Barrier(len(deeds))
    results: list[Any] = [None] * len(deeds)
    faults: list[BaseException] = []

    def run(n: int, deed: Callable[[], Any]) -> None:
        try:
            start.wait(30)
            results[n] = deed()
        except BaseException as fault:
            faults.append(fault)
        finally:
            connections["default"].close()

    threads = [threading.Thread(target=run, args=(n, d), daemon=True) for n, d in enumerate(deeds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a deed never came back: a deadlock"
    if faults:
        raise faults[0]
    return results


@pytest.fixture
def racing() -> Callable[..., list[Any]]:
    return race
