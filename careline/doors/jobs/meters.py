"""The address at which Prometheus reads the numbers of all processes of this desk: a process of its own beside them
(`careline serve --metrics 9464`), so that no door of the desk leads there and none of its threads is kept busy."""

from __future__ import annotations

import os
import sys
import threading

from prometheus_client import REGISTRY, CollectorRegistry, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def address(text: str) -> tuple[str, int]:
    """`9464` (this machine only) or `0.0.0.0:9464`. Raises ValueError."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ValueError("give a port, or address:port")
    return host.strip("[]") or "127.0.0.1", int(port)


def serve(host: str, port: int) -> None:
    """Answer in a thread from now on, for this process or, where a folder holds the numbers of several, for all."""
    registry = REGISTRY
    if os.environ.get(FOLDER):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    start_http_server(port, addr=host, registry=registry)


if __name__ == "__main__":
    serve(*address(sys.argv[1]))
    threading.Event().wait()
