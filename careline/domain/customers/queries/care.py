"""Account care as it stands: addresses of record, who may speak, what was allowed and wished."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import QuerySet

from careline.domain.customers.models import (
    Account,
    AccountPerson,
    Consent,
    FormerContact,
    LegalHold,
    Line,
    Pin,
    StaffTie,
)
from careline.domain.customers.queries import Signal
from careline.domain.customers.rules import LineStatus, Right, care
from careline.foundation.act import Who


def former_contacts(account_id: int, since: datetime) -> list[FormerContact]:
    """What this account's customer was reached at until lately, the newest first."""
    return list(FormerContact.objects.filter(account__customer__accounts=account_id, until__gte=since).order_by("-until", "-pk"))


def email_of_record(account: Account, at: datetime, days: int) -> str:
    """Where a notice by e-mail goes (empty: nowhere)."""
    former = former_contacts(account.pk, at - timedelta(days=days))
    points = [care.Point(account.customer.email, account.customer.email_since)]
    return care.of_record(points + [care.Point(f.value, f.since, f.until) for f in former if f.kind == care.Medium.EMAIL], at, days)


def pin_set_at(account_id: int) -> datetime | None:
    """When the PIN was set; None: there is none."""
    return Pin.objects.filter(account_id=account_id).values_list("set_at", flat=True).first()


def numbers_on_file(account: Account) -> list[str]:
    """What a PIN may not be made of: the account's reference, its numbers, postal code and street."""
    lines = Line.objects.filter(account=account).exclude(status=LineStatus.CANCELLED).values_list("msisdn", flat=True)
    return [account.reference, account.postal_code, account.street, account.customer.phone, *lines]


def person_of(account_id: int, person_id: int) -> AccountPerson | None:
    """An authorized person whose right was not taken away."""
    rows: QuerySet[AccountPerson] = AccountPerson.objects.select_related("person")
    return rows.filter(account_id=account_id, person_id=person_id, right=Right.AUTHORIZED, ended_at=None).first()


def ended_people(account_id: int, since: datetime) -> list[AccountPerson]:
    """Who may speak no more since lately, the latest first."""
    return list(AccountPerson.objects.filter(account_id=account_id, ended_at__gte=since).select_related("person").order_by("-ended_at"))


def consents_of(account_id: int) -> dict[tuple[str, str], Consent]:
    """The newest word of each topic and channel."""
    return {(c.topic, c.channel): c for c in Consent.objects.filter(account_id=account_id).order_by("at", "pk")}


def changed_lately(account: Account, pin_at: datetime | None) -> dict[str, datetime | None]:
    """When that was changed by which somebody gets into an account."""
    return {"PIN": pin_at, "e-mail address": account.customer.email_since, "address": account.address_since}


def signals(account: Account, pin_at: datetime | None, at: datetime, hours: int, since: datetime) -> list[Signal]:
    """What was changed within a week by which somebody gets in; for `hours` nothing is unlocked after it.
    `since`: when this contact began; nobody asks the caller whether what they just had changed was them."""
    found = {name: when for name, when in changed_lately(account, pin_at).items() if when is not None and at - when < timedelta(days=7)}
    if not found:
        return []
    what = " and ".join(", ".join(found).rsplit(", ", 1))
    still = care.fresh_until(found.values(), at, hours)
    ask = "Ask whether it was them." if min(found.values()) < since else "It was done in this contact."
    say = f"{ask}{f' Nothing is unlocked within {hours} hours of it.' if still else ''}"
    return [Signal("care_changed", f"{what[0].upper()}{what[1:]} changed lately", say, 70 if still else 35, section="care")]


def legal_holds(account_id: int) -> list[LegalHold]:
    """Those in force, the oldest first."""
    return list(LegalHold.objects.filter(account_id=account_id, lifted_at=None).order_by("pk"))


def kept_from(account_ids: Sequence[int], who: Who) -> set[int]:
    """Protected accounts of which somebody who works here may not even learn that they are there: their own life's."""
    rows = StaffTie.objects.filter(account_id__in=account_ids, account__protected_at__isnull=False, staff_id=who.id)
    return set(rows.values_list("account_id", flat=True)) if who.kind == "Staff" else set()
