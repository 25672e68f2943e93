"""axe finds nothing: every page of the desk and the customer's pay page, in light and dark, on a desk and on a tablet."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.journeys.greeting import answer, ring, verify
from tests.journeys.walking import Caller

WIDTHS = {"desk": {"width": 1440, "height": 900}, "tablet": {"width": 820, "height": 1180}}
COMBINATIONS = (("light", "desk"), ("dark", "tablet"), ("dark", "desk"), ("light", "tablet"))


class Checker:
    """Looks at a page as it stands: the pages that people sit at in every combination, the others in turn."""

    script = Axe().axe_script

    def __init__(self) -> None:
        self.turns = itertools.cycle(COMBINATIONS)
        self.found: list[str] = []
        self.places = 0

    def __call__(self, page: Page, place: str, everywhere: bool = False) -> None:
        self.places += 1
        for colours, width in COMBINATIONS if everywhere else [next(self.turns)]:
            page.emulate_media(color_scheme=colours, reduced_motion="reduce")
            page.set_viewport_size(WIDTHS[width])
            wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            if wide > 0:
                self.found.append(f"{place}, {colours}, {width}: {wide} px wider than the window")
            for fault in self._axe(page):
                where = [f"{n['target']} {n['html'][:160]} {n['failureSummary']}" for n in fault["nodes"][:3]]
                self.found.append(f"{place}, {colours}, {width}: {fault['id']}: {fault['help']}\n    " + "\n    ".join(where))
        page.set_viewport_size(WIDTHS["desk"])

    def _axe(self, page: Page) -> list[dict]:
        if page.evaluate("typeof window.axe") == "undefined":
            page.evaluate(self.script)
        return page.evaluate("axe.run({resultTypes: ['violations']}).then(r => r.violations)")


@pytest.fixture
def check() -> Iterator[Checker]:
    checker = Checker()
    yield checker
    assert checker.places, "no place was looked at"
    assert not checker.found, "\n".join(checker.found)


def test_axe_would_find_something(chromium, check):
    page = chromium.new_context().new_page()
    page.set_content("<!doctype html><title>x</title><p style='color:#aaa;background:#fff'>Pale <input>")
    check(page, "a bad page")
    page.context.close()
    assert {"color-contrast", "label"} <= {f.split(": ")[1] for f in check.found}
    check.found.clear()


def test_the_doors_and_the_pages_around_a_contact(carrier, sit_down, chromium, check):
    stranger = chromium.new_context().new_page()
    stranger.goto(carrier.url + "/sign-in")
    check(stranger, "sign-in")
    stranger.fill("[name=login]", "ana")
    stranger.fill("[name=password]", "wrong")
    stranger.click("button.primary")
    expect(stranger.locator("[role=alert]").first).to_be_visible()
    check(stranger, "sign-in refused")
    stranger.context.close()

    ana = sit_down("ana")
    check(ana, "home, idle", everywhere=True)
    ana.click("#menu summary")
    check(ana, "the menu")
    ana.goto(carrier.url + "/")
    ana.keyboard.press("?")
    expect(ana.locator("#keys")).to_be_visible()
    check(ana, "the list of keys")
    ana.goto(carrier.url + "/")
    ana.keyboard.press("Control+k")
    expect(ana.locator("#palette")).to_be_visible()
    check(ana, "the list of acts")
    for path, place in (
        ("/find", "find, nothing asked"), ("/find?q=okafor", "find, found"), ("/find?q=nobody+of+that+name", "find, nothing found"),
        ("/messages", "messages, none"), ("/ring", "make it ring"), ("/api/docs", "API"), ("/people", "forbidden"), ("/nothing-here", "not found"),
    ):
        ana.goto(carrier.url + path)
        check(ana, place)
    ana.goto(carrier.url + "/find?q=A-0105001")
    ana.click("text=Open a contact")
    expect(ana.locator(".refusal")).to_be_visible()
    check(ana, "own business, not opened")
    ring(ana, carrier, "(206) 555-0133")
    expect(ana.locator(".ring")).to_be_visible()
    check(ana, "home, ringing")

    sam = sit_down("sam")
    for path, place in (("/network", "network, nothing wrong"), ("/network?q=98101", "network, asked about a place")):
        sam.goto(carrier.url + path)
        check(sam, place)
    sam.fill("#form-network-name-area [name=name]", "Seattle")
    sam.click("#form-network-name-area button.primary")
    expect(sam.locator(".field-error").first).to_be_visible()
    check(sam, "network, a field of an area is wrong")
    sam.fill("#form-network-name-area [name=short]", "seattle")
    sam.fill("#form-network-name-area [name=postal]", "981")
    sam.click("#form-network-name-area button.primary")
    expect(sam.locator(".flash")).to_be_visible()
    sam.get_by_label("Seattle", exact=True).check()
    sam.check("[name=data]")
    sam.fill("#form-network-report-outage [name=words]", "Data is away in parts of Seattle")
    sam.click("#form-network-report-outage button.primary")
    expect(sam.locator(".trouble")).to_be_visible()
    sam.goto(carrier.url + "/network?q=98101")
    check(sam, "network, an outage", everywhere=True)
    sam.click("text=change or end")
    expect(sam.locator("#change")).to_be_visible()
    check(sam, "network, an outage changes")
    ana.goto(carrier.url + "/network")
    check(ana, "network, to read only")
    sam.goto(carrier.url + "/books?on=2026-11-24")
    check(sam, "books, added up")

    ada = sit_down("ada")
    check(ada, "people")
    ada.fill("#form-staff-add [name=name]", "Nia Cole")
    ada.click("#form-staff-add button.primary")
    expect(ada.locator(".field-error, .form-error").first).to_be_visible()
    check(ada, "people, a field is wrong")


def test_before_anything_is_proven(carrier, sit_down, check):
    ana = sit_down("ana")
    ana.click("text=Start a contact")
    expect(ana.locator(".verify")).to_be_visible()
    check(ana, "contact, no account")
    here = ana.url
    for query, place in (
        ("?q=0188", "contact, found"), ("?q=nobody+at+all", "contact, nothing found"), ("?act=contacts.reason", "contact, reason"),
        ("?act=contacts.end", "contact, end"),
    ):
        ana.goto(here + query)
        check(ana, place)
    ana.goto(here + "?q=0188")
    ana.click("text=Choose this one")
    expect(ana.locator(".factors")).to_be_visible()
    check(ana, "contact, identified", everywhere=True)
    ana.click("text=Send the code")
    expect(ana.locator("[name=code]")).to_be_visible()
    check(ana, "contact, code sent")
    ana.fill("[name=pin]", "0000")
    ana.keyboard.press("Enter")
    expect(ana.locator("text=2 tries left").first).to_be_visible()
    check(ana, "contact, a wrong PIN")
    for after in ("text=1 try left", ".factor.is-locked"):
        ana.fill("[name=pin]", "0000")
        ana.keyboard.press("Enter")
        expect(ana.locator(after).first).to_be_visible()
    check(ana, "contact, PIN locked")
    ana.goto(here + "?move=1")
    check(ana, "contact, another account")
    ana.goto(here)
    ana.fill("[name=name]", "Peter Unknown")
    ana.click("text=This is who speaks")
    expect(ana.locator(".flash")).to_be_visible()
    check(ana, "contact, a stranger")
    ana.click("text=Only wants to pay")
    expect(ana.locator("[name=number]")).to_be_visible()
    check(ana, "contact, only wants to pay")
    ana.click("text=Send the link")
    expect(ana.locator(".field-error, .form-error").first).to_be_visible()
    check(ana, "contact, only wants to pay, a field is wrong")
    ana.fill("[name=amount]", "20")
    ana.fill("[name=number]", "(312) 555-0142")
    ana.click("text=Send the link")
    link = re.search(r"/pay/[\w-]+", carrier.wait_for_message("payment_link")["body"]).group()
    ana.goto(carrier.url + "/messages")
    check(ana, "messages")
    payer = ana.context.browser.new_context().new_page()
    payer.goto(carrier.url + link)
    check(payer, "pay link")
    payer.click("text=declined")
    expect(payer.locator("[role=alert]")).to_be_visible()
    check(payer, "pay link, declined")
    payer.click("text=ending 4242")
    expect(payer.locator("h1")).to_have_text("Thank you")
    check(payer, "paid")
    payer.context.close()


def test_the_account_and_its_acts(carrier, sit_down, check):
    ana = sit_down("ana")
    answer(ana, carrier)
    verify(ana)
    here = ana.url
    check(ana, "account", everywhere=True)
    ana.set_viewport_size(WIDTHS["tablet"])
    ana.keyboard.press("q")
    ana.keyboard.press("y")
    check(ana, "account, both drawers open")
    for query in ("?section=lines", "?section=time", "?section=notes", "?verify=more"):
        ana.goto(here + query)
        check(ana, f"account, {query}")
    ana.goto(here)
    ana.click(".table a >> nth=0")
    expect(ana.locator("#bill")).to_be_visible()
    check(ana, "account, a bill")
    for act in ("payments.take", "payments.send_link", "payments.send_guest_link", "credits.reverse", "contacts.hand_over", "contacts.reason", "contacts.drop", "contacts.end"):
        ana.goto(f"{here}?act={act}")
        expect(ana.locator("#act form")).to_be_visible()
        check(ana, f"account, {act}")
    ana.goto(here + "money/")
    check(ana, "money", everywhere=True)
    ana.goto(f"{here}?act=credits.grant")
    check(ana, "account, credits.grant")
    ana.fill("[name=amount]", "a lot")
    ana.click("text=Grant the credit")
    expect(ana.locator("#act .field-error")).to_be_visible()
    check(ana, "account, an amount that is none")


def test_a_refusal_a_request_and_the_end(carrier, sit_down, check):
    ana, lena = sit_down("ana"), sit_down("lena")
    lena.goto(carrier.url + "/approvals")
    check(lena, "approvals, none")
    answer(ana, carrier)
    verify(ana)
    ana.keyboard.press("c")
    ana.select_option("[name=reason]", "retention")
    expect(ana.locator(".limit")).to_contain_text("retention")
    ana.fill("[name=amount]", "40")
    ana.click("text=Grant the credit")
    expect(ana.locator(".refusal")).to_be_visible()
    check(ana, "account, refused", everywhere=True)
    ana.fill(".refusal [name=words]", "Two outages this month")
    ana.click("text=Ask a lead")
    expect(ana.locator(".request")).to_contain_text("waiting")
    check(ana, "account, a request waits")
    expect(lena.locator(".inbox")).to_be_visible(timeout=5000)
    check(lena, "approvals")
    lena.click(".inbox a")
    expect(lena.locator(".decide")).to_be_visible()
    check(lena, "one request", everywhere=True)
    lena.fill("#form-less [name=amount]", "4000")
    lena.click("#form-less button.primary")
    expect(lena.locator(".field-error, .form-error, .refusal").first).to_be_visible()
    check(lena, "one request, a field is wrong")
    lena.fill("#form-decline [name=answer]", "Not without the bill line")
    lena.click("#form-decline button.primary")
    expect(lena.locator(".flash")).to_be_visible()
    check(lena, "approvals, decided")
    expect(ana.locator(".request")).to_contain_text("declined", timeout=5000)
    check(ana, "account, a request was declined")

    ana.fill("#note-words", "Her card is 4111 1111 1111 1111")
    ana.click("text=Save note")
    expect(ana.locator(".field-error")).to_be_visible()
    check(ana, "account, a note is wrong")
    ana.fill("#note-words", "Moves in March")
    ana.check("[name=pinned]")
    ana.click("text=Save note")
    expect(ana.locator(".note-list")).to_be_visible()
    check(ana, "account, notes")
    ana.click("nav.sections >> text=Money")
    expect(ana.locator(".pinned-notes")).to_contain_text("Moves in March")  # read first, wherever one is
    check(ana, "account, a pinned note")
    ana.click("footer >> text=hold")
    expect(ana.locator(".badge", has_text="on hold")).to_be_visible()
    check(ana, "account, on hold")
    ana.click("footer >> text=journal")
    expect(ana.locator(".table.journal")).to_be_visible()
    check(ana, "journal")
    ana.click("text=Back to the contact")
    ana.click("footer >> text=end and wrap up")
    ana.click("text=The caller is gone")
    expect(ana.locator("[name=summary]")).to_be_visible()
    check(ana, "wrap-up", everywhere=True)
    ana.select_option("[name=root_cause]", "billing_error")
    ana.fill("[name=follow_up]", "Call back")
    ana.click("text=Close the contact")
    expect(ana.locator(".form-error, .field-error").first).to_be_visible()
    check(ana, "wrap-up, a field is wrong")
    here = ana.url
    ana.goto(carrier.url + "/")
    check(ana, "home, a contact in hand")
    ana.goto(here)
    ana.fill("[name=follow_up]", "Call back about the new plan, and about the phone that she sent in for repair")
    ana.locator("[name=disposition]").first.evaluate("e => e.tagName === 'SELECT' ? (e.value = 'follow_up') : 0")
    ana.fill("[name=due_on]", "2031-01-31")
    ana.select_option("[name=root_cause]", "billing_error")
    ana.click("text=Close the contact")
    expect(ana.locator(".waits")).to_be_visible()
    check(ana, "home, a promise")
    ana.click(".waits a")
    expect(ana.locator("h1")).to_contain_text("Call back")
    check(ana, "a promise")
    ana.goto(here)
    check(ana, "a contact that is closed")


def test_the_rules_and_those_who_look_after_them(carrier, sit_down, check):
    for who, paths in {
        "sam": ("/rulebook", "/rulebook?part=who", "/rulebook?part=limits.toml", "/rulebook?part=history", "/rulebook/who-may", "/rulebook/changes",
                "/supervision", "/emergency", "/past-due", "/past-due/what-if", "/me/sign-in"),
        "lena": ("/let-in",),
        "ada": ("/people", "/checklist"),
    }.items():  # fmt: skip
        person = sit_down(who)
        for path in paths:
            assert person.goto(carrier.url + path).ok, path
            check(person, path, everywhere=True)


def test_find_the_cause_and_the_guides(carrier, sit_down, check):
    ana = sit_down("ana")
    answer(ana, carrier)
    verify(ana)
    here = ana.url.partition("?")[0]
    ana.goto(here + "?section=cause")
    check(ana, "cause, the start", everywhere=True)
    ana.check("#guide-mobile_data", force=True)
    check(ana, "cause, a guide chosen")
    ana.goto(here + "?section=cause")
    ana.fill("#cause-words", "no bars since this morning")
    ana.keyboard.press("Enter")
    expect(ana.locator(".guides")).to_contain_text("This sounds like")
    check(ana, "cause, the guide is proposed", everywhere=True)
    ana.click("text=Begin")
    expect(ana.locator("[data-question]").first).to_be_visible()
    ana.click(".knowns-fine summary")
    ana.click(".cause-why summary")
    ana.click(".cause-know summary")
    check(ana, "cause, several questions", everywhere=True)
    ana.fill("#cause-typed", "gremlins")
    ana.keyboard.press("Enter")
    expect(ana.locator("#cause-typed-error")).to_be_visible()
    check(ana, "cause, nobody knows that cause")
    ana.goto(here)
    expect(ana.locator(".open-walks")).to_be_visible()
    check(ana, "account, a search is open")
    ana.goto(here + "?section=cause")
    ana.keyboard.press("i")
    ana.fill("#cause-typed", "old data about the line")
    ana.keyboard.press("Enter")
    expect(ana.locator(".cause-side")).to_contain_text("Known to you")
    check(ana, "cause, after an answer")
    caller = Caller(ana, "no_service", "provisioning_stale")
    caller.replies()
    assert caller.act
    check(ana, "cause, an act is asked for", everywhere=True)
    ana.keyboard.press("1")
    expect(ana.locator("#act form")).to_be_visible()
    check(ana, "cause, the act's form")
    ana.goto(here + "?section=cause")
    caller.do_here()
    caller.replies()
    expect(ana.locator("#cause-message")).to_be_visible()
    check(ana, "cause, the end", everywhere=True)
    ana.click("text=Send it and close the search")
    expect(ana.locator(".cause-step")).to_contain_text("The customer was sent what happened")
    check(ana, "cause, closed")

    lena = sit_down("lena")
    lena.goto(carrier.url + "/guides")
    check(lena, "guides", everywhere=True)
    lena.goto(carrier.url + "/guides/no_service")
    check(lena, "a guide", everywhere=True)
