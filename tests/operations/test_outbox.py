"""What must be told: sent after the commit, repeated after a crash, never lost, and dropped when its time has passed."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from careline.carriers import messenger
from careline.domain.journal import operations as journal
from careline.domain.journal.models import Line, Outbox
from careline.domain.journal.queries import timeline
from careline.domain.journal.rules import account_chain
from careline.doors.jobs.worker import send_due
from tests.people import TUESDAY, carrier_act, open_account

MARIA = "+12065550188"


class Carrier:
    """A messenger that keeps what it was handed, and is down while `down` is set."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.down: Exception | None = None

    def send(self, *, key: str, channel: str, to: str, body: str, topic: str) -> None:
        if self.down:
            raise self.down
        self.sent.append((key, body))


@pytest.fixture
def carrier() -> Carrier:
    return Carrier()


def queue(body: str = "Your code is 481516", **more: object) -> Outbox:
    journal.tell(act=carrier_act(), topic="one_time_code", channel="sms", to=MARIA, body=body, **{"account_id": None, **more})
    return Outbox.objects.latest("pk")


def at(**delta: float):
    return TUESDAY + timedelta(**delta)


def test_a_message_leaves_once_and_is_wiped(house, carrier):
    message = queue()
    assert send_due(at=at(seconds=1), through=carrier) == 1
    assert carrier.sent == [(f"outbox:{message.pk}", "Your code is 481516")]
    message.refresh_from_db()
    assert (message.state, message.body, message.to) == ("sent", "", "0188")
    assert send_due(at=at(hours=1), through=carrier) == 0


def test_an_expired_code_is_dropped(house, carrier):
    message = queue(expires_at=at(minutes=10))
    assert send_due(at=at(minutes=10), through=carrier) == 0
    message.refresh_from_db()
    assert (message.state, message.body, carrier.sent) == ("expired", "", [])


def test_a_message_waits_for_its_time(house, carrier):
    queue(not_before=at(minutes=5))
    assert send_due(at=at(minutes=4), through=carrier) == 0
    assert send_due(at=at(minutes=5), through=carrier) == 1


def test_a_crash_before_the_sending_loses_nothing(house, carrier):
    queue()
    assert len(journal.take_due(at=at(seconds=1))) == 1  # leased; then the worker died
    assert send_due(at=at(seconds=2), through=carrier) == 0, "the lease holds: a second worker leaves it alone"
    assert send_due(at=at(seconds=62), through=carrier) == 1


def test_a_crash_between_sending_and_marking_repeats_under_the_same_key(house, settings, tmp_path):
    settings.HOME = tmp_path
    message = queue()
    (leased,) = journal.take_due(at=at(seconds=1))
    key = f"outbox:{message.pk}"
    messenger().send(key=key, channel="sms", to=leased.to, body=leased.body, topic=leased.topic)
    # The worker died here. The next one repeats it, and a provider that knows the key makes it one message.
    assert send_due(at=at(seconds=62)) == 1
    assert [row["key"] for row in messenger().sent()] == [key]


def test_a_carrier_that_is_down_is_tried_again_later_and_later(house, carrier, caplog):
    message = queue()
    carrier.down = OSError(f"could not send 'Your code is 481516' to {MARIA}")
    waits, now = [], at(seconds=1)
    with caplog.at_level(logging.ERROR):
        for _ in range(8):
            assert send_due(at=now, through=carrier) == 0
            message.refresh_from_db()
            waits.append((message.not_before - now).total_seconds())
            now = message.not_before
    assert waits == sorted(waits) and waits[0] == 30 and waits[-1] == 3600
    assert "481516" not in caplog.text and MARIA not in caplog.text
    carrier.down = None
    assert send_due(at=now, through=carrier) == 0
    message.refresh_from_db()
    assert (message.state, message.body, message.to) == ("failed", "", "0188")
    assert "try 8; it is given up" in caplog.text
    line = Line.objects.get(code="messages.give_up")
    assert (line.chain.name, line.outcome, line.content["say"]) == ("house", "refused", "Never sent, one time code by sms: given up after 8 tries")
    assert line.content["data"] == {"message": str(message.pk), "about": message.about}
    assert "481516" not in line.text and MARIA not in line.text


def test_whoever_serves_the_customer_next_sees_what_never_came(house, carrier):
    maria = open_account()
    carrier.down = OSError("down")
    queue("Pay here", account_id=maria.pk, expires_at=at(minutes=10))
    queue("Your receipt", account_id=maria.pk)
    for minutes in (0.1, 1, 3, 11):
        send_due(at=at(minutes=minutes), through=carrier)
    shown = [(line.outcome, line.say) for line in timeline(account_chain(maria.pk), limit=9)]
    assert shown == [("refused", "Never sent, one time code by sms: given up after 3 tries, its time is over")], "the other is still tried"


def test_it_arrives_once_the_carrier_is_back(house, carrier):
    queue()
    carrier.down = OSError("down")
    send_due(at=at(seconds=1), through=carrier)
    carrier.down = None
    assert send_due(at=at(seconds=40), through=carrier) == 1


def test_one_bad_message_does_not_stop_the_ones_behind_it(house, carrier):
    bad, good = queue("bad"), queue("good")

    class Picky(Carrier):
        def send(self, **message: str) -> None:
            if message["body"] == "bad":
                raise RuntimeError("no such channel")
            super().send(**message)

    picky = Picky()
    assert send_due(at=at(seconds=1), through=picky) == 1
    assert picky.sent == [(f"outbox:{good.pk}", "good")]
    bad.refresh_from_db()
    assert bad.state == "queued"


def test_an_empty_outbox_costs_no_write(house, carrier, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert send_due(at=TUESDAY, through=carrier) == 0
