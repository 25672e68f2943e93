"""What is past due: why a line is suspended and how it comes back, the holds, and what comes next."""

from __future__ import annotations

from datetime import date, time, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from careline.acts.collections import hold_room
from careline.acts.look import look
from careline.carriers import lacking
from careline.domain.activations import queries as orders
from careline.domain.activations.rules import Kind, State
from careline.domain.arrangements import queries as arrangements
from careline.domain.collections import queries, rules
from careline.domain.collections.rules import talking
from careline.domain.journal import queries as journal
from careline.domain.ledger import queries as ledger
from careline.doors.web import forms, oops
from careline.doors.web.account import ContactPage, opened
from careline.doors.web.render import clock, day, page, zone
from careline.foundation import phone
from careline.foundation.calendar import civil_date, hour_said, start_of_day
from careline.foundation.ladder import ARRANGEMENT, BARS, HoldKind, Ladder
from careline.foundation.money import shown
from careline.foundation.rulebook import Rulebook

HOLD, RELEASE, AGAIN = "collections.hold", "collections.release", "collections.call_again"
KINDS: dict[str, dict[str, str]] = {
    AGAIN: {"account": "id", "on": "text", "start": "text", "asked": "checkbox", "words": "text"},
    HOLD: {"account": "id", "kind": "text", "until": "text", "amount": "money", "bill": "id", "words": "text"},
    RELEASE: {"account": "id", "hold": "text", "words": "text"},
}


def address(reference: str) -> str:
    return reverse("past-due", args=[reference])


@require_GET
def show(request: HttpRequest, reference: str) -> HttpResponse:
    desk = opened(request, reference, with_account=True)
    looked = look("view.money", who=desk.who, scene=desk.scene)
    if looked.refusal is not None:
        return oops.refused(request, looked.refusal, [{"label": "Back to the contact", "href": desk.url()}])
    if "ladder.toml" not in desk.scene.rulebook.files:
        raise Http404
    return page(request, "pastdue.html", {"due": shape(desk, desk.scene.rulebook.ladder)})


def shape(desk: ContactPage, ladder: Ladder) -> dict[str, Any]:
    pk, today = desk.account_id, desk.today
    known = queries.known([pk], today, ladder)[pk]
    decision = rules.decide(ladder, known.facts, known.climb, today)
    steps = queries.steps_of(pk)
    fates = journal.fates([s.message for s in steps if s.message is not None])
    held = queries.in_force([pk], today)
    back, past = rules.to_come_back(ladder, known.facts, today), sum(d.open for d in known.facts.debts if d.due_on < today)
    barred = [n for n in desk.lines if n.status == "suspended" and n.suspended_for == rules.NON_PAYMENT]
    next_one = rules.coming(ladder, known.facts, known.climb, today)
    may_hold, may_lift = desk.refused(HOLD) is None, desk.refused(RELEASE) is None
    placed = queries.placement_of(pk)
    fee = int(desk.scene.rulebook.reasons["suspension"][rules.NON_PAYMENT]["fee"])
    dear = any((n.bar or "all") == "all" or ladder.restore_fee_from == "outgoing" for n in barred)
    arranged = arrangements.holding([pk], today).get(pk)
    after = _after(known, back, ladder, today, arranged) if barred and back else None
    moved = orders.orders_of(pk, 60)
    titles = {r.code: r for r in ladder.rungs}
    return {
        "reference": desk.row.account.reference,
        "name": desk.row.account.customer.name,
        "back_href": desk.url(),
        "inbound": desk.row.inbound,
        "why": [_why(n, decision, known, ladder, past) for n in barred],
        "on_its_way": [o.number for o in moved if o.state in ("asked", "unknown")],
        "facts": [
            ("Past due", past, "bad" if past else None, f"since {day(decision.free.since)}" if decision.free.since and past else None),
            *([("To have the lines back", back, "risk", f"paid at {clock(desk.at)}, back by {clock(desk.at + timedelta(minutes=1))}")] if after else []),
            *([("Restoring costs", fee * len(barred) if after.costs else 0, None, "before tax, on the next bill" if after.costs else "under what is held here")] if after and dear and fee else []),
        ],
        "after": after.say if after else None,
        "pay": [
            *([{"label": f"Take {shown(sum_)}: {what}", "href": desk.url(f"?act=payments.take&amount={forms.dollars(sum_)}")}
               for sum_, what in ((back, "the lines come back"), (past, "all that is past due"))] if after and back < past and desk.not_set_up("payments.take") is None else []),
            *({"label": label, "href": desk.url(f"?act={code}")}
            for code, label in (*((("payments.take", "Take a payment"),) if not after or back >= past else ()), ("payments.send_link", "Send a payment link"), ("arrangements.agree", "Arrange payment"))
            if past and desk.not_set_up(code) is None and (code != "arrangements.agree" or desk.promised is None)),
        ],
        "next": {"title": ladder.rungs[next_one[0]].title, "on": next_one[1], "cite": ladder.rungs[next_one[0]].cite} if next_one else None,
        "no_next": _no_next(decision, past, arranged),
        "holds": [
            *([_arranged(arranged, ladder, bool(barred))] if arranged is not None else []),
            *([
            {
                "number": h.reference, "title": ladder.holds[h.kind].title if h.kind in ladder.holds else h.kind,
                "say": _holds(ladder, h.kind, bool(barred)), "amount": h.amount_minor, "bill": h.bill.number if h.bill else None,
                "since": h.starts_on, "until": h.ends_on, "review": h.review_on,
                "late": h.review_on is not None and h.review_on < today,
                "href": desk.url(f"?act={RELEASE}&hold={h.reference}") if may_lift else None,
            }
            for h in held]),
        ],
        "hold_href": desk.url(f"?act={HOLD}") if may_hold else None,
        "again": again_said(queries.call_again_of(pk)),
        "again_href": desk.url(f"?act={AGAIN}") if past and desk.refused(AGAIN) is None else None,
        "agency": {"amount": placed.amount_minor, "on": placed.placed_at.astimezone(zone()).date()} if placed else None,
        "steps": _done(steps, moved, queries.fees_of(pk), titles, fates, ladder),
        "talk": _talk(desk, ladder, known, decision, back if barred else 0, past, arranged) if past else None,
    }  # fmt: skip


class _After(NamedTuple):
    """What follows once the sum that has the lines back was paid: in words, and whether restoring costs its fee."""

    say: str | None
    costs: bool


def _after(known: queries.Known, back: int, ladder: Ladder, today: date, arranged: arrangements.Hold | None) -> _After:
    paid = rules.after_paying(known.facts, back)
    costs = rules.costs_restoring(ladder, paid, rules.decide(ladder, paid, known.climb, today))
    ahead = rules.after_paying(queries.ahead(known, today), back)
    stays = sum(d.open for d in ahead.debts if d.due_on < today)
    if not stays:
        return _After(None, costs)
    if arranged is not None:
        return _After(f"{shown(back)} has the lines back and counts toward the arrangement. {shown(stays)} stays, and the lines stay on while its days are kept.", costs)
    barring = rules.next_bar(ladder, ahead, known.climb, today)
    then = f"Unless more is paid by {day(barring[1])}: {ladder.rungs[barring[0]].title.lower()}" if barring else "No line is barred for that"
    return _After(f"{shown(back)} has the lines back, and {shown(stays)} stays past due. {then}. {shown(back + stays)} is all of it.", costs)


def _no_next(decision: rules.Decision, past: int, arranged: arrangements.Hold | None) -> str:
    """Why nothing comes next."""
    if not past:
        return "Nothing: nothing is past due."
    if decision.free.index < 0:
        return "Nothing: what is past due is too little to be collected."
    if decision.target.index >= 0:
        return "Nothing further: the ladder ends here, or what is left of it is held."
    if arranged is not None:
        return f"Nothing: all of it is held, {arranged.number} until {day(arranged.until)}. It is collected from the next day on if a part does not come."
    return "Nothing: all of it is held."


def _holds(ladder: Ladder, kind: str, barred: bool) -> str:
    """What a hold does, and that it gives no line back, where one is barred."""
    found = ladder.holds.get(kind)
    if found is None:
        return ""
    return f"{found.say} Lines that are barred stay so." if barred and not found.restores else found.say


def _arranged(hold: arrangements.Hold, ladder: Ladder, barred: bool) -> dict[str, Any]:
    """The arrangement that runs, among what is held. It is changed and cancelled where it stands, on the contact's page."""
    kind = ladder.holds.get(ARRANGEMENT)
    return {
        "number": hold.number, "title": kind.title if kind else "Payment arrangement", "say": _holds(ladder, ARRANGEMENT, barred), "amount": hold.amount_minor,
        "bill": None, "since": hold.since, "until": hold.until, "review": None, "late": False, "href": None,
    }  # fmt: skip


def again_said(again: rules.Again | None) -> str | None:
    """When somebody is to be called again, in words."""
    if again is None:
        return None
    return f"{day(again.on)}{f' from {hour_said(again.start)} on, their time' if again.start else ''}{', as they asked' if again.asked else ''}"


def said(ladder: Ladder, what: str) -> str:
    """A sentence to say aloud, in this carrier's name."""
    return ladder.talk.words[what].format(carrier=settings.CARRIER_NAME)


def _talk(desk: ContactPage, ladder: Ladder, known: queries.Known, decision: rules.Decision, back: int, past: int, arranged: arrangements.Hold | None) -> dict[str, Any]:
    """What to say aloud: how to begin, what there is to say in this case, and what if it is hard. While an arrangement holds all of it, there is nothing to say."""
    today, account = desk.today, desk.account_id
    words = {"open": said(ladder, opening(desk, ladder)), "points": [], "hardship": said(ladder, "hardship")}
    since = decision.free.since
    if since is None or (arranged is not None and decision.target.index < 0):
        return words
    barring = None if back else rules.next_bar(ladder, queries.ahead(known, today), known.climb, today, ladder.talk.near_days + 1)
    gone = arrangements.history([account], today - timedelta(days=ladder.history_days)).get(account)
    sent_back = ledger.came_back([account], start_of_day(today - timedelta(days=ladder.history_days), settings.CARRIER_ZONE), desk.at)
    case = talking.Case(
        owed=past, since=since, opened_on=known.facts.opened_on, climbs=known.facts.climbs, broken_on=gone.broken_on[-1] if gone and gone.broken_on else None,
        returned_on=civil_date(sent_back[-1][2], settings.CARRIER_ZONE) if sent_back else None, holds=frozenset(h.kind for h in known.facts.holds), barred=back > 0, back=back,
        bar_on=barring[1] if barring else None,
    )  # fmt: skip
    filled = {
        "carrier": settings.CARRIER_NAME, "amount": shown(past), "since": day(since), "years": talking.years(case.opened_on, today), "back": shown(back),
        "what": ladder.rungs[barring[0]].title.lower() if barring else "", "day": day(barring[1]) if barring else "",
    }  # fmt: skip
    return words | {"points": [point.format(**filled) for point in talking.points(ladder.talk, case, today)]}


def opening(desk: ContactPage, ladder: Ladder) -> str:
    """How to begin about money: who called in is helped with their trouble first."""
    if not desk.row.inbound:
        return "outbound"
    return "trouble" if desk.troubles and "trouble" in ladder.talk.words else "inbound"


def _why(line: Any, decision: rules.Decision, known: queries.Known, ladder: Ladder, past: int) -> dict[str, Any]:
    """Why this line is barred, in one sentence with its dates and amounts, and the rule."""
    rung = next((r for r in reversed(ladder.rungs) if r.bar and r.bar == (line.bar or "all")), None)
    since = decision.free.since
    how = "Outgoing calls, texts and data are stopped" if line.bar == "outgoing" else "It is suspended"
    owed = f"{shown(past)} is past due{f', since {day(since)}' if since else ''}" if past else "nothing is past due any more"
    reachable = ", ".join(ladder.reachable)
    return {
        "number": line.msisdn,
        "say": f"{how}{f' since {day(line.status_since)}' if line.status_since else ''}: {owed}. {reachable} can always be called.",
        "rule": f"{rung.title}: from {rung.days} days past due on {shown(rung.least)} or more" if rung else "Not paid",
        "cite": rung.cite if rung else "",
    }


def _done(
    steps: list[queries.Step], moved: list[orders.Order], fees: list[queries.LateFee], titles: dict[str, Any], fates: dict[int, journal.Fate], ladder: Ladder
) -> list[dict[str, Any]]:
    """Everything that was done, newest first: what rungs did, late fees, and lines that came back or came up a rung."""
    levies = ladder.levies()
    rows = [(s.at, _step(s, titles, fates)) for s in steps]
    rows += [
        (f.at, {"on": f.at.astimezone(zone()).date(), "what": "Late fee", "how": f"{shown(f.amount_minor)} before tax, for the bill of {day(f.bill.issued_on)}", "owed": None, "cite": levies.cite if levies else ""})
        for f in fees
    ]  # fmt: skip
    stood: dict[int, str] = {}
    for order in sorted((o for o in moved if o.reason == rules.NON_PAYMENT and o.kind in (Kind.SUSPEND, Kind.RESTORE)), key=lambda o: (o.asked_at, o.pk)):
        bar, before = "" if order.kind == Kind.RESTORE else order.bar or "all", stood.get(order.line_id)
        if order.kind == Kind.RESTORE or (before is not None and BARS.index(bar) < BARS.index(before)):
            rows.append((order.settled_at or order.asked_at, _came_back(order, bar, ladder)))
        if order.state != State.REFUSED:
            stood[order.line_id] = bar
    return [row for _, row in sorted(rows, key=lambda r: r[0], reverse=True)]


def _came_back(order: orders.Order, bar: str, ladder: Ladder) -> dict[str, Any]:
    at = order.settled_at or order.asked_at
    rung = next((r for r in ladder.rungs if r.bar and r.bar == bar), None)
    how = {State.DONE.value: f"at {clock(at)}", State.REFUSED.value: f"refused by the network: {order.network_says}"}.get(order.state, "with the network")
    fee = f"; {shown(order.price_minor)} before tax, on the next bill" if order.price_minor and order.state != State.REFUSED else ""
    up = f"came up to: {rung.title.lower()}" if rung else "back"
    return {"on": at.astimezone(zone()).date(), "what": f"Line ending in {phone.last_four(order.line.msisdn)} {up}", "how": f"{how}{fee}", "owed": None, "cite": ""}


def _step(step: Any, titles: dict[str, Any], fates: dict[int, journal.Fate]) -> dict[str, Any]:
    rung, fate = titles.get(step.rung), fates.get(step.message or 0)
    what = {"notice": rung.title if rung else "Notice", "suspend": "Lines barred", "disconnect": "Lines disconnected", "final_bill": "The next bill is the last",
            "place": "Placed with an agency", "write_off": "Written off"}.get(step.effect, step.effect)  # fmt: skip
    how = ""
    if step.effect == "notice":
        how = f"by {({'sms': 'text', 'email': 'e-mail'}).get(step.what, step.what)}"
        what += unsent(fate)
        if fate is not None:
            how += f", sent {day(fate.sent_at.astimezone(zone()).date())}" if fate.sent_at else f": {fate.why or _why_unsent(fate)}"
    return {"on": step.at.astimezone(zone()).date(), "what": what, "how": how or step.what, "owed": step.owed_minor, "cite": rung.cite if rung else ""}


def unsent(fate: journal.Fate | None) -> str:
    """What to add to a notice that did not go: it is not done before it was really sent, and the ladder waits for it."""
    if fate is None or fate.sent_at:
        return ""
    return ", not sent yet" if fate.state == "queued" and not lacking("MESSENGER") else ", not sent"


def _why_unsent(fate: journal.Fate) -> str:
    if fate.state != "queued":
        return "it could not be handed over"
    return "no messaging provider is set up at this desk" if lacking("MESSENGER") else "it is about to go"


# ---------------------------------------------------------------- the forms


def _hold_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    rulebook = desk.scene.rulebook
    known = [k for k in rulebook.ladder.holds.values() if k.placed] if "ladder.toml" in rulebook.files else []
    chosen = next((k for k in known if k.code == given.get("kind")), None)
    bills = [(b.id, f"{b.number} of {day(b.issued_on)}, {shown(b.open_minor)} open") for b in desk.bills if b.open_minor > 0]
    fields = [
        forms.hidden("account", desk.account_id),
        forms.field("kind", "Why", "choice", given.get("kind"), choices=[(k.code, k.title) for k in known], reload={"href": desk.url(f"?act={HOLD}"), "with": "kind"}),
    ]
    if chosen is not None and chosen.part:
        fields += [
            forms.field("bill", "Of which bill", "choice", given.get("bill") or "", required=False, choices=[("", "Any, the oldest first"), *bills]),
            forms.field("amount", "How much of it", "money", given.get("amount"), required=False, hint="Leave it empty to hold all of the bill, or of the account."),
        ]
    if chosen is None or chosen.ends:
        fields.append(forms.field("until", "Until the end of", "date", given.get("until"), required=chosen is not None, hint=_room(desk, chosen or next((k for k in known if k.ends), None))))
    fields.append(forms.field("words", "In a few words", "text", given.get("words"), maxlength=400))
    return forms.form(
        HOLD, "Hold what is collected", "Hold it", desk.do_url(HOLD), fields, cancel_href=address(desk.row.reference),
        consequence=f"{chosen.say} {'Lines that were barred come back.' if chosen.restores else 'Lines stay as they are.'}" if chosen
        else "Nothing is sent, charged or cut for what is held. It stands until its day, or until it is lifted.",
    )  # fmt: skip


def again_fields(rulebook: Rulebook, account_id: int, today: date, given: Any, asks: bool) -> list[dict[str, Any]]:
    policy = rulebook.outbound
    hours = [("", "any hour that is right"), *((f"{h:02}:00", f"from {hour_said(time(h))} on") for h in range(policy.first.hour, policy.last.hour))]
    last = today + timedelta(days=rulebook.ladder.again_days)
    return [
        forms.hidden("account", account_id),
        forms.field("on", "On", "date", given.get("on"), hint=f"From today to {day(last)}. Nobody calls before."),
        forms.field("start", "Time where they live", "choice", given.get("start") or "", required=False, choices=hours, select=True),
        *([forms.field("asked", "They asked to be called then", "checkbox", given.get("asked") in ("on", True), required=False,
                       hint="Within seven days of it the caps of the week leave this call out; the hours hold.")] if asks else []),
        forms.field("words", "In a few words", "text", given.get("words"), required=False, maxlength=400),
    ]  # fmt: skip


def _again_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    return forms.form(
        AGAIN, "Call again on a day", "Set the day", desk.do_url(AGAIN), again_fields(desk.scene.rulebook, desk.account_id, desk.today, given, True),
        cancel_href=address(desk.row.reference), consequence="On that day they stand first on the past-due queue. Until then nobody calls them about this.",
        say_aloud="When may I call you about this again?",
    )  # fmt: skip


def _room(desk: ContactPage, kind: HoldKind | None) -> str | None:
    """Until when this role may hold by itself."""
    if kind is None:
        return None
    days = min(hold_room(desk.scene.rulebook, desk.who.role), kind.days if kind.days is not None else 10_000)
    most = f"Up to {day(desk.today + timedelta(days=days))} by yourself ({days} days)" if days else "Not by yourself"
    return f"{most}; longer is asked of a lead." if days < hold_room(desk.scene.rulebook, "lead") else f"{most}."


def _release_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    ladder = desk.scene.rulebook.ladder
    rows = queries.in_force([desk.account_id], desk.today)
    return forms.form(
        RELEASE, "Lift a hold", "Lift it", desk.do_url(RELEASE),
        [
            forms.hidden("account", desk.account_id),
            forms.field("hold", "Which", "choice", given.get("hold") or (rows[0].reference if len(rows) == 1 else None),
                        choices=[(h.reference, f"{h.reference}, {ladder.holds[h.kind].title if h.kind in ladder.holds else h.kind}") for h in rows],
                        hint=None if rows else "Nothing is held on this account."),
            forms.field("words", "Why", "text", given.get("words"), maxlength=400),
        ],
        cancel_href=address(desk.row.reference), consequence="The ladder goes on from here, with its notices first.",
    )  # fmt: skip


FORMS = {HOLD: _hold_form, RELEASE: _release_form, AGAIN: _again_form}
