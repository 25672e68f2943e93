"""Why is this line suspended, what is held, and whom to call: the pages, their refusals, and what they do not show."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from careline.domain.activations.models import Order
from careline.domain.arrangements.models import Terms
from careline.domain.collections import queries
from careline.domain.collections.models import CallAgain, Climb, Hold
from careline.domain.collections.queries import calling
from careline.domain.contacts.models import Contact
from careline.domain.customers import queries as customers
from careline.domain.customers.models import Account, Consent, Customer, Line, StaffTie
from careline.domain.journal import operations as outbox
from careline.domain.journal import queries as journal
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.models import Outbox
from careline.domain.journal.rules import account_chain
from careline.domain.rulebook import operations as rulebook_operations
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs import night, worker
from careline.foundation.rulebook import Rulebook
from tests.people import Desk, carrier_act, default_rulebook, issue_bill, open_account, pay


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


def key_of(form: str, which: int = 0) -> str:
    """The request key of a form on a page, the first or another."""
    return re.findall(r'name="request_key" value="([^"]+)"', form)[which]


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
    assert re.search(r"paid at \d+:\d\d.*, back by \d+:\d\d", page), "to the minute"
    assert "$55.01" in page  # paid now, $24.99 are left: below what anybody is cut off for
    assert "Service ended" in page and "by mail" not in page and "by letter" in page
    form = client.get(reverse("contact", args=[reference]) + "?act=collections.hold&kind=bankruptcy").content.decode()
    assert "Nothing from before the petition may be collected" in form and "Lines that were barred come back." in form
    by_hand = client.get(reverse("contact", args=[reference]) + "?act=collections.hold&kind=manual").content.decode()
    assert "by yourself (7 days); longer is asked of a lead." in by_hand
    key = key_of(form)
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
    monkeypatch.setattr("careline.doors.web.tocall.timezone.now", lambda: noon)
    signed_in(client, house["ana"])
    page = client.get(reverse("past-due-queue")).content.decode()
    assert "Maria Okafor" in page and "0188" in page and "$" not in page.split("<main")[1] and "206" not in page.split("<main")[1]
    key = key_of(page, -1)
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
    assert no.refusal.rule == "callback-failed" and "$" not in no.say  # a third party learns nothing
    assert client.post(reverse("past-due-queue"), {"request_key": "another-key-1", "account": "999"}).status_code == 422


def called_from_the_queue(client, account) -> tuple[str, str]:
    """**Call** beside a name, and what the page says then. The first thing is the contact's address."""
    page = client.get(reverse("past-due-queue")).content.decode()
    key = key_of(page, -1)
    done = client.post(reverse("past-due-queue"), {"request_key": key, "account": str(account.pk)})
    assert done.status_code == 303
    return done["Location"], client.get(done["Location"]).content.decode()


def answered(client, here: str, page: str, code: str, account, **typed: str):
    """The form of this act on the page, sent as it stands there."""
    form = next(part for part in page.split("<form")[1:] if f"/do/{code}" in part.split(">")[0])
    return client.post(f"{here}do/{code}", {"request_key": key_of(form), "account": str(account.pk), **typed})


def test_from_the_queue_maria_picks_up_says_her_name_and_ana_may_talk_about_the_bill(client, house, late, monkeypatch):
    here, page = called_from_the_queue(signed_in(client, house["ana"]), late)
    assert "They call back" in page and "The caller is back" not in page and "It counts as a try" not in page
    today(monkeypatch, NOON + timedelta(seconds=30))
    done = answered(client, here, page, "contacts.call_back_answered", late, name="Maria Okafor")
    assert done.status_code == 303
    row = Contact.objects.get()
    assert (row.state, row.person.name, row.factors) == ("live", "Maria Okafor", "callback")
    assert client.get(reverse("past-due", args=[row.reference])).status_code == 200 and "$80.00" in client.get(here).content.decode()


@pytest.mark.parametrize(("why", "said"), [("not_reached", "nobody reached"), ("wrong_person", "somebody else picked up")])
def test_from_the_queue_nobody_or_somebody_else_is_said_and_shows_nothing(client, house, late, monkeypatch, why, said):
    here, page = called_from_the_queue(signed_in(client, house["ana"]), late)
    today(monkeypatch, NOON + timedelta(seconds=30))
    assert answered(client, here, page, "contacts.call_back_failed", late, why=why).status_code == 303
    page = client.get(here).content.decode()
    assert "Nobody of the account is on the line" in page and "tel:" not in page and "$80" not in page
    assert reverse("past-due-queue") + f"?account={late.pk}" in page and "?act=contacts.end" in page
    assert any(said in line.content["say"] for line in journal.lines(chain=f"account:{late.pk}", most=50))
    assert client.get(reverse("past-due", args=[Contact.objects.get().reference])).status_code == 403


def test_from_the_queue_another_name_proves_nobody_and_is_no_try_of_marias(client, house, late, monkeypatch):
    here, page = called_from_the_queue(signed_in(client, house["ana"]), late)
    today(monkeypatch, NOON + timedelta(seconds=30))
    no = answered(client, here, page, "contacts.call_back_answered", late, name="Her neighbour")
    said = no.content.decode()
    assert no.status_code == 422 and "Nobody of that name is on this account" in said and "left" not in said.split("<main")[1] and "$80" not in said
    ana = Desk(house["ana"], NOON + timedelta(minutes=1))
    ana.contact = Contact.objects.get().pk
    assert ana.act("contacts.call_back_answered", account=late.pk, name="Maria Okafor").refusal.rule == "callback-not-begun", "one call takes one name"
    # The neighbour is on the line: unknown, so nothing is proven to them by any factor, and no call back is begun for them.
    ana.must("contacts.reconnect")
    line = late.lines.get().pk
    for code, typed in {"contacts.check_pin": {"pin": "4711"}, "contacts.send_code": {"line": line}, "contacts.call_back": {"line": line}}.items():
        assert ana.act(code, account=late.pk, **typed).refusal.rule == "stranger"


def test_by_night_the_queue_says_from_when_they_may_be_called(client, house, maria, monkeypatch):
    night_there = timezone.now().replace(hour=9, minute=0)  # one or two where she lives
    monkeypatch.setattr("careline.doors.web.tocall.timezone.now", lambda: night_there)
    page = signed_in(client, house["ana"]).get(reverse("past-due-queue"))
    main = page.content.decode().split("<main")[1]
    assert page.status_code == 200 and "Nobody may be called now. The next one from " in main and "1006.6" in main and "request_key" not in main
    assert "outside the hours where they may be</span><span class=\"num\">1</span>" in main and "Maria Okafor" not in main


def test_contact_rules_hold_for_calls_and_a_paid_account_is_not_called(house, maria):
    ana = Desk(house["ana"], timezone.now().replace(hour=9, minute=0))  # one or two at night on the west coast
    no = ana.act("collections.call", account=maria.pk)
    assert no.refusal.rule == "contact-rules" and "They may be called from" in no.say and "1006.6" in no.refusal.cite
    pay(maria, 8000, timezone.now())
    night.relieve()
    assert ana.act("collections.call", account=maria.pk).refusal.rule == "nothing-to-call"


def test_a_notice_that_nobody_carries_is_never_said_to_be_done(client, house, monkeypatch, capsys, caplog):
    """No messenger is set up: Maria's notice waits, the queue and her account say so, the ladder waits for it, and the log says it once."""
    monkeypatch.setattr(settings, "MESSENGER", "")
    worker._say_once.cache_clear()
    now = timezone.now()
    account = open_account(bills=0, today=now.date())
    issue_bill(account, account.lines.get(), now.date() - timedelta(days=35), 8000)
    for days in (12, 1):
        run = night.run_night(now - timedelta(days=days))
        for minutes in range(5):
            assert worker.send_due(at=now - timedelta(days=days) + timedelta(minutes=minutes)) == 0
    assert [r.levelname for r in caplog.records if r.name == "careline.worker"] == ["WARNING"], "one clear line, not one for each message and try"
    night._print(night.report(run), 0.1)
    assert "notices not sent, because no messaging provider is set up (CARELINE_MESSENGER): 1;" in capsys.readouterr().out
    message = Outbox.objects.get(topic="collections")
    assert (message.state, message.tries) == ("queued", 0)
    assert [s.rung for s in queries.steps_of(account.pk)] == ["notice"], "nothing follows a notice that was not sent"
    said = JournalLine.objects.get(chain__name=account_chain(account.pk), code="collections.run").text
    assert "past-due notice by sms, not sent: there is no messaging provider" in said
    signed_in(client, house["ana"])
    assert "Past-due notice, not sent</td>" in queue(client)
    ana = Desk(house["ana"], now).take_call(account)
    reference = Contact.objects.get(pk=ana.contact).reference
    page = client.get(reverse("past-due", args=[reference])).content.decode()
    assert "Past-due notice, not sent" in page and "by text: no messaging provider is set up at this desk" in page


def test_once_there_is_a_messenger_the_notice_goes_and_what_is_news_of_long_ago_does_not(house, monkeypatch):
    now = timezone.now()
    account = open_account(bills=0, today=now.date())
    issue_bill(account, account.lines.get(), now.date() - timedelta(days=35), 8000)
    monkeypatch.setattr(settings, "MESSENGER", "")
    noon = now.replace(hour=17)
    night.run_night(noon - timedelta(days=5))
    outbox.tell(act=carrier_act(noon - timedelta(days=5)), topic="receipt", channel="sms", to="+12065550188", body="Thank you.", account_id=account.pk)
    assert worker.send_due(at=noon) == 0
    monkeypatch.setattr(settings, "MESSENGER", "sandbox")
    assert worker.send_due(at=noon) == 1
    assert dict(Outbox.objects.values_list("topic", "state")) == {"collections": "sent", "receipt": "failed"}
    assert "too old now" in JournalLine.objects.get(code="messages.call_off").text


def test_trainees_and_strangers_have_no_queue(client, house):
    assert signed_in(client, house["tom"]).get(reverse("past-due-queue")).status_code == 403
    worker.send_due()


# ---------------------------------------------------------------- call again on a day, and what is to be looked at


NOON = datetime(2026, 11, 24, 20, tzinfo=UTC)  # noon in Seattle, where Maria lives


@pytest.fixture
def late(house, monkeypatch) -> Account:
    """Maria owes $80.00 since October 5; it is November 24, and the night ran."""
    account = open_account(bills=0)
    Customer.objects.filter(pk=account.customer_id).update(language="en")
    Account.objects.filter(pk=account.pk).update(opened_on=date(2025, 3, 1))
    issue_bill(account, account.lines.get(), date(2026, 9, 15), 8000)
    night.run_night(NOON - timedelta(days=40))
    worker.send_due(at=NOON - timedelta(days=40))
    today(monkeypatch, NOON)
    return account


def today(monkeypatch, now: datetime) -> None:
    monkeypatch.setattr("careline.doors.web.tocall.timezone.now", lambda: now)  # everywhere: it is one module


def queue(client) -> str:
    return " ".join(client.get(reverse("past-due-queue")).content.decode().split("<main")[1].split())


def put(client, account: Account, **typed: str):
    form = client.get(reverse("past-due-queue"), {"account": account.pk}).content.decode()
    return client.post(reverse("past-due-queue"), {"request_key": key_of(form), "deed": "again", "account": account.pk, **typed})


def test_nobody_picked_up_so_ana_puts_maria_to_friday_evening_and_ben_finds_her_first_then(client, house, late, monkeypatch):
    other = open_account("Rosa Other", "+12065550155", "A-0000155", bills=0)
    Account.objects.filter(pk=other.pk).update(opened_on=date(2025, 3, 1))
    issue_bill(other, other.lines.get(), date(2026, 9, 15), 90000)
    night.run_night(NOON - timedelta(days=40))
    worker.send_due(at=NOON - timedelta(days=40))
    signed_in(client, house["ana"])
    assert queue(client).index("Rosa Other") < queue(client).index("Maria Okafor"), "a call about more is worth more"
    wrong = put(client, late, on="2027-03-01")
    assert wrong.status_code == 422 and "Choose a day from today to Dec 24" in wrong.content.decode()
    assert put(client, late, on="2026-11-27", start="18:00", words="Voice mail full").status_code == 303
    page = queue(client)
    assert "to be called again Nov 27" in page and "set by you" in page and "They are to be called again then." in page and "Voice mail" not in page
    ana = Desk(house["ana"], NOON)
    no = ana.act("collections.call", account=late.pk)
    assert no.refusal.rule == "contact-rules" and "Nov 27, 9:00 pm ET (your time)" in no.say, "six in Seattle is nine in New York"

    friday = datetime(2026, 11, 28, 2, tzinfo=UTC)  # six in the evening there
    today(monkeypatch, friday - timedelta(minutes=1))
    signed_in(client, house["ana"])  # days later
    assert "from 6:00 pm" in queue(client).split("Maria Okafor")[1].split("</tr>")[0]
    today(monkeypatch, friday)
    signed_in(client, house["ben"])
    page = queue(client)
    assert page.index("Maria Okafor") < page.index("Rosa Other"), "it was promised, so it comes first"
    ben = Desk(house["ben"], friday)
    assert ben.act("collections.call", account=late.pk).ok
    assert "to be called again" not in queue(client), "called: done"
    assert not list(journal.verify())


def test_a_call_that_she_asked_for_comes_within_the_week_of_a_conversation_and_only_she_can_ask(house, late, monkeypatch):
    ana = Desk(house["ana"], NOON)
    no = ana.act("collections.call_again", account=late.pk, on="2026-11-26", asked=True)
    assert "Only who is known to be the customer" in no.refusal.fields["asked"]
    ana.take_call(late)
    ana.must("contacts.reason", reason="past_due")
    eva = Desk(house["eva"], NOON)
    eva.contact = ana.contact
    assert "asked" in eva.act("collections.call_again", account=late.pk, on="2026-11-26", asked=True).refusal.fields, "she asked ana, not whoever names the contact"
    assert "as they asked" in ana.must("collections.call_again", account=late.pk, on="2026-11-26", start="10:00", asked=True, words="After the pay run").say
    ana.must("contacts.end")
    ana.must("contacts.wrap_up", summary="Pays on Thursday, wants a call", disposition="resolved", root_cause="past_due")
    ten = datetime(2026, 11, 26, 18, tzinfo=UTC)
    ben = Desk(house["ben"], ten)
    assert ben.act("collections.call", account=late.pk).ok, "two days after they talked, because she asked"
    ben = Desk(house["eva"], ten + timedelta(hours=1))
    no = ben.act("collections.call", account=late.pk)
    assert no.refusal.rule == "contact-rules" and "conversation lately" in no.say, "it was one call that she asked for"


def test_who_paid_or_is_held_is_put_to_no_day_and_an_earlier_day_is_over(house, late):
    ana = Desk(house["ana"], NOON)
    for on in ("2026-11-26", "2026-11-27"):
        ana.must("collections.call_again", account=late.pk, on=on)
    assert CallAgain.objects.filter(done_at=None).get().on == date(2026, 11, 27)
    assert ana.act("collections.call_again", account=late.pk, on="2026-11-27", start="21:00").refusal.fields["start"].startswith("Nobody is called before 8:00 am")
    pay(late, 8000, NOON)
    night.relieve(at=NOON + timedelta(seconds=5))
    assert ana.act("collections.call_again", account=late.pk, on="2026-11-27").refusal.rule == "nothing-to-call"
    assert not CallAgain.objects.filter(done_at=None).exists(), "a debt of next year is another one: she does not stand first then"
    book = rulebooks.current()
    assert calling.to_call(book.ladder, book.outbound, NOON + timedelta(days=3)).rows == []


@pytest.mark.parametrize(("tie", "who"), [("own", "ana"), ("own", "ben"), ("relative", "ana")])
def test_nobody_puts_off_the_call_about_their_own_or_a_colleagues_debt(house, late, tie, who):
    StaffTie.objects.create(staff=house["ana"], account=late, tie=tie)
    assert Desk(house[who], NOON).act("collections.call_again", account=late.pk, on="2026-11-27").refusal.rule == "own-business"
    assert not CallAgain.objects.exists()


def test_two_who_put_her_to_a_day_at_once_leave_one(committed_house, racing):
    account = open_account(bills=0)
    issue_bill(account, account.lines.get(), date(2026, 9, 15), 8000)
    night.run_night(NOON - timedelta(days=40))
    racing(*(partial(Desk(committed_house[who], NOON).act, "collections.call_again", account=account.pk, on=f"2026-11-{day}") for who, day in (("ana", 26), ("ben", 27))))
    assert CallAgain.objects.filter(done_at=None).count() == 1 and CallAgain.objects.count() == 2


def test_from_the_page_of_a_contact_it_is_asked_in_a_form_and_stands_there(client, house, late):
    ana = Desk(house["ana"], timezone.now()).take_call(late)
    reference = Contact.objects.get(pk=ana.contact).reference
    signed_in(client, house["ana"])
    page = client.get(reverse("past-due", args=[reference])).content.decode()
    assert "Call again on a day" in page
    form = client.get(reverse("contact", args=[reference]) + "?act=collections.call_again").content.decode()
    assert "They asked to be called then" in form and "from 6:00 pm on" in form
    key = key_of(form)
    on = (timezone.now() + timedelta(days=2)).date().isoformat()
    done = client.post(reverse("contact-do", args=[reference, "collections.call_again"]), {"request_key": key, "account": late.pk, "on": on, "start": "18:00", "asked": "on"})
    assert done.status_code == 303
    page = client.get(done["Location"]).content.decode()
    assert "To be called again on" in page and "from 6:00 pm on, their time, as they asked" in page


def test_a_hold_whose_day_is_over_comes_up_for_a_lead_who_says_that_it_stands(client, house, late, monkeypatch):
    ana = Desk(house["ana"], NOON).take_call(late)
    held = ana.must("collections.hold", account=late.pk, kind="bankruptcy", words="Letter of the court").show["hold"]
    signed_in(client, house["lena"])
    assert "Holds to look at again" not in queue(client)
    later = NOON + timedelta(days=30)
    today(monkeypatch, later)
    signed_in(client, house["lena"])
    page = queue(client)
    assert "Holds to look at again" in page and held in page and "Bankruptcy" in page and "Letter of the court" not in page
    form = client.get(reverse("past-due-queue"), {"hold": held}).content.decode()
    assert "was looked at" in form
    key = key_of(form)
    assert client.post(reverse("past-due-queue"), {"request_key": key, "deed": "keep", "hold": held, "words": "The case is open still"}).status_code == 303
    assert "Holds to look at again" not in queue(client) and Hold.objects.get().review_on == (later + timedelta(days=30)).date()
    signed_in(client, house["ana"])
    no = Desk(house["ana"], later).act("collections.keep_hold", hold=held, words="No")
    assert not no.ok and "lead" in no.refusal.who_could
    for wrong in ({"deed": "keep", "hold": "HO-0000099-9", "words": "x"}, {"deed": "nothing", "account": "x"}):
        assert client.post(reverse("past-due-queue"), {"request_key": "another-key-9" + wrong["deed"], **wrong}).status_code in (404, 422)


def test_of_two_lines_the_one_is_called_on_which_a_call_comes_in(house, late):
    first = late.lines.get()
    watch = Line.objects.create(account=late, msisdn="+12065550199", plan=first.plan, number_since=NOON, activated_on=NOON.date())
    assert customers.called([late.pk])[late.pk][0] == first.pk, "the older one"
    late.lines.filter(pk=first.pk).update(status="suspended", suspended_for="non_payment", bar="outgoing")
    assert customers.called([late.pk])[late.pk][0] == first.pk
    late.lines.filter(pk=first.pk).update(bar="all")
    assert customers.called([late.pk])[late.pk][0] == watch.pk


# ---------------------------------------------------------------- what has lines back, what follows, and what was done


@pytest.fixture
def barred(house, monkeypatch) -> Account:
    """Maria owes $48.00 since 16 days and $47.96 since 10; outgoing stopped yesterday."""
    account = open_account(bills=0)
    Customer.objects.filter(pk=account.customer_id).update(language="en")
    Account.objects.filter(pk=account.pk).update(opened_on=date(2025, 3, 1))
    today_ = NOON.date()
    for days, amount in ((16, 4800), (10, 4796)):
        issue_bill(account, account.lines.get(), today_ - timedelta(days=days + 20), amount)
    for days in (13, 6, 1):
        night.run_night(NOON - timedelta(days=days))
        Outbox.objects.filter(state="queued").update(state="sent", sent_at=NOON - timedelta(days=days))
    assert account.lines.get().bar == "outgoing"
    today(monkeypatch, NOON)
    return account


def page_of(client, desk: Desk, query: str = "") -> str:
    reference = Contact.objects.get(pk=desk.contact).reference
    where = reverse("contact", args=[reference]) + query if query else reverse("past-due", args=[reference])
    return " ".join(client.get(where).content.decode().split())


def test_before_the_smaller_sum_is_paid_the_page_says_what_stays_and_when_it_stops_again(client, house, barred):
    ana = Desk(house["ana"], NOON).take_call(barred)
    page = page_of(signed_in(client, house["ana"]), ana)
    assert "$23.01 has the lines back, and $72.95 stays past due. Unless more is paid by Nov 29: outgoing calls, texts and data stopped. $95.96 is all of it." in page
    assert "Take $23.01: the lines come back" in page and "Take $95.96: all that is past due" in page
    for amount in ("23.01", "95.96"):
        form = page_of(client, ana, f"?act=payments.take&amount={amount}")
        assert f'value="{amount}"' in form and "$23.01 has the lines back; $95.96 is all that is past due." in form
    pay(barred, 2301, NOON)
    night.relieve(at=NOON + timedelta(seconds=5))
    assert barred.lines.get().status == "active"
    for day_ in (1, 2, 3, 4, 5):
        night.run_night(NOON + timedelta(days=day_))
        Outbox.objects.filter(state="queued").update(state="sent", sent_at=NOON + timedelta(days=day_))
        assert (barred.lines.get().bar == "outgoing") == (day_ == 5), "as the page said: Nov 29"


def test_an_arrangement_gives_no_line_back_and_the_script_the_message_and_the_page_say_so(client, house, barred):
    ana = Desk(house["ana"], NOON).take_call(barred)
    signed_in(client, house["ana"])
    script = page_of(client, ana, "?act=arrangements.agree&plan=own&due_1=2026-12-04&amount_1=95.96")
    said = "What is stopped on your lines now stays stopped until $23.01 of it is paid."
    assert said in script and "no line is switched off" not in script
    lena = Desk(house["lena"], NOON)
    lena.contact = ana.contact
    Contact.objects.update(holder=house["lena"])
    lena.must("arrangements.agree", account=barred.pk, parts=[{"due_on": "2026-12-04", "amount": 9596}])
    night.relieve(at=NOON + timedelta(seconds=5))
    assert barred.lines.get().bar == "outgoing"
    terms = Terms.objects.get()
    assert said in terms.read_out and said in terms.told
    page = page_of(signed_in(client, house["lena"]), lena)
    assert terms.arrangement.number in page.split("What is held")[1].split("What was done")[0]
    assert "To have the lines back" in page and "$23.01 has the lines back and counts toward the arrangement. $72.95 stays" in page
    assert "Lines that are barred stay so." in page and "Nothing is held." not in page and "nothing is past due" not in page
    assert f"all of it is held, {terms.arrangement.number} until Dec 4" in page
    assert "$23.01 has the lines back; $95.96 is the next part of the arrangement" in page_of(client, lena, "?act=payments.take")
    pay(barred, 2301, NOON + timedelta(minutes=1))
    night.relieve(at=NOON + timedelta(minutes=2))
    assert barred.lines.get().status == "active"
    page = page_of(client, lena)
    assert "To have the lines back" not in page and "What is suspended" in page and "Why is this line suspended?" not in page and "barred stay so" not in page


@pytest.mark.parametrize("costs", [True, False])
def test_what_comes_back_under_an_arrangement_costs_what_the_rulebook_says_the_script_the_message_and_the_page_say(client, house, maria, costs):
    if not costs:
        files = default_rulebook().files
        free = Rulebook({**files, "ladder.toml": files["ladder.toml"].replace("restore_fee = true ", "restore_fee = false")})
        rulebook_operations.activate(act=carrier_act(timezone.now()), rulebook=free, from_at=timezone.now() - timedelta(days=1), seconded_by="Job:tests")
    now = timezone.now()
    Customer.objects.filter(pk=maria.customer_id).update(email="maria@okafor.example")  # no text reaches a suspended line
    lena = Desk(house["lena"], now).take_call(maria)
    day_ = now.date() + timedelta(days=10)
    signed_in(client, house["lena"])
    script = page_of(client, lena, f"?act=arrangements.agree&plan=own&due_1={day_}&amount_1=80")
    said = "What is stopped on your lines now stays stopped until $55.01 of it is paid." + " Having it back costs $20.00 before tax, on the next bill." * costs
    assert said in script and ("Having it back" in script) == costs
    lena.must("arrangements.agree", account=maria.pk, parts=[{"due_on": str(day_), "amount": 8000}])
    terms = Terms.objects.get()
    assert said in terms.read_out and said in terms.told
    page = page_of(client, lena)
    assert ("Restoring costs" in page) and ("before tax, on the next bill" if costs else "under what is held here") in page
    pay(maria, 5501, now + timedelta(minutes=1))
    night.relieve(at=now + timedelta(minutes=2))
    assert maria.lines.get().status == "active"
    assert Order.objects.get(line=maria.lines.get(), kind="restore").price_minor == 2000 * costs


def test_who_has_nothing_stopped_hears_nothing_of_it_when_they_arrange(client, house, late):
    ana = Desk(house["ana"], NOON).take_call(late)
    late.lines.update(status="active", suspended_for="", bar="")
    script = page_of(signed_in(client, house["ana"]), ana, "?act=arrangements.agree&plan=own&due_1=2026-12-04&amount_1=80")
    assert "nothing more is switched off for them" in script and "stays stopped" not in script


def test_what_was_done_has_late_fees_and_lines_that_came_up_a_rung_and_back_with_their_fee(client, house, maria, monkeypatch):
    now = timezone.now()
    line = maria.lines.get()
    issue_bill(maria, line, now.date() - timedelta(days=38), 5000)  # due 18 days ago
    pay(maria, 8000, now)
    night.relieve(at=now + timedelta(seconds=5))
    assert maria.lines.get().bar == "outgoing"
    pay(maria, 5000, now + timedelta(minutes=2))
    night.relieve(at=now + timedelta(minutes=3))
    ana = Desk(house["ana"], now + timedelta(minutes=4)).take_call(maria)
    page = page_of(signed_in(client, house["ana"]), ana).split('id="steps-title"')[1]
    assert "Line ending in 0188 back" in page and "Line ending in 0188 came up to: outgoing calls, texts and data stopped" in page
    assert "Late fee" in page and "$7.00 before tax, for the bill of " in page and "by mail" not in page
    assert page.index("0188 back") < page.index("0188 came up to")


def test_a_line_that_was_wholly_suspended_costs_its_fee_and_the_history_says_so(client, house, maria):
    now = timezone.now()
    pay(maria, 8000, now)
    night.relieve(at=now + timedelta(seconds=5))
    ana = Desk(house["ana"], now + timedelta(minutes=1)).take_call(maria)
    page = page_of(signed_in(client, house["ana"]), ana).split('id="steps-title"')[1]
    assert re.search(r"Line ending in 0188 back</td><td>at [^<]*; \$20.00 before tax, on the next bill", page)


# ---------------------------------------------------------------- whom to call, over everybody


def owing_since_october(name: str, number: str, amount: int, zone: str = "America/Los_Angeles", state: str = "WA") -> Account:
    """Somebody who was told of a bill that was due on October 5."""
    account = open_account(name, number, f"A-02{number[-5:]}", bills=0)
    Account.objects.filter(pk=account.pk).update(opened_on=date(2025, 3, 1), zone=zone, state=state)
    issue_bill(account, account.lines.get(), date(2026, 9, 15), amount)
    return account


def told_of_it() -> None:
    """The night ran on October 15, and its notices went."""
    night.run_night(NOON - timedelta(days=40))
    Outbox.objects.filter(state="queued").update(state="sent", sent_at=NOON - timedelta(days=40))


def called_now(at: datetime, **given) -> calling.ToCall:
    book = rulebooks.current()
    return calling.to_call(book.ladder, book.outbound, at, **given)


def test_the_rules_are_asked_until_the_page_is_full_and_the_next_page_goes_on_behind_it(house, monkeypatch):
    """Five whom a call is worth, two on a page. Whoever may not be called takes nobody's place, and is counted with the reason."""
    monkeypatch.setattr(calling, "LARGEST", 2)
    people = {n: owing_since_october(name, f"+1206555030{n}", amount) for n, (name, amount) in enumerate([("Ada", 90000), ("Bo", 80000), ("Cy", 70000), ("Di", 60000), ("Ed", 50000)])}
    owing_since_october("Fay", "+12125550306", 95000, "America/New_York", "NY")
    told_of_it()
    Consent.objects.create(account=people[1], topic="collections", channel="call", granted=False, at=NOON, source="desk")
    first = called_now(NOON, most=2)
    assert [c.name for c in first.rows] == ["Fay", "Ada"] and first.more
    second = called_now(NOON, after=first.more, most=2)
    assert [c.name for c in second.rows] == ["Cy", "Di"] and second.not_now["stop"] == 1
    assert [c.name for c in called_now(NOON, after=second.more, most=2).rows] == ["Ed"]
    evening = datetime(2026, 11, 25, 3, tzinfo=UTC)  # seven in Seattle, ten in New York
    page = called_now(evening, most=2)
    assert [c.name for c in page.rows] == ["Ada", "Cy"], "Fay, who is worth most, takes nobody's place at ten in the evening"
    assert page.not_now == {"hours": 1, "stop": 1} and page.soonest == datetime(2026, 11, 25, 13, tzinfo=UTC)
    assert called_now(NOON, after="nonsense", most=2).rows[0].name == "Fay"


def test_everybody_on_the_ladder_is_on_the_page_or_counted_with_why_they_are_not(client, house, late, monkeypatch):
    small = owing_since_october("Sue Small", "+12065550311", 1050)
    held = owing_since_october("Hal Held", "+12065550312", 9000)
    owing_since_october("May Mass", "+12125550313", 9500, "America/New_York", "MA")
    told_of_it()
    Desk(house["ana"], NOON).take_call(held).must("collections.hold", account=held.pk, kind="dispute", words="All of it")
    night.relieve(at=NOON + timedelta(seconds=5))
    late_evening = datetime(2026, 11, 25, 2, tzinfo=UTC)  # six in Seattle, nine in Boston
    found = called_now(late_evening)
    assert [c.name for c in found.rows] == ["Maria Okafor"]
    assert found.not_now == {"hours": 1, "held": 1, "little": 1}, small.reference
    today(monkeypatch, late_evening)
    page = queue(signed_in(client, house["ana"]))
    for said in ("outside the hours where they may be", "held, or paid since", "a call would cost more than it brings"):
        assert f'{said}</span><span class="num">1</span>' in page
    assert "$" not in page and "Hal Held" not in page


def test_what_a_call_is_worth_follows_the_next_bill_and_a_part_that_is_paid(house, late):
    (before,) = called_now(NOON).rows
    other = owing_since_october("Rosa Other", "+12065550321", 9000)
    told_of_it()
    assert [c.name for c in called_now(NOON).rows] == ["Rosa Other", "Maria Okafor"]
    pay(other, 4000, NOON)
    night.relieve(at=NOON + timedelta(seconds=5))
    assert [(c.name, c.worth) for c in called_now(NOON).rows] == [("Maria Okafor", before.worth), ("Rosa Other", 900)]
    issue_bill(other, other.lines.get(), NOON.date() - timedelta(days=20), 90000)  # due today: past due tomorrow, and no rung says so
    tomorrow = NOON + timedelta(days=1)
    night.run_night(tomorrow)
    assert Climb.objects.get(account=other, ended_at=None).owed_minor == 95000
    assert [c.name for c in called_now(tomorrow).rows] == ["Rosa Other", "Maria Okafor"]


def test_the_page_asks_as_many_questions_for_two_as_for_twenty(client, house, late, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    signed_in(client, house["ana"])
    queue(client)
    with CaptureQueriesContext(connection) as few:
        queue(client)
    for n in range(20):
        owing_since_october(f"Person {n}", f"+120655504{n:02}", 9000 + n)
    told_of_it()
    with django_assert_num_queries(len(few)):
        assert "Person 19" in queue(client)


# ---------------------------------------------------------------- the trouble first, the money second, with tact


def nights(first: int, last: int) -> None:
    """The nights from one day to another, counted from NOON, their notices sent at once."""
    for days in range(first, last + 1):
        night.run_night(NOON + timedelta(days=days))
        Outbox.objects.filter(state="queued").update(state="sent", sent_at=NOON + timedelta(days=days))


def test_the_page_says_what_there_is_to_say_in_this_case(client, house, barred):
    page = page_of(signed_in(client, house["ana"]), Desk(house["ana"], NOON).take_call(barred))
    said = page.split('aria-label="To say aloud"')[1].split("</section>")[0]
    assert "First let me look at why you called." in said
    assert "With $23.01 your lines are back within a minute." in said and "slipped by" not in said, "she knows: her line is off"
    assert "If it is hard" in said and "{" not in said and said.count("<q>") == 3


def test_before_the_first_bar_its_day_is_said_and_after_an_arrangement_for_all_nothing_is(client, house, monkeypatch):
    account = owing_since_october("Nora Near", "+12065550331", 8000)
    nights(-47, -47)
    monkeypatch.setattr("careline.doors.web.tocall.timezone.now", lambda: NOON - timedelta(days=42))
    ana = Desk(house["ana"], NOON - timedelta(days=42)).take_call(account)
    page = page_of(signed_in(client, house["ana"]), ana)
    assert "With a payment, or a plan that fits you, before Oct 20 nothing changes." in page
    ana.must("arrangements.agree", account=account.pk, parts=[{"due_on": "2026-10-23", "amount": 8000}])
    said = page_of(client, ana).split('aria-label="To say aloud"')[1].split("</section>")[0]
    assert "plan that fits" not in said and said.count("<q>") == 2


def test_who_said_that_it_is_hard_has_a_hold_that_cuts_nothing_and_is_spoken_to_with_care(client, house, monkeypatch):
    account = owing_since_october("Hana Hard", "+12065550332", 8000)
    nights(-47, -47)
    began = NOON - timedelta(days=42)
    monkeypatch.setattr("careline.doors.web.tocall.timezone.now", lambda: began)
    ana = Desk(house["ana"], began).take_call(account)
    ana.must("collections.hold", account=account.pk, kind="hardship", until="2026-10-20", words="Lost her job")
    assert "You told us that things are hard now." in page_of(signed_in(client, house["ana"]), ana)
    nights(-42, -35)
    assert {s.rung for s in queries.steps_of(account.pk)} == {"notice", "final"} and account.lines.get().status == "active", "it would have been barred today"
    nights(-34, -34)
    assert account.lines.get().bar == "outgoing"


def test_an_outage_and_a_search_without_an_end_stand_before_the_money_of_who_calls_in(client, house, late):
    wait = open_account("Ola Out", "+12065550341", "A-0200341", bills=0)
    issue_bill(wait, wait.lines.get(), NOON.date() - timedelta(days=70), 8000)
    ana = Desk(house["ana"], NOON).take_call(wait)
    ana.must("diagnosis.start", account=wait.pk, line=wait.lines.get().pk, guide="mobile_data", words="No data since noon")
    page = page_of(signed_in(client, house["ana"]), ana, "?section=money")
    about = page.split('class="probably"')[1].split("</ul>")[0]
    assert about.index("Not solved yet:") < about.index("$80.00 past due") and "It comes second: first what does not work." in about
    assert 'class="is-bad"' not in about.split("$80.00 past due")[0].split("<li")[-1], "no alarm about money while something does not work"
    assert 'class="is-bad"><dt>past due since' not in page and "<dt>past due since" in page
    assert "I see that something is not working for you" in page_of(client, ana)
    Contact.objects.update(inbound=False)
    about = page_of(client, ana, "?section=money").split('class="probably"')[1].split("</ul>")[0]
    assert about.index("$80.00 past due") < about.index("Not solved yet:"), "our own call is about the money"
