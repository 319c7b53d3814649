"""Logging of our processes: one line per record, for people or as JSON. Ids stand in the message as ``name=value``."""

import json
import logging
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

from pacspace_stripe.settings import LogFormat
from pacspace_stripe.vocabulary.windows import iso

_IDS = re.compile(r"\b([a-z_]+)=('[^']*'|\"[^\"]*\"|\S+)")
_QUIET = ("httpx", "httpcore", "stripe", "alembic", "dbos", "uvicorn.access")
_REPEATS = 60.0
"""Seconds until DBOS may log the same thing again."""


class TextLines(logging.Formatter):
    """Text lines such as ``2026-11-01T00:00:00.123Z INFO pacspace_stripe.gate invoice=in_… step='hold'``."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_at(record)} {record.levelname} {record.name} {record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonLines(logging.Formatter):
    """JSON lines: one object per record, with a field for every ``name=value`` of the message."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        fields = {name: value.strip("'\"") for name, value in _IDS.findall(message)}
        line = {**fields, "at": _at(record), "level": record.levelname, "logger": record.name, "message": message}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class Terse(logging.Filter):
    """A filter that lets DBOS log one line per place in its code and minute, without tracebacks.

    While the database is down, DBOS repeats itself dozens of times a second; our own log says what matters.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._quiet_until: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        place, now = (record.filename, record.lineno), self._clock()
        if now < self._quiet_until.get(place, now):
            return False
        self._quiet_until[place] = now + _REPEATS
        first, *_ = record.getMessage().partition("Traceback")[0].splitlines() or [""]
        record.msg, record.args = first.rstrip(" :"), None
        record.exc_info = record.exc_text = record.stack_info = None
        return True


def _at(record: logging.LogRecord) -> str:
    return iso(datetime.fromtimestamp(round(record.created, 3), UTC))


def configure_logging(log_format: LogFormat, *, level: int = logging.INFO) -> None:
    """Log to standard error in the given format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if log_format is LogFormat.JSON else TextLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in _QUIET:
        logging.getLogger(chatty).setLevel(logging.WARNING)
    queue = logging.getLogger("dbos")
    # Without a handler of ours, DBOS adds its own, which writes past our formats.
    queue.handlers, queue.filters, queue.propagate = [handler], [Terse()], False
