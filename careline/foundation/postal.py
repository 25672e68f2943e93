"""Where a US postal code can lie: taxes go by state and ZIP code, so an address must not name one of another state.

Source: the US Postal Service's three-digit prefixes (Publication 65 and Labeling List L002), by the state of the post office that an
address is written with; checked against a public list of 42,789 codes. Prefixes that no state uses are in nobody's range.

A post office may deliver across the line, and taxes go by where somebody lives. The codes with a town on both sides are the Census
Bureau's (tabulation areas by place, 2010); of some 120 more a few farms lie beyond it, and their code is refused there.
"""

from __future__ import annotations

# First and last prefix of each range. Two states share a prefix where a post office serves places across the line: 063 (Fishers Island,
# NY, from Connecticut), 834 (Alta, WY, from Idaho), 967 and 969 (the Pacific).
_RANGES = {
    "AK": "995-999", "AL": "350-369", "AR": "716-729", "AS": "967-967", "AZ": "850-865", "CA": "900-961", "CO": "800-816", "CT": "060-069",
    "DC": "200-200 202-205 569-569", "DE": "197-199", "FL": "320-339 341-349", "GA": "300-319 398-399", "GU": "969-969", "HI": "967-968", "IA": "500-528",
    "ID": "832-838", "IL": "600-629", "IN": "460-479", "KS": "660-679", "KY": "400-427", "LA": "700-714", "MA": "010-027 055-055",
    "MD": "206-219", "ME": "039-049", "MI": "480-499", "MN": "550-567", "MO": "630-658", "MP": "969-969", "MS": "386-397", "MT": "590-599",
    "NC": "270-289", "ND": "580-588", "NE": "680-693", "NH": "030-038", "NJ": "070-089", "NM": "870-884", "NV": "889-898",
    "NY": "004-005 063-063 100-149", "OH": "430-459", "OK": "730-732 734-749", "OR": "970-979", "PA": "150-196", "PR": "006-007 009-009",
    "RI": "028-029", "SC": "290-299", "SD": "570-577", "TN": "370-385", "TX": "733-733 750-799 885-885", "UT": "840-847",
    "VA": "201-201 220-246", "VI": "008-008", "VT": "050-054 056-059", "WA": "980-994", "WI": "530-549", "WV": "247-268", "WY": "820-831 834-834",
}  # fmt: skip
# Codes that lie in another state than their prefix says, or in two: Census tabulation areas with a place on both sides of the line; the
# federal addresses 20588 and 20598; Texhoma, which is half in Texas.
_MORE = {
    "02861": "MA", "20588": "MD", "20598": "VA", "42223": "TN", "59221": "ND", "63673": "IL", "71749": "LA", "73949": "TX", "73960": "TX",
    "81137": "NM", "84536": "AZ", "86044": "UT", "86515": "NM", "88063": "TX", "89439": "CA", "97635": "CA",
}  # fmt: skip
_STATES: dict[str, tuple[str, ...]] = {}
for _state, _ranges in _RANGES.items():
    for _first, _last in (r.split("-") for r in _ranges.split()):
        for _n in range(int(_first), int(_last) + 1):
            _STATES[f"{_n:03}"] = (*_STATES.get(f"{_n:03}", ()), _state)


def states_of(zip_code: str) -> tuple[str, ...]:
    """The states in which a ZIP code can lie; none where its prefix is nobody's.

    >>> states_of("63105"), states_of("83414-4534"), states_of("42223"), states_of("00000")
    (('MO',), ('ID', 'WY'), ('KY', 'TN'), ())
    """
    more = _MORE.get(zip_code[:5])
    return (*_STATES.get(zip_code[:3], ()), *((more,) if more else ()))


def fault(state: str, zip_code: str) -> str:
    """Why a ZIP code cannot lie in a state, in words for its field; empty where it can, or where nobody knows."""
    lies = states_of(zip_code)
    if not lies or state in lies:
        return ""
    return f"{zip_code[:5]} is a ZIP code of {' or '.join(lies)}, not of {state}. Ask for the right one: taxes go by state and ZIP code."
