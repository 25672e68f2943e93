"""Changing the rules: edit or upload, see what it changes and whom it would have met, propose it for a day, say yes or no."""

from __future__ import annotations

import difflib
import io
import zipfile
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from careline.acts import trial
from careline.acts.declare import Outcome
from careline.acts.laws import faults
from careline.acts.look import look
from careline.domain.customers import queries as customers
from careline.domain.rulebook import queries
from careline.domain.rulebook.rules import State, merged
from careline.domain.staff import queries as staff
from careline.domain.staff.rules import whom_to_ask
from careline.doors.web import forms
from careline.doors.web.render import page, zone
from careline.doors.web.rulebook import act_title, not_shown, role_title
from careline.foundation import policy
from careline.foundation.refusal import Refusal
from careline.foundation.rulebook import SUFFIXES, Rulebook

LARGEST, UNPACKED, ENTRIES = 2_000_000, 6_000_000, 400  # bytes that are sent, bytes and files that come out of an archive
DIFF = 400  # lines of a file's difference that are shown
STATES = {"draft": ("worked on", ""), "waiting": ("waits for a second yes", "risk"), "agreed": ("agreed", "ok"), "declined": ("declined", "bad"),
          "withdrawn": ("withdrawn", ""), "called_off": ("called off", "")}  # fmt: skip
ENDS = {"rulebook.draft", "rulebook.propose", "rulebook.second", "rulebook.withdraw", "rulebook.take_up", "rulebook.go_back"}


def _no(request: HttpRequest) -> HttpResponse | None:
    no = look("view.proposal", who=request.user.who).refusal
    return not_shown(request, no) if no is not None else None


def listed(request: HttpRequest) -> HttpResponse:
    """Every change that is worked on, waits, or was decided; begin one."""
    if no := _no(request):
        return no
    outcome = None
    if request.method == "POST":
        code = "rulebook.go_back" if request.POST.get("code") == "rulebook.go_back" else "rulebook.draft"
        given: dict[str, Any] = {"digest": request.POST.get("digest", "")} if code == "rulebook.go_back" else {"title": request.POST.get("title", "")}
        outcome = forms.do(request, code, given)
        if outcome.ok:
            return _to(outcome)
    now = timezone.now()
    begin = forms.form("rulebook.draft", "Begin a change", "Begin", reverse("changes"), [forms.field("title", "What it is about", maxlength=120, placeholder="Smaller credits in December")])
    if outcome is not None:
        begin = forms.refilled(begin, request.POST.dict(), outcome, [])
    rows = [{**_head(row, now), "href": reverse("change", args=[row.pk])} for row in queries.proposals()]
    return page(request, "changes.html", {"changes": {"rows": rows, "begin": begin}}, 422 if outcome is not None else 200)


def show(request: HttpRequest, proposal_id: int) -> HttpResponse:
    """One change: its files, what is wrong with it, what it changes, whom it would have met, and what to do next."""
    if no := _no(request):
        return no
    row = queries.proposal(proposal_id)
    if row is None:
        raise Http404
    outcome: Outcome | None = None
    if request.method == "POST":
        outcome = _posted(request, row)
        if outcome.ok:
            return _to(outcome, request.POST.get("file", ""))
        row = queries.proposal(proposal_id)
        assert row is not None
    now = timezone.now()
    base = queries.opened(row.base)
    new = Rulebook(merged(base.files, row.change_data))
    wrong = faults(new) if row.state in (State.DRAFT, State.WAITING) and row.change_data else []
    mine = row.by == request.user.who.key
    shape = {
        **_head(row, now), "action": reverse("change", args=[row.pk]), "mine": mine, "waits_for": _waits_for(row, mine), "words": row.words, "answer": row.answer, "wrong": wrong,
        "differences": _differences(base, new, row), "diffs": [_diff(name, base, new) for name in sorted(row.change_data)],
        "trial": _trial(request, row, wrong, now), "stale": row.state == State.WAITING and queries.stale(row, now),
        "editor": _editor(request, row, new) if mine and row.state == State.DRAFT else None, "reads": f"{reverse('rulebook')}?of={row.digest}" if row.digest else None,
        **_forms(request, row, outcome, wrong, mine, now),
    }  # fmt: skip
    return page(request, "change.html", {"change": shape}, 200 if outcome is None else 422)


def _waits_for(row: Any, mine: bool) -> str | None:
    """Whose yes a change waits for, by the rules in force."""
    if row.state != State.WAITING:
        return None
    whom = whom_to_ask(queries.current().authority.roles_with("rulebook.second"))
    return f"{whom[0].upper()}{whom[1:]} who did not propose it says yes or no: it stands on their first page. {'You proposed it, so it is not yours to answer.' if mine else ''}".strip()


def _to(outcome: Outcome, file: str = "") -> HttpResponse:
    response = redirect(reverse("change", args=[outcome.show["proposal"]]) + (f"?file={file}" if file else ""))  # to the top: there stands what the check said
    response.status_code = 303
    return response


def _head(row: Any, now: datetime) -> dict[str, Any]:
    label, state = STATES[row.state]
    if row.state == State.AGREED:
        label = "waits for its day" if queries.coming(row, now) else "in force, or was"
    return {"title": row.title, "state_label": label, "state": state, "by": row.by_name, "at": row.at, "from_at": row.from_at, "decided": row.decided_name,
            "decided_at": row.decided_at, "files": sorted(row.change_data), "digest": row.digest[:12]}  # fmt: skip


# ---------------------------------------------------------------- what is sent


def _posted(request: HttpRequest, row: Any) -> Outcome:
    code = request.POST.get("code", "")
    if code not in ENDS:
        return Outcome("invalid", "That is no move here.", refusal=Refusal("INVALID", "That is no move here."))
    given: dict[str, Any] = {"proposal": row.pk}
    if code == "rulebook.draft":
        try:
            changes = _sent(request)
        except ValueError as fault:
            return Outcome("invalid", str(fault), refusal=Refusal("INVALID", str(fault), fields={"file": str(fault)}))
        given |= {"title": row.title, "changes": changes}
    elif code == "rulebook.propose":
        given["words"] = request.POST.get("words", "")
        if request.POST.get("from_at", "").strip():
            try:
                given["from_at"] = datetime.fromisoformat(request.POST["from_at"]).replace(tzinfo=zone()).isoformat()
            except ValueError:
                return Outcome("invalid", "Give a day and a time.", refusal=Refusal("INVALID", "", fields={"from_at": "Give a day and a time."}))
        faults(Rulebook(merged(queries.opened(row.base).files, row.change_data)))  # before the act, so that its transaction is short
    elif code == "rulebook.second":
        given |= {"yes": request.POST.get("decision") == "yes", "answer": request.POST.get("answer", "")}
        if given["yes"] and row.digest:
            faults(queries.opened(row.digest))
    outcome = forms.do(request, code, given)
    if outcome.ok:
        messages.success(request, outcome.say)
    return outcome


def _sent(request: HttpRequest) -> dict[str, str | None]:
    """The files of a form: one that was edited, one or several that were uploaded, or an archive. Raises ValueError in plain words."""
    found: dict[str, str | None] = {}
    for sent in request.FILES.getlist("upload"):
        name = sent.name or ""
        if (sent.size or 0) > LARGEST:
            raise ValueError(f"{name}: larger than {LARGEST // 1_000_000} MB.")
        body = sent.read()
        if name.lower().endswith(".zip"):
            found |= _unpacked(body)
        else:
            found[request.POST.get("folder", "").strip("/ ") + name] = _text(name, body)
    if found:
        return found
    name = request.POST.get("file", "").strip()
    if not name:
        raise ValueError("Choose a file to change, or one to upload.")
    if "remove" in request.POST:
        return {name: None}
    return {name: request.POST.get("text", "")}


def _text(name: str, body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{name}: this is no text in UTF-8.") from None


def _unpacked(body: bytes) -> dict[str, str | None]:
    """The rulebook files of a zip archive; a folder around all of them is left out."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            entries = [i for i in archive.infolist() if not i.is_dir() and "." + i.filename.rpartition(".")[2] in SUFFIXES and "__MACOSX" not in i.filename]
            if len(entries) > ENTRIES or sum(i.file_size for i in entries) > UNPACKED:
                raise ValueError(f"The archive holds more than {ENTRIES} files or {UNPACKED // 1_000_000} MB.")
            found: dict[str, str] = {}
            for entry in entries:
                with archive.open(entry) as inner:  # what the archive says of its sizes may be untrue
                    text = inner.read(entry.file_size + 1)
                if len(text) > entry.file_size:
                    raise ValueError("The archive says less of a file than it holds.")
                found[entry.filename] = _text(entry.filename, text)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as fault:
        raise ValueError("This is no zip archive that can be read.") from fault
    if not found:
        raise ValueError("The archive holds no file of a rulebook.")
    around = {name.partition("/")[0] for name in found}
    if len(around) == 1 and all("/" in name for name in found) and not around & {"guides", "articles", "lessons", "scorecards"}:
        found = {name.partition("/")[2]: text for name, text in found.items()}
    return dict(found)


# ---------------------------------------------------------------- what is shown


def _differences(base: Rulebook, new: Rulebook, row: Any) -> list[policy.Difference]:
    return policy.differences({n: base.files.get(n, "") for n in row.change_data} | _schema(base), {n: t for n, t in new.files.items() if n in row.change_data} | _schema(new), tuple(base.ranks))


def _schema(book: Rulebook) -> dict[str, str]:
    name = "authority.cedarschema"
    return {name: book.files[name]} if name in book.files else {}


def _diff(name: str, base: Rulebook, new: Rulebook) -> dict[str, Any]:
    lines = list(difflib.unified_diff(base.files.get(name, "").splitlines(), new.files.get(name, "").splitlines(), n=2, lineterm=""))[2:]
    return {"name": name, "lines": [("add" if x[:1] == "+" else "cut" if x[:1] == "-" else "at" if x[:2] == "@@" else "", x) for x in lines[:DIFF]], "more": max(len(lines) - DIFF, 0)}


def _trial(request: HttpRequest, row: Any, wrong: list[str], now: datetime) -> dict[str, Any] | None:
    """Whom the change would have met. Only of a bundle that is stored: a draft is tried once it is proposed, or by its maker's wish."""
    if wrong or not row.digest:
        return None
    found = trial.trial(row.base, row.digest, now)
    names = {f"Staff:{person.pk}": person.name for person in staff.everybody()}
    # Whoever may see no customer sees no reference of one either.
    sees = request.user.role in queries.current().authority.roles_with("view.search")
    references = customers.references([c.account_id for t in found.turns for c in t.cases if c.account_id]) if sees else {}
    return {
        "days": trial.days(queries.opened(row.base)), "asked": found.asked, "whole": found.whole, "since": found.since, "unasked": found.unasked,
        "stricter": found.count(True), "looser": sum(t.count for t in found.turns if not t.rule), "other": sum(t.count for t in found.turns if t.rule and t.was),
        "turns": [
            {"title": act_title(t.code), "count": t.count, "was": t.was, "rule": t.rule, "say": t.say, "cite": t.cite, "needs": role_title(t.needs).lower() if t.needs else "",
             "cases": [{"at": c.at, "who": names.get(c.who, c.who), "amount": c.amount_minor, "account": references.get(c.account_id or 0, "")} for c in t.cases]}
            for t in found.turns
        ],
    }  # fmt: skip


def _editor(request: HttpRequest, row: Any, new: Rulebook) -> dict[str, Any]:
    name = request.POST.get("file") or request.GET.get("file", "")
    text = request.POST["text"].replace("\r\n", "\n") if request.method == "POST" and "text" in request.POST else new.files.get(name, "")
    names = sorted({*new.files, *row.change_data})
    return {"file": name, "text": text, "known": name in new.files, "names": [(n, n in row.change_data) for n in names], "rows": min(max(len(text.splitlines()) + 2, 12), 32)}


def _forms(request: HttpRequest, row: Any, outcome: Outcome | None, wrong: list[str], mine: bool, now: datetime) -> dict[str, Any]:
    """What may be done next, and what was answered to the last try."""
    action, code = reverse("change", args=[row.pk]), request.POST.get("code", "")
    propose = second = None
    moves: list[dict[str, Any]] = []
    if row.state == State.DRAFT and mine:
        if row.change_data and not wrong:
            propose = forms.form("rulebook.propose", "Propose it", "Propose", action, [
                forms.hidden("code", "rulebook.propose"),
                forms.field("words", "Why", "textarea", maxlength=4000, hint="Whoever says yes reads this, and so does whoever asks in a year."),
                forms.field("from_at", "In force from", "moment", required=False, hint="Left out: from the second yes on."),
            ], consequence="It is then tried on what was decided, and a second person says yes or no.")  # fmt: skip
        moves.append(forms.button("Give it up", action, code="rulebook.withdraw"))
    if row.state == State.WAITING:
        if mine:
            moves.append(forms.button("Withdraw it", action, code="rulebook.withdraw"))
        else:
            second = forms.form("rulebook.second", "Your answer", "Answer", action, [
                forms.hidden("code", "rulebook.second"),
                forms.field("decision", "Do you agree?", "choice", choices=[("yes", "Yes, let it rule"), ("no", "No")]),
                forms.field("answer", "In a few words", "textarea", required=False, maxlength=2000, hint="Needed for a no."),
            ])  # fmt: skip
        if queries.stale(row, now):
            moves.insert(0, forms.button("Take it up again", action, code="rulebook.take_up"))
    if row.state == State.AGREED and queries.coming(row, now):
        moves.append(forms.button("Call it off", action, code="rulebook.withdraw"))
    refusal, error = None, ""
    if outcome is not None:
        filled = {"rulebook.propose": propose, "rulebook.second": second}.get(code)
        if filled is not None:
            forms.refilled(filled, request.POST.dict(), outcome, [])
        elif outcome.refusal is not None and not outcome.refusal.at_fields:
            refusal = forms.shown_refusal(outcome.refusal, [])
        else:
            error = " ".join(outcome.refusal.fields.values()) if outcome.refusal and outcome.refusal.fields else outcome.say
    return {"propose": propose, "second": second, "moves": moves, "refusal": refusal, "error": error, "key": forms.new_key()}
