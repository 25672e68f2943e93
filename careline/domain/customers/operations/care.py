"""Account care: contact details, PIN, locks and persons. The account is locked by whoever calls."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from careline.domain.customers.models import (
    Account,
    AccountPerson,
    Customer,
    FormerContact,
    LegalHold,
    Line,
    Person,
    Pin,
    StaffTie,
)
from careline.domain.customers.operations import index_many
from careline.domain.customers.rules import Right, Tie
from careline.domain.customers.rules.care import Medium
from careline.domain.journal.operations import next_numbers
from careline.foundation.act import Act


def _former(act: Act, account_id: int, kind: Medium, value: str, since: datetime | None) -> None:
    if value:
        FormerContact.objects.create(account_id=account_id, kind=kind, value=value[:254], since=since, until=act.at)


def change_contact(*, act: Act, account_id: int, email: str | None, phone: str | None) -> dict[Medium, tuple[str, str]]:
    """Another e-mail address or contact number (None: leave it; empty: take it away). Returns what changed, before and after.
    The customer's row is locked: it may have other accounts."""
    row = Customer.objects.select_for_update(no_key=True).get(accounts=account_id)
    changed: dict[Medium, tuple[str, str]] = {}
    if email is not None and email != row.email:
        _former(act, account_id, Medium.EMAIL, row.email, row.email_since)
        changed[Medium.EMAIL] = (row.email, email)
        row.email, row.email_since = email, act.at
    if phone is not None and phone != row.phone:
        _former(act, account_id, Medium.PHONE, row.phone, None)
        changed[Medium.PHONE] = (row.phone, phone)
        row.phone = phone
    if changed:
        row.save(update_fields=["email", "email_since", "phone"])
    return changed


def change_address(*, act: Act, account_id: int, street: str, city: str, state: str, postal_code: str, zone: str) -> tuple[str, str] | None:
    """Another address: where bills go, what taxes and contact hours are reckoned by. Returns it before and after; None: it is
    the same."""
    row = Account.objects.get(pk=account_id)
    new = {"street": street, "city": city, "state": state, "postal_code": postal_code, "zone": zone}
    if all(getattr(row, name) == value for name, value in new.items()):
        return None
    before = row.address
    _former(act, account_id, Medium.ADDRESS, before, row.address_since)
    for name, value in new.items():
        setattr(row, name, value)
    row.address_since = act.at
    row.save(update_fields=[*new, "address_since"])
    return before, row.address


def clear_pin(*, act: Act, account_id: int) -> bool:
    """Take a forgotten PIN away. False: there was none."""
    return bool(Pin.objects.filter(account_id=account_id).delete()[0])


def set_locks(*, act: Act, account_id: int, sim: bool | None = None, port: bool | None = None) -> bool:
    """Lock or unlock against SIM changes and porting out (None: leave it). False: it stood so already."""
    wanted = {name: on for name, on in (("change_lock", sim), ("port_lock", port)) if on is not None}
    row = Account.objects.get(pk=account_id)
    if all(getattr(row, name) == on for name, on in wanted.items()):
        return False
    Account.objects.filter(pk=account_id).update(**wanted)
    return True


def add_person(*, act: Act, account_id: int, name: str, email: str, may_money: bool, may_service: bool, until: date | None) -> Person:
    """Somebody more who may speak for an account; the find box knows them."""
    customer_id = Account.objects.values_list("customer_id", flat=True).get(pk=account_id)
    person = Person.objects.create(customer_id=customer_id, name=name, email=email)
    AccountPerson.objects.create(
        account_id=account_id, person=person, right=Right.AUTHORIZED, may_money=may_money, may_service=may_service, until=until
    )
    index_many(accounts=[account_id])
    return person


def change_person(*, act: Act, account_id: int, person_id: int, may_money: bool, may_service: bool, until: date | None) -> bool:
    """Other rights or another end. False: it stood so already."""
    rows = AccountPerson.objects.filter(account_id=account_id, person_id=person_id, right=Right.AUTHORIZED, ended_at=None)
    same = rows.filter(may_money=may_money, may_service=may_service, until=until).exists()
    rows.update(may_money=may_money, may_service=may_service, until=until)
    return not same


def end_person(*, act: Act, account_id: int, person_id: int) -> None:
    """They may speak for the account no more, from now on; the find box does not lead to it by their name."""
    AccountPerson.objects.filter(account_id=account_id, person_id=person_id, right=Right.AUTHORIZED, ended_at=None).update(ended_at=act.at)
    index_many(accounts=[account_id])


def set_preferences(*, act: Act, account_id: int, language: str, needs: str) -> bool:
    """The language that a customer likes best and what they need to be served. False: it stood so already."""
    row = Customer.objects.select_for_update(no_key=True).get(accounts=account_id)
    if (row.language, row.needs) == (language, needs):
        return False
    row.language, row.needs = language, needs
    row.save(update_fields=["language", "needs"])
    return True


def separate_lines(*, act: Act, account_id: int, line_ids: Sequence[int], name: str, language: str, today: date) -> tuple[Account, Person]:
    """A survivor's lines on an account of their own: with nothing of the old one but the day of its bills, the state for taxes and the
    zone for contact hours, without a contract's end, a label that somebody else gave, autopay or a debt. Whoever works here and is tied to
    the old one is kept from the new."""
    old = Account.objects.get(pk=account_id)
    customer = Customer.objects.create(name=name, since=today, language=language)
    person = Person.objects.create(customer=customer, name=name)
    account = Account.objects.create(
        reference=next_numbers("account", "A")[0], customer=customer, currency=old.currency, opened_on=today, bill_day=old.bill_day,
        state=old.state, zone=old.zone, staff_marked=old.staff_marked, change_lock=True, port_lock=True, protected_at=act.at,
    )  # fmt: skip
    AccountPerson.objects.create(account=account, person=person, right=Right.HOLDER)
    StaffTie.objects.bulk_create([StaffTie(account=account, staff_id=t.staff_id, tie=Tie.RELATIVE) for t in StaffTie.objects.filter(account=old)])
    Line.objects.filter(pk__in=line_ids, account=old).update(account=account, label="", contract_ends_on=None)
    index_many(accounts=[account.pk], lines=list(line_ids))
    return account, person


def place_legal_hold(*, act: Act, account_id: int, matter: str) -> LegalHold:
    return LegalHold.objects.create(
        reference=next_numbers("legal_hold", "LH")[0], account_id=account_id, matter=matter, placed_by=act.who.key, placed_at=act.at
    )


def lift_legal_hold(*, act: Act, hold_id: int) -> None:
    LegalHold.objects.filter(pk=hold_id, lifted_at=None).update(lifted_by=act.who.key, lifted_at=act.at)


def redact_former(*, act: Act, account_id: int, moments: Sequence[datetime]) -> None:
    """What the account was reached at before changes at these moments."""
    FormerContact.objects.filter(account_id=account_id, until__in=moments).update(value="")
