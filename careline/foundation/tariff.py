"""What a bill charges beside plans, as a rulebook says it (billing.toml): read once, checked whole, frozen.

Amounts are minor units before tax, shares are parts per million.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Any, Final

TAXABLE: Final = ("plan", "usage", "fee", "one_off", "equipment", "other")
MILLION: Final = 1_000_000
MB_IN_GB: Final = 1024
PER: Final = ("line", "account", "activation")
EXTRA_KINDS: Final = ("fee", "other")
EXTRA_PER: Final = ("line", "account")
MOST_PARTS: Final = 60
LONGEST_TITLE: Final = 80
OWNERS: Final = ("outside", "ours")


@dataclass(frozen=True, slots=True)
class Fee:
    code: str
    title: str
    per: str
    amount: int
    cite: str


@dataclass(frozen=True, slots=True)
class Cap:
    """The most that a state lets a fee be: `value` in parts per million (late fee) or in minor units (return fee)."""

    value: int
    cite: str


@dataclass(frozen=True, slots=True)
class LateFee:
    """`by`: who levies it, "bill" (the bill run) or "ladder" (collections; the bill only prints it). Never both. `imported_from`: the due
    day from which on imported bills have one too (None: they never do)."""

    title: str
    by: str
    least: int
    ppm: int
    forgiven_below: int
    cite: str
    caps: Mapping[str, Cap]
    imported_from: date | None = None

    def spares_imported(self, due_on: date) -> bool:
        """Whether an imported bill of this due day has no late fee here: who made it levied its own."""
        return self.imported_from is None or due_on < self.imported_from


@dataclass(frozen=True, slots=True)
class ReturnFee:
    title: str
    amount: int
    cite: str
    caps: Mapping[str, Cap]


@dataclass(frozen=True, slots=True)
class LateUse:
    """Use that becomes known after its period was billed: for how many days after the period's end it is still charged, and for how
    many a correction still gives back what was charged."""

    charge_days: int
    give_back_days: int
    cite: str


@dataclass(frozen=True, slots=True)
class Tax:
    """A tax of one jurisdiction from a day on: the rate of each kind of line that it taxes. `place`: the names from below the state
    down to the jurisdiction, such as `("King County", "Seattle")`; empty: the state itself."""

    state: str
    place: tuple[str, ...]
    name: str
    since: date
    rates: Mapping[str, int]
    cite: str

    @property
    def label(self) -> str:
        """How a bill calls it: what it is, and whose."""
        return f"{self.name}, {self.place[-1]}, {self.state}" if self.place else self.name


@dataclass(frozen=True, slots=True)
class Taxed:
    """The taxes of an address on a day, the state's first. `by_state_only`: the table has jurisdictions below this state, and none
    for the postal code."""

    taxes: tuple[Tax, ...]
    by_state_only: bool = False


Places = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Promotion:
    """A discount that may be put on an account or line: `amount` off every bill, or `ppm` of the plan charges, for so many
    months; `not_on`: codes of plans that do not get it."""

    code: str
    title: str
    amount: int
    ppm: int
    months: int
    not_on: tuple[str, ...]
    cite: str


@dataclass(frozen=True, slots=True)
class Equipment:
    """What is sold in instalments: its `price` before tax, the numbers of parts that it may be paid in, and the least of it that is
    paid down, with the next bill."""

    code: str
    title: str
    price: int
    counts: tuple[int, ...]
    down: int
    cite: str


@dataclass(frozen=True, slots=True)
class Extra:
    """What may come with every bill: `amount` a month, as a line of a `kind` that taxes know. `per`: "line" or "account"; `not_on`: codes of
    plans that do not get it."""

    code: str
    title: str
    amount: int
    kind: str
    per: str
    not_on: tuple[str, ...]
    cite: str


@dataclass(frozen=True, slots=True)
class Tariff:
    due_days: int
    imported: str
    fees: tuple[Fee, ...]
    late_fee: LateFee
    return_fee: ReturnFee
    late_use: LateUse
    taxes: tuple[Tax, ...]
    promotions: Mapping[str, Promotion]
    equipment: Mapping[str, Equipment] = field(default_factory=dict)
    extras: Mapping[str, Extra] = field(default_factory=dict)
    postal: Mapping[str, Mapping[str, Places]] = field(default_factory=dict)
    _known: dict[tuple[str, Places | None, date], Taxed | None] = field(default_factory=dict, init=False, repr=False, compare=False)

    def taxes_of(self, state: str, postal_code: str, on: date) -> Taxed | None:
        """The taxes of an address on a day: the state's, and those of every jurisdiction that its postal code lies in, from the widest to
        the narrowest. None: the table does not know the state on that day."""
        places = self._places(state, postal_code)
        key = (state, places, on)
        if key not in self._known:
            self._known[key] = self._taxes_in(state, places, on)
        return self._known[key]

    def _places(self, state: str, postal_code: str) -> Places | None:
        """The jurisdictions that the longest start of the code that the table has lies in; None: the table has none."""
        codes, code = self.postal.get(state, {}), plain_code(postal_code)
        return next((codes[code[:n]] for n in range(len(code), 0, -1) if code[:n] in codes), None) if codes else None

    def _taxes_in(self, state: str, places: Places | None, on: date) -> Taxed | None:
        wanted = list(dict.fromkeys([(), *(place[:n] for place in places or () for n in range(1, len(place) + 1))]))
        known: dict[tuple[tuple[str, ...], str], Tax] = {}
        for tax in self.taxes:
            key = (tax.place, tax.name)
            if tax.state == state and tax.place in wanted and tax.since <= on and (key not in known or known[key].since <= tax.since):
                known[key] = tax
        if not any(place == () for place, _ in known):
            return None
        return Taxed(tuple(sorted(known.values(), key=lambda tax: wanted.index(tax.place))), places is None and bool(self.postal.get(state)))


@lru_cache(10_000)
def plain_code(postal_code: str) -> str:
    """A postal code as it is compared: `98101-2345` is `981012345`."""
    return "".join(c for c in postal_code.upper() if c.isalnum())


def read(data: Mapping[str, Any]) -> Tariff:
    """The tariff of a parsed billing.toml. Raises ValueError that names the place and says what is wrong."""
    bill = _table(data, "bill")
    late, back = _table(data, "late_fee"), _table(data, "return_fee")
    imported = _text(bill, "bill", "imported")
    if imported not in OWNERS:
        raise ValueError(f"[bill] imported: one of {', '.join(OWNERS)}")
    _only(data, "the file", {"bill", "fee", "late_fee", "return_fee", "late_use", "promotion", "equipment", "extra", "tax", "postal"})
    taxes = tuple(_tax(row, n) for n, row in enumerate(data.get("tax", ()), 1))
    seen = {(t.state, t.place, t.name, t.since) for t in taxes}
    if len(seen) < len(taxes):
        raise ValueError("[[tax]]: two rows of one jurisdiction, name and day")
    whole = {t.state for t in taxes if not t.place}
    if lost := next((t for t in taxes if t.state not in whole), None):
        raise ValueError(f"[[tax]]: {lost.label} is below {lost.state}, which has no row of its own (`rates = {{}}` says that the state takes no tax)")
    return Tariff(
        due_days=_whole(bill, "bill", "due_days", most=90),
        imported=imported,
        fees=tuple(_fee(code, row) for code, row in data.get("fee", {}).items()),
        late_fee=LateFee(
            title=_text(late, "late_fee", "title"),
            by=_levied_by(late),
            least=_whole(late, "late_fee", "least"),
            ppm=_whole(late, "late_fee", "ppm", most=MILLION),
            forgiven_below=_whole(late, "late_fee", "forgiven_below"),
            cite=_text(late, "late_fee", "cite"),
            caps=_caps(late, "late_fee", "ppm", MILLION),
            imported_from=_imported_from(late),
        ),
        return_fee=ReturnFee(
            title=_text(back, "return_fee", "title"),
            amount=_whole(back, "return_fee", "amount"),
            cite=_text(back, "return_fee", "cite"),
            caps=_caps(back, "return_fee", "amount", 10**6),
        ),
        late_use=_late_use(data),
        taxes=taxes,
        postal=_postal(data.get("postal", ()), {(t.state, t.place) for t in taxes}),
        promotions={code: _promotion(code, row) for code, row in data.get("promotion", {}).items()},
        equipment={code: _equipment(code, row) for code, row in data.get("equipment", {}).items()},
        extras={code: _extra(code, row) for code, row in data.get("extra", {}).items()},
    )


def _levied_by(table: Mapping[str, Any]) -> str:
    found = table.get("by", "bill")
    if found not in ("bill", "ladder"):
        raise ValueError('[late_fee] by: "bill" (the bill run levies it) or "ladder" (a rung of ladder.toml does)')
    return str(found)


def _imported_from(table: Mapping[str, Any]) -> date | None:
    found = table.get("imported_from")
    if found is not None and type(found) is not date:
        raise ValueError("[late_fee] imported_from: a day, such as 2026-12-01; left out, imported bills have no late fee")
    return found


def _late_use(data: Mapping[str, Any]) -> LateUse:
    if "late_use" not in data:  # a rulebook of before: what comes late is left alone, as it was then
        return LateUse(0, 0, "")
    row = _table(data, "late_use")
    charge, back = (_whole(row, "late_use", name, most=730) for name in ("charge_days", "give_back_days"))
    if back < charge:
        raise ValueError("[late_use] give_back_days: at least charge_days, or what was charged late could not be corrected")
    return LateUse(charge, back, _text(row, "late_use", "cite"))


def _caps(table: Mapping[str, Any], where: str, unit: str, most: int) -> dict[str, Cap]:
    found = {}
    for state, row in table.get("cap", {}).items():
        place = f"{where}.cap.{_state(state, f'{where}.cap')}"
        found[state] = Cap(_whole(row, place, unit, most=most), _text(row, place, "cite"))
    return found


def _fee(code: str, row: Mapping[str, Any]) -> Fee:
    where = f"fee.{code}"
    per = _text(row, where, "per")
    if per not in PER:
        raise ValueError(f"[{where}] per: one of {', '.join(PER)}")
    return Fee(code, _text(row, where, "title"), per, _whole(row, where, "amount"), _text(row, where, "cite"))


def _promotion(code: str, row: Mapping[str, Any]) -> Promotion:
    where = f"promotion.{code}"
    if ("amount" in row) == ("ppm" in row):
        raise ValueError(f"[{where}]: either amount (cents off every bill) or ppm (a share of the plan charges)")
    found = Promotion(
        code,
        _title(row, where),
        _whole(row, where, "amount") if "amount" in row else 0,
        _whole(row, where, "ppm", most=MILLION) if "ppm" in row else 0,
        _whole(row, where, "months", most=120),
        _not_on(row, where),
        _text(row, where, "cite"),
    )
    if not (found.amount or found.ppm) or not found.months:
        raise ValueError(f"[{where}]: a promotion is worth something, for one month or more")
    return found


def _equipment(code: str, row: Mapping[str, Any]) -> Equipment:
    where = f"equipment.{code}"
    _only(row, f"[{where}]", {"title", "price", "counts", "down", "cite"})
    counts = row.get("counts")
    if not isinstance(counts, list) or not counts or not all(type(n) is int and 1 < n <= MOST_PARTS for n in counts):
        raise ValueError(f"[{where}] counts: in how many parts it may be paid, such as [12, 24], each from 2 to {MOST_PARTS}")
    found = Equipment(
        code, _title(row, where), _whole(row, where, "price"), tuple(sorted(set(counts))), _whole(row, where, "down") if "down" in row else 0, _text(row, where, "cite")
    )
    if found.price - found.down < found.counts[-1]:
        raise ValueError(f"[{where}]: what is left of the price after {found.down} paid down has no cent for each of {found.counts[-1]} parts")
    return found


def _extra(code: str, row: Mapping[str, Any]) -> Extra:
    where = f"extra.{code}"
    _only(row, f"[{where}]", {"title", "amount", "kind", "per", "not_on", "cite"})
    kind, per = _text(row, where, "kind"), _text(row, where, "per")
    if kind not in EXTRA_KINDS:
        raise ValueError(f"[{where}] kind: one of {', '.join(EXTRA_KINDS)}, as which it stands on the bill and is taxed")
    if per not in EXTRA_PER:
        raise ValueError(f"[{where}] per: one of {', '.join(EXTRA_PER)}")
    found = Extra(code, _title(row, where), _whole(row, where, "amount"), kind, per, _not_on(row, where), _text(row, where, "cite"))
    if not found.amount:
        raise ValueError(f"[{where}] amount: an extra costs something")
    return found


def _not_on(row: Mapping[str, Any], where: str) -> tuple[str, ...]:
    found = row.get("not_on", [])
    if not isinstance(found, list) or not all(isinstance(code, str) for code in found):
        raise ValueError(f"[{where}] not_on: a list of codes of plans")
    return tuple(found)


def _title(row: Mapping[str, Any], where: str) -> str:
    """What a bill's line is called."""
    if len(found := _text(row, where, "title")) > LONGEST_TITLE:
        raise ValueError(f"[{where}] title: at most {LONGEST_TITLE} characters, for it stands on the bill")
    return found


def _tax(row: Mapping[str, Any], n: int) -> Tax:
    where = f"[tax] row {n}"
    rates = row.get("rates")
    if not isinstance(rates, Mapping):
        raise ValueError(f"[{where}] rates: a table of kinds and parts per million, or {{}} for no tax")
    for kind in rates:
        if kind not in TAXABLE:
            raise ValueError(f"[{where}] rates: {kind} is no kind that can be taxed ({', '.join(TAXABLE)})")
    since = row.get("from")
    if type(since) is not date:
        raise ValueError(f"[{where}] from: a day, such as 2026-01-01")
    return Tax(
        _state(_text(row, where, "state"), where),
        _place(row["place"], where) if "place" in row else (),
        _text(row, where, "name"),
        since,
        {kind: _whole(rates, where, kind, most=MILLION) for kind in rates},
        _text(row, where, "cite"),
    )


def _place(text: Any, where: str) -> tuple[str, ...]:
    """`King County/Seattle`: from below the state down."""
    if not isinstance(text, str) or not all(0 < len(name) <= 40 and name == name.strip() for name in text.split("/")):
        raise ValueError(f"[{where}] a place is names of at most 40 characters from below the state down, such as King County/Seattle")
    return tuple(text.split("/"))


def _postal(rows: Sequence[Mapping[str, Any]], taxed: set[tuple[str, tuple[str, ...]]]) -> dict[str, dict[str, Places]]:
    """By state and start of a postal code: the jurisdictions that lie there."""
    found: dict[str, dict[str, Places]] = {}
    for n, row in enumerate(rows, 1):
        where = f"postal row {n}"
        state = _state(_text(row, where, "state"), where)
        codes, places = row.get("codes"), row.get("places")
        if not isinstance(codes, list) or not codes or not all(isinstance(c, str) and plain_code(c) for c in codes):
            raise ValueError(f"[{where}] codes: a list of postal codes, or of starts of them, as texts")
        if not isinstance(places, list):
            raise ValueError(f"[{where}] places: a list of jurisdictions, such as [\"King County/Seattle\"]; [] says that the state is all")
        read = tuple(_place(place, where) for place in places)
        if lost := next((place for place in read if (state, place) not in taxed), None):
            raise ValueError(f"[{where}] {'/'.join(lost)}: no [[tax]] row of {state} has this place")
        for code in map(plain_code, codes):
            if code in found.setdefault(state, {}):
                raise ValueError(f"[{where}] {code}: this code has a row already; one row names every jurisdiction of a code")
            found[state][code] = read
    return found


def _state(text: str, where: str) -> str:
    if not (len(text) == 2 and text.isascii() and text.isupper()):
        raise ValueError(f"[{where}] {text}: a state is two capital letters")
    return text


def _only(data: Mapping[str, Any], where: str, known: set[str]) -> None:
    for name in data:
        if name not in known:
            raise ValueError(f"{where} does not know {name}")


def _table(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = data.get(name)
    if not isinstance(found, Mapping):
        raise ValueError(f"[{name}] is missing")
    return found


def _text(row: Mapping[str, Any], where: str, name: str) -> str:
    found = row.get(name)
    if not isinstance(found, str) or not found.strip() or len(found) > 120:
        raise ValueError(f"[{where}] {name}: a text of at most 120 characters")
    return found


def _whole(row: Mapping[str, Any], where: str, name: str, most: int = 10**8) -> int:
    found = row.get(name)
    if type(found) is not int or not 0 <= found <= most:
        raise ValueError(f"[{where}] {name}: a whole number from 0 to {most}")
    return found
