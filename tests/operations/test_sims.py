"""Another SIM or phone on a line: the holder's, strongly verified, told before it happens, stopped by the lock, and proof of nothing for a day."""

from __future__ import annotations

from datetime import timedelta

import pytest

from careline.acts.perform import perform
from careline.carriers.sandbox import SandboxMessenger, SandboxNetwork
from careline.domain.activations.models import Order
from careline.domain.contacts.models import Contact
from careline.domain.customers import operations as customer_operations
from careline.domain.customers import queries as customers
from careline.domain.customers.models import Account, Customer, Device, Line, Pin
from careline.domain.journal import queries as journal
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.models import Outbox
from careline.doors.jobs.reconcile import reconcile
from careline.doors.jobs.worker import send_due
from careline.foundation import sim
from tests import people
from tests.people import TUESDAY, Desk, open_account

MAIL = "maria@okafor.example"


def card(n: int) -> str:
    body = f"890126000000000{n:03d}"
    return body + sim.luhn_digit(body)


def eid(n: int) -> str:
    body = f"89{n:028d}"
    return body + f"{98 - int(body + '00') % 97:02d}"


def imei(n: int) -> str:
    body = f"35{n:012d}"
    return body + sim.luhn_digit(body)


@pytest.fixture
def maria(house):
    account = open_account()
    Customer.objects.update(email=MAIL)
    return account


@pytest.fixture
def ana(verified, maria):
    return verified.prove_phone(maria)


def line(account: Account) -> Line:
    return Line.objects.get(account=account)


def change(desk: Desk, account: Account, **given: object):
    return desk.act("lines.change_sim", account=account.pk, line=line(account).pk, **({"kind": "sim", "iccid": card(7)} | given))


def notices() -> list[tuple[str, str]]:
    return list(Outbox.objects.filter(topic="security_notice").order_by("pk").values_list("channel", "to"))


# ---------------------------------------------------------------- the SIM


def test_a_new_card_is_in_the_line_once_the_network_did_it_and_the_old_ways_heard_before_it(ana, maria, monkeypatch):
    heard: list[int] = []
    real = SandboxNetwork.order
    monkeypatch.setattr(SandboxNetwork, "order", lambda *a, **k: heard.append(len(SandboxMessenger().sent())) or real(*a, **k))
    before = len(SandboxMessenger().sent())
    spaced = f"{card(7)[:4]} {card(7)[4:12]}-{card(7)[12:]}"
    done = change(ana, maria, iccid=spaced)
    assert done.ok and done.show["restart"] is True
    row = line(maria)
    assert (row.iccid, row.sim_kind, row.sim_since, row.sim_state) == (card(7), "sim", TUESDAY, "active")
    assert heard == [before + 2], "a text to the SIM that it was and a mail had left when the network heard of it"
    assert {m["to"] for m in SandboxMessenger().sent(2)} == {"+12065550188", MAIL}
    send_due(at=TUESDAY)
    assert [m["topic"] for m in SandboxMessenger().sent()].count("security_notice") == 2, "the outbox repeats them under their keys: once each"
    lines = JournalLine.objects.filter(code="lines.change_sim").order_by("pk")
    assert [n.outcome for n in lines] == ["pending", "done"] and not any(card(7) in n.text for n in lines)
    assert lines[0].content["data"]["sim"] == card(7)[-4:] and journal.timeline(f"account:{maria.pk}")[0].code == "lines.change_sim"


def test_a_profile_for_an_esim_comes_from_the_network_by_the_devices_number(ana, maria):
    assert change(ana, maria, kind="esim", iccid="", eid=eid(5)).ok
    row = line(maria)
    assert row.sim_kind == "esim" and sim.iccid_fault(row.iccid) is None
    order = Order.objects.get()
    assert (order.eid, order.iccid) == (eid(5), row.iccid)


@pytest.mark.parametrize(
    ("given", "field"),
    [({"iccid": card(7)[:-1] + str((int(card(7)[-1]) + 1) % 10)}, "iccid"), ({"iccid": "8901"}, "iccid"), ({"iccid": ""}, "input"),
     ({"kind": "esim", "iccid": "", "eid": eid(5)[:-1] + "0"}, "eid"), ({"kind": "esim"}, "input"), ({"eid": eid(5)}, "input")],
)  # fmt: skip
def test_a_number_that_was_misread_is_said_at_its_field_and_tells_nobody(ana, maria, given, field):
    no = change(ana, maria, **given)
    assert no.status == "invalid" and field in no.refusal.fields and not notices()


def test_one_proof_is_not_enough_and_an_authorized_person_is_not_the_holder(house, verified, maria):
    no = change(verified, maria)
    assert no.refusal.rule == "care-strong" and "contacts.send_code" in [w.act for w in no.refusal.way_on]
    assert notices() == [("sms", "+12065550188"), ("email", MAIL)], "a request that was refused is told too"
    assert "no la dimos" in Outbox.objects.filter(topic="security_notice").first().body, "in her language"
    change(verified, maria)
    assert len(notices()) == 2, "once an hour"
    assert not Order.objects.exists() and line(maria).iccid == "8901260000000000001"


def test_the_lock_stops_it_until_the_holder_has_it_taken_off(ana, maria):
    ana.must("customers.lock", account=maria.pk, what="sim")
    no = change(ana, maria)
    assert (no.refusal.rule, [w.act for w in no.refusal.way_on]) == ("sim-locked", ["customers.unlock"]) and not Order.objects.exists()
    ana.must("customers.unlock", account=maria.pk, what="sim")
    assert change(ana, maria).ok


def test_nothing_is_changed_within_a_day_of_a_new_address_or_pin(ana, maria):
    ana.must("customers.change_contact", account=maria.pk, email="new@post.example")
    no = change(ana, maria).refusal
    assert no.rule == "takeover-fresh" and "No SIM and no number goes anywhere before 10:00 am on Nov 25." in no.say
    Customer.objects.update(email_since=TUESDAY - timedelta(hours=24))
    assert change(ana, maria).ok
    assert ("email", "new@post.example") not in notices()


def test_for_a_day_the_number_proves_nothing_strong_by_its_new_sim(house, ana, maria):
    change(ana, maria)
    ana.must("contacts.end")
    ben = Desk(house["ben"], TUESDAY + timedelta(hours=23)).take_call(maria).prove_phone(maria)
    assert Contact.objects.get(pk=ben.contact).level == 3 and change(ben, maria, iccid=card(8)).refusal.rule == "care-strong"
    ben.must("contacts.end")
    ben = Desk(house["ben"], TUESDAY + timedelta(hours=24)).take_call(maria).prove_phone(maria)
    assert Contact.objects.get(pk=ben.contact).level == 4 and change(ben, maria, iccid=card(8)).ok


def test_while_nobody_knows_what_became_of_it_the_number_proves_nothing_either(house, ana, maria):
    SandboxNetwork().script(line(maria).msisdn, "silent", "sim")
    assert change(ana, maria).status == "pending" and line(maria).iccid == "8901260000000000001"
    ana.must("contacts.end")
    ben = Desk(house["ben"], TUESDAY + timedelta(minutes=1)).take_call(maria).prove_phone(maria)
    assert Contact.objects.get(pk=ben.contact).level == 3


def test_a_lost_answer_is_asked_for_again_and_a_refused_card_changes_nothing(ana, maria):
    SandboxNetwork().script(line(maria).msisdn, "lost", "sim")
    assert change(ana, maria).status == "pending"
    assert reconcile(at=TUESDAY + timedelta(minutes=3)) == 1 and line(maria).iccid == card(7)
    SandboxNetwork().script(line(maria).msisdn, "refuse", "sim")
    no = change(ana, maria, iccid=card(9))
    assert no.refusal.rule == "network-refused" and "not known" in no.say and line(maria).iccid == card(7)


def test_a_card_that_is_in_another_line_or_on_its_way_there_is_not_given_twice(house, ana, maria):
    otto = open_account("Otto Krause", "+12065550177", "A-0104999")
    Line.objects.filter(account=otto).update(iccid=card(3))
    assert change(ana, maria, iccid=card(3)).refusal.rule == "sim-taken"
    SandboxNetwork().script("+12065550177", "silent", "sim")
    ben = Desk(house["ben"]).take_call(otto).prove_phone(otto)
    assert change(ben, otto, iccid=card(4)).status == "pending"
    assert change(ana, maria, iccid=card(4)).refusal.rule == "sim-taken"


def test_a_lost_phone_is_suspended_first_and_gets_its_new_sim_while_it_is(ana, maria):
    ana.must("lines.suspend", account=maria.pk, line=line(maria).pk, reason="lost_or_stolen")
    assert change(ana, maria).ok
    assert (line(maria).status, line(maria).iccid) == ("suspended", card(7))


def test_an_import_of_the_old_system_puts_no_old_sim_back(ana, maria):
    Line.objects.update(source_key="L-1")
    Account.objects.update(source_key="A-1")
    people.plus_plan()
    Line.objects.get().plan.__class__.objects.update(source_key="P-1")
    change(ana, maria)
    row = line(maria)
    values = {name: getattr(row, name) for name in ("msisdn", "label", "status", "status_reason", "status_since", "number_since", "activated_on", "sim_state")}
    old = {**values, "source_key": "L-1", "account": "A-1", "plan": "P-1", "device": "", "iccid": "8901260000000000001", "sim_kind": "sim", "sim_since": None}
    customer_operations.upsert_many(act=people.carrier_act(), entity="lines", rows=[old])
    assert (line(maria).iccid, line(maria).sim_since) == (card(7), TUESDAY)
    newer = {**old, "iccid": card(9), "sim_since": TUESDAY + timedelta(days=2)}
    customer_operations.upsert_many(act=people.carrier_act(), entity="lines", rows=[newer])
    assert line(maria).iccid == card(9), "what the other system did after it counts"


def test_a_notice_goes_to_the_number_that_kept_its_sim_too(house, ana, maria):
    """Of two numbers the one that nobody touched hears of the other, whatever was done to that."""
    second = Line.objects.create(account=maria, msisdn="+12065550189", plan=people.plus_plan(), activated_on=TUESDAY.date(), number_since=TUESDAY - timedelta(days=90))
    Line.objects.filter(msisdn="+12065550188").update(sim_since=TUESDAY - timedelta(minutes=5))
    assert customers.numbers_of_record(maria.pk)[0] == second
    Pin.objects.update(set_at=TUESDAY - timedelta(days=400))
    done = perform("lines.change_sim", {"account": maria.pk, "line": second.pk, "kind": "sim", "iccid": card(5)}, who=ana.staff.who, key="another-sim-1",
                   basis=people.BasisRef("contact", ana.contact), at=TUESDAY)  # fmt: skip
    assert done.ok and ("sms", "+12065550189") in notices()


# ---------------------------------------------------------------- the phone


def device(desk: Desk, account: Account, **given: object):
    return desk.act("lines.change_device", account=account.pk, line=line(account).pk, **given)


def test_another_phone_is_known_by_its_number_or_written_down_with_its_make(verified, maria):
    no = device(verified, maria, imei=imei(1))
    assert set(no.refusal.fields) == {"make", "model"} and not Device.objects.filter(imei=imei(1)).exists()
    assert device(verified, maria, imei=imei(1), make="Fairphone", model="5").ok
    assert line(maria).device.imei == imei(1) and str(line(maria).device) == "Fairphone 5"
    assert device(verified, maria, imei=imei(1)).refusal.rule == "device-as-it-is"
    assert not notices(), "a phone opens nothing"


def test_a_phone_on_the_block_list_is_put_on_no_line(house, verified, maria):
    Device.objects.create(imei=imei(2), make="Apple", model="iPhone 15", blocked="stolen")
    no = device(verified, maria, imei=imei(2))
    assert (no.refusal.rule, no.refusal.who_could) == ("device-blocked", ()) and not Order.objects.exists()
    SandboxNetwork().script(line(maria).msisdn, "refuse", "device")
    no = device(verified, maria, imei=imei(3), make="Apple", model="iPhone 15")
    assert "block list" in no.say and line(maria).device.imei != imei(3), "the network's own list counts too"


@pytest.mark.parametrize("wrong", [imei(1)[:-1] + str((int(imei(1)[-1]) + 1) % 10), "35", "0" * 15, imei(1) + "1"])
def test_a_misread_phone_number_is_said_at_its_field(verified, maria, wrong):
    assert device(verified, maria, imei=wrong, make="A", model="B").refusal.fields.keys() == {"imei"}


def test_who_uses_a_line_by_right_may_have_its_phone_changed_and_not_its_sim(house, verified, maria):
    holder = Contact.objects.get(pk=verified.contact).person
    maria.people.filter(person=holder).update(right="authorized", may_service=True)
    verified.prove_phone(maria)
    assert change(verified, maria).refusal.rule == "holder-only"
    assert device(verified, maria, imei=imei(1), make="Fairphone", model="5").ok
