"""A change of the rulebook is taken up by every process that runs: web processes, their worker, and another worker of its own."""

from __future__ import annotations

import json
import re
import shutil
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.doors import test_commands as commands
from tests.doors.test_commands import House, free_port, running, wait_for

house = commands.house
SECONDS = 15  # "within seconds", on a machine that does much else
TELL = """
from django.utils import timezone
from careline.doors.jobs.people import CLI
from careline.domain.customers.models import Account
from careline.domain.journal import operations as journal
from careline.foundation.act import NO_BASIS, Act
journal.tell(act=Act(CLI, timezone.now(), '', 'key', NO_BASIS), topic='receipt', channel='sms', to='+12065550188', body='words', about='{body}', account_id=Account.objects.get().pk)
"""
STATES = """
from careline.domain.journal.models import Outbox
print('|'.join(f'{m.about}:{m.state}:{m.why}' for m in Outbox.objects.order_by('pk')))
"""


def changed(folder: Path) -> Path:
    """The rulebook as it comes, with another title of a reason, and receipts kept to hours that are not now, wherever the customer may be."""
    shutil.copytree(commands.ROOT / "rulebook" / "default", folder)
    reasons, rules = folder / "reasons.toml", folder / "contact_rules.toml"
    reasons.write_text(reasons.read_text().replace('title = "Goodwill"', 'title = "A gesture"', 1))
    begins = datetime.now(UTC).astimezone(ZoneInfo("America/New_York")) + timedelta(hours=10)
    first = min(begins.hour, 22)
    text = rules.read_text().replace('receipt = "asked"', 'receipt = "service"', 1)
    rules.write_text(re.sub(r'from = "08:00"\nto = "21:00"', f'from = "{first:02}:00"\nto = "{first:02}:59"', text))  # [hours], and a state's, which lie within
    return folder


def title(port: int, token: str) -> str:
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/api/acts", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        acts = {a["code"]: a for a in json.load(answer)["acts"]}
    return next(c["title"] for c in acts["credits.grant"]["choices"]["reason"] if c["code"] == "goodwill")


def state_of(house: House, body: str) -> str:
    return next(words for words in house.python(STATES).split("|") if words.startswith(f"{body}:"))


def test_a_change_of_the_rules_is_taken_up_by_every_process_within_seconds(house, tmp_path):
    for login, name, role in (("ada", "Ada Brandt", "administrator"), ("sam", "Sam Osei", "supervisor"), ("bot", "Desk agent", "agent")):
        house.must("user", "add", login, "--name", name, "--role", role, *([] if role == "agent" else ["--password-stdin"]), given=f"{commands.PASSWORD}\n")
    token = house.must("token", "issue", "bot", "--label", "test", "--scope", "credits.grant").split()[-1]
    house.python("from careline.acts import table; table.acts()\nfrom tests.people import open_account; open_account()")
    port = free_port()
    with running(house, "serve", "--port", str(port), "--workers", "2", "--no-worker"), running(house, "worker"):
        wait_for(lambda: commands.get(port, "/ready?worker") == 200)
        assert {title(port, token) for _ in range(12)} == {"Goodwill"}
        house.python(TELL.format(body="before"))
        wait_for(lambda: ":sent:" in state_of(house, "before"), 20)

        house.must("rulebook", "activate", str(changed(tmp_path / "rules")), "--by", "ada", "--second", "sam")
        began = time.monotonic()
        wait_for(lambda: {title(port, token) for _ in range(12)} == {"A gesture"}, SECONDS)
        wait_for(lambda: time.monotonic() - began > 5, SECONDS)
        house.python(TELL.format(body="after"))
        wait_for(lambda: ":queued:" not in state_of(house, "after") or len(state_of(house, "after")) > len("after:queued:"), 20)
        assert state_of(house, "after").startswith("after:queued:") and "where the consumer is" not in state_of(house, "before")
        assert len(state_of(house, "after")) > len("after:queued:"), "it says why it waits"
