"""The night: one account's story day by day, holds, autopay, and a night that is killed, repeated or started twice."""

from __future__ import annotations

import csv
import itertools
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from functools import partial
from unittest.mock import Mock

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Sum

from careline.acts.perform import perform
from careline.carriers.sandbox import SandboxMessenger, SandboxNetwork, SandboxPayments
from careline.domain.activations.models import Order
from careline.domain.collections import queries
from careline.domain.collections.models import Climb, Hold, LateFee, Placement, Step
from careline.domain.collections.queries import whatif
from careline.domain.collections.rules import whatif as whatif_rules
from careline.domain.contacts.models import Contact
from careline.domain.customers import operations as customers
from careline.domain.customers.models import Account, Consent, Customer, Line
from careline.domain.journal import queries as journal
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.models import Outbox
from careline.domain.ledger import operations as ledger
from careline.domain.ledger import queries as ledger_queries
from careline.domain.ledger.models import (
    Bill,
    BillLine,
    Charge,
    Entry,
    Payment,
    PaymentMethod,
    UnbilledCharge,
)
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs import night, worker
from careline.foundation.act import Who
from careline.foundation.rulebook import Rulebook
from tests.operations.dying import Killed, killed_after, wherever_it_dies
from tests.people import Desk, carrier_act, issue_bill, key, open_account, pay

DUE = date(2026, 10, 5)


def at(day: int, hour: int = 14) -> datetime:
    """So many days after the due day, at ten in the morning in New York."""
    return datetime(2026, 10, 5, hour, tzinfo=UTC) + timedelta(days=day)


_more = itertools.count(1)


def owing(amount: int = 8000, issued: date = date(2026, 9, 15), token: str = "tok-visa-good", **more) -> Account:
    """Somebody of a year and a half, with one open bill due on October 5."""
    n = next(_more)
    account = open_account(number=f"+1206555{n:04d}", reference=f"A-{n:07d}", bills=0)
    Customer.objects.filter(pk=account.customer_id).update(language="en")
    PaymentMethod.objects.filter(account=account).update(token=token)
    Account.objects.filter(pk=account.pk).update(opened_on=date(2025, 3, 1), **more)
    issue_bill(account, account.lines.order_by("pk")[0], issued, amount)
    return account


def a_night(day: int, send: bool = True) -> night.Run:
    run = night.run_night(at(day))
    assert night.report(run).holds, (run.stands, run.owed_minor, night.report(run))
    if send:
        worker.send_due(at=at(day, 18))
    return run


def told(account: Account) -> list[str]:
    return [f"{s.rung} {s.effect}" for s in Step.objects.filter(account=account).order_by("pk")]


def line_of(account: Account) -> Line:
    return account.lines.order_by("pk")[0]


# ---------------------------------------------------------------- one life, day by day


def test_maria_does_not_pay_for_four_months(house):
    account = owing()
    seen = {}
    for day in range(-4, 125):
        before = told(account)
        a_night(day)
        if (new := told(account)[len(before) :]) != []:
            seen[day] = new
    assert seen == {
        -3: ["reminder notice"], 3: ["notice notice"], 10: ["final notice"], 15: ["soft suspend", "soft notice"],
        30: ["hard suspend", "hard notice"], 60: ["disconnect final_bill", "disconnect disconnect", "disconnect notice"],
        100: ["place place"], 120: ["write_off write_off"],
    }  # fmt: skip
    assert line_of(account).status == "cancelled" and Placement.objects.get().amount_minor == 8000
    assert [(f.amount_minor, f.bill.account_id) for f in LateFee.objects.all()] == [(700, account.pk)]
    fee = UnbilledCharge.objects.get(number=LateFee.objects.get().charge)
    assert (fee.label, fee.tax, fee.amount_minor) == ("Late payment fee, for $80.00 late", "none", 700)
    assert ledger_queries.balance(account.pk) == 0 and Climb.objects.get().ended_for == "written off"
    said = SandboxMessenger().sent()
    assert [m["channel"] for m in said if m["topic"] == "collections"][::-1] == ["sms", "sms", "sms", "sms", "letter", "letter"]
    assert "911, 988 and 611 work" in next(m["body"] for m in said if "outgoing calls, texts" in m["body"])
    # Money that comes after all recovers the write-off, and nothing begins anew.
    pay(account, 8000, at(125))
    a_night(126)
    assert Climb.objects.count() == 1 and Entry.objects.filter(kind="recovery").aggregate(s=Sum("amount_minor"))["s"] == 8000


def test_the_late_fee_of_whom_another_system_bills_is_left_to_it(house, monkeypatch, capsys):
    """Maria came by import, and Omar's bill did: what waits for their next bill here would wait for ever. Ines is billed here."""
    maria, omar, ines = owing(source_key="crm-7"), owing(), owing()
    old = Bill(source_key="inv-9", number="F-9", account=omar, period_start=date(2026, 8, 15), period_end=date(2026, 9, 14), issued_on=DUE, due_on=date(2026, 12, 5), total_minor=900)
    ledger.post_bills_many([old], [(old, BillLine(kind="fee", label="Service", amount_minor=900))], at(-5))
    run = night.run_night(at(3))
    assert [f.account for f in LateFee.objects.all()] == [ines] and "notice notice" in told(maria) and told(omar) == told(maria)
    assert run.did.effects["late_fee"] == 1
    night._print(night.report(run), 0.1)
    assert "no late fee for 2 accounts with late bills of another system (imported, and imported_from of [late_fee], in billing.toml" in capsys.readouterr().out
    written = JournalLine.objects.count()
    again = night.run_night(at(4))
    assert again.elsewhere == 2 and JournalLine.objects.count() == written, "who is due a fee of another system is not locked each night for it"
    # The carrier takes over: from now on the fee of what is late is levied here.
    book = rulebooks.current()
    monkeypatch.setattr(rulebooks, "current", lambda: Rulebook({**book.files, "billing.toml": book.files["billing.toml"].replace('imported = "outside"', 'imported = "ours"')}))
    assert night.run_night(at(5)).elsewhere == 0 and LateFee.objects.count() == 3


@pytest.mark.parametrize(("imported_from", "charged"), [("", ["ours"]), ("2026-10-05", ["due Oct 5", "ours"]), ("2026-10-06", ["ours"]), ("2020-01-01", ["due Aug 5", "due Oct 5", "ours"])])
def test_who_takes_billing_over_levies_no_late_fee_on_the_bills_of_the_other_biller(house, monkeypatch, capsys, imported_from, charged):
    """Omar's bills of before came by import and are collected here; what their late fees were the other system said."""
    omar = owing()
    for number, due in (("due Aug 5", DUE - timedelta(days=61)), ("due Oct 5", DUE)):
        old = Bill(source_key=f"inv {number}", number=number, account=omar, period_start=due - timedelta(days=50), period_end=due - timedelta(days=21), issued_on=due - timedelta(days=20),
                   due_on=due, total_minor=5000)  # fmt: skip
        ledger.post_bills_many([old], [(old, BillLine(kind="fee", label="Service", amount_minor=5000))], at(-5))
    own = Bill.objects.get(source_key=None)
    book = rulebooks.current()
    ours = book.files["billing.toml"].replace('imported = "outside"', 'imported = "ours"')
    if imported_from:
        ours = ours.replace("forgiven_below", f"imported_from = {imported_from}\nforgiven_below")
    monkeypatch.setattr(rulebooks, "current", lambda: Rulebook({**book.files, "billing.toml": ours}))
    run = night.run_night(at(3))
    assert sorted("ours" if f.bill == own else f.bill.number for f in LateFee.objects.all()) == charged
    night._print(night.report(run), 0.1)
    assert ("no late fee for 1 accounts" in capsys.readouterr().out) == (len(charged) < 3)
    written = JournalLine.objects.count()
    night.run_night(at(4))
    assert JournalLine.objects.count() == written, "whose fee is left to another is not locked each night for it"
    for _, life in whatif.lives(0, omar.pk, DUE - timedelta(days=100), DUE + timedelta(days=4), (rulebooks.current().ladder,)):
        side = whatif.side_of(rulebooks.current())
        deeds = whatif_rules.lived(side.ladder, life, side.prices(), DUE - timedelta(days=100), DUE + timedelta(days=4)).deeds
        assert sum(d.effect == "late_fee" for d in deeds) == len(charged), "what is tried beforehand says the same"


def test_between_two_nights_a_payment_brings_the_line_back_and_the_fee_goes_on_the_next_bill(house):
    account = owing()
    for day in (3, 10, 15, 30):
        a_night(day)
    assert (line_of(account).status, line_of(account).bar, line_of(account).suspended_for) == ("suspended", "all", "non_payment")
    pay(account, 8000, at(31))
    night.relieve(at=at(31) + timedelta(seconds=5))
    line = line_of(account)
    assert (line.status, line.bar) == ("active", "") and SandboxNetwork().profile(number=line.msisdn).barred is False
    assert Climb.objects.get().ended_for == "paid" and Climb.objects.get().settled
    assert UnbilledCharge.objects.get(label__startswith="Restoring line").amount_minor == 2000
    assert "is on again" in Outbox.objects.filter(topic="line_restored").get().body
    done = JournalLine.objects.count()
    night.relieve(at=at(31) + timedelta(seconds=10))
    a_night(32)
    assert JournalLine.objects.count() == done  # nothing is left to do


def test_what_is_paid_in_the_very_moment_in_which_the_ladder_looked_is_seen(house):
    account = owing()
    a_night(3)
    pay(account, 8000, Climb.objects.get().judged_at)
    assert queries.moved(5) == [account.pk]
    night.relieve(at=at(3, 18))
    assert Climb.objects.get().ended_for == "paid" and queries.moved(5) == []


def test_between_two_nights_only_those_are_asked_about_of_whom_something_was_written_since(house):
    paid, held, agreed, quiet = owing(), owing(), owing(), owing()
    for day in (3, 10, 15):
        a_night(day)
    here = queries.seen(at(15, 20))
    assert queries.moved(5, here) == []
    pay(paid, 8000, at(16))
    ana = Desk(house["ana"], at(16)).take_call(held)
    ana.must("collections.hold", account=held.pk, kind="dispute", amount=6000, words="Not hers")
    ana.must("contacts.end")
    ben = Desk(house["ben"], at(16)).take_call(agreed)
    ben.must("arrangements.agree", account=agreed.pk, parts=[{"due_on": "2026-10-28", "amount": 8000}])
    assert queries.moved(5, here) == queries.moved(5) == [paid.pk, held.pk, agreed.pk]
    assert queries.moved(5, queries.seen(at(16, 20))) == [], "as far as that was looked"
    night.relieve(at=at(16, 21))
    Hold.objects.filter(account=held).update(lifted_at=at(16, 22), lifted_by="Staff:1")
    assert queries.moved(5, queries.seen(at(16, 21))) == [held.pk] and quiet.pk not in queries.moved(5)


def test_the_worker_goes_on_only_to_what_has_settled_and_passes_over_nobody(house):
    """What is written late under an early id, by a deed that was under way, is found: the worker looks back over two minutes."""
    account, later = owing(), at(3, 15)
    a_night(3)
    watch = night.Watch()
    assert watch.moved(later, 5) == [] and watch.since is None, "at first about everybody"
    assert watch.moved(later + timedelta(seconds=119), 5) == [] and watch.since is None
    assert watch.moved(later + timedelta(seconds=121), 5) == [] and watch.since.at == later
    pay(account, 8000, later + timedelta(seconds=1))  # as if it had begun then
    assert watch.moved(later + timedelta(seconds=244), 1) == [account.pk] and watch.since.at == later, "there may be more of them: it stays"
    night.relieve(at=later + timedelta(seconds=245), watch=watch)
    assert Climb.objects.get().ended_for == "paid" and watch.since.at == later + timedelta(seconds=121)


def test_a_part_of_the_debt_that_is_paid_brings_back_a_part_and_no_rung_is_skipped(house):
    """Kill Bill's issue 2297: a partial payment and the next bill. The second bill has notices of its own."""
    account = owing()
    issue_bill(account, line_of(account), date(2026, 10, 15), 6000)  # due on November 4, 30 days later
    for day in (3, 10, 15, 30):
        a_night(day)
    pay(account, 8000, at(33))
    a_night(33)
    assert line_of(account).status == "active" and told(account)[-1] == "notice notice"
    assert [(c.since, c.ended_for, c.rung) for c in Climb.objects.order_by("pk")] == [(DUE, "partly paid", "hard"), (date(2026, 11, 4), "", "notice")]
    for day in range(34, 46):
        a_night(day)
    assert told(account)[-4:] == ["notice notice", "final notice", "soft suspend", "soft notice"]
    assert LateFee.objects.count() == 2


def test_a_credit_below_what_anybody_is_cut_off_for_brings_the_line_back(house):
    """Kill Bill's issue 695: a state that stays after a credit. It falls with the credit, and all of it with a credit of all."""
    account = owing()
    for day in (3, 10, 15):
        a_night(day)
    assert line_of(account).bar == "outgoing"
    with transaction.atomic():
        ledger.post_credit(act=carrier_act(at(16)), account_id=account.pk, amount_minor=5600, reference="CR-1", label="Goodwill")
    night.relieve(at=at(16, 15))
    assert line_of(account).status == "active" and Climb.objects.get().rung == "final"
    assert not UnbilledCharge.objects.filter(label__startswith="Restoring").exists()  # only what was wholly suspended costs a fee
    with transaction.atomic():
        ledger.post_credit(act=carrier_act(at(17)), account_id=account.pk, amount_minor=2400, reference="CR-2", label="Goodwill")
    night.relieve(at=at(17, 15))
    assert Climb.objects.get().ended_for == "paid" and dict(a_night(18).did.effects) == {}


def test_there_is_one_clock_the_carriers_day_of_the_act(house):
    """Kill Bill's issue 782: two clocks that disagree. Half an hour before midnight in New York it is the next day in UTC, and in Maria's Seattle the same
    evening: the rung, the gap and what is paid go by the carrier's day of the act, and the database's clock is asked for nothing."""
    account = owing()
    before, after = datetime(2026, 10, 8, 3, 30, tzinfo=UTC), datetime(2026, 10, 8, 4, 30, tzinfo=UTC)  # 11:30 pm on the 7th, 12:30 am on the 8th
    assert told(account) == [] and dict(night.run_night(before).did.effects) == {} and night.run_night(before).day == date(2026, 10, 7)
    night.run_night(after)
    assert told(account) == ["notice notice"] and Step.objects.get().at == after, "three days past due begin with the carrier's day"
    worker.send_due(at=datetime(2026, 10, 11, 3, 30, tzinfo=UTC))  # the evening of the 10th in New York and Seattle
    assert night.run_night(datetime(2026, 10, 15, 3, 30, tzinfo=UTC)).did.effects == {}, "the 14th: nine days"
    (known,) = queries.known([account.pk], date(2026, 10, 15), rulebooks.current().ladder).values()
    assert known.climb.notice_on == date(2026, 10, 10), "the day on which it was sent, by the carrier's calendar"
    pay(account, 8000, datetime(2026, 10, 15, 3, 59, tzinfo=UTC))  # one minute before midnight
    assert dict(night.run_night(datetime(2026, 10, 15, 4, 1, tzinfo=UTC)).did.effects)["over, paid"] == 1


def test_missed_nights_delay_and_never_skip(house):
    account = owing()
    seen = {}
    for day in (20, 21, 25, 30, 40, 90, 104):
        before = told(account)
        a_night(day)
        seen[day] = told(account)[len(before) :]
    assert seen == {
        20: ["notice notice"], 21: [], 25: ["final notice"], 30: ["soft suspend", "soft notice"], 40: ["hard suspend", "hard notice"],
        90: ["disconnect final_bill", "disconnect disconnect", "disconnect notice"], 104: ["place place"],
    }  # fmt: skip


def test_a_notice_that_is_not_sent_holds_the_ladder_and_one_that_never_goes_takes_another_way(house):
    account = owing()
    a_night(3, send=False)
    run = a_night(12, send=False)
    assert told(account) == ["notice notice"] and run.waits["for a notice that is not sent yet"] == 1
    Outbox.objects.filter(topic="collections").update(state="failed")
    a_night(13)
    assert told(account) == ["notice notice"]
    assert [m["channel"] for m in SandboxMessenger().sent() if m["topic"] == "collections"] == ["letter"]
    a_night(17)
    assert told(account) == ["notice notice"]  # five days from when it really went
    a_night(18)
    assert told(account)[-1] == "final notice"


# ---------------------------------------------------------------- holds


def test_ana_holds_a_disputed_part_and_lena_lifts_a_bankruptcy(house):
    account = owing()
    for day in (3, 10, 15):
        a_night(day)
    ana, lena = Desk(house["ana"], at(16)), Desk(house["lena"], at(17))
    ana.contact = int(ana.must("contacts.open", account=account.pk).show["id"])
    held = ana.must("collections.hold", account=account.pk, kind="dispute", amount=6000, words="Roaming that was not hers")
    assert held.say.endswith("$60.00 held, disputed, to be looked at on Nov 20")
    night.relieve(at=at(16, 15))
    assert line_of(account).status == "active"
    assert not ana.act("collections.hold", account=account.pk, kind="dispute", amount=100, words="again").ok
    assert ana.act("collections.hold", account=account.pk, kind="arrangement", words="x").refusal.code == "INVALID"
    no = ana.act("collections.hold", account=account.pk, kind="manual", words="Pays on payday")
    assert no.refusal.rule == "hold-end"
    no = ana.act("collections.hold", account=account.pk, kind="manual", until="2026-11-20", words="Pays on payday")
    assert no.refusal.rule == "hold-days" and "7 days" in no.say
    broke = ana.must("collections.hold", account=account.pk, kind="bankruptcy", words="Letter from the court")
    assert ana.act("collections.release", account=account.pk, hold=broke.show["hold"], words="x").refusal.rule == "hold-specialist"
    a_night(40)
    assert told(account)[-1] == "notice notice" and Climb.objects.get().rung == ""  # of the $20 that are not disputed; then nothing more
    ana.must("contacts.end")
    lena.later(days=30)
    lena.contact = int(lena.must("contacts.open", account=account.pk).show["id"])
    for hold in Hold.objects.all():
        lena.must("collections.release", account=account.pk, hold=hold.reference, words="Court dismissed it")
    assert not lena.act("collections.release", account=account.pk, hold=broke.show["hold"], words="x").ok
    a_night(50)
    assert told(account)[-1] == "notice notice" and Climb.objects.get().turn == 2  # afresh, from the first notice


def test_what_an_arrangement_holds_stands_still_and_goes_on_where_it_stood_once_broken(house, monkeypatch):
    account = owing()
    for day in (3, 10, 15, 30):
        a_night(day)
    kept = Hold(amount_minor=8000)
    with monkeypatch.context() as patch:
        patch.setattr(queries.arrangements, "holding", lambda ids, day: {account.pk: kept} if account.pk in ids else {})
        run = a_night(61)
        assert run.stands == {"held": 1} and told(account)[-1] == "hard notice" and line_of(account).bar == "all"
    a_night(62)
    assert told(account)[-1] == "disconnect notice"


def test_a_notice_that_waits_is_taken_back_when_the_money_comes(house):
    account = owing()
    a_night(3, send=False)
    pay(account, 8000, at(3, 16))
    night.relieve(at=at(3, 17))
    worker.send_due(at=at(4))
    assert [m for m in SandboxMessenger().sent() if m["topic"] == "collections"] == []
    assert Outbox.objects.get(topic="collections").body == ""


@pytest.mark.parametrize("relieved", [True, False])
def test_a_notice_that_waits_is_taken_back_when_parts_are_agreed_and_told_after_all_once_they_break(house, relieved):
    account = owing()
    a_night(3)
    a_night(10, send=False)
    ana = Desk(house["ana"], at(10, 16)).take_call(account)
    ana.must("arrangements.agree", account=account.pk, parts=[{"due_on": "2026-10-20", "amount": 4000}, {"due_on": "2026-11-03", "amount": 4000}])
    if relieved:  # within seconds; where the sender is quicker, it finds out by itself
        night.relieve(at=at(10, 17))
        assert Outbox.objects.get(about__endswith=":final").state == "expired"
        assert queries.moved(5) == []
    worker.send_due(at=at(10, 18))
    assert said() == ["sms"] and Outbox.objects.get(about__endswith=":final").body == ""
    assert JournalLine.objects.filter(text__contains="taken back").count() == 1
    a_night(11)
    assert said() == ["sms"], "held: nothing is told another way"
    a_night(16)
    assert said() == ["sms", "sms"] and told(account)[-1] == "final notice", "broken since the 21st: the same notice, told now"
    a_night(20)
    assert told(account)[-1] == "final notice", "five days from the notice that was sent"
    a_night(21)
    assert told(account)[-1] == "soft notice"


def test_who_paid_a_moment_ago_is_sent_no_notice(house):
    account = owing()
    a_night(3, send=False)
    pay(account, 8000, at(3, 17))
    worker.send_due(at=at(3, 18))
    assert said() == [] and Outbox.objects.get(topic="collections").why.startswith("Taken back")


def test_a_write_off_closes_what_is_disputed_last(house):
    account = owing()
    issue_bill(account, account.lines.get(), date(2026, 10, 15), 6000)
    old, new = account.bills.order_by("due_on")
    ana = Desk(house["ana"], at(16)).take_call(account)
    ana.must("collections.hold", account=account.pk, kind="dispute", bill=old.pk, amount=6000, words="Roaming that was not hers")
    ana.must("contacts.end")
    sam = Desk(house["sam"], at(40)).take_call(account)
    sam.must("ledger.write_off", account=account.pk, amount=3000, reason="uncollectable", words="Small")
    assert dict(ledger_queries.paid_by(Entry.objects.get(kind="write_off").pk)) == {old: 2000, new: 1000}
    for day in (45, 51, 57, 67, 90, 110, 130, 150, 170):
        a_night(day)
    left = {b: o for _, b, _, o in ledger_queries.owed_of([account.pk], date(2027, 12, 31))}
    assert left == {old.pk: 6000} and Climb.objects.get().ended_for == "written off", "what is disputed is open still"


# ---------------------------------------------------------------- the sending job asks the contact rules


def said(topic: str = "collections") -> list[str]:
    return [m["channel"] for m in SandboxMessenger().sent() if m["topic"] == topic][::-1]


def test_a_notice_of_the_night_waits_for_the_morning_where_she_may_be_and_says_so(house):
    account = owing()  # Seattle, and a number of Seattle
    night.run_night(at(3, 7))  # three in the morning in New York
    assert worker.send_due(at=at(3, 7)) == 0
    message = Outbox.objects.get(topic="collections")
    assert (message.state, message.not_before, message.tries) == ("queued", at(3, 15), 0) and message.why.startswith("Between 08:00 and 21:00 in America/Los_Angeles")
    assert message.body.endswith(" Reply STOP to end these messages.")
    assert worker.send_due(at=at(3, 14)) == 0 and worker.send_due(at=at(3, 15)) == 1
    assert Step.objects.get(account=account).message == message.pk


def test_stop_by_reply_is_honoured_at_once_confirmed_once_and_the_ladder_takes_another_way(house):
    account = owing()
    a_night(3)
    service, number = Who("Service", "9", "Gateway", "service"), line_of(account).msisdn

    def reply(text: str, day: float):
        return perform("contacts.reply", {"number": number, "text": text}, who=service, key=key(), at=at(0) + timedelta(days=day))

    assert reply("When does the store open?", 4).say == "A reply to a text, neither STOP nor START"
    assert reply("Stop.", 5).say == "STOP by reply: no more texts about collections"
    assert reply("STOP", 5.1).say == "STOP by reply, once more: it stands already"
    assert Consent.objects.filter(account=account, topic="collections", granted=False).count() == 1
    worker.send_due(at=at(5) + timedelta(minutes=1))
    assert said("stop_confirmation") == ["sms"]
    a_night(15)
    a_night(20)
    assert said() == ["sms", "letter", "letter"]
    reply("START", 21)
    assert Consent.objects.filter(account=account).latest("pk").granted is True


def test_a_text_that_was_queued_before_stop_is_called_off_with_a_line_in_the_journal(house):
    account = owing()
    night.run_night(at(3, 7))
    Consent.objects.create(account=account, topic="collections", channel="sms", granted=False, at=at(3, 8), source="reply")
    worker.send_due(at=at(3, 15))
    assert said() == [] and Outbox.objects.get().state == "failed"
    assert JournalLine.objects.filter(code="messages.call_off", chain__name=f"account:{account.pk}").count() == 1
    a_night(4)
    assert said() == ["letter"]


def test_the_bereaved_are_left_in_peace(house):
    account = owing()
    night.run_night(at(3, 7))
    ana = Desk(house["ana"], at(3, 8))
    ana.contact = int(ana.must("contacts.open", account=account.pk).show["id"])
    ana.must("collections.hold", account=account.pk, kind="deceased", words="Her son called")
    worker.send_due(at=at(3, 15))
    a_night(40)
    assert said() == [] and Contact.objects.count() == 1


# ---------------------------------------------------------------- autopay


def test_autopay_is_taken_once_on_the_due_day_and_tried_again_when_it_was_declined(house):
    paid, declined = owing(autopay=True), owing(autopay=True, token="tok-funds")
    run = a_night(0)
    assert dict(run.autopaid) == {"taken": 1, "declined": 1} and ledger_queries.balance(paid.pk) == 0
    a_night(0)
    a_night(2)
    assert Charge.objects.count() == 2 and not Step.objects.exists()
    for day in (3, 4, 6, 7, 9, 20):
        a_night(day)
    assert Charge.objects.filter(account=declined).count() == 3 and Payment.objects.filter(account=paid).count() == 1
    assert told(declined)[0] == "notice notice"
    assert "declined" in next(m["body"] for m in SandboxMessenger().sent() if m["topic"] == "autopay")


def test_autopay_is_switched_at_the_desk_told_in_writing_and_takes_the_next_bill(house):
    account = owing()
    ana = Desk(house["ana"], at(-2)).take_call(account)
    assert ana.act("payments.switch_autopay", account=account.pk, on=False, words="No more").refusal.rule == "autopay-stands"
    assert ana.must("payments.switch_autopay", account=account.pk, on=True, words="Forgets it").say == "Autopay on, with Visa …4242"
    assert "Each bill is charged to Visa …4242 on its due day" in Outbox.objects.latest("pk").body
    assert dict(a_night(0).autopaid) == {"taken": 1}
    assert ana.must("payments.switch_autopay", account=account.pk, on=False, words="No more").say == "Autopay off"
    account.lines.update(can_text=False)
    assert ana.act("payments.switch_autopay", account=account.pk, on=True, words="Again").refusal.rule == "autopay-in-writing"
    account.payment_methods.update(is_active=False)
    assert ana.act("payments.switch_autopay", account=account.pk, on=True, words="Again").refusal.rule == "autopay-method"


def test_autopay_waits_while_a_payment_at_the_desk_is_under_way(house):
    account = owing(autopay=True)
    Charge.objects.create(account=account, key="at-the-desk", amount_minor=8000, at=at(-1))
    a_night(0)
    assert Charge.objects.count() == 1, "it may be the very money"
    Charge.objects.update(state="declined")
    assert dict(a_night(0).autopaid) == {"taken": 1}


def test_a_provider_that_cannot_be_reached_stops_no_night_and_is_asked_again(house, monkeypatch):
    account, other = owing(autopay=True), owing()
    with monkeypatch.context() as patch:
        patch.setattr(SandboxPayments, "charge", lambda self, **given: (_ for _ in ()).throw(ConnectionError()))
        assert dict(a_night(3).autopaid) == {"without an answer": 1} and told(other) == ["notice notice"]
    assert dict(a_night(3).autopaid) == {"taken": 1} and ledger_queries.balance(account.pk) == 0


# ---------------------------------------------------------------- killed, repeated, two at once


def dump() -> dict[str, list]:
    """Everything that a night writes, without the ids and the numbers that the order of writing gives."""
    return {
        "climbs": sorted(Climb.objects.values_list("account__reference", "since", "rung", "turn", "bar", "settled", "ended_for")),
        "steps": sorted(Step.objects.values_list("account__reference", "rung", "effect", "turn")),
        "fees": sorted(LateFee.objects.values_list("account__reference", "amount_minor")),
        "told": sorted(Outbox.objects.values_list("topic", "channel", "to", "body")),
        "lines": sorted(Line.objects.values_list("msisdn", "status", "bar")),
        "orders": sorted(Order.objects.values_list("line__msisdn", "kind", "bar", "state")),
        "charges": sorted(UnbilledCharge.objects.values_list("account__reference", "label", "amount_minor", "reference")),
        "taken": sorted(Charge.objects.values_list("key", "state", "amount_minor")),
        "entries": sorted(Entry.objects.values_list("account__reference", "kind", "amount_minor")),
        "journal": sorted(JournalLine.objects.filter(chain__name__startswith="account:").values_list("chain__name", "code", "outcome")),
    }


def four_accounts() -> None:
    for n in range(3):
        account = owing(amount=8000 + n)
        climb = Climb.objects.create(account=account, since=DUE, began_at=at(3), judged_at=at(3), rung="final", rung_days=10, noticed=True)
        assert climb.pk
    owing(autopay=True)


def test_wherever_a_night_is_killed_the_next_one_comes_to_what_an_undisturbed_one_does(house, monkeypatch):
    """At every commit, as it is about to happen and just after it did: effects, ledger, outbox and journal are the same in the end,
    and every chain proves itself."""
    four_accounts()
    down = owing(amount=9000)
    Climb.objects.create(account=down, since=DUE, began_at=at(3), judged_at=at(3), rung="soft", rung_days=15, bar="outgoing", noticed=True)
    Line.objects.filter(account=down).update(status="suspended", suspended_for="non_payment", bar="outgoing")
    pay(down, 9000, at(15))
    monkeypatch.setattr(night, "SMALLEST", 1)
    monkeypatch.setattr(night, "LARGEST", 1)

    def lived(commits: int | None, told: bool) -> tuple[dict[str, list], bool]:
        start, killed = transaction.savepoint(), False
        if commits is not None:
            try:
                with killed_after(commits, told):
                    night.run_night(at(16))
            except Killed:
                killed = True
        run = night.run_night(at(16))
        found = dump()
        assert night.report(run).holds and not list(journal.verify())
        transaction.savepoint_rollback(start)
        return found, killed

    whole, _ = lived(None, False)
    late = Account.objects.filter(autopay=False).exclude(pk=down.pk).values_list("reference", flat=True)
    assert whole["steps"] == sorted((r, "soft", e, 0) for r in late for e in ("suspend", "notice")) and len(whole["fees"]) == 3
    assert sorted(r[1:] for r in whole["lines"]) == [("active", "")] * 2 + [("suspended", "outgoing")] * 3
    assert len(whole["orders"]) == 4 and [r[1] for r in whole["taken"]] == ["taken"] and {c[5] for c in whole["climbs"]} == {True}
    wherever_it_dies(lived, whole, 10)


def test_two_nights_at_once_do_everything_once(committed_house, racing):
    four_accounts()
    racing(lambda: night.run_night(at(16)), lambda: night.run_night(at(16)))
    found = dump()
    assert len(found["steps"]) == 6 and len(found["fees"]) == 3 and Payment.objects.count() == 1
    assert len([t for t in found["told"] if t[0] == "collections"]) == 3 and len(found["orders"]) == 3


CHILD = """
import sys
from datetime import datetime
import django
django.setup()
from careline.doors.jobs import night
night.SMALLEST = night.LARGEST = 1
climb = night.operations.climb_many
def told(**given):
    done = climb(**given)
    print(len(done.accounts), flush=True)
    return done
night.operations.climb_many = told
night.run_night(datetime.fromisoformat(sys.argv[1]))
"""


def test_a_night_that_is_really_killed_goes_on_to_what_an_undisturbed_one_does(committed_house, process_environment):
    """SIGKILL, twice, in the middle of its parts; the next night in another process finishes it."""
    four_accounts()
    for n in range(8):
        owing(amount=9000 + n)
    with transaction.atomic():
        night.run_night(at(16))
        whole = dump()
        transaction.set_rollback(True)
    connection.close()
    for after in (2, 5):
        child = subprocess.Popen([sys.executable, "-c", CHILD, at(16).isoformat()], env=process_environment, cwd=settings.ROOT, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for _ in range(after):
            assert child.stdout.readline()
        os.kill(child.pid, signal.SIGKILL)
        child.wait(10)
        child.stdout.close()
        assert 0 < Step.objects.count() < len(whole["steps"]) and not list(journal.verify())
        connection.close()
    run = night.run_night(at(16))
    assert dump() == whole and night.report(run).holds and not list(journal.verify())


def test_a_payment_an_arrangement_and_a_rung_at_once_come_out_as_one_after_the_other(committed_house, racing):
    """Whoever comes first: she is never cut off for what is paid or arranged, and what is left of it is in one state."""
    for round_ in range(4):
        account = owing(amount=8000)
        Climb.objects.create(account=account, since=DUE, began_at=at(3), judged_at=at(3), rung="final", rung_days=10, noticed=True)
        ana = Desk(committed_house["ana" if round_ % 2 else "ben"], at(16)).take_call(account)
        parts = [{"due_on": "2026-10-21", "amount": 4000}, {"due_on": "2026-11-04", "amount": 4000}]
        deeds = [
            partial(night.run_night, at(16)),
            partial(ana.act, "arrangements.agree", account=account.pk, parts=parts),
            partial(pay_in_turn, account, 8000 if round_ < 2 else 5600),
        ]
        racing(*deeds[round_ % 3 :], *deeds[: round_ % 3])
        night.relieve(at=at(16, 15))
        night.relieve(at=at(16, 16))
        found = queries.known([account.pk], at(16).date(), rulebooks.current().ladder)[account.pk]
        assert sum(d.open for d in found.facts.debts) == (0 if round_ < 2 else 2400)
        assert (line_of(account).status, line_of(account).bar) == ("active", ""), "paid, or below what anybody is cut off for"
        assert Climb.objects.filter(account=account, ended_at=None, bar="").count() == (0 if round_ < 2 else 1)
        assert Step.objects.filter(account=account).count() == Step.objects.filter(account=account).values("climb", "turn", "rung", "effect").distinct().count()
        ana.act("contacts.end")
        ana.act("contacts.wrap_up", summary="Arranged", disposition="resolved", root_cause="past_due")
    assert not list(journal.verify())


def pay_in_turn(account: Account, amount: int) -> None:
    with transaction.atomic():
        customers.lock_accounts([account.pk])
        pay(account, amount, at(16, 14) + timedelta(minutes=1))


def test_the_agency_gets_each_account_once_and_hears_when_it_has_paid(house, tmp_path):
    account = owing()
    Climb.objects.create(account=account, since=DUE, began_at=at(3), judged_at=at(3), rung="disconnect", rung_days=60, bar="gone")
    a_night(101)
    assert night._agency(tmp_path, None) == 0
    first = (tmp_path / "PF-000001-2.csv") if (tmp_path / "PF-000001-2.csv").exists() else next(iter(tmp_path.iterdir()))
    assert f"place,{account.reference},Maria Okafor,8000,USD,2026-10-05" in first.read_text()
    assert night._agency(tmp_path, None) == 0 and len(list(tmp_path.iterdir())) == 1
    pay(account, 8000, at(102))
    a_night(103)
    assert night._agency(tmp_path, None) == 0
    assert any("recall" in f.read_text() for f in tmp_path.iterdir() if f != first)
    before = first.read_bytes()
    assert night._agency(tmp_path, first.stem) == 0 and first.read_bytes() == before
    assert night._agency(tmp_path, "PF-999999") == 1


def test_a_file_for_the_agency_that_was_numbered_and_never_written_is_named_and_runs_no_formula(house, tmp_path, monkeypatch, capsys):
    account = owing()
    Customer.objects.filter(pk=account.customer_id).update(name='=HYPERLINK("http://x")')
    Climb.objects.create(account=account, since=DUE, began_at=at(3), judged_at=at(3), rung="disconnect", rung_days=60, bar="gone")
    a_night(101)
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(night.queries, "filed", Mock(side_effect=KeyboardInterrupt))
        night._agency(tmp_path, None)
    assert not list(tmp_path.iterdir()) and night._agency(tmp_path, None) == 0
    number = re.search(r"--again (PF-\S+) writes it once more", capsys.readouterr().out)[1]
    assert night._agency(tmp_path, number) == 0
    (file,) = tmp_path.iterdir()
    assert [row["name"] for row in csv.DictReader(file.open())] == ["'=HYPERLINK(\"http://x\")"]


@pytest.mark.once
def test_the_desk_is_told_what_the_night_lacks(house, monkeypatch):
    from careline.doors.jobs.stop import Stop

    files = {k: v for k, v in rulebooks.current().files.items() if k != "ladder.toml"}
    monkeypatch.setattr(rulebooks, "current", lambda: Rulebook(files))
    with pytest.raises(Stop, match=r"ladder\.toml"):
        night.begin(at(3))
    assert night.relieve(at=at(3)) is False
