"""Single sign-on against a real provider that runs on loopback: who gets in, as whom, and who does not."""

from __future__ import annotations

import re
import urllib.parse

import oidc_provider_mock
import pytest
import requests
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.test import Client

from careline.domain.journal.models import Line as JournalLine
from careline.domain.staff.models import Staff
from tests import people
from tests.doors.test_access import answer_of

LEADS = {"preferred_username": "nora.lind@northwind.example", "name": "Nora Lind", "email": "nora.lind@northwind.example", "groups": ["everybody", "careline-leads"]}


@pytest.fixture(scope="module")
def running():
    with oidc_provider_mock.run_server_in_thread() as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture
def provider(running, monkeypatch):
    """The provider's address, and the desk that was made known to it."""
    monkeypatch.setattr(settings, "OIDC_SERVER", running)
    monkeypatch.setattr(settings, "OIDC_NAME", "Northwind")
    (app,) = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"]
    monkeypatch.setitem(app, "client_id", "careline")
    monkeypatch.setitem(app, "secret", "a secret between the two")
    monkeypatch.setitem(app["settings"], "server_url", running)
    return running


def come_by(provider: str, sub: str, **claims) -> tuple[Client, object]:
    """Somebody presses the button, signs in at the provider, and comes back: their browser and the desk's answer."""
    known = requests.put(f"{provider}/users/{sub}", json=claims, timeout=5)
    assert known.ok, known.text
    http = Client()
    action = re.search(r'action="(/sign-in/single/go)"', http.get("/sign-in").content.decode())[1]
    away = http.post(action)
    assert away.status_code == 302 and away["Location"].startswith(provider), away
    asked = urllib.parse.parse_qs(urllib.parse.urlsplit(away["Location"]).query)
    assert asked["code_challenge_method"] == ["S256"] and asked["redirect_uri"] == ["http://testserver/sign-in/single/back"]
    there = requests.post(away["Location"], data={"sub": sub}, allow_redirects=False, timeout=5)
    assert there.status_code in (302, 303), there.text
    came = urllib.parse.urlsplit(there.headers["Location"])
    return http, http.get(f"{came.path}?{came.query}")


def test_nora_of_the_leads_is_let_in_as_a_lead_and_is_somebody_here_from_then_on(house, provider):
    http, answer = come_by(provider, "n-1", **LEADS)
    assert answer_of(answer) == "/" and http.get("/approvals").status_code == 200
    nora = Staff.objects.get(username="nora.lind")
    assert (nora.name, nora.role, nora.email, nora.has_usable_password()) == ("Nora Lind", "lead", "nora.lind@northwind.example", False)
    lines = [(line.code, line.who, line.content["say"]) for line in JournalLine.objects.filter(code__startswith="staff.").order_by("pk") if line.outcome == "done"]
    assert lines == [("staff.add", "Job:sso", "Added nora.lind as lead"), ("staff.sign_in", nora.who.key, "Signed in by single sign-on")]
    again, _ = come_by(provider, "n-1", **LEADS)
    assert again.get("/approvals").status_code == 200 and Staff.objects.filter(username__startswith="nora").count() == 1


def test_her_role_follows_her_groups_at_the_next_sign_in(house, provider):
    come_by(provider, "n-1", **LEADS)
    http, _ = come_by(provider, "n-1", **LEADS | {"groups": ["careline-associates", "careline-trainees"]})
    assert Staff.objects.get(username="nora.lind").role == "associate", "the highest of her groups"
    assert http.get("/approvals").status_code == 403 and http.get("/").status_code == 200
    assert JournalLine.objects.get(code="staff.change_role").who == "Job:sso"


@pytest.mark.parametrize("groups", [[], ["everybody"], "strangers", None, 7])
def test_who_is_in_no_group_of_the_rulebook_is_told_and_not_let_in(house, provider, groups):
    claims = {**LEADS, "groups": groups} if groups is not None else {k: v for k, v in LEADS.items() if k != "groups"}
    http, answer = come_by(provider, "n-2", **claims)
    assert answer.status_code == 403 and "none of your groups has a role" in answer.content.decode()
    assert answer_of(http.get("/")) == "/sign-in" and not Staff.objects.filter(username="nora.lind").exists()


def test_who_lost_all_groups_is_let_in_no_more(house, provider):
    come_by(provider, "n-1", **LEADS)
    http, answer = come_by(provider, "n-1", **LEADS | {"groups": []})
    assert answer.status_code == 403 and answer_of(http.get("/")) == "/sign-in"


def test_somebody_who_was_added_by_hand_is_the_same_person_and_nobody_else_takes_their_name(house, provider):
    http, _ = come_by(provider, "a-1", preferred_username="ana", name="Ana Silva", groups=["careline-associates"])
    assert http.get("/").status_code == 200 and SocialAccount.objects.get().user == house["ana"] and Staff.objects.filter(username="ana").count() == 1
    thief, answer = come_by(provider, "x-9", preferred_username="ana@elsewhere.example", name="Not Ana", groups=["careline-associates"])
    assert answer.status_code == 403 and "belongs to somebody else" in answer.content.decode() and answer_of(thief.get("/")) == "/sign-in"


def test_somebody_who_is_switched_off_and_a_machine_stay_out(house, provider):
    Staff.objects.filter(username="ana").update(is_active=False)
    people.hire("robin", "Robin", "agent")
    for sub, name in (("a-1", "ana"), ("r-1", "robin")):
        http, answer = come_by(provider, sub, preferred_username=name, groups=["careline-associates"])
        assert answer.status_code == 403 and answer_of(http.get("/")) == "/sign-in", name


def test_a_name_that_is_none_is_told_and_makes_nobody(house, provider):
    before = Staff.objects.count()
    _, answer = come_by(provider, "€", preferred_username="€€", groups=["careline-associates"])
    assert answer.status_code == 403 and "could not be let in" in answer.content.decode() and Staff.objects.count() == before


def test_a_second_factor_is_the_providers_where_the_settings_say_so_and_ours_else(house, provider, monkeypatch):
    monkeypatch.setattr(settings, "SECOND_FACTORS", True)
    http, _ = come_by(provider, "n-1", **LEADS)
    assert answer_of(http.get("/approvals")) == "/me/sign-in"
    monkeypatch.setattr(settings, "OIDC_SECOND_FACTOR", True)
    http, _ = come_by(provider, "n-1", **LEADS)
    assert http.get("/approvals").status_code == 200


def test_an_answer_that_nobody_asked_for_or_a_no_of_the_provider_is_a_page_with_words(house, provider):
    for query in ("", "?code=x&state=y", "?error=access_denied&state=y", "?state=y"):
        answer = Client().get(f"/sign-in/single/back{query}")
        assert answer.status_code in (302, 403) and b"Traceback" not in answer.content, query
        assert answer_of(answer) in ("/sign-in", "/sign-in/", 403), query


def test_a_link_signs_nobody_in_and_a_provider_that_is_away_is_said(house, provider, monkeypatch):
    assert Client().get("/sign-in/single/go").status_code == 404
    (app,) = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"]
    monkeypatch.setitem(app["settings"], "server_url", "http://localhost:9")
    answer = Client().post("/sign-in/single/go")
    assert answer.status_code in (403, 503) and "sign-in provider" in answer.content.decode()


def test_without_a_provider_there_is_no_button_and_no_door(house):
    assert "/sign-in/single" not in Client().get("/sign-in").content.decode()
    assert Client().post("/sign-in/single/go").status_code == 404 == Client().get("/sign-in/single/back").status_code
