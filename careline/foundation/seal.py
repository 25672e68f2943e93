"""A signed file of journal lines: JSON Lines whose last line signs all before it with Ed25519.

Whoever has the public key can verify the signature without the house; the house itself can say whether each line stands in its
journal as it stands in the file.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

FORMAT = "careline-export-1"
CONTEXT = b"careline: signature of exports, 1"


def _private(secret: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hmac.new(secret, CONTEXT, hashlib.sha256).digest())


def public_key(secret: bytes) -> str:
    """The key that verifies what this house signed: 64 hex digits, no secret."""
    return _private(secret).public_key().public_bytes_raw().hex()


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def sealed(secret: bytes, head: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """The whole file: a head, a line each, the signature."""
    body = [_line(row) for row in rows]
    whole = _line({**head, "format": FORMAT, "lines": len(body), "key": public_key(secret)}) + b"".join(body)
    return whole + _line({"signature": _private(secret).sign(whole).hex()})


@dataclass(frozen=True)
class Opened:
    """A file whose signature holds: its head and its lines."""

    head: dict[str, Any]
    rows: list[dict[str, Any]]


def opened(text: bytes, key: str = "") -> Opened:
    """Verify a file with a public key (left out: with the key that it names itself). Raises ValueError, in plain words."""
    cut = text.rstrip(b"\n").rfind(b"\n") + 1
    try:
        lines = [json.loads(line) for line in text[:cut].splitlines()]
        signature = bytes.fromhex(json.loads(text[cut:])["signature"])
        head = lines[0]
        named = str(head["key"])
        if head["format"] != FORMAT:
            raise ValueError("another format")
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key or named))
    except (ValueError, KeyError, IndexError, TypeError) as fault:
        raise ValueError("This is no export of Careline, or it was cut off.") from fault
    if key and key.lower() != named:
        raise ValueError(f"It was signed with another key: {named}.")
    try:
        public.verify(signature, text[:cut])
    except InvalidSignature:
        raise ValueError("The signature does not hold: the file was changed after it was signed.") from None
    if head["lines"] != len(lines) - 1:
        raise ValueError("The file names another number of lines than it holds.")
    return Opened(head, lines[1:])
