"""What happened on an account: the timeline on its page, and the whole journal."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from careline.acts import table
from careline.acts.look import look
from careline.domain.journal import queries as journal
from careline.domain.journal import rules as journal_rules
from careline.doors.web import asked, forms
from careline.doors.web.account import ContactPage, opened
from careline.doors.web.act_forms import VERIFY_ACTS
from careline.doors.web.journal_rows import asked_by, over, rows_of
from careline.doors.web.render import page

# Steps of a search for a cause: the timeline tells its beginning and its end, the search itself the rest.
STEPS = ("diagnosis.answer", "diagnosis.undo", "diagnosis.read_again")


def shape(desk: ContactPage, before: int | None) -> dict[str, Any]:
    lines = journal.timeline(journal_rules.account_chain(desk.account_id), limit=40, before=before)
    redacts = desk.who.role in desk.scene.rulebook.authority.roles_with("customers.redact")
    entries = []
    ended = over(lines)
    for line in lines:
        if line.id in ended or (line.code in STEPS and line.outcome != "refused"):
            continue
        words = (line.payload or {}).get("text") or (line.payload or {}).get("summary") or (line.payload or {}).get("words")
        if line.payload == {}:
            words = "(redacted)"
        entries.append(
            {"at": line.at, "title": line.say, "text": words, "who": asked_by(line),
             "amount": None, "state": "risk" if line.outcome == "refused" else None,
             "href": desk.url(f"?section=care&act=customers.redact&line={line.id}") if redacts and line.payload else None, "link": "redact"}
        )
    more = desk.url(f"?section=time&before={lines[-1].id}") if len(lines) == 40 else None
    return {"entries": entries, "more_href": more}


MONEY = ("credits.", "payments.", "arrangements.", "ledger.", "billing.", "collections.")
CONTACTS = ("contacts.open", "contacts.answer", "contacts.identify", "contacts.end", "contacts.wrap_up", "contacts.hand_over", "contacts.accept", "contacts.decline")


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
    kinds = {"money": tuple(code for code in table.acts() if code.startswith(MONEY)), "verification": tuple(sorted(VERIFY_ACTS)), "contacts": CONTACTS}
    before = forms.whole(request.GET.get("before"))
    rows = journal.timeline(journal_rules.account_chain(desk.account_id), limit=60, before=before, codes=kinds.get(kind) or (), with_looks=True, with_payload=False)
    address = request.path
    shape = {
        "title": f"Journal of account {desk.row.account.reference}", "back_href": desk.url(), "proven": None, "proven_state": None,
        "kinds": [{"label": label, "href": f"{address}?kind={code}" if code else address, "current": code == kind}
                  for code, label in (("", "All"), ("money", "Money"), ("verification", "Verification"), ("contacts", "Contacts"))],
        "rows": rows_of(rows),
        "more_href": f"{address}?kind={kind}&before={rows[-1].id}" if len(rows) == 60 else None,
    }
    return page(request, "journal.html", {"journal": shape})
