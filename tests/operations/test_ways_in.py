"""How somebody comes to a password: nobody alone can sign in as somebody else."""

from __future__ import annotations

import pytest

from careline.acts.perform import perform
from careline.domain.journal.models import Line as JournalLine
from careline.domain.staff import queries
from careline.domain.staff.models import Staff, WayIn
from careline.domain.staff.rules import CODE_LETTERS
from tests.people import CARRIER, Desk, hire, key

SENTENCE = "nine yellow submarines"


@pytest.fixture
def desks(house):
    return {name: Desk(house[name]) for name in ("ana", "lena", "sam", "ada")}


@pytest.fixture
def nia(desks):
    """Ada added her; nobody has let her in yet."""
    desks["ada"].must("staff.add", username="nia", name="Nia Cole", role="associate")
    return Desk(Staff.objects.get(username="nia"))


def choose(desk: Desk, code: str, password: str = SENTENCE, **more):
    return desk.act("staff.choose_password", code=code, password=password, **more)


def has(desk: Desk, password: str) -> bool:
    return Staff.objects.get(pk=desk.staff.pk).check_password(password)


def test_ada_adds_nia_lena_lets_her_in_and_nia_alone_knows_her_password(desks, nia):
    assert not Staff.objects.get(username="nia").has_usable_password()
    assert [w.staff.username for w in queries.waiting_to_be_let_in()] == ["nia"]
    code = desks["lena"].must("staff.let_in", staff=nia.staff.pk).show["code"]
    assert choose(nia, code.lower().replace("-", " ")).ok and has(nia, SENTENCE)
    assert not queries.waiting_to_be_let_in() and WayIn.objects.get().used_at == nia.at
    lines = JournalLine.objects.filter(chain__name=f"staff:{nia.staff.pk}").order_by("pk").values_list("code", "outcome", "who")
    ada, lena, herself = (d.staff.who.key for d in (desks["ada"], desks["lena"], nia))
    assert list(lines) == [
        ("staff.add", "done", ada), ("staff.let_in", "done", lena),
        ("staff.choose_password", "pending", herself), ("staff.choose_password", "done", herself),
    ]  # fmt: skip


def test_an_administrator_sets_nobodys_password_and_lets_nobody_in(house, desks, nia):
    """Not Lena's, to read customers as her; not a new colleague's that they made up."""
    ada = desks["ada"]
    assert ada.act("staff.set_password", staff=house["lena"].pk, password=SENTENCE).refusal.rule == "not-your-role"
    assert ada.act("staff.let_in", staff=nia.staff.pk).refusal.code == "AUTHORITY"
    assert ada.act("staff.add", username="eve", name="Eve", role="lead", password=SENTENCE).status == "invalid"
    assert not has(desks["lena"], SENTENCE) and not Staff.objects.filter(username="eve").exists()


def test_a_reset_ends_the_password_and_takes_a_second_person_too(house, desks):
    ada, sam, lena = desks["ada"], desks["sam"], desks["lena"]
    ada.must("staff.reset_password", staff=house["lena"].pk)
    assert not Staff.objects.get(username="lena").has_usable_password()
    assert lena.act("staff.let_in", staff=house["lena"].pk).refusal.rule == "way-in-second", "nobody lets themselves in"
    assert choose(lena, sam.must("staff.let_in", staff=house["lena"].pk).show["code"]).ok and has(lena, SENTENCE)
    assert ada.act("staff.reset_password", staff=house["ada"].pk).refusal.code == "CONFLICT"


def test_who_asked_does_not_let_in_whatever_they_became(house, desks, nia):
    second = hire("adi", "Adi Shah", "administrator")
    Desk(second).must("staff.change_role", staff=house["ada"].pk, role="lead")
    ada = Desk(Staff.objects.get(username="ada"))
    assert ada.act("staff.let_in", staff=nia.staff.pk).refusal.rule == "way-in-second"


def test_an_administrator_who_becomes_an_associate_is_let_in_anew(house, desks):
    """Otherwise Ada adds a second administrator, has them let in, and makes an associate of them whose password she knows."""
    ada = desks["ada"]
    adi = Desk(hire("adi", "Adi Shah", "administrator"))
    ada.must("staff.change_role", staff=adi.staff.pk, role="associate")
    assert not Staff.objects.get(username="adi").has_usable_password()
    assert choose(adi, desks["lena"].must("staff.let_in", staff=adi.staff.pk).show["code"]).ok
    ada.must("staff.change_role", staff=house["ana"].pk, role="expert")
    assert Staff.objects.get(username="ana").has_usable_password(), "who sees customers already keeps theirs"


def test_five_wrong_codes_a_day_and_a_second_code_end_the_first(desks, nia):
    first = desks["lena"].must("staff.let_in", staff=nia.staff.pk).show["code"]
    second = desks["lena"].must("staff.let_in", staff=nia.staff.pk).show["code"]
    assert choose(nia, first).refusal.rule == "way-in", "the first ended"
    for _ in range(4):
        assert choose(nia, "AAA-AAA-AAA").refusal.code == "NOT_PROVEN"
    assert choose(nia, second).refusal.rule == "way-in", "five were wrong: the right one opens nothing"
    third = desks["sam"].must("staff.let_in", staff=nia.staff.pk).show["code"]
    nia.later(hours=24)
    assert choose(nia, third).refusal.rule == "way-in", "a day is over"
    assert not Staff.objects.get(username="nia").has_usable_password()


def test_a_code_opens_once_and_only_for_whom_it_was_given(house, desks, nia):
    desks["ada"].must("staff.reset_password", staff=house["ana"].pk)
    codes = {who: desks["lena"].must("staff.let_in", staff=pk).show["code"] for who, pk in (("nia", nia.staff.pk), ("ana", house["ana"].pk))}
    assert choose(nia, codes["ana"]).refusal.rule == "way-in"
    assert choose(nia, codes["nia"], password="short").refusal.fields["password"], "a weak password spends nothing"
    once = key()
    assert choose(nia, codes["nia"], key_=once).ok and choose(nia, codes["nia"], key_=once).ok, "the same click twice is one answer"
    assert choose(nia, codes["nia"], "another long sentence").refusal.rule == "way-in" and has(nia, SENTENCE)
    assert desks["lena"].act("staff.let_in", staff=nia.staff.pk).refusal.code == "CONFLICT", "nobody waits any more"


def test_the_code_is_told_once_and_kept_nowhere(desks, nia):
    once = key()
    first = desks["lena"].act("staff.let_in", staff=nia.staff.pk, key_=once)
    again = desks["lena"].act("staff.let_in", staff=nia.staff.pk, key_=once)
    assert set(first.show["code"]) <= set(CODE_LETTERS) | {"-"} and len(first.show["code"]) == 11
    assert again.ok and "code" not in again.show
    assert first.show["code"] not in str(list(WayIn.objects.values())) + str(list(JournalLine.objects.values()))


def test_the_servers_own_command_sets_a_password_and_nobody_waits_then(house, nia):
    done = perform("staff.set_password", {"staff": nia.staff.pk, "password": SENTENCE}, who=CARRIER, key=key(), at=nia.at)
    assert done.ok and has(nia, SENTENCE) and not queries.waiting_to_be_let_in()
    for username, role in (("bot", "agent"), ("till", "service")):
        Desk(house["ada"]).must("staff.add", username=username, name=username, role=role)
    assert not queries.waiting_to_be_let_in(), "machines sign in by token"
    assert Desk(house["ada"]).act("staff.reset_password", staff=Staff.objects.get(username="bot").pk).refusal.code == "CONFLICT"
