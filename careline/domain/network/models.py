"""Areas of the network, and the outages, maintenance windows and congestions in them."""

from __future__ import annotations

from django.db import models

from careline.domain.network import rules


class Area(models.Model):
    code = models.CharField(max_length=40, unique=True)
    name = models.CharField(max_length=80)

    def __str__(self) -> str:
        return self.name


class AreaPart(models.Model):
    """One start of a postal code, one cell, or everything (`value` is empty then)."""

    area = models.ForeignKey("network.Area", models.CASCADE, related_name="parts")
    kind = models.CharField(max_length=10, choices=[(k.value, k.value) for k in rules.PartKind])
    value = models.CharField(max_length=40, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "value", "area"], name="area_part_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.value}"


class Trouble(models.Model):
    """An outage, a maintenance window or a congestion in an area. `words` are for the customer; `changed_by` entered
    what stands now. The journal of the house keeps every change."""

    number = models.CharField(max_length=40, unique=True)
    area = models.ForeignKey("network.Area", models.PROTECT, related_name="troubles")
    kind = models.CharField(max_length=12, choices=[(k.value, k.value) for k in rules.Kind])
    voice = models.BooleanField()
    data = models.BooleanField()
    text = models.BooleanField()
    began = models.DateTimeField()
    expected_end = models.DateTimeField(null=True)
    ended = models.DateTimeField(null=True)
    words = models.CharField(max_length=400)
    entered_by = models.ForeignKey("staff.Staff", models.PROTECT, related_name="+")
    entered_at = models.DateTimeField()
    changed_by = models.ForeignKey("staff.Staff", models.PROTECT, related_name="+")

    class Meta:
        indexes = [models.Index(fields=["area"], name="trouble_open", condition=models.Q(ended=None))]

    def __str__(self) -> str:
        return self.number

    @property
    def services(self) -> frozenset[str]:
        return frozenset(s.value for s in rules.Service if getattr(self, s.value))
