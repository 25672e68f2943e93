"""The API: works, refuses, and part by part. The same people and the same rules as at the desk, by token."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from careline.acts import table
from careline.domain.contacts.models import Contact, Note
from careline.domain.credits.models import Grant
from careline.domain.customers.models import Pin
from careline.domain.journal import queries as journal
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.models import Outbox, Payload
from careline.domain.ledger import queries as ledger
from careline.domain.ledger.models import BillLine
from careline.domain.staff import operations as staff
from careline.domain.staff.models import Token
from careline.doors.api import app, problems
from careline.doors.jobs.papers import make_one
from tests import people
from tests.people import carrier_act, key


def token_of(person, scope="*", days=30.0):
    now = timezone.now()
    token, secret = staff.issue_token(
        act=carrier_act(now), staff_id=person.pk, label="test", scope=scope, expires_at=now + timedelta(days=days)
    )
    return token, secret


class Caller:
    """A client of the API with a token; it remembers the contact it opened."""

    def __init__(self, secret):
        self.http, self.secret, self.contact = Client(raise_request_exception=False), secret, None

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.secret}"} if self.secret else {}

    def raw(self, code, body, content_type="application/json", **headers):
        sent = {**self.headers, "Idempotency-Key": key(), **headers}
        return self.http.post(
            f"/api/acts/{code}", body, content_type=content_type, headers={k: v for k, v in sent.items() if v is not None}
        )

    def act(self, code, /, *, basis="mine", key_=None, why="", **given):
        if basis == "mine":
            basis = {"kind": "contact", "id": self.contact} if self.contact else None
        body = {"basis": basis, "why": why, "input": given}
        return self.raw(code, json.dumps(body), **({"Idempotency-Key": key_} if key_ else {}))

    def must(self, code, /, **given):
        answer = self.act(code, **given)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def get(self, address, **query):
        return self.http.get(f"/api{address}", query, headers=self.headers)

    def take(self, account, verify=True, pin="4711"):
        holder = str(account.people.get(right="holder").person_id)
        opened = self.must("contacts.open", channel="chat", account=str(account.pk), person=holder)
        self.contact = opened["show"]["id"]
        if verify:
            self.must("contacts.check_pin", account=str(account.pk), pin=pin)
        return self


@pytest.fixture
def maria(house):
    return people.open_account(today=timezone.localdate())


@pytest.fixture
def ana(house):
    return Caller(token_of(house["ana"])[1])


def no(answer, status, code):
    """A problem as RFC 9457 and we want it."""
    assert answer.status_code == status, (answer.status_code, answer.content[:400])
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert set(problems.SCHEMA["required"]) == set(body)
    assert (body["status"], body["code"]) == (status, code), body
    assert body["title"] and body["detail"] and body["type"] == f"/api/docs#{code}"
    assert "Traceback" not in body["detail"]
    return body


# ---------------------------------------------------------------- works


def test_every_act_has_an_endpoint_and_a_description(house):
    described = app.api.described()["paths"]
    for code in table.acts():
        assert (f"/api/acts/{code}" in described) == (code not in app.NOT_BY_TOKEN), code
    grant = described["/api/acts/credits.grant"]["post"]
    assert {"200", "202", "401", "403", "409", "422"} <= {str(s) for s in grant["responses"]}
    schema = app.api.described()["components"]["schemas"]["CreditsGrantRequest"]
    assert set(schema["properties"]["input"]["properties"]) >= {"account", "amount", "reason"}


def test_no_two_acts_disagree_about_a_shared_schema(house):
    """ninja merges the models of all acts by name: two of one name must be one model."""
    seen = {}
    for kind in app.api_acts().values():
        for name, definition in app.envelope(kind).model_json_schema().get("$defs", {}).items():
            assert seen.setdefault(name, definition) == definition, name


def test_a_credit_by_api_is_the_same_deed_as_at_the_desk(ana, maria):
    before = ledger.balance(maria.pk)
    done = ana.take(maria).must("credits.grant", account=str(maria.pk), amount=500, reason="goodwill", why="Two dropped calls")
    assert done["status"] == "done" and done["show"]["amount"] == 500
    assert ledger.balance(maria.pk) == before - 500
    line = JournalLine.objects.filter(code="credits.grant").get()
    assert line.content["why"] == "Two dropped calls"
    assert not list(journal.verify())


def test_answers_are_never_cached_and_set_no_cookie(ana):
    answer = ana.get("/me")
    assert answer["Cache-Control"] == "no-store" and not answer.cookies


def test_me_and_my_acts(ana, house):
    me = ana.get("/me").json()
    assert (me["role"], me["name"], me["scope"], me["contacts"]) == ("associate", "Ana Silva", ["*"], [])
    mine = {a["code"]: a for a in ana.get("/acts").json()["acts"]}
    assert "credits.grant" in mine and "approvals.decide" not in mine and "staff.sign_in" not in mine
    assert {"code": "goodwill", "title": "Goodwill"} in mine["credits.grant"]["choices"]["reason"]
    assert mine["credits.grant"]["input"]["properties"]["account"]["type"] == "string"
    narrow = Caller(token_of(house["ana"], "contacts.note")[1])
    assert [a["code"] for a in narrow.get("/acts").json()["acts"]] == ["contacts.note"]


def test_before_verification_a_contact_shows_what_is_needed_to_greet_and_verify_and_no_more(ana, maria):
    ana.take(maria, verify=False)
    answer = ana.get(f"/contacts/{ana.contact}")
    shape = answer.json()
    assert shape["level"] == "identified" and shape["who"]["account_reference"] == "A-0104822"
    assert [(f["factor"], f["state"], f["tries_left"]) for f in shape["factors"]] == [
        ("pin", "ready", 3), ("code", "ready", 3), ("callback", "ready", 3)
    ]
    assert shape["people"] == []
    text = answer.content.decode()
    for secret in ("12065550188", "4242", "Pixel", "PLUS15", "4860"):
        assert secret not in text
    body = no(ana.get(f"/accounts/of-contact/{ana.contact}"), 403, "AUTHORITY")
    assert body["rule"] == "needs-verified" and body["act"] == "view.account"
    assert {"label": "Check the PIN", "act": "contacts.check_pin"} in body["way_on"]


def test_a_contact_without_an_account_shows_nobody(ana):
    ana.contact = ana.must("contacts.open", channel="chat")["show"]["id"]
    shape = ana.get(f"/contacts/{ana.contact}").json()
    assert (shape["level"], shape["who"], shape["factors"]) == ("none", None, [])


def test_the_account_page_as_data(ana, maria):
    ana.take(maria).must("contacts.note", account=str(maria.pk), text="Prefers calls after five")
    shape = ana.get(f"/accounts/of-contact/{ana.contact}").json()
    assert shape["standing"]["balance"] == {"minor": 4860, "currency": "USD"}
    assert shape["account"]["id"] == str(maria.pk)
    assert shape["lines"][0]["number"] == "+12065550188" and shape["lines"][0]["usage"]["data_mb"] == 0
    assert shape["lines"][0]["usage"]["others"] == []  # her plan limits neither calls nor messages, and she used none
    assert [b["state"] for b in shape["bills"]].count("paid") == 2
    assert shape["methods"][0]["last_four"] == "4242" and "token" not in shape["methods"][0]
    assert shape["notes"][0]["text"] == "Prefers calls after five"
    assert shape["creditable"] and all(isinstance(c["bill_line"], str) for c in shape["creditable"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", shape["notes"][0]["at"])


def test_a_bill_as_pdf_is_asked_for_and_fetched_once_it_is_made(ana, maria):
    bill = maria.bills.latest("issued_on")
    number = ana.take(maria).must("ledger.print_bill", account=str(maria.pk), bill=str(bill.pk))["show"]["paper"]
    address = f"/contacts/{ana.contact}/papers/{number}"
    assert (ana.get(address).json()["state"], ana.get(address).json()["pdf"]) == ("wanted", None)
    printer = SimpleNamespace(pdf=lambda html: b"%PDF " + html.encode())
    assert make_one(through=printer)
    shape = ana.get(address).json()
    body = base64.b64decode(shape["pdf"])
    assert b"Maria Okafor" in body and shape["digest"] == hashlib.sha256(body).hexdigest() and shape["name"] == f"bill-{bill.number}.pdf"
    assert JournalLine.objects.filter(code="view.paper", outcome="looked").count() == 3
    for other in ("0", "999999", "x", "%00"):
        no(ana.get(f"/contacts/{ana.contact}/papers/{other}"), 404, "NOT_FOUND")


def test_the_number_of_questions_does_not_grow_with_the_rows(ana, house):
    maria = people.open_account(bills=1, today=timezone.localdate())
    ana.take(maria)
    address = f"/accounts/of-contact/{ana.contact}"
    ana.get(address)

    def asked():
        with CaptureQueriesContext(connection) as found:
            assert ana.get(address).status_code == 200
        return len(found)

    before = asked()
    line = maria.lines.get()
    for n in range(6):
        people.issue_bill(maria, line, timezone.localdate() - timedelta(days=1 + n), 4500 + n, 80_000)
        people.pay(maria, 100, timezone.now())
        ana.must("contacts.note", account=str(maria.pk), text=f"Note {n}")
        ana.must("credits.grant", account=str(maria.pk), amount=100 + n, reason="goodwill")
    assert asked() == before


def test_every_look_is_journaled_once_and_every_search_each_time(ana, maria):
    ana.take(maria)
    for _ in range(3):
        ana.get(f"/contacts/{ana.contact}")
        assert ana.get("/find", q="Okafor").json()["hits"][0]["account"] == str(maria.pk)
    assert JournalLine.objects.filter(code="view.contact", outcome="looked").count() == 1
    assert JournalLine.objects.filter(code="view.search", outcome="looked", chain__name="house").count() == 3


def test_a_search_shows_only_what_may_be_shown_before_verification(ana, maria):
    (hit,) = ana.get("/find", q="206 555 0188").json()["hits"]
    assert hit == {
        "account": str(maria.pk), "account_reference": "A-0104822", "person": None, "name_matched": "",
        "number_last_four": "0188", "why": "number",
    }


def test_searches_are_capped_by_the_hour(ana, house, maria, monkeypatch):
    from careline.domain.rulebook import queries as rulebooks

    monkeypatch.setitem(rulebooks.current().limits["search"], "per_hour", 2)
    assert [ana.get("/find", q="Maria").status_code for _ in range(2)] == [200, 200]
    for _ in range(3):
        answer = ana.get("/find", q="Maria")
        assert no(answer, 429, "TOO_MANY")["rule"] == "search-per-hour" and answer["Retry-After"]
    assert JournalLine.objects.filter(code="view.search", outcome="refused").count() == 1


def test_a_payment_by_api_and_one_that_is_declined(ana, maria):
    from careline.domain.ledger.models import PaymentMethod

    method = PaymentMethod.objects.get()
    ana.take(maria)
    done = ana.must("payments.take", account=str(maria.pk), amount=4860, method=str(method.pk))
    assert done["show"]["amount"] == 4860 and ledger.balance(maria.pk) == 0
    PaymentMethod.objects.update(token="tok-declined")
    body = no(ana.act("payments.take", account=str(maria.pk), amount=500, method=str(method.pk)), 402, "DECLINED")
    assert body["way_on"][0]["act"] == "payments.send_link"


def test_a_lead_decides_by_api(ana, house, maria):
    ana.take(maria)
    given = {"account": str(maria.pk), "amount": 4000, "reason": "retention"}
    refused = no(ana.act("credits.grant", **given), 403, "AUTHORITY")
    assert refused["rule"] == "credit-event" and "lead" in refused["who_could"]
    asked = ana.must("approvals.ask", account=str(maria.pk), code="credits.grant", input=given, words="Ten years with us")
    lena = Caller(token_of(house["lena"])[1])
    (waits,) = lena.get("/requests").json()["requests"]
    assert waits["id"] == asked["show"]["request"] and waits["asked"] == {"minor": 4000, "currency": "USD"}
    basis = {"kind": "request", "id": waits["id"]}
    lena.must("approvals.decide", basis=basis, request=waits["id"], decision="less", amount=3000, answer="Fair")
    (mine,) = ana.get(f"/contacts/{ana.contact}").json()["requests"]
    assert (mine["state"], mine["granted"]["minor"], mine["answer"]) == ("less", 3000, "Fair")


def test_an_agent_handles_a_whole_contact(house, maria):
    """An AI agent from open to wrap-up: its own limit, a refusal above it with the way on, and the journal whole."""
    robin = people.hire("robin", "Robin", "agent")
    agent = Caller(token_of(robin)[1])
    (hit,) = agent.get("/find", q="(206) 555-0188").json()["hits"]
    agent.contact = agent.must("contacts.open", channel="chat", caller_number="+1 206 555 0188")["show"]["id"]
    holder = str(maria.people.get(right="holder").person_id)
    agent.must("contacts.identify", account=hit["account"], person=holder)
    agent.must("contacts.reason", reason="bill")
    note = {"account": hit["account"], "text": "Bill went up"}
    assert no(agent.act("contacts.note", **note), 403, "AUTHORITY")["rule"] == "needs-verified"
    shape = agent.get(f"/contacts/{agent.contact}").json()
    code = next(f for f in shape["factors"] if f["factor"] == "code")
    agent.must("contacts.send_code", account=hit["account"], line=code["lines"][0]["line"])
    sent = re.search(r"\d{6}", Outbox.objects.latest("pk").body).group()
    wrong = "000000" if sent != "000000" else "111111"
    tried = no(agent.act("contacts.check_code", account=hit["account"], code=wrong), 403, "NOT_PROVEN")
    assert tried["rule"] == "code-failed" and "2 tries left" in tried["detail"] and "code" in tried["fields"]
    agent.must("contacts.check_code", account=hit["account"], code=sent)
    account = agent.get(f"/accounts/of-contact/{agent.contact}").json()
    assert account["standing"]["balance"]["minor"] == 4860
    given = {"account": hit["account"], "reason": "goodwill"}
    above = no(agent.act("credits.grant", amount=1500, **given), 403, "AUTHORITY")
    assert above["rule"] == "credit-event" and "$10.00" in above["detail"]
    assert {"label": "Ask a lead", "act": "approvals.ask"} in above["way_on"]
    agent.must("credits.grant", amount=1000, **given)
    agent.must("contacts.note", **note)
    agent.must("contacts.end")
    assert agent.get(f"/contacts/{agent.contact}").json()["level"] == "wrap_up"
    gone = no(agent.act("credits.grant", amount=100, **given), 403, "AUTHORITY")
    assert gone["rule"] in ("needs-live", "caller-gone")
    agent.must("contacts.wrap_up", summary="Explained the bill, gave $10.", disposition="resolved", root_cause="bill_changed")
    assert Contact.objects.get(pk=agent.contact).state == "closed"
    assert Grant.objects.get().granted_by == robin
    assert not list(journal.verify())


# ---------------------------------------------------------------- refuses: who


@pytest.mark.parametrize("header", [None, "Basic YTpi", "Bearer", "Bearer ", "Bearer cl_wrong", "Bearer \u00e9\u00e9", "cl_x"])
def test_no_valid_token_is_401_with_a_challenge(ana, header):
    ana.secret = None
    headers = {"Authorization": header} if header else {}
    for answer in (ana.http.get("/api/me", headers=headers), ana.raw("contacts.open", "{}", **headers)):
        no(answer, 401, "TOKEN")
        assert answer["WWW-Authenticate"].startswith('Bearer realm="careline"')
        assert ("invalid_token" in answer["WWW-Authenticate"]) == bool(header)


def test_expired_revoked_and_switched_off(house):
    expired = Caller(token_of(house["ana"], days=-0.01)[1])
    no(expired.get("/me"), 401, "TOKEN")
    token, secret = token_of(house["ana"])
    assert Caller(secret).get("/me").status_code == 200
    staff.revoke_token(act=carrier_act(timezone.now()), token_id=token.pk)
    no(Caller(secret).get("/me"), 401, "TOKEN")
    secret = token_of(house["ben"])[1]
    house["ben"].is_active = False
    house["ben"].save()
    no(Caller(secret).get("/me"), 401, "TOKEN")


def test_a_token_is_kept_as_a_hash_and_shown_once(house):
    ada = Caller(token_of(house["ada"])[1])
    mint = key()
    given = {"staff": str(house["ada"].pk), "label": "script", "scope": "staff.add"}
    first = ada.act("staff.issue_token", key_=mint, **given).json()["show"]
    assert Caller(first["secret"]).get("/me").json()["scope"] == ["staff.add"]
    again = ada.act("staff.issue_token", key_=mint, **given).json()["show"]
    assert "secret" not in again and again["token_id"] == first["token_id"]
    assert not Token.objects.filter(hash=first["secret"]).exists()


def test_a_session_opens_nothing_on_the_api(house, maria):
    browser = Client(raise_request_exception=False)
    browser.force_login(house["ana"], backend=settings.AUTHENTICATION_BACKENDS[0])
    no(browser.get("/api/me"), 401, "TOKEN")
    no(browser.post("/api/acts/contacts.open", "{}", content_type="application/json", headers={"Idempotency-Key": key()}), 401, "TOKEN")


def test_a_scoped_token_does_what_its_scope_lists(house, maria):
    narrow = Caller(token_of(house["ana"], "contacts.open contacts.check_pin")[1])
    narrow.take(maria)
    for answer, code in (
        (narrow.act("credits.grant", account=str(maria.pk), amount=100, reason="goodwill"), "credits.grant"),
        (narrow.get(f"/contacts/{narrow.contact}"), "view.contact"),
        (narrow.get(f"/accounts/of-contact/{narrow.contact}"), "view.account"),
        (narrow.get("/find", q="Maria"), "view.search"),
        (narrow.get("/requests"), "view.request"),
    ):
        body = no(answer, 403, "SCOPE")
        assert body["act"] == code and body["rule"] == "token-scope"
    assert not Grant.objects.exists()
    reader = Caller(token_of(house["ana"], "view.contact view.account")[1])
    assert reader.get(f"/accounts/of-contact/{narrow.contact}").status_code == 200


def test_unknown_tokens_are_slowed_and_a_good_one_never(ana):
    bad = Caller("cl_nobody")
    answers = [bad.get("/me") for _ in range(app.FAILURES_A_MINUTE + 2)]
    assert {a.status_code for a in answers} == {401, 429}
    last = answers[-1]
    no(last, 429, "TOO_MANY")
    assert 1 <= int(last["Retry-After"]) <= 60
    assert ana.get("/me").status_code == 200


def test_a_role_without_the_act_is_told_who_has_it(house):
    tom = Caller(token_of(house["tom"])[1])
    body = no(tom.act("staff.add", username="x1", name="X", role="trainee"), 403, "AUTHORITY")
    assert body["rule"] == "not-your-role" and body["who_could"] == ["administrator", "job"]
    contact = Caller(token_of(house["ana"])[1]).must("contacts.open", channel="chat")["show"]["id"]
    ada = Caller(token_of(house["ada"])[1])
    for answer in (ada.get(f"/contacts/{contact}"), ada.act("contacts.hold", basis={"kind": "contact", "id": contact})):
        assert no(answer, 403, "AUTHORITY")["rule"] == "not-your-role", "a hand-over would help nobody whose role sees no customer"
    ring = Caller(token_of(people.hire("pbx", "Telephone system", "service"))[1])
    ring.must("contacts.ring", caller_number="+12065550188")
    assert no(ring.get("/find", q="Maria"), 403, "AUTHORITY")["rule"] == "not-your-role"


def test_a_trainee_is_led_to_hand_over_what_their_role_does_not_have(house, maria):
    tom = Caller(token_of(house["tom"])[1]).take(maria)
    body = no(tom.act("payments.take", account=str(maria.pk), amount=100, method=str(maria.payment_methods.get().pk)), 403, "AUTHORITY")
    assert body["rule"] == "not-your-role" and "associate" in body["who_could"]
    assert body["way_on"] == [{"label": "Hand over", "act": "contacts.hand_over"}]


# ---------------------------------------------------------------- refuses: on what


@pytest.mark.parametrize("kind", ["job", "sign_in", "none", "Contact"])
def test_a_client_cannot_claim_a_basis_that_carries_a_level_of_its_own(ana, maria, kind):
    basis = {"kind": kind, "id": str(maria.pk)}
    body = no(ana.act("credits.grant", basis=basis, account=str(maria.pk), amount=100, reason="goodwill"), 422, "INVALID")
    assert "basis.kind" in body["fields"] and not Grant.objects.exists()


def test_unknown_things_are_404(ana, maria):
    for id_ in ("999999", "0", "9" * 30, "abc", "-1", "1.5", "١"):
        no(ana.get(f"/contacts/{id_}"), 404, "NOT_FOUND")
        no(ana.get(f"/accounts/of-contact/{id_}"), 404, "NOT_FOUND")
    for kind in ("contact", "request"):
        no(ana.act("contacts.hold", basis={"kind": kind, "id": "999999"}), 404, "NOT_FOUND")
    no(ana.act("contacts.open", account="999999"), 404, "NOT_FOUND")
    no(ana.act("contacts.fly"), 404, "NOT_FOUND")
    no(ana.act("staff.sign_in"), 404, "NOT_FOUND")
    for address in ("/", "/nothing", "/acts/", "/contacts/1/", "/docs/x"):
        no(ana.get(address), 404, "NOT_FOUND")


NAMED = {  # what an input names by its id, beside the account, and what else the act wants
    "credits.grant": ("bill_line", {"amount": 100, "reason": "goodwill"}), "payments.take": ("method", {"amount": 500}),
    "payments.send_link": ("line", {"amount": 500}), "lines.set_feature": ("line", {"feature": "roaming", "on": True, "consent": 0}),
    "contacts.send_code": ("line", {}), "contacts.call_back": ("line", {}), "ledger.print_bill": ("bill", {}), "contacts.pin_note": ("note", {"pinned": True}),
    "contacts.identify": ("person", {}), "contacts.hand_over": ("to", {"words": "x"}), "customers.end_person": ("person", {"words": "x"}),
    "diagnosis.start": ("line", {"guide": "no_service"}),
}  # fmt: skip


@pytest.mark.parametrize("code", NAMED)
def test_what_an_input_names_and_nobody_has_and_what_another_account_has_are_404_alike(ana, maria, code):
    other = people.open_account("Otto Berg", "+12065550199", "A-0104900", today=timezone.localdate())
    theirs = {
        "bill_line": BillLine.objects.filter(bill__account=other).first(), "method": other.payment_methods.first(), "line": other.lines.first(),
        "bill": other.bills.first(), "person": other.people.first().person, "note": None, "to": None,
    }  # fmt: skip
    ana.take(maria)
    field, more = NAMED[code]
    given = {**more, **({} if code == "contacts.hand_over" else {"account": str(maria.pk)})}
    answers = [no(ana.act(code, **given, **{field: "999999"}), 404, "NOT_FOUND")]
    if theirs[field] is not None:
        answers.append(no(ana.act(code, **given, **{field: str(theirs[field].pk)}), 404, "NOT_FOUND"))
    assert all(a == answers[0] for a in answers)
    assert field in answers[0]["fields"] or code == "contacts.pin_note"
    assert not Grant.objects.exists()


def test_a_colleagues_contact_is_refused_with_its_rule(ana, house, maria):
    ana.take(maria)
    ben = Caller(token_of(house["ben"])[1])
    for answer in (
        ben.get(f"/contacts/{ana.contact}"),
        ben.get(f"/accounts/of-contact/{ana.contact}"),
        ben.act("contacts.note", basis={"kind": "contact", "id": ana.contact}, account=str(maria.pk), text="x"),
    ):
        assert no(answer, 403, "AUTHORITY")["rule"] == "not-your-contact"
        assert b"Okafor" not in answer.content and b"A-0104822" not in answer.content


def test_another_account_than_the_basis_is_for(ana, maria):
    other = people.open_account("Otto Berg", "+12065550199", "A-0104900", today=timezone.localdate())
    ana.take(maria)
    body = no(ana.act("credits.grant", account=str(other.pk), amount=100, reason="goodwill"), 403, "BASIS_MISMATCH")
    assert body["rule"] == "basis-mismatch" and not Grant.objects.exists()


def test_as_things_stand_is_409(ana, maria):
    ana.take(maria).must("contacts.end")
    no(ana.act("contacts.end"), 409, "CONFLICT")


# ---------------------------------------------------------------- the key


def test_the_same_key_is_one_deed_and_one_answer(ana, maria):
    ana.take(maria)
    given = {"account": str(maria.pk), "amount": 500, "reason": "goodwill"}
    mine = key()
    first, again = ana.act("credits.grant", key_=mine, **given), ana.act("credits.grant", key_=mine, **given)
    assert first.status_code == again.status_code == 200 and first.json() == again.json()
    assert Grant.objects.count() == 1
    for other in ({**given, "amount": 600}, {**given, "why": "for another reason"}, {**given, "basis": None}):
        body = no(ana.act("credits.grant", key_=mine, **other), 422, "KEY_REUSED")
        assert body["rule"] == "key-reused"
    no(ana.act("contacts.note", key_=mine, account=str(maria.pk), text="x"), 422, "KEY_REUSED")
    assert Grant.objects.count() == 1 and not Note.objects.exists()
    refused = key()
    twice = [ana.act("credits.grant", key_=refused, **{**given, "amount": 9000}) for _ in range(2)]
    assert no(twice[0], 403, "AUTHORITY") == no(twice[1], 403, "AUTHORITY")


def test_a_pending_deed_is_202_until_it_is_settled(ana, maria, monkeypatch):
    from careline.domain.ledger.models import PaymentMethod
    from careline.domain.ledger.ports import Answer

    ana.take(maria)
    silent = type("Silent", (), {"charge": lambda self, **_: Answer(None, "", "")})
    monkeypatch.setattr("careline.acts.payments.provider", lambda: silent())
    mine = key()
    given = {"account": str(maria.pk), "amount": 500, "method": str(PaymentMethod.objects.get().pk)}
    for _ in range(2):
        answer = ana.act("payments.take", key_=mine, **given)
        assert answer.status_code == 202 and answer.json()["status"] == "pending"


@pytest.mark.parametrize("bad", [None, "", "short", "x" * 81, "with space in it"])
def test_a_key_is_needed(ana, bad):
    body = no(ana.raw("contacts.open", '{"input": {}}', **{"Idempotency-Key": bad}), 400, "KEY_MISSING")
    assert "Idempotency-Key" in body["fields"] and not Contact.objects.exists()


# ---------------------------------------------------------------- the body


def test_wrong_fields_are_named(ana, maria):
    ana.take(maria)
    body = no(ana.act("credits.grant", account=str(maria.pk), amount=0, bogus=1), 422, "INVALID")
    assert body["fields"] == {
        "amount": "Give a number above 0.", "reason": "This is needed.", "bogus": "This act has no such field."
    }
    body = no(ana.raw("credits.grant", '{"input": [], "extra": 1, "basis": {"id": "x"}}'), 422, "INVALID")
    assert {"input", "extra", "basis.kind", "basis.id"} <= set(body["fields"])
    assert no(ana.raw("credits.grant", "{}"), 422, "INVALID")["fields"] == {"input": "This is needed."}
    assert no(ana.act("credits.grant", account=str(maria.pk), amount=100, reason="because"), 422, "INVALID")["fields"] == {
        "reason": "Choose one."
    }


def test_a_card_number_is_kept_nowhere(ana, maria):
    ana.take(maria)
    card = "4111 1111 1111 1111"
    note = {"account": str(maria.pk), "text": f"pays with {card}"}
    answers = {
        "text": ana.act("contacts.note", **note),
        "why": ana.act("contacts.note", why=card, account=str(maria.pk), text="fine"),
        "input": ana.act("approvals.ask", account=str(maria.pk), code="contacts.note", input=note),
        "q": ana.get("/find", q=card),
    }
    for field, answer in answers.items():
        body = no(answer, 422, "CARD_NUMBER")
        assert list(body["fields"]) == [field] and "4111" not in answer.content.decode()
    assert not Note.objects.exists()
    assert not any("4111" in (p.body or "") for p in Payload.objects.all())


BAD_BODIES = {
    "not JSON": b'{"input": ',
    "empty": b"",
    "a list": b"[]",
    "a text": b'"x"',
    "null": b"null",
    "NaN": b'{"input": {"amount": NaN}}',
    "infinite": b'{"input": {"amount": 1e999}}',
    "a name twice": b'{"input": {}, "input": {}}',
    "not UTF-8": b'{"input": {"reason": "\xff\xfe"}}',
    "UTF-16": '{"input": {}}'.encode("utf-16"),
    "deep": b'{"input": ' + b"[" * 30 + b"]" * 30 + b"}",
    "very deep": b"[" * 30_000,
    "a very long number": b'{"input": {"amount": ' + b"9" * 5000 + b"}}",
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_body_that_cannot_be_read(ana, name):
    no(ana.raw("contacts.open", BAD_BODIES[name]), 400, "BODY")


def test_wrong_content_type_method_and_size(ana):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml"):
        no(ana.raw("contacts.open", b'{"input": {}}', content_type=kind), 415, "CONTENT_TYPE")
    assert ana.raw("contacts.open", '{"input": {"channel": "chat"}}', content_type="application/json; charset=utf-8").status_code == 200
    for size in (70_000, 700_000):
        no(ana.raw("contacts.open", b'{"why": "' + b"x" * size + b'"}'), 413, "TOO_LARGE")
    for method in ("get", "put", "patch", "delete", "options", "head"):
        answer = getattr(ana.http, method)("/api/acts/contacts.open", headers=ana.headers)
        assert answer.status_code == 405 and answer["Allow"] == "POST"
        assert answer["Content-Type"] == "application/problem+json"
    assert ana.http.post("/api/me", headers=ana.headers)["Allow"] == "GET"


def test_a_body_in_chunks_is_asked_for_its_length(ana):
    """A server reads no body without one: it would be an empty one, and the answer about something else."""
    sent = {**ana.headers, "Idempotency-Key": key(), "Transfer-Encoding": "chunked"}
    answer = ana.http.generic("POST", "/api/acts/contacts.open", b"", content_type="application/json", headers=sent)
    no(answer, 411, "LENGTH")


def test_every_sentence_about_a_field_is_plain(ana, maria):
    ana.take(maria)
    answers = [
        ana.get("/find"), ana.get("/find", q=""), ana.get("/find", q="x" * 101), ana.raw("contacts.open", "{}", **{"Idempotency-Key": "ü" * 9}), ana.raw("contacts.open", "{}", **{"Idempotency-Key": None}),
        ana.raw("contacts.open", '{"why": 5, "basis": "x", "input": []}'), ana.raw("contacts.open", json.dumps({"why": "x" * 401, "input": {}})),
        ana.act("contacts.note", basis={"kind": "contact", "id": "9" * 30}, account="1", text="x"), ana.act("contacts.note", basis={"kind": "contact", "id": "0"}, account="1", text="x"),
        ana.act("credits.grant", account="9" * 30, amount=500, reason="goodwill"), ana.act("contacts.note", basis={"kind": "job", "id": "1"}, account="1", text="x"),
    ]  # fmt: skip
    for answer in answers:
        said = list(answer.json()["fields"].values())
        assert said and not [s for s in said for word in ("String", "Input should", "pattern", "Field required", "valid dictionary", "{") if word in s], said


@pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
def test_text_that_a_database_cannot_keep(ana, maria, text):
    ana.take(maria)
    no(ana.act("contacts.note", account=str(maria.pk), text=text), 422, "INVALID")
    no(ana.act("contacts.note", account=str(maria.pk), text="fine", why=text), 422, "INVALID")
    no(ana.act("approvals.ask", account=str(maria.pk), code="credits.grant", input={text: [text]}), 422, "INVALID")
    no(ana.act("approvals.ask", account=str(maria.pk), code="credits.grant", input={"words": text}), 422, "INVALID")
    if text == "a\x00b":
        no(ana.get("/find", q=text), 422, "INVALID")


def test_a_fault_of_ours_is_a_problem_without_a_traceback(ana, monkeypatch, caplog):
    def broken(*_, **__):
        raise RuntimeError("Maria Okafor said 4711")

    monkeypatch.setattr(app, "perform", broken)
    body = no(ana.act("contacts.open"), 500, "FAULT")
    assert "Okafor" not in json.dumps(body) and "Okafor" not in caplog.text and "RuntimeError" in caplog.text

    def busy(*_, **__):
        raise OperationalError("database is locked")

    monkeypatch.setattr(app, "perform", busy)
    answer = ana.act("contacts.open")
    no(answer, 503, "BUSY")
    assert answer["Retry-After"]


@pytest.mark.only_sqlite
def test_a_deed_on_a_full_disk_is_refused_whole_and_done_once_when_there_is_room(committed_house):
    """Whole: no note without its line in the journal, and the key is free for the same deed again."""
    ana, maria = Caller(token_of(committed_house["ana"])[1]), people.open_account(today=timezone.localdate())
    ana.take(maria)
    lines, key, words = JournalLine.objects.count(), "note-on-a-full-disk", "a long story " * 70

    def note():
        return ana.act("contacts.note", account=str(maria.pk), text=words, key_=key)

    def most(pages):
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA max_page_count = {pages}")

    most(1)  # never less than there are
    filled = 0
    while (answer := note()).status_code == 200 and filled < 40:
        filled, key, lines = filled + 1, f"full-disk-note-{filled}", JournalLine.objects.count()
    no(answer, 503, "BUSY")
    assert answer["Retry-After"] and "disk" not in answer.content.decode()
    assert (Note.objects.count(), JournalLine.objects.count()) == (filled, lines) and not list(journal.verify())
    most(1073741823)
    assert note().status_code == note().status_code == 200 and (Note.objects.count(), JournalLine.objects.count()) == (filled + 1, lines + 1)


# ---------------------------------------------------------------- the description


def test_openapi_opens_with_a_token_or_a_session_only(ana, house):
    no(Client().get("/api/openapi.json"), 401, "TOKEN")
    assert ana.get("/openapi.json").json()["openapi"].startswith("3.")
    browser = Client()
    browser.force_login(house["ana"], backend=settings.AUTHENTICATION_BACKENDS[0])
    found = browser.get("/api/openapi.json").json()
    assert len([p for p in found["paths"] if p.startswith("/api/acts/")]) == len(app.api_acts())


def test_the_docs_page_needs_no_script_of_its_own(house):
    browser = Client()
    assert browser.get("/api/docs")["Location"].startswith("/sign-in")
    browser.force_login(house["ana"], backend=settings.AUTHENTICATION_BACKENDS[0])
    answer = browser.get("/api/docs")
    text = answer.content.decode()
    assert answer.status_code == 200
    for code in app.api_acts():
        assert f'id="{code}"' in text
    for code in problems.CODES:
        assert f'id="{code}"' in text
    assert not re.search(r"<script(?![^>]*\ssrc=)", text) and "style=" not in text


def test_the_worked_example_of_the_docs_works(ana, maria):
    """docs/api.md, step by step: each curl there is one request here."""
    text = (Path(settings.ROOT) / "docs" / "api.md").read_text()
    steps = re.findall(r"^curl (?P<what>.+?)(?:\n\n|\n```)", text.replace("\\\n", " "), re.S | re.M)
    assert len(steps) >= 5
    holder = str(maria.people.get(right="holder").person_id)
    known = {"$ACCOUNT": str(maria.pk), "$PERSON": holder, "$CONTACT": ""}
    Pin.objects.filter(account=maria).delete()  # as imported customers are
    for step in steps:
        for name, value in known.items():
            step = step.replace(name, value)
        address = re.search(r"\$CARELINE(\S+?)[\"'\s]", step + " ").group(1)
        data = re.search(r"-d '(.*?)'", step, re.S)
        if data:
            assert "Idempotency-Key: " in step
            answer = ana.http.post(address, data.group(1), content_type="application/json", headers={**ana.headers, "Idempotency-Key": key()})
        else:
            answer = ana.http.get(address, headers=ana.headers)
        assert answer.status_code == 200, (step, answer.content)
        if "contacts.open" in step:
            known["$CONTACT"] = answer.json()["show"]["id"]
        if "/api/contacts/" in step:
            (factor,) = [f for f in answer.json()["factors"] if f["factor"] == "code"]
            known["$LINE"] = factor["lines"][0]["line"]
        if "send_code" in step:
            known["$CODE"] = re.search(r"\d{6}", Outbox.objects.latest("pk").body).group()
    assert Contact.objects.get().state == "closed" and Grant.objects.count() == 1


def test_bill_lines_of_the_account_can_be_credited(ana, maria):
    ana.take(maria)
    line = ana.get(f"/accounts/of-contact/{ana.contact}").json()["creditable"][0]
    ana.must("credits.grant", account=str(maria.pk), amount=1000, reason="billing_error", bill_line=line["bill_line"])
    assert Grant.objects.get().bill_line == BillLine.objects.get(pk=line["bill_line"])


@pytest.mark.parametrize("typed", ["5.00", "500", 5.0, 500.0, True, [500], {"cents": 500}])
def test_an_amount_is_a_whole_number_of_cents_and_nothing_that_looks_like_one(ana, maria, typed):
    ana.take(maria)
    body = no(ana.act("credits.grant", account=str(maria.pk), amount=typed, reason="goodwill"), 422, "INVALID")
    assert body["fields"] == {"amount": "An amount is a whole number of cents."} and not Grant.objects.exists()
    body = no(ana.act("payments.send_link", account=str(maria.pk), amount=typed, line="1"), 422, "INVALID")
    assert body["fields"]["amount"] == "An amount is a whole number of cents."


def test_other_numbers_and_ids_are_not_guessed_either(ana, maria):
    ana.take(maria)
    body = no(ana.act("lines.add_data", account=str(maria.pk), line="1", mb="512", consent=2.5), 422, "INVALID")
    assert body["fields"] == {"mb": "Give a whole number.", "consent": "An amount is a whole number of cents."}
    body = no(ana.act("credits.grant", account=True, amount=500, reason="goodwill", bill_line=1.0), 422, "INVALID")
    assert set(body["fields"]) == {"account", "bill_line"}
