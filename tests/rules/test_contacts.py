"""A contact's level, its clock, what locks a factor, and the first draft of its summary. Pure: no clock, no database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careline.domain.contacts.rules import Deed, Lockout, Span, clock, level_now, level_of, lockout, summary
from careline.foundation.act import Level

TEN = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
STATES = ["ringing", "live", "held", "dropped", "wrap_up", "closed"]


# ---------------------------------------------------------------- what proofs give


@pytest.mark.parametrize(
    ("factors", "number_age", "level"),
    [
        ([], None, Level.IDENTIFIED),
        (["pin"], None, Level.VERIFIED),
        (["pin", "pin"], None, Level.VERIFIED),
        (["code"], 900 * DAY, Level.VERIFIED),
        (["callback"], 900 * DAY, Level.VERIFIED),
        (["code", "callback"], 900 * DAY, Level.VERIFIED),  # two proofs of one kind
        (["pin", "code"], 24 * HOUR, Level.STRONG),
        (["code", "pin"], 24 * HOUR, Level.STRONG),
        (["pin", "callback"], 900 * DAY, Level.STRONG),
        (["pin", "code"], 24 * HOUR - timedelta(seconds=1), Level.VERIFIED),  # a number that came this morning
        (["pin", "code"], timedelta(0), Level.VERIFIED),
        (["pin", "code"], None, Level.VERIFIED),  # nobody knows which number it was
        (["pin"], 900 * DAY, Level.VERIFIED),
    ],
)
def test_one_proof_is_verified_and_two_kinds_with_an_old_number_are_strong(factors, number_age, level):
    assert level_of(factors, number_age, strong_hours=24) == level


def test_a_factor_that_nobody_knows_proves_nothing():
    with pytest.raises(ValueError):
        level_of(["mother's maiden name"], None, 24)


# ---------------------------------------------------------------- what counts now


@pytest.mark.parametrize(
    ("state", "stored", "minutes", "level"),
    [
        ("live", 3, 0, Level.VERIFIED),
        ("held", 4, 29, Level.STRONG),
        ("live", 3, 30, Level.VERIFIED),  # the thirtieth minute is the last
        ("live", 3, 30.02, Level.IDENTIFIED),
        ("held", 4, 31, Level.IDENTIFIED),
        ("live", 1, 300, Level.IDENTIFIED),
        ("live", 4, -30, Level.STRONG),
        ("live", 4, -31, Level.IDENTIFIED),  # the clock was put back
        ("dropped", 4, 0, Level.IDENTIFIED),
        ("ringing", 4, 0, Level.IDENTIFIED),
        ("closed", 4, 0, Level.IDENTIFIED),
        ("wrap_up", 3, 0, Level.WRAP_UP),
        ("wrap_up", 4, 300, Level.WRAP_UP),  # nobody is on the line: silence ends nothing
        ("wrap_up", 1, 0, Level.IDENTIFIED),  # nothing was shown, so there is nothing to read
    ],
)
def test_a_level_counts_while_the_caller_is_there_and_not_silent(state, stored, minutes, level):
    now = TEN + timedelta(minutes=minutes)
    found = level_now(state=state, stored=stored, account_chosen=True, last_active=TEN, now=now, idle_minutes=30)
    assert found == level


@given(st.sampled_from(STATES), st.integers(0, 4), st.integers(0, 200))
def test_without_an_account_there_is_no_level_and_never_more_than_was_proven(state, stored, minutes):
    now = TEN + timedelta(minutes=minutes)
    ask = lambda chosen: level_now(  # noqa: E731
        state=state, stored=stored, account_chosen=chosen, last_active=TEN, now=now, idle_minutes=30
    )
    assert ask(False) == Level.NONE
    assert ask(True) <= max(stored, Level.IDENTIFIED)
    if state not in ("live", "held"):
        assert ask(True) <= Level.WRAP_UP


# ---------------------------------------------------------------- the clock


def at(seconds: float) -> datetime:
    return TEN + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("spans", "talk", "hold", "wrap"),
    [
        ([], 0, 0, 0),
        ([("talk", 0, 60)], 60, 0, 0),
        ([("talk", 0, 60), ("hold", 60, 90), ("talk", 90, 100), ("wrap", 100, 145)], 70, 30, 45),
        ([("talk", 0, None)], 200, 0, 0),  # still talking: runs to now
        ([("talk", 0, 60), ("talk", 120, 180)], 120, 0, 0),  # a dropped line between them counts for nobody
        ([("hold", 300, None)], 0, 0, 0),  # a clock that was set back never takes away
        ([("talk", 0, 0.6), ("talk", 1, 1.6)], 1, 0, 0),  # whole seconds of the sum, not of each
    ],
)
def test_talk_hold_and_wrap_up_are_counted_apart_and_handle_time_is_their_sum(spans, talk, hold, wrap):
    found = clock([Span(kind, at(a), None if b is None else at(b)) for kind, a, b in spans], now=at(200))
    assert (found.talk, found.hold, found.wrap) == (talk, hold, wrap)
    assert found.handle == talk + hold + wrap


# ---------------------------------------------------------------- what locks


@pytest.mark.parametrize(
    ("failures", "locked_until", "left", "locked"),
    [
        (0, None, 3, False),
        (1, None, 2, False),
        (2, None, 1, False),
        (3, None, 0, False),
        (7, None, 0, False),  # the policy became stricter meanwhile
        (3, TEN + HOUR, 0, True),
        (3, TEN, 3, False),  # the lock ends at its moment, and all tries are there again
        (3, TEN - HOUR, 3, False),
    ],
)
def test_three_failures_lock_and_the_lock_ends_with_all_tries_back(failures, locked_until, left, locked):
    found = lockout(failures, locked_until, limit=3, now=TEN)
    assert (found.left, found.is_locked(TEN)) == (left, locked)


def test_a_lock_says_until_when():
    assert lockout(3, TEN + HOUR, 3, TEN) == Lockout(0, TEN + HOUR)
    assert Lockout(0, TEN + HOUR).is_locked(TEN + HOUR) is False


# ---------------------------------------------------------------- the summary


def test_a_summary_says_why_they_called_what_was_done_and_what_was_not_possible():
    text = summary(
        "Bill",
        [
            Deed("contacts.open", "done", "Opened C-1"),
            Deed("contacts.check_pin", "refused", "Check the PIN: That did not match."),
            Deed("contacts.check_pin", "done", "Account PIN: caller verified"),
            Deed("view.account", "looked", "Opened the account page"),
            Deed("credits.grant", "refused", "Grant a credit: Your limit for one credit is $25.00."),
            Deed("credits.grant", "refused", "Grant a credit: Your limit for one credit is $25.00."),
            Deed("credits.grant", "done", "Credit CR-1: $5.00, goodwill."),
            Deed("payments.take", "refused", "Take a payment: Nothing is saved."),
            Deed("payments.take", "refused", "Take a payment: The card was declined."),
            Deed("contacts.hand_over", "done", "C-1 offered to Ben Carter"),
            Deed("contacts.accept", "refused", "Take over: You have a live call already."),
            Deed("view.journal", "refused", "Was not shown view.journal: The journal opens in a contact whose caller is verified."),
        ],
    )
    assert text == (
        "Called about: Bill. Account PIN: caller verified. Credit CR-1: $5.00, goodwill. "
        "Not possible: Take a payment: The card was declined."
    )


def test_a_summary_tells_notes_and_decisions_and_no_refusal_that_something_replaced():
    deeds = [
        Deed("payments.take", "refused", "Take a payment: One payment is between $1.00 and $2,000.00."),
        Deed("payments.take", "refused", "Take a payment: The card was declined."),
        Deed("credits.grant", "refused", "Grant a credit: Your limit leaves $25.00 for this event."),
        Deed("credits.reverse", "refused", "Take a credit back: A lead may take back any."),
        Deed("contacts.note", "done", "Noted: Moves in March."),
        Deed("approvals.decide", "done", "Lena Park declined $40.00 (Not twice)"),
        Deed("payments.take", "done", "Payment PY-1: $7.80 with Visa"),
    ]
    assert summary("", deeds, {"credits.grant"}) == (
        "Noted: Moves in March. Lena Park declined $40.00 (Not twice). Payment PY-1: $7.80 with Visa. "
        "Not possible: Take a credit back: A lead may take back any."
    )


@pytest.mark.parametrize(
    "deeds",
    [
        [],
        [Deed("contacts.check_pin", "done", "Account PIN: caller verified")],
        [Deed("credits.grant", "refused", "Not your role.")],
        [Deed("payments.take", "pending", "Payment is under way")],
    ],
)
def test_a_contact_in_which_nothing_was_done_says_so(deeds):
    assert "reason" not in summary("", deeds)
    assert summary("", deeds).endswith("Nothing was changed.")
