"""Orders as they stand, and what the carrier's own books say of a line."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from careline.domain.activations import rules
from careline.domain.activations.models import Order, TransferPin
from careline.domain.customers import queries as customers
from careline.domain.ledger import queries as ledger
from careline.foundation import phone
from careline.foundation.calendar import bill_period, civil_date, lives
from careline.prepared import prepared, whole


def order(number: str) -> Order | None:
    return Order.objects.select_related("line").filter(number=number).first()


def orders_of(account_id: int, limit: int = 20) -> list[Order]:
    """The account's orders, newest first."""
    return list(Order.objects.filter(account_id=account_id).select_related("line").order_by("-asked_at", "-pk")[:limit])


@dataclass(frozen=True, slots=True)
class Stood:
    """That this house made a line stand as it does: on which account, on what day of the carrier, by what."""

    account_id: int
    on: date
    by: str


STANDS: Mapping[str, str] = {
    rules.Kind.SUSPEND: "suspended here", rules.Kind.RESTORE: "restored here", rules.Kind.DISCONNECT: "ended here", rules.Kind.PORT_OUT: "moved to another carrier",
}  # fmt: skip


def stood(line_keys: Sequence[str]) -> dict[str, Stood]:
    """Of the lines with these source keys those that this house suspended, restored, ended or let go, by the newest of these orders."""
    rows = Order.objects.filter(line__source_key__in=line_keys, kind__in=list(STANDS), state=rules.State.DONE).order_by("settled_at", "pk")
    found = rows.values_list("line__source_key", "account_id", "settled_at", "kind", "number")
    return {str(key): Stood(account_id, civil_date(at, settings.CARRIER_ZONE), f"{STANDS[kind]} ({number})") for key, account_id, at, kind, number in found if at}


def in_flight(line_id: int) -> Order | None:
    """The order on this line that the network has not settled; there is never more than one."""
    return Order.objects.filter(line_id=line_id, state__in=rules.IN_FLIGHT).first()


def sim_asked(line_id: int) -> bool:
    """Whether a change of this line's SIM is with the network, which may have carried it out already."""
    return Order.objects.filter(line_id=line_id, kind=rules.Kind.SIM, state__in=rules.IN_FLIGHT).exists()


def sim_on_its_way(iccid: str) -> bool:
    return Order.objects.filter(iccid=iccid, state__in=rules.IN_FLIGHT).exists()


def transfer_pin_hash(line_id: int, pin: str) -> str:
    """A transfer PIN's keyed hash. Fast on purpose: it lives some days and some tries; the key is outside."""
    return hmac.new(settings.PEPPER, f"transfer:{line_id}:{pin}".encode(), hashlib.sha256).hexdigest()


def transfer_pin(line_id: int, at: datetime) -> TransferPin | None:
    """The transfer PIN that is in force for a line."""
    row = TransferPin.objects.filter(line_id=line_id, ended_at=None, expires_at__gt=at).first()
    return row if row is not None and lives(row.made_at, row.expires_at, at) else None


def transfer_pins(account_id: int, at: datetime) -> list[TransferPin]:
    """Those in force on an account's lines, the next to expire first."""
    rows = TransferPin.objects.filter(line__account_id=account_id, ended_at=None, expires_at__gt=at)
    return [row for row in rows.select_related("line").order_by("expires_at", "pk") if lives(row.made_at, row.expires_at, at)]


def leaving(account_id: int) -> list[Order]:
    """Numbers that wait to go to another carrier, the next one first."""
    return list(_leaving(account=account_id))


@prepared
def _leaving() -> QuerySet[Order]:
    rows = Order.objects.filter(account_id=whole("account"), waits_until__isnull=False, sent_at=None, state=rules.State.ASKED)
    return rows.select_related("line").order_by("waits_until", "pk")


def lines_in_flight(line_ids: Sequence[int]) -> set[int]:
    """Those of these lines that have an order with the network."""
    return set(Order.objects.filter(line_id__in=line_ids, state__in=rules.IN_FLIGHT).values_list("line_id", flat=True))


def keys_known(keys: Sequence[str]) -> set[str]:
    return set(Order.objects.filter(key__in=keys).values_list("key", flat=True))


def in_flight_of(asked_by: str, limit: int, after: int = 0) -> list[Order]:
    """A job's orders that the network has not settled, by id from behind one on."""
    rows = Order.objects.filter(asked_by=asked_by, state__in=rules.IN_FLIGHT, pk__gt=after)
    return list(rows.select_related("line", "account").order_by("pk")[:limit])


def in_flight_accounts(account_ids: Sequence[int]) -> set[int]:
    """Those of these accounts that have an order with the network."""
    return set(Order.objects.filter(account_id__in=account_ids, state__in=rules.IN_FLIGHT).values_list("account_id", flat=True))


def period_of(line_id: int, at: datetime) -> tuple[date, date] | None:
    """The bill period that holds a moment: its first and last day. None: there is no such line."""
    day = customers.bill_day_of_line(line_id)
    return bill_period(day, civil_date(at, settings.CARRIER_ZONE)) if day is not None else None


def data_room(allowed_mb: int | None, added_mb: int, limits: Mapping[str, Any]) -> int | None:
    """How many MB more may be added in this bill period; None: the plan has no limit to add to."""
    return None if allowed_mb is None else max(int(limits["data"]["max_mb"]) - added_mb, 0)


def line_facts(line_id: int, at: datetime, *, limits: Mapping[str, Any]) -> rules.LineFacts | None:
    """Everything the books say of a line at a moment; None: there is no such line. `limits`: the rulebook's."""
    today = civil_date(at, settings.CARRIER_ZONE)
    period = period_of(line_id, at)
    line = customers.line_in_period(line_id, period[0]) if period else None
    if line is None or period is None:
        return None
    suspended = line.status == "suspended"
    allowed, used, added = line.data_allowed_mb, line.data_used, line.data_added  # type: ignore[attr-defined]
    past_due, past_due_since = ledger.past_due(line.account_id, today)
    spent = ledger.charged_beyond_plan(line_id, period[0])
    orders = [_fact(o) for o in Order.objects.filter(line_id=line_id).order_by("-asked_at", "-pk")[:5]]
    device = line.device
    return rules.LineFacts(
        line_id=line.pk,
        account_id=line.account_id,
        number=line.msisdn,
        status=line.status,
        suspended_for=line.suspended_for if suspended else "",
        suspended_why=line.status_reason if suspended else "",
        suspended_since=line.status_since if suspended else None,
        contract_ends_on=line.contract_ends_on,
        contract_ended=rules.contract_ended(line.contract_ends_on, today),
        past_due=past_due,
        past_due_since=past_due_since,
        plan_code=line.plan.code,
        plan_name=line.plan.name,
        plan_price=line.plan.price_minor,
        price_per_gb=rules.price_per_gb(line.plan.data_gb_price_minor, limits),
        features=line.switched_on,
        data_allowed=allowed,
        data_added=added,
        data_used=used,
        data_left=None if allowed is None else max(allowed - used, 0),
        data_used_up=allowed is not None and used >= allowed,
        data_room=data_room(allowed, added, limits),
        period_from=period[0],
        period_to=period[1],
        spending_limit=line.spending_limit_minor,
        spent=spent,
        spending_left=None if line.spending_limit_minor is None else max(line.spending_limit_minor - spent, 0),
        device_make=device.make if device else "",
        device_model=device.model if device else "",
        device_imei=device.imei if device else "",
        device_tac=device.imei[:8] if device else "",
        device_compatible=device.compatible if device else None,
        device_blocked=device.blocked if device else "",
        sim_kind=line.sim_kind,
        sim_state=line.sim_state,
        sim_since=line.sim_since,
        sim_last_four=line.iccid[-4:],
        can_text=line.can_text,
        postal_code=line.account.postal_code,
        in_flight=tuple(o for o in orders if o.state in rules.IN_FLIGHT),
        last_orders=tuple(orders),
    )


def _fact(row: Order) -> rules.OrderFact:
    return rules.OrderFact(row.number, row.kind, row.state, row.asked_at, row.feature, row.on, row.reason)


def signals(leaving: Sequence[Order]) -> list[customers.Signal]:
    """A number that is about to go: its holder calls about the text that they got."""
    return [
        customers.Signal("number_leaving", f"{row.to} takes the number ending in {phone.last_four(row.line.msisdn)}",
                         "Ask whether they asked for it. If not, lock the account against port-out now: it stays then.", 95, section="care")
        for row in leaving
    ]  # fmt: skip
