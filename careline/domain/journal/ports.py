"""What the outbox needs of whoever carries messages to customers."""

from __future__ import annotations

from typing import Protocol


class Messenger(Protocol):
    """Carries one message. Raises OSError when it could not be handed over; the outbox then tries again later."""

    def send(self, *, key: str, channel: str, to: str, body: str, topic: str) -> None:
        """Hand a message over. The same `key` twice is one message."""
        ...
