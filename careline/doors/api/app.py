"""The API: every act at /api/acts/<code> with the same authority as at the desk, and the looks that an act needs.

A token says who; the basis in the envelope says on whose behalf; `perform` and `look` decide. Nothing is decided here
but what belongs to a door: is the token known, does its scope cover the act, can the request be read.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Annotated, Any, Literal

from allauth.account.adapter import get_adapter
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.urls import URLPattern, re_path
from django.utils import timezone
from django.views.decorators.http import require_safe
from ninja import Header, NinjaAPI, Query, Schema
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.security import HttpBearer
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, create_model
from pydantic_core import CoreSchema, core_schema

from careline.acts import table
from careline.acts.declare import ActType, BasisRef, Id, Outcome, Scene
from careline.acts.look import look, search
from careline.acts.perform import perform, scene_for_page
from careline.acts.staff import NOT_BY_TOKEN
from careline.domain.approvals import queries as approvals
from careline.domain.contacts import queries as contacts
from careline.domain.ledger import queries as ledger
from careline.domain.rulebook import queries as rulebooks
from careline.domain.staff import queries as staff
from careline.doors.api import shapes
from careline.doors.api.problems import CODES, SCHEMA, Problem, answered, documented, problem
from careline.doors.api.reading import StrictParser, keepable, too_large, unkeepable, unmeasured
from careline.doors.web.render import page
from careline.foundation.refusal import Refusal, Refused

log = logging.getLogger("careline.api")

FAILURES_A_MINUTE = 20

# The lists of the rulebook that a field chooses from: /api/acts gives them beside the schema.
CHOICES = {
    "contacts.reason": {"reason": "contact"},
    "credits.grant": {"reason": "credit"},
    "lines.suspend": {"reason": "suspension"},
    "contacts.wrap_up": {"disposition": "disposition", "root_cause": "root_cause"},
}


# ---------------------------------------------------------------- who is asking


class Bearer(HttpBearer):
    """A token of somebody who works here, or of a machine. A valid one is never slowed by a neighbour's failures."""

    def authenticate(self, request: HttpRequest, token: str) -> staff.Bearer | None:
        found = staff.bearer(token, timezone.now()) if token else None
        if found is None:
            _count_failure(request)
        return found


class SignedIn:
    """The desk's own session: only for reading the description of the API."""

    def __call__(self, request: HttpRequest) -> Any:
        user = getattr(request, "user", None)
        return user if user is not None and user.is_authenticated else None


def _count_failure(request: HttpRequest) -> None:
    """Twenty unknown tokens a minute from one address; then 429, and nothing more is written."""
    try:
        address = get_adapter().get_client_ip(request)
    except (PermissionDenied, ImproperlyConfigured):
        address = "unknown"
    now = int(time.time())
    name = f"api-failures-{address}-{now // 60}"
    used = int(cache.get_or_set(name, 0, 120) or 0)
    if used >= FAILURES_A_MINUTE:
        raise problem("TOO_MANY", "Too many unknown tokens from this address.", headers={"Retry-After": str(60 - now % 60)})
    cache.set(name, used + 1, 120)


def _covered(request: HttpRequest, *codes: str) -> staff.Bearer:
    bearer: staff.Bearer = request.auth  # type: ignore[attr-defined]
    if not any(bearer.covers(code) for code in codes):
        say = f"This token is not for {codes[0]}. Its scope lists what it is for."
        raise problem("SCOPE", say, act=codes[0], rule="token-scope", cite="House rule: a token does what its scope lists, and no more")
    return bearer


# ---------------------------------------------------------------- the envelope


class BasisIn(BaseModel):
    """Why this account, now: the contact in hand, or the request to decide."""

    model_config = ConfigDict(extra="forbid")
    # Never `job` or `sign_in`: those carry a level of their own and are for doors that prove it.
    kind: Literal["contact", "request"]
    id: Id


class Answer(Schema):
    """`done`, or `pending`: send the same request with the same key again until it is done or refused. What `show` has
    of money is in minor units of the account's currency."""

    status: Literal["done", "pending"]
    say: str
    show: dict[str, Any]


class _Described:
    """An input that OpenAPI describes as the act's own model and that `perform` checks, in the act's own words."""

    def __init__(self, model: type[BaseModel]) -> None:
        self.model = model

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.dict_schema(core_schema.str_schema(), core_schema.any_schema())

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> Any:
        return handler(self.model.__pydantic_core_schema__)


def _name(code: str) -> str:
    return "".join(part.title() for part in code.replace(".", "_").split("_"))


def envelope(kind: ActType) -> type[BaseModel]:
    """The body of one act: its basis, why, and its own input."""
    needs_input = any(f.is_required() for f in kind.input.model_fields.values())
    fields: dict[str, Any] = {
        "basis": (BasisIn | None, None),
        "why": (Annotated[str, Field(max_length=400)], ""),
        "input": (
            Annotated[dict[str, Any], _Described(kind.input)],
            ... if needs_input else Field(default_factory=dict),
        ),
    }
    return create_model(f"{_name(kind.code)}Request", __config__=ConfigDict(extra="forbid"), **fields)


# ---------------------------------------------------------------- the application


class Api(NinjaAPI):
    """NinjaAPI whose every answer, also to a wrong address or method, is JSON or a problem."""

    def _get_urls(self) -> list[Any]:
        found = [
            *(u for router in self._get_bound_routers() for u in router.urls_paths(router.prefix)),
            re_path(r"^.*$", _nothing_here, name="nothing-here"),
        ]
        for url in found:
            if isinstance(url, URLPattern):
                url.callback = _plain_spoken(url.callback)
        return found

    def described(self) -> dict[str, Any]:
        schema = dict(self.get_openapi_schema(path_prefix="/api/"))
        schema["components"]["schemas"]["Problem"] = SCHEMA
        return schema


def _plain_spoken(view: Callable[..., Any]) -> Callable[..., Any]:
    def spoken(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            if unmeasured(request):
                raise problem("LENGTH")
            if too_large(request):
                raise problem("TOO_LARGE")
            response = view(request, *args, **kwargs)
        except Exception as fault:
            response = api.on_exception(request, fault)
        if response.status_code == 405:
            allow = response.get("Allow", "")
            response = answered(Refusal("METHOD", f"This address takes {allow} only."), headers={"Allow": allow})
        response["Cache-Control"] = "no-store"
        return response

    spoken.csrf_exempt = True  # type: ignore[attr-defined]  # tokens only: no cookie opens anything here that changes
    return spoken


def _nothing_here(request: HttpRequest) -> HttpResponse:
    raise problem("NOT_FOUND", "There is nothing at this address. /api/openapi.json lists what there is.")


api = Api(
    title="Careline",
    version="1",
    description="Every act of the desk, with the same authority, and the looks that an act needs.",
    urls_namespace="api",
    openapi_url=None,
    docs_url=None,
    auth=Bearer(),
    parser=StrictParser(),
)


@api.exception_handler(Problem)
def _on_problem(request: HttpRequest, fault: Problem) -> HttpResponse:
    return answered(fault.refusal, act=fault.act, headers=fault.headers)


@api.exception_handler(Refused)
def _on_refused(request: HttpRequest, fault: Refused) -> HttpResponse:
    """A refusal that an act raised where nothing turned it into an outcome: still a refusal, and nothing was done."""
    return answered(fault.refusal, act=request.path.rpartition("/")[2])


@api.exception_handler(UnreadablePostError)
def _on_half(request: HttpRequest, fault: UnreadablePostError) -> HttpResponse:
    return answered(Refusal("BODY", "The request ended before it was whole."))


@api.exception_handler(HttpError)
def _on_unread(request: HttpRequest, fault: HttpError) -> HttpResponse:
    """ninja wraps what the parser says; whatever else it raises by this class is about reading the request too."""
    cause = fault.__cause__ or fault.__context__
    return _on_problem(request, cause if isinstance(cause, Problem) else problem("BODY"))


@api.exception_handler(AuthenticationError)
def _on_no_token(request: HttpRequest, fault: AuthenticationError) -> HttpResponse:
    sent = bool(request.headers.get("Authorization"))
    say = "This token is unknown, expired or revoked." if sent else CODES["TOKEN"][2]
    challenge = 'Bearer realm="careline"' + (', error="invalid_token"' if sent else "")
    return answered(Refusal("TOKEN", say), headers={"WWW-Authenticate": challenge})


@api.exception_handler(ValidationError)
def _on_invalid(request: HttpRequest, fault: ValidationError) -> HttpResponse:
    fields: dict[str, str] = {}
    for error in fault.errors:
        where, *loc = (str(part) for part in error["loc"])
        if where == "header":
            return answered(Refusal("KEY_MISSING", CODES["KEY_MISSING"][2], fields={"Idempotency-Key": "8 to 80 visible characters without spaces."}))
        if where == "body" and error["type"] == "missing" and len(loc) == 1:
            return answered(Refusal("BODY", CODES["BODY"][2]))  # nothing was sent
        loc = loc[1:] if where == "body" else loc
        name = ".".join(loc) or where
        plain = _PLAIN.get(error["type"], "").format(**error.get("ctx", {}))
        fields.setdefault(name if keepable(name) else where, plain or error["msg"].removeprefix("Value error, "))
    return answered(Refusal("INVALID", f"Look at {', '.join(fields)}.", fields=fields))


_PLAIN = {
    "missing": "This is needed.", "extra_forbidden": "There is no such field.", "literal_error": "Choose one of: {expected}.",
    "string_too_short": "This is needed.", "string_too_long": "That is too long; at most {max_length} characters.", "string_type": "Give text.",
    "dict_type": "Give an object.", "model_type": "Give an object.", "model_attributes_type": "Give an object.", "greater_than": "There is no such id.", "less_than": "There is no such id.",
}


@api.exception_handler(OperationalError)
@api.exception_handler(InterfaceError)
def _on_busy(request: HttpRequest, fault: Exception) -> HttpResponse:
    log.error("%s %s: the database did not answer (%s)", request.method, request.path, type(fault).__name__)
    return answered(Refusal("BUSY", CODES["BUSY"][2]), headers={"Retry-After": "2"})


@api.exception_handler(Exception)
def _on_fault(request: HttpRequest, fault: Exception) -> HttpResponse:
    """Never a traceback in the answer, and never a message in the log: messages carry what customers said."""
    at = fault.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    where = f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}" if at is not None else "nowhere"
    log.critical("%s %s: %s at %s", request.method, request.path, type(fault).__name__, where)
    return answered(Refusal("FAULT", CODES["FAULT"][2]))


# ---------------------------------------------------------------- acts

KEY = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{8,80}$",
        description="New for each deed. The same key and body again is the same deed and the same answer; with another body it is refused.",
    ),
]
ACT_CODES = (
    "BODY", "KEY_MISSING", "TOKEN", "AUTHORITY", "BASIS_MISMATCH", "SCOPE", "NOT_FOUND", "CONFLICT", "LENGTH", "TOO_LARGE",
    "CONTENT_TYPE", "INVALID", "CARD_NUMBER", "PIN", "KEY_REUSED", "TOO_MANY",
)
MORE_CODES = {
    "payments.take": ("DECLINED",),
    "contacts.check_pin": ("NOT_PROVEN", "LOCKED"),
    "contacts.check_code": ("NOT_PROVEN", "LOCKED"),
    "contacts.send_code": ("LOCKED",),
    "contacts.call_back": ("LOCKED",),
    "contacts.call_back_answered": ("NOT_PROVEN", "LOCKED"),
    **{f"lines.{verb}": ("NETWORK",) for verb in ("suspend", "restore", "set_feature", "add_data", "refresh_provisioning", "reset_registration")},
}


def _basis(given: BasisIn | None, act: str) -> BasisRef:
    """An unknown contact or request is 404, before anything is done or written."""
    if given is None:
        return BasisRef()
    there = contacts.contact(given.id) if given.kind == "contact" else approvals.request(given.id)
    if there is None:
        raise problem("NOT_FOUND", f"There is no such {given.kind}.", act=act)
    return BasisRef(given.kind, given.id)


def _answer(outcome: Outcome, act: str) -> HttpResponse:
    if outcome.refusal is not None or outcome.status not in ("done", "pending"):
        return answered(outcome.refusal or Refusal("CONFLICT", outcome.say), act=act)
    body = {"status": outcome.status, "say": outcome.say, "show": dict(outcome.show)}
    return JsonResponse(body, status=202 if outcome.status == "pending" else 200)


def _add(kind: ActType) -> None:
    def do(request: HttpRequest, body: Any, key: Any) -> HttpResponse:
        bearer = _covered(request, kind.code)
        basis = _basis(body.basis, kind.code)
        return _answer(perform(kind.code, body.input, who=bearer.who, key=key, basis=basis, why=body.why), kind.code)

    do.__annotations__ = {"request": HttpRequest, "body": envelope(kind), "key": KEY, "return": HttpResponse}
    api.post(
        f"/acts/{kind.code}",
        response={200: Answer, 202: Answer},
        operation_id=kind.code,
        summary=kind.title,
        tags=[kind.code.partition(".")[0]],
        url_name=f"act-{kind.code}",
        openapi_extra={"responses": documented(*ACT_CODES, *MORE_CODES.get(kind.code, ()))},
    )(do)


def api_acts() -> dict[str, ActType]:
    """Every act that has an endpoint."""
    return {code: kind for code, kind in table.acts().items() if code not in NOT_BY_TOKEN}


for _kind in api_acts().values():
    _add(_kind)


# ---------------------------------------------------------------- looks


def _get(address: str, name: str, summary: str, *codes: str) -> Callable[..., Any]:
    return api.get(
        address,
        response={200: dict[str, Any]},
        operation_id=name,
        url_name=name,
        summary=summary,
        tags=["looks"],
        openapi_extra={"responses": documented("TOKEN", *codes, "TOO_MANY")},
    )


def _number(id_: str) -> int | None:
    """The id of a row; None for whatever else stands there."""
    return int(id_) if id_.isascii() and id_.isdigit() and len(id_) <= 18 else None


def _scene(request: HttpRequest, id_: str, section: str, **more: Any) -> Scene:
    """The contact for this principal now, looked at: 404 for one that nobody has, 403 with its rule for another's."""
    bearer = _covered(request, section)
    number = _number(id_)
    row = contacts.contact(number) if number is not None else None
    if row is None:
        raise problem("NOT_FOUND", "There is no such contact.", act=section)
    scene = scene_for_page(row, bearer.who, rulebooks.current(), timezone.now())
    looked = look(section, who=bearer.who, scene=scene, **more)
    if looked.refusal is not None:
        raise Problem(looked.refusal, act=section)
    return scene


@_get("/me", "me", "Who this token is, and what waits for them")
def me(request: HttpRequest) -> HttpResponse:
    bearer: staff.Bearer = request.auth  # type: ignore[attr-defined]
    who = bearer.who
    takes = who.role in rulebooks.current().authority.roles_with("contacts.open") and bearer.covers("view.contact")

    def brief(row: Any) -> dict[str, Any]:
        return {
            "id": str(row.pk), "reference": row.reference, "channel": row.channel, "state": row.state,
            "began": shapes.when(row.began),
        }

    return JsonResponse(
        {
            "id": who.id,
            "kind": who.kind,
            "name": who.name,
            "role": who.role,
            "scope": sorted(bearer.scope),
            "contacts": [brief(r) for r in contacts.all_open_of(who.id)] if takes else [],
            "offered": [brief(r) for r in contacts.offered_to(who.id)] if takes else [],
            "ringing": [brief(r) for r in contacts.ringing()] if takes else [],
        }
    )


@_get("/acts", "acts", "The acts of this token: its owner's role and its scope together")
def acts(request: HttpRequest) -> HttpResponse:
    bearer: staff.Bearer = request.auth  # type: ignore[attr-defined]
    rulebook = rulebooks.current()
    mine = [
        {
            "code": code,
            "title": kind.title,
            "input": kind.input.model_json_schema(),
            "choices": {
                field: [{"code": c, "title": r["title"]} for c, r in rulebook.reasons[name].items()]
                for field, name in CHOICES.get(code, {}).items()
            },
        }
        for code, kind in api_acts().items()
        if bearer.covers(code) and bearer.who.role in rulebook.authority.roles_with(code)
    ]
    return JsonResponse({"acts": mine})


@_get("/find", "find", "Find an account by number, reference or name", "AUTHORITY", "SCOPE", "INVALID", "CARD_NUMBER")
def find(request: HttpRequest, q: Annotated[str, Query(min_length=1, max_length=100)]) -> HttpResponse:
    bearer = _covered(request, "view.search")
    if not keepable(q):
        raise unkeepable("q")
    found = search(q, who=bearer.who)
    if found.refusal is not None:
        headers = {"Retry-After": "300"} if found.refusal.code == "TOO_MANY" else None
        raise Problem(found.refusal, act="view.search", headers=headers)
    return JsonResponse({"hits": [shapes.hit(h) for h in found.hits], "more": found.more})


@_get("/contacts/{contact_id}", "contact", "A contact of mine", "AUTHORITY", "SCOPE", "NOT_FOUND")
def contact(request: HttpRequest, contact_id: str) -> HttpResponse:
    return JsonResponse(shapes.contact(_scene(request, contact_id, "view.contact"), timezone.now()))


@_get("/accounts/of-contact/{contact_id}", "account", "The account of a contact of mine", "AUTHORITY", "SCOPE", "NOT_FOUND")
def account(request: HttpRequest, contact_id: str) -> HttpResponse:
    return JsonResponse(shapes.account(_scene(request, contact_id, "view.account"), timezone.now()))


@_get("/contacts/{contact_id}/papers/{paper_id}", "paper", "A bill or statement as PDF, once it is made", "AUTHORITY", "SCOPE", "NOT_FOUND")
def paper(request: HttpRequest, contact_id: str, paper_id: str) -> HttpResponse:
    """A line in the journal each time. `pdf` is base64, null until the paper is made."""
    number = _number(paper_id)
    scene = _scene(request, contact_id, "view.paper", data={"paper": str(number)}, every_time=True)
    found = ledger.paper(number) if number is not None else None
    if found is None or found.account_id != scene.basis.account_id:
        raise problem("NOT_FOUND", "There is no such paper of this account.", act="view.paper")
    return JsonResponse(shapes.paper(found, ledger.paper_body(found.pk)))


@_get("/requests", "requests", "What waits for my decision", "SCOPE")
def requests(request: HttpRequest) -> HttpResponse:
    bearer = _covered(request, "view.request", "approvals.decide")
    rows = approvals.waiting_for(bearer.who.role, bearer.who.id, timezone.now())
    return JsonResponse({"requests": [shapes.waiting(r) for r in rows]})


# ---------------------------------------------------------------- the description


@api.get("/openapi.json", auth=[Bearer(), SignedIn()], include_in_schema=False, url_name="openapi")
def openapi(request: HttpRequest) -> HttpResponse:
    return JsonResponse(api.described())


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """The page for people: acts, inputs, errors. Drawn on the server, without a script of its own. A page of the desk,
    so access.py says who may knock; it is mounted beside the API as `api-docs`."""
    rooms: dict[str, list[dict[str, Any]]] = {}
    authority = rulebooks.current().authority
    for code, kind in api_acts().items():
        rooms.setdefault(code.partition(".")[0], []).append(
            {
                "code": code,
                "title": kind.title,
                "text": (kind.input.__doc__ or "").strip(),
                "roles": authority.roles_with(code),
                "fields": _field_rows(kind.input.model_json_schema()),
            }
        )
    looks = [
        {"path": path_, "summary": op["get"]["summary"]}
        for path_, op in api.described()["paths"].items()
        if "get" in op
    ]
    errors = [{"code": c, "status": s, "title": t, "text": x} for c, (s, t, x) in CODES.items()]
    return page(request, "api.html", {"rooms": rooms, "looks": looks, "errors": errors})


def _field_rows(schema: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for name, field in schema.get("properties", {}).items():
        kinds = [_resolved(k, schema) for k in field.get("anyOf", [field])]
        words = []
        for kind in kinds:
            if "enum" in kind:
                words.append("one of " + ", ".join(map(str, kind["enum"])))
            elif kind.get("type") != "null":
                words.append({"date": "day, YYYY-MM-DD", "password": "text, never kept"}.get(kind.get("format", ""), _TYPES.get(kind.get("type", ""), "value")))
            if "maxLength" in kind:
                words[-1] += f", at most {kind['maxLength']} characters"
        rows.append({"name": name, "kind": " or ".join(words), "needed": name in schema.get("required", [])})
    return rows


_TYPES = {"string": "text", "integer": "whole number", "boolean": "true or false", "object": "object"}


def _resolved(kind: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    ref = kind.get("$ref") or (kind.get("allOf") or [{}])[0].get("$ref")
    found: dict[str, Any] = schema["$defs"][ref.rsplit("/", 1)[-1]] if ref else kind
    return found
