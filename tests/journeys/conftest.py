"""A real browser on a real desk: granian serves a house of its own, made once a worker and copied for each journey."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or ""
PASSWORD = "a long sentence for tests"



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
def house_of_journeys(tmp_path_factory):
    """A home folder with a migrated database, the rulebook, the people at the desk and their customers."""
    home = tmp_path_factory.mktemp("house")
    made = subprocess.run(
        [sys.executable, "-c", "from tests.journeys import scene; scene.make()"],
        cwd=ROOT, env=_environment(home), capture_output=True, text=True, timeout=120,
    )
    assert made.returncode == 0, made.stderr[-3000:]
    return home


class Carrier:
    """The running desk of one journey."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        environment = _environment(home)
        self.server = subprocess.Popen(
            [sys.executable, "-m", "careline", "serve", "--port", str(self.port), "--workers", "1"],
            cwd=ROOT, env=environment, stdout=open(home / "serve.log", "w"), stderr=subprocess.STDOUT,  # noqa: SIM115
        )
        for _ in range(150):
            try:
                urllib.request.urlopen(self.url + "/health", timeout=1)
                return
            except OSError:
                if self.server.poll() is not None:
                    break
                time.sleep(0.1)
        raise AssertionError((home / "serve.log").read_text()[-3000:])

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

    def stop(self) -> None:
        self.server.terminate()
        try:
            self.server.wait(10)
        except subprocess.TimeoutExpired:
            self.server.kill()


@pytest.fixture
def carrier(house_of_journeys, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(house_of_journeys, home)
    desk = Carrier(home)
    yield desk
    desk.stop()


@pytest.fixture(scope="session")
def chromium():
    from playwright.sync_api import sync_playwright

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
        page.set_default_timeout(8000)
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
