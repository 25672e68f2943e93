"""Nobody is proven yet: what stands instead of the account, and each factor with what is left of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.urls import reverse

from careline.domain.contacts import queries as contacts
from careline.domain.customers import queries as customers
from careline.doors.web import forms
from careline.doors.web.account import ContactPage
from careline.doors.web.render import clock, zone
from careline.foundation import phone
from careline.foundation.act import Level


def shape_of(
    desk: ContactPage,
    *,
    results: dict[str, Any] | None = None,
    query: str = "",
    outcome: Any = None,
    more: bool = False,
    moving: bool = False,
) -> dict[str, Any]:
    """What stands instead of the account until somebody is proven: find it, verify, or another way."""
    row = desk.row
    shape: dict[str, Any] = {"title": "", "text": None, "say_aloud": None, "find": None, "factors": [], "outcome": None, "dial": None, "ways": []}
    if outcome is not None:
        shape["outcome"] = {"say": outcome.say, "state": "ok" if outcome.ok else "bad"}
    if row.state == "dropped":
        return _line_down(desk, shape)
    if row.account_id is None:
        shape["title"] = "Which account?"
        shape["text"] = "Find it by what the caller says. Somebody who is no customer yet can be helped without one."
        shape["find"] = {"action": desk.url(), "query": query, "results": results}
        shape["ways"] = [
            {"title": "Not a customer yet", "text": "Answer what is general; say the reason, then end the contact.", "href": desk.url("?act=contacts.reason"), "form": None}
        ]
        return shape
    if moving or results is not None:
        shape["title"] = "Another account?"
        shape["text"] = "The contact moves to the account you choose; nothing proven moves with it."
        shape["find"] = {"action": desk.url(), "query": query, "results": results}
        shape["ways"] = [{"title": "Back", "text": "Stay with this account.", "href": desk.url(), "form": None}]
        return shape
    policy = desk.scene.rulebook.verification
    stranger = desk.scene.facts["caller"] == "stranger"
    shape["title"] = "Who is speaking?" if stranger else ("Prove one more factor" if more else "Verify the caller")
    shape["text"] = (
        "Choose who is calling. Somebody who is not on the account can only pay by a link."
        if stranger
        else "One factor verifies. Two of different kinds, one of them a number of record, make it strong."
    )
    if more and desk.never_strong:
        shape["title"] = "This caller cannot be made strong"
        shape["text"] = f"It takes two factors of different kinds, and {desk.never_strong}. A store can check a government photo ID."
    if not stranger:
        shape["factors"] = _factors(desk, policy)
        shape["say_aloud"] = policy["pin"]["say"] if any(f["code"] == "pin" and f["forms"] for f in shape["factors"]) else None
    shape["ways"] = _ways(desk, stranger)
    if more:
        back = {"title": "Back to the account", "text": "The caller is verified already.", "href": desk.url(), "form": None}
        shape["ways"] = [back, *shape["ways"][:-1]]  # who is verified has proven it
    return shape


def _line_down(desk: ContactPage, shape: dict[str, Any]) -> dict[str, Any]:
    """The line dropped, or was put down to call back: the one place where a whole number of record is shown to
    somebody who has proven nothing, because this associate dials it now and the journal says so."""
    row = desk.row
    if row.inbound:
        back = _way(desk, "The caller is back", "Same contact, same clock.", "contacts.reconnect", "Take it up")
    else:
        back = _way(desk, "They call back", "Same contact, same clock. They are verified like anybody who calls.", "contacts.reconnect", "Take it up")
    under_way = contacts.call_back_open(contacts.codes_of(row.pk, row.account_id), desk.at) if row.account_id else None
    if under_way is not None:
        account = forms.hidden("account", desk.account_id)
        policy = desk.scene.rulebook.verification["callback"]
        shape |= {
            "title": "Call this number now",
            "text": f"Let it ring. Ask who speaks before you say anybody's name. Report it by {clock(under_way.expires_at)}.",
            "say_aloud": policy.get("ask"),
            "dial": under_way.line.msisdn,
            "ways": [
                _way(desk, "They picked up", "Write the name as they say it. Whoever it is, is verified by this and nothing else.",
                          "contacts.call_back_answered", "This is who picked up", [account, forms.field("name", "The name they gave", "text")]),
                _way(desk, "It failed", "It counts as a try. The contact waits for the caller." if row.inbound else "Say nothing of why you call, to nobody else and to no answering machine.", "contacts.call_back_failed", "Say so",
                          [account, forms.field("why", "Why", "choice", choices=[("not_reached", "Nobody reached"), ("wrong_person", "Somebody else")])]),
                back,
            ],
        }
        shape["ways"][0]["focus"] = True
        return shape
    if not row.inbound:
        shape["title"] = "Nobody of the account is on the line"
        shape["text"] = "Put them to be called again, or leave them where they stand, and end the contact."
        again = desk.who.role in desk.scene.rulebook.authority.roles_with("collections.call_again")
        shape["ways"] = [
            *([{"title": "Call again on a day", "text": "From that day on they stand first in the queue. This contact stays open until you end it.",
                "href": f"{reverse('past-due-queue')}?account={row.account_id}", "form": None}] if again and row.account_id and row.reason == contacts.PAST_DUE else []),
            {"title": "End the contact", "text": "Write what came of the call.", "href": desk.url("?act=contacts.end"), "form": None},
            back,
        ]
        return shape
    shape["title"] = "The line dropped"
    shape["text"] = "When the caller is back, take up this contact and verify again. Call back the number of record if they do not return."
    shape["ways"] = [back]
    if row.account_id and desk.scene.facts["caller"] != "stranger" and desk.refused("contacts.call_back") is None:
        shape["factors"] = _factors(desk, desk.scene.rulebook.verification, only=("callback",))
    return shape


def _way(desk: ContactPage, title: str, text: str, code: str, submit: str, fields: Any = ()) -> dict[str, Any]:
    return {"title": title, "text": text, "href": None, "form": forms.form(code, title, submit, desk.do_url(code), fields)}


def _ways(desk: ContactPage, stranger: bool) -> list[dict[str, Any]]:
    account, no_link = forms.hidden("account", desk.account_id), desk.not_set_up("payments.send_guest_link")
    ways = [
        _way(desk, 
            "Who is calling?" if stranger else "Somebody else is speaking",
            "Ask for their name and write it as they say it. Nothing proven stays.",
            "contacts.speaker",
            "This is who speaks",
            [account, forms.field("name", "Their name", "text")],
        )
    ]
    if desk.refused("customers.separate_line") is None:
        ways.append({"title": "A survivor asks for a line of their own", "text": "Safe Connections Act: no approval of the account's holder, and no word to them.",
                     "href": desk.url("?act=customers.separate_line"), "form": None})
    ways += [
        {"title": "Only wants to pay", "text": no_link.say if no_link else "Send a link for an amount they name to a number they give. Nothing of the account is said.",
         "href": None if no_link else desk.url("?act=payments.send_guest_link"), "form": None},
        {"title": "Another account", "text": "Find the right one; nothing carries over.", "href": desk.url("?move=1"), "form": None},
        {"title": "Cannot prove it", "text": "A store can check a government photo ID. Say so kindly, and end the contact.",
         "href": desk.url("?act=contacts.end"), "form": None},
    ]
    return ways


def _factors(desk: ContactPage, policy: dict[str, Any], only: tuple[str, ...] = ("pin", "code", "callback")) -> list[dict[str, Any]]:
    left = contacts.lockouts(desk.account_id, policy, desk.at)
    numbers = customers.numbers_of_record(desk.account_id)
    account = forms.hidden("account", desk.account_id)
    choices = [(n.pk, f"ends {phone.last_four(n.msisdn)}") for n in numbers]
    texts = [(n.pk, f"ends {phone.last_four(n.msisdn)}") for n in numbers if n.can_text]
    codes = contacts.codes_of(desk.row.pk, desk.account_id)
    waiting = contacts.code_waiting(codes, desk.at)
    has_pin = customers.pin_hash(desk.account_id) is not None
    shapes = []
    for factor in only:
        rule, room = policy[factor], left[factor]
        shape: dict[str, Any] = {
            "code": factor, "title": rule["title"], "text": None, "state": "ready", "state_label": None,
            "left": room.left, "left_of": rule["failures"], "forms": [], "refusal": None,
        }
        if factor in desk.row.proven and desk.scene.basis.level >= Level.VERIFIED:
            shape |= {"state": "passed", "left": None}
        elif room.is_locked(desk.at):
            until = room.locked_until
            shape |= {"state": "locked", "left": None}
            shape["refusal"] = {"say": f"{rule['locked']} It opens again {_when(until, desk.at)}.", "rule": f"{factor}-locked", "cite": rule["cite"], "who_could": [], "way_on": []}
        elif factor == "pin":
            if has_pin:
                shape["text"] = "The PIN that the customer set."
                shape["forms"] = [forms.form("contacts.check_pin", "Account PIN", "Check", desk.do_url("contacts.check_pin"),
                                             [account, forms.field("pin", "PIN, as the caller says it", "secret", inputmode="numeric")])]
            else:
                shape |= {"state": "unavailable", "left": None, "text": "No PIN was ever set on this account."}
        elif factor == "code":
            if no := desk.not_set_up("contacts.send_code"):
                shape |= {"state": "unavailable", "left": None, "text": no.say}
            elif not texts:
                shape |= {"state": "unavailable", "left": None, "text": "No number of record takes texts."}
            else:
                send = forms.form("contacts.send_code", "Send a code" if not waiting else "Send another", "Send the code" if not waiting else "Send another", desk.do_url("contacts.send_code"),
                                  [account, forms.field("line", "To the number that", "choice", texts[0][0], choices=texts)])
                if waiting:
                    shape |= {"state": "waiting", "state_label": f"Sent to the number ending in {phone.last_four(waiting.line.msisdn)}, works until {clock(waiting.expires_at)}"}
                    shape["focus"] = True
                    shape["forms"] = [forms.form("contacts.check_code", "Enter the code", "Check", desk.do_url("contacts.check_code"),
                                                 [account, forms.field("code", "The digits they read out", "secret", inputmode="numeric")]), send]
                else:
                    shape |= {"text": "A text to a number of record.", "left": None}
                    shape["forms"] = [send]
        elif not choices:
            shape |= {"state": "unavailable", "left": None, "text": "There is no living number to call."}
        else:
            shape["text"] = "Puts the line down and shows you the number to dial. What was proven so far ends with the line."
            shape["forms"] = [forms.form("contacts.call_back", "Call back", "I am calling back", desk.do_url("contacts.call_back"),
                                         [account, forms.field("line", "The number that", "choice", choices[0][0], choices=choices)])]
        shapes.append(shape)
    if not any(s.get("focus") for s in shapes):
        next((s for s in shapes if s["forms"]), {})["focus"] = True
    return shapes


def _when(until: datetime | None, now: datetime) -> str:
    if until is None:
        return "later"
    local = until.astimezone(zone())
    day = "today" if local.date() == now.astimezone(zone()).date() else "tomorrow" if (local.date() - now.astimezone(zone()).date()).days == 1 else f"on {local:%b} {local.day}"
    return f"{day} at {clock(until)}"
