"""What each probe answers: the account's own facts, the troubles of the place, the feeds while they are fresh."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from careline.acts import money_probes, probes
from careline.domain.activations.ports import Profile, Seen
from careline.domain.customers.models import Device, Line
from careline.domain.diagnosis import queries as diagnosis
from careline.domain.network.rules import Trouble
from careline.domain.rulebook import queries as rulebooks
from tests.people import TUESDAY, open_account


@pytest.fixture
def known(house):
    def of(**changes: object) -> probes.Known:
        maria = open_account()
        Line.objects.filter(account=maria).update(**changes)
        found = probes.books(Line.objects.get(account=maria).pk, TUESDAY, rulebooks.current().limits)
        assert found is not None
        return found

    return of


def read(known: probes.Known, name: str) -> str | None:
    return probes.PROBES[name].read(known)


def test_every_probe_of_every_guide_in_force_is_declared_and_speaks_the_guides_words(house, known):
    now = known()
    for guide in diagnosis.guides(rulebooks.current().digest).values():
        for check in guide.checks:
            if check.kind == "probe" and guide.about == "account":
                assert check.id in money_probes.PROBES, f"{guide.id}: {check.id}"
            elif check.kind == "probe":
                assert check.id in probes.PROBES, f"{guide.id}: {check.id}"
                assert read(now, check.id) in {None, "not_in_plan", *(x.id for x in check.outcomes)}, f"{guide.id}: {check.id}"


@pytest.mark.parametrize(
    ("changes", "name", "says"),
    [
        ({}, "line.status", "active"),
        ({"status": "suspended", "suspended_for": "fraud"}, "line.status", "suspended"),
        ({"status": "suspended", "suspended_for": "fraud"}, "line.suspended_why", "fraud"),
        ({"status": "suspended", "suspended_for": ""}, "line.suspended_why", "other"),
        ({}, "line.suspended_why", "not_suspended"),
        ({"contract_ends_on": date(2026, 1, 1)}, "line.contract", "running"),
        ({"contract_ends_on": date(2026, 1, 1), "status": "suspended"}, "line.contract", "ended"),
        ({"status": "pending"}, "line.port_in", "open"),
        ({"sim_state": "blocked"}, "line.sim", "blocked"),
        ({"sim_since": TUESDAY - timedelta(days=1)}, "line.sim", "changed_lately"),
        ({"sim_since": TUESDAY - timedelta(days=30)}, "line.sim", "active"),
        ({"spending_limit_minor": 0}, "line.spending_limit", "reached"),
        ({}, "line.spending_limit", "clear"),
        ({"features": "roaming"}, "line.feature.roaming", "on"),
        ({"features": ""}, "line.feature.roaming", "off"),
        ({}, "network.outage", "none"),
    ],
)
def test_the_books_answer(known, changes, name, says):
    assert read(known(**changes), name) == says


def test_a_feature_that_the_plan_cannot_have_is_not_in_the_plan(known):
    now = known(features="")
    assert read(replace(now, facts=replace(now.facts, plan_code="WATCH")), "line.feature.hotspot") == "not_in_plan"


def test_a_blocked_device_is_known(known, house):
    now = known()
    Device.objects.update(blocked="stolen")
    fresh = probes.books(now.facts.line_id, TUESDAY, now.limits)
    assert fresh and read(fresh, "device.blocked") == "yes"


def seen(minutes: int = 5, **more: object) -> Seen:
    return Seen(TUESDAY - timedelta(minutes=minutes), **more)


@pytest.mark.parametrize(
    ("fed", "name", "says"),
    [
        (None, "network.registration", None),
        (seen(registered=True), "network.registration", "registered"),
        (seen(registered=True, roaming=True), "network.home_registration", "not_registered"),
        (seen(registered=True, roaming=False), "network.home_registration", "registered"),
        (seen(settings={"mobile_data": "off"}), "device.settings.mobile_data", "off"),
        (seen(settings={"mobile_data": "False"}), "device.settings.mobile_data", "off"),
        (seen(settings={}), "device.settings.mobile_data", None),
        (seen(settings={"network_mode": "3G"}), "device.settings.network_mode", "old"),
        (seen(settings={"network_mode": "auto"}), "device.settings.network_mode", "new"),
        (seen(settings={"storage": "97"}), "device.settings.storage", "full"),
        (seen(settings={"storage": "40 %".replace(" ", "")}), "device.settings.storage", "free"),
        (seen(settings={"apn": "somebody.else"}), "device.settings.apn", "wrong"),
    ],
)
def test_the_feeds_answer_in_the_guides_words(known, fed, name, says):
    assert read(replace(known(), seen=fed), name) == says


def test_our_own_access_point_is_right(known):
    now = known()
    ours = now.limits["device"]["apn"]
    assert read(replace(now, seen=seen(settings={"apn": ours.upper()})), "device.settings.apn") == "right"


def test_a_profile_that_differs_from_the_books_is_told(known):
    now = known()
    same = Profile(features=now.facts.features, barred=False)
    assert read(replace(now, profile=same), "network.profile") == "same"
    assert read(replace(now, profile=replace(same, barred=True)), "network.profile") == "differs"
    assert read(now, "network.profile") is None


def guide(name: str):
    return diagnosis.guides(rulebooks.current().digest)[name]


@pytest.mark.parametrize(
    ("minutes", "name", "counts"),
    [
        (59, "device.settings.mobile_data", True),
        (61, "device.settings.mobile_data", False),  # the rulebook's 60 minutes
        (24 * 60 - 1, "device.settings.apn", True),  # the guide says a day: nobody changes it by a tap
        (24 * 60 + 1, "device.settings.apn", False),
        (29, "network.registration", True),
        (31, "network.registration", False),
    ],
)
def test_what_was_read_too_long_ago_does_not_count_and_is_kept_beside_it(known, minutes, name, counts):
    now = replace(known(), seen=seen(minutes, registered=False, settings={"mobile_data": "off", "apn": "somebody.else"}))
    said = {"device.settings.mobile_data": "off", "device.settings.apn": "wrong", "network.registration": "not_registered"}[name]
    found = probes.read([guide("mobile_data").check_by_id[name]], now)[name]
    assert found.as_of == TUESDAY - timedelta(minutes=minutes)
    assert (found.outcome, dict(found.note)) == ((said, {}) if counts else (None, {"old": said}))


def trouble(*services: str, kind: str = "outage") -> Trouble:
    return Trouble(1, "NT-1", "Seattle", kind, frozenset(services), TUESDAY, None, False, "A cable is cut.", "Lena", "postal")


@pytest.mark.parametrize(
    ("services", "name", "says"),
    [
        (("voice",), "mobile_data", "none"),
        (("data",), "mobile_data", "outage"),
        (("data", "text"), "no_service", "none"),
        (("voice", "data", "text"), "no_service", "outage"),
        (("voice",), "calls", "outage"),
        (("text",), "messages", "outage"),
        (("voice",), "messages", "none"),
    ],
)
def test_an_outage_is_a_cause_where_it_touches_what_does_not_work(known, services, name, says):
    check = guide(name).check_by_id["network.outage"]
    now = replace(known(), troubles=(trouble(*services),), services=frozenset(guide(name).services))
    found = probes.read([check], now)["network.outage"]
    assert (found.outcome, dict(found.note)) == (says, {"troubles": ["NT-1"]} if says == "outage" else {})


def test_an_answer_that_the_guide_does_not_speak_of_says_nothing(known):
    check = guide("voicemail").check_by_id["line.feature.voicemail"]
    now = known(features="")
    assert probes.read([check], replace(now, facts=replace(now.facts, plan_code="WATCH")))[check.id].outcome in {x.id for x in check.outcomes}
    assert probes.read([replace(check, id="no.such.probe")], now)["no.such.probe"].outcome is None
