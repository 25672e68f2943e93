"""What the parts of a search for the cause share: whose turn it is, and how a line, a time and a wait are said."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone

from careline.domain.diagnosis import queries
from careline.domain.diagnosis.rules.guide import Guide
from careline.doors.web import forms
from careline.doors.web.account import ContactPage
from careline.doors.web.render import clock, moment, zone
from careline.foundation import phone

SAID = "said:"  # the fields of a step: said:CHECK = OUTCOME
LIVES = {"line": {"phone": "phone", "account": "account", "network": "network", "person": "how it is used"},
         "account": {"account": "account", "person": "their side"}}  # fmt: skip


def turn_of(now: queries.Standing) -> int:
    return 1 + max((x.turn for x in now.said), default=0)


def near(at: datetime | None) -> str | None:
    """The time of day, with the day when it is another one."""
    if at is None:
        return None
    return clock(at) if at.astimezone(zone()).date() == timezone.now().astimezone(zone()).date() else moment(at)


def line_of(desk: ContactPage, line_id: int) -> Any:
    return next((x for x in desk.lines if x.pk == line_id), None)


def line_words(line: Any) -> str:
    device = f", {line.device.make} {line.device.model}" if line.device else ""
    status = f", {line.status}" if line.status != "active" else ""
    return f"{phone.shown(line.msisdn)}{device}{status}"


def takes(seconds: float) -> str:
    if seconds <= 0:
        return ""
    if seconds < 55:
        return f"about {max(5, round(seconds / 5) * 5)} seconds"
    minutes = max(1, round(seconds / 60))
    return f"about {minutes} minute{'s' if minutes > 1 else ''}"


def guide_of(row: Any) -> Guide:
    return queries.guides(row.rulebook)[row.guide]


def address(row: Any, walk: object = "") -> str:
    return forms.contact_address(row.reference, "?section=cause" + (f"&walk={walk}" if walk else ""))
