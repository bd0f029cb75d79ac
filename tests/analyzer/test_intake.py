"""The tee's server over real sockets and real frames."""

from __future__ import annotations

import asyncio
import random
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from driftline_sidecar.analyzer.intake import Intake
from driftline_sidecar.frames import Ack, FrameReader

from tests.support.analysis import NOON, frame, frames, predicted


@pytest.fixture
async def intake(tmp_path: Path) -> AsyncIterator[Intake]:
    found = Intake(limit_bytes=64_000)
    await found.listen(tmp_path / "tee.sock")
    yield found
    await found.close()


async def connect(tmp_path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_unix_connection(tmp_path / "tee.sock")


async def acknowledged(reader: asyncio.StreamReader, count: int) -> None:
    frames_in = FrameReader()
    while True:
        for found in frames_in.feed(await reader.read(65536)):
            if isinstance(found, Ack) and found.received >= count:
                return


async def test_exchanges_come_in_order_and_are_acknowledged(intake: Intake, tmp_path: Path) -> None:
    reader, writer = await connect(tmp_path)
    sent = [predicted(NOON, i, sequence=i + 1) for i in range(5)]
    writer.write(frames(sent, boot=7))
    await acknowledged(reader, 5)
    assert intake.received == 5
    taken = intake.take(3, 1 << 20)
    assert [e.sequence for e in taken] == [1, 2, 3]
    assert taken[0].boot == 7
    assert [e.sequence for e in intake.take(3, 1 << 20)] == [4, 5]
    assert intake.backlog_bytes == 0
    writer.close()


async def test_several_workers_in_any_pieces(intake: Intake, tmp_path: Path) -> None:
    rng = random.Random(3)
    for boot in (1, 2, 3):
        reader, writer = await connect(tmp_path)
        data = frames([predicted(NOON, i, sequence=i + 1) for i in range(20)], boot=boot)
        while data:
            size = rng.randint(1, 400)
            writer.write(data[:size])
            data = data[size:]
            await asyncio.sleep(0)
        await acknowledged(reader, 20)
        writer.close()
    taken = intake.take(1000, 1 << 30)
    assert [(e.boot, e.sequence) for e in taken] == [(b, s) for b in (1, 2, 3) for s in range(1, 21)]


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        bytes(64),
        b"\xff" * 64,
        frame(predicted(NOON, 1)),
        frames([])[:-1] + b"\x00" + b"\x05\x00\x00\x00\x09abcd",
    ],
    ids=["http", "zeros", "ones", "no greeting", "unknown kind"],
)
async def test_garbage_closes_its_own_connection_only(intake: Intake, tmp_path: Path, garbage: bytes) -> None:
    good_reader, good = await connect(tmp_path)
    good.write(frames([]))
    reader, writer = await connect(tmp_path)
    writer.write(garbage)
    async with asyncio.timeout(5):
        while await reader.read(1000):
            pass
    assert intake.damaged == 1
    good.write(frame(predicted(NOON, 1)))
    await acknowledged(good_reader, 1)
    assert len(intake) == 1
    for each in (good, writer):
        each.close()


async def test_a_full_queue_stops_reading_and_goes_on(intake: Intake, tmp_path: Path) -> None:
    reader, writer = await connect(tmp_path)
    count = 3000
    writer.write(frames([predicted(NOON, i, sequence=i + 1) for i in range(count)]))
    await asyncio.sleep(0.2)
    held = len(intake)
    assert held < count
    # One read of a stream (256 KiB) may go over the limit; no second one follows.
    assert intake.backlog_bytes < 64_000 + 8 * 256 * 1024
    seen = [e.sequence for e in intake.take(count, 1 << 30)]
    async with asyncio.timeout(5):
        while len(seen) < count:
            await intake.wait(1.0)
            seen += [e.sequence for e in intake.take(count, 1 << 30)]
    assert seen == list(range(1, count + 1))
    writer.close()
    assert reader is not None


async def test_take_is_bounded_by_bytes(intake: Intake, tmp_path: Path) -> None:
    reader, writer = await connect(tmp_path)
    writer.write(frames([predicted(NOON, "x" * 10_000, sequence=i + 1) for i in range(4)]))
    await acknowledged(reader, 4)
    assert len(intake.take(1000, 15_000)) == 2
    assert len(intake.take(1000, 1)) == 1
    writer.close()


async def test_wait_ends_without_exchanges(intake: Intake) -> None:
    assert not await intake.wait(0.01)


async def test_the_socket_is_private_and_replaces_a_stale_one(tmp_path: Path) -> None:
    path = tmp_path / "tee.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    intake = Intake()
    await intake.listen(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    with pytest.raises(OSError, match="another analyzer"):
        await Intake().listen(path)
    await intake.close()
    assert not path.exists()
    assert not intake.listening
