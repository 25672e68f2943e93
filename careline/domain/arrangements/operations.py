"""Agreeing, agreeing anew, calling off, and finding out how it went. The account is locked; authority was asked before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal

from careline.domain.arrangements import queries, rules
from careline.domain.arrangements.models import Arrangement, Covered, Instalment, Terms
from careline.domain.customers import operations as customers
from careline.domain.journal.operations import next_numbers
from careline.domain.ledger import operations as ledger
from careline.domain.ledger import queries as ledger_queries
from careline.foundation.act import Act
from careline.foundation.refusal import refuse


@dataclass(frozen=True, slots=True)
class Promise:
    """What is agreed beside the parts, as `Terms` keeps it: the days of grace, who agreed, the words that were read out and sent and to which
    last four, the saved method that later parts are charged to, and whether it ends autopay when it breaks."""

    grace_days: int
    person_id: int | None
    read_out: str
    told: str
    told_to: str
    method_id: int | None = None
    autopay_off: bool = False


def next_number() -> str:
    """The number of an arrangement to be: what is told to the customer names it."""
    return next_numbers("arrangement", "AR")[0]


def agree(
    *, act: Act, account_id: int, number: str, parts: Sequence[rules.Part], promise: Promise, fee_minor: int
) -> Arrangement:
    """An arrangement about all that is past due today, in parts that sum to it. A fee waits for the next bill. Refused where
    one runs already, whoever agreed it."""
    today = ledger.carrier_day(act.at)
    if queries.living(account_id, today) is not None:
        raise refuse("CONFLICT", "An arrangement runs already on this account. Change it, or cancel it first.", rule="arrangement-living")
    row = Arrangement.objects.create(number=number, account_id=account_id, agreed_on=today, check_on=today)
    _terms(act, row, 1, parts, promise)
    _move(act, _standing(account_id, today))
    if fee_minor:
        ledger.charge_next_bill(
            act=act, account_id=account_id, line_id=None, kind="fee", label="Payment arrangement", quantity=Decimal(1),
            unit_price_minor=fee_minor, amount_minor=fee_minor, day=today, reference=number,
        )  # fmt: skip
    return row


def agree_anew(*, act: Act, account_id: int, parts: Sequence[rules.Part], promise: Promise) -> Terms:
    """Other parts for a living arrangement, about all that is past due by now. What was agreed before stays on record."""
    today = ledger.carrier_day(act.at)
    found = _standing(account_id, today)
    terms = _terms(act, found.row, found.terms.version + 1, parts, promise)
    Arrangement.objects.filter(pk=found.row.pk).update(charge_stopped_at=None)  # what was agreed now counts
    _move(act, _standing(account_id, today))
    return terms


def stop_charging(*, act: Act, account_id: int) -> queries.Standing:
    """The parts of a living arrangement are charged no more: the customer pays them. Refused where none is."""
    found = _standing(account_id, ledger.carrier_day(act.at))
    if found.charged_to is None:
        raise refuse("CONFLICT", "No part of this arrangement is charged by us. There is nothing to stop.", rule="nothing-charged")
    found.row.charge_stopped_at = act.at
    found.row.save(update_fields=["charge_stopped_at"])
    return found


def cancel(*, act: Act, account_id: int) -> queries.Standing:
    """Call a living arrangement off: what is past due is collected as if there were none. Says how it stood."""
    today = ledger.carrier_day(act.at)
    found = _standing(account_id, today)
    _end(act, found.row, rules.State.CANCELLED, today)
    found.row.save(update_fields=["state", "check_on", "ended_on", "ended_at"])
    return found


def look_again(*, act: Act, account_id: int) -> queries.Standing | None:
    """After money came or went back: close the account's arrangement when all is here, else say when to look next. Returns it
    where it was kept; that it is broken, the night finds."""
    found = queries.living(account_id, ledger.carrier_day(act.at))
    if found is None:
        return None
    _move(act, found)
    return found if found.row.state == rules.State.KEPT else None


def settle_many(*, act: Act, account_ids: Sequence[int], day: date) -> list[queries.Standing]:
    """Of these accounts, end the living arrangements that are kept or broken as of a day, each once, whatever nights were missed;
    of the others, say when to look next. Returns those that ended."""
    ended, waits = [], []
    for found in queries.standing_many(sorted(customers.lock_accounts(account_ids)), day):
        row, progress = found.row, found.progress
        if progress.state == rules.State.BROKEN:
            assert progress.broken_on is not None and progress.missed is not None
            _end(act, row, rules.State.BROKEN, progress.broken_on)
            row.missed_on = progress.parts[progress.missed - 1].due_on
            ended.append(found)
        elif progress.state == rules.State.KEPT:
            _end(act, row, rules.State.KEPT, day)
            ended.append(found)
        elif row.check_on != progress.check_on:
            row.check_on = progress.check_on
            waits.append(row)
    customers.end_autopay_many(act=act, account_ids=[s.row.account_id for s in ended if s.row.state == rules.State.BROKEN and s.terms.autopay_off])
    Arrangement.objects.bulk_update([s.row for s in ended] + waits, ["state", "check_on", "ended_on", "ended_at", "missed_on"], batch_size=500)
    return ended


def moves(found: queries.Standing) -> bool:
    """Would `settle_many` write anything about this living arrangement? Also told outside the lock, to find out whom to lock."""
    return found.progress.state != rules.State.ALIVE or found.row.check_on != found.progress.check_on


def _standing(account_id: int, today: date) -> queries.Standing:
    found = queries.living(account_id, today)
    if found is None:
        raise refuse("CONFLICT", "No arrangement runs on this account.", rule="no-arrangement")
    return found


def _move(act: Act, found: queries.Standing) -> None:
    """Kept at once where all is here; otherwise the next day to look. What is broken already is looked at next."""
    row, progress = found.row, found.progress
    if progress.state == rules.State.KEPT:
        _end(act, row, rules.State.KEPT, ledger.carrier_day(act.at))
    else:
        row.check_on = progress.check_on or ledger.carrier_day(act.at)
    row.save(update_fields=["state", "check_on", "ended_on", "ended_at"])


def _end(act: Act, row: Arrangement, state: rules.State, on: date) -> None:
    row.state, row.check_on, row.ended_on, row.ended_at = state, None, on, act.at


def _terms(act: Act, row: Arrangement, version: int, parts: Sequence[rules.Part], promise: Promise) -> Terms:
    """What was agreed, kept as it was agreed. Refused when the parts do not come to what is past due now."""
    today = ledger.carrier_day(act.at)
    overdue = [b for b in ledger_queries.bills_of(row.account_id) if b.open_minor > 0 and b.due_on < today]
    owed = sum(b.open_minor for b in overdue)
    if rules.fault(parts, owed, today):
        raise refuse("CONFLICT", "What is past due changed in this moment. Look again.", rule="arrangement-sum")
    asked = act.asked_by or act.who
    terms = Terms.objects.create(
        arrangement=row, version=version, amount_minor=owed, agreed_on=today, at=act.at,
        contact_id=act.basis.contact_id, agreed_by_id=int(asked.id), approved_by_id=int(act.who.id) if act.asked_by else None,
        **asdict(promise),
    )  # fmt: skip
    Instalment.objects.bulk_create(Instalment(terms=terms, number=n, due_on=p.due_on, amount_minor=p.amount_minor) for n, p in enumerate(parts, 1))
    Covered.objects.bulk_create(Covered(terms=terms, bill_id=b.id, open_minor=b.open_minor) for b in overdue)
    return terms
