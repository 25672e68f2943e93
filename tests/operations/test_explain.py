"""Explain, from the rows of the ledger: which bills, who is behind a difference, and the message that is sent."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from careline.domain.customers.models import AccountPerson, Line
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.models import Outbox
from careline.domain.ledger import operations, queries
from careline.domain.ledger.models import Bill, BillLine, Payment
from careline.domain.ledger.rules.estimate import Plan
from careline.foundation.money import share
from tests import people
from tests.people import TUESDAY, Desk, open_account

PPM = 80_000


@pytest.fixture
def maria(house):
    return open_account(bills=2)


def line(account) -> Line:
    return Line.objects.select_related("plan").get(account=account)


def issue(account, issued: date, *charges: dict, corrects: Bill | None = None) -> Bill:
    """A bill of these charges after the plan's, each with its tax."""
    made = [BillLine(kind="plan", label="Plus 15 GB", line=line(account), unit_price_minor=4500, amount_minor=4500), *(BillLine(**c) for c in charges)]
    taxes = [BillLine(kind="tax", label="State tax", tax_rate_ppm=PPM, taxed_line=n, amount_minor=share(n.amount_minor, PPM, 1_000_000)) for n in made]
    lines = [*made, *taxes]
    bill = Bill(number=f"X-{issued:%y%m%d}{'c' if corrects else ''}", account=account, period_start=issued, period_end=issued + timedelta(days=29), issued_on=issued,
                due_on=issued + timedelta(days=20), total_minor=sum(n.amount_minor for n in lines), corrects=corrects)  # fmt: skip
    operations.post_bills_many([bill], [(bill, n) for n in lines], TUESDAY)
    return bill


def fee(label: str = "Late payment fee", amount: int = 500) -> dict:
    return {"kind": "fee", "label": label, "unit_price_minor": amount, "amount_minor": amount}


def test_a_bill_is_explained_against_the_one_before_or_any_earlier_one(maria):
    first, second = maria.bills.order_by("issued_on")
    third = issue(maria, date(2026, 11, 20), {"kind": "usage", "label": "Extra data", "quantity": Decimal("0.84"), "unit_price_minor": 1000, "amount_minor": 840, "line": line(maria)})
    found = queries.explained(maria.pk, third.pk)
    assert found.was.id == second.pk and [(d.cause.value, d.amount_minor) for d in found.differences] == [("usage", 840 + 67)]
    assert queries.explained(maria.pk, third.pk, first.pk).was.id == first.pk
    assert queries.explained(maria.pk, second.pk, third.pk).was.id == first.pk, "a later bill explains nothing: the one before does"
    assert queries.explained(maria.pk, first.pk) is None
    assert queries.explained(maria.pk, third.pk, third.pk).was.id == second.pk
    assert queries.explained(open_account("Otto Berg", "+12065550199", "A-0105000").pk, third.pk) is None, "another account's bill"


def test_a_correction_is_explained_against_what_stands_and_against_what_it_replaces(maria):
    before = maria.bills.latest("issued_on")
    wrong = issue(maria, date(2026, 11, 20), fee())
    operations.reverse_bills_many([wrong], TUESDAY)
    right = issue(maria, date(2026, 11, 20), corrects=wrong)
    assert queries.explained(maria.pk, right.pk).was.id == before.pk
    found = queries.explained(maria.pk, right.pk, wrong.pk)
    assert [(d.cause.value, d.amount_minor) for d in found.differences] == [("late_fee_over", -540)]


def test_a_late_fee_names_the_bill_that_was_late(maria):
    late = maria.bills.latest("issued_on")  # not paid
    bill = issue(maria, late.due_on + timedelta(days=5), fee())
    (one,) = queries.explained(maria.pk, bill.pk).differences
    assert one.event.code == "bill.late" and "$48.60 was open after" in one.say
    people.pay(maria, late.total_minor, people.TUESDAY.replace(year=2026, month=1))
    (one,) = queries.explained(maria.pk, bill.pk).differences
    assert one.event is None or f"{late.issued_on:%b} {late.issued_on.day}," not in one.event.what


def test_a_fee_for_a_returned_payment_names_the_payment_that_came_back(maria):
    paid = people.pay(maria, 4860, TUESDAY - timedelta(days=8))
    back = Payment(number="PY-BACK", account=maria, amount_minor=4860, method=paid.method, received_at=TUESDAY - timedelta(days=6), returns=paid)
    operations.return_payments_many([back], TUESDAY)
    bill = issue(maria, date(2026, 11, 20), fee("Returned payment fee, PY-BACK", 2500), fee("Restoring line 0188", 2000))
    said = {d.title.split(",")[0]: d for d in queries.explained(maria.pk, bill.pk).differences}
    assert "The payment of $48.60 by Visa …4242 came back on Nov 18." in said["Returned payment fee"].say
    assert said["Restoring line 0188 began"].event is None


def test_a_charge_agreed_at_the_desk_names_who_took_the_order(ana, maria):
    ana.must("lines.add_data", account=maria.pk, line=line(maria).pk, mb=1024, consent=500)
    coming = queries.next_bill(maria.pk, [Plan(line(maria).pk, "ending 0188", "Plus 15 GB", 4500)], date(2026, 12, 4))
    assert coming.now.estimated and coming.change_minor == 500 + 40
    assert [d.event.who for d in coming.differences] == ["Ana Silva"]
    (waiting,) = queries.unbilled_lines(maria.pk)
    bill = issue(maria, date(2026, 12, 4), {"kind": waiting.kind, "label": waiting.label, "line": waiting.line, "source_key": waiting.source_key,
                                             "quantity": waiting.quantity, "unit_price_minor": waiting.unit_price_minor, "amount_minor": waiting.amount_minor})  # fmt: skip
    (one,) = queries.explained(maria.pk, bill.pk).differences
    assert one.amount_minor == 540 and one.event.day == date(2026, 11, 24) and "Ana Silva did that on Nov 24." in one.say
    assert one.event.charge == waiting.source_key


def test_the_estimate_is_the_bill_that_came(maria):
    """What recurs came again: the estimate says so to the cent."""
    plans = [Plan(line(maria).pk, "ending 0188", "Plus 15 GB", 4500)]
    estimate = queries.next_bill(maria.pk, plans, date(2026, 11, 20)).now
    assert issue(maria, date(2026, 11, 20)).total_minor == estimate.total_minor


def test_the_number_of_questions_grows_with_nothing(maria):
    def asked() -> int:
        bill = maria.bills.latest("issued_on")
        with CaptureQueriesContext(connection) as few:
            queries.explained(maria.pk, bill.pk)
        with CaptureQueriesContext(connection) as estimate:
            queries.next_bill(maria.pk, [], date(2027, 1, 1))
        return len(few), len(estimate)

    issue(maria, date(2026, 11, 20), fee())
    before = asked()
    for n in range(6):
        issue(maria, date(2026, 11, 21) + timedelta(days=n), fee(), *(fee(f"Fee {i}", 100) for i in range(9)))
    assert asked() == before and before[0] <= 5


# ---------------------------------------------------------------- sending it


def given(account, **more) -> dict:
    against, bill = account.bills.order_by("issued_on").values_list("pk", flat=True)[:2]
    return {"account": account.pk, "bill": bill, "against": against, "line": line(account).pk, "text": "A discount of $15.00 ended."} | more


def test_the_explanation_is_sent_once_in_the_words_that_were_written_and_journaled(ana, maria):
    first = ana.act("ledger.send_explanation", key_="one-key-for-both", **given(maria))
    again = ana.act("ledger.send_explanation", key_="one-key-for-both", **given(maria))
    assert first.ok and again.say == first.say
    sent = Outbox.objects.get(topic="bill_explained")
    assert sent.body.endswith(": A discount of $15.00 ended.") and sent.to == "+12065550188"
    line_ = JournalLine.objects.filter(code="ledger.send_explanation").get()
    assert "explained against" in line_.content["say"] and "discount" not in line_.content["say"]


def test_what_cannot_be_sent_is_refused_with_its_reason(ana, house, maria):
    otto = open_account("Otto Berg", "+12065550199", "A-0105000", pin="9182")
    theirs = otto.bills.first().pk
    for wrong, field in (({"bill": theirs}, "bill"), ({"against": theirs}, "against"), ({"against": given(maria)["bill"]}, "against"), ({"line": line(otto).pk}, "line")):
        no = ana.act("ledger.send_explanation", **given(maria, **wrong))
        assert not no.ok and field in no.refusal.fields, wrong
    for wrong in ({"text": ""}, {"text": "x" * 641}, {"bill": 0}, {"text": "Your card 4111 1111 1111 1111"}):
        assert not ana.act("ledger.send_explanation", **given(maria, **wrong)).ok, wrong
    Line.objects.filter(account=maria).update(can_text=False)
    assert ana.act("ledger.send_explanation", **given(maria)).refusal.rule == "line-takes-no-texts"
    assert not Outbox.objects.filter(topic="bill_explained").exists()


def test_nothing_is_sent_before_the_caller_is_verified_or_to_who_may_not_ask_about_money(house, maria):
    ben = Desk(house["ben"]).take_call(maria, verify=False)
    assert ben.act("ledger.send_explanation", **given(maria)).refusal.rule == "needs-verified"
    ben.must("contacts.check_pin", account=maria.pk, pin="4711")
    AccountPerson.objects.filter(account=maria).update(right="authorized", may_money=False)
    assert ben.act("ledger.send_explanation", **given(maria)).refusal.rule == "no-money-right"
    assert not Outbox.objects.filter(topic="bill_explained").exists()
