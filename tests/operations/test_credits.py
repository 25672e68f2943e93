"""Credits at the desk: who may give what, with which evidence, and what the ledger and the journal say after."""

from __future__ import annotations

from careline.domain.credits.models import Grant
from careline.domain.journal import queries as journal
from careline.domain.ledger import queries as ledger
from careline.domain.ledger.models import BillLine
from tests.people import Desk


def test_ana_grants_a_goodwill_credit_to_a_verified_caller(house, maria):
    before = ledger.balance(maria.pk)
    ana = Desk(house["ana"]).take_call(maria)
    done = ana.act("credits.grant", account=maria.pk, amount=1000, reason="goodwill")
    assert done.ok, done
    assert ledger.balance(maria.pk) == before - 1000
    assert not list(journal.verify())


def test_nothing_moves_before_the_caller_is_verified(house, maria):
    ana = Desk(house["ana"]).take_call(maria, verify=False)
    no = ana.act("credits.grant", account=maria.pk, amount=1000, reason="goodwill")
    assert no.status == "refused" and no.refusal.rule == "needs-verified"
    assert [w.act for w in no.refusal.way_on] == ["contacts.check_pin", "contacts.send_code", "contacts.call_back"]
    assert not Grant.objects.exists()


def test_a_credit_on_a_taxed_line_takes_back_its_tax_as_a_line_of_its_own(house, maria):
    charge = BillLine.objects.filter(bill__account=maria, kind="plan").last()
    ana = Desk(house["ana"]).take_call(maria)
    done = ana.must("credits.grant", account=maria.pk, amount=2250, reason="service_failure", bill_line=charge.pk)
    assert done.show["total"] == 2250 + 180
    assert sorted(Grant.objects.get().parts.values_list("kind", "amount_minor")) == [("credit", 2250), ("tax", 180)]


def test_above_her_limit_a_lead_decides_in_the_call(house, maria):
    ana = Desk(house["ana"]).take_call(maria)
    no = ana.act("credits.grant", account=maria.pk, amount=4000, reason="retention")
    assert no.refusal.rule == "credit-event" and "lead" in no.refusal.who_could
    asked = ana.must("approvals.ask", account=maria.pk, code="credits.grant", words="Two outages this month",
                     input={"account": str(maria.pk), "amount": 4000, "reason": "retention"})
    from careline.acts.declare import BasisRef

    lena = Desk(house["lena"], ana.at)
    request = BasisRef("request", int(asked.show["request"]))
    done = lena.act("approvals.decide", basis=request, request=request.id, decision="less", amount=3000, answer="Fair")
    assert done.ok, done
    grant = Grant.objects.get()
    assert (grant.amount_minor, grant.granted_by.username, grant.asked_by.username) == (3000, "lena", "ana")
    assert not list(journal.verify())


def test_the_limit_of_one_event_is_for_all_credits_of_that_event(house, maria):
    """$25 of goodwill for one event: this contact. What was given counts, what was taken back does not; another reason
    and another contact are another event."""
    ana = Desk(house["ana"]).take_call(maria)
    first = ana.must("credits.grant", account=maria.pk, amount=2000, reason="goodwill").show["credit"]
    no = ana.act("credits.grant", account=maria.pk, amount=2000, reason="goodwill").refusal
    assert (no.rule, no.say) == ("credit-reason", "This reason leaves $5.00 for this event.") and no.who_could == ("lead", "supervisor")
    ana.must("credits.grant", account=maria.pk, amount=500, reason="goodwill")
    assert ana.act("credits.grant", account=maria.pk, amount=1, reason="goodwill").refusal.rule == "credit-reason"
    ana.must("credits.reverse", account=maria.pk, credit=first, words="Wrong reason")
    ana.must("credits.grant", account=maria.pk, amount=2000, reason="retention")
    ana.must("contacts.end")
    ana.must("contacts.wrap_up", summary="x", disposition="resolved", root_cause="none")
    assert Desk(house["ana"]).take_call(maria).act("credits.grant", account=maria.pk, amount=2500, reason="goodwill").ok


def test_an_event_is_one_charge_where_the_reason_asks_for_one_and_not_where_it_does_not(house, maria):
    charges = list(BillLine.objects.filter(bill__account=maria, kind="plan"))
    ana = Desk(house["eva"]).take_call(maria)
    for charge in charges[:2]:
        ana.must("credits.grant", account=maria.pk, amount=4000, reason="service_failure", bill_line=charge.pk)
    no = ana.act("credits.grant", account=maria.pk, amount=3501, reason="service_failure", bill_line=charges[0].pk)
    assert no.refusal.rule == "credit-line"  # $5 are left of the charge: less than the $35 of the event
    ana.must("credits.grant", account=maria.pk, amount=2500, reason="goodwill", bill_line=charges[2].pk)
    no = ana.act("credits.grant", account=maria.pk, amount=500, reason="goodwill", bill_line=charges[1].pk)
    assert no.refusal.rule == "credit-reason"


def test_the_smallest_room_speaks_and_a_lead_is_asked_beyond_the_reason_too(house, maria):
    """Goodwill is $25 for an associate, $50 for a lead, $100 for a supervisor; beyond that nobody is offered."""
    ana = Desk(house["ana"]).take_call(maria)

    def no(amount, reason="goodwill"):
        return ana.act("credits.grant", account=maria.pk, amount=amount, reason=reason).refusal

    more = no(3000)
    assert (more.rule, more.who_could) == ("credit-reason", ("lead", "supervisor"))
    assert [w.act for w in more.way_on] == ["approvals.ask"]
    assert no(6000).who_could == ("supervisor",)
    most = no(10_001)
    assert (most.say, most.who_could, most.way_on) == ("This reason leaves $100.00 for this event. Nobody here may go beyond it.", (), ())
    assert no(10_001, "retention").say == "This reason leaves $100.00 for this event. Nobody here may go beyond it."
    ana.must("credits.grant", account=maria.pk, amount=2500, reason="retention")
    ana.must("credits.grant", account=maria.pk, amount=1500, reason="goodwill")
    charge = BillLine.objects.filter(bill__account=maria, kind="plan").last()
    window = ana.act("credits.grant", account=maria.pk, amount=3000, reason="service_failure", bill_line=charge.pk).refusal
    assert (window.rule, window.who_could) == ("credit-window", ("expert", "lead", "supervisor"))  # $10; the event leaves $25
