"""The desk by keyboard: every act under the hand, nothing that acts by itself, the focus where the work goes on."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.journeys.greeting import answer_and_verify, ring


def focused(page: Page) -> str:
    """Where the focus is: the field's name, else the element's id, class or kind."""
    return page.evaluate("(e => e.name || e.id || e.className || e.tagName.toLowerCase())(document.activeElement)")


def test_the_whole_contact_without_a_mouse(carrier, sit_down):
    ana = sit_down("ana")
    press = ana.keyboard.press
    ana.keyboard.type("/okafor")
    press("Enter")
    expect(ana.locator(".found-list button")).to_be_focused()  # the one that was found
    press("Enter")
    expect(ana.locator(".factors")).to_be_visible()
    assert focused(ana) == "pin"  # opened: the first thing to ask for
    ana.keyboard.type("0000")
    press("Enter")
    expect(ana.locator(".field-error")).to_be_visible()
    assert focused(ana) == "pin"  # refused: ready for the next try
    ana.keyboard.type("4711")
    press("Enter")
    expect(ana.locator(".balance")).to_be_visible()
    assert focused(ana) == "main"  # verified: letters act at once

    press("s")
    expect(ana.locator("#act")).to_contain_text("What is it about?")
    assert focused(ana) == "reason"
    ana.keyboard.type("B")
    press("Tab")
    press("Enter")
    expect(ana.locator(".flash")).to_contain_text("Reason:")
    press("p")
    expect(ana.locator("#act [name=amount]")).to_be_focused()
    ana.keyboard.type("12.50")  # typed over the amount that stood there
    assert ana.input_value("#act [name=amount]") == "12.50"
    press("Enter")
    expect(ana.locator(".balance")).to_contain_text("$36.10")
    assert focused(ana) == "main"

    press("c")
    expect(ana.locator("#act [name=reason]")).to_be_focused()
    ana.select_option("[name=reason]", "retention")
    expect(ana.locator(".limit")).to_contain_text("retention")
    ana.fill("[name=amount]", "40")
    press("Enter")
    expect(ana.locator(".refusal")).to_be_visible()
    assert focused(ana) == "refusal"  # no: why, and the way on is one Tab away
    press("Tab")
    assert focused(ana) == "words"  # why, for the lead
    press("Tab")
    assert ana.evaluate("document.activeElement.textContent") == "Ask a lead"

    press("Escape")
    press("n")
    assert focused(ana) == "words"
    ana.keyboard.type("n h e c: letters in a field are letters")
    expect(ana.locator("[data-saved]")).to_contain_text("saved", timeout=5000)
    press("Escape")
    press("d")
    expect(ana.locator("#act")).to_contain_text("The line dropped")
    press("h")
    expect(ana.locator(".caller .badge")).to_contain_text("on hold")
    press("h")
    expect(ana.locator(".caller .badge")).to_have_count(0)
    press("e")
    expect(ana.locator("#act")).to_contain_text("End and wrap up")
    expect(ana.locator("#act button.primary")).to_be_focused()
    press("Enter")
    expect(ana.locator("[name=summary]")).to_be_focused()


def test_a_call_is_answered_and_a_hand_over_taken_by_one_letter(carrier, sit_down):
    ana, ben = sit_down("ana"), sit_down("ben")
    ring(ana, carrier, "(206) 555-0188")
    expect(ana.locator(".ring")).to_be_visible()
    ana.keyboard.press("a")
    expect(ana.locator("[name=pin]")).to_be_focused()
    ana.keyboard.type("4711")
    ana.keyboard.press("Enter")
    expect(ana.locator(".balance")).to_be_visible()
    name_at = ana.locator(".caller-name").bounding_box()
    ana.keyboard.press("h")
    expect(ana.locator(".caller .badge")).to_contain_text("on hold")
    assert ana.locator(".caller-name").bounding_box() == name_at  # nothing moved
    ana.keyboard.press("h")
    expect(ana.locator(".caller .badge")).to_have_count(0)
    ana.keyboard.press("r")  # not possible: its key says why
    expect(ana.locator(".act-no[open]")).to_contain_text("no credit to take back")
    ana.keyboard.press("o")
    ana.select_option("[name=to]", label="Ben Carter, associate")
    ana.click("text=Offer it")
    expect(ana.locator("#offer")).to_contain_text("Offered to Ben Carter")
    expect(ben.locator(".ring")).to_contain_text("Ana Silva hands over", timeout=4000)  # he sits at his home page
    ben.keyboard.press("o")
    expect(ben.locator("#act button.primary")).to_be_focused()
    ben.keyboard.press("Enter")
    expect(ben.locator(".balance")).to_be_visible()
    ana.wait_for_url(carrier.url + "/", timeout=4000)  # the customer's page goes with the caller
    assert "Okafor" not in ana.content()


def test_ctrl_k_reaches_every_act_of_a_contact(carrier, sit_down):
    ana = sit_down("ana")
    answer_and_verify(ana, carrier)
    here = ana.url
    for act in ("Say the reason", "The line dropped", "Hand over", "Add a note", "Add data", "End and wrap up"):  # folded ones too
        ana.keyboard.press("Control+k")
        ana.keyboard.type(act)
        expect(ana.locator("#palette-list [aria-selected=true]")).to_contain_text(act)
        ana.keyboard.press("Enter")
        if act == "Add a note":
            expect(ana.locator("#note-words")).to_be_focused()
        else:
            expect(ana.locator("#act, .verify")).to_contain_text(act if act != "Say the reason" else "What is it about?")
        ana.goto(here)


def test_before_anybody_is_proven_the_reason_and_a_dropped_line_are_there_too(carrier, sit_down):
    ana = sit_down("ana")
    ring(ana, carrier, "(206) 555-0188")
    ana.click("text=Answer")
    expect(ana.locator(".factors")).to_be_visible()
    ana.keyboard.press("Control+k")
    ana.keyboard.type("dropped")
    ana.keyboard.press("Enter")
    ana.click("text=It dropped")
    expect(ana.locator("h2").first).to_contain_text("The line dropped")


def test_another_key_reaches_every_act_and_single_letters_can_be_switched_off(carrier, sit_down):
    ana = sit_down("ana")
    ana.click("#menu summary")
    ana.click("#menu button[name=palette_key][value=j]")
    expect(ana.locator("body")).to_have_attribute("data-palette-key", "j")
    ana.keyboard.press("Control+j")
    expect(ana.locator("#palette")).to_be_visible()
    ana.keyboard.press("Escape")
    expect(ana.locator("#palette")).to_be_hidden()
    ana.keyboard.press("Control+k")  # the browser's own again
    expect(ana.locator("#palette")).to_be_hidden()
    ana.keyboard.press("?")
    expect(ana.locator("#keys")).to_contain_text("J")
    ana.keyboard.press("Escape")

    ana.click("#menu summary")
    ana.click("#menu button[name=keys][value=off]")
    expect(ana.locator("body")).to_have_attribute("data-keys", "off")
    answer_and_verify(ana, carrier)
    for letter in ("c", "p", "?", "/"):
        ana.keyboard.press(letter)
    expect(ana.locator("#act, #keys[open]")).to_have_count(0)
    assert focused(ana) == "main"
    ana.keyboard.press("Control+j")
    expect(ana.locator("#palette")).to_be_visible()


def test_a_contact_without_a_caller_says_so_everywhere(carrier, sit_down):
    ana = sit_down("ana")
    expect(ana.locator(".home-cols")).to_contain_text("Without a caller")
    ana.click("text=Start a contact")
    expect(ana.locator(".caller")).to_contain_text("Without a caller")
    ana.goto(carrier.url + "/")
    expect(ana.locator(".open-contact")).to_contain_text("without a caller")
