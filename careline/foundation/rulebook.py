"""The carrier's policy as files: read from a folder, frozen as one bundle, checked, and opened as typed values.

A bundle is a mapping from relative path to text. Its digest is SHA-256 over the sorted paths and texts, so that the same
files give the same digest on every machine.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from careline.foundation.authority import Authority

REQUIRED = (
    "authority.cedar",
    "authority.cedarschema",
    "limits.toml",
    "verification.toml",
    "reasons.toml",
)
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

    def toml(self, name: str) -> dict[str, Any]:
        """One TOML file of the bundle. Raises RulebookFault with the file's name and the parser's line."""
        try:
            return tomllib.loads(self.files[name])
        except KeyError:
            raise RulebookFault(f"{name}: this file is missing") from None
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
    def ranks(self) -> dict[str, str | None]:
        """Each role and the role whose permits it also has, lowest first; roles that stand alone come last."""
        ladder = self.limits["roles"]["ladder"]
        below = dict(zip(ladder, [None, *ladder], strict=False))
        return {**below, **dict.fromkeys(self.limits["roles"]["apart"])}

    @cached_property
    def authority(self) -> Authority:
        try:
            return Authority(self.files["authority.cedar"], self.files["authority.cedarschema"], self.ranks)
        except ValueError as fault:
            raise RulebookFault(str(fault)) from fault

    def check(self) -> None:
        """Read everything once. Raises RulebookFault for the first thing that cannot be used."""
        for name in REQUIRED:
            if name not in self.files:
                raise RulebookFault(f"{name}: this file is missing")
        for name in self.files:
            if name.endswith(".toml"):
                self.toml(name)
        _ = self.authority
