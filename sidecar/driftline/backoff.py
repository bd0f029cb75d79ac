"""How long to wait before something is tried again. Pure but for the dice, which may be passed in."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 60.0


def pause_after(failures: int, asked: float = 0.0, chance: Callable[[], float] = random.random) -> float:
    """Seconds until the next try: doubling from half a second to a minute, spread so that senders differ.

    `failures`: in a row, from 1. `asked`: what a Retry-After says. `chance` is from [0, 1).
    """
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 16))
    return max(longest * (0.5 + chance() / 2), min(asked, LONGEST_PAUSE))


def retry_after(text: str | None) -> float:
    """The seconds of a Retry-After header; 0 where it is absent or a date."""
    return float(text) if text and text.isascii() and text.isdigit() else 0.0
