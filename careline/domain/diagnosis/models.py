"""Walks: one caller's way through one guide, kept as its answers and the rulebook that it began with."""

from __future__ import annotations

from django.db import models


class Walk(models.Model):
    """`rulebook`: the digest of the bundle whose guide is walked to the end. `state`: open, fixed, handover or left.
    `causes`: what was found and is gone; `remain`: what is still there; `steps`: what the customer was asked or let do;
    `there`: how sure it was in the end of each cause that it had been there, which is what is learned from (empty for walks
    that were left, and those from before it was kept);
    `misled`: the checks whose answers were proven wrong, each as often as it was; what is about its end is empty while it is
    open. `line` is empty when the trouble is the account's (a bill, a payment)."""

    STATES = ("open", "fixed", "handover", "left")

    number = models.CharField(max_length=20, unique=True)
    account = models.ForeignKey("customers.Account", models.PROTECT, related_name="walks")
    line = models.ForeignKey("customers.Line", models.PROTECT, null=True, related_name="walks")
    contact = models.ForeignKey("contacts.Contact", models.PROTECT, null=True, related_name="walks")
    guide = models.CharField(max_length=60)
    rulebook = models.CharField(max_length=64)
    words = models.CharField(max_length=400, blank=True)
    complaint = models.CharField(max_length=60, blank=True)
    state = models.CharField(max_length=8, choices=[(s, s) for s in STATES], default="open")
    began = models.DateTimeField()
    began_by = models.CharField(max_length=80)
    closed = models.DateTimeField(null=True)
    team = models.CharField(max_length=80, blank=True)
    causes = models.JSONField(default=list)
    remain = models.JSONField(default=list)
    steps = models.PositiveSmallIntegerField(default=0)
    seconds = models.PositiveIntegerField(default=0)
    misled = models.JSONField(default=list)
    there = models.JSONField(default=dict)
    told = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["line"], condition=models.Q(state="open"), name="one_open_walk_a_line"),
            models.UniqueConstraint(fields=["account"], condition=models.Q(state="open", line=None), name="one_open_walk_an_account"),
            models.CheckConstraint(condition=models.Q(state__in=["open", "fixed", "handover", "left"]), name="walk_state"),
        ]
        indexes = [
            models.Index(fields=["account", "began"], name="walk_by_account"),
            models.Index(fields=["guide", "closed"], name="walk_by_guide"),
        ]

    def __str__(self) -> str:
        return self.number

    def close(self, *, state: str, at: object, team: str, causes: list[str], remain: list[str], steps: int, seconds: int, misled: list[str], there: dict[str, float]) -> None:  # fmt: skip
        self.state, self.closed, self.team = state, at, team
        self.causes, self.remain, self.steps, self.seconds, self.misled, self.there = causes, remain, steps, seconds, misled, there
        self.save(update_fields=["state", "closed", "team", "causes", "remain", "steps", "seconds", "misled", "there"])


class Answer(models.Model):
    """One answer of a walk, append-only. Answers given together share a `turn`; an undo names the turn that it takes back.

    `source`: who or what said so (the customer, the associate, the account, the network, the device feed); `as_of`: when
    that was known, where a feed says so; `note`: what is shown with it (what was read too long ago, the troubles of the area),
    that it was read `anew` and takes the place of the reading before, or what was found beside the outcome: `say`, a sentence, and the inputs of an act that can put it right.
    """

    append_only = True
    unique_keys = (("walk_id", "number"),)

    walk = models.ForeignKey("diagnosis.Walk", models.PROTECT, related_name="answers")
    number = models.PositiveIntegerField()
    turn = models.PositiveIntegerField()
    undoes = models.PositiveIntegerField(null=True)
    what = models.JSONField()
    source = models.CharField(max_length=20)
    as_of = models.DateTimeField(null=True)
    note = models.JSONField(default=dict)
    contact = models.ForeignKey("contacts.Contact", models.PROTECT, null=True, related_name="+")
    by = models.CharField(max_length=80)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["walk", "number"], name="answer_number")]

    def __str__(self) -> str:
        return f"{self.walk_id}/{self.number}"
