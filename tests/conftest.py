from __future__ import annotations

import pytest

from tests import people


@pytest.fixture
def house(db):
    """The rulebook in force and the people at the desk, by name."""
    people.open_the_rulebook()
    return {
        "tom": people.hire("tom", "Tom Reyes", "trainee"),
        "ana": people.hire("ana", "Ana Silva", "associate"),
        "ben": people.hire("ben", "Ben Carter", "associate"),
        "eva": people.hire("eva", "Eva Lindqvist", "expert"),
        "lena": people.hire("lena", "Lena Park", "lead"),
        "sam": people.hire("sam", "Sam Osei", "supervisor"),
        "ada": people.hire("ada", "Ada Brandt", "administrator"),
    }
