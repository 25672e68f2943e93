"""Phone numbers: read as people type them, stored as E.164, fictional ones welcome."""

import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careline.foundation.phone import digits, last_four, looks_like_number, parsed, shown, sought, zones

areas = st.integers(200, 999).map(str).filter(lambda area: area[1:] != "11")
nanp = st.builds("+1{}{}{:04d}".format, areas, st.integers(200, 999), st.integers(0, 9999))


@pytest.mark.parametrize(
    "text",
    [
        "(206) 555-0188",
        "206.555.0188",
        "206-555-0188",
        "2065550188",
        "1 206 555 0188",
        "+1 206 555 0188",
        "  +1 (206) 555-0188  ",
        "tel:+1-206-555-0188",
        "TEL:2065550188",
        "206\N{NO-BREAK SPACE}555\N{EN DASH}0188",
        "２０６５５５０１８８",
        "206 555 0188 x12",
        "206/555/0188",
    ],
)
def test_a_fictional_number_is_read_however_it_is_typed(text: str) -> None:
    assert parsed(text) == "+12065550188"


@pytest.mark.parametrize(
    ("text", "e164"),
    [
        ("1-800-FLOWERS", "+18003569377"),
        ("+44 20 7946 0958", "+442079460958"),
        ("011 44 20 7946 0958", "+442079460958"),
        ("+52 55 1234 5678", "+525512345678"),
    ],
)
def test_vanity_and_foreign_numbers_are_read(text: str, e164: str) -> None:
    assert parsed(text) == e164


def test_a_number_without_a_plus_is_dialled_in_its_region() -> None:
    assert parsed("020 7946 0958", "GB") == "+442079460958"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "tel:",
        "0188",
        "555-0188",
        "106 555 0188",
        "411 555 0188",
        "911 555 0188",
        "206 155 0188",
        "206 055 0188",
        "206 555 018",
        "206 555 01889",
        "2065550188 2065550189",
        "John 206 555 0188",
        "206 555 0188 John",
        "CR-0001234-7",
        "FLOWERS",
        "+",
        "+1",
        "+999 206 555 0188",
        "1" * 300,
        "4111 1111 1111 1111",
    ],
)
def test_a_text_that_is_not_one_full_number_is_none(text: str) -> None:
    assert parsed(text) is None


@given(nanp)
def test_every_north_american_number_is_read_back_from_what_is_shown(e164: str) -> None:
    assert parsed(shown(e164)) == e164
    assert parsed(e164) == e164
    assert last_four(e164) == e164[-4:]


@given(st.text(max_size=40))
def test_any_text_is_a_number_or_none(text: str) -> None:
    e164 = parsed(text)
    assert e164 is None or (e164[0] == "+" and e164[1:].isdigit() and e164.isascii() and len(e164) <= 16)
    looks_like_number(text)
    assert shown(text) is not None


@pytest.mark.parametrize(
    ("e164", "region", "text"),
    [
        ("+12065550188", "US", "(206) 555-0188"),
        ("+12065550188", "CA", "(206) 555-0188"),
        ("+12065550188", "GB", "+1 206-555-0188"),
        ("+442079460958", "US", "+44 20 7946 0958"),
        ("+442079460958", "GB", "020 7946 0958"),
        ("not a number", "US", "not a number"),
        ("", "US", ""),
    ],
)
def test_a_number_is_shown_as_the_region_reads_it(e164: str, region: str, text: str) -> None:
    assert shown(e164, region) == text


def test_digits_of_any_script_are_digits() -> None:
    assert digits("(206) 555-0188") == "2065550188"
    assert digits("٢٠٦ x") == "206"
    assert last_four("+12065550188") == "0188"


@pytest.mark.parametrize(
    ("e164", "names"),
    [
        ("+12065550188", ("America/Los_Angeles",)),
        ("+12125550100", ("America/New_York",)),
        ("+19075550100", ("America/Adak", "America/Anchorage")),
        ("not a number", ()),
        ("", ()),
        ("+99912345678", ()),
    ],
)
def test_a_number_is_in_the_zones_of_its_area(e164: str, names: tuple[str, ...]) -> None:
    assert zones(e164) == names


def test_a_toll_free_number_may_be_anywhere_in_north_america() -> None:
    assert {"America/New_York", "Pacific/Honolulu"} <= set(zones("+18005550199"))


@given(nanp)
def test_every_zone_given_is_one_that_the_clock_knows(e164: str) -> None:
    found = zones(e164)
    assert list(found) == sorted(set(found))
    for name in found:
        zoneinfo.ZoneInfo(name)


@pytest.mark.parametrize("text", ["0188", "555-0188", "(206) 555.0188", "+1 206", "2026-03-08", "٢٠٦٥"])
def test_digits_and_phone_signs_look_like_a_number(text: str) -> None:
    assert looks_like_number(text)


@pytest.mark.parametrize("text", ["", "188", "0188 Ann", "CR-0001234-7", "----", "12:34", "206x555", "#0188"])
def test_anything_else_does_not_look_like_a_number(text: str) -> None:
    assert not looks_like_number(text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("(206) 555-0188", "12065550188"),
        ("tel:+1-206-555-0188", "12065550188"),
        ("206-555-0188 ext. 12", "12065550188"),
        ("0044 20 7946 0958", "442079460958"),
        ("1-800-FLOWERS", "18003569377"),
        ("she called from 206 555 0188", "12065550188"),
        ("555-0188", "5550188"),
        ("xxx-xxx-0188", "0188"),
        ("\N{HORIZONTAL ELLIPSIS}0188", "0188"),
    ],
)
def test_a_search_means_the_number_or_what_is_known_of_it(text: str, meant: str) -> None:
    assert sought(text) == meant


@pytest.mark.parametrize("text", ["", "188", "Maria Okafor", "A-0104822", "7590-VHVEG", "CR-0001234-7", "206 555 0188 or 206 555 0199"])
def test_a_search_for_something_else_means_no_number(text: str) -> None:
    assert sought(text) == ""
