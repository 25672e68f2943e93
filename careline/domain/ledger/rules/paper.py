"""What a bill says on paper: frozen lines in, what stands on its pages out. Pure; how it looks is the printer's.

Charges are parted by what they are for: one group for each phone line, one for the account. Taxes stand by their names and
rates, beside what they are on. Groups and taxes sum to the bill (`BillPaper.total_minor`), and what was owed before, what
came since and the bill sum to what is due (`BillPaper.due_minor`); a credit that is among both counts once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from careline.domain.ledger.rules import EntryKind, LineKind
from careline.domain.ledger.rules.charges import Charged, how
from careline.domain.ledger.rules.explain import Explanation

ORDER = (LineKind.PLAN, LineKind.DISCOUNT, LineKind.USAGE, LineKind.ONE_OFF, LineKind.EQUIPMENT, LineKind.FEE, LineKind.OTHER)
ACCOUNT = "For the whole account"
# What happened between two bills, in the words of the customer.
SINCE = {
    EntryKind.PAYMENT: "Payments received, thank you", EntryKind.PAYMENT_RETURNED: "Payments that came back",
    EntryKind.CREDIT: "Credits", EntryKind.CREDIT_REVERSED: "Credits taken back", EntryKind.BILL_CORRECTED: "Bills corrected",
    EntryKind.WRITE_OFF: "Written off", EntryKind.RECOVERY: "Owed again after a write-off", EntryKind.REFUND: "Given back to you",
}  # fmt: skip
FRONT = 8  # groups on page one; of an account with more phone lines the rest is one sum
REASONS = 3  # causes of a change on page one; the rest is one sum


@dataclass(frozen=True, slots=True)
class Item:
    """One charge with its arithmetic (empty: there is none to show) and the days it is for."""

    label: str
    how: str
    first: date | None
    last: date | None
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Group:
    """The charges of one phone line, or of the account as a whole, before tax."""

    title: str
    note: str
    items: tuple[Item, ...]

    @property
    def sum_minor(self) -> int:
        return sum(i.amount_minor for i in self.items)


@dataclass(frozen=True, slots=True)
class Tax:
    """One tax by its name and rate (parts per million; 0: the bill does not say). `on_minor`: the charges it is on, None
    where a bill does not name them. Each charge is taxed by itself, so cents may differ from the rate on the sum."""

    label: str
    rate_ppm: int
    on_minor: int | None
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Moved:
    """One entry between two bills: a payment, a credit, or what took one back (minor units, owed more is positive)."""

    kind: str
    day: date
    label: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Reason:
    title: str
    say: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Change:
    """Why the bill differs from the one before: the opening sentence, the first causes, and what the others come to."""

    say: str
    reasons: tuple[Reason, ...]
    others: int
    others_minor: int


@dataclass(frozen=True, slots=True)
class Named:
    """Another bill, by its number and day."""

    number: str
    on: date


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose account it is: the customer's name, the account's reference, and where it is (`WA 98101`)."""

    name: str
    account: str
    place: str
    autopay: bool = False


@dataclass(frozen=True, slots=True)
class BillPaper:
    """One bill on paper. `before_minor`: what was owed after the bill before, which was due by `before_due_on`; `replaces`: the
    bill that it stands in for; `replaced_by`: the bill that stands in for it; `taken_back`: it is owed no more, whether or not
    another replaced it; `settled_minor`: credits among its charges that are in what was owed before it; `by_state_only`: taxed by the
    state alone, for nobody knows what else lies at the postal code."""

    number: str
    holder: Holder
    issued_on: date
    first: date
    last: date
    due_on: date
    before_minor: int
    before_due_on: date | None
    since: tuple[Moved, ...]
    groups: tuple[Group, ...]
    taxes: tuple[Tax, ...]
    change: Change | None
    replaces: Named | None = None
    replaced_by: Named | None = None
    taken_back: bool = False
    settled_minor: int = 0
    by_state_only: bool = False

    @property
    def charges_minor(self) -> int:
        return sum(g.sum_minor for g in self.groups)

    @property
    def taxes_minor(self) -> int:
        return sum(t.amount_minor for t in self.taxes)

    @property
    def total_minor(self) -> int:
        return self.charges_minor + self.taxes_minor

    @property
    def due_minor(self) -> int:
        """What is due once this bill is owed; below zero the account is in credit."""
        return self.before_minor + sum(m.amount_minor for m in self.since) + self.total_minor + self.settled_minor

    @property
    def older_minor(self) -> int:
        """What of the amount due was owed before this bill."""
        return max(self.due_minor - max(self.total_minor, 0), 0)

    @property
    def is_late(self) -> bool:
        """Was what is older past its day already when this bill was made?"""
        return self.older_minor > 0 and self.before_due_on is not None and self.before_due_on < self.issued_on

    @property
    def front(self) -> tuple[tuple[str, int], ...]:
        """The groups as page one has them."""
        named = [(f"{g.title}, {g.note}" if g.note else g.title, g.sum_minor) for g in self.groups]
        if len(named) <= FRONT:
            return tuple(named)
        rest = named[FRONT - 1 :]
        return (*named[: FRONT - 1], (f"{len(rest)} more, on the next pages", sum(amount for _, amount in rest)))

    @property
    def moved(self) -> tuple[tuple[str, int], ...]:
        """What happened since the bill before, summed by kind."""
        sums: dict[str, int] = defaultdict(int)
        for m in self.since:
            sums[SINCE.get(EntryKind(m.kind), m.label)] += m.amount_minor
        return tuple(sums.items())


def groups(lines: Sequence[Charged], lines_named: Mapping[int, tuple[str, str]]) -> tuple[Group, ...]:
    """The charges of a bill, taxes left out, by what they are for. `lines_named`: phone lines by id, as (number, what it is
    called or its plan); in its order, the account last."""
    by_line: dict[int | None, list[Charged]] = defaultdict(list)
    for n in lines:
        if not n.is_tax:
            by_line[n.line if n.line in lines_named else None].append(n)
    made = []
    for line in (*lines_named, None):
        if by_line[line]:
            title, note = lines_named[line] if line is not None else (ACCOUNT, "")
            rows = sorted(by_line[line], key=lambda n: (ORDER.index(LineKind(n.kind)), n.id))
            made.append(Group(title, note, tuple(Item(n.label, how(n), n.start, n.end, n.amount_minor) for n in rows)))
    return tuple(made)


def taxes(lines: Sequence[Charged]) -> tuple[Tax, ...]:
    """The taxes of a bill, each name and rate once, the largest first."""
    charged = {n.id: n.amount_minor for n in lines if not n.is_tax}
    found: dict[tuple[str, int, bool], list[int]] = defaultdict(lambda: [0, 0])
    for n in lines:
        if n.is_tax:
            row = found[n.label, n.rate_ppm, n.taxes in charged]
            row[0] += charged.get(n.taxes or 0, 0)
            row[1] += n.amount_minor
    made = [Tax(label, rate, on if known else None, amount) for (label, rate, known), (on, amount) in found.items()]
    return tuple(sorted(made, key=lambda t: (-t.amount_minor, t.label, t.rate_ppm)))


def change(found: Explanation | None) -> Change | None:
    """What of an explanation stands on page one of the bill."""
    if found is None:
        return None
    first, others = found.differences[:REASONS], found.differences[REASONS:]
    return Change(found.say, tuple(Reason(d.title, d.say, d.amount_minor) for d in first), len(others), sum(d.amount_minor for d in others))
