"""What the API shows of a contact and of an account: ids as text, money as whole minor units with their currency, times
in UTC. The same questions as the web page; each is asked once, so that their number does not grow with the rows."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.conf import settings

from careline.acts.declare import Scene
from careline.carriers import lacking
from careline.domain.approvals import queries as approvals
from careline.domain.approvals.rules import Kind
from careline.domain.contacts import queries as contacts
from careline.domain.credits import queries as credits
from careline.domain.customers import queries as customers
from careline.domain.customers.queries import care
from careline.domain.customers.rules.care import needs_of
from careline.domain.ledger import queries as ledger
from careline.domain.ledger import rules as ledger_rules
from careline.domain.network import queries as network
from careline.foundation import phone
from careline.foundation.act import Level
from careline.foundation.calendar import bill_period, civil_date

LEVELS = {0: "none", 1: "identified", 2: "wrap_up", 3: "verified", 4: "strong"}
BILLS = 18


def money(minor: int | None, currency: str = "USD") -> dict[str, Any] | None:
    return None if minor is None else {"minor": minor, "currency": currency}


def when(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None


def day(value: date | None) -> str | None:
    return value.isoformat() if value else None


def key(value: int | None) -> str | None:
    return str(value) if value is not None else None


def hit(found: customers.Hit) -> dict[str, Any]:
    return {
        "account": str(found.account_id),
        "account_reference": found.account_reference,
        "person": key(found.person_id),
        "name_matched": found.name_matched,
        "number_last_four": found.number_last_four,
        "why": found.why,
    }


def contact(scene: Scene, at: datetime) -> dict[str, Any]:
    """A contact as its holder may see it now. Before an account is chosen: nothing of any account. Before verification:
    what is needed to greet, to serve and to verify, and nothing else."""
    row, level = scene.contact, Level(scene.basis.level)
    shape: dict[str, Any] = {
        "id": str(row.pk),
        "reference": row.reference,
        "channel": row.channel,
        "inbound": row.inbound,
        "state": row.state,
        "caller_number": row.caller_number,
        "reason": row.reason,
        "began": when(row.began),
        "ended": when(row.ended),
        "level": LEVELS[int(level)],
        "proven": list(row.proven) if level >= Level.WRAP_UP else [],
        "who": None,
        "factors": [],
        "people": [],
        "requests": [
            request(r, at) for r in approvals.of_contact(row.pk, row.account_id) if level >= Level.WRAP_UP or r.kind == Kind.ADMIT
        ],
    }
    if row.account_id is None or row.state == "closed":
        return shape
    customer = row.account.customer
    seen = level >= Level.WRAP_UP
    shape["who"] = {
        "account": str(row.account_id),
        "account_reference": row.account.reference,
        "name": row.person.name if row.person and not seen else customer.name,
        "language": customer.language,
        "needs": needs_of(customer.needs),
        "person": key(row.person_id),
        "caller": scene.facts["caller"],
    }
    if row.state in ("live", "held"):
        shape["factors"] = _factors(scene, at)
    if seen:
        shape["people"] = _people(row.account_id)
    return shape


def _factors(scene: Scene, at: datetime) -> list[dict[str, Any]]:
    """How the caller can prove who they are: what is left of each factor, and the ends of the numbers of record."""
    row, policy = scene.contact, scene.rulebook.verification
    left = contacts.lockouts(row.account_id, policy, at)
    numbers = customers.numbers_of_record(row.account_id)
    sent = contacts.code_waiting(contacts.codes_of(row.pk, row.account_id), at)
    has_pin = customers.pin_hash(row.account_id) is not None
    shapes = []
    for factor, room in left.items():
        lines = [n for n in numbers if n.can_text or factor == "callback"] if factor != "pin" else []
        if factor in row.proven and scene.basis.level >= Level.VERIFIED:
            state = "passed"
        elif room.is_locked(at):
            state = "locked"
        elif not (has_pin if factor == "pin" else lines) or (factor == "code" and lacking("MESSENGER")):
            state = "unavailable"
        else:
            state = "waiting" if factor == "code" and sent else "ready"
        shapes.append(
            {
                "factor": factor,
                "title": policy[factor]["title"],
                "state": state,
                "tries_left": room.left,
                "locked_until": when(room.locked_until) if state == "locked" else None,
                "lines": [{"line": str(n.pk), "number_last_four": phone.last_four(n.msisdn)} for n in lines],
                "say": policy[factor]["say"] if state in ("ready", "waiting") else "",
            }
        )
    return shapes


def _people(account_id: int) -> list[dict[str, Any]]:
    return [
        {
            "person": str(p.person_id),
            "name": p.person.name,
            "right": p.right,
            "may_money": p.may_money,
            "may_service": p.may_service,
            "until": day(p.until),
        }
        for p in customers.people_of(account_id)
    ]


def request(row: Any, at: datetime) -> dict[str, Any]:
    """A request as its asker sees it."""
    return {
        "id": str(row.pk),
        "kind": row.kind,
        "code": row.code,
        "title": row.title,
        "state": approvals.state_now(row, at),
        "asked_of": row.role_list,
        "asked": money(row.amount_minor),
        "granted": money(row.granted_minor),
        "decided_by": row.decided_by.name if row.decided_by_id else None,
        "answer": row.answer,
        "asked_at": when(row.asked_at),
        "expires_at": when(row.expires_at),
    }


def waiting(row: Any) -> dict[str, Any]:
    """A request as somebody sees it who may decide it."""
    return {
        "id": str(row.pk),
        "kind": row.kind,
        "code": row.code,
        "title": row.title,
        "asked": money(row.amount_minor, row.account.currency if row.account_id else "USD"),
        "asker": {"name": row.asker.name, "role": row.asker.role},
        "account_reference": row.account.reference if row.account_id else None,
        "words": row.words,
        "rule": {"rule": row.rule, "say": row.rule_say, "cite": row.rule_cite},
        "caller_on_the_line": row.contact.state in ("live", "held"),
        "asked_at": when(row.asked_at),
        "expires_at": when(row.expires_at),
    }


def account(scene: Scene, at: datetime) -> dict[str, Any]:
    """The account page as data."""
    row = scene.contact.account
    id_, currency, today = row.pk, row.currency, civil_date(at, settings.CARRIER_ZONE)
    first, last = bill_period(row.bill_day, today)
    lines = customers.lines_of(id_, first)
    beside = customers.used_beside_data(lines, first)
    bills = ledger.bills_of(id_)
    statement = ledger.statement(id_, 20)
    standing = ledger_rules.standing(ledger.open_items(bills), statement.balance_minor, today)
    charges = ledger.charges_of(id_)
    recent = contacts.recent_of_account(id_, at - timedelta(days=30), but=scene.contact.pk)
    working = next((line.pk for line in lines if line.status == "active"), None)
    signals = [
        *customers.signals(lines=lines, at=at),
        *ledger.signals(bills=bills, standing=standing, charges=charges, entries=statement.entries, today=today, at=at),
        *contacts.signals(recent, at),
        *care.signals(row, scene.contact.pin_set_at, at, int(scene.rulebook.care.get("credentials", {}).get("unlock_hours", 24)), scene.contact.began),
        *(network.signals(row.postal_code, row.zone, working, at) if working is not None else ()),
    ]
    return {
        "account": {
            "id": str(id_),
            "reference": row.reference,
            "status": row.status,
            "opened_on": day(row.opened_on),
            "currency": currency,
            "bill_day": row.bill_day,
            "state": row.state,
            "zone": row.zone,
            "autopay": row.autopay,
            "change_lock": row.change_lock,
            "port_lock": row.port_lock,
            "address": row.address,
            "address_since": when(row.address_since),
        },
        "customer": {
            "name": row.customer.name,
            "since": day(row.customer.since),
            "language": row.customer.language,
            "email": row.customer.email,
            "email_since": when(row.customer.email_since),
            "phone": row.customer.phone,
            "needs": needs_of(row.customer.needs),
        },
        "people": _people(id_),
        "standing": {
            "balance": money(standing.balance_minor, currency),
            "past_due": money(standing.past_due_minor, currency),
            "past_due_since": day(standing.past_due_since),
            "next_due": money(standing.next_due_minor, currency),
            "next_due_on": day(standing.next_due_on),
            "unapplied": money(standing.unapplied_minor, currency),
        },
        "lines": [_line(line, currency, first, last, beside[line.pk]) for line in lines],
        "bills": [
            {
                "id": str(b.id),
                "number": b.number,
                "issued_on": day(b.issued_on),
                "due_on": day(b.due_on),
                "period": {"from": day(b.period_start), "to": day(b.period_end)},
                "total": money(b.total_minor, currency),
                "settled": money(b.settled_minor, currency),
                "open": money(b.open_minor, currency),
                "state": "past_due" if b.open_minor > 0 and b.due_on < today else "open" if b.open_minor > 0 else "paid",
            }
            for b in bills[:BILLS]
        ],
        "creditable": [
            {
                "bill_line": str(x.pk),
                "bill": x.bill.number,
                "kind": x.kind,
                "label": x.label,
                "amount": money(x.amount_minor, currency),
            }
            for x in ledger.creditable_lines(id_)
        ],
        "payments": [
            {"number": p.number, "amount": money(p.amount_minor, currency), "method": p.method, "at": when(p.received_at)}
            for p in ledger.payments_of(id_)
        ],
        "methods": [
            {"id": str(m.pk), "kind": m.kind, "brand": m.brand, "last_four": m.last_four, "expires_on": day(m.expires_on)}
            for m in ledger.methods_of(id_)
        ],
        "credits": [_credit(c, currency) for c in credits.grants_of(id_)],
        "entries": [
            {"kind": e.kind, "label": e.label, "reference": e.reference, "amount": money(e.amount_minor, currency), "at": when(e.at)}
            for e in statement.entries
        ],
        "unbilled": [
            {"number": c.number, "label": c.label, "line": str(c.line_id) if c.line_id else None, "amount": money(c.amount_minor, currency),
             "tax": c.tax, "day": day(c.day)}
            for c in ledger.unbilled_of(id_)
        ],
        "notes": [
            {"id": str(n.pk), "text": n.text, "pinned": n.pinned, "by": n.author.name, "at": when(n.at)}
            for n in contacts.notes_of(id_)
        ],
        "consents": [
            {"topic": topic, "channel": channel, "yes": c.granted, "at": when(c.at), "source": c.source}
            for (topic, channel), c in sorted(care.consents_of(id_).items())
        ],
        "signals": [
            {"code": s.code, "title": s.title, "say": s.say, "weight": s.weight, "act": s.act}
            for s in sorted(signals, key=lambda s: -s.weight)
        ],
    }


def _line(line: Any, currency: str, first: date, last: date, beside: Sequence[customers.Used]) -> dict[str, Any]:
    return {
        "id": str(line.pk),
        "number": line.msisdn,
        "label": line.label,
        "status": line.status,
        "status_reason": line.status_reason,
        "status_since": day(line.status_since),
        "plan": {"code": line.plan.code, "name": line.plan.name, "price": money(line.plan.price_minor, currency)},
        "usage": {
            "data_mb": line.data_used,
            "data_mb_allowed": line.data_allowed_mb,
            "data_mb_added": line.data_added,
            "others": [{"kind": u.kind, "title": u.title, "unit": u.unit, "used": u.units, "included": u.included} for u in beside],
            "from": day(first),
            "to": day(last),
        },
        "device": {"make": line.device.make, "model": line.device.model, "imei": line.device.imei} if line.device_id else None,
        "sim": {"kind": line.sim_kind, "last_four": line.iccid[-4:]} if line.iccid else None,
        "can_text": line.can_text,
        "features": sorted(line.switched_on),
        "contract_ends_on": day(line.contract_ends_on),
    }


def _credit(row: Any, currency: str) -> dict[str, Any]:
    return {
        "number": row.number,
        "reason": row.reason,
        "amount": money(row.amount_minor, currency),
        "total": money(row.total_minor, currency),
        "granted_by": row.granted_by.name,
        "reverses": row.reverses.number if row.reverses_id else None,
        "reversed": hasattr(row, "reversed_by"),
        "at": when(row.at),
    }


def paper(row: Any, body: bytes | None) -> dict[str, Any]:
    """A paper and, once it is made, its bytes."""
    return {
        "paper": str(row.pk), "kind": row.kind, "state": row.state, "name": row.name, "media_type": "application/pdf",
        "digest": hashlib.sha256(body).hexdigest() if body is not None else None,
        "pdf": base64.b64encode(body).decode() if body is not None else None,
    }  # fmt: skip
