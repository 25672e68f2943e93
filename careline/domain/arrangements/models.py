"""Promises to pay as they were agreed. What was agreed is append-only, each time anew; only where an arrangement stands moves."""

from __future__ import annotations

from django.db import models

from careline.domain.arrangements import rules


class Arrangement(models.Model):
    """One arrangement. `check_on`: the next day on which it could be found broken, while it is alive. `missed_on`: the day of
    the part that was not here, once it is broken. `charge_stopped_at`: since when its parts are charged no more, though that was agreed."""

    number = models.CharField(max_length=40, unique=True)
    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="arrangements")
    state = models.CharField(max_length=10, default=rules.State.ALIVE, choices=[(s.value, s.value) for s in rules.State])
    agreed_on = models.DateField()
    check_on = models.DateField(null=True)
    ended_on = models.DateField(null=True)
    ended_at = models.DateTimeField(null=True)
    missed_on = models.DateField(null=True)
    charge_stopped_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account"], condition=models.Q(state="alive"), name="one_living_arrangement"),
            models.CheckConstraint(
                name="arrangement_lives_or_ended",
                condition=models.Q(state="alive", ended_on__isnull=True, ended_at__isnull=True, check_on__isnull=False)
                | (~models.Q(state="alive") & models.Q(ended_on__isnull=False, ended_at__isnull=False, check_on__isnull=True)),
            ),
        ]
        indexes = [
            models.Index(fields=["check_on", "account"], name="arrangement_to_check", condition=models.Q(state="alive")),
            models.Index(fields=["account", "agreed_on"], name="arrangement_by_account"),
            models.Index(fields=["state", "ended_on"], name="arrangement_by_end"),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.state}"


class Terms(models.Model):
    """What was agreed, by whom, when, in which contact: the proof. `version` 2 and more: agreed anew while it ran.

    `amount_minor` is what was past due, and the sum of the parts. `read_out` was read to the caller, `told` sent to the
    number that ends in `told_to` (or by e-mail, where it says so). `grace_days` is of the day it was agreed: a policy changes nothing that was promised.
    `method`: what later parts are charged to on their days. `autopay_off`: that it ends autopay when it breaks was read out.
    """

    append_only = True
    unique_keys = (("arrangement_id", "version"),)

    arrangement = models.ForeignKey("arrangements.Arrangement", models.PROTECT, related_name="terms")
    version = models.PositiveSmallIntegerField()
    amount_minor = models.BigIntegerField()
    grace_days = models.PositiveSmallIntegerField()
    agreed_on = models.DateField()
    at = models.DateTimeField()
    person = models.ForeignKey("customers.Person", models.PROTECT, null=True, related_name="+")
    contact = models.ForeignKey("contacts.Contact", models.PROTECT, null=True, related_name="+")
    agreed_by = models.ForeignKey("staff.Staff", models.PROTECT, related_name="+")
    approved_by = models.ForeignKey("staff.Staff", models.PROTECT, null=True, related_name="+")
    read_out = models.TextField()
    told = models.TextField(blank=True)
    told_to = models.CharField(max_length=4, blank=True)
    method = models.ForeignKey("ledger.PaymentMethod", models.PROTECT, null=True, related_name="+")
    autopay_off = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["arrangement", "version"], name="terms_once")]

    def __str__(self) -> str:
        return f"{self.arrangement_id} version {self.version}"


class Instalment(models.Model):
    """One part: so much by the end of a day."""

    append_only = True
    unique_keys = (("terms_id", "number"),)

    terms = models.ForeignKey("arrangements.Terms", models.PROTECT, related_name="instalments")
    number = models.PositiveSmallIntegerField()
    due_on = models.DateField()
    amount_minor = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["terms", "number"], name="instalment_once"),
            models.CheckConstraint(name="instalment_of_something", condition=models.Q(amount_minor__gt=0)),
        ]

    def __str__(self) -> str:
        return f"{self.amount_minor} by {self.due_on}"


class Covered(models.Model):
    """A bill that was past due when it was agreed, with what of it was open: what the arrangement is about."""

    append_only = True
    unique_keys = (("terms_id", "bill_id"),)

    terms = models.ForeignKey("arrangements.Terms", models.PROTECT, related_name="covered")
    bill = models.ForeignKey("ledger.Bill", models.PROTECT, related_name="+")
    open_minor = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["terms", "bill"], name="covered_once")]

    def __str__(self) -> str:
        return f"{self.open_minor} of {self.bill_id}"
