"""The door for machines: JSON Lines in and out, many walks at once, and nothing that a bad line could break."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from careline.domain.diagnosis.rules.simulate import Phone
from careline.doors.jobs.guides.machine import Desk, serve
from careline.doors.jobs.guides.reading import guides_of

ROOT = Path(__file__).resolve().parents[2]
RULEBOOK = ROOT / "rulebook" / "benchmark"


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk(*guides_of(RULEBOOK))


def said(desk: Desk, **line: object) -> dict:
    return desk.answer(json.dumps(line))


def holds(wanted: object, found: object, where: str = "") -> None:
    """`found` has everything that `wanted` has."""
    if isinstance(wanted, dict):
        assert isinstance(found, dict), where
        for key, value in wanted.items():
            assert key in found, f"{where}.{key}"
            holds(value, found[key], f"{where}.{key}")
    elif isinstance(wanted, list):
        assert isinstance(found, list) and len(found) == len(wanted), where
        for n, (a, b) in enumerate(zip(wanted, found, strict=True)):
            holds(a, b, f"{where}[{n}]")
    else:
        assert found == wanted, where


def test_the_session_of_the_page_runs_as_it_is_written():
    (block,) = re.findall(r"```\n(> .*?)```", (ROOT / "docs" / "diagnose.md").read_text(), re.DOTALL)
    asked = [line[2:] for line in block.splitlines() if line.startswith("> ")]
    wanted = [json.loads(line[2:]) for line in block.splitlines() if line.startswith("< ")]
    done = subprocess.run(
        [sys.executable, "-m", "careline", "diagnose", "--rulebook", str(RULEBOOK), "--json"],
        input="\n".join(asked), text=True, capture_output=True, timeout=60, cwd=ROOT,
    )  # fmt: skip
    heard = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and done.stderr == ""
    holds(wanted, heard)


def test_two_walks_at_once_do_not_mix(desk):
    said(desk, op="start", walk="ana", guide="no_service")
    said(desk, op="start", walk="ben", guide="mms")
    assert said(desk, op="show", walk="ana")["guide"] == "no_service" and said(desk, op="show", walk="ben")["guide"] == "mms"
    assert "begun already" in said(desk, op="start", walk="ana", guide="mms")["error"]
    for name in ("ana", "ben"):
        said(desk, op="end", walk=name)


def test_a_walk_that_was_ended_goes_on_from_its_answers(desk):
    said(desk, op="start", walk="w", guide="no_service", facts={"line_status": "active", "contract_ended": "no", "overdue_bill": "no"})
    before = said(desk, walk="w", answers={"check_status_bar": "airplane_mode"})
    answers = said(desk, op="end", walk="w")["answers"]
    after = said(desk, op="start", walk="w", guide="no_service", answers=answers)
    assert after == before
    said(desk, op="end", walk="w")


def test_a_walk_begins_without_an_op_and_an_answer_to_none_says_how_to_begin(desk):
    asked = {"walk": "w", "guide": "no_service", "facts": {"line_status": "active"}}
    assert said(desk, **asked)["step"] == said(desk, **{**asked, "walk": "v", "op": "start"})["step"]
    assert "Begin it" in said(desk, walk="u", outcome="done")["error"]
    assert "has begun already" in said(desk, **asked, op="start")["error"]


def test_undo_takes_exactly_the_last_answer_back(desk):
    first = said(desk, op="start", walk="u", guide="no_service", facts={"line_status": "active", "contract_ended": "no", "overdue_bill": "no"})
    said(desk, walk="u", answers={"check_status_bar": "airplane_mode"})
    assert said(desk, walk="u", op="undo") == first
    said(desk, op="end", walk="u")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("x", "not JSON"),
        ("[1]", "one JSON object"),
        ('{"walk": 3}', "a text"),
        ('{"walk": "nobody"}', "no walk"),
        ('{"op": "dance", "walk": "e"}', "one of start"),
        ('{"op": "start", "guide": "toaster"}', '"guide" is one of'),
        ('{"op": "start", "guide": "mms", "facts": {"line_status": "purple"}}', "no outcome"),
        ('{"op": "start", "guide": "mms", "facts": {"colour": "purple"}}', "no check"),
        ('{"op": "start", "guide": "mms", "facts": 3}', "an object"),
        ('{"op": "start", "guide": "mms", "answers": [{}]}', "An answer is"),
        ('{"op": "start", "guide": "mms", "answers": 7}', "An answer is"),
        ('{"op": "start", "guide": ["mms"]}', '"guide" is one of'),
        ('{"walk": "e"}', '"answers", or "outcome"'),
        ('{"walk": "e", "answers": []}', '"answers" is a list'),
        ('{"walk": "e", "op": "undo", "last": true}', '"last" is'),
        ("[" * 100_000, "not JSON"),
        ('{"walk": "e", "answers": {"check_status_bar": "signal", "check_status_bar": "no_signal"}}', '"check_status_bar" stands twice'),
        ('{"walk": "\\ud800"}', "half a character"),
        ('{"walk": "' + "w" * 300 + '"}', "at most 200"),
        ('{"walk": "e", "remedy": "toggle_airplane_mode", "outcome": "perhaps"}', "A remedy ends as one of"),
        ('{"walk": "e", "remedy": "reboot", "outcome": "done"}', 'no remedy "reboot"'),
        (json.dumps({"walk": "e", "answers": [{"check": "check_status_bar", "outcome": "signal"}] * 1001}), "at most 1000 answers"),
    ],
)
def test_a_line_that_cannot_be_used_says_why_and_changes_nothing(desk, line, says):
    said(desk, op="start", walk="e", guide="no_service")
    before = said(desk, op="show", walk="e")
    assert says in desk.answer(line)["error"]
    assert said(desk, op="show", walk="e") == before
    said(desk, op="end", walk="e")
    desk.walks.pop("1", None)


def test_one_answer_needs_no_list_and_is_about_what_it_names(desk):
    said(desk, op="start", walk="o", guide="no_service", facts={"line_status": "active", "contract_ended": "no", "overdue_bill": "no"})
    assert said(desk, walk="o", check="check_status_bar", outcome="airplane_mode")["step"]["id"] == "toggle_airplane_mode"
    heard = said(desk, walk="o", remedy="reboot_device", outcome="done")  # something else than what was asked for
    assert said(desk, op="end", walk="o")["answers"][-1] == {"remedy": "reboot_device", "outcome": "done"} and "error" not in heard


def test_a_line_that_never_ends_is_read_in_pieces_and_the_next_one_is_answered(desk):
    heard = io.StringIO()
    serve(desk, io.StringIO("x" * 3_000_000 + '\n{"op": "guides"}\n{"op": "gui'), heard)
    first, second, third = map(json.loads, heard.getvalue().splitlines())
    assert "at most 1000000" in first["error"] and len(second["guides"]) == 3 and "not JSON" in third["error"]


values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20), lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=8), x, max_size=3), max_leaves=6)
keys = st.sampled_from(["op", "walk", "guide", "symptom", "facts", "numbers", "answers", "outcome", "last"])
words = st.sampled_from(["start", "answer", "undo", "show", "end", "guides", "no_service", "w", "done", "signal"])


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # the first draw of a busy machine
@given(st.dictionaries(keys, values | words))
def test_whatever_is_said_gets_an_answer(line):
    desk = test_whatever_is_said_gets_an_answer.desk = getattr(test_whatever_is_said_gets_an_answer, "desk", None) or Desk(*guides_of(RULEBOOK))
    desk.walks.clear()
    said(desk, op="start", walk="w", guide="no_service")
    assert isinstance(desk.answer(json.dumps(line)), dict)


@pytest.mark.parametrize("guide", ["no_service", "mobile_data", "mms"])
def test_an_honest_phone_is_fixed_through_the_door(desk, guide):
    model = desk.guides[guide]
    cause = next(c.id for c in model.causes if c.shows and c.lives == "phone" and model.remedies_for(c.id))
    phone = Phone(model, {cause})
    heard = said(desk, op="start", walk="h", guide=guide)
    for _ in range(60):
        step = heard["step"]
        if step["kind"] in ("done", "handover"):
            break
        if step["kind"] == "remedy":
            phone.give(step["id"])
            heard = said(desk, walk="h", outcome="done")
        else:
            heard = said(desk, walk="h", answers=[{"check": q["check"], "outcome": phone.answer(q["check"]).outcome} for q in step["questions"]])
    assert heard["verdict"]["kind"] == "fixed" and heard["verdict"]["fixed"] == [cause] and not phone.needless
    said(desk, op="end", walk="h")


def test_a_bad_guide_is_refused_with_its_file_and_line(tmp_path):
    folder = tmp_path / "guides"
    folder.mkdir()
    (folder / "broken.toml").write_text('id = "broken"\ntitle = "T"\ntrouble = "X"\n[test]\nsay = "?"\nwrong = 1\noutcomes = [{id="a",say="a"},{id="b",say="b"}]\n[[causes]]\nid="c"\ntitle="C"\nprior=0.1\n')
    done = subprocess.run([sys.executable, "-m", "careline", "guide", "check", "--rulebook", str(tmp_path)], text=True, capture_output=True, timeout=60, cwd=ROOT)
    assert done.returncode == 1 and "broken.toml:6" in done.stderr and "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1
