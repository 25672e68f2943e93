"""Opening an account for a reason of the house, and taking note that somebody did."""

from __future__ import annotations

from datetime import timedelta

from careline.domain.oversight.models import Opening
from careline.foundation.act import Act
from careline.foundation.refusal import refuse


def open_account(*, act: Act, account_id: int, kind: str, reason: str, minutes: int) -> Opening:
    return Opening.objects.create(
        account_id=account_id, staff_id=int(act.who.id), kind=kind, reason=reason, at=act.at, until=act.at + timedelta(minutes=minutes)
    )


def note(*, act: Act, opening_id: int) -> Opening:
    """Somebody else took note; who comes second is told who was first."""
    row = Opening.objects.select_for_update(no_key=True, of=("self",)).select_related("staff").filter(pk=opening_id).first()
    if row is None:
        raise refuse("NOT_FOUND", "There is no such opening.")
    if str(row.staff_id) == act.who.id:
        raise refuse("AUTHORITY", "You opened it yourself. Somebody else takes note.", rule="own-opening")
    if row.noted_at is not None:
        raise refuse("CONFLICT", "Somebody took note of it already.")
    row.noted_by_id, row.noted_at = int(act.who.id), act.at
    row.save(update_fields=["noted_by", "noted_at"])
    return row
