"""Hiring nobody yet: adding people, changing roles, tokens, and spending daily limits."""

from __future__ import annotations

import secrets
from datetime import date, datetime

from django.db import IntegrityError, transaction

from careline.domain.staff import rules
from careline.domain.staff.models import Spending, Staff, Team, Token
from careline.foundation.act import Act
from careline.foundation.refusal import refuse


def add(
    *, act: Act, username: str, name: str, role: str, email: str = "", team: str = "", password_hash: str = ""
) -> Staff:
    """A new member of staff. Without a password hash they sign in by token only."""
    if Staff.objects.filter(username__iexact=username).exists():
        raise refuse("CONFLICT", f"There is already somebody with the sign-in name {username}.", fields={"username": "Taken."})
    staff = Staff(
        username=username,
        name=name,
        role=role,
        email=email,
        since=act.at,
        team=Team.objects.get_or_create(name=team)[0] if team else None,
    )
    if password_hash:
        staff.password = password_hash
    else:
        staff.set_unusable_password()
    staff.save()
    return staff


def _locked(staff_id: int) -> Staff:
    staff = Staff.objects.select_for_update(no_key=True).filter(pk=staff_id).first()
    if staff is None:
        raise refuse("NOT_FOUND", "There is nobody with this number here.")
    return staff


def change_role(*, act: Act, staff_id: int, role: str) -> tuple[Staff, int]:
    """Another role from now on. Living tokens are revoked, for they were issued to the role that was; returns how many."""
    staff = _locked(staff_id)
    if str(staff.pk) == act.who.id:
        raise refuse("CONFLICT", "Nobody changes their own role. Ask another administrator.")
    if rules.kind_of(staff.role) != rules.kind_of(role):
        raise refuse("CONFLICT", "A person stays a person and a machine a machine. Add a new one instead.")
    staff.role = role
    staff.save(update_fields=["role"])
    living = Token.objects.filter(owner=staff, revoked_at=None, expires_at__gt=act.at)
    return staff, living.update(revoked_at=act.at)


def set_active(*, act: Act, staff_id: int, active: bool) -> Staff:
    staff = _locked(staff_id)
    if str(staff.pk) == act.who.id:
        raise refuse("CONFLICT", "You cannot switch yourself off. Ask another administrator.")
    staff.is_active = active
    staff.save(update_fields=["is_active"])
    return staff


def set_password(*, act: Act, staff_id: int, password_hash: str) -> Staff:
    staff = _locked(staff_id)
    staff.password = password_hash
    staff.save(update_fields=["password"])
    return staff


def prefer(*, act: Act, staff_id: int, theme: str, keys_on: bool, palette_key: str) -> None:
    Staff.objects.filter(pk=staff_id).update(theme=theme, keys_on=keys_on, palette_key=palette_key)


def issue_token(*, act: Act, staff_id: int, label: str, scope: str, expires_at: datetime) -> tuple[Token, str]:
    """A token and its secret; the secret is shown once and kept as a hash only."""
    staff = _locked(staff_id)
    secret = "cl_" + secrets.token_urlsafe(32)
    token = Token.objects.create(
        owner=staff,
        label=label,
        hash=Token.hash_of(secret),
        hint=secret[:7],
        scope=scope,
        created_at=act.at,
        expires_at=expires_at,
    )
    return token, secret


def revoke_token(*, act: Act, token_id: int) -> Token:
    token = Token.objects.select_for_update(no_key=True).filter(pk=token_id).select_related("owner").first()
    if token is None:
        raise refuse("NOT_FOUND", "There is no such token.")
    if token.revoked_at is None:
        token.revoked_at = act.at
        token.save(update_fields=["revoked_at"])
    return token


def lock_spending(*, staff_id: int, kind: str, day: date) -> None:
    """Lock what a person used of a daily limit, making the row on its first use of the day."""
    found = Spending.objects.select_for_update(no_key=True).filter(staff_id=staff_id, kind=kind, day=day)
    if not found.exists():
        try:
            with transaction.atomic():
                Spending.none(staff_id, kind, day).save(force_insert=True)
        except IntegrityError:
            pass  # somebody else made it in this moment; the lock below waits for them
    list(found)


def spend(*, act: Act, staff_id: int, kind: str, day: date, amount_minor: int, count: int = 1) -> None:
    """Use some of a daily limit. The row must be locked and the limit checked by authority before."""
    row = Spending.objects.get(staff_id=staff_id, kind=kind, day=day)
    row.add(amount_minor, count)
    row.save(update_fields=["amount_minor", "count"])
