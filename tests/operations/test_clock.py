"""A clock that steps forward and back: nothing lives longer by it, nothing is done twice, and the journal keeps the order in which things were done."""

from __future__ import annotations

from datetime import timedelta

import pytest

from careline.domain.contacts.models import Contact
from careline.domain.contacts.rules import lives
from careline.domain.journal import queries as journal
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.models import Outbox
from tests.people import TUESDAY, Desk

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def test_what_was_proven_while_the_clock_was_a_day_ahead_does_not_last_that_day(house, maria):
    ana = Desk(house["ana"], TUESDAY + DAY).take_call(maria)
    ana.at = TUESDAY
    assert ana.act("contacts.note", account=maria.pk, text="Hello").refusal.rule == "needs-verified"
    ana.must("contacts.check_pin", account=maria.pk, pin="4711")
    assert ana.act("contacts.note", account=maria.pk, text="Hello").ok, "and it is proven anew as ever"


def test_a_leap_forward_ends_what_was_proven_and_the_way_back_brings_it_only_within_its_time(house, maria):
    ana = Desk(house["ana"]).take_call(maria)
    ana.at = TUESDAY + DAY
    assert ana.act("contacts.note", account=maria.pk, text="Hello").refusal.rule == "needs-verified"
    ana.at = TUESDAY + timedelta(minutes=5)
    assert ana.act("contacts.note", account=maria.pk, text="Hello").ok


def test_a_code_that_was_sent_by_a_clock_ahead_lives_no_longer_than_its_minutes(house, maria):
    ana = Desk(house["ana"], TUESDAY + DAY).take_call(maria)
    ana.must("contacts.send_code", account=maria.pk, line=maria.lines.get().pk)
    code = Outbox.objects.get(topic="one_time_code").body.split()[0]
    ana.at = TUESDAY
    assert ana.act("contacts.check_code", account=maria.pk, code=code).refusal.rule == "code-failed"
    ana.prove_phone(maria)
    assert Contact.objects.get(pk=ana.contact).level >= 3


@pytest.mark.parametrize(("minutes", "counts"), [(-11, False), (-10, True), (0, True), (9, True), (10, False)])
def test_ten_minutes_are_ten_minutes_on_both_sides_of_a_step(minutes, counts):
    assert lives(TUESDAY, TUESDAY + timedelta(minutes=10), TUESDAY + timedelta(minutes=minutes)) is counts


def test_the_journal_keeps_the_order_of_deeds_whatever_the_clock_says_and_proves_itself(house, maria):
    ana = Desk(house["ana"]).take_call(maria)
    for step in (timedelta(minutes=9), timedelta(minutes=-4), timedelta(0), timedelta(minutes=20)):
        ana.at = TUESDAY + step
        ana.must("contacts.note", account=maria.pk, text=f"at {step}")
    lines = list(JournalLine.objects.filter(code="contacts.note").order_by("pk"))
    assert [n.seq for n in lines] == list(range(lines[0].seq, lines[0].seq + 4)), "one behind the other"
    assert lines[1].at < lines[0].at and not list(journal.verify())
