"""A SIM, a phone and a transfer PIN at the desk: offered where the lock stands, asked with its warning, and another carrier's request by the API."""

from __future__ import annotations

import re

import pytest

from careline.domain.customers.models import Account, Customer, Line
from careline.domain.journal.models import Outbox
from tests.doors.test_access import sit_down
from tests.doors.test_api import Caller, token_of
from tests.doors.test_care import plain, words
from tests.operations.test_sims import card, imei
from tests.people import hire, open_account

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def maria(house):
    account = open_account()
    Customer.objects.update(email="maria@okafor.example")
    Account.objects.update(postal_code="98101")
    return account


@pytest.fixture
def ana(house, maria):
    return sit_down(house["ana"], maria)


def do(ana, maria, code, **typed):
    return ana.do(ana.contact, code, account=maria.pk, line=maria.lines.get().pk, **typed)


def test_what_a_lock_stops_is_offered_beside_it_while_it_is_off(ana, maria):
    page = plain(ana.get(f"{ana.here}?section=care"))
    assert "change the SIM" in page and "make a transfer PIN" in page
    do(ana, maria, "customers.lock", what="both")
    page = plain(ana.get(f"{ana.here}?section=care"))
    assert "change the SIM" not in page and "make a transfer PIN" not in page
    for code in ("lines.change_sim", "lines.make_transfer_pin"):
        assert "Its holder has the lock taken off first." in plain(ana.get(f"{ana.here}?act={code}")), "said before anything is typed"


def test_a_card_or_an_esim_has_a_form_of_its_own_and_a_misread_number_stays_to_be_mended(ana, maria):
    form = words(ana.get(f"{ana.here}?act=lines.change_sim"))
    assert 'name="iccid"' in form and 'name="eid"' not in form and "We never ask for that" in form and "SIM ending in 0001" in form
    assert 'name="eid"' in words(ana.get(f"{ana.here}?act=lines.change_sim&kind=esim"))
    no = do(ana, maria, "lines.change_sim", kind="sim", iccid="8901")
    assert no.status_code == 422 and 'value="8901"' in words(no) and "18 to 20 digits" in words(no)
    assert do(ana, maria, "lines.change_sim", kind="sim", iccid=card(7)).status_code == 303
    page = plain(ana.get(f"{ana.here}?section=lines"))
    assert f"SIM ends {card(7)[-4:]}" in page and "change the SIM" in page
    assert "New SIM ending in" in plain(ana.get(f"{ana.here}?section=time"))


def test_a_phone_that_is_known_fills_its_own_name_in(ana, maria):
    known = maria.lines.get().device
    type(known).objects.filter(pk=known.pk).update(imei=imei(1))
    assert 'value="Pixel 8"' in words(ana.get(f"{ana.here}?act=lines.change_device&imei={imei(1)}"))
    assert do(ana, maria, "lines.change_device", imei=imei(2), make="Fairphone", model="5").status_code == 303
    assert "Fairphone 5" in plain(ana.get(f"{ana.here}?section=lines"))


def test_a_transfer_pin_is_shown_once_and_only_where_no_text_gets_there(ana, maria):
    sent = do(ana, maria, "lines.make_transfer_pin")
    pin = next(w for w in Outbox.objects.get(topic="transfer_pin").body.split() if w.isdigit() and len(w) == 6)
    page = plain(ana.get(sent["Location"]))
    assert "transfer PIN given out: 0188 until Dec 1" in page and pin not in page
    Line.objects.update(can_text=False)
    page = plain(ana.get(do(ana, maria, "lines.make_transfer_pin")["Location"]))
    read_out = re.search(r"The transfer PIN is (\d{6})\. Read it to them now", page)
    assert read_out and read_out[1] not in plain(ana.get(f"{ana.here}?section=care"))


def test_another_carrier_asks_by_the_api_and_is_answered_with_its_reason_or_the_number(house, ana, maria):
    do(ana, maria, "lines.make_transfer_pin")
    pin = next(w for w in Outbox.objects.get(topic="transfer_pin").body.split() if w.isdigit() and len(w) == 6)
    gateway = Caller(token_of(hire("gateway", "Port gateway", "service"), "lines.port_out")[1])

    def ask(key: str, **given: str):
        usual = {"number": "+12065550188", "account_reference": maria.reference, "postal_code": "98101", "pin": pin, "to": "Cedar Mobile"}
        return gateway.act("lines.port_out", key_=key, **usual | given)

    no = ask("a-first-request", postal_code="10001")
    assert no.status_code in (403, 409, 422) and "ZIP code" in no.content.decode()
    assert ask("another-request").status_code == 200 and Line.objects.get().status == "cancelled"
    assert ask("another-request").status_code == 200, "the same request again is the same answer"
