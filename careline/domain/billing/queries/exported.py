"""What an export says of what comes with every bill, and of equipment in instalments."""

from __future__ import annotations

from typing import Any

from django.db.models import Model, QuerySet
from django.db.models.expressions import Combinable

from careline.domain.billing.models import Agreed, Instalments
from careline.domain.customers.queries import own_key, said

EXPORTED: dict[str, tuple[type[Model], dict[str, str | Combinable]]] = {
    "agreements": (Agreed, {"key": own_key(), "account": own_key("account__"), "line": own_key("line__"), "kind": "kind", "label": "label", "amount": "amount_minor",
                            "share_ppm": said("share_ppm"), "starts_on": said("starts_on"), "ends_on": said("ends_on")}),
    "instalments": (Instalments, {"key": own_key(), "account": own_key("account__"), "line": own_key("line__"), "label": "label", "total": "total_minor",
                                  "count": said("count"), "starts_on": said("starts_on"), "ended_on": said("ended_on")}),
}  # fmt: skip


def exported(entity: str) -> tuple[list[str], QuerySet[Any, tuple[Any, ...]]]:
    """The fields of an entity, as an import names them, and its rows in the order of their ids: text, whole minor units, or None."""
    table, fields = EXPORTED[entity]
    return list(fields), table.objects.order_by("pk").values_list(*fields.values())  # type: ignore[attr-defined]
