"""What a rulebook has to keep so that the desk can work by it, beside what its files keep by themselves.

The tests hold the default rulebook to it, and a change is held to it before anybody may say yes to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import cedarpy

from careline.acts import table
from careline.domain.diagnosis.rules.guide import load_all
from careline.foundation import policy
from careline.foundation.act import Who
from careline.foundation.authority import Question
from careline.foundation.rulebook import Rulebook, RulebookFault

STEPS = (1, 100, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 10_000_000)


_found: dict[str, list[str]] = {}


def faults(book: Rulebook) -> list[str]:
    """All that is wrong with a rulebook, each as a sentence with its place; nothing: it can be used. Takes about a second of one
    processor, once a process and bundle: a door asks before the act does, so that the act's transaction is short."""
    if book.digest not in _found:
        if len(_found) > 32:
            _found.clear()
        _found[book.digest] = _judged(book)
    return _found[book.digest]


def _judged(book: Rulebook) -> list[str]:
    try:
        book.check()
    except RulebookFault as fault:
        return [str(fault)]
    except (KeyError, TypeError, AttributeError, ValueError) as fault:
        return [f"limits.toml or another file lacks what every rulebook has: {fault}"]
    found = [*_guides(book), *_acts(book), *_records(book), *_policies(book)]
    # What follows asks authority, which answers only for a policy that is whole.
    return found or [*_limits(book), *_supervision(book), *_amounts(book), *_can_change(book)]


def _guides(book: Rulebook) -> Iterator[str]:
    try:
        load_all(book.files)
    except ValueError as fault:
        yield f"guides: {fault}"


def _acts(book: Rulebook) -> Iterator[str]:
    actions = policy.actions(book.files["authority.cedarschema"])
    for code, kind in table.acts().items():
        if code not in actions:
            yield f"authority.cedarschema: the act {code} is not there, so nobody could do it"
            continue
        if not book.authority.roles_with(code):
            yield f"authority.cedar: no role has {code} ({kind.title})"
        wanted = {name: set(fields) for name, fields in actions[code].items() if name != "basis"}
        given = {name: set(fields) for name, fields in (kind.opening or {}).items()}
        if wanted != given:
            yield f"authority.cedarschema: {code} is asked with {_facts(given)}, and the schema names {_facts(wanted)}"


def _records(book: Rulebook) -> Iterator[str]:
    """Whoever wrote an act wrong would believe that it is refused."""
    for entity, codes in book.toml("records.toml").get("changes", {}).items() if "records.toml" in book.files else ():
        for code in codes:
            if code not in table.acts():
                yield f"records.toml: changes, {entity}: there is no act {code}"


def _facts(records: Mapping[str, set[str]]) -> str:
    return "; ".join(f"{name} ({', '.join(sorted(fields))})" for name, fields in sorted(records.items())) or "nothing beside its basis"


def _policies(book: Rulebook) -> Iterator[str]:
    schema = book.files["authority.cedarschema"]
    actions, groups, acts = policy.actions(schema), policy.groups(schema), table.acts()
    if re.search(r"\w\?\s*:", re.sub(r"//[^\n]*", "", schema)):
        yield "authority.cedarschema: no fact may be optional (`?`): one that is missing has to be a no"
    seen: set[str] = set()
    for body in json.loads(cedarpy.policies_to_json_str(book.files["authority.cedar"]))["staticPolicies"].values():
        notes = body.get("annotations", {})
        name, named = notes.get("id", ""), policy.spoken_of(body)
        if not name:
            yield "authority.cedar: a policy has no @id"
        if name in seen:
            yield f"authority.cedar: two policies are called {name}"
        seen.add(name)
        if not named:
            yield f"authority.cedar: {name} speaks of every action; name those it is about"
        for one in named:
            if one not in actions and (one not in groups or body["effect"] == "permit"):
                yield f"authority.cedar: {name} speaks of {one}, which is no act"
        if body["effect"] == "permit":
            continue
        if not notes["say"].endswith("."):
            yield f"authority.cedar: what {name} says is no sentence; end it with a full stop"
        for way in filter(None, (w.strip() for w in notes.get("way", "").split(";"))):
            if way.partition("|")[2] not in acts:
                yield f"authority.cedar: {name} offers {way!r}, which leads to no act"
        for path in [*re.findall(r"\{([^}|]+)", notes["say"]), *filter(None, [notes.get("room")])]:
            for action in {a for one in named for a in groups.get(one, {one}) if a in actions}:
                at: Any = actions[action]
                for step in path.split("."):
                    at = at.get(step) if isinstance(at, dict) else None
                if at is None:
                    yield f"authority.cedar: {name} says {{{path}}}, which is no fact of {action}"


def _limits(book: Rulebook) -> Iterator[str]:
    """A higher role never has less, and no limit is below nothing."""
    ladder = book.limits["roles"]["ladder"]
    by_reason = {f"reasons.toml: credit.{k}.event_limit": row.get("event_limit") for k, row in book.reasons.get("credit", {}).items()}
    tables = {f"limits.toml: {place}": found for place, found in _tables(book.limits)}
    for place, found in {**tables, **by_reason}.items():
        if isinstance(found, int) and not isinstance(found, bool) and found < 0:
            yield f"{place}: {found} is below nothing"
        if not isinstance(found, Mapping) or not set(found) & set(ladder):
            continue
        for role, number in found.items():
            if type(number) is not int or number < 0:
                yield f"{place}: {role} = {number!r}; give a whole number of cents or times, 0 or more"
        for low, high in pairwise(ladder):
            a, b = found.get(low, 0), found.get(high, 0)
            if isinstance(a, int) and isinstance(b, int) and a > b:
                yield f"{place}: {high} has {b}, less than {low} with {a}; whoever is asked must be able to say yes"


# What supervision cannot do without: a page that asks for one that is missing would break.
_SUPERVISED = {
    "opening": ("audit_minutes", "glass_minutes"),
    "patterns": ("days", "just_under_percent", "just_under_least", "one_account_least", "looks_least", "looks_percent", "search_hits", "search_least",
                 "same_yes_least", "same_yes_percent"),
}  # fmt: skip


def _supervision(book: Rulebook) -> Iterator[str]:
    for table_, names in _SUPERVISED.items():
        held = book.limits.get(table_, {})
        for name in names:
            number = held.get(name)
            most = 100 if name.endswith("_percent") else None
            if type(number) is not int or number < 1 or (most is not None and number > most):
                yield f"limits.toml: {table_}.{name} = {number!r}; give a whole number from 1{f' to {most}' if most else ' on'}"


def _tables(data: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, inner in data.items():
        if isinstance(inner, Mapping):
            here = f"{path}.{name}" if path else name
            yield here, inner
            yield from _tables(inner, here)


def _amounts(book: Rulebook) -> Iterator[str]:
    """Once an amount is too much, no larger one is allowed: the most that may be given is looked for by halves."""
    basis = {"kind": "contact", "level": 4, "mine": True, "state": "live", "caller": "holder", "mayMoney": True, "mayService": True, "ownBusiness": "none", "admitted": False}
    for kind in table.acts().values():
        if not kind.amount:
            continue
        record, name = kind.amount.split(".")
        facts = {r: {k: 5_000 if k.endswith("Room") else v for k, v in fields.items()} for r, fields in (kind.opening or {}).items()}
        for role in book.limits["roles"]["ladder"]:
            asked = [Question(Who("Staff", "1", "", role), kind.code, ("Account", "1"), {"basis": basis, **facts, record: {**facts[record], name: n}}) for n in STEPS]
            said = [verdict.allowed for verdict in book.authority.decide_many(asked)]
            if said != sorted(said, reverse=True):
                yield f"authority.cedar: {kind.code} refuses {role} an amount and allows a larger one"


def _can_change(book: Rulebook) -> Iterator[str]:
    roles = set(book.authority.roles_with("rulebook.propose")) & set(book.authority.roles_with("rulebook.second")) & set(book.authority.roles_with("staff.sign_in"))
    if not roles:
        yield "authority.cedar: with this nobody could change the rulebook again; leave rulebook.propose and rulebook.second to a role"
