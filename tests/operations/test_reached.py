"""What is written to customers goes where it arrives: another line, an e-mail, a letter; where nothing does, that is said."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.conf import settings

from careline.acts.perform import perform
from careline.carriers.sandbox import SandboxMessenger
from careline.domain.collections.models import Climb
from careline.domain.customers.models import Account, Consent, Customer, Line
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.models import Outbox
from careline.domain.ledger.models import Payment
from careline.doors.jobs import night, worker
from careline.doors.jobs.promises import remind_day, settle_day
from careline.foundation.act import Who
from tests.operations.test_arrangements import FRIDAY, HALVES
from tests.people import Desk, issue_bill, key, open_account, pay

GATEWAY = Who("Service", "9", "Gateway", "service")


@pytest.fixture
def maria(house) -> Account:
    """She owes $142.00 since November 16, and has one line."""
    account = open_account(bills=0)
    Customer.objects.filter(pk=account.customer_id).update(language="en", email="")
    Account.objects.filter(pk=account.pk).update(opened_on=date(2025, 3, 1))
    issue_bill(account, account.lines.get(), date(2026, 10, 28), 14200)
    return account


@pytest.fixture
def ana(house, maria) -> Desk:
    return Desk(house["ana"], FRIDAY).take_call(maria)


def suspend(account: Account) -> None:
    account.lines.update(status="suspended", suspended_for="non_payment", status_reason="not paid", bar="all")


def mail(account: Account) -> None:
    Customer.objects.filter(pk=account.customer_id).update(email="maria@example.com")


def told(topic: str) -> list[tuple[str, str]]:
    return [(m.channel, m.to) for m in Outbox.objects.filter(topic=topic).order_by("pk")]


def take(ana: Desk, maria: Account, amount: int = 1000):
    return ana.must("payments.take", account=maria.pk, amount=amount, method=maria.payment_methods.get().pk)


def before_dawn(day: str) -> datetime:
    """Three in the morning in New York."""
    return datetime.fromisoformat(day).replace(hour=8, tzinfo=UTC)


def test_a_receipt_goes_to_the_line_to_another_to_her_mail_or_it_is_said_that_none_was_sent(ana, maria):
    number = maria.lines.get().msisdn
    take(ana, maria)
    suspend(maria)
    other = Line.objects.create(account=maria, msisdn="+12065550199", plan=maria.lines.get().plan, number_since=FRIDAY, activated_on=FRIDAY.date())
    take(ana, maria)
    other.status = "cancelled"
    other.save()
    no = take(ana, maria)
    assert "no receipt was sent: nothing in writing reaches them now" in no.say, "whoever speaks with her says it"
    mail(maria)
    yes = take(ana, maria)
    assert "no receipt" not in yes.say and told("receipt") == [("sms", number), ("sms", "+12065550199"), ("email", "maria@example.com")]
    assert Outbox.objects.filter(topic="receipt").latest("pk").subject == f"{settings.CARRIER_NAME}: {Payment.objects.latest('pk').number}"


def test_who_said_stop_to_receipts_by_text_gets_them_by_mail(ana, maria):
    mail(maria)
    Consent.objects.create(account=maria, topic="receipt", channel="sms", granted=False, at=FRIDAY - timedelta(days=1), source="reply")
    take(ana, maria)
    Consent.objects.create(account=maria, topic="all", channel="email", granted=False, at=FRIDAY - timedelta(days=1), source="reply")
    assert "no receipt was sent" in take(ana, maria).say
    assert told("receipt") == [("email", "maria@example.com")]


def test_a_payment_link_goes_by_mail_to_a_suspended_customer_and_the_receipt_after_it(ana, maria):
    suspend(maria)
    no = ana.act("payments.send_link", account=maria.pk, amount=5000, line=maria.lines.get().pk)
    assert no.refusal.fields == {"line": "This line is suspended and gets no texts now. Send the link by e-mail, or to another line."}
    no = ana.act("payments.send_link", account=maria.pk, amount=5000)
    assert no.refusal.rule == "no-email"
    mail(maria)
    sent = ana.must("payments.send_link", account=maria.pk, amount=5000)
    assert sent.say.endswith("for $50.00 sent by e-mail") and told("payment_link") == [("email", "maria@example.com")]
    perform("payments.link_paid", {"link": sent.show["link"], "provider_reference": "p-1", "method": "Visa …1111"}, who=GATEWAY, key=key(), at=FRIDAY + timedelta(minutes=5))
    assert told("receipt") == [("email", "maria@example.com")] and Payment.objects.get().amount_minor == 5000


def test_a_payment_that_came_back_is_told_by_letter_where_nothing_else_arrives(ana, maria):
    paid = take(ana, maria)
    suspend(maria)
    reference = Payment.objects.get(number=paid.show["payment"]).provider_reference
    done = perform("payments.returned", {"provider_reference": reference, "reason": "R01"}, who=GATEWAY, key=key(), at=FRIDAY + timedelta(days=2))
    assert done.say.endswith("; told by letter") and told("payment_returned") == [("letter", maria.reference)]


def test_the_day_before_a_part_is_told_by_mail_with_the_way_out_or_said_once_where_nothing_arrives(ana, maria):
    ana.must("arrangements.agree", account=maria.pk, parts=HALVES)
    take(ana, maria, 7100)
    suspend(maria)
    assert [remind_day(before_dawn("2026-12-10")), remind_day(before_dawn("2026-12-10") + timedelta(hours=2))] == [0, 0]
    (line,) = JournalLine.objects.filter(chain__name=f"account:{maria.pk}", code="arrangements.settle", outcome="refused")
    assert "nobody is reminded of the part that is due tomorrow: nothing in writing reaches them now" in line.content["say"]
    assert told("arrangement_soon") == [("none", "")] and Outbox.objects.get(topic="arrangement_soon").state == "expired"
    Outbox.objects.filter(topic="arrangement_soon").delete()
    mail(maria)
    assert remind_day(before_dawn("2026-12-10") + timedelta(hours=3)) == 1
    (message,) = Outbox.objects.filter(topic="arrangement_soon")
    assert message.channel == "email" and message.subject and "$71.00 is due tomorrow, Dec 11" in message.body and message.body.endswith("Reply STOP to end these messages.")


def test_that_it_broke_is_told_by_letter_where_nothing_else_arrives(ana, maria):
    ana.must("arrangements.agree", account=maria.pk, parts=HALVES)
    take(ana, maria, 7100)
    suspend(maria)
    assert settle_day(before_dawn("2026-12-12")).broken == 1
    (message,) = Outbox.objects.filter(topic="arrangement_broken")
    assert (message.channel, message.to) == ("letter", maria.reference) and "STOP" not in message.body
    worker.send_due(at=datetime(2026, 12, 12, 20, tzinfo=UTC))
    assert [m["channel"] for m in SandboxMessenger().sent() if m["topic"] == "arrangement_broken"] == ["letter"]


def test_a_line_that_takes_no_texts_and_is_back_is_told_by_mail_and_within_a_minute_of_the_money(house, maria):
    maria.lines.update(can_text=False)
    mail(maria)
    for days in (3, 10, 15, 30):
        night.run_night(datetime(2026, 11, 17, 20, tzinfo=UTC) + timedelta(days=days))
        worker.send_due(at=datetime(2026, 11, 17, 21, tzinfo=UTC) + timedelta(days=days))
    assert maria.lines.get().bar == "all" and {m["channel"] for m in SandboxMessenger().sent()} == {"email"}
    paid_at = datetime(2026, 12, 18, 18, tzinfo=UTC)
    pay(maria, 14200, paid_at)
    night.relieve(at=paid_at + timedelta(seconds=worker.RELIEVE_EVERY))
    assert maria.lines.get().status == "active" and Climb.objects.get().ended_for == "paid"
    assert told("line_restored") == [("email", "maria@example.com")]


def test_autopay_is_put_in_writing_by_mail_where_no_text_arrives_and_is_refused_where_nothing_does(ana, maria):
    suspend(maria)
    no = ana.act("payments.switch_autopay", account=maria.pk, on=True, words="She asked for it")
    assert no.refusal.rule == "autopay-in-writing" and told("autopay") == []
    mail(maria)
    assert ana.must("payments.switch_autopay", account=maria.pk, on=True, words="She asked for it").say == "Autopay on, with Visa …4242"
    Customer.objects.update(email="")
    assert ana.must("payments.switch_autopay", account=maria.pk, on=False, words="No more").say.startswith("Autopay off; nothing in writing reaches them")
    assert told("autopay") == [("email", "maria@example.com")]


def test_stop_answers_a_mail_too_once_and_only_there(house, maria):
    mail(maria)
    maria.lines.update(can_text=False)
    twin = open_account("Maria Okafor", "+12065550177", "A-0104823", bills=0)
    Customer.objects.filter(pk=twin.customer_id).update(language="en", email="Maria@Example.com")
    night.run_night(datetime(2026, 11, 20, 20, tzinfo=UTC))
    worker.send_due(at=datetime(2026, 11, 20, 21, tzinfo=UTC))
    assert [m["channel"] for m in SandboxMessenger().sent() if m["topic"] == "collections"] == ["email"]

    def reply(text: str, minutes: int, **given: str):
        return perform("contacts.reply", {"text": text, **(given or {"email": "maria@example.com"})}, who=GATEWAY, key=key(), at=datetime(2026, 11, 20, 22, tzinfo=UTC) + timedelta(minutes=minutes))

    assert reply("When does the store open?\n> Reply STOP to end these messages.", 0).say == "A reply to an e-mail, neither STOP nor START"
    done = reply("\nSTOP\n\n> On Nov 20 you wrote:\n> $142.00 was due", 1)
    assert done.say == "STOP by reply: no more e-mails about collections, all", "of the twin nothing is known that it answers, so all of it"
    assert reply("Stop!", 2).say == "STOP by reply, once more: it stands already"
    worker.send_due(at=datetime(2026, 11, 20, 22, 3, tzinfo=UTC))
    assert [m["channel"] for m in SandboxMessenger().sent() if m["topic"] == "stop_confirmation"] == ["email"]
    assert set(Consent.objects.filter(granted=False).values_list("account", "topic", "channel")) == {(maria.pk, "collections", "email"), (twin.pk, "all", "email")}
    assert JournalLine.objects.filter(code="contacts.reply", chain__name=f"account:{twin.pk}").count() == 1
    night.run_night(datetime(2026, 11, 27, 20, tzinfo=UTC))
    assert told("collections")[-1][0] == "letter"
    reply("START", 24 * 60)
    assert Consent.objects.filter(account=maria).latest("pk").granted is not False
    assert Consent.objects.filter(account=twin).latest("pk").granted is not False
    assert '"say":"START by reply: e-mails again"' in JournalLine.objects.filter(code="contacts.reply", chain__name=f"account:{twin.pk}").latest("pk").text
    assert reply("STOP", 25 * 60, email="nobody@example.com").refusal.code == "NOT_FOUND"
    for wrong in ({"email": "", "number": ""}, {"email": "maria@example.com", "number": "+12065550188"}):
        assert reply("STOP", 25 * 60, **wrong).refusal.code == "INVALID"
