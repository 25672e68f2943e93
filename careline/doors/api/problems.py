"""What the API says when the answer is no: RFC 9457 problems that name the rule, who could, and the way on."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpResponse

from careline.foundation.refusal import Refusal

# Every code that a problem can carry: its status, its title, and what a client does about it. The docs page lists them.
CODES: dict[str, tuple[int, str, str]] = {
    "BODY": (400, "The request cannot be read", "Send one JSON object in UTF-8."),
    "KEY_MISSING": (400, "The request key is missing", "Send Idempotency-Key: 8 to 80 visible characters, new for each deed."),
    "TOKEN": (401, "No valid token", "Send Authorization: Bearer and a token that is known, not expired and not revoked."),
    "DECLINED": (402, "The payment was declined", "No money moved. Offer another way to pay; a new try needs a new key."),
    "AUTHORITY": (403, "Refused by a rule", "The rule, who could, and the way on are in the problem."),
    "BASIS_MISMATCH": (403, "Another account", "The basis is about another account than the input names."),
    "LOCKED": (403, "This factor is locked", "Offer another factor."),
    "NOT_PROVEN": (403, "That did not match", "It was counted. The sentence says how many tries are left."),
    "SCOPE": (403, "Outside the token's scope", "Ask for a token whose scope lists this code."),
    "NOT_FOUND": (404, "Not here", "There is no such thing, or no such address."),
    "METHOD": (405, "Not this method", "The Allow header lists what this address takes."),
    "CONFLICT": (409, "Not as things stand", "Read the contact again and decide anew; a new try needs a new key."),
    "NETWORK": (409, "The network refused", "Nothing was changed and nothing is charged. The sentence says why; a new try needs a new key."),
    "LENGTH": (411, "The length is missing", "Send Content-Length. A body in chunks is not read."),
    "TOO_LARGE": (413, "The request is too large", "At most 64 KiB."),
    "CONTENT_TYPE": (415, "Not JSON", "Send Content-Type: application/json."),
    "INVALID": (422, "Look at the fields", "`fields` says which and why. No key was used up unless the act itself answered."),
    "CARD_NUMBER": (422, "A payment card number", "Take it out. Card numbers are never stored here."),
    "PIN": (422, "A PIN", "Take it out. A PIN is never kept in clear."),
    "KEY_REUSED": (422, "This key was used before", "With other words. Nothing was done; send a new key."),
    "TOO_MANY": (429, "Too fast", "Wait as long as Retry-After says."),
    "FAULT": (500, "Something broke here", "Send the same request with the same key again: what was done is not done twice."),
    "BUSY": (503, "Not now", "Send the same request with the same key again after Retry-After."),
}


class Problem(Exception):
    """Raised anywhere in this door; answered as problem+json."""

    def __init__(self, refusal: Refusal, *, act: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(refusal.code)
        self.refusal, self.act, self.headers = refusal, act, headers or {}


def problem(code: str, say: str = "", *, act: str = "", headers: dict[str, str] | None = None, **more: Any) -> Problem:
    """Shorthand for `raise problem("BODY", "...")`."""
    return Problem(Refusal(code, say or CODES[code][2], **more), act=act, headers=headers)


def status_of(code: str) -> int:
    """The HTTP status of a refusal's code. A code that nobody listed is still a refusal: 403."""
    return CODES.get(code, CODES["AUTHORITY"])[0]


def answered(refusal: Refusal, *, act: str = "", headers: dict[str, str] | None = None) -> HttpResponse:
    """A refusal as an HTTP answer."""
    status = status_of(refusal.code)
    body = {
        "type": f"/api/docs#{refusal.code}",
        "title": CODES.get(refusal.code, CODES["AUTHORITY"])[1],
        "status": status,
        "detail": refusal.say,
        "code": refusal.code,
        "rule": refusal.rule,
        "cite": refusal.cite,
        "who_could": list(refusal.who_could),
        "way_on": [{"label": w.label, "act": w.act} for w in refusal.way_on],
        "fields": dict(refusal.fields),
        "act": act,
    }
    response = HttpResponse(
        json.dumps(body, ensure_ascii=False).encode(), status=status, content_type="application/problem+json"
    )
    for name, value in (headers or {}).items():
        response[name] = value
    return response


_TEXTS = {"type": "array", "items": {"type": "string"}}
SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "Why not, and the way on (RFC 9457). `detail` is a sentence for people; `code` is for programs.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "rule", "cite", "who_could", "way_on", "fields", "act"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "enum": list(CODES)},
        "rule": {"type": "string", "description": "The id of the rule that said no; empty when no rule did."},
        "cite": {"type": "string", "description": "What the rule rests on."},
        "who_could": {**_TEXTS, "description": "Roles whose holder would be allowed this very deed."},
        "way_on": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["label", "act"],
                "properties": {"label": {"type": "string"}, "act": {"type": "string"}},
            },
        },
        "fields": {"type": "object", "additionalProperties": {"type": "string"}},
        "act": {"type": "string"},
    },
}


def documented(*codes: str) -> dict[int, Any]:
    """The OpenAPI responses of these codes."""
    found: dict[int, list[str]] = {}
    for code in (*codes, "FAULT", "BUSY"):
        found.setdefault(CODES[code][0], []).append(code)
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": "; ".join(f"{c}: {CODES[c][1]}" for c in names), "content": content}
        for status, names in sorted(found.items())
    }
