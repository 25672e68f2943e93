"""The rulebook's pages: every rule in plain words with its source and its numbers, for everybody who works here."""

from __future__ import annotations

import re
import shutil
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from careline.__main__ import run
from careline.domain.journal.models import Decision
from careline.domain.journal.models import Line as JournalLine
from careline.domain.rulebook import queries as rulebooks
from careline.doors.web import rulebook
from careline.foundation import policy
from tests.doors.test_access import Browser
from tests.doors.test_money import words
from tests.people import Desk, open_account

HERE = "/rulebook"


@pytest.fixture
def ana(house):
    return Browser(house["ana"])


def test_ana_reads_every_condition_with_its_words_its_source_and_its_numbers(ana):
    page = words(ana.get(HERE))
    files = rulebooks.current().files
    rules = policy.forbids(files["authority.cedar"], files["authority.cedarschema"])
    assert len(rules) > 60
    missing = [r.id for r in rules if r.id not in page or policy.said(r.say) not in page.replace("&#39;", "'") or r.cite not in page]
    assert missing == []
    assert "{" not in re.sub(r"forbid\(.*?;", "", page), "no sentence shows a hole"
    limit = page[page.index("Your limit leaves $… for this event."):]
    assert "Associate $25.00 Expert $75.00 Lead $150.00" in limit and "limits.toml: credit.event" in limit[:200]
    assert JournalLine.objects.get(code="view.rulebook").content["who"]["name"] == "Ana Silva"


def test_a_condition_is_found_by_a_word_of_it_or_by_the_act_that_it_stops(ana):
    found = ana.get(HERE + "?q=older than three bills").content.decode()
    assert re.findall(r'<li class="rule" id="([^"]+)"', found) == ["credit-backdate"] and "Lead, Supervisor" in found
    by_act = re.findall(r'<li class="rule" id="([^"]+)"', ana.get(HERE + "?q=Give money back").content.decode())
    assert {"refund-most", "refund-room", "needs-verified"} <= set(by_act) and "credit-event" not in by_act
    assert "No condition speaks of that" in words(ana.get(HERE + "?q=zebra"))


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("limits.toml", "By role In training $0.00 Associate $50.00 Expert $100.00 Lead $500.00 Supervisor $2,000.00 carrier practice: refund authority by role"),
        ("ladder.toml", "Least $10.00 what is past due may be this little and nothing is begun"),
        ("contact_rules.toml", "12 CFR 1006.14(b)(2): at most 7 calls in 7 days"),
        ("billing.toml", "Late payment fee late_fee"),
        ("arrangements.toml", "T-Mobile: anything 31 or more days past due must be paid first"),
        ("verification.toml", "47 CFR 64.2010(b): a password not prompted by biographical"),
        ("guides", "33 causes"),
        ("history", "in force"),
    ],
)
def test_every_part_reads_in_words(ana, part, says):
    assert says in words(ana.get(f"{HERE}?part={part}")).replace("&#39;", "'")


def test_who_may_what_is_a_table_of_acts_and_roles(ana):
    page = words(ana.get(HERE + "?part=who")).replace("● ", "")
    assert "In training Associate Expert Lead Supervisor Administrator AI agent Service Job" in page
    assert "Take a payment no yes yes yes yes no no no no" in page and "Opened the staff page no no no no no yes no no no" in page


def test_everything_that_may_be_done_has_a_name_in_words(house):
    for code in policy.actions(rulebooks.current().files["authority.cedarschema"]):
        assert rulebook.act_title(code) != code, code


def test_every_file_of_the_rulebook_can_be_read_there(ana):
    for name in rulebooks.current().files:
        if name.endswith(".toml") and "/" not in name:
            page = ana.get(f"{HERE}?part={name}")
            assert page.status_code == 200 and 'class="rule"' in page.content.decode(), name


def test_a_bundle_that_never_was_and_a_part_that_is_none_are_not_there(ana):
    for address in ("?of=" + "0" * 64, "?of=x", "?part=secrets.toml", "?part=../settings.py"):
        assert ana.get(HERE + address).status_code == 404


def test_the_page_asks_a_constant_number_of_questions(ana):
    ana.get(HERE)
    with CaptureQueriesContext(connection) as one:
        ana.get(HERE)
    assert len(one) <= 12


def test_every_decision_that_is_kept_is_asked_again_by_the_command(house, tmp_path, capsys):
    """Ana gave $20.00; under a limit of $15.00 for one event she could not have. The page's number of decisions does not bound it."""
    maria = open_account()
    desk = Desk(house["ana"], timezone.now() - timedelta(days=3)).take_call(maria)
    desk.must("credits.grant", account=maria.pk, amount=2000, reason="goodwill")
    folder = tmp_path / "ours"
    shutil.copytree(settings.ROOT / "rulebook" / "default", folder)
    assert run(["rulebook", "try", str(folder)]) == 0 and "Nothing would have been answered otherwise." in capsys.readouterr().out
    limits = folder / "limits.toml"
    limits.write_text(re.sub(r"associate = 2500", "associate = 1500", limits.read_text()))
    assert run(["rulebook", "try", str(folder)]) == 0
    said = capsys.readouterr().out
    asked, whole = map(int, re.match(r"(\d+) of (\d+) decisions since 20", said).groups())
    assert asked == whole == Decision.objects.count() >= 3 and "1 would have been refused" in said and "expert could" in said
