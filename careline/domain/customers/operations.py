"""Changing customers and what they have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from careline.domain.customers import rules
from careline.domain.customers.models import Account, AccountPerson, Line, NameWord, NumberKey, Pin, StaffTie
from careline.foundation import phone
from careline.foundation.act import Act


def lock_accounts(ids: Iterable[int]) -> set[int]:
    """Lock these accounts in the order of their ids: always the first locks of a deed. Returns those that exist."""
    wanted = sorted(set(ids))
    return set(
        Account.objects.select_for_update(no_key=True)
        .filter(pk__in=wanted)
        .order_by("pk")
        .values_list("pk", flat=True)
    )


def index_many(*, accounts: Sequence[int] = (), lines: Sequence[int] = ()) -> None:
    """Make the find box know the names of these accounts' people and the numbers of these lines, as they are now."""
    if accounts:
        NameWord.objects.filter(account_id__in=accounts).delete()
        words = [
            NameWord(word=word, account_id=right.account_id, person_id=right.person_id)
            for right in AccountPerson.objects.filter(account_id__in=accounts).select_related("person")
            for word in rules.name_words(right.person.name)
        ]
        NameWord.objects.bulk_create(words, batch_size=2000)
    if lines:
        NumberKey.objects.filter(line_id__in=lines).delete()
        keys = [
            NumberKey(
                digits=phone.digits(msisdn), reversed=phone.digits(msisdn)[::-1], line_id=pk, account_id=account_id
            )
            for pk, msisdn, account_id in Line.objects.filter(pk__in=lines).values_list("pk", "msisdn", "account_id")
        ]
        NumberKey.objects.bulk_create(keys, batch_size=2000)


def set_pin(*, act: Act, account_id: int, pin_hash: str) -> None:
    """Store a PIN's hash (made outside any transaction: it is slow on purpose)."""
    Pin.objects.update_or_create(account_id=account_id, defaults={"hash": pin_hash, "set_at": act.at})


def tie_staff(*, act: Act, account_id: int, staff_id: int, tie: str) -> None:
    """Mark an account as a member of staff's own or a relative's."""
    StaffTie.objects.update_or_create(account_id=account_id, staff_id=staff_id, defaults={"tie": tie})
    Account.objects.filter(pk=account_id).update(staff_marked=True)
