"""Why one bill is another amount than an earlier one: frozen lines in, causes out, and their sum is the change. Pure.

Every line of both bills goes into exactly one difference, so the differences sum to the change by construction; what the
lines of a bill leave of its total is a difference of its own (`Cause.UNEXPLAINED`). A tax goes with the charge that moved
it; what moved by its rate, or by being charged at all, is told as its own. See docs/money.md for one worked by hand.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from careline.domain.ledger.rules import LineKind
from careline.domain.ledger.rules.charges import (
    LATE_USE,
    RETURNED,
    Billed,
    Charged,
    Side,
    ends_by,
    holds,
    how,
    is_credit,
    is_down,
    is_last,
    is_late_fee,
    is_late_use,
    is_rest,
    makes,
    match_key,
    order,
    percent,
    plain_label,
    spoken,
)
from careline.foundation.money import share, shown

COUNT = re.compile(r", *\d[\d.,]*( ?\w+)?$")  # how many, at the end of a label of use: `, 12 min`


class Cause(StrEnum):
    """Why a bill differs. `_over`: it was on the earlier bill and did not come again."""

    PLAN_CHANGE = "plan_change"
    PRICE_CHANGE = "price_change"
    LINE_ADDED = "line_added"
    LINE_ENDED = "line_ended"
    PART_MONTH = "part_month"
    PART_MONTH_OVER = "part_month_over"
    DISCOUNT_BEGAN = "discount_began"
    DISCOUNT_ENDED = "discount_ended"
    DISCOUNT_CHANGED = "discount_changed"
    USAGE = "usage"
    USAGE_OVER = "usage_over"
    USAGE_CHANGED = "usage_changed"
    USE_LATE = "use_late"
    USE_LATE_OVER = "use_late_over"
    EQUIPMENT_BEGAN = "equipment_began"
    EQUIPMENT_ENDED = "equipment_ended"
    EQUIPMENT_CHANGED = "equipment_changed"
    EQUIPMENT_LEFT = "equipment_left"
    LATE_FEE = "late_fee"
    LATE_FEE_OVER = "late_fee_over"
    FEE_BEGAN = "fee_began"
    FEE_ENDED = "fee_ended"
    FEE_CHANGED = "fee_changed"
    ONE_OFF = "one_off"
    ONE_OFF_OVER = "one_off_over"
    CREDIT = "credit"
    CREDIT_OVER = "credit_over"
    OTHER = "other"
    OTHER_OVER = "other_over"
    CHANGED = "changed"
    TAX_RATE = "tax_rate"
    TAX_BEGAN = "tax_began"
    TAX_ENDED = "tax_ended"
    TAX = "tax"
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True)
class Event:
    """What somebody did, or what happened, between two bills. `charge`: the number of the charge that came of it; `about`: words
    that the label of a charge must have for it to come of this."""

    code: str
    day: date
    what: str
    who: str = ""
    charge: str = ""
    line: int | None = None
    about: str = ""
    page: str = ""  # where more of it stands: `change:7` or `rulebook:<digest>`


# Not a deed on the account: what holds for everybody since a day.
RULED, PRICED = "rulebook.ruled", "plan.priced"


@dataclass(frozen=True, slots=True)
class Part:
    """One row of a difference's arithmetic: what it was, what it is, and how that is made."""

    what: str
    how: str
    was_minor: int
    now_minor: int

    @property
    def amount_minor(self) -> int:
        return self.now_minor - self.was_minor


@dataclass(frozen=True, slots=True)
class Difference:
    """One cause: its parts sum to its amount. `charges`: the lines of the newer bill from which a credit can start."""

    cause: Cause
    title: str
    say: str
    parts: tuple[Part, ...]
    charges: tuple[int, ...] = ()
    event: Event | None = None
    unsure: str = ""

    @property
    def amount_minor(self) -> int:
        return sum(p.amount_minor for p in self.parts)


@dataclass(frozen=True, slots=True)
class Credited:
    """What was taken off a charge of a bill after it was issued, its tax included. `bill`: which bill; `first`, `last`: its
    days that were wrong."""

    number: str
    bill: int
    label: str
    amount_minor: int
    day: date
    who: str = ""
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The differences, the largest that goes the way of the change first; they sum to `change_minor`. `credits` were taken
    off either bill since it was issued: no bill is changed by them, what is paid for it is."""

    now: Billed
    was: Billed
    differences: tuple[Difference, ...]
    credits: tuple[Credited, ...] = ()

    @property
    def change_minor(self) -> int:
        return self.now.total_minor - self.was.total_minor

    def credited_minor(self, bill: Billed) -> int:
        return sum(c.amount_minor for c in self.credits if c.bill == bill.id)

    @property
    def paid_change_minor(self) -> int:
        """How much more is paid for the newer bill than for the earlier one, once what was credited of both is off."""
        return self._paid_minor(self.now) - self._paid_minor(self.was)

    def _paid_minor(self, bill: Billed) -> int:
        return bill.total_minor + bill.settled_minor - self.credited_minor(bill)

    @property
    def after_credits(self) -> str:
        """A sentence about what was taken off, or nothing."""
        off, before = self.credited_minor(self.now), self.credited_minor(self.was)
        told, settled = [], self.now.settled_minor
        if settled > 0:
            told.append(f"{shown(settled)} of credit on this bill was in your account before it, so it counts once.")
        elif settled < 0:
            told.append(f"{shown(-settled)} on this bill is for a credit that was taken back before it, so it counts once.")
        if off:
            told.append(f"We took {shown(off)} off this bill since, so it comes to {shown(self._paid_minor(self.now))}.")
        if before:
            told.append(f"{self.was.called[:1].upper()}{self.was.called[1:]} had {shown(before)} taken off, which was for that bill only.")
        return " ".join(told)

    @property
    def taxed_by(self) -> str:
        """A sentence where one of the bills has no other tax than the state's, for nobody knew its county and city; or nothing."""
        if self.now.by_state_only:
            return f"Only the state's tax is on {'the next' if self.now.estimated else 'this'} bill: our tax table does not know the county and city of your postal code."
        if self.was.by_state_only:
            return f"Only the state's tax was on {self.was.called}: our tax table did not know the county and city of your postal code then."
        return ""

    @property
    def say(self) -> str:
        """The one sentence that opens it."""
        total, what = shown(self.now.total_minor), "Your next bill will be about" if self.now.estimated else f"Your bill of {spoken(self.now.issued_on)} is"
        against = "your last bill" if self.now.estimated else f"the one of {spoken(self.was.issued_on)}"
        if not self.change_minor:
            return f"{what} {total}, the same as {against}." + ("" if not self.differences else " What changed evens out.")
        return f"{what} {total}, {_more(self.change_minor)} than {against}."


# ---------------------------------------------------------------- explaining


@dataclass(frozen=True, slots=True)
class _Found:
    """A part and the cause it belongs to; what has the same `key` is one difference."""

    key: tuple[Hashable, ...]
    cause: Cause
    part: Part
    was: Charged | None
    now: Charged | None
    tax: bool = False


def explain(now: Billed, was: Billed, events: Sequence[Event] = (), credits: Sequence[Credited] = ()) -> Explanation:
    """Every difference between a bill and an earlier one, each with its cause. Their sum is the change, always."""
    new, old = Side(now), Side(was)
    found: list[_Found] = []
    for cause, w, n in [*_plans(new, old), *_others(new, old)]:
        found += _charge(cause, w, n, old, new)
    found += _orphans(old, new)
    left_now, left_was = now.total_minor - new.sum, was.total_minor - old.sum
    if left_now != left_was:
        part = Part("What the lines leave of the total", "", left_was, left_now)
        found.append(_Found((Cause.UNEXPLAINED,), Cause.UNEXPLAINED, part, None, None))
    groups: dict[tuple[Hashable, ...], list[_Found]] = defaultdict(list)
    for f in found:
        groups[f.key].append(f)
    made = [d for g in groups.values() if (d := _difference(g, now, was, events)) is not None]
    change = now.total_minor - was.total_minor

    def rank(d: Difference) -> tuple[Hashable, ...]:
        along = change == 0 or (d.amount_minor > 0) == (change > 0)
        return (not along, -abs(d.amount_minor), d.title, d.cause, d.charges)

    return Explanation(now, was, tuple(sorted(made, key=rank)), tuple(credits))


def _match(old: Iterable[Charged], new: Iterable[Charged], keys: Sequence[Callable[[Charged], Hashable | None]]) -> tuple[list[tuple[Charged, Charged]], list[Charged], list[Charged]]:
    """Pairs by the first key that both have; within a key equal amounts meet first. And who is left on either side."""
    pairs: list[tuple[Charged, Charged]] = []
    old, new = list(old), list(new)
    for key in keys:
        theirs: dict[Hashable, list[Charged]] = defaultdict(list)
        for n in new:
            if (k := key(n)) is not None:
                theirs[k].append(n)
        left: list[Charged] = []
        waiting: list[tuple[Charged, Hashable]] = []
        for w in old:
            k = key(w)
            twin = next((n for n in theirs.get(k, ()) if n.amount_minor == w.amount_minor), None) if k is not None else None
            if twin is not None:
                theirs[k].remove(twin)
                pairs.append((w, twin))
            elif k is not None and k in theirs:
                waiting.append((w, k))
            else:
                left.append(w)
        for w, k in waiting:
            if theirs[k]:
                pairs.append((w, theirs[k].pop(0)))
            else:
                left.append(w)
        taken = {n.id for _, n in pairs}
        old, new = sorted(left, key=order), [n for n in new if n.id not in taken]
    return pairs, old, new


def _plans(new: Side, old: Side) -> list[tuple[Cause, Charged | None, Charged | None]]:
    """Plan charges, phone line by phone line: changed, dearer, begun, ended, or a part of a month."""
    made: list[tuple[Cause, Charged | None, Charged | None]] = []
    by_line: dict[int | None, tuple[list[Charged], list[Charged]]] = defaultdict(lambda: ([], []))
    for at, side in enumerate((old, new)):
        for n in side.charges:
            if n.kind == LineKind.PLAN:
                by_line[n.line][at].append(n)
    # A bill that names no phone line may stand beside one that does: its plans are matched by their names first.
    loose, others = by_line.pop(None, ([], [])), list(by_line.values())
    if any(loose) and others:
        pairs, was_left, now_left = _match(
            [*loose[0], *(n for o, _ in others for n in o if loose[1])], [*loose[1], *(n for _, t in others for n in t if loose[0])],
            [lambda n: (n.line, plain_label(n), n.whole), lambda n: (plain_label(n), n.whole)],
        )  # fmt: skip
        crossed = [p for p in pairs if p[0].line is None or p[1].line is None]
        made += [(_same_plan(w, n), w, n) for w, n in crossed]
        was_gone, now_gone = {w.id for w, _ in crossed}, {n.id for _, n in crossed}
        loose = ([n for n in was_left if n.line is None], [n for n in now_left if n.line is None])
        others = [([n for n in o if n.id not in was_gone], [n for n in t if n.id not in now_gone]) for o, t in others]
    for was, now in [loose, *others]:
        made += _one_line(was, now)
    return made


def _same_plan(w: Charged, n: Charged) -> Cause:
    if (w.num, w.den) == (n.num, n.den) or w.unit_minor != n.unit_minor:
        return Cause.PRICE_CHANGE
    return Cause.PART_MONTH


def _one_line(old: list[Charged], new: list[Charged]) -> list[tuple[Cause, Charged | None, Charged | None]]:
    pairs, was, now = _match(old, new, [lambda n: (plain_label(n), n.num, n.den, n.amount_minor >= 0), lambda n: (plain_label(n), n.whole, n.amount_minor >= 0)])
    made: list[tuple[Cause, Charged | None, Charged | None]] = [(_same_plan(w, n), w, n) for w, n in pairs]
    began, ended = [n for n in now if n.whole], [n for n in was if n.whole]
    changed = list(zip(ended, began, strict=False))
    made += [(Cause.PLAN_CHANGE, w, n) for w, n in changed]
    made += [(Cause.LINE_ADDED, None, n) for n in began[len(changed):]]
    made += [(Cause.LINE_ENDED, w, None) for w in ended[len(changed):]]
    why = Cause.PLAN_CHANGE if changed else Cause.LINE_ADDED if began else Cause.LINE_ENDED if ended else Cause.PART_MONTH
    made += [(why, None, n) for n in now if not n.whole]
    made += [(Cause.PART_MONTH_OVER, w, None) for w in was if not w.whole]
    return made


def _others(new: Side, old: Side) -> list[tuple[Cause, Charged | None, Charged | None]]:
    pairs, was, now = _match(
        (n for n in old.charges if n.kind != LineKind.PLAN and not is_late_use(n)), (n for n in new.charges if n.kind != LineKind.PLAN and not is_late_use(n)),
        [
            lambda n: (n.kind, n.line, n.source) if n.source else None,
            lambda n: (n.kind, n.line, n.label, n.amount_minor >= 0),
            lambda n: (n.kind, n.line, match_key(n), n.amount_minor >= 0),
        ],
    )  # fmt: skip
    # Where one bill names the phone line and the other does not, the words have to do.
    if any(n.line is None for n in [*was, *now]):
        more, was, now = _match(was, now, [lambda n: (n.kind, match_key(n), n.amount_minor >= 0)])
        wrong = [(w, n) for w, n in more if w.line is not None and n.line is not None]
        pairs += [p for p in more if p not in wrong]
        was, now = [*was, *(w for w, _ in wrong)], [*now, *(n for _, n in wrong)]
    was += [w for w in old.charges if is_late_use(w)]  # each is of a period of its own: two are never one that changed
    now += [n for n in new.charges if is_late_use(n)]
    return [*((Cause.EQUIPMENT_LEFT if is_rest(n) else _MOVED.get(n.kind, Cause.CHANGED), w, n) for w, n in pairs), *((_gone(w), w, None) for w in was), *((_came(n), None, n) for n in now)]


def _came(n: Charged) -> Cause:
    if is_late_use(n):
        return Cause.USE_LATE
    if is_late_fee(n) and n.amount_minor >= 0:
        return Cause.LATE_FEE
    if is_credit(n):
        return Cause.CREDIT
    if n.kind == LineKind.DISCOUNT and n.amount_minor > 0:
        return Cause.PART_MONTH
    if n.kind == LineKind.FEE and RETURNED.search(n.label):
        return Cause.ONE_OFF
    if is_down(n):
        return Cause.ONE_OFF
    if is_rest(n):
        return Cause.EQUIPMENT_LEFT
    return _BEGAN.get(n.kind, Cause.OTHER)


def _gone(w: Charged) -> Cause:
    if is_late_use(w):
        return Cause.USE_LATE_OVER
    if is_late_fee(w) and w.amount_minor >= 0:
        return Cause.LATE_FEE_OVER
    if is_credit(w):
        return Cause.CREDIT_OVER
    if w.kind == LineKind.DISCOUNT and w.amount_minor > 0:
        return Cause.PART_MONTH_OVER
    if w.kind == LineKind.FEE and RETURNED.search(w.label):
        return Cause.ONE_OFF_OVER
    if is_down(w):
        return Cause.ONE_OFF_OVER
    return _ENDED.get(w.kind, Cause.OTHER_OVER)


_BEGAN: dict[str, Cause] = {"usage": Cause.USAGE, "fee": Cause.FEE_BEGAN, "equipment": Cause.EQUIPMENT_BEGAN, "discount": Cause.DISCOUNT_BEGAN, "one_off": Cause.ONE_OFF}
_ENDED: dict[str, Cause] = {"usage": Cause.USAGE_OVER, "fee": Cause.FEE_ENDED, "equipment": Cause.EQUIPMENT_ENDED, "discount": Cause.DISCOUNT_ENDED, "one_off": Cause.ONE_OFF_OVER}
_MOVED: dict[str, Cause] = {"usage": Cause.USAGE_CHANGED, "fee": Cause.FEE_CHANGED, "equipment": Cause.EQUIPMENT_CHANGED, "discount": Cause.DISCOUNT_CHANGED}


def _charge(cause: Cause, w: Charged | None, n: Charged | None, old: Side, new: Side) -> list[_Found]:
    """What one charge differs by, and what its taxes differ by: with it, or by themselves."""
    one = n or w
    assert one is not None
    subject = (one.line,) if cause in _BY_LINE and one.kind == LineKind.PLAN else (one.line, match_key(one))
    key: tuple[Hashable, ...] = (cause, *subject)
    found = []
    if w is None or n is None or w.amount_minor != n.amount_minor:
        found.append(_Found(key, cause, _charge_part(w, n), w, n))
    pairs, gone, came = _match(old.taxes[w.id] if w else (), new.taxes[n.id] if n else (), [lambda t: t.label, lambda t: match_key(t), lambda t: ""])
    for a, b in pairs:
        assert w is not None and n is not None
        if a.amount_minor == b.amount_minor:
            continue
        if a.rate_ppm and b.rate_ppm and a.rate_ppm != b.rate_ppm:
            before = a.amount_minor if w.amount_minor == n.amount_minor else share(n.amount_minor, a.rate_ppm, 1_000_000)
            if before != a.amount_minor:
                found.append(_Found(key, cause, Part(a.label, f"{percent(a.rate_ppm)} as before", a.amount_minor, before), w, n, True))
            rate = (Cause.TAX_RATE, match_key(a), a.rate_ppm, b.rate_ppm)
            how = f"{percent(a.rate_ppm)} to {percent(b.rate_ppm)} of {shown(n.amount_minor)}"
            if before != b.amount_minor:
                found.append(_Found(rate, Cause.TAX_RATE, Part(f"{b.label} on {plain_label(n)}", how, before, b.amount_minor), a, b, True))
        elif w.amount_minor != n.amount_minor:
            found.append(_Found(key, cause, Part(b.label, _tax_how(b, n), a.amount_minor, b.amount_minor), w, n, True))
        else:
            found.append(_Found((Cause.TAX, match_key(b)), Cause.TAX, Part(f"{b.label} on {plain_label(n)}", _tax_how(b, n), a.amount_minor, b.amount_minor), a, b, True))
    for t in came:
        assert n is not None
        part = Part(t.label if w is None else f"{t.label} on {plain_label(n)}", _tax_how(t, n), 0, t.amount_minor)
        found.append(_Found(key, cause, part, w, n, True) if w is None else _Found((Cause.TAX_BEGAN, match_key(t)), Cause.TAX_BEGAN, part, None, t, True))
    for t in gone:
        assert w is not None
        part = Part(t.label if n is None else f"{t.label} on {plain_label(w)}", _tax_how(t, w), t.amount_minor, 0)
        found.append(_Found(key, cause, part, w, n, True) if n is None else _Found((Cause.TAX_ENDED, match_key(t)), Cause.TAX_ENDED, part, t, None, True))
    return found


_BY_LINE = frozenset({Cause.PLAN_CHANGE, Cause.LINE_ADDED, Cause.LINE_ENDED, Cause.PART_MONTH, Cause.PART_MONTH_OVER})


def _charge_part(w: Charged | None, n: Charged | None) -> Part:
    if w is None or n is None:
        one = n or w
        assert one is not None
        return Part(one.label, how(one), w.amount_minor if w else 0, n.amount_minor if n else 0)
    old, new = how(w), how(n)
    words = f"{old or shown(w.amount_minor)}, now {new or shown(n.amount_minor)}" if old or new else ""
    label = n.label if plain_label(w) == plain_label(n) else f"{n.label} instead of {w.label}"
    return Part(label, words, w.amount_minor, n.amount_minor)


def _orphans(old: Side, new: Side) -> list[_Found]:
    """Taxes that name no charge: all of a name together, told as their own."""
    sums: dict[Hashable, list[list[Charged]]] = defaultdict(lambda: [[], []])
    for at, side in enumerate((old, new)):
        for t in side.orphans:
            sums[match_key(t)][at].append(t)
    found = []
    for name, (was, now) in sums.items():
        a, b = sum(t.amount_minor for t in was), sum(t.amount_minor for t in now)
        if a == b:
            continue
        rates = [{t.rate_ppm for t in side} for side in (was, now)]
        one = all(len(r) == 1 and 0 not in r for r in rates)
        changed = one and rates[0] != rates[1]
        words = f"{percent(*rates[0])} to {percent(*rates[1])}" if changed else f"{percent(*rates[1])}" if one else ""
        cause = Cause.TAX_BEGAN if not was else Cause.TAX_ENDED if not now else Cause.TAX
        found.append(_Found((cause, name, "orphan"), cause, Part((now or was)[0].label, words, a, b), was[0] if was else None, now[0] if now else None, True))
    return found


# ---------------------------------------------------------------- words


def _difference(group: list[_Found], now: Billed, was: Billed, events: Sequence[Event]) -> Difference | None:
    cause, parts = group[0].cause, tuple(f.part for f in group)
    amount = sum(p.amount_minor for p in parts)
    if amount == 0 and all(p.amount_minor == 0 for p in parts):
        return None
    olds = [f.was for f in group if f.was is not None]
    news = [f.now for f in group if f.now is not None]
    event = _event(cause, olds, news, events)
    title, fact = _words(cause, group, now, was)
    taxed = any(f.tax for f in group) and any(not f.tax for f in group)
    so = f"That is {_more(amount)}" + (", tax included." if taxed else ".") if amount else "It evens out."
    if event is not None:
        if event.code in (RULED, PRICED):
            so += f" It is so since {spoken(event.day)}."
        else:
            so += f" {event.who} did that on {spoken(event.day)}." if event.who else f" {event.what}."
    charges = tuple(dict.fromkeys(n.id for n in news if not n.is_tax and n.amount_minor > 0))
    return Difference(cause, title, f"{fact} {so}", parts, charges, event, _unsure(cause, group, olds, news))


def _event(cause: Cause, olds: list[Charged], news: list[Charged], events: Sequence[Event]) -> Event | None:
    """Who or what is behind it: by the number of the charge, else what happened to that line that could cause this."""
    sources = {n.source for n in news if n.source}
    by_charge = next((e for e in events if e.charge and e.charge in sources), None)
    if by_charge is not None:
        return by_charge
    codes = _EVENTS.get(cause, ())
    lines, labels = {n.line for n in [*olds, *news]}, [n.label.casefold() for n in [*olds, *news]]
    fits = [e for e in events if e.code in codes and (e.line is None or e.line in lines) and any(e.about.casefold() in label for label in labels)]
    return max(fits, key=lambda e: (e.day, e.code, e.what), default=None)


_EVENTS: dict[Cause, tuple[str, ...]] = {
    Cause.PLAN_CHANGE: ("lines.change_plan",),
    Cause.LINE_ADDED: ("lines.add", "lines.restore"),
    Cause.LINE_ENDED: ("lines.cancel", "lines.suspend"),
    Cause.PART_MONTH: ("lines.change_plan", "lines.suspend", "lines.restore"),
    Cause.DISCOUNT_BEGAN: ("billing.add_promotion",),
    Cause.DISCOUNT_ENDED: ("billing.end_agreed",),
    Cause.EQUIPMENT_BEGAN: ("billing.sell_in_instalments",),
    Cause.EQUIPMENT_LEFT: ("billing.pay_off",),
    Cause.FEE_BEGAN: ("billing.add_extra", RULED),
    Cause.OTHER: ("billing.add_extra",),
    Cause.FEE_ENDED: ("billing.end_agreed", RULED),
    Cause.FEE_CHANGED: (RULED,),
    Cause.TAX_RATE: (RULED,),
    Cause.TAX_BEGAN: (RULED,),
    Cause.TAX_ENDED: (RULED,),
    Cause.PRICE_CHANGE: (PRICED,),
    Cause.OTHER_OVER: ("billing.end_agreed",),
    Cause.LATE_FEE: ("bill.late",),
    Cause.ONE_OFF: ("payment.returned",),
}


def _words(cause: Cause, group: list[_Found], now: Billed, was: Billed) -> tuple[str, str]:
    """The title of a difference and the fact in a sentence to say."""
    if cause == Cause.UNEXPLAINED:
        return "Not explained by the lines", "Our lines do not explain a part of this; I will have it looked into."
    main = next((f for f in group if not f.tax), group[0])
    w, n = main.was, main.now
    for f in group:  # the pair is the change itself, the rest is what came of it
        if f.was is not None and f.now is not None and not f.tax:
            w, n = f.was, f.now
            break
    one = n or w
    assert one is not None
    what, on = plain_label(one), f" on the line {one.name}" if one.name else ""
    tail = f", {one.name}" if one.name else ""
    last, this = f"on {was.called}", "on this one" if not now.estimated else "on the next"
    again, over = ("will not come again", "will not repeat") if now.estimated else ("did not come again", "did not repeat")
    began = _when(group)
    since = f" on {spoken(began)}" if began else ""
    if cause == Cause.PLAN_CHANGE and w is not None and n is not None:
        part = next((f.now for f in group if f.now is not None and f.now.num != f.now.den), None)
        days = f", so {part.num} of {part.den} days of the month before are on it too" if part else ""
        return f"Plan changed to {what}{tail}", f"The plan{on} changed from {plain_label(w)} to {what}{since}{days}."
    if cause == Cause.CHANGED or cause == Cause.PRICE_CHANGE:
        return f"{what}: another price{tail}", f"{what}{on} is {shown(n.amount_minor if n else 0)} now, it was {shown(w.amount_minor if w else 0)}."
    if cause == Cause.USAGE_CHANGED and w is not None and n is not None:
        name, made = COUNT.sub("", what), f" ({how(n)})" if how(n) else ""
        less = "more" if n.amount_minor > w.amount_minor else "less"
        return f"{name}: {less} than before{tail}", f"{name}{on} came to {shown(n.amount_minor)}{made} this time, {shown(w.amount_minor)} before."
    if cause in (Cause.DISCOUNT_CHANGED, Cause.EQUIPMENT_CHANGED, Cause.FEE_CHANGED):
        words = f"{how(n)}, which is " if n and how(n) else ""
        a, b = (abs(x.amount_minor) if cause == Cause.DISCOUNT_CHANGED else x.amount_minor for x in (w or one, n or one))
        return f"{what}: another amount{tail}", f"{what}{on} is {words}{shown(b)} this time, {shown(a)} before."
    if cause == Cause.TAX_RATE and w is not None and n is not None:
        base = plain_label(n)
        return f"{base}: the rate went from {percent(w.rate_ppm)} to {percent(n.rate_ppm)}", f"The rate of {base} went from {percent(w.rate_ppm)} to {percent(n.rate_ppm)}."
    if one.kind == LineKind.DISCOUNT and cause in (Cause.PART_MONTH, Cause.PART_MONTH_OVER):
        name = what.removesuffix(" taken back")
        if cause == Cause.PART_MONTH_OVER:
            return f"{name}, a part taken back {over}{tail}", f"{last[:1].upper()}{last[1:]} a part of the discount “{name}” was taken back{on}, which {again}."
        return f"{name}: a part taken back{tail}", f"Of the discount “{name}”{on}, {one.num} of {one.den} days are taken back {this}."
    if cause in (Cause.USE_LATE, Cause.USE_LATE_OVER):
        return _late_words(cause, one, last, again, over, tail)
    until = ends_by(one)
    ended = f" on {spoken(until)}" if until else ""
    worth = shown(abs(one.amount_minor))
    made = f", {how(one)}" if how(one) else ""
    ends = "will be over" if now.estimated else "ended"
    much = "" if re.search(r"\d", what) else made
    return {
        Cause.LINE_ADDED: (f"{what} began{tail}", f"{what}{on} is new{since}."),
        Cause.LINE_ENDED: (f"{what} ended{tail}", f"{what}{on} is not billed any more."),
        Cause.PART_MONTH: (f"Part of a month{tail}", f"A part of a month of {what}{on} is {this}{made}."),
        Cause.PART_MONTH_OVER: (f"Part of a month {over}{tail}", f"A part of a month of {what}{on} was {last} and {again}."),
        Cause.DISCOUNT_BEGAN: (f"Discount began: {what}", f"The discount “{what}” began."),
        Cause.DISCOUNT_ENDED: (f"Discount ended: {what}", f"The discount “{what}” {ends}{ended}."),
        Cause.USAGE: (f"{what}{tail}", f"There was use beyond the plan{on}: {what}{much}."),
        Cause.USAGE_OVER: (f"{what} {over}{tail}", f"{what}{on} was {last} and {again}."),
        Cause.EQUIPMENT_BEGAN: (f"{what}: instalments began{tail}", f"The instalments of {what}{on} began, {worth} each."),
        Cause.EQUIPMENT_LEFT: (f"{what}: what was left, at once{tail}", f"What was left of {what}{on} is {this} whole: {shown(n.amount_minor if n else 0)}."),
        Cause.EQUIPMENT_ENDED: (f"{what} is paid off{tail}" if is_last(one) or is_rest(one) else f"{what} ended{tail}",
                                f"What was left of {what}{on} was {last}, once." if is_rest(one) else f"The last instalment of {what}{on} was {last}." if is_last(one) else f"The instalment of {what}{on} is not on this bill."),
        Cause.LATE_FEE: (f"{what}{tail}", f"We charged {worth}: {_lower(what)}." if "," in what else f"There is a {_lower(what)} of {worth}."),
        Cause.LATE_FEE_OVER: (f"{what} {over}{tail}", f"The {_lower(what)} of {worth} was {last} and {again}."),
        Cause.FEE_BEGAN: (f"{what} began{tail}", f"{what}{on} is new{made}."),
        Cause.FEE_ENDED: (f"{what} ended{tail}", f"{what}{on} was {last} and is not {this}."),
        Cause.ONE_OFF: (f"{what}, once{tail}", f"{what}{on} is charged once{made}."),
        Cause.ONE_OFF_OVER: (f"{what} {over}{tail}", f"{what}{on} was charged once, {last}."),
        Cause.CREDIT: (f"{what}: credit {this}{tail}", f"{worth} came off {this}: {what}."),
        Cause.CREDIT_OVER: (f"{what}: credit {over}{tail}", f"{was.called[:1].upper()}{was.called[1:]} had a credit of {worth} for {what}, which does not come every month."),
        Cause.OTHER: (f"{what}{tail}", f"{what}{on} is new {this}."),
        Cause.OTHER_OVER: (f"{what} is gone{tail}", f"{what}{on} was {last} and is not {this}."),
        Cause.TAX_BEGAN: (f"{what} began", f"{what} is charged now, which it was not before."),
        Cause.TAX_ENDED: (f"{what} ended", f"{what} is not charged any more."),
    }.get(cause, (f"{what}: another amount", f"{what} came to another amount."))


def _late_words(cause: Cause, one: Charged, last: str, again: str, over: str, tail: str) -> tuple[str, str]:
    """Use of a period that was billed before: `Calls over the plan, 38 min of Sep 4 to Oct 3, known late`."""
    days = f"{spoken(one.start)} to {spoken(one.end)}" if one.start and one.end else "an earlier month"
    if one.source == f"{LATE_USE}.limit":
        if cause == Cause.USE_LATE_OVER:
            return f"Spending limit of {days} {over}{tail}", f"What the line's spending limit changed for {days} was {last} and {again}."
        way = "given back" if one.amount_minor < 0 else "charged again, for less is above it now"
        return f"Spending limit of {days}{tail}", f"Of the use of {days}, what is above the line's spending limit is {way}."
    what = one.label.rpartition(", ")[0].partition(" of ")[0]
    if cause == Cause.USE_LATE_OVER:
        return f"{what} of {days} {over}{tail}", f"{what} of {days} was {last} and {again}."
    if one.amount_minor < 0:
        return f"{what} of {days} given back{tail}", f"Use of {days} was corrected after its bill: {what} go back."
    made = f", {how(one)}" if how(one) else ""
    return f"{what} of {days}, known late{tail}", f"Use of {days} became known only after its bill: {what}{made}."


def _unsure(cause: Cause, group: list[_Found], olds: list[Charged], news: list[Charged]) -> str:
    """What the lines cannot tell."""
    if cause == Cause.UNEXPLAINED:
        return "The lines of one of these bills do not sum to its total, so this remainder has no cause here."
    if cause in (Cause.TAX, Cause.TAX_BEGAN, Cause.TAX_ENDED) and len(group[0].key) == 3:
        return "The bill does not say which charges this tax is on, so it is told as its own."
    if cause == Cause.TAX:
        return "The rate and the charge are the same as before; the bill does not say why the tax is not."
    charges = [n for n in [*olds, *news] if not n.is_tax]
    if cause == Cause.USAGE and charges and all(how(n) == "" for n in charges):
        return "The bill does not say how much was used."
    if charges and all(n.kind == LineKind.OTHER for n in charges):
        return "The bill gives a name and an amount, and nothing else."
    if wrong := next((n for n in charges if not holds(n)), None):
        return f"{wrong.label}: the bill's own arithmetic makes {shown(makes(wrong))}, it charges {shown(wrong.amount_minor)}."
    return ""


def _tax_how(t: Charged, base: Charged) -> str:
    return f"{percent(t.rate_ppm)} of {shown(base.amount_minor)}" if t.rate_ppm else ""


def _when(group: list[_Found]) -> date | None:
    """The day a change began: the first day of the part of a month that came of it."""
    days = [f.now.start for f in group if f.now is not None and f.now.start is not None and f.now.num != f.now.den]
    return min(days, default=None)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _more(minor: int) -> str:
    return f"{shown(abs(minor))} {'more' if minor > 0 else 'less'}"


def message(found: Explanation, most: int) -> str:
    """The explanation as a text of at most so many characters; what does not fit is one last sum, so that it adds up."""
    lines = [f"{d.title}: {_signed(d.amount_minor)}" for d in found.differences]
    end = f" {found.after_credits}" if found.after_credits else ""
    for kept in range(len(lines), -1, -1):
        left = found.differences[kept:]
        rest = [f"{len(left)} smaller change{'s' if len(left) > 1 else ''} together: {_signed(sum(d.amount_minor for d in left))}"] if left else []
        why = "; ".join([*lines[:kept], *rest])
        text = (f"{found.say} Why: {why}." if why else found.say) + end
        if len(text) <= most:
            return text
    return found.say[:most]


def _signed(minor: int) -> str:
    return f"+{shown(minor)}" if minor > 0 else shown(minor)
