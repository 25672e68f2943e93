"""`careline guide`: for those who write guides. `check` proves them, `play` walks one in the terminal, `draw` pictures one."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from careline.domain.diagnosis.rules import draw as drawing
from careline.domain.diagnosis.rules import prove
from careline.domain.diagnosis.rules.belief import Event, Reading, Told, Tried
from careline.domain.diagnosis.rules.guide import Guide
from careline.domain.diagnosis.rules.walk import Unfitting, Walk
from careline.doors.jobs.guides.reading import guides_of, one_of

Case = tuple[str, ...]
PROGRESS = 2.0  # seconds of silence, at most, on a terminal
SELDOM = 15.0  # and where what is said goes to a file


class _Progress:
    """How far the whole check is, said to whoever waits: five walks a case (honest, unsure, and three rivals)."""

    def __init__(self, walks: int) -> None:
        self.walks, self.done = walks, 0
        self.began = self.said = time.monotonic()
        self.terminal = sys.stderr.isatty()

    def over(self, cases: Iterable[Case], what: str) -> Iterable[Case]:
        for case in cases:
            yield case
            self.done += 1
            now = time.monotonic()
            if now - self.said > (PROGRESS if self.terminal else SELDOM):
                self.said = now
                text = f"  {self.done / self.walks:4.0%}  {what}, {now - self.began:.0f} s"
                print(f"\r{text:60}" if self.terminal else text, end="" if self.terminal else "\n", file=sys.stderr, flush=True)
        if self.terminal:
            print("\r" + " " * 60 + "\r", end="", file=sys.stderr, flush=True)


RIVALS = ("authored", "ratio", "floor")


def _about(found: dict[str, list[Case]], guides: dict[str, Guide]) -> float:
    """About how many seconds all walks take: two cases of each guide are walked in every way and count for the others."""
    seconds = 0.0
    for name, cases in found.items():
        some = [cases[len(cases) // 3], cases[2 * len(cases) // 3]]
        began = time.monotonic()
        prove.sweep(guides[name], some)
        prove.sweep(guides[name], some, reliability=0.9)
        for how in RIVALS:
            for case in some:
                prove.rival(guides[name], case, how)
        seconds += (time.monotonic() - began) * len(cases) / len(some)
    return seconds


def check(options: argparse.Namespace) -> int:
    """Every cause and every pair simulated. 0: nothing grave was found; 1: something was, and what."""
    guides, _ = guides_of(Path(options.rulebook))
    chosen = [one_of(guides, name) for name in options.guide] if options.guide else list(guides.values())
    found = {guide.id: list(prove.cases(guide, options.sets, sample=options.sample)) for guide in chosen}
    total = sum(map(len, found.values()))
    seconds = _about(found, guides)
    long = f"about {seconds / 60:.0f} minutes" if seconds > 90 else f"about {seconds:.0f} seconds" if seconds > 5 else "a few seconds"
    shorter = "" if options.sample or seconds < 60 else " (--sample 30 is quicker)"
    print(f"{len(chosen)} guide{'s' * (len(chosen) != 1)}, {total:,} cases: {long}{shorter}.", file=sys.stderr, flush=True)
    grave, progress, began = False, _Progress(5 * total), time.monotonic()
    print(f"{'guide':18}{'causes':>7}{'cases':>7}{'right':>8}{'at 90 %':>9}{'needless':>10}{'steps':>7}{'seconds':>9}{'authored':>10}{'ratio':>7}{'floor':>7}{'slowest':>9}", flush=True)
    said: list[str] = []
    for guide in chosen:
        cases = found[guide.id]
        honest = prove.sweep(guide, progress.over(cases, f"{guide.id}, honest"), clock=time.perf_counter)
        unsure = prove.sweep(guide, progress.over(cases, f"{guide.id}, 90 %"), reliability=0.9)
        rivals = {how: [prove.rival(guide, x, how) for x in progress.over(cases, f"{guide.id}, {how}")] for how in RIVALS}
        mean = {how: sum(x.seconds for x in rows) / len(rows) for how, rows in rivals.items()}
        print(
            f"{guide.id:18}{len(guide.causes):>7}{honest.cases:>7}{honest.mean(honest.right):>8.1%}{unsure.mean(unsure.right):>9.1%}"
            f"{honest.needless:>10}{honest.mean(honest.steps):>7.1f}{honest.mean(honest.seconds):>9.0f}"
            f"{mean['authored']:>10.0f}{mean['ratio']:>7.0f}{mean['floor']:>7.0f}{max(honest.slowest) * 1000:>6.0f} ms",
            flush=True,
        )
        for complaint in prove.complaints(guide, honest):
            grave = grave or complaint.grave
            said.append(f"{'!' if complaint.grave else '-'} {guide.id}: {complaint.says}")
    print("\n".join(said) if said else "Nothing to complain of.")
    print(f"Checked in {time.monotonic() - began:.0f} s.", file=sys.stderr)
    return 1 if grave else 0


def draw(options: argparse.Namespace) -> int:
    guides, _ = guides_of(Path(options.rulebook))
    picture = drawing.svg(one_of(guides, options.guide))
    if options.out == "-":
        print(picture)
    else:
        Path(options.out).write_text(picture, encoding="utf-8")
        print(f"Drawn: {options.out}")
    return 0


HELP = "A number answers; 0 cannot tell; u undo; w why; c they did it already; k a cause you know, k- one you rule out; ? this; q quit."


def play(options: argparse.Namespace) -> int:
    """Walk a guide in the terminal: numbers answer, u undoes, w says why, k names a cause that is known, q leaves. The end
    can be undone too; the end of the input, or Ctrl-C, leaves without a word of the machine."""
    guides, policy = guides_of(Path(options.rulebook))
    walk = Walk(one_of(guides, options.guide), policy=policy, platform=options.platform)
    print(f"{walk.guide.title}: {walk.guide.trouble}\n{HELP}")
    before: list[Walk] = []
    while True:
        _show(walk)
        shown = walk.shown
        events: list[Event] = []
        try:
            questions = [(q.check, q.say, q.expect, q.options) for q in shown.questions] or [("", "", "", shown.options)]
            for check_, say, expect, options_ in questions:
                event = _asked(walk, check_, say if say != shown.say else "", expect if expect != shown.expect else "", options_)
                events.append(event)
                if isinstance(event, Told):
                    break  # what is known may make the rest of the screen idle
        except _Undo:
            if events:
                continue  # the answers on this screen are forgotten, and it is asked from its first
            if not before:
                print("  There is nothing to take back.")
            walk = before.pop() if before else walk
            continue
        except (_Leave, KeyboardInterrupt):
            print()
            return 0
        before.append(walk)
        walk = walk.then(*events)


def _show(walk: Walk) -> None:
    """A step as it is read aloud; at the end what was found and what the customer learns."""
    shown = walk.shown
    print(f"\n{shown.title}" + (f"  [{shown.step.seconds:.0f} s]" if shown.step.seconds else "") + ("  (once more)" if shown.step.wording else ""))
    for label, text in (("", shown.say), ("They should see: ", shown.expect), ("Ask first: ", shown.consent)):
        if text:
            print(f"  {label}{text}")
    if shown.act:
        print(f"  At the desk: {shown.act}" + "".join(f", {name} {value}" for name, value in shown.inputs))
    if shown.step.kind in ("done", "handover"):
        print(f"  {shown.step.why}")
        for cause in walk.fixed:
            print(f"  Put right: {walk.guide.cause_by_id[cause].title}. {walk.words(walk.guide.cause_by_id[cause].teach)}".rstrip())
        if shown.step.kind == "handover":
            for cause in shown.step.for_causes:
                print(f"  Left: {walk.guide.cause_by_id[cause].title}")


class _Undo(Exception):
    pass


class _Leave(Exception):
    pass


def _asked(walk: Walk, check_: str, say: str, expect: str, options: tuple[tuple[str, str], ...]) -> Event:
    """One answer from the keyboard."""
    if say:
        print(f"  {say}" + (f" ({expect})" if expect else ""))
    for key, (_, words) in enumerate(options, 1):
        print(f"    {0 if check_ and key == len(options) else key}  {words}")
    while True:
        try:
            typed = input("> ").strip().lower()
        except EOFError:
            raise _Leave from None
        if typed == "q":
            raise _Leave
        if typed == "u":
            raise _Undo
        if typed == "w":
            _why(walk)
            continue
        if typed == "?":
            print(f"  {HELP}")
            continue
        if typed == "c" and not check_ and "claimed" in dict(options):
            return Tried(walk.step.id, "claimed")
        if typed.startswith(("k ", "k- ")):
            try:
                event = Told(typed.partition(" ")[2].strip(), not typed.startswith("k-"))
                walk.then(event)
                return event
            except Unfitting as fault:
                print(f"  {fault} They are: {', '.join(c.id for c in walk.guide.causes)}.")
                continue
        key = len(options) if typed == "0" and check_ else int(typed) if typed.isascii() and typed.isdigit() else -1
        if 1 <= key <= len(options) and not (check_ and key == len(options) and typed != "0"):
            outcome = options[key - 1][0]
            return Reading(check_, outcome, walk.step.wording) if check_ else Tried(walk.step.id, outcome)
        print("  Type a number of the list, or u, w, k CAUSE, ?, q." if options else "  This is the end: u takes the last answer back, k names a cause after all, q leaves.")


def _why(walk: Walk) -> None:
    print(f"  {walk.step.why}")
    if walk.step.for_causes:
        print(f"  It is about: {'; '.join(walk.guide.cause_by_id[x].title for x in walk.step.for_causes if x in walk.guide.cause_by_id)}.")
    for suspect in walk.suspects[:6]:
        print(f"  {suspect.probability:6.1%}  {suspect.title}")
    for finding in walk.findings[-6:]:
        print(f"  {finding.how}: {finding.about}: {finding.says}")
