"""The acts of supervision: open an account for a reason of the house, break the glass in an emergency, take note that somebody did."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from careline.acts.declare import ActType, Done, Id, Input, Locks, Scene, ShortWords
from careline.acts.perform import bare_facts
from careline.domain.customers import queries as customers
from careline.domain.journal import rules as journal
from careline.domain.journal.operations import tell
from careline.domain.oversight import operations
from careline.domain.oversight.rules import Kind
from careline.domain.staff import queries as staff
from careline.foundation.act import Act, Basis, Level, Who
from careline.foundation.refusal import refuse
from careline.foundation.rulebook import Rulebook


class Open(Input):
    """`reason` is one of reasons.toml, [opening]; `words` say what for."""

    account: Id
    reason: ShortWords
    words: Annotated[str, Field(min_length=3, max_length=400)]


class Note(Input):
    opening: Id


def _locks(given: Open) -> Locks:
    return Locks(accounts=(given.account,))


def _open(act: Act, given: Open, scene: Scene, kind: Kind) -> Any:
    policy = scene.rulebook.reasons.get("opening", {}).get(given.reason)
    if policy is None or bool(policy.get("glass", False)) != (kind == Kind.GLASS):
        raise refuse("INVALID", "Choose a reason of the list.", fields={"reason": "Choose one of the list."})
    row = operations.open_account(
        act=act, account_id=given.account, kind=kind, reason=given.reason, minutes=scene.rulebook.limits["opening"][f"{kind.value}_minutes"]
    )
    return row, str(policy["title"])


def audit(act: Act, given: Open, scene: Scene) -> Done:
    row, title = _open(act, given, scene, Kind.AUDIT)
    return Done(f"Opened the account to look into it: {title.lower()}", {"opening": str(row.pk)}, data={"opening": str(row.pk), "reason": given.reason},
                payload={"words": given.words}, chain=journal.account_chain(given.account))  # fmt: skip


def break_glass(act: Act, given: Open, scene: Scene) -> Done:
    """Every supervisor is told at once, whoever it was: by e-mail where they have an address, and on their pages until one takes note."""
    row, title = _open(act, given, scene, Kind.GLASS)
    found = customers.account(given.account)
    told = 0
    for person in staff.colleagues(scene.rulebook.authority.roles_with("oversight.note")):
        if str(person.pk) != act.who.id and person.email:
            tell(act=act, topic="break_glass", channel="email", to=person.email, account_id=None, about=f"opening:{row.pk}",
                 subject=f"Emergency access by {act.who.name}",
                 body=f"{act.who.name} opened account {found.reference if found else ''} in an emergency: {title.lower()}. Take note of it under Supervision.")  # fmt: skip
            told += 1
    mailed = f"{told} supervisor{'s' if told > 1 else ''} told by e-mail" if told else "no other supervisor has an e-mail address, so it waits on Supervision"
    return Done(f"Broke the glass: {title.lower()}; {mailed}", {"opening": str(row.pk)}, data={"opening": str(row.pk), "reason": given.reason, "told": told},
                payload={"words": given.words}, chain=journal.account_chain(given.account))  # fmt: skip


def note(act: Act, given: Note, scene: Scene) -> Done:
    row = operations.note(act=act, opening_id=given.opening)
    return Done(f"Took note that {row.staff.name} opened this account", {"opening": str(row.pk)}, data={"opening": str(row.pk)}, chain=journal.account_chain(row.account_id))


def scene_of(row: Any, who: Who, rulebook: Rulebook, at: datetime) -> Scene:
    """What an opening allows now: its own maker, until it ends; nobody else."""
    open_now = row.at <= at < row.until
    facts = bare_facts(kind="audit" if open_now else "none", level=int(Level.VERIFIED if open_now else Level.NONE), mine=str(row.staff_id) == who.id,
                       ownBusiness=customers.ties_with(row.account_id, who))  # fmt: skip
    return Scene(rulebook, Basis("audit" if open_now else "none", row.pk, row.account_id, int(facts["level"])), facts)



ACTS = [
    ActType("oversight.audit", "Open an account to look into it", Open, audit, locks=_locks, chooses="account"),
    ActType("oversight.break_glass", "Break the glass", Open, break_glass, locks=_locks, chooses="account"),
    ActType("oversight.note", "Take note of an opening", Note, note),
]
