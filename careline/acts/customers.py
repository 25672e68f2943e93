"""Accounts of people who work here. (What customers have changed of their accounts: care.py.)"""

from __future__ import annotations

from typing import Literal

from careline.acts.declare import ActType, Done, Id, Input, Locks, Scene
from careline.domain.customers import operations
from careline.domain.journal import rules as journal
from careline.domain.staff import queries as staff
from careline.foundation.act import Act
from careline.foundation.refusal import refuse


class TieStaff(Input):
    account: Id
    staff: Id
    tie: Literal["own", "relative"]


def tie_staff(act: Act, given: TieStaff, scene: Scene) -> Done:
    person = staff.person(given.staff)
    if person is None:
        raise refuse("NOT_FOUND", "There is nobody with this number here.")
    operations.tie_staff(act=act, account_id=given.account, staff_id=given.staff, tie=given.tie)
    return Done(f"Marked as the {given.tie} account of staff {person.username}", chain=journal.account_chain(given.account))


ACTS = [
    ActType(
        "customers.tie_staff",
        "Mark a staff account",
        TieStaff,
        tie_staff,
        locks=lambda given: Locks(accounts=(given.account,)),
    ),
]
