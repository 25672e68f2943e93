"""The page "What if?": a supervisor tries a changed ladder, the look is journaled, nothing changes; nobody else sees it."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from careline.domain.collections.models import Climb, Step
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.models import Outbox
from careline.domain.rulebook import queries as rulebooks
from tests.doors.test_access import Browser
from tests.doors.test_money import words
from tests.people import issue_bill, open_account, pay

SOFT = 'title = "Outgoing calls, texts and data stopped"\ndays = '
HERE = "/past-due/what-if"


@pytest.fixture
def sam(house):
    """Two accounts with $80.00 that came due forty days ago and were not paid."""
    today = timezone.now().date()
    for n in range(2):
        account = open_account(number=f"+1206555010{n}", reference=f"A-000010{n}", bills=0, today=today)
        issue_bill(account, account.lines.get(), today - timedelta(days=60), 8000)
    return Browser(house["sam"])


def test_a_supervisor_sees_who_would_move_and_nothing_changes(sam):
    text = rulebooks.current().files["ladder.toml"]
    page = sam.get(HERE).content.decode()
    assert "Nothing is adopted" in words(sam.get(HERE)) and SOFT in page.replace("&#34;", '"')
    later = text.replace(SOFT + "15", SOFT + "45").replace('title = "Service suspended"\ndays = 30', 'title = "Service suspended"\ndays = 50')
    answer = sam.post(HERE, ladder=later.replace("\n", "\r\n"))
    said = words(answer)
    assert answer.status_code == 200 and "Would move 2 2 less far" in said and "A-0000100 less far Service suspended" in said
    assert "Outgoing calls, texts and data stopped 2 0 −2" in said and "Nobody pays sooner, later or less than they did" in said
    assert JournalLine.objects.filter(code="view.what_if").count() == 2, "one for the page, one for the question"
    assert not Climb.objects.exists() and not Step.objects.exists() and not Outbox.objects.exists()
    assert rulebooks.current().files["ladder.toml"] == text
    filed = sam.post(HERE, ladder="", file=SimpleUploadedFile("ladder.toml", text.encode()))
    assert "word for word" in words(filed) and "Nobody would move" in words(filed)


def test_what_nobody_measured_is_said_and_may_be_assumed_in_two_fields(house, sam):
    """Rosa, with us for years, paid two days after her service was limited, on the twentieth day. Limited five days later, would she have paid then?"""
    today = timezone.now().date()
    rosa = open_account("Rosa Soto", "+12065550119", "A-0000119", bills=0, today=today)
    issue_bill(rosa, rosa.lines.get(), today - timedelta(days=60), 8000)
    pay(rosa, 8000, timezone.now() - timedelta(days=18))
    later = rulebooks.current().files["ladder.toml"].replace(SOFT + "15", SOFT + "20")
    said = words(sam.post(HERE, ladder=later))
    assert "It is assumed that nobody pays later for being told later." in said
    said = words(sam.post(HERE, ladder=later, percent="100", days="6"))
    assert "of those who are told later, 100 % pay 6 days later. Accounts to which that happens: 1, with $80.00. Nobody measured it." in said
    assert "100 % pay 6 days later from there on, as was asked" in said and "Nobody pays sooner" not in said
    for percent, days in (("101", "5"), ("5", "91"), ("many", "5")):
        wrong = sam.post(HERE, ladder=later, percent=percent, days=days)
        assert wrong.status_code == 422 and "Would move" not in words(wrong)


def test_what_cannot_be_played_is_said_at_its_line_and_kept(sam):
    wrong = sam.post(HERE, ladder=rulebooks.current().files["ladder.toml"].replace(SOFT + "15", SOFT + "9"))
    assert wrong.status_code == 422 and "soft has to come later than final" in words(wrong) and SOFT + "9" in wrong.content.decode().replace("&#34;", '"')
    for sent, says in ((b"\xff\xfe\x00", "no text in UTF-8"), (b"x" * 200_001, "larger than 200 kB"), (b"[ladder", "ladder.toml: ")):
        answer = sam.post(HERE, ladder="", file=SimpleUploadedFile("mine.toml", sent))
        assert answer.status_code == 422 and says in words(answer)
    assert sam.post(HERE, ladder=" ").status_code == 422


def test_only_who_may_asks_and_the_page_asks_as_often_for_many(house, sam):
    assert "What if the ladder" in words(sam.get("/past-due")) and "What if the ladder" not in words(Browser(house["lena"]).get("/past-due"))
    assert {Browser(house[name]).get(HERE).status_code for name in ("ana", "lena", "ada")} == {403}
    text = rulebooks.current().files["ladder.toml"] + "\n"

    def count() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert sam.post(HERE, ladder=text).status_code == 200
        return len(asked)

    count()
    before = count()
    account = open_account(number="+12065550109", reference="A-0000109", bills=0, today=date.today())  # noqa: DTZ011 - any day
    issue_bill(account, account.lines.get(), timezone.now().date() - timedelta(days=70), 8000)
    assert count() <= before
