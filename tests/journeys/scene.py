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
    _two_towns(people, today)
    assert maria.pk


def _two_towns(people: Any, today: date) -> None:
    """Inés Valdez of Clayton and Dale Hutchins of a town that the tax table does not know, each with three bills by the bill run: both
    called more than their plan has, and of the first month 38 minutes became known after its bill."""
    from datetime import UTC, datetime, time

    from django.db import transaction

    from careline.domain.customers import operations as customers
    from careline.domain.customers.models import Account, Line, Plan
    from careline.doors.jobs import billing
    from careline.foundation.calendar import add_months, bill_period

    talk = Plan.objects.create(code="TALK", name="Talk 500", price_minor=2500, data_mb=None, voice_minutes=500, voice_minute_price_minor=25)
    day = next(d for d in ((today - timedelta(days=n)).day for n in (5, 6)) if d != 4)  # of a cycle in which nobody else is
    newest = bill_period(day, today)[0]
    first, second = add_months(newest, -2), add_months(newest, -1)
    for name, number, reference, town in (("Inés Valdez", "+13145550122", "A-0105051", "63105"), ("Dale Hutchins", "+16365550123", "A-0105061", "65201")):
        account = people.open_account(name, number, reference, bills=0, today=today)
        Account.objects.filter(pk=account.pk).update(state="MO", postal_code=town, bill_day=day, zone="America/Chicago")
        Line.objects.filter(account=account).update(plan=talk, source_key=f"N-{town}")

    def calls(*rows: tuple[date, int]) -> None:
        with transaction.atomic():
            used = [{"line": f"N-{town}", "kind": "voice", "day": on, "quantity": minutes} for town in ("63105", "65201") for on, minutes in rows]
            assert set(customers.upsert_many(act=people.carrier_act(), entity="usage", rows=used)) == {"written"}

    calls((first + timedelta(days=3), 503), (second + timedelta(days=3), 512))
    for start in (first, second, newest):
        billing.run_cycle(start, datetime.combine(start, time(12), tzinfo=UTC))
        if start == second:
            calls((first + timedelta(days=20), 38))


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
