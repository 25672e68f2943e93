"""Civil days and moments: two different things, turned into each other by a zone.

A ``date`` is a civil day in some zone; a ``datetime`` is a moment and is aware.
Nothing here asks what time it is. Zone rules are those of the installed IANA
data (``zoneinfo``).
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Set
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

_DAY: Final = timedelta(days=1)
_MONDAY, _THURSDAY, _SATURDAY, _SUNDAY = 0, 3, 5, 6


def add_months(day: date, n: int) -> date:
    """The same day of the month ``n`` months on (back if negative), or that
    month's last day when it is shorter. ValueError outside years 1 to 9999."""
    months = day.year * 12 + day.month - 1 + n
    return _in_month(months, day.day)


def us_federal_holidays(year: int) -> frozenset[date]:
    """The days in ``year`` on which US federal offices are closed for a holiday.

    Observed days (5 U.S.C. 6103 and Executive Order 11582): Friday for a
    holiday on Saturday, Monday for one on Sunday. So 2021 has 31 December (the
    New Year's Day of 2022) and 2022 has no New Year's Day. Inauguration Day,
    kept only around Washington, is left out. Juneteenth from 2021. ValueError
    before 1986, when today's list was not yet in force.
    """
    if year < 1986:
        raise ValueError("Federal holidays are known from 1986 on.")
    days = [
        date(year, 1, 1),
        _nth(year, 1, _MONDAY, 3),  # Birthday of Martin Luther King, Jr.
        _nth(year, 2, _MONDAY, 3),  # Washington's Birthday
        _nth(year, 6, _MONDAY, 1) - 7 * _DAY,  # Memorial Day: the last Monday in May
        date(year, 7, 4),
        _nth(year, 9, _MONDAY, 1),  # Labor Day
        _nth(year, 10, _MONDAY, 2),  # Columbus Day
        date(year, 11, 11),
        _nth(year, 11, _THURSDAY, 4),  # Thanksgiving Day
        date(year, 12, 25),
        date(year + 1, 1, 1),
    ]
    if year >= 2021:
        days.append(date(year, 6, 19))
    return frozenset(seen for seen in map(_observed, days) if seen.year == year)


def business_day(day: date, holidays: Set[date]) -> bool:
    """Whether the day is Monday to Friday and not one of ``holidays``."""
    return day.weekday() < _SATURDAY and day not in holidays


def add_business_days(day: date, n: int, holidays: Set[date] | None = None) -> date:
    """The ``n``-th business day after ``day``, which is itself not counted.

    Back if negative; ``day`` as it is if 0. Without ``holidays``, the US federal
    ones of every year on the way (ValueError before 1986).
    """
    step = _DAY if n > 0 else -_DAY
    known: dict[int, Set[date]] = {}
    left = abs(n)
    while left:
        day += step
        if holidays is None and day.year not in known:
            known[day.year] = us_federal_holidays(day.year)
        left -= business_day(day, known[day.year] if holidays is None else holidays)
    return day


def civil_date(moment: datetime, zone: str) -> date:
    """The date on a wall in ``zone`` (IANA name) at that moment.

    ValueError for a naive moment or an unknown zone.
    """
    if moment.utcoffset() is None:
        raise ValueError("A moment must carry its offset from UTC.")
    return moment.astimezone(_zone(zone)).date()


def zone_word(moment: datetime, zone: str) -> str:
    """What people call a zone: `PT`, `ET`, `HT`; summer and winter alike. ValueError for an unknown zone."""
    name = moment.astimezone(_zone(zone)).tzname() or zone
    return f"{name[:-2]}T" if name.isalpha() and len(name) > 2 and name[-2:] in ("ST", "DT") else name


def hour_said(local: datetime | time) -> str:
    """`6:30 pm`: what a clock that shows this says."""
    return f"{local.hour % 12 or 12}:{local:%M} {'am' if local.hour < 12 else 'pm'}"


def on_the_wall(moment: datetime, zone: str, now: datetime) -> str:
    """A moment as people in `zone` say it: `6:30 pm PT`, `tomorrow, 2:00 am PT`, `Dec 4, 6:30 pm PT`. ValueError for an unknown zone."""
    place = _zone(zone)
    local, today = moment.astimezone(place), now.astimezone(place)
    days = (local.date() - today.date()).days
    far = f"{local:%b} {local.day}{f' {local.year}' if local.year != today.year else ''}, "
    day_word = {0: "", 1: "tomorrow, ", -1: "yesterday, "}.get(days, far)
    return f"{day_word}{hour_said(local)} {zone_word(moment, zone)}"


def start_of_day(day: date, zone: str) -> datetime:
    """The first moment of the civil day in ``zone``, in UTC.

    Midnight, or, where the clock jumps over midnight, the moment of the jump.
    A day is ``start_of_day(day)`` up to but not including the start of the next:
    23, 24 or 25 hours as a rule, none for a day a zone left out. ValueError for
    an unknown zone.
    """
    place = _zone(zone)
    midnight = datetime.combine(day, time(), place)
    # fold=0 is the earlier of two midnights. In a gap (PEP 495) it is read with
    # the offset before the jump and lands at or after it, fold=1 at or before.
    late = midnight.astimezone(UTC)
    early = midnight.replace(fold=1).astimezone(UTC)
    if late <= early:
        return late
    second = timedelta(seconds=1)
    while late - early > second:
        middle = early + (late - early) // (2 * second) * second
        if middle.astimezone(place).date() < day:
            early = middle
        else:
            late = middle
    return early if early.astimezone(place).date() >= day else late


def days_between(a: date, b: date) -> int:
    """Civil days from ``a`` to ``b``; negative when ``b`` is earlier."""
    return (b - a).days


def whole_months_between(a: date, b: date) -> int:
    """The most months that fit from ``a`` to ``b``: the largest n for which
    ``add_months(a, n)`` is not past ``b``. So 31 January to 28 February is one.
    When ``b`` is earlier, minus the months from ``b`` to ``a``."""
    if b < a:
        return -whole_months_between(b, a)
    months = (b.year - a.year) * 12 + b.month - a.month
    return months if add_months(a, months) <= b else months - 1


def age_in_words(day: date, today: date) -> str:
    """How long since ``day`` in its largest whole unit: ``6 years``,
    ``4 months``, ``12 days``; ``less than a day`` on the day. ValueError when
    ``day`` is still to come."""
    if today < day:
        raise ValueError("That day is still to come.")
    months = whole_months_between(day, today)
    for count, unit in ((months // 12, "year"), (months, "month"), (days_between(day, today), "day")):
        if count:
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return "less than a day"


def bill_period(anchor_day: int, on: date) -> tuple[date, date]:
    """The bill period that holds ``on``: its first and its last day, both in it.

    A period starts on ``anchor_day`` (1 to 31) of each month, or on the month's
    last day when the month is shorter; periods meet without gap or overlap.
    ValueError for another anchor.
    """
    if not 1 <= anchor_day <= 31:
        raise ValueError("A bill period starts on a day from 1 to 31.")
    months = on.year * 12 + on.month - 1
    if on < _in_month(months, anchor_day):
        months -= 1
    return _in_month(months, anchor_day), _in_month(months + 1, anchor_day) - _DAY


def _in_month(months: int, day: int) -> date:
    """``day`` in the month counted from year 0, or that month's last day."""
    year, month = divmod(months, 12)
    if not 1 <= year <= 9999:
        raise ValueError("That day is outside the years 1 to 9999.")
    return date(year, month + 1, min(day, monthrange(year, month + 1)[1]))


def _nth(year: int, month: int, weekday: int, n: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (n - 1))


def _observed(day: date) -> date:
    return day + {_SATURDAY: -_DAY, _SUNDAY: _DAY}.get(day.weekday(), timedelta(0))


def _zone(name: str) -> ZoneInfo:
    # ZoneInfo raises KeyError, ValueError or OSError by how wrong the name is.
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as wrong:
        raise ValueError("That is not the name of a time zone, such as America/New_York.") from wrong


# By how much a clock may be put back before what it gave out is void: what keeps clocks right corrects less.
SLACK = timedelta(minutes=10)


def lives(since: datetime, until: datetime, now: datetime) -> bool:
    """Whether what was given out at a moment until another one counts now. What a clock that ran ahead gave out does not live that
    much longer: it is void once the clock is put back."""
    return since - min(until - since, SLACK) <= now < until
