"""A survivor's line leaves no trace where it was; what a legal hold keeps is not redacted; what is redacted still proves itself."""

from __future__ import annotations

from datetime import timedelta

import pytest

from careline.acts.look import search
from careline.acts.perform import perform
from careline.domain.billing.models import Agreed
from careline.domain.contacts.models import Contact, FollowUp, Note
from careline.domain.customers import queries as customers
from careline.domain.customers.models import Account, Customer, FormerContact, Line, StaffTie
from careline.domain.customers.operations import index_many, upsert_many
from careline.domain.customers.queries import care
from careline.domain.journal import queries as journal
from careline.domain.journal.models import Line as JournalLine
from careline.domain.journal.models import Outbox, Payload
from tests.people import TUESDAY, Desk, carrier_act, key, open_account, plus_plan

HERS = "+12065550190"


@pytest.fixture
def shared(house):
    """John Doyle's account with two lines: his own, and Renee's."""
    account = open_account("John Doyle", "+12065550188", "A-0104822")
    line = Line.objects.create(account=account, msisdn=HERS, label="Johns Renee", plan=plus_plan(), activated_on=TUESDAY.date() - timedelta(days=900),
                               number_since=TUESDAY - timedelta(days=900), contract_ends_on=TUESDAY.date() + timedelta(days=90))  # fmt: skip
    index_many(accounts=[account.pk], lines=[line.pk])
    return account


@pytest.fixture
def lena(house, shared):
    """A lead with Renee on the line; nothing is proven, and John must not hear of it."""
    desk = Desk(house["lena"])
    desk.contact = int(desk.must("contacts.open", account=shared.pk).show["id"])
    return desk


def hers() -> Line:
    return Line.objects.get(msisdn=HERS)


def separate(desk: Desk, account: Account, **other: object):
    return desk.act("customers.separate_line", account=account.pk, **{"lines": [str(hers().pk)], "name": "Renee Marsh", "seen": True} | other)


def told_of(account: Account) -> str:
    """All that the account's own journal says, words included."""
    entries = journal.timeline(f"account:{account.pk}", limit=99, with_looks=True)
    return " ".join(f"{e.code} {e.say} {e.data} {e.payload}" for e in entries)


# ---------------------------------------------------------------- a survivor's line


def test_renees_line_is_on_an_account_of_her_own_with_nothing_of_the_old_one(lena, shared):
    Agreed.objects.create(account=shared, line=hers(), kind="fee", label="Insurance", amount_minor=500, starts_on=TUESDAY.date(), reference="AG-1")
    Agreed.objects.create(account=shared, kind="fee", label="His own", amount_minor=500, starts_on=TUESDAY.date(), reference="AG-2")
    done = separate(lena, shared)
    assert done.ok, done
    line, new = hers(), Account.objects.exclude(pk=shared.pk).get()
    assert (line.account, line.label, line.contract_ends_on) == (new, "", None)
    assert (new.customer.name, new.protected_at, new.change_lock, new.port_lock, new.autopay) == ("Renee Marsh", TUESDAY, True, True, False)
    assert (new.street, new.postal_code, new.customer.email) == ("", "", ""), "she gives an address when she wants to"
    assert [n.msisdn for n in customers.lines_of(shared.pk)] == ["+12065550188"]
    assert [p.person.name for p in customers.people_of(new.pk)] == ["Renee Marsh"]
    assert Agreed.objects.get(reference="AG-1").account == new and Agreed.objects.get(reference="AG-2").account == shared
    assert not Outbox.objects.exists(), "nobody is told, and her own phone may be read by another"
    contact = Contact.objects.get(pk=lena.contact)
    assert (contact.account, contact.level, contact.person.name) == (new, 1, "Renee Marsh")


def test_the_account_that_she_left_says_no_word_of_it(house, lena, shared):
    lena.must("contacts.hold")
    Note.objects.create(account=shared, contact_id=lena.contact, author=house["lena"], at=TUESDAY, text="Renee is afraid of John")
    ben = Desk(house["ben"])
    ben.contact = int(ben.must("contacts.open", channel="chat", account=shared.pk).show["id"])
    ben.must("contacts.hand_over", to=house["lena"].pk, words="She wants to leave him, call it a survivor case")
    lena.contact, first = ben.contact, lena.contact
    lena.must("contacts.accept")
    assert "survivor" in told_of(shared)
    assert separate(lena, shared).ok
    said = told_of(shared)
    assert not any(word in said for word in ("Renee", "survivor", "protect", "separate", "0190")), said
    assert "A-" not in " ".join(e.say for e in journal.timeline(f"account:{shared.pk}", limit=99))
    assert list(journal.verify()) == [], "words went, the chain stands"
    lena.contact = first
    assert Note.objects.get().account == shared, "a note of another contact is not hers to take"
    new = Account.objects.exclude(pk=shared.pk).get()
    assert "under protection" in told_of(new) and "Renee Marsh" in told_of(new)


def test_a_refusal_of_it_leaves_no_word_either(house, lena, shared):
    for no in (separate(lena, shared, seen=False), separate(lena, shared, lines=["999999"]), separate(lena, shared, name="…")):
        assert no.status == "refused" and no.refusal.fields
    every = [str(pk) for pk in shared.lines.values_list("pk", flat=True)]
    assert "every line" in separate(lena, shared, lines=every).say
    ana = Desk(house["ana"])
    ana.contact = int(ana.must("contacts.open", account=shared.pk, channel="chat").show["id"])
    assert separate(ana, shared).refusal.rule == "not-your-role"
    assert "urvivor" not in told_of(shared) and Account.objects.count() == 1
    assert JournalLine.objects.filter(code="customers.separate_line", chain__name="house").count() == 5


def test_nobody_finds_her_by_number_or_name_but_a_lead_and_everybody_by_the_reference_that_she_has(house, lena, shared):
    reference = separate(lena, shared).show["reference"]

    def found(name: str, text: str) -> list[str]:
        return [h.account_reference for h in search(text, who=house[name].who, at=TUESDAY).hits]

    for text in (HERS, "555-0190", "0190", "Renee Marsh", "marsh", "A-0"):
        assert found("ana", text) == [], text
    assert customers.by_caller_number(HERS) == [], "anybody can put her number on their call"
    assert found("lena", "0190") == found("lena", "renee") == [reference]
    assert found("ana", reference) == [reference] and found("ana", "0188") == ["A-0104822"]


def test_a_colleague_whose_own_account_she_left_learns_nothing_of_her(house, lena, shared):
    """John works here, as a supervisor: who may find the protected may not find this one."""
    StaffTie.objects.create(account=shared, staff=house["sam"], tie="own")
    Account.objects.update(staff_marked=True)
    Contact.objects.update(admitted_account=shared, admitted_staff=house["lena"], admitted_by=house["eva"])
    reference = separate(lena, shared).show["reference"]
    for text in ("0190", "renee", reference):
        assert not search(text, who=house["sam"].who, at=TUESDAY).hits, text
    no = perform("contacts.open", {"channel": "chat", "account": hers().account_id}, who=house["sam"].who, key=key(), at=TUESDAY)
    assert no.refusal.rule == "own-business"


def test_she_is_verified_on_her_account_sets_a_pin_and_is_served_as_anybody(house, lena, shared):
    separate(lena, shared)
    new = Account.objects.exclude(pk=shared.pk).get()
    lena.must("contacts.send_code", account=new.pk, line=hers().pk)
    lena.must("contacts.check_code", account=new.pk, code=Outbox.objects.get().body.split()[0])
    lena.must("customers.set_pin", account=new.pk, pin="83520")
    assert {m.to for m in Outbox.objects.filter(topic="security_notice")} == {HERS}, "her notices are hers alone"
    lena.must("contacts.note", account=new.pk, text="Goes by Renee")
    lena.must("contacts.end")
    lena.must("contacts.wrap_up", summary="Line separated", disposition="resolved", root_cause="bill_changed")
    assert "Line separated" not in told_of(shared) and not customers.find("0190", 5)[0]


def test_the_same_click_twice_is_one_account(lena, shared):
    click = key()
    first = separate(lena, shared, key_=click)
    assert separate(lena, shared, key_=click) == first and Account.objects.count() == 2


def test_an_import_of_the_old_system_never_moves_her_back_and_unlocks_nothing(house, lena, shared):
    Account.objects.update(source_key="acc-1", change_lock=True)
    Line.objects.filter(msisdn=HERS).update(source_key="line-2")
    plan = plus_plan()
    type(plan).objects.update(source_key="plan-1")
    separate(lena, shared)
    row = {f.name: getattr(hers(), f.name) for f in Line._meta.concrete_fields if f.name not in ("id", "account", "plan", "device", "number_key")}
    row |= {"account": "acc-1", "plan": "plan-1", "device": None, "label": "Johns Renee", "can_text": False}
    assert upsert_many(act=carrier_act(), entity="lines", rows=[row]) == ["written"]
    assert (hers().account.customer.name, hers().label, hers().can_text) == ("Renee Marsh", "", False)
    old = Account.objects.get(pk=shared.pk)
    account = {"source_key": "acc-1", "reference": old.reference, "opened_on": old.opened_on, "change_lock": False, "state": "ID", "customer": "c-1"}
    Customer.objects.filter(pk=old.customer_id).update(source_key="c-1", email="new@post.example", email_since=TUESDAY)
    assert upsert_many(act=carrier_act(), entity="accounts", rows=[account]) == ["written"]
    old.refresh_from_db()
    assert (old.change_lock, old.state) == (True, "ID"), "the rest is the old system's to say"
    upsert_many(act=carrier_act(), entity="customers", rows=[{"source_key": "c-1", "name": "John Doyle", "email": "john@old.example"}])
    assert Customer.objects.get(source_key="c-1").email == "new@post.example"
    before = old.pin.hash
    upsert_many(act=carrier_act(), entity="pins", rows=[{"account": "acc-1", "hash": "older", "set_at": old.pin.set_at - timedelta(days=1)}])
    assert type(old.pin).objects.get(account=old).hash == before


# ---------------------------------------------------------------- legal hold and redaction


@pytest.fixture
def sam(house, shared):
    desk = Desk(house["sam"])
    desk.contact = int(desk.must("contacts.open", account=shared.pk, channel="message", inbound=False).show["id"])
    return desk


@pytest.fixture
def said(house, shared):
    """Ana's contact of two years ago: a note, a payment with a receipt, another mail address, a summary."""
    Customer.objects.update(email="john@old.example")
    ana = Desk(house["ana"], TUESDAY - timedelta(days=760)).take_call(shared)
    ana.must("contacts.note", account=shared.pk, text="His daughter is in Spokane")
    ana.must("credits.grant", account=shared.pk, amount=100, reason="goodwill", words="because of the rain")
    ana.must("contacts.end")
    ana.must("contacts.wrap_up", summary="Talked about Spokane", disposition="resolved", root_cause="bill_changed",
             follow_up="A letter to Spokane", due_on="2024-12-01")  # fmt: skip
    FormerContact.objects.create(account=shared, kind="email", value="john@older.example", until=ana.at)
    return ana


def test_words_are_redacted_in_the_journal_and_wherever_else_they_stand_and_the_chain_proves_itself(sam, said, shared):
    assert "Spokane" in told_of(shared)
    done = sam.must("customers.redact", account=shared.pk, before="2025-01-01", words="He asked us to erase it")
    assert done.say.startswith("Personal words of 3 lines redacted")
    assert "Spokane" not in told_of(shared) and "the rain" not in told_of(shared)
    assert Note.objects.get().text == "(redacted)" and Contact.objects.get(pk=said.contact).summary == ""
    assert FollowUp.objects.get().what == "(redacted)"
    assert FormerContact.objects.get().value == "" and list(journal.verify()) == []
    assert sam.act("customers.redact", account=shared.pk, before="2025-01-01", words="Again").refusal.code == "CONFLICT"


def test_one_line_is_redacted_and_the_others_stay(sam, said, shared):
    line = JournalLine.objects.get(code="contacts.note")
    sam.must("customers.redact", account=shared.pk, line=str(line.pk), words="Named a child")
    assert Payload.objects.get(line=line).body is None and "the rain" in told_of(shared) and list(journal.verify()) == []
    other = open_account("Joe Lind", "+14155550199", "A-0104823")
    ben = Desk(said.staff).take_call(other)
    ben.must("contacts.note", account=other.pk, text="Not Johns")
    his = JournalLine.objects.filter(code="contacts.note").latest("pk")
    assert sam.act("customers.redact", account=shared.pk, line=str(his.pk), words="x").refusal.code == "CONFLICT", "a line of another account"
    assert Payload.objects.get(line=his).body is not None


def test_while_a_legal_hold_is_in_force_nothing_is_redacted_and_who_placed_it_does_not_lift_it(house, sam, said, shared):
    hold = sam.must("customers.place_legal_hold", account=shared.pk, matter="Doyle v. Fernline", words="Letter of counsel").show["hold"]
    no = sam.act("customers.redact", account=shared.pk, before="2025-01-01", words="He asked us to")
    assert no.refusal.rule == "redact-held" and "Spokane" in told_of(shared)
    assert "Doyle v." not in JournalLine.objects.get(code="customers.place_legal_hold").text
    assert sam.act("customers.lift_legal_hold", account=shared.pk, hold=hold, words="Over").refusal.rule == "legal-hold-maker"
    assert sam.act("customers.lift_legal_hold", account=shared.pk, hold="LH-0000009-9", words="x").refusal.code == "NOT_FOUND"
    house["lena"].role = "supervisor"
    house["lena"].save()
    lena = Desk(house["lena"])
    lena.contact = int(lena.must("contacts.open", account=shared.pk, channel="message", inbound=False).show["id"])
    second = lena.must("customers.place_legal_hold", account=shared.pk, matter="Another").show["hold"]
    lena.must("customers.lift_legal_hold", account=shared.pk, hold=hold, words="Settled")
    assert [h.reference for h in care.legal_holds(shared.pk)] == [second]
    assert sam.act("customers.redact", account=shared.pk, before="2025-01-01", words="x").refusal.rule == "redact-held", "the other one still holds"
    sam.must("customers.lift_legal_hold", account=shared.pk, hold=second, words="Settled too")
    assert sam.act("customers.redact", account=shared.pk, before="2025-01-01", words="He asked us to").ok


def test_what_is_held_keeps_its_words_when_a_line_is_separated(house, sam, shared):
    sam.must("customers.place_legal_hold", account=shared.pk, matter="Doyle v. Fernline")
    sam.must("contacts.end")
    sam.must("contacts.wrap_up", summary="Placed", disposition="resolved", root_cause="bill_changed")
    lena = Desk(house["lena"])
    lena.contact = int(lena.must("contacts.open", account=shared.pk).show["id"])
    before = Payload.objects.filter(body=None).count()
    assert separate(lena, shared).ok and Payload.objects.filter(body=None).count() == before


def test_what_the_law_asks_to_be_kept_stays_until_its_time_is_over(house, sam, shared):
    Customer.objects.update(email="john@old.example")
    ana = Desk(house["ana"], TUESDAY - timedelta(days=390)).take_call(shared)
    ana.must("contacts.send_code", account=shared.pk, line=shared.lines.order_by("pk")[0].pk)
    ana.must("contacts.check_code", account=shared.pk, code=Outbox.objects.latest("pk").body.split()[0])
    ana.must("customers.change_contact", account=shared.pk, email="john@new.example")
    line = JournalLine.objects.get(code="customers.change_contact")
    no = sam.act("customers.redact", account=shared.pk, line=str(line.pk), words="He asked us to")
    assert no.refusal.rule == "kept" and "3 years" in no.refusal.cite
    ana.must("contacts.note", account=shared.pk, text="Likes the mornings")
    done = sam.must("customers.redact", account=shared.pk, before="2026-11-24", words="He asked us to")
    assert "1 line redacted; 1 kept until their time is over" in done.say and Payload.objects.get(line=line).body is not None
    sam.at = TUESDAY + timedelta(days=710)
    assert sam.act("customers.redact", account=shared.pk, line=str(line.pk), words="He asked us to").ok


@pytest.mark.parametrize("given", [{}, {"line": "1", "before": "2025-01-01"}, {"before": "2026-11-25"}])
def test_what_to_redact_is_one_line_or_a_day_that_is_over(sam, shared, given):
    assert set(sam.act("customers.redact", account=shared.pk, words="x", **given).refusal.fields) == {"before"}


@pytest.mark.parametrize(
    ("name", "code", "given"),
    [
        ("lena", "redact", {"before": "2025-01-01", "words": "x"}),
        ("lena", "place_legal_hold", {"matter": "x"}),
        ("eva", "separate_line", {"lines": ["1"], "name": "x", "seen": True}),
    ],
)
def test_a_lead_redacts_nothing_and_an_expert_protects_nobody(house, shared, name, code, given):
    desk = Desk(house[name])
    desk.contact = int(desk.must("contacts.open", account=shared.pk, channel="chat").show["id"])
    assert desk.act(f"customers.{code}", account=shared.pk, **given).refusal.rule == "not-your-role"
