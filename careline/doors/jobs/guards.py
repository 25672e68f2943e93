"""Triggers that hold the append-only tables: no update, no delete, no truncate, no `INSERT OR REPLACE`.

They are put back after every migration (SQLite remakes tables and drops their triggers) and checked at start. A model
asks for them with `append_only = True`; `unique_keys` names the keys by which SQLite could replace a row, and
`may_become_null` the columns that a redaction may empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.db import connection


def guarded() -> list[Any]:
    return [m for m in apps.get_models() if getattr(m, "append_only", False)]


def _names(table: str) -> dict[str, str]:
    return {kind: f"guard_{table}_{kind}"[:60] for kind in ("update", "delete", "insert", "truncate")}


def _columns(model: Any) -> list[str]:
    return [f.column for f in model._meta.concrete_fields]


def _sqlite(model: Any) -> Iterator[tuple[str, str]]:
    table, names = model._meta.db_table, _names(model._meta.db_table)
    say = f"RAISE(ABORT, '{table} is append-only')"
    soft = set(getattr(model, "may_become_null", ()))
    fixed = [c for c in _columns(model) if c not in soft]
    changed = " OR ".join([f"NEW.{c} IS NOT OLD.{c}" for c in fixed] + [f"NEW.{c} IS NOT NULL" for c in soft])
    when = f" WHEN {changed}" if soft else ""
    yield names["update"], f"CREATE TRIGGER {names['update']} BEFORE UPDATE ON {table}{when} BEGIN SELECT {say}; END"
    yield names["delete"], f"CREATE TRIGGER {names['delete']} BEFORE DELETE ON {table} BEGIN SELECT {say}; END"
    keys = [("id",), *getattr(model, "unique_keys", ())]
    # A question for each key: of one with OR, SQLite reads the whole table when it was counted while it was small.
    there = " OR ".join(f"EXISTS (SELECT 1 FROM {table} WHERE {' AND '.join(f'{c} = NEW.{c}' for c in key)})" for key in keys)
    yield (
        names["insert"],
        f"CREATE TRIGGER {names['insert']} BEFORE INSERT ON {table} "
        f"WHEN {there} BEGIN SELECT {say}; END",
    )


def _postgresql(model: Any) -> Iterator[tuple[str, str]]:
    table, names = model._meta.db_table, _names(model._meta.db_table)
    soft = set(getattr(model, "may_become_null", ()))
    fixed = [c for c in _columns(model) if c not in soft]
    changed = " OR ".join(
        [f"NEW.{c} IS DISTINCT FROM OLD.{c}" for c in fixed] + [f"NEW.{c} IS NOT NULL" for c in soft]
    )
    when = f" WHEN ({changed})" if soft else ""
    call = f"EXECUTE FUNCTION careline_append_only('{table}')"
    yield names["update"], f"CREATE TRIGGER {names['update']} BEFORE UPDATE ON {table} FOR EACH ROW{when} {call}"
    yield names["delete"], f"CREATE TRIGGER {names['delete']} BEFORE DELETE ON {table} FOR EACH ROW {call}"
    yield names["truncate"], f"CREATE TRIGGER {names['truncate']} BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {call}"


FUNCTION = """
CREATE OR REPLACE FUNCTION careline_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '% is append-only', TG_ARGV[0] USING ERRCODE = 'restrict_violation'; END $$
"""


def wanted() -> dict[str, tuple[str, str]]:
    """Every trigger that must be there, by name: its table and the statement that makes it."""
    make = _postgresql if connection.vendor == "postgresql" else _sqlite
    return {name: (m._meta.db_table, sql) for m in guarded() for name, sql in make(m)}


def install() -> int:
    """Put every guard in its place (again). Returns how many there are."""
    with connection.cursor() as cursor:
        there = set(connection.introspection.table_names(cursor))
        if connection.vendor == "postgresql":
            cursor.execute(FUNCTION)
        for name, (table, sql) in wanted().items():
            if table not in there:  # a migration of some rooms only
                continue
            suffix = f" ON {table}" if connection.vendor == "postgresql" else ""
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}{suffix}")
            cursor.execute(sql)
    return len(wanted())


def remove() -> None:
    """Take every guard away, while a whole house is copied in. Nothing opens on a database without them."""
    with connection.cursor() as cursor:
        for name, (table, _) in wanted().items():
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}" + (f" ON {table}" if connection.vendor == "postgresql" else ""))


def missing() -> list[str]:
    """Guards that are not there or do not fire in every session: the desk must not start without them. Another market's
    schema in the same database does not count."""
    query = (
        "SELECT t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND n.nspname = current_schema()"
        if connection.vendor == "postgresql"
        else "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        there = {row[0] for row in cursor.fetchall()}
    return sorted(set(wanted()) - there)
