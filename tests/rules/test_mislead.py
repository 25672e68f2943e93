"""Which answers a walk proves wrong: by what was observed, not by what hid it, nor across a change."""

from __future__ import annotations

from pathlib import Path

import pytest

from careline.domain.diagnosis.rules.belief import CANNOT_TELL, Reading, Tried
from careline.domain.diagnosis.rules.guide import load_all
from careline.domain.diagnosis.rules.mislead import misled
from careline.domain.diagnosis.rules.walk import Walk
from careline.foundation.rulebook import read_folder

pytestmark = pytest.mark.once

GUIDES = load_all(read_folder(Path(__file__).resolve().parents[2] / "rulebook" / "benchmark"))
FINE = (Reading("line_status", "active"), Reading("contract_ended", "no"), Reading("overdue_bill", "no"))
PLANE, SIM, APN = "check_network_status.airplane_mode", "check_sim_status", "check_apn_settings.apn"
NO, YES = Reading("check_status_bar", "no_signal"), Reading("check_status_bar", "signal")

WALKS = {
    "the SIM was said to be in, and read again it is missing": (
        (NO, Reading(SIM, "active"), Reading(SIM, "missing", 1), Tried("reseat_sim_card", "done"), YES), (SIM,),
    ),
    "asked again and said again": ((NO, Reading(SIM, "active"), Reading(SIM, "active", 1), Reading(APN, "incorrect")), ()),
    "they cannot tell, then they can": ((NO, Reading(SIM, CANNOT_TELL), Reading(SIM, "missing", 1)), ()),
    "missing, put back, and active": ((NO, Reading(SIM, "missing"), Tried("reseat_sim_card", "done"), Reading(SIM, "active"), YES), ()),
    "a remedy for something else is no excuse": (
        (NO, Reading(SIM, "active"), Tried("toggle_airplane_mode", "done"), Reading(SIM, "missing", 1), Tried("reseat_sim_card", "done"), YES), (SIM,),
    ),
    "the APN was said to be right, and its reset alone brought the signal": (
        (NO, Reading(SIM, "active"), Reading(APN, "correct"), Reading(PLANE, "off"), Reading(APN, "correct", 1), NO,
         Tried("reset_apn_settings", "done"), Tried("reboot_device", "done"), YES, YES), (APN, APN),
    ),
    "two remedies before the test: nobody knows which it was": (
        (NO, Reading(SIM, "active"), Reading(APN, "correct"), Tried("reset_apn_settings", "done"), Tried("reseat_sim_card", "done"), Tried("reboot_device", "done"), YES), (),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WALKS)
def test_only_what_was_observed_proves_an_answer_wrong(case: str):
    events, wrong = WALKS[case]
    assert misled(Walk(GUIDES["no_service"], (*FINE, *events))) == wrong


def test_what_a_phone_hides_is_no_lie():
    """Voicemail and the like cannot be seen while something else is in the way: cleared first, it says something else."""
    guides = load_all(read_folder(Path(__file__).resolve().parents[2] / "rulebook" / "default"))
    guide, check, cause, remedy = next(
        (g, c, x, r) for g in guides.values() for c in g.checks if c.kind == "ask" for x in c.hidden_by for r in g.remedies_for(x)
    )
    shown = (Reading(check.id, check.outcomes[-1].id), Tried(remedy.id, "done"), Reading(check.id, check.outcomes[0].id, 1))
    assert cause in remedy.removes and misled(Walk(guide, shown)) == ()
    assert misled(Walk(guide, (shown[0], shown[2]))) == (check.id,)
