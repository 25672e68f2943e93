"""Supervision: patterns with their evidence, a person's day, an account opened for a reason, broken glass, signed files."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from careline.__main__ import run
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.models import Outbox
from careline.domain.oversight import rules
from careline.domain.oversight.models import Opening
from careline.doors.web import supervision
from careline.foundation import seal
from tests.doors.test_access import Browser
from tests.doors.test_money import words
from tests.people import Desk, open_account

HERE = "/supervision"


@pytest.fixture
def sam(house):
    return Browser(house["sam"])


@pytest.fixture
def maria(house):
    return open_account()


def credit(house, account, amount, days=1, who="ana"):
    desk = Desk(house[who], timezone.now() - timedelta(days=days)).take_call(account)
    desk.must("credits.grant", account=account.pk, amount=amount, reason="retention")
    desk.must("contacts.end")
    desk.must("contacts.wrap_up", summary="Done", disposition="resolved", root_cause="none")
    return desk


def look_into(browser, account, reason="complaint") -> str:
    answer = browser.post(HERE, code="oversight.audit", account=account.reference, reason=reason, words="She wrote to us")
    assert answer.status_code == 303, words(answer)
    return answer["Location"]


# ---------------------------------------------------------------- patterns


def test_credits_just_under_a_limit_stand_there_with_their_evidence(house, sam):
    for n in range(4):
        credit(house, open_account(reference=f"A-000000{n}", number=f"+120655500{n:02}", bills=1), 2400, days=n + 1)
    page = words(sam.get(HERE))
    assert "Credits just under a limit: Ana Silva 4 credits of 90 % or more of what a limit left" in page
    assert "$24.00 of $25.00 A-0000003" in page


def test_three_credits_are_no_pattern_and_small_ones_neither(house, sam):
    for n in range(3):
        credit(house, open_account(reference=f"A-000000{n}", number=f"+120655500{n:02}", bills=1), 2400, days=n + 1)
    for n in range(3, 8):
        credit(house, open_account(reference=f"A-000000{n}", number=f"+120655500{n:02}", bills=1), 900, days=n + 1)
    assert "Nothing stands out" in words(sam.get(HERE))


def test_many_credits_to_one_account(house, sam, maria):
    for n in range(3):
        credit(house, maria, 500, days=3 - n)
    assert "Many credits to one account: Ana Silva 3 credits to one account" in words(sam.get(HERE))


def test_looks_with_nothing_done_and_searches_that_found_too_much(house, sam):
    ben = Browser(house["ben"])
    for n in range(6):
        account = open_account("Maria Okafor", reference=f"A-000000{n}", number=f"+120655500{n:02}", bills=1)
        desk = Desk(house["ben"], timezone.now()).take_call(account)
        from careline.domain.contacts.models import Contact

        assert ben.get(f"/contacts/{Contact.objects.get(pk=desk.contact).reference}/").status_code == 200
        desk.must("contacts.end")
    for n in range(20):
        open_account("Maria Okafor", reference=f"A-00001{n:02}", number=f"+120655510{n:02}", bills=0)
    for _ in range(5):
        ben.get("/find?q=Okafor")
    page = words(sam.get(HERE))
    assert "Looked, and did nothing: Ben Carter 6 of 6 opened accounts with nothing done" in page
    assert "Searches that found too much: Ben Carter 5 searches that found 20 or more" in page and "20 found for “Okafor”" in page


def test_all_looks_and_searches_count_and_the_newest_forty_are_shown():
    """However many there are: a hundred thousand contacts are read as they come, and forty of each person are held."""
    now = timezone.now()
    looks = ((f"Staff:{n % 2}", now - timedelta(seconds=n), n, n % 2 == 0) for n in range(100_000))
    [found] = rules.looked_only(looks, 5, 50)
    assert (found.staff_id, found.count, [line for _, line, _ in found.lines]) == ("Staff:1", 50_000, list(range(1, 80, 2)))
    [found] = rules.too_much(((n, "Staff:1", now - timedelta(seconds=n), 25 if n % 2 else 3) for n in range(100_000)), 20, 5)
    assert (found.count, len(found.lines), found.say) == (50_000, rules.SHOWN, "50000 searches that found 20 or more")


def test_the_page_asks_as_often_for_many_patterns(house, sam):
    def count() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert sam.get(HERE).status_code == 200
        return len(asked)

    for n in range(20, 24):
        credit(house, open_account(reference=f"A-00000{n}", number=f"+120655500{n:02}", bills=1), 2400, days=n)
    count()
    before = count()
    for n in range(8):
        credit(house, open_account(reference=f"A-000000{n}", number=f"+120655500{n:02}", bills=1), 2400, days=n + 1)
    assert count() <= before


# ---------------------------------------------------------------- a person's day


def test_sam_reads_anas_day_filtered_and_the_look_stands_on_her_chain(house, sam, maria):
    credit(house, maria, 700, days=0)
    here = f"{HERE}/people/{house['ana'].pk}"
    page = words(sam.get(here))
    assert "$7.00, retention" in page
    only = words(sam.get(here + "?kind=credits."))
    assert "$7.00, retention" in only and "Opened the account" not in only and only.count(" C-0") == 1 and maria.reference in only
    assert JournalLine.objects.filter(code="view.person", chain__name=f"staff:{house['ana'].pk}").count() == 2
    assert "No lines" in words(sam.get(here + "?day=2020-01-01"))
    for bad in ("?day=yesterday", "?day=0001-01-01", "?day=9999-12-31"):
        assert sam.get(here + bad).status_code == 404


def test_nobody_reads_their_own_day_and_nobody_below_reads_any(house, sam):
    no = sam.get(f"{HERE}/people/{house['sam'].pk}")
    assert no.status_code == 403 and "This is your own" in words(no)
    assert sam.get(f"{HERE}/people/999999").status_code == 404
    for name in ("ana", "lena", "ada"):
        assert Browser(house[name]).get(f"{HERE}/people/{house['ana'].pk}").status_code == 403


# ---------------------------------------------------------------- an opened account, and broken glass


def test_an_account_opens_with_a_reason_for_a_while_and_to_nobody_else(house, sam, maria, monkeypatch):
    credit(house, maria, 700)
    here = look_into(sam, maria)
    page = words(sam.get(here))
    assert "Account A-0104822" in page and "$7.00, retention" in page and "Opened the account to look into it: a complaint is looked into" in page
    assert "Maria Okafor" not in page, "an audit reads the journal, and not the customer"
    assert Browser(house["lena"]).get(here).status_code == 403, "it is open to sam"
    Opening.objects.update(until=timezone.now() - timedelta(seconds=1))
    no = sam.get(here)
    assert no.status_code == 403 and "Open it again, and say why" in words(no)


def test_a_lead_breaks_the_glass_and_every_supervisor_is_told_at_once(house, sam, maria):
    house["sam"].email = "sam@fern.example"
    house["sam"].save()
    lena = Browser(house["lena"])
    assert "Emergency access to an account" in words(lena.get("/")) and "Emergency access" not in words(Browser(house["ana"]).get("/"))
    answer = lena.post("/emergency", code="oversight.break_glass", account=maria.reference, reason="safety", words="The police are on the line")
    assert answer.status_code == 303
    page = words(lena.get(answer["Location"]))
    assert "Maria Okafor" in page and "(206) 555-0188" in page and "Take as a signed file" not in page
    told = Outbox.objects.get(topic="break_glass")
    assert told.to == "sam@fern.example" and "Lena Park opened account A-0104822 in an emergency: somebody is in danger" in told.body
    assert "police" not in told.body, "the words stand in the journal"
    assert "Emergency access that nobody took note of yet Lena Park opened A-0104822" in words(sam.get(HERE))
    row = Opening.objects.get()
    assert sam.post(HERE, code="oversight.note", opening=row.pk).status_code == 303
    assert "nobody took note" not in words(sam.get(HERE)) and Opening.objects.get().noted_by_id == house["sam"].pk
    assert sam.post(HERE, code="oversight.note", opening=row.pk).status_code == 422


def test_the_glass_has_its_own_reasons_and_nobody_below_a_lead_breaks_it(house, sam, maria):
    lena = Browser(house["lena"])
    for reason in ("complaint", "curiosity"):
        assert lena.post("/emergency", account=maria.reference, reason=reason, words="Let me see").status_code == 422
    assert lena.post("/emergency", account="A-1", reason="safety", words="Let me see").status_code == 422
    assert sam.post(HERE, code="oversight.audit", account=maria.reference, reason="safety", words="Let me see").status_code == 422
    assert Browser(house["eva"]).get("/emergency").status_code == 403
    assert Desk(house["eva"]).act("oversight.break_glass", account=maria.pk, reason="safety", words="Let me see").refusal.rule == "not-your-role"
    assert not Opening.objects.exists()


def test_nobody_opens_the_account_of_their_own_life(house, sam, maria):
    from careline.domain.customers.models import StaffTie

    StaffTie.objects.create(account=maria, staff=house["lena"], tie="own")
    for name, code, reason in (("lena", "oversight.break_glass", "safety"), ("sam", "oversight.audit", "complaint")):
        assert Desk(house[name]).act(code, account=maria.pk, reason=reason, words="Let me see").refusal.rule == "own-business"


# ---------------------------------------------------------------- signed files


def test_a_signed_file_is_verified_by_the_house_and_by_its_key_alone(house, sam, maria, tmp_path, capsys):
    credit(house, maria, 700)
    taken = sam.get(look_into(sam, maria) + "?export=1")
    assert taken["Content-Disposition"] == 'attachment; filename="A-0104822.careline.jsonl"'
    assert JournalLine.objects.filter(code="view.export", chain__name=f"account:{maria.pk}").count() == 1
    path = tmp_path / "taken.jsonl"
    path.write_bytes(taken.content)
    key = seal.public_key(settings.JOURNAL_KEY)
    assert run(["verify-export", str(path)]) == 0 and "Each line stands so in the journal" in capsys.readouterr().out
    assert run(["verify-export", str(path), "--key", key]) == 0 and "The signature holds" in capsys.readouterr().out
    assert run(["verify-export", str(path), "--key", "00" * 32]) == 1


def test_a_signed_file_holds_every_line_though_the_page_shows_some(house, sam, maria, tmp_path, capsys, monkeypatch):
    credit(house, maria, 700)
    monkeypatch.setattr(supervision, "MOST", 3)
    where = look_into(sam, maria)
    assert "More than a page holds. Narrow it, or take the file, which holds all of them." in words(sam.get(where))
    path = tmp_path / "taken.jsonl"
    path.write_bytes(sam.get(where + "?export=1").content)
    found = seal.opened(path.read_bytes())
    assert len(found.rows) == JournalLine.objects.filter(chain__name=f"account:{maria.pk}").count() > 5 and found.head["whole"]
    assert run(["verify-export", str(path)]) == 0


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda body: body.replace(b"$7.00", b"$9.00"), "changed after it was signed"),
        (lambda body: b"\n".join(body.splitlines()[:1] + body.splitlines()[2:]) + b"\n", "changed after it was signed"),
        (lambda body: body[: len(body) // 2], "cut off"),
        (lambda body: b"", "cut off"),
        (lambda body: b"\xff\x00", "cut off"),
    ],
)  # fmt: skip
def test_a_file_that_was_touched_is_found(house, sam, maria, tmp_path, capsys, spoil, says):
    credit(house, maria, 700)
    path = tmp_path / "taken.jsonl"
    path.write_bytes(spoil(sam.get(look_into(sam, maria) + "?export=1").content))
    assert run(["verify-export", str(path)]) == 1 and says in capsys.readouterr().out


def test_a_line_that_is_not_in_the_journal_is_found_though_it_is_signed(house, sam, maria, tmp_path, capsys):
    line = JournalLine.objects.order_by("pk").first() or (credit(house, maria, 700) and JournalLine.objects.order_by("pk").first())
    path = tmp_path / "forged.jsonl"
    text = json.dumps({**line.content, "say": "Nothing happened"})
    path.write_bytes(seal.sealed(settings.JOURNAL_KEY, {"title": "x", "by": "x", "made_at": "x"}, [{"text": text, "mac": "0" * 64, "payload": None}]))
    assert run(["verify-export", str(path)]) == 1 and "is not so in the journal" in capsys.readouterr().out
