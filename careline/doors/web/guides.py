"""Guides, for those who lead: what each holds, in words and as a picture, and how it does in real contacts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from csp.constants import NONE, UNSAFE_INLINE
from csp.decorators import csp_replace
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from careline.acts.look import look
from careline.domain.diagnosis import queries
from careline.domain.diagnosis.rules import draw
from careline.domain.diagnosis.rules.guide import Check, Guide, Remedy
from careline.domain.diagnosis.rules.learn import learn, path_of, written
from careline.domain.diagnosis.rules.walk import Walk
from careline.domain.rulebook import queries as rulebooks
from careline.doors.web import forms
from careline.doors.web.render import duration, page

DAYS = 90
TAUGHT = 2_000  # of the newest walks, which is plenty for a guess at a share
KINDS = {"probe": "read by the desk", "ask": "asked", "do": "tried", "test": "the test"}
LIVES = {"phone": "on the phone", "account": "on the account", "network": "in the network", "person": "how it is used", "circumstance": "no fault, explains answers"}


def _not_shown(request: HttpRequest) -> HttpResponse | None:
    """The look at this section: what is answered instead of it, or None when it may be shown."""
    no = look("view.guides", who=request.user.who).refusal
    if no is None:
        return None
    error = {"title": "Not shown", "say": no.say, "what_to_do": None, "refusal": forms.shown_refusal(no, []), "reference": None, "way_on": []}
    return page(request, "error.html", {"error": error}, 403)


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %") if share == 0 or share >= 0.0995 else f"{100 * share:.1g} %"


def _share(p: float) -> str:
    """With a decimal where it is small: there a change is."""
    return f"{100 * p:.0f} %" if p >= 0.0995 else f"{100 * p:.1f} %"


@require_GET
def show(request: HttpRequest) -> HttpResponse:
    """Every guide in force with its counts, and its last 90 days."""
    if no := _not_shown(request):
        return no
    known = queries.guides(rulebooks.current().digest)
    done = {d.guide: d for d in queries.doings(timezone.now() - timedelta(days=DAYS))}
    rows = [_row(known.get(name), name, done.get(name)) for name in [*known, *(x for x in done if x not in known)]]
    return page(request, "guides.html", {"guides": {"days": DAYS, "rows": sorted(rows, key=lambda r: -r["walks"])}})


def _row(guide: Guide | None, name: str, doing: queries.Doing | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "title": guide.title if guide else name, "trouble": guide.trouble if guide else "Not in the rulebook any more.",
        "href": reverse("guide", args=[name]) if guide else None,
        "causes": len(guide.causes) if guide else None, "checks": len(guide.checks) if guide else None, "remedies": len(guide.remedies) if guide else None, "walks": 0,
    }  # fmt: skip
    return row | _doing(guide, doing)


def _doing(guide: Guide | None, doing: queries.Doing | None) -> dict[str, Any]:
    if doing is None:
        return {"walks": 0, "fixed": None, "handover": None, "left": None, "steps": None, "time": None, "repeats": None, "misleading": []}
    names = guide.check_by_id if guide else {}
    return {
        "walks": doing.walks, "fixed": f"{doing.fixed_rate:.0%}".replace("%", " %"), "handover": doing.handover, "left": doing.left,
        "steps": f"{doing.steps:.1f}", "time": duration(round(doing.seconds)), "repeats": doing.repeats,
        "misleading": [(names[check].title or names[check].say if check in names else check, n) for check, n in doing.misleading],
    }  # fmt: skip


def _guide(guide_id: str) -> tuple[Guide, str]:
    digest = rulebooks.current().digest
    guide = queries.guides(digest).get(guide_id)
    if guide is None:
        raise Http404
    return guide, digest


@require_GET
def one(request: HttpRequest, guide_id: str) -> HttpResponse:
    """One guide in words: its test, causes, checks and remedies."""
    if no := _not_shown(request):
        return no
    guide, digest = _guide(guide_id)
    words = Walk(guide, policy=queries.numbers(digest)).words
    title = {c.id: c.title for c in guide.causes}
    done = next((d for d in queries.doings(timezone.now() - timedelta(days=DAYS)) if d.guide == guide_id), None)
    shape = {
        "title": guide.title, "trouble": guide.trouble, "id": guide.id, "days": DAYS, "doing": _doing(guide, done),
        "picture": reverse("guide-picture", args=[guide.id]),
        "alt": f"Picture of the guide: {len(guide.checks)} checks, {len(guide.causes)} causes, {len(guide.remedies)} remedies. The tables below say the same in words.",
        "test": {"say": words(guide.test.say), "again": words(guide.test.again), "outcomes": [words(o.say) for o in guide.test.outcomes]},
        "taught": _taught(guide, digest),
        "examples": guide.examples[:6], "examples_count": len(guide.examples),
        "causes": [_cause_row(guide, c, words) for c in sorted(guide.causes, key=lambda c: -c.prior)],
        "checks": [_check_row(c, title, words) for c in guide.checks],
        "remedies": [_remedy_row(r, title, words) for r in guide.remedies],
    }
    return page(request, "guide.html", {"guide": shape})


def _taught(guide: Guide, digest: str) -> dict[str, Any]:
    """What closed walks say about how common each cause is: the changes that they propose, with their evidence."""
    walks = queries.taught_lately(timezone.now() - timedelta(days=DAYS), guide.id, TAUGHT)
    files = rulebooks.opened(digest).files
    here = written(files[path_of(files, guide.id)])
    rows = [
        {"title": guide.cause_by_id[x.cause].title, **{name: _share(p) for name, p in (("old", x.old), ("new", x.new), ("low", x.low), ("high", x.high))},
         "times": f"{x.times:.0f}", "walks": x.walks, "here": x.cause in here}
        for x in sorted(learn(guide, walks), key=lambda x: -abs(x.new - x.old)) if x.matters
    ]  # fmt: skip
    return {"walks": len(walks), "rows": rows}


def _cause_row(guide: Guide, cause: Any, words: Callable[[str], str]) -> dict[str, Any]:
    shows = next((words(o.say) for o in guide.test.outcomes if o.id == cause.shows), "")
    by = [r.title for r in guide.remedies_for(cause.id)]
    return {"title": cause.title, "lives": LIVES.get(cause.lives, cause.lives), "prior": _percent(cause.prior), "shows": shows,
            "ends": ([f"{'; '.join(by)}"] if by else []) + ([f"handed over to {cause.handover}"] if cause.handover else []), "teach": words(cause.teach)}  # fmt: skip


def _check_row(check: Check, title: dict[str, str], words: Callable[[str], str]) -> dict[str, Any]:
    return {"title": check.title or "", "say": words(check.say), "kind": KINDS[check.kind], "seconds": f"{check.seconds:g} s" if check.seconds else "",
            "reliability": f"{100 * check.reliability:.3g} %", "outcomes": [(words(o.say), [title[c] for c, _ in o.when if c in title]) for o in check.outcomes]}  # fmt: skip


def _remedy_row(remedy: Remedy, title: dict[str, str], words: Callable[[str], str]) -> dict[str, Any]:
    return {"title": remedy.title, "say": words(remedy.say), "consent": words(remedy.consent), "who": remedy.by,
            "removes": [title[c] for c in remedy.removes if c in title], "first": [title[c] for c in remedy.first if c in title],
            "never": [title[c] for c in remedy.not_with if c in title], "works": f"{100 * remedy.works:.3g} %", "seconds": f"{remedy.seconds:g} s"}  # fmt: skip


@csp_replace({"default-src": [NONE], "style-src": [UNSAFE_INLINE]})
@require_GET
def picture(request: HttpRequest, guide_id: str) -> HttpResponse:
    """The guide as a picture of its own: its style is inside it, and it can load nothing."""
    if no := _not_shown(request):
        return no
    guide, _ = _guide(guide_id)
    response = HttpResponse(draw.svg(guide), content_type="image/svg+xml; charset=utf-8")
    response["Cache-Control"] = "no-store"
    return response
