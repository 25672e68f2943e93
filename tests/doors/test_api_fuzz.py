"""Schemathesis over the whole description, in this process through WSGI: nothing breaks, and every no is a problem.

`make test-deep` raises the number of examples through CARELINE_FUZZ.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as how
from hypothesis import strategies as st
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi import checks

from careline.acts import table
from careline.doors.api import app, problems
from tests import people
from tests.doors.test_api import Caller, token_of

EXAMPLES = int(os.environ.get("CARELINE_FUZZ", "4"))
CHECKS = (checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance)
OPERATIONS = [*(("POST", f"/api/acts/{code}") for code in table.acts() if code not in app.NOT_BY_TOKEN)] + [
    ("GET", p) for p, op in app.api.described()["paths"].items() if "get" in op
]


@contextmanager
def one_connection():
    """As Django's own test client does: a request must not close the connection that holds the test's transaction."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in signals:
            signal.connect(close_old_connections)


@pytest.fixture(scope="module")
def schema():
    found = schemathesis.openapi.from_dict(app.api.described(), config=SchemathesisConfig.from_dict({}))
    found.app = None
    return found


def _make_real(case, contact, account):
    """Half of the examples speak of a contact and an account that are there."""
    if "contact_id" in (case.path_parameters or {}):
        case.path_parameters["contact_id"] = str(contact or 1)
    if isinstance(case.body, dict):
        case.body["basis"] = {"kind": "contact", "id": contact} if contact else None
        if isinstance(case.body.get("input"), dict) and "account" in case.body["input"]:
            case.body["input"]["account"] = str(account)


@pytest.mark.parametrize(("method", "address"), OPERATIONS, ids=lambda x: x.rpartition("/")[2])
def test_nothing_breaks(house, schema, method, address):
    maria = people.open_account(today=timezone.localdate())
    role = "ada" if ".staff" in address or "/staff." in address else "sam"
    caller = Caller(token_of(house[role])[1])
    if role == "sam":
        caller.take(maria)
    wsgi = get_wsgi_application()

    @how(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=schema[address][method].as_strategy(), real=st.booleans())
    def holds(case, real):
        if real:
            _make_real(case, caller.contact, maria.pk)
        response = case.call(app=wsgi, base_url="http://localhost", headers=caller.headers)
        assert response.status_code < 500, (response.status_code, response.text[:300])
        if response.status_code >= 400:
            assert response.headers["content-type"] == ["application/problem+json"], response.headers
            assert set(problems.SCHEMA["required"]) == set(response.json())
        case.validate_response(response, checks=CHECKS)

    with one_connection():
        holds()
