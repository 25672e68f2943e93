"""Makes the sample export in samples/fernline: a small invented carrier, with the dirty rows that real exports have.

    python samples/make_fernline.py

The same seed gives the same files. Names are invented; numbers are of the fictional 555-01xx range.
"""

from __future__ import annotations

import csv
import hashlib
import json
import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from argon2.low_level import Type, hash_secret

HERE = Path(__file__).resolve().parent / "fernline"
FIRST = ["Ada", "Bilal", "Chiara", "Dmitri", "Esi", "Farah", "Goran", "Hana", "Imani", "Jonas", "Kavya", "Luca", "Mei", "Noor", "Olu", "Petra", "Quinn", "Rosa", "Sven", "Tala"]
LAST = ["Abara", "Bergström", "Castillo", "Dovlatyan", "Eriksen", "Fofanah", "Grünwald", "Haddad", "Ibarra", "Jansen", "Kowalczyk", "Lefèvre", "Mbeki", "Nakagawa", "O'Shea", "Petrov"]
PLANS = [("P1", "TALK", "Talk & Text", 1500, 1), ("P2", "PLUS5", "Plus 5 GB", 3000, 5), ("P3", "PLUS15", "Plus 15 GB", 4500, 15), ("P4", "UNL", "Unlimited", 6500, None), ("P5", "TAB", "Tablet 5 GB", 1000, 5), ("P6", "WATCH", "Watch", 800, None)]
PHONES = {"Google": ["Pixel 9", "Pixel 9 Pro", "Pixel 8a"], "Apple": ["iPhone 16", "iPhone 16e", "iPhone 15"], "Samsung": ["Galaxy S25", "Galaxy S24", "Galaxy A55"]}
STATES = {"WA": 650, "NY": 888, "TX": 825, "CA": 725}  # tax in basis points
# What some bills have beside plans, by account and month: kind, words, amount, price. The old system says no quantity.
OFFER = ("discount", "Loyalty offer, until Oct 31, 2026", -500, -500)
MORE = {
    (12, 9): [OFFER], (12, 10): [OFFER], (12, 11): [("usage", "Extra data", 840, 0), ("fee", "Late payment fee", 700, 700)],
    (20, 10): [("one_off", "Roaming pass", 1999, 1999)], (20, 11): [("other", "Adjustment of October 9", -1999, 0)],
    **{(41, month): [("equipment", f"iPhone 16, instalment {month - 4} of 24", 3325, 3325), ("fee", "Device protection", 900, 900)] for month in (9, 10, 11)},
    (30, 10): [("usage", "Calls abroad", 1210, 0), ("fee", "Restoring your line", 2000, 2000)],
}
AREAS = {"WA": "206", "NY": "212", "TX": "512", "CA": "415"}


def luhn(body: str) -> str:
    total = 0
    for n, digit in enumerate(reversed(body)):
        d = int(digit) * (2 if n % 2 == 0 else 1)
        total += d - 9 if d > 9 else d
    return body + str(-total % 10)


def dollars(minor: int) -> str:
    sign, minor = ("-", -minor) if minor < 0 else ("", minor)
    return f"{sign}{minor // 100:,}.{minor % 100:02d}"


def write(name: str, header: list[str], rows: list[list[Any]]) -> None:
    with open(HERE / name, "w", encoding="utf-8-sig", newline="") as file:
        out = csv.writer(file)
        out.writerow(header)
        out.writerows(rows)


def pin_hash(account: str, pin: str) -> str:
    """As the old system kept it: Argon2id of the PIN alone. Lightly, for these PINs stand in the README."""
    salt = hashlib.sha256(account.encode()).digest()[:16]
    return hash_secret(pin.encode(), salt, time_cost=1, memory_cost=64, parallelism=1, hash_len=32, type=Type.ID).decode()


def main() -> None:
    rng = random.Random(20261124)
    HERE.mkdir(exist_ok=True)
    customers: list[list[Any]] = []
    persons: list[list[Any]] = []
    accounts: list[list[Any]] = []
    people: list[list[Any]] = []
    lines: list[list[Any]] = []
    devices: list[list[Any]] = []
    usage: list[list[Any]] = []
    bills: list[list[Any]] = []
    bill_lines: list[list[Any]] = []
    payments: list[list[Any]] = []
    methods: list[list[Any]] = []
    consents: list[dict[str, Any]] = []
    pins: list[list[Any]] = []
    number = dict.fromkeys(AREAS, 100)
    for n in range(1, 61):
        first, last = rng.choice(FIRST), rng.choice(LAST)
        state = rng.choice(sorted(STATES))
        since = date(2018, 1, 1) + timedelta(days=rng.randrange(2800))
        name = f"{first} {last}"
        customers.append([f"C{n:03}", name, since.strftime("%m/%d/%Y"), rng.choice(["en", "en", "en", "es", "fr"]), "hard of hearing" if n % 17 == 0 else "", f"{first.lower()}{n}@mail.example"])
        persons.append([f"H{n:03}", f"C{n:03}", name])
        accounts.append([f"A{n:03}", f"C{n:03}", f"A-{7000000 + n}", since.strftime("%m/%d/%Y"), 1 + n % 28, state, "Y" if n % 3 == 0 else "N", "ACT"])
        people.append([f"A{n:03}", f"H{n:03}", "holder", "Y"])
        if n % 9 == 0:
            persons.append([f"X{n:03}", f"C{n:03}", f"{rng.choice(FIRST)} {last}"])
            people.append([f"A{n:03}", f"X{n:03}", "authorized", "N"])
        methods.append([f"M{n:03}", f"A{n:03}", f"tok-visa-{n:03}-good", "Visa", f"{4000 + n}", "2029-06-30"])
        consents.append({"id": f"K{n:03}", "acct": f"A{n:03}", "topic": "offers", "channel": "sms", "granted": n % 4 != 0, "at": "2025-05-01T10:00:00Z"})
        if n % 6 != 5:  # some customers never chose a PIN: an empty hash, or no row
            pins.append([f"A{n:03}", pin_hash(f"A{n:03}", f"{7300 + n}") if n % 6 else "", "2025-03-01T09:00:00Z"])
        mine = []
        for k in range(1 + (n % 3 == 0) + (n % 5 == 0) + (n % 20 == 0)):
            plan = rng.choice(PLANS[:4] if k == 0 else PLANS)
            device = f"D{n:03}{k}"
            imei, make = luhn(f"35{rng.randrange(10**12):012}"), rng.choice(list(PHONES))
            devices.append([device, imei, make, rng.choice(PHONES[make])])
            area, serial = AREAS[state], number[state]
            number[state] += 1
            told = f"({area}) 555-{serial:04}" if n % 2 else f"{area}.555.{serial:04}"
            status = "S" if n % 23 == 0 else "A"
            key = f"L{n:03}{k}"
            lines.append([key, f"A{n:03}", told, plan[0], status, since.strftime("%m/%d/%Y"), since.isoformat() + "T12:00:00Z", device, luhn(f"8901{n:06}{k:02}000000")])
            mine.append((key, plan))
            for back in range(5):
                usage.append([key, "data", (date(2026, 11, 20) - timedelta(days=back)).isoformat(), rng.randrange(40, 900)])
        for month in (9, 10, 11):
            key = f"B{n:03}{month}"
            start = date(2026, month, 1)
            end = date(2026, month + 1, 1) - timedelta(days=1)
            total = 0
            for key_line, plan in mine:
                charge, rate = plan[3], STATES[state]
                tax = (charge * rate + 5000) // 10000
                bill_lines.append([f"{key}-{key_line}", key, "plan", plan[2], key_line, start, end, dollars(charge), dollars(charge), 0, ""])
                bill_lines.append([f"{key}-{key_line}-t", key, "tax", f"{state} sales tax", "", "", "", dollars(tax), dollars(tax), rate * 100, f"{key}-{key_line}"])
                total += charge + tax
            for n_more, (kind, text, amount, unit) in enumerate(MORE.get((n, month), ())):
                bill_lines.append([f"{key}-m{n_more}", key, kind, text, "" if kind in ("fee", "discount") else mine[0][0], "", "", dollars(unit), dollars(amount), 0, ""])
                total += amount
            bills.append([key, f"A{n:03}", f"F-26{month:02}-{n:03}", start, end, start, start + timedelta(days=20), dollars(total), ""])
            if month < 11 and n % 7:
                payments.append([f"Y{n:03}{month}", f"A{n:03}", f"R-26{month:02}-{n:03}", dollars(total), "Visa", f"{start + timedelta(days=15)}T15:00:00Z", ""])
    # A returned debit, and a bill that was wrong and is corrected by another.
    payments.append(["Y00110R", "A001", "R-2610-001R", next(p[3] for p in payments if p[0] == "Y00110"), "Visa", "2026-10-20T15:00:00Z", "Y00110"])
    wrong = next(b for b in bills if b[0] == "B00211")
    fixed = ["B00211C", *wrong[1:2], "F-2611-002C", *wrong[3:7], "10.00", "B00211"]
    bills.append(fixed)
    bill_lines.append(["B00211C-1", "B00211C", "plan", "Plus 5 GB, half a month by agreement", "", "2026-11-01", "2026-11-30", "10.00", "10.00", 0, ""])

    # The dirt of real exports: each of these rows is rejected, with its reason.
    devices.append(["D9001", "356938035643800", "Nokia", "X"])  # the check digit is wrong
    devices.append(["D9002", devices[0][1], "Apple", "iPhone 16"])  # somebody else's IMEI
    customers.append(["C901", "", "01/05/2020", "en", "", ""])  # no name
    customers.append(["C902", "Card In Notes 4111 1111 1111 1111", "01/05/2020", "en", "", ""])  # a card number
    customers.append(["C903", "Bad Date", "31/31/2020", "en", "", ""])
    persons.append(["H901", "C901", "Nobody Known"])  # its customer was rejected
    persons.append(["H001", "C001", "Twice Told"])  # the same key again
    accounts.append(["A901", "C404", "A-7000901", "01/05/2020", 1, "WA", "N", "ACT"])  # no such customer
    accounts.append(["A902", "C001", "A-7000001", "01/05/2020", 1, "WA", "N", "ACT"])  # somebody else's reference
    accounts.append(["A903", "C001", "A-7000903", "01/05/2020", 42, "WA", "N", "ACT"])  # no such day
    accounts.append(["A904", "C001", "A-7000904", "01/05/2020", 1, "WA", "maybe", "ACT"])  # neither yes nor no
    people.append(["A001", "H404", "holder", "Y"])
    lines.append(["L9001", "A001", "555-0100", "P1", "A", "01/05/2020", "2020-01-05T12:00:00Z", "", ""])  # no area code
    lines.append(["L9002", "A001", lines[0][2], "P1", "A", "01/05/2020", "2020-01-05T12:00:00Z", "", ""])  # a number in use
    lines.append(["L9003", "A001", "(206) 555-0199", "P9", "A", "01/05/2020", "2020-01-05T12:00:00Z", "", ""])  # no such plan
    lines.append(["L9004", "A001", "(206) 555-0198", "P1", "Z", "01/05/2020", "2020-01-05T12:00:00Z", "", ""])  # no such status
    lines.append(["L9005", "A001", "(206) 555-0197", "P1", "A", "01/05/2020", "2020-01-05T12:00:00Z", "", "8901260000000000000"])  # ICCID
    # What comes with every bill: an offer that is over, an extra, a share off; a phone in parts, and one that is paid off.
    agreements = [
        ["G012", "A012", "", "discount", "Loyalty offer", "-5.00", "", "2026-07-01", "2026-10-31"], ["G041", "A041", "", "fee", "Device protection", "9.00", "", "2026-04-20", ""],
        ["G044", "A044", "L0440", "discount", "Staff offer", "", 250000, "2026-01-01", ""],
        ["G901", "A001", "", "discount", "Wrong way round", "5.00", "", "2026-01-01", ""],  # a discount that would cost something
        ["G902", "A001", "L0020", "fee", "Somebody else's line", "5.00", "", "2026-01-01", ""],
    ]
    instalments = [
        ["E041", "A041", "L0410", "iPhone 16", "798.00", 24, "2026-04-20", ""], ["E050", "A050", "", "Galaxy S24", "600.00", 12, "2025-02-03", "2025-09-15"],
        ["E901", "A001", "", "No parts", "100.00", 0, "2026-01-01", ""], ["E902", "A404", "", "Nobody's", "100.00", 12, "2026-01-01", ""],
    ]
    usage.append(["L0010", "data", "2026-11-20", "lots"])
    usage.append(["L4040", "data", "2026-11-20", 5])
    bills.append(["B9001", "A001", "F-9001", "2026-10-01", "2026-10-31", "2026-11-01", "2026-11-20", "99.99", ""])  # lines do not sum
    bill_lines.append(["B9001-1", "B9001", "fee", "Mystery", "", "", "", "1.00", "1.00", 0, ""])
    bills.append(["B9002", "A001", "F-9002", "2026-10-01", "2026-10-31", "2026-11-01", "2026-11-20", "0.00", ""])  # no line at all
    bill_lines.append(["B9404-1", "B9404", "fee", "Orphan", "", "", "", "1.00", "1.00", 0, ""])  # no such bill
    payments.append(["Y9001", "A001", "R-9001", "twelve", "Visa", "2026-10-20T15:00:00Z", ""])
    payments.append(["Y9002", "A001", "R-9002", "5.00", "Visa", "2026-10-20T15:00:00Z", "Y404"])  # returns nothing known
    pins.append(["A404", pin_hash("A404", "7777"), "2025-03-01T09:00:00Z"])  # no such account
    pins.append(["A005", "7305", "2025-03-01T09:00:00Z"])  # a PIN in clear
    pins.append(["A011", "5f4dcc3b5aa765d61d8327deb882cf99", "2025-03-01T09:00:00Z"])  # a hash of another kind
    methods.append(["M9001", "A001", "4111111111111111", "Visa", "1111", "2029-06-30"])  # a number where a token belongs

    write("plans.csv", ["plan_id", "code", "name", "price", "gb"], [[p[0], p[1], p[2], dollars(p[3]), p[4] * 1024 if p[4] else "NULL"] for p in PLANS])
    write("devices.csv", ["id", "imei", "make", "model"], devices)
    write("customers.csv", ["id", "full_name", "customer_since", "lang", "needs", "email"], customers)
    write("persons.csv", ["id", "customer", "name"], persons)
    write("accounts.csv", ["id", "customer", "reference", "opened", "cycle_day", "state", "autopay", "status"], accounts)
    write("account_people.csv", ["account", "person", "role", "money"], people)
    write("subscribers.csv", ["id", "account", "phone", "plan", "st", "activated", "number_since", "device", "sim"], lines)
    write("usage.csv", ["subscriber", "kind", "day", "qty"], usage)
    write("bills.csv", ["id", "account", "no", "from", "to", "issued", "due", "total", "replaces"], bills)
    write("bill_lines.csv", ["id", "bill", "type", "text", "subscriber", "from", "to", "unit", "amount", "rate_ppm", "on_line"], bill_lines)
    write("payments.csv", ["id", "account", "receipt", "amount", "how", "at", "returns"], payments)
    write("agreements.csv", ["id", "account", "subscriber", "type", "text", "monthly", "share", "from", "until"], agreements)
    write("instalments.csv", ["id", "account", "subscriber", "item", "price", "parts", "sold", "ended"], instalments)
    write("methods.csv", ["id", "account", "token", "brand", "last4", "expires"], methods)
    write("pins.csv", ["account", "hash", "since"], pins)
    with open(HERE / "consents.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(c) + "\n" for c in consents)
        file.write('{"id": "K901", "acct": "A001", "topic": "newsletter", "channel": "sms", "granted": false, "at": "2025-05-01T10:00:00Z"}\n')  # nothing of ours
        file.write('{"id": "K902", "acct": "A001", "topic": "offers", "channel": "SMS!", "granted": false, "at": "2025-05-01T10:00:00Z"}\n')  # no such channel
        file.write('{"id": "K900", "acct": "A001", "topic": "offers", \n')  # cut off
    with open(HERE / "accounts.csv", "a", encoding="utf-8") as file:
        file.write("A905,C001\n\n")  # ragged, and an empty line


if __name__ == "__main__":
    main()
