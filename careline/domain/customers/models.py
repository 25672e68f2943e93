"""Customers and what they have: accounts, the persons who may speak for them, lines, plans, devices, SIMs, usage.

`source_key` is the carrier's own key for a row: an import finds a row by it and by nothing else.
"""

from __future__ import annotations

from django.db import models

from careline.domain.customers import rules


def source_key() -> models.CharField[str | None, str | None]:
    return models.CharField(max_length=80, null=True, unique=True)


class Customer(models.Model):
    source_key = source_key()
    name = models.CharField(max_length=160)
    kind = models.CharField(max_length=12, default="individual")
    since = models.DateField(null=True)
    language = models.CharField(max_length=35, default="en")
    needs = models.CharField(max_length=200, blank=True)
    likes = models.CharField(max_length=200, blank=True)
    email = models.EmailField(blank=True)
    synthetic = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"customer {self.pk}"


class Person(models.Model):
    """Somebody who may speak for accounts."""

    source_key = source_key()
    customer = models.ForeignKey("customers.Customer", models.PROTECT, null=True, related_name="persons")
    name = models.CharField(max_length=160)
    email = models.EmailField(blank=True)

    def __str__(self) -> str:
        return f"person {self.pk}"


class Account(models.Model):
    source_key = source_key()
    reference = models.CharField(max_length=20, unique=True)
    customer = models.ForeignKey("customers.Customer", models.PROTECT, related_name="accounts")
    currency = models.CharField(max_length=3, default="USD")
    status = models.CharField(max_length=12, default="active")
    opened_on = models.DateField()
    bill_day = models.PositiveSmallIntegerField(default=1)
    state = models.CharField(max_length=2, blank=True)
    zone = models.CharField(max_length=40, default="America/New_York")
    autopay = models.BooleanField(default=False)
    change_lock = models.BooleanField(default=False)
    staff_marked = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.reference


class AccountPerson(models.Model):
    """A person's right to speak for an account: holder or authorized, with what they may ask for, until when."""

    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="people")
    person = models.ForeignKey("customers.Person", models.PROTECT, related_name="rights")
    right = models.CharField(max_length=12, choices=[(r.value, r.value) for r in rules.Right])
    may_money = models.BooleanField(default=True)
    may_service = models.BooleanField(default=True)
    until = models.DateField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "person"], name="right_once")]

    def __str__(self) -> str:
        return f"{self.person_id} {self.right} of {self.account_id}"


class StaffTie(models.Model):
    """This account is a member of staff's own, or a relative's."""

    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="staff_ties")
    staff = models.ForeignKey("staff.Staff", models.PROTECT, related_name="ties")
    tie = models.CharField(max_length=10, choices=[(t.value, t.value) for t in rules.Tie])

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "staff"], name="tie_once")]

    def __str__(self) -> str:
        return f"{self.account_id} {self.tie} of {self.staff_id}"


class Pin(models.Model):
    """The account's PIN as an Argon2 hash over a peppered text (the pepper lives outside the database)."""

    account = models.OneToOneField("customers.Account", models.PROTECT, related_name="pin")
    hash = models.CharField(max_length=200)
    set_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"PIN of {self.account_id}"


class Plan(models.Model):
    source_key = source_key()
    code = models.CharField(max_length=40, unique=True)
    name = models.CharField(max_length=80)
    price_minor = models.BigIntegerField()
    data_mb = models.PositiveBigIntegerField(null=True)
    voice_minutes = models.PositiveIntegerField(null=True)
    texts = models.PositiveIntegerField(null=True)

    def __str__(self) -> str:
        return self.name


class Device(models.Model):
    source_key = source_key()
    imei = models.CharField(max_length=16, unique=True)
    make = models.CharField(max_length=60)
    model = models.CharField(max_length=80)

    def __str__(self) -> str:
        return f"{self.make} {self.model}"


class Line(models.Model):
    """One phone number with a plan, a SIM and a device. `number_since`: when this number came to this line."""

    source_key = source_key()
    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="lines")
    msisdn = models.CharField(max_length=16, db_index=True)
    label = models.CharField(max_length=60, blank=True)
    plan = models.ForeignKey("customers.Plan", models.PROTECT)
    status = models.CharField(
        max_length=10, default=rules.LineStatus.ACTIVE, choices=[(s.value, s.value) for s in rules.LineStatus]
    )
    status_reason = models.CharField(max_length=80, blank=True)
    status_since = models.DateField(null=True)
    number_since = models.DateTimeField()
    activated_on = models.DateField()
    device = models.ForeignKey("customers.Device", models.PROTECT, null=True, related_name="lines")
    iccid = models.CharField(max_length=20, blank=True)
    sim_kind = models.CharField(max_length=4, default="sim")
    sim_since = models.DateTimeField(null=True)
    can_text = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["msisdn"], condition=~models.Q(status="cancelled"), name="one_living_line_a_number"
            )
        ]

    def __str__(self) -> str:
        return f"line {self.pk}"


class Usage(models.Model):
    """What a line used on a day. `quantity`: MB for data, minutes for voice, messages for texts."""

    line = models.ForeignKey("customers.Line", models.PROTECT, related_name="usage")
    kind = models.CharField(max_length=10)
    day = models.DateField()
    quantity = models.PositiveBigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["line", "kind", "day"], name="usage_once_a_day")]

    def __str__(self) -> str:
        return f"{self.line_id} {self.kind} {self.day}"


class Consent(models.Model):
    """What a customer allowed or forbade, as a history: the newest row of a topic and channel holds."""

    source_key = source_key()
    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="consents")
    topic = models.CharField(max_length=40)
    channel = models.CharField(max_length=10)
    granted = models.BooleanField()
    at = models.DateTimeField()
    source = models.CharField(max_length=60)

    class Meta:
        indexes = [models.Index(fields=["account", "topic", "channel", "at"], name="consent_newest")]

    def __str__(self) -> str:
        return f"{self.account_id} {self.topic} {self.channel} {self.granted}"


class NameWord(models.Model):
    """One word of the name of somebody who may speak for an account: the find box looks for prefixes here."""

    word = models.CharField(max_length=40)
    account = models.ForeignKey("customers.Account", models.CASCADE, related_name="name_words")
    person = models.ForeignKey("customers.Person", models.CASCADE)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["word", "account", "person"], name="name_word_once")]

    def __str__(self) -> str:
        return self.word


class NumberKey(models.Model):
    """A line's number by digits and by reversed digits: prefix ranges find its start, its end, and all of it."""

    digits = models.CharField(max_length=16, db_index=True)
    reversed = models.CharField(max_length=16, db_index=True)
    line = models.OneToOneField("customers.Line", models.CASCADE, related_name="number_key")
    account = models.ForeignKey("customers.Account", models.CASCADE)

    def __str__(self) -> str:
        return f"number of line {self.line_id}"
