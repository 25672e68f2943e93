"""`careline serve`: the web server and the worker, watched together and ended together."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db import connection

from careline import carriers
from careline.doors.jobs import houses, meters, setup
from careline.doors.jobs.stop import Stop

CORES = os.cpu_count() or 1
THREADS = min(8, 2 * CORES + 1)  # per web process; each holds one database connection
LOG = Path(__file__).with_name("weblog.json")
PATIENCE = 4.0  # seconds between asking a process to end and ending it
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def main(options: argparse.Namespace) -> int:
    return serve(host=options.host, port=options.port, workers=options.workers, with_worker=not options.no_worker, metrics=options.metrics)


def serve(*, host: str, port: int, workers: int | None = None, with_worker: bool = True, metrics: tuple[str, int] | None = None) -> int:
    """Run until a signal ends it. Raises Stop when something is missing first."""
    check_port(host, port)
    if metrics is not None:
        check_port(*metrics, another="--metrics {0}")
    houses.refuse_in_the_demo()
    found = setup.problems()
    if found:
        for line in found[:-1]:
            print(f"careline: {line}", file=sys.stderr)
        raise Stop(found[-1])
    connection.close()
    for note in carriers.notes():
        print(f"Note: {note}; see docs/operate.md.", file=sys.stderr)
    if not settings.CSRF_TRUSTED_ORIGINS and not settings.TLS and settings.ALLOWED_HOSTS[0] in LOOPBACK:
        os.environ["CARELINE_ORIGINS"] = f"http://{settings.ALLOWED_HOSTS[0]}:{port}"  # addresses in texts name the port too
    if host not in LOOPBACK and not settings.TLS:
        print("Note: other machines may reach this without TLS; see docs/operate.md.", file=sys.stderr)
    count = workers or min(4, max(2, CORES))
    commands: dict[str, list[str]] = {"web": web_command(host, port, count)}
    if with_worker:
        commands["worker"] = [sys.executable, "-m", "careline", "worker"]
    if metrics is None:
        return _family(commands, host, port)
    commands["metrics"] = [sys.executable, "-m", "careline.doors.jobs.meters", f"{metrics[0]}:{metrics[1]}"]
    with tempfile.TemporaryDirectory(prefix="careline-metrics-") as folder:  # of this family only: numbers begin anew with it
        os.environ[meters.FOLDER] = folder
        return _family(commands, host, port)


def _family(commands: dict[str, list[str]], host: str, port: int) -> int:
    return Family(commands, lambda: _ready(host, port), lock=houses.move_in(port)).run()


def check_port(host: str, port: int, another: str = "--port {0}") -> None:
    """Raises Stop when nobody can listen there; `another` is how the command is given another port."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, proto) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror:
        raise Stop(f"There is no address {host} on this machine. Leave --host out, or give 0.0.0.0 for all.", 2) from None
    except OSError as fault:
        if isinstance(fault, PermissionError):
            raise Stop(f"Port {port} needs more rights than you have. Choose one above 1023, for example --port 8000.") from None
        ours = f"{'this demo' if settings.DEMO else 'this desk'} runs there already: http://127.0.0.1:{port}/" if houses.answers_on(port) else fault.strerror
        raise Stop(f"Port {port} on {host} is taken ({ours}). Choose another, for example {another.format(_other(port))}.") from None


def _other(port: int) -> int:
    return port + 1 if port < 65535 else 8000


def web_command(host: str, port: int, workers: int) -> list[str]:
    return [
        sys.executable, "-m", "granian", "careline.wsgi:application", "--interface", "wsgi",
        "--host", host, "--port", str(port), "--workers", str(workers), "--blocking-threads", str(THREADS),
        "--no-ws", "--no-access-log", "--log-level", "warning", "--log-config", str(LOG), "--respawn-failed-workers",
        "--workers-kill-timeout", "3",
    ]  # fmt: skip


def _ready(host: str, port: int) -> bool:
    where = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    try:
        socket.create_connection((where, port), timeout=0.2).close()
    except OSError:
        return False
    name = f"[{where}]" if ":" in where else where
    print(f"Careline answers on http://{name}:{port}/ (Ctrl-C ends it).", flush=True)
    return True


def _die_with_parent() -> Callable[[], None] | None:
    """On Linux: a child gets SIGTERM when this process is gone, however it went."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(1, signal.SIGTERM, 0, 0, 0)  # PR_SET_PDEATHSIG


class Family:
    """The processes of one desk. When the worker dies it is started again; when the web server dies, all end."""

    def __init__(self, commands: dict[str, list[str]], ready: Callable[[], bool], lock: int) -> None:
        self.commands = commands
        self.ready = ready
        self.lock = lock  # of the house; the children hold it too
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.begun: dict[str, float] = {}
        self.stop = threading.Event()

    def start(self, name: str) -> None:
        path = os.pathsep.join(p for p in (str(settings.ROOT), os.environ.get("PYTHONPATH", "")) if p)
        self.children[name] = subprocess.Popen(
            self.commands[name],
            env=os.environ | {"PYTHONPATH": path, "CARELINE_HOME": str(settings.HOME)},
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches this process only; it ends the others in order
            preexec_fn=_die_with_parent(),
            pass_fds=(self.lock,),
        )
        self.begun[name] = time.monotonic()

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self.stop.set())
        try:
            for name in self.commands:
                self.start(name)
            return self.watch()
        finally:
            self.end()

    def watch(self) -> int:
        told = False
        restart_at: dict[str, float] = {}
        while not self.stop.wait(0.1):
            told = told or self.ready()
            code = self.children["web"].poll()
            if code is not None:
                print(f"careline: the web server ended by itself (exit code {code}). See the lines above.", file=sys.stderr)
                return 1
            if not told and time.monotonic() - self.begun["web"] > 30:
                print("careline: the web server did not begin to answer within 30 seconds.", file=sys.stderr)
                return 1
            for name, child in self.children.items():
                if name == "web" or child.poll() is None:
                    continue
                if name not in restart_at:
                    print(f"careline: the {name} ended (exit code {child.returncode}); it is started again.", file=sys.stderr)
                    quick = time.monotonic() - self.begun[name] < 5
                    restart_at[name] = time.monotonic() + (3.0 if quick else 0.0)
                if time.monotonic() >= restart_at[name]:
                    del restart_at[name]
                    self.start(name)
                    break
        return 0

    def end(self) -> None:
        """Ask every process to end, wait a little, then end what is left, children of children included."""
        for child in self.children.values():
            if child.poll() is None:
                child.terminate()
        until = time.monotonic() + PATIENCE
        for child in self.children.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.05, until - time.monotonic()))
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
            child.wait()
