"""What there is to say about a debt in one case, in the rulebook's words. Pure; amounts are minor units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from careline.foundation.ladder import Talk

MOST = 3  # more are no help to whoever speaks
YEAR = 365


@dataclass(frozen=True, slots=True)
class Case:
    """What is known of an account about whose debt somebody speaks. `owed`: what is past due; `since`: the day from which it is; `climbs`: how often it was late
    before; `broken_on`, `returned_on`: when an arrangement broke, or a payment came back, last; `holds`: the kinds in force; `barred`: a line is off for money,
    and `back` has it on again; `bar_on`: when the next one goes off."""

    owed: int
    since: date
    opened_on: date
    climbs: int = 0
    broken_on: date | None = None
    returned_on: date | None = None
    holds: frozenset[str] = frozenset()
    barred: bool = False
    back: int = 0
    bar_on: date | None = None


def points(talk: Talk, case: Case, day: date) -> list[str]:
    """What holds of the case, in the order of the rulebook, the first three. The words still have their names in braces."""
    lately = {"returned_payment": _lately(case.returned_on, day, talk.recent_days), "broken_promise": _lately(case.broken_on, day, talk.recent_days)}
    holds: Mapping[str, bool] = {
        **lately,
        "suspended": case.barred and case.back > 0,
        "near_suspension": not case.barred and case.bar_on is not None and (case.bar_on - day).days <= talk.near_days,
        "first_time": not case.barred and case.climbs == 0 and case.broken_on is None and case.returned_on is None,
        "long_standing": (day - case.opened_on).days >= max(talk.long_days, YEAR),
        "small": case.owed <= talk.small,
    }
    return [say for when, say in talk.points if holds.get(when, when.removeprefix("hold.") in case.holds)][:MOST]


def years(opened_on: date, day: date) -> int:
    """Whole years that somebody has been a customer."""
    return day.year - opened_on.year - ((day.month, day.day) < (opened_on.month, opened_on.day))


def _lately(on: date | None, day: date, days: int) -> bool:
    return on is not None and (day - on).days <= days
