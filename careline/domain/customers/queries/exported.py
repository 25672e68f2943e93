"""What an export says of customers, accounts and lines, and by which keys other systems know them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Case, Model, QuerySet, TextField, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Coalesce, Concat

from careline.domain.customers.models import (
    Account,
    AccountPerson,
    Allowance,
    Consent,
    Customer,
    Device,
    Line,
    Person,
    Plan,
    Usage,
)


def said(path: str) -> Cast:
    """A day, moment or number as text, as it stands in the database."""
    return Cast(path, TextField())


def yes_or_no(path: str) -> Case:
    return Case(When(**{path: True}, then=Value("yes")), When(**{path: False}, then=Value("no")), default=None, output_field=TextField())


def own_key(path: str = "") -> Case:
    """The key by which the carrier's other systems know the row at this path (`account__`; empty: the row itself): theirs, or one made of
    our id where it began here. NULL where there is no such row."""
    there = {f"{path}pk__isnull": False}
    return Case(When(**there, then=Coalesce(f"{path}source_key", Concat(Value(OWN), Cast(f"{path}pk", TextField())))), default=None, output_field=TextField())


def names_outside(account_ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """How other systems know accounts: the key of each and its reference."""
    return {pk: (key, reference) for pk, key, reference in Account.objects.filter(pk__in=account_ids).values_list("pk", own_key(), "reference")}


OWN = "careline-"  # begins a key that is ours
_LIMITS = {"data_mb": said("data_mb"), "voice_minutes": said("voice_minutes"), "texts": said("texts")}
EXPORTED: dict[str, tuple[type[Model], dict[str, str | Combinable]]] = {
    "plans": (Plan, {"key": own_key(), "code": "code", "name": "name", "price": "price_minor", **_LIMITS, "data_gb_price": "data_gb_price_minor",
                     "voice_minute_price": "voice_minute_price_minor", "text_price": "text_price_minor"}),
    "allowances": (Allowance, {"plan": own_key("plan__"), "kind": "kind", "title": "title", "unit": "unit", "included": said("included"), "price": "price_minor"}),
    "devices": (Device, {"key": own_key(), "imei": "imei", "make": "make", "model": "model", "compatible": yes_or_no("compatible"), "blocked": "blocked"}),
    "customers": (Customer, {"key": own_key(), "name": "name", "kind": "kind", "since": said("since"), "language": "language", "needs": "needs",
                             "likes": "likes", "email": "email", "synthetic": yes_or_no("synthetic"), "phone": "phone"}),
    "persons": (Person, {"key": own_key(), "customer": own_key("customer__"), "name": "name", "email": "email"}),
    "accounts": (Account, {"key": own_key(), "customer": own_key("customer__"), "reference": "reference", "currency": "currency", "status": "status",
                           "opened_on": said("opened_on"), "bill_day": said("bill_day"), "state": "state", "zone": "zone", "postal_code": "postal_code",
                           "autopay": yes_or_no("autopay"), "change_lock": yes_or_no("change_lock"),
                           "street": "street", "city": "city", "port_lock": yes_or_no("port_lock")}),
    "people": (AccountPerson, {"account": own_key("account__"), "person": own_key("person__"), "right": "right", "may_money": yes_or_no("may_money"),
                               "may_service": yes_or_no("may_service"), "until": said("until")}),
    "lines": (Line, {"key": own_key(), "account": own_key("account__"), "number": "msisdn", "label": "label", "plan": own_key("plan__"), "status": "status",
                     "status_reason": "status_reason", "status_since": said("status_since"), "number_since": said("number_since"),
                     "activated_on": said("activated_on"), "device": own_key("device__"), "iccid": "iccid", "sim_kind": "sim_kind",
                     "sim_since": said("sim_since"), "can_text": yes_or_no("can_text"), "contract_ends_on": said("contract_ends_on"),
                     "sim_state": "sim_state", "spending_limit": "spending_limit_minor"}),
    "usage": (Usage, {"line": own_key("line__"), "kind": "kind", "day": said("day"), "quantity": said("quantity")}),
    "consents": (Consent, {"key": own_key(), "account": own_key("account__"), "topic": "topic", "channel": "channel", "granted": yes_or_no("granted"),
                           "at": said("at"), "source": "source"}),
}  # fmt: skip


def exported(entity: str) -> tuple[list[str], QuerySet[Any, tuple[Any, ...]]]:
    """The fields of an entity, as an import names them, and its rows in the order of their ids: text, whole minor units, or None."""
    table, fields = EXPORTED[entity]
    rows = table.objects.order_by("pk")  # type: ignore[attr-defined]
    if table is AccountPerson:
        rows = rows.filter(ended_at=None)  # a right that was taken away is none
    return list(fields), rows.values_list(*fields.values())
