"""What the ledger needs of a payment provider. Card numbers live with the provider and never come here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Answer:
    """`taken` is None when the provider does not know the key, or did not answer in time."""

    taken: bool | None
    reason: str = ""
    reference: str = ""


class PaymentProvider(Protocol):
    def charge(self, *, key: str, token: str, amount_minor: int, currency: str) -> Answer:
        """Take a payment from a saved method. The same `key` twice is one charge with one answer."""
        ...

    def ask(self, *, key: str) -> Answer:
        """What became of the charge with this key."""
        ...
