"""What goes on beside the API goes on whatever fails."""

from __future__ import annotations

import asyncio

from driftline_operator.hub.rounds import Faults, until
from prometheus_client import CollectorRegistry


async def test_a_round_that_fails_is_counted_and_comes_again() -> None:
    numbers, stop, done = CollectorRegistry(), asyncio.Event(), []

    async def fails() -> None:
        done.append("fails")
        if done.count("fails") == 3:
            stop.set()
        raise OverflowError

    async def works() -> None:
        done.append("works")

    await asyncio.wait_for(until(stop, {"a": (0.0, fails), "b": (0.0, works)}, Faults(numbers)), 10)
    assert done.count("works") >= 2
    assert numbers.get_sample_value("modelmonitor_hub_round_failures_total", {"round": "a"}) == 3.0
    assert numbers.get_sample_value("modelmonitor_hub_round_failures_total", {"round": "b"}) == 0.0
