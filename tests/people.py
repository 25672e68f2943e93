"""The people of the tests: who works at the desk, who calls, and what they have. Named, on named days."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from careline.acts.declare import BasisRef, Outcome
from careline.acts.perform import perform
from careline.domain.customers import operations as customer_operations
from careline.domain.customers.models import (
    Account,
    AccountPerson,
    Customer,
    Device,
    Line,
    Person,
    Pin,
    Plan,
)
from careline.domain.journal.models import Outbox
from careline.domain.ledger import operations as ledger
from careline.domain.ledger.models import Bill, BillLine, Payment, PaymentMethod
from careline.domain.rulebook import operations as rulebook_operations
from careline.domain.staff.models import Staff, Team
from careline.doors.jobs import billing
from careline.foundation import pins
from careline.foundation.act import NO_BASIS, Act, Who
from careline.foundation.rulebook import Rulebook

TUESDAY = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)  # ten in the morning in New York
CARRIER = Who("Job", "tests", "The carrier", "job")
_numbers = itertools.count(1)


def key() -> str:
    """A request key that nobody used before."""
    return f"test-key-{next(_numbers):08d}"


def carrier_act(at: datetime = TUESDAY) -> Act:
    return Act(CARRIER, at, "", key(), NO_BASIS)


@lru_cache(maxsize=1)
def default_rulebook() -> Rulebook:
    """The policy of the house, read once a process."""
    return Rulebook.from_folder(Path(settings.ROOT) / "rulebook" / "default")


def open_the_rulebook() -> None:
    rulebook_operations.activate(
        act=carrier_act(datetime(2020, 1, 1, tzinfo=UTC)),
        rulebook=default_rulebook(),
        from_at=datetime(2020, 1, 1, tzinfo=UTC),
        seconded_by="Job:tests",
    )


def hire(username: str, name: str, role: str, team: str = "North") -> Staff:
    staff = Staff(username=username, name=name, role=role, since=TUESDAY - timedelta(days=300))
    staff.team = Team.objects.get_or_create(name=team)[0]
    staff.set_password("a long sentence for tests")
    staff.save()
    return staff


def plus_plan() -> Plan:
    return Plan.objects.get_or_create(
        code="PLUS15", defaults={"name": "Plus 15 GB", "price_minor": 4500, "data_mb": 15 * 1024}
    )[0]


def unlimited_plan() -> Plan:
    return Plan.objects.get_or_create(code="UNL", defaults={"name": "Unlimited", "price_minor": 6500})[0]


def bill_cycle(start: date) -> Bill | None:
    """Careline's own bills of the cycle that begins then, made at noon in New York on that day. Returns the first."""
    billing.run_cycle(start, datetime(start.year, start.month, start.day, 17, tzinfo=UTC))
    return Bill.objects.filter(issued_on=start).first()


def open_account(
    name: str = "Maria Okafor",
    number: str = "+12065550188",
    reference: str = "A-0104822",
    pin: str | None = "4711",
    bills: int = 3,
    bill_minor: int = 4500,
    tax_ppm: int = 80_000,
    today: date = date(2026, 11, 24),
) -> Account:
    """A customer with one line, a PIN, `bills` monthly bills (a plan charge and its tax), all but the last paid."""
    customer = Customer.objects.create(name=name, since=date(2019, 5, 2), language="es")
    person = Person.objects.create(customer=customer, name=name)
    account = Account.objects.create(
        reference=reference, customer=customer, opened_on=date(2019, 5, 2), bill_day=4, state="WA", zone="America/Los_Angeles"
    )
    AccountPerson.objects.create(account=account, person=person, right="holder")
    device = Device.objects.create(imei=f"35{next(_numbers):013d}", make="Google", model="Pixel 8")
    line = Line.objects.create(
        account=account,
        msisdn=number,
        plan=plus_plan(),
        device=device,
        activated_on=date(2019, 5, 2),
        number_since=datetime(2019, 5, 2, tzinfo=UTC),
        iccid="8901260000000000001",
    )
    customer_operations.index_many(accounts=[account.pk], lines=[line.pk])
    if pin:
        Pin.objects.create(account=account, hash=pins.hashed(pin, settings.PEPPER), set_at=TUESDAY - timedelta(days=400))
    PaymentMethod.objects.create(
        account=account, token="tok-visa-good", brand="Visa", last_four="4242", expires_on=date(2029, 1, 31)
    )
    for back in range(bills, 0, -1):
        issue_bill(account, line, issued=today - timedelta(days=30 * back - 10), amount=bill_minor, tax_ppm=tax_ppm)
    for bill in Bill.objects.filter(account=account).order_by("issued_on")[: max(bills - 1, 0)]:
        pay(account, bill.total_minor, datetime.combine(bill.due_on, datetime.min.time(), tzinfo=UTC))
    return account


def issue_bill(account: Account, line: Line, issued: date, amount: int, tax_ppm: int = 0) -> Bill:
    from careline.foundation.money import share

    tax = share(amount, tax_ppm, 1_000_000)
    bill = Bill(
        number=f"B-{next(_numbers):07d}",
        account=account,
        period_start=issued,
        period_end=issued + timedelta(days=29),
        issued_on=issued,
        due_on=issued + timedelta(days=20),
        total_minor=amount + tax,
    )
    charge = BillLine(kind="plan", label="Plus 15 GB", line=line, unit_price_minor=amount, amount_minor=amount)
    lines = [(bill, charge)]
    if tax:
        lines.append(
            (bill, BillLine(kind="tax", label="State tax", tax_rate_ppm=tax_ppm, taxed_line=charge, amount_minor=tax))
        )
    ledger.post_bills_many([bill], lines, TUESDAY)
    return bill


def pay(account: Account, amount: int, at: datetime) -> Payment:
    payment = Payment(
        number=f"P-{next(_numbers):07d}", account=account, amount_minor=amount, method="Visa …4242", received_at=at
    )
    ledger.post_payments_many([payment], at)
    return payment


class Desk:
    """One person at the desk: acts as they would, on the contact they hold, at a time that the story sets."""

    def __init__(self, staff: Staff, at: datetime = TUESDAY) -> None:
        self.staff, self.at = staff, at
        self.contact: int | None = None
        self.request: int | None = None

    def act(self, code: str, /, *, key_: str | None = None, basis: BasisRef | None = None, **given: object) -> Outcome:
        if basis is None:
            basis = BasisRef("contact", self.contact) if self.contact else BasisRef()
        outcome = perform(code, given, who=self.staff.who, key=key_ or key(), basis=basis, at=self.at)
        return outcome

    def must(self, code: str, /, **given: object) -> Outcome:
        outcome = self.act(code, **given)
        assert outcome.ok, outcome
        return outcome

    def later(self, **delta: float) -> Desk:
        self.at += timedelta(**delta)
        return self

    def call_back(self, account: Account, line: Line | None = None, name: str = "") -> Outcome:
        """Put the line down, call the number of record, and ask who speaks: by default the holder picks up."""
        self.must("contacts.call_back", account=account.pk, line=(line or account.lines.order_by("pk")[0]).pk)
        self.later(seconds=20)
        return self.act("contacts.call_back_answered", account=account.pk, name=name or account.customer.name)

    def prove_phone(self, account: Account) -> Desk:
        """The caller reads back the code that was sent to their phone."""
        self.must("contacts.send_code", account=account.pk, line=account.lines.order_by("pk")[0].pk)
        code = Outbox.objects.filter(topic="one_time_code").latest("pk").body.split()[0]
        self.must("contacts.check_code", account=account.pk, code=code)
        return self

    def take_call(self, account: Account, verify: bool = True, pin: str = "4711") -> Desk:
        """A live call from the holder, verified by PIN unless the story says otherwise."""
        holder = AccountPerson.objects.get(account=account, right="holder").person_id
        opened = self.must("contacts.open", account=account.pk, person=holder, caller_number="+12065550188")
        self.contact = int(opened.show["id"])
        if verify:
            self.must("contacts.check_pin", account=account.pk, pin=pin)
        return self
