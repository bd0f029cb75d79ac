"""What breaks beside the traffic, with load running: the traffic must not notice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.children import Proxy, analyzer, eventually, free_port, model, proxy, taker
from tests.support.load import BODY, answer, load, post


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with model(tmp_path_factory.mktemp("model")) as (port, _):
        yield port


def adds_up(running: Proxy) -> bool:
    """seen = captured + dropped by reason + lost, exactly."""
    parts = (
        running.count("capture_captured_total"),
        running.count("capture_dropped_total"),
        running.count("capture_lost_total"),
    )
    return running.count("capture_seen_total") == sum(parts)


async def later(holds: Callable[[], object], seconds: float = 10.0) -> None:
    await asyncio.to_thread(eventually, holds, seconds)


async def test_a_killed_analyzer_fails_no_request(tmp_path: Path, upstream: int) -> None:
    with proxy(tmp_path, upstream) as running:
        with analyzer(tmp_path) as killed:
            async with load(running.port) as seen:
                await later(lambda: running.count("capture_captured_total") > 100)
                killed.send_signal(signal.SIGKILL)
                await asyncio.sleep(0.5)
        assert seen.failed == 0, seen.failures
        assert seen.outcomes["200"] > 200
        assert running.count("capture_dropped_total", reason="no_analyzer") > 0
        eventually(lambda: adds_up(running))
        assert running.count("capture_seen_total") == running.count("requests_total") == seen.outcomes["200"]
        with analyzer(tmp_path):
            before = running.count("capture_captured_total")
            async with load(running.port):
                await later(lambda: running.count("capture_captured_total") > before)


async def test_a_hung_analyzer_fails_no_request_and_what_does_not_fit_is_counted(
    tmp_path: Path, upstream: int
) -> None:
    with proxy(tmp_path, upstream, "--queue-bytes", "65536") as running, analyzer(tmp_path) as hung:
        async with load(running.port) as seen:
            await later(lambda: running.count("capture_captured_total") > 100)
            hung.send_signal(signal.SIGSTOP)
            await later(lambda: running.count("capture_dropped_total", reason="queue_full") > 100)
            hung.send_signal(signal.SIGCONT)
            await asyncio.sleep(0.2)
        assert seen.failed == 0, seen.failures
        eventually(lambda: adds_up(running))
        assert running.count("capture_lost_total") == 0
        assert running.count("capture_seen_total") == seen.outcomes["200"]


async def test_connections_in_the_backlog_of_a_killed_worker_are_served_within_a_second(
    tmp_path: Path, upstream: int
) -> None:
    with proxy(tmp_path, upstream) as running:
        before = running.worker
        running.process.send_signal(signal.SIGSTOP)  # so that no successor comes yet
        os.kill(before, signal.SIGKILL)
        waiting = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(100)]
        for _, writer in waiting:
            writer.write(post())
        started = time.monotonic()
        running.process.send_signal(signal.SIGCONT)
        answers = await asyncio.gather(*(answer(reader) for reader, _ in waiting))
        assert time.monotonic() - started < 1.0
        assert [status for status, _ in answers] == [200] * 100
        for _, writer in waiting:
            writer.close()
        assert running.worker not in (0, before)
        assert running.count("worker_restarts_total", reason="killed") == 1


async def test_a_killed_worker_loses_what_was_in_flight_and_nothing_else(
    tmp_path: Path, upstream: int
) -> None:
    clients = 16
    with proxy(tmp_path, upstream) as running, taker(tmp_path):
        async with load(running.port, clients) as seen:
            for _ in range(3):
                os.kill(running.worker, signal.SIGKILL)
                await asyncio.sleep(0.4)
        # A client has one request at a time: a kill can cost it that one and no more.
        assert seen.failed + seen.outcomes["retried"] <= 3 * clients
        assert seen.outcomes["refused"] == 0
        assert seen.outcomes["200"] > 500
        eventually(lambda: adds_up(running))
        eventually(lambda: running.count("in_flight_requests") == 0)
        assert running.count("worker_restarts_total") == 3
        assert running.ask("/readyz") == (200, "ok\n")


@pytest.mark.parametrize("keep_alive", [True, False], ids=["keep-alive", "new-connections"])
async def test_sigterm_under_load_drains_and_loses_nothing(
    tmp_path: Path, upstream: int, keep_alive: bool
) -> None:
    with proxy(tmp_path, upstream) as running, taker(tmp_path):
        async with load(running.port, keep_alive=keep_alive) as seen:
            running.process.send_signal(signal.SIGTERM)
            code = await asyncio.to_thread(running.process.wait, 20)
        assert code == 0
        # Whoever comes after the end is refused; whoever was let in has been answered.
        assert set(seen.outcomes) <= {"200", "retried", "refused"}, seen.failures
        assert seen.outcomes["200"] > 50
        if not keep_alive:
            assert seen.outcomes["retried"] == 0


async def test_sigterm_waits_for_a_slow_answer(tmp_path: Path, upstream: int) -> None:
    with proxy(tmp_path, upstream) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(post("/slow"))
        await later(lambda: running.count("in_flight_requests") == 1)
        running.process.send_signal(signal.SIGTERM)
        assert (await answer(reader))[0] == 200
        writer.close()
        assert await asyncio.to_thread(running.process.wait, 10) == 0


async def test_a_model_that_goes_and_comes_back(tmp_path: Path) -> None:
    port = free_port()
    with proxy(tmp_path, port) as running:
        async with load(running.port, 4) as down:
            pass
        assert set(down.outcomes) == {"502"}
        with model(tmp_path, port):
            async with load(running.port, 4) as up:
                pass
        assert set(up.outcomes) == {"200"}, up.failures
        assert running.count("upstream_errors_total", reason="refused") > 0
        assert running.count("capture_dropped_total", reason="no_model") == down.outcomes["502"]
        assert running.count("capture_sampled_out_total") == 0
        assert adds_up(running)


async def test_garbage_bodies_and_garbage_requests(tmp_path: Path, upstream: int) -> None:
    with proxy(tmp_path, upstream) as running, analyzer(tmp_path) as unharmed:
        async with load(running.port, 4) as seen:
            for body in (b"{", b"\xff\xfe\x00", b"[" * 5000, b"null", b""):
                reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
                writer.write(post("/predict", body))
                assert (await answer(reader))[0] == 200
                writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writer.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
            writer.write_eof()
            with contextlib.suppress(ConnectionError):
                await asyncio.wait_for(reader.read(), 5)
            writer.close()
        assert seen.failed == 0, seen.failures
        assert running.count("worker_restarts_total") == 0
        assert unharmed.poll() is None
        eventually(lambda: adds_up(running))
        assert running.count("capture_lost_total") == 0
        assert "this is no HTTP" not in running.log.read_text()


async def test_bodies_of_100_mb_in_flat_memory(tmp_path: Path, upstream: int) -> None:
    size = 100_000_000
    with proxy(tmp_path, upstream) as running, taker(tmp_path):
        before = running.pss()
        async with load(running.port, 4) as seen:
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writer.write(post("/predict", b"").replace(b"length: 0", b"length: %d" % size))
            block = bytes(1_000_000)
            for _ in range(size // len(block)):
                writer.write(block)
                await writer.drain()
            status, body = await answer(reader)
            during = running.pss()
            writer.close()
        assert (status, body) == (200, b'{"label": "late", "bytes": %d}' % size)
        assert seen.failed == 0, seen.failures
        assert during - before < 10


@pytest.mark.slow
async def test_10_000_idle_connections(tmp_path: Path, upstream: int) -> None:
    """As many of them as the machine lets one process hold: each takes two of its descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    many = min(10_000, (hard - 200) // 2)
    if many < 9_000:
        pytest.skip("needs a limit of about 20,000 descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    idle: list[socket.socket] = []
    try:
        with proxy(tmp_path, upstream) as running:
            before = running.pss()
            idle += [socket.create_connection(("127.0.0.1", running.port)) for _ in range(many)]
            await later(lambda: running.count("client_connections") == many)
            async with load(running.port, 8) as seen:
                pass
            assert seen.failed == 0, seen.failures
            assert running.pss() - before < 80  # MB: at most 8 kB a connection
            for sock in idle:
                sock.close()
            await later(lambda: running.count("client_connections") == 0)
    finally:
        for sock in idle:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_tee_directory_that_can_not_be_used(tmp_path: Path, upstream: int) -> None:
    with proxy(tmp_path, upstream, "--tee", "/proc/no/such/tee.sock") as running:
        async with load(running.port) as seen:
            pass
        assert seen.failed == 0, seen.failures
        assert running.count("capture_dropped_total", reason="no_analyzer") == seen.outcomes["200"]
        assert adds_up(running)


async def test_a_killed_supervisor_takes_its_worker_along_and_frees_the_port(
    tmp_path: Path, upstream: int
) -> None:
    with proxy(tmp_path, upstream) as running:
        worker = running.worker
        async with load(running.port) as seen:
            running.process.send_signal(signal.SIGKILL)
            await later(lambda: not Path(f"/proc/{worker}").exists(), 5)
        assert set(seen.outcomes) <= {"200", "retried", "refused"}, seen.failures
        with socket.create_server(("127.0.0.1", running.port)):
            pass


async def test_a_worker_that_hangs_is_replaced(tmp_path: Path, upstream: int) -> None:
    with proxy(tmp_path, upstream, "--hang-seconds", "2") as running:
        hung = running.worker
        os.kill(hung, signal.SIGSTOP)
        await later(lambda: running.count("worker_restarts_total", reason="hung") == 1)
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(post("/predict", BODY))
        assert (await answer(reader))[0] == 200
        writer.close()
