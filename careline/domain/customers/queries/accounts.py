"""What an account has: its people, lines, numbers, wishes and ties, for one and for many."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, Lower

from careline.domain.customers import rules
from careline.domain.customers.models import (
    Account,
    AccountPerson,
    AddedData,
    Consent,
    Device,
    Line,
    Pin,
    Plan,
    StaffTie,
    Usage,
)
from careline.foundation import phone
from careline.foundation.act import Who
from careline.prepared import Given, day, prepared, whole, wholes
from careline.prepared import words as given_words


def account(account_id: int) -> Account | None:
    return Account.objects.select_related("customer").filter(pk=account_id).first()


def references(account_ids: Sequence[int]) -> dict[int, str]:
    """The references of many accounts, in one question."""
    return dict(Account.objects.filter(pk__in=account_ids).values_list("pk", "reference"))


def any_account() -> bool:
    """Whether there is any account yet."""
    return Account.objects.exists()


def account_by_reference(reference: str) -> Account | None:
    return Account.objects.select_related("customer").filter(reference=reference).first()


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
    return Subquery(AccountPerson.objects.filter(account=account, person=person, ended_at=None).values(column)[:1])


def people_of(account_id: int) -> list[AccountPerson]:
    """Everybody who may speak for an account, the holder first."""
    return _people(account=account_id)


@prepared
def _people() -> QuerySet[AccountPerson]:
    rows = AccountPerson.objects.filter(account_id=whole("account"), ended_at=None).select_related("person")
    return rows.order_by("-right", "person__name")


def lines_of(account_id: int, since: date | None = None) -> list[Line]:
    """The account's lines with plan and device; when `since` is given, of the bill period that began then: `data_used` and `data_added`
    (MB), `voice_used` (minutes) and `texts_used`, None where there was none, and whether anything else was used (`used_else`)."""
    return _lines(account=account_id) if since is None else _lines_in_period(account=account_id, since=since)


@prepared
def _lines() -> QuerySet[Line]:
    rows = Line.objects.filter(account_id=whole("account")).select_related("plan", "device")
    return rows.order_by("activated_on", "pk")


@prepared
def _lines_in_period() -> QuerySet[Line]:
    return _with_data(_lines.build(), day("since"))


def _with_data(rows: QuerySet[Line], since: date | Given) -> QuerySet[Line]:
    used = {
        name: Usage.objects.filter(line=OuterRef("pk"), kind=kind, day__gte=since).values("line").annotate(total=Sum("quantity")).values("total")
        for name, (kind, _, _) in (("data", rules.DATA), ("voice", rules.VOICE), ("texts", rules.TEXT))
    }
    else_ = Usage.objects.filter(line=OuterRef("pk"), day__gte=since).exclude(kind__in=[k for k, _, _ in (rules.DATA, rules.VOICE, rules.TEXT)])
    added = (
        AddedData.objects.filter(line=OuterRef("pk"), period_start__lte=since, period_end__gte=since)
        .values("line")
        .annotate(total=Sum("mb"))
        .values("total")
    )
    return rows.annotate(
        data_used=Coalesce(Subquery(used["data"]), 0), data_added=Coalesce(Subquery(added), 0),
        voice_used=Subquery(used["voice"]), texts_used=Subquery(used["texts"]), used_else=Exists(else_),
    )  # fmt: skip


def line(line_id: int) -> Line | None:
    return _line.first(line=line_id)


def plan_prices(keys: Sequence[str]) -> dict[str, int]:
    """What the plans of these source keys cost a month (minor units)."""
    return {key: price for key, price in Plan.objects.filter(source_key__in=keys).values_list("source_key", "price_minor") if key}


def accounts_of_lines(line_ids: Sequence[int]) -> dict[int, int]:
    """The account that each of these lines is on."""
    return dict(Line.objects.filter(pk__in=line_ids).values_list("pk", "account_id"))


@prepared
def _line() -> QuerySet[Line]:
    return Line.objects.select_related("plan").filter(pk=whole("line"))[:1]


def line_in_period(line_id: int, since: date) -> Line | None:
    """One line with its account, plan and device, and `data_used` and `data_added` of the bill period from `since`."""
    return _with_data(Line.objects.select_related("account", "plan", "device"), since).filter(pk=line_id).first()


def line_place(line_id: int) -> str:
    """The postal code where a line is at home: its account's service address. Empty: nobody knows."""
    found = Line.objects.filter(pk=line_id).values_list("account__postal_code", flat=True).first()
    return found or ""


def bill_day_of_line(line_id: int) -> int | None:
    return Line.objects.filter(pk=line_id).values_list("account__bill_day", flat=True).first()


class Owing(NamedTuple):
    """An account as the ladder meets it."""

    id: int
    reference: str
    segment: str
    state: str
    zone: str
    autopay: bool
    opened_on: date
    language: str
    email: str


def owing(account_ids: Sequence[int]) -> dict[int, Owing]:
    return {row[0]: Owing(*row) for row in _owing(accounts=account_ids)}


@prepared
def _owing() -> QuerySet[Account, tuple[Any, ...]]:
    return Account.objects.filter(pk__in=wholes("accounts")).values_list(
        "pk", "reference", "customer__kind", "state", "zone", "autopay", "opened_on", "customer__language", "customer__email"
    )


def on_autopay(account_ids: Sequence[int]) -> set[int]:
    """Those of the accounts that pay by autopay."""
    return {pk for (pk,) in _on_autopay(accounts=account_ids)} if account_ids else set()


@prepared
def _on_autopay() -> QuerySet[Account, tuple[int]]:
    return Account.objects.filter(pk__in=wholes("accounts"), autopay=True).values_list("pk")


def id_ranges(after: int, size: int) -> tuple[int, int] | None:
    """The next stretch of account ids behind one: first and last, some `size` accounts; None: there is no more."""
    ids = Account.objects.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)
    first = ids.first()
    return None if first is None else (first, ids[size - 1 : size].first() or Account.objects.order_by("-pk").values_list("pk", flat=True)[0])


def id_edges() -> tuple[int, int]:
    """The lowest and the highest account id; (0, 0): there is no account."""
    ids = Account.objects.order_by("pk").values_list("pk", flat=True)
    return ids.first() or 0, ids.last() or 0


def count_between(first: int, last: int) -> int:
    """How many accounts have an id from `first` to `last`."""
    return Account.objects.filter(pk__gte=first, pk__lte=last).count()


def lines_barred_for(account_ids: Sequence[int], reason: str) -> list[Line]:
    """The lines of these accounts that may be barred for a reason: living ones, but for those suspended for another; by id."""
    rows = Line.objects.filter(account_id__in=account_ids, status__in=(rules.LineStatus.ACTIVE, rules.LineStatus.SUSPENDED))
    return list(rows.exclude(~Q(suspended_for=reason), status=rules.LineStatus.SUSPENDED).order_by("pk"))


def texted(account_ids: Sequence[int]) -> dict[int, str]:
    """The number of each account that a text reaches: the first living line that takes texts and is not barred from them."""
    found: dict[int, str] = {}
    for account_id, msisdn in _texted(accounts=account_ids):
        found.setdefault(account_id, msisdn)
    return found


@prepared
def _texted() -> QuerySet[Line, tuple[int, str]]:
    rows = Line.objects.filter(account_id__in=wholes("accounts"), can_text=True)
    rows = rows.filter(Q(status=rules.LineStatus.ACTIVE) | Q(status=rules.LineStatus.SUSPENDED, bar="outgoing"))
    return rows.order_by("number_since", "pk").values_list("account_id", "msisdn")


def lines_had(account_ids: Sequence[int], since: date) -> dict[int, tuple[int, bool]]:
    """How many lines each of these accounts has, or had on a day or later, and whether one of them takes texts. One question."""
    rows = Line.objects.filter(account_id__in=account_ids).exclude(status=rules.LineStatus.CANCELLED, status_since__lt=since)
    found: dict[int, tuple[int, bool]] = {}
    for account_id, can_text in rows.values_list("account_id", "can_text"):
        count, texts = found.get(account_id, (0, False))
        found[account_id] = (count + 1, texts or can_text)
    return found


def called(account_ids: Sequence[int]) -> dict[int, tuple[int, str, str]]:
    """Whom to call about an account: the line, its number and the customer's name; the oldest number that lives, rather one that is not
    wholly suspended, where no call comes in."""
    found: dict[int, tuple[int, str, str]] = {}
    rows = Line.objects.filter(account_id__in=account_ids, status__in=("active", "suspended")).order_by("number_since", "pk")
    every = list(rows.values_list("account_id", "pk", "msisdn", "account__customer__name", "status", "bar"))
    for account_id, pk, msisdn, name, *_ in sorted(every, key=lambda r: r[4] == "suspended" and r[5] != "outgoing"):
        found.setdefault(account_id, (pk, msisdn, name))
    return found


class Wishes(NamedTuple):
    """What a customer said of being reached, by topic and channel, the newest word of each: no, and yes."""

    refused: set[tuple[str, str]]
    granted: set[tuple[str, str]]


def wishes(account_ids: Sequence[int]) -> dict[int, Wishes]:
    """What these accounts' customers want to hear nothing of, and to what they said yes."""
    rows = Consent.objects.filter(account_id__in=account_ids).order_by("at", "pk")
    newest = {(a, t, c): yes for a, t, c, yes in rows.values_list("account_id", "topic", "channel", "granted")}
    found = {pk: Wishes(set(), set()) for pk in account_ids}
    for (a, topic, channel), yes in newest.items():
        (found[a].granted if yes else found[a].refused).add((topic, channel))
    return found


def living_line(number: str) -> Line | None:
    """The line that has this number (E.164) now."""
    return Line.objects.filter(msisdn=number).exclude(status=rules.LineStatus.CANCELLED).first()


def with_email(address: str) -> list[int]:
    """The accounts whose customer has this e-mail address now, by id."""
    # By the index over small letters; a database may know no others than a to z.
    forms = {address.lower(), address.translate(SMALL)}
    return list(Account.objects.annotate(small=Lower("customer__email")).filter(small__in=forms).order_by("pk").values_list("pk", flat=True))


SMALL = {ord(c): c.lower() for c in string.ascii_uppercase}


def refused(account_ids: Sequence[int], topics: Sequence[str]) -> set[tuple[int, str]]:
    """The channels on which these accounts want to hear nothing of these topics: account and channel; the newest word holds."""
    newest = {(a, t, c): yes for a, t, c, yes in _consents(accounts=account_ids, topics=topics)}
    return {(a, c) for (a, _, c), yes in newest.items() if not yes}


@prepared
def _consents() -> QuerySet[Consent, tuple[int, str, str, bool]]:
    rows = Consent.objects.filter(account_id__in=wholes("accounts"), topic__in=given_words("topics")).order_by("at", "pk")
    return rows.values_list("account_id", "topic", "channel", "granted")


def numbers_of_record(account_id: int) -> list[Line]:
    """The account's numbers that can prove possession: living lines, the one whose number and SIM are oldest first."""
    rows = Line.objects.filter(account_id=account_id, status__in=["active", "suspended"])
    return sorted(rows, key=lambda n: (n.held_since, n.pk))


def line_with_sim(iccid: str) -> Line | None:
    """The living line that is in this SIM."""
    return Line.objects.filter(iccid=iccid).exclude(status=rules.LineStatus.CANCELLED).first()


def device(imei: str) -> Device | None:
    return Device.objects.filter(imei=imei).first()


def pin_hash(account_id: int) -> str | None:
    row = Pin.objects.filter(account_id=account_id).values_list("hash").first()
    return row[0] if row else None


def language_of(account_id: int) -> str:
    """The language that the account's customer likes best."""
    return Account.objects.filter(pk=account_id).values_list("customer__language", flat=True).first() or "en"


def pin_subquery(account: Combinable) -> Subquery:
    """For a query of a room above: when the PIN was set (NULL: there is none)."""
    return Subquery(Pin.objects.filter(account=account).values("set_at")[:1])


def plan(plan_id: int) -> Plan | None:
    return Plan.objects.filter(pk=plan_id).first()


def plans() -> list[Plan]:
    """Every plan there is or was, the cheapest first."""
    return list(Plan.objects.order_by("price_minor"))


@dataclass(frozen=True)
class Signal:
    """Something that the account page should notice: what this person may call about, and the way forward."""

    code: str
    title: str
    say: str
    weight: int
    act: str = ""
    section: str = ""
    line: int | None = None


OWED = frozenset({"past_due", "payment_failed", "payment_returned", "arrangement_broken", "arrangement_due"})  # signals that are about money that is owed


def ordered(found: Sequence[Signal], troubles: Sequence[Signal]) -> list[Signal]:
    """What to notice, the weightiest first; but of who calls in, the trouble first and the money second: whatever of `troubles` is there stands before
    all that is about money that is owed, and the line that is off for that."""
    owed = max((s.weight for s in found if s.code in OWED or (s.code == "line_suspended" and s not in troubles)), default=0)
    return sorted(found, key=lambda s: -(max(s.weight, owed + 1) if s in troubles else s.weight))


def signals(*, lines: Sequence[Line], at: datetime) -> list[Signal]:
    """Suspended lines, data nearly or all used, a phone on a block list, a SIM or number changed within two days."""
    found: list[Signal] = []
    for item in lines:
        last = phone.last_four(item.msisdn)
        if item.status == rules.LineStatus.SUSPENDED:
            why = f" ({item.status_reason})" if item.status_reason else ""
            found.append(Signal("line_suspended", f"Line {last} is suspended", f"Since {_day(item.status_since)}{why}.", 90, section="lines", line=item.pk))
        allowance, used = item.data_allowed_mb, getattr(item, "data_used", 0)
        if allowance and item.status == rules.LineStatus.ACTIVE and used >= allowance * 0.9:
            full = used >= allowance
            found.append(
                Signal(
                    "data_used_up" if full else "data_nearly_used",
                    f"Line {last}: data {'used up' if full else 'nearly used up'}",
                    f"{used / 1024:.1f} of {allowance / 1024:.0f} GB this month.",
                    80 if full else 45,
                    section="lines",
                    line=item.pk,
                )
            )
        if item.device is not None and item.device.blocked and item.status == rules.LineStatus.ACTIVE:
            found.append(Signal("device_blocked", f"Line {last}: the phone is on a block list", f"{item.device.blocked}. No network lets it in.", 84, section="cause", line=item.pk))
        if item.sim_since and (at - item.sim_since).days < 2 and item.sim_since.date() != item.activated_on:
            found.append(Signal("sim_changed", f"Line {last}: SIM changed lately", "Be careful: a changed SIM proves nothing yet.", 60, section="lines"))
    return found


def _day(day: date | None) -> str:
    return f"{day:%b} {day.day}" if day else "an unknown day"


def counts() -> dict[str, Any]:
    """How much there is, for the command line."""
    return {"accounts": Account.objects.count(), "lines": Line.objects.count()}
