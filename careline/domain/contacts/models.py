"""Contacts, how the caller was verified, notes and follow-ups."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import models

from careline.domain.contacts import rules


class Contact(models.Model):
    """One call, chat or message, from first ring to wrap-up. `level` is what was proven; `rules.level_now` what counts.

    `declined_by`, `declined_words`: the colleague to whom it was offered last and who did not take it, until it is offered anew.
    `pin_marks`: of the PINs that were typed in it, as `pins.mark` makes them, until it is closed or about another account.
    """

    reference = models.CharField(max_length=20, unique=True)
    channel = models.CharField(max_length=8, choices=[(c.value, c.value) for c in rules.Channel])
    inbound = models.BooleanField(default=True)
    caller_number = models.CharField(max_length=16, blank=True)
    reason = models.CharField(max_length=30, blank=True)
    state = models.CharField(max_length=8, choices=[(s.value, s.value) for s in rules.State])
    holder = models.ForeignKey("staff.Staff", models.PROTECT, null=True, related_name="contacts")
    offered_to = models.ForeignKey("staff.Staff", models.PROTECT, null=True, related_name="offered_contacts")
    offered_words = models.TextField(blank=True)
    declined_by = models.ForeignKey("staff.Staff", models.PROTECT, null=True, related_name="+")
    declined_words = models.TextField(blank=True, default="")
    account = models.ForeignKey("customers.Account", models.PROTECT, null=True, related_name="contacts")
    person = models.ForeignKey("customers.Person", models.PROTECT, null=True, related_name="contacts")
    level = models.PositiveSmallIntegerField(default=0)
    factors = models.CharField(max_length=40, blank=True)
    level_at = models.DateTimeField(null=True)
    pin_marks = models.TextField(blank=True, default="")
    last_active = models.DateTimeField()
    admitted_by = models.ForeignKey("staff.Staff", models.PROTECT, null=True, related_name="+")
    admitted_account = models.ForeignKey("customers.Account", models.PROTECT, null=True, related_name="+")
    admitted_staff = models.ForeignKey("staff.Staff", models.PROTECT, null=True, related_name="+")
    began = models.DateTimeField()
    ended = models.DateTimeField(null=True)
    closed = models.DateTimeField(null=True)
    summary = models.TextField(blank=True)
    disposition = models.CharField(max_length=30, blank=True)
    root_cause = models.CharField(max_length=30, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["holder"],
                condition=models.Q(state__in=["live", "held"], channel="voice"),
                name="one_live_call_each",
            )
        ]
        indexes = [
            models.Index(fields=["account", "began"], name="contact_by_account"),
            models.Index(
                fields=["state"],
                name="contact_open",
                condition=models.Q(state__in=["ringing", "live", "held", "dropped", "wrap_up"]),
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def proven(self) -> tuple[str, ...]:
        return tuple(f for f in self.factors.split(",") if f)

    def choose(self, account_id: int, person_id: int | None, at: datetime) -> None:
        """Another account or another voice: identified, nothing proven."""
        if account_id != self.account_id:
            self.pin_marks = ""
        self.account_id, self.person_id = account_id, person_id
        self.level, self.factors, self.level_at = 1, "", None
        self.last_active = at

    def prove(self, factor: str, level: int, at: datetime) -> None:
        self.factors = ",".join(dict.fromkeys([*self.proven, factor]))
        self.level = level
        self.level_at = self.last_active = at

    def heard_pin(self, mark: str) -> None:
        self.pin_marks = " ".join(dict.fromkeys([*self.pin_marks.split(), mark]))

    def offer_over(self) -> None:
        """Taken, declined, taken back, or the caller is gone: what was said of the offer stands in the journal alone."""
        self.offered_to = self.declined_by = None
        self.offered_words = self.declined_words = ""

    def unprove(self) -> None:
        """A new voice or a dropped line: who it is must be proven again."""
        self.level, self.factors, self.level_at = min(self.level, 1), "", None


class Draft(models.Model):
    """Words that were typed and not sent yet. `about`: the account that they were typed on (0: none), for a contact can
    move: what was typed about one account never shows on another."""

    contact = models.ForeignKey("contacts.Contact", models.PROTECT, related_name="drafts")
    kind = models.CharField(max_length=8, choices=[(k.value, k.value) for k in rules.DraftKind])
    about = models.BigIntegerField()
    text = models.TextField()
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["contact", "kind", "about"], name="draft_once")]

    def __str__(self) -> str:
        return f"{self.kind} of contact {self.contact_id}"


class Span(models.Model):
    """A stretch of talk, hold or wrap-up."""

    contact = models.ForeignKey("contacts.Contact", models.PROTECT, related_name="spans")
    staff = models.ForeignKey("staff.Staff", models.PROTECT, null=True)
    kind = models.CharField(max_length=4, choices=[(k.value, k.value) for k in rules.SpanKind])
    began = models.DateTimeField()
    ended = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.kind} of {self.contact_id}"


class FactorCount(models.Model):
    """Failed tries of one factor on one account, over all contacts: that is what locks."""

    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="factor_counts")
    factor = models.CharField(max_length=8, choices=[(f.value, f.value) for f in rules.Factor])
    failures = models.PositiveSmallIntegerField(default=0)
    locked_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "factor"], name="factor_count_once")]

    def __str__(self) -> str:
        return f"{self.factor} of {self.account_id}: {self.failures}"

    def fail(self, at: datetime, limit: int, lock_hours: int) -> bool:
        """Count a failure; true when it locks the factor."""
        if self.locked_until and self.locked_until <= at:
            self.failures, self.locked_until = 0, None
        self.failures += 1
        if self.failures >= limit:
            self.locked_until = at + timedelta(hours=lock_hours)
            return True
        return False

    def clear(self) -> None:
        self.failures, self.locked_until = 0, None


class Code(models.Model):
    """A one-time code that was sent to a number of record in this contact. Kept as a keyed hash."""

    contact = models.ForeignKey("contacts.Contact", models.PROTECT, related_name="codes")
    account = models.ForeignKey("customers.Account", models.PROTECT)
    line = models.ForeignKey("customers.Line", models.PROTECT)
    hash = models.CharField(max_length=64)
    sent_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"code for contact {self.contact_id}"


class Note(models.Model):
    """What one associate leaves for the next. Never edited: pinned, unpinned, or followed by another."""

    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="notes")
    contact = models.ForeignKey("contacts.Contact", models.PROTECT, null=True, related_name="notes")
    author = models.ForeignKey("staff.Staff", models.PROTECT, related_name="+")
    at = models.DateTimeField()
    text = models.TextField()
    pinned = models.BooleanField(default=False)

    class Meta:
        indexes = [models.Index(fields=["account", "-at"], name="note_by_account")]

    def __str__(self) -> str:
        return f"note {self.pk}"


class FollowUp(models.Model):
    """What we owe a customer, by when, and who keeps the promise."""

    account = models.ForeignKey("customers.Account", models.PROTECT, null=True, related_name="follow_ups")
    contact = models.ForeignKey("contacts.Contact", models.PROTECT, related_name="follow_ups")
    owner = models.ForeignKey("staff.Staff", models.PROTECT, related_name="follow_ups")
    due_on = models.DateField()
    what = models.CharField(max_length=200)
    done_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["owner", "due_on"], name="follow_up_open", condition=models.Q(done_at=None))]

    def __str__(self) -> str:
        return f"follow-up {self.pk} due {self.due_on}"
