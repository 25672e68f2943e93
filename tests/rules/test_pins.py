"""A PIN's hash is of this house, or of the system that had the customer before: either is checked under the pepper."""

from __future__ import annotations

import time

import argon2
import pytest
from argon2.low_level import Type, hash_secret

from careline.foundation import pins

PEPPER, OTHER = b"outside the database", b"of another house"


def theirs(pin="4711", *, memory=64, rounds=1, lanes=1, length=32, kind=Type.ID, salt=b"sixteen bytes or"):
    return hash_secret(pin.encode(), salt, time_cost=rounds, memory_cost=memory, parallelism=lanes, hash_len=length, type=kind).decode()


@pytest.mark.parametrize("make", [pins.hashed_lightly, lambda pin, pepper: pins.adopted(theirs(pin), pepper)])
def test_the_right_pin_under_the_right_pepper_and_nothing_else(make):
    stored = make("4711", PEPPER)
    assert pins.matches(stored, "4711", PEPPER)
    assert not pins.matches(stored, "4712", PEPPER) and not pins.matches(stored, "", PEPPER) and not pins.matches(stored, "4711", OTHER)


@pytest.mark.parametrize("more", [{}, {"length": 16}, {"length": 64}, {"memory": 1024, "rounds": 3, "lanes": 2}, {"salt": b"8 bytes."}])
def test_a_hash_of_another_system_is_kept_the_same_each_time_and_fits_its_column(more):
    stored = pins.adopted(theirs(**more), PEPPER)
    assert stored == pins.adopted(theirs(**more), PEPPER) and len(stored) <= 200
    assert pins.matches(stored, "4711", PEPPER)


def test_what_is_kept_is_of_no_use_without_the_pepper():
    """With the old hash a thief tries ten thousand PINs; in what is kept its last part is gone."""
    old = theirs()
    stored = pins.adopted(old, PEPPER)
    assert old.rpartition("$")[2] not in stored
    with pytest.raises(argon2.exceptions.InvalidHashError):
        argon2.PasswordHasher().verify(stored, "4711")


@pytest.mark.parametrize(("given", "says"), [
    ("4711", "in clear"), ("4711 ", "in clear"), ("5f4dcc3b5aa765d61d8327deb882cf99", "not an Argon2id hash"), ("$2b$12$abcdefghijklmnopqrstuv", "not an Argon2id hash"),
    (theirs(kind=Type.I), "not an Argon2id hash"), (theirs()[:-30], "not an Argon2id hash"), (theirs() + "$", "not an Argon2id hash"),
    (theirs().replace("m=64", "m=4194304"), "takes too much"), (theirs().replace("t=1", "t=99"), "takes too much"), (theirs().replace("p=1", "p=0"), "takes too much"),
    (theirs().replace("m=64", "m=7"), "takes too much"), (theirs()[:-2], "cut off"),
])  # fmt: skip
def test_what_is_no_hash_that_can_be_checked_is_said_in_words(given, says):
    with pytest.raises(ValueError, match=says) as fault:
        pins.adopted(given, PEPPER)
    assert given not in str(fault.value)


@pytest.mark.parametrize("stored", ["", "$adopted", "$adopted$m=64,t=1,p=1,l=32$%$00", "$argon2id$", "x" * 200])
def test_a_stored_hash_that_is_damaged_matches_nothing(stored):
    assert not pins.matches(stored, "4711", PEPPER)


# ---------------------------------------------------------------- in what somebody types

SAYS_SO = ["Her PIN 4711 works", "pin: 4711", "PIN is 471112", "passcode #4711", "the PIN code was 4711", "PIN (4 7 1 1)", "NIP es 4711", "pin=4711.", "PIN\n4711", "PIN 47 11",
           "Her PIN is four seven one one", "PIN: Four, seven, one, oh.", "su NIP es cuatro siete uno uno", "clave cuatro, siete, uno y cero", "the passcode is 4 seven 1 one two"]  # fmt: skip
SAYS_NOTHING = [
    "PIN changed on 2026-11-24", "PIN 2026-11-24", "PIN forgotten; 1204 Pine Street", "no PIN, call 206-555-0188", "PIN 12", "pinned 4711 notes",
    "Spinning 4711", "PIN 4711223344556", "PIN set, bill 4711", "Owes $47.11", "",
    "PIN one two three", "PIN is one of four things they forgot", "PIN one two three four five six seven eight nine", "four seven one one", "PIN is often done",
]  # fmt: skip


@pytest.mark.parametrize("text", SAYS_SO)
def test_a_number_that_is_called_a_pin_is_one(text):
    assert pins.named_in(text)


@pytest.mark.parametrize("text", SAYS_NOTHING)
def test_a_day_a_phone_number_and_a_long_number_beside_the_word_are_none(text):
    assert not pins.named_in(text)


@pytest.mark.parametrize("text", ["She said 4711.", "4711", "it is 4 7 1 1", "it is 4-7-1-1", "4, 7 and so on, or 47 11", "x4711y", "4711/4712", "\uff14\uff17\uff11\uff11"])
def test_what_was_typed_as_the_pin_is_known_again_however_it_is_written(text):
    marks = [pins.mark("4711", "7", PEPPER)]
    assert pins.marked_in(text, marks, "7", PEPPER)
    assert not pins.marked_in(text, marks, "8", PEPPER), "of another contact"
    assert not pins.marked_in(text, marks, "7", OTHER) and not pins.marked_in(text, [], "7", PEPPER)


@pytest.mark.parametrize("text", ["Bill of 47.11", "Order 471100", "12065554711", "A-0104711", "4712", "47 11 24", "4 7 1", "471 1"])
def test_a_number_that_has_the_digits_of_the_pin_in_it_is_another_number(text):
    assert not pins.marked_in(text, [pins.mark("4711", "7", PEPPER)], "7", PEPPER)


def test_four_thousand_characters_of_digits_are_looked_through_at_once():
    """No slow hash: what is compared is a keyed digest that lives as long as the contact."""
    text = " ".join(f"{n:04d}" for n in range(1000, 1800))
    began = time.process_time()
    assert not pins.marked_in(text, [pins.mark("4711", "7", PEPPER)], "7", PEPPER) and not pins.named_in("pin " * 1000)
    assert time.process_time() - began < 0.1
