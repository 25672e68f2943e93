"""Promises to pay on the contact page: seen before anything is typed, chosen or built, taken, asked of a lead; and by API."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.db import connection

from careline.domain.approvals.models import Request
from careline.domain.arrangements.models import Arrangement, Terms
from careline.domain.customers.models import Account
from careline.domain.ledger.models import Payment
from careline.doors.jobs.promises import settle_day
from tests import people
from tests.doors.test_access import Browser, sit_down
from tests.doors.test_api import Caller, token_of
from tests.doors.test_money import words
from tests.doors.test_pages import NASTY, Counting, bears, text_of
from tests.people import TUESDAY

PAYDAY = {"now": "71", "each": "71", "payday": "2026-11-27", "rhythm": "two_weeks"}
HALVES = "2026-11-24:7100,2026-11-27:7100"


@pytest.fixture
def maria(house, clock):
    account = people.open_account(bills=0)
    people.issue_bill(account, account.lines.get(), date(2026, 10, 28), 14200)
    return account


@pytest.fixture
def ana(house, maria):
    return sit_down(house["ana"], maria, "verified")


def form(browser, **given):
    return words(browser.http.get(browser.here, {"act": "arrangements.agree", **given}))


def test_the_form_says_whether_there_may_be_one_before_anything_is_typed_and_then_offers_plans(ana, maria):
    assert "arrange payment" in words(ana.get(ana.here))
    page = form(ana)
    for said in ("$142.00 is past due. It may be arranged:", "past due $142.00, since Nov 17 ($10.00 to $500.00)", "broken within a year 0 (1 at most", "What could you pay today", "At least $35.50"):
        assert said in page, said
    page = form(ana, **PAYDAY)
    assert "$71.00 today, $71.00 Fri Nov 27" in page and "$142.00 today (more than they said)" in page and "Do you agree?" not in page
    page = form(ana, **PAYDAY, plan=HALVES)
    assert "You pay $71.00 today and $71.00 on Friday, November 27." in page and "New bills are due as always." in page and "Take $71.00 now with" in page
    own = form(ana, plan="own", due_1="2026-11-24", amount_1="60", due_2="2026-12-04")
    assert "The parts come to $60.00." in own or "Part 3 by" in own


def test_a_plan_is_chosen_its_first_part_taken_with_the_click_and_a_second_click_does_nothing_more(ana, maria):
    chosen = {"account": maria.pk, **PAYDAY, "plan": HALVES, "method": maria.payment_methods.get().pk, "request_key": "one-click-of-ana"}
    answers = [ana.http.post(f"{ana.here}do/arrangements.agree", chosen) for _ in range(2)]
    assert [a.status_code for a in answers] == [303, 303]
    assert Terms.objects.count() == Payment.objects.filter(account=maria).count() == 1
    page = words(ana.get(ana.here))
    for said in ("$71.00 of $142.00 paid", "Nov 24, paid", "Nov 27, in 3 days $71.00", "not collected until Nov 27", "promised for Nov 27 $71.00", "with Maria Okafor; sent to the number ending in 0188", "Your next part is $71.00 on Friday, November 27."):
        assert said in page, said
    assert "$71.00 past due" not in page.split("Balance")[0], "it is arranged: nobody asks for it again"
    assert "$71.00 on Nov 24, $71.00 on Nov 27" in words(ana.get(ana.here + "?section=time"))
    assert 'value="71.00"' in text_of(ana.get(ana.here + "?act=payments.take"))
    assert "runs already" in form(ana)


def test_a_declined_first_part_leaves_the_arrangement_and_says_so(ana, maria):
    maria.payment_methods.update(token="tok-visa-declined")
    ana.do(ana.contact, "arrangements.agree", account=maria.pk, plan=HALVES, method=maria.payment_methods.get().pk)
    page = words(ana.get(ana.here))
    assert "The first part was not taken" in page and "It is due today." in page and Arrangement.objects.get().state == "alive"
    assert "of the arrangement is due today" in page


@pytest.mark.parametrize(("typed", "says"), [
    ({"plan": "own", "due_1": "2026-11-24", "amount_1": "71", "due_2": "2026-12-04", "amount_2": "70"}, "The parts come to $141.00 and $142.00 is past due: $1.00 is missing."),
    ({"plan": "own", "due_1": "2026-11-24"}, "Give the amount too."), ({"plan": "own", "amount_1": "71"}, "Give the day too."), ({"plan": "own", "due_1": "soon", "amount_1": "5"}, "Give a day as"),
    ({"plan": "own", "due_1": "2026-11-24", "amount_1": "a lot"}, "not an amount"), ({}, "Choose a plan, or give the days"), ({"plan": "2026-11-24:x"}, "Choose a plan of the list."),
    ({"plan": "2026-11-23:14200"}, "is over"), ({"plan": "2026-12-30:14200"}, "after 36 days"),
])  # fmt: skip
def test_what_cannot_be_agreed_is_said_where_it_was_typed_and_nothing_is_lost(ana, maria, typed, says):
    answer = ana.do(ana.contact, "arrangements.agree", account=maria.pk, words="Two jobs", **typed)
    assert answer.status_code == 422 and says in words(answer) and "Two jobs" in text_of(answer), words(answer)
    assert not Arrangement.objects.exists()


def test_a_lead_is_asked_sees_the_plan_and_agrees(ana, maria, house):
    typed = {"account": maria.pk, "plan": "own", "due_1": "2026-12-04", "amount_1": "50", "due_2": "2026-12-11", "amount_2": "50", "due_3": "2026-12-18", "amount_3": "42", "words": "Paid weekly"}
    no = ana.do(ana.contact, "arrangements.agree", **typed)
    assert "These are 3 parts; your role may agree to 2." in words(no) and "Ask a lead" in words(no)
    assert ana.do(ana.contact, "approvals.ask", asked="arrangements.agree", **typed).status_code == 303
    lena = Browser(house["lena"])
    request = Request.objects.get()
    page = words(lena.get(f"/approvals/{request.pk}"))
    assert "$50.00 by Dec 4, $50.00 by Dec 11, $42.00 by Dec 18" in page and "Grant less" not in page
    assert lena.post(f"/approvals/{request.pk}", decision="approve").status_code == 303
    terms = Terms.objects.get()
    assert (terms.agreed_by.username, terms.approved_by.username) == ("ana", "lena")
    assert "by Ana Silva, approved by Lena Park" in words(ana.get(ana.here))


def test_where_nobody_could_there_is_no_form_only_why(ana, maria):
    people.pay(maria, 14200, TUESDAY)
    page = form(ana)
    assert "$0.00 is past due; there is something to arrange from $10.00 on." in page and "Agree it" not in page


def test_a_broken_one_stands_on_the_page_the_home_page_and_in_the_form(ana, maria, house, clock):
    ana.do(ana.contact, "arrangements.agree", account=maria.pk, plan=HALVES)
    settle_day(TUESDAY + timedelta(days=1))
    page = words(ana.get(ana.here))
    assert "Arrangement broken arrange again" in page and "The part of Nov 24 did not come; $142.00 of it is open." in page and "nobody blames you" in page
    assert f"{Arrangement.objects.get().number} broke" in words(ana.get("/"))
    assert "A lead could agree to it" in form(ana) and "arrangement-wait" in form(ana)


def test_later_parts_are_charged_as_it_was_read_out_and_that_is_stopped_from_the_page(ana, maria):
    visa = str(maria.payment_methods.get().pk)
    page = form(ana, **PAYDAY, plan=HALVES)
    assert "Charge Visa …4242 on their days" in page and "is charged to your" not in page
    assert "Each later part is charged to your Visa …4242 on its day." in form(ana, **PAYDAY, plan=HALVES, charged=visa)
    assert "on their days" not in form(ana, now="142", plan="2026-11-24:14200"), "nothing is later"
    ana.do(ana.contact, "arrangements.agree", account=maria.pk, plan=HALVES, charged=visa)
    page = words(ana.get(ana.here))
    assert "later parts charged to Visa …4242" in page and "stop charging" in page
    change = words(ana.get(ana.here + "?act=arrangements.change&plan=own&due_1=2026-12-04&amount_1=142"))
    assert "is charged to your Visa …4242" in change, "as it was agreed, until it is said otherwise"
    assert "is charged no more" in words(ana.get(ana.here + "?act=arrangements.stop_charging"))
    ana.do(ana.contact, "arrangements.stop_charging", account=maria.pk, words="Pays at the bank")
    page = words(ana.get(ana.here))
    assert "charged to Visa" not in page.split("Timeline")[0] and "No part of an arrangement is charged" in words(ana.get(ana.here + "?act=arrangements.stop_charging"))


def test_it_is_changed_and_cancelled_from_the_page(ana, maria):
    ana.do(ana.contact, "arrangements.agree", account=maria.pk, plan="2026-11-27:7100,2026-12-11:7100")
    assert "is left" in words(ana.get(ana.here + "?act=arrangements.change"))
    ana.do(ana.contact, "arrangements.change", account=maria.pk, plan="2026-12-04:14200", words="Paid later")
    assert "Dec 4, in 10 days $142.00" in words(ana.get(ana.here)) and Terms.objects.count() == 2
    assert "as if there were no arrangement" in words(ana.get(ana.here + "?act=arrangements.cancel"))
    ana.do(ana.contact, "arrangements.cancel", account=maria.pk, words="Pays it all tomorrow")
    assert Arrangement.objects.get().state == "cancelled" and "not collected" not in words(ana.get(ana.here))


def test_questions_do_not_grow_with_what_was_agreed_before(ana, maria):
    counts = []
    for _ in range(3):
        ana.do(ana.contact, "arrangements.agree", account=maria.pk, plan="2026-11-27:7100,2026-12-11:7100")
        ana.get(ana.here)
        with Counting(connection) as asked:
            ana.get(ana.here)
        counts.append(len(asked))
        ana.do(ana.contact, "arrangements.cancel", account=maria.pk, words="Again")
    assert counts[0] == counts[1] == counts[2]


def test_the_form_bears_whatever_is_asked_and_typed(ana, maria):
    for what, nasty in NASTY.items():
        for names in (("now", "each", "rhythm", "payday", "plan"), ("plan", "due_1", "amount_1", "method", "consent")):
            given = dict.fromkeys(names, nasty)
            bears(ana.http.get(ana.here, {"act": "arrangements.agree", **given}), (names, what))
            bears(ana.do(ana.contact, "arrangements.agree", account=maria.pk, **{**given, "plan": "own"}), (names, what))
    for payday in ("0001-01-01", "9999-12-31"):
        bears(ana.http.get(ana.here, {"act": "arrangements.agree", **PAYDAY, "payday": payday, "rhythm": "monthly"}), payday)
    bears(ana.do(ana.contact, "arrangements.agree", account=maria.pk, plan="9999-12-31:14200"), "the last day there is")
    assert not Arrangement.objects.exists()


def test_an_agent_offers_plans_and_agrees_by_api(maria):
    vera = Caller(token_of(people.hire("vera", "Vera (AI)", "agent"))[1])
    vera.take(maria)
    offered = vera.must("arrangements.propose", account=str(maria.pk), now=7100, each=7100, payday="2026-11-27")
    parts = offered["show"]["plans"][0]["parts"]
    assert parts == [{"due_on": "2026-11-24", "amount": 7100}, {"due_on": "2026-11-27", "amount": 7100}]
    assert vera.must("arrangements.agree", account=str(maria.pk), parts=parts)["status"] == "done"
    assert Account.objects.get(pk=maria.pk).arrangements.count() == 1
