"""The acts about the people and machines that work here."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as DjangoValidationError
from pydantic import Field, SecretStr, StringConstraints, field_validator

from careline.acts.declare import ActType, Done, Id, Input, Scene, Secret, ShortWords, Whole
from careline.domain.journal import rules as journal
from careline.domain.staff import operations, queries
from careline.domain.staff.rules import CODE_LENGTH, CODE_LETTERS, ROLE_TITLES, Role, spelled
from careline.foundation.act import Act
from careline.foundation.refusal import Refusal, refuse

Username = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{1,59}$")]


def _strong(secret: SecretStr) -> SecretStr:
    try:
        validate_password(secret.get_secret_value())
    except DjangoValidationError as fault:
        raise ValueError(" ".join(fault.messages)) from None
    return secret


WRONG_CODE = "The name and the code do not belong together, or the code has run out. Ask your lead for a new one."


class Nothing(Input):
    pass


class SignIn(Input):
    how: Literal["password", "totp", "webauthn", "recovery_codes", "sso"] = "password"


class AddTotp(Input):
    code: Secret
    secret: Secret


class AddKey(Input):
    name: Annotated[str, Field(min_length=1, max_length=60)] = "Security key"
    credential: Secret


class RemoveFactor(Input):
    factor: Id


class ResetFactors(Input):
    staff: Id


class EndSession(Input):
    session: Id | None = None
    keep: Secret = SecretStr("")


class EndSessions(Input):
    staff: Id
    session: Id | None = None


class Add(Input):
    username: Username
    name: Annotated[str, Field(min_length=1, max_length=120)]
    role: Role
    email: ShortWords = ""
    team: Annotated[str, Field(max_length=80)] = ""


class ChangeRole(Input):
    staff: Id
    role: Role


class SetActive(Input):
    staff: Id
    active: bool


class SetPassword(Input):
    staff: Id
    password: Secret
    _strong = field_validator("password")(_strong)


class Somebody(Input):
    staff: Id


class ChoosePassword(Input):
    """Who was let in types the code that they were given, and the password that they alone know."""

    code: Secret
    password: Secret
    _strong = field_validator("password")(_strong)


class IssueToken(Input):
    staff: Id
    label: Annotated[str, Field(min_length=1, max_length=80)]
    scope: Annotated[str, Field(min_length=1, max_length=2000)] = "*"
    days: Annotated[Whole, Field(ge=1, le=400)] = 90


class RevokeToken(Input):
    token: Id


class Prefer(Input):
    theme: Literal["auto", "light", "dark"] = "auto"
    keys_on: bool = True
    palette_key: Annotated[str, StringConstraints(pattern=r"^[a-z]$")] = "k"


HOW = {
    "password": "with a password", "totp": "with a password and an authenticator app", "webauthn": "with a password and a security key",
    "recovery_codes": "with a password and a recovery code", "sso": "by single sign-on",
}  # fmt: skip


def sign_in(act: Act, given: SignIn, scene: Scene) -> Done:
    return Done(f"Signed in {HOW[given.how]}", data={"how": given.how})


def sign_out(act: Act, given: Nothing, scene: Scene) -> Done:
    return Done("Signed out")


def add(act: Act, given: Add, scene: Scene) -> Done:
    person = operations.add(act=act, **given.model_dump(mode="json"))
    return Done(
        f"Added {person.username} as {ROLE_TITLES[person.role].lower()}",
        {"staff": str(person.pk)},
        chain=journal.staff_chain(str(person.pk)),
    )


def change_role(act: Act, given: ChangeRole, scene: Scene) -> Done:
    person, revoked = operations.change_role(act=act, staff_id=given.staff, role=given.role)
    ended = f"; {revoked} token{'s' if revoked > 1 else ''} revoked" if revoked else ""
    return Done(f"{person.username} is now {ROLE_TITLES[person.role].lower()}{ended}", chain=journal.staff_chain(str(person.pk)))


def set_active(act: Act, given: SetActive, scene: Scene) -> Done:
    person = operations.set_active(act=act, staff_id=given.staff, active=given.active)
    return Done(f"{person.username} switched {'on' if given.active else 'off'}", chain=journal.staff_chain(str(person.pk)))


def hash_password(work: Mapping[str, Any], given: SetPassword | ChoosePassword) -> str:
    return make_password(given.password.get_secret_value())


def begin_password(act: Act, given: SetPassword, scene: Scene) -> Done:
    if queries.person(given.staff) is None:
        raise refuse("NOT_FOUND", "There is nobody with this number here.")
    return Done("Changing a password", pending=True, work={"staff_id": given.staff})


def settle_password(act: Act, work: Mapping[str, Any], hashed: str | None, scene: Scene) -> Done:
    if not hashed:
        raise refuse("CONFLICT", "The password was not changed. Set it again.")
    operations.set_password(act=act, staff_id=work["staff_id"], password_hash=hashed)
    return Done("Password changed", chain=journal.staff_chain(str(work["staff_id"])))


def reset_password(act: Act, given: Somebody, scene: Scene) -> Done:
    person = operations.reset_password(act=act, staff_id=given.staff)
    return Done(f"The password of {person.username} is gone; a lead lets them in", chain=journal.staff_chain(str(person.pk)))


def let_in_facts(scene: Scene, act: Act, given: Somebody) -> dict[str, Any]:
    way = queries.way_in(given.staff)
    if way is None:
        raise refuse("CONFLICT", "They do not wait to be let in.")
    return {"wayIn": {"second": act.who.id not in (str(way.staff_id), str(way.asked_by_id))}}


def let_in(act: Act, given: Somebody, scene: Scene) -> Done:
    code = spelled(secrets.choice(CODE_LETTERS) for _ in range(CODE_LENGTH))
    way = operations.let_in(act=act, staff_id=given.staff, code=code, hours=scene.rulebook.limits["way_in"]["hours"])
    return Done(
        f"Let {way.staff.username} in, as {way.asked_by.username} had asked",
        {"staff": str(given.staff)},
        chain=journal.staff_chain(str(given.staff)),
        once={"code": code},
    )


def begin_choice(act: Act, given: ChoosePassword, scene: Scene) -> Done:
    chain = journal.staff_chain(act.who.id)
    right = operations.use_code(
        act=act, staff_id=int(act.who.id), code=given.code.get_secret_value(), tries=scene.rulebook.limits["way_in"]["tries"]
    )
    if not right:
        return Done("Choose a password: a wrong code", chain=chain, refusal=Refusal("NOT_PROVEN", WRONG_CODE, rule="way-in"))
    return Done("Choosing a password", pending=True, work={"staff_id": int(act.who.id)}, chain=chain)


def settle_choice(act: Act, work: Mapping[str, Any], hashed: str | None, scene: Scene) -> Done:
    if not hashed:
        raise refuse("CONFLICT", "The password was not chosen. Ask your lead for a new code.")
    return settle_password(act, work, hashed, scene)


def _added(what: str, act: Act, codes: list[str]) -> Done:
    also = f", and {len(codes)} recovery codes" if codes else ""
    return Done(f"Added {what} as a second factor{also}", chain=journal.staff_chain(act.who.id), once={"codes": codes} if codes else {})


def add_totp(act: Act, given: AddTotp, scene: Scene) -> Done:
    codes = operations.add_totp(
        act=act, staff_id=int(act.who.id), secret=given.secret.get_secret_value(), code=given.code.get_secret_value()
    )
    return _added("an authenticator app", act, codes)


def add_key(act: Act, given: AddKey, scene: Scene) -> Done:
    """The door has checked the key's answer to the challenge of this session."""
    try:
        credential = json.loads(given.credential.get_secret_value())
    except ValueError:
        raise refuse("INVALID", "The security key gave no answer that can be read. Try again.") from None
    return _added("a security key", act, operations.add_key(act=act, staff_id=int(act.who.id), name=given.name, credential=credential))


def new_codes(act: Act, given: Nothing, scene: Scene) -> Done:
    codes = operations.new_codes(act=act, staff_id=int(act.who.id))
    return Done("Made new recovery codes", chain=journal.staff_chain(act.who.id), once={"codes": codes})


def remove_factor(act: Act, given: RemoveFactor, scene: Scene) -> Done:
    needed = act.who.role in scene.rulebook.sign_in.second_factor
    kind = operations.remove_factor(act=act, staff_id=int(act.who.id), factor_id=given.factor, needed=needed)
    return Done(f"Took a second factor away: {queries.FACTOR_NAMES[kind].lower()}", chain=journal.staff_chain(act.who.id))


def reset_factors(act: Act, given: ResetFactors, scene: Scene) -> Done:
    person, count = operations.reset_factors(act=act, staff_id=given.staff)
    if not count:
        raise refuse("CONFLICT", f"{person.username} has no second factor.")
    return Done(f"Second factors of {person.username} taken away, sessions ended", chain=journal.staff_chain(str(person.pk)))


def _ended(count: int) -> str:
    if not count:
        raise refuse("NOT_FOUND", "There is no such session any more.")
    return f"{count} session{'s' if count > 1 else ''} ended"


def end_session(act: Act, given: EndSession, scene: Scene) -> Done:
    count = operations.end_sessions(
        act=act, staff_id=int(act.who.id), session_id=given.session, but=given.keep.get_secret_value()
    )
    return Done(_ended(count), chain=journal.staff_chain(act.who.id))


def end_sessions(act: Act, given: EndSessions, scene: Scene) -> Done:
    person = queries.person(given.staff)
    if person is None:
        raise refuse("NOT_FOUND", "There is nobody with this number here.")
    count = operations.end_sessions(act=act, staff_id=given.staff, session_id=given.session)
    return Done(f"{person.username}: {_ended(count)}", chain=journal.staff_chain(str(given.staff)))


# What is done in a browser by the person themself: a token does not sign in, has no session and no factor.
NOT_BY_TOKEN = frozenset({
    "staff.sign_in", "staff.sign_out", "staff.choose_password", "staff.add_totp", "staff.add_key", "staff.new_codes", "staff.remove_factor", "staff.end_session",
})  # fmt: skip
LOOKS_BY_TOKEN = frozenset({"view.search", "view.contact", "view.account", "view.request"})
NO_CUSTOMERS = {"administrator", "service"}  # what these roles may do shows nobody a customer


def scopes() -> set[str]:
    """What a token's scope may list: every act and look that the API opens."""
    from careline.acts import table

    return (set(table.acts()) - NOT_BY_TOKEN) | LOOKS_BY_TOKEN


def _scope(text: str) -> str:
    """A scope as it is kept. Raises a refusal that names the first code that does not exist."""
    codes = set(text.split())
    unknown = sorted(codes - scopes() - {"*"})
    if unknown:
        say = f"There is no act or look called {unknown[0][:60]}."
        raise refuse("INVALID", say, fields={"scope": f"{say} List codes with spaces between, or * for all that the role has."})
    return "*" if "*" in codes else " ".join(sorted(codes))


def token_facts(scene: Scene, act: Act, given: IssueToken) -> dict[str, Any]:
    """Would this token deal with customers: does it cover anything of its owner's role that administrators and services
    may not do?"""
    owner = queries.person(given.staff)
    if owner is None:
        raise refuse("NOT_FOUND", "There is nobody with this number here.")
    scope = _scope(given.scope)
    roles_with = scene.rulebook.authority.roles_with
    covered = scopes() if scope == "*" else scope.split()
    customers = any(owner.role in roles_with(code) and not NO_CUSTOMERS & set(roles_with(code)) for code in covered)
    return {"token": {"customers": customers}}


def issue_token(act: Act, given: IssueToken, scene: Scene) -> Done:
    token, secret = operations.issue_token(
        act=act, staff_id=given.staff, label=given.label, scope=_scope(given.scope), expires_at=act.at + timedelta(days=given.days)
    )
    return Done(
        f"Token {token.hint}… issued for {token.owner.username}, {given.days} days",
        {"token_id": str(token.pk), "hint": token.hint},
        chain=journal.staff_chain(str(given.staff)),
        once={"secret": secret},
    )


def revoke_token(act: Act, given: RevokeToken, scene: Scene) -> Done:
    token = operations.revoke_token(act=act, token_id=given.token)
    return Done(f"Token {token.hint}… revoked", chain=journal.staff_chain(str(token.owner_id)))


def prefer(act: Act, given: Prefer, scene: Scene) -> Done:
    operations.prefer(
        act=act, staff_id=int(act.who.id), theme=given.theme, keys_on=given.keys_on, palette_key=given.palette_key
    )
    return Done("Preferences saved", chain=journal.staff_chain(act.who.id))


ACTS = [
    ActType("staff.sign_in", "Sign in", SignIn, sign_in),
    ActType("staff.sign_out", "Sign out", Nothing, sign_out),
    ActType("staff.add", "Add somebody", Add, add),
    ActType("staff.change_role", "Change a role", ChangeRole, change_role),
    ActType("staff.set_active", "Switch somebody on or off", SetActive, set_active),
    ActType(
        "staff.set_password", "Set a password", SetPassword, begin_password,
        call=hash_password, recall=lambda _: "", settle=settle_password,
    ),
    ActType("staff.reset_password", "Reset a password", Somebody, reset_password),
    ActType("staff.let_in", "Let somebody in", Somebody, let_in, facts=let_in_facts, opening={"wayIn": {"second": True}}),
    ActType(
        "staff.choose_password", "Choose a password", ChoosePassword, begin_choice,
        call=hash_password, recall=lambda _: "", settle=settle_choice,
    ),
    ActType("staff.issue_token", "Issue a token", IssueToken, issue_token, facts=token_facts, opening={"token": {"customers": False}}),
    ActType("staff.revoke_token", "Revoke a token", RevokeToken, revoke_token),
    ActType("staff.add_totp", "Add an authenticator app", AddTotp, add_totp),
    ActType("staff.add_key", "Add a security key", AddKey, add_key),
    ActType("staff.new_codes", "Make new recovery codes", Nothing, new_codes),
    ActType("staff.remove_factor", "Take a second factor away", RemoveFactor, remove_factor),
    ActType("staff.reset_factors", "Take somebody's second factors away", ResetFactors, reset_factors),
    ActType("staff.end_session", "End a session of one's own", EndSession, end_session),
    ActType("staff.end_sessions", "End somebody's sessions", EndSessions, end_sessions),
    ActType("staff.prefer", "Set preferences", Prefer, prefer),
]
