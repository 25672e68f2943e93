"""The pace of a long job that writes while the desk works: short transactions, and a turn for whoever waits between two."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from careline.sqlite.base import give_way

T = TypeVar("T")


@dataclass
class Pace:
    """How many rows one transaction takes: as many as are written in `seconds`, judged by the last one, from `least` to
    `most`. With fewer, what each transaction costs of itself costs more than the rows do."""

    least: int
    most: int
    seconds: float = 0.05
    size: int = field(init=False)
    _held: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.size = min(self.least, self.most)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Around a part's transaction, where more is done for the part than to write it: only this is then held against `seconds`."""
        began = time.monotonic()
        yield
        self._held += time.monotonic() - began

    def parts(self, rows: Iterable[T]) -> Iterator[list[T]]:
        """The rows in parts, each to be written in one transaction by whoever asks for the next."""
        rest = iter(rows)
        while taken := list(islice(rest, self.size)):
            began, self._held = time.monotonic(), 0.0
            yield taken
            spent = max(self._held or time.monotonic() - began, 0.001)
            self.size = min(max(int(len(taken) * min(self.seconds / spent, 2)), self.least), self.most)
            give_way()
