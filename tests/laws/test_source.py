"""Laws that the source itself keeps, read as a syntax tree: no exception is silent, each is listed here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.template import engines
from jinja2 import nodes

ROOT = Path(__file__).resolve().parents[2] / "careline"
FILES = sorted(p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*.py") if "migrations" not in p.parts)


def tree(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), path)


def imported(path: str) -> Iterator[str]:
    """Every module and name that a file imports, at the top or inside a function."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{a.name}" for a in node.names)


def called(path: str) -> set[str]:
    """Dotted names that a file mentions, as written: `timezone.now`, `secrets.choice`, `time.time`."""
    return {ast.unparse(node) for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}


# ---------------------------------------------------------------- who may change something


def may_call_operations(path: str) -> bool:
    return (
        path.startswith(("acts/", "doors/jobs/"))
        or (path.startswith("domain/") and ("/operations/" in path or path.endswith("/operations.py")))
    )


def brings_in_operations(path: str) -> set[str]:
    return {
        name
        for name in imported(path)
        if name.startswith("careline.domain.") and "operations" in name.split(".")
    }


@pytest.mark.parametrize("path", FILES)
def test_operations_are_called_by_acts_jobs_and_other_operations_only(path):
    if not may_call_operations(path):
        assert not brings_in_operations(path), f"{path} could change something behind the back of perform()"


def test_that_law_would_see_a_door_that_calls_an_operation():
    assert brings_in_operations("acts/credits.py") and not may_call_operations("doors/web/render.py")


# Who calls `perform` and `look`: doors only (and approvals, which judges the act it was asked for).
@pytest.mark.parametrize("path", [p for p in FILES if p.startswith("domain/")])
def test_no_room_knows_an_act_or_a_request(path):
    """The domain reads the actor, the time and the basis from `Act`: never from a request or a session."""
    wrong = [
        n
        for n in imported(path)
        if n.startswith(("django.http", "django.contrib.sessions", "careline.acts", "careline.doors", "ninja"))
    ]
    assert not wrong, wrong


def test_no_function_of_a_room_takes_a_request_object():
    """`request` in the room of approvals is somebody's request to a lead; nowhere is it an HTTP request."""
    for path in FILES:
        if path.startswith("domain/"):
            for node in ast.walk(tree(path)):
                if isinstance(node, ast.arg) and node.arg in ("request", "http_request", "session"):
                    raise AssertionError(f"{path}:{node.lineno} takes a {node.arg}")


# ---------------------------------------------------------------- clocks and chance

CLOCKS = {
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "timezone.now", "timezone.localtime",
    "timezone.localdate", "time.time", "time.time_ns", "time.monotonic", "datetime.datetime.now", "datetime.date.today",
}  # fmt: skip
CHANCE = ("random.", "secrets.", "uuid.uuid1", "uuid.uuid4", "os.urandom", "numpy.random")

# Where chance or a clock is right, and why.
ALLOWED = {
    "domain/rulebook/queries.py": {"timezone.now", "time.monotonic"},  # which policy is in force: asked every 2 seconds
    "domain/journal/models.py": {"secrets.token_hex"},  # the salt of a payload
    "domain/staff/operations.py": {"secrets.token_urlsafe"},  # the secret of a token
    "domain/ledger/operations/posting.py": {"secrets.token_urlsafe"},  # the token of a payment link
}


def unasked(path: str) -> set[str]:
    return {n for n in called(path) if n in CLOCKS or n.startswith(CHANCE)}


@pytest.mark.parametrize("path", [p for p in FILES if p.startswith(("domain/", "foundation/"))])
def test_the_domain_reads_no_clock_and_rolls_no_dice(path):
    assert unasked(path) <= ALLOWED.get(path, set())


def test_no_exception_is_listed_that_is_not_needed():
    for path, names in ALLOWED.items():
        assert names <= unasked(path), f"{path} no longer needs {names - unasked(path)}"


@pytest.mark.parametrize("path", [p for p in FILES if p.endswith("/rules.py") or "/rules/" in p or p.startswith("foundation/")])
def test_rules_and_foundation_know_no_django(path):
    assert not [n for n in imported(path) if n == "django" or n.startswith("django.")]


# ---------------------------------------------------------------- transactions and raw SQL


@pytest.mark.parametrize("path", FILES)
def test_transactions_are_opened_in_perform_look_jobs_and_operations_only(path):
    opens = any(n.endswith("transaction.atomic") for n in called(path))
    allowed = path in ("acts/perform.py", "acts/look.py") or may_call_operations(path)
    assert not opens or allowed, f"{path} opens a transaction"


@pytest.mark.parametrize("path", [p for p in FILES if p.startswith(("domain/", "acts/"))])
def test_what_an_account_does_not_have_is_not_found_and_no_wrong_field(path):
    """By API it is 404, whether nobody has it or somebody else."""
    wrong = re.findall(r'refuse\(\s*"INVALID", f?"(Choose [^"]*(?:of|on) this account\b[^"]*)"', (ROOT / path).read_text(encoding="utf-8"))
    assert not wrong, f"{path}: {wrong}"


@pytest.mark.parametrize("path", [p for p in FILES if p.startswith(("domain/", "acts/"))])
def test_rooms_and_acts_write_no_raw_sql(path):
    raw = {n for n in called(path) if n.endswith((".raw", ".cursor", ".extra", ".executescript")) or "RawSQL" in n}
    assert not raw, f"{path}: {raw}"


@pytest.mark.parametrize("path", FILES)
def test_errors_are_told_apart_by_class_and_never_by_the_name_of_a_constraint(path):
    names = {"constraint_name", "diag.constraint_name"}
    assert not {n for n in called(path) if n.split(".")[-1] in names}


@pytest.mark.parametrize("path", [p for p in FILES if p.startswith(("acts/", "domain/"))])
def test_domain_exceptions_are_never_swallowed_whole(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None and ast.unparse(node.type) not in ("Exception", "BaseException"), (
                f"{path}:{node.lineno} catches everything"
            )


TEMPLATES = ROOT / "doors" / "web" / "templates"


@pytest.mark.once
@pytest.mark.parametrize("name", sorted(str(p.relative_to(TEMPLATES)) for p in TEMPLATES.rglob("*.html")))
def test_every_template_uses_filters_and_parts_that_there_are(name):
    """Jinja finds a filter that is missing only when the branch with it is drawn: here all branches are read."""
    env = engines["jinja2"].env
    page = env.parse((TEMPLATES / name).read_text())
    filters = {node.name for node in page.find_all(nodes.Filter)}
    assert filters <= set(env.filters), filters - set(env.filters)
    tests = {node.name for node in page.find_all(nodes.Test)}
    assert tests <= set(env.tests), tests - set(env.tests)
    parts = {node.attr for node in page.find_all(nodes.Getattr) if isinstance(node.node, nodes.Name) and node.node.name == "p"}
    macros = {node.name for node in env.parse((TEMPLATES / "parts.html").read_text()).find_all(nodes.Macro)}
    assert name == "parts.html" or parts <= macros, parts - macros
