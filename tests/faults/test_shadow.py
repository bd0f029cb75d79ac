"""A shadow beside real programs: whatever ends, the live traffic doesn't notice and the account adds up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median

import msgspec
from aiohttp import web
from driftline.shadow.account import Account, Failure
from driftline.shadow.codec import WARMING
from driftline.shadow.ledger import Ledger
from driftline.shadow.plan import ComparisonPlan
from driftline.shadow.runtime import MirrorConfig, encode_mirror
from driftline.spec.shadow import Traffic

from tests.support.children import Proxy, analyzer, count, eventually, free_port, listens, model, proxy
from tests.support.load import answer, load, post
from tests.support.mirrors import agrees, candidate, mirror_config, parts_of

PLAN = ComparisonPlan(sort="class", classes=("late",))
TRAFFIC = Traffic(queue=10_000, max_concurrent=4)


def scraped(admin: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=5) as found:
        return str(found.read().decode())


class Controller:
    """Fetches as the real one does: by cursor, all of it into one ledger."""

    def __init__(self, admin: int, config: MirrorConfig) -> None:
        self.admin, self.cursor = admin, ""
        self.ledger = Ledger(config.shadow.uid, config.shadow.generation, config.plan)

    def fetch(self) -> Account:
        url = f"http://127.0.0.1:{self.admin}/v1/pairs?since={self.cursor}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            self.cursor = answer.headers["X-Driftline-Cursor"]
            for part in parts_of(answer.read()):
                self.ledger.take(part)
        return self.ledger.snapshot().account

    def has(self, paired: int) -> bool:
        """Whether so many are paired by now."""
        return self.fetch().paired >= paired

    def settled(self) -> Account:
        account = self.fetch()
        deadline = time.monotonic() + 20
        while account.waiting:
            assert time.monotonic() < deadline, account
            time.sleep(0.1)
            account = self.fetch()
        assert not [*account.problems()]
        return account


def shadowed(directory: Path, config: MirrorConfig) -> Path:
    path = directory / "shadow.yaml"
    beside = directory / "shadow.new"
    beside.write_text(encode_mirror(config))
    beside.replace(path)
    return path


@contextlib.contextmanager
def watching(directory: Path, admin: int, path: Path) -> Iterator[int]:
    """The analyzer with a shadow and a state that survives it; its pid."""
    options = ("--shadow", str(path), "--state", str(directory / "state"))
    with analyzer(directory, admin, *options) as process:
        yield process.pid


async def test_killed_in_the_middle_the_account_still_adds_up(tmp_path: Path) -> None:
    upstream, admin = free_port(), free_port()
    with model(tmp_path, upstream), model(tmp_path) as (other, _):
        config = mirror_config(f"http://127.0.0.1:{other}", plan=PLAN, traffic=TRAFFIC)
        path, controller = shadowed(tmp_path, config), Controller(admin, config)
        with proxy(tmp_path, upstream) as running:
            async with load(running.port, 4) as seen:
                for _ in range(3):
                    with watching(tmp_path, admin, path) as pid:
                        wanted = controller.ledger.snapshot().account.paired + 50
                        await asyncio.to_thread(eventually, partial(controller.has, wanted), 20)
                        os.kill(pid, signal.SIGKILL)
                        await asyncio.sleep(0.2)
            assert seen.failed == 0, seen.failures
            with watching(tmp_path, admin, path):
                account = await asyncio.to_thread(controller.settled)
                assert not [*account.problems()]
                assert account.waiting == 0
                assert account.paired > 150
                assert account.lost > 0
                assert account.eligible == account.paired + account.lost + sum(account.failed.values())
                assert len({part.boot for part in controller.ledger.parts}) == 4


async def test_the_candidate_killed_in_the_middle(tmp_path: Path) -> None:
    upstream, admin = free_port(), free_port()
    with model(tmp_path, upstream), model(tmp_path) as (other, candidate):
        config = mirror_config(f"http://127.0.0.1:{other}", plan=PLAN, traffic=TRAFFIC)
        path, controller = shadowed(tmp_path, config), Controller(admin, config)
        with proxy(tmp_path, upstream) as running, watching(tmp_path, admin, path):
            async with load(running.port, 4) as seen:
                await asyncio.to_thread(eventually, lambda: controller.fetch().paired > 100, 20)
                os.killpg(candidate.pid, signal.SIGKILL)
                await asyncio.to_thread(
                    eventually, lambda: count(scraped(admin), "shadow_breaker_open") == 1, 20
                )
            assert seen.failed == 0, seen.failures
            account = await asyncio.to_thread(controller.settled)
            assert account.failed.keys() <= {Failure.REFUSED, Failure.RESET}
            found = scraped(admin)
            assert count(found, "shadow_eligible_total") == account.eligible
            assert count(found, "shadow_failed_total") == sum(account.failed.values())
            assert count(found, "shadow_dropped_total") == sum(account.dropped.values())


async def test_it_comes_changes_and_goes_with_its_file(tmp_path: Path) -> None:
    upstream, admin = free_port(), free_port()
    with model(tmp_path, upstream), model(tmp_path) as (other, _):
        config = mirror_config(f"http://127.0.0.1:{other}", plan=PLAN, traffic=TRAFFIC, ready=False)
        path, controller = tmp_path / "shadow.yaml", Controller(admin, config)
        with proxy(tmp_path, upstream) as running, watching(tmp_path, admin, path):
            async with load(running.port, 2):
                await asyncio.to_thread(eventually, lambda: count(scraped(admin), "exchanges_total") > 50)
                assert "shadow_eligible_total{" not in scraped(admin)
                assert controller.fetch() == Account()
                shadowed(tmp_path, config)
                await asyncio.to_thread(eventually, lambda: controller.fetch().dropped, 10)
                assert controller.fetch().mirrored == 0
                shadowed(tmp_path, msgspec.structs.replace(config, ready=True))
                await asyncio.to_thread(eventually, lambda: controller.fetch().paired > 20, 10)
                assert len(controller.ledger.parts) == 1, "readiness begins no new life"
                path.write_text("no: [such form")
                await asyncio.to_thread(
                    eventually,
                    lambda: (
                        count(scraped(admin), "config_last_reload_successful", file="shadow") == 0
                        and count(scraped(admin), "config_refused_total", file="shadow") == 1
                    ),
                )
                paired = controller.fetch().paired
                await asyncio.to_thread(eventually, lambda: controller.fetch().paired > paired, 10)
                path.unlink()
                await asyncio.to_thread(
                    eventually, lambda: "shadow_eligible_total{" not in scraped(admin), 10
                )
                account = await asyncio.to_thread(controller.settled)
                await asyncio.sleep(0.5)
                assert controller.fetch() == account


async def test_it_warms_a_candidate_up_before_it_counts(tmp_path: Path) -> None:
    upstream, admin = free_port(), free_port()
    async with candidate(agrees) as other:
        config = mirror_config(other.url, plan=PLAN, traffic=TRAFFIC, warming=True)
        path, controller = shadowed(tmp_path, config), Controller(admin, config)
        with (
            model(tmp_path, upstream),
            proxy(tmp_path, upstream) as running,
            watching(tmp_path, admin, path),
        ):
            async with load(running.port, 2):
                await asyncio.to_thread(eventually, lambda: len(other.asked) > 50, 20)
                assert await asyncio.to_thread(controller.fetch) == Account()
                assert {part.day for part in controller.ledger.parts} == {WARMING}
                assert count(await asyncio.to_thread(scraped, admin), "shadow_eligible_total") == 0
                shadowed(tmp_path, msgspec.structs.replace(config, warming=False, began=time.time()))
                await asyncio.to_thread(eventually, lambda: controller.fetch().mirrored > 20, 10)
            account = await asyncio.to_thread(controller.settled)
            warm = len(other.asked) - account.mirrored
            assert warm > 50
            assert account.lost == 0
            assert {part.day for part in controller.ledger.parts} == {WARMING, 0}


async def test_copies_go_as_the_requests_came(tmp_path: Path) -> None:
    """Not in the bunches of the analysis: the candidate would have them all at once, and be slow for it."""
    upstream, admin = free_port(), free_port()
    came: list[float] = []

    async def notes(request: web.Request, body: bytes) -> web.StreamResponse:
        came.append(time.monotonic())
        return await agrees(request, body)

    with model(tmp_path, upstream), proxy(tmp_path, upstream) as running:
        async with candidate(notes) as other:
            path = shadowed(tmp_path, mirror_config(other.url, plan=PLAN, traffic=TRAFFIC))
            with analyzer(tmp_path, admin, "--shadow", str(path)):
                log = tmp_path / "analyzer.log"
                await asyncio.to_thread(eventually, partial(_says, log, "worker_connected"))
                for _ in range(30):
                    await _send(running, [post("/predict")])
                    await asyncio.sleep(0.05)
                await asyncio.to_thread(eventually, lambda: len(came) == 30)
    gaps = [after - before for before, after in pairwise(came)]
    assert median(gaps) > 0.025


async def test_marked_requests_are_not_analysed_and_forged_ones_are(tmp_path: Path) -> None:
    """Two monitored pods in a row: the candidate is one that has a proxy and an analyzer of its own."""
    upstream, admin, theirs = free_port(), free_port(), free_port()
    behind = tmp_path / "candidate"
    behind.mkdir()
    token = tmp_path / "token"
    token.write_text("the namespace's token")
    with model(tmp_path, upstream), proxy(behind, upstream) as other, proxy(tmp_path, upstream) as running:
        config = mirror_config(f"http://127.0.0.1:{other.port}", plan=PLAN, traffic=TRAFFIC, key=b"")
        path = shadowed(tmp_path, config)
        options = ("--token", str(token))
        with (
            analyzer(behind, theirs, *options),
            analyzer(tmp_path, admin, "--shadow", str(path), *options),
        ):
            for log in (behind / "analyzer.log", tmp_path / "analyzer.log"):
                await asyncio.to_thread(eventually, partial(_says, log, "worker_connected"))
            await _send(running, [post("/predict")] * 20)
            await asyncio.to_thread(
                eventually, lambda: count(scraped(theirs), "shadow_marked_total", outcome="valid") == 20
            )
            forged = post("/predict").replace(b"\r\n\r\n", b"\r\nX-Driftline-Shadow: 1 2 3 4\r\n\r\n", 1)
            await _send(running, [forged] * 5)
            await asyncio.to_thread(eventually, lambda: count(scraped(admin), "shadow_paired_total") == 25)
            await asyncio.to_thread(eventually, lambda: count(scraped(admin), "exchanges_total") == 25)
            assert count(scraped(admin), "shadow_marked_total", outcome="invalid") == 5
            assert listens(theirs)
            assert count(scraped(theirs), "exchanges_total") == 0


def _says(log: Path, word: str) -> bool:
    return word in log.read_text()


async def _send(running: Proxy, requests: list[bytes]) -> None:
    for request in requests:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(request)
        assert (await answer(reader))[0] == 200
        writer.close()


def test_the_form_is_json_that_people_can_read(tmp_path: Path) -> None:
    text = shadowed(tmp_path, mirror_config("http://127.0.0.1:1")).read_text()
    assert json.loads(text)["plan"]["segments"] == {"sex": ["f", "m"]}
