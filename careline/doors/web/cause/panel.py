"""The panel as a whole: which search it shows, its head, who is suspected, what is known and from where."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone

from careline.acts.declare import Outcome
from careline.domain.diagnosis import queries
from careline.domain.diagnosis.rules.belief import CANNOT_TELL, Reading
from careline.domain.diagnosis.rules.guide import Guide
from careline.domain.diagnosis.rules.walk import Walk as Walked
from careline.domain.network import queries as network
from careline.domain.network.rules import Trouble
from careline.doors.web import forms
from careline.doors.web.account import ContactPage
from careline.doors.web.cause.end import closed, end
from careline.doors.web.cause.posted import KINDS
from careline.doors.web.cause.start import start
from careline.doors.web.cause.step import Ways, step_of, too_old
from careline.doors.web.cause.words import LIVES, SAID, guide_of, line_of, line_words, turn_of
from careline.doors.web.render import clock, moment
from careline.foundation import phone
from careline.foundation.calendar import on_the_wall

SUSPECTS = 6
ORIGINS = {"account": "our books", "network": "network", "device": "phone, read from afar"}
GROUPS = (("read", "Read, and stands out"), ("old", "Read too long ago: ask"), ("righted", "Put right here"), ("tested", "Tested"), ("seen", "They see"), ("claimed", "They say they did"), ("done", "Done at the desk"),
          ("said", "You told them"), ("not", "Not done"), ("told", "Known to you"))  # fmt: skip


def banner(desk: ContactPage, rows: list[Any]) -> list[dict[str, Any]]:
    """The open walks of the account, for the top of its page."""
    return [
        {"say": f"A search for the cause is open for {f'line {phone.last_four(row.line.msisdn)}' if row.line else 'the account'} since {_since(desk, row)}", "title": guide_of(row).title,
         "href": desk.url(f"?section=cause&walk={row.pk}")}
        for row in rows
    ]  # fmt: skip


def _since(desk: ContactPage, row: Any) -> str:
    return clock(row.began) if row.contact_id == desk.row.pk else moment(row.began)


def panel(
    desk: ContactPage, open_rows: list[Any], *, given: Mapping[str, Any], code: str = "", outcome: Outcome | None = None,
    act: dict[str, Any] | None = None, ways: Ways = lambda code, no, given: [],
) -> dict[str, Any]:  # fmt: skip
    """What the section shows: the walk that is asked for, the open one, or the start of a new one."""
    row = _chosen(desk, open_rows, given, code)
    no = outcome if code in KINDS else None
    shape: dict[str, Any] = {
        "start": None, "step": None, "end": None, "closed": None, "suspects": [], "others": 0, "known": None, "area": [], "error": None, "field_error": None,
        "refusal": None, "others_open": banner(desk, [x for x in open_rows if row is None or x.pk != row.pk]), "new_href": desk.url("?section=cause&new=1"),
    }
    if no is not None and no.refusal is not None:
        shape["field_error"] = no.refusal.fields.get("cause")
        if no.status == "refused" and no.refusal.rule:
            shape["refusal"] = forms.shown_refusal(no.refusal, ways(code, no.refusal, given))
        elif not shape["field_error"]:
            shape["error"] = " ".join(no.refusal.fields.values()) or no.say
    if row is None:
        return shape | {"start": start(desk, open_rows, given, code, no)}
    now = queries.standing(row)
    shape |= _head(desk, row, now)
    area = _area(now)
    shape["area"] = [_area_row(x, desk) for x in area]
    shape |= {"suspects": _suspects(now.walk), "others": max(0, len(now.walk.suspects) - len(_suspects(now.walk))), "known": _known(now)}
    if row.state != "open":
        return shape | {"closed": closed(desk, row, now, area)}
    step = now.walk.shown
    if step.step.kind != "done" and (old := queries.stale(now, desk.at, desk.scene.rulebook.limits["device"]["stale_minutes"])):
        return shape | {"step": too_old(desk, row, now, old)}
    if step.step.kind in ("done", "handover"):
        return shape | {"end": end(desk, row, now, step, area, given if code == "diagnosis.tell" else {})}
    return shape | {"step": step_of(desk, row, now, step, act, ways)}


def _chosen(desk: ContactPage, open_rows: list[Any], given: Mapping[str, Any], code: str) -> Any:
    if code == "diagnosis.start" or given.get("new"):
        return None
    wanted = forms.whole(given.get("walk"))
    if wanted:
        row = next((x for x in open_rows if x.pk == wanted), None) or queries.walk(wanted)
        if row is not None and row.account_id == desk.account_id:
            return row
    line = forms.whole(given.get("line"))
    if line:
        return next((x for x in open_rows if x.line_id == line), None)
    return open_rows[0] if open_rows else None


def _head(desk: ContactPage, row: Any, now: queries.Standing) -> dict[str, Any]:
    line = line_of(desk, row.line_id)
    turns = [x for x in now.said if x.source in ("customer", "associate")]
    asked = len({x.turn for x in turns})
    last = now.walk.guide.remedy_by_id.get(turns[-1].what.get("remedy", "")) if turns else None
    stays = last is not None and last.kind == "act" and turns[-1].what["outcome"] == "done"  # a deed is not taken back here
    is_open = row.state == "open"
    titles = [x.title for x in now.walk.suspects]
    titles += [c.title for c in now.walk.guide.causes if c.title not in titles and c.lives != "circumstance"]
    return {
        "number": row.number, "title": now.walk.guide.title, "line": line_words(line) if line else "the account" if row.line_id is None else "", "words": row.words,
        "earlier": f"begun {moment(row.began)}, in an earlier contact" if row.contact_id != desk.row.pk else None,
        "count": asked + 1,
        "undo": forms.button("Undo", desk.do_url("diagnosis.undo"), account=desk.account_id, walk=row.pk) if is_open and asked and not stays else None,
        "works": _works_now(desk, row, now) if is_open and asked else None,
        "again": forms.button("Read again", desk.do_url("diagnosis.read_again"), account=desk.account_id, walk=row.pk) if is_open and queries.stale(now, desk.at, -1) else None,
        "leave": forms.button("Leave the search", desk.do_url("diagnosis.leave"), account=desk.account_id, walk=row.pk) if is_open else None,
        "know": {"action": desk.do_url("diagnosis.answer"), "key": forms.new_key(), "hidden": {"account": desk.account_id, "walk": row.pk, "turn": turn_of(now)}, "titles": titles}
        if is_open
        else None,
    }  # fmt: skip


def _area(now: queries.Standing) -> list[Trouble]:
    """What was wrong in the line's area when the network was read for this walk, in its words of now."""
    noted = [x.note["troubles"] for x in now.said if "troubles" in x.note]
    return network.by_numbers(noted[-1], timezone.now()) if noted else []


def _area_row(trouble: Trouble, desk: ContactPage) -> dict[str, Any]:
    """A trouble as it is told to this customer: times are those on their wall."""

    def there(at: datetime | None) -> str | None:
        return on_the_wall(at, desk.row.account.zone, desk.at) if at else None

    return {
        "title": network.title(trouble),
        "since": there(trouble.began), "until": there(trouble.expected_end), "overdue": trouble.overdue and trouble.ended is None, "over": there(trouble.ended), "words": trouble.words,
    }  # fmt: skip


def _works_now(desk: ContactPage, row: Any, now: queries.Standing) -> dict[str, Any] | None:
    """What a caller may say at any step; None where the step asks it anyhow."""
    test = now.walk.guide.test
    if now.walk.step.kind in ("test", "probe", "done", "handover"):
        return None
    given = {"account": desk.account_id, "walk": row.pk, "turn": turn_of(now), SAID + test.id: now.walk.guide.works}
    return forms.button("It is settled now" if row.line_id is None else "It works now", desk.do_url("diagnosis.answer"), **given)


def _suspects(walk: Walked) -> list[dict[str, Any]]:
    def percent(p: float) -> str:
        return "over 99 %" if p > 0.99 else "under 1 %" if p < 0.01 else f"{round(100 * p)} %"

    return [
        {"title": x.title, "percent": percent(x.probability), "value": round(100 * x.probability, 1), "lives": LIVES[walk.guide.about].get(x.lives, x.lives), "sure": x.probability >= 0.85}
        for x in walk.suspects[:SUSPECTS]
        if x.probability >= 0.01
    ]


def _known(now: queries.Standing) -> dict[str, Any]:
    """What is established, in groups by how it is known, newest first; what was read and is as it should be lies apart."""
    groups: dict[str, list[dict[str, Any]]] = {how: [] for how, _ in GROUPS}
    fine: list[dict[str, Any]] = []
    unknown, gone = 0, set(now.walk.fixed)
    last: dict[str, dict[str, Any]] = {}  # of each check: only its newest answer counts, what it was before is a note
    for finding, said, event in reversed(list(zip(now.walk.findings, now.said, now.walk.events, strict=True))):
        row = {"about": finding.about, "says": finding.says, "how": "", "at": said.as_of or said.at, "before": None, "state": None}
        if not isinstance(event, Reading):
            groups[finding.how if finding.how in groups else "not"].append(row)
            continue
        if event.check in last:
            if last[event.check]["before"] is None and last[event.check]["says"] != row["says"]:
                last[event.check]["before"] = row["says"]
            continue
        last[event.check] = row
        made_by = [cause for cause, _ in next((x.when for x in now.walk.guide.check_by_id[event.check].outcomes if x.id == event.outcome), ())]
        if made_by and gone.issuperset(made_by):  # what was found so was put right since
            groups["righted"].append(row | {"says": "Put right", "before": row["says"], "at": said.at})
            continue
        if finding.how == "tested":
            row["about"] = "The test"
        if finding.how != "read":
            groups[finding.how].append(row)
        elif event.outcome == CANNOT_TELL and said.note.get("old") not in (None, now.walk.guide.check_by_id[event.check].outcomes[-1].id):
            row |= {"says": now.walk.words(_outcome(now.walk.guide, event.check, said.note["old"])), "how": ORIGINS.get(said.source, said.source)}
            groups["old"].append(row)
        elif event.outcome == CANNOT_TELL:
            unknown += 1
        else:
            row["how"] = ORIGINS.get(said.source, said.source)
            as_it_should = event.outcome == now.walk.guide.check_by_id[event.check].outcomes[-1].id
            if as_it_should:
                fine.append(row)
            else:
                groups["read"].append(row | {"state": "risk"})
    return {"groups": [(title, groups[how]) for how, title in GROUPS if groups[how]], "fine": fine, "unknown": unknown}


def _outcome(guide: Guide, check: str, outcome: str) -> str:
    return next((x.say for x in guide.check_by_id[check].outcomes if x.id == outcome), outcome)
