"""Changing customers and what they have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.db import models

from careline.domain.customers import rules
from careline.domain.customers.models import (
    Account,
    AccountPerson,
    AddedData,
    Allowance,
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
    first_features,
)
from careline.foundation import phone
from careline.foundation.act import Act
from careline.prepared import prepared, rewrite_many, whole, wholes, write_many, write_rows


def lock_accounts(ids: Iterable[int]) -> set[int]:
    """Lock these accounts in the order of their ids: always the first locks of a deed. Returns those that exist."""
    wanted = sorted(set(ids))
    if len(wanted) == 1:
        return {pk for (pk,) in _lock_one(account=wanted[0])}
    return {pk for (pk,) in _lock_many(accounts=wanted)}


@prepared
def _lock_many() -> models.QuerySet[Account, tuple[int]]:
    return Account.objects.select_for_update(no_key=True).filter(pk__in=wholes("accounts")).order_by("pk").values_list("pk")


@prepared
def _lock_one() -> models.QuerySet[Account, tuple[int]]:
    return Account.objects.select_for_update(no_key=True).filter(pk=whole("account")).values_list("pk")


def index_many(*, accounts: Sequence[int] = (), lines: Sequence[int] = ()) -> None:
    """Make the find box know the names of these accounts' people and the numbers of these lines, as they are now."""
    if accounts:
        NameWord.objects.filter(account_id__in=accounts).delete()
        words = [
            {"word": word, "account_id": right.account_id, "person_id": right.person_id}
            for right in AccountPerson.objects.filter(account_id__in=accounts, ended_at=None).select_related("person")
            for word in rules.name_words(right.person.name)
        ]
        write_rows(NameWord, words)
    if lines:
        NumberKey.objects.filter(line_id__in=lines).delete()
        _index_numbers(Line.objects.filter(pk__in=lines).values_list("pk", "msisdn", "account_id"))


def _index_numbers(lines: Iterable[tuple[int, str, int]]) -> None:
    keys = ((pk, phone.digits(msisdn), account_id) for pk, msisdn, account_id in lines)
    write_rows(NumberKey, [{"digits": digits, "reversed": digits[::-1], "line_id": pk, "account_id": account_id} for pk, digits, account_id in keys])


def set_pin(*, act: Act, account_id: int, pin_hash: str) -> None:
    """Store a PIN's hash (made outside any transaction: it is slow on purpose)."""
    Pin.objects.update_or_create(account_id=account_id, defaults={"hash": pin_hash, "set_at": act.at})


def tie_staff(*, act: Act, account_id: int, staff_id: int, tie: str) -> None:
    """Mark an account as a member of staff's own or a relative's."""
    StaffTie.objects.update_or_create(account_id=account_id, staff_id=staff_id, defaults={"tie": tie})
    Account.objects.filter(pk=account_id).update(staff_marked=True)


def suspend_line(*, act: Act, line_id: int, reason: str, words: str, day: date, bar: str = "") -> None:
    """`reason` is its code, `words` what people read of it; `bar`: "outgoing" or "all"."""
    Line.objects.filter(pk=line_id).update(
        status=rules.LineStatus.SUSPENDED, status_reason=words[:80], status_since=day, suspended_for=reason, bar=bar
    )


def disconnect_line(*, act: Act, line_id: int, words: str, day: date) -> None:
    """End a line: its number is free for another."""
    Line.objects.filter(pk=line_id).update(
        status=rules.LineStatus.CANCELLED, status_reason=words[:80], status_since=day, suspended_for="", bar=""
    )


def restore_line(*, act: Act, line_id: int, day: date) -> None:
    Line.objects.filter(pk=line_id).update(
        status=rules.LineStatus.ACTIVE, status_reason="", status_since=day, suspended_for="", bar=""
    )


def switch_feature(*, act: Act, line_id: int, feature: str, on: bool) -> None:
    """Switch one feature of a line; the account is locked, so that no other switch is lost."""
    line = Line.objects.get(pk=line_id)
    features = line.switched_on | {feature} if on else line.switched_on - {feature}
    Line.objects.filter(pk=line_id).update(features=rules.features_text(features))


def change_sim(*, act: Act, line_id: int, iccid: str, kind: str) -> None:
    """Another SIM in a line, from now on: until it is old enough, whoever has it proves nothing strong by it. `kind`: sim or esim."""
    Line.objects.filter(pk=line_id).update(iccid=iccid, sim_kind=kind, sim_since=act.at, sim_state=rules.SimState.ACTIVE)


def known_device(*, act: Act, imei: str, make: str, model: str) -> Device:
    """The device of this IMEI; one that nobody knew is written down as it was said to be."""
    return Device.objects.get_or_create(imei=imei, defaults={"make": make, "model": model})[0]


def change_device(*, act: Act, line_id: int, device_id: int) -> None:
    Line.objects.filter(pk=line_id).update(device=device_id)


def change_plan(*, act: Act, line_id: int, plan_id: int, on: date, reference: str) -> bool:
    """Another plan from a day on (not in the future); the account is locked. False: it has this plan. The history says
    since when and what it was before, so that the next bill counts the days."""
    line = Line.objects.get(pk=line_id)
    if line.plan_id == plan_id:
        return False
    PlanChange.objects.create(line=line, before_id=line.plan_id, after_id=plan_id, on=on, at=act.at, reference=reference)
    Line.objects.filter(pk=line_id).update(plan=plan_id)
    return True


def switch_autopay(*, act: Act, account_id: int, on: bool) -> bool:
    """Take what is due from the saved method from now on, or no more. False: it stood so already."""
    return bool(Account.objects.filter(pk=account_id, autopay=not on).update(autopay=on))


def end_autopay_many(*, act: Act, account_ids: Sequence[int]) -> None:
    """Nothing is taken from these accounts by itself any more. They are locked."""
    if account_ids:
        Account.objects.filter(pk__in=account_ids, autopay=True).update(autopay=False)


def consent(*, act: Act, account_id: int, topic: str, channel: str, granted: bool, source: str) -> None:
    """What a customer wants to hear, or no more: the newest word of a topic and channel holds."""
    Consent.objects.create(account_id=account_id, topic=topic, channel=channel, granted=granted, at=act.at, source=source)


def add_data(*, act: Act, line_id: int, mb: int, period: tuple[date, date], reference: str) -> None:
    """More data for one bill period (its first and last day)."""
    AddedData.objects.create(
        line_id=line_id, mb=mb, period_start=period[0], period_end=period[1], at=act.at, reference=reference
    )


def add_plans_many(*, act: Act, rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Write plans in bulk; returns the id of each by its code."""
    Plan.objects.bulk_create([Plan(**row) for row in rows], batch_size=2000)
    return dict(Plan.objects.filter(code__in=[row["code"] for row in rows]).values_list("code", "pk"))


@dataclass(frozen=True, slots=True)
class Opened:
    """The ids of one account that was written in bulk, its people and lines in the order they were given."""

    account: int
    people: tuple[int, ...]
    lines: tuple[int, ...]


def open_accounts_many(*, act: Act, rows: Sequence[Mapping[str, Any]]) -> list[Opened]:
    """Write whole accounts in bulk: customer, people with their rights, lines with device and usage, PIN, consents.

    A row has `customer` and `account` (columns), `people` (each with `person` and `right`, columns; a person with the
    same `same_as` word is one person on several accounts), `lines` (columns, `plan_id`, and beside them `device` and
    `usage`: kind, day, quantity), `pin` (hash and moment, or None) and `consents`. The find box knows them after.
    """
    customers = Customer.objects.bulk_create([Customer(**row["customer"]) for row in rows], batch_size=2000)
    accounts = Account.objects.bulk_create(
        [Account(customer=c, **row["account"]) for c, row in zip(customers, rows, strict=True)], batch_size=2000
    )
    known: dict[str, Person] = {}
    people: list[list[Person]] = []
    for customer, row in zip(customers, rows, strict=True):
        mine = []
        for one in row["people"]:
            person = known.get(one.get("same_as", "")) or Person(customer=customer, **one["person"])
            if one.get("same_as"):
                known[one["same_as"]] = person
            mine.append(person)
        people.append(mine)
    Person.objects.bulk_create({id(p): p for mine in people for p in mine}.values(), batch_size=2000)
    AccountPerson.objects.bulk_create(
        [
            AccountPerson(account=account, person=person, **one["right"])
            for account, row, mine in zip(accounts, rows, people, strict=True)
            for one, person in zip(row["people"], mine, strict=True)
        ],
        batch_size=2000,
    )
    devices: list[Device] = []
    lines: list[list[Line]] = []
    usage: list[tuple[Line, dict[str, Any]]] = []
    for account, row in zip(accounts, rows, strict=True):
        lines.append([])
        for given in row["lines"]:
            columns = {k: v for k, v in given.items() if k not in ("device", "usage")}
            line = Line(account=account, **columns)
            if given.get("device"):
                line.device = Device(**given["device"])
                devices.append(line.device)
            lines[-1].append(line)
            usage += [(line, {"kind": k, "day": d, "quantity": q}) for k, d, q in given.get("usage", ())]
    write_many(devices)
    for mine_lines in lines:
        for line in mine_lines:
            line.device_id = line.device.pk if line.device else None
    write_many([line for mine_lines in lines for line in mine_lines])
    write_rows(Usage, [used | {"line_id": line.pk} for line, used in usage])
    Pin.objects.bulk_create(
        [Pin(account=a, hash=row["pin"][0], set_at=row["pin"][1]) for a, row in zip(accounts, rows, strict=True) if row.get("pin")],
        batch_size=2000,
    )
    Consent.objects.bulk_create(
        [Consent(account=a, **one) for a, row in zip(accounts, rows, strict=True) for one in row.get("consents", ())],
        batch_size=2000,
    )
    made = [
        Opened(a.pk, tuple(p.pk for p in mine), tuple(n.pk for n in mine_lines))
        for a, mine, mine_lines in zip(accounts, people, lines, strict=True)
    ]
    index_many(accounts=[o.account for o in made], lines=[pk for o in made for pk in o.lines])
    return made


@dataclass(frozen=True)
class Imported:
    """How an entity is imported: its table, what it refers to by source key, and what must be its own."""

    table: type[models.Model]
    refers: Mapping[str, type[models.Model]] = field(default_factory=dict)
    own: tuple[str, ...] = ()
    identity: tuple[str, ...] = ("source_key",)
    begins: Callable[[], dict[str, Any]] = dict  # what a new row has that no import says


IMPORTED = {
    "plans": Imported(Plan, {}, ("code",)),
    "allowances": Imported(Allowance, {"plan": Plan}, (), ("plan_id", "kind")),
    "devices": Imported(Device, {}, ("imei",)),
    "customers": Imported(Customer),
    "persons": Imported(Person, {"customer": Customer}),
    "accounts": Imported(Account, {"customer": Customer}, ("reference",)),
    "people": Imported(AccountPerson, {"account": Account, "person": Person}, (), ("account_id", "person_id")),
    "lines": Imported(Line, {"account": Account, "plan": Plan, "device": Device}, ("msisdn",), begins=lambda: {"features": first_features()}),
    "usage": Imported(Usage, {"line": Line}, (), ("line_id", "kind", "day")),
    "consents": Imported(Consent, {"account": Account}),
    "pins": Imported(Pin, {"account": Account}, (), ("account_id",)),
}


@dataclass
class Status:
    """Who says whether a line is on, barred or ended, where a row says otherwise than this house did. `on`: the day on which this house set it, by
    the line's source key; `ours`: it stands, unless the row is of a later day. `differs`: those rows, by number, and what this house has."""

    on: Mapping[str, date]
    ours: bool
    differs: dict[int, str] = field(default_factory=dict)


_STATUS = ("status", "status_reason", "status_since")


def upsert_many(*, act: Act, entity: str, rows: Sequence[Mapping[str, Any]], held_here: bool = False, status: Status | None = None) -> list[str]:
    """Write rows by the carrier's own keys. Returns, row by row: `written`, `unchanged`, or why it is rejected. `held_here`: this house
    is their system of record, so that only new ones are written; `status`: who is it of whether a line is on.

    A row names what it refers to by source key. The find box learns new names and numbers in the same transaction.
    """
    spec = IMPORTED[entity]
    found_ids = {
        name: dict(table.objects.filter(source_key__in={r[name] for r in rows if r[name]}).values_list("source_key", "pk"))  # type: ignore[attr-defined]
        for name, table in spec.refers.items()
    }
    fates: list[str] = [""] * len(rows)
    wanted: dict[tuple[Any, ...], tuple[int, dict[str, Any]]] = {}
    for n, row in enumerate(rows):
        values = {k: v for k, v in row.items() if k not in spec.refers}
        for name in spec.refers:
            values[f"{name}_id"] = found_ids[name].get(row[name]) if row[name] else None
            if row[name] and values[f"{name}_id"] is None:
                fates[n] = f"{name}: there is no {name} with the key {row[name]} (not in the files, or rejected)"
        identity = tuple(values[i] for i in spec.identity)
        if not fates[n] and identity in wanted:
            fates[n] = f"the same key came before, in this import ({', '.join(str(i) for i in identity)})"
        if not fates[n]:
            wanted[identity] = (n, values)
    if spec.table is Usage:
        _reject_unknown_kinds(wanted, fates)
    existing = _by_identity(spec, list(wanted))
    if status is not None and not held_here:
        _stands(wanted, existing, status)
    guarded = _guarded(spec, existing.values())
    _reject_taken(spec, wanted, existing, fates)
    new: list[dict[str, Any]] = []
    changed, columns = [], set()
    for identity, (n, values) in wanted.items():
        if fates[n]:
            continue
        there = existing.get(identity)
        if there is None:
            new.append({**spec.begins(), **values})
        elif (differs := [k for k, v in values.items() if getattr(there, k) != v and not _kept(there, k, values, guarded)]) and held_here:
            fates[n] = f"{differs[0].removesuffix('_id')}: differs from what is here, and Careline is the system of record (records.toml)"
            continue
        elif differs:
            if isinstance(there, Line) and "status" in differs:  # why and how far it was barred here is over
                values |= {"suspended_for": "", "bar": ""}
                differs = [*differs, "suspended_for", "bar"]
            for k in differs:
                setattr(there, k, values[k])
            columns.update(differs)
            changed.append(there)
        fates[n] = "unchanged" if there is not None and not differs else "written"
    ids = write_rows(spec.table, new)
    if changed:
        rewrite_many(changed, sorted(columns))
    _index_touched(entity, ids, new, changed)
    return fates


def _stands(wanted: Mapping[tuple[Any, ...], tuple[int, dict[str, Any]]], existing: Mapping[tuple[Any, ...], Any], status: Status) -> None:
    """Rows that would make a line stand otherwise than this house made it: what they say of that is passed over, where it is this house's to say."""
    for identity, (n, values) in wanted.items():
        there, since = existing.get(identity), values["status_since"]
        on = status.on.get(values["source_key"])
        if there is None or on is None or (since is not None and since > on):
            continue
        if values["status"] != there.status:
            status.differs[n] = there.status
        if status.ours:
            values.update({name: getattr(there, name) for name in _STATUS})


def _reject_unknown_kinds(wanted: Mapping[tuple[Any, ...], tuple[int, dict[str, Any]]], fates: list[str]) -> None:
    """Usage of a kind that no plan names would never be billed, so it is no usage: a word that was mistyped, most likely."""
    kinds = {kind for _, kind, _ in wanted} - {rules.DATA[0], rules.VOICE[0], rules.TEXT[0]}
    if kinds:
        kinds -= set(Allowance.objects.filter(kind__in=kinds).values_list("kind", flat=True))
    for (_, kind, _), (n, _) in wanted.items():
        if kind in kinds:
            fates[n] = f"kind: not data, voice or text, and no plan has an allowance of {kind}"


def _guarded(spec: Imported, rows: Iterable[Any]) -> set[int]:
    """Lines of these that are under protection."""
    if spec.table is not Line:
        return set()
    return set(Line.objects.filter(pk__in=[r.pk for r in rows], account__protected_at__isnull=False).values_list("pk", flat=True))


def _kept(row: Any, column: str, values: Mapping[str, Any], guarded: set[int]) -> bool:
    """What was changed at the desk by the person it is about stays, whatever the carrier's other system still believes: a
    survivor's line is never moved back, nothing is unlocked, a young PIN or address is not put back to the old one."""
    if isinstance(row, Line):
        if column in ("iccid", "sim_kind", "sim_since", "sim_state"):
            return row.sim_since is not None and (values["sim_since"] is None or values["sim_since"] < row.sim_since)
        return row.pk in guarded and column in ("account_id", "label", "contract_ends_on")
    if isinstance(row, Account):
        return (column == "change_lock" and not values[column]) or (row.address_since is not None and column in ("state", "postal_code", "zone"))
    if isinstance(row, Customer):
        return column == "email" and row.email_since is not None
    return isinstance(row, Pin) and values["set_at"] < row.set_at


def _by_identity(spec: Imported, identities: list[tuple[Any, ...]]) -> dict[tuple[Any, ...], Any]:
    first = spec.identity[0]
    rows = spec.table.objects.filter(**{f"{first}__in": {i[0] for i in identities}})  # type: ignore[attr-defined]
    if len(spec.identity) > 2:
        rows = rows.filter(day__in={i[2] for i in identities})
    return {tuple(getattr(r, k) for k in spec.identity): r for r in rows}


def _reject_taken(
    spec: Imported, wanted: Mapping[tuple[Any, ...], tuple[int, dict[str, Any]]], existing: Mapping[tuple[Any, ...], Any], fates: list[str]
) -> None:
    """What must be a row's own (a reference, an IMEI, a living number) may not be another's already."""
    for column in spec.own:
        values = [v[column] for n, v in wanted.values() if not fates[n]]
        held = spec.table.objects.filter(**{f"{column}__in": values})  # type: ignore[attr-defined]
        if spec.table is Line:
            held = held.exclude(status=rules.LineStatus.CANCELLED)
        owners = {getattr(r, column): r.source_key for r in held}
        for (key,), (n, row) in wanted.items():
            if fates[n] or (spec.table is Line and row["status"] == rules.LineStatus.CANCELLED):
                continue
            if owners.setdefault(row[column], key) != key:
                fates[n] = f"{'number' if column == 'msisdn' else column}: another row has it already"


def _index_touched(entity: str, ids: Sequence[int], new: Sequence[Mapping[str, Any]], changed: Sequence[Any]) -> None:
    if entity == "lines":
        index_many(lines=[r.pk for r in changed])
        _index_numbers((pk, row["msisdn"], row["account_id"]) for pk, row in zip(ids, new, strict=True))
    elif entity == "people":
        index_many(accounts=sorted({row["account_id"] for row in new} | {r.account_id for r in changed}))
    elif entity == "persons" and changed:
        theirs = AccountPerson.objects.filter(person_id__in=[r.pk for r in changed]).values_list("account_id", flat=True)
        index_many(accounts=sorted(set(theirs)))


def ids_by_key(entity: str, keys: Iterable[str]) -> dict[str, int]:
    """The ids behind source keys, for rooms above that import their own rows."""
    return dict(IMPORTED[entity].table.objects.filter(source_key__in=set(keys)).values_list("source_key", "pk"))  # type: ignore[attr-defined]
