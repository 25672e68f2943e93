"""`careline import --fields`: what each file may say, told from the fields themselves. Needs no house."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from careline.doors.jobs.importing.fields import ENTITIES, READERS, Field, OneOf

WHAT = {
    "plans": "what a line may be on, and its price a month before tax",
    "allowances": "what a plan includes of other kinds of use, and what more of it costs",
    "devices": "phones and other devices, by IMEI",
    "customers": "with whom the carrier has its contract: a person or an organization",
    "persons": "people who may speak for accounts",
    "accounts": "what is billed together",
    "people": "which person may speak for which account, with which right",
    "lines": "phone numbers with their plan, device and SIM",
    "usage": "what a line used on a day: data in MB, voice in minutes, text in messages",
    "methods": "saved ways to pay as the provider's tokens, never a card number",
    "consents": "what a customer said about being written to or called, by the topics and channels of care.toml and contact_rules.toml",
    "pins": "Argon2id hashes of the PIN alone; an empty hash leaves what is here",
    "agreements": "extras (an amount) and discounts (an amount below zero, or a share of the plan charges) that come with every bill",
    "instalments": "equipment that is paid in equal parts, one on each bill from the first on or after `starts_on`; it ends, and is never edited",
    "bills": "bills; one that was sent before is never edited, a correction has a key of its own and names what it corrects",
    "bill_lines": "the lines of bills: they must sum to the bill's total",
    "payments": "money that came in; a returned one has a key of its own and names what it returns",
}
TAKES = {
    "text": "text", "key": "your key: the same in every import", "money": "an amount: 18.40, $1,250.00, (5.00)", "whole": "a whole number", "decimal": "a number",
    "boolean": "yes or no", "day": "a day: 2026-01-31, or as [ENTITY.formats] says", "moment": "a time: 2026-01-31T10:00:00Z, or as [ENTITY.formats] says (UTC unless it says its zone)",
    "zone": "a time zone: America/New_York", "number": "a phone number with its area code, in any form", "contact_number": "a phone number with its area code, in any form",
    "imei": "an IMEI with its check digit", "iccid": "an ICCID with its check digit", "pin": "$argon2id$v=19$…",
    "usage_kind": "data, voice, text, or a code of your own such as roaming_data",
}  # fmt: skip
REFERS = {
    "customer": "customers", "account": "accounts", "person": "persons", "plan": "plans", "device": "devices", "line": "lines", "bill": "bills",
    "corrects": "bills", "taxes": "bill_lines", "returns": "payments",
}  # fmt: skip
CREDIT = "the number of a credit given here (CR-…) that this line carries, so that it counts once"


def takes(name: str, field: Field) -> str:
    """What a value of this field may be, in words."""
    reader = READERS[field.kind]
    if name == "credit":
        return CREDIT
    if name in REFERS and field.kind == "key":
        return f"the key of one of [{REFERS[name]}]"
    words = f"one of {', '.join(reader.words)}" if isinstance(reader, OneOf) else TAKES[field.kind]
    return words + (f", at most {field.most} characters" if field.kind in ("text", "key") else "")


def told(entity: str) -> Iterator[str]:
    """The lines about one entity."""
    yield f"[{entity}]  {WHAT[entity]}"
    for name, field in ENTITIES[entity].items():
        left_out = "needed" if field.needed else f"else {str(field.default).lower() if isinstance(field.default, bool) else field.default}" if field.default not in (None, "") else ""
        yield f"  {name:16}{left_out:24}{takes(name, field)}".rstrip()
    yield ""


def main(options: argparse.Namespace) -> int:
    """Print the fields of all entities in the order in which they are written."""
    for entity in ENTITIES:
        print("\n".join(told(entity)))
    print("A mapping needs only the entities and fields that you have; what is needed must come from a column, a constant or a pattern.")
    return 0
