"""Grants of a credit one after another, beside something that is measured: what load.py and night.py start as a process of its own."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from datetime import datetime

    from careline.domain.customers.models import Account
    from careline.domain.staff.models import Staff
    from tests.people import Desk

BETWEEN = 0.03  # seconds from one grant's end to the next one's begin
Found = TypeVar("Found")


def in_contacts(staff: list[Staff], accounts: list[Account], at: datetime) -> list[tuple[Desk, Account]]:
    """Each of the staff in a contact with the holder of one account, who is verified."""
    from careline.domain.contacts.models import Contact
    from careline.domain.customers.models import AccountPerson, Person
    from tests.people import Desk

    desks = []
    for n, (somebody, account) in enumerate(zip(staff, accounts, strict=True)):
        desk = Desk(somebody, at)
        holder = Person.objects.create(customer=account.customer, name=f"Caller {n}")
        AccountPerson.objects.create(account=account, person=holder, right="holder")
        desk.contact = int(desk.must("contacts.open", account=account.pk, channel="chat", person=holder.pk).show["id"])
        Contact.objects.filter(pk=desk.contact).update(level=3, level_at=at, person=holder)
        desks.append((desk, account))
    return desks


def until_told(desks: list[tuple[Desk, Account]], seconds: float | None) -> None:
    """Say "ready", grant a cent in one contact after the other for so many seconds or until standard input closes, and print how long each
    grant took (ms, sorted) as JSON."""
    print("ready", flush=True)
    times: list[float] = []
    until = time.monotonic() + (seconds or float("inf"))
    while time.monotonic() < until and not (seconds is None and select.select([sys.stdin], [], [], 0)[0]):
        time.sleep(BETWEEN)
        desk, account = desks[len(times) % len(desks)]
        began = time.perf_counter()
        granted = desk.act("credits.grant", account=account.pk, reason="goodwill", amount=1, words="bench")
        if not granted.ok:  # a refusal is no grant: its time says nothing
            sys.exit(f"The bench's grant {len(times) + 1} was refused: {granted.say}")
        times.append((time.perf_counter() - began) * 1000)
    print(json.dumps(sorted(times)))


def beside(grants: subprocess.Popen[str], work: Callable[[], Found]) -> tuple[Found, list[float]]:
    """What the work says, and the times of the grants from its first moment to its last."""
    assert grants.stdout is not None and grants.stdout.readline().strip() == "ready"
    found = work()
    return found, times_of(grants)


def times_of(grants: subprocess.Popen[str]) -> list[float]:
    said, _ = grants.communicate()
    if grants.returncode:
        sys.exit(grants.returncode)
    return json.loads(said.splitlines()[-1])  # type: ignore[no-any-return]


def at(found: list[float], share: float) -> float:
    """The time that so large a share of the times stays below; 0 of none."""
    return sorted(found)[min(int(len(found) * share), len(found) - 1)] if found else 0.0
