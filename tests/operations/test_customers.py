"""The find box: numbers in any form, references, names; capped; and nothing shown that verification has to open first."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from careline.domain.customers import operations, queries
from careline.domain.customers.models import (
    AccountPerson,
    Consent,
    Customer,
    Line,
    NameWord,
    NumberKey,
    Person,
)
from careline.domain.customers.queries import care
from careline.domain.customers.rules import account_reference, name_words
from careline.doors.web import find
from tests.people import TUESDAY, Desk, open_account


@pytest.fixture
def maria(house):
    return open_account("María O'Néill-Okafor", "+12065550188", "A-0104822")


@pytest.fixture
def joe(house):
    return open_account("Joe Lind", "+14155550199", "A-0104823")


def found(text: str, limit: int = 20) -> list[str]:
    return sorted(h.account_reference for h in queries.find(text, limit)[0])


# ---------------------------------------------------------------- numbers and references


@pytest.mark.parametrize(
    "text",
    ["+12065550188", "12065550188", "2065550188", "(206) 555-0188", "206.555.0188", " 206 555 0188 ", "1-206-555-0188",
     "0188", "5550188", "555-0188", "2065", "206555", "1206", "+1 206 555", "\u202a206 555 0188\u202c", "tel:+1-206-555-0188",
     "206-555-0188 ext. 12", "0012065550188", "011 1 206 555 0188", "my number is 206 555 0188", "(206)555-0188 / cell", "xxx-xxx-0188", "#0188"],
)  # fmt: skip
def test_a_number_is_found_whole_by_its_start_and_by_its_end(maria, joe, text):
    assert found(text) == ["A-0104822"]


@pytest.mark.parametrize("text", ["188", "20655501889", "2065550189", "6555", "12065550188 99", "", "   ", "-", "%", "_", "0188%"])
def test_what_is_no_end_and_no_start_finds_nobody(maria, joe, text):
    assert found(text) == []


def test_a_number_shared_by_its_end_shows_each_account_and_asks_which(maria, house):
    other = open_account("Zoe Quist", "+14155550188", "A-0104824")
    hits, more = queries.find("0188", 20)
    assert sorted(h.account_id for h in hits) == sorted([maria.pk, other.pk]) and not more
    assert {h.number_last_four for h in hits} == {"0188"}


def test_a_cancelled_line_is_found_no_more_and_its_number_is_the_next_customers(maria, house):
    Line.objects.filter(account=maria).update(status="cancelled")
    assert found("2065550188") == []
    open_account("Zoe Quist", "+12065550188", "A-0104824")
    assert found("2065550188") == ["A-0104824"]
    assert [h.account_reference for h in queries.by_caller_number("+12065550188")] == ["A-0104824"]


def test_a_withheld_number_rings_for_nobody(maria):
    assert queries.by_caller_number("") == []


@pytest.mark.parametrize("text", ["A-0104822", "a-0104822", "a 104 822", "A0104822", " A-010-4822 "])
def test_a_reference_is_found_in_any_form(maria, joe, text):
    assert found(text) == ["A-0104822"]


@pytest.mark.parametrize("text", ["fw/2291-x", "FW/2291-X", " FW/2291-x "])
def test_a_reference_of_the_carriers_own_form_is_found_as_it_is_written(house, text):
    open_account("Søren Dahl", "+12065550177", "FW/2291-X")
    assert found(text) == found("soren dahl") == found("SØREN") == ["FW/2291-X"]


def test_a_name_of_one_sign_is_a_name(house):
    open_account("李 伟", "+12065550176", "A-0104899")
    assert found("李") == found("伟") == ["A-0104899"]


def test_many_words_are_as_many_joins_as_a_name_has_words(maria):
    assert found("maria okafor " + " ".join("abcdefghijklmnopqrstuvwxyz0123456789éàüñç")) == []


@pytest.mark.once
@pytest.mark.parametrize(("typed", "says"), [("188", "at least four digits"), ("(20", "at least four digits"), ("%", "Signs such as"), ("*", "Signs such as"), ("m", "at least two letters"), ("Nobody", "the full phone number")])
def test_nothing_found_says_what_to_try(typed, says):
    assert says in find.tips(typed)[0]


@pytest.mark.parametrize(
    ("text", "reference"),
    [("A-0104822", "A-0104822"), ("a 104822", "A-0104822"), ("A-12345", "A-0012345"), ("A-123456789012", "A-123456789012"),
     ("A-1234", None), ("B-0104822", None), ("0104822", None), ("Anna 1048", None), ("A-1234567890123", None), ("", None)],
)  # fmt: skip
def test_what_reads_as_a_reference(text, reference):
    assert account_reference(text) == reference


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    "text",
    ["maria", "MARÍA", "mar", "oneill", "O'Neill", "o’néill", "okafor maria", "maria okafor", "mar oka", "Okafor, María", "ma ok on",
     "maria m"],
)  # fmt: skip
def test_a_name_is_found_by_the_starts_of_its_words_in_any_order_and_accent(maria, joe, text):
    assert found(text) == ["A-0104822"]


@pytest.mark.parametrize("text", ["aria", "maria lind", "maria okafor joe", "m", "m o", "%", "m%ria", "m_ria", "'"])
def test_a_name_needs_every_word_and_no_wildcards(maria, joe, text):
    assert found(text) == []


def test_all_words_are_of_one_person_and_not_of_two_on_the_account(maria):
    son = Person.objects.create(customer=maria.customer, name="Luis Lind")
    AccountPerson.objects.create(account=maria, person=son, right="authorized")
    operations.index_many(accounts=[maria.pk])
    assert found("maria lind") == [] and found("luis lind") == ["A-0104822"]
    (hit,), _ = queries.find("luis", 20)
    assert (hit.name_matched, hit.person_id) == ("Luis Lind", son.pk), "the name as matched, not the holder's"


def test_a_person_on_two_accounts_is_found_on_both(maria, joe):
    AccountPerson.objects.create(account=joe, person=maria.people.get().person, right="authorized")
    operations.index_many(accounts=[joe.pk])
    assert found("maria okafor") == ["A-0104822", "A-0104823"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Nguyễn Văn An", ["nguyen", "van", "an"]),
        ("STRASSE Straße", ["strasse"]),
        ("Ørsted Łuczak", ["orsted", "luczak"]),
        ("李小龍", ["李小龍"]),
        ("Dr. J.R. Smith-Jones III", ["dr", "jr", "smith", "jones", "iii"]),
        ("Anna Anna", ["anna"]),
        ("x" * 50, ["x" * 40]),
        ("--", []),
    ],
)
def test_how_a_name_is_kept_for_comparing(name, words):
    assert name_words(name) == words


def test_the_index_follows_a_new_name_and_a_new_number(maria):
    Person.objects.update(name="Maria Lopez")
    Line.objects.update(msisdn="+13035550111")
    operations.index_many(accounts=[maria.pk], lines=[maria.lines.get().pk])
    assert found("okafor") == found("0188") == [] and found("lopez") == found("0111") == ["A-0104822"]
    assert NameWord.objects.count() == 2 and NumberKey.objects.count() == 1


# ---------------------------------------------------------------- capped, and nothing more


def test_a_search_is_capped_and_says_that_there_is_more(house):
    for n in range(7):
        open_account(f"Anna Berg{n} Annabel Anneke", f"+1206555010{n}", f"A-020000{n}", bills=0, pin=None)
    for text in ("anna", "anna ann", "20655501"):
        hits, more = queries.find(text, 5)
        assert (len(hits), more) == (5, True), text
        hits, more = queries.find(text, 7)
        assert (len(hits), more) == (7, False), text
    assert len({h.account_id for h in hits}) == 7


def test_a_hit_shows_the_name_as_matched_the_reference_and_the_last_four_and_nothing_else(maria):
    """(Ids are opaque and tell nothing.)"""
    (by_number,), _ = queries.find("2065550188", 5)
    assert (by_number.name_matched, by_number.account_reference, by_number.number_last_four) == ("", "A-0104822", "0188")
    (by_name,), _ = queries.find("maria", 5)
    assert (by_name.name_matched, by_name.number_last_four) == ("María O'Néill-Okafor", "")
    assert {f.name for f in fields(by_name)} == {
        "account_id", "account_reference", "person_id", "name_matched", "number_last_four", "why", "holder_id",
    }  # fmt: skip


def test_a_search_asks_as_often_for_many_as_for_one(house, django_assert_max_num_queries):
    """A part of a number is looked for from its end and from its start, with and without the 1: four questions at most."""
    for n in range(6):
        open_account(f"Anna Berg{n}", f"+1206555010{n}", f"A-020000{n}", bills=0, pin=None)
    for text, most in (("anna", 1), ("anna berg", 1), ("2065550101", 1), ("20655501", 4), ("A-0200001", 1)):
        with django_assert_max_num_queries(most):
            queries.find(text, 20)


@given(text=st.text(max_size=30) | st.text("0123456789 +-().%_'\"aA", max_size=20))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_breaks_the_find_box(house, text):
    hits, more = queries.find(text.replace("\0", ""), 20)
    assert not hits and not more


@pytest.mark.only_postgresql
def test_names_are_compared_by_their_letters_whatever_the_collation_of_the_database(maria):
    """PostgreSQL in a language's own order sorts U+10FFFF anywhere; a prefix must stay a prefix."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE customers_nameword ALTER COLUMN word TYPE varchar(40) COLLATE \"en-x-icu\"")
    assert found("mar") == found("maria oka") == ["A-0104822"]
    assert found("marz") == []


# ---------------------------------------------------------------- what else the room decides


def test_the_newest_word_of_a_customer_holds(maria):
    for hours, granted in [(3, False), (1, True), (2, True)]:
        Consent.objects.create(account=maria, topic="marketing", channel="sms", granted=granted, at=TUESDAY + timedelta(hours=hours), source="store")
    assert {of: said.granted for of, said in care.consents_of(maria.pk).items()} == {("marketing", "sms"): False}


def test_whose_business_an_account_is(house, maria, joe):
    Desk(house["sam"]).must("customers.tie_staff", account=maria.pk, staff=house["ana"].pk, tie="own")
    Desk(house["sam"]).must("customers.tie_staff", account=joe.pk, staff=house["ana"].pk, tie="relative")
    ties = lambda account, name: queries.ties_with(account.pk, house[name].who)  # noqa: E731
    assert (ties(maria, "ana"), ties(maria, "ben")) == ("own", "colleague")
    assert (ties(joe, "ana"), ties(joe, "ben")) == ("relative", "none"), "a relative of staff is nobody else's business"
    maria.refresh_from_db()
    assert maria.staff_marked


def test_numbers_of_record_are_living_and_the_oldest_comes_first(maria):
    plan = maria.lines.get().plan
    for n, (status, year) in enumerate([("active", 2015), ("suspended", 2017), ("cancelled", 2010), ("pending", 2011)]):
        Line.objects.create(account=maria, msisdn=f"+1206555030{n}", plan=plan, status=status, activated_on=date(year, 1, 1),
                            number_since=datetime(year, 1, 1, tzinfo=UTC))
    assert [n.msisdn for n in queries.numbers_of_record(maria.pk)] == ["+12065550300", "+12065550301", "+12065550188"]


def test_an_account_is_found_by_its_address_in_any_letters_through_an_index(maria):
    for address, asked in (("Maria.Okafor@Example.COM", "maria.okafor@example.com"), ("jörg@example.com", "JöRG@example.com"), ("a_b@example.com", "A_B@EXAMPLE.com")):
        Customer.objects.filter(pk=maria.customer_id).update(email=address)
        assert queries.with_email(asked) == [maria.pk]
    assert queries.with_email("a-b@example.com") == []
    Customer.objects.bulk_create(Customer(name=f"Somebody {n}", email=f"s{n}@example.com") for n in range(3000))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE customers_customer")
    with CaptureQueriesContext(connection) as asked:
        queries.with_email("s7@example.com")
    with connection.cursor() as cursor:
        cursor.execute(("EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN ") + asked[0]["sql"])
        assert "customer_by_email" in str(cursor.fetchall())
