"""What closed walks teach about how often each cause is there: a proposed change of priors, with its evidence.

The guide's prior counts as `strength` walks that were seen before; each closed walk adds, for each cause, how sure it was in
the end that the cause had been there. That is a Beta distribution per cause; exclusive groups are one Dirichlet, whose parts
are such Betas and add up to less than one. A change is proposed where the 80 % interval leaves the old value out, or where
there were many walks. Nothing is changed here: `proposed` writes the guide's text anew, and a person takes it into force.

A prior is how common a cause is **among callers with this trouble**, as the walks see them. The engine weighs the
complaint once more, which raises all causes of a guide that break something about alike and leaves their order as it is.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from careline.domain.diagnosis.rules.guide import Guide
from careline.domain.diagnosis.rules.walk import Walk

STRENGTH = 20.0  # walks that the guide's own prior counts for
INTERVAL = 0.8
MANY = 200  # walks, from which on a mean is proposed though the interval holds the old value
SMALL = 0.05  # a change by less than this share of the old value is none
LEAST, MOST = 0.0001, 0.95  # as guides take them
ALL = 0.99  # of an exclusive group together


@dataclass(frozen=True, slots=True)
class Seen:
    """One closed walk: how sure it is that each cause of its guide had been there."""

    guide: str
    there: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Learned:
    """What is known now about one cause. `walks`: those that could have shown it; `times`: in how many it was there (a
    sum of probabilities); `low` and `high`: the 80 % interval; `matters`: a change is proposed."""

    cause: str
    old: float
    new: float
    low: float
    high: float
    times: float
    walks: int
    matters: bool


def seen(walk: Walk) -> Seen:
    """What a walk that ended says: what was found and is gone was there; for the rest, what is believed in the end. Causes
    of one group share at most one."""
    guide, fixed = walk.guide, set(walk.fixed)
    there = {
        cause.id: 1.0 if cause.id in fixed else float(p) for cause, p in zip(guide.causes, walk.belief.present, strict=True)
    }
    for variable in guide.variables:
        names = [guide.causes[i].id for i in variable]
        total = sum(there[x] for x in names)
        if total > 1:
            there |= {x: there[x] / total for x in names}
    return Seen(guide.id, there)


def learn(guide: Guide, walks: Iterable[Seen], strength: float = STRENGTH) -> list[Learned]:
    """Every cause of the guide in its order. A group is proposed as a whole or not at all, so that its sum stays under one."""
    if strength <= 0:
        raise ValueError("The guide's own prior has to count for something.")
    of = [x.there for x in walks if x.guide == guide.id]
    found: dict[str, Learned] = {}
    for variable in guide.variables:
        group = []
        for cause in (guide.causes[i] for i in variable):
            told = [min(max(there[cause.id], 0.0), 1.0) for there in of if cause.id in there]
            a = strength * cause.prior + sum(told)
            b = strength * (1 - cause.prior) + len(told) - sum(told)
            low, high = interval(a, b)
            group.append(Learned(cause.id, cause.prior, a / (a + b), low, high, sum(told), len(told), False))
        most = min(1.0, ALL / sum(x.new for x in group))
        shown = [_shown(x.new * most) for x in group]
        matters = any(_matters(x, new) for x, new in zip(group, shown, strict=True))
        for x, new in zip(group, shown, strict=True):
            found[x.cause] = Learned(x.cause, x.old, new, x.low, x.high, x.times, x.walks, matters and new != x.old)
    return [found[cause.id] for cause in guide.causes]


def _shown(prior: float) -> float:
    """Three digits that count, rounded down so that sums do not grow, within what guides take."""
    prior = min(max(prior, LEAST), MOST)
    unit = 10.0 ** (math.floor(math.log10(prior)) - 2)
    return min(max(float(f"{math.floor(prior / unit + 1e-9) * unit:.6f}"), LEAST), MOST)


def _matters(x: Learned, new: float) -> bool:
    if abs(new - x.old) < SMALL * x.old:
        return False
    return not x.low <= x.old <= x.high or x.walks >= MANY


# --- the Beta distribution ---------------------------------------------------------------------------------------------


def interval(a: float, b: float, share: float = INTERVAL) -> tuple[float, float]:
    """The middle `share` of Beta(a, b)."""
    return quantile((1 - share) / 2, a, b), quantile((1 + share) / 2, a, b)


def quantile(p: float, a: float, b: float) -> float:
    """Where Beta(a, b) has the share p below it: the distribution function halved in until nothing is left between."""
    low, high = 0.0, 1.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle, a, b) < p else (low, middle)
    return (low + high) / 2


def below(x: float, a: float, b: float) -> float:
    """The share of Beta(a, b) below x: the regularised incomplete beta function, by Lentz's continued fraction."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on the other side
        return 1 - below(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    tiny = 1e-300
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > tiny else tiny)
    fraction = d
    for m in range(1, 2000):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 + step * d
            c = 1 + step / c
            d = 1 / (d if abs(d) > tiny else tiny)
            c = c if abs(c) > tiny else tiny
            fraction *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return min(max(front * fraction, 0.0), 1.0)


# --- the text ----------------------------------------------------------------------------------------------------------

HEAD = re.compile(r"^[ \t]*\[")
ID = re.compile(r"""^[ \t]*id[ \t]*=[ \t]*(?:"([^"]*)"|'([^']*)')""")
PRIOR = re.compile(r"^([ \t]*prior[ \t]*=[ \t]*)([0-9][0-9_]*(?:\.[0-9_]+)?(?:[eE][+-]?[0-9]+)?)")


def _priors(text: str) -> dict[str, tuple[int, int]]:
    """Where the prior of each cause stands in a guide's text, as far as it is written as `[[causes]]` with lines of its own."""
    places: dict[str, tuple[int, int]] = {}
    table, name, place, at = False, "", None, 0
    for line in [*text.splitlines(keepends=True), "["]:
        if HEAD.match(line):
            if table and name and place:
                places[name] = place
            table, name, place = line.strip().startswith("[[causes]]"), "", None
        elif table and (found := ID.match(line)) and not name:
            name = found[1] or found[2]
        elif table and (found := PRIOR.match(line)):
            place = (at + found.start(2), at + found.end(2))
        at += len(line)
    return places


def path_of(files: Mapping[str, str], guide: str, folder: str = "guides/") -> str:
    """The file that this guide stands in. Raises LookupError when it is in none."""
    for path, text in files.items():
        if path.startswith(folder) and path.endswith(".toml") and "/" not in path[len(folder):] and tomllib.loads(text).get("id") == guide:
            return path
    raise LookupError(f'No file of the rulebook is the guide "{guide}".')


def written(text: str) -> set[str]:
    """The causes whose prior stands in this text itself, and not in a part."""
    return set(_priors(text))


def proposed(files: Mapping[str, str], path: str, changes: Mapping[str, float]) -> str:
    """The guide's text with these priors; every other byte as it was. Raises LookupError for a cause whose prior does not
    stand in this file, and ValueError when the text is written in a way that cannot be changed safely."""
    text = files[path]
    places = _priors(text)
    if missing := sorted(set(changes) - set(places)):
        raise LookupError(f"{path} gives no prior of its own to {', '.join(missing)}.")
    for name, (start, end) in sorted(places.items(), key=lambda x: -x[1][0]):
        if name in changes:
            text = f"{text[:start]}{changes[name]:.6f}".rstrip("0") + text[end:]
    wanted = tomllib.loads(files[path])
    for row in wanted.get("causes", []):
        if row.get("id") in changes:
            row["prior"] = float(f"{changes[row['id']]:.6f}")
    if tomllib.loads(text) != wanted:
        raise ValueError(f"{path} is written in a way that cannot be changed safely; change the priors by hand.")
    return text
