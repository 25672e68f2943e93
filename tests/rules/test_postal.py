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
     ("96910", ("GU", "MP")), ("99501", ("AK",)), ("99201", ("WA",)), ("06390", ("CT", "NY")), ("83414", ("ID", "WY")),
     # towns on both sides of a state line, and beside each a code that is on one
     ("42223", ("KY", "TN")), ("42220", ("KY",)), ("59221-0001", ("MT", "ND")), ("59222", ("MT",)), ("02861", ("RI", "MA")), ("02860", ("RI",)),
     ("86515", ("AZ", "NM")), ("86514", ("AZ",)), ("97635", ("OR", "CA")), ("89439", ("NV", "CA")), ("73960", ("OK", "TX")), ("73949", ("OK", "TX")),
     ("20588", ("DC", "MD")), ("20598", ("DC", "VA")),
     # the first and the last prefix of neighbours
     ("14999", ("NY",)), ("15001", ("PA",)), ("19699", ("PA",)), ("19701", ("DE",)), ("21999", ("MD",)), ("22001", ("VA",)), ("24699", ("VA",)), ("24701", ("WV",)),
     ("26899", ("WV",)), ("27001", ("NC",)), ("39799", ("MS",)), ("39801", ("GA",)), ("51001", ("IA",)), ("57799", ("SD",)), ("58001", ("ND",)), ("88499", ("NM",)),
     ("88501", ("TX",)), ("96701", ("AS", "HI")), ("96801", ("HI",)),
     # the armed forces, and prefixes that nobody has
     ("09001", ()), ("34001", ()), ("96201", ()), ("00101", ()), ("35301", ("AL",)), ("97101", ("OR",)), ("99501", ("AK",)), ("", ())],
)  # fmt: skip
def test_a_zip_code_lies_where_its_post_office_is(code, states):
    assert postal.states_of(code) == states


def test_every_state_and_territory_has_codes_and_nobody_is_refused_for_an_unknown_one():
    known = {s for n in range(1000) for s in postal.states_of(f"{n:03}00")}
    assert known == set(ZONE_OF)
    assert not postal.fault("WA", "00001") and not postal.fault("WA", ""), "a prefix of no state and no code at all say nothing"
    assert not postal.fault("TN", "42223-1234") and not postal.fault("KY", "42223")
    assert postal.fault("IN", "42223") == "42223 is a ZIP code of KY or TN, not of IN. Ask for the right one: taxes go by state and ZIP code."
    assert postal.fault("WA", "63105-1806").startswith("63105 is a ZIP code of MO, not of WA.")
