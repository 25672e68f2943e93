"""Settings from the environment: what is given is used or refused in one line that says what to do; nothing is dropped."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def careline(home: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CARELINE_", "DJANGO_"))}
    own = {"CARELINE_HOME": str(home), "PYTHONPATH": str(ROOT), **{f"CARELINE_{k}": v for k, v in variables.items()}}
    return subprocess.run([sys.executable, *words], env=kept | own, cwd=home, capture_output=True, text=True, timeout=60)


def read(home: Path, names: str, **variables: str) -> list:
    """These settings as they are with these variables."""
    done = careline(home, "-c", f"import json; from careline.settings import *; print(json.dumps([{names}], default=str))", **variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_tls_to_the_database_reaches_the_driver(tmp_path):
    url = "postgresql://desk:long%20and%20secret@db.example.com:5433/careline?sslmode=verify-full&sslrootcert=/etc/ca.pem"
    (found,) = read(tmp_path, "DATABASES['default']", DATABASE_URL=url)
    assert found["OPTIONS"] == {"application_name": "careline", "sslmode": "verify-full", "sslrootcert": "/etc/ca.pem"}
    assert (found["HOST"], found["PORT"], found["PASSWORD"]) == ("db.example.com", "5433", "long and secret")


def test_a_socket_is_still_a_host(tmp_path):
    (found,) = read(tmp_path, "DATABASES['default']", DATABASE_URL="postgresql://desk@/careline?host=/run/postgresql")
    assert found["HOST"] == "/run/postgresql" and found["OPTIONS"] == {"application_name": "careline"}


@pytest.mark.parametrize(("variable", "value", "says"), [
    ("DATABASE_URL", "postgresql://desk@db/careline?sslmod=require", "sslmod "),
    ("DATABASE_URL", "postgresql://desk@db/careline?sslmode", "cannot be read"),
    ("DATABASE_URL", "postgresql://desk:a/b@db:x/careline", "CARELINE_DATABASE_URL"),
    ("DATABASE_URL", "mysql://desk@db/careline", "postgresql://"),
    ("IDLE_MINUTES", "half an hour", "whole number from 1"),
    ("IDLE_MINUTES", "0", "whole number from 1"),
    ("LOG_LEVEL", "verbose", "DEBUG, INFO, WARNING, ERROR, CRITICAL"),
    ("ZONE", "America/Chicagoo", "America/New_York"),
    ("PROXIES", "-1", "whole number from 0"),
    ("HSTS", "everything", "plain, subdomains, preload"),
])  # fmt: skip
def test_a_setting_that_cannot_be_used_is_one_line(tmp_path, variable, value, says):
    done = careline(tmp_path, "-m", "careline", "user", "list", **{variable: value})
    (line,) = done.stderr.strip().splitlines()
    assert done.returncode == 2 and line.startswith(f"careline: CARELINE_{variable} ") and says in line
    assert not list(tmp_path.iterdir()) or variable not in ("DATABASE_URL",) or not (tmp_path / "careline.sqlite3").exists()


def test_the_top_of_the_settings_lists_what_they_read():
    source = (ROOT / "careline" / "settings.py").read_text(encoding="utf-8")
    read_there = {f"CARELINE_{n}" for n in re.findall(r"\b(?:text|flag|number|one_of)\(\s*\"([A-Z_]+)\"", source)}
    read_there |= {f"CARELINE_{n.upper()}" for n in re.findall(r"\bsecret\(\"([a-z_]+)\"\)", source)}
    listed = set(re.findall(r"CARELINE_[A-Z_]+", source.split('"""')[1]))
    assert listed == read_there | {"CARELINE_ANCHORS", "CARELINE_TRACE"}


def test_a_database_of_several_servers_is_named_in_one_address(tmp_path):
    names = 'DATABASES["default"]["HOST"], DATABASES["default"]["PORT"], DATABASES["default"]["OPTIONS"].get("target_session_attrs")'
    assert read(tmp_path, names, DATABASE_URL="postgresql://desk:x@db1:5432,db2:5433/careline?target_session_attrs=read-write") == ["db1,db2", "5432,5433", "read-write"]
    assert read(tmp_path, names, DATABASE_URL="postgresql://desk@db/careline") == ["db", "", None]
    assert read(tmp_path, names, DATABASE_URL="postgresql://desk@/careline?host=/run/postgresql") == ["/run/postgresql", "", None]


def test_the_demos_name_stands_in_no_text_of_another_carrier(tmp_path):
    assert read(tmp_path, "CARRIER_NAME") == ["Your carrier"]
    assert read(tmp_path, "CARRIER_NAME", DEMO="1") == ["Fernline Wireless"]
    assert read(tmp_path, "CARRIER_NAME", DEMO="1", CARRIER="Northwind Mobile") == ["Northwind Mobile"]


def test_hsts_reaches_as_far_as_it_is_told(tmp_path):
    names = "SECURE_HSTS_SECONDS, SECURE_HSTS_INCLUDE_SUBDOMAINS, SECURE_HSTS_PRELOAD"
    assert read(tmp_path, names) == [0, False, False]
    assert read(tmp_path, names, TLS="1") == [31536000, False, False]
    assert read(tmp_path, names, TLS="1", HSTS="subdomains") == [31536000, True, False]
    assert read(tmp_path, names, TLS="1", HSTS="preload") == [31536000, True, True]


def test_the_address_in_texts_is_the_first_origin_or_the_first_host(tmp_path):
    assert read(tmp_path, "ADDRESS", HOSTS="desk.example.com", TLS="1") == ["https://desk.example.com"]
    assert read(tmp_path, "ADDRESS", ORIGINS="https://care.example.com/, https://b.example", HOSTS="x") == ["https://care.example.com"]


def test_nothing_that_people_read_points_outside_the_project():
    """Rules cite a regulation, a source in their own words, or their own id: never a page that is not here."""
    outside = re.compile(r"DESIGN|\.\./shared|shared facts")
    files = [p for p in (ROOT / "rulebook").rglob("*") if p.is_file()] + list((ROOT / "careline").rglob("*.py"))
    assert [p.name for p in files if outside.search(p.read_text(encoding="utf-8"))] == []
