"""What goes on beside the hub's API, again and again, whatever fails."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter

from driftline_operator.hub.registry import Name

_log = logging.getLogger(__name__)

Work = Callable[[], Awaitable[None]]


class Faults:
    """What failed beside the API, in a registry that is passed in.

    modelmonitor_hub_evaluation_failures_total{namespace,monitor}   evaluations that failed, by monitor
    modelmonitor_hub_round_failures_total{round}                    rounds of upkeep, evaluation … that failed
    """

    def __init__(self, numbers: CollectorRegistry) -> None:
        self._evaluations = Counter(
            "modelmonitor_hub_evaluation_failures_total",
            "Evaluations of a monitor that failed: the log says why.",
            ["namespace", "monitor"],
            registry=numbers,
        )
        self._rounds = Counter(
            "modelmonitor_hub_round_failures_total",
            "Rounds beside the API that failed: the log says why.",
            ["round"],
            registry=numbers,
        )

    def of_evaluation(self, name: Name) -> None:
        """One monitor's evaluation failed; from any thread."""
        self._evaluations.labels(*name).inc()

    def expect(self, names: Iterable[str]) -> None:
        """Rounds that there are: their series begin at 0, so that a first failure is a rise."""
        for name in names:
            self._rounds.labels(name)

    def of_round(self, name: str) -> None:
        """A round failed; it comes again."""
        self._rounds.labels(name).inc()


async def until(stop: asyncio.Event, rounds: Mapping[str, tuple[float, Work]], faults: Faults) -> None:
    """Go round, each work by its name so many seconds after its last end, until `stop`."""
    faults.expect(rounds)
    beside = [
        asyncio.create_task(_every(seconds, name, work, faults)) for name, (seconds, work) in rounds.items()
    ]
    await stop.wait()
    for task in beside:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _every(seconds: float, name: str, work: Work, faults: Faults) -> None:
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001 - what is sent must go on being taken, whatever one round meets
            _log.exception("%s failed; it comes again in %g s", name, seconds)
            faults.of_round(name)
        await asyncio.sleep(seconds)
