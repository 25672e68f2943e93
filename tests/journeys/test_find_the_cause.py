"""Find the cause with a caller on the line: a phone with known troubles answers exactly what the page asks."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import ROOT, _environment
from tests.journeys.greeting import answer_and_verify, ring
from tests.journeys.walking import Caller


def in_the_house(carrier, code: str) -> None:
    """Something that happened to Maria's line before she called."""
    script = "import django; django.setup()\nfrom careline.domain.customers.models import Line, Usage\nline = Line.objects.get(msisdn='+12065550188')\n" + code
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=_environment(carrier.home), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]


def begin(page: Page, words: str, guide: str) -> None:
    """The customer's words, typed; the guide that they speak of is proposed, and Enter begins."""
    page.keyboard.press("f")
    expect(page.locator("#cause-words")).to_be_focused()
    page.keyboard.type(words)
    page.keyboard.press("Enter")
    expect(page.locator(".guides legend").first).to_contain_text("This sounds like")
    assert page.locator("[name=guide]:checked").get_attribute("value") == guide
    expect(page.locator("button:focus")).to_have_text("Begin")
    page.keyboard.press("Enter")
    expect(page.locator(".cause-step")).to_be_visible()


def wrap_up(page: Page) -> tuple[str, str, str]:
    """End the contact: the summary, how it ended and the root cause as they are filled in."""
    page.keyboard.press("Escape")
    page.keyboard.press("e")
    page.click("text=The caller is gone")
    expect(page.locator("[name=summary]")).to_be_visible()
    ended = page.locator("[name=disposition]")
    how = ended.input_value() if ended.first.evaluate("e => e.tagName") == "SELECT" else page.locator("[name=disposition]:checked").get_attribute("value")
    return page.input_value("[name=summary]"), how or "", page.input_value("[name=root_cause]")


@pytest.fixture
def ana(sit_down, carrier):
    return sit_down("ana")


def test_airplane_mode_is_found_in_a_few_words_and_the_customer_is_told(carrier, ana):
    answer_and_verify(ana, carrier)
    begin(ana, "there are no bars at all since this morning", "no_service")
    expect(ana.locator(".cause-side")).to_contain_text("as they should be")
    expect(ana.locator(".suspects")).to_contain_text("Airplane mode is on")
    expect(ana.locator(".cause-say")).to_contain_text("Look at the very top of the screen")
    ana.click(".cause-why summary")
    expect(ana.locator(".cause-why")).to_contain_text("airplane mode is on")

    caller = Caller(ana, "no_service", "airplane_mode")
    first = ana.locator("#cause-step-title").inner_text()
    caller.reply()
    ana.keyboard.press("u")  # they misspoke: as it was, and once more
    expect(ana.locator("#cause-step-title")).to_have_text(first)
    expect(ana.locator(".cause-tag .num")).to_have_text("1")
    caller.replies()
    assert caller.phone.works and not caller.phone.needless
    expect(ana.locator("#cause-step-title")).to_have_text("It works again")
    expect(ana.locator(".found-causes")).to_contain_text("Airplane mode is on")
    assert ana.input_value("#cause-message").startswith("What we found: Airplane mode is on.")
    ana.click("text=Send it and close the search")
    expect(ana.locator(".flash").first).to_contain_text("works again")
    expect(ana.locator(".cause-step")).to_contain_text("The customer was sent what happened")
    sent = carrier.wait_for_message("what_happened")
    assert sent["to"] == "+12065550188" and "Airplane mode is on." in sent["body"]

    summary, how, root = wrap_up(ana)
    assert "Called about: phone or network trouble" in summary and re.search(r"WK-\S+: works again \(Airplane mode is on\)", summary)
    assert (how, root) == ("resolved", "device")
    ana.click("text=Close the contact")
    expect(ana.locator(".flash").first).to_contain_text("Closed")


def test_two_causes_at_once_one_is_put_right_here_and_one_on_the_phone(carrier, ana):
    in_the_house(carrier, "from django.utils import timezone\nUsage.objects.create(line=line, kind='data', day=timezone.now().date(), quantity=16_000)\n")
    answer_and_verify(ana, carrier)
    expect(ana.locator(".probably")).to_contain_text("data used up")
    ana.click(".probably a:has-text('find the cause')")
    expect(ana.locator("#cause-words")).to_be_focused()
    ana.keyboard.type("I have bars but the internet does not load without wifi")
    ana.keyboard.press("Enter")
    expect(ana.locator("#guide-mobile_data")).to_be_checked()
    ana.check("#how-mobile_data-2", force=True)
    ana.click("text=Begin")
    caller = Caller(ana, "mobile_data", "allowance_used_up", "data_saver")
    caller.replies()

    # The books know it: nothing was asked before the data is added, with its price agreed to.
    assert not caller.asked and "Add 2 GB of data" in caller.act
    expect(ana.locator(".knowns .is-risk")).to_contain_text("Used up")
    expect(ana.locator(".cause-consent")).to_contain_text("Your plan's data is used up")
    ana.keyboard.press("1")
    expect(ana.locator("#act .say")).to_contain_text("2 GB more costs $10.00 plus tax")
    ana.click("#act button.primary")
    expect(ana.locator("#act .field-error")).to_be_visible()  # nobody agreed yet
    ana.locator("#act [name=mb][value='1024']").check(force=True)
    expect(ana.locator("#act .say")).to_contain_text("1 GB more costs $5.00")  # drawn again in its place in the step
    ana.locator("#act [name=consent]").last.check(force=True)
    ana.click("#act button.primary")
    expect(ana.locator(".flash").first).to_contain_text("Add 1 GB for $5.00 plus tax")
    expect(ana.locator(".cause-side")).to_contain_text("Done at the desk")
    caller.phone.give("add_data")

    caller.replies()
    assert caller.phone.works and not caller.phone.needless
    for cause in ("The plan's data is used up", "Data saver or low data mode is on"):
        expect(ana.locator(".found-causes")).to_contain_text(cause)
    ana.click("text=Close without a message")
    expect(ana.locator(".flash").first).to_contain_text("works again")
    summary, how, root = wrap_up(ana)
    assert "The plan's data is used up, Data saver" in summary and "Add 1 GB for $5.00" in summary
    assert (how, root) == ("resolved", "usage")


def test_a_locked_sim_goes_to_those_who_may_open_it(carrier, ana):
    in_the_house(carrier, "line.sim_state = 'blocked'\nline.save()\n")
    answer_and_verify(ana, carrier)
    ana.keyboard.press("f")
    ana.check("#guide-sim_esim", force=True)
    ana.keyboard.press("Enter")
    expect(ana.locator(".cause-step")).to_be_visible()
    caller = Caller(ana, "sim_esim", "sim_puk")
    caller.reply()
    ana.keyboard.press("i")  # she reads it out: what somebody knows is evidence too
    expect(ana.locator("#cause-typed")).to_be_focused()
    ana.keyboard.type("puk")
    ana.keyboard.press("Enter")
    expect(ana.locator(".cause-side")).to_contain_text("Known to you")
    caller.replies()
    while caller.act:  # sent again on a suspicion, for it does no harm
        caller.do_here()
        caller.replies()
    assert not caller.phone.needless
    expect(ana.locator("#cause-step-title")).to_have_text("Hand over to SIM security")
    expect(ana.locator(".found-causes")).to_contain_text("The SIM is locked and asks for the PUK")
    assert "SIM security takes it from here" in ana.input_value("#cause-message")
    ana.click("text=Hand the contact over")
    assert "The SIM is locked and asks for the PUK" in ana.input_value("#act [name=words]")
    ana.keyboard.press("Escape")
    ana.keyboard.press("f")
    ana.click("text=Close without a message")
    expect(ana.locator(".cause-step .step-title")).to_have_text("Handed over to SIM security")
    expect(ana.locator(".flash").first).to_contain_text("handed over")
    summary, how, root = wrap_up(ana)
    assert "handed over to SIM security" in summary and (how, root) == ("handed_on", "device")


def test_a_search_survives_a_dropped_call_and_goes_on_in_the_next_contact(carrier, ana, sit_down):
    answer_and_verify(ana, carrier)
    begin(ana, "no signal anywhere, it just says SOS", "no_service")
    caller = Caller(ana, "no_service", "airplane_mode", "sim_unseated")
    caller.reply()
    stood = ana.locator("#cause-step-title").inner_text()
    ana.keyboard.press("d")
    ana.click("#act button.primary")
    expect(ana.locator(".verify")).to_contain_text("The line dropped")
    assert stood not in ana.content()  # nothing of it while nobody is proven

    # She does not come back: the contact ends, and the next one is somebody else's.
    ana.goto(ana.url.partition("?")[0] + "?act=contacts.end")
    ana.click("text=The caller is gone")
    expect(ana.locator("[name=summary]")).to_be_visible()
    assert "is not finished: the next contact goes on with it" in ana.input_value("[name=summary]")
    ben = sit_down("ben")
    ring(ben, carrier, "(206) 555-0188")
    ben.click("text=Answer")
    ben.fill("[name=pin]", "4711")
    ben.keyboard.press("Enter")
    expect(ben.locator(".open-walks")).to_contain_text("A search for the cause is open for line 0188 since")
    ben.click(".open-walks >> text=Go on")
    expect(ben.locator("#cause-step-title")).to_have_text(stood)
    expect(ben.locator(".cause-head")).to_contain_text("in an earlier contact")
    caller.page = ben
    caller.replies()
    assert caller.phone.works
    expect(ben.locator(".found-causes")).to_contain_text("The SIM card sits badly")
    ben.click("text=Send it and close the search")
    expect(ben.locator(".cause-step")).to_contain_text("The customer was sent what happened")


def test_every_step_and_its_answers_work_without_script(carrier, chromium, sit_down):
    ana = sit_down("ana", java_script_enabled=False)
    ring(ana, carrier, "(206) 555-0188")
    ana.click("text=Answer")
    ana.fill("[name=pin]", "4711")
    ana.click(".factor.is-next button, .factor button >> nth=0")
    ana.click("nav.sections >> text=Find the cause")
    ana.fill("#cause-words", "no bars")
    ana.click("text=Go on")
    ana.check("#guide-no_service", force=True)
    ana.click("text=Begin")
    for _ in range(12):
        if not ana.locator("#form-cause-step").count():
            break
        for question in ana.locator("[data-question]").all():
            question.locator("input").first.check(force=True)
        go_on = ana.locator("[data-go-on]")
        (go_on if go_on.count() else ana.locator("#form-cause-step button").first).click()
        expect(ana.locator("#cause")).to_be_visible()
    ana.click("text=Leave the search")
    expect(ana.locator("#form-cause-start")).to_be_visible()
