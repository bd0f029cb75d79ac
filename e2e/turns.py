"""Tests share one installation: most run side by side; one that disturbs it has it for itself."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper

from e2e.cluster.build import cache


class Turn:
    """A test's share in the installation; a lock on a file, for the tests are in several processes."""

    def __init__(self, file: TextIOWrapper) -> None:
        self._file = file
        fcntl.flock(file, fcntl.LOCK_SH)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Once the other tests that run have ended, and before the next begins."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_SH)


@contextmanager
def turn() -> Iterator[Turn]:
    """For as long as a test runs."""
    with (cache() / "e2e-turn.lock").open("w") as file:
        yield Turn(file)
