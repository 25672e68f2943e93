"""The acts of the network: a lead says what is wrong in an area, and every line there knows it.

They are deeds of the house: no contact is needed, and their lines stand in the house's chain.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, StringConstraints, model_validator

from careline.acts.declare import ActType, Done, Id, Input, Scene
from careline.domain.journal import rules as journal
from careline.domain.network import operations, rules
from careline.foundation.act import Act
from careline.foundation.refusal import refuse

Words = Annotated[str, Field(min_length=1, max_length=400)]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
Part = Annotated[str, StringConstraints(pattern=r"^[ -~]{1,40}$")]
Parts = Annotated[list[Part], Field(max_length=2000)]


def written(value: Any) -> Any:
    """A number is no time: it could be read as seconds since 1970."""
    if isinstance(value, int | float) or (isinstance(value, str) and not re.match(r"\s*[0-9]{4}-", value)):
        raise ValueError("Give a time as YYYY-MM-DDTHH:MM and its zone, such as 2026-11-24T15:00Z.")
    return value


def sensible(moment: datetime) -> datetime:
    if not 2000 <= moment.year <= 2199:
        raise ValueError("Give a time of these years.")
    return moment


Moment = Annotated[AwareDatetime, BeforeValidator(written), AfterValidator(sensible)]
# What clocks may differ by: a trouble "now" that a faster clock reported is not in the future.
SKEW = timedelta(minutes=5)


class NameArea(Input):
    """An area by the starts of its postal codes, its cells, or as all there is. The same code again replaces it."""

    short: Code
    name: Annotated[str, Field(min_length=1, max_length=80)]
    postal: Parts = []
    cells: Parts = []
    everywhere: bool = False

    @model_validator(mode="after")
    def holds_something(self) -> NameArea:
        if not (self.everywhere or any(rules.plain_postal(p) for p in self.postal) or any(map(rules.plain_cell, self.cells))):
            raise ValueError("Give the starts of postal codes, cells, or everywhere.")
        return self


class Report(Input):
    """`words` are what an associate reads out to a customer. `began` left out: now."""

    area: Id
    kind: Literal["outage", "maintenance", "congestion"]
    voice: bool = False
    data: bool = False
    text: bool = False
    began: Moment | None = None
    expected_end: Moment | None = None
    words: Words

    @model_validator(mode="after")
    def something_is_wrong(self) -> Report:
        if not (self.voice or self.data or self.text):
            raise ValueError("Say which services are affected.")
        if self.kind == "maintenance" and (self.began is None or self.expected_end is None):
            raise ValueError("A maintenance window has a beginning and an end.")
        if self.began and self.expected_end and self.expected_end <= self.began:
            raise ValueError("It cannot end before it begins.")
        return self


class Extend(Input):
    outage: Id
    expected_end: Moment
    words: Annotated[str, Field(max_length=400)] = ""


class End(Input):
    outage: Id


def name_area(act: Act, given: NameArea, scene: Scene) -> Done:
    area = operations.name_area(
        act=act,
        code=given.short,
        name=given.name,
        postal=[p for p in given.postal if rules.plain_postal(p)],
        cells=[c for c in given.cells if rules.plain_cell(c)],
        everywhere=given.everywhere,
    )
    words = {"name": area.name, "postal": given.postal, "cells": given.cells, "everywhere": given.everywhere}
    return Done(f"Area {area.code} named", {"area": str(area.pk)}, payload=words, chain=journal.HOUSE)


def _staff_only(act: Act) -> None:
    if not act.who.id.isdigit():
        raise refuse("CONFLICT", "Only somebody who works here can enter this.")


def report_outage(act: Act, given: Report, scene: Scene) -> Done:
    _staff_only(act)
    began = given.began or act.at
    if given.kind != "maintenance" and began > act.at + SKEW:
        raise refuse("INVALID", "Only maintenance lies ahead.", fields={"began": "Give the time when it began, or leave it out."})
    if given.expected_end and given.expected_end <= act.at:
        raise refuse("INVALID", "The expected end is past.", fields={"expected_end": "Choose a later time, or leave it out."})
    services = frozenset(s.value for s in rules.Service if getattr(given, s.value))
    row = operations.report(
        act=act,
        area_id=given.area,
        kind=given.kind,
        services=services,
        began=min(began, act.at) if given.kind != "maintenance" else began,
        expected_end=given.expected_end,
        words=given.words,
    )
    say = f"{row.number}: {row.kind} in {row.area.code}, {', '.join(sorted(services))}"
    return _done(row, say, {"words": row.words})


def extend_outage(act: Act, given: Extend, scene: Scene) -> Done:
    _staff_only(act)
    if given.expected_end <= act.at:
        raise refuse("INVALID", "The expected end is past.", fields={"expected_end": "Choose a later time."})
    row = operations.extend(act=act, trouble_id=given.outage, expected_end=given.expected_end, words=given.words)
    return _done(row, f"{row.number}: expected until {given.expected_end.isoformat()}", {"words": row.words})


def end_outage(act: Act, given: End, scene: Scene) -> Done:
    _staff_only(act)
    row = operations.end(act=act, trouble_id=given.outage)
    return _done(row, f"{row.number}: {row.kind} in {row.area.code} is over", None)


def _done(row: Any, say: str, words: dict[str, Any] | None) -> Done:
    return Done(say, {"outage": row.number, "id": str(row.pk)}, payload=words, chain=journal.HOUSE)


ACTS = [
    ActType("network.name_area", "Name an area", NameArea, name_area),
    ActType("network.report_outage", "Report an outage", Report, report_outage),
    ActType("network.extend_outage", "Extend an outage", Extend, extend_outage),
    ActType("network.end_outage", "End an outage", End, end_outage),
]
