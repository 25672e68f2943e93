"""Why is this line suspended, what is held, and whom to call: the pages, their refusals, and what they do not show."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from careline.domain.contacts.models import Contact
from careline.domain.customers.models import Account, Customer
from careline.domain.journal.models import Outbox
from careline.doors.jobs import night, worker
from tests.people import Desk, issue_bill, open_account, pay


@pytest.fixture
def maria(house) -> Account:
    """She owes $80.00 since forty days ago; the night ran each of these days."""
    account = open_account(bills=0, today=timezone.now().date())
    Customer.objects.filter(pk=account.customer_id).update(language="en")
    Account.objects.filter(pk=account.pk).update(opened_on=timezone.now().date() - timedelta(days=500))
    issue_bill(account, account.lines.get(), timezone.now().date() - timedelta(days=60), 8000)
    for days in (37, 30, 25, 10, 0):
        night.run_night(timezone.now() - timedelta(days=days))
        Outbox.objects.filter(state="queued").update(state="sent", sent_at=timezone.now() - timedelta(days=days))
    assert account.lines.get().bar == "all"
    return account


def signed_in(client, staff):
    client.force_login(staff)
    return client


def test_ana_sees_why_a_line_is_suspended_to_the_cent_holds_it_and_lets_go(client, house, maria, django_assert_max_num_queries):
    ana = Desk(house["ana"], timezone.now()).take_call(maria)
    reference = Contact.objects.get(pk=ana.contact).reference
    signed_in(client, house["ana"])
    page = client.get(reverse("contact", args=[reference])).content.decode()
    assert reverse("past-due", args=[reference]) in page and "why, and what to do" in page
    with django_assert_max_num_queries(45):
        page = client.get(reverse("past-due", args=[reference])).content.decode()
    assert "It is suspended" in page and "$80.00 is past due" in page and "911, 988, 611 can always be called" in page
    assert "Service suspended: from 30 days past due on $25.00 or more" in page and "47 CFR 9.10" in page
    assert "$55.01" in page  # paid now, $24.99 are left: below what anybody is cut off for
    assert "Service ended" in page and "by mail" not in page and "by letter" in page
    form = client.get(reverse("contact", args=[reference]) + "?act=collections.hold&kind=bankruptcy").content.decode()
    assert "Nothing from before the petition may be collected" in form and "Lines that were barred come back." in form
    by_hand = client.get(reverse("contact", args=[reference]) + "?act=collections.hold&kind=manual").content.decode()
    assert "by yourself (7 days); longer is asked of a lead." in by_hand
    key = form.split('name="request_key" value="')[1].split('"')[0]
    done = client.post(reverse("contact-do", args=[reference, "collections.hold"]), {"request_key": key, "account": maria.pk, "kind": "bankruptcy", "words": "Letter"})
    assert done.status_code == 303 and done["Location"] == reverse("past-due", args=[reference])
    night.relieve()
    page = client.get(reverse("past-due", args=[reference])).content.decode()
    assert "Bankruptcy" in page and "No line of this account is barred for money" in page and "all of it is held" in page


def test_nothing_of_it_is_shown_before_the_caller_is_verified(client, house, maria):
    ana = Desk(house["ana"], timezone.now()).take_call(maria, verify=False)
    reference = Contact.objects.get(pk=ana.contact).reference
    answer = signed_in(client, house["ana"]).get(reverse("past-due", args=[reference]))
    assert answer.status_code == 403 and "$80" not in answer.content.decode()


def test_the_queue_names_whom_to_call_and_no_debt_and_who_picked_up_comes_first(client, house, maria, monkeypatch):
    # Ten in the morning where she lives, whenever this test runs.
    noon = timezone.now().replace(hour=20, minute=0)
    monkeypatch.setattr("careline.doors.web.pastdue.timezone.now", lambda: noon)
    signed_in(client, house["ana"])
    page = client.get(reverse("past-due-queue")).content.decode()
    assert "Maria Okafor" in page and "0188" in page and "$" not in page.split("<main")[1] and "206" not in page.split("<main")[1]
    key = page.split('name="request_key" value="')[-1].split('"')[0]
    done = client.post(reverse("past-due-queue"), {"request_key": key, "account": str(maria.pk)})
    assert done.status_code == 303
    contact = Contact.objects.get()
    assert (contact.inbound, contact.reason, contact.state, contact.person_id) == (False, "past_due", "dropped", None)
    page = client.get(done["Location"]).content.decode()
    assert "Call this number now" in page and "With whom am I speaking" in page and "$80" not in page
    ana = Desk(house["ana"], noon)
    ana.contact = contact.pk
    ana.later(seconds=30)
    no = ana.act("contacts.call_back_answered", account=maria.pk, name="Her neighbour")
    assert not no.ok and "$" not in no.say  # a third party learns nothing
    ana.must("contacts.drop") if Contact.objects.get().state == "live" else None
    assert client.post(reverse("past-due-queue"), {"request_key": "another-key-1", "account": "999"}).status_code == 422


def test_by_night_the_queue_says_from_when_they_may_be_called(client, house, maria, monkeypatch):
    night_there = timezone.now().replace(hour=9, minute=0)  # one or two where she lives
    monkeypatch.setattr("careline.doors.web.pastdue.timezone.now", lambda: night_there)
    page = signed_in(client, house["ana"]).get(reverse("past-due-queue"))
    main = page.content.decode().split("<main")[1]
    assert page.status_code == 200 and "Maria Okafor" in main and "from " in main and "1006.6" in main and "request_key" not in main


def test_contact_rules_hold_for_calls_and_a_paid_account_is_not_called(house, maria):
    ana = Desk(house["ana"], timezone.now().replace(hour=9, minute=0))  # one or two at night on the west coast
    no = ana.act("collections.call", account=maria.pk)
    assert no.refusal.rule == "contact-rules" and "They may be called from" in no.say and "1006.6" in no.refusal.cite
    pay(maria, 8000, timezone.now())
    night.relieve()
    assert ana.act("collections.call", account=maria.pk).refusal.rule == "nothing-to-call"


def test_trainees_and_strangers_have_no_queue(client, house):
    assert signed_in(client, house["tom"]).get(reverse("past-due-queue")).status_code == 403
    worker.send_due()
