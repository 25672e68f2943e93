"""Django's SQLite backend with a turnstile: who waits to write can be seen, so that a long job gives way to them and to nobody else.

SQLite lets one write at a time and keeps no queue: who finds it busy looks again after 1, 2, 5 … 100 ms, and a job that writes part
after part takes each gap before they look. So everybody who is about to write holds a shared lock on a file beside the
database until they may; `give_way` waits until nobody holds it. The lock is the system's: it ends with its process, however that ends.

And they look again every 2 ms, all alike: with SQLite's own pauses, which grow, a job that gave way to a busy desk found no gap for seconds.
"""

from __future__ import annotations

import os
import time
from functools import lru_cache
from typing import Any

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


# What columns of days and moments hold is read once: thousands of rows of a run say the same few.
for _type, _parse in (("date", base.parse_date), ("datetime", base.parse_datetime)):
    base.Database.register_converter(_type, lru_cache(maxsize=4096)(base.decoder(_parse)))

LONG = 10_000  # characters: a statement with so many places is written for many rows, and seldom comes again


@lru_cache(maxsize=512)
def _native(query: str) -> str:
    """A statement with the driver's own places for values. Worked out once: it is as long as the statement, and the same few come again."""
    return base.FORMAT_QMARK_REGEX.sub("?", query).replace("%%", "%")


class Cursor(base.SQLiteCursorWrapper):
    def convert_query(self, query: str, *, param_names: Any = None) -> str:
        return _native(query) if param_names is None and len(query) < LONG else super().convert_query(query, param_names=param_names)


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection whose transactions pass the turnstile as they begin. A database in memory has none: nobody else can write it."""

    _turnstile: int | None = None

    def create_cursor(self, name: Any = None) -> Cursor:
        return self.connection.cursor(factory=Cursor)

    def turnstile(self) -> int | None:
        """The descriptor of the turnstile's file, this connection's own; None: there is no turnstile."""
        if self._turnstile is None and fcntl is not None and not self.is_in_memory_db():
            self._turnstile = os.open(f"{self.settings_dict['NAME']}-turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._turnstile

    def _start_transaction_under_autocommit(self) -> None:
        turnstile = self.turnstile()
        if turnstile is None:
            super()._start_transaction_under_autocommit()
            return
        fcntl.flock(turnstile, fcntl.LOCK_SH)
        patience = self.settings_dict["OPTIONS"].get("timeout", 5.0)  # as the driver has it
        until = time.monotonic() + patience
        self.connection.execute("PRAGMA busy_timeout = 0")
        try:
            while not self._began():
                if time.monotonic() > until:
                    break
                time.sleep(TRY_AGAIN)
            else:
                return
            super()._start_transaction_under_autocommit()  # the last time: its error is the one to raise
        finally:
            self.connection.execute(f"PRAGMA busy_timeout = {int(patience * 1000)}")
            fcntl.flock(turnstile, fcntl.LOCK_UN)

    def _began(self) -> bool:
        try:
            super()._start_transaction_under_autocommit()
        except OperationalError as fault:
            if getattr(fault.__cause__, "sqlite_errorcode", 0) & 0xFF != BUSY:
                raise
            return False
        return True

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
