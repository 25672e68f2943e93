"""A promise to pay, lived through: Maria is $142 past due and paid every second Friday. She pays half now and misses the other."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from playwright.sync_api import expect

from tests.journeys.conftest import ROOT, _environment
from tests.journeys.greeting import answer_and_verify

NIGHT = """
import sys, django
django.setup()
from datetime import datetime
from careline.doors.jobs.promises import settle_day
done = settle_day(datetime.fromisoformat(sys.argv[1]))
print(done.broken)
"""


def test_maria_pays_half_of_142_dollars_now_misses_the_second_friday_and_it_is_found_the_next_day(carrier, sit_down):
    here = ZoneInfo("America/New_York")
    today = datetime.now(here).date()
    friday = today + timedelta(days=(4 - today.weekday()) % 7 or 7)
    ana = sit_down("ana")
    answer_and_verify(ana, carrier, "(206) 555-0171")

    ana.keyboard.press("a")
    expect(ana.locator("#act .checks")).to_contain_text("past due $142.00")
    expect(ana.locator("#act [name=now]")).to_be_focused()
    ana.keyboard.type("71")
    ana.keyboard.press("Tab")
    ana.keyboard.type("71")
    ana.fill("#act [name=payday]", friday.isoformat())
    ana.locator("#act").get_by_label("$71.00 today, $71.00 Fri").check(force=True)
    expect(ana.locator("#act .say")).to_contain_text("You pay $71.00 today and $71.00 on Friday,")
    ana.locator("#act").get_by_role("group", name="Take $71.00 now with").get_by_label("Visa").check(force=True)
    ana.click("text=Agree it")
    expect(ana.locator(".flash", has_text="Arrangement AR-")).to_be_visible()
    expect(ana.locator("#arrangement")).to_contain_text("$71.00 of $142.00 paid")
    expect(ana.locator("#col-left")).to_contain_text("Nothing stands out on this account")
    assert "acordó pagar $71.00" in carrier.wait_for_message("arrangement")["body"]

    # The second Friday passes without a payment; the night after it looks.
    night = datetime.combine(friday + timedelta(days=1), datetime.min.time(), here) + timedelta(minutes=10)
    run = [sys.executable, "-c", NIGHT, night.isoformat()]
    for broken in ("1", "0"):
        found = subprocess.run(run, cwd=ROOT, env=_environment(carrier.home), capture_output=True, text=True, timeout=60)
        assert found.stdout.strip() == broken, found.stderr[-2000:]
    ana.reload()
    expect(ana.locator(".probably")).to_contain_text("Arrangement broken")
    expect(ana.locator("#arrangement .badge")).to_contain_text("broken")
    expect(ana.locator("#arrangement")).to_contain_text("nobody blames you")
    ana.keyboard.press("a")
    expect(ana.locator("#act")).to_contain_text("A lead could agree to it")
