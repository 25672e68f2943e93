"""The money page: an account's bills, payments and credits as a book that can be followed entry by entry, what pays what,
how old what is open is, the last thirteen months as a picture; and the forms of the acts that start here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from careline.acts.look import look
from careline.domain.billing import queries as billing
from careline.domain.billing.rules import part as part_of
from careline.domain.ledger import queries as ledger
from careline.domain.ledger import rules
from careline.doors.web import forms, oops, papers
from careline.doors.web.account import ContactPage, opened
from careline.doors.web.render import day, page, zone
from careline.foundation import phone
from careline.foundation.calendar import add_months
from careline.foundation.money import parsed, shown
from careline.foundation.tariff import Promotion

PLACE, WRITE_OFF, RECOVER, REFUND = "ledger.allocate", "ledger.write_off", "ledger.recover", "payments.refund"
AUTOPAY = "payments.switch_autopay"
STATEMENT, SEND_STATEMENT = "ledger.print_statement", "ledger.send_statement"
PROMOTE, END = "billing.add_promotion", "billing.end_agreed"
EXTRA, SELL, PAY_OFF = "billing.add_extra", "billing.sell_in_instalments", "billing.pay_off"
KINDS: dict[str, dict[str, str]] = {
    PLACE: {"account": "id", "entry": "id", "bill": "id", "amount": "money", "from_bill": "id"},
    WRITE_OFF: {"account": "id", "amount": "money", "reason": "text", "words": "text"},
    RECOVER: {"account": "id", "write_off": "text", "amount": "money", "words": "text"},
    REFUND: {"account": "id", "payment": "text", "amount": "money", "words": "text"},
    AUTOPAY: {"account": "id", "on": "checkbox", "words": "text"},
    STATEMENT: {"account": "id", "first": "text", "last": "text"},
    SEND_STATEMENT: {"account": "id", "first": "text", "last": "text"},
    PROMOTE: {"account": "id", "promotion": "text", "line": "id", "words": "text"},
    END: {"account": "id", "agreed": "text", "words": "text"},
    EXTRA: {"account": "id", "extra_code": "text", "line": "id", "consent": "whole", "words": "text"},
    SELL: {"account": "id", "equipment": "text", "count": "whole", "line": "id", "down": "money", "consent": "whole", "words": "text"},
    PAY_OFF: {"account": "id", "instalments": "text", "consent": "whole", "words": "text"},
}
ON_PAGE = 500  # entries of a statement that are shown at once
PERIODS = (("3 months", 3), ("6 months", 6), ("13 months", 13), ("Everything", 0))


def address(reference: str) -> str:
    return reverse("money", args=[reference])


# ---------------------------------------------------------------- the page


@require_GET
def show(request: HttpRequest, reference: str) -> HttpResponse:
    desk = opened(request, reference, with_account=True)
    looked = look("view.money", who=desk.who, scene=desk.scene)
    if looked.refusal is not None:
        return oops.refused(request, looked.refusal, [{"label": "Back to the contact", "href": desk.url()}])
    first, last, fault = period(request.GET, desk)
    skip = (min(forms.whole(request.GET.get("page")) or 1, 10**6) - 1) * ON_PAGE
    return page(request, "money.html", {"money": shape(desk, first, last, skip), "fault": fault}, 422 if fault else 200)


def period(asked: Mapping[str, Any], desk: ContactPage) -> tuple[date, date, str | None]:
    """The days that the statement covers: as asked, else the last three months; and what is wrong with what was asked."""
    first, last = add_months(desk.today, -3), desk.today
    try:
        if asked.get("from"):
            first = date.fromisoformat(asked["from"])
        elif asked.get("months") == "0":
            first = desk.row.account.opened_on
        elif str(asked.get("months", "")) in ("3", "6", "13"):
            first = add_months(desk.today, -int(asked["months"]))
        if asked.get("to"):
            last = date.fromisoformat(asked["to"])
    except ValueError:
        return add_months(desk.today, -3), desk.today, "Give each day as a date."
    return (first, last, None) if first <= last else (last, first, "The first day is after the last; they changed places.")


def shape(desk: ContactPage, first: date, last: date, skip: int = 0) -> dict[str, Any]:
    pk, standing = desk.account_id, desk.standing
    items = ledger.open_items(desk.bills)
    book = ledger.extract(pk, first, last, ON_PAGE, skip)
    turn = f"{address(desk.row.reference)}?from={first}&to={last}&page="
    paid = ledger.applied(pk, [r.entry.pk for r in book.rows], [b.id for b in desk.all_bills])
    by_entry: dict[int, list[ledger.Applied]] = defaultdict(list)
    by_bill: dict[int, list[ledger.Applied]] = defaultdict(list)
    for a in paid:
        by_entry[a.entry_id].append(a)
        if a.bill_id is not None:
            by_bill[a.bill_id].append(a)
    loose = ledger.open_of_many([pk]).get(pk) or ledger.Open()
    free = dict(loose.credits)
    replaced = ledger.replaced(pk)
    may = {code: desk.refused(code) is None for code in (*KINDS, "credits.reverse")}
    back = {p.number for p, _ in ledger.refundable(pk)} if may[REFUND] else set()
    given_up = {e.pk: left for e, left in ledger.written_off_of(pk)}
    waiting = ledger.unbilled_of(pk)
    beside = sum(minor for _, minor in loose.debits)
    return {
        "reference": desk.row.account.reference,
        "name": desk.row.account.customer.name,
        "back_href": desk.url("?section=money"),
        "here": address(desk.row.reference),
        "facts": [
            ("Owed now" if standing.balance_minor >= 0 else "In credit", abs(standing.balance_minor), "bad" if standing.past_due_minor else None, None),
            ("Past due", standing.past_due_minor, "bad" if standing.past_due_minor else None, f"since {day(standing.past_due_since)}" if standing.past_due_since else None),
            ("Not applied to any bill", standing.unapplied_minor, None, None),
            ("Waits for the next bill", sum(c.amount_minor for c in waiting), None, "before tax" if waiting else None),
            *([("Owed beside the bills", beside, "bad", "given back to the customer, and the payment came back too")] if beside else []),
            *([("Given up", sum(given_up.values()), "quiet", "written off; what comes recovers it")] if given_up else []),
        ],
        "aging": _aging(items, desk.today),
        "chart": chart(ledger.months(pk, desk.today), desk),
        "first": first.isoformat(),
        "last": last.isoformat(),
        "presets": [{"label": label, "href": f"{address(desk.row.reference)}?months={n}"} for label, n in PERIODS],
        "print": forms.button("As PDF", desk.do_url(STATEMENT), account=pk, first=first.isoformat(), last=last.isoformat()) if may[STATEMENT] else None,
        "send_href": desk.url(f"?act={SEND_STATEMENT}&first={first}&last={last}") if may[SEND_STATEMENT] else None,
        "papers": [papers.shape(desk.row.reference, s, f"Statement, {day(s.first)} to {day(s.last)}" + (f", part {s.part[0]} of {s.part[1]}" if s.part[1] > 1 else "")) for s in ledger.statements_of(pk)],
        "opening": book.opening_minor,
        "closing": book.closing_minor,
        "skipped": book.skipped,
        "earlier_href": f"{turn}{skip // ON_PAGE}#book-title" if skip else None,
        "later_href": f"{turn}{skip // ON_PAGE + 2}#book-title" if book.more else None,
        "rows": [_entry(desk, r, by_entry[r.entry.pk], free.get(r.entry.pk, 0), given_up.get(r.entry.pk, 0), back, may) | {"replaced": r.entry.bill_id in replaced and r.entry.kind == rules.EntryKind.BILL}
                 for r in book.rows],
        "bills": [_bill(desk, b, by_bill[b.id], may) for b in desk.all_bills],
        "monthly": [
            {"label": a.label, "amount": _monthly(a), "since": a.starts_on, "until": a.ends_on, "line": phone.last_four(a.line.msisdn) if a.line else None,
             "end_href": desk.url(f"?act={END}&agreed={a.reference}") if may[END] else None}
            for a in billing.agreed_of(pk, desk.today)
        ],
        "instalments": [
            {"label": o.row.label, "amount": o.next_minor, "nth": o.billed + 1, "count": o.row.count, "left": o.left_minor, "line": phone.last_four(o.row.line.msisdn) if o.row.line else None,
             "pay_off_href": desk.url(f"?act={PAY_OFF}&instalments={o.row.reference}") if may[PAY_OFF] else None}
            for o in billing.owed_in_parts(pk, desk.today)
        ],
        "add": [{"label": label, "href": desk.url(f"?act={code}")} for code, label in ((PROMOTE, "add a promotion"), (EXTRA, "add an extra"), (SELL, "sell in instalments")) if may[code]],
        "write_off_href": desk.url(f"?act={WRITE_OFF}") if may[WRITE_OFF] and any(i.open_minor > 0 for i in items) else None,
    }


def _aging(items: list[rules.OpenItem], today: date) -> list[dict[str, Any]]:
    buckets = rules.aging(items, today)
    whole = sum(b.open_minor for b in buckets)
    names = ["Not yet due" if not b.first and b.last == 0 else f"{b.first} to {b.last} days" if b.last else f"More than {b.first - 1} days" for b in buckets]
    states = [None, "risk", "risk", "bad", "bad"]
    return [
        {"label": name, "amount": b.open_minor, "share": round(100 * b.open_minor / whole) if whole else 0, "state": state if b.open_minor else None}
        for name, b, state in zip(names, buckets, states, strict=True)
    ]


def _entry(
    desk: ContactPage, row: ledger.Row, paid: list[ledger.Applied], free: int, given_up: int, back: set[str], may: Mapping[str, bool]
) -> dict[str, Any]:
    """One entry of the book: what it is, what it pays, and what can be done with it here."""
    entry = row.entry
    pays = [
        {
            "what": f"bill {a.bill}" if a.bill_id else "went back to the customer", "amount": a.amount_minor,
            "move_href": desk.url(f"?act={PLACE}&entry={entry.pk}&from_bill={a.bill_id}")
            if may[PLACE] and a.bill_id and entry.kind != rules.EntryKind.WRITE_OFF and any(b.open_minor > 0 and b.id != a.bill_id for b in desk.bills) else None,
        }
        for a in paid
    ]  # fmt: skip
    moves = []
    if free and entry.kind != rules.EntryKind.WRITE_OFF and may[PLACE] and any(b.open_minor > 0 for b in desk.bills):
        moves.append({"label": "place it", "href": desk.url(f"?act={PLACE}&entry={entry.pk}")})
    if entry.kind == rules.EntryKind.PAYMENT and entry.reference in back:
        moves.append({"label": "give back", "href": desk.url(f"?act={REFUND}&payment={entry.reference}")})
    if entry.kind == rules.EntryKind.CREDIT and may["credits.reverse"]:
        moves.append({"label": "take back", "href": desk.url(f"?act=credits.reverse&credit={entry.reference}")})
    if given_up and may[RECOVER]:
        moves.append({"label": "take back", "href": desk.url(f"?act={RECOVER}&write_off={entry.reference}")})
    return {
        "day": entry.day, "label": entry.label, "reference": entry.reference, "kind": entry.kind,
        "debit": entry.amount_minor if entry.amount_minor > 0 else None, "credit": -entry.amount_minor if entry.amount_minor <= 0 else None,
        "balance": row.balance_minor, "pays": pays, "free": free, "moves": moves,
        "href": desk.url(f"?section=money&bill={entry.bill_id}") if entry.bill_id and entry.kind == rules.EntryKind.BILL else None,
    }  # fmt: skip


def _bill(desk: ContactPage, bill: ledger.OpenBill, paid: list[ledger.Applied], may: Mapping[str, bool]) -> dict[str, Any]:
    late = bill.open_minor > 0 and bill.due_on < desk.today
    return {
        "number": bill.number, "on": bill.issued_on, "due": bill.due_on, "total": bill.total_minor, "open": bill.open_minor,
        "state": "bad" if late else None, "status": "past due" if late else "paid" if bill.open_minor <= 0 else "open",
        "paid": [{"what": f"{a.label} {a.reference}" if a.reference not in a.label else a.label, "amount": a.amount_minor} for a in paid],
        "href": desk.url(f"?section=money&bill={bill.id}"),
        "explain_href": desk.url(f"?section=money&explain={bill.id}") if bill != desk.all_bills[-1] else None,
    }  # fmt: skip


# ---------------------------------------------------------------- the picture

WIDE, HIGH, FOOT, HEAD = 720, 190, 26, 30


@dataclass(frozen=True)
class _Bar:
    x: float
    width: float
    top: float
    height: float


def chart(months: list[ledger.Month], desk: ContactPage) -> dict[str, Any] | None:
    """Bars of the last bills with what changed marked on them, as numbers for an SVG of 720 by 190; None without two bills."""
    if len(months) < 2:
        return None
    most = max(max(m.bill.total_minor for m in months), 1)
    least = min(min(m.bill.total_minor for m in months), 0)
    step = WIDE / len(months)
    scale = (HIGH - FOOT - HEAD) / (most - least)
    zero = HEAD + most * scale
    opened = {b.id: b.open_minor for b in desk.bills}
    bars, marks = [], []
    for n, m in enumerate(months):
        total = m.bill.total_minor
        still = min(max(opened.get(m.bill.pk, 0), 0), max(total, 0))
        top, bottom = min(zero, zero - total * scale), max(zero, zero - total * scale)
        x = round(n * step + step * 0.19, 1)
        bar = {
            "x": x, "width": round(step * 0.62, 1), "top": round(top, 1), "height": round(max(bottom - top, 1), 1), "middle": round(n * step + step / 2, 1),
            "open": round(still * scale, 1) if still and total > 0 else None, "late": m.bill.due_on < desk.today, "label": f"{m.bill.issued_on:%b}",
            "year": m.bill.issued_on.year if n == 0 or m.bill.issued_on.year != months[n - 1].bill.issued_on.year else None,
            "amount": shown(total), "mark": None, "href": desk.url(f"?section=money&explain={m.bill.pk}") if n else desk.url(f"?section=money&bill={m.bill.pk}"),
            "say": f"{m.bill.issued_on:%B %Y}: {shown(total)}" + (f", {shown(still)} open" if still else "") + (f"; {_changed(m)}" if m.change else ""),
        }  # fmt: skip
        if m.change is not None:
            bar["mark"] = len(marks) + 1
            marks.append({"n": bar["mark"], "on": m.bill.issued_on, "title": _changed(m), "amount": m.change_minor, "href": bar["href"]})
        bars.append(bar)
    legend = [(late, words) for late, words in ((False, "open, not yet due"), (True, "open and past due")) if any(b["open"] and b["late"] is late for b in bars)]
    return {"wide": WIDE, "high": HIGH, "zero": round(zero, 1), "foot": HIGH - 8, "bars": bars, "marks": marks, "legend": legend}


def _changed(month: ledger.Month) -> str:
    """The largest cause, and how many there are beside it: the amount is of them all."""
    title = month.change.title if month.change else ""
    return f"{title}, and {month.others} more" if month.others else title


# ---------------------------------------------------------------- the forms


def _place_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    entry_id, source = forms.whole(given.get("entry")), forms.whole(given.get("from_bill"))
    entry = ledger.entry_of(desk.account_id, entry_id) if entry_id else None
    loose = ledger.open_of_many([desk.account_id]).get(desk.account_id) or ledger.Open()
    held = {bill.pk: minor for bill, minor in ledger.paid_by(entry_id)} if entry else {}
    there = held.get(source, 0) if source else dict(loose.credits).get(entry_id or 0, 0)
    bills = [(b.id, f"{b.number} of {day(b.issued_on)}, {shown(b.open_minor)} open") for b in desk.bills if b.open_minor > 0 and b.id != source]
    number = ledger.numbers_of(desk.account_id, (source,)).get(source, "") if source else ""
    what = f"{entry.reference}, {shown(there)} " + (f"that pays bill {number}" if source else "that no bill has") if entry else ""
    first = next((b.open_minor for b in desk.bills if bills and b.id == bills[-1][0]), 0)
    return forms.form(
        PLACE, "Say what this money pays" if not source else "Move this money to another bill", "Place it", desk.do_url(PLACE),
        [
            forms.hidden("account", desk.account_id),
            forms.hidden("entry", entry_id or ""),
            forms.hidden("from_bill", source or ""),
            forms.field("bill", "Which bill it pays", "choice", given.get("bill") or (bills[-1][0] if bills else None), choices=bills,
                        hint=what if bills and entry else "Nothing else is open on this account." if entry else "Choose a payment or credit on the money page first."),
            forms.field("amount", "How much", "money", given.get("amount") or (forms.dollars(min(there, first)) if min(there, first) > 0 else None)),
        ],
        cancel_href=address(desk.row.reference),
        consequence="No money moves. What is past due follows from what pays what; what is open after that is paid by other money that waits.",
    )  # fmt: skip


def _write_off_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    known = desk.scene.rulebook.reasons["write_off"]
    whole = sum(b.open_minor for b in desk.bills if b.open_minor > 0)
    return forms.form(
        WRITE_OFF, "Write off", "Write it off", desk.do_url(WRITE_OFF),
        [
            forms.hidden("account", desk.account_id),
            forms.field("amount", "How much of what is open", "money", given.get("amount") or (forms.dollars(whole) if whole else None), hint=f"{shown(whole)} is open."),
            forms.field("reason", "Why", "choice", given.get("reason"), choices=[(code, row["title"]) for code, row in known.items()]),
            forms.field("words", "In a few words", "text", given.get("words"), required=False, maxlength=400),
        ],
        cancel_href=address(desk.row.reference),
        consequence="It is no gift: the debt stays, and money that comes later recovers it. The oldest bills are closed first.",
    )  # fmt: skip


def _recover_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    rows = ledger.written_off_of(desk.account_id)
    chosen = next((left for e, left in rows if e.reference == given.get("write_off")), rows[0][1] if rows else 0)
    return forms.form(
        RECOVER, "Take a write-off back", "Take it back", desk.do_url(RECOVER),
        [
            forms.hidden("account", desk.account_id),
            forms.field("write_off", "Which", "choice", given.get("write_off"), choices=[(e.reference, f"{e.reference} of {day(e.day)}, {shown(left)} stands") for e, left in rows],
                        hint=None if rows else "Nothing was written off on this account."),
            forms.field("amount", "How much", "money", given.get("amount") or (forms.dollars(chosen) if chosen else None)),
            forms.field("words", "Why", "text", given.get("words"), maxlength=400),
        ],
        cancel_href=address(desk.row.reference), consequence="So much is owed again, and its bills are open and past due again.",
    )  # fmt: skip


def _refund_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    rows = ledger.refundable(desk.account_id)
    chosen = next((room for p, room in rows if p.number == given.get("payment")), rows[0][1] if rows else 0)
    return forms.form(
        REFUND, "Give money back", "Give it back", desk.do_url(REFUND),
        [
            forms.hidden("account", desk.account_id),
            forms.field("payment", "Which payment", "choice", given.get("payment") or (rows[0][0].number if rows else None),
                        choices=[(p.number, f"{shown(p.amount_minor)} of {day(p.received_at.astimezone(zone()).date())}, {p.method}: {shown(room)} can go back") for p, room in rows],
                        hint=None if rows else "Nothing can go back: the account is not in credit, or what came did not come through our provider."),
            forms.field("amount", "How much", "money", given.get("amount") or (forms.dollars(chosen) if chosen else None)),
            forms.field("words", "Why", "text", given.get("words"), maxlength=400),
        ],
        cancel_href=address(desk.row.reference), consequence="It goes back the way it came and no other way; the customer gets a text.",
        say_aloud="I am giving that back to the card it came from. Your bank needs some days to show it.",
    )  # fmt: skip


def _autopay_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    on, card = desk.row.account.autopay, desk.row.card
    return forms.form(
        AUTOPAY, "Switch autopay off" if on else "Switch autopay on", "Switch it off" if on else "Switch it on", desk.do_url(AUTOPAY),
        [
            forms.hidden("account", desk.account_id),
            forms.hidden("on", "" if on else "on"),
            forms.field("words", "Why", "text", given.get("words"), maxlength=400),
        ],
        cancel_href=address(desk.row.reference),
        consequence="Nothing is taken by itself any more; the customer pays each bill. They get a text." if on
        else "Each bill is taken on its due day, and again after a decline. It is sent to the number of record." if card
        else "There is no saved method on this account that could be charged.",
        say_aloud="Then nothing is charged by itself any more. Please pay each bill by its due day." if on
        else f"Each bill is charged to the card ending in {card} on its due day, until you tell us to stop. Do you agree?" if card else None,
    )  # fmt: skip


def _worth(offer: Promotion) -> str:
    return f"{shown(offer.amount)} off" if offer.amount else f"{offer.ppm / 10_000:g} % off the plan"


def _promotion_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    rulebook = desk.scene.rulebook
    known = rulebook.billing.promotions if "billing.toml" in rulebook.files else {}
    chosen = known.get(str(given.get("promotion") or ""))
    lines = [n for n in desk.lines if n.status in ("active", "suspended")]
    much = _worth(chosen) + " on every bill" if chosen else ""
    return forms.form(
        PROMOTE, "Add a promotion", "Add it", desk.do_url(PROMOTE),
        [
            forms.hidden("account", desk.account_id),
            forms.field("promotion", "Which", "choice", given.get("promotion"), choices=[(p.code, f"{p.title}: {_worth(p)}, {p.months} months") for p in known.values()],
                        hint=None if known else "The rulebook has no promotions (billing.toml).", reload={"href": desk.url(f"?act={PROMOTE}"), "with": "promotion,line"}),
            forms.field("line", "On", "choice", given.get("line") or "", required=False, choices=[("", "The account"), *((n.pk, phone.shown(n.msisdn)) for n in lines)]),
            forms.field("words", "In a few words, why", "text", given.get("words"), required=False, maxlength=400),
        ],
        cancel_href=desk.url(),
        consequence=f"{much} for {chosen.months} months, from the next one. What was charged without it is credited from the bill." if chosen
        else "It counts from the next bill on. What was charged without it is credited from the bill.",
        say_aloud=f"You have our {chosen.title} for the next {chosen.months} months: {much}." if chosen else None,
    )  # fmt: skip


def _living(desk: ContactPage) -> list[tuple[Any, str]]:
    return [(n.pk, f"{phone.shown(n.msisdn)}, {n.plan.name}") for n in desk.lines if n.status in ("active", "suspended")]


def _extra_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    rulebook = desk.scene.rulebook
    known = rulebook.billing.extras if "billing.toml" in rulebook.files else {}
    chosen, lines = known.get(str(given.get("extra_code") or "")), _living(desk)
    line = given.get("line") or (lines[0][0] if len(lines) == 1 else "")
    return forms.form(
        EXTRA, "Add an extra", "Add it", desk.do_url(EXTRA),
        [
            forms.hidden("account", desk.account_id),
            forms.field("extra_code", "Which", "choice", chosen.code if chosen else None, choices=[(e.code, f"{e.title}: {shown(e.amount)} a month") for e in known.values()],
                        hint=None if known else "The rulebook has no extras (billing.toml).", reload={"href": desk.url(f"?act={EXTRA}"), "with": "extra_code,line,words"}),
            *([forms.field("line", "For", "choice", line, choices=lines if len(lines) == 1 else [("", "Choose"), *lines])] if chosen and chosen.per == "line" else []),
            *([forms.consent(chosen.amount, given, "a month plus tax")] if chosen else []),
            forms.field("words", "In a few words, why", "text", given.get("words"), required=False, maxlength=400),
        ],
        cancel_href=address(desk.row.reference),
        consequence="It comes with every bill from the next one on, until it is ended." if chosen else "Choose one: what it costs is said before anything is added.",
        say_aloud=f"{chosen.title} costs {shown(chosen.amount)} a month plus tax, from your next bill on, until you tell us to end it. Shall I add it?" if chosen else None,
    )  # fmt: skip


def _sell_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    rulebook = desk.scene.rulebook
    known = rulebook.billing.equipment if "billing.toml" in rulebook.files else {}
    item, lines = known.get(str(given.get("equipment") or "")), _living(desk)
    count = next((n for n in item.counts if str(n) == str(given.get("count") or "")), item.counts[-1]) if item else 0
    down = _typed_minor(given.get("down"), item.down if item else 0)
    fits = item is not None and item.price - down >= count
    each, last = (part_of(item.price - down, count, n) for n in (1, count)) if item and fits else (0, 0)
    paid = f"{shown(down)} of it comes with your next bill. The rest is" if down else "It is paid in"
    ends = f", the last {shown(last)}" if last != each else ""
    return forms.form(
        SELL, "Sell in instalments", "Sell it", desk.do_url(SELL),
        [
            forms.hidden("account", desk.account_id),
            forms.field("equipment", "What", "choice", item.code if item else None, choices=[(e.code, f"{e.title}: {shown(e.price)}") for e in known.values()],
                        hint=None if known else "The rulebook has no equipment (billing.toml).", reload={"href": desk.url(f"?act={SELL}"), "with": "equipment,count,line,down,words"}),
            *([
                forms.field("count", "In how many parts", "choice", count, choices=[(n, f"{n} instalments of {shown(part_of(item.price - down, n, 1))}") for n in item.counts if item.price - down >= n],
                            reload={"href": desk.url(f"?act={SELL}"), "with": "equipment,count,line,down,words"}),
                forms.field("down", "Paid down", "money", forms.dollars(down) if down else given.get("down"), required=False, hint=f"At least {shown(item.down)}, with the next bill." if item.down else "With the next bill.",
                            reload={"href": desk.url(f"?act={SELL}"), "with": "equipment,count,line,down,words"}),
                forms.field("line", "For", "choice", given.get("line") or (lines[0][0] if len(lines) == 1 else ""), required=False, choices=[("", "The account"), *lines]),
                *([forms.consent(each, given, "a month before tax")] if fits else []),
            ] if item else []),
            forms.field("words", "In a few words", "text", given.get("words"), required=False, maxlength=400),
        ],
        cancel_href=address(desk.row.reference),
        consequence=f"{count} instalments of {shown(each)}{ends}, one with every bill from the next one on." if fits else "Choose one: its price and parts are said before anything is sold.",
        say_aloud=f"The {item.title} costs {shown(item.price)} before tax. {paid} {count} parts of {shown(each)}{ends}, one on each bill, with no interest. Do you agree?" if item and fits else None,
    )  # fmt: skip


def _typed_minor(text: Any, least: int) -> int:
    """What was typed as an amount, else the least: the form shows what it comes to, and the act says what is wrong with it."""
    try:
        return max(parsed(str(text or "").strip()), 0)
    except ValueError:
        return least


def _pay_off_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    rows = billing.owed_in_parts(desk.account_id, desk.today)
    chosen = next((o for o in rows if o.row.reference == given.get("instalments")), rows[0] if len(rows) == 1 else None)
    many = f"{chosen.row.count - chosen.billed} of {chosen.row.count} instalments" if chosen else ""
    return forms.form(
        PAY_OFF, "Pay instalments off", "Pay them off", desk.do_url(PAY_OFF),
        [
            forms.hidden("account", desk.account_id),
            forms.field("instalments", "Which", "choice", chosen.row.reference if chosen else None, choices=[(o.row.reference, f"{o.row.label}: {shown(o.left_minor)} left") for o in rows],
                        hint=None if rows else "This account pays nothing in instalments.", reload={"href": desk.url(f"?act={PAY_OFF}"), "with": "instalments,words"}),
            *([forms.consent(chosen.left_minor, given, "before tax")] if chosen else []),
            forms.field("words", "Why", "text", given.get("words"), maxlength=400),
        ],
        cancel_href=address(desk.row.reference),
        consequence=f"{many}, {shown(chosen.left_minor)}, come with the next bill at once, and no part after it." if chosen else "What is left comes with the next bill at once.",
        say_aloud=f"What is left of the {chosen.row.label} is {shown(chosen.left_minor)} before tax. It would all be on your next bill, and then it is yours. Shall I do that?" if chosen else None,
    )  # fmt: skip


def _end_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    rows = billing.agreed_of(desk.account_id, desk.today)
    return forms.form(
        END, "End an extra or a discount", "End it", desk.do_url(END),
        [
            forms.hidden("account", desk.account_id),
            forms.field("agreed", "Which", "choice", given.get("agreed") or (rows[0].reference if len(rows) == 1 else None), choices=[(a.reference, f"{a.label}, {_monthly(a)}") for a in rows],
                        hint=None if rows else "Nothing comes with every bill of this account."),
            forms.field("words", "Why", "text", given.get("words"), maxlength=400),
        ],
        cancel_href=address(desk.row.reference), consequence="The next bill has it no more. What was billed stays billed; if it was wrong, credit it from the bill.",
    )  # fmt: skip


def _monthly(agreed: Any) -> str:
    return f"{shown(agreed.amount_minor)} a month" if agreed.amount_minor else f"{agreed.share_ppm / 10_000:g} % off the plan"


def _send_statement_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    to = desk.row.account.customer.email
    return forms.form(
        SEND_STATEMENT, "Send a statement", "Send it", desk.do_url(SEND_STATEMENT),
        [
            forms.hidden("account", desk.account_id),
            forms.field("first", "From", "date", given.get("first") or add_months(desk.today, -3).isoformat()),
            forms.field("last", "To", "date", given.get("last") or desk.today.isoformat()),
        ],
        cancel_href=address(desk.row.reference),
        consequence=f"It goes as a PDF to {to}, the e-mail address of record, and to no other." if to else "There is no e-mail address of record: it goes by letter.",
        say_aloud="I am sending it to the e-mail address that we have of you." if to else "I am sending it by letter, to the address that we have of you.",
    )  # fmt: skip


FORMS = {SEND_STATEMENT: _send_statement_form, PROMOTE: _promotion_form, EXTRA: _extra_form, SELL: _sell_form, PAY_OFF: _pay_off_form, END: _end_form, PLACE: _place_form, WRITE_OFF: _write_off_form, RECOVER: _recover_form, REFUND: _refund_form, AUTOPAY: _autopay_form}
