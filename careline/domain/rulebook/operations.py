"""Taking a bundle into force."""

from __future__ import annotations

import json
from datetime import datetime

from careline.domain.rulebook import queries
from careline.domain.rulebook.models import Activation, Bundle
from careline.foundation.act import Act
from careline.foundation.rulebook import Rulebook


def activate(*, act: Act, rulebook: Rulebook, from_at: datetime, seconded_by: str) -> str:
    """Store a checked bundle and put it into force from a moment on. Returns its digest; raises RulebookFault."""
    rulebook.check()
    bundle, _ = Bundle.objects.get_or_create(
        digest=rulebook.digest, defaults={"files": json.dumps(dict(rulebook.files)), "stored_at": act.at}
    )
    Activation.objects.create(
        bundle=bundle, from_at=from_at, at=act.at, activated_by=act.who.key, seconded_by=seconded_by
    )
    queries.forget()
    return rulebook.digest
