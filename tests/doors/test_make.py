"""`make` on a machine where something is missing: one line that says what to do, and nothing is begun."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.once


@pytest.fixture
def fresh():
    """A checkout in which nothing was made yet, that others may read, and a PATH with the bare tools."""
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        shutil.copy(ROOT / "Makefile", folder)
        (folder / "requirements.lock").write_text("")
        (folder / "tools").mkdir()
        for name in ("sh", "make", "cmp", "cp", "ln", "touch", "sed", "awk"):
            (folder / "tools" / name).symlink_to(shutil.which(name))
        yield folder
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def make(folder, *words, python="", **more):
    if python:
        (folder / "tools" / "python3").write_text(python)
        (folder / "tools" / "python3").chmod(0o755)
    return subprocess.run(["make", *words], cwd=folder, env={"PATH": str(folder / "tools")}, text=True, capture_output=True, timeout=60, **more)


def said(done):
    """What is for people: without make's own last word."""
    assert done.returncode == 2
    lines = [n for n in (done.stdout + done.stderr).splitlines() if not n.startswith("make: ")]
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize("python", ["", "#!/bin/sh\nexit 1\n"])
def test_without_python_or_with_one_that_is_too_old(fresh, python):
    assert "Python 3.11 or newer" in said(make(fresh, "demo", python=python)) and not (fresh / ".venv").exists()


def test_a_python_that_is_not_there(fresh):
    assert "Python 3.11 or newer" in said(make(fresh, "demo", "PYTHON=/no/such/python"))


def test_without_the_module_that_makes_environments(fresh):
    without = f'#!/bin/sh\ncase "$2" in *venv*) exit 1;; esac\nexec {sys.executable} "$@"\n'
    assert "apt install python3-venv" in said(make(fresh, "demo", python=without))


def test_in_a_folder_that_one_may_only_read(fresh):
    (fresh / "tools" / "python3").write_text("#!/bin/sh\nexit 0\n")
    (fresh / "tools" / "python3").chmod(0o755)
    fresh.chmod(0o555)
    stranger = {} if os.geteuid() else {"user": 65534, "group": 65534, "extra_groups": []}  # root may write everywhere
    assert "read-only" in said(make(fresh, "demo", **stranger))


def test_a_taken_port_is_told_before_anything_is_installed(fresh):
    (fresh / ".venv" / "bin").mkdir(parents=True)
    (fresh / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (fresh / "requirements.lock").write_text("nothing-of-this-name==1.0")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"Port {port} cannot be had" in said(make(fresh, "demo", f"PORT={port}")) and not (fresh / ".venv" / ".setup").exists()
    assert "PORT=8001" in said(make(fresh, "demo", "PORT=eighty"))


def test_the_list_of_targets_is_there(fresh):
    assert "make demo" in make(fresh, "help").stdout
