"""The act table, the schema and the policies name the same deeds; no text gets past the card check."""

from __future__ import annotations

import ast
import json
import re
import types
import typing
from enum import Enum
from pathlib import Path

import cedarpy
import pytest
from django.conf import settings
from pydantic import SecretStr

from careline.acts import table
from careline.acts.declare import SAID
from careline.acts.perform import perform
from careline.foundation.act import Who
from careline.foundation.policy import actions, groups
from careline.foundation.rulebook import Rulebook

ROOT = Path(settings.ROOT)
BOOK = Rulebook.from_folder(ROOT / "rulebook" / "default")
ACTIONS = actions(BOOK.files["authority.cedarschema"])
GROUPS = groups(BOOK.files["authority.cedarschema"])
POLICIES = json.loads(cedarpy.policies_to_json_str(BOOK.files["authority.cedar"]))["staticPolicies"]
ACTS = table.acts()


def words_of_the_source() -> set[str]:
    """Every text constant in the code: an action that nobody names is never asked about."""
    return {
        node.value
        for path in (ROOT / "careline").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


@pytest.mark.parametrize("code", sorted(ACTS))
def test_every_act_is_an_action_of_the_schema_that_somebody_may(code):
    assert code in ACTIONS, "not in authority.cedarschema"
    assert BOOK.authority.roles_with(code), "no role has it"


def test_every_action_of_the_schema_is_an_act_or_is_asked_about_somewhere():
    known = words_of_the_source()
    assert [a for a in ACTIONS if a not in ACTS and a not in known] == []


def spoken_of(policy) -> set[str]:
    """The actions and groups that a policy names."""
    scope = policy["action"]
    return {e["id"] for e in scope.get("entities") or ([scope["entity"]] if "entity" in scope else [])}


def test_every_policy_names_actions_that_exist_and_a_permit_each_by_itself():
    for policy in POLICIES.values():
        named = spoken_of(policy)
        assert named, "a policy about every action would reach acts that nobody thought of"
        assert named <= set(ACTIONS) | (set(GROUPS) if policy["effect"] == "forbid" else set())


def test_every_group_of_actions_has_a_rule_and_members():
    ruled = {name for policy in POLICIES.values() for name in spoken_of(policy)}
    used = {g for g in GROUPS if g in ruled or any(GROUPS[g] <= GROUPS[r] for r in ruled & set(GROUPS))}
    assert set(GROUPS) == used
    assert [g for g, members in GROUPS.items() if not members] == []


def test_whatever_is_done_on_an_account_is_held_by_the_rules_of_care():
    """A new act that forgets its groups would be held by nothing: each act that locks an account names them, or stands here."""
    other = {
        "payments.link_paid", "customers.tie_staff", "lines.settle_order", "approvals.withdraw", "approvals.decide", "contacts.open",
        "contacts.identify",
    }  # fmt: skip
    locks = {code for code, kind in ACTS.items() if "account" in kind.input.model_fields}
    assert sorted(code for code in locks - other if not any(code in GROUPS[g] for g in ("account", "contact"))) == []


@pytest.mark.parametrize(
    "notes", [p["annotations"] for p in POLICIES.values() if p["effect"] == "forbid"], ids=lambda n: n.get("id", "?")
)
def test_every_forbid_has_an_id_a_cite_and_a_sentence_and_its_ways_lead_somewhere(notes):
    assert notes["id"] and notes["cite"] and notes["say"].endswith(".")
    for way in filter(None, (w.strip() for w in notes.get("way", "").split(";"))):
        label, _, code = way.partition("|")
        assert label and code in ACTS, f"the way on {way!r} leads nowhere"


@pytest.mark.parametrize(
    "notes", [p["annotations"] for p in POLICIES.values() if p["effect"] == "forbid"], ids=lambda n: n.get("id", "?")
)
def test_the_numbers_in_a_sentence_are_facts_of_every_action_that_it_speaks_of(notes):
    policy = next(p for p in POLICIES.values() if p.get("annotations") == notes)
    named = {action for name in spoken_of(policy) for action in GROUPS.get(name, {name})}
    for path in re.findall(r"\{([^}|]+)", notes["say"]):
        for action in named:
            found: object = ACTIONS[action]
            for step in path.split("."):
                assert isinstance(found, dict) and step in found, f"{path} is no fact of {action}"
                found = found[step]


def test_ids_of_policies_are_unique():
    ids = [p["annotations"]["id"] for p in POLICIES.values()]
    assert len(ids) == len(set(ids))


def test_keys_of_the_page_are_unique():
    keys = [a.key for a in ACTS.values() if a.key]
    assert len(keys) == len(set(keys))


def test_the_opening_facts_of_an_act_are_the_records_that_its_action_has():
    for code, kind in ACTS.items():
        wanted = {k: set(v) for k, v in ACTIONS[code].items() if k != "basis"}
        given = {k: set(v) for k, v in (kind.opening or {}).items()}
        assert given == wanted, code
        assert (kind.facts is not None) == bool(wanted), code


# ---------------------------------------------------------------- card numbers


def holds_text(annotation: object) -> bool:
    """Whether a field of this type can hold words that somebody typed."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return holds_text(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return any(holds_text(a) for a in typing.get_args(annotation))
    if origin in (dict, list, tuple, set):
        return True
    if origin is not None:
        return False
    return isinstance(annotation, type) and issubclass(annotation, str | dict) and not issubclass(annotation, Enum)


TEXT_FIELDS = [
    (code, name)
    for code, kind in ACTS.items()
    for name, field in kind.input.model_fields.items()
    if holds_text(field.annotation)
]
CARD = "please take it from 4111 1111 1111 1111, thanks"


def test_the_law_finds_the_words_of_the_acts():
    assert {("contacts.note", "text"), ("approvals.ask", "words"), ("approvals.ask", "input")} <= set(TEXT_FIELDS)


@pytest.mark.parametrize(("code", "field"), TEXT_FIELDS, ids=lambda v: v)
def test_no_text_field_takes_a_card_number(code, field):
    kind = ACTS[code]
    holds_dict = typing.get_origin(kind.input.model_fields[field].annotation) is dict
    blank = dict.fromkeys(kind.input.model_fields)
    for value in [{"account": "1", "more": [{"words": CARD}]}] if holds_dict else [CARD, "4111111111111111"]:
        given = kind.input.model_construct(**{**blank, field: value})
        no = perform(code, given, who=Who("Staff", "1", "Ana", "associate"), key="a-key-of-mine")
        assert (no.status, no.refusal.code) == ("invalid", "CARD_NUMBER"), f"{code}.{field} took a card number"
        assert list(no.refusal.fields) == [field] and "4111" not in no.say


# Long text that is no sentence: lists of codes, and what a gateway passes on.
NOT_SAID = {("staff.issue_token", "scope"), ("network.name_area", "postal"), ("network.name_area", "cells")}


def test_wherever_somebody_says_something_in_their_own_words_a_pin_is_looked_for():
    for code, name in TEXT_FIELDS:
        sizes = [m.max_length for m in ACTS[code].input.model_fields[name].metadata if getattr(m, "max_length", None)]
        if sizes and sizes[0] >= 400:
            assert name in SAID or (code, name) in NOT_SAID, f"{code}.{name} would keep a PIN"


@pytest.mark.parametrize("code", sorted(ACTS))
def test_secrets_are_secret_fields(code):
    for name, field in ACTS[code].input.model_fields.items():
        if name in ("pin", "code", "password", "token", "secret") and holds_text(field.annotation):
            assert code == "approvals.ask", f"{code}.{name} would be kept in clear"
        if name in ("pin", "password"):
            assert field.annotation is SecretStr
