"""`careline import`: a carrier's files into this house."""

from __future__ import annotations

import argparse
import sys
import time

from django.utils import timezone

from careline.doors.jobs import houses, wholes
from careline.doors.jobs.importing import mapping, run
from careline.doors.jobs.stop import Stop


def _whole(options: argparse.Namespace) -> int:
    began = time.monotonic()
    rows = wholes.import_all(options.mapping, at=timezone.now(), say=lambda text: None if options.quiet else print(text, file=sys.stderr, flush=True))
    print(f"{sum(rows.values())} rows of {len(rows)} tables in {time.monotonic() - began:.1f} s; the journal proves itself")
    return 0


def main(options: argparse.Namespace) -> int:
    """Import and print the totals. 0: they reconcile; 1: they do not; 2: nothing was begun, and why."""
    houses.refuse_in_the_demo()
    if options.mapping is None:
        raise Stop("Name the mapping file: careline import MAPPING. What it holds: careline import --help", 2)
    if options.all:
        return _whole(options)
    sources = mapping.load(options.mapping, options.folder)
    began = time.monotonic()

    def say(text: str) -> None:
        if not options.quiet:
            print(text, file=sys.stderr, flush=True)

    try:
        tallies = run.run(sources, out=options.out, at=timezone.now(), check=options.check, say=say)
    except OSError as fault:
        raise Stop(f"{fault.filename or options.out}: {fault.strerror}.", 2) from None
    except KeyboardInterrupt:
        raise Stop("Stopped. What was written stays, and the same command goes on where it stopped.", 130) from None
    if not options.quiet:
        print(f"{'':12}{'read':>9}{'good' if options.check else 'written':>9}{'unchanged':>11}{'rejected':>10}")
        for entity, t in tallies.items():
            print(f"{entity:12}{t.read:>9}{t.written:>9}{t.unchanged:>11}{t.rejected:>10}")
        rows = sum(t.read for t in tallies.values())
        seconds = time.monotonic() - began
        print(f"{rows} rows in {seconds:.1f} s ({rows / max(seconds, 0.001):.0f} a second){', nothing written (--check)' if options.check else ''}")
        if any(t.rejected for t in tallies.values()):
            print(f"Rejected rows, each with its field and reason: {options.out}/rejected-*.csv (customer data: delete them when you are done)")
        if kept := sum(t.kept for t in tallies.values()):
            print(f"{kept} row{'s' if kept > 1 else ''} not taken over whole, with the reason: {options.out}/kept-*.csv")
        if doubts := sum(t.doubts for t in tallies.values()):
            print(f"{doubts} row{'s' if doubts > 1 else ''} may count twice what was done at the desk, for a person to decide: {options.out}/doubts-*.csv")
    wrong = [e for e, t in tallies.items() if not t.holds]
    if wrong:
        print(f"The totals do not reconcile for {', '.join(wrong)}: tell whoever looks after Careline.", file=sys.stderr)
    return 1 if wrong else 0
