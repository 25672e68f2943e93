"""What comes with every bill: a phone that is sold in instalments and paid off early, an extra that is added and ended; what the next
bill will be, what the bills are, and who is behind each difference."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from careline.acts.declare import BasisRef
from careline.domain.billing import queries as billing
from careline.domain.billing.models import Agreed, Instalments
from careline.domain.customers.models import Line, Plan
from careline.domain.journal.models import Line as JournalLine
from careline.domain.ledger import operations as posting
from careline.domain.ledger import queries as ledger
from careline.domain.ledger.models import Bill, BillLine, UnbilledCharge
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs.importing import mapping
from careline.doors.jobs.importing import run as importing
from tests.people import TUESDAY, Desk, bill_cycle, carrier_act, default_rulebook, key

TARIFF = default_rulebook().billing
PIXEL = {"equipment": "pixel_8", "count": 24, "consent": 1950}


@pytest.fixture
def ana(house, otto):
    return Desk(house["ana"]).take_call(otto, pin="9182")


def charged(bill: Bill, *kinds: str) -> list[tuple[str, int]]:
    return list(bill.lines.filter(kind__in=kinds).order_by("pk").values_list("label", "amount_minor"))


def cause(bill: Bill, name: str):
    found = ledger.explained(bill.account_id, bill.pk)
    assert sum(d.amount_minor for d in found.differences) == found.change_minor
    (one,) = [d for d in found.differences if d.cause == name]
    return one


# ---------------------------------------------------------------- a phone in instalments


def test_a_phone_that_ana_sells_comes_in_parts_and_the_explanation_names_her(otto, ana):
    sold = ana.must("billing.sell_in_instalments", account=otto.pk, line=otto.lines.get().pk, down=6800, **PIXEL | {"consent": 1666}, words="His old one broke")
    assert sold.say == f"{sold.show['instalments']}: “Google Pixel 8” sold for $468.00, 24 instalments of $16.66 after $68.00 with the next bill, line 0199"
    foreseen = billing.coming(otto.pk, date(2026, 12, 3), TARIFF)
    december = bill_cycle(date(2026, 12, 4))
    assert charged(december, "equipment") == [("Google Pixel 8, instalment 1 of 24", 1666), ("Google Pixel 8, down payment", 6800)]
    assert foreseen.total_minor == december.total_minor, "the estimate has them"
    began, down = cause(december, "equipment_began"), cause(december, "one_off")
    for one in (began, down):
        assert (one.event.who, one.event.day, one.event.code) == ("Ana Silva", date(2026, 11, 24), "billing.sell_in_instalments")
    assert began.say == "The instalments of Google Pixel 8 on the line ending 0199 began, $16.66 each. That is $16.66 more. Ana Silva did that on Nov 24."
    assert down.title == "Google Pixel 8, down payment, once, ending 0199"
    assert charged(bill_cycle(date(2027, 1, 4)), "equipment") == [("Google Pixel 8, instalment 2 of 24", 1666)]


def test_what_is_sold_on_the_day_of_a_bill_begins_with_the_one_after(house, otto):
    """The bill of that day may be made already, or not yet: no part is lost and none comes twice."""
    posting.post_payment(act=carrier_act(), account_id=otto.pk, amount_minor=Bill.objects.get().total_minor, method="Check")
    ana = Desk(house["ana"], datetime(2026, 12, 4, 16, tzinfo=UTC)).take_call(otto, pin="9182")
    ana.must("billing.sell_in_instalments", account=otto.pk, **PIXEL)
    assert charged(bill_cycle(date(2026, 12, 4)), "equipment") == []
    assert charged(bill_cycle(date(2027, 1, 4)), "equipment") == [("Google Pixel 8, instalment 1 of 24", 1950)]


def test_what_is_left_of_a_phone_comes_whole_when_it_is_paid_off_early(house, otto, ana):
    number = ana.must("billing.sell_in_instalments", account=otto.pk, line=otto.lines.get().pk, **PIXEL).show["instalments"]
    bill_cycle(date(2026, 12, 4))
    bill_cycle(date(2027, 1, 4))
    late = Desk(house["ben"], datetime(2027, 1, 20, 17, tzinfo=UTC)).take_call(otto, pin="9182")
    typed = {"account": otto.pk, "instalments": number, "words": "Wants to owe nothing"}
    no = late.act("billing.pay_off", consent=100, **typed)
    assert no.refusal.rule == "pay-off-consent" and "$429.00 is left" in no.refusal.say and no.refusal.cite
    done = late.must("billing.pay_off", consent=22 * 1950, **typed)
    assert "22 of 24 instalments come to" in done.say
    assert late.act("billing.pay_off", consent=22 * 1950, **typed).refusal.rule == "instalments-over"
    foreseen = billing.coming(otto.pk, date(2027, 2, 3), TARIFF)
    february = bill_cycle(date(2027, 2, 4))
    assert charged(february, "equipment") == [("Google Pixel 8, what is left", 42900)] and foreseen.total_minor == february.total_minor
    rest = cause(february, "equipment_left")
    assert (rest.event.code, rest.event.day, rest.amount_minor) == ("billing.pay_off", date(2027, 1, 20), 42900 - 1950)
    assert rest.say.startswith("What was left of Google Pixel 8 on the line ending 0199 is on this one whole: $429.00. That is $409.50 more.")
    march = bill_cycle(date(2027, 3, 4))
    assert charged(march, "equipment") == []
    over = cause(march, "equipment_ended")
    assert over.title == "Google Pixel 8 is paid off, ending 0199" and over.amount_minor == -42900
    billed = BillLine.objects.filter(bill__account=otto, kind="equipment").values_list("amount_minor", flat=True)
    assert sum(billed) == 46800, "the price, whole and once"


def test_the_phone_that_the_docs_work_by_hand(house, otto, ana):
    number = ana.must("billing.sell_in_instalments", account=otto.pk, down=6800, **PIXEL | {"consent": 1666}).show["instalments"]
    bills = [bill_cycle(date(2026, 12, 4)), bill_cycle(date(2027, 1, 4))]
    late = Desk(house["ben"], datetime(2027, 1, 20, 17, tzinfo=UTC)).take_call(otto, pin="9182")
    late.must("billing.pay_off", account=otto.pk, instalments=number, consent=36668, words="Wants to owe nothing")
    bills.append(bill_cycle(date(2027, 2, 4)))
    assert [[minor for _, minor in charged(b, "equipment")] for b in bills] == [[1666, 6800], [1666], [36668]]


def test_a_phone_that_is_paid_off_before_its_first_part_says_who_did_which(house, otto, ana):
    number = ana.must("billing.sell_in_instalments", account=otto.pk, down=6800, **PIXEL | {"consent": 1666}).show["instalments"]
    eva = Desk(house["eva"], TUESDAY.replace(day=26)).take_call(otto, pin="9182")
    eva.must("billing.pay_off", account=otto.pk, instalments=number, consent=40000, words="Changed his mind")
    december = bill_cycle(date(2026, 12, 4))
    assert cause(december, "one_off").event.who == "Ana Silva"
    assert cause(december, "equipment_left").event.who == eva.staff.name


def test_more_than_a_role_may_lend_goes_to_a_lead(house, otto, ana):
    """An associate may have $1,200.00 open on one account; two iPhones are $1,329.60."""
    phone = {"account": otto.pk, "equipment": "iphone_15", "count": 24, "consent": 2770}
    ana.must("billing.sell_in_instalments", **phone)
    no = ana.act("billing.sell_in_instalments", **phone)
    assert (no.refusal.rule, no.refusal.cite) == ("sale-room", "limits.toml: instalments.open") and "$535.20" in no.refusal.say
    assert any(way.act == "approvals.ask" for way in no.refusal.way_on)
    asked = ana.must("approvals.ask", account=otto.pk, code="billing.sell_in_instalments", input={**phone, "account": str(otto.pk)})
    lena = Desk(house["lena"])
    lena.must("approvals.decide", basis=BasisRef("request", int(asked.show["request"])), request=asked.show["request"], decision="approve")
    assert Instalments.objects.filter(account=otto).count() == 2
    more = Desk(house["eva"]).take_call(otto, pin="9182").act("billing.sell_in_instalments", **phone | {"count": 36, "consent": 1846})
    assert more.ok, "an expert's limit is higher"


@pytest.mark.parametrize(("typed", "rule"), [
    ({"count": 18, "consent": 2600}, "sale-offered"), ({"consent": 0}, "sale-consent"), ({"equipment": "nothing"}, "INVALID"), ({"down": 46800}, "INVALID"),
    ({"equipment": "watch_se", "consent": 1040}, "sale-down"), ({"line": 99}, "NOT_FOUND"), ({"count": 1}, "INVALID"),
])  # fmt: skip
def test_a_sale_that_is_none_of_the_list_or_was_not_agreed_to_is_refused_with_its_rule(otto, ana, typed, rule):
    no = ana.act("billing.sell_in_instalments", account=otto.pk, **PIXEL | typed)
    assert (no.refusal.rule or no.refusal.code) == rule and not Instalments.objects.exists() and not UnbilledCharge.objects.exists()


def test_nothing_is_lent_to_an_account_that_is_behind(house, otto):
    late = Desk(house["ana"], datetime(2026, 11, 30, 17, tzinfo=UTC)).take_call(otto, pin="9182")
    no = late.act("billing.sell_in_instalments", account=otto.pk, **PIXEL)
    assert no.refusal.rule == "sale-past-due" and any(way.act == "payments.take" for way in no.refusal.way_on)


def test_the_same_click_sells_one_phone(otto, ana):
    once = key()
    first = ana.act("billing.sell_in_instalments", key_=once, account=otto.pk, **PIXEL)
    again = ana.act("billing.sell_in_instalments", key_=once, account=otto.pk, **PIXEL)
    assert first == again and Instalments.objects.count() == 1


# ---------------------------------------------------------------- an extra every month


def test_an_extra_that_ana_adds_comes_with_every_bill_until_somebody_ends_it(house, otto, ana):
    typed = {"account": otto.pk, "extra_code": "protection", "line": otto.lines.get().pk}
    no = ana.act("billing.add_extra", consent=0, **typed)
    assert no.refusal.rule == "extra-consent" and "$9.00 a month" in no.refusal.say
    added = ana.must("billing.add_extra", consent=900, **typed)
    assert ana.act("billing.add_extra", consent=900, **typed).refusal.rule == "extra-runs"
    foreseen = billing.coming(otto.pk, date(2026, 12, 3), TARIFF)
    december = bill_cycle(date(2026, 12, 4))
    assert ("Device protection", 900) in charged(december, "fee") and foreseen.total_minor == december.total_minor
    began = cause(december, "fee_began")
    assert (began.event.who, began.event.day) == ("Ana Silva", date(2026, 11, 24)) and "Device protection on the line ending 0199 is new" in began.say
    later = Desk(house["ben"], datetime(2026, 12, 20, 17, tzinfo=UTC)).take_call(otto, pin="9182")
    later.must("billing.end_agreed", account=otto.pk, agreed=added.show["agreed"], words="Sold the phone")
    ended = cause(bill_cycle(date(2027, 1, 4)), "fee_ended")
    assert (ended.event.code, ended.event.day) == ("billing.end_agreed", date(2026, 12, 20))


def test_what_one_added_and_another_ended_within_a_month_is_laid_at_the_right_hand(house, otto, ana):
    added = ana.must("billing.add_promotion", account=otto.pk, promotion="loyalty").show["agreed"]
    bill_cycle(date(2026, 12, 4))
    eva = Desk(house["eva"], datetime(2026, 12, 10, 17, tzinfo=UTC)).take_call(otto, pin="9182")
    eva.must("billing.end_agreed", account=otto.pk, agreed=added, words="Not his after all")
    assert cause(bill_cycle(date(2027, 1, 4)), "discount_ended").event.who == eva.staff.name


@pytest.mark.parametrize(("typed", "rule"), [
    ({"extra_code": "nothing"}, "INVALID"), ({"line": None}, "INVALID"), ({"line": 99}, "NOT_FOUND"), ({"extra_code": "locator", "consent": 200}, "INVALID"),
])  # fmt: skip
def test_an_extra_that_is_none_of_the_list_or_for_nobody_is_refused_at_its_field(otto, ana, typed, rule):
    given = {"extra_code": "protection", "line": otto.lines.get().pk, "consent": 900} | typed
    no = ana.act("billing.add_extra", account=otto.pk, **given)
    assert (no.refusal.rule or no.refusal.code) == rule and no.refusal.fields and not Agreed.objects.exists()


def test_an_extra_is_not_put_on_a_plan_that_does_not_get_it(otto, ana):
    watch = Plan.objects.create(code="WATCH", name="Watch", price_minor=1000)
    line = Line.objects.create(account=otto, msisdn="+12065550177", plan=watch, activated_on=date(2026, 10, 4), number_since=TUESDAY)
    no = ana.act("billing.add_extra", account=otto.pk, extra_code="abroad", line=line.pk, consent=1000)
    assert (no.refusal.rule, no.refusal.cite) == ("extra-offered", "billing.toml: extra, not_on")


def test_where_another_system_bills_nothing_is_sold_that_would_reach_no_bill(house, otto, ana):
    type(otto).objects.filter(pk=otto.pk).update(source_key="K-9")
    for code, typed in (("billing.sell_in_instalments", PIXEL), ("billing.add_extra", {"extra_code": "protection", "line": otto.lines.get().pk, "consent": 900})):
        assert ana.act(code, account=otto.pk, **typed).refusal.rule == "billed-outside"
    assert not Agreed.objects.exists() and not Instalments.objects.exists()


def test_words_of_a_sale_stay_in_the_part_of_the_journal_that_can_be_redacted(otto, ana):
    ana.must("billing.sell_in_instalments", account=otto.pk, words="His mother pays", **PIXEL)
    line = JournalLine.objects.get(code="billing.sell_in_instalments")
    assert "Google Pixel 8" in line.text and "mother" not in line.text


# ---------------------------------------------------------------- a correction that ends at its cause


def test_a_credit_on_an_extra_that_nobody_wanted_leads_to_ending_it(house, otto, ana):
    added = ana.must("billing.add_extra", account=otto.pk, extra_code="protection", line=otto.lines.get().pk, consent=900).show["agreed"]
    december = bill_cycle(date(2026, 12, 4))
    later = Desk(house["ben"], datetime(2026, 12, 10, 17, tzinfo=UTC)).take_call(otto, pin="9182")
    wrong, plan = december.lines.get(label="Device protection"), december.lines.get(kind="plan")
    done = later.must("credits.grant", account=otto.pk, amount=900, reason="billing_error", bill_line=wrong.pk)
    assert done.show["ends"] == added, "the desk leads to the cause"
    later.must("billing.end_agreed", account=otto.pk, agreed=added, words="He never asked for it")
    assert "ends" not in later.must("credits.grant", account=otto.pk, amount=100, reason="billing_error", bill_line=plan.pk).show
    assert ("Device protection", 900) not in charged(bill_cycle(date(2027, 1, 4)), "fee")


# ---------------------------------------------------------------- what holds for everybody since a day


def changed_rules(house, was: str, now: str, title: str, file: str = "billing.toml") -> int:
    """Sam proposes a change of the rulebook on November 26 and Ada says yes; its number."""
    text = rulebooks.current().files[file]
    assert text.count(was) == 1
    sam, ada = (Desk(house[name], TUESDAY.replace(day=26)) for name in ("sam", "ada"))
    made = sam.must("rulebook.draft", title=title, changes={file: text.replace(was, now)}).show["proposal"]
    sam.must("rulebook.propose", proposal=made, words="As the state says")
    ada.must("rulebook.second", proposal=made, yes=True)
    rulebooks.forget()
    return int(made)


WASHINGTON = '''name = "State and local tax, WA"
from = 2020-01-01
rates = { plan = 96000, usage = 96000, fee = 96000, one_off = 96000, other = 96000 }'''
DEARER = WASHINGTON.replace("96000", "98000")
LATER = f'''{WASHINGTON}
cite = "example rate of the demo carrier, not law"

[[tax]]
state = "WA"
{DEARER.replace("2020-01-01", "2026-12-01")}'''


def test_another_tax_rate_names_the_change_of_the_rules_since_which_it_holds(house, otto, monkeypatch):
    number = changed_rules(house, WASHINGTON, DEARER, "Washington's rate")
    monkeypatch.setattr(rulebooks, "current", lambda: rulebooks.opened(rulebooks.digest_at(TUESDAY.replace(day=27))))
    rate = cause(bill_cycle(date(2026, 12, 4)), "tax_rate")
    assert (rate.event.day, rate.event.who, rate.event.page) == (date(2026, 11, 26), "Sam Osei", f"change:{number}")
    assert rate.event.what == "Rulebook: Washington's rate" and rate.say.endswith("It is so since Nov 26.") and "Sam" not in rate.say


def test_a_rate_that_the_rules_have_from_a_later_day_on_holds_since_that_day(house, otto, monkeypatch):
    changed_rules(house, WASHINGTON, LATER, "Washington in December")
    monkeypatch.setattr(rulebooks, "current", lambda: rulebooks.opened(rulebooks.digest_at(TUESDAY.replace(day=27))))
    december = bill_cycle(date(2026, 12, 4))
    assert cause(december, "tax_rate").event.day == date(2026, 12, 1)
    paper = ledger.explanation_paper(otto.pk, december.pk, Bill.objects.get(issued_on=date(2026, 11, 4)).pk, lambda _: ())
    assert paper is not None
    (told,) = [d for d in paper[1].differences if d.cause == "tax_rate"]
    assert told.event.who == "" and "It is so since Dec 1." in told.say, "the customer's paper says since when, and names nobody"


def test_another_fee_names_the_change_of_the_rules_and_more_lines_do_not(house, otto, monkeypatch):
    changed_rules(house, "amount = 199\n", "amount = 249\n", "Recovery of costs")
    monkeypatch.setattr(rulebooks, "current", lambda: rulebooks.opened(rulebooks.digest_at(TUESDAY.replace(day=27))))
    assert cause(bill_cycle(date(2026, 12, 4)), "fee_changed").event.what == "Rulebook: Recovery of costs"
    Line.objects.create(account=otto, msisdn="+12065550177", plan=otto.lines.get().plan, activated_on=date(2026, 12, 10), number_since=TUESDAY)
    assert cause(bill_cycle(date(2027, 1, 4)), "fee_changed").event is None


def test_another_tax_because_the_customer_moved_is_no_change_of_the_rules(house, otto):
    type(otto).objects.filter(pk=otto.pk).update(state="NY")
    assert cause(bill_cycle(date(2026, 12, 4)), "tax_rate").event is None


def test_another_price_of_a_plan_names_the_import_that_brought_it(house, otto, tmp_path):
    Plan.objects.filter(code="PLUS15").update(source_key="P1")
    (tmp_path / "plans.csv").write_text("k,c,n,p,d\nP1,PLUS15,Plus 15 GB,49.00,15360\n")
    (tmp_path / "mapping.toml").write_text("[plans.columns]\nkey = 'k'\ncode = 'c'\nname = 'n'\nprice = 'p'\ndata_mb = 'd'\n")
    for day in (26, 27):
        importing.run(mapping.load(tmp_path / "mapping.toml", None), out=tmp_path / "out", at=TUESDAY.replace(day=day))
    dearer = cause(bill_cycle(date(2026, 12, 4)), "price_change")
    assert (dearer.event.day, dearer.event.who, dearer.event.what) == (date(2026, 11, 26), "Import", "Plan Plus 15 GB costs $49.00 a month by import, no longer $45.00")
    assert dearer.say.endswith("It is so since Nov 26.")
