"""Which policy is in force. Bundles never change, so each is opened once a process; which one is in force is asked
again every two seconds, so that every running process takes up a new one within seconds."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from django.db.models import QuerySet
from django.utils import timezone

from careline.domain.rulebook.models import Activation, Bundle, Proposal
from careline.domain.rulebook.rules import State
from careline.foundation.rulebook import Rulebook

ASK_AGAIN_SECONDS = 2.0
_latest: dict[str, tuple[float, str]] = {}


@lru_cache(maxsize=8)
def opened(digest: str) -> Rulebook:
    """The bundle with this digest, parsed. Raises Bundle.DoesNotExist."""
    return Rulebook(json.loads(Bundle.objects.get(digest=digest).files))


def _standing() -> QuerySet[Activation]:
    """What was taken into force, less what was called off before its day."""
    return Activation.objects.exclude(proposal__state=State.CALLED_OFF)


def digest_at(at: datetime) -> str | None:
    """The digest of the policy in force at a moment (None: nothing was ever activated)."""
    row = _standing().filter(from_at__lte=at).order_by("-from_at", "-pk").values_list("bundle__digest").first()
    return row[0] if row else None


def begun() -> bool:
    """Whether any policy was ever taken into force; asked of a database of any release, so no column is named."""
    return Activation.objects.exists()


def known(digest: str) -> Rulebook | None:
    """The bundle with this digest, or None when there is none."""
    try:
        return opened(digest) if len(digest) == 64 else None
    except Bundle.DoesNotExist:
        return None


@dataclass(frozen=True)
class InForce:
    """One stretch of time and the bundle that ruled it. `until` None: the last one so far; `coming`: not begun yet."""

    digest: str
    from_at: datetime
    until: datetime | None
    by: str
    second: str
    why: str
    proposal_id: int | None
    coming: bool
    who: str = ""  # who proposed it, by name


def activations(at: datetime, most: int = 200) -> list[InForce]:
    """What was, is and will be in force, the latest first."""
    found: list[InForce] = []
    until = None
    for row in _standing().select_related("bundle", "proposal").defer("bundle__files", "proposal__changes", "proposal__words").order_by("-from_at", "-pk")[:most]:
        if row.from_at != until:  # of two from one moment on, the later said is the one
            found.append(InForce(row.bundle.digest, row.from_at, until, row.activated_by, row.seconded_by, row.proposal.title if row.proposal else "", row.proposal_id, row.from_at > at, row.proposal.by_name if row.proposal else ""))
        until = row.from_at
    return found


def between(begin: datetime, end: datetime) -> list[InForce]:
    """What was in force between two moments, the latest first: what ruled at the first is the last of it. One question."""
    found = []
    for row in activations(end):
        if not row.coming:
            found.append(row)
            if row.from_at <= begin:
                break
    return found


def since(digest: str, at: datetime) -> datetime | None:
    """From when on this bundle is in force, if it is."""
    row = _standing().filter(from_at__lte=at).order_by("-from_at", "-pk").values_list("bundle__digest", "from_at").first()
    return row[1] if row and row[0] == digest else None


def ruled(digest: str) -> bool:
    """Whether this bundle was ever taken into force."""
    return Activation.objects.filter(bundle__digest=digest).exists()


def proposal(proposal_id: int) -> Proposal | None:
    return Proposal.objects.filter(pk=proposal_id).first()


def proposals(most: int = 50) -> list[Proposal]:
    """What is worked on, waits and was decided, the latest first."""
    return list(Proposal.objects.order_by("-at", "-pk")[:most])


def to_decide(who_key: str, most: int = 10) -> list[Proposal]:
    """Changes that wait for a second person's yes and are not this person's own, the oldest first."""
    return list(Proposal.objects.filter(state=State.WAITING).exclude(by=who_key).order_by("at", "pk")[:most])


def coming(row: Proposal, at: datetime) -> bool:
    """Whether an agreed change waits for its day still."""
    return _standing().filter(proposal=row, from_at__gt=at).exists()


def stale(row: Proposal, at: datetime) -> bool:
    """Whether a yes to it would undo another change: what rules on its day is not what it was made of, or something comes after."""
    from_at = max(at, row.from_at or at)
    return digest_at(from_at) != row.base or _standing().filter(from_at__gt=from_at).exists()


def current() -> Rulebook:
    """The policy in force now. Raises LookupError when the database was never migrated with `careline migrate`."""
    now = time.monotonic()
    held = _latest.get("now")
    if held is None or now - held[0] > ASK_AGAIN_SECONDS:
        digest = digest_at(timezone.now())
        if digest is None:
            raise LookupError("No rulebook is in force. Run `careline migrate`.")
        held = _latest["now"] = (now, digest)
    return opened(held[1])


def forget() -> None:
    """Ask again at the next question (tests, and the process that activated a bundle itself)."""
    _latest.clear()
