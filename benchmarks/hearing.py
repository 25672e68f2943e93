"""How well words are matched to guides: `.venv/bin/python benchmarks/hearing.py [FOLDER]`.

Without FOLDER: leave-one-out over the examples of rulebook/default. With FOLDER (one that holds `hint3`, `multidogo` and
`clinc150`, real utterances for trying the method): also sets of intents of that size, taught on a part of their training
files and tried on what was held back; and texts about something else, which ought to be left to the person.

Of every set: right (the first name is right), sure (proposed alone), right when sure, and out-of-scope texts rightly left.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from careline.domain.diagnosis.rules.guide import load_all  # noqa: E402
from careline.domain.diagnosis.rules.hear import Ear  # noqa: E402

Pairs = list[tuple[str, str]]  # (name, text)
FOLDS = 5
AS_MANY = 40  # examples of one name, as a guide has


@dataclass
class Try:
    """One set: what is taught, what is tried, and what speaks of nothing that was taught."""

    name: str
    taught: Pairs
    tried: Pairs
    apart: list[str]


@dataclass
class Counted:
    texts: int = 0
    right: int = 0
    sure: int = 0
    sure_right: int = 0
    apart: int = 0
    left: int = 0
    seconds: float = 0.0

    def add(self, ear: Ear, tried: Pairs, apart: Iterable[str]) -> None:
        for name, text in tried:
            began = time.perf_counter()
            heard = ear.hear(text)
            self.seconds += time.perf_counter() - began
            right = bool(heard.ranked) and heard.ranked[0][0] == name
            self.texts += 1
            self.right += right
            self.sure += heard.sure
            self.sure_right += heard.sure and right
        for text in apart:
            self.apart += 1
            self.left += not ear.hear(text).sure

    def line(self, name: str) -> str:
        left = f"{self.left / self.apart:11.1%}" if self.apart else f"{'':>11}"
        return (
            f"{name:34}{self.texts:7}{self.right / self.texts:9.1%}{self.sure / self.texts:9.1%}"
            f"{self.sure_right / max(self.sure, 1):12.1%}{self.apart:9}{left}{self.seconds / self.texts * 1000:9.2f} ms"
        )


def default_pairs() -> Pairs:
    folder = ROOT / "rulebook" / "default"
    files = {x.relative_to(folder).as_posix(): x.read_text(encoding="utf-8") for x in folder.rglob("*.toml")}
    return [(guide.id, text) for guide in load_all(files).values() for text in (*guide.examples, guide.title, guide.trouble)]


def one_out(pairs: Pairs) -> Iterator[tuple[Ear, Pairs]]:
    """Each text tried with what all others teach."""
    for n, pair in enumerate(pairs):
        yield Ear.taught(pairs[:n] + pairs[n + 1 :]), [pair]


def some(pairs: Iterable[tuple[str, str]], most: int = AS_MANY) -> Pairs:
    """At most so many texts of each name, spread over the file."""
    of: dict[str, list[str]] = defaultdict(list)
    for name, text in pairs:
        of[name].append(text)
    return [(name, text) for name, texts in of.items() for text in texts[:: max(1, len(texts) // most)][:most]]


def folds(name: str, pairs: Pairs, apart: list[str]) -> Iterator[Try]:
    for k in range(FOLDS):
        tried = [x for n, x in enumerate(pairs) if n % FOLDS == k]
        yield Try(name, [x for n, x in enumerate(pairs) if n % FOLDS != k], tried, apart[k::FOLDS])


def hint3(folder: Path) -> Iterator[Try]:
    """Three chat bots' training files, in five parts; apart is what is said to the other two."""
    bots: dict[str, Pairs] = {}
    for path in sorted(folder.glob("v2_train_*_train.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            bots[path.name.split("_")[2]] = [(row["label"], row["sentence"]) for row in csv.DictReader(file)]
    for bot, pairs in bots.items():
        yield from folds(f"hint3 {bot}", pairs, [text for other, rows in bots.items() if other != bot for _, text in rows])


TALK = {"contentonly", "confirmation", "rejection", "openinggreeting", "closinggreeting", "thankyou", "outofdomain"}


def multidogo(folder: Path) -> Iterator[Try]:
    """Turns of chats in four domains: the intents of which there are ten or more, taught on the training file, tried on the
    other; apart is its small talk, single facts, and what is marked as out of the domain."""

    def turns(domain: str, part: str) -> Pairs:
        with (folder / f"{domain}_turn_{part}.tsv").open(encoding="utf-8") as file:
            rows = [line.rstrip("\n").split("\t") for line in file][1:]
        return [(x[-1], "\t".join(x[3:-2])) for x in rows if len(x) >= 6 and re.fullmatch("[a-z]+", x[-1])]

    for domain in ("media", "software", "insurance", "finance"):
        taught, tried = turns(domain, "train"), turns(domain, "dev")
        known = {x for x, n in Counter(name for name, _ in taught).items() if n >= 10 and x not in TALK}
        apart = [text for _, text in some((x for x in tried if x[0] in TALK), 100)]
        yield Try(f"multidogo {domain}", some(x for x in taught if x[0] in known), some(x for x in tried if x[0] in known), apart)


def clinc150(folder: Path) -> Iterator[Try]:
    """Fifteen intents of one domain at a time, taught on the training file, tried on the validation file; apart is what is
    marked as out of scope there."""
    train, val = (json.loads((folder / f"{x}.json").read_text(encoding="utf-8")) for x in ("train", "val"))
    apart = [text for text, _ in json.loads((folder / "oos_val.json").read_text(encoding="utf-8"))]
    for _, intents in json.loads((folder / "domains.json").read_text(encoding="utf-8")).items():
        taught, tried = (some((name, text) for text, name in rows if name in intents) for rows in (train, val))
        yield Try("clinc150, its ten domains", taught, tried, apart)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", nargs="?", type=Path, help="with hint3, multidogo and clinc150 in it")
    folder: Path | None = options.parse_args().folder
    pairs = default_pairs()
    began = time.perf_counter()
    ear = Ear.taught(pairs)
    print(f"Taught on {len(pairs)} examples of {len(ear.names)} guides in {(time.perf_counter() - began) * 1000:.0f} ms.\n")
    print(f"{'':34}{'texts':>7}{'right':>9}{'sure':>9}{'right, sure':>12}{'apart':>9}{'left':>11}{'a text':>12}")
    counted = Counted()
    for without, tried in one_out(pairs):
        counted.add(without, tried, [])
    if folder:
        for _, text in [x for one in clinc150(folder / "clinc150") for x in one.tried]:
            counted.apart += 1
            counted.left += not ear.hear(text).sure
    print(counted.line("rulebook/default, leave one out"))
    if not folder:
        return
    for source in (hint3, multidogo, clinc150):
        totals: dict[str, Counted] = {}
        for one in source(folder / source.__name__):
            totals.setdefault(one.name, Counted()).add(Ear.taught(one.taught), one.tried, one.apart)
        for name, total in totals.items():
            print(total.line(name))


if __name__ == "__main__":
    main()
