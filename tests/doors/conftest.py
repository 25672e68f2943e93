"""What the tests of the doors share: a clock that they turn, and Maria Okafor's account."""

from __future__ import annotations

import pytest

from tests import people
from tests.doors.test_access import Clock


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def maria(house, clock):
    return people.open_account()
