"""Gives way to what shares the core with the analyzer: the model, its clients, the relay.

A kernel that doesn't preempt at once (PREEMPT_NONE, and the lazy preemption that newer ones have by default)
lets a busy process run on until the timer's next tick, 4 ms at 250 Hz, whatever its priority and whoever has
woken meanwhile. So work of more than a fraction of a millisecond passes through the scheduler now and then.
It costs a third of a microsecond, and nothing where the core is free.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

T = TypeVar("T")

give_way = os.sched_yield

_EVERY: Final = 16
"""Items of some ten microseconds each."""


def courteously(items: Iterable[T]) -> Iterator[T]:
    """The same items, giving way now and then."""
    for number, item in enumerate(items):
        if not number % _EVERY:
            give_way()
        yield item
