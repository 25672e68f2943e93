"""The files of a rulebook as people read them: each rule with its words, its source and its numbers.

Two readers. `forbids` and `actions` read the Cedar files. `chapter` reads a TOML file together with its comments, because that is
where a carrier writes what a number means and where it comes from ("[47 CFR 64.2010(b)]", "our choice").
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from fnmatch import fnmatch
from typing import Any

import cedarpy

from careline.foundation.money import shown

# ---------------------------------------------------------------- Cedar


def _record(text: str, types: Mapping[str, Any]) -> Any:
    text = text.strip()
    if not text.startswith("{"):
        return types.get(text, text)
    found = {}
    for field in text.strip("{} \n").split(","):
        if field.strip():
            name, _, kind = field.partition(":")
            found[name.strip()] = types.get(kind.strip(), kind.strip())
    return found


def _bare(schema: str) -> str:
    return re.sub(r"//[^\n]*", "", schema)


def actions(schema: str) -> dict[str, dict[str, Any]]:
    """Each action of a schema with its context: names to `String`, `Long`, `Bool`, or a record of the same."""
    text = _bare(schema)
    types: dict[str, Any] = {}
    for name, body in re.findall(r"\btype\s+(\w+)\s*=\s*(\{.*?\})\s*;", text, re.S):
        types[name] = _record(body, types)
    found = {}
    for names, body in re.findall(r"\baction\s+((?:\"[^\"]+\"[,\s]*)+)(?:in\s*\[[^\]]*\]\s*)?appliesTo\s*\{(.*?)\}\s*;", text, re.S):
        context = re.search(r"context:\s*(\w+|\{[^}]*\})", body + "}")
        if context is None:
            raise ValueError(f"authority.cedarschema: an action says no context: {names.strip()}")
        for name in re.findall(r'"([^"]+)"', names):
            found[name] = _record(context.group(1), types)
    return found


def groups(schema: str) -> dict[str, set[str]]:
    """Each group of a schema with the actions in it, those of its own groups included."""
    known = set(actions(schema))
    parents: dict[str, set[str]] = {}
    for names, of in re.findall(r"\baction\s+((?:\"[^\"]+\"[,\s]*)+)(?:in\s*\[([^\]]*)\])?", _bare(schema), re.S):
        for name in re.findall(r'"([^"]+)"', names):
            parents[name] = set(re.findall(r'"([^"]+)"', of))

    def above(name: str) -> set[str]:
        return {name}.union(*(above(p) for p in parents.get(name, ())))

    found: dict[str, set[str]] = {name: set() for name in parents if name not in known}
    for name in known:
        for group in above(name) - {name}:
            found.setdefault(group, set()).add(name)
    return found


@dataclass(frozen=True)
class Forbid:
    """One condition: whom and what it stops, what it says, and how it is written.

    `named`: the groups and actions that it names; `acts`: every action that it can stop; `unless`: roles that it lets pass.
    """

    id: str
    cite: str
    say: str
    ways: str
    room: str
    named: tuple[str, ...]
    acts: tuple[str, ...]
    unless: tuple[str, ...]
    text: str


def forbids(policies: str, schema: str) -> list[Forbid]:
    """Every forbid, in the order of the file."""
    known = groups(schema)
    texts = _texts(policies)
    found = []
    static = json.loads(cedarpy.policies_to_json_str(policies))["staticPolicies"]
    for policy in sorted(static.items(), key=lambda pair: int(re.sub(r"\D", "", pair[0]) or 0)):
        body = policy[1]
        if body["effect"] != "forbid":
            continue
        notes = body.get("annotations", {})
        named = spoken_of(body)
        acts = [a for name in named for a in sorted(known.get(name, {name}))]
        text = texts.get(notes.get("id", ""), "")
        pardon = text.partition("unless")[2]
        found.append(
            Forbid(
                notes.get("id", ""), notes.get("cite", ""), notes.get("say", ""), notes.get("way", ""), notes.get("room", ""), named,
                tuple(dict.fromkeys(acts)), tuple(re.findall(r'Role::"([^"]+)"', pardon)), text,
            )
        )  # fmt: skip
    return found


def spoken_of(policy: Mapping[str, Any]) -> tuple[str, ...]:
    """The actions and groups that a policy (as JSON) names."""
    scope = policy["action"]
    return tuple(e["id"] for e in scope.get("entities") or ([scope["entity"]] if "entity" in scope else []))


def _texts(policies: str) -> dict[str, str]:
    """What each policy says after its annotations, by its @id."""
    found = {}
    for piece in re.split(r'(?=@id\(")', policies):
        name = re.match(r'@id\("([^"]+)"\)', piece)
        body = re.search(r"^(?:permit|forbid)\b.*?;\s*$", piece, re.S | re.M)
        if name and body:
            found[name.group(1)] = body.group(0).strip()
    return found


# ---------------------------------------------------------------- TOML with what its comments say

# Numbers that are whole cents, by file and place. What is not named is a plain number.
MONEY = (
    "limits.toml:credit.event.*", "limits.toml:credit.day.value.*", "limits.toml:credit.account_window.[!d]*", "limits.toml:payment.least",
    "limits.toml:payment.most", "limits.toml:refund.most.*", "limits.toml:write_off.most.*", "limits.toml:promotion.worth.*",
    "limits.toml:restore.past_due.*", "limits.toml:data.price_per_gb", "limits.toml:feature.*.price", "reasons.toml:*.event_limit",
    "reasons.toml:*.event_limit.*", "reasons.toml:suspension.*.fee", "ladder.toml:ladder.least", "ladder.toml:rung.least",
    "ladder.toml:notice_cost.*", "arrangements.toml:eligibility.least_owed", "arrangements.toml:terms.fee", "arrangements.toml:role.*.most",
    "billing.toml:fee.*.amount", "billing.toml:late_fee.least", "billing.toml:late_fee.forgiven_below", "billing.toml:return_fee.*amount",
    "billing.toml:promotion.*.amount", "billing.toml:extra.*.amount", "billing.toml:equipment.*.price", "billing.toml:equipment.*.down", "limits.toml:instalments.open.*",
)  # fmt: skip
SHARES = ("billing.toml:*ppm", "billing.toml:tax.rates.*")


@dataclass(frozen=True)
class Value:
    """One number or word. `by_role`: what it is for each role, lowest first, where it differs by role."""

    name: str
    shown: str
    note: str = ""
    by_role: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Entry:
    """One table of a file: its place, its title, the words above it, its sources and its values."""

    place: str
    title: str
    words: str
    cites: tuple[str, ...]
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Chapter:
    """One file: what it is about and its tables, in its own order."""

    name: str
    words: str
    entries: tuple[Entry, ...]


def chapter(name: str, text: str, roles: tuple[str, ...] = ()) -> Chapter:
    """Read a TOML file with its comments. Raises ValueError (the parser's) for what is no TOML."""
    data = tomllib.loads(text)
    blocks = list(_blocks(text))
    lead, rest = (blocks[0], blocks[1:]) if blocks and not blocks[0].place else (None, blocks)
    entries = []
    if lead is not None and lead.keys:
        entries.append(_entry(name, lead, {k: data[k] for k in lead.keys if k in data}, roles))
    seen: dict[str, int] = {}
    for block in rest:
        nth = seen[block.place] = seen.get(block.place, -1) + 1
        found = _at(data, block.parts, nth if block.many else 0)
        mine = {k: found[k] for k in block.keys if isinstance(found, Mapping) and k in found}
        if mine or block.words:
            entries.append(_entry(name, block, mine, roles))
    return Chapter(name, _without_cites(lead.words) if lead else "", tuple(entries))


@dataclass
class _Block:
    place: str
    parts: tuple[str, ...]
    many: bool
    words: str
    keys: dict[str, str]  # key: its note


HEAD = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#\s*(.*))?$")
KEY = re.compile(r"""\s*("[^"]+"|'[^']+'|[\w-]+)\s*=""")


def _blocks(text: str) -> Iterator[_Block]:
    block = _Block("", (), False, "", {})
    waiting: list[str] = []
    lines = iter(text.splitlines())
    for line in lines:
        bare = line.strip()
        head = HEAD.match(line)
        if not bare:
            # Words that stand apart from what follows are about the file or the table so far.
            if waiting and not block.keys:
                block.words = " ".join(filter(None, [block.words, *waiting]))
                waiting = []
        elif bare.startswith("#"):
            waiting.append(bare.lstrip("# ").strip())
        elif head:
            if block.place or block.words or block.keys:
                yield block
            parts = tuple(re.findall(r'"([^"]+)"|([\w-]+)', head.group(2)))
            block = _Block(head.group(2), tuple(a or b for a, b in parts), head.group(1) == "[[", " ".join([*waiting, head.group(3) or ""]).strip(), {})
            waiting = []
        elif key := KEY.match(line):
            whole = line
            while True:  # a list or a text of several lines
                try:
                    tomllib.loads(whole)
                    break
                except tomllib.TOMLDecodeError:
                    more = next(lines, None)
                    if more is None:
                        break
                    whole += "\n" + more
            note = " ".join([*waiting, _inline(whole.splitlines()[-1])]).strip()
            if waiting and not block.keys:  # the first words below a heading are about the whole table
                block.words = " ".join(filter(None, [block.words, *waiting]))
                note = _inline(whole.splitlines()[-1])
            block.keys[key.group(1).strip("\"'")] = note
            waiting = []
    if block.place or block.words or block.keys:
        yield block


def _inline(line: str) -> str:
    """The comment at the end of a line, outside its texts."""
    bare = re.sub(r'"(?:\\.|[^"\\])*"|\'[^\']*\'', lambda m: "x" * len(m.group(0)), line)
    at = bare.find("#")
    return line[at + 1 :].strip() if at >= 0 else ""


def _at(data: Any, parts: tuple[str, ...], nth: int) -> Any:
    for part in parts:
        data = data.get(part, {}) if isinstance(data, Mapping) else {}
        if isinstance(data, list):
            data = data[nth] if nth < len(data) else {}
    return data


def _entry(name: str, block: _Block, data: Mapping[str, Any], roles: tuple[str, ...]) -> Entry:
    cites = [str(data["cite"])] if isinstance(data.get("cite"), str) else []
    cites += cites_in(block.words)
    title = str(data["title"]) if isinstance(data.get("title"), str) else plain(": ".join(block.parts))
    values: list[Value] = []
    of_roles = [k for k in data if k in roles]
    if len(of_roles) > 1:
        values.append(Value("", "", "", tuple((r, _shown(f"{name}:{block.place}.{r}", data[r])) for r in roles if r in data)))
    for key, value in data.items():
        if key in ("title", "cite") or (len(of_roles) > 1 and key in roles):
            continue
        note = block.keys.get(key, "")
        cites += [c for c in cites_in(note) if c not in cites]
        where = f"{name}:{block.place}.{key}" if block.place else f"{name}:{key}"
        if isinstance(value, Mapping) and value and all(k in roles for k in value):
            values.append(Value(plain(key), "", _without_cites(note), tuple((r, _shown(f"{where}.{r}", value[r])) for r in roles if r in value)))
        else:
            values.append(Value(plain(key), _shown(where, value), _without_cites(note)))
    return Entry(block.place, title, _without_cites(block.words), tuple(cites), tuple(values))


def cites_in(words: str) -> list[str]:
    """The sources that stand in square brackets."""
    return re.findall(r"\[([^\[\]]{3,})\]", words)


def _without_cites(words: str) -> str:
    return re.sub(r"\s*\[[^\[\]]{3,}\]", "", words).replace("`", "").strip()


def plain(name: str) -> str:
    """`account_window` as people say it: Account window."""
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _shown(where: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and any(fnmatch(where, pattern) for pattern in MONEY):
        return shown(value)
    if isinstance(value, int) and any(fnmatch(where, pattern) for pattern in SHARES):
        return f"{value / 10_000:g} %"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, list):
        return "; ".join(_shown(where, one) for one in value) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{plain(k).lower()}: {_shown(f'{where}.{k}', v)}" for k, v in value.items()) or "none"
    return str(value)


# ---------------------------------------------------------------- the numbers behind a rule


def said(say: str) -> str:
    """A rule's sentence where nobody is being told it: an amount or a number stands for whatever it will be."""
    return re.sub(r"\{[^}|]+(\|money)?\}", lambda m: "$…" if m.group(1) else "…", say)


def cited(cite: str) -> list[tuple[str, tuple[str, ...]]]:
    """The places of the rulebook that a citation names: `limits.toml: credit.event` gives (limits.toml, ("credit.event",))."""
    found = re.findall(r"([\w-]+\.toml):\s*([^;(]+)", cite)
    return [(name, tuple(part.strip() for part in re.split(r",| and ", rest) if part.strip())) for name, rest in found]


def numbers(files: Mapping[str, str], name: str, parts: tuple[str, ...], roles: tuple[str, ...]) -> list[Value]:
    """What stands at a place of a file, as values to show: a table (`credit.event`), or a value that several tables have
    (`role`, `most`)."""
    try:
        places: list[tuple[tuple[str, ...], Any]] = [((), tomllib.loads(files[name]))]
    except (KeyError, tomllib.TOMLDecodeError):
        return []
    titles: dict[tuple[str, ...], str] = {}
    for part in parts:
        found = [hit for path, data in places for hit in _below(path, data, tuple(part.split(".")), titles)]
        places = found or places
    values: list[Value] = []
    of_roles: list[tuple[str, str]] = []
    for path, value in places:
        where = f"{name}:{'.'.join(path)}"
        if isinstance(value, Mapping):
            if path:
                shown_here = _entry(name, _Block(".".join(path), path, False, "", {}), _flat(value, roles), roles).values
                label = titles.get(path[:-1], "") if len(places) > 1 else ""
                values += [replace(v, name=v.name or label) for v in shown_here]
        elif len(path) > 1 and path[-2] in roles:
            of_roles.append((path[-2], _shown(where, value)))
        elif not isinstance(value, list) or not any(isinstance(one, Mapping) for one in value):
            values.append(Value(titles.get(path[:-1]) or plain(path[-1]), _shown(where, value)))
    return ([Value("", "", "", tuple(of_roles))] if of_roles else []) + values


def _flat(table: Mapping[str, Any], roles: tuple[str, ...]) -> dict[str, Any]:
    """The numbers of a table: neither what it says nor the tables in it, unless they differ by role."""
    return {
        k: v for k, v in table.items()
        if k != "say" and (not isinstance(v, Mapping) or (v and all(inner in roles for inner in v)))
        and not (isinstance(v, list) and any(isinstance(one, Mapping) for one in v))
    }  # fmt: skip


def _below(path: tuple[str, ...], data: Any, parts: tuple[str, ...], titles: dict[tuple[str, ...], str]) -> list[tuple[tuple[str, ...], Any]]:
    """Where `parts` stands under a table: right there, or else in the tables in it."""
    at: Any = data
    for part in parts:
        at = at.get(part) if isinstance(at, Mapping) else None
    if at is not None:
        titles[path] = str(data.get("title") or plain(path[-1] if path else ""))
        return [((*path, *parts), at)]
    if not isinstance(data, Mapping):
        return []
    return [hit for key, inner in data.items() if isinstance(inner, Mapping) for hit in _below((*path, key), inner, parts, titles)]


# ---------------------------------------------------------------- what a change changes


@dataclass(frozen=True)
class Difference:
    """One thing that differs between two rulebooks, in words. `before` or `after` empty: it is new, or gone."""

    file: str
    what: str
    before: str
    after: str


def differences(old: Mapping[str, str], new: Mapping[str, str], roles: tuple[str, ...]) -> list[Difference]:
    """What a change changes, number by number and rule by rule; of other files how many lines."""
    found: list[Difference] = []
    for name in sorted({*old, *new}):
        before, after = old.get(name, ""), new.get(name, "")
        if before == after:
            continue
        try:
            if name.endswith(".toml") and "/" not in name:
                pairs = _values_of(name, before, roles), _values_of(name, after, roles)
            elif name == "authority.cedar":
                schemas = old.get("authority.cedarschema", ""), new.get("authority.cedarschema", "")
                pairs = _rules_of(before, schemas[0]), _rules_of(after, schemas[1])
            else:
                pairs = {}, {}
        except Exception:  # cedarpy raises bare exceptions of several kinds; the check says what is wrong with the file
            pairs = {}, {}
        told = [Difference(name, what, pairs[0].get(what, ""), pairs[1].get(what, "")) for what in dict.fromkeys([*pairs[0], *pairs[1]]) if pairs[0].get(what) != pairs[1].get(what)]
        found += told or [Difference(name, "lines" if before and after else "the file", f"{len(before.splitlines()):,}" if before else "", f"{len(after.splitlines()):,}" if after else "")]
    return found


def _values_of(name: str, text: str, roles: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    seen: dict[str, int] = {}
    for entry in chapter(name, text, roles).entries if text else ():
        seen[entry.place] = seen.get(entry.place, 0) + 1
        here = entry.title + (f" ({seen[entry.place]})" if seen[entry.place] > 1 else "")
        for value in entry.values:
            label = f"{here}, {value.name.lower()}" if value.name else here
            if value.by_role:
                found |= {f"{label}, {role}": text for role, text in value.by_role}
            else:
                found[label] = value.shown
        if entry.cites:
            found[f"{here}, source"] = "; ".join(entry.cites)
    return found


def _rules_of(policies: str, schema: str) -> dict[str, str]:
    found = {}
    for rule in forbids(policies, schema) if policies else ():
        found[f"{rule.id}, says"] = said(rule.say)
        found[f"{rule.id}, source"] = rule.cite
        found[f"{rule.id}, as written"] = rule.text
    for body in json.loads(cedarpy.policies_to_json_str(policies))["staticPolicies"].values() if policies else ():
        if body["effect"] == "permit":
            who = body["principal"].get("entity", {}).get("id", "everybody")
            found |= {f"{who} has {action}": "yes" for action in spoken_of(body)}
    return found
