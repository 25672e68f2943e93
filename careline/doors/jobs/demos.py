"""`careline demo`: prepare the house, let the demo module fill it when it is empty, and serve it.

What the made-up carrier consists of, and the sign-in names, stand in `doors/jobs/demo`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db import connection

from careline.domain.staff import queries as staff
from careline.doors.jobs import serving, setup
from careline.doors.jobs.stop import Stop


def mark() -> Path:
    """The file that says: what is in this house is made up and may be thrown away."""
    return Path(settings.HOME) / "demo-house"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default: 8000)")
    parser.add_argument("--no-serve", action="store_true", help="make the data only")
    parser.add_argument("--reset", action="store_true", help="throw the demo's database away first")


def around(fill: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """The demo module's own main, with a migrated house before it and the desk after it."""

    def main(options: argparse.Namespace) -> int:
        if not options.no_serve:
            serving.check_port(options.host, options.port)
        if options.reset:
            reset()
        setup.migrate(say=print)
        if not mark().exists():
            if staff.everybody():
                raise Stop(
                    "People work in this house already; the made-up carrier needs an empty one. "
                    "Run: CARELINE_HOME=var/demo careline demo"
                )
            mark().write_text("Made by `careline demo`: everything here is made up.\n")
        code = fill(options)
        connection.close()
        if code or options.no_serve:
            return code
        return serving.serve(host=options.host, port=options.port)

    return main


def reset() -> None:
    """Throw away a demo's SQLite database and what its sandbox wrote. Never touches a house that is no demo."""
    if connection.vendor != "sqlite":
        raise Stop("A demo on PostgreSQL is reset by dropping its database yourself.")
    home = Path(settings.HOME)
    database = Path(settings.DATABASES["default"]["NAME"])
    if database.exists() and not mark().exists():
        raise Stop(f"{home} is no demo house, so nothing was thrown away. Delete it yourself if you mean it.")
    connection.close()
    # The mark goes last: interrupted, it can be done again.
    for path in (database, Path(f"{database}-wal"), Path(f"{database}-shm"), home / "anchors.txt", *(home / "sandbox").glob("*.jsonl"), mark()):
        path.unlink(missing_ok=True)
    print(f"The demo's database in {home} is gone.")
