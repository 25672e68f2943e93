"""The page "Books": a supervisor adds up any day, closes a period and takes its files; nobody else sees it."""

from __future__ import annotations

import re
from datetime import date

import pytest
from django.db import connection

from careline.__main__ import run
from careline.domain.journal.models import Line as JournalLine
from careline.domain.ledger import operations as ledger_operations
from careline.domain.ledger.models import BooksFile, ClosedPeriod
from careline.doors.jobs import books
from tests import people
from tests.doors.test_access import Browser, Clock
from tests.doors.test_money import words
from tests.doors.test_pages import Counting
from tests.people import TUESDAY


@pytest.fixture
def sam(house, monkeypatch):
    Clock(monkeypatch)
    people.open_account()
    return Browser(house["sam"])


def test_a_supervisor_adds_up_a_day_and_sees_that_it_proves(sam):
    assert "Add it up" in words(sam.get("/books")), "nothing is added up before it is asked for"
    page = words(sam.get("/books?on=2026-11-24"))
    assert "Debits equal credits" in page and "Through Nov 24: $145.80 each, difference $0.00" in page
    assert "Bills 3 $145.80 $145.80 $0.00" in page and "4010 Service revenue $135.00" in page and "2210 Taxes payable $10.80" in page
    assert "Through Nov 2, 2020: $0.00 each" in words(sam.get("/books?on=2020-11-02")) and "Choose a day" in words(sam.get("/books?on=yesterday"))


def test_they_close_a_period_and_take_its_files(sam):
    asked = sam.get("/books").content.decode()
    assert 'name="through" value="2026-10-31"' in asked and "request_key" not in asked.split("Close a period")[1], "the last month that is over; no deed before it was looked at"
    wrong = sam.post("/books", code="ledger.close_books", through="2026-11-24")
    assert wrong.status_code == 422 and "not over yet" in words(wrong)
    nonsense = sam.post("/books", code="ledger.close_books", through="soon")
    assert nonsense.status_code == 422 and not ClosedPeriod.objects.exists()
    assert sam.post("/books", code="ledger.close_books", through="2026-11-23").status_code == 303
    assert "being written" in words(sam.get("/books"))
    assert books.finish(TUESDAY)
    page = sam.get("/books").content.decode()
    file = BooksFile.objects.get(journal="revenue")
    assert f"/books/{file.number}.csv" in page and "The rest of November can be closed from Dec 1 on." in words(sam.get("/books"))
    assert 'name="through"' not in page, "every day that is over is closed"
    taken = sam.get(f"/books/{file.number}.csv")
    assert taken.content == file.text.encode() and taken["Content-Disposition"] == f'attachment; filename="{file.number}-revenue.csv"'
    assert JournalLine.objects.filter(code="view.books", text__contains=file.number).count() == 1
    assert sam.get("/books/GL-9.9.csv").status_code == 404


def test_a_close_names_its_period_and_what_is_booked_in_it_before_it_is_done_and_is_done_once(sam):
    looked = sam.get("/books?through=2026-10-31")
    page, said = looked.content.decode(), words(looked)
    assert "Close everything through Oct 31?" in said and "Bills 2 $97.20" in said and "Payments 2 −$97.20" in said and "A close is not undone." in said
    assert "is not the end of a month" not in said and not ClosedPeriod.objects.exists()
    form = page.split('id="form-ledger-close-books"')[1]
    sent = {"request_key": re.search(r'name="request_key" value="([^"]+)"', form)[1], "through": re.search(r'name="through" value="([^"]+)"', form)[1]}
    for _ in range(2):  # a double click
        assert sam.post("/books", code="ledger.close_books", **sent).status_code == 303
    assert [p.ends_on for p in ClosedPeriod.objects.all()] == [date(2026, 10, 31)] and books.finish(TUESDAY)
    after = sam.get("/books")
    assert 'name="through" value=""' in after.content.decode() and " November can be closed from Dec 1 on. Another day that is over" in words(after), "no day is proposed that ends no month"
    again = sam.post("/books", code="ledger.close_books", through="2026-10-31")
    assert again.status_code == 422 and "closed through" in words(again) and ClosedPeriod.objects.count() == 1
    assert "Close Nov 1 through Nov 20?" in words(sam.get("/books?through=2026-11-20")) and "Nov 20 is not the end of a month." in words(sam.get("/books?through=2026-11-20"))
    for wrong, why in (("2026-11-24", "not over yet"), ("2026-10-31", "closed through Oct 31 already"), ("2019-01-01", "closed through Oct 31 already"), ("soon", "Choose a day")):
        refused = words(sam.get(f"/books?through={wrong}"))
        assert why in refused and "A close is not undone" not in refused
    assert ClosedPeriod.objects.count() == 1


def test_the_page_says_before_it_is_confirmed_whatever_the_close_would_say(sam):
    assert "Nothing was booked by then." in words(sam.get("/books?through=2019-01-01"))
    act = people.carrier_act(TUESDAY)
    period = ledger_operations.close_books(act=act, through=date(2026, 10, 31), closed_by="Sam Osei")
    page = words(sam.get("/books?through=2026-11-01"))
    assert f"{period.number} is being closed" in page and "A close is not undone" not in page


def test_the_number_that_the_help_shows_is_the_one_that_is_made(sam, capsys):
    assert sam.post("/books", code="ledger.close_books", through="2026-10-31").status_code == 303
    with pytest.raises(SystemExit):
        run(["books", "--help"])
    assert f"export {ClosedPeriod.objects.get().number} --out" in capsys.readouterr().out


def test_the_page_asks_as_often_with_many_periods(sam):
    def count() -> int:
        sam.get("/books?on=2026-11-24")
        with Counting(connection) as asked:
            assert sam.get("/books?on=2026-11-24").status_code == 200
        return len(asked)

    before = count()
    for n, through in enumerate(("2026-10-31", "2026-11-15"), 1):
        assert sam.post("/books", code="ledger.close_books", through=through).status_code == 303
        assert books.finish(TUESDAY) and ClosedPeriod.objects.count() == n
    assert count() <= before + 2, "the files of all periods are one more question, what was brought forward another"
