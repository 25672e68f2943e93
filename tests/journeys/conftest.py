"""A real browser on a real desk: granian and the worker serve a house that each journey finds as it was made.

The desk is started once for this process, since a start costs more than most journeys; between two journeys its database goes back
to what it was, by SQLite's own backup, while it runs. Nothing of a house may be kept in a process that another would need, so a desk
that minds is a fault.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or ""
PASSWORD = "a long sentence for tests"
PATIENCE = 120  # seconds: a desk that does not come is told, a busy machine that takes long is no fault


def pytest_collection_modifyitems(config, items):
    for item in items:
        if "journeys" in str(item.fspath):
            item.add_marker(pytest.mark.journey)
            if not CHROMIUM:
                if os.environ.get("CI"):
                    raise pytest.UsageError("CI needs Chromium for the journeys: .ci/run installs it.")
                item.add_marker(pytest.mark.skip(reason="no Chromium here: install it (Debian: apt install chromium) or name it in CHROMIUM"))


def _environment(home: Path, port: int = 0) -> dict[str, str]:
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith("CARELINE_")},
        "CARELINE_HOME": str(home),
        "CARELINE_DEMO": "1",
        "DJANGO_SETTINGS_MODULE": "careline.settings",
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture(scope="session")
def house_of_journeys(template_database, tmp_path_factory):
    """A home folder with a migrated database, the rulebook, the people at the desk and their customers."""
    home = tmp_path_factory.mktemp("house")
    if Path(template_database).is_file():  # not when the other tests run on PostgreSQL
        shutil.copyfile(template_database, home / "careline.sqlite3")
    made = subprocess.run(
        [sys.executable, "-c", "from tests.journeys import scene; scene.make()"],
        cwd=ROOT, env=_environment(home), capture_output=True, text=True, timeout=PATIENCE,
    )
    assert made.returncode == 0, made.stderr[-3000:]
    return home


class Carrier:
    """The running desk of the journeys."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.began = sqlite3.connect(":memory:")
        with self._database() as house:
            house.backup(self.began)
        environment = _environment(home)
        self.server = subprocess.Popen(
            [sys.executable, "-m", "careline", "serve", "--port", str(self.port), "--workers", "1"],
            cwd=ROOT, env=environment, stdout=open(home / "serve.log", "w"), stderr=subprocess.STDOUT,  # noqa: SIM115
        )
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                urllib.request.urlopen(self.url + "/health", timeout=5)
                return
            except OSError:
                if self.server.poll() is not None:
                    break
                time.sleep(0.1)
        raise AssertionError((home / "serve.log").read_text()[-3000:])

    def _database(self) -> contextlib.closing[sqlite3.Connection]:
        return contextlib.closing(sqlite3.connect(self.home / "careline.sqlite3", timeout=20))

    def messages(self) -> list[dict]:
        import json

        path = self.home / "sandbox" / "messages.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_for_message(self, topic: str, seconds: float = 4) -> dict:
        end = time.time() + seconds
        while time.time() < end:
            found = [m for m in self.messages() if m["topic"] == topic]
            if found:
                return found[-1]
            time.sleep(0.1)
        raise AssertionError(f"no {topic} within {seconds} s: {self.messages()}")

    def begin_anew(self) -> None:
        """Once the worker has sent what this journey left behind, the house is as it was made."""
        due = "SELECT COUNT(*) FROM journal_outbox WHERE state = 'queued' AND not_before <= datetime('now')"
        with self._database() as house:
            end = time.time() + 10
            while time.time() < end and house.execute(due).fetchone()[0]:
                time.sleep(0.1)
            self.began.backup(house)
        shutil.rmtree(self.home / "sandbox", ignore_errors=True)
        (self.home / "anchors.txt").unlink(missing_ok=True)

    def stop(self) -> None:
        self.server.terminate()
        try:
            self.server.wait(10)
        except subprocess.TimeoutExpired:
            self.server.kill()


@pytest.fixture(scope="session")
def desk(house_of_journeys):
    running = Carrier(house_of_journeys)
    yield running
    running.stop()


@pytest.fixture
def carrier(desk):
    """The desk, as no journey has touched it yet."""
    yield desk
    desk.begin_anew()


@pytest.fixture(scope="session")
def chromium():
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)
    # Playwright's own event loop stays in this thread for the session; Django's tests in the same process never await.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture
def sit_down(chromium, carrier):
    """`sit_down("ana")`: a browser of their own, signed in, failing the test on any script error."""
    contexts, faults = [], []

    def at_the_desk(username: str, **options):
        context = chromium.new_context(viewport={"width": 1440, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
        page.on("console", lambda m: faults.append(f"{page.url}: {m.text}") if m.type == "error" and "status of" not in m.text else None)
        page.goto(carrier.url + "/sign-in")
        page.fill("[name=login]", username)
        page.fill("[name=password]", PASSWORD)
        page.click("button.primary")
        page.wait_for_url(lambda url: "sign-in" not in url)
        return page

    yield at_the_desk
    for context in contexts:
        context.close()
    assert not faults, faults
