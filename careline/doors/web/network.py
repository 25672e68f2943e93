"""The network: what is wrong now and planned, for everybody at the desk; entered by those who may.

What a lead enters here is what "Find the cause" reads for every line of the area from that moment on.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from careline.acts.declare import Outcome
from careline.domain.network import queries, rules
from careline.domain.rulebook import queries as rulebooks
from careline.doors.web import forms
from careline.doors.web.render import digest, page, part, zone
from careline.foundation.calendar import on_the_wall
from careline.foundation.refusal import Refusal

KINDS = {
    "network.report_outage": {
        "area": "id", "kind": "text", "voice": "checkbox", "data": "checkbox", "text": "checkbox", "began": "moment", "expected_end": "moment", "words": "text",
    },
    "network.extend_outage": {"outage": "id", "expected_end": "moment", "words": "text"},
    "network.end_outage": {"outage": "id"},
    "network.name_area": {"short": "text", "name": "text", "postal": "list", "cells": "list", "everywhere": "checkbox"},
}  # fmt: skip
STATES = {"outage": "bad", "maintenance": "risk", "congestion": "risk"}
SERVICES = (("voice", "calls"), ("data", "data"), ("text", "texts"))
LATELY = timedelta(days=7)
SHOWN_PARTS = 16
A_TIME = "Choose a day and a time, such as 2026-11-25 18:30."


def show(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return _draw(request)
    code = request.POST.get("code", "")
    if code not in KINDS:
        return redirect("network")
    try:
        outcome = forms.do(request, code, _read(code, request.POST))
    except forms.Typed as fault:
        outcome = fault.outcome
    if not outcome.ok:
        return _draw(request, code, outcome, 422)
    messages.success(request, outcome.say)
    response = redirect("network")
    response.status_code = 303
    return response


@require_GET
def now_part(request: HttpRequest) -> HttpResponse:
    """The poll of what is wrong: 204 while it is the same."""
    shape = _now(request)
    request.careline_no_desk = True
    return part(request, "network_now.html", {"net": shape}, shape["shows"])


# ---------------------------------------------------------------- reading what is typed


def _read(code: str, data: QueryDict) -> dict[str, Any]:
    """What a person typed as the act's input: times are the carrier's own, lists are parted by spaces, commas or lines."""
    kinds = KINDS[code]
    given = forms.read(data, {name: kind for name, kind in kinds.items() if kind not in ("moment", "list")})
    for name, kind in kinds.items():
        text = data.get(name, "").strip()
        if kind == "list":
            given[name] = [bit for bit in re.split(r"[\s,;]+", text) if bit]
        elif kind == "moment" and text:
            given[name] = _moment(name, text)
    return given


def _moment(name: str, text: str) -> str:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise forms.Typed(Outcome("invalid", A_TIME, refusal=Refusal("INVALID", A_TIME, fields={name: A_TIME}))) from None
    return (found if found.tzinfo else found.replace(tzinfo=zone())).isoformat()


# ---------------------------------------------------------------- what is wrong


def _may(request: HttpRequest, code: str) -> bool:
    return request.user.role in rulebooks.current().authority.roles_with(code)


def _now(request: HttpRequest) -> dict[str, Any]:
    at = timezone.now()
    found = queries.open_outages(at)
    changes = _may(request, "network.extend_outage")
    now = sorted((t for t in found if t.began <= at), key=lambda t: (list(STATES).index(t.kind), t.began))
    planned = sorted((t for t in found if t.began > at), key=lambda t: t.began)
    shape: dict[str, Any] = {
        "now": [_row(t, at, changes) for t in now],
        "planned": [_row(t, at, changes) for t in planned],
        "over": [_row(t, at, False) for t in queries.over_since(at - LATELY, at)],
    }
    shape["shows"] = [[(r["number"], r["until"], r["overdue"], r["words"]) for r in shape[name]] for name in ("now", "planned", "over")]
    shape["poll_url"] = reverse("network-part") + "?seen=" + digest(shape["shows"])
    return shape


def _row(t: rules.Trouble, at: datetime, changes: bool) -> dict[str, Any]:
    planned = t.began > at
    until = _when(t.expected_end, at) if t.expected_end else None
    return {
        "number": t.number, "kind": t.kind, "state": "quiet" if planned or t.ended else STATES[t.kind], "area": t.area,
        "services": ", ".join(label for name, label in SERVICES if name in t.services), "began": t.began, "began_at": _when(t.began, at), "until": until,
        "overdue": t.overdue and t.ended is None, "ended": _when(t.ended, at) if t.ended else None, "words": t.words, "by": t.entered_by,
        "change": f"{reverse('network')}?change={t.id}#change" if changes else None,
    }  # fmt: skip


def _when(at: datetime, now: datetime) -> str:
    """`6:30 pm ET`, `tomorrow, 2:00 am ET`, `Dec 4, 6:30 pm ET`: in the carrier's zone."""
    return on_the_wall(at, settings.CARRIER_ZONE, now)


def _search(typed: str) -> dict[str, Any] | None:
    """Is anything wrong at this postal code? What holds there now, what is planned, and whether any area has the place."""
    postal, at = rules.plain_postal(typed)[:10], timezone.now()
    if not postal:
        return None
    now, planned, areas = queries.outages_at(at, postal_code=postal), queries.planned_at(at, postal_code=postal), queries.areas_at(postal)
    if now:
        kinds = " and ".join(dict.fromkeys({"outage": "an outage", "maintenance": "maintenance", "congestion": "congestion"}[t.kind] for t in now))
        say, state = f"Yes: {kinds} at {postal}.", STATES[now[0].kind]
    elif areas:
        say, state = f"No. Nothing is entered for {postal} now.", "ok"
    else:
        say, state = f"Nobody has named an area that holds {postal}, and nothing is wrong everywhere.", ""
    if planned:
        say += f" Planned: {planned[0].kind} from {_when(planned[0].began, at)}."
    return {"say": say, "state": state, "areas": areas, "words": [t.words for t in now]}


# ---------------------------------------------------------------- the page


def _draw(request: HttpRequest, code: str = "", outcome: Outcome | None = None, status: int = 200) -> HttpResponse:
    data = request.POST.dict()
    areas = queries.areas()
    typed = request.GET.get("q", "").strip()[:40]
    net = _now(request) | {
        "q": typed, "answer": _search(typed), "refusal": None, "change": None, "report": None, "name": None, "areas": [_area(request, a) for a in areas],
    }  # fmt: skip
    if _may(request, "network.report_outage"):
        net["report"] = _report_form([(a.pk, a.name) for a in areas])
    if _may(request, "network.name_area"):
        wanted = forms.whole(request.GET.get("area"))
        net["name"] = _name_form(next((a for a in areas if a.pk == wanted), None))
    if _may(request, "network.extend_outage"):
        asked = data.get("outage") if code in ("network.extend_outage", "network.end_outage") else request.GET.get("change")
        net["change"] = _change(forms.whole(asked))
    if outcome is not None and not _refill(net, code, outcome, data) and outcome.refusal is not None:
        net["refusal"] = forms.shown_refusal(outcome.refusal, [])
    return page(request, "network.html", {"net": net}, status)


def _refill(net: dict[str, Any], code: str, outcome: Outcome, data: dict[str, Any]) -> bool:
    """Say what came of it on the form that it came from; False: this page has no such form."""
    change = net["change"] or {}
    place = {"network.report_outage": net["report"], "network.name_area": net["name"], "network.extend_outage": change.get("extend"),
             "network.end_outage": change.get("end")}[code]  # fmt: skip
    if place is None:
        return False
    say = outcome.refusal.say if outcome.refusal else ""
    known = [row for row in (*net["now"], *net["planned"]) if row["change"] and row["number"] in say]
    forms.refilled(place, data, outcome, [{"label": f"Change {row['number']}", "href": row["change"]} for row in known])
    return True


def _report_form(areas: list[tuple[int, str]]) -> dict[str, Any]:
    fields = [
        forms.hidden("code", "network.report_outage"),
        forms.field("area", "Where", "choice", choices=areas, placeholder="Choose an area", hint=None if areas else "Nobody has named an area yet. A supervisor does, below."),
        forms.field("kind", "What", "choice", "outage", choices=[(k.value, k.value) for k in rules.Kind]),
        forms.field("voice", "Affects calls", "checkbox", required=False),
        forms.field("data", "Affects data", "checkbox", required=False),
        forms.field("text", "Affects texts", "checkbox", required=False),
        forms.field("began", "Since", "moment", required=False, hint="Empty: since now."),
        forms.field("expected_end", "Expected end", "moment", required=False, hint="Empty: nobody knows yet."),
        forms.field("words", "What to say to a customer", "textarea", rows=3, maxlength=400, placeholder="Some customers near Seattle have no data. Our people are on it."),
    ]
    consequence = "Every line in the area knows it at once: the desk reads it out when it looks for a cause."
    return forms.form("network.report_outage", "Something is wrong", "Enter it", reverse("network"), fields, consequence=consequence)


def _change(trouble_id: int | None) -> dict[str, Any] | None:
    row = queries.trouble(trouble_id) if trouble_id else None
    if row is None:
        return None
    ends = row.expected_end.astimezone(zone()).strftime("%Y-%m-%dT%H:%M") if row.expected_end else None
    common = [forms.hidden("outage", row.pk)]
    extend = forms.form(
        "network.extend_outage", "Another end, other words", "Save", reverse("network"),
        [forms.hidden("code", "network.extend_outage"), *common, forms.field("expected_end", "Expected end", "moment", ends),
         forms.field("words", "What to say to a customer", "textarea", row.words, required=False, rows=4, maxlength=400)],
    )  # fmt: skip
    planned = row.began > timezone.now()
    end = forms.form(
        "network.end_outage", "It is over" if not planned else "It does not take place", "End it now" if not planned else "Call it off", reverse("network"),
        [forms.hidden("code", "network.end_outage"), *common],
        consequence="From now on no line of the area counts as affected.",
    )  # fmt: skip
    return {"title": f"{row.number}: {row.kind}, {row.area.name}", "extend": extend, "end": end, "close_href": reverse("network")}


def _name_form(area: Any) -> dict[str, Any]:
    held: dict[str, list[str]] = {kind: [p.value for p in area.parts.all() if p.kind == kind] for kind in rules.PartKind} if area else {}
    return forms.form(
        "network.name_area", f"Change {area.name}" if area else "Name an area", "Save", reverse("network"),
        [
            forms.hidden("code", "network.name_area"),
            forms.field("name", "Name", value=area.name if area else None, maxlength=80),
            forms.field("short", "Short name", value=area.code if area else None, maxlength=40, hint="Small letters, digits and hyphens. The same again replaces that area."),
            forms.field("postal", "Postal codes begin with", "textarea", " ".join(held.get("postal", [])), required=False, rows=2, placeholder="981 98004 98005"),
            forms.field("cells", "Cells", "textarea", "\n".join(held.get("cell", [])), required=False, rows=2, placeholder="310-260-51a3-02f"),
            forms.field("everywhere", "It is the whole network", "checkbox", bool(held.get("everywhere")), required=False),
        ],
        cancel_href=reverse("network") if area else None,
    )  # fmt: skip


def _area(request: HttpRequest, area: Any) -> dict[str, Any]:
    held: dict[str, list[str]] = {kind: sorted(p.value for p in area.parts.all() if p.kind == kind) for kind in rules.PartKind}

    def some(values: list[str]) -> str:
        rest = len(values) - SHOWN_PARTS
        return " ".join(values[:SHOWN_PARTS]) + (f" and {rest} more" if rest > 0 else "")

    holds = ["the whole network"] if held["everywhere"] else []
    holds += [f"postal codes {some(held['postal'])}"] if held["postal"] else []
    holds += [f"cells {some(held['cell'])}"] if held["cell"] else []
    return {"name": area.name, "code": area.code, "holds": "; ".join(holds) or "nothing yet",
            "href": f"{reverse('network')}?area={area.pk}#form-network-name-area" if _may(request, "network.name_area") else None}
