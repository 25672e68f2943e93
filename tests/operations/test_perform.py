"""perform(): one key is one deed and one answer; a refusal is a result; secrets are written nowhere."""

from __future__ import annotations

import json
import logging

import pytest
from django.apps import apps
from django.db import OperationalError, connection, transaction

from careline.acts.declare import BasisRef
from careline.acts.look import look
from careline.acts.perform import perform, scene_for_page
from careline.carriers import payments as provider
from careline.domain.contacts import queries as contact_queries
from careline.domain.contacts.models import Contact, Note
from careline.domain.credits.models import Grant
from careline.domain.journal import operations as journal_operations
from careline.domain.journal import queries as journal
from careline.domain.journal.models import Line, Outbox, RequestKey
from careline.domain.ledger import queries as ledger
from careline.domain.ledger.models import Bill, Charge, Payment, PaymentMethod
from careline.domain.rulebook import queries as rulebooks
from careline.domain.staff.models import Spending
from tests.people import CARRIER, TUESDAY, Desk, key, open_account


def tables() -> dict[str, list]:
    """Every row of every table of ours, as it stands."""
    return {
        m._meta.label: list(m.objects.order_by("pk").values())
        for m in apps.get_models()
        if m.__module__.startswith("careline.")
    }


# ---------------------------------------------------------------- keys


def test_the_same_click_twice_is_one_credit_and_one_answer(ana, maria):
    first = ana.act("credits.grant", key_="one-click", account=maria.pk, amount=700, reason="goodwill")
    before = tables()
    again = ana.act("credits.grant", key_="one-click", account=maria.pk, amount=700, reason="goodwill")
    assert first.ok and again == first and Grant.objects.count() == 1
    assert tables() == before, "the second click wrote something"


def test_the_same_key_with_other_words_is_refused_and_nothing_is_done(ana, maria):
    ana.must("credits.grant", key_="one-click", account=maria.pk, amount=700, reason="goodwill")
    before = tables()
    no = ana.act("credits.grant", key_="one-click", account=maria.pk, amount=701, reason="goodwill")
    assert (no.status, no.refusal.code) == ("refused", "KEY_REUSED")
    other = ana.act("contacts.note", key_="one-click", account=maria.pk, text="Hello")
    assert other.refusal.code == "KEY_REUSED"
    assert tables() == before


def test_keys_are_each_persons_own(ana, house, maria):
    joe = open_account("Joe Lind", "+12065550199", "A-0104823")
    ben = Desk(house["ben"]).take_call(joe)
    assert ana.act("credits.grant", key_="one-click", account=maria.pk, amount=700, reason="goodwill").ok
    assert ben.act("credits.grant", key_="one-click", account=joe.pk, amount=700, reason="goodwill").ok


def test_a_refusal_is_committed_with_its_line_and_repeated_by_its_key(ana, maria):
    no = ana.act("credits.grant", key_="too-much", account=maria.pk, amount=4000, reason="retention")
    line = Line.objects.latest("pk")
    assert (no.status, no.refusal.rule, line.outcome, line.code) == ("refused", "credit-event", "refused", "credits.grant")
    assert line.content["data"] == {"code": "AUTHORITY", "rule": "credit-event"}
    before = tables()
    assert ana.act("credits.grant", key_="too-much", account=maria.pk, amount=4000, reason="retention") == no
    assert tables() == before and not Grant.objects.exists()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": "much"}, "amount"),
        ({"amount": 10**12}, "amount"),
        ({"more": "a field that nobody knows"}, "more"),
        ({"words": "x" * 401}, "words"),
        ({"words": "my card is 4111 1111 1111 1111"}, "words"),
        ({"words": "a NUL \0 in it"}, "words"),
        ({"words": "half a pair \ud83d"}, "words"),
        ({"account": -1}, "account"),
        ({"account": 2**63}, "account"),
    ],
    ids=lambda v: str(v)[:30].encode("ascii", "replace").decode() if isinstance(v, dict) else v,
)
def test_input_that_cannot_be_uses_up_no_key_and_leaves_no_trace(ana, maria, given, field):
    before = tables()
    no = ana.act("credits.grant", key_="my-key-12", **{"account": maria.pk, "amount": 700, "reason": "goodwill", **given})
    assert no.status == "invalid" and field in no.refusal.fields
    assert tables() == before
    assert ana.act("credits.grant", key_="my-key-12", account=maria.pk, amount=700, reason="goodwill").ok


@pytest.mark.parametrize("bad", ["", "short", "x" * 81, "a key with \0 in it"])
def test_a_key_that_is_no_key_is_told_before_anything_is_done(ana, maria, bad):
    before = tables()
    no = perform("contacts.note", {"account": maria.pk, "text": "Hello"}, who=ana.staff.who, key=bad, basis=BasisRef("contact", ana.contact))
    assert no.status == "invalid" and "key" in no.refusal.fields and tables() == before


def test_a_card_number_in_the_reason_for_a_deed_is_refused_too(ana, maria):
    no = perform("contacts.note", {"account": maria.pk, "text": "Hello"}, who=ana.staff.who, key=key(),
                 basis=BasisRef("contact", ana.contact), why="paid with 4111 1111 1111 1111")
    assert no.refusal.code == "CARD_NUMBER" and not Note.objects.exists()


def test_a_card_number_inside_what_somebody_asks_a_lead_for_is_refused(ana, maria):
    no = ana.act("approvals.ask", account=maria.pk, code="credits.grant",
                 input={"account": str(maria.pk), "amount": 4000, "reason": "retention", "words": "4111-1111-1111-1111"})
    assert no.refusal.code == "CARD_NUMBER"


def test_a_deed_on_another_account_than_the_contacts_is_refused(ana, maria):
    joe = open_account("Joe Lind", "+12065550199", "A-0104823")
    no = ana.act("credits.grant", account=joe.pk, amount=700, reason="goodwill")
    assert no.refusal.code == "BASIS_MISMATCH" and not Grant.objects.exists()
    assert ana.act("credits.grant", account=987654, amount=700, reason="goodwill").refusal.code == "NOT_FOUND"


def test_a_deed_on_somebody_elses_contact_is_refused(ana, house, maria):
    ben = Desk(house["ben"])
    no = ben.act("credits.grant", basis=BasisRef("contact", ana.contact), account=maria.pk, amount=700, reason="goodwill")
    assert no.refusal.rule == "not-your-contact"
    nowhere = ben.act("credits.grant", basis=BasisRef("contact", 987654), account=maria.pk, amount=700, reason="goodwill")
    assert nowhere.status == "refused" and not Grant.objects.exists()


# ---------------------------------------------------------------- pending deeds


def test_a_payment_whose_answer_is_lost_stays_pending_is_never_charged_twice_and_is_settled_later(ana, maria):
    from careline.acts import table
    from careline.acts.perform import settle

    slow = PaymentMethod.objects.create(account=maria, token="tok-slow", brand="Visa", last_four="1111")
    open_before = ledger.balance(maria.pk)
    first = ana.act("payments.take", key_="pay-once", account=maria.pk, amount=1000, method=slow.pk)
    assert first.status == "pending" and not Payment.objects.filter(amount_minor=1000).exists()
    charges = provider().path.read_text()
    again = ana.act("payments.take", key_="pay-once", account=maria.pk, amount=1000, method=slow.pk)
    assert again.status == "pending" and provider().path.read_text() == charges
    (pending,) = journal.pending_since(TUESDAY.replace(year=2030))
    kind = table.act(pending.code)
    for _ in range(2):  # whoever comes second finds the outcome of the first
        done = settle(kind, who=ana.staff.who, key=pending.key, basis=BasisRef(*pending.work["basis"]),
                      work=pending.work["work"], answer=kind.recall(pending.work["work"]), at=ana.at)
        assert done.ok, done
    assert ledger.balance(maria.pk) == open_before - 1000
    assert Payment.objects.filter(amount_minor=1000).count() == 1
    assert ana.act("payments.take", key_="pay-once", account=maria.pk, amount=1000, method=slow.pk) == done


def test_two_long_keys_of_one_person_are_two_charges(ana, maria):
    method = PaymentMethod.objects.get(account=maria)
    for last in "12":
        done = ana.act("payments.take", key_="k" * 79 + last, account=maria.pk, amount=100, method=method.pk)
        assert done.ok, done
    assert Charge.objects.filter(state="taken").count() == 2


def test_a_declined_payment_moves_no_money_and_is_repeated_by_its_key(ana, maria):
    bad = PaymentMethod.objects.create(account=maria, token="tok-declined", brand="Visa", last_four="0002")
    no = ana.act("payments.take", key_="pay-once", account=maria.pk, amount=1000, method=bad.pk)
    assert (no.status, no.refusal.code) == ("refused", "DECLINED")
    assert ana.act("payments.take", key_="pay-once", account=maria.pk, amount=1000, method=bad.pk) == no
    assert not list(journal.verify())


def test_words_too_long_for_a_column_are_refused_at_the_door(house, maria):
    """SQLite would keep them; PostgreSQL would fall over."""
    for code, given, field in [
        ("payments.link_paid", {"link": "PL-1", "provider_reference": "x" * 121, "method": "card"}, "provider_reference"),
        ("payments.link_paid", {"link": "PL-1", "provider_reference": "x", "method": "x" * 61}, "method"),
        ("staff.add", {"username": "zoe", "name": "Zoe", "role": "associate", "team": "x" * 81}, "team"),
    ]:
        no = perform(code, given, who=CARRIER, key=key(), at=TUESDAY)
        assert no.status == "invalid" and field in no.refusal.fields
    ana = Desk(house["ana"])
    assert ana.act("contacts.open", reason="because of a long long long long story").refusal.fields.keys() == {"reason"}


def test_a_credit_on_a_charge_with_a_long_name_keeps_its_label_short(house, maria):
    from careline.domain.ledger import operations as ledger_operations
    from careline.domain.ledger.models import BillLine

    bill = Bill(number="B-LONG", account=maria, period_start=TUESDAY, period_end=TUESDAY, issued_on=TUESDAY.date(),
                due_on=TUESDAY.date(), total_minor=1000)
    charge = BillLine(kind="fee", label="L" * 160, amount_minor=1000)
    ledger_operations.post_bills_many([bill], [(bill, charge)], TUESDAY)
    ana = Desk(house["ana"]).take_call(maria)
    ana.must("credits.grant", account=maria.pk, amount=100, reason="billing_error", bill_line=charge.pk)
    assert len(Grant.objects.get().parts.get().label) == 160


# ---------------------------------------------------------------- secrets


def test_no_secret_stands_anywhere_in_the_database_or_the_log_once_it_was_told(house, maria, caplog):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("django.db.backends").setLevel(logging.INFO)
    ada = Desk(house["ada"])
    password = "seven green umbrellas"
    ada.must("staff.reset_password", staff=house["ana"].pk)
    way_in = Desk(house["lena"]).must("staff.let_in", staff=house["ana"].pk).show["code"]
    Desk(house["ana"]).act("staff.choose_password", code="AAA-AAA-AAB", password=password)
    Desk(house["ana"]).must("staff.choose_password", code=way_in, password=password)
    token = ada.must("staff.issue_token", staff=house["ada"].pk, label="Till").show["secret"]
    new_password = "nine yellow submarines"
    perform("staff.set_password", {"staff": house["ben"].pk, "password": new_password}, who=CARRIER, key=key(), at=TUESDAY)

    ana = Desk(house["ana"]).take_call(maria, verify=False)
    ana.act("contacts.check_pin", account=maria.pk, pin="91827364")
    ana.must("contacts.send_code", account=maria.pk, line=maria.lines.get().pk)
    message = Outbox.objects.get(topic="one_time_code")
    code = message.body.split()[0]
    ana.act("contacts.check_code", account=maria.pk, code="00000000")
    ana.must("contacts.check_code", account=maria.pk, code=code)
    ana.must("contacts.check_pin", account=maria.pk, pin="4711")
    ana.must("payments.send_link", account=maria.pk, amount=1000, line=maria.lines.get().pk)
    link = Outbox.objects.get(topic="payment_link").body.split("/pay/")[1]
    while due := journal_operations.take_due(at=ana.at):
        for message in due:
            journal_operations.mark_sent(message=message, at=ana.at)

    dump = json.dumps(tables(), default=str, ensure_ascii=False)
    for name, secret in {"password": password, "new password": new_password, "way in": way_in, "wrong way in": "AAA-AAA-AAB", "token": token, "wrong PIN": "91827364",
                         "code": code, "link": link}.items():
        assert secret not in caplog.text, f"{name} is in the log"
        hidden = dump.replace(f'"{secret}"', "") if name == "code" and code in maria.reference else dump
        assert secret not in hidden, f"{name} is in the database"
    assert '"4711"' not in dump and "4711 " not in caplog.text


def test_a_token_is_shown_once_and_not_again_by_its_key(house):
    ada = Desk(house["ada"])
    first = ada.must("staff.issue_token", key_="give-token", staff=house["ada"].pk, label="Till")
    again = ada.must("staff.issue_token", key_="give-token", staff=house["ada"].pk, label="Till")
    assert first.show["secret"].startswith("cl_") and "secret" not in again.show


def test_free_words_stand_in_the_payload_and_never_in_a_sentence(ana, maria):
    words = "her mother is in hospital"
    ana.must("contacts.note", account=maria.pk, text=words)
    ana.must("credits.grant", account=maria.pk, amount=100, reason="goodwill", words=words)
    assert not Line.objects.filter(text__contains=words).exists()
    assert [e.payload for e in journal.timeline(f"account:{maria.pk}", limit=2)] == [{"words": words}, {"text": words}]


# ---------------------------------------------------------------- looks


def scene(desk: Desk):
    return scene_for_page(contact_queries.contact(desk.contact), desk.staff.who, rulebooks.current(), desk.at)


def test_the_first_look_writes_a_line_and_the_next_ones_do_not(ana, maria):
    for _ in range(3):
        assert look("view.account", who=ana.staff.who, scene=scene(ana), at=ana.at).allowed
    assert Line.objects.filter(code="view.account", outcome="looked").count() == 1


def test_a_contact_that_moves_to_another_account_looks_at_it_anew(ana, maria):
    joe = open_account("Joe Lind", "+12065550199", "A-0104823")
    look("view.account", who=ana.staff.who, scene=scene(ana), at=ana.at)
    ana.must("contacts.identify", account=joe.pk, person=joe.people.get().person_id)
    ana.must("contacts.check_pin", account=joe.pk, pin="4711")
    look("view.account", who=ana.staff.who, scene=scene(ana), at=ana.at)
    seen = Line.objects.filter(code="view.account", outcome="looked").values_list("chain__name", flat=True)
    assert sorted(seen) == sorted([f"account:{maria.pk}", f"account:{joe.pk}"])


def test_a_refused_look_is_written_too(house, maria):
    ana = Desk(house["ana"]).take_call(maria, verify=False)
    no = look("view.account", who=ana.staff.who, scene=scene(ana), at=ana.at)
    assert no.refusal.rule == "needs-verified"
    assert Line.objects.filter(code="view.account", outcome="refused").count() == 1


# ---------------------------------------------------------------- an error at COMMIT


def test_after_an_error_at_commit_that_came_too_late_the_key_gives_the_answer(committed_house, monkeypatch):
    maria = open_account()
    ana = Desk(committed_house["ana"]).take_call(maria)
    wrapper = type(connection._connections["default"])
    real, left = wrapper._commit, [1]

    def late(self):
        real(self)
        if left and left.pop():
            raise OperationalError("the line to the database broke")

    monkeypatch.setattr(wrapper, "_commit", late)
    done = ana.act("credits.grant", key_="one-click", account=maria.pk, amount=700, reason="goodwill")
    assert done.ok and not left, done
    assert Grant.objects.count() == 1 and not list(journal.verify())
    assert ana.act("credits.grant", key_="one-click", account=maria.pk, amount=700, reason="goodwill") == done
    assert Grant.objects.count() == 1


def test_after_an_error_at_commit_that_lost_the_deed_the_error_is_told_and_the_key_is_free(committed_house, monkeypatch):
    maria = open_account()
    ana = Desk(committed_house["ana"]).take_call(maria)
    wrapper = type(connection._connections["default"])

    def never(self):
        raise OperationalError("the line to the database broke")

    with monkeypatch.context() as broken:
        broken.setattr(wrapper, "_commit", never)
        with pytest.raises(OperationalError):
            ana.act("credits.grant", key_="one-click", account=maria.pk, amount=700, reason="goodwill")
    assert not Grant.objects.exists() and not RequestKey.objects.filter(key="one-click").exists()
    assert ana.act("credits.grant", key_="one-click", account=maria.pk, amount=700, reason="goodwill").ok
    assert Grant.objects.count() == 1 and Spending.objects.get().amount_minor == 700


def test_an_act_runs_its_outside_call_with_no_transaction_open(committed_house, monkeypatch):
    from careline.acts import verification

    maria = open_account()
    seen = []
    real = verification.pins.matches
    monkeypatch.setattr(verification.pins, "matches", lambda *a: seen.append(transaction.get_connection().in_atomic_block) or real(*a))
    Desk(committed_house["ana"]).take_call(maria)
    assert seen == [False]
    assert Contact.objects.get().level == 3
