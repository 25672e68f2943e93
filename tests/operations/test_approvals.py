"""Asking somebody who may: who is asked, who may answer, what an answer does, and when it comes too late.

Ana's limits: $25 for one credit, $50 an account a year. Eva's (expert) $75 and $150, Lena's (lead) $150 and $500, Sam's
(supervisor) $250 and $1,500. Leads and supervisors decide.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from careline.acts.declare import BasisRef, Outcome, Scene
from careline.acts.look import look
from careline.acts.perform import bare_facts, perform, scene_for_page
from careline.domain.approvals import operations, queries
from careline.domain.approvals.models import Request
from careline.domain.contacts import queries as contact_queries
from careline.domain.contacts.models import Contact
from careline.domain.credits.models import Grant
from careline.domain.customers.models import AccountPerson, Person
from careline.domain.journal import queries as journal
from careline.domain.journal.models import Counter, Line
from careline.domain.ledger import queries as ledger
from careline.domain.ledger.models import BillLine
from careline.domain.rulebook import queries as rulebooks
from careline.domain.staff.models import Spending
from careline.doors.jobs.worker import expire_requests
from careline.foundation.act import Basis
from tests.people import CARRIER, TUESDAY, Desk, hire, issue_bill, key, open_account


def ask(desk: Desk, account, amount: int = 4000, reason: str = "retention", **more) -> Outcome:
    return desk.act("approvals.ask", account=account.pk, code="credits.grant", words="Two outages this month",
                    input={"account": str(account.pk), "amount": amount, "reason": reason, **more})  # fmt: skip


def asked(desk: Desk, account, amount: int = 4000, reason: str = "retention", **more) -> Request:
    done = ask(desk, account, amount, reason, **more)
    assert done.ok, done
    return Request.objects.get(pk=int(done.show["request"]))


def decide(staff, request: Request, decision: str = "approve", at=TUESDAY, **more) -> Outcome:
    return Desk(staff, at).act("approvals.decide", basis=BasisRef("request", request.pk), request=request.pk, decision=decision, **more)


def whole() -> bool:
    return not list(journal.verify())


# ---------------------------------------------------------------- who asks, and whom


@pytest.mark.parametrize(
    ("who", "amount", "roles"),
    [
        ("ana", 2500, None),  # she may do it herself
        ("ana", 2501, ["lead", "supervisor"]),  # an expert may give it too, and may not decide for others
        ("ana", 10_000, ["lead", "supervisor"]),
        ("tom", 100, ["lead", "supervisor"]),
        ("eva", 7501, ["lead", "supervisor"]),
        ("lena", 10_000, None),
        ("ana", 10_001, "credit-reason"),  # retention goes up to $100 for everybody
    ],
)
def test_who_could_is_asked_and_nobody_is_asked_for_what_nobody_may(house, maria, who, amount, roles):
    desk = Desk(house[who]).take_call(maria)
    done = ask(desk, maria, amount)
    if isinstance(roles, list):
        request = Request.objects.get()
        assert done.ok and request.role_list == roles
        assert (request.state, request.level, request.amount_minor, request.asker_id) == ("waiting", 3, amount, house[who].pk)
    else:
        assert done.refusal.code == "CONFLICT" and done.refusal.rule == (roles or "") and not Request.objects.exists()


def test_above_a_leads_own_limit_only_the_supervisor_is_asked(house, maria, ana):
    bill = issue_bill(maria, maria.lines.get(), issued=TUESDAY.date() - timedelta(days=10), amount=20_000)
    request = asked(ana, maria, 16_000, "billing_error", bill_line=str(bill.lines.get().pk))
    assert request.role_list == ["supervisor"]
    no = decide(house["lena"], request)
    assert (no.refusal.rule, no.refusal.who_could) == ("not-asked-of-you", ("supervisor",))
    less = decide(house["lena"], request, "less", amount=15_000)
    assert less.refusal.rule == "not-asked-of-you" and not Grant.objects.exists()
    assert decide(house["sam"], request).ok
    assert Grant.objects.get().granted_by == house["sam"]


@pytest.mark.parametrize("role", ["tom", "ben", "eva", "ada"])
def test_who_does_not_decide_is_refused_by_their_role(house, maria, ana, role):
    no = decide(house[role], asked(ana, maria))
    assert no.refusal.rule == "not-your-role" and no.refusal.who_could == ("lead", "supervisor")
    assert Request.objects.get().state == "waiting" and not Grant.objects.exists()


def test_nobody_decides_their_own_request_also_not_a_lead(house, maria):
    """Lena's day is used up. A higher role is asked: neither she herself nor the other lead, who is no higher."""
    lena, liz = Desk(house["lena"]).take_call(maria), hire("liz", "Liz Moore", "lead")
    Spending.objects.create(staff=house["lena"], kind="credit", day=TUESDAY.date(), amount_minor=149_500, count=9)
    request = asked(lena, maria, 2000)
    assert (request.rule, request.role_list) == ("credit-day", ["supervisor"])
    Request.objects.update(roles="lead,supervisor")  # even if leads were asked
    assert decide(house["lena"], request).refusal.rule == "own-request"
    assert queries.waiting_for("lead", house["lena"].pk, TUESDAY) == []
    assert queries.count_waiting("lead", house["lena"].pk, TUESDAY) == 0
    assert [r.pk for r in queries.waiting_for("lead", liz.pk, TUESDAY)] == [request.pk]
    assert decide(liz, request).ok and Grant.objects.get().granted_by == liz


def test_whoever_has_nobody_above_asks_those_who_decide_and_never_decides_it_alone(house, maria):
    sam = Desk(house["sam"]).take_call(maria)
    Spending.objects.create(staff=house["sam"], kind="credit", day=TUESDAY.date(), amount_minor=300_000, count=9)
    request = asked(sam, maria, 2000)
    assert decide(house["sam"], request).refusal.rule == "own-request"
    assert decide(house["lena"], request).ok and Grant.objects.get().granted_by == house["lena"]


def test_one_request_waits_at_a_time_for_a_contact_and_an_act(house, maria, ana):
    first = asked(ana, maria)
    again = ask(ana, maria, 5000)
    assert again.refusal.code == "CONFLICT" and "Withdraw" in again.refusal.say
    ana.must("approvals.withdraw", request=first.pk)
    assert asked(ana, maria, 5000).pk != first.pk
    assert list(Request.objects.order_by("pk").values_list("state", flat=True)) == ["withdrawn", "waiting"]


def test_a_request_is_for_the_account_of_the_contact_and_for_an_act_that_is_known(house, maria, ana):
    joe = open_account("Joe Lind", "+12065550199", "A-0104823")
    other = ana.act("approvals.ask", account=maria.pk, code="credits.grant",
                    input={"account": str(joe.pk), "amount": 4000, "reason": "retention"})
    assert other.refusal.code == "BASIS_MISMATCH"
    for code, given in [("credits.give", {}), ("credits.grant", {"account": str(maria.pk)}), ("credits.grant", {"amount": -1})]:
        assert ana.act("approvals.ask", account=maria.pk, code=code, input=given).refusal.code == "INVALID"
    assert not Request.objects.exists()


def test_nothing_is_asked_before_the_caller_is_verified_or_after_they_are_gone(house, maria):
    ana = Desk(house["ana"]).take_call(maria, verify=False)
    assert ask(ana, maria).refusal.rule == "needs-verified"
    ana.must("contacts.check_pin", account=maria.pk, pin="4711")
    ana.must("contacts.end")
    assert ask(ana, maria).refusal.rule == "needs-live"


# ---------------------------------------------------------------- what an answer does


def test_approved_is_the_approvers_deed_asked_by_the_associate_and_the_journal_names_both(house, maria, ana):
    before = ledger.balance(maria.pk)
    request = asked(ana, maria)
    done = decide(house["lena"], request, answer="Fair, two outages")
    assert done.ok and ledger.balance(maria.pk) == before - 4000
    grant, request = Grant.objects.get(), Request.objects.get()
    assert (grant.asked_by, grant.granted_by, grant.contact_id) == (house["ana"], house["lena"], ana.contact)
    assert (request.state, request.granted_minor, request.decided_by) == ("approved", 4000, house["lena"])
    deed = Line.objects.get(code="credits.grant", outcome="done").content
    assert (deed["who"]["name"], deed["basis"]) == ("Lena Park", {"kind": "request", "id": request.pk, "level": 3})
    decision = Line.objects.get(code="approvals.decide").content
    assert decision["data"]["asked_by"] == house["ana"].who.key and decision["data"]["granted"] == 4000
    assert Line.objects.filter(text__contains="two outages").count() == 0, "free words stand in a sentence"
    assert [r.pk for r in queries.answers_unseen(house["ana"].pk)] == [request.pk] and whole()


def test_the_credit_uses_the_approvers_day_and_not_the_askers(house, maria, ana):
    decide(house["lena"], asked(ana, maria))
    assert list(Spending.objects.values_list("staff__username", "amount_minor", "count")) == [("lena", 4000, 1)]


def test_granted_less_is_less(house, maria, ana):
    assert decide(house["lena"], asked(ana, maria), "less", amount=3000).ok
    request = Request.objects.get()
    assert (Grant.objects.get().amount_minor, request.state, request.granted_minor) == (3000, "less", 3000)
    assert request.amount_minor == 4000, "what was asked stays on record"


@pytest.mark.parametrize("amount", [None, 4000, 4001, 99_999])
def test_less_is_below_what_was_asked_and_more_is_never_given(house, maria, ana, amount):
    request = asked(ana, maria)
    no = decide(house["lena"], request, "less", **({"amount": amount} if amount else {}))
    assert no.refusal.code == "INVALID" and "amount" in no.refusal.fields
    assert Request.objects.get().state == "waiting" and not Grant.objects.exists()


def test_an_amount_beside_an_approval_does_not_count(house, maria, ana):
    assert decide(house["lena"], asked(ana, maria), "approve", amount=15_000).ok
    assert Grant.objects.get().amount_minor == 4000


def test_declined_needs_a_word_and_moves_nothing(house, maria, ana):
    request = asked(ana, maria)
    assert "answer" in decide(house["lena"], request, "decline").refusal.fields
    assert decide(house["lena"], request, "decline", answer="Offer the plan change first").ok
    request.refresh_from_db()
    assert (request.state, request.answer) == ("declined", "Offer the plan change first")
    assert not Grant.objects.exists() and not Spending.objects.filter(amount_minor__gt=0).exists() and whole()
    assert asked(ana, maria, 3000), "she may ask anew"


def test_the_approvers_own_limit_counts_when_they_decide(house, maria, ana):
    """Lena has $30 left today. She approves no $40, but gives $30; the request waits until then."""
    request = asked(ana, maria)
    Spending.objects.create(staff=house["lena"], kind="credit", day=TUESDAY.date(), amount_minor=147_000, count=7)
    no = decide(house["lena"], request)
    assert (no.refusal.rule, no.refusal.say) == ("credit-day", "You have $30.00 left to give today.")
    assert Request.objects.get().state == "waiting" and not Grant.objects.exists()
    assert decide(house["lena"], request, "less", amount=3000).ok


def test_what_changed_since_the_request_counts_when_it_is_decided(house, maria, ana):
    """$40 was asked on a charge of $45. Before the lead answers, Ana credits $10 of it herself."""
    charge = BillLine.objects.filter(bill__account=maria, kind="plan").last()
    request = asked(ana, maria, 4000, "billing_error", bill_line=str(charge.pk))
    ana.must("credits.grant", account=maria.pk, amount=1000, reason="billing_error", bill_line=charge.pk)
    no = decide(house["lena"], request)
    assert no.refusal.rule == "credit-line"
    assert decide(house["lena"], request, "less", amount=3500).ok
    assert sum(Grant.objects.values_list("amount_minor", flat=True)) == 4500


def test_the_level_is_frozen_at_the_request(house, maria, ana):
    """The line drops while Lena reads: nobody is verified now, and what a verified caller asked for is still decided."""
    request = asked(ana, maria)
    ana.must("contacts.drop")
    assert Contact.objects.get().state == "dropped"
    assert decide(house["lena"], request).ok
    assert Line.objects.get(code="credits.grant", outcome="done").content["basis"]["level"] == 3


def test_the_callers_rights_are_frozen_with_it(house, maria, ana):
    request = asked(ana, maria)
    assert request.fact_data["caller"] == {"caller": "holder", "mayMoney": True, "mayService": True}
    AccountPerson.objects.update(may_money=False)
    assert decide(house["lena"], request).ok


def test_a_caller_without_a_right_to_money_gets_nothing_by_asking_a_lead(house, maria):
    son = Person.objects.create(customer=maria.customer, name="Luis Okafor")
    AccountPerson.objects.create(account=maria, person=son, right="authorized", may_money=False)
    ana = Desk(house["ana"])
    ana.contact = int(ana.must("contacts.open", account=maria.pk, person=son.pk).show["id"])
    ana.must("contacts.check_pin", account=maria.pk, pin="4711")
    assert ask(ana, maria).refusal.rule == "no-money-right"


# ---------------------------------------------------------------- too late, twice, withdrawn


@pytest.mark.parametrize(("minutes", "answer"), [(14.99, "done"), (15, "refused"), (60, "refused")])
def test_a_request_expires_by_its_timer_whether_or_not_a_job_wrote_it_down(house, maria, ana, minutes, answer):
    request = asked(ana, maria)
    at = TUESDAY + timedelta(minutes=minutes)
    assert decide(house["lena"], request, at=at).status == answer
    assert len(queries.waiting_for("lead", house["lena"].pk, at)) == 0
    operations.expire_due(at=at)
    request.refresh_from_db()
    assert request.state == ("approved" if answer == "done" else "expired")
    assert Grant.objects.exists() == (answer == "done")


def expiries() -> list[tuple[str, str, str, str]]:
    rows = Line.objects.filter(code="approvals.expire").select_related("chain").order_by("pk")
    return [(row.chain.name, row.who, row.content["data"]["request"], row.content["say"]) for row in rows]


def test_what_time_decided_has_a_line_on_the_accounts_chain_once(house, maria, ana):
    request = asked(ana, maria)
    at = TUESDAY + timedelta(minutes=16)
    expire_requests(at=at)
    expire_requests(at=at)
    say = "Nobody answered in time: grant a credit: $40.00"
    assert expiries() == [(f"account:{maria.pk}", "Job:worker", str(request.pk), say)]
    assert whole()


def test_a_request_that_ends_with_its_contact_has_a_line_too(house, maria, ana):
    request = asked(ana, maria)
    ana.must("contacts.end")
    assert [line[:3] for line in expiries()] == [(f"account:{maria.pk}", house["ana"].who.key, str(request.pk))]
    ana.must("contacts.wrap_up", summary="She hung up", disposition="resolved", root_cause="bill_changed")
    assert len(expiries()) == 1 and whole()


def test_a_request_left_behind_by_a_move_has_its_line_with_the_account_it_was_for(house, maria, ana):
    joe = open_account("Joe Lind", "+12065550199", "A-0104823")
    request = asked(ana, maria)
    ana.must("contacts.identify", account=joe.pk, person=joe.people.get().person_id)
    assert [line[:3] for line in expiries()] == [(f"account:{maria.pk}", house["ana"].who.key, str(request.pk))]
    assert whole()


def test_after_it_expired_she_asks_anew(house, maria, ana):
    first = asked(ana, maria)
    assert queries.state_now(first, TUESDAY + timedelta(minutes=15)) == "expired"
    ana.later(minutes=15)
    assert asked(ana, maria).pk != first.pk


def test_a_request_ends_with_its_contact(house, maria, ana):
    request = asked(ana, maria)
    ana.must("contacts.end")
    no = decide(house["lena"], request)
    assert no.refusal.code == "CONFLICT" and "expired" in no.refusal.say
    assert not Grant.objects.exists()


def test_a_contact_that_moves_to_another_account_takes_no_request_with_it(house, maria, ana):
    """The wrong account was open: what was asked for it is not decided any more, and she can ask for the right one."""
    joe = open_account("Joe Lind", "+12065550199", "A-0104823")
    request = asked(ana, maria)
    ana.must("contacts.identify", account=joe.pk, person=joe.people.get().person_id)
    ana.must("contacts.check_pin", account=joe.pk, pin="4711")
    assert decide(house["lena"], request).refusal.code == "CONFLICT"
    assert asked(ana, joe).account_id == joe.pk and not Grant.objects.exists()


def test_decided_twice_is_decided_once_and_the_second_is_told_by_whom(house, maria, ana):
    request = asked(ana, maria)
    assert decide(house["lena"], request).ok
    for decision, more in [("approve", {}), ("less", {"amount": 100}), ("decline", {"answer": "No"})]:
        no = decide(house["sam"], request, decision, **more)
        assert no.refusal.code == "CONFLICT" and no.refusal.say == "This request is not waiting any more: approved by Lena Park."
    assert Grant.objects.count() == 1 and Request.objects.get().decided_by == house["lena"]


def test_two_leads_at_once_are_one_decision(committed_house, racing):
    """One approves, one declines: the first decides, and the credit is there only if it was a yes."""
    account = open_account()
    ana = Desk(committed_house["ana"]).take_call(account)
    request = asked(ana, account)
    outcomes = racing(
        lambda: decide(committed_house["lena"], request),
        lambda: decide(committed_house["sam"], request, "decline", answer="Not now"),
    )
    assert sorted(o.status for o in outcomes) == ["done", "refused"]
    assert Grant.objects.exists() == outcomes[0].ok
    assert Request.objects.get().state == ("approved" if outcomes[0].ok else "declined") and whole()


def test_only_the_asker_withdraws_and_only_while_it_waits(house, maria, ana):
    request = asked(ana, maria)
    assert Desk(house["ben"]).act("approvals.withdraw", request=request.pk).refusal.code == "CONFLICT"
    ana.must("approvals.withdraw", request=request.pk)
    assert ana.act("approvals.withdraw", request=request.pk).refusal.code == "CONFLICT"
    assert decide(house["lena"], request).refusal.code == "CONFLICT"


def test_a_decision_is_on_the_request_that_it_names(house, maria, ana):
    request = asked(ana, maria)
    joe = open_account("Joe Lind", "+12065550199", "A-0104823")
    other = asked(Desk(house["ben"]).take_call(joe), joe)
    lena = Desk(house["lena"])
    for basis in (BasisRef("request", other.pk), BasisRef("request", 98765), BasisRef()):
        no = lena.act("approvals.decide", basis=basis, request=request.pk, decision="approve")
        assert no.status == "refused"
    assert not Grant.objects.exists() and set(Request.objects.values_list("state", flat=True)) == {"waiting"}


def test_only_who_is_asked_reads_a_request(house, maria, ana):
    request = asked(ana, maria)
    scene = lambda mine: Scene(  # noqa: E731
        rulebooks.current(), Basis("request", request.pk, maria.pk, 3), bare_facts(kind="request", level=3, mine=mine)
    )
    assert look("view.request", who=house["lena"].who, scene=scene(True), at=TUESDAY).allowed
    assert look("view.request", who=house["ben"].who, scene=scene(True), at=TUESDAY).refusal.rule == "not-your-role"


# ---------------------------------------------------------------- admitted to one's own business


@pytest.fixture
def hers(house):
    """Ana's own account."""
    account = open_account("Ana Silva", "+12065550177", "A-0104900")
    Desk(house["sam"]).must("customers.tie_staff", account=account.pk, staff=house["ana"].pk, tie="own")
    return account


def tie(house, account, name: str, how: str) -> None:
    Desk(house["sam"]).must("customers.tie_staff", account=account.pk, staff=house[name].pk, tie=how)


def at_the_door(staff, account) -> Desk:
    """A contact without an account, and a request to be admitted to this one."""
    desk = Desk(staff)
    desk.contact = int(desk.must("contacts.open").show["id"])
    no = desk.act("contacts.identify", account=account.pk, person=account.people.get().person_id)
    assert no.refusal.rule == "own-business" and [w.act for w in no.refusal.way_on] == ["approvals.ask_admission"]
    desk.request = int(desk.must("approvals.ask_admission", account=account.pk, words="My sister is on the phone").show["request"])
    return desk


def test_ana_opens_her_own_account_when_lena_admits_her_and_still_moves_no_money(house, hers):
    ana = at_the_door(house["ana"], hers)
    request = Request.objects.get()
    assert (request.kind, request.role_list, request.fact_data["tie"]) == ("admit", ["lead", "supervisor"], "own")
    assert decide(house["lena"], request).ok
    assert Contact.objects.get().admitted_by == house["lena"]
    ana.must("contacts.identify", account=hers.pk, person=hers.people.get().person_id)
    ana.must("contacts.check_pin", account=hers.pk, pin="4711")
    scene = scene_for_page(contact_queries.contact(ana.contact), house["ana"].who, rulebooks.current(), TUESDAY)
    assert look("view.account", who=house["ana"].who, scene=scene, at=TUESDAY).allowed
    no = ana.act("credits.grant", account=hers.pk, amount=100, reason="goodwill")
    assert no.refusal.rule == "own-business-money"
    assert whole()


def test_a_colleague_is_kept_out_too_and_once_admitted_serves_as_any_customer(house, hers):
    ben = at_the_door(house["ben"], hers)
    request = Request.objects.get()
    assert request.fact_data["tie"] == "colleague" and decide(house["lena"], request).ok
    ben.must("contacts.identify", account=hers.pk, person=hers.people.get().person_id)
    ben.must("contacts.check_pin", account=hers.pk, pin="4711")
    ben.must("credits.grant", account=hers.pk, amount=100, reason="goodwill")


def test_an_admission_is_for_one_contact_and_one_account(house, hers):
    ben = at_the_door(house["ben"], hers)
    assert decide(house["lena"], Request.objects.get()).ok
    other = open_account("Eva Lindqvist", "+12065550178", "A-0104901")
    tie(house, other, "eva", "own")
    assert ben.act("contacts.identify", account=other.pk).refusal.rule == "own-business"
    ben.must("contacts.end")
    ben.must("contacts.wrap_up", summary="Nothing", disposition="resolved", root_cause="none")
    again = Desk(house["ben"]).act("contacts.open", account=hers.pk)
    assert again.refusal.rule == "own-business"


def test_an_admission_does_not_go_over_with_a_hand_over(house, hers):
    """Eva takes her colleague's account over only when she is admitted herself, which she asks while it is offered to her;
    nobody else may ask, and Ben is admitted no more once it is hers."""
    ben = at_the_door(house["ben"], hers)
    assert decide(house["lena"], Request.objects.get()).ok
    ben.must("contacts.identify", account=hers.pk, person=hers.people.get().person_id)
    ben.must("contacts.check_pin", account=hers.pk, pin="4711")
    ben.must("contacts.hand_over", to=house["eva"].pk, words="Please take over")
    eva, tom = Desk(house["eva"]), Desk(house["tom"])
    eva.contact = tom.contact = ben.contact
    assert eva.act("contacts.accept").refusal.rule == "own-business"
    assert tom.act("approvals.ask_admission", account=hers.pk, words="I would").refusal.rule == "not-your-contact"
    asked = eva.must("approvals.ask_admission", account=hers.pk, words="Ben's shift is over").show["request"]
    assert decide(house["lena"], Request.objects.get(pk=int(asked))).ok
    eva.must("contacts.accept")
    eva.must("credits.grant", account=hers.pk, amount=100, reason="goodwill")
    eva.must("contacts.hand_over", to=house["ben"].pk)
    assert ben.act("contacts.accept").refusal.rule == "own-business"


def test_who_takes_a_contact_over_may_take_back_what_was_asked_in_it_and_ask_anew(house, maria):
    ana = Desk(house["ana"]).take_call(maria)
    wish = {"code": "credits.grant", "account": maria.pk, "input": {"account": maria.pk, "amount": 4000, "reason": "retention"}}
    asked = int(ana.must("approvals.ask", **wish, words="Please").show["request"])
    ben = Desk(house["ben"])
    ben.contact = ana.contact
    assert ben.act("approvals.withdraw", request=asked).refusal.code == "CONFLICT"
    ana.must("contacts.hand_over", to=house["ben"].pk)
    ben.must("contacts.accept")
    assert ben.act("approvals.ask", **wish).refusal.code == "CONFLICT"
    ben.must("approvals.withdraw", request=asked)
    ben.must("approvals.ask", **wish)


def test_who_asked_to_be_admitted_is_told_that_somebody_else_decides_and_nothing_of_money(house, hers):
    at_the_door(house["ana"], hers)
    no = decide(house["ana"], Request.objects.get()).refusal
    assert (no.rule, no.say) == ("own-request", "You asked this yourself. Somebody else decides it.")


@pytest.mark.parametrize(("how", "name"), [("own", "lena"), ("relative", "sam")])
def test_whose_business_it_is_admits_nobody(house, how, name):
    account = open_account("A relative", "+12065550177", "A-0104900")
    tie(house, account, "ana", "own")
    tie(house, account, name, how)
    at_the_door(house["ana"], account)
    assert decide(house[name], Request.objects.get()).refusal.rule == "own-business-decide"
    assert Contact.objects.get().admitted_by is None


def test_nobody_is_asked_for_what_nobody_could_do(house, maria):
    """A charge of somebody else's bill, one that nobody has, a bill that is not there: refused as the deed itself would be, with nothing
    of it left behind."""
    joe = open_account("Joe Lind", "+12065550199", "A-0104823")
    ana = Desk(house["ana"]).take_call(maria)
    his = BillLine.objects.filter(bill__account=joe, kind="plan").last().pk

    def left() -> list[object]:
        return [Grant.objects.count(), Spending.objects.count(), *Counter.objects.order_by("name").values_list("name", "last")]

    before = left()
    for line in (his, 987654):
        no = ana.act("approvals.ask", code="credits.grant", account=maria.pk, input={"account": maria.pk, "amount": 4000, "reason": "billing_error", "bill_line": line})
        assert (no.refusal.code, list(no.refusal.fields)) == ("NOT_FOUND", ["bill_line"]), no
    hers = BillLine.objects.filter(bill__account=maria, kind="plan").last().pk
    asked = {"account": maria.pk, "amount": 4000, "reason": "billing_error", "bill_line": hers}
    assert ana.must("approvals.ask", code="credits.grant", account=maria.pk, input=asked)
    assert Request.objects.count() == 1 and left() == before


def test_nobody_asks_to_be_admitted_where_they_need_not(house, maria):
    ana = Desk(house["ana"])
    ana.contact = int(ana.must("contacts.open").show["id"])
    no = ana.act("approvals.ask_admission", account=maria.pk, words="May I?")
    assert no.refusal.code == "CONFLICT" and not Request.objects.exists()


def test_whoever_handed_the_contact_on_is_admitted_no_more(house, hers):
    ben = at_the_door(house["ben"], hers)
    ben.must("contacts.hand_over", to=house["eva"].pk)
    Desk(house["eva"]).must("contacts.accept", basis=BasisRef("contact", ben.contact))
    no = decide(house["lena"], Request.objects.get())
    assert no.refusal.code == "CONFLICT" and Contact.objects.get().admitted_by is None


def test_declined_is_not_admitted(house, hers):
    ben = at_the_door(house["ben"], hers)
    assert decide(house["lena"], Request.objects.get(), "decline", answer="I take it myself").ok
    assert ben.act("contacts.identify", account=hers.pk).refusal.rule == "own-business"


def test_a_colleague_who_decides_on_a_colleagues_account_stays_within_the_admission(house, hers):
    """Ben is admitted and asks for $40; Lena, a colleague too, decides under that same admission."""
    ben = at_the_door(house["ben"], hers)
    decide(house["lena"], Request.objects.get())
    ben.must("contacts.identify", account=hers.pk, person=hers.people.get().person_id)
    ben.must("contacts.check_pin", account=hers.pk, pin="4711")
    assert decide(house["lena"], asked(ben, hers)).ok
    assert Grant.objects.get().granted_by == house["lena"]


def test_a_lead_grants_nothing_on_their_own_account_by_deciding(house, maria):
    tie(house, maria, "lena", "own")
    ben = at_the_door(house["ben"], maria)
    assert decide(house["sam"], Request.objects.get()).ok
    ben.must("contacts.identify", account=maria.pk, person=maria.people.get().person_id)
    ben.must("contacts.check_pin", account=maria.pk, pin="4711")
    request = asked(ben, maria)
    assert decide(house["lena"], request).refusal.rule == "own-business-decide"
    assert not Grant.objects.exists() and decide(house["sam"], request).ok


def test_an_account_that_is_marked_during_a_call_is_closed_at_once_also_for_asking(house, maria, ana):
    tie(house, maria, "ben", "own")
    no = ask(ana, maria)
    assert no.refusal.rule == "own-business" and not Request.objects.exists()


def test_the_carrier_itself_is_no_approver(house, maria, ana):
    request = asked(ana, maria)
    no = perform("approvals.decide", {"request": request.pk, "decision": "approve"}, who=CARRIER, key=key(),
                 basis=BasisRef("request", request.pk), at=TUESDAY)
    assert no.refusal.rule == "not-your-role" and not Grant.objects.exists()
