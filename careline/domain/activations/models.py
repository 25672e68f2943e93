"""Orders on lines, as rows: asked, done, refused, or unknown until the network says."""

from __future__ import annotations

from django.db import models

from careline.domain.activations import rules


class Order(models.Model):
    """One order. `key` is what the network knows it by: the same key is one order there, whoever sends it again.

    `plan`, `iccid` or `eid` (an eSIM's device; its `iccid` is what the network answers), `device`: what the line shall have. `to`: the
    carrier that the number goes to; `waits_until`: so long its holder may say no. `bar`: how far a suspension goes. `sent_at`: when a job began
    to send it. `price_minor` is what it costs before tax; `charge`: the number of the charge that the next bill carries for it.
    """

    number = models.CharField(max_length=40, unique=True)
    key = models.CharField(max_length=80, unique=True)
    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="orders")
    line = models.ForeignKey("customers.Line", models.PROTECT, related_name="orders")
    contact = models.ForeignKey("contacts.Contact", models.PROTECT, null=True, related_name="orders")
    kind = models.CharField(max_length=10, choices=[(k.value, k.value) for k in rules.Kind])
    reason = models.CharField(max_length=20, blank=True)
    bar = models.CharField(max_length=8, blank=True)
    feature = models.CharField(max_length=30, blank=True)
    on = models.BooleanField(null=True)
    mb = models.PositiveBigIntegerField(null=True)
    plan = models.ForeignKey("customers.Plan", models.PROTECT, null=True, related_name="+")
    iccid = models.CharField(max_length=20, blank=True, default="")
    eid = models.CharField(max_length=32, blank=True, default="")
    device = models.ForeignKey("customers.Device", models.PROTECT, null=True, related_name="+")
    to = models.CharField(max_length=80, blank=True, default="")
    waits_until = models.DateTimeField(null=True)
    price_minor = models.PositiveBigIntegerField(default=0)
    unit_price_minor = models.PositiveBigIntegerField(default=0)
    state = models.CharField(max_length=8, default=rules.State.ASKED, choices=[(s.value, s.value) for s in rules.State])
    network_says = models.CharField(max_length=160, blank=True)
    network_reference = models.CharField(max_length=60, blank=True)
    charge = models.CharField(max_length=40, blank=True)
    asked_by = models.CharField(max_length=60)
    asked_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["line", "asked_at"], name="order_by_line"),
            models.Index(fields=["asked_at"], name="order_in_flight", condition=models.Q(state__in=["asked", "unknown"])),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["line"], condition=models.Q(state__in=["asked", "unknown"]), name="one_order_in_flight_a_line"
            ),
            models.UniqueConstraint(
                fields=["iccid"], condition=models.Q(state__in=["asked", "unknown"]) & ~models.Q(iccid=""), name="one_order_in_flight_a_sim"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.state}"

    @property
    def waits(self) -> bool:
        """Its holder can still say no."""
        return self.waits_until is not None and self.sent_at is None and self.state == rules.State.ASKED


class TransferPin(models.Model):
    """What a line's holder gives another carrier to take the number there. Kept as a keyed hash: six digits that live some days and
    some tries, and the key is outside. `ended_at`: it was used, replaced, given wrong too often, or the account was locked."""

    line = models.ForeignKey("customers.Line", models.PROTECT, related_name="transfer_pins")
    hash = models.CharField(max_length=64)
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["line"], condition=models.Q(ended_at=None), name="one_transfer_pin_a_line")]

    def __str__(self) -> str:
        return f"transfer PIN of line {self.line_id}"
