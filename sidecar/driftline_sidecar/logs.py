"""Logs to stderr: one JSON object a line with fixed fields, or a line for people.

    time      UTC, RFC 3339, milliseconds
    level     debug | info | warning | error | critical
    program   proxy | worker | analyzer | redirect
    pid       of the process that says it
    event     the closed word to search for, e.g. worker_died
    message   the same for people
    error     where an exception is told: its type, its place in the code

and, where the event has them, the fields named in `FIELDS`. Nothing of a request or a response is
ever logged: an exception's own text is left out unless it is one of ours or the system's, because a
parser's may quote what it parsed.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from typing import IO, Final

import msgspec
from driftline.errors import DriftlineError

from driftline_sidecar.settings import LogFormat

ROOT: Final = "driftline"

FIELDS: Final = (
    "monitor", "reason", "worker", "seconds", "count", "file", "address", "version", "shadow",
)  # fmt: skip
"""What an event may carry beside the fixed fields; pass them as keywords of `event`."""


def setup(program: str, log_format: LogFormat, stream: IO[str] | None = None) -> None:
    """Send this process's logs to `stream` (stderr) in that format; call it again after a fork."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(program) if log_format == "json" else TextLines(program))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.raiseExceptions = False  # a closed stderr must not raise into the data path


def event(
    level: int, name: str, message: str, *, error: BaseException | None = None, **fields: object
) -> None:
    """Log one event; `name` is its closed word, `fields` are of `FIELDS`."""
    unknown = fields.keys() - set(FIELDS)
    if unknown:
        raise ValueError(f"not among the fixed fields of a log line: {sorted(unknown)}")
    exc_info = (type(error), error, error.__traceback__) if error is not None else None
    logging.getLogger(ROOT).log(
        level, "%s", message, exc_info=exc_info, extra={"event": name, "fields": fields}
    )


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def format(self, record: logging.LogRecord) -> str:
        """The record as the module's docstring says."""
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "program": self._program,
            "pid": os.getpid(),
            "event": getattr(record, "event", "log"),
            "message": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = told(record.exc_info[1])
        return msgspec.json.encode(line, enc_hook=str).decode()


class TextLines(logging.Formatter):
    """A line for people: time, level, program, what happened, and the fields."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        fields = "".join(f" {name}={value}" for name, value in getattr(record, "fields", {}).items())
        error = f" [{told(record.exc_info[1])}]" if record.exc_info and record.exc_info[1] else ""
        level = record.levelname.lower()
        return f"{_time(record)} {level:7} {self._program:8} {record.getMessage()}{fields}{error}"


def told(error: BaseException) -> str:
    """An exception without what it may quote: type, place, and its text where that is known to be safe."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    place = " < ".join(f"{os.path.basename(f.filename)}:{f.lineno} {f.name}" for f in reversed(frames))  # noqa: PTH119
    text = str(error) if isinstance(error, (DriftlineError, OSError)) else ""
    parts = [type(error).__name__ + (f": {text}" if text else "")]
    return " at ".join(parts + ([place] if place else []))


def _time(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"
