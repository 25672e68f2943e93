"""Which state a ZIP code can lie in."""

from __future__ import annotations

import pytest

from careline.domain.customers.rules.care import ZONE_OF
from careline.foundation import postal


@pytest.mark.parametrize(
    ("code", "states"),
    [("98101", ("WA",)), ("63105-1806", ("MO",)), ("00501", ("NY",)), ("02134", ("MA",)), ("05501", ("MA",)), ("05401", ("VT",)), ("20170", ("VA",)),
     ("20500", ("DC",)), ("20814", ("MD",)), ("30301", ("GA",)), ("31907", ("GA",)), ("39901", ("GA",)), ("39201", ("MS",)), ("73301", ("TX",)),
     ("73102", ("OK",)), ("79901", ("TX",)), ("88001", ("NM",)), ("88510", ("TX",)), ("00802", ("VI",)), ("00901", ("PR",)), ("96799", ("AS", "HI")),
     ("96910", ("GU", "MP")), ("99501", ("AK",)), ("99201", ("WA",)), ("06390", ("CT", "NY")), ("83414", ("ID", "WY"))],
)  # fmt: skip
def test_a_zip_code_lies_where_its_post_office_is(code, states):
    assert postal.states_of(code) == states


def test_every_state_and_territory_has_codes_and_nobody_is_refused_for_an_unknown_one():
    known = {s for n in range(1000) for s in postal.states_of(f"{n:03}00")}
    assert known == set(ZONE_OF)
    assert not postal.fault("WA", "00001") and not postal.fault("WA", ""), "a prefix of no state and no code at all say nothing"
    assert postal.fault("WA", "63105-1806").startswith("63105 is a ZIP code of MO, not of WA.")
