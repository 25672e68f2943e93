"""What the stories of operations begin with: Maria Okafor's account, and Ana who has her on the line, verified by PIN."""

from __future__ import annotations

from datetime import date

import pytest

from tests import people


@pytest.fixture
def maria(house):
    return people.open_account()


@pytest.fixture
def verified(house, maria):
    return people.Desk(house["ana"]).take_call(maria)


@pytest.fixture
def ana(verified):
    return verified


@pytest.fixture
def otto(house):
    """Careline makes Otto's bills: the first on November 4, for Plus 15 GB at $45.00."""
    account = people.open_account("Otto Berg", "+12065550199", "A-0104900", pin="9182", bills=0)
    account.lines.update(activated_on=date(2026, 10, 4))
    people.bill_cycle(date(2026, 11, 4))
    return account
