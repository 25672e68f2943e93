"""Two and more at once, in threads, on a database that commits: never over a limit, never twice, never lost."""

from __future__ import annotations

import importlib
import threading
from functools import partial

import pytest
from django.db import connection

from careline.acts.declare import BasisRef
from careline.acts.perform import perform
from careline.domain.contacts.models import Contact, FactorCount
from careline.domain.credits.models import Grant
from careline.domain.customers.models import Customer
from careline.domain.journal import queries as journal
from careline.domain.journal.models import Line, RequestKey
from careline.domain.ledger import queries as ledger
from careline.domain.ledger.models import Allocation, Bill, Entry, Payment, PaymentMethod
from careline.domain.staff.models import Spending
from careline.foundation import pins
from careline.foundation.act import Who
from tests import people
from tests.people import CARRIER, TUESDAY, Desk, key, open_account


@pytest.fixture
def maria(committed_house):
    return open_account()


@pytest.fixture
def joe(committed_house):
    return open_account("Joe Lind", "+12065550199", "A-0104823")


@pytest.fixture(autouse=True)
def whole_afterwards(committed_db):
    yield
    assert not list(journal.verify())
    for bill in Bill.objects.all():
        paid = sum(Allocation.objects.filter(bill=bill).values_list("amount_minor", flat=True))
        assert 0 <= paid <= bill.total_minor, "a bill is paid more than once over"


def granting(desk: Desk, account, amount: int, **more):
    return partial(desk.act, "credits.grant", account=account.pk, amount=amount, reason="goodwill", **more)


def test_two_associates_race_for_one_accounts_window(committed_house, maria, racing):
    """An associate's window is $50 a year. Four associates give $20 each at once: together never more than $50."""
    staff = [committed_house["ana"], committed_house["ben"], people.hire("bo", "Bo Lee", "associate"), people.hire("cy", "Cy Orr", "associate")]
    desks = [Desk(who).take_call(maria) for who in staff]
    outcomes = racing(*[granting(desk, maria, 2000) for desk in desks])
    assert sorted(o.status for o in outcomes) == ["done"] * 2 + ["refused"] * 2
    assert {o.refusal.rule for o in outcomes if not o.ok} == {"credit-window"}
    assert sum(Grant.objects.values_list("amount_minor", flat=True)) == 4000


def test_two_tabs_race_for_one_event(committed_house, maria, racing):
    """Goodwill is $25 for one event: one contact. Four tabs of it at once, $10 each, are two credits and two refusals."""
    ana = Desk(committed_house["ana"]).take_call(maria)
    outcomes = racing(*[granting(ana, maria, 1000)] * 4)
    assert sorted(o.status for o in outcomes) == ["done", "done", "refused", "refused"]
    assert {o.refusal.rule for o in outcomes if not o.ok} == {"credit-reason"}
    assert sum(Grant.objects.values_list("amount_minor", flat=True)) == 2000


def test_one_associate_races_on_two_accounts_for_her_own_day(committed_house, maria, joe, racing):
    """Twelve credits a day. Ana has given ten; four more at once, on two accounts, are two."""
    Spending.objects.create(staff=committed_house["ana"], kind="credit", day=TUESDAY.date(), amount_minor=5000, count=10)
    on_maria = Desk(committed_house["ana"]).take_call(maria)
    on_joe = Desk(committed_house["ana"])
    opened = on_joe.must("contacts.open", account=joe.pk, person=joe.people.get().person_id, channel="chat")
    on_joe.contact = int(opened.show["id"])
    on_joe.must("contacts.check_pin", account=joe.pk, pin="4711")
    outcomes = racing(*[granting(on_maria, maria, 100), granting(on_joe, joe, 100)] * 2)
    assert sorted(o.status for o in outcomes) == ["done", "done", "refused", "refused"]
    assert {o.refusal.rule for o in outcomes if not o.ok} == {"credit-day-count"}
    assert Spending.objects.get().count == 12 and Grant.objects.count() == 2


def test_the_first_two_credits_of_a_day_at_once_are_both_counted(committed_house, maria, joe, racing):
    on_maria = Desk(committed_house["ana"]).take_call(maria)
    on_joe = Desk(committed_house["ana"])
    on_joe.contact = int(on_joe.must("contacts.open", account=joe.pk, person=joe.people.get().person_id, channel="chat").show["id"])
    on_joe.must("contacts.check_pin", account=joe.pk, pin="4711")
    assert all(o.ok for o in racing(granting(on_maria, maria, 100), granting(on_joe, joe, 150)))
    assert Spending.objects.values_list("amount_minor", "count").get() == (250, 2)


def test_two_racing_on_one_key_are_one_deed_and_one_answer(committed_house, maria, racing):
    ana = Desk(committed_house["ana"]).take_call(maria)
    outcomes = racing(*[granting(ana, maria, 500, key_="one-click-only")] * 4)
    assert all(o == outcomes[0] and o.ok for o in outcomes)
    assert Grant.objects.count() == 1 and RequestKey.objects.filter(key="one-click-only").count() == 1
    assert Line.objects.filter(code="credits.grant").count() == 1


def test_two_racing_on_one_key_of_an_act_that_locks_nothing_are_one_deed(committed_house, racing):
    """No row is locked before the key: the second finds it spent at the last moment, rolls back and runs once more."""
    ring = partial(perform, "contacts.ring", {"caller_number": "+12065550188"}, who=CARRIER, key="one-ring-only", at=TUESDAY)
    outcomes = racing(*[ring] * 4)
    assert all(o == outcomes[0] and o.ok for o in outcomes)
    assert Contact.objects.count() == 1 and Line.objects.filter(code="contacts.ring").count() == 1


def test_racing_on_one_key_with_other_words_is_one_deed_and_one_refusal(committed_house, maria, racing):
    ana = Desk(committed_house["ana"]).take_call(maria)
    outcomes = racing(*[granting(ana, maria, amount, key_="one-click-only") for amount in (500, 600)])
    assert sorted(o.refusal.code if o.refusal else "" for o in outcomes) == ["", "KEY_REUSED"]
    assert Grant.objects.count() == 1


def test_twenty_racing_guesses_count_as_twenty_and_lock(committed_house, maria, racing, monkeypatch):
    """Three tries are checked against the hash, seventeen find the lock; the right PIN among the late ones does not help."""
    ana = Desk(committed_house["ana"]).take_call(maria, verify=False)
    checked = []
    real = pins.matches
    monkeypatch.setattr(pins, "matches", lambda *a: checked.append(1) or real(*a))
    guesses = [partial(ana.act, "contacts.check_pin", account=maria.pk, pin=f"{n:04d}") for n in range(20)]
    outcomes = racing(*guesses)
    assert {o.status for o in outcomes} == {"refused"} and len(checked) == 3
    assert {o.refusal.code for o in outcomes} <= {"NOT_PROVEN", "LOCKED"}
    count = FactorCount.objects.get()
    assert (count.failures, count.locked_until is not None) == (3, True)
    assert ana.act("contacts.check_pin", account=maria.pk, pin="4711").refusal.code == "LOCKED"
    assert Contact.objects.get().level == 1
    assert Line.objects.filter(code="contacts.check_pin", outcome="refused").count() == 21


def test_two_answer_one_ringing_call(committed_house, racing):
    rang = perform("contacts.ring", {"caller_number": "+12065550188"}, who=CARRIER, key=key(), at=TUESDAY)
    desks = [Desk(committed_house[name]) for name in ("ana", "ben", "eva")]
    outcomes = racing(*[partial(d.act, "contacts.answer", contact=rang.show["id"]) for d in desks])
    assert sorted(o.status for o in outcomes) == ["done", "refused", "refused"]
    winner = desks[[o.ok for o in outcomes].index(True)].staff
    assert Contact.objects.get().holder == winner
    assert {o.refusal.say for o in outcomes if not o.ok} == {f"{winner.name} has this call already."}


def test_one_person_answers_two_calls_at_once_and_holds_one(committed_house, racing):
    rings = [perform("contacts.ring", {"caller_number": n}, who=CARRIER, key=key(), at=TUESDAY).show["id"]
             for n in ("+12065550188", "+12065550199")]
    ana = Desk(committed_house["ana"])
    outcomes = racing(*[partial(ana.act, "contacts.answer", contact=ring) for ring in rings])
    assert sorted(o.status for o in outcomes) == ["done", "refused"]
    assert sorted(Contact.objects.values_list("state", flat=True)) == ["live", "ringing"]


def asked(desk: Desk, account, amount: int = 4000) -> BasisRef:
    done = desk.must("approvals.ask", account=account.pk, code="credits.grant",
                     input={"account": str(account.pk), "amount": amount, "reason": "retention"})
    return BasisRef("request", int(done.show["request"]))


def test_two_leads_decide_one_request(committed_house, maria, racing):
    liz = Desk(people.hire("liz", "Liz Moore", "lead"))
    ana = Desk(committed_house["ana"]).take_call(maria)
    request = asked(ana, maria)
    lena = Desk(committed_house["lena"])
    outcomes = racing(*[partial(d.act, "approvals.decide", basis=request, request=request.id, decision="approve") for d in (lena, liz)])
    assert sorted(o.status for o in outcomes) == ["done", "refused"]
    assert Grant.objects.count() == 1
    assert "not waiting any more" in next(o for o in outcomes if not o.ok).say


def test_the_caller_hangs_up_while_a_lead_decides(committed_house, maria, racing):
    """Whoever comes first: either the credit is there and the request approved, or it expired and nothing moved."""
    ana = Desk(committed_house["ana"]).take_call(maria)
    request = asked(ana, maria)
    lena = Desk(committed_house["lena"])
    ended, decided = racing(
        partial(ana.act, "contacts.end"),
        partial(lena.act, "approvals.decide", basis=request, request=request.id, decision="approve"),
    )
    assert ended.ok and Grant.objects.exists() == decided.ok
    from careline.domain.approvals.models import Request

    assert Request.objects.get().state == ("approved" if decided.ok else "expired")


@pytest.mark.only_postgresql
def test_a_decision_locks_the_contact_before_the_request(committed_house, maria):
    """As ending a contact does. The other order would be a deadlock between the two (PostgreSQL says which rows)."""
    ana = Desk(committed_house["ana"]).take_call(maria)
    request = asked(ana, maria)
    locked = []

    def note(execute, sql, params, many, context):
        if "FOR NO KEY UPDATE" in sql:
            locked.append(sql.split('FROM "')[1].split('"')[0])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        Desk(committed_house["lena"]).must("approvals.decide", basis=request, request=request.id, decision="approve")
    order = ["customers_account", "contacts_contact", "approvals_request", "staff_spending", "journal_counter", "journal_chain"]
    assert list(dict.fromkeys(locked)) == order


def test_a_credit_is_taken_back_once(committed_house, maria, racing):
    ana = Desk(committed_house["ana"]).take_call(maria)
    before = ledger.balance(maria.pk)
    number = ana.must("credits.grant", account=maria.pk, amount=800, reason="goodwill").show["credit"]
    outcomes = racing(*[partial(ana.act, "credits.reverse", account=maria.pk, credit=number, words="By mistake")] * 3)
    assert sorted(o.status for o in outcomes) == ["done", "refused", "refused"]
    assert ledger.balance(maria.pk) == before and Entry.objects.filter(kind="credit_reversed").count() == 1


def test_a_credit_and_a_payment_at_once_never_pay_one_bill_twice(committed_house, maria, racing):
    """$48.60 is open. A payment of all of it and a credit of $25 at once: the bill is closed once, the rest waits."""
    ana = Desk(committed_house["ana"]).take_call(maria)
    (bill,) = [b for b in ledger.bills_of(maria.pk) if b.open_minor]
    method = PaymentMethod.objects.get(account=maria)
    outcomes = racing(
        granting(ana, maria, 2500),
        partial(ana.act, "payments.take", account=maria.pk, amount=bill.open_minor, method=method.pk),
    )
    assert all(o.ok for o in outcomes), outcomes
    assert ledger.balance(maria.pk) == -2500
    assert [b.open_minor for b in ledger.bills_of(maria.pk)] == [0, 0, 0]


def test_one_payment_link_paid_twice_at_once_is_one_payment(committed_house, maria, racing):
    ana = Desk(committed_house["ana"]).take_call(maria)
    link = ana.must("payments.send_link", account=maria.pk, amount=1000, line=maria.lines.get().pk).show["link"]
    before = Payment.objects.count()
    paid = lambda: perform("payments.link_paid", {"link": link, "provider_reference": "sbx-1", "method": "Visa"},  # noqa: E731
                           who=people.Who("Service", "provider", "The provider", "service"), key=key(), at=TUESDAY)
    outcomes = racing(*[paid] * 3)
    assert all(o.ok for o in outcomes), outcomes
    assert Payment.objects.count() == before + 1


def test_many_desks_on_many_accounts_never_wait_for_each_other_in_a_circle(committed_house, racing):
    """Six contacts, each granting, noting and reversing at once: no deadlock, no lost line."""
    names = ["ana", "ben", "eva", "lena", "sam", "tom"]
    desks = []
    for n, name in enumerate(names):
        account = open_account(f"Customer {n}", f"+1206555020{n}", f"A-020000{n}")
        desks.append((Desk(committed_house[name]).take_call(account), account))

    def day(desk: Desk, account):
        for _ in range(3):
            assert desk.act("contacts.note", account=account.pk, text="Hello").ok
            done = desk.act("credits.grant", account=account.pk, amount=100, reason="goodwill")
            if done.ok:
                desk.act("credits.reverse", account=account.pk, credit=done.show["credit"], words="Again")

    racing(*[partial(day, desk, account) for desk, account in desks])
    numbers = list(Grant.objects.values_list("number", flat=True))
    assert len(numbers) == len(set(numbers)) == 5 * 3 * 2
    assert Line.objects.filter(code="contacts.note").count() == 18


@pytest.mark.only_postgresql
def test_an_address_that_becomes_anothers_between_the_look_and_the_lock_is_asked_for_again(maria, joe, monkeypatch):
    """Joe's e-mail becomes Maria's address just as a STOP from it has locked Maria's account: the deed begins anew, with both locked."""
    Customer.objects.filter(pk=maria.customer_id).update(email="family@example.com")
    Customer.objects.filter(pk=joe.customer_id).update(email="joe@example.com")
    locked: list[tuple[int, ...]] = []
    operations = importlib.import_module("careline.acts.perform").customers
    real = operations.lock_accounts

    def lock(ids):
        locked.append(tuple(ids))
        found = real(ids)
        if len(locked) == 1:

            def move() -> None:
                Customer.objects.filter(pk=joe.customer_id).update(email="Family@Example.com")
                connection.close()

            other = threading.Thread(target=move)
            other.start()
            other.join()
        return found

    monkeypatch.setattr(operations, "lock_accounts", lock)
    done = perform("contacts.reply", {"email": "FAMILY@example.com", "text": "STOP"}, who=Who("Service", "9", "Gateway", "service"), key=key(), at=TUESDAY)
    assert done.ok and locked == [(maria.pk,), (maria.pk, joe.pk)]
