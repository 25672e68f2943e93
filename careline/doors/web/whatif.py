"""What if? A supervisor tries a changed ladder on the last twelve months before anybody adopts it. The page changes nothing."""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from careline.acts.look import look
from careline.domain.collections.queries.whatif import side_of, what_if
from careline.domain.collections.rules.whatif import MOST_DAYS, MOVES, Slower, Study, assumed, figures, places
from careline.domain.rulebook import queries as rulebooks
from careline.doors.web.render import page
from careline.foundation.calendar import add_months, civil_date
from careline.foundation.rulebook import Rulebook, RulebookFault

MOST = 1000  # accounts that a page looks at: about two seconds of one processor; the command looks at all
LISTED = 60
LARGEST = 200_000  # bytes of a ladder.toml that is sent


def show(request: HttpRequest) -> HttpResponse:
    book = rulebooks.current()
    typed = request.POST.get("ladder", "") if request.method == "POST" else None
    text, fault = _text(request, typed) if typed is not None else ("", "")
    data = {"ladder": hashlib.sha256(text.encode()).hexdigest()[:12]} if text else None
    if not look("view.what_if", who=request.user.who, data=data, every_time=bool(text)).allowed or "ladder.toml" not in book.files:
        raise Http404
    found, slower = None, Slower()
    percent, days = (request.POST.get(name, "").strip() for name in ("percent", "days"))
    try:
        slower = Slower(_number(percent), _number(days))
    except ValueError as wrong:
        fault = fault or str(wrong)
    if text and not fault:
        try:
            then = Rulebook({**book.files, "ladder.toml": text})
            then.check()
            found = what_if(side_of(book), side_of(then), civil_date(timezone.now(), settings.CARRIER_ZONE), MOST, slower=slower)
        except RulebookFault as wrong:
            fault = str(wrong)
    shape = {
        "text": text or (book.files["ladder.toml"] if typed is None else typed), "fault": fault, "back_href": reverse("past-due-queue"), "action": reverse("what-if"),
        "same": bool(text) and text == book.files["ladder.toml"], "result": _result(found) if found is not None else None, "assumed": assumed(slower), "most": MOST,
        "percent": percent, "days": days, "longest": MOST_DAYS,
    }  # fmt: skip
    return page(request, "whatif.html", {"what_if": shape}, 422 if fault else 200)


def _number(typed: str) -> int:
    """What was typed into one of the two fields of the assumption; nothing is none. Raises ValueError with what to write."""
    if typed and not (typed.isdecimal() and len(typed) <= 3):
        raise ValueError("Write whole numbers for what is assumed: how many of a hundred pay, and how many days later.")
    return int(typed or 0)


def _text(request: HttpRequest, typed: str) -> tuple[str, str]:
    """The ladder that was sent, the file before what was typed, and what is wrong with it."""
    sent = request.FILES.get("file")
    if sent is None:
        return typed.replace("\r\n", "\n"), "" if typed.strip() else "Write or choose a ladder.toml first."
    if (sent.size or 0) > LARGEST:
        return "", f"{sent.name} is larger than {LARGEST // 1000} kB, so it is no ladder.toml. Choose another file."
    try:
        return sent.read().decode("utf-8").replace("\r\n", "\n"), ""
    except UnicodeDecodeError:
        return "", f"{sent.name} is no text in UTF-8, so it is no ladder.toml. Choose another file."


def _result(study: Study) -> dict[str, Any]:
    order = places(study.now, study.then)
    titles = dict(order)
    moved = sorted(study.moved, key=lambda m: (MOVES.index(m.how), m.reference))
    rows = figures(study)
    return {
        "first": study.first, "last": study.last, "accounts": study.accounts, "whole": study.whole, "late": study.late, "moves": sum(study.moves.values()),
        "how": [(how, study.moves[how]) for how in MOVES if study.moves[how]],
        "rungs": [(title, study.before.reached[code], study.after.reached[code]) for code, title in order],
        "done": [(what, old, new) for what, old, new, money in rows if not money],
        "money": [(what, old, new) for what, old, new, money in rows if money],
        "chart": _by_rung([(title, study.before.reached[code], study.after.reached[code]) for code, title in order]),
        "months": _by_month(study),
        "free": not study.then.notice_cost,
        "slower": study.slower if study.slower.anybody else None, "slowed": study.slowed, "slowed_minor": study.slowed_minor,
        "moved": [
            {"reference": m.reference, "how": m.how, "before": _rung(m.before, titles), "after": _rung(m.after, titles), "notices": m.notices, "fees": m.fees, "days": m.line_days}
            for m in moved[:LISTED]
        ],
        "more": max(len(moved) - LISTED, 0),
    }  # fmt: skip


def _rung(top: tuple[str, date] | None, titles: dict[str, str]) -> tuple[str, date] | None:
    return (titles[top[0]], top[1]) if top is not None else None


# ---------------------------------------------------------------- the pictures

WIDE, ROW, NAMES, ROOM = 600, 40, 256, 56
HIGH, FOOT, HEAD = 190, 26, 30


def _by_rung(rows: list[tuple[str, int, int]]) -> dict[str, Any]:
    """Two bars a rung, one below the other, as numbers for an SVG 600 wide, drawn about as wide as that."""
    most = max((n for _, old, new in rows for n in (old, new)), default=0) or 1
    scale = (WIDE - NAMES - ROOM) / most
    return {
        "wide": WIDE, "high": ROW * len(rows), "x": NAMES,
        "rows": [
            {"title": title, "y": n * ROW + 6, "old": old, "new": new, "old_width": round(old * scale, 1), "new_width": round(new * scale, 1),
             "say": f"{title}: {old:,} accounts with the ladder in force, {new:,} with the changed one"}
            for n, (title, old, new) in enumerate(rows)
        ],
    }  # fmt: skip


def _by_month(study: Study) -> dict[str, Any]:
    """Two bars a month of the notices that go out, as numbers for an SVG of 600 by 190."""
    month, months = study.first.replace(day=1), []
    while month <= study.last:
        months.append(month)
        month = add_months(month, 1)
    most = max((side.by_month[m] for m in months for side in (study.before, study.after)), default=0) or 1
    step, scale, zero = WIDE / len(months), (HIGH - FOOT - HEAD) / most, HIGH - FOOT
    bars = []
    for n, m in enumerate(months):
        old, new = study.before.by_month[m], study.after.by_month[m]
        bars.append({
            "x": round(n * step + step * 0.16, 1), "x2": round(n * step + step * 0.5, 1), "width": round(step * 0.32, 1), "middle": round(n * step + step / 2, 1),
            "old": old, "new": new, "old_top": round(zero - old * scale, 1), "old_height": round(old * scale, 1), "new_top": round(zero - new * scale, 1),
            "new_height": round(new * scale, 1), "top": round(zero - max(old, new) * scale, 1), "label": f"{m:%b}",
            "year": m.year if n == 0 or m.month == 1 else None, "say": f"{m:%B %Y}: {old:,} notices with the ladder in force, {new:,} with the changed one",
        })  # fmt: skip
    return {"wide": WIDE, "high": HIGH, "zero": zero, "foot": HIGH - 8, "bars": bars}
