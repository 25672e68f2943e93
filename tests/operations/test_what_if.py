"""What if? Asked of a house whose nights were run: the ladder in force says what they did, a changed one something else, and nothing changes."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from careline.__main__ import run
from careline.domain.collections.models import Climb, Hold, Step
from careline.domain.collections.queries.whatif import side_of, what_if
from careline.domain.customers.models import Account
from careline.domain.ledger import operations as ledger
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs.stop import Stop
from careline.foundation.rulebook import Rulebook, RulebookFault
from tests.operations.test_night import a_night, at, owing
from tests.people import carrier_act, pay

FOLDER = Path(settings.ROOT) / "rulebook" / "default"
TEXT = (FOLDER / "ladder.toml").read_text(encoding="utf-8")
SOFT = 'code = "soft"\ntitle = "Outgoing calls, texts and data stopped"\ndays = '
ASKED_ON = date(2026, 12, 1)


def changed(**more: str) -> Rulebook:
    """Outgoing calls stop after twenty days instead of fifteen."""
    return Rulebook({**rulebooks.current().files, "ladder.toml": TEXT.replace(SOFT + "15", SOFT + "20"), **more})


def asked(then: Rulebook, most: int | None = None):
    return what_if(side_of(rulebooks.current()), side_of(then), ASKED_ON, most)


def test_the_ladder_in_force_says_what_the_nights_did_and_a_later_rung_moves_who_paid_between(house):
    maria, _, written, held = owing(), owing(), owing(), owing()
    Hold.objects.create(reference="HO-1", account=held, kind="bankruptcy", starts_on=date(2026, 10, 10), placed_by="lena", placed_at=at(5))
    for day in (-3, 3, 10, 15):
        a_night(day)
    pay(maria, 8000, at(17))
    a_night(17)
    a_night(25)
    a_night(30)
    ledger.write_off(act=carrier_act(at(31)), account_id=written.pk, amount_minor=8000, label="Written off by hand")
    before = (Climb.objects.count(), Step.objects.count(), Account.objects.count())
    study = asked(changed())
    assert (study.first, study.last) == (date(2025, 12, 1), date(2026, 11, 30))
    assert (study.accounts, study.late) == (4, 4)
    assert study.before.notices == Counter(Step.objects.filter(effect="notice").values_list("what", flat=True)) == {"sms": 14, "letter": 2}
    assert [(m.reference, m.how) for m in study.moved][:1] == [(maria.reference, "less far")]
    assert study.moves["less far"] == 1 and study.before.reached["soft"] == 3 and study.after.reached["soft"] == 2
    assert study.before.reached["hard"] == 2, "what was written off by hand is open in both: it followed from the ladder of its time"
    assert study.before.minor["late_fee"] == 4 * 700
    assert (Climb.objects.count(), Step.objects.count(), Account.objects.count()) == before


def test_it_asks_as_often_of_many_accounts_as_of_one(house):
    def count() -> int:
        with CaptureQueriesContext(connection) as found:
            asked(changed())
        return len(found)

    owing()
    count()  # what a process keeps is read once
    one = count()
    for _ in range(3):
        owing()
    assert count() == one <= 16


def test_a_sample_is_taken_from_everywhere_and_said(house):
    for _ in range(24):
        owing()
    study = asked(changed(), most=20)
    assert 20 <= study.accounts < 24 and study.late == study.accounts


def test_by_command_with_a_list_and_what_is_wrong_is_said(house, tmp_path, capsys):
    maria = owing()
    pay(maria, 8000, at(17))
    (tmp_path / "ladder.toml").write_text(TEXT.replace(SOFT + "15", SOFT + "20"), encoding="utf-8")
    words = ["ladder", "what-if", "--ladder", str(tmp_path / "ladder.toml")]
    assert run([*words, "--list", str(tmp_path / "moved.csv")]) == 0
    said = capsys.readouterr().out
    assert "Outgoing calls, texts and data stopp" in said and "Nobody pays sooner, later or less than they did" in said
    rows = (tmp_path / "moved.csv").read_text(encoding="utf-8").splitlines()
    assert rows[1:] == [f"{maria.reference},less far,soft,2026-10-20,final,2026-10-15,-1,0,-2"]
    assert run([*words, "--later-percent", "100", "--later-days", "10"]) == 0
    assert "accounts that are assumed to pay later: 1, with $80.00" in capsys.readouterr().out
    with pytest.raises(Stop, match="from 0 to 90 days"):
        run([*words, "--later-percent", "100", "--later-days", "100"])
    (tmp_path / "ladder.toml").write_text(TEXT.replace(SOFT + "15", SOFT + "9"), encoding="utf-8")
    with pytest.raises(RulebookFault, match=r"ladder.toml: line \d+, \[rung\] days: soft has to come later than final"):
        run(words)
    with pytest.raises(Stop, match="There is no file"):
        run(["ladder", "what-if", "--ladder", str(tmp_path / "none.toml")])
    with pytest.raises(RulebookFault, match="there is no such folder"):
        run(["ladder", "what-if", "--rulebook", str(tmp_path / "none")])

