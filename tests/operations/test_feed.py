"""Other systems hear of every deed, in order, signed, until they say that they have it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from django.conf import settings

from careline.domain.journal import operations as journal
from careline.domain.journal import queries
from careline.domain.journal import rules as journal_rules
from careline.doors.jobs import feed
from careline.settings import secret
from tests.people import TUESDAY, carrier_act, open_account


@pytest.fixture(autouse=True)
def listening(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "FEED", str(tmp_path / "feed"))
    monkeypatch.setattr(feed, "_pause", {"until": 0.0, "seconds": 0.0})
    return tmp_path / "feed"


def deed(account: int, n: int, code: str = "credits.grant", outcome: str = "done") -> None:
    act = carrier_act(TUESDAY + timedelta(minutes=n))
    journal.record(journal_rules.Entry(f"account:{account}", act, code, outcome, f"Deed {n}", {"amount": n}, {"text": "what nobody else reads"}))


def begin() -> None:
    while feed.tell():
        pass


def told(folder) -> list[dict]:
    return [json.loads(line) for path in sorted(folder.glob("changes-*.jsonl")) for line in path.read_text().splitlines()]


def test_what_was_done_before_anybody_listened_is_not_told_and_everything_after_is(house, listening):
    maria = open_account(bills=0)
    deed(maria.pk, 1)
    begin()
    deed(maria.pk, 2)
    deed(maria.pk, 3, "view.contact", "looked")
    deed(maria.pk, 4, outcome="refused")
    deed(maria.pk, 5)
    begin()
    (first, second) = told(listening)
    assert (first["n"], first["say"], second["n"], second["data"]) == (1, "Deed 2", 2, {"amount": 5})
    assert first["reference"] == maria.reference and first["account"].startswith("careline-")
    assert "nobody else reads" not in json.dumps(told(listening))
    assert queries.feed() == (2, 0)


def test_a_file_is_signed_and_stays_until_it_is_acknowledged(house, listening):
    maria = open_account(bills=0)
    begin()
    deed(maria.pk, 1)
    begin()
    (path,) = listening.glob("changes-*.jsonl")
    seconds, said = (listening / f"{path.name}.signature").read_text().split()
    key = secret("feed_key").encode()
    assert said == "v1," + base64.b64encode(hmac.new(key, f"{path.name}.{seconds}.".encode() + path.read_bytes(), hashlib.sha256).digest()).decode()
    begin()
    assert len(list(listening.glob("changes-*.jsonl"))) == 1, "told once"
    (listening / "acknowledged").write_text("1\n")
    begin()
    assert queries.feed() == (1, 1)
    path.unlink()
    deed(maria.pk, 2)
    begin()
    assert [c["n"] for c in told(listening)] == [2]


class Billing(HTTPServer):
    """The carrier's billing system: it keeps what comes and answers as it was told to."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.came: list[dict] = []
        self.answers: list[tuple[int, str]] = []


class Answer(BaseHTTPRequestHandler):
    server: Billing

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"]))
        name, seconds = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        key = secret("feed_key").encode()
        right = "v1," + base64.b64encode(hmac.new(key, f"{name}.{seconds}.".encode() + text, hashlib.sha256).digest()).decode()
        assert self.headers["webhook-signature"] == right
        code, said = self.server.answers.pop(0) if self.server.answers else (204, "")
        if code < 300:
            self.server.came += json.loads(text)["changes"]
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(said.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def billing(monkeypatch):
    server = Billing()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(settings, "FEED", f"http://127.0.0.1:{server.server_port}/changes")
    yield server
    server.shutdown()
    server.server_close()


def test_an_address_hears_everything_in_order_and_once_it_has_taken_it_no_more(house, billing):
    accounts = [open_account(number=f"+120655501{n:02}", reference=f"A-70000{n:02}", bills=0) for n in range(3)]
    begin()
    for n in range(9):
        deed(accounts[n % 3].pk, n)
    begin()
    assert [c["n"] for c in billing.came] == list(range(1, 10))
    for account in accounts:
        mine = [c["data"]["amount"] for c in billing.came if c["reference"] == account.reference]
        assert mine == sorted(mine) and len(mine) == 3
    begin()
    assert len(billing.came) == 9 and queries.feed() == (9, 9)


@pytest.mark.parametrize("answer", [(500, ""), (302, ""), (401, "no")])
def test_what_was_not_taken_is_told_again_after_a_pause(house, billing, monkeypatch, answer):
    maria = open_account(bills=0)
    begin()
    billing.answers = [answer]
    deed(maria.pk, 1)
    begin()
    assert not billing.came and queries.feed() == (1, 0) and feed._pause["seconds"] == 5.0
    begin()
    assert not billing.came, "not before the pause is over"
    feed._pause["until"] = 0.0
    begin()
    assert [c["n"] for c in billing.came] == [1] and queries.feed() == (1, 1)


def test_who_takes_a_part_hears_the_rest_again(house, billing):
    maria = open_account(bills=0)
    begin()
    billing.answers = [(200, '{"acknowledged": 2}')]
    for n in range(4):
        deed(maria.pk, n)
    begin()
    assert [c["n"] for c in billing.came] == [1, 2, 3, 4, 3, 4] and queries.feed() == (4, 4)


def test_an_acknowledgement_never_goes_back_nor_past_what_there_is(house, billing):
    maria = open_account(bills=0)
    begin()
    deed(maria.pk, 1)
    begin()
    assert journal.heard(through=99) == 1 and journal.heard(through=0) == 1
    assert journal.heard(through=0, again=True) == 0
    begin()
    assert [c["n"] for c in billing.came] == [1, 1]


def test_what_the_import_wrote_is_not_told_back(house, listening):
    maria = open_account(bills=0)
    begin()
    act = carrier_act()
    from dataclasses import replace

    from careline.doors.jobs.importing.run import IMPORTER

    journal.record(journal_rules.Entry(f"account:{maria.pk}", replace(act, who=IMPORTER), "imports.run", "done", "Imported 3 bills"))
    begin()
    assert not told(listening) and queries.feed() == (0, 0)
