"""What was begun is finished: a lost answer is asked for again, settled once, and the journal says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from careline.acts import table
from careline.acts.perform import perform
from careline.domain.contacts import queries as contacts
from careline.domain.journal import queries as journal
from careline.domain.journal.models import Line
from careline.domain.ledger import queries as ledger
from careline.domain.ledger.models import Payment, PaymentMethod
from careline.domain.rulebook import queries as rulebooks
from careline.domain.staff import queries as staff
from careline.doors.jobs.people import CLI
from careline.doors.jobs.reconcile import reconcile, who_is
from tests.people import TUESDAY, Desk, key, open_account

AFTER = TUESDAY + timedelta(minutes=3)


@pytest.fixture(autouse=True)
def sandbox(settings, tmp_path):
    settings.HOME = tmp_path


def lose_the_answer(monkeypatch, code):
    """The process dies between `do` and `settle`: the act's call never comes back."""

    def died(*_):
        raise KeyboardInterrupt

    monkeypatch.setitem(table.acts(), code, replace(table.act(code), call=died))


def with_method(account, word):
    PaymentMethod.objects.filter(account=account).update(token=f"tok-visa-{word}")
    return PaymentMethod.objects.get(account=account)


def test_a_payment_whose_answer_was_lost_is_settled_once(house, maria):
    method = with_method(maria, "slow")
    before, payments = ledger.balance(maria.pk), Payment.objects.count()
    ana = Desk(house["ana"]).take_call(maria)
    once = key()
    given = {"account": maria.pk, "amount": 2000, "method": method.pk}
    assert ana.act("payments.take", key_=once, **given).status == "pending"
    assert ledger.balance(maria.pk) == before

    assert reconcile(at=TUESDAY + timedelta(minutes=1)) == 0, "somebody may still be waiting for the answer"
    assert reconcile(at=AFTER) == 1
    assert reconcile(at=AFTER + timedelta(minutes=3)) == 0
    assert ledger.balance(maria.pk) == before - 2000
    assert Payment.objects.count() == payments + 1
    assert ana.act("payments.take", key_=once, **given).status == "done", "the same click finds what came of it"
    assert ledger.balance(maria.pk) == before - 2000
    line = Line.objects.filter(code="payments.take").latest("pk")
    assert (line.outcome, line.who) == ("done", house["ana"].who.key)
    assert not list(journal.verify())


@pytest.mark.parametrize("word", ["good", "declined"])
def test_a_settled_payment_stands_with_the_account_that_it_was_for(house, maria, word, monkeypatch):
    """The contact moves to another account between the charge and its answer."""
    joe = open_account("Joe Lind", "+12065550199", "A-0104823")
    ana = Desk(house["ana"]).take_call(maria)
    given = {"account": maria.pk, "amount": 2000, "method": with_method(maria, word).pk}
    charge = table.act("payments.take").call

    def charge_and_move(work, given):
        answer = charge(work, given)
        ana.must("contacts.identify", account=joe.pk, person=joe.people.get().person_id)
        return answer

    monkeypatch.setitem(table.acts(), "payments.take", replace(table.act("payments.take"), call=charge_and_move))
    ana.act("payments.take", **given)
    lines = Line.objects.filter(code="payments.take").order_by("pk")
    assert [(line.chain.name, line.outcome) for line in lines] == [
        (f"account:{maria.pk}", "pending"), (f"account:{maria.pk}", "done" if word == "good" else "refused"),
    ]  # fmt: skip


def test_a_charge_that_the_provider_never_heard_of_moves_no_money(house, maria, monkeypatch):
    before = ledger.balance(maria.pk)
    ana = Desk(house["ana"]).take_call(maria)
    lose_the_answer(monkeypatch, "payments.take")
    once = key()
    given = {"account": maria.pk, "amount": 2000, "method": with_method(maria, "good").pk}
    with pytest.raises(KeyboardInterrupt):
        ana.act("payments.take", key_=once, **given)
    assert reconcile(at=AFTER) == 1
    again = ana.act("payments.take", key_=once, **given)
    assert (again.status, again.refusal.code) == ("refused", "DECLINED")
    assert ledger.balance(maria.pk) == before


def test_a_lost_pin_check_stays_a_failed_try(house, maria, monkeypatch):
    ana = Desk(house["ana"]).take_call(maria, verify=False)
    policy = rulebooks.current().verification
    free = contacts.lockouts(maria.pk, policy, ana.at)["pin"].left
    lose_the_answer(monkeypatch, "contacts.check_pin")
    once = key()
    with pytest.raises(KeyboardInterrupt):
        ana.act("contacts.check_pin", key_=once, account=maria.pk, pin="4711")
    assert reconcile(at=AFTER) == 1
    monkeypatch.undo()
    assert contacts.lockouts(maria.pk, policy, ana.at)["pin"].left == free - 1
    again = ana.act("contacts.check_pin", key_=once, account=maria.pk, pin="4711")
    assert (again.status, again.refusal.code) == ("refused", "NOT_PROVEN"), "the right PIN under a lost key proves nothing"
    assert ana.act("credits.grant", account=maria.pk, amount=500, reason="goodwill").refusal.rule == "needs-verified"


def test_a_fault_in_one_stops_no_other(house, maria, monkeypatch):
    ana = Desk(house["ana"]).take_call(maria)
    assert ana.act("payments.take", account=maria.pk, amount=2000, method=with_method(maria, "slow").pk).status == "pending"
    lose_the_answer(monkeypatch, "staff.set_password")
    with pytest.raises(KeyboardInterrupt):
        perform("staff.set_password", {"staff": house["ben"].pk, "password": "another long sentence"}, who=CLI, key=key(), at=TUESDAY - timedelta(minutes=1))

    def broken(_):
        raise OSError("the provider is down")

    monkeypatch.setitem(table.acts(), "staff.set_password", replace(table.act("staff.set_password"), recall=broken))
    assert reconcile(at=AFTER) == 1
    assert len(journal.pending_since(AFTER)) == 1


def test_somebody_whose_choice_of_a_password_was_lost_has_none_and_is_let_in_again(house, monkeypatch):
    Desk(house["ada"]).must("staff.reset_password", staff=house["ben"].pk)
    let_in = lambda: Desk(house["lena"]).must("staff.let_in", staff=house["ben"].pk).show["code"]  # noqa: E731
    lose_the_answer(monkeypatch, "staff.choose_password")
    with pytest.raises(KeyboardInterrupt):
        Desk(house["ben"]).act("staff.choose_password", code=let_in(), password="a long sentence")
    assert reconcile(at=AFTER) == 1
    monkeypatch.undo()
    assert not staff.by_username("ben").has_usable_password()
    assert Desk(house["ben"]).act("staff.choose_password", code=let_in(), password="a long sentence").ok


def test_principals_are_who_they_were(house):
    ana = house["ana"]
    assert who_is(f"Staff:{ana.pk}") == ana.who
    assert who_is("Job:cli").kind == "Job"
    assert who_is(f"Agent:{ana.pk}") is None and who_is("Staff:999999") is None and who_is("Staff:x") is None
