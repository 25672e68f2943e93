"""Credits at the desk: who may give what, with which evidence, and what the ledger and the journal say after."""

from __future__ import annotations

import pytest

from careline.domain.credits.models import Grant
from careline.domain.journal import queries as journal
from careline.domain.ledger import queries as ledger
from careline.domain.ledger.models import BillLine
from tests.people import Desk, open_account


@pytest.fixture
def maria(house):
    return open_account()


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
