"""Hiring nobody yet: adding people, changing roles, tokens, and spending daily limits."""

from __future__ import annotations

import hmac
import secrets
from datetime import date, datetime, timedelta
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, validate_totp_code
from allauth.mfa.webauthn.internal.auth import WebAuthn
from allauth.usersessions.models import UserSession
from django.db import IntegrityError, transaction

from careline.domain.staff import queries, rules
from careline.domain.staff.models import Spending, Staff, Team, Token, WayIn
from careline.foundation.act import Act
from careline.foundation.refusal import refuse


def add(*, act: Act, username: str, name: str, role: str, email: str = "", team: str = "") -> Staff:
    """A new member of staff, without a password: a person whom an administrator adds waits to be let in."""
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
    staff.set_unusable_password()
    staff.save()
    _open_way_in(act, staff)
    return staff


def _open_way_in(act: Act, staff: Staff) -> None:
    """Somebody waits to be let in. The command line sets passwords itself, and machines have none."""
    if act.who.kind != "Staff" or rules.kind_of(staff.role) != "Staff":
        return
    way = WayIn.objects.filter(staff=staff, used_at=None).first() or WayIn(staff=staff)
    way.open_again(int(act.who.id), act.at)
    way.save()


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
    was, staff.role = staff.role, role
    staff.save(update_fields=["role"])
    if was == rules.Role.ADMINISTRATOR and role != was:
        _end_password(act, staff)  # who was let in to run the house was not let in to see customers
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
    """A password set on the server; nobody has to let them in any more."""
    staff = _locked(staff_id)
    staff.password = password_hash
    staff.save(update_fields=["password"])
    WayIn.objects.filter(staff=staff, used_at=None).update(used_at=act.at, hash="")
    return staff


def reset_password(*, act: Act, staff_id: int) -> Staff:
    """The password is gone, and with it what it signed in; they wait to be let in."""
    staff = _locked(staff_id)
    if str(staff.pk) == act.who.id:
        raise refuse("CONFLICT", "Nobody resets their own password. Ask another administrator.")
    if rules.kind_of(staff.role) != "Staff":
        raise refuse("CONFLICT", "A machine has no password. Issue it a token.")
    _end_password(act, staff)
    return staff


def _end_password(act: Act, staff: Staff) -> None:
    if act.who.kind != "Staff":
        return
    staff.set_unusable_password()
    staff.save(update_fields=["password"])
    _open_way_in(act, staff)


def _open_way(staff_id: int) -> WayIn | None:
    _locked(staff_id)
    return WayIn.objects.filter(staff_id=staff_id, used_at=None).first()


def let_in(*, act: Act, staff_id: int, code: str, hours: int) -> WayIn:
    """A second person lets somebody in with a code that is kept as a keyed hash. One that was given before ends."""
    way = _open_way(staff_id)
    if way is None:
        raise refuse("CONFLICT", "They do not wait to be let in.")
    way.give(int(act.who.id), queries.code_hash(staff_id, code), act.at + timedelta(hours=hours))
    way.save()
    return way


def use_code(*, act: Act, staff_id: int, code: str, tries: int) -> bool:
    """Type the code of a way in; it is spent by being right. False: wrong, and counted. After `tries` it opens nothing more."""
    way = _open_way(staff_id)
    if way is None or not way.hash or way.expires_at is None or way.expires_at <= act.at or way.tries >= tries:
        return False
    right = hmac.compare_digest(way.hash, queries.code_hash(staff_id, code))
    way.tries += 1
    way.hash = "" if right else way.hash
    way.save(update_fields=["tries", "hash"])
    return right


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


def add_totp(*, act: Act, staff_id: int, secret: str, code: str) -> list[str]:
    """An app that makes codes, proven by one of them. Returns new recovery codes when there were none, to be shown once."""
    staff = _locked(staff_id)
    if Authenticator.objects.filter(user=staff, type=Authenticator.Type.TOTP).exists():
        raise refuse("CONFLICT", "You have an authenticator app already. Take it away first.")
    if not secret or not validate_totp_code(secret, code.replace(" ", "")):
        say = "That is not the code of now. Look at the app again: a code lives for half a minute."
        raise refuse("INVALID", say, fields={"code": say})
    TOTP.activate(staff, secret)
    return _first_codes(staff)


def add_key(*, act: Act, staff_id: int, name: str, credential: dict[str, Any]) -> list[str]:
    """A security key whose answer to our challenge was checked at the door. Returns new recovery codes when there were none."""
    staff = _locked(staff_id)
    WebAuthn.add(staff, name, credential)
    return _first_codes(staff)


def _first_codes(staff: Staff) -> list[str]:
    if Authenticator.objects.filter(user=staff, type=Authenticator.Type.RECOVERY_CODES).exists():
        return []
    codes: list[str] = RecoveryCodes.activate(staff).generate_codes()
    return codes


def new_codes(*, act: Act, staff_id: int) -> list[str]:
    """New recovery codes; the old ones are worth nothing from now on."""
    staff = _locked(staff_id)
    kept = Authenticator.objects.filter(user=staff)
    if not kept.exclude(type=Authenticator.Type.RECOVERY_CODES).exists():
        raise refuse("CONFLICT", "Recovery codes stand in for a second factor. Add one first.")
    kept.filter(type=Authenticator.Type.RECOVERY_CODES).delete()
    return _first_codes(staff)


def remove_factor(*, act: Act, staff_id: int, factor_id: int, needed: bool) -> str:
    """Take one's own factor away; recovery codes go with the last one. Returns its kind. `needed`: the role works with one only."""
    staff = _locked(staff_id)
    usable = Authenticator.objects.filter(user=staff).exclude(type=Authenticator.Type.RECOVERY_CODES)
    row = usable.filter(pk=factor_id).first()
    if row is None:
        raise refuse("NOT_FOUND", "You have no such second factor.")
    if needed and usable.count() == 1:
        raise refuse("CONFLICT", "Your role signs in with a second factor, and this is your last one. Add another first.")
    kind: str = row.type
    row.delete()
    if not usable.exists():
        Authenticator.objects.filter(user=staff).delete()
    return kind


def reset_factors(*, act: Act, staff_id: int) -> tuple[Staff, int]:
    """Take all of somebody's factors away, who lost them, and end their sessions: they begin anew. Returns how many there were."""
    staff = _locked(staff_id)
    rows = Authenticator.objects.filter(user=staff)
    count = rows.exclude(type=Authenticator.Type.RECOVERY_CODES).count()
    rows.delete()
    end_sessions(act=act, staff_id=staff_id)
    return staff, count


def end_sessions(*, act: Act, staff_id: int, session_id: int | None = None, but: str = "") -> int:
    """End somebody's session, or all of them but the one with the key `but`. Returns how many were ended."""
    rows = UserSession.objects.filter(user_id=staff_id).exclude(session_key=but)
    found = list(rows.filter(pk=session_id) if session_id is not None else rows)
    for row in found:
        row.end()
    return len(found)


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
