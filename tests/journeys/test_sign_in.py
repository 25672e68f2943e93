"""Signing in with a security key: the browser's own virtual one, through our pages and our script."""

from __future__ import annotations

import re

from tests.journeys.conftest import PASSWORD


def test_ana_adds_a_security_key_signs_in_with_it_and_ends_the_session_she_left_open(chromium, carrier):
    here = carrier.url.replace("127.0.0.1", "localhost")  # keys are for names, not for numbers
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(8000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda m: faults.append(m.text) if m.type == "error" and "status of" not in m.text else None)
    cdp = context.new_cdp_session(page)
    cdp.send("WebAuthn.enable")
    cdp.send("WebAuthn.addVirtualAuthenticator", {"options": {"protocol": "ctap2", "transport": "usb", "hasUserVerification": True, "isUserVerified": True, "automaticPresenceSimulation": True}})

    def password():
        page.goto(here + "/sign-in")
        page.fill("[name=login]", "ana")
        page.fill("[name=password]", PASSWORD)
        page.click("button.primary")

    password()
    page.click("summary[aria-label*=menu]")
    page.click("text=Your sign-in")
    page.fill("[name=name]", "Blue key")
    page.click("button:has-text('Add a key')")
    page.wait_for_selector("text=Recovery codes")
    codes = page.locator(".codes li").all_inner_texts()
    assert len(codes) == 10 and all(re.fullmatch(r"\d{4} \d{4}", c) for c in codes)
    page.click("text=I have kept them")
    page.wait_for_selector("text=I have kept them", state="detached")
    assert page.locator("tr", has_text="Blue key").count() == 1

    page.click("summary[aria-label*=menu]")
    page.click("button:has-text('Sign out')")
    password()
    page.wait_for_url("**/sign-in/second")
    assert page.goto(here + "/find?q=Okafor").url.startswith(here + "/sign-in"), "the password alone opens nothing"
    password()
    page.click("button:has-text('Use a security key')")
    page.wait_for_url(here + "/")

    other = chromium.new_context()  # the desk that she left open upstairs
    left = other.new_page()
    left.goto(here + "/sign-in")
    left.fill("[name=login]", "ana")
    left.fill("[name=password]", PASSWORD)
    left.click("button.primary")
    left.fill("[name=code]", codes[0])
    left.click("button:has-text('Continue')")
    left.wait_for_url(here + "/")
    page.goto(here + "/me/sign-in")
    page.locator("td button:has-text('End')").click()
    page.wait_for_selector("text=1 session ended")
    assert left.goto(here + "/find?q=Okafor").url.startswith(here + "/sign-in")
    other.close()
    context.close()
    assert not faults, faults
