"""What is wrong on the network, and for which lines."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from django.db.models import CharField, Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Replace, Upper

from careline.domain.customers import queries as customers
from careline.domain.network import rules
from careline.domain.network.models import Area, AreaPart, Trouble
from careline.foundation.calendar import on_the_wall
from careline.prepared import moment, prepared
from careline.prepared import words as texts


def areas() -> list[Area]:
    """Every area by name, with its parts."""
    return list(Area.objects.prefetch_related("parts").order_by("name"))


def area(area_id: int) -> Area | None:
    return Area.objects.filter(pk=area_id).first()


def trouble(trouble_id: int) -> Trouble | None:
    return Trouble.objects.select_related("area", "entered_by").filter(pk=trouble_id).first()


def by_numbers(numbers: Collection[str], at: datetime) -> list[rules.Trouble]:
    """Troubles by their numbers, as they stand now, over or not; the one that began first leads."""
    rows = Trouble.objects.filter(number__in=numbers).select_related("area", "entered_by").order_by("began", "pk")
    return [_fact(row, "", at) for row in rows]


def outages_for(line_id: int, at: datetime, cells: Sequence[str] = ()) -> list[rules.Trouble]:
    """What is wrong now where this line is: where its account is at home, and at the cells it was seen at lately.

    Outages first, then maintenance, then congestion; the one that began first leads. A planned window is no trouble yet
    (`planned_for`).
    """
    return _facts(_where(customers.line_place(line_id), cells), at, rules.Phase.NOW)


def planned_for(line_id: int, at: datetime, cells: Sequence[str] = ()) -> list[rules.Trouble]:
    """Maintenance that is entered for this line's place and has not begun."""
    return _facts(_where(customers.line_place(line_id), cells), at, rules.Phase.PLANNED)


def outages_at(at: datetime, *, postal_code: str = "", cells: Sequence[str] = ()) -> list[rules.Trouble]:
    """What is wrong now at a place that is no line's home: where a caller says they are."""
    return _facts(_where(postal_code, cells), at, rules.Phase.NOW)


def planned_at(at: datetime, *, postal_code: str = "", cells: Sequence[str] = ()) -> list[rules.Trouble]:
    """Maintenance that is entered for a place and has not begun."""
    return _facts(_where(postal_code, cells), at, rules.Phase.PLANNED)


def areas_at(postal_code: str) -> list[str]:
    """The names of the areas that hold a postal code; those that are everywhere are not asked."""
    starts = rules.starts_of(postal_code)
    return list(Area.objects.filter(parts__kind=rules.PartKind.POSTAL, parts__value__in=starts).distinct().order_by("name").values_list("name", flat=True))


def over_since(since: datetime, at: datetime) -> list[rules.Trouble]:
    """What was over between two moments, the last first: ended by somebody, or a window that closed by itself."""
    closed = Q(ended=None, kind=rules.Kind.MAINTENANCE, expected_end__gte=since, expected_end__lte=at)
    rows = Trouble.objects.filter(Q(ended__gte=since, ended__lte=at) | closed).select_related("area", "entered_by")
    found = [_fact(row, "", at) for row in rows.order_by("-began", "-pk")[:100]]
    return sorted(found, key=lambda x: x.ended or x.began, reverse=True)


def open_outages(at: datetime) -> list[rules.Trouble]:
    """Everything that holds now or is planned, newest first."""
    rows = Trouble.objects.filter(Q(ended=None) | Q(ended__gt=at)).select_related("area", "entered_by").order_by("-began", "-pk")
    return [_fact(row, "", at) for row in rows if _phase(row, at) != rules.Phase.OVER]


KINDS = {rules.Kind.OUTAGE: "Outage", rules.Kind.MAINTENANCE: "Planned work", rules.Kind.CONGESTION: "Overload"}
SERVICES = {"voice": "calls", "data": "data", "text": "texts"}


def title(trouble: rules.Trouble) -> str:
    """`Outage in Seattle, Duwamish: calls, data`."""
    return f"{KINDS[rules.Kind(trouble.kind)]} in {trouble.area}: {', '.join(words for name, words in SERVICES.items() if name in trouble.services)}"


def open_near(postal_code: F | OuterRef) -> Exists:
    """Whether anything is wrong or planned at a postal code, as a column: where nothing is, nobody asks what."""
    words = CharField()
    plain = Upper(Replace(Replace(postal_code, Value(" "), output_field=words), Value("-"), output_field=words), output_field=words)
    here = Q(area__parts__kind=rules.PartKind.EVERYWHERE) | Q(area__parts__kind=rules.PartKind.POSTAL, place__startswith=F("area__parts__value"))
    return Exists(Trouble.objects.filter(ended=None).annotate(place=plain).filter(here))


def signals(postal_code: str, zone: str, line: int | None, at: datetime) -> list[customers.Signal]:
    """What is wrong now where an account is at home; `line` is where the way forward begins. One question. Times are those of `zone`."""
    found = sorted((row for row in _open_at(starts=rules.starts_of(postal_code), at=at) if _phase(row, at) == rules.Phase.NOW), key=lambda row: (_ORDER[rules.Kind(row.kind)], row.began, row.pk))
    signals = []
    for fact in (_fact(row, "", at) for row in found[:2]):
        until = f", expected until {on_the_wall(fact.expected_end, zone, at)}" if fact.expected_end and not fact.overdue else ""
        signals.append(customers.Signal(
            "network_trouble", title(fact), f"Since {on_the_wall(fact.began, zone, at)}{until}. {fact.words}", 92 if fact.kind == rules.Kind.OUTAGE else 50, section="cause", line=line,
        ))  # fmt: skip
    return signals


@prepared
def _open_at() -> QuerySet[Trouble]:
    here = Q(area__parts__kind=rules.PartKind.EVERYWHERE) | Q(area__parts__kind=rules.PartKind.POSTAL, area__parts__value__in=texts("starts"))
    return Trouble.objects.filter(Q(ended=None) | Q(ended__gt=moment("at"))).filter(here).select_related("area", "entered_by").distinct()


_ORDER = {rules.Kind.OUTAGE: 0, rules.Kind.MAINTENANCE: 1, rules.Kind.CONGESTION: 2}


def _where(postal_code: str, cells: Iterable[str]) -> dict[int, str]:
    """The areas that hold a place, each with the part that says so; the narrowest part wins."""
    wanted = Q(kind=rules.PartKind.EVERYWHERE)
    if starts := rules.starts_of(postal_code):
        wanted |= Q(kind=rules.PartKind.POSTAL, value__in=starts)
    if plain := [rules.plain_cell(c) for c in cells if c.strip()]:
        wanted |= Q(kind=rules.PartKind.CELL, value__in=plain)
    rank = {rules.PartKind.EVERYWHERE: 0, rules.PartKind.POSTAL: 1, rules.PartKind.CELL: 2}
    found = sorted(AreaPart.objects.filter(wanted).values_list("area_id", "kind"), key=lambda row: rank[rules.PartKind(row[1])])
    return dict(found)


def _facts(where: dict[int, str], at: datetime, wanted: rules.Phase) -> list[rules.Trouble]:
    if not where:
        return []
    rows = Trouble.objects.filter(Q(ended=None) | Q(ended__gt=at), area_id__in=where).select_related("area", "entered_by")
    held = [row for row in rows if _phase(row, at) == wanted]
    held.sort(key=lambda row: (_ORDER[rules.Kind(row.kind)], row.began, row.pk))
    return [_fact(row, where[row.area_id], at) for row in held]


def _phase(row: Trouble, at: datetime) -> rules.Phase:
    return rules.phase(kind=row.kind, began=row.began, expected_end=row.expected_end, ended=row.ended, at=at)


def _fact(row: Trouble, matched_by: str, at: datetime) -> rules.Trouble:
    return rules.Trouble(
        id=row.pk,
        number=row.number,
        area=row.area.name,
        kind=row.kind,
        services=row.services,
        began=row.began,
        expected_end=row.expected_end,
        overdue=row.expected_end is not None and row.expected_end <= at,
        words=row.words,
        entered_by=row.entered_by.name,
        matched_by=matched_by,
        ended=(row.ended or row.expected_end) if _phase(row, at) == rules.Phase.OVER else None,
    )
