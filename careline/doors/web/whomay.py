"""Who may do this? An act, an amount, an account and a basis; the answer for every role, with the rule that decides."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from careline.acts import table
from careline.acts.declare import Scene
from careline.acts.look import look
from careline.acts.perform import bare_facts
from careline.acts.whomay import BASES, CALLERS, NEEDS, WHOSE, Answer, Asked, said, who_may
from careline.domain.customers import queries as customers
from careline.domain.rulebook import queries as rulebooks
from careline.doors.web import forms
from careline.doors.web.render import page
from careline.doors.web.rulebook import not_shown, role_title
from careline.foundation import policy
from careline.foundation.act import Basis
from careline.foundation.money import parsed
from careline.foundation.refusal import Refusal
from careline.foundation.rulebook import Rulebook

LABELS = {
    "reason": "Reason", "credit": "Number of the credit", "payment": "Number of the payment", "promotion": "Promotion", "kind": "Kind of hold",
    "until": "Until", "hold": "Number of the hold", "feature": "Feature", "mb": "MB",
    "equipment": "Equipment", "count": "Instalments", "extra_code": "Extra",
}  # fmt: skip

COUNTED = ("mb", "count")  # fields that hold a whole number


@require_GET
def show(request: HttpRequest) -> HttpResponse:
    no = look("view.who_may", who=request.user.who).refusal
    if no is not None:
        return not_shown(request, no)
    book, asked = rulebooks.current(), request.GET
    code = asked.get("act", "")
    kind = table.acts().get(code)
    opens = request.user.role in book.authority.roles_with("view.account_limits")
    faults: dict[str, str] = {}
    typed = _typed(book, code, asked, faults) if kind is not None else {}
    account_id, no = _account(request, book, asked.get("account", "").strip(), opens, faults)
    found: Asked | None = None
    if kind is not None and not faults and no is None:
        try:
            found = who_may(
                code, typed, rulebook=book, basis=asked.get("basis", BASES[0].code), caller=asked.get("caller", "holder"),
                whose=asked.get("whose", "none"), account_id=account_id, at=timezone.now(),
            )  # fmt: skip
        except KeyError:
            faults["basis"] = "Choose one of the list."
    if found is not None and found.missing and "amount" in typed:  # an amount is asked about, and no limit would be
        faults |= dict.fromkeys(found.missing, "The limit depends on it.")
        found = None
    shape = {
        "action": reverse("who-may"), "fields": _fields(book, code, asked, faults, opens), "title": kind.title if kind else None,
        "answers": [_row(a, found.limits) for a in found.answers] if found else None, "limits": found.limits if found else True,
        "missing": [LABELS.get(n, policy.plain(n)).lower() for n in found.missing] if found else [], "fault": found.fault if found else "",
        "refusal": forms.shown_refusal(no, []) if no else None, "rules_href": reverse("rulebook"),
    }  # fmt: skip
    return page(request, "whomay.html", {"who_may": shape}, 422 if faults else 403 if no else 200)


def _account(request: HttpRequest, book: Rulebook, reference: str, opens: bool, faults: dict[str, str]) -> tuple[int | None, Refusal | None]:
    """The account that is asked about: what its limits leave is written on its own chain before it is shown."""
    if not reference or not opens:
        return None, None
    row = customers.account_by_reference(reference)
    if row is None:
        faults["account"] = "There is no account of this reference."
        return None, None
    facts = bare_facts(ownBusiness=customers.ties_with(row.pk, request.user.who))
    scene = Scene(book, Basis("none", None, row.pk), facts)
    looked = look("view.account_limits", who=request.user.who, scene=scene, every_time=True, data={"act": request.GET.get("act", "")[:60]})
    return row.pk, looked.refusal


def _typed(book: Rulebook, code: str, asked: Any, faults: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if asked.get("amount", "").strip():
        try:
            found["amount"] = parsed(asked["amount"])
        except ValueError as fault:
            faults["amount"] = str(fault)
    for name in NEEDS.get(code, ()):
        text = asked.get(name, "").strip()
        if not text:
            continue
        if name == "until":
            try:
                found[name] = date.fromisoformat(text)
            except ValueError:
                faults[name] = "Give a day as YYYY-MM-DD."
        elif name in COUNTED:
            if text.isascii() and text.isdigit() and len(text) < 8:
                found[name] = int(text)
            else:
                faults[name] = "Give a whole number."
        elif (choices := _choices(book, code, name)) and text not in dict(choices):
            faults[name] = "Choose one of the list."
        else:
            found[name] = text[:60]
    return found


def _choices(book: Rulebook, code: str, name: str) -> list[tuple[str, str]]:
    """What a field may be, as the rulebook lists it."""
    if name == "reason":
        of = {"credits.grant": "credit", "lines.suspend": "suspension", "ledger.write_off": "write_off"}.get(code, "")
        return [(key, row["title"]) for key, row in book.reasons.get(of, {}).items()]
    if name == "promotion" and "billing.toml" in book.files:
        return [(p.code, p.title) for p in book.billing.promotions.values()]
    if name in ("equipment", "extra_code") and "billing.toml" in book.files:
        return [(o.code, o.title) for o in (book.billing.equipment if name == "equipment" else book.billing.extras).values()]
    if name == "kind" and "ladder.toml" in book.files:
        return [(h.code, h.title) for h in book.ladder.holds.values() if h.placed]
    if name == "feature":
        return [(key, policy.plain(key)) for key in book.limits.get("feature", {})]
    return []


def _fields(book: Rulebook, code: str, asked: Any, faults: dict[str, str], opens: bool) -> list[dict[str, Any]]:
    def get(name: str, default: str = "") -> str:
        return str(asked.get(name, default))[:80]

    acts = sorted(table.acts().values(), key=lambda k: k.title)
    fields = [
        forms.field("act", "Act", "choice", code, choices=[(k.code, k.title) for k in acts if k.code in policy.actions(book.files["authority.cedarschema"])]),
        forms.field("amount", "Amount", "money", get("amount"), required=False),
    ]
    if opens:
        fields.append(forms.field("account", "Account", "text", get("account"), required=False, placeholder="A-0104822", hint="Left out: an account on which nothing was used yet."))
    for name in NEEDS.get(code, ()):
        choices = _choices(book, code, name)
        kind = "choice" if choices else "date" if name == "until" else "number" if name in COUNTED else "text"
        value = get(name) or ((timezone.now().date() + timedelta(days=14)).isoformat() if name == "until" else "")
        fields.append(forms.field(name, LABELS[name], kind, value, choices=[("", "Choose"), *choices] if choices else (), required=False))
    fields += [
        forms.field("basis", "Why they deal with it", "choice", get("basis", "strong"), choices=[(b.code, b.title) for b in BASES]),
        forms.field("caller", "Who is calling", "choice", get("caller", "holder"), choices=[(k, t) for k, (t, _) in CALLERS.items()], select=True),
        forms.field("whose", "Whose account it is", "choice", get("whose", "none"), choices=list(WHOSE.items()), select=True),
    ]
    for one in fields:
        one["error"] = faults.get(one["name"])
    return fields


def _row(a: Answer, limits: bool) -> dict[str, Any]:
    no = a.refusal if a.has else None
    stops = no or a.stops
    return {
        "role": role_title(a.role), "yes": a.refusal is None, "has": a.has, "said": said(a) if limits or a.refusal else "may open it", "say": no.say if no else "", "rule": stops.rule if stops else "",
        "cite": stops.cite if stops else "", "next": a.stops.say if a.stops and not no else "", "ways": [w.label for w in no.way_on] if no else [],
    }  # fmt: skip
