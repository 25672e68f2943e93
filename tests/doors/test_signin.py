"""Signing in and out: who gets a session, for how long, and what stands around every page."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import types
from urllib.parse import quote

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.cache import cache, caches
from django.db import OperationalError
from django.test import Client

from careline.domain.journal.models import Line as JournalLine
from careline.domain.staff.models import Staff
from tests import people
from tests.doors.test_access import Browser, answer_of, ask_for_a_credit, hold_contact

PASSWORD = "a long sentence for tests"


def sign_in(login="ana", password=PASSWORD, address="/sign-in", http=None, **headers):
    http = http or Client()
    return http.post(address, {"login": login, "password": password}, **headers)


def signed_in(http) -> bool:
    return http.get("/me").status_code == 200


# ---------------------------------------------------------------- who gets in


def test_ana_signs_in_and_out_and_both_are_in_the_journal(house, clock):
    http = Client()
    assert answer_of(sign_in(http=http)) == "/" and signed_in(http)
    held = http.cookies[settings.SESSION_COOKIE_NAME].value
    assert http.get("/sign-out").status_code == 302 and signed_in(http), "a link signs nobody out"
    assert answer_of(http.post("/sign-out")) == "/sign-in" and not signed_in(http)
    assert not Session.objects.filter(session_key=held).exists()
    http.cookies[settings.SESSION_COOKIE_NAME] = held
    assert not signed_in(http), "the old cookie opens nothing"
    assert list(JournalLine.objects.filter(code__startswith="staff.").order_by("pk").values_list("code", "outcome")) == [("staff.sign_in", "done"), ("staff.sign_out", "done")]


def test_a_session_that_was_there_before_is_not_the_one_that_is_signed_in(house, clock):
    """Nobody can plant a session for somebody else to sign in on."""
    http = Client()
    planted = http.session
    planted["x"] = 1
    planted.save()
    http.cookies[settings.SESSION_COOKIE_NAME] = planted.session_key
    sign_in(http=http)
    assert signed_in(http) and http.cookies[settings.SESSION_COOKIE_NAME].value != planted.session_key
    assert not Session.objects.filter(session_key=planted.session_key).exists()


def said(response) -> str:
    return " ".join(re.findall(r'role="alert"[^>]*>([^<]+)<', response.content.decode()))


def test_a_wrong_password_a_stranger_and_somebody_switched_off_hear_the_same_and_get_nothing(house, clock):
    Staff.objects.filter(username="ben").update(is_active=False)
    answers = [sign_in(password="a wrong sentence here"), sign_in(login="nobody"), sign_in(login="ben")]
    words = {said(a) for a in answers}
    assert len(words) == 1 and words.pop()
    for answer in answers:
        assert answer.status_code == 200 and settings.SESSION_COOKIE_NAME not in answer.cookies
        assert PASSWORD not in answer.content.decode()


def test_the_cursor_is_where_the_next_word_is_typed(house, clock):
    def cursor(answer):
        (tag,) = re.findall(r"<input[^>]* autofocus[^>]*>", answer.content.decode())
        return re.search(r'name="(\w+)"', tag)[1]

    assert cursor(Client().get("/sign-in")) == "login"
    assert cursor(sign_in(password="a wrong sentence here")) == "password"
    assert cursor(sign_in(login="", password="")) == "login"


@pytest.mark.parametrize("role", ["agent", "service"])
@pytest.mark.parametrize("password", [PASSWORD, None])
def test_a_machine_signs_in_by_token_only_whatever_password_it_was_given(house, clock, role, password):
    machine = people.hire("robin", "Robin", role)
    if password is None:
        machine.set_unusable_password()
        machine.save()
    http = Client()
    sign_in("robin", http=http)
    assert not signed_in(http)


def test_somebody_who_is_switched_off_is_out_at_their_next_click(house, clock):
    ana, ada = Browser(house["ana"]), Browser(house["ada"])
    assert signed_in(ana.http)
    assert ada.post("/people", code="staff.set_active", staff=house["ana"].pk, active="").status_code == 303
    assert answer_of(ana.get("/")) == "/sign-in"
    assert ana.get("/ringing", X_Careline_Poll="1").status_code == 401


def test_a_new_role_counts_at_the_next_click(house, clock):
    ben, ada = Browser(house["ben"]), Browser(house["ada"])
    assert ben.get("/approvals").status_code == 403
    ada.post("/people", code="staff.change_role", staff=house["ben"].pk, role="lead")
    assert ben.get("/approvals").status_code == 200


def test_a_changed_password_ends_the_sessions_that_the_old_one_opened(house, clock):
    http = Client()
    sign_in(http=http)
    ana = Staff.objects.get(username="ana")
    ana.set_password("another long sentence")
    ana.save()
    assert not signed_in(http)
    assert answer_of(sign_in()) == 200 and answer_of(sign_in(password="another long sentence")) == "/"


def test_nasty_names_and_passwords_are_only_wrong(house, clock):
    for bad in ("a\x00b", "' OR 1=1 --", "\u202eana", "9" * 5000, "<script>alert(1)</script>", ""):
        for answer in (sign_in(login=bad), sign_in(password=bad)):
            assert answer.status_code in (200, 429) and b"<script>alert" not in answer.content


def test_without_the_forms_token_nothing_is_posted(house, clock):
    http = Client(enforce_csrf_checks=True)
    assert sign_in(http=http).status_code == 403
    page = http.get("/sign-in").content.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page).group(1)
    assert answer_of(http.post("/sign-in", {"login": "ana", "password": PASSWORD, "csrfmiddlewaretoken": token})) == "/"
    for address in ("/start", "/preferences", "/sign-out", "/people", "/contacts/C-1/do/contacts.hold"):
        assert http.post(address, {}).status_code == 403, address
    assert signed_in(http)


# ---------------------------------------------------------------- guessing


def test_after_five_wrong_tries_the_right_password_waits_too_and_a_colleague_does_not(house, clock):
    for _ in range(5):
        sign_in(password="a wrong sentence here")
    http = Client()
    assert "many" in sign_in(http=http).content.decode() and not signed_in(http)
    assert answer_of(sign_in("ben")) == "/"


def test_another_spelling_of_the_name_is_the_same_name(house, clock):
    for login in ("ana", "ANA", " ana ", "Ana", "aNa"):
        sign_in(login=login, password="a wrong sentence here")
    http = Client()
    sign_in(http=http)
    assert not signed_in(http)


def test_many_names_from_one_address_wait_too(house, clock):
    for n in range(10):
        sign_in(login=f"guess{n}", password="a wrong sentence here")
    http = Client()
    sign_in(http=http)
    assert not signed_in(http)


ANOTHER_WORKER = """
import django, json, sys
from django.conf import settings
django.setup()
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
settings.ALLOWED_HOSTS = ["testserver"]
settings.STORAGES = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
from django.test import Client
print(json.dumps([Client().post("/sign-in", {"login": n, "password": sys.argv[1]}).status_code for n in ("ana", "ben")]))
"""


def test_wrong_tries_count_over_all_workers(committed_house, process_environment):
    """Five wrong tries in this process; another one refuses Ana too, and lets Ben in."""
    for _ in range(5):
        sign_in(password="a wrong sentence here")
    answer = subprocess.run(
        [sys.executable, "-c", ANOTHER_WORKER, PASSWORD], env=process_environment, cwd=settings.ROOT, capture_output=True, text=True, timeout=60
    )
    assert answer.returncode == 0, answer.stderr
    ana, ben = json.loads(answer.stdout)
    assert ana in (200, 429) and ben == 302


# ---------------------------------------------------------------- for how long


def test_a_session_ends_after_half_an_hour_without_a_click_and_says_so(house, clock):
    ana = Browser(house["ana"])
    assert ana.get("/").status_code == 200
    clock.later(minutes=31)
    answer = ana.get("/find?q=Okafor")
    assert answer["Location"].startswith("/sign-in?next=/find%3Fq%3DOkafor") and answer["Location"].endswith("why=idle")
    assert "You were away for a while" in ana.get(answer["Location"]).content.decode()
    clock.later(minutes=-31)
    assert answer_of(ana.get("/")) == "/sign-in", "it is gone, not asleep"


def test_every_click_keeps_it(house, clock):
    ana = Browser(house["ana"])
    for _ in range(4):
        assert ana.get("/").status_code == 200
        clock.later(minutes=29)
    assert ana.get("/").status_code == 200


def test_polls_do_not_keep_it(house, clock):
    maria = people.open_account()
    ana, lena = Browser(house["ana"]), Browser(house["lena"])
    asked = ask_for_a_credit(hold_contact(house["ana"], maria, "verified"), house["ana"])
    polls = [(ana, "/ringing"), (ana, f"/requests/{asked.pk}/part"), (lena, "/approvals/part")]
    for browser in (ana, lena):
        browser.get("/")
    for _ in range(3):
        clock.later(minutes=9)
        for browser, address in polls:
            assert browser.get(address, X_Careline_Poll="1").status_code == 200, address
    clock.later(minutes=4)
    for browser, address in polls:
        answer = browser.get(address, X_Careline_Poll="1")
        assert (answer.status_code, answer.content) == (401, b""), address


def test_polls_alone_never_begin_to_count_as_a_click(house, clock):
    """Signed in, and nothing but polls since."""
    ana = Browser(house["ana"])
    for _ in range(4):
        answer = ana.get("/ringing", X_Careline_Poll="1")
        clock.later(minutes=15)
    assert answer.status_code == 401


def test_the_time_of_the_last_click_is_written_at_most_once_a_minute(house, clock):
    ana = Browser(house["ana"])
    ana.get("/")
    first = ana.http.session["seen"]
    clock.later(seconds=50)
    ana.get("/")
    assert ana.http.session["seen"] == first
    clock.later(seconds=20)
    ana.get("/")
    assert ana.http.session["seen"] == first + 70


# ---------------------------------------------------------------- where to next

ELSEWHERE = ["https://evil.example/", "//evil.example/", "/\\evil.example", "\\\\evil.example", "https:evil.example", "javascript:alert(1)", "///evil.example", "http://testserver@evil.example/",
             "/\t/evil.example", "data:text/html,x"]


def test_next_leads_to_this_desk_only(house, clock):
    for elsewhere in ELSEWHERE:
        for way in (f"/sign-in?next={quote(elsewhere)}", f"/sign-in/?next={quote(elsewhere)}"):
            assert sign_in(address=way)["Location"] == "/", elsewhere
        http = Client()
        assert http.post("/sign-in", {"login": "ben", "password": PASSWORD, "next": elsewhere})["Location"] == "/", elsewhere
        assert http.get(f"/sign-in?next={quote(elsewhere)}")["Location"] == "/", elsewhere
        assert http.post("/preferences", {"theme": "dark"}, headers={"Referer": elsewhere})["Location"] == "/", elsewhere


def test_next_leads_back_to_where_somebody_was_going(house, clock):
    asked = Client().get("/find?q=0188")
    assert asked["Location"] == "/sign-in?next=/find%3Fq%3D0188"
    page = Client().get(asked["Location"]).content.decode()
    action = re.search(r'action="(/sign-in[^"]*)"', page).group(1).replace("&amp;", "&")
    assert sign_in(address=action)["Location"] == "/find?q=0188"


# ---------------------------------------------------------------- what stands around every page

POLICY = {
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "font-src 'self'", "connect-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'",
}
UNSAFE = re.compile(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|javascript:|<iframe|<object|<embed|(?:src|href|action)=\"(?:https?:)?//", re.I)


def test_every_page_has_a_strict_policy_and_no_script_or_style_of_its_own(house, clock, monkeypatch):
    maria = people.open_account()
    contact = hold_contact(house["ana"], maria, "verified")
    asked = ask_for_a_credit(contact, house["ana"])
    monkeypatch.setattr(settings, "DEMO", True)
    ana, lena, ada, nobody = Browser(house["ana"]), Browser(house["lena"]), Browser(house["ada"]), Browser()
    here = f"/contacts/{contact.reference}/"
    pages = [(ana, a) for a in ("/", "/find?q=Okafor", here, here + "?act=credits.grant", here + "?section=time", here + "?section=lines", here + "?verify=more", here + "journal", "/me",
                                "/messages", "/ring", "/api/docs", "/ringing", "/nothing", "/approvals", f"/requests/{asked.pk}/part", "/messages/part")]
    pages += [(lena, "/approvals"), (lena, f"/approvals/{asked.pk}"), (lena, "/approvals/part"), (ada, "/people"), (ada, "/find"), (nobody, "/sign-in"), (nobody, "/sign-in?next=/find"), (nobody, "/pay/x"), (nobody, "/health")]
    for browser, address in pages:
        answer = browser.get(address)
        assert {d.strip() for d in answer["Content-Security-Policy"].split(";")} == POLICY, address
        assert (answer["X-Frame-Options"], answer["X-Content-Type-Options"], answer["Referrer-Policy"]) == ("DENY", "nosniff", "same-origin"), address
        assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
        found = UNSAFE.search(answer.content.decode())
        assert found is None, (address, found)
        if browser is not nobody:
            assert "no-store" in answer["Cache-Control"], address


def test_a_broken_page_has_the_policy_too_and_tells_nothing(house, clock, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("Maria Okafor said 4711")

    monkeypatch.setattr("careline.doors.web.home.contacts.all_open_of", broken)
    answer = Browser(house["ana"]).get("/")
    assert answer.status_code == 500 and "script-src 'self'" in answer["Content-Security-Policy"] and UNSAFE.search(answer.content.decode()) is None
    assert "4711" not in answer.content.decode() + caplog.text and "RuntimeError" in caplog.text


def test_the_cookies_are_kept_from_scripts_and_from_other_sites(house, clock):
    http = Client()
    http.get("/sign-in")
    sign_in(http=http)
    for name in (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME):
        assert http.cookies[name]["httponly"] is True and http.cookies[name]["samesite"] == "Lax", name
    assert http.cookies[settings.SESSION_COOKIE_NAME]["max-age"] == "", "it goes with the browser"


OVER_TLS = """
import django, json
django.setup()
from django.conf import settings
from django.core.management import call_command
call_command("check", deploy=True, fail_level="WARNING")
settings.STORAGES = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
from django.test import Client
http = Client()
page = http.get("/sign-in", secure=True, headers={"Host": "desk.example"})
plain = http.get("/sign-in?next=/find", headers={"Host": "desk.example"})
strange = http.get("/sign-in", secure=True, headers={"Host": "evil.example"})
health = http.get("/health", headers={"Host": "10.0.0.7"})
proxied = http.get("/sign-in", headers={"Host": "desk.example", "X-Forwarded-Proto": "https"})
print(json.dumps({
    "page": page.status_code, "hsts": page["Strict-Transport-Security"], "plain": [plain.status_code, plain["Location"]], "strange": strange.status_code, "health": health.status_code, "proxied": proxied.status_code,
    "cookies": {k: [bool(c["secure"]), bool(c["httponly"]), c["samesite"]] for k, c in http.cookies.items()}, "session": settings.SESSION_COOKIE_SECURE,
}))
"""


def test_over_tls_the_deployment_check_is_clean_and_cookies_and_pages_stay_on_it(tmp_path):
    environment = {"CARELINE_TLS": "1", "CARELINE_HOSTS": "desk.example", "CARELINE_HOME": str(tmp_path), "DJANGO_SETTINGS_MODULE": "careline.settings"}
    answer = subprocess.run([sys.executable, "-W", "ignore", "-c", OVER_TLS], env=environment, cwd=settings.ROOT, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    assert "no issues" in answer.stdout + answer.stderr and "WARNING" not in answer.stderr
    told = [line for line in answer.stderr.splitlines() if "evil.example" in line]
    assert len(told) == 1 and "DisallowedHost" in told[0] and "Traceback" not in answer.stderr, "one line, not a page"
    found = json.loads(answer.stdout.strip().splitlines()[-1])
    assert found == {
        "page": 200, "hsts": "max-age=31536000", "plain": [301, "https://desk.example/sign-in?next=/find"], "strange": 400, "health": 200, "proxied": 200,
        "cookies": {"careline_csrf": [True, True, "Lax"]}, "session": True,
    }


def test_idle_minutes_are_the_settings_own(house, clock, monkeypatch):
    monkeypatch.setattr(settings, "IDLE_MINUTES", 5)
    ana = Browser(house["ana"])
    ana.get("/")
    clock.later(minutes=6)
    assert answer_of(ana.get("/")) == "/sign-in"


def test_behind_a_proxy_each_address_has_its_own_count(house, clock, monkeypatch):
    monkeypatch.setattr(settings, "ALLAUTH_TRUSTED_PROXY_COUNT", 1, raising=False)

    def signs_in(address, login, password=PASSWORD):
        http = Client()
        sign_in(login, password, http=http, headers={"X-Forwarded-For": f"6.6.6.6, {address}"})
        return signed_in(http)

    for n in range(12):
        assert not signs_in("203.0.113.5", f"nobody{n}", "wrong")
    assert not signs_in("203.0.113.5", "ana"), "this address waits"
    assert signs_in("198.51.100.7", "ana"), "a neighbour behind the same proxy does not"


def test_health_answers_under_any_name_and_says_when_the_database_does_not(db, monkeypatch):
    assert Client().get("/health", headers={"Host": "10.0.0.7:8000"}).json() == {"status": "ok"}

    def down(*_):
        raise OperationalError("no route to desk:secret@db")

    monkeypatch.setattr("careline.doors.ready.connection", types.SimpleNamespace(cursor=down))
    answer = Client().get("/health")
    assert answer.status_code == 503 and "secret" not in answer.content.decode()


def test_a_flood_of_counters_does_not_make_room_for_itself(db):
    cache.set("failures-of-ana", 5, 300)
    for n in range(400):
        cache.set(f"flood-{n}", 1, 300)
    assert cache.get("failures-of-ana") == 5
    assert settings.CACHES["default"]["OPTIONS"]["MAX_ENTRIES"] >= 50_000


def test_making_room_is_told(db, caplog, monkeypatch):
    monkeypatch.setattr(caches["default"], "_max_entries", 3)
    for n in range(6):
        cache.set(f"flood-{n}", 1, 300)
    assert "counters was full" in caplog.text


# ---------------------------------------------------------------- a password of one's own


def choose(http=None, **typed):
    given = {"login": "ben", "code": "AAA-AAA-AAA", "password": "nine yellow submarines", "again": "nine yellow submarines", "request_key": people.key(), **typed}
    return (http or Client()).post("/welcome", given)


def code_for(house, name) -> str:
    Browser(house["ada"]).post("/people", code="staff.reset_password", staff=house[name].pk)
    page = Browser(house["lena"]).post("/let-in", staff=house[name].pk).content.decode()
    return re.search(r'class="secret is-spoken">([A-Z0-9-]+)<', page)[1]


def test_a_reset_signs_ben_out_and_only_the_code_from_lena_lets_him_in_again(house, clock):
    http = Client()
    sign_in("ben", http=http)
    code = code_for(house, "ben")
    assert not signed_in(http) and not signed_in((sign_in("ben", http=(other := Client())), other)[1])
    assert choose(code=code).headers["Location"] == "/sign-in?why=chosen"
    sign_in("ben", "nine yellow submarines", http=http)
    assert signed_in(http)


def test_whoever_guesses_a_code_learns_nothing_of_who_waits(house, clock):
    """A colleague who waits for nobody, a name that nobody has, one who has a code, a machine, somebody switched off."""
    people.hire("robin", "Robin", "agent")
    code = code_for(house, "ben")
    answers = [choose(login=name) for name in ("ana", "nobody", "ben", "robin", "", "a\x00b", "' OR 1=1 --", "9" * 5000)]
    assert {a.status_code for a in answers} == {422}
    assert {said(a) for a in answers if a.status_code == 422} == {"The name and the code do not belong together, or the code has run out. Ask your lead for a new one."}
    Staff.objects.filter(username="ben").update(is_active=False)
    assert choose(code=code).status_code == 422
    Staff.objects.filter(username="ben").update(is_active=True)
    assert "nine yellow" not in choose(again="another").content.decode() and choose(code=code).status_code == 302


def test_codes_are_not_guessed_by_the_thousand(house, clock):
    answers = [choose(login="nobody").status_code for _ in range(62)]
    assert answers[0] == 422 and answers[-1] == 429


def test_nobody_lets_in_whom_they_asked_for_and_a_code_is_shown_once(house, clock):
    lena = Browser(house["lena"])
    Browser(house["ada"]).post("/people", code="staff.reset_password", staff=house["ana"].pk)
    again = {"staff": house["ana"].pk, "request_key": people.key()}
    first, second = lena.http.post("/let-in", again), lena.http.post("/let-in", again)
    assert b'class="secret' in first.content and b'class="secret' not in second.content and "shown once" in second.content.decode()
    assert lena.post("/let-in", staff=house["ben"].pk).status_code == 422 and lena.post("/let-in", staff="x").status_code == 422
    for name in ("ana", "ada", "tom"):
        assert Browser(house[name]).post("/let-in", staff=house["ana"].pk).status_code in (302, 403), name
