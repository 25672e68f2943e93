"""Holds, climbs of the ladder with what was done in them, late fees, and debts that are with an agency."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, datetime

from django.db import models

from careline.domain.collections import rules


class Hold(models.Model):
    """Why an account, a bill of it or an amount is not collected for a while. In force from `starts_on` to `ends_on`
    (None: until it is lifted), both days in it."""

    reference = models.CharField(max_length=40, unique=True)
    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="holds")
    kind = models.CharField(max_length=20)
    bill = models.ForeignKey("ledger.Bill", models.PROTECT, null=True, related_name="+")
    amount_minor = models.BigIntegerField(null=True)
    starts_on = models.DateField()
    ends_on = models.DateField(null=True)
    review_on = models.DateField(null=True)
    placed_by = models.CharField(max_length=60)
    placed_at = models.DateTimeField()
    lifted_by = models.CharField(max_length=60, blank=True)
    lifted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(name="hold_of_something", condition=models.Q(amount_minor=None) | models.Q(amount_minor__gt=0))]
        indexes = [
            models.Index(fields=["account"], name="hold_standing", condition=models.Q(lifted_at=None)),
            models.Index(fields=["lifted_at"], name="hold_by_lifting", condition=models.Q(lifted_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.reference} {self.kind}"


class Climb(models.Model):
    """An account on the ladder, for one debt: `since` its due day. One is open an account at most.

    `rung`, `rung_days`: the highest that was applied; `turn` grows each time the climb falls, so that what is done again after
    that is another step. `bar`: how far the lines shall be barred, `unbarred_fee`: what a line costs that comes back;
    `settled`: the lines stand so. `notice`: the newest notice's message. `noticed`: one was ever sent. `owed_minor`: what was past due and
    not held when it was looked at last, so that whom to call first is found without adding up everybody's bills.
    """

    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="climbs")
    since = models.DateField()
    began_at = models.DateTimeField()
    rung = models.CharField(max_length=20, blank=True)
    rung_days = models.SmallIntegerField(null=True)
    turn = models.PositiveSmallIntegerField(default=0)
    bar = models.CharField(max_length=8, blank=True)
    unbar_fee_minor = models.PositiveBigIntegerField(default=0)
    settled = models.BooleanField(default=True)
    notice = models.BigIntegerField(null=True)
    noticed = models.BooleanField(default=False)
    owed_minor = models.BigIntegerField(default=0)
    judged_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_for = models.CharField(max_length=12, blank=True, choices=[(e.value, e.value) for e in rules.Ended])

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account"], condition=models.Q(ended_at=None), name="one_climb_an_account")]
        indexes = [
            models.Index(fields=["account", "ended_at"], name="climb_by_account"),
            models.Index(fields=["account"], name="climb_unsettled", condition=models.Q(settled=False)),
            models.Index(fields=["since", "owed_minor", "account"], name="climb_to_call", condition=models.Q(ended_at=None, noticed=True)),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} since {self.since}: {self.rung or 'no rung'}"


@dataclass(slots=True)
class Climbing:
    """The columns of a `Climb`, for a run that moves thousands: to make an instance takes longer than to write the row."""

    account_id: int
    since: date
    began_at: datetime
    judged_at: datetime
    rung: str = ""
    rung_days: int | None = None
    turn: int = 0
    bar: str = ""
    unbar_fee_minor: int = 0
    settled: bool = True
    notice: int | None = None
    noticed: bool = False
    owed_minor: int = 0
    ended_at: datetime | None = None
    ended_for: str = ""
    id: int | None = None


CLIMBING = tuple(f.name for f in fields(Climbing))


class CallAgain(models.Model):
    """That a customer is to be called again on a day, and not before: from `start` on, on the wall where they live (None: at any hour that
    is right). `asked`: they asked for it. One waits an account at most; `done_at`: called, or put to another day."""

    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="calls_again")
    on = models.DateField()
    start = models.TimeField(null=True)
    asked = models.BooleanField(default=False)
    placed_by = models.CharField(max_length=60)
    placed_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account"], condition=models.Q(done_at=None), name="one_call_again_an_account")]

    def __str__(self) -> str:
        return f"{self.account_id} on {self.on}"


class Step(models.Model):
    """One effect that was applied, or a climb that came down: once each."""

    append_only = True
    unique_keys = (("climb_id", "turn", "rung", "effect"),)

    climb = models.ForeignKey("collections.Climb", models.PROTECT, related_name="steps")
    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="+")
    turn = models.PositiveSmallIntegerField()
    rung = models.CharField(max_length=20)
    effect = models.CharField(max_length=12)
    at = models.DateTimeField()
    owed_minor = models.BigIntegerField()
    message = models.BigIntegerField(null=True)
    what = models.CharField(max_length=120, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["climb", "turn", "rung", "effect"], name="step_once")]
        indexes = [models.Index(fields=["account", "at"], name="step_by_account")]

    def __str__(self) -> str:
        return f"{self.rung} {self.effect}"


class LateFee(models.Model):
    """The late fee of one bill: levied once. `charge`: the number of the charge that the next bill prints."""

    append_only = True
    unique_keys = (("bill_id",),)

    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="late_fees")
    bill = models.OneToOneField("ledger.Bill", models.PROTECT, related_name="late_fee")
    amount_minor = models.BigIntegerField()
    charge = models.CharField(max_length=40)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.charge} for bill {self.bill_id}"


class Placement(models.Model):
    """A debt given to an agency, or called back from it. `file`: the number of the file that said so (empty: the next one does)."""

    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="placements")
    climb = models.OneToOneField("collections.Climb", models.PROTECT, related_name="placement")
    amount_minor = models.BigIntegerField()
    placed_at = models.DateTimeField()
    file = models.CharField(max_length=40, blank=True)
    recalled_at = models.DateTimeField(null=True)
    recall_file = models.CharField(max_length=40, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["account"], name="placement_unfiled", condition=models.Q(file="") | models.Q(recalled_at__isnull=False, recall_file="")),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {self.amount_minor}"
