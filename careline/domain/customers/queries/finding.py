"""Who is meant: accounts by a number in any human form, a reference, or words of a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import F, OuterRef, QuerySet, Subquery
from django.db.models.expressions import Combinable

from careline.domain.customers import rules
from careline.domain.customers.models import Account, AccountPerson, NameWord, NumberKey
from careline.foundation import phone
from careline.prepared import prepared
from careline.prepared import text as given


@dataclass(frozen=True)
class Hit:
    """What the find box may show before anybody is verified, and nothing else."""

    account_id: int
    account_reference: str
    person_id: int | None
    name_matched: str
    number_last_four: str
    why: str
    holder_id: int | None


MOST_WORDS = 6  # of a name that is searched for; each is a join


def find(text: str, limit: int, protected: bool = False) -> tuple[list[Hit], bool]:
    """Accounts by a number in any human form (whole, its start or its end), a reference, or words of a name. One that is
    protected is found by its reference alone, which nobody but its holder was told, unless `protected`.

    Returns at most `limit` hits and whether there were more. A hit shows the name as matched, the reference and the
    last four digits of the matched number.
    """
    text = text.strip()
    hits: list[Hit] = []
    number, plainly, ours = phone.sought(text), phone.looks_like_number(text), rules.account_reference(text)
    if plainly:
        hits = _by_number(number, limit + 1, protected)
    if not hits and any(c.isdigit() for c in text) and text.isprintable() and len(text) <= 40:
        # As it is written on the bill, whatever form the carrier gave it; ours in any form that a person writes it.
        rows = _referred(written=text, upper=text.upper(), ours=ours or text)
        hits = [Hit(pk, reference, None, "", "", "account reference", holder) for pk, reference, holder in rows]
    if not hits and number and not plainly:
        hits = _by_number(number, limit + 1, protected)
    if not hits and not number:
        hits = _by_name(rules.name_words(text), limit + 1, protected)
    return hits[:limit], len(hits) > limit


def _by_number(digits: str, limit: int, protected: bool = False) -> list[Hit]:
    national = digits[1:] if len(digits) == 11 and digits.startswith("1") else digits
    found = _numbers("reversed", limit, protected, **_beginning(national[::-1]))
    if len(national) < 10:
        for form in {national, digits, "1" + national}:
            found += _numbers("digits", limit, protected, **_beginning(form))
    seen: dict[tuple[int, str], Hit] = {}
    for number, _, account_id, account_reference, holder in sorted(set(found), key=lambda row: row[:2])[:limit]:
        hit = Hit(account_id, account_reference, None, "", number[-4:], "number", holder)
        seen.setdefault((account_id, number), hit)
    return list(seen.values())


def _beginning(digits: str) -> dict[str, str]:
    """The range of all numbers that begin so: a range uses the index on both databases, whatever their collation."""
    return {"first": digits, "last": digits.ljust(16, "9")}


@prepared
def _numbers(column: str, limit: int, protected: bool) -> QuerySet[NumberKey, tuple[Any, ...]]:
    rows = NumberKey.objects.filter(**{f"{column}__gte": given("first"), f"{column}__lte": given("last")})
    rows = rows if protected else rows.filter(account__protected_at=None)
    rows = rows.exclude(line__status=rules.LineStatus.CANCELLED).annotate(holder=_holder(OuterRef("account_id")))
    # In the order of the index that is asked: the last four digits are the end of a hundred numbers in a million, and all of them would be sorted.
    return rows.order_by(column, "pk").values_list("digits", "pk", "account_id", "account__reference", "holder")[:limit]


@prepared
def _referred() -> QuerySet[Account, tuple[Any, ...]]:
    rows = Account.objects.filter(reference__in=[given("written"), given("upper"), given("ours")])
    return rows.annotate(holder=_holder(OuterRef("pk"))).order_by("reference").values_list("pk", "reference", "holder")


def _holder(account: Combinable) -> Subquery:
    rows = AccountPerson.objects.filter(account=account, right=rules.Right.HOLDER)
    return Subquery(rows.order_by("person__name").values("person_id")[:1])


def _by_name(words: Sequence[str], limit: int, protected: bool) -> list[Hit]:
    words = words[:MOST_WORDS]
    if not words or all(len(w) < 2 and w.isascii() for w in words):  # one letter is half the customers; one sign is a name
        return []
    ranges: dict[str, str] = {}
    for n, word in enumerate(sorted(words, key=len, reverse=True)):
        ranges |= {f"from{n}": word, f"to{n}": word + "\U0010ffff"}
    found: dict[tuple[int, int], Hit] = {}
    for account_id, account_reference, person_id, name in _names(len(words), limit * 3, protected, **ranges):
        found.setdefault((account_id, person_id), Hit(account_id, account_reference, person_id, name, "", "name", None))
    return list(found.values())[:limit]


@prepared
def _names(count: int, limit: int, protected: bool) -> QuerySet[NameWord, tuple[Any, ...]]:
    """Persons who have a word in each of `count` ranges, the first of them the longest."""
    rows = NameWord.objects.filter(word__gte=given("from0"), word__lt=given("to0"))
    for n in range(1, count):
        rows = rows.filter(
            person__nameword__word__gte=given(f"from{n}"),
            person__nameword__word__lt=given(f"to{n}"),
            person__nameword__account=F("account"),
        )
    rows = rows if protected else rows.filter(account__protected_at=None)
    rows = rows.order_by("word", "account_id")
    return rows.values_list("account_id", "account__reference", "person_id", "person__name")[:limit]


def by_caller_number(number: str) -> list[Hit]:
    """The accounts that a ringing number belongs to (E.164); more than one: ask which. A protected one never comes up by its
    number: anybody may have put that number on their call."""
    return _by_number(phone.digits(number), 5) if number else []
