"""What an export says of bills, their lines, payments and saved ways to pay."""

from __future__ import annotations

from typing import Any

from django.db.models import Model, QuerySet
from django.db.models.expressions import Combinable

from careline.domain.customers.queries import own_key, said, yes_or_no
from careline.domain.ledger.models import Bill, BillLine, Payment, PaymentMethod

EXPORTED: dict[str, tuple[type[Model], dict[str, str | Combinable]]] = {
    "methods": (PaymentMethod, {"key": own_key(), "account": own_key("account__"), "kind": "kind", "token": "token", "brand": "brand", "last_four": "last_four",
                                "expires_on": said("expires_on"), "is_active": yes_or_no("is_active")}),
    "bills": (Bill, {"key": own_key(), "account": own_key("account__"), "number": "number", "period_start": said("period_start"),
                     "period_end": said("period_end"), "issued_on": said("issued_on"), "due_on": said("due_on"), "total": "total_minor",
                     "corrects": own_key("corrects__")}),
    "bill_lines": (BillLine, {"key": own_key(), "bill": own_key("bill__"), "kind": "kind", "label": "label", "line": own_key("line__"),
                              "period_start": said("period_start"), "period_end": said("period_end"), "quantity": said("quantity"),
                              "unit_price": "unit_price_minor", "proration_num": said("proration_num"), "proration_den": said("proration_den"),
                              "tax_rate_ppm": said("tax_rate_ppm"), "taxes": own_key("taxed_line__"), "amount": "amount_minor"}),
    "payments": (Payment, {"key": own_key(), "account": own_key("account__"), "number": "number", "amount": "amount_minor", "method": "method",
                           "received_at": said("received_at"), "provider_reference": "provider_reference", "returns": own_key("returns__")}),
}  # fmt: skip


def exported(entity: str) -> tuple[list[str], QuerySet[Any, tuple[Any, ...]]]:
    """The fields of an entity, as an import names them, and its rows in the order of their ids: text, whole minor units, or None."""
    table, fields = EXPORTED[entity]
    return list(fields), table.objects.order_by("pk").values_list(*fields.values())  # type: ignore[attr-defined]
