"""`careline export`: this house's customers, accounts, lines, bills and payments as files."""

from __future__ import annotations

import argparse
import sys
import time

from django.utils import timezone

from careline.doors.jobs import wholes
from careline.doors.jobs.exporting import run, underway
from careline.doors.jobs.stop import Stop


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

    # A memory of what was sent goes with one folder that is emptied or read between two exports: that is the carrier's own routine.
    if options.replace and not options.all:
        underway.forget(options.folder)
    elif not options.changes and options.folder.is_dir() and any(options.folder.iterdir()) and not underway.waits(options.folder):
        raise Stop(f"{options.folder} holds files already. Name a new folder, or add --replace to write over those of the same name.", 2)
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
