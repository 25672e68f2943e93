"""SIM and device numbers: what holds, and the sentence for what does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careline.foundation.sim import (
    eid_fault,
    iccid_fault,
    imei_fault,
    imsi_fault,
    luhn_digit,
    luhn_holds,
    plain,
)

bodies = st.text("0123456789", min_size=1, max_size=31)


def eid(body: str) -> str:
    return body + f"{98 - int(body) * 100 % 97:02d}"


def test_the_sample_of_3gpp_has_check_digit_7() -> None:
    assert luhn_digit("26053179311383") == "7"
    assert imei_fault("260531793113837") is None


@pytest.mark.parametrize("number", ["79927398713", "4111111111111111", "378282246310005", "00"])
def test_known_luhn_numbers_hold(number: str) -> None:
    assert luhn_holds(number)


@pytest.mark.parametrize("number", ["", "0", "79927398710", "4111 1111", "٤١١١", "-18", "1.8"])
def test_what_is_not_digits_with_their_check_digit_does_not_hold(number: str) -> None:
    assert not luhn_holds(number)


@pytest.mark.parametrize("body", ["", "12a", "٤", "1 2"])
def test_a_check_digit_is_made_from_digits_only(body: str) -> None:
    with pytest.raises(ValueError, match="0 to 9"):
        luhn_digit(body)


@given(bodies, st.data())
def test_luhn_holds_for_its_own_digit_and_catches_each_single_error(body: str, data: st.DataObject) -> None:
    number = body + luhn_digit(body)
    assert luhn_holds(number)
    at = data.draw(st.integers(0, len(number) - 1))
    other = data.draw(st.sampled_from("0123456789").filter(lambda d: d != number[at]))
    assert not luhn_holds(number[:at] + other + number[at + 1 :])


def test_an_iccid_is_read_as_it_is_printed() -> None:
    number = "890141032111185107"
    number += luhn_digit(number)
    assert iccid_fault(number) is None
    assert iccid_fault(" 8901 4103-2111 1851 07" + number[-1] + " ") is None
    assert plain("8901 4103-2111") == "890141032111"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Type the ICCID"),
        ("89014103211118510720F", "digits 0 to 9 only"),
        ("٨٩014103211118510720", "digits 0 to 9 only"),
        ("89014103211118510", "this has 17"),
        ("890141032111185107201", "this has 21"),
        ("1901410321111851072", "starts with 89"),
        ("8901410321111851073", "check digit does not match"),
    ],
)
def test_the_fault_of_an_iccid_is_said(text: str, says: str) -> None:
    assert says in (iccid_fault(text) or "")


@given(st.text("0123456789", min_size=15, max_size=17))
def test_the_check_digit_of_an_iccid_is_asked_only_of_issuers_who_have_one(rest: str) -> None:
    body = "89" + rest
    number = body + luhn_digit(body)
    wrong = body + str((int(number[-1]) + 1) % 10)
    assert iccid_fault(number) is None
    assert iccid_fault(wrong, checked=False) is None
    assert (iccid_fault(wrong) is None) == (len(wrong) == 18)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Type the IMEI"),
        ("26053179311383A", "digits 0 to 9 only"),
        ("26053179311383", "this has 14"),
        ("2605317931138370", "IMEISV"),
        ("260531793113838", "check digit does not match"),
        ("000000000000000", "zeros"),
    ],
)
def test_the_fault_of_an_imei_is_said(text: str, says: str) -> None:
    assert says in (imei_fault(text) or "")


@pytest.mark.parametrize(
    "text", ["310260123456789", "310 260 123456789", "001010123456789", "901280123456789", "65501012345678"]
)
def test_an_imsi_starts_with_a_mobile_country_code(text: str) -> None:
    assert imsi_fault(text) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Type the IMSI"),
        ("3102601234567", "this has 13"),
        ("3102601234567890", "this has 16"),
        ("110260123456789", "mobile country code"),
        ("810260123456789", "mobile country code"),
        ("31026012345678x", "digits 0 to 9 only"),
    ],
)
def test_the_fault_of_an_imsi_is_said(text: str, says: str) -> None:
    assert says in (imsi_fault(text) or "")


@pytest.mark.parametrize(
    "text", ["89049032000001000000000000000074", "8904 9032 0000 0100 0000 0000 0000 0074"]
)
def test_an_eid_may_be_typed_in_groups(text: str) -> None:
    assert eid_fault(text) is None


@given(st.text("0123456789", min_size=28, max_size=28), st.data())
def test_an_eid_holds_and_each_single_error_in_it_is_caught(rest: str, data: st.DataObject) -> None:
    number = eid("89" + rest)
    assert eid_fault(number) is None
    at = data.draw(st.integers(0, 31))
    other = data.draw(st.sampled_from("0123456789").filter(lambda d: d != number[at]))
    assert eid_fault(number[:at] + other + number[at + 1 :]) is not None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Type the EID"),
        ("8904903200000100000000000000002", "this has 31"),
        ("1" * 32, "starts with 89"),
        ("8" + "9" * 31, "check digits"),
    ],
)
def test_the_fault_of_an_eid_is_said(text: str, says: str) -> None:
    assert says in (eid_fault(text) or "")
