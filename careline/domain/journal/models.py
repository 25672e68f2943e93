"""The journal's tables. Lines, roots and payloads are guarded by triggers (see doors/jobs/guards.py)."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import models

from careline.domain.journal import rules


class Chain(models.Model):
    """The head of one chain. Locked last, by name, whenever a line is written."""

    name = models.CharField(max_length=80, unique=True)
    length = models.PositiveBigIntegerField(default=0)
    head = models.CharField(max_length=64, default="")
    anchored = models.PositiveBigIntegerField(default=0)
    fed = models.PositiveBigIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["name"], name="chain_unfed", condition=models.Q(fed__lt=models.F("length")))]

    def __str__(self) -> str:
        return f"{self.name} ({self.length})"


@dataclass(slots=True)
class Head:
    """The columns of a `Chain`, for a deed that moves thousands: to make an instance takes longer than to write the row."""

    name: str
    id: int | None = None
    length: int = 0
    head: str = ""
    anchored: int = 0
    fed: int = 0


class Line(models.Model):
    """One line. `text` is what is hashed; every other column is derived from it, for questions."""

    append_only = True
    unique_keys = (("chain_id", "seq"),)

    chain = models.ForeignKey("journal.Chain", models.PROTECT, related_name="lines")
    seq = models.PositiveBigIntegerField()
    text = models.TextField()
    mac = models.CharField(max_length=64)
    at = models.DateTimeField()
    code = models.CharField(max_length=60)
    outcome = models.CharField(max_length=10)
    who = models.CharField(max_length=60)
    basis = models.CharField(max_length=40)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["chain", "seq"], name="line_seq_once")]
        indexes = [
            models.Index(fields=["basis", "code", "who"], name="line_by_basis"),
            models.Index(fields=["who", "at"], name="line_by_who"),
        ]

    def __str__(self) -> str:
        return self.text[:80]

    @property
    def content(self) -> dict[str, Any]:
        return json.loads(self.text)

    @staticmethod
    def columns(chain: Chain | Head, entry: rules.Entry, key: bytes) -> tuple[dict[str, Any], Payload | None]:
        """The next line of a locked chain as columns, and its payload; moves the chain's head in memory. A chain that is not written yet has no id."""
        payload = Payload.of(entry.payload) if entry.payload is not None else None
        seq = chain.length + 1
        text = entry.text(seq, payload.digest if payload else "")
        mac = rules.line_mac(key, chain.head, text)
        chain.length, chain.head = seq, mac
        return {
            "chain_id": chain.id, "seq": seq, "text": text, "mac": mac, "at": entry.act.at, "code": entry.code, "outcome": entry.outcome,
            "who": entry.act.who.key, "basis": entry.act.basis.key,
        }, payload  # fmt: skip


class Payload(models.Model):
    """What a line says of a person, beside the line, so that it can be redacted while the chain still proves itself."""

    append_only = True
    may_become_null = ("body", "salt")
    unique_keys = (("line_id",),)

    line = models.OneToOneField("journal.Line", models.PROTECT, related_name="payload")
    digest = models.CharField(max_length=64)
    salt = models.CharField(max_length=32, null=True)
    body = models.TextField(null=True)

    def __str__(self) -> str:
        return "redacted" if self.body is None else "payload"

    @classmethod
    def of(cls, content: dict[str, Any]) -> Payload:
        salt, body = secrets.token_hex(16), rules.canonical(content)
        return cls(digest=rules.payload_digest(salt, body), salt=salt, body=body)


class Root(models.Model):
    """An anchor: the heads that moved since the one before, and a mac over them and it."""

    append_only = True

    at = models.DateTimeField()
    heads = models.TextField()
    previous = models.CharField(max_length=64)
    mac = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"root {self.pk} {self.mac[:12]}"


class Change(models.Model):
    """A line of an account's chain that other systems hear of, and its number in their order."""

    append_only = True
    unique_keys = (("n",), ("line_id",))

    n = models.PositiveBigIntegerField(unique=True)
    line = models.OneToOneField("journal.Line", models.PROTECT, related_name="change")

    def __str__(self) -> str:
        return f"change {self.n}"


class Counter(models.Model):
    """The last number given to a kind of document. Locked just before the chain heads."""

    name = models.CharField(max_length=20, unique=True)
    last = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name} {self.last}"


class Decision(models.Model):
    """What authority was asked and what it said, kept for a while so that a changed rulebook can be tried on it. It is no proof
    (the line is) and names nobody but who did it; `facts` are those of the schema."""

    at = models.DateTimeField()
    code = models.CharField(max_length=60)
    who = models.CharField(max_length=60)
    role = models.CharField(max_length=20)
    account_id = models.BigIntegerField(null=True)
    rule = models.CharField(max_length=60, blank=True)
    allowed = models.BooleanField()
    facts = models.TextField()
    rulebook = models.CharField(max_length=64)

    class Meta:
        indexes = [models.Index(fields=["at"], name="decision_at")]

    def __str__(self) -> str:
        return f"{self.code} {'yes' if self.allowed else self.rule}"

    @property
    def fact_data(self) -> dict[str, Any]:
        return json.loads(self.facts)


class RequestKey(models.Model):
    """One request key of one principal and what came of it. Pending: an outside call is under way or was lost."""

    principal = models.CharField(max_length=60)
    key = models.CharField(max_length=80)
    digest = models.CharField(max_length=64)
    code = models.CharField(max_length=60)
    at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=[("pending", "pending"), ("done", "done")])
    outcome = models.TextField()
    work = models.TextField(default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["principal", "key"], name="request_key_once")]
        indexes = [
            models.Index(fields=["at"], name="key_pending", condition=models.Q(state="pending")),
        ]

    def __str__(self) -> str:
        return f"{self.principal} {self.key} {self.state}"


class Outbox(models.Model):
    """What must be told: written with the deed, sent after the commit, wiped once sent.

    `account_id`: whose account it is about, where contact rules ask; `why`: what they said when it had to wait or may not go.
    `attachment` names what goes with it, for whoever sends it (`paper:7`); while that is not made yet, the message is held.
    """

    topic = models.CharField(max_length=30)
    channel = models.CharField(max_length=10)
    to = models.CharField(max_length=200)
    body = models.TextField()
    subject = models.CharField(max_length=200, default="", blank=True)
    attachment = models.CharField(max_length=40, default="", blank=True)
    about = models.CharField(max_length=80)
    at = models.DateTimeField()
    not_before = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    tries = models.PositiveSmallIntegerField(default=0)
    state = models.CharField(
        max_length=8, default="queued", choices=[(s, s) for s in ("queued", "held", "sent", "failed", "expired")]
    )
    sent_at = models.DateTimeField(null=True)
    account_id = models.BigIntegerField(null=True)
    why = models.CharField(max_length=160, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["account_id", "sent_at"], name="outbox_by_account", condition=models.Q(account_id__isnull=False)),
            models.Index(fields=["not_before"], name="outbox_due", condition=models.Q(state="queued")),
            models.Index(fields=["attachment"], name="outbox_held", condition=models.Q(state="held")),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.state}"

    @property
    def key(self) -> str:
        """What whoever sends it knows it by: the same key twice is one message."""
        return f"outbox:{self.pk}"

    def sent(self, at: datetime) -> None:
        """The twin or carrier took it; what it said is needed here no longer."""
        self.state, self.sent_at, self.body, self.subject, self.to = "sent", at, "", "", self.to[-4:]

    def gave_up(self) -> None:
        """It will not be sent; what it said is needed here no longer."""
        self.state, self.body, self.subject, self.to = "failed", "", "", self.to[-4:]
