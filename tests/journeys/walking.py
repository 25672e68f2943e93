"""A caller with a simulated phone: reads the step that stands on the page and answers it by keys, as the associate would."""

from __future__ import annotations

from functools import lru_cache

from playwright.sync_api import Page, expect

from careline.domain.diagnosis.rules.guide import Guide, load_all
from careline.domain.diagnosis.rules.simulate import Phone
from tests.journeys.conftest import ROOT


@lru_cache(maxsize=1)
def guides() -> dict[str, Guide]:
    folder = ROOT / "rulebook" / "default"
    return load_all({path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.toml")})


class Caller:
    """`causes`: what is wrong with their phone. `asked`: what they were asked or let do, in order."""

    def __init__(self, page: Page, guide: str, *causes: str) -> None:
        self.page, self.phone = page, Phone(guides()[guide], set(causes))
        self.asked: list[str] = []

    @property
    def at_the_end(self) -> bool:
        return self.page.locator(".cause-step").is_visible() and not self.page.locator("#form-cause-step, #act").count()

    @property
    def act(self) -> str:
        """The label of the act that this step is, if it is one."""
        button = self.page.locator(".cause-step .button.big[href]")
        return button.inner_text() if button.count() else ""

    def turn(self) -> str:
        return self.page.locator("#form-cause-step [name=turn]").first.get_attribute("value") or ""

    def wording(self) -> int:
        return 1 if self.page.locator("#form-cause-step [name=wording]").count() else 0

    def reply(self) -> None:
        """Answer what is asked, or do what is said; the next step stands there after it."""
        page, turn = self.page, self.turn()
        step = page.locator("#form-cause-step")
        remedy = step.locator("[name=remedy]")
        self.asked.append(page.locator("#cause-step-title").inner_text())
        if remedy.count():
            assert not self.act, "an act of the desk is no step for the customer"
            self.phone.give(remedy.get_attribute("value") or "")
            page.keyboard.press("1")
        elif page.locator("[data-question]").count():
            for question in page.locator("[data-question]").all():
                said = self.phone.answer(self._check(question.locator("input").first), self.wording()).outcome
                page.keyboard.press(question.locator(f"input[value='{said}']").get_attribute("data-answer") or "")
            page.keyboard.press("Enter")
        else:
            said = self.phone.answer(self._check(step.locator("button.answer").first), self.wording()).outcome
            page.keyboard.press(step.locator(f"button[value='{said}']").get_attribute("data-key") or "")
        expect(page.locator(f"#form-cause-step [name=turn][value='{turn}']")).to_have_count(0)

    def do_here(self) -> None:
        """Open the form of the act that the step asks for, and send it as it stands."""
        turn, remedy = self.turn(), self.page.locator("#form-cause-step [name=remedy]").get_attribute("value")
        self.page.keyboard.press("1")
        self.page.click("#act button.primary")
        expect(self.page.locator("#act")).to_have_count(0)
        expect(self.page.locator(f"#form-cause-step [name=turn][value='{turn}']")).to_have_count(0)
        self.phone.give(remedy or "")

    @staticmethod
    def _check(answer) -> str:
        return answer.get_attribute("name").removeprefix("said:")

    def replies(self, most: int = 40) -> None:
        """Answer until the desk has to do something or the search ends."""
        expect(self.page.locator(".cause-step")).to_be_visible()
        for _ in range(most):
            if self.at_the_end or self.act:
                return
            self.reply()
        raise AssertionError(f"no end after {self.asked}")
