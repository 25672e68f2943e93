"""Django's SQLite backend with a turnstile: who waits to write can be seen, so that a long job gives way to them and to nobody else.

SQLite lets one write at a time and keeps no queue: who finds it busy looks again after 1, 2, 5 … 100 ms, and a job that writes part
after part takes each gap before they look. So everybody who is about to write holds a shared lock on a file beside the
database until they may; `give_way` waits until nobody holds it. The lock is the system's: it ends with its process, however that ends.

And they look again every 2 ms, all alike: with SQLite's own pauses, which grow, a job that gave way to a busy desk found no gap for seconds.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

from django.db import OperationalError, connections
from django.db.backends.sqlite3 import base

try:
    import fcntl
except ImportError:  # not a Unix: nobody is seen waiting, and `give_way` leaves a gap each time
    fcntl = None  # type: ignore[assignment]

LOOK_AGAIN = 0.001  # seconds
TRY_AGAIN = 0.002  # seconds until a transaction that found another one writing tries to begin again
BUSY = 5  # SQLite's code, in the lowest byte of those that say why
PATIENCE = 0.5  # seconds: no longer does a job wait for others, whatever they do
GAP = 0.015  # seconds, where nobody can be seen waiting
WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE")

T = TypeVar("T")


# What columns of days and moments hold is read once: thousands of rows of a run say the same few.
for _type, _parse in (("date", base.parse_date), ("datetime", base.parse_datetime)):
    base.Database.register_converter(_type, lru_cache(maxsize=4096)(base.decoder(_parse)))

LONG = 10_000  # characters: a statement with so many places is written for many rows, and seldom comes again


@lru_cache(maxsize=512)
def _native(query: str) -> str:
    """A statement with the driver's own places for values. Worked out once: it is as long as the statement, and the same few come again."""
    return base.FORMAT_QMARK_REGEX.sub("?", query).replace("%%", "%")


class Cursor(base.SQLiteCursorWrapper):
    desk: DatabaseWrapper | None = None  # whose it is

    def convert_query(self, query: str, *, param_names: Any = None) -> str:
        return _native(query) if param_names is None and len(query) < LONG else super().convert_query(query, param_names=param_names)

    def execute(self, query: str, params: Any = None) -> Any:
        if self.desk is None or self.desk.in_atomic_block or not query.startswith(WRITES):
            return super().execute(query, params)
        # A statement that is a transaction by itself: it stands in the same queue, or those who look more often always come first.
        return self.desk.in_turn(lambda: super(Cursor, self).execute(query, params))


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection whose transactions pass the turnstile as they begin. A database in memory has none: nobody else can write it."""

    _turnstile: int | None = None

    def create_cursor(self, name: Any = None) -> Cursor:
        cursor = self.connection.cursor(factory=Cursor)
        cursor.desk = self
        return cursor

    def turnstile(self) -> int | None:
        """The descriptor of the turnstile's file, this connection's own; None: there is no turnstile."""
        if self._turnstile is None and fcntl is not None and not self.is_in_memory_db():
            self._turnstile = os.open(f"{self.settings_dict['NAME']}-turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._turnstile

    def in_turn(self, begin: Callable[[], T]) -> T:
        """Begin to write as soon as nobody else does. Raises what SQLite says when that does not come in the time that the settings give."""
        turnstile = self.turnstile()
        if turnstile is None:
            return begin()
        fcntl.flock(turnstile, fcntl.LOCK_SH)
        patience = self.settings_dict["OPTIONS"].get("timeout", 5.0)  # as the driver has it
        until = time.monotonic() + patience
        self.connection.execute("PRAGMA busy_timeout = 0")
        try:
            while True:
                try:
                    return begin()
                except (OperationalError, sqlite3.OperationalError) as fault:
                    if getattr(fault.__cause__ or fault, "sqlite_errorcode", 0) & 0xFF != BUSY or time.monotonic() > until:
                        raise
                time.sleep(TRY_AGAIN)
        finally:
            self.connection.execute(f"PRAGMA busy_timeout = {int(patience * 1000)}")
            fcntl.flock(turnstile, fcntl.LOCK_UN)

    def _start_transaction_under_autocommit(self) -> None:
        self.in_turn(super()._start_transaction_under_autocommit)

    def _close(self) -> None:
        super()._close()
        if self._turnstile is not None:
            os.close(self._turnstile)
            self._turnstile = None


def give_way() -> None:
    """Between two transactions of a long job: let everybody who waits to write on SQLite begin first. At once when nobody waits, and
    on PostgreSQL, where who waits for a row stands in a queue."""
    connection: Any = connections["default"]
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        return
    turnstile = connection.turnstile()
    if turnstile is None:
        if not connection.is_in_memory_db():
            time.sleep(GAP)
        return
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            fcntl.flock(turnstile, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOOK_AGAIN)
        else:
            fcntl.flock(turnstile, fcntl.LOCK_UN)
            return
