"""When a customer may be reached: hours in every zone, caps, conversations, states, STOP, and the quiet."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import settings as pace
from hypothesis import strategies as st

from careline.domain.contacts.rules import Reach, Touch, Way, may_touch, way
from careline.foundation.outbound import read
from careline.foundation.rulebook import Rulebook, RulebookFault

pytestmark = pytest.mark.once
TEXT = (Path(settings.ROOT) / "rulebook" / "default" / "contact_rules.toml").read_text(encoding="utf-8")
POLICY = read(TEXT)
NOON = datetime(2026, 11, 24, 20, tzinfo=UTC)  # noon in Seattle, three in the afternoon in New York
MARIA = Reach(("America/Los_Angeles", "America/New_York"), "WA")


def hour(h: int, minute: int = 0, day: int = 24) -> datetime:
    return datetime(2026, 11, day, h, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        (hour(16), None),  # eight in Seattle, eleven in New York: both are inside
        (hour(15, 59), hour(16)),
        (hour(1, 59, 25), None),  # 8:59 in the evening in New York
        (hour(2, 0, 25), hour(16, 0, 25)),
        (hour(13), hour(16)),  # New York is awake, Seattle is not
    ],
)
def test_hours_hold_in_every_zone_where_she_may_be(at, opens):
    found = may_touch(POLICY, "collections", "sms", MARIA, at)
    assert (found.ok, found.later) == (opens is None, opens)
    assert opens is None or "1006.6" in found.cite


def test_the_morning_after_the_clocks_change_begins_at_eight_on_the_wall():
    found = may_touch(POLICY, "collections", "sms", Reach(("America/New_York",)), datetime(2026, 11, 1, 4, tzinfo=UTC))
    assert found.later == datetime(2026, 11, 1, 13, tzinfo=UTC)


def test_on_both_sides_of_the_date_line_the_hours_that_both_have_are_found():
    """A number of Guam, an address in Honolulu: from twelve in the afternoon to nine in the evening there it is eight to five the next morning here."""
    found = may_touch(POLICY, "collections", "sms", Reach(("Pacific/Guam", "Pacific/Honolulu")), hour(12))
    assert not found.ok and found.later == hour(22)  # noon of the 24th in Honolulu, eight in the morning of the 25th in Guam
    assert may_touch(POLICY, "collections", "sms", Reach(("Pacific/Guam", "Pacific/Honolulu")), hour(6, 59, 25)).ok


def test_where_no_hour_is_right_in_all_of_three_zones_nobody_is_reached():
    found = may_touch(POLICY, "collections", "sms", Reach(("America/Los_Angeles", "Asia/Kolkata", "Europe/Madrid")), NOON)
    assert (found.ok, found.later) == (False, None) and "no hour that is right" in found.say


def test_a_state_may_have_hours_of_its_own_within_the_others_and_names_its_rule():
    policy = read(TEXT.replace("[stop]", '[state.ZZ]\nfrom = "09:00"\nto = "20:00"\ncite = "ZZ 1"\n[stop]', 1))
    there = Reach(("America/New_York",), "ZZ")
    early, late = may_touch(policy, "collections", "sms", there, hour(13, 30)), may_touch(policy, "autopay", "sms", there, hour(1, 0, 25))
    assert (early.later, early.cite) == (hour(14), "ZZ 1") and (late.later, late.cite) == (hour(14, 0, 25), "ZZ 1")
    assert may_touch(policy, "collections", "sms", there, hour(14)).ok and may_touch(policy, "one_time_code", "sms", there, hour(9)).ok
    wider = read(TEXT.replace("[stop]", '[state.ZZ]\nfrom = "06:00"\nto = "23:00"\ncite = "ZZ 2"\n[stop]', 1))
    assert may_touch(wider, "collections", "sms", there, hour(12)).later == hour(13), "a state asks for less, and gives nothing"


def test_codes_and_security_notices_know_no_hour_no_cap_and_no_stop():
    stopped = replace(MARIA, refused=frozenset({("all", "sms")}), quiet=True)
    for topic in ("one_time_code", "security_notice", "stop_confirmation"):
        assert may_touch(POLICY, topic, "sms", stopped, hour(9)).ok
    assert not may_touch(POLICY, "receipt", "sms", stopped, hour(9)).ok


def calls(*days: float, channel: str = "call") -> tuple[Touch, ...]:
    return tuple(Touch(NOON - timedelta(days=d), channel) for d in days)


@pytest.mark.parametrize(
    ("reach", "channel", "days"),
    [
        (replace(MARIA, touches=calls(1, 2, 3, 4, 5, 6)), "call", None),
        (replace(MARIA, touches=calls(1, 2, 3, 4, 5, 6, 6.5)), "call", 0.5),  # the eighth in seven days
        (replace(MARIA, touches=(Touch(NOON - timedelta(days=3), "call", True),)), "call", 4),
        (replace(MARIA, touches=(Touch(NOON - timedelta(days=3), "call", True),)), "sms", None),
        (replace(MARIA, state="MA", touches=calls(1) + calls(2, channel="sms")), "call", 5),
        (replace(MARIA, state="MA", touches=calls(1) + calls(2, channel="sms")), "sms", 5),
        (replace(MARIA, state="MA", touches=calls(1) + calls(2, channel="sms")), "email", None),
        (replace(MARIA, touches=calls(1, 2, 3, channel="sms")), "sms", 4),
    ],
)
def test_caps_by_the_week_after_a_conversation_and_by_state(reach, channel, days):
    found = may_touch(POLICY, "collections", channel, reach, NOON)
    assert found.ok == (days is None)
    if days is not None:
        assert found.later is not None and found.later >= NOON + timedelta(days=days)
        assert may_touch(POLICY, "collections", channel, reach, found.later).ok  # it says when it will send instead, and then does


def test_a_call_that_they_asked_for_is_outside_the_caps_of_the_week_and_inside_the_hours_the_states_cap_and_stop():
    talked = replace(MARIA, touches=(Touch(NOON - timedelta(days=1), "call", True), *calls(1, 2, 3, 4, 5, 6, 6.5)))
    assert not may_touch(POLICY, "collections", "call", talked, NOON).ok and may_touch(POLICY, "collections", "call", talked, NOON, asked=True).ok
    assert may_touch(POLICY, "collections", "call", talked, hour(9), asked=True).later == hour(16)
    assert not may_touch(POLICY, "collections", "call", replace(talked, state="MA"), NOON, asked=True).ok
    assert not may_touch(POLICY, "collections", "call", replace(talked, refused=frozenset({("collections", "call")})), NOON, asked=True).ok


def test_stop_ends_a_topic_on_a_channel_and_a_letter_goes():
    stopped = replace(MARIA, refused=frozenset({("collections", "sms")}))
    assert may_touch(POLICY, "collections", "sms", stopped, NOON) == replace(may_touch(POLICY, "collections", "sms", stopped, NOON), ok=False, later=None)
    assert may_touch(POLICY, "collections", "email", stopped, NOON).ok and may_touch(POLICY, "receipt", "sms", stopped, NOON).ok
    assert may_touch(POLICY, "collections", "letter", stopped, hour(9)).ok
    assert not may_touch(POLICY, "collections", "letter", replace(MARIA, quiet=True), NOON).ok


def test_a_topic_that_nobody_named_keeps_to_everything():
    assert not may_touch(POLICY, "new_thing", "sms", MARIA, hour(9)).ok


@pytest.mark.parametrize(
    ("said", "found"),
    [("STOP", True), ("Stop!", True), ("  opt-out ", True), ("Unsubscribe.", True), ("start", False), ("please do not stop my service", None), ("thanks", None)],
)
def test_stop_in_any_form_and_nothing_else(said, found):
    assert POLICY.stops(said) is found
    assert not POLICY.scope_is_all(date(2027, 1, 30)) and POLICY.scope_is_all(date(2027, 1, 31))


zones = st.lists(st.sampled_from(["America/New_York", "America/Los_Angeles", "Pacific/Honolulu", "America/Puerto_Rico", "America/Phoenix", "Pacific/Guam"]), min_size=1, max_size=4)


@given(zones, st.sampled_from(["", "MA"]), st.lists(st.tuples(st.integers(0, 400), st.sampled_from(["call", "sms"]), st.booleans()), max_size=12), st.integers(0, 24 * 7), st.sampled_from(["call", "sms", "email"]))
@pace(max_examples=200, deadline=None)
def test_when_it_says_later_that_moment_is_right_and_no_zone_is_woken(where, state, past, hours, channel):
    at = NOON + timedelta(hours=hours)
    reach = Reach(tuple(where), state, touches=tuple(Touch(NOON - timedelta(hours=h), c, t) for h, c, t in past))
    found = may_touch(POLICY, "collections", channel, reach, at)
    when = at if found.ok else found.later
    if when is None:  # no hour is right in all of them
        assert not any(
            all(POLICY.first <= (at + timedelta(minutes=m)).astimezone(ZoneInfo(z)).time() < POLICY.last for z in where) for m in range(0, 24 * 60, 15)
        )
        return
    assert when >= at and may_touch(POLICY, "collections", channel, reach, when).ok
    for zone in where:
        assert POLICY.first <= when.astimezone(ZoneInfo(zone)).time() < POLICY.last


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('from = "08:00"', 'from = "eight"', 'from: a time of the day, such as "08:00"'),
        ('to = "21:00"', 'to = "07:00"', "to: later than `from`"),
        ('one_time_code = "free"', 'one_time_code = "service"', "locks people out"),
        ('receipt = "asked"', 'receipt = "loud"', "receipt: one of free, asked, service, collections"),
        ('from = "08:00"\nto = "21:00"\nmost', 'from = "21:30"\nto = "22:00"\nmost', "to: later than `from`, within [hours]"),
        ("[cap.email]", "[cap.fax]", "[cap.…] for each of call, sms, email"),
        ('words = ["stop", ', 'words = [', '"stop" has to be one of them'),
        ('scope = "topic"', 'scope = "some"', 'scope: "topic" or "all"'),
        ('topics = ["marketing"]', 'topics = ["one_time_code"]', 'topics: topics of [topic] that are not free, or ["every"]'),
        ('channels = ["auto_call"]', 'channels = ["fax"]', "channels: one or more of call, sms, email, auto_call"),
    ],
)  # fmt: skip
def test_a_fault_of_the_file_names_its_line(old, new, said):
    with pytest.raises(ValueError) as fault:
        read(TEXT.replace(old, new, 1))
    assert said in str(fault.value) and ("line" in str(fault.value) or "the file" in str(fault.value))


SMS = frozenset({("marketing", "sms")})


@pytest.mark.parametrize(
    ("topic", "channel", "reach", "why"),
    [
        ("marketing", "sms", MARIA, "consent"),  # she said nothing, which is no yes
        ("marketing", "sms", replace(MARIA, granted=SMS), ""),
        ("marketing", "email", replace(MARIA, granted=SMS), "consent"),  # a yes to texts is none to mails
        ("marketing", "sms", replace(MARIA, granted=SMS, refused=frozenset({("all", "sms")})), "stop"),  # STOP to everything came later
        ("marketing", "sms", replace(MARIA, granted=SMS, quiet=True), "quiet"),
        ("collections", "sms", MARIA, ""),  # her own bill takes no yes
        ("collections", "call", MARIA, ""),
        ("collections", "auto_call", MARIA, "consent"),  # unless a machine calls
        ("collections", "auto_call", replace(MARIA, granted=frozenset({("machine", "auto_call")})), ""),
        ("marketing", "auto_call", replace(MARIA, granted=SMS | {("marketing", "call")}), "consent"),
        ("one_time_code", "auto_call", MARIA, ""),  # a code that she waits for
    ],
)
def test_what_takes_a_yes_goes_to_nobody_who_did_not_say_it(topic, channel, reach, why):
    found = may_touch(POLICY, topic, channel, reach, NOON)
    assert (found.ok, found.later, found.why) == (not why, None, why)
    if why == "consent":
        assert "64.1200" in found.cite


def test_a_way_that_takes_a_yes_is_passed_over_and_a_letter_goes():
    text, mail, letter = (Way(c, "x") for c in ("sms", "email", "letter"))
    assert way(POLICY, "marketing", [text, mail, letter], set()) == letter
    assert way(POLICY, "marketing", [text, mail, letter], set(), {("marketing", "email")}) == mail
    assert way(POLICY, "collections", [text, mail, letter], set()) == text


def test_a_rulebook_in_which_nobody_could_say_the_yes_is_refused():
    files = dict(Rulebook.from_folder(Path(settings.ROOT) / "rulebook" / "default").files)
    Rulebook(files).check()
    for old, new in (("[consent.machine]", "[consent.robot]"), ('channels = ["auto_call"]\nopt_in = true', 'channels = ["auto_call"]\nopt_in = false')):
        with pytest.raises(RulebookFault, match=r"needs_yes.machine.*else nobody could say yes"):
            Rulebook({**files, "care.toml": files["care.toml"].replace(old, new, 1)}).check()


def test_of_two_states_in_which_she_may_be_the_stricter_holds():
    """Maria lives in Washington State; her number is from Boston."""
    sms = tuple(Touch(NOON - timedelta(days=n), "sms") for n in (1, 2))
    boston = replace(MARIA, also=frozenset(POLICY.states_of("+16175550188")), touches=sms)
    assert boston.also == {"MA"} and not POLICY.states_of("+12065550188") and not POLICY.states_of("")
    assert may_touch(POLICY, "collections", "sms", replace(boston, also=frozenset()), NOON).ok
    no = may_touch(POLICY, "collections", "sms", boston, NOON)
    assert (no.ok, no.why, no.cite[:8]) == (False, "often", "940 CMR ")
    late = read(TEXT.replace('from = "08:00"\nto = "21:00"\nmost', 'from = "10:00"\nto = "20:00"\nmost').replace("[stop]", '[state.WA]\nfrom = "09:00"\nto = "19:00"\ncite = "x"\n[stop]', 1))
    assert late.hours(boston.states)[:2] == (time(10), time(19)) and late.hours(["WA"])[:2] == (time(9), time(19)) and late.hours([""])[:2] == (time(8), time(21))


@pytest.mark.parametrize("wrong", ['["61"]', '["617", "1617"]', "617"])
def test_an_area_code_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match="area_codes"):
        read(TEXT.replace('area_codes = ["339", "351", "413", "508", "617", "774", "781", "857", "978"]', f"area_codes = {wrong}"))
