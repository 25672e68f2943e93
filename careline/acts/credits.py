"""The acts of credits: give one, take one back."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from django.conf import settings
from pydantic import Field

from careline.acts.arrangements import after_money
from careline.acts.declare import ActType, Day, Done, Id, Input, Locks, Minor, Scene, ShortWords
from careline.domain.billing import queries as billing
from careline.domain.credits import operations, queries, rules
from careline.domain.credits.rules import Evidence
from careline.domain.ledger import queries as ledger
from careline.foundation.act import Act
from careline.foundation.calendar import add_months, civil_date
from careline.foundation.money import shown
from careline.foundation.refusal import refuse


class Grant(Input):
    """A credit before tax, in minor units. `bill_line` is the charge that was wrong, where the reason asks for it; `first`
    and `last` are its days that were wrong: then no more than their share of it."""

    account: Id
    amount: Minor
    reason: ShortWords
    bill_line: Id | None = None
    first: Day | None = None
    last: Day | None = None
    words: Annotated[str, Field(max_length=400)] = ""


class Reverse(Input):
    account: Id
    credit: Annotated[str, Field(min_length=4, max_length=40)]
    words: Annotated[str, Field(min_length=1, max_length=400)]


def _charge(given: Grant) -> Any:
    """The charge that was wrong; None when none was named, and for one that is not this account's: the deed refuses that,
    after authority has spoken."""
    line = ledger.bill_line(given.bill_line) if given.bill_line else None
    return line if line is not None and line.bill.account_id == given.account else None


def _days(given: Grant, line: Any) -> rules.Days | None:
    """The days that were wrong. Raises Refused when one is missing, or they are not days of that charge."""
    if (given.first is None and given.last is None) or (given.bill_line is not None and line is None):
        return None
    if given.first is None or given.last is None:
        missing = "first" if given.first is None else "last"
        raise refuse("INVALID", "Say the first and the last day that was wrong.", fields={missing: "This day is needed too."})
    if line is None:
        raise refuse("INVALID", "Days are credited of a charge.", fields={"bill_line": "Choose the charge that these days are of."})
    try:
        return rules.days(given.first, given.last, line.period_start, line.period_end)
    except ValueError as fault:
        raise refuse("INVALID", str(fault), fields={"first": str(fault)}) from None


def grant_facts(scene: Scene, act: Act, given: Grant) -> dict[str, Any]:
    reason = scene.rulebook.reasons["credit"].get(given.reason)
    if reason is None:
        raise refuse("INVALID", "Choose a reason of the list.", fields={"reason": "Choose one."})
    line = _charge(given)
    days = _days(given, line)
    room = queries.room(
        limits=scene.rulebook.limits,
        reason=given.reason,
        policy=reason,
        role=act.who.role,
        staff_id=int(act.who.id) if act.who.id.isdigit() else None,
        account_id=given.account,
        contact_id=act.basis.contact_id,
        bill_line_id=line.pk if line else None,
        at=act.at,
        day=civil_date(act.at, settings.CARRIER_ZONE),
    )
    oldest = add_months(civil_date(act.at, settings.CARRIER_ZONE), -scene.rulebook.limits["credit"]["backdate"]["cycles"] - 1)
    return {
        "credit": {
            "amount": given.amount,
            "reason": given.reason,
            "eventRoom": max(room.event, 0),
            "reasonRoom": max(room.reason, 0),
            "windowRoom": max(room.window, 0),
            "dayRoom": max(room.day, 0),
            "dayCountRoom": max(room.count, 0),
            "lineRoom": room.line if room.line is not None else 10**10,
            "daysRoom": days.part(line.amount_minor) if days and line else 10**10,
            "needsLine": reason["evidence"] == Evidence.BILL_LINE,
            "hasLine": given.bill_line is not None,
            "tooOld": line is not None and line.bill.issued_on < oldest,
        }
    }


OPENING = {
    "credit": {
        "amount": 0,
        "reason": "",
        "eventRoom": 1,
        "reasonRoom": 1,
        "windowRoom": 1,
        "dayRoom": 1,
        "dayCountRoom": 1,
        "lineRoom": 1,
        "daysRoom": 1,
        "needsLine": False,
        "hasLine": True,
        "tooOld": False,
    }
}


def grant(act: Act, given: Grant, scene: Scene) -> Done:
    policy = scene.rulebook.reasons["credit"][given.reason]
    days = _days(given, _charge(given))
    row = operations.grant(
        act=act,
        account_id=given.account,
        amount_minor=given.amount,
        reason=given.reason,
        policy=policy,
        bill_line_id=given.bill_line,
        day=civil_date(act.at, settings.CARRIER_ZONE),
        days=days,
    )
    tax = row.total_minor - row.amount_minor
    with_tax = f" and {shown(tax)} tax" if tax else ""
    by_days = f", {days.count} of {days.of} days" if days else ""
    # A correction that would come again next month ends at its cause: the desk says so, and leads there.
    show = {"recurs": given.reason} if policy.get("recurs") else _comes_again(given, policy, act, scene)
    return Done(
        f"Credit {row.number}: {shown(row.amount_minor)}{with_tax}, {policy['title'].lower()}{by_days}",
        {"credit": row.number, "amount": row.amount_minor, "total": row.total_minor, **show},
        data={"credit": row.number, "amount": row.amount_minor, "total": row.total_minor, "reason": row.reason},
        payload={"words": given.words} if given.words else None,
        also=after_money(act, given.account),
    )


def _comes_again(given: Grant, policy: dict[str, Any], act: Act, scene: Scene) -> dict[str, str]:
    """The extra behind the charge that was wrong, where it still runs and this house bills it."""
    line = _charge(given) if policy.get("ends") else None
    if line is None or "billing.toml" not in scene.rulebook.files or billing.is_outside(given.account, scene.rulebook.billing):
        return {}
    found = billing.behind(given.account, line.kind, line.label, line.line_id, civil_date(act.at, settings.CARRIER_ZONE))
    return {"ends": found} if found else {}


def reverse_facts(scene: Scene, act: Act, given: Reverse) -> dict[str, Any]:
    row = queries.grant(given.credit)
    if row is None or row.account_id != given.account:
        raise refuse("NOT_FOUND", f"There is no credit {given.credit} on this account.")
    own_days = scene.rulebook.limits["credit"]["reverse"]["own_days"]
    return {
        "reversal": {
            "mine": str(row.granted_by_id) == act.who.id or str(row.asked_by_id) == act.who.id,
            "fresh": act.at - row.at <= timedelta(days=own_days),
        }
    }


def reverse(act: Act, given: Reverse, scene: Scene) -> Done:
    row = operations.reverse(act=act, number=given.credit)
    return Done(
        f"Credit {given.credit} taken back by {row.number}: {shown(-row.total_minor)}",
        {"credit": row.number, "total": row.total_minor},
        data={"credit": row.number, "reverses": given.credit, "total": row.total_minor},
        payload={"words": given.words},
        also=after_money(act, given.account),
    )


def _account(given: Any) -> Locks:
    return Locks(accounts=(given.account,))


def _spends(given: Any) -> Locks:
    return Locks(accounts=(given.account,), spending="credit")


ACTS = [
    ActType(
        "credits.grant",
        "Grant a credit",
        Grant,
        grant,
        locks=_spends,
        facts=grant_facts,
        opening=OPENING,
        amount="credit.amount",
        numbers={
            "credit.eventRoom": "limits.toml:credit.event.{role}", "credit.windowRoom": "limits.toml:credit.account_window.{role}",
            "credit.dayRoom": "limits.toml:credit.day.value.{role}", "credit.dayCountRoom": "limits.toml:credit.day.count.{role}",
            "credit.reasonRoom": "reasons.toml:credit.{credit.reason}.event_limit.{role}",
            "credit.needsLine": "reasons.toml:credit.{credit.reason}.evidence=bill_line",
        },
        key="c",
        on_page=True,
    ),
    ActType(
        "credits.reverse",
        "Take a credit back",
        Reverse,
        reverse,
        locks=_account,
        facts=reverse_facts,
        opening={"reversal": {"mine": True, "fresh": True}},
        on_page=True,
    ),
]
