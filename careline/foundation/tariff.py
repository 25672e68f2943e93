"""What a bill charges beside plans, as a rulebook says it (billing.toml): read once, checked whole, frozen.

Amounts are minor units before tax, shares are parts per million.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

TAXABLE: Final = ("plan", "usage", "fee", "one_off", "equipment", "other")
MILLION: Final = 1_000_000
MB_IN_GB: Final = 1024
PER: Final = ("line", "account", "activation")
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
    """`by`: who levies it, "bill" (the bill run) or "ladder" (collections; the bill only prints it). Never both."""

    title: str
    by: str
    least: int
    ppm: int
    forgiven_below: int
    cite: str
    caps: Mapping[str, Cap]


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
    """A tax of one jurisdiction (a state) from a day on: the rate of each kind of line that it taxes."""

    state: str
    name: str
    since: date
    rates: Mapping[str, int]
    cite: str


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
class Tariff:
    due_days: int
    imported: str
    fees: tuple[Fee, ...]
    late_fee: LateFee
    return_fee: ReturnFee
    late_use: LateUse
    taxes: tuple[Tax, ...]
    promotions: Mapping[str, Promotion]

    def taxes_of(self, state: str, on: date) -> tuple[Tax, ...] | None:
        """The taxes of a state on a day, in the order of the file; None: the table does not know the state."""
        known: dict[str, Tax] = {}
        for tax in self.taxes:
            if tax.state == state and tax.since <= on and (tax.name not in known or known[tax.name].since <= tax.since):
                known[tax.name] = tax
        return tuple(known.values()) if known else None


def read(data: Mapping[str, Any]) -> Tariff:
    """The tariff of a parsed billing.toml. Raises ValueError that names the place and says what is wrong."""
    bill = _table(data, "bill")
    late, back = _table(data, "late_fee"), _table(data, "return_fee")
    imported = _text(bill, "bill", "imported")
    if imported not in OWNERS:
        raise ValueError(f"[bill] imported: one of {', '.join(OWNERS)}")
    _only(data, "the file", {"bill", "fee", "late_fee", "return_fee", "late_use", "promotion", "tax"})
    taxes = tuple(_tax(row, n) for n, row in enumerate(data.get("tax", ()), 1))
    seen = {(t.state, t.name, t.since) for t in taxes}
    if len(seen) < len(taxes):
        raise ValueError("[[tax]]: two rows of one state, name and day")
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
        ),
        return_fee=ReturnFee(
            title=_text(back, "return_fee", "title"),
            amount=_whole(back, "return_fee", "amount"),
            cite=_text(back, "return_fee", "cite"),
            caps=_caps(back, "return_fee", "amount", 10**6),
        ),
        late_use=_late_use(data),
        taxes=taxes,
        promotions={code: _promotion(code, row) for code, row in data.get("promotion", {}).items()},
    )


def _levied_by(table: Mapping[str, Any]) -> str:
    found = table.get("by", "bill")
    if found not in ("bill", "ladder"):
        raise ValueError('[late_fee] by: "bill" (the bill run levies it) or "ladder" (a rung of ladder.toml does)')
    return str(found)


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
    not_on = row.get("not_on", [])
    if not isinstance(not_on, list) or not all(isinstance(code, str) for code in not_on):
        raise ValueError(f"[{where}] not_on: a list of codes of plans")
    found = Promotion(
        code,
        _text(row, where, "title"),
        _whole(row, where, "amount") if "amount" in row else 0,
        _whole(row, where, "ppm", most=MILLION) if "ppm" in row else 0,
        _whole(row, where, "months", most=120),
        tuple(not_on),
        _text(row, where, "cite"),
    )
    if not (found.amount or found.ppm) or not found.months:
        raise ValueError(f"[{where}]: a promotion is worth something, for one month or more")
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
        _text(row, where, "name"),
        since,
        {kind: _whole(rates, where, kind, most=MILLION) for kind in rates},
        _text(row, where, "cite"),
    )


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
