"""What supervisor and worker tell each other, over a socket pair that keeps message boundaries.

To the worker: `Configure` (new capture settings, effective from the next request on), `Terminate`
(the pod is going: see the message), `Drain` (finish and exit). From the worker: `Ready` once it
accepts connections, `Closed` once it has stopped listening. The end of the socket is a message too:
a worker whose supervisor is gone drains and exits, so that the port is free again.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

import msgspec

from driftline_sidecar.counters import HEARTBEAT, Counters
from driftline_sidecar.settings import CaptureSettings

MAX_MESSAGE: Final = 256 * 1024
"""Bytes. Capture settings are a few hundred bytes per monitor."""

HEARTBEAT_SECONDS: Final = 1.0


class Configure(msgspec.Struct, frozen=True, tag=True):
    """Capture settings from now on; requests already begun keep the old ones."""

    capture: CaptureSettings


class Terminate(msgspec.Struct, frozen=True, tag=True):
    """The pod is terminating: from now on a model that refuses a connection closes the listener."""


class Drain(msgspec.Struct, frozen=True, tag=True):
    """Take what waits in the backlog, stop listening, finish what is in flight, then exit 0.

    What is still open after `seconds` is closed.
    """

    seconds: float


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The worker accepts connections."""

    pid: int


class Closed(msgspec.Struct, frozen=True, tag=True):
    """The worker stopped listening on its own; the supervisor closes its copy of the socket."""

    reason: str
    relay: int = 0
    """Which of them."""


ToWorker = Configure | Terminate | Drain
FromWorker = Ready | Closed

_to_worker = msgspec.json.Decoder(ToWorker)
_from_worker = msgspec.json.Decoder(FromWorker)


def channel() -> tuple[socket.socket, socket.socket]:
    """The supervisor's and the worker's end, both non-blocking."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_MESSAGE)
    return ours, theirs


def send(end: socket.socket, message: ToWorker | FromWorker) -> bool:
    """Send one message; False where the other side is gone or does not read."""
    try:
        end.send(msgspec.json.encode(message))
    except OSError:
        return False
    return True


def receive_from_worker(end: socket.socket) -> FromWorker | None:
    """The next message; None at the end of the channel. Raises BlockingIOError where there is none."""
    raw = _receive(end)
    return _from_worker.decode(raw) if raw else None


def _receive(end: socket.socket) -> bytes:
    try:
        return end.recv(MAX_MESSAGE)
    except ConnectionError:
        return b""


class WorkerEnd:
    """The worker's end on its event loop: messages in, messages out, and the heartbeat."""

    def __init__(
        self,
        end: socket.socket,
        loop: asyncio.AbstractEventLoop,
        counters: Counters,
        on_message: Callable[[ToWorker], None],
        on_end: Callable[[], None],
    ) -> None:
        """Starts at once. `on_end` is called when the supervisor is gone, at most once."""
        self._end = end
        self._loop = loop
        self._pulse = counters.block(0)
        self._on_message = on_message
        self._on_end = on_end
        self._timer: asyncio.TimerHandle | None = None
        loop.add_reader(end.fileno(), self._readable)
        self._beat()

    def send(self, message: FromWorker) -> bool:
        """Tell the supervisor; False where it is gone."""
        return send(self._end, message)

    def close(self) -> None:
        """Stop listening to the supervisor; idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._loop.remove_reader(self._end.fileno())
            self._end.close()

    def _beat(self) -> None:
        self._pulse[HEARTBEAT] += 1
        self._timer = self._loop.call_later(HEARTBEAT_SECONDS, self._beat)

    def _readable(self) -> None:
        try:
            raw = _receive(self._end)
        except BlockingIOError:
            return
        if raw:
            self._on_message(_to_worker.decode(raw))
        else:
            self.close()
            self._on_end()
