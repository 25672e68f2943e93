"""The rulebook as people read it: who may what, every condition, every number with its source, and what was in force when."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from careline.acts import table
from careline.acts.look import SAY, look
from careline.domain.diagnosis import queries as diagnosis
from careline.domain.rulebook import queries
from careline.domain.staff.rules import ROLE_TITLES
from careline.doors.web import forms
from careline.doors.web.render import page
from careline.foundation import policy
from careline.foundation.refusal import Refusal
from careline.foundation.rulebook import Rulebook, RulebookFault

# What each file is about, in the order of the page; a file that is not named here comes after them by its own name.
PARTS = {
    "limits.toml": "Limits", "reasons.toml": "Reasons", "verification.toml": "Who is calling", "arrangements.toml": "Promises to pay",
    "ladder.toml": "The ladder", "contact_rules.toml": "Reaching out", "billing.toml": "Billing", "books.toml": "Books",
    "documents.toml": "Papers", "texts.toml": "Messages",
}  # fmt: skip
WHO, CONDITIONS, GUIDES, HISTORY = "who", "conditions", "guides", "history"
# What else there is to do about the rules: label, route, and the act that a role must have to see it.
MOVES = (("Who may do this?", "who-may", "view.who_may"), ("Change the rules", "changes", "view.proposal"))
# What machines do that is no act of the desk, and a right that opens no page of its own.
RUNS = {
    "imports.run": "Import a carrier's files", "exports.run": "Export a carrier's files", "bills.run": "Bill a cycle", "collections.run": "Climb the ladder", "payments.autopay": "Take autopay",
    "arrangements.settle": "Settle the days of arrangements", "arrangements.charge": "Charge the parts of arrangements on their day",
    "view.protected": "Find accounts under a survivor's protection",
}  # fmt: skip
SHORT = {"trainee": "In training", "agent": "AI agent"}


def role_title(role: str) -> str:
    return SHORT.get(role) or ROLE_TITLES.get(role, role.capitalize())


def not_shown(request: HttpRequest, no: Refusal) -> HttpResponse:
    error = {"title": "Not shown", "say": no.say, "what_to_do": None, "refusal": forms.shown_refusal(no, []), "reference": None, "way_on": []}
    return page(request, "error.html", {"error": error}, 403)


def act_title(code: str) -> str:
    """What an act, a look or a job of this code does, in words."""
    kind = table.acts().get(code)
    return kind.title if kind is not None else SAY.get(code) or RUNS.get(code, code)


@require_GET
def show(request: HttpRequest) -> HttpResponse:
    """One part of the rulebook in force, or of an earlier or a proposed one (`of`)."""
    no = look("view.rulebook", who=request.user.who).refusal
    if no is not None:
        return not_shown(request, no)
    now = timezone.now()
    in_force = queries.current().digest
    of = request.GET.get("of", "")
    book = queries.known(of) if of else queries.current()
    if book is None:
        raise Http404
    part = request.GET.get("part", CONDITIONS)
    q = " ".join(request.GET.get("q", "").split())[:60]
    shape: dict[str, Any] = {
        "parts": _parts(book, part, of), "part": part, "digest": book.digest[:12], "in_force": book.digest == in_force, "of": of,
        "action": reverse("rulebook"), "q": q, "since": queries.since(book.digest, now),
        "moves": [{"label": label, "href": reverse(route)} for label, route, act in MOVES if request.user.role in queries.current().authority.roles_with(act)],
        "who": None, "conditions": None, "chapter": None, "guides": None, "history": None,
    }  # fmt: skip
    if part == WHO:
        shape["who"] = who_may(book.digest)
    elif part == CONDITIONS:
        shape["conditions"] = _conditions(book, q)
    elif part == GUIDES:
        shape["guides"] = _guides(request, book, of)
    elif part == HISTORY:
        shape["history"] = [_activation(row, in_force) for row in queries.activations(now)]
    elif part in book.files:
        shape["chapter"] = _chapter(book, part, q)
    else:
        raise Http404
    return page(request, "rulebook.html", {"book": shape})


def _parts(book: Rulebook, current: str, of: str) -> list[dict[str, Any]]:
    named = [(WHO, "Who may what"), (CONDITIONS, "Conditions")]
    named += [(name, title) for name, title in PARTS.items() if name in book.files]
    named += [(name, policy.plain(name.removesuffix(".toml"))) for name in sorted(book.files) if name.endswith(".toml") and "/" not in name and name not in PARTS]
    named += [(GUIDES, "Guides"), (HISTORY, "What was in force")]
    tail = f"&of={of}" if of else ""
    return [{"label": title, "href": f"{reverse('rulebook')}?part={name}{tail}", "current": name == current} for name, title in named]


@lru_cache(maxsize=8)
def who_may(digest: str) -> dict[str, Any]:
    """Which role has which act, by room: what a role has before any condition is asked."""
    authority = queries.opened(digest).authority
    roles = list(authority.ranks)
    rooms: dict[str, list[dict[str, Any]]] = {}
    for code in policy.actions(queries.opened(digest).files["authority.cedarschema"]):
        have = set(authority.roles_with(code))
        room = "Looks" if code.startswith("view.") else policy.plain(code.partition(".")[0])
        rooms.setdefault(room, []).append({"title": act_title(code), "code": code, "has": [role in have for role in roles]})
    return {
        "roles": [role_title(role) for role in roles],
        "rooms": [{"title": room, "rows": rows} for room, rows in sorted(rooms.items(), key=lambda pair: (pair[0] == "Looks", pair[0]))],
    }


def values(found: Any) -> list[dict[str, Any]]:
    return [{"name": v.name, "shown": v.shown, "note": v.note, "by_role": [(role_title(r), text) for r, text in v.by_role]} for v in found]


def _conditions(book: Rulebook, q: str) -> dict[str, Any]:
    rows = conditions(book.digest)
    found = [row for row in rows if q.casefold() in row["text"]]
    return {"rows": found, "whole": len(rows)}


@lru_cache(maxsize=8)
def conditions(digest: str) -> list[dict[str, Any]]:
    """Every forbid of a bundle with its words, its source, its numbers, and what it stops."""
    book = queries.opened(digest)
    roles = tuple(book.ranks)
    rows = []
    for rule in policy.forbids(book.files["authority.cedar"], book.files["authority.cedarschema"]):
        stops = [act_title(code) for code in rule.acts]
        say = policy.said(rule.say)
        numbers = [v for name, place in policy.cited(rule.cite) for v in policy.numbers(book.files, name, place, roles)]
        passes = [role_title(r) for r in roles if set(rule.unless) & set(_line(book.ranks, r))]
        rows.append({
            "id": rule.id, "say": say, "cite": rule.cite, "stops": stops, "passes": passes, "numbers": values(numbers), "written": rule.text,
            "ways": [way.partition("|")[0] for way in rule.ways.split(";") if way],
            "text": " ".join([rule.id, say, rule.cite, *stops, *rule.acts]).casefold(),
        })  # fmt: skip
    return rows


def _line(ranks: Mapping[str, str | None], role: str) -> list[str]:
    """A role and those whose permits it also has."""
    found: list[str] = []
    at: str | None = role
    while at:
        found.append(at)
        at = ranks.get(at)
    return found


def _chapter(book: Rulebook, name: str, q: str) -> dict[str, Any]:
    try:
        read = policy.chapter(name, book.files[name], tuple(book.ranks))
    except ValueError as fault:  # of a bundle that was proposed and never could be used
        return {"name": name, "words": str(fault), "entries": [], "whole": 0}
    entries = [
        {"place": e.place, "title": e.title, "words": e.words, "cites": e.cites, "values": values(e.values),
         "text": " ".join([e.place, e.title, e.words, *e.cites, *(v.name for v in e.values), *(v.shown for v in e.values)]).casefold()}
        for e in read.entries
    ]  # fmt: skip
    return {"name": name, "words": read.words, "entries": [e for e in entries if q.casefold() in e["text"]], "whole": len(entries)}


def _guides(request: HttpRequest, book: Rulebook, of: str) -> list[dict[str, Any]]:
    try:
        known = diagnosis.guides(book.digest)
    except (ValueError, RulebookFault):
        return []
    opens = not of and request.user.role in book.authority.roles_with("view.guides")
    return [
        {"title": g.title, "trouble": g.trouble, "href": reverse("guide", args=[g.id]) if opens else None,
         "counts": f"{len(g.causes)} causes, {len(g.checks)} checks, {len(g.remedies)} remedies"}
        for g in known.values()
    ]  # fmt: skip


def _activation(row: queries.InForce, in_force: str) -> dict[str, Any]:
    return {
        "digest": row.digest[:12], "from_at": row.from_at, "until": row.until, "by": row.by, "second": row.second, "why": row.why,
        "current": row.digest == in_force and row.until is None, "coming": row.coming, "href": f"{reverse('rulebook')}?part={CONDITIONS}&of={row.digest}",
    }  # fmt: skip
