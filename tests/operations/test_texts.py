"""What customers are texted: the carrier's name in each, in their language where there are words for it."""

from __future__ import annotations

from dataclasses import replace
from string import Formatter

import pytest
from django.conf import settings

from careline.acts import texts
from careline.domain.customers.models import Customer
from careline.domain.journal.models import Outbox
from tests.people import Desk, default_rulebook

FILE = "texts.toml"


def asked_for(words: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(words) if name}


def said(topic: str) -> str:
    return Outbox.objects.filter(topic=topic).latest("pk").body


@pytest.mark.parametrize(("language", "begins"), [("en", "is your"), ("es-MX", "es su código de"), ("fr", "est votre code"), ("vi", "is your")])
def test_a_code_names_the_carrier_in_the_customers_language_where_there_are_words(house, maria, language, begins):
    Customer.objects.update(language=language)
    ana = Desk(house["ana"]).take_call(maria, verify=False)
    ana.must("contacts.send_code", account=maria.pk, line=maria.lines.get().pk)
    code, _, rest = said("one_time_code").partition(" ")
    assert len(code) == 6 and rest.startswith(begins) and settings.CARRIER_NAME in rest


def test_a_guest_learns_nothing_of_the_customers_language(house, maria):
    ana = Desk(house["ana"]).take_call(maria)
    ana.must("payments.send_guest_link", account=maria.pk, amount=500, number="+12065550123")
    assert ": pay $5.00 here" in said("payment_link")
    ana.must("payments.send_link", account=maria.pk, amount=500, line=maria.lines.get().pk)
    assert ": pague $5.00 aquí" in said("payment_link")
    ana.must("payments.take", account=maria.pk, amount=500, method=maria.payment_methods.get().pk)
    assert ": recibimos $5.00 con Visa" in said("receipt")


@pytest.mark.parametrize("language", sorted(default_rulebook().toml(FILE)))
def test_each_text_of_the_rulebook_asks_for_what_the_english_one_asks_for(language):
    for name, words in default_rulebook().toml(FILE)[language].items():
        assert asked_for(words) == asked_for(texts.ENGLISH[name]), (language, name)
        assert name != "code" or words.startswith("{code} ")


@pytest.mark.parametrize("file", ["", '[es]\nlink = "{carrier}: {nonsense}"'])
def test_a_rulebook_without_the_words_or_with_wrong_ones_says_it_in_english(house, maria, file):
    files = {k: v for k, v in default_rulebook().files.items() if k != FILE} | ({FILE: file} if file else {})
    found = texts.body(replace(default_rulebook(), files=files), "link", maria.pk, amount="$5.00", hours=24, page="p")
    assert found == f"{settings.CARRIER_NAME}: pay $5.00 here within 24 hours: p"
