"""The last 30 days of ordinary traffic: a few hundred contacts of the demo staff, lived through the live acts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from random import Random

from careline.acts.look import search
from careline.domain.contacts import queries as contacts
from careline.domain.ledger import queries as ledger
from careline.domain.ledger.rules import LineKind
from careline.doors.jobs.demo import troubles
from careline.doors.jobs.demo.desk import Known, Run, Seat
from careline.foundation.money import shown

DAYS = 30
SHIFT = (("ana", 9), ("ben", 10), ("eva", 9), ("tom", 11), ("ana", 14), ("ben", 15), ("eva", 13), ("lena", 16))
# What supervision should notice. Days ago and cents: Ben gives all but a little of what an associate may, near the end of his day.
UNDER = ((23, 2400), (18, 2450), (13, 2400), (8, 2500), (3, 2450))
BROAD = (20, 16, 11, 9, 4, 2)  # days ago: Tom typed one of the commonest names instead of the number that he was told


def plan(run: Run, count: int) -> Iterator[tuple[datetime, Callable[[], None]]]:
    """`count` contacts spread over the last 30 days, each at the moment it begins."""
    rng = Random(run.rng.random())
    callers = [k for k in run.ordinary if k.house.lines[0].status == "active"]
    if len(callers) > 2 * len(UNDER):
        yield from _worth_a_look(run, [callers.pop() for _ in UNDER])
    for n in range(count):
        name, hour = SHIFT[n % len(SHIFT)]
        day = 1 + (n // len(SHIFT)) % DAYS
        round_ = n // (len(SHIFT) * DAYS)
        at = run.days_ago(day, f"{hour:02d}:00") + timedelta(minutes=26 * round_ + rng.randrange(2, 9), seconds=rng.randrange(60))
        known, seed = rng.choice(callers), rng.random()
        yield at, lambda name=name, at=at, known=known, seed=seed: _live(run.seat(name, at), known, Random(seed))


def _worth_a_look(run: Run, known: Sequence[Known]) -> Iterator[tuple[datetime, Callable[[], None]]]:
    for (days, amount), who in zip(UNDER, known, strict=True):
        at = run.days_ago(days, "17:40")
        yield at, partial(_just_under, run.seat("ben", at), who, amount)
    common = [name for name, _ in Counter(k.house.name.split()[-1] for k in run.ordinary if k.house.kind != "business").most_common(2)]
    for n, days in enumerate(BROAD):
        text = common[n % len(common)]
        at = run.days_ago(days, "17:05")
        yield at, partial(search, text, who=run.staff["tom"], at=at)


def _just_under(seat: Seat, known: Known, amount: int) -> None:
    seat.take(known, reason="other")
    seat.on("credits.grant", amount=amount, reason="goodwill", words="For the trouble")
    seat.close(f"Asked for something; {shown(amount)} goodwill.", "resolved", "none")


def _live(seat: Seat, known: Known, rng: Random) -> None:
    stories = (_bill, _pay, _technical, _goodwill, _fee, _teaching, _plan, _silent, _device)
    story = rng.choices(stories, (20, 24, 14, 8, 6, 14, 8, 4, 8))[0]
    owed = ledger.balance(known.account)
    if story is _pay and owed < 100:
        story = _bill
    if seat.who.role == "trainee" and story in (_goodwill, _fee):
        story = _teaching
    story(seat, known, rng)


def _take(seat: Seat, known: Known, rng: Random, reason: str) -> None:
    channel = rng.choices(("voice", "chat", "message"), (82, 13, 5))[0]
    seat.take(known, by="code" if rng.random() < 0.15 and known.house.lines[0].can_text else "callback", reason=reason, channel=channel)
    seat.later(rng.randrange(40, 300))


def _bill(seat: Seat, known: Known, rng: Random) -> None:
    _take(seat, known, rng, "bill")
    bills = ledger.bills_of(known.account, 2)
    said = f"Went through the bill of {bills[0].issued_on:%B} line by line." if bills else "Explained when the first bill comes."
    seat.close(said, "resolved", rng.choice(("bill_changed", "bill_changed", "usage", "teaching")))


def _pay(seat: Seat, known: Known, rng: Random) -> None:
    _take(seat, known, rng, "payment")
    standing = ledger.bills_of(known.account)
    owed = min(max(ledger.balance(known.account), 100), sum(b.open_minor for b in standing) or 100, 200_000)
    methods = ledger.methods_of(known.account)
    good = bool(methods) and bool(known.house.method) and known.house.method is not None and known.house.method[2] == "good"
    if methods and good and seat.who.role != "trainee":
        seat.on("payments.take", amount=owed, method=methods[0].pk)
        seat.close(f"Paid {shown(owed)} with the saved card.", "resolved", "past_due")
        return
    link = seat.send_link(owed)
    seat.close(f"Sent a payment link for {shown(owed)}.", "customer_acts", "past_due")
    if rng.random() < 0.7:
        seat.later(rng.randrange(60, 3600))
        seat.run.must(
            seat.run.staff["payments-provider"], "payments.link_paid", seat.at,
            link=link, provider_reference=f"sbx-{link[-9:]}", method=f"Visa …{rng.randrange(10_000):04d}",
        )
        seat.run.post(seat.at)


def _technical(seat: Seat, known: Known, rng: Random) -> None:
    """Something does not work: a guide is walked, and the customer answers as their phone makes them."""
    known = troubles.who_calls_again(seat.run, seat.at) or known
    _take(seat, known, rng, "technical")
    troubles.live(seat, rng)


def _goodwill(seat: Seat, known: Known, rng: Random) -> None:
    _take(seat, known, rng, "technical")
    amount = rng.choice((500, 500, 1000, 1500))
    outcome = seat.act("credits.grant", account=known.account, amount=amount, reason="goodwill", words="Two days of slow data")
    said = f"Slow data for two days; {shown(amount)} goodwill." if outcome.ok else "Slow data for two days; no credit was possible."
    seat.close(said, "resolved", "network")


def _fee(seat: Seat, known: Known, rng: Random) -> None:
    fee = next((n for n in ledger.creditable_lines(known.account) if n.kind == LineKind.FEE and n.label.startswith("Late")), None)
    _take(seat, known, rng, "bill")
    if fee is None:
        seat.close("Asked why the bill differs; nothing was wrong.", "resolved", "bill_changed")
        return
    outcome = seat.act("credits.grant", account=known.account, amount=fee.amount_minor, reason="fee_waiver", bill_line=fee.pk)
    seat.close("Late fee taken back, first time." if outcome.ok else "Late fee stays: it was taken back once.", "resolved", "past_due")


def _teaching(seat: Seat, known: Known, rng: Random) -> None:
    _take(seat, known, rng, "other")
    said = rng.choice(("Showed how to set up voicemail.", "Explained how data is counted.", "Showed where to change the plan online.", "Explained roaming before a trip to Canada."))
    seat.close(said, "resolved", "teaching")


def _plan(seat: Seat, known: Known, rng: Random) -> None:
    _take(seat, known, rng, rng.choice(("plan", "leaving")))
    said = rng.choice(("Compared the plans; stays with the present one.", "Thinks about the unlimited plan and calls again.", "Another carrier offered less; stays for now."))
    if rng.random() < 0.3:
        promised = seat.at.date() + timedelta(days=rng.randrange(2, 5))
        seat.close(said, "follow_up", "plan_fit", follow_up="Send the comparison of plans by email", due_on=promised)
        _keep(seat, promised.toordinal())
        return
    seat.close(said, "resolved", "plan_fit")


def _keep(seat: Seat, due: int) -> None:
    """Promises of ordinary traffic are kept, on the day before they are due at the latest, if that day has come."""
    mine = [f for f in contacts.follow_ups_of(seat.who.id) if seat.known and f.account_id == seat.known.account]
    seat.later(20 * 3600)
    if seat.at < seat.run.now:
        for row in mine:
            seat.must("contacts.finish_follow_up", follow_up=row.pk)


def _device(seat: Seat, known: Known, rng: Random) -> None:
    _take(seat, known, rng, "device")
    said = rng.choice(("Lost phone found again before the line was suspended.", "Asked when the instalments end.", "Wants an eSIM; will call with the new phone in hand."))
    seat.close(said, "resolved" if rng.random() < 0.7 else "customer_acts", "device")


def _silent(seat: Seat, known: Known, rng: Random) -> None:
    """Nobody spoke."""
    opened = seat.must("contacts.open", caller_number=known.house.lines[0].number)
    seat.contact = int(opened.show["id"])
    seat.close("Nobody spoke.", "no_contact", "none", talk=20, wrap=10)
