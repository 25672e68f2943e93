"""Second factors and sessions: who is asked for one, how it is added, used and lost, and who sees and ends a session."""

from __future__ import annotations

import re
import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from django.conf import settings
from django.core.cache import cache
from django.test import Client

from careline.domain.journal.models import Line as JournalLine
from careline.domain.rulebook import operations as rulebook_operations
from careline.domain.rulebook import queries as rulebooks
from careline.doors.web import factors
from careline.foundation.rulebook import Rulebook
from tests import people
from tests.doors.test_access import answer_of
from tests.people import TUESDAY, key

PASSWORD = "a long sentence for tests"
PAGE = "/me/sign-in"


@pytest.fixture(autouse=True)
def as_in_production(monkeypatch):
    monkeypatch.setattr(settings, "SECOND_FACTORS", True)


@pytest.fixture
def later(monkeypatch):
    """Move the clock of authenticator apps and of proofs on, so that the next code is a new one."""
    ahead = [0.0]
    real = time.time

    def move(seconds):
        ahead[0] += seconds

    monkeypatch.setattr(time, "time", lambda: real() + ahead[0])
    return move


def code_of(secret: str) -> str:
    return totp.format_hotp_value(totp.hotp_value(secret, int(time.time()) // 30))


def sign_in(login, agent="Mozilla/5.0 (Windows NT 10.0; Win64; x64) Firefox/140.0"):
    http = Client(headers={"User-Agent": agent})
    return http, http.post("/sign-in", {"login": login, "password": PASSWORD})


def secret_on(page) -> str:
    return re.search(r'class="secret">([A-Z2-7 ]+)<', page.content.decode())[1].replace(" ", "")


def do(http, act, **typed):
    return http.post(PAGE, {"code_of_act": act, "request_key": key(), **typed})


def enrol(login):
    """Somebody signs in and adds an app: their browser, its secret, and the recovery codes that they were shown."""
    http, _ = sign_in(login)
    secret = secret_on(http.get(PAGE))
    shown = do(http, "staff.add_totp", code=code_of(secret))
    assert shown.status_code == 200, shown.content.decode()[-2000:]
    return http, secret, [c.replace(" ", "") for c in re.findall(r"<li><code>(\d{4} \d{4})</code>", shown.content.decode())]


def said(response) -> str:
    return " ".join(re.findall(r'role="alert"[^>]*>([^<]+)<', response.content.decode()))


# ---------------------------------------------------------------- who is asked


def test_a_lead_without_a_second_factor_gets_to_the_page_that_adds_one_and_nowhere_else(house):
    http, answer = sign_in("lena")
    assert answer_of(answer) == "/" and answer_of(http.get("/approvals")) == PAGE and answer_of(http.get("/")) == PAGE
    assert http.get("/approvals/part", headers={"X-Careline-Poll": "1"}).status_code == 401
    page = http.get(PAGE).content.decode()
    assert "Your role works with a second factor" in page
    assert answer_of(http.post("/start", {"request_key": key()})) == PAGE and not JournalLine.objects.filter(code="contacts.open").exists()
    secret = secret_on(http.get(PAGE))
    assert len(re.findall(r"<li><code>", do(http, "staff.add_totp", code=code_of(secret)).content.decode())) == 10
    assert http.get("/approvals").status_code == 200


def test_an_associate_is_not_asked_and_may_add_one(house):
    http, _ = sign_in("ana")
    assert http.get("/").status_code == 200 and "None yet" in http.get(PAGE).content.decode()


def test_the_rulebook_says_who_is_asked(house):
    book = people.default_rulebook()
    files = {**book.files, "sign_in.toml": book.files["sign_in.toml"].replace('"lead", ', '"associate", ')}
    rulebook_operations.activate(act=people.carrier_act(TUESDAY), rulebook=Rulebook(files), from_at=TUESDAY, seconded_by="Staff:1")
    rulebooks.forget()
    assert answer_of(sign_in("ana")[0].get("/")) == PAGE
    assert sign_in("lena")[0].get("/").status_code == 200


def test_a_role_that_came_later_is_asked_at_the_next_click(house):
    http, _ = sign_in("ana")
    assert http.get("/").status_code == 200
    house["ana"].role = "lead"
    house["ana"].save()
    assert answer_of(http.get("/")) == PAGE


# ---------------------------------------------------------------- with an app


def test_the_password_alone_opens_nothing_once_there_is_a_factor(house, later):
    _, secret, _ = enrol("sam")
    later(60)
    http, answer = sign_in("sam")
    assert answer_of(answer) == "/sign-in/second" and answer_of(http.get("/")) == "/sign-in"
    page = http.get("/sign-in/second").content.decode()
    assert "Type the code that your authenticator app shows now" in page and "Sam" not in page
    wrong = http.post("/sign-in/second", {"code": "000000"})
    assert wrong.status_code == 200 and said(wrong) and answer_of(http.get("/")) == "/sign-in"
    assert answer_of(http.post("/sign-in/second", {"code": code_of(secret)})) == "/"
    assert http.get("/").status_code == 200
    lines = [line.content for line in JournalLine.objects.filter(code="staff.sign_in").order_by("pk")]
    assert [line["say"] for line in lines] == ["Signed in with a password", "Signed in with a password and an authenticator app"]


def test_a_code_works_once(house, later):
    _, secret, _ = enrol("sam")
    later(60)
    code = code_of(secret)
    first, second = sign_in("sam")[0], sign_in("sam")[0]
    assert answer_of(first.post("/sign-in/second", {"code": code})) == "/"
    assert second.post("/sign-in/second", {"code": code}).status_code == 200 and answer_of(second.get("/")) == "/sign-in"


def test_after_five_wrong_codes_the_right_one_waits_too(house, later):
    _, secret, _ = enrol("sam")
    later(60)
    http, _ = sign_in("sam")
    for _ in range(5):
        http.post("/sign-in/second", {"code": "000000"})
    assert "many" in said(http.post("/sign-in/second", {"code": code_of(secret)})) and answer_of(http.get("/")) == "/sign-in"


def test_a_recovery_code_stands_in_once_and_fewer_are_left(house):
    _, _, codes = enrol("sam")
    http, _ = sign_in("sam")
    assert answer_of(http.post("/sign-in/second", {"code": codes[3]})) == "/"
    assert "9 left" in http.get(PAGE).content.decode()
    again, _ = sign_in("sam")
    assert again.post("/sign-in/second", {"code": codes[3]}).status_code == 200
    fresh = [c.replace(" ", "") for c in re.findall(r"<li><code>(\d{4} \d{4})</code>", do(http, "staff.new_codes").content.decode())]
    assert len(fresh) == 10 and not set(fresh) & set(codes)
    assert again.post("/sign-in/second", {"code": codes[4]}).status_code == 200, "the old ones are worth nothing"
    assert answer_of(again.post("/sign-in/second", {"code": fresh[0]})) == "/"


def test_neither_secret_nor_codes_lie_in_the_database_or_journal_in_clear(house):
    http, secret, codes = enrol("sam")
    assert secret not in str([a.data for a in Authenticator.objects.all()])
    assert factors.Adapter().decrypt(Authenticator.objects.get(type="totp").data["secret"]) == secret
    kept = " ".join(JournalLine.objects.values_list("text", flat=True))
    assert "Added an authenticator app as a second factor, and 10 recovery codes" in kept
    assert secret not in kept and not [c for c in codes if c in kept]
    assert secret not in str(dict(http.session)) and codes[0] not in http.get(PAGE).content.decode()


def test_a_wrong_code_adds_nothing_and_keeps_the_secret_on_the_page(house):
    http, _ = sign_in("sam")
    secret = secret_on(http.get(PAGE))
    answer = do(http, "staff.add_totp", code="123")
    assert answer.status_code == 422 and "not the code of now" in answer.content.decode() and secret_on(answer) == secret
    assert not Authenticator.objects.exists()


def test_the_last_factor_stays_where_the_role_needs_one_and_goes_where_it_does_not(house):
    sam, _, _ = enrol("sam")
    row = Authenticator.objects.get(user=house["sam"], type="totp")
    assert "Take away" not in sam.get(PAGE).content.decode()
    assert "Add another first" in do(sam, "staff.remove_factor", factor=row.pk).content.decode()
    ana, _, _ = enrol("ana")
    row = Authenticator.objects.get(user=house["ana"], type="totp")
    assert do(sam, "staff.remove_factor", factor=row.pk).status_code == 422, "nobody's but one's own"
    assert do(ana, "staff.remove_factor", factor=row.pk).status_code == 303
    assert not Authenticator.objects.filter(user=house["ana"]).exists(), "recovery codes go with it"


def test_factors_are_changed_by_somebody_who_proved_themself_a_moment_ago(house, later):
    http, _, _ = enrol("ana")
    later(11 * 60)
    page = http.get(PAGE).content.decode()
    assert "prove that it is you" in page and "Make new ones" not in page and "Take away" not in page
    assert "Prove first" in do(http, "staff.new_codes").content.decode()
    assert do(http, "prove", password="a wrong sentence here").status_code == 422
    assert answer_of(do(http, "prove", password=PASSWORD)) == PAGE
    assert "Make new ones" in http.get(PAGE).content.decode()


def test_proving_oneself_is_throttled_like_signing_in(house, later):
    http, _, _ = enrol("ana")
    later(11 * 60)
    for _ in range(5):
        do(http, "prove", password="a wrong sentence here")
    assert do(http, "prove", password=PASSWORD).status_code == 429


def test_a_security_keys_answer_that_nobody_asked_for_is_refused(house):
    http, _ = sign_in("sam")
    for credential in ("", "{}", "[]", "null", '{"id": "x", "rawId": "x", "type": "public-key", "response": {}}', "9" * 5000):
        answer = do(http, "staff.add_key", name="mine", credential=credential)
        assert answer.status_code == 422 and "was not added" in answer.content.decode(), credential
    enrol("ana")
    ana, _ = sign_in("ana")
    for credential in ("", "{}", "[]", "null", '{"response": {}}'):
        assert ana.post("/sign-in/second", {"credential": credential}).status_code == 200, credential
    assert answer_of(ana.get("/")) == "/sign-in"


# ---------------------------------------------------------------- lost


def test_an_administrator_takes_a_lost_factor_away_and_the_person_begins_anew(house):
    lost, _, _ = enrol("sam")
    ada, _, _ = enrol("ada")
    assert "Authenticator app" in ada.get("/people").content.decode()
    done = ada.post("/people", {"code": "staff.reset_factors", "staff": house["sam"].pk, "request_key": key()})
    assert done.status_code == 303 and answer_of(lost.get("/")) == "/sign-in", "and their sessions are over"
    http, answer = sign_in("sam")
    assert answer_of(answer) == "/" and answer_of(http.get("/")) == PAGE
    line = JournalLine.objects.get(code="staff.reset_factors")
    assert line.chain.name == f"staff:{house['sam'].pk}" and "Second factors of sam taken away" in line.content["say"]


def test_nobody_else_takes_factors_away(house):
    enrol("sam")
    lena, _, _ = enrol("lena")
    assert lena.post("/people", {"code": "staff.reset_factors", "staff": house["sam"].pk, "request_key": key()}).status_code == 403
    assert Authenticator.objects.filter(user=house["sam"]).exists()


# ---------------------------------------------------------------- sessions


def session_ids(page) -> list[str]:
    return re.findall(r'name="session" value="(\d+)"', page.content.decode())


def test_ana_sees_where_she_is_signed_in_and_ends_the_one_she_left_open(house):
    left, _ = sign_in("ana", "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0) Safari/605.1")
    here, _ = sign_in("ana")
    left.get("/"), here.get("/")
    page = here.get(PAGE)
    text = page.content.decode()
    assert "Firefox on Windows" in text and "Safari on iPhone" in text and text.count("this one") == 1 and "127.0.0.1" in text
    (other,) = session_ids(page)
    assert do(here, "staff.end_session", session=other).status_code == 303
    assert answer_of(left.get("/")) == "/sign-in" and here.get("/").status_code == 200
    assert JournalLine.objects.get(code="staff.end_session").content["say"] == "1 session ended"


def test_all_others_are_ended_at_once_and_a_strangers_is_not_hers_to_end(house):
    others = [sign_in("ana")[0] for _ in range(3)]
    here, _ = sign_in("ana")
    ben, _ = sign_in("ben")
    assert do(here, "staff.end_session").status_code == 303
    assert [answer_of(o.get("/")) for o in others] == ["/sign-in"] * 3 and here.get("/").status_code == 200
    sign_in("ben")
    (bens,) = session_ids(ben.get(PAGE))
    assert do(here, "staff.end_session", session=bens).status_code == 422 and ben.get("/").status_code == 200


def test_the_administrator_sees_and_ends_anybodys_session(house):
    ana, _ = sign_in("ana")
    ana.get("/")
    ada, _, _ = enrol("ada")
    page = ada.get("/people").content.decode()
    assert "Firefox on Windows" in page and "1 session<" in page
    assert ada.post("/people", {"code": "staff.end_sessions", "staff": house["ana"].pk, "request_key": key()}).status_code == 303
    assert answer_of(ana.get("/")) == "/sign-in"
    line = JournalLine.objects.get(code="staff.end_sessions")
    assert line.who == house["ada"].who.key and line.content["say"] == "ana: 1 session ended"


def test_a_session_that_ended_by_itself_is_not_listed(house, later):
    idle, _ = sign_in("ana")
    idle.get("/")
    later(31 * 60)
    here, _ = sign_in("ana")
    out, _ = sign_in("ana")
    out.post("/sign-out")
    assert session_ids(here.get(PAGE)) == [] and here.get(PAGE).content.decode().count("Firefox on Windows") == 1


def test_the_page_asks_as_much_for_ten_sessions_as_for_one(house):
    def asked(http):
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        http.get("/people")
        with CaptureQueriesContext(connection) as found:
            assert http.get("/people").status_code == 200
        return len(found)

    ada, _, _ = enrol("ada")
    before = asked(ada)
    for name in ("ana", "ben", "eva", "lena"):
        enrol(name)
        sign_in("ana")
    cache.clear()
    assert asked(ada) == before
