"""What `deploy/` starts, started: each service of the compose file by its own command and environment, without containers, and the units as
systemd reads them."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

from careline.carriers import PORTS
from tests.doors.test_commands import _server, free_port, furnished, get, wait_for

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


def said(value: str) -> str:
    """A value as compose hands it on: defaults filled in, `$$` a dollar."""
    return re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", value).replace("$$", "$")


class Containers:
    """The services of the compose file in a folder of their own: its paths and ports are this machine's, all else is as it stands there."""

    def __init__(self, home: Path, url: str) -> None:
        self.home, self.port, self.metrics = home, free_port(), free_port()
        self.services: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yml").read_text(encoding="utf-8"))["services"]
        self.own = {"CARELINE_HOME": str(home)} | ({"CARELINE_DATABASE_URL": url} if url else {})

    def environment(self, name: str) -> dict[str, str]:
        """That of one service: what stands there, but for where its database and its home are."""
        outside = {k: v for k, v in os.environ.items() if not k.startswith(("CARELINE_", "DJANGO_", "GRANIAN_", "PG"))}
        given = {k: said(v) for k, v in self.services[name]["environment"].items()}
        assert given.pop("CARELINE_DATABASE_URL").endswith("@database/careline")
        return outside | given | self.own

    def timeouts(self) -> dict[str, str]:
        """What the database service sets for everybody."""
        return dict(word.split("=") for word in self.services["database"]["command"] if "=" in word)

    def words(self, command: list[str]) -> list[str]:
        here = {"8000": str(self.port), "0.0.0.0:9464": f"127.0.0.1:{self.metrics}", "0.0.0.0": "127.0.0.1"}
        return [here.get(word, said(word).replace(":8000", f":{self.port}").replace("/backup", str(self.home / "backup"))) for word in command]

    def run(self, name: str, command: list[str] | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        """A service's own command, or another one where it runs."""
        words = self.words(self.services[name]["command"] if command is None else command)
        return subprocess.run(words, cwd=ROOT, env=self.environment(name) | more, text=True, capture_output=True, timeout=300)


@pytest.fixture
def containers(tmp_path):
    home = tmp_path / "home"
    (home / "backup").mkdir(parents=True)
    with furnished(home) as made:
        yield Containers(home, made.url)


def test_the_desk_of_the_compose_file_is_healthy_once_it_is_migrated_and_stops_in_time(containers):
    desk = containers.services["desk"]
    healthy = desk["healthcheck"]["test"][1:]
    assert containers.run("desk").returncode == 1, "nothing is migrated: it does not serve"
    migrated = containers.run("migrate")
    assert migrated.returncode == 0, migrated.stderr
    assert containers.run("desk", healthy).returncode != 0
    process = subprocess.Popen(containers.words(desk["command"]), cwd=ROOT, env=containers.environment("desk"), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        wait_for(lambda: containers.run("desk", healthy).returncode == 0, int(desk["healthcheck"]["start_period"].rstrip("s")))
        wait_for(lambda: get(containers.metrics, "/metrics") == 200)
        plain = http.client.HTTPConnection("127.0.0.1", containers.port, timeout=5)
        plain.request("GET", "/sign-in")
        assert (plain.getresponse().status, get(containers.port, "/health")) == (301, 200), "people come by TLS, what watches it need not"
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=int(desk["stop_grace_period"].rstrip("s")))
    finally:
        process.kill()
    assert process.returncode == 0 and "CARELINE_MESSENGER" in err, "what is not named is said"


def test_the_night_of_the_compose_file_waits_for_its_hour_and_leaves_a_backup_that_is_proven(containers, tmp_path):
    """`sleep` of this test says at once that the night has come, and the second time that the container stops."""
    assert containers.run("migrate").returncode == 0
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "sleep").write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/slept\n[ "$(wc -l < {tmp_path}/slept)" = 1 ]\n')
    (tools / "sleep").chmod(0o755)
    done = containers.run("nightly", PATH=f"{tools}:{os.environ['PATH']}")
    slept = [int(n) for n in (tmp_path / "slept").read_text().split()]
    assert len(slept) == 2 and all(0 < n <= 49 * 3600 for n in slept), done.stderr
    (folder,) = (containers.home / "backup").iterdir()
    assert folder.name.startswith("careline-") and "Whole:" in done.stdout, done.stderr


@pytest.mark.only_postgresql
def test_only_the_services_that_take_long_lift_the_timeouts_of_the_database(containers):
    """Each is asked in its own environment, on a database that sets for everybody what the compose file's does."""
    name = urllib.parse.urlsplit(containers.own["CARELINE_DATABASE_URL"]).path[1:]
    set_ = containers.timeouts()
    assert {"statement_timeout", "lock_timeout"} <= set_.keys()
    for key, value in set_.items():
        _server(f'ALTER DATABASE "{name}" SET {key} = \'{value}\'')
    asks = ("import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'careline.settings'; import django; django.setup()\nfrom django.db import connection as c; k = c.cursor()\n"
            "for name in ('statement_timeout', 'lock_timeout'):\n    k.execute(f'SHOW {name}'); print(k.fetchone()[0])")  # fmt: skip
    found = {}
    for service in ("migrate", "desk", "nightly"):
        done = containers.run(service, [sys.executable, "-c", asks])
        assert done.returncode == 0, done.stderr
        found[service] = done.stdout.split()
    assert found == {"migrate": ["0", "0"], "desk": ["30s", "5s"], "nightly": ["0", "5s"]}


@pytest.mark.once
def test_what_the_image_is_made_of_is_there_and_its_user_owns_what_it_writes():
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    home = re.search(r"^ENV CARELINE_HOME=(\S+)$", text, re.M)
    assert home and f"-m 700 {home[1]} /backup" in text and re.search(r"useradd .*--uid \d+ .* careline", text) and "\nUSER careline\n" in text
    assert text.index("COPY . .") < text.index("RUN make setup") < text.index("USER careline")
    volumes = {v.partition(":")[2] for s in Containers(Path("/nowhere"), "").services.values() for v in s["volumes"]}
    assert {home[1], "/backup"} <= volumes, "whatever is written outlives the container"
    assert {".git", ".venv", "var"} <= set((ROOT / ".dockerignore").read_text(encoding="utf-8").split()), "no secret of a checkout is in it"
    python = re.search(r"^FROM python:(\d+\.\d+)-slim", text)
    assert python and f"--python-version {python[1]}" in (ROOT / "Makefile").read_text(encoding="utf-8"), "the lock is made for another Python"


@pytest.mark.once
def test_a_file_of_ones_own_settings_is_handed_to_every_service_but_the_database():
    for name, service in Containers(Path("/nowhere"), "").services.items():
        assert ("env_file" in service) == (name != "database"), name
    assert {f"CARELINE_{port}" for port in PORTS} <= set(re.findall(r"CARELINE_[A-Z]+", (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")))


@pytest.mark.once
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_reads_the_units_without_a_word(tmp_path):
    units = []
    for unit in sorted([*DEPLOY.glob("*.service"), *DEPLOY.glob("*.timer")]):
        (tmp_path / unit.name).write_text(unit.read_text(encoding="utf-8").replace("/opt/careline", str(ROOT)), encoding="utf-8")
        units.append(str(tmp_path / unit.name))
    done = subprocess.run(["systemd-analyze", "verify", *units], text=True, capture_output=True, timeout=60)
    mine = [line for line in (done.stdout + done.stderr).splitlines() if "careline" in line]
    assert (done.returncode, mine) == (0, []), done.stderr
    for timer in DEPLOY.glob("*.timer"):
        assert timer.with_suffix(".service").exists(), timer.name
        when = re.search(r"^OnCalendar=(.+)$", timer.read_text(encoding="utf-8"), re.M)
        assert when and subprocess.run(["systemd-analyze", "calendar", when[1]], capture_output=True, timeout=60).returncode == 0
