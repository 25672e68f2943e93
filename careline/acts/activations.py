"""The acts on lines: suspend, restore, features, data, refreshing. Each is an order to the network.

`do` writes the order down, `call` sends it with the order's key while no transaction is open, `settle` carries out on our
side what the network did: the line, its data, the charge that the next bill carries. An answer that never came leaves
the order unknown; the reconciler asks after it under the same key.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from django.conf import settings
from pydantic import Field

from careline.acts.declare import ActType, Done, Id, Input, Locks, Price, Scene, ShortWords, Whole
from careline.carriers import hand_over, need, network
from careline.domain.activations import operations, queries, rules
from careline.domain.activations.ports import Answer, Wish
from careline.domain.customers import queries as customers
from careline.domain.customers.rules import FEATURE_TITLES, Feature, features_text
from careline.domain.journal import queries as journal_queries
from careline.domain.journal import rules as journal
from careline.domain.journal.operations import tell
from careline.domain.ledger import queries as ledger
from careline.foundation import phone
from careline.foundation.act import Act
from careline.foundation.calendar import civil_date
from careline.foundation.money import shown
from careline.foundation.refusal import Refusal, WayOn, refuse

log = logging.getLogger("careline.activations")

# The price before tax that was read out to the customer and that they agreed to, in minor units; 0: it costs nothing.
Consent = Price


class OfLine(Input):
    account: Id
    line: Id


class Suspend(OfLine):
    reason: ShortWords
    words: Annotated[str, Field(max_length=400)] = ""


class Restore(OfLine):
    """`consent`: the fee before tax that was read out and agreed to, where the suspension's reason has one."""

    consent: Consent = 0


class SetFeature(OfLine):
    """`address_confirmed`: the customer confirmed the emergency address that Wi-Fi calling needs, in this contact."""

    feature: Feature
    on: bool
    consent: Consent = 0
    address_confirmed: bool = False


class AddData(OfLine):
    """So many MB more for this bill period. `consent`: the price before tax that was read out and agreed to."""

    mb: Annotated[Whole, Field(gt=0, le=10**7)]
    consent: Consent


class ChangePlan(OfLine):
    """`consent`: the plan's price a month before tax that was read out and agreed to."""

    plan: Id
    consent: Consent
    words: Annotated[str, Field(max_length=400)] = ""


class SettleOrder(Input):
    """What somebody saw on the network of an order that never got an answer."""

    order: Annotated[str, Field(min_length=4, max_length=40)]
    done: bool
    words: Annotated[str, Field(min_length=1, max_length=400)]


def of_account(given: Any) -> Locks:
    return Locks(accounts=(given.account,))


def line_of(given: OfLine) -> Any:
    """The line if it is of this account, else None: then the deed refuses it, after authority has spoken."""
    line = customers.line(given.line)
    return line if line is not None and line.account_id == given.account else None


# ---------------------------------------------------------------- what the policy is asked with


def _suspension(scene: Scene, code: str) -> dict[str, Any]:
    known: dict[str, Any] = scene.rulebook.reasons["suspension"]
    found: dict[str, Any] = known.get(code) or known[rules.UNNAMED]
    return found


def suspend_facts(scene: Scene, act: Act, given: Suspend) -> dict[str, Any]:
    policy = _suspension(scene, given.reason)
    return {"suspension": {"reason": given.reason, "strong": policy["strong"], "lead": policy["lead"]}}


def restore_facts(scene: Scene, act: Act, given: Restore) -> dict[str, Any]:
    line = line_of(given)
    policy = _suspension(scene, line.suspended_for if line else "")
    today = civil_date(act.at, settings.CARRIER_ZONE)
    owed = ledger.past_due(given.account, today)[0] if policy["needs_paid"] else 0
    price = int(policy["fee"])
    return {
        "restore": {
            "pastDue": owed,
            "pastDueRoom": int(scene.rulebook.limits["restore"]["past_due"].get(act.who.role, 0)),
            "contractEnded": line is not None and rules.contract_ended(line.contract_ends_on, today),
            "strong": policy["strong_to_restore"] or price > 0,
            "lead": policy["lead_to_restore"],
            "price": price,
            "consent": given.consent,
        }
    }


def feature_facts(scene: Scene, act: Act, given: SetFeature) -> dict[str, Any]:
    policy = scene.rulebook.limits["feature"].get(given.feature, {})
    line = line_of(given)
    return {
        "feature": {
            "on": given.on,
            "offered": line is None or line.plan.code not in policy.get("not_on", ()),
            "needsAddress": bool(policy.get("address", False)),
            "hasAddress": given.address_confirmed,
            "price": _feature_price(scene, given),
            "consent": given.consent,
        }
    }


def _feature_price(scene: Scene, given: SetFeature) -> int:
    return int(scene.rulebook.limits["feature"].get(given.feature, {}).get("price", 0)) if given.on else 0


def data_facts(scene: Scene, act: Act, given: AddData) -> dict[str, Any]:
    limits = scene.rulebook.limits
    facts = queries.line_facts(given.line, act.at, limits=limits) if line_of(given) else None
    if facts is None:
        return {"data": {"mb": given.mb, "mbRoom": given.mb, "price": given.consent, "consent": given.consent, "spendRoom": rules.NO_LIMIT}}
    return {
        "data": {
            "mb": given.mb,
            "mbRoom": given.mb if facts.data_room is None else facts.data_room,
            "price": rules.data_price(given.mb, facts.price_per_gb),
            "consent": given.consent,
            "spendRoom": rules.NO_LIMIT if facts.spending_left is None else facts.spending_left,
        }
    }


def plan_facts(scene: Scene, act: Act, given: ChangePlan) -> dict[str, Any]:
    line, plan = line_of(given), customers.plan(given.plan)
    if plan is None:
        raise refuse("NOT_FOUND", "Choose a plan of the list.", fields={"plan": "Choose one."})
    return {"plan": {"offered": line is None or plan.pk != line.plan_id, "price": plan.price_minor, "consent": given.consent}}


# ---------------------------------------------------------------- asking


def ask(
    act: Act, account_id: int, line_id: int, kind: rules.Kind, say: str, *, words: dict[str, Any] | None = None, notice: str = "", **columns: Any
) -> Done:
    """Write an order down. `notice`: what is told of it, which has to be on its way before the network hears of the order."""
    need("NETWORK", WayOn("Hand over", "contacts.hand_over"))
    key = hashlib.sha256(f"{act.who.key}/{act.key}".encode()).hexdigest()
    row = operations.ask(act=act, account_id=account_id, line_id=line_id, kind=kind, key=key, **columns)
    line = customers.line(line_id)
    assert line is not None
    features = set(line.switched_on)
    if kind == rules.Kind.FEATURE:
        features = features | {row.feature} if row.on else features - {row.feature}
    barred = kind in (rules.Kind.SUSPEND, rules.Kind.PORT_OUT) or (line.status == "suspended" and kind != rules.Kind.RESTORE)
    last = phone.last_four(line.msisdn)
    return Done(
        f"{row.number}: {say}, line {last}, is with the network",
        {"order": row.number},
        data={"kind": row.kind, "line": str(row.line_id), "reason": row.reason, "feature": row.feature, "on": row.on, "mb": row.mb, "price": row.price_minor, **_named(row)},
        payload=words,
        pending=True,
        chain=journal.account_chain(account_id),
        work={
            "notice": [notice, act.at.isoformat()] if notice else [],
            "accounts": [account_id],
            "order": row.number,
            "key": key,
            "say": f"{say}, line {last}",
            "wish": {
                "kind": row.kind, "number": line.msisdn, "sim": line.iccid, "feature": row.feature, "on": bool(row.on),
                "mb": row.mb or 0, "plan": row.plan.code if row.plan else "", "features": features_text(features).split(), "barred": barred,
                "bar": line.bar if line.bar and kind != rules.Kind.SUSPEND else "all",
                "new_sim": row.iccid, "eid": row.eid, "imei": row.device.imei if row.device else "", "to": row.to,
            },
        },
    )


def _named(row: Any) -> dict[str, Any]:
    """The numbers of a new SIM or phone as the journal keeps them: enough to tell one from another, too little to use."""
    sim_number = row.iccid or row.eid
    return {k: v for k, v in (("sim", sim_number[-4:]), ("device", row.device.imei[-4:] if row.device else ""), ("to", row.to)) if v}


def suspend(act: Act, given: Suspend, scene: Scene) -> Done:
    known = scene.rulebook.reasons["suspension"]
    if given.reason not in known:
        raise refuse("INVALID", "Choose a reason of the list.", fields={"reason": "Choose one."})
    say = f"Suspend ({known[given.reason]['title'].lower()})"
    words = {"words": given.words} if given.words else None
    return ask(act, given.account, given.line, rules.Kind.SUSPEND, say, words=words, reason=given.reason)


def restore(act: Act, given: Restore, scene: Scene) -> Done:
    line = line_of(given)
    price = int(_suspension(scene, line.suspended_for if line else "")["fee"])
    reason = line.suspended_for if line else ""
    return ask(act, given.account, given.line, rules.Kind.RESTORE, "Restore", reason=reason, price_minor=price, unit_price_minor=price)


def set_feature(act: Act, given: SetFeature, scene: Scene) -> Done:
    name = FEATURE_TITLES[given.feature]
    price = _feature_price(scene, given)
    say = f"{name} {'on' if given.on else 'off'}"
    return ask(act, given.account, given.line, rules.Kind.FEATURE, say, feature=given.feature.value, on=given.on, price_minor=price, unit_price_minor=price)


def add_data(act: Act, given: AddData, scene: Scene) -> Done:
    limits = scene.rulebook.limits
    facts = queries.line_facts(given.line, act.at, limits=limits) if line_of(given) else None
    if facts is None:
        raise refuse("NOT_FOUND", "Choose a line of this account.", fields={"line": "Choose one."})
    if facts.data_allowed is None:
        raise refuse("CONFLICT", f"{facts.plan_name} has no data limit. There is nothing to add to.", rule="data-unlimited")
    step = int(limits["data"]["step_mb"])
    if given.mb % step:
        raise refuse("INVALID", f"Data is added in steps of {rules.gigabytes(step)}.", fields={"mb": f"Choose a multiple of {step}."})
    price = rules.data_price(given.mb, facts.price_per_gb)
    say = f"Add {rules.gigabytes(given.mb)} for {shown(price)} plus tax"
    return ask(act, given.account, given.line, rules.Kind.DATA, say, mb=given.mb, price_minor=price, unit_price_minor=facts.price_per_gb)


def change_plan(act: Act, given: ChangePlan, scene: Scene) -> Done:
    plan, line = customers.plan(given.plan), line_of(given)
    assert plan is not None
    was = f" instead of {line.plan.name}" if line else ""
    words = {"words": given.words} if given.words else None
    return ask(act, given.account, given.line, rules.Kind.PLAN, f"{plan.name} at {shown(plan.price_minor)} a month{was}", words=words, plan_id=plan.pk)


def refresh(act: Act, given: OfLine, scene: Scene) -> Done:
    return ask(act, given.account, given.line, rules.Kind.REFRESH, "Refresh on the network")


def reset(act: Act, given: OfLine, scene: Scene) -> Done:
    return ask(act, given.account, given.line, rules.Kind.RESET, "Reset registration")


# ---------------------------------------------------------------- the network, outside any transaction


def order(work: Mapping[str, Any], given: OfLine) -> Answer:
    wish = work["wish"]
    try:
        return network().order(key=work["key"], wish=Wish(**{**wish, "features": tuple(wish["features"]), "bar": wish.get("bar", "all")}))
    except OSError:
        return Answer(None, "The network could not be reached.")


def order_after_notice(work: Mapping[str, Any], given: Any) -> Answer:
    """The customer's own notice goes first [47 CFR 64.2010(h), 52.37: before it is effected]: the text to a number would else reach
    whoever has its new SIM. Handed over under the key that the outbox repeats it under, so that it is one message."""
    about, at = work["notice"]
    for message in journal_queries.untold(about, datetime.fromisoformat(at)):
        fault = hand_over(message.key, message.channel, message.to, message.body, message.topic, message.subject)
        if fault:
            log.warning("message %s could not be handed over before its order (%s)", message.pk, fault)
    return order(work, given)


def ask_again(work: Mapping[str, Any]) -> Answer:
    try:
        return network().ask(key=work["key"])
    except OSError:
        return Answer(None, "The network could not be reached.")


# ---------------------------------------------------------------- settling


def settle(act: Act, work: Mapping[str, Any], answer: Answer, scene: Scene) -> Done:
    """Never asks whether the deed was allowed: it was, when it was asked for, and the network may have done it."""
    row = operations.settle(act=act, key=work["key"], answer=answer, words=_title(scene, work))
    show: dict[str, Any] = {"order": row.number}
    if row.state == rules.State.UNKNOWN:
        return Done(f"{row.number}: the network has not answered", show, pending=True)
    if row.state == rules.State.REFUSED:
        why = row.network_says.rstrip(".") or "no reason given"
        refusal = Refusal(
            "NETWORK", f"The network refused: {why}. Nothing was changed and nothing is charged.", rule="network-refused",
            way_on=(WayOn("Refresh the line", "lines.refresh_provisioning"), WayOn("Hand over", "contacts.hand_over")),
        )
        return Done(f"{row.number}: refused by the network", show, refusal=refusal)
    # What a phone notices only after it was switched off and on.
    show["restart"] = row.kind in (rules.Kind.RESTORE, rules.Kind.REFRESH, rules.Kind.RESET, rules.Kind.SIM)
    if row.charge:
        show |= {"charge": row.charge, "amount": row.price_minor}
    _tell(act, row)
    return Done(f"{row.number}: {work['say']}: done", show)


def _title(scene: Scene, work: Mapping[str, Any]) -> str:
    row = queries.order(work["order"])
    reason = row.reason if row is not None else ""
    return str(_suspension(scene, reason)["title"]).lower() if reason else ""


def _tell(act: Act, row: Any) -> None:
    """What costs money, and a line that is on again, is told to the line itself."""
    arrives = row.line.can_text if row.kind == rules.Kind.RESTORE else row.line.gets_texts
    if not arrives or row.kind not in (rules.Kind.DATA, rules.Kind.RESTORE, rules.Kind.PLAN):
        return
    if row.plan is not None:
        body = f"{settings.CARRIER_NAME}: this line has {row.plan.name} from today, {shown(row.plan.price_minor)} a month before tax. The next bill counts the days."
        tell(act=act, topic="line_order", channel="sms", to=row.line.msisdn, body=body, about=f"order:{row.number}", account_id=row.account_id)
        return
    cost = f" {shown(row.price_minor)} plus tax goes on your next bill." if row.price_minor else ""
    what = f"We added {rules.gigabytes(row.mb)} to this line." if row.kind == rules.Kind.DATA else "This line is on again. Please restart your phone."
    tell(act=act, topic="line_order", channel="sms", to=row.line.msisdn, body=f"{settings.CARRIER_NAME}: {what}{cost}", about=f"order:{row.number}", account_id=row.account_id)


def _order_account(given: SettleOrder) -> Locks:
    row = queries.order(given.order)
    return Locks(accounts=(row.account_id,) if row else ())


def settle_order(act: Act, given: SettleOrder, scene: Scene) -> Done:
    """A person looked on the network: the order was carried out there, or it was not."""
    row = queries.order(given.order)
    if row is None:
        raise refuse("NOT_FOUND", f"There is no order {given.order}.")
    if row.state != rules.State.UNKNOWN:
        raise refuse("CONFLICT", f"{row.number} is {row.state}. Only an order that nobody knows of is settled by hand.")
    answer = Answer(given.done, "Settled by hand")
    row = operations.settle(act=act, key=row.key, answer=answer, words=_title(scene, {"order": row.number}))
    say = f"{row.number}: settled by hand, {'carried out' if given.done else 'not carried out'}"
    return Done(say, {"order": row.number}, payload={"words": given.words}, chain=journal.account_chain(row.account_id))


def on_network(code: str, title: str, given: type[Input], do: Any, **more: Any) -> ActType:
    """An act that is an order to the network."""
    usual: dict[str, Any] = {"locks": of_account, "call": order, "recall": ask_again, "settle": settle, "on_page": True}
    return ActType(code, title, given, do, **{**usual, **more}, ports=("NETWORK",))


ACTS = [
    on_network("lines.suspend", "Suspend a line", Suspend, suspend, facts=suspend_facts, numbers={"suspension.strong": "reasons.toml:suspension.{suspension.reason}.strong", "suspension.lead": "reasons.toml:suspension.{suspension.reason}.lead"},
         opening={"suspension": {"reason": "", "strong": False, "lead": False}}),
    on_network("lines.restore", "Restore a line", Restore, restore, facts=restore_facts, numbers={"restore.pastDueRoom": "limits.toml:restore.past_due.{role}"},
         opening={"restore": {"pastDue": 0, "pastDueRoom": 0, "contractEnded": False, "strong": False, "lead": False, "price": 0, "consent": 0}}),
    on_network("lines.set_feature", "Switch a feature", SetFeature, set_feature, facts=feature_facts,
         opening={"feature": {"on": True, "offered": True, "needsAddress": False, "hasAddress": True, "price": 0, "consent": 0}}),
    on_network("lines.add_data", "Add data", AddData, add_data, facts=data_facts, numbers={"data.mbRoom": "limits.toml:data.max_mb"},
         opening={"data": {"mb": 1, "mbRoom": 1, "price": 0, "consent": 0, "spendRoom": rules.NO_LIMIT}}),
    on_network("lines.change_plan", "Change the plan", ChangePlan, change_plan, facts=plan_facts, opening={"plan": {"offered": True, "price": 0, "consent": 0}}),
    on_network("lines.refresh_provisioning", "Refresh a line on the network", OfLine, refresh),
    on_network("lines.reset_registration", "Reset a line's registration", OfLine, reset),
    ActType("lines.settle_order", "Settle an order by hand", SettleOrder, settle_order, locks=_order_account),
]
