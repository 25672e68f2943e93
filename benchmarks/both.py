"""Running a benchmark once on each database: the file calls itself with `--here` for one of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def on_both(file: str, words: Sequence[str] = (), *, on_sqlite: Sequence[str] = (), postgresql: bool = True) -> None:
    """Run `file --here WORDS` on SQLite (with the words `on_sqlite` too), then on a throw-away PostgreSQL from .ci/with-postgresql,
    which is left out with a line when none is installed. Exits with the code of what failed."""
    again = [sys.executable, file, "--here", *words]
    subprocess.run([*again, *on_sqlite], check=True, env={k: v for k, v in os.environ.items() if k != "CARELINE_DATABASE_URL"})
    if not postgresql:
        return
    code = subprocess.run([str(ROOT / ".ci" / "with-postgresql"), *again]).returncode
    if code == 77:
        print("\nPostgreSQL: not installed here.")
    elif code:
        sys.exit(code)
