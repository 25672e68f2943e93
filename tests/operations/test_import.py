"""A carrier's own files come in: every row is written, unchanged, or rejected with its reason; a bill is never edited."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from django.conf import settings
from django.db.models import Sum

from careline.domain.billing import queries as billing
from careline.domain.billing.models import Agreed, Instalments
from careline.domain.credits import queries as credit_queries
from careline.domain.customers import queries as customers
from careline.domain.customers.models import Account, Customer, Line, Pin, Plan
from careline.domain.customers.operations import IMPORTED
from careline.domain.customers.queries import care
from careline.domain.journal import queries as journal
from careline.domain.journal.models import Line as JournalLine
from careline.domain.ledger import queries as ledger
from careline.domain.ledger.models import Allocation, Bill, BillLine, Entry, Payment, PaymentMethod
from careline.domain.ledger.operations import post_credit
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs.importing import fields, mapping, run
from careline.doors.jobs.stop import Stop
from careline.foundation.rulebook import Rulebook
from tests.people import TUESDAY, Desk, carrier_act, default_rulebook

FERNLINE = Path(settings.ROOT) / "samples" / "fernline"


@pytest.fixture
def fernline(tmp_path):
    """The sample export in a folder of its own, so that a story may change it."""
    shutil.copytree(FERNLINE, tmp_path / "fernline")
    return tmp_path / "fernline"


def bring_in(folder, out="out", check=False):
    return run.run(mapping.load(folder / "mapping.toml", None), out=folder / out, at=TUESDAY, check=check)


def rejected(folder, entity, out="out"):
    path = folder / out / f"rejected-{entity}.csv"
    return {row["row"]: (row["field"], row["reason"]) for row in csv.DictReader(open(path))} if path.exists() else {}


def test_the_sample_carrier_comes_in_and_its_totals_reconcile(house, fernline):
    tallies = bring_in(fernline)
    assert all(t.holds for t in tallies.values())
    assert {e: t.rejected for e, t in tallies.items()} == {
        "plans": 0, "devices": 2, "customers": 3, "persons": 2, "accounts": 5, "people": 1, "lines": 5, "usage": 2,
        "methods": 1, "consents": 3, "pins": 3, "agreements": 2, "instalments": 2, "bills": 2, "bill_lines": 2, "payments": 2,
    }
    assert json.loads((fernline / "out" / "report.json").read_text())["accounts"]["written"] == Account.objects.count() == 60
    assert not list(journal.verify())


def test_every_phone_of_the_sample_is_one_that_its_maker_sells():
    sells = {"Google": "Pixel", "Apple": "iPhone", "Samsung": "Galaxy"}
    rows = list(csv.DictReader((FERNLINE / "devices.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert len(rows) > 90 and all(r["model"].startswith(sells[r["make"]]) for r in rows if r["make"] in sells)


def test_every_rejected_row_keeps_its_field_its_reason_and_itself_without_the_card_number(house, fernline):
    bring_in(fernline)
    reasons = {field for entity in ("accounts", "lines", "customers") for field, _ in rejected(fernline, entity).values()}
    assert reasons >= {"customer", "reference", "bill_day", "autopay", "row", "number", "plan", "status", "iccid", "name", "since"}
    assert all(reason for entity in ("bills", "payments", "usage") for _, reason in rejected(fernline, entity).values())
    kept = (fernline / "out" / "rejected-customers.csv").read_text()
    assert "Card In Notes" in kept and "4111" not in kept


def test_the_same_files_again_change_nothing(house, fernline):
    first = bring_in(fernline)
    counts = (Entry.objects.count(), Allocation.objects.count(), BillLine.objects.count())
    second = bring_in(fernline)
    assert all(t.written == 0 and t.unchanged == first[e].written + first[e].unchanged for e, t in second.items())
    assert counts == (Entry.objects.count(), Allocation.objects.count(), BillLine.objects.count())


def test_an_import_that_was_killed_is_finished_by_running_it_again(house, fernline, tmp_path, monkeypatch):
    real = run.ledger.import_bills_many
    calls = []

    def dies(**given):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(**given)

    monkeypatch.setattr(run.ledger, "import_bills_many", dies)
    with pytest.raises(KeyboardInterrupt):
        sources = mapping.load(fernline / "mapping.toml", None)
        monkeypatch.setattr(run, "SMALLEST", 20)
        monkeypatch.setattr(run, "LARGEST", 20)
        run.run(sources, out=fernline / "out", at=TUESDAY)
    assert 0 < Bill.objects.count() < 181
    monkeypatch.setattr(run.ledger, "import_bills_many", real)
    bring_in(fernline)
    assert Bill.objects.count() == 181 and Payment.objects.count() == 105
    for account in Account.objects.all():
        # What is open less what is unapplied is what is owed: nothing was allocated twice or lost on the way.
        open_minor = sum(b.open_minor for b in ledger.bills_of(account.pk))
        credits = Entry.objects.filter(account=account, kind__in=["payment", "credit"], reversed_by=None)
        applied = Allocation.objects.filter(account=account).aggregate(s=Sum("amount_minor"))["s"] or 0
        unapplied = -sum(e.amount_minor for e in credits) - applied
        assert open_minor - unapplied == ledger.balance(account.pk) and unapplied >= 0
    assert not list(journal.verify())


def test_every_bill_of_the_sample_is_explained_against_the_one_before_to_the_cent_and_says_what_its_lines_cannot(house, fernline):
    bring_in(fernline)
    changed, unsure = set(), []
    for bill in Bill.objects.order_by("pk"):
        found = ledger.explained(bill.account_id, bill.pk, None, credit_queries.on_bills)
        if found is None:
            assert not Bill.objects.filter(account=bill.account_id, issued_on__lt=bill.issued_on).exists()
            continue
        assert sum(d.amount_minor for d in found.differences) == found.change_minor == bill.total_minor - found.was.total_minor
        assert all(d.say and d.title and (d.parts or not d.amount_minor) for d in found.differences)
        changed |= {d.cause.value for d in found.differences}
        unsure += [d.unsure for d in found.differences if d.unsure]
    assert {"discount_ended", "usage", "late_fee", "one_off_over", "credit", "usage_over"} <= changed and "unexplained" not in changed, changed
    assert any("does not say how much" in words for words in unsure), "the old system's lines of use have no quantity"


def test_a_bill_that_differs_from_before_is_rejected_and_a_correction_replaces_it_whole(house, fernline):
    bring_in(fernline)
    account = Account.objects.get(source_key="A002")
    corrected = Bill.objects.get(source_key="B00211C")
    assert corrected.corrects.source_key == "B00211"
    assert "B00211" not in {b.number for b in ledger.bills_of(account.pk)}
    assert Entry.objects.filter(account=account, kind="bill_corrected", amount_minor=-corrected.corrects.total_minor).count() == 1
    text = (fernline / "bills.csv").read_text()
    old = Bill.objects.get(source_key="B0039")
    (fernline / "bills.csv").write_text(text.replace(f"{old.number},2026-09-01,2026-09-30", f"{old.number},2026-09-01,2026-09-29"))
    again = bring_in(fernline, "again")
    assert again["bills"].rejected == 3
    assert any("never edited" in reason for _, reason in rejected(fernline, "bills", "again").values())
    old.refresh_from_db()
    assert old.period_end.day == 30


def rewrite(folder, entity: str, was: str, now: str) -> None:
    path = folder / f"{entity}.csv"
    text = path.read_text(encoding="utf-8-sig")
    assert text.count(was) == 1
    path.write_text(text.replace(was, now))


def test_what_comes_with_every_bill_comes_along_and_is_on_the_first_bill_that_careline_makes(house, fernline):
    bring_in(fernline)
    account = Account.objects.get(source_key="A041")
    desk = Desk(house["ana"]).take_call(account, verify=False).prove_phone(account)
    assert desk.act("billing.end_agreed", account=account.pk, agreed=account.agreed.get().reference, words="Wants it no more").refusal.rule == "billed-outside"
    ours = replace(default_rulebook().billing, imported="ours")
    Account.objects.filter(pk=account.pk).update(bill_day=1)
    coming = billing.coming(account.pk, date(2026, 11, 24), ours)
    there = [(n.label, n.amount_minor) for n in coming.lines if n.kind == "equipment" or n.label == "Device protection"]
    assert there == [("Device protection", 900), ("iPhone 16, instalment 8 of 24", 3325)], "the old system's bill of November has the seventh"
    differences = ledger.explained_against_last(account.pk, coming).differences
    assert not [d for d in differences if "iPhone" in d.title or "protection" in d.title], "they only go on"
    assert [line.content["say"] for line in JournalLine.objects.filter(chain__name=f"account:{account.pk}", code="imports.run")][:2] == ["Imported 1 agreement", "Imported 1 instalment purchase"]


def test_an_extra_that_costs_more_now_is_taken_over_and_what_is_paid_in_parts_is_never_edited(house, fernline):
    bring_in(fernline)
    rewrite(fernline, "agreements", "Device protection,9.00", "Device protection,11.00")
    rewrite(fernline, "instalments", "798.00,24,2026-04-20,", "798.00,36,2026-04-20,")
    tallies = bring_in(fernline, "again")
    assert (tallies["agreements"].written, tallies["instalments"].written) == (1, 0) and Agreed.objects.get(source_key="G041").amount_minor == 1100
    assert any("never edited" in reason for _, reason in rejected(fernline, "instalments", "again").values()) and Instalments.objects.get(source_key="E041").count == 24
    rewrite(fernline, "instalments", "798.00,36,2026-04-20,", "798.00,24,2026-04-20,2026-11-20")
    assert bring_in(fernline, "ended")["instalments"].written == 1 and Instalments.objects.get(source_key="E041").ended_on == date(2026, 11, 20)
    rewrite(fernline, "instalments", "798.00,24,2026-04-20,2026-11-20", "798.00,24,2026-04-20,")
    assert bring_in(fernline, "open")["instalments"].written == 0
    assert any("not opened again" in reason for _, reason in rejected(fernline, "instalments", "open").values())


def test_where_careline_is_the_system_of_record_a_file_changes_no_agreement(house, fernline, monkeypatch):
    bring_in(fernline)
    ours = Rulebook({**default_rulebook().files, "records.toml": '[records]\nagreements = "careline"\ninstalments = "careline"\n'})
    monkeypatch.setattr(run.rulebooks, "current", lambda: ours)
    rewrite(fernline, "agreements", "Device protection,9.00", "Device protection,11.00")
    rewrite(fernline, "instalments", "2025-02-03,2025-09-15", "2025-02-03,2025-10-15")
    tallies = bring_in(fernline, "again")
    assert tallies["agreements"].written == tallies["instalments"].written == 0 and Agreed.objects.get(source_key="G041").amount_minor == 900
    assert all(any("system of record" in why for _, why in rejected(fernline, e, "again").values()) for e in ("agreements", "instalments"))


def test_a_returned_payment_opens_its_bills_again(house, fernline):
    bring_in(fernline)
    account = Account.objects.get(source_key="A001")
    returned = Payment.objects.get(source_key="Y00110R")
    assert returned.returns.source_key == "Y00110"
    october = Bill.objects.get(source_key="B00110")
    assert next(b for b in ledger.bills_of(account.pk) if b.id == october.pk).open_minor == october.total_minor


def test_a_credit_that_the_biller_heard_of_comes_back_on_its_bill_and_counts_once(house, fernline):
    """Ana credits $5.00 with its tax. The biller hears the number, and its December bill has the credit as a line with a tax: what is owed
    for December is what December costs, and the bill says why."""
    bring_in(fernline)
    line = Line.objects.filter(account__source_key="A010").first()
    ana = Desk(house["ana"])
    holder = customers.people_of(line.account_id)[0]
    ana.contact = int(ana.must("contacts.open", account=line.account_id, person=holder.person_id).show["id"])
    assert ana.call_back(line.account, line, holder.person.name).ok
    charge = ledger.creditable_lines(line.account_id)[0]
    given = ana.must("credits.grant", account=line.account_id, amount=500, reason="billing_error", bill_line=charge.pk).show
    told = JournalLine.objects.filter(chain__name=f"account:{line.account_id}").order_by("pk").last().content
    assert told["code"] == "credits.grant" and told["data"]["credit"] == given["credit"]
    tax, owed = given["total"] - 500, ledger.balance(line.account_id)

    mapping_file = fernline / "mapping.toml"
    mapping_file.write_text(mapping_file.read_text().replace('taxes = "on_line"', 'taxes = "on_line"\ncredit = "adjustment"'))

    def december(key, number, credit, corrects=""):
        (fernline / "bills.csv").write_text(
            "id,account,no,from,to,issued,due,total,replaces\n"
            f"{key},A010,{key},2026-12-01,2026-12-31,2026-12-01,2026-12-21,{(6500 - 500 - tax) / 100:.2f},{corrects}\n"
        )
        (fernline / "bill_lines.csv").write_text(
            "id,bill,type,text,subscriber,from,to,unit,amount,rate_ppm,on_line,adjustment\n"
            f"{key}-1,{key},plan,Unlimited,{line.source_key},2026-12-01,2026-12-31,65.00,65.00,0,,\n"
            f"{key}-2,{key},other,Adjustment,,,,0.00,-5.00,0,,{credit}\n"
            f"{key}-3,{key},tax,Tax on the adjustment,,,,0.00,-{tax / 100:.2f},0,{key}-2,\n"
        )
        return bring_in(fernline, number)

    assert december("B99", "first", "CR-9").pop("bills").rejected == 1
    assert "CR-9, which is no credit of this account" in next(iter(rejected(fernline, "bills", "first").values()))[1]
    assert not (fernline / "first" / "doubts-bill_lines.csv").exists(), "what is rejected counts nowhere"
    assert december("B99", "second", given["credit"])["bills"].written == 1
    assert december("B99", "third", given["credit"])["bills"].unchanged == 1
    bill = next(b for b in ledger.bills_of(line.account_id) if b.number == "B99")
    assert (bill.total_minor, bill.settled_minor) == (6500 - given["total"], given["total"])
    assert ledger.balance(line.account_id) == owed + 6500 and bill.open_minor == 6500
    assert Entry.objects.get(kind="bill", reference="B99").label == f"Bill Dec 1 to Dec 31, −${given['total'] / 100:.2f} of credit on it counts where it was given"
    chart = rulebooks.current().books
    books = ledger.balance_of_books(chart, TUESDAY.date().replace(year=2027), credit_queries.booked)
    assert books.proven and not [a for a in books.accounts if a.amount_minor and a.code == chart.account("credit", "billing_error").code]
    assert december("B98", "fourth", given["credit"], corrects="B99")["bills"].written == 1, "a correction carries it anew"
    paper = ledger.bill_paper(line.account_id, Bill.objects.get(number="B98").pk)
    assert (paper.settled_minor, paper.due_minor) == (given["total"], owed + 6500) and ledger.balance(line.account_id) == owed + 6500
    found = ledger.explained(line.account_id, Bill.objects.get(number="B98").pk, None, credit_queries.on_bills)
    [off] = [d for d in found.differences if d.cause.value == "credit"]
    assert off.event.who == "Ana Silva" and given["credit"] in off.event.what and off.amount_minor == -given["total"]
    assert "counts once" in found.after_credits and sum(d.amount_minor for d in found.differences) == found.change_minor
    assert december("B97", "fifth", given["credit"])["bills"].written == 1, "once more is the biller's own"
    assert ledger.balance(line.account_id) == owed + 6500 + 6500 - given["total"]


def test_a_line_as_much_as_a_credit_that_it_does_not_name_is_counted_and_shown(house, fernline):
    bring_in(fernline)
    account = Account.objects.get(source_key="A010")
    entry = post_credit(act=carrier_act(), account_id=account.pk, amount_minor=540, reference="CR-0000009-9", label="Credit")
    (fernline / "bills.csv").write_text("id,account,no,from,to,issued,due,total,replaces\nB99,A010,B99,2026-12-01,2026-12-31,2026-12-01,2026-12-21,49.20,\n")
    (fernline / "bill_lines.csv").write_text(
        "id,bill,type,text,subscriber,from,to,unit,amount,rate_ppm,on_line\n"
        "1,B99,plan,Unlimited,,2026-12-01,2026-12-31,65.00,65.00,0,\n"
        "2,B99,other,Adjustment,,,,0.00,-5.00,0,\n"
        "3,B99,tax,Tax on the adjustment,,,,0.00,-0.40,0,2\n"
        "4,B99,other,Adjustment,,,,0.00,-5.40,0,\n"
        "5,B99,plan,Less,,,,0.00,-5.00,0,\n"
    )
    tallies = bring_in(fernline, "second")
    assert tallies["bills"].written == 1 and tallies["bill_lines"].doubts == 1
    [doubt] = csv.DictReader((fernline / "second" / "doubts-bill_lines.csv").read_text().splitlines())
    assert (doubt["row"], doubt["field"]) == ("3", "credit") and entry.reference in doubt["reason"]
    assert bring_in(fernline, "third")["bill_lines"].doubts == 0


def test_a_contact_is_handled_on_what_was_imported(house, fernline):
    bring_in(fernline)
    line = Line.objects.filter(account__source_key="A010").first()
    hits, more = customers.find(line.msisdn[-10:], 5)
    assert [h.account_id for h in hits] == [line.account_id] and not more
    ana = Desk(house["ana"])
    holder = customers.people_of(line.account_id)[0]
    ana.contact = int(ana.must("contacts.open", account=line.account_id, person=holder.person_id).show["id"])
    assert ana.call_back(line.account, line, holder.person.name).ok
    charge = ledger.creditable_lines(line.account_id)[0]
    done = ana.must("credits.grant", account=line.account_id, amount=500, reason="billing_error", bill_line=charge.pk)
    assert done.show["total"] > 500  # the imported tax line is taken back with it
    ana.must("contacts.end")
    ana.must("contacts.wrap_up", summary="Credited", disposition="resolved", root_cause="billing_error")


def test_a_customer_verifies_by_the_pin_that_the_old_system_had(house, fernline):
    bring_in(fernline)
    account = Account.objects.get(reference="A-7000001")
    ana = Desk(house["ana"])
    ana.contact = int(ana.must("contacts.open", account=account.pk, person=customers.people_of(account.pk)[0].person_id).show["id"])
    assert ana.act("contacts.check_pin", account=account.pk, pin="7302").refusal.code == "NOT_PROVEN"
    ana.must("contacts.check_pin", account=account.pk, pin="7301")
    lines = [line.content["say"] for line in JournalLine.objects.filter(chain__name=f"account:{account.pk}")]
    assert "Imported 1 PIN" in lines


def test_what_a_customer_said_to_the_old_system_is_what_the_desk_knows_and_keeps_to(house, fernline):
    """In words that nobody here knows a STOP would be kept and not kept to."""
    bring_in(fernline)
    said = {a: care.consents_of(Account.objects.get(source_key=a).pk)["marketing", "sms"].granted for a in ("A001", "A004")}
    assert said == {"A001": True, "A004": False}
    assert {field: reason.partition(":")[0] for field, reason in rejected(fernline, "consents").values()} == {
        "topic": "not one of " + ", ".join(run._consents(rulebooks.current())), "channel": "of marketing it is one of sms, email, call", "row": "not a JSON object",
    }
    assert bring_in(fernline, "check", check=True)["consents"].rejected == 3


def test_a_row_without_a_hash_leaves_the_pin_that_is_here_and_one_in_clear_is_kept_nowhere(house, fernline):
    bring_in(fernline)
    assert rejected(fernline, "pins") == {
        "52": ("account", "there is no account with the key A404 (not in the files, or rejected)"),
        "53": ("hash", "a PIN in clear: an export must carry its hash only"),
        "54": ("hash", "not an Argon2id hash of the PIN ($argon2id$v=19$...): leave it out, and the customer verifies another way"),
    }
    assert "7305" not in (fernline / "out" / "rejected-pins.csv").read_text()
    held = Pin.objects.get(account__source_key="A001").hash
    lines = (fernline / "pins.csv").read_text(encoding="utf-8-sig").splitlines()
    (fernline / "pins.csv").write_text("\n".join([lines[0], "A001,,2026-01-01T00:00:00Z", 'A002,"7302', "A003,7303,2026-01-01T00:00:00Z,x"]) + "\n")
    tally = bring_in(fernline, "again")["pins"]
    assert (tally.unchanged, tally.rejected) == (1, 1) and Pin.objects.get(account__source_key="A001").hash == held
    assert "7302" not in (fernline / "again" / "rejected-pins.csv").read_text()


def test_a_check_writes_nothing(house, fernline):
    tallies = bring_in(fernline, check=True)
    assert tallies["customers"].rejected == 3 and not Customer.objects.exists()


PLANS = "[plans.columns]\nkey='plan_id'\ncode='code'\nname='name'\nprice='price'\n"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("[martians]\nfile='x.csv'", "may name"),
        ("[plans]\nfile='nothing.csv'\n[plans.columns]\nkey='k'\ncode='c'\nname='n'\nprice='p'", "no file"),
        ("[plans.columns]\nkey='plan_id'", "maps nothing to code"),
        ("[plans.columns]\nkey='nope'\ncode='code'\nname='name'\nprice='price'", "has no column nope"),
        ("[plans.columns]\nkey='plan_id'\ncolour='code'", "maps colour"),
        ("[plans", "not TOML"),
        (PLANS + "[plans.formats]\nprce='%Y'", "speaks of prce"),
        (PLANS + "[plans.values.data_mb]\nALL=''", "speaks of data_mb"),
        (PLANS + "[plans.formats]\nprice='%Y'", "neither a day nor a time"),
        (PLANS + "[plans.constants]\nprice='5'", "from a constant too"),
        (PLANS + "[plans.constants]\ndata_mb='lots'", "data_mb cannot be lots: not a whole number"),
        ("[customers.columns]\nkey='id'\nname='full_name'\nsince='customer_since'\n[customers.formats]\nsince='%m/%d/%Q'", "cannot be read as %m/%d/%Q"),
    ],
)
def test_a_mapping_that_cannot_be_used_says_so_before_anything_is_written(fernline, change, says):
    (fernline / "mapping.toml").write_text(change)
    with pytest.raises(Stop, match=says):
        mapping.load(fernline / "mapping.toml", None)


def test_a_table_without_names_and_numbers_is_synthesised_and_marked(house, tmp_path):
    columns = "customerID,gender,tenure,Contract,InternetService,MonthlyCharges,TotalCharges,Churn"
    rows = ["0001-AAAAA,Female,12,Month-to-month,DSL,29.85,350.1,No", "0002-BBBBB,Male,0,Two year,No,19.90, ,No", "0003-CCCCC,Male,x,One year,DSL,50,1,Yes"]
    (tmp_path / "train.csv").write_text("\n".join([columns, *rows]) + "\n")
    sources = mapping.load(Path(settings.ROOT) / "samples" / "ibm-telco-churn" / "mapping.toml", tmp_path)
    tallies = run.run(sources, out=tmp_path / "out", at=TUESDAY)
    assert all(t.holds for t in tallies.values()) and tallies["accounts"].written == 2
    customer = Customer.objects.get(source_key="0001-AAAAA")
    assert customer.synthetic and customer.name == "Customer 0001-AAAAA" and str(customer.since) == "2025-11-24"
    assert Line.objects.filter(msisdn__startswith="+1555").count() == 2


def damaged(folder, entity="plans"):
    """Rejected rows as they lie in the file, in its order: (row, reason, as it was)."""
    return [(int(r["row"]), r["reason"], r["as_it_was"]) for r in csv.DictReader(open(folder / "out" / f"rejected-{entity}.csv", newline=""))]


def plans(folder, content, suffix="csv"):
    """One file of plans and its mapping."""
    (folder / f"p.{suffix}").write_bytes(content)
    (folder / "mapping.toml").write_text(f"[plans]\nfile = 'p.{suffix}'\n[plans.columns]\nkey = 'k'\ncode = 'c'\nname = 'n'\nprice = 'p'\n")
    return bring_in(folder)["plans"]


PYTHONISH = ("Expecting", "char ", "column ", "Traceback", "codec", "line contains", "field larger", "None", "Error")


def test_rows_that_cannot_be_read_are_kept_as_they_were_in_the_order_of_the_file(house, tmp_path):
    rows = [b"P1,A,Plan one,x", b"P2,B", b"P3,C,Caf\xe9,5", b"P4,D,Plan four,5", b"P4,D,Plan four again,5", b'P5,E,"in two\nlines",5,6', b"P6,F,No\x00thing,5", b"P7,G,4111 1111 1111 1111"]
    tally = plans(tmp_path, b"k,c,n,p\n" + b"\n".join(rows) + b"\n")
    assert tally.holds and tally.written == 1
    found = damaged(tmp_path)
    assert [n for n, _, _ in found] == [2, 3, 4, 6, 7, 8, 9]
    kept = {n: text for n, _, text in found}
    assert kept[3] == "P2,B" and kept[4] == "P3,C,Caf\\xe9,5" and kept[7] == 'P5,E,"in two\nlines",5,6'
    assert kept[9].startswith("P7,G,") and "4111" not in kept[9]
    assert not [why for _, why, _ in found for word in PYTHONISH if word in why]


def test_a_row_that_a_spreadsheet_would_run_is_harmless_among_the_rejected_and_can_be_read_back(house, tmp_path):
    rows = ["=cmd|' /C calc'!A0,B", "@SUM(1),B", "'=already,B", '"\tx",B', "-2+3,B,C,5,6", "O'Neill,B", "'quoted',B"]
    plans(tmp_path, ("k,c,n,p\n" + "\n".join(rows) + "\n").encode())
    with open(tmp_path / "out" / "rejected-plans.csv", encoding="utf-8", newline="") as file:
        found = [r["as_it_was"] for r in csv.DictReader(file)]
    assert not [text for text in found if text[:1] in set("=+-@\t\r")] and found[:3] == ["'=cmd|' /C calc'!A0,B", "'@SUM(1),B", "''=already,B"]
    assert [fields.unguarded(text) for text in found] == rows, "and the same by an import that is told `guarded = true`"
    cell = fields.Cell("name", fields.Field("text"), guarded=True)
    assert [cell[text] for text in found if "\t" not in text] == [row for row in rows if "\t" not in row]


def test_a_reason_that_begins_with_a_key_of_the_file_runs_nothing(house, fernline):
    bring_in(fernline)
    (fernline / "bills.csv").write_text("id,account,no,from,to,issued,due,total,replaces\nB99,A010,B99,2026-12-01,2026-12-31,2026-12-01,2026-12-21,5.00,\n")
    (fernline / "bill_lines.csv").write_text("id,bill,type,text,subscriber,from,to,unit,amount,rate_ppm,on_line\n=1+1,B99,plan,Plan,,,,5.00,5.00,0,nothing\n")
    bring_in(fernline, "again")
    assert rejected(fernline, "bills", "again")["2"][1].startswith("'=1+1 taxes nothing")


def test_a_file_of_an_old_system_with_its_name_in_capitals_and_commas_at_the_end(house, tmp_path):
    assert plans(tmp_path, b"k,c,n,p,,\nP1,A,One,5,,\n", "CSV").written == 1


def test_a_json_row_without_what_is_needed_says_which_name_it_lacks(house, tmp_path):
    assert plans(tmp_path, b'{"k": "P1", "code": "A", "n": "One", "p": 5}\n{"k": "P2", "c": "", "n": "Two", "p": 5}\n', "jsonl").rejected == 2
    assert [why for _, why, _ in damaged(tmp_path)] == ["this is needed, and this row has no c", "this is needed and is empty"]


def test_broken_json_lines_are_kept_as_they_were(house, tmp_path):
    rows = [b'{"k": "P1", "c": "A", ', b'{"k": "P2" "c": 1}', b'{"k": "P3", "c": "C", "n": "\\ud800", "p": 5}', b'{"k": "P4", "c": "D", "n": "Four", "p": 5}', b"[1]", b"[" * 100_000, b'{"k": "\xff"}']
    tally = plans(tmp_path, b"\n".join(rows), "jsonl")
    assert tally.holds and tally.written == 1
    found = damaged(tmp_path)
    assert [n for n, _, _ in found] == [1, 2, 3, 5, 6, 7]
    assert found[0][1:] == ("not a JSON object: it ends too early", '{"k": "P1", "c": "A", ')
    assert found[-1][2] == '{"k": "\\xff"}'
    assert not [why for _, why, _ in found for word in PYTHONISH if word in why]


@pytest.mark.parametrize(("content", "says"), [
    ("k,c,n,p\nP1,A,One,5\n".encode("utf-16"), "not UTF-8"), (b"\x89PNG\r\n\x1a\n\0\0", "not UTF-8"), (b"\0" * 300_000, "first line is too long|not UTF-8"), (b"", "is empty"),
])  # fmt: skip
def test_a_file_that_is_no_text_is_one_line(tmp_path, content, says):
    with pytest.raises(Stop, match=says):
        plans(tmp_path, content)


@pytest.mark.parametrize(("change", "says"), [
    ("[plans]\nname='Caf\xe9'".encode("latin-1"), "not UTF-8"), (b"\x89PNG\r\n\x1a\n", "not UTF-8"), (b"plans = 3", "must be a table"),
    (b"[plans]\nfile = 3", "file must be"), (b"[plans]\ncolumns = 'x'", "must be a table"), (b"[plans.columns]\nkey = [1]", "one word"),
    (b"[plans]\ncolums = {}", "not known"), (b"[plans.synthesise]\nkey='{nope}'\ncode='{serial}'\nname='x'\nprice='1'", "has no column nope"),
])  # fmt: skip
def test_a_mapping_that_is_no_mapping_is_one_line(fernline, change, says):
    (fernline / "mapping.toml").write_bytes(change)
    with pytest.raises(Stop, match=says):
        mapping.load(fernline / "mapping.toml", None)


@pytest.mark.parametrize(("entity", "field", "raw", "says"), [
    ("usage", "quantity", "12,50", "whole number"), ("usage", "quantity", "1_000", "whole number"), ("usage", "quantity", "٣", "whole number"), ("usage", "quantity", "-5", "whole number"),
    ("plans", "data_mb", "9" * 12, "above 2147483647"), ("bill_lines", "quantity", "12,50", "a number"), ("bill_lines", "quantity", "1E+05", "a number"), ("bill_lines", "quantity", "NaN", "a number"),
    ("plans", "price", "12,50", "before every third digit"), ("plans", "price", "4.995", "at most 2 decimals"), ("plans", "price", "1e3", "not an amount"), ("plans", "price", "$ 12.5", ""), ("plans", "price", "(5.00)", ""),
    ("customers", "since", "2026-02-31", "not a day"), ("customers", "since", "20260131", "not a day"), ("customers", "since", "2026-01-31xyz", "not a day"), ("customers", "since", "2026-01-31T10:00:00Z", ""),
    ("consents", "at", "0001-01-01T00:00:00Z", "outside 1990"), ("accounts", "zone", "Mars/Phobos", "time zone"), ("accounts", "reference", "A-" + "7" * 19, "longer than 20"), ("accounts", "state", "California", "longer than 2"),
    ("agreements", "amount", "5.00", "below zero"), ("agreements", "share_ppm", "1000001", "at most 1000000"), ("agreements", "kind", "gift", "not one of"), ("agreements", "ends_on", "2025-12-31", "before starts_on"),
    ("instalments", "count", "0", "from 1 to 600"), ("instalments", "total", "0.10", "not a cent"), ("instalments", "total", "-5", "not a cent"),
    ("usage", "quantity", "1,250", ""), ("usage", "quantity", "1250.0", ""), ("bill_lines", "quantity", "-1,250.5", ""),
])  # fmt: skip
@pytest.mark.once
def test_what_a_dirty_cell_is_taken_for(entity, field, raw, says):
    good = {"key": "K1", "code": "A", "name": "N", "price": "5", "line": "L", "kind": {"usage": "data", "bill_lines": "plan", "customers": "individual", "agreements": "discount"}.get(entity, ""), "day": "2026-01-31", "quantity": "1",
            "bill": "B", "label": "L", "amount": "-5" if entity == "agreements" else "5", "account": "A", "topic": "offers", "channel": "sms", "granted": "y", "at": "2026-01-31T00:00Z",
            "starts_on": "2026-01-31", "total": "100", "count": "24", "customer": "C", "reference": "A-7000001", "opened_on": "2026-01-31"}  # fmt: skip
    if says:
        with pytest.raises(fields.Fault, match=says) as fault:
            fields.read_row(entity, good | {field: raw}, {})
        assert fault.value.field == field
    else:
        fields.read_row(entity, good | {field: raw}, {})


@pytest.mark.once
def test_no_text_that_the_import_takes_is_longer_than_its_column():
    """SQLite would keep it and PostgreSQL would stop the import."""
    ledgers = {"methods": PaymentMethod, "bills": Bill, "bill_lines": BillLine, "payments": Payment}
    ledgers |= {"agreements": Agreed, "instalments": Instalments}
    tables = ledgers | {entity: spec.table for entity, spec in IMPORTED.items()}
    for entity, known in fields.ENTITIES.items():
        columns = {c.name: c for c in tables[entity]._meta.fields}
        for name, field in known.items():
            column = columns.get("source_key" if name == "key" else name)
            if field.kind in ("text", "key") and column is not None and column.max_length:
                assert field.most <= column.max_length, f"{entity}.{name}"


def test_a_key_twice_in_a_file_is_the_same_in_every_batch(house, tmp_path, monkeypatch):
    """Far apart it would be another batch, and the second would have changed the first."""
    monkeypatch.setattr(run, "SMALLEST", 1)
    monkeypatch.setattr(run, "LARGEST", 1)
    tally = plans(tmp_path, b"k,c,n,p\nP1,A,One,5\nP2,B,Two,5\nP1,A,One again,6\n")
    assert tally.holds and (tally.written, tally.rejected) == (2, 1)
    assert damaged(tmp_path)[0][:2] == (4, "the same key came before, in row 2") and Plan.objects.get(code="A").name == "One"


@pytest.mark.parametrize(("mark", "says"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_another_delimiter_is_named(tmp_path, mark, says):
    with pytest.raises(Stop, match=says):
        plans(tmp_path, mark.join("kcnp").encode() + b"\n" + mark.join(["P1", "A", "One", "5"]).encode())
