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
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs.reconcile import reconcile
from careline.foundation.act import Who
from careline.foundation.rulebook import Rulebook, RulebookFault
from tests.operations.test_sims import MAIL, line, notices
from tests.people import TUESDAY, Desk, default_rulebook, hire, issue_bill, key, open_account

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


# ---------------------------------------------------------------- the holder says no


@pytest.fixture
def half_an_hour(monkeypatch):
    """The carrier's rulebook, by which a number waits half an hour for its holder to say no."""
    files = default_rulebook().files
    book = Rulebook({**files, "care.toml": files["care.toml"].replace("object_minutes = 0", "object_minutes = 30")})
    book.check()
    monkeypatch.setattr(rulebooks, "current", lambda: book)
    return hire("ports", "Port gateway", "service").who


def reply(text: str, at=TUESDAY):
    return perform("contacts.reply", {"number": "+12065550188", "text": text}, who=GATEWAY, key=key(), at=at)


def asks_again(gateway: Who, account: Account, pin: str, at):
    """The other carrier's gateway, which sends its request again under the key that it had."""
    usual = {"number": "+12065550188", "account_reference": account.reference, "postal_code": "98101", "pin": pin, "to": "Cedar Mobile"}
    return perform("lines.port_out", usual, who=gateway, key="port-request-1", at=at)


def test_as_it_comes_nothing_waits_for_the_law_asks_for_no_delay():
    assert default_rulebook().care["port_out"]["object_minutes"] == 0


def test_a_number_waits_so_long_for_its_holder_and_goes_then(ana, maria, half_an_hour):
    pin = make(ana, maria)
    mark = len(notices())
    waits = asks_again(half_an_hour, maria, pin, TUESDAY)
    assert waits.status == "pending" and "waits until 7:30 am" in waits.say, "in the customer's own zone"
    assert notices()[mark:] == [("sms", "+12065550188"), ("email", MAIL)]
    assert "a las 07:30" in Outbox.objects.filter(topic="security_notice", channel="sms").latest("pk").body
    for minutes in (3, 29):
        assert reconcile(at=TUESDAY + timedelta(minutes=minutes)) == 0 and line(maria).status == "active"
    assert asks_again(half_an_hour, maria, pin, TUESDAY + timedelta(minutes=29)).status == "pending"
    assert reconcile(at=TUESDAY + timedelta(minutes=30)) == 1
    assert (line(maria).status_reason, Order.objects.get().state) == ("moved to another carrier", "done")
    assert asks_again(half_an_hour, maria, pin, TUESDAY + timedelta(minutes=31)).status == "done" and not list(journal.verify())


@pytest.mark.parametrize("text", ["NO", "no.", " No! ", "alto"])
def test_its_holder_says_no_by_a_text_and_it_stays_and_is_locked(ana, maria, half_an_hour, text):
    pin = make(ana, maria)
    asks_again(half_an_hour, maria, pin, TUESDAY)
    mark = len(notices())
    done = reply(text, TUESDAY + timedelta(minutes=5))
    assert done.ok and "does not go to Cedar Mobile" in done.say
    assert Account.objects.get(pk=maria.pk).port_lock and queries.transfer_pin(line(maria).pk, TUESDAY) is None
    assert notices()[mark:] == [("sms", "+12065550188"), ("email", MAIL)] and "se queda con nosotros" in Outbox.objects.filter(topic="security_notice", channel="sms").latest("pk").body
    assert reconcile(at=TUESDAY + timedelta(minutes=6)) == 1, "the other carrier need not wait for the half hour"
    no = asks_again(half_an_hour, maria, pin, TUESDAY + timedelta(minutes=7))
    assert (no.status, no.refusal.rule) == ("refused", "port-objected") and line(maria).status == "active" and SandboxNetwork().ask(key=Order.objects.get().key).done is False
    assert ask(maria, pin, TUESDAY + timedelta(minutes=8)).refusal.rule == "port-locked"


def test_in_a_contact_the_lock_is_the_no_and_meanwhile_nothing_else_is_done_on_the_line(ana, maria, half_an_hour):
    pin = make(ana, maria)
    asks_again(half_an_hour, maria, pin, TUESDAY)
    busy = ana.act("lines.reset_registration", account=maria.pk, line=line(maria).pk)
    assert busy.refusal.rule == "port-waits" and [w.act for w in busy.refusal.way_on] == ["customers.lock"]
    assert [s.code for s in queries.signals(queries.leaving(maria.pk))] == ["number_leaving"]
    ana.must("customers.lock", account=maria.pk, what="sim")
    assert queries.leaving(maria.pk), "that lock is another one"
    assert "does not go to Cedar Mobile" in ana.must("customers.lock", account=maria.pk, what="port").say
    assert not queries.leaving(maria.pk) and reconcile(at=TUESDAY + timedelta(minutes=31)) == 1
    ana.must("lines.reset_registration", account=maria.pk, line=line(maria).pk)


def test_who_says_no_too_late_stops_nothing_and_a_no_to_nothing_is_only_written_down(ana, maria, half_an_hour):
    assert "neither STOP nor START" in reply("NO").say
    pin = make(ana, maria)
    asks_again(half_an_hour, maria, pin, TUESDAY)
    SandboxNetwork().script("+12065550188", "lost")  # the network does it, and its answer is lost
    assert reconcile(at=TUESDAY + timedelta(minutes=30)) == 0
    assert "neither STOP nor START" in reply("NO", TUESDAY + timedelta(minutes=31)).say and not Account.objects.get(pk=maria.pk).port_lock
    SandboxNetwork().script("+12065550188", "")
    assert reconcile(at=TUESDAY + timedelta(minutes=33)) == 1 and line(maria).status == "cancelled"


@pytest.mark.parametrize(("was", "now"), [("object_minutes = 0", "object_minutes = 121"), ("object_minutes = 0", "object_minutes = -1"),
                                          ("object_minutes = 0", "object_minutes = true"), ('["NO", "ALTO"]', "[]")])  # fmt: skip
def test_nobody_may_hold_a_number_longer_than_it_may_take(was, now):
    files = default_rulebook().files
    with pytest.raises(RulebookFault, match=r"care\.toml: port_out, object_"):
        Rulebook({**files, "care.toml": files["care.toml"].replace(was, now)}).check()
