"""Orders on lines: their states, their prices, and the facts of a line that a diagnosis asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from careline.foundation.money import share


class Kind(StrEnum):
    SUSPEND = "suspend"
    RESTORE = "restore"
    FEATURE = "feature"
    DATA = "data"
    PLAN = "plan"
    REFRESH = "refresh"
    RESET = "reset"
    DISCONNECT = "disconnect"
    SIM = "sim"
    DEVICE = "device"
    PORT_OUT = "port_out"


class State(StrEnum):
    """asked -> done or refused; unknown while the network does not say what became of it."""

    ASKED = "asked"
    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"


OBJECTED = "Its holder said no"  # what an order says that was stopped while it waited
IN_FLIGHT = frozenset({State.ASKED, State.UNKNOWN})
# What is done to a suspended line too: a lost phone is suspended first, and gets its new SIM then; a number goes owing or not.
WHILE_SUSPENDED = frozenset({Kind.RESTORE, Kind.REFRESH, Kind.SIM, Kind.DEVICE, Kind.PORT_OUT})
MB_IN_GB = 1024
NO_LIMIT = 10**10

# What a suspension is that somebody imported with words only.
UNNAMED = "other"


class PortRefusal(StrEnum):
    """Why a carrier that asks for a number does not get it. Never what the account owes: the debt stays, the number goes."""

    ACCOUNT = "account"
    POSTAL_CODE = "postal_code"
    NO_PIN = "no_pin"
    PIN = "pin"


PORT_REFUSALS = {
    PortRefusal.ACCOUNT: "The account number does not belong to this number.",
    PortRefusal.POSTAL_CODE: "The ZIP code is not the account's.",
    PortRefusal.NO_PIN: "No transfer PIN is in force for this number. Its holder asks us for one.",
    PortRefusal.PIN: "The transfer PIN does not match.",
}


def port_refusal(*, account: bool, postal_code: bool, pin: bool | None) -> PortRefusal | None:
    """What is wrong with a request for a number; None: it goes. `pin` None: there is none in force.

    A wrong account or ZIP code is said before the PIN is looked at, so that it costs nobody a try.

    >>> port_refusal(account=True, postal_code=True, pin=True), port_refusal(account=True, postal_code=False, pin=False).value
    (None, 'postal_code')
    """
    if not account:
        return PortRefusal.ACCOUNT
    if not postal_code:
        return PortRefusal.POSTAL_CODE
    if pin is None:
        return PortRefusal.NO_PIN
    return None if pin else PortRefusal.PIN


def price_per_gb(plan_price_minor: int | None, limits: Mapping[str, Any]) -> int:
    """What a GB costs before tax (minor units): the plan's own price, or the rulebook's."""
    return plan_price_minor if plan_price_minor is not None else int(limits["data"]["price_per_gb"])


def data_price(mb: int, per_gb_minor: int) -> int:
    """The price of so much data before tax, rounded once.

    >>> data_price(512, 500), data_price(2048, 333)
    (250, 666)
    """
    return share(per_gb_minor, mb, MB_IN_GB)


def gigabytes(mb: int) -> str:
    """
    >>> gigabytes(512), gigabytes(2048)
    ('0.5 GB', '2 GB')
    """
    return f"{mb / MB_IN_GB:g} GB"


def contract_ended(ends_on: date | None, today: date) -> bool:
    return ends_on is not None and ends_on < today


@dataclass(frozen=True, slots=True)
class OrderFact:
    """An order as it stands."""

    number: str
    kind: str
    state: str
    asked_at: datetime
    feature: str
    on: bool | None
    reason: str


@dataclass(frozen=True, slots=True)
class LineFacts:
    """What the carrier's own books say of a line at a moment. Amounts are minor units, data is in MB.

    None means: nobody knows (`device_compatible`), or there is no limit (`data_allowed`, `data_left`, `data_room`,
    `spending_limit`, `spending_left`). `data_allowed` holds what was added; `data_room` is how much more may be added
    in this bill period.
    """

    line_id: int
    account_id: int
    number: str
    status: str
    suspended_for: str
    suspended_why: str
    suspended_since: date | None
    contract_ends_on: date | None
    contract_ended: bool
    past_due: int
    past_due_since: date | None
    plan_code: str
    plan_name: str
    plan_price: int
    price_per_gb: int
    features: frozenset[str]
    data_allowed: int | None
    data_added: int
    data_used: int
    data_left: int | None
    data_used_up: bool
    data_room: int | None
    period_from: date
    period_to: date
    spending_limit: int | None
    spent: int
    spending_left: int | None
    device_make: str
    device_model: str
    device_imei: str
    device_tac: str
    device_compatible: bool | None
    device_blocked: str
    sim_kind: str
    sim_state: str
    sim_since: datetime | None
    sim_last_four: str
    can_text: bool
    postal_code: str
    in_flight: tuple[OrderFact, ...]
    last_orders: tuple[OrderFact, ...]


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What a device feed knows of a line's phone. `known` False: nothing at all, and every other fact is empty.

    `stale`: it is older than the rulebook trusts (device.stale_minutes), so it suggests and does not settle."""

    known: bool
    at: datetime | None = None
    age_seconds: int | None = None
    stale: bool = True
    registered: bool | None = None
    roaming: bool | None = None
    network: str = ""
    technology: str = ""
    cells: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


def device_facts(seen: Any, at: datetime, stale_minutes: int) -> DeviceFacts:
    """`seen` is what a `DeviceFeed` answered (`ports.Seen`, or None)."""
    if seen is None:
        return DeviceFacts(False)
    age = at - seen.at
    return DeviceFacts(
        known=True,
        at=seen.at,
        age_seconds=max(int(age.total_seconds()), 0),
        stale=age > timedelta(minutes=stale_minutes),
        registered=seen.registered,
        roaming=seen.roaming,
        network=seen.network,
        technology=seen.technology,
        cells=seen.cells,
        settings=dict(seen.settings),
    )
