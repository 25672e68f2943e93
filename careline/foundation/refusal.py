"""A refusal is a result: it names the rule, who could, and the way on. It is stored and journaled like a deed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class WayOn:
    """The next move that a refusal offers: a label for people and the act that does it (`act` may be empty)."""

    label: str
    act: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not.

    `code` is one of the stable words of the API: AUTHORITY, KEY_REUSED, BASIS_MISMATCH, INVALID, CONFLICT, NOT_FOUND,
    LOCKED, CARD_NUMBER, PIN. `say` is a sentence for the associate; `rule` and `cite` name the policy and its source;
    `who_could` lists roles; `fields` maps a field of the input to its own sentence.
    """

    code: str
    say: str
    rule: str = ""
    cite: str = ""
    who_could: tuple[str, ...] = ()
    way_on: tuple[WayOn, ...] = ()
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def at_fields(self) -> bool:
        """What was typed or chosen is wrong: a page says it at its field, and offers no other way."""
        return self.code == "INVALID" or (self.code == "NOT_FOUND" and bool(self.fields))

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Refusal:
        return cls(
            **{
                **data,
                "who_could": tuple(data.get("who_could", ())),
                "way_on": tuple(WayOn(**w) for w in data.get("way_on", ())),
            }
        )


class Refused(Exception):
    """Raised inside an operation to undo its savepoint; `perform` turns it into the refusal it carries."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.say)
        self.refusal = refusal


def refuse(code: str, say: str, **more: Any) -> Refused:
    """Shorthand for `raise refuse("CONFLICT", "...")`."""
    return Refused(Refusal(code, say, **more))
