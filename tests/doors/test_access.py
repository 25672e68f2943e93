"""Every route is tried by every role and at every level of a contact; a route that is not listed is closed.

What is expected stands in tables here, written by hand: never asked of the code that is tried. An answer in a table is a
status, or the address that it sends on to.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from urllib.parse import quote, quote_plus, unquote_plus

import pytest
from django.conf import settings
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import get_resolver, path
from django.utils import timezone

from careline.domain.approvals.models import Request
from careline.domain.contacts.models import Contact, Draft, FollowUp, Note
from careline.domain.customers.models import Account, AccountPerson, Customer, Line, Person, StaffTie, Usage
from careline.domain.diagnosis import operations as diagnosis
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.models import Outbox
from careline.domain.ledger import queries as ledger
from careline.domain.ledger.models import Bill, Paper, PaperBytes, Payment
from careline.domain.rulebook import queries as rulebooks
from careline.domain.staff import operations as staff_operations
from careline.doors import access
from careline.doors.api import app as api
from tests import people
from tests.people import TUESDAY, Desk, key

PEOPLE = ("tom", "ana", "eva", "lena", "sam", "ada", "nobody")  # one of each role, and somebody who has not signed in
SIGN_IN = "/sign-in"


class Browser:
    """Somebody at the desk in a browser. Every form that they post carries a request key of its own."""

    def __init__(self, person=None):
        self.http, self.person = Client(raise_request_exception=False), person
        if person is not None:
            self.http.force_login(person, backend=settings.AUTHENTICATION_BACKENDS[0])

    def get(self, address, **headers):
        return self.http.get(address, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def post(self, address, /, **typed):
        return self.http.post(address, {"request_key": key(), **typed})

    def do(self, contact, code, /, **typed):
        return self.post(f"/contacts/{contact.reference}/do/{code}", **typed)


class Clock:
    """The time of a story: a Tuesday at ten in New York, and later when the story says so."""

    def __init__(self, monkeypatch):
        self.now = TUESDAY
        monkeypatch.setattr(timezone, "now", lambda: self.now)
        monkeypatch.setattr(access, "time", types.SimpleNamespace(time=lambda: self.now.timestamp()))

    def later(self, **delta):
        self.now += timedelta(**delta)


@contextmanager
def undone() -> Iterator[None]:
    """What happens inside is tried and taken back, so that the next try finds the same desk."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def answer_of(response) -> int | str:
    """A status, or where a redirect leads."""
    return response["Location"].partition("?")[0] if response.status_code in (301, 302, 303) else response.status_code


# ---------------------------------------------------------------- one carrier's Tuesday


@pytest.fixture
def maria(house, clock):
    """Maria Okafor's account with something in every room: what must not be seen before she is verified."""
    account = people.open_account()
    Customer.objects.update(email="maria@okafor.example", needs="hard of hearing", likes="short answers")
    Person.objects.update(email="maria.o@okafor.example")
    julio = Person.objects.create(name="Julio Okafor-Reyes", email="julio@okafor.example")
    AccountPerson.objects.create(account=account, person=julio, right="authorized")
    Line.objects.update(label="Maria's own phone", sim_since=TUESDAY - timedelta(hours=30))
    Usage.objects.create(line=account.lines.get(), kind="data", day=date(2026, 11, 20), quantity=14_900)
    before = Desk(people.hire("zoe", "Zoe Zimmer", "associate"), TUESDAY - timedelta(days=3)).take_call(account)
    before.must("contacts.note", account=account.pk, text="Her daughter starts college in Spokane")
    before.must("credits.grant", account=account.pk, amount=321, reason="goodwill", words="because of the rain")
    before.must("contacts.end")
    before.must("contacts.wrap_up", summary="Explained roaming in Lisbon", disposition="resolved", root_cause="bill_changed")
    return account


def secrets_of(account) -> dict[str, str]:
    """What of this account may be nowhere in a page's source before somebody is verified, each by its name."""
    line = account.lines.get()
    return {
        "balance": "$45.39", "bill": "$48.60", "plan": "Plus 15", "price": "$45.00", "credit": "$3.21",
        "email of the customer": "okafor.example", "another person": "Julio", "how they like it": "short answers",
        "tenure": "since 2019", "label of the line": "own phone", "device": "Pixel", "IMEI": line.device.imei, "SIM": "89012600",
        "usage": "14.6", "saved method": "…4242", "note": "Spokane", "last summary": "Lisbon", "words of a credit": "the rain",
        "number of a bill": Bill.objects.filter(account=account).first().number,
        "number of a payment": Payment.objects.filter(account=account).first().number, "number of a credit": "CR-",
        "PIN hash": "argon2", "hash itself": account.pin.hash[-20:], "past contact": "3rd contact", "zone": "Los_Angeles",
    }


def seen_in(response, secrets, but="") -> list[str]:
    """The names of the secrets that stand in an answer: its source, its headers and where it sends on to. `but`: what
    the person typed themselves, which the box may show them again."""
    text = response.content.decode() + "\n".join(f"{k}: {v}" for k, v in response.items())
    if but:
        text = text.replace(but, "").replace(quote(but), "").replace(quote_plus(but), "")
    found = [name for name, secret in secrets.items() if secret in text]
    return found + (["whole phone number"] if "2065550188" in re.sub(r"[\s()+.-]", "", text) else [])


def hold_contact(person, account, level, channel="voice") -> Contact:
    """A contact that this person holds, at one of the five levels, lived through the desk's own acts."""
    desk = Desk(person)
    holder = AccountPerson.objects.get(account=account, right="holder").person_id
    chosen = {} if level == "none" else {"account": account.pk, "person": holder}
    desk.contact = int(desk.must("contacts.open", channel=channel, **chosen).show["id"])
    if level == "strong":
        desk.prove_phone(account)
    if level in ("wrap-up", "verified", "strong"):
        desk.must("contacts.check_pin", account=account.pk, pin="4711")
    if level == "wrap-up":
        desk.must("contacts.end")
    return Contact.objects.get(pk=desk.contact)


def sit_down(person, account, level="strong") -> Browser:
    """A browser of whoever holds a contact about this account; `contact` and `here` are it and the address of its page."""
    browser = Browser(person)
    browser.contact = hold_contact(person, account, level)
    browser.here = f"/contacts/{browser.contact.reference}/"
    return browser


# ---------------------------------------------------------------- every route, every role

HOME, DECIDES = "/", (403, 403, 403, 200, 200, 403, SIGN_IN)
SUPERVISES = lambda answer: (403,) * 4 + (answer, 403, SIGN_IN)  # noqa: E731
EVERY_DESK = lambda answer: (answer,) * 5 + (403, SIGN_IN)  # noqa: E731 - a row: those who take contacts, the administrator, nobody
EVERYBODY = lambda answer: (answer,) * 6 + (SIGN_IN,)  # noqa: E731
CLOSED = (404,) * 7

# name of the route: method, address, what is typed; and what tom, ana, eva, lena, sam, ada and nobody get.
TABLE = {
    "home": ("get", "/", {}, (200, 200, 200, 200, 200, "/people", SIGN_IN)),
    "signin": ("get", "/sign-in", {}, (HOME,) * 6 + (200,)),
    "account_login": ("get", "/sign-in/", {}, (HOME,) * 6 + (200,)),
    "mfa_authenticate": ("get", "/sign-in/second", {}, (HOME,) * 6 + (SIGN_IN + "/",)),
    "openid_connect_login": ("post", "/sign-in/single/go", {}, CLOSED),
    "openid_connect_callback": ("get", "/sign-in/single/back", {}, CLOSED),
    "my-sign-in": ("get", "/me/sign-in", {}, EVERYBODY(200)),
    "signout": ("post", "/sign-out", {}, (SIGN_IN,) * 7),
    "health": ("get", "/health", {}, (200,) * 7),
    "ready": ("get", "/ready", {}, (200,) * 7),
    "pay": ("get", "/pay/{token}", {}, (404,) * 7),
    "find": ("get", "/find?q=Okafor", {}, EVERY_DESK(200)),
    "start": ("post", "/start", {}, EVERY_DESK("/contacts/…/")),
    "start-admission": ("post", "/start/admission", {}, EVERY_DESK("/contacts/…/")),
    "answer": ("post", "/answer", {"contact": "{ringing}"}, EVERY_DESK("/contacts/…/")),
    "ringing": ("get", "/ringing", {}, EVERY_DESK(200)),
    "follow-up": ("get", "/follow-ups/{follow_up}", {}, EVERY_DESK(200)),
    "answers-seen": ("get", "/answers-seen", {}, EVERY_DESK(HOME)),
    "preferences": ("post", "/preferences", {"theme": "dark"}, EVERYBODY(HOME)),
    "preferences-page": ("get", "/me", {}, EVERYBODY(200)),
    "contact": ("get", "/contacts/{contact}/", {}, EVERY_DESK(200)),
    "contact-do": ("post", "/contacts/{contact}/do/contacts.hold", {}, EVERY_DESK("/contacts/…/")),
    "draft": ("post", "/contacts/{contact}/draft/note/{account}", {"text": "half a sentence"}, EVERY_DESK(204)),
    "journal": ("get", "/contacts/{contact}/journal", {}, EVERY_DESK(200)),
    "money": ("get", "/contacts/{contact}/money/", {}, EVERY_DESK(200)),
    "past-due": ("get", "/contacts/{contact}/past-due/", {}, EVERY_DESK(200)),
    "past-due-queue": ("get", "/past-due", {}, (403, 200, 200, 200, 200, 403, SIGN_IN)),
    "paper": ("get", "/contacts/{contact}/papers/{paper}.pdf", {}, EVERY_DESK(200)),
    "paper-part": ("get", "/contacts/{contact}/papers/{paper}/part", {}, EVERY_DESK(200)),
    "offer-part": ("get", "/contacts/{contact}/offer", {}, EVERY_DESK(200)),
    "request-part": ("get", "/requests/{request}/part", {}, EVERY_DESK(200)),
    "request-away": ("post", "/requests/{request}/away", {}, EVERY_DESK("/contacts/…/")),
    "approvals": ("get", "/approvals", {}, DECIDES),
    "approvals-part": ("get", "/approvals/part", {}, DECIDES),
    "approval": ("get", "/approvals/{colleagues_request}", {}, DECIDES),
    "guides": ("get", "/guides", {}, DECIDES),
    "guide": ("get", "/guides/no_service", {}, DECIDES),
    "guide-picture": ("get", "/guides/no_service/picture.svg", {}, DECIDES),
    "network": ("get", "/network", {}, EVERY_DESK(200)),
    "network-part": ("get", "/network/part", {}, EVERY_DESK(200)),
    "what-if": ("get", "/past-due/what-if", {}, SUPERVISES(200)),
    "books": ("get", "/books", {}, SUPERVISES(200)),
    "books-file": ("get", "/books/GL-0000001-3.1.csv", {}, SUPERVISES(404)),
    "changes": ("get", "/rulebook/changes", {}, (403,) * 4 + (200, 200, SIGN_IN)),
    "change": ("get", "/rulebook/changes/1", {}, (403,) * 4 + (404, 404, SIGN_IN)),
    "supervision": ("get", "/supervision", {}, SUPERVISES(200)),
    "person-day": ("get", "/supervision/people/{somebody}", {}, SUPERVISES(200)),
    "emergency": ("get", "/emergency", {}, DECIDES),
    "opened": ("get", "/emergency/1", {}, (403, 403, 403, 404, 404, 403, SIGN_IN)),
    "who-may": ("get", "/rulebook/who-may", {}, (403, 403, 403, 200, 200, 200, SIGN_IN)),
    "rulebook": ("get", "/rulebook", {}, EVERYBODY(200)),
    "checklist": ("get", "/checklist", {}, (403,) * 5 + (200, SIGN_IN)),
    "staff": ("get", "/people", {}, (403,) * 5 + (200, SIGN_IN)),
    "let-in": ("get", "/let-in", {}, (403, 403, 403, 200, 200, 403, SIGN_IN)),
    "welcome": ("get", "/welcome", {}, (200,) * 7),
    "messages": ("get", "/messages", {}, CLOSED),
    "messages-part": ("get", "/messages/part", {}, CLOSED),
    "message-file": ("get", "/messages/0000.pdf", {}, CLOSED),
    "ring": ("get", "/ring", {}, CLOSED),
    "api-docs": ("get", "/api/docs", {}, EVERYBODY(200)),
}


def ask_for_a_credit(contact, asker, code="credits.grant") -> Request:
    """A request that waits for a lead, as the desk writes it; by another code when one for credits waits already."""
    asked = {"credits.grant": {"amount": 4000, "reason": "retention"}, "credits.reverse": {"credit": "CR-0000001-1", "words": "By mistake"}}[code]
    return Request.objects.create(
        kind="execute", code=code, input=json.dumps({"account": contact.account_id, **asked}), account=contact.account, contact=contact, asker=asker,
        asked_at=TUESDAY, expires_at=TUESDAY + timedelta(minutes=15), title="Grant a credit: $40.00", rule="credit-event",
        rule_say="Your limit for one credit is $25.00.", rule_cite="limits.toml", roles="lead,supervisor", level=3, amount_minor=asked.get("amount"),
        facts=json.dumps({"caller": {"caller": "holder", "mayMoney": True, "mayService": True}}),
    )


def begin_a_walk(account):
    """A search for the cause on the account's line, begun in an earlier contact."""
    return diagnosis.start(act=people.carrier_act(), account_id=account.pk, line_id=account.lines.get().pk, guide="no_service",
                           digest=rulebooks.current().digest, words="", complaint="")


def printed(account) -> Paper:
    """A paper of the account's newest bill, made."""
    made = PaperBytes.objects.get_or_create(digest="0" * 64, defaults={"body": b"%PDF-1.7 Maria Okafor, $48.60", "at": TUESDAY})[0]
    bill = account.bills.latest("issued_on")
    return Paper.objects.get_or_create(
        key=f"bill:{bill.pk}", defaults={"account": account, "kind": "bill", "bill": bill, "at": TUESDAY, "not_before": TUESDAY, "state": "made", "made": made}
    )[0]


class Visitor:
    """Tries routes as somebody whom they should be open to if to anybody of their role: they hold a verified contact, a
    request and a promise of their own. The administrator and a passer-by try those of Ben."""

    def __init__(self, house, account, name):
        self.browser, ben = Browser(house.get(name)), house["ben"]
        mine, asked, link = self.have(ben, account)
        self.known = {"somebody": ben.pk, "colleagues_request": asked.pk, "token": re.search(r"/pay/([\w-]+)", link).group(1)}
        if name not in ("ada", "nobody"):
            mine, asked, _ = self.have(house[name], account)
        promise = FollowUp.objects.create(account=account, contact=mine, owner=mine.holder, due_on=date(2026, 11, 27), what="Call back")
        ringing = Contact.objects.create(reference="C-9999999-9", channel="voice", state="ringing", last_active=TUESDAY, began=TUESDAY)
        self.known |= {"account": account.pk, "paper": printed(account).pk, "contact": mine.reference, "request": asked.pk, "follow_up": promise.pk, "ringing": ringing.pk}

    def have(self, person, account):
        mine = hold_contact(person, account, "verified", "chat")
        desk = Desk(person)
        desk.contact = mine.pk
        desk.must("payments.send_link", account=account.pk, amount=500, line=account.lines.get().pk)
        return mine, ask_for_a_credit(mine, person), Outbox.objects.filter(topic="payment_link").latest("pk").body

    def tries(self, route):
        method, address, typed, _ = TABLE[route]
        cookies = {name: cookie.value for name, cookie in self.browser.http.cookies.items()}
        with undone():
            response = getattr(self.browser, method)(address.format(**self.known), **{k: v.format(**self.known) for k, v in typed.items()})
        self.browser.http.cookies.load(cookies)
        return re.sub(r"/contacts/C-[\d-]+/", "/contacts/…/", str(answer_of(response)))


@pytest.mark.parametrize("name", PEOPLE)
def test_every_route_answers_each_role_as_the_table_says(house, maria, name):
    visitor = Visitor(house, maria, name)
    found = {route: visitor.tries(route) for route in TABLE}
    assert found == {route: str(answers[PEOPLE.index(name)]) for route, (*_, answers) in TABLE.items()}


@pytest.mark.parametrize(("name", "answer"), [("tom", "200"), ("sam", "200"), ("ada", "403"), ("nobody", SIGN_IN)])
def test_the_pages_of_the_demo_open_in_the_demo_to_those_who_take_contacts(house, maria, monkeypatch, name, answer):
    """They show what customers received: in the demo too nothing for the administrator."""
    monkeypatch.setattr(settings, "DEMO", True)
    visitor = Visitor(house, maria, name)
    assert [visitor.tries(route) for route in ("messages", "messages-part", "ring")] == [answer] * 3
    assert visitor.tries("pay") == "200", "a customer has no sign-in name"


def test_the_test_payment_page_books_a_payment_in_the_demo_only(house, maria, monkeypatch):
    contact = hold_contact(house["ana"], maria, "verified")
    Browser(house["ana"]).do(contact, "payments.send_link", account=maria.pk, amount="20", line=maria.lines.get().pk)
    link = re.search(r"/pay/[\w-]+", Outbox.objects.get(topic="payment_link").body).group()
    payer, owed = Browser(), ledger.balance(maria.pk)
    assert payer.post(link, card="good").status_code == 404
    assert ledger.balance(maria.pk) == owed
    monkeypatch.setattr(settings, "DEMO", True)
    assert payer.post(link, card="good").status_code == 303
    assert ledger.balance(maria.pk) == owed - 2000


def patterns(resolver=None) -> Iterator[tuple[str, str]]:
    """Every address of the desk with the name of its route (the API's are told apart by their namespace)."""
    for found in (resolver or get_resolver()).url_patterns:
        if hasattr(found, "url_patterns"):
            assert found.namespace == "api", "a new namespace: say in access.py who may knock"
        else:
            yield str(found.pattern), found.name


def test_every_address_is_listed_and_everything_listed_has_an_address_and_a_row_in_the_table():
    names = {name for _, name in patterns()}
    assert names == set(access.ROUTES) == set(TABLE)


def test_every_poll_is_a_route():
    assert set(access.ROUTES) >= access.POLLS


def test_a_route_that_is_not_listed_is_closed_to_everybody(house, clock, monkeypatch):
    def open_door(request):
        return HttpResponse("Maria Okafor, $48.60")

    forgotten = types.ModuleType("careline_urls_with_a_forgotten_route")
    forgotten.urlpatterns = [path("forgotten", open_door, name="forgotten"), path("unnamed", open_door), *get_resolver().url_patterns]
    forgotten.handler404 = "careline.doors.web.oops.not_found"
    monkeypatch.setattr(settings, "ROOT_URLCONF", forgotten)
    for name in PEOPLE:
        browser = Browser(house.get(name))
        for address in ("/forgotten", "/unnamed"):
            for method in (browser.get, browser.post):
                response = method(address)
                assert response.status_code == 404 and b"Okafor" not in response.content
    monkeypatch.setitem(access.ROUTES, "forgotten", access.PUBLIC)
    assert Browser().get("/forgotten").content == b"Maria Okafor, $48.60"  # the door works: only the list kept it shut


@pytest.mark.parametrize("address", ["/admin/", "/accounts/login/", "/accounts/signup/", "/sign-in/x", "/api", "/.env", "/contacts/", "/static/../careline/settings.py"])
def test_what_was_never_built_is_not_there(house, clock, address):
    for name in ("ana", "ada", "nobody"):
        assert Browser(house.get(name)).get(address).status_code in (301, 404)


def test_a_poll_of_somebody_who_is_not_signed_in_is_told_so_and_not_sent_to_a_page(house, clock):
    for address in ("/ringing", "/approvals/part", "/requests/1/part"):
        assert Browser().get(address, X_Careline_Poll="1").status_code == 401


def test_somebody_elses_contact_request_and_promise_are_closed(house, maria):
    ben = house["ben"]
    his = hold_contact(ben, maria, "verified")
    asked = ask_for_a_credit(his, ben)
    promise = FollowUp.objects.create(account=maria, contact=his, owner=ben, due_on=date(2026, 11, 27), what="Call her back")
    address = f"/contacts/{his.reference}/"
    for name in ("tom", "ana", "eva", "lena", "sam"):
        browser = Browser(house[name])
        tries = {
            "contact": (browser.get(address), 403), "part": (browser.get(address, HX_Request="true"), 403),
            "a section": (browser.get(address + "?section=notes"), 403), "a form": (browser.get(address + "?act=credits.grant"), 403),
            "journal": (browser.get(address + "journal"), 403), "money": (browser.get(address + "money/"), 403), "draft": (browser.post(address + f"draft/note/{maria.pk}", text="mine now"), 422),
            "request": (browser.get(f"/requests/{asked.pk}/part"), 404), "promise": (browser.get(f"/follow-ups/{promise.pk}"), 404),
            "kept": (browser.post(f"/follow-ups/{promise.pk}"), 404),
            "act": (browser.do(his, "credits.grant", account=maria.pk, amount="5", reason="goodwill"), 403),
        }
        for what, (response, expected) in tries.items():
            assert response.status_code == expected, (name, what)
            assert b"Okafor" not in response.content and not seen_in(response, secrets_of(maria)), (name, what)
    assert not FollowUp.objects.exclude(done_at=None).exists() and not Draft.objects.exists()


# ---------------------------------------------------------------- the API, by token

# address: what trainee, associate, expert, lead, supervisor, administrator, an AI agent, a service and no token get.
API = {
    "/api/me": (200,) * 8 + (401,),
    "/api/acts": (200,) * 8 + (401,),
    "/api/openapi.json": (200,) * 8 + (401,),
    "/api/find?q=Okafor": (200,) * 5 + (403, 200, 403, 401),
    "/api/contacts/{contact}": (403, 200) + (403,) * 6 + (401,),
    "/api/accounts/of-contact/{contact}": (403, 200) + (403,) * 6 + (401,),
    "/api/contacts/{contact}/papers/{paper}": (403, 200) + (403,) * 6 + (401,),
    "/api/requests": (200,) * 8 + (401,),
    "/api/nothing": (404,) * 9,
}


@pytest.mark.parametrize("address", API)
def test_an_address_of_the_api_answers_each_tokens_role_as_the_table_says(house, maria, address):
    """The contact is Ana's: every other token is told that it is not theirs."""
    contact, paper = hold_contact(house["ana"], maria, "verified"), printed(maria)
    house |= {"robin": people.hire("robin", "Robin", "agent"), "pbx": people.hire("pbx", "Telephone system", "service")}
    names = ("tom", "ana", "eva", "lena", "sam", "ada", "robin", "pbx", "nobody")
    found = []
    for name in names:
        sent = {}
        if name in house:
            act = people.carrier_act()
            _, secret = staff_operations.issue_token(act=act, staff_id=house[name].pk, label="test", scope="*", expires_at=TUESDAY + timedelta(days=9))
            sent = {"Authorization": f"Bearer {secret}"}
        response = Client(raise_request_exception=False).get(address.format(contact=contact.pk, paper=paper.pk), headers=sent)
        found.append(response.status_code)
        if response.status_code != 200:
            assert b"Okafor" not in response.content and not seen_in(response, secrets_of(maria))
    assert dict(zip(names, found, strict=True)) == dict(zip(names, API[address], strict=True))


def test_a_token_opens_no_page_of_the_desk(house, maria):
    contact = hold_contact(house["ana"], maria, "verified")
    for name in ("ana", "sam"):
        _, secret = staff_operations.issue_token(act=people.carrier_act(), staff_id=house[name].pk, label="t", scope="*", expires_at=TUESDAY + timedelta(days=9))
        for address in ("/", "/find?q=Okafor", f"/contacts/{contact.reference}/", "/approvals", "/people"):
            assert answer_of(Browser().get(address, Authorization=f"Bearer {secret}")) == SIGN_IN


# ---------------------------------------------------------------- every act, every level, every role

LEVELS = ("none", "identified", "wrap-up", "verified", "strong")
DONE = "done"
LIVE, VERIFY = "needs-live", "needs-verified"
CONFLICT, NO_ROLE, MISMATCH, NOT_OWN, TOO_MUCH = "conflict", "not-your-role", "basis-mismatch", "reversal-not-yours", "credit-event"
STRONG = "care-strong"
MOVES, NONE_LEFT, NOT_THERE, MOST = "allocation-moves", "refund-room", "not_found", "write-off-most"

# act of the contact page: what is typed; and who answers at none, identified, wrap-up, verified and strong: `done`, or
# the rule (else the kind) of the refusal. An act that names an account is about another one while none is chosen.
ACTS = {
    "contacts.reason": ({"reason": "bill"}, (DONE,) * 5),
    "contacts.hold": ({}, (DONE, DONE, CONFLICT, DONE, DONE)),
    "contacts.resume": ({}, (CONFLICT,) * 5),
    "contacts.drop": ({}, (DONE, DONE, CONFLICT, DONE, DONE)),
    "contacts.reconnect": ({}, (CONFLICT,) * 5),
    "contacts.accept": ({}, (CONFLICT,) * 5),
    "contacts.decline": ({"words": "In a meeting"}, (CONFLICT,) * 5),
    "contacts.end": ({}, (DONE, DONE, CONFLICT, DONE, DONE)),
    "contacts.hand_over": ({"to": "{colleague}"}, (DONE, DONE, CONFLICT, DONE, DONE)),
    "contacts.identify": ({"account": "{account}", "person": "{person}"}, (DONE, DONE, CONFLICT, DONE, DONE)),
    "contacts.wrap_up": ({"summary": "All well", "disposition": "resolved", "root_cause": "bill_changed"}, (CONFLICT, CONFLICT, DONE, CONFLICT, CONFLICT)),
    "contacts.speaker": ({"account": "{account}", "name": "Maria Okafor"}, (MISMATCH, DONE, LIVE, DONE, DONE)),
    "contacts.check_pin": ({"account": "{account}", "pin": "4711"}, (MISMATCH, DONE, LIVE, DONE, DONE)),
    "contacts.send_code": ({"account": "{account}", "line": "{line}"}, (MISMATCH, DONE, LIVE, DONE, DONE)),
    "contacts.check_code": ({"account": "{account}", "code": "000000"}, (MISMATCH, "code-failed", LIVE, "code-failed", "code-failed")),
    "contacts.call_back": ({"account": "{account}", "line": "{line}"}, (MISMATCH, DONE, "needs-caller", DONE, DONE)),
    "contacts.call_back_answered": ({"account": "{account}", "name": "Maria Okafor"}, (MISMATCH, *("needs-line-down",) * 4)),
    "contacts.call_back_failed": ({"account": "{account}", "why": "not_reached"}, (MISMATCH, *("needs-line-down",) * 4)),
    "contacts.note": ({"account": "{account}", "words": "Called about the bill"}, (MISMATCH, VERIFY, DONE, DONE, DONE)),
    "contacts.pin_note": ({"account": "{account}", "note": "{note}", "pinned": "on"}, (MISMATCH, VERIFY, DONE, DONE, DONE)),
    "credits.grant": ({"account": "{account}", "amount": "2.50", "reason": "goodwill"}, (MISMATCH, VERIFY, LIVE, DONE, DONE)),
    "credits.reverse": ({"account": "{account}", "credit": "{credit}", "words": "By mistake"}, (MISMATCH, VERIFY, LIVE, NOT_OWN, NOT_OWN)),
    "arrangements.agree": ({"account": "{account}", "plan": "2026-12-04:4860"}, (MISMATCH, VERIFY, LIVE, "arrangement-nothing", "arrangement-nothing")),
    "arrangements.change": ({"account": "{account}", "plan": "2026-12-04:4860", "words": "Later"}, (MISMATCH, VERIFY, LIVE, "arrangement-fits", "arrangement-fits")),
    "arrangements.stop_charging": ({"account": "{account}", "words": "Pays at the bank"}, (MISMATCH, VERIFY, LIVE, "no-arrangement", "no-arrangement")),
    "arrangements.cancel": ({"account": "{account}", "words": "Pays it all"}, (MISMATCH, VERIFY, LIVE, "no-arrangement", "no-arrangement")),
    "payments.switch_autopay": ({"account": "{account}", "on": "on", "words": "Forgets it each month"}, (MISMATCH, VERIFY, LIVE, DONE, DONE)),
    "payments.take": ({"account": "{account}", "amount": "5", "method": "{method}"}, (MISMATCH, VERIFY, LIVE, DONE, DONE)),
    "payments.send_link": ({"account": "{account}", "amount": "5", "line": "{line}"}, (MISMATCH, VERIFY, LIVE, DONE, DONE)),
    "payments.send_guest_link": ({"account": "{account}", "amount": "5", "number": "(206) 555-0123"}, (MISMATCH, DONE, LIVE, DONE, DONE)),
    "approvals.ask": ({"account": "{account}", "asked": "credits.grant", "amount": "40", "reason": "retention"}, (MISMATCH, VERIFY, LIVE, DONE, DONE)),
    "approvals.ask_admission": ({"account": "{account}", "words": "It is mine"}, (CONFLICT, CONFLICT, LIVE, CONFLICT, CONFLICT)),
    "approvals.withdraw": ({"request": "{request}"}, (DONE,) * 5),
    "lines.suspend": ({"account": "{account}", "line": "{line}", "reason": "lost_or_stolen"}, (MISMATCH, VERIFY, LIVE, DONE, DONE)),
    "lines.restore": ({"account": "{account}", "line": "{line}", "consent": "0"}, (MISMATCH, VERIFY, LIVE, "line-active", "line-active")),
    "lines.set_feature": ({"account": "{account}", "line": "{line}", "feature": "roaming", "on": "on"}, (MISMATCH, VERIFY, LIVE, DONE, DONE)),
    "lines.add_data": ({"account": "{account}", "line": "{line}", "mb": "1024", "consent": "500"}, (MISMATCH, VERIFY, LIVE, DONE, DONE)),
    "lines.refresh_provisioning": ({"account": "{account}", "line": "{line}"}, (MISMATCH, VERIFY, LIVE, DONE, DONE)),
    "lines.reset_registration": ({"account": "{account}", "line": "{line}"}, (MISMATCH, VERIFY, LIVE, DONE, DONE)),
    "diagnosis.start": ({"account": "{account}", "line": "{line}", "guide": "no_service", "words": "No bars"}, (MISMATCH, VERIFY, LIVE, DONE, DONE)),
    "diagnosis.answer": ({"account": "{account}", "walk": "{walk}", "said:line.status": "active"}, (MISMATCH, VERIFY, LIVE, DONE, DONE)),
    "diagnosis.undo": ({"account": "{account}", "walk": "{walk}"}, (MISMATCH, VERIFY, LIVE, "nothing-to-undo", "nothing-to-undo")),
    "diagnosis.read_again": ({"account": "{account}", "walk": "{walk}"}, (MISMATCH, VERIFY, LIVE, "nothing-to-read", "nothing-to-read")),
    "diagnosis.close": ({"account": "{account}", "walk": "{walk}"}, (MISMATCH, VERIFY, "walk-goes-on", "walk-goes-on", "walk-goes-on")),
    "diagnosis.leave": ({"account": "{account}", "walk": "{walk}"}, (MISMATCH, VERIFY, DONE, DONE, DONE)),
    "diagnosis.tell": ({"account": "{account}", "walk": "{walk}", "text": "It was airplane mode"}, (MISMATCH, VERIFY, LIVE, DONE, DONE)),
    "ledger.send_explanation": (
        {"account": "{account}", "bill": "{bill}", "against": "{against}", "line": "{line}", "text": "A discount ended"}, (MISMATCH, VERIFY, LIVE, DONE, DONE),
    ),
    "ledger.print_explanation": ({"account": "{account}", "bill": "{bill}", "against": "{against}"}, (MISMATCH, VERIFY, LIVE, DONE, DONE)),
    "ledger.send_statement": ({"account": "{account}", "first": "2026-10-01", "last": "2026-11-24"}, (MISMATCH, VERIFY, LIVE, DONE, DONE)),
    "ledger.print_bill": ({"account": "{account}", "bill": "{bill}"}, (MISMATCH, VERIFY, LIVE, DONE, DONE)),
    "ledger.send_bill": ({"account": "{account}", "bill": "{bill}"}, (MISMATCH, VERIFY, LIVE, DONE, DONE)),
    "ledger.print_statement": ({"account": "{account}", "first": "2026-10-01", "last": "2026-11-24"}, (MISMATCH, VERIFY, LIVE, DONE, DONE)),
    "collections.hold": ({"account": "{account}", "kind": "dispute", "until": "2026-12-01", "amount": "5", "words": "The roaming pass"}, (MISMATCH, DONE, DONE, DONE, DONE)),  # it only protects
    "collections.call_again": ({"account": "{account}", "on": "2026-12-01", "start": "18:00"}, (MISMATCH, *("nothing-to-call",) * 4)),
    "collections.release": ({"account": "{account}", "hold": "HO-0000001-7", "words": "It is cleared"}, (MISMATCH, NOT_THERE, NOT_THERE, NOT_THERE, NOT_THERE)),
    "ledger.allocate": (
        {"account": "{account}", "entry": "{paid}", "bill": "{newest}", "amount": "5", "from_bill": "{against}"}, (MISMATCH, VERIFY, LIVE, MOVES, MOVES),
    ),
    "ledger.write_off": ({"account": "{account}", "amount": "5", "reason": "small_balance"}, (MISMATCH, VERIFY, LIVE, MOST, MOST)),
    "ledger.recover": ({"account": "{account}", "write_off": "WO-0000001-7", "amount": "5", "words": "Too early"}, (MISMATCH, VERIFY, LIVE, NO_ROLE, NO_ROLE)),
    "billing.add_promotion": ({"account": "{account}", "promotion": "loyalty"}, (MISMATCH, VERIFY, LIVE, DONE, DONE)),
    "billing.add_extra": ({"account": "{account}", "extra_code": "protection", "line": "{line}", "consent": "900"}, (MISMATCH, VERIFY, LIVE, DONE, DONE)),
    "billing.sell_in_instalments": (
        {"account": "{account}", "equipment": "pixel_8", "count": "24", "line": "{line}", "consent": "1950"}, (MISMATCH, VERIFY, LIVE, DONE, DONE),
    ),
    "billing.pay_off": ({"account": "{account}", "instalments": "IN-0000001-7", "consent": "100", "words": "Moves abroad"}, (MISMATCH, VERIFY, LIVE, NOT_THERE, NOT_THERE)),
    "billing.end_agreed": ({"account": "{account}", "agreed": "AG-0000001-7", "words": "Wants it no more"}, (MISMATCH, VERIFY, LIVE, NOT_THERE, NOT_THERE)),
    "lines.change_plan": ({"account": "{account}", "line": "{line}", "plan": "{plan}", "consent": "6500"}, (MISMATCH, VERIFY, LIVE, DONE, DONE)),
    "lines.change_sim": ({"account": "{account}", "line": "{line}", "kind": "sim", "iccid": "8901260000000000071"}, (MISMATCH, VERIFY, LIVE, STRONG, DONE)),
    "lines.change_device": ({"account": "{account}", "line": "{line}", "imei": "260531793113837", "make": "Fairphone", "model": "5"}, (MISMATCH, VERIFY, LIVE, DONE, DONE)),
    "lines.make_transfer_pin": ({"account": "{account}", "line": "{line}"}, (MISMATCH, VERIFY, LIVE, STRONG, DONE)),
    "customers.change_contact": ({"account": "{account}", "email": "maria@new.example", "phone": ""}, (MISMATCH, VERIFY, LIVE, STRONG, DONE)),
    "customers.change_address": (
        {"account": "{account}", "street": "12 Pine St", "city": "Seattle", "state": "WA", "postal_code": "98101"}, (MISMATCH, VERIFY, LIVE, STRONG, DONE),
    ),
    "customers.set_pin": ({"account": "{account}", "pin": "83520"}, (MISMATCH, VERIFY, LIVE, "pin-strong", DONE)),
    "customers.clear_pin": ({"account": "{account}", "words": "Forgot it"}, (MISMATCH, VERIFY, LIVE, "pin-forgotten", "pin-forgotten-lead")),
    "customers.lock": ({"account": "{account}", "what": "both"}, (MISMATCH, VERIFY, LIVE, DONE, DONE)),
    "customers.unlock": ({"account": "{account}", "what": "sim"}, (MISMATCH, VERIFY, LIVE, STRONG, CONFLICT)),  # it is not locked
    "customers.add_person": ({"account": "{account}", "name": "Rosa Okafor"}, (MISMATCH, VERIFY, LIVE, STRONG, DONE)),
    "customers.change_person": ({"account": "{account}", "person": "{julio}", "until": "2027-01-31"}, (MISMATCH, VERIFY, LIVE, STRONG, DONE)),
    "customers.end_person": ({"account": "{account}", "person": "{julio}"}, (MISMATCH, VERIFY, LIVE, DONE, DONE)),
    "customers.set_preferences": ({"account": "{account}", "language": "fr", "needs": "rtt"}, (MISMATCH, VERIFY, LIVE, DONE, DONE)),
    "customers.set_consent": ({"account": "{account}", "about": "marketing:sms", "yes": "false"}, (MISMATCH, DONE, LIVE, DONE, DONE)),  # a no
    "customers.separate_line": ({"account": "{account}", "lines": "{line}", "name": "Rosa", "seen": "on"}, (MISMATCH, *(NO_ROLE,) * 4)),
    "customers.place_legal_hold": ({"account": "{account}", "matter": "Okafor v. Fernline"}, (MISMATCH, *(NO_ROLE,) * 4)),
    "customers.lift_legal_hold": ({"account": "{account}", "hold": "LH-0000001-7", "words": "Settled"}, (MISMATCH, *(NOT_THERE,) * 4)),
    "customers.redact": ({"account": "{account}", "before": "2025-01-01", "words": "Asked for it"}, (MISMATCH, *(NO_ROLE,) * 4)),
    "payments.refund": ({"account": "{account}", "payment": "{payment}", "amount": "5", "words": "Twice"}, (MISMATCH, VERIFY, LIVE, NONE_LEFT, NONE_LEFT)),
}
# Where a role answers otherwise than the rows above, which are an associate's: a trainee moves no money, a lead takes
# back the credit of a colleague, and whoever may grant $40 themselves has nothing to ask.
OTHERWISE = {
    ("tom", "credits.grant"): (MISMATCH, VERIFY, LIVE, TOO_MUCH, TOO_MUCH),
    **{("tom", f"payments.{verb}"): (MISMATCH, VERIFY, LIVE, NO_ROLE, NO_ROLE) for verb in ("take", "switch_autopay")},
    **{("tom", f"lines.{verb}"): (MISMATCH, VERIFY, LIVE, NO_ROLE, NO_ROLE) for verb in ("suspend", "restore", "add_data", "change_plan", "change_device")},
    **{("tom", f"lines.{verb}"): (MISMATCH, VERIFY, LIVE, STRONG, NO_ROLE) for verb in ("change_sim", "make_transfer_pin")},
    ("tom", "billing.add_promotion"): (MISMATCH, VERIFY, LIVE, "promotion-worth", "promotion-worth"),
    ("tom", "billing.sell_in_instalments"): (MISMATCH, VERIFY, LIVE, "sale-room", "sale-room"),
    **{("tom", f"billing.{verb}"): (MISMATCH, VERIFY, LIVE, NO_ROLE, NO_ROLE) for verb in ("end_agreed", "add_extra", "pay_off")},
    **{(name, "ledger.allocate"): (MISMATCH, VERIFY, LIVE, DONE, DONE) for name in ("eva", "lena", "sam")},
    **{(name, "ledger.write_off"): (MISMATCH, VERIFY, LIVE, DONE, DONE) for name in ("lena", "sam")},
    **{(name, "ledger.recover"): (MISMATCH, VERIFY, LIVE, NOT_THERE, NOT_THERE) for name in ("lena", "sam")},
    **{("tom", f"customers.{verb}"): (MISMATCH, VERIFY, LIVE, STRONG, NO_ROLE)
       for verb in ("change_contact", "change_address", "unlock", "add_person", "change_person")},
    ("tom", "customers.set_pin"): (MISMATCH, VERIFY, LIVE, "pin-strong", NO_ROLE),
    ("tom", "collections.call_again"): (MISMATCH, *(NO_ROLE,) * 4),
    ("tom", "customers.end_person"): (MISMATCH, VERIFY, LIVE, NO_ROLE, NO_ROLE),
    **{(name, "customers.clear_pin"): (MISMATCH, VERIFY, LIVE, "pin-forgotten", DONE) for name in ("lena", "sam")},
    **{(name, "customers.separate_line"): (MISMATCH, *(CONFLICT,) * 4) for name in ("lena", "sam")},  # it is her only line
    ("sam", "customers.place_legal_hold"): (MISMATCH, *(DONE,) * 4),
    ("sam", "customers.redact"): (MISMATCH, *(CONFLICT,) * 4),  # there is nothing so old
    ("lena", "credits.reverse"): (MISMATCH, VERIFY, LIVE, DONE, DONE),
    ("sam", "credits.reverse"): (MISMATCH, VERIFY, LIVE, DONE, DONE),
    ("eva", "approvals.ask"): (MISMATCH, VERIFY, LIVE, CONFLICT, CONFLICT),
    ("lena", "approvals.ask"): (MISMATCH, VERIFY, LIVE, CONFLICT, CONFLICT),
    ("sam", "approvals.ask"): (MISMATCH, VERIFY, LIVE, CONFLICT, CONFLICT),
}


def known_of(account) -> dict[str, object]:
    """What the rows of `ACTS` name of an account: its rows by id, its documents by number."""
    return {
        "account": account.pk, "line": account.lines.get().pk, "method": account.payment_methods.get().pk,
        "person": AccountPerson.objects.get(account=account, right="holder").person_id, "plan": people.unlimited_plan().pk,
        "julio": AccountPerson.objects.filter(account=account, right="authorized").values_list("person_id", flat=True).first() or 1,
        **dict(zip(("against", "bill", "newest"), account.bills.order_by("issued_on").values_list("pk", flat=True), strict=False)),
        "payment": account.payments.first().number, "paid": account.entries.filter(kind="payment").order_by("at").first().pk,
    }  # fmt: skip


def came_to(response, code) -> str:
    """What an act came to: done, or the rule that the journal names for its refusal."""
    if response.status_code in (302, 303):
        return DONE
    assert response.status_code == 422, (code, response.status_code)
    no = JournalLine.objects.filter(code=code).latest("pk").content
    return no["data"]["rule"] or no["data"]["code"].lower()


@pytest.mark.parametrize("name", ("tom", "ana", "eva", "lena", "sam"))
def test_every_act_answers_each_role_at_each_level_as_the_table_says(house, maria, name):
    browser, found, expected = Browser(house[name]), {}, {}
    secrets = secrets_of(maria)
    known = {**known_of(maria), "note": Note.objects.get().pk, "credit": maria.grants.get().number, "colleague": house["ben"].pk}
    for level in LEVELS:
        with undone():
            contact = hold_contact(house[name], maria, level)
            known["request"] = ask_for_a_credit(contact, house[name], "credits.reverse").pk
            for code, (typed, usual) in ACTS.items():
                with undone():
                    known["walk"] = begin_a_walk(maria).pk if "{walk}" in typed.values() else 0
                    response = browser.do(contact, code, **{k: v.format(**known) for k, v in typed.items()})
                    found[level, code] = came_to(response, code)
                    if level in ("none", "identified"):
                        assert not seen_in(response, secrets), code
                expected[level, code] = OTHERWISE.get((name, code), usual)[LEVELS.index(level)]
    assert found == expected


def test_the_table_of_acts_is_the_table_of_the_contact_page():
    from careline.doors.web.act_forms import KINDS

    assert set(ACTS) == set(KINDS)


def test_an_act_that_is_not_of_the_contact_page_is_not_there(house, maria):
    contact = hold_contact(house["sam"], maria, "verified")
    for code in ("staff.add", "customers.tie_staff", "payments.link_paid", "contacts.ring", "approvals.decide", "view.account", "x"):
        assert Browser(house["sam"]).do(contact, code, account=maria.pk).status_code == 404


# ---------------------------------------------------------------- nothing before verification, not in the source either

FORMS = ("credits.grant", "credits.reverse", "payments.take", "payments.send_link", "payments.send_guest_link", "contacts.hand_over",
         "contacts.reason", "contacts.end", "contacts.drop", "contacts.note", "lines.add_data", "lines.restore", "lines.suspend",
         "lines.set_feature", "lines.refresh_provisioning", "lines.change_sim", "lines.change_device", "lines.make_transfer_pin", *(code for code in ACTS if code.startswith("customers.")), "nonsense")


def questions(account, contact) -> list[str]:
    """Every way to ask for a contact's page, and the searches that lead to it."""
    here, bill, line = f"/contacts/{contact.reference}/", Bill.objects.filter(account=account).first(), account.lines.get()
    return [
        here, *(f"{here}?act={code}" for code in FORMS), *(f"{here}?section={s}" for s in ("cause", "money", "lines", "care", "time", "notes")),
        f"{here}?section=cause&walk=1", f"{here}?section=cause&walk=1&act=lines.add_data&line=1&mb=2048",
        f"{here}?section=money&bill={bill.pk}", f"{here}?section=time&before=99999", f"{here}?verify=more", f"{here}?move=1",
        f"{here}?q=Okafor", f"{here}?q=206+555", f"{here}?admit={account.pk}&person=1", f"{here}?act=credits.grant&bill_line=1",
        f"{here}journal", f"{here}journal?kind=money", f"{here}money/", f"{here}money/?months=0",
        *(f"{here}?act={code}" for code in ("ledger.allocate&entry=1", "ledger.write_off", "ledger.recover", "payments.refund")), "/", "/ringing", "/find?q=Okafor", "/find?q=Maria", "/find?q=2065550188",
        "/find?q=(206)+555-01", "/find?q=0188", "/find?q=A-0104822", f"/find?q={line.iccid}", f"/find?q={line.device.imei}", "/me",
        "/find?q=okafor.example",
    ]


def ended_in_silence(desk, clock):
    desk.must("contacts.check_pin", account=desk.account, pin="4711")
    clock.later(minutes=31)


def line_dropped(desk, clock):
    desk.must("contacts.check_pin", account=desk.account, pin="4711")
    desk.must("contacts.drop")


def another_voice(desk, clock):
    desk.must("contacts.check_pin", account=desk.account, pin="4711")
    desk.must("contacts.speaker", account=desk.account, name="Rolf the neighbour")


def call_back_failed(desk, clock):
    desk.must("contacts.call_back", account=desk.account, line=Line.objects.get().pk)
    desk.must("contacts.call_back_failed", account=desk.account, why="not_reached")


def code_is_on_its_way(desk, clock):
    desk.must("contacts.send_code", account=desk.account, line=Line.objects.get().pk)


def ended_without_proof(desk, clock):
    desk.must("contacts.end")


UNPROVEN = {
    "identified": lambda desk, clock: None, "a code is on its way": code_is_on_its_way, "ended in silence": ended_in_silence,
    "the line dropped": line_dropped, "a call back failed": call_back_failed, "another voice": another_voice, "ended without proof": ended_without_proof,
}


@pytest.mark.parametrize("story", UNPROVEN)
def test_before_verification_nothing_of_the_account_is_in_any_page(house, maria, clock, story):
    contact = hold_contact(house["ana"], maria, "identified")
    desk = Desk(house["ana"])
    desk.contact, desk.account = contact.pk, maria.pk
    UNPROVEN[story](desk, clock)
    browser, secrets = Browser(house["ana"]), secrets_of(maria)
    for address in questions(maria, contact):
        with undone():
            response = browser.get(address)
        assert response.status_code in (200, 403), address
        assert not seen_in(response, secrets, but=unquote_plus(address.partition("?q=")[2])), address


def test_the_number_to_call_back_is_whole_only_while_it_is_being_called(house, maria, clock):
    contact = hold_contact(house["ana"], maria, "identified")
    browser, here, dial = Browser(house["ana"]), f"/contacts/{contact.reference}/", 'href="tel:+12065550188"'
    known = {"account": maria.pk, "line": maria.lines.get().pk}
    assert "I am calling back" in browser.get(here).content.decode()
    assert browser.do(contact, "contacts.call_back", **known).status_code == 303
    page = browser.get(here).content.decode()
    assert dial in page and "(206) 555-0188" in page and "This is who picked up" in page
    assert "line down" in page and "on hold" not in page
    assert dial not in Browser(house["ben"]).get(here).content.decode()
    clock.later(seconds=20)
    refused = browser.do(contact, "contacts.call_back_answered", account=maria.pk, name="Zoe Q")
    assert "2 tries left" in refused.content.decode() and not seen_in(refused, secrets_of(maria))
    assert browser.do(contact, "contacts.call_back", **known).status_code == 303
    clock.later(seconds=20)
    assert browser.do(contact, "contacts.call_back_failed", account=maria.pk, why="not_reached").status_code == 303
    page = browser.get(here).content.decode()
    assert dial not in page and "1 try left" in page and "I am calling back" in page
    assert browser.do(contact, "contacts.call_back", **known).status_code == 303
    clock.later(seconds=20)
    assert browser.do(contact, "contacts.call_back_answered", account=maria.pk, name="Maria").status_code == 303
    page = browser.get(here).content.decode()
    assert "call back," in page and dial not in page


def test_once_verified_the_same_words_are_there(house, maria):
    """So that the test above can fail: what it looks for is what the page says."""
    contact, browser, secrets = hold_contact(house["ana"], maria, "verified"), Browser(house["ana"]), secrets_of(maria)
    here = f"/contacts/{contact.reference}/"
    seen = {name for address in ("", "?section=time", "?section=lines", "?section=notes", "?act=payments.take", f"?bill={Bill.objects.latest('pk').pk}")
            for name in seen_in(browser.get(here + address), secrets)}
    never = {"email of the customer", "SIM", "number of a bill", "PIN hash", "hash itself", "past contact", "zone"}
    assert seen == set(secrets) - never | {"whole phone number"}


def test_the_greeting_is_there_before_verification(house, maria):
    contact = hold_contact(house["ana"], maria, "identified")
    page = Browser(house["ana"]).get(f"/contacts/{contact.reference}/").content.decode()
    for needed in ("Maria Okafor", "A-0104822", "prefers Spanish", "hard of hearing", "Account PIN", "ends 0188"):
        assert needed in page


def test_a_search_shows_the_name_as_matched_the_reference_and_four_digits_only(house, maria):
    browser = Browser(house["ana"])
    by_name = browser.get("/find?q=okafor").content.decode()
    assert "Maria Okafor" in by_name and "A-0104822" in by_name and "0188" not in by_name
    by_number = browser.get("/find?q=206-555").content.decode()
    assert "0188" in by_number and "A-0104822" in by_number and "Okafor" not in by_number


def test_a_guess_of_the_pin_says_nothing_of_the_account_and_is_kept_nowhere(house, maria):
    contact = hold_contact(house["ana"], maria, "identified")
    for pin in ("83955192", "83965192", "83975192"):
        response = Browser(house["ana"]).do(contact, "contacts.check_pin", account=maria.pk, pin=pin)
        assert response.status_code == 422 and not seen_in(response, secrets_of(maria)) and pin not in response.content.decode()
    assert "locked" in response.content.decode()
    assert not any("839" in line.content["say"] for line in JournalLine.objects.filter(code="contacts.check_pin"))


# ---------------------------------------------------------------- own business


def tie(account, person, how):
    StaffTie.objects.create(account=account, staff=person, tie=how)
    Account.objects.filter(pk=account.pk).update(staff_marked=True)


TIES = {"own": ("ana", "own"), "relative": ("ana", "relative"), "colleague's": ("ben", "own")}


@pytest.mark.parametrize("how", TIES)
def test_nobody_opens_their_own_a_relatives_or_a_colleagues_account_alone(house, maria, how):
    """By every way to an account: from the find box, by moving a contact, by answering, by taking over."""
    name, kind = TIES[how]
    tie(maria, house[name], kind)
    browser, secrets = Browser(house["ana"]), secrets_of(maria)
    person = AccountPerson.objects.get(account=maria, right="holder").person_id
    response = browser.post("/start", account=maria.pk, person=person)
    assert response.status_code == 403 and b"own-business" in response.content
    assert not Contact.objects.filter(holder=house["ana"]).exists()

    asking = browser.post("/start/admission", account=maria.pk, person=person)
    contact = Contact.objects.get(holder=house["ana"])
    page = browser.get(asking["Location"]).content.decode()
    assert "own-business" in page and "Ask a lead" in page and "Okafor" not in page
    response = browser.do(contact, "contacts.identify", account=maria.pk, person=person)
    assert response.status_code == 422 and not seen_in(response, secrets)
    contact.refresh_from_db()
    assert contact.account is None
    browser.do(contact, "contacts.end")
    contact.refresh_from_db()
    browser.do(contact, "contacts.wrap_up", summary="x", disposition="resolved", root_cause="bill_changed")

    Contact.objects.create(reference="C-8888888-8", channel="voice", state="ringing", caller_number="+12065550188", last_active=TUESDAY, began=TUESDAY)
    response = browser.post("/answer", contact=Contact.objects.get(state="ringing").pk)
    rung = Contact.objects.get(reference="C-8888888-8")
    assert rung.account is None and "admit=" in response["Location"]
    browser.do(rung, "contacts.hand_over", to=house["ben"].pk)
    browser.do(rung, "contacts.drop")


@pytest.mark.parametrize("how", TIES)
def test_an_account_of_ones_own_cannot_be_taken_over_and_its_offer_shows_nothing(house, maria, how):
    name, kind = TIES[how]
    eva_holds = hold_contact(house["eva"], maria, "verified")
    Browser(house["eva"]).do(eva_holds, "contacts.hand_over", to=house["ana"].pk, words="She has an old bill open")
    tie(maria, house[name], kind)
    browser = Browser(house["ana"])
    offered = browser.get(f"/contacts/{eva_holds.reference}/")
    taken = browser.do(eva_holds, "contacts.accept")
    for response in (offered, taken):
        assert response.status_code == 403 and b"own-business" in response.content
        assert b"Okafor" not in response.content and b"old bill" not in response.content and not seen_in(response, secrets_of(maria))
    eva_holds.refresh_from_db()
    assert eva_holds.holder == house["eva"] and b"Ask a lead to admit you" in offered.content
    browser.do(eva_holds, "approvals.ask_admission", account=maria.pk, words="Eva goes home")
    waits = browser.get(f"/contacts/{eva_holds.reference}/")
    assert waits.status_code == 403 and b"Look again" in waits.content and b"Okafor" not in waits.content
    Browser(house["lena"]).post(f"/approvals/{Request.objects.get(kind='admit').pk}", decision="approve")
    assert b"Take over" in browser.get(f"/contacts/{eva_holds.reference}/").content
    assert browser.do(eva_holds, "contacts.accept").status_code == 303


def test_a_verified_contact_that_moves_to_ones_own_business_asks_for_a_second_person_first(house, maria):
    hers = people.open_account("Ana Silva", "+12065550179", "A-0104905")
    tie(hers, house["ana"], "own")
    contact, browser = hold_contact(house["ana"], maria, "strong"), Browser(house["ana"])
    answer = browser.do(contact, "contacts.identify", account=hers.pk)
    assert answer.status_code == 422 and b"own-business" in answer.content and b"approvals.ask_admission" in answer.content
    browser.do(contact, "approvals.ask_admission", account=hers.pk, words="She is in a hurry")
    Browser(house["lena"]).post(f"/approvals/{Request.objects.get(kind='admit').pk}", decision="approve")
    assert b"Open the account" in browser.get(f"/contacts/{contact.reference}/").content
    assert browser.do(contact, "contacts.identify", account=hers.pk).status_code == 303


def test_a_tie_that_is_made_during_a_contact_closes_it(house, maria):
    contact, browser = hold_contact(house["ana"], maria, "strong"), Browser(house["ana"])
    here = f"/contacts/{contact.reference}/"
    assert browser.get(here).status_code == 200
    tie(maria, house["ana"], "own")
    for address in (here, here + "?section=notes", here + "journal"):
        response = browser.get(address)
        assert response.status_code == 403 and b"Okafor" not in response.content and not seen_in(response, secrets_of(maria)), address
    for code, typed in (("contacts.note", {"words": "me"}), ("payments.take", {"amount": "5", "method": 1}), ("credits.grant", {"amount": "5", "reason": "goodwill"})):
        response = browser.do(contact, code, account=maria.pk, **typed)
        assert response.status_code == 403 and not seen_in(response, secrets_of(maria)), code
    assert Note.objects.count() == 1 and maria.grants.count() == 1


@pytest.mark.parametrize("how", TIES)
def test_a_second_person_admits_and_money_stays_closed_on_ones_own(house, maria, how):
    name, kind = TIES[how]
    tie(maria, house[name], kind)
    browser, lena = Browser(house["ana"]), Browser(house["lena"])
    person = AccountPerson.objects.get(account=maria, right="holder").person_id
    browser.post("/start/admission", account=maria.pk, person=person)
    contact = Contact.objects.get(holder=house["ana"])
    browser.do(contact, "approvals.ask_admission", account=maria.pk, person=person, words="Nobody else is on shift")
    asked = Request.objects.get(contact=contact)
    assert Browser(house["ana"]).post(f"/approvals/{asked.pk}", decision="approve").status_code == 403  # not by herself
    shown = lena.get(f"/approvals/{asked.pk}")
    assert shown.status_code == 200 and not seen_in(shown, {k: v for k, v in secrets_of(maria).items() if k not in ("balance",)})
    assert answer_of(lena.post(f"/approvals/{asked.pk}", decision="approve")) == "/approvals"
    assert browser.do(contact, "contacts.identify", account=maria.pk, person=person).status_code == 303
    browser.do(contact, "contacts.check_pin", account=maria.pk, pin="4711")
    page = browser.get(f"/contacts/{contact.reference}/")
    assert page.status_code == 200 and "$45.39" in page.content.decode()
    given = browser.do(contact, "credits.grant", account=maria.pk, amount="5", reason="goodwill").status_code
    assert given == (303 if how == "colleague's" else 422)


# ---------------------------------------------------------------- the administrator


def test_the_administrator_sees_no_customer_data_anywhere(house, maria, monkeypatch):
    """With contacts, requests, messages and rings about her, in the demo too."""
    contact = hold_contact(house["ana"], maria, "verified")
    asked = ask_for_a_credit(contact, house["ana"])
    Desk(house["ben"]).must("contacts.open", account=maria.pk)
    ada = Browser(house["ada"])
    secrets = secrets_of(maria) | {"name": "Okafor", "reference": "A-0104822", "digits": " 0188"}  # with its space: a random token may hold the four digits
    for demo in (False, True):
        monkeypatch.setattr(settings, "DEMO", demo)
        for address in [*questions(maria, contact), "/people", "/approvals", f"/approvals/{asked.pk}", "/approvals/part", f"/requests/{asked.pk}/part",
                        "/messages", "/messages/part", "/ring", "/api/docs", "/follow-ups/1", "/answers-seen", "/preferences"]:
            response = ada.get(address)
            assert response.status_code in (200, 302, 403, 404), address
            assert not seen_in(response, secrets, but=unquote_plus(address.partition("?")[2])), address
    for code, (typed, _) in ACTS.items():
        response = ada.do(contact, code, **{k: v for k, v in typed.items() if "{" not in v})
        assert response.status_code == 403 and not seen_in(response, secrets), code


def test_the_administrators_token_does_nothing_with_a_customer_and_is_told_nothing(house, maria):
    contact = hold_contact(house["ana"], maria, "verified")
    asked = ask_for_a_credit(contact, house["ana"])
    known = {**known_of(maria), "credit": "CR-0000001-3", "request": asked.pk, "colleague": house["ben"].pk, "note": 1, "walk": 1}
    secrets = secrets_of(maria) | {"name": "Okafor", "reference": "A-0104822"}
    _, secret = staff_operations.issue_token(act=people.carrier_act(), staff_id=house["ada"].pk, label="test", scope="*", expires_at=TUESDAY + timedelta(days=9))
    before = Outbox.objects.count(), Note.objects.count()
    for code in api.api_acts():
        if code.startswith(("staff.", "rulebook.")):
            continue
        for basis in ({"kind": "contact", "id": str(contact.pk)}, {"kind": "request", "id": str(asked.pk)}, None):
            typed = {k: v.format(**known) for k, v in ACTS.get(code, ({}, ""))[0].items()}
            response = Client(raise_request_exception=False).post(
                f"/api/acts/{code}", {"basis": basis, "input": {"account": str(maria.pk), **typed}}, content_type="application/json",
                headers={"Authorization": f"Bearer {secret}", "Idempotency-Key": key()},
            )  # fmt: skip
            assert response.status_code in (403, 404, 422) and not seen_in(response, secrets), (code, basis, response.content)
    assert (Outbox.objects.count(), Note.objects.count()) == before
