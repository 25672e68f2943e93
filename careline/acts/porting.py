"""A number's way to another carrier: the transfer PIN that its holder asks for, and the request that the other carrier sends.

The number goes whatever the account owes, for the debt stays; and it goes to nobody who lacks the PIN, which only a strongly
verified holder was given. Who asks is answered at once, and the customer is told before it is carried out [47 CFR 52.37; FCC 23-95].
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone
from pydantic import Field, field_validator

from careline.acts import texts
from careline.acts.activations import (
    OfLine,
    ask,
    ask_again,
    line_of,
    of_account,
    on_network,
    order_after_notice,
    settle,
)
from careline.acts.care import about, email_of_record, told
from careline.acts.declare import ActType, Done, Input, Locks, Scene, Secret
from careline.acts.sims import Takeover, tell_of_refusal
from careline.domain.activations import operations, queries, rules
from careline.domain.activations.ports import Answer
from careline.domain.customers import queries as customers
from careline.domain.journal import rules as journal
from careline.domain.journal.operations import tell
from careline.foundation import phone
from careline.foundation.act import NO_BASIS, Act, Who
from careline.foundation.calendar import civil_date, hour_said
from careline.foundation.refusal import Refusal, refuse

SOURCE = "47 CFR 52.37(b): secure methods to confirm who asks, before a number is moved"


class PortOut(Input):
    """What another carrier asks with. `to`: its name; `account_reference`, `postal_code`, `pin`: as its new customer said them."""

    number: Annotated[str, Field(max_length=40)]
    account_reference: Annotated[str, Field(min_length=1, max_length=20)]
    postal_code: Annotated[str, Field(max_length=20)] = ""
    pin: Secret
    to: Annotated[str, Field(min_length=1, max_length=80)]

    @field_validator("number")
    @classmethod
    def a_number(cls, value: str) -> str:
        parsed = phone.parsed(value)
        if parsed is None:
            raise ValueError("Give the whole number, such as +1 206 555 0188.")
        return parsed


def _policy(scene: Scene) -> dict[str, int]:
    """A rulebook from before there were transfer PINs says nothing of them."""
    known = scene.rulebook.care.get("transfer_pin", {})
    return {name: int(known.get(name, usual)) for name, usual in (("digits", 6), ("days", 7), ("tries", 3))}


# ---------------------------------------------------------------- the PIN


BY_PORT = Takeover("port_lock")


def make_transfer_pin(act: Act, given: OfLine, scene: Scene) -> Done:
    """It goes by text to the number that it is for; where no text gets there it is read out, once."""
    line, account, policy = line_of(given), customers.account(given.account), _policy(scene)
    if line is None or account is None:
        raise refuse("NOT_FOUND", "Choose a line of this account.", fields={"line": "Choose one."})
    if line.status not in ("active", "suspended"):
        raise refuse("INVALID", "This line has ended. Choose a living one.", fields={"line": "Choose a living one."})
    pin = "".join(secrets.choice("0123456789") for _ in range(policy["digits"]))
    row = operations.make_transfer_pin(act=act, line_id=line.pk, pin=pin, until=act.at + timedelta(days=policy["days"]))
    last, until = phone.last_four(line.msisdn), civil_date(row.expires_at, settings.CARRIER_ZONE)
    how = told(act, scene, account, email_of_record(act, account, scene), "transfer_pin", last4=last)
    text = bool(settings.MESSENGER) and line.gets_texts
    if text:
        body = texts.body(scene.rulebook, "transfer_pin", account.pk, pin=pin, number=phone.shown(line.msisdn), day=texts.day_of(scene.rulebook, account.pk, until))
        tell(act=act, topic="transfer_pin", channel="sms", to=line.msisdn, body=body, about=f"transfer:{row.pk}", account_id=account.pk, expires_at=row.expires_at)
    sent = "sent by text" if text else "to be read out"
    return Done(
        f"Transfer PIN for line {last}, {sent}, until {until:%b} {until.day}; {how}", {"until": until.isoformat()},
        data={"line": str(line.pk)}, once={} if text else {"pin": pin},
    )  # fmt: skip


# ---------------------------------------------------------------- the request


def _line(given: PortOut) -> Any:
    return customers.living_line(given.number)


def _accounts(given: PortOut) -> Locks:
    line = _line(given)
    return Locks(accounts=(line.account_id,) if line is not None else ())


def port_facts(scene: Scene, act: Act, given: PortOut) -> dict[str, Any]:
    line = _line(given)
    account = customers.account(line.account_id) if line is not None else None
    return {"port": {"locked": account is not None and account.port_lock}}


def port_out(act: Act, given: PortOut, scene: Scene) -> Done:
    line = _line(given)
    account = customers.account(line.account_id) if line is not None else None
    if line is None or account is None:
        raise refuse("NOT_FOUND", "This number is not with us.", rule="port-not-ours")
    pin = queries.transfer_pin(line.pk, act.at)
    typed = "".join(c for c in given.pin.get_secret_value() if c.isdigit())
    right = None if pin is None else hmac.compare_digest(pin.hash, queries.transfer_pin_hash(line.pk, typed))
    why = rules.port_refusal(
        account=given.account_reference.upper() == account.reference.upper(),
        postal_code=not account.postal_code or given.postal_code[:5] == account.postal_code[:5], pin=right,
    )  # fmt: skip
    last = phone.last_four(line.msisdn)
    if why is not None:
        void = why == rules.PortRefusal.PIN and pin is not None and operations.wrong_transfer_pin(act=act, pin_id=pin.pk, most=_policy(scene)["tries"])
        tell_of_refusal(act, scene, line, "port_refused")
        say = rules.PORT_REFUSALS[why] + (" It is void now; its holder asks us for another." if void else "")
        no = Refusal("NOT_PROVEN", say, rule=f"port-{why.value.replace('_', '-')}", cite=SOURCE)
        return Done(f"Number {last} asked for by {given.to}: {say}", {"reason": why.value}, data={"to": given.to}, refusal=no, chain=journal.account_chain(account.pk))
    minutes = scene.rulebook.object_minutes
    until = act.at + timedelta(minutes=minutes) if minutes else None
    notice = "port_waits" if until else "port_asked"
    done = ask(act, account.pk, line.pk, rules.Kind.PORT_OUT, f"Move to {given.to}", notice=about(account.pk, notice), to=given.to, waits_until=until)
    local = until.astimezone(ZoneInfo(account.zone or settings.CARRIER_ZONE)) if until else None
    when = hour_said(local) if local else ""
    told(act, scene, account, email_of_record(act, account, scene), notice, lines=[line], last4=last, to=given.to, time=texts.hour(account.pk, local) if local else "", word=scene.rulebook.object_words[0])
    if until is None:
        return done
    return replace(done, say=f"{done.show['order']}: Move to {given.to}, line {last}, waits until {when} for its holder to say no", until=until, work={**done.work, "waits": True})


def carry_out(work: Mapping[str, Any]) -> Answer:
    """Ask after an order, or send one that waited: from then on nobody stops it. Sent twice, it is one order under its key."""
    row = queries.order(work["order"])
    if row is None or not work.get("waits"):
        return ask_again(work)
    now = timezone.now()
    if not operations.mark_sent(act=Act(Who("Job", "port-out", "Port-out", "job"), now, "", work["key"], NO_BASIS), order_ids=[row.pk]):
        return Answer(False, rules.OBJECTED)
    return order_after_notice(work, None)


def stopped(work: Mapping[str, Any]) -> bool:
    row = queries.order(work["order"])
    return row is None or row.state == rules.State.REFUSED


def settle_port(act: Act, work: Mapping[str, Any], answer: Answer, scene: Scene) -> Done:
    row = queries.order(work["order"])
    if row is not None and row.state == rules.State.REFUSED and row.network_says == rules.OBJECTED:
        no = Refusal("CONFLICT", "Its holder says that they did not ask for it. The number stays.", rule="port-objected", cite=SOURCE)
        return Done(f"{row.number}: Move to {row.to}: its holder said no", {"order": row.number}, refusal=no)
    return settle(act, work, answer, scene)


def port_refused(act: Act, given: PortOut, scene: Scene, no: Refusal) -> str:
    line = _line(given)
    if line is None:
        return ""
    tell_of_refusal(act, scene, line, "port_refused")
    return journal.account_chain(line.account_id)


ACTS: list[ActType] = [
    ActType("lines.make_transfer_pin", "Make a transfer PIN", OfLine, make_transfer_pin, locks=of_account, facts=BY_PORT.facts, stands=BY_PORT.now,
            opening={"takeover": {"locked": False, "fresh": False, "hours": 0, "until": ""}}),
    on_network("lines.port_out", "Another carrier asks for a number", PortOut, port_out, locks=_accounts, moves=True, call=order_after_notice, on_page=False,
               recall=carry_out, stopped=stopped, settle=settle_port, facts=port_facts, refused=port_refused, opening={"port": {"locked": False}}),
]  # fmt: skip
