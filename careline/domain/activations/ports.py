"""What the desk needs of the network's provisioning and of a device feed. Adapters live in `carriers`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Wish:
    """One order: what is wanted of the network for a number, and how the line shall stand after it.

    `kind` is suspend, restore, disconnect, feature, data, plan, refresh, reset, sim, device or port_out; `plan` the code of the plan that
    the line shall have. A new SIM is `new_sim` (an ICCID) or, for an eSIM, the `eid` of the device that its profile is for; `imei` the
    phone that is used from now on; `to` the carrier that the number goes to. `features` and `barred` say how the whole line shall
    stand, so that a refresh can put right what has drifted. `bar` is "outgoing" (what comes in is kept) or "all"; the numbers in
    `reachable` pass all the same, and 911 whatever anybody says.
    """

    kind: str
    number: str
    sim: str = ""
    feature: str = ""
    on: bool = False
    mb: int = 0
    plan: str = ""
    new_sim: str = ""
    eid: str = ""
    imei: str = ""
    to: str = ""
    features: tuple[str, ...] = ()
    barred: bool = False
    bar: str = "all"
    reachable: tuple[str, ...] = ("911", "988", "611")


@dataclass(frozen=True, slots=True)
class Answer:
    """`done` is None when nobody knows: the network did not answer in time. `reason`: why it refused. `sim`: the ICCID of the
    profile that was made for an eSIM."""

    done: bool | None
    reason: str = ""
    reference: str = ""
    sim: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """How the network itself has a line: what is switched on there, and whether it is barred."""

    features: frozenset[str]
    barred: bool


class Network(Protocol):
    """Orders on lines. An adapter may raise OSError when the network cannot be reached; that is an unknown answer."""

    def order(self, *, key: str, wish: Wish) -> Answer:
        """Carry out an order. The same `key` twice is one order with one answer."""
        ...

    def ask(self, *, key: str) -> Answer:
        """What became of an order. A key that the network never got is void from then on: `done` is False, and an order
        that arrives late under it is refused."""
        ...

    def profile(self, *, number: str) -> Profile | None:
        """How the network has this line, or None when it cannot say."""
        ...


@dataclass(frozen=True, slots=True)
class Seen:
    """What a device feed knows of a phone, and when it knew it. None and missing settings: it does not say.

    `network` is the public land mobile network it was on (`310-260`); `cells` those it was seen at, newest first;
    `settings` are what device management reads: airplane_mode, mobile_data, data_roaming, network_mode, apn, ...
    """

    at: datetime
    registered: bool | None = None
    roaming: bool | None = None
    network: str = ""
    technology: str = ""
    cells: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


class DeviceFeed(Protocol):
    def seen(self, *, number: str, imei: str) -> Seen | None:
        """The newest that is known of this line's phone; None: nothing. May raise OSError when it cannot be reached."""
        ...
