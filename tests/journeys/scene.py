"""The house of the journeys: who works there and who calls."""

from __future__ import annotations


def make() -> None:
    import django

    django.setup()
    from datetime import timedelta

    from django.utils import timezone

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
    people.open_account("John O'Neill", "+12065550133", "A-0104999", today=today)
    anas = people.open_account("Ana Silva", "+12065550144", "A-0105001", today=today)
    from careline.domain.customers import operations as customers
    from careline.domain.staff.models import Staff

    act = people.carrier_act(timezone.now() - timedelta(days=1))
    customers.tie_staff(act=act, account_id=anas.pk, staff_id=Staff.objects.get(username="ana").pk, tie="own")
    assert maria.pk
