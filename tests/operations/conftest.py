"""What the stories of operations begin with: Maria Okafor's account, and Ana who has her on the line, verified by PIN."""

from __future__ import annotations

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
