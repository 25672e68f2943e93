"""Which policy is in force. Bundles never change, so each is opened once a process; which one is in force is asked
again every two seconds, so that every running process takes up a new one within seconds."""

from __future__ import annotations

import json
import time
from datetime import datetime
from functools import lru_cache

from careline.domain.rulebook.models import Activation, Bundle
from careline.foundation.rulebook import Rulebook

ASK_AGAIN_SECONDS = 2.0
_latest: dict[str, tuple[float, str]] = {}


@lru_cache(maxsize=8)
def opened(digest: str) -> Rulebook:
    """The bundle with this digest, parsed. Raises Bundle.DoesNotExist."""
    return Rulebook(json.loads(Bundle.objects.get(digest=digest).files))


def digest_at(at: datetime) -> str | None:
    """The digest of the policy in force at a moment (None: nothing was ever activated)."""
    row = Activation.objects.filter(from_at__lte=at).order_by("-from_at", "-pk").values_list("bundle__digest").first()
    return row[0] if row else None


def current() -> Rulebook:
    """The policy in force now. Raises LookupError when the database was never migrated with `careline migrate`."""
    now = time.monotonic()
    held = _latest.get("now")
    if held is None or now - held[0] > ASK_AGAIN_SECONDS:
        row = Activation.objects.order_by("-from_at", "-pk").values_list("bundle__digest", "from_at")
        from django.utils import timezone

        digest = next((d for d, from_at in row[:5] if from_at <= timezone.now()), None)
        if digest is None:
            raise LookupError("No rulebook is in force. Run `careline migrate`.")
        held = _latest["now"] = (now, digest)
    return opened(held[1])


def forget() -> None:
    """Ask again at the next question (tests, and the process that activated a bundle itself)."""
    _latest.clear()
