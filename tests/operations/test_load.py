"""A carrier's files in and out at size: killed and taken up again, poisoned files, and exports that import as they were."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import shutil
import sqlite3
import tracemalloc
import zipfile
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.db import OperationalError, connection, transaction

from careline.__main__ import _plain
from careline.domain.activations import operations as activations
from careline.domain.activations.ports import Answer
from careline.domain.activations.rules import Kind
from careline.domain.customers.models import Account, Customer, Line, Person, Plan
from careline.domain.journal import operations as journal_operations
from careline.domain.journal import queries as journal
from careline.domain.journal.models import Head, RequestKey
from careline.domain.journal.models import Line as JournalLine
from careline.domain.ledger import queries as ledger
from careline.domain.ledger.models import Allocation, Entry, Payment
from careline.domain.ledger.operations import begin_refund, post_payment, return_payment, settle_refund
from careline.doors.jobs import wholes
from careline.doors.jobs.exporting import files, underway
from careline.doors.jobs.exporting import run as exporting
from careline.doors.jobs.importing import mapping, run
from careline.doors.jobs.stop import Stop
from careline.foundation.rulebook import Rulebook, RulebookFault
from tests import people
from tests.people import TUESDAY, carrier_act

FERNLINE = Path(settings.ROOT) / "samples" / "fernline"


@pytest.fixture
def fernline(tmp_path):
    shutil.copytree(FERNLINE, tmp_path / "fernline")
    return tmp_path / "fernline"


def bring_in(folder, out="out"):
    return run.run(mapping.load(folder / "mapping.toml", None), out=folder / out, at=TUESDAY)


def held() -> dict[str, list]:
    """Everything an import writes, without the ids that depend on the order of things."""
    found = {e: sorted(exporting._exported(e)[1], key=repr) for e in exporting.KNOWN}
    found["entries"] = sorted(Entry.objects.values_list("account__reference", "kind", "reference", "day", "booked_on", "amount_minor", "reverses__reference"), key=repr)
    found["allocations"] = sorted(Allocation.objects.values_list("entry__reference", "bill__number", "debit__reference", "amount_minor"), key=repr)
    return found


def kept(folder) -> dict[str, str]:
    return {p.name: p.read_text(encoding="utf-8") for p in sorted(folder.glob("rejected-*.csv"))}


def table(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class Undone(Exception):
    pass


# ---------------------------------------------------------------- killed


@pytest.mark.parametrize("when", ["before the commit", "after the commit"])
def test_an_import_that_is_killed_at_every_commit_ends_like_one_that_was_left_alone(house, fernline, monkeypatch, when):
    monkeypatch.setattr(run, "SMALLEST", 60)
    monkeypatch.setattr(run, "LARGEST", 60)
    with pytest.raises(Undone), transaction.atomic():
        alone = bring_in(fernline, "alone")
        expected, rejected = held(), kept(fernline / "alone")
        raise Undone
    assert not Customer.objects.exists()

    real = run._settle
    settled: list[tuple[str, int]] = []

    def dies(now, entity, n):
        """The process ends at each part once: as its transaction is about to commit, or as the next begins."""
        fresh = (entity, n) not in settled
        if fresh:
            settled.append((entity, n))
        if when == "before the commit":
            real(now, entity, n)
            if fresh:
                raise KeyboardInterrupt
        elif fresh and len(settled) > 1:
            raise KeyboardInterrupt
        else:
            real(now, entity, n)

    monkeypatch.setattr(run, "_settle", dies)
    for kills in range(200):  # noqa: B007
        try:
            tallies = bring_in(fernline, "out")
            break
        except KeyboardInterrupt:
            continue
    assert kills > 20
    assert {e: vars(t) for e, t in tallies.items()} == {e: vars(t) for e, t in alone.items()}
    assert held() == expected and kept(fernline / "out") == rejected
    assert not list(fernline.glob("out/.work*")) and not RequestKey.objects.exists()
    assert not list(journal.verify())


def test_an_import_whose_file_changed_since_it_was_killed_begins_anew(house, fernline, monkeypatch):
    real, calls = run._settle, []

    def dies(now, entity, n):
        calls.append(entity)
        if entity == "lines":
            raise KeyboardInterrupt
        real(now, entity, n)

    monkeypatch.setattr(run, "_settle", dies)
    with pytest.raises(KeyboardInterrupt):
        bring_in(fernline)
    with open(fernline / "customers.csv", "a", encoding="utf-8") as file:
        file.write("C900,Late Comer,01/02/2024,en,,\n")
    monkeypatch.setattr(run, "_settle", real)
    tallies = bring_in(fernline)
    assert tallies["customers"].written == 1 and tallies["customers"].unchanged > 50 and Customer.objects.filter(name="Late Comer").exists()
    assert all(t.holds for t in tallies.values())


# ---------------------------------------------------------------- no room


def whole_after_all(folder):
    """Nothing is missing and nothing is there twice: the same files again change nothing."""
    again = bring_in(folder, "again")
    assert not any(t.written for t in again.values()) and all(t.holds and t.unchanged for e, t in again.items() if e != "bill_lines")
    assert not list(journal.verify())


@pytest.mark.only_sqlite
def test_an_import_on_a_disk_that_fills_up_again_and_again_says_so_and_goes_on_where_there_is_room(committed_house, fernline, monkeypatch):
    monkeypatch.setattr(run, "SMALLEST", 60)
    monkeypatch.setattr(run, "LARGEST", 60)

    def pages(ask: str) -> int:
        with connection.cursor() as cursor:
            return int(cursor.execute(f"PRAGMA {ask}").fetchone()[0])

    full, came = 0, -1
    while True:
        pages(f"max_page_count = {pages('page_count') + 12 + 6 * full}")
        try:
            tallies = bring_in(fernline)
            break
        except OperationalError as fault:
            full += 1
            assert _plain(fault) == ("The disk is full. Nothing was half done. Make room and run the same command again: it goes on where it stopped.", 1)
            assert not connection.in_atomic_block and Entry.objects.count() >= came, "what was settled stays"
            came = Entry.objects.count()
    assert full > 2 and all(t.holds for t in tallies.values())
    pages("max_page_count = 1073741823")
    whole_after_all(fernline)


def test_an_import_whose_report_folder_fills_up_is_one_line_too_and_goes_on(house, fernline, monkeypatch):
    real = run.Work.__init__

    def small(work, path):
        real(work, path)
        work.link.execute("PRAGMA max_page_count = 9")

    with monkeypatch.context() as patch:
        patch.setattr(run.Work, "__init__", small)
        with pytest.raises(sqlite3.OperationalError) as fault:
            bring_in(fernline)
    assert _plain(fault.value)[0].startswith("The disk is full.")
    assert all(t.holds for t in bring_in(fernline).values())
    whole_after_all(fernline)


# ---------------------------------------------------------------- poisoned


PLAN = "[plans]\nfile='p.{end}'\n[plans.columns]\nkey='k'\ncode='c'\nname='n'\nprice='p'\n"


def plans(folder: Path, content: bytes, end: str = "csv"):
    (folder / f"p.{end}").write_bytes(content)
    (folder / "m.toml").write_text(PLAN.format(end=end))
    return run.run(mapping.load(folder / "m.toml", None), out=folder / "out", at=TUESDAY)["plans"]


def test_the_prices_of_calls_and_messages_and_other_allowances_come_in_with_the_plans(house, tmp_path):
    (tmp_path / "p.csv").write_text("k,c,n,p,min,pm\nP1,A,One,5,500,0.25\nP2,B,Two,6,,-1\n")
    (tmp_path / "a.csv").write_text("k,kind,t,u,i,p\nP1,roaming,Roaming data,MB,2048,0.02\nP1,voice,Calls,min,5,1\nP9,fax,Fax,,1,1\n")
    (tmp_path / "m.toml").write_text(
        PLAN.format(end="csv") + "voice_minutes='min'\nvoice_minute_price='pm'\n"
        "[allowances]\nfile='a.csv'\n[allowances.columns]\nplan='k'\nkind='kind'\ntitle='t'\nunit='u'\nincluded='i'\nprice='p'\n"
    )
    done = run.run(mapping.load(tmp_path / "m.toml", None), out=tmp_path / "out", at=TUESDAY)
    assert {e: (done[e].written, done[e].rejected) for e in ("plans", "allowances")} == {"plans": (1, 1), "allowances": (1, 2)}
    plan = Plan.objects.get()
    assert (plan.voice_minutes, plan.voice_minute_price_minor, plan.text_price_minor) == (500, 25, None)
    assert plan.allowances.values_list("kind", "title", "unit", "included", "price_minor").get() == ("roaming", "Roaming data", "MB", 2048, 2)
    reasons = {row["reason"] for row in table(tmp_path / "out" / "rejected-allowances.csv")}
    assert "what a plan includes of data, voice and text stands with the plan" in reasons


def long_line(folder: Path, end: str, size: int) -> None:
    """Two plans with a line of so many characters between them: a hole in the file, which takes no room on the disk."""
    good, more = {"csv": (b"k,c,n,p\nP1,A,One,5\n", b"P2,B,Two,6\n"), "jsonl": (b'{"k":"P1","c":"A","n":"One","p":5}\n', b'{"k":"P2","c":"B","n":"Two","p":6}\n')}[end]
    with open(folder / f"p.{end}", "wb") as file:
        file.write(good)
        file.seek(size)
        file.write(b"\n" + more)
    assert (folder / f"p.{end}").stat().st_blocks * 512 < 10_000_000, "this file system knows no holes"
    (folder / "m.toml").write_text(PLAN.format(end=end))
    tracemalloc.start()
    try:
        tally = run.run(mapping.load(folder / "m.toml", None), out=folder / "out", at=TUESDAY)["plans"]
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 25_000_000
    assert tally.holds and (tally.written, tally.rejected) == (2, 1) and Plan.objects.get(code="B").price_minor == 600
    (row,) = table(folder / "out" / "rejected-plans.csv")
    assert row["reason"].startswith("longer than 1,000,000 characters") and len(row["as_it_was"]) == mapping.KEPT


@pytest.mark.parametrize("end", ["csv", "jsonl"])
def test_a_line_of_many_megabytes_is_rejected_without_being_held(house, tmp_path, end):
    long_line(tmp_path, end, 60_000_000)


@pytest.mark.once
def test_a_line_of_more_than_four_gigabytes_takes_no_more_memory_than_one_of_sixty_megabytes(house, tmp_path):
    long_line(tmp_path, "jsonl", (1 << 32) + 4_000_000)


@pytest.mark.once
@pytest.mark.parametrize(("begins", "says"), [
    (b"PK\x03\x04", "a ZIP archive"), (b"\x1f\x8b\x08\x00", "packed by gzip. Unpack it first"), (b"BZh9", "packed by bzip2"), (b"\xfd7zXZ\x00", "packed by xz"),
    (b"(\xb5/\xfd\x00", "packed by zstd"), (b"\xd0\xcf\x11\xe0", "an old spreadsheet"),
])  # fmt: skip
def test_a_packed_file_is_not_unpacked_but_named(tmp_path, begins, says):
    with pytest.raises(Stop, match=says) as fault:
        plans(tmp_path, begins + b"\0" * 1000)
    assert "\n" not in str(fault.value) and not (tmp_path / "out").exists()


@pytest.mark.once
def test_a_zip_bomb_is_refused_by_its_first_bytes(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("p.csv", b"0" * 50_000_000)
    with pytest.raises(Stop, match="a ZIP archive"):
        plans(tmp_path, (tmp_path / "bomb.zip").read_bytes())


def test_an_export_in_another_encoding_loses_no_row(house, tmp_path):
    rows = ["P1,A,Plan one,5", "P2,B,Café,6", "P3,C,Plan three,7"]
    tally = plans(tmp_path, ("k,c,n,p\n" + "\n".join(rows) + "\n").encode("latin-1"))
    assert tally.holds and (tally.read, tally.written, tally.rejected) == (3, 2, 1)
    (row,) = table(tmp_path / "out" / "rejected-plans.csv")
    assert row["reason"] == "not UTF-8: export it again as UTF-8" and row["as_it_was"] == "P2,B,Caf\\xe9,6"


@pytest.mark.once
def test_a_file_that_is_no_parquet_and_one_with_a_huge_row_group_are_one_line(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    with pytest.raises(Stop, match="no Parquet file"):
        plans(tmp_path, b"PAR1" + b"\0" * 100, "parquet")
    out = files.sheet(tmp_path / "p.parquet", "plans", ["key", "code", "name", "price"])
    out.write([("P1", "A", "One", 500)])
    out.close()
    monkeypatch.setattr(mapping, "LARGEST_GROUP", 10)
    with pytest.raises(Stop, match="smaller row groups"):
        mapping.parquet(tmp_path / "p.parquet")


# ---------------------------------------------------------------- out, and in again


@pytest.mark.parametrize("form", files.FORMATS)
def test_what_is_exported_comes_in_again_as_it_was(house, fernline, form):
    with pytest.raises(Undone), transaction.atomic():
        bring_in(fernline)
        Person.objects.filter(source_key="H001").update(name="=HYPERLINK(\"http://x\")")
        Person.objects.filter(source_key="H002").update(name="'-quoted")
        Customer.objects.filter(source_key="C003").update(name="Null", needs="N/A", phone="+12065550199")
        Account.objects.filter(source_key="A003").update(street="12 Pine St", city="Seattle", port_lock=True)
        expected = held()
        exporting.run(fernline / "exported", at=TUESDAY, form=form)
        raise Undone
    tallies = bring_in(fernline / "exported")
    assert all(t.read == t.written for t in tallies.values()), kept(fernline / "exported" / "out")
    assert held() == expected
    assert all(t.read == t.unchanged for t in bring_in(fernline / "exported", "again").values())


def test_a_name_that_a_spreadsheet_would_run_is_harmless_in_csv(house, fernline):
    bring_in(fernline)
    for key, name in (("H001", "=cmd|' /C calc'!A0"), ("H002", "@SUM(1)"), ("H003", "+1"), ("H004", "-1"), ("H005", "O'Neill")):
        Person.objects.filter(source_key=key).update(name=name)
    exporting.run(fernline / "exported", at=TUESDAY)
    names = {r["key"]: r["name"] for r in table(fernline / "exported" / "persons.csv")}
    assert [names[f"H00{n}"] for n in range(1, 6)] == ["'=cmd|' /C calc'!A0", "'@SUM(1)", "'+1", "'-1", "O'Neill"]
    for path in (fernline / "exported").glob("*.csv"):
        for row in table(path):
            assert not [c for c in row.values() if c.startswith(("=", "@", "\t", "\r")) or (c[:1] in ("+", "-") and not c[1:].replace(".", "").isdecimal())]


def test_of_two_exports_the_second_holds_what_changed_and_nothing_else(house, fernline):
    bring_in(fernline)
    exporting.run(fernline / "one", at=TUESDAY, memory=fernline / "memory")
    Customer.objects.filter(source_key="C003").update(language="de")
    told = exporting.run(fernline / "two", at=TUESDAY, memory=fernline / "memory")
    assert told.looked["bills"] == 181 and {e: n for e, n in told.written.items() if n} == {"customers": 1}
    tallies = bring_in(fernline / "two")
    assert (tallies["customers"].read, tallies["customers"].unchanged) == (1, 1)


def test_an_export_that_was_killed_sent_nothing_and_looks_like_nothing(house, fernline, monkeypatch):
    bring_in(fernline)

    def dies(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(exporting.Memory, "keep", dies)
        with pytest.raises(KeyboardInterrupt):
            exporting.run(fernline / "one", at=TUESDAY, memory=fernline / "memory")
    told = exporting.run(fernline / "one", at=TUESDAY, memory=fernline / "memory")
    assert told.written == told.looked and told.written["payments"] == Payment.objects.count() > 100


@contextmanager
def killed_at(step: int):
    """In this block an export dies at its n-th step: before or after it notes how far it came, puts a file in its place, or wrote some rows."""
    left = [step]

    def dying(real, before: bool):
        def stands_in(*given, **more):
            done = None if before else real(*given, **more)
            left[0] -= 1
            if left[0] == 0:
                raise Undone
            return real(*given, **more) if before else done

        return stands_in

    with pytest.MonkeyPatch.context() as patch:
        for where, name in ((underway.UnderWay, "_write"), (Path, "replace"), (files.Csv, "write"), (wholes, "settled"), (journal_operations, "record")):
            for before in (True, False):
                patch.setattr(where, name, dying(getattr(where, name), before))
        yield


def in_folder(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


SOME = ("plans", "customers", "accounts", "bills", "payments")


@pytest.mark.parametrize("grown", [False, True], ids=["nothing was done meanwhile", "the desk went on meanwhile"])
def test_an_export_that_is_killed_at_every_step_goes_on_and_is_what_one_of_the_moment_is_at_which_it_went_on(house, fernline, monkeypatch, grown):
    bring_in(fernline)
    account = Account.objects.get(source_key="A003")
    monkeypatch.setattr(exporting, "MANY", 60)
    monkeypatch.setattr(underway, "EVERY", 0)
    for step in itertools.count(1):
        folder = fernline / f"killed-{step}"
        try:
            with killed_at(step):
                exporting.run(folder, at=TUESDAY, entities=SOME)
            break
        except Undone:
            pass
        assert not (folder / "mapping.toml").exists() or (folder / underway.NAME).exists(), "what looks whole is"
        if grown and step % 3 == 0:
            post_payment(act=carrier_act(), account_id=account.pk, amount_minor=100 + step, method="Visa")
            Customer.objects.filter(source_key="C003").update(name=f"Somebody {step}")
        told = exporting.run(folder, at=TUESDAY, entities=SOME)
        assert told.written["payments"] == Payment.objects.count() and told.written["bills"] == 181
        if step % 7 == 0:
            whole = fernline / f"whole-{step}"
            exporting.run(whole, at=TUESDAY, entities=SOME)
        elif not grown:
            whole = fernline / "killed-1"
        assert (grown and step % 7) or in_folder(folder) == in_folder(whole)
    assert step > 40


def test_an_export_that_goes_on_reads_no_bill_again(house, fernline, monkeypatch):
    bring_in(fernline)
    with monkeypatch.context() as patch:
        patch.setattr(exporting, "mapping", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            exporting.run(fernline / "one", at=TUESDAY)
    asked = []
    real = files.Csv.write
    monkeypatch.setattr(files.Csv, "write", lambda self, rows: (asked.append(self._file.name), real(self, rows)))
    exporting.run(fernline / "one", at=TUESDAY)
    written = {Path(name).name for name in asked}
    assert ".part-lines.csv" in written and not written & {".part-bills.csv", ".part-bill_lines.csv", ".part-payments.csv"}
    assert journal.timeline("house")[1].say == "Export resumed"


def test_a_payment_that_was_committed_late_before_the_last_one_is_in_the_export_that_goes_on(house, fernline, monkeypatch):
    """Its id was given before, and it was not there when the others were read."""
    bring_in(fernline)
    account = Account.objects.get(source_key="A003")
    post_payment(act=carrier_act(), account_id=account.pk, amount_minor=100, method="Visa")
    post_payment(act=carrier_act(), account_id=account.pk, amount_minor=200, method="Visa")
    late = Payment.objects.get(amount_minor=100)
    fields, rows = ledger.exported("payments")
    with monkeypatch.context() as patch:
        patch.setattr(exporting, "mapping", lambda *_: 1 / 0)
        patch.setattr(ledger, "exported", lambda entity: (fields, rows.exclude(pk=late.pk)))
        with pytest.raises(ZeroDivisionError):
            exporting.run(fernline / "one", at=TUESDAY, entities=("payments",))
    exporting.run(fernline / "one", at=TUESDAY, entities=("payments",))
    found = [r["number"] for r in table(fernline / "one" / "payments.csv")]
    assert late.number in found and len(found) == len(set(found)) == Payment.objects.count()


@pytest.mark.once
def test_an_export_that_was_asked_otherwise_is_not_gone_on_with(house, fernline):
    bring_in(fernline)
    with killed_at(12), pytest.raises(Undone):
        exporting.run(fernline / "one", at=TUESDAY)
    with pytest.raises(Stop, match="asked otherwise"):
        exporting.run(fernline / "one", at=TUESDAY, form="jsonl")
    with underway.alone(fernline / "one"), pytest.raises(Stop, match="Another export works in"):
        exporting.run(fernline / "one", at=TUESDAY)


@pytest.mark.once
def test_a_parquet_export_that_goes_on_keeps_the_files_that_are_whole(house, fernline):
    pytest.importorskip("pyarrow")
    bring_in(fernline)
    folder = fernline / "one"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(exporting, "mapping", lambda *_: 1 / 0)
        exporting.run(folder, at=TUESDAY, form="parquet", entities=SOME)
    was = (folder / "bills.parquet").stat().st_mtime_ns
    post_payment(act=carrier_act(), account_id=Account.objects.get(source_key="A003").pk, amount_minor=100, method="Visa")
    exporting.run(folder, at=TUESDAY, form="parquet", entities=SOME)
    assert (folder / "bills.parquet").stat().st_mtime_ns == was
    assert mapping.parquet(folder / "payments.parquet").metadata.num_rows == Payment.objects.count()


def test_a_whole_house_that_is_killed_at_every_step_of_its_way_out_is_of_the_moment_at_which_it_went_on(house, fernline, monkeypatch):
    """Append-only tables are gone on with, what else there is is written anew: the digests are those of an export in one go, but for what the
    exports themselves write in the journal."""
    bring_in(fernline)
    monkeypatch.setattr(wholes, "MANY_OUT", 150)
    monkeypatch.setattr(underway, "EVERY", 0)
    for step in itertools.count(1, 37):
        folder = fernline / f"killed-{step}"
        try:
            with killed_at(step):
                wholes.export_all(folder, at=TUESDAY, say=print)
            break
        except Undone:
            pass
        assert not (folder / wholes.NOTE).exists() or (folder / underway.NAME).exists()
        Customer.objects.filter(source_key="C003").update(name=f"Somebody {step}")
        rows = wholes.export_all(folder, at=TUESDAY, say=print)
        assert not (folder / underway.NAME).exists() and not list(folder.glob(".part-*"))
        told = json.loads((folder / wholes.NOTE).read_text())["tables"]
        for label, said in told.items():
            model = apps.get_model(label)
            lines = (folder / said["file"]).read_bytes()
            assert hashlib.sha256(lines).hexdigest() == said["sha256"] and lines.count(b"\n") == said["rows"] == rows[label]
            ids = [json.loads(text)[0] for text in lines.splitlines()]
            if model not in (JournalLine, Head):
                assert ids == list(model._base_manager.order_by("pk").values_list("pk", flat=True)), label
        assert f"Somebody {step}" in (folder / "customers_customer.jsonl").read_text()
    assert step > 90


def test_an_export_is_on_the_journal_before_its_first_row(house, fernline, monkeypatch):
    bring_in(fernline)
    monkeypatch.setattr(exporting, "_one", lambda *_: pytest.fail(journal.timeline("house")[0].say))
    with pytest.raises(pytest.fail.Exception, match="Export started"):
        exporting.run(fernline / "one", at=TUESDAY)


# ---------------------------------------------------------------- nothing is counted twice


def their_payments(folder, *rows: str):
    (folder / "payments.csv").write_text("id,account,receipt,amount,how,at,returns,psp\n" + "\n".join(rows) + "\n")
    text = (folder / "mapping.toml").read_text().replace('returns = "returns"', 'returns = "returns"\nprovider_reference = "psp"')
    (folder / "their.toml").write_text("[payments" + text.split("[payments", 1)[1])
    return run.run(mapping.load(folder / "their.toml", None), out=folder / "theirs", at=TUESDAY)["payments"]


def test_a_payment_taken_here_that_comes_back_from_billing_is_counted_once(house, fernline):
    bring_in(fernline)
    account = Account.objects.get(source_key="A003")
    post_payment(act=carrier_act(), account_id=account.pk, amount_minor=2000, method="Visa", provider_reference="psp-77")
    mine = Payment.objects.get(account=account, source_key=None)
    owed = ledger.balance(account.pk)
    row = f"Z1,A003,{mine.number},20.00,Visa,2026-11-24T15:00:00Z,,"
    by_reference = "Z2,A003,THEIRS-9,20.00,Visa,2026-11-24T15:00:00Z,,psp-77"
    for _ in range(2):
        tally = their_payments(fernline, row, by_reference)
        assert (tally.read, tally.unchanged, tally.written) == (2, 2, 0) and ledger.balance(account.pk) == owed
    tally = their_payments(fernline, row.replace("20.00", "21.00"), "Z3,A003,THEIRS-10,20.00,Visa,2026-11-24T16:00:00Z,,psp-78")
    assert (tally.rejected, tally.written) == (1, 1) and ledger.balance(account.pk) == owed - 2000
    assert "was taken here" in table(fernline / "theirs" / "rejected-payments.csv")[0]["reason"]
    tally = their_payments(fernline, f"Z4,A003,THEIRS-11,20.00,Visa,2026-11-25T16:00:00Z,{mine.number},")
    assert tally.written == 1 and ledger.balance(account.pk) == owed


def give_back(account, amount, *parts, done=True):
    """A payment taken here of which these parts went back the way it came."""
    post_payment(act=carrier_act(), account_id=account.pk, amount_minor=amount, method="Visa", provider_reference=f"psp-{amount}")
    payment = Payment.objects.get(account=account, amount_minor=amount, source_key=None, returns=None)
    refunds = []
    for part in parts:
        row = begin_refund(act=carrier_act(), payment=payment, amount_minor=part, key=f"{amount}/{part}")
        refunds.append(settle_refund(act=carrier_act(), key=row.key, done=done, reason="", provider_reference=f"re-{amount}-{part}"))
    return payment, refunds


def test_a_refund_made_here_that_billing_sends_back_as_a_return_is_counted_once(house, fernline):
    """Ana gave $20.00 back whole, $5.00 and $3.00 of another payment, and a third whole in two parts. Their billing heard of all of them, and
    calls our payments by keys of its own."""
    bring_in(fernline)
    account = Account.objects.get(source_key="A003")
    whole, [all_of_it] = give_back(account, 2000, 2000)
    _, [five, three] = give_back(account, 3100, 500, 300)
    split, _ = give_back(account, 4200, 4000, 200)
    owed = ledger.balance(account.pk)
    theirs = [f"Z1,A003,{whole.number},20.00,Visa,2026-11-24T15:00:00Z,,", "Z2,A003,THEIRS-2,31.00,Visa,2026-11-24T15:00:00Z,,psp-3100",
              f"Z3,A003,{split.number},42.00,Visa,2026-11-24T15:00:00Z,,"]  # fmt: skip
    assert their_payments(fernline, *theirs).unchanged == 3
    back = [f"R1,A003,{all_of_it.number},20.00,back,2026-11-24T16:00:00Z,Z1,", "R2,A003,THEIRS-R2,5.00,back,2026-11-25T16:00:00Z,Z2,",
            "R3,A003,THEIRS-R3,3.00,back,2026-11-25T16:00:00Z,Z2,re-3100-300", "R4,A003,THEIRS-R4,42.00,back,2026-11-26T16:00:00Z,Z3,"]  # fmt: skip
    for _ in range(2):
        tally = their_payments(fernline, *back)
        assert (tally.unchanged, tally.doubts) == (4, 0) and ledger.balance(account.pk) == owed
    assert five.recognised.source_key == "R2" and three.recognised.source_key == "R3"
    tally = their_payments(fernline, back[0].replace("20.00", "19.00"), "R5,A003,RF-9,7.00,back,2026-11-26T16:00:00Z,Z1,", "R6,A003,THEIRS-R6,5.00,back,2026-11-26T16:00:00Z,Z2,")
    assert tally.rejected == 3 and ledger.balance(account.pk) == owed, "another amount, and a part that no refund is, once more"
    assert not list(journal.verify())


def test_a_return_that_is_no_refund_of_ours_is_counted_and_what_may_be_one_is_shown(house, fernline):
    """The bank took a payment back the day before it was given back here in part; another came back whole of which a part was given back."""
    bring_in(fernline)
    account = Account.objects.get(source_key="A003")
    first, [refund] = give_back(account, 2000, 2000)
    second, _ = give_back(account, 3100, 500)
    refused, [no] = give_back(account, 900, 900, done=False)
    owed = ledger.balance(account.pk)
    tally = their_payments(fernline, f"R1,A003,T-1,20.00,bounced,2026-11-20T16:00:00Z,{first.number},", f"R2,A003,T-2,31.00,bounced,2026-11-25T16:00:00Z,{second.number},",
                           f"R3,A003,{no.number},9.00,back,2026-11-25T16:00:00Z,{refused.number},")  # fmt: skip
    assert (tally.written, tally.rejected, tally.doubts) == (2, 1, 2) and ledger.balance(account.pk) == owed + 2000 + 3100
    assert "refused by the provider here" in table(fernline / "theirs" / "rejected-payments.csv")[0]["reason"]
    doubts = table(fernline / "theirs" / "doubts-payments.csv")
    assert [(d["row"], d["field"]) for d in doubts] == [("2", "returns"), ("3", "returns")] and refund.number in doubts[0]["reason"]


def test_a_return_that_the_desk_heard_of_first_is_counted_once(house, fernline):
    bring_in(fernline)
    account = Account.objects.get(source_key="A003")
    payment, _ = give_back(account, 2000)
    back = return_payment(act=carrier_act(), payment=payment, label="no funds")
    owed = ledger.balance(account.pk)
    tally = their_payments(fernline, f"R1,A003,{back.number},20.00,no funds,2026-11-24T16:00:00Z,{payment.number},")
    assert tally.unchanged == 1
    for _ in range(2):
        tally = their_payments(fernline, f"R2,A003,T-2,20.00,no funds,2026-11-24T16:00:00Z,{payment.number},")
        assert tally.unchanged == 1 and ledger.balance(account.pk) == owed
    assert their_payments(fernline, f"R3,A003,{back.number},21.00,no funds,2026-11-24T16:00:00Z,{payment.number},").rejected == 1


def test_a_payment_as_much_as_one_taken_here_that_names_nothing_is_counted_and_shown(house, fernline):
    bring_in(fernline)
    account = Account.objects.get(source_key="A003")
    mine, _ = give_back(account, 2017)
    tally = their_payments(fernline, "Z1,A003,T-1,20.17,Visa,2026-11-26T15:00:00Z,,", "Z2,A003,T-2,20.17,Visa,2026-11-26T15:00:00Z,,", "Z3,A003,T-3,20.16,Visa,2026-11-26T15:00:00Z,,")
    assert (tally.written, tally.doubts) == (3, 1)
    [doubt] = table(fernline / "theirs" / "doubts-payments.csv")
    assert mine.number in doubt["reason"] and "T-1" in doubt["as_it_was"]
    assert their_payments(fernline, "Z1,A003,T-1,20.17,Visa,2026-11-26T15:00:00Z,,").doubts == 0, "said once, when it is written"
    many = [f"Z9{n},A003,T-9{n},20.17,Visa,{day}T15:00:00Z,," for n, day in enumerate(("2026-10-20", "2027-03-01"))]
    assert their_payments(fernline, *many).doubts == 0, "long before, and long after"


def test_what_careline_is_the_system_of_record_of_is_added_to_and_not_changed(house, fernline, monkeypatch):
    book = people.default_rulebook()
    ours = Rulebook({**book.files, "records.toml": '[records]\ncustomers = "careline"\n'})
    bring_in(fernline)
    text = (fernline / "customers.csv").read_text(encoding="utf-8-sig").replace("farah1@mail.example", "other@mail.example")
    (fernline / "customers.csv").write_text(text + "C901,New One,01/02/2024,en,,\n")
    monkeypatch.setattr(run.rulebooks, "current", lambda: ours)
    tallies = bring_in(fernline, "again")
    assert (tallies["customers"].written, tallies["customers"].rejected) == (1, 4)
    assert any("system of record" in row["reason"] for row in table(fernline / "again" / "rejected-customers.csv"))
    assert Customer.objects.get(source_key="C001").email == "farah1@mail.example"
    with pytest.raises(RulebookFault, match=r"records\.toml: customers"):
        Rulebook({**book.files, "records.toml": '[records]\ncustomers = "both"\n'}).check()


def test_what_a_file_has_no_column_for_stays_as_it_is_here(house, fernline):
    bring_in(fernline)
    Account.objects.filter(source_key="A003").update(street="12 Pine St", city="Seattle", port_lock=True)
    assert bring_in(fernline, "again")["accounts"].written == 0
    assert Account.objects.get(source_key="A003").street == "12 Pine St"


def test_a_file_that_says_nothing_of_autopay_switches_it_off_for_nobody(house, fernline):
    """Omar switched it on at the desk; the file of addresses does not know."""
    bring_in(fernline)
    omar = Account.objects.filter(source_key="A003")
    omar.update(autopay=True)
    Customer.objects.filter(accounts__in=omar).update(language="tl")
    mapping = fernline / "mapping.toml"
    mapping.write_text("\n".join(line for line in mapping.read_text().splitlines() if not line.startswith(("autopay", "language"))))
    bring_in(fernline, "again")
    assert omar.get().autopay and omar.get().customer.language == "tl"


# ---------------------------------------------------------------- what stands here and what an older file says


def stand(line: Line, kind: str, on: datetime) -> None:
    """The network did an order of this house on a line on a day."""
    act = carrier_act(on)
    (order,) = activations.ask_many(act=act, wanted=[activations.Wanted(line.account_id, line.pk, Kind(kind), f"{kind}:{line.pk}", "non_payment", "all" if kind == "suspend" else "", 0)])
    activations.mark_sent(act=act, order_ids=[order.pk])
    activations.settle(act=act, key=order.key, answer=Answer(True), words="not paid")


@pytest.fixture
def stood(house, fernline):
    """Three lines that came as active: the ladder suspended one and ended another, the third moved to another carrier."""
    bring_in(fernline)
    lines = list(Line.objects.filter(status="active").order_by("pk")[:3])
    for line, kind in zip(lines, ("suspend", "disconnect", "port_out"), strict=True):
        stand(line, kind, TUESDAY)
    return lines


def standing(lines: list[Line]) -> list[tuple[str, str, str]]:
    return list(Line.objects.filter(pk__in=[s.pk for s in lines]).order_by("pk").values_list("status", "bar", "suspended_for"))


def test_a_file_from_before_the_ladder_puts_no_line_back_on_and_says_so(fernline, stood):
    before = standing(stood)
    assert before == [("suspended", "all", "non_payment"), ("cancelled", "", ""), ("cancelled", "", "")]
    tally = bring_in(fernline, "again")["lines"]
    assert (tally.kept, tally.written) == (3, 0) and tally.holds and standing(stood) == before
    told = table(fernline / "again" / "kept-lines.csv")
    assert [row["field"] for row in told] == ["status"] * 3 and "moved to another carrier (" in told[2]["reason"]
    assert told[0]["reason"].startswith("stays suspended: suspended here (") and "and the row says active; Careline is the system of record" in told[0]["reason"]
    # What else the row says is taken over all the same.
    rows = [r.split(",") for r in (fernline / "subscribers.csv").read_text(encoding="utf-8-sig").splitlines()]
    was, other = next(r[3] for r in rows if r[0] == stood[0].source_key), Plan.objects.get(source_key="P2")
    assert was != other.source_key
    (fernline / "subscribers.csv").write_text("".join(",".join([*r[:3], other.source_key if r[0] == stood[0].source_key else r[3], *r[4:]]) + "\n" for r in rows))
    tally = bring_in(fernline, "third")["lines"]
    assert (tally.kept, tally.written) == (3, 1) and Line.objects.get(pk=stood[0].pk).plan_id == other.pk and standing(stood) == before


@pytest.mark.parametrize(("days", "status"), [(-1, "suspended"), (0, "suspended"), (1, "active")])
def test_a_row_that_says_that_it_changed_later_is_news(fernline, stood, days, status):
    since = (TUESDAY + timedelta(days=days)).date().isoformat()
    rows = (fernline / "subscribers.csv").read_text(encoding="utf-8-sig").splitlines()
    (fernline / "subscribers.csv").write_text("\n".join(f"{row},{since if n else 'changed'}" for n, row in enumerate(rows)) + "\n")
    text = (fernline / "mapping.toml").read_text()
    (fernline / "mapping.toml").write_text(text.replace('status = "st"', 'status = "st"\nstatus_since = "changed"', 1))
    tally = bring_in(fernline, "again")["lines"]
    assert tally.kept == (0 if days > 0 else 3) and standing(stood)[0] == (status, "" if days > 0 else "all", "" if days > 0 else "non_payment")


def test_where_the_other_system_says_it_the_line_is_on_again_with_a_line_in_its_journal(fernline, stood, monkeypatch):
    ours = Rulebook({**people.default_rulebook().files, "records.toml": '[records]\nline_status = "outside"\n'})
    monkeypatch.setattr(run.rulebooks, "current", lambda: ours)
    tally = bring_in(fernline, "again")["lines"]
    assert (tally.kept, tally.written) == (0, 3)
    line = Line.objects.get(pk=stood[0].pk)
    assert (line.status, line.bar, line.suspended_for) == ("active", "", ""), "why and how far it was barred is over"
    (told,) = [x for x in JournalLine.objects.filter(chain__name=f"account:{line.account_id}", code="imports.run") if "by import" in x.content["say"]]
    assert "is active by import, no longer suspended: suspended here (" in told.content["say"]
    assert not list(journal.verify())
