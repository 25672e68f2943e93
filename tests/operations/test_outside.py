"""The outside systems behind the ports: named by a setting, or nobody, and then each deed that needs one says so."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from careline import carriers
from careline.carriers.nobody import NotSetUp
from careline.domain.activations.models import Order
from careline.domain.contacts.models import Code
from careline.domain.journal.models import Outbox
from careline.domain.ledger import queries as ledger
from careline.domain.ledger.models import Charge, PaymentLink, PaymentMethod


class OurProvider:
    """A carrier's own adapter, as a setting names it."""

    def page(self, *, reference: str, token: str, amount_minor: int, currency: str) -> str:
        return f"https://pay.example.com/{reference}/{amount_minor}{currency}"


def test_without_a_messenger_no_code_is_made_and_the_caller_can_be_called_back(ana, maria, monkeypatch):
    monkeypatch.setattr(settings, "MESSENGER", "")
    no = ana.act("contacts.send_code", account=maria.pk, line=maria.lines.get().pk)
    assert (no.status, no.refusal.rule) == ("refused", "not-set-up") and "messaging provider" in no.say
    assert "contacts.call_back" in [way.act for way in no.refusal.way_on]
    assert not Code.objects.exists() and not Outbox.objects.filter(topic="one_time_code").exists()
    with pytest.raises(NotSetUp):
        carriers.messenger().send(key="k", channel="sms", to="+12065550188", body="481516", topic="one_time_code")
    assert not (settings.HOME / "sandbox").exists()


@pytest.mark.parametrize("port", ["MESSENGER", "PAYMENTS"])
@pytest.mark.parametrize(("code", "more"), [("payments.send_link", "line"), ("payments.send_guest_link", "number")])
def test_a_link_is_sent_only_when_it_can_be_sent_and_paid(ana, maria, monkeypatch, port, code, more):
    monkeypatch.setattr(settings, port, "")
    given = {"line": maria.lines.get().pk} if more == "line" else {"number": "+13125550142"}
    no = ana.act(code, account=maria.pk, amount=2000, **given)
    assert (no.status, no.refusal.rule) == ("refused", "not-set-up") and no.refusal.way_on
    assert not PaymentLink.objects.exists()


def test_without_a_payment_provider_no_saved_method_is_charged(ana, maria, monkeypatch):
    monkeypatch.setattr(settings, "PAYMENTS", "")
    owed = ledger.balance(maria.pk)
    no = ana.act("payments.take", account=maria.pk, amount=2000, method=PaymentMethod.objects.get().pk)
    assert (no.status, no.refusal.rule) == ("refused", "not-set-up") and no.refusal.way_on
    assert ledger.balance(maria.pk) == owed and not Charge.objects.exists()


def test_what_became_of_an_old_charge_stays_unknown_without_a_provider(monkeypatch):
    monkeypatch.setattr(settings, "PAYMENTS", "")
    assert carriers.payments().ask(key="k").taken is None, "the money may have been taken"


def test_a_link_in_a_text_is_a_whole_address(ana, maria, monkeypatch):
    monkeypatch.setattr(settings, "ADDRESS", "https://desk.example.com")
    ana.must("payments.send_link", account=maria.pk, amount=2000, line=maria.lines.get().pk)
    assert "https://desk.example.com/pay/" in Outbox.objects.get(topic="payment_link").body


def test_a_provider_of_the_carriers_own_is_named_by_its_path_and_says_where_a_link_is_paid(ana, maria, monkeypatch):
    monkeypatch.setattr(settings, "PAYMENTS", f"{__name__}.OurProvider")
    link = ana.must("payments.send_link", account=maria.pk, amount=2000, line=maria.lines.get().pk).show["link"]
    assert f"https://pay.example.com/{link}/2000USD" in Outbox.objects.get(topic="payment_link").body
    monkeypatch.setattr(settings, "PAYMENTS", "no.such.Provider")
    with pytest.raises(ImproperlyConfigured, match=r"CARELINE_PAYMENTS=no\.such\.Provider"):
        carriers.payments()


def test_without_a_network_no_order_is_written_and_an_old_one_stays_unknown(ana, maria, monkeypatch):
    monkeypatch.setattr(settings, "NETWORK", "")
    no = ana.act("lines.reset_registration", account=maria.pk, line=maria.lines.get().pk)
    assert (no.status, no.refusal.rule) == ("refused", "not-set-up") and no.refusal.way_on
    assert not Order.objects.exists() and carriers.network().profile(number="+12065550188") is None
    assert carriers.network().ask(key="k").done is None, "it may have been carried out"


def test_without_a_device_feed_nothing_is_known_of_a_phone(monkeypatch):
    monkeypatch.setattr(settings, "DEVICES", "")
    assert carriers.devices().seen(number="+12065550188", imei="") is None
