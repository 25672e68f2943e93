"""The acts that protect: a survivor's line on an account of its own, a legal hold, and the redaction of personal words.

A line that is separated leaves no word on the account that it leaves: the deed stands on the new account's chain, a refusal on
the house's, and the contact goes along. Nobody is told but the caller [47 U.S.C. 345; 47 CFR 64.6400-64.6407].
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from django.conf import settings
from pydantic import Field

from careline.acts.care import OfAccount, Reason, policy_of
from careline.acts.contacts import expired_lines
from careline.acts.declare import ActType, Day, Done, Id, Locks, Scene
from careline.domain.activations import operations as activations
from careline.domain.approvals import operations as approvals
from careline.domain.billing import operations as billing
from careline.domain.contacts import operations as contacts
from careline.domain.customers import queries as customers
from careline.domain.customers.operations import care as operations
from careline.domain.customers.queries import care
from careline.domain.customers.rules import LineStatus, name_words
from careline.domain.diagnosis import operations as diagnosis
from careline.domain.journal import operations as journal_operations
from careline.domain.journal import queries as journal_queries
from careline.domain.journal import rules as journal
from careline.foundation.act import Act
from careline.foundation.calendar import civil_date
from careline.foundation.refusal import refuse


class SeparateLine(OfAccount):
    """`lines`: the survivor's, and those of people in their care. `name`: what they want to be called. `seen`: what the law asks
    to be shown was looked at; none of it is kept."""

    lines: Annotated[list[Id], Field(min_length=1, max_length=20)]
    name: Annotated[str, Field(min_length=1, max_length=160)]
    seen: bool = False


class PlaceLegalHold(OfAccount):
    """`matter`: what the legal unit calls it."""

    matter: Annotated[str, Field(min_length=1, max_length=80)]
    words: Annotated[str, Field(max_length=400)] = ""


class LiftLegalHold(OfAccount):
    """`hold`: its number."""

    hold: Annotated[str, Field(min_length=4, max_length=40)]
    words: Reason


class Redact(OfAccount):
    """What one line of the journal says of a person (`line`, its id), or what all lines before a day do."""

    line: Id | None = None
    before: Day | None = None
    words: Reason


def _account(given: OfAccount) -> Locks:
    return Locks(accounts=(given.account,))


def separate_line(act: Act, given: SeparateLine, scene: Scene) -> Done:
    policy_of(scene)
    lines = {n.pk: n for n in customers.lines_of(given.account) if n.status != LineStatus.CANCELLED}
    if not set(given.lines) <= set(lines):
        raise refuse("NOT_FOUND", "Choose lines of this account.", fields={"lines": "Choose one or more."})
    if set(given.lines) == set(lines):
        say = "That is every line there is. Change who may speak for the account instead, and lock it."
        raise refuse("CONFLICT", say, fields={"lines": say})
    if not name_words(given.name):
        raise refuse("INVALID", "Write the name that they want to be called.", fields={"name": "Write a name."})
    if not given.seen:
        say = "Look at what the law asks for first, and tick that you did. Nothing of it is kept here."
        raise refuse("INVALID", say, fields={"seen": say})
    before = act.basis.account_id
    account, person = operations.separate_lines(
        act=act, account_id=given.account, line_ids=given.lines, name=given.name, language=customers.language_of(given.account),
        today=civil_date(act.at, settings.CARRIER_ZONE),
    )  # fmt: skip
    activations.end_transfer_pins(act=act, line_ids=given.lines)
    billing.follow_lines(act=act, line_ids=given.lines, account_id=account.pk)
    diagnosis.follow_lines(act=act, line_ids=given.lines, account_id=account.pk)
    contacts.take_along(act=act, account_id=account.pk, person_id=person.pk)
    expired = expired_lines(approvals.end_with_account(act=act, contact_id=act.basis.contact_id or 0, account_id=account.pk))
    if before is not None and not care.legal_holds(before):
        said = journal_queries.personal(journal.account_chain(before), basis=act.basis.key)
        journal_operations.redact(act=act, line_ids=[line.id for line in said])
    count = len(given.lines)
    return Done(
        f"{count} {'line' if count == 1 else 'lines'} under protection on an account of their own, locked against SIM change and port-out",
        {"account": str(account.pk), "reference": account.reference},
        data={"cite": policy_of(scene)["protection"]["cite"]}, payload={"from": str(given.account), "name": given.name},
        chain=journal.account_chain(account.pk), also=expired,
    )  # fmt: skip


def place_legal_hold(act: Act, given: PlaceLegalHold, scene: Scene) -> Done:
    row = operations.place_legal_hold(act=act, account_id=given.account, matter=given.matter)
    return Done(f"{row.reference}: legal hold; nothing of this account is redacted", {"hold": row.reference}, payload={"matter": given.matter, "words": given.words})


def _hold(given: LiftLegalHold) -> Any:
    found = next((h for h in care.legal_holds(given.account) if h.reference == given.hold), None)
    if found is None:
        raise refuse("NOT_FOUND", f"There is no legal hold {given.hold} in force on this account.")
    return found


def lift_facts(scene: Scene, act: Act, given: LiftLegalHold) -> dict[str, Any]:
    return {"legalHold": {"mine": _hold(given).placed_by == act.who.key}}


def lift_legal_hold(act: Act, given: LiftLegalHold, scene: Scene) -> Done:
    row = _hold(given)
    operations.lift_legal_hold(act=act, hold_id=row.pk)
    return Done(f"{row.reference}: legal hold lifted", {"hold": row.reference}, payload={"words": given.words})


def redact_facts(scene: Scene, act: Act, given: Redact) -> dict[str, Any]:
    return {"redaction": {"held": bool(care.legal_holds(given.account))}}


def redact(act: Act, given: Redact, scene: Scene) -> Done:
    """The lines stay, and their chain proves itself; their personal words go, and the copies of them that other rooms keep."""
    if (given.line is None) == (given.before is None):
        say = "Choose one line, or a day."
        raise refuse("INVALID", say, fields={"before": say})
    if given.before is not None and given.before > civil_date(act.at, settings.CARRIER_ZONE):
        raise refuse("INVALID", "That day is not over.", fields={"before": "Choose today or earlier."})
    before = datetime.combine(given.before, time(), ZoneInfo(settings.CARRIER_ZONE)) if given.before else None
    found = journal_queries.personal(journal.account_chain(given.account), line_id=given.line, before=before)
    kept = {line.id: rule for line in found if (rule := _kept(line, act, scene)) is not None}
    gone = [line for line in found if line.id not in kept]
    if not gone:
        cite = next((rule["cite"] for rule in kept.values()), "")
        say = "Its time to be kept is not over." if kept else "There is nothing personal left to redact."
        raise refuse("CONFLICT", say, rule="kept" if kept else "", cite=cite)
    journal_operations.redact(act=act, line_ids=[line.id for line in gone])
    moments = [line.at for line in gone]
    contacts.redact_words(act=act, account_id=given.account, moments=moments)
    approvals.redact_words(act=act, account_id=given.account, moments=moments)
    operations.redact_former(act=act, account_id=given.account, moments=moments)
    count = f"{len(gone)} {'line' if len(gone) == 1 else 'lines'}"
    still = f"; {len(kept)} kept until their time is over" if kept else ""
    return Done(f"Personal words of {count} redacted{still}", data={"lines": [line.seq for line in gone], "kept": len(kept)}, payload={"words": given.words})


def _kept(line: journal_queries.Personal, act: Act, scene: Scene) -> dict[str, Any] | None:
    """The rule by which a line has to be kept for longer."""
    rules: dict[str, dict[str, Any]] = policy_of(scene).get("redaction", {})
    return next((r for r in rules.values() if line.code.startswith(r["starts"]) and act.at - line.at < timedelta(days=int(r["days"]))), None)


ACTS = [
    ActType("customers.separate_line", "Separate a survivor's line", SeparateLine, separate_line, locks=_account, apart=True),
    ActType("customers.place_legal_hold", "Place a legal hold", PlaceLegalHold, place_legal_hold, locks=_account),
    ActType("customers.lift_legal_hold", "Lift a legal hold", LiftLegalHold, lift_legal_hold, locks=_account, facts=lift_facts,
            opening={"legalHold": {"mine": False}}),
    ActType("customers.redact", "Redact personal words", Redact, redact, locks=_account, facts=redact_facts, opening={"redaction": {"held": False}}),
]  # fmt: skip
