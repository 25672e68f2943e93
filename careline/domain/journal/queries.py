"""Reading the journal, and proving it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Count

from careline.domain.journal import rules
from careline.domain.journal.models import Chain, Line, Outbox, Payload, RequestKey, Root
from careline.foundation.act import Basis, Who

COLUMNS = ("at", "code", "outcome")


@dataclass(frozen=True)
class Entry:
    """One line as people read it. `payload` is None when there is none, or `{}` when it was redacted."""

    id: int
    at: datetime
    code: str
    outcome: str
    say: str
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


def of_bases(bases: Sequence[str]) -> list[Entry]:
    """Everything done and seen on these bases, oldest first: what a wrap-up is drafted from."""
    rows = Line.objects.filter(basis__in=bases).select_related("payload").order_by("at", "pk")
    return [_entry(line, True) for line in rows]


def looked(*, basis: str, code: str, who: Who, chain: str) -> bool:
    """Did this principal open this section on this basis before? `chain`: of the account that it shows, for a contact
    can move to another."""
    return Line.objects.filter(basis=basis, code=code, who=who.key, outcome="looked", chain__name=chain).exists()


def count_since(*, who: Who, code: str, since: datetime) -> int:
    return Line.objects.filter(who=who.key, code=code, at__gte=since).count()


@dataclass(frozen=True)
class Spent:
    """A request key that was used before."""

    digest: str
    code: str
    state: str
    outcome: dict[str, Any]


def spent_key(*, principal: str, key: str) -> Spent | None:
    row = RequestKey.objects.filter(principal=principal, key=key).first()
    return Spent(row.digest, row.code, row.state, json.loads(row.outcome)) if row else None


@dataclass(frozen=True)
class Pending:
    """A deed whose outside call was begun and never settled."""

    principal: str
    key: str
    code: str
    at: datetime
    work: dict[str, Any]


def pending_since(before: datetime, most: int = 100) -> list[Pending]:
    rows = RequestKey.objects.filter(state="pending", at__lt=before).order_by("at")[:most]
    return [Pending(r.principal, r.key, r.code, r.at, json.loads(r.work)) for r in rows]


def message_states(about: str) -> list[dict[str, Any]]:
    """What became of the messages about one thing: topic, state, when."""
    return list(Outbox.objects.filter(about=about).order_by("pk").values("topic", "state", "at", "sent_at"))


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


def size() -> dict[str, int]:
    """How much there is: chains, lines, roots."""
    return {
        "chains": Chain.objects.count(),
        "lines": Line.objects.aggregate(n=Count("pk"))["n"],
        "roots": Root.objects.count(),
    }
