"""Customers and what they have: accounts, the persons who may speak for them, lines, plans, devices, SIMs, usage.

`source_key` is the carrier's own key for a row: an import finds a row by it and by nothing else.
"""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models.functions import Lower

from careline.domain.customers import rules
from careline.domain.customers.rules import care


def source_key() -> models.CharField[str | None, str | None]:
    return models.CharField(max_length=80, null=True, unique=True)


class Customer(models.Model):
    """`email_since`: when the address was changed last (None: it came with the customer). `phone` (E.164) is a number to
    reach them at, and proves nothing: only a line's own number is a number of record."""

    source_key = source_key()
    name = models.CharField(max_length=160)
    kind = models.CharField(max_length=12, default="individual")
    since = models.DateField(null=True)
    language = models.CharField(max_length=35, default="en")
    needs = models.CharField(max_length=200, blank=True)
    likes = models.CharField(max_length=200, blank=True)
    email = models.EmailField(blank=True)
    synthetic = models.BooleanField(default=False)
    email_since = models.DateTimeField(null=True)
    phone = models.CharField(max_length=16, blank=True, default="")

    class Meta:
        indexes = [models.Index(Lower("email"), name="customer_by_email")]

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
    """`street` to `postal_code`: where bills go and the service is; `address_since`: when that was changed last (None: it came
    with the account). `change_lock` holds SIM changes, `port_lock` porting a number out. `protected_at`: since when it is a
    survivor's, whom an ordinary search does not find."""

    source_key = source_key()
    reference = models.CharField(max_length=20, unique=True)
    customer = models.ForeignKey("customers.Customer", models.PROTECT, related_name="accounts")
    currency = models.CharField(max_length=3, default="USD")
    status = models.CharField(max_length=12, default="active")
    opened_on = models.DateField()
    bill_day = models.PositiveSmallIntegerField(default=1)
    state = models.CharField(max_length=2, blank=True)
    zone = models.CharField(max_length=40, default="America/New_York")
    postal_code = models.CharField(max_length=10, blank=True)
    autopay = models.BooleanField(default=False)
    change_lock = models.BooleanField(default=False)
    staff_marked = models.BooleanField(default=False)
    street = models.CharField(max_length=120, blank=True, default="")
    city = models.CharField(max_length=80, blank=True, default="")
    address_since = models.DateTimeField(null=True)
    port_lock = models.BooleanField(default=False)
    protected_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.reference

    @property
    def address(self) -> str:
        """On one line, as an envelope has it: `12 Pine St, Seattle, WA 98101`. Empty where nobody knows the street."""
        place = " ".join(filter(None, (self.state, self.postal_code)))
        return ", ".join(filter(None, (self.street, self.city, place))) if self.street else ""


class FormerContact(models.Model):
    """An e-mail address, number or postal address that an account had. While its successor is young, what must be told to
    the address of record goes here."""

    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="former_contacts")
    kind = models.CharField(max_length=8, choices=[(k.value, k.value) for k in care.Medium])
    value = models.CharField(max_length=254)
    since = models.DateTimeField(null=True)
    until = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["account", "until"], name="former_contact_newest")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.account_id} until {self.until:%Y-%m-%d}"


class LegalHold(models.Model):
    """While one is in force nothing that the account's journal says is redacted. `matter`: what the legal unit calls it."""

    reference = models.CharField(max_length=40, unique=True)
    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="legal_holds")
    matter = models.CharField(max_length=80)
    placed_by = models.CharField(max_length=60)
    placed_at = models.DateTimeField()
    lifted_by = models.CharField(max_length=60, blank=True, default="")
    lifted_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["account"], name="legal_hold_standing", condition=models.Q(lifted_at=None))]

    def __str__(self) -> str:
        return self.reference


class AccountPerson(models.Model):
    """A person's right to speak for an account: holder or authorized, with what they may ask for, until when (the last day
    in it). `ended_at`: it was taken away; the row stays, so that no import brings it back."""

    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="people")
    person = models.ForeignKey("customers.Person", models.PROTECT, related_name="rights")
    right = models.CharField(max_length=12, choices=[(r.value, r.value) for r in rules.Right])
    may_money = models.BooleanField(default=True)
    may_service = models.BooleanField(default=True)
    until = models.DateField(null=True)
    ended_at = models.DateTimeField(null=True)

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
    """`data_mb`, `voice_minutes`, `texts` None: no limit. `data_gb_price_minor`: what a GB more costs, before tax (None: nothing
    when it is used, the rulebook's price when it is added); `voice_minute_price_minor` and `text_price_minor`: what a minute or a
    message more costs (None: nothing)."""

    source_key = source_key()
    code = models.CharField(max_length=40, unique=True)
    name = models.CharField(max_length=80)
    price_minor = models.BigIntegerField()
    data_mb = models.PositiveBigIntegerField(null=True)
    voice_minutes = models.PositiveIntegerField(null=True)
    texts = models.PositiveIntegerField(null=True)
    data_gb_price_minor = models.PositiveBigIntegerField(null=True)
    voice_minute_price_minor = models.PositiveBigIntegerField(null=True)
    text_price_minor = models.PositiveBigIntegerField(null=True)

    def __str__(self) -> str:
        return self.name


class Allowance(models.Model):
    """What a plan includes of a kind of use beside data, calls and messages, such as roaming data: `included` units a period, and
    what each unit more costs, before tax. `title` and `unit`: how a bill and the desk call it."""

    plan = models.ForeignKey("customers.Plan", models.PROTECT, related_name="allowances")
    kind = models.CharField(max_length=20)
    title = models.CharField(max_length=40)
    unit = models.CharField(max_length=12, blank=True)
    included = models.PositiveBigIntegerField(default=0)
    price_minor = models.PositiveBigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["plan", "kind"], name="allowance_once_a_plan"),
            models.CheckConstraint(name="allowance_is_of_another_kind", condition=~models.Q(kind__in=["data", "voice", "text"])),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.plan_id}"


class Device(models.Model):
    """`compatible`: whether it works on this network (None: nobody knows). `blocked`: why it is on a block list."""

    source_key = source_key()
    imei = models.CharField(max_length=16, unique=True)
    make = models.CharField(max_length=60)
    model = models.CharField(max_length=80)
    compatible = models.BooleanField(null=True)
    blocked = models.CharField(max_length=60, blank=True)

    def __str__(self) -> str:
        return f"{self.make} {self.model}"


def first_features() -> str:
    return rules.features_text(rules.FROM_THE_START)


class Line(models.Model):
    """One phone number with a plan, a SIM and a device. `number_since`: when this number came to this line.

    `suspended_for` is the code of the reason while the line is suspended (reasons.toml; empty: an imported suspension
    whose reason is words only), `bar` how far: "outgoing" only, or "all" (empty: all). `features`: those that are on, parted by spaces. `spending_limit_minor`: the most that
    may be charged beyond the plan in one bill period.
    """

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
    suspended_for = models.CharField(max_length=20, blank=True)
    bar = models.CharField(max_length=8, blank=True)
    contract_ends_on = models.DateField(null=True)
    features = models.CharField(max_length=300, default=first_features, blank=True)
    sim_state = models.CharField(max_length=10, default=rules.SimState.ACTIVE)
    spending_limit_minor = models.PositiveBigIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["msisdn"], condition=~models.Q(status="cancelled"), name="one_living_line_a_number"
            )
        ]

    def __str__(self) -> str:
        return f"line {self.pk}"

    @property
    def gets_texts(self) -> bool:
        """A text arrives there now: one that is wholly suspended, or ended, gets none."""
        return self.can_text and (self.status == rules.LineStatus.ACTIVE or (self.status == rules.LineStatus.SUSPENDED and self.bar == "outgoing"))

    @property
    def held_since(self) -> datetime:
        """Since when this number and the SIM that it is reached by are the same. Whoever has the phone proves no more than that."""
        return max(self.number_since, self.sim_since or self.number_since)

    @property
    def switched_on(self) -> frozenset[str]:
        return frozenset(self.features.split())

    @property
    def data_allowed_mb(self) -> int | None:
        """The plan's allowance with what was added in the period that the row was asked for; None: no limit."""
        return None if self.plan.data_mb is None else self.plan.data_mb + getattr(self, "data_added", 0)


class PlanChange(models.Model):
    """From a day on, another plan on a line. What a line had before its first change is that one's `before`."""

    append_only = True
    unique_keys = (("reference",),)

    line = models.ForeignKey("customers.Line", models.PROTECT, related_name="plan_changes")
    before = models.ForeignKey("customers.Plan", models.PROTECT, related_name="+")
    after = models.ForeignKey("customers.Plan", models.PROTECT, related_name="+")
    on = models.DateField()
    at = models.DateTimeField()
    reference = models.CharField(max_length=40, unique=True)

    class Meta:
        indexes = [models.Index(fields=["line", "on"], name="plan_change_by_line")]

    def __str__(self) -> str:
        return f"{self.line_id} {self.before_id} to {self.after_id} on {self.on}"


class AddedData(models.Model):
    """Data added to a line for one bill period. `reference`: the order that added it."""

    append_only = True
    unique_keys = (("reference",),)

    line = models.ForeignKey("customers.Line", models.PROTECT, related_name="added_data")
    mb = models.PositiveBigIntegerField()
    period_start = models.DateField()
    period_end = models.DateField()
    at = models.DateTimeField()
    reference = models.CharField(max_length=40, unique=True)

    def __str__(self) -> str:
        return f"{self.line_id} +{self.mb} MB"


class Usage(models.Model):
    """What a line used on a day. `quantity`: MB for data, minutes for voice, messages for text, units of the plan's allowance for
    another kind."""

    line = models.ForeignKey("customers.Line", models.PROTECT, related_name="usage")
    kind = models.CharField(max_length=20)
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
