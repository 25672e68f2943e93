"""Asking an order and settling it. Both run inside a deed's transaction, after the account was locked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import IntegrityError

from careline.domain.activations import queries, rules
from careline.domain.activations.models import Order, TransferPin
from careline.domain.activations.ports import Answer
from careline.domain.customers import operations as customers
from careline.domain.customers import queries as customer_queries
from careline.domain.customers.rules import FEATURE_TITLES
from careline.domain.journal.operations import next_numbers
from careline.domain.ledger import operations as ledger
from careline.domain.ledger.rules import LineKind
from careline.foundation import phone
from careline.foundation.act import Act
from careline.foundation.refusal import Refused, WayOn, refuse
from careline.prepared import save_columns


def ask(
    *,
    act: Act,
    account_id: int,
    line_id: int,
    kind: rules.Kind,
    key: str,
    reason: str = "",
    feature: str = "",
    on: bool | None = None,
    mb: int | None = None,
    plan_id: int | None = None,
    price_minor: int = 0,
    unit_price_minor: int = 0,
    iccid: str = "",
    eid: str = "",
    device_id: int | None = None,
    to: str = "",
    waits_until: datetime | None = None,
) -> Order:
    """Write an order down before the network hears of it. `waits_until`: its holder may say no so long. What cannot be done as the line stands is refused here."""
    line = customer_queries.line(line_id)
    if line is None or line.account_id != account_id:
        raise refuse("NOT_FOUND", "Choose a line of this account.", fields={"line": "Choose one."})
    waiting = queries.in_flight(line_id)
    if waiting is not None and waiting.waits:
        raise refuse(
            "CONFLICT", f"This number is on its way to {waiting.to}. Lock the account against port-out if its holder does not want that.",
            rule="port-waits", way_on=(WayOn("Lock the account", "customers.lock"),),
        )
    if waiting is not None:
        raise refuse(
            "CONFLICT", f"{waiting.number} on this line is still with the network. Wait for it; it is asked after by itself.",
            rule="order-in-flight",
        )
    _as_it_stands(line, kind, feature, on)
    if iccid:
        _free(line, iccid)
    try:
        return Order.objects.create(
            number=next_numbers("order", "OR")[0],
            key=key,
            account_id=account_id,
            line_id=line_id,
            contact_id=act.basis.contact_id,
            kind=kind,
            reason=reason,
            feature=feature,
            on=on,
            mb=mb,
            plan_id=plan_id,
            price_minor=price_minor,
            unit_price_minor=unit_price_minor,
            iccid=iccid,
            eid=eid,
            device_id=device_id,
            to=to,
            waits_until=waits_until,
            asked_by=act.who.key,
            asked_at=act.at,
        )
    except IntegrityError:
        if iccid:  # somebody else took this SIM in this very moment
            raise _taken() from None
        raise


def _free(line: Any, iccid: str) -> None:
    """Raises Refused when this SIM is in a line, or on its way into another."""
    if line.iccid == iccid:
        raise refuse("CONFLICT", "This SIM is in the line already.", rule="sim-as-it-is", fields={"iccid": "It is in the line already."})
    if customer_queries.line_with_sim(iccid) is not None or queries.sim_on_its_way(iccid):
        raise _taken()


def _taken() -> Refused:
    say = "This SIM belongs to another line. Take a new one, or read its number again."
    return refuse("CONFLICT", say, rule="sim-taken", fields={"iccid": say})


def make_transfer_pin(*, act: Act, line_id: int, pin: str, until: datetime) -> TransferPin:
    """A transfer PIN for a line instead of the one before it."""
    end_transfer_pins(act=act, line_ids=[line_id])
    return TransferPin.objects.create(line_id=line_id, hash=queries.transfer_pin_hash(line_id, pin), made_at=act.at, expires_at=until)


def end_transfer_pins(*, act: Act, line_ids: Sequence[int]) -> int:
    """Nobody takes these numbers away with what was given out before. Returns how many PINs that were."""
    return TransferPin.objects.filter(line_id__in=line_ids, ended_at=None).update(ended_at=act.at)


def wrong_transfer_pin(*, act: Act, pin_id: int, most: int) -> bool:
    """Count a wrong try; True: it was one too many, and the PIN is void. The account is locked by whoever calls."""
    row = TransferPin.objects.get(pk=pin_id)
    row.tries += 1
    row.ended_at = act.at if row.tries >= most else None
    row.save(update_fields=["tries", "ended_at"])
    return row.ended_at is not None


@dataclass(frozen=True, slots=True)
class Wanted:
    """An order that a job wants: `key` is what the network knows it by. `bar`: how far a suspension goes."""

    account_id: int
    line_id: int
    kind: rules.Kind
    key: str
    reason: str
    bar: str = ""
    price_minor: int = 0


def ask_many(*, act: Act, wanted: Sequence[Wanted]) -> list[Order]:
    """Write orders down in bulk, for lines that the caller has looked at under the accounts' locks. A line with an order in
    flight gets none now: its caller comes again. Returns those written, in the order given."""
    busy = queries.lines_in_flight([w.line_id for w in wanted])
    known = queries.keys_known([w.key for w in wanted])
    new = [w for w in wanted if w.line_id not in busy and w.key not in known]
    if not new:
        return []
    return Order.objects.bulk_create(
        [
            Order(number=number, key=w.key, account_id=w.account_id, line_id=w.line_id, kind=w.kind, reason=w.reason, bar=w.bar,
                  price_minor=w.price_minor, unit_price_minor=w.price_minor, asked_by=act.who.key, asked_at=act.at)
            for number, w in zip(next_numbers("order", "OR", len(new)), new, strict=True)
        ],
        batch_size=1000,
    )  # fmt: skip


def withdraw_many(*, act: Act, account_ids: Sequence[int]) -> int:
    """Take back a job's orders that were asked and never sent. Returns how many."""
    rows = Order.objects.filter(account_id__in=account_ids, state=rules.State.ASKED, sent_at=None, asked_by=act.who.key)
    return rows.update(state=rules.State.REFUSED, network_says="Taken back before it was sent", settled_at=act.at)


def stop_waiting(*, act: Act, account_id: int) -> list[Order]:
    """The holder says no: what waits for that goes nowhere. Returns it. What was sent already is the network's."""
    waiting = Order.objects.filter(account_id=account_id, waits_until__isnull=False, sent_at=None, state=rules.State.ASKED)
    rows = list(waiting.select_for_update(no_key=True, of=("self",)).select_related("line").order_by("pk"))
    waiting.filter(pk__in=[row.pk for row in rows]).update(state=rules.State.REFUSED, network_says=rules.OBJECTED, settled_at=act.at)
    return rows


def mark_sent(*, act: Act, order_ids: Sequence[int]) -> set[int]:
    """A job is about to send these orders: from now on they are taken back no more. Returns those that still may be sent."""
    rows = Order.objects.filter(pk__in=order_ids, state__in=rules.IN_FLIGHT)
    rows.filter(sent_at=None).update(sent_at=act.at)
    return set(rows.values_list("pk", flat=True))


def _as_it_stands(line: Any, kind: rules.Kind, feature: str, on: bool | None) -> None:
    """Raises Refused when this order makes no sense for the line as it is."""
    if line.status in ("cancelled", "pending"):
        raise refuse("CONFLICT", f"This line is {line.status}. There is nothing to do on the network.", rule="line-not-living")
    suspended = line.status == "suspended"
    if kind == rules.Kind.SUSPEND and suspended:
        raise refuse("CONFLICT", "This line is suspended already.", rule="line-suspended")
    if kind == rules.Kind.RESTORE and not suspended:
        raise refuse("CONFLICT", "This line is not suspended.", rule="line-active")
    if suspended and kind not in rules.WHILE_SUSPENDED:
        raise refuse(
            "CONFLICT", "This line is suspended. Restore it first.", rule="line-suspended",
            way_on=(WayOn("Restore the line", "lines.restore"),),
        )
    if kind == rules.Kind.FEATURE and (feature in line.switched_on) == on:
        raise refuse(
            "CONFLICT",
            f"{FEATURE_TITLES[feature]} is {'on' if on else 'off'} already. If the phone does not show it, refresh the line.",
            rule="feature-as-it-is",
            way_on=(WayOn("Refresh the line", "lines.refresh_provisioning"),),
        )


def settle(*, act: Act, key: str, answer: Answer, words: str = "") -> Order:
    """What the network answered: carried out (the line, its data and the charge follow), refused, or still unknown.

    Settled once: whoever comes second finds the order as it is. `words`: how a suspension reads on the line.
    """
    order = Order.objects.select_for_update(no_key=True, of=("self",)).select_related("line", "line__account").get(key=key)
    if order.state not in rules.IN_FLIGHT:
        return order
    order.network_says, order.network_reference = answer.reason[:160], answer.reference[:60]
    if answer.done is None:
        order.state = rules.State.UNKNOWN
    elif answer.done:
        order.state, order.settled_at = rules.State.DONE, act.at
        order.iccid = order.iccid or answer.sim[:20]
        _carry_out(act, order, words)
    else:
        order.state, order.settled_at = rules.State.REFUSED, act.at
    save_columns(order, ["state", "network_says", "network_reference", "settled_at", "charge", "iccid"])
    return order


def _carry_out(act: Act, order: Order, words: str) -> None:
    day = ledger.carrier_day(act.at)
    label, quantity, kind = "", Decimal(1), LineKind.FEE
    last = phone.last_four(order.line.msisdn)
    if order.kind == rules.Kind.SUSPEND:
        customers.suspend_line(act=act, line_id=order.line_id, reason=order.reason, words=words, day=day, bar=order.bar)
    elif order.kind == rules.Kind.DISCONNECT:
        customers.disconnect_line(act=act, line_id=order.line_id, words=words, day=day)
    elif order.kind == rules.Kind.RESTORE:
        customers.restore_line(act=act, line_id=order.line_id, day=day)
        label = f"Restoring line {last}"
    elif order.kind == rules.Kind.FEATURE:
        customers.switch_feature(act=act, line_id=order.line_id, feature=order.feature, on=bool(order.on))
        label, kind = f"{FEATURE_TITLES[order.feature]}, line {last}", LineKind.ONE_OFF
    elif order.kind == rules.Kind.PLAN and order.plan_id is not None:
        # From the day on which the network did it; the next bill counts the days (billing.rules).
        customers.change_plan(act=act, line_id=order.line_id, plan_id=order.plan_id, on=day, reference=order.number)
    elif order.kind == rules.Kind.SIM:
        customers.change_sim(act=act, line_id=order.line_id, iccid=order.iccid, kind="esim" if order.eid else "sim")
    elif order.kind == rules.Kind.DEVICE and order.device_id is not None:
        customers.change_device(act=act, line_id=order.line_id, device_id=order.device_id)
    elif order.kind == rules.Kind.PORT_OUT:
        customers.disconnect_line(act=act, line_id=order.line_id, words="moved to another carrier", day=day)
        end_transfer_pins(act=act, line_ids=[order.line_id])
    elif order.kind == rules.Kind.DATA:
        # The period in which it was asked for and paid, also when the network answers after its end.
        period = queries.period_of(order.line_id, order.asked_at)
        assert period is not None and order.mb is not None
        customers.add_data(act=act, line_id=order.line_id, mb=order.mb, period=period, reference=order.number)
        label, kind = f"Extra data, {rules.gigabytes(order.mb)}, line {last}", LineKind.USAGE
        quantity = Decimal(order.mb) / rules.MB_IN_GB
    if order.price_minor:
        order.charge = ledger.charge_next_bill(
            act=act,
            account_id=order.account_id,
            line_id=order.line_id,
            kind=kind,
            label=label,
            quantity=quantity,
            unit_price_minor=order.unit_price_minor,
            amount_minor=order.price_minor,
            day=ledger.carrier_day(order.asked_at),
            reference=order.number,
        ).number
