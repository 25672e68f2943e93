"""Probes of the diagnosis: read-only questions to any room and to the feeds, each answering one check of the guides.

A probe is declared like an act: its name in the guides, where the answer comes from, and a function of the line's facts.
None means that nobody knows; the engine then learns nothing from it. What a feed knew too long ago is such a None: it is
kept beside the answer as what was read then, for the associate, and the customer is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from careline.carriers import devices, network
from careline.domain.activations import queries as activations
from careline.domain.activations.ports import Profile, Seen
from careline.domain.activations.rules import LineFacts
from careline.domain.customers.rules import SimState
from careline.domain.diagnosis.rules.guide import Check
from careline.domain.network import queries as networks
from careline.domain.network.rules import Trouble

CHANGED_LATELY = timedelta(days=3)


@dataclass(frozen=True)
class Known:
    """What is known of a line at a moment: the books, the troubles of its place, and the feeds if they were asked.
    `services`: those that a trouble must touch to matter (voice, data, text); empty: any."""

    facts: LineFacts
    at: datetime
    limits: Mapping[str, Any]
    troubles: tuple[Trouble, ...] = ()
    seen: Seen | None = None
    profile: Profile | None = None
    services: frozenset[str] = frozenset()

    @property
    def matter(self) -> tuple[Trouble, ...]:
        """The troubles of its place that touch what the guide is about."""
        return tuple(x for x in self.troubles if not self.services or x.services & self.services)

    def setting(self, name: str) -> str | None:
        """A setting of the phone as device management read it, in the guides' words; None: unknown."""
        if self.seen is None or name not in self.seen.settings:
            return None
        return in_guides_words(name, self.seen.settings[name], self.limits["device"])


OURS = {"apn": "apn", "mmsc": "mmsc"}
PLAIN = {
    "network_mode": {"2g": "old", "3g": "old", "4g": "new", "5g": "new", "lte": "new", "auto": "new"},
    "carrier_settings": {"outdated": "old", "current": "new"},
    "system": {"outdated": "old", "current": "new"},
}


def in_guides_words(name: str, raw: str, ours: Mapping[str, Any]) -> str:
    """A feed's value as the guides name it: an access point is right or wrong against the carrier's own, a network mode
    old or new, storage (percent used) free or full. What is no such value is left as it is."""
    value = raw.strip().lower()
    if name in OURS:
        return value if value in ("right", "wrong") else "right" if value == str(ours[OURS[name]]).lower() else "wrong"
    if name == "storage" and value.rstrip("%").isdigit():
        return "full" if int(value.rstrip("%")) >= int(ours["storage_full_percent"]) else "free"
    return PLAIN.get(name, {"true": "on", "false": "off", "1": "on", "0": "off"}).get(value, value)


@dataclass(frozen=True)
class Probe:
    """`source`: account, network or device. `read`: the outcome's id, however long ago it was so, or None when nobody knows."""

    name: str
    source: str
    read: Callable[[Known], str | None]


def _yes(so: bool, yes: str, no: str) -> str:
    return yes if so else no


def _suspended_why(known: Known) -> str:
    if known.facts.status != "suspended":
        return "not_suspended"
    return known.facts.suspended_for or "other"


def _sim(known: Known) -> str:
    facts = known.facts
    if facts.sim_state != SimState.ACTIVE:
        return str(facts.sim_state)
    if facts.sim_since and known.at - facts.sim_since <= CHANGED_LATELY:
        return "changed_lately"
    return "active"


def _trouble(known: Known) -> str:
    kinds = [str(x.kind) for x in known.matter]
    return next((kind for kind in ("outage", "maintenance", "congestion") if kind in kinds), "none")


def _registration(known: Known) -> str | None:
    if known.seen is None or known.seen.registered is None:
        return None
    return _yes(known.seen.registered, "registered", "not_registered")


def _profile(known: Known) -> str | None:
    if known.profile is None:
        return None
    same = known.profile.features == known.facts.features and known.profile.barred == (known.facts.status == "suspended")
    return _yes(same, "same", "differs")


def _feature(name: str) -> Callable[[Known], str]:
    def read(known: Known) -> str:
        if name in known.facts.features:
            return "on"
        return _yes(known.facts.plan_code in known.limits["feature"].get(name, {}).get("not_on", ()), "not_in_plan", "off")

    return read


def _home(known: Known) -> str | None:
    """Registered at home: what a phone that is abroad should not be."""
    if known.seen is None or known.seen.roaming is None or _registration(known) is None:
        return None
    return _yes(bool(known.seen.registered) and not known.seen.roaming, "registered", "not_registered")


def _setting(name: str) -> Callable[[Known], str | None]:
    return lambda known: known.setting(name)


FEATURES = (
    "mobile_data", "roaming", "wifi_calling", "hotspot", "voicemail", "volte", "picture_messaging", "spam_blocking",
    "international_calling",
)  # fmt: skip
SETTINGS = (
    "airplane_mode", "mobile_data", "data_roaming", "apn", "mmsc", "data_saver", "vpn", "network_mode", "carrier_settings", "system",
    "storage", "wifi_calling", "hotspot", "do_not_disturb", "volte",
)  # fmt: skip

PROBES: dict[str, Probe] = {
    probe.name: probe
    for probe in (
        Probe("line.status", "account", lambda k: k.facts.status),
        Probe("line.suspended_why", "account", _suspended_why),
        Probe("line.past_due", "account", lambda k: _yes(k.facts.past_due > 0, "owed", "none")),
        Probe("line.contract", "account", lambda k: _yes(k.facts.contract_ended and k.facts.status != "active", "ended", "running")),
        Probe("line.allowance", "account", lambda k: _yes(k.facts.data_used_up, "used_up", "left")),
        Probe("line.spending_limit", "account", lambda k: _yes(k.facts.spending_left == 0, "reached", "clear")),
        Probe("line.port_in", "account", lambda k: _yes(k.facts.status == "pending", "open", "none")),
        Probe("line.sim", "account", _sim),
        Probe("device.compatible", "account", lambda k: None if k.facts.device_compatible is None else _yes(k.facts.device_compatible, "yes", "no")),
        Probe("device.blocked", "account", lambda k: _yes(bool(k.facts.device_blocked), "yes", "no")),
        Probe("network.outage", "network", _trouble),
        Probe("network.registration", "device", _registration),
        Probe("network.home_registration", "device", _home),
        Probe("network.profile", "network", _profile),
        Probe("network.coverage", "network", lambda k: None),  # no carrier's coverage map is connected yet
        *(Probe(f"line.feature.{name}", "account", _feature(name)) for name in FEATURES),
        *(Probe(f"device.settings.{name}", "device", _setting(name)) for name in SETTINGS),
    )
}  # fmt: skip

def books(line_id: int, at: datetime, limits: Mapping[str, Any], *, seen: Seen | None = None, profile: Profile | None = None,
          services: Sequence[str] = ()) -> Known | None:
    """What the carrier's own books say of the line, with what the feeds answered if they were asked: the troubles are those
    of its home and of the cells that it was seen at lately. None: there is no such line."""
    facts = activations.line_facts(line_id, at, limits=limits)
    if facts is None:
        return None
    lately = seen is not None and not _old(seen.at, at, limits["device"]["stale_minutes"])
    troubles = networks.outages_for(line_id, at, seen.cells if seen is not None and lately else ())
    return Known(facts, at, limits, tuple(troubles), seen, profile, frozenset(services))


def _old(read: datetime, at: datetime, minutes: float) -> bool:
    return at - read > timedelta(minutes=minutes)


def feeds(number: str, imei: str) -> tuple[Seen | None, Profile | None]:
    """Ask the feeds, with no transaction open. A feed that does not answer knows nothing."""
    try:
        seen = devices().seen(number=number, imei=imei)
    except OSError:
        seen = None
    try:
        profile = network().profile(number=number)
    except OSError:
        profile = None
    return seen, profile


@dataclass(frozen=True, slots=True)
class Found:
    """One probe's answer. `outcome`: None when nobody knows, or nothing that the guide speaks of. `as_of`: when a feed knew
    it. `note`: what else is to be shown: `old`, the outcome that was read too long ago to count; `troubles`, the numbers of
    what is wrong in the area."""

    outcome: str | None
    source: str
    as_of: datetime | None = None
    note: Mapping[str, Any] = field(default_factory=dict)


def read(checks: Iterable[Check], known: Known) -> dict[str, Found]:
    """The answer of each probe of a guide. A reading of the phone counts for as long as its check says (`stale_minutes`), or
    else the rulebook."""
    found: dict[str, Found] = {}
    for check in checks:
        probe, outcomes = PROBES.get(check.id), {x.id for x in check.outcomes}
        said = probe.read(known) if probe else None
        if said == "not_in_plan" and said not in outcomes:
            said = "off"
        if said not in outcomes:
            said = None
        if probe is None or probe.source != "device" or known.seen is None:
            numbers = [x.number for x in known.matter if x.kind == said] if check.id == "network.outage" else []
            found[check.id] = Found(said, probe.source if probe else "account", None, {"troubles": numbers} if numbers else {})
            continue
        old = said is not None and _old(known.seen.at, known.at, check.stale_minutes or known.limits["device"]["stale_minutes"])
        found[check.id] = Found(None if old else said, "device", known.seen.at, {"old": said} if old else {})
    return found
