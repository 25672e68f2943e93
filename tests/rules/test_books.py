"""The books: a chart that can be used, postings that balance, files that are the same each time."""

from __future__ import annotations

import copy
import csv
import io
import tomllib
from datetime import date, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from careline.domain.ledger.rules import EntryKind
from careline.domain.ledger.rules.books import (
    BALANCE,
    Books,
    Entries,
    Journal,
    Share,
    file_name,
    files,
    postings,
    trial_balance,
)
from careline.foundation import chart

DATA = tomllib.loads((Path(settings.ROOT) / "rulebook" / "default" / "books.toml").read_text())
CHART = chart.read(DATA)
DAY = date(2026, 11, 24)
PLACES = [("revenue", "plan"), ("revenue", "discount"), ("tax", "State and local tax, WA"), ("cash", ""), ("credit", "goodwill"), ("write_off", ""), ("recovery", "")]

shares = st.builds(
    lambda back, kind, imported, where, amount: Share(DAY - timedelta(days=back), kind, imported, *where, amount),
    st.integers(0, 40), st.sampled_from(list(EntryKind)).map(str), st.booleans(), st.sampled_from(PLACES), st.integers(-10**9, 10**9),
)  # fmt: skip


@given(st.lists(shares, max_size=20))
def test_each_day_of_each_journal_balances_and_nothing_is_in_two(found: list[Share]) -> None:
    rows = postings(CHART, found)
    for journal in Journal:
        for day in {r.day for r in rows}:
            assert sum(r.amount_minor for r in rows if (r.journal, r.day) == (journal, day)) == 0
    receivable = sum(r.amount_minor for r in rows if r.code == CHART.account("receivable").code)
    assert receivable == sum(s.amount_minor for s in found)


@given(st.lists(shares, max_size=20), st.integers(-1000, 1000))
def test_the_books_prove_when_entries_equal_their_documents_and_only_then(found: list[Share], off: int) -> None:
    entries = [Entries(s.day, s.kind, s.imported, s.amount_minor, 1) for s in found]
    books = Books(entries, found)
    assert trial_balance(CHART, DAY, books).proven
    assert trial_balance(CHART, DAY, books.summed(DAY)) == trial_balance(CHART, DAY, books)
    assert books.summed(DAY).summed(DAY) == books.summed(DAY)
    if off:
        wrong = trial_balance(CHART, DAY, Books([*entries, Entries(DAY, "bill", False, off, 1)], found))
        assert not wrong.proven and wrong.debit_minor - wrong.credit_minor == off
        assert {k.kind: k.difference_minor for k in wrong.kinds}["bill"] == off


def test_two_faults_that_cancel_each_other_do_not_prove() -> None:
    found = [Share(DAY, "bill", False, "revenue", "plan", 5000), Share(DAY, "payment", False, "cash", "", -5000)]
    entries = [Entries(DAY, "bill", False, 5100, 1), Entries(DAY, "payment", False, -5100, 1)]
    wrong = trial_balance(CHART, DAY, Books(entries, found))
    assert wrong.debit_minor == wrong.credit_minor and not wrong.proven


@pytest.mark.parametrize(
    ("share", "journal", "code"),
    [
        (Share(DAY, "bill", False, "revenue", "plan", 5000), "revenue", "4010"),
        (Share(DAY, "bill", False, "revenue", "discount", -500), "revenue", "4910"),
        (Share(DAY, "bill", False, "tax", "State and local tax, WA", 480), "tax", "2210"),
        (Share(DAY, "bill", True, "tax", "State and local tax, WA", 480), "receivables", "1290"),
        (Share(DAY, "payment", False, "cash", "", -5480), "cash", "1050"),
        (Share(DAY, "payment", True, "cash", "", -5480), "receivables", "1290"),
        (Share(DAY, "refund", False, "cash", "", 300), "cash", "1050"),
        (Share(DAY, "credit", False, "credit", "goodwill", -1000), "revenue", "4920"),
        (Share(DAY, "credit", False, "credit", "retention", -1000), "revenue", "6310"),
        (Share(DAY, "credit", False, "tax", "State and local tax, WA", -96), "tax", "2210"),
        (Share(DAY, "write_off", False, "write_off", "", -700), "receivables", "6210"),
        (Share(DAY, "recovery", False, "recovery", "", 700), "receivables", "6220"),
    ],
    ids=lambda x: f"{x.kind} {x.place} {'imported' if x.imported else ''}".strip() if isinstance(x, Share) else None,
)  # fmt: skip
def test_where_a_posting_goes(share: Share, journal: str, code: str) -> None:
    rows = postings(CHART, [share])
    assert {(r.journal.value, r.code, r.amount_minor) for r in rows} == {(journal, "1200", share.amount_minor), (journal, code, -share.amount_minor)}


def test_a_tax_may_have_an_account_of_its_own() -> None:
    data = copy.deepcopy(DATA)
    data["tax"]["of"] = {"State and local tax, WA": {"code": "2211", "title": "Washington"}}
    own = chart.read(data)
    assert own.account("tax", "State and local tax, WA").code == "2211" and own.account("tax", "Another").code == "2210"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda d: d.pop("receivable"), "[receivable] is missing"),
        (lambda d: d.pop("revenue"), "[revenue] is missing"),
        (lambda d: d["revenue"].pop("plan"), "[revenue.plan] is missing"),
        (lambda d: d["revenue"].update(tips={"code": "1", "title": "Tips"}), "[revenue.tips]"),
        (lambda d: d.update(bank={"code": "1", "title": "Bank"}), "does not know bank"),
        (lambda d: d["cash"].update(code=""), "[cash] code"),
        (lambda d: d["cash"].update(code=1050), "[cash] code"),
        (lambda d: d["cash"].update(iban="x"), "[cash] does not know iban"),
        (lambda d: d["cash"].update(title="x" * 81), "[cash] title"),
        (lambda d: d["tax"].update(of={"WA": {"code": "1"}}), "[tax.of.WA] title"),
        (lambda d: d["cash"].update(of={"x": {"code": "1", "title": "x"}}), "[cash] does not know of"),
    ],
)  # fmt: skip
def test_a_chart_that_cannot_be_used_says_where_and_what(spoil, says: str) -> None:
    data = copy.deepcopy(DATA)
    spoil(data)
    with pytest.raises(ValueError) as fault:
        chart.read(data)
    assert says in str(fault.value)


def test_the_files_of_a_period_are_numbered_and_add_up() -> None:
    found = [
        Share(DAY, "bill", False, "revenue", "plan", 5000), Share(DAY, "bill", False, "tax", "=HYPERLINK(1)", 480),
        Share(DAY, "payment", False, "cash", "", -5480),
    ]  # fmt: skip
    balance = trial_balance(CHART, DAY, Books([Entries(DAY, "bill", False, 5480, 1), Entries(DAY, "payment", False, -5480, 1)], found))
    made = files("GL-0000003-9", postings(CHART, found), balance, "USD")
    assert [(f.number, f.journal) for f in made] == [
        ("GL-0000003-9.1", "revenue"), ("GL-0000003-9.2", "tax"), ("GL-0000003-9.3", "cash"), ("GL-0000003-9.4", "receivables"), ("GL-0000003-9.5", BALANCE),
    ]  # fmt: skip
    assert file_name(made[4].number, made[4].journal) == "GL-0000003-9.5-trial-balance.csv"
    tax = list(csv.DictReader(io.StringIO(made[1].text)))
    assert [(r["account"], r["detail"], r["debit"], r["credit"]) for r in tax] == [("1200", "", "4.80", ""), ("2210", "'=HYPERLINK(1)", "", "4.80")]
    assert made[3].rows == 0 and made[3].text.count("\r\n") == 1
    assert files("GL-0000003-9", postings(CHART, list(reversed(found))), balance, "USD") == made
