"""Load that remembers every request: answered, or how it failed."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

BODY = b'{"age": 39}'


def post(path: str = "/predict", body: bytes = BODY, *headers: bytes) -> bytes:
    lines = [f"POST {path} HTTP/1.1".encode(), b"host: m", b"content-type: application/json",
             b"content-length: %d" % len(body), *headers]  # fmt: skip
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """One response with a content-length: status and body."""
    status, body, _ = await answer_and_end(reader)
    return status, body


async def answer_and_end(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """As `answer`, and whether the server said that it closes the connection after it."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    )
    ends = b"\r\nconnection: close\r\n" in head.lower()
    return int(head.split(b" ", 2)[1]), await reader.readexactly(length), ends


class Load:
    """What became of the requests, by outcome: `200`, ..., `refused`, `retried`, `failed`.

    `retried` is a request on a reused connection that the server closed before it answered any of it:
    every HTTP client sends such a one again, on a new connection. Nothing else may be told from a loss.
    """

    def __init__(self, port: int, path: str = "/predict", *, keep_alive: bool = True) -> None:
        self._port, self._keep_alive = port, keep_alive
        self._request = post(path) if keep_alive else post(path, BODY, b"connection: close")
        self.outcomes: Counter[str] = Counter()
        self.failures: list[str] = []
        self.stopping = False

    @property
    def failed(self) -> int:
        return sum(count for outcome, count in self.outcomes.items() if outcome not in ("200", "retried"))

    async def client(self) -> None:
        """Requests one after the other until told to stop or refused."""
        while not self.stopping:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except ConnectionRefusedError:
                self.outcomes["refused"] += 1
                return
            try:
                await self._converse(reader, writer)
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answered = 0
        while not self.stopping:
            try:
                writer.write(self._request)
                status, _, ends = await answer_and_end(reader)
            except (OSError, asyncio.IncompleteReadError) as error:
                partial = getattr(error, "partial", b"")
                outcome = "retried" if answered and not partial else "failed"
                self.outcomes[outcome] += 1
                if outcome == "failed":
                    self.failures.append(repr(error))
                return
            answered += 1
            self.outcomes[str(status)] += 1
            if ends or not self._keep_alive:
                return


@contextlib.asynccontextmanager
async def load(
    port: int, clients: int = 16, path: str = "/predict", *, keep_alive: bool = True
) -> AsyncIterator[Load]:
    """Load while the block runs; it is stopped and all its requests are finished afterwards."""
    running = Load(port, path, keep_alive=keep_alive)
    tasks = [asyncio.create_task(running.client()) for _ in range(clients)]
    try:
        await asyncio.sleep(0.3)
        yield running
    finally:
        running.stopping = True
        await asyncio.wait_for(asyncio.gather(*tasks), 20)
