"""Money: one rounding, amounts as people read and type them."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careline.foundation.money import MAX_MINOR, decimals, parsed, rounded, share, shown

amounts = st.integers(-MAX_MINOR, MAX_MINOR)
currencies = st.sampled_from(["USD", "EUR", "GBP", "CAD", "JPY", "KWD", "CHF", "CLF"])


@pytest.mark.parametrize(
    ("value", "whole"),
    [
        (Fraction(1, 2), 1),
        (Fraction(-1, 2), -1),
        (Fraction(3, 2), 2),
        (Fraction(5, 2), 3),
        (Fraction(-5, 2), -3),
        (Fraction(49, 100), 0),
        (Fraction(-49, 100), 0),
        (Fraction(7), 7),
        (Fraction(0), 0),
    ],
)
def test_a_half_is_rounded_away_from_zero(value: Fraction, whole: int) -> None:
    assert rounded(value) == whole


@given(st.fractions())
def test_rounding_is_symmetric_and_never_off_by_more_than_a_half(value: Fraction) -> None:
    assert rounded(-value) == -rounded(value)
    assert abs(rounded(value) - value) <= Fraction(1, 2)


@pytest.mark.parametrize(
    ("minor", "numerator", "denominator", "part"),
    [
        (3000, 12, 30, 1200),
        (1000, 1, 3, 333),
        (2000, 1, 3, 667),
        (-2000, 1, 3, -667),
        (5, 1, 2, 3),
        (9, 0, 7, 0),
    ],
)
def test_a_share_is_pro_rata_and_rounded(minor: int, numerator: int, denominator: int, part: int) -> None:
    assert share(minor, numerator, denominator) == part


@pytest.mark.parametrize("denominator", [0, -30])
def test_a_share_of_no_parts_is_refused(denominator: int) -> None:
    with pytest.raises(ValueError, match="denominator"):
        share(100, 1, denominator)


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (123450, "USD", "$1,234.50"),
        (-500, "USD", "−$5.00"),
        (-5, "USD", "−$0.05"),
        (0, "USD", "$0.00"),
        (1234, "EUR", "€12.34"),
        (1234, "GBP", "£12.34"),
        (1234, "CAD", "CA$12.34"),
        (1234, "JPY", "¥1,234"),
        (-1234567, "KWD", "−KWD 1,234.567"),
        (500, "CHF", "CHF 5.00"),
        (1234, "KRW", "KRW 1,234"),
    ],
)
def test_an_amount_is_shown_as_people_read_it(minor: int, currency: str, text: str) -> None:
    assert shown(minor, currency) == text


@pytest.mark.parametrize("currency", ["usd", "US", "", "US$", "ＵＳＤ"])
def test_a_malformed_currency_is_refused(currency: str) -> None:
    with pytest.raises(ValueError, match="three capital letters"):
        shown(1, currency)
    with pytest.raises(ValueError, match="three capital letters"):
        parsed("1", currency)


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("18.4", 1840),
        ("$18.40", 1840),
        ("1,234.50", 123450),
        (" 5 ", 500),
        (".5", 50),
        ("0", 0),
        ("-0", 0),
        ("$ 18", 1800),
        ("USD 18.40", 1840),
        ("usd18.40", 1840),
        ("US$18.40", 1840),
        ("-5", -500),
        ("−$5.00", -500),
        ("$-5", -500),
        ("1234567", 123456700),
        ("\N{NO-BREAK SPACE}5\N{NO-BREAK SPACE}", 500),
        ("007", 700),
    ],
)
def test_an_amount_is_read_as_people_type_it(text: str, minor: int) -> None:
    assert parsed(text) == minor


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Type an amount"),
        ("   ", "Type an amount"),
        ("1.234", "at most 2 decimals"),
        ("1,23.4", "Commas go before every third digit"),
        ("18,40", "Commas go"),
        (",500", "Commas go"),
        ("1,234,5", "Commas go"),
        ("1234,567", "Commas go"),
        ("1.2.3", "one point"),
        ("5.", "one point"),
        ("ten", "not an amount"),
        ("NaN", "not an amount"),
        ("inf", "not an amount"),
        ("1e3", "not an amount"),
        ("0x10", "not an amount"),
        ("1_000", "not an amount"),
        ("1 000", "not an amount"),
        ("(5.00)", "not an amount"),
        ("--5", "not an amount"),
        ("-$-5", "not an amount"),
        ("$$5", "not an amount"),
        ("$", "not an amount"),
        ("-", "not an amount"),
        (".", "not an amount"),
        ("€5", "not an amount in USD"),
        ("CA$5", "not an amount in USD"),
        ("٥", "digits 0 to 9"),
        ("５.００", "digits 0 to 9"),
        ("5²", "digits 0 to 9"),
        ("9" * 41, "too long"),
        ("100,000,000,000.01", "too much"),
    ],
)
def test_a_text_that_is_no_amount_is_refused_with_what_to_do(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refused:
        parsed(text)
    assert str(refused.value)[0].isupper() and str(refused.value).endswith(".")


def test_a_card_number_typed_as_an_amount_is_not_repeated() -> None:
    with pytest.raises(ValueError) as refused:
        parsed("4111111111111111")
    assert "4111" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "currency", "says"), [("1.5", "JPY", "no decimals"), ("1.2345", "KWD", "at most 3 decimals")]
)
def test_each_currency_has_its_own_decimals(text: str, currency: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parsed(text, currency)


def test_the_bounds_of_money_fit_a_signed_64_bit_column() -> None:
    assert MAX_MINOR * 100_000 < 2**63
    assert parsed(shown(MAX_MINOR)) == MAX_MINOR
    assert decimals("USD") == 2


@given(amounts, currencies)
def test_what_is_shown_is_read_back_the_same(minor: int, currency: str) -> None:
    assert parsed(shown(minor, currency), currency) == minor


@given(st.text(max_size=50) | st.text("0123456789.,-−$ eE+", max_size=45), currencies)
def test_any_text_is_an_amount_within_bounds_or_refused(text: str, currency: str) -> None:
    try:
        minor = parsed(text, currency)
    except ValueError:
        return
    assert abs(minor) <= MAX_MINOR
    assert any(c in "0123456789" for c in text)
