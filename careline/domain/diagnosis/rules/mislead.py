"""Which answers of a walk were wrong, as far as it proved that.

An answer is proven wrong by what was **observed** and by nothing else: by the same check when it was read again and then
said something else, by a probe about the same cause, or by a cause that was there (one remedy was given, for it alone, and
the test that had failed passed) while the answer spoke against it. Nothing is proven across a change: once a remedy was given for one of the
causes that a check reads, or that hide it, what it shows from then on says nothing of before. That an answer did not fit
the belief, or was asked again in other words, proves nothing; that a check could not be read is no answer.
"""

from __future__ import annotations

from careline.domain.diagnosis.rules.belief import CANNOT_TELL, Reading, Tried
from careline.domain.diagnosis.rules.guide import Check, Guide
from careline.domain.diagnosis.rules.walk import Walk


def misled(walk: Walk) -> tuple[str, ...]:
    """The checks whose answers were proven wrong, in the order of the answers, each as often as it was. Probes and the test
    are not judged: they are what proves."""
    guide, wrong, there = walk.guide, [], _there(walk)
    for n, event in enumerate(walk.events):
        if not isinstance(event, Reading) or event.outcome == CANNOT_TELL:
            continue
        check = guide.check_by_id[event.check]
        if check.kind in ("ask", "do") and (_said_otherwise(walk, n, check) or _hid(walk, n, check, there)):
            wrong.append(check.id)
    return tuple(wrong)


def changes(guide: Guide, event: object, check: Check) -> bool:
    """This remedy may have changed what the check shows."""
    if not isinstance(event, Tried) or event.outcome not in ("done", "claimed", "failed"):
        return False
    remedy = guide.remedy_by_id[event.remedy]
    about = {*remedy.removes, *(x for r in guide.remedies if r.leaves and r.leaves == remedy.finishes for x in r.removes)}
    return bool(about & {*check.reads, *check.hidden_by})


def _said_otherwise(walk: Walk, n: int, check: Check) -> bool:
    """The last reading of the check before anything changed says something else, or a probe about the same cause does."""
    said = walk.events[n]
    assert isinstance(said, Reading)
    last = said.outcome
    for event in walk.events[n + 1 :]:
        if changes(walk.guide, event, check):
            break
        if not isinstance(event, Reading) or event.outcome == CANNOT_TELL:
            continue
        if event.check == check.id:
            last = event.outcome
        elif walk.guide.check_by_id[event.check].kind == "probe" and _against(walk.guide, said, event):
            return True
    return last != said.outcome


def _against(guide: Guide, said: Reading, seen: Reading) -> bool:
    """Both speak of one cause alone, and not the same of it."""
    mine, probe = guide.check_by_id[said.check], guide.check_by_id[seen.check]
    if mine.reads != probe.reads or len(mine.reads) != 1:
        return False
    return (said.outcome == mine.outcomes[-1].id) != (seen.outcome == probe.outcomes[-1].id)


def _there(walk: Walk) -> dict[str, int]:
    """The causes that were there beyond doubt, each with the event of the remedy that proved it."""
    found: dict[str, int] = {}
    given: list[int] = []  # remedies since the last test
    for n, event in enumerate(walk.events):
        if isinstance(event, Tried) and event.outcome in ("done", "claimed") and walk.guide.remedy_by_id[event.remedy].removes:
            given.append(n)
        elif isinstance(event, Reading) and event.check == walk.guide.test.id:
            if event.outcome == walk.guide.works and len(given) == 1:
                one = walk.events[given[0]]
                assert isinstance(one, Tried)
                causes = [x for x in walk.guide.remedy_by_id[one.remedy].removes if walk.guide.cause_by_id[x].shows]
                if len(causes) == 1:
                    found[causes[0]] = given[0]
            given = []
    return found


def _hid(walk: Walk, n: int, check: Check, there: dict[str, int]) -> bool:
    """A cause was there, and nothing that could hide it, that the check always shows further up than what was answered."""
    said = walk.events[n]
    assert isinstance(said, Reading)
    given = check.index(said.outcome)
    above = {cause for row in check.outcomes[:given] for cause, chance in row.when if chance >= 1}
    held = {cause for cause, _ in check.outcomes[given].when}
    return any(
        cause in above and cause not in held and n < at and not any(changes(walk.guide, x, check) for x in walk.events[:at])
        for cause, at in there.items()
    )  # fmt: skip
