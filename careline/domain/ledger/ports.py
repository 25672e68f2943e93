"""What the ledger needs of a payment provider (card numbers live with it and never come here), and of whoever prints papers."""

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

    def refund(self, *, key: str, reference: str, amount_minor: int, currency: str) -> Answer:
        """Give a part of a payment back the way it came; `reference` is the payment's. `taken`: it went back. The same
        `key` twice is one refund with one answer."""
        ...

    def ask(self, *, key: str) -> Answer:
        """What became of the charge or refund with this key."""
        ...

    def page(self, *, reference: str, token: str, amount_minor: int, currency: str) -> str:
        """The whole address of the page on which a payment link is paid; it goes out in a text. Asked with a transaction
        open: put together, nothing is called. The provider tells of the payment by the act `payments.link_paid`."""
        ...


class Printer(Protocol):
    """Makes pages of a paper. Raises OSError when it cannot; the paper is then tried again later."""

    def pdf(self, html: str) -> bytes:
        """A whole HTML document, its style in it, as a tagged PDF. The same document gives the same bytes on one machine."""
        ...
