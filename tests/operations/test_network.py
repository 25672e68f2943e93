"""What a lead enters about an area is known of every line there, from the moment it begins until it is over."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from careline.acts.perform import perform
from careline.domain.customers.models import Account
from careline.domain.journal import queries as journal
from careline.domain.journal.models import Line as JournalLine
from careline.domain.network import queries
from careline.domain.network.models import Trouble
from careline.foundation.act import Who
from tests.people import TUESDAY, Desk, key, open_account

SAY = "Some customers near Seattle have no service. Our people are on it."


@pytest.fixture
def maria(house):
    return at_home(open_account(), "98101-2044")


@pytest.fixture
def lena(house):
    return Desk(house["lena"])


def at_home(account: Account, postal_code: str) -> Account:
    Account.objects.filter(pk=account.pk).update(postal_code=postal_code)
    return account


def line_of(account: Account) -> int:
    return account.lines.get().pk


def area(house, code: str = "seattle", **parts: object) -> str:
    sam = Desk(house["sam"])
    return sam.must("network.name_area", short=code, name=code.title(), **(parts or {"postal": ["981"]})).show["area"]


def outage(desk: Desk, where: str, **more: object) -> int:
    given = {"kind": "outage", "voice": True, "data": True, "words": SAY, **more}
    return int(desk.must("network.report_outage", area=where, **given).show["id"])


def test_an_outage_that_a_lead_enters_is_known_of_every_line_in_the_area_and_of_no_other(house, lena, maria):
    next_door = at_home(open_account("Joe Lind", "+12065550199", "A-0104823"), "98144")
    far_away = at_home(open_account("Eve Sand", "+12125550111", "A-0104824"), "10019")
    nowhere = open_account("Kit Dale", "+12125550112", "A-0104825")
    until = lena.at + timedelta(hours=3)
    outage(lena, area(house), expected_end=until.isoformat())
    for neighbour in (maria, next_door):
        (found,) = queries.outages_for(line_of(neighbour), lena.at)
        assert (found.kind, found.services, found.area, found.words) == ("outage", {"voice", "data"}, "Seattle", SAY)
        assert (found.expected_end, found.overdue, found.entered_by, found.matched_by) == (until, False, "Lena Park", "postal")
    for other in (far_away, nowhere):
        assert queries.outages_for(line_of(other), lena.at) == []
    assert queries.outages_for(line_of(maria), lena.at - timedelta(minutes=1)) == [], "it had not begun"
    assert queries.outages_for(line_of(maria), until + timedelta(minutes=1))[0].overdue, "an outage lasts until somebody ends it"


def test_a_line_is_where_it_was_last_seen_too(house, lena, maria):
    outage(lena, area(house, "tower-nine", cells=["310-260-51A3-02F"]), kind="congestion", voice=False)
    assert queries.outages_for(line_of(maria), lena.at) == []
    (found,) = queries.outages_for(line_of(maria), lena.at, cells=["310-260-51a3-02f"])
    assert (found.kind, found.matched_by) == ("congestion", "cell")
    assert [t.number for t in queries.outages_at(lena.at, cells=["310-260-51a3-02f"])] == [found.number]


def test_everywhere_reaches_a_line_whose_place_nobody_knows(house, lena):
    kit = open_account("Kit Dale", "+12125550112", "A-0104825")
    outage(lena, area(house, "all", everywhere=True), voice=False, data=False, text=True)
    (found,) = queries.outages_for(line_of(kit), lena.at)
    assert (found.services, found.matched_by) == ({"text"}, "everywhere")


def test_outages_lead_then_maintenance_then_congestion(house, lena, maria):
    where = area(house)
    outage(lena, where, kind="congestion")
    begins, ends = lena.at - timedelta(hours=1), lena.at + timedelta(hours=1)
    outage(lena, where, kind="maintenance", began=begins.isoformat(), expected_end=ends.isoformat())
    outage(lena, where)
    assert [t.kind for t in queries.outages_for(line_of(maria), lena.at)] == ["outage", "maintenance", "congestion"]


def test_maintenance_is_planned_then_holds_then_is_over_by_itself(house, lena, maria):
    begins, ends = lena.at + timedelta(hours=8), lena.at + timedelta(hours=10)
    outage(lena, area(house), kind="maintenance", began=begins.isoformat(), expected_end=ends.isoformat())
    at = {"before": lena.at, "within": begins + timedelta(minutes=1), "after": ends}
    assert {k: len(queries.outages_for(line_of(maria), t)) for k, t in at.items()} == {"before": 0, "within": 1, "after": 0}
    assert {k: len(queries.planned_for(line_of(maria), t)) for k, t in at.items()} == {"before": 1, "within": 0, "after": 0}
    assert {k: len(queries.open_outages(t)) for k, t in at.items()} == {"before": 1, "within": 1, "after": 0}


def test_an_outage_is_extended_with_new_words_and_ended_once(house, lena, maria):
    row = outage(lena, area(house))
    later = lena.at + timedelta(hours=5)
    lena.must("network.extend_outage", outage=row, expected_end=later.isoformat(), words="A cable was cut; it takes until tonight.")
    (found,) = queries.outages_for(line_of(maria), lena.at)
    assert (found.expected_end, found.words) == (later, "A cable was cut; it takes until tonight.")
    lena.must("network.extend_outage", outage=row, expected_end=(later + timedelta(hours=1)).isoformat())
    assert queries.outages_for(line_of(maria), lena.at)[0].words == "A cable was cut; it takes until tonight."
    lena.later(hours=1).must("network.end_outage", outage=row)
    assert queries.outages_for(line_of(maria), lena.at) == []
    for code, given in (("network.end_outage", {}), ("network.extend_outage", {"expected_end": later.isoformat()})):
        no = lena.act(code, outage=row, **given)
        assert (no.refusal.code, "over already" in no.say) == ("CONFLICT", True)
    assert not list(journal.verify())


def test_the_same_outage_is_entered_once_and_another_service_beside_it(house, lena, maria):
    where = area(house)
    outage(lena, where, voice=False)
    again = Desk(house["sam"]).act("network.report_outage", area=where, kind="outage", data=True, words="No data")
    assert (again.refusal.code, again.refusal.rule) == ("CONFLICT", "trouble-known")
    assert "Lena Park" in again.say
    outage(lena, where, data=False, voice=True)
    assert Trouble.objects.count() == 2


def test_two_maintenance_windows_apart_are_two_and_overlapping_ones_are_not(house, lena):
    where, day = area(house), timedelta(days=1)

    def window(begin, end):
        return lena.act("network.report_outage", area=where, kind="maintenance", data=True, words="Planned work",
                        began=(lena.at + begin).isoformat(), expected_end=(lena.at + end).isoformat())

    assert window(day, 1.2 * day).ok and window(2 * day, 2.2 * day).ok and window(1.2 * day, 1.5 * day).ok
    assert window(1.1 * day, 1.3 * day).refusal.rule == "trouble-known"


@pytest.mark.parametrize("name", ["tom", "ana", "eva", "ada"])
def test_only_leads_and_supervisors_enter_outages(house, name, lena):
    where = area(house)
    row = outage(lena, where)
    desk = Desk(house[name])
    for code, given in (
        ("network.report_outage", {"area": where, "kind": "outage", "text": True, "words": SAY}),
        ("network.extend_outage", {"outage": row, "expected_end": (TUESDAY + timedelta(hours=1)).isoformat()}),
        ("network.end_outage", {"outage": row}),
        ("network.name_area", {"short": "mine", "name": "Mine", "everywhere": True}),
    ):
        no = desk.act(code, **given)
        assert no.refusal.rule == "not-your-role", code
    assert lena.act("network.name_area", short="mine", name="Mine", everywhere=True).refusal.who_could == ("supervisor",)
    assert Trouble.objects.get().ended is None


def test_an_outage_needs_no_contact_and_stands_in_the_journal_of_the_house(house, lena, maria):
    lena.take_call(maria)
    row = outage(lena, area(house))
    line = JournalLine.objects.filter(code="network.report_outage").latest("pk")
    assert (line.chain.name, line.outcome) == ("house", "done")
    assert SAY not in line.text, "words can be redacted, a sentence cannot"
    assert line.content["data"]["outage"] == Trouble.objects.get(pk=row).number


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"area": "987654"}, "area"),
        ({"began": (TUESDAY + timedelta(hours=1)).isoformat()}, "began"),
        ({"expected_end": (TUESDAY - timedelta(minutes=1)).isoformat()}, "expected_end"),
        ({"began": "0001-01-01T00:00:00+14:00"}, "began"),
        ({"began": "2026-11-24T10:00:00"}, "began"),
        ({"voice": False, "data": False}, "input"),
        ({"kind": "maintenance"}, "input"),
        ({"kind": "storm"}, "kind"),
        ({"words": ""}, "words"),
    ],
)
def test_what_cannot_be_is_said_at_its_field(house, lena, given, field):
    where = area(house)
    no = lena.act("network.report_outage", **{"area": where, "kind": "outage", "voice": True, "data": True, "words": SAY, **given})
    assert field in no.refusal.fields and not Trouble.objects.exists()


@pytest.mark.parametrize("parts", [{}, {"postal": []}, {"postal": ["--"]}, {"cells": ["ÅÄÖ"]}, {"postal": ["9" * 41]}])
def test_an_area_holds_something(house, parts):
    no = Desk(house["sam"]).act("network.name_area", short="nothing", name="Nothing", **parts)
    assert no.status == "invalid"


def test_an_area_named_again_is_made_of_what_was_said_last(house, lena, maria):
    where = area(house)
    outage(lena, where)
    assert area(house, postal=["980"]) == where
    assert queries.outages_for(line_of(maria), lena.at) == []
    assert [p.value for p in queries.areas()[0].parts.all()] == ["980"]


def test_a_job_does_not_enter_outages(house):
    where = area(house)
    no = perform("network.report_outage", {"area": where, "kind": "outage", "data": True, "words": SAY}, who=Who("Job", "probe", "A job", "job"), key=key(), at=TUESDAY)
    assert no.refusal.rule == "not-your-role"


def test_asking_costs_the_same_for_one_outage_as_for_ten(house, lena, maria, django_assert_num_queries):
    for n in range(10):
        outage(lena, area(house, f"area-{n}", postal=["9810"]))
    line = line_of(maria)
    with django_assert_num_queries(3):
        assert len(queries.outages_for(line, lena.at)) == 10


# ---------------------------------------------------------------- two at once


def test_two_leads_enter_one_outage_at_once(committed_house, racing):
    where = area(committed_house)
    desks = [Desk(committed_house[name]) for name in ("lena", "sam")]
    outcomes = racing(*[partial(d.act, "network.report_outage", area=where, kind="outage", data=True, words=SAY) for d in desks])
    assert sorted(o.status for o in outcomes) == ["done", "refused"] and Trouble.objects.count() == 1


def test_two_leads_end_one_outage_at_once(committed_house, racing):
    lena, sam = Desk(committed_house["lena"]), Desk(committed_house["sam"])
    row = outage(lena, area(committed_house))
    outcomes = racing(*[partial(d.act, "network.end_outage", outage=row) for d in (lena, sam)])
    assert sorted(o.status for o in outcomes) == ["done", "refused"]
    assert not list(journal.verify())
