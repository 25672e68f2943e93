"""The acts about the people and machines that work here."""

from __future__ import annotations

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
from careline.domain.staff.rules import ROLE_TITLES, Role
from careline.foundation.act import Act
from careline.foundation.refusal import refuse

Username = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{1,59}$")]


def _strong(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if text:
        try:
            validate_password(text)
        except DjangoValidationError as fault:
            raise ValueError(" ".join(fault.messages)) from None
    return secret


class Nothing(Input):
    pass


class Add(Input):
    username: Username
    name: Annotated[str, Field(min_length=1, max_length=120)]
    role: Role
    email: ShortWords = ""
    team: Annotated[str, Field(max_length=80)] = ""
    password: Secret = SecretStr("")
    _strong = field_validator("password")(_strong)


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


def sign_in(act: Act, given: Nothing, scene: Scene) -> Done:
    return Done("Signed in")


def sign_out(act: Act, given: Nothing, scene: Scene) -> Done:
    return Done("Signed out")


def begin_add(act: Act, given: Add, scene: Scene) -> Done:
    if queries.by_username(given.username):
        raise refuse("CONFLICT", f"There is already somebody with the sign-in name {given.username}.", fields={"username": "Taken."})
    work = given.model_dump(mode="json", exclude={"password"})
    return Done(f"Adding {given.username}", pending=True, work=work)


def hash_password(work: Mapping[str, Any], given: Add | SetPassword) -> str:
    text = given.password.get_secret_value()
    return make_password(text) if text else ""


def settle_add(act: Act, work: Mapping[str, Any], hashed: str | None, scene: Scene) -> Done:
    person = operations.add(act=act, password_hash=hashed or "", **work)
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


def begin_password(act: Act, given: SetPassword, scene: Scene) -> Done:
    if queries.person(given.staff) is None:
        raise refuse("NOT_FOUND", "There is nobody with this number here.")
    return Done("Changing a password", pending=True, work={"staff_id": given.staff})


def settle_password(act: Act, work: Mapping[str, Any], hashed: str | None, scene: Scene) -> Done:
    if not hashed:
        raise refuse("CONFLICT", "The password was not changed. Set it again.")
    operations.set_password(act=act, staff_id=work["staff_id"], password_hash=hashed)
    return Done("Password changed", chain=journal.staff_chain(str(work["staff_id"])))


NOT_BY_TOKEN = frozenset({"staff.sign_in", "staff.sign_out"})  # a token does not sign in
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
    ActType("staff.sign_in", "Sign in", Nothing, sign_in),
    ActType("staff.sign_out", "Sign out", Nothing, sign_out),
    ActType("staff.add", "Add somebody", Add, begin_add, call=hash_password, recall=lambda _: "", settle=settle_add),
    ActType("staff.change_role", "Change a role", ChangeRole, change_role),
    ActType("staff.set_active", "Switch somebody on or off", SetActive, set_active),
    ActType(
        "staff.set_password", "Set a password", SetPassword, begin_password,
        call=hash_password, recall=lambda _: "", settle=settle_password,
    ),
    ActType("staff.issue_token", "Issue a token", IssueToken, issue_token, facts=token_facts, opening={"token": {"customers": False}}),
    ActType("staff.revoke_token", "Revoke a token", RevokeToken, revoke_token),
    ActType("staff.prefer", "Set preferences", Prefer, prefer),
]
