"""Questions whose SQL is built once, and rows written without building any.

Building SQL out of a queryset costs Django ten times what SQLite needs to answer it. A prepared question is an ordinary
queryset in which each value that changes is named (`whole("account")`); it is compiled at its first use in a thread and
after that only asked, with other values. Its answers are the queryset's own, model instances or tuples, and a law test
asks every prepared question both ways. Worth it for what the desk asks at every page, and for nothing else.

    @prepared
    def _notes(limit: int) -> QuerySet[Note]:
        return Note.objects.filter(account_id=whole("account")).order_by("-at")[:limit]

    _notes(20, account=account_id)

`write_many` is `bulk_create` for new rows as they stand: its SQL is made of the model's columns once, and the values of
plain columns go to the database as they are. A third of Django's time, which is most of what a large import, a bill run
or the making of the demo carrier takes. PostgreSQL gets many rows as an array for each column, in its own binary form: a statement that spells out each value
costs it and us four times as much to write and to read. `write_rows` is the same for rows that are columns and never were instances, and
`rewrite_many` the twin for rows that are there. Both take rows that only have the model's attributes, where its instances
would cost more than to write them. `save_columns` is `save(update_fields=…)`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, update_wrapper
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any, Generic, TypeVar

from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import (
    BigIntegerField,
    BooleanField,
    CharField,
    DateField,
    DateTimeField,
    DecimalField,
    ForeignKey,
    IntegerField,
    Model,
    QuerySet,
    TextField,
    Value,
)
from django.db.models.query import ModelIterable, ValuesListIterable, get_related_populators

M = TypeVar("M")


class Given(Value):
    """A value that has a name now and is known when the question is asked. Never NULL."""

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        return "%s", [self]

    def bound(self, value: Any, connection: Any) -> Any:
        return self.output_field.get_db_prep_value(value, connection)


class Those(Given):
    """Many ids or names at once, to stand behind `__in`: one value of the statement, however many they are."""

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        if connection.vendor == "postgresql":
            return f"(SELECT unnest(%s::{'bigint' if isinstance(self.output_field, BigIntegerField) else 'text'}[]))", [self]
        return "(SELECT value FROM json_each(%s))", [self]

    def bound(self, value: Any, connection: Any) -> Any:
        return list(value) if connection.vendor == "postgresql" else json.dumps(list(value))


def whole(name: str) -> Given:
    """A whole number: an id."""
    return Given(name, output_field=BigIntegerField())


def text(name: str) -> Given:
    return Given(name, output_field=CharField())


def wholes(name: str) -> Those:
    """Many ids: `filter(account_id__in=wholes("accounts"))`."""
    return Those(name, output_field=BigIntegerField())


def words(name: str) -> Those:
    """Many names."""
    return Those(name, output_field=CharField())


def day(name: str) -> Given:
    return Given(name, output_field=DateField())


def moment(name: str) -> Given:
    return Given(name, output_field=DateTimeField())


@dataclass(frozen=True)
class _Compiled:
    """What one thread's connection keeps of a queryset."""

    connection: BaseDatabaseWrapper
    sql: str
    params: tuple[Any, ...]
    converters: list[tuple[int, list[Any], Any]]
    rows: Callable[[Any], Iterator[Any]]

    def ask(self, values: dict[str, Any]) -> list[Any]:
        bound = [
            p.bound(values[p.value], self.connection) if isinstance(p, Given) else p
            for p in self.params
        ]
        with self.connection.cursor() as cursor:
            cursor.execute(self.sql, bound)
            found = cursor.fetchall()
        return list(self.rows(self._converted(found) if self.converters else found))

    def _converted(self, found: Sequence[Any]) -> list[list[Any]]:
        """The rows with each column that needs it turned into what Python calls it."""
        ready = list(map(list, found))
        for place, converters, expression in self.converters:
            known: dict[Any, Any] | None = {} if isinstance(expression.output_field, REPEATED) else None
            for row in ready:
                value = row[place]
                if known is not None and value in known:
                    row[place] = known[value]
                    continue
                turned = value
                for convert in converters:
                    turned = convert(turned, expression, self.connection)
                row[place] = turned
                if known is not None:
                    known[value] = turned
        return ready


def _compiled(queryset: QuerySet[Any], connection: BaseDatabaseWrapper) -> _Compiled:
    compiler = queryset.query.get_compiler(connection=connection)
    sql, params = compiler.as_sql()
    converters = compiler.get_converters([s[0] for s in compiler.select[: compiler.col_count]])
    if queryset._iterable_class is ValuesListIterable:
        rows: Callable[[Any], Iterator[Any]] = lambda found: map(tuple, found)  # noqa: E731
    elif queryset._iterable_class is ModelIterable:
        rows = _instances(compiler, connection.alias)
    else:
        raise TypeError("A prepared question answers with model instances or with tuples (values_list).")
    return _Compiled(connection, sql, tuple(params), [(i, *c) for i, c in converters.items()], rows)


def _instances(compiler: Any, alias: str) -> Callable[[Any], Iterator[Any]]:
    """Rows as Django's own ModelIterable makes them, with what never changes worked out once."""
    klass = compiler.klass_info
    first, last = klass["select_fields"][0], klass["select_fields"][-1] + 1
    names = [s[0].target.attname for s in compiler.select[first:last]]
    related = get_related_populators(klass, compiler.select, alias)
    annotated = list(compiler.annotation_col_map.items())

    def rows(found: Any) -> Iterator[Any]:
        for row in found:
            instance = klass["model"].from_db(alias, names, row[first:last])
            for populator in related:
                populator.populate(row, instance)
            for name, place in annotated:
                setattr(instance, name, row[place])
            yield instance

    return rows


class Prepared(Generic[M]):
    """A question to ask. Positional arguments shape the SQL (a limit); named ones are the values that it names."""

    def __init__(self, build: Callable[..., QuerySet[Any, M]]) -> None:
        self.build = build
        self._held = threading.local()
        update_wrapper(self, build)

    def __call__(self, *shape: Any, **values: Any) -> list[M]:
        if None in values.values():
            raise ValueError("A prepared question takes no None: NULL equals nothing.")
        connection = connections["default"]
        made: _Compiled | None = self._held.__dict__.get(repr(shape))
        if made is None or made.connection is not connection:
            made = self._held.__dict__[repr(shape)] = _compiled(self.build(*shape), connection)
        return made.ask(values)

    def first(self, *shape: Any, **values: Any) -> M | None:
        """The first row or None; the question should end in `[:1]`."""
        return next(iter(self(*shape, **values)), None)


def prepared(build: Callable[..., QuerySet[Any, M]]) -> Prepared[M]:
    return Prepared(build)


MOST_VALUES = 20_000  # in one statement: SQLite takes 32,766 and PostgreSQL 65,535
TOGETHER = (50, 7, 1)  # rows that a repeated statement of SQLite takes: one alone costs half as much again
FEW = 20  # rows that are written sooner as values of one statement: by SQLite than by repeated ones, by PostgreSQL than as arrays
PLAIN = (IntegerField, CharField, TextField, BooleanField, ForeignKey)
REPEATED = (DateField, DecimalField)  # days, moments and quantities come again and again: each is turned once

_Values = list[Sequence[Any]]  # of each column, those of every row


@dataclass(frozen=True)
class _Columns:
    """How rows of a model are written: the attributes whose values are given, as SQL a place for each of a row and (PostgreSQL) of many rows as
    an array for each, with what the other columns hold when nobody says; and at which places stands a value that its field must turn into
    the database's (the others go as they are)."""

    table: str
    into: str
    one: str
    arrays: str
    key: str
    names: tuple[str, ...]
    turned: tuple[tuple[int, Any], ...]
    taken: Callable[[Any], tuple[Any, ...]]  # of a row that has them as attributes
    picked: Callable[[Any], tuple[Any, ...]]  # of one that has them by name


@cache
def _columns(model: type[Model], vendor: str, with_key: bool = False, given: frozenset[str] | None = None) -> _Columns:
    """`given`: the attributes that are said, where not all are. Raises TypeError for one that the model does not have, or when the default of
    another must be made for each row."""
    connection = connections["default"]
    quote = connection.ops.quote_name
    every = [f for f in model._meta.concrete_fields if with_key or not f.primary_key]
    key = model._meta.pk
    assert key is not None
    fields = [f for f in every if given is None or f.attname in given]
    others = [f for f in every if f not in fields]
    wrong = set(given or ()).difference(f.attname for f in every) | {f.attname for f in others if callable(f.default) and f.has_default()}
    if wrong:
        raise TypeError(f"{model.__name__}: {', '.join(sorted(wrong))}")
    rest = "".join(f", {_literal(f.get_db_prep_save(f.get_default(), connection), vendor)}" for f in others)
    # Without its length: a cast to varchar(20) would cut what is too long, where the column itself refuses it.
    types = [(f.rel_db_type if f.primary_key else f.db_type)(connection).partition("(")[0] for f in fields]
    names = tuple(f.attname for f in fields)
    return _Columns(
        table=model._meta.db_table,
        into=f"INSERT INTO {quote(model._meta.db_table)} ({', '.join(quote(f.column) for f in fields + others)}) ",
        one=f"({', '.join(['%s'] * len(fields))}{rest})",
        arrays=f"SELECT given.*{rest} FROM unnest({', '.join(f'%b::{t}[]' for t in types)}) AS given",
        key=quote(key.column),
        names=names,
        turned=tuple((n, f) for n, f in enumerate(fields) if not _plain(f)),
        taken=attrgetter(*names) if len(names) > 1 else lambda row: (getattr(row, names[0]),),
        picked=itemgetter(*names) if len(names) > 1 else lambda row: (row[names[0]],),
    )


def _literal(value: Any, vendor: str) -> str:
    """What a column holds when nobody says, as SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).upper() if vendor == "postgresql" else str(int(value))
    if isinstance(value, str):
        return "'" + value.replace("'", "''").replace("%", "%%") + "'"
    if not isinstance(value, int | Decimal):
        raise TypeError(f"{value!r} is no default that a statement can say: give it with each row")
    return str(value)


def _plain(field: Any) -> bool:
    """Does the database take a value of this field as it is?"""
    return type(field) in PLAIN or isinstance(field, IntegerField | ForeignKey)


def write_many(rows: Sequence[Any], model: type[Model] | None = None) -> None:
    """Insert new rows of one model in their order and give them their ids. Related rows must be in the database, their ids
    set. `model`: whose attributes they have, where they are no instances of it. Raises IntegrityError as `bulk_create` does; the
    transaction that it runs in must then be rolled back."""
    if not rows:
        return
    of: Any = model or type(rows[0])
    connection = connections["default"]
    columns = _columns(of, connection.vendor)
    key = of._meta.pk.attname
    for row, pk in zip(rows, _insert(columns, map(columns.taken, rows)), strict=True):
        setattr(row, key, pk)
        if model is None:
            row._state.adding, row._state.db = False, connection.alias


def write_rows(model: type[Model], rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Insert new rows that are given as columns (`account_id`, not `account`); what is left out is the field's default. Returns
    their ids in the order given. To make an instance takes longer than to write the row, so this is for tens of thousands.
    Raises TypeError for a column that the model does not have or whose default must be made for each row."""
    if not rows:
        return []
    vendor = connections["default"].vendor
    wide = len(rows[0])
    try:
        columns = _columns(model, vendor, given=frozenset(rows[0]))
        values = list(map(columns.picked, rows)) if all(len(row) == wide for row in rows) else None
    except KeyError:
        values = None
    if values is None:  # not all say the same columns
        told: frozenset[str] = frozenset().union(*rows)
        columns = _columns(model, vendor, given=told)
        _columns(model, vendor, given=told.intersection(*rows))  # a default that must be made for each row is nowhere left out
        defaults = [model._meta.get_field(name).get_default() for name in columns.names]
        values = [tuple(map(row.get, columns.names, defaults)) for row in rows]
    return _insert(columns, values)


def copy_rows(model: type[Model], rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows with the ids they have: the values of every field in the model's order, as the field or its text."""
    columns = _columns(model, connections["default"].vendor, True)
    if rows:
        _write(columns, _turned(columns, rows))


def rewrite_many(rows: Sequence[Any], names: Sequence[str], model: type[Model] | None = None) -> None:
    """Write these fields of rows of one model (`model`: whose attributes they have, where they are no instances) that are in the
    database, and locked by whoever asks. (An upsert by id: a bulk update builds a CASE for each field and row, at ten times the cost.)"""
    if not rows:
        return
    of: Any = model or type(rows[0])
    connection = connections["default"]
    quote = connection.ops.quote_name
    columns = _columns(of, connection.vendor, True)
    changed = ", ".join(f"{c} = excluded.{c}" for c in (quote(of._meta.get_field(n).column) for n in names))
    _write(columns, _turned(columns, map(columns.taken, rows)), f" ON CONFLICT ({columns.key}) DO UPDATE SET {changed}")


@cache
def _setting(model: type[Model], names: tuple[str, ...], vendor: str) -> tuple[str, list[tuple[str, Any]]]:
    """An UPDATE of these fields of one row, and each field with its attribute."""
    quote = connections["default"].ops.quote_name
    fields: list[Any] = [model._meta.get_field(name) for name in names]
    key = model._meta.pk
    assert key is not None
    sets = ", ".join(f"{quote(f.column)} = %s" for f in fields)
    return f"UPDATE {quote(model._meta.db_table)} SET {sets} WHERE {quote(key.column)} = %s", [(f.attname, f) for f in fields]


def save_columns(row: Model, names: Sequence[str]) -> None:
    """`row.save(update_fields=names)` of a row that is in the database, a quarter of the time. Raises DatabaseError when it is
    there no more."""
    connection = connections["default"]
    sql, fields = _setting(type(row), tuple(names), connection.vendor)
    values = [field.get_db_prep_save(getattr(row, name), connection) for name, field in fields]
    with connection.cursor() as cursor:
        cursor.execute(sql, [*values, row.pk])
        if cursor.rowcount != 1:
            raise DatabaseError(f"{type(row).__name__} {row.pk} is not in the database")


def save_columns_many(model: type[Model], names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """`save_columns` of many rows: of each the values of these fields and then its id. Raises DatabaseError when one is there no more."""
    connection = connections["default"]
    sql, fields = _setting(model, tuple(names), connection.vendor)
    ready = [list(row) for row in rows]
    for place, (_, field) in enumerate(fields):
        if not _plain(field):
            for row in ready:
                row[place] = field.get_db_prep_save(row[place], connection)
    with connection.cursor() as cursor:
        cursor.executemany(sql, ready)
        if cursor.rowcount != len(ready):
            raise DatabaseError(f"{model.__name__}: {len(ready)} rows were to be written, {cursor.rowcount} are in the database")


def _turned(columns: _Columns, rows: Iterable[Sequence[Any]]) -> _Values:
    """The values of rows as the database takes them, column by column; a moment or day that comes again is turned once."""
    connection = connections["default"]
    values: _Values = list(zip(*rows, strict=True))
    for place, field in columns.turned:
        column = values[place]
        if isinstance(field, REPEATED):
            known = {v: None if v is None else field.get_db_prep_save(v, connection) for v in set(column)}
            values[place] = list(map(known.__getitem__, column))
        else:
            values[place] = [None if v is None else field.get_db_prep_save(v, connection) for v in column]
    return values


def _as_arrays(count: int) -> bool:
    return connections["default"].vendor == "postgresql" and count > FEW


def _cursor(count: int) -> Any:
    """A cursor that writes so many rows: Django's own, or for arrays its twin that sends values beside the statement and not in it
    (imported where it is used, because its driver is there only where its database is)."""
    connection: Any = connections["default"]
    if not _as_arrays(count):
        return connection.cursor()
    from django.db.backends.postgresql.base import ServerBindingCursor

    connection.ensure_connection()
    return connection.make_cursor(ServerBindingCursor(connection.connection))


def _parts(columns: _Columns, values: _Values) -> Iterator[tuple[str, list[Any]]]:
    """The rows in parts that one statement takes: what stands behind INSERT INTO, and its values."""
    size, count = MOST_VALUES // len(columns.names) or 1, len(values[0])
    for start in range(0, count, size):
        part = [column[start : start + size] for column in values]
        if _as_arrays(count):
            yield columns.arrays, list(map(list, part))
        else:
            yield f"VALUES {', '.join([columns.one] * len(part[0]))}", list(chain.from_iterable(zip(*part, strict=True)))


def _repeated(cursor: Any, columns: _Columns, values: _Values, then: str) -> None:
    """Write rows by statements that stay prepared: as many as may be by one that takes many, the last by smaller ones."""
    flat = list(chain.from_iterable(zip(*values, strict=True)))
    start = 0
    for together in TOGETHER:
        wide = together * len(columns.names)
        whole = start + (len(flat) - start) // wide * wide
        if whole > start:
            sql = f"{columns.into}VALUES {', '.join([columns.one] * together)}{then}"
            cursor.executemany(sql, [flat[n : n + wide] for n in range(start, whole, wide)])
        start = whole


def _write(columns: _Columns, values: _Values, then: str = "") -> None:
    """Write rows whose ids nobody has to be told."""
    with _cursor(len(values[0])) as cursor:
        if connections["default"].vendor == "sqlite":
            _repeated(cursor, columns, values, then)
        else:
            for source, given in _parts(columns, values):
                cursor.execute(f"{columns.into}{source}{then}", given)


def _last_id(cursor: Any, table: str) -> int:
    """The largest id that a table of SQLite with AUTOINCREMENT ever gave (0: none yet, or it does not count)."""
    cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
    found = cursor.fetchone()
    return int(found[0]) if found else 0


def _insert(columns: _Columns, rows: Iterable[Sequence[Any]]) -> list[int]:
    """Turn the values into the database's, write the rows, and return their ids in order."""
    connection = connections["default"]
    values = _turned(columns, rows)
    count = len(values[0])
    if connection.vendor == "sqlite" and connection.in_atomic_block and count > FEW:
        # Statements that stay prepared. They return no ids; they are one after the other, because AUTOINCREMENT counts from
        # the largest id that the table ever had and nobody else writes until the transaction ends. Counted, not trusted: a
        # trigger that writes to the table or skips a row, or a key that does not count so, is an error here.
        with connection.cursor() as cursor:
            before = _last_id(cursor, columns.table)
            _repeated(cursor, columns, values, "")
            last = _last_id(cursor, columns.table)
        if last - before != count:
            raise DatabaseError(f"{columns.table}: {count} rows were written and {last - before} ids given; which is whose is not known")
        return list(range(before + 1, last + 1))
    ids: list[int] = []
    for source, given in _parts(columns, values):
        with _cursor(count) as cursor:
            cursor.execute(f"{columns.into}{source} RETURNING {columns.key}", given)
            ids += [pk for (pk,) in cursor.fetchall()]
    return ids
