"""The forms by which a line gets another SIM or phone, and a number the PIN to leave with. They stand in Account care and on the lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from careline.domain.customers import queries as customers
from careline.doors.web import forms
from careline.doors.web.account import ContactPage
from careline.foundation import phone, sim

LINE = {"account": "id", "line": "id"}
KINDS: dict[str, dict[str, str]] = {
    "lines.change_sim": {**LINE, "kind": "text", "iccid": "text", "eid": "text"},
    "lines.change_device": {**LINE, "imei": "text", "make": "text", "model": "text"},
    "lines.make_transfer_pin": LINE,
}
WARNS = "They are told at once, at the number and address of record, before anything changes."
ASKS = "Did anybody ask you to do this, or is somebody with you on another call? We never ask for that."


def _lines(desk: ContactPage, code: str, given: Any) -> tuple[list[forms.Field], Any]:
    rows = [line for line in desk.lines if line.status in ("active", "suspended")]
    chosen = next((r for r in rows if str(r.pk) == str(given.get("line") or "")), rows[0] if rows else None)
    choices = [(r.pk, f"{phone.shown(r.msisdn)}, {r.plan.name}") for r in rows]
    field = forms.field("line", "Line", "choice", chosen.pk if chosen else None, choices=choices, hint=None if rows else "No line of this account lives.")
    return [forms.hidden("account", desk.account_id), field], chosen


def _sim_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    fields, chosen = _lines(desk, "lines.change_sim", given)
    kind = given.get("kind") if given.get("kind") in ("sim", "esim") else "sim"
    reload = {"href": desk.url("?act=lines.change_sim"), "with": "line,kind"}
    number = (
        forms.field("iccid", "Number on the card (ICCID)", "text", given.get("iccid"), inputmode="numeric", maxlength=40, hint="18 to 20 digits from 89 on, printed on it.")
        if kind == "sim"
        else forms.field("eid", "EID of the device", "text", given.get("eid"), inputmode="numeric", maxlength=60, hint="32 digits from 89 on: they dial *#06# on the new device.")
    )  # fmt: skip
    now = f" Now: {'eSIM' if chosen.sim_kind == 'esim' else 'SIM'} ending in {chosen.iccid[-4:]}." if chosen and chosen.iccid else ""
    hours = int(desk.scene.rulebook.verification["level"]["strong_number_hours"])
    return forms.form(
        "lines.change_sim", "Change the SIM", "Change it", desk.do_url("lines.change_sim"),
        [*fields, forms.field("kind", "To", "choice", kind, choices=[("sim", "A card"), ("esim", "An eSIM on a device")], reload=reload), number],
        cancel_href=desk.url(), consequence=f"{WARNS}{now} The old one stops working. For {hours} hours the number makes nobody strong.", say_aloud=ASKS,
    )  # fmt: skip


def _device_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    fields, chosen = _lines(desk, "lines.change_device", given)
    typed = sim.plain(str(given.get("imei") or ""))
    known = customers.device(typed) if typed and not sim.imei_fault(typed) else None
    make, model = (known.make, known.model) if known else (given.get("make"), given.get("model"))
    return forms.form(
        "lines.change_device", "Another phone on the line", "Put it on the line", desk.do_url("lines.change_device"),
        [
            *fields,
            forms.field("imei", "IMEI", "text", given.get("imei"), inputmode="numeric", maxlength=40, hint="15 digits: they dial *#06# on it."),
            forms.field("make", "Make", "text", make, required=False, maxlength=60, hint="Needed for a phone that nobody here knows yet."),
            forms.field("model", "Model", "text", model, required=False, maxlength=80),
        ],
        cancel_href=desk.url(), consequence="A phone on the block list of lost and stolen devices is put on no line." + (f" Now: {chosen.device}." if chosen and chosen.device else ""),
    )  # fmt: skip


def _pin_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    fields, _ = _lines(desk, "lines.make_transfer_pin", given)
    return forms.form(
        "lines.make_transfer_pin", "Make a transfer PIN", "Make it", desk.do_url("lines.make_transfer_pin"), fields,
        cancel_href=desk.url(), consequence="It goes by text to the number itself and is told to the address of record. Whoever has it takes the number to another carrier; the one before it is void.",
        say_aloud="Give it only to the carrier that you go to, and keep your line until the number has moved: a number of a cancelled line is lost.",
    )  # fmt: skip


FORMS: dict[str, Callable[[ContactPage, Any], dict[str, Any]]] = {
    "lines.change_sim": _sim_form,
    "lines.change_device": _device_form,
    "lines.make_transfer_pin": _pin_form,
}
