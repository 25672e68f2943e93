"""Finding people, and what an account has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from django.db.models import Case, F, Model, OuterRef, Q, QuerySet, Subquery, Sum, TextField, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Coalesce, Concat

from careline.domain.customers import rules
from careline.domain.customers.models import (
    Account,
    AccountPerson,
    AddedData,
    Consent,
    Customer,
    Device,
    Line,
    NameWord,
    NumberKey,
    Person,
    Pin,
    Plan,
    PlanChange,
    StaffTie,
    Usage,
)
from careline.foundation import phone
from careline.foundation.act import Who
from careline.prepared import Given, day, prepared, whole, wholes
from careline.prepared import text as given
from careline.prepared import words as given_words


@dataclass(frozen=True)
class Hit:
    """What the find box may show before anybody is verified, and nothing else."""

    account_id: int
    account_reference: str
    person_id: int | None
    name_matched: str
    number_last_four: str
    why: str
    holder_id: int | None


MOST_WORDS = 6  # of a name that is searched for; each is a join


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


def find(text: str, limit: int, protected: bool = False) -> tuple[list[Hit], bool]:
    """Accounts by a number in any human form (whole, its start or its end), a reference, or words of a name. One that is
    protected is found by its reference alone, which nobody but its holder was told, unless `protected`.

    Returns at most `limit` hits and whether there were more. A hit shows the name as matched, the reference and the
    last four digits of the matched number.
    """
    text = text.strip()
    hits: list[Hit] = []
    number, ours = phone.looks_like_number(text), rules.account_reference(text)
    if number:
        hits = _by_number(phone.digits(text), limit + 1, protected)
    if not hits and any(c.isdigit() for c in text) and text.isprintable() and len(text) <= 40:
        # As it is written on the bill, whatever form the carrier gave it; ours in any form that a person writes it.
        rows = _referred(written=text, upper=text.upper(), ours=ours or text)
        hits = [Hit(pk, reference, None, "", "", "account reference", holder) for pk, reference, holder in rows]
    if not hits and not number:
        hits = _by_name(rules.name_words(text), limit + 1, protected)
    return hits[:limit], len(hits) > limit


def _by_number(digits: str, limit: int, protected: bool = False) -> list[Hit]:
    national = digits[1:] if len(digits) == 11 and digits.startswith("1") else digits
    found = _numbers("reversed", limit, protected, **_beginning(national[::-1]))
    if len(national) < 10:
        for form in {national, digits, "1" + national}:
            found += _numbers("digits", limit, protected, **_beginning(form))
    seen: dict[tuple[int, str], Hit] = {}
    for number, _, account_id, account_reference, holder in sorted(set(found), key=lambda row: row[:2])[:limit]:
        hit = Hit(account_id, account_reference, None, "", number[-4:], "number", holder)
        seen.setdefault((account_id, number), hit)
    return list(seen.values())


def _beginning(digits: str) -> dict[str, str]:
    """The range of all numbers that begin so: a range uses the index on both databases, whatever their collation."""
    return {"first": digits, "last": digits.ljust(16, "9")}


@prepared
def _numbers(column: str, limit: int, protected: bool) -> QuerySet[NumberKey, tuple[Any, ...]]:
    rows = NumberKey.objects.filter(**{f"{column}__gte": given("first"), f"{column}__lte": given("last")})
    rows = rows if protected else rows.filter(account__protected_at=None)
    rows = rows.exclude(line__status=rules.LineStatus.CANCELLED).annotate(holder=_holder(OuterRef("account_id")))
    return rows.order_by("digits", "pk").values_list("digits", "pk", "account_id", "account__reference", "holder")[:limit]


@prepared
def _referred() -> QuerySet[Account, tuple[Any, ...]]:
    rows = Account.objects.filter(reference__in=[given("written"), given("upper"), given("ours")])
    return rows.annotate(holder=_holder(OuterRef("pk"))).order_by("reference").values_list("pk", "reference", "holder")


def _holder(account: Combinable) -> Subquery:
    rows = AccountPerson.objects.filter(account=account, right=rules.Right.HOLDER)
    return Subquery(rows.order_by("person__name").values("person_id")[:1])


def _by_name(words: Sequence[str], limit: int, protected: bool) -> list[Hit]:
    words = words[:MOST_WORDS]
    if not words or all(len(w) < 2 and w.isascii() for w in words):  # one letter is half the customers; one sign is a name
        return []
    ranges: dict[str, str] = {}
    for n, word in enumerate(sorted(words, key=len, reverse=True)):
        ranges |= {f"from{n}": word, f"to{n}": word + "\U0010ffff"}
    found: dict[tuple[int, int], Hit] = {}
    for account_id, account_reference, person_id, name in _names(len(words), limit * 3, protected, **ranges):
        found.setdefault((account_id, person_id), Hit(account_id, account_reference, person_id, name, "", "name", None))
    return list(found.values())[:limit]


@prepared
def _names(count: int, limit: int, protected: bool) -> QuerySet[NameWord, tuple[Any, ...]]:
    """Persons who have a word in each of `count` ranges, the first of them the longest."""
    rows = NameWord.objects.filter(word__gte=given("from0"), word__lt=given("to0"))
    for n in range(1, count):
        rows = rows.filter(
            person__nameword__word__gte=given(f"from{n}"),
            person__nameword__word__lt=given(f"to{n}"),
            person__nameword__account=F("account"),
        )
    rows = rows if protected else rows.filter(account__protected_at=None)
    rows = rows.order_by("word", "account_id")
    return rows.values_list("account_id", "account__reference", "person_id", "person__name")[:limit]


def by_caller_number(number: str) -> list[Hit]:
    """The accounts that a ringing number belongs to (E.164); more than one: ask which. A protected one never comes up by its
    number: anybody may have put that number on their call."""
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
    return Subquery(AccountPerson.objects.filter(account=account, person=person, ended_at=None).values(column)[:1])


def people_of(account_id: int) -> list[AccountPerson]:
    """Everybody who may speak for an account, the holder first."""
    return _people(account=account_id)


@prepared
def _people() -> QuerySet[AccountPerson]:
    rows = AccountPerson.objects.filter(account_id=whole("account"), ended_at=None).select_related("person")
    return rows.order_by("-right", "person__name")


def lines_of(account_id: int, since: date | None = None) -> list[Line]:
    """The account's lines with plan and device; `data_used` and `data_added` (MB) of the bill period that began on
    `since` when it is given."""
    return _lines(account=account_id) if since is None else _lines_in_period(account=account_id, since=since)


@prepared
def _lines() -> QuerySet[Line]:
    rows = Line.objects.filter(account_id=whole("account")).select_related("plan", "device")
    return rows.order_by("activated_on", "pk")


@prepared
def _lines_in_period() -> QuerySet[Line]:
    return _with_data(_lines.build(), day("since"))


def _with_data(rows: QuerySet[Line], since: date | Given) -> QuerySet[Line]:
    used = (
        Usage.objects.filter(line=OuterRef("pk"), kind="data", day__gte=since)
        .values("line")
        .annotate(total=Sum("quantity"))
        .values("total")
    )
    added = (
        AddedData.objects.filter(line=OuterRef("pk"), period_start__lte=since, period_end__gte=since)
        .values("line")
        .annotate(total=Sum("mb"))
        .values("total")
    )
    return rows.annotate(data_used=Coalesce(Subquery(used), 0), data_added=Coalesce(Subquery(added), 0))


def line(line_id: int) -> Line | None:
    return _line.first(line=line_id)


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


@dataclass(frozen=True, slots=True)
class InCycle:
    """An account as a bill run meets it."""

    id: int
    reference: str
    state: str
    bill_day: int
    imported: bool


def in_cycle(bill_days: Sequence[int], opened_by: date, after: int, limit: int) -> list[InCycle]:
    """Accounts with one of these bill days that were opened by a day, by id, from behind one on."""
    rows = Account.objects.filter(bill_day__in=bill_days, opened_on__lte=opened_by, pk__gt=after).order_by("pk")
    found = rows.values_list("pk", "reference", "state", "bill_day", "source_key")[:limit]
    return [InCycle(pk, reference, state, bill_day, source_key is not None) for pk, reference, state, bill_day, source_key in found]


def one_in_cycle(account_id: int) -> InCycle | None:
    """One account as a bill run meets it."""
    row = Account.objects.filter(pk=account_id).values_list("pk", "reference", "state", "bill_day", "source_key").first()
    return InCycle(row[0], row[1], row[2], row[3], row[4] is not None) if row else None


@dataclass(frozen=True, slots=True)
class Owing:
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
    """Whom to call about an account: the line, its number and the customer's name; the oldest number that lives."""
    found: dict[int, tuple[int, str, str]] = {}
    rows = Line.objects.filter(account_id__in=account_ids, status__in=("active", "suspended")).order_by("number_since", "pk")
    for account_id, pk, msisdn, name in rows.values_list("account_id", "pk", "msisdn", "account__customer__name"):
        found.setdefault(account_id, (pk, msisdn, name))
    return found


def wishes(account_ids: Sequence[int]) -> dict[int, set[tuple[str, str]]]:
    """What these accounts want to hear nothing of: topic and channel; the newest word of each holds."""
    rows = Consent.objects.filter(account_id__in=account_ids).order_by("at", "pk")
    newest = {(a, t, c): yes for a, t, c, yes in rows.values_list("account_id", "topic", "channel", "granted")}
    found: dict[int, set[tuple[str, str]]] = {pk: set() for pk in account_ids}
    for (a, topic, channel), yes in newest.items():
        if not yes:
            found[a].add((topic, channel))
    return found


def living_line(number: str) -> Line | None:
    """The line that has this number (E.164) now."""
    return Line.objects.filter(msisdn=number).exclude(status=rules.LineStatus.CANCELLED).first()


def refused(account_ids: Sequence[int], topics: Sequence[str]) -> set[tuple[int, str]]:
    """The channels on which these accounts want to hear nothing of these topics: account and channel; the newest word holds."""
    newest = {(a, t, c): yes for a, t, c, yes in _consents(accounts=account_ids, topics=topics)}
    return {(a, c) for (a, _, c), yes in newest.items() if not yes}


@prepared
def _consents() -> QuerySet[Consent, tuple[int, str, str, bool]]:
    rows = Consent.objects.filter(account_id__in=wholes("accounts"), topic__in=given_words("topics")).order_by("at", "pk")
    return rows.values_list("account_id", "topic", "channel", "granted")


def count_in_cycle(bill_days: Sequence[int], opened_by: date) -> int:
    return Account.objects.filter(bill_day__in=bill_days, opened_on__lte=opened_by).count()


class LineInCycle(NamedTuple):
    """A line as a bill run meets it: `plan` by its id, `since`: the day from which it is in its state."""

    id: int
    account_id: int
    plan: int
    status: str
    since: date | None
    activated_on: date
    limit_minor: int | None


def lines_in_cycle(account_ids: Sequence[int]) -> list[LineInCycle]:
    """The lines of many accounts, by id."""
    rows = Line.objects.filter(account_id__in=account_ids).order_by("pk")
    return [LineInCycle(*row) for row in rows.values_list("pk", "account_id", "plan_id", "status", "status_since", "activated_on", "spending_limit_minor")]


def plan_changes_since(line_ids: Sequence[int], since: date) -> list[tuple[int, date, int, int]]:
    """The changes of plan of these lines from a day on, in their order: line, day, plan before and after (by id)."""
    rows = PlanChange.objects.filter(line_id__in=line_ids, on__gte=since).order_by("on", "pk")
    return list(rows.values_list("line_id", "on", "before_id", "after_id"))


def data_used(line_ids: Sequence[int], first: date, last: date) -> list[tuple[int, date, int]]:
    """Data by line and day (MB)."""
    rows = Usage.objects.filter(line_id__in=line_ids, kind="data", day__gte=first, day__lte=last)
    return list(rows.values_list("line_id", "day", "quantity"))


def data_added(line_ids: Sequence[int], first: date, last: date) -> dict[int, int]:
    """What was added to lines for periods that begin within these days (MB)."""
    rows = AddedData.objects.filter(line_id__in=line_ids, period_start__gte=first, period_start__lte=last)
    return dict(rows.values("line_id").annotate(s=Sum("mb")).values_list("line_id", "s"))


def numbers_of_record(account_id: int) -> list[Line]:
    """The account's numbers that can prove possession: living lines that take texts, oldest number first."""
    return list(
        Line.objects.filter(account_id=account_id, status__in=["active", "suspended"]).order_by("number_since", "pk")
    )


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


def signals(*, lines: Sequence[Line], at: datetime) -> list[Signal]:
    """Suspended lines, data nearly or all used, a SIM or number changed within two days."""
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
        if item.sim_since and (at - item.sim_since).days < 2 and item.sim_since.date() != item.activated_on:
            found.append(Signal("sim_changed", f"Line {last}: SIM changed lately", "Be careful: a changed SIM proves nothing yet.", 60, section="lines"))
    return found


def _day(day: date | None) -> str:
    return f"{day:%b} {day.day}" if day else "an unknown day"


def counts() -> dict[str, Any]:
    """How much there is, for the command line."""
    return {"accounts": Account.objects.count(), "lines": Line.objects.count()}


# ---------------------------------------------------------------- what an export says


def said(path: str) -> Cast:
    """A day, moment or number as text, as it stands in the database."""
    return Cast(path, TextField())


def yes_or_no(path: str) -> Case:
    return Case(When(**{path: True}, then=Value("yes")), When(**{path: False}, then=Value("no")), default=None, output_field=TextField())


def own_key(path: str = "") -> Case:
    """The key by which the carrier's other systems know the row at this path (`account__`; empty: the row itself): theirs, or one made of
    our id where it began here. NULL where there is no such row."""
    there = {f"{path}pk__isnull": False}
    return Case(When(**there, then=Coalesce(f"{path}source_key", Concat(Value(OWN), Cast(f"{path}pk", TextField())))), default=None, output_field=TextField())


def names_outside(account_ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """How other systems know accounts: the key of each and its reference."""
    return {pk: (key, reference) for pk, key, reference in Account.objects.filter(pk__in=account_ids).values_list("pk", own_key(), "reference")}


OWN = "careline-"  # begins a key that is ours
_LIMITS = {"data_mb": said("data_mb"), "voice_minutes": said("voice_minutes"), "texts": said("texts")}
EXPORTED: dict[str, tuple[type[Model], dict[str, str | Combinable]]] = {
    "plans": (Plan, {"key": own_key(), "code": "code", "name": "name", "price": "price_minor", **_LIMITS, "data_gb_price": "data_gb_price_minor"}),
    "devices": (Device, {"key": own_key(), "imei": "imei", "make": "make", "model": "model", "compatible": yes_or_no("compatible"), "blocked": "blocked"}),
    "customers": (Customer, {"key": own_key(), "name": "name", "kind": "kind", "since": said("since"), "language": "language", "needs": "needs",
                             "likes": "likes", "email": "email", "synthetic": yes_or_no("synthetic"), "phone": "phone"}),
    "persons": (Person, {"key": own_key(), "customer": own_key("customer__"), "name": "name", "email": "email"}),
    "accounts": (Account, {"key": own_key(), "customer": own_key("customer__"), "reference": "reference", "currency": "currency", "status": "status",
                           "opened_on": said("opened_on"), "bill_day": said("bill_day"), "state": "state", "zone": "zone", "postal_code": "postal_code",
                           "autopay": yes_or_no("autopay"), "change_lock": yes_or_no("change_lock"),
                           "street": "street", "city": "city", "port_lock": yes_or_no("port_lock")}),
    "people": (AccountPerson, {"account": own_key("account__"), "person": own_key("person__"), "right": "right", "may_money": yes_or_no("may_money"),
                               "may_service": yes_or_no("may_service"), "until": said("until")}),
    "lines": (Line, {"key": own_key(), "account": own_key("account__"), "number": "msisdn", "label": "label", "plan": own_key("plan__"), "status": "status",
                     "status_reason": "status_reason", "status_since": said("status_since"), "number_since": said("number_since"),
                     "activated_on": said("activated_on"), "device": own_key("device__"), "iccid": "iccid", "sim_kind": "sim_kind",
                     "sim_since": said("sim_since"), "can_text": yes_or_no("can_text"), "contract_ends_on": said("contract_ends_on"),
                     "sim_state": "sim_state", "spending_limit": "spending_limit_minor"}),
    "usage": (Usage, {"line": own_key("line__"), "kind": "kind", "day": said("day"), "quantity": said("quantity")}),
    "consents": (Consent, {"key": own_key(), "account": own_key("account__"), "topic": "topic", "channel": "channel", "granted": yes_or_no("granted"),
                           "at": said("at"), "source": "source"}),
}  # fmt: skip


def exported(entity: str) -> tuple[list[str], QuerySet[Any, tuple[Any, ...]]]:
    """The fields of an entity, as an import names them, and its rows in the order of their ids: text, whole minor units, or None."""
    table, fields = EXPORTED[entity]
    rows = table.objects.order_by("pk")  # type: ignore[attr-defined]
    if table is AccountPerson:
        rows = rows.filter(ended_at=None)  # a right that was taken away is none
    return list(fields), rows.values_list(*fields.values())
