"""The ledger: append-only. A correction is a new entry that names what it reverses; balances are questions."""

from __future__ import annotations

import json

from django.db import models

from careline.domain.ledger import rules


class Bill(models.Model):
    """One bill as it was sent. `corrects`: the bill that this one replaces. `settled_minor`: of credits that were given here and that the
    biller's lines carry (None: nothing); they count by their own entries, so that so much more than the total is owed for it."""

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
    settled_minor = models.BigIntegerField(null=True)
    corrects = models.OneToOneField("self", models.PROTECT, null=True, related_name="corrected_by")

    class Meta:
        indexes = [models.Index(fields=["account", "due_on"], name="bill_by_due")]

    def __str__(self) -> str:
        return self.number

    @property
    def owed_minor(self) -> int:
        return self.total_minor + (self.settled_minor or 0)


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
        indexes = [
            models.Index(fields=["account", "at"], name="charge_by_account"),
            models.Index(fields=["at"], name="charge_pending", condition=models.Q(state="pending")),
        ]

    def __str__(self) -> str:
        return f"{self.key} {self.state}"


class PaymentLink(models.Model):
    """A link by which somebody pays a named amount on the provider's own page. The token is stored as its hash. `to`: the number that it went
    to; empty: it went to the e-mail address of record.
    `asked_in`: the key of the basis that it was asked for on; `state`: open, paid, or closed before it was paid."""

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
    asked_in = models.CharField(max_length=40, default="")
    payment = models.OneToOneField("ledger.Payment", models.PROTECT, null=True)

    def __str__(self) -> str:
        return f"{self.reference} {self.state}"


class Refund(models.Model):
    """A try to give money back the way it came: pending, done or refused. Its key is the provider's."""

    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="refunds")
    number = models.CharField(max_length=40, unique=True)
    key = models.CharField(max_length=80, unique=True)
    payment = models.ForeignKey("ledger.Payment", models.PROTECT, related_name="refunds")
    amount_minor = models.BigIntegerField()
    state = models.CharField(max_length=10, default="pending")
    reason = models.CharField(max_length=160, blank=True)
    provider_reference = models.CharField(max_length=120, blank=True)
    at = models.DateTimeField()
    entry = models.OneToOneField("ledger.Entry", models.PROTECT, null=True, related_name="refund")

    def __str__(self) -> str:
        return f"{self.number} {self.state}"


class Entry(models.Model):
    """One entry of an account's ledger: a debit is positive, a credit negative.

    `reverses` names what it undoes whole; `recovers` the write-off of which a recovery takes back a part. `booked_on` is
    its day in the books, later than `day` where the period of that was closed (None, in rows of older versions: its day).
    """

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
    recovers = models.ForeignKey("self", models.PROTECT, null=True, related_name="recoveries")
    booked_on = models.DateField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["account", "at"], name="entry_by_account"),
            models.Index(fields=["booked_on", "kind"], name="entry_by_book"),
            models.Index(fields=["day"], name="entry_by_book_before", condition=models.Q(booked_on=None)),
            models.Index(fields=["account"], name="entry_written_off", condition=models.Q(kind="write_off")),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount_minor}"


class SettledCredit(models.Model):
    """A line of another system's bill that carries a credit given here, or the reversal of one: so much of `entry` comes back by it, and
    is not counted again. The sign is the line's. Zero: the line names the credit, of which nothing was left."""

    append_only = True
    unique_keys = (("bill_line_id",),)

    bill_line = models.OneToOneField("ledger.BillLine", models.PROTECT, related_name="settles")
    entry = models.ForeignKey("ledger.Entry", models.PROTECT, related_name="settled_by")
    amount_minor = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.amount_minor} of {self.entry_id} on {self.bill_line_id}"


class Recognised(models.Model):
    """A row of another system's payments that is a payment or a refund made here: found by its key from then on, and never counted.
    A refund is recognised once; a row that stands for several refunds names each."""

    append_only = True
    unique_keys = (("refund_id",),)

    source_key = models.CharField(max_length=80, db_index=True)
    payment = models.ForeignKey("ledger.Payment", models.PROTECT, null=True, related_name="recognised")
    refund = models.OneToOneField("ledger.Refund", models.PROTECT, null=True, related_name="recognised")

    def __str__(self) -> str:
        return self.source_key


class UnbilledCharge(models.Model):
    """A charge that waits for the next bill: agreed now, owed once a bill carries it, so it is in no balance yet.

    `amount_minor` is before tax; `tax` says who adds it (`at_billing`: the bill, at the rates of its day). A bill line
    whose `source_key` is this `number` carries it.
    """

    append_only = True
    unique_keys = (("number",),)

    number = models.CharField(max_length=40, unique=True)
    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="unbilled_charges")
    line = models.ForeignKey("customers.Line", models.PROTECT, null=True, related_name="+")
    kind = models.CharField(max_length=12, choices=[(k.value, k.value) for k in rules.LineKind])
    label = models.CharField(max_length=120)
    quantity = models.DecimalField(max_digits=16, decimal_places=4, default=1)
    unit_price_minor = models.BigIntegerField()
    amount_minor = models.BigIntegerField()
    tax = models.CharField(max_length=12, default=rules.TaxAdded.AT_BILLING, choices=[(t.value, t.value) for t in rules.TaxAdded])
    day = models.DateField()
    at = models.DateTimeField()
    reference = models.CharField(max_length=40)

    class Meta:
        indexes = [models.Index(fields=["account", "day"], name="unbilled_by_day")]

    def __str__(self) -> str:
        return self.number


class Allocation(models.Model):
    """So much of a credit entry pays so much of a bill, or went back to the customer by a refund's entry (`debit`); a
    negative one takes it back."""

    append_only = True

    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="allocations")
    entry = models.ForeignKey("ledger.Entry", models.PROTECT, related_name="allocations")
    bill = models.ForeignKey("ledger.Bill", models.PROTECT, null=True, related_name="allocations")
    debit = models.ForeignKey("ledger.Entry", models.PROTECT, null=True, related_name="paid_from")
    amount_minor = models.BigIntegerField()
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="allocated_to_one_thing",
                condition=models.Q(bill__isnull=False, debit__isnull=True) | models.Q(bill__isnull=True, debit__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"{self.amount_minor} of {self.entry_id} to {self.bill_id or self.debit_id}"


class ClosedPeriod(models.Model):
    """A period of the books that is closed: nothing is booked into it any more. Periods follow each other without a gap.

    `starts_on` None: from the first entry on. `chart`: the digest of the rulebook whose accounts it is booked to.
    """

    append_only = True
    unique_keys = (("number",), ("ends_on",))

    number = models.CharField(max_length=40, unique=True)
    starts_on = models.DateField(null=True)
    ends_on = models.DateField(unique=True)
    chart = models.CharField(max_length=64)
    closed_by = models.CharField(max_length=120)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.number} to {self.ends_on}"


class BooksFile(models.Model):
    """A file of a closed period as it goes to the general ledger: one for each journal, and the trial balance."""

    append_only = True
    unique_keys = (("number",), ("period_id", "journal"))

    period = models.ForeignKey("ledger.ClosedPeriod", models.PROTECT, related_name="files")
    number = models.CharField(max_length=40, unique=True)
    journal = models.CharField(max_length=16)
    rows = models.PositiveIntegerField()
    debit_minor = models.BigIntegerField()
    digest = models.CharField(max_length=64)
    text = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["period", "journal"], name="books_file_once")]

    def __str__(self) -> str:
        return self.number


class BroughtForward(models.Model):
    """What all entries of a kind, and the documents behind them, sum to through the end of a closed period, as it was counted when
    its files were written: a later trial balance begins here. `place` and `detail`: the document's side, as in the books' rules;
    empty: the entries themselves, of which there are `count`."""

    append_only = True
    unique_keys = (("period_id", "kind", "imported", "place", "detail"),)

    period = models.ForeignKey("ledger.ClosedPeriod", models.PROTECT, related_name="brought")
    kind = models.CharField(max_length=16)
    imported = models.BooleanField()
    place = models.CharField(max_length=16, blank=True)
    detail = models.CharField(max_length=160, blank=True)
    amount_minor = models.BigIntegerField()
    count = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["period", "kind", "imported", "place", "detail"], name="brought_forward_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.place} {self.amount_minor}"


class PaperBytes(models.Model):
    """A PDF as it was made, once for each content: `digest` is its SHA-256."""

    append_only = True
    unique_keys = (("digest",),)

    digest = models.CharField(max_length=64, unique=True)
    body = models.BinaryField()
    at = models.DateTimeField()

    def __str__(self) -> str:
        return self.digest[:12]


class Paper(models.Model):
    """A paper to a customer that somebody asked for: `key` says which (of two who ask for one bill, the second gets the
    first's). What it says is made of the ledger when it is printed, but for an estimate, whose `facts` are kept as they were told; of a part
    of a statement they say which. Once made it stays as it was made."""

    key = models.CharField(max_length=120, unique=True)
    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="papers")
    kind = models.CharField(max_length=12, choices=[(k.value, k.value) for k in rules.PaperKind])
    bill = models.ForeignKey("ledger.Bill", models.PROTECT, null=True, related_name="papers")
    against = models.ForeignKey("ledger.Bill", models.PROTECT, null=True, related_name="+")
    first = models.DateField(null=True)
    last = models.DateField(null=True)
    facts = models.TextField(default="")
    at = models.DateTimeField()
    state = models.CharField(max_length=6, default="wanted", choices=[(s, s) for s in ("wanted", "made", "failed")])
    tries = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField()
    made = models.ForeignKey("ledger.PaperBytes", models.PROTECT, null=True, related_name="papers")

    class Meta:
        indexes = [models.Index(fields=["not_before"], name="paper_wanted", condition=models.Q(state="wanted"))]

    def __str__(self) -> str:
        return f"{self.key} {self.state}"

    @property
    def name(self) -> str:
        """The file's name, as a customer keeps it."""
        if self.kind == rules.PaperKind.STATEMENT:
            part, of = self.part
            return f"statement-{self.first}-to-{self.last}{f'-part-{part}-of-{of}' if of > 1 else ''}.pdf"
        if self.kind == rules.PaperKind.ESTIMATE:
            return "what-the-next-bill-will-be.pdf"
        what = "bill" if self.kind == rules.PaperKind.BILL else "why-bill"
        number = self.bill.number if self.bill else ""
        return f"{what}-{''.join(c if c.isascii() and (c.isalnum() or c in '-.') else '-' for c in number)}.pdf"

    @property
    def part(self) -> tuple[int, int]:
        """Which part of a statement it is, of how many."""
        said = json.loads(self.facts) if self.facts else {}
        return int(said.get("part", 1)), int(said.get("of", 1))

    @property
    def attachment(self) -> str:
        """How a message in the outbox names it."""
        return f"paper:{self.pk}"
