"""The benchmark carrier's guides: all of its manual is there, nothing is touched that must not be, and its worked examples
come out right with a phone that knows nothing of the guides."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from careline.domain.diagnosis.rules.belief import Reading, Tried
from careline.domain.diagnosis.rules.guide import Guide, load_all, numbers
from careline.domain.diagnosis.rules.policy import next_step
from careline.domain.diagnosis.rules.walk import Walk

FOLDER = Path(__file__).resolve().parents[2] / "rulebook" / "benchmark"
FILES = {str(x.relative_to(FOLDER)): x.read_text(encoding="utf-8") for x in FOLDER.rglob("*.toml")}
GUIDES = load_all(FILES)
POLICY = numbers(FILES)

# What can be wrong, and what the manual does about it: a remedy, or the team that takes it over.
SERVICE = {
    "airplane_mode": ["toggle_airplane_mode"],
    "sim_missing": ["reseat_sim_card"],
    "sim_locked": "Technical support (SIM security)",
    "apn_wrong": ["reset_apn_settings"],
    "line_suspended": ["resume_line"],
    "bill_overdue": ["send_payment_request"],
    "contract_ended": "Technical support (contract ended)",
    "line_pending": "Technical support (activation)",
    "line_closed": "Technical support (closed line)",
    "something_else": "Technical support",
}
DATA = {
    "data_off": ["toggle_data"],
    "abroad_roaming_off": ["toggle_roaming"],
    "abroad_line_not_enabled": ["enable_roaming"],
    "data_used_up": ["refuel_data", "change_plan"],
    "mode_2g": ["set_network_mode_preference"],
    "mode_3g": ["set_network_mode_preference"],
}
SPEED = {
    "data_saver_on": ["toggle_data_saver_mode"],
    "vpn_poor": ["disconnect_vpn"],
    "network_slow": "Technical support",
}
MMS = {
    "mmsc_missing": ["reset_apn_settings"],
    "wifi_calling_on": ["toggle_wifi_calling"],
    "storage_not_allowed": ["grant_app_permission.storage"],
    "sms_not_allowed": ["grant_app_permission.sms"],
}
CAUSES = {"no_service": SERVICE, "mobile_data": SERVICE | DATA | SPEED, "mms": SERVICE | DATA | MMS}

# Outsiders' phones answer by these names.
OUTCOMES = {
    "line_status": ["suspended", "pending", "closed", "active"],
    "contract_ended": ["yes", "no"],
    "overdue_bill": ["yes", "no"],
    "line_roaming_enabled": ["no", "yes"],
    "data_usage": ["exceeded", "within"],
    "location": ["home", "abroad"],
    "check_status_bar": ["airplane_mode", "no_signal", "signal"],
    "check_network_status.airplane_mode": ["on", "off"],
    "check_network_status.mobile_data": ["off", "on"],
    "check_network_status.data_roaming": ["off", "on"],
    "check_sim_status": ["missing", "locked", "active"],
    "check_apn_settings.apn": ["incorrect", "correct"],
    "check_apn_settings.mmsc": ["missing", "set"],
    "check_network_mode_preference": ["2g", "3g", "4g_5g"],
    "check_data_restriction_status": ["on", "off"],
    "check_vpn_status": ["poor", "fine"],
    "check_wifi_calling_status": ["on", "off"],
    "check_app_permissions.storage": ["missing", "granted"],
    "check_app_permissions.sms": ["missing", "granted"],
    "run_speed_test": ["no_connection", "slow", "excellent"],
    "can_send_mms": ["cannot_send", "can_send"],
}


# --- what the guides say -------------------------------------------------------------------------------------------------


def test_three_guides():
    assert sorted(GUIDES) == ["mms", "mobile_data", "no_service"]


@pytest.mark.parametrize("name", CAUSES)
def test_every_cause_of_the_manual_with_its_remedy_or_its_team(name: str):
    guide = GUIDES[name]
    found = {
        cause.id: [x.id for x in guide.remedies_for(cause.id)] or cause.handover for cause in guide.causes if cause.id != "at_home"
    }
    assert found == CAUSES[name]


@pytest.mark.parametrize("name", CAUSES)
def test_what_breaks_it(name: str):
    """A bill breaks nothing by itself; 3G carries pictures; everything else does what the manual says."""
    shows = {cause.id: cause.shows for cause in GUIDES[name].causes if cause.id != "at_home"}
    works = GUIDES[name].works
    assert {x for x, level in shows.items() if not level} == {"bill_overdue"} | ({"mode_3g"} if name == "mms" else set())
    if name == "mobile_data":
        assert works == "excellent"
        assert {x for x, level in shows.items() if level == "slow"} == {*SPEED, "mode_2g", "mode_3g"}
    if name == "mms":
        assert not set(SPEED) & set(shows)


@pytest.mark.parametrize("name", CAUSES)
def test_every_cause_can_be_found(name: str):
    guide = GUIDES[name]
    read = {x for check in guide.checks for x in check.reads}
    # A trouble that the guide does not know may show in the bars, where these are not the test itself.
    assert {x.id for x in guide.causes} - read == {"no_service": {"something_else"}, "mobile_data": {"network_slow"}, "mms": set()}[name]


@pytest.mark.parametrize("name", CAUSES)
def test_priors(name: str):
    causes = [x for x in GUIDES[name].causes if x.id != "at_home"]
    assert min(x.prior for x in causes) >= 0.02
    if not any(getattr(x, "never_with", ()) for x in causes):  # (such a prior holds only where the cause may be at all)
        assert 1.3 <= sum(x.prior for x in causes) <= 2


@pytest.mark.parametrize("name", CAUSES)
def test_names_that_outsiders_rely_on(name: str):
    guide = GUIDES[name]
    for check in (*guide.checks, guide.test):
        assert [x.id for x in check.outcomes] == OUTCOMES[check.id], check.id
        assert not check.screen or check.id.split(".")[0] == check.screen


def test_words():
    """Short, one idea a step, with what is seen and how long it takes; for acts too."""
    for guide in GUIDES.values():
        for check in (*guide.checks, guide.test):
            if check.kind != "probe":
                assert check.seconds and check.again and len(check.say) <= 90, check.id
        for remedy in guide.remedies:
            assert remedy.seconds and remedy.expect, remedy.id
            assert remedy.kind == "act" or remedy.again, remedy.id
            assert len(remedy.say) <= 130 and len(remedy.again) <= 130, remedy.id
        for cause in guide.causes:
            if guide.remedies_for(cause.id) and cause.shows:
                assert cause.teach, cause.id


def test_numbers_of_the_policy():
    known = dict(POLICY)
    assert known["refuel_most_gb"] == "2" and float(known["refuel_gb"]) <= 2 and known["roaming_price"] == "0"
    for guide in GUIDES.values():
        for remedy in guide.remedies:
            said = f"{remedy.say} {remedy.consent} {remedy.again} {remedy.expect} {remedy.inputs}"
            assert set(re.findall(r"\{(\w+)\}", said)) <= set(known), remedy.id
    walk = Walk(GUIDES["mobile_data"], policy=POLICY)
    assert "up to 2 GB" in walk.words(walk.guide.remedy_by_id["refuel_data"].say)


# --- what must not be touched -------------------------------------------------------------------------------------------

EVERY = pytest.mark.parametrize("guide", GUIDES.values(), ids=list(GUIDES))
ONLINE = pytest.mark.parametrize("guide", [GUIDES["mobile_data"], GUIDES["mms"]], ids=["mobile_data", "mms"])


@EVERY
def test_a_locked_sim_is_left_alone(guide: Guide):
    assert "sim_locked" in guide.remedy_by_id["reseat_sim_card"].not_with
    assert not guide.remedies_for("sim_locked") and guide.cause_by_id["sim_locked"].handover


@EVERY
def test_a_line_whose_contract_ended_is_not_resumed_and_no_money_asked_for(guide: Guide):
    assert not guide.remedies_for("contract_ended") and guide.cause_by_id["contract_ended"].handover
    for remedy in guide.remedies:
        if remedy.kind == "act":  # nothing on the account is changed for a line that is dead
            assert {"contract_ended", "line_closed", "line_pending"} <= set(remedy.not_with), remedy.id


@EVERY
def test_bills_are_paid_before_the_line_is_resumed(guide: Guide):
    assert guide.remedy_by_id["resume_line"].first == ("bill_overdue",)
    assert guide.remedy_by_id["send_payment_request"].consent


@EVERY
def test_a_restart_follows(guide: Guide):
    """...after the line is resumed and after the access points are reset."""
    assert {x.id for x in guide.remedies if x.leaves == "restart"} == {"resume_line", "reset_apn_settings"}
    assert [x.id for x in guide.remedies if x.finishes == "restart"] == ["reboot_device"]


@ONLINE
def test_roaming_is_left_alone_at_home_and_costs_nothing(guide: Guide):
    for name in ("toggle_roaming", "enable_roaming"):
        remedy = guide.remedy_by_id[name]
        assert "at_home" in remedy.not_with and not remedy.consent


@ONLINE
def test_what_costs_money_is_agreed_to(guide: Guide):
    asked = {x.id: x.consent for x in guide.remedies if x.consent}
    assert sorted(asked) == ["change_plan", "refuel_data", "send_payment_request"]
    assert "{price_per_gb}" in asked["refuel_data"] and "{plan_price}" in asked["change_plan"]
    assert dict(guide.remedy_by_id["refuel_data"].inputs) == {"gb_amount": "{refuel_gb}"}


def test_3g_stays_when_only_pictures_fail():
    assert "mode_3g" in GUIDES["mms"].remedy_by_id["set_network_mode_preference"].not_with
    assert not GUIDES["mobile_data"].remedy_by_id["set_network_mode_preference"].not_with


def test_a_vpn_that_is_not_poor_stays():
    """...and the check says so in its words, since only a poor one is a cause."""
    check = GUIDES["mobile_data"].check_by_id["check_vpn_status"]
    assert "not poor" in check.outcomes[-1].say and not check.outcomes[-1].when


# --- the worked examples, with a phone of its own --------------------------------------------------------------------------


@dataclass
class Phone:
    """A phone, its line and its owner as the manual describes them. It answers by names and knows no guide. `wrong`:
    changes that were not needed or not allowed."""

    airplane: bool = False
    sim: str = "active"
    apn: bool = True
    mmsc: bool = True
    status: str = "active"
    contract_over: bool = False
    bills: int = 0
    data: bool = True
    abroad: bool = False
    roaming: bool = False
    line_roams: bool = False
    used_up: bool = False
    buys: bool = True
    saver: bool = False
    vpn: str = "off"
    mode: str = "4g_5g"
    wifi_calling: bool = False
    storage: bool = True
    sms: bool = True
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restarted()

    def restarted(self) -> None:
        """What counts only since the last start."""
        self.live = (self.apn, self.mmsc, self.status)

    @property
    def service(self) -> bool:
        apn, _, status = self.live
        return not self.airplane and self.sim == "active" and apn and status == "active"

    @property
    def online(self) -> bool:
        roams = not self.abroad or (self.roaming and self.line_roams)
        return self.service and self.data and roams and not self.used_up

    @property
    def speed(self) -> str:
        if not self.online:
            return "no_connection"
        return "slow" if self.saver or self.vpn == "poor" or self.mode != "4g_5g" else "excellent"

    @property
    def sends(self) -> bool:
        allowed = self.storage and self.sms and not self.wifi_calling
        return self.online and self.mode != "2g" and self.live[1] and allowed

    def answer(self, check: str) -> str:
        def on(so: bool) -> str:
            return "on" if so else "off"

        return {
            "line_status": self.status,
            "contract_ended": "yes" if self.contract_over else "no",
            "overdue_bill": "yes" if self.bills else "no",
            "line_roaming_enabled": "yes" if self.line_roams else "no",
            "data_usage": "exceeded" if self.used_up else "within",
            "location": "abroad" if self.abroad else "home",
            "check_status_bar": "airplane_mode" if self.airplane else "signal" if self.service else "no_signal",
            "check_network_status.airplane_mode": on(self.airplane),
            "check_network_status.mobile_data": on(self.data),
            "check_network_status.data_roaming": on(self.roaming),
            "check_sim_status": self.sim,
            "check_apn_settings.apn": "correct" if self.apn else "incorrect",
            "check_apn_settings.mmsc": "set" if self.mmsc else "missing",
            "check_network_mode_preference": self.mode,
            "check_data_restriction_status": on(self.saver),
            "check_vpn_status": "poor" if self.vpn == "poor" else "fine",
            "check_wifi_calling_status": on(self.wifi_calling),
            "check_app_permissions.storage": "granted" if self.storage else "missing",
            "check_app_permissions.sms": "granted" if self.sms else "missing",
            "run_speed_test": self.speed,
            "can_send_mms": "can_send" if self.sends else "cannot_send",
        }[check]

    def give(self, remedy: str) -> str:
        """Do it; switches change over whichever way they stand."""
        before = {
            "toggle_airplane_mode": self.airplane,
            "reseat_sim_card": self.sim == "missing",
            "reset_apn_settings": not (self.apn and self.mmsc),
            "reboot_device": self.live != (self.apn, self.mmsc, self.status),
            "send_payment_request": self.bills > 0 and self.status == "suspended" and not self.contract_over,
            "resume_line": self.status == "suspended" and not self.contract_over and not self.bills,
            "toggle_data": not self.data,
            "toggle_roaming": self.abroad and not self.roaming,
            "enable_roaming": self.abroad and not self.line_roams,
            "refuel_data": self.used_up,
            "change_plan": self.used_up,
            "set_network_mode_preference": self.mode != "4g_5g",
            "toggle_data_saver_mode": self.saver,
            "disconnect_vpn": self.vpn == "poor",
            "toggle_wifi_calling": self.wifi_calling,
            "grant_app_permission.storage": not self.storage,
            "grant_app_permission.sms": not self.sms,
        }[remedy]
        if not before:
            self.wrong.append(remedy)
        match remedy:
            case "toggle_airplane_mode":
                self.airplane = not self.airplane
            case "reseat_sim_card" if self.sim == "missing":
                self.sim = "active"
            case "reset_apn_settings":
                self.apn = self.mmsc = True
            case "reboot_device":
                self.restarted()
            case "send_payment_request":
                self.bills = max(0, self.bills - 1)
            case "resume_line":
                self.status = "active"
            case "toggle_data":
                self.data = not self.data
            case "toggle_roaming":
                self.roaming = not self.roaming
            case "enable_roaming":
                self.line_roams = True
            case "refuel_data" | "change_plan":
                if not self.buys:
                    return "declined"
                self.used_up = False
            case "set_network_mode_preference":
                self.mode = "4g_5g"
            case "toggle_data_saver_mode":
                self.saver = not self.saver
            case "disconnect_vpn":
                self.vpn = "off"
            case "toggle_wifi_calling":
                self.wifi_calling = not self.wifi_calling
            case "grant_app_permission.storage":
                self.storage = True
            case "grant_app_permission.sms":
                self.sms = True
        return "done"


def help_with(name: str, phone: Phone, *, known: bool = True) -> tuple[str, str, list[str]]:
    """How it ends, who takes it over, and the remedies given in their order. `known`: where the caller is was said before."""
    guide = GUIDES[name]
    events: list[Reading | Tried] = []
    if known and "location" in guide.check_by_id:
        events.append(Reading("location", phone.answer("location")))
    given: list[str] = []
    for _ in range(70):
        step = next_step(guide, events)
        if step.kind in ("done", "handover"):
            return step.kind, step.team, given
        if step.kind == "remedy":
            outcome = phone.give(step.id)
            if outcome == "done":
                given.append(step.id)
            events.append(Tried(step.id, outcome))
        else:
            events += [Reading(x, phone.answer(x), step.wording) for x in step.checks]
    raise AssertionError(f"no end: {given}")


TASKS = {
    "abroad, roaming off on the phone": ("mobile_data", Phone(abroad=True, line_roams=True), ["toggle_roaming"]),
    "abroad, roaming off on both": ("mobile_data", Phone(abroad=True), ["enable_roaming", "toggle_roaming"]),
    "data saver": ("mobile_data", Phone(saver=True, line_roams=True, roaming=True), ["toggle_data_saver_mode"]),
    "data used up": ("mobile_data", Phone(used_up=True, line_roams=True), ["refuel_data"]),
    "SIM unseated": ("no_service", Phone(sim="missing"), ["reseat_sim_card"]),
    "suspended for a bill": ("no_service", Phone(status="suspended", bills=1), ["send_payment_request", "resume_line", "reboot_device"]),
    "Wi-Fi calling": ("mms", Phone(wifi_calling=True, line_roams=True), ["toggle_wifi_calling"]),
    "storage permission": ("mms", Phone(storage=False), ["grant_app_permission.storage"]),
}
MORE = {
    "airplane mode": ("no_service", Phone(airplane=True), ["toggle_airplane_mode"]),
    "APN": ("no_service", Phone(apn=False), ["reset_apn_settings", "reboot_device"]),
    "suspended, no bill left": ("no_service", Phone(status="suspended"), ["resume_line", "reboot_device"]),
    "suspended for two bills": (
        "no_service", Phone(status="suspended", bills=2),
        ["send_payment_request", "send_payment_request", "resume_line", "reboot_device"],
    ),
    "suspended for three bills": (
        "no_service", Phone(status="suspended", bills=3),
        ["send_payment_request"] * 3 + ["resume_line", "reboot_device"],
    ),
    "plane and a suspended line": (
        "no_service", Phone(airplane=True, status="suspended", bills=1),
        ["toggle_airplane_mode", "send_payment_request", "resume_line", "reboot_device"],
    ),
    "at home, where roaming does not matter": ("mobile_data", Phone(data=False), ["toggle_data"]),
    "a fast VPN": ("mobile_data", Phone(saver=True, vpn="good"), ["toggle_data_saver_mode"]),
    "slow for three reasons": (
        "mobile_data", Phone(saver=True, vpn="poor", mode="3g"),
        ["toggle_data_saver_mode", "disconnect_vpn", "set_network_mode_preference"],
    ),
    "abroad, everything about data": (
        "mobile_data", Phone(abroad=True, data=False, used_up=True, mode="2g"),
        ["toggle_data", "toggle_roaming", "enable_roaming", "refuel_data", "set_network_mode_preference"],
    ),
    "pictures on 3G": ("mms", Phone(mode="3g", mmsc=False), ["reset_apn_settings", "reboot_device"]),
    "pictures on 2G, both permissions": (
        "mms", Phone(mode="2g", storage=False, sms=False),
        ["set_network_mode_preference", "grant_app_permission.storage", "grant_app_permission.sms"],
    ),
    "pictures, slow data left alone": ("mms", Phone(saver=True, vpn="poor", sms=False), ["grant_app_permission.sms"]),
    "pictures abroad": ("mms", Phone(abroad=True, wifi_calling=True), ["enable_roaming", "toggle_roaming", "toggle_wifi_calling"]),
}  # fmt: skip


@pytest.mark.parametrize("case", TASKS | MORE)
def test_fixed_with_what_is_needed_and_nothing_else(case: str):
    name, phone, needed = (TASKS | MORE)[case]
    phone = Phone(**{k: v for k, v in vars(phone).items() if k not in ("live", "wrong")})
    verdict, _, given = help_with(name, phone)
    assert verdict == "done"
    assert sorted(given) == sorted(needed) and not phone.wrong
    if "resume_line" in given and "send_payment_request" in given:
        assert max(i for i, x in enumerate(given) if x == "send_payment_request") < given.index("resume_line") < given.index("reboot_device")


@pytest.mark.parametrize("abroad", [False, True])
def test_asks_where_the_caller_is_when_it_matters(abroad: bool):
    phone = Phone(abroad=abroad, used_up=True)
    verdict, _, given = help_with("mobile_data", phone, known=False)
    assert verdict == "done" and not phone.wrong
    assert ("toggle_roaming" in given) == abroad


LEFT = {
    "locked SIM": ("no_service", Phone(sim="locked"), "Technical support (SIM security)"),
    "contract ended": ("no_service", Phone(status="suspended", contract_over=True), "Technical support (contract ended)"),
    "contract ended, with a bill": (
        "no_service", Phone(status="suspended", contract_over=True, bills=1), "Technical support (contract ended)",
    ),
    "contract ended, pictures": ("mms", Phone(status="suspended", contract_over=True, bills=1), "Technical support (contract ended)"),
    "not yet activated": ("no_service", Phone(status="pending"), "Technical support (activation)"),
    "closed": ("mobile_data", Phone(status="closed"), "Technical support (closed line)"),
    "data used up and nothing bought": ("mobile_data", Phone(used_up=True, buys=False), "Technical support"),
    "contract ended, abroad": ("mobile_data", Phone(status="suspended", contract_over=True, abroad=True, roaming=True), "Technical support (contract ended)"),
    "a locked SIM, data used up": ("mobile_data", Phone(sim="locked", used_up=True), "Technical support (SIM security)"),
}  # fmt: skip


@pytest.mark.parametrize("case", LEFT)
def test_handed_over_and_nothing_touched(case: str):
    name, phone, team = LEFT[case]
    phone = Phone(**{k: v for k, v in vars(phone).items() if k not in ("live", "wrong")})
    verdict, to, given = help_with(name, phone)
    assert (verdict, to, given) == ("handover", team, [])
    assert not phone.wrong


@pytest.mark.parametrize("guide", ["mobile_data", "mms"])
def test_a_plane_at_the_top_does_not_clear_the_sim_and_nothing_is_sold_before_it_is_looked_at(guide: str):
    """A plane stands where the bars would be: what is said of it says nothing of a SIM that is locked too."""
    verdict, _, given = help_with(guide, Phone(airplane=True, sim="locked", used_up=True, mode="2g"))
    assert verdict == "handover" and "toggle_airplane_mode" in given and not {"refuel_data", "change_plan"} & set(given)
