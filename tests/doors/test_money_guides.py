"""The guides about money on the contact page: what they read in the ledger, the acts they lead to, and their kind words."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from careline.domain.credits.models import Grant
from careline.domain.diagnosis import queries
from careline.domain.diagnosis.models import Answer, Walk
from careline.domain.ledger import operations as ledger
from careline.domain.ledger.models import Bill, BillLine
from tests import people
from tests.doors.test_access import Browser, Clock, sit_down
from tests.doors.test_cause import form_of
from tests.doors.test_pages import text_of
from tests.people import TUESDAY, Desk, key

TODAY = date(2026, 11, 24)


@pytest.fixture
def maria(house, monkeypatch):
    Clock(monkeypatch)
    return people.open_account("Maria Solberg", "+12065550109", "A-0105021", bills=0)


def billed(account, back: int, *charges: BillLine) -> Bill:
    issued = TODAY - timedelta(days=back)
    line = account.lines.get()
    plan = BillLine(kind="plan", label="Plus 15 GB", line=line, unit_price_minor=4500, amount_minor=4500)
    lines = [plan, *charges]
    bill = Bill(number=f"B-9{back:06d}", account=account, period_start=issued, period_end=issued + timedelta(days=29), issued_on=issued,
                due_on=issued + timedelta(days=20), total_minor=sum(n.amount_minor for n in lines))  # fmt: skip
    ledger.post_bills_many([bill], [(bill, n) for n in lines], TUESDAY)
    return bill


def one(kind: str, label: str, amount: int) -> BillLine:
    return BillLine(kind=kind, label=label, unit_price_minor=amount, amount_minor=amount)


@pytest.fixture
def jump(maria):
    """Last month with an offer, this month without it, with a pass and a late fee."""
    billed(maria, 33, one("discount", "Welcome offer, until 2026-11-15", -1000))
    return billed(maria, 2, one("one_off", "Roaming pass", 1999), one("fee", "Late payment fee", 500))


def walking(house, account, guide: str) -> tuple[Browser, Walk]:
    browser = sit_down(house["ana"], account)
    answer = browser.do(browser.contact, "diagnosis.start", account=account.pk, guide=guide)
    assert answer.status_code == 303, text_of(answer)
    return browser, Walk.objects.latest("pk")


def step(browser, walk) -> str:
    return browser.get(f"{browser.here}?section=cause&walk={walk.pk}").content.decode()


def say(browser, walk, **typed: str) -> None:
    action, hidden, _ = form_of(step(browser, walk))
    answer = browser.http.post(action, {**hidden, **{k.replace("__", ":"): v for k, v in typed.items()}})
    assert answer.status_code == 303, text_of(answer)


def now(walk) -> queries.Standing:
    return queries.standing(Walk.objects.get(pk=walk.pk))


def test_a_jump_with_three_causes_is_read_explained_and_put_right(house, maria, jump):
    """Maria's bill is $34.99 higher. Nothing is asked that the bill says: only whether she ordered the pass, and was promised
    the offer. The pass that nobody ordered and the first late fee in a year are credited by the act itself, prefilled."""
    ana, walk = walking(house, maria, "bill_higher")
    read = {a.what["check"]: a.what["outcome"] for a in Answer.objects.filter(walk=walk)}
    wanted = {"bill.compared": "higher", "bill.discount": "ended", "bill.late_fee": "first", "bill.one_off": "unordered", "bill.plan": "no", "bill.twice": "no"}
    assert wanted.items() <= read.items()
    asked, credited = [], []
    for _ in range(12):
        shown = now(walk).walk.shown
        print(shown)
        if shown.step.kind == "done":
            break
        page = step(ana, walk)
        if shown.step.kind == "remedy" and shown.act:
            assert shown.act == "credits.grant"
            form = ana.get(f"{ana.here}?section=cause&walk={walk.pk}&act=credits.grant&" + "&".join(f"{k}={v / 100 if k == 'amount' else v}" for k, v in shown.inputs))
            action, typed, _ = form_of(form.content.decode(), "form-credits-grant")
            put = {"account": maria.pk, "reason": dict(shown.inputs)["reason"], "bill_line": dict(shown.inputs)["bill_line"], "amount": f"{dict(shown.inputs)['amount'] / 100:.2f}", "words": "", "walk": walk.pk, "remedy": shown.step.id}
            answer = ana.http.post(action, {**typed, **put})
            assert answer.status_code == 303, text_of(answer)
            credited.append(dict(shown.inputs)["amount"])
        elif shown.step.kind == "remedy":
            asked.append(shown.say)
            say(ana, walk, outcome="done")
        else:
            (name,) = shown.step.checks
            assert "{" not in shown.say and "{" not in page.split("</head>")[1].split("<script")[0]
            asked.append(shown.questions[0].say)
            say(ana, walk, **{f"said:{name}": {"order_known": "nobody", "discount_promised": "no", "test": "clear"}[name]})
    assert now(walk).walk.shown.step.kind == "done"
    assert sorted(credited) == [500, 1999]
    assert sorted(Grant.objects.values_list("reason", "amount_minor")) == [("billing_error", 1999), ("fee_waiver", 500)]
    assert any("Roaming pass" in text and "Do you know what that is" in text for text in asked)
    assert any("Welcome offer" in text for text in asked)
    page = text_of(ana.get(f"{ana.here}?section=cause&walk={walk.pk}"))
    assert "It is settled" in page and "You told them" in page and "They see it now" in page and "how it is used" not in page


def test_what_a_step_needs_is_filled_into_the_form_of_its_act(house, maria, jump):
    ana, walk = walking(house, maria, "bill_higher")
    for _ in range(8):
        shown = now(walk).walk.shown
        if shown.act:
            break
        say(ana, walk, **({"outcome": "done"} if shown.step.kind == "remedy" else {f"said:{shown.step.checks[0]}": {"order_known": "nobody", "discount_promised": "no"}[shown.step.checks[0]]}))
    page = step(ana, walk)
    line = jump.lines.get(pk=dict(shown.inputs)["bill_line"])
    assert f"bill_line={line.pk}" in page and f"amount={line.amount_minor / 100:.2f}" in page.replace("%2E", ".")


def test_a_first_bill_and_a_bill_that_is_not_higher_say_so(house, maria):
    billed(maria, 33)
    _, walk = walking(house, maria, "bill_higher")
    shown = now(walk).walk.shown
    assert shown.step.id == "explain_first_bill" and "first bill, $45.00" in shown.say


def test_a_payment_that_came_twice_goes_back_or_stays(house, maria):
    bill = billed(maria, 20)
    first, second = (people.pay(maria, 4500, TUESDAY - timedelta(days=d)) for d in (5, 3))
    _, walk = walking(house, maria, "double_charged")
    shown = now(walk).walk.shown
    assert shown.step.checks == ("back_or_kept",) and "$45.00 of Nov 19" in shown.questions[0].say and "Nov 21" in shown.questions[0].say
    found = Answer.objects.get(walk=walk, what__check="payments.twice").note
    assert found["payment"] == second.number != first.number and found["amount"] == bill.total_minor


def test_a_promise_that_was_kept_in_the_step_leads_back_to_the_search(house, maria):
    """She was promised the offer: Ana puts it back from the step, and the search goes on from there, not from the money page."""
    billed(maria, 33, one("discount", "Welcome offer, until 2026-11-15", -1000))
    billed(maria, 2)
    ana, walk = walking(house, maria, "bill_higher")
    for _ in range(8):
        shown = now(walk).walk.shown
        if shown.act:
            break
        say(ana, walk, **({"outcome": "done"} if shown.step.kind == "remedy" else {f"said:{shown.step.checks[0]}": {"discount_promised": "promised"}.get(shown.step.checks[0], "no")}))
    assert shown.act == "billing.add_promotion"
    typed = {"account": maria.pk, "walk": walk.pk, "remedy": shown.step.id, "promotion": "welcome", "line": "", "words": "Promised in the shop"}
    done = ana.do(ana.contact, "billing.add_promotion", **typed)
    assert done.status_code == 303 and done["Location"].endswith(f"?section=cause&walk={walk.pk}"), text_of(done)
    assert now(walk).walk.shown.step.id != shown.step.id


def test_the_account_has_one_walk_beside_those_of_its_lines(house, maria):
    billed(maria, 33)
    ana = Desk(house["ana"]).take_call(maria)
    ana.must("diagnosis.start", account=maria.pk, line=maria.lines.get().pk, guide="no_service")
    started = ana.must("diagnosis.start", account=maria.pk, line=maria.lines.get().pk, guide="cannot_pay")
    assert Walk.objects.get(pk=started.show["walk"]).line_id is None  # a bill has no line, whatever was chosen
    again = ana.act("diagnosis.start", account=maria.pk, guide="bill_higher")
    assert again.refusal.rule == "one-walk-a-line" and "bills and payments" in again.say
    lineless = ana.act("diagnosis.start", account=maria.pk, guide="hotspot")
    assert lineless.refusal.fields == {"line": "Choose one."}


def test_whoever_has_less_money_gets_parts_that_can_be_kept_agreed_in_the_step(house, maria):
    billed(maria, 45)
    ana, walk = walking(house, maria, "cannot_pay")
    while (shown := now(walk).walk.shown).step.kind == "ask":
        (name,) = shown.step.checks
        say(ana, walk, **{f"said:{name}": "less" if name == "why_hard" else "cannot_tell"})
    assert shown.act == "arrangements.agree"
    page = ana.get(f"{ana.here}?section=cause&walk={walk.pk}&act=arrangements.agree&now=22.50&each=22.50&payday=2026-11-27").content.decode()
    assert "It may be arranged" in page and "$22.50 today, $22.50 Fri Nov 27" in page
    typed = {"account": maria.pk, "walk": walk.pk, "remedy": shown.step.id, "plan": "2026-11-24:2250,2026-11-27:2250"}
    assert ana.do(ana.contact, "arrangements.agree", **typed).status_code == 303
    assert maria.arrangements.get().state == "alive"
    assert now(walk).walk.shown.step.id != shown.step.id, "the walk goes on from what was agreed"


def test_who_has_died_ends_the_search_with_kind_words(house, maria):
    billed(maria, 45)
    ana, walk = walking(house, maria, "cannot_pay")
    while (shown := now(walk).walk.shown).step.kind == "ask":
        (name,) = shown.step.checks
        say(ana, walk, **{f"said:{name}": "died" if name == "why_hard" else "cannot_tell"})
    assert shown.step.kind == "handover" and shown.step.team == "Survivor care"
    done = ana.do(ana.contact, "diagnosis.close", account=maria.pk, walk=walk.pk, request_key=key())
    assert done.status_code == 303 and Walk.objects.get(pk=walk.pk).state == "handover"
