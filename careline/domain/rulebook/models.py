"""Bundles of policy and when each came into force. Both are kept for ever."""

from __future__ import annotations

from django.db import models


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

    class Meta:
        indexes = [models.Index(fields=["from_at"], name="activation_from")]

    def __str__(self) -> str:
        return f"{self.bundle_id} from {self.from_at}"
