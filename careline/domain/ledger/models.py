"""The ledger: append-only. A correction is a new entry that names what it reverses; balances are questions."""

from __future__ import annotations

from django.db import models

from careline.domain.ledger import rules


class Bill(models.Model):
    """One bill as it was sent. `corrects`: the bill that this one replaces."""

    append_only = True
    unique_keys = (("source_key",), ("number",), ("corrects_id",))

    source_key = models.CharField(max_length=80, null=True, unique=True)
    number = models.CharField(max_length=40, unique=True)
    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="bills")
    period_start = models.DateField()
    period_end = models.DateField()
    issued_on = models.DateField()
    due_on = models.DateField()
    total_minor = models.BigIntegerField()
    corrects = models.OneToOneField("self", models.PROTECT, null=True, related_name="corrected_by")

    class Meta:
        indexes = [models.Index(fields=["account", "due_on"], name="bill_by_due")]

    def __str__(self) -> str:
        return self.number


class BillLine(models.Model):
    """One charge of a bill with the arithmetic behind it.

    `unit_price_minor` is in minor units; `tax_rate_ppm` in parts per million; `taxed_line` is what a tax line taxes.
    """

    append_only = True

    bill = models.ForeignKey("ledger.Bill", models.PROTECT, related_name="lines")
    source_key = models.CharField(max_length=80, null=True)
    kind = models.CharField(max_length=12, choices=[(k.value, k.value) for k in rules.LineKind])
    label = models.CharField(max_length=160)
    line = models.ForeignKey("customers.Line", models.PROTECT, null=True, related_name="+")
    period_start = models.DateField(null=True)
    period_end = models.DateField(null=True)
    quantity = models.DecimalField(max_digits=16, decimal_places=4, default=1)
    unit_price_minor = models.BigIntegerField(default=0)
    proration_num = models.PositiveIntegerField(default=1)
    proration_den = models.PositiveIntegerField(default=1)
    tax_rate_ppm = models.PositiveIntegerField(default=0)
    taxed_line = models.ForeignKey("self", models.PROTECT, null=True, related_name="tax_lines")
    amount_minor = models.BigIntegerField()

    def __str__(self) -> str:
        return self.label


class PaymentMethod(models.Model):
    """A saved way to pay: the provider's token, the brand, the last four, the expiry. Never a number."""

    source_key = models.CharField(max_length=80, null=True, unique=True)
    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="payment_methods")
    kind = models.CharField(max_length=6, default="card")
    token = models.CharField(max_length=120)
    brand = models.CharField(max_length=30)
    last_four = models.CharField(max_length=4)
    expires_on = models.DateField(null=True)
    is_active = models.BooleanField(default=True)

    def __str__(self) -> str:
        return f"{self.brand} …{self.last_four}"


class Payment(models.Model):
    """Money that came in. `returns`: the payment that this one takes back (a returned debit, a chargeback)."""

    append_only = True
    unique_keys = (("source_key",), ("number",), ("returns_id",))

    source_key = models.CharField(max_length=80, null=True, unique=True)
    number = models.CharField(max_length=40, unique=True)
    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="payments")
    amount_minor = models.BigIntegerField()
    method = models.CharField(max_length=60)
    received_at = models.DateTimeField()
    provider_reference = models.CharField(max_length=120, blank=True)
    returns = models.OneToOneField("self", models.PROTECT, null=True, related_name="returned_by")

    def __str__(self) -> str:
        return self.number


class Charge(models.Model):
    """A try to take a payment through the provider: pending, taken, declined or unknown. Its id is the provider's key."""

    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="charges")
    key = models.CharField(max_length=80, unique=True)
    method = models.ForeignKey("ledger.PaymentMethod", models.PROTECT, null=True)
    amount_minor = models.BigIntegerField()
    state = models.CharField(max_length=10, default="pending")
    reason = models.CharField(max_length=160, blank=True)
    at = models.DateTimeField()
    payment = models.OneToOneField("ledger.Payment", models.PROTECT, null=True)

    class Meta:
        indexes = [models.Index(fields=["account", "at"], name="charge_by_account")]

    def __str__(self) -> str:
        return f"{self.key} {self.state}"


class PaymentLink(models.Model):
    """A link by which somebody pays a named amount on the provider's own page. The token is stored as its hash."""

    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="payment_links")
    reference = models.CharField(max_length=40, unique=True)
    token_hash = models.CharField(max_length=64, unique=True)
    amount_minor = models.BigIntegerField()
    to_last_four = models.CharField(max_length=4)
    to = models.CharField(max_length=16)
    guest = models.BooleanField(default=False)
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    state = models.CharField(max_length=10, default="open")
    payment = models.OneToOneField("ledger.Payment", models.PROTECT, null=True)

    def __str__(self) -> str:
        return f"{self.reference} {self.state}"


class Entry(models.Model):
    """One entry of an account's ledger: a debit is positive, a credit negative. `reverses` names what it undoes."""

    append_only = True
    unique_keys = (("reverses_id",),)

    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="entries")
    kind = models.CharField(max_length=16, choices=[(k.value, k.value) for k in rules.EntryKind])
    day = models.DateField()
    at = models.DateTimeField()
    amount_minor = models.BigIntegerField()
    bill = models.ForeignKey("ledger.Bill", models.PROTECT, null=True, related_name="entries")
    payment = models.ForeignKey("ledger.Payment", models.PROTECT, null=True, related_name="entries")
    reference = models.CharField(max_length=40)
    label = models.CharField(max_length=120)
    reverses = models.OneToOneField("self", models.PROTECT, null=True, related_name="reversed_by")

    class Meta:
        indexes = [models.Index(fields=["account", "at"], name="entry_by_account")]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount_minor}"


class Allocation(models.Model):
    """So much of a credit entry pays so much of a bill; a negative one takes it back."""

    append_only = True

    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="allocations")
    entry = models.ForeignKey("ledger.Entry", models.PROTECT, related_name="allocations")
    bill = models.ForeignKey("ledger.Bill", models.PROTECT, related_name="allocations")
    amount_minor = models.BigIntegerField()
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.amount_minor} of {self.entry_id} to {self.bill_id}"
