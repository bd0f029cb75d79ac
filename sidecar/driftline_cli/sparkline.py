"""A row of figures as a row of characters."""

from __future__ import annotations

from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = "_.-=+*%#"


def sparkline(values: Sequence[float | None], width: int, top: float, bars: str = BARS) -> str:
    """The last `width` values as bars from 0 to `top` (or the largest of them); a gap where one is None."""
    shown = list(values[-width:])
    ceiling = max([top, *(value for value in shown if value is not None)], default=top) or 1.0
    return "".join(" " if value is None else _bar(value / ceiling, bars) for value in shown)


def _bar(share: float, bars: str) -> str:
    return bars[min(len(bars) - 1, max(0, int(share * len(bars))))]
