"""The administrator's checklist: what is open in a new house, and how each point closes by being done."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from careline.domain.journal import operations as journal
from careline.domain.journal.rules import HOUSE, Entry
from careline.domain.rulebook import operations as rulebook_operations
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs import backups, worker
from careline.foundation.act import NO_BASIS, Act, Who
from careline.foundation.rulebook import Rulebook
from tests import people
from tests.doors.test_access import Browser
from tests.doors.test_factors import enrol


def points(browser) -> dict[str, str]:
    """Each point with its state and what it says."""
    text = browser.get("/checklist").content.decode()
    found = re.findall(r'is-(ok|risk)">(?:done|to do)</span></span><span><b>([^<]+)</b><span class="check-say">(.*?)</span></span><span', text, re.S)
    assert len(found) == len(re.findall("check-state", text)) >= 12
    return {title: f"{state}: {re.sub('<[^>]+>', '', say)}" for state, title, say in found}


def test_a_new_house_says_what_is_open(house):
    found = points(Browser(house["ada"]))
    assert found["Everybody has signed in"].startswith("risk: 1 of 7") and "Ana Silva" in found["Everybody has signed in"]
    assert found["Two administrators"] == "risk: Ada Brandt"
    assert found["Two people who decide"] == "ok: Lena Park, Sam Osei"
    assert found["Customers are here"] == "risk: None yet" and found["Backups"] == "risk: None was taken"
    assert found["Your own rulebook"].startswith("risk: In force is the example") and found["No made-up customers"].startswith("ok")
    assert found["TLS"].startswith("risk") and found["The worker"] == "risk: Never seen"


def test_what_is_done_is_closed(house, monkeypatch):
    ada = Browser(house["ada"])
    people.open_account()
    book = people.default_rulebook()
    ours = Rulebook({**book.files, "limits.toml": book.files["limits.toml"] + "\n# ours\n"})
    rulebook_operations.activate(act=people.carrier_act(people.TUESDAY), rulebook=ours, from_at=people.TUESDAY, seconded_by="Staff:1")
    rulebooks.forget()
    backups._record(backups.TAKE, timezone.now(), "Backup taken", {})
    worker.beat()
    people.hire("abe", "Abe Brandt", "administrator")
    monkeypatch.setattr(settings, "TLS", True)
    found = points(ada)
    for title in ("Customers are here", "Your own rulebook", "Backups", "The worker", "Two administrators", "TLS"):
        assert found[title].startswith("ok"), (title, found[title])


def test_another_system_that_holds_the_records_and_hears_of_no_change_is_missed(house, monkeypatch):
    ada = Browser(house["ada"])
    assert points(ada)["Who holds the records"].startswith("ok"), "nothing was imported"
    act = Act(Who("Job", "import", "Import", "job"), timezone.now(), "", "a-key-of-its-own", NO_BASIS)
    journal.record(Entry(HOUSE, act, "imports.run", "done", "Imported", {}))
    assert points(ada)["Who holds the records"] == "risk: Another system, which hears of no change made here"
    monkeypatch.setattr(settings, "FEED", "https://billing.example/changes")
    assert points(ada)["Who holds the records"].startswith("ok")


def test_second_factors_are_missed_by_name_and_no_more_once_they_are_there(house, monkeypatch):
    monkeypatch.setattr(settings, "SECOND_FACTORS", True)
    http, _, _ = enrol("ada")
    ada = type("Ada", (), {"get": staticmethod(http.get)})
    assert points(ada)["Second factors"].endswith("missing: Lena Park, Sam Osei")
    enrol("lena"), enrol("sam")
    assert points(ada)["Second factors"].startswith("ok") and points(ada)["Second factors"].endswith("all have one")


def test_an_old_backup_is_missed(house):
    backups._record(backups.TAKE, timezone.now() - timedelta(days=3), "Backup taken", {})
    assert points(Browser(house["ada"]))["Backups"].startswith("risk: 3 days ago")


@pytest.mark.parametrize("accounts", [1, 4])
def test_it_shows_no_customer(house, accounts):
    for n in range(accounts):
        people.open_account(f"Maria Okafor{n}", f"+1206555018{n}", f"A-010482{n}")
    text = Browser(house["ada"]).get("/checklist").content.decode()
    assert "Okafor" not in text and "A-0104" not in text
