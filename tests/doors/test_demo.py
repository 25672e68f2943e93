"""The made-up carrier can be made: every story is lived through the acts as they are, and what it promises is there."""

from __future__ import annotations

from datetime import timedelta

from careline.acts import probes
from careline.carriers.sandbox import SandboxDevices
from careline.domain.activations import queries as activations
from careline.domain.approvals import queries as approvals
from careline.domain.arrangements import queries as arrangements
from careline.domain.billing import queries as billing
from careline.domain.collections import queries as collections
from careline.domain.customers.models import Account, Line
from careline.domain.diagnosis import queries as diagnosis
from careline.domain.diagnosis.models import Walk
from careline.domain.journal import queries as journal
from careline.domain.ledger import queries as ledger
from careline.domain.ledger.rules import charges
from careline.domain.network import queries as network
from careline.domain.oversight import queries as oversight
from careline.domain.rulebook import queries as rulebooks
from careline.doors.jobs.demo import making
from careline.doors.jobs.demo.stories import BY_KEY, STORIES
from tests import people
from tests.people import TUESDAY

# What the desk reads of each line in a story where something does not work: the check and its answer.
READS = {
    "hannah": ("network.outage", "outage"), "amira": ("network.outage", "congestion"), "naledi": ("line.sim", "blocked"), "cody": ("device.blocked", "yes"),
    "elif": ("network.profile", "differs"), "renata": ("device.settings.vpn", "on"), "li": ("line.feature.roaming", "off"), "travis": ("line.suspended_why", "non_payment"),
    "wendell": ("network.registration", None), "bao": ("device.settings.vpn", None), "frank": ("network.outage", "none"),
}  # fmt: skip


def test_the_demo_is_made_and_its_stories_stand_as_the_ring_page_tells_them(db):
    people.open_the_rulebook()
    run = making.make(now=TUESDAY + timedelta(hours=3), accounts=len(STORIES) + 40)
    limits = rulebooks.current().limits
    for key, (check, expected) in READS.items():
        line = Line.objects.get(pk=run.known[key].lines[0])
        seen, profile = probes.feeds(line.msisdn, "")
        known = probes.books(line.pk, run.now, limits, seen=seen, profile=profile)
        asked = next(c for g in diagnosis.guides(rulebooks.current().digest).values() for c in g.checks if c.id == check)
        assert probes.read([asked], known)[check].outcome == expected, key
    assert BY_KEY["zoe"].words and all(s.words for s in STORIES if s.key in READS)
    assert SandboxDevices().seen(number=BY_KEY["oleksandr"].number, imei="").at < run.now - timedelta(days=2), "some phones were seen long ago"

    assert [(t.kind, t.area) for t in network.open_outages(run.now)] == [("maintenance", "Chicago, Loop"), ("outage", "Seattle, Duwamish"), ("congestion", "Seattle, Lake City")]
    assert [t.area for t in network.over_since(run.now - timedelta(days=7), run.now)] == ["Los Angeles, South"]
    open_walk = Walk.objects.get(state="open")
    assert open_walk.account_id == run.known["peter"].account and open_walk.answers.filter(source="customer").exists()
    assert Walk.objects.filter(account_id=run.known["frank"].account, state="handover", remain=["outage"]).exists()
    jump = ledger.explained(run.known["ruth"].account, ledger.bills_of(run.known["ruth"].account)[0].id)
    assert {d.cause.value for d in jump.differences} == {"plan_change", "equipment_began", "late_fee"} and sum(d.amount_minor for d in jump.differences) == jump.change_minor
    assert jump.differences[-1].event.code == "bill.late"
    assert next(d for d in jump.differences if d.cause == "equipment_began").event.who == "Eva Lindqvist", "she sold the phone"
    assert _goes_on(run.today) == {"fee", "equipment", "discount"}, "what came with the last bills is agreed for the next"
    ines = ledger.bills_of(run.known["ines"].account)
    told = ledger.explained(run.known["ines"].account, ines[0].id)
    assert ines[1].open_minor == 0 and {d.cause.value for d in told.differences} == {"use_late", "usage", "usage_changed"} and not told.taxed_by
    assert {n.label for n in told.now.lines if n.is_tax} == {
        "State sales tax, MO", "Sales tax, St. Louis County, MO", "Utility tax, Clayton, MO", "Emergency service, Central 911 District, MO",
    }  # fmt: skip
    assert ledger.explained(run.known["dale"].account, ledger.bills_of(run.known["dale"].account)[0].id).taxed_by
    promised = {key: arrangements.newest(run.known[key].account, run.today) for key in ("lucia", "omar")}
    assert {key: (found.row.state, found.progress.state) for key, found in promised.items()} == {"lucia": ("alive", "alive"), "omar": ("broken", "broken")}
    rungs = {key: [s.rung for s in collections.steps_of(run.known[key].account)] for key in ("petra", "samir", "gwen", "victor", "doris", "emil", "farah")}
    assert {key: (steps or [""])[0] for key, steps in rungs.items()} == {
        "petra": "reminder", "samir": "soft", "gwen": "hard", "victor": "disconnect", "doris": "place", "emil": "write_off", "farah": "soft",
    }  # fmt: skip
    bars = {key: (line.status, line.bar) for key in rungs for line in [Line.objects.get(pk=run.known[key].lines[0])]}
    assert bars["samir"] == ("suspended", "outgoing") and bars["gwen"] == ("suspended", "all") and bars["farah"] == ("active", "")
    assert {bars[key][0] for key in ("victor", "doris", "emil")} == {"cancelled"}
    assert [h.kind for h in collections.in_force([run.known["farah"].account], run.today)] == ["dispute"]
    assert [h.account_id for h in collections.to_look_at(run.today)] == [run.known["oskar"].account], "a lead finds it in the queue"
    [leaving] = activations.leaving(run.known["noor"].account)
    assert leaving.to == "Bluebird Mobile" and timedelta(minutes=100) < leaving.waits_until - run.now < timedelta(minutes=120)
    assert collections.placement_of(run.known["doris"].account) is not None
    assert ledger.written_off_of(run.known["emil"].account)
    [trouble] = network.signals(Account.objects.get(pk=run.known["hannah"].account).postal_code, "America/Los_Angeles", run.known["hannah"].lines[0], run.now)
    assert trouble.title.startswith("Outage in Seattle, Duwamish") and "PT" in trouble.say, "Hannah lives in it"
    kinds = {(p.kind, p.staff_id) for p in oversight.patterns(limits["patterns"], run.now - timedelta(days=30))}
    assert ("just_under", run.staff["ben"].key) in kinds, "supervision has something worth a look"
    assert len(approvals.waiting_for("lead", run.staff["lena"].id, run.now + timedelta(hours=5))) == 1, "Rosa's request waits until a visitor comes"
    assert not list(journal.verify())
    assert making.state() == "made"


def _goes_on(today) -> set[str]:
    """The kinds of what came with accounts' last bills and has not ended: each must be on the bill that the run would make next."""
    found, ended = set(), set(Line.objects.filter(status="cancelled").values_list("pk", flat=True))
    for pk in Account.objects.values_list("pk", flat=True):
        coming, last = billing.coming(pk, today, rulebooks.current().billing), ledger.last_bills(pk, 1)
        if coming is None or not last:
            continue
        there = {(n.kind, n.line, charges.plain_label(n)) for n in coming.lines}
        for n in last[0].lines:
            until = charges.ends_by(n)
            monthly = n.kind in ("equipment", "discount") or n.label == "Device protection"
            if monthly and not charges.is_last(n) and (until is None or until >= coming.issued_on) and n.line not in ended:
                assert (n.kind, n.line, charges.plain_label(n)) in there, (pk, n)
                found.add(n.kind)
    return found
