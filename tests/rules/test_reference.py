"""References: UUIDv7 and document numbers that notice a slip of the tongue."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careline.foundation.reference import number_of, numbered, uuid7

numbers = st.integers(1, 10**7 - 1) | st.integers(1, 10**12 - 1)
prefixes = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=4)


def test_the_example_of_rfc_9562_comes_out() -> None:
    random = (0xCC3 << 62 | 0x18C4DC0C0C07398F).to_bytes(10, "big")
    assert uuid7(0x017F22E279B0, random) == uuid.UUID("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_a_uuid7_sorts_by_its_time(a: int, b: int, random: bytes) -> None:
    one, other = uuid7(a, random), uuid7(b, random)
    assert one.version == 7 and one.variant == uuid.RFC_4122
    assert (a < b) == (one < other) == (str(one) < str(other))
    assert one.int >> 80 == a


@given(st.integers(0, 2**74 - 1), st.integers(0, 2**74 - 1))
def test_every_one_of_the_74_random_bits_counts(a: int, b: int) -> None:
    assert (uuid7(1, a.to_bytes(10, "big")) == uuid7(1, b.to_bytes(10, "big"))) == (a == b)


@pytest.mark.parametrize(
    ("unix_ms", "random"), [(-1, b"0" * 10), (2**48, b"0" * 10), (0, b"0" * 9), (0, b"0" * 16)]
)
def test_a_uuid7_out_of_bounds_is_refused(unix_ms: int, random: bytes) -> None:
    with pytest.raises(ValueError, match="UUIDv7"):
        uuid7(unix_ms, random)


def test_a_document_number_is_prefix_number_and_check_digit() -> None:
    assert numbered("CR", 572) == "CR-0000572-4"  # 572 has 4 in Damm's own example
    assert numbered("CASE", 123456789012).startswith("CASE-123456789012-")


@given(
    prefixes,
    numbers,
    st.sampled_from(["{}-{}-{}", "{} {} {}", "{}{}{}", " {}–{} - {}\n", "#{}.{}/{}"]),
    st.booleans(),
)
def test_a_document_number_is_read_in_any_human_form(prefix: str, n: int, form: str, lower: bool) -> None:
    text = form.format(*numbered(prefix, n).split("-"))
    assert number_of(text.lower() if lower else text) == (prefix, n)


def test_spoken_groups_and_wide_digits_are_read() -> None:
    assert number_of("cr 000 0572 4") == ("CR", 572)
    assert number_of("ＣＲ００００５７２４") == ("CR", 572)


@given(prefixes, numbers, st.data())
def test_a_single_digit_error_is_always_caught(prefix: str, n: int, data: st.DataObject) -> None:
    text = numbered(prefix, n)
    at = data.draw(st.sampled_from([i for i, c in enumerate(text) if c.isdigit()]))
    other = data.draw(st.sampled_from("0123456789").filter(lambda d: d != text[at]))
    with pytest.raises(ValueError, match="look at the number again"):
        number_of(text[:at] + other + text[at + 1 :])


@given(prefixes, numbers)
def test_a_swap_of_neighbours_is_always_caught(prefix: str, n: int) -> None:
    digits = "".join(numbered(prefix, n).split("-")[1:])
    for at in range(len(digits) - 1):
        swapped = digits[:at] + digits[at + 1] + digits[at] + digits[at + 2 :]
        if swapped != digits:
            with pytest.raises(ValueError, match="look at the number again"):
                number_of(prefix + swapped)


@given(prefixes, st.integers(1, 10**7 - 1), st.data())
def test_a_digit_left_out_is_always_caught(prefix: str, n: int, data: st.DataObject) -> None:
    digits = "".join(numbered(prefix, n).split("-")[1:])
    at = data.draw(st.integers(0, len(digits) - 1))
    with pytest.raises(ValueError, match="missing"):
        number_of(prefix + digits[:at] + digits[at + 1 :])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Type a document number"),
        (" - ", "Type a document number"),
        ("CR", "letters, then digits"),
        ("0000572-4", "letters, then digits"),
        ("CR-0000572-K", "letters, then digits"),
        ("CREDIT-0000572-4", "letters, then digits"),
        ("CR-572-4", "missing"),
        ("CR-0000000-0", "wrong"),
        ("CR-00000572-4", "too many digits"),
        ("CR-1234567890123-4", "too many digits"),
        ("CR" + "0" * 70, "too long"),
        ("CR-٠٠٠٠٥٧٢-٤", "letters, then digits"),
    ],
)
def test_what_is_no_document_number_is_refused_with_a_sentence(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        number_of(text)


@pytest.mark.parametrize(
    ("prefix", "n"), [("", 1), ("cr", 1), ("CREDIT", 1), ("C1", 1), ("CR", 0), ("CR", -1), ("CR", 10**12)]
)
def test_a_number_that_could_not_be_read_back_is_not_given_out(prefix: str, n: int) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        numbered(prefix, n)


@given(st.text(max_size=70))
def test_any_text_is_a_document_number_or_refused(text: str) -> None:
    try:
        prefix, n = number_of(text)
    except ValueError:
        return
    assert number_of(numbered(prefix, n)) == (prefix, n)
