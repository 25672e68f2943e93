"""Reading the journal, and proving it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from django.conf import settings
from django.db.models import Count, F, Min, Q, QuerySet

from careline.domain.journal import rules
from careline.domain.journal.models import Chain, Counter, Decision, Line, Outbox, Payload, RequestKey, Root
from careline.domain.journal.models import Change as Numbered
from careline.foundation.act import Basis, Who
from careline.foundation.calendar import SLACK
from careline.prepared import moment, prepared, wholes
from careline.prepared import text as given

COLUMNS = ("at", "code", "outcome")


@dataclass(frozen=True)
class Entry:
    """One line as people read it. `payload` is None when there is none, or `{}` when it was redacted."""

    id: int
    at: datetime
    code: str
    outcome: str
    say: str
    who: str
    who_name: str
    who_role: str
    asked_by: str
    why: str
    basis: str
    data: dict[str, Any]
    payload: dict[str, Any] | None


def _entry(line: Line, with_payload: bool) -> Entry:
    c = line.content
    payload = None
    if with_payload and c["payload"]:
        held = getattr(line, "payload", None)
        payload = json.loads(held.body) if held and held.body else {}
    return Entry(
        id=line.pk,
        at=line.at,
        code=line.code,
        outcome=line.outcome,
        say=c["say"],
        who=line.who,
        who_name=c["who"]["name"],
        who_role=c["who"]["role"],
        asked_by=(c["asked_by"] or {}).get("name", ""),
        why=c["why"],
        basis=line.basis,
        data=c["data"],
        payload=payload,
    )


def timeline(
    chain: str,
    *,
    limit: int = 30,
    before: int | None = None,
    codes: Sequence[str] = (),
    with_looks: bool = False,
    with_payload: bool = True,
) -> list[Entry]:
    """The newest lines of a chain first; `before` is the id of the last one already shown."""
    lines = Line.objects.filter(chain__name=chain).order_by("-seq")
    if not with_looks:
        lines = lines.exclude(outcome="looked")
    if codes:
        lines = lines.filter(code__in=codes)
    if before:
        lines = lines.filter(pk__lt=before)
    if with_payload:
        lines = lines.select_related("payload")
    return [_entry(line, with_payload) for line in lines[:limit]]


@dataclass(frozen=True, slots=True)
class Personal:
    """A line that says something of a person, which a redaction could take away."""

    id: int
    seq: int
    code: str
    at: datetime
    basis: str


def personal(chain: str, *, line_id: int | None = None, before: datetime | None = None, basis: str = "") -> list[Personal]:
    """The lines of a chain that have a payload still, oldest first: one, those before a moment, or those of a basis."""
    rows = Line.objects.filter(chain__name=chain, payload__body__isnull=False)
    rows = rows.filter(pk=line_id) if line_id is not None else rows
    rows = rows.filter(at__lt=before) if before is not None else rows
    rows = rows.filter(basis=basis) if basis else rows
    return [Personal(*row) for row in rows.order_by("seq").values_list("pk", "seq", "code", "at", "basis")]


def between(chain: str, codes: Sequence[str], since: datetime, until: datetime, limit: int = 200) -> list[Entry]:
    """What was done of some acts on a chain between two moments, oldest first: neither looks nor refusals."""
    rows = Line.objects.filter(chain__name=chain, code__in=codes, outcome__in=("done", "pending"), at__gte=since, at__lt=until)
    return [_entry(line, False) for line in rows.order_by("seq")[:limit]]


def looks(chain: str, code: str, since: datetime, until: datetime, limit: int = 50) -> list[Entry]:
    """What was shown of one section on a chain between two moments, oldest first, with what was kept of it."""
    rows = Line.objects.filter(chain__name=chain, code=code, outcome="looked", at__gte=since, at__lt=until).select_related("payload")
    return [_entry(line, True) for line in rows.order_by("seq")[:limit]]


def of_bases(bases: Sequence[str], account_id: int | None) -> list[Entry]:
    """Everything done and seen on these bases, oldest first: what a wrap-up is drafted from. Lines of another account's
    chain are left out: a contact can have moved, and what was done there is told there."""
    rows = Line.objects.filter(basis__in=bases).select_related("payload", "chain").order_by("at", "pk")
    mine = rules.account_chain(account_id) if account_id is not None else ""
    return [_entry(line, True) for line in rows if line.chain.name == mine or not rules.is_account_chain(line.chain.name)]


def looked(*, basis: str, code: str, who: Who, chain: str) -> bool:
    """Did this principal open this section on this basis before? `chain`: of the account that it shows, for a contact
    can move to another."""
    return (chain,) in _looked(basis=basis, code=code, who=who.key)


@prepared
def _looked() -> QuerySet[Line, tuple[str]]:
    # Chains are told apart afterwards: asked for the house's, a database might read the whole of it.
    rows = Line.objects.filter(basis=given("basis"), code=given("code"), who=given("who"), outcome="looked")
    return rows.values_list("chain__name")


@dataclass(frozen=True)
class Looks:
    """What one person opened on one basis: the first line of it, and whether anybody did something on it."""

    who: str
    basis: str
    at: datetime
    line: int
    acted: bool


def searches(who: Sequence[str], since: datetime, hits: int) -> Iterator[tuple[int, str, datetime, int]]:
    """The searches of these people since a moment that found so many or more: line, who, when, how many. Read as they come, however many there are."""
    rows = Line.objects.filter(who__in=who, at__gte=since, code="view.search", outcome="looked").order_by("-at")
    for pk, person, at, text in rows.values_list("pk", "who", "at", "text").iterator(chunk_size=2000):
        found = HITS.search(text)
        if found is not None and int(found[1]) >= hits:
            yield pk, person, at, int(found[1])


HITS = re.compile(r'"hits":(\d{1,9})[,}]')


def typed(line_ids: Sequence[int]) -> dict[int, str]:
    """What was typed in searches, by their lines."""
    rows = Payload.objects.filter(line_id__in=line_ids, body__isnull=False).values_list("line_id", "body")
    return {pk: str(json.loads(body).get("text", "")) for pk, body in rows if body}


# What only begins, moves or ends a contact is no deed in it.
ROUTINE = ("contacts.open", "contacts.answer", "contacts.identify", "contacts.speaker", "contacts.reason", "contacts.end", "contacts.wrap_up",
           "contacts.hand_over", "contacts.accept", "contacts.decline", "contacts.check_pin", "contacts.hold", "contacts.resume", "contacts.ring", "contacts.drop", "contacts.reconnect")  # fmt: skip


def opened_on(who: Sequence[str], codes: Sequence[str], since: datetime) -> Iterator[Looks]:
    """What these people opened on contacts since a moment, once for each person and contact, the newest contacts last, and whether any of them did
    something on it. One question, whatever the number of looks; read as they come."""
    did = Q(outcome__in=("done", "pending", "refused")) & ~Q(code__in=ROUTINE) & ~Q(code__startswith="view.")
    looked = Q(outcome="looked", code__in=codes)
    rows = Line.objects.filter(who__in=who, at__gte=since, basis__startswith="contact:").filter(did | looked)
    grouped = rows.values("basis", "who").annotate(first=Min("at", filter=looked), line=Min("pk", filter=looked), deeds=Count("pk", filter=did)).order_by("basis")
    for _, some in groupby(grouped.values_list("basis", "who", "first", "line", "deeds").iterator(chunk_size=2000), key=lambda row: row[0]):
        theirs = list(some)
        acted = any(deeds for *_, deeds in theirs)
        for basis, person, first, line, _ in theirs:
            if line is not None:
                yield Looks(person, basis, first, line, acted)


def accounts_of(line_ids: Sequence[int]) -> dict[int, int]:
    """The accounts on whose chains lines stand."""
    rows = Line.objects.filter(pk__in=line_ids).values_list("pk", "chain__name")
    return {pk: int(name.partition(":")[2]) for pk, name in rows if rules.is_account_chain(name)}


def decided(code: str, since: datetime) -> Iterator[Decision]:
    """The yeses to one act since a moment, the newest first; read as they come."""
    return Decision.objects.filter(at__gte=since, code=code, allowed=True).order_by("-at").iterator(chunk_size=2000)


def lines(*, most: int, **wanted: Any) -> list[Line]:
    """Lines of a chain or of a person, filtered, oldest first, for whoever audits: with their chains and payloads."""
    return list(_wanted(**wanted)[:most])


def every_line(**wanted: Any) -> Iterator[Line]:
    """The same, all of them; read as they come."""
    return _wanted(**wanted).iterator(chunk_size=2000)


def _wanted(*, chain: str = "", who: str = "", since: datetime | None = None, until: datetime | None = None, codes: str = "", outcome: str = "", by: str = "") -> QuerySet[Line]:
    rows = Line.objects.select_related("chain", "payload")
    rows = rows.filter(chain__name=chain) if chain else rows.filter(who=who)
    if by:
        rows = rows.filter(who=by)
    if since:
        rows = rows.filter(at__gte=since)
    if until:
        rows = rows.filter(at__lt=until)
    if codes:
        rows = rows.filter(code__startswith=codes)
    if outcome:
        rows = rows.filter(outcome=outcome)
    return rows.order_by("at", "pk")


def entry(line: Line) -> Entry:
    """A line as people read it."""
    return _entry(line, True)


def mac_of(chain: str, seq: int) -> str:
    """What proves a line of this journal; empty: there is no such line."""
    return Line.objects.filter(chain__name=chain, seq=seq).values_list("mac", flat=True).first() or ""


def decisions(since: datetime, most: int) -> tuple[list[Decision], int, datetime | None]:
    """Decisions since a moment, at most so many and then spread evenly over all; how many there are; when the first was."""
    rows = Decision.objects.filter(at__gte=since)
    span = rows.aggregate(n=Count("pk"), first=Min("at"))
    step = -(-span["n"] // most) if span["n"] > most else 1
    if step > 1:
        rows = rows.annotate(nth=F("pk") % step).filter(nth=0)
    return list(rows.order_by("at")[: most + most // 4]), span["n"], span["first"]


def every_decision(since: datetime) -> tuple[Iterator[Decision], int, datetime | None]:
    """All decisions since a moment, read as they come; how many there are; when the first was."""
    rows = Decision.objects.filter(at__gte=since)
    span = rows.aggregate(n=Count("pk"), first=Min("at"))
    return rows.order_by("at").iterator(chunk_size=2000), span["n"], span["first"]


def last_decision() -> int:
    """The id of the newest decision: what a trial was made of has not changed while this has not."""
    return Decision.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def count_since(*, who: Who, code: str, since: datetime) -> int:
    return sum(n for _, n in _count_since(who=who.key, code=code, since=since))


@prepared
def _count_since() -> QuerySet[Line, tuple[str, int]]:
    rows = Line.objects.filter(who=given("who"), code=given("code"), at__gte=moment("since"))
    return rows.values_list("who").annotate(n=Count("pk"))


@dataclass(frozen=True)
class Spent:
    """A request key that was used before."""

    digest: str
    code: str
    state: str
    outcome: dict[str, Any]


def spent_key(*, principal: str, key: str) -> Spent | None:
    row = _spent.first(principal=principal, key=key)
    return Spent(row.digest, row.code, row.state, json.loads(row.outcome)) if row else None


@prepared
def _spent() -> QuerySet[RequestKey]:
    return RequestKey.objects.filter(principal=given("principal"), key=given("key"))[:1]


@dataclass(frozen=True)
class Place:
    """How far a run of a job came: its key, and what it wrote."""

    key: str
    said: dict[str, Any]


def place(*, who: Who, digest: str) -> Place | None:
    """How far the newest run came with what the digest names."""
    row = RequestKey.objects.filter(principal=who.key, digest=digest).order_by("-pk").first()
    return Place(row.key, json.loads(row.outcome)) if row else None


@dataclass(frozen=True)
class Pending:
    """A deed whose outside call was begun and never settled, or waits for a moment."""

    principal: str
    key: str
    code: str
    at: datetime
    work: dict[str, Any]

    @property
    def waits_until(self) -> datetime | None:
        until = self.work.get("until")
        return datetime.fromisoformat(until) if until else None


def pending_since(before: datetime, most: int = 1000) -> list[Pending]:
    """Deeds that began before a moment, or so long after it that the clock which said so ran ahead."""
    rows = RequestKey.objects.filter(Q(at__lt=before) | Q(at__gt=before + 2 * SLACK), state="pending").order_by("at")[:most]
    return [Pending(r.principal, r.key, r.code, r.at, json.loads(r.work)) for r in rows]


@dataclass(frozen=True)
class Change:
    """Something that was done on an account, with its number in the order in which other systems hear it. Nothing personal is in it."""

    n: int
    account_id: int
    at: datetime
    code: str
    say: str
    who: str
    data: dict[str, Any]


def changes_after(n: int, most: int = 100) -> list[Change]:
    rows = Numbered.objects.filter(n__gt=n).select_related("line").order_by("n")[:most]
    found = []
    for row in rows:
        said = row.line.content
        found.append(Change(row.n, int(said["chain"].partition(":")[2]), row.line.at, row.line.code, said["say"], row.line.who, said["data"]))
    return found


def feed() -> tuple[int, int] | None:
    """The number of the newest change and of the last that other systems have; None: the feed was never begun."""
    known = dict(Counter.objects.filter(name__in=["feed", "feed-heard"]).values_list("name", "last"))
    return (known["feed"], known["feed-heard"]) if len(known) == 2 else None


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a message: its state, when it was really sent, and what the contact rules said of it."""

    channel: str
    state: str
    sent_at: datetime | None
    not_before: datetime
    why: str


def fates(message_ids: Sequence[int]) -> dict[int, Fate]:
    return {pk: Fate(*rest) for pk, *rest in _fates(messages=message_ids)} if message_ids else {}


@prepared
def _fates() -> QuerySet[Outbox, tuple[Any, ...]]:
    return Outbox.objects.filter(pk__in=wholes("messages")).values_list("pk", "channel", "state", "sent_at", "not_before", "why")


def sent_since(account_ids: Sequence[int], since: datetime) -> list[tuple[int, str, str, datetime]]:
    """What was sent about these accounts since a moment: account, topic, channel, when; the oldest first."""
    rows = Outbox.objects.filter(account_id__in=account_ids, sent_at__gte=since).order_by("sent_at")
    return list(rows.values_list("account_id", "topic", "channel", "sent_at"))  # type: ignore[arg-type]


def told_since(account_ids: Sequence[int], topic: str, since: datetime) -> set[str]:
    """What messages of a topic to these accounts, queued since a moment, are about."""
    return set(Outbox.objects.filter(account_id__in=account_ids, topic=topic, at__gte=since).values_list("about", flat=True))


def waiting_about(topic: str) -> int:
    """How many messages of a topic wait to be sent."""
    return Outbox.objects.filter(state="queued", topic=topic).count()


def outbox_backlog(at: datetime) -> int:
    return Outbox.objects.filter(state="queued", not_before__lte=at).count()


def verify(
    *, anchors: Iterable[str] | None = None, on_progress: Any = None, batch: int = 5000
) -> Iterator[rules.Fault]:
    """Prove the whole journal; yields what is wrong (nothing: it is whole).

    Each chain is recomputed from its first line; each root from the one before it; each root's heads are looked up in
    the chains; `anchors` are the lines of the file outside (`<root id> <mac>` each), which a rewritten database cannot
    know. Finds an edited, missing, reordered, cut-off or wholly rewritten chain.
    """
    key = settings.JOURNAL_KEY
    seen = 0
    heads: dict[tuple[str, int], str] = {}
    wanted = {(n, length) for root in Root.objects.all() for n, length, _ in _heads(root)}
    for chain in Chain.objects.order_by("name").iterator():
        previous, expected = "", 1
        for line in Line.objects.filter(chain=chain).select_related("payload").order_by("seq").iterator(batch):
            seen += 1
            if on_progress and seen % batch == 0:
                on_progress(seen)
            if line.seq != expected:
                yield rules.Fault(chain.name, expected, f"line {expected} is missing (found {line.seq})")
                expected = line.seq
            if line.mac != rules.line_mac(key, previous, line.text):
                yield rules.Fault(chain.name, line.seq, "the line or one before it was changed")
            derived = (rules.moment(line.at), line.code, line.outcome, line.who, line.basis, chain.name, line.seq)
            said, digest = _said(line.text)
            if derived != said:
                yield rules.Fault(chain.name, line.seq, "the columns do not say what the text says")
            if digest:
                yield from _payload_faults(chain.name, line, digest)
            if (chain.name, line.seq) in wanted:
                heads[chain.name, line.seq] = line.mac
            previous, expected = line.mac, expected + 1
        if (chain.length, chain.head) != (expected - 1, previous):
            yield rules.Fault(chain.name, chain.length, f"the head says {chain.length} lines, {expected - 1} are there")
    yield from _root_faults(key, heads, anchors)


def _said(text: str) -> tuple[tuple[Any, ...], str]:
    """What a line's text says of its columns, and the digest of its payload. A text that is no line says nothing."""
    try:
        c = json.loads(text)
        basis = Basis(c["basis"]["kind"], c["basis"]["id"]).key
        return (c["at"], c["code"], c["outcome"], f"{c['who']['kind']}:{c['who']['id']}", basis, c["chain"], c["seq"]), c["payload"]
    except (ValueError, KeyError, TypeError):
        return (), ""


def _heads(root: Root) -> list[tuple[str, int, str]]:
    """The heads that a root names. A root that cannot be read names none; its mac tells on it."""
    try:
        return [(str(name), int(length), str(head)) for name, length, head in json.loads(root.heads)]
    except (ValueError, TypeError):
        return []


def _payload_faults(chain: str, line: Line, digest: str) -> Iterator[rules.Fault]:
    payload: Payload | None = getattr(line, "payload", None)
    if payload is None:
        yield rules.Fault(chain, line.seq, "its payload was taken away without a redaction")
    elif payload.digest != digest or (
        payload.body is not None and rules.payload_digest(payload.salt or "", payload.body) != digest
    ):
        yield rules.Fault(chain, line.seq, "its payload was changed")


def _root_faults(
    key: bytes, heads: dict[tuple[str, int], str], anchors: Iterable[str] | None
) -> Iterator[rules.Fault]:
    previous = ""
    macs: dict[int, str] = {}
    for root in Root.objects.order_by("pk").iterator():
        if root.previous != previous or root.mac != rules.root_mac(key, previous, root.heads):
            yield rules.Fault("roots", root.pk, "this root or one before it was changed")
        previous = macs[root.pk] = root.mac
        for name, length, head in _heads(root):
            if heads.get((name, length)) != head:
                yield rules.Fault(name, length, f"root {root.pk} saw another line {length} here (rewritten or cut off)")
    for text in anchors or ():
        number, _, mac = text.strip().partition(" ")
        if number and not number.isdecimal():
            yield rules.Fault("roots", None, "a line of the anchor file cannot be read")
        elif number and macs.get(int(number)) != mac:
            yield rules.Fault("roots", int(number), "the anchor outside knows another root (the journal was rewritten)")


def last_by(who: Who, code: str) -> datetime | None:
    """When this principal last did this. For those who do little: its lines are read from the newest on."""
    return Line.objects.filter(who=who.key, code=code, outcome="done").order_by("-at").values_list("at", flat=True).first()


def begun() -> bool:
    """Whether anything was ever written."""
    return Line.objects.exists()


def written_with_another_key() -> bool:
    """Whether there is a journal and neither its first line nor its newest was written with the key in use. (Of one line
    that somebody changed it says nothing: that is for `verify`.)"""
    for order in ("pk", "-pk"):
        line = Line.objects.order_by(order).first()
        if line is None:
            return False
        previous = Line.objects.filter(chain_id=line.chain_id, seq=line.seq - 1).values_list("mac", flat=True).first()
        if line.mac == rules.line_mac(settings.JOURNAL_KEY, previous or "", line.text):
            return False
    return True


def size() -> dict[str, int]:
    """How much there is: chains, lines, roots."""
    return {
        "chains": Chain.objects.count(),
        "lines": Line.objects.aggregate(n=Count("pk"))["n"],
        "roots": Root.objects.count(),
    }


def untold(about: str, at: datetime) -> list[Outbox]:
    """What one deed queued to be told (`about`, at its moment) and was not sent yet."""
    return list(Outbox.objects.filter(about=about, at=at, state="queued").order_by("pk"))
