"""The house of `careline demo`: made ready before it is filled, and thrown away when that was asked.

What the made-up carrier consists of, and the sign-in names, stand in `doors/jobs/demo`.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from django.conf import settings
from django.db import connection

from careline.doors.jobs import houses, serving, setup
from careline.doors.jobs.stop import Stop
from careline.settings import home

ANOTHER = "PORT={0} make demo, or careline demo --port {0}"


def prepare(options: argparse.Namespace) -> None:
    """A migrated house that may be filled, and a port to serve it on; with `reset` what was there is thrown away."""
    if not options.no_serve:
        serving.check_port(options.host, options.port, ANOTHER)
    if options.reset:
        reset()
        if home() != settings.HOME:  # the demo of an older version is gone from ./var
            _begin_again(options)
    if not houses.is_demo() and houses.is_own():
        raise Stop(
            f"{settings.HOME} is a house of somebody's own, and the made-up carrier needs an empty one. "
            "Leave CARELINE_HOME and CARELINE_DATABASE_URL out, and the demo takes a folder of its own."
        )
    setup.migrate(say=print)
    if digest := setup.newer_rulebook():
        print(f"Rulebook: {digest[:12]} of this version is in force.")
    write_mark()


def _begin_again(options: argparse.Namespace) -> None:
    """This command once more, without the reset, in the folder that the demo has now."""
    words = ["--host", options.host, "--port", str(options.port), "--accounts", str(options.accounts)]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "careline", "demo", *words, *(["--no-serve"] if options.no_serve else [])])


def write_mark() -> None:
    if not houses.mark().exists():
        houses.mark().write_text("Made by `careline demo`: everything here is made up.\n")


def reset() -> None:
    """Throw away a demo's SQLite database and what its sandbox wrote, unless somebody is in it."""
    if connection.vendor != "sqlite":
        raise Stop("A demo on PostgreSQL is reset by dropping its database yourself.")
    with houses.alone():
        throw_away()


def throw_away() -> None:
    """Never touches a house that the demo did not make, nor one into which somebody brought people or files of their own."""
    house = Path(settings.HOME)
    if houses.is_own():
        raise Stop(f"People or files that are not the demo's came into {house}, so nothing was thrown away. Delete it yourself if you mean it.")
    if not houses.mark().exists():
        if houses.is_demo():
            raise Stop(f"{house} has no file {houses.mark().name}, so nothing was thrown away. Delete it yourself if you mean it.")
        return
    connection.close()
    database = Path(settings.DATABASES["default"]["NAME"])
    # The mark goes last: interrupted, it can be done again.
    for path in (database, Path(f"{database}-wal"), Path(f"{database}-shm"), house / "anchors.txt", *(house / "sandbox").glob("*.jsonl"), houses.mark()):
        path.unlink(missing_ok=True)
    print(f"The demo's database in {house} is gone.")
