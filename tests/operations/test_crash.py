"""A crash at any statement leaves everything or nothing: never a credit without its line, never two."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from django.apps import apps
from django.db import connection

from careline.domain.credits.models import Grant
from careline.domain.journal import queries as journal
from careline.domain.journal.models import Line, RequestKey
from careline.domain.ledger import queries as ledger
from careline.domain.ledger.models import Entry, PaymentMethod
from careline.domain.staff.models import Spending
from tests.people import Desk, open_account


class Crash(Exception):
    """The process is gone at this statement."""


class CrashAt:
    """Lets `n` statements through and ends the deed at the next one; what the clean-up then says goes through."""

    def __init__(self, n: int) -> None:
        self.left, self.crashed = n, False

    def __call__(self, execute, sql, params, many, context):
        if not self.crashed:
            if self.left == 0:
                self.crashed = True
                raise Crash(sql[:60])
            self.left -= 1
        return execute(sql, params, many, context)


def rows() -> dict[str, list]:
    return {
        m._meta.label: list(m.objects.order_by("pk").values())
        for m in apps.get_models()
        if m.__module__.startswith("careline.")
    }


DEEDS = {
    "credits.grant": lambda maria: {"amount": 700, "reason": "goodwill", "words": "Sorry"},
    "contacts.note": lambda maria: {"text": "She will call back"},
    "payments.send_link": lambda maria: {"amount": 700, "line": maria.lines.get().pk},
    "contacts.send_code": lambda maria: {"line": maria.lines.get().pk},
}


def crash_everywhere(desk: Desk, code: str, given: dict, whole) -> int:
    """Do one deed, crashing at its first, second, third... statement until it comes through. Returns how many there are."""
    before = rows()
    for n in range(500):
        crash = CrashAt(n)
        try:
            with connection.execute_wrapper(crash):
                outcome = desk.act(code, key_="the-one-key", **given)
        except Crash:
            assert crash.crashed
            assert rows() == before, f"a crash at statement {n} left something behind"
            continue
        assert not crash.crashed, f"a crash at statement {n} was swallowed: {outcome}"
        assert outcome.ok, outcome
        whole()
        return n
    raise AssertionError("it never came through")


@pytest.mark.parametrize("code", DEEDS)
def test_a_crash_at_any_statement_leaves_nothing_and_the_same_click_then_does_it_once(committed_house, code):
    maria = open_account()
    ana = Desk(committed_house["ana"]).take_call(maria)

    def whole():
        assert Line.objects.filter(code=code, outcome="done").count() == 1
        assert RequestKey.objects.filter(key="the-one-key").count() == 1
        assert not list(journal.verify())

    statements = crash_everywhere(ana, code, {"account": maria.pk, **DEEDS[code](maria)}, whole)
    assert statements >= 10, "the crash was not tried at every statement"


def test_a_crash_between_the_charge_and_its_payment_never_takes_money_twice(committed_house):
    """A payment is two transactions with the provider between. After a crash in the second the key is pending, the
    money was taken once, and settling by the key posts it once."""
    maria = open_account()
    ana = Desk(committed_house["ana"]).take_call(maria)
    method = PaymentMethod.objects.get(account=maria)
    before, given = rows(), {"account": maria.pk, "amount": 500, "method": method.pk}
    seen = set()
    for n in range(500):
        crash = CrashAt(n)
        key = f"payment-{n:04d}"
        try:
            with connection.execute_wrapper(crash):
                outcome = ana.act("payments.take", key_=key, **given)
        except Crash:
            spent = RequestKey.objects.filter(key=key).first()
            payments = Entry.objects.filter(kind="payment", amount_minor=-500).count()
            assert payments == 0 and not list(journal.verify())
            if spent is None:
                assert rows() == before
                seen.add("nothing")
            else:
                assert spent.state == "pending" and ana.act("payments.take", key_=key, **given).status == "pending"
                seen.add("pending")
                before = rows()
            continue
        assert outcome.ok and seen == {"nothing", "pending"}
        assert Entry.objects.filter(kind="payment", amount_minor=-500).count() == 1
        return
    raise AssertionError("it never came through")


CHILD = """
import sys, django
django.setup()
from careline.acts.declare import BasisRef
from careline.acts.perform import perform
from careline.domain.rulebook import queries
from careline.foundation.act import Who
account, contact, staff = map(int, sys.argv[1:4])
who = Who("Staff", str(staff), "Sam Osei", "supervisor")
for n in range(100000):
    done = perform("credits.grant", {"account": account, "amount": 1, "reason": "goodwill", "words": "again"},
                   who=who, key=f"grant-{n:06d}", basis=BasisRef("contact", contact))
    print(done.status, flush=True)
"""


def test_a_process_that_is_killed_in_the_middle_of_its_grants_leaves_a_whole_house(committed_house, process_environment):
    from django.utils import timezone

    maria = open_account(today=timezone.now().date())
    sam = Desk(committed_house["sam"], timezone.now()).take_call(maria)
    before = ledger.balance(maria.pk)
    from django.conf import settings

    done = 0
    for kill_after in (5, 11):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(maria.pk), str(sam.contact), str(sam.staff.pk)],
            env=process_environment, cwd=settings.ROOT, stdout=subprocess.PIPE, text=True,
        )
        told = [child.stdout.readline().strip() for _ in range(kill_after)]
        time.sleep(0.003 * kill_after)
        os.kill(child.pid, signal.SIGKILL)
        told += [line.strip() for line in child.stdout.read().splitlines()]
        child.wait(10)
        assert set(told) <= {"done", ""}, told
        done = max(done, told.count("done"))
        connection.close()
        grants = Grant.objects.count()
        assert not list(journal.verify()), "the journal is not whole"
        assert grants >= done and grants - done <= 1, "a grant that was told is gone, or one too many is there"
        assert Line.objects.filter(code="credits.grant", outcome="done").count() == grants
        assert RequestKey.objects.filter(code="credits.grant").count() == grants
        assert ledger.balance(maria.pk) == before - grants
        assert sum(Spending.objects.values_list("amount_minor", flat=True)) == grants
        assert [g.entry.amount_minor for g in Grant.objects.select_related("entry")] == [-1] * grants
