"""The outside systems of this carrier, behind the rooms' ports. The sandbox twins stand in until real ones are named."""

from functools import lru_cache

from careline.carriers.sandbox import SandboxMessenger, SandboxPayments
from careline.domain.journal.ports import Messenger
from careline.domain.ledger.ports import PaymentProvider


@lru_cache(maxsize=1)
def messenger() -> Messenger:
    return SandboxMessenger()


@lru_cache(maxsize=1)
def payments() -> PaymentProvider:
    return SandboxPayments()
