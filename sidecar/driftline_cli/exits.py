"""Exit codes: those of sysexits.h, 3 where drift was found, 4 where nothing could be judged."""

from __future__ import annotations

from driftline.errors import DataError, DriftlineError, InvalidSpec

EX_OK = 0
DRIFT = 3
"""`driftline drift` has found drift: an answer, not a failure, so that a pipeline can gate on it."""
NO_VERDICT = 4
"""`driftline drift` had too little data to judge: neither a pass nor drift."""
EX_USAGE = 64
EX_DATAERR = 65
EX_NOINPUT = 66
EX_UNAVAILABLE = 69
EX_SOFTWARE = 70
EX_OSERR = 71
"""The system refused: what a sidecar program ends with where its address is taken."""
EX_CANTCREAT = 73
EX_IOERR = 74
EX_CONFIG = 78
INTERRUPTED = 130
"""What a shell reports for SIGINT."""
BROKEN_PIPE = 141
"""What a shell reports for SIGPIPE: the reader of the output has gone."""


class WrongUsage(DriftlineError):
    """Options that don't go together; the message says which and why."""

    exit_code = EX_USAGE


def exit_code(error: DriftlineError | OSError) -> int:
    """The code for an error that ends a command: its own `exit_code`, else by its kind and its cause."""
    own = getattr(error, "exit_code", None)
    if isinstance(own, int):
        return own
    cause = error if isinstance(error, OSError) else error.__cause__
    if isinstance(cause, FileNotFoundError | IsADirectoryError | PermissionError):
        return EX_NOINPUT
    if isinstance(cause, OSError):
        return EX_IOERR
    if isinstance(error, InvalidSpec):
        return EX_CONFIG
    return EX_DATAERR if isinstance(error, DataError) else EX_SOFTWARE
