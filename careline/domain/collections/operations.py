"""Holds, and what the ladder does to accounts. `climb_many` runs in one short transaction for some accounts: locks them, gathers
the facts again, lets the pure rule decide, and writes what follows in bulk. Whoever comes second finds nothing to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from functools import cache, partial
from typing import Any

from django.conf import settings

from careline.domain.activations import operations as activations
from careline.domain.activations import queries as activation_queries
from careline.domain.activations.operations import Wanted
from careline.domain.activations.rules import Kind
from careline.domain.billing import operations as billing
from careline.domain.billing import queries as billing_queries
from careline.domain.billing import rules as billing_rules
from careline.domain.collections import queries, rules
from careline.domain.collections.models import CallAgain, Climb, Climbing, Hold, LateFee, Placement, Step
from careline.domain.collections.queries import Known
from careline.domain.customers import operations as customers
from careline.domain.customers import queries as customer_queries
from careline.domain.journal import operations as journal
from careline.domain.journal.rules import Entry, account_chain
from careline.domain.ledger import operations as ledger
from careline.foundation.act import Act
from careline.foundation.calendar import civil_date
from careline.foundation.ladder import BARS, Ladder
from careline.foundation.money import shown
from careline.foundation.refusal import refuse
from careline.foundation.tariff import Tariff
from careline.prepared import rewrite_many, write_many, write_rows

RUN = "collections.run"
TOPIC = "collections"
NON_PAYMENT = rules.NON_PAYMENT
Elsewhere = Mapping[int, Collection[int]]  # by account, the bills whose late fee is another system's to levy


# ---------------------------------------------------------------- holds


def place_hold(
    *, act: Act, account_id: int, kind: str, ends_on: date | None, review_on: date | None, amount_minor: int | None = None, bill_id: int | None = None
) -> Hold:
    """Hold an account, a bill of it or an amount from today on. One of the same kind and bill is refused."""
    today = civil_date(act.at, settings.CARRIER_ZONE)
    if any(h.kind == kind and h.bill_id == bill_id for h in queries.in_force([account_id], today)):
        raise refuse("CONFLICT", "A hold of this kind is in force already. Lift it first, or let it stand.", rule="hold-stands")
    return Hold.objects.create(
        reference=journal.next_numbers("hold", "HO")[0], account_id=account_id, kind=kind, bill_id=bill_id, amount_minor=amount_minor,
        starts_on=today, ends_on=ends_on, review_on=review_on, placed_by=act.who.key, placed_at=act.at,
    )  # fmt: skip


def lift_hold(*, act: Act, hold_id: int) -> Hold:
    """Let the ladder go on from here."""
    row = Hold.objects.select_for_update(no_key=True).get(pk=hold_id)
    if row.lifted_at is not None:
        raise refuse("CONFLICT", f"{row.reference} was lifted already.", rule="hold-lifted")
    row.lifted_at, row.lifted_by = act.at, act.who.key
    row.save(update_fields=["lifted_at", "lifted_by"])
    return row


def keep_hold(*, act: Act, hold_id: int, review_on: date) -> Hold:
    """Somebody looked at a hold: it stands, and is looked at again on a day."""
    row = Hold.objects.select_for_update(no_key=True).get(pk=hold_id)
    if row.lifted_at is not None:
        raise refuse("CONFLICT", f"{row.reference} was lifted already.", rule="hold-lifted")
    row.review_on = review_on
    row.save(update_fields=["review_on"])
    return row


# ---------------------------------------------------------------- whom to call again


def call_again(*, act: Act, account_id: int, on: date, start: time | None, asked: bool) -> CallAgain:
    """Put a customer to be called on a day; what was put before is over."""
    called(act=act, account_id=account_id)
    return CallAgain.objects.create(account_id=account_id, on=on, start=start, asked=asked, placed_by=act.who.key, placed_at=act.at)


def called(*, act: Act, account_id: int) -> None:
    """They are called now, or put to another day."""
    CallAgain.objects.filter(account_id=account_id, done_at=None).update(done_at=act.at)


# ---------------------------------------------------------------- the ladder


@dataclass(frozen=True, slots=True)
class Policy:
    """What of the rulebook a run needs. `restore_fee`: of a line that comes back, before tax (minor units);
    `opt_out`: the way out of texts and mails, by language; `silent`: nobody carries messages at this desk, so that notices wait."""

    ladder: Ladder
    tariff: Tariff
    restore_fee: int
    opt_out: Mapping[str, str]
    silent: bool = False


@dataclass
class Applied:
    """What was done: how often each effect, how much it came to (minor units), which accounts were touched, and what was decided of
    all that were looked at, and whose late fee was left to the system that bills them (neither is kept when runs are added up)."""

    effects: Counter[str] = field(default_factory=Counter)
    minor: Counter[str] = field(default_factory=Counter)
    accounts: set[int] = field(default_factory=set)
    judged: list[tuple[Known, rules.Decision]] = field(default_factory=list)
    elsewhere: Elsewhere = field(default_factory=dict)

    def add(self, account_id: int, effect: str, minor: int = 0) -> None:
        self.effects[effect] += 1
        self.minor[effect] += minor
        self.accounts.add(account_id)

    def merge(self, other: Applied) -> None:
        self.effects += other.effects
        self.minor += other.minor
        self.accounts |= other.accounts


@dataclass
class _Work:
    """One account in this transaction: what is decided, and what there is to write of it."""

    known: Known
    decision: rules.Decision
    climb: Climbing | None = None
    said: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)


def billed_elsewhere(found: Iterable[Known], policy: Policy, day: date) -> Elsewhere:
    """Those of the accounts with bills that are due a late fee that another system bills, or billed before we took over. The fee is that
    system's to levy: here it would wait for a next bill that nobody makes, or be charged a second time beside the other system's."""
    due = {known.account.id: rules.fees_due(policy.ladder, known.facts, known.levied, day) for known in found}
    return billing_queries.spared({pk: {d.bill: d.due_on for d in debts} for pk, debts in due.items() if debts}, policy.tariff)


def to_do(found: Known, decision: rules.Decision, policy: Policy, day: date, elsewhere: Elsewhere) -> bool:
    """Is there anything to write for an account? Also told outside the lock, to find out whom to lock. `elsewhere`: the bills whose late
    fee is another system's, by account."""
    if found.paying and not decision.end:
        return False
    return (
        not decision.idle
        or found.to_tell_again(decision.target, policy.ladder)
        or (_held_back(found, decision, policy.ladder) and found.notice is not None and found.notice.state == "queued")
        or (found.row is not None and found.row.settled is False)
        or any(d.bill not in elsewhere.get(found.account.id, ()) for d in rules.fees_due(policy.ladder, found.facts, found.levied, day))
        or (found.row is not None and decision.free.since is not None and decision.free.since < found.row.since)
        or (found.row is not None and decision.target.owed != found.row.owed_minor)
    )


def _held_back(found: Known, decision: rules.Decision, ladder: Ladder) -> bool:
    """The account stands higher than what is held lets it: what it was told last is not so for now."""
    return found.climb is not None and decision.target.index < rules.place_of(ladder, found.climb)


def climb_many(*, act: Act, account_ids: Iterable[int], policy: Policy) -> Applied:
    """Bring these accounts to what follows for them now. Everything is asked again under the locks."""
    day = civil_date(act.at, settings.CARRIER_ZONE)
    ids = sorted(customers.lock_accounts(account_ids))
    ladder = policy.ladder
    done = Applied()
    works: list[_Work] = []
    every = queries.known(ids, day, ladder)
    done.elsewhere = billed_elsewhere(every.values(), policy, day)
    for found in every.values():
        decision = rules.decide(ladder, found.facts, found.climb, day)
        done.judged.append((found, decision))
        if to_do(found, decision, policy, day, done.elsewhere):
            works.append(_Work(found, decision, found.row))
    taken_back: list[int] = []
    before = {w.known.account.id: (w.climb.bar if w.climb else "") for w in works}
    _move(act, works, ladder, policy, taken_back, done)
    journal.withdraw_many(act=act, message_ids=taken_back)
    steps: _Steps = []
    _write_offs(act, works, policy, steps, done)
    _fees(act, works, policy, day, done)
    _final_bills(act, works, policy, steps, done)
    changed = [w.known.account.id for w in works if w.climb is not None and w.climb.bar != before[w.known.account.id]]
    if changed:
        activations.withdraw_many(act=act, account_ids=changed)
    _orders(act, [w for w in works if w.climb is not None and not w.climb.settled], policy, done)
    moving = {w.known.account.id for w in works if w.climb is not None}
    others = [c for c in queries.unsettled(ids) if c.ended_at is not None and c.account_id not in moving]
    if others:  # climbs that are over, whose lines are not back yet
        _orders(act, [_Work(every[c.account_id], _NOTHING, c) for c in others], policy, done)
    _notices(act, works, policy, steps, done)
    placements = _places(act, works, policy, steps, done)
    rows = [w.climb for w in works if w.climb is not None] + others
    for climb in rows:
        climb.judged_at = act.at
    for work in works:
        if work.climb is not None:
            work.climb.owed_minor = work.decision.target.owed
    _keep(rows)
    for step in steps:
        step["climb_id"] = step.pop("climb").id  # the id that a new climb has only now
    for climb, placement in placements:
        placement["climb_id"] = climb.id
    write_rows(Step, steps)
    write_rows(Placement, [placement for _, placement in placements])
    written = {c.account_id for c in rows}
    still = [found.row for pk, found in every.items() if found.row is not None and pk not in written]
    for climb in still:  # looked at, nothing to do: between the nights they are asked about no more
        climb.judged_at = act.at
    rewrite_many(still, ("judged_at",), Climb)
    journal.record_many([
        Entry(account_chain(w.known.account.id), act, RUN, "done", "Ladder: " + "; ".join(w.said), w.data) for w in works if w.said
    ])  # fmt: skip
    return done


_KEPT = ("since", "rung", "rung_days", "turn", "bar", "unbar_fee_minor", "settled", "notice", "noticed", "owed_minor", "judged_at", "ended_at", "ended_for")


def _keep(climbs: Sequence[Climbing]) -> None:
    """Write climbs: new ones, and what changed of others."""
    rewrite_many([c for c in climbs if c.id is not None], _KEPT, Climb)
    write_many([c for c in climbs if c.id is None], Climb)


_NOTHING = rules.Decision(rules.Target(rules.NOWHERE, None, 0), rules.Target(rules.NOWHERE, None, 0))


def _move(act: Act, works: list[_Work], ladder: Ladder, policy: Policy, taken_back: list[int], done: Applied) -> None:
    """Ends, falls and beginnings of climbs. What is over is written here: an account has one open climb at most."""
    ended: list[Climbing] = []
    for work in works:
        account_id, decision, climb = work.known.account.id, work.decision, work.climb
        if climb is not None:
            if decision.bar is not None:
                dear = BARS.index(climb.bar) >= BARS.index(ladder.restore_fee_from) and rules.costs_restoring(ladder, work.known.facts, decision)
                climb.unbar_fee_minor = policy.restore_fee if dear and decision.bar == "" else 0
                climb.bar, climb.settled = decision.bar, False
                work.said.append("lines come back" if decision.bar == "" else "lines come back in part")
                done.add(account_id, "restore")
            fate, down = work.known.notice, bool(decision.end) or decision.position is not None
            if climb.notice is not None and fate is not None and fate.sent_at is None and (down or _held_back(work.known, decision, ladder)):
                if fate.state == "queued":
                    taken_back.append(climb.notice)
                    work.said.append("the notice that waits is taken back")
                if down:  # else it is told after the hold, if there is reason for it then
                    climb.notice = None
            if decision.position is not None:
                rung = ladder.rungs[decision.position] if decision.position >= 0 else None
                climb.rung, climb.rung_days, climb.turn = (rung.code if rung else ""), (rung.days if rung else None), climb.turn + 1
                work.said.append(f"down to {rung.title.lower()}" if rung else "down, held" if decision.target.index < decision.free.index else "down")
                done.add(account_id, "fall")
            if decision.free.since is not None and decision.free.since < climb.since:
                climb.since = decision.free.since
        if decision.end and climb is not None:
            climb.ended_at, climb.ended_for = act.at, decision.end
            work.said.append(f"over: {decision.end}")
            done.add(account_id, f"over, {decision.end}")
            ended.append(climb)
        if decision.begins and decision.free.since is not None:
            made = Climbing(account_id, decision.free.since, act.at, act.at)
            if climb is not None:  # what is left of a bar goes on with the debt that is left
                made.bar, made.settled, made.unbar_fee_minor = climb.bar, climb.settled, climb.unbar_fee_minor
                climb.settled = True
            work.climb = made
    if ended:
        _keep(ended)
        over = [work.known.account.id for work in works if work.decision.end and not work.decision.begins]
        CallAgain.objects.filter(account_id__in=over, done_at=None).update(done_at=act.at)  # there is nothing to call about any more
        for placement in queries.placements([c.id for c in ended if c.id is not None]):
            placement.recalled_at = act.at
            placement.save(update_fields=["recalled_at"])
    for work in works:
        if work.climb is not None:
            for n in work.decision.rungs:
                rung = ladder.rungs[n]
                work.climb.rung, work.climb.rung_days = rung.code, rung.days
                if rung.bar and rung.bar != work.climb.bar:
                    work.climb.bar, work.climb.settled = rung.bar, False


_Steps = list[dict[str, Any]]  # steps as columns, with their climb itself in the place of its id


def _step(act: Act, work: _Work, rung: str, effect: str, message: int | None = None, what: str = "") -> dict[str, Any]:
    climb = work.climb
    assert climb is not None
    return {"climb": climb, "account_id": climb.account_id, "turn": climb.turn, "rung": rung, "effect": effect, "at": act.at,
            "owed_minor": work.decision.target.owed, "message": message, "what": what[:120]}  # fmt: skip


def _with(works: list[_Work], ladder: Ladder, effect: str) -> Iterable[tuple[_Work, Any]]:
    for work in works:
        for n in work.decision.rungs:
            if effect in ladder.rungs[n].effects:
                yield work, ladder.rungs[n]


def _write_offs(act: Act, works: list[_Work], policy: Policy, steps: _Steps, done: Applied) -> None:
    for work, rung in _with(works, policy.ladder, "write_off"):
        account_id, owed = work.known.account.id, work.decision.target.owed
        last = rules.kept(work.known.facts.debts, work.known.facts.holds)
        entry = ledger.write_off(act=act, account_id=account_id, amount_minor=owed, label="Written off: cannot be collected", last=last)
        assert work.climb is not None
        work.climb.ended_at, work.climb.ended_for = act.at, rules.Ended.WRITTEN_OFF
        called(act=act, account_id=account_id)
        steps.append(_step(act, work, rung.code, "write_off", what=entry.reference))
        work.said.append(f"{shown(owed)} written off, {entry.reference}")
        work.data |= {"write_off": entry.reference, "cite": rung.cite}
        done.add(account_id, "write_off", owed)


def _fees(act: Act, works: list[_Work], policy: Policy, day: date, done: Applied) -> None:
    """The late fee of each bill that is due it, as a charge that the next bill prints. A bill whose fee the bill run levied, when
    it did so, gets none here."""
    found: list[tuple[_Work, rules.Debt]] = []
    for work in works:
        theirs = done.elsewhere.get(work.known.account.id, ())
        found += [(work, debt) for debt in rules.fees_due(policy.ladder, work.known.facts, work.known.levied, day) if debt.bill not in theirs]
    if not found:
        return
    ids = sorted({w.known.account.id for w, _ in found})
    by_bill = billing_queries.with_late_fee_on_bill(ids, min(d.due_on for _, d in found))
    made = []

    @cache  # a function of these two alone, and thousands owe the same
    def fee_on(state: str, owed: int) -> billing_rules.Made | None:
        return billing_rules.late_fee(state, owed, policy.tariff.late_fee)

    for work, debt in found:
        fee = fee_on(work.known.account.state, debt.open)
        if fee is not None and work.known.account.id not in by_bill:
            made.append((work, debt, fee))
    numbers = ledger.charge_next_bill_many(act=act, rows=[
        {"account_id": w.known.account.id, "line_id": None, "kind": "fee", "label": fee.label[:120], "quantity": 1, "unit_price_minor": fee.amount,
         "amount_minor": fee.amount, "tax": "none", "reference": f"bill {debt.bill}"}
        for w, debt, fee in made
    ])  # fmt: skip
    write_rows(LateFee, [
        {"account_id": w.known.account.id, "bill_id": debt.bill, "amount_minor": fee.amount, "charge": number, "at": act.at}
        for (w, debt, fee), number in zip(made, numbers, strict=True)
    ])  # fmt: skip
    cites = billing_rules.cites(policy.tariff)
    for (work, _, fee), number in zip(made, numbers, strict=True):
        work.said.append(f"late fee {shown(fee.amount)}, {number}")
        work.data |= {"late_fee": number, "fee_cite": cites.get(fee.source_key or "")}
        done.add(work.known.account.id, "late_fee", fee.amount)


def _final_bills(act: Act, works: list[_Work], policy: Policy, steps: _Steps, done: Applied) -> None:
    found = list(_with(works, policy.ladder, "final_bill"))
    if found:
        billing.make_final_many(act=act, account_ids=[w.known.account.id for w, _ in found], reference="final bill")
    for work, rung in found:
        steps.append(_step(act, work, rung.code, "final_bill"))
        work.said.append("the next bill is the last")
        done.add(work.known.account.id, "final_bill")
    for effect in ("suspend", "disconnect"):
        for work, rung in _with(works, policy.ladder, effect):
            steps.append(_step(act, work, rung.code, effect))
            work.said.append(rung.title[0].lower() + rung.title[1:])
            work.data["cite"] = rung.cite
            done.add(work.known.account.id, effect)


def _orders(act: Act, works: list[_Work], policy: Policy, done: Applied) -> None:
    """Orders that make the lines stand as their climbs say. With nothing left to order and nothing with the network, they do."""
    climbs = {w.climb.account_id: w.climb for w in works if w.climb is not None}
    if not climbs:
        return
    busy = activation_queries.in_flight_accounts(list(climbs))
    wanted: list[Wanted] = []
    day = civil_date(act.at, settings.CARRIER_ZONE)
    for line in customer_queries.lines_barred_for(list(climbs), NON_PAYMENT):
        climb = climbs[line.account_id]
        is_at = (line.bar or "all") if line.status == "suspended" else ""
        if is_at == climb.bar:
            continue
        kind = {"": Kind.RESTORE, "gone": Kind.DISCONNECT}.get(climb.bar, Kind.SUSPEND)
        key = f"ladder:{climb.account_id}:{climb.since:%Y%m%d}:{climb.turn}:{climb.bar}:{line.pk}:{day:%Y%m%d}"
        fee = climb.unbar_fee_minor if kind == Kind.RESTORE else 0
        wanted.append(Wanted(climb.account_id, line.pk, kind, key, NON_PAYMENT, climb.bar if kind == Kind.SUSPEND else "", fee))
    made = activations.ask_many(act=act, wanted=wanted)
    waits = busy | {w.account_id for w in wanted}
    for order in made:
        done.add(order.account_id, f"order, {order.kind}")
    for climb in climbs.values():
        climb.settled = climb.account_id not in waits


def _notices(act: Act, works: list[_Work], policy: Policy, steps: _Steps, done: Applied) -> None:
    """The notices of the rungs that were reached, each on the first channel that reaches the customer and is not refused; and
    those that never went, on the next."""
    wanted: list[tuple[_Work, Any, bool]] = [(w, rung, False) for w, rung in _with(works, policy.ladder, "notice")]
    told = {id(w) for w, _, _ in wanted}
    for work in works:
        if work.climb is None or work.climb is not work.known.row or work.climb.notice is None or work.climb.ended_at:
            continue
        rung = next((r for r in policy.ladder.rungs if r.code == work.climb.rung), None)
        if rung is not None and rung.channels and work.known.to_tell_again(work.decision.target, policy.ladder) and id(work) not in told:
            wanted.append((work, rung, True))
    ids = sorted({w.known.account.id for w, _, _ in wanted})
    if not ids:
        return
    numbers = customer_queries.texted(ids)
    refused = customer_queries.refused(ids, (TOPIC, "all"))
    tellings, sent = [], []
    body_of = cache(partial(_body, policy))  # thousands are told the same
    for work, rung, again in wanted:
        channels = list(rung.channels)
        if again and work.known.notice is not None and work.known.notice.state == "failed" and work.known.notice.channel in channels:
            channels = channels[channels.index(work.known.notice.channel) + 1 :] or ["letter"]
        account = work.known.account
        to, channel = _address(work, rung, channels, numbers, refused)
        if not to:
            work.said.append(f"{rung.title.lower()}: no channel is left, nothing sent")
            steps += [] if again else [_step(act, work, rung.code, "notice", what="no channel")]
            done.add(account.id, "notice without a channel")
            continue
        body = body_of(rung.code, account.language, channel, work.decision.target.owed, work.decision.target.since)
        tellings.append(journal.Telling(TOPIC, channel, to, body, f"ladder:{account.id}:{rung.code}", account.id))
        sent.append((work, rung, channel, again))
    for (work, rung, channel, again), message in zip(sent, journal.tell_many(act=act, tellings=tellings), strict=True):
        assert work.climb is not None
        work.climb.notice, work.climb.noticed = message, work.climb.noticed or rung.days >= 0
        if not again:
            steps.append(_step(act, work, rung.code, "notice", message, channel))
        unsent = ", not sent: there is no messaging provider" if policy.silent else ""
        work.said.append(f"{rung.title.lower()} by {channel}{', for the one before never went' if again else ''}{unsent}")
        work.data.setdefault("cite", rung.cite)
        done.add(work.known.account.id, "notice")
        done.add(work.known.account.id, f"notice, {rung.code}")


def _address(work: _Work, rung: Any, channels: Sequence[str], numbers: dict[int, str], refused: set[tuple[int, str]]) -> tuple[str, str]:
    account = work.known.account
    for channel in channels:
        if channel != "letter" and (account.id, channel) in refused:
            continue
        if channel == "sms" and account.id in numbers and (work.climb is None or work.climb.bar in ("", "outgoing")):
            return numbers[account.id], channel
        if channel == "email" and account.email:
            return account.email, channel
        if channel == "letter":
            return account.reference, channel  # whoever prints letters knows the address
    return "", ""


def _body(policy: Policy, code: str, language: str, channel: str, owed: int, due: date | None) -> str:
    ladder = policy.ladder
    language = language.partition("-")[0].lower()
    words = ladder.texts[code].get(language)
    text, language = (words, language) if words else (ladder.texts[code]["en"], "en")
    day = "" if due is None else f"{due:%b} {due.day}" if language == "en" else f"{due.day}/{due.month}/{due.year}"
    out = "" if channel == "letter" else policy.opt_out.get(language, policy.opt_out["en"])
    return text.format(carrier=settings.CARRIER_NAME, amount=shown(owed), due=day) + out


def _places(act: Act, works: list[_Work], policy: Policy, steps: _Steps, done: Applied) -> list[tuple[Climbing, dict[str, Any]]]:
    """What goes to an agency: the climb, and the placement as columns but for its climb's id."""
    made: list[tuple[Climbing, dict[str, Any]]] = []
    for work, rung in _with(works, policy.ladder, "place"):
        assert work.climb is not None
        owed = work.decision.target.owed
        steps.append(_step(act, work, rung.code, "place"))
        made.append((work.climb, {"account_id": work.known.account.id, "amount_minor": owed, "placed_at": act.at}))
        work.said.append(f"{shown(owed)} placed with an agency")
        work.data["cite"] = rung.cite
        done.add(work.known.account.id, "place", owed)
    return made


def file_placements(*, act: Act, most: int = 5000) -> str:
    """Number the next file for the agency: placements and recalls that none has said. Returns its number; empty: there is nothing."""
    number = journal.next_numbers("placements", "PF")[0]  # locks: two at once follow each other
    rows = queries.unfiled()[:most]
    if not rows:
        return ""
    for row in rows:
        if not row.file:
            row.file = number
        if row.recalled_at is not None:
            row.recall_file = number
    Placement.objects.bulk_update(rows, ["file", "recall_file"], batch_size=500)
    return number
