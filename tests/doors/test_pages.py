"""Each page and part of the desk: works, refuses, asks the database as often for twenty rows as for one, and bears
whatever is typed into it."""

from __future__ import annotations

import os
import re
from datetime import date, timedelta

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from careline.domain.approvals.models import Request
from careline.domain.contacts.models import Contact, Draft, FollowUp, Note
from careline.domain.credits.models import Grant
from careline.domain.customers.models import AccountPerson, Customer, Device, Line, Person, Usage
from careline.domain.journal import queries as journal
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.models import Outbox, Payload, RequestKey
from careline.domain.ledger import operations as ledger
from careline.domain.ledger.models import Bill, BillLine, Charge, Payment, PaymentLink, PaymentMethod
from careline.domain.network.models import Area, AreaPart, Trouble
from careline.domain.staff import operations as staff_operations
from careline.domain.staff.models import Staff, Token
from tests import people
from tests.doors.test_access import (
    ACTS,
    Browser,
    ask_for_a_credit,
    begin_a_walk,
    hold_contact,
    known_of,
    sit_down,
    undone,
)
from tests.people import TUESDAY, Desk, key


@pytest.fixture
def otto(house, clock):
    """Somebody else's account, with one of everything that a form could be pointed at."""
    return people.open_account("Otto Berg", "+12065550199", "A-0104900", pin="9182")


@pytest.fixture
def ana(house, maria):
    """Ana with Maria on the line, verified."""
    return sit_down(house["ana"], maria, "verified")


def holder_of(account) -> int:
    return AccountPerson.objects.get(account=account, right="holder").person_id


class Counting(CaptureQueriesContext):
    """The questions that a page asks. The rulebook is asked for anew every few seconds, by the clock: not counted."""

    def __len__(self):
        return sum("rulebook_activation" not in q["sql"] for q in self.captured_queries)


def text_of(response) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


# ---------------------------------------------------------------- works


def test_a_customer_whose_name_the_import_made_up_is_marked(ana, maria):
    assert "made up by the import" not in text_of(ana.get(ana.here))
    Customer.objects.filter(pk=maria.customer_id).update(synthetic=True)
    assert "name and number made up by the import" in text_of(ana.get(ana.here))


def test_home_greets_and_says_what_waits(house, maria, clock):
    mine = hold_contact(house["ana"], maria, "verified")
    FollowUp.objects.create(account=maria, contact=mine, owner=house["ana"], due_on=date(2026, 11, 23), what="Call about the refund")
    Desk(people.hire("pbx", "Telephone", "service")).must("contacts.ring", caller_number="+12065550177")
    page = text_of(Browser(house["ana"]).get("/"))
    for words in ("Good morning, Ana", mine.reference, "Call about the refund", "1 day late", "(206) 555-0177", "Answer"):
        assert words in page


def test_the_find_box_says_what_to_try_when_nothing_is_found(house, maria):
    browser = Browser(house["ana"])
    assert "Ask for the full phone number" in text_of(browser.get("/find?q=Nobody+Here"))
    assert browser.get("/find?q=").status_code == 200
    assert "Ask for the full phone number" not in text_of(browser.get("/find?q=Okafor"))


def test_digits_that_two_accounts_end_in_ask_which(house, maria, clock):
    people.open_account("Otto Berg", "+13105550188", "A-0104900")
    page = text_of(Browser(house["ana"]).get("/find?q=0188"))
    assert "A-0104822" in page and "A-0104900" in page and "ask which" in page and "Otto" not in page


def test_searches_over_the_hours_number_are_429_and_show_nobody(house, maria, monkeypatch):
    from careline.domain.rulebook import queries as rulebooks

    monkeypatch.setitem(rulebooks.current().limits["search"], "per_hour", 1)
    browser = Browser(house["ana"])
    assert [browser.get("/find?q=Okafor").status_code for _ in range(2)] == [200, 429]
    assert "A-0104822" not in text_of(browser.get("/find?q=Okafor"))


SECTIONS = {
    "": ("$48.60", "Plus 15", "Pixel 8"), "?section=lines": ("(206) 555-0188",), "?section=time": ("caller verified",), "?section=notes": ("Prefers mornings",),
    "?act=credits.grant": ("You may grant up to $25.00",), "?act=payments.take": ("…4242", "48.60"), "?act=payments.send_link": ("(206) 555-0188",),
    "?act=contacts.hand_over": ("Ben Carter",), "?act=contacts.end": ("The caller is gone",), "?act=contacts.drop": ("It dropped",),
    "?act=credits.reverse": ("no credit to take back",), "?act=contacts.reason": ("What is it about?",), "?verify=more": ("Prove one more factor",),
    "journal": ("Journal of account A-0104822", "Account PIN: caller verified"),
}


def test_each_section_and_form_of_the_account_page_shows_its_own(ana, maria):
    ana.do(ana.contact, "contacts.note", account=maria.pk, words="Prefers mornings")
    for address, expected in SECTIONS.items():
        page = text_of(ana.get(ana.here + address))
        assert [words for words in expected if words not in page] == [], address


def test_a_contact_from_first_word_to_wrap_up_by_forms_alone(house, maria):
    """No script: each step is a form and a redirect."""
    ana = Browser(house["ana"])
    opened = ana.post("/start", account=maria.pk, person=holder_of(maria))
    contact = Contact.objects.get()
    assert opened.status_code == 303 and opened["Location"] == f"/contacts/{contact.reference}/"
    steps = [
        ("contacts.reason", {"reason": "bill"}), ("contacts.check_pin", {"account": maria.pk, "pin": "4711"}),
        ("credits.grant", {"account": maria.pk, "amount": "$5.00", "reason": "goodwill", "words": "two dropped calls"}),
        ("contacts.note", {"account": maria.pk, "words": "Wants paper bills", "pinned": "on"}), ("contacts.hold", {}), ("contacts.resume", {}),
        ("payments.take", {"account": maria.pk, "amount": "43.60", "method": PaymentMethod.objects.get().pk}), ("contacts.end", {}),
        ("contacts.wrap_up", {"summary": "Credit and payment", "disposition": "resolved", "root_cause": "bill_changed", "follow_up": "Look at the next bill",
                              "due_on": "2026-12-04", "owner": house["ana"].pk}),
    ]
    for code, typed in steps:
        answer = ana.do(contact, code, **typed)
        assert answer.status_code in (302, 303), (code, text_of(answer))
    assert (Grant.objects.get().amount_minor, Note.objects.get().pinned, FollowUp.objects.get().what) == (500, True, "Look at the next bill")
    assert Payment.objects.latest("pk").amount_minor == 4360
    assert ana.get(f"/contacts/{contact.reference}/").status_code == 410
    assert not list(journal.verify())


def test_one_found_has_the_cursor_and_several_have_it_before_the_first(house, maria, otto):
    ana = Browser(house["ana"])
    one, two = text_of(ana.get("/find?q=Okafor")), text_of(ana.get("/find?q=20655501"))
    assert 'autofocus>Open a contact' in one and two.count("Open a contact") == 2
    assert "autofocus>Open" not in two and '<ul class="found-list" tabindex="-1" data-focus>' in two


def test_who_only_wants_to_pay_has_one_form_with_the_cursor_in_it(house, maria):
    ana = Browser(house["ana"])
    contact = hold_contact(house["ana"], maria, "identified")
    page = text_of(ana.get(f"/contacts/{contact.reference}/?act=payments.send_guest_link"))
    assert page.count("Somebody who only wants to pay</h") == 1 and ">Or<" not in page
    assert re.search(r'name="amount"[^>]* autofocus', page)
    wrong = text_of(ana.do(contact, "payments.send_guest_link", account=maria.pk, amount="20", number="12"))
    assert re.search(r'name="number"[^>]*aria-invalid="true"', wrong) and 'value="20"' in wrong


def test_an_act_with_nothing_to_do_it_to_says_so_and_keeps_its_key(ana, maria):
    page = text_of(ana.get(ana.here))
    for why in ("Nothing is past due.", "This account has no credit to take back.", "No line is suspended."):
        assert f'data-why="{why}"' in page
    ana.do(ana.contact, "credits.grant", account=maria.pk, amount="5", reason="goodwill")
    Line.objects.update(status="suspended")
    page = text_of(ana.get(ana.here))
    assert "no credit to take back" not in page and "No line is suspended." not in page and "No line is active." in page


def _closed(maria, days: int, person) -> None:
    Contact.objects.create(reference=f"C-000090{days}-0", channel="voice", state="closed", account=maria, holder=person, began=TUESDAY - timedelta(days=days),
                           last_active=TUESDAY - timedelta(days=days), closed=TUESDAY - timedelta(days=days), summary="Asked about roaming")  # fmt: skip


def _dark(maria, person) -> None:
    """An outage where Maria lives, entered two hours ago."""
    type(maria).objects.filter(pk=maria.pk).update(postal_code="98104")
    area = Area.objects.create(code="seattle", name="Seattle")
    AreaPart.objects.create(area=area, kind="postal", value="981")
    Trouble.objects.create(number="NT-1", area=area, kind="outage", voice=True, data=True, text=False, began=TUESDAY - timedelta(hours=2), expected_end=TUESDAY + timedelta(hours=3),
                           words="A mast has no power.", entered_by=person, entered_at=TUESDAY, changed_by=person)  # fmt: skip


ABOUT = {
    "an outage where she lives": (_dark, "Outage in Seattle: calls, data", "find the cause", r"section=cause&amp;line=\d+", "expected until 10:00 am PT. A mast has no power."),
    "a bill that jumped": (lambda m, who: people.issue_bill(m, m.lines.get(), date(2026, 11, 22), 9900), "Bill up $", "explain", r"explain=\d+", "Why the bill differs"),
    "a payment that failed": (lambda m, who: Charge.objects.create(account=m, key="k-1", amount_minor=4860, state="declined", reason="The bank said no", at=TUESDAY - timedelta(days=2)),
                              "Payment of $48.60 failed", "take a payment", r"act=payments\.take", "Take a payment"),
    "a line suspended": (lambda m, who: m.lines.update(status="suspended", status_since=date(2026, 11, 20), status_reason="lost"), "Line 0188 is suspended", "find the cause",
                         r"section=cause&amp;line=\d+", "Find the cause"),
    "a line suspended for money": (lambda m, who: m.lines.update(status="suspended", suspended_for="non_payment"), "Line 0188 is suspended", "why, and what to do", r"past-due/", "Past due"),
    "data used up": (lambda m, who: Usage.objects.create(line=m.lines.get(), kind="data", day=date(2026, 11, 20), quantity=16_000), "Line 0188: data used up", "find the cause",
                     r"section=cause&amp;line=\d+", "Find the cause"),
    "a third contact this week": (lambda m, who: [_closed(m, days, who) for days in (1, 3)], "3rd contact this week", "read", r"section=time", "What happened on this account"),
    "money past due": (lambda m, who: people.issue_bill(m, m.lines.get(), date(2026, 10, 20), 4500), "past due", "why, and what to do", r"past-due/", "Past due"),
}  # fmt: skip


@pytest.mark.parametrize("about", ABOUT)
def test_what_they_probably_call_about_stands_first_with_its_way_forward(house, ana, maria, about):
    happened, title, label, address, there = ABOUT[about]
    happened(maria, house["ben"])
    box = re.search(r'<ul class="probably">(.*?)</ul>', text_of(ana.get(ana.here))).group(1)
    row = next(part for part in box.split("</li>") if title in part)
    href = re.search(r'href="([^"]+)"', row).group(1)
    assert re.search(address, href) and f'<span class="probably-link">{label}</span>' in row
    assert there in row or there in text_of(ana.get(href.replace("&amp;", "&")))


def test_how_they_like_to_be_helped_is_read_once_they_are_verified(house, maria):
    Customer.objects.update(likes="Written summaries by email")
    contact = hold_contact(house["ana"], maria, "identified")
    ana = Browser(house["ana"])
    here = f"/contacts/{contact.reference}/"
    assert "Written summaries" not in text_of(ana.get(here))
    ana.do(contact, "contacts.check_pin", account=maria.pk, pin="4711")
    assert "likes: Written summaries by email" in text_of(ana.get(here)) and "Written summaries by email" in text_of(ana.get(here + "?section=care"))


def test_a_promise_says_its_day_and_a_day_its_promise_at_the_field(ana, maria):
    ana.do(ana.contact, "contacts.end")
    given = {"summary": "All said", "disposition": "resolved", "root_cause": "bill_changed"}
    page = text_of(ana.do(ana.contact, "contacts.wrap_up", **given, follow_up="Call about the watch"))
    assert re.search(r'name="due_on"[^>]*aria-invalid="true"', page) and "Say by when the follow-up is due." in page
    page = text_of(ana.do(ana.contact, "contacts.wrap_up", **given, due_on="2026-12-04"))
    assert re.search(r'name="follow_up"[^>]*aria-invalid="true"', page) and "Say what is due then" in page
    assert not FollowUp.objects.exists()


# ---------------------------------------------------------------- page and part


def test_a_boosted_page_brings_each_part_that_the_desk_exchanges_exactly_once(ana, house, maria):
    """htmx takes #main, #top and #flashes out of the same answer that a browser without script draws; a form that is
    drawn again takes #act."""
    lena, ada = Browser(house["lena"]), Browser(house["ada"])
    asked = ask_for_a_credit(ana.contact, house["ana"])
    pages = [(ana, "/"), (ana, "/find?q=Okafor"), (ana, ana.here), (ana, ana.here + "?section=time"), (ana, ana.here + "journal"), (lena, "/approvals"),
             (lena, f"/approvals/{asked.pk}"), (ada, "/people"), (ana, "/nothing"), (ada, "/find"), (ana, "/api/docs")]
    for browser, address in pages:
        part, whole = browser.get(address, HX_Request="true", HX_Boosted="true"), browser.get(address)
        for id_ in ("main", "top", "flashes"):
            assert part.content.decode().count(f'id="{id_}"') == 1, (address, id_)
        assert part.status_code == whole.status_code
        assert "no-store" in part.get("Cache-Control", "no-store")
    again = ana.get(ana.here + "?act=credits.grant&reason=retention&amount=7&words=leaving", HX_Request="true").content.decode()
    assert again.count('id="act"') == 1 and "up to $25.00" in again and 'value="leaving"' in again


def test_a_refused_form_comes_back_with_what_was_typed_and_a_new_key(ana, maria):
    mine = key()
    answer = ana.do(ana.contact, "credits.grant", account=maria.pk, amount="99", reason="goodwill", words="a bad week", request_key=mine)
    page = answer.content.decode()
    assert answer.status_code == 422 and 'value="99"' in page and "a bad week" in page and "Rule <code>credit-reason</code>" in page
    assert mine not in page and re.search(r'name="request_key" value="[0-9a-f]{32}"', page)


def test_an_answer_with_a_mistake_in_it_says_so_at_its_field(ana, maria):
    answer = ana.do(ana.contact, "credits.grant", account=maria.pk, amount="ten", reason="goodwill")
    assert answer.status_code == 422 and re.search(r'id="[\w-]+amount-error">[^<]+', answer.content.decode())
    assert not JournalLine.objects.filter(code="credits.grant").exists()


# ---------------------------------------------------------------- polls


def polls(house, ana):
    asked = ask_for_a_credit(ana.contact, house["ana"])
    return [(ana, "/ringing"), (ana, f"/requests/{asked.pk}/part"), (Browser(house["lena"]), "/approvals/part"), (ana, "/messages/part")]


def test_a_poll_is_204_while_nothing_changed_and_a_part_of_its_own_when_something_did(ana, house, maria, monkeypatch):
    monkeypatch.setattr(settings, "DEMO", True)
    telephone, before = people.hire("pbx", "Telephone", "service"), {}
    tries = polls(house, ana)
    for browser, address in tries:
        first = browser.get(address)
        assert first.status_code == 200 and "<html" not in first.content.decode() and first["Cache-Control"] == "no-store"
        before[address] = first["X-Careline-Seen"]
        again = browser.get(address, X_Careline_Seen=before[address])
        assert (again.status_code, again.content) == (204, b""), address
        assert browser.get(f"{address}?seen={before[address]}").status_code == 204, "the address of the page's own poll"
        assert browser.get(f"{address}?seen={before[address]}", X_Careline_Seen="what it showed before").status_code == 200
    Desk(telephone).must("contacts.ring", caller_number="+12065550177")
    ask_for_a_credit(ana.contact, house["ana"], "credits.reverse")
    Request.objects.filter(code="credits.grant").update(state="declined", decided_by=house["lena"], decided_at=TUESDAY, answer="Not this time")
    from careline.carriers import messenger

    messenger().send(key="m1", channel="sms", to="+12065550188", body="123456 is your code.", topic="one_time_code")
    news = ["(206) 555-0177", "Not this time", "Grant a credit", "123456 is your code."]
    for (browser, address), words in zip(tries, news, strict=True):
        answer = browser.get(address, X_Careline_Seen=before[address])
        assert answer.status_code == 200 and words in text_of(answer), address


def test_the_page_already_shows_what_its_poll_would_say(ana, house, maria, monkeypatch):
    """The first poll after a page was drawn is a 204 too."""
    monkeypatch.setattr(settings, "DEMO", True)
    ask_for_a_credit(ana.contact, house["ana"])
    for browser, page in ((ana, "/"), (ana, ana.here), (Browser(house["lena"]), "/approvals"), (ana, "/messages")):
        (poll,) = re.findall(r'data-poll="([^"]+)"', browser.get(page).content.decode())
        assert browser.get(poll.replace("&amp;", "&")).status_code == 204, page


def test_polls_keep_neither_the_session_nor_the_level_awake(ana, house, maria, clock, monkeypatch):
    monkeypatch.setattr(settings, "DEMO", True)
    assert ana.get(ana.here).status_code == 200
    tries = polls(house, ana)
    stood = Contact.objects.values_list("last_active", flat=True).get()
    for _ in range(3):
        clock.later(minutes=9)
        for browser, address in tries:
            assert browser.get(address, X_Careline_Poll="1").status_code == 200
    assert Contact.objects.values_list("last_active", flat=True).get() == stood
    assert not JournalLine.objects.filter(at__gt=TUESDAY, code__in=["view.contact", "view.account"]).exists()
    clock.later(minutes=4)  # 31 since the page was drawn
    assert ana.get("/ringing", X_Careline_Poll="1").status_code == 401
    again = Browser(house["ana"]).get(ana.here)
    assert "Not verified" in text_of(again) and "$48.60" not in text_of(again)


def test_looking_at_the_page_does_keep_the_level_awake(ana, clock):
    for _ in range(3):
        clock.later(minutes=20)
        assert "$48.60" in text_of(ana.get(ana.here))


def test_a_poll_asks_little_of_the_database(ana, house):
    for browser, address in polls(house, ana):
        browser.get(address)  # the first request of a session writes when it was
        with Counting(connection) as asked:
            browser.get(address)
        assert len(asked) <= 5, (address, [q["sql"][:80] for q in asked])


# ---------------------------------------------------------------- as many questions for twenty rows as for one


def more_of_everything(house, account, contact, rows):
    """One more of each kind of row that a page lists, for each of `rows`."""
    line = account.lines.first()
    ana = house["ana"]
    desk = Desk(ana)
    desk.contact = contact.pk
    for i in rows:
        device = Device.objects.create(imei=f"86{Device.objects.count():013d}", make="Fair", model=f"Phone {i}")
        Line.objects.create(account=account, msisdn=f"+1206556{i:04d}", plan=line.plan, device=device, activated_on=line.activated_on, number_since=line.number_since, iccid=f"89012{i:014d}")
        AccountPerson.objects.create(account=account, person=Person.objects.create(name=f"Cousin {i}"), right="authorized")
        PaymentMethod.objects.create(account=account, token=f"tok-{i}", brand="Visa", last_four=f"{i:04d}")
        people.pay(account, 100 + i, TUESDAY - timedelta(days=i))
        Note.objects.create(account=account, contact=contact, author=ana, at=TUESDAY, text=f"Note {i}", pinned=i % 2 == 0)
        bill = Bill(number=f"B-many-{Bill.objects.count()}", account=account, period_start=date(2026, 8, 4), period_end=date(2026, 9, 3), issued_on=date(2026, 9, 4), due_on=date(2026, 9, 24), total_minor=2000)
        ledger.post_bills_many([bill], [(bill, BillLine(kind="fee", label=f"Fee {j}", line=line, unit_price_minor=100, amount_minor=100)) for j in range(20)], TUESDAY)
        FollowUp.objects.create(account=account, contact=contact, owner=ana, due_on=date(2026, 11, 30), what=f"Promise {i}")
        Contact.objects.create(reference=f"C-ring-{i}", channel="voice", state="ringing", caller_number="+12065550177", last_active=TUESDAY, began=TUESDAY)
        Contact.objects.create(reference=f"C-old-{i}", channel="voice", state="closed", holder=ana, account=account, last_active=TUESDAY, began=TUESDAY - timedelta(hours=2), closed=TUESDAY, summary="x")
        colleague = people.hire(f"colleague{i}", f"Colleague {i}", "associate")
        staff_operations.issue_token(act=people.carrier_act(), staff_id=colleague.pk, label="t", scope="*", expires_at=TUESDAY + timedelta(days=9))
        namesake = people.open_account(f"Maria Okafor {i}", f"+1206557{i:04d}", f"A-02{i:05d}", bills=0, pin=None)
        for asker in (house["ben"], ana):
            asked = ask_for_a_credit(contact, asker)
        asked.state, asked.decided_by, asked.decided_at = "approved", house["lena"], TUESDAY
        asked.save()
        assert namesake.pk and desk.act("credits.grant", account=account.pk, amount=10 + i, reason="goodwill").status in ("done", "refused")


@pytest.fixture
def lists(house, maria, ana):
    """Every page that lists something, with who opens it."""
    ana.do(ana.contact, "payments.send_link", account=maria.pk, amount="5", line=maria.lines.get().pk)
    asked, lena, ada = ask_for_a_credit(ana.contact, house["ben"]), Browser(house["lena"]), Browser(house["ada"])
    bill = Bill.objects.filter(account=maria).latest("issued_on")
    ended = hold_contact(house["ben"], maria, "wrap-up")
    return [
        *((ana, ana.here + part) for part in ("", "?section=lines", "?section=time", "?section=notes", f"?section=money&bill={bill.pk}", "?act=credits.grant", "?act=credits.reverse",
                                              "?act=payments.take", "?act=payments.send_link", "?act=contacts.hand_over", "?verify=more", "?move=1&q=Okafor", "journal", "money/")),
        (ana, "/"), (ana, "/ringing"), (ana, "/find?q=Okafor"), (ana, "/find?q=206"), (lena, "/approvals"), (lena, "/approvals/part"), (lena, f"/approvals/{asked.pk}"),
        (ada, "/people"), (Browser(house["ben"]), f"/contacts/{ended.reference}/"),
    ]


def test_a_page_asks_the_database_as_often_for_twenty_rows_as_for_one(lists, house, maria, ana):
    def counts():
        found = {}
        for browser, address in lists:
            browser.get(address)  # the first look writes its line
            with Counting(connection) as asked:
                assert browser.get(address).status_code == 200, address
            found[address] = len(asked)
        return found

    more_of_everything(house, maria, ana.contact, range(1))
    one = counts()
    more_of_everything(house, maria, ana.contact, range(1, 21))
    assert counts() == one


def test_the_account_page_takes_at_most_twelve_questions_when_it_is_drawn_again_and_a_part_one_more(ana):
    ana.get(ana.here)
    for part, most in (("", 12), ("?section=lines", 13), ("?section=time", 13), ("?section=notes", 13)):
        with Counting(connection) as asked:
            answer = ana.get(ana.here + part)
        assert len(asked) <= most, [q["sql"][:90] for q in asked]
        assert len(answer.content) < 100_000


# ---------------------------------------------------------------- twice the same form is one act

TWICE = {
    "credits.grant": ({"amount": "5", "reason": "goodwill"}, Grant), "payments.take": ({"amount": "5", "method": "{method}"}, Payment),
    "payments.send_link": ({"amount": "5", "line": "{line}"}, PaymentLink), "payments.send_guest_link": ({"amount": "5", "number": "(206) 555-0123"}, PaymentLink),
    "ledger.send_explanation": ({"bill": "{bill}", "against": "{against}", "line": "{line}", "text": "A discount ended"}, Outbox),
    "contacts.note": ({"words": "Once is enough"}, Note), "contacts.send_code": ({"line": "{line}"}, Outbox),
    "approvals.ask": ({"asked": "credits.grant", "amount": "40", "reason": "retention"}, Request),
}


@pytest.mark.parametrize("code", TWICE)
def test_the_same_form_sent_twice_is_one_act(ana, maria, code):
    typed, kind = TWICE[code]
    known = {"line": maria.lines.get().pk, "method": maria.payment_methods.get().pk}
    known |= dict(zip(("against", "bill"), maria.bills.order_by("issued_on").values_list("pk", flat=True), strict=False))
    typed = {k: v.format(**known) for k, v in typed.items()} | {"account": maria.pk, "request_key": key()}
    before = kind.objects.count()
    answers = [ana.do(ana.contact, code, **typed) for _ in range(3)]
    assert [a.status_code for a in answers] == [303] * 3 and len({a["Location"] for a in answers}) == 1
    assert kind.objects.count() == before + 1
    assert JournalLine.objects.filter(code=code, outcome="done").count() == 1
    other = ana.do(ana.contact, code, **typed | {"amount": "7", "words": "Other words", "text": "Other words", "line": "999", "number": "(206) 555-0124"})
    assert other.status_code == 422 and "used before with other words" in text_of(other)
    assert kind.objects.count() == before + 1


def test_the_same_start_twice_is_one_contact(house, maria):
    browser, typed = Browser(house["ana"]), {"account": maria.pk, "person": holder_of(maria), "request_key": key()}
    first, again = browser.post("/start", **typed), browser.post("/start", **typed)
    assert first["Location"] == again["Location"] and Contact.objects.count() == 1


def test_a_refusal_sent_twice_is_one_refusal(ana, maria):
    typed = {"account": maria.pk, "amount": "99", "reason": "retention", "request_key": key()}
    for _ in range(2):
        assert "credit-event" in text_of(ana.do(ana.contact, "credits.grant", **typed))
    assert JournalLine.objects.filter(code="credits.grant", outcome="refused").count() == 1


def test_a_decision_and_a_hired_colleague_sent_twice_are_one(house, ana, maria):
    ana.do(ana.contact, "approvals.ask", account=maria.pk, asked="credits.grant", amount="40", reason="retention")
    lena, ada = Browser(house["lena"]), Browser(house["ada"])
    typed = {"decision": "less", "amount": "30", "answer": "Fair", "request_key": key()}
    assert [lena.post(f"/approvals/{Request.objects.get().pk}", **typed).status_code for _ in range(2)] == [303, 303]
    assert Grant.objects.get().amount_minor == 3000
    token = {"code": "staff.issue_token", "staff": house["ada"].pk, "label": "script", "scope": "*", "days": "9", "request_key": key()}
    assert [ada.post("/people", **token).status_code for _ in range(2)] == [200, 303]  # its secret is shown once
    assert Token.objects.count() == 1


def test_a_form_without_a_key_does_nothing(ana, maria):
    for bad in ("", "short", "x" * 81, "tab\tin it", "\u202e" * 9):
        answer = ana.do(ana.contact, "credits.grant", account=maria.pk, amount="5", reason="goodwill", request_key=bad)
        assert answer.status_code == 422, repr(bad)
    assert not Grant.objects.exists()


# ---------------------------------------------------------------- whatever is typed

NASTY = {
    "NUL": "a\x00b", "negative": "-5", "infinite": "1e999", "a digit that is none": "²", "very many digits": "9" * 5000, "just beyond a column": str(2**63),
    "wild text": "<script>alert(1)</script>'\"{{7*7}}{% %00%zz \u202e\u200fשלום 👩\u200d👩\u200d👧 e\u0301\u0301\ufeff",
}


# These reach every field in the deep run, and otherwise one field in four each.
SOMETIMES = () if os.environ.get("CARELINE_FUZZ") else ("negative", "infinite", "very many digits", "wild text")


def forms_of_the_desk(house, account, contact, asked) -> list[tuple[str, str, dict[str, object]]]:
    """Every form there is: who sends it, where, and what is on it."""
    known = known_of(account) | {
        "note": Note.objects.get().pk, "credit": "CR-0000001-1", "colleague": house["ben"].pk, "request": asked.pk, "walk": begin_a_walk(account).pk,
    }
    here = f"/contacts/{contact.reference}/"
    found = [("ana", f"{here}do/{code}", {k: v.format(**known) for k, v in typed.items()}) for code, (typed, _) in ACTS.items()]
    found += [
        ("ana", f"{here}do/credits.grant", {"account": account.pk, "amount": "1", "reason": "billing_error", "bill_line": BillLine.objects.filter(kind="plan").first().pk, "words": "x"}),
        ("ana", f"{here}do/contacts.hand_over", {"to": house["ben"].pk, "words": "Wants a refund"}),
        ("ana", f"{here}do/approvals.ask_admission", {"account": account.pk, "person": holder_of(account), "words": "Please"}),
        ("ana", f"{here}draft/note/{account.pk}", {"text": "Half a sentence"}),
        ("ana", "/start", {"account": account.pk, "person": holder_of(account), "caller_number": "2065550123", "reason": "bill"}),
        ("ana", "/start/admission", {"account": account.pk, "person": holder_of(account)}),
        ("ana", "/answer", {"contact": contact.pk}),
        ("ana", "/preferences", {"theme": "dark", "keys": "on", "palette_key": "k"}),
        ("ana", "/ring", {"caller_number": "2065550123"}),
        ("lena", f"/approvals/{asked.pk}", {"decision": "less", "amount": "5", "answer": "Fair"}),
        ("ada", "/people", {"code": "staff.add", "name": "Nia", "username": "nia", "role": "associate", "team": "North", "email": "n@x.example"}),
        ("ada", "/people", {"code": "staff.reset_password", "staff": house["ben"].pk}),
        ("lena", "/let-in", {"staff": house["ben"].pk}),
        ("ada", "/welcome", {"login": "ben", "code": "AAA-AAA-AAA", "password": "a long sentence", "again": "a long sentence"}),
        ("ada", "/people", {"code": "staff.change_role", "staff": house["ben"].pk, "role": "expert"}),
        ("ada", "/people", {"code": "staff.set_active", "staff": house["ben"].pk, "active": "on"}),
        ("ada", "/people", {"code": "staff.issue_token", "staff": house["ada"].pk, "label": "x", "scope": "*", "days": "9"}),
        ("ada", "/people", {"code": "staff.revoke_token", "token": "1"}),
    ]
    return found


@pytest.fixture
def every_form(house, maria, ana, monkeypatch):
    monkeypatch.setattr(settings, "DEMO", True)
    ana.do(ana.contact, "contacts.note", account=maria.pk, words="A note")
    asked = ask_for_a_credit(ana.contact, house["ana"], "credits.reverse")
    who = {name: Browser(house[name]) for name in ("lena", "ada")} | {"ana": ana}
    return [(who[name], address, typed) for name, address, typed in forms_of_the_desk(house, maria, ana.contact, asked)]


def bears(response, what) -> None:
    """Nothing broke, and nothing typed became part of the page's own markup."""
    assert response.status_code < 500, what
    assert b"<script>alert" not in response.content, what


@pytest.mark.parametrize("nasty", NASTY)
def test_every_field_of_every_form_bears_whatever_is_typed(every_form, nasty):
    broken, n = [], 0
    for browser, address, typed in every_form:
        for name in typed:
            n += 1
            if nasty in SOMETIMES and n % len(SOMETIMES) != SOMETIMES.index(nasty):
                continue
            with undone():
                response = browser.post(address, **{**typed, name: NASTY[nasty]})
            if response.status_code >= 500 or b"<script>alert" in response.content:
                broken.append((address, name))
    assert not broken


def test_every_form_bears_missing_fields_fields_too_many_and_files(every_form):
    for browser, address, typed in every_form:
        for sent in ({}, *({k: v for k, v in typed.items() if k != name} for name in list(typed)[1:]), {**typed, "bogus": "1", "who": "Staff:1", "level": "4"}):
            with undone():
                bears(browser.post(address, **sent), (address, sent))
        with undone():
            files = {name: SimpleUploadedFile("a.txt", b"\x00\xff") for name in typed}
            bears(browser.http.post(address, {**files, "request_key": key()}), address)


def test_forms_bear_what_is_no_form(every_form):
    for browser, address, _ in every_form[::5]:
        for body, kind in ((b"\xff\x00 not a form", "application/json"), (b"words=%ff%fe%00&account=%", "application/x-www-form-urlencoded"), (b"--x", "multipart/form-data; boundary=x")):
            with undone():
                bears(browser.http.post(address, body, content_type=kind), (address, kind))


def test_what_is_owed_is_said_with_the_ending_that_owes_it(ana):
    ana.do(ana.contact, "contacts.end")
    typed = {"summary": "He waits for a new SIM", "disposition": "follow_up", "root_cause": "none"}
    no = ana.do(ana.contact, "contacts.wrap_up", **typed)
    assert no.status_code == 422 and "Say what we owe, and by when." in text_of(no) and not FollowUp.objects.exists()
    assert ana.do(ana.contact, "contacts.wrap_up", **typed, follow_up="Send the SIM", due_on="2026-12-04").status_code == 302
    assert FollowUp.objects.get().what == "Send the SIM"


def test_the_day_of_a_follow_up_bears_whatever_is_typed(ana):
    for day in ("2026-02-30", "0000-00-00", "0001-01-01", "9999-12-31", "20261204", "1764806400", "tomorrow"):
        with undone():
            ana.do(ana.contact, "contacts.end")
            typed = {"summary": "x", "disposition": "resolved", "root_cause": "bill_changed", "follow_up": "Call back", "due_on": day}
            bears(ana.do(ana.contact, "contacts.wrap_up", **typed), day)


def test_a_megabyte_is_turned_away_and_much_text_is_told_its_limit(every_form):
    for browser, address, typed in every_form[::8]:
        with undone():
            assert browser.post(address, **typed, more="word " * 200_000).status_code in (400, 413), address
    browser, address, typed = next(f for f in every_form if "contacts.note" in f[1])
    answer = browser.post(address, **{**typed, "words": "word " * 90_000})
    assert answer.status_code == 422 and "at most 4000 characters" in text_of(answer)


# Addresses of pages and, for each, the names in it that are tried together.
ASKED = (
    ("{here}", ("act",)), ("{here}", ("section",)), ("{here}", ("q",)), ("{here}", ("verify", "move")), ("{here}", ("admit", "person")), ("{here}", ("bill",)), ("{here}", ("explain", "against")),
    ("{here}?act=ledger.send_explanation", ("explain", "against")), ("{here}?section=money", ("explain",)), ("{here}?explain=next", ("against",)),
    ("{here}?section=time", ("before",)), ("{here}?act=credits.grant", ("bill_line", "amount", "words")), ("{here}?act=credits.grant", ("reason",)),
    ("{here}?act=credits.reverse", ("credit", "words")), ("{here}?act=payments.take", ("amount", "method")), ("{here}?act=payments.send_link", ("amount", "line")),
    ("{here}?act=payments.send_guest_link", ("amount", "number")), ("{here}?act=contacts.hand_over", ("to", "words")), ("{here}journal", ("kind", "before")),
    ("{here}?section=cause", ("walk", "line", "new")), ("{here}?section=cause", ("act", "walk", "remedy")), ("/find", ("q",)), ("/ringing", ("seen",)),
)


@pytest.mark.parametrize("level", ["none", "identified", "wrap-up", "verified"])
def test_every_question_in_an_address_bears_whatever_is_asked(house, maria, level):
    contact, browser = hold_contact(house["ana"], maria, level), Browser(house["ana"])
    for address, names in ASKED if level == "verified" else ASKED[:5]:
        path, _, query = address.format(here=f"/contacts/{contact.reference}/").partition("?")
        fixed = dict([query.split("=")]) if query else {}
        for what, nasty in NASTY.items():
            bears(browser.http.get(path, {**fixed, **dict.fromkeys(names, nasty)}), (address, names, what))


def test_every_address_bears_whatever_stands_in_it(house, clock):
    lena = Browser(house["lena"])
    for bit in ("%00", "²", "9" * 5000, str(2**63), "..%2f..", "%e2%80%ae", "a b", "-1", "<script>alert(1)</script>"):
        for address in ("/contacts/{}/", "/contacts/{}/do/contacts.hold", "/contacts/{}/draft/note/1", "/requests/{}/part", "/approvals/{}", "/follow-ups/{}", "/pay/{}", "/{}"):
            bears(lena.get(address.format(bit)), address)
            bears(lena.post(address.format(bit)), address)


# ---------------------------------------------------------------- foreign things

WITH_ACCOUNT = [code for code, (typed, _) in ACTS.items() if "account" in typed and code not in ("contacts.identify", "approvals.ask_admission")]


def test_an_act_on_another_account_than_the_contacts_is_refused(ana, maria, otto):
    for code in WITH_ACCOUNT:
        with undone():
            before = Outbox.objects.count()
            known = known_of(otto) | {"note": 1, "credit": "CR-0000001-1", "walk": 1}
            answer = ana.do(ana.contact, code, **{k: v.format(**known) for k, v in ACTS[code][0].items()})
            assert answer.status_code == 422 and "about another account" in text_of(answer)
            assert "Otto" not in text_of(answer) and JournalLine.objects.filter(code=code).latest("pk").content["data"]["rule"] == "basis-mismatch"
            assert not otto.grants.exists() and otto.payments.count() == 2 and not Note.objects.exists() and Outbox.objects.count() == before


FOREIGN = {
    "contacts.send_code": {"line": "{line}"}, "contacts.call_back": {"line": "{line}"}, "contacts.pin_note": {"note": "{note}", "pinned": "on"}, "payments.send_link": {"amount": "5", "line": "{line}"},
    "credits.grant": {"amount": "5", "reason": "billing_error", "bill_line": "{bill_line}"}, "credits.reverse": {"credit": "{credit}", "words": "x"},
    "payments.take": {"amount": "5", "method": "{method}"}, "contacts.speaker": {"name": "Otto Berg"}, "approvals.withdraw": {"request": "{request}"},
}


def test_a_thing_of_another_account_cannot_be_used_on_this_one(ana, house, maria, otto):
    for code in FOREIGN:
        with undone():
            ben = Desk(house["ben"]).take_call(otto, pin="9182")
            ben.must("contacts.note", account=otto.pk, text="Otto's own")
            credit = ben.must("credits.grant", account=otto.pk, amount=100, reason="goodwill").show["credit"]
            known = {
                "line": otto.lines.get().pk, "method": otto.payment_methods.get().pk, "note": Note.objects.get().pk, "credit": credit, "bill_line": BillLine.objects.filter(bill__account=otto).first().pk,
                "request": ask_for_a_credit(Contact.objects.get(pk=ben.contact), house["ben"]).pk,
            }
            answer = ana.do(ana.contact, code, account=maria.pk, **{k: v.format(**known) for k, v in FOREIGN[code].items()})
            if code == "contacts.speaker":  # a name that is not on this account is a stranger's
                assert answer.status_code == 303 and Contact.objects.get(pk=ana.contact.pk).person is None
            else:
                assert answer.status_code == 422
            assert not Note.objects.filter(pinned=True).exists() and not Grant.objects.filter(account=maria).exists() and Grant.objects.get().reverses is None
            assert Request.objects.get().state == "waiting" and Payment.objects.filter(account=maria).count() == 2


def test_a_bill_of_another_account_does_not_open_on_this_page(ana, otto):
    """A charge of a bill says which line it is for, by its last four digits."""
    theirs, hers = Bill.objects.filter(account=otto).first(), Bill.objects.exclude(account=otto).first()
    assert "line 0199<" not in text_of(ana.get(f"{ana.here}?bill={theirs.pk}"))
    assert "line 0188<" in text_of(ana.get(f"{ana.here}?bill={hers.pk}"))


def test_a_charge_of_another_account_neither_bounds_nor_carries_a_credit(ana, maria, otto):
    theirs = BillLine.objects.filter(bill__account=otto, kind="plan").first().pk
    for reason in ("goodwill", "retention", "billing_error"):
        page = text_of(ana.get(f"{ana.here}?act=credits.grant&reason={reason}&bill_line={theirs}"))
        assert "left of this charge" not in page, reason
        answer = ana.do(ana.contact, "credits.grant", account=maria.pk, amount="5", reason=reason, bill_line=theirs)
        assert answer.status_code == 422, reason
    assert not Grant.objects.exists()


# ---------------------------------------------------------------- card numbers

CARD = "4111 1111-1111 1111"
TEXTS = {
    "contacts.note": "words", "credits.grant": "words", "credits.reverse": "words", "contacts.hand_over": "words", "approvals.ask": "words", "approvals.ask_admission": "words", "contacts.speaker": "name",
    "diagnosis.start": "words", "diagnosis.tell": "text", "ledger.send_explanation": "text", "contacts.reason": "reason", "payments.send_guest_link": "number", "contacts.wrap_up": "summary",
    "ledger.write_off": "words", "ledger.recover": "words", "payments.refund": "words",
}


def kept_text() -> str:
    """All that was written down, as one text."""
    rows = [*Payload.objects.values_list("body", flat=True), *RequestKey.objects.values_list("outcome", "work"), *JournalLine.objects.values_list("text", flat=True),
            *Note.objects.values_list("text"), *Draft.objects.values_list("text"), *Contact.objects.values_list("summary", "offered_words"), *Request.objects.values_list("words", "input"),
            *FollowUp.objects.values_list("what"), *Outbox.objects.values_list("body"), *Staff.objects.values_list("name")]
    return re.sub(r"[ -]", "", str(rows))


def test_a_card_number_in_any_text_is_refused_kept_nowhere_and_not_shown_again(ana, house, maria):
    for code in TEXTS:
        with undone():
            ana.do(ana.contact, "credits.grant", account=maria.pk, amount="1", reason="goodwill")
            known = known_of(maria) | {"note": 1, "credit": Grant.objects.get().number, "colleague": house["ben"].pk, "request": 1, "walk": 1}
            typed = {k: v.format(**known) for k, v in ACTS[code][0].items()} | {TEXTS[code]: f"she reads {CARD} to me"}
            if code == "contacts.wrap_up":
                ana.do(ana.contact, "contacts.end")
            answer = ana.do(ana.contact, code, **typed)
            assert answer.status_code == 422 and ("card number" in text_of(answer) or code == "payments.send_guest_link")
            assert "41111111" not in re.sub(r"[ -]", "", text_of(answer))  # four digits alone stand in a form's key now and then
            assert "41111111" not in kept_text()


def test_a_card_number_is_refused_in_a_draft_a_search_a_follow_up_an_answer_and_a_label(ana, house, maria):
    draft = ana.post(ana.here + f"draft/note/{maria.pk}", text=f"card {CARD}")
    assert draft.status_code == 422 and "4111" not in draft.content.decode()
    found = ana.get("/find?q=" + CARD.replace(" ", "+"))
    assert found.status_code == 429 or "card number" in text_of(found)
    asked = ask_for_a_credit(ana.contact, house["ana"])
    decided = Browser(house["lena"]).post(f"/approvals/{asked.pk}", decision="decline", answer=CARD)
    assert decided.status_code == 422 and "4111" not in text_of(decided)
    label = Browser(house["ada"]).post("/people", code="staff.issue_token", staff=house["ada"].pk, label=CARD, scope="*", days="9")
    assert label.status_code == 422 and "4111" not in text_of(label) and not Token.objects.exists()
    ana.do(ana.contact, "contacts.end")
    typed = {"summary": "x", "disposition": "resolved", "root_cause": "bill_changed", "due_on": "2026-12-04", "follow_up": CARD}
    assert ana.do(ana.contact, "contacts.wrap_up", **typed).status_code == 422
    assert "4111" not in kept_text()


@pytest.mark.parametrize("number", ["356938035643809", "8901260000000000001", "(206) 555-0188", "89 01 260 0000 0000 00015"])
def test_numbers_of_the_trade_pass(ana, maria, number):
    assert ana.do(ana.contact, "contacts.note", account=maria.pk, words=f"IMEI or SIM {number}").status_code == 303


# ---------------------------------------------------------------- one more factor


def test_the_code_for_strong_is_typed_where_it_was_sent_from(ana, maria):
    assert "For strong: prove one more factor" in text_of(ana.get(ana.here))
    sent = ana.do(ana.contact, "contacts.send_code", account=maria.pk, line=maria.lines.get().pk)
    assert sent.headers["Location"] == ana.here + "?verify=more"
    page = text_of(ana.get(sent.headers["Location"]))
    assert "Sent to the number ending in 0188" in page and 'name="code"' in page
    assert "Cannot prove it" not in page, "who is verified has proven it"
    code = Outbox.objects.get(topic="one_time_code").body.split()[0]
    done = ana.do(ana.contact, "contacts.check_code", account=maria.pk, code=code)
    assert done.headers["Location"] == ana.here and "<b>Strong</b>" in text_of(ana.get(ana.here))


@pytest.mark.parametrize(("lacking", "why"), [("a PIN", "no PIN is set on this account"), ("an old number", "no number of this account is older than 24 hours"), ("a number", "the account has no living number")])
def test_a_caller_who_can_never_be_strong_is_told_so_instead(ana, maria, lacking, why):
    if lacking == "a PIN":
        maria.pin.delete()
    elif lacking == "an old number":
        Line.objects.update(number_since=TUESDAY - timedelta(hours=23))
    else:
        Line.objects.update(status="cancelled")
    page = text_of(ana.get(ana.here))
    assert f"Strong is not possible: {why}" in page and "For strong" not in page
    assert "cannot be made strong" in text_of(ana.get(ana.here + "?verify=more"))


def test_a_locked_factor_does_not_take_the_cursor_from_the_next_one(ana, house, maria):
    ana.contact = hold_contact(house["ben"], maria, "identified")
    ben = Browser(house["ben"])
    ben.do(ana.contact, "contacts.send_code", account=maria.pk, line=maria.lines.get().pk)
    for _ in range(3):
        answer = ben.do(ana.contact, "contacts.check_pin", account=maria.pk, pin="0000")
    page = answer.content.decode()
    assert "data-focus" not in page.partition('class="factors"')[2]
    assert re.search(r'<input id="contacts-check-code-code"[^>]* autofocus', page)


def test_a_day_without_contacts_has_no_mean(house, clock):
    assert "<dt>mean handle time</dt><dd>–</dd>" in text_of(Browser(house["ana"]).get("/"))


# ---------------------------------------------------------------- nobody behind a port


def test_what_no_provider_is_there_for_is_shown_as_not_possible_with_the_reason(ana, house, maria, monkeypatch):
    say = "No payment provider is set up at this desk, so this cannot be done here."
    monkeypatch.setattr(settings, "PAYMENTS", "")
    page = text_of(ana.get(ana.here))
    assert page.count(f'data-why="{say}"') == 2 and "?act=payments.take" not in page.replace(f'data-why="{say}"', "")
    for code in ("payments.take", "payments.send_link"):
        page = text_of(ana.get(f"{ana.here}?act={code}"))
        assert say in page and 'name="amount"' not in page, code
    monkeypatch.setattr(settings, "MESSENGER", "")
    waiting = hold_contact(house["ben"], maria, "identified")
    page = text_of(Browser(house["ben"]).get(f"/contacts/{waiting.reference}/"))
    assert "No messaging provider is set up" in page and "Send the code" not in page and say in page
    assert "payments.send_guest_link" not in page and "Check</button>" in page


# ---------------------------------------------------------------- two of one name, two at one account


def test_two_of_one_name_are_told_to_be_asked_for_what_tells_them_apart(house, maria, clock):
    people.open_account("James Nguyen", "+12535550136", "A-0200001", bills=0)
    people.open_account("James Nguyen", "+14255550137", "A-0200002", bills=0)
    page = text_of(Browser(house["ana"]).get("/find?q=james+nguyen"))
    assert page.count("More than one account has this name") == 2 and "A-0200001" in page and "A-0200002" in page
    assert "0136" not in page and "0137" not in page, "a name matched, no number did"
    assert "More than one account" not in text_of(Browser(house["ana"]).get("/find?q=okafor"))


def test_a_colleague_who_has_the_account_open_is_named_on_it(ana, house, maria, clock):
    assert "has this account open" not in text_of(ana.get(ana.here))
    his = hold_contact(house["ben"], maria, "identified")
    assert "Ben Carter has this account open since 10:00 am" in text_of(ana.get(ana.here))
    before = hold_contact(house["eva"], maria, "identified")
    assert "Ana Silva" not in text_of(Browser(house["eva"]).get(f"/contacts/{before.reference}/")), "nothing of it before verification"
    Contact.objects.filter(pk__in=[his.pk, before.pk]).update(state="closed")
    assert "has this account open" not in text_of(ana.get(ana.here))


def test_the_clock_counts_the_talk_as_the_wrap_up_does_and_not_the_ringing(house, maria, clock):
    bell = Desk(people.hire("pbx", "Telephone system", "service"), clock.now)
    ringing = bell.must("contacts.ring", caller_number="+12065550188").show
    clock.later(seconds=40)
    ana = Browser(house["ana"])
    ana.post("/answer", contact=ringing["id"], request_key=key())
    contact = Contact.objects.get(pk=ringing["id"])

    def pill():
        page = ana.get(f"/contacts/{contact.reference}/").content.decode()
        return re.search(r'class="top-contact.*?data-since="(\d+)"', page, re.S)[1]

    assert pill() == "0"
    clock.later(seconds=65)
    assert pill() == "65" and 'data-since="65"' in ana.get("/").content.decode()
    ana.do(contact, "contacts.hold")
    clock.later(seconds=10)
    assert pill() == "10", "how long they wait"
    ana.do(contact, "contacts.resume")
    clock.later(seconds=5)
    assert pill() == "70"
    ana.do(contact, "contacts.end")
    clock.later(seconds=3)
    page = text_of(ana.get(f"/contacts/{contact.reference}/"))
    assert 'data-since="3"' in page and "<dt>talk</dt><dd>1:10</dd>" in page


def test_the_journal_names_the_contact_and_says_begun_of_what_came_to_its_end(house, maria, ana):
    """The basis is the reference that people know, not a row's id; a PIN that was checked is not "pending" for ever."""
    ana.do(ana.contact, "payments.send_guest_link", account=maria.pk, amount="5", number="2065550123")
    page = ana.get(ana.here + "journal").content.decode()
    assert f">{ana.contact.reference}<" in page and "contact 1<" not in page and "none -" not in page
    assert ">begun<" in page and ">pending<" not in page
    assert "Payment link" in ana.get(ana.here + "journal?kind=money").content.decode()
