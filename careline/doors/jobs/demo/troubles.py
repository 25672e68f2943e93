"""What does not work at the demo carrier: the network's troubles, what the device feed knows, and guides walked with callers.

A walk is lived through the live acts: the customer is a simulated phone with its causes, and what the desk reads of the
account and the feeds is what really stands there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, time, timedelta
from random import Random
from typing import Any

from careline.acts import probes
from careline.carriers.sandbox import SandboxDevices, SandboxNetwork
from careline.domain.activations import rules as orders
from careline.domain.customers import queries as customer_queries
from careline.domain.customers import rules as customers
from careline.domain.diagnosis import queries as diagnosis
from careline.domain.diagnosis.rules.guide import Cause, Guide
from careline.domain.diagnosis.rules.simulate import Phone
from careline.domain.network.rules import Kind
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs.demo.carrier import SEED, LineDraft, moment
from careline.doors.jobs.demo.desk import Known, Run, Seat

NETWORK = "999-40"  # of the codes that are kept for networks of one's own
ABROAD = {"roaming": True, "network": "302-720"}
AREAS = (
    ("seattle-duwamish", "Seattle, Duwamish", ("98104", "98108", "98118")), ("seattle-lake-city", "Seattle, Lake City", ("98190",)),
    ("los-angeles-south", "Los Angeles, South", ("9001",)), ("chicago-loop", "Chicago, Loop", ("606",)), ("portland", "Portland", ("972",)),
)  # fmt: skip
# What people call about, and how often.
GUIDES = (("mobile_data", 30), ("no_service", 22), ("calls", 14), ("messages", 12), ("voicemail", 6), ("wifi_calling", 5), ("sim_esim", 4),
          ("hotspot", 4), ("roaming_abroad", 5), ("unwanted_calls", 3))  # fmt: skip
STALE = "provisioning_stale"
AGAIN = timedelta(days=6)
MOST_STEPS = 40


# ---------------------------------------------------------------- the network


def plan(run: Run) -> Iterator[tuple[datetime, Callable[[], None]]]:
    """The areas, and what was wrong in them until yesterday."""
    began, ended, named = run.days_ago(7, "17:40"), run.days_ago(5, "14:15"), run.days_ago(30, "07:30")
    yield named, lambda: _areas(run, named)
    yield began, lambda: _report(run, began, "los-angeles-south", Kind.OUTAGE, "voice data text", began, run.days_ago(6, "12:00"),
                                 "A cable was cut near your home. Our people work on it day and night.")  # fmt: skip
    yield run.days_ago(6, "11:30"), lambda: _extend(run, run.days_ago(6, "11:30"), "los-angeles-south", run.days_ago(5, "16:00"), "")
    yield ended, lambda: _end(run, ended, "los-angeles-south")
    evening = run.days_ago(8, "19:05")
    yield evening, lambda: _report(run, evening, "seattle-lake-city", Kind.CONGESTION, "data", evening, _days_on(run, 6, "23:00"),
                                   "In the evenings the tower near you has more to carry than it can. It is being upgraded this month.")  # fmt: skip
    yesterday = run.days_ago(1, "15:20")
    yield yesterday, lambda: _report(run, yesterday, "chicago-loop", Kind.MAINTENANCE, "data", _days_on(run, 2, "02:00"), _days_on(run, 2, "05:00"),
                                     "We renew the network near you in the night. Data may be away for a few minutes.")  # fmt: skip


def _days_on(run: Run, days: int, clock: str) -> datetime:
    return moment(run.today + timedelta(days=days), time.fromisoformat(clock))


def _areas(run: Run, at: datetime) -> None:
    for short, name, postal in AREAS:
        made = run.must(run.staff["sam"], "network.name_area", at, short=short, name=name, postal=list(postal))
        run.areas[short] = int(made.show["area"])


def _report(run: Run, at: datetime, area: str, kind: str, services: str, began: datetime, until: datetime, words: str) -> None:
    affected = dict.fromkeys(services.split(), True)
    made = run.must(
        run.staff["lena"], "network.report_outage", at, area=run.areas[area], kind=str(kind), **affected, began=began.isoformat(),
        expected_end=until.isoformat(), words=words,
    )  # fmt: skip
    run.wrong[area] = int(made.show["id"])


def _extend(run: Run, at: datetime, area: str, until: datetime, words: str) -> None:
    run.must(run.staff["lena"], "network.extend_outage", at, outage=run.wrong[area], expected_end=until.isoformat(), words=words)


def _end(run: Run, at: datetime, area: str) -> None:
    run.must(run.staff["lena"], "network.end_outage", at, outage=run.wrong[area])


def present(run: Run) -> None:
    """The outage of this morning, and what the feeds know by now."""
    at = run.minutes_ago(95)
    _report(run, at, "seattle-duwamish", Kind.OUTAGE, "voice data text", at, run.now + timedelta(minutes=20),
            "Calls, texts and data are away in parts of Seattle. Our people are on it.")  # fmt: skip
    _extend(run, run.minutes_ago(12), "seattle-duwamish", run.now + timedelta(hours=3), "A mast in Duwamish has no power. The power company is there; we expect it back within hours.")
    _feeds(run)


# ---------------------------------------------------------------- the feeds

AS_IT_SHOULD_BE = {
    "airplane_mode": "off", "mobile_data": "on", "data_roaming": "off", "apn": "right", "mmsc": "right", "data_saver": "off", "vpn": "off",
    "network_mode": "new", "carrier_settings": "new", "system": "new", "storage": "free", "do_not_disturb": "off", "volte": "on",
}  # fmt: skip
# What stands otherwise on some phones, and how often.
ODD = (("data_saver", "on", 0.04), ("vpn", "on", 0.05), ("carrier_settings", "old", 0.08), ("system", "old", 0.12), ("storage", "full", 0.04),
       ("network_mode", "old", 0.03), ("mobile_data", "off", 0.02), ("do_not_disturb", "on", 0.07), ("apn", "wrong", 0.01), ("airplane_mode", "on", 0.01))  # fmt: skip
# The phones of the stories: minutes since they were seen, whether they are registered, and what is not as it should be.
PHONES: Mapping[str, tuple[float, bool, dict[str, str]]] = {
    "hannah": (96, True, {}), "wendell": (540, False, {"airplane_mode": "on"}), "renata": (14, True, {"data_saver": "on", "vpn": "on"}),
    "naledi": (70, False, {}), "cody": (22, False, {}), "elif": (11, True, {}), "peter": (6, True, {"vpn": "on"}), "zoe": (18, True, {}),
    "travis": (6 * 1440, False, {}), "frank": (25, True, {}), "li": (9, True, {"data_roaming": "off"}), "oleksandr": (3 * 1440, False, {"network_mode": "old"}),
    "amira": (33, True, {}), "katya": (27, True, {"mmsc": "wrong"}), "maria": (12, True, {}), "grace": (45, True, {}), "rosa": (20, True, {}),
    "jae": (8, True, {"system": "old"}), "ingrid": (51, True, {}), "kwame": (17, True, {}), "siobhan": (180, True, {}), "heron": (15, True, {}),
}  # fmt: skip


def _feeds(run: Run) -> None:
    """What device management read of most phones of the stories and of some hundred others; of the rest it knows nothing."""
    rng = Random(SEED)
    rows, lines = [], []  # lines: number, id, and what the network lacks of it
    for key, (minutes, registered, odd) in PHONES.items():
        house = run.known[key].house
        for k, line in enumerate(house.lines):
            mine = (minutes, registered, odd) if k == (1 if key == "zoe" else 0) else (minutes + 31 * k, line.status == "active", {})
            where = ABROAD if key == "li" else {}
            rows.append(_seen(run, rng, line, *mine) | where)
            lines.append((line.number, run.known[key].lines[k], {"mobile_data"} if key == "elif" else set()))
    for known in run.ordinary[::5]:
        for line, line_id in zip(known.house.lines, known.lines, strict=True):
            odd = {name: value for name, value, often in ODD if rng.random() < often}
            minutes = rng.choice((rng.uniform(1, 28), rng.uniform(1, 60), rng.uniform(60, 1300), rng.uniform(1500, 9 * 1440)))
            row = _seen(run, rng, line, minutes, line.status == "active" and rng.random() < 0.95, odd)
            if rng.random() < 0.15:
                row |= {"settings": {}, "registered": None}  # seen by the network, never read
            rows.append(row)
            lines.append((line.number, line_id, set()))
    SandboxDevices().put_many(rows)
    for number, line_id, lacks in lines:
        _provision(number, line_id, lacks)


def _provision(number: str, line_id: int, lacks: Iterable[str] = ()) -> None:
    """The network has a line as the books do, less what it lacks."""
    line = customer_queries.line(line_id)
    assert line is not None
    SandboxNetwork().provision(number, features=line.switched_on - set(lacks), barred=line.status == "suspended")


def _seen(run: Run, rng: Random, line: LineDraft, minutes: float, registered: bool, odd: Mapping[str, str]) -> dict[str, Any]:
    return {
        "number": line.number, "at": run.minutes_ago(minutes), "registered": registered, "roaming": False, "network": NETWORK,
        "technology": rng.choice(("5G", "5G", "LTE")), "cells": [f"{NETWORK}-{rng.randrange(4096):03x}-{rng.randrange(256):02x}"],
        "settings": AS_IT_SHOULD_BE | dict(odd),
    }  # fmt: skip


# ---------------------------------------------------------------- callers whose phone does not work


def who_calls_again(run: Run, at: datetime) -> Known | None:
    """Somebody whose trouble was not gone, some days ago at most."""
    run.again = [(said, known) for said, known in run.again if at - said <= AGAIN]
    return run.again.pop(0)[1] if run.again and at - run.again[0][0] >= timedelta(hours=20) else None


def live(seat: Seat, rng: Random) -> None:
    """A guide walked with the caller in hand, to its end or left; then the wrap-up."""
    assert seat.known is not None
    known = diagnosis.guides(rulebooks.current().digest)
    guide = known[rng.choices([g for g, _ in GUIDES], [n for _, n in GUIDES])[0]]
    feed = rng.random() < 0.6
    causes = {STALE} if feed and STALE in guide.cause_index and rng.random() < 0.12 else _some_causes(guide, rng)
    left = rng.random() < 0.06
    phone = walk(
        seat, guide.id, causes, rng.choice(guide.examples), seed=rng.randrange(10**6), honest=rng.random() < 0.85, feed=feed,
        steps=rng.randrange(1, 4) if left else MOST_STEPS,
    )  # fmt: skip
    unfinished = diagnosis.open_of(seat.known.account)
    if unfinished:  # who meant to leave early may have been done by then
        row = unfinished[0]
        seat.on("diagnosis.leave", walk=row.pk)
        seat.close(f"{guide.title}: begun, the customer had no time and calls again.", "customer_acts", "none")
        run_again = True
    else:
        done = diagnosis.last_of(seat.known.lines[0], seat.at + timedelta(seconds=1))
        assert done is not None and phone is not None
        titles = [guide.cause_by_id[c].title for c in (done.causes or done.remain)]
        found = ", ".join(titles) or "nothing stood out, it cleared up on the way"
        said = f"{guide.title}: {found}. " + ("Works again." if done.state == "fixed" else f"Handed over to {done.team}.")
        lives = {guide.cause_by_id[c].lives for c in (done.causes or done.remain)}
        seat.close(said, "resolved" if done.state == "fixed" else "handed_on", "network" if "network" in lives else "device" if "phone" in lives else "usage")
        run_again = not phone.works and done.state == "fixed"
    if run_again or rng.random() < 0.05:
        seat.run.again.append((seat.at, seat.known))


def _some_causes(guide: Guide, rng: Random) -> set[str]:
    """One cause on the phone, as often as the guide expects it; at times a second, at times no coverage."""
    fitting: list[Cause] = [c for c in guide.causes if (c.lives in ("phone", "person") or c.id == "no_coverage") and c.shows]
    first = rng.choices(fitting, [c.prior for c in fitting])[0]
    more = [c for c in fitting if c is not first and (not c.group or c.group != first.group) and c.id not in first.never_with and first.id not in c.never_with]
    return {first.id, rng.choices(more, [c.prior for c in more])[0].id} if more and rng.random() < 0.2 else {first.id}


def walk(
    seat: Seat, guide_id: str, causes: set[str], words: str, *, seed: int = 1, honest: bool = True, feed: bool = False, steps: int = MOST_STEPS
) -> Phone | None:
    """Walk a guide on the first line of the caller in hand. Returns the phone as it is then; None: the walk is still open."""
    assert seat.known is not None
    line_id, draft = seat.known.lines[0], seat.known.house.lines[0]
    book = rulebooks.current()
    guide = diagnosis.guides(book.digest)[guide_id]
    phone = Phone(guide, causes | _of_the_books(guide, line_id, seat.at, book.limits), seed, honest=honest)
    if feed:
        _provision(draft.number, line_id, {"mobile_data"} if STALE in causes else ())
        SandboxDevices().put(draft.number, **_as_read(phone, seat.at - timedelta(minutes=seed % 20)))
    started = seat.on("diagnosis.start", line=line_id, guide=guide_id, words=words)
    row_id = int(started.show["walk"])
    for _ in range(steps):
        row = diagnosis.walk(row_id)
        assert row is not None
        step = (now := diagnosis.standing(row)).walk.step
        if step.kind in ("done", "handover"):
            _to_the_end(seat, row_id, seed)
            return phone
        if step.kind == "remedy":
            tried = phone.give(step.id)
            outcome = tried.outcome
            if guide.remedy_by_id[step.id].kind == "act" and not _deed(seat, now, seat.known.account, line_id):
                outcome = "refused"
            answers: list[dict[str, Any]] = [{"remedy": step.id, "outcome": outcome}]
        else:
            answers = [{"check": c, "outcome": phone.answer(c, step.wording).outcome, "wording": step.wording} for c in step.checks]
        seat.on("diagnosis.answer", walk=row_id, answers=answers, takes=max(8.0, step.seconds))
    return None


def _of_the_books(guide: Guide, line_id: int, at: datetime, limits: Mapping[str, Any]) -> set[str]:
    """What really is so of the account and the network, as the guide's probes will read it."""
    known = probes.books(line_id, at, limits, services=guide.services)
    assert known is not None
    found: set[str] = set()
    for check in guide.checks:
        probe = probes.PROBES.get(check.id)
        if check.kind != "probe" or probe is None or probe.source == "device":
            continue
        said = probe.read(known)
        when = next((x.when for x in check.outcomes if x.id == said), ())
        if len(when) == 1:
            found.add(when[0][0])
    return found & set(guide.cause_index)


def _as_read(phone: Phone, at: datetime) -> dict[str, Any]:
    """What the device feed would read of this very phone."""
    settings = dict(AS_IT_SHOULD_BE)
    registered = True
    for check in phone.guide.checks:
        if check.id.startswith("device.settings."):
            settings[check.id.removeprefix("device.settings.")] = phone.truth(check)
        elif check.id == "network.registration":
            registered = phone.truth(check) == "registered"
    where = ABROAD if phone.guide.id == "roaming_abroad" else {"roaming": False, "network": NETWORK}
    return {"at": at, "registered": registered, "technology": "5G", "settings": settings, **where}


def _deed(seat: Seat, now: diagnosis.Standing, account: int, line: int) -> bool:
    """The act that a remedy asks for, its price read out and agreed to. False: it was refused."""
    shown = now.walk.shown
    given: dict[str, Any] = {"account": account, "line": line, **{k: int(v) if isinstance(v, float) else v for k, v in shown.inputs}}
    if shown.act == "lines.add_data":
        known = probes.books(line, seat.at, rulebooks.current().limits)
        assert known is not None
        given["consent"] = orders.data_price(given["mb"], known.facts.price_per_gb)
    if given.get("feature") == customers.Feature.WIFI_CALLING:
        given["address_confirmed"] = True
    return shown.act.startswith("lines.") and shown.act != "lines.restore" and seat.act(shown.act, **given).ok


def _to_the_end(seat: Seat, row_id: int, seed: int) -> None:
    assert seat.known is not None
    row = diagnosis.walk(row_id)
    assert row is not None
    now = diagnosis.standing(row)
    if now.walk.step.kind == "done" and seed % 3 and seat.known.house.lines[0].can_text and now.walk.fixed:
        teach = next((c.teach for c in map(now.walk.guide.cause_by_id.get, now.walk.fixed) if c and c.teach), "")
        if teach:
            seat.on("diagnosis.tell", walk=row_id, text=now.walk.words(teach)[:480])
    seat.on("diagnosis.close", walk=row_id)
