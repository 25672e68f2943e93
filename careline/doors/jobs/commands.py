"""The commands of `careline` and their help, declared: each names the module whose `main` does the work, read when it runs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from careline.doors.jobs.stop import Stop

Main = Callable[[argparse.Namespace], int]
RAW = argparse.RawDescriptionHelpFormatter
WHO = "the sign-in name; see `careline user list`"
ROLES = "trainee, associate, expert, lead, supervisor, administrator, agent or service"


def _verb(among: Any, name: str, help_: str, **more: Any) -> argparse.ArgumentParser:
    """One more command among others; what the list says of it is the sentence that its own help begins with."""
    made: argparse.ArgumentParser = among.add_parser(name, help=help_, description=help_[0].upper() + help_[1:] + ".", **more)
    return made


def _job(module: str, function: str) -> Main:
    """A command whose module is imported when it runs: `careline --help` needs neither Django nor a database."""

    def run(options: argparse.Namespace) -> int:
        _open_house()
        if function != "verify":  # which says for itself that the key is another
            import_module("careline.doors.jobs.setup").check_keys()
        main: Main = getattr(import_module(f"careline.doors.jobs.{module}"), function)
        return main(options)

    return run


def _plain_job(module: str, function: str) -> Main:
    """A command that needs no house: no Django, no database, nothing is made."""

    def run(options: argparse.Namespace) -> int:
        main: Main = getattr(import_module(f"careline.doors.jobs.{module}"), function)
        return main(options)

    return run


def _demo_job(options: argparse.Namespace) -> int:
    """The demo has a house of its own, whatever this one's keys are."""
    os.environ["CARELINE_DEMO"] = "1"
    _open_house()
    main: Main = import_module("careline.doors.jobs.demo.cli").main
    return main(options)


def _import_job(options: argparse.Namespace) -> int:
    job = _plain_job("importing.reference", "main") if options.fields else _job("importing.cli", "main")
    return job(options)


def _open_house() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "careline.settings")
    import django

    try:
        django.setup()
    except PermissionError as fault:
        home = os.environ.get("CARELINE_HOME", "var")
        raise Stop(
            f"The folder {home} cannot be used ({fault.filename}: {fault.strerror}). "
            "Run this as its owner, or set CARELINE_HOME to a folder of your own."
        ) from fault


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="careline",
        description="Careline, the care desk of a wireless carrier.",
        formatter_class=RAW,
        epilog="examples:\n"
        "  careline demo                       a made-up carrier on http://127.0.0.1:8000/\n"
        "  careline migrate && careline serve  your own desk (the data goes to CARELINE_HOME, ./var unless set)\n"
        "  careline serve --help               what one command takes\n\n"
        "exit codes: 0 done, 1 could not be done or a check found something, 2 given wrongly",
    )
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="command")

    def command(name: str, help_: str, main: Main | None, epilog: str = "") -> argparse.ArgumentParser:
        made = _verb(commands, name, help_, formatter_class=RAW, epilog=f"examples:\n{epilog}" if epilog else None)
        if main is not None:
            made.set_defaults(main=main)
        return made

    serve = command(
        "serve",
        "run the desk: the web server and the worker beside it, until Ctrl-C",
        _job("serving", "main"),
        "  careline serve\n  careline serve --host 0.0.0.0 --port 8080 --workers 4   behind a TLS proxy",
    )
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine only)")
    serve.add_argument("--port", type=_port, default=8000, help="port to listen on (default: 8000)")
    serve.add_argument("--workers", type=_count, default=None, metavar="N", help="web processes (default: one per processor, 2 to 4)")
    serve.add_argument("--metrics", type=_address, metavar="PORT", help="answer Prometheus on this port of this machine, or on address:port (default: not)")
    serve.add_argument("--no-worker", action="store_true", help="do not start the worker (it runs elsewhere)")

    command(
        "migrate",
        "make or update the database, its guards, the first rulebook and the static files; safe to repeat",
        _job("setup", "main"),
        "  careline migrate\n  CARELINE_DATABASE_URL=postgresql://user@host/name careline migrate",
    )
    _demo(command)
    _import(command)
    _export(command)

    feed = command(
        "feed",
        "how far other systems have heard of what was done here (the worker tells them, see CARELINE_FEED)",
        _job("feed", "main"),
        "  careline feed\n  careline feed --acknowledge 1200   they have all up to 1200\n  careline feed --again 900          tell what comes after 900 once more",
    )
    which = feed.add_mutually_exclusive_group()
    which.add_argument("--acknowledge", type=_whole, metavar="N", help="the other systems have every change up to this number")
    which.add_argument("--again", type=_whole, metavar="N", help="go back: tell every change after this number once more")

    _bill(command)
    _night(command)
    _ladder(command)
    _books(command)

    verify = command(
        "verify-journal",
        "prove that no journal line was edited, removed, reordered or rewritten",
        _job("journals", "verify"),
        "  careline verify-journal\n  careline verify-journal --anchor /mnt/elsewhere/anchors.txt",
    )
    verify.add_argument(
        "--anchor", metavar="FILE", help="the anchors that were kept outside (default: CARELINE_ANCHORS, or CARELINE_HOME/anchors.txt)"
    )
    export = command(
        "verify-export",
        "verify a signed file of journal lines: its signature, its payloads, and whether this house's journal says the same",
        _job("journals", "verify_export"),
        "  careline verify-export A-0104822.careline.jsonl\n"
        "  careline verify-export A-0104822.careline.jsonl --key 5b1c…   the public key of the house that signed it, and no journal",
    )
    export.add_argument("file", metavar="FILE", help="the signed file, as it was downloaded under Supervision")
    export.add_argument("--key", metavar="HEX", help="the public key that must have signed it; the file is then verified by itself")
    command(
        "anchor",
        "write an anchor of the journal now and append it to the anchor file (the worker does it every five minutes)",
        _job("journals", "anchor"),
        "  careline anchor",
    )
    saved = command(
        "backup",
        "a copy of the database and its anchors while the desk runs, in a new folder; no secrets",
        _job("backups", "backup"),
        "  careline backup /backup\n  careline backup /backup --keep 14      and throw all but the newest fourteen away",
    )
    saved.add_argument("folder", help="where the new folder goes")
    saved.add_argument("--keep", type=_count, metavar="N", help="afterwards keep only the newest so many (default: all)")
    back = command(
        "restore",
        "bring a backup back, migrate it and prove its journal; no desk may run meanwhile",
        _job("backups", "restore"),
        "  careline restore /backup/careline-20261204-030000\n"
        "  CARELINE_HOME=/tmp/trial careline restore /backup/careline-20261204-030000    try it first, with the secrets there",
    )
    back.add_argument("backup", help="the folder that careline backup made")
    back.add_argument("--replace", action="store_true", help="put away the house that is there (SQLite; on PostgreSQL give an empty database)")
    worker = command(
        "worker",
        "send what is queued, finish what was interrupted, anchor the journal (`careline serve` starts one by itself)",
        _job("worker", "main"),
        "  careline worker        beside `careline serve --no-worker`; two at once do no harm",
    )
    worker.add_argument("--metrics", type=_address, metavar="PORT", help="answer Prometheus on this port of this machine, or on address:port (default: not)")
    _people(command)
    _rulebook(command)
    _guides(command)
    return top


def _demo(command: Callable[..., argparse.ArgumentParser]) -> None:
    demo = command(
        "demo",
        "a made-up carrier with people at the desk, 2,000 accounts and 18 months behind them: made once, within a minute or so, and served",
        _demo_job,
        "  careline demo\n"
        "  careline demo --port 8001            when 8000 is taken\n"
        "  careline demo --reset --no-serve     throw it away, make it new, and do not serve it",
    )
    demo.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine only)")
    demo.add_argument("--port", type=_port, default=8000, help="port to listen on (default: 8000)")
    demo.add_argument("--no-serve", action="store_true", help="make the data only")
    demo.add_argument("--reset", action="store_true", help="throw the demo's database away first (nothing that is no demo)")
    demo.add_argument("--accounts", type=_whole, default=2000, metavar="N", help="how many accounts to make (default: 2000; 0: the people at the desk and no customers)")


def _import(command: Callable[..., argparse.ArgumentParser]) -> None:
    into = command(
        "import",
        "customers, accounts, lines, usage, bills, payments and more of a carrier, from CSV or JSON Lines; safe to repeat, to kill and to resume",
        _import_job,
        "  careline import --fields                                    which files there may be, and what each field takes\n"
        "  careline import samples/fernline/mapping.toml --check       read and judge every row, write nothing\n"
        "  careline import samples/fernline/mapping.toml               a small carrier, with the dirt of real exports\n"
        "  careline import mapping.toml --folder /srv/export --out /srv/report\n"
        "\n"
        "a mapping says which column of a file is which field:\n"
        "  [accounts]\n"
        "  file = \"accounts.csv\"             # or .jsonl, .parquet; UTF-8, beside the mapping or in --folder\n"
        "  [accounts.columns]                # our field = your column\n"
        "  key = \"ACCOUNT_NO\"\n"
        "  customer = \"CUST_NO\"\n"
        "  reference = \"ACCOUNT_NO\"\n"
        "  opened_on = \"OPENED\"\n"
        "  [accounts.formats]                # how a day is written, where it is not 2026-01-31\n"
        "  opened_on = \"%m/%d/%Y\"\n"
        "  [accounts.values.status]          # your word = ours\n"
        "  ACT = \"active\"\n"
        "  [accounts.constants]              # one value for all\n"
        "  zone = \"America/New_York\"\n"
        "\n"
        "every row is written, unchanged, or rejected to rejected-ENTITY.csv with its row, field and reason; report.json\n"
        "has the totals. Ends with 0 when they reconcile (rows may be rejected), 1 when not, 2 when nothing was begun.",
    )
    into.add_argument("mapping", type=Path, nargs="?", help="the mapping file (TOML)")
    into.add_argument("--folder", type=Path, help="where the files lie (default: beside the mapping)")
    into.add_argument("--out", type=Path, default=Path("import-report"), help="where rejected rows and report.json go (default: ./import-report)")
    into.add_argument("--check", action="store_true", help="read and judge every row by itself, write nothing to the house")
    into.add_argument("--fields", action="store_true", help="print what a mapping may name and what each field takes, and end")
    into.add_argument("--all", action="store_true", help="MAPPING is the folder of `careline export --all`: a whole house into an empty database")
    into.add_argument("--quiet", action="store_true", help="say only what went wrong")


def _export(command: Callable[..., argparse.ArgumentParser]) -> None:
    out = command(
        "export",
        "this house's customers, accounts, lines, usage, bills and payments as files, with the mapping that takes them in again",
        _job("exporting.cli", "main"),
        "  careline export /srv/careline-out\n"
        "  careline export /srv/careline-out --format jsonl --only accounts,payments\n"
        "  careline export /srv/nightly --changes /srv/careline-out.memory     what is new or differs since the last time\n"
        "  careline export --all /srv/whole-house                              everything, for a database of either kind",
    )
    out.add_argument("folder", type=Path, help="where the files go (customer data: yours alone); made when it is not there")
    out.add_argument("--format", choices=("csv", "jsonl", "parquet"), default="csv", help="of the files (default: csv); parquet needs `make setup-parquet`")
    out.add_argument("--only", metavar="ENTITY[,ENTITY]", help="some of what `careline import --fields` lists, without pins (default: all of these)")
    out.add_argument("--replace", action="store_true", help="write into a folder that holds files already; those of the same name are replaced")
    out.add_argument("--changes", type=Path, metavar="MEMORY", help="only what is new or differs since the last export with this file, which remembers it")
    out.add_argument("--all", action="store_true", help="the whole house, for `careline import --all` into an empty database of either kind")
    out.add_argument("--quiet", action="store_true", help="say only what went wrong")


def _bill(command: Callable[..., argparse.ArgumentParser]) -> None:
    bill = command(
        "bill",
        "the bills of one cycle: draft, look, issue; safe to repeat and to resume",
        _job("billing", "main"),
        "  careline bill --cycle 4                                the newest cycle of bill day 4, drafted and issued\n"
        "  careline bill --cycle 2026-12-04 --draft               only drafts: nobody owes anything yet\n"
        "  careline bill --cycle 2026-12-04 --show A-0104822      the lines of one draft\n"
        "  careline bill --cycle 2026-12-04 --issue               issue the drafts\n"
        "  careline bill --cycle 2026-12-04 --discard             throw them away",
    )
    bill.add_argument("--cycle", required=True, metavar="DAY", help="its first day (2026-12-04), or a bill day (4): the newest cycle that begins on it")
    what = bill.add_mutually_exclusive_group()
    what.add_argument("--draft", action="store_true", help="only draft")
    what.add_argument("--issue", action="store_true", help="only issue the drafts that are there")
    what.add_argument("--discard", action="store_true", help="throw the drafts away; issued bills stay")
    what.add_argument("--show", metavar="ACCOUNT", help="print the draft, or the bill, of one account (its reference)")
    bill.add_argument("--quiet", action="store_true", help="no progress")


def _night(command: Callable[..., argparse.ArgumentParser]) -> None:
    night = command(
        "night",
        "autopay, the collections ladder, its notices and orders on lines; once a day, safe to repeat, to kill and to resume",
        _job("night", "main"),
        "  careline night\n"
        "  careline night --agency placements                 the next file for the agency: what is placed or called back\n"
        "  careline night --agency placements --again PF-000001",
    )
    night.add_argument("--agency", metavar="FOLDER", help="write the next file for the agency into this folder, and nothing else")
    night.add_argument("--again", metavar="NUMBER", help="with --agency: write this file once more")
    night.add_argument("--quiet", action="store_true", help="no progress")


def _ladder(command: Callable[..., argparse.ArgumentParser]) -> None:
    ladder = command(
        "ladder",
        "ask what a changed collections ladder would have done; it changes nothing",
        None,
        "  careline ladder what-if --rulebook my-rulebook                a whole rulebook, with its fees\n"
        "  careline ladder what-if --ladder ladder.toml --list moved.csv  one file, the rest as in force; who would move",
    )
    kinds = ladder.add_subparsers(title="what to ask", metavar="QUESTION", required=True)
    what_if = _verb(kinds, "what-if", "a changed ladder beside the one in force, over the last twelve months of all accounts")
    given = what_if.add_mutually_exclusive_group(required=True)
    given.add_argument("--rulebook", metavar="FOLDER", help="the changed rulebook: its ladder.toml, billing.toml and reasons.toml count")
    given.add_argument("--ladder", metavar="FILE", help="a changed ladder.toml; all else as in force")
    what_if.add_argument("--later-percent", type=int, default=0, metavar="N", help="assume that of those who are told later so many in a hundred pay later (default: 0)")
    what_if.add_argument("--later-days", type=int, default=0, metavar="N", help="and by so many days")
    what_if.add_argument("--list", metavar="FILE", help="write the accounts that would move to this CSV file")
    what_if.add_argument("--quiet", action="store_true", help="no progress")
    what_if.set_defaults(main=_job("whatif", "main"))


def _books(command: Callable[..., argparse.ArgumentParser]) -> None:
    books = command(
        "books",
        "the books for the general ledger: trial balance, closing a period, its files",
        None,
        "  careline books balance --on 2026-10-31             debits equal credits, entries equal their documents\n"
        "  careline books close --through 2026-10-31          nothing is booked into it any more; its files are made\n"
        "  careline books list\n"
        "  careline books export GL-0000001-3 --out ledger    one file a journal, and the trial balance\n"
        "  careline books check                               compute every closed file again and compare",
    )
    verbs = books.add_subparsers(title="what to do", metavar="VERB", required=True)

    def verb(name: str, help_: str, function: str) -> argparse.ArgumentParser:
        made = _verb(verbs, name, help_)
        made.set_defaults(main=_job("books", function))
        return made

    balance = verb("balance", "the trial balance by kind of entry and by account", "balance")
    balance.add_argument("--on", metavar="DAY", help="all that is booked through this day (default: today)")
    balance.add_argument("--recount", action="store_true", help="count every entry anew instead of beginning at the sums of the last closed period, and compare")
    verb("close", "close a period: from the day after the last one through this day; safe to repeat", "close").add_argument("--through", metavar="DAY", required=True, help="its last day, for example the last of a month")
    verb("list", "the closed periods", "periods")
    export = verb("export", "write the files of a closed period; the same bytes each time", "export")
    export.add_argument("period", help="its number in `careline books list`")
    export.add_argument("--out", metavar="FOLDER", required=True, help="where the files go")
    verb("check", "compute the files of closed periods again from the ledger and compare", "check").add_argument("period", nargs="?", help="one period (default: all)")


def _people(command: Callable[..., argparse.ArgumentParser]) -> None:
    user = command(
        "user",
        "the people and machines that work here: add, list, role, on, off, password, lost-factor",
        None,
        "  careline user add ana --name 'Ana Silva' --role associate\n"
        "  careline user list\n"
        "  careline user role ana expert\n"
        "  careline user off ana\n"
        "  printf '%s' \"$NEW\" | careline user password ana --password-stdin",
    )
    verbs = user.add_subparsers(title="what to do", metavar="VERB", required=True)

    def verb(name: str, help_: str, function: str) -> argparse.ArgumentParser:
        made = _verb(verbs, name, help_)
        made.set_defaults(main=_job("people", function))
        return made

    add = verb("add", "add somebody; the password is asked without showing it", "add")
    add.add_argument("username", help="the sign-in name")
    add.add_argument("--name", required=True, help="the name that colleagues see")
    add.add_argument(
        "--role", required=True, help=ROLES
    )
    add.add_argument("--email", default="", help="their e-mail address at work")
    add.add_argument("--team", default="", help="made when it is not there yet")
    how = add.add_mutually_exclusive_group()
    how.add_argument("--password-stdin", action="store_true", help="read the password from the first line of standard input")
    how.add_argument("--no-password", action="store_true", help="signs in by token only (agents and services always do)")
    verb("list", "everybody, with role and whether they are switched on", "everybody")
    role = verb("role", "change somebody's role", "role")
    role.add_argument("username", help=WHO)
    role.add_argument("role", help=ROLES)
    for name, help_ in (("on", "let somebody sign in again"), ("off", "switch somebody off; what they did stays")):
        verb(name, help_, name).add_argument("username", help=WHO)
    verb("lost-factor", "take somebody's second factors away, who lost them, and end their sessions", "lost_factor").add_argument("username", help=WHO)
    password = verb("password", "set somebody's password", "password")
    password.add_argument("username", help=WHO)
    password.add_argument("--password-stdin", action="store_true", help="read it from the first line of standard input")

    token = command(
        "token",
        "tokens for the API: issue, list, revoke",
        None,
        "  careline token issue bot --label 'IVR' --scope 'contacts.ring payments.link_paid' --days 30\n"
        "  careline token list\n"
        "  careline token revoke 4",
    )
    verbs = token.add_subparsers(title="what to do", metavar="VERB", required=True)
    issue = verb("issue", "make a token; its secret is printed once and kept nowhere", "issue")
    issue.add_argument("username", help="whose token it is; it can do what their role can")
    issue.add_argument("--label", required=True, help="what it is for")
    issue.add_argument("--scope", default="*", help="codes of acts, parted by spaces (default: * for all of the role)")
    issue.add_argument("--days", type=_count, default=90, help="how long it lives, at most 400 (default: 90)")
    verb("list", "tokens and whether they are alive", "tokens").add_argument("username", nargs="?", help="of one person only")
    verb("revoke", "end a token now", "revoke").add_argument("token", type=_count, help="its number in `careline token list`")


def _rulebook(command: Callable[..., argparse.ArgumentParser]) -> None:
    rulebook = command(
        "rulebook",
        "the carrier's policy: show what is in force, check a folder, take it into force",
        None,
        "  careline rulebook show\n"
        "  careline rulebook check rulebook/ours\n"
        "  careline rulebook try rulebook/ours                 what it would have answered otherwise, of all decisions kept\n"
        "  careline rulebook activate rulebook/ours --by ada --second sam",
    )
    verbs = rulebook.add_subparsers(title="what to do", metavar="VERB", required=True)
    show = _verb(verbs, "show", "the files and the digest of what is in force")
    show.add_argument("file", nargs="?", help="print this file of it, for example limits.toml")
    show.set_defaults(main=_job("rulebooks", "show"))
    check = _verb(verbs, "check", "read a folder as the desk would; nothing changes")
    check.add_argument("folder", help="the folder with the files of a rulebook")
    check.set_defaults(main=_job("rulebooks", "check"))
    tried = _verb(verbs, "try", "what a folder would have answered otherwise, of every decision that is kept; nothing changes")
    tried.add_argument("folder", help="the folder with the files of a rulebook")
    tried.set_defaults(main=_job("rulebooks", "tried"))
    activate = _verb(verbs, "activate", "check a folder and take it into force; running desks follow in seconds")
    activate.add_argument("folder", help="the folder with the files of a rulebook")
    activate.add_argument("--by", required=True, metavar="USERNAME", help="who asks for it")
    activate.add_argument("--second", required=True, metavar="USERNAME", help="the second person who said yes")
    activate.set_defaults(main=_job("rulebooks", "activate"))


def _guides(command: Callable[..., argparse.ArgumentParser]) -> None:
    guide = command(
        "guide",
        "for those who write guides: prove them, walk one in the terminal, draw one, learn its priors",
        None,
        "  careline guide check --sample 30               all guides, some cases of each: a minute or two\n"
        "  careline guide check no_service                one guide, every pair of causes\n"
        "  careline guide check                           all guides, every pair: a quarter of an hour or more\n"
        "  careline guide play no_service\n"
        "  careline guide draw no_service --out no_service.svg\n"
        "  careline guide learn --out rulebook/proposed   (needs the database)",
    )
    verbs = guide.add_subparsers(title="what to do", metavar="VERB", required=True)

    def verb(name: str, help_: str, function: str) -> argparse.ArgumentParser:
        made = _verb(verbs, name, help_)
        made.add_argument("--rulebook", default="rulebook/default", metavar="FOLDER", help="default: rulebook/default")
        made.set_defaults(main=_plain_job("guides.authors", function))
        return made

    check = verb("check", "simulate every cause and every pair, with honest and with unreliable customers", "check")
    check.add_argument("guide", nargs="*", help="ids of guides (default: all of the rulebook)")
    check.add_argument("--sets", type=_count, default=2, metavar="N", help="causes at once, at most (default: 2)")
    check.add_argument("--sample", type=_count, default=0, metavar="N", help="only this many sets a guide, drawn with a fixed seed; 30 is right while you write, all (the default) before it goes live")
    walked = verb("play", "walk a guide in the terminal", "play")
    walked.add_argument("guide", help="its id, such as no_service")
    walked.add_argument("--platform", default="", choices=["iPhone", "Android"], help="whose menus the words name (both, when left out)")
    draw = verb("draw", "a guide as a picture (SVG): checks, causes, remedies", "draw")
    draw.add_argument("guide", help="its id, such as no_service")
    draw.add_argument("--out", default="-", metavar="FILE", help="default: standard output")

    learn = verb("learn", "what closed walks teach about the priors, as a proposed change of the rulebook", "learn")
    learn.add_argument("--since", type=_count, default=90, metavar="DAYS", help="walks closed in the last so many days (default: 90)")
    learn.add_argument("--strength", type=_count, default=20, metavar="N", help="walks that the guide's own prior counts for (default: 20)")
    learn.add_argument("--out", metavar="FOLDER", help="write the rulebook with the proposed priors to this new folder")
    learn.set_defaults(main=_job("guides.learning", "learn"))

    diagnose = command(
        "diagnose",
        "a door for machines: walks through guides as JSON Lines on standard input and output, without a database",
        _plain_job("guides.machine", "main"),
        "  echo '{\"op\": \"start\"}' | careline diagnose --rulebook rulebook/default --guide no_service --json\n"
        "  the protocol: docs/diagnose.md",
    )
    diagnose.add_argument("--rulebook", default="rulebook/default", metavar="FOLDER", help="default: rulebook/default")
    diagnose.add_argument("--guide", metavar="ID", help="the guide of walks that name none")
    diagnose.add_argument("--json", action="store_true", help="speak JSON Lines (the only way it speaks)")


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise Stop(f"{text} is no port. Give a number from 1024 to 65535, for example --port 8001 (PORT=8001 make demo).", 2)
    return int(text)


def _address(text: str) -> tuple[str, int]:
    from careline.doors.jobs import meters

    try:
        return meters.address(text)
    except ValueError as fault:
        raise argparse.ArgumentTypeError(str(fault)) from None


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("give a whole number from 1")
    return int(text)


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("a whole number from 0")
    return int(text)
