"""A guide: the model of one trouble, read from TOML and refused in plain words when it is wrong.

A guide names **causes** (with the chance that a caller with this trouble has each), **checks** that tell them apart (a
probe that costs the customer nothing, a question, or a thing to try; several on one screen are read at once),
**remedies** (an act at the desk or a step for the customer), and the **test** that shows whether the phone works. Parts
are files of causes, checks and remedies that several guides share: a guide names a part under `use` and lists the causes
it takes, each with its own prior and what it shows in this guide's test.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

LIVES = ("phone", "account", "network", "person", "circumstance")
ABOUT = ("line", "account")
SERVICES = ("voice", "data", "text")
PLACE = re.compile(r"\{([a-z0-9_.]+)\}")  # in words: what the rulebook, the line or a probe of the account fills
# In words: a way for one platform only, `[iPhone: Settings, Cellular.]`; another word on one platform, `[Cellular | Android: SIMs]`.
PLATFORM = re.compile(r"\[(?:(?P<else>[^\[\]|]+) \| )?(?P<on>iPhone|Android): (?P<way>[^\[\]|]+)\]")
UNKNOWN = "something_else"  # the cause that no guide names: whatever is left is handed over


class GuideFault(ValueError):
    """A guide that cannot be used; the text names the file, the line and the mistake."""


@dataclass(frozen=True, slots=True)
class Cause:
    """`prior`: the chance that a caller with this trouble has it. `shows`: the outcome of the test that it forces (worst
    of all present causes wins); empty when it does not break anything by itself. `chance`: how often it shows.
    `never_with`: causes that cannot hold together with it. A cause that lives in a `circumstance` (the caller is at home)
    is no fault: it breaks nothing, is not removed and not handed over, but explains answers and forbids remedies. `ends`:
    while it holds nothing can be proven, so once it is certain the search is over and nothing is changed any more."""

    id: str
    title: str
    prior: float
    lives: str = "phone"
    shows: str = ""
    chance: float = 1.0
    group: str = ""
    handover: str = ""
    teach: str = ""
    never_with: tuple[str, ...] = ()
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """`when`: the causes that produce it and how often; the first row that fires is what is seen, the last one has none."""

    id: str
    say: str
    when: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """`reliability`: how often the answer given is what is so. `hidden_by`: causes while which it cannot be read, unless
    `hidden` names the outcome that is then seen. `seconds`: of the customer's time, beyond opening its screen.
    `stale_minutes`: a probe's reading that is older says nothing (0: as old as the rulebook trusts)."""

    id: str
    kind: str
    say: str
    outcomes: tuple[Outcome, ...]
    seconds: float = 0.0
    reliability: float = 0.97
    screen: str = ""
    again: str = ""
    expect: str = ""
    hidden_by: tuple[str, ...] = ()
    hidden: str = ""
    title: str = ""
    stale_minutes: float = 0.0

    @property
    def reads(self) -> tuple[str, ...]:
        """The causes that its outcomes speak of."""
        return tuple(dict.fromkeys(cause for outcome in self.outcomes for cause, _ in outcome.when))

    def index(self, outcome: str) -> int:
        return next(i for i, x in enumerate(self.outcomes) if x.id == outcome)


@dataclass(frozen=True, slots=True)
class Screen:
    """One place on the phone where several checks are read at once; opening it costs `seconds`, once."""

    id: str
    title: str
    say: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Remedy:
    """`kind`: `act` is done at the desk, `do` by the customer, and `say` is told them, so that they see why.
    `works`: how often it removes the cause when it is done; `reliability`: how often "done" was done. `first`: causes
    that must be gone before. `not_with`: causes while which it must not be given. `leaves`: what has yet to be done for it
    to take effect; `finishes`: what it completes. `harmless`: it leaves everything as
    it was (a restart), so it changes nothing needlessly and may be given on a suspicion. `repeats`: what it did not
    remove it may remove when it is given again (one bill at a time)."""

    id: str
    kind: str
    title: str
    say: str
    removes: tuple[str, ...] = ()
    works: float = 0.95
    seconds: float = 30.0
    reliability: float = 0.97
    act: str = ""
    inputs: tuple[tuple[str, Any], ...] = ()
    first: tuple[str, ...] = ()
    not_with: tuple[str, ...] = ()
    leaves: str = ""
    finishes: str = ""
    consent: str = ""
    harmless: bool = False
    repeats: bool = False
    again: str = ""
    expect: str = ""

    @property
    def by(self) -> str:
        """Who does it, or by which act it is done."""
        return self.act or {"say": "you tell them"}.get(self.kind, "the customer")


@dataclass(frozen=True)
class Guide:
    """One trouble, of a line or of a whole account (`about`). Immutable; everything derived is computed once. `services`: of
    voice, data and text, those that an outage must touch to be its cause; empty: any."""

    id: str
    title: str
    trouble: str
    test: Check
    causes: tuple[Cause, ...]
    checks: tuple[Check, ...]
    screens: tuple[Screen, ...]
    remedies: tuple[Remedy, ...]
    examples: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    handover_seconds: float = 600.0
    about: str = "line"
    digest: str = field(default="", compare=False)

    def __hash__(self) -> int:
        return hash((self.id, self.digest))

    @cached_property
    def cause_index(self) -> dict[str, int]:
        return {cause.id: i for i, cause in enumerate(self.causes)}

    @cached_property
    def cause_by_id(self) -> dict[str, Cause]:
        return {cause.id: cause for cause in self.causes}

    @cached_property
    def check_by_id(self) -> dict[str, Check]:
        return {check.id: check for check in (*self.checks, self.test)}

    @cached_property
    def screen_by_id(self) -> dict[str, Screen]:
        return {screen.id: screen for screen in self.screens}

    @cached_property
    def remedy_by_id(self) -> dict[str, Remedy]:
        return {remedy.id: remedy for remedy in self.remedies}

    @cached_property
    def variables(self) -> tuple[tuple[int, ...], ...]:
        """The causes by exclusive group: at most one of each tuple holds."""
        groups: dict[str, list[int]] = {}
        for i, cause in enumerate(self.causes):
            groups.setdefault(f"group {cause.group}" if cause.group else f"cause {cause.id}", []).append(i)
        return tuple(tuple(group) for group in groups.values())

    @cached_property
    def never(self) -> tuple[tuple[int, int], ...]:
        """Pairs of causes, by index, that cannot hold together."""
        return tuple((i, self.cause_index[x]) for i, cause in enumerate(self.causes) for x in cause.never_with)

    @cached_property
    def works(self) -> str:
        """The test's outcome that says that the phone works."""
        return self.test.outcomes[-1].id

    @property
    def settled(self) -> str:
        """How the end is called when the test has passed."""
        return "It is settled" if self.about == "account" else "It works again"

    def remedies_for(self, cause: str) -> tuple[Remedy, ...]:
        return tuple(remedy for remedy in self.remedies if cause in remedy.removes)

    def with_reliability(self, most: float) -> Guide:
        """The same guide for customers whose answers are right at most this often (probes stay as they are)."""
        def capped(check: Check) -> Check:
            return check if check.kind == "probe" else replace(check, reliability=min(check.reliability, most))

        return replace(
            self, test=capped(self.test), checks=tuple(map(capped, self.checks)), digest=f"{self.digest}@{most}",
            remedies=tuple(x if x.kind != "do" else replace(x, reliability=min(x.reliability, most)) for x in self.remedies),
        )  # fmt: skip


# --- reading ---------------------------------------------------------------------------------------------------------


def numbers(files: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """What guides' words may name as {name}: the plain values of the rulebook's `policy.toml`, and what a phone of this
    carrier is set to (the texts of `limits.toml`'s [device], such as {apn}). Raises GuideFault for a file that is no TOML."""
    device = _File("limits.toml", files.get("limits.toml", "")).read().get("device", {})
    found = {name: value for name, value in device.items() if isinstance(value, str)} if isinstance(device, dict) else {}
    policy = _File("policy.toml", files.get("policy.toml", "")).read()
    found |= {name: value for name, value in policy.items() if not isinstance(value, dict | list)}
    return tuple((name, f"{value:g}" if isinstance(value, float) else str(value)) for name, value in found.items())


def platform_of(make: str, files: Mapping[str, str]) -> str:
    """Which platform's words suit a phone of this make (`limits.toml`'s [device.platforms]); empty when nobody says."""
    device = _File("limits.toml", files.get("limits.toml", "")).read().get("device", {})
    platforms = device.get("platforms", {}) if isinstance(device, dict) else {}
    known = {str(one).casefold(): name for name, makes in platforms.items() for one in makes}
    return str(known.get(make.strip().casefold(), ""))


def _names(shape: type) -> set[str]:
    return {x.name for x in fields(shape)}


@dataclass
class _File:
    """One TOML file with what is needed to say where a mistake is."""

    path: str
    text: str

    def read(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as fault:
            said = str(fault)
            line = re.search(r"\(at line (\d+)", said)
            last = max(1, len(self.text.rstrip().splitlines()))  # "at end of document" is its last line
            raise GuideFault(f"{self.path}:{line[1] if line else last}: this is no TOML: {said}") from None

    def fault(self, what: str, *, near: str = "", text: str = "") -> GuideFault:
        """A fault at the line where `near` is the id, or first stands as a quoted word or a table's name, where `text`
        first stands as it is, or at line 1."""
        line = 1
        if text and text in self.text:
            line = self.text.count("\n", 0, self.text.index(text)) + 1
        elif near:
            word = re.escape(near)
            found = re.search(rf'^\s*id\s*=\s*["\']{word}["\']', self.text, re.MULTILINE) or re.search(
                rf'["\']{word}["\']|^\[+{word}\]+|^{word}\s*=', self.text, re.MULTILINE
            )
            line = self.text.count("\n", 0, found.start()) + 1 if found else 1
        return GuideFault(f"{self.path}:{line}: {what}")


TEXTS = {
    "id", "title", "trouble", "say", "screen", "again", "expect", "hidden", "act", "leaves", "finishes", "consent", "lives",
    "shows", "group", "handover", "teach", "kind",
}  # fmt: skip
SWITCHES = {"harmless", "repeats", "ends"}


def _known(file: _File, table: str, row: Any, known: set[str], must: Iterable[str]) -> str:
    if not isinstance(row, dict):
        raise file.fault(f"[{table}] must be a table", near=table)
    name = row.get("id", "")
    for key in row:
        if key not in known:
            raise file.fault(f'[{table}] "{name}": nobody knows "{key}"; use one of {", ".join(sorted(known))}', near=key)
        if key in TEXTS and not isinstance(row[key], str):
            raise file.fault(f'[{table}] "{name}": {key} must be a text, not {row[key]!r}', near=str(name))
        if key in SWITCHES and not isinstance(row[key], bool):
            raise file.fault(f'[{table}] "{name}": {key} is true or false, not {row[key]!r}', near=str(name))
    for key in must:
        if row.get(key) in (None, ""):
            raise file.fault(f'[{table}] "{name}": "{key}" is missing', near=name or table)
    if name and not re.fullmatch(r"[a-z0-9_.]+", str(name)):
        raise file.fault(f'"{name}": ids are small letters, digits, dots and underscores', near=str(name))
    return str(name)


def _number(file: _File, name: str, key: str, value: Any, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise file.fault(f'"{name}": {key} must be a number from {least:g} to {most:g}, not {value!r}', near=name)
    return float(value)


def _list(file: _File, name: str, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(x, str) for x in value):
        raise file.fault(f'"{name}": {key} must be a list of names', near=name)
    return tuple(value)


def _when(file: _File, name: str, value: Any) -> tuple[tuple[str, float], ...]:
    if isinstance(value, dict):
        return tuple((cause, _number(file, name, f"the chance of {cause}", chance, 0.01, 1.0)) for cause, chance in value.items())
    return tuple((cause, 1.0) for cause in _list(file, name, "when", value))


def _words(file: _File, name: str, places: Collection[str], texts: Iterable[str]) -> None:
    """Every {place} in words is one that is filled, and every bracket one for a platform."""
    for text in texts:
        rest = PLATFORM.sub(lambda found: f"{found['else'] or ''} {found['way']}", text)
        if re.search(r"\[|\]", rest):
            raise file.fault(f'"{name}": words for one platform are written [iPhone: …], [Android: …] or [… | Android: …]', text=text[:60])
        for place in PLACE.findall(rest):
            if place not in places and place.rpartition(".")[0] not in places:
                known = ", ".join(sorted(places)) or "none"
                raise file.fault(f'"{name}": nothing fills {{{place}}}; give it a value in policy.toml, or use one that is known ({known})', text=f"{{{place}}}")
        if re.search(r"[{}]", PLACE.sub("", rest)):
            raise file.fault(f'"{name}": a place in words is small letters between braces, such as {{apn}}', text=text[:60])


def _outcomes(file: _File, name: str, rows: Any) -> tuple[Outcome, ...]:
    if not isinstance(rows, list) or len(rows) < 2:
        raise file.fault(f'"{name}": a check needs two outcomes or more', near=name)
    found = []
    for row in rows:
        _known(file, "outcomes", row, {"id", "say", "when"}, ("id", "say"))
        found.append(Outcome(row["id"], row["say"], _when(file, name, row.get("when", []))))
    ids = [x.id for x in found]
    if len(set(ids)) != len(ids):
        raise file.fault(f'"{name}": two outcomes have one id', near=name)
    if name and any(not x.when for x in found[:-1]) and any(x.when for x in found):
        raise file.fault(f'"{name}": each outcome but the last says which causes produce it (`when`)', near=name)
    if found[-1].when:
        raise file.fault(f'"{name}": the last outcome is what is seen when nothing is wrong, so "{found[-1].id}" has no `when`; add an outcome for that below it', near=name)
    return tuple(found)


def _check(file: _File, row: dict[str, Any], kinds: tuple[str, ...]) -> Check:
    name = _known(file, "checks", row, _names(Check), ("id", "say", "outcomes"))
    kind = row.get("kind", kinds[0])
    if kind not in kinds:
        raise file.fault(f'"{name}": kind is one of {", ".join(kinds)}, not "{kind}"', near=name)
    given = {k: row[k] for k in ("say", "screen", "again", "expect", "hidden", "title") if k in row}
    outcomes = _outcomes(file, name, row["outcomes"])
    hidden = given.get("hidden", "")
    if hidden and hidden not in {x.id for x in outcomes}:
        raise file.fault(f'"{name}": hidden is one of its outcomes, not "{hidden}"', near=name)
    if hidden and not row.get("hidden_by"):
        raise file.fault(f'"{name}": `hidden` says what is seen while something hides it; say what in `hidden_by`', near=name)
    if kind == "probe" and (row.get("seconds") or row.get("screen")):
        raise file.fault(f'"{name}": a probe costs the customer nothing: it has no seconds and no screen', near=name)
    if kind != "probe" and row.get("stale_minutes"):
        raise file.fault(f'"{name}": `stale_minutes` is for what a probe reads', near=name)
    return Check(
        id=name, kind=kind, outcomes=outcomes, **given,
        seconds=_number(file, name, "seconds", row.get("seconds", 0), 0, 3600),
        reliability=_number(file, name, "reliability", row.get("reliability", 0.999 if kind == "probe" else 0.97), 0.5, 1.0),
        hidden_by=_list(file, name, "hidden_by", row.get("hidden_by", [])),
        stale_minutes=_number(file, name, "stale_minutes", row.get("stale_minutes", 0), 0, 525600),
    )  # fmt: skip


def _cause(file: _File, row: dict[str, Any]) -> Cause:
    name = _known(file, "causes", row, _names(Cause), ("id", "title", "prior"))
    if row.get("lives", "phone") not in LIVES:
        raise file.fault(f'"{name}": a cause lives in one of {", ".join(LIVES)}', near=name)
    given = {k: str(row[k]) for k in ("title", "lives", "shows", "group", "handover", "teach") if k in row}
    return Cause(
        id=name, **given, prior=_number(file, name, "prior", row["prior"], 0.0001, 0.95),
        chance=_number(file, name, "chance", row.get("chance", 1.0), 0.05, 1.0),
        never_with=_list(file, name, "never_with", row.get("never_with", [])),
        ends=row.get("ends", False),
    )  # fmt: skip


def _remedy(file: _File, row: dict[str, Any]) -> Remedy:
    name = _known(file, "remedies", row, _names(Remedy), ("id", "title", "say"))
    kind = row.get("kind", "do")
    if kind not in ("do", "act", "say"):
        raise file.fault(f'"{name}": kind is "do" (the customer), "act" (the desk) or "say" (you tell them)', near=name)
    if kind == "act" and not row.get("act"):
        raise file.fault(f'"{name}": `act` names the deed at the desk', near=name)
    if kind == "do" and row.get("act"):
        raise file.fault(f'"{name}": an act is done at the desk: say kind = "act", or leave `act` out', near=name)
    given = {k: row[k] for k in ("title", "say", "act", "leaves", "finishes", "consent", "harmless", "repeats", "again", "expect") if k in row}
    inputs = row.get("inputs", {})
    if not isinstance(inputs, dict):
        raise file.fault(f'"{name}": inputs is a table', near=name)
    return Remedy(
        id=name, kind=kind, inputs=tuple(inputs.items()), **given,
        works=_number(file, name, "works", row.get("works", 0.98 if kind == "say" else 0.95), 0.05, 1.0),
        seconds=_number(file, name, "seconds", row.get("seconds", 30), 0, 7200),
        reliability=_number(file, name, "reliability", row.get("reliability", 0.97 if kind == "do" else 1.0), 0.5, 1.0),
        removes=_list(file, name, "removes", row.get("removes", [])),
        first=_list(file, name, "first", row.get("first", [])),
        not_with=_list(file, name, "not_with", row.get("not_with", [])),
    )  # fmt: skip


TOP = {"id", "title", "trouble", "about", "examples", "services", "use", "test", "causes", "checks", "screens", "remedies", "handover_seconds"}


def _rows(file: _File, read: Mapping[str, Any], table: str) -> list[dict[str, Any]]:
    rows = read.get(table, [])
    if not isinstance(rows, list):
        raise file.fault(f"{table} are written as [[{table}]]", near=table)
    seen: set[Any] = set()
    for row in rows:
        if not isinstance(row, dict) or not row.get("id"):
            raise file.fault(f"a [[{table}]] has no id", near=table)
        if not isinstance(row["id"], str):
            raise file.fault(f"[[{table}]]: id must be a text, not {row['id']!r}", near=table)
        if row["id"] in seen:
            raise file.fault(f'two [[{table}]] are called "{row["id"]}"', near=row["id"])
        seen.add(row["id"])
    return rows


def load(files: Mapping[str, str], path: str) -> Guide:
    """The guide at `path` among a rulebook's files. Raises GuideFault with the file, the line and the mistake."""
    file = _File(path, files[path])
    read = file.read()
    _known(file, "guide", read, TOP, ("id", "title", "trouble", "test", "causes"))
    if read.get("about", "line") not in ABOUT:
        raise file.fault(f'"{read["id"]}": a guide is about a line or about an account, not "{read["about"]}"', near="about")
    places = {name for name, _ in numbers(files)}
    services = _list(file, read["id"], "services", read.get("services", []))
    if wrong := [x for x in services if x not in SERVICES]:
        raise file.fault(f'"{read["id"]}": services are of {", ".join(SERVICES)}, not "{wrong[0]}"', near="services")
    origin: dict[int, _File] = {}
    parts: dict[str, dict[str, dict[str, Any]]] = {table: {} for table in ("causes", "checks", "screens", "remedies")}
    for part in _list(file, read["id"], "use", read.get("use", [])):
        at = f"{path.rpartition('/')[0]}/{part}" if "/" in path else part
        if at not in files:
            raise file.fault(f'there is no part "{part}"', near=part)
        shared = _File(at, files[at])
        body = shared.read()
        for table in body:
            if table not in parts:
                raise shared.fault(f'a part holds {", ".join(parts)}, not "{table}"', near=table)
            for row in _rows(shared, body, table):
                origin[id(row)] = shared
                parts[table][row["id"]] = row

    def merged(table: str) -> list[tuple[_File, dict[str, Any]]]:
        """The guide's own rows, each over the part's row of the same id; then, causes apart, the parts' other rows."""
        own = _rows(file, read, table)
        rows = [(file, {**parts[table].get(row["id"], {}), **row}) for row in own]
        if table != "causes":
            named = {row["id"] for row in own}
            rows += [(origin[id(row)], row) for name, row in parts[table].items() if name not in named]
        return rows

    if read.get("about") == "account":  # what its probes found may be named, and what they found beside it: {bill.late_fee.amount}
        places |= {str(row["id"]) for _, row in merged("checks") if row.get("kind") == "probe"}

    causes = []
    for where, row in merged("causes"):
        causes.append(cause := _cause(where, row))
        _words(where, cause.id, places, (cause.teach,))
        _words(where, cause.id, (), (cause.title,))
    if UNKNOWN not in {x.id for x in causes}:
        causes.append(Cause(UNKNOWN, "Something else", 0.02, lives="network", handover="Technical support"))
    known = {x.id for x in causes}
    shared_causes = set(parts["causes"])

    def kept(where: _File, name: str, named: Iterable[str]) -> tuple[str, ...]:
        """The named causes that this guide has. A name that is in no file is a mistake."""
        for cause in named:
            if cause not in known and ((where is file and cause not in shared_causes) or (where is not file and cause not in shared_causes | known)):
                raise where.fault(f'"{name}": there is no cause "{cause}"', near=cause)
        return tuple(x for x in named if x in known)

    wheres = [where for where, _ in merged("causes")]
    causes = [replace(c, never_with=kept(where, c.id, c.never_with)) for where, c in zip([*wheres, file], causes, strict=False)]
    checks = []
    for where, row in merged("checks"):
        check = _check(where, row, ("ask", "do", "probe"))
        _words(where, check.id, places, (check.say, check.again, check.expect, *(x.say for x in check.outcomes)))
        _words(where, check.id, (), (check.title,))
        outcomes = []
        for outcome in check.outcomes:
            stay = set(kept(where, check.id, [cause for cause, _ in outcome.when]))
            if outcome.when and not stay and outcome is not check.outcomes[-1]:
                continue
            outcomes.append(replace(outcome, when=tuple(pair for pair in outcome.when if pair[0] in stay)))
        check = replace(check, outcomes=tuple(outcomes), hidden_by=kept(where, check.id, check.hidden_by))
        if check.reads and len(check.outcomes) > 1:
            checks.append(check)
        elif where is file:
            raise file.fault(f'"{check.id}" tells no cause from another', near=check.id)
    remedies = []
    for where, row in merged("remedies"):
        remedy = _remedy(where, row)
        _words(where, remedy.id, places, (remedy.say, remedy.again, remedy.expect, remedy.consent, *(x for _, x in remedy.inputs if isinstance(x, str))))
        _words(where, remedy.id, (), (remedy.title,))
        removes = kept(where, remedy.id, remedy.removes)
        remedy = replace(remedy, removes=removes, first=kept(where, remedy.id, remedy.first), not_with=kept(where, remedy.id, remedy.not_with))
        if removes or remedy.finishes:
            remedies.append(remedy)
        elif where is file:
            raise file.fault(f'"{remedy.id}" removes no cause of this guide', near=remedy.id)
    left = {remedy.leaves for remedy in remedies if remedy.leaves}
    finished = {x.finishes for x in remedies if x.finishes}
    for remedy in remedies:
        if remedy.leaves and remedy.leaves not in finished:
            raise file.fault(f'"{remedy.id}" leaves "{remedy.leaves}" to do, and no remedy finishes it', near=remedy.id)
    own = {row["id"] for where, row in merged("remedies") if where is file}
    for remedy in remedies:
        if remedy.id in own and not remedy.removes and remedy.finishes not in left:
            raise file.fault(f'"{remedy.id}" finishes "{remedy.finishes}", and no remedy leaves that to do', near=remedy.id)
    remedies = [x for x in remedies if x.removes or x.finishes in left]
    screens = []
    wanted = {check.screen for check in checks if check.screen}
    for where, row in merged("screens"):
        name = _known(where, "screens", row, _names(Screen), ("id", "title", "say"))
        _words(where, name, places, (row["say"],))
        if name in wanted:
            screens.append(Screen(name, row["title"], row["say"], _number(where, name, "seconds", row.get("seconds", 10), 0, 3600)))
    if missing := wanted - {x.id for x in screens}:
        raise file.fault(f'there is no [[screens]] "{sorted(missing)[0]}"', near=sorted(missing)[0])

    test_row = dict(read["test"]) if isinstance(read["test"], dict) else {}
    test_row.setdefault("id", "test")
    test = _check(file, test_row, ("test",))
    _words(file, test.id, places, (test.say, test.again, test.expect, *(x.say for x in test.outcomes)))
    levels = [x.id for x in test.outcomes]
    broken = []
    for cause in causes:
        shows = cause.shows
        if cause.id == UNKNOWN and not shows:
            shows = levels[0]
        if shows and shows not in levels[:-1]:
            raise file.fault(f'"{cause.id}": shows is one of the test\'s outcomes but the last ({", ".join(levels[:-1])}), not "{shows}"', near=cause.id)
        broken.append(replace(cause, shows=shows))
    causes = broken
    test = replace(test, outcomes=tuple(
        replace(level, when=tuple((c.id, c.chance) for c in causes if c.shows == level.id)) for level in test.outcomes
    ))  # fmt: skip

    _law(file, causes, checks, remedies, test)
    import hashlib

    used = "\n".join(f"{name}\n{files[name]}" for name in sorted({path, *(x.path for x in origin.values())}))
    return Guide(
        id=read["id"], title=read["title"], trouble=read["trouble"], test=test, causes=tuple(causes), checks=tuple(checks),
        screens=tuple(screens), remedies=tuple(remedies), services=services, examples=_list(file, read["id"], "examples", read.get("examples", [])),
        handover_seconds=_number(file, read["id"], "handover_seconds", read.get("handover_seconds", 600), 0, 86400),
        about=read.get("about", "line"),
        digest=hashlib.sha256(used.encode()).hexdigest(),
    )  # fmt: skip


def _law(file: _File, causes: list[Cause], checks: list[Check], remedies: list[Remedy], test: Check) -> None:
    """What must hold between the parts of a guide."""
    _tables(file, checks)
    sums: dict[str, float] = {}
    for cause in causes:
        if cause.group:
            sums[cause.group] = sums.get(cause.group, 0) + cause.prior
    for group, total in sums.items():
        if total >= 1:
            raise file.fault(f'the priors of group "{group}" add up to {total:g}; together they must stay under 1', near=group)
    removed = {cause for remedy in remedies for cause in remedy.removes}
    for cause in causes:
        if cause.lives == "circumstance" and (cause.shows or cause.handover):
            raise file.fault(f'"{cause.id}" is a circumstance: it breaks nothing and is handed over to nobody', near=cause.id)
        if cause.ends and (not cause.handover or cause.id in removed):
            raise file.fault(f'"{cause.id}" ends the search: say to whom it is handed over, and give it no remedy here', near=cause.id)
        if not cause.handover and cause.lives != "circumstance" and cause.id not in removed:
            raise file.fault(f'"{cause.id}": nothing removes it; give it a remedy or say to whom it is handed over (`handover`)', near=cause.id)
        if not cause.shows and not any(cause.id in (*x.first, *x.not_with) for x in remedies) and not any(cause.id in x.hidden_by for x in checks):
            raise file.fault(f'"{cause.id}" breaks nothing: say what it `shows` in the test, or which remedy needs it gone first', near=cause.id)
        if cause.id in cause.never_with:
            raise file.fault(f'"{cause.id}" cannot hold together with itself; take it out of `never_with`', near=cause.id)
        if cause.id in removed and not any(cause.id in x.reads for x in checks) and not any(x.harmless and cause.id in x.removes for x in remedies):
            raise file.fault(f'"{cause.id}" is never found: no check reads it and no harmless remedy removes it', near=cause.id)
    _order(file, causes, remedies)
    ids = [x.id for x in (*checks, *remedies)] + [test.id]
    for name in ids:
        if ids.count(name) > 1:
            raise file.fault(f'two steps are called "{name}"', near=name)


def _tables(file: _File, checks: list[Check]) -> None:
    """Every outcome of a check can be seen."""
    for check in checks:
        above: dict[str, str] = {}  # causes that always show in an outcome further up
        for outcome in check.outcomes[:-1]:
            row = [cause for cause, _ in outcome.when]
            if all(cause in above for cause in row):
                what = "has the causes of" if len({above[x] for x in row}) == 1 else "has only causes of the outcomes above, first"
                raise file.fault(f'"{check.id}": "{outcome.id}" {what} "{above[row[0]]}" and is never seen; the first outcome that fits is', near=check.id)
            above |= {cause: outcome.id for cause, chance in outcome.when if chance >= 1 and cause not in above}
        if not check.hidden and (both := [x for x in check.hidden_by if x in check.reads]):
            raise file.fault(f'"{check.id}": "{both[0]}" hides this check and is read by it; it can never be seen there', near=check.id)


def _order(file: _File, causes: list[Cause], remedies: list[Remedy]) -> None:
    """Every remedy can be given at some time: what it needs gone can go before it."""
    fault_free = {cause.id for cause in causes if cause.lives == "circumstance"}
    removed = {cause for remedy in remedies for cause in remedy.removes}
    for remedy in remedies:
        if own := [x for x in remedy.first if x in remedy.removes]:
            raise file.fault(f'"{remedy.id}" needs "{own[0]}" gone first, which it removes itself', near=remedy.id)
        if stays := [x for x in remedy.first if x in fault_free]:
            raise file.fault(f'"{remedy.id}" needs "{stays[0]}" gone first, and a circumstance never goes; name it in `not_with`', near=remedy.id)
        if remedy.removes and all(x in remedy.not_with for x in remedy.removes):
            raise file.fault(f'"{remedy.id}" must not be given while "{remedy.removes[0]}" holds, which it is for', near=remedy.id)
    free: set[str] = {cause.id for cause in causes} - removed
    while more := {c for r in remedies if all(x in free for x in r.first) for c in r.removes} - free:
        free |= more
    if stuck := [cause.id for cause in causes if cause.id not in free]:
        waits = next(x for r in remedies if stuck[0] in r.removes for x in r.first if x not in free)
        raise file.fault(f'"{stuck[0]}" waits for "{waits}" to be gone and that, in the end, for "{stuck[0]}"; take one out of `first`', near=stuck[0])


def load_all(files: Mapping[str, str], folder: str = "guides/") -> dict[str, Guide]:
    """Every guide of a rulebook by id (files directly in `folder`; parts lie in folders below it)."""
    found: dict[str, Guide] = {}
    for path in sorted(files):
        if path.startswith(folder) and path.endswith(".toml") and "/" not in path[len(folder):]:
            guide = load(files, path)
            if guide.id in found:
                raise GuideFault(f'{path}:1: another guide is already called "{guide.id}"')
            found[guide.id] = guide
    return found
