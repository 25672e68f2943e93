"""Guides and the carrier's numbers from a rulebook folder, without a database."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from careline.domain.diagnosis.rules.guide import Guide, GuideFault, load_all, numbers
from careline.doors.jobs.stop import Stop
from careline.foundation.rulebook import read_folder


def guides_of(folder: Path) -> tuple[dict[str, Guide], tuple[tuple[str, str], ...]]:
    """Every guide of the folder by id, and the numbers that their words name. A fault is one line with file and line."""
    files = read_folder(folder)
    try:
        found = load_all(files)
    except GuideFault as fault:
        raise Stop(f"{folder}/{fault}") from None
    if not found:
        raise Stop(f"{folder} has no guides: they lie in {folder}/guides/*.toml.", 2)
    return found, numbers(files)


def one_of(guides: Mapping[str, Guide], name: str) -> Guide:
    if name not in guides:
        raise Stop(f'There is no guide "{name}". There are: {", ".join(sorted(guides))}.', 2)
    return guides[name]
