"""Who may do what: Cedar policies, parsed once, asked about a tenth of a millisecond each.

A verdict follows from the policies and the question alone, so one that was given is remembered: a page that is drawn
again asks nothing anew.

Permits speak of role and act only; every condition is a forbid with `@id`, `@cite` and `@say`, so a refusal names its
rule. Only Allow without an evaluation error is a yes: Cedar skips a policy whose evaluation fails, a forbid too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import cedarpy

from careline.foundation.act import Who
from careline.foundation.money import shown
from careline.foundation.policy import actions

Resource = tuple[str, str]
REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Rule:
    """One forbid that spoke: its id, the source it cites, its sentence with the numbers filled in, and the ways on that
    its `@way` offers ("label|act.code", several parted by ";")."""

    id: str
    cite: str
    say: str
    ways: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Yes, or no with the rules that said it (none: not this role). `fault` is set when the question itself failed."""

    allowed: bool
    rules: tuple[Rule, ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """May `who` do `action` on `resource`, given these facts? Every fact that the schema names must be there."""

    who: Who
    action: str
    resource: Resource
    facts: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, ...]:
        """All that the verdict can depend on."""
        who = self.who
        return (who.kind, who.id, who.role, self.action, *self.resource, json.dumps(self.facts, sort_keys=True))


class Authority:
    """One rulebook's policies, ready to be asked.

    `ranks` maps each role to the role whose permits it also has (None: it stands alone); `elsewhere` names acts that nobody does here,
    whatever the policies say, with the rule by which each is refused. Raises ValueError, in plain
    words, when policies or schema do not parse, do not fit each other, or a forbid lacks its `@id`, `@cite` or `@say`.
    """

    def __init__(self, policies: str, schema: str, ranks: Mapping[str, str | None], elsewhere: Mapping[str, Rule] = MappingProxyType({})) -> None:
        try:
            checked = cedarpy.validate_policies(policies, schema)
            if not checked.validation_passed:
                raise ValueError(
                    "authority.cedar does not fit its schema: " + "; ".join(str(e) for e in checked.errors[:5])
                )
            self._policies = cedarpy.PolicySet.from_str(policies)
            self._schema_text = schema
            self._schema = cedarpy.Schema.from_str(schema)
            parsed = json.loads(cedarpy.policies_to_json_str(policies))["staticPolicies"]
        except ValueError:
            raise
        except Exception as fault:  # cedarpy raises bare exceptions of several kinds for text that does not parse
            raise ValueError(f"authority.cedar: {fault}") from fault
        self.ranks = dict(ranks)
        self._elsewhere = dict(elsewhere)
        self._notes: dict[str, dict[str, str]] = {}
        self._permitted: dict[str, set[str]] = {}
        for name, policy in parsed.items():
            notes = policy.get("annotations", {})
            if policy["effect"] == "forbid":
                missing = [n for n in ("id", "cite", "say") if not notes.get(n)]
                if missing:
                    raise ValueError(f"authority.cedar: {notes.get('id', name)} has no @{missing[0]}")
                self._notes[name] = notes
            else:
                if policy["conditions"]:
                    raise ValueError(
                        f"authority.cedar: the permit {notes.get('id', name)} has a condition; "
                        "say it as a forbid, so that a refusal can name it"
                    )
                for action in _actions(policy["action"]):
                    self._permitted.setdefault(action, set()).update(_roles(policy["principal"]))
        self._contexts = actions(schema)
        self._given: dict[tuple[str, ...], Verdict] = {}
        self._entities = lru_cache(maxsize=4096)(self._entities_of)
        self._roles: dict[str, tuple[str, ...]] = {}

    def decide(self, question: Question) -> Verdict:
        return self.decide_many([question])[0]

    def decide_many(self, questions: Sequence[Question]) -> list[Verdict]:
        """One verdict per question. The questions must be of one principal (one entity graph is sent along)."""
        keys = [q.key for q in questions]
        found = {key: self._given[key] for key in keys if key in self._given}
        new = {key: q for key, q in zip(keys, questions, strict=True) if key not in found}
        if new:
            found |= zip(new, self._judge(list(new.values())), strict=True)
            if len(self._given) + len(new) > REMEMBERED:
                self._given.clear()
            self._given.update((key, found[key]) for key in new if not found[key].fault)
        return [found[key] for key in keys]

    def _judge(self, questions: Sequence[Question]) -> list[Verdict]:
        who = questions[0].who
        requests = [
            {
                "principal": {"type": q.who.kind, "id": q.who.id},
                "action": {"type": "Action", "id": q.action},
                "resource": {"type": q.resource[0], "id": q.resource[1]},
                "context": self._known(q),
            }
            for q in questions
        ]
        entities = self._entities(who.kind, who.id, who.role)
        answers = cedarpy.is_authorized_batch(requests, self._policies, entities, self._schema)
        return [self._verdict(a, q) for a, q in zip(answers, questions, strict=True)]

    def _known(self, question: Question) -> dict[str, Any]:
        """The facts that this rulebook's schema asks for. One from before a release does not know what was added since, and decides by
        what it knows; a fact that it asks for and does not get is still a no."""
        asked = self._contexts.get(question.action)
        if asked is None:
            return dict(question.facts)
        return {
            record: {n: v for n, v in given.items() if n in asked[record]} if isinstance(given, Mapping) and isinstance(asked[record], Mapping) else given
            for record, given in question.facts.items()
            if record in asked
        }

    def roles_with(self, action: str) -> tuple[str, ...]:
        """Every role that has this act, lowest first: those permitted by name and those above them."""
        known = self._roles.get(action)
        if known is None:
            named = self._permitted.get(action, set())
            known = tuple(role for role in self.ranks if named & set(self._line_of(role)))
            if named:
                self._roles[action] = known
        return known

    def higher(self, role: str) -> tuple[str, ...]:
        """The roles that stand above this one, nearest first."""
        return tuple(other for other in self.ranks if other != role and role in self._line_of(other))

    def rules(self) -> list[Rule]:
        """Every forbid, with its sentence unfilled: the rulebook's page lists them."""
        return [Rule(n["id"], n["cite"], n["say"]) for n in self._notes.values()]

    def _line_of(self, role: str) -> Iterable[str]:
        seen: str | None = role
        while seen:
            yield seen
            seen = self.ranks.get(seen)

    def _entities_of(self, kind: str, id_: str, role: str) -> cedarpy.Entities:
        if role not in self.ranks:
            raise ValueError(f"the rulebook knows no role called {role}")
        roles = [
            {
                "uid": {"type": "Role", "id": name},
                "attrs": {},
                "parents": [{"type": "Role", "id": below}] if below else [],
            }
            for name, below in self.ranks.items()
        ]
        me = {"uid": {"type": kind, "id": id_}, "attrs": {}, "parents": [{"type": "Role", "id": role}]}
        return cedarpy.Entities.from_json_str(json.dumps([*roles, me]), self._schema)

    def _verdict(self, answer: cedarpy.AuthzResult, question: Question) -> Verdict:
        if answer.diagnostics.errors:
            return Verdict(False, fault="; ".join(answer.diagnostics.errors))
        if question.action in self._elsewhere:
            return Verdict(False, (self._elsewhere[question.action],))
        if answer.allowed:
            return Verdict(True)
        spoke = [name for name in answer.diagnostics.reasons if name in self._notes]
        spoke.sort(key=lambda name: int(re.sub(r"\D", "", name) or 0))
        spoke = self._tightest_first(spoke, question.facts)
        return Verdict(
            False,
            tuple(
                Rule(n["id"], n["cite"], _filled(n["say"], question.facts), _ways(n.get("way", "")))
                for n in (self._notes[name] for name in spoke)
            ),
        )


    def is_limit(self, rule: str) -> bool:
        """Whether a forbid is a limit on an amount, of which something is left."""
        return any(note["id"] == rule and note.get("room") for note in self._notes.values())

    def _tightest_first(self, spoke: list[str], facts: Mapping[str, Any]) -> list[str]:
        """Of limits that refuse together (`@room` names what each leaves) the one that leaves least speaks first."""
        limits = [name for name in spoke if self._notes[name].get("room")]
        tightest = iter(sorted(limits, key=lambda name: _fact(self._notes[name]["room"], facts)))
        return [next(tightest) if name in limits else name for name in spoke]


def _fact(path: str, facts: Mapping[str, Any]) -> Any:
    value: Any = facts
    for step in path.split("."):
        value = value.get(step, "") if isinstance(value, Mapping) else ""
    return value


def _actions(scope: dict[str, Any]) -> list[str]:
    entities = scope.get("entities") or ([scope["entity"]] if "entity" in scope else [])
    return [e["id"] for e in entities]


def _roles(scope: dict[str, Any]) -> list[str]:
    entities = scope.get("entities") or ([scope["entity"]] if "entity" in scope else [])
    return [e["id"] for e in entities if e["type"] == "Role"]


def _ways(text: str) -> tuple[tuple[str, str], ...]:
    found = (way.strip().partition("|") for way in text.split(";") if way.strip())
    return tuple((label, code) for label, _, code in found)


def _filled(say: str, facts: Mapping[str, Any]) -> str:
    """Put facts into a rule's sentence: `{credit.windowLimit|money}`, `{basis.kind}`. An unknown name is left out."""

    def fact(match: re.Match[str]) -> str:
        path, _, form = match.group(1).partition("|")
        value = _fact(path, facts)
        return shown(int(value)) if form == "money" and value != "" else str(value)

    return re.sub(r"\{([^}]+)\}", fact, say)
