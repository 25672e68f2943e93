"""Forms of acts: drawn from a few fields, read back into the act's own input. An act's rules stay in the act."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse

from careline.acts.declare import BasisRef, Outcome
from careline.acts.perform import perform
from careline.doors.web.render import new_key
from careline.foundation import cards
from careline.foundation.money import parsed, shown
from careline.foundation.refusal import Refusal

Field = dict[str, Any]


def field(
    name: str,
    label: str,
    kind: str = "text",
    value: Any = None,
    *,
    required: bool = True,
    choices: Sequence[tuple[Any, ...]] = (),
    hint: str | None = None,
    placeholder: str | None = None,
    **more: Any,
) -> Field:
    return {
        "name": name,
        "label": label,
        "kind": kind,
        "value": value,
        "choices": list(choices),
        "hint": hint,
        "error": None,
        "required": required,
        "placeholder": placeholder,
        **more,
    }


def hidden(name: str, value: Any) -> Field:
    return field(name, name, "hidden", value)


def form(
    code: str,
    title: str,
    submit: str,
    action: str,
    fields: Sequence[Field] = (),
    *,
    key: str | None = "",
    **more: Any,
) -> dict[str, Any]:
    """A form for the template. `key` empty: a new request key; None: a form that carries none."""
    return {
        "code": code,
        "title": title,
        "action": action,
        "key": new_key() if key == "" else key,
        "fields": list(fields),
        "error": None,
        "refusal": None,
        "limit": None,
        "submit": submit,
        "cancel_href": None,
        "consequence": None,
        "say_aloud": None,
        **more,
    }


def button(label: str, action: str, **values: Any) -> dict[str, Any]:
    """One button that posts: a move for the template's `move` macro."""
    return {"label": label, "action": action, "method": "post", "key": new_key(), "hidden": values or None}


def filled(shape: dict[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """The form with what was typed in it."""
    for item in shape["fields"]:
        if item["kind"] != "secret" and item["name"] in data:
            typed = data[item["name"]]
            if item["kind"] != "many":  # of those the form has read all that were ticked
                item["value"] = typed in ("on", "true") if item["kind"] == "checkbox" else without_cards(typed)
            if item["kind"] == "money" and isinstance(typed, str):
                item["value"] = item["value"].strip().removeprefix("$").lstrip()  # the sign stands before the field already
    return shape


def refilled(shape: dict[str, Any], data: Mapping[str, Any], outcome: Outcome, way_on: list[dict[str, Any]]) -> dict[str, Any]:
    """The same form after an answer that was not yes: what was typed, what is wrong where, and the way on."""
    no = outcome.refusal
    errors = dict(no.fields) if no else {}
    for item in filled(shape, data)["fields"]:
        item["error"] = errors.pop(item["name"], None)
    # A field that is not on the form (a hidden one, a whole-form rule) says it at the top.
    rest = " ".join(errors.values())
    if outcome.status == "refused" and no is not None and not no.at_fields:
        shape["refusal"] = shown_refusal(no, way_on)
    elif rest or not any(f["error"] for f in shape["fields"]):
        shape["error"] = rest or outcome.say
    return shape


def without_cards(typed: Any) -> Any:
    """What was typed, less any payment card number: the words stay on the screen, the number does not."""
    if isinstance(typed, str):
        for start, end in reversed(cards.card_numbers(typed)):
            typed = f"{typed[:start]}(card number){typed[end:]}"
    return typed


def consent(price: int, given: Any, what: str = "plus tax") -> Field:
    """Nothing is agreed to by itself: what costs money is asked, and its price is what the act is sent."""
    choices = [("", "Not asked yet"), (price, f"Yes, they agree to {shown(price)} {what}")]
    agreed = str(given.get("consent") or "") == str(price)
    return field("consent", "Do they agree?", "choice", price if agreed else "", choices=choices)


def whole(typed: Any) -> int | None:
    """The id of a row as an address carries it; None for whatever else stands there."""
    text = str(typed or "")
    return int(text) or None if text.isascii() and text.isdigit() and len(text) <= 18 else None


def shown_refusal(no: Refusal, way_on: list[dict[str, Any]]) -> dict[str, Any]:
    return {"say": no.say, "rule": no.rule, "cite": no.cite, "who_could": list(no.who_could), "way_on": way_on}


class Typed(ValueError):
    """A field that could not be read; `outcome` says which and what to do."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.say)
        self.outcome = outcome


def read(data: QueryDict, kinds: Mapping[str, str]) -> dict[str, Any]:
    """What a person typed as the act's input: money in minor units, whole numbers, ticks as booleans, empty optional fields left out.

    Raises Typed with the first amount that cannot be read.
    """
    found: dict[str, Any] = {}
    for name, kind in kinds.items():
        text = data.get(name, "")
        if kind == "checkbox":
            found[name] = text in ("on", "true", "1")
        elif kind == "many":
            found[name] = data.getlist(name)
        elif kind == "kept":  # empty says something here: it is taken away
            found[name] = text
        elif not text.strip():
            continue
        elif kind == "money":
            try:
                found[name] = parsed(text)
            except ValueError as fault:
                say = str(fault)
                raise Typed(Outcome("invalid", say, refusal=Refusal("INVALID", say, fields={name: say}))) from None
        elif kind == "whole" and text.strip().isascii() and text.strip().isdigit() and len(text.strip()) <= 15:
            found[name] = int(text)
        else:
            found[name] = text
    return found


def typed(data: QueryDict, kinds: Mapping[str, str]) -> dict[str, Any]:
    """What was typed as it was typed, for drawing the form again; of boxes to tick all that were ticked."""
    return {**data.dict(), **{name: data.getlist(name) for name, kind in kinds.items() if kind == "many"}}


def do(
    request: HttpRequest, code: str, data: Mapping[str, Any], basis: BasisRef | None = None
) -> Outcome:
    """Perform an act for the person who is signed in, under the key that their form carried."""
    return perform(
        code,
        data,
        who=request.user.who,
        key=request.POST.get("request_key", ""),
        basis=basis or BasisRef(),
    )


def do_again(request: HttpRequest, code: str, data: Mapping[str, Any], basis: BasisRef | None = None, of: str = "") -> Outcome:
    """A second act that follows from the first answer of one click; its key is derived from the click's own. `of`: which, of several."""
    key = (request.POST.get("request_key") or new_key())[:60]
    return perform(code, data, who=request.user.who, key=f"{key}/{code}{of}"[:80], basis=basis or BasisRef())


def dollars(minor: int) -> str:
    """An amount as a money field holds it: `18.40`."""
    return shown(minor).replace("$", "").replace(",", "")


def contact_address(reference: str, query: str = "") -> str:
    return reverse("contact", args=[reference]) + query


def titled(group: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The choices of a field from a table of the rulebook: code and title."""
    return [(code, item["title"]) for code, item in group.items()]


def see_other(address: str) -> HttpResponse:
    """What a form that did something is answered with."""
    return HttpResponseRedirect(address, status=303)
