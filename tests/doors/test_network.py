"""The page of the network: everybody at the desk sees what is wrong, leads enter it, supervisors name areas."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection

from careline.domain.diagnosis.models import Answer
from careline.domain.journal.models import Line as JournalLine
from careline.domain.network.models import Area, AreaPart, Trouble
from tests import people
from tests.doors.test_access import PEOPLE, SIGN_IN, Browser, answer_of, hold_contact, undone
from tests.doors.test_pages import NASTY, Counting, bears, text_of
from tests.people import TUESDAY, Desk, key

SAY = "Some customers near Seattle have no service. Our people are on it."


@pytest.fixture
def seattle(house, clock):
    return area(house)


def area(house, short="seattle", postal=("981",), name="Seattle"):
    return Desk(house["sam"]).must("network.name_area", short=short, name=name, postal=list(postal)).show["area"]


def outage(house, where, **more) -> Trouble:
    given = {"kind": "outage", "voice": True, "data": True, "words": SAY, **more}
    return Trouble.objects.get(pk=Desk(house["lena"]).must("network.report_outage", area=where, **given).show["id"])


def plain(response) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text_of(response))))


def look(house, name, address="/network") -> str:
    """The page as somebody reads it who has just signed in."""
    return plain(Browser(house[name]).get(address))


def typed(where, **more):
    return {"code": "network.report_outage", "area": where, "kind": "outage", "voice": "on", "data": "on", "words": SAY, **more}


# ---------------------------------------------------------------- works


def test_a_lead_enters_an_outage_changes_its_end_and_ends_it_by_forms_alone(house, seattle, clock):
    lena, ana = Browser(house["lena"]), Browser(house["ana"])
    assert "Nothing is wrong" in plain(ana.get("/network"))
    entered = lena.post("/network", **typed(seattle, began="2026-11-24T09:30", expected_end="2026-11-24T14:00"))
    assert entered.status_code == 303 and entered["Location"] == "/network"
    row = Trouble.objects.get()
    assert (row.began.isoformat(), row.services, row.entered_by) == ("2026-11-24T14:30:00+00:00", {"voice", "data"}, house["lena"])
    page = plain(ana.get("/network"))
    for words in ("Seattle", "outage", "calls, data", "since 9:30 am ET", "expected until 2:00 pm ET", SAY, "entered by Lena Park", row.number):
        assert words in page, words
    assert "change or end" not in page and "Enter it" not in page

    assert f"?change={row.pk}#change" in lena.get("/network").content.decode()
    form = lena.get(f"/network?change={row.pk}").content.decode()
    assert 'value="2026-11-24T14:00"' in form and SAY in form
    changed = lena.post("/network", code="network.extend_outage", outage=row.pk, expected_end="2026-11-25T08:15", words="Back tomorrow morning.")
    assert changed.status_code == 303
    assert "expected until tomorrow, 8:15 am ET" in (page := plain(ana.get("/network"))) and "Back tomorrow morning." in page
    clock.later(days=1)
    assert "overdue" in look(house, "ana") and "was expected to end 8:15 am ET" in look(house, "ana")
    assert Browser(house["lena"]).post("/network", code="network.end_outage", outage=row.pk).status_code == 303
    page = look(house, "ana")
    assert "Nothing is wrong" in page and "Over, in the last 7 days" in page and "yesterday, 9:30 am ET until 10:00 am ET" in page
    clock.later(days=8)
    assert row.number not in look(house, "ana")


def test_maintenance_is_planned_until_it_begins_and_over_by_itself(house, seattle, clock):
    lena = Browser(house["lena"])
    assert lena.post("/network", **typed(seattle, kind="maintenance", began="2026-11-25T02:00", expected_end="2026-11-25T05:00")).status_code == 303
    page = look(house, "lena")
    assert "Nothing is wrong" in page and "Planned" in page and "from tomorrow, 2:00 am ET until tomorrow, 5:00 am ET" in page
    assert "Call it off" in look(house, "lena", f"/network?change={Trouble.objects.get().pk}")
    clock.later(hours=17)
    assert "since 2:00 am" in look(house, "lena")
    clock.later(hours=3)
    assert "Over, in the last 7 days" in look(house, "lena") and "Nothing is wrong" in look(house, "lena")


def test_a_supervisor_names_an_area_and_says_anew_what_is_in_it(house, clock):
    sam = Browser(house["sam"])
    named = sam.post("/network", code="network.name_area", name="Seattle", short="seattle", postal="981, 98004\n98005-1200", cells="310-260-51A3-02F")
    assert named.status_code == 303
    assert sorted(AreaPart.objects.values_list("kind", "value")) == [("cell", "310-260-51a3-02f"), ("postal", "98004"), ("postal", "980051200"), ("postal", "981")]
    page = sam.get(f"/network?area={Area.objects.get().pk}").content.decode()
    assert "Change Seattle" in page and ["981", "98004", "980051200"][0] in page
    assert sam.post("/network", code="network.name_area", name="Seattle and Bellevue", short="seattle", everywhere="on").status_code == 303
    assert "Seattle and Bellevue" in (page := plain(Browser(house["tom"]).get("/network"))) and "the whole network" in page
    assert Area.objects.count() == 1


@pytest.mark.parametrize(
    ("asked", "says"),
    [("98101", "Yes: an outage at 98101."), ("98101-2044", "Yes: an outage at 981012044."), ("10019", "Nobody has named an area that holds 10019"),
     ("97201", "No. Nothing is entered for 97201 now. Planned: maintenance from tomorrow, 2:00 am ET.")],
)  # fmt: skip
def test_is_anything_wrong_at_this_postal_code(house, seattle, asked, says):
    outage(house, seattle)
    window = {"began": (TUESDAY + timedelta(hours=16)).isoformat(), "expected_end": (TUESDAY + timedelta(hours=18)).isoformat()}
    outage(house, area(house, "portland", ["972"], "Portland"), kind="maintenance", **window)
    page = plain(Browser(house["ana"]).get("/network?q=" + asked))
    assert says in page and (SAY in page)


def test_what_a_lead_enters_is_in_the_probes_of_the_next_walk_there(house, clock):
    maria = people.open_account()
    type(maria).objects.update(postal_code="98101-2044")
    contact = hold_contact(house["ana"], maria, "verified")
    assert Browser(house["sam"]).post("/network", code="network.name_area", name="Seattle", short="seattle", postal="981").status_code == 303
    assert Browser(house["lena"]).post("/network", **typed(Area.objects.get().pk)).status_code == 303
    Browser(house["ana"]).do(contact, "diagnosis.start", account=maria.pk, line=maria.lines.get().pk, guide="no_service", words="No bars")
    read = next(a for a in Answer.objects.all() if a.what.get("check") == "network.outage")
    assert (read.what["outcome"], read.source) == ("outage", "network")


# ---------------------------------------------------------------- refuses


@pytest.mark.parametrize("name", PEOPLE)
def test_each_role_may_what_is_theirs(house, seattle, name):
    row = outage(house, seattle)
    browser = Browser(house.get(name))
    tries = {
        "report": typed(area(house, "tacoma", ["984"])), "extend": {"code": "network.extend_outage", "outage": row.pk, "expected_end": "2026-11-25T10:00"},
        "end": {"code": "network.end_outage", "outage": row.pk}, "name": {"code": "network.name_area", "name": "X", "short": "x", "postal": "1"},
    }  # fmt: skip
    found = []
    for given in tries.values():
        with undone():
            found.append(answer_of(browser.post("/network", **given)))
    lead, done = ["/network"] * 3, "/network"
    expected = {"lena": [*lead, 422], "sam": [*lead, done], "ada": [403] * 4, "nobody": [SIGN_IN] * 4}.get(name, [422] * 4)
    assert found == expected
    if expected == [422] * 4:
        refused = browser.post("/network", **tries["end"])
        assert "Who could: lead, supervisor" in plain(refused) and "Rule not-your-role" in plain(refused) and not Trouble.objects.exclude(ended=None).exists()


def test_forms_stand_only_where_their_reader_may_send_them(house, seattle):
    outage(house, seattle)
    shown = {name: set(re.findall(r'name="code" value="([^"]+)"', Browser(house[name]).get(f"/network?change={Trouble.objects.get().pk}").content.decode()))
             for name in ("tom", "ana", "eva", "lena", "sam")}  # fmt: skip
    change = {"network.extend_outage", "network.end_outage"}
    assert shown == {"tom": set(), "ana": set(), "eva": set(), "lena": change, "sam": change | {"network.name_area"}}


def test_a_field_that_is_wrong_says_so_in_place_and_keeps_what_was_typed(house, seattle):
    lena = Browser(house["lena"])
    for given, field in (
        ({"area": ""}, "area"), ({"words": ""}, "words"), ({"began": "soon"}, "began"), ({"began": "2026-11-25T10:00"}, "began"),
        ({"expected_end": "2026-11-24T09:00"}, "expected_end"), ({"area": "999"}, "area"), ({"expected_end": "0001-01-01T00:00"}, "expected_end"),
    ):  # fmt: skip
        mine = key()
        answer = lena.post("/network", **{**typed(seattle), "words": "Kept words", **given, "request_key": mine})
        page = answer.content.decode()
        assert answer.status_code == 422 and re.search(rf'id="[\w-]+{field}-error">[^<]+', page), given
        assert mine not in page and ("Kept words" in page or "words" in given)
    answer = lena.post("/network", **{k: v for k, v in typed(seattle).items() if k not in ("voice", "data")})
    assert answer.status_code == 422 and "Say which services are affected." in plain(answer)
    assert not Trouble.objects.exists()


def test_the_same_outage_again_is_refused_with_the_way_to_the_first(house, seattle):
    row = outage(house, seattle)
    answer = Browser(house["lena"]).post("/network", **typed(seattle))
    assert answer.status_code == 422 and f"{row.number} says this already" in plain(answer) and f"Change {row.number}" in plain(answer)
    assert f"?change={row.pk}#change" in answer.content.decode()


def test_the_same_form_twice_is_one_act(house, seattle):
    lena, mine = Browser(house["lena"]), key()
    assert [lena.post("/network", **typed(seattle), request_key=mine).status_code for _ in range(2)] == [303, 303]
    assert Trouble.objects.count() == JournalLine.objects.filter(code="network.report_outage").count() == 1
    other = lena.post("/network", **typed(seattle, words="Other words"), request_key=mine)
    assert other.status_code == 422 and "used before" in plain(other) and Trouble.objects.count() == 1


# ---------------------------------------------------------------- part, questions, garbage


def test_the_poll_is_204_while_nothing_changed_and_the_part_when_something_did(house, seattle, clock):
    ana = Browser(house["ana"])
    (poll,) = re.findall(r'data-poll="([^"]+)"', ana.get("/network").content.decode())
    assert ana.get(html.unescape(poll)).status_code == 204
    row = outage(house, seattle, expected_end=(TUESDAY + timedelta(hours=1)).isoformat())
    answer = ana.get(html.unescape(poll))
    assert answer.status_code == 200 and row.number in text_of(answer) and "<html" not in text_of(answer)
    seen = answer["X-Careline-Seen"]
    assert ana.get("/network/part", X_Careline_Seen=seen).status_code == 204
    clock.later(hours=2)
    ana = Browser(house["ana"])
    assert "overdue" in text_of(ana.get("/network/part", X_Careline_Seen=seen, X_Careline_Poll="1"))
    assert Browser().get("/network/part", X_Careline_Poll="1").status_code == 401


def test_the_page_asks_as_often_for_twenty_of_everything_as_for_one(house, seattle):
    def more(rows):
        for i in rows:
            where = area(house, f"area-{i}", [f"9{i:02d}", "98101", f"7{i:02d}"], f"Area {i}")
            outage(house, where)
            outage(house, where, kind="maintenance", began=(TUESDAY + timedelta(days=1)).isoformat(), expected_end=(TUESDAY + timedelta(days=2)).isoformat())
            Desk(house["lena"]).must("network.end_outage", outage=outage(house, where, kind="congestion").pk)

    def counts():
        found = []
        for name, address in (("ana", "/network"), ("sam", "/network"), ("sam", f"/network?area={seattle}"), ("lena", f"/network?change={Trouble.objects.first().pk}"),
                              ("ana", "/network?q=98101"), ("ana", "/network/part")):  # fmt: skip
            browser = Browser(house[name])
            browser.get(address)
            with Counting(connection) as asked:
                assert browser.get(address).status_code == 200
            found.append(len(asked))
        return found

    more(range(1))
    one = counts()
    more(range(1, 20))
    assert counts() == one and max(one) <= 13 and one[-1] <= 5


def test_it_bears_whatever_is_typed(house, seattle):
    row, sam = outage(house, seattle), Browser(house["sam"])
    forms = (
        typed(seattle, text="on", began="2026-11-24T09:00", expected_end="2026-11-25T09:00"),
        {"code": "network.extend_outage", "outage": row.pk, "expected_end": "2026-11-25T09:00", "words": "x"},
        {"code": "network.end_outage", "outage": row.pk}, {"code": "network.name_area", "name": "X", "short": "x", "postal": "1", "cells": "2", "everywhere": "on"},
    )  # fmt: skip
    for given in forms:
        for what, nasty in NASTY.items():
            for name in given:
                with undone():
                    bears(sam.post("/network", **{**given, name: nasty}), (given["code"], name, what))
        for name in given:
            with undone():
                bears(sam.post("/network", **{k: v for k, v in given.items() if k != name}), (given["code"], name, "missing"))
        with undone():
            bears(sam.http.post("/network", {**given, **{name: SimpleUploadedFile("a.txt", b"\x00\xff") for name in given if name != "code"}, "request_key": key()}), given["code"])
    for what, nasty in NASTY.items():
        for name in ("q", "change", "area", "seen"):
            bears(sam.http.get("/network", {name: nasty}), (name, what))
            bears(sam.http.get("/network/part", {name: nasty}), (name, what))
    for body, kind in ((b"\xff\x00 not a form", "application/json"), (b"code=network.end_outage&outage=%ff%00", "application/x-www-form-urlencoded")):
        bears(sam.http.post("/network", body, content_type=kind), kind)
    for method in ("put", "delete", "patch"):
        bears(getattr(sam.http, method)("/network"), method)
