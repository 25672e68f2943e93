"""What happened on an account: the timeline on its page, and the whole journal."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from careline.acts.look import look
from careline.domain.journal import queries as journal
from careline.domain.journal import rules as journal_rules
from careline.doors.web import asked, forms
from careline.doors.web.account import ContactPage, opened
from careline.doors.web.act_forms import VERIFY_ACTS
from careline.doors.web.render import page

# Steps of a search for a cause: the timeline tells its beginning and its end, the search itself the rest.
STEPS = ("diagnosis.answer", "diagnosis.undo", "diagnosis.read_again")


def shape(desk: ContactPage, before: int | None) -> dict[str, Any]:
    lines = journal.timeline(journal_rules.account_chain(desk.account_id), limit=40, before=before)
    entries = []
    settled: set[tuple[str, str]] = set()
    for line in lines:  # newest first: what was begun says nothing more once its end stands above it
        if line.outcome == "pending" and (line.code, line.basis) in settled:
            settled.discard((line.code, line.basis))
            continue
        settled.add((line.code, line.basis))
        if line.code in STEPS and line.outcome != "refused":
            continue
        words = (line.payload or {}).get("text") or (line.payload or {}).get("summary") or (line.payload or {}).get("words")
        who = f"{line.who_name}" + (f", asked by {line.asked_by}" if line.asked_by else "")
        entries.append(
            {"at": line.at, "title": line.say, "text": words, "who": who,
             "amount": None, "state": "risk" if line.outcome == "refused" else None, "href": None, "link": None}
        )
    more = desk.url(f"?section=time&before={lines[-1].id}") if len(lines) == 40 else None
    return {"entries": entries, "more_href": more}


@require_GET
def journal_page(request: HttpRequest, reference: str) -> HttpResponse:
    """The account's journal, looks included, for whoever holds a verified contact about it."""
    desk = opened(request, reference)
    if desk.row.account_id is None:
        raise Http404
    looked = look("view.journal", who=desk.who, scene=desk.scene)
    if not looked.allowed:
        return asked.not_shown(request, desk, looked)
    kind = request.GET.get("kind", "")
    kinds = {"": None, "money": ("credits.grant", "credits.reverse", "payments.take", "payments.send_link", "payments.link_paid"),
             "verification": tuple(sorted(VERIFY_ACTS)), "contacts": ("contacts.open", "contacts.answer", "contacts.identify", "contacts.end", "contacts.wrap_up", "contacts.hand_over", "contacts.accept")}
    before = forms.whole(request.GET.get("before"))
    rows = journal.timeline(journal_rules.account_chain(desk.account_id), limit=60, before=before, codes=kinds.get(kind) or (), with_looks=True, with_payload=False)
    states = {"refused": "bad", "pending": "risk"}
    outcomes = {"looked": "shown"}
    address = request.path
    shape = {
        "title": f"Journal of account {desk.row.account.reference}", "back_href": desk.url(), "proven": None, "proven_state": None,
        "kinds": [{"label": label, "href": f"{address}?kind={code}" if code else address, "current": code == kind}
                  for code, label in (("", "All"), ("money", "Money"), ("verification", "Verification"), ("contacts", "Contacts"))],
        "rows": [{"at": r.at, "who": r.who_name + (f", asked by {r.asked_by}" if r.asked_by else ""), "what": r.say, "basis": r.basis.replace(":", " "),
                  "outcome": outcomes.get(r.outcome, r.outcome), "state": states.get(r.outcome), "rule": r.data.get("rule"), "detail": None} for r in rows],
        "more_href": f"{address}?kind={kind}&before={rows[-1].id}" if len(rows) == 60 else None,
    }
    return page(request, "journal.html", {"journal": shape})
