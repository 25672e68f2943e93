"""Explain the bill on the contact page: what it shows, to whom, how the credit and the message start from it, and what it bears."""

from __future__ import annotations

import re
from datetime import date, timedelta
from html import unescape

import pytest
from django.db import connection

from careline.domain.customers.models import Plan, Usage
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.models import Outbox
from careline.domain.ledger import operations as ledger
from careline.domain.ledger.models import Bill, BillLine, Entry
from careline.foundation.money import shown
from tests import people
from tests.doors.test_access import Browser, Clock, hold_contact, sit_down
from tests.doors.test_pages import NASTY, Counting, bears, text_of
from tests.operations.test_explain import fee, issue


@pytest.fixture
def maria(house, monkeypatch):
    Clock(monkeypatch)
    account = people.open_account(bills=2)
    issue(account, date(2026, 11, 20), fee(), {"kind": "one_off", "label": "Roaming pass", "unit_price_minor": 1999, "amount_minor": 1999})
    return account


@pytest.fixture
def ana(house, maria):
    return sit_down(house["ana"], maria)


def newest(account) -> Bill:
    return account.bills.latest("issued_on")


def explained(browser, query: str) -> str:
    """The panel alone, as text."""
    page = unescape(text_of(browser.get(f"{browser.here}?section=money&{query}")))
    found = re.search(r'<section class="part explain".*?</section>', page)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found[0])) if found else ""


def test_the_signal_and_the_key_lead_to_the_explanation(ana, maria):
    page = text_of(ana.get(ana.here))
    address = f"{ana.here}?section=money&amp;explain={newest(maria).pk}"
    assert page.count(f'href="{address}"') >= 2  # beside the jump, and under x
    assert re.search(r'<a href="[^"]*explain=\d+" data-key="x" data-act-link', page)
    panel = explained(ana, f"explain={newest(maria).pk}")
    for words in ("+$26.99", "Roaming pass, once", "Late payment fee", "+$21.59", "+$5.40", "8 % of $19.99", "tax included", "Together, the whole change"):
        assert words in panel, words


def test_any_bill_is_compared_with_any_earlier_one(ana, maria):
    first, second, _ = maria.bills.order_by("issued_on")
    assert f"on {first.issued_on:%b} {first.issued_on.day}" in explained(ana, f"explain={newest(maria).pk}&against={first.pk}")
    assert "Every line is the same on both" in explained(ana, f"explain={second.pk}&against={first.pk}")
    assert "Explain this bill against the one before" in text_of(ana.get(f"{ana.here}?bill={second.pk}"))
    assert "Explain this bill" not in text_of(ana.get(f"{ana.here}?bill={first.pk}"))


def test_the_next_bill_is_marked_as_an_estimate_and_cannot_be_sent_as_a_bill(ana, maria):
    panel = explained(ana, "explain=next")
    assert "estimate" in panel and "Your next bill will be about $48.60" in panel and "did not repeat" not in panel and "Send this explanation" not in panel


def test_the_next_bill_is_sent_and_printed_as_it_is_told(ana, maria):
    panel = text_of(ana.get(f"{ana.here}?section=money&explain=next"))
    assert "Send this estimate" in panel and re.search(r"<button[^>]*>As PDF", panel)
    form = unescape(text_of(ana.get(f"{ana.here}?section=money&explain=next&act=ledger.send_explanation")))
    assert 'name="total" value="4860"' in form and "Your next bill will be about $48.60" in form and "By letter, all of it on paper" in form
    typed = {"account": maria.pk, "total": 4860, "line": "", "text": "Your next bill will be about $48.60."}
    assert ana.do(ana.contact, "ledger.send_explanation", **typed).status_code == 303
    assert Outbox.objects.get(topic="bill_explained").channel == "letter", "she has no e-mail address of record"
    moved = ana.do(ana.contact, "ledger.send_explanation", **typed | {"total": 4000})
    assert moved.status_code == 422 and "By now the next bill will be about $48.60" in text_of(moved)
    made = ana.do(ana.contact, "ledger.print_explanation", account=maria.pk, total=4860)
    assert made.status_code == 303 and made["Location"] == f"{ana.here}?section=money&explain=next"
    assert "This estimate as PDF is being made" in text_of(ana.get(made["Location"]))


def test_an_explanation_is_printed_where_it_is_read(ana, maria):
    bill, against = newest(maria), maria.bills.order_by("-issued_on")[1]
    made = ana.do(ana.contact, "ledger.print_explanation", account=maria.pk, bill=bill.pk, against=against.pk)
    assert made["Location"] == f"{ana.here}?section=money&explain={bill.pk}&against={against.pk}"
    assert "This explanation as PDF is being made" in text_of(ana.get(made["Location"]))


def test_the_sentence_beside_an_estimate_and_its_number_agree_about_use_beyond_the_plan(house, maria, ana):
    """Another system bills Maria: what she used is not in it. Careline bills Otto: what he used beyond his plan is."""
    assert "Use beyond the plan, late fees and what is agreed from now on are not in it." in explained(ana, "explain=next")
    otto = people.open_account("Otto Berg", "+12065550199", "A-0104900", bills=0)
    otto.lines.update(activated_on=date(2026, 10, 4))
    Plan.objects.update(data_gb_price_minor=1000)
    people.bill_cycle(date(2026, 11, 4))
    ben = sit_down(house["ben"], otto)
    before = explained(ben, "explain=next")
    line = otto.lines.get()
    Usage.objects.filter(line=line).delete()
    Usage.objects.create(line=line, kind="data", day=date(2026, 11, 20), quantity=16 * 1024)
    panel = explained(ben, "explain=next")
    assert "with use beyond the plan as far as it is known by now" in panel and "not in it" not in panel
    assert "Data over the plan, 1024 MB" in panel and "+$10.96" in panel and "Data over the plan" not in before


def test_the_account_page_names_no_other_sum_for_the_next_bill_than_its_estimate(ana, maria):
    """The sum of the plans would leave out taxes, fees and what ends."""
    side = text_of(ana.get(ana.here)).partition("next bill")[2].partition("</div>")[0]
    assert f'href="{ana.here}?section=money&amp;explain=next">what it will be</a>' in side and "$" not in side


def test_a_bill_says_the_line_and_the_arithmetic_of_each_charge(ana, maria):
    bill = maria.bills.latest("issued_on")
    BillLine.objects.bulk_create([BillLine(bill=bill, kind="usage", label="Data over the plan, 512 MB", line=maria.lines.get(), unit_price_minor=1000, proration_num=512, proration_den=1024, amount_minor=500)])
    page = re.sub(r"<[^>]+>", " ", text_of(ana.get(f"{ana.here}?section=money&bill={bill.pk}")))
    page = re.sub(r"\s+", " ", page)
    assert "Plus 15 GB line 0188" in page and "512 MB at $10.00 a GB" in page and "8 % of $45.00" in page


def test_a_credit_that_stands_on_the_billers_bill_is_said_to_count_once_wherever_that_bill_is_read(ana, maria):
    """$5.00 were credited; the other system's December bill is less by them, and what is owed for December is not."""
    charge = newest(maria).lines.get(label="Late payment fee")
    assert ana.do(ana.contact, "credits.grant", account=maria.pk, amount="5.00", reason="billing_error", bill_line=charge.pk).status_code == 303
    credit = Entry.objects.get(account=maria, kind="credit")
    maria.source_key = "K-1"
    maria.save()
    row = {"source_key": "S-1", "account": "K-1", "number": "F-12", "period_start": date(2026, 11, 23), "period_end": date(2026, 12, 22),
           "issued_on": date(2026, 11, 23), "due_on": date(2026, 12, 14), "total_minor": 4500 + credit.amount_minor, "corrects": None}  # fmt: skip
    line = {"bill": "S-1", "line": None, "taxes": None, "tax_rate_ppm": 0}
    lines = [{**line, "source_key": "S-1-1", "kind": "plan", "label": "Plus 15 GB", "unit_price_minor": 4500, "amount_minor": 4500, "credit": None},
             {**line, "source_key": "S-1-2", "kind": "other", "label": "Adjustment", "amount_minor": credit.amount_minor, "credit": credit.reference}]  # fmt: skip
    assert ledger.import_bills_many(act=people.carrier_act(), rows=[(row, lines)]) == ["written"]
    bill, off = newest(maria), shown(-credit.amount_minor)
    page = text_of(ana.get(f"{ana.here}?section=money&bill={bill.pk}"))
    assert f"{off} of it is {credit.reference}" in page and "$45.00 is owed for this bill" in page
    panel = explained(ana, f"explain={bill.pk}")
    assert f"{off} of credit on this bill was in your account before it, so it counts once." in panel and "Ana Silva did that" in panel
    book = unescape(text_of(ana.http.get(f"{ana.here}money/")))
    assert "of credit on it counts where it was given" in book


def test_a_credit_starts_from_the_charge_that_is_wrong(ana, maria):
    page = unescape(text_of(ana.get(f"{ana.here}?section=money&explain={newest(maria).pk}")))
    charge = newest(maria).lines.get(label="Late payment fee")
    (address,) = (a for a in re.findall(r'href="([^"]+act=credits\.grant[^"]*)"', page) if f"bill_line={charge.pk}" in a)
    form = unescape(text_of(ana.http.get(address)))
    assert 'value="5.00"' in form and f"on bill {newest(maria).number}" in form and f'value="{charge.pk}"' in form
    assert "Why the bill differs" in form, "the explanation stays beside the form"
    answer = ana.do(ana.contact, "credits.grant", account=maria.pk, amount="5.00", reason="billing_error", bill_line=charge.pk)
    assert answer.status_code == 303
    panel = explained(ana, f"explain={newest(maria).pk}")
    assert "$5.00 credited" in panel and "credit Late payment fee" not in panel


def test_a_charge_that_is_credited_whole_says_so_on_its_bill_and_is_offered_no_more(ana, maria):
    bill = newest(maria)
    charge = bill.lines.get(label="Late payment fee")
    opened = unescape(text_of(ana.get(f"{ana.here}?section=money&bill={bill.pk}")))
    assert f"act=credits.grant&bill_line={charge.pk}" in opened
    assert ana.do(ana.contact, "credits.grant", account=maria.pk, amount="2.00", reason="billing_error", bill_line=charge.pk).status_code == 303
    part = unescape(text_of(ana.get(f"{ana.here}?section=money&bill={bill.pk}")))
    assert f"$2.00 credited, {Entry.objects.get(account=maria, kind='credit').reference}" in part and f"bill_line={charge.pk}" in part
    assert ana.do(ana.contact, "credits.grant", account=maria.pk, amount="3.00", reason="billing_error", bill_line=charge.pk).status_code == 303
    whole = unescape(text_of(ana.get(f"{ana.here}?section=money&bill={bill.pk}")))
    assert "$3.00 credited, " in whole and f"bill_line={charge.pk}" not in whole
    late = ana.do(ana.contact, "credits.grant", account=maria.pk, amount="1.00", reason="billing_error", bill_line=charge.pk)
    form = unescape(text_of(late))
    assert late.status_code == 422 and re.search(rf'<option value="{charge.pk}" selected>[^<]*Late payment fee, \$0\.00 left', form), "it does not jump to No charge"
    assert "No more than $0.00 is left of this charge" in form and "No charge" not in form


def test_a_charge_that_the_reason_needs_is_not_called_optional(ana, maria):
    label = r'Charge that was wrong(?! <span class="optional">)'
    assert re.search(label, text_of(ana.get(f"{ana.here}?act=credits.grant&reason=billing_error")))
    assert not re.search(label, text_of(ana.get(f"{ana.here}?act=credits.grant&reason=goodwill")))


def test_who_prefers_spanish_and_likes_mail_is_offered_mail_first_and_the_message_says_that_it_is_english(ana, maria):
    ask = f"{ana.here}?act=ledger.send_explanation&explain={newest(maria).pk}"
    type(maria.customer).objects.update(language="en")
    assert "This message is in English" not in text_of(ana.get(ask))
    type(maria.customer).objects.update(language="es", likes="Written summaries by email", email="maria@okafor.example")
    form = unescape(text_of(ana.get(ask)))
    assert "This message is in English, and they prefer Spanish" in form
    assert form.index("maria@okafor.example, all of it as a PDF") < form.index("(206) 555-0188", form.index('name="text"'))


def test_the_message_is_composed_edited_and_sent(ana, maria):
    bill, against = newest(maria), maria.bills.order_by("-issued_on")[1]
    form = unescape(text_of(ana.get(f"{ana.here}?section=money&explain={bill.pk}&against={against.pk}&act=ledger.send_explanation")))
    assert "Why: Roaming pass, once: +$21.59; Late payment fee: +$5.40." in form
    typed = {"account": maria.pk, "bill": bill.pk, "against": against.pk, "line": maria.lines.get().pk, "text": "Your bill has a roaming pass on it."}
    refused = ana.do(ana.contact, "ledger.send_explanation", **typed | {"text": "Card 4111 1111 1111 1111"})
    assert refused.status_code == 422 and "4111 1111" not in text_of(refused) and "Why the bill differs" in text_of(refused)
    answer = ana.do(ana.contact, "ledger.send_explanation", **typed)
    assert answer.status_code == 303 and answer["Location"].endswith("?section=money")
    assert Outbox.objects.get(topic="bill_explained").body.endswith("roaming pass on it.")
    assert "sent to the customer" in text_of(ana.get(ana.here))


def test_nothing_of_it_is_shown_before_the_caller_is_verified(house, maria):
    browser, contact = Browser(house["ben"]), hold_contact(house["ben"], maria, "identified")
    page = text_of(browser.get(f"/contacts/{contact.reference}/?section=money&explain={newest(maria).pk}"))
    assert "Roaming pass" not in page and "26.99" not in page and "explain=" not in page


def test_another_accounts_bill_is_not_explained_here(ana, maria):
    otto = people.open_account("Otto Berg", "+12065550199", "A-0105000", bill_minor=7777)
    theirs = newest(otto).pk
    for query in (f"explain={theirs}", f"explain={newest(maria).pk}&against={theirs}", f"explain={theirs}&against={theirs}"):
        panel = explained(ana, query)
        assert "77.77" not in panel and "+$26.99" in panel, query


@pytest.mark.parametrize("what", NASTY)
def test_it_bears_whatever_is_asked(ana, maria, what):
    for query in ({"explain": NASTY[what]}, {"explain": newest(maria).pk, "against": NASTY[what]}, {"explain": NASTY[what], "act": "ledger.send_explanation"}):
        bears(ana.http.get(ana.here, {"section": "money", **query}), (what, query))


def test_an_account_without_bills_to_compare_says_so(house, maria, monkeypatch):
    new = people.open_account("Marcus Feld", "+12065550119", "A-0105003", bills=1, pin="4711")
    browser = sit_down(house["ben"], new)
    page = text_of(browser.get(browser.here))
    assert 'data-key="x"' not in page
    for query in ("explain=1", "explain=next&act=ledger.send_explanation", f"explain={newest(new).pk}"):
        assert browser.get(f"{browser.here}?section=money&{query}").status_code == 200
    assert "no bill with one before" in explained(browser, f"explain={newest(new).pk}")


def test_the_page_asks_no_more_for_a_bill_with_many_lines(ana, maria, house):
    def asked(query: str) -> int:
        with Counting(connection) as found:
            ana.get(f"{ana.here}?section=money{query}")
        return len(found)

    plain, few = asked(""), asked(f"&explain={newest(maria).pk}")
    assert few - plain <= 6
    issue(maria, date(2026, 11, 22), fee(), *(fee(f"Fee {'abcdefghijkl'[i]}", 100 + i) for i in range(12)))
    assert asked(f"&explain={newest(maria).pk}") == few


def test_what_was_told_of_a_bill_is_held_against_the_bill_that_came(ana, maria):
    """Ana says $48.60; the bill has data over the plan. Both stand there, and what is between them by its cause."""
    said = explained(ana, "explain=next")
    assert "about $48.60" in said
    explained(ana, "explain=next")  # looked at twice in one call: told once
    (line,) = JournalLine.objects.filter(code="view.estimate", outcome="looked")
    assert line.content["data"] == {"bill_on": "2026-12-04", "total": 4860}
    issue(maria, date(2026, 12, 4), {"kind": "usage", "label": "Data over the plan", "unit_price_minor": 1000, "amount_minor": 840})
    panel = explained(ana, f"explain={newest(maria).pk}")
    assert "About $48.60" in panel and "Ana Silva" in panel and "It came to $57.67 , +$9.07: Data over the plan +$9.07" in panel


def test_a_payment_that_came_back_is_on_top_until_another_comes(ana, maria):
    payment = people.pay(maria, 4860, people.TUESDAY - timedelta(days=3))
    act = people.carrier_act(people.TUESDAY - timedelta(days=1))
    ledger.return_payment(act=act, payment=payment, label="Not enough in the account")
    page = text_of(ana.get(ana.here))
    assert "Payment of $48.60 came back" in page and "Not enough in the account, on Nov 23." in page
    people.pay(maria, 4860, people.TUESDAY - timedelta(hours=2))
    assert "came back" not in text_of(ana.get(ana.here))
