"""How each story begins: it rings, somebody answers, and the caller proves who they are."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

MARIA = "(206) 555-0188"


def ring(page: Page, carrier: Any, number: str) -> None:
    page.goto(carrier.url + "/ring")
    page.fill("#form-ring-number [name=caller_number]", number)
    page.click("#form-ring-number button")
    page.wait_for_url(carrier.url + "/")


def answer(page: Page, carrier: Any, number: str = MARIA) -> None:
    ring(page, carrier, number)
    page.click("text=Answer")
    expect(page.locator(".verify")).to_be_visible()


def verify(page: Page) -> None:
    page.fill("[name=pin]", "4711")
    page.keyboard.press("Enter")
    expect(page.locator(".level")).to_contain_text("Verified")
    expect(page.locator(".balance")).to_be_visible()


def answer_and_verify(page: Page, carrier: Any, number: str = MARIA) -> None:
    answer(page, carrier, number)
    verify(page)


def open_act(page: Page, words: str) -> None:
    """By Ctrl-K, as whoever knows what they want does it."""
    page.keyboard.press("Control+k")
    page.keyboard.type(words)
    expect(page.locator("#palette-list [aria-selected=true]")).to_contain_text(words, ignore_case=True)
    page.keyboard.press("Enter")
