"""The forms of the acts on lines: each says what it costs, so that it can be read out before it is agreed to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from careline.domain.activations import queries, rules
from careline.domain.customers import queries as customers
from careline.domain.customers.rules import FEATURE_TITLES
from careline.doors.web import forms
from careline.doors.web.account import LABELS, ContactPage
from careline.foundation import phone
from careline.foundation.money import share, shown

LINE = {"account": "id", "line": "id"}
KINDS: dict[str, dict[str, str]] = {
    "lines.suspend": {**LINE, "reason": "text", "words": "text"},
    "lines.restore": {**LINE, "consent": "whole"},
    "lines.set_feature": {**LINE, "feature": "text", "on": "text", "consent": "whole", "address_confirmed": "checkbox"},
    "lines.add_data": {**LINE, "mb": "whole", "consent": "whole"},
    "lines.change_plan": {**LINE, "plan": "id", "consent": "whole", "words": "text"},
    "lines.refresh_provisioning": LINE,
    "lines.reset_registration": LINE,
}


def _chosen(desk: ContactPage, given: Any, *states: str) -> tuple[list[Any], Any]:
    """The lines that a form offers, and the one that it is about."""
    rows = [line for line in desk.lines if line.status in states]
    wanted = str(given.get("line") or "")
    return rows, next((r for r in rows if str(r.pk) == wanted), rows[0] if rows else None)


def _line_field(desk: ContactPage, rows: list[Any], chosen: Any, none: str, **more: Any) -> forms.Field:
    choices = [(r.pk, f"{phone.shown(r.msisdn)}, {r.plan.name}") for r in rows]
    return forms.field("line", "Line", "choice", chosen.pk if chosen else None, choices=choices, hint=None if rows else none, **more)


def _reload(desk: ContactPage, code: str, names: str) -> dict[str, str]:
    """Another line or amount has another price: the form is drawn again with it."""
    return {"href": desk.url(f"?act={code}"), "with": names}


def _suspend_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    rows, chosen = _chosen(desk, given, "active")
    reasons = desk.scene.rulebook.reasons["suspension"]
    choices = [(code, reason["title"]) for code, reason in reasons.items() if code != rules.UNNAMED]
    return forms.form(
        "lines.suspend", "Suspend a line", "Suspend it", desk.do_url("lines.suspend"),
        [
            forms.hidden("account", desk.account_id),
            _line_field(desk, rows, chosen, "No line of this account is active."),
            forms.field("reason", "Why", "choice", given.get("reason") or "lost_or_stolen", choices=choices),
            forms.field("words", "In a few words", "text", given.get("words"), required=False, maxlength=400),
        ],
        cancel_href=desk.url(), consequence="No calls, texts or data until it is restored; emergency calls still go through.",
    )


def _restore_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    rows, chosen = _chosen(desk, given, "suspended")
    reasons = desk.scene.rulebook.reasons["suspension"]
    policy = (reasons.get(chosen.suspended_for) if chosen else None) or reasons[rules.UNNAMED]
    price = int(policy["fee"])
    fields = [
        forms.hidden("account", desk.account_id),
        _line_field(desk, rows, chosen, "No line of this account is suspended.", reload=_reload(desk, "lines.restore", "line")),
    ]
    return forms.form(
        "lines.restore", "Restore a line", "Restore it", desk.do_url("lines.restore"),
        [*fields, *([forms.consent(price, given)] if price else [])],
        cancel_href=desk.url(), consequence="The customer restarts the phone once it is done.",
        say_aloud=f"Restoring the line costs {shown(price)} plus tax, on your next bill. Shall I do that?" if price else None,
    )


def _feature_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    rows, chosen = _chosen(desk, given, "active")
    feature = given.get("feature") if given.get("feature") in FEATURE_TITLES else "roaming"
    policy = desk.scene.rulebook.limits["feature"].get(feature, {})
    has = chosen is not None and feature in chosen.switched_on
    on = given.get("on") if given.get("on") in ("on", "off") else "off" if has else "on"
    price = int(policy.get("price", 0)) if on == "on" else 0
    reload = _reload(desk, "lines.set_feature", "line,feature")
    fields = [
        forms.hidden("account", desk.account_id),
        _line_field(desk, rows, chosen, "No line of this account is active.", reload=reload),
        forms.field("feature", "Feature", "choice", feature, choices=list(FEATURE_TITLES.items()), reload=reload),
        forms.field("on", "Switch it", "choice", on, choices=[("on", "On"), ("off", "Off")],
                    hint=f"It is {'on' if has else 'off'} now." if chosen else None),
    ]
    if policy.get("address") and on == "on":
        fields.append(forms.field("address_confirmed", "They confirmed the address where emergency services would look for them", "checkbox",
                                  given.get("address_confirmed") in ("on", "true"), required=False))
    return forms.form(
        "lines.set_feature", "Switch a feature", "Switch it", desk.do_url("lines.set_feature"),
        [*fields, *([forms.consent(price, given)] if price else [])],
        cancel_href=desk.url(), consequence=f"It costs {shown(price)} plus tax, once." if price else "It costs nothing to switch this.",
    )


def _data_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    rows, chosen = _chosen(desk, given, "active")
    rows = [r for r in rows if r.plan.data_mb is not None]
    chosen = chosen if chosen in rows else rows[0] if rows else None
    limits = desk.scene.rulebook.limits
    step = int(limits["data"]["step_mb"])
    per_gb = rules.price_per_gb(chosen.plan.data_gb_price_minor if chosen else None, limits)
    room = queries.data_room(chosen.data_allowed_mb, chosen.data_added, limits) if chosen else 0
    sizes = list(range(step, (room or 0) + 1, step))
    mb = next((m for m in sizes if str(m) == str(given.get("mb") or "")), sizes[min(1, len(sizes) - 1)] if sizes else 0)
    price = rules.data_price(mb, per_gb)
    reload = _reload(desk, "lines.add_data", "line,mb")
    none = None if sizes else "Nothing more may be added until the next bill." if chosen else None
    fields = [
        forms.hidden("account", desk.account_id),
        _line_field(desk, rows, chosen, "No active line has a data limit.", reload=reload),
        forms.field("mb", "How much", "choice", mb or None, hint=none, reload=reload,
                    choices=[(m, f"{rules.gigabytes(m)}, {shown(rules.data_price(m, per_gb))} plus tax") for m in sizes]),
        forms.consent(price, given) if price else forms.hidden("consent", 0),
    ]
    return forms.form(
        "lines.add_data", "Add data", "Add it", desk.do_url("lines.add_data"), fields,
        cancel_href=desk.url(), consequence="It counts until the next bill, which carries the price with its tax.",
        say_aloud=f"{rules.gigabytes(mb)} more costs {shown(price)} plus tax, on your next bill. Shall I add it?" if price else None,
    )


def _plan_form(desk: ContactPage, given: Any) -> dict[str, Any]:
    rows, chosen = _chosen(desk, given, "active")
    plans = [p for p in customers.plans() if chosen is None or p.pk != chosen.plan_id]
    plan = next((p for p in plans if str(p.pk) == str(given.get("plan") or "")), None)
    reload = _reload(desk, "lines.change_plan", "line,plan")
    price = plan.price_minor if plan else 0
    days, of = (desk.cycle[1] - desk.today).days + 1, (desk.cycle[1] - desk.cycle[0]).days + 1
    now = share((plan.price_minor - chosen.plan.price_minor) if plan and chosen else 0, days, of)
    about = f"From today: for the {days} of {of} days left that is {shown(abs(now))} {'more' if now >= 0 else 'less'} on the next bill, then {shown(price)} a month." if plan and chosen else None
    fields = [
        forms.hidden("account", desk.account_id),
        _line_field(desk, rows, chosen, "No line of this account is active.", reload=reload),
        forms.field("plan", "New plan", "choice", plan.pk if plan else None, choices=[(p.pk, f"{p.name}, {shown(p.price_minor)} a month") for p in plans], reload=reload),
        *([forms.consent(price, given)] if plan and price else [forms.hidden("consent", 0)] if plan else []),
        forms.field("words", "In a few words, why", "text", given.get("words"), required=False, maxlength=400),
    ]
    return forms.form(
        "lines.change_plan", "Change the plan", "Change it", desk.do_url("lines.change_plan"), fields,
        cancel_href=desk.url(), consequence=about or "Choose a plan: what it costs and from when is said before anything changes.",
        say_aloud=f"{plan.name} costs {shown(price)} a month plus tax, from today. Shall I change it?" if plan else None,
    )  # fmt: skip


def _plain(code: str, title: str, submit: str, consequence: str, *states: str) -> Callable[[ContactPage, Any], dict[str, Any]]:
    def form(desk: ContactPage, given: Any) -> dict[str, Any]:
        rows, chosen = _chosen(desk, given, *states)
        fields = [forms.hidden("account", desk.account_id), _line_field(desk, rows, chosen, "This account has no such line.")]
        return forms.form(code, title, submit, desk.do_url(code), fields, cancel_href=desk.url(), consequence=consequence)

    return form


FORMS: dict[str, Callable[[ContactPage, Any], dict[str, Any]]] = {
    "lines.add_data": _data_form,
    "lines.change_plan": _plan_form,
    "lines.set_feature": _feature_form,
    "lines.refresh_provisioning": _plain(
        "lines.refresh_provisioning", "Refresh a line on the network", "Refresh it",
        "The network takes over how the line stands here. The customer restarts the phone after it.", "active", "suspended",
    ),
    "lines.reset_registration": _plain(
        "lines.reset_registration", "Reset a line's registration", "Reset it",
        "The phone loses the network for a minute and signs on anew. Not while they are on a call with it.", "active",
    ),
    "lines.suspend": _suspend_form,
    "lines.restore": _restore_form,
}


def shapes(desk: ContactPage) -> list[dict[str, Any]]:
    shapes = []
    beside = customers.used_beside_data(desk.lines, desk.cycle[0])
    for line in sorted(desk.lines, key=lambda x: x.status == "cancelled"):
        allowance = line.data_allowed_mb
        usage = None
        if allowance and line.status == "active":
            percent = round(100 * line.data_used / allowance)
            usage = {
                "used": f"{line.data_used / 1024:.1f}", "of": f"{allowance / 1024:g}", "unit": "GB", "percent": percent,
                "resets": desk.cycle[1] + timedelta(days=1), "seen": None,
                "state": "bad" if percent >= 100 else "risk" if percent >= 90 else None,
            }
        reason = f": {line.status_reason}" if line.status_reason else ""
        facts = []
        if line.status_since and line.status != "active":
            facts.append((f"{line.status} since", f"{line.status_since:%b} {line.status_since.day}"))
        if line.device:
            facts.append(("IMEI", line.device.imei))
        if line.contract_ends_on:
            facts.append(("contract until", f"{line.contract_ends_on:%b} {line.contract_ends_on.day}, {line.contract_ends_on.year}"))
        if line.data_added:
            facts.append(("data added", f"{line.data_added / 1024:g} GB"))
        facts += [(u.title.lower(), _used(u)) for u in beside[line.pk] if line.status == "active"]
        if on := [FEATURE_TITLES[f] for f in sorted(line.switched_on & set(FEATURE_TITLES))]:
            facts.append(("switched on", ", ".join(on)))
        shapes.append(
            {
                "id": str(line.pk), "number": line.msisdn, "label": line.label or None, "plan": line.plan.name,
                "price": line.plan.price_minor, "status": f"{line.status}{reason}",
                "state": {"suspended": "bad", "cancelled": "quiet", "pending": "risk"}.get(line.status),
                "usage": usage, "device": f"{line.device.make} {line.device.model}" if line.device else None,
                "sim": f"{'eSIM' if line.sim_kind == 'esim' else 'SIM'}, ends {line.iccid[-4:]}" if line.iccid else None,
                "facts": facts, "moves": _moves(desk, line),
            }
        )
    return shapes


def _used(u: customers.Used) -> str:
    """`312 of 500 min`, or `9 min` where there is no limit."""
    of = f" of {u.included:,}" if u.included is not None else ""
    return f"{u.units:,}{of} {u.unit}".strip()


def _moves(desk: ContactPage, line: Any) -> list[dict[str, Any]]:
    """What is done to a line as it stands; authority answers when it is done."""
    codes = {"suspended": ["lines.restore", "lines.change_sim"], "active": ["lines.change_plan", "lines.set_feature", "lines.change_sim", "lines.change_device", "lines.refresh_provisioning"]}.get(line.status, [])
    if line.status == "active" and line.plan.data_mb:
        codes.insert(0, "lines.add_data")
    if desk.row.account.change_lock:
        codes = [code for code in codes if code != "lines.change_sim"]
    moves = [{"label": LABELS[code][0].lower() + LABELS[code][1:], "href": desk.url(f"?act={code}&line={line.pk}")} for code in codes]
    return [*moves, {"label": "find the cause", "href": desk.url(f"?section=cause&line={line.pk}")}] if line.status != "cancelled" else moves
