"""The default rulebook's policy, rule by rule, and what a policy must be to be loaded at all.

Each case differs from the best case in one fact; the rule that says no is named. (That a missing fact is a no, and that
a larger amount is never easier, are laws.)
"""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from careline.foundation.act import Who
from careline.foundation.authority import Authority, Question
from careline.foundation.rulebook import Rulebook

BOOK = Rulebook.from_folder(Path(__file__).resolve().parents[2] / "rulebook" / "default")
KIND = {"agent": "Agent", "service": "Service", "job": "Job"}
BASIS = {
    "kind": "contact", "level": 3, "mine": True, "state": "live", "caller": "holder", "mayMoney": True,
    "mayService": True, "ownBusiness": "none", "admitted": False,
}  # fmt: skip
CREDIT = {
    "amount": 1000, "reason": "goodwill", "eventRoom": 2500, "reasonRoom": 2500, "windowRoom": 5000, "dayRoom": 30000,
    "dayCountRoom": 12, "lineRoom": 10**10, "daysRoom": 10**10, "needsLine": False, "hasLine": False, "tooOld": False,
}  # fmt: skip
RECORDS = {
    "credits.grant": {"credit": CREDIT},
    "credits.reverse": {"reversal": {"mine": True, "fresh": True}},
    "payments.take": {"payment": {"amount": 100, "least": 100, "most": 200_000}},
}
RECORDS |= dict.fromkeys(("payments.send_link", "payments.send_guest_link"), RECORDS["payments.take"])


def decide(role: str, action: str, **changed: object):
    """The verdict on the best case with these facts changed: `level=1` of the basis, `credit__amount=2501` of a record."""
    facts = copy.deepcopy({"basis": BASIS} | RECORDS.get(action, {}))
    for name, value in changed.items():
        record, _, field = name.rpartition("__")
        assert (field or name) in facts[record or "basis"], f"no such fact: {name}"
        facts[record or "basis"][field] = value
    who = Who(KIND.get(role, "Staff"), "7", "Somebody", role)
    return BOOK.authority.decide(Question(who, action, ("Account", "1"), facts))


def rule(role: str, action: str, **changed: object) -> str:
    """`yes`, or the id of the rule that says no first (`role` when no permit speaks for this role)."""
    verdict = decide(role, action, **changed)
    assert not verdict.fault, verdict.fault
    return "yes" if verdict.allowed else (verdict.rules[0].id if verdict.rules else "role")


GONE = {"level": 2, "state": "wrap_up"}
STRANGER = {"caller": "stranger", "mayMoney": False}


@pytest.mark.parametrize(
    ("role", "action", "changed", "says"),
    [
        # who has the act at all
        ("associate", "credits.grant", {}, "yes"),
        ("agent", "credits.grant", {}, "yes"),
        ("administrator", "credits.grant", {}, "role"),
        ("service", "credits.grant", {}, "role"),
        ("trainee", "payments.take", {}, "role"),
        ("associate", "payments.take", {}, "yes"),
        ("trainee", "credits.reverse", {}, "role"),
        ("expert", "approvals.decide", {"kind": "request"}, "role"),
        ("lead", "approvals.decide", {"kind": "request"}, "yes"),
        ("supervisor", "approvals.decide", {"kind": "request"}, "yes"),
        ("administrator", "view.account", {}, "role"),
        ("agent", "contacts.call_back", {}, "role"),
        ("supervisor", "staff.add", {}, "role"),
        ("administrator", "staff.add", {"kind": "none"}, "yes"),
        # the basis
        ("associate", "credits.grant", {"kind": "none"}, "needs-contact-or-request"),
        ("associate", "payments.take", {"kind": "request"}, "needs-contact"),
        ("associate", "contacts.note", {"kind": "none"}, "needs-contact"),
        ("associate", "credits.grant", {"mine": False}, "not-your-contact"),
        ("supervisor", "view.account", {"mine": False}, "not-your-contact"),
        ("lead", "approvals.decide", {"kind": "contact"}, "needs-request"),
        ("lead", "approvals.decide", {"kind": "request", "mine": False}, "own-request"),
        ("lead", "view.request", {"kind": "request", "mine": False}, "own-request"),
        ("lead", "view.request", {"kind": "contact"}, "needs-request-to-read"),
        # the caller
        ("trainee", "contacts.check_pin", {"level": 0}, "needs-account"),
        ("trainee", "contacts.check_pin", {"level": 1}, "yes"),
        ("trainee", "contacts.check_pin", {"level": 1, "state": "dropped"}, "needs-live"),
        ("trainee", "contacts.check_pin", {"level": 1, "state": "held"}, "yes"),
        ("trainee", "contacts.check_pin", {"level": 1, **STRANGER}, "stranger"),
        ("trainee", "view.account", {"level": 1}, "needs-verified"),
        ("trainee", "view.account", {}, "yes"),
        ("trainee", "view.account", STRANGER, "stranger"),
        ("trainee", "view.account", GONE, "yes"),
        ("trainee", "contacts.note", GONE, "yes"),
        ("trainee", "contacts.note", {"level": 1}, "needs-verified"),
        ("associate", "credits.grant", {"level": 1}, "needs-verified"),
        ("associate", "credits.grant", {"level": 2}, "caller-gone"),
        ("associate", "payments.take", GONE, "needs-live"),
        ("associate", "credits.grant", {"mayMoney": False}, "no-money-right"),
        ("associate", "payments.take", {"mayMoney": False}, "no-money-right"),
        ("associate", "payments.send_link", {"mayMoney": False}, "yes"),  # to the number of record: the holder pays or not
        ("trainee", "payments.send_guest_link", {"level": 1, **STRANGER}, "yes"),
        ("trainee", "payments.send_guest_link", {"level": 0}, "needs-account"),
        ("trainee", "view.journal", {"level": 1}, "journal-needs-basis"),
        ("trainee", "view.journal", {"mine": False}, "journal-needs-basis"),
        ("trainee", "view.journal", GONE, "yes"),
        # own business
        ("supervisor", "contacts.open", {"kind": "none", "ownBusiness": "own"}, "own-business"),
        ("supervisor", "contacts.open", {"kind": "none", "ownBusiness": "colleague"}, "own-business"),
        ("associate", "view.account", {"ownBusiness": "relative"}, "own-business"),
        ("associate", "view.account", {"ownBusiness": "relative", "admitted": True}, "yes"),
        ("associate", "credits.grant", {"ownBusiness": "colleague", "admitted": True}, "yes"),
        ("associate", "credits.grant", {"ownBusiness": "relative", "admitted": True}, "own-business-money"),
        ("associate", "credits.reverse", {"ownBusiness": "own", "admitted": True}, "own-business-money"),
        ("lead", "approvals.decide", {"kind": "request", "ownBusiness": "relative", "admitted": True}, "own-business-decide"),
        ("associate", "approvals.decide", {"kind": "request", "mine": False, "ownBusiness": "own"}, "own-request"),
        # credits: at the limit yes, one cent above no
        ("associate", "credits.grant", {"credit__amount": 2500}, "yes"),
        ("associate", "credits.grant", {"credit__amount": 2501, "credit__reasonRoom": 9999}, "credit-event"),
        ("associate", "credits.grant", {"credit__amount": 2501, "credit__eventRoom": 9999}, "credit-reason"),
        ("associate", "credits.grant", {"credit__windowRoom": 1000}, "yes"),
        ("associate", "credits.grant", {"credit__windowRoom": 999}, "credit-window"),
        ("associate", "credits.grant", {"credit__dayRoom": 999}, "credit-day"),
        ("associate", "credits.grant", {"credit__dayCountRoom": 1}, "yes"),
        ("associate", "credits.grant", {"credit__dayCountRoom": 0}, "credit-day-count"),
        ("associate", "credits.grant", {"credit__lineRoom": 999}, "credit-line"),
        ("associate", "credits.grant", {"credit__needsLine": True}, "credit-needs-line"),
        ("associate", "credits.grant", {"credit__needsLine": True, "credit__hasLine": True}, "yes"),
        ("expert", "credits.grant", {"credit__tooOld": True}, "credit-backdate"),
        ("lead", "credits.grant", {"credit__tooOld": True}, "yes"),
        ("associate", "credits.grant", {"kind": "request"}, "yes"),
        # reversals
        ("associate", "credits.reverse", {"reversal__mine": False}, "reversal-not-yours"),
        ("associate", "credits.reverse", {"reversal__fresh": False}, "reversal-not-yours"),
        ("lead", "credits.reverse", {"reversal__mine": False, "reversal__fresh": False}, "yes"),
        # payments
        ("associate", "payments.take", {"payment__amount": 99}, "payment-amount"),
        ("associate", "payments.take", {"payment__amount": 200_000}, "yes"),
        ("supervisor", "payments.take", {"payment__amount": 200_001}, "payment-amount"),
    ],
)  # fmt: skip
def test_each_rule_says_no_to_what_it_is_about_and_to_nothing_else(role, action, changed, says):
    assert rule(role, action, **changed) == says


def test_of_two_rules_the_earlier_one_speaks_first():
    """The caller is not verified and the amount is too much: verification is the way on, not a lead."""
    verdict = decide("associate", "credits.grant", level=1, credit__amount=2501)
    assert [r.id for r in verdict.rules] == ["needs-verified", "credit-reason", "credit-event"]


def test_a_no_says_its_numbers_its_source_and_the_way_on():
    (no,) = decide("associate", "credits.grant", credit__amount=2000, credit__dayRoom=1840).rules
    assert (no.say, no.cite) == ("You have $18.40 left to give today.", "limits.toml: credit.day.value")
    assert no.ways == (("Ask a lead", "approvals.ask"),)
    (no,) = decide("associate", "credits.grant", level=1).rules
    assert [act for _, act in no.ways] == ["contacts.check_pin", "contacts.send_code", "contacts.call_back"]


def test_roles_stand_on_each_other_and_some_stand_alone():
    roles = BOOK.authority
    assert roles.higher("associate") == ("expert", "lead", "supervisor")
    assert roles.higher("supervisor") == roles.higher("agent") == roles.higher("administrator") == ()
    assert roles.roles_with("payments.take") == ("associate", "expert", "lead", "supervisor")
    assert roles.roles_with("contacts.ring") == ("service", "job")
    assert roles.roles_with("nobody.knows") == ()


def test_a_role_that_the_rulebook_does_not_know_is_a_fault_and_not_a_no():
    with pytest.raises(ValueError, match="no role called wizard"):
        BOOK.authority.decide(Question(Who("Staff", "7", "W", "wizard"), "contacts.note", ("Account", "1"), {"basis": BASIS}))


# ---------------------------------------------------------------- what cannot be loaded

SCHEMA = """
entity Role in [Role]; entity Staff in [Role]; entity Account;
action "ring" appliesTo { principal: [Staff], resource: [Account], context: { loud: Bool } };
"""
PERMIT = '@id("all") permit(principal in Role::"clerk", action == Action::"ring", resource);'
FORBID = '@id("quiet") @cite("house") @say("Not so loud.") forbid(principal, action == Action::"ring", resource) when { context.loud };'


def load(policies: str) -> Authority:
    return Authority(policies, SCHEMA, {"clerk": None})


def test_a_small_policy_answers():
    small = load(PERMIT + FORBID)
    ask = lambda loud: small.decide(Question(Who("Staff", "1", "C", "clerk"), "ring", ("Account", "1"), {"loud": loud}))  # noqa: E731
    assert ask(False).allowed and [r.say for r in ask(True).rules] == ["Not so loud."]
    assert small.decide_many([]) == []


@pytest.mark.parametrize(
    ("policies", "says"),
    [
        (PERMIT + FORBID.replace('@id("quiet") ', ""), "has no @id"),
        (PERMIT + FORBID.replace('@cite("house") ', ""), "quiet has no @cite"),
        (PERMIT + FORBID.replace('@say("Not so loud.") ', ""), "quiet has no @say"),
        (PERMIT + FORBID.replace('"house"', '""'), "quiet has no @cite"),
        (PERMIT.replace(";", " when { !context.loud };"), "all has a condition"),
        (PERMIT.replace(";", " unless { context.loud };"), "all has a condition"),
        (PERMIT + FORBID.replace("context.loud", "context.colour"), "does not fit its schema"),
        (PERMIT.replace('"ring"', '"rang"'), "does not fit its schema"),
        (PERMIT[:-1], "authority.cedar"),
        ("what?", "authority.cedar"),
    ],
)
def test_a_policy_that_could_refuse_without_a_reason_is_not_loaded(policies, says):
    with pytest.raises(ValueError, match=says):
        load(policies)
