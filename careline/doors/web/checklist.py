"""What an administrator sees to before customers are served here, read from the house itself; it stays as a look at how things stand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from careline import carriers
from careline.acts.look import look
from careline.domain.customers import queries as customers
from careline.domain.journal import queries as journal
from careline.domain.rulebook import queries as rulebooks
from careline.domain.staff import queries as staff
from careline.domain.staff.rules import ROLE_TITLES
from careline.doors import ready
from careline.doors.jobs import houses
from careline.doors.web import oops
from careline.doors.web.render import ago, page
from careline.foundation.act import Who
from careline.foundation.rulebook import Rulebook

STALE = timedelta(days=2)  # a backup that is older is missed
MACHINES = ("agent", "service")
CLI, IMPORT = Who("Job", "cli", "", "job"), Who("Job", "import", "", "job")

Item = dict[str, Any]


def show(request: HttpRequest) -> HttpResponse:
    looked = look("view.staff", who=request.user.who)
    if looked.refusal is not None:
        return oops.refused(request, looked.refusal, [])
    groups = [{"title": title, "items": list(found())} for title, found in (("People", _people), ("Rules and customers", _carrier), ("The machine", _machine))]
    left = sum(1 for g in groups for i in g["items"] if i["state"] != "ok")
    return page(request, "checklist.html", {"checklist": {"groups": groups, "left": left, "of": sum(len(g["items"]) for g in groups)}})


def _item(ok: bool, title: str, say: Any, do: str = "", command: str = "") -> Item:
    return {"state": "ok" if ok else "risk", "title": title, "say": say, "do": "" if ok else do, "command": "" if ok else command}


def _people() -> Iterator[Item]:
    people = [p for p in staff.everybody() if p.is_active and p.role not in MACHINES]
    never = [p.name for p in people if p.last_login is None]
    yield _item(
        not never, "Everybody has signed in", f"{len(people) - len(never)} of {len(people)}" + (f"; not yet: {_names(never)}" if never else ""),
        "Tell them their sign-in name, and let them in.",
    )
    lead = rulebooks.current().authority.roles_with("approvals.decide")
    leads = [p.name for p in people if p.role in lead]
    yield _item(len(leads) > 1, "Two people who decide", _names(leads) or "Nobody yet", "With one lead or supervisor, nobody decides while they are away.")
    admins = [p.name for p in people if p.role == "administrator"]
    yield _item(len(admins) > 1, "Two administrators", _names(admins), "Add a second one: nobody changes their own role.")
    needed, held = rulebooks.current().sign_in.second_factor, staff.factors(p.pk for p in people)
    lacking = [p.name for p in people if p.role in needed and p.pk not in held]
    who = ", ".join(ROLE_TITLES.get(r, r).lower() for r in sorted(needed)) or "nobody"
    if not settings.SECOND_FACTORS:
        yield _item(False, "Second factors", "Nobody is asked for one in the demo", "They are asked for outside the demo.")
    elif not needed:
        yield _item(False, "Second factors", "The rulebook asks nobody for one", "Put sign_in.toml into your rulebook.")
    else:
        yield _item(not lacking, "Second factors", f"Needed by {who}" + (f"; missing: {_names(lacking)}" if lacking else "; all have one"), "They add one at their next sign-in.")


def _carrier() -> Iterator[Item]:
    yield _item(not (settings.DEMO or houses.is_demo()), "No made-up customers", "This is the demo" if settings.DEMO or houses.is_demo() else "This house is your own", "Begin in a folder of your own.", "export CARELINE_HOME=…")
    book = rulebooks.current()
    shipped = book.digest == Rulebook.from_folder(settings.ROOT / "rulebook" / "default").digest
    yield _item(not shipped, "Your own rulebook", "In force is the example that Careline comes with" if shipped else f"{book.digest[:12]} is in force",
                "Copy it, put your limits, reasons and fees there, and take it into force with two people.", "careline rulebook activate FOLDER --by … --second …")  # fmt: skip
    ran = journal.last_by(IMPORT, "imports.run")
    any_account = customers.any_account()
    yield _item(any_account, "Customers are here", ago(ran) if ran else "Made with the demo" if any_account and settings.DEMO else "Entered by hand" if any_account else "None yet", "Import your accounts, lines, bills and payments.", "careline import mapping.toml --out import-report")
    silent = bool(ran) and not settings.FEED and "outside" in {book.records.get(e, "outside") for e in ("customers", "accounts", "lines", "people")}
    yield _item(not silent, "Who holds the records", "Another system, which hears of no change made here" if silent else "Said in records.toml",
                "Let it hear of them, or say in the rulebook's records.toml that it alone changes them, or that Careline holds them.", "CARELINE_FEED=…")  # fmt: skip
    yield _item(bool(os.environ.get("CARELINE_CARRIER")) or settings.DEMO, "The carrier's name", f"Customers read “{settings.CARRIER_NAME}”", "Say it in the settings.", "CARELINE_CARRIER=…")
    notes = [n.partition(":")[0] for n in carriers.notes()]
    yield _item(not notes, "Outside systems", "All are named" if not notes else f"{notes[0][0].upper()}{notes[0][1:]}" + (f", and {len(notes) - 1} more" if len(notes) > 1 else ""), "Name your providers in the settings.")


def _machine() -> Iterator[Item]:
    now = timezone.now()
    saved = journal.last_by(CLI, "backups.take")
    yield _item(saved is not None and now - saved < STALE, "Backups", ago(saved) if saved else "None was taken", "Take one every night, and try a restore once.", "careline backup /backup --keep 14")
    yield _item(settings.TLS, "TLS", "On" if settings.TLS else "This desk is reached without it", "Put a proxy in front and say so.", "CARELINE_TLS=1")
    outside = bool(os.environ.get("CARELINE_ANCHORS"))
    yield _item(outside, "A witness elsewhere", "Anchors are written where the settings say" if outside else "Anchors lie beside the database", "Write them to another machine's disk.", "CARELINE_ANCHORS=/mnt/elsewhere/anchors.txt")
    worker = ready.worker()
    yield _item(worker == "ok", "The worker", "Lives" if worker == "ok" else worker[0].upper() + worker[1:], "Start it: without it nothing is sent.", "careline worker")


def _names(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")

