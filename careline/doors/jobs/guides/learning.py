"""`careline guide learn`: what closed walks teach about the priors, as a proposed change that a person takes into force."""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path

from django.utils import timezone

from careline.domain.diagnosis import queries
from careline.domain.diagnosis.rules.guide import load_all
from careline.domain.diagnosis.rules.learn import Learned, path_of, proposed, written
from careline.domain.diagnosis.rules.learn import learn as learned
from careline.doors.jobs.guides.reading import guides_of
from careline.doors.jobs.stop import Stop
from careline.foundation.rulebook import read_folder


def learn(options: argparse.Namespace) -> int:
    """Print the proposed priors with their evidence; with --out, write the whole rulebook with them to a new folder."""
    folder = Path(options.rulebook)
    guides, _ = guides_of(folder)
    files = read_folder(folder)
    out = Path(options.out) if options.out else None
    if out and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Stop(f"{out} is not an empty folder. Name a new one: what is there is not written over.", 2)
    walks = queries.taught(timezone.now() - timedelta(days=options.since))
    changed: dict[str, str] = {}
    for guide in guides.values():
        found = learned(guide, walks, float(options.strength))
        count = max((x.walks for x in found), default=0)
        matter = [x for x in found if x.matters]
        if not matter:
            if count:
                print(f"{guide.id}: {count} walks, nothing to change.")
            continue
        print(f"{guide.id}: {count} walks in {options.since} days")
        path = path_of(files, guide.id)
        here = written(files[path])
        for x in matter:
            print(_line(x) + ("" if x.cause in here else "  (its prior stands in a part: change it by hand)"))
        if changes := {x.cause: x.new for x in matter if x.cause in here}:
            changed[path] = proposed(files, path, changes)
    if not changed:
        print(f"{len(walks)} closed walks in {options.since} days; no change is proposed.")
        return 0
    load_all({**files, **changed})  # what is proposed can be taken into force
    if out is None:
        print("Nothing was written. With --out FOLDER the rulebook is written there with these priors.")
        return 0
    for name, body in {**files, **changed}.items():
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(body, encoding="utf-8", newline="")
    print(f"Written to {out}; changed: {', '.join(sorted(changed))}.")
    print(f"Read it, then take it into force: careline rulebook activate {out} --by USERNAME --second USERNAME")
    return 0


def _line(x: Learned) -> str:
    return (
        f"  {x.cause:24} {x.old:<7g} -> {x.new:<7g} 80 % of what is likely: {x.low:.3f} to {x.high:.3f}; "
        f"there in {x.times:.1f} of {x.walks} walks"
    )
