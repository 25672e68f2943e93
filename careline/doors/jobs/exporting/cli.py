"""`careline export`: this house's customers, accounts, lines, bills and payments as files."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from django.utils import timezone

from careline.doors.jobs import wholes
from careline.doors.jobs.exporting import files, run
from careline.doors.jobs.stop import Stop


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="where the files go (customer data: yours alone); made when it is not there")
    parser.add_argument("--format", choices=files.FORMATS, default="csv", help="of the files (default: csv); parquet needs `make setup-parquet`")
    parser.add_argument("--only", metavar="ENTITY[,ENTITY]", help=f"some of {', '.join(run.KNOWN)} (default: all of these)")
    parser.add_argument("--changes", type=Path, metavar="MEMORY", help="only what is new or differs since the last export with this file, which remembers it")
    parser.add_argument("--all", action="store_true", help="the whole house, for `careline import --all` into an empty database of either kind")
    parser.add_argument("--quiet", action="store_true", help="say only what went wrong")


def main(options: argparse.Namespace) -> int:
    """Export and print what was written. 0: done; 2: nothing was begun, and why."""
    entities = run.KNOWN
    if options.only:
        asked = {name.strip() for name in options.only.split(",")}
        if strangers := asked - set(run.KNOWN):
            raise Stop(f"There is no {sorted(strangers)[0]} to export; there are {', '.join(run.KNOWN)}.", 2)
        entities = tuple(e for e in run.KNOWN if e in asked)

    def say(text: str) -> None:
        if not options.quiet:
            print(text, file=sys.stderr, flush=True)

    began = time.monotonic()
    if options.all:
        rows = wholes.export_all(options.folder, at=timezone.now(), say=say)
        print(f"{sum(rows.values())} rows of {len(rows)} tables in {time.monotonic() - began:.1f} s in {options.folder}; the secrets are not in it")
        return 0
    try:
        told = run.run(options.folder, at=timezone.now(), form=options.format, entities=entities, memory=options.changes, say=say)
    except OSError as fault:
        raise Stop(f"{fault.filename or options.folder}: {fault.strerror}.", 2) from None
    if not options.quiet:
        for entity, written in told.written.items():
            print(f"{entity:12}{written:>11}" + (f" of {told.looked[entity]}" if options.changes else ""))
        seconds, count = time.monotonic() - began, sum(told.written.values())
        print(f"{count} rows in {seconds:.1f} s ({count / max(seconds, 0.001):.0f} a second) in {options.folder}")
    return 0
