"""The worker process: an event loop that relays, on a socket that the supervisor holds.

It must not know how it is started or replaced (`supervisor`). Cyclic garbage collection is off:
connections cut their cycles by hand, and a collection would stop every one of them.
"""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import socket
from functools import partial

import uvloop

from driftline_sidecar.control import Closed, Configure, Drain, Ready, Terminate, ToWorker, WorkerEnd
from driftline_sidecar.counters import Counters
from driftline_sidecar.frames import Hello
from driftline_sidecar.listener import HANDSHAKE_SECONDS, hold_new, stop
from driftline_sidecar.relay.client import Client
from driftline_sidecar.relay.flight import Recorder
from driftline_sidecar.relay.process import Relay
from driftline_sidecar.settings import CaptureSettings, ProxySettings
from driftline_sidecar.tee import Tee

_GC_THRESHOLDS = (200_000, 50, 1000)
"""A net: so many more objects made than freed would mean a cycle that nobody cut."""
_CLOCK_SECONDS = 10.0


def run(
    settings: ProxySettings,
    capture: CaptureSettings,
    listener: socket.socket,
    counters: Counters,
    end: socket.socket,
) -> int:
    """Relay until told to drain, or until the supervisor is gone; the exit status.

    `listener` listens already and does not block; `end` is the worker's end of the control channel.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Worker(settings, capture, listener, counters, end).serve())
    return 0


class Worker:
    """One worker's life: serve, be reconfigured, drain."""

    def __init__(
        self,
        settings: ProxySettings,
        capture: CaptureSettings,
        listener: socket.socket,
        counters: Counters,
        end: socket.socket,
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._counters = counters
        self._end = end
        hello = Hello(secrets.randbits(63), os.getpid(), listener.getsockname()[1])
        self._tee = Tee(str(settings.tee), hello, settings.queue_bytes)
        self._recorder = Recorder(capture, counters, self._tee)
        self._server: asyncio.Server | None = None
        self._relay: Relay | None = None
        self._drain = asyncio.Event()
        self._drain_seconds = settings.drain_seconds

    async def serve(self) -> None:
        """Accept and relay until drained."""
        loop = asyncio.get_running_loop()
        control = WorkerEnd(self._end, loop, self._counters, self._told, self._drain.set)
        upstream = self._settings.upstream

        def stop_listening(reason: str) -> None:
            if self._server is not None:
                self._stop_listening()
                control.send(Closed(reason))

        relay = self._relay = Relay(
            loop,
            self._recorder,
            (upstream.host, upstream.port),
            self._settings.connect_seconds,
            stop_listening,
        )
        self._tee.start(loop)
        self._server = await loop.create_server(
            partial(Client, relay), sock=self._listener, backlog=self._settings.backlog
        )
        control.send(Ready(os.getpid()))
        clock = loop.create_task(self._keep_clock())
        await self._drain.wait()
        await self._finish(relay)
        clock.cancel()
        self._tee.close()
        control.close()

    def _told(self, message: ToWorker) -> None:
        match message:
            case Configure(capture):
                self._recorder.configure(capture)
            case Terminate():
                if self._relay is not None:
                    self._relay.terminating = True
            case Drain(seconds):
                self._drain_seconds = seconds
                self._drain.set()

    async def _finish(self, relay: Relay) -> None:
        """Take what waits in the backlog, stop listening, let what is in flight end."""
        if self._server is not None:
            hold_new(self._listener)
            await asyncio.sleep(HANDSHAKE_SECONDS)
            self._stop_listening()
        relay.drain()
        try:
            async with asyncio.timeout(self._drain_seconds):
                await relay.empty.wait()
                await self._tee.settled()
        except TimeoutError:
            for client in list(relay.clients):
                client.reset()
            await asyncio.sleep(0)

    def _stop_listening(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
            stop(self._listener)

    async def _keep_clock(self) -> None:
        while True:
            await asyncio.sleep(_CLOCK_SECONDS)
            self._recorder.set_clock()
