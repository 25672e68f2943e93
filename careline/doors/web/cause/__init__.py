"""Find the cause: a guide walked on the contact page, one step at a time, with what is known beside it.

What stands on the page comes from the walk alone (its guide and its answers); what is posted goes through the acts of the
diagnosis. A remedy that is an act opens that act's own form with what the guide knows filled in; once it is done, the walk
is told so by the same click.
"""

from careline.doors.web.cause.end import DISPOSITIONS, MESSAGE, ROOT_CAUSES, message, wrap_up
from careline.doors.web.cause.panel import banner, panel
from careline.doors.web.cause.posted import KINDS, after, close_settled, follow, is_stale, proposes, read
from careline.doors.web.cause.words import address

__all__ = [
    "DISPOSITIONS", "KINDS", "MESSAGE", "ROOT_CAUSES", "address", "after", "banner", "close_settled", "follow", "is_stale", "message", "panel", "proposes", "read", "wrap_up",
]  # fmt: skip
