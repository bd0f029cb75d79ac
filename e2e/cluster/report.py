"""What the tool says while it works: one line a step, with its time."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class ClusterError(Exception):
    """Something lacks or didn't come up; the message says what, and what to do."""


def say(text: str) -> None:
    """A line for whoever waits; standard output stays free for answers."""
    print(f"cluster: {text}", file=sys.stderr, flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Say what is being done, and how long it took."""
    began = time.monotonic()
    say(f"{text} …")
    yield
    say(f"{text}: done in {time.monotonic() - began:.1f} s")
