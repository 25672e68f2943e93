"""The form that was meant: asked for before the caller is proven enough, kept with what was typed, and back once they are.

It is kept in the contact's row for it, as the words of a note are: for whoever holds the contact, on the account that it was meant
for, until it is done or the contact is over. A payment card number, a PIN and every secret field are never kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlencode

from django.utils import timezone

from careline.acts import table
from careline.acts.contacts import keep_draft
from careline.acts.declare import Secret
from careline.acts.verification import ways_there, writes_pin
from careline.domain.contacts import queries as contacts
from careline.domain.contacts.rules import DraftKind
from careline.doors.web import forms
from careline.doors.web.account import LABELS, ContactPage
from careline.doors.web.act_forms import FORMS, KINDS, UNVERIFIED, VERIFY_ACTS
from careline.foundation.act import Level, Who

AGAIN = "again"  # in an address: the form is drawn as it was kept
THEN = "then"  # in an address or a form: what is meant to come after the caller is proven
VERIFY, LEAVE = "verify", "leave"
WALK = ("walk", "remedy")  # a form that a guide asked for goes back to its step
PROVE = {"contacts.check_pin", "contacts.check_code", "contacts.call_back_answered"}  # after these somebody is proven
LONGEST = 4000


@dataclass(frozen=True)
class Meant:
    """`waits`: it has not come back yet. One that has comes back no second time by itself, and is there for a reload.
    `posted`: it was a filled form, so that a box without a tick is one that was left without."""

    code: str
    typed: dict[str, Any]
    waits: bool = True
    posted: bool = False

    def given(self) -> dict[str, Any]:
        """As the forms read it."""
        return {**self.typed, **({"request_key": ""} if self.posted else {})}


def may_be(code: str) -> bool:
    """Whether this is a form that waits for a proof."""
    return code in FORMS and code not in UNVERIFIED


def of(row: Any) -> Meant | None:
    """What is kept for this contact and the account that it is about now."""
    text = contacts.form_kept(row.pk, row.account_id) if row.account_id else ""
    kept = Meant(**json.loads(text)) if text else None
    return kept if kept is not None and may_be(kept.code) else None


def waiting(desk: ContactPage) -> Meant | None:
    kept = of(desk.row)
    return kept if kept is not None and kept.waits else None


def keep(desk: ContactPage, code: str, typed: Mapping[str, Any]) -> None:
    """Keep what was typed for this form: each value by itself, so that one that may not be kept takes no other along."""
    if desk.row.account_id is None or not desk.scene.facts["mine"]:
        return
    secret = {name for name, field in table.act(code).input.model_fields.items() if field.annotation is Secret}
    names = [n for n in typed if n in (*KINDS[code], *WALK) and n not in {"account", *secret}]
    _save(desk, Meant(code, {n: _kept(typed[n], desk) for n in names}, posted="request_key" in typed))


def mean(desk: ContactPage, code: str, typed: Mapping[str, Any]) -> None:
    """The page to verify on was opened for this form: what waits already, for the same one, stays as it was typed."""
    if not may_be(code) or desk.row.account_id is None:
        return
    before = waiting(desk)
    if before is None or before.code != code:
        keep(desk, code, typed)


def leave(row: Any, who: Who, code: str = "") -> None:
    """It is not meant any more: it is done, the caller does not want it, or another voice speaks. `code`: only if it is this one."""
    kept = of(row)
    if kept is not None and code in ("", kept.code):
        keep_draft(who=who, contact_id=row.pk, kind=DraftKind.FORM, about=row.account_id, text="", at=timezone.now())


def after_proof(desk: ContactPage) -> str | None:
    """Where the page goes on now that somebody is proven: to the form that was meant, or to the next proof that it takes."""
    kept = waiting(desk)
    if kept is None or desk.scene.basis.level < Level.VERIFIED:
        return None
    no = desk.refused(kept.code)
    if no is not None and any(way.act in VERIFY_ACTS for way in ways_there(no.way_on, desk.scene, desk.at)):
        return "?verify=more"
    _save(desk, replace(kept, waits=False))
    walk = {"section": "cause", "walk": kept.typed["walk"]} if kept.typed.get("walk") else {}
    return "?" + urlencode({**walk, "act": kept.code, AGAIN: 1})


def shape(desk: ContactPage) -> dict[str, Any] | None:
    """What the page to verify on says of it."""
    kept = waiting(desk)
    if kept is None:
        return None
    return {"title": LABELS.get(kept.code) or table.act(kept.code).title, "typed": any(kept.typed.values()),
            "leave": forms.button("Not any more", desk.do_url(kept.code), **{THEN: LEAVE})}


def _kept(value: Any, desk: ContactPage) -> Any:
    if isinstance(value, list):
        return [v for v in (_kept(v, desk) for v in value) if v]
    text = forms.without_cards(str(value)[:LONGEST])
    return "" if writes_pin(text, desk.row.pk, desk.row.pin_marks) else text


def _save(desk: ContactPage, meant: Meant) -> None:
    for kept in (meant, replace(meant, typed={})):  # digits of two fields that look like one number: it is kept empty
        text = json.dumps(asdict(kept), ensure_ascii=False)
        if keep_draft(who=desk.who, contact_id=desk.row.pk, kind=DraftKind.FORM, about=desk.account_id, text=text, at=desk.at) is None:
            return
