"""Changing the rules: a change is checked, tried on what was decided, given a day, and rules after a second person's yes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from careline.acts import trial
from careline.acts.laws import faults
from careline.domain.journal.models import Decision
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.operations import forget_decisions
from careline.domain.rulebook import queries
from careline.domain.rulebook.models import Activation, Bundle, Proposal
from careline.foundation.rulebook import Rulebook
from tests.people import TUESDAY, Desk, default_rulebook, open_account

EVENT = "[credit.event]\ntrainee = 0\nassociate = 2500"
DEFAULT = default_rulebook().files


def limits(associate: int = 1500, text: str = "") -> str:
    return (text or DEFAULT["limits.toml"]).replace(EVENT, EVENT.replace("2500", str(associate)))


def proposed(desk: Desk, changes=None, **more) -> int:
    """A change that waits for somebody's yes."""
    made = desk.must("rulebook.draft", title="Smaller credits", changes=changes or {"limits.toml": limits()})
    desk.must("rulebook.propose", proposal=made.show["proposal"], words="Too much is given away", **more)
    return int(made.show["proposal"])


@pytest.fixture
def sam(house):
    return Desk(house["sam"])


@pytest.fixture
def ada(house):
    return Desk(house["ada"])


def test_sams_change_rules_once_ada_says_yes_and_the_old_one_stays_for_ever(house, sam, ada):
    before = queries.current().digest
    number = proposed(sam)
    assert queries.current().digest == before, "nothing rules before the second yes"
    ada.later(minutes=5).must("rulebook.second", proposal=number, yes=True)
    queries.forget()
    now = queries.digest_at(ada.at)
    assert now != before and queries.opened(now).limits["credit"]["event"]["associate"] == 1500
    row = Activation.objects.get(bundle__digest=now)
    assert (row.activated_by, row.seconded_by, row.from_at) == (house["sam"].who.key, house["ada"].who.key, ada.at)
    assert queries.opened(before).limits["credit"]["event"]["associate"] == 2500, "the old one is kept"
    said = [line.content["say"] for line in JournalLine.objects.filter(code__startswith="rulebook.").order_by("pk")]
    assert len(said) == 3 and "proposed by Sam Osei; in force from now on" in said[-1]


def test_a_change_with_a_day_rules_from_that_day_on(sam, ada):
    before = queries.digest_at(TUESDAY)
    number = proposed(sam, from_at=(TUESDAY + timedelta(days=7)).isoformat())
    ada.must("rulebook.second", proposal=number, yes=True)
    assert queries.digest_at(TUESDAY + timedelta(days=6, hours=23)) == before
    assert queries.digest_at(TUESDAY + timedelta(days=7)) == Proposal.objects.get(pk=number).digest


def test_an_agreed_change_is_called_off_before_its_day_and_not_after(sam, ada):
    before = queries.digest_at(TUESDAY)
    number = proposed(sam, from_at=(TUESDAY + timedelta(days=7)).isoformat())
    ada.must("rulebook.second", proposal=number, yes=True)
    sam.later(days=1).must("rulebook.withdraw", proposal=number)
    assert queries.digest_at(TUESDAY + timedelta(days=30)) == before
    again = proposed(sam)
    ada.later(days=2).must("rulebook.second", proposal=again, yes=True)
    no = sam.later(days=9).act("rulebook.withdraw", proposal=again)
    assert no.refusal.code == "CONFLICT" and "in force already" in no.say


def test_nobody_says_yes_to_their_own_change_nor_says_no_without_a_word(sam, ada):
    number = proposed(sam)
    no = sam.act("rulebook.second", proposal=number, yes=True)
    assert (no.refusal.rule, no.status) == ("second-not-yourself", "refused")
    assert ada.act("rulebook.second", proposal=number, yes=False).refusal.fields == {"answer": "Say why not."}
    ada.must("rulebook.second", proposal=number, yes=False, answer="Wait for January")
    late = ada.act("rulebook.second", proposal=number, yes=True)
    assert late.refusal.code == "CONFLICT" and "declined by Ada Brandt" in late.say
    assert Activation.objects.count() == 1


def test_those_who_do_not_answer_for_the_rules_may_not_touch_them(house, sam):
    number = proposed(sam)
    for name in ("tom", "ana", "eva", "lena"):
        for code, given in (("rulebook.draft", {"title": "Mine", "changes": {}}), ("rulebook.second", {"proposal": number, "yes": True}), ("rulebook.withdraw", {"proposal": number})):
            assert Desk(house[name]).act(code, **given).refusal.rule == "not-your-role"


def test_a_yes_never_undoes_another_change_unseen(sam, ada):
    first, second = proposed(sam), proposed(sam, {"verification.toml": DEFAULT["verification.toml"].replace("failures = 3", "failures = 4")})
    ada.must("rulebook.second", proposal=first, yes=True)
    no = ada.later(minutes=1).act("rulebook.second", proposal=second, yes=True)
    assert no.refusal.rule == "second-stale" and no.refusal.way_on[0].act == "rulebook.take_up"
    queries.forget()
    taken = ada.must("rulebook.take_up", proposal=second)
    row = Proposal.objects.get(pk=taken.show["proposal"])
    assert row.by == ada.staff.who.key and set(row.change_data) == {"verification.toml"} and row.base == queries.digest_at(ada.at)
    ada.must("rulebook.propose", proposal=row.pk, words="Once more")
    sam.later(minutes=5).must("rulebook.second", proposal=row.pk, yes=True)
    both = queries.opened(queries.digest_at(sam.at))
    assert both.limits["credit"]["event"]["associate"] == 1500 and both.verification["pin"]["failures"] == 4


def test_a_file_that_changed_meanwhile_is_left_to_be_changed_again(sam, ada):
    first, second = proposed(sam), proposed(sam, {"limits.toml": limits(2000), "verification.toml": DEFAULT["verification.toml"] + "\n# read\n"})
    ada.must("rulebook.second", proposal=first, yes=True)
    queries.forget()
    taken = sam.later(minutes=2).must("rulebook.take_up", proposal=second)
    assert taken.say.endswith("to be changed again: limits.toml")
    assert set(Proposal.objects.get(pk=taken.show["proposal"]).change_data) == {"verification.toml"}


def test_an_earlier_rulebook_comes_back_the_same_way_as_any_change(sam, ada):
    before = queries.digest_at(TUESDAY)
    ada.must("rulebook.second", proposal=proposed(sam), yes=True)
    queries.forget()
    back = sam.later(minutes=1).must("rulebook.go_back", digest=before).show["proposal"]
    sam.must("rulebook.propose", proposal=back, words="It was better")
    ada.later(minutes=5).must("rulebook.second", proposal=back, yes=True)
    assert queries.digest_at(ada.at) == before
    assert sam.act("rulebook.go_back", digest="0" * 64).refusal.code == "NOT_FOUND"


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("limits.toml", EVENT, EVENT.replace("2500", "25000"), "limits.toml: credit.event: expert has 7500, less than associate with 25000"),
        ("limits.toml", EVENT, EVENT.replace("2500", "-5"), "credit.event: associate = -5"),
        ("limits.toml", EVENT, EVENT + "0 0", "limits.toml: "),
        ("limits.toml", "just_under_percent = 90", "just_under_percent = 101", "patterns.just_under_percent = 101; give a whole number from 1 to 100"),
        ("limits.toml", "glass_minutes = 15", "", "limits.toml: opening.glass_minutes = None; give a whole number from 1 on"),
        ("authority.cedar", '@way("Ask a lead|approvals.ask")', '@way("Ask a lead|approvals.beg")', "offers 'Ask a lead|approvals.beg', which leads to no act"),
        ("authority.cedar", "{credit.lineRoom|money}", "{credit.lineroom|money}", "credit-line says {credit.lineroom}, which is no fact of credits.grant"),
        ("authority.cedar", "context.credit.amount > context.credit.eventRoom", "context.credit.amount < 500", "refuses associate an amount and allows a larger one"),
        ("authority.cedar", 'Action::"credits.reverse", Action::"payments.refund", Action::"ledger.allocate",\n  Action::"billing', 'Action::"payments.refund", Action::"ledger.allocate",\n  Action::"billing', "no role has credits.reverse"),
        ("authority.cedar", "context.basis.level < 1 };", "context.basis.grade < 1 };", "authority.cedar does not fit its schema"),
        ("authority.cedar", '@id("credit-line")', '@id("credit-days")', "two policies are called credit-days"),
        ("authority.cedarschema", "mine: Bool, fresh: Bool }", "mine: Bool, fresh?: Bool }", "authority.cedar"),
        ("ladder.toml", 'code = "soft"', 'code = "soft"\ncolour = 1', "ladder.toml: "),
        ("guides/no_service.toml", 'id = "no_service"', 'id = "no service"', "guides: "),
    ],
)  # fmt: skip
def test_what_breaks_the_rulebook_is_found_before_anybody_can_say_yes(name, old, new, says):
    assert old in DEFAULT[name], "the default rulebook changed: say anew what would break it"
    found = faults(Rulebook({**DEFAULT, name: DEFAULT[name].replace(old, new)}))
    assert any(says in one for one in found), found


def test_the_default_rulebook_keeps_all_laws():
    assert faults(default_rulebook()) == []


def test_a_change_that_breaks_a_law_is_not_proposed(sam):
    made = sam.must("rulebook.draft", title="Generous", changes={"limits.toml": limits(25000)})
    no = sam.act("rulebook.propose", proposal=made.show["proposal"], words="Be generous")
    assert no.refusal.code == "INVALID" and "less than associate" in no.say
    assert Proposal.objects.get().state == "draft" and Bundle.objects.count() == 1
    empty = sam.must("rulebook.draft", title="Nothing", changes={"limits.toml": DEFAULT["limits.toml"]})
    assert "Nothing is changed yet" in sam.act("rulebook.propose", proposal=empty.show["proposal"], words="?").say


@pytest.mark.parametrize("name", ["../settings.toml", "/etc/x.toml", "limits.py", "a\\b.toml", ".md"])
def test_a_change_holds_files_of_a_rulebook_and_nothing_else(sam, name):
    assert sam.act("rulebook.draft", title="Odd", changes={name: "x = 1"}).status == "invalid"


# ---------------------------------------------------------------- the trial


def give(house, amounts, who="ana") -> None:
    for n, amount in enumerate(amounts):
        desk = Desk(house[who]).take_call(open_account(reference=f"A-{n:07}", number=f"+1206555{1000 + n}", bills=1))
        desk.act("credits.grant", account=desk_account(desk), amount=amount, reason="goodwill")
        desk.must("contacts.end")


def desk_account(desk: Desk) -> int:
    from careline.domain.contacts.models import Contact

    return Contact.objects.get(pk=desk.contact).account_id


def test_twelve_credits_would_have_needed_somebody_above_ana(house, sam):
    give(house, [2000] * 8 + [1000] * 3)
    give_more = Desk(house["ana"]).take_call(open_account("Zoe", "+12065559999", "A-9999999", bills=1))
    assert give_more.act("credits.grant", account=desk_account(give_more), amount=2600, reason="retention").refusal.rule == "credit-event"
    new = Rulebook({**DEFAULT, "limits.toml": limits(1500)})
    rows = list(Decision.objects.order_by("pk"))
    found = trial.played(default_rulebook(), new, rows, len(rows), TUESDAY)
    (turn,) = found.turns
    assert (turn.code, turn.was, turn.rule, turn.needs, turn.count) == ("credits.grant", "", "credit-event", "expert", 8)
    assert turn.say == "Your limit leaves $15.00 for this event." and turn.cases[0].amount_minor == 2000
    assert found.unasked == 0 and found.asked == len(rows) and found.count(True) == 8
    looser = trial.played(default_rulebook(), Rulebook({**DEFAULT, "limits.toml": limits(3000)}), rows, len(rows), TUESDAY)
    assert [(t.was, t.rule, t.count) for t in looser.turns] == [("credit-event", "", 1)]
    assert not trial.played(default_rulebook(), default_rulebook(), rows, len(rows), TUESDAY).turns


def test_a_credit_that_used_part_of_a_limit_is_tried_with_what_was_left_of_the_new_one(house, sam):
    desk = Desk(house["ana"]).take_call(open_account())
    for _ in range(2):
        desk.must("credits.grant", account=desk_account(desk), amount=1000, reason="goodwill")
    new = Rulebook({**DEFAULT, "limits.toml": limits(1500)})
    found = trial.played(default_rulebook(), new, Decision.objects.order_by("pk"), 0, None)
    assert [(t.count, t.say) for t in found.turns] == [(1, "Your limit leaves $5.00 for this event.")], "the second was beyond what was left"


def test_a_changed_condition_is_tried_like_a_changed_number(house, sam):
    give(house, [500])
    strict = DEFAULT["authority.cedar"].replace('action in Action::"verified", resource) when { context.basis.level < 2 };', 'action in Action::"verified", resource) when { context.basis.level < 4 };')
    assert strict != DEFAULT["authority.cedar"]
    found = trial.played(default_rulebook(), Rulebook({**DEFAULT, "authority.cedar": strict}), Decision.objects.order_by("pk"), 0, None)
    assert {(t.code, t.rule, t.needs) for t in found.turns} == {("credits.grant", "needs-verified", "")}


def test_what_was_asked_is_kept_without_a_name_and_forgotten_when_no_trial_looks_back(house, sam):
    give(house, [500])
    kept = Decision.objects.get(code="credits.grant")
    assert kept.allowed and kept.role == "associate" and kept.fact_data["credit"]["amount"] == 500
    assert not any(word in kept.facts for word in ("Maria", "2065551000", "A-0000000"))
    assert forget_decisions(before=TUESDAY - timedelta(days=1)) == 0
    whole = Decision.objects.count()
    assert forget_decisions(before=TUESDAY + timedelta(days=1), most=2) == 2 and Decision.objects.count() == whole - 2
