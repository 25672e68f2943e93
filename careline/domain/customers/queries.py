"""Finding people, and what an account has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db.models import F, OuterRef, Q, Subquery, Sum
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

from careline.domain.customers import rules
from careline.domain.customers.models import (
    Account,
    AccountPerson,
    Consent,
    Line,
    NameWord,
    NumberKey,
    Pin,
    Plan,
    StaffTie,
    Usage,
)
from careline.foundation import phone
from careline.foundation.act import Who


@dataclass(frozen=True)
class Hit:
    """What the find box may show before anybody is verified, and nothing else."""

    account_id: int
    account_reference: str
    person_id: int | None
    name_matched: str
    number_last_four: str
    why: str


def account(account_id: int) -> Account | None:
    return Account.objects.select_related("customer").filter(pk=account_id).first()


def account_by_reference(reference: str) -> Account | None:
    return Account.objects.select_related("customer").filter(reference=reference).first()


def find(text: str, limit: int) -> tuple[list[Hit], bool]:
    """Accounts by a number in any human form (whole, its start or its end), a reference, or words of a name.

    Returns at most `limit` hits and whether there were more. A hit shows the name as matched, the reference and the
    last four digits of the matched number (DESIGN section 4).
    """
    text = text.strip()
    hits: list[Hit] = []
    reference = rules.account_reference(text)
    if reference:
        rows = Account.objects.filter(reference=reference).select_related("customer")[: limit + 1]
        hits = [Hit(a.pk, a.reference, None, "", "", "account reference") for a in rows]
    if not hits and phone.looks_like_number(text):
        hits = _by_number(phone.digits(text), limit + 1)
    if not hits and not phone.looks_like_number(text):
        hits = _by_name(rules.name_words(text), limit + 1)
    return hits[:limit], len(hits) > limit


def _by_number(digits: str, limit: int) -> list[Hit]:
    national = digits[1:] if len(digits) == 11 and digits.startswith("1") else digits
    forms = {national, digits, "1" + national}
    wanted = Q(reversed__startswith=national[::-1])
    if len(national) < 10:
        for form in sorted(forms):
            wanted |= Q(digits__startswith=form)
    keys = (
        NumberKey.objects.filter(wanted)
        .exclude(line__status=rules.LineStatus.CANCELLED)
        .select_related("account", "line")
        .order_by("digits", "pk")[:limit]
    )
    seen: dict[tuple[int, str], Hit] = {}
    for key in keys:
        hit = Hit(key.account_id, key.account.reference, None, "", key.digits[-4:], "number")
        seen.setdefault((hit.account_id, key.digits), hit)
    return list(seen.values())


def _by_name(words: Sequence[str], limit: int) -> list[Hit]:
    if not words or all(len(w) < 2 for w in words):
        return []
    longest, *others = sorted(words, key=len, reverse=True)
    rows = NameWord.objects.filter(word__gte=longest, word__lt=longest + "\U0010ffff")
    for word in others:
        rows = rows.filter(
            person__nameword__word__gte=word,
            person__nameword__word__lt=word + "\U0010ffff",
            person__nameword__account=F("account"),
        )
    found: dict[tuple[int, int], Hit] = {}
    for row in rows.select_related("account", "person").order_by("word", "account_id")[: limit * 3]:
        found.setdefault(
            (row.account_id, row.person_id),
            Hit(row.account_id, row.account.reference, row.person_id, row.person.name, "", "name"),
        )
    return list(found.values())[:limit]


def by_caller_number(number: str) -> list[Hit]:
    """The accounts that a ringing number belongs to (E.164); more than one: ask which."""
    return _by_number(phone.digits(number), 5) if number else []


def ties_with(account_id: int, who: Who) -> str:
    """How an account is tied to this principal's life: none, own, relative or colleague."""
    if who.kind != "Staff":
        return "none"
    ties = StaffTie.objects.filter(account_id=account_id).values_list("staff_id", "tie")
    mine = [tie for staff_id, tie in ties if str(staff_id) == who.id]
    if mine:
        return mine[0]
    return "colleague" if any(tie == rules.Tie.OWN for _, tie in ties) else "none"


def right_subquery(account: Combinable, person: Combinable, column: str) -> Subquery:
    """For a query of a room above: one column of a person's right on an account."""
    return Subquery(AccountPerson.objects.filter(account=account, person=person).values(column)[:1])


def people_of(account_id: int) -> list[AccountPerson]:
    """Everybody who may speak for an account, the holder first."""
    return list(
        AccountPerson.objects.filter(account_id=account_id)
        .select_related("person")
        .order_by("-right", "person__name")
    )


def lines_of(account_id: int, since: date | None = None) -> list[Line]:
    """The account's lines with plan and device; `data_used` (MB) since a day when one is given."""
    rows = Line.objects.filter(account_id=account_id).select_related("plan", "device")
    if since is not None:
        used = (
            Usage.objects.filter(line=OuterRef("pk"), kind="data", day__gte=since)
            .values("line")
            .annotate(total=Sum("quantity"))
            .values("total")
        )
        rows = rows.annotate(data_used=Coalesce(Subquery(used), 0))
    return list(rows.order_by("activated_on", "pk"))


def line(line_id: int) -> Line | None:
    return Line.objects.select_related("plan").filter(pk=line_id).first()


def numbers_of_record(account_id: int) -> list[Line]:
    """The account's numbers that can prove possession: living lines that take texts, oldest number first."""
    return list(
        Line.objects.filter(account_id=account_id, status__in=["active", "suspended"]).order_by("number_since", "pk")
    )


def pin_hash(account_id: int) -> str | None:
    row = Pin.objects.filter(account_id=account_id).values_list("hash").first()
    return row[0] if row else None


def plans() -> list[Plan]:
    return list(Plan.objects.order_by("price_minor"))


def consent_now(account_id: int) -> dict[tuple[str, str], bool]:
    """What the customer allows, by (topic, channel): the newest word holds."""
    rows = Consent.objects.filter(account_id=account_id).order_by("at", "pk").values_list("topic", "channel", "granted")
    return {(topic, channel): granted for topic, channel, granted in rows}


@dataclass(frozen=True)
class Signal:
    """Something that the account page should notice: what this person may call about, and the way forward."""

    code: str
    title: str
    say: str
    weight: int
    act: str = ""
    section: str = ""


def signals(*, lines: Sequence[Line], at: datetime) -> list[Signal]:
    """Suspended lines, data nearly or all used, a SIM or number changed within two days."""
    found: list[Signal] = []
    for item in lines:
        last = phone.last_four(item.msisdn)
        if item.status == rules.LineStatus.SUSPENDED:
            why = f" ({item.status_reason})" if item.status_reason else ""
            found.append(Signal("line_suspended", f"Line {last} is suspended", f"Since {_day(item.status_since)}{why}.", 90, section="lines"))
        allowance, used = item.plan.data_mb, getattr(item, "data_used", 0)
        if allowance and item.status == rules.LineStatus.ACTIVE and used >= allowance * 0.9:
            full = used >= allowance
            found.append(
                Signal(
                    "data_used_up" if full else "data_nearly_used",
                    f"Line {last}: data {'used up' if full else 'nearly used up'}",
                    f"{used / 1024:.1f} of {allowance / 1024:.0f} GB this month.",
                    80 if full else 45,
                    section="lines",
                )
            )
        if item.sim_since and (at - item.sim_since).days < 2 and item.sim_since.date() != item.activated_on:
            found.append(Signal("sim_changed", f"Line {last}: SIM changed lately", "Be careful: a changed SIM proves nothing yet.", 60, section="lines"))
    return found


def _day(day: date | None) -> str:
    return f"{day:%b} {day.day}" if day else "an unknown day"


def counts() -> dict[str, Any]:
    """How much there is, for the command line."""
    return {"accounts": Account.objects.count(), "lines": Line.objects.count()}
