"""The numbers of SIMs and devices: ICCID, IMEI, IMSI, EID, and their check digits.

Each ``*_fault`` returns None when the number holds, or one sentence that says
what is wrong and what to do. Spaces and hyphens, as printed on a SIM card, are
set aside; store what :func:`plain` gives. Sources: rules.md section 5a.
"""

from __future__ import annotations

import re
from typing import Final

_DIGITS: Final = re.compile(r"[0-9]+")


def plain(text: str) -> str:
    """The number without the spaces and hyphens it is printed with."""
    return re.sub(r"[\s\-\u2010-\u2015]", "", text)


def luhn_digit(body: str) -> str:
    """The check digit that makes ``body`` hold (ISO/IEC 7812-1 annex B).

    ValueError unless the body is one or more of the digits 0 to 9.
    """
    if not _DIGITS.fullmatch(body):
        raise ValueError("A Luhn check digit is made from digits 0 to 9 only.")
    # The digit next to the check digit is doubled, then every second one.
    return str(-_luhn_sum(body, first_doubled=True) % 10)


def luhn_holds(digits: str) -> bool:
    """Whether the last digit is the Luhn check digit of those before it.

    False for fewer than two digits and for anything but the digits 0 to 9.
    """
    return (
        len(digits) > 1
        and _DIGITS.fullmatch(digits) is not None
        and _luhn_sum(digits, first_doubled=False) % 10 == 0
    )


def iccid_fault(text: str, *, checked: bool = True) -> str | None:
    """What is wrong with an ICCID (ITU-T E.118): 18 to 20 digits starting 89.

    19 and 20 digits end in a Luhn digit when the issuer's numbers are
    ``checked``; 18 digits never do (they are 19 with the check digit left out).
    """
    number = plain(text)
    if fault := _digits_fault("ICCID", number):
        return fault
    if not 18 <= len(number) <= 20:
        return f"An ICCID has 18 to 20 digits; this has {len(number)}. Read it again from the SIM card."
    if not number.startswith("89"):
        return "An ICCID starts with 89. Read it again from the SIM card."
    if checked and len(number) > 18 and not luhn_holds(number):
        return (
            "This ICCID has a wrong digit: its check digit does not match. Read it again from the SIM card."
        )
    return None


def imei_fault(text: str) -> str | None:
    """What is wrong with an IMEI (3GPP TS 23.003): 15 digits, the last one Luhn."""
    number = plain(text)
    if fault := _digits_fault("IMEI", number):
        return fault
    if len(number) == 16:
        return "This has 16 digits and may be an IMEISV. Dial *#06# and type the 15 digits of the IMEI."
    if len(number) != 15:
        return f"An IMEI has 15 digits; this has {len(number)}. Dial *#06# on the device to see it."
    # All zeros passes Luhn, and is what a device without an IMEI reports.
    if number == "0" * 15:
        return "An IMEI of zeros is no IMEI. Dial *#06# on the device to see it."
    if not luhn_holds(number):
        return "This IMEI has a wrong digit: its check digit does not match. Dial *#06# to see it again."
    return None


def imsi_fault(text: str) -> str | None:
    """What is wrong with an IMSI (ITU-T E.212): 14 or 15 digits, country code first.

    E.212 allows at most 15; 14 are in use abroad, 15 in the US. The first three
    are a mobile country code: 2xx to 7xx, the shared 90x, or 001 of a test network.
    """
    number = plain(text)
    if fault := _digits_fault("IMSI", number):
        return fault
    if len(number) not in (14, 15):
        return f"An IMSI has 15 digits (14 with some networks abroad); this has {len(number)}."
    if not re.match(r"[2-7]|90|001", number):
        return "An IMSI starts with a mobile country code: 310 to 316 in the United States."
    return None


def eid_fault(text: str) -> str | None:
    """What is wrong with an EID (GSMA SGP.29): 32 digits starting 89, and by
    ISO 7064 mod 97-10 a remainder of 1 (not Luhn)."""
    number = plain(text)
    if fault := _digits_fault("EID", number):
        return fault
    if len(number) != 32:
        return f"An EID has 32 digits; this has {len(number)}. Dial *#06# on the device to see it."
    if not number.startswith("89"):
        return "An EID starts with 89. Dial *#06# on the device to see it."
    if int(number) % 97 != 1:
        return "This EID has a wrong digit: its check digits do not match. Dial *#06# to see it again."
    return None


def _digits_fault(name: str, number: str) -> str | None:
    if not number:
        return f"Type the {name}."
    if not _DIGITS.fullmatch(number):
        return f"An {name} is made of the digits 0 to 9 only."
    return None


def _luhn_sum(digits: str, *, first_doubled: bool) -> int:
    total = 0
    double = first_doubled
    for digit in map(int, reversed(digits)):
        total += digit * 2 - 9 * (digit > 4) if double else digit
        double = not double
    return total
