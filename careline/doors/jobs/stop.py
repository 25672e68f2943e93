"""How a command ends early: one line that says what to do."""

from __future__ import annotations


class Stop(Exception):
    """A command that cannot go on; `code` is 1 (could not be done) or 2 (given wrongly)."""

    def __init__(self, say: str, code: int = 1) -> None:
        super().__init__(say)
        self.code = code


def no_room(fault: BaseException) -> bool:
    """Did a database say that its disk is full? (Each says it in words of its own, and Django has one class for this and much else.)"""
    return "OperationalError" in type(fault).__name__ and any(words in str(fault) for words in ("disk is full", "No space left on device"))
