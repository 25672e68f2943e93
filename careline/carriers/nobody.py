"""What stands behind a port that no setting names: it refuses each call, and says so in a type of its own."""

from __future__ import annotations

from collections.abc import Sequence

from careline.domain.activations import ports as network
from careline.domain.journal.ports import Attachment
from careline.domain.ledger.ports import Answer


class NotSetUp(OSError):
    """There is no outside system behind this port. An OSError: what is queued waits, as for one that is down."""


class NoMessenger:
    def send(
        self, *, key: str, channel: str, to: str, body: str, topic: str, subject: str = "", attachments: Sequence[Attachment] = ()
    ) -> None:
        raise NotSetUp("no messaging provider is set up")


class NoPayments:
    def charge(self, *, key: str, token: str, amount_minor: int, currency: str) -> Answer:
        return Answer(False, "No payment provider is set up.")

    def refund(self, *, key: str, reference: str, amount_minor: int, currency: str) -> Answer:
        return Answer(False, "No payment provider is set up.")

    def ask(self, *, key: str) -> Answer:
        """Unknown, not "no": the charge may have been begun while a provider was set up."""
        return Answer(None, "No payment provider is set up.")

    def page(self, *, reference: str, token: str, amount_minor: int, currency: str) -> str:
        raise NotSetUp("no payment provider is set up")


class NoNetwork:
    def order(self, *, key: str, wish: network.Wish) -> network.Answer:
        return network.Answer(False, "no network is set up")

    def ask(self, *, key: str) -> network.Answer:
        """Unknown, not "no": the order may have been carried out while a network was set up."""
        return network.Answer(None, "No network is set up.")

    def profile(self, *, number: str) -> network.Profile | None:
        return None


class NoDevices:
    def seen(self, *, number: str, imei: str) -> network.Seen | None:
        return None
