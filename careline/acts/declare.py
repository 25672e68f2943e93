"""What an act is: declared once, and from that come the form, the API endpoint, the tool for agents, and practice."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    WithJsonSchema,
    field_validator,
)

from careline.foundation import phone
from careline.foundation.act import NO_BASIS, Act, Basis, Who
from careline.foundation.refusal import Refusal
from careline.foundation.rulebook import Rulebook


def _exactly(what: str) -> BeforeValidator:
    """A whole number as such: not text, not a fraction, not a yes. `"5.00"` is five dollars to whoever wrote it."""

    def check(value: Any) -> Any:
        if type(value) is not int:
            raise ValueError(what)
        return value

    return BeforeValidator(check)


def _no_number(value: Any) -> Any:
    """An id is digits and nothing else: neither 1_0 nor +5, neither a fraction nor a yes."""
    digits = isinstance(value, str) and value.strip().isascii() and value.strip().isdigit()
    if not (digits or type(value) is int):
        raise ValueError("An id is text, as it was given.")
    return value


def _day(value: Any) -> Any:
    """A civil day and no moment, and no number that could be read as seconds since 1970."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value.strip()):
        try:
            value = date.fromisoformat(value.strip())
        except ValueError:
            raise ValueError("There is no such day in the calendar.") from None
    if type(value) is not date:
        raise ValueError("Give a day as YYYY-MM-DD.")
    if not 1990 <= value.year <= 2100:
        raise ValueError("Give a day from 1990 to 2100.")
    return value


CENTS = "An amount is a whole number of cents."
# Ids are opaque: text in JSON, whole numbers inside.
Id = Annotated[
    int, Field(gt=0, lt=2**63), BeforeValidator(_no_number), PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]+$"}),
]  # fmt: skip
Minor = Annotated[int, Field(gt=0, le=10**10), _exactly(CENTS)]
Price = Annotated[int, Field(ge=0, le=10**10), _exactly(CENTS)]
Whole = Annotated[int, _exactly("Give a whole number.")]
Day = Annotated[date, BeforeValidator(_day)]
Words = Annotated[str, Field(max_length=4000)]
ShortWords = Annotated[str, Field(max_length=200)]
Secret = SecretStr
# The fields of acts that hold what somebody says in their own words. (Other text is a name, a number or a choice of a list.)
SAID = frozenset({"words", "text", "summary", "follow_up", "answer", "matter"})


class Input(BaseModel):
    """The typed input of an act. Unknown fields are refused; text is trimmed."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    @field_validator("*", mode="before")
    @classmethod
    def plain_text(cls, value: Any) -> Any:
        """No NUL and no half of a surrogate pair: PostgreSQL and UTF-8 hold neither."""
        text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
        if isinstance(text, str) and ("\0" in text or "\\u0000" in text or any("\ud800" <= c <= "\udfff" for c in text)):
            raise ValueError("There is a character in it that cannot be kept. Type it again.")
        return value


@dataclass(frozen=True, slots=True)
class BasisRef:
    """What a door says of the basis; `perform` looks at the row itself, under its lock."""

    kind: str = "none"
    id: int | None = None


def number_or_blank(text: str) -> str:
    if not text.strip():
        return ""
    found = phone.parsed(text)
    if found is None:
        raise ValueError("This is not a whole phone number. Write it with its area code, or leave it empty.")
    return found


@dataclass(frozen=True, slots=True)
class Locks:
    """Which rows a deed locks, from immutable columns: accounts, and the kind of daily limit that it spends."""

    accounts: tuple[int, ...] = ()
    spending: str = ""


@dataclass(frozen=True)
class Scene:
    """What stands under the locks when a deed is judged and done."""

    rulebook: Rulebook
    basis: Basis = NO_BASIS
    facts: Mapping[str, Any] = field(default_factory=dict)
    contact: Any = None
    request: Any = None


@dataclass(frozen=True)
class Done:
    """What a deed came to: the sentence for the journal, what the door may show, and what is personal.

    `say` names no customer and carries no free text. `show` goes to the door and into the stored outcome. `pending`:
    the act's `call` has to run before it is done; `until`: not before this moment, and then the reconciler's `recall` runs it. `chain`: another chain than the account's own. `once`: shown in the
    first answer and stored nowhere (a new token). `also`: other acts done within this one, each with a line of its own.
    """

    say: str
    show: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    payload: dict[str, Any] | None = None
    pending: bool = False
    until: datetime | None = None
    work: dict[str, Any] = field(default_factory=dict)
    chain: str = ""
    refusal: Refusal | None = None
    once: dict[str, Any] = field(default_factory=dict)
    also: tuple[tuple[str, Done], ...] = ()


@dataclass(frozen=True)
class ActType:
    """One row of the act table.

    `locks(input)`: what is locked; `moves`: what it is read from may change (who has a number, an address), so it is read again under the lock. `facts(scene, act, input)`: what the policy needs beside the basis; `opening`: the
    same record with numbers that no limit stops, for asking whether the act can be opened at all; `stands(scene, at)`: what of it is
    known before anything is typed, from what the page has asked anyway. `do` runs in a
    savepoint; `call` runs with no transaction open and gets what `do` left in `work` and the input; `settle` runs in a
    second transaction under the same locks; `recall` is `call` for the reconciler, from `work` alone. `chooses` names
    the input field with the account that the deed moves a contact to. `amount`: the money field that can be bisected.
    `numbers`: which fact rests on which number of the rulebook (`limits.toml:credit.event.{role}`; `=word`: true for that word), so
    that a past decision can be tried under other numbers. `ports`: the outside systems without which it is always refused.
    `stopped(work)`: whether a deed that waits for a moment was stopped meanwhile, so that it waits no longer.
    `refused`: what follows when authority says no to somebody whose role has the act (a notice); returns the chain of the refusal's line where it is not the usual one.
    `apart`: a refusal is written on the house's chain, for whoever speaks for the account must never hear that this was asked.
    """

    code: str
    title: str
    input: type[Input]
    do: Callable[[Act, Any, Scene], Done]
    locks: Callable[[Any], Locks] = lambda _: Locks()
    moves: bool = False
    facts: Callable[[Scene, Act, Any], dict[str, Any]] | None = None
    opening: Mapping[str, Any] | None = None
    stands: Callable[[Scene, datetime], Mapping[str, Any]] | None = None
    call: Callable[[Mapping[str, Any], Any], Any] | None = None
    recall: Callable[[Mapping[str, Any]], Any] | None = None
    stopped: Callable[[Mapping[str, Any]], bool] | None = None
    settle: Callable[[Act, Mapping[str, Any], Any, Scene], Done] | None = None
    chooses: str = ""
    amount: str = ""
    ports: tuple[str, ...] = ()
    key: str = ""
    on_page: bool = False
    numbers: Mapping[str, str] = field(default_factory=dict)
    house: str = "house"
    apart: bool = False
    refused: Callable[[Act, Any, Scene, Refusal], str] | None = None

    def __post_init__(self) -> None:
        if (self.call is None) != (self.settle is None):
            raise TypeError(f"{self.code}: call and settle belong together")

    def opened(self, scene: Scene, at: datetime) -> dict[str, Any]:
        """The facts to ask with whether the act can be opened in this scene."""
        found = dict(self.opening or {})
        for record, known in (self.stands(scene, at) if self.stands else {}).items():
            found[record] = {**found[record], **known}
        return found


@dataclass(frozen=True)
class Outcome:
    """What a door gets back. `status`: done, refused, pending, or invalid (the input; no key was used)."""

    status: str
    say: str
    show: Mapping[str, Any] = field(default_factory=dict)
    refusal: Refusal | None = None

    @property
    def ok(self) -> bool:
        return self.status == "done"

    def as_json(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "say": self.say,
            "show": dict(self.show),
            "refusal": self.refusal.as_json() if self.refusal else None,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Outcome:
        refusal = data.get("refusal")
        return cls(data["status"], data["say"], data["show"], Refusal.from_json(refusal) if refusal else None)


Clock = Callable[[], datetime]
__all__ = [
    "ActType", "BasisRef", "Clock", "Day", "Done", "Id", "Input", "Locks", "Minor", "Outcome", "Price", "Scene",
    "Secret", "ShortWords", "Who", "Whole", "Words",
]
