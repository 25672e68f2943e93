"""What was made here and comes back in the payments of another system, which heard of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from careline.domain.ledger import queries, rules
from careline.domain.ledger.models import Payment, Recognised, Refund
from careline.domain.ledger.operations.bulk import carrier_day
from careline.foundation.money import shown


class MadeHere:
    """The payments and refunds of this house that some rows of payments may be, and which they turned out to be.

    `payments`: by the key of a row that was recognised before."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], accounts: Mapping[str, int], keys: Sequence[str]) -> None:
        known = queries.recognised(keys)
        self.payments = {r.source_key: r.payment for r in known if r.payment is not None}
        self._refunds_of_row: dict[str, list[Refund]] = defaultdict(list)
        for one in known:
            if one.refund is not None:
                self._refunds_of_row[one.source_key].append(one.refund)
        numbers = [r["number"] for r in rows if r["number"].startswith("RF-")]
        backs = {accounts[r["account"]] for r in rows if r["returns"] and r["account"] in accounts}
        refunds = queries.refunds_named(backs, numbers) if backs or numbers else []
        self._by_number = {r.number: r for r in refunds}
        self._by_reference = {(r.account_id, r.provider_reference): r for r in refunds if r.provider_reference}
        self._free: dict[int, list[Refund]] = defaultdict(list)  # of each account those that no row was, the oldest first
        for refund in refunds:
            if refund.state != "refused" and not hasattr(refund, "recognised"):
                self._free[refund.account_id].append(refund)
        self._taken: dict[int, list[Payment]] = defaultdict(list)  # of each account those of about these days that no row was
        self._by_provider: dict[tuple[int, str], Payment] = {}
        first = min((r["received_at"] for r in rows), default=None)
        references = [r["provider_reference"] for r in rows if r["provider_reference"]]
        taken = queries.taken_here(accounts.values(), first - timedelta(days=rules.DOUBT_DAYS + 1), references) if first is not None else []
        seen = queries.recognised_of([p.pk for p in taken]) if taken else set()
        for payment in taken:
            self._by_provider[payment.account_id, payment.provider_reference] = payment
            if payment.pk not in seen:
                self._taken[payment.account_id].append(payment)
        self._made: list[Recognised] = []

    def recognised(
        self, row: Mapping[str, Any], account_id: int, by_number: Mapping[str, Payment], target: Payment | None, came_back: Payment | None
    ) -> str | None:
        """What becomes of a row that is something made here; None: it is not. `target`: the payment that it takes back; `came_back`:
        what took that one back already."""
        number, key, amount = row["number"], row["source_key"], row["amount_minor"]
        if before := self._refunds_of_row.get(key):
            same = {r.account_id for r in before} == {account_id} and sum(r.amount_minor for r in before) == amount
            return "unchanged" if same else f"key: this row was {' and '.join(r.number for r in before)} before, and differs from it"
        named = self._by_number.get(number) or (self._by_reference.get((account_id, row["provider_reference"])) if row["returns"] else None)
        if named is not None:
            return self._refund(row, account_id, named, target)
        numbered = by_number.get(number)
        own = numbered if numbered is not None and numbered.source_key is None else None
        if not row["returns"]:
            own = own or (self._by_provider.get((account_id, row["provider_reference"])) if row["provider_reference"] else None) or self.payments.get(key)
            if own is None:
                return None
            if own.account_id != account_id or own.amount_minor != amount or own.returns_id:
                return f"number: {own.number} was taken here, on another account or of another amount"
            return self._payment(key, own)
        own = own or self.payments.get(key)
        if own is None and target is not None and came_back is not None and came_back.source_key is None:
            own = came_back  # they say by their own number what a deed here said of the same payment
        if own is not None and own.returns_id:
            same = own.account_id == account_id and own.amount_minor == amount and (target is None or own.returns_id == target.pk)
            return self._payment(key, own) if same else f"number: {own.number} came back here, on another account or of another amount"
        if target is None or target.account_id != account_id:
            return None
        before = [r for r in self._free[account_id] if r.payment_id == target.pk and carrier_day(r.at) <= carrier_day(row["received_at"])]
        meant = rules.refunds_meant([r.amount_minor for r in before], amount)
        return self._keep(key, [before[place] for place in meant]) if meant else None

    def _refund(self, row: Mapping[str, Any], account_id: int, named: Refund, target: Payment | None) -> str:
        if named.account_id != account_id or named.amount_minor != row["amount_minor"] or (target is not None and target.pk != named.payment_id):
            return f"number: {named.number} was given back here, on another account, of another payment or of another amount"
        if named.state == "refused":
            return f"number: {named.number} was refused by the provider here, and nothing went back"
        if named not in self._free[account_id]:
            return f"number: {named.number} came back already, in another row"
        return self._keep(row["source_key"], [named])

    def _keep(self, key: str, refunds: Sequence[Refund]) -> str:
        for refund in refunds:
            self._free[refund.account_id].remove(refund)
            self._made.append(Recognised(source_key=key, refund=refund))
            self._refunds_of_row[key].append(refund)
        return "unchanged"

    def _payment(self, key: str, payment: Payment) -> str:
        if key not in self.payments and key != payment.number:  # our own export calls them by their numbers
            self.payments[key] = payment
            self._made.append(Recognised(source_key=key, payment=payment))
        if payment in self._taken[payment.account_id]:
            self._taken[payment.account_id].remove(payment)
        return "unchanged"

    def doubt(self, row: Mapping[str, Any], account_id: int, target: Payment | None) -> str:
        """Why a row that names nothing made here may be such a thing all the same; empty: no reason."""
        amount, day = row["amount_minor"], carrier_day(row["received_at"])
        if target is None:
            for payment in self._taken[account_id]:
                if payment.amount_minor == amount and rules.may_be_one(carrier_day(payment.received_at), day):
                    self._taken[account_id].remove(payment)
                    return f"as much as {payment.number}, which was taken here on {carrier_day(payment.received_at)} and which no row names. If it is that one, it counts twice"
            return ""
        for refund in self._free[account_id]:
            if refund.payment_id == target.pk or (refund.amount_minor == amount and rules.may_be_one(carrier_day(refund.at), day)):
                self._free[account_id].remove(refund)
                return f"{shown(refund.amount_minor)} of {refund.payment.number} was given back here on {carrier_day(refund.at)} ({refund.number}), which no row names. If it is that one, it counts twice"
        return ""

    def keep(self) -> None:
        """Write which rows were recognised."""
        Recognised.objects.bulk_create(self._made)
