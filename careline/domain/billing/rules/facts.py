"""What a bill follows from, and its lines, as frozen facts. Amounts are minor units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from careline.foundation.calendar import bill_period

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Cycle:
    """The period that a bill opens, and the one that has just ended. Both days of each are in it."""

    start: date
    end: date
    before: date

    @classmethod
    def of(cls, bill_day: int, start: date) -> Cycle:
        """ValueError when no period of this bill day begins on that day."""
        first, last = bill_period(bill_day, start)
        if first != start:
            raise ValueError(f"no period of bill day {bill_day} begins on {start}")
        return cls(first, last, bill_period(bill_day, start - DAY)[0])

    @property
    def ended(self) -> date:
        return self.start - DAY

    @property
    def days_before(self) -> int:
        return (self.start - self.before).days


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a plan includes of one kind of use in a whole period, in units (MB, minutes, messages), and what more costs: `price`
    for each `per` units. `title` and `unit`: how a bill calls it."""

    kind: str
    title: str
    unit: str
    included: int
    price: int
    per: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """`allowances`: the kinds of use that cost something beyond what is included. What is not among them has no limit, or is
    free beyond it."""

    name: str
    price: int
    allowances: tuple[Allowance, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """From a day on, another plan."""

    on: date
    before: Plan
    after: Plan


@dataclass(frozen=True, slots=True)
class Charged:
    """What the bill before charged for the whole of the period that has ended. `ppm`: it was this share of the plan charges."""

    label: str
    amount: int
    ppm: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `plan`: the one it has now; `changes`: since the first day of the ended period, in their order.

    `advance`: the plan charge that the last bill made for the ended period; `given`: its discounts of this line (below
    zero). `used`: kind, day and units. `added_mb`: data that was added for the period. `beyond`: what was charged on it
    beyond the plan in that period, in other ways.
    """

    id: int
    activated_on: date
    plan: Plan
    cancelled_on: date | None = None
    pending: bool = False
    changes: tuple[Change, ...] = ()
    advance: Charged | None = None
    given: tuple[Charged, ...] = ()
    used: tuple[tuple[str, date, int], ...] = ()
    added_mb: int = 0
    limit: int | None = None
    beyond: int = 0

    def plan_on(self, day: date) -> Plan:
        """The plan at the end of a day."""
        if not self.changes:
            return self.plan
        done = [c for c in self.changes if c.on <= day]
        return done[-1].after if done else self.changes[0].before

    def lives_on(self, day: date) -> bool:
        """Is the line charged for this day? The day it ends is not; a suspended line is."""
        return not self.pending and self.activated_on <= day and (self.cancelled_on is None or day < self.cancelled_on)


@dataclass(frozen=True, slots=True)
class Meter:
    """One kind of use of a line as it is counted in one period: on the days of `spans` (first and last of each), `allowed` units are
    included, more costs `price` for each `per`. `over`: the units beyond it that bills have charged so far."""

    kind: str
    title: str
    unit: str
    price: int
    per: int
    allowed: int
    spans: tuple[tuple[date, date], ...]
    over: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """How the use of a line in a period that has ended was billed, kept so that what becomes known later is billed by the same
    measure. `room`: the most that use beyond the plan may cost in it (None: no limit); `given`: what was above, given back."""

    line_id: int
    first: date
    last: date
    meters: tuple[Meter, ...]
    room: int | None = None
    given: int = 0


@dataclass(frozen=True, slots=True)
class Agreed:
    """What comes every month: an extra (above zero) or a discount (below), an amount or a share of the plan charges.

    It counts for a period when it is in force on its first day. `line_id` None: of the account.
    """

    line_id: int | None
    kind: str
    label: str
    starts_on: date
    ends_on: date | None = None
    amount: int = 0
    ppm: int = 0


@dataclass(frozen=True, slots=True)
class Instalments:
    """Equipment paid in `count` parts, from the first cycle on or after `starts_on`. `ended_on`: no part is asked after that day."""

    line_id: int | None
    label: str
    total: int
    count: int
    starts_on: date
    ended_on: date | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A charge that was agreed before the bill."""

    number: str
    line_id: int | None
    kind: str
    label: str
    quantity: Decimal
    unit: int
    amount: int
    day: date
    taxed: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that an account's bill follows from. `given`: the discounts of the whole account that the last bill made for
    the ended period (below zero); `late`: what is open of the bills that fell due in it; `returned`: the payments that came
    back in it. `state` and `postal_code`: where the service is taxed. `earlier`: periods billed before whose use is another by now, each with its units by kind."""

    state: str
    bill_day: int
    cycle: Cycle
    lines: tuple[Line, ...] = ()
    agreed: tuple[Agreed, ...] = ()
    instalments: tuple[Instalments, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    given: tuple[Charged, ...] = ()
    late: int = 0
    returned: tuple[str, ...] = ()
    postal_code: str = ""
    earlier: tuple[tuple[Measured, Mapping[str, int]], ...] = ()


class Made(NamedTuple):
    """One line of a bill to be. `taxed`: as what kind it is taxed ("": not); `taxes`: the place of the line that a tax is on.
    (A tuple: a run makes ten of them for each account, in a third of a dataclass's time.)"""

    kind: str
    label: str
    amount: int
    line_id: int | None = None
    start: date | None = None
    end: date | None = None
    quantity: Decimal = Decimal(1)
    unit: int = 0
    num: int = 1
    den: int = 1
    source_key: str | None = None
    taxed: str = ""
    taxes: int | None = None
    ppm: int = 0


@dataclass(frozen=True, slots=True)
class Rated:
    """The lines of a bill, taxes last, and how use was measured for it. No lines: there is nothing to bill."""

    lines: tuple[Made, ...]
    measured: tuple[Measured, ...]
