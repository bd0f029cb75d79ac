"""How windows and traffic went lately: what sparklines and the written report are drawn from.

Bounded: the last POINTS evaluations per window, one float32 per feature and point (30 features and
three windows: 86 kB). It is for eyes; nothing is decided from it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec
import numpy as np
from driftline.report import WindowReport
from numpy.typing import NDArray

from driftline_sidecar.analyzer.latency import Traffic

POINTS = 240


class WindowHistory(msgspec.Struct, frozen=True):
    """Row-aligned: evaluation i ended at `end[i]` (unix seconds). PSI by feature; null where undefined."""

    end: list[float]
    rows: list[int]
    state: list[str]
    psi: dict[str, list[float | None]]


class TrafficHistory(msgspec.Struct, frozen=True):
    """Row-aligned. `rate` a second, latencies in ms (null where nothing passed), `error_ratio` of 5xx."""

    at: list[float]
    rate: list[float]
    p50_ms: list[float | None]
    p95_ms: list[float | None]
    p99_ms: list[float | None]
    error_ratio: list[float | None]


class HistoryReport(msgspec.Struct, frozen=True):
    """What /v1/history answers."""

    traffic: TrafficHistory
    windows: dict[str, WindowHistory]


class History:
    """The recent past of one monitor."""

    def __init__(self) -> None:
        self._traffic: deque[tuple[float, Traffic]] = deque(maxlen=POINTS)
        self._windows: dict[str, _Ring] = {}

    def add_window(self, window: WindowReport) -> None:
        """Append one evaluation; a window whose features changed (a new profile) begins anew."""
        names = tuple(window.features)
        ring = self._windows.get(window.window)
        if ring is None or (names and names != ring.names):
            ring = self._windows[window.window] = _Ring(names)
        ring.add(window)

    def add_traffic(self, at: float, traffic: Traffic) -> None:
        """Append one reading."""
        self._traffic.append((at, traffic))

    def keep_windows(self, names: Sequence[str]) -> None:
        """Forget windows that the monitor no longer has."""
        self._windows = {name: ring for name, ring in self._windows.items() if name in names}

    def read(self) -> HistoryReport:
        """All of it, oldest first."""
        points = list(self._traffic)
        traffic = TrafficHistory(
            at=[at for at, _ in points],
            rate=[round(reading.rate, 3) for _, reading in points],
            p50_ms=[milliseconds(reading.p50) for _, reading in points],
            p95_ms=[milliseconds(reading.p95) for _, reading in points],
            p99_ms=[milliseconds(reading.p99) for _, reading in points],
            error_ratio=[error_ratio(reading) for _, reading in points],
        )
        return HistoryReport(traffic, {name: ring.read() for name, ring in self._windows.items()})


class _Ring:
    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self._points: deque[tuple[float, int, str, NDArray[np.float32]]] = deque(maxlen=POINTS)

    def add(self, window: WindowReport) -> None:
        psi = np.full(len(self.names), np.nan, dtype=np.float32)
        for index, name in enumerate(self.names):
            feature = window.features.get(name)
            value = feature.statistics.get("psi") if feature is not None else None
            if value is not None:
                psi[index] = value
        self._points.append((window.end, window.rows, window.state.value, psi))

    def read(self) -> WindowHistory:
        psi: dict[str, list[float | None]] = {name: [] for name in self.names}
        for *_, values in self._points:
            for name, value in zip(self.names, values.tolist(), strict=True):
                psi[name].append(None if value != value else round(value, 5))
        return WindowHistory(
            end=[end for end, *_ in self._points],
            rows=[rows for _, rows, *_ in self._points],
            state=[state for _, _, state, _ in self._points],
            psi=psi,
        )


def milliseconds(seconds: float | None) -> float | None:
    """Seconds as ms with three decimals."""
    return None if seconds is None else round(seconds * 1000, 3)


def error_ratio(traffic: Traffic) -> float | None:
    """Share of 5xx; None where nothing passed."""
    return traffic.errors / traffic.requests if traffic.requests else None
