"""The table of counters that throttle sign-ins and tokens, shared by all processes."""

from __future__ import annotations

import logging
from typing import Any

from django.core.cache.backends.db import DatabaseCache

log = logging.getLogger("careline.web")


class Counters(DatabaseCache):
    """Django's cache in the database, which says when it makes room: then somebody counts up more than is usual."""

    def _cull(self, db: str, cursor: Any, now: Any, num: int) -> None:
        super()._cull(db, cursor, now, num)
        log.warning("the table of sign-in counters was full (%s): those that had ended were thrown away", num)
