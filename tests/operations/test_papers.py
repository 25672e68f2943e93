"""Bills and explanations as PDF: what stands on them, read back by a parser; and how they are ordered, made, kept and sent."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pypdf
import pytest

from careline.acts.ledger import foreseen
from careline.carriers import messenger
from careline.carriers import press as real
from careline.carriers.press import WeasyPrinter
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.models import Outbox
from careline.domain.ledger import operations, queries
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs import prints
from careline.doors.jobs.papers import make_one
from careline.doors.jobs.worker import send_due
from careline.foundation.money import shown
from careline.foundation.stationery import Stationery
from tests import people
from tests.operations.test_explain import fee, issue
from tests.people import TUESDAY, Desk, open_account

FERNLINE = "Fernline Wireless"
WORDS = Stationery(pay=("By telephone: 1-888-555-0140",), autopay="Automatic payment is on.", reach=("1-888-555-0140",), contest="Call us at 1-888-555-0140.")


@pytest.fixture
def maria(house):
    return open_account(bills=2)


def read(pdf: bytes) -> tuple[pypdf.PdfReader, str]:
    found = pypdf.PdfReader(io.BytesIO(pdf))
    return found, "\n".join(page.extract_text() for page in found.pages)


def tags(found: pypdf.PdfReader) -> Counter:
    """How often each tag of the structure tree occurs."""
    count: Counter = Counter()
    todo = [found.trailer["/Root"]["/StructTreeRoot"]]
    while todo:
        node = todo.pop().get_object()
        if isinstance(node, list):
            todo += node
        elif isinstance(node, dict):
            count[node.get("/S")] += 1
            todo += [node["/K"]] if "/K" in node else []
    return count


def test_a_bill_carries_what_was_owed_what_came_and_its_lines(maria):
    late = maria.bills.latest("issued_on")  # $48.60, not paid
    line = maria.lines.get()
    people.pay(maria, 2000, TUESDAY.replace(month=11, day=18))
    data = {"kind": "usage", "label": "Data over the plan", "quantity": Decimal("0.84"), "unit_price_minor": 1000, "amount_minor": 840, "line": line}
    bill = issue(maria, date(2026, 11, 28), fee(), data)
    found = queries.bill_paper(maria.pk, bill.pk)
    assert (found.before_minor, [m.amount_minor for m in found.since], found.total_minor, found.due_minor) == (4860, [-2000], 6307, 9167)
    assert found.total_minor == bill.total_minor and (found.older_minor, found.is_late, found.before_due_on) == (2860, True, late.due_on)
    assert [(g.title, g.sum_minor) for g in found.groups] == [("(206) 555-0188", 5340), ("For the whole account", 500)]
    assert found.change.say.startswith("Your bill of Nov 28 is $63.07, $14.47 more than the one of")
    assert f"Of the bill of {late.issued_on:%b} {late.issued_on.day}" in found.change.reasons[1].say
    people.pay(maria, 9167, TUESDAY.replace(day=29))
    assert queries.bill_paper(maria.pk, bill.pk) == found, "what comes after the bill is not on it"
    assert queries.bill_paper(open_account("Otto Berg", "+12065550199", "A-0105000").pk, bill.pk) is None, "another account's bill"


def test_a_bill_that_was_replaced_says_so_and_the_one_that_replaces_it_too(maria):
    wrong = issue(maria, date(2026, 11, 20), fee())
    operations.reverse_bills_many([wrong], TUESDAY)
    right = issue(maria, date(2026, 11, 20), corrects=wrong)
    old, new = queries.bill_paper(maria.pk, wrong.pk), queries.bill_paper(maria.pk, right.pk)
    assert (old.replaced_by.number, old.taken_back, new.replaces.number, new.taken_back) == (right.number, True, wrong.number, False)
    assert (old.before_minor, old.total_minor) == (4860, 5400) and (new.total_minor, new.due_minor) == (4860, 9720)


@pytest.mark.once
def test_the_pdf_reads_back_as_the_bill_tagged_titled_and_the_same_each_time(maria, pango):
    charges = [{"kind": "one_off", "label": f"Roaming pass, day {n}", "line": maria.lines.get(), "unit_price_minor": 199, "amount_minor": 199} for n in range(1, 61)]
    bill = issue(maria, date(2026, 11, 20), fee("Fee <b>&\"'\\ } @page"), *charges)
    html = prints.bill(queries.bill_paper(maria.pk, bill.pk), FERNLINE, WORDS)
    pdf = WeasyPrinter().pdf(html)
    assert WeasyPrinter().pdf(html) == pdf
    found, text = read(pdf)
    first = found.pages[0].extract_text()
    for words in ("Maria Okafor", maria.reference, bill.number, "Amount due", "$183.00", "$231.60", "Please pay $48.60 of it by", "(206) 555-0188", "State tax, 8 %", "What changed since", "1-888-555-0140"):
        assert words in first, words
    assert text.count("$1.99") == 60 and "Fee <b>&\"'\\ } @page" in text
    assert len(found.pages) >= 3 and all(f"Page {n} of {len(found.pages)}" in page.extract_text() for n, page in enumerate(found.pages, 1))
    assert all("For\nHow" in page.extract_text() or "For How" in page.extract_text() for page in found.pages[1:3]), "the heads repeat"
    root = found.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"] and root["/Lang"] == "en-US" and root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert found.metadata.title == f"Bill {bill.number} of November 20, 2026, Fernline Wireless"
    assert [float(n) for n in found.pages[0].mediabox[2:]] == [612, 792]
    assert b"pdfuaid:part" in root["/Metadata"].get_data()
    count = tags(found)
    assert count["/H1"] == 2 and count["/Table"] >= 5 and count["/TH"] > 10 and count["/TD"] > 60


@pytest.mark.once
def test_what_a_bill_counts_once_and_whose_taxes_it_lacks_stand_on_its_paper(maria, pango):
    paper = replace(queries.bill_paper(maria.pk, maria.bills.latest("issued_on").pk), settled_minor=545, by_state_only=True)
    found, text = read(WeasyPrinter().pdf(prints.bill(paper, FERNLINE, WORDS)))
    first = found.pages[0].extract_text()
    assert "Credits on this bill that are counted above" in first and "$5.45" in first and shown(paper.due_minor) in first
    assert paper.due_minor == paper.before_minor + sum(m.amount_minor for m in paper.since) + paper.total_minor + 545
    assert "Only the state's tax is on this bill" in " ".join(text.split())


@pytest.mark.once
def test_the_explanation_on_paper_sums_and_names_nobody_who_works_here(house, maria, pango):
    bill, against = issue(maria, date(2026, 11, 20), fee()), maria.bills.order_by("issued_on")[1]
    holder, found = queries.explanation_paper(maria.pk, bill.pk, against.pk, lambda _: ())
    _, text = read(WeasyPrinter().pdf(prints.explanation(holder, found, FERNLINE, WORDS, date(2026, 11, 24))))
    for words in ("Why your bill differs", "Late payment fee", "+$5.40", "Together, the whole difference", "$48.60", "$54.00"):
        assert words in text, words
    assert queries.explanation_paper(maria.pk, bill.pk, 10**9, lambda _: ()) is None


# ---------------------------------------------------------------- ordered, made, kept, sent


class Press:
    """A printer that counts what it printed; `fault` breaks it."""

    def __init__(self) -> None:
        self.printed: list[str] = []
        self.fault: Exception | None = None

    def pdf(self, html: str) -> bytes:
        if self.fault:
            raise self.fault
        self.printed.append(html)
        return b"%PDF-1.7 " + html.encode()


@pytest.fixture
def press() -> Press:
    return Press()


@pytest.fixture
def ana(house, maria):
    maria.customer.email = "maria.okafor@example.com"
    maria.customer.save()
    return Desk(house["ana"]).take_call(maria)


def newest(account):
    return account.bills.latest("issued_on")


def test_a_bill_is_printed_once_however_often_it_is_asked_for(ana, maria, press):
    bill = newest(maria)
    first = ana.must("ledger.print_bill", account=maria.pk, bill=bill.pk)
    again = ana.must("ledger.print_bill", account=maria.pk, bill=bill.pk)
    assert first.show == again.show == {"paper": first.show["paper"], "state": "wanted"} and "being made" in first.say
    assert make_one(at=ana.at, through=press) and not make_one(at=ana.at, through=press)
    (html,) = press.printed
    assert bill.number in html and "Maria Okafor" in html
    assert ana.must("ledger.print_bill", account=maria.pk, bill=bill.pk).show["state"] == "made"
    paper = queries.paper_of_bill(bill.pk)
    assert paper.made.digest == hashlib.sha256(queries.paper_body(paper.pk)).hexdigest() and paper.name == f"bill-{bill.number}.pdf"
    operations.reverse_bills_many([bill], TUESDAY)
    assert queries.paper_of_bill(bill.pk) is None, "what was printed before says nothing of its being taken back"
    ana.must("ledger.print_bill", account=maria.pk, bill=bill.pk)
    assert make_one(at=ana.at, through=press) and "This bill was taken back" in press.printed[-1]


def test_a_copy_waits_for_its_pdf_and_leaves_with_it_to_the_address_of_record_alone(ana, maria, press):
    bill = newest(maria)
    said = ana.must("ledger.send_bill", account=maria.pk, bill=bill.pk)
    assert said.say == f"Bill {bill.number} sent to the e-mail address of record"
    assert send_due(at=ana.at) == 0, "there is nothing to attach yet"
    make_one(at=ana.at, through=press)
    assert send_due(at=ana.at) == 1
    (mail,) = messenger().sent()
    assert (mail["channel"], mail["to"], mail["subject"]) == ("email", "maria.okafor@example.com", f"Su factura {bill.number} de Your carrier")
    (file,) = mail["attachments"]
    assert file["name"] == f"bill-{bill.number}.pdf" and messenger().attached(file["digest"])[2] == queries.paper_body(int(said.show["paper"]))
    ana.must("ledger.send_bill", account=maria.pk, bill=bill.pk)
    assert send_due(at=ana.at) == 1 and len(press.printed) == 1, "the same PDF goes again"
    maria.customer.email = ""
    maria.customer.save()
    by_letter = ana.must("ledger.send_bill", account=maria.pk, bill=bill.pk)
    assert by_letter.say == f"Bill {bill.number} sent by letter" and send_due(at=ana.at) == 1
    letter = next(m for m in messenger().sent() if m["channel"] == "letter")
    assert (letter["to"], letter["subject"], letter["attachments"][0]["name"]) == (maria.reference, "", f"bill-{bill.number}.pdf")


def test_an_explanation_goes_by_e_mail_with_the_whole_of_it(ana, maria, press):
    against, bill = newest(maria), issue(maria, date(2026, 11, 20), fee())
    credited = bill.lines.get(label="Late payment fee")
    ana.must("credits.grant", account=maria.pk, amount=500, reason="billing_error", bill_line=credited.pk, words="Not late")
    ana.must("ledger.send_explanation", account=maria.pk, bill=bill.pk, against=against.pk, text="A late fee came.")
    make_one(at=ana.at, through=press)
    assert send_due(at=ana.at) == 1
    (mail,) = messenger().sent()
    assert mail["subject"].startswith("Why your bill") and mail["body"] == "A late fee came." and mail["attachments"][0]["name"] == f"why-bill-{bill.number}.pdf"
    (html,) = press.printed
    assert "Late payment fee" in html and "So what you pay changed by" in html and "Ana" not in html


def test_what_the_next_bill_will_be_is_printed_and_sent_as_it_was_told(house, press, otto):
    """Careline makes Otto's bills. What was told stays what was told, whatever comes between the call and the printer."""
    ana = Desk(house["ana"]).take_call(otto, pin="9182")
    found = foreseen(otto.pk, date(2026, 11, 24), rulebooks.current())
    total = found.now.total_minor
    moved = ana.act("ledger.send_explanation", account=otto.pk, total=total - 1, text="About the same")
    assert moved.refusal.rule == "estimate-moved" and shown(total) in moved.refusal.say
    sent = ana.must("ledger.send_explanation", account=otto.pk, total=total, text="About the same as ever.")
    assert sent.say == f"The next bill, of Dec 4, 2026, about {shown(total)}, explained against {found.was.number}: sent by letter"
    printed = ana.must("ledger.print_explanation", account=otto.pk, total=total)
    ana.must("lines.add_data", account=otto.pk, line=otto.lines.get().pk, mb=1024, consent=500)
    while make_one(at=ana.at, through=press):
        pass
    assert all("What your next bill will be" in html and shown(total) in html and "Extra data" not in html for html in press.printed) and len(press.printed) == 2
    assert "as our bill run would make it today" in press.printed[0] and "Ana" not in press.printed[0]
    assert send_due(at=ana.at) >= 1
    letter = next(m for m in messenger().sent() if m["channel"] == "letter")
    assert letter["body"] == "About the same as ever." and letter["attachments"][0]["name"] == "what-the-next-bill-will-be.pdf"
    assert [p.state for p in queries.papers_of_explanation(otto.pk, None, found.was.id)] == ["made"] and printed.ok


def test_a_very_long_statement_is_whole_in_several_papers(ana, maria, press, monkeypatch):
    monkeypatch.setattr("careline.domain.ledger.rules.STATEMENT_ROWS", 2)
    monkeypatch.setattr("careline.doors.jobs.papers.STATEMENT_ROWS", 2)
    said = ana.must("ledger.send_statement", account=maria.pk, first="2026-01-01", last="2026-11-24")
    assert said.say == "Statement from Jan 1, 2026 to Nov 24, 2026 sent to the e-mail address of record"
    while make_one(at=ana.at, through=press):
        pass
    book = queries.extract(maria.pk, date(2026, 1, 1), date(2026, 11, 24))
    parts = -(-len(book.rows) // 2)
    assert len(press.printed) == parts > 1 and [f"part {n} of {parts}" in html for n, html in enumerate(press.printed, 1)] == [True] * parts
    assert all(sum(r.entry.reference in html for html in press.printed) >= 1 for r in book.rows), "every entry is on one of them"
    assert send_due(at=ana.at) == parts
    assert {m["attachments"][0]["name"] for m in messenger().sent()} == {f"statement-2026-01-01-to-2026-11-24-part-{n}-of-{parts}.pdf" for n in range(1, parts + 1)}


def test_a_statement_follows_the_ledger_of_its_days(ana, maria, press):
    ana.must("ledger.print_statement", account=maria.pk, first="2026-10-01", last="2026-11-24")
    assert ana.act("ledger.print_statement", account=maria.pk, first="2026-11-24", last="2026-10-01").refusal.fields == {"first": "The first day is after the last."}
    assert make_one(at=ana.at, through=press)
    book = queries.extract(maria.pk, date(2026, 10, 1), date(2026, 11, 24))
    assert book.rows and all(r.entry.reference in press.printed[0] for r in book.rows) and "$48.60" in press.printed[0]


def test_a_printer_that_fails_is_tried_again_and_then_the_mail_is_given_up(ana, maria, press):
    ana.must("ledger.send_bill", account=maria.pk, bill=newest(maria).pk)
    press.fault = OSError("out of paper")
    now = ana.at
    for _ in range(5):
        with pytest.raises(OSError, match="out of paper"):
            make_one(at=now, through=press)
        assert not make_one(at=now, through=press), "it is not tried again at once"
        now += timedelta(hours=1)
    assert make_one(at=now, through=press) and not make_one(at=now + timedelta(hours=9), through=press)
    message = Outbox.objects.get(topic="bill_copy")
    assert (message.state, message.body, message.subject) == ("failed", "", "") and JournalLine.objects.filter(code="messages.give_up").count() == 1
    press.fault = None
    ana.must("ledger.print_bill", account=maria.pk, bill=newest(maria).pk)
    assert make_one(at=now, through=press), "asked for again, it is made"


def test_without_pango_nothing_is_promised_and_what_was_asked_for_waits(ana, maria, press, monkeypatch):
    ana.must("ledger.print_bill", account=maria.pk, bill=newest(maria).pk)
    monkeypatch.setattr(real, "missing", lambda: "libpango-1.0.so.0")
    no = ana.act("ledger.send_bill", account=maria.pk, bill=newest(maria).pk).refusal
    assert no.rule == "not-set-up" and "libpango-1.0.so.0 is missing" in no.say and "apt install" in no.say
    assert not make_one(at=ana.at) and queries.paper_of_bill(newest(maria).pk).tries == 0
    with pytest.raises(OSError, match=r"libpango-1\.0\.so\.0"):
        WeasyPrinter().pdf("<p>x")


def test_nobody_prints_or_sends_before_the_caller_is_verified_or_of_another_account(house, ana, maria, press):
    theirs = newest(open_account("Otto Berg", "+12065550199", "A-0105000"))
    ben = Desk(house["ben"]).take_call(maria, verify=False)
    for code in ("ledger.print_bill", "ledger.send_bill"):
        assert not ana.act(code, account=maria.pk, bill=theirs.pk).ok
        assert ben.act(code, account=maria.pk, bill=newest(maria).pk).refusal.rule == "needs-verified"
    assert not Outbox.objects.filter(channel="email").exists()
