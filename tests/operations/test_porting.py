"""A number goes to another carrier for whoever has the transfer PIN, owing or not, and for nobody else; its holder hears of every try."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from careline.acts.perform import perform
from careline.carriers.sandbox import SandboxMessenger, SandboxNetwork
from careline.domain.activations import queries
from careline.domain.activations.models import Order, TransferPin
from careline.domain.customers.models import Account, Customer, Line
from careline.domain.journal import queries as journal
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.models import Outbox, RequestKey
from careline.domain.ledger import queries as ledger
from careline.foundation.act import Who
from tests.operations.test_sims import MAIL, line, notices
from tests.people import TUESDAY, Desk, issue_bill, key, open_account

GATEWAY = Who("Service", "9", "Port gateway", "service")


@pytest.fixture
def maria(house):
    account = open_account()
    Account.objects.update(postal_code="98101-2044")
    Customer.objects.update(email=MAIL)
    return account


@pytest.fixture
def ana(verified, maria):
    return verified.prove_phone(maria)


def make(desk: Desk, account: Account) -> str:
    """The transfer PIN as its holder gets it."""
    done = desk.must("lines.make_transfer_pin", account=account.pk, line=line(account).pk)
    if "pin" in done.show:
        return str(done.show["pin"])
    body = Outbox.objects.filter(topic="transfer_pin").latest("pk").body
    return next(word for word in body.split() if word.isdigit() and len(word) == 6)


def ask(account: Account, pin: str, at=TUESDAY, **given: object):
    usual = {"number": "+12065550188", "account_reference": account.reference, "postal_code": "98101", "pin": pin, "to": "Cedar Mobile"}
    return perform("lines.port_out", usual | given, who=GATEWAY, key=key(), at=at)


def test_the_pin_goes_by_text_to_its_number_lives_a_week_and_is_nowhere_in_clear(ana, maria):
    pin = make(ana, maria)
    row = TransferPin.objects.get()
    assert row.expires_at == TUESDAY + timedelta(days=7) and pin not in row.hash and len(pin) == 6
    text = Outbox.objects.get(topic="transfer_pin")
    assert text.to == "+12065550188" and "1 de diciembre" in text.body
    assert ("email", MAIL) in notices() and not any(pin in m.body for m in Outbox.objects.filter(topic="security_notice"))
    kept = JournalLine.objects.get(code="lines.make_transfer_pin").text + "".join(str(k.outcome) for k in RequestKey.objects.all())
    assert pin not in kept


def test_where_no_text_gets_there_it_is_read_out_once(ana, maria):
    Line.objects.update(can_text=False)
    done = ana.must("lines.make_transfer_pin", key_="the-very-same", account=maria.pk, line=line(maria).pk)
    assert len(done.show["pin"]) == 6 and not Outbox.objects.filter(topic="transfer_pin").exists()
    again = ana.act("lines.make_transfer_pin", key_="the-very-same", account=maria.pk, line=line(maria).pk)
    assert again.ok and "pin" not in again.show and TransferPin.objects.count() == 1


def test_it_is_made_for_a_strong_holder_of_an_account_that_is_not_locked_and_did_not_change_today(verified, maria):
    def rule() -> str:
        return verified.act("lines.make_transfer_pin", account=maria.pk, line=line(maria).pk).refusal.rule

    assert rule() == "care-strong"
    verified.prove_phone(maria)
    verified.must("customers.lock", account=maria.pk, what="port")
    assert rule() == "transfer-locked"
    verified.must("customers.unlock", account=maria.pk, what="port")
    verified.must("customers.change_contact", account=maria.pk, email="new@post.example")
    assert rule() == "takeover-fresh" and not TransferPin.objects.exists()


def test_the_number_goes_whatever_is_owed_and_its_holder_hears_of_it_before(ana, maria, monkeypatch):
    issue_bill(maria, line(maria), issued=date(2026, 9, 1), amount=30000)
    owed = ledger.balance(maria.pk)
    pin = make(ana, maria)
    heard: list[set[str]] = []
    real = SandboxNetwork.order
    monkeypatch.setattr(SandboxNetwork, "order", lambda *a, **k: heard.append({m["to"] for m in SandboxMessenger().sent(2)}) or real(*a, **k))
    done = ask(maria, f"{pin[:3]} {pin[3:]}", account_reference=maria.reference.lower(), postal_code="98101-2044")
    assert done.ok and heard == [{"+12065550188", MAIL}]
    row = Line.objects.get(account=maria)
    assert (row.status, row.status_reason) == ("cancelled", "moved to another carrier") and Order.objects.get().to == "Cedar Mobile"
    assert ledger.balance(maria.pk) == owed, "the debt stays"
    assert "Cedar Mobile" in Outbox.objects.filter(topic="security_notice").latest("pk").body
    assert journal.timeline(f"account:{maria.pk}")[0].code == "lines.port_out" and not list(journal.verify())
    assert ask(maria, pin).refusal.rule == "port-not-ours", "it is with another carrier now"


@pytest.mark.parametrize(
    ("given", "rule"),
    [({"account_reference": "A-0000000"}, "port-account"), ({"postal_code": "98102"}, "port-postal-code"), ({"postal_code": ""}, "port-postal-code"),
     ({"number": "+12065550123"}, "port-not-ours")],
)  # fmt: skip
def test_what_does_not_fit_is_answered_with_its_reason_and_costs_no_try(ana, maria, given, rule):
    pin = make(ana, maria)
    no = ask(maria, pin, **given)
    assert no.refusal.rule == rule and no.say and not Order.objects.exists()
    assert TransferPin.objects.get().tries == 0 and ask(maria, pin).ok


def test_three_wrong_pins_void_it_and_the_holder_hears_of_the_try_on_the_accounts_own_journal(ana, maria):
    pin = make(ana, maria)
    mark = len(notices())
    wrong = "000000" if pin != "000000" else "111111"
    assert [ask(maria, wrong).refusal.rule for _ in range(3)] == ["port-pin"] * 3
    assert "void" in JournalLine.objects.filter(code="lines.port_out").latest("pk").text
    assert ask(maria, pin).refusal.rule == "port-no-pin", "the right one comes too late"
    assert notices()[mark:] == [("sms", "+12065550188"), ("email", MAIL)], "once an hour"
    assert [n.code for n in journal.timeline(f"account:{maria.pk}")].count("lines.port_out") == 4


def test_a_pin_is_replaced_by_the_next_expires_and_goes_with_the_lock(ana, maria):
    first, second = make(ana, maria), make(ana, maria)
    assert first == second or ask(maria, first).refusal.rule == "port-pin"
    assert ask(maria, second, at=TUESDAY + timedelta(days=7)).refusal.rule == "port-no-pin"
    ana.must("customers.lock", account=maria.pk, what="both")
    assert ask(maria, second).refusal.rule == "port-locked"
    ana.must("customers.unlock", account=maria.pk, what="port")
    assert ask(maria, second).refusal.rule == "port-no-pin", "what was given out before the lock opens nothing after it"
    assert not queries.transfer_pins(maria.pk, TUESDAY)


def test_a_locked_number_is_refused_on_the_accounts_journal_and_its_holder_is_told(ana, maria):
    pin = make(ana, maria)
    ana.must("customers.lock", account=maria.pk, what="port")
    mark = len(notices())
    no = ask(maria, pin)
    assert no.refusal.rule == "port-locked" and "52.37" in no.refusal.cite and Line.objects.get(account=maria).status == "active"
    line_ = journal.timeline(f"account:{maria.pk}")[0]
    assert (line_.code, line_.outcome) == ("lines.port_out", "refused") and len(notices()) == mark + 2


def test_a_network_that_does_not_answer_keeps_the_number_here_until_it_does(ana, maria):
    pin = make(ana, maria)
    SandboxNetwork().script("+12065550188", "silent", "port_out")
    assert ask(maria, pin).status == "pending" and Line.objects.get(account=maria).status == "active"
    assert ask(maria, pin).refusal.rule == "order-in-flight"


def test_nobody_at_the_desk_answers_for_another_carrier(house, ana, maria):
    for who in (house["ana"].who, house["sam"].who, Who("Agent", "3", "Agent", "agent")):
        no = perform("lines.port_out", {"number": "+12065550188", "account_reference": "x", "pin": "1", "to": "me"}, who=who, key=key(), at=TUESDAY)
        assert no.refusal.rule == "not-your-role"
