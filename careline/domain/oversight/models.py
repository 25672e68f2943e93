"""Accounts that were opened with nobody on the line, by whom, for how long, and whether somebody else took note."""

from __future__ import annotations

from django.db import models

from careline.domain.oversight import rules


class Opening(models.Model):
    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="openings")
    staff = models.ForeignKey("staff.Staff", models.PROTECT, related_name="openings")
    kind = models.CharField(max_length=8, choices=[(k.value, k.value) for k in rules.Kind])
    reason = models.CharField(max_length=30)
    at = models.DateTimeField()
    until = models.DateTimeField()
    noted_by = models.ForeignKey("staff.Staff", models.PROTECT, null=True, related_name="+")
    noted_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["at"], name="opening_at")]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"
