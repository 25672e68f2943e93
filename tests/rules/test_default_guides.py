"""The guides of the default rulebook: what each holds, and that customers simulated from them are helped."""

import tomllib
from collections import Counter
from pathlib import Path

import pytest

from careline.domain.diagnosis.rules import prove
from careline.domain.diagnosis.rules.guide import UNKNOWN, Guide, load_all, numbers, platform_of
from careline.domain.diagnosis.rules.walk import Walk

ROOT = Path(__file__).parents[2] / "rulebook" / "default"
FILES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in ROOT.rglob("*.toml")}
GUIDES = load_all(FILES)

TROUBLES = {
    "no_service", "mobile_data", "calls", "messages", "voicemail",
    "wifi_calling", "roaming_abroad", "sim_esim", "hotspot", "unwanted_calls",
}  # fmt: skip
MONEY = {"bill_higher", "unknown_charge", "double_charged", "cannot_pay"}  # fmt: skip

# What the desk can do and read, typed here by hand: a guide that names anything else names nothing.
ACTS = {
    "lines.suspend", "lines.restore", "lines.set_feature", "lines.add_data", "lines.refresh_provisioning",
    "lines.reset_registration", "lines.change_plan", "payments.send_link", "payments.refund", "credits.grant",
    "billing.add_promotion", "arrangements.agree",
}  # fmt: skip
FEATURES = {
    "mobile_data", "roaming", "wifi_calling", "hotspot", "voicemail", "volte", "picture_messaging", "spam_blocking",
    "international_calling",
}  # fmt: skip
INPUTS = {
    "lines.set_feature": {"feature", "on"}, "lines.add_data": {"mb"}, "lines.restore": set(),
    "lines.refresh_provisioning": set(), "lines.reset_registration": set(), "payments.send_link": set(),
    "lines.change_plan": set(), "payments.refund": {"payment", "amount"}, "credits.grant": {"reason", "bill_line", "amount"},
    "billing.add_promotion": set(), "arrangements.agree": set(),
}  # fmt: skip
PROBES = {
    "line.status": {"active", "suspended", "cancelled", "pending"},
    "line.suspended_why": {"non_payment", "customer_wish", "lost_or_stolen", "fraud", "other", "not_suspended"},
    "line.past_due": {"owed", "none"},
    "line.contract": {"running", "ended"},
    "line.allowance": {"left", "used_up"},
    "line.spending_limit": {"clear", "reached"},
    "line.port_in": {"none", "open"},
    "line.sim": {"active", "changed_lately", "inactive", "blocked"},
    "device.compatible": {"yes", "no"},
    "device.blocked": {"yes", "no"},
    "network.outage": {"none", "outage", "maintenance", "congestion"},
    "network.registration": {"registered", "not_registered"},
    "network.home_registration": {"registered", "not_registered"},
    "network.coverage": {"good", "none"},
    "network.profile": {"same", "differs"},
    "device.settings.mobile_data": {"on", "off"},
    "device.settings.data_roaming": {"on", "off"},
    "device.settings.data_saver": {"on", "off"},
    "device.settings.vpn": {"on", "off"},
    "device.settings.do_not_disturb": {"on", "off"},
    "device.settings.volte": {"on", "off"},
    "device.settings.wifi_calling": {"on", "off"},
    "device.settings.hotspot": {"on", "off"},
    "device.settings.apn": {"right", "wrong"},
    "device.settings.mmsc": {"right", "wrong"},
    "device.settings.network_mode": {"new", "old"},
    "device.settings.carrier_settings": {"new", "old"},
    "device.settings.system": {"new", "old"},
    "device.settings.storage": {"free", "full"},
} | {f"line.feature.{feature}": {"on", "off", "not_in_plan"} for feature in FEATURES} | {
    "bill.compared": {"first", "not_higher", "higher"},
    "bill.discount": {"ended", "no"},
    "bill.late_fee": {"first", "again", "no"},
    "bill.one_off": {"ordered", "unordered", "no"},
    "bill.sums": {"wrong", "right"},
    "bill.carried": {"open", "none"},
    "account.past_due": {"owed", "none"},
} | {f"bill.{name}": {"yes", "no"} for name in ("plan", "price", "line_added", "part_month", "usage", "equipment", "fee", "credit", "tax", "twice", "left_over")} | {
    f"payments.{name}": {"yes", "no"} for name in ("twice", "two_bills", "failed")
}

TEAMS = {"Store", "SIM security", "Fraud", "Network operations", "Porting", "Sales", "Accounts", "Technical support", "Billing", "Payment care", "Survivor care"}

every = pytest.mark.parametrize("guide", GUIDES.values(), ids=GUIDES)


def test_each_trouble_of_wireless_care_has_its_guide() -> None:
    assert {name for name, guide in GUIDES.items() if guide.about == "line"} == TROUBLES
    assert {name for name, guide in GUIDES.items() if guide.about == "account"} == MONEY


def test_the_two_broad_troubles_reach_past_twenty_causes() -> None:
    assert len(GUIDES["no_service"].causes) > 20
    assert len(GUIDES["mobile_data"].causes) > 20


@every
def test_a_guide_says_its_trouble_tests_it_and_can_hand_it_over(guide: Guide) -> None:
    assert guide.title and guide.trouble
    assert guide.test.say and guide.test.again and guide.test.seconds > 0
    assert any(cause.handover for cause in guide.causes if guide.about == "account" or cause.id != UNKNOWN)
    assert {cause.handover for cause in guide.causes if cause.handover} <= TEAMS


@every
def test_callers_have_between_one_and_two_causes_and_none_is_a_rarity(guide: Guide) -> None:
    assert 1.1 <= sum(cause.prior for cause in guide.causes if cause.shows or cause.handover) <= 1.8
    assert all(cause.prior >= 0.005 for cause in guide.causes)


@every
def test_twenty_five_customers_say_it_in_their_own_words(guide: Guide) -> None:
    said = [" ".join(text.lower().split()) for text in guide.examples]
    assert len(set(said)) == len(said) >= 25


def test_no_sentence_belongs_to_two_troubles() -> None:
    said = Counter(" ".join(text.lower().split()) for guide in GUIDES.values() for text in guide.examples)
    assert not [text for text, times in said.items() if times > 1]


@every
def test_a_remedy_at_the_desk_is_an_act_that_the_desk_has(guide: Guide) -> None:
    for remedy in guide.remedies:
        if remedy.kind != "act":
            assert not remedy.act, remedy.id
            continue
        assert remedy.act in ACTS, remedy.id
        inputs = dict(remedy.inputs)
        assert set(inputs) == INPUTS[remedy.act], remedy.id
        assert inputs.get("feature", "voicemail") in FEATURES, remedy.id


@every
def test_nothing_that_costs_money_is_done_without_asking(guide: Guide) -> None:
    costly = {"lines.add_data", "lines.restore", "payments.send_link"}
    assert all(remedy.consent for remedy in guide.remedies if remedy.act in costly)
    assert all(
        remedy.consent
        for remedy in guide.remedies
        if dict(remedy.inputs).get("feature") in ("roaming", "international_calling")
    )


@every
def test_nothing_is_switched_on_for_a_line_under_suspicion(guide: Guide) -> None:
    """What must not be touched while the fraud team has it: the line, its features, its money."""
    held = {"suspended_fraud", "sim_swapped"} & {cause.id for cause in guide.causes}
    for remedy in guide.remedies:
        if remedy.kind == "act" and not set(remedy.removes) & {"suspended_wish", "suspended_lost", "suspended_unpaid"}:
            assert held <= set(remedy.not_with), remedy.id


@every
def test_only_what_changes_nothing_for_good_is_given_on_a_suspicion(guide: Guide) -> None:
    harmless = {remedy.id for remedy in guide.remedies if remedy.harmless and remedy.kind != "say"}
    assert harmless <= {"airplane_toggle", "restart", "better_place", "close_app", "refresh_provisioning"}


@every
def test_a_probe_is_one_that_the_desk_answers(guide: Guide) -> None:
    for check in guide.checks:
        if check.kind == "probe":
            assert {x.id for x in check.outcomes} <= PROBES[check.id], check.id


@every
def test_words_are_short_and_a_doubtful_question_has_other_words(guide: Guide) -> None:
    for check in guide.checks:
        assert len(check.say) <= 160, check.id
        if check.kind != "probe":
            assert check.again and check.again != check.say, check.id
            assert check.title, check.id
    for remedy in guide.remedies:
        assert len(remedy.say) <= 160, remedy.id
    for cause in guide.causes:
        if cause.id != UNKNOWN and cause.lives != "circumstance":
            assert cause.teach, cause.id


def said(guide: Guide, platform: str) -> list[str]:
    """Everything that is read aloud, for a phone of this platform."""
    walk = Walk(guide, policy=numbers(FILES), platform=platform)
    steps = (*guide.checks, guide.test, *guide.remedies)
    texts = [text for x in steps for text in (x.say, x.again, x.expect, getattr(x, "consent", ""), *(o.say for o in getattr(x, "outcomes", ())))]
    return [walk.words(text) for text in (*texts, *(x.say for x in guide.screens), *(x.teach for x in guide.causes)) if text]


@every
def test_nothing_is_said_raw_and_each_phone_is_told_its_own_way(guide: Guide) -> None:
    for platform, other in (("iPhone", "Android:"), ("Android", "iPhone:"), ("", "[")):
        for text in said(guide, platform):
            assert text and not set("[]{}|") & set(text), text
            assert other not in text or text.startswith(other), text  # a whole sentence about the other phone stays
    assert len(said(guide, "")) == len(said(guide, "iPhone"))


def test_the_words_of_a_place_and_of_a_platform() -> None:
    def of(platform: str, text: str) -> str:
        return Walk(GUIDES["messages"], policy=numbers(FILES), platform=platform).words(text)

    way = "Open it. [iPhone: tap Cellular.] [Android: tap SIMs.]"
    assert [of(x, way) for x in ("iPhone", "Android", "")] == ["Open it. Tap Cellular.", "Open it. Tap SIMs.", "Open it. iPhone: tap Cellular. Android: tap SIMs."]
    switch = "Switch on [Cellular Data | Android: Mobile data]."
    assert [of(x, switch) for x in ("iPhone", "Android", "")] == ["Switch on Cellular Data.", "Switch on Mobile data.", "Switch on Cellular Data (Android: Mobile data)."]
    device = tomllib.loads(FILES["limits.toml"])["device"]
    assert of("", "Ours are {apn} and {mmsc}.") == f"Ours are {device['apn']} and {device['mmsc']}."
    assert [platform_of(x, FILES) for x in ("apple", " Google", "Alcatel", "")] == ["iPhone", "Android", "", ""]


def test_no_part_and_nothing_in_a_part_is_unused() -> None:
    used = {name for path in FILES if path.startswith("guides/") for name in tomllib.loads(FILES[path]).get("use", [])}
    parts = {path.removeprefix("guides/") for path in FILES if path.startswith("guides/parts/")}
    assert parts == used
    wanted = {table: {row.id for guide in GUIDES.values() for row in getattr(guide, table)} for table in ("causes", "checks", "screens", "remedies")}
    for part in parts:
        for table, rows in tomllib.loads(FILES[f"guides/{part}"]).items():
            assert {row["id"] for row in rows} <= wanted[table], part


def wrong(guide: Guide, tally: prove.Tally) -> list[tuple[tuple[str, ...], str, list[str]]]:
    """The cases that did not end right, or in which something was changed that was not at fault. What is harmless
    (a restart, airplane mode on and off) may be tried on a suspicion."""
    found = []
    for result in tally.wrong:
        changed = [n for n in result.needless if n.endswith("!") or not guide.remedy_by_id[n].harmless]
        if changed or not result.right:
            found.append((result.causes, result.verdict, changed))
    return found


@every
def test_each_cause_alone_is_fixed_or_handed_over_and_nothing_is_changed_needlessly(guide: Guide) -> None:
    assert not wrong(guide, prove.sweep(guide, [(cause.id,) for cause in guide.causes if cause.shows]))


@every
def test_two_causes_at_once_are_found_as_well(guide: Guide) -> None:
    pairs = [case for case in prove.cases(guide, 2, seed=4) if len(case) == 2]
    assert not wrong(guide, prove.sweep(guide, pairs[1 :: max(1, len(pairs) // 3)]))


@every
def test_the_proof_finds_nothing_contradictory_in_the_guide(guide: Guide) -> None:
    quiet = prove.Tally(chosen={x.id for x in (*guide.checks, *guide.remedies)})
    assert not [complaint.says for complaint in prove.complaints(guide, quiet)]


def test_the_more_an_answer_can_be_relied_on_the_more_callers_are_helped() -> None:
    """Ten callers without service, whose answers are right eight, nine and ten times in ten. (The whole sweep is in benchmarks.)"""
    guide = GUIDES["no_service"]
    cases = list(prove.cases(guide, 2, sample=9, seed=11))
    helped = [prove.sweep(guide, cases, reliability=reliability, stubborn=0.0).right for reliability in (0.8, 0.9)]
    helped.append(prove.sweep(guide, cases).right)
    assert helped == sorted(helped)
    assert helped[1] >= 0.95 * len(cases) and helped[2] == len(cases)
