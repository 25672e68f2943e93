"""`perform`: the only way from a door to a change.

One transaction: lock (accounts by id, the basis row, the daily limit, document counters, chain heads: always in this
order) -> the time -> was this request key used before? -> is the basis for this account? -> facts under the locks ->
authority -> the deed, in a savepoint -> journal -> outbox -> commit. A refusal is a result: it commits with its line.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.utils import timezone
from pydantic import SecretStr, ValidationError

from careline import telemetry
from careline.acts import table
from careline.acts.declare import (
    SAID,
    ActType,
    BasisRef,
    Done,
    Input,
    Locks,
    Outcome,
    Scene,
)
from careline.acts.verification import ways_there, writes_pin
from careline.domain.approvals import operations as approvals
from careline.domain.contacts import operations as contacts
from careline.domain.contacts import queries as contact_queries
from careline.domain.customers import operations as customers
from careline.domain.customers import queries as customer_queries
from careline.domain.journal import operations as journal
from careline.domain.journal import queries as journal_queries
from careline.domain.journal import rules as journal_rules
from careline.domain.rulebook import queries as rulebooks
from careline.domain.staff import operations as staff
from careline.foundation import cards, pins
from careline.foundation.act import NO_BASIS, Act, Basis, Level, Who
from careline.foundation.authority import Question, Rule, Verdict
from careline.foundation.calendar import civil_date
from careline.foundation.refusal import Refusal, Refused, WayOn
from careline.foundation.rulebook import Rulebook

log = logging.getLogger("careline.authority")

# Each kind of basis but the contact has one fixed level; a request carries the level it was asked at.
FIXED = {"sign_in": Level.VERIFIED, "audit": Level.VERIFIED, "job": Level.VERIFIED, "none": Level.NONE}

NOBODY = "Nobody here may go beyond it."


class _LostRace(Exception):
    """Somebody else spent this request key in this very moment, or changed whose the deed is: run again and find their outcome, or lock the others."""


def perform(
    code: str,
    data: Mapping[str, Any] | Input,
    *,
    who: Who,
    key: str,
    basis: BasisRef = BasisRef(),  # noqa: B008 - frozen
    why: str = "",
    at: datetime | None = None,
) -> Outcome:
    """Do one act for a principal. `key` is the request key: the same key, input, basis and why twice is one deed and one answer.

    `at` is now unless the demo carrier lives through its past. Raises KeyError for a code that is not in the table.
    """
    kind = table.act(code)
    with telemetry.act(code, who.key) as seen:
        outcome = _perform(kind, data, who, key, basis, why, at)
        seen.outcome = outcome.status
        if outcome.refusal is not None:
            seen.labels["rule"] = outcome.refusal.rule or outcome.refusal.code
    return outcome


def _perform(kind: ActType, data: Mapping[str, Any] | Input, who: Who, key: str, basis: BasisRef, why: str, at: datetime | None) -> Outcome:
    try:
        given = data if isinstance(data, Input) else kind.input.model_validate(dict(data))
    except ValidationError as fault:
        return _invalid(kind, fault)
    card = _card_in(given.model_dump(warnings=False)) or ("why" if cards.card_numbers(why) else "")
    if card:
        return Outcome("invalid", cards.MESSAGE, refusal=Refusal("CARD_NUMBER", cards.MESSAGE, fields={card: cards.MESSAGE}))
    if not 8 <= len(key) <= 80 or not key.isprintable():
        say = "Send a request key of 8 to 80 characters that you have not used before."
        return Outcome("invalid", say, refusal=Refusal("INVALID", say, fields={"key": say}))
    digest = _digest(kind, given, basis, why)
    for attempt in (1, 2, 3):
        try:
            outcome, pending = _first(kind, given, digest, who, key, basis, why, at)
            break
        except _LostRace:
            if attempt == 3:
                raise
        except (OperationalError, InterfaceError):
            # After an error at COMMIT the request key says whether the deed is there.
            connection.close()
            spent = journal_queries.spent_key(principal=who.key, key=key)
            if spent is None or spent.digest != digest:
                raise
            return Outcome.from_json(spent.outcome)
    if pending is None:
        return outcome
    assert kind.call is not None
    with telemetry.span(f"call {kind.code}"):
        answer = kind.call(pending.work, given)
    return settle(kind, who=who, key=key, basis=basis, work=pending.work, answer=answer, why=why, at=at)


def _first(
    kind: ActType,
    given: Input,
    digest: str,
    who: Who,
    key: str,
    ref: BasisRef,
    why: str,
    at: datetime | None,
) -> tuple[Outcome, Done | None]:
    rulebook = rulebooks.current()
    with transaction.atomic():
        locks = kind.locks(given)
        found = customers.lock_accounts(locks.accounts) if locks.accounts else set()
        if kind.moves and kind.locks(given) != locks:  # between the look and the lock it became another's
            raise _LostRace
        scene, now = _scene(kind, ref, who, rulebook, given, at, locks)
        day = civil_date(now, settings.CARRIER_ZONE)
        if locks.spending and who.kind in ("Staff", "Agent"):
            staff.lock_spending(staff_id=int(who.id), kind=locks.spending, day=day)
        act = Act(who, now, why, key, scene.basis, rulebook=rulebook.digest)
        spent = journal_queries.spent_key(principal=who.key, key=key)
        if spent is not None:
            return _again(spent, digest), None
        if field := _pin_in(given, why, who, scene):
            return Outcome("invalid", pins.WRITTEN, refusal=Refusal("PIN", pins.WRITTEN, fields={field: pins.WRITTEN})), None
        done: Done | None = None
        chain = kind.house if kind.apart else ""
        try:
            refusal = _mismatch(kind, given, locks, found, scene)
            if refusal is None:
                refusal = judge(kind, scene, act, given, keep=True)
                if refusal is not None and kind.refused is not None and refusal.rule != "not-your-role":
                    chain = kind.refused(act, given, scene, refusal) or chain
        except Refused as no:  # there are no facts to judge by: an unknown reason, a credit of another account
            refusal = no.refusal
        if refusal is None:
            try:
                with transaction.atomic():
                    done = kind.do(act, given, scene)
                refusal = done.refusal
            except Refused as no:
                refusal = no.refusal
        if refusal is not None:
            refusal = passable(refusal, who, rulebook)
            outcome = Outcome("refused", refusal.say, refusal=refusal)
            said = Done(f"{kind.title}: {refusal.say}", data={"rule": refusal.rule, "code": refusal.code}, chain=done.chain if done is not None else chain)
            journal.record(_line(kind.code, kind.house, act, "refused", said))
        else:
            assert done is not None
            status = "pending" if done.pending else "done"
            outcome = Outcome(status, done.say, done.show)
            lines = [_line(code, kind.house, act, "done", other) for code, other in done.also]
            journal.record_many([*lines, _line(kind.code, kind.house, act, status, done)])
            stay_awake(scene, now)
        state = "pending" if done is not None and refusal is None and done.pending else "done"
        work = ""
        if state == "pending" and done is not None:
            if locks.accounts:
                done = replace(done, work={"accounts": list(locks.accounts), **done.work})
            until = done.until.isoformat() if done.until else ""
            work = journal_rules.canonical({"work": done.work, "basis": [ref.kind, ref.id], "why": why, "until": until})
        try:
            with transaction.atomic():
                journal.claim_key(act=act, digest=digest, code=kind.code, outcome=outcome.as_json(), state=state, work=work)
        except IntegrityError:
            raise _LostRace from None
    if done is not None and done.once and refusal is None:
        outcome = replace(outcome, show={**outcome.show, **done.once})
    return outcome, done if state == "pending" and done is not None and done.until is None else None


def settle(
    kind: ActType,
    *,
    who: Who,
    key: str,
    basis: BasisRef,
    work: Mapping[str, Any],
    answer: Any,
    why: str = "",
    at: datetime | None = None,
) -> Outcome:
    """Finish a pending deed with what the outside call answered, in a transaction of its own under the same locks.

    Called by `perform` and by the reconciler; whoever comes second finds the outcome of the first.
    """
    assert kind.settle is not None
    rulebook = rulebooks.current()
    with transaction.atomic():
        accounts = tuple(work.get("accounts", ()))
        if accounts:
            customers.lock_accounts(accounts)
        scene, now = _scene(kind, basis, who, rulebook, None, at)
        act = Act(who, now, why, key, scene.basis, rulebook=rulebook.digest)
        spent = journal_queries.spent_key(principal=who.key, key=key)
        if spent is None or spent.state == "done":
            return Outcome.from_json(spent.outcome) if spent else Outcome("refused", "This was never begun.")
        try:
            with transaction.atomic():
                done = kind.settle(act, work, answer, scene)
        except Refused as no:
            done = Done(f"{kind.title}: {no.refusal.say}", refusal=no.refusal)
        if done.refusal is not None:
            done = replace(done, refusal=passable(done.refusal, who, rulebook))
        if done.pending:
            return Outcome("pending", done.say, done.show)
        # The deed was for this account, whatever account its contact is about by now.
        chain = done.chain or (journal_rules.account_chain(accounts[0]) if accounts else "")
        status = "refused" if done.refusal else "done"
        outcome = Outcome(status, done.refusal.say if done.refusal else done.say, done.show, done.refusal)
        lines = [_line(code, kind.house, act, "done", other) for code, other in done.also]
        journal.record_many([_line(kind.code, kind.house, act, status, replace(done, chain=chain)), *lines])
        journal.settle_key(act=act, outcome=outcome.as_json())
    return outcome


def judge(kind: ActType, scene: Scene, act: Act, given: Any, keep: bool = False) -> Refusal | None:
    """Ask authority with the real facts; None is yes. A fault in the question is a no and an alarm. `keep`: it is asked to be
    done, so what was asked is kept for the trial of another rulebook."""
    facts = {"basis": dict(scene.facts)}
    if kind.facts is not None:
        facts |= kind.facts(scene, act, given)
    verdict = scene.rulebook.authority.decide(
        Question(act.who, kind.code, resource(act.basis.account_id), facts)
    )
    if keep and not verdict.fault:
        rule = verdict.rules[0].id if verdict.rules else ""
        journal.keep_decision(act=act, code=kind.code, facts=facts, allowed=verdict.allowed, rule=rule)
    if verdict.allowed:
        return None
    no = refusal_of(kind.code, verdict, scene.rulebook, act.who, who_could=lambda: _who_could(kind, scene, act, given))
    no = replace(no, way_on=ways_there(no.way_on, scene, act.at))
    if no.rule == "not-your-role" and scene.contact is not None and scene.facts.get("mine"):
        return passable(replace(no, way_on=(WayOn("Hand over", "contacts.hand_over"),)), act.who, scene.rulebook)
    if no.who_could or not any(way.act == "approvals.ask" for way in no.way_on):
        return no
    if not scene.rulebook.authority.higher(act.who.role):  # stands alone, as an agent does: its own limit is what it has to know
        return replace(no, way_on=tuple(way for way in no.way_on if way.act != "approvals.ask"))
    # Nobody could be asked: then the rule counts that stops the highest role too.
    tops = _above(kind, scene, act)[-1:]
    stops = [r for role in tops for r in _as_if(kind, scene, act, given, role).rules if r.id in {own.id for own in verdict.rules}]
    last = (stops or [verdict.rules[0]])[0]
    ways = tuple(way for way in no.way_on if way.act != "approvals.ask")
    return replace(no, say=f"{last.say} {NOBODY}", rule=last.id, cite=last.cite, way_on=ways)


def refusal_of(code: str, verdict: Verdict, rulebook: Rulebook, who: Who, who_could: Any = tuple) -> Refusal:
    """A verdict's no in words: the rule that said it, who could, and the ways on that the rule names."""
    authority = rulebook.authority
    if verdict.fault and authority.roles_with(code):  # of an act that is newer than the rulebook nobody has the role
        log.error("authority could not answer for %s: %s", code, verdict.fault)
        return Refusal("AUTHORITY", "The policy could not be asked, so the answer is no. Tell your administrator.", rule="fault")
    roles = authority.roles_with(code)
    # Whoever deals with no customer is not told to have the contact handed over first: no move of theirs leads there.
    outside = who.role not in roles and who.role not in authority.roles_with("view.contact")
    if outside or not verdict.rules:
        return Refusal("AUTHORITY", "Your role does not have this act.", rule="not-your-role", cite="authority.cedar: its permits name who has which act", who_could=roles)
    first: Rule = verdict.rules[0]
    ways = tuple(WayOn(label, act) for label, act in first.ways)
    return passable(Refusal("AUTHORITY", first.say, rule=first.id, cite=first.cite, who_could=tuple(who_could()), way_on=ways), who, rulebook)


def passable(refusal: Refusal, who: Who, rulebook: Rulebook) -> Refusal:
    """The refusal with those ways on that this principal's role may go."""
    ways = tuple(way for way in refusal.way_on if who.role in rulebook.authority.roles_with(way.act))
    return refusal if ways == refusal.way_on else replace(refusal, way_on=ways)


def _who_could(kind: ActType, scene: Scene, act: Act, given: Any) -> tuple[str, ...]:
    """The roles above whose fresh holder would be allowed this very deed, on these very facts."""
    return tuple(role for role in _above(kind, scene, act) if hypothetical(kind, scene, act, given, role))


def _above(kind: ActType, scene: Scene, act: Act) -> tuple[str, ...]:
    """The roles above, lowest first. One that stands alone (an agent's) has none: then those who decide requests."""
    authority = scene.rulebook.authority
    return authority.higher(act.who.role) or authority.roles_with("approvals.decide")


def hypothetical(kind: ActType, scene: Scene, act: Act, given: Any, role: str) -> bool:
    """Would a fresh holder of this role be allowed? Asked with a listed principal that is nobody (`role:lead`)."""
    return _as_if(kind, scene, act, given, role).allowed


def _as_if(kind: ActType, scene: Scene, act: Act, given: Any, role: str) -> Verdict:
    nobody = Who("Staff", f"role:{role}", role, role)
    as_if = Act(nobody, act.at, act.why, act.key, act.basis, rulebook=act.rulebook)
    facts = {"basis": {**scene.facts, "mine": True}}
    if kind.facts is not None:
        facts |= kind.facts(scene, as_if, given)
    return scene.rulebook.authority.decide(Question(nobody, kind.code, resource(act.basis.account_id), facts))


def most(kind: ActType, scene: Scene, act: Act, given: Any, ceiling: int) -> tuple[int, Rule | None]:
    """The largest amount that authority allows, and the rule that stops the next cent (None: the ceiling does). By
    asking authority: bisected, since it is monotone in the amount."""
    authority = scene.rulebook.authority
    base = kind.facts(scene, act, given) if kind.facts else {}
    record, name = kind.amount.split(".")

    def verdict(amount: int) -> Verdict:
        facts = {"basis": dict(scene.facts), **base, record: {**base[record], name: amount}}
        return authority.decide(Question(act.who, kind.code, resource(act.basis.account_id), facts))

    low, high = 0, ceiling
    while low < high:
        middle = (low + high + 1) // 2
        if verdict(middle).allowed:
            low = middle
        else:
            high = middle - 1
    stops = verdict(low + 1).rules if low < ceiling else ()
    return low, stops[0] if stops else None


def scene_for_page(row: Any, who: Who, rulebook: Rulebook, at: datetime) -> Scene:
    """The scene of a contact without locks, for showing what is possible (never for doing it)."""
    held = contact_queries.standing(row, who=who, at=at, idle_minutes=rulebook.limits["contact"]["idle_minutes"])
    return Scene(rulebook, held.basis, held.facts, contact=row)


def stay_awake(scene: Scene, now: datetime) -> None:
    """A deed or a look keeps the level of its contact for another while; a level that has ended it never brings back."""
    row = scene.contact
    if row is None or scene.basis.kind != "contact" or row.level >= Level.VERIFIED > scene.basis.level:
        return
    if now - row.last_active > timedelta(seconds=60):
        contacts.touch(contact_id=row.pk, at=now)


def resource(account_id: int | None) -> tuple[str, str]:
    return ("Account", str(account_id)) if account_id is not None else ("House", "house")


def _scene(
    kind: ActType, ref: BasisRef, who: Who, rulebook: Rulebook, given: Input | None, at: datetime | None, locks: Locks | None = None
) -> tuple[Scene, datetime]:
    """Lock the basis row and say what stands. The clock is read here: after the locks, before anything is judged."""
    idle = rulebook.limits["contact"]["idle_minutes"]
    if ref.kind == "contact" and ref.id is not None:
        row = contacts.lock(ref.id)
        now = at or timezone.now()
        if row is None:
            return Scene(rulebook, NO_BASIS, bare_facts()), now
        held = contact_queries.standing(row, who=who, at=now, idle_minutes=idle)
        facts = dict(held.facts)
        chosen = getattr(given, kind.chooses, None) if kind.chooses and given is not None else None
        if chosen is not None:
            # The deed moves the contact to another account: own business is judged for that one.
            facts["ownBusiness"] = customer_queries.ties_with(chosen, who)
            facts["admitted"] = contact_queries.admitted(row, who, chosen)
        return Scene(rulebook, held.basis, facts, contact=row), now
    if ref.kind == "request" and ref.id is not None:
        asked = approvals.lock(ref.id)
        now = at or timezone.now()
        if asked is None:
            return Scene(rulebook, NO_BASIS, bare_facts()), now
        basis = Basis("request", asked.pk, asked.account_id, asked.level, f"R-{asked.pk}", asked.contact_id)
        facts = bare_facts(
            kind="request",
            level=asked.level,
            mine=str(asked.asker_id) != who.id,
            state=asked.contact.state,
            admitted=asked.contact.admitted_account_id == asked.account_id and asked.account_id is not None,
            ownBusiness=customer_queries.ties_with(asked.account_id, who) if asked.account_id else "none",
            **asked.fact_data.get("caller", {}),
        )
        return Scene(rulebook, basis, facts, contact=asked.contact, request=asked), now
    now = at or timezone.now()
    # Without a contact a deed is about the account that it locks, or chooses.
    about = getattr(given, kind.chooses, None) if kind.chooses and given is not None else next(iter(locks.accounts), None) if locks else None
    level = FIXED.get(ref.kind, Level.NONE)
    account_id = ref.id if ref.kind in ("job", "sign_in") else None
    facts = bare_facts(kind=ref.kind, level=int(level))
    if about is not None:
        facts["ownBusiness"] = customer_queries.ties_with(about, who)
    return Scene(rulebook, Basis(ref.kind, ref.id, account_id, level), facts), now


def bare_facts(**known: Any) -> dict[str, Any]:
    """The common facts of every decision, where no contact says them."""
    return {
        "kind": "none",
        "level": 0,
        "mine": True,
        "state": "none",
        "caller": "stranger",
        "mayMoney": False,
        "mayService": False,
        "ownBusiness": "none",
        "admitted": False,
    } | known


def _mismatch(kind: ActType, given: Input, locks: Locks, found: set[int], scene: Scene) -> Refusal | None:
    """The basis must be for the account that the deed names; only opening and identifying choose one."""
    missing = set(locks.accounts) - found
    if missing:
        return Refusal("NOT_FOUND", "There is no such account.")
    if kind.chooses or not locks.accounts or scene.basis.kind in ("none", "job"):
        return None
    if set(locks.accounts) != {scene.basis.account_id}:
        return Refusal(
            "BASIS_MISMATCH",
            "This contact is about another account. Reload the page and look again.",
            rule="basis-mismatch",
            cite="House rule: a deed is done for the account that its basis is about",
        )
    return None


def _again(spent: journal_queries.Spent, digest: str) -> Outcome:
    if not hmac.compare_digest(spent.digest, digest):
        say = "This request key was used before with other words. Nothing was done."
        return Outcome("refused", say, refusal=Refusal("KEY_REUSED", say, rule="key-reused"))
    return Outcome.from_json(spent.outcome)


def _line(code: str, house: str, act: Act, outcome: str, done: Done) -> journal_rules.Entry:
    """The journal line of a deed, on the chain that it names, or its account's, or the one for deeds on no account."""
    account_id = act.basis.account_id
    chain = done.chain or (journal_rules.account_chain(account_id) if account_id is not None else house)
    return journal_rules.Entry(chain, act, code, outcome, done.say, {**done.data, **_shown(done)}, done.payload)


def _shown(done: Done) -> dict[str, Any]:
    """References that the journal keeps beside the sentence; never what is only for the door's eyes."""
    return {k: v for k, v in done.show.items() if k in ("credit", "payment", "arrangement", "contact", "request", "link", "charge", "order", "outage", "hold")}


def _digest(kind: ActType, given: Input, basis: BasisRef, why: str) -> str:
    """What a request key is bound to: all that was sent. Secret fields are left out: not even their digest is kept."""
    secret = {n for n in type(given).model_fields if isinstance(getattr(given, n), SecretStr)}
    body = journal_rules.canonical([kind.code, given.model_dump(mode="json", exclude=secret), basis.kind, basis.id, why])
    return hmac.new(settings.DIGEST_KEY, body.encode(), hashlib.sha256).hexdigest()


def _card_in(value: Any) -> str:
    """The first field with a payment card number in its text, also deep inside it, or nothing."""
    if isinstance(value, Mapping):
        return next((str(name) for name, inner in value.items() if _card_in(inner)), "")
    if isinstance(value, list | tuple):
        return next(("text" for inner in value if _card_in(inner)), "")
    return "text" if isinstance(value, str) and cards.card_numbers(value) else ""


def _pin_in(given: Input, why: str, who: Who, scene: Scene) -> str:
    """The first field whose words hold a PIN, or nothing. Of a machine that passes on what a customer wrote nothing is asked: it
    could not take it out."""
    if who.kind not in ("Staff", "Agent"):
        return ""
    row = scene.contact
    said = [*_said(given.model_dump(warnings=False)), ("why", why)]
    return next((name for name, text in said if text and writes_pin(text, *((row.pk, row.pin_marks) if row is not None else ()))), "")


def _said(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Each field in which somebody says something, with its words, also deep inside what is asked for."""
    if isinstance(value, Mapping):
        for inner, held in value.items():
            yield from _said(held, str(inner))
    elif isinstance(value, str) and name in SAID:
        yield name, value


_PLAIN = {
    "missing": "This is needed.",
    "string_too_short": "This is needed.",
    "too_short": "Choose at least one.",
    "greater_than": "Give a number above {gt}.",
    "less_than": "There is no such id.",
    "less_than_equal": "That is too much; at most {le}.",
    "string_too_long": "That is too long; at most {max_length} characters.",
    "extra_forbidden": "This act has no such field.",
    "int_parsing": "Give a whole number.",
    "int_type": "Give a whole number.",
    "date_from_datetime_parsing": "Give a day as YYYY-MM-DD.",
    "date_from_datetime_inexact": "Give a day as YYYY-MM-DD.",
    "date_type": "Give a day as YYYY-MM-DD.",
    "date_parsing": "Give a day as YYYY-MM-DD.",
    "literal_error": "Choose one of: {expected}.",
    "enum": "Choose one of: {expected}.",
}


def _invalid(kind: ActType, fault: ValidationError) -> Outcome:
    fields: dict[str, str] = {}
    for error in fault.errors(include_url=False, include_input=False):
        name = str(error["loc"][0]) if error["loc"] else "input"
        plain = _PLAIN.get(error["type"])
        text = plain.format(**error.get("ctx", {})) if plain else error["msg"].removeprefix("Value error, ")
        fields.setdefault(name, text)
    say = f"{kind.title}: look at {', '.join(fields)}."
    return Outcome("invalid", say, refusal=Refusal("INVALID", say, fields=fields))
