"""The people who work here: what of their day is used, and what nobody does to themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from careline.acts.perform import perform
from careline.domain.ledger.models import BillLine
from careline.domain.staff import queries
from careline.domain.staff.models import Spending, Staff, Token
from careline.domain.staff.rules import initials, kind_of
from tests.people import CARRIER, TUESDAY, Desk, key

# Midnight in New York, the carrier's zone, in winter.
MIDNIGHT = datetime(2026, 11, 25, 5, 0, tzinfo=UTC)


@pytest.fixture
def ada(house):
    return Desk(house["ada"])


def grant(desk: Desk, account, amount: int, reason: str = "goodwill"):
    return desk.act("credits.grant", account=account.pk, amount=amount, reason=reason)


# ---------------------------------------------------------------- limits by day


def test_a_day_is_the_carriers_day_and_begins_at_its_midnight(house, maria):
    """Ana has given twelve today. A minute before midnight in New York there is none left; at midnight there are twelve."""
    Spending.objects.create(staff=house["ana"], kind="credit", day=TUESDAY.date(), amount_minor=1200, count=12)
    ana = Desk(house["ana"], MIDNIGHT - timedelta(minutes=1)).take_call(maria)
    no = grant(ana, maria, 100)
    assert no.refusal.rule == "credit-day-count" and "lead" in no.refusal.who_could
    ana.later(minutes=1)
    assert grant(ana, maria, 100).ok
    assert dict(Spending.objects.values_list("day__day", "count")) == {24: 12, 25: 1}


def test_value_and_number_are_both_limits_of_a_day(house, maria):
    Spending.objects.create(staff=house["ana"], kind="credit", day=TUESDAY.date(), amount_minor=29_000, count=3)
    ana = Desk(house["ana"]).take_call(maria)
    no = grant(ana, maria, 1001)
    assert (no.refusal.rule, no.refusal.say) == ("credit-day", "You have $10.00 left to give today.")
    assert grant(ana, maria, 1000).ok and grant(ana, maria, 1).refusal.rule == "credit-day"
    used = queries.used(house["ana"].pk, "credit", TUESDAY.date())
    assert (used.amount_minor, used.count) == (30_000, 4)


def test_a_day_counts_before_tax_and_what_was_taken_back_stays_used(house, maria):
    charge = BillLine.objects.filter(bill__account=maria, kind="plan").last()
    ana = Desk(house["ana"]).take_call(maria)
    given = ana.must("credits.grant", account=maria.pk, amount=1000, reason="billing_error", bill_line=charge.pk)
    assert given.show["total"] == 1080
    ana.must("credits.reverse", account=maria.pk, credit=given.show["credit"], words="By mistake")
    used = queries.used(house["ana"].pk, "credit", TUESDAY.date())
    assert (used.amount_minor, used.count) == (1000, 1)


def test_a_refused_credit_uses_nothing_of_the_day(house, maria):
    ana = Desk(house["ana"]).take_call(maria)
    assert grant(ana, maria, 2501).status == "refused"
    used = queries.used(house["ana"].pk, "credit", TUESDAY.date())
    assert (used.amount_minor, used.count) == (0, 0)


def test_days_are_each_persons_own_and_somebody_fresh_has_used_nothing(house, maria):
    Spending.objects.create(staff=house["ben"], kind="credit", day=TUESDAY.date(), amount_minor=30_000, count=12)
    assert grant(Desk(house["ana"]).take_call(maria), maria, 100).ok
    assert queries.used(None, "credit", TUESDAY.date()).count == 0
    assert queries.used(house["ben"].pk, "credit", TUESDAY.date() + timedelta(days=1)).amount_minor == 0


@pytest.mark.parametrize(("role", "most"), [("trainee", 0), ("associate", 2500), ("wizard", 0)])
def test_a_role_that_a_table_does_not_name_has_nothing(role, most):
    assert queries.limit({"trainee": 0, "associate": 2500, "days": 365}, role) == most


def test_a_new_role_counts_from_the_next_deed(house, maria, ada):
    ana = Desk(house["ana"]).take_call(maria)
    assert grant(ana, maria, 4000, "retention").refusal.rule == "credit-event"
    ada.must("staff.change_role", staff=house["ana"].pk, role="expert")
    ana.staff = Staff.objects.get(username="ana")
    assert grant(ana, maria, 4000, "retention").ok


# ---------------------------------------------------------------- people and machines


def test_nobody_changes_their_own_role_or_switches_themselves_off(house, ada):
    assert ada.act("staff.change_role", staff=house["ada"].pk, role="supervisor").refusal.code == "CONFLICT"
    assert ada.act("staff.set_active", staff=house["ada"].pk, active=False).refusal.code == "CONFLICT"
    assert (Staff.objects.get(username="ada").role, Staff.objects.get(username="ada").is_active) == ("administrator", True)


def test_a_person_stays_a_person_and_a_machine_a_machine(house, ada):
    bot = ada.must("staff.add", username="bot", name="Care agent", role="agent").show["staff"]
    for staff, role in [(house["ana"].pk, "agent"), (house["ana"].pk, "service"), (bot, "lead"), (bot, "service")]:
        assert ada.act("staff.change_role", staff=staff, role=role).refusal.code == "CONFLICT"
    assert ada.act("staff.change_role", staff=98765, role="lead").refusal.code == "NOT_FOUND"


@pytest.mark.parametrize("username", ["ana", "ANA", "Ana"])
def test_a_sign_in_name_is_one_persons_in_whatever_letters(house, ada, username):
    no = ada.act("staff.add", username=username, name="Another Ana", role="associate")
    assert no.refusal.fields == {"username": "Taken."} and Staff.objects.filter(username__iexact="ana").count() == 1
    assert queries.by_username(username) == house["ana"]


def test_who_has_no_password_signs_in_by_token_only(house, ada):
    ada.must("staff.add", username="bot", name="Care agent", role="agent")
    assert not Staff.objects.get(username="bot").has_usable_password()


def issue(owner: Staff, scope: str, **more):
    """A token as the command line of the server issues it."""
    given = {"staff": owner.pk, "label": "Till", "scope": scope, **more}
    return perform("staff.issue_token", given, who=CARRIER, key=key(), at=TUESDAY)


def test_an_administrator_gives_nobody_a_token_that_opens_a_customer(house, ada):
    """Not to themselves by way of others, and not to a machine: they would see its secret. A token for what they do
    themselves, or for what a service reports, is theirs to give; with the role its tokens go."""
    machines = {name: ada.must("staff.add", username=name, name=name, role=name).show["staff"] for name in ("agent", "service")}
    for staff, scope in [(house["ben"].pk, "*"), (house["ben"].pk, "view.search"), (house["lena"].pk, "contacts.open"), (machines["agent"], "*")]:
        no = ada.act("staff.issue_token", staff=staff, label="x", scope=scope)
        assert no.refusal.rule == "token-customers", scope
    assert issue(house["ben"], "view.search view.account").ok
    ada.must("staff.issue_token", staff=machines["service"], label="x", scope="*")
    second = ada.must("staff.add", username="adi", name="Adi", role="administrator").show["staff"]
    secret = ada.must("staff.issue_token", staff=second, label="x").show["secret"]
    assert queries.bearer(secret, TUESDAY)
    assert "1 token revoked" in ada.must("staff.change_role", staff=second, role="associate").say
    assert queries.bearer(secret, TUESDAY) is None


@pytest.mark.parametrize("scope", ["", "  ", "contacts.fly", "view.everything", "staff.sign_in", "contacts.note,credits.grant", "x" * 300])
def test_a_scope_that_does_not_exist_is_refused_by_name(house, scope):
    no = issue(house["ben"], scope)
    assert no.refusal.fields["scope"] and not Token.objects.exists()
    if scope.strip():
        assert scope[:50] in no.refusal.fields["scope"]


def test_a_token_lives_until_its_day_is_revoked_or_its_owner_is_switched_off(house, ada):
    give = lambda: issue(house["ben"], "contacts.note credits.grant", days=1)  # noqa: E731
    secret, other = give().show["secret"], give()
    holder = queries.bearer(secret, TUESDAY)
    assert holder.who == house["ben"].who and holder.covers("contacts.note") and not holder.covers("payments.take")
    assert queries.bearer(secret, TUESDAY + timedelta(days=1, seconds=-1)) and not queries.bearer(secret, TUESDAY + timedelta(days=1))
    assert queries.bearer(secret + "x", TUESDAY) is None and queries.bearer("", TUESDAY) is None
    ada.must("staff.revoke_token", token=other.show["token_id"])
    revoked = Token.objects.get(pk=other.show["token_id"]).revoked_at
    ada.later(hours=1).must("staff.revoke_token", token=other.show["token_id"])
    assert queries.bearer(other.show["secret"], TUESDAY) is None and Token.objects.get(pk=other.show["token_id"]).revoked_at == revoked
    ada.must("staff.set_active", staff=house["ben"].pk, active=False)
    assert queries.bearer(secret, TUESDAY) is None


def test_somebody_switched_off_is_no_colleague_to_hand_over_to(house, maria, ada):
    ada.must("staff.set_active", staff=house["ben"].pk, active=False)
    assert [s.username for s in queries.colleagues(("associate", "expert"))] == ["ana", "eva"]
    ana = Desk(house["ana"]).take_call(maria)
    assert "to" in ana.act("contacts.hand_over", to=house["ben"].pk).refusal.fields


@pytest.mark.parametrize(
    ("role", "kind"), [("trainee", "Staff"), ("supervisor", "Staff"), ("agent", "Agent"), ("service", "Service"), ("curator", "Staff")]
)
def test_a_role_says_what_kind_of_principal_it_is(role, kind):
    assert kind_of(role) == kind


@pytest.mark.parametrize(
    ("name", "two"),
    [("Ana Silva", "AS"), ("Ana Maria da Silva", "AS"), ("Cher", "C"), ("élodie martin", "ÉM"), ("", "?"), ("4 U", "U"), ("(x)", "?")],
)
def test_initials_are_the_first_and_the_last(name, two):
    assert initials(name) == two
