"""A clock that steps forward and back: nothing lives longer by it, nothing is done twice, and the journal keeps the order in which things were done."""

from __future__ import annotations

from datetime import timedelta

import pytest

from careline.domain.activations import queries as activations
from careline.domain.contacts.models import Contact
from careline.domain.journal import queries as journal
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.models import Outbox, RequestKey
from careline.domain.ledger import operations as ledger
from careline.domain.ledger.models import Paper
from careline.doors.jobs import worker
from careline.foundation.calendar import lives
from tests.people import TUESDAY, Desk, carrier_act

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


@pytest.mark.parametrize(("ahead", "counts"), [(timedelta(minutes=5), True), (timedelta(minutes=11), False), (3 * DAY, False)])
def test_a_transfer_pin_of_a_clock_that_ran_ahead_is_void_once_the_clock_is_right(house, maria, ahead, counts):
    """It would else live its seven days from a day to come, and those until then."""
    ana = Desk(house["ana"], TUESDAY + ahead).take_call(maria).prove_phone(maria)
    line = maria.lines.get()
    ana.must("lines.make_transfer_pin", account=maria.pk, line=line.pk)
    assert bool(activations.transfer_pin(line.pk, TUESDAY)) is counts
    assert len(activations.transfer_pins(maria.pk, TUESDAY)) == int(counts)


class Held:
    """A worker whose clock can be set."""

    def __init__(self, monkeypatch):
        self.patch, self.sent = monkeypatch, []

    def at(self, now) -> list[str]:
        self.patch.setattr(worker.timezone, "now", lambda: now)
        worker.pull_in()
        worker.send_due(at=now, through=self)
        return list(self.sent)

    def send(self, *, topic, **_):
        self.sent.append(topic)


def test_a_message_that_was_queued_by_a_clock_ahead_goes_when_the_clock_is_right(house, maria, monkeypatch):
    ana = Desk(house["ana"], TUESDAY + HOUR).take_call(maria)
    ana.must("payments.send_link", account=maria.pk, amount=500, line=maria.lines.get().pk)
    held = Held(monkeypatch)
    assert held.at(TUESDAY) == ["payment_link"]


def test_a_message_that_failed_under_a_clock_ahead_is_tried_again_within_the_hour_that_the_longest_pause_is(house, maria, monkeypatch):
    Desk(house["ana"]).take_call(maria).must("payments.send_link", account=maria.pk, amount=500, line=maria.lines.get().pk)
    Outbox.objects.update(tries=3, not_before=TUESDAY + DAY)
    assert Held(monkeypatch).at(TUESDAY + HOUR) == ["payment_link"]


def test_what_waits_for_a_reason_waits(house, maria, monkeypatch):
    """A pause between two tries, a message that the contact rules put off, and a second that two machines differ by."""
    ana = Desk(house["ana"]).take_call(maria)
    ana.must("payments.send_link", account=maria.pk, amount=500, line=maria.lines.get().pk)
    for more in ({"tries": 2, "not_before": TUESDAY + HOUR}, {"why": "Between 08:00 and 21:00", "not_before": TUESDAY + DAY},
                 {"tries": 0, "at": TUESDAY + timedelta(minutes=1), "not_before": TUESDAY + timedelta(minutes=1)}):  # fmt: skip
        Outbox.objects.update(**{"why": "", "tries": 0, "at": TUESDAY, **more})
        assert Held(monkeypatch).at(TUESDAY) == []


def test_a_paper_and_a_payment_without_an_answer_do_not_wait_for_the_clock_either(house, maria, monkeypatch):
    bill = maria.bills.last()
    paper = ledger.order_bill(act=carrier_act(TUESDAY + DAY), account_id=maria.pk, bill_id=bill.pk)
    assert ledger.take_paper(at=TUESDAY) is None
    Held(monkeypatch).at(TUESDAY)
    assert ledger.take_paper(at=TUESDAY) == paper and not Paper.objects.filter(not_before__gt=TUESDAY + HOUR).exists()
    RequestKey.objects.create(principal=house["ana"].who.key, key="a-key-of-tomorrow", digest="x", code="payments.take", outcome="{}", state="pending",
                              work="{}", at=TUESDAY + DAY)  # fmt: skip
    assert [left.key for left in journal.pending_since(TUESDAY - timedelta(minutes=2))] == ["a-key-of-tomorrow"]
    RequestKey.objects.filter(key="a-key-of-tomorrow").update(at=TUESDAY)
    assert not journal.pending_since(TUESDAY - timedelta(minutes=2)), "and of now nothing is asked before its time"


def test_the_journal_keeps_the_order_of_deeds_whatever_the_clock_says_and_proves_itself(house, maria):
    ana = Desk(house["ana"]).take_call(maria)
    for step in (timedelta(minutes=9), timedelta(minutes=-4), timedelta(0), timedelta(minutes=20)):
        ana.at = TUESDAY + step
        ana.must("contacts.note", account=maria.pk, text=f"at {step}")
    lines = list(JournalLine.objects.filter(code="contacts.note").order_by("pk"))
    assert [n.seq for n in lines] == list(range(lines[0].seq, lines[0].seq + 4)), "one behind the other"
    assert lines[1].at < lines[0].at and not list(journal.verify())
