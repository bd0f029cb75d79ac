"""How far it is: a bar on a terminal; elsewhere a plain line now and then, and only for long work."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

_QUIET_SECONDS = 5.0


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Gives a function to tell how much more of `total` is done; everything goes to stderr."""
    console = Console(stderr=True)
    if console.is_terminal:
        columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield lambda more: bar.advance(task, more)
    else:
        yield _PlainLines(what, total, time.monotonic).advance


class _PlainLines:
    """A line every few seconds, none for work that is done before the first."""

    def __init__(self, what: str, total: int, clock: Callable[[], float]) -> None:
        self._what, self._total, self._clock = what, max(1, total), clock
        self._done, self._said = 0, clock()

    def advance(self, more: int) -> None:
        self._done += more
        if self._clock() - self._said >= _QUIET_SECONDS:
            self._said = self._clock()
            share = min(1.0, self._done / self._total)
            print(f"{self._what}: {share:.0%}", file=sys.stderr, flush=True)
