"""What a lead enters of the network reaches the next caller there."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.journeys.greeting import answer, verify

SAY = "Parts of Seattle have no service. We expect it back by six."


def test_lena_enters_an_outage_and_anas_next_search_for_the_cause_there_knows_it(carrier, sit_down):
    sam = sit_down("sam")
    sam.click("nav.top-nav >> text=Network")
    expect(sam.locator("h1")).to_have_text("Network")
    area = sam.locator("#form-network-name-area")
    area.locator("[name=name]").fill("Seattle, downtown")
    area.locator("[name=short]").fill("seattle-downtown")
    area.locator("[name=postal]").fill("98101 98104")
    area.locator("button.primary").click()
    expect(sam.locator(".flash")).to_contain_text("Area seattle-downtown named")

    ana = sit_down("ana")
    ana.goto(carrier.url + "/network?q=98101")
    expect(ana.locator(".network-answer")).to_contain_text("No. Nothing is entered for 98101 now.")
    expect(ana.locator("#network-now")).to_contain_text("Nothing is wrong")

    lena = sit_down("lena")
    lena.goto(carrier.url + "/network")
    form = lena.locator("#form-network-report-outage")
    form.get_by_label("Seattle, downtown").check()
    for service in ("voice", "data"):
        form.locator(f"[name={service}]").check()
    form.locator("[name=words]").fill(SAY)
    form.locator("button.primary").click()
    expect(lena.locator(".flash")).to_contain_text("outage in seattle-downtown")
    expect(lena.locator(".trouble")).to_contain_text(SAY)
    expect(ana.locator("#network-now .trouble")).to_contain_text("Seattle, downtown", timeout=15_000)  # by itself

    answer(ana, carrier)
    verify(ana)
    ana.goto(ana.url.partition("?")[0] + "?section=cause")
    ana.fill("[name=words]", "there are no bars on my phone since an hour ago")
    ana.click("#form-cause-start button.primary")
    ana.check("[name=guide][value=no_service]", force=True)
    ana.click("#form-cause-start button.primary")
    expect(ana.locator("main")).to_contain_text("Trouble in the area")
    expect(ana.locator("main")).to_contain_text("Outage")
