"""Papers at the desk: asked for, being made, opened by whom, and how a copy is sent."""

from __future__ import annotations

import re

import pytest
from django.db import connection

from careline.carriers import press
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.models import Outbox
from careline.doors.jobs.papers import make_one
from tests import people
from tests.doors.test_access import Browser, Clock, hold_contact, printed, sit_down
from tests.doors.test_pages import Counting, text_of


@pytest.fixture
def maria(house, monkeypatch):
    Clock(monkeypatch)
    account = people.open_account(bills=2)
    account.customer.email = "maria.okafor@example.com"
    account.customer.save()
    return account


@pytest.fixture
def ana(house, maria):
    browser = sit_down(house["ana"], maria)
    browser.bill = maria.bills.latest("issued_on")
    browser.bill_page = f"{browser.here}?section=money&bill={browser.bill.pk}"
    return browser


class Paper:
    @staticmethod
    def pdf(html: str) -> bytes:
        return b"%PDF-1.7 " + html.encode()


def test_a_bill_is_asked_for_polled_and_opened_and_each_opening_is_a_line(ana, maria):
    assert re.search(r"<button[^>]*>Bill as PDF", text_of(ana.get(ana.bill_page)))
    answer = ana.do(ana.contact, "ledger.print_bill", account=maria.pk, bill=ana.bill.pk)
    assert answer.status_code == 303 and answer["Location"] == ana.bill_page
    page = text_of(ana.get(ana.bill_page))
    assert "is being made" in page and not re.search(r"<button[^>]*>Bill as PDF", page)
    poll = re.search(r'data-poll="([^"]+/papers/[^"]+)"', page)[1].replace("&amp;", "&")
    seen = ana.get(poll)["X-Careline-Seen"]
    assert ana.get(poll, X_Careline_Seen=seen).status_code == 204
    address = f"{ana.here}papers/{maria.papers.get().pk}.pdf"
    assert ana.get(address).status_code == 404, "not made yet"
    assert make_one(at=people.TUESDAY.replace(year=2027), through=Paper())
    assert f'<a href="{address}" target="_blank" rel="noopener" data-poll-done>' in text_of(ana.get(poll, X_Careline_Seen=seen))
    for _ in range(2):
        opened = ana.get(address)
        assert (opened.status_code, opened["Content-Type"], opened["Cache-Control"]) == (200, "application/pdf", "no-store")
        assert opened["Content-Disposition"] == f'inline; filename="bill-{ana.bill.number}.pdf"' and b"Maria Okafor" in opened.content
    lines = [n.content["data"] for n in JournalLine.objects.filter(code="view.paper", outcome="looked")]
    assert len(lines) == 3 and all(n["bill"] == ana.bill.number for n in lines)


def test_a_paper_opens_to_nobody_before_verification_and_not_from_another_account(house, ana, maria):
    paper = printed(maria)
    ben, contact = Browser(house["ben"]), hold_contact(house["ben"], maria, "identified")
    refused = ben.get(f"/contacts/{contact.reference}/papers/{paper.pk}.pdf")
    assert refused.status_code == 403 and b"48.60" not in refused.content
    assert JournalLine.objects.filter(code="view.paper", outcome="refused").count() == 1
    assert Browser(house["ben"]).get(f"{ana.here}papers/{paper.pk}.pdf").status_code == 403, "a colleague's contact"
    assert Browser(house["ben"]).get(f"{ana.here}papers/{paper.pk}/part").status_code == 404
    theirs = printed(people.open_account("Otto Berg", "+12065550199", "A-0105000"))
    for address in (f"papers/{theirs.pk}.pdf", f"papers/{theirs.pk}/part", "papers/99999.pdf", f"papers/{2**64}.pdf"):
        assert ana.get(ana.here + address).status_code == 404, address


def test_a_copy_goes_to_the_address_that_the_form_names(ana, maria):
    form = text_of(ana.get(f"{ana.here}?act=ledger.send_bill&bill={ana.bill.pk}"))
    assert "maria.okafor@example.com, the e-mail address of record" in form and f"Send a copy of bill {ana.bill.number}" in form
    assert ana.do(ana.contact, "ledger.send_bill", account=maria.pk, bill=ana.bill.pk).status_code == 303
    assert Outbox.objects.get(topic="bill_copy").state == "held"
    maria.customer.email = ""
    maria.customer.save()
    form = text_of(ana.get(f"{ana.here}?act=ledger.send_bill&bill={ana.bill.pk}"))
    assert "There is no e-mail address of record: it goes by letter." in form
    assert ana.do(ana.contact, "ledger.send_bill", account=maria.pk, bill=ana.bill.pk).status_code == 303
    assert Outbox.objects.filter(topic="bill_copy", channel="letter", to=maria.reference, state="held").exists()
    assert "Choose a bill" in text_of(ana.get(f"{ana.here}?act=ledger.send_bill&bill=x"))


def test_an_explanation_may_go_by_e_mail_and_a_statement_is_made_on_the_money_page(ana, maria):
    bill, against = ana.bill, maria.bills.earliest("issued_on")
    form = text_of(ana.get(f"{ana.here}?section=money&explain={bill.pk}&against={against.pk}&act=ledger.send_explanation"))
    assert "maria.okafor@example.com, all of it as a PDF" in form
    typed = {"account": maria.pk, "bill": bill.pk, "against": against.pk, "line": "", "text": "The same as before."}
    assert ana.do(ana.contact, "ledger.send_explanation", **typed).status_code == 303
    assert Outbox.objects.get(topic="bill_explained").channel == "email"
    answer = ana.do(ana.contact, "ledger.print_statement", account=maria.pk, first="2026-10-01", last="2026-11-24")
    assert answer.status_code == 303 and answer["Location"] == f"{ana.here}money/"
    page = text_of(ana.get(f"{ana.here}money/"))
    assert "is being made" in page and re.search(r"<button[^>]*>As PDF", page)


def test_without_pango_the_page_says_what_is_missing_and_offers_nothing(ana, maria, monkeypatch):
    monkeypatch.setattr(press, "missing", lambda: "libpango-1.0.so.0")
    page = text_of(ana.get(ana.bill_page))
    assert "libpango-1.0.so.0 is missing" in page and "apt install libpango-1.0-0" in page
    assert not re.search(r"<button[^>]*>Bill as PDF", page) and "Send a copy" not in page and "As PDF" not in text_of(ana.get(f"{ana.here}money/"))
    refused = ana.do(ana.contact, "ledger.print_bill", account=maria.pk, bill=ana.bill.pk)
    assert refused.status_code == 422 and "is missing" in text_of(refused)


def test_the_pages_ask_no_more_for_more_papers(ana, maria):
    def asked(address: str) -> int:
        with Counting(connection) as found:
            ana.get(address)
        return len(found)

    printed(maria)
    ana.get(ana.bill_page), ana.get(f"{ana.here}money/")  # first looks write a line
    before = asked(ana.bill_page), asked(f"{ana.here}money/")
    for n in range(3):
        ana.do(ana.contact, "ledger.print_statement", account=maria.pk, first=f"2026-10-0{n + 1}", last="2026-11-24")
    assert (asked(ana.bill_page), asked(f"{ana.here}money/")) == before
