"""Account care on the contact page: how the customer is reached, what guards the account, who may speak, how they are served."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from careline.acts.care import CHANNELS
from careline.domain.activations import queries as activations
from careline.domain.customers.queries import care
from careline.domain.customers.rules.care import (
    LANGUAGES,
    ZONE_OF,
    masked_email,
    needs_of,
)
from careline.doors.web import forms
from careline.doors.web.account import ContactPage
from careline.doors.web.render import clock, day, zone
from careline.foundation import phone
from careline.foundation.act import Level

ACCOUNT = {"account": "id"}
RIGHTS = {"may_money": "checkbox", "may_service": "checkbox", "until": "text"}
KINDS: dict[str, dict[str, str]] = {
    "customers.change_contact": {**ACCOUNT, "email": "kept", "phone": "kept"},
    "customers.change_address": {**ACCOUNT, "street": "text", "city": "text", "state": "text", "postal_code": "text"},
    "customers.set_pin": {**ACCOUNT, "pin": "text"},
    "customers.clear_pin": {**ACCOUNT, "words": "text"},
    "customers.lock": {**ACCOUNT, "what": "text"},
    "customers.unlock": {**ACCOUNT, "what": "text"},
    "customers.add_person": {**ACCOUNT, "name": "text", "email": "text", **RIGHTS},
    "customers.change_person": {**ACCOUNT, "person": "id", **RIGHTS},
    "customers.end_person": {**ACCOUNT, "person": "id", "words": "text"},
    "customers.set_preferences": {**ACCOUNT, "language": "text", "needs": "many"},
    "customers.set_consent": {**ACCOUNT, "about": "text", "yes": "text"},
    "customers.separate_line": {**ACCOUNT, "lines": "many", "name": "text", "seen": "checkbox"},
    "customers.place_legal_hold": {**ACCOUNT, "matter": "text", "words": "text"},
    "customers.lift_legal_hold": {**ACCOUNT, "hold": "text", "words": "text"},
    "customers.redact": {**ACCOUNT, "line": "id", "before": "text", "words": "text"},
}
# Of these the ones that need nobody proven.
EARLY = ("customers.separate_line", "customers.place_legal_hold", "customers.lift_legal_hold", "customers.redact")
SECTION = "?section=care"
CONSENT = "customers.set_consent"


def read(code: str, data: Any) -> dict[str, Any]:
    """What was typed as the act's input; a consent's topic and channel are one choice on the form."""
    given = forms.read(data, KINDS[code])
    if code == "customers.redact" and given.get("line"):
        given.pop("before", None)
    if code == CONSENT:
        given["topic"], _, given["channel"] = given.pop("about", "").partition(":")
    return given


# ---------------------------------------------------------------- what stands


def panel(desk: ContactPage) -> dict[str, Any]:
    """The section: each part with what stands, since when, and what may be done about it."""
    row, customer = desk.row.account, desk.row.account.customer
    policy = desk.scene.rulebook.care
    days = int(policy.get("record", {}).get("address_days", 30))
    notices = care.email_of_record(row, desk.at, days) if customer.email_since else customer.email
    return {
        "reach": [
            _reached("E-mail", customer.email, customer.email_since, masked_email(notices) if notices and notices != customer.email else "", desk, days),
            _reached("Contact number", phone.shown(customer.phone) if customer.phone else "", None, "", desk, days),
            _reached("Address", row.address or " ".join(filter(None, (row.state, row.postal_code))), row.address_since, "", desk, days),
        ],
        "reach_moves": _moves(desk, "customers.change_contact", "customers.change_address"),
        "guards": _guards(desk),
        "people": [_person(desk, p) for p in desk.people],
        "ended": [f"{p.person.name}, until {day(p.ended_at.astimezone(zone()).date())}" for p in care.ended_people(desk.account_id, desk.at - timedelta(days=90)) if p.ended_at],
        "people_moves": _moves(desk, "customers.add_person"),
        "served": [
            ("Language", LANGUAGES.get(customer.language, customer.language) or "not said"),
            ("Needs", ", ".join(needs_of(customer.needs)) or "nothing said"),
            ("Likes", customer.likes or "nothing said"),
        ],
        "served_moves": _moves(desk, "customers.set_preferences"),
        "consents": _consents(desk),
        "records": _records(desk),
    }


def _reached(label: str, value: str, since: Any, notices: str, desk: ContactPage, days: int) -> dict[str, Any]:
    """One way to reach them. One that is young is not of record yet: notices go to the one before."""
    said, state = None, None
    if since is not None:
        young = desk.at - since < timedelta(days=days)
        said = f"changed {day(since.astimezone(zone()).date())}"
        if young and value and label != "Contact number":
            said += f"; of record from {day((since + timedelta(days=days)).astimezone(zone()).date())}"
            state = "risk"
        if young and notices:
            said += f"; notices go to {notices} until then"
    if label == "Contact number" and value:
        said = "proves nothing: only a line's own number is one of record"
    return {"label": label, "value": value or "none", "said": said, "state": state}


def _guards(desk: ContactPage) -> list[dict[str, Any]]:
    row, pin_at = desk.row.account, desk.row.pin_set_at
    hours = int(desk.scene.rulebook.verification["level"]["strong_number_hours"])
    new = pin_at is not None and desk.at - pin_at < timedelta(hours=hours)
    pin = {
        "label": "PIN", "value": "set" if pin_at else "none", "state": "risk" if new or not pin_at else None,
        "said": None if not pin_at else f"since {day(pin_at.astimezone(zone()).date())}" + (f"; makes nobody strong before {clock(pin_at + timedelta(hours=hours))} tomorrow" if new and _tomorrow(desk, pin_at, hours) else ""),
        "moves": _moves(desk, *(["customers.set_pin", "customers.clear_pin"] if pin_at else ["customers.set_pin"])),
    }  # fmt: skip
    if not pin_at:
        pin["said"] = "the caller can be verified by their number, and never strongly"
    given_out = ", ".join(f"{phone.last_four(p.line.msisdn)} until {day(p.expires_at.astimezone(zone()).date())}" for p in activations.transfer_pins(desk.account_id, desk.at))
    said = [f"transfer PIN given out: {given_out}"] if given_out else []
    said += [f"{row.to} takes {phone.last_four(row.line.msisdn)} at {clock(row.waits_until)}, unless it is locked before" for row in activations.leaving(desk.account_id)]
    return [
        pin,
        _guard(desk, "SIM change", "sim", row.change_lock, "lines.change_sim"),
        _guard(desk, "Port-out", "port", row.port_lock, "lines.make_transfer_pin", "; ".join(said) or None),
    ]


def _tomorrow(desk: ContactPage, pin_at: Any, hours: int) -> bool:
    return bool((pin_at + timedelta(hours=hours)).astimezone(zone()).date() > desk.today)


def _guard(desk: ContactPage, label: str, what: str, on: bool, held: str, said: str | None = None) -> dict[str, Any]:
    """`held`: the act that the lock stops; it is offered while there is none."""
    code = "customers.unlock" if on else "customers.lock"
    return {"label": label, "value": "locked" if on else "not locked", "state": "ok" if on else None, "said": said,
            "moves": [*([] if on else _moves(desk, held)), {"label": "unlock" if on else "lock it", "href": desk.url(f"{SECTION}&act={code}&what={what}"), "of": label}]}


def _person(desk: ContactPage, p: Any) -> dict[str, Any]:
    holder = p.right == "holder"
    over = p.until is not None and p.until < desk.today
    moves = [] if holder else [
        {"label": label, "href": desk.url(f"{SECTION}&act={code}&person={p.person_id}"), "of": p.person.name}
        for label, code in (("change", "customers.change_person"), ("end", "customers.end_person"))
    ]
    return {
        "name": p.person.name, "right": "holder" if holder else "authorized", "calling": p.person_id == desk.row.person_id,
        "money": holder or p.may_money, "service": holder or p.may_service,
        "until": p.until, "over": over, "moves": moves,
    }  # fmt: skip


def _consents(desk: ContactPage) -> list[dict[str, Any]]:
    known, said = desk.scene.rulebook.care.get("consent", {}), care.consents_of(desk.account_id)
    rows = []
    for topic, rule in known.items():
        for channel in rule["channels"]:
            row = said.get((topic, channel))
            yes = row.granted if row else not rule["opt_in"]
            rows.append({
                "title": rule["title"], "channel": CHANNELS.get(channel, channel), "yes": yes, "asked": row is not None, "cite": rule["cite"],
                "said": f"{day(row.at.astimezone(zone()).date())}, {row.source}" if row else "never asked" if rule["opt_in"] else "nothing said against it",
                "href": desk.url(f"{SECTION}&act={CONSENT}&about={topic}:{channel}"),
            })  # fmt: skip
    return rows


def _records(desk: ContactPage) -> dict[str, Any] | None:
    """What protects the account's records and its people, for those who may do something about it."""
    roles = desk.scene.rulebook.authority.roles_with
    mine = [code for code in ("customers.separate_line", "customers.place_legal_hold", "customers.redact") if desk.who.role in roles(code)]
    if not mine:
        return None
    lifts = desk.who.role in roles("customers.lift_legal_hold")
    return {
        "moves": _moves(desk, *mine),
        "holds": [
            {"label": h.reference, "value": h.matter, "state": None, "said": f"legal hold since {day(h.placed_at.astimezone(zone()).date())}",
             "moves": [{"label": "lift it", "href": desk.url(f"{SECTION}&act=customers.lift_legal_hold&hold={h.reference}"), "of": h.reference}] if lifts else []}
            for h in care.legal_holds(desk.account_id)
        ],
    }  # fmt: skip


def _moves(desk: ContactPage, *codes: str) -> list[dict[str, Any]]:
    return [{"label": MOVES[code], "href": desk.url(f"{SECTION}&act={code}"), "of": ""} for code in codes]


MOVES = {
    "lines.change_sim": "change the SIM", "lines.make_transfer_pin": "make a transfer PIN",
    "customers.change_contact": "change e-mail or number", "customers.change_address": "change the address", "customers.set_pin": "set a new one",
    "customers.clear_pin": "they forgot it", "customers.add_person": "add somebody", "customers.set_preferences": "change",
    "customers.separate_line": "separate a survivor's line", "customers.place_legal_hold": "place a legal hold", "customers.redact": "redact",
}  # fmt: skip


# ---------------------------------------------------------------- the forms

def _barred(desk: ContactPage, what: str) -> str:
    """What a change bars for a day, said before it is made: the caller may have come for a new SIM."""
    hours = int(desk.scene.rulebook.care.get("credentials", {}).get("unlock_hours", 24))
    return f"For {hours} hours after {what} no SIM is changed, no transfer PIN is made and nothing is unlocked: if they came for that too, do it first."


TOLD = "They are told at once at what was on record until now, without what it is now."


def _form(desk: ContactPage, code: str, title: str, submit: str, fields: list[forms.Field], **more: Any) -> dict[str, Any]:
    return forms.form(code, title, submit, desk.do_url(code), [forms.hidden("account", desk.account_id), *fields], cancel_href=desk.url(SECTION), **more)


def _contact_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    customer = desk.row.account.customer
    return _form(
        desk, "customers.change_contact", "Change contact details", "Change it",
        [
            forms.field("email", "E-mail address", "text", given.get("email", customer.email), required=False, inputmode="email", maxlength=254),
            forms.field("phone", "Another number to reach them", "phone", given.get("phone", phone.shown(customer.phone) if customer.phone else ""), required=False,
                        hint="It never proves who calls. The numbers of lines are of record by themselves."),
        ],
        consequence=f"{TOLD} {_barred(desk, 'another e-mail address')}", say_aloud="I change that now. You will get a message at your old address and on your phone; that is so that nobody else can do this unseen.",
    )  # fmt: skip


def _address_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    row = desk.row.account
    # All of it or nothing: an old ZIP code beside a street that was just typed is overlooked.
    stands = {n: getattr(row, n) for n in ("street", "city", "state", "postal_code")} if row.street and row.city else {}
    wifi = any("wifi_calling" in line.switched_on for line in desk.lines if line.status == "active")
    emergency = " Wi-Fi calling is on: ask where emergency services would look for them, and confirm it anew." if wifi else ""
    return _form(
        desk, "customers.change_address", "Change the address", "Change it",
        [
            forms.field("street", "Street and number", "text", given.get("street", stands.get("street")), maxlength=120),
            forms.field("city", "City", "text", given.get("city", stands.get("city")), maxlength=80),
            forms.field("state", "State", "choice", given.get("state", stands.get("state")) or None, choices=[(s, s) for s in sorted(ZONE_OF)]),
            forms.field("postal_code", "ZIP code", "text", given.get("postal_code", stands.get("postal_code")), inputmode="numeric", maxlength=10),
        ],
        consequence=f"{TOLD} Taxes of the next bill and contact hours follow the state. {_barred(desk, 'it')}{emergency}",
    )  # fmt: skip


def _pin_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    policy = desk.scene.rulebook.verification["pin"]
    least, most = int(policy.get("digits_least", 4)), int(policy.get("digits_most", 8))
    hours = int(desk.scene.rulebook.verification["level"]["strong_number_hours"])
    return _form(
        desk, "customers.set_pin", "Set the PIN", "Set it",
        [forms.field("pin", "New PIN, as the caller says it", "secret", inputmode="numeric", maxlength=most, hint=f"{least} to {most} digits; no year, no row of digits, nothing out of the account's numbers.")],
        consequence=f"They are told at once. For {hours} hours the new PIN verifies, and makes nobody strong. {_barred(desk, 'it')}",
        say_aloud="Please choose a PIN that nobody could guess: not a birthday, not a part of your number.",
    )  # fmt: skip


def _forgotten_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    return _form(
        desk, "customers.clear_pin", "Take a forgotten PIN away", "Take it away",
        [forms.field("words", "What they said", "text", given.get("words"), maxlength=400)],
        consequence="They are told at once. A new PIN is then set for who has proven the phone.",
    )  # fmt: skip


WHAT = [("both", "Both"), ("sim", "SIM change"), ("port", "Port-out")]


def _lock_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    return _form(desk, "customers.lock", "Lock the account", "Lock it", [forms.field("what", "Against", "choice", given.get("what") or "both", choices=WHAT)],
                 consequence="It is free, and holds for every line until the holder has it taken off.",
                 say_aloud="I lock that now. Until you have it unlocked, nobody can make that change, not even we.")  # fmt: skip


def _unlock_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    row = desk.row.account
    on = [w for w in WHAT if (w[0] != "sim" or row.change_lock) and (w[0] != "port" or row.port_lock) and (w[0] != "both" or (row.change_lock and row.port_lock))]
    chosen = given.get("what") if given.get("what") in dict(on) else on[0][0] if on else None
    return _form(desk, "customers.unlock", "Unlock the account", "Unlock it",
                 [forms.field("what", "What", "choice", chosen, choices=on, hint=None if on else "The account is not locked.")],
                 consequence="They are told at once. Lock it again as soon as the change is done.",
                 say_aloud="Did anybody ask you to have this unlocked, or is somebody with you on another call? We never ask for that.")  # fmt: skip


def _rights(given: Any, held: Any = None) -> list[forms.Field]:
    def ticked(name: str, stands: bool) -> bool:
        return given.get(name) in ("on", "true") if "request_key" in given else stands

    return [
        forms.field("may_money", "May deal with bills and payments", "checkbox", ticked("may_money", bool(held and held.may_money)), required=False),
        forms.field("may_service", "May have lines changed", "checkbox", ticked("may_service", bool(held and held.may_service)), required=False),
        forms.field("until", "Last day", "date", given.get("until") or (held.until.isoformat() if held and held.until and "request_key" not in given else None),
                    required=False, hint="Empty: until the holder ends it."),
    ]  # fmt: skip


def _add_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    return _form(
        desk, "customers.add_person", "Add an authorized person", "Add them",
        [
            forms.field("name", "First and family name", "text", given.get("name"), maxlength=160),
            forms.field("email", "E-mail address", "text", given.get("email"), required=False, inputmode="email", maxlength=254),
            *_rights(given),
        ],
        consequence="They may ask about the account, and what is ticked. Who gets into the account stays the holder's alone. The holder is told at once.",
    )  # fmt: skip


def _who(desk: ContactPage, given: Any) -> tuple[forms.Field, Any]:
    rows = [p for p in desk.people if p.right != "holder"]
    chosen = next((p for p in rows if str(p.person_id) == str(given.get("person") or "")), rows[0] if len(rows) == 1 else None)
    choices = [(p.person_id, p.person.name) for p in rows]
    return forms.field("person", "Who", "choice", chosen.person_id if chosen else None, choices=choices, hint=None if rows else "Nobody is authorized on this account."), chosen


def _change_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    who, chosen = _who(desk, given)
    who["reload"] = {"href": desk.url(f"{SECTION}&act=customers.change_person"), "with": "person"}
    return _form(desk, "customers.change_person", "Change a person's rights", "Change them", [who, *_rights(given, chosen)], consequence="The holder is told at once.")


def _end_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    who, _ = _who(desk, given)
    return _form(desk, "customers.end_person", "End a person's rights", "End them", [who, forms.field("words", "Why", "text", given.get("words"), required=False, maxlength=400)],
                 consequence="From now on they are a stranger to this account, also in a call that is under way.")  # fmt: skip


def _preferences_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    customer, known = desk.row.account.customer, desk.scene.rulebook.care.get("need", {})
    held = needs_of(customer.needs)
    titles = {rule["title"]: code for code, rule in known.items()}
    typed = given.get("needs", []) if "request_key" in given else None
    ticked = set(typed if typed is not None else [titles.get(n, n) for n in held])
    rows = [(code, rule["title"], rule["say"]) for code, rule in known.items()] + [(n, n, None) for n in held if n not in titles]
    return _form(
        desk, "customers.set_preferences", "Language and accessibility", "Keep it",
        [
            forms.field("language", "Language they like best", "choice", given.get("language") or customer.language,
                        choices=list(LANGUAGES.items()) + ([] if customer.language in LANGUAGES else [(customer.language, customer.language)])),
            forms.field("needs", "What they need to be served", "many", ticked, choices=rows, required=False,
                        hint="Everybody who greets them sees this before anything is proven. Why they need it is written nowhere."),
        ],
        say_aloud="Is there anything that we should do so that talking with us works well for you?",
    )  # fmt: skip


def _consent_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    known = desk.scene.rulebook.care.get("consent", {})
    choices = [(f"{topic}:{channel}", f"{rule['title']}, {CHANNELS.get(channel, channel)}") for topic, rule in known.items() for channel in rule["channels"]]
    about = given.get("about") if given.get("about") in dict(choices) else choices[0][0] if choices else None
    rule = known.get((about or "").partition(":")[0], {})
    return _form(
        desk, CONSENT, "Consent", "Keep it",
        [
            forms.field("about", "To what", "choice", about, choices=choices, reload={"href": desk.url(f"{SECTION}&act={CONSENT}"), "with": "about"}),
            forms.field("yes", "What they said", "choice", given.get("yes"), choices=[("true", "Yes, they allow it"), ("false", "No")]),
        ],
        consequence=rule.get("cite"), say_aloud=rule.get("ask"),
    )  # fmt: skip


def _separate_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    policy = desk.scene.rulebook.care.get("protection", {})
    rows = [(str(n.pk), f"ends {phone.last_four(n.msisdn)}", None) for n in desk.lines if n.status != "cancelled"]
    typed = set(given.get("lines", [])) if "request_key" in given else {given.get("lines")}
    return _form(
        desk, "customers.separate_line", "Separate a survivor's line", "Separate it now",
        [
            forms.field("lines", "Their lines, and those of people in their care", "many", typed, choices=rows),
            forms.field("name", "The name that they want to be called", "text", given.get("name"), maxlength=160),
            forms.field("seen", "I looked at what the law asks them to show. Nothing of it is kept.", "checkbox", given.get("seen") in ("on", "true")),
        ],
        say_aloud=policy.get("ask"),
        consequence="At once, without a fee, a debt or a contract: a new account, locked, found by its reference alone. This contact goes along, the words written "
        f"in it too. Nobody else is told, and nothing on this account says so. {policy.get('cite', '')}",
    )  # fmt: skip


def _legal_hold_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    return _form(
        desk, "customers.place_legal_hold", "Place a legal hold", "Place it",
        [
            forms.field("matter", "Matter, as the legal unit calls it", "text", given.get("matter"), maxlength=80),
            forms.field("words", "In a few words", "text", given.get("words"), required=False, maxlength=400),
        ],
        consequence="Nothing that the account's journal says is redacted until it is lifted, by somebody else than you.",
    )  # fmt: skip


def _lift_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    seen = desk.scene.basis.level >= Level.WRAP_UP
    choices = [(h.reference, f"{h.reference}, {h.matter}" if seen else h.reference) for h in care.legal_holds(desk.account_id)]
    return _form(
        desk, "customers.lift_legal_hold", "Lift a legal hold", "Lift it",
        [
            forms.field("hold", "Which", "choice", given.get("hold") or (choices[0][0] if len(choices) == 1 else None), choices=choices,
                        hint=None if choices else "No legal hold is in force on this account."),
            forms.field("words", "Why", "text", given.get("words"), maxlength=400),
        ],
    )  # fmt: skip


def _redact_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    line = forms.whole(given.get("line"))
    what = [forms.hidden("line", line)] if line else [forms.field("before", "All that was written before", "date", given.get("before"))]
    return _form(
        desk, "customers.redact", "Redact the words of this line" if line else "Redact personal words", "Redact for ever",
        [*what, forms.field("words", "Why", "text", given.get("words"), maxlength=400)],
        consequence="Notes, summaries and whatever else names a person go and do not come back. The journal's lines stay, and the chain still proves itself. "
        "What the law asks to be kept stays until its time is over.",
    )  # fmt: skip


FORMS: dict[str, Callable[[ContactPage, Any], dict[str, Any]]] = {
    "customers.change_contact": _contact_form,
    "customers.change_address": _address_form,
    "customers.set_pin": _pin_form,
    "customers.clear_pin": _forgotten_form,
    "customers.lock": _lock_form,
    "customers.unlock": _unlock_form,
    "customers.add_person": _add_form,
    "customers.change_person": _change_form,
    "customers.end_person": _end_form,
    "customers.set_preferences": _preferences_form,
    CONSENT: _consent_form,
    "customers.separate_line": _separate_form,
    "customers.place_legal_hold": _legal_hold_form,
    "customers.lift_legal_hold": _lift_form,
    "customers.redact": _redact_form,
}
