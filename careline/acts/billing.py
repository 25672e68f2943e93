"""The acts of what comes with every bill: a promotion that is added (or added back), an extra or a discount that ends."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from django.conf import settings
from pydantic import Field

from careline.acts.declare import ActType, Done, Id, Input, Locks, Scene, ShortWords
from careline.domain.billing import operations, queries
from careline.domain.customers import queries as customers
from careline.foundation.act import Act
from careline.foundation.calendar import civil_date
from careline.foundation.money import share, shown
from careline.foundation.refusal import WayOn, refuse
from careline.foundation.tariff import MILLION, Promotion, Tariff


class AddPromotion(Input):
    """`promotion`: its code in billing.toml. `line`: the line that it is on; without one it is on the account."""

    account: Id
    promotion: ShortWords
    line: Id | None = None
    words: Annotated[str, Field(max_length=400)] = ""


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
    if given.line is not None and given.line not in {n.pk for n in _lines(given.account)}:
        raise refuse("NOT_FOUND", "Choose a line of this account.", fields={"line": "Choose one."})
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
    ActType("billing.end_agreed", "End an extra or a discount", EndAgreed, end_agreed, locks=_account, on_page=True),
]
