"""The command line `careline`: runs one of the commands of doors/jobs; what goes wrong is one line that says what to do.

Exit codes: 0 done; 1 it could not be done, or a check found something; 2 the command was given wrongly.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from careline.doors.jobs.commands import Main, parser
from careline.doors.jobs.stop import Stop, no_room


def run(argv: Sequence[str]) -> int:
    options = parser().parse_args(argv)
    main: Main = options.main
    return main(options)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; every fault is one line that says what to do (CARELINE_TRACE=1 shows where it came from)."""
    os.umask(0o077)
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        return run(argv)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as fault:
        if os.environ.get("CARELINE_TRACE") == "1":
            raise
        say, code = _plain(fault)
        print(f"careline: {say}", file=sys.stderr)
        return code


def _plain(fault: Exception) -> tuple[str, int]:
    """One line for a person at a terminal. What is unexpected is named by its class only: its text may be a customer's."""
    if isinstance(fault, Stop):
        return str(fault), fault.code
    name = type(fault).__name__
    module = type(fault).__module__
    if name == "ImproperlyConfigured":
        return str(fault), 2
    if module == "careline.foundation.rulebook" or (isinstance(fault, LookupError) and "careline migrate" in str(fault)):
        return str(fault), 1
    if no_room(fault):
        return "The disk is full. Nothing was half done. Make room and run the same command again: it goes on where it stopped.", 1
    if module == "django.db.utils" and name in ("OperationalError", "ProgrammingError"):
        first = (str(fault).strip().splitlines() or [""])[0]
        if "no such table" in first or ("does not exist" in first and "relation" in first):
            return "The database is empty or too old. Run: careline migrate", 1
        if "locked" in first:
            return "The database is busy. Wait a moment and try again.", 1
        return f"The database does not answer ({first[:200]}). Check CARELINE_DATABASE_URL and CARELINE_HOME.", 1
    if isinstance(fault, OSError) and fault.strerror:
        return f"{fault.filename or 'A file'}: {fault.strerror}.", 1
    return f"Something unexpected broke ({name}). Nothing was half done; CARELINE_TRACE=1 in front of the command shows where.", 1


if __name__ == "__main__":
    sys.exit(main())
