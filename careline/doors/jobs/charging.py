"""Money that a job takes from saved methods: autopay, and the parts of arrangements whose customers agreed to that.

A try is written down under its account's lock, taken with no transaction open, and settled under the lock again, each with a line in the
journal. Each has a key of its own that the provider knows: a try that was lost is asked after and never taken twice. Nothing is taken
while another payment of the account is under way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from careline.acts import texts
from careline.acts.arrangements import after_money, method_said
from careline.carriers import payments as provider
from careline.domain.customers import operations as customer_operations
from careline.domain.journal import operations as journal
from careline.domain.journal.rules import Entry, account_chain
from careline.domain.ledger import operations as ledger
from careline.domain.ledger import queries as ledger_queries
from careline.domain.ledger.ports import Answer
from careline.foundation.act import Act
from careline.foundation.calendar import civil_date
from careline.foundation.money import shown
from careline.foundation.rulebook import Rulebook

UNDER_WAY = timedelta(days=7)  # how far back a payment that nobody knows the end of stops another


@dataclass(frozen=True, slots=True)
class Kind:
    """`code`: what authority is asked and the journal says; `title`, `taken` and `declined`: its words; `topic`: of its texts."""

    code: str
    title: str
    topic: str
    taken: str
    declined: str


# By what the key of a try begins with.
KINDS: Final = {
    "autopay": Kind("payments.autopay", "Autopay", "autopay", "receipt", "autopay_declined"),
    "part": Kind("arrangements.charge", "Part of the arrangement", "arrangement_part", "part_charged", "part_declined"),
}


def begin(*, act: Act, account_id: int, key: str, method: Any, amount: Callable[[], int]) -> Any:
    """Write a try down, for the amount (minor units) that is asked under the lock; None where nothing is to be taken any more, or
    another payment of the account is under way."""
    kind = KINDS[key.partition(":")[0]]
    with transaction.atomic():
        customer_operations.lock_accounts([account_id])
        minor = amount()
        if not minor or ledger_queries.charges_like([key]) or ledger_queries.paying([account_id], act.at - UNDER_WAY):
            return None
        charge = ledger.begin_charge(act=act, account_id=account_id, method=method, amount_minor=minor, key=key)
        say = f"{kind.title}: {shown(minor)} with {method_said(method)} is under way"
        journal.record(Entry(account_chain(account_id), act, kind.code, "pending", say, {"charge": key}))
    return charge


def settle(*, act: Act, rulebook: Rulebook, charge: Any) -> Any:
    """Take what was begun and write down what the provider says. On a later day it is only asked what became of it: nobody expects it to be
    taken then. Returns the try as it stands now: `pending` where there is no answer yet. None: somebody else settled it."""
    kind, name = KINDS[charge.key.partition(":")[0]], method_said(charge.method)
    late = civil_date(charge.at, settings.CARRIER_ZONE) < civil_date(act.at, settings.CARRIER_ZONE)
    answer = _asked(charge, late)
    if answer.taken is None:
        return charge
    with transaction.atomic():
        customer_operations.lock_accounts([charge.account_id])
        before = ledger_queries.charge(charge.key)
        if before is None or before.state != "pending":
            return None
        row = ledger.settle_charge(act=act, key=charge.key, taken=answer.taken, reason=answer.reason, provider_reference=answer.reference)
        amount, taken = shown(row.amount_minor), row.payment is not None
        say = f"{kind.title}: {amount} with {name}" + (f", {row.payment.number}" if row.payment is not None else " declined")
        if taken or not late:  # a try of days ago that came to nothing is no news
            values: dict[str, Any] = {"number": row.payment.number} if row.payment is not None else {}
            told = texts.write(
                act=act, rulebook=rulebook, account_id=row.account_id, topic=kind.topic, name=kind.taken if taken else kind.declined,
                about=f"charge:{row.pk}", reference=row.payment.number if row.payment is not None else name, amount=amount, method=name, **values,
            )  # fmt: skip
            say += "" if told else f"; {texts.NOBODY}"
        lines = [Entry(account_chain(row.account_id), act, kind.code, "done" if taken else "refused", say, {"charge": row.key})]
        if taken:
            lines += [Entry(done.chain, act, code, "done", done.say, done.data) for code, done in after_money(act, row.account_id)]
        journal.record_many(lines)
    return row


def _asked(charge: Any, late: bool) -> Answer:
    """The provider's answer; none where it cannot be reached, which is no answer and not a no."""
    try:
        if late:
            return provider().ask(key=charge.key)
        answer = provider().charge(key=charge.key, token=charge.method.token, amount_minor=charge.amount_minor, currency="USD")
        return answer if answer.taken is not None else provider().ask(key=charge.key)
    except OSError:
        return Answer(None)


def finish(*, act: Act, rulebook: Rulebook, before: datetime) -> list[Any]:
    """Settle the tries that were begun by a moment and whose answer was lost. Returns them as they stand now."""
    begun = [charge for kind in KINDS for charge in ledger_queries.charges_pending(f"{kind}:", before)]
    return [row for charge in begun if (row := settle(act=act, rulebook=rulebook, charge=charge)) is not None]
