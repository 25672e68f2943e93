"""Finishing what was begun: deeds whose outside call was lost are asked after once more and settled."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.utils import timezone

from careline.acts import table
from careline.acts.declare import BasisRef
from careline.acts.perform import settle
from careline.domain.journal import queries as journal
from careline.domain.staff import queries as staff
from careline.foundation.act import Who

log = logging.getLogger("careline.worker")
PATIENCE = timedelta(minutes=2)


def who_is(principal: str) -> Who | None:
    """The principal behind a stored key like `Staff:7`; None when there is nobody of this name any more."""
    kind, _, name = principal.partition(":")
    if kind == "Job":
        return Who("Job", name, name, "job")
    person = staff.person(name) if name.isdigit() else None
    return person.who if person is not None and person.who.key == principal else None


def reconcile(*, at: datetime | None = None) -> int:
    """Settle every deed that has been pending for two minutes, or whose moment has come; returns how many are settled now.

    Asks the outside system outside any transaction, then goes through the same `settle` as the door: whoever comes
    second finds the outcome of the first. What still has no answer waits for the next round. One fault stops no other.
    """
    settled, now = 0, at or timezone.now()
    for left in journal.pending_since(now - PATIENCE):
        if left.waits_until is not None and now < left.waits_until and not _stopped(left):
            continue
        try:
            settled += _finish(left, at)
        except Exception as fault:
            log.error("%s that began at %s could not be settled (%s)", left.code, left.at, type(fault).__name__)
    return settled


def _stopped(left: journal.Pending) -> bool:
    kind = table.acts().get(left.code)
    return kind is not None and kind.stopped is not None and kind.stopped(left.work["work"])


def _finish(left: journal.Pending, at: datetime | None) -> bool:
    kind = table.acts().get(left.code)
    who = who_is(left.principal)
    if kind is None or kind.recall is None or who is None:
        log.error("%s that began at %s cannot be settled: nobody knows how to ask after it", left.code, left.at)
        return False
    basis_kind, basis_id = left.work["basis"]
    work = left.work["work"]
    outcome = settle(
        kind,
        who=who,
        key=left.key,
        basis=BasisRef(basis_kind, basis_id),
        work=work,
        answer=kind.recall(work),
        why=left.work["why"],
        at=at,
    )
    return outcome.status != "pending"
