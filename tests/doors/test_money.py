"""The money page: the ledger to be followed entry by entry, and what is done from it: placed, given back, given up."""

from __future__ import annotations

import re
from datetime import date, timedelta
from html import unescape

import pytest
from django.db import connection

from careline.acts.declare import BasisRef
from careline.carriers import sandbox
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.models import Outbox
from careline.domain.ledger import operations as ledger_operations
from careline.domain.ledger import queries as ledger
from careline.domain.ledger.models import Bill, BillLine, Entry, Payment, Refund
from tests import people
from tests.doors.test_access import sit_down
from tests.doors.test_pages import NASTY, Counting, bears, text_of
from tests.people import TUESDAY, Desk


@pytest.fixture
def ana(house, maria):
    return sit_down(house["ana"], maria, "verified")


def words(response) -> str:
    """What the page says, without its markup."""
    page = re.sub(r"<(script|style).*?</\1>", " ", text_of(response))
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


def pay_through_the_provider(account, minor: int) -> str:
    """A payment with the saved card, taken at the desk; its number."""
    desk = Desk(people.hire("pia", "Pia Moss", "associate")).take_call(account)
    done = desk.must("payments.take", account=account.pk, amount=minor, method=account.payment_methods.get().pk)
    desk.must("contacts.end")
    desk.must("contacts.wrap_up", summary="Paid", disposition="resolved", root_cause="none")
    return done.show["payment"]


# ---------------------------------------------------------------- the page


def test_the_page_can_be_followed_entry_by_entry_to_the_balance(ana, maria):
    page = words(ana.get(f"{ana.here}money/?months=6"))
    for expected in ("Owed now $48.60", "Past due $0.00", "Owed before $0.00", "Owed after $48.60", "$48.60 bill B-", "Payment, Visa …4242", "Not yet due"):
        assert expected in page, expected
    book = text_of(ana.get(f"{ana.here}money/?months=6")).partition('<table class="table book">')[2].partition("</table>")[0]
    running = [re.findall(r"<td[^>]*>(.*?)</td>", row)[-1] for row in re.findall(r"<tr.*?</tr>", book)[1:]]
    assert running == ["$0.00", "$48.60", "$0.00", "$48.60", "$0.00", "$48.60", "$48.60"]


def test_a_period_begins_with_what_was_owed_before_it(ana, maria):
    second = maria.bills.order_by("issued_on")[1].issued_on
    page = words(ana.get(f"{ana.here}money/?from={second + timedelta(days=1)}&to={second + timedelta(days=30)}"))
    assert "Owed before $48.60" in page and page.count("Payment, Visa") >= 1


def test_a_long_book_is_turned_page_by_page_and_each_begins_where_the_one_before_ended(ana, maria, monkeypatch):
    from careline.doors.web import money

    monkeypatch.setattr(money, "ON_PAGE", 2)
    first = f"{ana.here}money/?months=0"
    pages = [words(ana.get(first))]
    while found := re.search(r'href="([^"]+)">Later entries', text_of(ana.get(first))):
        first = unescape(found[1])
        pages.append(words(ana.get(first)))
    assert [re.search(r"Entries \d+ to \d+ of these days", p)[0] for p in pages] == [f"Entries {n} to {min(n + 1, maria.entries.count())} of these days" for n in range(1, maria.entries.count() + 1, 2)]
    after = [re.search(r"Owed after(?: these)? (\S+)", p)[1] for p in pages]
    before = [re.search(r"Owed before(?: these)? (\S+)", p)[1] for p in pages]
    assert before[0] == "$0.00" and before[1:] == after[:-1] and after[-1] == "$48.60"
    assert "Owed after $48.60" in pages[-1] and "Earlier entries" in pages[-1] and "Later entries" not in pages[-1]
    assert "Nothing was booked" in words(ana.get(f"{ana.here}money/?months=0&page=99999999999"))


@pytest.mark.parametrize(("asked", "says"), [
    ("from=2026-13-01", "Give each day as a date"), ("from=2026-12-01&to=2026-01-01", "changed places"), ("to=x", "Give each day"),
])  # fmt: skip
def test_a_period_that_is_none_says_so(ana, asked, says):
    answer = ana.get(f"{ana.here}money/?{asked}")
    assert answer.status_code == 422 and says in text_of(answer)


def test_the_first_look_is_journaled_and_the_next_is_not(ana):
    for _ in range(2):
        assert ana.get(f"{ana.here}money/").status_code == 200
    assert JournalLine.objects.filter(code="view.money", outcome="looked").count() == 1


def test_the_picture_marks_the_bill_that_changed_and_leads_to_why(ana, maria):
    people.issue_bill(maria, maria.lines.get(), issued=date(2026, 11, 20), amount=6500)
    page = text_of(ana.get(f"{ana.here}money/"))
    newest = maria.bills.latest("issued_on")
    assert page.count('class="chart-bar"') == 4 and page.count('class="chart-mark"') == 1
    assert f'explain={newest.pk}"' in page and "another price" in words(ana.get(f"{ana.here}money/"))


def test_a_change_of_several_causes_is_not_laid_at_one(ana, maria):
    people.issue_bill(maria, maria.lines.get(), issued=date(2026, 11, 20), amount=6500)
    assert "another price, ending 0188, and 1 more" in words(ana.get(f"{ana.here}money/")), "the tax ended too"


def test_the_picture_says_what_its_colours_are(ana, maria):
    assert "open, not yet due" in words(ana.get(f"{ana.here}money/")) and "open and past due" not in words(ana.get(f"{ana.here}money/"))
    people.issue_bill(maria, maria.lines.get(), issued=date(2026, 7, 10), amount=4000)
    assert "open and past due" in words(ana.get(f"{ana.here}money/"))


def test_the_page_asks_as_often_for_a_long_life_as_for_a_short_one(ana, maria):
    ana.get(f"{ana.here}money/?months=0")
    counts = []
    for n in range(2):
        with Counting(connection) as asked:
            assert ana.get(f"{ana.here}money/?months=0").status_code == 200
        counts.append(len(asked))
        if n == 0:
            for back in range(15):
                bill = people.issue_bill(maria, maria.lines.get(), issued=date(2025, 1, 10) + timedelta(days=30 * back), amount=4500 + back)
                people.pay(maria, bill.total_minor, TUESDAY - timedelta(days=400 - 30 * back))
            Payment.objects.bulk_create(
                Payment(number=f"PV-{n}", account=maria, amount_minor=100, method="Visa …4242", received_at=TUESDAY, provider_reference=f"sbx-{n}") for n in range(6)
            )
    assert counts[0] == counts[1] <= 26


def two_years(account) -> list[Bill]:
    """Two years of bills before those that the account has, the oldest of them never paid."""
    paid = [people.issue_bill(account, account.lines.get(), issued=date(2024, 10, 10) + timedelta(days=30 * n), amount=4500 + n) for n in range(22)]
    for n, bill in enumerate(paid):
        people.pay(account, bill.total_minor, TUESDAY - timedelta(days=660 - 30 * n))
    return [people.issue_bill(account, account.lines.get(), issued=date(2024, 9, 10), amount=4400), *paid]


def test_a_bill_of_two_years_ago_that_is_open_is_past_due_and_every_old_bill_is_reached(ana, maria):
    old = two_years(maria)
    page = words(ana.get(f"{ana.here}money/"))
    assert f"Past due ${old[0].total_minor / 100:.2f} since" in page, "the newest bills alone are not all that is owed"
    assert all(bill.number in page for bill in old), "every bill that stands is listed"
    bills = words(ana.get(f"{ana.here}?section=money&bill={old[3].pk}"))
    assert "Plus 15 GB" in bills and "Explain this bill" in bills
    assert f'value="{old[1].pk}"' in text_of(ana.get(f"{ana.here}?section=money&explain={old[5].pk}&against={old[1].pk}"))


def test_a_bill_that_was_replaced_is_opened_printed_and_says_so(ana, maria):
    bill = maria.bills.latest("issued_on")
    ledger_operations.reverse_bills_many([bill], TUESDAY)
    charge = BillLine(kind="plan", label="Plus 15 GB", line=maria.lines.get(), unit_price_minor=4000, amount_minor=4000)
    new = Bill(number="B-CORRECTED", account=maria, period_start=bill.period_start, period_end=bill.period_end, issued_on=bill.issued_on, due_on=bill.due_on, total_minor=4000, corrects=bill)
    ledger_operations.post_bills_many([new], [(new, charge)], TUESDAY)
    assert f'href="{ana.here}?section=money&amp;bill={bill.pk}"' in text_of(ana.get(f"{ana.here}money/")), "the statement leads to it"
    address = f"{ana.here}?section=money&bill={bill.pk}"
    page = words(ana.get(address))
    assert f"{bill.number}, replaced" in words(ana.get(f"{ana.here}money/"))
    assert f"{bill.number} replaced" in page and "bill B-CORRECTED stands in its place" in page and "still open, due" not in page.partition("Bills the whole")[0]
    assert "credit this" not in page and "Bill as PDF" in page
    assert ana.do(ana.contact, "ledger.print_bill", account=maria.pk, bill=bill.pk).status_code == 303
    assert "is being made" in words(ana.get(address))


def test_the_page_bears_whatever_stands_in_its_address(ana):
    for bit in NASTY.values():
        for query in ("from={}", "to={}", "months={}", "page={}"):
            bears(ana.get(f"{ana.here}money/?{query.format(bit)}"), query)
        for query in ("act=ledger.allocate&entry={}", "act=ledger.allocate&entry=1&from_bill={}", "act=ledger.write_off&amount={}",
                      "act=payments.refund&payment={}", "act=ledger.recover&write_off={}"):  # fmt: skip
            bears(ana.get(f"{ana.here}?{query.format(bit)}"), query)


# ---------------------------------------------------------------- what comes with every bill


def test_a_phone_is_sold_from_the_page_with_every_number_said_before_and_paid_off_from_it(ana, maria):
    people.pay(maria, 4860, TUESDAY)
    assert "act=billing.sell_in_instalments" in text_of(ana.get(f"{ana.here}money/"))
    first = words(ana.get(f"{ana.here}?act=billing.sell_in_instalments"))
    assert "Google Pixel 8: $468.00" in first and "Do they agree?" not in first, "nothing is agreed to before it is said"
    chosen = words(ana.get(f"{ana.here}?act=billing.sell_in_instalments&equipment=pixel_8&count=24&down=68"))
    assert "24 instalments of $16.66, the last $16.82, one with every bill" in chosen
    assert "costs $468.00 before tax. $68.00 of it comes with your next bill. The rest is 24 parts of $16.66, the last $16.82, one on each bill, with no interest." in chosen
    line = maria.lines.get().pk
    no = ana.do(ana.contact, "billing.sell_in_instalments", account=maria.pk, equipment="pixel_8", count="24", down="68", line=line, consent="")
    assert no.status_code == 422 and not maria.instalments.exists()
    sold = ana.do(ana.contact, "billing.sell_in_instalments", account=maria.pk, equipment="pixel_8", count="24", down="68", line=line, consent="1666")
    assert sold.status_code == 303 and sold["Location"] == f"{ana.here}money/"
    page = words(ana.get(f"{ana.here}money/"))
    assert "Google Pixel 8 line 0188 next is 1 of 24, $400.00 left $16.66 a month pay off" in page and "Waits for the next bill $68.00" in page
    number = maria.instalments.get().reference
    asked = words(ana.get(f"{ana.here}?act=billing.pay_off&instalments={number}"))
    assert "24 of 24 instalments, $400.00, come with the next bill at once" in asked
    assert ana.do(ana.contact, "billing.pay_off", account=maria.pk, instalments=number, consent="40000", words="Moves abroad").status_code == 303
    page = words(ana.get(f"{ana.here}money/"))
    assert "Waits for the next bill $468.00" in page and "Nothing beside the plans" in page


def test_an_extra_is_added_from_the_page_and_a_credit_on_it_leads_to_ending_it(ana, maria):
    chosen = words(ana.get(f"{ana.here}?act=billing.add_extra&extra_code=protection"))
    assert "Device protection costs $9.00 a month plus tax, from your next bill on, until you tell us to end it." in chosen
    typed = {"account": maria.pk, "extra_code": "protection", "line": maria.lines.get().pk}
    no = ana.do(ana.contact, "billing.add_extra", **typed, consent="800")
    assert no.status_code == 422 and "That costs $9.00 a month" in words(no)
    assert ana.do(ana.contact, "billing.add_extra", **typed, consent="900").status_code == 303
    assert "Device protection line 0188 since Nov 24 $9.00 a month end it" in words(ana.get(f"{ana.here}money/"))
    bill = Bill(number="B-X", account=maria, period_start=date(2026, 11, 10), period_end=date(2026, 12, 9), issued_on=date(2026, 11, 23), due_on=date(2026, 12, 14), total_minor=900)
    wrong = BillLine(kind="fee", label="Device protection", line=maria.lines.get(), unit_price_minor=900, amount_minor=900)
    ledger_operations.post_bills_many([bill], [(bill, wrong)], TUESDAY)
    done = ana.do(ana.contact, "credits.grant", account=maria.pk, amount="9", reason="billing_error", bill_line=wrong.pk)
    agreed = maria.agreed.get()
    assert done["Location"] == f"{ana.here}?act=billing.end_agreed&agreed={agreed.reference}"
    assert "End it too, or the next bill has it again" in words(ana.get(done["Location"]))
    assert ana.do(ana.contact, "billing.end_agreed", account=maria.pk, agreed=agreed.reference, words="Never wanted it").status_code == 303
    assert "Device protection" not in words(ana.get(f"{ana.here}money/")).partition("What comes with every bill")[2].partition("Bills and what pays them")[0]


def test_the_forms_of_what_comes_with_every_bill_bear_whatever_stands_in_their_address(ana):
    for bit in NASTY.values():
        for query in ("act=billing.sell_in_instalments&equipment={}", "act=billing.sell_in_instalments&equipment=pixel_8&count={}&down={}", "act=billing.add_extra&extra_code={}",
                      "act=billing.add_extra&extra_code=protection&line={}&consent={}", "act=billing.pay_off&instalments={}"):  # fmt: skip
            bears(ana.get(f"{ana.here}?{query.replace('{}', bit)}"), query)


# ---------------------------------------------------------------- what pays what


def test_an_expert_moves_a_payment_to_another_bill_and_the_other_is_open(house, maria):
    older, _, newest = maria.bills.order_by("issued_on")
    entry = maria.entries.get(bill=None, payment__amount_minor=older.total_minor, at__lt=maria.entries.filter(kind="payment").latest("at").at)
    ana = Desk(house["ana"]).take_call(maria)
    typed = {"account": maria.pk, "entry": entry.pk, "bill": newest.pk, "from_bill": older.pk, "amount": 2000}
    no = ana.act("ledger.allocate", **typed)
    assert no.refusal.rule == "allocation-moves"
    asked = ana.must("approvals.ask", account=maria.pk, code="ledger.allocate", input={k: str(v) if k != "amount" else v for k, v in typed.items()})
    lena = Desk(house["lena"])
    lena.must("approvals.decide", basis=BasisRef("request", int(asked.show["request"])), request=asked.show["request"], decision="approve")
    assert [b.open_minor for b in ledger.bills_of(maria.pk)] == [4860 - 2000, 0, 2000]


def test_money_that_waits_is_placed_where_it_is_wanted(house, maria):
    """A payment of $60.00 pays the open bill; $11.40 wait. A new bill takes them by itself, and nothing is left to place."""
    people.pay(maria, 6000, TUESDAY)
    assert ledger.unapplied_of(maria.pk) == 1140
    ana = Desk(house["ana"]).take_call(maria)
    entry = maria.entries.filter(kind="payment").latest("at")
    paid_already = ana.act("ledger.allocate", account=maria.pk, entry=entry.pk, bill=maria.bills.first().pk, amount=100)
    assert paid_already.refusal.code == "CONFLICT" and "is open" in paid_already.refusal.say
    people.issue_bill(maria, maria.lines.get(), issued=date(2026, 11, 23), amount=1000)
    assert ledger.unapplied_of(maria.pk) == 140


# ---------------------------------------------------------------- given up, and what comes after all


def test_a_lead_writes_off_a_small_balance_and_a_payment_later_recovers_it(house, maria):
    people.pay(maria, 4000, TUESDAY)
    ana = Desk(house["ana"]).take_call(maria)
    assert ana.act("ledger.write_off", account=maria.pk, amount=860, reason="small_balance").refusal.rule == "write-off-most"
    lena = Desk(house["lena"]).take_call(maria)
    done = lena.must("ledger.write_off", account=maria.pk, amount=860, reason="small_balance", words="Not worth a letter")
    assert ledger.balance(maria.pk) == 0 and [b.open_minor for b in ledger.bills_of(maria.pk)] == [0, 0, 0]
    people.pay(maria, 1000, TUESDAY + timedelta(days=2))
    kinds = list(Entry.objects.filter(account=maria).order_by("pk").values_list("kind", "amount_minor"))[-3:]
    assert kinds == [("write_off", -860), ("payment", -1000), ("recovery", 860)]
    assert (ledger.balance(maria.pk), ledger.unapplied_of(maria.pk)) == (-140, 140)
    again = lena.act("ledger.recover", account=maria.pk, write_off=done.show["write_off"], amount=1, words="By mistake")
    assert again.refusal.code == "NOT_FOUND"


@pytest.mark.parametrize(("who", "amount", "rule"), [("lena", 2501, "write-off-most"), ("sam", 2501, ""), ("sam", 4861, "conflict")])
def test_who_may_give_up_how_much(house, maria, who, amount, rule):
    found = Desk(house[who]).take_call(maria).act("ledger.write_off", account=maria.pk, amount=amount, reason="uncollectable")
    assert (found.refusal.rule or found.refusal.code.lower() if found.refusal else "") == rule


def test_a_debt_is_not_given_up_in_parts_by_who_may_not_give_up_the_whole(house, maria):
    lena = Desk(house["lena"]).take_call(maria)
    number = lena.must("ledger.write_off", account=maria.pk, amount=2000, reason="small_balance").show["write_off"]
    no = lena.act("ledger.write_off", account=maria.pk, amount=501, reason="small_balance")
    assert no.refusal.rule == "write-off-most" and "$5.00 more" in no.refusal.say
    lena.must("ledger.recover", account=maria.pk, write_off=number, amount=1500, words="They paid")
    lena.must("ledger.write_off", account=maria.pk, amount=2000, reason="small_balance")


def test_a_payment_does_not_go_back_in_parts_by_who_may_not_give_back_the_whole(house, maria):
    number = pay_through_the_provider(maria, 20_000)
    ana = Desk(house["ana"]).take_call(maria)
    ana.must("payments.refund", account=maria.pk, payment=number, amount=3000, words="x")
    no = ana.act("payments.refund", account=maria.pk, payment=number, amount=2001, words="x")
    assert no.refusal.rule == "refund-most" and "$20.00 more" in no.refusal.say
    ana.must("payments.refund", account=maria.pk, payment=number, amount=2000, words="x")


def test_a_write_off_that_was_a_mistake_is_owed_again(house, maria):
    sam = Desk(house["sam"]).take_call(maria)
    number = sam.must("ledger.write_off", account=maria.pk, amount=4860, reason="bankruptcy").show["write_off"]
    sam.must("ledger.recover", account=maria.pk, write_off=number, amount=4860, words="Another Maria")
    assert ledger.balance(maria.pk) == 4860 and ledger.bills_of(maria.pk)[0].open_minor == 4860
    assert not ledger.written_off_of(maria.pk)


# ---------------------------------------------------------------- given back


def test_what_was_paid_twice_goes_back_to_the_card_and_the_customer_hears_of_it(house, maria):
    number = pay_through_the_provider(maria, 4860)
    again = Desk(house["ana"]).take_call(maria)
    second = again.must("payments.take", account=maria.pk, amount=4860, method=maria.payment_methods.get().pk).show["payment"]
    assert number != second and ledger.balance(maria.pk) == -4860
    done = again.must("payments.refund", account=maria.pk, payment=second, amount=4860, words="Paid twice")
    assert done.show["amount"] == 4860 and ledger.balance(maria.pk) == 0 and ledger.unapplied_of(maria.pk) == 0
    assert "le devolvimos $48.60 a Visa …4242" in Outbox.objects.get(topic="refund").body
    no = again.act("payments.refund", account=maria.pk, payment=second, amount=1, words="Once more")
    assert no.refusal.rule == "refund-room"
    assert [b.open_minor for b in ledger.bills_of(maria.pk)] == [0, 0, 0]


def test_more_than_the_account_is_in_credit_never_goes_back(house, maria):
    number = pay_through_the_provider(maria, 6000)  # $48.60 of it pays the bill
    ana = Desk(house["ana"]).take_call(maria)
    assert ana.act("payments.refund", account=maria.pk, payment=number, amount=1141, words="x").refusal.rule == "refund-room"
    ana.must("payments.refund", account=maria.pk, payment=number, amount=1140, words="x")
    assert ledger.balance(maria.pk) == 0


def test_a_role_has_a_most_and_hands_over_beyond_it(house, maria):
    number = pay_through_the_provider(maria, 20_000)
    ana = Desk(house["ana"]).take_call(maria)
    no = ana.act("payments.refund", account=maria.pk, payment=number, amount=5001, words="x")
    assert no.refusal.rule == "refund-most" and no.refusal.way_on[0].act == "contacts.hand_over"


def test_a_payment_that_did_not_come_through_the_provider_stays_as_a_credit(house, maria):
    people.pay(maria, 6000, TUESDAY)
    ana = Desk(house["ana"]).take_call(maria)
    number = maria.payments.latest("received_at").number
    assert ana.act("payments.refund", account=maria.pk, payment=number, amount=100, words="x").refusal.rule == "refund-way"


def test_a_refund_whose_answer_is_lost_is_no_room_for_another(house, maria, monkeypatch):
    number = pay_through_the_provider(maria, 6000)
    monkeypatch.setattr(sandbox.SandboxPayments, "refund", lambda *a, **k: sandbox.Answer(None, "The line broke."))
    ana = Desk(house["ana"]).take_call(maria)
    first = ana.act("payments.refund", account=maria.pk, payment=number, amount=1000, words="x")
    assert first.status == "pending" and Refund.objects.get().state == "pending" and ledger.balance(maria.pk) == -1140
    assert ana.act("payments.refund", account=maria.pk, payment=number, amount=1000, words="x").refusal.rule == "refund-room"


def test_a_payment_that_came_back_is_told_once_and_its_bill_is_open(house, maria):
    number = pay_through_the_provider(maria, 4860)
    reference = maria.payments.get(number=number).provider_reference
    provider = Desk(people.hire("bank", "Payment provider", "service"))
    provider.must("payments.returned", provider_reference=reference, reason="R01 insufficient funds")
    assert ledger.balance(maria.pk) == 4860 and ledger.bills_of(maria.pk)[0].open_minor == 4860
    assert Outbox.objects.filter(topic="payment_returned").count() == 1
    assert provider.act("payments.returned", provider_reference=reference, reason="again").refusal.rule == "returned-once"
    assert provider.act("payments.returned", provider_reference="nobody", reason="x").refusal.code == "NOT_FOUND"


# ---------------------------------------------------------------- the forms


def test_the_rows_offer_what_can_be_done_with_them(house, maria):
    pay_through_the_provider(maria, 6000)
    lena = sit_down(house["lena"], maria, "verified")
    people.issue_bill(maria, maria.lines.get(), issued=date(2026, 11, 23), amount=4500)
    page = text_of(lena.get(f"{lena.here}money/?months=6"))
    for link in ("act=ledger.write_off", "act=ledger.allocate&amp;entry="):
        assert link in page, link
    form = words(lena.get(f"{lena.here}?act=ledger.write_off"))
    assert "is open" in form and "Small balance" in form
    answer = lena.do(lena.contact, "ledger.write_off", account=maria.pk, amount="10", reason="small_balance")
    assert answer["Location"] == f"{lena.here}money/"
    assert "Given up" in words(lena.get(f"{lena.here}money/"))


def test_autopay_is_switched_on_and_off_from_its_form(ana, maria):
    assert "Each bill is charged to the card ending in 4242" in words(ana.get(ana.here + "?act=payments.switch_autopay"))
    assert ana.do(ana.contact, "payments.switch_autopay", account=maria.pk, on="on", words="Forgets it").status_code == 303
    maria.refresh_from_db()
    assert maria.autopay and "Switch autopay off" in words(ana.get(ana.here + "?act=payments.switch_autopay"))
