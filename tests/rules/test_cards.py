"""Payment card numbers are found in any typed text; identifiers of the trade pass."""

import re
from datetime import date
from itertools import accumulate

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from careline.foundation.cards import MESSAGE, card_numbers, is_card_number
from careline.foundation.sim import luhn_digit

# Test numbers of the networks and processors.
PUBLISHED = [
    "4111111111111111",
    "4222222222222",
    "4012888888881881",
    "5555555555554444",
    "5105105105105100",
    "2223003122003222",
    "378282246310005",
    "341111111111111",
    "6011111111111117",
    "6445644564456445",
    "6500000000000002",
    "30569309025904",
    "36227206271667",
    "38520000023237",
    "3530111333300000",
    "3566002020360505",
    "6200000000000005",
    "6205500000000000004",
    "6759649826438453",
    "5018000000000009",
]

SEPARATORS = [
    " ",
    "  ",
    "-",
    ".",
    "/",
    " - ",
    "\t",
    "\n",
    "\r\n",
    "\N{NO-BREAK SPACE}",
    "\N{NARROW NO-BREAK SPACE}",
    "\N{EN DASH}",
    "\N{EM DASH}",
    "\N{NON-BREAKING HYPHEN}",
    "\N{MINUS SIGN}",
    "\N{ZERO WIDTH SPACE}",
    "\N{ZERO WIDTH NON-JOINER}",
    "\N{WORD JOINER}",
    "\N{ZERO WIDTH NO-BREAK SPACE}",
    "\N{SOFT HYPHEN}",
    "\N{MIDDLE DOT}",
    "\N{FULLWIDTH SOLIDUS}",
    "\\",
    "_",
]

RANGES = [
    ("4", (13, 16, 19)),
    *((p, (16,)) for p in ("51", "52", "53", "54", "55", "2221", "2300", "2720")),
    *((p, (15,)) for p in ("34", "37")),
    *(
        (p, (16, 17, 18, 19))
        for p in ("6011", "644", "649", "65", "3528", "3589", "62", "50", "56", "58", "67")
    ),
    *((p, (14, 16, 17, 18, 19)) for p in ("300", "305", "36", "38", "39")),
]


def luhn(body: str) -> str:
    return body + luhn_digit(body)


def any_digits(size: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=size, max_size=size)


cards = st.sampled_from([(p, n) for p, lengths in RANGES for n in lengths]).flatmap(
    lambda kind: any_digits(kind[1] - len(kind[0]) - 1).map(lambda rest: luhn(kind[0] + rest))
)
imeis = st.sampled_from(["35", "86", "01", "99"]).flatmap(lambda p: any_digits(12).map(lambda r: luhn(p + r)))
iccids = st.one_of(
    st.sampled_from([16, 17]).flatmap(any_digits).map(lambda rest: luhn("89" + rest)),
    st.sampled_from([16, 17, 18]).flatmap(any_digits).map(lambda rest: "89" + rest),
)


def grouped(number: str, sizes: list[int], separator: str = " ") -> str:
    ends = list(accumulate(sizes))
    return separator.join(number[end - size : end] for end, size in zip(ends, sizes, strict=True))


def by(number: str, size: int, separator: str = " ") -> str:
    return separator.join(number[i : i + size] for i in range(0, len(number), size))


@pytest.mark.parametrize("number", PUBLISHED)
def test_a_card_number_of_each_network_is_found(number: str) -> None:
    assert is_card_number(number)
    assert card_numbers(number) == [(0, len(number))]
    assert card_numbers(f"cust gave {number}, wants autopay") == [(10, 10 + len(number))]


@pytest.mark.parametrize("separator", SEPARATORS)
def test_a_card_number_is_found_across_separators(separator: str) -> None:
    for number in PUBLISHED:
        for size in (1, 2, 4, 5):
            text = by(number, size, separator)
            assert card_numbers(text) == [(0, len(text))], text


@pytest.mark.parametrize(
    "text",
    [
        "card4111111111111111exp0127",
        "4111111111111111=27121010000000000000?",
        "%B4111111111111111^DOE/JANE^2712",
        "4111111111111111 12/27 123",
        "4111 1111 1111 1111 12 27 123",
        "exp 12/27 4111 1111 1111 1111",
        "41111111111111111227",
        "41111111111111111227123",
        "4111111111111111122027",
        "4111, 1111, 1111, 1111",
        "4111*1111*1111*1111",
        "(4111) (1111) (1111) (1111)",
        "4111|1111|1111|1111",
        "3782 822463 10005",
        "5555-5555-5555-4444",
        "555555 5555554444",
        "４１１１ １１１１ １１１１ １１１１",
        "٤١١١١١١١١١١١١١١١",
        "4\ufe0f\u20e31\ufe0f\u20e31\ufe0f\u20e31\ufe0f\u20e31111 11111111",
        "4111\u200b1111\u200b1111\u200b1111",
        "call 206 555 0188 card 4111 1111 1111 1111",
        "206 555 4111 1111 1111 1111",
        "+1 206 555 0188 4111 1111 1111 1111",
        "ICCID 8901410321111851072 card 4111111111111111",
        "8901410321111851072 4111111111111111",
        "353879234252633 4111111111111111",
        "1) 4111111111111111",
        "$4111111111111111",
        "4111111111111111.00",
    ],
)
def test_a_card_number_is_found_in_what_people_type(text: str) -> None:
    assert card_numbers(text)


def test_the_span_is_the_number_and_nothing_else() -> None:
    text = "cards: 4111 1111 1111 1111 and x5555555555554444y, exp glued 41111111111111111227"
    found = [text[start:end] for start, end in card_numbers(text)]
    assert found == ["4111 1111 1111 1111", "5555555555554444", "4111111111111111"]


def test_numbers_that_share_digits_are_one_span() -> None:
    # The first 13 and all 16 digits both hold.
    text = by("4222222222222", 1) + " " + by("000", 1)
    assert card_numbers(text) in ([(0, 25)], [(0, len(text))])


@given(cards)
def test_a_card_number_is_found_unbroken_inside_letters(number: str) -> None:
    assert card_numbers(f"card{number}exp0127") == [(4, 4 + len(number))]


@given(cards, st.data())
def test_a_card_number_is_found_whatever_separators_are_inserted(number: str, data: st.DataObject) -> None:
    gaps = data.draw(
        st.lists(
            st.just("") | st.sampled_from(SEPARATORS), min_size=len(number) - 1, max_size=len(number) - 1
        )
    )
    text = "".join(digit + gap for digit, gap in zip(number, [*gaps, ""], strict=True))
    # Fourteen digits and more in a row may be an IMEI or ICCID beside something else.
    longest = max(len(run) for run in re.findall(r"\d+", text))
    assume(longest < 14 or longest == len(number))
    assert card_numbers(text) == [(0, len(text))]
    assert card_numbers(f"note: {text} thanks") == [(6, 6 + len(text))]


@given(cards, st.sampled_from(["٠١٢٣٤٥٦٧٨٩", "０１２３４５６７８９", "०१२३४५६७८९", "𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗"]))
def test_a_card_number_is_found_in_every_script(number: str, script: str) -> None:
    text = "".join(script[int(digit)] for digit in number)
    assert card_numbers(text) == [(0, len(text))]


@given(cards, st.data())
def test_a_number_with_a_wrong_digit_is_no_card_number(number: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(number) - 1))
    other = data.draw(st.sampled_from("0123456789").filter(lambda d: d != number[at]))
    assert not is_card_number(number[:at] + other + number[at + 1 :])


@pytest.mark.parametrize(
    "sizes",
    [[15], [14, 1], [8, 6, 1], [6, 2, 6, 1], [2, 6, 6, 1]],
    ids=lambda sizes: "-".join(map(str, sizes)),
)
@given(number=imeis, separator=st.sampled_from([" ", "-", "/"]))
def test_an_imei_in_a_note_passes(sizes: list[int], number: str, separator: str) -> None:
    text = grouped(number, sizes, separator)
    for note in (text, f"IMEI {text}", f"IMEI {text} / 04", f"{text} 1234 swapped", f"4 {text}"):
        assert card_numbers(note) == []


@given(st.lists(imeis, min_size=2, max_size=5), st.sampled_from([" ", "\n", ", ", " / ", ""]))
def test_a_list_of_imeis_passes(numbers: list[str], separator: str) -> None:
    assert card_numbers(separator.join(numbers)) == []


@given(iccids)
@example("89014103211118510720")
def test_an_iccid_passes(number: str) -> None:
    for note in (number, f"ICCID{number}", f"SIM {number} 4155", f"4 {number}", f"{number}\n{number}"):
        assert card_numbers(note) == []


@given(
    st.sampled_from([15, 16]).flatmap(any_digits).map(lambda rest: luhn("891" + rest))
    | st.sampled_from([14, 15, 16]).flatmap(any_digits).map(lambda rest: "8901" + rest),
    st.sampled_from([2, 4, 5, 6]),
    st.sampled_from([" ", "-"]),
)
@example("89014103211118510720", 4, " ")
def test_an_iccid_passes_in_the_groups_it_is_printed_in(number: str, size: int, separator: str) -> None:
    assert card_numbers(f"SIM {by(number, size, separator)} active") == []


@given(any_digits(28), st.sampled_from([2, 4, 8, 32]))
def test_an_eid_passes(rest: str, size: int) -> None:
    body = "89" + rest
    assert card_numbers(by(body + f"{98 - int(body) * 100 % 97:02d}", size)) == []


@given(st.sampled_from(["302720", "310260", "311480", "316010", "334020"]), any_digits(9))
def test_an_imsi_passes(network: str, rest: str) -> None:
    assert card_numbers(network + rest) == []
    assert card_numbers(f"{network[:3]} {network[3:]} {rest}") == []


@given(
    st.lists(
        st.builds(
            "{}{sep}{}{sep}{:04d}".format,
            st.integers(201, 999),
            st.integers(200, 999),
            st.integers(0, 9999),
            sep=st.sampled_from([" ", "-", ".", ""]),
        ),
        max_size=4,
    ),
    st.sampled_from([" ", "\n", ", ", " or ", "; "]),
)
def test_phone_numbers_pass(numbers: list[str], separator: str) -> None:
    assert card_numbers(separator.join(numbers)) == []
    assert card_numbers(separator.join("1-" + n for n in numbers if "-" in n)) == []
    assert card_numbers(separator.join("+1" + n for n in numbers)) == []


@given(
    st.lists(st.dates(date(1950, 1, 1), date(2049, 12, 31)), max_size=8),
    st.sampled_from(
        [
            "{0.month}/{0.day}/{0.year}",
            "{0.month}/{0.day}/{0:%y}",
            "{0.day}.{0.month}.{0.year}",
            "{0:%Y-%m-%d}",
            "{0:%m-%d-%Y}",
            "{0.month}/{0.day}",
        ]
    ),
    st.sampled_from([" ", "\n", ", ", " - ", "; ", "\t"]),
)
def test_a_list_of_dates_passes(days: list[date], form: str, separator: str) -> None:
    assert card_numbers(separator.join(form.format(day) for day in days)) == []


@given(st.lists(st.integers(0, 999999), max_size=8), st.sampled_from([" ", "\n", ", ", "\t", " / "]))
def test_a_list_of_amounts_passes(cents: list[int], separator: str) -> None:
    assert card_numbers(separator.join(f"{c // 100}.{c % 100:02d}" for c in cents)) == []
    assert card_numbers(separator.join(f"${c / 100:,.2f}" for c in cents)) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no digits here",
        "acct 500123456",
        "CR-0001234-0 and CR-0000572-4",
        "1Z999AA10123456784",
        "9400111899223100012346",
        "92055900000000000000000000",
        "420981019400111899223100012346",
        "FedEx 449044304137821",
        "2026-03-08T07:00:00Z to 2026-11-01T06:00:00Z",
        "1767225600000",
        "20260308120000",
        "called 206 555 0188 and 415 555 0199 on 4/1/2026, due $1,234.50",
        "4155550188 4155550199",
        "192.168.100.200 10.0.0.1",
        "last four 1111, exp 12/27",
        "4111111111111112",
        "4111 1111 1111",
        "0000000000000000",
        "9" * 100,
        "4" * 100,
        "LPA:1$rsp.example.com$K2-1ABCD-98XYZ",
    ],
)
def test_other_numbers_of_the_trade_pass(text: str) -> None:
    assert card_numbers(text) == []


@given(any_digits(4), st.integers(20, 60).flatmap(any_digits))
def test_a_long_run_is_not_searched_for_windows(head: str, rest: str) -> None:
    # No card starts with 9, so only a window inside could be one.
    assert card_numbers("9" + head + rest) == []


@given(st.text(max_size=200) | st.text("0123456789 -./,()+\n\u200b٤", max_size=200))
def test_spans_are_in_order_and_from_digit_to_digit(text: str) -> None:
    before = 0
    for start, end in card_numbers(text):
        assert before <= start < end <= len(text)
        assert text[start].isdecimal() and text[end - 1].isdecimal()
        before = end


def test_a_long_text_takes_no_long_time() -> None:
    assert card_numbers("1 " * 50_000) == []
    assert card_numbers("9" * 100_000) == []
    assert card_numbers("8 9 " * 10_000) == []


def test_the_message_says_what_to_do_instead() -> None:
    assert "payment link" in MESSAGE and "saved payment method" in MESSAGE
    assert not any(char.isdigit() for char in MESSAGE)
