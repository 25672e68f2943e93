"""Who may do this? The page answers for every role with the rule that decides, as `perform` would, and does nothing."""

from __future__ import annotations

import pytest
from django.utils import timezone

from careline.acts import table
from careline.acts.whomay import BASES, CALLERS, WHOSE, who_may
from careline.domain.journal.models import Line as JournalLine
from careline.domain.rulebook import queries as rulebooks
from tests.doors.test_access import Browser
from tests.doors.test_money import words
from tests.people import Desk, open_account

HERE = "/rulebook/who-may"
CREDIT = "?act=credits.grant&reason=retention&basis=strong&caller=holder&whose=none"


@pytest.fixture
def lena(house):
    return Browser(house["lena"])


def row(page: str, role: str) -> str:
    """What the table says to one role."""
    rest = page[page.index("Decided by"):]
    return rest[rest.index(f" {role} "):][:170]


def test_a_credit_of_sixty_dollars_names_who_may_and_the_rule_that_stops_the_others(lena):
    page = words(lena.get(HERE + CREDIT + "&amount=60"))
    assert row(page, "Associate").startswith(" Associate no Your limit leaves $25.00 for this event. credit-event limits.toml: credit.event Then offers Ask a lead")
    assert row(page, "Expert").startswith(" Expert yes, up to $75.00 Beyond it: Your limit leaves $75.00 for this event. credit-event")
    assert row(page, "Lead").startswith(" Lead yes, up to $100.00 Beyond it: This reason leaves $100.00 for this event. credit-reason")
    assert row(page, "Administrator").startswith(" Administrator not this role")
    assert not JournalLine.objects.exclude(code__startswith="view.").exists(), "asking does nothing"


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        ("&basis=none", "needs-contact-or-request"), ("&basis=identified", "needs-verified"), ("&basis=wrap_up", "needs-live"),
        ("&caller=stranger", "stranger"), ("&caller=plain", "no-money-right"), ("&whose=colleague", "own-business"), ("&whose=own", "own-business"),
    ],
)  # fmt: skip
def test_the_basis_the_caller_and_whose_account_it_is_decide_too(lena, asked, rule):
    base = "?act=credits.grant&reason=goodwill&amount=5" + "".join(f"&{k}={v}" for k, v in {"basis": "strong", "caller": "holder", "whose": "none"}.items() if f"&{k}=" not in asked)
    answer = row(words(lena.get(HERE + base + asked)), "Associate")
    assert answer.startswith(" Associate no ") and rule in answer


def test_the_limits_of_an_account_are_what_is_left_of_them_and_the_question_stands_on_its_journal(house, lena):
    account = open_account()
    desk = Desk(house["ana"], timezone.now()).take_call(account)
    desk.must("credits.grant", account=account.pk, amount=2000, reason="goodwill")
    page = words(lena.get(HERE + CREDIT + f"&amount=25&account={account.reference}"))
    assert row(page, "Associate").startswith(" Associate yes, up to $25.00")
    page = words(lena.get(HERE + CREDIT + f"&amount=60&account={account.reference}"))
    assert row(page, "Expert").startswith(" Expert yes, up to $75.00")
    desk.must("credits.grant", account=account.pk, amount=2000, reason="retention")
    page = words(lena.get(HERE + CREDIT + f"&amount=25&account={account.reference}"))
    assert row(page, "Associate").startswith(" Associate no This account has $10.00 left of what your role may give it in a year. credit-window")
    lines = JournalLine.objects.filter(code="view.account_limits", chain__name=f"account:{account.pk}")
    assert [line.outcome for line in lines] == ["looked"] * 3


def test_nobody_asks_about_the_account_of_a_colleague_or_their_own(house, lena):
    from careline.domain.customers.models import StaffTie

    account = open_account()
    StaffTie.objects.create(account=account, staff=house["lena"], tie="own")
    no = lena.get(HERE + CREDIT + f"&amount=25&account={account.reference}")
    assert no.status_code == 403 and "tied to somebody who works here" in words(no) and "Associate yes" not in words(no)


def test_an_administrator_asks_without_an_account_and_an_associate_not_at_all(house):
    account = open_account()
    ada = Browser(house["ada"])
    page = words(ada.get(HERE + CREDIT + f"&amount=25&account={account.reference}"))
    assert row(page, "Associate").startswith(" Associate yes, up to $25.00") and "A-0104822" not in page
    assert not JournalLine.objects.filter(code="view.account_limits").exists()
    assert Browser(house["ana"]).get(HERE).status_code == 403


def test_what_is_not_said_yet_is_asked_for_and_what_cannot_be_read_is_said_at_its_field(lena):
    page = words(lena.get(HERE + "?act=credits.grant"))
    assert "Only basis and role were asked. Give reason and amount" in page and row(page, "Associate").startswith(" Associate may open it")
    for bad, says in (("&amount=ten", "amount"), ("&reason=gift", "Choose one of the list"), ("&account=A-1", "no account of this reference")):
        answer = lena.get(HERE + "?act=credits.grant" + bad)
        assert answer.status_code == 422 and says in words(answer)
    assert "no payment P-1 on this account" in words(lena.get(HERE + "?act=payments.refund&amount=5&payment=P-1"))
    assert lena.get(HERE + "?act=nothing.at_all").status_code == 200
    assert lena.get(HERE + "?act=contacts.open&basis=dream").status_code == 422


@pytest.mark.django_db
@pytest.mark.parametrize("code", sorted(table.acts()))
def test_every_act_can_be_asked_about_on_every_basis(house, code):
    book = rulebooks.current()
    typed = {"amount": 100, "reason": "goodwill" if code == "credits.grant" else "other", "credit": "CR-1", "payment": "P-1", "promotion": "loyalty", "equipment": "pixel_8", "count": 24, "extra_code": "protection",
             "kind": "complaint", "hold": "H-1", "feature": "roaming", "mb": 512, "until": timezone.now().date()}  # fmt: skip
    for basis in BASES:
        for given in ({}, typed):
            found = who_may(code, given, rulebook=book, basis=basis.code, caller=next(iter(CALLERS)), whose=next(iter(WHOSE)), account_id=None, at=timezone.now())
            assert [a.role for a in found.answers] == list(book.ranks)
            assert not any(a.refusal and a.refusal.rule == "fault" for a in found.answers)
            assert {a.role for a in found.answers if a.has} == set(book.authority.roles_with(code))


def test_an_amount_without_what_its_limit_depends_on_is_not_answered(house):
    sam = Browser(house["sam"])
    answer = sam.get("/rulebook/who-may?act=credits.grant&amount=30")
    page = answer.content.decode()
    assert answer.status_code == 422 and "The limit depends on it." in page and "<tbody>" not in page
    assert "may open it" in sam.get("/rulebook/who-may?act=credits.grant").content.decode(), "without an amount: who opens the form"
