"""Requests to somebody of a higher role: what was asked, on which facts, and what was answered."""

from __future__ import annotations

import json
from typing import Any

from django.db import models

from careline.domain.approvals import rules


class Request(models.Model):
    kind = models.CharField(max_length=8, choices=[(k.value, k.value) for k in rules.Kind])
    code = models.CharField(max_length=60)
    input = models.TextField(default="{}")
    account = models.ForeignKey("customers.Account", models.PROTECT, null=True, related_name="requests")
    contact = models.ForeignKey("contacts.Contact", models.PROTECT, related_name="requests")
    asker = models.ForeignKey("staff.Staff", models.PROTECT, related_name="requests")
    asked_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    title = models.CharField(max_length=120)
    words = models.TextField(blank=True)
    rule = models.CharField(max_length=60)
    rule_say = models.TextField()
    rule_cite = models.TextField()
    roles = models.CharField(max_length=120)
    facts = models.TextField(default="{}")
    level = models.PositiveSmallIntegerField()
    amount_minor = models.BigIntegerField(null=True)
    state = models.CharField(
        max_length=10, default=rules.State.WAITING, choices=[(s.value, s.value) for s in rules.State]
    )
    decided_by = models.ForeignKey("staff.Staff", models.PROTECT, null=True, related_name="decisions")
    decided_at = models.DateTimeField(null=True)
    granted_minor = models.BigIntegerField(null=True)
    answer = models.TextField(blank=True)
    seen_at = models.DateTimeField(null=True)
    put_away_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["state"], name="request_waiting", condition=models.Q(state="waiting")),
            models.Index(fields=["asker", "asked_at"], name="request_by_asker"),
            models.Index(fields=["contact"], name="request_by_contact"),
        ]

    def __str__(self) -> str:
        return f"request {self.pk} {self.state}"

    @property
    def role_list(self) -> list[str]:
        return [r for r in self.roles.split(",") if r]

    @property
    def input_data(self) -> dict[str, Any]:
        return json.loads(self.input)

    @property
    def fact_data(self) -> dict[str, Any]:
        return json.loads(self.facts)
