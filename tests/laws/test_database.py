"""Tables and migrations as a sharded PostgreSQL and a long life need them; append-only tables all guarded."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection, migrations, models

from careline.doors.jobs import guards

ROOT = Path(settings.ROOT)
OURS = [m for m in apps.get_models(include_auto_created=True) if m.__module__.startswith("careline.")]
GUARDED = [m for m in OURS if getattr(m, "append_only", False)]

# Tables of others, whose keys are not ours to choose.
THIRD_PARTY = {"contenttypes", "auth", "sessions", "account", "admin", "mfa", "socialaccount", "usersessions"}


@pytest.mark.parametrize("model", apps.get_models(include_auto_created=True), ids=lambda m: m._meta.label)
def test_every_table_of_ours_has_a_big_key_and_every_other_is_a_listed_exception(model):
    if model in OURS:
        key = model._meta.pk
        assert isinstance(key, models.BigAutoField | models.UUIDField), f"{model._meta.label} has a {type(key).__name__}"
    else:
        assert model._meta.app_label in THIRD_PARTY, f"{model._meta.label}: list it or replace it"


@pytest.mark.parametrize("model", OURS, ids=lambda m: m._meta.label)
def test_no_constraint_of_ours_is_deferrable_and_foreign_keys_protect(model):
    for constraint in model._meta.constraints:
        assert getattr(constraint, "deferrable", None) is None, constraint.name
    for field in model._meta.get_fields():
        if isinstance(field, models.ForeignKey) and getattr(model, "append_only", False):
            assert field.remote_field.on_delete is models.PROTECT, f"{field} could take lines with it"


@pytest.mark.django_db
def test_no_migration_is_missing():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def migrations_of_ours():
    for path in sorted((ROOT / "careline").rglob("migrations/0*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield pytest.param(import_module(name).Migration, path.read_text(encoding="utf-8"), id=name)


@pytest.mark.parametrize(("migration", "text"), list(migrations_of_ours()))
def test_a_migration_defers_nothing_owns_no_sequence_and_writes_single_statements(migration, text):
    assert "deferrable" not in text.lower()
    assert not re.search(r"(?i)create\s+sequence|nextval|setval|\bserial\b|search_path", text)
    for operation in migration.operations:
        if isinstance(operation, migrations.RunSQL):
            for side in (operation.sql, operation.reverse_sql):
                assert not isinstance(side, str) or side in ("", migrations.RunSQL.noop), "RunSQL takes a list of single statements"
                for statement in side or ():
                    sql = statement if isinstance(statement, str) else statement[0]
                    assert ";" not in sql.strip().rstrip(";"), f"more than one statement: {sql}"
                    assert not re.search(r"(?i)\b(now|random|gen_random_uuid|current_timestamp)\b", sql)


@pytest.mark.parametrize("model", OURS, ids=lambda m: m._meta.label)
def test_no_default_comes_from_the_database(model):
    for field in model._meta.concrete_fields:
        assert field.db_default is models.NOT_PROVIDED, f"{field}: time, chance and ids come from Python"
        assert not getattr(field, "auto_now", False) and not getattr(field, "auto_now_add", False), f"{field} reads a clock"


@pytest.mark.django_db
@pytest.mark.only_postgresql
def test_no_foreign_key_or_unique_constraint_in_the_database_is_deferrable():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE condeferrable AND conrelid::regclass::text = ANY(%s)",
            [[m._meta.db_table for m in OURS]],
        )
        assert cursor.fetchall() == []


# ---------------------------------------------------------------- append-only


def test_the_models_that_must_never_change_say_so():
    must = {
        "journal.Line", "journal.Payload", "journal.Root", "journal.Change", "ledger.Bill", "ledger.BillLine", "ledger.Payment",
        "ledger.Entry", "ledger.Allocation", "credits.Grant", "credits.GrantPart", "rulebook.Bundle", "rulebook.Activation",
        "customers.AddedData", "customers.PlanChange", "ledger.UnbilledCharge", "arrangements.Terms", "arrangements.Instalment", "arrangements.Covered",
    }  # fmt: skip
    assert must <= {m._meta.label for m in GUARDED}
    assert [m for m in guards.guarded() if m in OURS] == GUARDED


@pytest.mark.parametrize("model", GUARDED, ids=lambda m: m._meta.label)
def test_every_key_by_which_sqlite_could_replace_a_row_is_guarded(model):
    """`INSERT OR REPLACE` deletes, without a trigger, every row that stands in the way of any unique key."""
    keys = {(f.column,) for f in model._meta.concrete_fields if f.unique and not f.primary_key}
    keys |= {
        tuple(model._meta.get_field(n).column for n in c.fields)
        for c in model._meta.constraints
        if isinstance(c, models.UniqueConstraint)
    }
    assert keys <= set(getattr(model, "unique_keys", ())), f"say {keys} in unique_keys"


@pytest.mark.django_db
def test_every_guard_is_in_the_database_after_migrating():
    assert guards.missing() == []
    kinds = 3
    assert len(guards.wanted()) == kinds * len(guards.guarded())


@pytest.mark.parametrize("model", GUARDED, ids=lambda m: m._meta.label)
def test_the_name_of_each_guard_is_its_own(model):
    names = [n for m in GUARDED for n in guards._names(m._meta.db_table).values()]
    assert len(names) == len(set(names)) and all(len(n) <= 63 for n in names)
