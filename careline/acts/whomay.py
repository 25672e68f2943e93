"""Who may do this? The same question that `perform` asks, put for a fresh holder of every role, with nothing done.

Facts are gathered by the act's own function wherever what it reads was given; else the conditions of basis and role are asked
and the answer says that the limits were not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from careline.acts import table
from careline.acts.declare import ActType, Scene
from careline.acts.perform import bare_facts, most, refusal_of, resource
from careline.domain.staff.rules import KIND_OF_ROLE, Role
from careline.foundation.act import Act, Basis, Who
from careline.foundation.authority import Question
from careline.foundation.money import shown
from careline.foundation.refusal import Refusal, Refused
from careline.foundation.rulebook import Rulebook

CEILING = 10_000_000  # minor units: an amount that nobody gives at once

# What the limits of an act depend on, beside its account and its amount.
NEEDS = {
    "credits.grant": ("reason",), "credits.reverse": ("credit",), "payments.refund": ("payment",), "ledger.write_off": ("reason",),
    "ledger.allocate": (), "payments.take": (), "payments.send_link": (), "payments.send_guest_link": (),
    "billing.add_promotion": ("promotion",), "billing.sell_in_instalments": ("equipment", "count"), "billing.add_extra": ("extra_code",), "collections.hold": ("kind", "until"), "collections.release": ("hold",),
    "lines.change_sim": (), "lines.make_transfer_pin": (), "lines.suspend": ("reason",), "lines.set_feature": ("feature",), "lines.add_data": ("mb",), "arrangements.agree": ("until",),
}  # fmt: skip
# What else an act's facts read, where it changes no limit.
FILLED: dict[str, Any] = {"line": 0, "consent": 0, "down": 0, "on": True, "address_confirmed": True, "from_bill": None, "words": ""}


@dataclass(frozen=True)
class Bases:
    """One basis that can be asked about: how it is called, and its facts."""

    code: str
    title: str
    facts: Mapping[str, Any]


def _contact(code: str, title: str, level: int, **more: Any) -> Bases:
    return Bases(code, title, {"kind": "contact", "level": level, "state": "live", **more})


BASES = (
    _contact("strong", "A contact, strongly verified", 4),
    _contact("verified", "A contact, verified by one proof", 3),
    _contact("identified", "A contact, nobody verified yet", 1),
    _contact("wrap_up", "A contact in wrap-up: the caller is gone", 2, state="wrap_up"),
    Bases("request", "A request that somebody asked in a verified contact", {"kind": "request", "level": 3, "state": "live"}),
    Bases("none", "No contact at all", {"kind": "none", "level": 0}),
    Bases("job", "A job of the night", {"kind": "job", "level": 3}),
)
CALLERS = {
    "holder": ("The holder", {"caller": "holder", "mayMoney": True, "mayService": True}),
    "money": ("An authorized person, for money and lines", {"caller": "authorized", "mayMoney": True, "mayService": True}),
    "plain": ("An authorized person, without money", {"caller": "authorized", "mayMoney": False, "mayService": True}),
    "stranger": ("Somebody who is not on the account", {"caller": "stranger", "mayMoney": False, "mayService": False}),
}
WHOSE = {"none": "A customer's like any other", "own": "Their own", "relative": "A relative's", "colleague": "A colleague's"}


@dataclass(frozen=True)
class Answer:
    """What one role hears. `refusal` None is yes; `has`: the role has the act at all; `most`: how much of it, and what stops the
    next cent."""

    role: str
    has: bool
    refusal: Refusal | None
    most_minor: int | None = None
    stops: Refusal | None = None


@dataclass(frozen=True)
class Asked:
    """The answers, lowest role first. `missing`: what has to be said for the limits to be asked; `fault`: why they could not be."""

    answers: tuple[Answer, ...]
    missing: tuple[str, ...] = ()
    fault: str = ""
    limits: bool = True


def who_may(
    code: str, typed: Mapping[str, Any], *, rulebook: Rulebook, basis: str, caller: str, whose: str, account_id: int | None, at: datetime
) -> Asked:
    """Ask for every role. `typed`: the act's input as far as it is known (amounts in minor units). Raises KeyError for an act, a
    basis or a caller that is none."""
    kind = table.act(code)
    known = next((b for b in BASES if b.code == basis), None)
    if known is None or whose not in WHOSE:
        raise KeyError(basis if known is None else whose)
    facts = bare_facts(**{**CALLERS[caller][1], "ownBusiness": whose, **known.facts})
    scene = Scene(rulebook, Basis(str(facts["kind"]), None, account_id, int(facts["level"])), facts)
    missing = tuple(n for n in (*NEEDS.get(code, ()), *_amount(kind)) if kind.facts is not None and n not in typed)
    fault = "" if kind.facts is None or code in NEEDS else "Its limits depend on rows of one account: ask in a contact, where the form says them."
    given = None if missing or fault or kind.facts is None else _given(kind, typed, account_id)
    if given is not None:
        fault = _fault(kind, scene, given, at)
    limits = given is not None and not fault
    answers = tuple(_answer(kind, scene, given if limits else None, role, at) for role in rulebook.ranks)
    return Asked(answers, missing, fault, limits or kind.facts is None)


def _amount(kind: ActType) -> tuple[str, ...]:
    return ("amount",) if "amount" in kind.input.model_fields and kind.input.model_fields["amount"].is_required() else ()


def _given(kind: ActType, typed: Mapping[str, Any], account_id: int | None) -> Any:
    """The act's input, not validated as a whole: what no limit depends on is left as it is or filled in."""
    fields = {n: FILLED[n] for n in kind.input.model_fields if n in FILLED} | dict(typed) | {"account": account_id or 0}
    if "parts" in kind.input.model_fields:
        from careline.acts.arrangements import Part

        fields["parts"] = [Part(due_on=fields.pop("until"), amount=fields.pop("amount"))]
    return kind.input.model_construct(**fields)


def _person(role: str) -> Who:
    kind = "Job" if role == "job" else KIND_OF_ROLE.get(Role(role), "Staff") if role in set(Role) else "Staff"
    return Who(kind, f"role:{role}", role, role)


def _act(who: Who, scene: Scene, at: datetime) -> Act:
    return Act(who, at, "", "", scene.basis, rulebook=scene.rulebook.digest)


def _fault(kind: ActType, scene: Scene, given: Any, at: datetime) -> str:
    assert kind.facts is not None
    try:
        kind.facts(scene, _act(_person(next(iter(scene.rulebook.ranks))), scene, at), given)
    except Refused as no:
        return no.refusal.say
    except ValidationError:
        return "Look at what you typed: it does not fit this act."
    return ""


def _facts(kind: ActType, scene: Scene, act: Act, given: Any) -> dict[str, Any]:
    found = dict(kind.opening or {}) if given is None or kind.facts is None else kind.facts(scene, act, given)
    # Whoever is asked whether they may has read the price out.
    return {name: {**record, "consent": record["price"]} if "consent" in record else record for name, record in found.items()}


def _answer(kind: ActType, scene: Scene, given: Any, role: str, at: datetime) -> Answer:
    rulebook, who = scene.rulebook, _person(role)
    act = _act(who, scene, at)
    verdict = rulebook.authority.decide(
        Question(who, kind.code, resource(scene.basis.account_id), {"basis": dict(scene.facts), **_facts(kind, scene, act, given)})
    )
    has = role in rulebook.authority.roles_with(kind.code)
    answer = Answer(role, has, None if verdict.allowed else refusal_of(kind.code, verdict, rulebook, who))
    if given is None or not kind.amount or not has:
        return answer
    amount, stops = most(kind, scene, act, given, CEILING)
    next_one = Refusal("AUTHORITY", stops.say, rule=stops.id, cite=stops.cite) if stops else None
    return replace(answer, most_minor=amount, stops=next_one)


def said(answer: Answer) -> str:
    """One answer in a few words, for whoever reads a list of them."""
    if answer.refusal is None:
        return "yes" if answer.most_minor is None else f"yes, up to {shown(answer.most_minor)}"
    return "no" if answer.has else "not this role"
