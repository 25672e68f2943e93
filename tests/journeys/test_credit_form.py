"""The credit form is drawn again while somebody works in it: nothing that they do in the meantime is lost."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.journeys.greeting import answer_and_verify

QUICK = """() => {
  const field = (name) => [...document.querySelectorAll(`#act [name=${name}]`)];
  const changed = (el) => el.dispatchEvent(new Event('change', { bubbles: true }));
  field('reason')[0].value = 'billing_error';
  changed(field('reason')[0]);
  field('bill_line')[1].checked = true;
  changed(field('bill_line')[1]);
  const amount = field('amount')[0];
  amount.focus();
  amount.value = '10';
}"""


def test_ana_chooses_and_types_faster_than_the_form_is_drawn_again(carrier, sit_down):
    ana = sit_down("ana")
    answer_and_verify(ana, carrier)
    ana.keyboard.press("c")
    expect(ana.locator("#act [name=reason]")).to_be_focused()

    ana.evaluate(QUICK)  # a reason, a charge and an amount before any answer is there
    expect(ana.locator(".limit")).to_contain_text("up to $25.00 here for billing error")
    ana.wait_for_timeout(300)
    expect(ana.locator("#act [name=reason]")).to_have_value("billing_error")
    expect(ana.locator("#act [name=bill_line]").nth(1)).to_be_checked()
    expect(ana.locator("#act [name=amount]")).to_be_focused()
    ana.keyboard.type(".50")
    expect(ana.locator("#act [name=amount]")).to_have_value("10.50")
    ana.keyboard.press("Enter")
    expect(ana.locator(".flash")).to_contain_text("$10.50 and $0.84 tax")

    # The other way round: the words are typed first, then the reason is chosen; the focus stays where it was.
    ana.keyboard.press("c")
    ana.fill("#act [name=words]", "Slow for a week")
    ana.focus("#act [name=reason]")
    ana.select_option("#act [name=reason]", "retention")
    expect(ana.locator(".limit")).to_contain_text("here for retention")
    expect(ana.locator("#act [name=words]")).to_have_value("Slow for a week")
    expect(ana.locator("#act [name=reason]")).to_be_focused()
