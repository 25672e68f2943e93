"""How a command ends early: one line that says what to do."""

from __future__ import annotations


class Stop(Exception):
    """A command that cannot go on; `code` is 1 (could not be done) or 2 (given wrongly)."""

    def __init__(self, say: str, code: int = 1) -> None:
        super().__init__(say)
        self.code = code
