"""The books of a carrier, closed: November 2026 of Maria Okafor's account and of one that another system bills."""

from __future__ import annotations

import argparse
import threading
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from django.db import connection, transaction

from careline.acts.declare import BasisRef
from careline.acts.perform import perform
from careline.domain.credits import operations as credits
from careline.domain.credits import queries as credit_queries
from careline.domain.customers import operations as customers
from careline.domain.journal.models import Line as JournalLine
from careline.domain.ledger import operations as ledger
from careline.domain.ledger import queries
from careline.domain.ledger.models import BooksFile, BroughtForward, ClosedPeriod, Entry
from careline.domain.ledger.rules.books import Books
from careline.domain.staff import operations as staff
from careline.doors.jobs import books
from careline.doors.jobs.stop import Stop
from careline.foundation.act import NO_BASIS, Act
from tests import people
from tests.people import TUESDAY, key

THROUGH = date(2026, 11, 23)  # the day before TUESDAY, when all this is told
TODAY = date(2026, 11, 24)


def balance(through: date = TODAY):
    return queries.balance_of_books(people.default_rulebook().books, through, credit_queries.booked)


def close(through: date = THROUGH, at: datetime = TUESDAY):
    return perform("ledger.close_books", {"through": through.isoformat()}, who=books.CLI, key=key(), basis=BasisRef(), at=at)


def credit(account, clerk, minor: int = 1000):
    """A credit on the plan charge of the newest bill, with its share of the tax."""
    act = Act(clerk.who, TUESDAY, "", key(), NO_BASIS)
    charge = queries.creditable_lines(account.pk)[0]
    staff.lock_spending(staff_id=clerk.pk, kind="credit", day=TODAY)
    return credits.grant(
        act=act, account_id=account.pk, amount_minor=minor, reason="billing_error", policy={"title": "Billing error", "tax": "proportional"},
        bill_line_id=charge.pk, day=TODAY,
    )  # fmt: skip


def amounts(found) -> dict[str, int]:
    return {a.code: a.amount_minor for a in found.accounts}


def test_a_month_of_one_account_by_hand(house, maria):
    """Three bills of 45.00 and 3.60 tax, two paid; 10.00 and its tax of 0.80 credited; 20.00 given up, 5.00 of it paid later."""
    credit(maria, house["eva"])
    act = Act(house["lena"].who, TUESDAY, "", key(), NO_BASIS)
    ledger.write_off(act=act, account_id=maria.pk, amount_minor=2000, label="Written off")
    ledger.post_payment(act=act, account_id=maria.pk, amount_minor=1780 + 500, method="Visa …4242")
    found = balance()
    assert amounts(found) == {
        "1050": 2 * 4860 + 2280, "1200": 0, "2210": -(3 * 360 - 80), "4010": -3 * 4500, "4920": 1000, "6210": 2000, "6220": -500,
    }  # fmt: skip
    assert found.proven and found.debit_minor == found.credit_minor == 15000
    assert [(k.kind, k.count, k.entries_minor, k.difference_minor) for k in found.kinds] == [
        ("bill", 3, 14580, 0), ("payment", 3, -12000, 0), ("credit", 1, -1080, 0), ("write_off", 1, -2000, 0), ("recovery", 1, 500, 0),
    ]  # fmt: skip


def test_what_another_system_billed_is_in_the_receivable_and_in_no_revenue(house, maria):
    maria.source_key = "K-1"
    maria.save(update_fields=["source_key"])
    before = amounts(balance())
    bill = {
        "source_key": "S-1", "account": "K-1", "number": "EXT-1", "period_start": TODAY, "period_end": TODAY, "issued_on": TODAY, "due_on": TODAY,
        "corrects": None, "total_minor": 7000,
    }  # fmt: skip
    line = {
        "source_key": "S-1-1", "bill": "", "line": None, "kind": "plan", "label": "Plan", "amount_minor": 7000, "unit_price_minor": 7000, "taxes": None,
        "tax_rate_ppm": 0, "quantity": 1,
    }  # fmt: skip
    assert ledger.import_bills_many(act=people.carrier_act(), rows=[(bill, [line])]) == ["written"]
    after = amounts(balance())
    assert {code: after[code] - before.get(code, 0) for code in after if after[code] != before.get(code, 0)} == {"1200": 7000, "1290": -7000}


def test_the_books_of_an_earlier_day_are_what_was_booked_by_then(maria):
    first = Entry.objects.order_by("day").first()
    assert amounts(balance(first.day))["1200"] == 4860
    assert balance(date(2020, 1, 1)).accounts == ()


# ---------------------------------------------------------------- closing


def test_a_closed_period_takes_nothing_more_and_its_files_stay_the_same(house, maria):
    done = close()
    assert done.ok and done.say == "Books closed through 2026-11-23: GL-0000001-3"
    assert queries.closed_through() == THROUGH and queries.unfinished_period() is not None
    assert books.finish(TUESDAY) and not books.finish(TUESDAY)
    kept = {f.number: f.text for f in BooksFile.objects.all()}
    assert sorted(kept) == [f"GL-0000001-3.{n}" for n in range(1, 6)]
    # A payment of the week before comes late: it has its day, and is booked on the first open one.
    late = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
    people.pay(maria, 1200, late)
    entry = Entry.objects.latest("pk")
    assert (entry.day, entry.booked_on) == (date(2026, 11, 20), TODAY)
    assert {f.number: f.text for f in books.computed(ClosedPeriod.objects.get())[0]} == kept
    assert amounts(balance(THROUGH))["1050"] == 2 * 4860 and amounts(balance(TODAY))["1050"] == 2 * 4860 + 1200
    written = JournalLine.objects.filter(code="books.written").get().content
    assert set(written["data"]["files"]) == set(kept)


def test_the_next_period_begins_where_the_last_ended_and_their_journals_sum_to_the_balance(house, maria):
    assert close(date(2026, 10, 31)).ok and books.finish(TUESDAY)
    credit(maria, house["eva"])
    people.pay(maria, 1200, TUESDAY)
    assert close(TODAY, at=TUESDAY.replace(day=25)).ok and books.finish(TUESDAY)
    first, second = ClosedPeriod.objects.order_by("ends_on")
    assert (first.starts_on, second.starts_on, second.number) == (None, date(2026, 11, 1), "GL-0000002-1")
    sums: dict[str, int] = {}
    for file in BooksFile.objects.exclude(journal="trial_balance"):
        for row in file.text.splitlines()[1:]:
            cells = row.replace('"State tax"', "State tax").split(",")
            sums[cells[5]] = sums.get(cells[5], 0) + round(float(cells[8] or 0) * 100) - round(float(cells[9] or 0) * 100)
    assert {k: v for k, v in sums.items() if v} == {k: v for k, v in amounts(balance()).items() if v}


def recounted(through: date):
    return queries.balance_of_books(people.default_rulebook().books, through, credit_queries.booked, recount=True)


def test_a_trial_balance_begins_at_the_last_closed_period_and_is_what_everything_comes_to(house, maria):
    people.pay(maria, 1200, TUESDAY.replace(day=20))
    assert close(date(2026, 10, 31)).ok and books.finish(TUESDAY)
    credit(maria, house["eva"])
    people.pay(maria, 700, TUESDAY)
    days = [date(2026, 9, 15), date(2026, 10, 31), date(2026, 11, 1), date(2026, 11, 20), TODAY]
    for day in days:
        assert balance(day) == recounted(day) and balance(day).proven
    assert close().ok
    assert queries.last_brought(TODAY).ends_on == date(2026, 10, 31), "what is closed is kept once its files are written"
    assert books.finish(TUESDAY) and queries.last_brought(TODAY).ends_on == THROUGH
    assert not BroughtForward.objects.filter(period__ends_on=THROUGH, kind="credit").exists(), "the credit is of the day after"
    people.pay(maria, 300, TUESDAY.replace(day=19))
    for day in [*days, THROUGH]:
        assert balance(day) == recounted(day) and balance(day).proven


def test_a_trial_balance_reads_only_the_entries_after_the_close(house, maria, monkeypatch):
    assert close().ok and books.finish(TUESDAY)
    asked = []
    real = queries.books.booked
    monkeypatch.setattr(queries.books, "booked", lambda first, last: asked.append(first) or real(first, last))
    assert balance(TODAY) == recounted(TODAY)
    half = len(asked) // 2
    assert set(asked[:half]) == {TODAY} and set(asked[half:]) == {None}


def test_the_command_counts_anew_and_finds_kept_sums_that_are_wrong(house, maria, capsys, monkeypatch):
    monkeypatch.setattr(books, "today", lambda: TODAY)
    options = argparse.Namespace(on=None, recount=True)
    assert books.balance(options) == 0 and "no period that was closed by then" in capsys.readouterr().out
    assert close().ok and books.finish(TUESDAY)
    assert books.balance(options) == 0 and "counted anew: the same as from the sums kept with GL-0000001-3" in capsys.readouterr().out
    real = queries.books.brought_forward
    monkeypatch.setattr(queries.books, "brought_forward", lambda period: Books([replace(e, count=e.count + 1) for e in real(period).entries], real(period).shares))
    assert books.balance(options) == 1 and "NOT the same" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("through", "says"),
    [(TODAY, "not over yet"), (date(2027, 1, 1), "not over yet"), (date(2019, 1, 1), "Nothing was booked"), (date(2026, 10, 31), "closed through 2026-11-23 already")],
    ids=["today", "to come", "before everything", "closed already"],
)  # fmt: skip
def test_what_cannot_be_closed_says_why(house, maria, through, says):
    if "already" in says:
        assert close().ok and books.finish(TUESDAY)
    no = close(through)
    assert not no.ok and says in no.say
    assert ClosedPeriod.objects.count() == ("already" in says)


def test_a_close_that_was_interrupted_is_finished_before_the_next(house, maria):
    assert close(date(2026, 10, 31)).ok
    no = close()
    assert not no.ok and "GL-0000001-3 is being closed" in no.say
    assert books.finish(TUESDAY) and close().ok


def test_only_a_supervisor_closes_the_books(house, maria):
    for name in ("ana", "lena", "ada"):
        no = perform("ledger.close_books", {"through": "2026-11-23"}, who=house[name].who, key=key(), at=TUESDAY)
        assert no.status == "refused" and no.refusal.code == "AUTHORITY" and no.refusal.who_could[0] == "supervisor"
    assert perform("ledger.close_books", {"through": "2026-11-23"}, who=house["sam"].who, key=key(), at=TUESDAY).ok


def test_books_that_do_not_prove_are_not_written(house, maria, monkeypatch):
    credit(maria, house["eva"])
    assert close(TODAY, at=TUESDAY.replace(day=25)).ok
    with monkeypatch.context() as patch:
        patch.setattr(credit_queries, "booked", lambda first, last: [])
        with pytest.raises(Stop, match=r"do not prove.*credit by −\$10\.80"):
            books.finish(TUESDAY)
    assert not BooksFile.objects.exists()
    assert books.finish(TUESDAY)


@pytest.mark.only_postgresql
def test_what_was_under_way_when_the_books_were_closed_is_in_the_period(committed_db):
    """A payment is being posted while the period is closed: the files wait for it and hold it."""
    people.open_the_rulebook()
    maria = people.open_account()
    posted, go_on = threading.Event(), threading.Event()

    def post() -> None:
        try:
            with transaction.atomic():
                customers.lock_accounts([maria.pk])
                people.pay(maria, 1200, datetime(2026, 11, 20, 15, 0, tzinfo=UTC))
                posted.set()
                go_on.wait(20)
        finally:
            connection.close()

    slow = threading.Thread(target=post)
    slow.start()
    assert posted.wait(20)
    assert close().ok
    timer = threading.Timer(0.5, go_on.set)
    timer.start()
    assert books.finish(TUESDAY)
    slow.join(20)
    assert "12.00" in BooksFile.objects.get(journal="cash").text
