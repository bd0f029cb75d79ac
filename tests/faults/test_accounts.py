"""Every request is accounted for once, over the series of both programs together."""

from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path

import pytest

from tests.support.children import MONITOR, Proxy, analyzer, count, eventually, free_port, model, proxy
from tests.support.load import answer, load, post

SAMPLED = MONITOR + "  capture: {sample: 0.5, maxBodyBytes: 2Ki}\n"


async def send(running: Proxy, *requests: bytes) -> list[int]:
    statuses = []
    for request in requests:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(request)
        statuses.append((await answer(reader))[0])
        writer.close()
    return statuses


def scrape(running: Proxy, admin: int) -> str:
    """What Prometheus would hold of the pod: the series of both programs."""
    with urllib.request.urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=5) as found:
        return running.ask("/metrics")[1] + str(found.read().decode())


def adds_up(exposition: str, sent: int) -> bool:
    """Whether all that was sent is told of, each request once. Both programs publish at their own times."""
    parts = ("capture_captured_total", "capture_dropped_total", "capture_lost_total")
    seen = count(exposition, "capture_seen_total")
    analysed = count(exposition, "exchanges_total") + count(exposition, "unrouted_exchanges_total")
    return (
        count(exposition, "requests_total") == sent
        and seen == sum(count(exposition, part) for part in parts)
        and analysed == count(exposition, "capture_captured_total")
        and seen + count(exposition, "capture_sampled_out_total") == count(exposition, "requests_total")
    )


@pytest.mark.parametrize("monitor", [MONITOR, SAMPLED], ids=["all", "half"])
async def test_seen_is_captured_dropped_or_lost_over_both_programs(tmp_path: Path, monitor: str) -> None:
    upstream, admin = free_port(), free_port()
    with proxy(tmp_path, upstream, monitor=monitor) as running, analyzer(tmp_path, admin):
        refused = await send(running, *[post(f"/predict?{number}") for number in range(20)])
        assert refused == [502] * 20
        # The load lasts a moment; the worker asks for the analyzer once in a while.
        log = tmp_path / "analyzer.log"
        await asyncio.to_thread(eventually, lambda: "worker_connected" in log.read_text())
        with model(tmp_path, upstream):
            async with load(running.port, 4) as seen:
                garbage = [
                    post("/predict", body) for body in (b"{", b"\xff\x00", b"[" * 5000, b"x" * 100_000)
                ]
                assert await send(running, *garbage * 5) == [200] * 20
            assert seen.failed == 0, seen.failures
            sent = len(refused) + 20 + seen.outcomes["200"]
            await asyncio.to_thread(eventually, lambda: adds_up(scrape(running, admin), sent))
        found = scrape(running, admin)
        refusals = count(found, "capture_dropped_total", reason="no_model")
        assert refusals == 20 if monitor is MONITOR else 0 < refusals < 20
        assert (count(found, "capture_sampled_out_total") > 0) == (monitor is SAMPLED)
        assert count(found, "decode_errors_total") > 0
