"""Twins of the outside systems for a desk that has none yet. They keep what they know in files of their own, outside the
database, as a real provider would; the demo shows the messages on a page."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from careline.domain.activations import ports as network
from careline.domain.journal.ports import Attachment
from careline.domain.ledger.ports import Answer
from careline.foundation import sim

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


def _append(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows at the end; where several are about the same thing, the last one holds."""
    with open(path, "a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


class SandboxMessenger:
    """Writes each message to `sandbox/messages.jsonl`, and what is attached to `sandbox/attachments`, by its digest."""

    @property
    def path(self) -> Path:
        return _folder() / "messages.jsonl"

    def send(
        self, *, key: str, channel: str, to: str, body: str, topic: str, subject: str = "", attachments: Sequence[Attachment] = ()
    ) -> None:
        kept = [{"name": a.name, "media_type": a.media_type, "bytes": len(a.body), "digest": self._keep(a.body)} for a in attachments]
        mail = {"subject": subject, "attachments": kept} if subject or kept else {}
        _append_once(
            self.path, {"key": key, "at": time.time(), "channel": channel, "to": to, "body": body, "topic": topic, **mail}
        )

    def sent(self, most: int = 50) -> list[dict[str, Any]]:
        """The newest messages first."""
        return _lines(self.path)[-most:][::-1]

    def attached(self, digest: str) -> tuple[str, str, bytes] | None:
        """The name, the media type and the bytes of what some message had attached; None when no message did."""
        held = next((a for row in reversed(_lines(self.path)) for a in row.get("attachments", ()) if a["digest"] == digest), None)
        return (held["name"], held["media_type"], (_folder() / "attachments" / digest).read_bytes()) if held else None

    def _keep(self, body: bytes) -> str:
        digest = hashlib.sha256(body).hexdigest()
        folder = _folder() / "attachments"
        folder.mkdir(exist_ok=True)
        (folder / digest).write_bytes(body)
        return digest


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

    def refund(self, *, key: str, reference: str, amount_minor: int, currency: str) -> Answer:
        """Gives back what it took, at most as much in all; a payment that it never took, it refuses."""
        rows = _lines(self.path)
        taken = next((row for row in rows if row["reference"] == reference and row["taken"] and not row.get("of")), None)
        back = sum(row["amount_minor"] for row in rows if row.get("of") == reference and row["taken"] and row["key"] != key)
        reason = "" if taken and back + amount_minor <= taken["amount_minor"] else "The provider knows no such payment of that amount."
        row = _append_once(
            self.path,
            {"key": key, "at": time.time(), "amount_minor": amount_minor, "currency": currency, "taken": not reason, "reason": reason,
             "reference": f"sbx-{key[-12:]}", "of": reference},
        )  # fmt: skip
        return Answer(row["taken"], row["reason"], row["reference"])

    def ask(self, *, key: str) -> Answer:
        for row in _lines(self.path):
            if row["key"] == key:
                return Answer(row["taken"], row["reason"], row["reference"])
        return Answer(False, "The provider never heard of this charge.")

    def page(self, *, reference: str, token: str, amount_minor: int, currency: str) -> str:
        return f"{settings.ADDRESS}/pay/{token}"

    def paid(self, *, link: str, amount_minor: int) -> str:
        """Somebody paid on the page of a link; returns the payment's reference, the same for the same link."""
        row = {"key": f"link:{link}", "at": time.time(), "amount_minor": amount_minor, "currency": "USD", "taken": True, "reason": "", "reference": f"sbx-{link}"}
        return str(_append_once(self.path, row)["reference"])


# What the twin of the network does with an order:
#   refuse    it says no
#   lost      it carries the order out and the answer is lost on the way
#   vanish    the order never arrives, and nobody says so
#   silent    neither the order nor any question about it is ever answered
#   down      the connection breaks
#   slow      it takes two seconds more
# A number with one of these endings does it to every order; `script` does it to any number and kind.
NETWORK_ENDINGS = {
    "5550190": "refuse", "5550191": "lost", "5550192": "vanish", "5550193": "silent", "5550194": "down", "5550195": "slow",
}  # fmt: skip
REFUSALS = {"sim": "that SIM is not known", "device": "the device is on the block list", "port_out": "the number is held by the exchange", "suspend": "the line is being ported", "restore": "the SIM is not active", "data": "the counter is locked"}
SLOW_SECONDS = 2.0


def _profile_for(eid: str) -> str:
    """The ICCID of a profile for this device: as long as a card's, with its check digit."""
    body = f"8901260{int(hashlib.sha256(eid.encode()).hexdigest(), 16) % 10**11:011d}"
    return body + sim.luhn_digit(body)


def _no_answer(word: str) -> network.Answer:
    if word == "down":
        raise ConnectionError("the sandbox network is down")
    return network.Answer(None, "The network did not answer in time.")


class SandboxNetwork:
    """Carries every order out at once (after CARELINE_SANDBOX_MS), but for what `script` or the number's ending says.

    It remembers orders by their key and lines as it was told they stand; `provision` lets a line drift from the books,
    and a refresh puts it right.
    """

    @property
    def orders(self) -> Path:
        return _folder() / "orders.jsonl"

    @property
    def tries(self) -> Path:
        return _folder() / "orders-lost.jsonl"

    @property
    def lines(self) -> Path:
        return _folder() / "lines.jsonl"

    @property
    def scripts(self) -> Path:
        return _folder() / "network-script.jsonl"

    def script(self, number: str, word: str, kind: str = "*") -> None:
        """From now on, orders of this kind on this number end like that; an empty word: as usual again."""
        _append(self.scripts, [{"number": number, "kind": kind, "word": word}])

    def provision(self, number: str, *, features: Iterable[str], barred: bool = False) -> None:
        """How the network has a line, whatever the carrier's books say."""
        _append(self.lines, [{"number": number, "features": sorted(features), "barred": barred}])

    def order(self, *, key: str, wish: network.Wish) -> network.Answer:
        time.sleep(settings.SANDBOX_MS / 1000)
        word = self._word(wish.number, wish.kind)
        if word == "slow":
            time.sleep(SLOW_SECONDS)
        if word in ("vanish", "silent", "down"):
            _append_once(self.tries, {"key": key, "number": wish.number, "kind": wish.kind})
            return _no_answer(word)
        reason = REFUSALS.get(wish.kind, "the switch is busy") if word == "refuse" else ""
        row = _append_once(
            self.orders,
            {"key": key, "at": time.time(), "kind": wish.kind, "number": wish.number, "feature": wish.feature, "on": wish.on,
             "mb": wish.mb, "done": not reason, "reason": reason, "reference": f"net-{key[:12]}",
             **({"sim": _profile_for(wish.eid)} if wish.eid and not reason else {}), **({"to": wish.to} if wish.to else {})},
        )  # fmt: skip
        if row["done"] and wish.kind in ("suspend", "restore", "feature", "refresh", "disconnect", "port_out"):
            self.provision(wish.number, features=wish.features, barred=wish.barred)
        if word == "lost":
            return _no_answer(word)
        return network.Answer(row["done"], row["reason"], row["reference"], row.get("sim", ""))

    def ask(self, *, key: str) -> network.Answer:
        never = {"key": key, "done": False, "reason": "the order never reached the network", "reference": "", "void": True}
        tried = next((row for row in _lines(self.tries) if row["key"] == key), None)
        word = self._word(tried["number"], tried["kind"]) if tried else ""
        if word in ("silent", "down"):
            return _no_answer(word)
        row = _append_once(self.orders, never)  # or what is held under this key
        return network.Answer(row["done"], row["reason"], row["reference"], row.get("sim", ""))

    def profile(self, *, number: str) -> network.Profile | None:
        if self._word(number, "profile") in ("silent", "down"):
            raise ConnectionError("the sandbox network is down")
        held = [row for row in _lines(self.lines) if row["number"] == number]
        return network.Profile(frozenset(held[-1]["features"]), held[-1]["barred"]) if held else None

    def _word(self, number: str, kind: str) -> str:
        said = {(row["number"], row["kind"]): row["word"] for row in _lines(self.scripts)}
        word = said.get((number, kind), said.get((number, "*")))
        return word if word is not None else NETWORK_ENDINGS.get(number[-7:], "")


class SandboxDevices:
    """What `put` was told of a phone; of any other it knows nothing."""

    @property
    def path(self) -> Path:
        return _folder() / "devices.jsonl"

    def put(self, number: str, *, at: datetime, **known: Any) -> None:
        """`known`: registered, roaming, network, technology, cells, settings (see `ports.Seen`)."""
        self.put_many([{"number": number, "at": at, **known}])

    def put_many(self, rows: Iterable[Mapping[str, Any]]) -> None:
        _append(self.path, ({**row, "at": row["at"].isoformat()} for row in rows))

    def seen(self, *, number: str, imei: str) -> network.Seen | None:
        held = [row for row in _lines(self.path) if row["number"] == number]
        if not held:
            return None
        row = {k: v for k, v in held[-1].items() if k != "number"}
        return network.Seen(**{**row, "at": datetime.fromisoformat(row["at"]), "cells": tuple(row.get("cells", ()))})
