"""When a pod that doesn't answer is asked again: at once, then ever less often. Pure; time is given.

Hundreds of pods that time out would fill every round, and take the others' turn.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

MOST_ROUNDS: Final = 16
"""Rounds between two questions at most: some minutes, and what a pod counted meanwhile isn't lost."""


class _Silence(NamedTuple):
    failures: int
    until: float


class Patience:
    """Of all pods, by any key. `interval`: seconds between two rounds."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._silent: dict[tuple[str, str], _Silence] = {}

    def may_ask(self, pod: tuple[str, str], now: float) -> bool:
        """Is it that pod's turn?"""
        silence = self._silent.get(pod)
        if silence is None or now >= silence.until:
            return True
        return silence.until - now > MOST_ROUNDS * self._interval  # the clock was set back

    def answered(self, pod: tuple[str, str], now: float, *, missed: bool) -> None:
        """It did, or (`missed`) it didn't: from the second time on rounds are left out, 1, 3, 7 …"""
        if not missed:
            self._silent.pop(pod, None)
            return
        failures = self._silent[pod].failures + 1 if pod in self._silent else 1
        rounds = min(2 ** (failures - 1), MOST_ROUNDS)
        # Half a round less: rounds aren't that punctual.
        self._silent[pod] = _Silence(failures, now + (rounds - 0.5) * self._interval)

    def keep(self, pods: Collection[tuple[str, str]]) -> None:
        """Forget all others."""
        self._silent = {pod: silence for pod, silence in self._silent.items() if pod in pods}
