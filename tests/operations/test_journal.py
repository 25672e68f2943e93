"""The journal proves itself: every attack of DESIGN section 6 is tried, and the guards are tried before it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import F

from careline.domain.arrangements.models import Arrangement, Covered, Instalment, Terms
from careline.domain.credits import queries as credits
from careline.domain.customers import operations as customers
from careline.domain.customers.models import Plan
from careline.domain.journal import models as journal_models
from careline.domain.journal import operations, queries, rules
from careline.domain.journal.models import Chain, Line, Payload, RequestKey, Root
from careline.domain.ledger import operations as ledger
from careline.domain.ledger import queries as ledger_queries
from careline.domain.ledger.models import PaperBytes, Recognised, SettledCredit
from careline.domain.ledger.rules.books import File
from careline.doors.jobs import guards, night
from careline.foundation.act import Act, Basis
from tests.people import CARRIER, TUESDAY, Desk, carrier_act, open_account


def write(chain: str, say: str, payload: dict | None = None) -> Line:
    return operations.record(rules.Entry(chain, carrier_act(), "contacts.note", "done", say, {"n": 1}, payload))


@pytest.fixture
def lines(db):
    """Three lines of Maria's account, two of Ben's, the second of hers with words in a payload."""
    for n in (1, 2, 3):
        write("account:1", f"Deed {n}", {"words": "She moved to Lima"} if n == 2 else None)
    for n in (1, 2):
        write("account:2", f"Other deed {n}")
    return list(Line.objects.filter(chain__name="account:1").order_by("seq"))


@pytest.fixture
def anchors(lines):
    """The file outside, as the job writes it, after a root over all five lines."""
    root = operations.anchor(at=TUESDAY)
    return [f"{root.pk} {root.mac}"]


def attack(*statements: str) -> None:
    """Somebody with the database in their hands: they drop the guards first, then do what they came for."""
    with connection.cursor() as cursor:
        for name, (table, _) in guards.wanted().items():
            cursor.execute(f"DROP TRIGGER {name}" + (f" ON {table}" if connection.vendor == "postgresql" else ""))
        for statement in statements:
            cursor.execute(statement)


def faults(anchors=None) -> list[rules.Fault]:
    return list(queries.verify(anchors=anchors))


def rewritten(chain: str, says: list[str], key: bytes) -> list[str]:
    """The statements by which an attacker who has the key writes a whole chain anew."""
    row = Chain.objects.get(name=chain)
    previous, statements = "", []
    for line, say in zip(Line.objects.filter(chain=row).order_by("seq"), says, strict=True):
        text = rules.canonical({**line.content, "say": say})
        previous = rules.line_mac(key, previous, text)
        quoted = text.replace("'", "''")
        statements.append(f"UPDATE journal_line SET text = '{quoted}', mac = '{previous}' WHERE id = {line.pk}")
    return [*statements, f"UPDATE journal_chain SET head = '{previous}' WHERE id = {row.pk}"]


# ---------------------------------------------------------------- proofs


def test_a_journal_that_nobody_touched_is_whole(anchors):
    assert faults() == [] and faults(anchors) == []
    write("account:1", "One more, after the root")
    assert faults(anchors) == []


def test_an_edited_text_is_found(lines):
    attack(f"UPDATE journal_line SET text = replace(text, 'Deed 2', 'Deed 9') WHERE id = {lines[1].pk}")
    assert [(f.chain, f.seq) for f in faults()] == [("account:1", 2)]


@pytest.mark.parametrize("garbage", ["", "not json", "[]", "{}", '{"who":7}', "null"])
def test_a_text_that_is_no_line_any_more_is_found_and_the_rest_is_still_proven(lines, garbage):
    attack(
        f"UPDATE journal_line SET text = '{garbage}' WHERE id = {lines[0].pk}",
        f"UPDATE journal_line SET mac = 'f' WHERE chain_id <> {lines[0].chain_id} AND seq = 2",
    )
    found = {(f.chain, f.seq) for f in faults()}
    assert ("account:1", 1) in found and ("account:2", 2) in found


@pytest.mark.parametrize(
    "change",
    ["at = '2026-01-01 00:00:00+00'", "code = 'credits.grant'", "outcome = 'refused'", "who = 'Staff:99'", "basis = 'contact:99'"],
)
def test_an_edited_derived_column_is_found(lines, change):
    attack(f"UPDATE journal_line SET {change} WHERE id = {lines[1].pk}")
    assert [(f.chain, f.seq) for f in faults()] == [("account:1", 2)]


def test_an_edited_mac_is_found(lines):
    attack(f"UPDATE journal_line SET mac = '{'0' * 64}' WHERE id = {lines[1].pk}")
    assert ("account:1", 2) in {(f.chain, f.seq) for f in faults()}


def test_a_deleted_line_is_found(lines):
    attack(f"DELETE FROM journal_line WHERE id = {lines[0].pk}")
    assert ("account:1", 1) in {(f.chain, f.seq) for f in faults()}


def test_two_lines_that_changed_places_are_found(lines):
    attack(
        f"UPDATE journal_line SET seq = 99 WHERE id = {lines[0].pk}",
        f"UPDATE journal_line SET seq = 1 WHERE id = {lines[2].pk}",
        f"UPDATE journal_line SET seq = 3 WHERE id = {lines[0].pk}",
    )
    assert {f.seq for f in faults()} >= {1, 3}


def test_an_inserted_line_is_found(lines):
    attack(
        "INSERT INTO journal_line (chain_id, seq, text, mac, at, code, outcome, who, basis) "
        f"SELECT chain_id, 4, text, mac, at, code, outcome, who, basis FROM journal_line WHERE id = {lines[2].pk}",
        f"UPDATE journal_chain SET length = 4 WHERE id = {lines[0].chain_id}",
    )
    assert ("account:1", 4) in {(f.chain, f.seq) for f in faults()}


def test_a_line_moved_to_another_chain_is_found(lines):
    other = Chain.objects.get(name="account:2")
    attack(f"UPDATE journal_line SET chain_id = {other.pk} WHERE id = {lines[2].pk}")
    assert {f.chain for f in faults()} == {"account:1", "account:2"}


def test_a_tail_cut_off_is_found_by_the_head(lines):
    attack(f"DELETE FROM journal_line WHERE id = {lines[2].pk}")
    assert ("account:1", 3) in {(f.chain, f.seq) for f in faults()}


def test_a_tail_cut_off_with_its_head_edited_too_is_found_by_the_root(anchors):
    second, third = Line.objects.filter(chain__name="account:1", seq__gte=2).order_by("seq")
    attack(
        f"DELETE FROM journal_line WHERE id = {third.pk}",
        f"UPDATE journal_chain SET length = 2, head = '{second.mac}' WHERE name = 'account:1'",
    )
    assert [(f.chain, f.seq) for f in faults()] == [("account:1", 3)]


def test_a_chain_rewritten_with_the_right_key_is_found_by_the_root(anchors):
    attack(*rewritten("account:1", ["Deed 1", "Deed nobody did", "Deed 3"], settings.JOURNAL_KEY))
    assert [(f.chain, f.seq) for f in faults()] == [("account:1", 3)]


def test_a_chain_and_its_root_rewritten_with_the_right_key_are_found_by_the_file_outside(anchors):
    attack(*rewritten("account:1", ["Deed 1", "Deed nobody did", "Deed 3"], settings.JOURNAL_KEY))
    heads = rules.canonical([[c.name, c.length, c.head] for c in Chain.objects.order_by("name")])
    mac = rules.root_mac(settings.JOURNAL_KEY, "", heads)
    attack_again = f"UPDATE journal_root SET heads = '{heads}', mac = '{mac}'"
    with connection.cursor() as cursor:
        cursor.execute(attack_again)
    assert faults() == [], "from inside, nothing can be seen: that is why the file is outside"
    assert [f.chain for f in faults(anchors)] == ["roots"]


def test_a_chain_rewritten_with_a_wrong_key_is_found_without_any_root(lines):
    attack(*rewritten("account:1", ["Deed 1", "Deed nobody did", "Deed 3"], b"a key that somebody guessed"))
    assert {(f.chain, f.seq) for f in faults()} >= {("account:1", 1), ("account:1", 2)}


def test_a_missing_chain_is_found_by_the_root(anchors):
    attack(
        "DELETE FROM journal_payload",
        "DELETE FROM journal_line WHERE chain_id = (SELECT id FROM journal_chain WHERE name = 'account:1')",
        "DELETE FROM journal_chain WHERE name = 'account:1'",
    )
    assert [(f.chain, f.seq) for f in faults()] == [("account:1", 3)]


def test_a_chain_renamed_is_found(lines):
    attack("UPDATE journal_chain SET name = 'account:77' WHERE name = 'account:1'")
    assert {f.chain for f in faults()} == {"account:77"}


def test_an_edited_payload_is_found(lines):
    attack("UPDATE journal_payload SET body = replace(body, 'Lima', 'Rome')")
    assert [(f.chain, f.seq) for f in faults()] == [("account:1", 2)]


def test_a_payload_taken_away_is_found(lines):
    attack("DELETE FROM journal_payload")
    assert [(f.chain, f.seq) for f in faults()] == [("account:1", 2)]


def test_a_payload_with_its_digest_edited_too_is_found(lines):
    body, salt = '{"words":"She moved to Rome"}', "0" * 32
    attack(f"UPDATE journal_payload SET body = '{body}', salt = '{salt}', digest = '{rules.payload_digest(salt, body)}'")
    assert [(f.chain, f.seq) for f in faults()] == [("account:1", 2)]


def test_a_redacted_payload_still_verifies_and_its_words_are_gone(anchors, lines):
    operations.redact(act=carrier_act(), line_ids=[lines[1].pk])
    assert faults(anchors) == []
    held = Payload.objects.get()
    assert (held.body, held.salt) == (None, None)
    assert queries.timeline("account:1")[1].payload == {}


def test_an_edited_root_is_found(anchors):
    attack("UPDATE journal_root SET heads = replace(heads, 'account:2', 'account:3')")
    assert "roots" in {f.chain for f in faults()}


def test_a_root_that_is_no_json_any_more_is_found(anchors):
    attack("UPDATE journal_root SET heads = 'gone'")
    assert "roots" in {f.chain for f in faults()}


def test_a_deleted_first_root_is_found_by_the_second(anchors):
    write("account:1", "After the first root")
    operations.anchor(at=TUESDAY)
    attack(f"DELETE FROM journal_root WHERE id = {Root.objects.earliest('pk').pk}")
    assert {f.chain for f in faults()} == {"roots"}


def test_a_deleted_last_root_is_known_to_the_file_outside_alone(anchors):
    attack("DELETE FROM journal_root")
    assert faults() == []
    assert [f.chain for f in faults(anchors)] == ["roots"]


def test_a_file_outside_that_is_damaged_is_told_and_stops_nothing(anchors):
    assert [f.chain for f in faults([*anchors, "what is this"])] == ["roots"]
    assert faults([*anchors, "", "\n"]) == []


def test_a_root_is_written_only_when_something_moved(anchors):
    assert operations.anchor(at=TUESDAY) is None
    write("account:2", "Something moved")
    root = operations.anchor(at=TUESDAY)
    assert [name for name, _, _ in json.loads(root.heads)] == ["account:2"]


# ---------------------------------------------------------------- guards


@pytest.fixture
def full(house):
    """At least one row in every append-only table."""
    maria = open_account()
    ana = Desk(house["ana"]).take_call(maria)
    charge = maria.bills.latest("issued_on").lines.get(kind="plan")
    ana.must("credits.grant", account=maria.pk, amount=100, reason="service_failure", bill_line=charge.pk, words="Sorry")
    ana.must("lines.add_data", account=maria.pk, line=maria.lines.get().pk, mb=1024, consent=500)
    ana.must("diagnosis.start", account=maria.pk, line=maria.lines.get().pk, guide="no_service")
    more = Plan.objects.create(code="UNL", name="Unlimited", price_minor=6500)
    customers.change_plan(act=carrier_act(), line_id=maria.lines.get().pk, plan_id=more.pk, on=TUESDAY.date(), reference="OR-1")
    night.run_night(TUESDAY + timedelta(days=4))  # her last bill is late by then
    period = ledger.close_books(act=carrier_act(), through=TUESDAY.date() - timedelta(days=1), closed_by="Sam Osei")
    ledger.keep_books_files(act=carrier_act(), period=period, found=[File("GL-1.1", "cash", 0, 0, "")], books=ledger_queries.books_through(period.ends_on, credits.booked))
    promise = Arrangement.objects.create(number="AR-1", account=maria, agreed_on=TUESDAY.date(), check_on=TUESDAY.date())
    terms = Terms.objects.create(arrangement=promise, version=1, amount_minor=4860, grace_days=2, agreed_on=TUESDAY.date(), at=TUESDAY, agreed_by=house["ana"])
    Instalment.objects.create(terms=terms, number=1, due_on=TUESDAY.date(), amount_minor=4860)
    Covered.objects.create(terms=terms, bill=maria.bills.latest("issued_on"), open_minor=4860)
    SettledCredit.objects.create(bill_line=charge, entry=maria.entries.latest("pk"), amount_minor=-100)
    Recognised.objects.create(source_key="Z1", payment=maria.payments.latest("pk"))
    PaperBytes.objects.create(digest="0" * 64, body=b"%PDF-1.7", at=TUESDAY)
    operations.anchor(at=TUESDAY)
    operations.begin_feed(most=1000)
    operations.begin_feed(most=1000)
    write("account:1", "Told")
    operations.number_changes()
    return {m: m.objects.latest("pk") for m in guards.guarded()}


def refused(deed) -> bool:
    try:
        with transaction.atomic():
            deed()
    except DatabaseError as no:
        return "append-only" in str(no)
    return False


def sql(statement: str, *values: object):
    def run() -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, values)

    return run


def test_no_row_is_updated_deleted_or_replaced(full):
    for model, row in full.items():
        table, same = model._meta.db_table, model._meta.concrete_fields[-1].name
        assert refused(sql(f"UPDATE {table} SET id = id + 1000")), table
        assert refused(sql(f"DELETE FROM {table} WHERE id = %s", row.pk)), table
        assert refused(lambda m=model, r=row: m.objects.filter(pk=r.pk)._raw_delete("default")), table
        if model is not Payload:  # a redacted payload may be redacted again
            assert refused(lambda m=model, r=row, s=same: m.objects.filter(pk=r.pk).update(**{s: F(s)})), table
        columns = ", ".join(f'"{f.column}"' for f in model._meta.concrete_fields)
        if connection.vendor == "sqlite":
            assert refused(sql(f"INSERT OR REPLACE INTO {table} SELECT {columns} FROM {table} WHERE id = %s", row.pk)), table
            assert refused(sql(f"UPDATE OR REPLACE {table} SET id = id + 1000 WHERE id = %s", row.pk)), table
        else:
            assert refused(sql(f"TRUNCATE {table} CASCADE")), table


def test_each_column_is_guarded_by_itself(full):
    for model, row in full.items():
        for field in model._meta.concrete_fields:
            if field.name in getattr(model, "may_become_null", ()):
                continue
            value = {"BooleanField": True}.get(field.get_internal_type())
            change = {
                "TextField": "odd", "CharField": "odd", "DateField": "2001-01-01", "DateTimeField": "2001-01-01T00:00Z",
                "BinaryField": b"other", "PositiveSmallIntegerField": 9876, "SmallIntegerField": 9876,
            }.get(field.get_internal_type(), 987654)  # fmt: skip
            assert refused(lambda m=model, r=row, f=field, c=value or change: m.objects.filter(pk=r.pk).update(**{f.attname: c})), field


@pytest.mark.only_sqlite
def test_sqlite_replaces_no_row_by_any_of_its_unique_keys(full):
    tried = 0
    for model, row in full.items():
        table, keys = model._meta.db_table, [key[0] for key in getattr(model, "unique_keys", ()) if len(key) == 1]
        for column in keys:
            as_it_was = transaction.savepoint()
            if getattr(row, column) is None:  # put a value there, as an import or a reversal would have
                sql(f"DROP TRIGGER {guards._names(table)['update']}")()
                sql(f"UPDATE {table} SET {column} = %s WHERE id = %s", row.pk if column.endswith("_id") else "key", row.pk)()
                guards.install()
            columns, others = [f.column for f in model._meta.concrete_fields if f.column != "id"], set(keys) - {column}
            picked = ", ".join("NULL" if c in others and model._meta.get_field(c.removesuffix("_id")).null
                               else f"'other-{c}'" if c in others else f'"{c}"' for c in columns)
            named = ", ".join(f'"{c}"' for c in columns)
            wanted = f"INSERT OR REPLACE INTO {table} ({named}) SELECT {picked} FROM {table} WHERE id = %s"
            assert refused(sql(wanted, row.pk)), (table, column)
            transaction.savepoint_rollback(as_it_was)
            tried += 1
    assert tried > 20


def test_a_payload_may_be_emptied_and_never_filled_again(full):
    held = full[Payload]
    assert refused(lambda: Payload.objects.filter(pk=held.pk).update(body="other words"))
    assert refused(lambda: Payload.objects.filter(pk=held.pk).update(body=None, salt="other"))
    Payload.objects.filter(pk=held.pk).update(body=None, salt=None)
    assert refused(lambda: Payload.objects.filter(pk=held.pk).update(body="her words", salt="s"))


def test_a_guard_that_was_dropped_is_missed_and_put_back_by_migrate(db):
    from django.core.management import call_command

    name, (table, _) = sorted(guards.wanted().items())[0]
    sql(f"DROP TRIGGER {name}" + (f" ON {table}" if connection.vendor == "postgresql" else ""))()
    assert guards.missing() == [name]
    call_command("migrate", verbosity=0)
    assert guards.missing() == []


# ---------------------------------------------------------------- many at once


def test_many_lines_at_once_are_the_same_as_one_by_one(db, monkeypatch):
    monkeypatch.setattr(journal_models.secrets, "token_hex", lambda _: "a fixed salt")
    act = Act(CARRIER, TUESDAY, "", "a-key-12345", Basis("contact", 7, 1, 3, "C-7", 7))
    entries = [
        rules.Entry(f"account:{n % 3}", act, "contacts.note", "done", f"Deed {n}", {"n": n}, {"w": "é"} if n % 2 else None)
        for n in range(20)
    ]

    def written():
        lines = Line.objects.order_by("chain__name", "seq").values_list("chain__name", "seq", "text", "mac", "at", "code", "who", "basis")
        payloads = Payload.objects.order_by("line__chain__name", "line__seq").values_list("digest", "salt", "body")
        return list(lines), list(payloads), list(Chain.objects.order_by("name").values_list("name", "length", "head"))

    savepoint = transaction.savepoint()
    for entry in entries:
        operations.record(entry)
    one_by_one = written()
    transaction.savepoint_rollback(savepoint)
    assert operations.record_many(entries[:13]) == 13
    assert operations.record_many(entries[13:]) == 7
    assert written() == one_by_one and len(one_by_one[0]) == 20
    assert faults() == []


def test_recording_many_asks_the_database_no_more_often_for_more_lines(db, django_assert_max_num_queries):
    entries = [rules.Entry(f"account:{n}", carrier_act(), "imports.run", "done", "Imported", {}, {"n": n}) for n in range(400)]
    with django_assert_max_num_queries(14):
        operations.record_many(entries)


def test_two_desks_that_write_one_new_chain_at_once_give_two_lines(committed_db, racing):
    def deed():
        with transaction.atomic():
            write("account:9", "At once")

    racing(*[deed] * 4)
    assert list(Line.objects.order_by("seq").values_list("seq", flat=True)) == [1, 2, 3, 4]
    assert faults() == []


def test_a_request_key_is_no_part_of_the_journal(full):
    """Keys are spent and settled, and an old one may be tidied away; what they did stands in the lines."""
    assert not getattr(RequestKey, "append_only", False)


@pytest.mark.only_postgresql
def test_a_guard_counts_only_in_this_schema_and_when_it_fires(db):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE journal_line ENABLE REPLICA TRIGGER guard_journal_line_update")
        assert guards.missing() == ["guard_journal_line_update"], "it fires in replication only"
        cursor.execute("ALTER TABLE journal_line ENABLE ALWAYS TRIGGER guard_journal_line_update")
        assert guards.missing() == []
        cursor.execute("DROP TRIGGER guard_journal_line_update ON journal_line")
        cursor.execute("CREATE SCHEMA another_market")
        cursor.execute("CREATE TABLE another_market.journal_line (id bigint)")
        cursor.execute(
            "CREATE TRIGGER guard_journal_line_update BEFORE UPDATE ON another_market.journal_line "
            "FOR EACH ROW EXECUTE FUNCTION careline_append_only('journal_line')"
        )
        assert guards.missing() == ["guard_journal_line_update"], "another market's does not count"
