"""`careline guide learn` on walks that were really walked: what it proposes, what it writes, what it leaves alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings

from careline.__main__ import parser
from careline.domain.customers.models import Line
from careline.domain.diagnosis import queries
from careline.domain.diagnosis.models import Walk
from careline.domain.diagnosis.rules.guide import load_all
from careline.domain.diagnosis.rules.simulate import Phone
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs.guides import learning
from careline.doors.jobs.stop import Stop
from careline.foundation.rulebook import Rulebook, read_folder
from tests.people import Desk

FOLDER = settings.ROOT / "rulebook" / "default"


def walk(desk: Desk, account, *causes: str, leave: bool = False) -> None:
    """Walk the guide with a customer whose phone has these causes, and close it."""
    line = Line.objects.get(account=account)
    row = Walk.objects.get(pk=int(desk.must("diagnosis.start", account=account.pk, line=line.pk, guide="no_service").show["walk"]))
    phone = Phone(queries.standing(row).walk.guide, set(causes))
    while not leave and (step := queries.standing(row).walk.step).kind not in ("done", "handover"):
        if step.kind == "remedy":
            phone.give(step.id)
            answers = [{"remedy": step.id, "outcome": "done"}]
        else:
            answers = [{"check": x.check, "outcome": x.outcome, "wording": x.wording} for x in (phone.answer(n, step.wording) for n in step.checks)]
        desk.must("diagnosis.answer", account=account.pk, walk=row.pk, answers=answers)
    desk.later(minutes=5).must("diagnosis.leave" if leave else "diagnosis.close", account=account.pk, walk=row.pk)


def run(*words: str) -> int:
    return learning.learn(parser().parse_args(["guide", "learn", "--rulebook", str(FOLDER), "--since", "30000", *words]))


def test_what_callers_had_is_proposed_written_and_fit_to_be_taken_into_force(ana, maria, tmp_path, capsys):
    for _ in range(4):
        walk(ana, maria, "sim_unseated")
    walk(ana, maria, "airplane_mode", leave=True)  # a walk that was left teaches nothing
    out = tmp_path / "proposed"
    in_force = rulebooks.current().digest
    assert run("--out", str(out)) == 0
    said = capsys.readouterr().out
    assert "no_service: 4 walks" in said and "sim_unseated" in said and "there in 4.0 of 4 walks" in said
    assert "airplane_mode" not in said and f"careline rulebook activate {out}" in said
    book = Rulebook.from_folder(out)
    book.check()
    before, after = read_folder(FOLDER), read_folder(out)
    assert {name for name in before if before[name] != after[name]} == {"guides/no_service.toml"} and set(before) == set(after)
    changed = [(a, b) for a, b in zip(*(x["guides/no_service.toml"].splitlines() for x in (before, after)), strict=True) if a != b]
    assert changed and all(a.startswith("prior = ") and b.startswith("prior = ") for a, b in changed)
    old, new = (load_all(x)["no_service"].cause_by_id["sim_unseated"].prior for x in (before, after))
    assert new == pytest.approx((20 * old + 4) / 24, rel=0.01)
    assert rulebooks.current().digest == in_force  # nothing is taken into force by itself


def test_without_out_nothing_is_written(ana, maria, capsys):
    for _ in range(4):
        walk(ana, maria, "sim_unseated")
    assert run() == 0 and "Nothing was written" in capsys.readouterr().out
    assert run("--strength", "2000") == 0 and "no change is proposed" in capsys.readouterr().out


def test_no_walks_no_change(house, capsys):
    assert run() == 0
    assert capsys.readouterr().out == "0 closed walks in 30000 days; no change is proposed.\n"


def test_what_is_there_is_not_written_over(house):
    with pytest.raises(Stop, match="not an empty folder"):
        run("--out", str(FOLDER))


def test_only_walks_of_the_asked_days_count(ana, maria):
    walk(ana, maria, "sim_unseated")
    assert len(queries.taught(ana.at - timedelta(days=1))) == 1
    assert queries.taught(ana.at + timedelta(days=1)) == []
