"""`careline user` and `careline token`: who works here, through the same acts as the staff page."""

from __future__ import annotations

import argparse
import getpass
import sys
import uuid
from collections.abc import Sequence
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.utils import timezone

from careline.acts.declare import Outcome
from careline.acts.perform import perform
from careline.domain.staff import queries
from careline.domain.staff.rules import ROLE_TITLES, Role, kind_of
from careline.doors.jobs import houses
from careline.doors.jobs.stop import Stop
from careline.foundation.act import Who

CLI = Who("Job", "cli", "Command line", "job")


def _do(code: str, **given: Any) -> Outcome:
    """Perform one act as the command line. A refusal ends the command with its words."""
    outcome = perform(code, given, who=CLI, key=uuid.uuid4().hex)
    if outcome.status == "done":
        return outcome
    refusal = outcome.refusal
    fields = " ".join(f"{name}: {say}" for name, say in refusal.fields.items()) if refusal and refusal.fields else ""
    say = fields if outcome.status == "invalid" and fields else outcome.say
    raise Stop(say, 2 if outcome.status == "invalid" else 1)


def _person(username: str) -> Any:
    person = queries.by_username(username)
    if person is None:
        raise Stop(f"There is nobody with the sign-in name {username}. See: careline user list")
    return person


def _role(text: str) -> str:
    if text not in set(Role):
        raise Stop(f"There is no role {text}. Choose one of: {', '.join(Role)}", 2)
    return text


def _ask_password(from_stdin: bool) -> str:
    if from_stdin:
        text = sys.stdin.readline().rstrip("\r\n")
        if not text:
            raise Stop("No password came from standard input.", 2)
        return text
    if not sys.stdin.isatty():
        raise Stop("Give the password with --password-stdin when there is no terminal.", 2)
    text = getpass.getpass("Password (not shown): ")
    if getpass.getpass("Once more: ") != text:
        raise Stop("The two did not match. Nothing was changed.", 2)
    if not text:
        raise Stop("An empty password is none. Nothing was changed.", 2)
    return text


def _strong(text: str) -> str:
    """The password, if it is one: said before anybody is added."""
    try:
        validate_password(text)
    except ValidationError as fault:
        raise Stop("password: " + " ".join(fault.messages), 2) from None
    return text


def add(options: argparse.Namespace) -> int:
    houses.refuse_in_the_demo()
    role = _role(options.role)
    if queries.by_username(options.username):
        raise Stop(f"There is already somebody with the sign-in name {options.username}. See: careline user list")
    by_token = options.no_password or kind_of(role) != "Staff"
    if by_token and options.password_stdin:
        raise Stop(f"A {ROLE_TITLES[role]} signs in by token only. Leave --password-stdin out.", 2)
    password = "" if by_token else _strong(_ask_password(options.password_stdin))
    outcome = _do(
        "staff.add", username=options.username, name=options.name, role=role, email=options.email, team=options.team
    )
    if password:
        _do("staff.set_password", staff=outcome.show["staff"], password=password)
    print(f"{outcome.say}." + (f" Give them a token: careline token issue {options.username} --label …" if by_token else ""))
    return 0


def everybody(options: argparse.Namespace) -> int:
    people = queries.everybody()
    held = queries.factors(p.pk for p in people)
    rows = [
        (p.username, p.name, p.role, p.team.name if p.team else "", "on" if p.is_active else "off",
         ("password" + (" and second factor" if p.pk in held else "")) if p.has_usable_password() else "token only")
        for p in people
    ]  # fmt: skip
    if not rows:
        print("Nobody yet. Begin with: careline user add NAME --name 'Their name' --role administrator")
        return 0
    _table(("sign-in", "name", "role", "team", "state", "signs in by"), rows)
    return 0


def role(options: argparse.Namespace) -> int:
    print(f"{_do('staff.change_role', staff=_person(options.username).pk, role=_role(options.role)).say}.")
    return 0


def on(options: argparse.Namespace) -> int:
    print(f"{_do('staff.set_active', staff=_person(options.username).pk, active=True).say}.")
    return 0


def off(options: argparse.Namespace) -> int:
    print(f"{_do('staff.set_active', staff=_person(options.username).pk, active=False).say}.")
    return 0


def password(options: argparse.Namespace) -> int:
    person = _person(options.username)
    _do("staff.set_password", staff=person.pk, password=_ask_password(options.password_stdin))
    print(f"Password of {person.username} changed.")
    return 0


def lost_factor(options: argparse.Namespace) -> int:
    print(f"{_do('staff.reset_factors', staff=_person(options.username).pk).say}.")
    return 0


def issue(options: argparse.Namespace) -> int:
    person = _person(options.username)
    outcome = _do("staff.issue_token", staff=person.pk, label=options.label, scope=options.scope, days=options.days)
    print(f"{outcome.say}. Number {outcome.show['token_id']}. This is shown once:", file=sys.stderr)
    print(outcome.show["secret"])
    return 0


def tokens(options: argparse.Namespace) -> int:
    now = timezone.now()
    rows = queries.tokens_of(_person(options.username).pk) if options.username else queries.all_tokens()
    if not rows:
        print("No tokens.")
        return 0
    _table(
        ("number", "owner", "label", "begins", "scope", "until", "state"),
        [
            (str(t.pk), t.owner.username, t.label, f"{t.hint}…", t.scope, f"{t.expires_at:%Y-%m-%d}",
             "alive" if t.alive(now) else "revoked" if t.revoked_at else "expired")
            for t in rows
        ],
    )  # fmt: skip
    return 0


def revoke(options: argparse.Namespace) -> int:
    print(f"{_do('staff.revoke_token', token=options.token).say}.")
    return 0


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    for row in [heads, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
