"""Twins of the outside systems for a desk that has none yet. They keep what they know in files of their own, outside the
database, as a real provider would; the demo shows the messages on a page."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import Any

from django.conf import settings

from careline.domain.ledger.ports import Answer

# What the twin of the payment provider answers, by the end of a saved method's token.
DECLINES = {"declined": "The card was declined.", "expired": "The card has expired.", "funds": "Insufficient funds."}


def _folder() -> Path:
    folder = Path(settings.HOME) / "sandbox"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _append_once(path: Path, row: dict[str, Any]) -> dict[str, Any]:
    """Append a row unless one with its key is there; returns the one that is kept."""
    with open(path, "a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        for line in file:
            held = json.loads(line)
            if held["key"] == row["key"]:
                return held
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return row


class SandboxMessenger:
    """Writes each message to `sandbox/messages.jsonl`."""

    @property
    def path(self) -> Path:
        return _folder() / "messages.jsonl"

    def send(self, *, key: str, channel: str, to: str, body: str, topic: str) -> None:
        _append_once(
            self.path, {"key": key, "at": time.time(), "channel": channel, "to": to, "body": body, "topic": topic}
        )

    def sent(self, most: int = 50) -> list[dict[str, Any]]:
        """The newest messages first."""
        return _lines(self.path)[-most:][::-1]


class SandboxPayments:
    """Takes every charge but those whose token ends in a word of `DECLINES`; a token that ends in `slow` loses the
    answer on the way although the money was taken, as providers do on a bad day."""

    @property
    def path(self) -> Path:
        return _folder() / "charges.jsonl"

    def charge(self, *, key: str, token: str, amount_minor: int, currency: str) -> Answer:
        word = token.rsplit("-", 1)[-1]
        reason = DECLINES.get(word, "")
        row = _append_once(
            self.path,
            {
                "key": key,
                "at": time.time(),
                "amount_minor": amount_minor,
                "currency": currency,
                "taken": not reason,
                "reason": reason,
                "reference": f"sbx-{key[-12:]}",
            },
        )
        if word == "slow":
            return Answer(None, "The payment provider did not answer in time.")
        return Answer(row["taken"], row["reason"], row["reference"])

    def ask(self, *, key: str) -> Answer:
        for row in _lines(self.path):
            if row["key"] == key:
                return Answer(row["taken"], row["reason"], row["reference"])
        return Answer(False, "The provider never heard of this charge.")
