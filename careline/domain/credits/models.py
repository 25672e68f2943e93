"""Credits as they were granted and taken back. Append-only; the money itself stands in the ledger."""

from __future__ import annotations

from django.db import models


class Grant(models.Model):
    """A credit, or the reversal of one (`reverses`). `total_minor` includes the taxes taken back. `first_on`, `last_on`: the
    days of the charge that were wrong, where it was credited by days."""

    append_only = True
    unique_keys = (("number",), ("entry_id",), ("reverses_id",))

    number = models.CharField(max_length=40, unique=True)
    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="grants")
    contact = models.ForeignKey("contacts.Contact", models.PROTECT, null=True, related_name="grants")
    reason = models.CharField(max_length=30)
    amount_minor = models.BigIntegerField()
    total_minor = models.BigIntegerField()
    bill_line = models.ForeignKey("ledger.BillLine", models.PROTECT, null=True, related_name="grants")
    first_on = models.DateField(null=True)
    last_on = models.DateField(null=True)
    asked_by = models.ForeignKey("staff.Staff", models.PROTECT, related_name="grants_asked")
    granted_by = models.ForeignKey("staff.Staff", models.PROTECT, related_name="grants_given")
    at = models.DateTimeField()
    entry = models.OneToOneField("ledger.Entry", models.PROTECT, related_name="grant")
    reverses = models.OneToOneField("self", models.PROTECT, null=True, related_name="reversed_by")

    class Meta:
        indexes = [models.Index(fields=["account", "at"], name="grant_by_account")]

    def __str__(self) -> str:
        return self.number


class GrantPart(models.Model):
    append_only = True

    grant = models.ForeignKey("credits.Grant", models.PROTECT, related_name="parts")
    kind = models.CharField(max_length=6)
    label = models.CharField(max_length=160)
    amount_minor = models.BigIntegerField()
    bill_line = models.ForeignKey("ledger.BillLine", models.PROTECT, null=True, related_name="grant_parts")

    def __str__(self) -> str:
        return f"{self.kind} {self.amount_minor}"
