"""Signed-in associates who work real contacts at once, over loopback, on both databases: what each thing takes them, and what gives first.

    .venv/bin/python benchmarks/associates.py                        20, then 200, then 200 in more and more of a hurry
    .venv/bin/python benchmarks/associates.py --accounts 1000000 --home FOLDER      the same over a large carrier on SQLite, kept there

The carrier is the demo with the set of benchmarks/carrier.py on top, served by `careline serve` as an operator starts it on this machine,
worker and all. Each associate has a connection and a session, as a browser has; they find the account by its number, start the contact, type the
PIN, and then explain the bill, search for the cause of a trouble, or look at the money, write a note, grant a credit of a dollar where it was
a bill, end and wrap up. Between two steps they think and talk, so long as is said, 50 to 150 % of it; their page asks meanwhile what its
template asks (the home page every 1.5 s who rings). The client runs on the same cores: its CPU is told.

Stages end as soon as one page or deed in a hundred takes a second. What gives first is what is full then: the CPU of the web processes (of all
cores there are), or the wait for a database that has one writer.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import limits  # noqa: E402
from benchmarks.both import on_both  # noqa: E402
from benchmarks.desk import cpu_of, free_port, reach  # noqa: E402
from benchmarks.grants import at  # noqa: E402

STAGES = ((20, 20.0), (200, 20.0), (200, 10.0), (200, 5.0), (200, 2.5), (200, 1.25))  # associates, seconds between two steps
WARM, LASTS = 15.0, 45.0  # seconds of a stage that do not count, and that do
PIN = "4711"
TOO_LONG = 1000.0  # ms that one in a hundred may take before we say that it gives
WORDS = ("my internet is very slow", "I have no service since this morning", "my texts do not go out")
GUIDES = ("mobile_data", "no_service", "messages")
KINDS = ("page", "deed", "pin", "search")  # what an associate waits for; what the page asks by itself is counted apart
FORM = re.compile(r"<form\b[^>]*?\baction=\"([^\"]+)\"[^>]*>(.*?)</form>", re.S)
FIELD = re.compile(r"<input\b[^>]*>")
SELECT = re.compile(r"<select\b[^>]*\bname=\"([^\"]+)\"[^>]*>(.*?)</select>", re.S)
BUTTON = re.compile(r"<button\b[^>]*>")
PART = re.compile(r"\b(name|value|type)=\"([^\"]*)\"")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--home", help="folder of the SQLite carrier, kept")
    parser.add_argument("--sqlite", action="store_true", help="SQLite only")
    parser.add_argument("--here", action="store_true", help="only the database that CARELINE_DATABASE_URL names (default: SQLite)")
    given = parser.parse_args()
    if given.here:
        with tempfile.TemporaryDirectory(prefix="careline-bench-") as folder:
            measure_here(given.accounts, given.home or folder)
        return
    print(f"{given.accounts:,} accounts, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the start\n")
    print("| database | associates | s between steps | requests/s | pages p50 | p99 | deeds p50 | p99 | PIN p50 | p99 | search p50 | p99 | asked meanwhile p99 | web CPU | database CPU | client CPU | contacts an hour each |"
          "\n| --- |" + " --: |" * 16, flush=True)  # fmt: skip
    on_both(__file__, ["--accounts", str(given.accounts)], on_sqlite=["--home", given.home] if given.home else [], postgresql=not given.sqlite)


def measure_here(accounts: int, home: str) -> None:
    os.environ |= {"CARELINE_HOME": home, "CARELINE_DEMO": "1", "DJANGO_SETTINGS_MODULE": "careline.settings", "PYTHONPATH": str(ROOT)}
    quiet = {"cwd": ROOT, "stdout": subprocess.DEVNULL}
    if not (Path(home) / "secrets").exists():
        subprocess.run([sys.executable, "-m", "careline", "demo", "--no-serve"], check=True, **quiet)
    subprocess.run([sys.executable, str(ROOT / "benchmarks" / "carrier.py"), str(accounts)], check=True, stderr=subprocess.DEVNULL, **quiet)
    import django

    django.setup()
    from django.conf import settings
    from django.db import connection

    settings.ALLOWED_HOSTS = ["*"]
    limits.lift()
    cookies = [signed_in(n) for n in range(max(n for n, _ in STAGES))]
    numbers = callers()
    database = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[connection.vendor]
    connection.close()
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "careline", "serve", "--port", str(port)], **quiet)
    try:
        reach(port).close()
        for count, pause in STAGES:
            floor = Floor(port, cookies[:count], numbers, pause)
            try:
                row = asyncio.run(floor.work(server.pid))
            except* Stuck as stuck:
                sys.exit(str(stuck.exceptions[0]))
            print(f"| {database} | {count} | {pause:g} | {row} |", flush=True)
            if floor.gives:
                break
    finally:
        server.terminate()
        server.wait(15)


def signed_in(n: int) -> str:
    """The session of associate number `n`, hired if need be."""
    from django.conf import settings
    from django.test import Client

    from careline.domain.staff.models import Staff
    from tests import people

    name = f"bench{n}"
    client = Client()
    client.force_login(Staff.objects.filter(username=name).first() or people.hire(name, f"Associate {n}", "associate"))
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


def callers() -> list[str]:
    """Numbers of the set, spread over all of it, each account with the same PIN and no contact open."""
    from django.conf import settings
    from django.utils import timezone

    from benchmarks.carrier import MADE
    from careline.domain.contacts.models import Contact
    from careline.domain.customers.models import Line, Pin
    from careline.domain.diagnosis.models import Walk
    from careline.foundation import pins

    Contact.objects.exclude(state="closed").update(state="closed")
    searched = set(Walk.objects.filter(state="open").values_list("account_id", flat=True))  # by an earlier run on the same carrier
    rows = [row for row in Line.objects.filter(account__source_key__startswith=MADE).order_by("pk").values_list("account_id", "msisdn") if row[0] not in searched]
    chosen = rows[:: max(1, len(rows) // 8000)]
    there = set(Pin.objects.values_list("account_id", flat=True))
    one, long_ago = pins.hashed(PIN, settings.PEPPER), timezone.now() - timedelta(days=400)
    Pin.objects.bulk_create([Pin(account_id=a, hash=one, set_at=long_ago) for a, _ in chosen if a not in there], batch_size=500)
    numbers = [number for _, number in chosen]
    random.Random(7).shuffle(numbers)
    return numbers


class Floor:
    """Associates at work on one desk for one stage."""

    def __init__(self, port: int, cookies: list[str], numbers: list[str], pause: float) -> None:
        self.port, self.cookies, self.pause = port, cookies, pause
        self.numbers = numbers
        self.took: dict[str, list[float]] = defaultdict(list)
        self.contacts, self.counting, self.until, self.gives = 0, False, 0.0, False

    async def work(self, server: int) -> str:
        began = time.monotonic()
        self.until = began + WARM + LASTS
        async with asyncio.TaskGroup() as people:
            for n, cookie in enumerate(self.cookies):
                people.create_task(Associate(self, n, cookie).day())
            await asyncio.sleep(WARM)
            self.counting = True
            web, client, served = cpu_of(server), time.process_time(), database_cpu()
            await asyncio.sleep(LASTS)
            self.counting = False
            web, client, served = cpu_of(server) - web, time.process_time() - client, database_cpu() - served
        all_of = [t for kind in KINDS for t in self.took[kind]]
        self.gives = at(all_of, 0.99) > TOO_LONG
        times = " | ".join(f"{at(self.took[kind], 0.5):.0f} | {at(self.took[kind], 0.99):.0f}" for kind in KINDS)
        share = [f"{100 * part / LASTS / (os.cpu_count() or 1):.0f} %" for part in (web, served, client)]
        return f"{sum(map(len, self.took.values())) / LASTS:.0f} | {times} | {at(self.took['asked'], 0.99):.0f} | {' | '.join(share)} | {self.contacts * 3600 / LASTS / len(self.cookies):.1f}"


class Stuck(Exception):
    """An associate could not go on: what the benchmark would measure then is no work."""


class Associate:
    def __init__(self, floor: Floor, n: int, cookie: str) -> None:
        self.floor, self.n, self.dice = floor, n, random.Random(n)
        self.cookies = dict([cookie.split("=", 1)])
        self.link: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.where, self.page = "/", ""

    async def day(self) -> None:
        await asyncio.sleep(self.dice.random() * min(self.floor.pause, WARM))
        await self.get("/")
        while time.monotonic() < self.floor.until:
            await self.contact()
        if self.link:
            self.link[1].close()

    async def contact(self) -> None:
        number = self.floor.numbers.pop()
        await self.think(at_home=True)
        await self.get(f"/find?q={quote(number)}")
        await self.think()
        await self.post("/start")
        here = self.where
        await self.think()
        await self.post(f"{here}do/contacts.check_pin", "pin", pin=PIN)
        await self.think()
        why = self.n % 3
        if why == 0:
            await self.get(self.link_of(r'data-key="x"'))
            await self.think()
            await self.get(f"{here}?act=credits.grant")
            await self.think()
            await self.post(f"{here}do/credits.grant", reason="goodwill", amount="1.00", words="For the trouble")
        elif why == 1:
            await self.search(here)
        else:
            await self.get(f"{here}money/")
            await self.think()
            await self.get(f"{here}past-due/")
        await self.think()
        await self.get(f"{here}?act=contacts.note")
        await self.post(f"{here}do/contacts.note", words="Called about the bill; all is explained.")
        await self.think()
        await self.get(f"{here}?act=contacts.end")
        await self.post(f"{here}do/contacts.end")
        await self.think()
        await self.post(f"{here}do/contacts.wrap_up", summary="Explained.", disposition="resolved", root_cause="none")
        self.floor.contacts += self.floor.counting

    async def search(self, here: str) -> None:
        """Find the cause: the customer's words, then three steps answered at random, and left."""
        await self.get(self.link_of(r'data-key="f"'))
        await self.think()
        await self.post(f"{here}do/diagnosis.start", words=WORDS[self.n % len(WORDS)])
        await self.think()
        await self.post(f"{here}do/diagnosis.start", "search", guide=GUIDES[self.n % len(WORDS)], begin="on")
        for _ in range(3):
            if f"{here}do/diagnosis.answer" not in self.page or time.monotonic() > self.floor.until:
                break
            await self.think()
            await self.post(f"{here}do/diagnosis.answer", "search", by_button=True)
        if f"{here}do/diagnosis.leave" in self.page:
            await self.post(f"{here}do/diagnosis.leave")

    async def think(self, at_home: bool = False) -> None:
        """Talk and think; once the stage is over they only hurry to the end of their contact."""
        end = min(time.monotonic() + self.floor.pause * (0.5 + self.dice.random()), self.floor.until)
        while at_home and end - time.monotonic() > 1.5:
            await asyncio.sleep(1.5)
            await self.ask("GET", "/ringing", "asked")
        await asyncio.sleep(max(0.0, end - time.monotonic()))

    async def get(self, address: str) -> None:
        self.where, self.page = address.partition("?")[0], await self.ask("GET", address, "page")

    async def post(self, action: str, kind: str = "deed", by_button: bool = False, **typed: str) -> None:
        """Post the page's form with that action as a browser does: its hidden fields, what is chosen, and what is typed; then the page again."""
        found = next((body for to, body in FORM.findall(self.page) if html.unescape(to) == action), None)
        if found is None:
            raise Stuck(f"No form {action} on {self.where} for associate {self.n}: {self.said()}")
        fields = [{"checked": " checked" in tag, **dict(PART.findall(tag))} for tag in FIELD.findall(found)]
        data = {f["name"]: html.unescape(f.get("value", "")) for f in fields if "name" in f and (f.get("type") not in ("radio", "checkbox") or f["checked"])}
        for name, options in SELECT.findall(found):
            chosen = re.search(r'value="([^"]*)" selected', options) or re.search(r'value="([^"]*)"', options)
            data[name] = html.unescape(chosen[1]) if chosen else ""
        radios = defaultdict(list)
        for f in fields:
            if f.get("type") == "radio" and f["name"] not in data:
                radios[f["name"]].append(f["value"])
        if f"complaint-{typed.get('guide')}" in radios:
            typed[f"complaint-{typed['guide']}"] = radios[f"complaint-{typed['guide']}"][0]
        if by_button:  # what the customer says is drawn
            data |= {name: self.dice.choice(values) for name, values in radios.items()}
            buttons = [parts for parts in (dict(PART.findall(tag)) for tag in BUTTON.findall(found)) if parts.get("name") and "value" in parts]
            if buttons:
                pressed = self.dice.choice(buttons)
                data[pressed["name"]] = html.unescape(pressed["value"])
        self.page = await self.ask("POST", action, kind, urlencode(data | typed))

    def link_of(self, mark: str) -> str:
        tag = re.search(rf"<a\b[^>]*{mark}[^>]*>", self.page)
        if tag is None:
            raise Stuck(f"No link {mark} on {self.where}: {self.said()}")
        return html.unescape(re.search(r'href="([^"]*)"', tag[0])[1])  # type: ignore[index]

    def said(self) -> str:
        words = re.search(r'class="[^"]*(?:form-error|refusal|error)[^"]*"[^>]*>(.{0,200})', self.page, re.S)
        return re.sub(r"<[^>]+>|\s+", " ", words[1]) if words else self.page[:200]

    async def ask(self, method: str, address: str, kind: str, body: str = "") -> str:
        """One request and, after a deed, the page that it leads to; how long it took until that was there is kept."""
        began = time.perf_counter()
        status, headers, text = await self.exchange(method, address, body)
        while status in (302, 303):
            address = headers["location"]
            status, headers, text = await self.exchange("GET", address, "")
            self.where = urlsplit(address).path
        if status not in (200, 204):
            raise Stuck(f"{method} {address} answered {status}: {text[:300]}" if status >= 500 or not text else f"{method} {address} answered {status}: {self.said_in(text)}")
        if self.floor.counting:
            self.floor.took[kind].append((time.perf_counter() - began) * 1000)
        return text

    def said_in(self, text: str) -> str:
        self.page = text
        return self.said()

    async def answered(self, asked: bytes) -> tuple[asyncio.StreamReader, list[str]]:
        if self.link is None:
            self.link = await asyncio.open_connection("127.0.0.1", self.floor.port)
        reader, writer = self.link
        writer.write(asked)
        return reader, (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")

    async def exchange(self, method: str, address: str, body: str) -> tuple[int, dict[str, str], str]:
        lines = [f"{method} {address} HTTP/1.1", "Host: localhost", "Cookie: " + "; ".join(f"{k}={v}" for k, v in self.cookies.items()), f"Content-Length: {len(body)}"]
        if body:
            lines += ["Content-Type: application/x-www-form-urlencoded", "Origin: http://localhost"]
        asked = ("\r\n".join(lines) + "\r\n\r\n" + body).encode()
        try:
            reader, head = await self.answered(asked)
        except (asyncio.IncompleteReadError, ConnectionError):  # the server closed what was quiet for long: as a browser does, once more
            self.link = None
            reader, head = await self.answered(asked)
        headers: dict[str, str] = {}
        for name, _, value in (line.partition(":") for line in head[1:] if line):
            headers[name.lower()] = value = value.strip()
            if name.lower() == "set-cookie":
                key, _, what = value.partition(";")[0].partition("=")
                self.cookies[key] = what
        if headers.get("transfer-encoding") == "chunked":
            parts = []
            while size := int(await reader.readline(), 16):
                parts.append(await reader.readexactly(size))
                await reader.readline()
            await reader.readline()
            text = b"".join(parts)
        else:
            text = await reader.readexactly(int(headers.get("content-length", "0")))
        return int(head[0].split()[1]), headers, text.decode()


def database_cpu() -> float:
    """Seconds of CPU of all PostgreSQL processes on this machine: on a benchmark's, those of its throw-away server; 0 on SQLite."""
    if "CARELINE_DATABASE_URL" not in os.environ:
        return 0.0
    names = [p for p in Path("/proc").iterdir() if p.name.isdecimal() and (p / "comm").exists()]
    total = 0
    for process in names:
        try:
            if (process / "comm").read_text().strip() == "postgres":
                total += int((process / "schedstat").read_text().split()[0])
        except OSError:  # it ended meanwhile
            continue
    return total / 1e9


if __name__ == "__main__":
    main()
