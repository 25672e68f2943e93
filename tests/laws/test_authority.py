"""Authority fails shut: a missing fact is a no and an alarm; a larger amount is never easier than a smaller one."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import settings as pace
from hypothesis import strategies as st

from careline.acts import table
from careline.acts.declare import Scene
from careline.acts.perform import most, refusal_of
from careline.foundation.act import NO_BASIS, Act, Who
from careline.foundation.authority import Authority, Question
from careline.foundation.policy import actions
from careline.foundation.rulebook import Rulebook
from tests.people import TUESDAY

BOOK = Rulebook.from_folder(Path(settings.ROOT) / "rulebook" / "default")
AUTHORITY = BOOK.authority
ACTIONS = actions(BOOK.files["authority.cedarschema"])
KIND = {"agent": "Agent", "service": "Service", "job": "Job"}


def principal(role: str) -> Who:
    return Who(KIND.get(role, "Staff"), "7", "Somebody", role)


# What is reported of a call back, while the caller's line is down.
LINE_DOWN = {"contacts.call_back_answered", "contacts.call_back_failed"}

# The best case: everything that could be true for the principal is.
BEST = {
    "basis": {
        "kind": "contact", "level": 4, "mine": True, "state": "live", "caller": "holder", "mayMoney": True,
        "mayService": True, "ownBusiness": "none", "admitted": False,
    },
    "credit": {
        "amount": 1, "reason": "goodwill", "eventRoom": 9, "reasonRoom": 9, "windowRoom": 9, "dayRoom": 9,
        "dayCountRoom": 9, "lineRoom": 9, "daysRoom": 9, "needsLine": False, "hasLine": True, "tooOld": False,
    },
    "token": {"customers": False},
    "proposal": {"mine": False, "stale": False},
    "wayIn": {"second": True},
    "pin": {"none": False, "possession": True},
    "forgotten": {"possession": True, "may": True},
    "credentials": {"fresh": False, "hours": 24, "until": ""},
    "takeover": {"locked": False, "fresh": False, "hours": 24, "until": ""},
    "port": {"locked": False},
    "device": {"blocked": False},
    "consent": {"yes": True},
    "legalHold": {"mine": False},
    "redaction": {"held": False},
    "arrangement": {
        "owed": 14200, "owedLeast": 1000, "owedRoom": 50000, "parts": 2, "partsRoom": 2, "days": 14, "daysRoom": 30, "first": 7100, "firstLeast": 3550,
        "tenure": 900, "tenureLeast": 60, "broken": 0, "brokenRoom": 1, "wait": 0, "returned": 0, "returnedRoom": 1, "hold": "", "living": False,
        "changes": 0, "changesRoom": 0, "soon": False, "price": 0, "consent": 0, "fault": "",
    },
    "reversal": {"mine": True, "fresh": True},
    "payment": {"amount": 100, "least": 1, "most": 1000},
    "refund": {"amount": 100, "room": 1000, "roleRoom": 1000},
    "allocation": {"moves": False},
    "promotion": {"worth": 100, "room": 1000, "offered": True},
    "sale": {"financed": 46800, "room": 120000, "offered": True, "down": 0, "downLeast": 0, "pastDue": 0, "price": 1950, "consent": 1950},
    "extra": {"offered": True, "price": 900, "consent": 900},
    "payOff": {"price": 19500, "consent": 19500},
    "plan": {"offered": True, "price": 4500, "consent": 4500},
    "writeOff": {"amount": 100, "room": 1000},
    "hold": {"open": False, "needsEnd": True, "days": 7, "daysRoom": 30},
    "lift": {"specialist": False},
    "suspension": {"reason": "customer_wish", "strong": False, "lead": False},
    "restore": {
        "pastDue": 0, "pastDueRoom": 0, "contractEnded": False, "strong": False, "lead": False, "price": 0, "consent": 0,
    },
    "feature": {"on": True, "offered": True, "needsAddress": False, "hasAddress": True, "price": 0, "consent": 0},
    "data": {"mb": 512, "mbRoom": 2048, "price": 250, "consent": 250, "spendRoom": 1000},
}  # fmt: skip


def best_facts(action: str) -> dict[str, Any]:
    """The facts of the schema, all of them, in their best case: a fact that this page does not know fails here."""
    facts = {}
    for record, fields in ACTIONS[action].items():
        assert record in BEST, f"tests/laws/test_authority.py: say the best case of {record}"
        assert set(BEST[record]) == set(fields), f"tests/laws/test_authority.py: the best case of {record} is not whole"
        facts[record] = dict(BEST[record])
    if action in LINE_DOWN:
        facts["basis"] |= {"state": "dropped", "level": 1}
    return facts


def decide(action: str, role: str, facts: dict[str, Any]):
    return AUTHORITY.decide(Question(principal(role), action, ("Account", "1"), facts))


def a_yes(action: str, role: str) -> dict[str, Any] | None:
    """Facts on which this role is allowed this action."""
    facts = best_facts(action)
    for kind in ("contact", "request", "none", "job", "audit"):
        facts["basis"]["kind"] = kind
        if decide(action, role, facts).allowed:
            return facts
    return None


PAIRS = [(action, role) for action in ACTIONS for role in AUTHORITY.roles_with(action)]


@pytest.mark.parametrize(("action", "role"), PAIRS)
def test_whoever_has_an_act_can_be_allowed_it_and_every_fact_is_needed(action, role):
    facts = a_yes(action, role)
    assert facts is not None, f"{role} has {action} and nothing in the world allows it"
    for record, fields in facts.items():
        without = copy.deepcopy(facts)
        del without[record]
        no = decide(action, role, without)
        assert not no.allowed and no.fault, f"{action} without {record}"
        for name in fields:
            without = copy.deepcopy(facts)
            del without[record][name]
            no = decide(action, role, without)
            assert not no.allowed and no.fault, f"{action} without {record}.{name}"


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_a_fact_of_another_type_is_a_fault_and_one_that_nobody_asks_for_decides_nothing(action):
    facts, role = best_facts(action), AUTHORITY.roles_with(action)[0]
    no = decide(action, role, {**facts, "basis": {**facts["basis"], "level": "4"}})
    assert not no.allowed and no.fault
    # A rulebook from before a release is asked with the facts of the release.
    more = decide(action, role, {**facts, "more": {"is": True}, "basis": {**facts["basis"], "more": True}})
    assert more == decide(action, role, facts) and not more.fault


def test_a_fault_is_an_alarm(caplog):
    verdict = decide("credits.grant", "associate", {"basis": BEST["basis"]})
    with caplog.at_level(logging.ERROR, "careline.authority"):
        refusal = refusal_of("credits.grant", verdict, BOOK, principal("associate"))
    assert refusal.rule == "fault" and "credits.grant" in caplog.text


@pytest.mark.parametrize("action", sorted(ACTIONS))
@pytest.mark.parametrize("role", sorted(set(AUTHORITY.ranks)))
def test_a_role_without_the_act_is_never_allowed_it(action, role):
    if role not in AUTHORITY.roles_with(action):
        assert a_yes(action, role) is None


numbers = st.integers(-100, 30_000)
flags = st.booleans()
credits = st.fixed_dictionaries(
    {
        "amount": st.just(0), "reason": st.sampled_from(sorted(BOOK.reasons["credit"])), "eventRoom": numbers,
        "reasonRoom": numbers, "windowRoom": numbers, "dayRoom": numbers, "dayCountRoom": st.integers(0, 3),
        "lineRoom": numbers, "daysRoom": numbers, "needsLine": flags, "hasLine": flags, "tooOld": flags,
    }
)  # fmt: skip
bases = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["contact", "request", "none"]), "level": st.integers(0, 4), "mine": flags,
        "state": st.sampled_from(["live", "held", "wrap_up"]), "caller": st.sampled_from(["holder", "stranger"]),
        "mayMoney": flags, "mayService": flags, "ownBusiness": st.sampled_from(["none", "own", "colleague"]), "admitted": flags,
    }
)  # fmt: skip
roles = st.sampled_from(["trainee", "associate", "expert", "lead", "supervisor", "agent"])
BISECTED = [kind for kind in table.acts().values() if kind.amount]


def test_the_act_whose_amount_is_bisected_is_the_credit():
    assert [k.amount for k in BISECTED] == ["credit.amount"], "extend the law below for another act with an amount"


@given(basis=st.one_of(st.just(BEST["basis"]), bases), credit=credits, role=roles, one=st.integers(1, 30_000), other=st.integers(1, 30_000))
@pace(max_examples=300, deadline=None)
def test_authority_is_monotone_in_the_amount(basis, credit, role, one, other):
    small, large = sorted((one, other))
    ask = lambda amount: decide("credits.grant", role, {"basis": basis, "credit": {**credit, "amount": amount}}).allowed  # noqa: E731
    assert ask(small) or not ask(large)


@given(credit=credits, role=roles)
@pace(max_examples=100, deadline=None)
def test_the_most_that_is_offered_is_allowed_and_one_cent_more_is_not(credit, role):
    kind = table.act("credits.grant")
    scene = Scene(BOOK, facts=BEST["basis"])
    who = principal(role)

    class Fixed:
        amount, code = kind.amount, kind.code

        @staticmethod
        def facts(scene, act, given):
            return {"credit": credit}

    act = Act(who, TUESDAY, "", "", NO_BASIS)
    found, _ = most(Fixed, scene, act, None, ceiling=40_000)
    allowed = lambda amount: decide("credits.grant", role, {"basis": BEST["basis"], "credit": {**credit, "amount": amount}}).allowed  # noqa: E731
    assert found == 0 or allowed(found)
    assert not allowed(found + 1) or found == 40_000


def test_a_rulebook_from_before_decides_by_what_it_knows_and_still_misses_what_it_asks_for():
    """A release adds a fact to an act; the carrier's own schema does not know it, and nobody is refused for that."""
    schema = BOOK.files["authority.cedarschema"]
    before = Authority(BOOK.files["authority.cedar"], schema, BOOK.ranks)
    who, facts = principal("associate"), best_facts("credits.grant")
    newer = copy.deepcopy(facts) | {"weather": {"rain": True}}
    newer["credit"]["moon"] = 3
    assert before.decide(Question(who, "credits.grant", ("Account", "1"), newer)).allowed
    del newer["credit"]["eventRoom"]
    assert before.decide(Question(who, "credits.grant", ("Account", "1"), newer)).fault
