"""Which guide a customer's words speak of: a small local classifier over the guides' own examples.

Kernel ridge regression on one-hot guides over TF-IDF features: words, word pairs and character grams of three and four
(misspelt words still share grams). With n examples this solves one n by n system, so it is exact, deterministic and ready
in a fraction of a second; nothing is downloaded. It abstains when the first guide's score is low or the second is near:
then the associate chooses. The numbers below were chosen on training data with benchmarks/hearing.py: what is proposed
alone is right in 19 of 20 cases, and more than nine in ten texts about something else are left to the person.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from careline.domain.diagnosis.rules.guide import Guide

Floats = NDArray[np.float64]

MOST_TEXT = 2000  # characters that are read
MOST_WORD = 40  # and of one word
SIZES = (3, 4)  # of character grams
WORD = re.compile(r"\w+")
RIDGE = 0.6  # the penalty of the regression
ENOUGH = 0.40  # the least score of the first
LEAD = 0.20  # by which it must lead the second
LEAST = 0.165  # below it the words speak of no guide (of 746 examples left out, two fall below, and neither was heard rightly)


@dataclass(frozen=True, slots=True)
class Heard:
    """Guides by score (about 1 for certain, about 0 for none), best first; `sure`: the first may be proposed alone."""

    ranked: tuple[tuple[str, float], ...]
    sure: bool

    @property
    def fits(self) -> bool:
        """Whether these words speak of any guide at all."""
        return bool(self.ranked) and self.ranked[0][1] >= LEAST


@lru_cache(maxsize=20_000)
def _pieces(word: str) -> tuple[str, ...]:
    """The character grams of one word, its beginning and end marked."""
    marked = f"<{word}>"
    return tuple(marked[i : i + size] for size in SIZES for i in range(len(marked) - size + 1))


def grams(text: str) -> Counter[str]:
    """The features of a text and how often each is there."""
    words = [word[:MOST_WORD] for word in WORD.findall(text[:MOST_TEXT].lower().replace("'", "").replace("’", ""))]
    found: Counter[str] = Counter(f"w {word}" for word in words)
    found.update(f"p {a} {b}" for a, b in pairwise(words))
    for word in words:
        found.update(_pieces(word))
    return found


@dataclass(frozen=True)
class Ear:
    """What was learned from examples. `columns[f]`: how much of feature f is in each example; `weights`: what each example
    says for each name."""

    names: tuple[str, ...]
    place: dict[str, int]
    rarity: Floats
    columns: NDArray[np.float32]
    weights: Floats

    @classmethod
    def of(cls, guides: Iterable[Guide]) -> Ear:
        """From the examples of guides, and their own titles."""
        chosen = [guide for guide in guides if guide.examples]
        return cls.taught((guide.id, text) for guide in chosen for text in (*guide.examples, guide.title, guide.trouble))

    @classmethod
    def taught(cls, examples: Iterable[tuple[str, str]]) -> Ear:
        """From texts, each with the name of what it speaks of."""
        pairs = list(examples)
        names = tuple(dict.fromkeys(name for name, _ in pairs))
        if not names:
            return cls((), {}, np.zeros(0), np.zeros((0, 0), dtype=np.float32), np.zeros((0, 0)))
        found = [grams(text) for _, text in pairs]
        place: dict[str, int] = {}
        for one in found:
            for gram in one:
                place.setdefault(gram, len(place))
        features = np.array([place[gram] for one in found for gram in one], dtype=np.intp)
        seen = np.bincount(features, minlength=len(place))
        rarity: Floats = np.log((1 + len(pairs)) / (1 + seen)) + 1
        texts = np.repeat(np.arange(len(pairs)), [len(one) for one in found])
        value = (1 + np.log(np.array([n for one in found for n in one.values()], dtype=np.float64))) * rarity[features]
        size = np.sqrt(np.bincount(texts, weights=value**2, minlength=len(pairs)))
        columns = np.zeros((len(place), len(pairs)), dtype=np.float32)
        columns[features, texts] = value / size[texts]
        shared = columns[seen > 1]  # the others make a text like itself only
        alike = (shared.T @ shared).astype(np.float64)
        np.fill_diagonal(alike, 1.0)
        target = np.zeros((len(pairs), len(names)))
        target[np.arange(len(pairs)), [names.index(name) for name, _ in pairs]] = 1.0
        weights = np.linalg.solve(alike + RIDGE * np.eye(len(pairs)), target).astype(np.float64)
        return cls(names, place, rarity, columns, weights)

    def hear(self, text: str) -> Heard:
        """The names that these words may speak of."""
        if not self.names:
            return Heard((), False)
        known, value = self._row(grams(text))
        likeness = (value @ self.columns[known]).astype(np.float64)
        scores = likeness @ self.weights
        order = np.argsort(-scores, kind="stable")
        ranked = tuple((self.names[i], round(float(scores[i]), 4)) for i in order)
        if len(ranked) < 2:  # there is nothing that it could have been told from
            return Heard(ranked, False)
        return Heard(ranked, ranked[0][1] >= ENOUGH and ranked[0][1] - ranked[1][1] >= LEAD)

    def _row(self, found: Counter[str]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """The known features of a text, and how much of each; together of length one."""
        pairs = [(self.place[gram], n) for gram, n in found.items() if gram in self.place]
        known = np.array([place for place, _ in pairs], dtype=np.intp)
        value = (1 + np.log(np.array([n for _, n in pairs], dtype=np.float64))) * self.rarity[known]
        return known, (value / max(float(np.linalg.norm(value)), 1e-9)).astype(np.float32)
