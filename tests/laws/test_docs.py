"""What the documents say exists: paths, functions, tests, commands with their options, variables, and a worked example."""

from __future__ import annotations

import argparse
import ast
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from careline import __main__ as command_line
from careline.acts import table
from careline.domain.credits.rules import TaxLine, parts
from careline.foundation.policy import actions

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
OPERATE, README = ROOT / "docs" / "operate.md", ROOT / "README.md"

PATH = re.compile(r"(?<![\w./<-])(?:careline|tests|docs|rulebook/default|samples|bin|benchmarks|\.ci)/[\w.*/-]*\w")
NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
FILE = re.compile(r"[\w-]+\.(?:py|md|toml|txt|cedar|jsonl|lock|sqlite3)")
LINK = re.compile(r"\]\(([^)#:]+)\)")


def pages() -> list[object]:
    return [pytest.param(page, id=page.relative_to(ROOT).as_posix()) for page in PAGES]


def in_backticks(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M))


@cache
def sources() -> dict[tuple[str, ...], Path]:
    """Every module by the parts of its path: `("careline", "acts", "perform")`."""
    files = [p for top in ("careline", "tests") for p in (ROOT / top).rglob("*.py")]
    names = {p: p.relative_to(ROOT).with_suffix("").parts for p in files}
    return {parts[:-1] if parts[-1] == "__init__" else parts: p for p, parts in names.items()}


@cache
def defined(path: Path) -> frozenset[str]:
    """What a module defines: `grant`, `Grant`, `Entry.text`."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
            if isinstance(node, ast.ClassDef):
                found |= {f"{node.name}.{n.name}" for n in node.body if isinstance(n, ast.FunctionDef)}
        elif isinstance(node, ast.Assign):
            found |= {t.id for t in node.targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.ImportFrom) and path.name == "__init__.py":  # what a folder of one subject each hands on
            found |= {a.name for a in node.names}
    return frozenset(found)


@cache
def told() -> frozenset[str]:
    """The name of every test."""
    return frozenset(n for parts_, p in sources().items() if parts_[0] == "tests" for n in defined(p) if n.startswith("test_"))


def exists(name: str) -> bool:
    """`module.function`, `room.module.function` or `module.Class.method`: some module that ends so defines it."""
    words = tuple(name.split("."))
    return any(
        where[-len(words[:cut]) :] == words[:cut] and ".".join(words[cut:]) in defined(path)
        for cut in range(1, len(words))
        for where, path in sources().items()
    )


@pytest.mark.parametrize("page", pages())
def test_every_path_that_a_page_names_is_there(page):
    text = page.read_text(encoding="utf-8")
    missing = [p for p in PATH.findall(text) if not (list(ROOT.glob(p)) if "*" in p else (ROOT / p).exists())]
    missing += [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", pages())
def test_every_function_and_test_that_a_page_names_is_there(page):
    schema = (ROOT / "rulebook/default/authority.cedarschema").read_text(encoding="utf-8")
    codes = set(table.acts()) | set(actions(schema))
    made_up = ("example.com",)
    missing = []
    for word in in_backticks(page.read_text(encoding="utf-8")):
        name = word.removesuffix("()")
        if NAME.fullmatch(name) and name not in codes and not FILE.fullmatch(name) and not name.endswith(made_up):
            missing += [] if exists(name) or name in NOT_OURS else [name]
        elif name.startswith("test_"):
            missing += [] if name in told() else [name]
    assert not missing


# Dotted words in backticks that are no function of ours: loggers, settings of the rulebook, words in a column, other programs' words.
NOT_OURS = {"django.security.DisallowedHost", "search.per_hour", "tax.state_only", "careline.requests", "careline.acts"}


def test_that_law_would_see_a_name_that_is_gone():
    assert exists("perform.settle") and exists("credits.operations.grant") and exists("foundation.authority.Authority.decide")
    assert not exists("perform.unsettle") and not exists("debits.operations.grant") and not exists("Authority.decide")
    assert PATH.findall("see `careline/acts/perform.py`, not /opt/careline/bin/careline or /api/acts/x") == ["careline/acts/perform.py"]


# ---------------------------------------------------------------- commands


@cache
def commands() -> dict[str, argparse.ArgumentParser]:
    """Every subcommand and verb by its words: `serve`, `user add`, `import`."""

    def below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
        return next((dict(a.choices) for a in parser._actions if isinstance(a, argparse._SubParsersAction)), {})

    found = {}
    for name, parser in below(command_line.parser()).items():
        found[name] = parser
        found |= {f"{name} {verb}": inner for verb, inner in below(parser).items()}
    return found


def named_in_table(page: Path) -> list[str]:
    """The commands of a page's table: `careline user add`, and the bare words after it (`list`, `worker`)."""
    found: list[str] = []
    for row in page.read_text(encoding="utf-8").splitlines():
        if not row.startswith("| `careline "):
            continue
        first, *others = in_backticks(row.split("|")[1])
        words = first.split()[1:]
        found.append(" ".join(words))
        group = words[0] if len(words) > 1 else ""
        found += [f"{group} {other}".strip() for other in others]
    return found


@pytest.mark.parametrize("page", [README, OPERATE], ids=lambda p: p.name)
def test_every_command_of_a_table_is_one_with_help(page, capsys):
    names = named_in_table(page)
    assert len(names) >= 9
    for name in names:
        assert name in commands(), name
        with pytest.raises(SystemExit) as ended:
            command_line.run([*name.split(), "--help"])
        assert ended.value.code == 0 and "usage: careline" in capsys.readouterr().out


def test_every_command_says_what_it_does_and_what_each_word_of_it_is():
    for name, parser in commands().items():
        silent = [a.dest for a in parser._actions if not a.help and not isinstance(a, argparse._SubParsersAction)]
        assert parser.description and not silent, (name, silent)


def test_the_tables_together_name_every_command():
    assert {n.split()[0] for n in commands()} == {n.split()[0] for n in named_in_table(OPERATE)}


def lines_of_code(page: Path) -> list[list[str]]:
    """The words after `bin/careline` in a page's examples, its pipes and comments cut off."""
    found = []
    for line in page.read_text(encoding="utf-8").splitlines():
        call = re.search(r"(?:^|[\s|/'])bin/careline (.+)", line) if line.startswith("    ") else None
        if call:
            found.append(shlex.split(re.split(r" [|>&] ", call[1])[0], comments=True))
    return found


@pytest.mark.parametrize("page", [README, OPERATE], ids=lambda p: p.name)
def test_every_example_is_a_command_with_options_that_it_has(page):
    examples = lines_of_code(page)
    assert len(examples) >= 4
    for words in examples:
        name = " ".join(words[:2]) if " ".join(words[:2]) in commands() else words[0]
        assert name in commands(), words
        known = {o for action in commands()[name]._actions for o in action.option_strings}
        assert not {w for w in words if w.startswith("--")} - known, words


# ---------------------------------------------------------------- variables, decisions, figures


def test_the_table_of_variables_is_whole():
    settings = (ROOT / "careline" / "settings.py").read_text(encoding="utf-8")
    read = {f"CARELINE_{n}" for n in re.findall(r"\b(?:text|flag|number|one_of)\(\"([A-Z_]+)\"", settings)}
    read |= {f"CARELINE_{n.upper()}" for n in re.findall(r"\bsecret\(\"([a-z_]+)\"\)", settings)}
    for path in (ROOT / "careline").rglob("*.py"):
        read |= set(re.findall(r"environ(?:\.get\(|\[)\"(CARELINE_[A-Z_]+)\"", path.read_text(encoding="utf-8")))
    rows = re.findall(r"^\| `(CARELINE_[A-Z_]+)` \|", OPERATE.read_text(encoding="utf-8"), re.M)
    assert len(read) > 10 and sorted(rows) == sorted(read)


@pytest.mark.parametrize("page", DECISIONS, ids=lambda p: p.stem)
def test_a_decision_says_what_why_and_what_it_costs(page):
    text = page.read_text(encoding="utf-8")
    assert re.match(rf"# {page.stem[:4]} \S", text)
    assert re.findall(r"^## (.+)$", text, re.M) == ["Context", "Decision", "Why", "What it costs"]
    assert all(len(part.split()) >= 15 for part in re.split(r"^## .+$", text, flags=re.M)[1:])


def test_no_two_decisions_have_one_number():
    numbers = [p.stem[:5] for p in DECISIONS]
    assert len(numbers) >= 7 and len(set(numbers)) == len(numbers) and all(re.fullmatch(r"\d{4}-", n) for n in numbers)


def test_the_worked_example_of_money_is_what_the_code_computes():
    text = (ROOT / "docs" / "money.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in re.findall(r"^\| \d+\.\d\d \|.+$", text, re.M)]
    *steps, sums = [[cents(row[0]), *(cents(re.search(r"\*\*(.+)\*\*", c)[1]) for c in row[2:4]), cents(row[4])] for row in rows]
    taken = {"state": 0, "city": 0}
    done = 0
    for amount, state, city, total in steps:
        taxes = [TaxLine(2, "state", sums[1], taken["state"]), TaxLine(3, "city", sums[2], taken["city"])]
        made = parts(amount_minor=amount, label="Roaming pass", line_id=1, line_minor=sums[0], line_credited_minor=done,
                     taxes=taxes, tax_rule="proportional")
        assert [p.amount_minor for p in made] == [amount, state, city] and sum(p.amount_minor for p in made) == total
        done += amount
        taken["state"] += state
        taken["city"] += city
    assert len(steps) == 3 and [done, taken["state"], taken["city"], done + sum(taken.values())] == sums


def cents(text: str) -> int:
    whole, _, part = text.partition(".")
    return int(whole) * 100 + int(part)


@pytest.mark.parametrize("page", pages())
def test_a_page_names_no_place_of_one_machine(page):
    assert not re.findall(r"(?<![\w.])/(?:work|root|home|Users)/\S*", page.read_text(encoding="utf-8"))


# ---------------------------------------------------------------- deploy


def test_what_is_deployed_runs_commands_that_exist_with_settings_that_exist():
    known = set(re.findall(r"^\| `(CARELINE_[A-Z_]+)` \|", OPERATE.read_text(encoding="utf-8"), re.M))
    found = []
    for file in sorted((ROOT / "deploy").iterdir()):
        text = file.read_text(encoding="utf-8")
        assert set(re.findall(r"CARELINE_[A-Z]+(?:_[A-Z]+)*", text)) <= known, file.name
        listed = [re.findall(r'[^\[\], "]+', row) for row in re.findall(r"\[bin/careline, ([^\]]+)\]", text)]
        for words in [*listed, *(shlex.split(row) for row in re.findall(r"bin/careline ([a-z][^\n;]*)", text))]:
            found.append(words[0])
            options = {o for action in commands()[words[0]]._actions for o in action.option_strings}
            assert not {w for w in words if w.startswith("--")} - options, (file.name, words)
    assert {"serve", "migrate", "night", "backup", "verify-journal"} <= set(found)


def test_the_compose_file_is_one_and_its_services_lean_on_each_other():
    yaml = pytest.importorskip("yaml")
    made = yaml.safe_load((ROOT / "deploy" / "compose.yml").read_text(encoding="utf-8"))
    services = made["services"]
    assert set(services) == {"database", "migrate", "desk", "nightly"} and set(made["volumes"]) == {"home", "database", "backups"}
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services), name
        assert {v.partition(":")[0] for v in service["volumes"]} <= set(made["volumes"]), name
