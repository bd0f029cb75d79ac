"""Hands frames to the analyzer over a Unix socket, and never waits for it.

Frames wait in a byte-bounded queue and are written together, a few milliseconds' worth at a time. A
full queue, or no analyzer, drops whole frames. Per block of the counters, at any time,

    SEEN = CAPTURED + DROPPED + LOST + what is queued or not yet acknowledged

CAPTURED is what the analyzer has acknowledged. When its connection ends, all that it had not
acknowledged, written or still queued, is LOST: it may have read some of that, so LOST is the upper
bound and CAPTURED never says too much.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Sequence
from typing import Final

from driftline_sidecar import counters as slots
from driftline_sidecar.frames import Ack, FrameError, FrameReader, Hello, encode_hello

FLUSH_SECONDS: Final = 0.004
"""How long a frame may wait for company: one system call and one wake-up serve many."""
FLUSH_BYTES: Final = 128 * 1024
"""Queued bytes that are written without waiting for the timer."""
WRITE_BYTES: Final = 256 * 1024
"""Bytes joined for one write."""
BACK_OFF: Final = (0.05, 2.0)
"""Seconds before the first and between later attempts to connect; doubles in between."""

_QUEUE_FULL: Final = slots.DROPPED["queue_full"]
_NO_ANALYZER: Final = slots.DROPPED["no_analyzer"]


class Tee:
    """The worker's side of the socket. `connected` is False while frames would be dropped anyway."""

    def __init__(self, path: str, hello: Hello, capacity: int) -> None:
        """`capacity`: bytes that may wait in the queue, or one frame alone. Does nothing before `start`."""
        self.connected = False
        self._path = path
        self._hello = hello
        self._capacity = capacity
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sock: socket.socket | None = None
        self._reader = FrameReader()
        self._queue: list[bytes] = []
        """The parts of frames, in order."""
        self._out = memoryview(b"")
        self._bytes = 0
        self._runs: deque[tuple[memoryview[int], list[int]]] = deque()
        """Whose frames await acknowledgement: runs of (block, [how many]) in the order of the frames."""
        self._acknowledged = 0
        self._timer: asyncio.TimerHandle | None = None
        self._writing = False
        self._wait = BACK_OFF[0]

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Connect, and keep trying."""
        self._loop = loop
        self._connect()

    def put(self, parts: Sequence[bytes], block: memoryview[int]) -> None:
        """Queue a frame, or drop it and count why. `block` is where it was counted as seen."""
        size = sum(map(len, parts))
        if not self.connected:
            block[_NO_ANALYZER] += 1
            return
        if self._bytes and self._bytes + size > self._capacity:  # alone, a frame may be larger than the queue
            block[_QUEUE_FULL] += 1
            return
        self._queue += parts
        self._bytes += size
        block[slots.CAPTURE_BYTES] += size
        runs = self._runs
        if runs and runs[-1][0] is block:
            runs[-1][1][0] += 1
        else:
            runs.append((block, [1]))
        if self._timer is None and not self._writing and self._loop is not None:
            self._timer = self._loop.call_later(FLUSH_SECONDS, self._flush)
        elif self._bytes > FLUSH_BYTES and not self._writing:
            self._flush()

    @property
    def queued(self) -> int:
        """Frames that are neither captured nor dropped nor lost yet."""
        return sum(count[0] for _, count in self._runs)

    async def settled(self) -> None:
        """Wait until all is acknowledged, or the analyzer gone, but a second at most."""
        for _ in range(100):
            if not self._runs:
                return
            await asyncio.sleep(0.01)

    def close(self) -> None:
        """Write what the socket takes at once, and end. What is not acknowledged becomes lost."""
        if self.connected:
            self._flush()
        self._disconnect(again=False)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop = None

    def _connect(self) -> None:
        self._timer = None
        if self._loop is None:
            return
        try:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError:  # out of descriptors
            self._retry()
            return
        sock.setblocking(False)
        try:
            sock.connect(self._path)
        except OSError:
            sock.close()
            self._retry()
            return
        self._sock = sock
        self._wait = BACK_OFF[0]
        self._reader, self._acknowledged = FrameReader(), 0
        self._queue.append(encode_hello(self._hello))
        self._bytes = len(self._queue[0])
        self.connected = True
        self._loop.add_reader(sock.fileno(), self._readable)
        self._flush()

    def _retry(self) -> None:
        if self._loop is not None:
            self._timer = self._loop.call_later(self._wait, self._connect)
            self._wait = min(2 * self._wait, BACK_OFF[1])

    def _disconnect(self, *, again: bool = True) -> None:
        sock, self._sock = self._sock, None
        self.connected = False
        if sock is not None and self._loop is not None:
            self._loop.remove_reader(sock.fileno())
            if self._writing:
                self._loop.remove_writer(sock.fileno())
            sock.close()
        self._writing = False
        for block, count in self._runs:
            block[slots.LOST] += count[0]
        self._runs.clear()
        self._queue.clear()
        self._out = memoryview(b"")
        self._bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if again:
            self._retry()

    def _flush(self) -> None:
        """Write until the queue is empty or the socket full."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        sock, loop = self._sock, self._loop
        if sock is None or loop is None:
            return
        try:
            while self._out or self._queue:
                if not self._out:
                    self._out = memoryview(self._next())
                sent = sock.send(self._out)
                self._bytes -= sent
                self._out = self._out[sent:]
        except BlockingIOError:
            if not self._writing:
                self._writing = True
                loop.add_writer(sock.fileno(), self._flush)
            return
        except OSError:
            self._disconnect()
            return
        if self._writing:
            self._writing = False
            loop.remove_writer(sock.fileno())

    def _next(self) -> bytes:
        queue = self._queue
        if self._bytes <= WRITE_BYTES:
            self._queue = []
            return b"".join(queue)
        size = count = 0
        while count < len(queue) and size < WRITE_BYTES:
            size += len(queue[count])
            count += 1
        taken = b"".join(queue[:count])
        del queue[:count]
        return taken

    def _readable(self) -> None:
        if self._sock is None:
            return
        try:
            data = self._sock.recv(64 * 1024)
            frames = self._reader.feed(data)
        except BlockingIOError:
            return
        except (OSError, FrameError):
            self._disconnect()
            return
        if not data:
            self._disconnect()
            return
        for frame in frames:
            if isinstance(frame, Ack):
                self._acknowledge(frame.received - self._acknowledged)
                self._acknowledged = frame.received

    def _acknowledge(self, frames: int) -> None:
        runs = self._runs
        while frames > 0 and runs:
            block, count = runs[0]
            taken = min(frames, count[0])
            block[slots.CAPTURED] += taken
            frames -= taken
            count[0] -= taken
            if not count[0]:
                runs.popleft()
