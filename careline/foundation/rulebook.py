"""The carrier's policy as files: read from a folder, frozen as one bundle, checked, and opened as typed values.

A bundle is a mapping from relative path to text. Its digest is SHA-256 over the sorted paths and texts, so that the same
files give the same digest on every machine.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar

from careline.foundation import arrange, chart, ladder, outbound, signin, stationery, tariff
from careline.foundation.authority import Authority, Rule

REQUIRED = (
    "authority.cedar",
    "authority.cedarschema",
    "limits.toml",
    "verification.toml",
    "reasons.toml",
)
T = TypeVar("T")
SUFFIXES = {".cedar", ".cedarschema", ".toml", ".md"}


class RulebookFault(ValueError):
    """A rulebook that cannot be used, with the file and the mistake in plain words."""


def read_folder(folder: Path) -> dict[str, str]:
    """The files of a rulebook folder by relative path. Raises RulebookFault when the folder is not a rulebook."""
    if not folder.is_dir():
        raise RulebookFault(f"{folder}: there is no such folder")
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in SUFFIXES
    }


def digest_of(files: Mapping[str, str]) -> str:
    """64 hex digits that name exactly these files."""
    canonical = json.dumps(sorted(files.items()), ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


MOST_OBJECT_MINUTES = 120  # a wireless number moves within 2.5 hours, and validating it is a part of them


def _objecting(care: Mapping[str, Any]) -> tuple[Any, Any]:
    """For how many minutes a holder may say that their number stays, and by which words; a rulebook from before it waits for nobody."""
    port = care.get("port_out", {})
    return port.get("object_minutes", 0), port.get("object_words", ["NO"])


def _care(said: dict[str, Any]) -> dict[str, Any]:
    """What care.toml says. Raises ValueError with what to do."""
    minutes, words = _objecting(said)
    if type(minutes) is not int or not 0 <= minutes <= MOST_OBJECT_MINUTES:
        raise ValueError(f"port_out, object_minutes = {minutes!r}: whole minutes from 0 to {MOST_OBJECT_MINUTES}; nobody may hold a number longer")
    if not isinstance(words, list) or not words or not all(isinstance(w, str) and w.strip() for w in words):
        raise ValueError('port_out, object_words: a list of words such as ["NO"]')
    return said


HOLDERS = ("outside", "outside-only", "careline")


def _records(said: Mapping[str, Any]) -> dict[str, str]:
    """What records.toml says. Raises ValueError with what to do."""
    found = dict(said.get("records", {}))
    for entity, who in found.items():
        if who not in HOLDERS:
            raise ValueError(f'{entity} = {who!r}: the system of record is "outside", "outside-only" or "careline"')
        if who == "outside-only" and not said.get("changes", {}).get(entity):
            raise ValueError(f'{entity} = "outside-only": [changes] names no act that would be refused, so it is "outside"')
    return found


def _elsewhere(said: Mapping[str, Any]) -> dict[str, Rule]:
    """Acts that are refused because another system alone holds what they change, each with the rule that says so."""
    found: dict[str, Rule] = {}
    for entity, who in _records(said).items():
        if who != "outside-only":
            continue
        where = str(said.get("where", {}).get(entity, "")).strip().rstrip(".")
        say = f"Another system holds this, and it is changed there: {where}." if where else "Another system holds this, and it is changed there."
        for code in said["changes"][entity]:
            found.setdefault(code, Rule("record-elsewhere", f"records.toml: records, {entity}", say))
    return found


@lru_cache(maxsize=8)
def _authority(policies: str, schema: str, ranks: tuple[tuple[str, str | None], ...], elsewhere: tuple[tuple[str, Rule], ...]) -> Authority:
    """Policies are slow to check against their schema, and most changes of a rulebook leave them as they were."""
    return Authority(policies, schema, dict(ranks), dict(elsewhere))


@dataclass(frozen=True)
class Rulebook:
    """One bundle, opened. Values are read from the files on first use and kept; `check` reads them all."""

    files: Mapping[str, str]

    @classmethod
    def from_folder(cls, folder: Path) -> Rulebook:
        return cls(read_folder(folder))

    @cached_property
    def digest(self) -> str:
        return digest_of(self.files)

    def text(self, name: str) -> str:
        """One file of the bundle. Raises RulebookFault when it is not there."""
        if name not in self.files:
            raise RulebookFault(f"{name}: this file is missing")
        return self.files[name]

    def toml(self, name: str) -> dict[str, Any]:
        """One TOML file of the bundle. Raises RulebookFault with the file's name and the parser's line."""
        try:
            return tomllib.loads(self.text(name))
        except tomllib.TOMLDecodeError as fault:
            raise RulebookFault(f"{name}: {fault}") from fault

    @cached_property
    def limits(self) -> dict[str, Any]:
        return self.toml("limits.toml")

    @cached_property
    def verification(self) -> dict[str, Any]:
        return self.toml("verification.toml")

    @cached_property
    def reasons(self) -> dict[str, Any]:
        return self.toml("reasons.toml")

    @cached_property
    def texts(self) -> dict[str, Any]:
        """What is texted to customers, by language. A rulebook without the file says everything in English."""
        return self.toml("texts.toml") if "texts.toml" in self.files else {}

    @cached_property
    def care(self) -> dict[str, Any]:
        """What account care keeps to. A rulebook from before it has no such file, and then no such act."""
        return self._read("care.toml", lambda: _care(self.toml("care.toml")) if "care.toml" in self.files else {})

    @property
    def object_minutes(self) -> int:
        """Between the notice that a number is asked for and its going; 0: it goes at once, told before."""
        return int(_objecting(self.care)[0])

    @property
    def object_words(self) -> tuple[str, ...]:
        """With these words a customer answers that they did not ask to take their number away."""
        return tuple(str(word).upper() for word in _objecting(self.care)[1])

    @cached_property
    def billing(self) -> tariff.Tariff:
        """What bills charge beside plans. A rulebook of a carrier that bills elsewhere may have no such file."""
        return self._read("billing.toml", lambda: tariff.read(self.toml("billing.toml")))

    @cached_property
    def books(self) -> chart.Chart:
        return self._read("books.toml", lambda: chart.read(self.toml("books.toml")))

    @cached_property
    def ladder(self) -> ladder.Ladder:
        """What is done about money past due. A rulebook of a carrier that collects elsewhere may have no such file."""
        return self._read("ladder.toml", lambda: ladder.read(self.text("ladder.toml")))

    @cached_property
    def outbound(self) -> outbound.Outbound:
        """When a customer may be reached."""
        return self._read("contact_rules.toml", lambda: outbound.read(self.text("contact_rules.toml")))

    @cached_property
    def stationery(self) -> stationery.Stationery:
        """What papers to customers say beside the facts; a rulebook without documents.toml has none of it."""
        name = "documents.toml"
        return self._read(name, lambda: stationery.read(self.toml(name) if name in self.files else {}))

    @cached_property
    def arrangements(self) -> arrange.Policy:
        """Promises to pay. A carrier that takes none has no such file."""
        return self._read("arrangements.toml", lambda: arrange.read(self.toml("arrangements.toml")))

    @cached_property
    def records(self) -> dict[str, str]:
        """Who is the system of record of what is imported, by entity: `outside` (what comes holds), `outside-only` (and nobody changes it
        here), or `careline` (what is here holds). A rulebook without records.toml leaves all of it outside."""
        return self._read("records.toml", lambda: _records(self.toml("records.toml")) if "records.toml" in self.files else {})

    @cached_property
    def elsewhere(self) -> dict[str, Rule]:
        """The acts that nobody does here, for another system alone holds what they change."""
        return self._read("records.toml", lambda: _elsewhere(self.toml("records.toml")) if "records.toml" in self.files else {})

    @cached_property
    def sign_in(self) -> signin.SignIn:
        """How people sign in; a rulebook without sign_in.toml asks nobody for a second factor."""
        name, machines = "sign_in.toml", {"agent", "service", "job"}
        return self._read(name, lambda: signin.read(self.toml(name) if name in self.files else {}, self.ranks, [r for r in self.ranks if r not in machines]))

    @staticmethod
    def _read(name: str, read: Callable[[], T]) -> T:
        """What a file says, read. Raises RulebookFault with the file's name."""
        try:
            return read()
        except RulebookFault:
            raise
        except ValueError as fault:
            raise RulebookFault(f"{name}: {fault}") from fault

    @cached_property
    def ranks(self) -> dict[str, str | None]:
        """Each role and the role whose permits it also has, lowest first; roles that stand alone come last."""
        ladder = self.limits["roles"]["ladder"]
        below = dict(zip(ladder, [None, *ladder], strict=False))
        return {**below, **dict.fromkeys(self.limits["roles"]["apart"])}

    @cached_property
    def authority(self) -> Authority:
        try:
            return _authority(self.files["authority.cedar"], self.files["authority.cedarschema"], tuple(self.ranks.items()), tuple(self.elsewhere.items()))
        except ValueError as fault:
            raise RulebookFault(str(fault)) from fault

    def check(self) -> None:
        """Read everything once: a bundle never changes. Raises RulebookFault for the first thing that cannot be used."""
        _ = self._checked

    @cached_property
    def _checked(self) -> bool:
        for name in REQUIRED:
            if name not in self.files:
                raise RulebookFault(f"{name}: this file is missing")
        for name in self.files:
            if name.endswith(".toml"):
                self.toml(name)
        if "billing.toml" in self.files:
            _ = self.billing
        if "books.toml" in self.files:
            _ = self.books
        if "ladder.toml" in self.files:
            _ = self.ladder, self.outbound
        self._one_late_fee()
        _ = self.stationery, self.records, self.care
        self._asked_for()
        if "arrangements.toml" in self.files:
            _ = self.arrangements
        _ = self.sign_in
        _ = self.authority
        return True

    def _asked_for(self) -> None:
        """What goes only to whom said yes can be asked for: its consent is one of care.toml, on those channels, and not given until it was."""
        if "contact_rules.toml" not in self.files or not self.care:
            return
        for yes in self.outbound.yeses:
            row = self.care.get("consent", {}).get(yes.consent)
            if row is None or not set(yes.channels) <= set(row["channels"]) or not row["opt_in"]:
                raise RulebookFault(
                    f"contact_rules.toml: [needs_yes.{yes.consent}] needs [consent.{yes.consent}] in care.toml, with opt_in = true and channels {', '.join(yes.channels)}: else nobody could say yes"
                )

    def _one_late_fee(self) -> None:
        """The late fee is levied in one place: by the bill run, or by a rung."""
        by = self.billing.late_fee.by if "billing.toml" in self.files else "bill"
        rung = self.ladder.levies() if "ladder.toml" in self.files else None
        if by == "ladder" and rung is None:
            raise RulebookFault('billing.toml: [late_fee] by = "ladder", and no rung of ladder.toml has the effect late_fee')
        if by == "bill" and rung is not None:
            raise RulebookFault(f'ladder.toml: rung {rung.code} levies the late fee, and billing.toml says by = "bill": it would be charged twice')
