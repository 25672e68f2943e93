"""`careline diagnose`: walks through guides as JSON Lines on standard input and output, without a database.

One object a line in each direction; docs/diagnose.md is the protocol. A line that cannot be used is answered by an object
with `error` and changes nothing.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

from careline.domain.diagnosis.rules.belief import Event, Reading, Tried
from careline.domain.diagnosis.rules.guide import Guide
from careline.domain.diagnosis.rules.hear import Ear
from careline.domain.diagnosis.rules.walk import Shown, Unfitting, Walk, from_json, to_json
from careline.doors.jobs.guides.reading import guides_of, one_of
from careline.doors.jobs.stop import Stop

MOST_LINE = 1_000_000  # characters
MOST_WALKS = 10_000  # at once
MOST_NAME = 200  # characters of a walk's id
MOST_ANSWERS = 1_000  # of one walk
MOST_ERROR = 2_000  # characters of an error, which may quote what was said
BEGINS = {"guide", "symptom", "facts"}  # what makes a line without `op` the beginning of a walk
HALF = re.compile("[\ud800-\udfff]")


class Desk:
    """All walks of one process, by id."""

    def __init__(self, guides: Mapping[str, Guide], policy: tuple[tuple[str, str], ...], default: str = "") -> None:
        self.guides, self.policy, self.default = guides, policy, default
        self.walks: dict[str, Walk] = {}

    @cached_property
    def ear(self) -> Ear:
        return Ear.of(self.guides.values())

    def answer(self, line: str) -> dict[str, Any]:
        """What one line is answered with."""
        name = ""
        try:
            if len(line) > MOST_LINE:
                raise Unfitting(f"A line has at most {MOST_LINE} characters.")
            asked = _read(line)
            given = asked.get("walk", "1")
            if not isinstance(given, str) or len(given) > MOST_NAME:
                raise Unfitting(f'"walk" is a text of at most {MOST_NAME} characters.')
            name = given
            return self._done(name, asked)
        except Unfitting as fault:
            return {"walk": name or None, "error": str(fault)[:MOST_ERROR]}

    def _done(self, name: str, asked: dict[str, Any]) -> dict[str, Any]:
        op = str(asked.get("op") or ("start" if name not in self.walks and BEGINS & asked.keys() else "answer"))
        if op == "start":
            return self._start(name, asked)
        if op == "guides":
            return {"guides": [{"id": x.id, "title": x.title, "trouble": x.trouble} for x in self.guides.values()]}
        walk = self.walks.get(name)
        if walk is None:
            raise Unfitting(f'There is no walk "{name}". Begin it with {{"op": "start", "walk": "{name}"}}.')
        if op == "answer":
            self.walks[name] = _longer(walk, _events(walk, asked))
        elif op == "undo":
            last = asked.get("last", 1)
            if isinstance(last, bool) or not isinstance(last, int) or last < 1:
                raise Unfitting('"last" is how many answers are taken back, from 1.')
            self.walks[name] = walk.undone(last)
        elif op == "end":
            del self.walks[name]
            return {"walk": name, "ended": True, "answers": to_json(walk.events)}
        elif op != "show":
            raise Unfitting('"op" is one of start, answer, undo, show, end, guides.')
        return self._said(name, self.walks[name])

    def _start(self, name: str, asked: dict[str, Any]) -> dict[str, Any]:
        complaint = asked.get("symptom", "")
        if not isinstance(complaint, str):
            raise Unfitting('"symptom" is a text: an outcome of the guide\'s test, or the customer\'s own words.')
        wanted = asked.get("guide") or self.default
        if not wanted and complaint:  # the customer's words pick the guide
            heard = self.ear.hear(complaint)
            if not heard.sure:
                near = ", ".join(name for name, _ in heard.ranked[:3])
                raise Unfitting(f'These words may mean several things. Name the "guide"; the likeliest are {near}.')
            wanted = heard.ranked[0][0]
        if not isinstance(wanted, str) or wanted not in self.guides:
            raise Unfitting(f'"guide" is one of {", ".join(sorted(self.guides))}.')
        if name in self.walks:
            raise Unfitting(f'The walk "{name}" has begun already. End it first, or take another id.')
        if len(self.walks) >= MOST_WALKS:
            raise Unfitting(f"{MOST_WALKS} walks are open; end some.")
        guide = self.guides[wanted]
        if complaint not in {x.id for x in guide.test.outcomes[:-1]}:
            complaint = ""  # words: that it fails is all that they say
        numbers = asked.get("numbers", {})
        if not isinstance(numbers, dict):
            raise Unfitting('"numbers" is an object of values for the words.')
        policy = tuple({**dict(self.policy), **{str(k): str(v) for k, v in numbers.items()}}.items())
        platform = asked.get("platform", "")
        if platform not in ("", "iPhone", "Android"):
            raise Unfitting('"platform" is "iPhone" or "Android"; leave it out when nobody knows.')
        facts = asked.get("facts", {})
        if not isinstance(facts, dict):
            raise Unfitting('"facts" is an object from checks to outcomes.')
        walk = Walk(guide, (), complaint, policy, platform).then(*(Reading(str(k), str(v)) for k, v in facts.items()))
        rows = asked.get("answers", [])
        walk = _longer(walk, from_json(rows if isinstance(rows, list) else [rows]))
        self.walks[name] = walk
        return self._said(name, walk)

    def _said(self, name: str, walk: Walk) -> dict[str, Any]:
        shown = walk.shown
        said: dict[str, Any] = {
            "walk": name, "guide": walk.guide.id, "step": _step(shown), "works": round(walk.belief.works, 6),
            "suspects": [{"cause": x.cause, "title": x.title, "probability": round(x.probability, 6)} for x in walk.suspects[:12]],
            "bound": round(walk.belief.bound, 9),
        }  # fmt: skip
        if shown.step.kind in ("done", "handover"):
            said["verdict"] = {
                "kind": "fixed" if shown.step.kind == "done" else "handover", "team": shown.step.team, "fixed": list(walk.fixed),
                "left": list(shown.step.for_causes) if shown.step.kind == "handover" else [],
                "teach": [text for x in walk.fixed if (text := walk.words(walk.guide.cause_by_id[x].teach))],
            }  # fmt: skip
            said["trace"] = to_json(walk.events)
        return said


def _read(line: str) -> dict[str, Any]:
    """One line as an object; a name that stands twice in it, or half a character, is a mistake and not a choice."""
    try:
        asked = json.loads(line, object_pairs_hook=_once)
    except Unfitting:
        raise
    except (ValueError, RecursionError):
        raise Unfitting("This line is not JSON.") from None
    if not isinstance(asked, dict):
        raise Unfitting("A line is one JSON object.")
    if HALF.search(json.dumps(asked, ensure_ascii=False)):
        raise Unfitting("This line holds half a character (a lone surrogate).")
    return asked


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Unfitting(f'"{twice[:MOST_NAME]}" stands twice in one object.')
    return found


def _longer(walk: Walk, events: Sequence[Event]) -> Walk:
    if len(walk.events) + len(events) > MOST_ANSWERS:
        raise Unfitting(f"A walk has at most {MOST_ANSWERS} answers. End it.")
    return walk.then(*events)


def _step(shown: Shown) -> dict[str, Any]:
    step = shown.step
    said: dict[str, Any] = {
        "kind": step.kind, "id": step.id, "title": shown.title, "say": shown.say, "seconds": step.seconds, "why": step.why,
        "causes": list(step.for_causes),
    }  # fmt: skip
    if shown.expect:
        said["expect"] = shown.expect
    if shown.consent:
        said["consent"] = shown.consent
    if shown.act:
        said["act"] = shown.act
    if shown.inputs:
        said["inputs"] = dict(shown.inputs)
    if shown.questions:
        said["questions"] = [
            {"check": q.check, "say": q.say, "outcomes": [{"id": i, "say": words} for i, words in q.options]} for q in shown.questions
        ]  # fmt: skip
    if shown.options:
        said["outcomes"] = [{"id": i, "say": words} for i, words in shown.options]
    if step.wording:
        said["again"] = True
    return said


def _events(walk: Walk, asked: Mapping[str, Any]) -> list[Event]:
    """The answers of a line: `answers` in full, or `outcome` for the step that is open."""
    if "answers" in asked:
        rows = asked["answers"]
        if isinstance(rows, dict):
            rows = [{"check": k, "outcome": v} for k, v in rows.items()]
        if not isinstance(rows, list) or not all(isinstance(x, dict) for x in rows) or not rows:
            raise Unfitting('"answers" is a list of {"check", "outcome"}, {"remedy", "outcome"} or {"cause", "present"}.')
        step = walk.step
        return [
            Reading(x.check, x.outcome, step.wording) if isinstance(x, Reading) and x.check in step.checks and not x.wording else x
            for x in from_json(rows)
        ]  # fmt: skip
    if named := [key for key in ("check", "remedy", "cause") if key in asked]:  # one answer, written without its list
        return list(from_json([{key: asked[key] for key in (*named, "outcome", "present", "reliability") if key in asked}]))
    outcome = asked.get("outcome")
    if not isinstance(outcome, str):
        raise Unfitting('An answer has "answers", or "outcome" for the open step.')
    step = walk.step
    if step.kind == "remedy":
        return [Tried(step.id, outcome)]
    if len(step.checks) != 1:
        raise Unfitting(f'The open step asks {len(step.checks)} things; answer with "answers".' if step.checks else "This walk has come to its end.")
    return [Reading(step.checks[0], outcome, step.wording)]


def serve(desk: Desk, lines: TextIO, out: TextIO) -> None:
    """Answer every line until the input ends; empty lines are passed over. Of a line that is too long no more than that
    is kept."""
    while line := lines.readline(MOST_LINE + 2):
        while not line.endswith("\n") and len(line) > MOST_LINE and (rest := lines.readline(MOST_LINE + 2)):
            if rest.endswith("\n"):
                break
        if line.strip():
            out.write(json.dumps(desk.answer(line), ensure_ascii=False) + "\n")
            out.flush()


def main(options: argparse.Namespace) -> int:
    if not options.json:
        raise Stop("Say --json: this door speaks JSON Lines. For a walk in the terminal: careline guide play.", 2)
    guides, policy = guides_of(Path(options.rulebook))
    if options.guide:
        one_of(guides, options.guide)
    sys.stdin.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    serve(Desk(guides, policy, options.guide or ""), sys.stdin, sys.stdout)
    return 0
