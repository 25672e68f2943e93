"""The import contracts hold, and each of them bites."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = [c["name"] for c in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]]

# One wrong import for each contract: where it is written and what it brings in.
WRONG = {
    "Doors open onto rooms; rooms stand on the foundation": ("foundation/money", "careline.domain.journal.rules"),
    "Rooms know only the rooms below them": ("domain/journal/rules", "careline.domain.staff.rules"),
    "Inside a room: operations > queries > models > rules": ("domain/credits/queries", "careline.domain.credits.operations"),
    "Rules are pure: no database, no web": ("domain/contacts/rules", "django.db"),
    "Doors and acts never touch tables": ("acts/credits", "careline.domain.credits.models"),
    "A room's tables are its own": ("domain/credits/operations", "careline.domain.ledger.models"),
    "Doors change nothing by themselves: only acts and jobs call operations": (
        "doors/web/oops",
        "careline.domain.staff.operations",
    ),
}


def lint(where: Path) -> tuple[dict[str, str], str]:
    tool = Path(sys.executable).parent / "lint-imports"
    ran = subprocess.run([tool, "--no-cache", "--no-logo"], cwd=where, capture_output=True, text=True, timeout=60)
    said = dict(re.findall(r"^(.+?) (KEPT|BROKEN)\b", ran.stdout, re.M))
    return said, ran.stdout + ran.stderr


def copy_of_the_house(folder: Path) -> Path:
    shutil.copytree(
        ROOT / "careline", folder / "careline", ignore=shutil.ignore_patterns("__pycache__", "templates", "static")
    )
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_every_contract_is_kept():
    said, all_of_it = lint(ROOT)
    assert said == dict.fromkeys(CONTRACTS, "KEPT"), all_of_it


def test_every_contract_has_a_wrong_import_that_tries_it():
    assert set(WRONG) == set(CONTRACTS)


@pytest.mark.parametrize("contract", sorted(WRONG))
def test_a_wrong_import_breaks_its_contract(contract, tmp_path):
    house = copy_of_the_house(tmp_path)
    where, what = WRONG[contract]
    with open(house / "careline" / f"{where}.py", "a") as file:
        file.write(f"\nimport {what}\n")
    said, all_of_it = lint(house)
    assert said.get(contract) == "BROKEN", all_of_it
