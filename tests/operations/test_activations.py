"""Orders on lines: what the network did is what the line shows and the bill carries, once, whatever gets lost on the way."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from functools import partial

import pytest

from careline.acts import table
from careline.acts.declare import BasisRef
from careline.acts.perform import perform
from careline.carriers import devices, network
from careline.carriers.sandbox import SandboxDevices, SandboxNetwork
from careline.domain.activations import queries
from careline.domain.activations.models import Order
from careline.domain.activations.rules import device_facts
from careline.domain.customers import queries as customers
from careline.domain.customers.models import (
    Account,
    AccountPerson,
    AddedData,
    Line,
    Plan,
    StaffTie,
    Usage,
)
from careline.domain.journal import queries as journal
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.models import Outbox
from careline.domain.ledger import operations as ledger_operations
from careline.domain.ledger import queries as ledger
from careline.domain.ledger.models import Bill, BillLine, UnbilledCharge
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs.reconcile import reconcile
from careline.foundation.act import Who
from careline.foundation.money import share
from tests import people
from tests.people import TUESDAY, Desk, issue_bill, key, open_account

AFTER = TUESDAY + timedelta(minutes=3)
JOB = Who("Job", "ladder", "The ladder", "job")
ALL = {
    "lines.suspend": {"reason": "lost_or_stolen"},
    "lines.restore": {},
    "lines.set_feature": {"feature": "roaming", "on": True},
    "lines.add_data": {"mb": 1024, "consent": 500},
    "lines.refresh_provisioning": {},
    "lines.reset_registration": {},
}


def line(account: Account) -> Line:
    return Line.objects.select_related("plan").get(account=account)


def on_line(desk: Desk, account: Account, code: str, **given: object):
    """The act on the account's one line; an act that no test gives anything to has what the table above says."""
    extra = {k: given.pop(k) for k in ("key_", "basis") if k in given}
    return desk.act(code, account=account.pk, line=line(account).pk, **(ALL[code] | given), **extra)


def suspended(account: Account, reason: str = "non_payment", **more: object) -> Line:
    Line.objects.filter(account=account).update(status="suspended", suspended_for=reason, status_reason="words", status_since=date(2026, 11, 20), **more)
    return line(account)


def script(word: str, account: Account, kind: str = "*") -> None:
    SandboxNetwork().script(line(account).msisdn, word, kind)


def sent() -> str:
    """What the network was sent, as its twin wrote it down."""
    path = SandboxNetwork().orders
    return path.read_text() if path.exists() else ""


def books(account: Account) -> tuple:
    """All that an order can change."""
    row = line(account)
    return (row.status, row.status_reason, row.suspended_for, row.features, AddedData.objects.count(), UnbilledCharge.objects.count(), ledger.balance(account.pk))


def facts(account: Account, at=TUESDAY):
    return queries.line_facts(line(account).pk, at, limits=rulebooks.current().limits)


# ---------------------------------------------------------------- suspending and restoring


def test_a_stolen_phone_is_suspended_for_a_verified_caller_and_restored_for_a_strong_one_only(ana, maria):
    done = on_line(ana, maria, "lines.suspend", reason="lost_or_stolen", words="Left in a taxi")
    assert done.ok and line(maria).status == "suspended" and line(maria).status_reason == "lost or stolen"
    assert (line(maria).suspended_for, line(maria).status_since) == ("lost_or_stolen", date(2026, 11, 24))
    no = on_line(ana, maria, "lines.restore")
    assert no.refusal.rule == "restore-strong" and "contacts.send_code" in [w.act for w in no.refusal.way_on]
    back = on_line(ana.prove_phone(maria), maria, "lines.restore")
    assert back.ok and back.show["restart"] is True, "the phone notices only after a restart"
    row = line(maria)
    assert (row.status, row.status_reason, row.suspended_for) == ("active", "", "")
    assert not UnbilledCharge.objects.exists(), "bringing back a lost phone costs nothing"
    lines = JournalLine.objects.filter(code__startswith="lines.").order_by("pk")
    assert [(n.code, n.outcome) for n in lines] == [
        ("lines.suspend", "pending"), ("lines.suspend", "done"), ("lines.restore", "refused"),
        ("lines.restore", "pending"), ("lines.restore", "done"),
    ]  # fmt: skip
    assert not any("taxi" in n.text for n in lines) and not list(journal.verify())


def test_suspending_at_the_customers_wish_needs_a_strongly_verified_caller(ana, maria):
    assert on_line(ana, maria, "lines.suspend", reason="customer_wish").refusal.rule == "suspend-strong"
    assert on_line(ana.prove_phone(maria), maria, "lines.suspend", reason="customer_wish").ok


def test_what_the_ladder_suspends_for_a_lead_or_the_job_may_and_an_associate_not(house, ana, maria):
    no = on_line(ana, maria, "lines.suspend", reason="non_payment")
    assert (no.refusal.rule, no.refusal.who_could) == ("suspend-lead", ("lead", "supervisor"))
    given = {"account": maria.pk, "line": line(maria).pk, "reason": "non_payment"}
    done = perform("lines.suspend", given, who=JOB, key=key(), basis=BasisRef("job", maria.pk), at=TUESDAY)
    assert done.ok and line(maria).status_reason == "not paid"
    assert Order.objects.get().asked_by == "Job:ladder"


def test_an_unknown_reason_is_said_at_its_field(ana, maria):
    no = on_line(ana, maria, "lines.suspend", reason="because")
    assert "reason" in no.refusal.fields and not Order.objects.exists()


def test_a_line_with_money_past_due_is_restored_once_it_is_paid_for_a_fee_that_was_agreed_to(ana, maria):
    row = suspended(maria)
    issue_bill(maria, row, issued=date(2026, 10, 20), amount=3000)
    owed = facts(maria).past_due
    assert owed == 3000
    no = on_line(ana.prove_phone(maria), maria, "lines.restore", consent=2000)
    assert no.refusal.rule == "restore-overdue" and "$30.00" in no.say
    assert {"payments.take", "payments.send_link"} <= {w.act for w in no.refusal.way_on}
    method = ledger.methods_of(maria.pk)[0]
    ana.must("payments.take", account=maria.pk, amount=owed, method=method.pk)
    unasked = on_line(ana, maria, "lines.restore")
    assert unasked.refusal.rule == "restore-consent" and "$20.00" in unasked.say
    before = ledger.balance(maria.pk)
    assert on_line(ana, maria, "lines.restore", consent=2000).ok
    charge = UnbilledCharge.objects.get()
    assert (charge.kind, charge.amount_minor, charge.tax, charge.label) == ("fee", 2000, "at_billing", "Restoring line 0188")
    assert line(maria).status == "active" and ledger.balance(maria.pk) == before
    text = Outbox.objects.get(topic="line_order").body
    assert "restart your phone" in text and "$20.00 plus tax" in text


def test_a_lead_may_restore_while_a_little_is_past_due_and_nobody_while_more_is(house, maria):
    row = suspended(maria)
    issue_bill(maria, row, issued=date(2026, 10, 20), amount=2500)
    lena = Desk(house["lena"]).take_call(maria).prove_phone(maria)
    assert on_line(lena, maria, "lines.restore", consent=2000).ok
    suspended(maria)
    issue_bill(maria, row, issued=date(2026, 10, 20), amount=1)
    no = on_line(lena, maria, "lines.restore", consent=2000)
    assert (no.refusal.rule, no.refusal.who_could) == ("restore-overdue", ("supervisor",))


def test_a_contract_that_ended_is_not_brought_back_by_paying_nor_by_anybody(house, ana, maria):
    suspended(maria, contract_ends_on=date(2026, 11, 23))
    no = on_line(ana.prove_phone(maria), maria, "lines.restore", consent=2000)
    assert (no.refusal.rule, no.refusal.who_could) == ("restore-contract", ())
    Line.objects.update(contract_ends_on=date(2026, 11, 24))
    assert on_line(ana, maria, "lines.restore", consent=2000).ok, "it ends today: today it still holds"


def test_a_suspension_for_fraud_is_lifted_by_a_lead(house, ana, maria):
    suspended(maria, "fraud")
    assert on_line(ana.prove_phone(maria), maria, "lines.restore").refusal.rule == "restore-lead"
    lena = Desk(house["lena"]).take_call(maria).prove_phone(maria)
    assert on_line(lena, maria, "lines.restore").ok


def test_a_suspension_that_was_imported_with_words_only_is_restored_when_nothing_is_past_due(ana, maria):
    row = suspended(maria, "")
    bill = issue_bill(maria, row, issued=date(2026, 10, 20), amount=3000)
    assert on_line(ana, maria, "lines.restore").refusal.rule == "restore-overdue"
    people.pay(maria, bill.total_minor, TUESDAY)
    assert on_line(ana, maria, "lines.restore").ok


@pytest.mark.parametrize(
    ("status", "code", "rule"),
    [
        ("active", "lines.restore", "line-active"), ("suspended", "lines.suspend", "line-suspended"),
        ("suspended", "lines.set_feature", "line-suspended"), ("suspended", "lines.add_data", "line-suspended"),
        ("suspended", "lines.reset_registration", "line-suspended"), ("cancelled", "lines.refresh_provisioning", "line-not-living"),
        ("cancelled", "lines.suspend", "line-not-living"), ("pending", "lines.set_feature", "line-not-living"),
    ],
)  # fmt: skip
def test_an_order_that_makes_no_sense_for_the_line_as_it_stands_is_not_sent(ana, maria, status, code, rule):
    Line.objects.update(status=status)
    no = on_line(ana, maria, code)
    assert (no.refusal.code, no.refusal.rule) == ("CONFLICT", rule)
    assert not Order.objects.exists() and sent() == ""


# ---------------------------------------------------------------- features


def test_roaming_is_switched_on_for_nothing_and_off_again(ana, maria):
    assert "roaming" not in facts(maria).features
    assert on_line(ana, maria, "lines.set_feature", feature="roaming", on=True).ok
    assert "roaming" in facts(maria).features and not UnbilledCharge.objects.exists()
    assert network().profile(number=line(maria).msisdn).features == facts(maria).features
    again = on_line(ana, maria, "lines.set_feature", feature="roaming", on=True)
    assert again.refusal.rule == "feature-as-it-is" and again.refusal.way_on[0].act == "lines.refresh_provisioning"
    assert on_line(ana, maria, "lines.set_feature", feature="roaming", on=False).ok
    assert "roaming" not in facts(maria).features and "voicemail" in facts(maria).features


def test_wifi_calling_asks_for_a_confirmed_emergency_address(ana, maria):
    assert on_line(ana, maria, "lines.set_feature", feature="wifi_calling", on=True).refusal.rule == "feature-address"
    assert on_line(ana, maria, "lines.set_feature", feature="wifi_calling", on=True, address_confirmed=True).ok
    assert on_line(ana, maria, "lines.set_feature", feature="wifi_calling", on=False).ok


def test_a_feature_that_the_plan_does_not_have_is_refused(ana, maria):
    Plan.objects.update(code="WATCH")
    Line.objects.update(features="voicemail")
    assert on_line(ana, maria, "lines.set_feature", feature="hotspot", on=True).refusal.rule == "feature-not-on-plan"


def test_a_feature_with_a_price_needs_consent_and_becomes_a_charge(house, ana, maria, monkeypatch):
    monkeypatch.setitem(rulebooks.current().limits["feature"]["roaming"], "price", 499)
    assert on_line(ana, maria, "lines.set_feature").refusal.rule == "feature-consent"
    assert on_line(ana, maria, "lines.set_feature", consent=499).ok
    assert (UnbilledCharge.objects.get().kind, UnbilledCharge.objects.get().amount_minor) == ("one_off", 499)
    assert on_line(ana, maria, "lines.set_feature", on=False).ok, "switching off costs nothing"


def test_a_word_that_is_no_feature_uses_up_no_key(ana, maria):
    no = on_line(ana, maria, "lines.set_feature", feature="teleport")
    assert no.status == "invalid" and "feature" in no.refusal.fields


# ---------------------------------------------------------------- data


@pytest.mark.parametrize(
    ("plan_price", "mb", "price"),
    [(None, 512, 250), (None, 1024, 500), (None, 2048, 1000), (200, 1536, 300), (333, 512, 167), (333, 1536, 500), (10, 2048, 20), (0, 1024, 0)],
)
def test_added_data_is_charged_to_the_cent_at_the_plans_own_price_or_the_rulebooks(ana, maria, plan_price, mb, price):
    Plan.objects.update(data_gb_price_minor=plan_price)
    for wrong in {price - 1, price + 1} - {-1}:
        no = on_line(ana, maria, "lines.add_data", mb=mb, consent=wrong)
        assert no.refusal.rule == "data-consent" and f"${price / 100:.2f}" in no.say
    assert on_line(ana, maria, "lines.add_data", mb=mb, consent=price).ok
    charges = list(UnbilledCharge.objects.values_list("amount_minor", "unit_price_minor", "quantity", "kind"))
    assert charges == ([(price, 500 if plan_price is None else plan_price, mb / 1024, "usage")] if price else [])
    assert AddedData.objects.get().mb == mb


def test_the_next_bill_carries_the_charge_with_its_tax_and_only_then_it_is_owed(ana, maria):
    Plan.objects.update(data_gb_price_minor=333)
    owed = ledger.balance(maria.pk)
    done = on_line(ana, maria, "lines.add_data", mb=1536, consent=500)
    assert done.show["amount"] == 500 and ledger.balance(maria.pk) == owed
    (charge,) = ledger.unbilled_of(maria.pk)
    assert (charge.number, charge.label, charge.tax) == (done.show["charge"], "Extra data, 1.5 GB, line 0188", "at_billing")
    (due,) = ledger.unbilled_lines(maria.pk)
    tax = share(due.amount_minor, 96_000, 1_000_000)
    bill = Bill(number="B-NEXT", account=maria, period_start=date(2026, 12, 4), period_end=date(2027, 1, 3), issued_on=date(2026, 12, 4),
                due_on=date(2026, 12, 25), total_minor=500 + tax)
    taxed = BillLine(kind="tax", label="State tax", tax_rate_ppm=96_000, taxed_line=due, amount_minor=tax)
    ledger_operations.post_bills_many([bill], [(bill, due), (bill, taxed)], AFTER)
    assert tax == 48 and ledger.balance(maria.pk) == owed + 548
    assert ledger.unbilled_of(maria.pk) == [] and ledger.unbilled_lines(maria.pk) == [], "it is carried once"
    credit = ana.act("credits.grant", account=maria.pk, amount=500, reason="billing_error", bill_line=due.pk)
    assert credit.show["total"] == 548, "a charge that was wrong is credited with its tax, like any other"


def test_what_is_used_is_measured_against_the_allowance_with_what_was_added(ana, maria):
    Usage.objects.create(line=line(maria), kind="data", day=date(2026, 11, 20), quantity=15 * 1024 + 100)
    Usage.objects.create(line=line(maria), kind="data", day=date(2026, 11, 1), quantity=9999)  # the period before
    before = facts(maria)
    assert (before.data_used_up, before.data_left, before.data_room) == (True, 0, 2048)
    assert on_line(ana, maria, "lines.add_data", mb=1024, consent=500).ok
    after = facts(maria)
    assert (after.data_used_up, after.data_left, after.data_allowed, after.data_added, after.data_room) == (False, 924, 16 * 1024, 1024, 1024)
    (row,) = customers.lines_of(maria.pk, after.period_from)
    assert (row.data_used, row.data_allowed_mb) == (15 * 1024 + 100, 16 * 1024)
    assert [s.code for s in customers.signals(lines=[row], at=TUESDAY)] == ["data_nearly_used"]
    assert (after.period_from, after.period_to) == (date(2026, 11, 4), date(2026, 12, 3))
    december = facts(maria, TUESDAY + timedelta(days=11))
    assert (december.data_added, december.data_room, december.data_used) == (0, 2048, 0), "a new period begins anew"


def test_no_more_than_the_rulebook_says_in_one_bill_period(ana, maria):
    assert on_line(ana, maria, "lines.add_data", mb=1536, consent=750).ok
    no = on_line(ana, maria, "lines.add_data", mb=1024, consent=500)
    assert no.refusal.rule == "data-most" and "512 MB" in no.say
    assert on_line(ana, maria, "lines.add_data", mb=512, consent=250).ok
    assert on_line(ana, maria, "lines.add_data", mb=512, consent=250).refusal.rule == "data-most"


def test_a_spending_limit_of_the_customers_own_holds(ana, maria):
    Line.objects.update(spending_limit_minor=800)
    assert on_line(ana, maria, "lines.add_data", mb=1024, consent=500).ok
    assert (facts(maria).spent, facts(maria).spending_left) == (500, 300)
    assert on_line(ana, maria, "lines.add_data", mb=1024, consent=500).refusal.rule == "data-spending-limit"
    assert on_line(ana, maria, "lines.add_data", mb=512, consent=250).ok


def test_data_comes_in_steps_and_not_to_a_plan_without_a_limit(ana, maria):
    assert "mb" in on_line(ana, maria, "lines.add_data", mb=700, consent=342).refusal.fields
    Plan.objects.update(data_mb=None)
    assert on_line(ana, maria, "lines.add_data").refusal.rule == "data-unlimited"
    assert facts(maria).data_room is None and facts(maria).data_left is None and not facts(maria).data_used_up


# ---------------------------------------------------------------- what the network answers


@pytest.mark.parametrize("code", [c for c in ALL if c != "lines.restore"])
def test_what_the_network_refuses_changes_nothing_and_the_same_click_says_so_again(ana, maria, code):
    script("refuse", maria)
    before = books(maria)
    no = on_line(ana, maria, code, key_="one-click")
    assert (no.status, no.refusal.code, no.refusal.rule) == ("refused", "NETWORK", "network-refused")
    assert books(maria) == before and Order.objects.get().state == "refused"
    written = sent()
    assert on_line(ana, maria, code, key_="one-click") == no and sent() == written
    assert JournalLine.objects.filter(code=code, outcome="refused").count() == 1
    script("", maria)
    assert on_line(ana, maria, code).ok, "a refused order stands in nobody's way"


@pytest.mark.parametrize("code", [c for c in ALL if c != "lines.restore"])
def test_an_answer_that_is_lost_is_asked_for_again_and_the_order_is_done_once(ana, maria, code):
    script("lost", maria)
    before = books(maria)
    assert on_line(ana, maria, code, key_="one-click").status == "pending"
    assert books(maria) == before and Order.objects.get().state == "unknown"
    written = sent()
    assert on_line(ana, maria, code, key_="one-click").status == "pending" and sent() == written, "a repeat never calls again"
    other = on_line(ana, maria, code)
    assert other.refusal.rule == "order-in-flight" and Order.objects.get().number in other.say
    assert facts(maria).in_flight[0].state == "unknown"
    assert reconcile(at=AFTER) == 1 and reconcile(at=AFTER + timedelta(minutes=3)) == 0
    done = on_line(ana, maria, code, key_="one-click")
    assert done.ok and Order.objects.get().state == "done" and sent() == written
    assert UnbilledCharge.objects.count() == AddedData.objects.count() == (1 if code == "lines.add_data" else 0)
    assert not list(journal.verify())


def test_an_order_that_never_arrived_is_void_and_charges_nothing_also_when_it_arrives_late(ana, maria):
    script("vanish", maria)
    before = books(maria)
    assert on_line(ana, maria, "lines.add_data", key_="one-click").status == "pending"
    assert reconcile(at=AFTER) == 1
    assert on_line(ana, maria, "lines.add_data", key_="one-click").refusal.code == "NETWORK"
    assert books(maria) == before
    script("", maria)
    from careline.domain.activations.ports import Wish

    late = network().order(key=Order.objects.get().key, wish=Wish("data", line(maria).msisdn, mb=1024))
    assert late.done is False, "the network was told to forget it"


@pytest.mark.parametrize("word", ["silent", "down"])
def test_a_network_that_says_nothing_leaves_the_order_unknown_until_it_speaks(ana, maria, word):
    script(word, maria)
    assert on_line(ana, maria, "lines.set_feature", key_="one-click").status == "pending"
    for minutes in (3, 6):
        assert reconcile(at=TUESDAY + timedelta(minutes=minutes)) == 0
    assert Order.objects.get().state == "unknown"
    script("", maria)
    assert reconcile(at=TUESDAY + timedelta(minutes=9)) == 1
    assert on_line(ana, maria, "lines.set_feature", key_="one-click").refusal.code == "NETWORK"
    assert "roaming" not in facts(maria).features


def test_a_lead_who_looked_on_the_network_settles_an_order_that_nobody_answers_for(house, ana, maria):
    script("silent", maria)
    assert on_line(ana, maria, "lines.add_data", key_="one-click").status == "pending"
    number = Order.objects.get().number
    assert ana.act("lines.settle_order", order=number, done=True, words="I think so").refusal.rule == "not-your-role"
    lena = Desk(house["lena"])
    assert lena.act("lines.settle_order", order=number, done=True, words="Seen in the network's own log").ok
    assert (AddedData.objects.count(), UnbilledCharge.objects.count()) == (1, 1)
    assert lena.act("lines.settle_order", order=number, done=False, words="Or not").refusal.code == "CONFLICT"
    script("", maria)
    assert reconcile(at=AFTER) == 1
    assert on_line(ana, maria, "lines.add_data", key_="one-click").ok, "the click learns what the lead saw"
    assert (AddedData.objects.count(), UnbilledCharge.objects.count()) == (1, 1)
    entry = JournalLine.objects.get(code="lines.settle_order", outcome="done")
    assert entry.chain.name == f"account:{maria.pk}" and "network's own log" not in entry.text


def test_numbers_of_the_sandbox_misbehave_by_their_ending(house):
    for last, word in (("0190", "refused"), ("0191", "pending"), ("0192", "pending"), ("0193", "pending"), ("0194", "pending")):
        someone = open_account(f"Person {last}", f"+1206555{last}", f"A-010{last}")
        ana = Desk(house["ana"]).take_call(someone)
        assert on_line(ana, someone, "lines.reset_registration").status == word, last
        ana.must("contacts.end")


# ---------------------------------------------------------------- a process that dies


def die_at_the_call(monkeypatch, code: str, after_it: bool) -> None:
    kind = table.act(code)

    def died(work, given):
        if after_it:
            kind.call(work, given)
        raise KeyboardInterrupt

    monkeypatch.setitem(table.acts(), code, replace(kind, call=died))


@pytest.mark.parametrize(("after_it", "end"), [(True, "done"), (False, "refused")])
def test_a_process_that_dies_between_the_call_and_the_settling_leaves_an_order_that_is_finished_once(ana, maria, monkeypatch, after_it, end):
    die_at_the_call(monkeypatch, "lines.add_data", after_it)
    before = books(maria)
    with pytest.raises(KeyboardInterrupt):
        on_line(ana, maria, "lines.add_data", key_="one-click")
    assert books(maria) == before and Order.objects.get().state == "asked"
    ana.must("contacts.end")  # the caller is gone; what was begun is finished all the same
    assert reconcile(at=AFTER) == 1 and reconcile(at=AFTER) == 0
    assert Order.objects.get().state == end
    assert UnbilledCharge.objects.count() == AddedData.objects.count() == (1 if after_it else 0)
    assert on_line(ana, maria, "lines.add_data", key_="one-click").status == end


def test_an_order_that_is_settled_after_the_period_ends_counts_for_the_one_in_which_it_was_asked(ana, maria):
    script("lost", maria)
    assert on_line(ana, maria, "lines.add_data").status == "pending"
    december = TUESDAY + timedelta(days=12)
    assert reconcile(at=december) == 1
    assert (facts(maria).data_added, facts(maria, december).data_added) == (1024, 0)
    assert UnbilledCharge.objects.get().day == date(2026, 11, 24)


# ---------------------------------------------------------------- two at once


@pytest.fixture
def two(committed_house):
    maria = open_account()
    return maria, [Desk(committed_house[name]).take_call(maria) for name in ("ana", "ben")]


def test_two_associates_add_all_the_data_there_is_at_once_and_it_is_added_and_charged_once(two, racing):
    maria, desks = two
    outcomes = racing(*[partial(on_line, d, maria, "lines.add_data", mb=2048, consent=1000) for d in desks * 2])
    assert sorted(o.status for o in outcomes) == ["done", "refused", "refused", "refused"]
    assert {o.refusal.rule for o in outcomes if not o.ok} <= {"order-in-flight", "data-most"}
    assert (AddedData.objects.get().mb, UnbilledCharge.objects.get().amount_minor) == (2048, 1000)
    assert not list(journal.verify())


def test_two_associates_switch_different_features_at_once_and_none_is_lost(two, racing):
    maria, desks = two
    wanted = [(desks[0], "roaming"), (desks[1], "international_calling")]
    outcomes = racing(*[partial(on_line, d, maria, "lines.set_feature", feature=f) for d, f in wanted])
    for (desk, feature), outcome in zip(wanted, outcomes, strict=True):
        if not outcome.ok:  # the other's order was still with the network: say it again
            assert outcome.refusal.rule == "order-in-flight"
            assert on_line(desk, maria, "lines.set_feature", feature=feature).ok
    assert {"roaming", "international_calling"} <= facts(maria).features
    assert network().profile(number=line(maria).msisdn).features == facts(maria).features


def test_one_click_that_arrives_four_times_is_one_order(two, racing):
    maria, (ana, _) = two
    outcomes = racing(*[partial(on_line, ana, maria, "lines.add_data", key_="one-click-only")] * 4)
    assert {o.status for o in outcomes} <= {"done", "pending"} and sum(o.ok for o in outcomes) >= 1
    assert Order.objects.count() == UnbilledCharge.objects.count() == 1 and sent().count("\n") == 1


# ---------------------------------------------------------------- who may, on whose account


@pytest.mark.parametrize("code", ALL)
def test_nothing_is_done_to_a_line_before_the_caller_is_verified_nor_after_they_are_gone(house, maria, code):
    ana = Desk(house["ana"]).take_call(maria, verify=False)
    assert on_line(ana, maria, code).refusal.rule == "needs-verified"
    ana.must("contacts.check_pin", account=maria.pk, pin="4711")
    ana.must("contacts.end")
    assert on_line(ana, maria, code).refusal.rule in ("needs-live", "caller-gone")
    assert on_line(ana, maria, code, basis=BasisRef()).refusal.rule == "needs-contact-or-job"
    assert not Order.objects.exists() and sent() == ""


@pytest.mark.parametrize("code", ALL)
def test_nobody_reaches_a_line_through_a_colleagues_contact_or_another_account(house, ana, maria, code):
    joe = open_account("Joe Lind", "+12065550199", "A-0104823")
    ben = Desk(house["ben"])
    assert on_line(ben, maria, code, basis=BasisRef("contact", ana.contact)).refusal.rule == "not-your-contact"
    assert on_line(ana, joe, code).refusal.code == "BASIS_MISMATCH"
    other = ana.act(code, account=maria.pk, **(ALL[code] | {"line": line(joe).pk}))
    assert "line" in other.refusal.fields, "the line of another account under this account's name"
    gone = ana.act(code, account=maria.pk, **(ALL[code] | {"line": 987654}))
    assert "line" in gone.refusal.fields and not Order.objects.exists()


@pytest.mark.parametrize(
    ("name", "may"),
    [
        ("tom", {"lines.set_feature", "lines.refresh_provisioning", "lines.reset_registration"}),
        ("ana", set(ALL)), ("eva", set(ALL)), ("lena", set(ALL)), ("ada", set()),
    ],
)  # fmt: skip
def test_who_has_which_act_on_lines(name, may, house):
    authority = rulebooks.current().authority
    assert {code for code in ALL if house[name].role in authority.roles_with(code)} == may
    assert ("lead" in authority.roles_with("lines.settle_order")) and "expert" not in authority.roles_with("lines.settle_order")


def test_a_trainee_adds_no_data_and_an_agent_switches_features_only(house, maria):
    tom = Desk(house["tom"]).take_call(maria)
    no = on_line(tom, maria, "lines.add_data")
    assert no.refusal.rule == "not-your-role" and "associate" in no.refusal.who_could
    assert on_line(tom, maria, "lines.set_feature").ok
    fern = Desk(people.hire("fern", "Fern", "agent")).take_call(maria)
    assert on_line(fern, maria, "lines.refresh_provisioning").ok
    assert on_line(fern, maria, "lines.suspend").refusal.rule == "not-your-role"


def test_an_authorized_persons_rights_hold_for_lines_and_for_what_they_cost(house, ana, maria):
    right = AccountPerson.objects.filter(account=maria)
    right.update(right="authorized", may_money=False, may_service=True)
    assert on_line(ana, maria, "lines.add_data").refusal.rule == "no-money-right"
    assert on_line(ana, maria, "lines.set_feature").ok
    suspended(maria)
    assert on_line(ana.prove_phone(maria), maria, "lines.restore", consent=2000).refusal.rule == "restore-money-right"
    right.update(may_service=False)
    for code in ALL:
        assert on_line(ana, maria, code).refusal.rule in ("no-service-right", "no-money-right"), code
    right.update(until=date(2026, 11, 1))
    for code in ALL:
        assert on_line(ana, maria, code).refusal.rule == "stranger", code


def test_nobody_changes_what_costs_money_on_their_own_account_admitted_or_not(house, ana, maria):
    StaffTie.objects.create(account=maria, staff=house["ana"], tie="relative")
    Account.objects.update(staff_marked=True)
    for code in ALL:
        assert on_line(ana, maria, code).refusal.rule == "own-business", code
    from careline.domain.contacts.models import Contact

    Contact.objects.update(admitted_account=maria, admitted_staff=house["ana"])
    for code in ("lines.add_data", "lines.suspend", "lines.restore"):
        assert on_line(ana, maria, code).refusal.rule == "own-business-money", code
    assert on_line(ana, maria, "lines.refresh_provisioning").ok


def test_an_order_to_the_network_is_not_given_by_deciding_a_request(house, maria):
    suspended(maria)
    issue_bill(maria, line(maria), issued=date(2026, 10, 20), amount=2000)
    ana = Desk(house["ana"]).take_call(maria).prove_phone(maria)
    given = {"account": str(maria.pk), "line": str(line(maria).pk), "consent": 2000}
    assert ana.act("lines.restore", **given).refusal.who_could == ("lead", "supervisor")
    no = ana.act("approvals.ask", account=maria.pk, code="lines.restore", input=given)
    assert (no.refusal.rule, no.refusal.way_on[0].act) == ("not-by-request", "contacts.hand_over")


def test_a_job_restores_what_is_paid_and_adds_no_data(house, maria):
    suspended(maria)
    basis = BasisRef("job", maria.pk)
    given = {"account": maria.pk, "line": line(maria).pk}
    done = perform("lines.restore", given, who=JOB, key=key(), basis=basis, at=TUESDAY)
    assert done.ok and UnbilledCharge.objects.get().amount_minor == 2000, "the fee stands in the terms"
    no = perform("lines.add_data", {**given, "mb": 1024, "consent": 500}, who=JOB, key=key(), basis=basis, at=TUESDAY)
    assert no.refusal.rule == "not-your-role"


# ---------------------------------------------------------------- what a diagnosis asks


def test_a_line_that_has_drifted_from_the_books_is_put_right_by_a_refresh(ana, maria):
    number = line(maria).msisdn
    assert network().profile(number=number) is None, "nobody told the twin of this line yet"
    SandboxNetwork().provision(number, features=["voicemail"], barred=True)
    assert facts(maria).features - network().profile(number=number).features >= {"volte", "mobile_data"}
    done = on_line(ana, maria, "lines.refresh_provisioning")
    assert done.show["restart"] is True
    assert network().profile(number=number).features == facts(maria).features
    assert network().profile(number=number).barred is False


def test_a_refresh_of_a_suspended_line_leaves_it_barred(ana, maria):
    suspended(maria)
    assert on_line(ana, maria, "lines.refresh_provisioning").ok
    assert network().profile(number=line(maria).msisdn).barred is True and line(maria).status == "suspended"


def test_the_books_say_of_a_line_all_that_a_diagnosis_asks(house, maria):
    row = suspended(maria, "non_payment", contract_ends_on=date(2026, 11, 1), sim_state="blocked", spending_limit_minor=2000)
    row.device.compatible, row.device.blocked = False, "reported stolen"
    row.device.save()
    issue_bill(maria, row, issued=date(2026, 10, 20), amount=3000)
    Account.objects.update(postal_code="98101")
    found = facts(maria)
    assert (found.status, found.suspended_for, found.suspended_why, found.suspended_since) == ("suspended", "non_payment", "words", date(2026, 11, 20))
    assert (found.contract_ended, found.past_due, found.past_due_since) == (True, 3000, date(2026, 11, 9))
    assert (found.device_make, found.device_model, found.device_tac) == ("Google", "Pixel 8", row.device.imei[:8])
    assert (found.device_compatible, found.device_blocked, found.sim_state, found.sim_last_four) == (False, "reported stolen", "blocked", "0001")
    assert (found.price_per_gb, found.plan_price, found.spending_left, found.postal_code) == (500, 4500, 2000, "98101")
    assert found.in_flight == () and queries.line_facts(987654, TUESDAY, limits=rulebooks.current().limits) is None


def test_what_the_device_feed_knew_may_be_stale_or_nothing_at_all(house, maria):
    number = line(maria).msisdn
    nothing = device_facts(devices().seen(number=number, imei=""), TUESDAY, 60)
    assert (nothing.known, nothing.registered, nothing.age_seconds, nothing.stale) == (False, None, None, True)
    SandboxDevices().put(number, at=TUESDAY - timedelta(minutes=60), registered=True, network="310-260", cells=["310-260-1-2"], settings={"airplane_mode": "off"})
    fresh = device_facts(devices().seen(number=number, imei=""), TUESDAY, 60)
    assert (fresh.known, fresh.stale, fresh.age_seconds, fresh.registered, fresh.roaming) == (True, False, 3600, True, None)
    assert (fresh.cells, fresh.settings) == (("310-260-1-2",), {"airplane_mode": "off"})
    assert device_facts(devices().seen(number=number, imei=""), TUESDAY + timedelta(seconds=1), 60).stale
