"""`careline demo`: a made-up carrier, with people at the desk, two thousand accounts and eighteen months behind them."""

from __future__ import annotations

import argparse
import time

from django.conf import settings
from django.db import connection
from django.utils import timezone

from careline.domain.contacts import queries as contacts
from careline.domain.customers import queries as customers
from careline.domain.staff.rules import ROLE_TITLES
from careline.doors.jobs import demos, houses, serving, setup
from careline.doors.jobs.demo import making, stories
from careline.doors.jobs.stop import Stop
from careline.foundation import phone

MOST = 50_000  # accounts


def main(options: argparse.Namespace) -> int:
    """Fill the house when it is empty or half made, say who may sign in, and serve it."""
    if options.accounts and not len(stories.STORIES) <= options.accounts <= MOST:
        raise Stop(f"--accounts: give 0, or a number from {len(stories.STORIES)} (the story accounts) to {MOST}.", 2)
    demos.prepare(options)
    if making.state() != "made":
        with houses.alone():
            fill(options)
    print(who_signs_in())
    connection.close()
    return 0 if options.no_serve else serving.serve(host=options.host, port=options.port)


def fill(options: argparse.Namespace) -> None:
    if making.state() == "begun":
        print("An earlier making of the demo was stopped half way. It is made again from nothing.")
        start_over()
    print(f"Making {settings.CARRIER_NAME} in {settings.HOME} …", flush=True)
    start = time.monotonic()
    try:
        making.make(now=timezone.now(), accounts=options.accounts, say=lambda text: print(text, flush=True))
    except KeyboardInterrupt:
        raise Stop("Stopped half way. The next `careline demo` makes it again from nothing.", 130) from None
    print(f"Made in {time.monotonic() - start:.0f} s.")


def start_over() -> None:
    """Throw a half-made demo away and prepare an empty house; refuses where the database is not ours to delete."""
    if connection.vendor != "sqlite":
        raise Stop("This database holds half a demo carrier. Drop it, make an empty one, and run `careline demo` again.")
    demos.throw_away()
    setup.migrate(say=print)
    demos.write_mark()


def who_signs_in() -> str:
    """The sign-in names and the password, for the terminal."""
    rows = [f"  {username:<8}{ROLE_TITLES[role]:<24}{name}" for username, name, role, _ in making.PEOPLE if role not in ("agent", "service")]
    maria = stories.BY_KEY["maria"]
    who = f"{maria.title}, {phone.shown(maria.number)}, PIN {maria.pin}"
    if customers.living_line(maria.number) is None:
        calls = "There are no customers in it (--accounts 0)."
    else:
        now = "A call is ringing:" if any(c.caller_number == maria.number for c in contacts.ringing()) else "Nobody calls just now. Let ring, for example,"
        calls = f"{now} {who}. {len(stories.STORIES)} callers with a story wait on the page “Make it ring”."
    return "\n".join(["", f"Sign in with the password “{settings.DEMO_PASSWORD}” as", *rows, "", calls, ""])
