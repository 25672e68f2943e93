"""Entering what is wrong on the network. The area's row, then the trouble's own, is locked while it is written."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from careline.domain.journal.operations import next_numbers
from careline.domain.network import rules
from careline.domain.network.models import Area, AreaPart, Trouble
from careline.foundation.act import Act
from careline.foundation.refusal import refuse


def name_area(*, act: Act, code: str, name: str, postal: Iterable[str], cells: Iterable[str], everywhere: bool) -> Area:
    """Name an area and say what it is made of; the same code again replaces both."""
    area, _ = Area.objects.select_for_update(no_key=True).update_or_create(code=code, defaults={"name": name})
    parts = {(rules.PartKind.POSTAL, rules.plain_postal(p)) for p in postal}
    parts |= {(rules.PartKind.CELL, rules.plain_cell(c)) for c in cells}
    if everywhere:
        parts.add((rules.PartKind.EVERYWHERE, ""))
    AreaPart.objects.filter(area=area).delete()
    AreaPart.objects.bulk_create(AreaPart(area=area, kind=kind, value=value) for kind, value in sorted(parts))
    return area


def report(
    *,
    act: Act,
    area_id: int,
    kind: str,
    services: frozenset[str],
    began: datetime,
    expected_end: datetime | None,
    words: str,
) -> Trouble:
    """Enter a trouble. One of the same kind that is open in the area for any of the services is extended instead."""
    area = Area.objects.select_for_update(no_key=True).filter(pk=area_id).first()
    if area is None:
        raise refuse("NOT_FOUND", "There is no such area.", fields={"area": "Choose one."})
    for other in Trouble.objects.filter(area=area, kind=kind, ended=None).select_related("entered_by"):
        open_still = rules.phase(kind=kind, began=other.began, expected_end=other.expected_end, ended=None, at=act.at)
        apart = kind == rules.Kind.MAINTENANCE and (
            (other.expected_end or began) <= began or (expected_end is not None and expected_end <= other.began)
        )
        if other.services & services and open_still != rules.Phase.OVER and not apart:
            raise refuse(
                "CONFLICT",
                f"{other.number} says this already, entered by {other.entered_by.name}. Extend that one, or end it first.",
                rule="trouble-known",
            )
    return Trouble.objects.create(
        number=next_numbers("trouble", "NT")[0],
        area=area,
        kind=kind,
        **{s.value: s.value in services for s in rules.Service},
        began=began,
        expected_end=expected_end,
        words=words,
        entered_by_id=int(act.who.id),
        entered_at=act.at,
        changed_by_id=int(act.who.id),
    )


def extend(*, act: Act, trouble_id: int, expected_end: datetime, words: str) -> Trouble:
    """A new expected end, and new words for the customer when there are any."""
    row = _open(trouble_id, act.at)
    if expected_end <= row.began:
        raise refuse("INVALID", "It cannot end before it begins.", fields={"expected_end": "Choose a later time."})
    row.expected_end, row.changed_by_id = expected_end, int(act.who.id)
    row.words = words or row.words
    row.save(update_fields=["expected_end", "changed_by", "words"])
    return row


def end(*, act: Act, trouble_id: int) -> Trouble:
    """It is over; a window that has not begun is called off."""
    row = _open(trouble_id, act.at)
    row.ended, row.changed_by_id = act.at, int(act.who.id)
    row.save(update_fields=["ended", "changed_by"])
    return row


def _open(trouble_id: int, at: datetime) -> Trouble:
    row = (
        Trouble.objects.select_for_update(no_key=True, of=("self",)).select_related("area").filter(pk=trouble_id).first()
    )
    if row is None:
        raise refuse("NOT_FOUND", "There is no such outage.")
    if rules.phase(kind=row.kind, began=row.began, expected_end=row.expected_end, ended=row.ended, at=at) == rules.Phase.OVER:
        raise refuse("CONFLICT", f"{row.number} is over already.")
    return row
