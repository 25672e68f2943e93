"""`careline ladder what-if`: a changed ladder over the last twelve months of everybody, beside the one in force. It reads and prints."""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from careline.domain.collections.queries.whatif import side_of, what_if
from careline.domain.collections.rules.whatif import MOVES, Slower, Study, assumed, figures, places
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs.importing.fields import guarded
from careline.doors.jobs.stop import Stop
from careline.foundation.calendar import civil_date
from careline.foundation.money import shown
from careline.foundation.rulebook import Rulebook

SAY_EVERY = 2.0


def main(options: argparse.Namespace) -> int:
    now = rulebooks.current()
    if options.rulebook:
        then = Rulebook.from_folder(Path(options.rulebook))
    else:
        path = Path(options.ladder)
        if not path.is_file():
            raise Stop(f"There is no file {path}. Give a ladder.toml, or a folder with --rulebook.", 2)
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise Stop(f"{path} is no text in UTF-8. Give a ladder.toml.", 2) from None
        then = Rulebook({**now.files, "ladder.toml": text})
    then.check()
    try:
        slower = Slower(options.later_percent, options.later_days)
    except ValueError as wrong:
        raise Stop(str(wrong), 2) from None
    began = said = time.monotonic()

    def say(seen: int, whole: int) -> None:
        nonlocal said
        at = time.monotonic()
        if not options.quiet and at - said > SAY_EVERY and seen:
            said = at
            left = (at - began) / seen * max(whole - seen, 0)
            print(f"  {seen:,} of {whole:,} accounts, about {left:,.0f} s left …", file=sys.stderr, flush=True)

    study = what_if(side_of(now), side_of(then), civil_date(timezone.now(), settings.CARRIER_ZONE), say=say, slower=slower)
    _print(study, time.monotonic() - began)
    if options.list:
        _list(study, Path(options.list))
    return 0


def _print(study: Study, seconds: float) -> None:
    print(f"What if? {study.first} to {study.last}, {study.accounts:,} accounts, {study.late:,} of them past due, {seconds:.1f} s")
    print(f"  {'':46}{'in force':>16}{'changed':>16}{'difference':>16}")

    def row(what: str, old: int, new: int, money: bool = False) -> None:
        said = shown if money else (lambda n: f"{n:,}")
        print(f"  {what:46}{said(old):>16}{said(new):>16}{('+' if new > old else '') + said(new - old):>16}")

    print("  accounts that reached")
    for code, title in places(study.now, study.then):
        row(f"  {title}"[:46], study.before.reached[code], study.after.reached[code])
    for heading, wanted in (("sent and done", False), ("money, before tax", True)):
        print(f"  {heading}")
        for what, old, new, money in figures(study):
            if money == wanted:
                row(f"  {what}", old, new, money)
    print(f"  accounts that would move: {sum(study.moves.values()):,} (" + ", ".join(f"{how} {study.moves[how]:,}" for how in MOVES) + ")")
    if study.slower.anybody:
        print(f"  accounts that are assumed to pay later: {study.slowed:,}, with {shown(study.slowed_minor)}")
    print("  assumed")
    for words in assumed(study.slower):
        print(f"    {words}")
    if not study.then.notice_cost:
        print("    The changed ladder has no [notice_cost]: its notices are reckoned as free.")


def _list(study: Study, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["account", "how", "rung_in_force", "on", "rung_changed", "on", "notices_more", "fees_more_minor", "barred_line_days_more"])
        for m in sorted(study.moved, key=lambda m: (MOVES.index(m.how), m.account_id)):
            out.writerow([guarded(m.reference), m.how, *(m.before or ("", "")), *(m.after or ("", "")), m.notices, m.fees, m.line_days])
    print(f"{path}: {len(study.moved)} accounts. Customer data: delete it when you are done.")
