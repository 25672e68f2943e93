"""Bundles of policy and when each came into force. Both are kept for ever."""

from __future__ import annotations

import json

from django.db import models

from careline.domain.rulebook import rules


class Bundle(models.Model):
    append_only = True
    unique_keys = (("digest",),)

    digest = models.CharField(max_length=64, unique=True)
    files = models.TextField()
    stored_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.digest[:12]


class Activation(models.Model):
    """From `from_at` on, this bundle is the carrier's policy. `seconded_by` is the second person's yes."""

    append_only = True

    bundle = models.ForeignKey("rulebook.Bundle", models.PROTECT)
    from_at = models.DateTimeField()
    at = models.DateTimeField()
    activated_by = models.CharField(max_length=60)
    seconded_by = models.CharField(max_length=60)
    proposal = models.ForeignKey("rulebook.Proposal", models.PROTECT, null=True, related_name="activations")

    class Meta:
        indexes = [models.Index(fields=["from_at"], name="activation_from")]

    def __str__(self) -> str:
        return f"{self.bundle_id} from {self.from_at}"


class Proposal(models.Model):
    """A change that somebody works on, waits for a second person's yes, or had it. `changes` are the files that differ from
    those of `base`; `digest` names the whole bundle once it is proposed."""

    title = models.CharField(max_length=120)
    words = models.TextField(blank=True)
    base = models.CharField(max_length=64)
    changes = models.TextField(default="{}")
    digest = models.CharField(max_length=64, blank=True)
    from_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=10, default=rules.State.DRAFT, choices=[(s.value, s.value) for s in rules.State])
    by = models.CharField(max_length=60)
    by_name = models.CharField(max_length=120)
    at = models.DateTimeField()
    decided_by = models.CharField(max_length=60, blank=True)
    decided_name = models.CharField(max_length=120, blank=True)
    decided_at = models.DateTimeField(null=True)
    answer = models.TextField(blank=True)

    class Meta:
        indexes = [models.Index(fields=["at"], name="proposal_at")]

    def __str__(self) -> str:
        return f"{self.title} {self.state}"

    @property
    def change_data(self) -> dict[str, str | None]:
        return json.loads(self.changes)
