"""The acts that put a line into another SIM or phone. Whoever has the SIM gets the codes that open every other account of a person,
so a change of it is the holder's, strongly verified, told before it happens, and stopped by the account's lock
[47 CFR 64.2010(h); FCC 23-95].
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from careline.acts.activations import OfLine, ask, line_of, on_network, order_after_notice
from careline.acts.care import about, email_of_record, told, ways_in
from careline.acts.declare import ActType, Done, Scene
from careline.domain.activations import rules
from careline.domain.customers import operations as customer_operations
from careline.domain.customers import queries as customers
from careline.domain.customers.queries import care
from careline.domain.journal import queries as journal_queries
from careline.foundation import phone, sim
from careline.foundation.act import Act
from careline.foundation.refusal import Refusal, refuse

# Somebody who asks again and again is told of once in so long a time.
QUIET = timedelta(hours=1)


class ChangeSim(OfLine):
    """`kind`: sim, a card by its ICCID, or esim, a profile that goes to the device with this EID."""

    kind: Literal["sim", "esim"]
    iccid: Annotated[str, Field(max_length=40)] = ""
    eid: Annotated[str, Field(max_length=60)] = ""

    @field_validator("iccid")
    @classmethod
    def a_card(cls, value: str) -> str:
        return _holds(value, sim.iccid_fault)

    @field_validator("eid")
    @classmethod
    def an_esim(cls, value: str) -> str:
        return _holds(value, sim.eid_fault)

    @model_validator(mode="after")
    def the_number_of_its_kind(self) -> ChangeSim:
        wanted, other = (self.iccid, self.eid) if self.kind == "sim" else (self.eid, self.iccid)
        if not wanted or other:
            raise ValueError("Give the ICCID of a card, or the EID of a device for an eSIM.")
        return self


class ChangeDevice(OfLine):
    """`make`, `model`: of a device whose IMEI nobody here knows yet."""

    imei: Annotated[str, Field(max_length=40)]
    make: Annotated[str, Field(max_length=60)] = ""
    model: Annotated[str, Field(max_length=80)] = ""

    @field_validator("imei")
    @classmethod
    def a_phone(cls, value: str) -> str:
        if fault := sim.imei_fault(value):
            raise ValueError(fault)
        return sim.plain(value)


def _holds(value: str, fault_of: Any) -> str:
    if value and (fault := fault_of(value)):
        raise ValueError(fault)
    return sim.plain(value)


@dataclass(frozen=True)
class Takeover:
    """What stops an act by which a number could be taken over: the account's lock of this name, and a way in that changed lately."""

    lock: str

    def facts(self, scene: Scene, act: Act, given: OfLine) -> dict[str, Any]:
        account = customers.account(given.account)
        if account is None:
            raise refuse("NOT_FOUND", "There is no such account.")
        return self._of(scene, account, care.pin_set_at(account.pk), act.at)

    def now(self, scene: Scene, at: datetime) -> dict[str, Any]:
        """The same from what the page has asked anyway."""
        return self._of(scene, scene.contact.account, scene.contact.pin_set_at, at) if scene.rulebook.care else {}

    def _of(self, scene: Scene, account: Any, pin_at: datetime | None, at: datetime) -> dict[str, Any]:
        return {"takeover": {"locked": getattr(account, self.lock), **ways_in(scene, account, pin_at, at)}}


BY_SIM = Takeover("change_lock")


def change_sim(act: Act, given: ChangeSim, scene: Scene) -> Done:
    line, account = line_of(given), customers.account(given.account)
    if line is None or account is None:
        raise refuse("NOT_FOUND", "Choose a line of this account.", fields={"line": "Choose one."})
    kind, number = ("SIM", given.iccid) if given.kind == "sim" else ("eSIM on the device", given.eid)
    done = ask(
        act, given.account, given.line, rules.Kind.SIM, f"New {kind} ending in {number[-4:]}",
        notice=about(account.pk, "sim_asked"), iccid=given.iccid, eid=given.eid,
    )  # fmt: skip
    told(act, scene, account, email_of_record(act, account, scene), "sim_asked", lines=[line], last4=phone.last_four(line.msisdn))
    return done


def sim_refused(act: Act, given: ChangeSim, scene: Scene, no: Refusal) -> str:
    """A request that was refused is told too [FCC 23-95: of every request; failed attempts have a procedure]."""
    line = line_of(given)
    if line is not None:
        tell_of_refusal(act, scene, line, "sim_refused")
    return ""


def tell_of_refusal(act: Act, scene: Scene, line: Any, what: str) -> None:
    account = customers.account(line.account_id)
    assert account is not None
    if about(account.pk, what) not in journal_queries.told_since([account.pk], "security_notice", act.at - QUIET):
        told(act, scene, account, email_of_record(act, account, scene), what, lines=[line], last4=phone.last_four(line.msisdn))


def device_facts(scene: Scene, act: Act, given: ChangeDevice) -> dict[str, Any]:
    known = customers.device(given.imei)
    return {"device": {"blocked": bool(known and known.blocked)}}


def change_device(act: Act, given: ChangeDevice, scene: Scene) -> Done:
    line, known = line_of(given), customers.device(given.imei)
    if line is None:
        raise refuse("NOT_FOUND", "Choose a line of this account.", fields={"line": "Choose one."})
    if known is None and not (given.make and given.model):
        say = "Nobody here knows this phone. Ask for its make and model."
        raise refuse("INVALID", say, fields={name: "Write it down." for name in ("make", "model") if not getattr(given, name)})
    if known is not None and known.pk == line.device_id:
        raise refuse("CONFLICT", "The line is used with this phone already.", rule="device-as-it-is", fields={"imei": "It is the one."})
    device = customer_operations.known_device(act=act, imei=given.imei, make=given.make, model=given.model)
    return ask(act, given.account, given.line, rules.Kind.DEVICE, f"{device.make} {device.model}", device_id=device.pk)


ACTS: list[ActType] = [
    on_network("lines.change_sim", "Change the SIM", ChangeSim, change_sim, call=order_after_notice, facts=BY_SIM.facts, stands=BY_SIM.now, refused=sim_refused,
               opening={"takeover": {"locked": False, "fresh": False, "hours": 0, "until": ""}}),
    on_network("lines.change_device", "Another phone on a line", ChangeDevice, change_device, facts=device_facts,
               opening={"device": {"blocked": False}}),
]  # fmt: skip
