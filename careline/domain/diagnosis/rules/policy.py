"""The next step: what to read, ask, do or test now, so that the phone works, and is seen to work, at the least cost.

The cost is the customer's seconds. Decision-theoretic troubleshooting (Heckerman, Breese and Rommelse 1995) orders
single-fault repairs by probability over cost; here several faults hold at once, answers are unreliable, and one screen
answers several checks. The policy is a **rollout over a fixed order**: for every step that could be taken now, its cost
plus, for each thing it may show, the expected cost of then going through the remaining screens in the order of
probability over cost, re-ordered for that branch, fixing what is found and stopping when the phone works. Rollout is
never worse than the order that it improves upon when answers are honest. What it gives up: it looks one step ahead and not
two, it values answers as if they were true (their reliability counts in the belief, not in the plan), and ties go to the
guide's order.

Around this search stand rules that cost may not outweigh. Probes are free and come first. What is established is fixed
before more is asked. A remedy is not given on a suspicion while a check could tell. A step waits while what it needs is
missing. The trouble is handed over when nothing that could still be here can be found or fixed here, and not before. Where there
is reason to doubt (answers contradict each other, or the test is often misread) a customer is asked on, and tested on, where
others are believed: until the answers alone speak clearly enough, because a prior that calls a cause rare is no answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from careline.domain.diagnosis.rules.belief import (
    CANNOT_TELL,
    Belief,
    Bools,
    Event,
    Floats,
    Reading,
    Told,
    Tried,
    believe,
    explained,
)
from careline.domain.diagnosis.rules.guide import UNKNOWN, Check, Guide, Remedy

PROVEN = 0.985  # a phone that works with this probability, and was tested since the last change, is fixed
PROVEN_AGAIN = 0.995  # ...or this, when there is reason to doubt the customer
ODDS = 20  # ...and the tests alone speak for it this clearly, so that a wrong prior proves nothing
ODDS_AGAIN = 150  # ...or this clearly, when there is reason to doubt; and this clearly must a cause be spoken against before a hand-over
DOUBTFUL = 0.05  # a test that is misread more often than this is reason to doubt
NEARLY = 0.85  # enough to end on when nothing is left to ask
CONFIRMED = 0.85  # a cause that is established well enough for a remedy that changes something
LIKELY = 0.4  # and well enough for one that does no harm
SUSPECT = 0.002  # causes below are asked for no more
SETTLED = 0.97  # ...nor causes above
DOUBT = 0.15  # a cause that an answer spoke against and that is still this likely is asked for again, in other words
FAINT_DOUBT = 0.003  # ...or this likely, when everything was asked once
MOST_READINGS = 8  # of one check between two changes
SAME = 3  # answers of one check that agree are enough
MOST_TESTS = 10  # readings of the test between two changes
MOST_TRIES = 3  # of one remedy
ONCE_MORE = 1  # ...and this often again before a trouble is handed over that it might end
MOST_REPEATS = 12  # of one that does a part each time, such as paying one bill
PENDING = 0.3  # what waits for a restart with this probability makes questions about it idle until then
BLIND = 0.04  # a cause that nothing can read is worth a remedy that does no harm from here
HOPEFUL = 0.2  # a phone that works with this probability after a remedy is tested eagerly
HOPE = 0.1  # and when nothing is left to ask, one that was spoken for is worth its remedy from here
ABSENT = 0.02  # a cause this unlikely forbids no remedy
GIVES_UP = 0.005  # and where there is reason to doubt, one that nothing can read is worth a remedy that does no harm from here
MOST_PATIENCE = 12  # readings of one check between two changes before a trouble is handed over that might be fixed here
TIRED = 120  # answers of the customer after which the trouble is handed over whatever is believed
HEAVY = 400  # worlds that the plan is made over (the heaviest; the belief itself keeps all)
PROBES_FIRST = "The account and the network are read first: that costs the customer nothing."


@dataclass(frozen=True, slots=True)
class Step:
    """`kind`: probe, ask, do, remedy, test, handover, done. `id`: of the screen, check or remedy. `checks`: those that it
    answers. `why`: one sentence. `for_causes`: what it would find or removes, most probable first."""

    kind: str
    id: str
    checks: tuple[str, ...] = ()
    seconds: float = 0.0
    wording: int = 0
    why: str = ""
    for_causes: tuple[str, ...] = ()
    team: str = ""


@dataclass
class _Log:
    """What the walk's events say about each step, in order."""

    guide: Guide
    read: dict[str, int] = field(default_factory=dict)  # readings of a check since its causes were last touched
    last: dict[str, str] = field(default_factory=dict)
    same: dict[str, int] = field(default_factory=dict)  # how often its last answer was given in a row, since then
    asked: dict[str, int] = field(default_factory=dict)  # readings of a check at all
    unavailable: set[str] = field(default_factory=set)
    tries: dict[str, int] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)  # remedies that were declined or refused
    failed: set[str] = field(default_factory=set)  # remedies that could not be done, and nothing about them was learned since
    spoken: set[str] = field(default_factory=set)  # causes that some answer spoke for since a remedy was given for them
    tested: str = ""  # the test's outcome since the last change
    said: dict[str, tuple[Reading, ...]] = field(default_factory=dict)  # the answers to a check since its causes were last touched
    tests: int = 0  # readings of the test since the last change
    touched: set[str] = field(default_factory=set)  # causes that a remedy was given for since they were last read
    changed: bool = False
    count: int = 0
    wavers: int = 0  # answers of the customer that contradict their last ones, though nothing was changed between

    @classmethod
    def of(cls, guide: Guide, events: Sequence[Event]) -> _Log:
        log = cls(guide)
        for event in events:
            log.count += not (isinstance(event, Reading) and guide.check_by_id[event.check].kind == "probe")
            if isinstance(event, Reading):
                name = event.check
                if event.outcome != CANNOT_TELL:
                    log.said[name] = (*log.said.get(name, ()), event)
                if name == guide.test.id:
                    log.wavers += log.tests > 0 and log.tested != event.outcome
                    log.tested, log.tests = event.outcome, log.tests + 1
                    log.asked[name] = log.asked.get(name, 0) + 1
                    continue
                log.wavers += guide.check_by_id[name].kind != "probe" and name in log.read and log.last[name] != event.outcome
                log.asked[name] = log.asked.get(name, 0) + 1
                log.read[name] = log.read.get(name, 0) + 1
                log.same[name] = log.same.get(name, 0) + 1 if log.last.get(name) == event.outcome else 1
                log.last[name] = event.outcome
                log.touched -= set(guide.check_by_id[name].reads)
                log.spoken |= {x for row in guide.check_by_id[name].outcomes if row.id == event.outcome for x, _ in row.when}
                about = set(guide.check_by_id[name].reads)
                log.failed -= {x for x in log.failed if about & {*guide.remedy_by_id[x].removes, *guide.remedy_by_id[x].first}}
                if event.outcome == CANNOT_TELL and not guide.check_by_id[name].hidden_by:
                    log.unavailable.add(name)
            elif isinstance(event, Tried):
                remedy = guide.remedy_by_id[event.remedy]
                log.tries[remedy.id] = log.tries.get(remedy.id, 0) + 1
                if event.outcome == "failed":
                    log.failed.add(remedy.id)
                if event.outcome in ("declined", "refused"):
                    log.closed.add(remedy.id)
                elif event.outcome in ("done", "claimed"):
                    log.tested, log.tests, log.changed = "", 0, True
                    log.said.pop(guide.test.id, None)
                    log.failed.clear()
                    about = {*remedy.removes, *(x for r in guide.remedies if r.leaves and r.leaves == remedy.finishes for x in r.removes)}
                    log.touched |= about
                    log.spoken -= about
                    for check in guide.checks:
                        if remedy.kind == "say" and check.kind == "probe":
                            continue  # words change nothing that a system reads
                        if about & {*check.reads, *check.hidden_by}:
                            log.read.pop(check.id, None)
                            log.same.pop(check.id, None)
                            log.said.pop(check.id, None)
                            if check.hidden_by:
                                log.unavailable.discard(check.id)
        return log


@dataclass(frozen=True)
class _Item:
    """One thing the plan may do: open a screen (or ask one check, or give a harmless remedy blind)."""

    kind: str
    id: str
    checks: tuple[Check, ...]
    causes: NDArray[np.intp]
    seconds: float
    wording: int = 0


def next_step(guide: Guide, events: Sequence[Event], complaint: str = "") -> Step:
    """The next step of a walk. The same guide and the same events give the same step; walks that begin alike share what
    was worked out (the policy's tree, kept by the answers so far)."""
    return _kept(guide, tuple(events), complaint)


@lru_cache(maxsize=20_000)
def _kept(guide: Guide, events: tuple[Event, ...], complaint: str) -> Step:
    if not events and (probes := tuple(x.id for x in guide.checks if x.kind == "probe" and not x.hidden_by)):
        return Step("probe", probes[0], probes, why=PROBES_FIRST)  # no belief is needed to know this
    return _Chooser(guide, believe(guide, events, complaint), _Log.of(guide, events)).choose()


def forget() -> None:
    """Work every step out anew (benchmarks)."""
    _kept.cache_clear()


class _Chooser:
    def __init__(self, guide: Guide, belief: Belief, log: _Log) -> None:
        self.guide, self.belief, self.log = guide, belief, log
        self.p = dict(zip((c.id for c in guide.causes), (float(x) for x in belief.present), strict=True))
        self.waits = dict(zip((c.id for c in guide.causes), (float(x) for x in belief.unfinished), strict=True))
        self.pending = {x for x, p in self.waits.items() if p >= PENDING}

    # --- the order of things -----------------------------------------------------------------------------------------

    blind = 0.5  # a check that is hidden with this probability is not asked
    patient = False  # nothing is left but a hand-over, and there is reason to doubt what was answered: ask on

    def choose(self) -> Step:
        log, guide = self.log, self.guide
        if log.tested == guide.works and self.belief.works >= (PROVEN_AGAIN if self._doubtful else PROVEN) and self._test_tells():
            return Step("done", "works", why="The test was seen to pass, and nothing speaks against it.")
        if log.count >= TIRED:
            return self._handover("This has taken long enough; somebody with other means goes on.")
        if (step := self._probe()) is not None:
            return step
        if any(self.p[c.id] >= SETTLED for c in guide.causes if c.ends):
            return self._handover("")
        if (step := self._established()) is not None:
            return step
        return self._searched()

    @cached_property
    def _doubtful(self) -> bool:
        """There is reason to doubt this customer: their answers contradict each other, or the test is one that is often
        misread."""
        return self.log.wavers > 0 or self.guide.test.reliability < 1 - DOUBTFUL

    def _test_tells(self) -> bool:
        """The tests since the last change speak for themselves, whatever was thought likely before."""
        each = explained(self.guide.test, self.log.said[self.guide.test.id])
        return float(each[-1]) >= (ODDS_AGAIN if self._doubtful else ODDS) * float(each[:-1].max())

    @cached_property
    def _against(self) -> dict[str, float]:
        """How clearly the answers alone speak against each cause that they speak of, as odds, whatever was thought likely
        before. What shows further up says nothing of the causes below."""
        found: dict[str, float] = {}
        for check in self.guide.checks:
            if not (said := self.log.said.get(check.id)):
                continue
            each = explained(check, said)
            seen = int(each.argmax())
            for n, row in enumerate(check.outcomes):
                for cause, chance in row.when:
                    if chance >= 0.5 and seen >= n:
                        found[cause] = found.get(cause, 1.0) * float(each[seen] / each[n])
        return found

    def _probe(self) -> Step | None:
        due = [
            check for check in self.guide.checks
            if check.kind == "probe" and not self.log.read.get(check.id) and check.id not in self.log.unavailable
            and self.belief.hidden(check) < self.blind
            and (self.log.last.get(check.id, CANNOT_TELL) == CANNOT_TELL or any(cause in self.log.touched for cause in check.reads))
        ]  # fmt: skip
        if not due:
            return None
        return Step("probe", due[0].id, tuple(x.id for x in due), why=PROBES_FIRST)

    # --- what is established is fixed ----------------------------------------------------------------------------------

    def _needed(self) -> list[str]:
        """The causes that must go: those that break the phone, and those that a remedy for one of these needs gone."""
        needed = [c.id for c in self.guide.causes if c.shows and (self.p[c.id] >= LIKELY)]
        for cause in list(needed):
            for remedy in self.guide.remedies_for(cause):
                if remedy.id not in self.log.closed:
                    needed += [x for x in remedy.first if x not in needed and self.p[x] >= LIKELY]
        return needed

    def _established(self) -> Step | None:
        found: list[tuple[tuple[float, ...], Remedy, str]] = []
        for cause in self._needed():
            for rank, remedy in enumerate(self.guide.remedies_for(cause)):
                unread = any(cause in x.reads and not self.log.asked.get(x.id) and self._readable(x) for x in self.guide.checks)
                enough = LIKELY if remedy.harmless and not unread else SETTLED if unread else CONFIRMED
                if self.p[cause] < enough and (self._could_tell(cause) or (not remedy.harmless and self._will_tell(cause))):
                    continue
                if self.p[cause] < 0.5 and not remedy.harmless:
                    continue
                if self.log.tries.get(remedy.id) and cause in self.log.touched and self._could_tell(cause):
                    continue  # it was given before: look whether it helped before it is given again
                if self._ready(remedy):
                    hides = any(cause in check.hidden_by for check in self.guide.checks)
                    costs = bool(remedy.consent)
                    found.append(((self.log.tries.get(remedy.id, 0), costs, not hides, rank, remedy.seconds), remedy, cause))
        if not found:
            return None
        _, remedy, cause = min(found, key=lambda x: x[0])
        if self.log.tries.get(remedy.id) and not self.log.tests and self.belief.works > 0.05:
            return None  # the test says whether it helped
        return self._give(remedy, cause)

    def _ready(self, remedy: Remedy) -> bool:
        """May it be given now: not declined, not tried too often, and what it needs gone is gone."""
        if remedy.id in self.log.closed or remedy.id in self.log.failed or self._tried_enough(remedy):
            return False
        if any(self.waits[x] > DOUBT for x in remedy.first):
            return False
        return all(
            self.p[x] < ABSENT or (self.p[x] < DOUBT and (known(x) or not (self._could_tell(x) or self._will_tell(x))))
            for known, causes in ((self._was_read, remedy.first), (self._was_cleared, remedy.not_with)) for x in causes
        )  # fmt: skip

    def _tried_enough(self, remedy: Remedy) -> bool:
        return self.log.tries.get(remedy.id, 0) >= (MOST_REPEATS if remedy.repeats else MOST_TRIES + ONCE_MORE * self.patient)

    def _could_tell(self, cause: str) -> bool:
        """Some check that can be read now would tell whether this cause holds."""
        return any(cause in check.reads and self._readable(check) for check in self.guide.checks)

    def _will_tell(self, cause: str) -> bool:
        """Some check would tell whether this cause holds that may be hidden now, by what can be seen to."""
        return any(
            cause in check.reads and self.log.last.get(check.id, CANNOT_TELL) == CANNOT_TELL and check.id not in self.log.unavailable
            and any(self._could_tell(x) or self._will_go(x, cause) for x in check.hidden_by)
            for check in self.guide.checks
        )  # fmt: skip

    def _will_go(self, cause: str, other: str) -> bool:
        """This cause is likely and has a remedy that does not wait for the other."""
        return self.p[cause] >= LIKELY and any(
            r.id not in self.log.closed | self.log.failed and not self._tried_enough(r) and other not in (*r.first, *r.not_with)
            for r in self.guide.remedies_for(cause)
        )  # fmt: skip

    def _was_read(self, cause: str) -> bool:
        return any(cause in check.reads and self.log.last.get(check.id, CANNOT_TELL) != CANNOT_TELL for check in self.guide.checks)

    def _was_cleared(self, cause: str) -> bool:
        """Some check that tells of this cause was answered, and its last answer spoke against it: it would have shown further
        up. (What shows further up itself, such as a plane instead of the bars, says nothing of the rows below.)"""
        return any(
            row.id == self.log.last.get(check.id) and cause not in {x for x, _ in row.when}
            and cause in {x for above in check.outcomes[:n] for x, _ in above.when}
            for check in self.guide.checks if cause in check.reads for n, row in enumerate(check.outcomes)
        )  # fmt: skip

    def _readable(self, check: Check) -> bool:
        if check.id in self.log.unavailable or self.belief.hidden(check) >= self.blind:
            return False
        if check.kind != "probe" and not self.pending.isdisjoint(check.reads):
            return False  # until the restart it may show what was put right
        read = self.log.read.get(check.id, 0)
        if self.patient:
            return check.kind != "probe" and read < MOST_PATIENCE
        return read == 0 or (check.kind != "probe" and read < MOST_READINGS and self.log.same.get(check.id, 0) < (SAME if check.again else 1))

    def _give(self, remedy: Remedy, cause: str) -> Step:
        sure = self.p[cause]
        title = self.guide.cause_by_id[cause].title
        why = f"{title} ({_percent(sure)})." if sure >= CONFIRMED else f"{title} is likely ({_percent(sure)})" + (
            ", and this does no harm." if remedy.harmless else ", and nothing else would tell."
        )
        return Step(
            "remedy", remedy.id, seconds=remedy.seconds, wording=min(1, self.log.tries.get(remedy.id, 0)), why=why,
            for_causes=tuple(x for x in remedy.removes if self.p[x] > 0.05),
        )  # fmt: skip

    # --- the search ----------------------------------------------------------------------------------------------------

    def _searched(self) -> Step:
        guide, log = self.guide, self.log
        items = self._items()
        plan = _Plan(self.belief, items, guide)
        best: tuple[float, int, Step] | None = None

        def offer(cost: float, rank: int, step: Step) -> None:
            nonlocal best
            if best is None or (cost, rank) < (best[0] - 1e-9, best[1]):
                best = (cost, rank, step)

        finish = self._finish()
        if finish:
            offer(finish.seconds + plan.finished(), 0, Step(
                "remedy", finish.id, seconds=finish.seconds, why=f"{finish.title}: what was changed takes effect only then.",
                for_causes=tuple(c for c, p in self.waits.items() if p > 0.05),
            ))  # fmt: skip
        worth_testing = finish is None and log.tests < MOST_TESTS and (
            (log.changed and not log.tested and self.belief.works > 0.02)
            or log.tested == guide.works
            or (log.tested in ("", CANNOT_TELL) and (not items or self.belief.works > 0.3))
            or (bool(log.tested) and self.belief.works > 0.3)
        )
        if worth_testing or (finish is None and not log.tested and len(guide.test.outcomes) > 2):
            why = "See whether it works now." if log.changed else "See exactly what fails."
            # Whoever was just helped wants to know: a test that may well pass counts half its time.
            eager = guide.test.seconds * 0.5 if log.changed and not log.tested and self.belief.works > HOPEFUL else 0.0
            offer(plan.test(guide.test) - eager, 1, Step("test", guide.test.id, (guide.test.id,), guide.test.seconds, wording=min(1, log.asked.get(guide.test.id, 0)), why=why))
        for rank, item in enumerate(items):
            if item.kind == "remedy":
                remedy = guide.remedy_by_id[item.id]
                likely = max(remedy.removes, key=lambda x: self.p[x])
                cost = item.seconds + guide.test.seconds + plan.without(item)
                offer(cost, 100 + rank, self._give(remedy, likely))
                continue
            names = [guide.causes[c].id for c in item.causes]
            told = sorted(names, key=lambda x: -self.p[x])[:3]
            why = "It would tell: " + ", ".join(f"{_inside(guide.cause_by_id[x].title)} ({_percent(self.p[x])})" for x in told)
            why += f", in {item.seconds:.0f} seconds." if not item.wording else ": the answers so far do not fit together, so it is asked in other words."
            offer(item.seconds + plan.read(item), 2 + rank, Step(
                item.kind, item.id, tuple(x.id for x in item.checks), item.seconds, item.wording, why, tuple(told),
            ))  # fmt: skip
        if best is None:
            if self.belief.works >= NEARLY and log.tested == guide.works and finish is None:
                return Step("done", "works", why=f"It works by the last test ({_percent(self.belief.works)}), and nothing is left to try.")
            if (last := self._last_resort()) is not None:
                return last
            if self.blind < 1:  # what seems hidden may not be
                self.blind = 1.0
                self.__dict__.pop("_unread", None)
                return self._searched()
            if not self.patient and self._doubtful:
                self.patient = True
                self.__dict__.pop("_unread", None)
                return self._searched()
            if log.tests < (2 * MOST_TESTS if self.belief.works >= LIKELY else MOST_TESTS if self.belief.works > 0.03 else 1):
                return Step("test", guide.test.id, (guide.test.id,), guide.test.seconds, wording=min(1, log.asked.get(guide.test.id, 0)), why="Everything here was seen to; test once more.")
            return self._handover("")
        return best[2]

    def _last_resort(self) -> Step | None:
        """Nothing is left to ask: the likeliest cause that a remedy may be given for, though it is not established: one
        that answers spoke for and against, or one whose remedy does no harm. Where there is reason to doubt, what does no harm
        and is for something that nothing can read is given on less: that it was done before was only said, too."""
        unread = {c.id for c in self.guide.causes if self.patient and not any(c.id in check.reads for check in self.guide.checks)}
        found = [
            (-self.p[x], rank, remedy, x)
            for rank, remedy in enumerate(self.guide.remedies) if self._ready(remedy) and (self.patient or (not remedy.finishes and self.log.tries.get(remedy.id, 0) < 2))
            for x in remedy.removes
            if self.guide.cause_by_id[x].shows and self.p[x] >= (GIVES_UP if x in unread and remedy.harmless else HOPE if remedy.harmless or x in self.log.spoken else LIKELY)
        ]  # fmt: skip
        return self._give(*min(found, key=lambda x: x[:2])[2:]) if found else None

    def _finish(self) -> Remedy | None:
        """The remedy that completes what waits (a restart), when something does."""
        for remedy in self.guide.remedies:
            if remedy.finishes and remedy.id not in self.log.closed | self.log.failed:
                about = [i for i, c in enumerate(self.guide.causes) if any(x.leaves == remedy.finishes for x in self.guide.remedies_for(c.id))]
                waits = float(self.belief.weight @ self.belief.waiting[:, about].any(axis=1))
                if waits >= PENDING and self.log.tries.get(remedy.id, 0) < 2 * MOST_TRIES:
                    return remedy
        return None

    def _items(self) -> list[_Item]:
        """What may be read or tried now, one item a screen."""
        guide, log = self.guide, self.log
        by_screen: dict[str, list[Check]] = {}
        for check in guide.checks:
            if check.kind == "probe" or not self._readable(check):
                continue
            if not any(self._open(cause, check) for cause in check.reads):
                continue
            by_screen.setdefault(check.screen or f"check {check.id}", []).append(check)
        items = []
        for checks in by_screen.values():
            screen = guide.screen_by_id.get(checks[0].screen)
            causes = [guide.cause_index[x] for check in checks for x in check.reads]
            seconds = (screen.seconds if screen else 0.0) + sum(check.seconds for check in checks)
            wording = 1 if all(log.asked.get(check.id) for check in checks) else 0
            kind = checks[0].kind
            items.append(_Item(kind, screen.id if screen else checks[0].id, tuple(checks), np.array(sorted(set(causes)), dtype=np.intp), max(seconds, 1.0), wording))
        for remedy in guide.remedies:
            if not remedy.harmless or not remedy.removes or not self._ready(remedy) or log.tries.get(remedy.id):
                continue
            blind = [x for x in remedy.removes if self.p[x] >= BLIND and guide.cause_by_id[x].shows and not self._could_tell(x) and not self._was_read(x)]
            if blind:
                items.append(_Item("remedy", remedy.id, (), np.array([guide.cause_index[x] for x in blind], dtype=np.intp), max(remedy.seconds, 1.0)))
        return items

    def _open(self, cause: str, check: Check) -> bool:
        """Is it still worth asking this check about this cause?"""
        p = self.p[cause]
        if not (self.guide.cause_by_id[cause].shows or self._bars(cause)) or self._useless(cause):
            return False
        if not self.log.asked.get(check.id):
            return SUSPECT < p < (SETTLED if self.guide.cause_by_id[cause].shows else 1 - SUSPECT)
        last = next((x.when for x in check.outcomes if x.id == self.log.last.get(check.id)), ())
        if self.log.read.get(check.id) and len(last) > 1 and any(x == cause for x, _ in last):
            return False  # it was spoken for, with others: the same look cannot part them
        if self.patient:
            if not (any(self._may_come(r) for r in self.guide.remedies_for(cause)) or self._bars(cause)):
                return False  # to know it would put nothing right
            against = self._against.get(cause)
            if against is None and self.log.same.get(check.id, 0) >= SAME:
                return False  # what shows further up hides it here
            doubted = p > SUSPECT or (against is not None and against < ODDS_AGAIN)
            return doubted and p < (SETTLED if self.guide.cause_by_id[cause].shows else 1 - SUSPECT)
        return DOUBT < p < CONFIRMED or (FAINT_DOUBT < p < CONFIRMED and not self._unread)

    def _may_come(self, remedy: Remedy) -> bool:
        """It may still be given in this walk: nothing forbids it that is established, or that it needs gone and nothing ends."""
        return remedy.id not in self.log.closed and not self._tried_enough(remedy) and not any(
            self.p[x] >= CONFIRMED for x in (*remedy.not_with, *(x for x in remedy.first if not self.guide.remedies_for(x)))
        )  # fmt: skip

    def _bars(self, cause: str) -> bool:
        """A remedy for something that may be here waits for this cause to be gone, or must not be given with it."""
        return any(cause in (*r.first, *r.not_with) and any(self.p[x] > SUSPECT for x in r.removes) for r in self.guide.remedies)

    @cached_property
    def _unread(self) -> bool:
        """Some check was never read that could still find something: what was answered is not doubted before."""
        return any(
            check.kind != "probe" and not self.log.asked.get(check.id) and self._readable(check)
            and any(SUSPECT < self.p[x] < SETTLED and not self._useless(x) for x in check.reads)
            for check in self.guide.checks
        )  # fmt: skip

    def _useless(self, cause: str) -> bool:
        """Nothing could be done with the knowledge: it can neither be fixed here nor does it stop anything."""
        remedies = self.guide.remedies_for(cause)
        if any(r.id not in self.log.closed for r in remedies) or self.guide.cause_by_id[cause].handover:
            return False
        return not any(cause in (*r.first, *r.not_with) for r in self.guide.remedies)

    def _handover(self, why: str) -> Step:
        """To the team of the most probable cause that cannot be fixed here."""
        causes = [c for c in self.guide.causes if c.shows and (c.handover or self.p[c.id] > 0.05)]
        left = sorted(causes, key=lambda c: -self.p[c.id])
        named = [c for c in left if c.handover and c.id != UNKNOWN and self.p[c.id] >= 0.3]
        to = named[0] if named else None
        team = to.handover if to else next((c.handover for c in left if c.id == UNKNOWN and c.handover), "Technical support")
        if not why:
            why = f"{to.title} ({_percent(self.p[to.id])}) cannot be put right here." if to else "Everything that can be seen and done here was seen and done."
        return Step("handover", "handover", why=why, team=team, for_causes=tuple(c.id for c in left if self.p[c.id] > 0.1)[:5])


class _Plan:
    """Expected seconds until the phone works, for worlds of a belief, by going through items in a fixed order."""

    def __init__(self, belief: Belief, items: list[_Item], guide: Guide) -> None:
        self.guide, self.items = guide, items
        self.now = belief.now[:HEAVY]
        self.waiting = belief.waiting[:HEAVY]
        self.weight = belief.weight[:HEAVY] / belief.weight[:HEAVY].sum()
        self.breaks = belief.breaks
        self.reads = np.zeros((len(items), len(guide.causes)))
        for row, item in enumerate(items):
            self.reads[row, item.causes] = 1.0
        self.seconds = np.array([item.seconds for item in items])
        self.fix = np.zeros(len(guide.causes))
        self.leaves = np.zeros(len(guide.causes), dtype=bool)
        fixable = np.zeros(len(guide.causes), dtype=bool)
        for i, cause in enumerate(guide.causes):
            remedies = guide.remedies_for(cause.id)
            if remedies:
                fixable[i] = True
                self.fix[i] = remedies[0].seconds
                self.leaves[i] = bool(remedies[0].leaves)
        self.handed = ~fixable & self.breaks
        established = fixable & (belief.present >= LIKELY)
        self.lost = self.breaks & fixable & ~established & (self.reads.sum(axis=0) == 0)
        self.finish = next((r.seconds for r in guide.remedies if r.finishes), 0.0)

    def cost(self, now: Bools, waiting: Bools, weight: Floats, skip: int = -1) -> float:
        """The expected cost of the plan over these worlds; `skip`: an item that is no longer there."""
        total = weight.sum()
        if total <= 0:
            return 0.0
        faults = (now & self.breaks).astype(np.float64)
        p = (weight @ faults) / total
        gain = (self.reads @ p) / self.seconds if len(self.items) else np.zeros(0)
        if skip >= 0:
            gain[skip] = -1.0
        order = np.argsort(-gain, kind="stable")
        if skip >= 0:
            order = order[:-1]
        expected: Floats = faults @ self.fix + self.guide.test.seconds
        waits = waiting.any(axis=1) | (faults[:, self.leaves] > 0).any(axis=1)
        expected = expected + self.finish * waits + self.guide.handover_seconds * (faults[:, self.handed] > 0).any(axis=1)
        if len(order):
            found = (faults @ self.reads[order].T) > 0
            any_found = found.any(axis=1)
            last = len(order) - 1 - np.argmax(found[:, ::-1], axis=1)
            spent = np.cumsum(self.seconds[order])
            expected = expected + np.where(any_found, spent[last], 0.0) + self.guide.test.seconds * np.maximum(found.sum(axis=1) - 1, 0)
            lost = (faults[:, self.lost] > 0).any(axis=1)
            expected = expected + np.where(lost, spent[-1] - np.where(any_found, spent[last], 0.0) + self.guide.handover_seconds, 0.0)
        else:
            expected = expected + self.guide.handover_seconds * (faults[:, self.lost] > 0).any(axis=1)
        return float(weight @ expected / total)

    def read(self, item: _Item) -> float:
        """The expected cost after opening this item's screen: the worlds parted by what they would show."""
        code = np.zeros(len(self.weight), dtype=np.int64)
        for check in item.checks:
            code = code * (len(check.outcomes) + 1) + self._column(check)
        return self._parted(code, self.items.index(item))

    def test(self, test: Check) -> float:
        column = self._column(test, waiting=True)
        works = column == len(test.outcomes) - 1
        code = np.where(works, -1, column)
        total = test.seconds
        for value in np.unique(code):
            if value >= 0:
                rows = code == value
                total += float(self.weight[rows].sum()) * self.cost(self.now[rows], self.waiting[rows], self.weight[rows])
        return total

    def finished(self) -> float:
        """After the restart: nothing waits."""
        return self.cost(self.now, np.zeros_like(self.waiting), self.weight)

    def without(self, item: _Item) -> float:
        """After a blind remedy: its causes are gone."""
        now = self.now.copy()
        now[:, item.causes] = False
        return self.cost(now, self.waiting, self.weight, self.items.index(item))

    def _parted(self, code: NDArray[np.int64], skip: int) -> float:
        total = 0.0
        for value in np.unique(code):
            rows = code == value
            total += float(self.weight[rows].sum()) * self.cost(self.now[rows], self.waiting[rows], self.weight[rows], skip)
        return total

    def _column(self, check: Check, *, waiting: bool = False) -> NDArray[np.int64]:
        """The outcome that each world would most likely show."""
        holds = self.now | self.waiting if waiting else self.now
        index = self.guide.cause_index
        column = np.full(len(self.weight), len(check.outcomes) - 1, dtype=np.int64)
        for i in range(len(check.outcomes) - 2, -1, -1):
            rows = [index[cause] for cause, chance in check.outcomes[i].when if chance >= 0.5]
            if rows:
                column[holds[:, rows].any(axis=1)] = i
        if check.hidden_by:
            hidden = holds[:, [index[x] for x in check.hidden_by]].any(axis=1)
            column[hidden] = check.index(check.hidden) if check.hidden else len(check.outcomes)
        return column


def _inside(title: str) -> str:
    """A title inside a sentence: its first letter is small unless the word is an abbreviation."""
    first = title.partition(" ")[0]
    return title[:1].lower() + title[1:] if first[1:] == first[1:].lower() else title


def _percent(p: float) -> str:
    if p >= 0.995:
        return "over 99 %"
    return "under 1 %" if p < 0.01 else f"{p * 100:.0f} %"


__all__ = ["Reading", "Step", "Told", "Tried", "next_step"]
