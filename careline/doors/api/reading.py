"""Reading a request's body: one JSON object in UTF-8, of a believable size and depth, in text that both databases keep."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest
from ninja.parser import Parser

from careline.doors.api.problems import Problem, problem

MOST_BYTES = 64 * 1024
DEEPEST = 20


def unmeasured(request: HttpRequest) -> bool:
    """A body that does not say how long it is (in chunks) is not read: whatever it holds would be taken for nothing."""
    return "HTTP_TRANSFER_ENCODING" in request.META and not request.META.get("CONTENT_LENGTH")


def too_large(request: HttpRequest) -> bool:
    """By what it says of itself, before a byte of it is read. (A server reads no more than the request says.)"""
    size = request.META.get("CONTENT_LENGTH") or "0"
    return not size.isdigit() or int(size[:18]) > MOST_BYTES


class StrictParser(Parser):
    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        if request.content_type != "application/json":
            raise problem("CONTENT_TYPE")
        try:
            found = json.loads(
                request.body.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_each_once
            )
        except (ValueError, RecursionError):
            raise problem("BODY") from None
        if not isinstance(found, dict):
            raise problem("BODY", "Send a JSON object: {\"basis\": …, \"input\": {…}}.")
        for path, text in texts(found):
            if not keepable(text):
                raise unkeepable(path)
        return found


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _finite(text: str) -> float:
    found = float(text)
    if not math.isfinite(found):
        raise ValueError(text)
    return found


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def texts(value: Any) -> Iterator[tuple[str, str]]:
    """Every text in a JSON value, names included, with where it stands. Raises Problem when it nests too deep."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), value)]
    while waiting:
        path, here = waiting.pop()
        if len(path) > DEEPEST:
            raise problem("BODY", f"The request nests deeper than {DEEPEST} levels.")
        if isinstance(here, str):
            yield ".".join(path), here
        elif isinstance(here, dict):
            for name, inner in here.items():
                yield ".".join(path), name
                waiting.append(((*path, name), inner))
        elif isinstance(here, list):
            waiting += [((*path, str(n)), inner) for n, inner in enumerate(here)]


def keepable(text: str) -> bool:
    """PostgreSQL keeps no NUL; UTF-8 has no lone surrogates. What one database refuses, no database gets."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\x00" not in text


def unkeepable(path: str) -> Problem:
    say = "This text has characters that no page can show. Take them out."
    name = path if keepable(path) else "input"
    return problem("INVALID", say, fields={name or "input": say})
