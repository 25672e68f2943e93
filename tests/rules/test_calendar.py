"""Days and moments: month ends, holidays, clock changes, bill periods."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careline.foundation.calendar import (
    add_business_days,
    add_months,
    age_in_words,
    bill_period,
    business_day,
    civil_date,
    days_between,
    on_the_wall,
    start_of_day,
    us_federal_holidays,
    whole_months_between,
)

D = date
days = st.dates(D(1990, 1, 1), D(2090, 12, 31))
zone_names = st.sampled_from(
    [
        "America/New_York",
        "America/Los_Angeles",
        "Pacific/Honolulu",
        "America/Havana",
        "America/Sao_Paulo",
        "America/St_Johns",
        "Asia/Beirut",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "UTC",
    ]
)


@pytest.mark.parametrize(
    ("day", "n", "then"),
    [
        (D(2026, 1, 31), 1, D(2026, 2, 28)),
        (D(2024, 1, 31), 1, D(2024, 2, 29)),
        (D(2024, 2, 29), 12, D(2025, 2, 28)),
        (D(2024, 2, 29), 48, D(2028, 2, 29)),
        (D(2026, 12, 15), 1, D(2027, 1, 15)),
        (D(2026, 3, 31), -1, D(2026, 2, 28)),
        (D(2026, 1, 15), -13, D(2024, 12, 15)),
        (D(2026, 5, 31), 0, D(2026, 5, 31)),
    ],
)
def test_months_are_added_and_clamped_to_the_month_end(day: date, n: int, then: date) -> None:
    assert add_months(day, n) == then


def test_a_month_outside_the_calendar_is_refused() -> None:
    with pytest.raises(ValueError, match="outside"):
        add_months(D(9999, 12, 1), 1)


def test_the_federal_holidays_of_2026_are_those_opm_lists() -> None:
    assert us_federal_holidays(2026) == {
        D(2026, 1, 1),
        D(2026, 1, 19),
        D(2026, 2, 16),
        D(2026, 5, 25),
        D(2026, 6, 19),
        D(2026, 7, 3),  # 4 July is a Saturday
        D(2026, 9, 7),
        D(2026, 10, 12),
        D(2026, 11, 11),
        D(2026, 11, 26),
        D(2026, 12, 25),
    }


def test_a_new_years_day_on_saturday_is_kept_in_the_old_year() -> None:
    assert D(2021, 12, 31) in us_federal_holidays(2021)
    assert len(us_federal_holidays(2021)) == 12
    assert not any(day.month == 1 and day.day == 1 for day in us_federal_holidays(2022))


def test_a_holiday_on_sunday_is_kept_on_monday() -> None:
    assert D(2027, 7, 5) in us_federal_holidays(2027)


def test_juneteenth_is_a_holiday_from_2021() -> None:
    assert D(2021, 6, 18) in us_federal_holidays(2021)
    assert not any(day.month == 6 for day in us_federal_holidays(2020))


def test_the_list_of_holidays_does_not_guess_the_past() -> None:
    with pytest.raises(ValueError, match="1986"):
        us_federal_holidays(1985)


@given(st.integers(1986, 2200))
def test_every_observed_holiday_is_a_weekday_of_its_year(year: int) -> None:
    for day in us_federal_holidays(year):
        assert day.weekday() < 5 and day.year == year


def test_weekends_and_holidays_are_no_business_days() -> None:
    holidays = us_federal_holidays(2026)
    assert business_day(D(2026, 7, 2), holidays)
    assert not business_day(D(2026, 7, 3), holidays)
    assert not business_day(D(2026, 7, 4), holidays)
    assert business_day(D(2026, 7, 3), set())


@pytest.mark.parametrize(
    ("day", "n", "then"),
    [
        (D(2026, 7, 2), 1, D(2026, 7, 6)),
        (D(2026, 7, 4), 1, D(2026, 7, 6)),
        (D(2026, 7, 6), -1, D(2026, 7, 2)),
        (D(2026, 12, 31), 1, D(2027, 1, 4)),
        (D(2021, 12, 30), 1, D(2022, 1, 3)),
        (D(2026, 7, 4), 0, D(2026, 7, 4)),
        (D(2026, 11, 24), 3, D(2026, 11, 30)),
    ],
)
def test_business_days_are_counted_over_weekends_and_holidays(day: date, n: int, then: date) -> None:
    assert add_business_days(day, n) == then


def test_a_carrier_may_have_its_own_holidays() -> None:
    assert add_business_days(D(2026, 7, 2), 1, set()) == D(2026, 7, 3)
    assert add_business_days(D(2026, 7, 2), 1, {D(2026, 7, 3), D(2026, 7, 6)}) == D(2026, 7, 7)


@given(days, st.integers(1, 60))
def test_business_days_there_and_back_are_the_same_day(day: date, n: int) -> None:
    then = add_business_days(day, n)
    assert business_day(then, us_federal_holidays(then.year))
    if business_day(day, us_federal_holidays(day.year)):
        assert add_business_days(then, -n) == day


@pytest.mark.parametrize(
    ("moment", "zone", "day"),
    [
        (datetime(2026, 3, 8, 4, 59, tzinfo=UTC), "America/New_York", D(2026, 3, 7)),
        (datetime(2026, 3, 8, 5, 0, tzinfo=UTC), "America/New_York", D(2026, 3, 8)),
        (datetime(2026, 3, 9, 3, 59, tzinfo=UTC), "America/New_York", D(2026, 3, 8)),
        (datetime(2026, 3, 9, 4, 0, tzinfo=UTC), "America/New_York", D(2026, 3, 9)),
        (datetime(2026, 11, 2, 4, 59, tzinfo=UTC), "America/New_York", D(2026, 11, 1)),
        (datetime(2026, 11, 2, 5, 0, tzinfo=UTC), "America/New_York", D(2026, 11, 2)),
        (
            datetime(2026, 1, 1, 9, 0, tzinfo=timezone(timedelta(hours=9))),
            "Pacific/Honolulu",
            D(2025, 12, 31),
        ),
    ],
)
def test_a_moment_has_a_date_in_a_zone(moment: datetime, zone: str, day: date) -> None:
    assert civil_date(moment, zone) == day


def test_a_naive_moment_has_no_date() -> None:
    with pytest.raises(ValueError, match="offset"):
        civil_date(datetime(2026, 1, 1), "UTC")  # noqa: DTZ001


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "America", "New York\0"])
def test_a_name_that_is_no_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="time zone"):
        start_of_day(D(2026, 1, 1), zone)
    with pytest.raises(ValueError, match="time zone"):
        civil_date(datetime(2026, 1, 1, tzinfo=UTC), zone)


@pytest.mark.parametrize(
    ("day", "zone", "start", "hours"),
    [
        (D(2026, 3, 8), "America/New_York", datetime(2026, 3, 8, 5, tzinfo=UTC), 23),
        (D(2026, 11, 1), "America/New_York", datetime(2026, 11, 1, 4, tzinfo=UTC), 25),
        (D(2026, 7, 1), "America/New_York", datetime(2026, 7, 1, 4, tzinfo=UTC), 24),
        # Midnight does not exist: the clock jumps from 0:00 to 1:00.
        (D(2018, 11, 4), "America/Sao_Paulo", datetime(2018, 11, 4, 3, tzinfo=UTC), 23),
        (D(2025, 3, 9), "America/Havana", datetime(2025, 3, 9, 5, tzinfo=UTC), 23),
        # Midnight comes twice: the clock goes back from 1:00 to 0:00.
        (D(2025, 11, 2), "America/Havana", datetime(2025, 11, 2, 4, tzinfo=UTC), 25),
        # The clock jumps over midnight, from 23:30 to 0:30.
        (D(1919, 3, 31), "America/Toronto", datetime(1919, 3, 31, 4, 30, tzinfo=UTC), 23.5),
        # Samoa left this day out.
        (D(2011, 12, 30), "Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC), 0),
    ],
)
def test_a_day_starts_at_its_first_moment(day: date, zone: str, start: datetime, hours: float) -> None:
    found = start_of_day(day, zone)
    assert found == start
    assert found.utcoffset() == timedelta(0)
    assert start_of_day(day + timedelta(days=1), zone) - found == timedelta(hours=hours)


@given(days, zone_names)
def test_the_start_of_a_day_is_in_it_and_the_moment_before_is_not(day: date, zone: str) -> None:
    start = start_of_day(day, zone)
    if (day, zone) != (D(2011, 12, 30), "Pacific/Apia"):
        assert civil_date(start, zone) == day
    assert civil_date(start - timedelta(seconds=1), zone) < day


@pytest.mark.parametrize(
    ("a", "b", "count"),
    [
        (D(2026, 1, 31), D(2026, 2, 28), 1),
        (D(2026, 1, 31), D(2026, 2, 27), 0),
        (D(2024, 2, 29), D(2025, 2, 28), 12),
        (D(2026, 1, 15), D(2026, 1, 15), 0),
        (D(2026, 1, 15), D(2027, 1, 14), 11),
        (D(2026, 3, 15), D(2026, 1, 15), -2),
    ],
)
def test_whole_months_are_those_that_fit(a: date, b: date, count: int) -> None:
    assert whole_months_between(a, b) == count


@given(days, days)
def test_whole_months_are_the_most_that_fit(a: date, b: date) -> None:
    a, b = sorted((a, b))
    n = whole_months_between(a, b)
    assert add_months(a, n) <= b < add_months(a, n + 1)
    assert whole_months_between(b, a) == -n
    assert days_between(a, b) == -days_between(b, a) == (b - a).days


@pytest.mark.parametrize(
    ("day", "today", "words"),
    [
        (D(2020, 3, 1), D(2026, 3, 1), "6 years"),
        (D(2020, 3, 1), D(2026, 2, 28), "5 years"),
        (D(2025, 3, 1), D(2026, 3, 1), "1 year"),
        (D(2025, 10, 31), D(2026, 2, 28), "4 months"),
        (D(2026, 2, 1), D(2026, 3, 1), "1 month"),
        (D(2026, 3, 1), D(2026, 3, 13), "12 days"),
        (D(2026, 3, 7), D(2026, 3, 8), "1 day"),
        (D(2026, 3, 8), D(2026, 3, 8), "less than a day"),
    ],
)
def test_an_age_is_said_in_its_largest_unit(day: date, today: date, words: str) -> None:
    assert age_in_words(day, today) == words


def test_a_day_to_come_has_no_age() -> None:
    with pytest.raises(ValueError, match="still to come"):
        age_in_words(D(2026, 3, 9), D(2026, 3, 8))


@pytest.mark.parametrize(
    ("anchor", "on", "first", "last"),
    [
        (15, D(2026, 3, 15), D(2026, 3, 15), D(2026, 4, 14)),
        (15, D(2026, 3, 14), D(2026, 2, 15), D(2026, 3, 14)),
        (1, D(2026, 2, 28), D(2026, 2, 1), D(2026, 2, 28)),
        (31, D(2026, 2, 28), D(2026, 2, 28), D(2026, 3, 30)),
        (31, D(2024, 2, 28), D(2024, 1, 31), D(2024, 2, 28)),
        (29, D(2024, 2, 29), D(2024, 2, 29), D(2024, 3, 28)),
        (20, D(2026, 1, 5), D(2025, 12, 20), D(2026, 1, 19)),
    ],
)
def test_a_bill_period_starts_on_its_anchor_day(anchor: int, on: date, first: date, last: date) -> None:
    assert bill_period(anchor, on) == (first, last)


@pytest.mark.parametrize("anchor", [0, 32, -1])
def test_an_anchor_that_is_no_day_is_refused(anchor: int) -> None:
    with pytest.raises(ValueError, match="1 to 31"):
        bill_period(anchor, D(2026, 1, 1))


@given(st.integers(1, 31), days)
def test_bill_periods_hold_their_day_and_meet_without_gap(anchor: int, on: date) -> None:
    first, last = bill_period(anchor, on)
    assert first <= on <= last
    assert bill_period(anchor, first) == bill_period(anchor, last) == (first, last)
    assert bill_period(anchor, last + timedelta(days=1))[0] == last + timedelta(days=1)


@pytest.mark.parametrize(
    ("moment", "zone", "says"),
    [
        (datetime(2026, 11, 25, 2, 30, tzinfo=UTC), "America/Los_Angeles", "6:30 pm PT"),
        (datetime(2026, 11, 25, 2, 30, tzinfo=UTC), "America/New_York", "9:30 pm ET"),
        (datetime(2026, 11, 25, 7, 0, tzinfo=UTC), "America/New_York", "tomorrow, 2:00 am ET"),
        (datetime(2026, 7, 4, 12, 0, tzinfo=UTC), "America/Chicago", "Jul 4, 7:00 am CT"),
        (datetime(2027, 1, 4, 12, 0, tzinfo=UTC), "Pacific/Honolulu", "Jan 4 2027, 2:00 am HT"),
    ],
)
def test_a_moment_is_said_as_on_the_wall_of_its_zone(moment: datetime, zone: str, says: str) -> None:
    assert on_the_wall(moment, zone, datetime(2026, 11, 25, 3, 0, tzinfo=UTC)) == says
