"""How the web server's own lines are written: the first line only. A traceback's text may hold what a customer said."""

from __future__ import annotations

import logging
import os

from careline.telemetry import JsonLines


class FirstLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        record = logging.makeLogRecord(record.__dict__ | {"exc_info": None, "exc_text": None, "stack_info": None})
        return super().format(record).partition("\n")[0]


def first_line(format: str) -> logging.Formatter:
    """The formatter of lines that are not ours, as CARELINE_LOG_FORMAT has it."""
    return JsonLines() if os.environ.get("CARELINE_LOG_FORMAT") == "json" else FirstLine(format)
