"""The demo carrier's accounts and their past: drafted here without a database, then written by the rooms' bulk verbs.

Everything follows from one seed and the day it is made: two makes on a day draft the same households, bills and
payments to the cent.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from careline.domain.customers import rules as customers
from careline.domain.ledger.rules import LineKind
from careline.domain.ledger.rules.charges import STATE_ONLY
from careline.doors.jobs.demo import names
from careline.foundation.calendar import add_months, bill_period, civil_date
from careline.foundation.money import share
from careline.foundation.sim import luhn_digit
from careline.foundation.tariff import Tariff, Taxed

SEED = 20261124
MONTHS = 18
DUE_DAYS = 21
OVERAGE_MINOR = 1000
LATE_FEE_MINOR = 500
LATE_FEE = "Late payment fee"
REGULATORY_MINOR = 199
PROTECTION, PROTECTION_MINOR = "Device protection", 900  # as billing.toml has it
PINS = 6  # how many PINs the ordinary accounts share
FEATURES = customers.FROM_THE_START | {customers.Feature.INTERNATIONAL_CALLING}  # what this carrier switches on for a new line
SUSPENDED_FOR = {"not paid": "non_payment", "watch lost": "lost_or_stolen"}
ZONES = {state: zone for state, zone, _, _ in names.PLACES}


@dataclass
class Stock:
    """What there is only one of each: phone numbers, device numbers, SIM numbers."""

    rng: Random
    numbers: set[str] = field(default_factory=set)
    serial: Iterator[int] = field(default_factory=lambda: itertools.count(100_003, 7))

    def number(self, area: str) -> str:
        """A number that nobody has: its exchange is 555, and 555-01xx is kept for the stories."""
        while True:
            number = f"+1{area}555{self.rng.randrange(1000, 10_000)}"
            if number not in self.numbers:
                self.numbers.add(number)
                return number

    def imei(self, tac: str) -> str:
        body = f"{tac}{next(self.serial) % 1_000_000:06d}"
        return body + luhn_digit(body)

    def iccid(self) -> str:
        body = f"8901260{next(self.serial):011d}"
        return body + luhn_digit(body)


@dataclass
class LineDraft:
    number: str
    plan: str
    activated_on: date
    label: str = ""
    device: tuple[str, str, str, str, int] | None = None
    imei: str = ""
    iccid: str = ""
    esim: bool = False
    instalments_from: date | None = None
    instalments: int = 24
    sold_at_the_desk: bool = False  # the sale is lived through, not brought from the books before
    protection: bool = False
    status: str = "active"
    status_reason: str = ""
    status_since: date | None = None
    number_since: datetime | None = None
    sim_since: datetime | None = None
    can_text: bool = True
    use: float = 0.5  # of its allowance, this month
    features: frozenset[str] = FEATURES
    sim_state: str = "active"
    blocked: str = ""  # why the phone is on a block list
    spending_limit_minor: int | None = None
    before: tuple[str, date] | None = None  # its plan until a day, and that day
    source_key: str | None = None  # how the network's files of use name it
    used_before: tuple[tuple[str, date, int], ...] = ()  # kind, day, units: before this month


@dataclass
class PersonDraft:
    name: str
    right: str = "holder"
    may_money: bool = True
    may_service: bool = True
    until: date | None = None
    email: str = ""
    same_as: str = ""


@dataclass
class BillDraft:
    """One bill: `lines` are columns of bill lines, `line` standing for the place of a line in the household."""

    issued: date
    due: date
    end: date
    lines: list[dict[str, Any]]
    number: str = ""

    @property
    def total(self) -> int:
        return sum(n["amount_minor"] for n in self.lines)


@dataclass
class House:
    """One account to be: who, with which lines, how they pay. `pays`: see `payments`."""

    reference: str
    name: str
    state: str
    bill_day: int
    opened_on: date
    lines: list[LineDraft]
    people: list[PersonDraft]
    kind: str = "individual"
    language: str = "en"
    needs: str = ""
    likes: str = ""
    email: str = ""
    autopay: bool = False
    change_lock: bool = False
    status: str = "active"
    pays: str = "on time"
    unpaid: int = 0
    extra_minor: int = 0
    pays_twice: bool = False
    method: tuple[str, str, str, date | None] | None = None  # brand, last four, token's last word, expiry
    pin: str = ""
    promo: tuple[str, int, date] | None = None  # label, minor units off, last day
    overage: dict[int, int] = field(default_factory=dict)  # bill (0: the newest) -> hundredths of a GB on the first line
    calls: dict[int, int] = field(default_factory=dict)  # bill -> minutes over the plan on the first line
    late_fees: set[int] = field(default_factory=set)
    consents: bool = True
    billed_until: date | None = None
    town: str = ""  # its postal code, where that is not made up
    bills: list[BillDraft] = field(default_factory=list)
    paid: list[tuple[datetime, int, str]] = field(default_factory=list)
    payment_numbers: list[str] = field(default_factory=list)

    @property
    def postal_code(self) -> str:
        return self.town or f"{names.POSTAL[self.state]}{int(self.reference[-2:]):02d}"


def moment(day: date, clock: time) -> datetime:
    """A time of day at the carrier, as a moment."""
    return datetime.combine(day, clock, tzinfo=ZoneInfo(settings.CARRIER_ZONE))


# ------------------------------------------------------------------ drafting households


def draft_many(count: int, today: date, rng: Random, stock: Stock) -> list[House]:
    """`count` ordinary households of many kinds, oldest customer first."""
    return [_draft(i, today, rng, stock) for i in range(count)]


def _draft(i: int, today: date, rng: Random, stock: Stock) -> House:
    state, _, areas, _ = rng.choices(names.PLACES, [p[3] for p in names.PLACES])[0]
    _, tongue, firsts, lasts = rng.choices(names.FAMILIES, [f[0] for f in names.FAMILIES])[0]
    last = rng.choice(lasts.split()).replace("Dela-Cruz", "Dela Cruz")
    holder = f"{rng.choice(firsts.split())} {last}"
    business = rng.random() < 0.03
    name = f"{rng.choice(names.COMPANIES)} {rng.choice(('LLC', 'Inc.', '& Co.'))}" if business else holder
    old = rng.random() < 0.62
    opened = today - timedelta(days=rng.randrange(560, 3200) if old else rng.randrange(35, 560))
    size = rng.randrange(3, 7) if business else rng.choices((1, 2, 3, 4, 5), (56, 26, 10, 6, 2))[0]
    house = House(
        reference=f"A-{110_000 + i * 3:07d}",
        name=name,
        kind="business" if business else "individual",
        state=state,
        bill_day=rng.randrange(1, 29),
        opened_on=opened,
        language=tongue if tongue != "en" and rng.random() < 0.55 else "en",
        needs=rng.choice(names.NEEDS) if rng.random() < 0.05 else "",
        likes=rng.choice(names.LIKES) if rng.random() < 0.08 else "",
        email=f"{_ascii(holder)}{i}@example.com",
        people=[PersonDraft(holder, email=f"{_ascii(holder)}{i}@example.com")],
        lines=[_line(k, business, rng.choice(areas), opened, today, rng, stock) for k in range(size)],
        pin=str(rng.randrange(PINS)) if rng.random() < 0.9 else "",
        change_lock=rng.random() < 0.06,
        consents=rng.random() < 0.6,
    )
    if rng.random() < 0.34:
        second = f"{rng.choice(firsts.split())} {last if rng.random() < 0.7 else rng.choice(lasts.split())}"
        if second != holder:
            house.people.append(PersonDraft(second, "authorized", rng.random() < 0.7, rng.random() < 0.9))
    _ways_of_paying(house, today, rng)
    for k in range(MONTHS):
        capped = names.PLAN[house.lines[0].plan]["data_mb"] is not None
        if capped and rng.random() < 0.04:
            house.overage[k] = rng.choice((100, 100, 100, 200, 300))
        if house.pays == "late" and rng.random() < 0.3:
            house.late_fees.add(k)
        if house.lines[0].plan == "BASIC2" and rng.random() < 0.07:
            house.calls[k] = rng.randrange(3, 90)
    if rng.random() < 0.3:
        off = rng.choice((500, 1000, 1000, 1500))
        house.promo = (f"Welcome offer, {off // 100} dollars off", off, add_months(opened, rng.choice((6, 12, 12, 24))))
    return house


def _ascii(name: str) -> str:
    return ".".join("".join(c for c in word if c.isascii() and c.isalnum()) for word in customers.name_words(name)) or "customer"


def _line(k: int, business: bool, area: str, opened: date, today: date, rng: Random, stock: Stock) -> LineDraft:
    if business:
        plan, kind = "BUSINESS", "phone"
    elif k >= 1 and rng.random() < 0.22:
        plan, kind = rng.choice((("WATCH", "watch"), ("WATCH", "watch"), ("TABLET10", "tablet"), ("DATA20", "tablet")))
    elif k >= 2 and rng.random() < 0.3:
        plan, kind = "KIDS3", "phone"
    else:
        plan = rng.choices(("BASIC2", "PLUS5", "PLUS15", "UNLIMITED", "PREMIUM"), (13, 24, 27, 27, 9))[0]
        kind = "phone"
    since = opened if k == 0 else min(opened + timedelta(days=rng.choice((0, 0, rng.randrange(400)))), today - timedelta(days=33))
    device = rng.choice([d for d in names.DEVICES if d[3] == kind])
    line = LineDraft(
        number=stock.number(area),
        plan=plan,
        activated_on=max(since, opened),
        label={"watch": "Watch", "tablet": "Tablet"}.get(kind, ""),
        device=device,
        imei=stock.imei(device[0]),
        iccid=stock.iccid(),
        esim=rng.random() < 0.4,
        protection=rng.random() < 0.15,
        can_text=kind == "phone",
        use=min(rng.lognormvariate(-0.75, 0.6), 1.25),
        spending_limit_minor=1500 if plan == "KIDS3" else None,
        features=FEATURES | {name for name, often in ((customers.Feature.WIFI_CALLING, 0.5), (customers.Feature.ROAMING, 0.3)) if rng.random() < often},
    )
    if device[4] and rng.random() < 0.5:
        line.instalments_from = max(line.activated_on, today - timedelta(days=rng.randrange(20, 900)))
    if rng.random() < 0.12:
        changed = today - timedelta(days=rng.randrange(20, 500))
        if changed > line.activated_on:
            line.sim_since = moment(changed, time(12, 30))
    return line


def _ways_of_paying(house: House, today: date, rng: Random) -> None:
    house.autopay = rng.random() < 0.52
    house.pays = rng.choices(("on time", "late", "in parts"), (81, 11, 2))[0]
    if house.autopay:
        house.pays = "on time"
    roll = rng.random()
    if roll < 0.055:
        house.pays, house.unpaid, house.autopay = "stopped", rng.choice((1, 1, 1, 2, 2, 3)) + 1, False
    elif roll < 0.08:
        house.extra_minor = rng.choice((500, 1200, 2000, 4500))
    if house.autopay or rng.random() < 0.6:
        word = rng.choices(("good", "declined", "funds", "expired"), (94, 2, 2, 2))[0]
        expires = date(today.year + rng.randrange(1, 5), rng.randrange(1, 13), 28)
        if word == "expired":
            expires = (today - timedelta(days=rng.randrange(31, 300))).replace(day=28)
        brand = rng.choice(("Visa", "Visa", "Mastercard", "Amex", "Discover"))
        house.method = (brand, f"{rng.randrange(10_000):04d}", word, expires)
        if house.autopay and word != "good":
            house.pays, house.unpaid = "stopped", 2
    if house.pays == "stopped" and house.unpaid > 2:
        for line in house.lines:
            line.status, line.status_reason = "suspended", "not paid"
            line.status_since = today - timedelta(days=rng.randrange(2, 18))


# ------------------------------------------------------------------ drafting bills and payments


def bill_days(house: House, today: date) -> list[date]:
    """The days on which this household was billed, newest first, at most 18."""
    newest, _ = bill_period(house.bill_day, today)
    days = [add_months(newest, -k) for k in range(MONTHS)]
    return [d for d in days if house.opened_on < d <= min(house.billed_until or today, today)]


def draft_bills(house: House, today: date, tariff: Tariff) -> None:
    """The household's bills, newest first, each with lines that sum to it."""
    days = bill_days(house, today)
    for k, issued in enumerate(days):
        first = k == len(days) - 1 and len(days) < MONTHS
        taxed = tariff.taxes_of(house.state, house.postal_code, issued)
        if taxed is None:
            raise ValueError(f"billing.toml has no tax for {house.state}")
        house.bills.append(_bill(house, k, issued, taxed, first))


def _bill(house: House, k: int, issued: date, taxed: Taxed, first: bool) -> BillDraft:
    start, end = bill_period(house.bill_day, issued)
    lines: list[dict[str, Any]] = []
    before: list[dict[str, Any]] = []
    living = [i for i, n in enumerate(house.lines) if n.activated_on <= issued and n.status != "cancelled"]
    for i in living:
        draft = house.lines[i]
        plan = names.PLAN[draft.before[0] if draft.before and issued <= draft.before[1] else draft.plan]
        price = int(str(plan["price_minor"]))
        lines.append(_charge(LineKind.PLAN, str(plan["name"]), i, price, price, start, end))
        lines += _mid_month(draft, i, start)
        if first and draft.activated_on == house.opened_on:
            before += _first_days(draft, i, str(plan["name"]), price, start)
        if draft.protection:
            lines.append(_charge(LineKind.FEE, PROTECTION, i, PROTECTION_MINOR, PROTECTION_MINOR, start, end))
        if draft.instalments_from and draft.device and draft.instalments_from < issued:
            nth = (issued.year - draft.instalments_from.year) * 12 + issued.month - draft.instalments_from.month
            if 1 <= nth <= draft.instalments:
                label = f"{draft.device[1]} {draft.device[2]}, instalment {nth} of {draft.instalments}"
                lines.append(_charge(LineKind.EQUIPMENT, label, i, draft.device[4], draft.device[4]))
    if house.promo and house.promo[2] >= issued:
        label, off, until = house.promo
        lines.append(_charge(LineKind.DISCOUNT, f"{label}, until {until:%b} {until.day}, {until.year}", None, -off, -off, start, end))
    if hundredths := house.overage.get(k):
        gb, amount = Decimal(hundredths) / 100, share(OVERAGE_MINOR, hundredths, 100)
        charge = _charge(LineKind.USAGE, f"Extra data, {gb.normalize():f} GB", 0, OVERAGE_MINOR, amount, add_months(start, -1), start - timedelta(days=1))
        lines.append(charge | {"quantity": gb})
    if minutes := house.calls.get(k):
        price = int(str(names.PLAN[house.lines[0].plan]["voice_minute_price_minor"]))
        charge = _charge(LineKind.USAGE, f"Calls over the plan, {minutes} min", 0, price, price * minutes, add_months(start, -1), start - timedelta(days=1))
        lines.append(charge | {"quantity": minutes})
    if k in house.late_fees:
        lines.append(_charge(LineKind.FEE, LATE_FEE, None, LATE_FEE_MINOR, LATE_FEE_MINOR))
    count = len(living)
    if count:
        fee = _charge(LineKind.FEE, f"Regulatory recovery, {count} line{'s' if count > 1 else ''}", None, REGULATORY_MINOR, count * REGULATORY_MINOR)
        lines.append(fee | {"quantity": count})
    if first:
        before.append(_charge(LineKind.ONE_OFF, "Activation", None, 1000, 1000))
    return BillDraft(issued, issued + timedelta(days=DUE_DAYS), end, [*lines, *before, *_taxes(taxed, lines + before)])


def _taxes(taxed: Taxed, charges: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the rulebook taxes, for each jurisdiction; no fee for being late. A discount is taxed as the plans that it is on."""
    return [
        {"kind": LineKind.TAX, "label": tax.label, "line": n["line"], "tax_rate_ppm": ppm, "taxes": place, "amount_minor": amount,
         "source_key": STATE_ONLY if taxed.by_state_only else None}
        for place, n in enumerate(charges)
        for tax in taxed.taxes
        if n["label"] != LATE_FEE
        and (ppm := tax.rates.get(LineKind.PLAN if n["kind"] == LineKind.DISCOUNT else n["kind"], 0)) and (amount := share(n["amount_minor"], ppm, 1_000_000))
    ]  # fmt: skip


def _first_days(draft: LineDraft, i: int, plan: str, price: int, start: date) -> list[dict[str, Any]]:
    """From the activation to the first bill: a part of the month, by days."""
    begin, _ = bill_period(start.day, start - timedelta(days=1))
    of, days = (start - begin).days, (start - draft.activated_on).days
    if not 0 < days < of:
        return []
    charge = _charge(LineKind.PLAN, f"{plan}, {days} of {of} days", i, price, share(price, days, of), draft.activated_on, start - timedelta(days=1))
    return [charge | {"proration_num": days, "proration_den": of}]


def _mid_month(draft: LineDraft, i: int, start: date) -> list[dict[str, Any]]:
    """A plan that changed in the month before this bill: the days that were left of it, of the new plan and of the old one back."""
    if draft.before is None:
        return []
    (old, changed), begin = draft.before, add_months(start, -1)
    of, days = (start - begin).days, (start - changed).days
    if not 0 < days < of:
        return []
    made = []
    for code, sign in ((draft.plan, 1), (old, -1)):
        unit = sign * int(str(names.PLAN[code]["price_minor"]))
        charge = _charge(LineKind.PLAN, f"{names.PLAN[code]['name']}, {days} of {of} days", i, unit, share(unit, days, of), changed, start - timedelta(days=1))
        made.append(charge | {"proration_num": days, "proration_den": of})
    return made


def _charge(
    kind: str, label: str, line: int | None, unit: int, amount: int, start: date | None = None, end: date | None = None
) -> dict[str, Any]:
    return {
        "kind": str(kind), "label": label, "line": line, "unit_price_minor": unit, "amount_minor": amount,
        "period_start": start, "period_end": end,
    }


def draft_payments(house: House, now: datetime, rng: Random) -> None:
    """What came in, bill by bill from the oldest: on time, late, in parts, or nothing for the newest `unpaid` bills."""
    method = f"{house.method[0]} …{house.method[1]}" if house.method else rng.choice(("Cash at a store", "Bank transfer", "Card by link"))
    count, owed = len(house.bills), 0
    for k in range(count - 1, -1, -1):
        bill = house.bills[k]
        if house.pays == "stopped" and k < house.unpaid:
            continue
        owed += bill.total
        clock = time(rng.randrange(7, 21), rng.randrange(60), rng.randrange(60))
        if house.pays == "late":
            day, amount = bill.due + timedelta(days=rng.randrange(2, 11)), owed
        elif house.pays == "in parts":
            day, amount = bill.due - timedelta(days=rng.randrange(0, 4)), share(owed, 3 if k else 2, 5) if k % 3 else owed
        elif house.autopay:
            day, amount, clock = bill.due - timedelta(days=1), owed, time(6, 0, rng.randrange(60))
        else:
            day, amount = bill.due - timedelta(days=rng.randrange(0, 16)), owed
        received = moment(day, clock)
        if received >= now or amount <= 0:
            continue
        owed -= amount
        house.paid.append((received, amount, method))
    if house.pays_twice and house.bills:
        newest = house.bills[0].total
        owed = sum(b.total for b in house.bills) - sum(a for _, a, _ in house.paid)
        days = [now - timedelta(days=3, hours=2), now - timedelta(days=1, hours=5)]
        house.paid += [(days[0], owed, method)] if owed > 0 else []
        house.paid.append((days[1], owed if owed > 0 else newest, "Card by link"))
    if house.extra_minor and house.paid:
        received, amount, method = house.paid[-1]
        missing = sum(b.total for b in house.bills) - sum(a for _, a, _ in house.paid)
        house.paid[-1] = (received, amount + missing + house.extra_minor, method)


# ------------------------------------------------------------------ rows for the rooms


def rows_of(house: House, plans: dict[str, int], hashes: dict[str, str], today: date, rng: Random) -> dict[str, Any]:
    """The household as `customers.operations.open_accounts_many` takes it."""
    set_at = moment(max(house.opened_on, today - timedelta(days=rng.randrange(40, 900))), time(14, 5))
    return {
        "customer": {
            "name": house.name, "kind": house.kind, "since": house.opened_on, "language": house.language,
            "needs": house.needs, "likes": house.likes, "email": house.email, "synthetic": True,
        },
        "account": {
            "reference": house.reference, "opened_on": house.opened_on, "bill_day": house.bill_day, "state": house.state,
            "zone": ZONES[house.state], "autopay": house.autopay, "change_lock": house.change_lock, "status": house.status,
            "postal_code": house.postal_code,
        },
        "people": [
            {
                "person": {"name": p.name, "email": p.email},
                "right": {"right": p.right, "may_money": p.may_money, "may_service": p.may_service, "until": p.until},
                "same_as": p.same_as,
            }
            for p in house.people
        ],
        "lines": [_line_row(n, house, plans, today, rng) for n in house.lines],
        "pin": (hashes[house.pin], set_at) if house.pin else None,
        "consents": [
            {"topic": topic, "channel": channel, "granted": granted, "at": moment(house.opened_on, time(11)), "source": "sign-up"}
            for topic, channel, granted in (("marketing", "sms", rng.random() < 0.5), ("collections", "sms", True))
        ]
        if house.consents
        else [],
    }


def _line_row(n: LineDraft, house: House, plans: dict[str, int], today: date, rng: Random) -> dict[str, Any]:
    since = n.number_since or moment(n.activated_on, time(13))
    return {
        "msisdn": n.number, "label": n.label, "plan_id": plans[n.plan], "status": n.status,
        "status_reason": n.status_reason, "status_since": n.status_since,
        "suspended_for": SUSPENDED_FOR.get(n.status_reason, "") if n.status == "suspended" else "", "number_since": since,
        "activated_on": n.activated_on, "iccid": n.iccid, "sim_kind": "esim" if n.esim else "sim",
        "sim_since": n.sim_since, "can_text": n.can_text,
        "features": customers.features_text(n.features), "sim_state": n.sim_state, "spending_limit_minor": n.spending_limit_minor,
        "device": {"imei": n.imei, "make": n.device[1], "model": n.device[2], "compatible": True, "blocked": n.blocked} if n.device else None,
        "usage": [*n.used_before, *(_usage(n, house, today, rng) if n.status == "active" else [])], "source_key": n.source_key,
    }


def _usage(n: LineDraft, house: House, today: date, rng: Random) -> list[tuple[str, date, int]]:
    """This month's use in a few days' rows, all of it inside both the bill period and the calendar month."""
    start, end = bill_period(house.bill_day, today)
    first = max(start, today.replace(day=1), n.activated_on)
    days = sorted({first + timedelta(days=round((today - first).days * part)) for part in (0.1, 0.4, 0.7, 1.0)})
    gone = ((today - start).days + 1) / ((end - start).days + 1)
    allowance = names.PLAN[n.plan]["data_mb"]
    total = int(int(str(allowance or 30_000)) * (n.use if n.use >= 0.9 else n.use * gone))
    rows = [("data", day, total // len(days) + (total % len(days) if day == days[0] else 0)) for day in days]
    if n.can_text:
        rows.append(("voice", days[-1], rng.randrange(0, 300)))
        rows.append(("text", days[-1], rng.randrange(0, 400)))
    return rows


def number_documents(houses: Sequence[House], bills: Sequence[str], payments: Sequence[str]) -> None:
    """Give every bill and payment its number, in the order in which they happened."""
    in_order = sorted(((b.issued, h.reference, b) for h in houses for b in h.bills), key=lambda t: t[:2])
    for (_, _, bill), number in zip(in_order, bills, strict=True):
        bill.number = number
    came = sorted(((p[0], h.reference, i, h) for h in houses for i, p in enumerate(h.paid)), key=lambda t: t[:3])
    for h in houses:
        h.payment_numbers = [""] * len(h.paid)
    for (_, _, i, h), number in zip(came, payments, strict=True):
        h.payment_numbers[i] = number


def money_rows(
    houses: Sequence[House], ids: Sequence[tuple[int, tuple[int, ...]]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Methods, bills and payments as `ledger.operations.post_history_many` takes them; `ids`: account, its lines."""
    methods, bills, payments = [], [], []
    for house, (account_id, line_ids) in zip(houses, ids, strict=True):
        if house.method:
            brand, four, word, expires = house.method
            methods.append({
                "account_id": account_id, "token": f"tok-{house.reference[2:]}-{word}", "brand": brand,
                "last_four": four, "expires_on": expires,
            })
        for bill in reversed(house.bills):
            lines = [
                {k: v for k, v in n.items() if k != "line"} | {"line_id": line_ids[n["line"]] if n["line"] is not None else None}
                for n in bill.lines
            ]
            bills.append({
                "number": bill.number, "account_id": account_id, "period_start": bill.issued, "period_end": bill.end,
                "issued_on": bill.issued, "due_on": bill.due, "total_minor": bill.total, "lines": lines,
            })
        for (received, amount, method), number in zip(house.paid, house.payment_numbers, strict=True):
            payments.append({
                "number": number, "account_id": account_id, "amount_minor": amount, "method": method, "received_at": received,
            })
    return methods, bills, payments


def agreed_rows(houses: Sequence[House], ids: Sequence[tuple[int, tuple[int, ...]]], today: date) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What comes with every bill to come, as the bills before have it: extras and discounts, and equipment of which parts are left, as columns
    (their numbers are missing still)."""
    agreed: list[dict[str, Any]] = []
    bought: list[dict[str, Any]] = []
    for house, (account_id, line_ids) in zip(houses, ids, strict=True):
        if house.promo and house.promo[2] >= today:
            label, off, until = house.promo
            agreed.append({"account_id": account_id, "kind": "discount", "label": label, "amount_minor": -off, "starts_on": house.opened_on, "ends_on": until})
        for draft, line_id in zip(house.lines, line_ids, strict=True):
            if draft.status == "cancelled":
                continue
            mine = {"account_id": account_id, "line_id": line_id}
            if draft.protection:
                agreed.append({**mine, "kind": LineKind.FEE, "label": PROTECTION, "amount_minor": PROTECTION_MINOR, "starts_on": draft.activated_on})
            if draft.instalments_from and draft.device and draft.device[4] and not draft.sold_at_the_desk:
                # The first part is on the bill of the month after the sale.
                first = bill_period(house.bill_day, add_months(draft.instalments_from.replace(day=1), 2) - timedelta(days=1))[0]
                if add_months(first, draft.instalments) > today:
                    bought.append({**mine, "label": f"{draft.device[1]} {draft.device[2]}", "total_minor": draft.device[4] * draft.instalments, "count": draft.instalments, "starts_on": first})
    return agreed, bought


def day_of(now: datetime) -> date:
    return civil_date(now, settings.CARRIER_ZONE)
