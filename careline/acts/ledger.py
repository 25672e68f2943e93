"""The acts of the ledger: print and send a bill, send why it is what it is, say what pays what, give up what will not come,
take that back, and close the books."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Annotated, Any

from django.conf import settings
from pydantic import Field

from careline.acts import texts
from careline.acts.arrangements import after_money
from careline.acts.declare import ActType, Day, Done, Id, Input, Locks, Minor, Scene, ShortWords, Whole
from careline.carriers import PRINTER, need
from careline.domain.billing import queries as billing
from careline.domain.collections import queries as collections
from careline.domain.collections import rules as collection_rules
from careline.domain.customers import queries as customers
from careline.domain.journal.operations import tell
from careline.domain.ledger import operations, queries
from careline.domain.ledger.rules import estimate, explain
from careline.foundation import phone
from careline.foundation.act import Act
from careline.foundation.calendar import bill_period, civil_date
from careline.foundation.money import shown
from careline.foundation.refusal import refuse
from careline.foundation.rulebook import Rulebook

MESSAGE = 640  # four texts


class PrintExplanation(Input):
    """`against`: the earlier bill that it is compared with. Without a `bill` it is the next one against the last, and `total` what was
    said that it will be."""

    account: Id
    bill: Id | None = None
    against: Id | None = None
    total: Annotated[Whole, Field(ge=-(10**10), le=10**10)] | None = None


class SendExplanation(PrintExplanation):
    """`line`: the number that gets the text; without one it goes with the whole explanation as a PDF, by e-mail to the address of record
    or, where there is none, by letter."""

    line: Id | None = None
    text: Annotated[str, Field(min_length=1, max_length=MESSAGE)]


class OneBill(Input):
    """A bill of the account."""

    account: Id
    bill: Id


class PrintStatement(Input):
    """The ledger of a period, both days in it."""

    account: Id
    first: Day
    last: Day


class Allocate(Input):
    """Let a payment or credit (the id of its entry) pay so much of a bill: from what is not applied, or `from_bill`."""

    account: Id
    entry: Id
    bill: Id
    amount: Minor
    from_bill: Id | None = None


class WriteOff(Input):
    """Give up so much of what is open, for a reason of reasons.toml."""

    account: Id
    amount: Minor
    reason: ShortWords
    words: Annotated[str, Field(max_length=400)] = ""


class Recover(Input):
    """Take so much of a write-off (its number) back: it is owed again."""

    account: Id
    write_off: Annotated[str, Field(min_length=4, max_length=40)]
    amount: Minor
    words: Annotated[str, Field(min_length=1, max_length=400)]


def _account(given: Any) -> Locks:
    return Locks(accounts=(given.account,))


def _bill(account_id: int, bill_id: int) -> str:
    """The bill's number. Raises Refused when it is not this account's."""
    number = queries.numbers_of(account_id, (bill_id,)).get(bill_id)
    if number is None:
        raise refuse("NOT_FOUND", "Choose a bill of this account.", fields={"bill": "Choose a bill of this account."})
    return number


def _post(account_id: int) -> tuple[str, str, str]:
    """How a paper goes to a customer: by e-mail to the address of record, and to no other; by letter where there is none. The channel, to whom,
    and how that is said."""
    account = customers.account(account_id)
    if account is None:
        raise refuse("NOT_FOUND", "There is no such account.")
    mail = account.customer.email
    return ("email", mail, "to the e-mail address of record") if mail else ("letter", account.reference, "by letter")


def foreseen(account_id: int, today: date, rulebook: Rulebook) -> explain.Explanation | None:
    """The next bill against the last, as the bill run would make it today; where that cannot (another system bills, say), as the last bill and the
    plans let expect. None without a last bill."""
    coming = billing.coming(account_id, today, rulebook.billing) if "billing.toml" in rulebook.files else None
    if coming is not None:
        return queries.explained_against_last(account_id, coming)
    account = customers.account(account_id)
    if account is None:
        return None
    plans = [
        estimate.Plan(n.pk, f"ending {phone.last_four(n.msisdn)}", n.plan.name, n.plan.price_minor, n.status != "cancelled")
        for n in customers.lines_of(account_id) if n.status != "pending"
    ]  # fmt: skip
    return queries.next_bill(account_id, plans, bill_period(account.bill_day, today)[1] + timedelta(days=1))


def print_bill(act: Act, given: OneBill, scene: Scene) -> Done:
    need(PRINTER)
    number = _bill(given.account, given.bill)
    paper = operations.order_bill(act=act, account_id=given.account, bill_id=given.bill)
    said = "is there as a PDF" if paper.state == "made" else "is being made as a PDF"
    return Done(f"Bill {number} {said}", {"paper": str(paper.pk), "state": paper.state}, data={"bill": number, "paper": str(paper.pk)})


def _day(on: date) -> str:
    return f"{on:%b} {on.day}, {on.year}"


def _statement(act: Act, given: PrintStatement) -> list[Any]:
    need(PRINTER)
    if given.first > given.last:
        raise refuse("INVALID", "The first day is after the last.", fields={"first": "The first day is after the last."})
    return operations.order_statement(act=act, account_id=given.account, first=given.first, last=given.last)


def print_statement(act: Act, given: PrintStatement, scene: Scene) -> Done:
    papers = _statement(act, given)
    parts = f", in {len(papers)} parts" if len(papers) > 1 else ""
    return Done(
        f"Statement from {_day(given.first)} to {_day(given.last)} is being made as a PDF{parts}", {"paper": str(papers[0].pk), "state": papers[0].state},
        data={"paper": str(papers[0].pk), "first": given.first.isoformat(), "last": given.last.isoformat()},
    )  # fmt: skip


def send_statement(act: Act, given: PrintStatement, scene: Scene) -> Done:
    need("MESSENGER")
    papers = _statement(act, given)
    channel, to, how = _post(given.account)
    values = {"first": texts.day(given.first), "last": texts.day(given.last)}
    for paper in papers:  # each is a paper of its own, so a message of its own
        tell(
            act=act, topic="statement", channel=channel, to=to, about=f"statement:{paper.pk}", account_id=given.account,
            subject=texts.body(scene.rulebook, "statement_subject", given.account, **values) if channel == "email" else "",
            body=texts.body(scene.rulebook, "statement", given.account, **values), attachment=paper.attachment, held=paper.state != "made",
        )  # fmt: skip
    return Done(
        f"Statement from {_day(given.first)} to {_day(given.last)} sent {how}", {"paper": str(papers[0].pk)},
        data={"paper": str(papers[0].pk), "first": given.first.isoformat(), "last": given.last.isoformat()},
    )  # fmt: skip


def send_bill(act: Act, given: OneBill, scene: Scene) -> Done:
    need("MESSENGER")
    need(PRINTER)
    number, (channel, to, how) = _bill(given.account, given.bill), _post(given.account)
    paper = operations.order_bill(act=act, account_id=given.account, bill_id=given.bill)
    values = {"number": number, "day": texts.day(queries.issued_on(given.bill))}
    tell(
        act=act, topic="bill_copy", channel=channel, to=to, about=f"bill:{number}", account_id=given.account,
        subject=texts.body(scene.rulebook, "bill_copy_subject", given.account, **values) if channel == "email" else "",
        body=texts.body(scene.rulebook, "bill_copy", given.account, **values), attachment=paper.attachment, held=paper.state != "made",
    )  # fmt: skip
    return Done(f"Bill {number} sent {how}", {"bill": number, "paper": str(paper.pk)}, data={"bill": number, "paper": str(paper.pk)})


@dataclass(frozen=True)
class _Explained:
    """What is explained: how the journal says it, what it names, what a message about it is about, its subject, and how its paper is ordered."""

    say: str
    data: dict[str, Any]
    about: str
    subject: str
    order: Callable[[], Any]


def _explained(act: Act, given: PrintExplanation, scene: Scene) -> _Explained:
    """Raises Refused when there are no such bills, or when the next bill will be another by now than was said."""
    if given.bill is None:
        found = foreseen(given.account, civil_date(act.at, settings.CARRIER_ZONE), scene.rulebook)
        if found is None:
            raise refuse("NOT_FOUND", "There is no bill yet that the next could be compared with.")
        if given.total != found.now.total_minor:
            raise refuse("CONFLICT", f"By now the next bill will be about {shown(found.now.total_minor)}. Look at it again, and tell that.", rule="estimate-moved")
        on, total = found.now.issued_on, shown(found.now.total_minor)
        return _Explained(
            f"The next bill, of {_day(on)}, about {total}, explained against {found.was.number}", {"next": on.isoformat(), "total": found.now.total_minor, "against": found.was.number},
            f"estimate:{given.account}", texts.body(scene.rulebook, "estimate_subject", given.account),
            lambda: operations.order_estimate(act=act, account_id=given.account, told=found.now, against_id=found.was.id),
        )  # fmt: skip
    number = _bill(given.account, given.bill)
    against = queries.numbers_of(given.account, (given.against,)).get(given.against) if given.against else None
    if against is None or given.against == given.bill:
        raise refuse("INVALID" if against else "NOT_FOUND", "Choose an earlier bill of this account.", fields={"against": "Choose an earlier bill of this account."})
    bill_id, against_id = given.bill, given.against
    return _Explained(
        f"Bill {number} explained against {against}", {"bill": number, "against": against}, f"bill:{number}",
        texts.body(scene.rulebook, "bill_explained_subject", given.account, number=number),
        lambda: operations.order_explanation(act=act, account_id=given.account, bill_id=bill_id, against_id=int(against_id or 0)),
    )  # fmt: skip


def print_explanation(act: Act, given: PrintExplanation, scene: Scene) -> Done:
    need(PRINTER)
    what = _explained(act, given, scene)
    paper = what.order()
    return Done(f"{what.say}: is being made as a PDF", {"paper": str(paper.pk), "state": paper.state}, data={**what.data, "paper": str(paper.pk)})


def send_explanation(act: Act, given: SendExplanation, scene: Scene) -> Done:
    need("MESSENGER")
    what = _explained(act, given, scene)
    done = Done(f"{what.say}: sent to the customer", what.data, data=what.data, payload={"text": given.text})
    if given.line is None:
        need(PRINTER)
        channel, to, how = _post(given.account)
        paper = what.order()
        tell(
            act=act, topic="bill_explained", channel=channel, to=to, subject=what.subject if channel == "email" else "", body=given.text, about=what.about,
            account_id=given.account, attachment=paper.attachment, held=paper.state != "made",
        )  # fmt: skip
        return replace(done, say=f"{what.say}: sent {how}", data={**what.data, "paper": str(paper.pk)})
    line = customers.line(given.line)
    if line is None or line.account_id != given.account:
        raise refuse("NOT_FOUND", "Choose a number of this account.", fields={"line": "Choose one."})
    if not line.gets_texts:
        raise refuse("CONFLICT", "This line takes no texts now. Send it by e-mail, or tell the customer on the call.", rule="line-takes-no-texts")
    tell(act=act, topic="bill_explained", channel="sms", to=line.msisdn, body=f"{settings.CARRIER_NAME}: {given.text}", about=what.about, account_id=given.account)
    return done


def allocate_facts(scene: Scene, act: Act, given: Allocate) -> dict[str, Any]:
    return {"allocation": {"moves": given.from_bill is not None}}


def allocate(act: Act, given: Allocate, scene: Scene) -> Done:
    entry = operations.allocate(
        act=act, account_id=given.account, entry_id=given.entry, bill_id=given.bill, amount_minor=given.amount, from_bill_id=given.from_bill
    )
    numbers = queries.numbers_of(given.account, [b for b in (given.bill, given.from_bill) if b])
    moved = f", instead of bill {numbers[given.from_bill]}" if given.from_bill else ""
    return Done(
        f"{shown(given.amount)} of {entry.reference} pays bill {numbers[given.bill]}{moved}",
        {"entry": entry.reference},
        data={"entry": entry.reference, "bill": numbers[given.bill], "amount": given.amount},
        also=after_money(act, given.account),
    )


def _reason(scene: Scene, code: str) -> dict[str, Any]:
    known: dict[str, dict[str, Any]] = scene.rulebook.reasons["write_off"]
    if code not in known:
        raise refuse("INVALID", "Choose a reason of the list.", fields={"reason": "Choose one."})
    return known[code]


def write_off_facts(scene: Scene, act: Act, given: WriteOff) -> dict[str, Any]:
    _reason(scene, given.reason)
    most = int(scene.rulebook.limits["write_off"]["most"].get(act.who.role, 0))
    stands = sum(left for _, left in queries.written_off_of(given.account))  # or a debt is given up in parts by who may not
    return {"writeOff": {"amount": given.amount, "room": max(most - stands, 0)}}


def write_off(act: Act, given: WriteOff, scene: Scene) -> Done:
    title = str(_reason(scene, given.reason)["title"])
    today = civil_date(act.at, settings.CARRIER_ZONE)
    debts = [collection_rules.Debt(bill, due_on, left) for _, bill, due_on, left in queries.owed_of([given.account], date.max)]
    last = collection_rules.kept(debts, collections.held([given.account], today)[given.account])
    entry = operations.write_off(act=act, account_id=given.account, amount_minor=given.amount, label=f"Written off: {title.lower()}", last=last)
    return Done(
        f"Written off {entry.reference}: {shown(given.amount)}, {title.lower()}",
        {"write_off": entry.reference, "amount": given.amount},
        data={"write_off": entry.reference, "amount": given.amount, "reason": given.reason},
        payload={"words": given.words} if given.words else None,
        also=after_money(act, given.account),
    )


def recover(act: Act, given: Recover, scene: Scene) -> Done:
    operations.recover(act=act, account_id=given.account, reference=given.write_off, amount_minor=given.amount)
    return Done(
        f"{shown(given.amount)} of the write-off {given.write_off} taken back: it is owed again",
        {"write_off": given.write_off},
        data={"write_off": given.write_off, "amount": given.amount},
        payload={"words": given.words},
    )


class CloseBooks(Input):
    """Close the books through a day that is over."""

    through: Day


def close_books(act: Act, given: CloseBooks, scene: Scene) -> Done:
    if "books.toml" not in scene.rulebook.files:
        raise refuse("CONFLICT", "The rulebook in force has no books.toml, so nobody knows the accounts of the general ledger.")
    period = operations.close_books(act=act, through=given.through, closed_by=act.who.name)
    return Done(
        f"Books closed through {period.ends_on}: {period.number}", {"period": period.number},
        data={"period": period.number, "through": period.ends_on.isoformat(), "chart": period.chart},
    )  # fmt: skip


ACTS = [
    ActType("ledger.send_explanation", "Send the explanation", SendExplanation, send_explanation, locks=_account, on_page=True),
    ActType("ledger.print_bill", "Make a bill as PDF", OneBill, print_bill, locks=_account, ports=(PRINTER,)),
    ActType("ledger.send_bill", "Send a copy of a bill", OneBill, send_bill, locks=_account, ports=("MESSENGER", PRINTER), on_page=True),
    ActType("ledger.print_explanation", "Make an explanation as PDF", PrintExplanation, print_explanation, locks=_account, ports=(PRINTER,)),
    ActType("ledger.send_statement", "Send a statement", PrintStatement, send_statement, locks=_account, ports=("MESSENGER", PRINTER), on_page=True),
    ActType("ledger.print_statement", "Make a statement as PDF", PrintStatement, print_statement, locks=_account, ports=(PRINTER,)),
    ActType("ledger.allocate", "Say what pays what", Allocate, allocate, locks=_account, facts=allocate_facts, opening={"allocation": {"moves": False}}),
    ActType(
        "ledger.write_off", "Write off", WriteOff, write_off, locks=_account, facts=write_off_facts, numbers={"writeOff.room": "limits.toml:write_off.most.{role}"},
        opening={"writeOff": {"amount": 0, "room": 1}},
    ),
    ActType("ledger.recover", "Take a write-off back", Recover, recover, locks=_account),
    ActType("ledger.close_books", "Close the books", CloseBooks, close_books),
]
