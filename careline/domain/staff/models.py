"""The people and machines that work here, their tokens, and what of their limits is used."""

from __future__ import annotations

import hashlib
from datetime import date, datetime

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models

from careline.domain.staff import rules
from careline.foundation.act import Who


class Team(models.Model):
    name = models.CharField(max_length=80, unique=True)

    def __str__(self) -> str:
        return self.name


class StaffManager(BaseUserManager["Staff"]):
    def get_by_natural_key(self, username: str | None) -> Staff:
        return self.get(username__iexact=username or "")


class Staff(AbstractBaseUser):
    """A person, an AI agent or a service. Whoever has no usable password signs in by token only."""

    username = models.CharField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    email = models.EmailField(blank=True)
    role = models.CharField(max_length=20, choices=[(r.value, rules.ROLE_TITLES[r]) for r in rules.Role])
    team = models.ForeignKey("staff.Team", models.PROTECT, null=True, related_name="members")
    is_active = models.BooleanField(default=True)
    since = models.DateTimeField()
    theme = models.CharField(max_length=5, default="auto", choices=[(t, t) for t in ("auto", "light", "dark")])
    keys_on = models.BooleanField(default=True)
    palette_key = models.CharField(max_length=1, default="k")

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: list[str] = []
    objects = StaffManager()

    def __str__(self) -> str:
        return self.name

    @property
    def who(self) -> Who:
        return Who(rules.kind_of(self.role), str(self.pk), self.name, self.role)


class WayIn(models.Model):
    """How somebody comes to a password of their own: an administrator asks, a second person lets them in with a code that is
    shown once, and they choose. Neither of the two can sign in as them alone. `hash` is empty until then, and once the code
    was typed."""

    staff = models.ForeignKey("staff.Staff", models.PROTECT, related_name="ways_in")
    asked_by = models.ForeignKey("staff.Staff", models.PROTECT, related_name="+")
    asked_at = models.DateTimeField()
    let_in_by = models.ForeignKey("staff.Staff", models.PROTECT, null=True, related_name="+")
    hash = models.CharField(max_length=64, default="")
    expires_at = models.DateTimeField(null=True)
    tries = models.PositiveSmallIntegerField(default=0)
    used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["staff"], condition=models.Q(used_at=None), name="one_open_way_in")
        ]

    def __str__(self) -> str:
        return f"way in of {self.staff_id}"

    def open_again(self, asked_by_id: int, at: datetime) -> None:
        self.asked_by_id, self.asked_at = asked_by_id, at
        self.let_in_by_id, self.hash, self.expires_at, self.tries = None, "", None, 0

    def give(self, by_id: int, code_hash: str, until: datetime) -> None:
        self.let_in_by_id, self.hash, self.expires_at, self.tries = by_id, code_hash, until, 0


class Token(models.Model):
    """A bearer token, stored as its hash; `scope` lists the acts it may be used for (`*`: all of its owner's)."""

    owner = models.ForeignKey("staff.Staff", models.PROTECT, related_name="tokens")
    label = models.CharField(max_length=80)
    hash = models.CharField(max_length=64, unique=True)
    hint = models.CharField(max_length=8)
    scope = models.TextField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.label} {self.hint}…"

    @staticmethod
    def hash_of(secret: str) -> str:
        """SHA-256 is enough: the secret is 256 random bits, not something a person chose."""
        return hashlib.sha256(secret.encode()).hexdigest()

    def alive(self, at: datetime) -> bool:
        return self.revoked_at is None and self.expires_at > at


class Spending(models.Model):
    """What one person used of their daily limits. Locked whenever authority is spent."""

    staff = models.ForeignKey("staff.Staff", models.PROTECT)
    kind = models.CharField(max_length=20)
    day = models.DateField()
    amount_minor = models.BigIntegerField(default=0)
    count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["staff", "kind", "day"], name="spending_once_a_day")]

    def __str__(self) -> str:
        return f"{self.staff_id} {self.kind} {self.day}: {self.amount_minor}"

    def add(self, amount_minor: int, count: int) -> None:
        self.amount_minor += amount_minor
        self.count += count

    @classmethod
    def none(cls, staff_id: int, kind: str, day: date) -> Spending:
        return cls(staff_id=staff_id, kind=kind, day=day, amount_minor=0, count=0)
