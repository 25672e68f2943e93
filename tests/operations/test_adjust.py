"""Adjusting with evidence: a credit by the days that were wrong, a correction that ends at its cause, a plan that changes;
and the next bill, foreseen as the bill run makes it."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from careline.domain.billing import queries as billing
from careline.domain.billing.models import Agreed
from careline.domain.credits import queries as credits
from careline.domain.credits.models import Grant
from careline.domain.customers.models import Line, Plan, PlanChange
from careline.domain.ledger import queries as ledger
from careline.domain.ledger.models import Bill, BillLine
from tests.people import TUESDAY, Desk, bill_cycle, default_rulebook, unlimited_plan

TARIFF = default_rulebook().billing




def bill_for(account, start: date, end: date, amount: int = 4500) -> BillLine:
    from careline.domain.ledger import operations
    from careline.foundation.money import share

    tax = share(amount, 80_000, 1_000_000)
    bill = Bill(number=f"D-{start:%y%m%d}", account=account, period_start=start, period_end=end, issued_on=start, due_on=start + timedelta(days=20), total_minor=amount + tax)
    charge = BillLine(kind="plan", label="Plus 15 GB", line=account.lines.get(), unit_price_minor=amount, amount_minor=amount, period_start=start, period_end=end)
    operations.post_bills_many([bill], [(bill, charge), (bill, BillLine(kind="tax", label="State tax", tax_rate_ppm=80_000, taxed_line=charge, amount_minor=tax))], TUESDAY)
    return charge


# ---------------------------------------------------------------- by the days that were wrong


def test_twelve_days_without_service_are_twelve_thirtieths_of_the_charge_and_of_its_tax(ana, maria):
    charge = bill_for(maria, date(2026, 11, 1), date(2026, 11, 30))
    typed = {"account": maria.pk, "reason": "service_failure", "bill_line": charge.pk, "first": "2026-11-06", "last": "2026-11-17"}
    no = ana.act("credits.grant", amount=1801, **typed)
    assert no.refusal.rule == "credit-days" and "$18.00" in no.refusal.say
    done = ana.must("credits.grant", amount=1800, **typed)
    assert "12 of 30 days" in done.say and done.show["total"] == 1800 + 144
    grant = Grant.objects.get()
    assert (grant.first_on, grant.last_on) == (date(2026, 11, 6), date(2026, 11, 17))


@pytest.mark.parametrize(("first", "last", "says"), [
    ("2026-10-31", "2026-11-02", "choose days within"), ("2026-11-05", "2026-11-04", "before the first"), ("2026-11-05", None, "first and the last"),
    ("soon", "2026-11-05", "YYYY-MM-DD"),
])  # fmt: skip
def test_days_that_are_none_of_the_charge_say_so_at_their_field(ana, maria, first, last, says):
    charge = bill_for(maria, date(2026, 11, 1), date(2026, 11, 30))
    no = ana.act("credits.grant", account=maria.pk, amount=100, reason="service_failure", bill_line=charge.pk, first=first, last=last)
    assert no.status in ("refused", "invalid") and no.refusal.fields and any(says in text for text in [no.say, *no.refusal.fields.values()]), no
    assert not Grant.objects.exists()


def test_the_same_day_of_a_charge_is_credited_once_until_it_is_taken_back(ana, maria):
    charge = bill_for(maria, date(2026, 11, 1), date(2026, 11, 30))
    typed = {"account": maria.pk, "amount": 150, "reason": "service_failure", "bill_line": charge.pk}
    first = ana.must("credits.grant", first="2026-11-06", last="2026-11-06", **typed)
    no = ana.act("credits.grant", first="2026-11-05", last="2026-11-07", **typed)
    assert no.refusal.rule == "days-credited" and first.show["credit"] in no.refusal.say
    ana.must("credits.grant", first="2026-11-07", last="2026-11-08", **typed)
    ana.must("credits.reverse", account=maria.pk, credit=first.show["credit"], words="By mistake")
    ana.must("credits.grant", first="2026-11-05", last="2026-11-06", **typed)


def test_a_charge_whose_days_the_bill_does_not_say_is_not_credited_by_days(ana, maria):
    charge = BillLine.objects.filter(bill__account=maria, kind="plan").last()
    no = ana.act("credits.grant", account=maria.pk, amount=100, reason="service_failure", bill_line=charge.pk, first="2026-11-05", last="2026-11-06")
    assert "does not say which days" in no.refusal.say


def test_the_credit_shows_on_the_explanation_of_its_bill_and_of_the_next(ana, maria):
    november = bill_for(maria, date(2026, 11, 1), date(2026, 11, 30))
    ana.must("credits.grant", account=maria.pk, amount=1800, reason="service_failure", bill_line=november.pk, first="2026-11-06", last="2026-11-17")
    december = bill_for(maria, date(2026, 12, 1), date(2026, 12, 31))
    of_november = ledger.explained(maria.pk, november.bill_id, None, credits.on_bills)
    assert of_november.credited_minor(of_november.now) == 1944 and "We took $19.44 off this bill" in of_november.after_credits
    of_december = ledger.explained(maria.pk, december.bill_id, november.bill_id, credits.on_bills)
    assert (of_december.change_minor, of_december.paid_change_minor) == (0, 1944)
    assert "had $19.44 taken off, which was for that bill only" in of_december.after_credits


# ---------------------------------------------------------------- a correction that ends at its cause


def test_a_promotion_that_was_missed_is_credited_and_added_back_and_the_next_bill_has_it(house, otto):
    ana = Desk(house["ana"]).take_call(otto, pin="9182")
    plan = BillLine.objects.get(bill__account=otto, kind="plan", proration_num=1)
    done = ana.must("credits.grant", account=otto.pk, amount=500, reason="promotion_missed", bill_line=plan.pk)
    assert done.show["recurs"] == "promotion_missed", "the desk leads to the cause"
    added = ana.must("billing.add_promotion", account=otto.pk, promotion="loyalty", line=otto.lines.get().pk)
    assert ana.act("billing.add_promotion", account=otto.pk, promotion="loyalty", line=otto.lines.get().pk).refusal.rule == "promotion-runs"
    december = bill_cycle(date(2026, 12, 4))
    assert [n.amount_minor for n in december.lines.filter(kind="discount")] == [-500]
    found = ledger.explained(otto.pk, december.pk, None, credits.on_bills)
    (began,) = [d for d in found.differences if d.cause == "discount_began"]
    assert "Ana Silva did that on Nov 24" in began.say and found.credited_minor(found.was) > 0
    ana.must("billing.end_agreed", account=otto.pk, agreed=added.show["agreed"], words="Not his after all")
    january = bill_cycle(date(2027, 1, 4))
    assert not january.lines.filter(kind="discount").exists()
    (over,) = [d for d in ledger.explained(otto.pk, january.pk).differences if d.cause == "discount_ended"]
    assert over.event.code == "billing.end_agreed" and over.event.who == "Ana Silva"


def test_a_discount_that_another_hand_ended_is_not_laid_at_hers(house, otto):
    """Ana ended one discount; the other ended by itself."""
    from careline.domain.billing import operations
    from tests.people import carrier_act

    operations.agree_many(act=carrier_act(), rows=[
        {"account_id": otto.pk, "kind": "discount", "label": "Autumn", "amount_minor": -300, "starts_on": date(2026, 10, 4), "ends_on": date(2026, 12, 10), "reference": "E-1"}
    ])  # fmt: skip
    ana = Desk(house["ana"]).take_call(otto, pin="9182")
    added = ana.must("billing.add_promotion", account=otto.pk, promotion="loyalty")
    bill_cycle(date(2026, 12, 4))
    ana.must("billing.end_agreed", account=otto.pk, agreed=added.show["agreed"], words="Not his after all")
    january = bill_cycle(date(2027, 1, 4))
    over = {d.title: d.event for d in ledger.explained(otto.pk, january.pk).differences if d.cause == "discount_ended"}
    assert over["Discount ended: Loyalty"].who == "Ana Silva" and over["Discount ended: Autumn"] is None


@pytest.mark.parametrize("first", ["line", "account"])
def test_one_promotion_is_not_promised_twice_on_one_bill(house, otto, first):
    ana, line = Desk(house["ana"]).take_call(otto, pin="9182"), otto.lines.get().pk
    one, two = ({"line": line}, {}) if first == "line" else ({}, {"line": line})
    ana.must("billing.add_promotion", account=otto.pk, promotion="loyalty", **one)
    assert ana.act("billing.add_promotion", account=otto.pk, promotion="loyalty", **two).refusal.rule == "promotion-runs"


@pytest.mark.parametrize(("who", "promotion", "rule"), [("ana", "loyalty", ""), ("tom", "loyalty", "promotion-worth"), ("ana", "student", ""), ("ana", "nothing", "INVALID")])
def test_who_may_promise_which_promotion(house, otto, who, promotion, rule):
    found = Desk(house[who]).take_call(otto, pin="9182").act("billing.add_promotion", account=otto.pk, promotion=promotion)
    assert (found.refusal.rule or found.refusal.code if found.refusal else "") == rule


def test_promotions_are_not_heaped_up_beyond_what_one_may_give_away(house, otto):
    """Twelve months of $5.00 are $60.00; an associate may give away $100.00 on an account, whatever line it is on."""
    ana, line = Desk(house["ana"]).take_call(otto, pin="9182"), otto.lines.get()
    second = Line.objects.create(account=otto, msisdn="+12065550177", plan=line.plan, activated_on=date(2026, 10, 4), number_since=TUESDAY)
    added = ana.must("billing.add_promotion", account=otto.pk, promotion="loyalty", line=line.pk).show["agreed"]
    no = ana.act("billing.add_promotion", account=otto.pk, promotion="loyalty", line=second.pk)
    assert no.refusal.rule == "promotion-worth" and "$40.00" in no.refusal.say
    ana.must("billing.end_agreed", account=otto.pk, agreed=added, words="On the wrong line")
    ana.must("billing.add_promotion", account=otto.pk, promotion="loyalty", line=second.pk)


def test_where_another_system_bills_the_desk_says_so_instead_of_promising(house, otto):
    type(otto).objects.filter(pk=otto.pk).update(source_key="K-9")
    no = Desk(house["ana"]).take_call(otto, pin="9182").act("billing.add_promotion", account=otto.pk, promotion="loyalty")
    assert no.refusal.rule == "billed-outside" and not Agreed.objects.exists()


# ---------------------------------------------------------------- another plan


def test_a_plan_that_changes_in_the_call_is_on_the_next_bill_by_its_days_and_names_who_did_it(house, otto):
    ana = Desk(house["ana"]).take_call(otto, pin="9182")
    unlimited, line = unlimited_plan(), otto.lines.get()
    no = ana.act("lines.change_plan", account=otto.pk, line=line.pk, plan=unlimited.pk, consent=0)
    assert no.refusal.rule == "plan-consent" and "$65.00" in no.refusal.say
    ana.must("lines.change_plan", account=otto.pk, line=line.pk, plan=unlimited.pk, consent=6500)
    assert ana.act("lines.change_plan", account=otto.pk, line=line.pk, plan=unlimited.pk, consent=6500).refusal.rule == "plan-offered"
    change = PlanChange.objects.get()
    assert (change.before.code, change.after.code, change.on) == ("PLUS15", "UNL", date(2026, 11, 24))
    december = bill_cycle(date(2026, 12, 4))
    # From November 24 to December 3 are 10 of 30 days.
    assert [(n.label, n.amount_minor) for n in december.lines.filter(kind="plan").order_by("pk")] == [
        ("Unlimited", 6500), ("Plus 15 GB, 10 of 30 days given back", -1500), ("Unlimited, 10 of 30 days", 2167),
    ]  # fmt: skip
    (found,) = [d for d in ledger.explained(otto.pk, december.pk).differences if d.cause == "plan_change"]
    assert found.event.who == "Ana Silva" and "from Plus 15 GB to Unlimited on Nov 24" in found.say


# ---------------------------------------------------------------- the next bill, foreseen


def test_what_was_foreseen_on_the_last_day_is_what_comes(house, otto):
    ana = Desk(house["ana"]).take_call(otto, pin="9182")
    ana.must("lines.add_data", account=otto.pk, line=otto.lines.get().pk, mb=1024, consent=500)
    ana.must("lines.change_plan", account=otto.pk, line=otto.lines.get().pk, plan=unlimited_plan().pk, consent=6500)
    foreseen = billing.coming(otto.pk, date(2026, 12, 3), TARIFF)
    came = bill_cycle(date(2026, 12, 4))
    assert foreseen.issued_on == came.issued_on and foreseen.total_minor == came.total_minor
    assert [(n.label, n.amount_minor) for n in foreseen.lines] == list(came.lines.order_by("pk").values_list("label", "amount_minor"))


def test_what_is_foreseen_is_explained_and_says_that_it_is_an_estimate(house, otto):
    Plan.objects.filter(code="PLUS15").update(price_minor=4900)
    coming = billing.coming(otto.pk, date(2026, 11, 24), TARIFF)
    found = ledger.explained_against_last(otto.pk, coming)
    assert found.now.estimated and found.say.startswith("Your next bill will be about")
    assert sum(d.amount_minor for d in found.differences) == found.change_minor


def test_a_bill_that_another_system_makes_is_not_foreseen_by_our_run(house, otto):
    type(otto).objects.filter(pk=otto.pk).update(source_key="K-9")
    assert billing.coming(otto.pk, date(2026, 11, 24), TARIFF) is None
