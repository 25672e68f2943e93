"""What the outbox needs of whoever carries messages to customers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a message."""

    name: str
    media_type: str
    body: bytes


class Messenger(Protocol):
    """Carries one message. Raises OSError when it could not be handed over; the outbox then tries again later."""

    def send(
        self, *, key: str, channel: str, to: str, body: str, topic: str, subject: str = "", attachments: Sequence[Attachment] = ()
    ) -> None:
        """Hand a message over. The same `key` twice is one message. `channel`: `sms`; `email`, which alone has a subject; or
        `letter`, whose `to` is the account's reference. The latter two have attachments, and a letter with one is that paper with `body` before it."""
        ...
