"""The outside systems of this carrier, behind the rooms' ports.

A setting names the class of each (`CARELINE_MESSENGER`, `CARELINE_PAYMENTS`, `CARELINE_NETWORK`, `CARELINE_DEVICES`: a dotted
path, or `sandbox` for the twin). The demo has the twins unless told otherwise; elsewhere a port that nobody named refuses
each call, and a feed that nobody named knows nothing.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from careline.carriers import press
from careline.carriers.nobody import NoDevices, NoMessenger, NoNetwork, NoPayments
from careline.carriers.sandbox import SandboxDevices, SandboxMessenger, SandboxNetwork, SandboxPayments
from careline.domain.activations.ports import DeviceFeed, Network
from careline.domain.journal.ports import Messenger
from careline.domain.ledger.ports import PaymentProvider, Printer
from careline.foundation.refusal import WayOn, refuse

SANDBOX = "sandbox"
PRINTER = "PRINTER"  # not named by a setting: it is there when its libraries are
INSTALL = f"on Debian: apt install {press.PACKAGES}"
# Port: its twin, what stands there when nobody is named, what that is called, and what then cannot be done.
PORTS: dict[str, tuple[type, type, str, str]] = {
    "MESSENGER": (SandboxMessenger, NoMessenger, "messaging provider", "one-time codes and payment links are refused, receipts reach nobody"),
    "PAYMENTS": (SandboxPayments, NoPayments, "payment provider", "payments and payment links are refused"),
    "NETWORK": (SandboxNetwork, NoNetwork, "network", "orders on lines are refused"),
    "DEVICES": (SandboxDevices, NoDevices, "device feed", "nothing is known of the customers' phones"),
}


def messenger() -> Messenger:
    return cast(Messenger, _made("MESSENGER", settings.MESSENGER))


def hand_over(key: str, channel: str, to: str, body: str, topic: str, subject: str) -> str:
    """Give a message to the messenger now, ahead of the worker, which repeats it under the same key. Whatever a client raises, what
    waits for this goes on: returned is what it raised, or nothing."""
    try:
        messenger().send(key=key, channel=channel, to=to, body=body, topic=topic, subject=subject)
    except Exception as fault:
        return type(fault).__name__
    return ""


def payments() -> PaymentProvider:
    return cast(PaymentProvider, _made("PAYMENTS", settings.PAYMENTS))


def network() -> Network:
    return cast(Network, _made("NETWORK", settings.NETWORK))


def devices() -> DeviceFeed:
    return cast(DeviceFeed, _made("DEVICES", settings.DEVICES))


def printer() -> Printer:
    return press.WeasyPrinter()


def need(port: str, *ways: WayOn) -> None:
    """Refuse a deed that needs this port while nobody stands behind it; `ways` lead on."""
    if say := lacking(port):
        raise refuse("CONFLICT", f"{say} Nothing was sent or taken.", rule="not-set-up", way_on=ways)


def lacking(*ports: str) -> str:
    """Why what needs these ports cannot be done here, or nothing."""
    return next(filter(None, map(_lacking, ports)), "")


def _lacking(port: str) -> str:
    if port == PRINTER:
        return f"No PDF can be made at this desk: {press.missing()} is missing on it ({INSTALL})." if press.missing() else ""
    return "" if getattr(settings, port) else f"No {PORTS[port][2]} is set up at this desk, so this cannot be done here."


def notes() -> list[str]:
    """What whoever starts the desk should know: ports without a system, and twins outside the demo."""
    found = []
    for port, (_, _, title, then) in PORTS.items():
        name = getattr(settings, port)
        _made(port, name)
        if not name:
            found.append(f"no {title} is set up (CARELINE_{port}): {then}")
        elif name == SANDBOX and not settings.DEMO:
            found.append(f"CARELINE_{port} is the sandbox: what goes there is written in clear to the sandbox folder and is not real")
    if name := press.missing():
        found.append(f"no bill can be made as PDF: {name} is missing ({INSTALL})")
    return found


@lru_cache(maxsize=8)
def _made(port: str, name: str) -> Any:
    twin, nobody, title, _ = PORTS[port]
    if name in ("", SANDBOX):
        return twin() if name else nobody()
    try:
        return import_string(name)()
    except ImportError as fault:
        say = f"CARELINE_{port}={name} is no {title} that can be loaded ({fault}). Give the dotted path of its class, or sandbox."
        raise ImproperlyConfigured(say) from fault
