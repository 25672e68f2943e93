"""A policy for benchmarks, which work faster than people: nobody searches or credits too often."""

from __future__ import annotations

import re

OFTEN = re.compile(r"^(?:per_hour|value|count) = .*$", re.M)


def lift() -> None:
    """Put the settings' rulebook in force without its limits of searches an hour and of credits a day. Django is set up, the house migrated."""
    from django.conf import settings
    from django.utils import timezone

    from careline.domain.rulebook import operations
    from careline.foundation.rulebook import Rulebook, read_folder
    from tests import people

    files = read_folder(settings.RULEBOOK_FOLDER)
    files["limits.toml"], found = OFTEN.subn(lambda line: re.sub(r"[1-9]\d*", "100000000", line[0]), files["limits.toml"])
    assert found == 3, "limits.toml writes its limits otherwise now"
    now = timezone.now()
    operations.activate(act=people.carrier_act(now), rulebook=Rulebook(files), from_at=now, seconded_by="Job:bench")
