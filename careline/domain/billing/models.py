"""What comes with every bill by agreement, equipment in instalments, and the drafts of a bill run."""

from __future__ import annotations

from django.db import models

from careline.domain.billing import rules


class Agreed(models.Model):
    """An extra (above zero) or a discount (below) on every bill: an amount, or a share of the plan charges in parts per
    million. It counts for a period when it is in force on the period's first day."""

    source_key = models.CharField(max_length=80, null=True, unique=True)
    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="agreed")
    line = models.ForeignKey("customers.Line", models.PROTECT, null=True, related_name="+")
    kind = models.CharField(max_length=12, choices=[(k, k) for k in ("fee", "discount", "other")])
    label = models.CharField(max_length=80)
    amount_minor = models.BigIntegerField(default=0)
    share_ppm = models.PositiveIntegerField(default=0)
    starts_on = models.DateField()
    ends_on = models.DateField(null=True)
    reference = models.CharField(max_length=40, unique=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="agreed_is_an_extra_or_a_discount",
                condition=models.Q(kind="discount", amount_minor__lt=0, share_ppm=0)
                | models.Q(kind="discount", amount_minor=0, share_ppm__gt=0, share_ppm__lte=1_000_000)
                | (~models.Q(kind="discount") & models.Q(amount_minor__gt=0, share_ppm=0)),
            )
        ]

    def __str__(self) -> str:
        return f"{self.reference} {self.label}"


class Instalments(models.Model):
    """Equipment paid in `count` parts, one a bill. `ended_on`: paid off or taken back; no part is asked after
    that day."""

    source_key = models.CharField(max_length=80, null=True, unique=True)
    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="instalments")
    line = models.ForeignKey("customers.Line", models.PROTECT, null=True, related_name="+")
    label = models.CharField(max_length=100)
    total_minor = models.PositiveBigIntegerField()
    count = models.PositiveSmallIntegerField()
    starts_on = models.DateField()
    ended_on = models.DateField(null=True)
    reference = models.CharField(max_length=40, unique=True)

    class Meta:
        constraints = [models.CheckConstraint(name="instalments_have_parts", condition=models.Q(count__gte=1))]

    def __str__(self) -> str:
        return f"{self.reference} {self.label}"


class Draft(models.Model):
    """What became of an account in a cycle. `lines`: the lines of the bill to be, as JSON, until it is issued. `measured`: how the
    use of the period that had ended was billed, and what was billed late of others; it stays."""

    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="bill_drafts")
    cycle_on = models.DateField()
    period_end = models.DateField()
    state = models.CharField(max_length=8, choices=[(s.value, s.value) for s in rules.State])
    total_minor = models.BigIntegerField(default=0)
    lines = models.TextField(default="")
    measured = models.TextField(default="")
    rulebook = models.CharField(max_length=64)
    drafted_at = models.DateTimeField()
    bill = models.OneToOneField("ledger.Bill", models.PROTECT, null=True, related_name="draft")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "cycle_on"], name="one_bill_a_cycle")]
        indexes = [models.Index(fields=["cycle_on", "state", "account"], name="draft_by_cycle")]

    def __str__(self) -> str:
        return f"{self.account_id} {self.cycle_on} {self.state}"
