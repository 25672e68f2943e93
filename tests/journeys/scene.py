"""The house of the journeys: who works there and who calls."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any


def make() -> None:
    import django

    django.setup()
    from django.utils import timezone

    from careline.domain.customers.models import Account, Line
    from careline.doors.jobs import setup
    from tests import people

    setup.migrate()
    for username, name, role in (
        ("tom", "Tom Reyes", "trainee"), ("ana", "Ana Silva", "associate"), ("ben", "Ben Carter", "associate"),
        ("eva", "Eva Lindqvist", "expert"), ("lena", "Lena Park", "lead"), ("sam", "Sam Osei", "supervisor"), ("ada", "Ada Brandt", "administrator"),
    ):
        people.hire(username, name, role)
    today = timezone.now().date()
    maria = people.open_account(today=today)
    Account.objects.update(postal_code="98101-2044")
    people.open_account("John O'Neill", "+12065550133", "A-0104999", today=today)
    anas = people.open_account("Ana Silva", "+12065550144", "A-0105001", today=today)
    from careline.domain.customers import operations as customers
    from careline.domain.staff.models import Staff

    act = people.carrier_act(timezone.now() - timedelta(days=1))
    doyle = people.open_account("John Doyle", "+12065550155", "A-0105041", today=today)
    second = Line.objects.create(account=doyle, msisdn="+12065550190", label="Renee", plan=people.plus_plan(), activated_on=today - timedelta(days=400),
                                 number_since=timezone.now() - timedelta(days=400), can_text=False)  # fmt: skip
    customers.index_many(lines=[second.pk])
    customers.tie_staff(act=act, account_id=anas.pk, staff_id=Staff.objects.get(username="ana").pk, tie="own")
    _jump(people, today)
    late = people.open_account("Maria Ferreira", "+12065550171", "A-0105031", bills=0, today=today)
    people.issue_bill(late, late.lines.get(), today - timedelta(days=30), 14200)  # past due for ten days
    assert maria.pk


def _jump(people: Any, today: date) -> None:
    """Maria Solberg's newest bill: her offer ended, a pass that she did not order, and a late fee."""
    from careline.domain.ledger import operations as ledger
    from careline.domain.ledger.models import Bill, BillLine

    account = people.open_account("Maria Solberg", "+12065550109", "A-0105021", bills=0, today=today)
    line = account.lines.get()
    for back in (33, 2):
        issued = today - timedelta(days=back)
        charges = [BillLine(kind="plan", label="Plus 15 GB", line=line, unit_price_minor=4500, amount_minor=4500)]
        if back == 33:
            charges.append(BillLine(kind="discount", label=f"Welcome offer, until {today - timedelta(days=9):%Y-%m-%d}", unit_price_minor=-1000, amount_minor=-1000))
        else:
            charges.append(BillLine(kind="one_off", label="Roaming pass", line=line, unit_price_minor=1999, amount_minor=1999))
            charges.append(BillLine(kind="fee", label="Late payment fee", unit_price_minor=500, amount_minor=500))
        lines = [*charges, BillLine(kind="tax", label="State tax", tax_rate_ppm=80_000, taxed_line=charges[0], amount_minor=360)]
        bill = Bill(number=f"B-9{back:06d}", account=account, period_start=issued, period_end=issued + timedelta(days=29), issued_on=issued,
                    due_on=issued + timedelta(days=20), total_minor=sum(n.amount_minor for n in lines))  # fmt: skip
        ledger.post_bills_many([bill], [(bill, n) for n in lines], people.TUESDAY)
