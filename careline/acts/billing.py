"""The acts of what comes with every bill: a promotion that is added (or added back), an extra, equipment that is sold in
instalments and paid off early, an extra or a discount that ends."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from django.conf import settings
from pydantic import Field

from careline.acts.declare import ActType, Done, Id, Input, Locks, Price, Scene, ShortWords, Whole
from careline.domain.billing import operations, queries, rules
from careline.domain.customers import queries as customers
from careline.domain.ledger import queries as ledger
from careline.foundation import phone
from careline.foundation.act import Act
from careline.foundation.calendar import civil_date
from careline.foundation.money import share, shown
from careline.foundation.refusal import WayOn, refuse
from careline.foundation.tariff import MILLION, MOST_PARTS, Equipment, Extra, Promotion, Tariff


class AddPromotion(Input):
    """`promotion`: its code in billing.toml. `line`: the line that it is on; without one it is on the account."""

    account: Id
    promotion: ShortWords
    line: Id | None = None
    words: Annotated[str, Field(max_length=400)] = ""


class AddExtra(Input):
    """`extra_code`: of billing.toml. `line`: the line that it is for, where it is one for lines. `consent`: what it costs a month
    before tax, which was read out and agreed to."""

    account: Id
    extra_code: ShortWords
    line: Id | None = None
    consent: Price
    words: Annotated[str, Field(max_length=400)] = ""


class SellInInstalments(Input):
    """`equipment`: its code in billing.toml. `count`: in how many parts, one with every bill; `down`: what is paid of it with the next
    bill. `consent`: one part before tax, which was read out and agreed to with all the rest."""

    account: Id
    equipment: ShortWords
    count: Annotated[Whole, Field(gt=1, le=MOST_PARTS)]
    line: Id | None = None
    down: Price = 0
    consent: Price
    words: Annotated[str, Field(max_length=400)] = ""


class PayOff(Input):
    """`instalments`: their number. `consent`: what is left before tax, which was read out and agreed to."""

    account: Id
    instalments: Annotated[str, Field(min_length=4, max_length=40)]
    consent: Price
    words: Annotated[str, Field(min_length=1, max_length=400)]


class EndAgreed(Input):
    """`agreed`: the number of an extra or a discount that runs."""

    account: Id
    agreed: Annotated[str, Field(min_length=4, max_length=40)]
    words: Annotated[str, Field(min_length=1, max_length=400)]


def _account(given: Any) -> Locks:
    return Locks(accounts=(given.account,))


def _tariff(scene: Scene) -> Tariff:
    if "billing.toml" not in scene.rulebook.files:
        raise refuse("CONFLICT", "The rulebook in force has no billing.toml, so nothing is promised for a bill here.", rule="no-billing")
    return scene.rulebook.billing


def _ours(scene: Scene, account_id: int) -> Tariff:
    """The tariff; refused where another system makes the bills: what is written here would reach no bill."""
    tariff = _tariff(scene)
    if queries.is_outside(account_id, tariff):
        raise refuse("CONFLICT", "Another system makes this account's bills: it has to be changed there. Note it and set a follow-up.", rule="billed-outside",
                     way_on=(WayOn("Add a note", "contacts.note"),))  # fmt: skip
    return tariff


def worth(promotion: Promotion, plans: int) -> int:
    """What a promotion takes off in all its months at most, given the plan charges of a month (minor units)."""
    return (promotion.amount or share(plans, promotion.ppm, MILLION)) * promotion.months


def _running(given: AddPromotion, title: str, lines: list[Any], today: date) -> int:
    """What the discounts that run for a time take off in the months that they have left (minor units). The one that is asked for
    is not among them: where it runs already, that is what is said."""
    found = 0
    for a in queries.agreed_of(given.account, today):
        same = queries.overlaps(a, title, given.line)
        if a.kind == "discount" and a.ends_on is not None and not same:
            months = (a.ends_on.year - today.year) * 12 + a.ends_on.month - today.month + (a.ends_on.day >= today.day)
            plans = sum(n.plan.price_minor for n in lines if a.line_id in (None, n.pk))
            found += (-a.amount_minor or share(plans, a.share_ppm, MILLION)) * months
    return found


def _lines(account_id: int) -> list[Any]:
    return [n for n in customers.lines_of(account_id) if n.status in ("active", "suspended")]


def promotion_facts(scene: Scene, act: Act, given: AddPromotion) -> dict[str, Any]:
    promotion = _tariff(scene).promotions.get(given.promotion)
    if promotion is None:
        raise refuse("INVALID", "Choose a promotion of the list.", fields={"promotion": "Choose one."})
    all_lines = _lines(given.account)
    lines = [n for n in all_lines if given.line in (None, n.pk)]
    most = int(scene.rulebook.limits["promotion"]["worth"].get(act.who.role, 0))
    return {
        "promotion": {
            "worth": worth(promotion, sum(n.plan.price_minor for n in lines)),
            "room": max(most - _running(given, promotion.title, all_lines, civil_date(act.at, settings.CARRIER_ZONE)), 0),
            "offered": any(n.plan.code not in promotion.not_on for n in lines),
        }
    }


def add_promotion(act: Act, given: AddPromotion, scene: Scene) -> Done:
    promotion = _ours(scene, given.account).promotions[given.promotion]
    _theirs(given.account, given.line)
    row = operations.add_promotion(
        act=act, account_id=given.account, line_id=given.line, label=promotion.title, amount_minor=promotion.amount, share_ppm=promotion.ppm, months=promotion.months
    )
    much = f"{shown(promotion.amount)} off every bill" if promotion.amount else f"{promotion.ppm / 10_000:g} % off the plan"
    assert row.ends_on is not None
    return Done(
        f"{row.reference}: “{promotion.title}” added, {much} until {row.ends_on:%b} {row.ends_on.day}, {row.ends_on.year}",
        {"agreed": row.reference},
        data={"agreed": row.reference, "label": row.label, "promotion": promotion.code, "line": str(given.line or "")},
        payload={"words": given.words} if given.words else None,
    )


def _theirs(account_id: int, line_id: int | None) -> None:
    """Raises Refused when it is for a line that is not one of this account's that live."""
    if line_id is not None and line_id not in {n.pk for n in _lines(account_id)}:
        raise refuse("NOT_FOUND", "Choose a line of this account.", fields={"line": "Choose one."})


def _on(line_id: int | None) -> str:
    line = customers.line(line_id) if line_id else None
    return f", line {phone.last_four(line.msisdn)}" if line else ""


# ---------------------------------------------------------------- extras


def _extra(scene: Scene, given: AddExtra) -> Extra:
    extra = _tariff(scene).extras.get(given.extra_code)
    if extra is None:
        raise refuse("INVALID", "Choose an extra of the list.", fields={"extra_code": "Choose one."})
    if extra.per == "line" and given.line is None:
        raise refuse("INVALID", f"{extra.title} is for one line.", fields={"line": "Choose the line that it is for."})
    if extra.per == "account" and given.line:
        raise refuse("INVALID", f"{extra.title} is for the whole account.", fields={"line": "Leave this out: it is for the account."})
    return extra


def extra_facts(scene: Scene, act: Act, given: AddExtra) -> dict[str, Any]:
    extra = _extra(scene, given)
    lines = [n for n in _lines(given.account) if given.line in (None, n.pk)]
    # A line that is none of this account's is refused by the deed, after authority has spoken.
    offered = not lines or any(n.plan.code not in extra.not_on for n in lines)
    return {"extra": {"offered": offered, "price": extra.amount, "consent": given.consent}}


def add_extra(act: Act, given: AddExtra, scene: Scene) -> Done:
    _ours(scene, given.account)
    extra = _extra(scene, given)
    _theirs(given.account, given.line)
    row = operations.add_extra(act=act, account_id=given.account, line_id=given.line, kind=extra.kind, label=extra.title, amount_minor=extra.amount)
    return Done(
        f"{row.reference}: “{extra.title}” added, {shown(extra.amount)} a month from the next bill on{_on(given.line)}",
        {"agreed": row.reference},
        data={"agreed": row.reference, "label": row.label, "extra": extra.code, "price": extra.amount, "line": str(given.line or "")},
        payload={"words": given.words} if given.words else None,
    )


# ---------------------------------------------------------------- equipment in instalments


def _equipment(scene: Scene, given: SellInInstalments) -> Equipment:
    item = _tariff(scene).equipment.get(given.equipment)
    if item is None:
        raise refuse("INVALID", "Choose something of the list.", fields={"equipment": "Choose one."})
    if item.price - given.down < given.count:
        raise refuse("INVALID", f"{item.title} costs {shown(item.price)}: less than that is paid down.", fields={"down": f"Less than {shown(item.price)}."})
    return item


def sale_facts(scene: Scene, act: Act, given: SellInInstalments) -> dict[str, Any]:
    item, today = _equipment(scene, given), civil_date(act.at, settings.CARRIER_ZONE)
    financed = item.price - given.down
    most = int(scene.rulebook.limits.get("instalments", {}).get("open", {}).get(act.who.role, 0))
    return {
        "sale": {
            "financed": financed,
            "room": max(most - sum(o.left_minor for o in queries.owed_in_parts(given.account, today)), 0),
            "offered": given.count in item.counts,
            "down": given.down,
            "downLeast": item.down,
            "pastDue": ledger.past_due(given.account, today)[0],
            "price": rules.part(financed, given.count, 1),
            "consent": given.consent,
        }
    }


def sell_in_instalments(act: Act, given: SellInInstalments, scene: Scene) -> Done:
    _ours(scene, given.account)
    item = _equipment(scene, given)
    _theirs(given.account, given.line)
    row, charge = operations.sell_in_instalments(
        act=act, account_id=given.account, line_id=given.line, label=item.title, price_minor=item.price, down_minor=given.down, count=given.count
    )
    paid = f" after {shown(given.down)} with the next bill" if given.down else ""
    return Done(
        f"{row.reference}: “{item.title}” sold for {shown(item.price)}, {row.count} instalments of {shown(rules.part(row.total_minor, row.count, 1))}{paid}{_on(given.line)}",
        {"instalments": row.reference},
        data={"instalments": row.reference, "label": row.label, "equipment": item.code, "price": item.price, "down": given.down, "count": row.count, "charge": charge,
              "line": str(given.line or "")},
        payload={"words": given.words} if given.words else None,
    )  # fmt: skip


def pay_off_facts(scene: Scene, act: Act, given: PayOff) -> dict[str, Any]:
    today = civil_date(act.at, settings.CARRIER_ZONE)
    known = next((o for o in queries.owed_in_parts(given.account, today) if o.row.reference == given.instalments), None)
    # One that is not there, or is over, is refused by the deed, after authority has spoken.
    return {"payOff": {"price": known.left_minor if known else given.consent, "consent": given.consent}}


def pay_off(act: Act, given: PayOff, scene: Scene) -> Done:
    _ours(scene, given.account)
    row, charge = operations.pay_off(act=act, account_id=given.account, reference=given.instalments)
    billed = queries.owed(row, civil_date(act.at, settings.CARRIER_ZONE)).billed
    return Done(
        f"{row.reference}: “{row.label}” is paid off early; {shown(given.consent)}, what {row.count - billed} of {row.count} instalments come to, comes with the next bill",
        {"instalments": row.reference, "charge": charge},
        data={"instalments": row.reference, "label": row.label, "left": given.consent, "billed": billed, "count": row.count, "charge": charge, "line": str(row.line_id or "")},
        payload={"words": given.words},
    )


def end_agreed(act: Act, given: EndAgreed, scene: Scene) -> Done:
    _ours(scene, given.account)
    row = operations.end_agreed(act=act, account_id=given.account, reference=given.agreed)
    today = civil_date(act.at, settings.CARRIER_ZONE)
    return Done(
        f"{row.reference}: “{row.label}” ends {today:%b} {today.day}",
        {"agreed": row.reference},
        data={"agreed": row.reference, "label": row.label, "kind": row.kind, "line": str(row.line_id or "")},
        payload={"words": given.words},
    )


ACTS = [
    ActType(
        "billing.add_promotion", "Add a promotion", AddPromotion, add_promotion, locks=_account, facts=promotion_facts, numbers={"promotion.room": "limits.toml:promotion.worth.{role}"}, on_page=True,
        opening={"promotion": {"worth": 0, "room": 1, "offered": True}},
    ),
    ActType(
        "billing.sell_in_instalments", "Sell in instalments", SellInInstalments, sell_in_instalments, locks=_account, facts=sale_facts, numbers={"sale.room": "limits.toml:instalments.open.{role}"}, on_page=True,
        opening={"sale": {"financed": 0, "room": 1, "offered": True, "down": 0, "downLeast": 0, "pastDue": 0, "price": 0, "consent": 0}},
    ),
    ActType("billing.pay_off", "Pay instalments off", PayOff, pay_off, locks=_account, facts=pay_off_facts, opening={"payOff": {"price": 0, "consent": 0}}, on_page=True),
    ActType("billing.add_extra", "Add an extra", AddExtra, add_extra, locks=_account, facts=extra_facts, opening={"extra": {"offered": True, "price": 0, "consent": 0}}, on_page=True),
    ActType("billing.end_agreed", "End an extra or a discount", EndAgreed, end_agreed, locks=_account, on_page=True),
]
