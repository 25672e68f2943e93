"""Every prepared question answers as its queryset does, on both databases."""

from __future__ import annotations

import importlib
import pkgutil
import re
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.apps import apps
from django.contrib.sessions.backends.db import SessionStore
from django.db import DatabaseError, connection, transaction
from django.db.models import AutoField, BigAutoField, Model

from careline import prepared
from careline.acts.look import look
from careline.acts.perform import scene_for_page
from careline.domain.activations.models import Order
from careline.domain.arrangements.models import Arrangement
from careline.domain.billing.models import Agreed, Draft, Instalments
from careline.domain.collections.models import Climb, Hold, LateFee
from careline.domain.contacts import queries as contacts
from careline.domain.customers.models import Account, AddedData, Consent, PlanChange, Usage
from careline.domain.journal.models import Outbox, RequestKey
from careline.domain.ledger.models import (
    Allocation,
    Bill,
    BillLine,
    Charge,
    ClosedPeriod,
    Entry,
    Payment,
    PaymentMethod,
    UnbilledCharge,
)
from careline.domain.ledger.rules import LineKind
from careline.domain.network.models import Area, AreaPart, Trouble
from careline.domain.rulebook import queries as rulebooks
from tests import people

KINDS = (prepared.whole, prepared.text, prepared.day, prepared.moment, prepared.wholes, prepared.words)
EDGE = {"from0": "okafor", "to0": "okafor\U0010ffff", "from1": "mar", "to1": "mar\U0010ffff"}


def questions() -> dict[str, prepared.Prepared[Any]]:
    found = {}
    for name in ("careline.domain", "careline.doors"):
        package = importlib.import_module(name)
        for info in pkgutil.walk_packages(package.__path__, name + "."):
            if "migrations" in info.name:
                continue
            module = importlib.import_module(info.name)
            found.update({f"{q.__module__.removeprefix('careline.')}.{q.__name__}": q for q in vars(module).values() if isinstance(q, prepared.Prepared)})
    return found


def plain(value: Any) -> Any:
    """An answer with all that came with it: related rows and annotations too."""
    if isinstance(value, Model):
        related = {k: plain(v) for k, v in value._state.fields_cache.items()}
        return type(value), {k: v for k, v in vars(value).items() if k != "_state"}, related
    return value


def late(account: Account, at: Any) -> None:
    """What the ladder asks about, a row of each."""
    bill = Bill.objects.filter(account=account).latest("pk")
    BillLine.objects.create(bill=bill, kind="fee", label="Late payment fee", source_key="late_fee", amount_minor=0)
    Account.objects.filter(pk=account.pk).update(autopay=True, source_key="K-1")
    Charge.objects.create(account=account, key="under-way", amount_minor=100, at=at)
    LateFee.objects.create(account=account, bill=bill, amount_minor=700, charge="CH-1", at=at)
    Climb.objects.create(account=account, since=bill.due_on, began_at=at, judged_at=at, settled=False)
    Hold.objects.create(reference="HO-1", account=account, kind="dispute", bill=bill, starts_on=at.date(), placed_by="Staff:1", placed_at=at)
    Arrangement.objects.create(number="AR-1", account=account, agreed_on=at.date(), check_on=at.date())
    Consent.objects.create(account=account, topic="collections", channel="sms", granted=False, at=at, source="reply")
    Outbox.objects.create(topic="collections", channel="sms", to="0188", body="", about="ladder", at=at, not_before=at, account_id=account.pk)


def billed(account: Account, at: Any) -> None:
    """What the bill run asks about, a row of each, in the cycle of November 4."""
    start, line = date(2026, 11, 4), account.lines.get()
    for kind, units in (("data", 100), ("voice", 5), ("roaming_data", 70)):
        Usage.objects.create(line=line, kind=kind, day=date(2026, 10, 10), quantity=units)
    AddedData.objects.create(line=line, mb=512, period_start=date(2026, 10, 4), period_end=date(2026, 11, 3), at=at, reference="OR-A")
    PlanChange.objects.create(line=line, before=line.plan, after=line.plan, on=date(2026, 10, 15), at=at, reference="OR-P")
    Agreed.objects.create(account=account, kind="discount", label="Loyalty", amount_minor=-500, starts_on=date(2026, 1, 1), reference="AG-1")
    Instalments.objects.create(account=account, line=line, label="Phone", total_minor=1000, count=3, starts_on=date(2026, 1, 1), reference="IN-1")
    UnbilledCharge.objects.create(number="CH-9", account=account, line=line, kind="fee", label="x", unit_price_minor=1, amount_minor=1, day=date(2026, 10, 10), at=at, reference="OR-C")
    for on, state in ((date(2026, 9, 4), "nothing"), (date(2026, 10, 4), "draft"), (start, "draft")):
        Draft.objects.create(account=account, cycle_on=on, period_end=on, state=state, measured="[]", rulebook="", drafted_at=at)
    paid = Payment.objects.filter(account=account).latest("pk")
    Payment.objects.create(number="PY-R", account=account, amount_minor=paid.amount_minor, method="Visa", received_at=at, returns=paid)
    Entry.objects.create(account=account, kind="write_off", day=start, at=at, amount_minor=-1, reference="WO-1", label="Given up")
    BillLine.objects.create(bill=account.bills.latest("pk"), kind="fee", label="Carried", source_key="CH-8", amount_minor=0)
    ClosedPeriod.objects.create(number="BP-1", starts_on=date(2026, 1, 1), ends_on=date(2026, 1, 31), chart="", closed_by="Lena", at=at)


@pytest.fixture
def asked(house):
    """A call with everything in it, and how each question is asked about it: shapes, values, and whether it finds."""
    maria = people.open_account()
    ana, lena = house["ana"], house["lena"]
    people.Desk(lena).take_call(maria).must("contacts.note", account=maria.pk, text="Prefers mornings", pinned=True)
    desk = people.Desk(ana, people.TUESDAY + timedelta(hours=1)).take_call(maria)
    desk.must("approvals.ask", account=maria.pk, code="credits.grant", words="Long outage",
             input={"account": str(maria.pk), "amount": 4000, "reason": "retention"})
    walk = int(desk.must("diagnosis.start", account=maria.pk, line=maria.lines.get().pk, guide="no_service").show["walk"])
    row = contacts.contact(desk.contact)
    scene = scene_for_page(row, ana.who, rulebooks.current(), desk.at)
    look("view.account", who=ana.who, scene=scene, at=desk.at)
    look("view.search", who=ana.who, at=desk.at, every_time=True, chain="house")
    session = SessionStore()
    session["who"] = "ana"
    session.save()
    Order.objects.create(number="OR-L", key="leaving", account=maria, line=maria.lines.get(), kind="port_out", to="Other Mobile", waits_until=desk.at, asked_by="Staff:1", asked_at=desk.at)
    account, accounts = {"account": maria.pk}, {"accounts": [maria.pk, 0]}
    late(maria, desk.at)
    billed(maria, desk.at)
    lines, within = {"lines": [maria.lines.get().pk, 0]}, {"first": date(2026, 10, 4), "last": date(2026, 12, 31)}
    cycle = {"start": date(2026, 11, 4)}
    bill = maria.bills.latest("pk")
    BillLine.objects.create(bill=bill, kind="plan", label="Plus 15 GB", line=maria.lines.get(), period_end=bill.period_end, amount_minor=0)
    theirs = Bill.objects.create(number="B-K", account=maria, issued_on=bill.issued_on, due_on=bill.due_on, period_start=bill.period_start,
                                 period_end=bill.period_end, total_minor=0, source_key="K-9")  # fmt: skip
    message = Outbox.objects.latest("pk").pk
    area = AreaPart.objects.create(area=Area.objects.create(code="sea", name="Seattle"), kind="postal", value="981").area
    Trouble.objects.create(number="NT-1", area=area, kind="outage", voice=True, data=True, text=True, began=desk.at, words="Work on a mast", entered_by=lena, entered_at=desk.at, changed_by=lena)
    stretch = {"first": maria.pk, "last": maria.pk}
    spent = RequestKey.objects.filter(principal=ana.who.key).latest("pk").key
    since = people.TUESDAY - timedelta(days=1)
    return {
        "domain.activations.queries._leaving": [((), account)],
        "domain.approvals.queries._of_contact": [((), {"contact": desk.contact, "account": maria.pk})],
        "domain.approvals.queries._waiting": [(("lead",), {"staff": lena.pk, "at": desk.at}), (("supervisor",), {"staff": lena.pk, "at": desk.at})],
        "domain.arrangements.queries._alive_on": [((), accounts | {"day": date(2026, 12, 1)})],
        "domain.billing.queries._bought": [((), accounts | cycle)],
        "domain.billing.queries._in_force": [((), accounts | cycle)],
        "domain.billing.queries._measured": [((), accounts | cycle | {"oldest": date(2026, 1, 1)})],
        "domain.billing.queries._other_drafts": [((), accounts | cycle)],
        "domain.billing.queries._settled": [((), accounts)],
        "domain.billing.queries._waiting_of": [((), accounts | cycle)],
        "domain.billing.queries._with_draft": [((), accounts | cycle)],
        "domain.collections.queries._climbing": [((), stretch)],
        "domain.collections.queries._climbs": [((), accounts | {"since": since})],
        "domain.collections.queries._in_force": [((), accounts | {"day": date(2026, 12, 1)})],
        "domain.collections.queries._levied": [((), accounts)],
        "domain.collections.queries._unsettled": [((), accounts)],
        "domain.contacts.operations._lock_row": [((), {"contact": desk.contact})],
        "domain.contacts.operations._plain": [((), {"contact": desk.contact})],
        "domain.contacts.queries._by_id": [((), {"contact": desk.contact})],
        "domain.contacts.queries._by_reference": [((), {"reference": row.reference})],
        "domain.contacts.queries._in_hand": [((), {"staff": ana.pk})],
        "domain.contacts.queries._notes": [((20,), account)],
        "domain.contacts.queries._recent": [((), account | {"since": since, "but": desk.contact})],
        "domain.customers.operations._lock_many": [((), accounts)],
        "domain.customers.operations._lock_one": [((), account)],
        "domain.customers.queries.accounts._consents": [((), accounts | {"topics": ("collections", "all")})],
        "domain.customers.queries.accounts._line": [((), {"line": maria.lines.get().pk})],
        "domain.customers.queries.accounts._lines": [((), account)],
        "domain.customers.queries.accounts._lines_in_period": [((), account | {"since": date(2026, 11, 1)})],
        "domain.customers.queries.cycle._came_by_import": [((), accounts)],
        "domain.customers.queries.cycle._data_added": [((), lines | within)],
        "domain.customers.queries.cycle._lines_in_cycle": [((), accounts)],
        "domain.customers.queries.cycle._plan_changes": [((), lines | {"since": date(2026, 10, 4)})],
        "domain.customers.queries.cycle._used_by_day": [((), lines | within | {"kinds": ["data", "voice"]})],
        "domain.customers.queries.cycle._used_in_all": [((), lines | within | {"kinds": ["voice"]})],
        "domain.customers.queries.cycle._used_since": [((), lines | {"since": date(2026, 10, 4)})],
        "domain.customers.queries.finding._names": [((1, 9, False), EDGE), ((2, 9, True), EDGE)],
        "domain.customers.queries.finding._numbers": [(("reversed", 9, False), {"first": "8810", "last": "8810999999999999"}), (("digits", 9, True), {"first": "1206", "last": "1206999999999999"})],
        "domain.customers.queries.accounts._owing": [((), accounts)],
        "domain.customers.queries.accounts._on_autopay": [((), accounts)],
        "domain.customers.queries.accounts._people": [((), account)],
        "domain.customers.queries.accounts._texted": [((), accounts)],
        "domain.customers.queries.finding._referred": [((), {"written": maria.reference, "upper": maria.reference, "ours": maria.reference})],
        "domain.diagnosis.queries._answers": [((), {"walk": walk})],
        "domain.diagnosis.queries._open_of": [((), account)],
        "domain.diagnosis.queries._walk": [((), {"walk": walk})],
        "domain.journal.operations._counter": [((), {"name": "contact"})],
        "domain.journal.operations._head": [((), {"name": f"account:{maria.pk}"})],
        "domain.journal.operations._heads": [((), {"names": ["house", f"account:{maria.pk}", 'it\'s "no" chain']})],
        "domain.journal.queries._fates": [((), {"messages": [message]})],
        "domain.journal.queries._spent": [((), {"principal": ana.who.key, "key": spent})],
        "domain.journal.queries._count_since": [((), {"who": ana.who.key, "code": "view.search", "since": since})],
        "domain.journal.queries._looked": [((), {"basis": scene.basis.key, "code": "view.account", "who": ana.who.key})],
        "domain.ledger.queries.account._bills": [((None,), account), ((2,), account)],
        "domain.ledger.queries.account._newest": [((12,), account)],
        "domain.ledger.queries.account._paying": [((), accounts | {"since": since})],
        "domain.ledger.queries.applied._owed_between": [((), stretch | {"by": date(2026, 12, 1)})],
        "domain.ledger.queries.applied._owed_of": [((), accounts | {"by": date(2026, 12, 1)})],
        "domain.ledger.queries.applied._applied": [((), accounts)],
        "domain.ledger.queries.applied._money": [((), accounts)],
        "domain.ledger.queries.applied._standing": [((), accounts)],
        "domain.ledger.queries.applied._with_money_left": [((), accounts)],
        "domain.ledger.queries.applied._with_written_off": [((), accounts)],
        "domain.ledger.queries.books._closed": [((), {})],
        "domain.ledger.queries.cycle._beyond": [((), lines | within)],
        "domain.ledger.queries.cycle._came_back": [((), accounts | {"since": since, "before": people.TUESDAY + timedelta(days=1)})],
        "domain.ledger.queries.cycle._carried": [((), accounts | {"numbers": ["CH-8", "CH-7"]})],
        "domain.ledger.queries.cycle._covered": [((), accounts)],
        "domain.ledger.queries.cycle._fell_due": [((), accounts | within)],
        "domain.ledger.queries.cycle._imported_bills": [((), {"bills": [bill.pk, theirs.pk]})],
        "domain.ledger.queries.cycle._unbilled": [((), accounts)],
        "domain.ledger.queries.cycle._in_advance": [((), accounts | {"end": bill.period_end})],
        "domain.ledger.queries.cycle._fees": [((), accounts | {"since": date(2026, 1, 1)})],
        "domain.network.queries._open_at": [((), {"starts": ["9", "98", "981"], "at": desk.at})],
        "domain.staff.queries._person": [((), {"staff": ana.pk})],
        "doors.sessions._alive": [((), {"key": session.session_key, "now": since})],
    }


def test_every_prepared_question_answers_as_its_queryset_does(asked, monkeypatch):
    found = questions()
    assert set(found) == set(asked), "ask every prepared question here"
    for name, question in found.items():
        module = importlib.import_module(f"careline.{name.rpartition('.')[0]}")
        for shape, values in asked[name]:
            first, again = question(*shape, **values), question(*shape, **values)
            with monkeypatch.context() as plainly:
                for attribute, value in list(vars(module).items()):
                    if value in KINDS:
                        plainly.setattr(module, attribute, values.__getitem__)
                expected = list(question.build(*shape))
            assert [plain(r) for r in first] == [plain(r) for r in again] == [plain(r) for r in expected], name
            assert first, f"{name} found nothing, which proves nothing"


def test_a_prepared_question_is_compiled_once_and_keeps_no_value(asked):
    question = questions()["domain.contacts.queries._by_id"]
    ((), values) = asked["domain.contacts.queries._by_id"][0]
    assert question(**values) and question(contact=0) == []
    (held,) = question._held.__dict__.values()
    assert held.sql.count("%s") == len(held.params)
    assert [p.value for p in held.params if isinstance(p, prepared.Given)] == ["contact"]


def test_a_prepared_question_refuses_null(asked):
    with pytest.raises(ValueError, match="NULL"):
        questions()["domain.contacts.queries._by_id"](contact=None)


def test_an_unnamed_value_is_an_error_and_never_a_wider_answer(asked):
    with pytest.raises(KeyError):
        questions()["domain.customers.queries.accounts._people"]()


@pytest.mark.parametrize("few", [20, 2])
def test_rows_that_are_written_many_at_once_stand_as_bulk_create_writes_them(house, monkeypatch, few):
    """Every kind of column, as instances and as columns, in several statements and in one that is repeated, in their order,
    with their ids."""
    maria = people.open_account(bills=1)
    monkeypatch.setattr(prepared, "MOST_VALUES", 60)  # few rows a statement
    monkeypatch.setattr(prepared, "FEW", few)
    bill, line = Bill.objects.get(), maria.lines.get()

    def rows(mark: str) -> list[dict[str, Any]]:
        return [
            {"bill_id": bill.pk, "kind": LineKind.USAGE, "label": f"{mark}é{n}", "line_id": line.pk if n % 2 else None, "quantity": Decimal(n) / 8,
             "period_start": date(2026, 11, n), "unit_price_minor": n, "amount_minor": -n} | ({"proration_den": 30} if n == 3 else {})
            for n in range(1, 10)
        ]  # fmt: skip

    written = [BillLine(**row) for row in rows("x")]
    prepared.write_many(written)
    ids = prepared.write_rows(BillLine, rows("z"))
    BillLine.objects.bulk_create(BillLine(**row) for row in rows("y"))

    def kept(mark: str) -> list[dict[str, Any]]:
        found = BillLine.objects.filter(label__startswith=mark).order_by("pk")
        return [{k: v for k, v in r.items() if k not in ("id", "label")} for r in found.values()]

    assert kept("x") == kept("z") == kept("y") and len(kept("x")) == 9
    labels = dict(BillLine.objects.values_list("pk", "label"))
    assert [labels[r.pk] for r in written] == [r.label for r in written] and [labels[pk] for pk in ids] == [r["label"] for r in rows("z")]
    prepared.write_many([])
    assert prepared.write_rows(BillLine, []) == []


def methods(account: Account, mark: str, count: int) -> list[dict[str, Any]]:
    return [{"account_id": account.pk, "token": f"{mark}-{n}", "brand": "Visa", "last_four": f"{n:04d}"} for n in range(count)]


def theirs(ids: list[int]) -> list[str]:
    tokens = dict(PaymentMethod.objects.filter(pk__in=ids).values_list("pk", "token"))
    return [tokens[pk] for pk in ids]


def test_ids_are_the_rows_own_after_gaps_and_rows_that_brought_theirs(house):
    """Rows deleted at the end, written and rolled back, written by hand far ahead and far behind: no id is another row's."""
    maria = people.open_account(bills=1)
    first = prepared.write_rows(PaymentMethod, methods(maria, "a", 30))
    PaymentMethod.objects.filter(pk__in=first[20:]).delete()
    with pytest.raises(RuntimeError), transaction.atomic():
        prepared.write_rows(PaymentMethod, methods(maria, "lost", 30))
        raise RuntimeError
    PaymentMethod.objects.create(pk=first[-1] + 5000, **methods(maria, "ahead", 1)[0])
    if connection.vendor == "postgresql":  # a sequence does not see it, so nobody writes ids by hand there
        PaymentMethod.objects.filter(token="ahead-0").delete()
    PaymentMethod.objects.create(pk=first[25], **methods(maria, "behind", 1)[0])
    for mark, count in (("b", 30), ("c", 3), ("d", 400)):
        ids = prepared.write_rows(PaymentMethod, methods(maria, mark, count))
        assert theirs(ids) == [f"{mark}-{n}" for n in range(count)]


def test_two_who_write_at_once_get_the_ids_of_their_own_rows(committed_house, racing):
    maria = people.open_account(bills=1)

    def write(mark: str) -> list[tuple[list[str], list[str]]]:
        found = []
        for n in range(4):
            rows = methods(maria, f"{mark}{n}", 150)
            with transaction.atomic():
                ids = prepared.write_rows(PaymentMethod, rows)
            found.append((theirs(ids), [r["token"] for r in rows]))
        return found

    for answers in racing(*(partial(write, mark) for mark in "xyz")):
        assert all(got == wanted for got, wanted in answers)
    assert PaymentMethod.objects.filter(token__regex="^[xyz]").count() == 3 * 4 * 150


@pytest.mark.only_sqlite  # PostgreSQL returns the ids itself
@pytest.mark.parametrize("trigger", [
    "AFTER INSERT ON ledger_paymentmethod WHEN NEW.token NOT LIKE 'echo%' BEGIN INSERT INTO ledger_paymentmethod "
    "(account_id, kind, token, brand, last_four, is_active) VALUES (NEW.account_id, 'card', 'echo', 'Visa', '0000', 1); END",
    "BEFORE INSERT ON ledger_paymentmethod WHEN NEW.token LIKE '%-7' BEGIN SELECT RAISE(IGNORE); END",
])  # fmt: skip
def test_ids_that_a_trigger_makes_doubtful_are_an_error_and_never_a_guess(house, trigger):
    maria = people.open_account(bills=1)
    prepared.write_rows(PaymentMethod, methods(maria, "a", 30))
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TRIGGER doubtful {trigger}")
    with pytest.raises(DatabaseError, match="which is whose"), transaction.atomic():
        prepared.write_rows(PaymentMethod, methods(maria, "b", 30))
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER doubtful")


@pytest.mark.only_sqlite  # PostgreSQL returns the ids itself
def test_every_key_that_is_a_number_counts_on_and_never_again(house):
    """What the ids of many rows at once rest on."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        made = dict(cursor.fetchall())
    ours = [m for m in apps.get_models() if m.__module__.startswith("careline.") and isinstance(m._meta.pk, AutoField | BigAutoField)]
    assert len(ours) > 40 and all("AUTOINCREMENT" in made[m._meta.db_table] for m in ours)


def test_rows_that_are_rewritten_keep_what_is_not_named(house, monkeypatch):
    maria = people.open_account(bills=1)
    other = people.open_account("Omar Siddiqui", "+12065550111", "A-2")
    monkeypatch.setattr(prepared, "MOST_VALUES", 30)  # a statement each
    rows = list(Account.objects.order_by("pk"))
    for row in rows:
        row.zone, row.bill_day, row.status = "America/Denver", 9, "closed"
    prepared.rewrite_many(rows, ("zone", "bill_day"))
    kept = Account.objects.order_by("pk").values_list("pk", "zone", "bill_day", "status")
    assert list(kept) == [(maria.pk, "America/Denver", 9, "active"), (other.pk, "America/Denver", 9, "active")]
    prepared.rewrite_many([], ("zone",))


def test_a_column_that_is_none_of_the_model_is_refused_and_nothing_is_written(house):
    with pytest.raises(TypeError, match="BillLine: bill, colour"):
        prepared.write_rows(BillLine, [{"bill": 1, "colour": "red"}])
    assert not BillLine.objects.exists()


@pytest.mark.only_sqlite  # PostgreSQL counts its tables itself, all the time
@pytest.mark.parametrize("counted", [False, True])
def test_a_question_about_some_accounts_never_reads_a_whole_table(asked, counted):
    """Or a run would take longer for each account, the more accounts there are. Counted: as SQLite is told by ANALYZE of a million
    accounts of which few ever had a bill corrected."""
    with connection.cursor() as cursor:
        if counted:
            cursor.execute("ANALYZE ledger_bill")
            cursor.execute("DELETE FROM sqlite_stat1")
            for model, rows in ((Account, 1_000_000), (Bill, 3_000_000), (BillLine, 18_000_000), (Entry, 6_000_000), (Allocation, 3_000_000)):
                table = model._meta.db_table
                cursor.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = %s", [table])
                for (index,) in cursor.fetchall():
                    cursor.execute(f"PRAGMA index_info({index})")
                    first, *others = [row[2] for row in cursor.fetchall()]
                    alike = rows if first in ("corrects_id", "reverses_id", "recovers_id", "taxed_line_id", "source_key") else 6
                    cursor.execute("INSERT INTO sqlite_stat1 VALUES (%s, %s, %s)", [table, index, " ".join(map(str, [rows, alike, *[1] * len(others)]))])
            cursor.execute("ANALYZE sqlite_schema")
    read: list[str] = []
    ours = {m._meta.db_table for m in apps.get_models()}
    for name, question in questions().items():
        for shape, values in asked[name]:
            if not any(isinstance(v, list | tuple) for v in values.values()):
                continue
            question(*shape, **values)
            held = question._held.__dict__[repr(shape)]
            bound = [p.bound(values[p.value], connection) if isinstance(p, prepared.Given) else p for p in held.params]
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {held.sql}", bound)
                steps = [row[3] for row in cursor.fetchall()]
            read += [f"{name}: {step}" for step in steps if "AUTOMATIC" in step or (step.startswith("SCAN ") and (step.split()[1] in ours or re.fullmatch(r"[T-W][0-9]+", step.split()[1])))]
    assert not read, "\n".join(read)
