"""The forms of orders on lines: the price stands there before it is agreed to, and what came of it after."""

from __future__ import annotations

import re
from datetime import date

import pytest

from careline.carriers.sandbox import SandboxNetwork
from careline.domain.customers.models import AddedData, Allowance, Line, Plan, Usage
from careline.domain.ledger.models import UnbilledCharge
from tests.doors.test_access import Browser, hold_contact, sit_down

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def ana(house, maria, clock):
    return sit_down(house["ana"], maria)


def words(response) -> str:
    return re.sub(r"\s+", " ", response.content.decode())


def order(browser, account, code, **typed):
    return browser.do(browser.contact, code, account=account.pk, line=account.lines.get().pk, **typed)


def test_added_data_shows_its_price_asks_for_a_yes_and_stands_on_the_line(ana, maria):
    Plan.objects.update(data_gb_price_minor=333)
    line = maria.lines.get().pk
    page = words(ana.get(f"{ana.here}?act=lines.add_data&line={line}&mb=1536"))
    assert "1.5 GB, $5.00 plus tax" in page and "1.5 GB more costs $5.00 plus tax" in page
    unasked = order(ana, maria, "lines.add_data", mb=1536, consent="")
    assert unasked.status_code == 422 and not AddedData.objects.exists()
    another = order(ana, maria, "lines.add_data", mb=2048, consent=500)
    assert another.status_code == 422 and "That costs $6.66 before tax" in words(another), "the price of another amount was agreed to"
    done = order(ana, maria, "lines.add_data", mb=1536, consent=500)
    assert done.status_code == 303 and done["Location"].endswith("?section=lines")
    assert UnbilledCharge.objects.get().amount_minor == 500
    after = words(ana.get(done["Location"]))
    assert "of 16.5 GB" in after and "1.5 GB" in after
    assert "0.5 GB, $1.67 plus tax" in words(ana.get(f"{ana.here}?act=lines.add_data")), "what may still be added"


def test_calls_messages_and_what_else_the_plan_names_stand_on_the_line(ana, maria):
    plan, line = maria.lines.get().plan, maria.lines.get()
    Plan.objects.filter(pk=plan.pk).update(voice_minutes=500, texts=None)
    Allowance.objects.create(plan=plan, kind="roaming", title="Roaming data", unit="MB", included=2048, price_minor=1)
    Usage.objects.bulk_create(Usage(line=line, kind=kind, day=date(2026, 11, 5), quantity=n) for kind, n in (("voice", 312), ("text", 9), ("roaming", 1200)))
    page = words(ana.get(f"{ana.here}?section=lines"))
    assert all(said in page for said in ("312 of 500 min", "1,200 of 2,048 MB", "roaming data", "calls", "messages"))


def test_a_suspended_line_leads_to_its_restoring_with_the_fee_read_out(ana, maria):
    Line.objects.update(status="suspended", suspended_for="non_payment", status_reason="not paid")
    page = words(ana.get(f"{ana.here}?section=lines"))
    assert f"act=lines.restore&amp;line={maria.lines.get().pk}" in page
    form = words(ana.get(f"{ana.here}?act=lines.restore"))
    assert "Restoring the line costs $20.00 plus tax" in form
    assert order(ana, maria, "lines.restore", consent=2000).status_code == 303
    assert maria.lines.get().status == "active"


def test_switching_a_feature_says_how_it_is_now(ana, maria):
    assert "It is off now." in words(ana.get(f"{ana.here}?act=lines.set_feature&feature=roaming"))
    assert order(ana, maria, "lines.set_feature", feature="roaming", on="on").status_code == 303
    assert "It is on now." in words(ana.get(f"{ana.here}?act=lines.set_feature&feature=roaming"))
    no = order(ana, maria, "lines.set_feature", feature="wifi_calling", on="on")
    assert no.status_code == 422 and "emergency services" in words(no)
    assert order(ana, maria, "lines.set_feature", feature="wifi_calling", on="on", address_confirmed="on").status_code == 303


def test_a_verified_caller_is_shown_the_way_to_one_more_proof(house, maria, clock):
    ana = Browser(house["ana"])
    ana.contact = hold_contact(house["ana"], maria, "verified")
    no = order(ana, maria, "lines.suspend", reason="customer_wish")
    assert no.status_code == 422 and "one more proof" in words(no) and "?verify=more" in words(no)


def test_what_the_network_refuses_and_what_it_does_not_answer_is_said(ana, maria):
    SandboxNetwork().script(maria.lines.get().msisdn, "refuse")
    no = order(ana, maria, "lines.reset_registration")
    assert no.status_code == 422 and "The network refused" in words(no)
    SandboxNetwork().script(maria.lines.get().msisdn, "lost")
    waits = order(ana, maria, "lines.reset_registration")
    assert waits.status_code == 303
    assert "the network has not answered" in words(ana.get(waits["Location"]))


@pytest.mark.parametrize("code", ["lines.add_data", "lines.set_feature", "lines.restore", "lines.suspend", "lines.refresh_provisioning", "lines.reset_registration"])
@pytest.mark.parametrize("query", ["", "&line=999999&mb=7&feature=teleport&on=maybe&consent=x", "&line=²&mb=1e9"])
def test_a_form_bears_whatever_its_address_says_and_an_account_without_lines(ana, maria, code, query):
    assert ana.get(f"{ana.here}?act={code}{query}").status_code == 200
    Line.objects.update(status="cancelled")
    assert ana.get(f"{ana.here}?act={code}{query}").status_code == 200
