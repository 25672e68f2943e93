"""The bill run: a cycle is drafted, looked at, issued; killed and taken up again; run twice, at once and again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.db import transaction
from django.db.models import Sum

from careline.domain.billing import operations, rules
from careline.domain.billing.models import Draft
from careline.domain.billing.rules import Left
from careline.domain.customers import operations as customers
from careline.domain.customers.models import Account, AddedData, Customer, Line, Plan, Usage
from careline.domain.journal.models import Line as JournalLine
from careline.domain.ledger import operations as ledger
from careline.domain.ledger import queries as ledger_queries
from careline.domain.ledger.models import Bill, BillLine, Entry, Payment, UnbilledCharge
from careline.doors.jobs import billing
from careline.doors.jobs.stop import Stop
from tests.people import carrier_act, open_account, plus_plan

START = date(2026, 11, 4)
NOON = datetime(2026, 11, 4, 17, 0, tzinfo=UTC)  # noon in New York
LATER = datetime(2026, 12, 4, 17, 0, tzinfo=UTC)
NEXT = date(2026, 12, 4)


def accounts(count: int, first: int = 1, *, bill_day: int = 4, state: str = "WA", opened: date = date(2026, 10, 20), **more) -> list[Account]:
    customer = Customer.objects.create(name="Maria Okafor")
    made = Account.objects.bulk_create(
        Account(reference=f"A-{first + n:07d}", customer=customer, opened_on=opened, bill_day=bill_day, state=state, **more) for n in range(count)
    )
    plan = plus_plan()
    Line.objects.bulk_create(
        Line(account=a, msisdn=f"+1206555{first + n:04d}", plan=plan, activated_on=opened, number_since=NOON) for n, a in enumerate(made)
    )
    return made


def run(at: datetime = NOON, start: date = START, **how):
    return billing.run_cycle(start, at, **how)


def everything() -> list[int]:
    return [m.objects.count() for m in (Draft, Bill, BillLine, Entry, JournalLine)]


def charge(account: Account, amount: int = 2000) -> UnbilledCharge:
    with transaction.atomic():
        return ledger.charge_next_bill(
            act=carrier_act(NOON), account_id=account.pk, line_id=account.lines.get().pk, kind="fee", label="Restoring line 0001",
            quantity=Decimal(1), unit_price_minor=amount, amount_minor=amount, day=date(2026, 10, 30), reference="OR-1",
        )  # fmt: skip


# ---------------------------------------------------------------- one cycle


def test_a_cycle_is_billed_whole_and_reconciles(house):
    mine = accounts(3)
    outside = accounts(1, 10, source_key="K-1")
    nowhere = accounts(1, 11, state="NV")
    accounts(1, 12, bill_day=5)
    accounts(1, 13, opened=date(2026, 11, 5))
    empty = accounts(1, 14)
    empty[0].lines.update(status="pending")
    done, found = run()
    assert found.holds and found.accounts == 6 and found.standing.issued == 3 and found.standing.nothing == 1
    assert found.left == {Left.OUTSIDE: 1, Left.NO_TAX: 1} and done.issued == 3
    bills = Bill.objects.all()
    assert {b.account_id for b in bills} == {a.pk for a in mine} and not Bill.objects.filter(account__in=outside + nowhere).exists()
    for bill in bills:
        assert (bill.period_start, bill.period_end, bill.issued_on, bill.due_on) == (START, date(2026, 12, 3), START, date(2026, 11, 25))
        assert bill.lines.aggregate(s=Sum("amount_minor"))["s"] == bill.total_minor == ledger_queries.balance(bill.account_id)
        for line in bill.lines.exclude(kind="tax"):
            assert line.amount_minor == rules.arithmetic(line.unit_price_minor, line.quantity, line.proration_num, line.proration_den)
        assert all(n.taxed_line.kind != "tax" and n.taxed_line.bill_id == bill.pk for n in bill.lines.filter(kind="tax"))
    assert found.standing.issued_minor == sum(b.total_minor for b in bills)
    said = JournalLine.objects.get(chain__name=f"account:{mine[0].pk}").content
    assert said["code"] == "bills.run" and said["data"]["bill"] == Bill.objects.get(account=mine[0]).number
    assert "fee.regulatory" in said["data"]["cites"] and len(said["rulebook"]) == 64


def test_an_address_that_the_tax_table_does_not_know_is_taxed_by_its_state_and_that_is_said(house, capsys):
    known = accounts(1, state="MO", postal_code="63105")[0]
    unknown = accounts(1, 10, state="MO", postal_code="65201")[0]
    done, found = run()
    assert (done.issued, done.by_state_only) == (2, 1)
    taxes = {a: set(BillLine.objects.filter(bill__account=a, kind="tax").values_list("label", "source_key")) for a in (known, unknown)}
    assert ("Utility tax, Clayton, MO", None) in taxes[known] and taxes[unknown] == {("State sales tax, MO", "tax.state_only")}
    said = [JournalLine.objects.get(chain__name=f"account:{a.pk}").content["data"]["cites"] for a in (known, unknown)]
    assert "tax.state_only" not in said[0] and "taxed by the state only" in said[1]["tax.state_only"]
    billing._print(done, found, 0.1)
    assert "no jurisdiction for their postal code: 1 accounts" in capsys.readouterr().out


def test_a_second_run_writes_nothing(house):
    accounts(3)
    accounts(1, 10, source_key="K-1")
    accounts(1, 11)[0].lines.update(status="pending")
    run()
    before = everything()
    done, found = run()
    assert everything() == before and found.holds and (done.drafted, done.issued) == (0, 0)


def test_drafts_owe_nothing_are_looked_at_and_thrown_away(house, capsys):
    account = accounts(2)[0]
    _, found = run(bills=False)
    assert found.holds and found.standing.drafts == 2 and not Bill.objects.exists() and ledger_queries.balance(account.pk) == 0
    assert billing._show(account.reference, START) == 0
    assert "Plus 15 GB, 15 of 31 days" in capsys.readouterr().out
    with pytest.raises(Stop, match="There is no account A-NONE"):
        billing._show("A-NONE", START)
    again = billing.begin(START, NOON)
    billing.discard(again)
    assert again.discarded == 2 and not Draft.objects.exists()
    charge(account)  # agreed after the drafts were thrown away
    run(bills=False)
    _, found = run(drafts=False)
    assert found.standing.issued == 2 and BillLine.objects.filter(label="Restoring line 0001").exists()
    billing.discard(again)
    assert Bill.objects.count() == 2 and Draft.objects.filter(state="issued").count() == 2
    assert billing._show(account.reference, START) == 0 and "Restoring line 0001" in capsys.readouterr().out


def test_issuing_alone_says_what_was_not_drafted(house):
    accounts(2)
    run(bills=False)
    accounts(1, 10)
    done, found = run(drafts=False)
    assert done.issued == 2 and found.undrafted == 1 and found.holds


def test_the_next_bill_carries_the_charges_that_wait_and_only_once(house):
    account = accounts(1)[0]
    made = charge(account)
    UnbilledCharge.objects.create(
        number="CH-9999999-9", account=account, kind="fee", label="Taxed already", unit_price_minor=100, amount_minor=100, tax="none",
        day=date(2026, 10, 30), at=NOON, reference="OR-2",
    )  # fmt: skip
    run()
    assert ledger_queries.unbilled_of(account.pk) == []
    with_tax, without = BillLine.objects.get(source_key=made.number), BillLine.objects.get(source_key="CH-9999999-9")
    assert [n.amount_minor for n in with_tax.tax_lines.all()] == [192] and not without.tax_lines.exists()
    run(LATER, NEXT)
    assert BillLine.objects.filter(source_key=made.number).count() == 1


def test_a_draft_whose_charge_stands_on_a_bill_by_now_is_not_issued(house):
    account = accounts(1)[0]
    made = charge(account)
    run(bills=False)
    ledger.issue_bills_many(act=carrier_act(NOON), rows=[{
        "number": "X-1", "account_id": account.pk, "period_start": date(2026, 10, 20), "period_end": date(2026, 11, 3), "issued_on": START,
        "due_on": START, "total_minor": 2000, "lines": [{"kind": "fee", "label": "x", "amount_minor": 2000, "source_key": made.number}],
    }])  # fmt: skip
    done, found = run(drafts=False)
    assert done.stale == [account.pk] and done.issued == 0 and found.holds and Bill.objects.count() == 1


def test_a_cycle_that_was_not_billed_holds_up_the_next_and_nothing_to_bill_does_not(house):
    account = accounts(1)[0]
    idle = accounts(1, 5)[0]
    idle.lines.update(status="pending")
    run()
    idle.lines.update(status="active", activated_on=date(2026, 11, 20))
    in_january = datetime(2027, 1, 4, 17, 0, tzinfo=UTC)
    assert run(in_january, date(2027, 1, 4))[1].left == {Left.GAP: 2}
    _, found = run(LATER, NEXT)
    assert found.standing.issued == 2 and not found.left
    run(in_january, date(2027, 1, 4))
    assert Bill.objects.filter(account=account).count() == 3


def test_two_cycles_are_not_drafted_over_each_other(house):
    accounts(1)
    run(bills=False)
    assert run(LATER, NEXT, bills=False)[1].left == {Left.WAITS: 1}


def test_a_cycle_to_come_and_a_rulebook_without_tariff_are_refused(house, monkeypatch):
    with pytest.raises(Stop, match="still to come"):
        run(NOON, NEXT)
    from careline.domain.rulebook import queries as rulebooks
    from careline.foundation.rulebook import Rulebook

    bare = Rulebook({k: v for k, v in rulebooks.current().files.items() if k != "billing.toml"})
    monkeypatch.setattr(rulebooks, "current", lambda: bare)
    with pytest.raises(Stop, match=r"billing\.toml"):
        run()


@pytest.mark.parametrize(("imported_from", "late_fees"), [("", []), ("2026-10-26", []), ("2026-10-25", [700])])
def test_imported_bills_are_the_past_of_a_carrier_that_took_over(house, monkeypatch, imported_from, late_fees):
    account = accounts(1, source_key="K-1", opened=date(2025, 3, 4))[0]
    line = account.lines.get()
    old = Bill(source_key="B-1", number="F-1", account=account, period_start=date(2026, 10, 4), period_end=date(2026, 11, 3),
               issued_on=date(2026, 10, 4), due_on=date(2026, 10, 25), total_minor=4500)  # fmt: skip
    plan = BillLine(kind="plan", label="Plus 15 GB", line=line, unit_price_minor=4500, amount_minor=4500, period_start=old.period_start, period_end=old.period_end)
    ledger.post_bills_many([old], [(old, plan)], NOON)
    assert run()[1].left == {Left.OUTSIDE: 1}
    from careline.domain.rulebook import queries as rulebooks
    from careline.foundation.rulebook import Rulebook

    files = dict(rulebooks.current().files)
    files["billing.toml"] = files["billing.toml"].replace('imported = "outside"', 'imported = "ours"').replace('by = "ladder"', 'by = "bill"')
    if imported_from:
        files["billing.toml"] = files["billing.toml"].replace("forgiven_below", f"imported_from = {imported_from}\nforgiven_below")
    monkeypatch.setattr(rulebooks, "current", lambda: Rulebook(files))
    done, _ = run()
    assert done.issued == 1
    made = BillLine.objects.filter(bill__account=account, source_key="late_fee")  # due October 25 and open
    assert [n.amount_minor for n in made] == late_fees


# ---------------------------------------------------------------- months that follow each other


def test_three_months_of_a_life(house, monkeypatch):
    """A plan changed, data used up, a payment late and one returned across the clock change, a line that ends."""
    from careline.domain.rulebook import queries as rulebooks
    from careline.foundation.rulebook import Rulebook

    files = dict(rulebooks.current().files)
    files["billing.toml"] = files["billing.toml"].replace('by = "ladder"', 'by = "bill"')
    monkeypatch.setattr(rulebooks, "current", lambda: Rulebook(files))
    plan = Plan.objects.create(code="P5", name="Plus 5 GB", price_minor=3000, data_mb=5120, data_gb_price_minor=1000)
    account = accounts(1, opened=date(2026, 9, 15))[0]
    line = account.lines.get()
    october = date(2026, 10, 4)
    run(datetime(2026, 10, 4, 16, 0, tzinfo=UTC), october)
    first = Bill.objects.get()  # 19 of 30 days from September 15, and October
    assert sorted(first.lines.filter(kind="plan").values_list("amount_minor", flat=True)) == [2850, 4500]
    customers.change_plan(act=carrier_act(), line_id=line.pk, plan_id=plan.pk, on=date(2026, 10, 15), reference="OR-5")
    Usage.objects.create(line=line, kind="data", day=date(2026, 10, 30), quantity=20_000)
    AddedData.objects.create(line=line, mb=512, period_start=october, period_end=date(2026, 11, 3), at=NOON, reference="OR-6")
    for n, at in enumerate((datetime(2026, 10, 20, tzinfo=UTC), datetime(2026, 11, 4, 4, 30, tzinfo=UTC))):  # the second: 23:30 in New York
        payment = Payment(number=f"PY-{n}", account=account, amount_minor=100, method="Visa", received_at=at)
        if n:
            payment.returns = Payment.objects.get(number="PY-0")
            ledger.return_payments_many([payment], at)
        else:
            ledger.post_payments_many([payment], at)
    run()
    second = Bill.objects.get(period_start=START)
    got = {n.label.split(",")[0] + f" /{n.proration_den}": n.amount_minor for n in second.lines.exclude(kind="tax")}
    over = 20_000 - 512 - 3304  # 20 of 31 days of 5,120 MB, rounded up; 11 days of a plan without a price do not count
    assert got == {
        "Plus 5 GB /1": 3000, "Plus 15 GB /31": -2903, "Plus 5 GB /31": 1935, "Data over the plan /1024": 15805,
        "Regulatory recovery /1": 199, "Late payment fee /1": 700, "Returned payment fee /1": 2500,
    }  # fmt: skip
    assert second.lines.get(kind="usage").proration_num == over
    assert second.lines.get(source_key="late_fee").label == f"Late payment fee, for ${first.total_minor / 100:.2f} late"
    Line.objects.filter(pk=line.pk).update(status="cancelled", status_since=date(2026, 11, 19))
    run(LATER, NEXT)
    third = Bill.objects.get(period_start=NEXT)
    assert third.lines.get(kind="plan").amount_minor == -1500 and third.lines.get(kind="plan").proration_num == 15
    assert third.lines.get(source_key="late_fee")  # of the second bill; the first has had its own
    assert third.total_minor < 0  # in the customer's favour, so nothing of it can be late
    _, found = run(datetime(2027, 1, 4, 17, 0, tzinfo=UTC), date(2027, 1, 4))
    assert found.standing.nothing == 1
    run(datetime(2027, 2, 4, 17, 0, tzinfo=UTC), date(2027, 2, 4))
    assert ledger_queries.balance(account.pk) == Bill.objects.filter(account=account).aggregate(s=Sum("total_minor"))["s"]


def metered(account: Account) -> Line:
    """The account's line, on a plan with a price for more data and more minutes from its first day on."""
    plan = Plan.objects.create(code="TALK", name="Talk", price_minor=2500, data_mb=1000, data_gb_price_minor=1000, voice_minutes=500, voice_minute_price_minor=25)
    line = account.lines.get()
    line.plan = plan
    line.save()
    return line


def imported(*rows: tuple[str, date, int], line: Line) -> list[str]:
    """Usage as the import writes it: a row of a day again is its correction."""
    Line.objects.filter(pk=line.pk).update(source_key="L-1")
    with transaction.atomic():
        return customers.upsert_many(act=carrier_act(), entity="usage", rows=[{"line": "L-1", "kind": k, "day": d, "quantity": q} for k, d, q in rows])


def use(start: date) -> list[tuple[str, int]]:
    return list(BillLine.objects.filter(bill__period_start=start, kind="usage").order_by("pk").values_list("label", "amount_minor"))


def test_use_that_comes_after_its_bill_is_on_the_next_one_once_and_so_is_its_correction(house):
    account = accounts(1, opened=date(2026, 9, 4))[0]
    line = metered(account)
    imported(("data", date(2026, 10, 10), 1512), ("voice", date(2026, 10, 11), 500), line=line)
    run(datetime(2026, 10, 4, 16, 0, tzinfo=UTC), date(2026, 10, 4))
    run()
    assert use(START) == [("Data over the plan, 512 MB", 500)]
    imported(("data", date(2026, 10, 30), 512), ("voice", date(2026, 10, 20), 40), ("data", date(2026, 11, 10), 100), line=line)
    run(LATER, NEXT)
    late = [("Data over the plan, 512 MB of Oct 4 to Nov 3, known late", 500), ("Calls over the plan, 40 min of Oct 4 to Nov 3, known late", 1000)]
    assert use(NEXT) == late
    data = BillLine.objects.get(bill__period_start=NEXT, source_key="late_use.data")
    assert (data.period_start, data.period_end) == (date(2026, 10, 4), date(2026, 11, 3)) and data.tax_lines.get().amount_minor == 48
    imported(("voice", date(2026, 10, 20), 30), line=line)
    january, february = date(2027, 1, 4), date(2027, 2, 4)
    run(datetime(2027, 1, 4, 17, 0, tzinfo=UTC), january)
    assert use(january) == [("Calls over the plan, 10 min of Oct 4 to Nov 3, given back", -250)]
    run(datetime(2027, 2, 4, 17, 0, tzinfo=UTC), february)
    assert use(february) == [] and BillLine.objects.filter(kind="usage").aggregate(s=Sum("amount_minor"))["s"] == 500 + 500 + 1000 - 250


def test_any_kind_of_use_that_a_plan_names_is_imported_and_billed(house):
    account = accounts(1, opened=date(2026, 9, 4))[0]
    line = metered(account)
    Plan.objects.filter(pk=line.plan_id).update(source_key="P-1", texts=100, text_price_minor=10)
    unknown = "kind: not data, voice or text, and no plan has an allowance of roaming"
    assert imported(("roaming", date(2026, 10, 10), 260), ("text", date(2026, 10, 10), 104), line=line) == [unknown, "written"]
    with transaction.atomic():
        row = {"plan": "P-1", "kind": "roaming", "title": "Roaming data", "unit": "MB", "included": 250, "price_minor": 50}
        assert customers.upsert_many(act=carrier_act(), entity="allowances", rows=[row]) == ["written"]
        assert customers.upsert_many(act=carrier_act(), entity="allowances", rows=[row]) == ["unchanged"]
    assert imported(("roaming", date(2026, 10, 10), 260), line=line) == ["written"]
    run(datetime(2026, 10, 4, 16, 0, tzinfo=UTC), date(2026, 10, 4))
    run()
    assert use(START) == [("Messages over the plan, 4", 40), ("Roaming data over the plan, 10 MB", 500)]


def test_late_use_of_drafts_that_were_thrown_away_is_drafted_again(house):
    account = accounts(1, opened=date(2026, 10, 4))[0]
    line = metered(account)
    run()
    imported(("voice", date(2026, 10, 20), 540), line=line)
    run(LATER, NEXT, bills=False)
    billing.discard(billing.begin(NEXT, LATER))
    imported(("voice", date(2026, 10, 20), 560), line=line)
    run(LATER, NEXT)
    assert use(NEXT) == [("Calls over the plan, 60 min of Oct 4 to Nov 3, known late", 1500)]
    imported(("voice", date(2026, 10, 20), 560), line=line)
    run(datetime(2027, 1, 4, 17, 0, tzinfo=UTC), date(2027, 1, 4))
    assert use(date(2027, 1, 4)) == []


def test_late_use_counts_by_the_allowance_that_its_bill_was_made_with(house):
    """Nobody pays, or gets back, for what a plan includes since."""
    account = accounts(1, opened=date(2026, 9, 4))[0]
    line = metered(account)
    other = plus_plan()
    run(datetime(2026, 10, 4, 16, 0, tzinfo=UTC), date(2026, 10, 4))
    customers.change_plan(act=carrier_act(), line_id=line.pk, plan_id=other.pk, on=date(2026, 10, 20), reference="OR-5")
    imported(("voice", date(2026, 10, 10), 300), ("voice", date(2026, 10, 25), 9000), line=line)
    run()
    assert use(START) == [("Calls over the plan, 41 min", 1025)]  # 16 of 31 days of 500, rounded up to 259
    Plan.objects.filter(code="TALK").update(voice_minutes=100, voice_minute_price_minor=99)
    imported(("voice", date(2026, 10, 11), 4), ("voice", date(2026, 10, 26), 70), line=line)
    run(LATER, NEXT)
    assert use(NEXT) == [("Calls over the plan, 4 min of Oct 4 to Nov 3, known late", 100)]


def test_extras_discounts_and_instalments_come_with_each_bill(house):
    account = accounts(1)[0]
    line = account.lines.get()
    act = carrier_act()
    operations.agree_many(act=act, rows=[
        {"account_id": account.pk, "line_id": line.pk, "kind": "fee", "label": "Device protection", "amount_minor": 900, "starts_on": START, "reference": "E-1"},
        {"account_id": account.pk, "kind": "discount", "label": "Welcome", "amount_minor": -500, "starts_on": START, "ends_on": date(2026, 11, 30), "reference": "E-2"},
    ])  # fmt: skip
    operations.sell_in_instalments_many(act=act, rows=[
        {"account_id": account.pk, "line_id": line.pk, "label": "Pixel", "total_minor": 1000, "count": 3, "starts_on": START, "reference": "I-1"}
    ])  # fmt: skip
    run()
    run(LATER, NEXT)
    told = [
        [(n.label, n.amount_minor) for n in BillLine.objects.filter(bill__period_start=s, kind__in=("equipment", "discount", "fee")).order_by("pk")]
        for s in (START, NEXT)
    ]
    regulatory = ("Regulatory recovery, 1 line", 199)
    assert told == [
        [("Device protection", 900), ("Welcome, until Nov 30, 2026", -500), ("Pixel, instalment 1 of 3", 333), regulatory],
        [("Device protection", 900), ("Pixel, instalment 2 of 3", 333), regulatory],
    ]


def test_a_discount_of_the_account_ends_with_its_line_and_is_given_back_with_it(house):
    """$45.00 less $5.00, and the line ends after 15 of 30 days: $20.00 go back, not $22.50."""
    account = accounts(1)[0]
    operations.agree_many(act=carrier_act(), rows=[{"account_id": account.pk, "kind": "discount", "label": "Loyalty", "amount_minor": -500, "starts_on": START, "reference": "E-1"}])
    run()
    account.lines.update(status="cancelled", status_since=date(2026, 11, 19))
    run(LATER, NEXT)
    back = {n.kind: n.amount_minor for n in BillLine.objects.filter(bill__period_start=NEXT).exclude(kind="tax")}
    assert back == {"plan": -2250, "discount": 250}


def test_the_last_day_of_february_bills_all_later_bill_days(house):
    for n, day in enumerate((27, 28, 29, 30, 31)):
        accounts(1, 1 + n, bill_day=day, opened=date(2027, 2, 10))
    done, found = run(datetime(2027, 2, 28, 17, 0, tzinfo=UTC), date(2027, 2, 28))
    assert found.accounts == done.issued == 4
    ends = dict(Bill.objects.values_list("account__bill_day", "period_end"))
    assert ends == {28: date(2027, 3, 27), 29: date(2027, 3, 28), 30: date(2027, 3, 29), 31: date(2027, 3, 30)}


def test_accounts_with_a_past_of_other_periods_are_left_out(house):
    open_account(today=date(2026, 11, 4))  # its bills follow no bill day
    assert sum(run()[1].left.values()) == 1


# ---------------------------------------------------------------- killed, repeated, at once


def test_a_run_that_is_killed_at_any_step_is_taken_up_again(committed_house, monkeypatch):
    mine = accounts(45)
    charges = {charge(a).number for a in mine[:5]}
    monkeypatch.setattr(billing, "READ", 20)
    monkeypatch.setattr(billing, "LARGEST", 10)
    for name, steps in (("draft_many", 2), ("issue_many", 2)):
        real, left = getattr(operations, name), [steps]

        def dying(real=real, left=left, **given):
            made = real(**given)
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt  # after the work, before the commit
            return made

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(operations, name, dying)
            run()
    assert 0 < Bill.objects.count() < 45
    _, found = run()
    assert found.holds and found.standing.issued == Bill.objects.count() == 45
    assert Bill.objects.values("account").distinct().count() == 45
    assert sorted(BillLine.objects.filter(source_key__in=charges).values_list("source_key", flat=True)) == sorted(charges)
    before = everything()
    run()
    assert everything() == before


def test_a_process_that_is_killed_leaves_whole_bills_and_another_finishes(committed_house, process_environment):
    accounts(400)
    command = [sys.executable, "-m", "careline", "bill", "--cycle", START.isoformat()]
    first = subprocess.Popen(command, env=process_environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not Bill.objects.exists() and first.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    first.send_signal(signal.SIGKILL)
    first.wait(30)
    some = Bill.objects.count()
    sums = BillLine.objects.values("bill").annotate(s=Sum("amount_minor")).values_list("bill__total_minor", "s")
    assert 0 < some == len(sums) and all(a == b for a, b in sums)
    second = subprocess.run(command, env=process_environment, capture_output=True, text=True, timeout=120)
    assert second.returncode == 0, second.stderr
    assert Bill.objects.count() == Entry.objects.count() == 400 and "billed                        400" in second.stdout
    third = subprocess.run(command, env=process_environment, capture_output=True, text=True, timeout=120)
    assert third.returncode == 0 and "nothing to do" in third.stdout


def test_two_runs_at_once_make_every_bill_once(committed_house, racing, monkeypatch):
    mine = accounts(60)
    charge(mine[0])
    monkeypatch.setattr(billing, "LARGEST", 10)
    racing(run, run)
    _, found = run()
    assert found.holds and found.standing.issued == Bill.objects.count() == Entry.objects.filter(kind="bill").count() == 60
    assert BillLine.objects.filter(label="Restoring line 0001").count() == 1
    assert JournalLine.objects.filter(chain__name__startswith="account:").count() == 60


def test_a_run_asks_no_more_for_more_accounts(house, django_assert_max_num_queries):
    accounts(30)
    with django_assert_max_num_queries(120):
        run()


def test_the_command_says_where_every_account_stands(committed_house, process_environment):
    accounts(2)
    accounts(1, 10, source_key="K-1")

    def careline(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "careline", "bill", *words], env=process_environment, capture_output=True, text=True, timeout=60)

    drafted = careline("--cycle", "2026-11-04", "--draft")
    assert drafted.returncode == 0 and "drafts                          2" in drafted.stdout, drafted.stderr
    assert "billed by another system: 1" in drafted.stdout
    shown = careline("--cycle", "2026-11-04", "--show", "A-0000001")
    assert shown.returncode == 0 and "Plus 15 GB, 15 of 31 days" in shown.stdout
    assert "2 drafts discarded" in careline("--cycle", "2026-11-04", "--discard").stdout
    assert careline("--cycle", "2026-11-04").returncode == 0 and Bill.objects.count() == 2
    wrong = careline("--cycle", "32")
    assert wrong.returncode == 2 and "no cycle" in wrong.stderr
    assert careline("--cycle", "2099-01-04").returncode == 2

