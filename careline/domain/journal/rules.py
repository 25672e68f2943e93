"""What a journal line is and how a chain proves itself. Pure: keys and times come in from outside."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring as _quoted  # a text as `canonical` writes it
from typing import Any

from careline.foundation.act import Act

HOUSE = "house"


def account_chain(account_id: int) -> str:
    return f"account:{account_id}"


def is_account_chain(name: str) -> bool:
    return name.startswith("account:")


def staff_chain(staff_id: str) -> str:
    return f"staff:{staff_id}"


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical(value: Any) -> str:
    """The one text of a JSON value: sorted keys, no spaces, UTF-8. Equal values give equal text on every machine."""
    return _CANONICAL.encode(value)


@lru_cache(16)  # all lines of one deed say the same
def moment(at: datetime) -> str:
    """A moment as the journal writes it: UTC, microseconds, `Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line to write.

    `outcome` is done, refused, pending or looked. `say` is the sentence that people read; it names no customer and
    carries no free text, because it can never be taken back: what is personal goes into `payload`, which can.
    """

    chain: str
    act: Act
    code: str
    outcome: str
    say: str
    data: dict[str, Any] = field(default_factory=dict)
    payload: dict[str, Any] | None = None

    def text(self, seq: int, payload_digest: str) -> str:
        """The canonical text of all that the line says, its keys in their order."""
        head, code, outcome, rulebook, tail = _frame(self.act, self.code, self.outcome)
        return (
            f'{head}"chain":{_quoted(self.chain)},{code}"data":{canonical(self.data)},{outcome}"payload":{_quoted(payload_digest)},'
            f'{rulebook}"say":{_quoted(self.say)},"seq":{seq},{tail}'
        )


@lru_cache(16)  # a run writes thousands of lines of one deed
def _frame(act: Act, code: str, outcome: str) -> tuple[str, ...]:
    """What all lines of one deed say alike, in the pieces that stand around what each says for itself."""
    asked_by = {"kind": act.asked_by.kind, "id": act.asked_by.id, "name": act.asked_by.name} if act.asked_by else None
    basis = {"kind": act.basis.kind, "id": act.basis.id, "level": int(act.basis.level)}
    who = {"kind": act.who.kind, "id": act.who.id, "name": act.who.name, "role": act.who.role}
    return (
        f'{{"asked_by":{canonical(asked_by)},"at":{_quoted(moment(act.at))},"basis":{canonical(basis)},',
        f'"code":{_quoted(code)},',
        f'"outcome":{_quoted(outcome)},',
        f'"rulebook":{_quoted(act.rulebook)},',
        f'"who":{canonical(who)},"why":{_quoted(act.why)}}}',
    )


def line_mac(key: bytes, previous: str, text: str) -> str:
    """HMAC-SHA256 over the previous line's mac and this line's text: 64 hex digits."""
    return hmac.digest(key, f"{previous}\n{text}".encode(), "sha256").hex()


def payload_digest(salt: str, body: str) -> str:
    """What a line keeps of a personal payload: it proves the payload while it is there and tells nothing after."""
    return hashlib.sha256(f"{salt}\n{body}".encode()).hexdigest()


def root_mac(key: bytes, previous: str, heads: str) -> str:
    """The mac of an anchor over the heads that moved since the anchor before it."""
    return hmac.new(key, f"root\n{previous}\n{heads}".encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Fault:
    """One thing that a verification found: which chain, which line, and what is wrong in plain words."""

    chain: str
    seq: int | None
    say: str
