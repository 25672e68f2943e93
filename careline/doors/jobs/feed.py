"""The feed of changes: what is done on accounts here, told in order to a carrier's other systems, until they say that they have it.

CARELINE_FEED names an address or a folder. An address gets a POST of the next changes and answers 2xx; `{"acknowledged": n}` in the answer
says that only these were taken. A folder gets files `changes-<first>-<last>.jsonl` and takes the word of `careline feed --acknowledge`, or
of a number in the file `acknowledged` beside them. Whatever comes may come twice and is known by its number, which only grows; of one
account nothing is left out and nothing comes before what was done earlier.

Each body is signed as Standard Webhooks has it: HMAC-SHA256 of "<id>.<seconds>.<body>" under the key in secrets/feed_key, base64, after "v1,".
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import hmac
import json
import logging
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from django.conf import settings

from careline.domain.customers import queries as customers
from careline.domain.journal import operations as journal
from careline.domain.journal import queries as journal_queries
from careline.domain.journal import rules as journal_rules
from careline.doors.jobs.stop import Stop
from careline.settings import secret

log = logging.getLogger("careline.feed")
MANY = 100  # changes in one body
PATIENCE = 10.0  # seconds that an address has to answer
LONGEST = 300.0  # seconds between two tries of an address that does not take what it gets
ACKNOWLEDGED = "acknowledged"


def body(changes: list[journal_queries.Change]) -> list[dict[str, Any]]:
    """Changes as other systems read them: their own keys, our references, whole cents."""
    names = customers.names_outside([c.account_id for c in changes])
    return [
        {"n": c.n, "at": journal_rules.moment(c.at), "act": c.code, "account": names[c.account_id][0], "reference": names[c.account_id][1],
         "by": c.who, "say": c.say, "data": c.data}
        for c in changes
    ]  # fmt: skip


def signature(name: str, seconds: int, text: bytes) -> str:
    key = secret("feed_key").encode()
    return "v1," + base64.b64encode(hmac.new(key, f"{name}.{seconds}.".encode() + text, hashlib.sha256).digest()).decode()


class NotTaken(Exception):
    """The other side did not take what it got; why, in words for the log."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """What is signed for one address is not sent to another."""

    def redirect_request(self, *_: Any) -> None:
        return None


def post(address: str, changes: list[dict[str, Any]]) -> int:
    """Send changes to an address; the number through which it has them. Raises NotTaken."""
    text = json.dumps({"changes": changes}, ensure_ascii=False, separators=(",", ":")).encode()
    first, last, seconds = int(changes[0]["n"]), int(changes[-1]["n"]), int(time.time())
    name = f"changes-{first}-{last}"
    headers = {"Content-Type": "application/json", "webhook-id": name, "webhook-timestamp": str(seconds), "webhook-signature": signature(name, seconds, text)}
    asked = urllib.request.Request(address, text, headers)
    try:
        with urllib.request.build_opener(_NoRedirects).open(asked, timeout=PATIENCE) as answer:
            said = answer.read(10_000)
    except urllib.error.HTTPError as fault:
        raise NotTaken(f"it answered {fault.code}") from None
    except OSError as fault:
        raise NotTaken(type(fault).__name__) from None
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        return min(max(int(json.loads(said)["acknowledged"]), first - 1), last)
    return last


def put(folder: Path, changes: list[dict[str, Any]]) -> None:
    """Write changes to a file of their own with its signature beside it; whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"changes-{changes[0]['n']:012}-{changes[-1]['n']:012}.jsonl"
    text = "".join(json.dumps(c, ensure_ascii=False, separators=(",", ":")) + "\n" for c in changes).encode()
    seconds = int(time.time())
    (folder / f"{name}.signature").write_text(f"{seconds} {signature(name, seconds, text)}\n")
    part = folder / f".part-{name}"
    part.write_bytes(text)
    part.replace(folder / name)


def where() -> str | Path:
    """Where changes are told. Raises Stop when nobody says."""
    if not settings.FEED:
        raise Stop("Nobody listens: CARELINE_FEED names no address and no folder.", 2)
    return settings.FEED if settings.FEED.startswith(("https://", "http://")) else Path(settings.FEED)


_pause = {"until": 0.0, "seconds": 0.0}  # of this process, after an address did not take what it got


def tell() -> bool:
    """Number what was done, and tell the next changes. True: there is more. Nothing is held open while the other side is asked."""
    if not settings.FEED:
        return False
    if journal_queries.feed() is None:
        return journal.begin_feed()
    numbered = journal.number_changes()
    to = where()
    if isinstance(to, Path):
        return _tell_folder(to) or numbered > 0
    if time.monotonic() < _pause["until"]:
        return False
    _, heard = journal_queries.feed() or (0, 0)
    changes = body(journal_queries.changes_after(heard, MANY))
    if not changes:
        return numbered > 0
    try:
        through = post(to, changes)
    except NotTaken as why:
        _pause["seconds"] = min(max(_pause["seconds"] * 2, 5.0), LONGEST)
        _pause["until"] = time.monotonic() + _pause["seconds"]
        log.warning("changes from %s on were not taken: %s; next try in %.0f s", changes[0]["n"], why, _pause["seconds"])
        return False
    _pause["seconds"] = 0.0
    journal.heard(through=through)
    return len(changes) == MANY or through < changes[-1]["n"]


def _tell_folder(folder: Path) -> bool:
    with contextlib.suppress(OSError, ValueError):
        journal.heard(through=int((folder / ACKNOWLEDGED).read_text().strip()))
    _, heard = journal_queries.feed() or (0, 0)
    put_before = max([heard, *(int(p.stem.rpartition("-")[2]) for p in folder.glob("changes-*.jsonl"))])
    changes = body(journal_queries.changes_after(put_before, MANY))
    if changes:
        put(folder, changes)
    return len(changes) == MANY


def main(options: argparse.Namespace) -> int:
    """Say how far the feed is; or take an acknowledgement, or go back, by hand."""
    known = journal_queries.feed()
    if known is None:
        print("The feed has not begun: the worker begins it once CARELINE_FEED names an address or a folder.")
        return 0
    if options.acknowledge is not None or options.again is not None:
        asked = options.acknowledge if options.acknowledge is not None else options.again
        now = journal.heard(through=asked, again=options.again is not None)
        if now != asked:
            raise Stop(f"{asked} is not between the last acknowledged change, {known[1]}, and the newest, {known[0]}: nothing was changed." if now == known[1] else f"Only {now} changes are numbered; acknowledged through {now}.", 1)
        known = journal_queries.feed() or known
    print(f"{known[0]} changes, {known[1]} acknowledged, {known[0] - known[1]} waiting; told to {settings.FEED or 'nobody'}")
    return 0
