"""How well the guides find causes: `.venv/bin/python benchmarks/diagnosis.py [GUIDE ...] [--sets 3] [--sample 0] [--seed 1]`.

For every guide of rulebook/default and rulebook/benchmark, over all sets of up to three causes and 200 larger ones: the share
fixed or rightly handed over with honest customers and with answers that are right nine times in ten (misreadings drawn
anew each time, and with half of them repeated as people do), needless changes, mean customer steps and seconds, and
the seconds of three rivals on the same cases: the authored order, the best fixed order by probability over cost, and the floor
(the true causes known). `choose` is the time to choose one step, without what earlier walks worked out. The whole sweep
takes hours on two cores; `--sample 300` draws as many sets for each guide.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from careline.domain.diagnosis.rules import belief, policy, prove  # noqa: E402 - after the path is set
from careline.domain.diagnosis.rules.guide import Guide, load_all  # noqa: E402
from careline.domain.diagnosis.rules.simulate import Phone, walk  # noqa: E402
from careline.foundation.rulebook import read_folder  # noqa: E402


def guides(book: str) -> dict[str, Guide]:
    return load_all(read_folder(ROOT / "rulebook" / book))


def choosing(guide: Guide, cases: list[tuple[str, ...]]) -> list[float]:
    """Milliseconds of CPU for each step of some walks, each worked out anew."""
    times = []
    for causes in cases:
        found = walk(guide, Phone(guide, set(causes)))
        for n in range(1, len(found.events)):
            belief.believe.cache_clear()
            policy.forget()
            began = time.process_time()
            policy.next_step(guide, found.events[:n])
            times.append((time.process_time() - began) * 1000)
    return sorted(times)


def measured(book: str, name: str, sets: int, sample: int, seed: int) -> str:
    guide = guides(book)[name]
    cases = list(prove.cases(guide, sets, sample=sample, seed=seed, extra=min(200, sample or 200)))
    misread = seed + 6  # not the seed of the cases, so that who misreads is not drawn with what is wrong
    honest = prove.sweep(guide, cases, seed=misread)
    fresh = prove.sweep(guide, cases, reliability=0.9, stubborn=0.0, seed=misread)
    stubborn = prove.sweep(guide, cases, reliability=0.9, seed=misread)
    rivals = [sum(prove.rival(guide, x, how).seconds for x in cases) / len(cases) for how in ("authored", "ratio", "floor")]
    times = choosing(guide, cases[:: max(1, len(cases) // 12)])
    share = [tally.mean(tally.right) for tally in (honest, fresh, stubborn)]
    return (
        f"| {book}/{name} | {len(guide.causes)} | {honest.cases} | {share[0]:.2%} | {honest.needless} | {share[1]:.1%} | {share[2]:.1%} "
        f"| {honest.mean(honest.steps):.1f} | {honest.mean(honest.seconds):.0f} | {rivals[0]:.0f} | {rivals[1]:.0f} | {rivals[2]:.0f} "
        f"| {times[len(times) // 2]:.0f} / {times[int(len(times) * 0.99)]:.0f} |"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("guide", nargs="*")
    options.add_argument("--sets", type=int, default=3)
    options.add_argument("--sample", type=int, default=0)
    options.add_argument("--seed", type=int, default=1, help="other cases, and other misreadings")
    given = options.parse_args()
    chosen = [(book, name) for book in ("default", "benchmark") for name in guides(book) if not given.guide or name in given.guide]
    print("| guide | causes | cases | honest | needless | 90 % fresh | 90 % stubborn | steps | seconds | authored | by ratio | floor | choose p50 / p99 ms |")
    print("| --- |" + " --: |" * 12)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for row in pool.map(measured, *zip(*((book, name, given.sets, given.sample, given.seed) for book, name in chosen), strict=True)):
            print(row, flush=True)


if __name__ == "__main__":
    main()
