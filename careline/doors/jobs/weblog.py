"""How the web server's own lines are written: the first line only. A traceback's text may hold what a customer said."""

from __future__ import annotations

import logging


class FirstLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        record = logging.makeLogRecord(record.__dict__ | {"exc_info": None, "exc_text": None, "stack_info": None})
        return super().format(record).partition("\n")[0]
