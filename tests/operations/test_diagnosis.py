"""A walk through a guide at the desk: read first, ask little, remember everything, end once."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from careline.domain.customers.models import Line
from careline.domain.diagnosis import queries
from careline.domain.diagnosis.models import Answer, Walk
from careline.domain.diagnosis.rules.simulate import Phone
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.models import Outbox
from tests.people import Desk, open_account


def line(account) -> Line:
    return Line.objects.get(account=account)


def begin(desk: Desk, account, guide: str = "no_service", **given: object) -> Walk:
    done = desk.must("diagnosis.start", account=account.pk, line=line(account).pk, guide=guide, **given)
    return Walk.objects.get(pk=int(done.show["walk"]))


def standing(walk: Walk) -> queries.Standing:
    return queries.standing(Walk.objects.get(pk=walk.pk))


def reply(desk: Desk, walk: Walk, *answers: dict[str, object]):
    return desk.act("diagnosis.answer", account=walk.account_id, walk=walk.pk, answers=list(answers))


def walk_to_the_end(desk: Desk, walk: Walk, *causes: str) -> queries.Standing:
    """The customer answers honestly, with a phone that has these causes."""
    now = standing(walk)
    phone = Phone(now.walk.guide, set(causes))
    for _ in range(60):
        now = standing(walk)
        step = now.walk.step
        if step.kind in ("done", "handover"):
            return now
        if step.kind == "remedy":
            phone.give(step.id)
            answers = [{"remedy": step.id, "outcome": "done"}]
        else:
            answers = [{"check": x.check, "outcome": x.outcome, "wording": x.wording} for x in (phone.answer(name, step.wording) for name in step.checks)]
        assert reply(desk, walk, *answers).ok
    raise AssertionError("the walk never ended")


def test_a_walk_begins_with_what_the_account_and_the_network_know(ana, maria):
    walk = begin(ana, maria, words="there are no bars since this morning")
    said = {x.what["check"]: x for x in standing(walk).said}
    assert said["line.status"].what["outcome"] == "active" and said["line.status"].source == "account"
    assert said["network.outage"].what["outcome"] == "none" and said["network.outage"].source == "network"
    assert said["device.settings.mobile_data"].what["outcome"] == "cannot_tell" if "device.settings.mobile_data" in said else True
    assert standing(walk).walk.step.kind != "probe"
    assert walk.rulebook and walk.words == "there are no bars since this morning"


def test_airplane_mode_is_found_fixed_tested_and_written_down_as_the_cause(ana, maria):
    walk = begin(ana, maria)
    cause = next(c.id for c in standing(walk).walk.guide.causes if c.id.startswith("airplane"))
    end = walk_to_the_end(ana, walk, cause)
    assert end.walk.step.kind == "done"
    ana.later(minutes=4).must("diagnosis.close", account=maria.pk, walk=walk.pk)
    row = Walk.objects.get(pk=walk.pk)
    assert (row.state, row.causes, row.seconds) == ("fixed", [cause], 240)
    assert "works again" in JournalLine.objects.filter(code="diagnosis.close").get().text


def test_a_line_that_is_suspended_is_known_before_anything_is_asked(ana, maria):
    Line.objects.filter(account=maria).update(
        status="suspended", suspended_for="non_payment", status_reason="Not paid", status_since=date(2026, 11, 20)
    )
    now = standing(begin(ana, maria))
    top = now.walk.suspects[0]
    assert top.cause == "suspended_unpaid" and top.probability > 0.95
    assert {x.source for x in now.said} == {"account", "network", "device"}


def test_an_answer_taken_back_leaves_the_walk_exactly_as_it_was(ana, maria):
    walk = begin(ana, maria)
    before = standing(walk).walk
    first = before.step
    phone = Phone(before.guide, set())
    assert reply(ana, walk, *({"check": x.check, "outcome": x.outcome} for x in map(phone.answer, first.checks))).ok
    assert standing(walk).walk.events != before.events
    ana.must("diagnosis.undo", account=maria.pk, walk=walk.pk)
    after = standing(walk).walk
    assert after.events == before.events and after.step == first
    assert Answer.objects.filter(walk=walk, undoes__isnull=False).count() == 1
    nothing = ana.act("diagnosis.undo", account=maria.pk, walk=walk.pk)
    assert nothing.refusal and nothing.refusal.rule == "nothing-to-undo"


def test_what_the_associate_knows_is_evidence(ana, maria):
    walk = begin(ana, maria)
    cause = next(c.id for c in standing(walk).walk.guide.causes if c.id.startswith("airplane"))
    before = standing(walk).walk.belief.of(cause)
    assert reply(ana, walk, {"cause": cause}).ok
    now = standing(walk)
    assert now.walk.belief.of(cause) > max(before, 0.5) and now.said[-1].source == "associate"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"check": "nonsense", "outcome": "on"}, "no check"),
        ({"check": "line.status", "outcome": "purple"}, "no outcome"),
        ({"remedy": "restart", "outcome": "perhaps"}, "ends as one of"),
        ({"cause": "gremlins"}, "no cause"),
    ],
)
def test_an_answer_that_fits_nothing_changes_nothing_and_says_what_would_fit(ana, maria, answer, says):
    walk = begin(ana, maria)
    before = Answer.objects.count()
    refused = reply(ana, walk, answer)
    assert not refused.ok and says in refused.say and Answer.objects.count() == before


def test_a_second_walk_on_the_line_waits_for_the_first(ana, maria):
    walk = begin(ana, maria)
    second = ana.act("diagnosis.start", account=maria.pk, line=line(maria).pk, guide="mobile_data")
    assert second.refusal and second.refusal.rule == "one-walk-a-line"
    ana.must("diagnosis.leave", account=maria.pk, walk=walk.pk)
    assert begin(ana, maria, "mobile_data").pk != walk.pk


def test_a_walk_goes_on_in_the_next_contact_after_a_dropped_call(ana, house, maria):
    walk = begin(ana, maria)
    turns = len(standing(walk).said)
    ana.must("contacts.end")
    ana.must("contacts.wrap_up", summary="The line dropped.", disposition="resolved", root_cause="network")
    ben = Desk(house["ben"], ana.at + timedelta(hours=1)).take_call(maria)
    assert [x.pk for x in queries.open_of(maria.pk)] == [walk.pk]
    assert len(standing(walk).said) == turns
    cause = next(c.id for c in standing(walk).walk.guide.causes if c.id.startswith("airplane"))
    assert walk_to_the_end(ben, walk, cause).walk.step.kind == "done"


def test_nothing_is_read_for_a_caller_who_is_not_verified(house, maria):
    ben = Desk(house["ben"]).take_call(maria, verify=False)
    refused = ben.act("diagnosis.start", account=maria.pk, line=line(maria).pk, guide="no_service")
    assert refused.refusal and refused.refusal.rule == "needs-verified" and not Walk.objects.exists()


def test_another_account_has_no_such_walk_and_no_such_line(ana, house, maria):
    walk = begin(ana, maria)
    joe = open_account(name="Joe Lund", number="+12065550111", reference="A-0104830")
    ben = Desk(house["ben"]).take_call(joe)
    assert ben.act("diagnosis.leave", account=joe.pk, walk=walk.pk).refusal.code == "NOT_FOUND"
    assert ben.act("diagnosis.start", account=joe.pk, line=line(maria).pk, guide="no_service").refusal.fields


def test_a_walk_that_goes_on_cannot_be_closed_and_a_closed_one_cannot_go_on(ana, maria):
    walk = begin(ana, maria)
    assert ana.act("diagnosis.close", account=maria.pk, walk=walk.pk).refusal.rule == "walk-goes-on"
    ana.must("diagnosis.leave", account=maria.pk, walk=walk.pk)
    assert reply(ana, walk, {"cause": "something_else"}).refusal.rule == "walk-ended"


def test_a_cause_that_cannot_be_put_right_here_is_handed_over_to_its_team(ana, maria):
    walk = begin(ana, maria)
    locked = next(c for c in standing(walk).walk.guide.causes if c.handover and c.lives == "phone" and not standing(walk).walk.guide.remedies_for(c.id) and c.id != "something_else")
    end = walk_to_the_end(ana, walk, locked.id)
    assert end.walk.step.kind == "handover"
    ana.must("diagnosis.close", account=maria.pk, walk=walk.pk)
    row = Walk.objects.get(pk=walk.pk)
    assert (row.state, row.team) == ("handover", locked.handover)


def test_the_customer_is_told_once_what_happened(ana, maria):
    walk = begin(ana, maria)
    ana.must("diagnosis.tell", account=maria.pk, walk=walk.pk, text="Airplane mode was on. Swipe down to check it.")
    assert Outbox.objects.filter(topic="what_happened").count() == 1
    again = ana.act("diagnosis.tell", account=maria.pk, walk=walk.pk, text="Again")
    assert again.refusal.rule == "told-once" and Outbox.objects.filter(topic="what_happened").count() == 1


def test_the_same_answer_twice_under_one_key_is_one_answer(ana, maria):
    walk = begin(ana, maria)
    given = {"account": maria.pk, "walk": walk.pk, "answers": [{"cause": "something_else", "present": False}]}
    first = ana.act("diagnosis.answer", key_="one-key-for-this", **given)
    count = Answer.objects.count()
    assert ana.act("diagnosis.answer", key_="one-key-for-this", **given) == first and Answer.objects.count() == count


def test_a_walk_keeps_the_rulebook_that_it_began_with(ana, maria, house):
    from careline.domain.rulebook import operations as rulebook
    from careline.domain.rulebook import queries as rulebooks
    from careline.foundation.rulebook import Rulebook
    from tests.people import carrier_act

    walk = begin(ana, maria)
    files = dict(rulebooks.current().files)
    files["guides/no_service.toml"] = files["guides/no_service.toml"].replace('title = "', 'title = "New: ', 1)
    rulebook.activate(act=carrier_act(), rulebook=Rulebook(files), from_at=carrier_act().at, seconded_by="Job:tests")
    rulebooks.forget()
    assert not standing(walk).walk.guide.title.startswith("New")
    assert queries.guides(rulebooks.current().digest)["no_service"].title.startswith("New")


def test_how_a_guide_does_counts_what_was_fixed_and_who_came_back(ana, maria):
    wrong = {"check": "airplane_icon", "outcome": "off"}  # she says that there is no plane, and looks again
    for n in range(3):
        if n == 2:  # she calls again
            ana.must("contacts.end")
            ana.must("contacts.wrap_up", summary="It works.", disposition="resolved", root_cause="device")
            ana.later(hours=3).take_call(maria)
        walk = begin(ana, maria)
        assert reply(ana, walk, wrong).ok
        walk_to_the_end(ana, walk, "airplane_mode")
        ana.later(minutes=5).must("diagnosis.close", account=maria.pk, walk=walk.pk)
    (doing,) = queries.doings(ana.at - timedelta(days=1))
    assert (doing.guide, doing.walks, doing.fixed, doing.repeats) == ("no_service", 3, 3, 1), "twice in one contact is nobody who came back"
    assert doing.fixed_rate == 1.0 and doing.misleading == (("airplane_icon", 3),)


def test_two_customers_with_a_question_about_their_bills_are_nobody_who_came_back(ana, house, maria):
    joe = open_account("Joe Adeyemi", number="+12065550177", reference="A-0104823")
    ben = Desk(house["ben"], ana.at + timedelta(hours=1)).take_call(joe)
    for desk, account in ((ana, maria), (ben, joe)):
        walk = int(desk.must("diagnosis.start", account=account.pk, guide="bill_higher").show["walk"])
        Walk.objects.filter(pk=walk).update(state="handover", closed=desk.at, team="Billing")
    (doing,) = queries.doings(ana.at - timedelta(days=1))
    assert (doing.guide, doing.walks, doing.repeats) == ("bill_higher", 2, 0)


def test_a_walk_that_is_taken_up_days_later_reads_anew_what_may_have_changed(ana, house, maria):
    Line.objects.filter(account=maria).update(status="suspended", suspended_for="non_payment", status_reason="Not paid", status_since=date(2026, 11, 20))
    walk = begin(ana, maria)
    assert standing(walk).walk.belief.of("suspended_unpaid") > 0.9
    ana.must("contacts.end")
    ana.must("contacts.wrap_up", summary="She pays tomorrow.", disposition="resolved", root_cause="past_due")
    Line.objects.filter(account=maria).update(status="active", suspended_for="", status_reason="", status_since=date(2026, 11, 26))
    ben = Desk(house["ben"], ana.at + timedelta(days=3)).take_call(maria)
    assert "line.status" in queries.stale(standing(walk), ben.at, 60)
    before = len(standing(walk).said)
    assert reply(ben, walk, {"check": "airplane_icon", "outcome": "on"}).ok
    now = standing(walk)
    said = {x.what.get("check"): x for x in now.said}
    assert said["line.status"].what["outcome"] == "active" and said["line.status"].at == ben.at
    assert now.walk.belief.of("suspended_unpaid") < 0.05 and not queries.stale(now, ben.at, 60)
    assert len(now.said) == before + 1, "each new reading stands in the place of the old one"
    assert walk_to_the_end(ben, walk, "airplane_mode").walk.step.kind == "done"
    ben.must("diagnosis.close", account=maria.pk, walk=walk.pk)
    assert Walk.objects.get(pk=walk.pk).misled == [], "what changed by itself proves nobody wrong"


def test_what_was_read_before_a_deed_stays_when_it_is_read_again(ana, maria):
    Line.objects.filter(account=maria).update(status="suspended", suspended_for="non_payment", status_reason="Not paid", status_since=date(2026, 11, 20))
    walk = begin(ana, maria)
    guide = standing(walk).walk.guide
    assert reply(ana, walk, {"remedy": guide.remedies_for("suspended_unpaid")[0].id, "outcome": "done"}).ok
    Line.objects.filter(account=maria).update(status="active", suspended_for="", status_reason="")
    ana.must("diagnosis.read_again", account=maria.pk, walk=walk.pk)
    first, *_, last = [x.what["outcome"] for x in standing(walk).said if x.what.get("check") == "line.status"]
    assert first.startswith("suspended") and last == "active"


def test_a_walk_about_bills_reads_the_books_again(ana, maria):
    walk = Walk.objects.get(pk=int(ana.must("diagnosis.start", account=maria.pk, guide="bill_higher").show["walk"]))
    then = {x.what["check"]: x.at for x in standing(walk).said}
    ana.later(days=2)
    ana.must("contacts.end")
    ana.must("contacts.wrap_up", summary="She calls again.", disposition="resolved", root_cause="bill_changed")
    ana.take_call(maria).must("diagnosis.read_again", account=maria.pk, walk=walk.pk)
    now = {x.what["check"]: x.at for x in standing(walk).said}
    assert now.keys() == then.keys() and min(now.values()) > max(then.values())


def test_a_walk_that_is_too_long_to_go_on_with_can_still_be_read_again_and_left(ana, maria, monkeypatch):
    walk = begin(ana, maria)
    monkeypatch.setattr("careline.domain.diagnosis.operations.MOST_ANSWERS", Answer.objects.count())
    refused = reply(ana, walk, {"check": "airplane_icon", "outcome": "off"})
    assert refused.refusal and refused.refusal.rule == "walk-too-long"
    assert ana.must("diagnosis.read_again", account=maria.pk, walk=walk.pk).ok
    ana.must("diagnosis.leave", account=maria.pk, walk=walk.pk)
