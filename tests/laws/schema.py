"""A small reader of the Cedar schema: which facts each action is asked with."""

from __future__ import annotations

import re
from typing import Any


def _record(text: str, types: dict[str, Any]) -> Any:
    text = text.strip()
    if not text.startswith("{"):
        return types.get(text, text)
    found = {}
    for field in text.strip("{} \n").split(","):
        if field.strip():
            name, _, kind = field.partition(":")
            found[name.strip()] = types.get(kind.strip(), kind.strip())
    return found


def actions(schema: str) -> dict[str, dict[str, Any]]:
    """Each action of the schema with its context: names to `String`, `Long`, `Bool`, or a record of the same."""
    text = re.sub(r"//[^\n]*", "", schema)
    types: dict[str, Any] = {}
    for name, body in re.findall(r"\btype\s+(\w+)\s*=\s*(\{.*?\})\s*;", text, re.S):
        types[name] = _record(body, types)
    found = {}
    for names, body in re.findall(r"\baction\s+((?:\"[^\"]+\"[,\s]*)+)(?:in\s*\[[^\]]*\]\s*)?appliesTo\s*\{(.*?)\}\s*;", text, re.S):
        context = re.search(r"context:\s*(\w+|\{[^}]*\})", body + "}")
        assert context, body
        for name in re.findall(r'"([^"]+)"', names):
            found[name] = _record(context.group(1), types)
    return found


def groups(schema: str) -> dict[str, set[str]]:
    """Each group of the schema with the actions in it, those of its own groups included."""
    text = re.sub(r"//[^\n]*", "", schema)
    known = set(actions(schema))
    parents: dict[str, set[str]] = {}
    for names, of in re.findall(r"\baction\s+((?:\"[^\"]+\"[,\s]*)+)(?:in\s*\[([^\]]*)\])?", text, re.S):
        for name in re.findall(r'"([^"]+)"', names):
            parents[name] = set(re.findall(r'"([^"]+)"', of))

    def above(name: str) -> set[str]:
        return {name}.union(*(above(p) for p in parents[name]))

    found: dict[str, set[str]] = {name: set() for name in parents if name not in known}
    for name in known:
        for group in above(name) - {name}:
            found[group].add(name)
    return found
