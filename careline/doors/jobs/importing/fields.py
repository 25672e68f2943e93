"""What an imported row may say: each entity's fields and how one value of a real export is read.

A value that cannot be read is a Fault with the field and a sentence that says what to do; the row is then rejected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import available_timezones

from careline.foundation import cards, phone, pins, sim
from careline.foundation.calendar import add_months
from careline.foundation.money import parsed
from careline.foundation.tariff import MILLION

EMPTY = {"", "null", "none", "n/a", "na", "-", "\\n", "nil"}
YES = {"1", "y", "yes", "true", "t", "on"}
NO = {"0", "n", "no", "false", "f", "off"}


class Fault(ValueError):
    """Why a row is rejected: the field (or `row`) and the reason."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field, self.reason = field, reason


@dataclass(frozen=True)
class Field:
    """`kind` is a key of READERS; without `default`, a value is needed. `most`: of a text its characters, of a whole
    number its size; what our tables hold, so that both databases reject the same rows. `kept`: files that have no such column leave
    what is here as it is."""

    kind: str
    needed: bool = True
    default: Any = None
    most: int = 160
    kept: bool = False


DIGIT = re.compile(r"\d")


def text(raw: str, form: str) -> str:
    if len(raw) > 12 and len(DIGIT.findall(raw)) > 12 and cards.card_numbers(raw):  # a card number has 13 digits or more
        raise ValueError("a payment card number: exports must carry tokens only")
    return " ".join(raw.split())


def money(raw: str, form: str) -> int:
    """Amounts in major units, with or without sign, symbol and thousands separators; `(5.00)` is negative."""
    clean = raw.strip()
    if clean.startswith("(") and clean.endswith(")"):
        clean = "-" + clean[1:-1]
    return parsed(clean)


def minor(raw: str, form: str) -> int:
    return whole(raw, form)


def whole(raw: str, form: str) -> int:
    """A count: 0 to 9 only, with commas before every third digit or none. `12,50` is not 1250."""
    if not re.fullmatch(rf"{COUNT}(\.0+)?", raw):
        raise ValueError("not a whole number: digits 0 to 9, such as 1250 or 1,250")
    return int(raw.partition(".")[0].replace(",", ""))


def decimal(raw: str, form: str) -> Decimal:
    if not re.fullmatch(rf"-?{COUNT}(\.[0-9]+)?", raw):
        raise ValueError("not a number: digits 0 to 9 and a point, such as 1250.5 or 1,250.5")
    value = Decimal(raw.replace(",", ""))
    if abs(value) > 10**11:
        raise ValueError("not a number that can be counted")
    return value


def boolean(raw: str, form: str) -> bool:
    word = raw.strip().lower()
    if word in YES:
        return True
    if word in NO:
        return False
    raise ValueError("neither yes nor no")


def day(raw: str, form: str) -> date:
    """A day in the mapping's format (ISO without one). `months_ago`: so many months before the import."""
    if form.startswith("months_ago"):
        months = whole(raw, "")
        if not 0 <= months <= 1200:
            raise ValueError("not a number of months from 0 to 1200")
        return add_months(date.fromisoformat(form.partition(":")[2]), -months)
    written = re.fullmatch(r"([0-9]{4}-[0-9]{2}-[0-9]{2})([T ][0-9:.]+(Z|[+-][0-9:]+)?)?", raw.strip())
    try:
        found = datetime.strptime(raw.strip(), form).date() if form else date.fromisoformat(written[1] if written else "")  # noqa: DTZ007
    except ValueError:
        raise ValueError(f"not a day as {form or 'YYYY-MM-DD'}") from None
    return _believable(found)


def _believable(found: date) -> Any:
    if not 1990 <= found.year <= 2100:
        raise ValueError("a day outside 1990 to 2100")
    return found


def moment(raw: str, form: str) -> datetime:
    try:
        found = datetime.strptime(raw.strip(), form) if form else datetime.fromisoformat(raw.strip().replace("Z", "+00:00"))  # noqa: DTZ007
    except ValueError:
        raise ValueError(f"not a time as {form or 'ISO 8601'}") from None
    return _believable(found if found.tzinfo else found.replace(tzinfo=UTC))


def zone(raw: str, form: str) -> str:
    if raw not in available_timezones():
        raise ValueError("not a time zone, such as America/New_York")
    return raw


def number(raw: str, form: str) -> str:
    found = phone.parsed(raw)
    if found is None:
        raise ValueError("not a whole phone number")
    return found


def imei(raw: str, form: str) -> str:
    fault = sim.imei_fault(raw)
    if fault:
        raise ValueError(fault)
    return sim.plain(raw)


def iccid(raw: str, form: str) -> str:
    fault = sim.iccid_fault(raw)
    if fault:
        raise ValueError(fault)
    return sim.plain(raw)


def pin_hash(raw: str, form: str) -> str:
    """A hash that the other system made of the PIN alone; the import keeps it under this house's pepper."""
    pins.adopted(raw, b"")
    return raw


def kind_of_use(raw: str, form: str) -> str:
    """A code such as `data` or `roaming_data`; whether a plan names it is seen when it is written."""
    word = raw.strip().lower()
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,19}", word):
        raise ValueError("not data, voice, text, or a code of at most 20 small letters, such as roaming_data")
    return word


class OneOf:
    """Reads one of these words."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def __call__(self, raw: str, form: str) -> str:
        word = raw.strip().lower()
        if word not in self.words:
            raise ValueError(f"not one of {', '.join(self.words)}")
        return word


COUNT = r"([0-9]{1,12}|[0-9]{1,3}(,[0-9]{3}){1,3})"

READERS: dict[str, Callable[[str, str], Any]] = {
    "text": text, "key": text, "money": money, "minor": minor, "whole": whole, "decimal": decimal, "boolean": boolean,
    "day": day, "moment": moment, "zone": zone, "number": number, "contact_number": number, "imei": imei, "iccid": iccid, "pin": pin_hash,
    "line_status": OneOf("active", "suspended", "cancelled", "pending"),
    "account_status": OneOf("active", "suspended", "closed"),
    "right": OneOf("holder", "authorized"),
    "usage_kind": kind_of_use,
    "bill_line_kind": OneOf("plan", "usage", "fee", "equipment", "discount", "one_off", "tax", "other"),
    "sim_kind": OneOf("sim", "esim"),
    "sim_state": OneOf("active", "inactive", "blocked"),
    "agreement_kind": OneOf("fee", "discount", "other"),
    "customer_kind": OneOf("individual", "organization"),
    "method_kind": OneOf("card", "ach"),
}

optional = {"needed": False}
MOST_PARTS = 600
MOST_COUNT = 2**31 - 1
MOST_USED = 50_000_000  # on a day: 50 TB, so that a month of it is still a number that a bill's line can hold
ENTITIES: dict[str, dict[str, Field]] = {
    "plans": {"key": Field("key", most=80), "code": Field("text", most=40), "name": Field("text", most=80), "price": Field("money"),
              "data_mb": Field("whole", **optional), "voice_minutes": Field("whole", **optional), "texts": Field("whole", **optional),
              "data_gb_price": Field("money", **optional), "voice_minute_price": Field("money", **optional, kept=True), "text_price": Field("money", **optional, kept=True)},
    "allowances": {"plan": Field("key", most=80), "kind": Field("usage_kind"), "title": Field("text", most=40), "unit": Field("text", False, "", most=12),
                   "included": Field("whole", False, 0), "price": Field("money")},
    "devices": {"key": Field("key", most=80), "imei": Field("imei"), "make": Field("text", most=60), "model": Field("text", most=80),
                "compatible": Field("boolean", **optional), "blocked": Field("text", False, "", most=60)},
    "customers": {"key": Field("key", most=80), "name": Field("text"), "kind": Field("customer_kind", False, "individual"),
                  "since": Field("day", **optional), "language": Field("text", False, "en", most=35, kept=True), "needs": Field("text", False, "", kept=True),
                  "likes": Field("text", False, "", kept=True), "email": Field("text", False, "", kept=True), "synthetic": Field("boolean", False, False), "phone": Field("contact_number", False, "", kept=True)},
    "persons": {"key": Field("key", most=80), "customer": Field("key", most=80), "name": Field("text"), "email": Field("text", False, "", kept=True)},
    "accounts": {"key": Field("key", most=80), "customer": Field("key", most=80), "reference": Field("text", most=20), "currency": Field("text", False, "USD", most=3),
                 "status": Field("account_status", False, "active"), "opened_on": Field("day"), "bill_day": Field("whole", False, 1),
                 "state": Field("text", False, "", most=2), "zone": Field("zone", False, "America/New_York"), "postal_code": Field("text", False, "", most=10),
                 "autopay": Field("boolean", False, False, kept=True), "change_lock": Field("boolean", False, False, kept=True),
                 "street": Field("text", False, "", most=120, kept=True), "city": Field("text", False, "", most=80, kept=True),
                 "port_lock": Field("boolean", False, False, kept=True)},
    "people": {"account": Field("key", most=80), "person": Field("key", most=80), "right": Field("right"), "may_money": Field("boolean", False, True),
               "may_service": Field("boolean", False, True), "until": Field("day", **optional)},
    "lines": {"key": Field("key", most=80), "account": Field("key", most=80), "number": Field("number"), "label": Field("text", False, "", most=60, kept=True), "plan": Field("key", most=80),
              "status": Field("line_status", False, "active"), "status_reason": Field("text", False, "", most=80), "status_since": Field("day", **optional),
              "number_since": Field("moment"), "activated_on": Field("day"), "device": Field("key", **optional, most=80),
              "iccid": Field("iccid", False, ""), "sim_kind": Field("sim_kind", False, "sim"), "sim_since": Field("moment", **optional),
              "can_text": Field("boolean", False, True), "contract_ends_on": Field("day", **optional, kept=True),
              "sim_state": Field("sim_state", False, "active"), "spending_limit": Field("money", **optional, kept=True)},
    "usage": {"line": Field("key", most=80), "kind": Field("usage_kind"), "day": Field("day"), "quantity": Field("whole", most=MOST_USED)},
    "methods": {"key": Field("key", most=80), "account": Field("key", most=80), "kind": Field("method_kind", False, "card"), "token": Field("text", most=120),
                "brand": Field("text", most=30), "last_four": Field("text", most=4), "expires_on": Field("day", **optional), "is_active": Field("boolean", False, True)},
    "consents": {"key": Field("key", most=80), "account": Field("key", most=80), "topic": Field("text", most=40), "channel": Field("text", most=10),
                 "granted": Field("boolean"), "at": Field("moment"), "source": Field("text", False, "import", most=60)},
    "pins": {"account": Field("key", most=80), "hash": Field("pin", False, "", most=200), "set_at": Field("moment")},
    "agreements": {"key": Field("key", most=80), "account": Field("key", most=80), "line": Field("key", **optional, most=80, kept=True), "kind": Field("agreement_kind"), "label": Field("text", most=80),
                   "amount": Field("money", False, 0), "share_ppm": Field("whole", False, 0), "starts_on": Field("day"), "ends_on": Field("day", **optional, kept=True)},
    "instalments": {"key": Field("key", most=80), "account": Field("key", most=80), "line": Field("key", **optional, most=80, kept=True), "label": Field("text", most=100),
                    "total": Field("money"), "count": Field("whole"), "starts_on": Field("day"), "ended_on": Field("day", **optional, kept=True)},
    "bills": {"key": Field("key", most=80), "account": Field("key", most=80), "number": Field("text", most=40), "period_start": Field("day"), "period_end": Field("day"),
              "issued_on": Field("day"), "due_on": Field("day"), "total": Field("money"), "corrects": Field("key", **optional, most=80)},
    "bill_lines": {"key": Field("key", most=80), "bill": Field("key", most=80), "kind": Field("bill_line_kind"), "label": Field("text"), "line": Field("key", **optional, most=80),
                   "period_start": Field("day", **optional), "period_end": Field("day", **optional), "quantity": Field("decimal", False, Decimal(1)),
                   "unit_price": Field("money", False, 0), "proration_num": Field("whole", False, 1), "proration_den": Field("whole", False, 1),
                   "tax_rate_ppm": Field("whole", False, 0), "taxes": Field("key", **optional, most=80), "amount": Field("money"),
                   "credit": Field("text", **optional, most=40)},
    "payments": {"key": Field("key", most=80), "account": Field("key", most=80), "number": Field("text", most=40), "amount": Field("money"), "method": Field("text", most=60),
                 "received_at": Field("moment"), "provider_reference": Field("text", False, "", most=120), "returns": Field("key", **optional, most=80)},
}
# What makes a row one of its kind, where it is not a key of its own.
IDENTITY = {"people": ("account", "person"), "allowances": ("plan", "kind"), "usage": ("line", "kind", "day"), "pins": ("account",)}


def column(entity: str, name: str) -> str:
    """What a field is called in our tables."""
    kind = ENTITIES[entity][name].kind
    return {"key": "source_key"}.get(name) or {"money": f"{name}_minor", "number": "msisdn"}.get(kind, name)


def _agreement(row: dict[str, Any]) -> None:
    """A discount takes an amount or a share of the plan charges, an extra costs an amount."""
    amount, ppm, ends = row["amount_minor"], row["share_ppm"], row.get("ends_on")
    if row["kind"] != "discount":
        if amount <= 0 or ppm:
            raise Fault("amount", "an extra costs something each month, and no share")
    elif ppm and (amount or ppm > MILLION):
        raise Fault("share_ppm", f"a discount takes an amount or a share, and of that at most {MILLION} parts per million")
    elif not ppm and amount >= 0:
        raise Fault("amount", "a discount is below zero, such as -5.00, or has a share")
    if ends is not None and ends < row["starts_on"]:
        raise Fault("ends_on", "before starts_on")


class Cell(dict[str, Any]):
    """What the values of one field are read as; each is read once while it is remembered, for exports repeat themselves.

    `words` are the source's words for ours, `empty` those that say nothing (compared in lower case).
    """

    def __init__(self, name: str, field: Field, form: str = "", words: Mapping[str, str] | None = None, empty: Collection[str] = EMPTY, guarded: bool = False) -> None:
        super().__init__()
        self._name, self._field, self._form, self._words, self._empty = name, field, form, words or {}, empty
        self._reader, self._guarded = READERS[field.kind], guarded and field.kind in ("text", "key")

    def __missing__(self, raw: str) -> Any:
        if len(self) >= REMEMBERED:
            self.clear()
        self[raw] = found = self.read(raw)
        return found

    def read(self, raw: str) -> Any:
        """Raises Fault for a value that cannot be read."""
        field = self._field
        value = raw.strip()
        value = self._words.get(value, value).strip()
        if value.lower() in self._empty:
            if field.needed:
                raise Fault(self._name, "this is needed and is empty")
            return field.default
        if self._guarded:
            value = unguarded(value)
        try:
            found = self._reader(value, self._form)
        except ValueError as fault:
            raise Fault(self._name, f"{fault}") from None
        if isinstance(found, str) and len(found) > field.most:
            raise Fault(self._name, f"longer than {field.most} characters")
        if field.kind == "whole" and found > (limit := MOST_COUNT if field.most == 160 else field.most):
            raise Fault(self._name, f"above {limit}")
        return found


REMEMBERED = 10_000  # values of a field
FORMULA = re.compile(r"'*[=+\-@\t\r]")


def guarded(text: str) -> str:
    """A text that no spreadsheet runs as a formula: with an apostrophe before what would be one, or has one there already."""
    return f"'{text}" if FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """The text that was guarded."""
    return text[1:] if text[:1] == "'" and FORMULA.match(text) else text


def cells(entity: str, forms: Mapping[str, str], words: Mapping[str, Mapping[str, str]] = {}, empty: Collection[str] = EMPTY, guarded: bool = False) -> dict[str, Cell]:
    """A reader for each field of an entity, by its name, in the order in which faults are told."""
    return {name: Cell(name, field, forms.get(name, ""), words.get(name), empty, guarded) for name, field in ENTITIES[entity].items()}


def read_row(entity: str, raw: Mapping[str, str], forms: Mapping[str, str]) -> dict[str, Any]:
    """A row of an entity, as our tables call its columns, from its source values by field name. Raises Fault for the first that
    cannot be read."""
    row = {column(entity, name): cell[raw.get(name) or ""] for name, cell in cells(entity, forms).items()}
    together(entity, row)
    return row


def together(entity: str, row: dict[str, Any]) -> None:
    """Rules about what a row says as a whole."""
    if entity == "methods" and not re.fullmatch(r"[0-9]{4}", row["last_four"]):
        raise Fault("last_four", "not four digits")
    if entity == "accounts" and not 1 <= row["bill_day"] <= 31:
        raise Fault("bill_day", "not a day of a month")
    if entity == "accounts" and row["currency"] != "USD":
        raise Fault("currency", f"this house keeps USD, not {row['currency']}")
    if entity == "allowances" and row["kind"] in ("data", "voice", "text"):
        raise Fault("kind", "what a plan includes of data, voice and text stands with the plan")
    for name in ("data_gb_price", "voice_minute_price", "text_price", "spending_limit", *(["price"] if entity == "allowances" else [])):
        if (row.get(f"{name}_minor") or 0) < 0:
            raise Fault(name, "below zero")
    if entity == "agreements":
        _agreement(row)
    if entity == "instalments":
        if not 1 <= row["count"] <= MOST_PARTS:
            raise Fault("count", f"not a number of parts from 1 to {MOST_PARTS}")
        if row["total_minor"] < row["count"]:
            raise Fault("total", "not a cent for each part")
    if entity == "bills" and row["period_end"] < row["period_start"]:
        raise Fault("period_end", "before period_start")
    if entity == "bill_lines" and row["proration_den"] < 1:
        raise Fault("proration_den", "below 1")
    if entity == "payments" and row["amount_minor"] <= 0:
        raise Fault("amount", "not above zero; a returned payment has `returns` and its own positive amount")
